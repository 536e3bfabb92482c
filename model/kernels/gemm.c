#include "model/kernels/parts.h"

/* clang takes the locality as a literal only. */
ALWAYS_INLINE void fetch_ahead(const char *at, const bool near)
{
    if (near)
        __builtin_prefetch(at, 0, 3);
    else
        __builtin_prefetch(at, 0, 2);
}

/* The accumulators live in registers: rows * NV of them, plus NV of the panel and one broadcast. */
ALWAYS_INLINE void tile(const int rows, const enum dtype t, const bool stream, float *restrict c,
    int64_t ldc, const float *restrict a, int64_t lda, const void *restrict b, int64_t ldb,
    int64_t k, bool add, const char *ahead, int64_t ahead_step)
{
    vf acc[TILE_ROWS][NV];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < NV; v++)
            acc[r][v] = vset1(0.0f);
    }
    for (int64_t i = 0; i < k; i++) {
        vf w[NV];
        UNROLL
        for (int v = 0; v < NV; v++)
            w[v] = vload_as(b, i * ldb + v * VL, t);
        /* A thin tile alone waits for memory and wants it in L1; others stream through L2. */
        fetch_ahead(ahead, stream);
        if (PANEL_W * (t == DT_F32 ? 4 : 2) > 64)
            fetch_ahead(ahead + 64, stream);
        ahead += ahead_step;
        UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = vset1(a[r * lda + i]);
            UNROLL
            for (int v = 0; v < NV; v++)
                acc[r][v] = vfma(x, w[v], acc[r][v]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < NV; v++) {
            float *p = c + r * ldc + v * VL;
            vf sum = acc[r][v];
            if (add)
                sum = sum + vload(p);
            vstore(p, sum);
        }
    }
}

