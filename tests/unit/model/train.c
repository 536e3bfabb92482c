#include "model/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/core/rng.h"

/* Training of a very small model on a corpus with a known entropy: counting sequences. */

static const struct config config = {.n_layer = 2,
    .n_head = 2,
    .d_model = 20,
    .d_head = 10,
    .d_mlp = 44,
    .n_ctx = 24,
    .vocab = 23,
    .ln_eps = 1e-5,
    .ln_gain = 1,
    .act = ACT_GELU_NEW,
    .scale_attn_weights = true,
    .tied = true,
    .bos_id = 22,
    .eos_id = 22};

#define PIECES 96
#define HELD 8
#define PIECE_LEN 17

static struct corpus *make_corpus(void)
{
    struct corpus *c = calloc(1, sizeof *c);
    struct rng r;
    assert_non_null(c);
    rng_init(&r, 3, 0);
    c->n_train = PIECES;
    c->n_held = HELD;
    c->bos = 22;
    c->n_tokens = (PIECES + HELD) * PIECE_LEN;
    c->tokens = malloc((size_t)c->n_tokens * sizeof *c->tokens);
    c->train = malloc(PIECES * sizeof *c->train);
    c->held = malloc(HELD * sizeof *c->held);
    assert_true(c->tokens && c->train && c->held);
    for (int64_t i = 0; i < PIECES + HELD; i++) {
        /* Lengths differ, so that batches are ragged. */
        struct piece p = {i * PIECE_LEN, (int32_t)(PIECE_LEN - i % 5)};
        int32_t first = (int32_t)rng_below(&r, 22);
        for (int64_t t = 0; t < PIECE_LEN; t++)
            c->tokens[p.begin + t] = (int32_t)((first + t) % 22);
        *(i < PIECES ? &c->train[i] : &c->held[i - PIECES]) = p;
    }
    hash_hex_of(c->hash, c->tokens, (size_t)c->n_tokens * sizeof *c->tokens);
    return c;
}

static struct train_opts options(void)
{
    struct train_opts o = train_defaults();
    o.schedule = (struct schedule){.lr = 1e-2, .floor = 0.1, .warmup = 3, .steps = 20};
    o.batch_tokens = 200;
    o.micro_tokens = 90;
    o.eval_every = 5;
    o.checkpoint_every = 0;
    o.seed = 11;
    return o;
}

static int stop_after(void *arg, const struct train_progress *p)
{
    return p->now.step >= *(const int64_t *)arg;
}

/* Runs to the end or to `stop`, and returns the last point. */
static struct train_point train(struct train_opts o, const struct corpus *c, const char *path,
    bool resume, int64_t interrupt, int threads)
{
    struct err e = {0};
    struct pool *pool;
    struct params *p;
    struct train *t;
    assert_int_equal(pool_create(&pool, threads, &e), 0);
    assert_int_equal(params_init_random(&p, &config, 5, pool, &e), 0);
    int rc = train_open(&t, &o, p, c, path, resume, pool, &e);
    if (rc)
        print_error("%s\n", e.msg);
    assert_int_equal(rc, 0);
    rc = train_run(t, interrupt ? stop_after : NULL, &interrupt, &e);
    assert_int_equal(rc, interrupt ? ERR_CANCEL : 0);
    int64_t n;
    const struct train_point *h = train_history(t, &n);
    assert_true(n > 0);
    struct train_point last = h[n - 1];
    train_release(&t);
    params_release(&p);
    pool_release(&pool);
    return last;
}

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *data = malloc(1 << 22);
    assert_non_null(data);
    *n = fread(data, 1, 1 << 22, f);
    fclose(f);
    return data;
}

static void assert_same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *x = read_all(a, &na), *y = read_all(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(x, y, na);
    free(x);
    free(y);
}

static void resume_gives_the_same_bytes(void **state)
{
    (void)state;
    char dir[] = "/tmp/sonde-train-XXXXXX", whole[64], part[64], cut[64];
    assert_non_null(mkdtemp(dir));
    snprintf(whole, sizeof whole, "%s/whole", dir);
    snprintf(part, sizeof part, "%s/part", dir);
    snprintf(cut, sizeof cut, "%s/cut", dir);
    struct corpus *c = make_corpus();
    struct train_opts o = options();
    train(o, c, whole, false, 0, 2);

    o.stop_at = 10;
    train(o, c, part, false, 0, 2);
    o.stop_at = 0;
    train(o, c, part, true, 0, 2);
    assert_same_file(whole, part);

    train(o, c, cut, false, 7, 2);
    train(o, c, cut, true, 0, 2);
    assert_same_file(whole, cut);
    corpus_release(&c);
    unlink(whole);
    unlink(part);
    unlink(cut);
    rmdir(dir);
}

