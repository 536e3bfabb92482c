#include "analysis/eap_score.h"

#include <string.h>

/* Scores are one product a layer, [3 H + 1, C] x [C, writers] a row, summed over rows; nothing is held
 * for an edge but its sum. Chunks of rows are summed in fp32, chunks in fp64 in their order, so that
 * scores do not depend on the number of threads. */

#define CHUNK_ROWS 16
#define SPLIT 4       /* tasks of a chunk */
#define DENSE_ROWS 32 /* whose differences are held as they are computed */

/* ---- Differences ---- */

struct results {
    float *d; /* [n, writers, C] */
    const float *dz;
    const struct panel *w_o;
    char *panel; /* a head's rows of W_O, `step` bytes a thread */
    size_t step;
    int64_t n, ld, D;
};

/* The head's rows lie together in every panel of W_O: a panel matrix of their own once they are side
 * by side. */
static void one_result(void *arg, int64_t h, int worker)
{
    const struct results *r = arg;
    const struct panel *w = r->w_o;
    struct panel own = {w->dtype, r->D, w->n, w->width, r->panel + (size_t)worker * r->step};
    const size_t row = (size_t)w->width * dtype_bytes(w->dtype), part = row * (size_t)r->D;
    for (int64_t p = 0; p < (w->n + w->width - 1) / w->width; p++)
        memcpy((char *)own.data + (size_t)p * part,
            (const char *)w->data + (size_t)(p * w->k + h * r->D) * row, part);
    ops_gemm(r->d + h * w->n, r->ld, r->dz + h * r->D, w->n, r->n, &own, 0, w->n,
        &(struct epilogue){0}, NULL);
}

struct site_rows {
    const struct writer_source *src;
    float *out;
    int64_t ld, r0;
    enum site site;
    int layer;
};

static void site_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct site_rows *x = arg;
    x->src->rows(x->src->arg, x->out + i * x->ld, x->ld, x->r0 + i, 1, x->site, x->layer);
}

int writers_fill(float *d, const struct eap *x, const struct writer_source *src, int64_t r0,
    int64_t n, struct err *e)
{
    const struct graph *g = x->graph;
    const struct params *p = x->ctx->params;
    struct arena *arena = x->ctx->arena;
    int64_t C = p->cfg.d_model, ld = g->writers * C;
    struct arena_mark mark = arena_mark(arena);
    float *dz = arena_array(arena, (size_t)(n * C), sizeof *dz, e);
    struct results r = {NULL, dz, NULL, NULL, 0, n, ld, p->cfg.d_head};
    r.step = (panel_bytes(DT_F32, p->cfg.d_head, C) + 63) & ~(size_t)63;
    r.panel = arena_array(arena, (size_t)pool_threads(x->ctx->pool), r.step, e);
    if (!dz || !r.panel)
        return ERR_LIMIT;
    struct pool *pool = x->ctx->pool;
    pool_for(pool, n, site_row, &(struct site_rows){src, d, ld, r0, SITE_EMBED, -1});
    for (int l = 0; l < g->layers; l++) {
        r.w_o = params_panel(p, MAT_O, l, e);
        if (!r.w_o)
            return e->code;
        pool_for(pool, n, site_row, &(struct site_rows){src, dz, C, r0, SITE_Z, l});
        r.d = d + graph_head(g, l, 0) * C;
        pool_for(pool, g->heads, one_result, &r);
        pool_for(pool, n, site_row,
            &(struct site_rows){src, d + graph_mlp(g, l) * C, ld, r0, SITE_MLP_OUT, l});
    }
    arena_rewind(arena, mark);
    return 0;
}

static struct panel at_step(const struct panel *first, size_t step, int64_t i)
{
    struct panel p = *first;
    p.data = (char *)p.data + (size_t)i * step;
    return p;
}

struct packing {
    const struct scorer *s;
    float *dense; /* [rows, writers, C] from live row `first` on */
    int64_t first;
};

