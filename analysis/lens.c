#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/token.h"

/* Logit lens (nostalgebraist 2020): the stream before each layer, and the final one, through ln_final
 * with statistics of its own and the unembedding. */

static const struct param params[] = {
    {.name = "top",
        .type = PARAM_INT,
        .def = "5",
        .metavar = "K",
        .min = 1,
        .max = 1000,
        .help = "how many best tokens to keep per layer and position"},
    {.name = "target",
        .type = PARAM_TOKEN,
        .def = "next",
        .choices = "next",
        .metavar = "TOKEN",
        .help = "the token to follow: next (the text's own next token), a text or #ID"},
};

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)e;
    plan_keep(p, SITE_RESID_PRE, -1);
    plan_keep(p, SITE_RESID_POST, ctx->model->cfg.n_layer - 1);
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    int64_t *target = arena_alloc(ctx->arena, sizeof *target, e);
    if (!target)
        return ERR_LIMIT;
    const char *text = args_text(ctx->args, "target");
    *target = -1;
    ctx->state = target;
    return strcmp(text, "next") ? ctx_token(target, ctx, text, e) : 0;
}

/* Results of one input, [L + 1, T] or [L + 1, T, k]. */
struct lens {
    const struct ctx *ctx;
    const struct input *in;
    const float **stream; /* [L + 1], each [T, C] */
    int64_t target;       /* -1: the text's own next token */
    int k, n_rows;        /* of the lens: L + 1 */
    int32_t *top, *rank;
    float *top_logprob, *logprob, *entropy, *kl;
    /* One chunk: positions [t0, t0 + n) of every layer stacked, final row last. */
    int64_t t0, n;
    float *y, *logits; /* [n_rows * n, C], [n_rows * n, V] */
    float *scale;      /* [n] */
};

static void stats_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    struct lens *s = arg;
    int64_t V = s->ctx->model->cfg.vocab, t = s->t0 + i;
    const float *final = s->logits + ((s->n_rows - 1) * s->n + i) * V;
    /* The last row first: the others are measured against it. */
    for (int l = s->n_rows - 1; l >= 0; l--) {
        float *row = s->logits + (l * s->n + i) * V;
        int64_t at = l * s->in->n + t;
        struct row_stats st;
        ops_row_stats(&st, row, V);
        ops_log_softmax(row, row, V);
        ops_topk(s->top + at * s->k, s->top_logprob + at * s->k, row, V, s->k);
        s->entropy[at] = (float)st.entropy;
        s->kl[at] = l == s->n_rows - 1 ? 0 : (float)ops_kl(final, row, V);
        int64_t target = s->target >= 0 ? s->target : t + 1 < s->in->n ? s->in->tokens[t + 1] : -1;
        s->logprob[at] = target < 0 ? NAN : row[target];
        s->rank[at] = target < 0 ? -1 : (int32_t)ops_rank(row, V, target);
    }
}

static int chunks(struct lens *s, int64_t per_chunk, struct err *e)
{
    const struct params *p = s->ctx->params;
    int64_t C = p->cfg.d_model, V = p->cfg.vocab, T = s->in->n;
    struct ln ln = {p->cfg.ln, p->cfg.ln_eps, p->lnf_g, p->lnf_b, false};
    const struct panel *w = params_panel(p, MAT_UNEMBED, 0, e);
    if (!w)
        return e->code;
    for (s->t0 = 0; s->t0 < T; s->t0 += s->n) {
        if (s->ctx->progress(s->ctx->progress_arg, (double)s->t0, (double)T))
            return err_set(e, ERR_CANCEL, "interrupted");
        s->n = T - s->t0 < per_chunk ? T - s->t0 : per_chunk;
        for (int l = 0; l < s->n_rows; l++)
            ops_ln(s->y + l * s->n * C, C, s->scale, s->stream[l] + s->t0 * C, C, s->n, C, &ln,
                s->ctx->pool);
        ops_gemm(
            s->logits, V, s->y, C, s->n_rows * s->n, w, 0, V, &(struct epilogue){0}, s->ctx->pool);
        pool_for(s->ctx->pool, s->n, stats_row, s);
    }
    return 0;
}

static int allocate(struct lens *s, int64_t per_chunk, struct arena *a, struct err *e)
{
    size_t cells = (size_t)s->n_rows * (size_t)s->in->n, k = (size_t)s->k;
    size_t rows = (size_t)s->n_rows * (size_t)per_chunk;
    const struct config *cfg = &s->ctx->model->cfg;
    void **const out[] = {(void **)&s->top, (void **)&s->top_logprob, (void **)&s->rank,
        (void **)&s->logprob, (void **)&s->entropy, (void **)&s->kl, (void **)&s->y,
        (void **)&s->logits, (void **)&s->scale};
    const size_t count[] = {cells * k, cells * k, cells, cells, cells, cells,
        rows * (size_t)cfg->d_model, rows * (size_t)cfg->vocab, (size_t)per_chunk};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        *out[i] = arena_array(a, count[i], 4, e);
        if (!*out[i])
            return ERR_LIMIT;
    }
    return 0;
}

