#include "ops_util.h"

/* Causal attention of packed sequences, for every kernel set: against the twin, bit for bit across
 * batching, threads, kept patterns and cached decoding, and its gradients. */

enum { MAX_SEQ = 8 };

/* Packed q, k, v [rows, H D] interleaved as a model's qkv, with pointers for each sequence. */
struct packed {
    int64_t offset[MAX_SEQ + 1], rows, ld;
    float *qkv, *z;
    const float *k[MAX_SEQ], *v[MAX_SEQ];
    float *scores[MAX_SEQ], *pattern[MAX_SEQ];
    struct attention a;
};

static void packed_make(struct packed *p, int heads, int d, const int64_t *lengths, int n)
{
    memset(p, 0, sizeof *p);
    const int64_t c = (int64_t)heads * d;
    p->ld = 3 * c + 5;
    for (int i = 0; i < n; i++)
        p->offset[i + 1] = p->offset[i] + lengths[i];
    p->rows = p->offset[n];
    p->qkv = randoms(p->rows * p->ld);
    p->z = floats(p->rows * c);
    for (int64_t i = 0; i < p->rows * p->ld; i++)
        p->qkv[i] *= 2;
    for (int i = 0; i < n; i++) {
        p->k[i] = p->qkv + p->offset[i] * p->ld + c;
        p->v[i] = p->k[i] + c;
        p->scores[i] = floats(heads * lengths[i] * lengths[i]);
        p->pattern[i] = floats(heads * lengths[i] * lengths[i]);
    }
    p->a = (struct attention){.heads = heads,
        .d_head = d,
        .scale = 0.37f,
        .n_seq = n,
        .offset = p->offset,
        .q = p->qkv,
        .k = p->k,
        .v = p->v,
        .ldq = p->ld,
        .ldk = p->ld,
        .ldv = p->ld,
        .z = p->z,
        .ldz = c};
}

static void packed_free(struct packed *p)
{
    for (int i = 0; i < p->a.n_seq; i++) {
        free(p->scores[i]);
        free(p->pattern[i]);
    }
    free(p->qkv);
    free(p->z);
}

static const struct {
    int heads, d, n;
    int64_t lengths[MAX_SEQ];
} cases[] = {{1, 1, 1, {1}}, {2, 7, 2, {1, 5}}, {3, 16, 3, {13, 1, 40}}, {1, 64, 1, {97}},
    {12, 64, 2, {31, 24}}, {2, 33, 2, {259, 2}}, {5, 20, 1, {61}}};
#define N_CASES (sizeof cases / sizeof *cases)

static void check_head(const struct packed *p, int seq, int h)
{
    const int64_t d = p->a.d_head, t = p->offset[seq + 1] - p->offset[seq], r = p->offset[seq];
    double *q = widened(p->qkv + r * p->ld + h * d, t, p->ld, d);
    double *k = widened(p->k[seq] + h * d, t, p->ld, d);
    double *v = widened(p->v[seq] + h * d, t, p->ld, d);
    double *z = doubles(t * d), *s = doubles(t * t), *a = doubles(t * t);
    ref_attention(z, s, a, q, k, v, t, 0, d, (double)p->a.scale);
    check_near("z", p->z + r * p->a.ldz + h * d, p->a.ldz, z, t, d, 1e-5);
    check_near("scores", p->scores[seq] + h * t * t, t, s, t, t, 2e-5);
    check_near("pattern", p->pattern[seq] + h * t * t, t, a, t, t, 1e-5);
    free(q), free(k), free(v), free(z), free(s), free(a);
}

