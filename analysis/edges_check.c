#include <math.h>

#include "analysis/correlation.h"
#include "analysis/edges.h"
#include "model/core/rng.h"

/* How far to believe the scores: edges that they call large, and as many drawn at random, cut one at a
 * time in runs of their own, with everything behind the edge computed again. */

#define COLUMNS 7 /* of either table */

struct check {
    struct edges *s;
    int64_t *edge, n, top; /* [n] flat indices, the first `top` by score */
    struct moments exact;
};

/* The k first of the ranking, then k of the others: the first steps of a shuffle. */
static int choose(struct check *c, const struct ctx *ctx, const int64_t *ranked, int64_t n,
    int64_t k, struct err *e)
{
    c->top = k < n ? k : n;
    c->n = c->top + (n - c->top < k ? n - c->top : k);
    c->edge = arena_array(ctx->arena, (size_t)n + 1, sizeof *c->edge, e);
    if (!c->edge)
        return ERR_LIMIT;
    for (int64_t i = 0; i < n; i++)
        c->edge[i] = ranked[i];
    struct rng r;
    rng_init(&r, ctx->seed, 0);
    for (int64_t i = c->top; i < c->n; i++) {
        const int64_t at = i + (int64_t)rng_below(&r, (uint64_t)(n - i)), one = c->edge[at];
        c->edge[at] = c->edge[i];
        c->edge[i] = one;
    }
    return moments_init(&c->exact, c->n, ctx->arena, e);
}

/* One pair: the fall of the metric (the rise of kl and loss) from the run with nothing cut. */
static int cut_each(struct check *c, struct ctx *ctx, int pair, struct err *e)
{
    const struct edges *s = c->s;
    const int64_t T = ctx->pairs[pair].clean->n;
    const bool is_lower = s->x.kind == METRIC_LOSS || s->x.kind == METRIC_KL;
    struct eap_item *item;
    float *other;
    struct wired *jobs = arena_array(ctx->arena, (size_t)c->n + 1, sizeof *jobs, e);
    if (!jobs || edges_open(&item, s, ctx, pair, 1, e) || eap_others(&other, &s->x, item, e))
        return e->code;
    for (int64_t i = 0; i <= c->n; i++)
        jobs[i] = (struct wired){.item = item, .edge = i < c->n ? c->edge[i] : -1, .other = other};
    if (edges_run(jobs, (int)c->n + 1, s, ctx, T, e))
        return e->code;
    for (int64_t i = 0; i < c->n; i++) {
        const double fall = jobs[c->n].value - jobs[i].value;
        moments_add(&c->exact, i, is_lower ? -fall : fall);
    }
    return 0;
}

static int table(struct block **b, struct run *out, const char *name, const char *rows,
    const struct column columns[COLUMNS], const char *what, struct err *e)
{
    return run_block(b, out,
        &(struct block_spec){.name = name,
            .input = -1,
            .rank = 1,
            .axes = {{rows, AXIS_OTHER, 0, NULL}},
            .unit = "",
            .long_name = what,
            .source = edges_source,
            .look = LOOK_TABLE,
            .columns = columns,
            .n_columns = COLUMNS},
        e);
}

static int write_checked(const struct check *c, struct run *out, struct err *e)
{
    const struct edges *s = c->s;
    const struct graph *g = &s->graph;
    const char *unit = metric_unit(s->x.kind);
    const struct column columns[COLUMNS] = {{"source", "", DT_F32, true},
        {"target", "", DT_F32, true}, {"kind", "", DT_F32, true}, {"drawn", "", DT_F32, true},
        {"score", unit, DT_F64, false}, {"exact", unit, DT_F64, false},
        {"exact_se", unit, DT_F64, false}};
    struct block *b;
    if (table(&b, out, "checked", "edge", columns,
            "scores beside the exact effect of cutting that edge alone, means over pairs", e))
        return e->code;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t u = c->edge[i] / g->readers, v = c->edge[i] % g->readers;
        const struct cell_value row[] = {{.text = s->writer[u]}, {.text = s->reader[v]},
            {.text = graph_kind(g, v)}, {.text = i < c->top ? "largest" : "random"},
            {.number = (double)g->score[c->edge[i]]}, {.number = c->exact.mean[i]},
            {.number = (double)moments_se(&c->exact, i)}};
        if (block_append(b, row, e))
            return e->code;
    }
    return 0;
}

struct agreement {
    double r[2], error, effect, missed; /* missed: the largest effect of a random edge */
};

static int agree(struct agreement *a, const struct check *c, int64_t first, int64_t end,
    struct arena *arena, struct err *e)
{
    const int64_t n = end - first;
    struct arena_mark mark = arena_mark(arena);
    double *score = arena_array(arena, (size_t)n + 1, sizeof *score, e);
    *a = (struct agreement){.missed = (double)NAN};
    if (!score)
        return ERR_LIMIT;
    for (int64_t i = 0; i < n; i++) {
        const double exact = c->exact.mean[first + i];
        score[i] = (double)c->s->graph.score[c->edge[first + i]];
        a->error += fabs(score[i] - exact) / (double)n;
        a->effect += fabs(exact) / (double)n;
        if (first + i >= c->top && !(fabs(exact) <= a->missed))
            a->missed = fabs(exact);
    }
    int rc = correlation(a->r, score, c->exact.mean + first, n, arena, e);
    arena_rewind(arena, mark);
    return rc;
}

static int write_agreement(const struct check *c, struct ctx *ctx, struct run *out, struct err *e)
{
    const char *unit = metric_unit(c->s->x.kind);
    const struct column columns[COLUMNS] = {{"edges", "", DT_F32, true},
        {"cells", "count", DT_I64, false}, {"pearson", "", DT_F64, false},
        {"spearman", "", DT_F64, false}, {"mean_abs_error", unit, DT_F64, false},
        {"mean_abs_effect", unit, DT_F64, false}, {"missed_effect", unit, DT_F64, false}};
    const struct {
        const char *name;
        int64_t first, end;
    } rows[] = {{"largest and random", 0, c->n}, {"largest", 0, c->top}, {"random", c->top, c->n}};
    struct block *b;
    if (table(&b, out, "agreement", "row", columns,
            "scores beside exact effects of the edges in `checked`; missed_effect is the largest "
            "exact effect of a random edge",
            e))
        return e->code;
    for (int i = 0; i < 3; i++) {
        struct agreement a;
        if (rows[i].end == rows[i].first)
            continue;
        if (agree(&a, c, rows[i].first, rows[i].end, ctx->arena, e))
            return e->code;
        const struct cell_value row[] = {{.text = rows[i].name},
            {.number = (double)(rows[i].end - rows[i].first)}, {.number = a.r[0]},
            {.number = a.r[1]}, {.number = a.error}, {.number = a.effect}, {.number = a.missed}};
        if (block_append(b, row, e))
            return e->code;
    }
    return 0;
}

int edges_check(struct edges *s, struct ctx *ctx, struct run *out, const int64_t *ranked, int64_t n,
    int64_t k, struct err *e)
{
    struct check c = {.s = s};
    if (!n)
        return err_set(e, ERR_INPUT, "--check: no edge has a score to check");
    if (choose(&c, ctx, ranked, n, k, e))
        return e->code;
    for (int i = 0; i < s->n_pairs; i++) {
        struct arena_mark mark = arena_mark(ctx->arena);
        if (cut_each(&c, ctx, i, e))
            return e->code;
        arena_rewind(ctx->arena, mark);
    }
    return write_agreement(&c, ctx, out, e) || write_checked(&c, out, e) ? e->code : 0;
}
