#include "analysis/eap.h"

#include <math.h>
#include <string.h>

#include "analysis/eap_group.h"
#include "model/fold.h"
#include "model/suffix.h"

#define GROUP_PAIRS 10
#define GROUP_ROWS 512 /* of all runs of a group */

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

/* ---- Shared by both ways ---- */

double eap_sign(const struct eap *x)
{
    return x->kind == METRIC_LOSS || x->kind == METRIC_KL ? 1 : -1;
}

int eap_progress(void *arg, double done, double total)
{
    const struct ctx *ctx = arg;
    (void)done;
    (void)total;
    return ctx->progress ? ctx->progress(ctx->progress_arg, 0, 1) : 0;
}

struct forward_opts eap_forward_opts(const struct eap *x, const struct plan *plan)
{
    struct ctx *ctx = x->ctx;
    return (struct forward_opts){.plan = plan,
        .edits = ctx->edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = eap_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
}

int eap_by_activations(const struct eap *x, eap_walk_fn walk, void *way)
{
    const int L = x->graph->layers, m = x->steps;
    const double w = 1.0 / ((2 * L + 1) * (double)m);
    int rc = walk(way, SITE_EMBED, -1, 1, m + 1, w);
    for (int l = 0; l < L && !rc; l++) {
        rc = walk(way, SITE_Z, l, 1, m + 1, w);
        if (!rc)
            rc = walk(way, SITE_MLP_OUT, l, 1, m + 1, w);
    }
    return rc;
}

/* The folded view has moved the value biases out of z: its zero is b_V,eff here. */
int eap_zeros(float **out, const struct group *g)
{
    const struct ctx *ctx = g->x->ctx;
    const int64_t C = ctx->model->cfg.d_model, L = ctx->model->cfg.n_layer;
    *out = NULL;
    if (g->x->ablation == ABLATE_RESAMPLE || !ctx->folded)
        return 0;
    float *zeros = arena_array(ctx->arena, (size_t)(L * C), sizeof *zeros, g->e);
    for (int l = 0; zeros && l < L; l++)
        if (fold_value_bias(zeros + l * C, ctx->params, l, ctx->pool, g->e))
            return g->e->code;
    *out = zeros;
    return zeros ? 0 : ERR_LIMIT;
}

const float *eap_stand_in(
    const struct group *g, int item, int64_t p, enum site s, int layer, const float *zeros)
{
    const struct eap_item *it = &g->items[item];
    const int64_t C = g->x->ctx->model->cfg.d_model, T = it->pair->clean->n;
    const int64_t at = s == SITE_EMBED ? 0 : 2 * layer + (s == SITE_Z ? 1 : 2);
    if (it->mean)
        return it->mean + (at * T + p) * C;
    return zeros && s == SITE_Z ? zeros + layer * C : NULL;
}

int group_item(const struct group *g, int64_t row)
{
    int i = 0;
    while (g->live_at[i + 1] <= row)
        i++;
    return i;
}

/* Runs of a pair in a batch. */
static int64_t runs_of(const struct eap *x)
{
    return x->method == EAP_IG_INPUTS        ? x->steps + 1
           : x->method == EAP_IG_ACTIVATIONS ? x->steps > 2 ? x->steps : 2
           : x->method == EAP                ? 2
                                             : 3;
}

uint64_t eap_bytes(const struct eap *x, int64_t rows, int n)
{
    const struct config *cfg = &x->ctx->model->cfg;
    const uint64_t cells = (uint64_t)x->graph->writers * (uint64_t)x->graph->readers;
    return (uint64_t)(rows * runs_of(x)) *
               (suffix_row_bytes(cfg, true) + 16 * (uint64_t)cfg->d_mlp) +
           (uint64_t)rows * scorer_row_bytes(x) + (uint64_t)n * cells * sizeof(double);
}

bool eap_fits(const struct eap *x, const struct pair *pairs, int n, size_t max_bytes)
{
    int64_t rows = 0;
    for (int i = 0; i < n; i++)
        rows += pairs[i].clean->n;
    const int64_t batch = rows * runs_of(x);
    return n <= GROUP_PAIRS && batch <= GROUP_ROWS && eap_bytes(x, rows, n) <= max_bytes;
}

/* As group_lay_out has it where the suffixes do. */
static int64_t first_live(const struct eap *x, const struct eap_item *it, int64_t end)
{
    int64_t first = x->ablation == ABLATE_RESAMPLE ? it->first : 0;
    first = first < end ? first : end - 1;
    return first > it->at_corrupt.pos ? it->at_corrupt.pos : first;
}

int eap_expect(struct eap *x, const struct pair *pairs, int n, int64_t pos, struct err *e)
{
    struct ctx *ctx = x->ctx;
    const int64_t runs = runs_of(x), group = n < GROUP_PAIRS ? n : GROUP_PAIRS;
    int64_t live = 0, rows = 0;
    double live_share = 0, row_share = 0; /* of the rows that eap_fits counts */
    for (int i = 0; i < n; i++) {
        struct arena_mark mark = arena_mark(ctx->arena);
        struct eap_item it;
        if (eap_item_init(&it, &pairs[i], x->kind, pos, ctx, e))
            return e->code;
        arena_rewind(ctx->arena, mark);
        const int64_t end = it.at.pos + 1, first = first_live(x, &it, end), own = end - first;
        const double all = (double)(runs * pairs[i].clean->n);
        live = own > live ? own : live;
        rows = first + runs * own > rows ? first + runs * own : rows;
        live_share = fmax(live_share, (double)own / all);
        row_share = fmax(row_share, (double)(first + runs * own) / all);
    }
    const int64_t full[2] = {(int64_t)(live_share * GROUP_ROWS), (int64_t)(row_share * GROUP_ROWS)};
    x->live_most = group * live < full[0] ? group * live : live > full[0] ? live : full[0];
    x->rows_most = group * rows < full[1] ? group * rows : rows > full[1] ? rows : full[1];
    return 0;
}

int group_lay_out(struct group *g)
{
    struct arena *a = g->x->ctx->arena;
    g->live_at = arena_array(a, (size_t)g->n + 1, sizeof *g->live_at, g->e);
    g->live = arena_array(a, (size_t)g->n + 1, sizeof *g->live, g->e);
    if (!g->live_at || !g->live)
        return ERR_LIMIT;
    g->live_at[0] = 0;
    for (int i = 0; i < g->n; i++) {
        const struct eap_item *it = &g->items[i];
        const int64_t end = g->is_fast ? it->at.pos + 1 : it->pair->clean->n;
        int64_t first = g->x->ablation == ABLATE_RESAMPLE ? it->first : 0;
        first = g->is_fast ? first_live(g->x, it, end) : first < end ? first : end - 1;
        g->live[i] = first;
        g->live_at[i + 1] = g->live_at[i] + end - first;
    }
    return 0;
}

static int whole(
    const struct eap *x, struct eap_item *item, int (*run)(struct group *g), struct err *e)
{
    struct group g = {.x = x, .items = item, .n = 1, .e = e};
    return group_lay_out(&g) || run(&g) ? e->code : 0;
}

static int run(const struct eap *x, struct eap_item *items, int n, bool score, struct err *e)
{
    struct group g = {.x = x, .items = items, .n = n, .e = e};
    e->code = 0;
    g.is_fast = eap_suffix_ok(&g);
    if (g.is_fast && (group_lay_out(&g) || (score ? eap_suffix_score(&g) : eap_suffix_metrics(&g))))
        return e->code;
    for (int i = 0; i < n && !g.is_fast; i++)
        if (whole(x, items + i, score ? eap_full_score : eap_full_metrics, e))
            return e->code;
    return 0;
}

int eap_score(const struct eap *x, struct eap_item *items, int n, struct err *e)
{
    return run(x, items, n, true, e);
}

int eap_metrics(const struct eap *x, struct eap_item *items, int n, struct err *e)
{
    return run(x, items, n, false, e);
}

int eap_others(float **other, const struct eap *x, struct eap_item *item, struct err *e)
{
    struct group g = {.x = x, .items = item, .n = 1, .e = e};
    e->code = 0;
    return group_lay_out(&g) || eap_full_others(&g, other) ? e->code : 0;
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
    plan_keep(&plan, SITE_EMBED, -1);
    plan_keep(&plan, SITE_Z, -1);
    plan_keep(&plan, SITE_MLP_OUT, -1);
    const struct forward_opts o = eap_forward_opts(x, &plan);
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
