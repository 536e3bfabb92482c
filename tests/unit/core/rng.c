#include "model/core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The first answer is that of the authors' own test file; the others come from an independent
 * program that reproduces all three of their Philox4x32-10 answers. */
static void words_are_philox(void **state)
{
    (void)state;
    static const uint32_t zero[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t first[] = {0xb60a410e, 0x61bd7780, 0xa53f3958, 0x3d51eb3f};
    static const uint32_t far[] = {0xe75436e8, 0x5e956515, 0xa8d11259, 0x48baa504};
    struct rng r;
    rng_init(&r, 0, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rng_u32(&r), zero[i]);
    rng_init(&r, 0x299f31d0a4093822, 0x0370734413198a2e);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rng_u32(&r), first[i]);
    r.at = 4 * 0x100000005ull;
    for (int i = 0; i < 4; i++)
        assert_int_equal(rng_u32(&r), far[i]);
    rng_init(&r, 0, 0);
    assert_true(rng_u64(&r) == 0xe169c58d6627e8d5);
}

static void streams_and_seeds_differ(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_init(&a, 1, 0);
    rng_init(&b, 1, 1);
    rng_init(&c, 2, 0);
    uint64_t x = rng_u64(&a), y = rng_u64(&b), z = rng_u64(&c);
    assert_true(x != y && x != z && y != z);
}

static void moments_are_right(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct rng r;
    double u = 0, u2 = 0, n = 0, n2 = 0, n4 = 0;
    rng_init(&r, 7, 3);
    for (int i = 0; i < N; i++) {
        double x = rng_uniform(&r);
        assert_true(x >= 0 && x < 1);
        u += x;
        u2 += x * x;
    }
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r);
        n += x;
        n2 += x * x;
        n4 += x * x * x * x;
    }
    /* Five standard errors. */
    assert_true(fabs(u / N - 0.5) < 5 * 0.2887 / sqrt(N));
    assert_true(fabs(u2 / N - 1.0 / 3) < 5 * 0.2981 / sqrt(N));
    assert_true(fabs(n / N) < 5 / sqrt(N));
    assert_true(fabs(n2 / N - 1) < 5 * 1.4142 / sqrt(N));
    assert_true(fabs(n4 / N - 3) < 5 * 9.798 / sqrt(N));
}

static void below_covers_its_range(void **state)
{
    (void)state;
    struct rng r;
    int seen[7] = {0};
    rng_init(&r, 0, 9);
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rng_below(&r, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

static void permutations_are_permutations(void **state)
{
    (void)state;
    struct rng r;
    int64_t x[101];
    int moved = 0, seen[101] = {0};
    rng_init(&r, 5, 5);
    rng_permutation(&r, x, 101);
    for (int i = 0; i < 101; i++) {
        assert_in_range(x[i], 0, 100);
        seen[x[i]]++;
        moved += x[i] != i;
    }
    for (int i = 0; i < 101; i++)
        assert_int_equal(seen[i], 1);
    assert_true(moved > 80);
    rng_shuffle(&r, x, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_philox),
        cmocka_unit_test(streams_and_seeds_differ),
        cmocka_unit_test(moments_are_right),
        cmocka_unit_test(below_covers_its_range),
        cmocka_unit_test(permutations_are_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
