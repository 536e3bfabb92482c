#ifndef SONDE_KERNELS_H
#define SONDE_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/tensor.h"

/* What an instruction set must provide; the ops above it are written once. Behind the ops: nothing
 * outside model/ops*.c and its tests includes this. */

#define TILE_K 256 /* one fused chain of this many products; the chains are added in order */
#define TILE_ROWS_MAX 12
#define PANEL_W_MAX 32

/* c [rows, width] (+)= a [rows, k] b [k, width], k <= TILE_K, each element one chain from zero. b's
 * rows are ldb elements apart. `ahead` is memory to fetch meanwhile, `ahead_step` bytes a k. */
typedef void (*tile_fn)(float *c, int64_t ldc, const float *a, int64_t lda, const void *b,
    int64_t ldb, int64_t k, bool add, const char *ahead, int64_t ahead_step);

struct tile_out { /* the epilogue of one tile; pointers stand at its first element */
    float *c;
    int64_t ldc;
    const float *bias;
    float *pre;
    int64_t ld_pre;
    bool use_act;
    enum act act;
    const float *add;
    int64_t ld_add;
};

struct kernels {
    const char *name;
    int width, rows;        /* of a panel and of the largest tile */
    const tile_fn *tile[3]; /* F32, F16, BF16; [rows - 1] */
    void (*store)(const struct tile_out *o, float *acc, int64_t ldacc, int rows, int cols);
    /* dst[j * ldd + i] = src[i * lds + j] */
    void (*transpose)(
        float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t cols);
    void (*widen)(float *out, const void *in, enum dtype t, int64_t n);

    void (*act)(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols,
        enum act act);
    void (*act_grad)(float *dx, const float *dy, const float *x, int64_t n, enum act act);
    void (*exp)(float *y, const float *x, int64_t n);

    /* mean and sum of squared deviations of a row, in fp64 */
    void (*moments)(double *mean, double *ss, const float *x, int64_t n);
    void (*ln)(float *y, const float *x, float mean, float inv, const float *gamma,
        const float *beta, int64_t n);
    void (*ln_grad)(float *dx, const float *dy, const float *x, float mean, float inv,
        const float *gamma, int64_t n, bool live, bool accumulate);
    /* dgamma[n] += sum over rows dy * (x - mean) * inv, dbeta[n] += sum dy */
    void (*ln_grad_columns)(float *dgamma, float *dbeta, const float *dy, int64_t lddy,
        const float *x, int64_t ldx, const float *mean, const float *inv, int64_t rows, int64_t n);

    /* dst = src[n] and `fill` up to total; long rows go past the caches, for data that nobody reads
     * soon: fence() before another thread does */
    void (*row_out)(float *dst, const float *src, int64_t n, int64_t total, float fill);
    void (*fence)(void);
    /* p = softmax(scale * s) over n values, zeros up to pad; scaled[total] (may be NULL) gets
     * scale * s and -inf, as row_out writes them */
    void (*softmax)(float *p, const float *s, float scale, int64_t n, int64_t pad, float *scaled,
        int64_t total);
    /* ds = p * (dp - sum p dp), zeros up to pad */
    void (*softmax_grad)(float *ds, const float *p, const float *dp, int64_t n, int64_t pad);
    void (*axpy)(float *y, const float *x, float a, int64_t n); /* y += a x */

    bool (*max)(float *max, const float *x, int64_t n); /* true: there is a NaN */
    /* sum of e = exp(x - max), and of e * (x - max), in fp64 */
    void (*exp_sums)(double *sum, double *dot, const float *x, float max, int64_t n);
    void (*shift)(float *out, const float *x, double by, int64_t n); /* x - by */
    double (*kl)(const float *logp, const float *logq, int64_t n);
    int64_t (*count_above)(const float *x, float v, int64_t n);
    int64_t (*count_equal)(const float *x, float v, int64_t n);
    /* first index >= from that is not <= v (a NaN is one), n if none */
    int64_t (*find_above)(const float *x, float v, int64_t from, int64_t n);
    int64_t (*find_equal)(const float *x, float v, int64_t n);

    double (*fma_loop)(int64_t n, double *flops); /* the peak */
    double (*read_loop)(const float *x, int64_t n);
};

extern const struct kernels kernels_generic;
#ifdef SONDE_X86_KERNELS
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

/* The set chosen at start. */
const struct kernels *kernels_get(void);
/* Every set this machine can run, best first; NULL ends the list. For tests. */
const struct kernels *const *kernels_all(void);
void kernels_use(const struct kernels *k); /* tests only */

#endif
