#include "analysis/patch_blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Metrics that are 0 or more, as long as they are no change of one. */
static bool is_never_negative(enum metric_kind k)
{
    return k == METRIC_PROB || k == METRIC_KL || k == METRIC_LOSS || k == METRIC_ENTROPY;
}

/* ---- blocks ---- */

/* How a block of a site is called behind the site's name, and what it holds. */
struct variant {
    const char *suffix, *says;
    const char *says_change; /* of a change of the metric, where that is put otherwise */
    bool by_input, is_normalized, is_error, is_detail;
};
static const struct variant variants[PATCH_VARIANTS] = {
    [PATCH_RAW] = {"", "", .by_input = true},
    [PATCH_NORMALIZED] = {"_normalized", ", corrupt 0 and clean 1",
        ", as a share of clean - corrupt", .by_input = true, .is_normalized = true},
    [PATCH_MEAN] = {"_mean", ", mean over inputs"},
    [PATCH_SE] = {"_se", ", standard error over inputs", .is_error = true, .is_detail = true},
    [PATCH_NORMALIZED_MEAN] = {"_normalized_mean", ", corrupt 0 and clean 1, mean over inputs",
        ", as a share of clean - corrupt, mean over inputs", .is_normalized = true,
        .is_detail = true},
    [PATCH_NORMALIZED_SE] = {"_normalized_se",
        ", corrupt 0 and clean 1, standard error over inputs",
        ", as a share of clean - corrupt, standard error over inputs", .is_normalized = true,
        .is_error = true, .is_detail = true},
    [PATCH_MEAN_NORMALIZED] = {"_mean_normalized",
        ", mean over inputs, mean corrupt 0 and mean clean 1",
        ", mean over inputs, as a share of mean clean - mean corrupt", .is_normalized = true},
};

/* Of the pairs of one length, or (g NULL) of all lengths together. */
static int declare(struct block **b, struct run *out, const struct ctx *ctx,
    const struct patch_group *g, const struct patch_sited *it, const struct variant *v,
    struct err *e)
{
    const struct patch_blocks *s = ctx->state;
    const bool is_told = g && s->all[it->menu_index].menu; /* by the mean over all lengths */
    const bool is_many = !g || g->by->n > 1;
    const bool is_metric = !s->is_change && !v->is_normalized && is_never_negative(s->o.metric);
    const char *parts[MENU_PARTS];
    char name[96], what[200];
    snprintf(name, sizeof name, "%s%s", it->menu->name, v->suffix);
    snprintf(what, sizeof what, "%s %s %s%s", metric_name(s->o.metric), s->says,
        it->menu->long_name, s->is_change && v->says_change ? v->says_change : v->says);
    struct block_spec spec = {.name = name,
        .input = -1,
        .length = g && s->n_groups > 1 ? g->by->T : 0,
        .unit = v->is_normalized ? "clean - corrupt" : metric_unit(s->o.metric),
        .long_name = what,
        .source = s->source,
        .look = LOOK_HEATMAP,
        .is_signed = !v->is_error && !is_metric,
        .is_detail = is_told || v->is_detail || v->by_input == is_many,
        .by_slice = v->by_input};
    if (v->by_input)
        spec.axes[spec.rank++] = (struct axis){"input", AXIS_INPUT, g->by->n, NULL};
    if (it->menu->n_parts > 1) {
        for (int i = 0; i < it->menu->n_parts; i++)
            parts[i] = it->menu->part[i].label;
        spec.axes[spec.rank++] = (struct axis){"site", AXIS_SITE, it->menu->n_parts, parts};
    }
    spec.rank += patch_form_axes(
        spec.axes + spec.rank, it->menu->part[0].form, &ctx->model->cfg, g ? g->by->T : 1);
    for (int i = 0; i < spec.rank; i++)
        if (g && spec.axes[i].kind == AXIS_POS)
            spec.axes[i].labels = g->by->pos;
    return run_block(b, out, &spec, e);
}

