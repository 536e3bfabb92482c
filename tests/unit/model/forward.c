/* Forward passes over small random models of odd shapes: against the fp64 referee, and bit for bit
 * against themselves under other batching, other plans and other numbers of threads. */
#include "model/forward.h"

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
#include "model/model.h"
#include "model/ref64.h"

static const char *const variants[] = {"small", "plain", "prime", "narrow", "least", "deep", "wide",
    "noscale", "bylayer", "eps", "f16", "bf16", "untied"};

static struct pool *one, *two;
static struct err e;

static struct model *open_variant(const char *name)
{
    char path[1024];
    struct model *m = NULL;
    snprintf(path, sizeof path, "%s/%s", getenv("SONDE_TEST_MODELS"), name);
    if (model_open(&m, path, one, &e))
        fail_msg("%s: %s", name, e.msg);
    return m;
}

struct prompts {
    int32_t tokens[512];
    int64_t offset[4];
    struct batch b;
};

/* Three prompts of different length, the longest as long as the context allows. */
static void make_prompts(struct prompts *p, const struct config *cfg)
{
    int64_t longest = cfg->n_ctx < 60 ? cfg->n_ctx : 60, n = 0;
    const int64_t len[3] = {longest / 2 + 1, 1, longest};
    for (int i = 0; i < 3; i++) {
        p->offset[i] = n;
        for (int64_t t = 0; t < len[i]; t++, n++)
            p->tokens[n] = (int32_t)((n * 7919 + 13) % cfg->vocab);
    }
    p->offset[3] = n;
    p->b = (struct batch){p->tokens, p->offset, 3};
}

static struct plan plan_of(struct arena *a, const struct config *cfg, bool everything)
{
    struct plan plan;
    assert_int_equal(plan_init(&plan, cfg, a, &e), 0);
    plan.logits = LOGITS_ALL;
    for (int s = 0; s < SITE_COUNT && everything; s++)
        plan_keep(&plan, (enum site)s, -1);
    return plan;
}

static void run(
    struct trace *t, const struct model *m, const struct batch *b, const struct forward_opts *o)
{
    if (forward(t, m->params, b, o, &e))
        fail_msg("%s: %s", m->name, e.msg);
}

static void logits_match_the_referee(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct model *m = open_variant(variants[i]);
        struct prompts p;
        struct trace t;
        make_prompts(&p, &m->cfg);
        struct arena a = {0};
        struct plan plan = plan_of(&a, &m->cfg, false);
        run(&t, m, &p.b, &(struct forward_opts){.plan = &plan, .pool = two});
        int64_t n = trace_len(&t, 2), V = m->cfg.vocab;
        double *ref = calloc((size_t)(n * V), sizeof *ref), worst = 0;
        struct ref64 r = {
            .cfg = &m->cfg, .weights = m->weights, .tokens = p.tokens + p.offset[2], .n = n};
        assert_int_equal(ref64_logits(ref, &r, &e), 0);
        for (int64_t k = 0; k < n * V; k++)
            worst = fmax(worst, fabs(ref[k] - trace_logits(&t, 2, 0)[k]));
        if (!(worst < 5e-5))
            fail_msg("%s: logits are off by %g", variants[i], worst);
        free(ref);
        trace_release(&t);
        arena_release(&a);
        model_release(&m);
    }
}

static void same_bits(const char *name, const char *what, const float *x, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(x + i, y + i, sizeof *x))
            fail_msg("%s: %s differs at %lld: %.9g and %.9g", name, what, (long long)i,
                (double)x[i], (double)y[i]);
}

static void same_sites(
    const char *name, const struct trace *a, int ia, const struct trace *b, int ib)
{
    const struct config *cfg = a->cfg;
    int64_t n = trace_len(a, ia);
    for (int s = 0; s < SITE_COUNT; s++)
        for (int l = 0; l < (site_info((enum site)s)->per_layer ? cfg->n_layer : 1); l++) {
            char full[64];
            bool sq = site_is_square((enum site)s);
            site_full_name(full, sizeof full, (enum site)s, l);
            same_bits(name, full,
                sq ? trace_square(a, (enum site)s, l, ia) : trace_site(a, (enum site)s, l, ia),
                sq ? trace_square(b, (enum site)s, l, ib) : trace_site(b, (enum site)s, l, ib),
                n * site_width((enum site)s, cfg) * (sq ? n : 1));
        }
    same_bits(name, "logits", trace_logits(a, ia, 0), trace_logits(b, ib, 0), n * cfg->vocab);
}

