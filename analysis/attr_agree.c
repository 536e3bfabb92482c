#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/attr.h"
#include "analysis/correlation.h"
#include "model/core/rng.h"

/* Estimates beside exact patches: the cells that the estimate calls large, and as many drawn at random,
 * so that what it misses can be seen. */

struct checked {
    int64_t cell; /* in the order of cells */
    double estimate, exact;
    bool is_random;
};

struct chosen {
    struct patch_part *w;
    struct checked *list;
    int64_t n;
};

static int parts_of(const struct patch_blocks *s)
{
    int n = 0;
    for (int i = 0; i < s->n_menu; i++)
        n += s->menu[i]->n_parts;
    return n;
}

static int part_index(const struct patch_part *w)
{
    int n = w->part;
    for (int i = 0; &w->g->item[i] != w->item; i++)
        n += w->s->menu[i]->n_parts;
    return n;
}

static const struct column agreement_columns[] = {{"site", "", DT_F32, true},
    {"pair", "index", DT_I32, false}, {"cells", "count", DT_I64, false},
    {"pearson", "", DT_F64, false}, {"spearman", "", DT_F64, false},
    {"mean_abs_error", "metric", DT_F64, false}, {"mean_abs_effect", "metric", DT_F64, false},
    {"missed_effect", "metric", DT_F64, false}, {"missed_layer", "layer", DT_I32, false}};
static const struct column error_columns[] = {{"site", "", DT_F32, true},
    {"layer", "layer", DT_I32, false}, {"cells", "count", DT_I64, false},
    {"mean_abs_error", "metric", DT_F64, false},
    {"sum_abs_error_normalized", "clean - corrupt", DT_F64, false}};

static int table(struct block **b, struct run *out, const char *name, const char *what,
    const struct column *columns, int n, struct err *e)
{
    return run_block(b, out,
        &(struct block_spec){.name = name,
            .input = -1,
            .rank = 1,
            .axes = {{"row", AXIS_OTHER, 0, NULL}},
            .unit = "",
            .long_name = what,
            .look = LOOK_TABLE,
            .columns = columns,
            .n_columns = n},
        e);
}

int attr_agree_begin(struct attr_tally *t, struct run *out, const char *prefix,
    const struct patch_blocks *s, struct ctx *ctx, struct err *e)
{
    char names[2][48];
    const size_t n = (size_t)parts_of(s), L = (size_t)ctx->model->cfg.n_layer;
    t->layers = (int64_t)L;
    snprintf(names[0], sizeof names[0], "%sagreement", prefix);
    snprintf(names[1], sizeof names[1], "%serror_by_layer", prefix);
    t->sum = arena_zalloc(ctx->arena, n * L * sizeof *t->sum, e);
    t->normalized = arena_zalloc(ctx->arena, n * L * sizeof *t->normalized, e);
    t->cells = arena_zalloc(ctx->arena, n * L * sizeof *t->cells, e);
    t->pairs = arena_zalloc(ctx->arena, n * sizeof *t->pairs, e);
    if (!t->sum || !t->normalized || !t->cells || !t->pairs ||
        table(&t->agreement, out, names[0],
            "estimates beside exact patches of the largest cells and of random ones; missed_effect "
            "is the largest exact effect of a random cell that is not among the largest estimates",
            agreement_columns, sizeof agreement_columns / sizeof *agreement_columns, e))
        return e->code;
    return table(&t->errors, out, names[1],
        "difference of estimate and exact patch over the checked cells of a layer: its mean over "
        "cells, and its sum over cells as a share of clean - corrupt, mean over pairs",
        error_columns, sizeof error_columns / sizeof *error_columns, e);
}

static int by_estimate(const void *a, const void *b)
{
    const struct checked *x = a, *y = b;
    const double p = fabs(x->estimate), q = fabs(y->estimate);
    return p != q ? (p < q) - (p > q) : (x->cell > y->cell) - (x->cell < y->cell);
}

