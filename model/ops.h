#ifndef SONDE_MODEL_OPS_H
#define SONDE_MODEL_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/err.h"
#include "model/core/parallel.h"
#include "model/core/tensor.h"

/* The arithmetic of the engine. Every op has a plain twin in ops_ref.h and a test that holds the two
 * together. All matrices are row-major with a row stride (ld) in elements. Each output element is
 * accumulated over K in one order that depends on K alone, so results are bitwise equal whatever the
 * number of threads, rows or prompts (docs/ARCHITECTURE.md, "one order"). */

/* A weight matrix W [K, N] packed once: [ceil(N / width)][K][width], zero-filled at the right edge,
 * in the file's own precision (F32, F16 or BF16) and widened in the tile. */
struct panel {
    enum dtype dtype;
    int64_t k, n;
    int width;
    void *data; /* panel_bytes() long, 64-byte aligned, owned by whoever allocated it */
};

int panel_width(void); /* of this machine's kernel set */
size_t panel_bytes(enum dtype t, int64_t k, int64_t n);
/* Packs rows [k0, k0 + nk) of W from a dense [nk, N] piece in the panel's dtype. */
void panel_pack_rows(struct panel *p, const void *w, int64_t k0, int64_t nk);
/* Packs columns [n0, n0 + nn) of W from a dense [nn, K] piece: for W = wte^T, K = C. n0 must be a
 * multiple of the width; different column ranges may be packed at the same time. */
void panel_pack_cols(struct panel *p, const void *wt, int64_t n0, int64_t nn);
/* out[n] = row k of W, out[k] = column n of W; widened to F32. */
void panel_row(float *out, const struct panel *p, int64_t k);
void panel_col(float *out, const struct panel *p, int64_t n);

/* What happens to a product before it is stored, in this order. */
struct epilogue {
    const float *bias; /* [N] or NULL */
    bool use_act;      /* C = act(A W + bias) */
    enum act act;
    float *pre; /* receives A W + bias if it is not NULL */
    int64_t ld_pre;
    const float *add; /* added last: the residual stream, [M, N], or NULL; may be C itself */
    int64_t ld_add;
};

/* C [M, n1 - n0] = epilogue(A [M, K] W[:, n0:n1]). n0 must be a multiple of the panel's width; n1 a
 * multiple or N. bias, pre, add and C are indexed from column n0. */
void ops_gemm(float *c, int64_t ldc, const float *a, int64_t lda, int64_t m, const struct panel *w,
    int64_t n0, int64_t n1, const struct epilogue *ep, struct pool *pool);
/* dA [M, K] (+)= dC [M, N] W^T: the same panels, transposed piece by piece in cache. */
void ops_gemm_t(float *da, int64_t lda, const float *dc, int64_t ldc, int64_t m,
    const struct panel *w, bool accumulate, struct pool *pool);
/* dW [K, N] += A^T [K, M] dC [M, N]: both operands are packed piece by piece, the same tiles. */
void ops_gemm_grad(float *dw, int64_t ldw, const float *a, int64_t lda, const float *dc,
    int64_t ldc, int64_t m, int64_t k, int64_t n, struct pool *pool);
/* out [M, N] for columns idx[N] of W only: gathered logits. */
void ops_gemm_cols(float *out, int64_t ldo, const float *a, int64_t lda, int64_t m,
    const struct panel *w, const int32_t *idx, int n, struct pool *pool);

/* y [M, C] = (x - mean) / s * gamma + beta with s = sqrt(mean((x - mean)^2) + eps); LINEAR: s = 1.
 * scale [M] receives s, or supplies it when `frozen` (LN with cached scale). gamma and beta may be
 * NULL (1 and 0). */
struct ln {
    enum ln_kind kind;
    double eps;
    const float *gamma, *beta; /* [C] */
    bool frozen;
};
void ops_ln(float *y, int64_t ldy, float *scale, const float *x, int64_t ldx, int64_t m, int64_t c,
    const struct ln *ln, struct pool *pool);
/* dx [M, C] (+)= VJP of ops_ln; dgamma, dbeta [C] are accumulated where they are not NULL. A frozen
 * scale contributes no gradient: the formula is in backward_ln.c. */
void ops_ln_grad(float *dx, int64_t lddx, float *dgamma, float *dbeta, const float *dy,
    int64_t lddy, const float *x, int64_t ldx, const float *scale, int64_t m, int64_t c,
    const struct ln *ln, bool accumulate, struct pool *pool);

/* y = act(x), and dx = dy * act'(x), over n values; the output may be an input. */
void ops_act(float *y, const float *x, int64_t n, enum act act, struct pool *pool);
void ops_act_grad(
    float *dx, const float *dy, const float *x, int64_t n, enum act act, struct pool *pool);

