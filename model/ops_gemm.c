#include <string.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* C = A W over packed panels. Work is cut into blocks of rows x groups of panels; how it is cut
 * changes nothing in the numbers, because tiles always run over the same K pieces in order. */

#define MC 132       /* rows of a block */
#define GROUP 8      /* panels whose sums are stored together */
#define STORE_ROWS 4 /* stored together: an activation finds them in L1 */
#define AHEAD 16384  /* bytes fetched ahead of a stream */
#define CLASH_ROWS 8 /* of a tile whose rows share cache sets: the ways of an L1 cache */

struct gemm {
    const struct kernels *kern;
    float *c;
    int64_t ldc;
    const float *a;
    int64_t lda, m;
    const struct panel *w;
    const struct epilogue *ep;
    int64_t n0, n1, panels, row_blocks, group;
    int max_rows; /* of a tile */
};

int tile_split(int64_t rows, int max)
{
    int64_t tiles = (rows + max - 1) / max;
    return (int)((rows + tiles - 1) / tiles);
}

int tile_rows(const struct kernels *k, int64_t ld)
{
    return ld % 512 == 0 && k->rows > CLASH_ROWS ? CLASH_ROWS : k->rows;
}

int64_t split_group(int64_t panels, int64_t most, const struct pool *pool)
{
    int64_t tasks = 4 * pool_threads(pool), group = (panels + tasks - 1) / tasks;
    return group < most ? group : most;
}

void copy_rows(float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(dst + r * ldd, src + r * lds, (size_t)n * sizeof *dst);
}

static const void *panel_at(const struct panel *w, int64_t panel, int64_t k)
{
    return (const char *)w->data + (size_t)((panel * w->k + k) * w->width) * dtype_bytes(w->dtype);
}

int dtype_slot(enum dtype t)
{
    return t == DT_F16 ? 1 : t == DT_BF16 ? 2 : 0;
}

/* Stores sums of panels [p0, p1), a few rows at a time: whole runs of a row go out together. */
static void finish(const struct gemm *g, float *acc, int64_t ldacc, int64_t row, int64_t rows,
    int64_t p0, int64_t p1)
{
    const int64_t col = p0 * g->w->width, end = p1 * g->w->width;
    const int cols = (int)((end < g->n1 - g->n0 ? end : g->n1 - g->n0) - col);
    const struct epilogue none = {0}, *ep = g->ep ? g->ep : &none;
    for (int64_t r = 0; r < rows; r += STORE_ROWS) {
        const int64_t at = row + r;
        const struct tile_out o = {.c = g->c + at * g->ldc + col,
            .ldc = g->ldc,
            .bias = ep->bias ? ep->bias + col : NULL,
            .use_act = ep->use_act,
            .act = ep->act,
            .pre = ep->pre ? ep->pre + at * ep->ld_pre + col : NULL,
            .ld_pre = ep->ld_pre,
            .add = ep->add ? ep->add + at * ep->ld_add + col : NULL,
            .ld_add = ep->ld_add};
        g->kern->store(
            &o, acc + r * ldacc, ldacc, (int)(rows - r < STORE_ROWS ? rows - r : STORE_ROWS), cols);
    }
}

/* Before the last K piece: where sums will be stored, and what will be added to them. A store that
 * misses the cache costs as much as a tile's worth of arithmetic. */
static void fetch_outputs(const struct gemm *g, int64_t row, int64_t rows, int64_t panel)
{
    const int64_t width = g->w->width, col = panel * width;
    const struct epilogue *ep = g->ep;
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t x = col; x < col + width; x += 16) {
            __builtin_prefetch(g->c + r * g->ldc + x, 1);
            if (ep && ep->add && ep->add != g->c)
                __builtin_prefetch(ep->add + r * ep->ld_add + x, 0, 2);
            if (ep && ep->pre)
                __builtin_prefetch(ep->pre + r * ep->ld_pre + x, 1);
        }
}

/* Rows [row, row + rows) against one K piece of one panel. Each tile fetches its share of `next`,
 * the piece that comes after this one, so that memory and arithmetic overlap evenly. */
static void run_piece(const struct gemm *g, float *acc, int64_t ldacc, int64_t row, int64_t rows,
    int64_t panel, int64_t k, const char *next)
{
    const struct panel *w = g->w;
    const tile_fn *tiles = g->kern->tile[dtype_slot(w->dtype)];
    const int64_t nk = w->k - k < TILE_K ? w->k - k : TILE_K;
    const int64_t count = (rows + g->max_rows - 1) / g->max_rows;
    const int64_t share = w->width * (int64_t)dtype_bytes(w->dtype) / count;
    const char *b = panel_at(w, g->n0 / w->width + panel, k);
    for (int64_t i = 0; i < count; i++, next += share * nk) {
        /* Cut evenly: a thin last tile would wait for its own sums. */
        const int64_t r = rows * i / count, n = rows * (i + 1) / count - r;
        if (k + nk == w->k)
            fetch_outputs(g, row + r, n, panel);
        tiles[n - 1](acc + r * ldacc, ldacc, g->a + (row + r) * g->lda + k, g->lda, b, w->width, nk,
            k > 0, next, share);
    }
}

