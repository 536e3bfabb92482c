#include <string.h>

#include "model/core/arena.h"
#include "model/kernels/kernels.h"
#include "model/ops.h"
#include "model/ops_tiles.h"

/* One task is a head of a sequence, or some of its query blocks. Keys are transposed into panels and
 * values laid side by side in the thread's scratch; a block of query rows then goes through scores,
 * softmax and mix while it is in cache. A row's numbers depend on its own keys alone: tiles run over
 * the same pieces of D and of the keys whatever stands beside it, and the zeros that pad a row to
 * its block add nothing. */

#define QB 12 /* query rows of a block */

struct job {
    const struct kernels *kern;
    const struct attention *a;
    int64_t chunks;   /* tasks a head is cut into */
    int64_t keys;     /* the longest sequence's, padded to panels */
    int64_t lds, ldz; /* of the scratch */
    float *scratch;
    int64_t floats; /* of one thread's scratch */
    bool mix_only;
};

int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

struct head head_at(const struct attention *a, int64_t seq, int64_t h)
{
    int64_t q0 = a->offset[seq], d = a->d_head;
    struct head s = {.tq = a->offset[seq + 1] - q0, .past = a->past ? a->past[seq] : 0};
    s.tk = s.tq + s.past;
    s.q = a->q ? a->q + q0 * a->ldq + h * d : NULL;
    s.k = a->k ? a->k[seq] + h * d : NULL;
    s.v = a->v ? a->v[seq] + h * d : NULL;
    s.z = a->z ? a->z + q0 * a->ldz + h * d : NULL;
    if (a->scores && a->scores[seq])
        s.scores = a->scores[seq] + h * s.tq * s.tk;
    if (a->pattern && a->pattern[seq])
        s.pattern = a->pattern[seq] + h * s.tq * s.tk;
    return s;
}

void tiles_run(float *c, int64_t ldc, const float *a, int64_t lda, int64_t rows, int64_t k,
    const float *b, int64_t ldb, int64_t panel, int64_t panels, bool add)
{
    const struct kernels *kern = kernels_get();
    const int step = tile_split(rows, kern->rows);
    for (int64_t p = 0; p < panels; p++)
        for (int64_t k0 = 0; k0 < k; k0 += TILE_K) {
            int64_t nk = k - k0 < TILE_K ? k - k0 : TILE_K;
            const float *piece = b + p * panel + k0 * ldb;
            for (int64_t r = 0; r < rows; r += step) {
                int nr = rows - r < step ? (int)(rows - r) : step;
                kern->tile[0][nr - 1](c + r * ldc + p * kern->width, ldc, a + r * lda + k0, lda,
                    piece, ldb, nk, add || k0 > 0, (const char *)piece, 0);
            }
        }
}

void panels_of_rows(float *dst, const float *x, int64_t ldx, int64_t n, int64_t d)
{
    const struct kernels *kern = kernels_get();
    const int64_t w = kern->width;
    for (int64_t i = 0; i < n; i += w) {
        int64_t rows = n - i < w ? n - i : w;
        if (rows < w)
            memset(dst + i * d, 0, (size_t)(w * d) * sizeof *dst);
        kern->transpose(dst + i * d, w, x + i * ldx, ldx, rows, d);
    }
}

void panels_of_columns(float *dst, const float *x, int64_t ldx, int64_t n, int64_t d)
{
    const int64_t w = kernels_get()->width;
    for (int64_t j = 0; j < d; j += w) {
        int64_t cols = d - j < w ? d - j : w;
        float *p = dst + j * n;
        if (cols < w)
            memset(p, 0, (size_t)(w * n) * sizeof *p);
        copy_rows(p, w, x + j, ldx, n, cols);
    }
}

/* Scores and patterns of one block of query rows: s [rows, lds] ends as the pattern over nk keys. */
static void softmax_block(const struct job *j, const struct head *h, float *s, const float *kt,
    int64_t i0, int64_t rows, int64_t nk)
{
    const int64_t w = j->kern->width, d = j->a->d_head;
    tiles_run(s, j->lds, h->q + i0 * j->a->ldq, j->a->ldq, rows, d, kt, w, d * w, (nk + w - 1) / w,
        false);
    for (int64_t r = 0; r < rows; r++) {
        float *row = s + r * j->lds;
        int64_t i = i0 + r, n = h->past + i + 1;
        float *scores = h->scores ? h->scores + i * h->tk : NULL;
        j->kern->softmax(row, row, j->a->scale, n, nk, scores, h->tk);
        if (h->pattern)
            j->kern->row_out(h->pattern + i * h->tk, row, n, h->tk, 0.0f);
    }
}

