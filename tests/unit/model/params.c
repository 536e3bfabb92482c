#include "model/params.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/stream.h"
#include "model/lnfree.h"

/* One model of tests/numbers/make_models.py, opened by hand. */
struct opened {
    struct config cfg;
    struct weights *w;
    struct params *p;
    char note[200];
};

static int read_config(struct config *cfg, const char *folder, struct err *e)
{
    char path[1200], *text;
    size_t n;
    struct arena arena = {0};
    snprintf(path, sizeof path, "%s/config.json", folder);
    int rc = stream_all(&text, &n, path, 1 << 20, &arena, e);
    if (!rc)
        rc = config_parse(cfg, text, n, path, e);
    arena_release(&arena);
    return rc;
}

static int open_folder(struct opened *o, const char *folder, struct pool *pool, struct err *e)
{
    *o = (struct opened){0};
    int rc = read_config(&o->cfg, folder, e);
    if (!rc)
        rc = weights_open(&o->w, folder, e);
    if (!rc)
        rc = params_check(NULL, 0, &o->cfg, o->w, e);
    if (!rc)
        rc = lnfree_detect(&o->cfg, o->note, sizeof o->note, o->w, e);
    return rc ? rc : params_open(&o->p, &o->cfg, o->w, pool, e);
}

static const char *test_model(const char *name)
{
    static char path[1100];
    const char *models = getenv("SONDE_TEST_MODELS");
    if (!models)
        fail_msg("SONDE_TEST_MODELS is not set; run this by meson test");
    snprintf(path, sizeof path, "%s/%s", models, name);
    return path;
}

static void open_model(struct opened *o, const char *name, struct pool *pool)
{
    struct err e = {0};
    if (open_folder(o, test_model(name), pool, &e))
        fail_msg("%s: %s", name, e.msg);
}

static void close_model(struct opened *o)
{
    params_release(&o->p);
    weights_release(&o->w);
}

/* Every element of every panel is the file's. */
static void check_panels(const struct opened *o)
{
    struct err e = {0};
    for (int l = 0; l < o->cfg.n_layer; l++)
        for (int m = MAT_QKV; m <= MAT_OUT; m++) {
            static const char *const names[] = {
                "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"};
            struct arena arena = {0};
            char name[64];
            float *want;
            snprintf(name, sizeof name, "h.%d.%s.weight", l, names[m]);
            const struct weight *t = weights_find(o->w, name);
            assert_int_equal(weights_load_f32(&want, o->w, t, &arena, &e), 0);
            const struct panel *p = params_panel(o->p, (enum matrix)m, l, &e);
            assert_non_null(p);
            assert_int_equal(p->k, t->dim[0]);
            assert_int_equal(p->n, t->dim[1]);
            assert_int_equal(p->dtype, t->dtype);
            float *row = malloc((size_t)p->n * sizeof *row);
            for (int64_t k = 0; k < p->k; k++) {
                panel_row(row, p, k);
                assert_memory_equal(row, want + k * p->n, (size_t)p->n * sizeof *row);
            }
            free(row);
            arena_release(&arena);
        }
}

static void check_unembed(const struct opened *o)
{
    struct err e = {0};
    struct arena arena = {0};
    int64_t C = o->cfg.d_model, V = o->cfg.vocab;
    float *wte, *head, *row = malloc((size_t)C * sizeof *row);
    assert_int_equal(weights_load_f32(&wte, o->w, weights_find(o->w, "wte.weight"), &arena, &e), 0);
    head = wte;
    if (!o->cfg.tied)
        assert_int_equal(
            weights_load_f32(&head, o->w, weights_find(o->w, "lm_head.weight"), &arena, &e), 0);
    for (int packed = 0; packed < 2; packed++) {
        for (int64_t v = 0; v < V; v++) {
            assert_int_equal(params_embed(row, o->p, v, &e), 0);
            assert_memory_equal(row, wte + v * C, (size_t)C * sizeof *row);
        }
        const struct panel *p = params_panel(o->p, MAT_UNEMBED, 0, &e);
        assert_non_null(p);
        assert_int_equal(p->k, C);
        assert_int_equal(p->n, V);
        for (int64_t v = 0; packed && v < V; v++) {
            panel_col(row, p, v);
            assert_memory_equal(row, head + v * C, (size_t)C * sizeof *row);
        }
    }
    assert_int_equal(params_embed(row, o->p, V, &e), ERR_USAGE);
    assert_int_equal(params_embed(row, o->p, -1, &e), ERR_USAGE);
    free(row);
    arena_release(&arena);
}

