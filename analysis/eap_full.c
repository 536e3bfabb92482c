#include <string.h>

#include "analysis/eap_group.h"
#include "model/backward.h"

/* The way by whole forward and backward passes over one pair: edits act on them as on every other pass,
 * and the metric may read any position. */

#define BATCH_ROWS 128 /* of interpolated runs: their gradients are [rows, 3 H, C] a layer */
#define RUNS_MOST 64

struct full {
    struct group *g;
    struct eap_item *item;
    const struct config *cfg;
    int64_t T;
    struct trace clean, corrupt;
    float *zeros; /* [L, C] what stands for no z */
    struct plan plan, want;
    /* The interpolated runs under way. */
    enum site site;
    int layer, runs;
    double t[RUNS_MOST];
    const struct trace *dt;
    double weight;
    float *other; /* [T, writers, C] where outputs are asked for */
    struct err *e;
};

static void *take(struct full *f, int64_t n, size_t size)
{
    return arena_array(f->g->x->ctx->arena, (size_t)n, size, f->e);
}

static int run_prompt(struct trace *t, struct full *f, const struct input *in)
{
    const int64_t offset[2] = {0, in->n};
    struct forward_opts o = eap_forward_opts(f->g->x, &f->plan);
    return forward(t, f->g->x->ctx->params, &(struct batch){in->tokens, offset, 1}, &o, f->e);
}

static int measure(double *value, struct full *f, const struct trace *t, const struct metric_at *at)
{
    struct metric_at own = *at;
    own.input = 0;
    return metric_value(value, NULL, &(struct metric){f->g->x->kind, &own, 1}, t, f->e);
}

static int run_both(struct full *f)
{
    struct ctx *ctx = f->g->x->ctx;
    struct eap_item *it = f->item;
    if (plan_init(&f->plan, f->cfg, ctx->arena, f->e) ||
        plan_init(&f->want, f->cfg, ctx->arena, f->e))
        return f->e->code;
    backward_plan(&f->plan, f->cfg);
    plan_keep(&f->plan, SITE_EMBED, -1);
    plan_keep(&f->plan, SITE_Z, -1);
    plan_keep(&f->plan, SITE_MLP_OUT, -1);
    plan_keep(&f->want, SITE_Q_INPUT, -1);
    plan_keep(&f->want, SITE_K_INPUT, -1);
    plan_keep(&f->want, SITE_V_INPUT, -1);
    plan_keep(&f->want, SITE_MLP_IN, -1);
    plan_keep(&f->want, SITE_RESID_POST, f->cfg->n_layer - 1);
    f->plan.logits = LOGITS_LAST;
    if (f->g->x->kind == METRIC_LOSS || it->at.pos + 1 != f->T ||
        it->at_corrupt.pos + 1 != it->pair->corrupt->n)
        f->plan.logits = LOGITS_ALL;
    if (run_prompt(&f->clean, f, it->pair->clean) || run_prompt(&f->corrupt, f, it->pair->corrupt))
        return f->e->code;
    if (f->g->x->kind == METRIC_KL) { /* from the clean distribution */
        float *logp = take(f, f->cfg->vocab, sizeof *logp);
        if (!logp)
            return ERR_LIMIT;
        ops_log_softmax(logp, trace_logits(&f->clean, 0, it->at.pos), f->cfg->vocab);
        it->at.reference_logp = it->at_corrupt.reference_logp = logp;
    }
    if (measure(&it->clean, f, &f->clean, &it->at) ||
        measure(&it->corrupt, f, &f->corrupt, &it->at_corrupt))
        return f->e->code;
    f->plan.logits = LOGITS_NONE;
    return eap_zeros(&f->zeros, f->g);
}

/* What replaces a row of a site; NULL: zeros. *is_none: nothing, the clean row remains. */
static const float *other_row(
    const struct full *f, int64_t p, enum site s, int layer, bool *is_none)
{
    const struct group *g = f->g;
    *is_none = false;
    if (g->x->ablation != ABLATE_RESAMPLE)
        return eap_stand_in(g, 0, p, s, layer, f->zeros);
    *is_none = f->item->map[p] < 0;
    if (*is_none)
        return NULL;
    return trace_site(&f->corrupt, s, layer, 0) + f->item->map[p] * f->cfg->d_model;
}

