#include "analysis/analysis.h"

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    plan_keep(p, SITE_PATTERN, -1);
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    struct block *b;
    if (run_block(&b, out,
            &(struct block_spec){.name = "pattern",
                .input = in->index,
                .rank = 4,
                .axes = {{"layer", AXIS_LAYER, cfg->n_layer, NULL},
                    {"head", AXIS_HEAD, cfg->n_head, NULL}, {"query", AXIS_POS, in->n, NULL},
                    {"key", AXIS_POS, in->n, NULL}},
                .unit = "probability",
                .long_name = "attention pattern: softmax of the scores",
                .source = "Vaswani et al. 2017, eq. 1",
                .look = LOOK_HEATMAP},
            e))
        return e->code;
    for (int64_t l = 0; l < cfg->n_layer; l++) {
        const float *pattern;
        int64_t start[4] = {l, 0, 0, 0}, count[4] = {1, cfg->n_head, in->n, in->n};
        if (acts_get(&pattern, acts, SITE_PATTERN, (int)l, e) ||
            block_write(b, start, count, pattern, e))
            return e->code;
    }
    return 0;
}

static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    out->keep_bytes = 4 * (uint64_t)cfg->n_layer * (uint64_t)cfg->n_head * (uint64_t)(n * n);
}

const struct analysis analysis_attention = {
    .id = "attention",
    .title = "attention patterns",
    .help =
        "How much each head looks at each earlier position: one row of probabilities per query. "
        "A pattern says where a head reads, not what it does with it.",
    .source = "Vaswani et al. 2017, eq. 1",
    .plan = plan,
    .each = each,
    .cost = cost,
};
