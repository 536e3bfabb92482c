#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/moments.h"
#include "analysis/patch_menu.h"
#include "analysis/patch_pair.h"
#include "analysis/token.h"
#include "model/core/rng.h"

/* Exact activation patching over pairs of prompts: one sweep a site and pair, streamed. Pairs whose
 * receiving prompts are equally long share blocks. */

#define MAX_SITES 16

static const struct param params[] = {
    {.name = "site",
        .type = PARAM_STRING,
        .def = "resid_pre",
        .metavar = "LIST",
        .help = "what is patched: resid_pre, resid_mid, resid_post, attn_out, mlp_out by layer and "
                "position; head_z, head_q, head_k, head_v, head_pattern by layer and head; the "
                "same with _by_pos; head_pattern_dest_src_pos; neuron; or TransformerLens' names, "
                "as attn_head_all_pos_every"},
    {.name = "direction",
        .type = PARAM_CHOICE,
        .def = "denoise",
        .choices = "denoise|noise",
        .help =
            "denoise puts clean values into the corrupt run, noise corrupt ones into the clean"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "logit_diff",
        .choices = "logit_diff|prob_diff|logprob|prob|kl|loss|logit|entropy",
        .help = "what is measured; kl is KL(clean || patched), loss the mean over the receiving "
                "prompt's own tokens"},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric in the receiving prompt; negative counts from the end"},
    {.name = "check",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "K",
        .min = 0,
        .max = 1e6,
        .help = "recompute so many cells a site and pair by whole forward passes and report the "
                "largest difference"},
};

/* The blocks of one site for inputs of one length. */
struct sited {
    const struct patch_menu *menu;
    int64_t cells; /* of one input */
    int rank;      /* of raw, with the input axis */
    struct block *raw, *normalized, *mean, *se, *normalized_mean;
    struct moments m, m_normalized;
};

struct group {
    int64_t T;
    int n, next;      /* pairs, and how many are done */
    const char **pos; /* [T] labels */
    struct sited *item;
    struct block *clean, *corrupt, *index, *check;
};

struct state {
    struct patch_pair_opts o;
    const struct patch_menu *menu[MAX_SITES];
    int n_menu;
    enum site site[MAX_SITES * MENU_PARTS];
    struct group *group;
    int n_groups;
    int64_t check, n_flat;
    struct patch_work work;
    struct run *out;
};

/* One part of one site for one pair. */
struct sweep {
    struct ctx *ctx;
    struct state *s;
    struct group *g;
    struct sited *item;
    struct patch_pair *pair;
    int part;
    int64_t per;          /* cells of a layer */
    double *value;        /* [L * per] in the order of cells */
    double *placed;       /* [L * per] as the block has them */
    float *row;           /* the same, to be written */
    double before, total; /* progress, in cells */
    struct err *e;
};

static const char *unit_of(enum metric_kind k)
{
    return k == METRIC_PROB || k == METRIC_PROB_DIFF     ? "probability"
           : k == METRIC_LOGIT || k == METRIC_LOGIT_DIFF ? "logits"
                                                         : "nats";
}

/* ---- blocks ---- */

/* Labels of the receiving prompts' positions: tokens where all of them agree. */
static int label_positions(struct group *g, const struct ctx *ctx, struct err *e)
{
    const struct state *s = ctx->state;
    const struct input *first = NULL;
    g->pos = arena_zalloc(ctx->arena, (size_t)g->T * sizeof *g->pos, e);
    bool *same = arena_array(ctx->arena, (size_t)g->T, sizeof *same, e);
    if (!g->pos || !same)
        return ERR_LIMIT;
    for (int i = 0; i < ctx->n_inputs / 2; i++) {
        const struct input *in = s->o.noise ? ctx->pairs[i].clean : ctx->pairs[i].corrupt;
        if (in->n != g->T)
            continue;
        for (int64_t t = 0; t < g->T; t++)
            same[t] = first ? same[t] && in->tokens[t] == first->tokens[t] : true;
        first = first ? first : in;
    }
    for (int64_t t = 0; t < g->T; t++) {
        g->pos[t] = same[t] ? token_text(ctx->model, first->tokens[t], ctx->arena, e)
                            : arena_printf(ctx->arena, e, "%lld", (long long)t);
        if (!g->pos[t])
            return ERR_LIMIT;
    }
    return 0;
}

