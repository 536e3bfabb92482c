#include "ops_util.h"

/* Activations, LayerNorm and row statistics against their fp64 twins, for every kernel set. */

/* Steps of the last place that a result is away from the fp64 value, with a floor for values that
 * are nothing beside the argument. */
static double ulps(double got, double want, double floor)
{
    double scale = fmax(fabs(want), floor);
    return fabs(got - want) / (scale * 0x1p-23);
}

static const char *const act_names[ACT_COUNT] = {
#define X(id, name) name,
    ACTS(X)
#undef X
};

/* Where a value passes through zero and so cannot be right to a few ulp of itself. */
static double act_floor(enum act a, bool slope)
{
    if (slope)
        return 0.1;
    if (a == ACT_LAPLACE) /* its argument is scaled by 3.5 and squared */
        return 1e-3;
    return a == ACT_MISH || a == ACT_HARDSWISH ? 1e-3 : 1e-30;
}

static void activations(void **state)
{
    (void)state;
    enum { N = 20011 };
    float *x = floats(N), *dy = floats(N), *y = floats(N), *dx = floats(N);
    for (int i = 0; i < N; i++) {
        x[i] = i < 12001 ? (float)(i - 6000) * 2e-3f : uniform() * (i % 3 ? 30.0f : 1e-3f);
        dy[i] = 1.0f;
    }
    x[N - 1] = 0.0f, x[N - 2] = -3.0f, x[N - 3] = 3.0f, x[N - 4] = 6.0f;
    struct pool *pool = pool_of(2);
    EACH_KERNEL_SET(set)
    {
        for (int a = 0; a < ACT_COUNT; a++) {
            ops_act(y, x, N, (enum act)a, pool);
            ops_act_grad(dx, dy, x, N, (enum act)a, pool);
            for (int i = 0; i < N; i++) {
                double want = ref_act((enum act)a, (double)x[i]);
                double slope = ref_act_slope((enum act)a, (double)x[i]);
                /* Far out in a tail the argument's own rounding is what is left. */
                double far = fmax(1, (double)x[i] * (double)x[i]);
                if (!(ulps((double)y[i], want, act_floor((enum act)a, false)) < 8 + 2 * far) &&
                    fabs((double)y[i] - want) > 1e-36)
                    fail_msg("%s: %s(%.9g) is %.9g, want %.9g", ops_kernel_set(), act_names[a],
                        (double)x[i], (double)y[i], want);
                if (!(ulps((double)dx[i], slope, act_floor((enum act)a, true)) < 24))
                    fail_msg("%s: %s'(%.9g) is %.9g, want %.9g", ops_kernel_set(), act_names[a],
                        (double)x[i], (double)dx[i], slope);
            }
        }
    }
    pool_release(&pool);
    free(x), free(dy), free(y), free(dx);
}

/* The twin's slopes are the derivatives of its values. */
static void slopes_are_derivatives(void **state)
{
    (void)state;
    for (int a = 0; a < ACT_COUNT; a++)
        for (int i = -97; i <= 97; i++) {
            double x = i * 0.0713 + 1e-3, h = 1e-5;
            double d = (ref_act((enum act)a, x + h) - ref_act((enum act)a, x - h)) / (2 * h);
            double s = ref_act_slope((enum act)a, x);
            if (!(fabs(d - s) < 1e-7 * (1 + fabs(s))))
                fail_msg(
                    "%s'(%g) is %.12g by its formula, %.12g by differences", act_names[a], x, s, d);
        }
}

static void exponential(void **state)
{
    (void)state;
    enum { N = 40009 };
    float *x = floats(N), *y = floats(N);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - 20000) * (100.0f / 20000) + uniform() * 1e-3f;
    EACH_KERNEL_SET(set)
    {
        kernels_get()->exp(y, x, N);
        for (int i = 0; i < N; i++) {
            double want = exp((double)x[i]);
            if (want > 3.4e38)
                assert_true(isinf(y[i]));
            else if (want > 1.2e-38 && !(fabs((double)y[i] / want - 1) <= 1.2e-7))
                fail_msg("%s: exp(%.9g) is %.9g, off by %.3g", ops_kernel_set(), (double)x[i],
                    (double)y[i], (double)y[i] / want - 1);
            else if (want <= 1.2e-38)
                assert_true(fabs((double)y[i] - want) <= 3e-45);
        }
        float odd[3] = {NAN, INFINITY, -INFINITY}, out[3];
        kernels_get()->exp(out, odd, 3);
        assert_true(isnan(out[0]) && isinf(out[1]) && out[2] == 0.0f);
    }
    free(x), free(y);
}

