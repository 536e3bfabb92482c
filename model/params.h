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

/* Vectors are read now, matrices on demand. The weights must outlive the params. */
int params_open(struct params **out, const struct config *cfg, const struct weights *w,
    struct pool *pool, struct err *e);
void params_release(struct params **p);
/* The packed panels of a matrix; packs it first if this is its first use. Thread-safe. */
const struct panel *params_panel(const struct params *p, enum matrix m, int layer, struct err *e);
/* Packs everything now (bench, and before a long run). */
int params_pack_all(const struct params *p, struct err *e);
/* Row `token` of wte [C], widened. */
int params_embed(float *out, const struct params *p, int64_t token, struct err *e);
uint64_t params_bytes(const struct params *p); /* resident now */

#endif
