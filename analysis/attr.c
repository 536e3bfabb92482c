#include "analysis/attr.h"
#include "analysis/cost.h"

#include <math.h>
#include <string.h>

#include "model/backward.h"

static const struct param params[] = {
    {.name = "site",
        .type = PARAM_STRING,
        .def = "resid_pre",
        .metavar = "LIST",
        .help = "what is estimated; the names of patch"},
    {.name = "direction",
        .type = PARAM_CHOICE,
        .def = "denoise",
        .choices = "denoise|noise",
        .help = "denoise estimates clean values in the corrupt run, noise the other way round"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "logit_diff",
        .choices = PAIR_METRICS,
        .help = "what is estimated the change of; " PAIR_METRICS_SEVERAL},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric in the receiving prompt; negative counts from the end"},
    {.name = "frozen-ln",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "pass no gradient through the LayerNorm scales"},
    {.name = "qk-fix",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "AtP*: queries and keys go through the softmax exactly; head_k moves all keys at "
                "once, as patch does, head_k_by_pos one"},
    {.name = "grad-drop",
        .type = PARAM_BOOL,
        .def = "false",
        .help =
            "AtP*: the mean over the other layers of the estimate's size with that layer's writes "
            "cut out of the way back; a backward pass a layer"},
    {.name = "check",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "K",
        .min = 0,
        .max = 1e9,
        .help = "patch the K largest cells and K random ones of each site and pair exactly, and "
                "report how the estimates agree"},
    {.name = "twin",
        .type = PARAM_STRING,
        .metavar = "MODEL",
        .help = "another model of the same shape and vocabulary, as one without LayerNorm: its "
                "agreement too, and the difference of the errors by layer; checks every cell "
                "unless --check says how many"},
};

struct own {
    struct patch_blocks b;
    struct attr_tally tally;
    struct attr_twin twin;
    int64_t check;
    bool frozen_ln, qk_fix, grad_drop;
    double **values; /* [parts]: of the pair under way, as blocks have them */
};

static int n_parts(const struct patch_blocks *b)
{
    return b->o.n_sites;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct own *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    s->b.says = "estimated to change by patching";
    s->b.source = "Nanda 2023, attribution patching; AtP*: Kramar et al. 2024 (arXiv 2403.00745)";
    s->b.is_change = true;
    s->b.own = s;
    ctx->state = &s->b;
    s->check = args_int(ctx->args, "check");
    s->frozen_ln = args_bool(ctx->args, "frozen-ln");
    s->qk_fix = args_bool(ctx->args, "qk-fix");
    s->grad_drop = args_bool(ctx->args, "grad-drop");
    const char *twin = args_text(ctx->args, "twin");
    if (twin && *twin && !s->check)
        s->check = INT32_MAX;
    s->b.o.backward = true;
    s->b.o.patches = s->check > 0;
    if (s->check && ctx->edits)
        return err_set(e, ERR_USAGE, "--check patches the unedited model; leave --edit out");
    if (s->grad_drop && ctx->model->cfg.n_layer < 2)
        return err_set(
            e, ERR_USAGE, "--grad-drop is a mean over other layers; %s has one", ctx->model->name);
    if (patch_blocks_begin(&s->b, ctx, out, e))
        return e->code;
    s->values = arena_array(ctx->arena, (size_t)n_parts(&s->b), sizeof *s->values, e);
    if (!s->values)
        return ERR_LIMIT;
    if (s->check && attr_agree_begin(&s->tally, out, "", &s->b, ctx, e))
        return e->code;
    return twin && *twin ? attr_twin_begin(&s->twin, twin, out, &s->b, ctx, e) : 0;
}

/* The writes of one layer, cut out of the way back: an edit that sets them passes no gradient. */
static int cut_layer(struct edits *out, struct edit *room, const struct edits *also, int layer)
{
    static const enum site writes[] = {SITE_ATTN_OUT, SITE_MLP_OUT};
    int n = 0;
    for (int i = 0; also && i < also->n; i++)
        room[n++] = also->list[i];
    for (int i = 0; i < 2; i++)
        room[n++] = (struct edit){.site = writes[i],
            .layer = layer,
            .head = -1,
            .unit = -1,
            .all_pos = true,
            .all_keys = true,
            .op = EDIT_SET,
            .text = ""};
    *out = (struct edits){room, n};
    return n;
}