static void attention_is_right(void **state)
{
    (void)state;
    struct err e;
    EACH_KERNEL_SET(set)
    {
        for (size_t c = 0; c < N_CASES; c++) {
            struct packed p;
            struct pool *pool = pool_of(c % 2 ? 3 : 1);
            packed_make(&p, cases[c].heads, cases[c].d, cases[c].lengths, cases[c].n);
            p.a.scores = p.scores;
            p.a.pattern = p.pattern;
            assert_int_equal(ops_attention(&p.a, pool, &e), 0);
            for (int s = 0; s < cases[c].n; s++)
                for (int h = 0; h < cases[c].heads; h++)
                    check_head(&p, s, h);
            /* The two halves apart: edited scores, then edited patterns. */
            float *z = floats(p.rows * p.a.ldz);
            for (int s = 0; s < cases[c].n; s++) {
                const int64_t t = cases[c].lengths[s];
                for (int h = 0; h < cases[c].heads; h++) {
                    float *again = floats(t * t);
                    ops_softmax_causal(again, p.scores[s] + h * t * t, t, t, 0, pool);
                    check_same("softmax", again, t, p.pattern[s] + h * t * t, t, t, t);
                    free(again);
                }
            }
            memcpy(z, p.z, (size_t)(p.rows * p.a.ldz) * sizeof *z);
            memset(p.z, 0xff, (size_t)(p.rows * p.a.ldz) * sizeof *z);
            assert_int_equal(ops_attention_mix(&p.a, pool, &e), 0);
            check_same("mix", p.z, p.a.ldz, z, p.a.ldz, p.rows, p.a.ldz);
            free(z);
            packed_free(&p);
            pool_release(&pool);
        }
    }
}

static void batching_changes_no_bit(void **state)
{
    (void)state;
    struct err e;
    EACH_KERNEL_SET(set)
    {
        for (size_t c = 0; c < N_CASES; c++) {
            struct packed p;
            struct pool *pool = pool_of(4);
            packed_make(&p, cases[c].heads, cases[c].d, cases[c].lengths, cases[c].n);
            assert_int_equal(ops_attention(&p.a, pool, &e), 0);
            float *alone = floats(p.rows * p.a.ldz);
            for (int s = 0; s < cases[c].n; s++) {
                struct attention one = p.a;
                int64_t offset[2] = {0, cases[c].lengths[s]};
                one.n_seq = 1;
                one.offset = offset;
                one.q += p.offset[s] * p.ld;
                one.k += s;
                one.v += s;
                one.z = alone + p.offset[s] * p.a.ldz;
                one.pattern = p.pattern + s;
                assert_int_equal(ops_attention(&one, NULL, &e), 0);
            }
            check_same("alone", alone, p.a.ldz, p.z, p.a.ldz, p.rows, p.a.ldz);
            free(alone);
            packed_free(&p);
            pool_release(&pool);
        }
    }
}

/* Cached decoding: a first piece, then one or a few rows at a time, gives the full pass's bits. */
static void decoding_changes_no_bit(void **state)
{
    (void)state;
    struct err e;
    static const int64_t steps[] = {37, 1, 1, 2, 1, 3, 30, 1, 5, 190, 1, 1};
    EACH_KERNEL_SET(set)
    {
        for (int d = 10; d <= 64; d += 54) {
            struct packed p;
            struct pool *pool = pool_of(2);
            packed_make(&p, 3, d, (int64_t[]){273}, 1);
            p.a.pattern = p.pattern;
            assert_int_equal(ops_attention(&p.a, pool, &e), 0);
            float *z = floats(p.rows * p.a.ldz);
            int64_t past = 0;
            for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                struct attention part = p.a;
                int64_t offset[2] = {0, steps[i]};
                float *pattern = floats(3 * steps[i] * (past + steps[i]));
                part.offset = offset;
                part.past = &past;
                part.q += past * p.ld;
                part.z = z + past * p.a.ldz;
                part.pattern = &pattern;
                assert_int_equal(ops_attention(&part, pool, &e), 0);
                const int64_t tk = past + steps[i];
                for (int h = 0; h < 3; h++)
                    check_same("cached pattern", pattern + h * steps[i] * tk, tk,
                        p.pattern[0] + (h * 273 + past) * 273, 273, steps[i], tk);
                free(pattern);
                past += steps[i];
            }
            assert_int_equal(past, 273);
            check_same("cached z", z, p.a.ldz, p.z, p.a.ldz, p.rows, p.a.ldz);
            free(z);
            packed_free(&p);
            pool_release(&pool);
        }
    }
}

