#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/lengths.h"
#include "analysis/moments.h"
#include "analysis/pairs.h"
#include "analysis/token.h"
#include "model/core/mt19937.h"
#include "model/patch.h"

/* Causal tracing: the embeddings of some tokens are noised, and one state at a time is put back as it
 * was without noise. A sample of the noise is a receiving run; the clean run is the source. */

static const struct param params[] = {
    {.name = "subject",
        .type = PARAM_STRING,
        .metavar = "TEXT",
        .help =
            "what is noised: every token that touches this text; without it, all from the first "
            "to the last token in which clean and corrupt differ"},
    {.name = "noise",
        .type = PARAM_FLOAT,
        .def = "3",
        .min = 0,
        .max = 1e6,
        .help = "standard deviations of the noise, in those of the subjects' embeddings"},
    {.name = "samples",
        .type = PARAM_INT,
        .def = "10",
        .min = 1,
        .max = 100000,
        .help = "samples of the noise, the same for every state that is put back"},
    {.name = "window",
        .type = PARAM_INT,
        .def = "10",
        .min = 1,
        .max = 1000,
        .help = "layers around each that attn_out and mlp_out are put back in together; 10 is what "
                "Meng et al. took for GPT-2 XL's 48: give a small model 1"},
    {.name = "noise-seed",
        .type = PARAM_INT,
        .def = "1",
        .min = 0,
        .max = 4294967295,
        .help = "seed of the noise, numpy's RandomState(seed).randn(samples, tokens, d_model)"},
    {.name = "target",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .help = "the token whose probability is traced; default: the best one without noise"},
};

static const char source[] = "Meng et al. 2022 (arXiv 2202.05262), indirect effect";
enum { KINDS = 3 };
static const enum site kinds[KINDS] = {SITE_RESID_POST, SITE_MLP_OUT, SITE_ATTN_OUT};
static const char *const kind_names[KINDS] = {"resid_post", "mlp_out", "attn_out"};

struct span {
    int64_t begin, end;
};

/* Over prompts of one length. */
struct tally {
    struct moments effect, total;
};

struct state {
    struct lengths lengths;
    double sd; /* of the noise */
    int samples, window;
    int64_t target; /* -1: the best */
    struct span *span;
    int n;
};

static const struct input *subject_of(const struct ctx *ctx, int i)
{
    return ctx->pairs ? ctx->pairs[i].clean : &ctx->inputs[i];
}

/* ---- what is noised ---- */

static int find_text(struct span *out, const struct ctx *ctx, const struct input *in,
    const char *text, struct err *e)
{
    struct arena tmp = {0};
    struct encoding enc;
    const char *at = in->text ? strstr(in->text, text) : NULL;
    if (!at || !ctx->model->tokenizer)
        return err_set(
            e, ERR_USAGE, "--subject: input %d does not contain \"%.80s\"", in->index, text);
    const int64_t from = at - in->text, to = from + (int64_t)strlen(text);
    int rc = tokenizer_encode(
        &enc, ctx->model->tokenizer, in->text, strlen(in->text), ENCODE_SPECIAL, &tmp, e);
    *out = (struct span){-1, -1};
    for (int64_t t = 0; !rc && t < enc.n; t++)
        if (enc.end[t] > from && enc.begin[t] < to) {
            out->begin = out->begin < 0 ? t + in->n - enc.n : out->begin;
            out->end = t + in->n - enc.n + 1;
        }
    arena_release(&tmp);
    return rc;
}

static int find_difference(struct span *out, const struct pair *p, struct err *e)
{
    const struct input *a = p->clean, *b = p->corrupt;
    *out = (struct span){-1, -1};
    for (int64_t t = 0; t < a->n && a->n == b->n; t++)
        if (a->tokens[t] != b->tokens[t]) {
            out->begin = out->begin < 0 ? t : out->begin;
            out->end = t + 1;
        }
    return out->begin >= 0 ? 0
                           : err_set(e, ERR_USAGE,
                                 "%s: clean and corrupt are not equally long and different; name "
                                 "what is noised by --subject TEXT",
                                 p->where);
}