static int declare_item(struct patch_sited *it, const struct patch_group *g, struct run *out,
    struct ctx *ctx, struct err *e)
{
    it->cells = it->menu->n_parts * ctx->model->cfg.n_layer *
                patch_form_cells(it->menu->part[0].form, &ctx->model->cfg, g ? g->by->T : 1);
    for (size_t k = 0; k < PATCH_VARIANTS; k++)
        if ((g || !variants[k].by_input) &&
            declare(&it->block[k], out, ctx, g, it, &variants[k], e))
            return e->code;
    it->corrupt = arena_zalloc(ctx->arena, (size_t)it->cells * sizeof *it->corrupt, e);
    it->span = arena_zalloc(ctx->arena, (size_t)it->cells * sizeof *it->span, e);
    return !it->corrupt || !it->span || moments_init(&it->m, it->cells, ctx->arena, e) ||
                   moments_init(&it->m_normalized, it->cells, ctx->arena, e)
               ? e->code
               : 0;
}

static int declare_items(struct patch_group *g, struct run *out, struct ctx *ctx, struct err *e)
{
    const struct patch_blocks *s = ctx->state;
    g->item = arena_zalloc(ctx->arena, (size_t)s->n_menu * sizeof *g->item, e);
    if (!g->item)
        return ERR_LIMIT;
    for (int i = 0; i < s->n_menu; i++) {
        struct patch_sited *it = &g->item[i];
        it->menu = s->menu[i];
        it->menu_index = i;
        if (declare_item(it, g, out, ctx, e))
            return e->code;
        it->rank = block_spec(it->block[PATCH_RAW])->rank;
    }
    return 0;
}

/* Sites without positions have means over all pairs, however long these are. */
static int declare_all(struct run *out, struct ctx *ctx, struct err *e)
{
    struct patch_blocks *s = ctx->state;
    for (int i = 0; i < s->n_menu && s->n_groups > 1; i++) {
        const enum patch_form f = s->menu[i]->part[0].form;
        struct patch_sited *it = &s->all[i];
        if (patch_form_cells(f, &ctx->model->cfg, 1) != patch_form_cells(f, &ctx->model->cfg, 2))
            continue;
        it->menu = s->menu[i];
        it->menu_index = i;
        if (declare_item(it, NULL, out, ctx, e))
            return e->code;
    }
    return 0;
}

static int declare_list(struct block **b, struct run *out, const struct patch_group *g,
    const struct patch_blocks *s, const char *name, const char *what, enum dtype t, struct err *e)
{
    return run_block(b, out,
        &(struct block_spec){.name = name,
            .input = -1,
            .length = s->n_groups > 1 ? g->by->T : 0,
            .dtype = t,
            .rank = 1,
            .axes = {{"input", AXIS_INPUT, g->by->n, NULL}},
            .unit = t == DT_I32 ? "index" : metric_unit(s->o.metric),
            .long_name = what,
            .look = LOOK_BARS,
            .is_detail = t == DT_I32,
            .by_slice = true},
        e);
}

static int declare_group(struct patch_group *g, struct run *out, struct ctx *ctx, struct err *e)
{
    const struct patch_blocks *s = ctx->state;
    if (declare_items(g, out, ctx, e) ||
        declare_list(
            &g->clean, out, g, s, "clean_metric", "metric of the clean prompt", DT_F32, e) ||
        declare_list(
            &g->corrupt, out, g, s, "corrupt_metric", "metric of the corrupt prompt", DT_F32, e) ||
        declare_list(
            &g->index, out, g, s, "pair", "which pair of the run each input is", DT_I32, e))
        return e->code;
    return 0;
}

/* ---- before the first pair ---- */

static int list_sites(struct patch_blocks *s, const char *list, struct err *e)
{
    if (patch_menu_parse(s->menu, &s->n_menu, MENU_MOST, list, e))
        return e->code;
    for (int i = 0; i < s->n_menu; i++)
        for (int k = 0; k < s->menu[i]->n_parts; k++)
            s->site[s->o.n_sites++] = s->menu[i]->part[k].site;
    s->o.sites = s->site;
    return 0;
}