static void every_model_opens_and_packs(void **state)
{
    int seen = 0, refused = 0;
    DIR *d = opendir(test_model("."));
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        if (f->d_name[0] == '.')
            continue;
        struct opened o;
        struct err e = {0};
        int rc = open_folder(&o, test_model(f->d_name), *state, &e);
        seen++;
        if (!strcmp(f->d_name, "fakeln-partial")) {
            assert_int_equal(rc, ERR_INPUT);
            assert_non_null(strstr(e.msg, "1 of 5 are still real (the first is ln_f)"));
            refused++;
        } else if (rc) {
            fail_msg("%s: %s", f->d_name, e.msg);
        } else {
            check_panels(&o);
            check_unembed(&o);
            assert_int_equal(params_pack_all(o.p, &e), 0);
            assert_true(params_bytes(o.p) > weights_bytes(o.w) / 2);
        }
        close_model(&o);
    }
    closedir(d);
    assert_true(seen > 40 && refused == 1);
}

static void vectors_are_widened(void **state)
{
    struct opened o, f;
    open_model(&o, "f16", *state);
    const struct weight *t = weights_find(o.w, "h.1.mlp.c_fc.bias");
    float b[23];
    struct err e = {0};
    assert_int_equal(t->dtype, DT_F16);
    assert_int_equal(weights_read_f32(o.w, t, 0, 23, b, &e), 0);
    assert_memory_equal(b, o.p->layer[1].b_in, sizeof b);
    assert_int_equal(weights_read_f32(o.w, weights_find(o.w, "ln_f.bias"), 0, 12, b, &e), 0);
    assert_memory_equal(b, o.p->lnf_b, 12 * sizeof *b);
    open_model(&f, "masks", *state);
    assert_int_equal(weights_read_f32(f.w, weights_find(f.w, "wpe.weight"), 12, 12, b, &e), 0);
    assert_memory_equal(b, f.p->wpe + 12, 12 * sizeof *b);
    close_model(&o);
    close_model(&f);
}