/* How a block of a site is called behind the site's name, and what it holds. */
struct variant {
    const char *suffix, *says;
    bool by_input, is_normalized;
};
static const struct variant variants[] = {
    {"", "", true, false},
    {"_normalized", ", corrupt 0 and clean 1", true, true},
    {"_mean", ", mean over inputs", false, false},
    {"_se", ", standard error over inputs", false, false},
    {"_normalized_mean", ", corrupt 0 and clean 1, mean over inputs", false, true},
};

static int declare(struct block **b, struct run *out, const struct ctx *ctx, const struct group *g,
    const struct sited *it, const struct variant *v, struct err *e)
{
    const struct state *s = ctx->state;
    const char *parts[MENU_PARTS];
    char name[96], what[200];
    snprintf(name, sizeof name, "%s%s", it->menu->name, v->suffix);
    snprintf(what, sizeof what, "%s after patching %s%s", metric_name(s->o.metric),
        it->menu->long_name, v->says);
    struct block_spec spec = {.name = name,
        .input = -1,
        .length = s->n_groups > 1 ? g->T : 0,
        .unit = v->is_normalized ? "clean - corrupt" : unit_of(s->o.metric),
        .long_name = what,
        .source = "Wang et al. 2022 (arXiv 2211.00593); Heimersheim and Nanda 2024 (2404.15255)",
        .look = LOOK_HEATMAP,
        .is_signed = true,
        .by_slice = v->by_input};
    if (v->by_input)
        spec.axes[spec.rank++] = (struct axis){"input", AXIS_INPUT, g->n, NULL};
    if (it->menu->n_parts > 1) {
        for (int i = 0; i < it->menu->n_parts; i++)
            parts[i] = it->menu->part[i].label;
        spec.axes[spec.rank++] = (struct axis){"site", AXIS_SITE, it->menu->n_parts, parts};
    }
    spec.rank +=
        patch_form_axes(spec.axes + spec.rank, it->menu->part[0].form, &ctx->model->cfg, g->T);
    for (int i = 0; i < spec.rank; i++)
        if (spec.axes[i].kind == AXIS_POS)
            spec.axes[i].labels = g->pos;
    return run_block(b, out, &spec, e);
}

static int declare_items(struct group *g, struct run *out, struct ctx *ctx, struct err *e)
{
    const struct state *s = ctx->state;
    g->item = arena_zalloc(ctx->arena, (size_t)s->n_menu * sizeof *g->item, e);
    if (!g->item)
        return ERR_LIMIT;
    for (int i = 0; i < s->n_menu; i++) {
        struct sited *it = &g->item[i];
        it->menu = s->menu[i];
        it->cells = it->menu->n_parts * ctx->model->cfg.n_layer *
                    patch_form_cells(it->menu->part[0].form, &ctx->model->cfg, g->T);
        struct block **const blocks[] = {
            &it->raw, &it->normalized, &it->mean, &it->se, &it->normalized_mean};
        for (size_t k = 0; k < sizeof variants / sizeof *variants; k++)
            if (declare(blocks[k], out, ctx, g, it, &variants[k], e))
                return e->code;
        it->rank = block_spec(it->raw)->rank;
        if (moments_init(&it->m, it->cells, ctx->arena, e) ||
            moments_init(&it->m_normalized, it->cells, ctx->arena, e))
            return e->code;
    }
    return 0;
}

