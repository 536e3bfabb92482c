#include "analysis/heads.h"

#include <math.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/moments.h"
#include "datasets/dataset.h"

/* What heads do: TransformerLens' detectors on the patterns of the given text and the diagonals of
 * repeated random tokens, and what their weights say (docs/circuits.md, "heads"). */

static const struct param params[] = {
    {.name = "error-measure",
        .type = PARAM_CHOICE,
        .def = "mul",
        .choices = "mul|abs",
        .help = "mul: the share of attention that lies on the detector's cells; abs: 1 minus the "
                "mean difference from them"},
    {.name = "exclude-bos",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "leave out attention to position 0"},
    {.name = "exclude-current-token",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "leave out each position's attention to itself"},
    {.name = "copying",
        .type = PARAM_CHOICE,
        .def = "ov",
        .choices = "ov|tokens",
        .help = "eigenvalues of W_V W_O, or of the whole way W_E W_V W_O W_U"},
    {.name = "repeats",
        .type = PARAM_INT,
        .def = "4",
        .metavar = "N",
        .min = 0,
        .max = 10000,
        .help = "sequences of repeated random tokens to score heads on; 0: none"},
    {.name = "composition",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "also Q, K and V composition of every pair of heads"},
    {.name = "svd",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "K",
        .min = 0,
        .max = 1000,
        .help = "also the K leading singular directions of QK and OV and the tokens they read and "
                "write, each pair signed so that the largest of the second side is positive"},
};

/* For the estimate: tokens of a repeated sequence, and operations of an eigenproblem's n^3. */
enum { REPEATED = 101, EIGEN = 100 };
enum { PREVIOUS, DUPLICATE, INDUCTION, COPYING, DETECTORS };
static const char *const names[] = {"previous_token", "duplicate_token", "induction", "copying"};

struct heads {
    bool is_abs, no_bos, no_self;
    struct moments moments; /* [DETECTORS * L * H] over inputs */
    float *copying;         /* [L, H] */
    struct block *score, *se, *per_input;
    int next;
};

/* ---- Detectors on a text ---- */

/* Which cells of query i belong to a detector. */
static bool expects(int detector, const int32_t *tok, int64_t i, int64_t j)
{
    switch (detector) {
    case PREVIOUS:
        return j + 1 == i;
    case DUPLICATE:
        return j < i && tok[i] == tok[j];
    default: /* the token behind an earlier copy */
        return j > 0 && tok[i] == tok[j - 1];
    }
}

struct detect {
    const struct heads *h;
    const struct input *in;
    const float *pattern; /* [H, T, T] */
    float *score;         /* [DETECTORS, L, H] at this layer's first head */
    int64_t stride;       /* L * H */
};

/* TransformerLens' detect_head: A is the pattern, D the detector's 0/1 cells, both without what is
 * excluded. mul: sum(A D) / sum(A). abs: 1 - T mean|A - D|, to three digits. */
static void detect_one(void *arg, int64_t head, int worker)
{
    (void)worker;
    const struct detect *d = arg;
    int64_t T = d->in->n;
    const float *a = d->pattern + head * T * T;
    for (int k = PREVIOUS; k <= INDUCTION; k++) {
        double hit = 0, all = 0, diff = 0;
        for (int64_t i = 0; i < T; i++)
            for (int64_t j = d->h->no_bos ? 1 : 0; j <= (d->h->no_self ? i - 1 : i); j++) {
                double x = a[i * T + j], want = expects(k, d->in->tokens, i, j);
                hit += x * want;
                all += x;
                diff += fabs(x - want);
            }
        double score = d->h->is_abs ? 1 - rint(diff / (double)T * 1e3) / 1e3 : hit / all;
        d->score[k * d->stride + head] = T > 1 ? (float)score : NAN;
    }
}

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    plan_keep(p, SITE_PATTERN, -1);
    return 0;
}

