#include <math.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/lengths.h"
#include "analysis/moments.h"
#include "analysis/pairs.h"
#include "analysis/token.h"
#include "model/backward.h"

/* Which tokens of the prompt a scalar of the output hangs on: gradient x input, and integrated
 * gradients (Sundararajan et al. 2017), over token embeddings (docs/circuits.md, "saliency"). Points of
 * the path are inputs of one batch, so memory follows the batch and not the number of steps. */

#define MAX_STEPS 512
#define BATCH_ROWS 512

static const struct param params[] = {
    {.name = "metric",
        .type = PARAM_CHOICE,
        .choices = "loss|logit|logit_diff|logprob|prob|prob_diff|entropy",
        .help = "the scalar; default: logit_diff where there is a wrong answer, else logit"},
    {.name = "target",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .choices = "next",
        .help = "the answer token: next, a text or #ID; default: the best one at --pos"},
    {.name = "versus",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .help = "the wrong answer of logit_diff and prob_diff"},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric; negative counts from the end"},
    {.name = "baseline",
        .type = PARAM_TOKEN,
        .def = "mean",
        .choices = "mean|zero",
        .metavar = "TOKEN",
        .help = "where the path begins: the mean embedding, zero, or another token's; positions "
                "stay, so that none of them is an empty prompt"},
    {.name = "keep-bos",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "leave the BOS as it is along the path"},
    {.name = "steps",
        .type = PARAM_INT,
        .def = "16",
        .metavar = "M",
        .min = 1,
        .max = MAX_STEPS,
        .help = "steps of the path, to begin with: so many gradients, and one more with trapezoid, "
                "which takes both ends"},
    {.name = "rule",
        .type = PARAM_CHOICE,
        .def = "gauss_legendre",
        .choices = "gauss_legendre|trapezoid|midpoint|left|right",
        .help = "how the integral over the path is summed"},
    {.name = "tolerance",
        .type = PARAM_FLOAT,
        .def = "0.01",
        .min = 0,
        .max = 1e9,
        .help = "double the steps, up to 512, until the relative completeness error is below; 0: "
                "never"},
    {.name = "frozen-ln",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "pass no gradient through the LayerNorm scales"},
};

/* Blocks of inputs of one length. */
enum { GXI, NORM, IG, CURVES };
enum { ERROR, RELATIVE, VALUE, BASE, STEPS, INDEX, SCALARS };
struct group {
    struct block *curve[CURVES], *scalar[SCALARS];
    struct moments tally[CURVES];
};

struct saliency {
    struct lengths lengths;
    int64_t target, versus, baseline; /* -1: none */
    bool is_next, is_zero;
    double *mean; /* [C] of the embedding */
    struct plan forward, want;
};

/* One input under way. */
struct one {
    struct ctx *ctx;
    const struct input *in;
    struct metric_at at;
    enum metric_kind kind;
    int32_t ids[2];
    const float *e;  /* [T, C] */
    float *e0;       /* [T, C] */
    double *sum;     /* [T, C] gradient over the path, weighted */
    const double *t; /* of the batch under way */
    struct err *err;
};

/* ---- Quadrature ---- */

/* Nodes and weights of Gauss and Legendre on [0, 1], by Newton's method. */
static void gauss_legendre(double *t, double *w, int n)
{
    for (int i = 0; i < n; i++) {
        double x = cos(M_PI * (i + 0.75) / (n + 0.5)), slope = 1;
        for (int round = 0; round < 100; round++) {
            double p0 = 1, p1 = x;
            for (int k = 2; k <= n; k++) {
                double p2 = ((2 * k - 1) * x * p1 - (k - 1) * p0) / k;
                p0 = p1;
                p1 = p2;
            }
            slope = n * (x * p1 - p0) / (x * x - 1);
            double step = p1 / slope;
            x -= step;
            if (fabs(step) < 1e-15)
                break;
        }
        t[i] = (1 - x) / 2;
        w[i] = 1 / ((1 - x * x) * slope * slope);
    }
}

