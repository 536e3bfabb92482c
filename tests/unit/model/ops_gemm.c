#include "ops_util.h"

/* Products over packed panels, for every kernel set: against the fp64 twin on odd, prime and size-1
 * shapes, and bit for bit against themselves cut in other ways. */

static const enum dtype dtypes[] = {DT_F32, DT_F16, DT_BF16};

/* W [k, n] rounded to t, in panels; w receives what the panel really holds. */
static struct panel make_panel(float *w, enum dtype t, int64_t k, int64_t n, bool by_cols)
{
    struct panel p = {t, k, n, panel_width(), room((int64_t)panel_bytes(t, k, n))};
    char *raw = room(k * n * 4);
    const int64_t bytes = (int64_t)dtype_bytes(t);
    tensor_narrow(raw, w, t, k * n);
    tensor_widen(w, raw, t, k * n);
    if (!by_cols) {
        panel_pack_rows(&p, raw, 0, k / 2);
        panel_pack_rows(&p, raw + k / 2 * n * bytes, k / 2, k - k / 2);
    } else {
        const int64_t half = n / 2 / p.width * p.width;
        float *turned = floats(k * n);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < n; j++)
                turned[j * k + i] = w[i * n + j];
        tensor_narrow(raw, turned, t, k * n);
        panel_pack_cols(&p, raw, 0, half);
        panel_pack_cols(&p, raw + half * k * bytes, half, n - half);
        free(turned);
    }
    free(raw);
    return p;
}

/* Rounding of a sum of k products of numbers up to 1. */
static double bound(int64_t k)
{
    return 1e-6 * (sqrt((double)k) + 2);
}

static const int64_t shapes[][3] = {{1, 1, 1}, {1, 7, 33}, {2, 256, 16}, {3, 257, 31}, {4, 5, 1},
    {5, 64, 97}, {7, 300, 64}, {11, 512, 65}, {12, 512, 32}, {13, 37, 128}, {19, 512, 61},
    {25, 71, 257}, {61, 259, 48}, {133, 512, 67}, {270, 31, 35}, {1, 769, 1031}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void product_is_right(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3);
    EACH_KERNEL_SET(set)
    {
        for (size_t s = 0; s < 3 * N_SHAPES; s++) {
            int64_t m = shapes[s / 3][0], k = shapes[s / 3][1], n = shapes[s / 3][2];
            int64_t lda = k + (s & 1), ldc = n + s % 3;
            float *a = randoms(m * lda), *w = randoms(k * n), *c = floats(m * ldc);
            struct panel p = make_panel(w, dtypes[s % 3], k, n, s % 2);
            double *ad = widened(a, m, lda, k), *wd = widened(w, k, n, n), *want = doubles(m * n);
            ref_gemm(want, ad, wd, m, k, n);
            ops_gemm(c, ldc, a, lda, m, &p, 0, n, NULL, pool);
            check_near("gemm", c, ldc, want, m, n, bound(k));
            float *row = floats(n), *col = floats(k);
            panel_row(row, &p, k / 2);
            panel_col(col, &p, n / 2);
            check_same("panel row", row, n, w + k / 2 * n, n, 1, n);
            check_same("panel column", col, 1, w + n / 2, n, k, 1);
            free(row), free(col), free(want), free(ad), free(wd);
            free(a), free(w), free(c), free(p.data);
        }
    }
    pool_release(&pool);
}