/* Adds the estimates of every part under one backward pass. */
static int add_backward(struct patch_part *w, const struct plan *want, const struct edits *edits,
    int dropped, double *room, struct err *e)
{
    struct own *s = w->s->own;
    struct trace grads;
    double value;
    const struct backward_opts o = {.want = want,
        .frozen_ln = s->frozen_ln,
        .edits = edits,
        .pool = w->ctx->pool,
        .budget = w->ctx->budget};
    if (backward(&grads, &value, w->ctx->params, &w->pair->t, &w->pair->run.metric, &o, e))
        return e->code;
    int part = 0;
    for (int i = 0; i < w->s->n_menu; i++)
        for (int k = 0; k < w->s->menu[i]->n_parts; k++)
            attr_values(s->values[part++], room, w->pair, &grads, w->s->menu[i]->part[k].site,
                w->s->menu[i]->part[k].form, s->qk_fix, dropped);
    trace_release(&grads);
    return 0;
}

static int plan_gradients(struct plan *want, const struct patch_part *w, struct err *e)
{
    const struct own *s = w->s->own;
    if (plan_init(want, &w->ctx->model->cfg, w->ctx->arena, e))
        return e->code;
    for (int i = 0; i < w->s->o.n_sites; i++) {
        plan_keep(want, w->s->site[i], -1);
        if (s->qk_fix && (w->s->site[i] == SITE_Q || w->s->site[i] == SITE_K))
            plan_keep(want, SITE_PATTERN, -1);
    }
    return 0;
}