static int find_spans(struct ctx *ctx, struct err *e)
{
    struct state *s = ctx->state;
    const char *text = args_text(ctx->args, "subject");
    if (!text && !ctx->pairs)
        return err_set(e, ERR_USAGE,
            "name what is noised: --subject TEXT, or give pairs that differ there (-f, --dataset, "
            "--clean and --corrupt)");
    s->span = arena_array(ctx->arena, (size_t)s->n, sizeof *s->span, e);
    if (!s->span)
        return ERR_LIMIT;
    for (int i = 0; i < s->n; i++)
        if (text ? find_text(&s->span[i], ctx, subject_of(ctx, i), text, e)
                 : find_difference(&s->span[i], &ctx->pairs[i], e))
            return e->code;
    return 0;
}

static int add_rows(double *n, double *sum, double *squares, const struct ctx *ctx,
    const int32_t *ids, int64_t n_ids, float *row, struct err *e)
{
    const int64_t C = ctx->model->cfg.d_model;
    for (int64_t t = 0; t < n_ids; t++) {
        if (params_embed(row, ctx->params, ids[t], e))
            return e->code;
        for (int64_t c = 0; c < C; c++) {
            *sum += (double)row[c];
            *squares += (double)row[c] * (double)row[c];
        }
        *n += (double)C;
    }
    return 0;
}

/* Unbiased, over all values of the embeddings of all subjects; a subject named by its text is
 * tokenised alone (Meng et al.'s code). */
static int measure_noise(struct ctx *ctx, struct err *e)
{
    struct state *s = ctx->state;
    const char *text = args_text(ctx->args, "subject");
    struct encoding alone = {0};
    float *row = arena_array(ctx->arena, (size_t)ctx->model->cfg.d_model, sizeof *row, e);
    double n = 0, sum = 0, squares = 0;
    if (!row || (text && tokenizer_encode(
                             &alone, ctx->model->tokenizer, text, strlen(text), 0, ctx->arena, e)))
        return e->code;
    for (int i = 0; i < s->n; i++) {
        const struct span *w = &s->span[i];
        if (add_rows(&n, &sum, &squares, ctx,
                text ? alone.ids : subject_of(ctx, i)->tokens + w->begin,
                text ? alone.n : w->end - w->begin, row, e))
            return e->code;
    }
    s->sd = args_float(ctx->args, "noise") * sqrt((squares - sum * sum / n) / (n - 1));
    return 0;
}

static int start_tallies(struct ctx *ctx, struct err *e)
{
    struct state *s = ctx->state;
    const int64_t cells = (int64_t)KINDS * ctx->model->cfg.n_layer;
    if (lengths_of(&s->lengths, ctx, false, e))
        return e->code;
    for (int i = 0; i < s->lengths.n; i++) {
        struct length *l = &s->lengths.list[i];
        struct tally *t = arena_zalloc(ctx->arena, sizeof *t, e);
        if (!t || moments_init(&t->effect, cells * l->T, ctx->arena, e) ||
            moments_init(&t->total, 1, ctx->arena, e))
            return e->code;
        l->own = t;
    }
    return 0;
}

/* A window over half of the model puts back the same layers for most of the rows of a map. */
static void warn_of_window(const struct ctx *ctx)
{
    const int64_t window = args_int(ctx->args, "window");
    const int L = ctx->model->cfg.n_layer;
    char text[160];
    if (!ctx->note || window < 2 || 2 * window < L)
        return;
    snprintf(text, sizeof text,
        "trace: windows of %lld layers cover %s of %d, so that rows of mlp_out and attn_out say "
        "nearly the same; --window 1 tells layers apart",
        (long long)window, window < L ? "half or more" : "all", L);
    ctx->note(ctx->note_arg, text);
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct state *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    s->n = ctx->pairs ? ctx->n_inputs / 2 : ctx->n_inputs;
    s->samples = (int)args_int(ctx->args, "samples");
    s->window = (int)args_int(ctx->args, "window");
    s->target = -1;
    const char *target = args_text(ctx->args, "target");
    if (ctx->edits)
        return err_set(e, ERR_USAGE, "trace works on the unedited model; leave --edit out");
    if (target && *target && ctx_token(&s->target, ctx, target, e))
        return e->code;
    if (find_spans(ctx, e) || measure_noise(ctx, e) || start_tallies(ctx, e))
        return e->code;
    warn_of_window(ctx);
    return run_attr_float(out, "noise_sd", s->sd, e);
}

/* ---- one prompt ---- */

struct traced {
    struct ctx *ctx;
    const struct input *in;
    const struct span *span;
    struct trace clean;
    struct moments m, low;
    const float **source;
    int32_t target;
    double high;
    struct metric_at at;
    /* of the sample under way */
    const double *noise; /* [span, C] */
    int sample;
};

