#include <string.h>

#include "model/suffix.h"

/* Metrics at the last position of each run: a logit difference needs a few columns of the
 * unembedding, everything else whole rows, a few at a time. */

#define CHUNK 16 /* rows of logits */

struct chunk {
    const struct metric *m;
    const struct metric_at *at;
    float *logits, *seed; /* [CHUNK, V] */
    double *values;
    int64_t V;
};

static void seed_row(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct chunk *c = arg;
    c->values[i] = metric_seed(
        c->seed ? c->seed + i * c->V : NULL, c->m, &c->at[i], c->logits + i * c->V, c->V, 1);
}

/* Columns of one side of a logit difference. */
static double side(float *dy, float *column, const float *y, const struct panel *w,
    const int32_t *ids, int n, double weight)
{
    double sum = 0;
    for (int k = 0; k < n; k++) {
        panel_col(column, w, ids[k]);
        for (int64_t c = 0; c < w->k; c++)
            sum += weight * (double)y[c] * (double)column[c];
        for (int64_t c = 0; dy && c < w->k; c++)
            dy[c] += (float)weight * column[c];
    }
    return sum;
}

static int by_columns(double *values, float *dy, const float *y, const struct suffixes *s,
    enum metric_kind kind, const struct metric_at *at, const struct panel *w, struct arena *a,
    struct err *e)
{
    const int64_t C = w->k;
    float *column = arena_array(a, (size_t)C, sizeof *column, e);
    if (!column)
        return ERR_LIMIT;
    for (int i = 0; i < s->n; i++) {
        float *d = dy ? dy + i * C : NULL;
        values[i] =
            side(d, column, y + i * C, w, at[i].answer, at[i].n_answer, 1.0 / at[i].n_answer);
        if (kind == METRIC_LOGIT_DIFF)
            values[i] +=
                side(d, column, y + i * C, w, at[i].wrong, at[i].n_wrong, -1.0 / at[i].n_wrong);
    }
    return 0;
}

static int by_rows(double *values, float *dy, const float *y, const struct suffixes *s,
    enum metric_kind kind, const struct metric_at *at, const struct panel *w, struct pool *pool,
    struct arena *a, struct err *e)
{
    const int64_t C = w->k, V = w->n;
    const struct metric m = {kind, at, 1};
    struct chunk c = {.m = &m, .V = V};
    c.logits = arena_array(a, (size_t)(CHUNK * V), sizeof *c.logits, e);
    c.seed = dy ? arena_array(a, (size_t)(CHUNK * V), sizeof *c.seed, e) : NULL;
    if (!c.logits || (dy && !c.seed))
        return ERR_LIMIT;
    for (int64_t i = 0, n; i < s->n; i += n) {
        n = s->n - i < CHUNK ? s->n - i : CHUNK;
        ops_gemm(c.logits, V, y + i * C, C, n, w, 0, V, &(struct epilogue){0}, pool);
        c.at = at + i;
        c.values = values + i;
        pool_for(pool, n, seed_row, &c);
        if (dy)
            ops_gemm_t(dy + i * C, C, c.seed, V, n, w, false, pool);
    }
    return 0;
}

/* y [n, C] = ln_final of the last rows. */
static void final_norm(float *y, const struct suffixes *s, int first, int n, struct pool *pool)
{
    const struct config *cfg = &s->p->cfg;
    const struct ln ln = {cfg->ln, cfg->ln_eps, s->p->lnf_g, s->p->lnf_b, true};
    ops_ln(y, cfg->d_model, s->s + first, s->last + first * cfg->d_model, cfg->d_model, n,
        cfg->d_model, &ln, pool);
}

int suffix_metric(double *values, float *d, const struct suffixes *s, enum metric_kind kind,
    const struct metric_at *at, struct pool *pool, struct err *e)
{
    const struct config *cfg = &s->p->cfg;
    const int64_t C = cfg->d_model;
    const bool columns = kind == METRIC_LOGIT || kind == METRIC_LOGIT_DIFF;
    const struct panel *w = params_panel(s->p, MAT_UNEMBED, 0, e);
    struct arena a = {.budget = s->arena.budget};
    int rc = w ? 0 : e->code;
    float *y = w ? arena_array(&a, (size_t)(s->n * C), sizeof *y, e) : NULL;
    float *dy = y && d ? arena_zalloc(&a, (size_t)(s->n * C) * sizeof *dy, e) : NULL;
    if (!rc && (!y || (d && !dy)))
        rc = ERR_LIMIT;
    if (!rc) {
        final_norm(y, s, 0, s->n, pool);
        rc = columns ? by_columns(values, dy, y, s, kind, at, w, &a, e)
                     : by_rows(values, dy, y, s, kind, at, w, pool, &a, e);
    }
    if (!rc && d) {
        const struct ln ln = {cfg->ln, cfg->ln_eps, s->p->lnf_g, s->p->lnf_b, false};
        ops_ln_grad(d, C, NULL, NULL, dy, C, s->last, C, s->s, s->n, C, &ln, false, pool);
    }
    arena_release(&a);
    return rc;
}

int suffix_logp(float *out, const struct suffixes *s, int run, struct pool *pool, struct err *e)
{
    const int64_t C = s->p->cfg.d_model, V = s->p->cfg.vocab;
    const struct panel *w = params_panel(s->p, MAT_UNEMBED, 0, e);
    struct arena a = {.budget = s->arena.budget};
    float *y = w ? arena_array(&a, (size_t)C, sizeof *y, e) : NULL;
    int rc = y ? 0 : e->code;
    if (y) {
        final_norm(y, s, run, 1, pool);
        ops_gemm(out, V, y, C, 1, w, 0, V, &(struct epilogue){0}, pool);
        ops_log_softmax(out, out, V);
    }
    arena_release(&a);
    return rc;
}