/* Returns how many nodes there are: the trapezoid has one more than steps. */
static int quadrature(double *t, double *w, const char *rule, int steps)
{
    if (*rule == 'g') {
        gauss_legendre(t, w, steps);
        return steps;
    }
    bool ends = *rule == 't';
    double shift = *rule == 'm' ? 0.5 : *rule == 'r' ? 1 : 0;
    for (int i = 0; i < steps + ends; i++) {
        t[i] = (i + shift) / steps;
        w[i] = (ends && (i == 0 || i == steps) ? 0.5 : 1) / steps;
    }
    return steps + ends;
}

/* ---- Gradients along the path ---- */

static int on_embedding(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    const struct one *x = arg;
    (void)s;
    (void)layer;
    for (int64_t i = 0; i < rows * width; i++)
        data[i] = (float)(x->e0[i] + x->t[input] * ((double)x->e[i] - (double)x->e0[i]));
    return 0;
}

static int on_progress(void *arg, double done, double total)
{
    const struct ctx *ctx = arg;
    (void)done;
    (void)total;
    return ctx->progress ? ctx->progress(ctx->progress_arg, 0, 1) : 0;
}

/* A batch of points: forward, back, and the weighted gradients added up. */
static int batch_of(struct one *x, double *value, const double *w, int n)
{
    const struct saliency *s = x->ctx->state;
    int64_t T = x->in->n, C = x->ctx->model->cfg.d_model;
    struct arena *a = x->ctx->arena;
    struct arena_mark mark = arena_mark(a);
    int32_t *tokens = arena_array(a, (size_t)(n * T), sizeof *tokens, x->err);
    int64_t *offset = arena_array(a, (size_t)n + 1, sizeof *offset, x->err);
    struct metric_at *at = arena_array(a, (size_t)n, sizeof *at, x->err);
    if (!tokens || !offset || !at)
        return ERR_LIMIT;
    for (int i = 0; i <= n; i++)
        offset[i] = i * T;
    for (int i = 0; i < n; i++) {
        memcpy(tokens + i * T, x->in->tokens, (size_t)T * sizeof *tokens);
        at[i] = x->at;
        at[i].input = i;
    }
    struct trace t, dt = {0};
    struct hook hook = {SITE_EMBED, -1, on_embedding, x};
    struct forward_opts fo = {.plan = &s->forward,
        .edits = x->ctx->edits,
        .hooks = &hook,
        .n_hooks = 1,
        .is_part = true,
        .pool = x->ctx->pool,
        .progress = on_progress,
        .progress_arg = x->ctx,
        .budget = x->ctx->budget};
    if (forward(&t, x->ctx->params, &(struct batch){tokens, offset, n}, &fo, x->err))
        return x->err->code;
    struct backward_opts bo = {.want = &s->want,
        .scale = n,
        .frozen_ln = args_bool(x->ctx->args, "frozen-ln"),
        .edits = x->ctx->edits,
        .pool = x->ctx->pool,
        .progress = on_progress,
        .progress_arg = x->ctx,
        .budget = x->ctx->budget};
    struct metric m = {x->kind, at, n};
    int rc = backward(&dt, value, x->ctx->params, &t, &m, &bo, x->err);
    for (int i = 0; i < n && !rc; i++) {
        const float *g = trace_site(&dt, SITE_EMBED, -1, i);
        for (int64_t k = 0; k < T * C; k++)
            x->sum[k] += w[i] * g[k];
    }
    trace_release(&dt);
    trace_release(&t);
    arena_rewind(a, mark);
    return rc;
}