static void epilogue_is_right(void **state)
{
    (void)state;
    enum { K = 67, N = 75 };
    static const int64_t ms[] = {1, 6, 29, 140};
    struct pool *pool = pool_of(2);
    EACH_KERNEL_SET(set)
    {
        for (int i = 0; i < 4 * 8; i++) {
            int64_t m = ms[i / 8];
            bool use_bias = i & 1, use_act = i & 2, use_add = i & 4;
            float *a = randoms(m * K), *w = randoms(K * N), *bias = randoms(N);
            float *c = floats(m * (N + 2)), *pre = floats(m * N), *add = randoms(m * (N + 1));
            struct panel p = make_panel(w, DT_F32, K, N, false);
            double *ad = widened(a, m, K, K), *wd = widened(w, K, N, N), *want = doubles(m * N);
            double *before = doubles(m * N);
            ref_gemm(want, ad, wd, m, K, N);
            for (int64_t x = 0; x < m * N; x++) {
                before[x] = want[x] += use_bias ? (double)bias[x % N] : 0;
                want[x] = use_act ? ref_act(ACT_GELU_NEW, want[x]) : want[x];
                want[x] += use_add ? (double)add[x / N * (N + 1) + x % N] : 0;
            }
            struct epilogue ep = {.bias = use_bias ? bias : NULL,
                .use_act = use_act,
                .act = ACT_GELU_NEW,
                .pre = pre,
                .ld_pre = N,
                .add = use_add ? add : NULL,
                .ld_add = N + 1};
            ops_gemm(c, N + 2, a, K, m, &p, 0, N, &ep, pool);
            check_near("epilogue", c, N + 2, want, m, N, 2e-5);
            check_near("pre", pre, N, before, m, N, 2e-5);
            if (use_add) {
                /* The residual stream is added in place. */
                ops_gemm(add, N + 1, a, K, m, &p, 0, N, &ep, pool);
                check_same("in place", add, N + 1, c, N + 2, m, N);
            }
            free(want), free(before), free(ad), free(wd), free(p.data);
            free(a), free(w), free(bias), free(c), free(pre), free(add);
        }
    }
    pool_release(&pool);
}

/* One order: every way to cut the same product gives the same bits. */
static void cuts_change_no_bit(void **state)
{
    (void)state;
    enum { M = 301, K = 1024 + 77, N = 211 };
    EACH_KERNEL_SET(set)
    {
        for (int d = 0; d < 3; d++) {
            float *a = randoms(M * K), *w = randoms(K * N), *all = floats(M * N);
            float *c = floats(M * (N + 5)), *padded = floats(M * 1536);
            struct panel p = make_panel(w, dtypes[d], K, N, false);
            ops_gemm(all, N, a, K, M, &p, 0, N, NULL, NULL);
            for (int threads = 2; threads <= 5; threads += 3) {
                struct pool *pool = pool_of(threads);
                for (int64_t m = 1; m <= 64; m += m < 28 ? 1 : 7) {
                    int64_t r0 = (m * 37) % (M - m);
                    ops_gemm(c, N + 5, a + r0 * K, K, m, &p, 0, N, NULL, pool);
                    check_same("rows", c, N + 5, all + r0 * N, N, m, N);
                }
                for (int64_t n0 = 0; n0 < N; n0 += 2 * p.width) {
                    int64_t n1 = n0 + 3 * p.width < N ? n0 + 3 * p.width : N;
                    ops_gemm(c, N + 5, a, K, 23, &p, n0, n1, NULL, pool);
                    check_same("columns", c, N + 5, all + n0, N, 23, n1 - n0);
                    ops_gemm(c, N + 5, a, K, M, &p, n0, n1, NULL, pool);
                    check_same("columns", c, N + 5, all + n0, N, M, n1 - n0);
                }
                /* Strides that clash in the cache take a copying path. */
                copy_to(padded, 1536, a, K, M, K);
                for (int64_t m = 1; m < M; m += m < 28 ? 3 : 131) {
                    ops_gemm(c, N + 5, padded, 1536, m, &p, 0, N, NULL, pool);
                    check_same("strides", c, N + 5, all, N, m, N);
                }
                int32_t idx[45];
                for (int i = 0; i < 45; i++)
                    idx[i] = (i * 97 + 13) % N;
                ops_gemm_cols(c, 47, a, K, M, &p, idx, 45, pool);
                for (int i = 0; i < 45; i++)
                    check_same("gathered", c + i, 47, all + idx[i], N, M, 1);
                pool_release(&pool);
            }
            free(a), free(w), free(all), free(c), free(padded), free(p.data);
        }
    }
}

