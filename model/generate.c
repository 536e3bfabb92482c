#include "model/generate.h"

#include <string.h>

/* Positions that count from the end are fixed at the prompt's length, so that an edit means the same
 * place at every step, with or without the cache. */
static int fix_edits(
    struct edits *out, const struct edits *in, int64_t n_prompt, struct arena *arena, struct err *e)
{
    *out = (struct edits){0};
    if (!in || !in->n)
        return 0;
    struct edit *list = arena_array(arena, (size_t)in->n, sizeof *list, e);
    if (!list)
        return ERR_LIMIT;
    memcpy(list, in->list, (size_t)in->n * sizeof *list);
    for (int i = 0; i < in->n; i++) {
        int64_t *at[2] = {list[i].pos, list[i].key};
        for (int k = 0; k < 2; k++) {
            if (at[k][0] < 0) {
                at[k][0] = at[k][0] + n_prompt > 0 ? at[k][0] + n_prompt : 0;
                at[k][1] = at[k][1] <= 0 ? at[k][1] + n_prompt : at[k][1];
            } else if (at[k][1] < 0) {
                at[k][1] += n_prompt;
            }
        }
    }
    *out = (struct edits){list, in->n};
    return 0;
}

/* An edit has to touch a position that some step will feed to the model. */
static int check_edits(const struct edits *eds, const struct config *cfg, int64_t n_prompt,
    int64_t max_new, struct err *e)
{
    int64_t fed = n_prompt + (max_new > 1 ? max_new - 1 : 0);
    int64_t offset[2] = {0, fed < cfg->n_ctx ? fed : cfg->n_ctx};
    return edits_check(eds, &(struct batch){NULL, offset, 1}, false, e);
}

struct generator {
    struct generation *g;
    const struct params *p;
    struct edits edits;
    struct kv_cache kv;
    bool use_cache;
    struct pool *pool;
    struct budget budget;
};

/* The logits row after g->n tokens: the whole text again, or only what the cache has not seen. */
static int next_logits(struct trace *t, struct generator *s, struct err *e)
{
    int64_t from = s->use_cache ? s->kv.len : 0;
    int64_t offset[2] = {0, s->g->n - from};
    struct batch b = {s->g->tokens + from, offset, 1};
    struct forward_opts o = {.edits = s->edits.n ? &s->edits : NULL,
        .kv = s->use_cache ? &s->kv : NULL,
        .is_part = true,
        .pool = s->pool,
        .progress = s->g->progress,
        .progress_arg = s->g->progress_arg,
        .budget = &s->budget};
    return forward(t, s->p, &b, &o, e);
}

static int run(struct generator *s, int64_t max_new, int64_t stop_id, const struct sampling *how,
    int (*each)(void *arg, const struct step *step), void *arg, struct err *e)
{
    struct generation *g = s->g;
    for (int64_t i = 0; i < max_new; i++) {
        if (g->n >= s->p->cfg.n_ctx) {
            g->context_full = true;
            return 0;
        }
        struct trace t;
        struct step step;
        if (next_logits(&t, s, e))
            return e->code;
        int rc = sample_token(
            &step, trace_logits(&t, 0, -1), s->p->cfg.vocab, g->tokens, g->n, how, (uint64_t)i, e);
        trace_release(&t);
        if (rc)
            return rc;
        g->tokens[g->n++] = step.token;
        if (g->steps)
            g->steps[i] = step;
        if ((each && each(arg, &step)) || (stop_id >= 0 && step.token == stop_id))
            return 0;
    }
    return 0;
}

int generate(struct generation *g, const struct params *p, int64_t max_new, int64_t stop_id,
    const struct sampling *s, const struct edits *edits, bool use_cache,
    int (*each)(void *arg, const struct step *step), void *arg, struct pool *pool, struct err *e)
{
    struct arena arena = {0};
    struct generator gen = {.g = g, .p = p, .use_cache = use_cache, .pool = pool};
    int64_t room = p->cfg.n_ctx - g->n_prompt;
    gen.budget.limit = g->max_bytes;
    arena.budget = &gen.budget;
    g->n = g->n_prompt;
    g->context_full = false;
    int rc = fix_edits(&gen.edits, edits, g->n_prompt, &arena, e);
    if (!rc)
        rc = check_edits(&gen.edits, &p->cfg, g->n_prompt, max_new, e);
    if (!rc && use_cache)
        rc = kv_cache_init(&gen.kv, &p->cfg,
            g->n_prompt + (max_new < room ? max_new
                              : room > 0  ? room
                                          : 0),
            &arena, e);
    if (!rc)
        rc = run(&gen, max_new, stop_id, s, each, arg, e);
    arena_release(&arena);
    return rc;
}