static void batches_and_threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct model *m = open_variant(variants[i]);
        struct prompts p;
        struct trace whole, other;
        struct arena a = {0};
        make_prompts(&p, &m->cfg);
        struct plan plan = plan_of(&a, &m->cfg, true), bare = plan_of(&a, &m->cfg, false);
        run(&whole, m, &p.b, &(struct forward_opts){.plan = &plan, .pool = two});
        run(&other, m, &p.b, &(struct forward_opts){.plan = &plan, .pool = one});
        for (int k = 0; k < 3; k++)
            same_sites(variants[i], &whole, k, &other, k);
        trace_release(&other);
        run(&other, m, &p.b, &(struct forward_opts){.plan = &bare, .pool = two});
        same_bits(variants[i], "logits with nothing kept", whole.logits, other.logits,
            whole.rows * m->cfg.vocab);
        trace_release(&other);
        for (int k = 0; k < 3; k++) {
            int64_t offset[2] = {0, trace_len(&whole, k)};
            struct batch single = {p.tokens + p.offset[k], offset, 1};
            run(&other, m, &single, &(struct forward_opts){.plan = &plan, .pool = two});
            same_sites(variants[i], &whole, k, &other, 0);
            trace_release(&other);
        }
        trace_release(&whole);
        arena_release(&a);
        model_release(&m);
    }
}

static void cached_keys_change_no_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct model *m = open_variant(variants[i]);
        struct prompts p;
        struct trace whole, step;
        struct arena a = {0};
        struct kv_cache kv;
        make_prompts(&p, &m->cfg);
        int64_t n = p.offset[3] - p.offset[2], offset[2] = {0, n};
        struct batch b = {p.tokens + p.offset[2], offset, 1};
        struct plan plan = plan_of(&a, &m->cfg, false);
        run(&whole, m, &b, &(struct forward_opts){.plan = &plan, .pool = two});
        assert_int_equal(kv_cache_init(&kv, &m->cfg, n, &a, &e), 0);
        for (int64_t t = 0, chunk = 1; t < n; t += chunk) {
            chunk = t % 3 + 1 < n - t ? t % 3 + 1 : n - t;
            int64_t part[2] = {0, chunk};
            struct batch c = {b.tokens + t, part, 1};
            run(&step, m, &c, &(struct forward_opts){.plan = &plan, .kv = &kv, .pool = two});
            same_bits(variants[i], "logits from cached keys", trace_logits(&whole, 0, t),
                step.logits, chunk * m->cfg.vocab);
            trace_release(&step);
        }
        trace_release(&whole);
        arena_release(&a);
        model_release(&m);
    }
}

static double worst_diff(const float *x, const float *y, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)x[i] - y[i]));
    return worst;
}

/* Runs one edit on the last prompt; returns max |difference| of the logits to the plain run. */
static double edited(const struct model *m, const struct prompts *p, const char *text)
{
    struct arena a = {0};
    struct trace plain, other;
    int64_t n = p->offset[3] - p->offset[2], offset[2] = {0, n};
    struct batch b = {p->tokens + p->offset[2], offset, 1};
    struct plan plan = plan_of(&a, &m->cfg, false);
    struct edit ed;
    struct edits list = {&ed, 1}, ready;
    if (edit_parse(&ed, text, &m->cfg, &a, &e) ||
        edits_resolve(&ready, &list, m->params, &b, &(struct forward_opts){.pool = two}, &a, &e))
        fail_msg("%s: %s", text, e.msg);
    run(&plain, m, &b, &(struct forward_opts){.plan = &plan, .pool = two});
    run(&other, m, &b, &(struct forward_opts){.plan = &plan, .edits = &ready, .pool = two});
    double worst = worst_diff(plain.logits, other.logits, n * m->cfg.vocab);
    trace_release(&plain);
    trace_release(&other);
    arena_release(&a);
    return worst;
}