/* Alignment of every pair before any of them is patched, and the lengths of receiving prompts. */
static int group_pairs(struct patch_blocks *s, struct ctx *ctx, struct err *e)
{
    struct lengths by;
    int64_t *map = arena_array(ctx->arena, (size_t)ctx->model->cfg.n_ctx, sizeof *map, e), first;
    if (!map)
        return ERR_LIMIT;
    for (int i = 0; i < ctx->n_inputs / 2; i++)
        if (pair_align(map, &first, &ctx->pairs[i], !s->o.noise, ctx->model, e))
            return e->code;
    if (lengths_of(&by, ctx, !s->o.noise, e))
        return e->code;
    s->n_groups = by.n;
    s->group = arena_zalloc(ctx->arena, (size_t)by.n * sizeof *s->group, e);
    for (int i = 0; s->group && i < by.n; i++)
        s->group[i].by = &by.list[i];
    return s->group ? 0 : ERR_LIMIT;
}

/* Whether every site has that position in every receiving prompt. */
static int check_at(const struct patch_blocks *s, struct err *e)
{
    for (int i = 0; i < s->n_menu; i++)
        if (!patch_menu_has_pos(s->menu[i]))
            return err_set(e, ERR_USAGE,
                "--cell-pos: %s is patched at every position at once; its twin by position has "
                "_by_pos behind its name",
                s->menu[i]->name);
    for (int i = 0; i < s->n_groups; i++)
        if (s->at >= s->group[i].by->T)
            return err_set(e, ERR_USAGE,
                "--cell-pos %lld: a receiving prompt has positions 0 to %lld", (long long)s->at,
                (long long)s->group[i].by->T - 1);
    return 0;
}

int patch_blocks_begin(struct patch_blocks *s, struct ctx *ctx, struct run *out, struct err *e)
{
    ctx->state = s;
    s->o.noise = !strcmp(args_text(ctx->args, "direction"), "noise");
    s->o.pos = args_int(ctx->args, "pos");
    if (metric_parse(&s->o.metric, args_text(ctx->args, "metric"), e) ||
        list_sites(s, args_text(ctx->args, "site"), e) || group_pairs(s, ctx, e) ||
        (s->at_one && check_at(s, e)))
        return e->code;
    if (declare_all(out, ctx, e))
        return e->code;
    for (int i = 0; i < s->n_groups; i++)
        if (declare_group(&s->group[i], out, ctx, e))
            return e->code;
    return 0;
}

/* ---- one pair ---- */

static double normalized(const struct patch_part *w, double x)
{
    const double clean = w->pair->clean, corrupt = w->pair->corrupt;
    return (x - (w->s->is_change ? 0 : corrupt)) / (clean - corrupt);
}

#define LONG_LAYER 1e6 /* cells x positions x d_model: tenths of a second */

/* Layers [from, to) of a part are complete. */
static int write_layers(const struct patch_part *w, int64_t from, int64_t to)
{
    const struct patch_sited *it = w->item;
    const int64_t at = from * w->per, n = (to - from) * w->per;
    const struct block_spec *spec = block_spec(it->block[PATCH_RAW]);
    int64_t start[FIELD_MAX_RANK] = {w->g->by->next}, count[FIELD_MAX_RANK] = {1};
    const int layer = it->menu->n_parts > 1 ? 2 : 1;
    if (to <= from)
        return 0;
    start[1] = w->part;
    count[1] = 1;
    start[layer] = from;
    count[layer] = to - from;
    for (int i = layer + 1; i < it->rank; i++)
        count[i] = spec->axes[i].size;
    const bool is_flat = patch_pair_is_flat(w->pair->clean, w->pair->corrupt);
    for (int64_t i = 0; i < n; i++)
        w->row[i] = (float)w->placed[at + i];
    if (block_write(it->block[PATCH_RAW], start, count, w->row, w->e))
        return w->e->code;
    for (int64_t i = 0; i < n; i++)
        w->row[i] = is_flat ? NAN : (float)normalized(w, w->placed[at + i]);
    if (block_write(it->block[PATCH_NORMALIZED], start, count, w->row, w->e))
        return w->e->code;
    /* Layers that took long are worth a flush: who reads along sees them, and a killed run has them. */
    const double rows = (double)w->per * (double)w->g->by->T;
    return rows * w->ctx->model->cfg.d_model < LONG_LAYER ? 0
                                                          : block_flush(it->block[PATCH_RAW], w->e);
}

