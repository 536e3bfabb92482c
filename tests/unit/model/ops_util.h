#ifndef SONDE_TESTS_OPS_UTIL_H
#define SONDE_TESTS_OPS_UTIL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_ref.h"

/* Random operands and comparisons for the tests of ops. Everything is seeded. */

static uint32_t seed = 1;

__attribute__((unused)) static float uniform(void) /* [-1, 1) */
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int32_t)seed >> 8) * 0x1p-23f;
}

__attribute__((unused)) static void *room(int64_t bytes)
{
    size_t n = bytes < 0 ? 0 : (size_t)bytes;
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, n); /* NaN: what is read before it is written shows */
    return p;
}

__attribute__((unused)) static float *floats(int64_t n)
{
    return room(n * 4);
}

__attribute__((unused)) static double *doubles(int64_t n)
{
    return room(n * 8);
}

__attribute__((unused)) static float *randoms(int64_t n)
{
    float *x = floats(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = uniform();
    return x;
}

/* A dense fp64 copy of rows with a stride. */
__attribute__((unused)) static double *widened(
    const float *x, int64_t rows, int64_t ld, int64_t cols)
{
    double *d = doubles(rows * cols);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            d[r * cols + c] = x[r * ld + c];
    return d;
}

__attribute__((unused)) static void copy_to(
    float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(dst + r * ldd, src + r * lds, (size_t)cols * sizeof *dst);
}

__attribute__((unused)) static void check_near(const char *what, const float *got, int64_t ld,
    const double *want, int64_t rows, int64_t cols, double tol)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double g = (double)got[i * ld + j], w = want[i * cols + j];
            if (!(fabs(g - w) <= tol) && !(isinf(w) && g == w))
                fail_msg("%s: %s [%lld, %lld] is %.9g, want %.9g within %.2g", ops_kernel_set(),
                    what, (long long)i, (long long)j, g, w, tol);
        }
}

__attribute__((unused)) static void check_same(const char *what, const float *a, int64_t lda,
    const float *b, int64_t ldb, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        if (memcmp(a + i * lda, b + i * ldb, (size_t)cols * sizeof *a) != 0)
            for (int64_t j = 0; j < cols; j++)
                if (memcmp(a + i * lda + j, b + i * ldb + j, sizeof *a) != 0)
                    fail_msg("%s: %s [%lld, %lld] differs in its bits: %.9g and %.9g",
                        ops_kernel_set(), what, (long long)i, (long long)j, a[i * lda + j],
                        b[i * ldb + j]);
}

__attribute__((unused)) static struct pool *pool_of(int threads)
{
    struct pool *p = NULL;
    struct err e = {0};
    if (pool_create(&p, threads, &e))
        fail_msg("%s", e.msg);
    return p;
}

/* Runs a test body once for each kernel set of this machine. */
#define EACH_KERNEL_SET(set)                                                                       \
    for (const struct kernels *const *set = kernels_all(); *set && (kernels_use(*set), 1); set++)

#endif
