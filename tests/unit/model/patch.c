/* Patching many cells at once against whole forward passes, on small random models of odd shapes. */
#include "model/patch.h"

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

static const char *const variants[] = {"small", "plain", "prime", "narrow", "least", "deep", "wide",
    "noscale", "bylayer", "eps", "f16", "bf16", "untied", "lnfree"};
static const enum site all_sites[] = {SITE_RESID_PRE, SITE_RESID_MID, SITE_RESID_POST,
    SITE_ATTN_OUT, SITE_MLP_OUT, SITE_Z, SITE_Q, SITE_K, SITE_V, SITE_PATTERN, SITE_MLP_POST};
enum { N_SITES = sizeof all_sites / sizeof *all_sites, MAX_CELLS = 6000 };

static struct pool *two;
static struct err e;

static struct model *open_variant(const char *name)
{
    char path[1024];
    struct model *m = NULL;
    snprintf(path, sizeof path, "%s/%s", getenv("SONDE_TEST_MODELS"), name);
    if (model_open(&m, path, two, &e))
        fail_msg("%s: %s", name, e.msg);
    return m;
}

/* Two prompts of T tokens that agree before `first`. */
struct twins {
    struct model *m;
    struct arena arena;
    struct trace t;
    int32_t tokens[256];
    int64_t offset[3], T;
    const float **source;
    int32_t answers[4];
    struct metric_at at;
    struct patch_run r;
};

static void twins_make(struct twins *w, const char *name, int64_t T, int64_t first)
{
    memset(w, 0, sizeof *w);
    w->m = open_variant(name);
    const struct config *cfg = &w->m->cfg;
    w->T = T < cfg->n_ctx ? T : cfg->n_ctx;
    for (int64_t i = 0; i < 2 * w->T; i++) {
        int64_t t = i % w->T;
        bool other = i >= w->T && t >= first;
        w->tokens[i] = (int32_t)((t * 7919 + 13 + (other ? 5 + t : 0)) % cfg->vocab);
    }
    w->offset[1] = w->T;
    w->offset[2] = 2 * w->T;
    struct plan plan;
    assert_int_equal(plan_init(&plan, cfg, &w->arena, &e), 0);
    for (int i = 0; i < N_SITES; i++) {
        patch_plan_base(&plan, all_sites[i]);
        patch_plan_source(&plan, all_sites[i]);
    }
    struct batch b = {w->tokens, w->offset, 2};
    struct forward_opts o = {.plan = &plan, .pool = two};
    if (forward(&w->t, w->m->params, &b, &o, &e))
        fail_msg("%s: %s", name, e.msg);
    w->source = arena_zalloc(&w->arena, SITE_COUNT * (size_t)cfg->n_layer * sizeof *w->source, &e);
    for (int i = 0; i < N_SITES; i++)
        for (int l = 0; l < cfg->n_layer; l++) {
            enum site s = all_sites[i];
            w->source[(int)s * cfg->n_layer + l] =
                site_is_square(s) ? trace_square(&w->t, s, l, 1) : trace_site(&w->t, s, l, 1);
        }
    for (int i = 0; i < 4; i++)
        w->answers[i] = (int32_t)((11 * i + 1) % cfg->vocab);
    w->at = (struct metric_at){
        .pos = -1, .answer = w->answers, .wrong = w->answers + 2, .n_answer = 2, .n_wrong = 2};
    w->r = (struct patch_run){.p = w->m->params,
        .base = &w->t,
        .source = w->source,
        .first = first,
        .metric = {METRIC_LOGIT_DIFF, &w->at, 1}};
}

static void twins_free(struct twins *w)
{
    trace_release(&w->t);
    arena_release(&w->arena);
    model_release(&w->m);
}

struct sweep {
    struct patch_cell cell[MAX_CELLS];
    double value[MAX_CELLS];
    int64_t n, ready;
};

