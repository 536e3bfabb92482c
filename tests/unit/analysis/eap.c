#include "analysis/eap_group.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"

/* Scores from suffixes of prompts against scores from whole passes: every method, ablation and metric, on
 * pairs that share nothing, a beginning, or all but a word, and on pairs of unequal length. */

enum { T = 9, V = 29, PAIRS = 4 };

static const int first_of[PAIRS] = {0, 1, 5, 9};

struct world {
    struct model model;
    struct pool *pool;
    struct params *params;
    struct graph graph;
    struct arena arena;
    struct ctx ctx;
    struct input inputs[2 * PAIRS];
    struct pair pairs[PAIRS];
    int32_t tokens[2 * PAIRS][T + 2];
};

static void shake(float *x, int64_t n, struct rng *r)
{
    for (int64_t i = 0; i < n; i++)
        x[i] += 0.3f * ((float)rng_below(r, 2001) / 1000 - 1);
}

static void world_make(struct world *w, int heads, int d_head)
{
    struct err e = {0};
    struct rng r;
    const int C = heads * d_head;
    rng_init(&r, 7, 0);
    memset(w, 0, sizeof *w);
    w->model.cfg = (struct config){.n_layer = 3,
        .n_head = heads,
        .d_model = C,
        .d_head = d_head,
        .d_mlp = 2 * C + 3,
        .n_ctx = 2 * T,
        .vocab = V,
        .ln_eps = 1e-5,
        .ln_gain = 1,
        .init_std = 0.3,
        .scale_attn_weights = true,
        .tied = true};
    assert_int_equal(pool_create(&w->pool, 2, &e), 0);
    assert_int_equal(params_init_random(&w->params, &w->model.cfg, 3, w->pool, &e), 0);
    for (int l = 0; l < 3; l++) {
        struct layer_vectors *v = &w->params->layer[l];
        shake(v->ln1_g, C, &r), shake(v->ln1_b, C, &r), shake(v->b_qkv, 3 * C, &r);
        shake(v->ln2_g, C, &r), shake(v->ln2_b, C, &r), shake(v->b_o, C, &r);
        shake(v->b_in, 2 * C + 3, &r), shake(v->b_out, C, &r);
    }
    assert_int_equal(graph_init(&w->graph, &w->model.cfg, &w->arena, &e), 0);
    for (int i = 0; i < 2 * PAIRS; i++) {
        for (int t = 0; t < T + 2; t++)
            w->tokens[i][t] =
                i % 2 && t < first_of[i / 2] ? w->tokens[i - 1][t] : (int32_t)rng_below(&r, V);
        w->inputs[i] = (struct input){.tokens = w->tokens[i], .n = T, .index = i};
    }
    for (int i = 0; i < PAIRS; i++)
        w->pairs[i] = (struct pair){.clean = &w->inputs[2 * i],
            .corrupt = &w->inputs[2 * i + 1],
            .answer = w->tokens[2 * i] + T,
            .wrong = w->tokens[2 * i + 1] + T,
            .n_answer = 2,
            .n_wrong = 1,
            .where = "test"};
    w->ctx = (struct ctx){.model = &w->model,
        .params = w->params,
        .pool = w->pool,
        .arena = &w->arena,
        .pairs = w->pairs,
        .inputs = w->inputs,
        .n_inputs = 2 * PAIRS};
}

static void world_free(struct world *w)
{
    arena_release(&w->arena);
    params_release(&w->params);
    pool_release(&w->pool);
}

