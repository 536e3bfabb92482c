#include <math.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"

#define ROWS 8     /* of one task */
#define BLOCK 512  /* rows whose statistics are kept for the column sums */
#define COLUMNS 64 /* of one task of the column sums */

struct ln_job {
    const struct kernels *kern;
    float *y;
    int64_t ldy;
    float *scale;
    const float *x;
    int64_t ldx, m, c;
    const struct ln *ln;
};

static void ln_rows(void *arg, int64_t i, int worker)
{
    const struct ln_job *j = arg;
    (void)worker;
    for (int64_t r = i * ROWS; r < (i + 1) * ROWS && r < j->m; r++) {
        const float *x = j->x + r * j->ldx;
        double mean, ss = 0;
        bool need = j->ln->kind == LN_TRUE && !j->ln->frozen;
        j->kern->moments(&mean, need ? &ss : NULL, x, j->c);
        float s = 1.0f;
        if (j->ln->kind == LN_TRUE)
            s = need ? (float)sqrt(ss / (double)j->c + j->ln->eps) : j->scale[r];
        if (j->scale && !j->ln->frozen)
            j->scale[r] = s;
        j->kern->ln(j->y + r * j->ldy, x, (float)mean, 1.0f / s, j->ln->gamma, j->ln->beta, j->c);
    }
}

void ops_ln(float *y, int64_t ldy, float *scale, const float *x, int64_t ldx, int64_t m, int64_t c,
    const struct ln *ln, struct pool *pool)
{
    struct ln_job j = {kernels_get(), y, ldy, scale, x, ldx, m, c, ln};
    if (m > 0 && c > 0)
        pool_for(m * c < 16384 ? NULL : pool, (m + ROWS - 1) / ROWS, ln_rows, &j);
}

struct ln_grad_job {
    const struct kernels *kern;
    float *dx;
    int64_t lddx;
    float *dgamma, *dbeta;
    const float *dy;
    int64_t lddy;
    const float *x;
    int64_t ldx;
    const float *scale;
    int64_t m, c;
    const struct ln *ln;
    bool accumulate;
    float *mean, *inv; /* [m] of this block */
};

static void grad_rows(void *arg, int64_t i, int worker)
{
    const struct ln_grad_job *j = arg;
    const bool live = j->ln->kind == LN_TRUE && !j->ln->frozen;
    (void)worker;
    for (int64_t r = i * ROWS; r < (i + 1) * ROWS && r < j->m; r++) {
        const float *x = j->x + r * j->ldx;
        double mean;
        j->kern->moments(&mean, NULL, x, j->c);
        j->mean[r] = (float)mean;
        j->inv[r] = j->ln->kind == LN_TRUE ? 1.0f / j->scale[r] : 1.0f;
        if (j->dx)
            j->kern->ln_grad(j->dx + r * j->lddx, j->dy + r * j->lddy, x, j->mean[r], j->inv[r],
                j->ln->gamma, j->c, live, j->accumulate);
    }
}

static void grad_columns(void *arg, int64_t i, int worker)
{
    const struct ln_grad_job *j = arg;
    int64_t at = i * COLUMNS, n = j->c - at < COLUMNS ? j->c - at : COLUMNS;
    (void)worker;
    j->kern->ln_grad_columns(j->dgamma ? j->dgamma + at : NULL, j->dbeta ? j->dbeta + at : NULL,
        j->dy + at, j->lddy, j->x + at, j->ldx, j->mean, j->inv, j->m, n);
}

void ops_ln_grad(float *dx, int64_t lddx, float *dgamma, float *dbeta, const float *dy,
    int64_t lddy, const float *x, int64_t ldx, const float *scale, int64_t m, int64_t c,
    const struct ln *ln, bool accumulate, struct pool *pool)
{
    float mean[BLOCK], inv[BLOCK];
    if (c <= 0)
        return;
    for (int64_t r = 0; r < m; r += BLOCK) {
        int64_t rows = m - r < BLOCK ? m - r : BLOCK;
        struct ln_grad_job j = {kernels_get(), dx ? dx + r * lddx : NULL, lddx, dgamma, dbeta,
            dy + r * lddy, lddy, x + r * ldx, ldx, scale ? scale + r : NULL, rows, c, ln,
            accumulate, mean, inv};
        struct pool *p = rows * c < 16384 ? NULL : pool;
        /* The column sums read dy before dx may overwrite it. */
        struct ln_grad_job stats = j;
        if (dgamma || dbeta) {
            stats.dx = NULL;
            pool_for(p, (rows + ROWS - 1) / ROWS, grad_rows, &stats);
            pool_for(p, (c + COLUMNS - 1) / COLUMNS, grad_columns, &stats);
        }
        if (dx)
            pool_for(p, (rows + ROWS - 1) / ROWS, grad_rows, &j);
    }
}