static int write(const struct lens *s, struct run *out, struct arena *a, struct err *e)
{
    static const char source[] = "nostalgebraist 2020, the logit lens";
    const char **labels = arena_array(a, (size_t)s->n_rows, sizeof *labels, e);
    if (!labels)
        return ERR_LIMIT;
    for (int l = 0; l < s->n_rows; l++) {
        labels[l] = l + 1 < s->n_rows ? arena_printf(a, e, "%d_pre", l) : "final_post";
        if (!labels[l])
            return ERR_LIMIT;
    }
    const struct {
        const char *name, *unit, *long_name;
        enum dtype dtype;
        int rank;
        const void *data;
    } blocks[] = {
        {"top_token", "token id", "the best tokens, best first", DT_I32, 3, s->top},
        {"top_logprob", "nats", "their log-probabilities", DT_F32, 3, s->top_logprob},
        {"target_logprob", "nats", "log-probability of the target", DT_F32, 2, s->logprob},
        {"target_rank", "rank", "rank of the target, 0 is best", DT_I32, 2, s->rank},
        {"entropy", "nats", "entropy of the lens distribution", DT_F32, 2, s->entropy},
        {"kl_to_final", "nats", "KL(final || layer)", DT_F32, 2, s->kl},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct block *b;
        struct block_spec spec = {.name = blocks[i].name,
            .input = s->in->index,
            .dtype = blocks[i].dtype,
            .rank = blocks[i].rank,
            .axes = {{"layer", AXIS_LAYER, s->n_rows, labels}, {"pos", AXIS_POS, s->in->n, NULL},
                {"k", AXIS_RANK, s->k, NULL}},
            .unit = blocks[i].unit,
            .long_name = blocks[i].long_name,
            .source = source,
            .look = LOOK_HEATMAP,
            .below_0_is_none = blocks[i].data == s->rank}; /* no next token, no rank */
        if (run_block(&b, out, &spec, e) || block_set(b, blocks[i].data, e))
            return e->code;
    }
    return 0;
}

/* Enough rows for the product to run at full speed, few enough to keep the logits small. */
static int64_t chunk_of(int64_t n_rows, int64_t n)
{
    int64_t most = 256 / n_rows > 1 ? 256 / n_rows : 1;
    return most < n ? most : n;
}

static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t k = args_int(ctx->args, "top"), C = cfg->d_model, V = cfg->vocab;
    int64_t rows = cfg->n_layer + 1, cells = rows * n, chunk = chunk_of(rows, n);
    k = k < V ? k : V;
    out->keep_bytes = (uint64_t)(4 * cells * (2 * k + 4));
    out->scratch_bytes = out->keep_bytes + (uint64_t)(4 * chunk * (rows * (C + V) + 1)) + 4096;
    out->flops = 2.0 * (double)cells * (double)C * (double)V;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t k = args_int(ctx->args, "top");
    struct lens s = {.ctx = ctx,
        .in = in,
        .target = *(int64_t *)ctx->state,
        .k = (int)(k < cfg->vocab ? k : cfg->vocab),
        .n_rows = cfg->n_layer + 1};
    int64_t per_chunk = chunk_of(s.n_rows, in->n);
    s.stream = arena_array(ctx->arena, (size_t)s.n_rows, sizeof *s.stream, e);
    int rc = s.stream ? allocate(&s, per_chunk, ctx->arena, e) : ERR_LIMIT;
    for (int l = 0; l < s.n_rows && !rc; l++)
        rc = l < cfg->n_layer ? acts_get(&s.stream[l], acts, SITE_RESID_PRE, l, e)
                              : acts_get(&s.stream[l], acts, SITE_RESID_POST, l - 1, e);
    if (!rc)
        rc = chunks(&s, per_chunk, e);
    if (!rc)
        rc = write(&s, out, ctx->arena, e);
    return rc;
}

const struct analysis analysis_lens = {
    .id = "lens",
    .title = "logit lens",
    .help =
        "What the model would answer if it stopped before each layer: the residual stream through "
        "the final LayerNorm, with statistics of its own, and the unembedding. The last row is "
        "the model itself.",
    .source = "nostalgebraist 2020, the logit lens",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .plan = plan,
    .begin = begin,
    .each = each,
    .cost = cost,
};