static void pack_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct packing *x = arg;
    struct panel p = at_step(&x->s->d, x->s->d_step, x->first + i);
    for (int64_t u = 0; u < p.n; u++) {
        float *d = x->dense + (i * p.n + u) * p.k;
        double sum[4] = {0};
        int64_t c = 0;
        for (; c + 4 <= p.k; c += 4)
            for (int k = 0; k < 4; k++)
                sum[k] += (double)d[c + k];
        for (; c < p.k; c++)
            sum[0] += (double)d[c];
        const float mean = (float)((sum[0] + sum[1] + sum[2] + sum[3]) / (double)p.k);
        for (c = 0; c < p.k; c++)
            d[c] -= mean;
    }
    panel_pack_cols(&p, x->dense + i * p.n * p.k, 0, p.n);
}

/* Packed once for all layers, less their mean over C: behind a LayerNorm it changes nothing. */
static int pack(struct scorer *s, const struct writer_source *src)
{
    struct arena *a = s->x->ctx->arena;
    const int64_t rows = s->live_at[s->n];
    struct arena_mark mark = arena_mark(a);
    float *dense = arena_array(a, (size_t)(DENSE_ROWS * s->d.n * s->d.k), sizeof *dense, s->e);
    if (!dense)
        return ERR_LIMIT;
    for (int64_t r = 0; r < rows; r += DENSE_ROWS) {
        int64_t n = rows - r < DENSE_ROWS ? rows - r : DENSE_ROWS;
        struct packing how = {s, dense, r};
        if (writers_fill(dense, s->x, src, r, n, s->e))
            return s->e->code;
        pool_for(s->x->ctx->pool, n, pack_row, &how);
    }
    arena_rewind(a, mark);
    return 0;
}

/* ---- Scores ---- */

uint64_t scorer_row_bytes(const struct eap *x)
{
    return (uint64_t)x->graph->writers * (uint64_t)x->graph->width * sizeof(float);
}

int scorer_init(struct scorer *s, const struct eap *x, struct eap_item *items, int n,
    const int64_t *live_at, const struct writer_source *src, struct err *e)
{
    struct arena *a = x->ctx->arena;
    const struct graph *g = x->graph;
    const int64_t C = g->width, rows = live_at[n];
    const size_t cells = (size_t)(g->writers * g->readers);
    *s = (struct scorer){
        .x = x, .items = items, .n = n, .live_at = live_at, .cols = 3 * g->heads + 1, .e = e};
    for (int i = 0; i < n; i++) {
        s->chunks += (live_at[i + 1] - live_at[i] + CHUNK_ROWS - 1) / CHUNK_ROWS;
        if (!(items[i].score = arena_zalloc(a, cells * sizeof(double), e)))
            return ERR_LIMIT;
    }
    s->d = (struct panel){DT_F32, C, g->writers, panel_width(), NULL};
    s->d_step = (panel_bytes(DT_F32, C, g->writers) + 63) & ~(size_t)63;
    const int64_t more = x->live_most - rows;
    const bool has_room = more > 0 && (size_t)more * s->d_step < budget_left(x->ctx->budget) / 4;
    s->d.data = arena_array(a, (size_t)(rows + (has_room ? more : 0)), s->d_step, e);
    for (size_t i = 0; s->d.data && has_room && i < (size_t)more * s->d_step; i += 4096)
        ((char *)s->d.data)[(size_t)rows * s->d_step + i] = 0;
    s->chunk = arena_array(a, (size_t)s->chunks + 1, sizeof *s->chunk, e);
    s->grad = arena_array(a, (size_t)(SCORER_ROWS * s->cols * C), sizeof *s->grad, e);
    int64_t most = s->chunks < SCORER_ROWS ? s->chunks : SCORER_ROWS;
    most = most * s->cols > rows ? most * s->cols : rows; /* the logits: a column a row */
    s->part = arena_array(a, (size_t)(most * g->writers), sizeof *s->part, e);
    if (!s->d.data || !s->chunk || !s->grad || !s->part)
        return ERR_LIMIT;
    int64_t c = 0;
    for (int i = 0; i < n; i++)
        for (int64_t r = live_at[i]; r < live_at[i + 1]; r += CHUNK_ROWS)
            s->chunk[c++] = r;
    s->chunk[c] = rows;
    return pack(s, src);
}