static void nan_comes_through(void **state)
{
    (void)state;
    float x[5] = {1, NAN, 2, -1, NAN}, y[5], dy[5] = {1, 1, 1, 1, 1};
    EACH_KERNEL_SET(set)
    {
        for (int a = 0; a < ACT_COUNT; a++) {
            ops_act(y, x, 5, (enum act)a, NULL);
            for (int i = 0; i < 5; i++)
                if ((isnan(y[i]) != 0) != (isnan(x[i]) != 0))
                    fail_msg("%s: %s hides a NaN or makes one", ops_kernel_set(), act_names[a]);
            dy[1] = NAN;
            ops_act_grad(y, dy, x, 5, (enum act)a, NULL);
            assert_true(isnan(y[1]));
            assert_false(isnan(y[0]));
        }
    }
}

static const int64_t widths[] = {1, 2, 7, 16, 31, 64, 97, 768, 1031};

static void layer_norm(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3);
    EACH_KERNEL_SET(set)
    {
        for (int i = 0; i < 9 * 8; i++) {
            int64_t c = widths[i / 8], m = i % 3 ? 37 : 1, ld = c + i % 2;
            float *x = randoms(m * ld), *g = randoms(c), *b = randoms(c), *y = floats(m * ld);
            float *s = floats(m), *again = floats(m * ld);
            for (int64_t j = 0; j < m * ld; j++)
                x[j] = x[j] * 3 + 10; /* a mean far from 0 */
            struct ln ln = {.kind = i & 4 ? LN_LINEAR : LN_TRUE,
                .eps = 1e-5,
                .gamma = i & 1 ? g : NULL,
                .beta = i & 2 ? b : NULL};
            double *xd = widened(x, m, ld, c), *want = doubles(m * c), *sd = doubles(m);
            double *gd = widened(g, 1, c, c), *bd = widened(b, 1, c, c);
            ref_ln(want, sd, xd, m, c, ln.kind, ln.eps, ln.gamma ? gd : NULL, ln.beta ? bd : NULL,
                false);
            ops_ln(y, ld, s, x, ld, m, c, &ln, pool);
            /* At c = 1 or 2 the variance may be next to nothing: the scale divides rounding. */
            double tol = 1e-5;
            for (int64_t r = 0; r < m; r++)
                tol = fmax(tol, 3e-6 / sd[r]);
            check_near("ln", y, ld, want, m, c, tol);
            check_near("ln scale", s, 1, sd, m, 1, 4e-6);
            ln.frozen = true;
            ops_ln(again, ld, s, x, ld, m, c, &ln, NULL);
            check_same("ln with its own scale frozen", again, ld, y, ld, m, c);
            for (int64_t r = 0; r < m; r++)
                sd[r] = s[r] = 2.5f + (float)r;
            ref_ln(want, sd, xd, m, c, ln.kind, ln.eps, ln.gamma ? gd : NULL, ln.beta ? bd : NULL,
                true);
            ops_ln(y, ld, s, x, ld, m, c, &ln, pool);
            check_near("frozen ln", y, ld, want, m, c, 1e-5);
            free(x), free(g), free(b), free(y), free(s), free(again);
            free(xd), free(want), free(sd), free(gd), free(bd);
        }
    }
    pool_release(&pool);
}

