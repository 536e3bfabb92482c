#include "analysis/patch_pair.h"

#include <math.h>
#include <string.h>

#include "model/backward.h"

bool patch_pair_is_flat(double clean, double corrupt)
{
    return !(fabs(clean - corrupt) >= 1e-3 * (fabs(clean) + fabs(corrupt))) || clean == corrupt;
}

void patch_pair_release(struct patch_pair *p)
{
    trace_release(&p->t);
    trace_release(&p->t_from);
}

bool patch_pair_has(const struct patch_pair *p, const struct patch_cell *c)
{
    return (c->pos < 0 || p->map[c->pos] >= 0) && (c->key < 0 || p->map[c->key] >= 0);
}

/* The metric's place in both prompts. */
static int aim(struct patch_pair *p, const struct patch_pair_opts *o, struct err *e)
{
    const struct pair *q = p->pair;
    struct metric_at at = {.pos = o->pos < 0 ? o->pos + p->to->n : o->pos,
        .answer = q->answer,
        .wrong = q->wrong,
        .n_answer = q->n_answer,
        .n_wrong = q->n_wrong};
    const bool is_diff = o->metric == METRIC_LOGIT_DIFF || o->metric == METRIC_PROB_DIFF;
    const bool is_free =
        o->metric == METRIC_LOSS || o->metric == METRIC_KL || o->metric == METRIC_ENTROPY;
    if (!is_free && (!at.n_answer || (is_diff && !at.n_wrong)))
        return err_set(e, ERR_USAGE, "%s: the metric %s needs %s; give it, or --metric kl or loss",
            q->where, metric_name(o->metric),
            at.n_answer ? "a wrong answer (wrong_answer, --wrong)" : "an answer (--answer)");
    if (at.pos < 0 || at.pos >= p->to->n)
        return err_set(e, ERR_USAGE, "%s: --pos %lld: the receiving prompt has positions 0 to %lld",
            q->where, (long long)o->pos, (long long)p->to->n - 1);
    p->at = p->at_from = at;
    p->at_from.pos = o->pos < 0 ? o->pos + p->from->n : p->map[at.pos];
    if (p->at_from.pos < 0)
        return err_set(e, ERR_USAGE,
            "%s: --pos %lld of the receiving prompt has no counterpart in the other; align it",
            q->where, (long long)o->pos);
    return 0;
}

/* One or both prompts; `base` keeps what patching reads of the receiving one. */
static int run_prompts(struct trace *out, const struct input *a, const struct input *b,
    const struct patch_pair_opts *o, bool base, bool backward, const struct ctx *ctx, struct err *e)
{
    struct plan plan;
    const int64_t n = a->n + (b ? b->n : 0), offset[3] = {0, a->n, n};
    int32_t *tokens = arena_array(ctx->arena, (size_t)n, sizeof *tokens, e);
    if (!tokens || plan_init(&plan, &ctx->model->cfg, ctx->arena, e))
        return e->code;
    memcpy(tokens, a->tokens, (size_t)a->n * sizeof *tokens);
    if (b)
        memcpy(tokens + a->n, b->tokens, (size_t)b->n * sizeof *tokens);
    if (backward)
        backward_plan(&plan, &ctx->model->cfg);
    plan_keep(&plan, SITE_RESID_POST, ctx->model->cfg.n_layer - 1);
    for (int i = 0; i < o->n_sites; i++) {
        patch_plan_source(&plan, o->sites[i]);
        if (base)
            patch_plan_base(&plan, o->sites[i]);
    }
    plan.logits = o->metric == METRIC_KL ? LOGITS_ALL : LOGITS_NONE;
    struct batch batch = {tokens, offset, b ? 2 : 1};
    struct forward_opts fo = {.plan = &plan,
        .edits = ctx->edits,
        .is_part = true,
        .pool = ctx->pool,
        .budget = ctx->budget};
    return forward(out, ctx->params, &batch, &fo, e);
}

static int run_both(
    struct patch_pair *p, const struct patch_pair_opts *o, const struct ctx *ctx, struct err *e)
{
    p->source = &p->t;
    p->source_input = 1;
    if (!o->backward)
        return run_prompts(&p->t, p->to, p->from, o, true, false, ctx, e);
    p->source = &p->t_from;
    p->source_input = 0;
    if (run_prompts(&p->t, p->to, NULL, o, o->patches, true, ctx, e))
        return e->code;
    return run_prompts(&p->t_from, p->from, NULL, o, false, false, ctx, e);
}

