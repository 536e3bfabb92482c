#include <math.h>
#include <string.h>

#include "model/patch_lanes.h"

/* From the last residual rows to the metric: a logit difference needs a few columns of the
 * unembedding, everything else whole rows, a chunk at a time. */

#define LOGIT_FLOATS ((int64_t)1 << 22) /* of a chunk */

static bool needs_columns(const struct metric *m)
{
    return m->kind == METRIC_LOGIT || m->kind == METRIC_LOGIT_DIFF;
}

static double mean_of(const float *z, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)z[i];
    return n ? sum / n : 0;
}

struct row_job {
    const struct wave *w;
    float *logits;
    const int32_t *next; /* METRIC_LOSS: the token each row predicts */
    double *value;
};

static void row_value(void *arg, int64_t i, int worker)
{
    const struct row_job *j = arg;
    const struct metric *m = &j->w->r->metric;
    const int64_t V = j->w->cfg->vocab;
    float *z = j->logits + i * V;
    struct row_stats st;
    (void)worker;
    if (m->kind == METRIC_LOSS) {
        ops_row_stats(&st, z, V);
        j->value[i] = st.lse - (double)z[j->next[i]];
    } else if (m->kind == METRIC_KL) {
        ops_log_softmax(z, z, V);
        j->value[i] = ops_kl(m->at->reference_logp, z, V);
    } else {
        j->value[i] = metric_seed(NULL, m, m->at, z, V, 1);
    }
}

/* value[n] of rows x [n, C]; next[n] is read for the loss alone. */
static int rows_value(struct wave *w, double *value, const float *x, int64_t n, const int32_t *next)
{
    const struct params *p = w->r->p;
    const int64_t C = w->cfg->d_model, V = w->cfg->vocab;
    const struct ln ln = {w->cfg->ln, w->cfg->ln_eps, p->lnf_g, p->lnf_b, false};
    const struct panel *u = params_panel(p, MAT_UNEMBED, 0, w->e);
    if (!u)
        return w->e->code;
    for (int64_t r = 0, rows; r < n; r += rows) {
        rows = n - r < w->logit_rows ? n - r : w->logit_rows;
        if (rows > w->rows_max)
            rows = w->rows_max;
        ops_ln(w->y, C, w->scale, x + r * C, C, rows, C, &ln, w->o->pool);
        if (needs_columns(&w->r->metric)) {
            const int a = w->r->metric.at->n_answer;
            ops_gemm_cols(w->logits, w->n_ids, w->y, C, rows, u, w->ids, w->n_ids, w->o->pool);
            count_product(w, rows, C, w->n_ids);
            for (int64_t i = 0; i < rows; i++) {
                const float *z = w->logits + i * w->n_ids;
                value[r + i] = mean_of(z, a) - mean_of(z + a, w->n_ids - a);
            }
            continue;
        }
        struct epilogue ep = {0};
        ops_gemm(w->logits, V, w->y, C, rows, u, 0, V, &ep, w->o->pool);
        count_product(w, rows, C, V);
        pool_for(w->o->pool, rows, row_value,
            &(struct row_job){w, w->logits, next ? next + r : NULL, value + r});
    }
    return 0;
}

static const int32_t *tokens_of(const struct wave *w)
{
    return w->r->base->batch.tokens + w->r->base->batch.offset[w->r->input];
}

static int base_value(struct wave *w)
{
    const float *post = base_post(w, w->cfg->n_layer - 1);
    const int64_t C = w->cfg->d_model, first = w->end - w->tail;
    const double before = w->flops;
    int rc = rows_value(w, w->base_loss, post + first * C, w->tail, tokens_of(w) + first + 1);
    w->flops = before; /* the receiving run's own */
    for (int64_t t = 0; t < w->tail && !rc; t++)
        w->base_value += w->base_loss[t] / (double)w->tail;
    return rc;
}

int wave_metric_begin(struct wave *w, struct arena *a)
{
    const struct metric *m = &w->r->metric;
    const struct metric_at *at = m->at;
    int64_t width = w->cfg->vocab;
    if (needs_columns(m)) {
        const int n_wrong = m->kind == METRIC_LOGIT ? 0 : at->n_wrong;
        w->n_ids = at->n_answer + n_wrong;
        w->ids = arena_array(a, (size_t)w->n_ids, sizeof *w->ids, w->e);
        if (!w->ids)
            return ERR_LIMIT;
        memcpy(w->ids, at->answer, (size_t)at->n_answer * sizeof *w->ids);
        if (n_wrong)
            memcpy(w->ids + at->n_answer, at->wrong, (size_t)n_wrong * sizeof *w->ids);
        width = w->n_ids;
    }
    w->logit_rows = LOGIT_FLOATS / width < 1 ? 1 : LOGIT_FLOATS / width;
    if (w->logit_rows > w->rows_max)
        w->logit_rows = w->rows_max;
    w->logits = arena_array(a, (size_t)(w->logit_rows * width), sizeof *w->logits, w->e);
    w->base_loss = arena_array(a, (size_t)w->tail, sizeof *w->base_loss, w->e);
    w->value = arena_array(a, (size_t)w->rows_max, sizeof *w->value, w->e);
    w->next = arena_array(a, (size_t)w->rows_max, sizeof *w->next, w->e);
    return w->logits && w->base_loss && w->value && w->next ? base_value(w) : ERR_LIMIT;
}

int wave_metric(struct wave *w)
{
    const int32_t *tokens = tokens_of(w);
    for (int64_t i = 0; i < w->n; i++)
        for (int64_t t = w->lane[i].lo; t < w->lane[i].hi; t++)
            if (w->r->metric.kind == METRIC_LOSS)
                w->next[w->lane[i].at + t - w->lane[i].lo] = tokens[t + 1];
    if (rows_value(w, w->value, w->x, w->rows, w->next))
        return w->e->code;
    for (int64_t i = 0; i < w->n; i++) {
        const struct lane *l = &w->lane[i];
        double sum = 0;
        for (int64_t t = w->end - w->tail; t < w->end; t++)
            sum += t >= l->lo && t < l->hi ? w->value[l->at + t - l->lo]
                                           : w->base_loss[t - (w->end - w->tail)];
        w->values[l->index] = sum / (double)w->tail;
    }
    return 0;
}