static int add_noise(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    const struct traced *t = arg;
    (void)s, (void)layer, (void)input, (void)rows;
    for (int64_t r = t->span->begin; r < t->span->end; r++)
        for (int64_t c = 0; c < width; c++)
            data[r * width + c] =
                (float)((double)data[r * width + c] + t->noise[(r - t->span->begin) * width + c]);
    return 0;
}

static int run_forward(struct trace *out, struct traced *t, bool noised, struct err *e)
{
    const struct ctx *ctx = t->ctx;
    struct plan plan;
    const int64_t offset[2] = {0, t->in->n};
    const struct hook hook = {SITE_EMBED, -1, add_noise, t};
    if (plan_init(&plan, &ctx->model->cfg, ctx->arena, e))
        return e->code;
    for (int k = 0; k < KINDS; k++)
        if (noised)
            patch_plan_base(&plan, kinds[k]);
        else
            patch_plan_source(&plan, kinds[k]);
    plan.logits = noised ? LOGITS_NONE : LOGITS_LAST;
    const struct batch b = {t->in->tokens, offset, 1};
    const struct forward_opts o = {
        .plan = &plan, .hooks = &hook, .n_hooks = noised, .pool = ctx->pool, .budget = ctx->budget};
    return forward(out, ctx->params, &b, &o, e);
}

/* Cell i of [kind, layer, pos], the last layer first. */
static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    const struct traced *t = arg;
    const struct state *s = t->ctx->state;
    const int L = t->ctx->model->cfg.n_layer;
    const int64_t T = t->in->n, per = KINDS * T;
    const int layer = (int)(L - 1 - i / per), kind = (int)(i % per / T);
    const int lo = layer - s->window / 2, hi = layer + (s->window + 1) / 2;
    *out = (struct patch_cell){.site = kinds[kind],
        .layer = kind ? (lo > 0 ? lo : 0) : layer,
        .layer_end = kind ? (hi < L ? hi : L) : layer + 1,
        .head = -1,
        .unit = -1,
        .pos = i % T,
        .key = -1};
}

static int on_progress(void *arg, double done, double total)
{
    const struct traced *t = arg;
    const struct state *s = t->ctx->state;
    return t->ctx->progress
               ? t->ctx->progress(t->ctx->progress_arg, t->sample + done / total, s->samples)
               : 0;
}

static int run_sample(struct traced *t, struct err *e)
{
    const int64_t T = t->in->n, L = t->ctx->model->cfg.n_layer, n = KINDS * L * T;
    struct trace noised;
    double low, *value = arena_array(t->ctx->arena, (size_t)n, sizeof *value, e);
    if (!value || run_forward(&noised, t, true, e))
        return e->code;
    const struct patch_run r = {.p = t->ctx->params,
        .base = &noised,
        .source = t->source,
        .first = t->span->begin,
        .metric = {METRIC_PROB, &t->at, 1}};
    const struct patch_opts o = {.pool = t->ctx->pool,
        .max_bytes = t->ctx->max_bytes,
        .cell = cell_at,
        .progress = on_progress,
        .arg = t};
    int rc = patch_base_value(&low, &r, t->ctx->pool, e);
    if (!rc)
        rc = patch_sweep(value, n, &r, &o, e);
    trace_release(&noised);
    if (rc)
        return rc;
    moments_add(&t->low, 0, low);
    for (int64_t i = 0; i < n; i++) {
        const int64_t layer = L - 1 - i / (KINDS * T), kind = i % (KINDS * T) / T;
        moments_add(&t->m, (kind * L + layer) * T + i % T, value[i] - low);
    }
    return 0;
}

static int write_number(struct run *out, const struct input *in, const char *name, const char *what,
    double x, struct err *e)
{
    struct block *b;
    const float value = (float)x;
    if (run_block(&b, out,
            &(struct block_spec){.name = name,
                .input = in->index,
                .unit = "probability",
                .long_name = what,
                .look = LOOK_TEXT},
            e))
        return e->code;
    return block_set(b, &value, e);
}

/* A prompt among others of its length is told by their mean. */
static bool has_mean(const struct traced *t)
{
    const struct state *s = t->ctx->state;
    return lengths_find(&s->lengths, t->in->n)->n > 1;
}