struct grads {
    float *dz, *dqkv, *dk[MAX_SEQ], *dv[MAX_SEQ], *dpattern[MAX_SEQ], *dscores[MAX_SEQ];
    float *extra[MAX_SEQ];
};

static void check_head_grad(
    const struct packed *p, const struct grads *g, int seq, int h, bool given, bool extra)
{
    const int64_t d = p->a.d_head, t = p->offset[seq + 1] - p->offset[seq], r = p->offset[seq];
    const int64_t n = t * t;
    double *q = widened(p->qkv + r * p->ld + h * d, t, p->ld, d);
    double *k = widened(p->k[seq] + h * d, t, p->ld, d);
    double *v = widened(p->v[seq] + h * d, t, p->ld, d);
    double *dz = widened(g->dz + r * p->a.ldz + h * d, t, p->a.ldz, d);
    double *pattern = given ? widened(p->pattern[seq] + h * n, t, t, t) : NULL;
    double *dq = doubles(t * d), *dk = doubles(t * d), *dv = doubles(t * d);
    double *dp = doubles(n), *ds = doubles(n);
    double *more = extra ? widened(g->extra[seq] + h * n, t, t, t) : NULL;
    ref_attention_grad(
        dq, dk, dv, dp, ds, more, more, dz, q, k, v, pattern, t, d, (double)p->a.scale);
    for (int64_t i = 0; i < t * d; i++) {
        dq[i] += 1; /* what the outputs held before */
        dk[i] += 1;
        dv[i] += 1;
    }
    float *base = g->dqkv + r * p->ld + h * d;
    double tol = 5e-5 * sqrt((double)t);
    check_near("dq", base, p->ld, dq, t, d, tol);
    check_near("dk", base + p->a.ldz, p->ld, dk, t, d, tol);
    check_near("dv", base + 2 * p->a.ldz, p->ld, dv, t, d, tol);
    check_near("dpattern", g->dpattern[seq] + h * n, t, dp, t, t, tol);
    check_near("dscores", g->dscores[seq] + h * n, t, ds, t, t, tol);
    free(q), free(k), free(v), free(dz), free(pattern), free(dq), free(dk), free(dv);
    free(dp), free(ds), free(more);
}

static void gradients_are_right(void **state)
{
    (void)state;
    struct err e;
    EACH_KERNEL_SET(set)
    {
        for (size_t x = 0; x < 4 * N_CASES; x++) {
            const size_t c = x / 4;
            const bool given = x & 1, extra = x & 2;
            struct packed p;
            struct grads g = {0};
            struct pool *pool = pool_of(x % 2 ? 3 : 1);
            packed_make(&p, cases[c].heads, cases[c].d, cases[c].lengths, cases[c].n);
            g.dz = randoms(p.rows * p.a.ldz);
            g.dqkv = floats(p.rows * p.ld);
            for (int64_t i = 0; i < p.rows * p.ld; i++)
                g.dqkv[i] = 1;
            p.a.pattern = p.pattern;
            assert_int_equal(ops_attention(&p.a, pool, &e), 0);
            p.a.pattern = given ? p.pattern : NULL;
            for (int s = 0; s < cases[c].n; s++) {
                int64_t square = cases[c].heads * cases[c].lengths[s] * cases[c].lengths[s];
                g.dk[s] = g.dqkv + p.offset[s] * p.ld + p.a.ldz;
                g.dv[s] = g.dk[s] + p.a.ldz;
                g.dpattern[s] = floats(square);
                g.dscores[s] = floats(square);
                g.extra[s] = randoms(square);
            }
            struct attention_grad ag = {.dz = g.dz,
                .dq = g.dqkv,
                .dk = g.dk,
                .dv = g.dv,
                .dpattern = g.dpattern,
                .dscores = g.dscores};
            if (extra) {
                ag.extra_dpattern = (const float *const *)g.extra;
                ag.extra_dscores = (const float *const *)g.extra;
            }
            assert_int_equal(ops_attention_grad(&p.a, &ag, pool, &e), 0);
            for (int s = 0; s < cases[c].n; s++)
                for (int h = 0; h < cases[c].heads; h++)
                    check_head_grad(&p, &g, s, h, given, extra);
            /* Without the squares the causal half is skipped: the same numbers. */
            float *full = floats(p.rows * p.ld);
            memcpy(full, g.dqkv, (size_t)(p.rows * p.ld) * sizeof *full);
            for (int64_t i = 0; i < p.rows * p.ld; i++)
                g.dqkv[i] = 1;
            ag.dpattern = ag.dscores = NULL;
            assert_int_equal(ops_attention_grad(&p.a, &ag, NULL, &e), 0);
            check_same("gradients alone", g.dqkv, p.ld, full, p.ld, p.rows, p.ld);
            for (int s = 0; s < cases[c].n; s++)
                free(g.dpattern[s]), free(g.dscores[s]), free(g.extra[s]);
            free(full), free(g.dz), free(g.dqkv);
            packed_free(&p);
            pool_release(&pool);
        }
    }
}

