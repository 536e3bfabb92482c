#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/moments.h"
#include "analysis/pairs.h"
#include "analysis/patch_menu.h"
#include "analysis/token.h"
#include "model/core/text.h"
#include "model/fold.h"
#include "model/patch.h"

/* Knock-outs: a part of the model replaced by nothing, by its mean over the inputs, or by what it is on
 * another input, one part at a time. The same engine as patching: only the source differs. */

static const struct param params[] = {
    {.name = "site",
        .type = PARAM_STRING,
        .def = "head_z,mlp_out",
        .metavar = "LIST",
        .help = "what is ablated, at every position: head_z, head_q, head_k, head_v by layer and "
                "head; attn_out, mlp_out, resid_pre, resid_mid, resid_post by layer; neuron"},
    {.name = "mode",
        .type = PARAM_CHOICE,
        .def = "mean",
        .choices = "zero|mean|resample",
        .help =
            "the replacement: zeros (of head_z and head_v those of the --weights view), the mean "
            "over the inputs (of pairs over their clean prompts alone), or the values of another "
            "input (a pair's corrupt prompt by its alignment, else the next input of the same "
            "length)"},
    {.name = "mean-over",
        .type = PARAM_CHOICE,
        .def = "auto",
        .choices = "auto|pos|all",
        .help = "means for each position, or over all of them; auto is pos where there are several "
                "inputs, all equally long"},
    {.name = "from",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "P",
        .min = 0,
        .max = 1e9,
        .help = "the first position that is ablated; 1 spares the BOS"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "auto",
        .choices = "auto|logit_diff|prob_diff|logprob|prob|kl|loss|logit|entropy",
        .help = "auto is logit_diff where the inputs have answers, else loss; kl: from the whole "
                "model to the ablated one, KL(whole || ablated); " PAIR_METRICS_SEVERAL},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric; negative counts from the end"},
};

/* Parts without an axis of positions. */
static const struct knockout {
    const char *name;
    enum site site;
    char axis; /* 'H' head, 'N' neuron, 0: the layer alone */
} knockouts[] = {
    {"head_z", SITE_Z, 'H'},
    {"head_q", SITE_Q, 'H'},
    {"head_k", SITE_K, 'H'},
    {"head_v", SITE_V, 'H'},
    {"attn_out", SITE_ATTN_OUT, 0},
    {"mlp_out", SITE_MLP_OUT, 0},
    {"resid_pre", SITE_RESID_PRE, 0},
    {"resid_mid", SITE_RESID_MID, 0},
    {"resid_post", SITE_RESID_POST, 0},
    {"neuron", SITE_MLP_POST, 'N'},
};
enum { N_KNOCKOUTS = sizeof knockouts / sizeof *knockouts };

enum mode { MODE_ZERO, MODE_MEAN, MODE_RESAMPLE };

struct part {
    const struct knockout *k;
    int64_t units, cells; /* of a layer, of all */
    struct block *effect, *se, *values;
    struct moments m;
    double **mean; /* [L]: [rows, width] */
};

struct state {
    enum mode mode;
    bool by_pos; /* means */
    enum metric_kind metric;
    int64_t pos, from, rows; /* rows of the means: positions, or 1 */
    struct part part[N_KNOCKOUTS];
    int n_parts, n; /* n: inputs, or pairs */
    struct block *base;
    int64_t next;
};

/* Input i of the sweep: prompts alone, or the clean ones of pairs. */
static const struct input *subject(const struct ctx *ctx, int i)
{
    return ctx->pairs ? ctx->pairs[i].clean : &ctx->inputs[i];
}

static int find_parts(struct state *s, const char *list, struct err *e)
{
    for (const char *at = list;; at++) {
        const size_t n = strcspn(at, ",");
        const struct knockout *found = NULL;
        for (int i = 0; i < N_KNOCKOUTS && !found; i++)
            if (strlen(knockouts[i].name) == n && !memcmp(knockouts[i].name, at, n))
                found = &knockouts[i];
        for (int i = 0; i < s->n_parts && found; i++)
            if (s->part[i].k == found)
                return err_set(e, ERR_USAGE, "--site: %s is named twice", found->name);
        if (!found)
            return err_set(e, ERR_USAGE,
                "--site: \"%.*s\" cannot be ablated; give head_z, head_q, head_k, head_v, "
                "attn_out, mlp_out, resid_pre, resid_mid, resid_post or neuron",
                (int)(n < 40 ? n : 40), at);
        s->part[s->n_parts++].k = found;
        at += n;
        if (!*at)
            return 0;
    }
}