static void layer_norm_gradient(void **state)
{
    (void)state;
    struct pool *pool = pool_of(3);
    EACH_KERNEL_SET(set)
    {
        for (int i = 0; i < 7 * 8; i++) {
            int64_t c = widths[2 + i / 8], m = i % 3 ? 67 : 601, ld = c + i % 2;
            float *x = randoms(m * ld), *dy = randoms(m * ld), *g = randoms(c);
            float *dx = randoms(m * ld), *dg = randoms(c), *db = randoms(c), *y = floats(m * ld);
            float *s = floats(m), *again = floats(m * ld);
            struct ln ln = {
                .kind = i & 4 ? LN_LINEAR : LN_TRUE, .eps = 1e-5, .gamma = i & 1 ? g : NULL};
            double *xd = widened(x, m, ld, c), *dyd = widened(dy, m, ld, c), *sd = doubles(m);
            double *want = doubles(m * c), *wg = doubles(c), *wb = doubles(c), *yd = doubles(m * c);
            double *gd = widened(g, 1, c, c), *old = widened(dx, m, ld, c);
            double *dg0 = widened(dg, 1, c, c), *db0 = widened(db, 1, c, c);
            ops_ln(y, ld, s, x, ld, m, c, &ln, pool);
            ref_ln(yd, sd, xd, m, c, ln.kind, ln.eps, ln.gamma ? gd : NULL, NULL, false);
            ln.frozen = i & 2;
            ref_ln_grad(want, wg, wb, dyd, xd, sd, m, c, ln.kind, ln.gamma ? gd : NULL, ln.frozen);
            ops_ln_grad(again, ld, NULL, NULL, dy, ld, x, ld, s, m, c, &ln, false, NULL);
            check_near("ln gradient", again, ld, want, m, c, 1e-4);
            for (int64_t j = 0; j < m * c; j++)
                want[j] += old[j];
            for (int64_t j = 0; j < c; j++) {
                wg[j] += dg0[j];
                wb[j] += db0[j];
            }
            ops_ln_grad(dx, ld, dg, db, dy, ld, x, ld, s, m, c, &ln, true, pool);
            check_near("ln gradient, added", dx, ld, want, m, c, 1e-4);
            check_near("gamma", dg, c, wg, 1, c, 2e-4);
            check_near("beta", db, c, wb, 1, c, 1e-4);
            free(x), free(dy), free(g), free(dx), free(dg), free(db), free(y), free(s);
            free(again), free(xd), free(dyd), free(sd), free(want), free(wg), free(wb), free(yd);
            free(gd), free(old), free(dg0), free(db0);
        }
    }
    pool_release(&pool);
}

/* The twin's VJP is the derivative of its LN: central differences in fp64. */
static void twin_ln_gradient(void **state)
{
    (void)state;
    enum { C = 13 };
    for (int kind = 0; kind < 3; kind++) {
        double x[C], g[C], dy[C], dx[C], s[1], y[C], up[C], down[C];
        enum ln_kind k = kind == 1 ? LN_LINEAR : LN_TRUE;
        bool frozen = kind == 2;
        for (int i = 0; i < C; i++) {
            x[i] = (double)uniform();
            g[i] = (double)uniform();
            dy[i] = (double)uniform();
        }
        ref_ln(y, s, x, 1, C, k, 1e-5, g, NULL, false);
        ref_ln_grad(dx, NULL, NULL, dy, x, s, 1, C, k, g, frozen);
        for (int i = 0; i < C; i++) {
            double keep = x[i], d = 0, other[1] = {s[0]};
            x[i] = keep + 1e-6;
            ref_ln(up, other, x, 1, C, k, 1e-5, g, NULL, frozen);
            other[0] = s[0];
            x[i] = keep - 1e-6;
            ref_ln(down, other, x, 1, C, k, 1e-5, g, NULL, frozen);
            x[i] = keep;
            for (int j = 0; j < C; j++)
                d += dy[j] * (up[j] - down[j]) / 2e-6;
            assert_true(fabs(d - dx[i]) < 1e-7);
        }
    }
}

