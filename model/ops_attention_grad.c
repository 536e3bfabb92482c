#include <string.h>

#include "model/core/arena.h"
#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* One task is a head of a sequence: it alone adds to that head's dq, dk and dv, block of queries by
 * block of queries, so the sums do not depend on the threads. */

#define QB 48

struct job {
    const struct kernels *kern;
    const struct attention *a;
    const struct attention_grad *g;
    int64_t keys, lds, ldd, ldt;
    float *scratch;
    int64_t floats;
};

/* A thread's scratch. kt, vt: panels of k^T and v^T; kp: of k; rest as named. */
struct room {
    float *kt, *vt, *kp, *p, *dp, *turned, *side, *dk, *dv, *dq;
};

static struct room room_at(const struct job *j, int worker)
{
    const int64_t d = j->a->d_head;
    struct room r;
    float *at = j->scratch + worker * j->floats;
    r.kt = at;
    r.vt = r.kt + j->keys * d;
    r.kp = r.vt + j->keys * d;
    r.p = r.kp + j->keys * j->ldd;
    r.dp = r.p + QB * j->lds;
    r.turned = r.dp + QB * j->lds;
    r.side = r.turned + j->keys * j->ldt;
    r.dk = r.side + QB * j->ldd;
    r.dv = r.dk + j->keys * j->ldd;
    r.dq = r.dv + j->keys * j->ldd;
    return r;
}

static int64_t room_floats(const struct job *j)
{
    const int64_t d = j->a->d_head;
    return round_up(j->keys * (2 * d + 3 * j->ldd + j->ldt) + QB * (2 * j->lds + 2 * j->ldd), 16);
}

/* out [nk, d] += x^T [nk, rows] y [rows, d] */
static void add_turned(const struct job *j, const struct room *r, float *out, const float *x,
    const float *y, int64_t ldy, int64_t rows, int64_t nk)
{
    const int64_t w = j->kern->width;
    j->kern->transpose(r->turned, j->ldt, x, j->lds, rows, nk);
    panels_of_columns(r->side, y, ldy, rows, j->a->d_head);
    tiles_run(out, j->ldd, r->turned, j->ldt, nk, rows, r->side, w, rows * w, j->ldd / w, true);
}

/* p: the patterns of rows [i0, i0 + rows), given or recomputed. */
static void block_pattern(const struct job *j, const struct head *h, const struct room *r,
    int64_t i0, int64_t rows, int64_t nk)
{
    const int64_t w = j->kern->width, d = j->a->d_head;
    if (h->pattern) {
        copy_rows(r->p, j->lds, h->pattern + i0 * h->tk, h->tk, rows, h->tk);
        return;
    }
    tiles_run(r->p, j->lds, h->q + i0 * j->a->ldq, j->a->ldq, rows, d, r->kt, w, d * w,
        (nk + w - 1) / w, false);
    for (int64_t x = 0; x < rows; x++) {
        float *row = r->p + x * j->lds;
        j->kern->softmax(row, row, j->a->scale, h->past + i0 + x + 1, nk, NULL, 0);
    }
}

static void add_to(float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t n,
    float scale, const struct kernels *kern)
{
    for (int64_t r = 0; r < rows; r++)
        kern->axpy(dst + r * ldd, src + r * lds, scale, n);
}

