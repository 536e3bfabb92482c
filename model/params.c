#include "model/params.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/rng.h"
#include "model/lnfree.h"
#include "model/param_rows.h"

/* What one worker reads at a time while packing: small against the cache and the matrix. */
#define BLOCK_BYTES ((int64_t)512 << 10)

struct params_store {
    pthread_mutex_t lock; /* packing, and the arena */
    struct arena arena;   /* vectors, masters and panels */
    struct pool *pool;
    const struct weights *w;     /* NULL for a mutable copy */
    struct param_arrays *master; /* NULL for a file */
    struct panel *panel;         /* [4 L + 1] */
    atomic_bool *ready;          /* [4 L + 1]; set after the panel is complete */
    uint64_t full;               /* bytes when every panel is packed */
    atomic_int has_fault;        /* 0: none, 1: it is being written, 2: it can be read */
    char fault[256];
};

/* The first one stays. Any thread. */
static void set_fault(struct params_store *s, const struct weight *t, int64_t bad, int64_t first)
{
    char place[96];
    int none = 0;
    if (!bad || !t || !atomic_compare_exchange_strong(&s->has_fault, &none, 1))
        return;
    weights_place(place, sizeof place, t, first);
    snprintf(s->fault, sizeof s->fault,
        "%.96s holds %lld value%s that %s not finite, the first at %s", t->name, (long long)bad,
        bad > 1 ? "s" : "", bad > 1 ? "are" : "is", place);
    atomic_store(&s->has_fault, 2);
}

const char *params_fault(const struct params *p)
{
    return atomic_load(&p->store->has_fault) == 2 ? p->store->fault : NULL;
}

static int panel_index(const struct config *cfg, enum matrix m, int layer)
{
    return m == MAT_UNEMBED ? 4 * cfg->n_layer : 4 * layer + (int)m;
}

/* The tensor behind a matrix. Only the unembedding is stored as [N, K]. */
static void matrix_slot(struct param_slot *s, const struct config *cfg, enum matrix m, int layer)
{
    if (m == MAT_UNEMBED)
        param_slot(s, cfg, cfg->tied ? 0 : param_slots(cfg) - 1);
    else
        param_slot(s, cfg, param_row_of_matrix(cfg, m, layer));
}

/* ---- packing ---- */

struct pack {
    struct panel *panel;
    const struct weights *w; /* with t: read from the file; else from `dense` */
    const struct weight *t;
    const float *dense;
    bool cols; /* stored as [N, K] */
    int64_t block, rows, row_len;
    unsigned char *scratch; /* one block a worker */
    int64_t bad, first;     /* values that are not finite */
    pthread_mutex_t lock;
    struct err err;
};

static void pack_block(void *arg, int64_t i, int worker)
{
    struct pack *k = arg;
    int64_t r0 = i * k->block, n = k->rows - r0 < k->block ? k->rows - r0 : k->block;
    const void *from = k->dense ? k->dense + r0 * k->row_len : NULL;
    if (k->t) {
        uint64_t row_bytes = (uint64_t)k->row_len * dtype_bytes(k->t->dtype);
        unsigned char *to = k->scratch + (uint64_t)worker * (uint64_t)k->block * row_bytes;
        struct err e;
        if (weights_read(k->w, k->t, (uint64_t)r0 * row_bytes, (uint64_t)n * row_bytes, to, &e)) {
            pthread_mutex_lock(&k->lock);
            k->err = e;
            pthread_mutex_unlock(&k->lock);
            return;
        }
        from = to;
        int64_t first = 0, bad = weights_nonfinite(&first, from, n * k->row_len, k->t->dtype);
        if (bad) {
            pthread_mutex_lock(&k->lock);
            first += r0 * k->row_len;
            k->first = !k->bad || first < k->first ? first : k->first;
            k->bad += bad;
            pthread_mutex_unlock(&k->lock);
        }
    }
    if (k->cols)
        panel_pack_cols(k->panel, from, r0, n);
    else
        panel_pack_rows(k->panel, from, r0, n);
}

