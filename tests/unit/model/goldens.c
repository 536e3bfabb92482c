/* The engine against transformers: every golden of tests/numbers/make_goldens.py. Logits to 5e-5,
 * sites to 5e-5 of their own scale, gradients to 1e-4 (ratio of L2 norms), greedy tokens equal. The
 * worst of each is printed; one planted fault shows that a wrong number fails. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/backward.h"
#include "model/generate.h"
#include "model/model.h"

#define LOGITS_ATOL 5e-5
#define SITE_RTOL 5e-5
#define GRAD_RTOL 1e-4

struct run {
    const char *name;
    struct model *m;
    struct weights *golden;
    int32_t *tokens;
    int64_t offset[2];
    struct pool *pool;
    struct arena arena;
    struct trace kept, grads;
    struct param_arrays dparam;
    double loss;
    double worst_logit, worst_site, worst_grad;
    int sites, site_grads, tensors;
};

static void need(int rc, const struct run *r, const struct err *e)
{
    if (rc)
        fail_msg("%s: %s", r->name, e->msg);
}

static float *load(const struct run *r, const struct weight *t, struct arena *arena)
{
    float *x;
    struct err e = {0};
    need(weights_load_f32(&x, r->golden, t, arena, &e), r, &e);
    return x;
}

static void load_tokens(int32_t **out, int64_t *n, struct run *r, const char *name)
{
    struct err e = {0};
    const struct weight *t = weights_find(r->golden, name);
    *n = t ? t->dim[0] : 0;
    *out = arena_array(&r->arena, (size_t)*n, sizeof **out, &e);
    if (t)
        need(weights_read(r->golden, t, 0, t->bytes, *out, &e), r, &e);
}

static void open_run(struct run *r, const char *name, struct pool *pool)
{
    char path[1024];
    struct err e = {0};
    *r = (struct run){.name = name, .pool = pool};
    snprintf(
        path, sizeof path, "%s/numbers/goldens/%s.safetensors", getenv("SONDE_TEST_SOURCE"), name);
    need(weights_open_file(&r->golden, path, &e), r, &e);
    snprintf(path, sizeof path, "%s/%s", getenv("SONDE_TEST_MODELS"), name);
    need(model_open(&r->m, path, pool, &e), r, &e);
    load_tokens(&r->tokens, &r->offset[1], r, "tokens");
}

static void close_run(struct run *r)
{
    trace_release(&r->kept);
    trace_release(&r->grads);
    model_release(&r->m);
    weights_release(&r->golden);
    arena_release(&r->arena);
}

static void run_model(struct run *r)
{
    struct err e = {0};
    struct plan plan, want;
    struct batch batch = {r->tokens, r->offset, 1};
    const struct config *cfg = &r->m->cfg;
    need(plan_init(&plan, cfg, &r->arena, &e), r, &e);
    need(plan_init(&want, cfg, &r->arena, &e), r, &e);
    backward_plan(&plan, cfg);
    plan.logits = LOGITS_ALL;
    for (int s = 0; s < SITE_COUNT; s++) {
        plan_keep(&plan, (enum site)s, -1);
        plan_keep(&want, (enum site)s, -1);
    }
    struct forward_opts fo = {.plan = &plan, .pool = r->pool};
    need(forward(&r->kept, r->m->params, &batch, &fo, &e), r, &e);
    need(param_arrays_init(&r->dparam, cfg, &r->arena, &e), r, &e);
    struct metric loss = {.kind = METRIC_LOSS};
    struct backward_opts bo = {.want = &want, .params = &r->dparam, .pool = r->pool};
    need(backward(&r->grads, &r->loss, r->m->params, &r->kept, &loss, &bo, &e), r, &e);
}

static void check_logits(struct run *r)
{
    struct arena arena = {0};
    struct err e = {0};
    double loss;
    int64_t n = r->offset[1] * r->m->cfg.vocab;
    const float *want = load(r, weights_find(r->golden, "logits"), &arena);
    for (int64_t i = 0; i < n; i++)
        r->worst_logit = fmax(r->worst_logit, fabs((double)(r->kept.logits[i] - want[i])));
    need(weights_read(r->golden, weights_find(r->golden, "loss"), 0, 8, &loss, &e), r, &e);
    if (!(r->worst_logit <= LOGITS_ATOL) || !(fabs(loss - r->loss) <= LOGITS_ATOL))
        fail_msg("%s: logits off by %g, loss %.9g instead of %.9g", r->name, r->worst_logit,
            r->loss, loss);
    arena_release(&arena);
}

/* max |difference| / max |reference|; -inf must meet -inf. NaN anywhere is infinitely far. */
static double site_error(const float *got, const float *want, int64_t n)
{
    double diff = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isinf(want[i]) && got[i] == want[i])
            continue;
        double d = fabs((double)got[i] - (double)want[i]);
        diff = d <= diff ? diff : isnan(d) ? INFINITY : d;
        scale = fmax(scale, fabs((double)want[i]));
    }
    return scale > 0 ? diff / scale : diff;
}

