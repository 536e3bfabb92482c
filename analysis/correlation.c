#include "analysis/correlation.h"

#include <math.h>
#include <stdlib.h>

static double pearson(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

struct ranked {
    double value;
    int64_t at;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Ranks from 1, ties share their mean. */
static void ranks(double *out, const double *x, struct ranked *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        r[i] = (struct ranked){x[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && r[end].value == r[i].value; end++)
            ;
        for (int64_t k = i; k < end; k++)
            out[r[k].at] = (double)(i + end + 1) / 2;
    }
}

int correlation(
    double out[2], const double *x, const double *y, int64_t n, struct arena *a, struct err *e)
{
    struct arena_mark mark = arena_mark(a);
    double *rank = arena_array(a, 2 * (size_t)n + 1, sizeof *rank, e);
    struct ranked *r = arena_array(a, (size_t)n + 1, sizeof *r, e);
    if (!rank || !r)
        return ERR_LIMIT;
    ranks(rank, x, r, n);
    ranks(rank + n, y, r, n);
    out[0] = pearson(x, y, n);
    out[1] = pearson(rank, rank + n, n);
    arena_rewind(a, mark);
    return 0;
}