/* Fills the panel from the file or the master, rows of the stored tensor in parallel. */
static int pack(struct panel *panel, struct params_store *s, const struct param_slot *slot,
    bool cols, struct err *e)
{
    struct pack k = {.panel = panel, .cols = cols, .rows = slot->dim[0], .row_len = slot->dim[1]};
    int64_t width = panel->width;
    if (s->master) {
        k.dense = s->master->flat + slot->at;
    } else {
        k.w = s->w;
        k.t = weights_find(s->w, slot->name);
    }
    k.block = BLOCK_BYTES / (k.row_len * (int64_t)dtype_bytes(panel->dtype));
    /* Column ranges begin at panels; rows of any number may be packed at the same time. */
    k.block = cols ? (k.block / width + 1) * width : k.block + 1;
    if (k.t) {
        k.scratch = malloc(
            (size_t)(pool_threads(s->pool) * k.block * k.row_len) * dtype_bytes(panel->dtype));
        if (!k.scratch)
            return err_set(e, ERR_LIMIT, "out of memory");
    }
    pthread_mutex_init(&k.lock, NULL);
    pool_for(s->pool, (k.rows + k.block - 1) / k.block, pack_block, &k);
    pthread_mutex_destroy(&k.lock);
    free(k.scratch);
    set_fault(s, k.t, k.bad, k.first);
    return k.err.code ? err_set(e, k.err.code, "%s", k.err.msg) : 0;
}

/* The panel of a matrix without its data, and the tensor behind it. */
static struct panel panel_of(
    struct param_slot *slot, const struct params *p, enum matrix m, int layer)
{
    const struct params_store *s = p->store;
    matrix_slot(slot, &p->cfg, m, layer);
    const struct weight *t = s->w ? weights_find(s->w, slot->name) : NULL;
    bool cols = m == MAT_UNEMBED;
    return (struct panel){.dtype = t ? t->dtype : DT_F32,
        .k = slot->dim[cols],
        .n = slot->dim[!cols],
        .width = panel_width()};
}

/* One piece of address space for every panel: whole huge pages, and none touched before its use. */
static int reserve_panels(struct params *p, struct err *e)
{
    struct param_slot slot;
    size_t total = 0;
    for (int l = 0; l < p->cfg.n_layer; l++)
        for (int m = MAT_QKV; m <= MAT_UNEMBED; m++) {
            if (m == MAT_UNEMBED && l)
                continue;
            struct panel w = panel_of(&slot, p, (enum matrix)m, l);
            total += panel_bytes(w.dtype, w.k, w.n) + 64;
        }
    p->store->full = p->store->arena.used + total;
    return arena_reserve(&p->store->arena, total, e);
}

static int pack_locked(const struct params *p, int index, enum matrix m, int layer, struct err *e)
{
    struct params_store *s = p->store;
    if (atomic_load_explicit(&s->ready[index], memory_order_acquire))
        return 0;
    struct param_slot slot;
    struct panel panel = panel_of(&slot, p, m, layer);
    struct arena_mark mark = arena_mark(&s->arena);
    panel.data = arena_alloc(&s->arena, panel_bytes(panel.dtype, panel.k, panel.n), e);
    if (!panel.data)
        return ERR_LIMIT;
    int rc = pack(&panel, s, &slot, m == MAT_UNEMBED, e);
    if (rc) {
        arena_rewind(&s->arena, mark);
        return rc;
    }
    s->panel[index] = panel;
    atomic_store_explicit(&s->ready[index], true, memory_order_release);
    return 0;
}

const struct panel *params_panel(const struct params *p, enum matrix m, int layer, struct err *e)
{
    struct params_store *s = p->store;
    int index = panel_index(&p->cfg, m, layer);
    if (!atomic_load_explicit(&s->ready[index], memory_order_acquire)) {
        pthread_mutex_lock(&s->lock);
        int rc = pack_locked(p, index, m, layer, e);
        pthread_mutex_unlock(&s->lock);
        if (rc)
            return NULL;
    }
    return &s->panel[index];
}

int params_pack_all(const struct params *p, struct err *e)
{
    for (int l = 0; l < p->cfg.n_layer; l++)
        for (int m = MAT_QKV; m <= MAT_OUT; m++)
            if (!params_panel(p, (enum matrix)m, l, e))
                return e->code;
    return params_panel(p, MAT_UNEMBED, 0, e) ? 0 : e->code;
}