/* x->sum = sum of w_k dm/de at the points t_k; *value of the last batch. */
static int path(struct one *x, double *value, const double *t, const double *w, int n)
{
    int64_t T = x->in->n, room = BATCH_ROWS / T > 1 ? BATCH_ROWS / T : 1;
    memset(x->sum, 0, (size_t)(T * x->ctx->model->cfg.d_model) * sizeof *x->sum);
    for (int i = 0; i < n; i += (int)room) {
        x->t = t + i;
        if (batch_of(x, value, w + i, n - i < room ? n - i : (int)room))
            return x->err->code;
    }
    return 0;
}

/* ---- Blocks ---- */

static enum metric_kind kind_of(const struct ctx *ctx, bool has_wrong, struct err *e)
{
    enum metric_kind k = has_wrong ? METRIC_LOGIT_DIFF : METRIC_LOGIT;
    const char *name = args_text(ctx->args, "metric");
    if (name && *name)
        metric_parse(&k, name, e);
    return k;
}

static const char source[] = "Sundararajan et al. 2017 (arXiv 1703.01365)";
static const struct {
    const char *name, *long_name;
    bool is_signed;
} curves[CURVES] = {
    [GXI] = {"grad_x_input", "gradient of the metric times the embedding, summed over dimensions",
        true},
    [NORM] = {"grad_norm", "L2 norm of the gradient by the embedding", false},
    [IG] = {"integrated_gradients",
        "gradient along the path from the baseline, times the way, summed over dimensions", true},
};
static const struct {
    const char *name, *unit, *long_name;
} scalars[SCALARS] = {
    [ERROR] = {"completeness_error", NULL,
        "sum of integrated gradients minus the metric's change along the path"},
    [RELATIVE] = {"completeness_error_relative", "ratio",
        "completeness error over the size of the change"},
    [VALUE] = {"metric", NULL, "the metric"},
    [BASE] = {"baseline_metric", NULL, "the metric at the baseline"},
    [STEPS] = {"steps", "steps", "steps of the path that were needed"},
    [INDEX] = {"source_input", "index", "which input of the run each is"},
};

static struct block_spec curve_spec(
    const struct saliency *s, const struct length *l, int k, const char *unit)
{
    return (struct block_spec){.name = curves[k].name,
        .input = -1,
        .length = lengths_key(&s->lengths, l),
        .rank = 2,
        .axes = {{"input", AXIS_INPUT, l->n, NULL}, {"pos", AXIS_POS, l->T, l->pos}},
        .unit = k == NORM ? "metric per unit" : unit,
        .long_name = curves[k].long_name,
        .source = source,
        .look = LOOK_HEATMAP,
        .is_signed = curves[k].is_signed,
        .by_slice = true};
}

static int declare(struct length *l, struct ctx *ctx, struct run *out, struct err *e)
{
    const struct saliency *s = ctx->state;
    bool has_wrong = s->versus >= 0 || (ctx->pairs && ctx->pairs[0].n_wrong);
    const char *unit = metric_unit(kind_of(ctx, has_wrong, e));
    struct group *g = arena_zalloc(ctx->arena, sizeof *g, e);
    l->own = g;
    if (!g)
        return ERR_LIMIT;
    for (int k = 0; k < CURVES; k++) {
        struct block_spec spec = curve_spec(s, l, k, unit);
        if (run_block(&g->curve[k], out, &spec, e) ||
            moments_init(&g->tally[k], l->T, ctx->arena, e))
            return e->code;
    }
    for (int k = 0; k < SCALARS; k++)
        if (run_block(&g->scalar[k], out,
                &(struct block_spec){.name = scalars[k].name,
                    .input = -1,
                    .length = lengths_key(&s->lengths, l),
                    .dtype = k >= STEPS ? DT_I32 : DT_F32,
                    .rank = 1,
                    .axes = {{"input", AXIS_INPUT, l->n, NULL}},
                    .unit = scalars[k].unit ? scalars[k].unit : unit,
                    .long_name = scalars[k].long_name,
                    .source = source,
                    .look = LOOK_BARS,
                    .is_signed = k == ERROR,
                    .is_detail = k >= STEPS,
                    .by_slice = true},
                e))
            return e->code;
    return 0;
}

