#include <string.h>

#include "analysis/eap.h"
#include "model/core/linalg.h"

/* Circuits by exact ablation of edges: in a clean run each reader gets, for every cut edge, what the
 * cut edge carries minus the writer's output in this very run. Jobs are inputs of one batch. */

#define RESERVE_SLACK ((size_t)1 << 16) /* alignment of the pieces, small lists */

struct wiring {
    const struct eap *x;
    struct wired *jobs;
    int n;
    int64_t *offset; /* [n + 1] rows */
    float **d;       /* [n][T, writers, C] other - this run's output, where it is known by now */
    float **cut;     /* [n][readers, writers] 1: cut */
    uint8_t **any;   /* [n][readers] some edge is cut */
    int rc;
    struct err *e;
};

/* One reader kind of one input: rows [T, heads, C] += cut [heads, parents] d [T, parents, C]. */
struct feed {
    struct wiring *w;
    const float *d, *cut;
    float *data;
    int64_t heads, parents;
};

static void feed_row(void *arg, int64_t t, int worker)
{
    (void)worker;
    struct feed *f = arg;
    const struct graph *g = f->w->x->graph;
    int64_t C = g->width;
    struct err e = {0};
    if (linalg_sgemm(f->data + t * f->heads * C, C, false, false, f->heads, C, f->parents, 1,
            f->cut, g->writers, f->d + t * g->writers * C, C, 1, &e) &&
        !__atomic_exchange_n(&f->w->rc, e.code, __ATOMIC_RELAXED))
        *f->w->e = e;
}

static int feed(struct wiring *w, int input, int64_t reader, int64_t heads, float *data, int64_t T)
{
    const struct graph *g = w->x->graph;
    bool any = false;
    for (int64_t h = 0; h < heads; h++)
        any = any || w->any[input][reader + h];
    if (!any)
        return 0;
    struct feed f = {
        w, w->d[input], w->cut[input] + reader * g->writers, data, heads, graph_parents(g, reader)};
    pool_for(w->x->ctx->pool, T, feed_row, &f);
    return w->rc;
}

/* d := other - what the writer puts out now. */
static void put(
    struct wiring *w, int input, int64_t writer, int64_t writers, const float *data, int64_t rows)
{
    const struct graph *g = w->x->graph;
    int64_t C = g->width, n = writers * C;
    const float *other = w->jobs[input].other + writer * C;
    float *d = w->d[input] + writer * C;
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < n; c++)
            d[t * g->writers * C + c] = other[t * g->writers * C + c] - data[t * n + c];
}

static int on_site(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    struct wiring *w = arg;
    const struct graph *g = w->x->graph;
    (void)width;
    switch ((int)s) {
    case SITE_EMBED:
        put(w, input, 0, 1, data, rows);
        return 0;
    case SITE_RESULT:
        put(w, input, graph_head(g, layer, 0), g->heads, data, rows);
        return 0;
    case SITE_MLP_OUT:
        put(w, input, graph_mlp(g, layer), 1, data, rows);
        return 0;
    case SITE_Q_INPUT:
    case SITE_K_INPUT:
    case SITE_V_INPUT:
        return feed(
            w, input, graph_head_in(g, layer, 0, (int)s - SITE_Q_INPUT), g->heads, data, rows);
    case SITE_MLP_IN:
        return feed(w, input, graph_mlp_in(g, layer), 1, data, rows);
    default:
        return feed(w, input, graph_logits(g), 1, data, rows);
    }
}

uint64_t wiring_bytes(const struct eap *x, int64_t T)
{
    const struct config *cfg = &x->ctx->model->cfg;
    uint64_t C = (uint64_t)cfg->d_model, writers = (uint64_t)x->graph->writers;
    uint64_t row = (writers + 6 * (uint64_t)cfg->n_head + 20) * C * sizeof(float);
    return row * (uint64_t)T + writers * (uint64_t)x->graph->readers * sizeof(float);
}