static void row_statistics(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 15, 16, 17, 101, 1000, 50257};
    EACH_KERNEL_SET(set)
    {
        for (int i = 0; i < 9 * 2; i++) {
            int64_t n = sizes[i / 2];
            float *x = randoms(n), *lp = floats(n), *lq = randoms(n);
            for (int64_t j = 0; j < n; j++) {
                x[j] = i % 2 ? x[j] * 20 + 50 : roundf(x[j] * 3); /* the second has many ties */
                lq[j] *= 5;
            }
            double *xd = widened(x, 1, n, n);
            const double lse = ref_lse(xd, n);
            struct row_stats s;
            int32_t top[20], want_top[20];
            float values[20];
            ops_row_stats(&s, x, n);
            assert_true(fabs(s.lse - lse) < 3e-7);
            assert_true(fabs(s.entropy - ref_entropy(xd, n)) < 2e-6);
            ref_topk(want_top, x, n, 20);
            ops_topk(top, values, x, n, 20);
            assert_int_equal(s.argmax, want_top[0]);
            for (int k = 0; k < 20; k++) {
                assert_int_equal(top[k], want_top[k]);
                assert_true(k < n ? values[k] == x[top[k]] : isnan(values[k]));
            }
            for (int64_t id = 0; id < n; id += 1 + n / 50)
                assert_int_equal(ops_rank(x, n, id), ref_rank(x, n, id));
            ops_log_softmax(lp, x, n);
            for (int64_t j = 0; j < n; j++)
                assert_true(
                    fabs((double)lp[j] - (xd[j] - lse)) < 1e-6 + 1.2e-7 * fabs((double)lp[j]));
            float *half = floats(n);
            memcpy(half, x, (size_t)n * sizeof *half);
            ops_probs(half, half, n, lse, 0.5f);
            for (int64_t j = 0; j < n; j++) {
                double want = 0.5 * exp(xd[j] - lse);
                assert_true(fabs((double)half[j] - want) <= 4e-6 * want + 1e-37);
            }
            free(half);
            ops_log_softmax(lq, lq, n);
            double *p = widened(lp, 1, n, n), *q = widened(lq, 1, n, n);
            assert_true(fabs(ops_kl(lp, lq, n) - ref_kl(p, q, n)) < 1e-5);
            assert_true(ops_kl(lp, lp, n) == 0);
            free(x), free(lp), free(lq), free(xd), free(p), free(q);
        }
    }
}

static void rows_with_nan(void **state)
{
    (void)state;
    enum { N = 53 };
    float x[N], lp[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)((i * 29) % N);
    x[20] = x[41] = NAN;
    EACH_KERNEL_SET(set)
    {
        struct row_stats s;
        int32_t top[5], want[5];
        float values[5];
        ops_row_stats(&s, x, N);
        assert_true(isnan(s.lse) && isnan(s.entropy));
        assert_int_equal(s.argmax, 20);
        ops_topk(top, values, x, N, 5);
        ref_topk(want, x, N, 5);
        for (int k = 0; k < 5; k++)
            assert_int_equal(top[k], want[k]);
        assert_true(isnan(values[0]) && isnan(values[1]) && !isnan(values[2]));
        for (int i = 0; i < N; i++)
            assert_int_equal(ops_rank(x, N, i), ref_rank(x, N, i));
        ops_log_softmax(lp, x, N);
        for (int i = 0; i < N; i++)
            assert_true(isnan(lp[i]));
        for (int i = 0; i < N; i++)
            lp[i] = NAN;
        ops_topk(top, values, lp, N, 5);
        for (int k = 0; k < 5; k++)
            assert_int_equal(top[k], k);
        assert_true(isnan(ops_kl(lp, lp, N)));
        /* -inf is a plain "never": it takes no part. */
        float y[4] = {0, -INFINITY, 0, -INFINITY};
        ops_row_stats(&s, y, 4);
        assert_true(fabs(s.lse - log(2)) < 1e-7 && fabs(s.entropy - log(2)) < 1e-7);
        ops_log_softmax(y, y, 4);
        assert_true(isinf(y[1]) && fabs((double)y[0] + log(2)) < 1e-7);
        assert_true(ops_kl(y, y, 4) == 0 || isnan(ops_kl(y, y, 4)) == 0);
    }
}

static void limits_are_measured(void **state)
{
    (void)state;
    struct pool *pool = pool_of(1);
    assert_true(ops_peak_gflops(pool) > 0.1 && ops_peak_gflops(pool) < 1e5);
    assert_true(ops_read_gbs(pool) > 0.1 && ops_read_gbs(pool) < 1e4);
    pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),
        cmocka_unit_test(slopes_are_derivatives),
        cmocka_unit_test(exponential),
        cmocka_unit_test(nan_comes_through),
        cmocka_unit_test(layer_norm),
        cmocka_unit_test(layer_norm_gradient),
        cmocka_unit_test(twin_ln_gradient),
        cmocka_unit_test(row_statistics),
        cmocka_unit_test(rows_with_nan),
        cmocka_unit_test(limits_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
