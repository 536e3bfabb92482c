#include "model/trace.h"

#include <string.h>

int plan_init(struct plan *p, const struct config *cfg, struct arena *arena, struct err *e)
{
    *p = (struct plan){.n_layer = cfg->n_layer};
    p->keep = arena_zalloc(arena, (size_t)SITE_COUNT * (size_t)cfg->n_layer, e);
    return p->keep ? 0 : ERR_LIMIT;
}

static size_t slot(int n_layer, enum site s, int layer)
{
    return (size_t)s * (size_t)n_layer + (size_t)(site_info(s)->per_layer ? layer : 0);
}

void plan_keep(struct plan *p, enum site s, int layer)
{
    if (layer >= 0 || !site_info(s)->per_layer)
        p->keep[slot(p->n_layer, s, layer)] = 1;
    else
        for (int l = 0; l < p->n_layer; l++)
            p->keep[slot(p->n_layer, s, l)] = 1;
}

bool plan_keeps(const struct plan *p, enum site s, int layer)
{
    return p && p->keep[slot(p->n_layer, s, layer)];
}

bool plan_is_empty(const struct plan *p)
{
    for (size_t i = 0; i < (size_t)SITE_COUNT * (size_t)p->n_layer; i++)
        if (p->keep[i])
            return false;
    return p->logits == LOGITS_NONE;
}

void plan_merge(struct plan *p, const struct plan *other)
{
    for (size_t i = 0; i < (size_t)SITE_COUNT * (size_t)p->n_layer; i++)
        p->keep[i] |= other->keep[i];
    if (other->logits > p->logits)
        p->logits = other->logits;
}

/* Sum of T and of T^2 over the inputs of a batch. */
static void batch_sums(double *rows, double *squares, const struct batch *b)
{
    *rows = *squares = 0;
    for (int i = 0; i < b->n; i++) {
        double t = (double)(b->offset[i + 1] - b->offset[i]);
        *rows += t;
        *squares += t * t;
    }
}

struct estimate plan_estimate(const struct plan *p, const struct config *cfg, const struct batch *b)
{
    struct estimate est = {0};
    double rows, squares, C = cfg->d_model, F = cfg->d_mlp, L = cfg->n_layer, keep = 0;
    batch_sums(&rows, &squares, b);
    for (int s = 0; s < SITE_COUNT; s++)
        for (int l = 0; l < (site_info((enum site)s)->per_layer ? cfg->n_layer : 1); l++)
            if (plan_keeps(p, (enum site)s, l))
                keep += (double)site_width((enum site)s, cfg) *
                        (site_is_square((enum site)s) ? squares : rows);
    /* resid_post of a layer is resid_pre of the next. */
    for (int l = 0; l + 1 < cfg->n_layer; l++)
        if (plan_keeps(p, SITE_RESID_POST, l) && plan_keeps(p, SITE_RESID_PRE, l + 1))
            keep -= C * rows;
    double logit_rows = p->logits == LOGITS_ALL ? rows : p->logits == LOGITS_LAST ? b->n : 0;
    est.keep_bytes = (uint64_t)(4 * (keep + logit_rows * (double)cfg->vocab));
    est.scratch_bytes = (uint64_t)(4 * rows * (7 * C + F));
    est.flops = 2 * rows * L * (4 * C * C + 2 * C * F) + 2 * squares * C * L +
                2 * logit_rows * C * (double)cfg->vocab;
    return est;
}

const float *trace_site(const struct trace *t, enum site s, int layer, int input)
{
    const float *x = t->site[slot(t->cfg->n_layer, s, layer)];
    return x ? x + t->batch.offset[input] * site_width(s, t->cfg) : NULL;
}

const float *trace_square(const struct trace *t, enum site s, int layer, int input)
{
    float **x = t->square[slot(t->cfg->n_layer, s, layer)];
    return x ? x[input] : NULL;
}

const float *trace_logits(const struct trace *t, int input, int64_t pos)
{
    int64_t len = trace_len(t, input);
    if (pos < 0)
        pos += len;
    if (!t->logits || pos < 0 || pos >= len)
        return NULL;
    if (t->logits_kept == LOGITS_LAST)
        return pos == len - 1 ? t->logits + input * t->cfg->vocab : NULL;
    return t->logits + (t->batch.offset[input] + pos) * t->cfg->vocab;
}

int64_t trace_len(const struct trace *t, int input)
{
    return t->batch.offset[input + 1] - t->batch.offset[input];
}

void trace_release(struct trace *t)
{
    arena_release(&t->arena);
    *t = (struct trace){0};
}
