#include "analysis/moments.h"

#include <math.h>

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
