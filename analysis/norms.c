#include <math.h>

#include "analysis/analysis.h"

/* The residual stream in execution order: pre_0, mid_0, pre_1, mid_1, ..., post of the last layer. */

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    (void)e;
    plan_keep(p, SITE_RESID_PRE, -1);
    plan_keep(p, SITE_RESID_MID, -1);
    plan_keep(p, SITE_RESID_POST, ctx->model->cfg.n_layer - 1);
    return 0;
}

static const char *const groups[] = {"position 0", "other positions"};

static int declare(struct block *b[2], struct ctx *ctx, struct run *out, const struct input *in,
    int64_t n_site, struct err *e)
{
    const char **labels = arena_array(ctx->arena, (size_t)n_site, sizeof *labels, e);
    if (!labels)
        return ERR_LIMIT;
    for (int64_t i = 0; i < n_site; i++) {
        bool is_last = i + 1 == n_site;
        labels[i] = arena_printf(ctx->arena, e, "%s_%lld",
            is_last ? "post"
            : i % 2 ? "mid"
                    : "pre",
            (long long)(is_last ? i / 2 - 1 : i / 2));
        if (!labels[i])
            return ERR_LIMIT;
    }
    struct axis site = {"site", AXIS_SITE, n_site, labels};
    if (run_block(&b[0], out,
            &(struct block_spec){.name = "resid_norm",
                .input = in->index,
                .rank = 2,
                .axes = {site, {"pos", AXIS_POS, in->n, NULL}},
                .unit = "L2",
                .long_name = "norm of the residual stream",
                .look = LOOK_HEATMAP},
            e))
        return e->code;
    return run_block(&b[1], out,
        &(struct block_spec){.name = "resid_norm_mean",
            .input = in->index,
            .rank = 2,
            .axes = {{"group", AXIS_OTHER, 2, groups}, site},
            .unit = "L2",
            .long_name = "mean norm of the residual stream, position 0 apart",
            .look = LOOK_LINES},
        e);
}

static double norm(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t n_site = 2 * cfg->n_layer + 1;
    struct block *b[2];
    float *row = arena_array(ctx->arena, (size_t)in->n, sizeof *row, e);
    int rc = row ? declare(b, ctx, out, in, n_site, e) : ERR_LIMIT;
    for (int64_t i = 0; i < n_site && !rc; i++) {
        const float *x;
        enum site s = i + 1 == n_site ? SITE_RESID_POST : i % 2 ? SITE_RESID_MID : SITE_RESID_PRE;
        rc = acts_get(&x, acts, s, (int)(i + 1 == n_site ? i / 2 - 1 : i / 2), e);
        double rest = 0;
        for (int64_t t = 0; t < in->n && !rc; t++) {
            double v = norm(x + t * cfg->d_model, cfg->d_model);
            row[t] = (float)v;
            rest += t ? v : 0;
        }
        float mean[2] = {row[0], in->n > 1 ? (float)(rest / (double)(in->n - 1)) : NAN};
        int64_t start[2] = {i, 0}, count[2] = {1, in->n};
        int64_t column[2] = {0, i}, pair[2] = {2, 1};
        if (!rc)
            rc = block_write(b[0], start, count, row, e);
        if (!rc)
            rc = block_write(b[1], column, pair, mean, e);
    }
    return rc;
}

const struct analysis analysis_norms = {
    .id = "norms",
    .title = "residual norms",
    .help = "How long the residual stream is at every site and position. Position 0 is kept apart: "
            "in GPT-2 it carries a massive activation that would drown the mean.",
    .source = "Heimersheim and Turner 2023, Residual stream norms grow exponentially over the "
              "forward pass",
    .plan = plan,
    .each = each,
};