/* One block: each panel is one stream from memory, met by all rows of the block piece by piece. */
static void gemm_block(void *arg, int64_t i, int worker)
{
    _Alignas(64) float acc[MC * GROUP * PANEL_W_MAX];
    const struct gemm *g = arg;
    const struct panel *w = g->w;
    const int64_t width = w->width, base = g->n0 / width;
    const int64_t row = i % g->row_blocks, r0 = g->m * row / g->row_blocks;
    const int64_t rows = g->m * (row + 1) / g->row_blocks - r0;
    const int64_t p0 = i / g->row_blocks * g->group;
    const int64_t p1 = p0 + g->group < g->panels ? p0 + g->group : g->panels;
    (void)worker;
    for (int64_t p = p0, end; p < p1; p = end) {
        end = p + GROUP < p1 ? p + GROUP : p1;
        const int64_t ldacc = (end - p) * width;
        for (int64_t x = p; x < end; x++)
            for (int64_t k = 0; k < w->k; k += TILE_K) {
                /* A single tile uses the stream as fast as it comes. */
                const char *next =
                    rows <= g->max_rows
                        ? (const char *)panel_at(w, base + x, k) + AHEAD
                        : panel_at(w, base + x, k + TILE_K < w->k ? k + TILE_K : w->k);
                run_piece(g, acc + (x - p) * width, ldacc, r0, rows, x, k, next);
            }
        finish(g, acc, ldacc, r0, rows, p, end);
    }
}

void ops_gemm(float *c, int64_t ldc, const float *a, int64_t lda, int64_t m, const struct panel *w,
    int64_t n0, int64_t n1, const struct epilogue *ep, struct pool *pool)
{
    if (m <= 0 || n1 <= n0 || w->k <= 0)
        return;
    struct gemm g = {.kern = kernels_get(),
        .c = c,
        .ldc = ldc,
        .a = a,
        .lda = lda,
        .m = m,
        .w = w,
        .ep = ep,
        .n0 = n0,
        .n1 = n1,
        .panels = (n1 - n0 + w->width - 1) / w->width,
        .row_blocks = (m + MC - 1) / MC,
        .max_rows = tile_rows(kernels_get(), lda)};
    g.group = split_group(g.panels * g.row_blocks, m <= MC ? g.panels : GROUP, pool);
    if (m * w->k * (n1 - n0) < 50000)
        pool = NULL;
    pool_for(pool, (g.panels + g.group - 1) / g.group * g.row_blocks, gemm_block, &g);
}

struct gemm_cols {
    const struct kernels *kern;
    float *out;
    int64_t ldo;
    const float *a;
    int64_t lda, m;
    const struct panel *w;
    const int32_t *idx;
    int n;
};

/* Columns idx[j0 ..] are gathered into one small panel, K piece by K piece. */
static void cols_block(void *arg, int64_t i, int worker)
{
    const struct gemm_cols *g = arg;
    const struct panel *w = g->w;
    _Alignas(64) float b[TILE_K * PANEL_W_MAX], acc[MC * PANEL_W_MAX];
    const int64_t width = g->kern->width, row_blocks = (g->m + MC - 1) / MC;
    const int64_t r0 = g->m * (i % row_blocks) / row_blocks;
    const int64_t rows = g->m * (i % row_blocks + 1) / row_blocks - r0;
    const int64_t j0 = i / row_blocks * width, bytes = (int64_t)dtype_bytes(w->dtype);
    const int cols = g->n - j0 < width ? (int)(g->n - j0) : (int)width;
    const int step = tile_split(rows, g->kern->rows);
    (void)worker;
    memset(b, 0, sizeof b);
    memset(acc, 0, sizeof acc);
    for (int64_t k = 0; k < w->k; k += TILE_K) {
        int64_t nk = w->k - k < TILE_K ? w->k - k : TILE_K;
        for (int j = 0; j < cols; j++) {
            int64_t col = g->idx[j0 + j];
            const char *src = panel_at(w, col / w->width, k);
            src += col % w->width * bytes;
            for (int64_t x = 0; x < nk; x++)
                tensor_widen(b + x * width + j, src + x * w->width * bytes, w->dtype, 1);
        }
        for (int64_t r = 0; r < rows; r += step) {
            int nr = rows - r < step ? (int)(rows - r) : step;
            g->kern->tile[0][nr - 1](acc + r * width, width, g->a + (r0 + r) * g->lda + k, g->lda,
                b, width, nk, k > 0, (const char *)b, 0);
        }
    }
    struct tile_out o = {.c = g->out + r0 * g->ldo + j0, .ldc = g->ldo};
    g->kern->store(&o, acc, width, (int)rows, cols);
}

void ops_gemm_cols(float *out, int64_t ldo, const float *a, int64_t lda, int64_t m,
    const struct panel *w, const int32_t *idx, int n, struct pool *pool)
{
    if (m <= 0 || n <= 0)
        return;
    struct gemm_cols g = {kernels_get(), out, ldo, a, lda, m, w, idx, n};
    int64_t blocks = (n + g.kern->width - 1) / g.kern->width * ((m + MC - 1) / MC);
    pool_for(pool, blocks, cols_block, &g);
}