static void differences(
    const void *arg, float *out, int64_t ldo, int64_t r0, int64_t n, enum site s, int layer)
{
    const struct full *f = arg;
    const int64_t C = f->cfg->d_model;
    for (int64_t r = 0; r < n; r++) {
        const int64_t p = f->g->live[0] + r0 + r;
        const float *a = trace_site(&f->clean, s, layer, 0) + p * C;
        bool is_none;
        const float *b = other_row(f, p, s, layer, &is_none);
        for (int64_t c = 0; c < C; c++)
            out[r * ldo + c] = is_none ? 0 : (b ? b[c] : 0) - a[c];
    }
}

/* Input k of the batch is at point t[k]: other + t (clean - other). */
static int on_site(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    const struct full *f = arg;
    const float *clean = trace_site(&f->clean, s, layer, 0);
    for (int64_t p = 0; p < rows; p++) {
        bool is_none;
        const float *other = other_row(f, p, s, layer, &is_none);
        for (int64_t c = 0; c < width && !is_none; c++) {
            const double from = other ? (double)other[c] : 0, to = clean[p * width + c];
            data[p * width + c] = (float)(from + f->t[input] * (to - from));
        }
    }
    return 0;
}

/* ---- Scores ---- */

static int on_block(void *arg, int layer, int64_t r0, int64_t n, float *grad)
{
    const struct full *f = arg;
    static const enum site parts[3] = {SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};
    const int64_t C = f->cfg->d_model, HC = f->cfg->n_head * C, ld = 3 * HC + C;
    memset(grad, 0, (size_t)(n * ld) * sizeof *grad);
    for (int k = 0; k < f->runs; k++)
        for (int64_t r = 0; r < n; r++) {
            const int64_t p = f->g->live[0] + r0 + r;
            float *to = grad + r * ld;
            for (int part = 0; part < 4; part++, to += HC) {
                const enum site s = part < 3 ? parts[part] : SITE_MLP_IN;
                const int64_t width = part < 3 ? HC : C;
                const float *from = trace_site(f->dt, s, layer, k) + p * width;
                for (int64_t c = 0; c < width; c++)
                    to[c] += (float)f->weight * from[c];
            }
        }
    return 0;
}

static int score(struct full *f)
{
    struct ctx *ctx = f->g->x->ctx;
    const int64_t C = f->cfg->d_model, n = f->g->live_at[1];
    float *last = arena_zalloc(ctx->arena, (size_t)(n * C) * sizeof *last, f->e);
    if (!last)
        return ERR_LIMIT;
    for (int k = 0; k < f->runs; k++) {
        const float *from =
            trace_site(f->dt, SITE_RESID_POST, f->cfg->n_layer - 1, k) + f->g->live[0] * C;
        for (int64_t i = 0; i < n * C; i++)
            last[i] += (float)f->weight * from[i];
    }
    for (int l = 0; l < f->cfg->n_layer; l++)
        if (scorer_layer(&f->g->scorer, l, on_block, f))
            return f->e->code;
    return scorer_logits(&f->g->scorer, last, NULL, n);
}