static double grad_error(const float *got, const float *want, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += pow((double)got[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    /* A gradient that is zero in exact arithmetic (of a key's bias) is rounding on both sides. */
    return sqrt(diff) / fmax(sqrt(norm), 1e-6);
}

static const float *site_data(const struct trace *t, enum site s, int layer)
{
    return site_is_square(s) ? trace_square(t, s, layer, 0) : trace_site(t, s, layer, 0);
}

static void check_site(struct run *r, const struct weight *t, bool grad)
{
    struct arena arena = {0};
    struct err e = {0};
    enum site s;
    int layer;
    need(site_parse(&s, &layer, t->name + (grad ? 5 : 0), &r->m->cfg, &e), r, &e);
    const float *got = site_data(grad ? &r->grads : &r->kept, s, layer < 0 ? 0 : layer);
    if (!got)
        fail_msg("%s: %s was not kept", r->name, t->name);
    const float *want = load(r, t, &arena);
    int64_t n = dims_count(t->dim, t->rank);
    assert_int_equal(n, site_is_square(s) ? r->m->cfg.n_head * r->offset[1] * r->offset[1]
                                          : r->offset[1] * site_width(s, &r->m->cfg));
    double err = grad ? grad_error(got, want, n) : site_error(got, want, n);
    double *worst = grad ? &r->worst_grad : &r->worst_site;
    if (!(err <= (grad ? GRAD_RTOL : SITE_RTOL)))
        fail_msg("%s: %s off by %g", r->name, t->name, err);
    *worst = fmax(*worst, err);
    *(grad ? &r->site_grads : &r->sites) += 1;
    arena_release(&arena);
}

static void check_param(struct run *r, const struct weight *t)
{
    struct arena arena = {0};
    struct param_slot s = {0};
    const char *name = t->name + strlen("dparam.");
    for (int i = 0; i < param_slots(&r->m->cfg) && strcmp(s.name, name); i++)
        param_slot(&s, &r->m->cfg, i);
    if (strcmp(s.name, name))
        fail_msg("%s: no parameter %s", r->name, name);
    double err = grad_error(r->dparam.flat + s.at, load(r, t, &arena), s.count);
    if (!(err <= GRAD_RTOL))
        fail_msg("%s: %s off by %g", r->name, t->name, err);
    r->worst_grad = fmax(r->worst_grad, err);
    r->tensors++;
    arena_release(&arena);
}

static void check_all(struct run *r)
{
    check_logits(r);
    for (int i = 0; i < weights_count(r->golden); i++) {
        const struct weight *t = weights_at(r->golden, i);
        if (!strncmp(t->name, "grad.", 5))
            check_site(r, t, true);
        else if (!strncmp(t->name, "dparam.", 7))
            check_param(r, t);
        else if (strstr(t->name, "hook_"))
            check_site(r, t, false);
    }
}

static void every_golden(void **state)
{
    char path[1024];
    int models = 0, sites = 0, tensors = 0;
    snprintf(path, sizeof path, "%s/numbers/goldens", getenv("SONDE_TEST_SOURCE"));
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        char name[64];
        int end = 0;
        if (sscanf(f->d_name, "%63[^.].safetensors%n", name, &end) != 1 || !end)
            continue;
        struct run r;
        open_run(&r, name, *state);
        run_model(&r);
        check_all(&r);
        print_message("%-18s logits %.1e  %2d sites %.1e  %2d + %2d gradients %.1e\n", name,
            r.worst_logit, r.sites, r.worst_site, r.site_grads, r.tensors, r.worst_grad);
        models++;
        sites += r.sites + r.site_grads;
        tensors += r.tensors;
        close_run(&r);
    }
    closedir(d);
    /* What make_goldens.py wrote; fewer means that a comparison was skipped. */
    assert_int_equal(models, 42);
    assert_true(sites > 300 && tensors > 900);
}

static void greedy_tokens(void **state)
{
    static const char *const names[] = {"small", "prime", "lnfree", "plain", "deep"};
    for (int i = 0; i < 5; i++) {
        struct run r;
        struct err e = {0};
        int32_t *want, tokens[32];
        int64_t n;
        struct sampling s = {.greedy = true, .temperature = 1, .top_p = 1, .repetition = 1};
        open_run(&r, names[i], *state);
        load_tokens(&want, &n, &r, "greedy");
        assert_true(n >= 10);
        for (int cached = 0; cached < 2; cached++) {
            struct generation g = {.tokens = tokens, .n_prompt = 4};
            memcpy(tokens, r.tokens, 4 * sizeof *tokens);
            need(
                generate(&g, r.m->params, n, -1, &s, NULL, cached, NULL, NULL, *state, &e), &r, &e);
            assert_int_equal(g.n, n + 4);
            assert_memory_equal(tokens + 4, want, (size_t)n * sizeof *want);
        }
        close_run(&r);
    }
}

/* A weight that is off by a thousandth must be seen. */
static void a_planted_fault_fails(void **state)
{
    struct run r;
    struct err e = {0};
    struct params *wrong;
    open_run(&r, "small", *state);
    need(params_clone_f32(&wrong, r.m->params, *state, &e), &r, &e);
    params_arrays(wrong)->o[1][7] += 1e-3f;
    params_release(&r.m->params);
    r.m->params = wrong;
    run_model(&r);
    struct arena arena = {0};
    const struct weight *t = weights_find(r.golden, "logits");
    double err = site_error(r.kept.logits, load(&r, t, &arena), dims_count(t->dim, t->rank));
    assert_true(err > SITE_RTOL);
    t = weights_find(r.golden, "dparam.h.0.mlp.c_fc.weight");
    assert_true(grad_error(r.dparam.in[0], load(&r, t, &arena), 12 * 23) > GRAD_RTOL);
    const float bad[2] = {NAN, 1}, good[2] = {1, 1};
    assert_true(site_error(bad, good, 2) > 1 && !(grad_error(bad, good, 2) <= 1));
    arena_release(&arena);
    close_run(&r);
}

static int make_pool(void **state)
{
    struct err e;
    if (!getenv("SONDE_TEST_SOURCE") || !getenv("SONDE_TEST_MODELS"))
        return -1;
    return pool_create((struct pool **)state, 2, &e);
}

static int drop_pool(void **state)
{
    pool_release((struct pool **)state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden),
        cmocka_unit_test(greedy_tokens),
        cmocka_unit_test(a_planted_fault_fails),
    };
    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
