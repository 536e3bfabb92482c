#include <string.h>

#include "analysis/site_blocks.h"
#include "analysis/token.h"
#include "model/backward.h"

/* Gradients of a scalar metric at hooks and parameters: one forward and one backward pass an input. */

static const struct param params[] = {
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "loss",
        .choices = "loss|logit|logit_diff|logprob|prob|prob_diff|kl|entropy",
        .help = "the scalar; kl is KL(without edits || with edits)"},
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
    {.name = "filter",
        .type = PARAM_STRING,
        .def = "hook_resid_post",
        .metavar = "REGEX",
        .help = "the hooks to differentiate by"},
    {.name = "weights-too",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "also the gradient of every parameter, summed over the inputs"},
    {.name = "frozen-ln",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "pass no gradient through the LayerNorm scales"},
};

struct gradients {
    enum metric_kind kind;
    int64_t target, versus; /* -1: none */
    bool is_next;
    struct plan forward, want;
    struct param_arrays grads;
    bool has_grads;
};

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    const struct config *cfg = &ctx->model->cfg;
    struct gradients *g = arena_zalloc(ctx->arena, sizeof *g, e);
    if (!g)
        return ERR_LIMIT;
    ctx->state = g;
    const char *target = args_text(ctx->args, "target"), *versus = args_text(ctx->args, "versus");
    g->target = g->versus = -1;
    g->is_next = target && !strcmp(target, "next");
    if (metric_parse(&g->kind, args_text(ctx->args, "metric"), e) ||
        plan_init(&g->forward, cfg, ctx->arena, e) || plan_init(&g->want, cfg, ctx->arena, e) ||
        sites_select(&g->want, cfg, args_text(ctx->args, "filter"), e))
        return e->code;
    if (target && *target && !g->is_next && ctx_token(&g->target, ctx, target, e))
        return e->code;
    if (versus && *versus && ctx_token(&g->versus, ctx, versus, e))
        return e->code;
    bool needs_versus = g->kind == METRIC_LOGIT_DIFF || g->kind == METRIC_PROB_DIFF;
    if (needs_versus && g->versus < 0)
        return err_set(e, ERR_USAGE, "--metric %s needs --versus TOKEN", metric_name(g->kind));
    if (g->kind == METRIC_KL && (!ctx->edits || !ctx->edits->n))
        return err_set(e, ERR_USAGE, "--metric kl compares with the unedited run: give an --edit");
    backward_plan(&g->forward, cfg);
    if (g->kind != METRIC_LOSS)
        g->forward.logits = LOGITS_ALL;
    g->has_grads = args_bool(ctx->args, "weights-too");
    return g->has_grads ? param_arrays_init(&g->grads, cfg, ctx->arena, e) : 0;
}

/* Part of an input's progress: the way back takes two thirds of it. */
struct stage {
    const struct ctx *ctx;
    double from, share;
};

static int on_stage(void *arg, double done, double total)
{
    const struct stage *s = arg;
    return s->ctx->progress(s->ctx->progress_arg, s->from + s->share * done / total, 1);
}

static int run_forward(struct trace *t, struct stage *stage, const struct plan *plan,
    const struct input *in, const struct edits *edits, struct err *e)
{
    const struct ctx *ctx = stage->ctx;
    int64_t offset[2] = {0, in->n};
    struct batch b = {in->tokens, offset, 1};
    struct forward_opts o = {.plan = plan,
        .edits = edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = on_stage,
        .progress_arg = stage,
        .budget = ctx->budget};
    return forward(t, ctx->params, &b, &o, e);
}

/* The unedited distribution at the metric's position, for kl. */
static int reference(
    float *logp, const struct ctx *ctx, const struct input *in, int64_t pos, struct err *e)
{
    struct gradients *g = ctx->state;
    struct trace t;
    struct stage stage = {ctx, 1.0 / 3, 0};
    if (run_forward(&t, &stage, &g->forward, in, NULL, e))
        return e->code;
    ops_log_softmax(logp, trace_logits(&t, 0, pos), ctx->model->cfg.vocab);
    trace_release(&t);
    return 0;
}

static int aim(struct metric_at *at, int32_t answers[2], const struct ctx *ctx,
    const struct input *in, const struct trace *t, struct err *e)
{
    const struct gradients *g = ctx->state;
    int64_t V = ctx->model->cfg.vocab;
    if (ctx_pos(&at->pos, in, args_int(ctx->args, "pos"), e))
        return e->code;
    if (g->kind == METRIC_LOSS)
        return 0;
    struct row_stats st;
    ops_row_stats(&st, trace_logits(t, 0, at->pos), V);
    if (g->is_next && at->pos + 1 >= in->n)
        return err_set(e, ERR_USAGE, "--target next: input %d ends at position %lld", in->index,
            (long long)at->pos);
    answers[0] = g->is_next       ? in->tokens[at->pos + 1]
                 : g->target >= 0 ? (int32_t)g->target
                                  : st.argmax;
    answers[1] = (int32_t)g->versus;
    at->answer = answers;
    at->n_answer = 1;
    at->wrong = answers + 1;
    at->n_wrong = g->versus >= 0;
    if (g->kind != METRIC_KL)
        return 0;
    float *logp = arena_array(ctx->arena, (size_t)V, sizeof *logp, e);
    at->reference_logp = logp;
    return logp ? reference(logp, ctx, in, at->pos, e) : ERR_LIMIT;
}