static void resume_refuses_other_options(void **state)
{
    (void)state;
    char path[] = "/tmp/sonde-train-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct err e = {0};
    struct pool *pool;
    struct params *p;
    struct train *t;
    struct corpus *c = make_corpus();
    struct train_opts o = options();
    o.stop_at = 2;
    train(o, c, path, false, 0, 1);
    assert_int_equal(pool_create(&pool, 1, &e), 0);
    assert_int_equal(params_init_random(&p, &config, 5, pool, &e), 0);
    o.schedule.lr *= 2;
    assert_int_equal(train_open(&t, &o, p, c, path, true, pool, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "--lr"));
    o = options();
    c->hash[0] ^= 1;
    assert_int_equal(train_open(&t, &o, p, c, path, true, pool, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "corpus"));
    c->hash[0] ^= 1;
    assert_int_equal(truncate(path, 1000), 0);
    assert_int_equal(train_open(&t, &o, p, c, path, true, pool, &e), ERR_INPUT);
    params_release(&p);
    pool_release(&pool);
    corpus_release(&c);
    unlink(path);
}

static void it_learns(void **state)
{
    (void)state;
    char path[] = "/tmp/sonde-train-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct corpus *c = make_corpus();
    struct train_opts o = options();
    o.schedule.steps = 150;
    o.eval_every = 0;
    struct train_point last = train(o, c, path, false, 0, 2);
    /* Only the first token after BOS, of about 15 predicted ones, is uncertain: ln 22 / 15. */
    assert_true(last.loss < 0.4);
    assert_true(last.held_out < 0.4);
    assert_true(last.held_out > 0.1);
    corpus_release(&c);
    unlink(path);
}

static void threads_agree(void **state)
{
    (void)state;
    char path[] = "/tmp/sonde-train-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct corpus *c = make_corpus();
    struct train_opts o = options();
    o.schedule.steps = 3;
    struct train_point one = train(o, c, path, false, 0, 1), two = train(o, c, path, false, 0, 2);
    assert_true(fabs(one.loss - two.loss) < 1e-5);
    assert_true(fabs(one.grad_norm - two.grad_norm) < 1e-5 * one.grad_norm);
    corpus_release(&c);
    unlink(path);
}

/* One step written out in fp64, decay on the matrix alone. */
static void adamw_formula(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err e = {0};
    struct param_arrays p, g;
    struct adamw a = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
    struct rng r;
    rng_init(&r, 1, 0);
    assert_int_equal(param_arrays_init(&p, &config, &arena, &e), 0);
    assert_int_equal(param_arrays_init(&g, &config, &arena, &e), 0);
    assert_int_equal(adamw_init(&a, &config, &arena, &e), 0);
    double *want = calloc((size_t)p.count, sizeof *want), *m = calloc((size_t)p.count, sizeof *m),
           *v = calloc((size_t)p.count, sizeof *v);
    assert_true(want && m && v);
    for (int64_t i = 0; i < p.count; i++)
        want[i] = (double)(p.flat[i] = (float)rng_normal(&r));
    for (int step = 1; step <= 3; step++) {
        double lr = 0.01 * step, clip = 0.5;
        for (int64_t i = 0; i < p.count; i++)
            g.flat[i] = (float)rng_normal(&r);
        for (int i = 0; i < param_slots(&config); i++) {
            struct param_slot s;
            param_slot(&s, &config, i);
            for (int64_t k = s.at; k < s.at + s.count; k++) {
                double x = clip * (double)g.flat[k];
                m[k] = 0.9 * m[k] + 0.1 * x;
                v[k] = 0.95 * v[k] + 0.05 * x * x;
                double mh = m[k] / (1 - pow(0.9, step)), vh = v[k] / (1 - pow(0.95, step));
                want[k] -= lr * ((s.rank == 2 ? 0.1 * want[k] : 0) + mh / (sqrt(vh) + 1e-8));
            }
        }
        adamw_step(&a, &p, &g, &config, lr, clip, NULL);
    }
    for (int64_t i = 0; i < p.count; i++)
        assert_true(fabs(want[i] - (double)p.flat[i]) < 2e-6 * (1 + fabs(want[i])));
    double norm = 0;
    for (int64_t i = 0; i < g.count; i++)
        norm += (double)g.flat[i] * (double)g.flat[i];
    double *scratch = calloc((size_t)flat_norm_scratch(g.count), sizeof *scratch);
    assert_non_null(scratch);
    assert_true(fabs(flat_norm(g.flat, g.count, NULL, scratch) - sqrt(norm)) < 1e-9 * sqrt(norm));
    free(scratch);
    free(want);
    free(m);
    free(v);
    arena_release(&arena);
}

static void schedule_formula(void **state)
{
    (void)state;
    struct schedule s = {.lr = 2, .floor = 0.25, .warmup = 4, .steps = 14};
    assert_true(fabs(schedule_lr(&s, 0) - 0.5) < 1e-12);
    assert_true(fabs(schedule_lr(&s, 3) - 2) < 1e-12);
    assert_true(fabs(schedule_lr(&s, 4) - 2) < 1e-12);
    assert_true(fabs(schedule_lr(&s, 13) - 0.5) < 1e-12);
    assert_true(schedule_lr(&s, 8) > schedule_lr(&s, 9));
    assert_true(fabs(schedule_lr(&s, 100) - 0.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_formula),
        cmocka_unit_test(adamw_formula),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(resume_gives_the_same_bytes),
        cmocka_unit_test(resume_refuses_other_options),
        cmocka_unit_test(it_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