/* "effect" is the heads'; other parts are named behind it. */
static int declare(struct block **b, struct run *out, const struct ctx *ctx, const struct part *p,
    const char *suffix, bool by_input, struct err *e)
{
    const struct state *s = ctx->state;
    static const char *const modes[] = {"zero", "mean", "resample"};
    char name[64], what[160];
    snprintf(name, sizeof name, "effect%s%s%s", p->k->site == SITE_Z ? "" : "_",
        p->k->site == SITE_Z ? "" : p->k->name, suffix);
    snprintf(what, sizeof what, "change of %s when %s is ablated (%s)%s", metric_name(s->metric),
        p->k->name, modes[s->mode],
        by_input  ? ""
        : *suffix ? ", standard error over inputs"
                  : ", mean over inputs");
    struct block_spec spec = {.name = name,
        .input = -1,
        .unit = metric_unit(s->metric),
        .long_name = what,
        .look = p->k->axis ? LOOK_HEATMAP : LOOK_BARS,
        .is_signed = strcmp(suffix, "_se") != 0 && s->metric != METRIC_KL,
        .is_detail = *suffix != 0,
        .by_slice = by_input};
    if (by_input)
        spec.axes[spec.rank++] = (struct axis){"input", AXIS_INPUT, s->n, NULL};
    spec.axes[spec.rank++] = (struct axis){"layer", AXIS_LAYER, ctx->model->cfg.n_layer, NULL};
    if (p->k->axis)
        spec.axes[spec.rank++] = (struct axis){p->k->axis == 'H' ? "head" : "neuron",
            p->k->axis == 'H' ? AXIS_HEAD : AXIS_NEURON, p->units, NULL};
    return run_block(b, out, &spec, e);
}

static int declare_all(struct ctx *ctx, struct run *out, struct err *e)
{
    struct state *s = ctx->state;
    const struct config *cfg = &ctx->model->cfg;
    for (int i = 0; i < s->n_parts; i++) {
        struct part *p = &s->part[i];
        p->units = p->k->axis == 'H' ? cfg->n_head : p->k->axis == 'N' ? cfg->d_mlp : 1;
        p->cells = p->units * cfg->n_layer;
        if (declare(&p->effect, out, ctx, p, "", false, e) ||
            declare(&p->se, out, ctx, p, "_se", false, e) ||
            declare(&p->values, out, ctx, p, "_by_input", true, e) ||
            moments_init(&p->m, p->cells, ctx->arena, e))
            return e->code;
    }
    return run_block(&s->base, out,
        &(struct block_spec){.name = "metric",
            .input = -1,
            .rank = 1,
            .axes = {{"input", AXIS_INPUT, s->n, NULL}},
            .unit = metric_unit(s->metric),
            .long_name = "the metric of the whole model",
            .look = LOOK_BARS,
            .by_slice = true},
        e);
}

/* ---- means over the inputs ---- */

static int forward_of(struct trace *t, const struct ctx *ctx, const struct input *one,
    const struct input *other, bool source_only, struct err *e)
{
    const struct state *s = ctx->state;
    struct arena *a = ctx->arena;
    struct plan plan;
    const int64_t n = one->n + (other ? other->n : 0), offset[3] = {0, one->n, n};
    int32_t *tokens = arena_array(a, (size_t)n, sizeof *tokens, e);
    if (!tokens || plan_init(&plan, &ctx->model->cfg, a, e))
        return e->code;
    memcpy(tokens, one->tokens, (size_t)one->n * sizeof *tokens);
    if (other)
        memcpy(tokens + one->n, other->tokens, (size_t)other->n * sizeof *tokens);
    for (int i = 0; i < s->n_parts; i++) {
        if (!source_only)
            patch_plan_base(&plan, s->part[i].k->site);
        if (source_only || other)
            patch_plan_source(&plan, s->part[i].k->site);
    }
    if (s->metric == METRIC_KL && !source_only)
        plan.logits = s->pos == -1 ? LOGITS_LAST : LOGITS_ALL;
    struct batch b = {tokens, offset, other ? 2 : 1};
    struct forward_opts o = {.plan = &plan, .pool = ctx->pool, .budget = ctx->budget};
    return forward(t, ctx->params, &b, &o, e);
}

