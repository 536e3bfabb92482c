#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"
#include "model/generate.h"

#define V 8

static const struct sampling plain = {.temperature = 1, .top_p = 1, .repetition = 1, .seed = 1};

/* How often each token is drawn in n draws. */
static void draw_many(double *share, const float *z, const struct sampling *s, int n,
    const int32_t *so_far, int64_t n_so_far)
{
    struct err e = {0};
    struct step step;
    memset(share, 0, V * sizeof *share);
    for (int i = 0; i < n; i++) {
        assert_int_equal(sample_token(&step, z, V, so_far, n_so_far, s, (uint64_t)i, &e), 0);
        assert_in_range(step.token, 0, V - 1);
        share[step.token] += 1.0 / n;
    }
}

static void near_shares(const double *share, const double *want)
{
    for (int i = 0; i < V; i++)
        assert_true(fabs(share[i] - want[i]) < 0.015);
}

static void distributions(void **state)
{
    (void)state;
    const float z[V] = {0, 1, 2, -1, 0.5f, 1, -3, 2};
    double share[V], want[V], sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp((double)z[i]);
    for (int i = 0; i < V; i++)
        want[i] = exp((double)z[i]) / sum;
    draw_many(share, z, &plain, 20000, NULL, 0);
    near_shares(share, want);

    struct sampling s = plain;
    s.temperature = 0.5;
    sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp(2 * (double)z[i]);
    for (int i = 0; i < V; i++)
        want[i] = exp(2 * (double)z[i]) / sum;
    draw_many(share, z, &s, 20000, NULL, 0);
    near_shares(share, want);

    /* The third largest value stands twice: top-k keeps both. */
    s = plain;
    s.top_k = 3;
    const double e1 = exp(1), e2 = exp(2), t = 2 * e1 + 2 * e2;
    const double k3[V] = {0, e1 / t, e2 / t, 0, 0, e1 / t, 0, e2 / t};
    draw_many(share, z, &s, 20000, NULL, 0);
    near_shares(share, k3);
    s.top_k = 100;
    /* More than there are is no cut: the same draws as without. */
    draw_many(share, z, &s, 2000, NULL, 0);
    draw_many(want, z, &plain, 2000, NULL, 0);
    assert_memory_equal(share, want, sizeof share);
}

/* Hugging Face: sorted ascending, tokens go while the mass up to and including them is at most
 * 1 - p; of equal ones the lower id goes first. */
static void reference_nucleus(bool *kept, const double *p, double top_p)
{
    int order[V];
    for (int i = 0; i < V; i++)
        order[i] = i;
    for (int i = 1; i < V; i++)
        for (int j = i; j > 0 && p[order[j]] < p[order[j - 1]]; j--) {
            int x = order[j];
            order[j] = order[j - 1];
            order[j - 1] = x;
        }
    double mass = 0;
    for (int i = 0; i < V; i++) {
        mass += p[order[i]];
        kept[order[i]] = i == V - 1 || !(mass <= 1 - top_p);
    }
}

static void nucleus(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5, 0);
    for (int trial = 0; trial < 60; trial++) {
        float z[V];
        double p[V], sum = 0, share[V], top_p = 0.05 + 0.9 * rng_uniform(&r);
        bool kept[V];
        for (int i = 0; i < V; i++) {
            /* Coarse values: there are ties. */
            z[i] = (float)rng_below(&r, 5) * 0.7f;
            sum += exp((double)z[i]);
        }
        for (int i = 0; i < V; i++)
            p[i] = exp((double)z[i]) / sum;
        reference_nucleus(kept, p, top_p);
        struct sampling s = plain;
        s.top_p = top_p;
        draw_many(share, z, &s, 2000, NULL, 0);
        for (int i = 0; i < V; i++)
            assert_true(kept[i] == (share[i] > 0));
        s.top_k = V;
        double again[V];
        draw_many(again, z, &s, 2000, NULL, 0);
        assert_memory_equal(share, again, sizeof share);
    }
}

static void greedy_and_repetition(void **state)
{
    (void)state;
    struct err e = {0};
    struct step step;
    const float z[V] = {-1, 3, 2, 3, 0, 1, 1, -2};
    struct sampling s = plain;
    s.greedy = true;
    assert_int_equal(sample_token(&step, z, V, NULL, 0, &s, 0, &e), 0);
    assert_int_equal(step.token, 1); /* lowest id on ties */
    assert_int_equal(step.rank, 0);
    double sum = 0, entropy = 0;
    for (int i = 0; i < V; i++)
        sum += exp((double)z[i]);
    for (int i = 0; i < V; i++)
        entropy -= exp((double)z[i]) / sum * ((double)z[i] - log(sum));
    assert_true(fabs(step.logprob - (3 - log(sum))) < 1e-6);
    assert_true(fabs(step.entropy - entropy) < 1e-6);
    s.greedy = false;
    s.temperature = 0;
    assert_int_equal(sample_token(&step, z, V, NULL, 0, &s, 0, &e), 0);
    assert_int_equal(step.token, 1);
    /* Logits over it overflow; the best two still share every draw. */
    double share[V];
    s.temperature = 1e-320;
    draw_many(share, z, &s, 200, NULL, 0);
    assert_true(share[1] > 0.3 && share[3] > 0.3 && share[1] + share[3] > 1 - 1e-9);
    s.temperature = 0;
    /* Distinct tokens once each: 3 / 2 < 2; the numbers told are the model's own. */
    const int32_t so_far[] = {1, 3, 1, 1, 3};
    s.repetition = 2;
    assert_int_equal(sample_token(&step, z, V, so_far, 5, &s, 0, &e), 0);
    assert_int_equal(step.token, 2);
    assert_int_equal(step.rank, 2);
    const float low[V] = {-1, -3, -3, -3, -3, -3, -3, -1.5f};
    const int32_t first[] = {0};
    assert_int_equal(sample_token(&step, low, V, first, 1, &s, 0, &e), 0);
    assert_int_equal(step.token, 7); /* -1 * 2 < -1.5 */
}

static void seeds(void **state)
{
    (void)state;
    struct err e = {0};
    struct step a, b;
    float z[V] = {0};
    struct sampling s = plain;
    int differ = 0;
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(sample_token(&a, z, V, NULL, 0, &s, i, &e), 0);
        assert_int_equal(sample_token(&b, z, V, NULL, 0, &s, i, &e), 0);
        assert_int_equal(a.token, b.token);
        struct sampling other = s;
        other.seed = 2;
        assert_int_equal(sample_token(&b, z, V, NULL, 0, &other, i, &e), 0);
        differ += a.token != b.token;
    }
    assert_true(differ > 25);
}

static void refusals(void **state)
{
    (void)state;
    struct step step;
    float z[V] = {0};
    static const struct sampling wrong[] = {{.temperature = -1, .top_p = 1, .repetition = 1},
        {.temperature = 1, .top_p = 0, .repetition = 1},
        {.temperature = 1, .top_p = 1.5, .repetition = 1},
        {.temperature = 1, .top_p = 1, .repetition = 0},
        {.temperature = 1, .top_p = 1, .repetition = 1, .top_k = -2},
        {.temperature = (double)NAN, .top_p = 1, .repetition = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e = {0};
        assert_int_equal(sample_token(&step, z, V, NULL, 0, &wrong[i], 0, &e), ERR_USAGE);
        assert_true(*e.msg);
    }
    struct err e = {0};
    z[3] = NAN;
    assert_int_equal(sample_token(&step, z, V, NULL, 0, &plain, 0, &e), ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(nucleus),
        cmocka_unit_test(greedy_and_repetition),
        cmocka_unit_test(seeds),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