static void edits_do_what_they_say(void **state)
{
    (void)state;
    static const char *const sites[] = {"embed", "pos_embed", "L1.resid_pre", "L1.attn_in",
        "L1.q_input", "L1.k_input", "L1.v_input", "L1.ln1_scale", "L1.ln1", "L1H0.q", "L1.k",
        "L1H0.v", "L1.attn_scores", "L1.pattern", "L1H0.z", "L1H0.result", "L1_attn",
        "L1.resid_mid", "L1.mlp_in", "L1.ln2_scale", "L1.ln2", "L1N3.pre", "L1N3", "L1_mlp",
        "L1.resid_post", "ln_final_scale", "ln_final"};
    struct model *m = open_variant("prime");
    struct prompts p;
    make_prompts(&p, &m->cfg);
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s=scale:1", sites[i]);
        double none = edited(m, &p, text);
        snprintf(text, sizeof text, "%s=resample:0", sites[i]);
        double self = edited(m, &p, text);
        snprintf(text, sizeof text, "%s=scale:1.5", sites[i]);
        double some = edited(m, &p, text);
        if (!(none < 1e-5) || !(self < 1e-5) || !(some > 1e-6))
            fail_msg("%s: scale:1 changes %g, resample by itself %g, scale:1.5 %g", sites[i], none,
                self, some);
    }
    assert_true(edited(m, &p, "L0.resid_pre@-1=zero") > 1e-4);
    assert_true(edited(m, &p, "L0.pattern@5,0:3=zero") > 1e-7);
    assert_true(edited(m, &p, "L0_mlp=mean") > 1e-6);
    assert_true(edited(m, &p, "L0.resid_post[5]@3:7=add:0.25") > 1e-6);
    assert_true(edited(m, &p, "L1.v=set:0") > 1e-6);
    struct arena a = {0};
    struct edit ed;
    static const char *const bad[] = {"L0_mlp@9223372036854775807=zero", "L0_mlp@-=zero",
        "L0_mlp@3:=zero", "L0_mlp@99999999999999999999:3=zero", "L0_mlp@1,2=zero"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (edit_parse(&ed, bad[i], &m->cfg, &a, &e) != ERR_USAGE)
            fail_msg("%s is taken", bad[i]);
    arena_release(&a);
    model_release(&m);
}

/* Logits of the last prompt under one edit, in one pass and in chunks through the cache. */
static void same_in_chunks(
    const struct model *m, const struct prompts *p, const struct edit *ed, const char *what)
{
    struct arena a = {0};
    struct trace whole, plain, step;
    struct kv_cache kv;
    struct edits list = {ed, 1};
    int64_t n = p->offset[3] - p->offset[2], V = m->cfg.vocab, offset[2] = {0, n};
    struct batch b = {p->tokens + p->offset[2], offset, 1};
    struct plan plan = plan_of(&a, &m->cfg, false);
    run(&whole, m, &b, &(struct forward_opts){.plan = &plan, .edits = &list, .pool = two});
    run(&plain, m, &b, &(struct forward_opts){.plan = &plan, .pool = two});
    assert_true(worst_diff(whole.logits, plain.logits, n * V) > 1e-6);
    assert_int_equal(kv_cache_init(&kv, &m->cfg, n, &a, &e), 0);
    for (int64_t t = 0, chunk = 4; t < n; t += chunk, chunk = 1) {
        int64_t part[2] = {0, chunk};
        struct batch c = {b.tokens + t, part, 1};
        run(&step, m, &c,
            &(struct forward_opts){.plan = &plan, .edits = &list, .kv = &kv, .pool = two});
        same_bits(m->name, what, trace_logits(&whole, 0, t), step.logits, chunk * V);
        trace_release(&step);
    }
    trace_release(&whole);
    trace_release(&plain);
    arena_release(&a);
}