static struct block_spec spec(const char *name, const struct config *cfg, int detectors)
{
    return (struct block_spec){.name = name,
        .input = -1,
        .rank = 3,
        .axes = {{"detector", AXIS_OTHER, detectors, names},
            {"layer", AXIS_LAYER, cfg->n_layer, NULL}, {"head", AXIS_HEAD, cfg->n_head, NULL}},
        .unit = "score",
        .source = "TransformerLens, detect_head; copying: Elhage et al. 2021",
        .look = LOOK_HEATMAP,
        .is_signed = true};
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)out;
    struct heads *h = ctx->state;
    const struct config *cfg = &ctx->model->cfg;
    int64_t n = (int64_t)cfg->n_layer * cfg->n_head;
    float *score = arena_array(ctx->arena, (size_t)(DETECTORS * n), sizeof *score, e);
    if (!score)
        return ERR_LIMIT;
    memcpy(score + COPYING * n, h->copying, (size_t)n * sizeof *score);
    for (int l = 0; l < cfg->n_layer; l++) {
        struct detect d = {h, in, NULL, score + l * cfg->n_head, n};
        if (acts_get(&d.pattern, acts, SITE_PATTERN, l, e))
            return e->code;
        pool_for(ctx->pool, cfg->n_head, detect_one, &d);
    }
    moments_add_all(&h->moments, score);
    if (!h->per_input)
        return 0;
    int64_t start[4] = {h->next++, 0, 0, 0};
    return block_write(
        h->per_input, start, (int64_t[4]){1, DETECTORS, cfg->n_layer, cfg->n_head}, score, e);
}

/* ---- Repeated random tokens ---- */

/* The period of tokens that a sequence repeats once, after `bos` tokens of its own. */
static void diagonals(double *sum, const float *pattern, int64_t T, int64_t period, int64_t heads)
{
    const int64_t back[] = {1, period, period - 1};
    for (int k = 0; k <= INDUCTION; k++)
        for (int64_t h = 0; h < heads; h++) {
            double s = 0;
            for (int64_t i = back[k]; i < T; i++)
                s += pattern[h * T * T + i * T + i - back[k]];
            sum[k * heads + h] += s / (double)(T - back[k]);
        }
}

struct repeated {
    const struct ctx *ctx;
    struct plan plan;
    double *sum; /* [L, INDUCTION + 1, H] */
    int64_t n;
};

static int on_progress(void *arg, double done, double total)
{
    const struct ctx *ctx = arg;
    (void)done;
    (void)total;
    /* No input has been looked at yet: a bar that stands still, and a way to cancel. */
    return ctx->progress ? ctx->progress(ctx->progress_arg, 0, 1) : 0;
}

static int score_sequence(struct repeated *r, const struct prompt *p, bool bos, struct err *e)
{
    const struct ctx *ctx = r->ctx;
    const struct config *cfg = &ctx->model->cfg;
    int64_t offset[2] = {0, p->n_tokens};
    struct batch b = {p->tokens, offset, 1};
    struct forward_opts o = {.plan = &r->plan,
        .edits = ctx->edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = on_progress,
        .progress_arg = (void *)ctx,
        .budget = ctx->budget};
    struct trace t;
    if (forward(&t, ctx->params, &b, &o, e))
        return e->code;
    for (int l = 0; l < cfg->n_layer; l++)
        diagonals(r->sum + (int64_t)l * (INDUCTION + 1) * cfg->n_head,
            trace_square(&t, SITE_PATTERN, l, 0), p->n_tokens, (p->n_tokens - bos) / 2,
            cfg->n_head);
    trace_release(&t);
    return 0;
}