/* The i-th cell to be filled; its place in the block. */
static int64_t cell_of(struct patch_cell *out, const struct patch_part *w, int64_t i)
{
    const enum patch_form f = w->item->menu->part[w->part].form;
    const struct config *cfg = &w->ctx->model->cfg;
    int64_t at;
    if (w->s->at_one)
        i = patch_form_cell_at(f, cfg, w->g->by->T, w->s->at, i);
    patch_form_cell(out, &at, w->item->menu->part[w->part].site, f, cfg, w->g->by->T, i);
    return at;
}

void patch_part_cell(struct patch_cell *out, void *arg, int64_t i)
{
    cell_of(out, arg, i);
}

int patch_part_ready(void *arg, int64_t i0, int64_t i1)
{
    const struct patch_part *w = arg;
    const int64_t L = w->ctx->model->cfg.n_layer;
    for (int64_t i = i0; i < i1; i++) {
        struct patch_cell c;
        const int64_t at = cell_of(&c, w, i);
        w->placed[at] = patch_pair_has(w->pair, &c) ? w->value[i] : (double)NAN;
    }
    return write_layers(w, L - i1 / w->do_per, L - i0 / w->do_per);
}

int patch_part_progress(void *arg, double done, double total)
{
    const struct patch_part *w = arg;
    (void)total;
    return w->ctx->progress ? w->ctx->progress(w->ctx->progress_arg, w->before + done, w->total)
                            : 0;
}

static void tally(struct patch_sited *it, const struct patch_part *w, int64_t i, bool is_flat)
{
    const int64_t k = w->part * w->n + i;
    moments_add(&it->m, k, w->placed[i]);
    if (isfinite(w->placed[i])) {
        it->corrupt[k] += w->pair->corrupt;
        it->span[k] += w->pair->clean - w->pair->corrupt;
    }
    if (!is_flat)
        moments_add(&it->m_normalized, k, normalized(w, w->placed[i]));
}

/* One part, and what it adds to the means. */
static int run_part(struct patch_part *w, const struct patch_steps *steps, struct err *e)
{
    const int64_t L = w->ctx->model->cfg.n_layer;
    for (int64_t i = 0; i < w->n; i++)
        w->placed[i] = NAN;
    int rc = steps->fill(w, e);
    const bool is_flat = patch_pair_is_flat(w->pair->clean, w->pair->corrupt);
    struct patch_sited *all = &w->s->all[w->item->menu_index];
    for (int64_t i = 0; i < w->n; i++) {
        tally(w->item, w, i, is_flat);
        if (all->menu)
            tally(all, w, i, is_flat);
    }
    struct err kept = *e;
    if (rc == ERR_CANCEL && write_layers(w, 0, L)) /* the layer under way, too */
        return e->code;
    *e = kept;
    return rc;
}

static int write_one(struct block *b, int64_t at, double value, struct err *e)
{
    const int64_t one = 1;
    const float x = (float)value;
    return block_write(b, &at, &one, &x, e);
}

/* Of a layer. */
static int64_t cells_to_do(
    const struct patch_blocks *s, enum patch_form f, const struct config *cfg, int64_t T)
{
    return s->at_one ? patch_form_cells_at(f, cfg, T) : patch_form_cells(f, cfg, T);
}

static int run_parts(struct patch_part *w, const struct patch_steps *steps, struct err *e)
{
    const struct patch_blocks *s = w->s;
    int64_t most = 0;
    for (int i = 0; i < s->n_menu; i++) {
        w->total +=
            (double)s->menu[i]->n_parts * (double)w->ctx->model->cfg.n_layer *
            (double)cells_to_do(s, s->menu[i]->part[0].form, &w->ctx->model->cfg, w->g->by->T);
        most = w->g->item[i].cells > most ? w->g->item[i].cells : most;
    }
    w->value = arena_array(w->ctx->arena, (size_t)most, sizeof *w->value, e);
    w->placed = arena_array(w->ctx->arena, (size_t)most, sizeof *w->placed, e);
    w->row = arena_array(w->ctx->arena, (size_t)most, sizeof *w->row, e);
    if (!w->value || !w->placed || !w->row)
        return ERR_LIMIT;
    if (steps->open && steps->open(w, e))
        return e->code;
    for (int i = 0; i < s->n_menu; i++)
        for (w->part = 0; w->part < s->menu[i]->n_parts; w->part++) {
            const struct arena_mark mark = arena_mark(w->ctx->arena);
            w->item = &w->g->item[i];
            w->per =
                patch_form_cells(s->menu[i]->part[w->part].form, &w->ctx->model->cfg, w->g->by->T);
            w->n = w->ctx->model->cfg.n_layer * w->per;
            w->do_per =
                cells_to_do(s, s->menu[i]->part[w->part].form, &w->ctx->model->cfg, w->g->by->T);
            w->do_n = w->ctx->model->cfg.n_layer * w->do_per;
            if (run_part(w, steps, e) || (steps->done && steps->done(w, e)))
                return e->code;
            w->before += (double)w->do_n;
            arena_rewind(w->ctx->arena, mark);
        }
    return 0;
}