/* ---- The run ---- */

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)e;
    const char *target = args_text(ctx->args, "target");
    plan_keep(p, SITE_EMBED, -1);
    if (!ctx->pairs && !(target && *target)) {
        enum logits_want want = args_int(ctx->args, "pos") == -1 ? LOGITS_LAST : LOGITS_ALL;
        p->logits = p->logits > want ? p->logits : want;
    }
    return 0;
}

static int mean_embedding(double *mean, const struct ctx *ctx, struct err *e)
{
    int64_t C = ctx->model->cfg.d_model, V = ctx->model->cfg.vocab;
    float *row = arena_array(ctx->arena, (size_t)C, sizeof *row, e);
    if (!row)
        return ERR_LIMIT;
    for (int64_t v = 0; v < V; v++) {
        if (params_embed(row, ctx->params, v, e))
            return e->code;
        for (int64_t c = 0; c < C; c++)
            mean[c] += (double)row[c] / (double)V;
    }
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    struct saliency *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    const char *target = args_text(ctx->args, "target"), *versus = args_text(ctx->args, "versus");
    const char *base = args_text(ctx->args, "baseline");
    s->target = s->versus = s->baseline = -1;
    s->is_next = target && !strcmp(target, "next");
    s->is_zero = !strcmp(base, "zero");
    s->mean = arena_zalloc(ctx->arena, (size_t)cfg->d_model * sizeof *s->mean, e);
    if (!s->mean)
        return ERR_LIMIT;
    if (target && *target && !s->is_next && ctx_token(&s->target, ctx, target, e))
        return e->code;
    if (versus && *versus && ctx_token(&s->versus, ctx, versus, e))
        return e->code;
    if (strcmp(base, "mean") != 0 && !s->is_zero && ctx_token(&s->baseline, ctx, base, e))
        return e->code;
    if (!strcmp(base, "mean") && mean_embedding(s->mean, ctx, e))
        return e->code;
    if (plan_init(&s->forward, cfg, ctx->arena, e) || plan_init(&s->want, cfg, ctx->arena, e) ||
        lengths_of(&s->lengths, ctx, false, e))
        return e->code;
    backward_plan(&s->forward, cfg);
    s->forward.logits = LOGITS_NONE;
    plan_keep(&s->want, SITE_EMBED, -1);
    for (int i = 0; i < s->lengths.n; i++)
        if (declare(&s->lengths.list[i], ctx, out, e))
            return e->code;
    return e->code;
}

/* The metric's place and answers. */
static int aim(struct one *x, const struct acts *acts, const struct pair *pair)
{
    const struct ctx *ctx = x->ctx;
    const struct saliency *s = ctx->state;
    if (ctx_pos(&x->at.pos, x->in, args_int(ctx->args, "pos"), x->err))
        return x->err->code;
    x->at.answer = x->ids;
    x->at.n_answer = 1;
    x->at.wrong = x->ids + 1;
    x->at.n_wrong = s->versus >= 0;
    x->ids[1] = (int32_t)s->versus;
    if (s->is_next && x->at.pos + 1 >= x->in->n)
        return err_set(x->err, ERR_USAGE, "--target next: input %d ends at position %lld",
            x->in->index, (long long)x->at.pos);
    if (s->is_next) {
        x->ids[0] = x->in->tokens[x->at.pos + 1];
    } else if (s->target >= 0) {
        x->ids[0] = (int32_t)s->target;
    } else if (pair) {
        x->at.answer = pair->answer;
        x->at.n_answer = pair->n_answer;
        if (s->versus < 0) {
            x->at.wrong = pair->wrong;
            x->at.n_wrong = pair->n_wrong;
        }
    } else {
        const float *logits;
        struct row_stats st;
        if (acts_logits(&logits, acts, x->at.pos, x->err))
            return x->err->code;
        ops_row_stats(&st, logits, ctx->model->cfg.vocab);
        x->ids[0] = st.argmax;
    }
    x->kind = kind_of(ctx, x->at.n_wrong > 0, x->err);
    bool is_diff = x->kind == METRIC_LOGIT_DIFF || x->kind == METRIC_PROB_DIFF;
    if (is_diff && !x->at.n_wrong)
        return err_set(x->err, ERR_USAGE, "--metric %s needs --versus TOKEN", metric_name(x->kind));
    if (x->kind == METRIC_LOSS && x->in->n < 2)
        return err_set(x->err, ERR_USAGE,
            "--metric loss: input %d has one token, and nothing to predict", x->in->index);
    return 0;
}