static void add_input(struct part *p, const struct state *s, const struct trace *t)
{
    const int64_t n = trace_len(t, 0), width = site_width(p->k->site, t->cfg);
    for (int l = 0; l < t->cfg->n_layer; l++) {
        const float *x = trace_site(t, p->k->site, l, 0);
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < width; c++)
                p->mean[l][(s->by_pos ? r * width : 0) + c] += (double)x[r * width + c];
    }
}

static int take_means(struct ctx *ctx, struct err *e)
{
    struct state *s = ctx->state;
    const int L = ctx->model->cfg.n_layer;
    double count = 0;
    for (int i = 0; i < s->n_parts; i++) {
        struct part *p = &s->part[i];
        const size_t cells = (size_t)(s->rows * site_width(p->k->site, &ctx->model->cfg));
        p->mean = arena_array(ctx->arena, (size_t)L, sizeof *p->mean, e);
        for (int l = 0; p->mean && l < L; l++)
            if (!(p->mean[l] = arena_zalloc(ctx->arena, cells * sizeof **p->mean, e)))
                return ERR_LIMIT;
        if (!p->mean)
            return ERR_LIMIT;
    }
    for (int i = 0; i < s->n; i++) {
        const struct arena_mark mark = arena_mark(ctx->arena);
        struct trace t;
        if (forward_of(&t, ctx, subject(ctx, i), NULL, true, e))
            return e->code;
        for (int k = 0; k < s->n_parts; k++)
            add_input(&s->part[k], s, &t);
        count += s->by_pos ? 1 : (double)trace_len(&t, 0);
        trace_release(&t);
        arena_rewind(ctx->arena, mark);
        if (ctx->progress && ctx->progress(ctx->progress_arg, 0, 1))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    for (int i = 0; i < s->n_parts; i++) {
        const struct part *p = &s->part[i];
        for (int l = 0; l < L; l++)
            for (int64_t c = 0; c < s->rows * site_width(p->k->site, &ctx->model->cfg); c++)
                p->mean[l][c] /= count;
    }
    return 0;
}

static int choose_means(struct ctx *ctx, struct err *e)
{
    struct state *s = ctx->state;
    const char *over = args_text(ctx->args, "mean-over");
    bool equal = true;
    for (int i = 1; i < s->n; i++)
        equal = equal && subject(ctx, i)->n == subject(ctx, 0)->n;
    if (!strcmp(over, "pos") && !equal)
        return err_set(e, ERR_USAGE,
            "--mean-over pos needs inputs that are equally long; give --mean-over all");
    if (!strcmp(over, "pos") && s->n == 1)
        return err_set(e, ERR_USAGE,
            "--mean-over pos with one input puts its own values back; give more inputs, "
            "--mean-over all, or --mode zero");
    /* the mean of one input at a position is its value there: no ablation at all */
    s->by_pos = equal && s->n > 1 && strcmp(over, "all") != 0;
    s->rows = s->by_pos ? subject(ctx, 0)->n : 1;
    return take_means(ctx, e);
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct state *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    const char *mode = args_text(ctx->args, "mode"), *metric = args_text(ctx->args, "metric");
    s->mode = !strcmp(mode, "zero") ? MODE_ZERO : !strcmp(mode, "mean") ? MODE_MEAN : MODE_RESAMPLE;
    s->n = ctx->pairs ? ctx->n_inputs / 2 : ctx->n_inputs;
    s->pos = args_int(ctx->args, "pos");
    s->from = args_int(ctx->args, "from");
    if (ctx->edits)
        return err_set(e, ERR_USAGE, "ablate works on the unedited model; leave --edit out");
    if (!strcmp(metric, "auto"))
        metric =
            ctx->pairs && ctx->pairs[0].n_answer && ctx->pairs[0].n_wrong ? "logit_diff" : "loss";
    if (metric_parse(&s->metric, metric, e) || find_parts(s, args_text(ctx->args, "site"), e) ||
        declare_all(ctx, out, e))
        return e->code;
    if (!ctx->pairs && s->metric != METRIC_LOSS && s->metric != METRIC_ENTROPY &&
        s->metric != METRIC_KL)
        return err_set(e, ERR_USAGE,
            "--metric %s needs answers: give pairs (-f FILE.jsonl, --dataset, --clean and "
            "--corrupt with --answer and --wrong), or --metric loss or kl",
            metric_name(s->metric));
    return s->mode == MODE_MEAN ? choose_means(ctx, e) : 0;
}

/* ---- one input ---- */

struct sweep {
    const struct ctx *ctx;
    const struct part *p;
    double before, total;
};

static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    const struct sweep *w = arg;
    const int64_t unit = i % w->p->units;
    *out = (struct patch_cell){.site = w->p->k->site,
        .layer = (int)(w->ctx->model->cfg.n_layer - 1 - i / w->p->units),
        .head = w->p->k->axis == 'H' ? (int)unit : -1,
        .unit = w->p->k->axis == 'N' ? (int)unit : -1,
        .pos = -1,
        .key = -1};
}