int params_embed(float *out, const struct params *p, int64_t token, struct err *e)
{
    struct params_store *s = p->store;
    int64_t C = p->cfg.d_model;
    if (token < 0 || token >= p->cfg.vocab)
        return err_set(
            e, ERR_USAGE, "token id %" PRId64 " is not in [0, %" PRId64 ")", token, p->cfg.vocab);
    if (s->master) {
        memcpy(out, s->master->wte + token * C, (size_t)C * sizeof *out);
        return 0;
    }
    int unembed = 4 * p->cfg.n_layer;
    if (p->cfg.tied && atomic_load_explicit(&s->ready[unembed], memory_order_acquire)) {
        panel_col(out, &s->panel[unembed], token);
        return 0;
    }
    const struct weight *wte = weights_find(s->w, "wte.weight");
    int rc = weights_read_f32(s->w, wte, token * C, C, out, e);
    int64_t first = 0, bad = rc ? 0 : weights_nonfinite(&first, out, C, DT_F32);
    set_fault(s, wte, bad, token * C + first);
    return rc;
}

uint64_t params_bytes(const struct params *p)
{
    pthread_mutex_lock(&p->store->lock);
    uint64_t n = p->store->arena.used;
    pthread_mutex_unlock(&p->store->lock);
    return n;
}

uint64_t params_full_bytes(const struct params *p)
{
    uint64_t now = params_bytes(p);
    return now > p->store->full ? now : p->store->full;
}

/* ---- life ---- */

static struct params *create(const struct config *cfg, struct pool *pool, struct err *e)
{
    struct params *p = calloc(1, sizeof *p);
    struct params_store *s = calloc(1, sizeof *s);
    size_t panels = 4 * (size_t)cfg->n_layer + 1, layers = (size_t)cfg->n_layer;
    if (!p || !s) {
        err_set(e, ERR_LIMIT, "out of memory");
        free(p);
        free(s);
        return NULL;
    }
    p->cfg = *cfg;
    p->store = s;
    s->pool = pool;
    pthread_mutex_init(&s->lock, NULL);
    s->panel = arena_zalloc(&s->arena, panels * sizeof *s->panel, e);
    s->ready = arena_zalloc(&s->arena, panels * sizeof *s->ready, e);
    p->layer = arena_zalloc(&s->arena, layers * sizeof *p->layer, e);
    if (!s->panel || !s->ready || !p->layer)
        params_release(&p);
    return p;
}

void params_release(struct params **p)
{
    if (!*p)
        return;
    struct params_store *s = (*p)->store;
    pthread_mutex_destroy(&s->lock);
    arena_release(&s->arena);
    free(s);
    free(*p);
    *p = NULL;
}

/* Slots that are kept as F32 vectors (and wpe); NULL for the packed ones. */
static float **vector_home(struct params *p, int i)
{
    const struct param_row *r;
    int layer = param_row_at(&r, &p->cfg, i);
    switch (r->home) {
    case ROW_LAYER_VECTOR:
        return (float **)((char *)&p->layer[layer] + r->offset);
    case ROW_WPE:
        return &p->wpe;
    case ROW_LNF_G:
        return &p->lnf_g;
    case ROW_LNF_B:
        return &p->lnf_b;
    default:
        return NULL;
    }
}

static int load_vectors(struct params *p, const struct weights *w, struct err *e)
{
    for (int i = 0; i < param_slots(&p->cfg); i++) {
        float **home = vector_home(p, i);
        if (!home)
            continue;
        struct param_slot s;
        param_slot(&s, &p->cfg, i);
        const struct weight *t = weights_find(w, s.name);
        int rc = weights_load_f32(home, w, t, &p->store->arena, e);
        int64_t first = 0, bad = rc ? 0 : weights_nonfinite(&first, *home, s.count, DT_F32);
        set_fault(p->store, t, bad, first);
        if (!rc && s.gamma && p->cfg.ln == LN_LINEAR)
            rc = lnfree_scale(*home, &p->cfg, w, s.name, s.count, e);
        if (rc)
            return rc;
    }
    return 0;
}

