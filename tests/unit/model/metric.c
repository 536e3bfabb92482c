#include "model/metric.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/backward.h"
#include "model/core/rng.h"

/* Metrics by their definitions in fp64, their seeds by differences, and the whole backward pass on
 * ragged batches and by one thread and two. */

#define V 19
static const int32_t good[] = {3, 7}, bad[] = {11, 12, 13};

static double direct(enum metric_kind kind, const double *z, const float *logq)
{
    double sum = 0, p[V], h = 0, kl = 0;
    for (int i = 0; i < V; i++)
        sum += exp(z[i]);
    for (int i = 0; i < V; i++) {
        p[i] = exp(z[i]) / sum;
        h -= p[i] * log(p[i]);
        kl += exp((double)logq[i]) * ((double)logq[i] - log(p[i]));
    }
    switch (kind) {
    case METRIC_LOGIT:
        return (z[3] + z[7]) / 2;
    case METRIC_LOGIT_DIFF:
        return (z[3] + z[7]) / 2 - (z[11] + z[12] + z[13]) / 3;
    case METRIC_LOGPROB:
        return (log(p[3]) + log(p[7])) / 2;
    case METRIC_PROB:
        return p[3] + p[7];
    case METRIC_PROB_DIFF:
        return p[3] + p[7] - p[11] - p[12] - p[13];
    case METRIC_KL:
        return kl;
    default:
        return h;
    }
}

static void definitions(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2, 0);
    float z[V], q[V], seed[V];
    double wide[V];
    for (int i = 0; i < V; i++) {
        z[i] = (float)(2 * rng_normal(&r));
        q[i] = (float)rng_normal(&r);
        wide[i] = (double)z[i];
    }
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp((double)q[i]);
    for (int i = 0; i < V; i++)
        q[i] = (float)((double)q[i] - log(sum));
    struct metric_at at = {
        .answer = good, .n_answer = 2, .wrong = bad, .n_wrong = 3, .reference_logp = q};
    for (int k = METRIC_LOGIT; k < METRIC_COUNT; k++) {
        enum metric_kind kind = (enum metric_kind)k, parsed;
        struct metric m = {.kind = kind, .at = &at, .n_at = 1};
        double value = metric_seed(seed, &m, &at, z, V, 0.5);
        assert_true(fabs(value - direct(kind, wide, q)) < 1e-6);
        assert_true(fabs(value - metric_seed(NULL, &m, &at, z, V, 1)) < 1e-12);
        for (int i = 0; i < V; i++) {
            double keep = wide[i], h = 1e-5;
            wide[i] = keep + h;
            double up = direct(kind, wide, q);
            wide[i] = keep - h;
            double down = direct(kind, wide, q);
            wide[i] = keep;
            assert_true(fabs((up - down) / (2 * h) - 2 * (double)seed[i]) < 1e-6);
        }
        assert_int_equal(metric_parse(&parsed, metric_name(kind), NULL), 0);
        assert_int_equal(parsed, kind);
    }
    struct err e = {0};
    enum metric_kind none;
    assert_int_equal(metric_parse(&none, "logits", &e), ERR_USAGE);
}

static const struct config config = {.n_layer = 2,
    .n_head = 2,
    .d_model = 14,
    .d_head = 7,
    .d_mlp = 29,
    .n_ctx = 40,
    .vocab = V,
    .ln_eps = 1e-5,
    .ln_gain = 1,
    .act = ACT_GELU_NEW,
    .scale_attn_weights = true,
    .tied = true};

struct outcome {
    double value, from_logits;
    struct trace grads;
    struct param_arrays params;
    struct arena arena;
};

static void differentiate(struct outcome *out, const struct params *p, const struct batch *b,
    const struct metric *m, struct pool *pool)
{
    struct err e = {0};
    struct plan plan, want;
    struct trace t;
    memset(out, 0, sizeof *out);
    assert_int_equal(plan_init(&plan, &config, &out->arena, &e), 0);
    assert_int_equal(plan_init(&want, &config, &out->arena, &e), 0);
    assert_int_equal(param_arrays_init(&out->params, &config, &out->arena, &e), 0);
    backward_plan(&plan, &config);
    plan.logits = LOGITS_ALL;
    plan_keep(&want, SITE_RESID_PRE, -1);
    plan_keep(&want, SITE_PATTERN, -1);
    struct forward_opts fo = {.plan = &plan, .pool = pool};
    struct backward_opts bo = {.want = &want, .params = &out->params, .pool = pool};
    assert_int_equal(forward(&t, p, b, &fo, &e), 0);
    assert_int_equal(backward(&out->grads, &out->value, p, &t, m, &bo, &e), 0);
    assert_int_equal(metric_value(&out->from_logits, NULL, m, &t, &e), 0);
    trace_release(&t);
}

static void outcome_release(struct outcome *o)
{
    trace_release(&o->grads);
    arena_release(&o->arena);
}