static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    *out = ((const struct sweep *)arg)->cell[i];
}

static int on_ready(void *arg, int64_t i0, int64_t i1)
{
    struct sweep *s = arg;
    assert_int_equal(i0, s->ready);
    s->ready = i1;
    return 0;
}

static void add(struct sweep *s, struct patch_cell c)
{
    assert_true(s->n < MAX_CELLS);
    s->cell[s->n++] = c;
}

/* Every form of a site, with some positions, heads and units. */
static void add_site(struct sweep *s, const struct config *cfg, enum site site, int64_t T)
{
    const bool is_head = site == SITE_Z || site == SITE_Q || site == SITE_K || site == SITE_V ||
                         site == SITE_PATTERN;
    for (int l = cfg->n_layer - 1; l >= 0; l--) {
        const int units = is_head ? cfg->n_head : site == SITE_MLP_POST ? 2 : 1;
        for (int u = 0; u < units; u++)
            for (int64_t pos = -1; pos < T; pos++) {
                struct patch_cell c = {.site = site,
                    .layer = l,
                    .layer_end = l + 1,
                    .head = is_head ? u : -1,
                    .unit = site == SITE_MLP_POST ? (u * 7 + 1) % cfg->d_mlp : -1,
                    .pos = pos,
                    .key = -1};
                if (s->n % 3 == 0 || cfg->n_layer * units * T < 60)
                    add(s, c);
                if (site == SITE_PATTERN && s->n % 2) {
                    c.key = (pos + u) % T;
                    add(s, c);
                }
                if ((site == SITE_ATTN_OUT || site == SITE_MLP_OUT) && s->n % 2) {
                    c.layer_end = l + 2 < cfg->n_layer ? l + 2 : cfg->n_layer;
                    add(s, c);
                }
            }
    }
}

