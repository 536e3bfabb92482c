#include "analysis/site_blocks.h"

static const struct param params[] = {
    {.name = "filter",
        .type = PARAM_STRING,
        .def = "hook_resid_post",
        .metavar = "REGEX",
        .help = "keep the hooks whose name this is found in (sonde list hooks)"},
};

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    return sites_select(p, &ctx->model->cfg, args_text(ctx->args, "filter"), e);
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    struct plan *which = arena_alloc(ctx->arena, sizeof *which, e);
    ctx->state = which;
    return which && !plan_init(which, &ctx->model->cfg, ctx->arena, e)
               ? sites_select(which, &ctx->model->cfg, args_text(ctx->args, "filter"), e)
               : ERR_LIMIT;
}

static int read(const float **out, void *arg, enum site s, int layer, struct err *e)
{
    return acts_get(out, arg, s, layer, e);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    struct site_reader r = {read, (void *)acts, "", "activation"};
    return sites_write(out, ctx->state, &ctx->model->cfg, in, &r, e);
}

/* The result is a copy of what the pass keeps. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    struct arena scratch = {0};
    struct plan p;
    struct err e;
    int64_t offset[2] = {0, n};
    struct batch b = {NULL, offset, 1};
    const struct config *cfg = &ctx->model->cfg;
    if (!plan_init(&p, cfg, &scratch, &e) &&
        !sites_select(&p, cfg, args_text(ctx->args, "filter"), &e))
        out->keep_bytes = plan_estimate(&p, cfg, &b).keep_bytes;
    arena_release(&scratch);
}

const struct analysis analysis_activations = {
    .id = "activations",
    .title = "activations by hook name",
    .help = "The values at every hook whose name matches, as TransformerLens' run_with_cache keeps "
            "them, without the batch axis. They come after any edits.",
    .source = "TransformerLens, run_with_cache",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .plan = plan,
    .begin = begin,
    .each = each,
    .cost = cost,
};
