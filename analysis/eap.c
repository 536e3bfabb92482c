#include "analysis/eap.h"

#include <math.h>
#include <string.h>

#include "model/backward.h"
#include "model/core/linalg.h"
#include "model/fold.h"

/* Scores are one product a layer, [writers, rows C] x [rows C, 3 H + 1], of deltas and gradients at
 * per-head inputs; neither is held for an edge. Rows before the first difference of a pair have no
 * delta and are left out. Chunks of rows are summed in fp32, chunks in fp64 in their order, so that
 * scores do not depend on the number of threads. */

#define CHUNK_ROWS 16
#define RUN_ROWS 512 /* of a batch of interpolated runs */
#define RUNS_MOST 64
#define PACKED_ROWS 64       /* rows of deltas held as they are computed */
#define KEPT_MOST (1u << 28) /* bytes of gradients kept before they are scored */

int eap_item_init(struct eap_item *out, const struct pair *p, enum metric_kind kind, int64_t pos,
    const struct ctx *ctx, struct err *e)
{
    int64_t T = p->clean->n;
    const bool is_diff = kind == METRIC_LOGIT_DIFF || kind == METRIC_PROB_DIFF;
    const bool is_free = kind == METRIC_LOSS || kind == METRIC_KL || kind == METRIC_ENTROPY;
    *out = (struct eap_item){.pair = p, .is_identity = T == p->corrupt->n};
    out->map = arena_array(ctx->arena, (size_t)T, sizeof *out->map, e);
    if (!out->map || pair_align(out->map, &out->first, p, false, ctx->model, e))
        return e->code;
    for (int64_t t = 0; t < T; t++)
        out->is_identity = out->is_identity && out->map[t] == t;
    if (!is_free && (!p->n_answer || (is_diff && !p->n_wrong)))
        return err_set(e, ERR_USAGE, "%s: the metric %s needs %s; give it, or --metric kl or loss",
            p->where, metric_name(kind),
            p->n_answer ? "a wrong answer (wrong_answer, --wrong)" : "an answer (--answer)");
    out->at = (struct metric_at){.pos = pos < 0 ? pos + T : pos,
        .answer = p->answer,
        .wrong = p->wrong,
        .n_answer = p->n_answer,
        .n_wrong = p->n_wrong};
    if (out->at.pos < 0 || out->at.pos >= T)
        return err_set(e, ERR_USAGE, "%s: --pos %lld: the clean prompt has positions 0 to %lld",
            p->where, (long long)pos, (long long)T - 1);
    out->at_corrupt = out->at;
    out->at_corrupt.pos = pos < 0 ? pos + p->corrupt->n : out->map[out->at.pos];
    if (out->at_corrupt.pos < 0)
        return err_set(e, ERR_USAGE,
            "%s: --pos %lld of the clean prompt has no counterpart in the corrupt one; align it",
            p->where, (long long)pos);
    return 0;
}

/* ---- Deltas ---- */

struct dense {
    float *out;
    const struct panel *w;
};

static void dense_row(void *arg, int64_t k, int worker)
{
    (void)worker;
    const struct dense *d = arg;
    panel_row(d->out + k * d->w->n, d->w, k);
}

int panel_dense(float *out, const struct panel *w, struct pool *pool)
{
    pool_for(pool, w->k, dense_row, &(struct dense){out, w});
    return 0;
}

void writers_plan(struct plan *p)
{
    plan_keep(p, SITE_EMBED, -1);
    plan_keep(p, SITE_Z, -1);
    plan_keep(p, SITE_MLP_OUT, -1);
}

/* out [n, C] with rows ldo apart: the difference of one site. */
static void site_diff(
    float *out, int64_t ldo, const struct writer_rows *w, enum site s, int layer, int64_t C)
{
    const float *a = w->from ? trace_site(w->from, s, layer, 0) : NULL;
    const float *b = w->minus ? trace_site(w->minus, s, layer, 0) : NULL;
    for (int64_t i = 0; i < w->n; i++) {
        float *o = out + i * ldo;
        if (w->a[i] < 0) {
            memset(o, 0, (size_t)C * sizeof *o);
            continue;
        }
        const float *x = a ? a + w->a[i] * C : NULL, *y = b ? b + w->b[i] * C : NULL;
        for (int64_t c = 0; c < C; c++)
            o[c] = (x ? x[c] : 0) - (y ? y[c] : 0);
    }
}

struct results {
    float *d; /* [n, writers, C] */
    const float *dz, *w_o;
    int64_t n, ld, C, D;
    int rc;
    struct err *e;
};

static void one_result(void *arg, int64_t h, int worker)
{
    (void)worker;
    struct results *r = arg;
    struct err e = {0};
    if (linalg_sgemm(r->d + h * r->C, r->ld, false, false, r->n, r->C, r->D, 1, r->dz + h * r->D,
            r->C, r->w_o + h * r->D * r->C, r->C, 0, &e) &&
        !__atomic_exchange_n(&r->rc, e.code, __ATOMIC_RELAXED))
        *r->e = e;
}