static int on_progress(void *arg, double done, double total)
{
    const struct sweep *w = arg;
    (void)total;
    return w->ctx->progress ? w->ctx->progress(w->ctx->progress_arg, w->before + done, w->total)
                            : 0;
}

/* The other input whose values stand in for this one's, and which of its positions is whose; *map is
 * NULL where they are the same. */
static int partner(
    const struct input **out, int64_t **map, const struct ctx *ctx, int i, struct err *e)
{
    const struct state *s = ctx->state;
    const struct input *one = subject(ctx, i);
    int64_t first;
    *map = NULL;
    for (int k = 1; k < s->n && !ctx->pairs; k++) {
        *out = subject(ctx, (i + k) % s->n);
        if ((*out)->n == one->n)
            return 0;
    }
    if (!ctx->pairs)
        return err_set(e, ERR_USAGE,
            "--mode resample: input %d (%lld token%s) has no other of its length; give more "
            "inputs, or --mode mean",
            one->index, (long long)one->n, text_s(one->n));
    *out = ctx->pairs[i].corrupt;
    *map = arena_array(ctx->arena, (size_t)one->n, sizeof **map, e);
    if (!*map)
        return ERR_LIMIT;
    return pair_align(*map, &first, &ctx->pairs[i], false, ctx->model, e);
}

/* What METRIC_KL is measured from: the whole model's answer. */
static int take_reference(
    struct metric_at *at, const struct ctx *ctx, const struct trace *t, struct err *e)
{
    const int64_t V = ctx->model->cfg.vocab;
    float *logp = arena_array(ctx->arena, (size_t)V, sizeof *logp, e);
    if (!logp)
        return ERR_LIMIT;
    ops_log_softmax(logp, trace_logits(t, 0, at->pos), V);
    at->reference_logp = logp;
    return 0;
}

/* Zeros as the weights view has them: the folded one has moved the value biases out of v and z, so
 * that nothing there is b_V,eff here. At every other site both views have the same zero. */
static const float *zeros(
    const struct ctx *ctx, const struct part *p, const struct trace *t, int layer, struct err *e)
{
    const int64_t T = trace_len(t, 0), width = site_width(p->k->site, t->cfg);
    float *x = arena_zalloc(ctx->arena, (size_t)(T * width) * sizeof *x, e);
    if (!x || !ctx->folded || (p->k->site != SITE_Z && p->k->site != SITE_V))
        return x;
    if (fold_value_bias(x, ctx->params, layer, ctx->pool, e))
        return NULL;
    for (int64_t r = 1; r < T; r++)
        memcpy(x + r * width, x, (size_t)width * sizeof *x);
    return x;
}

