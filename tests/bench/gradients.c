#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/backward.h"
#include "model/core/rng.h"

/* Times the loss with all gradients on random weights:
 *   bench_gradients LAYERS HEADS D_MODEL VOCAB T INPUTS RUNS [THREADS]
 * prints medians of forward, backward and both in seconds, and tokens a second; with BENCH_CPU set,
 * in processor seconds of all threads (a busy machine). gradients.py runs PyTorch beside it. */

static clockid_t watch = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(watch, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fail(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 8)
        return fprintf(stderr, "usage: see the head of gradients.c\n"), 2;
    if (getenv("BENCH_CPU"))
        watch = CLOCK_PROCESS_CPUTIME_ID;
    int64_t n = atoll(argv[5]), inputs = atoll(argv[6]);
    int runs = atoi(argv[7]);
    struct config cfg = {.n_layer = atoi(argv[1]),
        .n_head = atoi(argv[2]),
        .d_model = atoi(argv[3]),
        .n_ctx = (int)n,
        .vocab = atoll(argv[4]),
        .ln_eps = 1e-5,
        .ln_gain = 1,
        .scale_attn_weights = true,
        .tied = true};
    cfg.d_head = cfg.d_model / cfg.n_head;
    cfg.d_mlp = 4 * cfg.d_model;
    struct err e = {0};
    struct pool *pool;
    struct params *p;
    struct arena arena = {0};
    struct param_arrays grads;
    struct plan plan;
    struct rng r;
    rng_init(&r, 1, 0);
    int32_t *tokens = arena_array(&arena, (size_t)(n * inputs), sizeof *tokens, &e);
    int64_t *offset = arena_array(&arena, (size_t)inputs + 1, sizeof *offset, &e);
    double *times = arena_array(&arena, 3 * (size_t)runs, sizeof *times, &e);
    if (!tokens || !offset || !times || pool_create(&pool, argc > 8 ? atoi(argv[8]) : 0, &e) ||
        params_init_random(&p, &cfg, 1, pool, &e) || params_pack_all(p, &e) ||
        param_arrays_init(&grads, &cfg, &arena, &e) || plan_init(&plan, &cfg, &arena, &e))
        return fail(&e);
    for (int64_t i = 0; i < n * inputs; i++)
        tokens[i] = (int32_t)rng_below(&r, (uint64_t)cfg.vocab);
    for (int64_t i = 0; i <= inputs; i++)
        offset[i] = i * n;
    backward_plan(&plan, &cfg);
    struct batch b = {tokens, offset, (int)inputs};
    struct metric m = {.kind = METRIC_LOSS};
    for (int i = 0; i < runs; i++) {
        struct trace t, out;
        double value, t0 = now();
        struct forward_opts fo = {.plan = &plan, .pool = pool};
        struct backward_opts bo = {.params = &grads, .pool = pool};
        if (forward(&t, p, &b, &fo, &e))
            return fail(&e);
        double t1 = now();
        memset(grads.flat, 0, (size_t)grads.count * sizeof *grads.flat);
        if (backward(&out, &value, p, &t, &m, &bo, &e))
            return fail(&e);
        double t2 = now();
        trace_release(&t);
        trace_release(&out);
        double t3 = now();
        times[i] = t1 - t0;
        times[runs + i] = t2 - t1;
        times[2 * runs + i] = t3 - t0;
    }
    for (int k = 0; k < 3; k++)
        qsort(times + k * runs, (size_t)runs, sizeof *times, by_value);
    double both = times[2 * runs + runs / 2];
    printf("forward %.4f s, backward %.4f s, both %.4f s, %.0f tokens/s\n", times[runs / 2],
        times[runs + runs / 2], both, (double)(n * inputs) / both);
    params_release(&p);
    pool_release(&pool);
    arena_release(&arena);
    return 0;
}
