#include "model/patch.h"

#include <stdlib.h>
#include <string.h>

#include "model/patch_lanes.h"

#define WAVE_ROWS 1024 /* rows of a wave: enough to hide the weights, few enough to show soon */
#define MLP_ROWS 384   /* of a pass through the MLP: its hidden rows stay in cache */

static const struct {
    enum site site;
    enum stage stage;
    enum site needs; /* of the base, besides what every lane reads; SITE_COUNT: none */
} sites[] = {
    {SITE_RESID_PRE, AT_PRE, SITE_COUNT},
    {SITE_Q, AT_QKV, SITE_Z},
    {SITE_K, AT_QKV, SITE_Z},
    {SITE_V, AT_QKV, SITE_Z},
    {SITE_PATTERN, AT_Z, SITE_Z},
    {SITE_Z, AT_Z, SITE_Z},
    {SITE_ATTN_OUT, AT_MID, SITE_COUNT},
    {SITE_RESID_MID, AT_MID, SITE_COUNT},
    {SITE_MLP_POST, AT_MLP, SITE_MLP_POST},
    {SITE_MLP_OUT, AT_POST, SITE_RESID_MID},
    {SITE_RESID_POST, AT_POST, SITE_COUNT},
};
enum { N_SITES = sizeof sites / sizeof *sites };

static int row_of(enum site s)
{
    for (int i = 0; i < N_SITES; i++)
        if (sites[i].site == s)
            return i;
    return -1;
}

bool patch_site_ok(enum site s)
{
    return row_of(s) >= 0;
}

enum stage patch_stage(enum site s)
{
    return sites[row_of(s)].stage;
}

void patch_plan_base(struct plan *p, enum site s)
{
    static const enum site always[] = {SITE_RESID_PRE, SITE_Q, SITE_K, SITE_V};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        plan_keep(p, always[i], -1);
    plan_keep(p, SITE_RESID_POST, p->n_layer - 1);
    if (row_of(s) >= 0 && sites[row_of(s)].needs != SITE_COUNT)
        plan_keep(p, sites[row_of(s)].needs, -1);
    if (s == SITE_PATTERN)
        plan_keep(p, s, -1);
}

void patch_plan_source(struct plan *p, enum site s)
{
    plan_keep(p, s, -1);
}

const float *base_site(const struct wave *w, enum site s, int layer)
{
    return site_is_square(s) ? trace_square(w->r->base, s, layer, w->r->input)
                             : trace_site(w->r->base, s, layer, w->r->input);
}

const float *source_site(const struct wave *w, enum site s, int layer)
{
    return w->r->source[(size_t)s * (size_t)w->cfg->n_layer + (size_t)layer];
}

const float *base_post(const struct wave *w, int layer)
{
    return layer + 1 < w->cfg->n_layer ? base_site(w, SITE_RESID_PRE, layer + 1)
                                       : base_site(w, SITE_RESID_POST, layer);
}

int64_t first_needed(const struct wave *w, int layer, int64_t lo)
{
    const int64_t read = layer + 1 == w->cfg->n_layer ? w->end - w->tail : 0;
    return lo > read ? lo : read;
}

void count_product(struct wave *w, int64_t m, int64_t k, int64_t n)
{
    w->flops += 2.0 * (double)m * (double)k * (double)n;
}

void patch_rows(int64_t *lo, int64_t *hi, const struct wave *w, const struct patch_cell *c)
{
    const bool spreads = c->site == SITE_K || c->site == SITE_V;
    *lo = c->pos < 0 ? w->r->first : c->pos;
    *hi = c->pos < 0 || spreads ? w->end : c->pos + 1;
    if (c->pos >= 0 && c->pos < w->r->first)
        *hi = *lo;
    if (c->site == SITE_PATTERN && c->key >= 0 && c->key > *lo)
        *lo = c->key; /* future keys are never attended to */
    if (*hi > w->end)
        *hi = w->end;
    if (patch_stage(c->site) != AT_PRE)
        *lo = first_needed(w, c->layer, *lo);
    if (*hi < *lo)
        *hi = *lo;
}

