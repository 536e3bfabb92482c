#include <string.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* The two products of a backward pass, from the same panels and tiles as the forward one. Sums over
 * N (over M for weights) run in TILE_K pieces in order, whatever the threads. */

#define PAD (TILE_K + 16)

/* Before the last piece: where the sums of a tile will be stored. */
static void fetch_outputs(const float *c, int64_t ldc, int rows, int64_t width)
{
    for (int r = 0; r < rows; r++)
        for (int64_t x = 0; x < width; x += 16)
            __builtin_prefetch(c + r * ldc + x, 1);
}

/* dA = dC W^T. A block is MC rows by GROUP_T panels of dA's columns; for each piece of N, W's part
 * is transposed into small panels while the part after it is on its way from memory. */

#define MC 264
#define GROUP_T 8

struct gemm_t {
    const struct kernels *kern;
    float *da;
    int64_t lda;
    const float *dc;
    int64_t ldc, m;
    const struct panel *w;
    bool accumulate;
    int64_t row_blocks, group;
    int max_rows; /* of a tile */
};

static const char *weight_at(const struct panel *w, int64_t k, int64_t n)
{
    return (const char *)w->data + (size_t)(n * w->k + k * w->width) * dtype_bytes(w->dtype);
}

/* bt: panels [ceil(nk / width)][nn][width] of W[k0 .. k0 + nk, n0 .. n0 + nn] transposed. */
static void transpose_piece(
    float *bt, const struct gemm_t *g, int64_t k0, int64_t nk, int64_t n0, int64_t nn)
{
    _Alignas(64) float wide[PANEL_W_MAX * PANEL_W_MAX];
    const struct panel *w = g->w;
    const int64_t width = g->kern->width;
    for (int64_t n = n0; n < n0 + nn; n += w->width) {
        int64_t cols = n0 + nn - n < w->width ? n0 + nn - n : w->width;
        for (int64_t k = 0; k < nk; k += width) {
            int64_t rows = nk - k < width ? nk - k : width;
            const char *src = weight_at(w, k0 + k, n);
            const float *f = (const void *)src;
            float *dst = bt + k * nn + (n - n0) * width;
            if (w->dtype != DT_F32) {
                g->kern->widen(wide, src, w->dtype, rows * w->width);
                f = wide;
            }
            if (rows < width)
                memset(dst, 0, (size_t)(cols * width) * sizeof *dst);
            g->kern->transpose(dst, width, f, w->width, rows, cols);
        }
    }
}

/* Part i of n of W[k0 .. k0 + nk, n0 .. n0 + nn], which lies in runs of nk rows. */
static const char *part_at(
    const struct gemm_t *g, int64_t k0, int64_t nk, int64_t n0, int64_t nn, int64_t i, int64_t n)
{
    const struct panel *w = g->w;
    const int64_t run = nk * w->width * (int64_t)dtype_bytes(w->dtype);
    const int64_t at = (nn + w->width - 1) / w->width * run * i / n;
    return weight_at(w, k0, n0 + at / run * w->width) + at % run;
}

static void gemm_t_block(void *arg, int64_t i, int worker)
{
    const struct gemm_t *g = arg;
    const struct panel *w = g->w;
    _Alignas(64) float bt[GROUP_T * TILE_K * PANEL_W_MAX], acc[MC * GROUP_T * PANEL_W_MAX];
    const int64_t width = g->kern->width, ldacc = g->group * width, row = i % g->row_blocks;
    const int64_t r0 = g->m * row / g->row_blocks;
    const int64_t rows = g->m * (row + 1) / g->row_blocks - r0;
    const int64_t k0 = i / g->row_blocks * ldacc, nk = w->k - k0 < ldacc ? w->k - k0 : ldacc;
    const int step = tile_split(rows, g->max_rows);
    const int64_t parts = (nk + width - 1) / width * ((rows + step - 1) / step);
    const int64_t bytes = nk * (int64_t)dtype_bytes(w->dtype) / parts;
    (void)worker;
    for (int64_t n = 0; n < w->n; n += TILE_K) {
        int64_t nn = w->n - n < TILE_K ? w->n - n : TILE_K, part = 0;
        int64_t next = w->n - n - nn < TILE_K ? w->n - n - nn : TILE_K;
        const float *dc = g->dc + r0 * g->ldc + n;
        transpose_piece(bt, g, k0, nk, n, nn);
        for (int64_t k = 0; k < nk; k += width)
            for (int64_t r = 0; r < rows; r += step) {
                int nr = rows - r < step ? (int)(rows - r) : step;
                const char *ahead = part_at(g, k0, nk, n + nn, next, part++, parts);
                if (!next)
                    fetch_outputs(g->da + (r0 + r) * g->lda + k0 + k, g->lda, nr, width);
                g->kern->tile[0][nr - 1](acc + r * ldacc + k, ldacc, dc + r * g->ldc, g->ldc,
                    bt + k * nn, width, nn, n > 0, ahead, bytes);
            }
    }
    float *da = g->da + r0 * g->lda + k0;
    struct tile_out o = {.c = da, .ldc = g->lda};
    if (g->accumulate) {
        o.add = da;
        o.ld_add = g->lda;
    }
    g->kern->store(&o, acc, ldacc, (int)rows, (int)nk);
}