static double distance(const float *a, const float *b, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

static void random_batch(int32_t *tokens, struct params **p, struct pool *pool)
{
    struct err e = {0};
    struct rng r;
    rng_init(&r, 9, 0);
    for (int i = 0; i < 64; i++)
        tokens[i] = (int32_t)rng_below(&r, V);
    assert_int_equal(params_init_random(p, &config, 3, pool, &e), 0);
    struct param_arrays *a = params_arrays(*p);
    for (int64_t i = 0; i < a->count; i++)
        a->flat[i] *= 8;
    assert_int_equal(params_changed(*p, &e), 0);
}

/* The loss of a ragged batch is the mean over its tokens, and so are its gradients; an input of one
 * token adds nothing. */
static void ragged_batches(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool *pool;
    struct params *p;
    int32_t tokens[64];
    assert_int_equal(pool_create(&pool, 2, &e), 0);
    random_batch(tokens, &p, pool);
    const int64_t offset[5] = {0, 5, 6, 37, 53};
    struct batch whole = {tokens, offset, 4};
    struct metric m = {.kind = METRIC_LOSS};
    struct outcome all, one;
    differentiate(&all, p, &whole, &m, pool);
    assert_true(fabs(all.value - all.from_logits) < 1e-6);
    float *sum = calloc((size_t)all.params.count, sizeof *sum);
    assert_non_null(sum);
    double value = 0, total = 53 - 4;
    for (int i = 0; i < 4; i++) {
        int64_t n = offset[i + 1] - offset[i], own[2] = {0, n};
        if (n < 2)
            continue;
        struct batch single = {tokens + offset[i], own, 1};
        differentiate(&one, p, &single, &m, pool);
        double share = (double)(n - 1) / total;
        value += share * one.value;
        for (int64_t k = 0; k < all.params.count; k++)
            sum[k] += (float)share * one.params.flat[k];
        for (int64_t k = 0; k < n * 14; k++)
            ((float *)trace_site(&one.grads, SITE_RESID_PRE, 1, 0))[k] *= (float)share;
        assert_true(distance(trace_site(&one.grads, SITE_RESID_PRE, 1, 0),
                        trace_site(&all.grads, SITE_RESID_PRE, 1, i), n * 14) < 1e-5);
        outcome_release(&one);
    }
    assert_true(fabs(value - all.value) < 1e-6);
    assert_true(distance(sum, all.params.flat, all.params.count) < 1e-5);
    double from_loss;
    int64_t count;
    assert_int_equal(loss_of(&from_loss, &count, p, &whole, pool, &e), 0);
    assert_int_equal(count, 49);
    assert_true(fabs(from_loss / 49 - all.value) < 1e-6);
    free(sum);
    outcome_release(&all);
    params_release(&p);
    pool_release(&pool);
}

/* Every metric: value as from the logits, the same by one thread and two, the same bits again. */
static void threads_and_repeats(void **state)
{
    (void)state;
    struct err e = {0};
    struct pool *two, *single;
    struct params *p;
    int32_t tokens[64];
    assert_int_equal(pool_create(&two, 2, &e), 0);
    assert_int_equal(pool_create(&single, 1, &e), 0);
    random_batch(tokens, &p, two);
    const int64_t offset[3] = {0, 33, 60};
    struct batch b = {tokens, offset, 2};
    float q[V];
    for (int i = 0; i < V; i++)
        q[i] = (float)-log(V);
    struct metric_at at[3] = {
        {0, -1, good, bad, 2, 3, q}, {1, 4, good, bad, 1, 1, q}, {0, -1, good + 1, bad, 1, 2, q}};
    for (int k = 0; k < METRIC_COUNT; k++) {
        struct metric m = {.kind = (enum metric_kind)k, .at = at, .n_at = 3};
        struct outcome x, y, again;
        differentiate(&x, p, &b, &m, two);
        differentiate(&again, p, &b, &m, two);
        differentiate(&y, p, &b, &m, single);
        assert_true(fabs(x.value - x.from_logits) < 1e-5);
        assert_true(x.value == again.value);
        assert_memory_equal(
            x.params.flat, again.params.flat, (size_t)x.params.count * sizeof(float));
        assert_true(distance(x.params.flat, y.params.flat, x.params.count) < 1e-5);
        assert_true(distance(trace_square(&x.grads, SITE_PATTERN, 0, 1),
                        trace_square(&y.grads, SITE_PATTERN, 0, 1), 2 * 27 * 27) < 1e-5);
        outcome_release(&x);
        outcome_release(&y);
        outcome_release(&again);
    }
    params_release(&p);
    pool_release(&two);
    pool_release(&single);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    struct err e = {0};
    const int32_t tokens[4] = {1, 2, 3, 4}, beyond[1] = {V};
    const int64_t offset[2] = {0, 4}, alone[2] = {0, 1};
    struct batch b = {tokens, offset, 1}, single = {tokens, alone, 1};
    struct metric_at at = {.answer = good, .n_answer = 1};
    struct metric m = {.kind = METRIC_LOGIT, .at = &at, .n_at = 1};
    assert_int_equal(metric_check(&m, &b, &config, &e), 0);
    at.pos = 4;
    assert_int_equal(metric_check(&m, &b, &config, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "position 4"));
    at.pos = -4;
    assert_int_equal(metric_check(&m, &b, &config, &e), 0);
    at.input = 1;
    assert_int_equal(metric_check(&m, &b, &config, &e), ERR_USAGE);
    at.input = 0;
    at.answer = beyond;
    assert_int_equal(metric_check(&m, &b, &config, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "vocabulary"));
    at.answer = good;
    m.kind = METRIC_LOGIT_DIFF;
    assert_int_equal(metric_check(&m, &b, &config, &e), ERR_USAGE);
    m.kind = METRIC_KL;
    assert_int_equal(metric_check(&m, &b, &config, &e), ERR_USAGE);
    m.kind = METRIC_LOSS;
    assert_int_equal(metric_check(&m, &single, &config, &e), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions),
        cmocka_unit_test(ragged_batches),
        cmocka_unit_test(threads_and_repeats),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