int writers_diff(float *d, const struct graph *g, const struct params *p,
    const struct writer_rows *w, struct pool *pool, struct arena *arena, struct err *e)
{
    int64_t C = p->cfg.d_model, ld = g->writers * C;
    struct arena_mark mark = arena_mark(arena);
    float *dz = arena_array(arena, (size_t)(w->n * C), sizeof *dz, e);
    float *w_o = arena_array(arena, (size_t)(C * C), sizeof *w_o, e);
    if (!dz || !w_o)
        return ERR_LIMIT;
    site_diff(d, ld, w, SITE_EMBED, -1, C);
    for (int l = 0; l < g->layers; l++) {
        const struct panel *o = params_panel(p, MAT_O, l, e);
        if (!o || panel_dense(w_o, o, pool))
            return e->code;
        site_diff(dz, C, w, SITE_Z, l, C);
        struct results r = {d + graph_head(g, l, 0) * C, dz, w_o, w->n, ld, C, p->cfg.d_head, 0, e};
        pool_for(pool, g->heads, one_result, &r);
        if (r.rc)
            return r.rc;
        site_diff(d + graph_mlp(g, l) * C, ld, w, SITE_MLP_OUT, l, C);
    }
    arena_rewind(arena, mark);
    return 0;
}

/* ---- A group of pairs under way ---- */

/* Gradients of interpolated runs at the live rows, kept until they are scored: the q, k, v of each run,
 * and sums over runs of what is linear. */
struct kept {
    int64_t n, room;        /* runs */
    float **dqkv, **x, **s; /* [L]: [room, R, 3C], [room, R, C], [room, R] */
    float **mlp, *last;     /* [L][R, C], [R, C] */
};

struct group {
    const struct eap *x;
    struct eap_item *items;
    int n;
    int64_t T, R;     /* rows of all clean prompts, and of these the live ones */
    int64_t *offset;  /* [n + 1] of clean prompts */
    int64_t *live_at; /* [n + 1] of live rows */
    int64_t *row;     /* [R] row of the clean batch */
    int64_t *other;   /* [R] row of the corrupt batch, -1: none */
    struct trace clean, corrupt;
    struct trace stand_in;    /* zeros or means, on the rows of the clean batch */
    const struct trace *repl; /* what replaces outputs: corrupt or stand_in */
    struct plan plan, want;
    struct panel d; /* [C, writers]: deltas of one live row, rows d_step bytes apart */
    size_t d_step;
    struct kept kept;
    float *w;            /* [C, 3C] of the layer being scored */
    struct panel w_head; /* [D, C]: W^T of one head's q, k or v; 3 H of them, w_step bytes apart */
    size_t w_step;
    int layer;
    int64_t chunks, *chunk; /* [chunks + 1] live rows */
    float **scratch;        /* [threads] */
    float *part;            /* [chunks, 3H + 1, writers] */
    /* The interpolated run under way. */
    enum site site;
    int site_layer;
    double t[RUNS_MOST]; /* of the runs of the batch */
    int runs;
    struct err *e;
};

static int64_t columns(const struct group *g)
{
    return 3 * g->x->graph->heads + 1;
}

static const struct config *config_of(const struct group *g)
{
    return &g->x->ctx->model->cfg;
}

static float *floats(struct group *g, int64_t n)
{
    return arena_array(g->x->ctx->arena, (size_t)n, sizeof(float), g->e);
}

static int64_t *ints(struct group *g, int64_t n)
{
    return arena_array(g->x->ctx->arena, (size_t)n, sizeof(int64_t), g->e);
}

/* Bytes that a run keeps for each live row. */
static uint64_t kept_bytes(const struct config *cfg)
{
    return (uint64_t)cfg->n_layer * (4 * (uint64_t)cfg->d_model + 1) * sizeof(float);
}

uint64_t eap_bytes(const struct eap *x, int64_t T)
{
    const struct config *cfg = &x->ctx->model->cfg;
    uint64_t writers = (uint64_t)x->graph->writers, C = (uint64_t)cfg->d_model;
    uint64_t runs = x->method == EAP                   ? 1
                    : x->method == EAP_CLEAN_CORRUPTED ? 2
                                                       : (uint64_t)x->steps;
    uint64_t row = writers * C * sizeof(float) + runs * kept_bytes(cfg) +
                   (uint64_t)cfg->n_layer * (40 * C + 8 * (uint64_t)cfg->d_mlp) * sizeof(float);
    return row * (uint64_t)T + writers * (uint64_t)x->graph->readers * sizeof(double);
}