int params_open(struct params **out, const struct config *cfg, const struct weights *w,
    struct pool *pool, struct err *e)
{
    *out = NULL;
    int rc = params_check(NULL, 0, cfg, w, e);
    if (rc)
        return rc;
    struct params *p = create(cfg, pool, e);
    if (!p)
        return ERR_LIMIT;
    p->store->w = w;
    rc = load_vectors(p, w, e);
    if (!rc)
        rc = reserve_panels(p, e);
    if (rc)
        params_release(&p);
    *out = p;
    return rc;
}

/* ---- mutable copies ---- */

/* An empty mutable copy: vectors point into the masters, which are zero. */
static struct params *create_mutable(const struct config *cfg, struct pool *pool, struct err *e)
{
    struct params *p = create(cfg, pool, e);
    if (!p)
        return NULL;
    struct arena *arena = &p->store->arena;
    struct param_arrays *a = arena_zalloc(arena, sizeof *a, e);
    if (!a || param_arrays_init(a, cfg, arena, e)) {
        params_release(&p);
        return NULL;
    }
    p->store->master = a;
    for (int i = 0; i < param_slots(cfg); i++) {
        struct param_slot s;
        float **home = vector_home(p, i);
        param_slot(&s, cfg, i);
        if (home)
            *home = a->flat + s.at;
    }
    return p;
}

struct param_arrays *params_arrays(struct params *p)
{
    return p->store->master;
}

int params_clone_f32(struct params **out, const struct params *p, struct pool *pool, struct err *e)
{
    const struct params_store *from = p->store;
    *out = create_mutable(&p->cfg, pool, e);
    if (!*out)
        return ERR_LIMIT;
    struct param_arrays *a = (*out)->store->master;
    int rc = 0;
    if (from->master)
        memcpy(a->flat, from->master->flat, (size_t)a->count * sizeof *a->flat);
    for (int i = 0; !rc && !from->master && i < param_slots(&p->cfg); i++) {
        struct param_slot s;
        /* p's vectors may differ from the file's by the LN gain. */
        float **home = vector_home((struct params *)(uintptr_t)p, i);
        param_slot(&s, &p->cfg, i);
        if (home)
            memcpy(a->flat + s.at, *home, (size_t)s.count * sizeof *a->flat);
        else
            rc = weights_read_f32(
                from->w, weights_find(from->w, s.name), 0, s.count, a->flat + s.at, e);
    }
    if (rc)
        params_release(out);
    return rc;
}

int params_init_random(
    struct params **out, const struct config *cfg, uint64_t seed, struct pool *pool, struct err *e)
{
    *out = create_mutable(cfg, pool, e);
    if (!*out)
        return ERR_LIMIT;
    struct param_arrays *a = (*out)->store->master;
    double base = cfg->init_std > 0 ? cfg->init_std : 0.02;
    for (int i = 0; i < param_slots(cfg); i++) {
        struct param_slot s;
        struct rng r;
        param_slot(&s, cfg, i);
        rng_init(&r, seed, (uint64_t)i);
        bool residual = strstr(s.name, ".c_proj.") != NULL;
        double std = residual ? base / sqrt(2.0 * cfg->n_layer) : base;
        for (int64_t k = 0; k < s.count; k++)
            a->flat[s.at + k] = s.matrix ? (float)(std * rng_normal(&r)) : s.gamma ? 1 : 0;
    }
    return 0;
}

int params_changed(struct params *p, struct err *e)
{
    struct params_store *s = p->store;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; !rc && i <= 4 * p->cfg.n_layer; i++) {
        if (!s->master || !atomic_load(&s->ready[i]))
            continue;
        enum matrix m = i == 4 * p->cfg.n_layer ? MAT_UNEMBED : (enum matrix)(i % 4);
        struct param_slot slot;
        matrix_slot(&slot, &p->cfg, m, i / 4);
        rc = pack(&s->panel[i], s, &slot, m == MAT_UNEMBED, e);
    }
    p->version++;
    pthread_mutex_unlock(&s->lock);
    return rc;
}
