#include "model/adamw.h"

#include <math.h>

#define BLOCK 16384

int adamw_init(struct adamw *a, const struct config *cfg, struct arena *arena, struct err *e)
{
    struct param_slot last;
    param_slot(&last, cfg, param_slots(cfg) - 1);
    size_t bytes = (size_t)(last.at + last.count) * sizeof(float);
    a->steps = 0;
    a->m = arena_zalloc(arena, bytes, e);
    a->v = arena_zalloc(arena, bytes, e);
    return a->m && a->v ? 0 : ERR_LIMIT;
}

struct norm {
    const float *x;
    int64_t n;
    double *sums;
};

static void norm_block(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct norm *k = arg;
    int64_t begin = i * BLOCK, n = k->n - begin < BLOCK ? k->n - begin : BLOCK;
    const float *x = k->x + begin;
    double sum[8] = {0};
    for (int64_t j = 0; j < n; j++)
        sum[j & 7] += (double)x[j] * (double)x[j];
    k->sums[i] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

int64_t flat_norm_scratch(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

double flat_norm(const float *x, int64_t n, struct pool *pool, double *scratch)
{
    struct norm k = {x, n, scratch};
    double sum = 0;
    pool_for(pool, flat_norm_scratch(n), norm_block, &k);
    for (int64_t i = 0; i < flat_norm_scratch(n); i++)
        sum += scratch[i];
    return sqrt(sum);
}

struct update {
    float *restrict p, *restrict m, *restrict v;
    const float *restrict g;
    int64_t n;
    float beta1, beta2, eps, rate, keep, scale, root; /* root: 1 / sqrt(1 - beta2^t) */
};

static void update_block(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct update *u = arg;
    int64_t begin = i * BLOCK, end = begin + BLOCK < u->n ? begin + BLOCK : u->n;
    float *restrict p = u->p, *restrict m = u->m, *restrict v = u->v;
    for (int64_t j = begin; j < end; j++) {
        float g = u->g[j] * u->scale;
        m[j] = u->beta1 * m[j] + (1 - u->beta1) * g;
        v[j] = u->beta2 * v[j] + (1 - u->beta2) * g * g;
        p[j] = p[j] * u->keep - u->rate * m[j] / (sqrtf(v[j]) * u->root + u->eps);
    }
}

void adamw_step(struct adamw *a, struct param_arrays *p, const struct param_arrays *g,
    const struct config *cfg, double lr, double scale, struct pool *pool)
{
    double t = (double)++a->steps;
    for (int i = 0; i < param_slots(cfg); i++) {
        struct param_slot s;
        param_slot(&s, cfg, i);
        struct update u = {.p = p->flat + s.at,
            .m = a->m + s.at,
            .v = a->v + s.at,
            .g = g->flat + s.at,
            .n = s.count,
            .beta1 = (float)a->beta1,
            .beta2 = (float)a->beta2,
            .eps = (float)a->eps,
            .rate = (float)(lr / (1 - pow(a->beta1, t))),
            .keep = (float)(1 - (s.matrix ? lr * a->weight_decay : 0)),
            .scale = (float)scale,
            .root = (float)(1 / sqrt(1 - pow(a->beta2, t)))};
        pool_for(pool, (s.count + BLOCK - 1) / BLOCK, update_block, &u);
    }
}

double schedule_lr(const struct schedule *s, int64_t step)
{
    if (step < s->warmup)
        return s->lr * (double)(step + 1) / (double)s->warmup;
    if (s->steps <= s->warmup + 1)
        return s->lr;
    double at = (double)(step - s->warmup) / (double)(s->steps - 1 - s->warmup);
    at = at < 1 ? at : 1;
    return s->lr * (s->floor + (1 - s->floor) * 0.5 * (1 + cos(M_PI * at)));
}
