#include "model/core/linalg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 24 };

static uint32_t seed = 5;

static double uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (int32_t)seed * 0x1p-31;
}

static void fill(double *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = uniform();
}

static void opens(void **state)
{
    (void)state;
    struct err e = {0};
    if (linalg_open(&e))
        fail_msg("%s", e.msg);
    assert_non_null(linalg_core_name());
    assert_true(strlen(linalg_core_name()) > 0);
}

static void products(void **state)
{
    (void)state;
    struct err e;
    enum { M = 5, N = 7, K = 11 };
    double a[M * K], at[K * M], b[K * N], bt[N * K], c[M * N], old[M * N];
    fill(a, M * K);
    fill(b, K * N);
    fill(old, M * N);
    for (int i = 0; i < M; i++)
        for (int k = 0; k < K; k++)
            at[k * M + i] = a[i * K + k];
    for (int k = 0; k < K; k++)
        for (int j = 0; j < N; j++)
            bt[j * K + k] = b[k * N + j];
    for (int way = 0; way < 4; way++) {
        bool ta = way & 1, tb = way & 2;
        float fa[M * K], fb[K * N], fc[M * N];
        memcpy(c, old, sizeof c);
        assert_int_equal(linalg_dgemm(c, N, ta, tb, M, N, K, 2, ta ? at : a, ta ? M : K,
                             tb ? bt : b, tb ? K : N, 0.5, &e),
            0);
        for (int i = 0; i < M * K; i++)
            fa[i] = (float)(ta ? at : a)[i];
        for (int i = 0; i < K * N; i++)
            fb[i] = (float)(tb ? bt : b)[i];
        for (int i = 0; i < M * N; i++)
            fc[i] = (float)old[i];
        assert_int_equal(
            linalg_sgemm(fc, N, ta, tb, M, N, K, 2, fa, ta ? M : K, fb, tb ? K : N, 0.5f, &e), 0);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                double want = 0.5 * old[i * N + j];
                for (int k = 0; k < K; k++)
                    want += 2 * a[i * K + k] * b[k * N + j];
                assert_true(fabs(c[i * N + j] - want) < 1e-13);
                assert_true(fabs((double)fc[i * N + j] - want) < 1e-5);
            }
    }
    double g[N * N] = {0};
    assert_int_equal(linalg_gram(g, b, K, N, &e), 0);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double want = 0;
            for (int k = 0; k < K; k++)
                want += b[k * N + i] * b[k * N + j];
            assert_true(fabs(g[i * N + j] - want) < 1e-13);
        }
}

static void eigenvectors(void **state)
{
    (void)state;
    struct err e;
    for (int n = 1; n <= MOST; n += 4) {
        double a[MOST * MOST], v[MOST * MOST], w[MOST];
        fill(a, n * n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++)
                a[i * n + j] = a[j * n + i];
        memcpy(v, a, sizeof v);
        assert_int_equal(linalg_eigh(w, v, n, &e), 0);
        for (int c = 0; c < n; c++) {
            assert_true(c == 0 || w[c] >= w[c - 1]);
            for (int i = 0; i < n; i++) {
                double s = 0;
                for (int j = 0; j < n; j++)
                    s += a[i * n + j] * v[j * n + c];
                assert_true(fabs(s - w[c] * v[i * n + c]) < 1e-12);
            }
        }
    }
}

static void singular_vectors(void **state)
{
    (void)state;
    struct err e;
    static const int sizes[][2] = {{1, 1}, {3, 5}, {5, 3}, {17, 11}, {11, 17}, {24, 24}};
    for (size_t x = 0; x < sizeof sizes / sizeof *sizes; x++) {
        const int m = sizes[x][0], n = sizes[x][1], r = m < n ? m : n;
        double a[MOST * MOST], keep[MOST * MOST], u[MOST * MOST], s[MOST], vt[MOST * MOST];
        fill(a, m * n);
        memcpy(keep, a, sizeof keep);
        assert_int_equal(linalg_svd(u, s, vt, a, m, n, &e), 0);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < r; k++)
                    sum += u[i * r + k] * s[k] * vt[k * n + j];
                assert_true(fabs(sum - keep[i * n + j]) < 1e-12);
            }
        for (int k = 0; k < r; k++)
            assert_true(s[k] >= 0 && (k == 0 || s[k] <= s[k - 1]));
    }
}

static void eigenvalues(void **state)
{
    (void)state;
    struct err e;
    /* A turn by 90 degrees twice as long, and a number of its own. */
    double a[9] = {0, -2, 0, 2, 0, 0, 7, 5, 3}, re[3], im[3], sum = 0, size = 0;
    assert_int_equal(linalg_eigenvalues(re, im, a, 3, &e), 0);
    for (int i = 0; i < 3; i++) {
        sum += re[i];
        size += hypot(re[i], im[i]);
    }
    assert_true(fabs(sum - 3) < 1e-12);
    assert_true(fabs(size - 7) < 1e-12);
    assert_int_equal(linalg_eigenvalues(re, im, a, 0, &e), 0);
}

static void systems(void **state)
{
    (void)state;
    struct err e = {0};
    enum { N = 9, M = 4 };
    double a[N * N], keep[N * N], x[N * M], b[N * M], g[N * N] = {0}, spd[N * N];
    fill(a, N * N);
    fill(x, N * M);
    memcpy(keep, a, sizeof keep);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++) {
            b[i * M + j] = 0;
            for (int k = 0; k < N; k++)
                b[i * M + j] += a[i * N + k] * x[k * M + j];
        }
    assert_int_equal(linalg_solve(a, b, N, M, &e), 0);
    for (int i = 0; i < N * M; i++)
        assert_true(fabs(b[i] - x[i]) < 1e-10);
    assert_int_equal(linalg_gram(g, keep, N, N, &e), 0);
    for (int i = 0; i < N; i++)
        g[i * N + i] += 1;
    memcpy(spd, g, sizeof spd);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++) {
            b[i * M + j] = 0;
            for (int k = 0; k < N; k++)
                b[i * M + j] += g[i * N + k] * x[k * M + j];
        }
    assert_int_equal(linalg_solve_spd(spd, b, N, M, &e), 0);
    for (int i = 0; i < N * M; i++)
        assert_true(fabs(b[i] - x[i]) < 1e-10);
    memset(a, 0, sizeof a);
    assert_int_equal(linalg_solve(a, b, N, M, &e), ERR_INPUT);
    memset(spd, 0, sizeof spd);
    assert_int_equal(linalg_solve_spd(spd, b, N, M, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "not positive definite"));
}

static void too_large_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(linalg_eigh(NULL, NULL, (int64_t)1 << 40, &e), ERR_LIMIT);
    assert_int_equal(
        linalg_dgemm(NULL, 1, false, false, -1, 1, 1, 1, NULL, 1, NULL, 1, 0, &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens),
        cmocka_unit_test(products),
        cmocka_unit_test(eigenvectors),
        cmocka_unit_test(singular_vectors),
        cmocka_unit_test(eigenvalues),
        cmocka_unit_test(systems),
        cmocka_unit_test(too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
