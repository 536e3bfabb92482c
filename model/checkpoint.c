#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/train_state.h"

/* A checkpoint is a safetensors file of a few plain arrays; the order of the numbers in `counters`
 * and `settings` is this file's business and guarded by VERSION. */
#define VERSION 1
#define POINT_VALUES 6

/* What a resumed run may not change. */
static int settings(double *out, const struct train *t)
{
    const struct train_opts *o = &t->o;
    const double list[] = {o->schedule.lr, o->schedule.floor, (double)o->schedule.warmup,
        (double)o->schedule.steps, o->beta1, o->beta2, o->eps, o->weight_decay, o->clip,
        (double)o->batch_tokens, (double)o->micro_tokens, (double)o->eval_every,
        (double)o->eval_tokens};
    memcpy(out, list, sizeof list);
    return (int)(sizeof list / sizeof *list);
}

static const char *const setting_names[] = {"lr", "lr-floor", "warmup", "steps", "beta1", "beta2",
    "eps", "weight-decay", "clip", "batch-tokens", "micro-tokens", "eval-every", "eval-tokens"};
#define SETTINGS ((int)(sizeof setting_names / sizeof *setting_names))

enum counter { AT_VERSION, AT_STEP, AT_TOKENS, AT_EPOCH, AT_CURSOR, AT_ADAM, AT_SEED, COUNTERS };

static struct weights_out entry(const char *name, enum dtype dtype, int64_t n, void *data)
{
    return (struct weights_out){name, {.dtype = dtype, .rank = 1, .dim = {n}, .data = data}};
}

int checkpoint_save(const struct train *t, struct err *e)
{
    struct param_arrays *p = params_arrays(t->params);
    int64_t counters[COUNTERS] = {[AT_VERSION] = VERSION,
        [AT_STEP] = t->step,
        [AT_TOKENS] = t->tokens,
        [AT_EPOCH] = t->epoch,
        [AT_CURSOR] = t->cursor,
        [AT_ADAM] = t->adam.steps,
        [AT_SEED] = (int64_t)t->o.seed};
    double set[32];
    int n_set = settings(set, t);
    struct arena arena = {0};
    size_t n = (size_t)t->n_history * POINT_VALUES;
    double *curve = arena_array(&arena, n, sizeof *curve, e);
    int rc = curve ? 0 : ERR_LIMIT;
    for (int64_t i = 0; !rc && i < t->n_history; i++) {
        const struct train_point *h = &t->history[i];
        const double row[POINT_VALUES] = {
            (double)h->step, (double)h->tokens, h->loss, h->lr, h->grad_norm, h->held_out};
        memcpy(curve + i * POINT_VALUES, row, sizeof row);
    }
    double held_out = t->held_out;
    struct weights_out list[] = {
        entry("params", DT_F32, p->count, p->flat),
        entry("adam_m", DT_F32, p->count, t->adam.m),
        entry("adam_v", DT_F32, p->count, t->adam.v),
        entry("counters", DT_I64, COUNTERS, counters),
        entry("settings", DT_F64, n_set, set),
        entry("held_out", DT_F64, 1, &held_out),
        entry("history", DT_F64, (int64_t)n, curve),
        entry("corpus", DT_U8, HASH_HEX - 1, (void *)(uintptr_t)t->corpus->hash),
    };
    if (!rc)
        rc = weights_save(t->path, list, (int)(sizeof list / sizeof *list), NULL, e);
    arena_release(&arena);
    return rc;
}

/* Reads a whole array of exactly n elements. */
static int take(const struct weights *w, const char *name, enum dtype dtype, int64_t n, void *out,
    struct err *e)
{
    const struct weight *t = weights_find(w, name);
    if (!t || t->dtype != dtype || t->bytes != (uint64_t)n * dtype_bytes(dtype))
        return err_set(e, ERR_INPUT,
            "the checkpoint's %s is missing or not of the size that this model needs", name);
    return weights_read(w, t, 0, t->bytes, out, e);
}

static int check_settings(const struct train *t, const double *stored, struct err *e)
{
    double mine[32];
    settings(mine, t);
    for (int i = 0; i < SETTINGS; i++)
        if (mine[i] != stored[i])
            return err_set(e, ERR_USAGE,
                "the checkpoint was made with --%s %g, not %g; resume with the same options",
                setting_names[i], stored[i], mine[i]);
    return 0;
}

static int load_history(struct train *t, const struct weights *w, struct err *e)
{
    const struct weight *h = weights_find(w, "history");
    size_t row = POINT_VALUES * sizeof(double);
    if (!h || h->dtype != DT_F64 || h->bytes % row)
        return err_set(e, ERR_INPUT, "the checkpoint's loss curve is damaged");
    for (uint64_t at = 0; at < h->bytes; at += row) {
        double v[POINT_VALUES];
        if (weights_read(w, h, at, row, v, e))
            return e->code;
        struct train_point p = {(int64_t)v[0], (int64_t)v[1], v[2], v[3], v[4], v[5]};
        if (train_push_history(t, &p, e))
            return e->code;
    }
    return 0;
}

static int load(struct train *t, const struct weights *w, struct err *e)
{
    struct param_arrays *p = params_arrays(t->params);
    int64_t counters[COUNTERS];
    double stored[SETTINGS];
    char hash[HASH_HEX] = "";
    if (take(w, "counters", DT_I64, COUNTERS, counters, e))
        return e->code;
    if (counters[AT_VERSION] != VERSION)
        return err_set(e, ERR_INPUT, "the checkpoint is of version %lld, this program reads %d",
            (long long)counters[AT_VERSION], VERSION);
    if (take(w, "settings", DT_F64, SETTINGS, stored, e) || check_settings(t, stored, e) ||
        take(w, "corpus", DT_U8, HASH_HEX - 1, hash, e))
        return e->code;
    if ((uint64_t)counters[AT_SEED] != t->o.seed || strcmp(hash, t->corpus->hash))
        return err_set(e, ERR_USAGE,
            "the checkpoint was made from another corpus, window, held-out share or seed");
    if (counters[AT_CURSOR] < 0 || counters[AT_CURSOR] > t->corpus->n_train ||
        counters[AT_STEP] < 0 || counters[AT_EPOCH] < 0 || counters[AT_TOKENS] < 0)
        return err_set(e, ERR_INPUT, "the checkpoint's counters are damaged");
    if (take(w, "params", DT_F32, p->count, p->flat, e) ||
        take(w, "adam_m", DT_F32, p->count, t->adam.m, e) ||
        take(w, "adam_v", DT_F32, p->count, t->adam.v, e) ||
        take(w, "held_out", DT_F64, 1, &t->held_out, e) || load_history(t, w, e))
        return e->code;
    t->step = counters[AT_STEP];
    t->tokens = counters[AT_TOKENS];
    t->epoch = counters[AT_EPOCH];
    t->cursor = counters[AT_CURSOR];
    t->adam.steps = counters[AT_ADAM];
    return params_changed(t->params, e);
}

int checkpoint_load(struct train *t, struct err *e)
{
    struct weights *w;
    if (weights_open_file(&w, t->path, e))
        return e->code;
    int rc = load(t, w, e);
    weights_release(&w);
    return rc ? err_prefix(e, "%s", t->path) : 0;
}
