/* The folded view against a folded model, built here in fp64 by the book (layer norms into
 * their readers, writers centred, unembedding centred, value biases into b_O). */
#include "model/fold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"

static struct pool *pool;

static void close_to(
    const char *model, const char *what, const double *want, const double *got, int64_t n)
{
    double diff = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        diff = fmax(diff, fabs(want[i] - got[i]));
        scale = fmax(scale, fabs(want[i]));
    }
    if (!(diff <= 2e-6 * scale + 1e-12))
        fail_msg("%s: %s off by %g of %g", model, what, diff, scale);
}

static void widen(double *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)x[i];
}

/* W_U as [V, C]: row t is the unembedding of token t. */
static float *unembedding(const struct model *m, struct arena *arena)
{
    float *u;
    struct err e = {0};
    const char *name = m->cfg.tied ? "wte.weight" : "lm_head.weight";
    assert_int_equal(
        weights_load_f32(&u, m->weights, weights_find(m->weights, name), arena, &e), 0);
    return u;
}

static void check_unembedding(const struct model *m, struct arena *arena)
{
    struct err e = {0};
    int64_t C = m->cfg.d_model, V = m->cfg.vocab;
    const float *u = unembedding(m, arena);
    double *folded = arena_zalloc(arena, (size_t)(V * C) * sizeof *folded, &e);
    double *b_u = arena_zalloc(arena, (size_t)V * sizeof *b_u, &e);
    double *mean = arena_zalloc(arena, (size_t)C * sizeof *mean, &e);
    double *got = arena_zalloc(arena, (size_t)C * sizeof *got, &e);
    double b_mean = 0, got_b;
    for (int64_t t = 0; t < V; t++) {
        double row_mean = 0;
        for (int64_t c = 0; c < C; c++) {
            folded[t * C + c] = (double)m->params->lnf_g[c] * (double)u[t * C + c];
            row_mean += folded[t * C + c] / (double)C;
            b_u[t] += (double)m->params->lnf_b[c] * (double)u[t * C + c];
        }
        for (int64_t c = 0; c < C; c++)
            folded[t * C + c] -= row_mean;
        b_mean += b_u[t] / (double)V;
    }
    for (int64_t c = 0; c < C; c++)
        for (int64_t t = 0; t < V; t++)
            mean[c] += folded[t * C + c] / (double)V;
    double *raw_mean = arena_zalloc(arena, (size_t)C * sizeof *raw_mean, &e);
    double *d = arena_zalloc(arena, (size_t)C * sizeof *d, &e);
    assert_int_equal(fold_unembed_mean(raw_mean, m->params, pool, &e), 0);
    for (int64_t t = 0; t < V; t += V / 5 + 1) {
        /* One token: its column, centred over the vocabulary. */
        for (int64_t c = 0; c < C; c++) {
            d[c] = (double)u[t * C + c] - raw_mean[c];
            folded[t * C + c] -= mean[c];
        }
        fold_direction(got, &got_b, m->params, d);
        close_to(m->name, "unembedding", folded + t * C, got, C);
        close_to(m->name, "b_U", (double[]){b_u[t] - b_mean, 1}, (double[]){got_b, 1}, 2);
    }
}

/* One layer's value biases and what b_O becomes. */
static void check_attention(const struct model *m, int l, struct arena *arena)
{
    struct err e = {0};
    int64_t C = m->cfg.d_model;
    char name[64];
    float *qkv, *o;
    snprintf(name, sizeof name, "h.%d.attn.c_attn.weight", l);
    assert_int_equal(
        weights_load_f32(&qkv, m->weights, weights_find(m->weights, name), arena, &e), 0);
    snprintf(name, sizeof name, "h.%d.attn.c_proj.weight", l);
    assert_int_equal(
        weights_load_f32(&o, m->weights, weights_find(m->weights, name), arena, &e), 0);
    double *want = arena_zalloc(arena, (size_t)C * sizeof *want, &e);
    double *got = arena_zalloc(arena, (size_t)C * sizeof *got, &e);
    float *out = arena_alloc(arena, (size_t)C * sizeof *out, &e);
    float *dir = arena_alloc(arena, (size_t)C * sizeof *dir, &e);
    const struct layer_vectors *v = &m->params->layer[l];
    for (int64_t i = 0; i < C; i++) {
        want[i] = (double)v->b_qkv[2 * C + i];
        for (int64_t c = 0; c < C; c++)
            want[i] += (double)v->ln1_b[c] * (double)qkv[c * 3 * C + 2 * C + i];
        dir[i] = sinf((float)(i + 1));
    }
    assert_int_equal(fold_value_bias(out, m->params, l, pool, &e), 0);
    widen(got, out, C);
    close_to(m->name, "value bias", want, got, C);
    /* Folded b_O = b_O + b_V W_O, along dir: the same by the output direction. */
    double folded = 0, by_direction = 0;
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < C; i++)
            folded += want[i] * (double)o[i * C + c] * (double)dir[c];
    assert_int_equal(fold_output_direction(out, m->params, l, dir, pool, &e), 0);
    for (int64_t i = 0; i < C; i++) {
        double w = 0;
        for (int64_t c = 0; c < C; c++)
            w += (double)o[i * C + c] * (double)dir[c];
        got[i] = (double)out[i] - w;
        by_direction += want[i] * (double)out[i];
        assert_true(fabs(got[i]) < 2e-6 * (1 + fabs(w)));
    }
    assert_true(fabs(folded - by_direction) < 1e-5 * (1 + fabs(folded)));
}

static void the_views_agree(void **state)
{
    static const char *const names[] = {"plain", "prime", "untied", "lnfree", "bf16", "narrow"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024];
        struct err e = {0};
        struct model *m;
        struct arena arena = {0};
        snprintf(path, sizeof path, "%s/%s", getenv("SONDE_TEST_MODELS"), names[i]);
        if (model_open(&m, path, pool, &e))
            fail_msg("%s", e.msg);
        check_unembedding(m, &arena);
        for (int l = 0; l < m->cfg.n_layer; l++)
            check_attention(m, l, &arena);
        arena_release(&arena);
        model_release(&m);
    }
}

static int make_pool(void **state)
{
    struct err e;
    (void)state;
    return getenv("SONDE_TEST_MODELS") ? pool_create(&pool, 2, &e) : -1;
}

static int drop_pool(void **state)
{
    (void)state;
    pool_release(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_views_agree),
    };
    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