/* Both ways for each pair; the suffixes of all pairs ride together. */
static void compare(struct world *w, const struct eap *x, int64_t pos)
{
    struct err e = {0};
    const int64_t cells = w->graph.writers * w->graph.readers;
    struct arena_mark mark = arena_mark(&w->arena);
    struct eap_item fast[PAIRS], whole[PAIRS];
    float *mean = arena_array(&w->arena, (size_t)(7 * T * w->graph.width), sizeof *mean, &e);
    for (int64_t i = 0; i < 7 * T * w->graph.width; i++)
        mean[i] = 0.1f * (float)(i % 13) - 0.6f;
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(eap_item_init(&fast[i], &w->pairs[i], x->kind, pos, &w->ctx, &e), 0);
        if (x->ablation == ABLATE_MEAN)
            fast[i].mean = mean;
        whole[i] = fast[i];
        struct group g = {.x = x, .items = &whole[i], .n = 1, .e = &e};
        assert_true(eap_suffix_ok(&g));
        assert_int_equal(group_lay_out(&g), 0);
        assert_int_equal(eap_full_score(&g), 0);
    }
    assert_int_equal(eap_score(x, fast, PAIRS, &e), 0);
    for (int i = 0; i < PAIRS; i++) {
        double most = 0, off = 0;
        for (int64_t k = 0; k < cells; k++) {
            most = fmax(most, fabs(whole[i].score[k]));
            off = fmax(off, fabs(whole[i].score[k] - fast[i].score[k]));
            assert_true(fast[i].score[k] == fast[i].score[k]);
        }
        const double tol = 2e-5 * (most > 0.01 ? most : 0.01);
        if (!(off <= tol) || fabs(whole[i].clean - fast[i].clean) > 2e-5 ||
            fabs(whole[i].corrupt - fast[i].corrupt) > 2e-5)
            fail_msg("method %d ablation %d metric %d pos %d pair %d: off by %g of %g, metrics %g "
                     "%g, %g %g",
                (int)x->method, (int)x->ablation, (int)x->kind, (int)pos, i, off, most,
                fast[i].clean, whole[i].clean, fast[i].corrupt, whole[i].corrupt);
        if (first_of[i] < T && x->kind == METRIC_LOGIT_DIFF && pos < 0)
            assert_true(most > 1e-3);
    }
    arena_rewind(&w->arena, mark);
}

static void suffixes_equal_whole_passes(void **state)
{
    (void)state;
    static const int shapes[][2] = {{3, 5}, {2, 32}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct world w;
        world_make(&w, shapes[s][0], shapes[s][1]);
        for (int method = 0; method < 4; method++)
            for (int ablation = 0; ablation < 3; ablation++) {
                struct eap x = {.ctx = &w.ctx,
                    .graph = &w.graph,
                    .method = (enum eap_method)method,
                    .ablation = (enum ablation)ablation,
                    .kind = METRIC_LOGIT_DIFF,
                    .steps = 3};
                compare(&w, &x, -1);
                compare(&w, &x, 6);
            }
        for (int kind = METRIC_LOGIT; kind < METRIC_COUNT; kind++) {
            struct eap x = {.ctx = &w.ctx,
                .graph = &w.graph,
                .method = EAP_IG_INPUTS,
                .kind = (enum metric_kind)kind,
                .steps = 70}; /* more than a batch of runs */
            compare(&w, &x, -1);
        }
        world_free(&w);
    }
}

static void unequal_lengths_are_aligned(void **state)
{
    (void)state;
    static const int64_t spans[1][4] = {{5, 7, 5, 6}}; /* clean has one word more */
    struct world w;
    world_make(&w, 3, 5);
    for (int i = 0; i < PAIRS; i++) {
        memcpy(w.tokens[2 * i + 1], w.tokens[2 * i], (size_t)first_of[i] * sizeof(int32_t));
        w.inputs[2 * i + 1].n = T - 1;
        w.pairs[i].align = spans;
        w.pairs[i].n_align = 1;
    }
    for (int method = 0; method < 4; method++) {
        struct eap x = {.ctx = &w.ctx,
            .graph = &w.graph,
            .method = (enum eap_method)method,
            .kind = METRIC_LOGPROB,
            .steps = 4};
        compare(&w, &x, -1);
    }
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suffixes_equal_whole_passes),
        cmocka_unit_test(unequal_lengths_are_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
