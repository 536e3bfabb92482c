#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/backward.h"
#include "model/core/rng.h"

/* Gradients of edited runs against differences of the edited forward pass itself: an added constant
 * after the edit is the nudge. fp32, so the tolerance is that of a wrong rule, not of rounding. */

static const struct config config = {.n_layer = 2,
    .n_head = 3,
    .d_model = 12,
    .d_head = 4,
    .d_mlp = 23,
    .n_ctx = 16,
    .vocab = 29,
    .ln_eps = 1e-5,
    .ln_gain = 1,
    .act = ACT_GELU_NEW,
    .scale_attn_weights = true,
    .tied = true};

#define DELTA 4e-3
#define MAX_EDITS 4

struct bench {
    struct params *p;
    struct pool *pool;
    struct arena arena;
    struct rng rng;
    int32_t tokens[16];
    int64_t offset[3];
    struct metric metric;
};

static const int32_t good[2] = {3, 5}, bad[1] = {17};
static const struct metric_at at[2] = {
    {.input = 0, .pos = -1, .answer = good, .n_answer = 2, .wrong = bad, .n_wrong = 1},
    {.input = 1, .pos = 3, .answer = good, .n_answer = 1, .wrong = bad, .n_wrong = 1}};

static int setup(void **state)
{
    struct err e = {0};
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    rng_init(&b->rng, 4, 0);
    assert_int_equal(pool_create(&b->pool, 2, &e), 0);
    assert_int_equal(params_init_random(&b->p, &config, 1, b->pool, &e), 0);
    struct param_arrays *a = params_arrays(b->p);
    for (int64_t i = 0; i < a->count; i++)
        a->flat[i] = a->flat[i] * 8 + (float)(0.1 * rng_normal(&b->rng));
    assert_int_equal(params_changed(b->p, &e), 0);
    for (int i = 0; i < 16; i++)
        b->tokens[i] = (int32_t)rng_below(&b->rng, 29);
    b->offset[1] = 5;
    b->offset[2] = 11;
    b->metric = (struct metric){.kind = METRIC_LOGIT_DIFF, .at = at, .n_at = 2};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    params_release(&b->p);
    pool_release(&b->pool);
    arena_release(&b->arena);
    free(b);
    return 0;
}

static double value_of(struct bench *b, const struct edits *eds)
{
    struct err e = {0};
    struct plan plan;
    struct trace t;
    double v;
    struct batch batch = {b->tokens, b->offset, 2};
    struct arena_mark mark = arena_mark(&b->arena);
    assert_int_equal(plan_init(&plan, &config, &b->arena, &e), 0);
    plan.logits = LOGITS_ALL;
    struct forward_opts fo = {.plan = &plan, .edits = eds, .pool = b->pool};
    assert_int_equal(forward(&t, b->p, &batch, &fo, &e), 0);
    assert_int_equal(metric_value(&v, NULL, &b->metric, &t, &e), 0);
    trace_release(&t);
    arena_rewind(&b->arena, mark);
    return v;
}

/* The index of the cell that an edit names alone in an input of n tokens. */
static int64_t cell(const struct edit *ed, int64_t n)
{
    int64_t w = site_width(ed->site, &config), unit = ed->unit < 0 ? 0 : ed->unit;
    if (site_is_square(ed->site))
        return (ed->head * n + ed->pos[0]) * n + ed->key[0];
    int64_t inner = w;
    const char *axes = site_info(ed->site)->axes;
    if (strchr(axes, 'H'))
        inner = w / config.n_head;
    return ed->pos[0] * w + (strchr(axes, 'H') ? ed->head * inner : 0) + unit;
}

static struct edit nudge_at(struct bench *b, enum site s, int layer)
{
    struct edit ed = {
        .site = s, .layer = layer, .head = -1, .unit = -1, .all_keys = true, .op = EDIT_ADD};
    const char *axes = site_info(s)->axes;
    ed.pos[0] = (int64_t)rng_below(&b->rng, 5);
    ed.pos[1] = ed.pos[0] + 1;
    if (strchr(axes, 'H'))
        ed.head = (int)rng_below(&b->rng, (uint64_t)config.n_head);
    if (site_is_square(s)) {
        ed.all_keys = false;
        ed.key[0] = (int64_t)rng_below(&b->rng, (uint64_t)ed.pos[0] + 1);
        ed.key[1] = ed.key[0] + 1;
        return ed;
    }
    int64_t width = site_width(s, &config) / (strchr(axes, 'H') ? config.n_head : 1);
    ed.unit = (int)rng_below(&b->rng, (uint64_t)width);
    return ed;
}

