#ifndef SONDE_KERNELS_PARTS_H
#define SONDE_KERNELS_PARTS_H

#include "model/kernels/kernels.h"
#include "model/kernels/simd.h"

/* The functions of one kernel set, spread over gemm.c, act.c and rows.c and gathered in table.c. */
extern const tile_fn KERNEL(tiles_F32)[TILE_ROWS];
extern const tile_fn KERNEL(tiles_F16)[TILE_ROWS];
extern const tile_fn KERNEL(tiles_BF16)[TILE_ROWS];
void KERNEL(store)(const struct tile_out *o, float *acc, int64_t ldacc, int rows, int cols);
void KERNEL(transpose)(
    float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t cols);
void KERNEL(widen)(float *out, const void *in, enum dtype t, int64_t n);
double KERNEL(fma_loop)(int64_t n, double *flops);
double KERNEL(read_loop)(const float *x, int64_t n);

void KERNEL(act)(
    float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols, enum act act);
void KERNEL(act_grad)(float *dx, const float *dy, const float *x, int64_t n, enum act act);
void KERNEL(exp)(float *y, const float *x, int64_t n);

void KERNEL(moments)(double *mean, double *ss, const float *x, int64_t n);
void KERNEL(ln)(float *y, const float *x, float mean, float inv, const float *gamma,
    const float *beta, int64_t n);
void KERNEL(ln_grad)(float *dx, const float *dy, const float *x, float mean, float inv,
    const float *gamma, int64_t n, bool live, bool accumulate);
void KERNEL(ln_grad_columns)(float *dgamma, float *dbeta, const float *dy, int64_t lddy,
    const float *x, int64_t ldx, const float *mean, const float *inv, int64_t rows, int64_t n);
void KERNEL(row_out)(float *dst, const float *src, int64_t n, int64_t total, float fill);
void KERNEL(fence)(void);
void KERNEL(softmax)(
    float *p, const float *s, float scale, int64_t n, int64_t pad, float *scaled, int64_t total);
void KERNEL(softmax_grad)(float *ds, const float *p, const float *dp, int64_t n, int64_t pad);
void KERNEL(axpy)(float *y, const float *x, float a, int64_t n);
bool KERNEL(max)(float *max, const float *x, int64_t n);
void KERNEL(exp_sums)(double *sum, double *dot, const float *x, float max, int64_t n);
void KERNEL(shift)(float *out, const float *x, double by, int64_t n);
double KERNEL(kl)(const float *logp, const float *logq, int64_t n);
int64_t KERNEL(count_above)(const float *x, float v, int64_t n);
int64_t KERNEL(count_equal)(const float *x, float v, int64_t n);
int64_t KERNEL(find_above)(const float *x, float v, int64_t from, int64_t n);
int64_t KERNEL(find_equal)(const float *x, float v, int64_t n);

#endif