static int read(const float **out, void *arg, enum site s, int layer, struct err *e)
{
    const struct trace *t = arg;
    *out = site_is_square(s) ? trace_square(t, s, layer, 0) : trace_site(t, s, layer, 0);
    return *out ? 0 : err_set(e, ERR_USAGE, "no gradient is kept at %s", site_info(s)->name);
}

static int write(struct ctx *ctx, struct run *out, const struct input *in, struct trace *dt,
    double value, struct err *e)
{
    struct gradients *g = ctx->state;
    struct site_reader r = {read, dt, "metric per unit", "gradient of the metric"};
    struct block *b;
    if (run_block(&b, out,
            &(struct block_spec){.name = "value",
                .input = in->index,
                .dtype = DT_F64,
                .unit = metric_unit(g->kind),
                .long_name = "the metric",
                .look = LOOK_TEXT},
            e) ||
        block_set(b, &value, e))
        return e->code;
    return sites_write(out, &g->want, &ctx->model->cfg, in, &r, e);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)acts;
    struct gradients *g = ctx->state;
    struct trace t, dt = {0};
    struct stage there = {ctx, 0, 1.0 / 3}, back = {ctx, 1.0 / 3, 2.0 / 3};
    if (run_forward(&t, &there, &g->forward, in, ctx->edits, e))
        return e->code;
    struct metric_at at = {0};
    int32_t answers[2];
    double value = 0;
    struct metric m = {g->kind, &at, 1};
    struct backward_opts o = {.want = &g->want,
        .params = g->has_grads ? &g->grads : NULL,
        .frozen_ln = args_bool(ctx->args, "frozen-ln"),
        .edits = ctx->edits,
        .pool = ctx->pool,
        .progress = on_stage,
        .progress_arg = &back,
        .budget = ctx->budget};
    int rc = aim(&at, answers, ctx, in, &t, e);
    if (!rc)
        rc = backward(&dt, &value, ctx->params, &t, &m, &o, e);
    if (!rc)
        rc = write(ctx, out, in, &dt, value, e);
    trace_release(&dt);
    trace_release(&t);
    return rc;
}

/* Every parameter under its name in the file. The gammas of an LN-free model were divided by its gain;
 * the gradient is by what the file stores. */
static int write_slot(struct run *out, const struct ctx *ctx, int i, struct err *e)
{
    struct gradients *g = ctx->state;
    struct param_slot slot;
    struct block *b;
    param_slot(&slot, &ctx->model->cfg, i);
    float *x = g->grads.flat + slot.at;
    for (int64_t k = 0; k < slot.count && slot.gamma; k++)
        x[k] = (float)(x[k] / ctx->model->cfg.ln_gain);
    struct block_spec spec = {.name = slot.name,
        .input = -1,
        .rank = slot.rank,
        .axes = {{slot.rank == 2 ? "row" : "column", AXIS_DIM, slot.dim[0], NULL},
            {"column", AXIS_DIM, slot.dim[1], NULL}},
        .unit = "metric per unit",
        .long_name = "gradient of the metric, summed over the inputs",
        .look = slot.rank == 2 ? LOOK_HEATMAP : LOOK_LINES,
        .is_signed = true};
    return run_block(&b, out, &spec, e) || block_set(b, x, e) ? e->code : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct gradients *g = ctx->state;
    for (int i = 0; g->has_grads && i < param_slots(&ctx->model->cfg); i++)
        if (write_slot(out, ctx, i, e))
            return e->code;
    return 0;
}

/* A pass of its own that keeps what the way back needs, the way back, and the gradients. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    struct arena scratch = {0};
    struct plan forward, want;
    struct err e;
    int64_t offset[2] = {0, n};
    struct batch b = {NULL, offset, 1};
    const struct config *cfg = &ctx->model->cfg;
    double C = cfg->d_model, F = cfg->d_mlp, V = (double)cfg->vocab, T = (double)n;
    if (!plan_init(&forward, cfg, &scratch, &e) && !plan_init(&want, cfg, &scratch, &e) &&
        !sites_select(&want, cfg, args_text(ctx->args, "filter"), &e)) {
        backward_plan(&forward, cfg);
        forward.logits =
            strcmp(args_text(ctx->args, "metric"), "loss") != 0 ? LOGITS_ALL : LOGITS_NONE;
        struct estimate there = plan_estimate(&forward, cfg, &b);
        out->keep_bytes = plan_estimate(&want, cfg, &b).keep_bytes;
        /* Gradients of one layer, attention of one input head by head, a chunk of logits. */
        double chunk = T * V < (double)(8 << 20) ? T * V : 16 * V + (double)(8 << 20);
        double back = 4 * (T * (16 * C + 3 * F) + 5 * cfg->n_head * T * T + chunk);
        out->scratch_bytes =
            there.keep_bytes + out->keep_bytes +
            (there.scratch_bytes > (uint64_t)back ? there.scratch_bytes : (uint64_t)back);
        out->flops = 3 * there.flops;
    }
    arena_release(&scratch);
}

const struct analysis analysis_gradients = {
    .id = "gradients",
    .title = "gradients of a metric",
    .help =
        "How a scalar of the output (loss, logit, logit difference, probability, KL, entropy) "
        "changes with every activation and parameter: one backward pass. It is what attribution "
        "patching and saliency are made of.",
    .source = "TransformerLens, run_with_cache(incl_bwd=True)",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .begin = begin,
    .each = each,
    .end = end,
    .cost = cost,
};