static int estimate(struct patch_part *w, struct err *e)
{
    struct own *s = w->s->own;
    const struct config *cfg = &w->ctx->model->cfg;
    const int64_t T = w->g->by->T;
    const int n_also = w->ctx->edits ? w->ctx->edits->n : 0;
    int64_t most = 0;
    int part = 0;
    struct plan want;
    for (int i = 0; i < w->s->n_menu; i++)
        for (int k = 0; k < w->s->menu[i]->n_parts; k++) {
            const int64_t per = patch_form_cells(w->s->menu[i]->part[k].form, cfg, T);
            most = per > most ? per : most;
            s->values[part] =
                arena_zalloc(w->ctx->arena, (size_t)(cfg->n_layer * per) * sizeof **s->values, e);
            if (!s->values[part++])
                return ERR_LIMIT;
        }
    double *room = arena_array(w->ctx->arena, (size_t)(2 * T + most), sizeof *room, e);
    struct edit *cut = arena_array(w->ctx->arena, (size_t)n_also + 2, sizeof *cut, e);
    if (!room || !cut || plan_gradients(&want, w, e))
        return e->code;
    if (!s->grad_drop)
        return add_backward(w, &want, w->ctx->edits, -1, room, e);
    for (int l = 0; l < cfg->n_layer; l++) {
        struct edits edits;
        cut_layer(&edits, cut, w->ctx->edits, l);
        if (add_backward(w, &want, &edits, l, room, e))
            return e->code;
        if (patch_part_progress(w, w->total * l / cfg->n_layer, w->total))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    return 0;
}

/* Under grad-drop sizes are means over the layers that leave the site a way to the metric: all for the
 * residual stream, all but its own for what a layer writes or computes. */
static double share_of(const struct patch_part *w)
{
    const struct own *s = w->s->own;
    const enum site site = w->item->menu->part[w->part].site;
    const bool is_stream =
        site == SITE_RESID_PRE || site == SITE_RESID_MID || site == SITE_RESID_POST;
    return s->grad_drop ? 1.0 / (w->ctx->model->cfg.n_layer - !is_stream) : 1;
}

/* From the block's order to that of cells. */
static void load(struct patch_part *w)
{
    const struct own *s = w->s->own;
    const int64_t L = w->ctx->model->cfg.n_layer;
    const double share = share_of(w);
    int part = w->part;
    for (int i = 0; &w->g->item[i] != w->item; i++)
        part += w->s->menu[i]->n_parts;
    for (int64_t i = 0; i < w->n; i++)
        w->value[i] = share * s->values[part][(L - 1 - i / w->per) * w->per + i % w->per];
}

/* The twin goes first: the values are this model's when its parts are filled. */
static int open(struct patch_part *w, struct err *e)
{
    struct own *s = w->s->own;
    if (s->twin.model && attr_twin_pair(&s->twin, w, s->check, estimate, load, e))
        return err_prefix(e, "%s", s->twin.model->name);
    return estimate(w, e);
}

static int fill(struct patch_part *w, struct err *e)
{
    (void)e;
    load(w);
    return patch_part_ready(w, 0, w->n);
}

static int done(struct patch_part *w, struct err *e)
{
    struct own *s = w->s->own;
    if (s->check && attr_agree(&s->tally, w, s->check, e))
        return e->code;
    return patch_part_progress(w, (double)w->n, (double)w->n)
               ? err_set(e, ERR_CANCEL, "interrupted")
               : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    struct own *s = ((struct patch_blocks *)ctx->state)->own;
    if (patch_blocks_end(ctx, out, e))
        return e->code;
    if (s->check && attr_agree_end(&s->tally, &s->b, e))
        return e->code;
    return s->twin.model ? attr_twin_end(&s->twin, &s->tally, &s->b, e) : 0;
}

static void release(struct ctx *ctx)
{
    model_release(&((struct own *)((struct patch_blocks *)ctx->state)->own)->twin.model);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    static const struct patch_steps steps = {open, fill, done};
    (void)acts, (void)out;
    return patch_blocks_each(ctx, in, &steps, e);
}

/* A prompt's half of its pair: its own pass, and the way there and back at the receiving one; cells that
 * are patched exactly, in the middle of the model and the prompt. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    enum patch_form form[MENU_MOST * MENU_PARTS];
    const struct config *cfg = &ctx->model->cfg;
    const double L = cfg->n_layer, D = (double)(n - cost_first(ctx));
    const double passes = args_bool(ctx->args, "grad-drop") ? 1 + 2 * L : 3;
    const char *twin = args_text(ctx->args, "twin");
    const bool has_twin = twin && *twin;
    const bool is_gathered = cost_is_gathered(args_text(ctx->args, "metric"));
    const struct estimate there = cost_back(cfg, n, 1, !is_gathered);
    const int64_t check = args_int(ctx->args, "check");
    const double most = has_twin && !check ? INFINITY : 2.0 * (double)check;
    double cells = 0, checked = 0;
    const int forms = patch_menu_forms(form, args_text(ctx->args, "site"));
    if (!forms)
        return;
    for (int i = 0; i < forms; i++) {
        const double own = L * (double)patch_form_cells(form[i], cfg, n);
        cells += own;
        checked += (own < most ? own : most) * patch_form_rows(form[i], D);
    }
    const double half =
        (1 + passes) / 2 * there.flops / 3 + checked / 2 * (L + 1) / 2 * cost_row(cfg, (double)n);
    out->flops = (has_twin ? 2 : 1) * half;
    out->keep_bytes = (uint64_t)(4 * cells); /* values and normalised ones of a pair */
    out->scratch_bytes = (uint64_t)(48 * cells) + there.scratch_bytes + there.scratch_bytes / 2 +
                         (most > 0 ? cost_lanes(cfg, is_gathered) : 0);
}

const struct analysis analysis_attr = {
    .id = "attr",
    .title = "attribution patching: every patch estimated from one backward pass",
    .help = "Each cell is the gradient of the metric at the receiving prompt times what patching "
            "would change there: two forward passes and one backward for all sites. --check K says "
            "how far to believe it.",
    .source = "Nanda 2023, attribution patching; AtP*: Kramar et al. 2024 (arXiv 2403.00745)",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_NEEDED,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .release = release,
    .cost = cost,
};
