#include "model/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kernels/kernels.h"
#include "model/ops_ref.h"

/* Products over packed panels, for every kernel set this machine can run: against the fp64 twin, and
 * bit for bit against themselves cut in other ways. */

static uint32_t seed = 1;

static float uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static float *randoms(int64_t n)
{
    float *x = malloc((size_t)(n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = uniform();
    return x;
}

static double *widened(const float *x, int64_t rows, int64_t ld, int64_t cols)
{
    double *d = malloc((size_t)(rows * cols + 1) * sizeof *d);
    assert_non_null(d);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            d[r * cols + c] = x[r * ld + c];
    return d;
}

/* W [k, n] rounded to t, in panels; w receives what the panel really holds. */
static struct panel make_panel(float *w, enum dtype t, int64_t k, int64_t n, bool by_cols)
{
    struct panel p = {t, k, n, panel_width(), NULL};
    p.data = aligned_alloc(64, (panel_bytes(t, k, n) + 127) / 64 * 64);
    void *raw = malloc((size_t)(k * n + 1) * 4);
    assert_true(p.data && raw);
    memset(p.data, 0xff, panel_bytes(t, k, n));
    tensor_narrow(raw, w, t, k * n);
    tensor_widen(w, raw, t, k * n);
    if (!by_cols) {
        int64_t half = k / 2;
        panel_pack_rows(&p, raw, 0, half);
        panel_pack_rows(&p, (char *)raw + (size_t)(half * n) * dtype_bytes(t), half, k - half);
    } else {
        float *turned = malloc((size_t)(k * n + 1) * sizeof *turned);
        assert_non_null(turned);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++)
                turned[j * k + i] = w[i * n + j];
        tensor_narrow(raw, turned, t, k * n);
        int64_t half = n / 2 / p.width * p.width;
        panel_pack_cols(&p, raw, 0, half);
        panel_pack_cols(&p, (char *)raw + (size_t)(half * k) * dtype_bytes(t), half, n - half);
        free(turned);
    }
    free(raw);
    return p;
}

/* A sum of k products of numbers up to 1 in TILE_K-long chains. */
static double bound(int64_t k)
{
    return 1e-6 * (sqrt((double)k) + 2);
}

static void check(const float *c, int64_t ldc, const double *want, int64_t m, int64_t n, double tol)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double d = fabs(c[i * ldc + j] - want[i * n + j]);
            if (!(d <= tol))
                fail_msg("[%lld, %lld]: %.9g, want %.9g (k to %g)", (long long)i, (long long)j,
                    (double)c[i * ldc + j], want[i * n + j], tol);
        }
}

static const int64_t shapes[][3] = {{1, 1, 1}, {1, 7, 33}, {2, 256, 16}, {3, 257, 31}, {5, 64, 97},
    {7, 300, 64}, {11, 513, 65}, {12, 128, 32}, {13, 37, 128}, {23, 768, 61}, {25, 71, 257},
    {61, 259, 48}, {133, 40, 67}, {270, 31, 35}};

static void product_is_right(void **state)
{
    (void)state;
    struct pool *pool = NULL;
    struct err e;
    assert_int_equal(pool_create(&pool, 3, &e), 0);
    for (const struct kernels *const *set = kernels_all(); *set; set++) {
        kernels_use(*set);
        for (size_t s = 0; s < 3 * sizeof shapes / sizeof *shapes; s++) {
            const enum dtype t = (enum dtype[]){DT_F32, DT_F16, DT_BF16}[s % 3];
            int64_t m = shapes[s / 3][0], k = shapes[s / 3][1], n = shapes[s / 3][2];
            int64_t lda = k + s % 5, ldc = n + s % 3;
            float *a = randoms(m * lda), *w = randoms(k * n), *c = randoms(m * ldc);
            struct panel p = make_panel(w, t, k, n, s % 2);
            double *ad = widened(a, m, lda, k), *wd = widened(w, k, n, n);
            double *want = malloc((size_t)(m * n) * sizeof *want);
            ref_gemm(want, ad, wd, m, k, n);
            ops_gemm(c, ldc, a, lda, m, &p, 0, n, NULL, pool);
            check(c, ldc, want, m, n, bound(k));
            float *row = malloc((size_t)n * sizeof *row), *col = malloc((size_t)k * sizeof *col);
            panel_row(row, &p, k / 2);
            panel_col(col, &p, n / 2);
            for (int64_t j = 0; j < n; j++)
                assert_true(row[j] == w[k / 2 * n + j]);
            for (int64_t i = 0; i < k; i++)
                assert_true(col[i] == w[i * n + n / 2]);
            free(row);
            free(col);
            free(want);
            free(ad);
            free(wd);
            free(a);
            free(w);
            free(c);
            free(p.data);
        }
    }
    pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