static int write_effects(struct run *out, const struct traced *t, struct err *e)
{
    static const char *const names[2] = {"effect", "effect_se"};
    static const char *const what[2] = {
        "probability that one clean state restores, mean over samples of the noise",
        "standard error of the effect over samples of the noise"};
    struct block *b[2];
    for (int i = 0; i < 2; i++)
        if (run_block(&b[i], out,
                &(struct block_spec){.name = names[i],
                    .input = t->in->index,
                    .rank = 3,
                    .axes = {{"site", AXIS_SITE, KINDS, kind_names},
                        {"layer", AXIS_LAYER, t->ctx->model->cfg.n_layer, NULL},
                        {"pos", AXIS_POS, t->in->n, NULL}},
                    .unit = "probability",
                    .long_name = what[i],
                    .source = source,
                    .look = LOOK_HEATMAP,
                    .is_signed = i == 0,
                    .is_detail = i == 1 || has_mean(t)},
                e))
            return e->code;
    if (moments_set(b[0], b[1], &t->m, t->ctx->arena, e))
        return e->code;
    const double low = t->low.mean[0];
    if (write_number(out, t->in, "clean_prob", "probability without noise", t->high, e) ||
        write_number(
            out, t->in, "noised_prob", "probability with noise, mean over samples", low, e))
        return e->code;
    return write_number(
        out, t->in, "total_effect", "what the noise takes: clean - noised", t->high - low, e);
}

static int run_samples(struct traced *t, struct err *e)
{
    const struct state *s = t->ctx->state;
    const int64_t C = t->ctx->model->cfg.d_model, n = (t->span->end - t->span->begin) * C;
    double *noise = arena_array(t->ctx->arena, (size_t)n, sizeof *noise, e);
    struct mt19937 rng;
    if (!noise)
        return ERR_LIMIT;
    mt19937_init(&rng, (uint32_t)args_int(t->ctx->args, "noise-seed"));
    t->noise = noise;
    for (t->sample = 0; t->sample < s->samples; t->sample++) {
        const struct arena_mark mark = arena_mark(t->ctx->arena);
        for (int64_t i = 0; i < n; i++)
            noise[i] = s->sd * mt19937_normal(&rng);
        if (run_sample(t, e))
            return e->code;
        arena_rewind(t->ctx->arena, mark);
    }
    return 0;
}

static int aim(struct traced *t, struct err *e)
{
    const struct state *s = t->ctx->state;
    const struct config *cfg = &t->ctx->model->cfg;
    const float *z = trace_logits(&t->clean, 0, -1);
    struct row_stats st;
    ops_row_stats(&st, z, cfg->vocab);
    t->target = s->target >= 0 ? (int32_t)s->target : st.argmax;
    t->high = exp((double)z[t->target] - st.lse);
    t->at = (struct metric_at){.pos = t->in->n - 1, .answer = &t->target, .n_answer = 1};
    t->source =
        arena_zalloc(t->ctx->arena, SITE_COUNT * (size_t)cfg->n_layer * sizeof *t->source, e);
    for (int k = 0; t->source && k < KINDS; k++)
        for (int l = 0; l < cfg->n_layer; l++)
            t->source[(int)kinds[k] * cfg->n_layer + l] = trace_site(&t->clean, kinds[k], l, 0);
    return t->source ? 0 : ERR_LIMIT;
}

/* What a whole prompt adds to the means. */
static void add_prompt(const struct traced *t)
{
    const struct state *s = t->ctx->state;
    struct length *l = lengths_find(&s->lengths, t->in->n);
    struct tally *y = l->own;
    for (int64_t i = 0; i < t->m.n; i++)
        moments_add(&y->effect, i, t->m.mean[i]);
    moments_add(&y->total, 0, t->high - t->low.mean[0]);
    l->next++;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    const struct state *s = ctx->state;
    const int i = (int)(in - ctx->inputs), k = ctx->pairs ? i / 2 : i;
    (void)acts;
    if (ctx->pairs && i % 2)
        return 0;
    struct traced t = {.ctx = ctx, .in = in, .span = &s->span[k]};
    if (moments_init(&t.m, (int64_t)KINDS * ctx->model->cfg.n_layer * in->n, ctx->arena, e) ||
        moments_init(&t.low, 1, ctx->arena, e) || run_forward(&t.clean, &t, false, e))
        return e->code;
    int rc = aim(&t, e);
    if (!rc)
        rc = run_samples(&t, e);
    if (!rc)
        add_prompt(&t);
    struct err later = {0};
    if (!rc || rc == ERR_CANCEL) {
        int written = write_effects(out, &t, rc ? &later : e);
        rc = rc ? rc : written;
    }
    trace_release(&t.clean);
    return rc;
}

