#include "analysis/moments.h"

#include <math.h>

#include "analysis/pairs.h"
#include "analysis/token.h"

int moments_init(struct moments *t, int64_t n, struct arena *arena, struct err *e)
{
    t->n = n;
    t->mean = arena_zalloc(arena, (size_t)n * sizeof *t->mean, e);
    t->m2 = arena_zalloc(arena, (size_t)n * sizeof *t->m2, e);
    t->count = arena_zalloc(arena, (size_t)n * sizeof *t->count, e);
    return t->mean && t->m2 && t->count ? 0 : ERR_LIMIT;
}

void moments_add(struct moments *t, int64_t i, double x)
{
    if (isnan(x))
        return;
    double delta = x - t->mean[i];
    t->mean[i] += delta / ++t->count[i];
    t->m2[i] += delta * (x - t->mean[i]);
}

void moments_add_all(struct moments *t, const float *x)
{
    for (int64_t i = 0; i < t->n; i++)
        moments_add(t, i, x[i]);
}

float moments_mean(const struct moments *t, int64_t i)
{
    return t->count[i] ? (float)t->mean[i] : NAN;
}

float moments_se(const struct moments *t, int64_t i)
{
    double n = t->count[i];
    return n > 1 ? (float)sqrt(t->m2[i] / (n - 1) / n) : NAN;
}

int moments_set(struct block *mean, struct block *se, const struct moments *t, struct arena *arena,
    struct err *e)
{
    const struct arena_mark mark = arena_mark(arena);
    float *x = arena_array(arena, (size_t)t->n, sizeof *x, e);
    if (!x)
        return ERR_LIMIT;
    for (int64_t i = 0; i < t->n; i++)
        x[i] = moments_mean(t, i);
    int rc = block_set(mean, x, e);
    for (int64_t i = 0; i < t->n; i++)
        x[i] = moments_se(t, i);
    if (!rc && se)
        rc = block_set(se, x, e);
    arena_rewind(arena, mark);
    return rc;
}

int moments_write(struct run *out, const struct block_spec *spec, const struct moments *t, bool se,
    struct arena *arena, struct err *e)
{
    struct arena_mark mark = arena_mark(arena);
    struct block *b;
    float *x = arena_array(arena, (size_t)t->n, sizeof *x, e);
    if (!x)
        return ERR_LIMIT;
    for (int64_t i = 0; i < t->n; i++)
        x[i] = se ? moments_se(t, i) : moments_mean(t, i);
    int rc = run_block(&b, out, spec, e) || block_set(b, x, e) ? e->code : 0;
    arena_rewind(arena, mark);
    return rc;
}

static const struct input *nth(const struct ctx *ctx, int i)
{
    return ctx->pairs ? ctx->pairs[i].clean : &ctx->inputs[i];
}

static int label_positions(struct length *g, const struct ctx *ctx, int n, struct err *e)
{
    const struct input *first = NULL;
    g->pos = arena_array(ctx->arena, (size_t)g->T, sizeof *g->pos, e);
    bool *same = arena_array(ctx->arena, (size_t)g->T, sizeof *same, e);
    if (!g->pos || !same)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        const struct input *in = nth(ctx, i);
        if (in->n != g->T)
            continue;
        for (int64_t t = 0; t < g->T; t++)
            same[t] = !first || (same[t] && in->tokens[t] == first->tokens[t]);
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

int lengths_of(struct lengths *out, const struct ctx *ctx, struct err *e)
{
    int n = ctx->pairs ? ctx->n_inputs / 2 : ctx->n_inputs;
    *out = (struct lengths){0};
    out->list = arena_zalloc(ctx->arena, (size_t)n * sizeof *out->list, e);
    if (!out->list)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        struct length *g = lengths_find(out, nth(ctx, i)->n);
        if (!g) {
            g = &out->list[out->n++];
            g->T = nth(ctx, i)->n;
        }
        g->n++;
    }
    for (int i = 0; i < out->n; i++)
        if (label_positions(&out->list[i], ctx, n, e))
            return e->code;
    return 0;
}

struct length *lengths_find(const struct lengths *l, int64_t T)
{
    for (int i = 0; i < l->n; i++)
        if (l->list[i].T == T)
            return &l->list[i];
    return NULL;
}

int64_t lengths_key(const struct lengths *l, const struct length *g)
{
    return l->n > 1 ? g->T : 0;
}