/* Where the rows of the group lie. */
static int lay_out(struct group *g)
{
    int64_t corrupt_at = 0;
    g->offset = ints(g, g->n + 1);
    g->live_at = ints(g, g->n + 1);
    if (!g->offset || !g->live_at)
        return ERR_LIMIT;
    g->offset[0] = g->live_at[0] = g->chunks = 0;
    for (int i = 0; i < g->n; i++) {
        struct eap_item *it = &g->items[i];
        int64_t T = it->pair->clean->n;
        if (g->x->ablation != ABLATE_RESAMPLE)
            it->first = 0;
        if (it->first > T)
            it->first = T;
        g->offset[i + 1] = g->offset[i] + T;
        g->live_at[i + 1] = g->live_at[i] + T - it->first;
        g->chunks += (T - it->first + CHUNK_ROWS - 1) / CHUNK_ROWS;
    }
    g->T = g->offset[g->n];
    g->R = g->live_at[g->n];
    g->row = ints(g, g->R + 1);
    g->other = ints(g, g->R + 1);
    g->chunk = ints(g, g->chunks + 1);
    if (!g->row || !g->other || !g->chunk)
        return ERR_LIMIT;
    int64_t k = 0, c = 0;
    for (int i = 0; i < g->n; i++) {
        const struct eap_item *it = &g->items[i];
        for (int64_t t = it->first; t < it->pair->clean->n; t++, k++) {
            if ((t - it->first) % CHUNK_ROWS == 0)
                g->chunk[c++] = k;
            g->row[k] = g->offset[i] + t;
            g->other[k] = g->x->ablation != ABLATE_RESAMPLE ? g->row[k]
                          : it->map[t] < 0                  ? -1
                                                            : corrupt_at + it->map[t];
        }
        corrupt_at += it->pair->corrupt->n;
    }
    g->chunk[c] = k;
    return 0;
}

static int on_progress(void *arg, double done, double total)
{
    const struct ctx *ctx = arg;
    (void)done;
    (void)total;
    return ctx->progress ? ctx->progress(ctx->progress_arg, 0, 1) : 0;
}

static struct forward_opts forward_options(const struct group *g)
{
    struct ctx *ctx = g->x->ctx;
    return (struct forward_opts){.plan = &g->plan,
        .edits = ctx->edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = on_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
}

/* All clean or all corrupt prompts, and their metric. */
static int run_prompts(struct trace *t, struct group *g, bool corrupt)
{
    struct ctx *ctx = g->x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    int64_t rows = 0, *offset = ints(g, g->n + 1);
    for (int i = 0; i < g->n; i++)
        rows += corrupt ? g->items[i].pair->corrupt->n : g->items[i].pair->clean->n;
    int32_t *tokens = arena_array(ctx->arena, (size_t)rows, sizeof *tokens, g->e);
    if (!offset || !tokens)
        return ERR_LIMIT;
    offset[0] = 0;
    for (int i = 0; i < g->n; i++) {
        const struct input *in = corrupt ? g->items[i].pair->corrupt : g->items[i].pair->clean;
        memcpy(tokens + offset[i], in->tokens, (size_t)in->n * sizeof *tokens);
        offset[i + 1] = offset[i] + in->n;
    }
    struct forward_opts o = forward_options(g);
    int rc = forward(t, ctx->params, &(struct batch){tokens, offset, g->n}, &o, g->e);
    arena_rewind(ctx->arena, mark);
    return rc;
}

static int measure(struct group *g, const struct trace *t, bool corrupt)
{
    for (int i = 0; i < g->n; i++) {
        struct eap_item *it = &g->items[i];
        double *value = corrupt ? &it->corrupt : &it->clean;
        struct metric_at at = corrupt ? it->at_corrupt : it->at;
        at.input = i;
        if (g->x->kind == METRIC_LOSS) {
            const struct input *in = corrupt ? it->pair->corrupt : it->pair->clean;
            *value = 0;
            for (int64_t p = 0; p + 1 < in->n; p++) {
                struct row_stats st;
                const float *z = trace_logits(t, i, p);
                ops_row_stats(&st, z, config_of(g)->vocab);
                *value += (st.lse - (double)z[in->tokens[p + 1]]) / (double)(in->n - 1);
            }
            continue;
        }
        struct metric m = {g->x->kind, &at, 1};
        if (metric_value(value, NULL, &m, t, g->e))
            return g->e->code;
    }
    return 0;
}

/* The clean distribution, for kl. */
static int references(struct group *g)
{
    int64_t V = config_of(g)->vocab;
    for (int i = 0; i < g->n && g->x->kind == METRIC_KL; i++) {
        float *logp = floats(g, V);
        if (!logp)
            return ERR_LIMIT;
        ops_log_softmax(logp, trace_logits(&g->clean, i, g->items[i].at.pos), V);
        g->items[i].at.reference_logp = g->items[i].at_corrupt.reference_logp = logp;
    }
    return 0;
}

/* The folded view has moved the value biases out of z: its zero is b_V,eff here. */
static int zero_of_heads(float *x, struct group *g, int layer)
{
    const struct ctx *ctx = g->x->ctx;
    const int64_t C = config_of(g)->d_model;
    if (fold_value_bias(x, ctx->params, layer, ctx->pool, g->e))
        return g->e->code;
    for (int64_t r = 1; r < g->T; r++)
        memcpy(x + r * C, x, (size_t)C * sizeof *x);
    return 0;
}

/* A trace that was never run: the ablation's zeros or means where the clean rows are. */
static int stand_in(struct group *g)
{
    const struct config *cfg = config_of(g);
    struct trace *t = &g->stand_in;
    int64_t C = cfg->d_model, L = cfg->n_layer;
    t->cfg = cfg;
    t->batch = (struct batch){NULL, g->offset, g->n};
    t->rows = g->T;
    t->site = arena_zalloc(&t->arena, (size_t)(SITE_COUNT * L) * sizeof *t->site, g->e);
    t->square = arena_zalloc(&t->arena, (size_t)(SITE_COUNT * L) * sizeof *t->square, g->e);
    if (!t->site || !t->square)
        return ERR_LIMIT;
    for (int64_t s = 0; s < 2 * L + 1; s++) {
        int64_t site = s == 0 ? SITE_EMBED : s % 2 ? SITE_Z : SITE_MLP_OUT;
        float *x = arena_zalloc(&t->arena, (size_t)(g->T * C) * sizeof *x, g->e);
        if (!x)
            return ERR_LIMIT;
        t->site[site * L + (s == 0 ? 0 : (s - 1) / 2)] = x;
        if (site == SITE_Z && g->x->ctx->folded && zero_of_heads(x, g, (int)((s - 1) / 2)))
            return g->e->code;
        for (int i = 0; i < g->n; i++) {
            int64_t T = g->offset[i + 1] - g->offset[i];
            if (g->items[i].mean)
                memcpy(x + g->offset[i] * C, g->items[i].mean + s * T * C,
                    (size_t)(T * C) * sizeof *x);
        }
    }
    g->repl = t;
    return 0;
}

static int run_both(struct group *g)
{
    struct ctx *ctx = g->x->ctx;
    const struct config *cfg = config_of(g);
    if (plan_init(&g->plan, cfg, ctx->arena, g->e) || plan_init(&g->want, cfg, ctx->arena, g->e))
        return g->e->code;
    backward_plan(&g->plan, cfg);
    writers_plan(&g->plan);
    plan_keep(&g->want, SITE_Q, -1);
    plan_keep(&g->want, SITE_K, -1);
    plan_keep(&g->want, SITE_V, -1);
    plan_keep(&g->want, SITE_MLP_IN, -1);
    plan_keep(&g->want, SITE_RESID_POST, cfg->n_layer - 1);
    g->plan.logits = LOGITS_LAST;
    for (int i = 0; i < g->n; i++) {
        const struct eap_item *it = &g->items[i];
        if (g->x->kind == METRIC_LOSS || it->at.pos + 1 != it->pair->clean->n ||
            it->at_corrupt.pos + 1 != it->pair->corrupt->n)
            g->plan.logits = LOGITS_ALL;
    }
    if (run_prompts(&g->clean, g, false) || run_prompts(&g->corrupt, g, true) || references(g) ||
        measure(g, &g->clean, false) || measure(g, &g->corrupt, true))
        return g->e->code;
    g->plan.logits = LOGITS_NONE;
    g->repl = &g->corrupt;
    return g->x->ablation == ABLATE_RESAMPLE ? 0 : stand_in(g);
}

static struct panel at_step(const struct panel *first, size_t step, int64_t i)
{
    struct panel p = *first;
    p.data = (char *)p.data + (size_t)i * step;
    return p;
}

struct packing {
    const struct group *g;
    const float *dense; /* [rows, writers, C] from live row `first` on */
    int64_t first;
};

static void pack_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct packing *x = arg;
    struct panel p = at_step(&x->g->d, x->g->d_step, x->first + i);
    panel_pack_cols(&p, x->dense + i * p.n * p.k, 0, p.n);
}