static int by_birth(const void *a, const void *b)
{
    const struct lane *x = a, *y = b;
    if (x->cell.layer != y->cell.layer)
        return x->cell.layer < y->cell.layer ? -1 : 1;
    if (x->stage != y->stage)
        return x->stage < y->stage ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int tell(const struct wave *w, double layers_done)
{
    if (!w->o->progress)
        return 0;
    const double first = w->lane[0].cell.layer, L = w->cfg->n_layer;
    const double part = (double)w->n * (layers_done - first) / (L - first);
    if (w->o->progress(w->o->arg, w->share + part, w->total))
        return err_set(w->e, ERR_CANCEL, "interrupted");
    return 0;
}

static int run_wave(struct wave *w)
{
    if (!w->n)
        return 0;
    qsort(w->lane, (size_t)w->n, sizeof *w->lane, by_birth);
    w->alive = w->rows = 0;
    for (int l = w->lane[0].cell.layer; l < w->cfg->n_layer; l++)
        if (tell(w, l) || wave_layer(w, l))
            return w->e->code;
    return wave_metric(w);
}

static int64_t rows_of(int64_t *most, const struct wave *w)
{
    const int64_t C = w->cfg->d_model, F = w->cfg->d_mlp;
    const size_t row = (size_t)(6 * C + 1) * sizeof(float) + sizeof(struct lane) +
                       2 * sizeof(struct attention_lane);
    *most = WAVE_ROWS > w->end ? WAVE_ROWS : w->end;
    const size_t fixed = (size_t)(MLP_ROWS * F + C) * sizeof(float);
    if (!w->o->max_bytes || fixed + (size_t)*most * row <= w->o->max_bytes)
        return 0;
    *most = w->o->max_bytes > fixed ? (int64_t)((w->o->max_bytes - fixed) / row) : 0;
    if (*most >= w->end)
        return 0;
    return err_set(w->e, ERR_LIMIT,
        "one patch of %lld positions needs %.4g MB, the limit is %.4g MB; raise --max-mem",
        (long long)w->end, (double)(fixed + (size_t)w->end * row) / 1e6,
        (double)w->o->max_bytes / 1e6);
}

static int allocate(struct wave *w, struct arena *a)
{
    if (rows_of(&w->rows_max, w))
        return w->e->code;
    const size_t C = (size_t)w->cfg->d_model, R = (size_t)w->rows_max;
    w->lanes_max = w->rows_max;
    w->chunk = R < MLP_ROWS ? (int64_t)R : MLP_ROWS;
    w->x = arena_array(a, R * C, sizeof(float), w->e);
    w->mid = arena_array(a, R * C, sizeof(float), w->e);
    w->y = arena_array(a, R * C, sizeof(float), w->e);
    w->qkv = arena_array(a, R * C, 3 * sizeof(float), w->e);
    w->ld_act = w->cfg->d_mlp + 16;
    w->act = arena_array(a, (size_t)(w->chunk * w->ld_act), sizeof(float), w->e);
    w->scale = arena_array(a, R, sizeof(float), w->e);
    w->row = arena_array(a, C, sizeof(float), w->e);
    w->lane = arena_array(a, R, sizeof *w->lane, w->e);
    w->att = arena_array(a, 2 * R, sizeof *w->att, w->e);
    bool ok = w->x && w->mid && w->y && w->qkv && w->act && w->scale && w->row && w->lane && w->att;
    return ok ? wave_metric_begin(w, a) : ERR_LIMIT;
}

static int begin(struct wave *w, const struct patch_run *r, struct arena *a)
{
    const int64_t T = trace_len(r->base, r->input);
    const int64_t offset[2] = {0, T};
    struct batch b = {r->base->batch.tokens + r->base->batch.offset[r->input], offset, 1};
    if (metric_check(&r->metric, &b, w->cfg, w->e))
        return w->e->code;
    w->end = r->metric.kind == METRIC_LOSS ? T - 1 : metric_row(r->metric.at, &b) + 1;
    w->tail = r->metric.kind == METRIC_LOSS ? w->end : 1;
    return allocate(w, a);
}

/* Fills a wave from cell *next on. */
static void gather(struct wave *w, int64_t *next, int64_t n)
{
    int64_t rows = 0;
    for (w->n = 0; *next < n; (*next)++) {
        struct lane l = {.index = *next};
        w->o->cell(&l.cell, w->o->arg, *next);
        if (l.cell.layer_end <= l.cell.layer)
            l.cell.layer_end = l.cell.layer + 1;
        l.stage = patch_stage(l.cell.site);
        patch_rows(&l.lo, &l.hi, w, &l.cell);
        if (l.lo == l.hi) {
            w->values[*next] = w->base_value;
            continue;
        }
        if (rows + w->end - l.lo > w->rows_max)
            return;
        rows += w->end - l.lo;
        w->lane[w->n++] = l;
    }
}

static int sweep(struct wave *w, int64_t n)
{
    for (int64_t i = 0, next = 0; i < n; i = next) {
        gather(w, &next, n);
        w->share = (double)i;
        if (run_wave(w))
            return w->e->code;
        if (w->o->work)
            w->o->work->lanes += w->n;
        if (w->o->ready && w->o->ready(w->o->arg, i, next))
            return w->e->code ? w->e->code : err_set(w->e, ERR_CANCEL, "interrupted");
    }
    return 0;
}

int patch_sweep(
    double *values, int64_t n, const struct patch_run *r, const struct patch_opts *o, struct err *e)
{
    struct arena a = {0};
    struct wave w = {
        .r = r, .o = o, .cfg = &r->p->cfg, .e = e, .values = values, .total = (double)n};
    e->code = 0;
    int rc = begin(&w, r, &a);
    if (!rc)
        rc = sweep(&w, n);
    if (o->work)
        o->work->flops += w.flops;
    arena_release(&a);
    return rc;
}

int patch_base_value(double *value, const struct patch_run *r, struct pool *pool, struct err *e)
{
    struct arena a = {0};
    struct patch_opts o = {.pool = pool};
    struct wave w = {.r = r, .o = &o, .cfg = &r->p->cfg, .e = e};
    e->code = 0;
    int rc = begin(&w, r, &a);
    *value = w.base_value;
    arena_release(&a);
    return rc;
}