static int write_repeated(struct run *out, const struct repeated *r, struct err *e)
{
    const struct config *cfg = &r->ctx->model->cfg;
    int64_t L = cfg->n_layer, H = cfg->n_head;
    float *score = arena_array(r->ctx->arena, (size_t)(COPYING * L * H), sizeof *score, e);
    if (!score)
        return ERR_LIMIT;
    for (int64_t l = 0; l < L; l++)
        for (int64_t k = 0; k < COPYING; k++)
            for (int64_t h = 0; h < H; h++)
                score[(k * L + l) * H + h] =
                    (float)(r->sum[(l * COPYING + k) * H + h] / (double)r->n);
    struct block_spec s = spec("repeated_score", cfg, COPYING);
    struct block *b;
    s.unit = "probability";
    s.long_name = "mean attention to the previous token, to the earlier copy and to the token "
                  "behind it, on repeated random tokens";
    s.source = "Olsson et al. 2022, in-context learning and induction heads";
    s.is_signed = false;
    return run_block(&b, out, &s, e) || block_set(b, score, e) ? e->code : 0;
}

static int repeated(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t n = args_int(ctx->args, "repeats"), ignored;
    const struct dataset *d;
    struct items items;
    struct dataset_opts o = {.n = n,
        .seed = ctx->seed,
        .vocab = cfg->vocab,
        .bos_id = ctx->model->bos_id,
        .n_ctx = cfg->n_ctx};
    if (!n || cfg->n_ctx < 5 || cfg->vocab < 2)
        return 0;
    struct repeated r = {.ctx = ctx, .n = n};
    struct arena_mark mark = arena_mark(ctx->arena);
    r.sum = arena_zalloc(ctx->arena,
        (size_t)cfg->n_layer * (INDUCTION + 1) * (size_t)cfg->n_head * sizeof *r.sum, e);
    if (!r.sum || plan_init(&r.plan, cfg, ctx->arena, e) ||
        dataset_parse(&d, &ignored, "repeated_tokens", e) ||
        dataset_make(&items, d, &o, ctx->arena, e))
        return e->code;
    plan_keep(&r.plan, SITE_PATTERN, -1);
    for (int64_t i = 0; i < items.n; i++)
        if (score_sequence(&r, &items.list[i].clean, o.bos_id >= 0, e))
            return e->code;
    int rc = write_repeated(out, &r, e);
    arena_rewind(ctx->arena, mark);
    return rc;
}

/* ---- The run ---- */

static int allocate(struct heads *h, struct ctx *ctx, struct err *e)
{
    const int64_t n = (int64_t)ctx->model->cfg.n_layer * ctx->model->cfg.n_head;
    h->copying = arena_array(ctx->arena, (size_t)n, sizeof *h->copying, e);
    return h->copying ? moments_init(&h->moments, DETECTORS * n, ctx->arena, e) : ERR_LIMIT;
}

static int copying(struct heads *h, struct ctx *ctx, struct run *out, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t L = cfg->n_layer, H = cfg->n_head, D = cfg->d_head;
    static const char *const parts[] = {"real", "imaginary"};
    struct arena_mark mark = arena_mark(ctx->arena);
    float *values = arena_array(ctx->arena, (size_t)(L * H * D * 2), sizeof *values, e);
    if (!values)
        return ERR_LIMIT;
    bool tokens = !strcmp(args_text(ctx->args, "copying"), "tokens");
    struct block *b;
    if (heads_copying(h->copying, values, ctx, tokens, e) ||
        run_block(&b, out,
            &(struct block_spec){.name = "ov_eigenvalues",
                .input = -1,
                .rank = 4,
                .axes = {{"layer", AXIS_LAYER, L, NULL}, {"head", AXIS_HEAD, H, NULL},
                    {"rank", AXIS_RANK, D, NULL}, {"part", AXIS_OTHER, 2, parts}},
                .unit = "gain",
                .is_detail = true,
                .long_name = tokens ? "eigenvalues of W_E W_V W_O W_U that are not 0"
                                    : "eigenvalues of W_V W_O that are not 0",
                .source = "Elhage et al. 2021, copying",
                .look = LOOK_HEATMAP,
                .is_signed = true},
            e) ||
        block_set(b, values, e))
        return e->code;
    arena_rewind(ctx->arena, mark);
    return 0;
}