static const double steps[6] = {-2 * DELTA, -DELTA, -DELTA / 2, DELTA / 2, DELTA, 2 * DELTA};
static int compared, left_out;

/* Fourth-order central difference; *doubt: how far the step of half the size disagrees. */
static double slope(double *doubt, const double v[6])
{
    double wide = (8 * (v[4] - v[1]) - (v[5] - v[0])) / (12 * DELTA);
    double narrow = (8 * (v[3] - v[2]) - (v[4] - v[1])) / (6 * DELTA);
    *doubt = fabs(wide - narrow);
    return narrow;
}

static void close_to(const char *what, const struct edit *ed, const double v[6], double got)
{
    double doubt, want = slope(&doubt, v), bound = 0.02 * fabs(want) + 3e-3;
    compared++;
    /* Where LN meets a nearly constant row no step is small enough. */
    if (doubt > bound) {
        left_out++;
        return;
    }
    if (!(fabs(want - got) < bound)) {
        char name[64];
        site_full_name(name, sizeof name, ed->site, ed->layer);
        print_error("%s with %s op %d: want %g got %g\n", what, name, (int)ed->op, want, got);
    }
    assert_true(fabs(want - got) < bound);
}

static void check_cells(
    struct bench *b, const struct edits *eds, const struct trace *g, enum site s, int layer)
{
    struct edit list[MAX_EDITS + 1];
    memcpy(list, eds->list, (size_t)eds->n * sizeof *list);
    for (int k = 0; k < 4; k++) {
        struct edit *nudge = &list[eds->n];
        *nudge = nudge_at(b, s, layer);
        struct edits more = {list, eds->n + 1};
        double v[6];
        for (int i = 0; i < 6; i++) {
            nudge->value = steps[i];
            v[i] = value_of(b, &more);
        }
        double got = 0;
        /* The nudge acts on both inputs. */
        for (int i = 0; i < 2; i++) {
            const float *x =
                site_is_square(s) ? trace_square(g, s, layer, i) : trace_site(g, s, layer, i);
            got += (double)x[cell(nudge, 5 + i)];
        }
        char name[64];
        site_full_name(name, sizeof name, s, layer);
        close_to(name, &eds->list[0], v, got);
    }
}

static void check_weights(struct bench *b, const struct edits *eds, const struct param_arrays *g)
{
    struct err e = {0};
    struct param_arrays *a = params_arrays(b->p);
    for (int i = 0; i < param_slots(&config); i++) {
        struct param_slot s;
        param_slot(&s, &config, i);
        int64_t k = s.at + (int64_t)rng_below(&b->rng, (uint64_t)s.count);
        float keep = a->flat[k];
        double v[6];
        for (int j = 0; j < 6; j++) {
            a->flat[k] = keep + (float)steps[j];
            assert_int_equal(params_changed(b->p, &e), 0);
            v[j] = value_of(b, eds);
        }
        a->flat[k] = keep;
        assert_int_equal(params_changed(b->p, &e), 0);
        close_to(s.name, &eds->list[0], v, (double)g->flat[k]);
    }
}

static void check_edits(struct bench *b, const struct edits *eds)
{
    struct err e = {0};
    struct plan plan, want;
    struct trace kept, g;
    struct param_arrays grads;
    double value;
    struct batch batch = {b->tokens, b->offset, 2};
    struct arena_mark mark = arena_mark(&b->arena);
    assert_int_equal(param_arrays_init(&grads, &config, &b->arena, &e), 0);
    assert_int_equal(plan_init(&plan, &config, &b->arena, &e), 0);
    assert_int_equal(plan_init(&want, &config, &b->arena, &e), 0);
    backward_plan(&plan, &config);
    for (int s = 0; s < SITE_COUNT; s++)
        plan_keep(&want, (enum site)s, -1);
    struct forward_opts fo = {.plan = &plan, .edits = eds, .pool = b->pool};
    struct backward_opts bo = {.want = &want, .params = &grads, .edits = eds, .pool = b->pool};
    int rc = forward(&kept, b->p, &batch, &fo, &e);
    if (rc)
        print_error("%s\n", e.msg);
    assert_int_equal(rc, 0);
    assert_int_equal(backward(&g, &value, b->p, &kept, &b->metric, &bo, &e), 0);
    double direct = value_of(b, eds);
    assert_true(fabs(value - direct) < 1e-4 * (1 + fabs(direct)));
    const struct edit *ed = &eds->list[0];
    check_cells(b, eds, &g, SITE_EMBED, -1);
    check_cells(b, eds, &g, SITE_RESID_PRE, 1);
    check_cells(b, eds, &g, ed->site, ed->layer < 0 ? 0 : ed->layer);
    check_weights(b, eds, &grads);

    /* Without wanted sites the gradients of the parameters are the same. */
    struct param_arrays again;
    struct trace none;
    assert_int_equal(param_arrays_init(&again, &config, &b->arena, &e), 0);
    bo.want = NULL;
    bo.params = &again;
    assert_int_equal(backward(&none, &value, b->p, &kept, &b->metric, &bo, &e), 0);
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < grads.count; i++) {
        double d = (double)grads.flat[i] - (double)again.flat[i];
        diff += d * d;
        norm += (double)grads.flat[i] * (double)grads.flat[i];
    }
    assert_true(sqrt(diff) <= 1e-5 * sqrt(norm));
    trace_release(&none);
    trace_release(&kept);
    trace_release(&g);
    arena_rewind(&b->arena, mark);
}

