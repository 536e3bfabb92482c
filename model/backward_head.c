#include <math.h>
#include <string.h>

#include "model/back.h"

/* The metric and the unembedding. Only rows that the metric reads meet the vocabulary; they pass in
 * chunks whose logits fit CHUNK_BYTES, so that [T, V] is never held. */

#define CHUNK_BYTES ((int64_t)32 << 20)
#define CHUNK_MIN 16

struct chunk {
    struct back *b;
    const float *y;              /* [rows, C] output of ln_final */
    float *dy;                   /* [rows, C] */
    int64_t *row;                /* [n] packed rows of this chunk */
    int32_t *target;             /* [n] METRIC_LOSS: the next token */
    const struct metric_at **at; /* [n] other metrics */
    double *value;               /* [n] */
    int64_t n, capacity;
    float *in, *din; /* [capacity, C] */
    float *logits;   /* [capacity, V], then their gradient */
    float *extra;    /* [threads, V] seeds of other metrics */
    double scale;    /* of every seed */
};

static double seed_scale(const struct back *b)
{
    return b->o->scale != 0 ? b->o->scale : 1;
}

static int64_t chunk_rows(int64_t vocab, int64_t needed)
{
    int64_t n = CHUNK_BYTES / (4 * vocab) & ~(int64_t)15;
    n = n < CHUNK_MIN ? CHUNK_MIN : n;
    return n < needed ? n : needed;
}

static int chunk_init(struct chunk *k, struct back *b, int64_t needed)
{
    int64_t C = b->cfg->d_model, V = b->cfg->vocab, n = chunk_rows(V, needed);
    k->b = b;
    k->capacity = n;
    k->row = back_temp(b, n, sizeof *k->row);
    k->target = back_temp(b, n, sizeof *k->target);
    k->at = back_temp(b, n, sizeof *k->at);
    k->value = back_temp(b, n, sizeof *k->value);
    k->in = back_temp(b, n * C, sizeof *k->in);
    k->din = back_temp(b, n * C, sizeof *k->din);
    k->logits = back_temp(b, n * V, sizeof *k->logits);
    k->extra = back_temp(b, pool_threads(b->o->pool) * V, sizeof *k->extra);
    bool ok = k->row && k->target && k->at && k->value && k->in && k->din && k->logits && k->extra;
    return ok ? 0 : ERR_LIMIT;
}

/* z [V] becomes scale * (softmax(z) - e_target); returns -log p_target. */
static double loss_seed(float *z, int64_t n, int32_t target, double scale)
{
    struct row_stats st;
    ops_row_stats(&st, z, n);
    double loss = st.lse - (double)z[target];
    ops_probs(z, z, n, st.lse, (float)scale);
    z[target] -= (float)scale;
    return loss;
}

static void seed_row(void *arg, int64_t i, int worker)
{
    struct chunk *k = arg;
    int64_t V = k->b->cfg->vocab;
    float *z = k->logits + i * V, *seed = k->extra + worker * V;
    if (k->b->m->kind == METRIC_LOSS) {
        k->value[i] = loss_seed(z, V, k->target[i], k->scale);
        return;
    }
    k->value[i] = metric_seed(seed, k->b->m, k->at[i], z, V, k->scale);
    memcpy(z, seed, (size_t)V * sizeof *z);
}

/* Seeds, gradients and values of the rows gathered so far. */
static int chunk_flush(struct chunk *k, double *sum)
{
    struct back *b = k->b;
    int64_t C = b->cfg->d_model, V = b->cfg->vocab;
    struct pool *pool = b->o->pool;
    if (!k->n)
        return 0;
    const struct panel *w = params_panel(b->p, MAT_UNEMBED, 0, b->e);
    if (!w)
        return b->e->code;
    for (int64_t i = 0; i < k->n; i++)
        memcpy(k->in + i * C, k->y + k->row[i] * C, (size_t)C * sizeof *k->in);
    struct epilogue none = {0};
    ops_gemm(k->logits, V, k->in, C, k->n, w, 0, V, &none, pool);
    pool_for(pool, k->n, seed_row, k);
    for (int64_t i = 0; i < k->n; i++)
        *sum += k->value[i];
    ops_gemm_t(k->din, C, k->logits, V, k->n, w, false, pool);
    for (int64_t i = 0; i < k->n; i++) {
        float *dy = k->dy + k->row[i] * C;
        for (int64_t c = 0; c < C; c++)
            dy[c] += k->din[i * C + c];
    }
    struct param_arrays *g = b->o->params;
    if (g)
        ops_gemm_grad(
            g->unembed ? g->unembed : g->wte, C, k->logits, V, k->in, C, k->n, V, C, pool);
    k->n = 0;
    return 0;
}

