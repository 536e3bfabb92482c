#include "app/bench.h"

#include "analysis/attr.h"
#include "model/backward.h"
#include "model/core/machine.h"

struct sweep {
    const struct bench *b;
    int64_t T;
    enum site site;
    enum patch_form form;
};

static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    const struct sweep *s = arg;
    int64_t at;
    patch_form_cell(out, &at, s->site, s->form, &s->b->m->cfg, s->T, i);
}

static int run_both(struct trace *t, const struct sweep *s, int32_t *tokens, struct err *e)
{
    struct bench *b = (struct bench *)s->b;
    struct plan plan;
    const int64_t T = s->T, offset[3] = {0, T, 2 * T};
    for (int64_t i = 0; i < 2 * T; i++)
        tokens[i] = b->tokens[i % T == 0 ? 0 : i % b->m->cfg.n_ctx];
    if (plan_init(&plan, &b->m->cfg, b->arena, e))
        return e->code;
    patch_plan_base(&plan, s->site);
    patch_plan_source(&plan, s->site);
    struct batch batch = {tokens, offset, 2};
    struct forward_opts o = {.plan = &plan, .pool = b->pool};
    return forward(t, b->m->params, &batch, &o, e);
}

static int patch(
    const struct sweep *s, const struct trace *t, struct patch_work *work, struct err *e)
{
    const struct bench *b = s->b;
    const struct config *cfg = &b->m->cfg;
    const int64_t n = cfg->n_layer * patch_form_cells(s->form, cfg, s->T);
    const int32_t answers[2] = {1, 2};
    const float **source =
        arena_array(b->arena, (size_t)SITE_COUNT * (size_t)cfg->n_layer, sizeof *source, e);
    double *values = arena_array(b->arena, (size_t)n, sizeof *values, e);
    if (!source || !values)
        return ERR_LIMIT;
    for (int l = 0; l < cfg->n_layer; l++)
        source[(int)s->site * cfg->n_layer + l] = trace_site(t, s->site, l, 1);
    const struct metric_at at = {
        .pos = -1, .answer = answers, .wrong = answers + 1, .n_answer = 1, .n_wrong = 1};
    const struct patch_run r = {.p = b->m->params,
        .base = t,
        .source = source,
        .first = 1,
        .metric = {METRIC_LOGIT_DIFF, &at, 1}};
    const struct patch_opts o = {.pool = b->pool, .cell = cell_at, .arg = (void *)s, .work = work};
    return patch_sweep(values, n, &r, &o, e);
}

static int run(
    struct bench *b, const struct sweep *s, double *times, int *n, struct cost *cost, struct err *e)
{
    const struct arena_mark mark = arena_mark(b->arena);
    struct patch_work work = {0};
    struct trace t;
    int32_t *tokens = arena_array(b->arena, 2 * (size_t)s->T, sizeof *tokens, e);
    if (!tokens)
        return ERR_LIMIT;
    const double t0 = machine_seconds();
    int rc = run_both(&t, s, tokens, e);
    if (!rc) {
        rc = patch(s, &t, &work, e);
        times[(*n)++] = machine_seconds() - t0;
        trace_release(&t);
    }
    cost->flops = work.flops;
    arena_rewind(b->arena, mark);
    return rc;
}

int bench_patch_resid(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    return run(b, &(struct sweep){b, row->tokens, SITE_RESID_PRE, FORM_POS}, times, n, cost, e);
}

int bench_patch_head_z(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    return run(b, &(struct sweep){b, row->tokens, SITE_Z, FORM_HEAD}, times, n, cost, e);
}

static const struct {
    enum site site;
    enum patch_form form;
} attributed[] = {{SITE_RESID_PRE, FORM_POS}, {SITE_RESID_MID, FORM_POS}, {SITE_ATTN_OUT, FORM_POS},
    {SITE_MLP_OUT, FORM_POS}, {SITE_Q, FORM_HEAD_POS}, {SITE_K, FORM_HEAD_POS},
    {SITE_V, FORM_HEAD_POS}, {SITE_Z, FORM_HEAD_POS}, {SITE_PATTERN, FORM_DEST_SRC},
    {SITE_MLP_POST, FORM_UNIT_POS}};
enum { ATTRIBUTED = sizeof attributed / sizeof *attributed };

static int attribute(
    struct bench *b, const struct patch_pair *p, const struct plan *want, struct err *e)
{
    struct trace grads;
    double value;
    const struct backward_opts o = {.want = want, .pool = b->pool};
    if (backward(&grads, &value, b->m->params, &p->t, &p->run.metric, &o, e))
        return e->code;
    for (int i = 0; i < ATTRIBUTED; i++) {
        const int64_t per = patch_form_cells(attributed[i].form, &b->m->cfg, p->to->n);
        double *values =
            arena_zalloc(b->arena, (size_t)(b->m->cfg.n_layer * per) * sizeof *values, e);
        double *room = arena_array(b->arena, (size_t)(per + 2 * p->to->n), sizeof *room, e);
        if (!values || !room)
            break;
        attr_values(values, room, p, &grads, attributed[i].site, attributed[i].form, false, -1);
    }
    trace_release(&grads);
    return e->code;
}

int bench_attr(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    const struct arena_mark mark = arena_mark(b->arena);
    const int64_t T = row->tokens;
    int32_t *tokens = arena_array(b->arena, 2 * (size_t)T, sizeof *tokens, e);
    enum site sites[ATTRIBUTED];
    struct plan want, all;
    if (!tokens || plan_init(&want, &b->m->cfg, b->arena, e) ||
        plan_init(&all, &b->m->cfg, b->arena, e))
        return e->code;
    for (int64_t i = 0; i < 2 * T; i++)
        tokens[i] = b->tokens[i % T == 0 ? 0 : i % b->m->cfg.n_ctx];
    for (int i = 0; i < ATTRIBUTED; i++) {
        sites[i] = attributed[i].site;
        plan_keep(&want, sites[i], -1);
    }
    const int32_t answers[2] = {1, 2};
    const struct input in[2] = {{.tokens = tokens, .n = T}, {.tokens = tokens + T, .n = T}};
    const struct pair pair = {.clean = &in[0],
        .corrupt = &in[1],
        .answer = answers,
        .wrong = answers + 1,
        .n_answer = 1,
        .n_wrong = 1,
        .where = "bench"};
    const struct ctx ctx = {
        .model = b->m, .params = b->m->params, .pool = b->pool, .arena = b->arena};
    const struct patch_pair_opts o = {.metric = METRIC_LOGIT_DIFF,
        .pos = -1,
        .sites = sites,
        .n_sites = ATTRIBUTED,
        .backward = true};
    struct patch_pair p;
    e->code = 0;
    const double t0 = machine_seconds();
    int rc = patch_pair_open(&p, &pair, &o, &ctx, e);
    if (!rc) {
        rc = attribute(b, &p, &want, e);
        times[(*n)++] = machine_seconds() - t0;
        patch_pair_release(&p);
    }
    const int64_t offset[2] = {0, T};
    cost->flops = 3 * plan_estimate(&all, &b->m->cfg, &(struct batch){tokens, offset, 1}).flops;
    arena_rewind(b->arena, mark);
    return rc;
}