#define TILE(R, T)                                                                                 \
    static void tile_##T##_##R(float *c, int64_t ldc, const float *a, int64_t lda, const void *b,  \
        int64_t ldb, int64_t k, bool add, const char *ahead, int64_t step)                         \
    {                                                                                              \
        const int64_t row = PANEL_W * (DT_##T == DT_F32 ? 4 : 2);                                  \
        if ((R) <= 4 && step == row)                                                               \
            tile(R, DT_##T, true, c, ldc, a, lda, b, ldb, k, add, ahead, step);                    \
        else                                                                                       \
            tile(R, DT_##T, false, c, ldc, a, lda, b, ldb, k, add, ahead, step);                   \
    }
#if TILE_ROWS == 12
#define EACH_ROWS(X, T)                                                                            \
    X(1, T)                                                                                        \
    X(2, T) X(3, T) X(4, T) X(5, T) X(6, T) X(7, T) X(8, T) X(9, T) X(10, T) X(11, T) X(12, T)
#elif TILE_ROWS == 6
#define EACH_ROWS(X, T) X(1, T) X(2, T) X(3, T) X(4, T) X(5, T) X(6, T)
#else
#define EACH_ROWS(X, T) X(1, T) X(2, T) X(3, T)
#endif
#define NAME(R, T) tile_##T##_##R,
#define TILES(T)                                                                                   \
    EACH_ROWS(TILE, T)                                                                             \
    const tile_fn KERNEL(tiles_##T)[TILE_ROWS] = {EACH_ROWS(NAME, T)};
TILES(F32)
TILES(F16)
TILES(BF16)

void KERNEL(store)(const struct tile_out *o, float *acc, int64_t ldacc, int rows, int cols)
{
    const int64_t ld_pre = o->pre ? o->ld_pre : 0, ld_add = o->add ? o->ld_add : 0;
    for (int r = 0; r < rows; r++) {
        float *s = acc + r * ldacc, *d = o->use_act ? s : o->c + r * o->ldc;
        const float *add = o->add && !o->use_act ? o->add + r * ld_add : NULL;
        for (int j = 0; j < cols; j += VL) {
            int n = cols - j;
            vf x = vload(s + j);
            if (o->bias)
                x = x + vload_upto(o->bias + j, n, 0.0f);
            if (o->pre)
                vstore_upto(o->pre + r * ld_pre + j, x, n);
            if (add)
                x = x + vload_upto(add + j, n, 0.0f);
            vstore_upto(d + j, x, n);
        }
    }
    if (!o->use_act)
        return;
    KERNEL(act)(o->add ? acc : o->c, o->add ? ldacc : o->ldc, acc, ldacc, rows, cols, o->act);
    for (int r = 0; o->add && r < rows; r++)
        for (int j = 0; j < cols; j += VL) {
            vf x = vload_upto(acc + r * ldacc + j, cols - j, 0.0f);
            x = x + vload_upto(o->add + r * ld_add + j, cols - j, 0.0f);
            vstore_upto(o->c + r * o->ldc + j, x, cols - j);
        }
}

void KERNEL(transpose)(
    float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t cols)
{
    vf v[VL];
    for (int64_t i = 0; i < rows; i += VL)
        for (int64_t j = 0; j < cols; j += VL) {
            const float *s = src + i * lds + j;
            float *d = dst + j * ldd + i;
            int64_t nr = rows - i < VL ? rows - i : VL, nc = cols - j < VL ? cols - j : VL;
            if (nr == VL && nc == VL) {
                UNROLL
                for (int x = 0; x < VL; x++)
                    v[x] = vload(s + x * lds);
                vtranspose(v);
                UNROLL
                for (int x = 0; x < VL; x++)
                    vstore(d + x * ldd, v[x]);
                continue;
            }
            for (int x = 0; x < VL; x++)
                v[x] = x < nr ? vload_n(s + x * lds, nc, 0.0f) : vset1(0.0f);
            vtranspose(v);
            for (int x = 0; x < nc; x++)
                vstore_n(d + x * ldd, v[x], nr);
        }
}

void KERNEL(widen)(float *out, const void *in, enum dtype t, int64_t n)
{
    int64_t i = 0;
    if (t == DT_F16)
        for (; i + VL <= n; i += VL)
            vstore(out + i, vload_f16((const uint16_t *)in + i));
    else if (t == DT_BF16)
        for (; i + VL <= n; i += VL)
            vstore(out + i, vload_bf16((const uint16_t *)in + i));
    tensor_widen(out + i, (const char *)in + i * (int64_t)dtype_bytes(t), t, n - i);
}

/* Enough independent chains to keep every unit busy, nothing from memory. */
double KERNEL(fma_loop)(int64_t n, double *flops)
{
    vf acc[12], x = vset1(0.999f), y = vset1(1e-3f);
    /* Starts that no compiler can see through: it would fold a chain at its fixed point. */
    UNROLL
    for (int r = 0; r < 12; r++)
        acc[r] = vset1((float)r + (float)n * 1e-9f);
    for (int64_t i = 0; i < n; i++) {
        UNROLL
        for (int r = 0; r < 12; r++)
            acc[r] = vfma(acc[r], x, y);
    }
    vf s = acc[0];
    UNROLL
    for (int r = 1; r < 12; r++)
        s = s + acc[r];
    *flops = 2.0 * VL * 12 * (double)n;
    return vsum(s);
}

double KERNEL(read_loop)(const float *x, int64_t n)
{
    vf s[8];
    UNROLL
    for (int v = 0; v < 8; v++)
        s[v] = vset1(0.0f);
    for (int64_t i = 0; i + 8 * VL <= n; i += 8 * VL) {
        UNROLL
        for (int v = 0; v < 8 * VL; v += 16)
            __builtin_prefetch(x + i + v + 4096);
        UNROLL
        for (int v = 0; v < 8; v++)
            s[v] = s[v] + vload(x + i + v * VL);
    }
    UNROLL
    for (int v = 1; v < 8; v++)
        s[0] = s[0] + s[v];
    return vsum(s[0]);
}