/* Values of `from` on positions of `to`; where none stands for a position, those of `to`. */
static const float *lay(
    const struct patch_pair *p, enum site s, int layer, struct arena *a, struct err *e)
{
    const int64_t n = p->to->n, m = p->from->n;
    if (!site_is_square(s)) {
        const int64_t w = site_width(s, p->t.cfg);
        const float *to = trace_site(&p->t, s, layer, 0),
                    *from = trace_site(p->source, s, layer, p->source_input);
        float *out = arena_array(a, (size_t)(n * w), sizeof *out, e);
        for (int64_t t = 0; out && t < n; t++)
            memcpy(out + t * w, p->map[t] < 0 ? to + t * w : from + p->map[t] * w,
                (size_t)w * sizeof *out);
        return out;
    }
    const float *to = trace_square(&p->t, s, layer, 0),
                *from = trace_square(p->source, s, layer, p->source_input);
    float *out = arena_array(a, (size_t)(p->t.cfg->n_head * n * n), sizeof *out, e);
    for (int64_t h = 0; out && h < p->t.cfg->n_head; h++)
        for (int64_t i = 0; i < n * n; i++) {
            const int64_t q = p->map[i / n], k = p->map[i % n], at = h * n * n + i;
            out[at] = q < 0 || k < 0 ? to[at] : from[(h * m + q) * m + k];
        }
    return out;
}

static int lay_all(
    struct patch_pair *p, const struct patch_pair_opts *o, struct arena *a, struct err *e)
{
    const int L = p->t.cfg->n_layer;
    const float **source = arena_zalloc(a, (size_t)SITE_COUNT * (size_t)L * sizeof *source, e);
    for (int i = 0; source && i < o->n_sites; i++)
        for (int l = 0; l < L; l++) {
            const enum site s = o->sites[i];
            const float *x = !p->is_identity     ? lay(p, s, l, a, e)
                             : site_is_square(s) ? trace_square(p->source, s, l, p->source_input)
                                                 : trace_site(p->source, s, l, p->source_input);
            if (!x)
                return e->code;
            source[(size_t)s * (size_t)L + (size_t)l] = x;
        }
    p->run.source = source;
    return source ? 0 : ERR_LIMIT;
}

static int measure(
    struct patch_pair *p, const struct patch_pair_opts *o, const struct ctx *ctx, struct err *e)
{
    struct patch_run from = p->run;
    const struct input *clean = p->pair->clean;
    if (o->metric == METRIC_KL) {
        const int64_t V = ctx->model->cfg.vocab;
        float *logp = arena_array(ctx->arena, (size_t)V, sizeof *logp, e);
        if (!logp)
            return ERR_LIMIT;
        const bool is_to = p->to == clean;
        const float *z = trace_logits(is_to ? &p->t : p->source, is_to ? 0 : p->source_input,
            is_to ? p->at.pos : p->at_from.pos);
        ops_log_softmax(logp, z, V);
        p->at.reference_logp = p->at_from.reference_logp = logp;
    }
    from.base = p->source;
    from.input = p->source_input;
    from.metric.at = &p->at_from;
    double to_value, from_value;
    int rc;
    if (ctx->edits) {
        rc = patch_full(&to_value, NULL, &p->run, ctx->edits, ctx->pool, e);
        if (!rc)
            rc = patch_full(&from_value, NULL, &from, ctx->edits, ctx->pool, e);
    } else {
        rc = patch_base_value(&to_value, &p->run, ctx->pool, e);
        if (!rc)
            rc = patch_base_value(&from_value, &from, ctx->pool, e);
    }
    if (rc)
        return err_prefix(e, "%s", p->pair->where);
    p->clean = o->noise ? to_value : from_value;
    p->corrupt = o->noise ? from_value : to_value;
    return 0;
}

int patch_pair_open(struct patch_pair *out, const struct pair *p, const struct patch_pair_opts *o,
    const struct ctx *ctx, struct err *e)
{
    *out = (struct patch_pair){.pair = p,
        .to = o->noise ? p->clean : p->corrupt,
        .from = o->noise ? p->corrupt : p->clean,
        .is_identity = true};
    out->map = arena_array(ctx->arena, (size_t)out->to->n, sizeof *out->map, e);
    if (!out->map || pair_align(out->map, &out->first, p, !o->noise, ctx->model, e) ||
        aim(out, o, e))
        return e->code;
    for (int64_t t = 0; t < out->to->n; t++)
        out->is_identity = out->is_identity && out->map[t] == t;
    out->is_identity = out->is_identity && out->to->n == out->from->n;
    if (run_both(out, o, ctx, e)) {
        patch_pair_release(out);
        return e->code;
    }
    out->run = (struct patch_run){
        .p = ctx->params, .base = &out->t, .first = out->first, .metric = {o->metric, &out->at, 1}};
    if (lay_all(out, o, ctx->arena, e) || measure(out, o, ctx, e)) {
        patch_pair_release(out);
        return e->code;
    }
    return 0;
}