/* delta = what replaces a writer minus its output in the clean run: packed once for all layers. */
static int deltas(struct group *g)
{
    const struct eap *x = g->x;
    struct arena *a = x->ctx->arena;
    int64_t C = config_of(g)->d_model, writers = x->graph->writers;
    g->d = (struct panel){DT_F32, C, writers, panel_width(), NULL};
    g->d_step = (panel_bytes(DT_F32, C, writers) + 63) & ~(size_t)63;
    g->d.data = arena_array(a, (size_t)g->R, g->d_step, g->e);
    struct arena_mark mark = arena_mark(a);
    float *dense = g->d.data ? floats(g, PACKED_ROWS * writers * C) : NULL;
    if (!dense)
        return ERR_LIMIT;
    for (int64_t r = 0; r < g->R; r += PACKED_ROWS) {
        int64_t n = g->R - r < PACKED_ROWS ? g->R - r : PACKED_ROWS;
        struct writer_rows w = {n, g->repl, &g->clean, g->other + r, g->row + r};
        struct packing pack = {g, dense, r};
        if (writers_diff(dense, x->graph, x->ctx->params, &w, x->ctx->pool, a, g->e))
            return g->e->code;
        pool_for(x->ctx->pool, n, pack_row, &pack);
    }
    arena_rewind(a, mark);
    return 0;
}

/* ---- Interpolated runs ---- */

/* Input i of the batch is pair i / runs at point i % runs: corrupt + t (clean - corrupt). */
static int on_site(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    const struct group *g = arg;
    const struct eap_item *it = &g->items[input / g->runs];
    const float *clean = trace_site(&g->clean, s, layer, input / g->runs);
    const float *other = trace_site(g->repl, s, layer, input / g->runs);
    const bool is_own = g->repl == &g->stand_in;
    double t = g->t[input % g->runs];
    for (int64_t p = 0; p < rows; p++) {
        int64_t q = is_own ? p : it->map[p];
        for (int64_t c = 0; c < width && q >= 0; c++) {
            double to = clean[p * width + c], from = other[q * width + c];
            data[p * width + c] = (float)(from + t * (to - from));
        }
    }
    return 0;
}

