#ifndef SONDE_ANALYSIS_HEADS_H
#define SONDE_ANALYSIS_HEADS_H

#include "analysis/analysis.h"

/* The weight circuits of heads (Elhage et al. 2021): QK = W_Q W_K^T and OV = W_V W_O, [C, C] of rank
 * D, never formed. In the folded view LN gains are in the readers and writers are centred. */
struct head_matrices {
    float *q, *k, *v; /* [C, H * D]: head h has columns h D .. */
    float *o;         /* [H * D, C] */
};
int head_matrices_load(struct head_matrices *out, const struct ctx *ctx, int layer,
    struct arena *arena, struct err *e);

/* Sum of Re(lambda) over sum of |lambda| of OV's eigenvalues, score [L, H]; eigenvalues [L, H, D, 2]
 * (real, imaginary). With `tokens`, of the whole way from embedding to unembedding,
 * W_E W_V W_O W_U. */
int heads_copying(
    float *score, float *eigenvalues, const struct ctx *ctx, bool tokens, struct err *e);
/* Q, K and V composition of every pair of heads, with their random baseline: blocks. */
int heads_composition(const struct ctx *ctx, struct run *out, uint64_t seed, struct err *e);
/* The k leading singular directions of QK and OV, read through the vocabulary: blocks. */
int heads_singular(const struct ctx *ctx, struct run *out, int64_t k, struct err *e);
/* "L0H0", "L0H1", ... [L * H] */
const char **head_labels(const struct config *cfg, struct arena *arena, struct err *e);

#endif