/* One block of chunks against the first `writers` writers. */
struct block {
    struct scorer *s;
    int64_t c0, writers;
};

static void score_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const struct block *b = arg;
    const struct scorer *s = b->s;
    const struct panel *d = &s->d;
    const int64_t c = b->c0 + task / SPLIT, part = task % SPLIT, width = d->width;
    const int64_t panels = (b->writers + width - 1) / width;
    const int64_t n0 = panels * part / SPLIT * width, n1 = panels * (part + 1) / SPLIT * width;
    float *out = s->part + (c - b->c0) * s->cols * d->n + n0;
    for (int64_t r = s->chunk[c]; r < s->chunk[c + 1] && n0 < n1; r++) {
        const struct panel at = at_step(d, s->d_step, r);
        struct epilogue ep = {.add = r > s->chunk[c] ? out : NULL, .ld_add = d->n};
        ops_gemm(out, d->n, s->grad + (r - s->chunk[b->c0]) * s->cols * d->k, d->k, s->cols, &at,
            n0, n1 < d->n ? n1 : d->n, &ep, NULL);
    }
}

static int item_of(const struct scorer *s, int64_t row)
{
    int i = 0;
    while (s->live_at[i + 1] <= row)
        i++;
    return i;
}

int scorer_layer(struct scorer *s, int layer, grad_fn fill, void *arg)
{
    const struct graph *g = s->x->graph;
    const int64_t first = graph_head_in(g, layer, 0, 0), V = g->readers;
    const int64_t heads = graph_parents(g, first); /* the MLP reads its own layer's heads too */
    const int64_t writers = graph_parents(g, graph_mlp_in(g, layer));
    for (int64_t c0 = 0, c1; c0 < s->chunks; c0 = c1) {
        const int64_t r0 = s->chunk[c0];
        for (c1 = c0 + 1; c1 < s->chunks && s->chunk[c1 + 1] - r0 <= SCORER_ROWS;)
            c1++;
        if (fill(arg, layer, r0, s->chunk[c1] - r0, s->grad))
            return s->e->code;
        struct block b = {s, c0, writers};
        pool_for(s->x->ctx->pool, (c1 - c0) * SPLIT, score_task, &b);
        for (int64_t c = c0; c < c1; c++) {
            double *score = s->items[item_of(s, s->chunk[c])].score;
            const float *part = s->part + (c - c0) * s->cols * s->d.n;
            for (int64_t u = 0; u < writers; u++)
                for (int64_t j = u < heads ? 0 : s->cols - 1; j < s->cols; j++)
                    score[u * V + first + j] += (double)part[j * s->d.n + u];
        }
    }
    return 0;
}

struct logits {
    struct scorer *s;
    const float *g;
    const int64_t *row;
};

static void logits_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct logits *x = arg;
    const struct panel d = at_step(&x->s->d, x->s->d_step, x->row ? x->row[i] : i);
    ops_gemm(
        x->s->part + i * d.n, d.n, x->g + i * d.k, d.k, 1, &d, 0, d.n, &(struct epilogue){0}, NULL);
}

int scorer_logits(struct scorer *s, const float *g, const int64_t *row, int64_t n)
{
    const struct graph *graph = s->x->graph;
    struct logits x = {s, g, row};
    pool_for(s->x->ctx->pool, n, logits_row, &x);
    for (int64_t i = 0; i < n; i++) {
        double *score = s->items[item_of(s, row ? row[i] : i)].score;
        for (int64_t u = 0; u < graph->writers; u++)
            score[u * graph->readers + graph_logits(graph)] +=
                (double)s->part[i * graph->writers + u];
    }
    return 0;
}
