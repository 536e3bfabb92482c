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