static int set_baseline(struct one *x)
{
    const struct saliency *s = x->ctx->state;
    int64_t C = x->ctx->model->cfg.d_model;
    bool keep = args_bool(x->ctx->args, "keep-bos") && x->ctx->model->bos_id >= 0 &&
                x->in->tokens[0] == x->ctx->model->bos_id;
    for (int64_t t = 0; t < x->in->n; t++) {
        float *row = x->e0 + t * C;
        if (t == 0 && keep)
            memcpy(row, x->e, (size_t)C * sizeof *row);
        else if (s->baseline >= 0 && params_embed(row, x->ctx->params, s->baseline, x->err))
            return x->err->code;
        else if (s->baseline < 0)
            for (int64_t c = 0; c < C; c++)
                row[c] = (float)s->mean[c];
    }
    return 0;
}

struct answer {
    float *curve[CURVES]; /* [T] */
    double value, base, error, relative;
    int32_t steps;
};

/* Doubles the points until the attributions add up. */
static int integrate(struct one *x, struct answer *a)
{
    double t[MAX_STEPS + 1], w[MAX_STEPS + 1], ignored;
    const char *rule = args_text(x->ctx->args, "rule");
    double tolerance = args_float(x->ctx->args, "tolerance");
    int64_t T = x->in->n, C = x->ctx->model->cfg.d_model;
    for (int steps = (int)args_int(x->ctx->args, "steps");; steps *= 2) {
        if (path(x, &ignored, t, w, quadrature(t, w, rule, steps)))
            return x->err->code;
        double total = 0;
        for (int64_t i = 0; i < T; i++) {
            double sum = 0;
            for (int64_t c = 0; c < C; c++)
                sum += ((double)x->e[i * C + c] - (double)x->e0[i * C + c]) * x->sum[i * C + c];
            a->curve[IG][i] = (float)sum;
            total += sum;
        }
        a->steps = steps;
        a->error = total - (a->value - a->base);
        a->relative = fabs(a->error) / fabs(a->value - a->base);
        if (!(a->relative > tolerance) || tolerance == 0 || 2 * steps > MAX_STEPS)
            return 0;
    }
}

static int attribute(struct one *x, struct answer *a)
{
    int64_t T = x->in->n, C = x->ctx->model->cfg.d_model;
    if (path(x, &a->base, (double[]){0}, (double[]){1}, 1) ||
        path(x, &a->value, (double[]){1}, (double[]){1}, 1))
        return x->err->code;
    for (int64_t i = 0; i < T; i++) {
        double dot = 0, ss = 0;
        for (int64_t c = 0; c < C; c++) {
            dot += (double)x->e[i * C + c] * x->sum[i * C + c];
            ss += x->sum[i * C + c] * x->sum[i * C + c];
        }
        a->curve[GXI][i] = (float)dot;
        a->curve[NORM][i] = (float)sqrt(ss);
    }
    return integrate(x, a);
}