/* Gradients of the runs in a trace, first of pair i at input i * runs. */
static int keep(struct group *g, const struct trace *t, const struct trace *dt, int runs, double w)
{
    const struct config *cfg = config_of(g);
    struct kept *k = &g->kept;
    int64_t C = cfg->d_model;
    static const enum site parts[3] = {SITE_Q, SITE_K, SITE_V};
    for (int i = 0; i < g->n; i++)
        for (int run = 0; run < runs; run++)
            for (int64_t r = g->live_at[i]; r < g->live_at[i + 1]; r++) {
                int in = i * runs + run;
                int64_t p = g->row[r] - g->offset[i], at = (k->n + run) * g->R + r;
                for (int l = 0; l < cfg->n_layer; l++) {
                    float *dqkv = k->dqkv[l] + at * 3 * C, *mlp = k->mlp[l] + r * C;
                    for (int part = 0; part < 3; part++) {
                        const float *from = trace_site(dt, parts[part], l, in) + p * C;
                        for (int64_t c = 0; c < C; c++)
                            dqkv[part * C + c] = (float)(w * from[c]);
                    }
                    memcpy(k->x[l] + at * C, trace_site(t, SITE_RESID_PRE, l, in) + p * C,
                        (size_t)C * sizeof(float));
                    k->s[l][at] = trace_site(t, SITE_LN1_SCALE, l, in)[p];
                    const float *from = trace_site(dt, SITE_MLP_IN, l, in) + p * C;
                    for (int64_t c = 0; c < C; c++)
                        mlp[c] += (float)(w * from[c]);
                }
                const float *from = trace_site(dt, SITE_RESID_POST, cfg->n_layer - 1, in) + p * C;
                for (int64_t c = 0; c < C; c++)
                    k->last[r * C + c] += (float)(w * from[c]);
            }
    k->n += runs;
    return 0;
}

/* Back from a trace whose input i * runs + k is pair i. Gates: the site that was replaced. */
static int back(struct group *g, const struct trace *t, int runs, double w, bool gated)
{
    struct ctx *ctx = g->x->ctx;
    int n = g->n * runs;
    struct arena_mark mark = arena_mark(ctx->arena);
    struct metric_at *at = arena_array(ctx->arena, (size_t)n, sizeof *at, g->e);
    int own = ctx->edits ? ctx->edits->n : 0;
    struct edit *list = arena_array(ctx->arena, (size_t)own + 1, sizeof *list, g->e);
    if (!at || !list)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        at[i] = g->items[i / runs].at;
        at[i].input = i;
    }
    if (own)
        memcpy(list, ctx->edits->list, (size_t)own * sizeof *list);
    list[own] = (struct edit){.site = g->site,
        .layer = g->site_layer,
        .head = -1,
        .unit = -1,
        .all_pos = true,
        .all_keys = true,
        .op = EDIT_ZERO};
    struct edits edits = {list, own + gated};
    struct backward_opts o = {.want = &g->want,
        .scale = n,
        .edits = edits.n ? &edits : NULL,
        .pool = ctx->pool,
        .progress = on_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
    struct metric m = {g->x->kind, at, n};
    struct trace dt;
    double value;
    bool lower = g->x->kind == METRIC_LOSS || g->x->kind == METRIC_KL;
    int rc = backward(&dt, &value, ctx->params, t, &m, &o, g->e);
    if (!rc)
        rc = keep(g, t, &dt, runs, lower ? w : -w);
    trace_release(&dt);
    arena_rewind(ctx->arena, mark);
    return rc;
}

/* A batch of `runs` points for every pair. */
static int interpolate(struct group *g, int runs, double w)
{
    struct ctx *ctx = g->x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    int32_t *tokens = arena_array(ctx->arena, (size_t)(g->T * runs), sizeof *tokens, g->e);
    int64_t *offset = ints(g, (int64_t)g->n * runs + 1);
    if (!tokens || !offset)
        return ERR_LIMIT;
    offset[0] = 0;
    for (int i = 0; i < g->n * runs; i++) {
        const struct input *in = g->items[i / runs].pair->clean;
        memcpy(tokens + offset[i], in->tokens, (size_t)in->n * sizeof *tokens);
        offset[i + 1] = offset[i] + in->n;
    }
    g->runs = runs;
    struct hook hook = {g->site, g->site_layer, on_site, g};
    struct forward_opts o = forward_options(g);
    struct trace t;
    o.hooks = &hook;
    o.n_hooks = 1;
    int rc = forward(&t, ctx->params, &(struct batch){tokens, offset, g->n * runs}, &o, g->e);
    if (!rc)
        rc = back(g, &t, runs, w, true);
    trace_release(&t);
    arena_rewind(ctx->arena, mark);
    return rc;
}

/* ---- Scores ---- */