/* An edit with a row for each position means the same rows however the text is cut. */
static void edits_know_their_positions_in_chunks(void **state)
{
    (void)state;
    struct model *m = open_variant("prime");
    struct prompts p;
    make_prompts(&p, &m->cfg);
    int64_t n = p.offset[3] - p.offset[2], C = m->cfg.d_model, H = m->cfg.n_head;
    float *rows = calloc((size_t)(n * C + 2 * H), sizeof *rows);
    for (int64_t i = 0; i < n * C + 2 * H; i++)
        rows[i] = (float)(i * 37 % 101) / 101;
    struct edit ed = {.site = SITE_RESID_PRE, .head = -1, .unit = -1, .op = EDIT_ADD, .data = rows};
    ed.all_pos = ed.all_keys = true;
    ed.n_data = n * C;
    same_in_chunks(m, &p, &ed, "a row a position");
    ed.all_pos = false;
    ed.pos[0] = 2;
    ed.pos[1] = 7;
    ed.n_data = 5 * C;
    same_in_chunks(m, &p, &ed, "rows of a range");
    ed = (struct edit){.site = SITE_PATTERN, .head = -1, .unit = -1, .op = EDIT_SET, .data = rows};
    ed.pos[0] = 2;
    ed.pos[1] = 3;
    ed.key[1] = 2;
    ed.n_data = 2 * H;
    same_in_chunks(m, &p, &ed, "two keys of a query");
    /* The prompt of one token has no query 2: the edit passes over it. */
    struct trace t;
    struct edits list = {&ed, 1};
    run(&t, m, &p.b, &(struct forward_opts){.edits = &list, .pool = two});
    trace_release(&t);
    struct batch one_token = {p.tokens + p.offset[1], (int64_t[]){0, 1}, 1};
    struct forward_opts o = {.edits = &list, .pool = two};
    assert_int_equal(forward(&t, m->params, &one_token, &o, &e), ERR_USAGE);
    o.is_part = true;
    run(&t, m, &one_token, &o);
    trace_release(&t);
    free(rows);
    model_release(&m);
}

static void zero_head_is_its_result_taken_out(void **state)
{
    (void)state;
    struct model *m = open_variant("plain");
    struct prompts p;
    struct trace plain, cut;
    struct arena a = {0};
    make_prompts(&p, &m->cfg);
    struct plan plan = plan_of(&a, &m->cfg, true);
    struct edit ed;
    struct edits list = {&ed, 1};
    assert_int_equal(edit_parse(&ed, "L1H2=zero", &m->cfg, &a, &e), 0);
    run(&plain, m, &p.b, &(struct forward_opts){.plan = &plan, .pool = two});
    run(&cut, m, &p.b, &(struct forward_opts){.plan = &plan, .edits = &list, .pool = two});
    int64_t C = m->cfg.d_model, H = m->cfg.n_head;
    const float *r = trace_site(&plain, SITE_RESULT, 1, 0), *b_o = m->params->layer[1].b_o;
    const float *full = trace_site(&plain, SITE_ATTN_OUT, 1, 0);
    const float *less = trace_site(&cut, SITE_ATTN_OUT, 1, 0);
    for (int64_t t = 0; t < plain.rows; t++)
        for (int64_t c = 0; c < C; c++) {
            double sum = b_o[c];
            for (int64_t h = 0; h < H; h++)
                sum += r[(t * H + h) * C + c];
            assert_true(fabs(sum - full[t * C + c]) < 1e-6);
            assert_true(fabs(full[t * C + c] - less[t * C + c] - r[(t * H + 2) * C + c]) < 1e-6);
        }
    same_bits("plain", "the layer below an edit", trace_site(&plain, SITE_RESID_POST, 0, 0),
        trace_site(&cut, SITE_RESID_POST, 0, 0), plain.rows * C);
    trace_release(&plain);
    trace_release(&cut);
    arena_release(&a);
    model_release(&m);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    struct model *m = open_variant("least");
    struct trace t;
    int32_t tokens[8] = {0, 1, 2, 0, 1, 2, 0, 1};
    int64_t too_long[2] = {0, 8}, empty[2] = {0, 0}, two_rows[2] = {0, 2};
    struct forward_opts o = {.pool = one};
    assert_int_equal(
        forward(&t, m->params, &(struct batch){tokens, too_long, 1}, &o, &e), ERR_USAGE);
    assert_int_equal(forward(&t, m->params, &(struct batch){tokens, empty, 1}, &o, &e), ERR_USAGE);
    tokens[1] = 3;
    assert_int_equal(
        forward(&t, m->params, &(struct batch){tokens, two_rows, 1}, &o, &e), ERR_USAGE);
    tokens[1] = -1;
    assert_int_equal(
        forward(&t, m->params, &(struct batch){tokens, two_rows, 1}, &o, &e), ERR_USAGE);
    tokens[1] = 1;
    o.max_bytes = 100;
    assert_int_equal(
        forward(&t, m->params, &(struct batch){tokens, two_rows, 1}, &o, &e), ERR_LIMIT);
    model_release(&m);
}