static int write(const struct one *x, struct length *l, const struct answer *a)
{
    struct group *g = l->own;
    int64_t at[2] = {l->next++, 0}, row[2] = {1, l->T}, one = 1;
    const float values[] = {(float)a->error, (float)a->relative, (float)a->value, (float)a->base};
    const int32_t counts[] = {a->steps, (int32_t)(x->in - x->ctx->inputs)};
    for (int k = 0; k < CURVES; k++) {
        moments_add_all(&g->tally[k], a->curve[k]);
        if (block_write(g->curve[k], at, row, a->curve[k], x->err))
            return x->err->code;
    }
    for (int k = 0; k < SCALARS; k++)
        if (block_write(g->scalar[k], at, &one,
                k < STEPS ? (const void *)&values[k] : &counts[k - STEPS], x->err))
            return x->err->code;
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)out;
    const struct saliency *s = ctx->state;
    const struct pair *pair = ctx->pairs ? &ctx->pairs[(in - ctx->inputs) / 2] : NULL;
    if (pair && (in - ctx->inputs) % 2)
        return 0; /* the corrupt prompt */
    size_t n = (size_t)in->n * (size_t)ctx->model->cfg.d_model;
    struct one x = {.ctx = ctx, .in = in, .err = e};
    struct answer a = {0};
    x.e0 = arena_array(ctx->arena, n, sizeof *x.e0, e);
    x.sum = arena_array(ctx->arena, n, sizeof *x.sum, e);
    for (int k = 0; k < CURVES; k++)
        a.curve[k] = arena_array(ctx->arena, (size_t)in->n, sizeof **a.curve, e);
    if (e->code || acts_get(&x.e, acts, SITE_EMBED, -1, e) || aim(&x, acts, pair) ||
        set_baseline(&x) || attribute(&x, &a))
        return e->code;
    return write(&x, lengths_find(&s->lengths, in->n), &a);
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct saliency *s = ctx->state;
    static const char *const names[CURVES][2] = {{"grad_x_input_mean", "grad_x_input_se"},
        {"grad_norm_mean", "grad_norm_se"},
        {"integrated_gradients_mean", "integrated_gradients_se"}};
    for (int i = 0; i < s->lengths.n; i++) {
        const struct length *l = &s->lengths.list[i];
        struct group *g = l->own;
        for (int k = 0; k < CURVES && l->n > 1; k++)
            for (int se = 0; se < 2; se++) {
                struct block_spec spec = curve_spec(s, l, k, block_spec(g->curve[k])->unit);
                spec.name = names[k][se];
                spec.axes[0] = spec.axes[1];
                spec.rank = 1;
                spec.look = LOOK_BARS;
                spec.by_slice = false;
                spec.is_detail = se;
                spec.long_name = se ? "standard error of the mean over inputs" : "mean over inputs";
                if (moments_write(out, &spec, &g->tally[k], se, ctx->arena, e))
                    return e->code;
            }
    }
    return 0;
}

/* A gradient at the prompt and the points on the path; where a tolerance is to be met, of one doubling. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    const int64_t steps = args_int(ctx->args, "steps");
    const bool doubles = args_float(ctx->args, "tolerance") > 0 && 2 * steps <= MAX_STEPS;
    const int64_t points = 2 + (doubles ? 3 : 1) * steps;
    const int64_t room = BATCH_ROWS / n > 1 ? BATCH_ROWS / n : 1;
    const int inputs = (int)(points < room ? points : room);
    struct estimate batch = cost_back(cfg, n, inputs, false);
    out->flops = cost_share(ctx) * batch.flops * (double)points / inputs;
    out->keep_bytes = (uint64_t)(cost_share(ctx) * 4 * (2 * (double)n + 4));
    out->scratch_bytes =
        batch.scratch_bytes + (uint64_t)(n * inputs * cfg->d_model) * 4 + (uint64_t)n * 64;
}

const struct analysis analysis_saliency = {
    .id = "saliency",
    .title = "gradient x input and integrated gradients: which tokens matter",
    .help = "Gradient times input and integrated gradients of a scalar of the output over the "
            "prompt's token embeddings. The completeness error says how far the attributions are "
            "from adding up to the scalar's change.",
    .source = source,
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_WELCOME,
    .plan = plan,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