static int keep_init(struct group *g, int64_t room)
{
    const struct config *cfg = config_of(g);
    struct kept *k = &g->kept;
    int64_t C = cfg->d_model, L = cfg->n_layer;
    float ***lists[] = {&k->dqkv, &k->x, &k->s, &k->mlp};
    const int64_t size[] = {room * g->R * 3 * C, room * g->R * C, room * g->R, g->R * C};
    k->room = room;
    for (int i = 0; i < 4; i++) {
        *lists[i] = arena_array(g->x->ctx->arena, (size_t)L, sizeof **lists[i], g->e);
        for (int64_t l = 0; *lists[i] && l < L; l++)
            if (!((*lists[i])[l] = floats(g, size[i])))
                return ERR_LIMIT;
        if (!*lists[i])
            return ERR_LIMIT;
    }
    k->last = floats(g, g->R * C);
    return k->last ? 0 : ERR_LIMIT;
}

static void keep_clear(struct group *g)
{
    const struct config *cfg = config_of(g);
    size_t n = (size_t)(g->R * cfg->d_model) * sizeof(float);
    g->kept.n = 0;
    memset(g->kept.last, 0, n);
    for (int l = 0; l < cfg->n_layer; l++)
        memset(g->kept.mlp[l], 0, n);
}

static void pack_head(void *arg, int64_t j, int worker)
{
    struct group *g = arg;
    const struct config *cfg = config_of(g);
    int64_t C = cfg->d_model, D = cfg->d_head, H = cfg->n_head;
    struct panel p = at_step(&g->w_head, g->w_step, j);
    float *dense = g->scratch[worker]; /* [C, D] */
    for (int64_t c = 0; c < C; c++)
        memcpy(dense + c * D, g->w + c * 3 * C + j / H * C + j % H * D, (size_t)D * sizeof *dense);
    panel_pack_cols(&p, dense, 0, C);
}

/* part (+)= gradients [n, C] of one row with the deltas of the first `writers` writers. */
static void score_row(struct group *g, float *part, const float *grad, int64_t n, int64_t row,
    int64_t writers, bool add)
{
    struct panel d = at_step(&g->d, g->d_step, row);
    int64_t end = (writers + d.width - 1) / d.width * d.width;
    struct epilogue ep = {.add = add ? part : NULL, .ld_add = d.n};
    ops_gemm(part, d.n, grad, d.k, n, &d, 0, end < d.n ? end : d.n, &ep, NULL);
}

/* Gradients at the inputs of one chunk of rows, [m, 3H + 1, C], then their product with the deltas. */
static void score_chunk(void *arg, int64_t c, int worker)
{
    struct group *g = arg;
    const struct config *cfg = config_of(g);
    const struct graph *graph = g->x->graph;
    const struct layer_vectors *v = &g->x->ctx->params->layer[g->layer];
    int64_t C = cfg->d_model, D = cfg->d_head, H = cfg->n_head, cols = columns(g);
    int64_t r0 = g->chunk[c], m = g->chunk[c + 1] - r0;
    float *grad = g->scratch[worker], *dy = grad + CHUNK_ROWS * cols * C;
    struct ln ln = {cfg->ln, cfg->ln_eps, v->ln1_g, v->ln1_b, false};
    struct epilogue none = {0};
    for (int64_t k = 0; k < g->kept.n; k++)
        for (int64_t j = 0; j < 3 * H; j++) {
            int64_t at = k * g->R + r0, column = j / H * C + j % H * D;
            struct panel w = at_step(&g->w_head, g->w_step, j);
            ops_gemm(dy, C, g->kept.dqkv[g->layer] + at * 3 * C + column, 3 * C, m, &w, 0, C, &none,
                NULL);
            ops_ln_grad(grad + j * C, cols * C, NULL, NULL, dy, C, g->kept.x[g->layer] + at * C, C,
                g->kept.s[g->layer] + at, m, C, &ln, k > 0, NULL);
        }
    int64_t n = graph_parents(graph, graph_mlp_in(graph, g->layer));
    for (int64_t r = 0; r < m; r++) {
        memcpy(grad + (r * cols + 3 * H) * C, g->kept.mlp[g->layer] + (r0 + r) * C,
            (size_t)C * sizeof *grad);
        score_row(
            g, g->part + c * cols * graph->writers, grad + r * cols * C, cols, r0 + r, n, r > 0);
    }
}

/* Sums of chunks into the pairs' scores: rows [0, n) of the parts are readers from `first` on. */
static void reduce(struct group *g, int64_t first, int64_t n)
{
    const struct graph *graph = g->x->graph;
    int64_t cols = columns(g), c = 0;
    for (int i = 0; i < g->n; i++)
        for (; c < g->chunks && g->chunk[c] < g->live_at[i + 1]; c++)
            for (int64_t j = 0; j < n; j++)
                for (int64_t u = 0; u < graph_parents(graph, first + j); u++)
                    g->items[i].score[u * graph->readers + first + j] +=
                        g->part[(c * cols + j) * graph->writers + u];
}

