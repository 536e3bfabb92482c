#include <math.h>

#include "analysis/analysis.h"

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    p->logits = LOGITS_ALL;
    return 0;
}

struct rows {
    const float *logits;
    const struct input *in;
    int64_t vocab;
    float *next;
};

static void logprob_row(void *arg, int64_t t, int worker)
{
    (void)worker;
    struct rows *r = arg;
    struct row_stats st;
    const float *row = r->logits + t * r->vocab;
    ops_row_stats(&st, row, r->vocab);
    r->next[t] = (float)(row[r->in->tokens[t + 1]] - st.lse);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    int64_t V = ctx->model->cfg.vocab;
    const float *logits;
    float *next = arena_array(ctx->arena, (size_t)in->n, sizeof *next, e);
    if (!next || acts_logits(&logits, acts, 0, e))
        return e->code;
    struct rows r = {logits, in, V, next};
    pool_for(ctx->pool, in->n - 1, logprob_row, &r);
    next[in->n - 1] = NAN;
    double sum = 0;
    for (int64_t t = 0; t + 1 < in->n; t++)
        sum -= next[t];
    float loss = in->n > 1 ? (float)(sum / (double)(in->n - 1)) : NAN;
    struct block *b;
    struct axis pos = {"pos", AXIS_POS, in->n, NULL}, vocab = {"vocab", AXIS_VOCAB, V, NULL};
    int rc = run_block(&b, out,
        &(struct block_spec){.name = "logits",
            .input = in->index,
            .rank = 2,
            .axes = {pos, vocab},
            .unit = "logits",
            .long_name = "logits of the next token",
            .look = LOOK_HEATMAP,
            .is_signed = true},
        e);
    if (!rc)
        rc = block_set(b, logits, e);
    if (!rc)
        rc = run_block(&b, out,
            &(struct block_spec){.name = "logprob_next",
                .input = in->index,
                .rank = 1,
                .axes = {pos},
                .unit = "nats",
                .long_name = "log-probability of the text's own next token",
                .look = LOOK_TOKENS},
            e);
    if (!rc)
        rc = block_set(b, next, e);
    if (!rc)
        rc = run_block(&b, out,
            &(struct block_spec){.name = "loss",
                .input = in->index,
                .unit = "nats",
                .long_name = "mean negative log-probability of the text",
                .look = LOOK_TEXT},
            e);
    if (!rc)
        rc = block_set(b, &loss, e);
    return rc;
}

static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    out->keep_bytes = 4 * (uint64_t)n * (uint64_t)(ctx->model->cfg.vocab + 1);
    out->scratch_bytes = 4 * (uint64_t)n;
}

const struct analysis analysis_logits = {
    .id = "logits",
    .title = "next-token logits",
    .help = "The model's own output at every position: the logits of the next token, the "
            "log-probability it gives to the token that follows in the text, and the mean loss. "
            "Everything else is measured against these.",
    .source = "Radford et al. 2019",
    .plan = plan,
    .each = each,
    .cost = cost,
};
