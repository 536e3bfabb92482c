#include "model/backward.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"
#include "model/lnfree.h"
#include "model/ref64.h"

/* Every gradient against central differences of the fp64 referee, on models of odd shapes, each
 * activation and each flag. */

#define SAMPLES 10
#define STEP 1e-5

struct bench {
    struct config cfg;
    struct weights *weights;
    struct params *params;
    struct pool *pool;
    int32_t tokens[64];
    int64_t offset[2];
    struct arena arena;
    struct rng rng;
};

static void open_model(struct bench *b, const char *name)
{
    struct err e = {0};
    char path[1024], note[256], *text;
    const char *folder = getenv("SONDE_TEST_MODELS");
    assert_non_null(folder);
    memset(b, 0, sizeof *b);
    rng_init(&b->rng, 7, 0);
    snprintf(path, sizeof path, "%s/%s/config.json", folder, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text = arena_alloc(&b->arena, 65536, &e);
    size_t n = fread(text, 1, 65536, f);
    fclose(f);
    assert_int_equal(config_parse(&b->cfg, text, n, path, &e), 0);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(weights_open(&b->weights, path, &e), 0);
    assert_int_equal(params_check(note, sizeof note, &b->cfg, b->weights, &e), 0);
    assert_int_equal(lnfree_detect(&b->cfg, note, sizeof note, b->weights, &e), 0);
    assert_int_equal(pool_create(&b->pool, 2, &e), 0);
    assert_int_equal(params_open(&b->params, &b->cfg, b->weights, b->pool, &e), 0);
    int64_t len = b->cfg.n_ctx < 9 ? b->cfg.n_ctx : 9;
    for (int64_t i = 0; i < len; i++)
        b->tokens[i] = (int32_t)rng_below(&b->rng, (uint64_t)b->cfg.vocab);
    b->offset[1] = len;
}

static void close_model(struct bench *b)
{
    params_release(&b->params);
    weights_release(&b->weights);
    pool_release(&b->pool);
    arena_release(&b->arena);
}

static void run_backward(struct trace *kept, struct trace *out, double *value, struct bench *b,
    const struct metric *m, struct backward_opts *o, bool all_sites, enum logits_want logits)
{
    struct err e = {0};
    struct plan plan, want;
    struct batch batch = {b->tokens, b->offset, 1};
    assert_int_equal(plan_init(&plan, &b->cfg, &b->arena, &e), 0);
    assert_int_equal(plan_init(&want, &b->cfg, &b->arena, &e), 0);
    backward_plan(&plan, &b->cfg);
    plan.logits = logits;
    for (int s = 0; all_sites && s < SITE_COUNT; s++)
        plan_keep(&want, (enum site)s, -1);
    struct forward_opts fo = {.plan = &plan, .pool = b->pool, .edits = o->edits};
    int rc = forward(kept, b->params, &batch, &fo, &e);
    if (rc)
        print_error("%s\n", e.msg);
    assert_int_equal(rc, 0);
    o->want = &want;
    o->pool = b->pool;
    rc = backward(out, value, b->params, kept, m, o, &e);
    if (rc)
        print_error("%s\n", e.msg);
    assert_int_equal(rc, 0);
}

/* Slope of the loss along one weight or one value, in fp64. */
static double slope(struct bench *b, struct ref64_nudge nudge, double *scales)
{
    struct err e = {0};
    double up, down;
    struct ref64 r = {.cfg = &b->cfg,
        .weights = b->weights,
        .tokens = b->tokens,
        .n = b->offset[1],
        .nudge = &nudge,
        .scales = scales,
        .is_frozen = scales != NULL};
    nudge.delta = STEP;
    assert_int_equal(ref64_loss(&up, &r, &e), 0);
    nudge.delta = -STEP;
    assert_int_equal(ref64_loss(&down, &r, &e), 0);
    return (up - down) / (2 * STEP);
}

static void compare(
    const char *model, const char *what, const double *want, const double *got, int n, double floor)
{
    double diff = 0, norm = 0;
    for (int i = 0; i < n; i++) {
        diff += (want[i] - got[i]) * (want[i] - got[i]);
        norm += want[i] * want[i];
    }
    diff = sqrt(diff);
    norm = sqrt(norm);
    if (!(diff <= 1e-4 * norm + floor))
        for (int i = 0; i < n; i++)
            print_error("%s %s: want %.9g got %.9g\n", model, what, want[i], got[i]);
    assert_true(diff <= 1e-4 * norm + floor);
}

static int64_t site_values(const struct bench *b, enum site s)
{
    int64_t n = b->offset[1];
    return site_is_square(s) ? b->cfg.n_head * n * n : n * site_width(s, &b->cfg);
}

/* Picks a cell; those above the diagonal of a square site have no influence. */
static int64_t pick(struct bench *b, enum site s)
{
    int64_t n = b->offset[1];
    for (;;) {
        int64_t at = (int64_t)rng_below(&b->rng, (uint64_t)site_values(b, s));
        if (!site_is_square(s) || at % n <= at / n % n)
            return at;
    }
}

static void check_sites(
    struct bench *b, const char *model, const struct trace *g, double *scales, double floor)
{
    for (int s = 0; s < SITE_COUNT; s++) {
        enum site site = (enum site)s;
        bool is_scale = site == SITE_LN1_SCALE || site == SITE_LN2_SCALE || site == SITE_LNF_SCALE;
        if (is_scale && (b->cfg.ln == LN_LINEAR || scales))
            continue;
        for (int l = 0; l < (site_info(site)->per_layer ? b->cfg.n_layer : 1); l++) {
            double want[SAMPLES], got[SAMPLES];
            char name[64];
            const float *x =
                site_is_square(site) ? trace_square(g, site, l, 0) : trace_site(g, site, l, 0);
            site_full_name(name, sizeof name, site, l);
            assert_non_null(x);
            for (int i = 0; i < SAMPLES; i++) {
                int64_t at = pick(b, site);
                want[i] =
                    slope(b, (struct ref64_nudge){.site = site, .layer = l, .index = at}, scales);
                got[i] = (double)x[at];
            }
            compare(model, name, want, got, SAMPLES, floor);
        }
    }
}

static void check_params(
    struct bench *b, const char *model, const struct param_arrays *g, double *scales, double floor)
{
    for (int i = 0; i < param_slots(&b->cfg); i++) {
        struct param_slot s;
        double want[SAMPLES], got[SAMPLES];
        param_slot(&s, &b->cfg, i);
        for (int k = 0; k < SAMPLES; k++) {
            int64_t at = (int64_t)rng_below(&b->rng, (uint64_t)s.count);
            /* Half of the embedding samples in rows that the input reads. */
            if (!strcmp(s.name, "wte.weight") && k % 2)
                at = b->tokens[k % b->offset[1]] * b->cfg.d_model + at % b->cfg.d_model;
            if (!strcmp(s.name, "wpe.weight") && k % 2)
                at %= b->offset[1] * b->cfg.d_model;
            want[k] = slope(b, (struct ref64_nudge){.tensor = s.name, .index = at}, scales);
            got[k] = (double)g->flat[s.at + at];
        }
        compare(model, s.name, want, got, SAMPLES, floor);
    }
}

static void check_model(const char *name, bool frozen)
{
    struct bench b;
    struct err e = {0};
    struct trace kept, out;
    struct param_arrays grads;
    struct metric m = {.kind = METRIC_LOSS};
    double value, want;
    open_model(&b, name);
    assert_int_equal(param_arrays_init(&grads, &b.cfg, &b.arena, &e), 0);
    struct backward_opts o = {.params = &grads, .frozen_ln = frozen};
    run_backward(&kept, &out, &value, &b, &m, &o, true, LOGITS_NONE);
    double *scales = frozen
                         ? arena_zalloc(&b.arena,
                               (size_t)((2 * b.cfg.n_layer + 1) * b.offset[1]) * sizeof(double), &e)
                         : NULL;
    struct ref64 r = {.cfg = &b.cfg,
        .weights = b.weights,
        .tokens = b.tokens,
        .n = b.offset[1],
        .scales = scales};
    assert_int_equal(ref64_loss(&want, &r, &e), 0);
    if (fabs(value - want) > 1e-5)
        print_error("%s: loss %.9g, want %.9g\n", name, value, want);
    assert_true(fabs(value - want) < 1e-5);
    /* With two dimensions the gradient through LN is a difference of nearly equal numbers. */
    double floor = b.cfg.d_model > 2 ? 1e-7 : 2e-6;
    check_sites(&b, name, &out, scales, floor);
    check_params(&b, name, &grads, scales, floor);
    trace_release(&kept);
    trace_release(&out);
    close_model(&b);
}

static void differences_shapes(void **state)
{
    (void)state;
    static const char *const names[] = {"small", "prime", "narrow", "least", "untied", "noscale",
        "bylayer", "noscale-bylayer", "eps", "f16", "bf16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_model(names[i], false);
}

static void differences_lnfree(void **state)
{
    (void)state;
    static const char *const names[] = {"lnfree", "fakeln"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_model(names[i], false);
}

static void differences_activations(void **state)
{
    (void)state;
    for (int a = 0; a < ACT_COUNT; a++) {
        char name[64];
        snprintf(name, sizeof name, "act-%s", act_name((enum act)a));
        check_model(name, false);
    }
}

static void differences_frozen(void **state)
{
    (void)state;
    check_model("small", true);
    check_model("prime", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_shapes),
        cmocka_unit_test(differences_lnfree),
        cmocka_unit_test(differences_activations),
        cmocka_unit_test(differences_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