/* Queries behind a past, gradients of the keys behind the skipped ones: part of the whole gradient, in
 * which the queries before have none. */
static void gradients_of_a_tail_are_right(void **state)
{
    (void)state;
    static const int64_t forms[][3] = {{1, 0, 0}, {9, 3, 3}, {9, 3, 0}, {17, 16, 4}, {70, 50, 31}};
    struct err e;
    EACH_KERNEL_SET(set)
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int d = 5; d <= 64; d += 59) {
            int64_t n = forms[i][0], past = forms[i][1], skip = forms[i][2], tail[] = {0, n - past};
            struct packed p;
            packed_make(&p, 3, d, &n, 1);
            const int64_t c = 3 * d, ld = p.ld, ldz = p.a.ldz;
            float *dz = randoms(n * ldz), *whole = floats(n * ld), *part = floats(n * ld);
            memset(dz, 0, (size_t)(past * ldz) * sizeof *dz);
            memset(whole, 0, (size_t)(n * ld) * sizeof *whole);
            memset(part, 0, (size_t)(n * ld) * sizeof *part);
            float *dk = whole + ldz, *dv = dk + ldz;
            struct attention_grad g = {.dz = dz, .dq = whole, .dk = &dk, .dv = &dv};
            assert_int_equal(ops_attention_grad(&p.a, &g, NULL, &e), 0);
            struct attention a = p.a;
            a.offset = tail;
            a.past = &past;
            a.q += past * ld;
            dk = part + skip * ld + ldz;
            dv = dk + ldz;
            g = (struct attention_grad){
                .dz = dz + past * ldz, .dq = part + past * ld, .dk = &dk, .dv = &dv, .skip = &skip};
            assert_int_equal(ops_attention_grad(&a, &g, NULL, &e), 0);
            for (int64_t r = 0; r < n; r++)
                for (int64_t x = 0; x < ld; x++) {
                    const int64_t side = x / ldz; /* q, k, v */
                    const bool is_given = x % ldz < c && side < 3 && r >= (side ? skip : past);
                    const float want = is_given ? whole[r * ld + x] : 0;
                    assert_true(fabsf(part[r * ld + x] - want) <= 2e-5f);
                }
            free(dz), free(whole), free(part);
            packed_free(&p);
        }
}

/* The twin's gradients are derivatives: central differences of sum z dz. */
static double objective(const double *x, const double *dz, int64_t t, int64_t d)
{
    double z[64], s = 0;
    ref_attention(z, NULL, NULL, x, x + t * d, x + 2 * t * d, t, 0, d, 0.7);
    for (int64_t i = 0; i < t * d; i++)
        s += z[i] * dz[i];
    return s;
}

