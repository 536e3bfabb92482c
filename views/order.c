#include "views/order.h"

#include <math.h>
#include <stdlib.h>

struct order order_own(int64_t n)
{
    return (struct order){.n = n, .total = n};
}

int order_by_value(struct order *out, const double *v, int64_t n, bool by_abs, int64_t top,
    struct arena *frame, struct err *e)
{
    *out = (struct order){top > 0 && top < n ? top : n, v, NULL, n, by_abs};
    out->index = arena_array(frame, n > 0 ? (size_t)n : 1, sizeof *out->index, e);
    if (!out->index)
        return e->code;
    for (int64_t i = 0; i < n; i++)
        out->index[i] = i;
    return 0;
}

static bool is_before(const struct order *o, int64_t a, int64_t b)
{
    double x = o->v[a], y = o->v[b];
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y) ? a < b : isnan(y);
    if (o->by_abs) {
        x = fabs(x);
        y = fabs(y);
    }
    return x > y || (x == y && a < b);
}

int64_t order_place(const struct order *o, int64_t index)
{
    int64_t place = 0;
    if (!o->v)
        return index;
    for (int64_t i = 0; i < o->total; i++)
        place += is_before(o, i, index);
    return place < o->n ? place : o->n - 1;
}

/* Quickselect (Hoare 1961): afterwards index[k] is the one at place k of [lo, hi), smaller places
 * before it. The middle as pivot keeps sorted input fast. */
static void settle(const struct order *o, int64_t lo, int64_t hi, int64_t k)
{
    int64_t *x = o->index;
    while (hi - lo > 1) {
        int64_t pivot = x[lo + (hi - lo) / 2], i = lo, j = hi - 1;
        while (i <= j) {
            while (is_before(o, x[i], pivot))
                i++;
            while (is_before(o, pivot, x[j]))
                j--;
            if (i <= j) {
                int64_t t = x[i];
                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (k <= j)
            hi = j + 1;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

void order_window(int64_t *out, struct order *o, int64_t first, int64_t count)
{
    if (o->v && first < o->total)
        settle(o, 0, o->total, first);
    /* Each place follows among those that are left: a screen of them costs less than sorting all. */
    if (o->v && first + count < o->total)
        settle(o, first, o->total, first + count);
    for (int64_t k = 0; k < count; k++) {
        if (o->v)
            settle(o, first + k, first + count < o->total ? first + count : o->total, first + k);
        out[k] = o->v ? o->index[first + k] : first + k;
    }
}

int64_t order_at(struct order *o, int64_t place)
{
    int64_t index;
    order_window(&index, o, place, 1);
    return index;
}
