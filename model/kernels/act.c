#include "model/kernels/parts.h"
#include "model/kernels/vmath.h"

ALWAYS_INLINE void act_rows(const enum act act, float *y, int64_t ldy, const float *x, int64_t ldx,
    int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t j = 0;
        for (; j + VL <= cols; j += VL)
            vstore(y + r * ldy + j, vact(act, vload(x + r * ldx + j)));
        if (j < cols)
            vstore_n(
                y + r * ldy + j, vact(act, vload_n(x + r * ldx + j, cols - j, 0.0f)), cols - j);
    }
}

ALWAYS_INLINE void slope_row(
    const enum act act, float *dx, const float *dy, const float *x, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        vstore(dx + j, vload(dy + j) * vact_slope(act, vload(x + j)));
    if (j < n) {
        vf s = vact_slope(act, vload_n(x + j, n - j, 0.0f));
        vstore_n(dx + j, vload_n(dy + j, n - j, 0.0f) * s, n - j);
    }
}

/* One loop an activation: the switch stands outside it. */
#define X(id, name)                                                                                \
    static void act_##id(                                                                          \
        float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols)            \
    {                                                                                              \
        act_rows(ACT_##id, y, ldy, x, ldx, rows, cols);                                            \
    }                                                                                              \
    static void slope_##id(float *dx, const float *dy, const float *x, int64_t n)                  \
    {                                                                                              \
        slope_row(ACT_##id, dx, dy, x, n);                                                         \
    }
ACTS(X)
#undef X

static void (*const acts[ACT_COUNT])(float *, int64_t, const float *, int64_t, int64_t, int64_t) = {
#define X(id, name) act_##id,
    ACTS(X)
#undef X
};

static void (*const slopes[ACT_COUNT])(float *, const float *, const float *, int64_t) = {
#define X(id, name) slope_##id,
    ACTS(X)
#undef X
};

void KERNEL(act)(
    float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t cols, enum act act)
{
    acts[act](y, ldy, x, ldx, rows, cols);
}

void KERNEL(act_grad)(float *dx, const float *dy, const float *x, int64_t n, enum act act)
{
    slopes[act](dx, dy, x, n);
}

void KERNEL(exp)(float *y, const float *x, int64_t n)
{
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        vstore(y + j, vexp(vload(x + j)));
    if (j < n)
        vstore_n(y + j, vexp(vload_n(x + j, n - j, 0.0f)), n - j);
}
