#ifndef SONDE_MODEL_CONFIG_H
#define SONDE_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* Hugging Face's ACT2FN names without parameters; aliases map to one function (config.c). */
#define ACTS(X)                                                                                    \
    X(GELU_NEW, "gelu_new")   /* tanh form, sqrt(2/pi) */                                          \
    X(GELU_FAST, "gelu_fast") /* tanh form, .7978845608 */                                         \
    X(GELU, "gelu")           /* erf form */                                                       \
    X(GELU_10, "gelu_10")     /* erf form clipped to [-10, 10] */                                  \
    X(QUICK_GELU, "quick_gelu")                                                                    \
    X(RELU, "relu")                                                                                \
    X(RELU2, "relu2")                                                                              \
    X(RELU6, "relu6")                                                                              \
    X(LEAKY_RELU, "leaky_relu")                                                                    \
    X(SILU, "silu")                                                                                \
    X(SIGMOID, "sigmoid")                                                                          \
    X(TANH, "tanh")                                                                                \
    X(LINEAR, "linear")                                                                            \
    X(MISH, "mish")                                                                                \
    X(LAPLACE, "laplace")                                                                          \
    X(HARDSWISH, "hardswish")                                                                      \
    X(SQRTSOFTPLUS, "sqrtsoftplus")

enum act {
#define X(id, name) ACT_##id,
    ACTS(X)
#undef X
        ACT_COUNT
};

/* LN: (x - mean) / sqrt(var + eps) * gamma + beta. LINEAR (LN-free checkpoints, arXiv 2507.02559):
 * (x - mean) * gamma' + beta, the exact form that eps = 1e12 approximates. */
enum ln_kind { LN_TRUE, LN_LINEAR };

/* L layers, H heads, C d_model, D d_head = C / H, F d_mlp, V vocabulary. */
struct config {
    int n_layer, n_head, d_model, d_head, d_mlp, n_ctx;
    int64_t vocab;
    double ln_eps;
    bool ln_eps_given; /* config.json names it; else it is transformers' default */
    double init_std;   /* initializer_range: of a fresh model's matrices; 0: not given, 0.02 */
    enum ln_kind ln;
    double ln_gain; /* LINEAR: stored gammas are divided by this (1e6 for eps 1e12), else 1; 0: each
                       by its own average_std_buffer (a raw training checkpoint) */
    enum act act;
    bool scale_attn_weights;  /* scores / sqrt(D) */
    bool scale_attn_by_layer; /* scores / (l + 1), l from 0 */
    bool tied;                /* the unembedding is wte */
    int64_t bos_id, eos_id;   /* from config.json, -1: not given or not below the vocabulary */
};

/* Bounds that keep every product of sizes far from overflow. */
#define CONFIG_MAX_LAYERS 512
#define CONFIG_MAX_WIDTH (1 << 18) /* C, F, n_ctx */
#define CONFIG_MAX_VOCAB (1 << 24)

/* Reads a GPT-2 config.json of n bytes; `where` names it in errors. Detection of LN-free models
 * needs the weights too and is finished by model_open. */
int config_parse(struct config *out, const char *json, size_t n, const char *where, struct err *e);
/* The same as config.json, NUL-terminated; LINEAR as eps = ln_gain^2 (1e12 where there is none). */
char *config_write(const struct config *cfg, struct arena *arena, struct err *e);
const char *act_name(enum act a);
/* Names as in transformers' ACT2FN, aliases included; an unknown one lists those that are known. */
int act_parse(enum act *out, const char *name, struct err *e);

#endif
