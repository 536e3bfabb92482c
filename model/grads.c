#include "model/backward.h"

#include <string.h>

/* One block of memory holds every gradient, so that clearing and summing are single passes. */
struct carve {
    float *base; /* NULL: only count */
    size_t used;
};

static float *take(struct carve *c, int64_t n)
{
    float *p = c->base ? c->base + c->used : NULL;
    c->used += ((size_t)n + 15) & ~(size_t)15;
    return p;
}

static void carve_grads(struct grads *g, const struct config *cfg, struct carve *c)
{
    int64_t C = cfg->d_model, F = cfg->d_mlp;
    for (int l = 0; l < cfg->n_layer; l++) {
        struct layer_vectors v;
        v.ln1_g = take(c, C);
        v.ln1_b = take(c, C);
        v.b_qkv = take(c, 3 * C);
        v.b_o = take(c, C);
        v.ln2_g = take(c, C);
        v.ln2_b = take(c, C);
        v.b_in = take(c, F);
        v.b_out = take(c, C);
        float *qkv = take(c, 3 * C * C), *o = take(c, C * C), *in = take(c, C * F),
              *out = take(c, F * C);
        if (!c->base)
            continue;
        g->layer[l] = v;
        g->qkv[l] = qkv;
        g->o[l] = o;
        g->in[l] = in;
        g->out[l] = out;
    }
    g->wte = take(c, cfg->vocab * C);
    g->wpe = take(c, (int64_t)cfg->n_ctx * C);
    g->unembed = cfg->tied ? NULL : take(c, cfg->vocab * C);
    g->lnf_g = take(c, C);
    g->lnf_b = take(c, C);
}

size_t grads_count(const struct config *cfg)
{
    struct grads none = {0};
    struct carve count = {0};
    carve_grads(&none, cfg, &count);
    return count.used;
}

int grads_init(struct grads *g, const struct config *cfg, struct arena *arena, struct err *e)
{
    size_t L = (size_t)cfg->n_layer;
    *g = (struct grads){0};
    g->layer = arena_zalloc(arena, L * sizeof *g->layer, e);
    g->qkv = arena_zalloc(arena, L * sizeof *g->qkv, e);
    g->o = arena_zalloc(arena, L * sizeof *g->o, e);
    g->in = arena_zalloc(arena, L * sizeof *g->in, e);
    g->out = arena_zalloc(arena, L * sizeof *g->out, e);
    if (!g->layer || !g->qkv || !g->o || !g->in || !g->out)
        return ERR_LIMIT;
    struct carve c = {0};
    size_t count = grads_count(cfg);
    c.base = g->all = arena_zalloc(arena, count * sizeof *g->all, e);
    if (!c.base)
        return ERR_LIMIT;
    g->n_all = count;
    carve_grads(g, cfg, &c);
    return 0;
}

#define ZERO_PIECE 65536

static void zero_piece(void *arg, int64_t i, int worker)
{
    (void)worker;
    struct grads *g = arg;
    size_t begin = (size_t)i * ZERO_PIECE, n = g->n_all - begin;
    memset(g->all + begin, 0, (n < ZERO_PIECE ? n : ZERO_PIECE) * sizeof *g->all);
}

void grads_zero(struct grads *g, const struct config *cfg, struct pool *pool)
{
    (void)cfg;
    pool_for(pool, (int64_t)((g->n_all + ZERO_PIECE - 1) / ZERO_PIECE), zero_piece, g);
}