/* The other input's values on this one's positions; a position without a counterpart keeps its own. */
static const float *resampled(const struct ctx *ctx, const struct part *p, const struct trace *t,
    const int64_t *map, int layer, struct err *e)
{
    const int64_t T = trace_len(t, 0), width = site_width(p->k->site, t->cfg);
    const float *own = trace_site(t, p->k->site, layer, 0);
    const float *other = trace_site(t, p->k->site, layer, 1);
    if (!map)
        return other;
    float *x = arena_array(ctx->arena, (size_t)(T * width), sizeof *x, e);
    for (int64_t r = 0; x && r < T; r++)
        memcpy(x + r * width, map[r] < 0 ? own + r * width : other + map[r] * width,
            (size_t)width * sizeof *x);
    return x;
}

/* Rows [T, width] of one layer's replacement. */
static const float *replacement(const struct ctx *ctx, const struct part *p, const struct trace *t,
    const int64_t *map, int layer, struct err *e)
{
    const struct state *s = ctx->state;
    if (s->mode == MODE_ZERO)
        return zeros(ctx, p, t, layer, e);
    const int64_t T = trace_len(t, 0), width = site_width(p->k->site, t->cfg);
    if (s->mode == MODE_RESAMPLE)
        return resampled(ctx, p, t, map, layer, e);
    float *x = arena_zalloc(ctx->arena, (size_t)(T * width) * sizeof *x, e);
    for (int64_t r = 0; x && r < T; r++)
        for (int64_t c = 0; c < width; c++)
            x[r * width + c] = (float)p->mean[layer][(s->by_pos ? r * width : 0) + c];
    return x;
}

static int run_part(struct sweep *w, const struct patch_run *r, double base, struct err *e)
{
    const struct state *s = w->ctx->state;
    struct part *p = (struct part *)w->p;
    const int64_t L = w->ctx->model->cfg.n_layer;
    const struct patch_opts o = {.pool = w->ctx->pool,
        .max_bytes = w->ctx->max_bytes ? budget_left(w->ctx->budget) : 0,
        .cell = cell_at,
        .progress = on_progress,
        .arg = w};
    double *value = arena_array(w->ctx->arena, (size_t)p->cells, sizeof *value, e);
    float *row = arena_array(w->ctx->arena, (size_t)p->cells, sizeof *row, e);
    if (!value || !row)
        return ERR_LIMIT;
    if (patch_sweep(value, p->cells, r, &o, e))
        return e->code;
    for (int64_t i = 0; i < p->cells; i++) {
        const int64_t at = (L - 1 - i / p->units) * p->units + i % p->units;
        row[at] = (float)(value[i] - base);
        moments_add(&p->m, at, value[i] - base);
    }
    const int64_t start[3] = {s->next}, count[3] = {1, L, p->units};
    return block_write(p->values, start, count, row, e);
}

static int sweep_input(struct ctx *ctx, const struct trace *t, const int64_t *map,
    const struct metric_at *at, struct err *e)
{
    struct state *s = ctx->state;
    const int L = t->cfg->n_layer;
    const float **source =
        arena_zalloc(ctx->arena, (size_t)SITE_COUNT * (size_t)L * sizeof *source, e);
    if (!source)
        return ERR_LIMIT;
    for (int i = 0; i < s->n_parts; i++)
        for (int l = 0; l < L; l++) {
            const float *x = replacement(ctx, &s->part[i], t, map, l, e);
            if (!x)
                return e->code;
            source[(int)s->part[i].k->site * L + l] = x;
        }
    const struct patch_run r = {.p = ctx->params,
        .base = t,
        .source = source,
        .first = s->from,
        .metric = {s->metric, at, 1}};
    double base;
    if (patch_base_value(&base, &r, ctx->pool, e))
        return e->code;
    struct sweep w = {.ctx = ctx};
    for (int i = 0; i < s->n_parts; i++)
        w.total += (double)s->part[i].cells;
    for (int i = 0; i < s->n_parts; i++) {
        w.p = &s->part[i];
        if (run_part(&w, &r, base, e))
            return e->code;
        w.before += (double)w.p->cells;
    }
    const int64_t one = 1;
    const float x = (float)base;
    return block_write(s->base, &s->next, &one, &x, e);
}

