#include <string.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* The two products of a backward pass, from the same panels and tiles as the forward one. */

#define MC 132
#define PAD (TILE_K + 16)

struct gemm_t {
    const struct kernels *kern;
    float *da;
    int64_t lda;
    const float *dc;
    int64_t ldc, m;
    const struct panel *w;
    bool accumulate;
    int64_t row_blocks;
};

/* bt [nn, width] = W[k0 .. k0 + nk, n0 .. n0 + nn] transposed; W is read panel by panel. */
static void transpose_piece(
    float *bt, const struct gemm_t *g, int64_t k0, int64_t nk, int64_t n0, int64_t nn)
{
    _Alignas(64) float wide[PANEL_W_MAX * PANEL_W_MAX];
    const struct panel *w = g->w;
    for (int64_t n = n0; n < n0 + nn; n += w->width) {
        int64_t cols = n0 + nn - n < w->width ? n0 + nn - n : w->width;
        const char *src =
            (const char *)w->data + (size_t)(n * w->k + k0 * w->width) * dtype_bytes(w->dtype);
        const float *f = (const void *)src;
        if (w->dtype != DT_F32) {
            g->kern->widen(wide, src, w->dtype, nk * w->width);
            f = wide;
        }
        g->kern->transpose(bt + (n - n0) * g->kern->width, g->kern->width, f, w->width, nk, cols);
    }
}

static void gemm_t_block(void *arg, int64_t i, int worker)
{
    const struct gemm_t *g = arg;
    const struct panel *w = g->w;
    _Alignas(64) float bt[TILE_K * PANEL_W_MAX], acc[MC * PANEL_W_MAX], copy[MC * PAD];
    const int64_t width = g->kern->width, row = i % g->row_blocks;
    const int64_t r0 = g->m * row / g->row_blocks;
    const int64_t rows = g->m * (row + 1) / g->row_blocks - r0;
    const int64_t k0 = i / g->row_blocks * width;
    const int64_t nk = w->k - k0 < width ? w->k - k0 : width;
    const int step = tile_split(rows, g->kern->rows);
    const bool copy_dc = ld_conflicts(g->ldc);
    (void)worker;
    if (nk < width)
        memset(bt, 0, sizeof bt);
    for (int64_t n = 0; n < w->n; n += TILE_K) {
        int64_t nn = w->n - n < TILE_K ? w->n - n : TILE_K;
        const float *dc = g->dc + r0 * g->ldc + n;
        int64_t ldc = g->ldc;
        transpose_piece(bt, g, k0, nk, n, nn);
        if (copy_dc) {
            copy_rows(copy, PAD, dc, ldc, rows, nn);
            dc = copy;
            ldc = PAD;
        }
        for (int64_t r = 0; r < rows; r += step) {
            int nr = rows - r < step ? (int)(rows - r) : step;
            g->kern->tile[0][nr - 1](acc + r * width, width, dc + r * ldc, ldc, bt, width, nn,
                n > 0, (const char *)bt, 0);
        }
    }
    float *da = g->da + r0 * g->lda + k0;
    struct tile_out o = {.c = da, .ldc = g->lda};
    if (g->accumulate) {
        o.add = da;
        o.ld_add = g->lda;
    }
    g->kern->store(&o, acc, width, (int)rows, (int)nk);
}

void ops_gemm_t(float *da, int64_t lda, const float *dc, int64_t ldc, int64_t m,
    const struct panel *w, bool accumulate, struct pool *pool)
{
    if (m <= 0 || w->k <= 0)
        return;
    struct gemm_t g = {kernels_get(), da, lda, dc, ldc, m, w, accumulate, (m + MC - 1) / MC};
    pool_for(pool, (w->k + g.kern->width - 1) / g.kern->width * g.row_blocks, gemm_t_block, &g);
}

#define KB 96 /* rows of dW of a block */

struct gemm_grad {
    const struct kernels *kern;
    float *dw;
    int64_t ldw;
    const float *a;
    int64_t lda;
    const float *dc;
    int64_t ldc, m, k, n, k_blocks;
};

/* One block of KB rows by one panel's columns of dW, over all of M: A's piece is transposed and the
 * columns of dC are copied side by side, so that both are read in order. */
static void grad_block(void *arg, int64_t i, int worker)
{
    const struct gemm_grad *g = arg;
    _Alignas(64) float at[KB * PAD], b[TILE_K * PANEL_W_MAX], acc[KB * PANEL_W_MAX];
    const int64_t width = g->kern->width, kb = i % g->k_blocks;
    const int64_t k0 = g->k * kb / g->k_blocks, rows = g->k * (kb + 1) / g->k_blocks - k0;
    const int64_t n0 = i / g->k_blocks * width, cols = g->n - n0 < width ? g->n - n0 : width;
    const int step = tile_split(rows, g->kern->rows);
    (void)worker;
    if (cols < width)
        memset(b, 0, sizeof b);
    for (int64_t m = 0; m < g->m; m += TILE_K) {
        int64_t nm = g->m - m < TILE_K ? g->m - m : TILE_K;
        g->kern->transpose(at, PAD, g->a + m * g->lda + k0, g->lda, nm, rows);
        copy_rows(b, width, g->dc + m * g->ldc + n0, g->ldc, nm, cols);
        for (int64_t r = 0; r < rows; r += step) {
            int nr = rows - r < step ? (int)(rows - r) : step;
            g->kern->tile[0][nr - 1](
                acc + r * width, width, at + r * PAD, PAD, b, width, nm, m > 0, (const char *)b, 0);
        }
    }
    float *dw = g->dw + k0 * g->ldw + n0;
    struct tile_out o = {.c = dw, .ldc = g->ldw, .add = dw, .ld_add = g->ldw};
    g->kern->store(&o, acc, width, (int)rows, (int)cols);
}

void ops_gemm_grad(float *dw, int64_t ldw, const float *a, int64_t lda, const float *dc,
    int64_t ldc, int64_t m, int64_t k, int64_t n, struct pool *pool)
{
    if (m <= 0 || k <= 0 || n <= 0)
        return;
    struct gemm_grad g = {kernels_get(), dw, ldw, a, lda, dc, ldc, m, k, n, (k + KB - 1) / KB};
    pool_for(pool, (n + g.kern->width - 1) / g.kern->width * g.k_blocks, grad_block, &g);
}