/* Back from a trace of `runs` runs. gated: nothing passes what was replaced. */
static int back(struct full *f, const struct trace *t, int runs, double weight, bool gated)
{
    struct ctx *ctx = f->g->x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    const int own = ctx->edits ? ctx->edits->n : 0;
    struct metric_at *at = take(f, runs, sizeof *at);
    struct edit *list = take(f, own + 1, sizeof *list);
    if (!at || !list)
        return ERR_LIMIT;
    for (int i = 0; i < runs; i++) {
        at[i] = f->item->at;
        at[i].input = i;
    }
    if (own)
        memcpy(list, ctx->edits->list, (size_t)own * sizeof *list);
    list[own] = (struct edit){.site = f->site,
        .layer = f->layer,
        .head = -1,
        .unit = -1,
        .all_pos = true,
        .all_keys = true,
        .op = EDIT_ZERO};
    const struct edits edits = {list, own + gated};
    const struct backward_opts o = {.want = &f->want,
        .scale = runs,
        .edits = edits.n ? &edits : NULL,
        .pool = ctx->pool,
        .progress = eap_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
    struct metric m = {f->g->x->kind, at, runs};
    struct trace dt;
    double value;
    int rc = backward(&dt, &value, ctx->params, t, &m, &o, f->e);
    f->dt = &dt;
    f->runs = runs;
    f->weight = weight * eap_sign(f->g->x);
    if (!rc)
        rc = score(f);
    trace_release(&dt);
    arena_rewind(ctx->arena, mark);
    return rc;
}

static int interpolate(struct full *f, int runs, double weight)
{
    struct ctx *ctx = f->g->x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    int32_t *tokens = take(f, f->T * runs, sizeof *tokens);
    int64_t *offset = take(f, runs + 1, sizeof *offset);
    if (!tokens || !offset)
        return ERR_LIMIT;
    offset[0] = 0;
    for (int i = 0; i < runs; i++) {
        memcpy(tokens + i * f->T, f->item->pair->clean->tokens, (size_t)f->T * sizeof *tokens);
        offset[i + 1] = offset[i] + f->T;
    }
    const struct hook hook = {f->site, f->layer, on_site, f};
    struct forward_opts o = eap_forward_opts(f->g->x, &f->plan);
    struct trace t;
    o.hooks = &hook;
    o.n_hooks = 1;
    int rc = forward(&t, ctx->params, &(struct batch){tokens, offset, runs}, &o, f->e);
    if (!rc)
        rc = back(f, &t, runs, weight, true);
    trace_release(&t);
    arena_rewind(ctx->arena, mark);
    return rc;
}

/* Points [from, to) of m of one replaced site. */
static int walk(void *way, enum site s, int layer, int from, int to, double weight)
{
    struct full *f = way;
    const int64_t fit = BATCH_ROWS / f->T;
    f->site = s;
    f->layer = layer;
    for (int k = from, runs; k < to; k += runs) {
        runs = to - k;
        runs = runs > fit ? (int)fit : runs;
        runs = runs > RUNS_MOST ? RUNS_MOST : runs < 1 ? 1 : runs;
        for (int i = 0; i < runs; i++)
            f->t[i] = (double)(k + i) / f->g->x->steps;
        if (interpolate(f, runs, weight))
            return f->e->code;
    }
    return 0;
}

static int gradients(struct full *f)
{
    const struct eap *x = f->g->x;
    const struct writer_source src = {differences, f};
    if (scorer_init(&f->g->scorer, x, f->item, 1, f->g->live_at, &src, f->e))
        return f->e->code;
    switch (x->method) {
    case EAP:
        return back(f, &f->clean, 1, 1, false);
    case EAP_CLEAN_CORRUPTED:
        return back(f, &f->clean, 1, 0.5, false) ? f->e->code : walk(f, SITE_EMBED, -1, 0, 1, 0.5);
    case EAP_IG_INPUTS:
        return walk(f, SITE_EMBED, -1, 0, x->steps, 1.0 / x->steps);
    case EAP_IG_ACTIVATIONS:
        return eap_by_activations(x, walk, f);
    }
    return 0;
}

static int run(struct group *g, float *other, int (*then)(struct full *f))
{
    struct full f = {.g = g,
        .item = &g->items[0],
        .cfg = &g->x->ctx->model->cfg,
        .T = g->items[0].pair->clean->n,
        .other = other,
        .e = g->e};
    int rc = run_both(&f);
    if (!rc && then)
        rc = then(&f);
    trace_release(&f.clean);
    trace_release(&f.corrupt);
    return rc;
}

int eap_full_score(struct group *g)
{
    return run(g, NULL, gradients);
}

int eap_full_metrics(struct group *g)
{
    return run(g, NULL, NULL);
}

/* ---- What cut edges carry ---- */

/* Positions without a counterpart keep what the clean run has there. */
static void outputs(
    const void *arg, float *out, int64_t ldo, int64_t r0, int64_t n, enum site s, int layer)
{
    const struct full *f = arg;
    const int64_t C = f->cfg->d_model;
    for (int64_t p = r0; p < r0 + n; p++) {
        bool is_none;
        const float *row = other_row(f, p, s, layer, &is_none);
        if (is_none)
            row = trace_site(&f->clean, s, layer, 0) + p * C;
        for (int64_t c = 0; c < C; c++)
            out[(p - r0) * ldo + c] = row ? row[c] : 0;
    }
}

static int others(struct full *f)
{
    const struct writer_source src = {outputs, f};
    return writers_fill(f->other, f->g->x, &src, 0, f->T, f->e);
}

int eap_full_others(struct group *g, float **other)
{
    const struct graph *graph = g->x->graph;
    const int64_t T = g->items[0].pair->clean->n;
    *other = arena_array(
        g->x->ctx->arena, (size_t)(T * graph->writers * graph->width), sizeof **other, g->e);
    if (!*other)
        return ERR_LIMIT;
    return run(g, *other, others);
}