/* The logits' reader: one column. */
static void score_last(void *arg, int64_t c, int worker)
{
    (void)worker;
    struct group *g = arg;
    const struct graph *graph = g->x->graph;
    int64_t C = config_of(g)->d_model;
    for (int64_t r = g->chunk[c]; r < g->chunk[c + 1]; r++)
        score_row(g, g->part + c * columns(g) * graph->writers, g->kept.last + r * C, 1, r,
            graph->writers, r > g->chunk[c]);
}

static int score_kept(struct group *g)
{
    const struct graph *graph = g->x->graph;
    struct ctx *ctx = g->x->ctx;
    for (g->layer = 0; g->layer < graph->layers; g->layer++) {
        const struct panel *w = params_panel(ctx->params, MAT_QKV, g->layer, g->e);
        if (!w || panel_dense(g->w, w, ctx->pool))
            return g->e->code;
        pool_for(ctx->pool, 3 * graph->heads, pack_head, g);
        pool_for(ctx->pool, g->chunks, score_chunk, g);
        reduce(g, graph_head_in(graph, g->layer, 0, 0), columns(g));
        if (on_progress(ctx, 0, 1))
            return err_set(g->e, ERR_CANCEL, "interrupted");
    }
    pool_for(ctx->pool, g->chunks, score_last, g);
    reduce(g, graph_logits(graph), 1);
    keep_clear(g);
    return 0;
}

static int score_init(struct group *g, int64_t runs)
{
    struct ctx *ctx = g->x->ctx;
    const struct config *cfg = config_of(g);
    int64_t C = cfg->d_model, cols = columns(g), threads = pool_threads(ctx->pool);
    uint64_t each = kept_bytes(cfg) * (uint64_t)(g->R ? g->R : 1);
    int64_t most = (int64_t)(KEPT_MOST / each);
    size_t cells = (size_t)(g->x->graph->writers * g->x->graph->readers);
    g->w = floats(g, C * 3 * C);
    g->part = floats(g, g->chunks * g->x->graph->writers * cols);
    g->scratch = arena_array(ctx->arena, (size_t)threads, sizeof *g->scratch, g->e);
    g->w_head = (struct panel){DT_F32, cfg->d_head, C, panel_width(), NULL};
    g->w_step = (panel_bytes(DT_F32, cfg->d_head, C) + 63) & ~(size_t)63;
    g->w_head.data = arena_array(ctx->arena, 3 * (size_t)cfg->n_head, g->w_step, g->e);
    if (!g->w || !g->part || !g->scratch || !g->w_head.data)
        return ERR_LIMIT;
    for (int64_t i = 0; i < threads; i++)
        if (!(g->scratch[i] = floats(g, CHUNK_ROWS * (cols + 1) * C)))
            return ERR_LIMIT;
    for (int i = 0; i < g->n; i++)
        if (!(g->items[i].score = arena_zalloc(ctx->arena, cells * sizeof(double), g->e)))
            return ERR_LIMIT;
    if (keep_init(g, most < 1 ? 1 : most < runs ? most : runs))
        return ERR_LIMIT;
    keep_clear(g);
    return 0;
}

/* Points [from, to) / steps of one replaced site, each with weight w. */
static int walk(struct group *g, enum site s, int layer, int from, int to, double w)
{
    int64_t fit = RUN_ROWS / g->T;
    g->site = s;
    g->site_layer = layer;
    for (int k = from; k < to;) {
        int64_t runs = to - k, room = g->kept.room - g->kept.n;
        runs = runs > fit ? fit : runs;
        runs = runs > room ? room : runs;
        runs = runs > RUNS_MOST ? RUNS_MOST : runs < 1 ? 1 : runs;
        for (int i = 0; i < runs; i++)
            g->t[i] = (double)(k + i) / g->x->steps;
        if (interpolate(g, (int)runs, w))
            return g->e->code;
        k += (int)runs;
        if (g->kept.n == g->kept.room && score_kept(g))
            return g->e->code;
    }
    return 0;
}

static bool all_identity(const struct group *g)
{
    bool yes = g->x->ablation == ABLATE_RESAMPLE;
    for (int i = 0; i < g->n; i++)
        yes = yes && g->items[i].is_identity;
    return yes;
}

/* Gradients at the corrupt end of the path: its own run where positions are the same. */
static int corrupt_end(struct group *g, double w)
{
    if (all_identity(g))
        return back(g, &g->corrupt, 1, w, false);
    return walk(g, SITE_EMBED, -1, 0, 1, w);
}

static int by_activations(struct group *g)
{
    int L = g->x->graph->layers, m = g->x->steps;
    double w = 1.0 / ((2 * L + 1) * (double)m);
    if (walk(g, SITE_EMBED, -1, 1, m + 1, w))
        return g->e->code;
    for (int l = 0; l < L; l++)
        if (walk(g, SITE_Z, l, 1, m + 1, w) || walk(g, SITE_MLP_OUT, l, 1, m + 1, w))
            return g->e->code;
    return 0;
}