static bool is_scale(int s)
{
    return s == SITE_LN1_SCALE || s == SITE_LN2_SCALE || s == SITE_LNF_SCALE;
}

static void every_site(void **state)
{
    static const struct {
        enum edit_op op;
        double value;
    } ops[] = {{EDIT_SCALE, 0.6}, {EDIT_SET, 0.7}, {EDIT_ADD, 0.3}, {EDIT_ZERO, 0}};
    struct bench *b = *state;
    for (int s = 0; s < SITE_COUNT; s++)
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            const char *axes = site_info((enum site)s)->axes;
            struct edit ed = {.site = (enum site)s,
                .layer = site_info((enum site)s)->per_layer ? (int)(k & 1) : -1,
                .head = strchr(axes, 'H') ? 1 : -1,
                .unit = ops[k].op == EDIT_SET && !is_scale(s) ? 1 : -1,
                .pos = {1, 4},
                .all_keys = true,
                .op = ops[k].op,
                .value = ops[k].value};
            if (is_scale(s) && ed.op == EDIT_ZERO)
                continue;
            if (site_is_square((enum site)s) && ed.op == EDIT_SET) {
                ed.all_keys = false;
                ed.key[1] = 1;
            }
            check_edits(b, &(struct edits){&ed, 1});
        }
    assert_true(compared > 2000 && left_out < compared / 20);
}

/* Edits that meet: a layer's shared input and one head's own, a pattern and its scores, one cell
 * twice. */
static void together(void **state)
{
    struct bench *b = *state;
    struct edit one[] = {{.all_keys = true,
                             .site = SITE_ATTN_IN,
                             .layer = 1,
                             .head = 1,
                             .unit = -1,
                             .all_pos = true,
                             .op = EDIT_SCALE,
                             .value = 0.5},
        {.all_keys = true,
            .site = SITE_K_INPUT,
            .layer = 1,
            .head = 1,
            .unit = 4,
            .all_pos = true,
            .op = EDIT_SET,
            .value = 0.2}};
    check_edits(b, &(struct edits){one, 2});
    struct edit two[] = {{.all_keys = true,
                             .site = SITE_PATTERN,
                             .layer = 0,
                             .head = -1,
                             .unit = -1,
                             .pos = {2, 5},
                             .op = EDIT_SCALE,
                             .value = 0.5},
        {.site = SITE_SCORES,
            .layer = 0,
            .head = 2,
            .unit = -1,
            .all_pos = true,
            .key = {0, 1},
            .op = EDIT_SET,
            .value = 0.1}};
    check_edits(b, &(struct edits){two, 2});
    struct edit three[] = {{.all_keys = true,
                               .site = SITE_Z,
                               .layer = 1,
                               .head = 0,
                               .unit = -1,
                               .all_pos = true,
                               .op = EDIT_SCALE,
                               .value = 0.5},
        {.all_keys = true,
            .site = SITE_Z,
            .layer = 1,
            .head = 0,
            .unit = 2,
            .all_pos = true,
            .op = EDIT_SCALE,
            .value = -2},
        {.all_keys = true,
            .site = SITE_RESULT,
            .layer = 1,
            .head = 2,
            .unit = -1,
            .pos = {-2, 0},
            .op = EDIT_ZERO}};
    check_edits(b, &(struct edits){three, 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_site, setup, teardown),
        cmocka_unit_test_setup_teardown(together, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