void ops_gemm_t(float *da, int64_t lda, const float *dc, int64_t ldc, int64_t m,
    const struct panel *w, bool accumulate, struct pool *pool)
{
    if (m <= 0 || w->k <= 0)
        return;
    struct gemm_t g = {.kern = kernels_get(),
        .da = da,
        .lda = lda,
        .dc = dc,
        .ldc = ldc,
        .m = m,
        .w = w,
        .accumulate = accumulate};
    const int64_t panels = (w->k + g.kern->width - 1) / g.kern->width;
    g.row_blocks = (m + MC - 1) / MC;
    g.max_rows = tile_rows(g.kern, ldc);
    g.group = split_group(panels * g.row_blocks, GROUP_T, pool);
    pool_for(pool, (panels + g.group - 1) / g.group * g.row_blocks, gemm_t_block, &g);
}

/* dW += A^T dC. A block is KB rows of dW by GROUP panels of its columns, over all of M: A's piece is
 * transposed and dC's rows are dealt out to small panels, so that both are read in order. */

#define KB 192
#define GROUP 8

struct gemm_grad {
    const struct kernels *kern;
    float *dw;
    int64_t ldw;
    const float *a;
    int64_t lda;
    const float *dc;
    int64_t ldc, m, k, n, k_blocks;
};

static void deal_rows(
    float *b, const struct gemm_grad *g, int64_t m, int64_t nm, int64_t n0, int64_t cols)
{
    const int64_t width = g->kern->width;
    for (int64_t r = 0; r < nm; r++)
        for (int64_t n = 0; n < cols; n += width) {
            int64_t nc = cols - n < width ? cols - n : width;
            float *d = b + n * TILE_K + r * width;
            memcpy(d, g->dc + (m + r) * g->ldc + n0 + n, (size_t)nc * sizeof *d);
            if (nc < width)
                memset(d + nc, 0, (size_t)(width - nc) * sizeof *d);
        }
}

static void grad_block(void *arg, int64_t i, int worker)
{
    const struct gemm_grad *g = arg;
    _Alignas(64) float at[KB * PAD], b[GROUP * TILE_K * PANEL_W_MAX], acc[KB * GROUP * PANEL_W_MAX];
    const int64_t width = g->kern->width, kb = i % g->k_blocks, ldacc = GROUP * width;
    const int64_t k0 = g->k * kb / g->k_blocks, rows = g->k * (kb + 1) / g->k_blocks - k0;
    const int64_t n0 = i / g->k_blocks * ldacc, cols = g->n - n0 < ldacc ? g->n - n0 : ldacc;
    const int step = tile_split(rows, g->kern->rows);
    (void)worker;
    for (int64_t m = 0; m < g->m; m += TILE_K) {
        int64_t nm = g->m - m < TILE_K ? g->m - m : TILE_K;
        g->kern->transpose(at, PAD, g->a + m * g->lda + k0, g->lda, nm, rows);
        deal_rows(b, g, m, nm, n0, cols);
        for (int64_t n = 0; n < cols; n += width)
            for (int64_t r = 0; r < rows; r += step) {
                int nr = rows - r < step ? (int)(rows - r) : step;
                if (m + nm == g->m)
                    fetch_outputs(g->dw + (k0 + r) * g->ldw + n0 + n, g->ldw, nr, width);
                g->kern->tile[0][nr - 1](acc + r * ldacc + n, ldacc, at + r * PAD, PAD,
                    b + n * TILE_K, width, nm, m > 0, (const char *)b, 0);
            }
    }
    float *dw = g->dw + k0 * g->ldw + n0;
    struct tile_out o = {.c = dw, .ldc = g->ldw, .add = dw, .ld_add = g->ldw};
    g->kern->store(&o, acc, ldacc, (int)rows, (int)cols);
}

void ops_gemm_grad(float *dw, int64_t ldw, const float *a, int64_t lda, const float *dc,
    int64_t ldc, int64_t m, int64_t k, int64_t n, struct pool *pool)
{
    if (m <= 0 || k <= 0 || n <= 0)
        return;
    struct gemm_grad g = {kernels_get(), dw, ldw, a, lda, dc, ldc, m, k, n, (k + KB - 1) / KB};
    const int64_t columns = GROUP * g.kern->width;
    pool_for(pool, (n + columns - 1) / columns * g.k_blocks, grad_block, &g);
}