static void transposed_product(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3);
    EACH_KERNEL_SET(set)
    {
        for (size_t s = 0; s < 3 * N_SHAPES; s++) {
            int64_t m = shapes[s / 3][0], n = shapes[s / 3][1], k = shapes[s / 3][2];
            int64_t lda = k + 1, ldc = n;
            float *w = randoms(k * n), *dc = randoms(m * ldc), *da = randoms(m * lda);
            float *again = floats(m * lda);
            struct panel p = make_panel(w, dtypes[s % 3], k, n, false);
            double *dcd = widened(dc, m, ldc, n), *wt = doubles(n * k), *want = doubles(m * k);
            double *old = widened(da, m, lda, k);
            for (int64_t i = 0; i < k; i++)
                for (int64_t j = 0; j < n; j++)
                    wt[j * k + i] = w[i * n + j];
            ref_gemm(want, dcd, wt, m, n, k);
            ops_gemm_t(again, lda, dc, ldc, m, &p, false, NULL);
            check_near("gemm_t", again, lda, want, m, k, bound(n));
            for (int64_t i = 0; i < m * k; i++)
                want[i] += old[i];
            ops_gemm_t(da, lda, dc, ldc, m, &p, true, pool);
            check_near("gemm_t, added", da, lda, want, m, k, bound(n));
            ops_gemm_t(da, lda, dc, ldc, m, &p, false, pool);
            check_same("gemm_t, threads", da, lda, again, lda, m, k);
            free(w), free(dc), free(da), free(again), free(p.data);
            free(dcd), free(wt), free(want), free(old);
        }
    }
    pool_release(&pool);
}

static void weight_gradient(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3);
    EACH_KERNEL_SET(set)
    {
        for (size_t s = 0; s < N_SHAPES; s++) {
            int64_t k = shapes[s][0], m = shapes[s][1], n = shapes[s][2];
            int64_t lda = k + 3, ldc = n + 2, ldw = n + 1;
            float *a = randoms(m * lda), *dc = randoms(m * ldc), *dw = randoms(k * ldw);
            float *again = floats(k * ldw);
            memcpy(again, dw, (size_t)(k * ldw) * sizeof *dw);
            double *at = doubles(k * m), *dcd = widened(dc, m, ldc, n), *want = doubles(k * n);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < k; j++)
                    at[j * m + i] = a[i * lda + j];
            ref_gemm(want, at, dcd, k, m, n);
            for (int64_t i = 0; i < k * n; i++)
                want[i] += dw[i / n * ldw + i % n];
            ops_gemm_grad(dw, ldw, a, lda, dc, ldc, m, k, n, pool);
            check_near("gemm_grad", dw, ldw, want, k, n, bound(m));
            ops_gemm_grad(again, ldw, a, lda, dc, ldc, m, k, n, NULL);
            check_same("gemm_grad, threads", dw, ldw, again, ldw, k, n);
            free(a), free(dc), free(dw), free(again), free(at), free(dcd), free(want);
        }
    }
    pool_release(&pool);
}

/* A NaN or an infinity in one row shows in that row and nowhere else. */
static void nan_stays_in_its_row(void **state)
{
    (void)state;
    enum { M = 30, K = 300, N = 70 };
    EACH_KERNEL_SET(set)
    {
        float *a = randoms(M * K), *w = randoms(K * N), *c = floats(M * N);
        struct panel p = make_panel(w, DT_F32, K, N, false);
        a[7 * K + 280] = NAN;
        a[9 * K] = INFINITY;
        ops_gemm(c, N, a, K, M, &p, 0, N, NULL, NULL);
        for (int64_t i = 0; i < M * N; i++) {
            assert_int_equal(isnan(c[i]) != 0, i / N == 7);
            assert_int_equal(isinf(c[i]) != 0, i / N == 9);
        }
        free(a), free(w), free(c), free(p.data);
    }
}

static void sizes_do_not_overflow(void **state)
{
    (void)state;
    assert_true(panel_bytes(DT_F32, INT64_MAX / 2, INT64_MAX / 1024) == SIZE_MAX);
    assert_true(panel_bytes(DT_F32, -1, 4) == SIZE_MAX);
    assert_int_equal(panel_bytes(DT_F16, 3, 1), (size_t)panel_width() * 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_is_right),
        cmocka_unit_test(epilogue_is_right),
        cmocka_unit_test(cuts_change_no_bit),
        cmocka_unit_test(transposed_product),
        cmocka_unit_test(weight_gradient),
        cmocka_unit_test(nan_stays_in_its_row),
        cmocka_unit_test(sizes_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