static int declare_list(struct block **b, struct run *out, const struct group *g,
    const struct state *s, const char *name, const char *what, enum dtype t, struct err *e)
{
    return run_block(b, out,
        &(struct block_spec){.name = name,
            .input = -1,
            .length = s->n_groups > 1 ? g->T : 0,
            .dtype = t,
            .rank = 1,
            .axes = {{"input", AXIS_INPUT, g->n, NULL}},
            .unit = t == DT_I32 ? "index" : unit_of(s->o.metric),
            .long_name = what,
            .look = LOOK_BARS,
            .by_slice = true},
        e);
}

static int declare_group(struct group *g, struct run *out, struct ctx *ctx, struct err *e)
{
    const struct state *s = ctx->state;
    if (label_positions(g, ctx, e) || declare_items(g, out, ctx, e) ||
        declare_list(
            &g->clean, out, g, s, "clean_metric", "metric of the clean prompt", DT_F32, e) ||
        declare_list(
            &g->corrupt, out, g, s, "corrupt_metric", "metric of the corrupt prompt", DT_F32, e) ||
        declare_list(
            &g->index, out, g, s, "pair", "which pair of the run each input is", DT_I32, e))
        return e->code;
    if (!s->check)
        return 0;
    return declare_list(&g->check, out, g, s, "check_error",
        "largest difference of checked cells from whole forward passes", DT_F32, e);
}

/* ---- before the first pair ---- */

static int list_sites(struct state *s, const char *list, struct err *e)
{
    if (patch_menu_parse(s->menu, &s->n_menu, MAX_SITES, list, e))
        return e->code;
    for (int i = 0; i < s->n_menu; i++)
        for (int k = 0; k < s->menu[i]->n_parts; k++)
            s->site[s->o.n_sites++] = s->menu[i]->part[k].site;
    s->o.sites = s->site;
    return 0;
}

/* Alignment of every pair before any of them is patched, and how many there are of each length. */
static int count_lengths(struct state *s, struct ctx *ctx, struct err *e)
{
    const int n = ctx->n_inputs / 2;
    s->group = arena_zalloc(ctx->arena, (size_t)n * sizeof *s->group, e);
    int64_t *map = arena_array(ctx->arena, (size_t)ctx->model->cfg.n_ctx, sizeof *map, e), first;
    if (!s->group || !map)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        const struct pair *p = &ctx->pairs[i];
        const int64_t T = s->o.noise ? p->clean->n : p->corrupt->n;
        int k = 0;
        if (pair_align(map, &first, p, !s->o.noise, ctx->model, e))
            return e->code;
        while (k < s->n_groups && s->group[k].T != T)
            k++;
        s->n_groups += k == s->n_groups;
        s->group[k].T = T;
        s->group[k].n++;
    }
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct state *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    s->out = out;
    s->o.noise = !strcmp(args_text(ctx->args, "direction"), "noise");
    s->o.pos = args_int(ctx->args, "pos");
    s->check = args_int(ctx->args, "check");
    if (metric_parse(&s->o.metric, args_text(ctx->args, "metric"), e) ||
        list_sites(s, args_text(ctx->args, "site"), e) || count_lengths(s, ctx, e))
        return e->code;
    for (int i = 0; i < s->n_groups; i++)
        if (declare_group(&s->group[i], out, ctx, e))
            return e->code;
    return 0;
}

/* ---- one pair ---- */

/* Layers [from, to) of a part are complete. */
static int write_layers(const struct sweep *w, int64_t from, int64_t to)
{
    const struct sited *it = w->item;
    const int64_t at = from * w->per, n = (to - from) * w->per;
    const struct block_spec *spec = block_spec(it->raw);
    int64_t start[FIELD_MAX_RANK] = {w->g->next}, count[FIELD_MAX_RANK] = {1};
    const int layer = it->menu->n_parts > 1 ? 2 : 1;
    if (to <= from)
        return 0;
    start[1] = w->part;
    count[1] = 1;
    start[layer] = from;
    count[layer] = to - from;
    for (int i = layer + 1; i < it->rank; i++)
        count[i] = spec->axes[i].size;
    const double clean = w->pair->clean, corrupt = w->pair->corrupt;
    const bool is_flat = patch_pair_is_flat(clean, corrupt);
    for (int64_t i = 0; i < n; i++)
        w->row[i] = (float)w->placed[at + i];
    if (block_write(it->raw, start, count, w->row, w->e))
        return w->e->code;
    for (int64_t i = 0; i < n; i++) {
        const double x = (w->placed[at + i] - corrupt) / (clean - corrupt);
        w->row[i] = is_flat ? NAN : (float)x;
    }
    return block_write(it->normalized, start, count, w->row, w->e);
}