static int prepare(struct wiring *w)
{
    const struct graph *g = w->x->graph;
    struct arena *a = w->x->ctx->arena;
    size_t n = (size_t)w->n, cells = (size_t)(g->writers * g->readers);
    /* In one piece of one size: the next batch takes it again, whatever the lengths of its prompts. */
    int64_t rows = 0;
    for (int i = 0; i < w->n; i++)
        rows += w->jobs[i].item->pair->clean->n;
    rows = rows > WIRING_ROWS ? rows : WIRING_ROWS;
    if (arena_reserve(a,
            (size_t)(rows * g->writers * g->width) * sizeof(float) + n * 5 * cells + RESERVE_SLACK,
            w->e))
        return ERR_LIMIT;
    w->offset = arena_array(a, n + 1, sizeof *w->offset, w->e);
    w->d = arena_array(a, n, sizeof *w->d, w->e);
    w->cut = arena_array(a, n, sizeof *w->cut, w->e);
    w->any = arena_array(a, n, sizeof *w->any, w->e);
    if (!w->offset || !w->d || !w->cut || !w->any)
        return ERR_LIMIT;
    w->offset[0] = 0;
    for (int i = 0; i < w->n; i++) {
        const struct wired *job = &w->jobs[i];
        int64_t T = job->item->pair->clean->n;
        w->offset[i + 1] = w->offset[i] + T;
        w->d[i] = arena_array(a, (size_t)(T * g->writers * g->width), sizeof(float), w->e);
        w->cut[i] = arena_array(a, cells, sizeof(float), w->e);
        w->any[i] = arena_zalloc(a, (size_t)g->readers, w->e);
        if (!w->d[i] || !w->cut[i] || !w->any[i])
            return ERR_LIMIT;
        for (int64_t v = 0; v < g->readers; v++)
            for (int64_t u = 0; u < g->writers; u++) {
                const int64_t at = u * g->readers + v;
                bool cut = u < graph_parents(g, v) &&
                           (job->kept ? (job->kept[at] != 0) == job->complement : at == job->edge);
                w->cut[i][v * g->writers + u] = cut;
                w->any[i][v] |= cut;
            }
    }
    return 0;
}

/* Metrics of the batch. */
static int measure(struct wiring *w, const struct trace *t)
{
    for (int i = 0; i < w->n; i++) {
        const struct input *in = w->jobs[i].item->pair->clean;
        struct metric_at at = w->jobs[i].item->at;
        double *value = &w->jobs[i].value;
        struct metric m = {w->x->kind, &at, 1};
        at.input = i;
        if (w->x->kind != METRIC_LOSS) {
            if (metric_value(value, NULL, &m, t, w->e))
                return w->e->code;
            continue;
        }
        *value = 0;
        for (int64_t p = 0; p + 1 < in->n; p++) {
            struct row_stats st;
            const float *z = trace_logits(t, i, p);
            ops_row_stats(&st, z, w->x->ctx->model->cfg.vocab);
            *value += (st.lse - (double)z[in->tokens[p + 1]]) / (double)(in->n - 1);
        }
    }
    return 0;
}

static int on_progress(void *arg, double done, double total)
{
    const struct ctx *ctx = arg;
    (void)done;
    (void)total;
    return ctx->progress ? ctx->progress(ctx->progress_arg, 0, 1) : 0;
}

static int run(struct wiring *w)
{
    struct ctx *ctx = w->x->ctx;
    const struct config *cfg = &ctx->model->cfg;
    static const enum site sites[] = {SITE_EMBED, SITE_RESULT, SITE_MLP_OUT, SITE_Q_INPUT,
        SITE_K_INPUT, SITE_V_INPUT, SITE_MLP_IN, SITE_RESID_POST};
    enum { SITES = sizeof sites / sizeof *sites };
    struct hook hooks[SITES];
    struct plan plan;
    for (int i = 0; i < SITES; i++)
        hooks[i] = (struct hook){sites[i], -1, on_site, w};
    hooks[SITES - 1].layer = cfg->n_layer - 1;
    if (prepare(w) || plan_init(&plan, cfg, ctx->arena, w->e))
        return w->e->code;
    int32_t *tokens = arena_array(ctx->arena, (size_t)w->offset[w->n], sizeof *tokens, w->e);
    if (!tokens)
        return ERR_LIMIT;
    plan.logits = LOGITS_LAST;
    for (int i = 0; i < w->n; i++) {
        const struct eap_item *it = w->jobs[i].item;
        memcpy(tokens + w->offset[i], it->pair->clean->tokens,
            (size_t)it->pair->clean->n * sizeof *tokens);
        if (w->x->kind == METRIC_LOSS || it->at.pos + 1 != it->pair->clean->n)
            plan.logits = LOGITS_ALL;
    }
    struct forward_opts o = {.plan = &plan,
        .edits = ctx->edits,
        .hooks = hooks,
        .n_hooks = SITES,
        .is_part = true,
        .pool = ctx->pool,
        .progress = on_progress,
        .progress_arg = ctx,
        .max_bytes = ctx->max_bytes};
    struct trace t;
    int rc = forward(&t, ctx->params, &(struct batch){tokens, w->offset, w->n}, &o, w->e);
    if (!rc)
        rc = measure(w, &t);
    trace_release(&t);
    return rc;
}

int wiring_run(struct wired *jobs, int n, const struct eap *x, struct err *e)
{
    struct wiring w = {.x = x, .jobs = jobs, .n = n, .e = e};
    struct arena_mark mark = arena_mark(x->ctx->arena);
    e->code = 0;
    int rc = linalg_open(e);
    if (!rc)
        rc = run(&w);
    arena_rewind(x->ctx->arena, mark);
    return rc;
}
