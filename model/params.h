#ifndef SONDE_MODEL_PARAMS_H
#define SONDE_MODEL_PARAMS_H

#include <stdint.h>

#include "model/config.h"
#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/parallel.h"
#include "model/ops.h"
#include "model/weights.h"

/* The five kinds of weight matrix. Shapes as stored by GPT-2: y = x W + b. */
enum matrix {
    MAT_QKV,    /* [C, 3C], columns q | k | v, heads in order */
    MAT_O,      /* [C, C] */
    MAT_IN,     /* [C, F] */
    MAT_OUT,    /* [F, C] */
    MAT_UNEMBED /* [C, V], layer 0; wte^T where tied */
};

struct layer_vectors {
    float *ln1_g, *ln1_b; /* [C] */
    float *b_qkv;         /* [3C] */
    float *b_o;           /* [C] */
    float *ln2_g, *ln2_b; /* [C] */
    float *b_in;          /* [F] */
    float *b_out;         /* [C] */
};

/* All parameters of a model, an argument of forward and backward. Vectors are F32 (the gammas of an
 * LN-free model already divided by its gain); matrices are panels, packed at first use and kept in
 * the file's precision. Read-only runs may share one from several threads. */
struct params {
    struct config cfg;
    struct layer_vectors *layer; /* [L] */
    float *lnf_g, *lnf_b;        /* [C] */
    float *wpe;                  /* [n_ctx, C] */
    uint64_t version;            /* grows with every change of a mutable copy */
    struct params_store *store;  /* panels and where they come from */
};

/* Vectors are read now, matrices on demand. The weights must outlive the params. A tensor that is
 * missing, has another shape than the config says, or does not belong to a GPT-2 block is an error. */
int params_open(struct params **out, const struct config *cfg, const struct weights *w,
    struct pool *pool, struct err *e);
void params_release(struct params **p);
/* The packed panels of a matrix; packs it first if this is its first use. Thread-safe, but not from
 * inside pool_for: packing runs on the pool. */
const struct panel *params_panel(const struct params *p, enum matrix m, int layer, struct err *e);
/* Packs everything now (bench, and before a long run). */
int params_pack_all(const struct params *p, struct err *e);
/* Row `token` of wte [C], widened. Thread-safe anywhere. */
int params_embed(float *out, const struct params *p, int64_t token, struct err *e);
/* What is wrong with the weights that were used so far, "h.3.mlp.c_fc.weight holds 12 values that are not
 * finite, the first at [5, 7]"; NULL: nothing. Of several tensors the first that was used. */
const char *params_fault(const struct params *p);
uint64_t params_bytes(const struct params *p);      /* resident now */
uint64_t params_full_bytes(const struct params *p); /* when every matrix is packed */
/* Names tensors of the file that the model does not use (as transformers, it runs without them). */
int params_check(
    char *note, size_t n, const struct config *cfg, const struct weights *w, struct err *e);

/* ---- Mutable copies: training and loss landscapes ---- */

/* Every parameter as row-major F32, shapes as stored by GPT-2, in one block `flat` in slot order;
 * slots begin at multiples of 16 elements, the gaps stay 0. */
struct param_arrays {
    struct layer_vectors *layer;   /* [L] */
    float **qkv, **o, **in, **out; /* [L]: [C, 3C], [C, C], [C, F], [F, C] */
    float *wte, *wpe;              /* [V, C], [n_ctx, C] */
    float *unembed;                /* [V, C], NULL when tied */
    float *lnf_g, *lnf_b;          /* [C] */
    float *flat;                   /* all of them, [count]; a slot begins at slot.at */
    int64_t count;
};
int param_arrays_init(/* zeros */
    struct param_arrays *a, const struct config *cfg, struct arena *arena, struct err *e);

/* The tensors in file order: wte, wpe, the blocks, ln_f, lm_head (untied only). */
struct param_slot {
    char name[48]; /* "h.3.attn.c_attn.weight" */
    int layer;     /* -1: not in a block */
    int rank;
    int64_t dim[2], count, at; /* at: its first element in `flat` */
    bool matrix;               /* rank 2 or an embedding: what weight decay applies to */
    bool gamma;                /* LINEAR: the file's value is this times the gain */
};
int param_slots(const struct config *cfg); /* how many */
void param_slot(struct param_slot *out, const struct config *cfg, int i);

/* A copy that owns F32 masters; p's file or masters are read. */
int params_clone_f32(struct params **out, const struct params *p, struct pool *pool, struct err *e);
/* A fresh GPT-2: matrices and embeddings normal(0, init_std), attn.c_proj and mlp.c_proj weights over
 * sqrt(2 L), gammas 1, the rest 0. Slot i is stream i of the seed. */
int params_init_random(
    struct params **out, const struct config *cfg, uint64_t seed, struct pool *pool, struct err *e);
/* The masters of a mutable copy, NULL for others; p's own vectors point into them. After changing
 * them call params_changed, while nobody reads p: panels in use are packed anew. */
struct param_arrays *params_arrays(struct params *p);
int params_changed(struct params *p, struct err *e);
/* folder/config.json and folder/model.safetensors, each replaced atomically. Matrices in `dtype`
 * (F32, F16, BF16), vectors of an LN-free model F32. Metadata as in weights_save. */
int params_save(const char *folder, const struct params *p, enum dtype dtype, const char *metadata,
    struct err *e);

#endif