/* What a pass takes is what was said before it: never more, and hardly less. */
static void the_estimate_is_what_a_pass_takes(void **state)
{
    (void)state;
    static const char *const edits[] = {NULL, "L0H0=zero", "L1H0.pattern=zero",
        "L0.attn_scores@1=scale:0.5", "L1.q_input=scale:0.5", "L0.attn_in=scale:0.5",
        "L1H0.result=zero", "L0_mlp=zero", "L1.pre[3]=zero", "L1.resid_pre@0=zero",
        "L0.attn_out=zero", "L1.mlp_in=scale:2", "L0H0.k=zero"};
    static const char *const models[] = {"small", "prime"};
    for (size_t k = 0; k < 2; k++) {
        struct model *m = open_variant(models[k]);
        struct prompts p;
        make_prompts(&p, &m->cfg);
        struct rng rng;
        rng_init(&rng, 11, 0);
        for (int round = 0; round < 200; round++) {
            struct arena a = {0};
            struct plan plan;
            struct edit ed;
            struct edits list = {&ed, 1};
            struct trace t;
            const char *text = edits[rng_below(&rng, sizeof edits / sizeof *edits)];
            assert_int_equal(plan_init(&plan, &m->cfg, &a, &e), 0);
            for (uint64_t i = rng_below(&rng, 12); i > 0; i--)
                plan_keep(&plan, (enum site)rng_below(&rng, SITE_COUNT),
                    (int)rng_below(&rng, (uint64_t)m->cfg.n_layer + 1) - 1);
            plan.logits = (enum logits_want)rng_below(&rng, 3);
            if (text && edit_parse(&ed, text, &m->cfg, &a, &e))
                fail_msg("%s", e.msg);
            struct batch b = {p.tokens, p.offset, 1 + (int)rng_below(&rng, 3)};
            struct forward_opts o = {.plan = &plan, .edits = text ? &list : NULL, .pool = two};
            struct estimate est;
            assert_int_equal(forward_estimate(&est, &o, &m->cfg, &b, &e), 0);
            run(&t, m, &b, &o);
            uint64_t slack = 64 * (uint64_t)SITE_COUNT * (uint64_t)m->cfg.n_layer * 6 + 16384;
            if (t.arena.peak > est.keep_bytes || t.arena.peak + slack < est.keep_bytes)
                fail_msg("%s: kept %zu, said %zu", text, t.arena.peak, (size_t)est.keep_bytes);
            if (t.scratch_peak > est.scratch_bytes || t.scratch_peak + slack < est.scratch_bytes)
                fail_msg(
                    "%s: scratch %zu, said %zu", text, t.scratch_peak, (size_t)est.scratch_bytes);
            /* Exactly that much is enough, and what is kept and the scratch share one limit. */
            size_t need = (size_t)(est.keep_bytes + est.scratch_bytes);
            trace_release(&t);
            o.max_bytes = need;
            run(&t, m, &b, &o);
            trace_release(&t);
            o.max_bytes = need - 1;
            assert_int_equal(forward(&t, m->params, &b, &o, &e), ERR_LIMIT);
            arena_release(&a);
        }
        model_release(&m);
    }
}

static int setup(void **state)
{
    (void)state;
    return pool_create(&one, 1, &e) || pool_create(&two, 2, &e);
}

static int teardown(void **state)
{
    (void)state;
    pool_release(&one);
    pool_release(&two);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_match_the_referee),
        cmocka_unit_test(batches_and_threads_change_no_bit),
        cmocka_unit_test(cached_keys_change_no_bit),
        cmocka_unit_test(edits_do_what_they_say),
        cmocka_unit_test(edits_know_their_positions_in_chunks),
        cmocka_unit_test(zero_head_is_its_result_taken_out),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(the_estimate_is_what_a_pass_takes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
