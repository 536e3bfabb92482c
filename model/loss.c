#include <string.h>

#include "model/forward.h"
#include "model/metric.h"
#include "model/ops.h"

#define CHUNK_BYTES ((int64_t)16 << 20)

struct loss {
    const struct params *p;
    struct pool *pool;
    int64_t n, capacity;
    float *in, *logits;
    int32_t *target;
    double *value, sum;
    struct err *e;
};

static void loss_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    struct loss *k = arg;
    int64_t V = k->p->cfg.vocab;
    struct row_stats st;
    ops_row_stats(&st, k->logits + i * V, V);
    k->value[i] = st.lse - (double)k->logits[i * V + k->target[i]];
}

static int flush(struct loss *k)
{
    int64_t C = k->p->cfg.d_model, V = k->p->cfg.vocab;
    const struct panel *w = params_panel(k->p, MAT_UNEMBED, 0, k->e);
    struct epilogue none = {0};
    if (!w)
        return k->e->code;
    ops_gemm(k->logits, V, k->in, C, k->n, w, 0, V, &none, k->pool);
    pool_for(k->pool, k->n, loss_row, k);
    for (int64_t i = 0; i < k->n; i++)
        k->sum += k->value[i];
    k->n = 0;
    return 0;
}

static int walk(struct loss *k, const struct trace *t, int64_t *count, struct arena *arena)
{
    int64_t C = k->p->cfg.d_model, V = k->p->cfg.vocab, rows = t->rows - t->batch.n;
    k->capacity = CHUNK_BYTES / (4 * V) < 16 ? 16 : CHUNK_BYTES / (4 * V);
    k->capacity = k->capacity < rows ? k->capacity : rows;
    *count = rows;
    if (rows < 1)
        return 0;
    k->in = arena_array(arena, (size_t)(k->capacity * C), sizeof *k->in, k->e);
    k->logits = arena_array(arena, (size_t)(k->capacity * V), sizeof *k->logits, k->e);
    k->target = arena_array(arena, (size_t)k->capacity, sizeof *k->target, k->e);
    k->value = arena_array(arena, (size_t)k->capacity, sizeof *k->value, k->e);
    if (!k->in || !k->logits || !k->target || !k->value)
        return ERR_LIMIT;
    for (int i = 0; i < t->batch.n; i++) {
        const float *y = trace_site(t, SITE_LNF_NORM, -1, i);
        const int32_t *tokens = t->batch.tokens + t->batch.offset[i];
        for (int64_t r = 0; r + 1 < trace_len(t, i); r++) {
            memcpy(k->in + k->n * C, y + r * C, (size_t)C * sizeof *y);
            k->target[k->n++] = tokens[r + 1];
            if (k->n == k->capacity && flush(k))
                return k->e->code;
        }
    }
    return k->n ? flush(k) : 0;
}

int loss_of(double *sum, int64_t *count, const struct params *p, const struct batch *b,
    struct pool *pool, struct err *e)
{
    struct arena arena = {0};
    struct err local = {0};
    struct trace t;
    struct plan plan;
    struct loss k = {.p = p, .pool = pool, .e = e ? e : &local};
    if (plan_init(&plan, &p->cfg, &arena, k.e))
        return ERR_LIMIT;
    plan_keep(&plan, SITE_LNF_NORM, -1);
    struct forward_opts o = {.plan = &plan, .pool = pool};
    int rc = forward(&t, p, b, &o, k.e);
    if (!rc) {
        rc = walk(&k, &t, count, &arena);
        trace_release(&t);
    }
    arena_release(&arena);
    *sum = k.sum;
    return rc;
}