static int score_group(struct group *g)
{
    int m = g->x->steps;
    int64_t runs = g->x->method == EAP ? 1 : g->x->method == EAP_CLEAN_CORRUPTED ? 2 : m;
    if (lay_out(g) || run_both(g) || deltas(g) || score_init(g, runs) || !g->R)
        return g->e->code;
    switch (g->x->method) {
    case EAP:
        back(g, &g->clean, 1, 1, false);
        break;
    case EAP_CLEAN_CORRUPTED:
        if (!back(g, &g->clean, 1, 0.5, false) && !(g->kept.n == g->kept.room && score_kept(g)))
            corrupt_end(g, 0.5);
        break;
    case EAP_IG_INPUTS:
        if (!corrupt_end(g, 1.0 / m) && !(g->kept.n == g->kept.room && score_kept(g)))
            walk(g, SITE_EMBED, -1, 1, m, 1.0 / m);
        break;
    case EAP_IG_ACTIVATIONS:
        by_activations(g);
        break;
    }
    if (g->e->code || !g->kept.n)
        return g->e->code;
    return score_kept(g);
}

static void group_release(struct group *g)
{
    trace_release(&g->clean);
    trace_release(&g->corrupt);
    arena_release(&g->stand_in.arena);
}

int eap_score(const struct eap *x, struct eap_item *items, int n, struct err *e)
{
    struct group g = {.x = x, .items = items, .n = n, .e = e};
    e->code = 0;
    int rc = linalg_open(e);
    if (!rc)
        rc = score_group(&g);
    group_release(&g);
    return rc;
}

int eap_metrics(const struct eap *x, struct eap_item *items, int n, struct err *e)
{
    struct group g = {.x = x, .items = items, .n = n, .e = e};
    e->code = 0;
    int rc = lay_out(&g);
    if (!rc)
        rc = run_both(&g);
    group_release(&g);
    return rc;
}

/* Positions without a counterpart keep what the clean run has there. */
static int keep_clean(struct group *g, float *other, const int64_t *a, const int64_t *b, int64_t T)
{
    const struct eap *x = g->x;
    int64_t n = x->graph->writers * config_of(g)->d_model;
    for (int64_t t = 0; t < T; t++) {
        struct writer_rows w = {1, &g->clean, NULL, b + t, b + t};
        if (a[t] < 0 && writers_diff(other + t * n, x->graph, x->ctx->params, &w, x->ctx->pool,
                            x->ctx->arena, g->e))
            return g->e->code;
    }
    return 0;
}

static int others(struct group *g, float **other)
{
    const struct eap *x = g->x;
    const struct config *cfg = config_of(g);
    int64_t C = cfg->d_model;
    if (lay_out(g))
        return g->e->code;
    int64_t *a = ints(g, g->T), *b = ints(g, g->T), at = 0;
    if (!a || !b || run_both(g))
        return ERR_LIMIT;
    for (int i = 0; i < g->n; i++) {
        const struct eap_item *it = &g->items[i];
        for (int64_t t = 0; t < it->pair->clean->n; t++) {
            b[g->offset[i] + t] = g->offset[i] + t;
            a[g->offset[i] + t] = x->ablation != ABLATE_RESAMPLE ? g->offset[i] + t
                                  : it->map[t] < 0               ? -1
                                                                 : at + it->map[t];
        }
        at += it->pair->corrupt->n;
    }
    for (int i = 0; i < g->n; i++) {
        int64_t T = g->offset[i + 1] - g->offset[i];
        struct writer_rows w = {T, g->repl, NULL, a + g->offset[i], b + g->offset[i]};
        other[i] = floats(g, T * x->graph->writers * C);
        if (!other[i] ||
            writers_diff(other[i], x->graph, x->ctx->params, &w, x->ctx->pool, x->ctx->arena, g->e))
            return g->e->code;
        if (keep_clean(g, other[i], a + g->offset[i], b + g->offset[i], T))
            return g->e->code;
    }
    return 0;
}

int eap_others(float **other, const struct eap *x, struct eap_item *items, int n, struct err *e)
{
    struct group g = {.x = x, .items = items, .n = n, .e = e};
    e->code = 0;
    int rc = linalg_open(e);
    if (!rc)
        rc = others(&g, other);
    group_release(&g);
    return rc;
}

int eap_add_sites(double *sum, const struct eap *x, const struct input *in, struct err *e)
{
    struct ctx *ctx = x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    int64_t n = in->n * ctx->model->cfg.d_model, offset[2] = {0, in->n};
    struct plan plan;
    struct trace t;
    if (plan_init(&plan, &ctx->model->cfg, ctx->arena, e))
        return e->code;
    writers_plan(&plan);
    struct forward_opts o = {.plan = &plan,
        .edits = ctx->edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = on_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
    if (forward(&t, ctx->params, &(struct batch){in->tokens, offset, 1}, &o, e))
        return e->code;
    for (int64_t s = 0; s < 2 * x->graph->layers + 1; s++) {
        enum site site = s == 0 ? SITE_EMBED : s % 2 ? SITE_Z : SITE_MLP_OUT;
        const float *v = trace_site(&t, site, s == 0 ? -1 : (int)((s - 1) / 2), 0);
        for (int64_t i = 0; i < n; i++)
            sum[s * n + i] += v[i];
    }
    trace_release(&t);
    arena_rewind(ctx->arena, mark);
    return 0;
}