static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    const struct sweep *w = arg;
    int64_t at;
    patch_form_cell(out, &at, w->item->menu->part[w->part].site, w->item->menu->part[w->part].form,
        &w->ctx->model->cfg, w->g->T, i);
}

static int on_ready(void *arg, int64_t i0, int64_t i1)
{
    const struct sweep *w = arg;
    const int64_t L = w->ctx->model->cfg.n_layer;
    for (int64_t i = i0; i < i1; i++) {
        struct patch_cell c;
        int64_t at;
        patch_form_cell(&c, &at, w->item->menu->part[w->part].site,
            w->item->menu->part[w->part].form, &w->ctx->model->cfg, w->g->T, i);
        w->placed[at] = patch_pair_has(w->pair, &c) ? w->value[i] : (double)NAN;
    }
    return write_layers(w, L - i1 / w->per, L - i0 / w->per);
}

static int on_progress(void *arg, double done, double total)
{
    const struct sweep *w = arg;
    (void)total;
    return w->ctx->progress ? w->ctx->progress(w->ctx->progress_arg, w->before + done, w->total)
                            : 0;
}

/* With edits on, nothing is shared: a whole pass a cell. */
static int sweep_full(struct sweep *w, int64_t n, struct err *e)
{
    for (int64_t i = 0; i < n; i++) {
        struct patch_cell c;
        cell_at(&c, w, i);
        if (patch_full(&w->value[i], &c, &w->pair->run, w->ctx->edits, w->ctx->pool, e) ||
            on_ready(w, i, i + 1))
            return e->code;
        if (on_progress(w, (double)i, (double)n))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    return 0;
}

static int sweep_part(struct sweep *w, struct err *e)
{
    const int64_t L = w->ctx->model->cfg.n_layer, n = L * w->per;
    struct patch_opts o = {.pool = w->ctx->pool,
        .max_bytes = w->ctx->max_bytes,
        .cell = cell_at,
        .ready = on_ready,
        .progress = on_progress,
        .arg = w,
        .work = &w->s->work};
    for (int64_t i = 0; i < n; i++)
        w->placed[i] = NAN;
    int rc = w->ctx->edits ? sweep_full(w, n, e) : patch_sweep(w->value, n, &w->pair->run, &o, e);
    const double clean = w->pair->clean, corrupt = w->pair->corrupt;
    const bool is_flat = patch_pair_is_flat(clean, corrupt);
    for (int64_t i = 0; i < n; i++) {
        const double x = w->placed[i];
        moments_add(&w->item->m, w->part * n + i, x);
        if (!is_flat)
            moments_add(&w->item->m_normalized, w->part * n + i, (x - corrupt) / (clean - corrupt));
    }
    struct err kept = *e;
    if (rc == ERR_CANCEL && write_layers(w, 0, L)) /* the layer under way, too */
        return e->code;
    *e = kept;
    return rc;
}

/* Random cells again, by whole passes. */
static int check_part(double *worst, struct sweep *w, struct err *e)
{
    const int64_t n = w->ctx->model->cfg.n_layer * w->per;
    struct rng rng;
    rng_init(&rng, w->ctx->seed, (uint64_t)w->pair->to->index);
    for (int64_t k = 0; k < w->s->check && k < n; k++) {
        const int64_t i = (int64_t)rng_below(&rng, (uint64_t)n);
        struct patch_cell c;
        double full;
        cell_at(&c, w, i);
        if (!patch_pair_has(w->pair, &c))
            continue;
        if (patch_full(&full, &c, &w->pair->run, w->ctx->edits, w->ctx->pool, e))
            return e->code;
        *worst = fmax(*worst, fabs(full - w->value[i]));
    }
    return 0;
}

static int write_one(struct block *b, int64_t at, double value, struct err *e)
{
    const int64_t one = 1;
    const float x = (float)value;
    return block_write(b, &at, &one, &x, e);
}

static int sweep_items(struct sweep *w, struct err *e)
{
    const struct state *s = w->s;
    double worst = 0;
    int64_t most = 0;
    for (int i = 0; i < s->n_menu; i++) {
        w->total += (double)w->g->item[i].cells;
        most = w->g->item[i].cells > most ? w->g->item[i].cells : most;
    }
    w->value = arena_array(w->ctx->arena, (size_t)most, sizeof *w->value, e);
    w->placed = arena_array(w->ctx->arena, (size_t)most, sizeof *w->placed, e);
    w->row = arena_array(w->ctx->arena, (size_t)most, sizeof *w->row, e);
    if (!w->value || !w->placed || !w->row)
        return ERR_LIMIT;
    for (int i = 0; i < s->n_menu; i++)
        for (w->part = 0; w->part < s->menu[i]->n_parts; w->part++) {
            w->item = &w->g->item[i];
            w->per = patch_form_cells(s->menu[i]->part[w->part].form, &w->ctx->model->cfg, w->g->T);
            if (sweep_part(w, e) || (s->check && check_part(&worst, w, e)))
                return e->code;
            w->before += (double)(w->ctx->model->cfg.n_layer * w->per);
        }
    return s->check ? write_one(w->g->check, w->g->next, worst, e) : 0;
}

static int run_pair(struct ctx *ctx, const struct pair *p, int32_t index, struct err *e)
{
    struct state *s = ctx->state;
    struct group *g = s->group;
    struct patch_pair pair;
    while (g->T != (s->o.noise ? p->clean->n : p->corrupt->n))
        g++;
    if (patch_pair_open(&pair, p, &s->o, ctx, e))
        return e->code;
    struct sweep w = {.ctx = ctx, .s = s, .g = g, .pair = &pair, .e = e};
    const int64_t at = g->next, one = 1;
    s->n_flat += patch_pair_is_flat(pair.clean, pair.corrupt);
    int rc = write_one(g->clean, at, pair.clean, e);
    if (!rc)
        rc = write_one(g->corrupt, at, pair.corrupt, e);
    if (!rc)
        rc = block_write(g->index, &at, &one, &index, e);
    if (!rc)
        rc = sweep_items(&w, e);
    patch_pair_release(&pair);
    g->next++;
    return rc;
}

/* ---- what is over all pairs ---- */

static int write_moments(const struct sited *it, struct arena *a, struct err *e)
{
    if (moments_set(it->mean, it->se, &it->m, a, e) ||
        moments_set(it->normalized_mean, NULL, &it->m_normalized, a, e))
        return e->code;
    return 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct state *s = ctx->state;
    for (int i = 0; i < s->n_groups; i++)
        for (int k = 0; k < s->n_menu; k++)
            if (write_moments(&s->group[i].item[k], ctx->arena, e))
                return e->code;
    if (run_attr_int(out, "normalized_nan", s->n_flat, e))
        return e->code;
    return run_attr_float(out, "flops", s->work.flops, e);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)acts;
    const int64_t i = in - ctx->inputs;
    if (i % 2 == 0) /* a pair's work is booked on its second prompt */
        return 0;
    int rc = run_pair(ctx, &ctx->pairs[i / 2], (int32_t)(i / 2), e);
    if (rc != ERR_CANCEL)
        return rc;
    struct err later = {0}; /* what is there is kept, its means too */
    end(ctx, out, &later);
    return rc;
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
};