static void attention_task(void *arg, int64_t i, int worker)
{
    const struct job *j = arg;
    const struct attention *a = j->a;
    const int64_t w = j->kern->width, d = a->d_head, per_seq = a->heads * j->chunks;
    const struct head h = head_at(a, i / per_seq, i % a->heads);
    const int64_t chunk = i % per_seq / a->heads, blocks = (h.tq + QB - 1) / QB;
    const int64_t b0 = blocks * chunk / j->chunks, b1 = blocks * (chunk + 1) / j->chunks;
    float *kt = j->scratch + worker * j->floats, *vp = kt + j->keys * d;
    float *s = vp + j->keys * j->ldz, *z = s + QB * j->lds;
    if (b0 == b1)
        return;
    const int64_t last = b1 * QB < h.tq ? b1 * QB : h.tq;
    const int64_t keys = j->mix_only ? h.tk : h.past + last;
    /* One query alone reads the values where they are. */
    const bool direct = d % w == 0 && last - b0 * QB < 4;
    if (!j->mix_only)
        panels_of_rows(kt, h.k, a->ldk, keys, d);
    if (h.z && !direct)
        panels_of_columns(vp, h.v, a->ldv, keys, d);
    for (int64_t i0 = b0 * QB; i0 < last; i0 += QB) {
        int64_t rows = last - i0 < QB ? last - i0 : QB;
        int64_t nk = j->mix_only ? keys : h.past + i0 + rows;
        const float *p = s;
        int64_t ldp = j->lds;
        if (j->mix_only) {
            p = h.pattern + i0 * h.tk;
            ldp = h.tk;
        } else {
            softmax_block(j, &h, s, kt, i0, rows, nk);
        }
        if (!h.z)
            continue;
        if (direct)
            tiles_run(z, j->ldz, p, ldp, rows, nk, h.v, a->ldv, w, d / w, false);
        else
            tiles_run(z, j->ldz, p, ldp, rows, nk, vp, w, keys * w, (d + w - 1) / w, false);
        copy_rows(h.z + i0 * a->ldz, a->ldz, z, j->ldz, rows, d);
    }
    if (h.scores || h.pattern)
        j->kern->fence();
}

int64_t longest_keys(const struct attention *a)
{
    int64_t n = 0;
    for (int i = 0; i < a->n_seq; i++) {
        int64_t tk = a->offset[i + 1] - a->offset[i] + (a->past ? a->past[i] : 0);
        n = tk > n ? tk : n;
    }
    return n;
}

static int run(const struct attention *a, bool mix_only, struct pool *pool, struct err *e)
{
    struct job j = {.kern = kernels_get(), .a = a, .mix_only = mix_only, .chunks = 1};
    const int threads = pool_threads(pool);
    const int64_t w = j.kern->width, tasks = (int64_t)a->n_seq * a->heads;
    if (tasks <= 0)
        return 0;
    /* More query blocks than heads to share: cut the heads. */
    if (tasks < 4 * threads)
        j.chunks = (4 * threads + tasks - 1) / tasks;
    j.keys = round_up(longest_keys(a), w);
    j.lds = j.keys + 16;
    j.ldz = round_up(a->d_head, w);
    j.floats = round_up(j.keys * (a->d_head + j.ldz) + QB * (j.lds + j.ldz), 16);
    struct arena tmp = {0};
    j.scratch = arena_array(&tmp, (size_t)(j.floats * threads), sizeof *j.scratch, e);
    if (!j.scratch)
        return err_set(
            e, ERR_LIMIT, "out of memory for the attention of %lld keys", (long long)j.keys);
    pool_for(pool, tasks * j.chunks, attention_task, &j);
    arena_release(&tmp);
    return 0;
}

int ops_attention(const struct attention *a, struct pool *pool, struct err *e)
{
    return run(a, false, pool, e);
}

int ops_attention_mix(const struct attention *a, struct pool *pool, struct err *e)
{
    return run(a, true, pool, e);
}

struct softmax_job {
    const struct kernels *kern;
    float *pattern;
    const float *scores;
    int64_t keys, past;
};

static void softmax_row(void *arg, int64_t i, int worker)
{
    const struct softmax_job *j = arg;
    int64_t n = j->past + i + 1;
    (void)worker;
    j->kern->softmax(j->pattern + i * j->keys, j->scores + i * j->keys, 1.0f,
        n < j->keys ? n : j->keys, j->keys, NULL, 0);
}

void ops_softmax_causal(float *pattern, const float *scores, int64_t rows, int64_t keys,
    int64_t past, struct pool *pool)
{
    struct softmax_job j = {kernels_get(), pattern, scores, keys, past};
    pool_for(rows * keys < 8192 ? NULL : pool, rows, softmax_row, &j);
}
