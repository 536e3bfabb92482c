#include <math.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/patch_blocks.h"
#include "model/core/rng.h"

/* Exact activation patching over pairs of prompts: one sweep a site and pair, streamed. */

static const struct param params[] = {
    {.name = "site",
        .type = PARAM_STRING,
        .def = "resid_pre",
        .metavar = "LIST",
        .help = "what is patched: resid_pre, resid_mid, resid_post, attn_out, mlp_out by layer and "
                "position; head_z, head_q, head_k, head_v, head_pattern by layer and head; the "
                "same with _by_pos; head_pattern_dest_src_pos; neuron; or TransformerLens' names, "
                "as attn_head_all_pos_every; any number of them"},
    {.name = "direction",
        .type = PARAM_CHOICE,
        .def = "denoise",
        .choices = "denoise|noise",
        .help =
            "denoise puts clean values into the corrupt run, noise corrupt ones into the clean"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "logit_diff",
        .choices = PAIR_METRICS,
        .help = "what is measured; kl is KL(clean || patched), loss the mean over the receiving "
                "prompt's own tokens; " PAIR_METRICS_SEVERAL},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric in the receiving prompt; negative counts from the end"},
    {.name = "cell-pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .min = -1,
        .max = 1e9,
        .help = "of sites by position only the cells of this position of the receiving prompt; the "
                "others stay NaN; -1: every position"},
    {.name = "check",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "K",
        .min = 0,
        .max = 1e6,
        .help = "recompute so many cells a site and pair by whole forward passes and report the "
                "largest difference"},
};

struct own {
    struct patch_blocks b;
    struct patch_work work;
    int64_t check, checked; /* cells a part; all so far */
    double worst;
};

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct own *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    s->b.says = "after patching";
    s->b.source = "Wang et al. 2022 (arXiv 2211.00593); Heimersheim and Nanda 2024 (2404.15255)";
    s->b.own = s;
    s->check = args_int(ctx->args, "check");
    s->b.at = args_int(ctx->args, "cell-pos");
    s->b.at_one = s->b.at >= 0;
    return patch_blocks_begin(&s->b, ctx, out, e);
}

/* With edits on, nothing is shared: a whole pass a cell. */
static int sweep_full(struct patch_part *w, struct err *e)
{
    for (int64_t i = 0; i < w->do_n; i++) {
        struct patch_cell c;
        patch_part_cell(&c, w, i);
        if (patch_full(&w->value[i], &c, &w->pair->run, w->ctx->edits, w->ctx->pool, e) ||
            patch_part_ready(w, i, i + 1))
            return e->code;
        if (patch_part_progress(w, (double)i, (double)w->do_n))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    return 0;
}

static int sweep(struct patch_part *w, struct err *e)
{
    struct own *s = w->s->own;
    struct patch_opts o = {.pool = w->ctx->pool,
        .max_bytes = w->ctx->max_bytes ? budget_left(w->ctx->budget) : 0,
        .cell = patch_part_cell,
        .ready = patch_part_ready,
        .progress = patch_part_progress,
        .arg = w,
        .work = &s->work};
    return w->ctx->edits ? sweep_full(w, e) : patch_sweep(w->value, w->do_n, &w->pair->run, &o, e);
}

/* Random cells again, by whole passes. */
static int check(struct patch_part *w, struct err *e)
{
    struct own *s = w->s->own;
    struct rng rng;
    rng_init(&rng, w->ctx->seed, (uint64_t)w->index);
    for (int64_t k = 0; k < s->check && k < w->do_n; k++) {
        const int64_t i = (int64_t)rng_below(&rng, (uint64_t)w->do_n);
        struct patch_cell c;
        double full;
        patch_part_cell(&c, w, i);
        if (!patch_pair_has(w->pair, &c))
            continue;
        if (patch_full(&full, &c, &w->pair->run, w->ctx->edits, w->ctx->pool, e))
            return e->code;
        s->worst = fmax(s->worst, fabs(full - w->value[i]));
        s->checked++;
    }
    return 0;
}

/* The largest difference of checked cells from whole forward passes. */
static int write_check(const struct own *s, struct run *out, struct err *e)
{
    struct block *b;
    if (run_block(&b, out,
            &(struct block_spec){.name = "check_error",
                .input = -1,
                .dtype = DT_F64,
                .unit = "metric",
                .long_name = "largest difference of checked cells from whole forward passes",
                .look = LOOK_TEXT},
            e) ||
        block_set(b, &s->worst, e))
        return e->code;
    return run_attr_int(out, "checked_cells", s->checked, e);
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct own *s = ((struct patch_blocks *)ctx->state)->own;
    if (patch_blocks_end(ctx, out, e) || (s->check && write_check(s, out, e)))
        return e->code;
    return run_attr_float(out, "flops", s->work.flops, e);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    static const struct patch_steps steps = {NULL, sweep, check};
    (void)acts, (void)out;
    return patch_blocks_each(ctx, in, &steps, e);
}

/* A prompt's half of its pair, as if the metric read the last position. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    enum patch_form form[MENU_MOST * MENU_PARTS];
    const struct config *cfg = &ctx->model->cfg;
    const double C = cfg->d_model, L = cfg->n_layer, T = (double)n;
    const bool is_gathered = cost_is_gathered(args_text(ctx->args, "metric"));
    const int64_t differ = n - cost_first(ctx);
    const bool at_one = args_int(ctx->args, "cell-pos") >= 0;
    const int forms = patch_menu_forms(form, args_text(ctx->args, "site"));
    if (!forms)
        return;
    for (int i = 0; i < forms; i++) {
        const double per = (double)(at_one ? patch_form_cells_at(form[i], cfg, n)
                                           : patch_form_cells(form[i], cfg, differ));
        const double rows = patch_form_rows(form[i], (double)differ);
        out->flops +=
            per / 2 *
            (rows * cost_layers(cfg) * cost_row(cfg, T) + (is_gathered ? 0 : L * cost_logits(cfg)));
        out->keep_bytes += (uint64_t)(8 * L) * (uint64_t)patch_form_cells(form[i], cfg, n);
    }
    /* Both prompts' runs, a wave of lanes, a chunk of whole rows of logits where they are needed. */
    out->scratch_bytes = (uint64_t)(4 * 2 * L * T * 7 * C) + cost_lanes(cfg, is_gathered) +
                         8 * out->keep_bytes; /* values, and means over inputs */
}

const struct analysis analysis_patch = {
    .id = "patch",
    .title = "activation patching, exact, over pairs of prompts",
    .help = "Each cell is the metric after one activation of the receiving prompt was replaced by "
            "the other prompt's. Pairs come from -f FILE.jsonl, --dataset NAME:N, or --clean, "
            "--corrupt, --answer and --wrong.",
    .source = "Wang et al. 2022 (arXiv 2211.00593); Heimersheim and Nanda 2024 (2404.15255)",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_NEEDED,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