static int loss(struct chunk *k, double *value)
{
    const struct batch *batch = &k->b->t->batch;
    int64_t n = batch->offset[batch->n] - batch->n;
    double sum = 0;
    if (chunk_init(k, k->b, n))
        return ERR_LIMIT;
    k->scale = seed_scale(k->b) / (double)n;
    for (int i = 0; i < batch->n; i++)
        for (int64_t r = batch->offset[i]; r + 1 < batch->offset[i + 1]; r++) {
            k->row[k->n] = r;
            k->target[k->n++] = batch->tokens[r + 1];
            if (k->n == k->capacity && chunk_flush(k, &sum))
                return k->b->e->code;
        }
    if (chunk_flush(k, &sum))
        return k->b->e->code;
    *value = sum / (double)n;
    return 0;
}

static int full_rows(struct chunk *k, double *value)
{
    const struct metric *m = k->b->m;
    double sum = 0;
    if (chunk_init(k, k->b, m->n_at))
        return ERR_LIMIT;
    k->scale = seed_scale(k->b) / m->n_at;
    for (int i = 0; i < m->n_at; i++) {
        k->row[k->n] = metric_row(&m->at[i], &k->b->t->batch);
        k->at[k->n++] = &m->at[i];
        if (k->n == k->capacity && chunk_flush(k, &sum))
            return k->b->e->code;
    }
    if (chunk_flush(k, &sum))
        return k->b->e->code;
    *value = sum / m->n_at;
    return 0;
}

/* One side of a logit difference: columns of the unembedding alone, no product of size V. */
static double logit_side(
    struct chunk *k, const struct panel *w, int64_t row, const int32_t *ids, int n, double weight)
{
    int64_t C = k->b->cfg->d_model;
    const float *y = k->y + row * C;
    float *dy = k->dy + row * C, *column = k->extra;
    struct param_arrays *g = k->b->o->params;
    float *dw = g ? g->unembed ? g->unembed : g->wte : NULL;
    float seed = (float)(weight * k->scale);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        float *dcolumn = dw ? dw + ids[i] * C : NULL;
        panel_col(column, w, ids[i]);
        for (int64_t c = 0; c < C; c++) {
            sum += weight * (double)y[c] * (double)column[c];
            dy[c] += seed * column[c];
            if (dcolumn)
                dcolumn[c] += seed * y[c];
        }
    }
    return sum;
}

static int logits_alone(struct chunk *k, double *value)
{
    struct back *b = k->b;
    const struct metric *m = b->m;
    const struct panel *w = params_panel(b->p, MAT_UNEMBED, 0, b->e);
    k->extra = w ? back_temp(b, b->cfg->d_model, sizeof *k->extra) : NULL;
    if (!k->extra)
        return b->e->code;
    k->scale = seed_scale(k->b) / m->n_at;
    *value = 0;
    for (int i = 0; i < m->n_at; i++) {
        const struct metric_at *at = &m->at[i];
        int64_t row = metric_row(at, &b->t->batch);
        *value += logit_side(k, w, row, at->answer, at->n_answer, 1.0 / at->n_answer) / m->n_at;
        if (m->kind == METRIC_LOGIT_DIFF)
            *value += logit_side(k, w, row, at->wrong, at->n_wrong, -1.0 / at->n_wrong) / m->n_at;
    }
    return 0;
}

int back_metric(struct back *b, double *value, float *dy)
{
    struct chunk k = {.b = b, .dy = dy};
    const float *x = back_kept(b, SITE_RESID_POST, b->cfg->n_layer - 1);
    if (!x)
        return b->e->code;
    struct back_ln ln = {SITE_LNF_SCALE, SITE_LNF_NORM, -1, b->p->lnf_g, b->p->lnf_b, NULL, NULL};
    if (back_norm(b, &k.y, x, &ln))
        return b->e->code;
    memset(dy, 0, (size_t)(b->rows * b->cfg->d_model) * sizeof *dy);
    struct arena_mark mark = arena_mark(&b->temp);
    int rc;
    if (b->m->kind == METRIC_LOSS)
        rc = loss(&k, value);
    else if (b->m->kind == METRIC_LOGIT || b->m->kind == METRIC_LOGIT_DIFF)
        rc = logits_alone(&k, value);
    else
        rc = full_rows(&k, value);
    arena_rewind(&b->temp, mark);
    return rc;
}