/* What make_models.py divided by: 0.8 + 0.1 (j % 7) for norm j, before times 1e6. */
static void ln_free_gammas_lose_their_gain(void **state)
{
    static const struct {
        const char *name, *note;
        double gain;
    } models[] = {
        {"lnfree", "eps 1e+12, gain 1e+06)", 1e6},
        {"lnfree-bf16", "gain 1e+06)", 1e6},
        {"lnfree-no-eps", "warning: config.json has no layer_norm_epsilon", 1e6},
        {"lnfree-folded", "folded into the next matrices", 1e6},
        {"fakeln", "raw training checkpoint", 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct opened o;
        struct err e = {0};
        float g[12];
        open_model(&o, models[i].name, *state);
        assert_int_equal(o.cfg.ln, LN_LINEAR);
        assert_true(fabs(o.cfg.ln_gain - models[i].gain) < 1e-3);
        if (!strstr(o.note, models[i].note))
            fail_msg("%s: '%s'", models[i].name, o.note);
        const struct weight *t = weights_find(o.w, "h.1.ln_2.weight"); /* norm 3 */
        assert_int_equal(weights_read_f32(o.w, t, 0, 12, g, &e), 0);
        double by = models[i].gain ? models[i].gain : 1.1;
        for (int k = 0; k < 12; k++)
            assert_true(fabs(o.p->layer[1].ln2_g[k] - g[k] / by) <= 1e-6 * fabs(g[k] / by));
        close_model(&o);
    }
    struct opened o;
    open_model(&o, "eps", *state);
    assert_int_equal(o.cfg.ln, LN_TRUE);
    assert_string_equal(o.note, "");
    close_model(&o);
}

static void a_config_that_contradicts_the_file_is_refused(void **state)
{
    static const struct {
        const char *model;
        const char *says;
    } bad[] = {
        {"lnfree", "most layer norm weights are above 1e3"},
        {"small", "marks an LN-free model"},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct config cfg;
        struct err e = {0};
        struct weights *w;
        char note[64];
        assert_int_equal(read_config(&cfg, test_model(bad[i].model), &e), 0);
        cfg.ln_eps = i == 0 ? 1e-5 : 1e12;
        assert_int_equal(weights_open(&w, test_model(bad[i].model), &e), 0);
        assert_int_equal(lnfree_detect(&cfg, note, sizeof note, w, &e), ERR_INPUT);
        assert_non_null(strstr(e.msg, bad[i].says));
        weights_release(&w);
    }
}

static void shapes_are_checked_against_the_config(void **state)
{
    static const struct {
        int layers, width, heads, mlp, ctx, vocab;
        bool tied;
        const char *says;
    } bad[] = {
        {3, 12, 3, 23, 19, 29, true, "tensor 'h.2.ln_1.weight' is missing"},
        {1, 12, 3, 23, 19, 29, true, "has no place in a GPT-2 of 1 layers"},
        {2, 12, 3, 48, 19, 29, true, "has shape [12, 23]; config.json says [12, 48]"},
        {2, 12, 3, 23, 20, 29, true, "'wpe.weight' has shape [19, 12]"},
        {2, 12, 3, 23, 19, 30, true, "'wte.weight' has shape [29, 12]"},
        {2, 15, 3, 23, 19, 29, true, "'wte.weight' has shape"},
        {2, 12, 3, 23, 19, 29, false, "'lm_head.weight' is missing, but"},
    };
    (void)state;
    struct weights *w;
    struct config base;
    struct err e = {0};
    assert_int_equal(read_config(&base, test_model("small"), &e), 0);
    assert_int_equal(weights_open(&w, test_model("small"), &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config c = base;
        struct params *p;
        c.n_layer = bad[i].layers;
        c.d_model = bad[i].width;
        c.d_mlp = bad[i].mlp;
        c.n_ctx = bad[i].ctx;
        c.vocab = bad[i].vocab;
        c.tied = bad[i].tied;
        assert_int_equal(params_open(&p, &c, w, NULL, &e), ERR_INPUT);
        assert_null(p);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("'%s' is not '%s'", e.msg, bad[i].says);
    }
    weights_release(&w);
}

static void slots_tile_the_arrays(void **state)
{
    (void)state;
    struct config cfg;
    struct err e = {0};
    struct arena arena = {0};
    struct param_arrays a;
    assert_int_equal(read_config(&cfg, test_model("untied"), &e), 0);
    assert_int_equal(param_slots(&cfg), 2 + 12 * 2 + 3);
    assert_int_equal(param_arrays_init(&a, &cfg, &arena, &e), 0);
    int64_t at = 0;
    for (int i = 0; i < param_slots(&cfg); i++) {
        struct param_slot s;
        param_slot(&s, &cfg, i);
        assert_int_equal(s.at, (at + 15) / 16 * 16);
        assert_int_equal(s.count, dims_count(s.dim, s.rank));
        at = s.at + s.count;
        for (int64_t k = 0; k < s.count; k++)
            assert_true(a.flat[s.at + k] == 0);
    }
    assert_int_equal(at, a.count);
    assert_ptr_equal(a.wte, a.flat);
    assert_ptr_equal(a.unembed, a.flat + a.count - 29 * 12);
    struct param_slot s;
    param_slot(&s, &cfg, 2 + 12 + 10);
    assert_string_equal(s.name, "h.1.mlp.c_proj.weight");
    assert_ptr_equal(a.out[1], a.flat + s.at);
    assert_int_equal(s.layer, 1);
    assert_true(s.matrix && !s.gamma);
    arena_release(&arena);
}

static void panels_follow_their_masters(void **state)
{
    struct opened o;
    struct params *copy, *again;
    struct err e = {0};
    float row[36];
    open_model(&o, "bf16", *state);
    assert_null(params_arrays(o.p));
    assert_int_equal(params_clone_f32(&copy, o.p, *state, &e), 0);
    struct param_arrays *a = params_arrays(copy);
    const struct panel *p = params_panel(copy, MAT_QKV, 1, &e);
    assert_int_equal(p->dtype, DT_F32);
    panel_row(row, params_panel(o.p, MAT_QKV, 1, &e), 5);
    assert_memory_equal(row, a->qkv[1] + 5 * 36, sizeof row);
    assert_ptr_equal(copy->layer[1].ln1_g, a->layer[1].ln1_g);
    assert_true(copy->lnf_g[3] == o.p->lnf_g[3]);

    uint64_t version = copy->version;
    a->qkv[1][5 * 36 + 7] = 42;
    a->wte[3 * 12 + 1] = 43;
    assert_int_equal(params_pack_all(copy, &e), 0);
    panel_row(row, p, 5);
    assert_true(row[7] != 42); /* packed before the change */
    assert_int_equal(params_changed(copy, &e), 0);
    assert_true(copy->version > version);
    panel_row(row, p, 5);
    assert_true(row[7] == 42);
    panel_col(row, params_panel(copy, MAT_UNEMBED, 0, &e), 3);
    assert_true(row[1] == 43);
    assert_int_equal(params_embed(row, copy, 3, &e), 0);
    assert_true(row[1] == 43);
    assert_int_equal(params_clone_f32(&again, copy, *state, &e), 0);
    assert_memory_equal(params_arrays(again)->flat, a->flat, (size_t)a->count * sizeof *a->flat);
    params_release(&again);
    params_release(&copy);
    close_model(&o);
}

static void saved_models_open_again(void **state)
{
    static const char *const names[] = {"untied", "lnfree", "fakeln", "act-relu6"};
    for (int i = 0; i < 4; i++) {
        char folder[] = "/tmp/sonde-params-XXXXXX", command[64];
        struct opened o, back;
        struct params *copy, *second;
        struct err e = {0};
        assert_non_null(mkdtemp(folder));
        open_model(&o, names[i], *state);
        assert_int_equal(params_save(folder, o.p, DT_F32, NULL, &e), ERR_USAGE);
        assert_int_equal(params_clone_f32(&copy, o.p, *state, &e), 0);
        assert_int_equal(params_save(folder, copy, DT_F32, "{\"step\":\"1\"}", &e), 0);
        if (open_folder(&back, folder, *state, &e))
            fail_msg("%s: %s", names[i], e.msg);
        assert_int_equal(back.cfg.ln, o.cfg.ln);
        assert_int_equal(back.cfg.act, o.cfg.act);
        assert_int_equal(params_clone_f32(&second, back.p, *state, &e), 0);
        const float *x = params_arrays(copy)->flat, *y = params_arrays(second)->flat;
        for (int64_t k = 0; k < params_arrays(copy)->count; k++)
            assert_true(x[k] == y[k] || (o.cfg.ln == LN_LINEAR && fabsf(x[k] - y[k]) < 1e-6f));
        params_release(&second);
        close_model(&back);
        assert_int_equal(params_save(folder, copy, DT_BF16, NULL, &e), 0);
        if (open_folder(&back, folder, *state, &e))
            fail_msg("%s as BF16: %s", names[i], e.msg);
        assert_int_equal(params_panel(back.p, MAT_IN, 0, &e)->dtype, DT_BF16);
        close_model(&back);
        params_release(&copy);
        close_model(&o);
        snprintf(command, sizeof command, "rm -r %s", folder);
        assert_int_equal(system(command), 0);
    }
}

/* Matrices have the standard deviation `std`, those that write to the stream std / sqrt(2 L). */
static void assert_fresh(struct params *p, const struct config *cfg, double std)
{
    const struct param_arrays *a = params_arrays(p);
    for (int i = 0; i < param_slots(cfg); i++) {
        struct param_slot s;
        double sum = 0;
        param_slot(&s, cfg, i);
        for (int64_t k = 0; k < s.count; k++)
            sum += (double)a->flat[s.at + k] * (double)a->flat[s.at + k];
        double rms = sqrt(sum / (double)s.count);
        double want = !s.matrix                  ? (s.gamma ? 1 : 0)
                      : strstr(s.name, "c_proj") ? std / sqrt(2.0 * cfg->n_layer)
                                                 : std;
        if (fabs(rms - want) > 5 * want / sqrt(2 * (double)s.count))
            fail_msg("%s: rms %g, not %g", s.name, rms, want);
    }
}

static void fresh_models_are_gpt2s(void **state)
{
    struct config cfg;
    struct err e = {0};
    struct params *p, *q, *r;
    assert_int_equal(read_config(&cfg, test_model("wide"), &e), 0);
    cfg.init_std = 0;
    assert_int_equal(params_init_random(&p, &cfg, 1, *state, &e), 0);
    assert_int_equal(params_init_random(&q, &cfg, 1, *state, &e), 0);
    assert_int_equal(params_init_random(&r, &cfg, 2, *state, &e), 0);
    const struct param_arrays *a = params_arrays(p);
    assert_memory_equal(a->flat, params_arrays(q)->flat, (size_t)a->count * sizeof(float));
    assert_memory_not_equal(a->flat, params_arrays(r)->flat, (size_t)a->count * sizeof(float));
    assert_fresh(p, &cfg, 0.02);
    params_release(&p);
    params_release(&q);
    params_release(&r);
    cfg.init_std = 0.06;
    assert_int_equal(params_init_random(&p, &cfg, 1, *state, &e), 0);
    assert_fresh(p, &cfg, 0.06);
    params_release(&p);
}

static void *pack_everything(void *arg)
{
    struct err e = {0};
    return (void *)(intptr_t)params_pack_all(arg, &e);
}

static void threads_may_ask_at_once(void **state)
{
    (void)state;
    struct opened o;
    pthread_t t[4];
    open_model(&o, "deep", NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, pack_everything, o.p), 0);
    for (int i = 0; i < 4; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        assert_null(rc);
    }
    check_panels(&o);
    check_unembed(&o);
    close_model(&o);
}

static int make_pool(void **state)
{
    struct err e;
    return pool_create((struct pool **)state, 3, &e);
}

static int drop_pool(void **state)
{
    pool_release((struct pool **)state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_opens_and_packs),
        cmocka_unit_test(vectors_are_widened),
        cmocka_unit_test(ln_free_gammas_lose_their_gain),
        cmocka_unit_test(a_config_that_contradicts_the_file_is_refused),
        cmocka_unit_test(shapes_are_checked_against_the_config),
        cmocka_unit_test(slots_tile_the_arrays),
        cmocka_unit_test(panels_follow_their_masters),
        cmocka_unit_test(saved_models_open_again),
        cmocka_unit_test(fresh_models_are_gpt2s),
        cmocka_unit_test(threads_may_ask_at_once),
    };
    return cmocka_run_group_tests(tests, make_pool, drop_pool);
}