static void twin_gradients_are_derivatives(void **state)
{
    (void)state;
    enum { T = 5, D = 3, N = T * D };
    double x[3 * N], dz[N], g[3 * N];
    for (int i = 0; i < 3 * N; i++)
        x[i] = (double)uniform();
    for (int i = 0; i < N; i++)
        dz[i] = (double)uniform();
    ref_attention_grad(
        g, g + N, g + 2 * N, NULL, NULL, NULL, NULL, dz, x, x + N, x + 2 * N, NULL, T, D, 0.7);
    for (int i = 0; i < 3 * N; i++) {
        double keep = x[i];
        x[i] = keep + 1e-5;
        double up = objective(x, dz, T, D);
        x[i] = keep - 1e-5;
        double down = objective(x, dz, T, D);
        x[i] = keep;
        assert_true(fabs((up - down) / 2e-5 - g[i]) < 1e-8);
    }
}

/* Copies of one text with rows of their own before, within and behind the queries. */
static void lanes_match_the_twin(void **state)
{
    (void)state;
    static const struct {
        int64_t n, q0, queries, own, own_end;
        int head;
    } forms[] = {{1, 0, 1, 0, 1, -1}, {1, 0, 1, 0, 0, -1}, {17, 3, 14, 3, 17, -1},
        {17, 3, 14, 3, 4, -1}, {17, 4, 13, 3, 4, -1}, {17, 16, 1, 2, 17, -1}, {33, 0, 33, 5, 9, 1},
        {70, 31, 39, 31, 70, -1}, {70, 40, 5, 31, 44, 0}, {70, 5, 1, 5, 6, -1},
        {70, 5, 9, 0, 0, 1}};
    static const int shapes[][2] = {{2, 1}, {2, 7}, {3, 16}, {2, 32}, {2, 64}};
    EACH_KERNEL_SET(set)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            const int64_t n = forms[i].n, d = shapes[s][1], c = shapes[s][0] * d, ld = c + 3;
            const int64_t own = forms[i].own_end - forms[i].own, tq = forms[i].queries;
            float *k = randoms(n * ld), *v = randoms(n * ld), *q = randoms(tq * ld);
            float *ok = randoms(own * ld + 1), *ov = randoms(own * ld + 1), *z = floats(tq * ld);
            const int head = forms[i].head;
            const int64_t col = head < 0 ? 0 : head * d;
            struct attention_lane lane = {q + col, own ? ok + col : NULL, own ? ov + col : NULL,
                z + col, forms[i].q0, tq, forms[i].own, forms[i].own_end, ld, ld, ld, ld, head};
            struct attention_lanes a = {shapes[s][0], (int)d, 0.37f, k, v, ld, ld, n, &lane, 1};
            struct err e = {0};
            struct pool *pool = pool_of(2);
            assert_int_equal(ops_attention_lanes(&a, pool, &e), 0);
            pool_release(&pool);
            copy_to(k + forms[i].own * ld, ld, ok, ld, own, c);
            copy_to(v + forms[i].own * ld, ld, ov, ld, own, c);
            for (int h = head < 0 ? 0 : head; h < (head < 0 ? shapes[s][0] : head + 1); h++) {
                const int64_t tk = forms[i].q0 + tq;
                double *dq = widened(q + h * d, tq, ld, d), *dk = widened(k + h * d, tk, ld, d);
                double *dv = widened(v + h * d, tk, ld, d), *want = doubles(tq * d);
                ref_attention(want, NULL, NULL, dq, dk, dv, tq, forms[i].q0, d, (double)0.37f);
                check_near("z of a lane", z + h * d, ld, want, tq, d, 1e-5);
                free(dq), free(dk), free(dv), free(want);
            }
            free(k), free(v), free(q), free(ok), free(ov), free(z);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_match_the_twin),
        cmocka_unit_test(attention_is_right),
        cmocka_unit_test(batching_changes_no_bit),
        cmocka_unit_test(decoding_changes_no_bit),
        cmocka_unit_test(gradients_are_right),
        cmocka_unit_test(gradients_of_a_tail_are_right),
        cmocka_unit_test(twin_gradients_are_derivatives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