static int by_cell(const void *a, const void *b)
{
    const struct checked *x = a, *y = b;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

/* The k largest, then k of the others: the first steps of a shuffle. */
static int choose(struct chosen *c, struct patch_part *w, int64_t k, struct err *e)
{
    struct checked *all = arena_array(w->ctx->arena, (size_t)w->n, sizeof *all, e);
    int64_t n = 0;
    if (!all)
        return ERR_LIMIT;
    for (int64_t i = 0; i < w->n; i++) {
        struct patch_cell cell;
        patch_part_cell(&cell, w, i);
        if (patch_pair_has(w->pair, &cell))
            all[n++] = (struct checked){.cell = i, .estimate = w->value[i]};
    }
    qsort(all, (size_t)n, sizeof *all, by_estimate);
    const int64_t top = k < n ? k : n, random = n - top < k ? n - top : k;
    struct rng rng;
    rng_init(&rng, w->ctx->seed, (uint64_t)w->index);
    for (int64_t i = 0; i < random; i++) {
        const int64_t from = top + i, at = from + (int64_t)rng_below(&rng, (uint64_t)(n - from));
        const struct checked one = all[at];
        all[at] = all[from];
        all[from] = one;
        all[from].is_random = true;
    }
    *c = (struct chosen){w, all, top + random};
    qsort(all, (size_t)c->n, sizeof *all, by_cell); /* high layers first, as a sweep goes */
    return 0;
}

static void chosen_cell(struct patch_cell *out, void *arg, int64_t i)
{
    const struct chosen *c = arg;
    patch_part_cell(out, c->w, c->list[i].cell);
}

static int patch_chosen(struct attr_tally *t, struct chosen *c, struct err *e)
{
    const struct patch_part *w = c->w;
    const double base = w->s->o.noise ? w->pair->clean : w->pair->corrupt;
    double *value = arena_array(w->ctx->arena, (size_t)c->n + 1, sizeof *value, e);
    struct patch_opts o = {.pool = w->ctx->pool,
        .max_bytes = w->ctx->max_bytes ? budget_left(w->ctx->budget) : 0,
        .cell = chosen_cell,
        .arg = c,
        .work = &t->work};
    if (!value || patch_sweep(value, c->n, &w->pair->run, &o, e))
        return e->code;
    for (int64_t i = 0; i < c->n; i++)
        c->list[i].exact = value[i] - base;
    return 0;
}

static int correlate(double out[2], const struct chosen *c, struct err *e)
{
    double *x = arena_array(c->w->ctx->arena, 2 * (size_t)c->n + 1, sizeof *x, e);
    if (!x)
        return ERR_LIMIT;
    for (int64_t i = 0; i < c->n; i++) {
        x[i] = c->list[i].estimate;
        x[c->n + i] = c->list[i].exact;
    }
    return correlation(out, x, x + c->n, c->n, c->w->ctx->arena, e);
}

static void tally(struct attr_tally *t, const struct chosen *c)
{
    const struct patch_part *w = c->w;
    const int part = part_index(w);
    const double range = fabs(w->pair->clean - w->pair->corrupt);
    const bool is_flat = patch_pair_is_flat(w->pair->clean, w->pair->corrupt);
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t layer = t->layers - 1 - c->list[i].cell / w->per;
        const int64_t at = part * t->layers + layer;
        const double error = fabs(c->list[i].estimate - c->list[i].exact);
        t->sum[at] += error;
        t->cells[at]++;
        t->normalized[at] += is_flat ? 0 : error / range;
    }
    t->pairs[part] += !is_flat;
}

const char *attr_part_name(char *buf, size_t n, const struct patch_menu *m, int part)
{
    if (m->n_parts < 2)
        return m->name;
    snprintf(buf, n, "%s:%s", m->name, m->part[part].label);
    return buf;
}

int attr_agree(struct attr_tally *t, struct patch_part *w, int64_t k, struct err *e)
{
    struct chosen c;
    double r[2], error = 0, effect = 0, missed = 0, missed_layer = -1;
    char name[96];
    if (choose(&c, w, k, e) || patch_chosen(t, &c, e) || correlate(r, &c, e))
        return e->code;
    for (int64_t i = 0; i < c.n; i++) {
        error += fabs(c.list[i].estimate - c.list[i].exact) / (double)c.n;
        effect += fabs(c.list[i].exact) / (double)c.n;
        if (c.list[i].is_random && fabs(c.list[i].exact) > missed) {
            missed = fabs(c.list[i].exact);
            missed_layer = (double)(t->layers - 1 - c.list[i].cell / w->per);
        }
    }
    tally(t, &c);
    const struct cell_value row[] = {
        {.text = attr_part_name(name, sizeof name, w->item->menu, w->part)},
        {.number = (double)w->index}, {.number = (double)c.n}, {.number = r[0]}, {.number = r[1]},
        {.number = error}, {.number = effect}, {.number = missed}, {.number = missed_layer}};
    return block_append(t->agreement, row, e);
}

int attr_agree_end(struct attr_tally *t, const struct patch_blocks *s, struct err *e)
{
    int part = 0;
    for (int i = 0; i < s->n_menu; i++)
        for (int k = 0; k < s->menu[i]->n_parts; k++, part++)
            for (int64_t l = 0; l < t->layers; l++) {
                char name[96];
                const int64_t at = part * t->layers + l, pairs = t->pairs[part];
                if (!t->cells[at])
                    continue;
                const struct cell_value row[] = {
                    {.text = attr_part_name(name, sizeof name, s->menu[i], k)},
                    {.number = (double)l}, {.number = (double)t->cells[at]},
                    {.number = t->sum[at] / (double)t->cells[at]},
                    {.number = pairs ? t->normalized[at] / (double)pairs : (double)NAN}};
                if (block_append(t->errors, row, e))
                    return e->code;
            }
    return 0;
}