static int declare(struct heads *h, const struct ctx *ctx, struct run *out, struct err *e)
{
    struct block_spec s = spec("score", &ctx->model->cfg, DETECTORS);
    s.long_name = "how well each head's pattern fits the detector, mean over inputs; copying is "
                  "of the weights alone";
    if (run_block(&h->score, out, &s, e) || ctx->n_inputs < 2)
        return e->code;
    s.name = "score_se";
    s.long_name = "standard error of the mean over inputs";
    s.is_signed = false;
    s.is_detail = true;
    if (run_block(&h->se, out, &s, e))
        return e->code;
    s = spec("score_by_input", &ctx->model->cfg, DETECTORS);
    memmove(s.axes + 1, s.axes, 3 * sizeof *s.axes);
    s.axes[0] = (struct axis){"input", AXIS_INPUT, ctx->n_inputs, NULL};
    s.rank = 4;
    s.is_detail = true;
    s.long_name = "how well each head's pattern fits the detector, for each input";
    s.by_slice = true;
    return run_block(&h->per_input, out, &s, e);
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct heads *h = arena_zalloc(ctx->arena, sizeof *h, e);
    if (!h)
        return ERR_LIMIT;
    ctx->state = h;
    h->is_abs = !strcmp(args_text(ctx->args, "error-measure"), "abs");
    h->no_bos = args_bool(ctx->args, "exclude-bos");
    h->no_self = args_bool(ctx->args, "exclude-current-token");
    if (allocate(h, ctx, e) || declare(h, ctx, out, e) || repeated(ctx, out, e) ||
        copying(h, ctx, out, e))
        return e->code;
    int64_t k = args_int(ctx->args, "svd");
    if (args_bool(ctx->args, "composition") && heads_composition(ctx, out, ctx->seed, e))
        return e->code;
    return k ? heads_singular(ctx, out, k, e) : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    const struct heads *h = ctx->state;
    return moments_set(h->score, h->se, &h->moments, ctx->arena, e);
}

/* What the run computes once, of weights and random sequences, shared out among the inputs. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    static const enum site pattern[] = {SITE_PATTERN};
    const struct config *cfg = &ctx->model->cfg;
    const double L = cfg->n_layer, H = cfg->n_head, D = cfg->d_head, C = cfg->d_model;
    const double V = (double)cfg->vocab, heads = L * H;
    const int64_t repeats = args_int(ctx->args, "repeats");
    const int64_t len = REPEATED < cfg->n_ctx ? REPEATED : cfg->n_ctx;
    const bool tokens = !strcmp(args_text(ctx->args, "copying"), "tokens");
    const struct estimate one = cost_pass(cfg, pattern, 1, len, 1);
    double flops = (double)repeats * one.flops;
    flops += heads * (2 * C * D * D + EIGEN * D * D * D) + (tokens ? 4 * heads * V * C * D : 0);
    if (args_bool(ctx->args, "composition"))
        flops += 3 * heads * heads * D * D * C;
    if (args_int(ctx->args, "svd"))
        flops +=
            2 * heads *
            (8 * C * D * D + EIGEN * D * D * D + 4.0 * (double)args_int(ctx->args, "svd") * C * V);
    out->flops = flops / ctx->n_inputs;
    out->keep_bytes = (uint64_t)(4 * DETECTORS * heads);
    out->scratch_bytes = repeats ? one.keep_bytes + one.scratch_bytes : 0;
    out->scratch_bytes += (uint64_t)(4 * (6 * C * C + heads * (DETECTORS * 6 + 2 * D)));
    if (tokens || args_int(ctx->args, "svd"))
        out->scratch_bytes += (uint64_t)(8 * V * D);
    (void)n;
}

const struct analysis analysis_heads = {
    .id = "heads",
    .title = "head scores: previous-token, duplicate-token, induction, copying",
    .help = "Scores every head as previous-token, duplicate-token and induction head on the given "
            "text and on repeated random tokens, and its OV circuit as copying. Composition and "
            "singular directions of the weights on request.",
    .source = "TransformerLens, detect_head; Elhage et al. 2021",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .is_folded = true,
    .plan = plan,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
