#include "analysis/lengths.h"

#include "analysis/pairs.h"
#include "analysis/token.h"

static const struct input *nth(const struct ctx *ctx, int i, bool corrupt)
{
    return !ctx->pairs ? &ctx->inputs[i] : corrupt ? ctx->pairs[i].corrupt : ctx->pairs[i].clean;
}

/* Tokens where all inputs of the length agree, else numbers. */
static int label_positions(
    struct length *g, const struct ctx *ctx, int n, bool corrupt, struct err *e)
{
    const struct input *first = NULL;
    g->pos = arena_array(ctx->arena, (size_t)g->T, sizeof *g->pos, e);
    bool *same = arena_array(ctx->arena, (size_t)g->T, sizeof *same, e);
    if (!g->pos || !same)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        const struct input *in = nth(ctx, i, corrupt);
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

int lengths_of(struct lengths *out, const struct ctx *ctx, bool corrupt, struct err *e)
{
    int n = ctx->pairs ? ctx->n_inputs / 2 : ctx->n_inputs;
    *out = (struct lengths){0};
    out->list = arena_zalloc(ctx->arena, (size_t)n * sizeof *out->list, e);
    if (!out->list)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        struct length *g = lengths_find(out, nth(ctx, i, corrupt)->n);
        if (!g) {
            g = &out->list[out->n++];
            g->T = nth(ctx, i, corrupt)->n;
        }
        g->n++;
    }
    for (int i = 0; i < out->n; i++)
        if (label_positions(&out->list[i], ctx, n, corrupt, e))
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
