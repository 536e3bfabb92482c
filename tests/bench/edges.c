#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/eap.h"
#include "model/core/rng.h"

/* Times edge attribution on random weights of GPT-2's shape beside forward passes of the same prompts:
 *   bench_edges PAIRS T FIRST STEPS RUNS [THREADS]
 * prompts of a pair differ from position FIRST on. Prints seconds a pair, and how many forward passes
 * of one prompt (with the last row of logits, and with all rows) that is. With BENCH_CPU set, in
 * processor seconds of all threads (a busy machine). */

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

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

static void fail(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

enum { LAST, ALL, PLAIN, INPUTS, ROWS };

struct bench {
    struct ctx ctx;
    struct graph graph;
    struct arena arena;
    struct pair *pairs;
    int n, T, steps;
};

static double run_forward(struct bench *b, enum logits_want want, struct err *e)
{
    struct plan plan;
    struct arena_mark mark = arena_mark(&b->arena);
    int32_t *tokens = arena_array(&b->arena, (size_t)(b->n * b->T), sizeof *tokens, e);
    int64_t *offset = arena_array(&b->arena, (size_t)b->n + 1, sizeof *offset, e);
    if (!tokens || !offset || plan_init(&plan, &b->ctx.model->cfg, &b->arena, e))
        fail(e);
    for (int i = 0; i <= b->n; i++)
        offset[i] = (int64_t)i * b->T;
    for (int i = 0; i < b->n; i++)
        memcpy(tokens + i * b->T, b->pairs[i].clean->tokens, (size_t)b->T * sizeof *tokens);
    plan.logits = want;
    struct forward_opts o = {.plan = &plan, .pool = b->ctx.pool};
    double t0 = now();
    struct trace t;
    if (forward(&t, b->ctx.params, &(struct batch){tokens, offset, b->n}, &o, e))
        fail(e);
    trace_release(&t);
    arena_rewind(&b->arena, mark);
    return (now() - t0) / b->n;
}

static double run_edges(struct bench *b, enum eap_method method, struct err *e)
{
    struct eap x = {.ctx = &b->ctx,
        .graph = &b->graph,
        .method = method,
        .kind = METRIC_LOGIT_DIFF,
        .steps = b->steps};
    struct arena_mark mark = arena_mark(&b->arena);
    b->ctx.arena = &b->arena;
    struct eap_item *items = arena_array(&b->arena, (size_t)b->n, sizeof *items, e);
    double t0 = now();
    if (!items)
        fail(e);
    for (int i = 0; i < b->n; i++)
        if (eap_item_init(&items[i], &b->pairs[i], METRIC_LOGIT_DIFF, -1, &b->ctx, e))
            fail(e);
    for (int first = 0, n; first < b->n; first += n) {
        for (n = 1; first + n < b->n && eap_fits(&x, b->pairs + first, n + 1, SIZE_MAX);)
            n++;
        struct arena_mark group = arena_mark(&b->arena);
        if (eap_score(&x, items + first, n, e))
            fail(e);
        arena_rewind(&b->arena, group);
    }
    arena_rewind(&b->arena, mark);
    return (now() - t0) / b->n;
}

static void make_pairs(struct bench *b, int first, struct err *e)
{
    struct rng r;
    rng_init(&r, 1, 0);
    int64_t V = b->ctx.model->cfg.vocab;
    b->pairs = arena_zalloc(&b->arena, (size_t)b->n * sizeof *b->pairs, e);
    struct input *in = arena_zalloc(&b->arena, 2 * (size_t)b->n * sizeof *in, e);
    int32_t *ids = arena_array(&b->arena, 2 * (size_t)(b->n * (b->T + 1)), sizeof *ids, e);
    if (!b->pairs || !in || !ids)
        fail(e);
    for (int i = 0; i < 2 * b->n; i++) {
        int32_t *own = ids + i * (b->T + 1);
        for (int t = 0; t <= b->T; t++)
            own[t] = i % 2 && t < first ? own[t - b->T - 1] : (int32_t)rng_below(&r, (uint64_t)V);
        in[i] = (struct input){.tokens = own, .n = b->T, .index = i};
    }
    for (int i = 0; i < b->n; i++)
        b->pairs[i] = (struct pair){.clean = &in[2 * i],
            .corrupt = &in[2 * i + 1],
            .answer = in[2 * i].tokens + b->T,
            .wrong = in[2 * i + 1].tokens + b->T,
            .n_answer = 1,
            .n_wrong = 1,
            .where = "bench"};
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return fprintf(stderr, "usage: see the head of edges.c\n"), 2;
    if (getenv("BENCH_CPU"))
        watch = CLOCK_PROCESS_CPUTIME_ID;
    struct model model = {.cfg = {.n_layer = 12,
                              .n_head = 12,
                              .d_model = 768,
                              .d_head = 64,
                              .d_mlp = 3072,
                              .n_ctx = 1024,
                              .vocab = 50257,
                              .ln_eps = 1e-5,
                              .ln_gain = 1,
                              .scale_attn_weights = true,
                              .tied = true},
        .bos_id = -1};
    struct bench b = {.n = atoi(argv[1]), .T = atoi(argv[2]), .steps = atoi(argv[4])};
    struct err e = {0};
    struct params *p;
    struct pool *pool;
    int runs = atoi(argv[5]);
    double time[ROWS][64];
    static const char *const names[ROWS] = {
        "forward, last logits", "forward, all logits", "eap", "eap_ig_inputs"};
    if (runs < 1 || runs > 64 || pool_create(&pool, argc > 6 ? atoi(argv[6]) : 0, &e) ||
        params_init_random(&p, &model.cfg, 1, pool, &e) || params_pack_all(p, &e) ||
        graph_init(&b.graph, &model.cfg, &b.arena, &e))
        fail(&e);
    b.ctx = (struct ctx){.model = &model, .params = p, .pool = pool, .arena = &b.arena};
    make_pairs(&b, atoi(argv[3]), &e);
    for (int k = -1; k < runs; k++) {
        int at = k < 0 ? 0 : k;
        time[LAST][at] = run_forward(&b, LOGITS_LAST, &e);
        time[ALL][at] = run_forward(&b, LOGITS_ALL, &e);
        time[PLAIN][at] = run_edges(&b, EAP, &e);
        time[INPUTS][at] = run_edges(&b, EAP_IG_INPUTS, &e);
    }
    double last = median(time[LAST], runs), all = median(time[ALL], runs);
    for (int i = 0; i < ROWS; i++) {
        double s = median(time[i], runs);
        printf("%-22s %8.3f ms a pair  %6.2f  %6.2f forward passes\n", names[i], 1e3 * s, s / last,
            s / all);
    }
    params_release(&p);
    pool_release(&pool);
    arena_release(&b.arena);
    return 0;
}