static int run_one(struct ctx *ctx, int i, struct err *e)
{
    struct state *s = ctx->state;
    const struct input *in = subject(ctx, i);
    const struct input *other = NULL;
    int64_t *map = NULL;
    struct metric_at at = {.pos = s->pos < 0 ? s->pos + in->n : s->pos};
    if (at.pos < 0 || at.pos >= in->n)
        return err_set(e, ERR_USAGE, "--pos %lld: input %d has positions 0 to %lld",
            (long long)s->pos, in->index, (long long)in->n - 1);
    if (s->mode == MODE_RESAMPLE && partner(&other, &map, ctx, i, e))
        return e->code;
    if (ctx->pairs) {
        at.answer = ctx->pairs[i].answer;
        at.wrong = ctx->pairs[i].wrong;
        at.n_answer = ctx->pairs[i].n_answer;
        at.n_wrong = ctx->pairs[i].n_wrong;
    }
    struct trace t;
    if (forward_of(&t, ctx, in, other, false, e))
        return e->code;
    int rc = s->metric == METRIC_KL ? take_reference(&at, ctx, &t, e) : 0;
    if (!rc)
        rc = sweep_input(ctx, &t, map, &at, e);
    trace_release(&t);
    s->next++;
    return rc ? err_prefix(e, "input %d", in->index) : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct state *s = ctx->state;
    (void)out;
    for (int i = 0; i < s->n_parts; i++)
        if (moments_set(s->part[i].effect, s->part[i].se, &s->part[i].m, ctx->arena, e))
            return e->code;
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)acts, (void)out;
    const int i = (int)(in - ctx->inputs);
    if (ctx->pairs && i % 2)
        return 0;
    return run_one(ctx, ctx->pairs ? i / 2 : i, e);
}

/* The passes that values come from, and a lane a part, from its layer upward. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    const char *mode = args_text(ctx->args, "mode"), *metric = args_text(ctx->args, "metric");
    const bool is_auto = !strcmp(metric, "auto"), is_loss = is_auto && !ctx->pairs;
    const bool is_gathered = is_auto ? !is_loss : cost_is_gathered(metric);
    const double T = (double)n, L = cfg->n_layer, share = cost_share(ctx);
    const double rows = is_gathered ? 0 : is_loss || !strcmp(metric, "loss") ? T : 1;
    struct state s = {0};
    enum site site[N_KNOCKOUTS + 4] = {SITE_RESID_PRE, SITE_RESID_POST, SITE_K, SITE_V};
    struct err e;
    double units = 0, widths = 0;
    if (find_parts(&s, args_text(ctx->args, "site"), &e))
        return;
    for (int i = 0; i < s.n_parts; i++) {
        const struct knockout *k = s.part[i].k;
        units += k->axis == 'H' ? cfg->n_head : k->axis == 'N' ? cfg->d_mlp : 1;
        widths += (double)site_width(k->site, cfg);
        site[4 + i] = k->site;
    }
    const int passes = !strcmp(mode, "zero") ? 1 : 2;
    const struct estimate one = cost_pass(cfg, site, 4 + s.n_parts, n, 1);
    out->flops = share * (passes * one.flops + units * T * cost_layers(cfg) * cost_row(cfg, T) +
                             units * L * rows * cost_logits(cfg));
    out->keep_bytes = (uint64_t)(4 * share * units * L);
    out->scratch_bytes = (uint64_t)(strcmp(mode, "resample") ? 1 : 2) * one.keep_bytes +
                         one.scratch_bytes + cost_lanes(cfg, is_gathered) +
                         (uint64_t)(4 * L * T * widths + 40 * units * L);
}

const struct analysis analysis_ablate = {
    .id = "ablate",
    .title = "ablation: what the metric loses without each part",
    .help = "One part at a time is replaced by zeros, its mean over the inputs (of pairs: over the "
            "clean prompts), or its values on another input; the effect is the metric's change. On "
            "prompts that is the mean loss "
            "over their tokens, in nats: above 0 the model is worse off without the part. On pairs "
            "it is the clean prompt's logit difference: below 0 it is worse off.",
    .source = "Wang et al. 2022 (arXiv 2211.00593), mean ablation",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_WELCOME,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