int patch_blocks_each(
    struct ctx *ctx, const struct input *in, const struct patch_steps *steps, struct err *e)
{
    struct patch_blocks *s = ctx->state;
    struct patch_group *g = s->group;
    const int32_t index = (int32_t)((in - ctx->inputs) / 2);
    const struct pair *p = &ctx->pairs[index];
    struct patch_pair open;
    if ((in - ctx->inputs) % 2 == 0)
        return 0;
    while (g->by->T != (s->o.noise ? p->clean->n : p->corrupt->n))
        g++;
    if (patch_pair_open(&open, p, &s->o, ctx, e))
        return e->code;
    struct patch_part w = {.ctx = ctx, .s = s, .g = g, .pair = &open, .index = index, .e = e};
    const int64_t at = g->by->next, one = 1;
    s->n_flat += patch_pair_is_flat(open.clean, open.corrupt);
    int rc = write_one(g->clean, at, open.clean, e);
    if (!rc)
        rc = write_one(g->corrupt, at, open.corrupt, e);
    if (!rc)
        rc = block_write(g->index, &at, &one, &index, e);
    if (!rc)
        rc = run_parts(&w, steps, e);
    patch_pair_release(&open);
    g->by->next++;
    return rc;
}

/* ---- what is over all pairs ---- */

/* (mean - mean corrupt) / (mean clean - mean corrupt), as TransformerLens normalises a batch. */
static int write_mean_normalized(
    const struct patch_sited *it, bool is_change, struct arena *a, struct err *e)
{
    const struct arena_mark mark = arena_mark(a);
    float *x = arena_array(a, (size_t)it->cells, sizeof *x, e);
    if (!x)
        return ERR_LIMIT;
    for (int64_t i = 0; i < it->cells; i++) {
        const double sum = it->m.mean[i] * it->m.count[i];
        const double corrupt = it->corrupt[i], clean = corrupt + it->span[i];
        x[i] = patch_pair_is_flat(clean, corrupt)
                   ? NAN
                   : (float)((sum - (is_change ? 0 : corrupt)) / it->span[i]);
    }
    int rc = block_set(it->block[PATCH_MEAN_NORMALIZED], x, e);
    arena_rewind(a, mark);
    return rc;
}

static int write_moments(
    const struct patch_sited *it, bool is_change, struct arena *a, struct err *e)
{
    struct block *const *b = it->block;
    return !it->menu || (!moments_set(b[PATCH_MEAN], b[PATCH_SE], &it->m, a, e) &&
                            !moments_set(b[PATCH_NORMALIZED_MEAN], b[PATCH_NORMALIZED_SE],
                                &it->m_normalized, a, e) &&
                            !write_mean_normalized(it, is_change, a, e))
               ? 0
               : e->code;
}

int patch_blocks_end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct patch_blocks *s = ctx->state;
    for (int k = 0; k < s->n_menu; k++)
        if (write_moments(&s->all[k], s->is_change, ctx->arena, e))
            return e->code;
    for (int i = 0; i < s->n_groups; i++)
        for (int k = 0; k < s->n_menu; k++)
            if (write_moments(&s->group[i].item[k], s->is_change, ctx->arena, e))
                return e->code;
    return run_attr_int(out, "normalized_nan", s->n_flat, e);
}