/* Causal attention of packed sequences. Sequence i owns rows [offset[i], offset[i + 1]) of q, z
 * and, shifted by past[i] rows, of k and v. Rows are [H, D] with the given row strides. Queries of
 * sequence i stand at positions past[i] + 0, 1, ...; they see keys 0 .. their own position. */
struct attention {
    int heads, d_head;
    float scale; /* scores = q.k * scale */
    int n_seq;
    const int64_t *offset;                /* [n_seq + 1], query rows */
    const int64_t *past;                  /* [n_seq] keys before the first query, or NULL: none */
    const float *q, *const *k, *const *v; /* k[i], v[i]: first key row of sequence i */
    int64_t ldq, ldk, ldv;
    float *z;
    int64_t ldz;
    /* Written only where not NULL: [H, Tq, Tk] of sequence i, dense, Tk = past + Tq. Scores have
     * -inf above the diagonal, patterns 0. */
    float *const *scores, *const *pattern;
};
/* Never holds more than one block of query rows of scores per thread. */
int ops_attention(const struct attention *a, struct pool *pool, struct err *e);
/* The second half alone, for edited patterns: z = pattern v. */
int ops_attention_mix(const struct attention *a, struct pool *pool, struct err *e);
/* Attention of copies of one text that differ from it in a few rows (patching, circuits 2.3): they
 * read the text's keys and values where they are and bring their own for positions own .. own_end.
 * Queries stand at positions q0, q0 + 1, ... and see keys up to their own position. */
struct attention_lane {
    const float *q;             /* first query row */
    const float *own_k, *own_v; /* first own row, or NULL where own == own_end */
    float *z;                   /* first output row */
    int64_t q0, queries, own, own_end;
    int64_t ldq, ldk, ldv, ldz;
    int head; /* -1: every head; else this one alone, and all pointers stand at its first column */
};
struct attention_lanes {
    int heads, d_head;
    float scale;
    const float *k, *v; /* of the text [n, heads * d_head] */
    int64_t ldk, ldv, n;
    const struct attention_lane *lane;
    int64_t n_lanes;
};
int ops_attention_lanes(const struct attention_lanes *a, struct pool *pool, struct err *e);
/* pattern = softmax(scores) over each causal row, for edited scores. */
void ops_softmax_causal(float *pattern, const float *scores, int64_t rows, int64_t keys,
    int64_t past, struct pool *pool);
/* dq, dk, dv (added to) from dz; patterns are recomputed block by block unless given. dpattern and
 * dscores [H, Tq, Tk] of sequence i are written where not NULL; extra_dpattern and extra_dscores
 * (may be NULL) are added to the gradients on the way. */
struct attention_grad {
    const float *dz;
    float *dq, *const *dk, *const *dv; /* strides as q, k, v */
    const int64_t *skip; /* keys, at most past[i], that get no gradient: dk[i] and dv[i] stand at
                            the first that does; NULL: 0 */
    float *const *dpattern, *const *dscores;
    const float *const *extra_dpattern, *const *extra_dscores;
};
int ops_attention_grad(
    const struct attention *a, const struct attention_grad *g, struct pool *pool, struct err *e);

/* Rows of logits. lse = log sum exp, summed in fp64. A NaN counts as the largest value, here and in
 * ops_topk and ops_rank, so that it is seen; lse and entropy are then NaN. */
struct row_stats {
    double lse, entropy; /* nats */
    int32_t argmax;      /* lowest id on ties */
};
void ops_row_stats(struct row_stats *out, const float *logits, int64_t n);
/* log_softmax with an fp64 log-sum-exp; may be in place. */
void ops_log_softmax(float *out, const float *logits, int64_t n);
/* out = scale * exp(x - lse), which may be in place: scaled probabilities of a row of logits. */
void ops_probs(float *out, const float *logits, int64_t n, double lse, float scale);
/* KL(p || q) in nats from log-probabilities. */
double ops_kl(const float *logp, const float *logq, int64_t n);
/* The k largest, descending, lower id first on ties. */
void ops_topk(int32_t *ids, float *values, const float *x, int64_t n, int k);
/* Number of values strictly greater, ties broken by lower id. */
int64_t ops_rank(const float *x, int64_t n, int64_t id);

/* The kernel set chosen at start: "avx512", "avx2", "generic"; SONDE_KERNELS overrides. */
const char *ops_kernel_set(void);
/* Measured limits of this machine: fp32 FMA peak (GFLOP/s) and memory read (GB/s). */
double ops_peak_gflops(struct pool *pool);
double ops_read_gbs(struct pool *pool);

#endif