static struct patch_work run(struct sweep *s, const struct twins *w, size_t max_bytes)
{
    struct patch_work work = {0};
    struct patch_opts o = {.pool = two,
        .max_bytes = max_bytes,
        .cell = cell_at,
        .ready = on_ready,
        .arg = s,
        .work = &work};
    s->ready = 0;
    if (patch_sweep(s->value, s->n, &w->r, &o, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(s->ready, s->n);
    return work;
}

/* Some cells (a prime step reaches every kind) by whole passes. */
static void compare(const struct sweep *s, const struct twins *w, const char *what, int64_t step)
{
    double scale = 0;
    for (int64_t i = 0; i < s->n; i++)
        scale = fmax(scale, fabs(s->value[i]));
    for (int64_t i = 0; i < s->n; i += step) {
        double full;
        if (patch_full(&full, &s->cell[i], &w->r, NULL, two, &e))
            fail_msg("%s", e.msg);
        if (!(fabs(full - s->value[i]) <= 2e-5 * (1 + scale)))
            fail_msg("%s, %s: site %s layer %d..%d head %d unit %d pos %lld key %lld: %.8g, by a "
                     "whole pass %.8g",
                w->m->name, what, site_info(s->cell[i].site)->name, s->cell[i].layer,
                s->cell[i].layer_end, s->cell[i].head, s->cell[i].unit, (long long)s->cell[i].pos,
                (long long)s->cell[i].key, s->value[i], full);
    }
}

static void equals_whole_passes(void **state)
{
    (void)state;
    static struct sweep s;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        struct twins w;
        twins_make(&w, variants[v], 9, 3);
        for (int i = 0; i < N_SITES; i++) {
            s.n = 0;
            add_site(&s, &w.m->cfg, all_sites[i], w.T);
            run(&s, &w, 0);
            compare(&s, &w, "one site", 1 + s.n / 23);
        }
        twins_free(&w);
    }
}

static void every_metric(void **state)
{
    (void)state;
    static struct sweep s;
    struct twins w;
    twins_make(&w, "prime", 8, 1);
    float *logp = arena_array(&w.arena, (size_t)w.m->cfg.vocab, sizeof *logp, &e);
    for (int64_t i = 0; i < w.m->cfg.vocab; i++)
        logp[i] = (float)(i % 5);
    ops_log_softmax(logp, logp, w.m->cfg.vocab);
    w.at.reference_logp = logp;
    for (int k = 0; k < METRIC_COUNT; k++)
        for (int64_t pos = -1; pos < 6; pos += 5) {
            w.r.metric.kind = (enum metric_kind)k;
            w.at.pos = pos;
            s.n = 0;
            for (int i = 0; i < N_SITES; i++)
                add_site(&s, &w.m->cfg, all_sites[i], w.T);
            run(&s, &w, 0);
            compare(&s, &w, metric_name((enum metric_kind)k), 1 + s.n / 31);
        }
    twins_free(&w);
}

static void memory_changes_nothing(void **state)
{
    (void)state;
    static struct sweep s, tight;
    struct twins w;
    twins_make(&w, "small", 9, 2);
    for (int i = 0; i < N_SITES; i++)
        add_site(&s, &w.m->cfg, all_sites[i], w.T);
    tight = s;
    run(&s, &w, 0);
    run(&tight, &w, (size_t)1 << 20);
    for (int64_t i = 0; i < s.n; i++)
        if (fabs(s.value[i] - tight.value[i]) > 1e-6)
            fail_msg("cell %lld is %.9g, and %.9g in waves of few rows", (long long)i, s.value[i],
                tight.value[i]);
    struct patch_opts o = {.pool = two, .max_bytes = 100, .cell = cell_at, .arg = &s};
    assert_int_equal(patch_sweep(s.value, s.n, &w.r, &o, &e), ERR_LIMIT);
    twins_free(&w);
}

static void fewer_differing_positions_cost_less(void **state)
{
    (void)state;
    static struct sweep s;
    double flops[2];
    for (int i = 0; i < 2; i++) {
        struct twins w;
        twins_make(&w, "small", 9, i ? 6 : 1);
        s.n = 0;
        add_site(&s, &w.m->cfg, SITE_RESID_PRE, w.T);
        flops[i] = run(&s, &w, 0).flops;
        double base;
        assert_int_equal(patch_base_value(&base, &w.r, two, &e), 0);
        for (int64_t k = 0; k < s.n; k++)
            if (s.cell[k].pos >= 0 && s.cell[k].pos < w.r.first && s.value[k] != base)
                fail_msg("a position before the first difference changed the metric");
        twins_free(&w);
    }
    assert_true(flops[1] < 0.5 * flops[0]);
}

static int stop_soon(void *arg, int64_t i0, int64_t i1)
{
    struct sweep *s = arg;
    (void)i0;
    s->ready = i1;
    return 1;
}

static void cancelled_cells_stay(void **state)
{
    (void)state;
    static struct sweep s;
    struct twins w;
    twins_make(&w, "small", 9, 1);
    add_site(&s, &w.m->cfg, SITE_Z, w.T);
    for (int64_t i = 0; i < s.n; i++)
        s.value[i] = NAN;
    struct patch_opts o = {
        .pool = two, .max_bytes = 1 << 20, .cell = cell_at, .ready = stop_soon, .arg = &s};
    assert_int_equal(patch_sweep(s.value, s.n, &w.r, &o, &e), ERR_CANCEL);
    assert_true(s.ready > 0);
    for (int64_t i = 0; i < s.ready; i++)
        assert_false(isnan(s.value[i]));
    twins_free(&w);
}

int main(void)
{
    if (pool_create(&two, 2, &e))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_whole_passes),
        cmocka_unit_test(every_metric),
        cmocka_unit_test(memory_changes_nothing),
        cmocka_unit_test(fewer_differing_positions_cost_less),
        cmocka_unit_test(cancelled_cells_stay),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_release(&two);
    return rc;
}