static void grad_block(const struct job *j, const struct head *h, const struct room *r, int64_t seq,
    int64_t head, int64_t i0, int64_t rows)
{
    const struct attention *a = j->a;
    const struct attention_grad *g = j->g;
    const int64_t w = j->kern->width, d = a->d_head, square = head * h->tq * h->tk;
    float *dpattern = g->dpattern && g->dpattern[seq] ? g->dpattern[seq] + square : NULL;
    float *dscores = g->dscores && g->dscores[seq] ? g->dscores[seq] + square : NULL;
    const float *ep =
        g->extra_dpattern && g->extra_dpattern[seq] ? g->extra_dpattern[seq] + square : NULL;
    const float *es =
        g->extra_dscores && g->extra_dscores[seq] ? g->extra_dscores[seq] + square : NULL;
    const int64_t nk = h->pattern || dpattern ? h->tk : h->past + i0 + rows;
    const int64_t skip = g->skip ? g->skip[seq] : 0;
    const float *dz = g->dz + (a->offset[seq] + i0) * a->ldz + head * d;
    block_pattern(j, h, r, i0, rows, nk);
    tiles_run(r->dp, j->lds, dz, a->ldz, rows, d, r->vt, w, d * w, (nk + w - 1) / w, false);
    add_turned(j, r, r->dv, r->p + skip, dz, a->ldz, rows, nk - skip);
    for (int64_t x = 0; x < rows; x++) {
        int64_t i = i0 + x, n = h->past + i + 1;
        float *dp = r->dp + x * j->lds, *p = r->p + x * j->lds;
        if (ep)
            j->kern->axpy(dp, ep + i * h->tk, 1.0f, nk);
        if (dpattern)
            memcpy(dpattern + i * h->tk, dp, (size_t)h->tk * sizeof *dp);
        j->kern->softmax_grad(dp, p, dp, n, nk);
        if (es)
            j->kern->axpy(dp, es + i * h->tk, 1.0f, n);
        if (dscores) {
            memcpy(dscores + i * h->tk, dp, (size_t)n * sizeof *dp);
            memset(dscores + i * h->tk + n, 0, (size_t)(h->tk - n) * sizeof *dp);
        }
    }
    /* From here dp holds the gradients of the scaled scores. */
    tiles_run(r->dq, j->ldd, r->dp, j->lds, rows, nk, r->kp, w, h->tk * w, j->ldd / w, false);
    add_to(g->dq + (a->offset[seq] + i0) * a->ldq + head * d, a->ldq, r->dq, j->ldd, rows, d,
        a->scale, j->kern);
    add_turned(j, r, r->dk, r->dp + skip, h->q + i0 * a->ldq, a->ldq, rows, nk - skip);
}

static void grad_task(void *arg, int64_t i, int worker)
{
    const struct job *j = arg;
    const struct attention *a = j->a;
    const int64_t seq = i / a->heads, head = i % a->heads, d = a->d_head;
    const struct head h = head_at(a, seq, head);
    const struct room r = room_at(j, worker);
    const int64_t own = h.tk - (j->g->skip ? j->g->skip[seq] : 0);
    if (!h.tq)
        return;
    panels_of_rows(r.kt, h.k, a->ldk, h.tk, d);
    panels_of_rows(r.vt, h.v, a->ldv, h.tk, d);
    panels_of_columns(r.kp, h.k, a->ldk, h.tk, d);
    memset(r.dk, 0, (size_t)(own * j->ldd) * sizeof *r.dk);
    memset(r.dv, 0, (size_t)(own * j->ldd) * sizeof *r.dv);
    for (int64_t i0 = 0; i0 < h.tq; i0 += QB)
        grad_block(j, &h, &r, seq, head, i0, h.tq - i0 < QB ? h.tq - i0 : QB);
    add_to(j->g->dk[seq] + head * d, a->ldk, r.dk, j->ldd, own, d, a->scale, j->kern);
    add_to(j->g->dv[seq] + head * d, a->ldv, r.dv, j->ldd, own, d, 1.0f, j->kern);
}

int ops_attention_grad(
    const struct attention *a, const struct attention_grad *g, struct pool *pool, struct err *e)
{
    struct job j = {.kern = kernels_get(), .a = a, .g = g};
    const int64_t w = j.kern->width, tasks = (int64_t)a->n_seq * a->heads;
    const int threads = pool_threads(pool);
    if (tasks <= 0)
        return 0;
    j.keys = round_up(longest_keys(a), w);
    j.lds = j.keys + 16;
    j.ldd = round_up(a->d_head, w);
    j.ldt = QB + 16;
    j.floats = room_floats(&j);
    struct arena tmp = {0};
    j.scratch = arena_array(&tmp, (size_t)(j.floats * threads), sizeof *j.scratch, e);
    if (!j.scratch)
        return err_set(e, ERR_LIMIT, "out of memory for the attention gradient of %lld keys",
            (long long)j.keys);
    pool_for(pool, tasks, grad_task, &j);
    arena_release(&tmp);
    return 0;
}
