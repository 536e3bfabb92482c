#include <math.h>
#include <string.h>

#include "model/back.h"

/* LayerNorm (Ba et al. 2016, arXiv 1607.06450) and sums, the small parts of a backward pass. Of
 * y = gamma n + beta, n = xc / s, and the gradient g of y: v = gamma g,
 * dx = (v - mean v - n mean(v n)) / s; a frozen scale drops the last term; LINEAR has s = 1 and no
 * last term; ds = -sum(v n) / s. */

#define SUM_COLUMNS 64

struct sums {
    float *out;
    const float *g;
    int64_t ldg, m, n;
};

static void sum_block(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct sums *s = arg;
    int64_t begin = i * SUM_COLUMNS;
    int64_t n = s->n - begin < SUM_COLUMNS ? s->n - begin : SUM_COLUMNS;
    double acc[SUM_COLUMNS] = {0};
    for (int64_t r = 0; r < s->m; r++) {
        const float *g = s->g + r * s->ldg + begin;
        for (int64_t c = 0; c < n; c++)
            acc[c] += (double)g[c];
    }
    for (int64_t c = 0; c < n; c++)
        s->out[begin + c] += (float)acc[c];
}

void back_column_sums(
    float *out, const float *g, int64_t ldg, int64_t m, int64_t n, struct pool *pool)
{
    struct sums s = {out, g, ldg, m, n};
    pool_for(pool, (n + SUM_COLUMNS - 1) / SUM_COLUMNS, sum_block, &s);
}

int back_norm(struct back *b, const float **out, const float *x, const struct back_ln *ln)
{
    int64_t C = b->cfg->d_model;
    const struct trace *t = b->t;
    int layer = site_info(ln->norm_site)->per_layer ? ln->layer : 0;
    *out = t->site[(size_t)ln->norm_site * (size_t)b->cfg->n_layer + (size_t)layer];
    if (*out)
        return 0;
    const float *scale = back_kept(b, ln->scale_site, ln->layer);
    if (!scale)
        return b->e->code;
    struct ln how = {b->cfg->ln, b->cfg->ln_eps, ln->gamma, ln->beta, true};
    /* Frozen: the scales are read, not written. */
    ops_ln(b->norm, C, (float *)scale, x, C, b->rows, C, &how, b->o->pool);
    *out = b->norm;
    return back_redo_edits(b, ln->norm_site, ln->layer, b->norm);
}

/* dm/ds of every row, for the scale site. */
static void scale_gradient(const struct back *b, float *ds, const float *dy, const float *x,
    const float *scale, const float *gamma)
{
    int64_t C = b->cfg->d_model;
    for (int64_t r = 0; r < b->rows; r++) {
        double mean = 0, sum = 0, s = (double)scale[r];
        for (int64_t c = 0; c < C; c++)
            mean += (double)x[r * C + c];
        mean /= (double)C;
        for (int64_t c = 0; c < C; c++)
            sum += (double)dy[r * C + c] * (double)(gamma ? gamma[c] : 1) *
                   ((double)x[r * C + c] - mean);
        ds[r] = b->cfg->ln == LN_LINEAR ? 0 : (float)(-sum / (s * s));
    }
}

/* dx += ds * xc / (C s) with the true scale of x, for scales that an edit changed. */
static void through_scale(
    const struct back *b, float *dx, int64_t lddx, const float *ds, const float *x)
{
    int64_t C = b->cfg->d_model;
    for (int64_t r = 0; r < b->rows; r++) {
        double mean = 0, var = 0;
        for (int64_t c = 0; c < C; c++)
            mean += (double)x[r * C + c];
        mean /= (double)C;
        for (int64_t c = 0; c < C; c++)
            var += ((double)x[r * C + c] - mean) * ((double)x[r * C + c] - mean);
        double k = (double)ds[r] / ((double)C * sqrt(var / (double)C + b->cfg->ln_eps));
        for (int64_t c = 0; c < C; c++)
            dx[r * lddx + c] += (float)(k * ((double)x[r * C + c] - mean));
    }
}

int back_ln(struct back *b, float *dx, int64_t lddx, const float *dy, const float *x,
    const struct back_ln *ln, bool accumulate)
{
    int64_t C = b->cfg->d_model;
    const float *scale = back_kept(b, ln->scale_site, ln->layer);
    if (!scale)
        return b->e->code;
    bool is_touched = back_touched(b, ln->scale_site, ln->layer);
    struct ln how = {b->cfg->ln, b->cfg->ln_eps, ln->gamma, ln->beta, b->is_frozen || is_touched};
    ops_ln_grad(dx, lddx, ln->dgamma, ln->dbeta, dy, C, x, C, scale, b->rows, C, &how, accumulate,
        b->o->pool);
    if (!is_touched && !back_wants(b, ln->scale_site, ln->layer))
        return 0;
    float *ds = back_place(b, ln->scale_site, ln->layer);
    if (!ds)
        return ERR_LIMIT;
    scale_gradient(b, ds, dy, x, scale, ln->gamma);
    if (!is_touched)
        return 0;
    ds = back_pass(b, ln->scale_site, ln->layer, ds);
    if (ds && !b->is_frozen && b->cfg->ln == LN_TRUE)
        through_scale(b, dx, lddx, ds, x);
    return ds ? 0 : b->e->code;
}