/* ---- over prompts ---- */

static const struct {
    const char *name, *what;
    bool is_effect, is_se;
} means[] = {
    {"effect_mean", "probability that one clean state restores, mean over prompts", true, false},
    {"effect_se", "standard error of the effect over prompts", true, true},
    {"total_effect_mean", "what the noise takes, mean over prompts", false, false},
    {"total_effect_se", "standard error of what the noise takes, over prompts", false, true},
};

static int write_mean(
    struct ctx *ctx, struct run *out, const struct length *l, size_t k, struct err *e)
{
    const struct state *s = ctx->state;
    const struct tally *y = l->own;
    struct block_spec spec = {.name = means[k].name,
        .input = -1,
        .length = lengths_key(&s->lengths, l),
        .unit = "probability",
        .long_name = means[k].what,
        .look = LOOK_TEXT};
    if (means[k].is_effect) {
        spec.rank = 3;
        spec.axes[0] = (struct axis){"site", AXIS_SITE, KINDS, kind_names};
        spec.axes[1] = (struct axis){"layer", AXIS_LAYER, ctx->model->cfg.n_layer, NULL};
        spec.axes[2] = (struct axis){"pos", AXIS_POS, l->T, l->pos};
        spec.source = source;
        spec.look = LOOK_HEATMAP;
        spec.is_signed = !means[k].is_se;
    }
    spec.is_detail = means[k].is_se || l->n < 2;
    return moments_write(
        out, &spec, means[k].is_effect ? &y->effect : &y->total, means[k].is_se, ctx->arena, e);
}

/* Positions are averaged one by one: over prompts of one length alone. */
static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct state *s = ctx->state;
    for (int i = 0; i < s->lengths.n; i++) {
        const struct length *l = &s->lengths.list[i];
        struct block *b;
        const int32_t done = l->next;
        for (size_t k = 0; k < sizeof means / sizeof *means && s->n > 1; k++)
            if (write_mean(ctx, out, l, k, e))
                return e->code;
        if (s->n > 1 && (run_block(&b, out,
                             &(struct block_spec){.name = "prompts",
                                 .input = -1,
                                 .length = lengths_key(&s->lengths, l),
                                 .dtype = DT_I32,
                                 .unit = "prompts",
                                 .long_name = "prompts that the means are over",
                                 .look = LOOK_TEXT},
                             e) ||
                            block_set(b, &done, e)))
            return e->code;
    }
    return 0;
}

/* The clean run; for each sample a noised one and a lane a cell, from the first noised position on (from
 * the beginning where only --subject knows it). */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    static const enum site site[] = {
        SITE_RESID_PRE, SITE_RESID_POST, SITE_K, SITE_V, SITE_MLP_OUT, SITE_ATTN_OUT};
    const struct config *cfg = &ctx->model->cfg;
    const double L = cfg->n_layer, T = (double)n, share = cost_share(ctx);
    const double D = T - (double)(args_text(ctx->args, "subject") ? 0 : cost_first(ctx));
    const int64_t samples = args_int(ctx->args, "samples"), window = args_int(ctx->args, "window");
    const struct estimate one = cost_pass(cfg, site, 6, n, 1);
    double layers = cost_layers(cfg);
    for (int64_t l = 0; l < cfg->n_layer; l++) /* a window's lane is born in its first layer */
        layers += 2 * (L - (double)(l > window / 2 ? l - window / 2 : 0));
    out->flops = share * (one.flops + (double)samples *
                                          (one.flops + D * (D + 1) / 2 * layers * cost_row(cfg, T) +
                                              KINDS * L * D * cost_logits(cfg)));
    out->keep_bytes = (uint64_t)(share * 8 * (KINDS * L * T + 2));
    out->scratch_bytes = 2 * one.keep_bytes + one.scratch_bytes + cost_lanes(cfg, false) +
                         (uint64_t)(KINDS * L * T * 48);
}

const struct analysis analysis_trace = {
    .id = "trace",
    .title = "causal tracing: which states restore an answer under noise",
    .help =
        "The embeddings of a subject are noised, and one state at a time (or ten layers of MLP or "
        "attention outputs) is put back as it was. The effect is the probability of the clean "
        "prompt's best token that this restores, for each prompt and as a mean over those of a "
        "length.",
    .source = "Meng et al. 2022 (arXiv 2202.05262)",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_WELCOME,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
