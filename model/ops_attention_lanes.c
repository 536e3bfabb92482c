#include <string.h>

#include "model/core/arena.h"
#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* Many lanes share one text: its keys lie in panels once a head, and a task takes some lanes through
 * one head. Scores come from the text's panels for every key and from a lane's own panels over its own
 * columns; the mix adds the stretches before, within and behind the lane's own rows. */

#define QB 12   /* query rows of a block */
#define TASK 16 /* lanes of a task */

struct job {
    const struct kernels *kern;
    const struct attention_lanes *a;
    const float *kt, *vp;       /* [heads] panels of keys, and of values unless those are direct */
    int64_t k_floats, v_floats; /* of a head */
    int64_t lds, ldz, own, floats; /* scratch: row strides, floats of own panels, of a thread */
    float *scratch;
    int64_t parts; /* tasks a head is cut into */
    bool direct;   /* values are read where they are */
};

struct own_keys {
    const float *kt, *v; /* panels; v direct or panels */
    int64_t ldv, v_panel;
};

static void pack_head(void *arg, int64_t h, int worker)
{
    const struct job *j = arg;
    const struct attention_lanes *a = j->a;
    (void)worker;
    panels_of_rows((float *)j->kt + h * j->k_floats, a->k + h * a->d_head, a->ldk, a->n, a->d_head);
    if (!j->direct)
        panels_of_columns(
            (float *)j->vp + h * j->v_floats, a->v + h * a->d_head, a->ldv, a->n, a->d_head);
}

/* The scores of one block of query rows, s [rows, lds] over keys 0 .. nk - 1. */
static void scores(const struct job *j, const struct attention_lane *l, float *s, const float *q,
    int64_t rows, int64_t nk, const float *kt, const float *own_kt, float *spare)
{
    const int64_t w = j->kern->width, d = j->a->d_head;
    const int64_t own_end = l->own_end < nk ? l->own_end : nk, own = own_end - l->own;
    const int64_t shared = own > 0 && own_end == nk ? l->own : nk;
    tiles_run(s, j->lds, q, l->ldq, rows, d, kt, w, d * w, (shared + w - 1) / w, false);
    if (own <= 0)
        return;
    const int64_t panels = (own + w - 1) / w;
    if (own_end == nk) {
        tiles_run(s + l->own, j->lds, q, l->ldq, rows, d, own_kt, w, d * w, panels, false);
        return;
    }
    tiles_run(spare, j->lds, q, l->ldq, rows, d, own_kt, w, d * w, panels, false);
    copy_rows(s + l->own, j->lds, spare, j->lds, rows, own);
}

/* z [rows, ldz] (+)= p [rows, from:to] v */
static void mix(const struct job *j, float *z, const float *p, int64_t rows, int64_t from,
    int64_t to, const float *v, int64_t ldv, int64_t panel, bool *started)
{
    const int64_t w = j->kern->width;
    if (to <= from)
        return;
    tiles_run(z, j->ldz, p + from, j->lds, rows, to - from, v, ldv, panel,
        (j->a->d_head + w - 1) / w, *started);
    *started = true;
}

static void lane_head(
    const struct job *j, const struct attention_lane *l, int64_t h, int64_t col, float *scratch)
{
    const struct attention_lanes *a = j->a;
    const int64_t w = j->kern->width, d = a->d_head, n_own = l->own_end - l->own;
    const float *kt = j->kt + h * j->k_floats;
    const float *v = j->direct ? a->v + h * d : j->vp + h * j->v_floats;
    const int64_t ldv = j->direct ? a->ldv : w, panel = j->direct ? w : a->n * w;
    float *own_kt = scratch, *own_vp = own_kt + j->own, *s = own_vp + (j->direct ? 0 : j->own);
    float *spare = s + QB * j->lds, *z = spare + QB * j->lds;
    const float *own_v = n_own > 0 ? l->own_v + col : NULL;
    int64_t own_ldv = l->ldv, own_panel = w;
    if (n_own > 0) {
        panels_of_rows(own_kt, l->own_k + col, l->ldk, n_own, d);
        if (!j->direct) {
            panels_of_columns(own_vp, own_v, l->ldv, n_own, d);
            own_v = own_vp;
            own_ldv = w;
            own_panel = n_own * w;
        }
    }
    for (int64_t i = 0; i < l->queries; i += QB) {
        const int64_t rows = l->queries - i < QB ? l->queries - i : QB;
        const int64_t nk = l->q0 + i + rows;
        const int64_t own_end = l->own_end < nk ? l->own_end : nk;
        const int64_t own = l->own < own_end ? l->own : own_end;
        bool started = false;
        scores(j, l, s, l->q + col + i * l->ldq, rows, nk, kt, own_kt, spare);
        for (int64_t r = 0; r < rows; r++)
            j->kern->softmax(
                s + r * j->lds, s + r * j->lds, a->scale, l->q0 + i + r + 1, nk, NULL, 0);
        const bool has_own = own_end > own;
        mix(j, z, s, rows, 0, has_own ? own : nk, v, ldv, panel, &started);
        if (has_own) {
            mix(j, z, s, rows, own, own_end, own_v, own_ldv, own_panel, &started);
            mix(j, z, s, rows, own_end, nk, v + own_end * ldv, ldv, panel, &started);
        }
        copy_rows(l->z + col + i * l->ldz, l->ldz, z, j->ldz, rows, d);
    }
}

static void lanes_task(void *arg, int64_t i, int worker)
{
    const struct job *j = arg;
    const int64_t h = i / j->parts, part = i % j->parts, n = j->a->n_lanes;
    float *scratch = j->scratch + worker * j->floats;
    for (int64_t x = n * part / j->parts; x < n * (part + 1) / j->parts; x++) {
        const struct attention_lane *l = &j->a->lane[x];
        if (l->head < 0 || l->head == h)
            lane_head(j, l, h, l->head < 0 ? h * j->a->d_head : 0, scratch);
    }
}

int ops_attention_lanes(const struct attention_lanes *a, struct pool *pool, struct err *e)
{
    struct job j = {.kern = kernels_get(), .a = a};
    const int64_t w = j.kern->width, d = a->d_head, keys = round_up(a->n, w);
    if (!a->n_lanes || !a->n)
        return 0;
    j.direct = d % w == 0;
    j.k_floats = keys * d;
    j.v_floats = j.direct ? 0 : round_up(d, w) * a->n;
    j.lds = keys + 2 * w; /* own panels may begin at any key */
    j.ldz = round_up(d, w);
    j.own = round_up(keys * j.ldz, 16);
    j.floats = round_up(j.own * (j.direct ? 1 : 2) + QB * (2 * j.lds + j.ldz), 16);
    j.parts = (a->n_lanes + TASK - 1) / TASK;
    const int64_t shared = round_up(a->heads * (j.k_floats + j.v_floats), 16);
    struct arena tmp = {0};
    float *all =
        arena_array(&tmp, (size_t)(shared + j.floats * pool_threads(pool)), sizeof *all, e);
    if (!all)
        return err_set(
            e, ERR_LIMIT, "out of memory for the attention of %lld keys", (long long)a->n);
    j.kt = all;
    j.vp = all + a->heads * j.k_floats;
    j.scratch = all + shared;
    pool_for(pool, a->heads, pack_head, &j);
    pool_for(pool, a->heads * j.parts, lanes_task, &j);
    arena_release(&tmp);
    return 0;
}
