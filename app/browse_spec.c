#include "app/browse_spec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_io.h"

const char *const agg_names[AGGS] = {"sample", "mean", "max", "min", "absmax", "norm", "std"};

/* ---- sums of many values ---- */

#define EACH(BODY)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
        double x = v[i * step];                                                                    \
        if (isnan(x))                                                                              \
            continue;                                                                              \
        k++;                                                                                       \
        BODY;                                                                                      \
    }                                                                                              \
    break

void acc_add(struct acc *acc, enum agg how, const double *v, int64_t n, int64_t step)
{
    double k = acc->n, a = acc->a, b = acc->b;
    switch (how) {
    case AGG_MEAN:
        EACH(a += x);
    case AGG_NORM:
        EACH(a += x * x);
    case AGG_MAX:
        EACH(a = k == 1 || x > a ? x : a);
    case AGG_MIN:
        EACH(a = k == 1 || x < a ? x : a);
    case AGG_ABSMAX:
        EACH(a = k == 1 || fabs(x) > fabs(a) ? x : a);
    case AGG_STD: /* Welford 1962 */
        EACH(double apart = x - a; a += apart / k; b += apart * (x - a));
    default:
        EACH(a = k == 1 ? x : a);
    }
    *acc = (struct acc){k, a, b};
}

double acc_value(const struct acc *acc, enum agg how)
{
    return acc->n < 1        ? NAN
           : how == AGG_MEAN ? acc->a / acc->n
           : how == AGG_NORM ? sqrt(acc->a)
           : how == AGG_STD  ? sqrt(acc->b / acc->n)
                             : acc->a;
}

/* ---- statistics ---- */

#define BINS ((int)(sizeof((struct plane_stats *)0)->bins / sizeof(int64_t)))

/* Twice as wide bins, kept on the side where the new value lies. */
static void widen_bins(struct plane_stats *s, bool downward)
{
    int64_t merged[BINS] = {0};
    for (int i = 0; i < BINS / 2; i++)
        merged[downward ? BINS / 2 + i : i] = s->bins[2 * i] + s->bins[2 * i + 1];
    memcpy(s->bins, merged, sizeof merged);
    if (downward)
        s->lo -= s->step * BINS;
    s->step *= 2;
}

static void put_bin(struct plane_stats *s, double v)
{
    if (!(s->step > 0)) {
        /* The first values decide where the bins lie; they grow by doubling from there. */
        double size = fabs(v) > 0 ? fabs(v) : 1;
        s->step = exp2(floor(log2(size))) / 16;
        if (!(s->step > 0))
            s->step = 0x1p-1000;
        s->lo = floor(v / s->step) * s->step - s->step * (BINS / 2);
    }
    while (v < s->lo && s->step < 1e300)
        widen_bins(s, true);
    while (v >= s->lo + s->step * BINS && s->step < 1e300)
        widen_bins(s, false);
    double at = (v - s->lo) / s->step;
    s->bins[at < 0 ? 0 : at >= BINS ? BINS - 1 : (int)at]++;
}

void stats_add(struct plane_stats *s, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(v[i]) || isinf(v[i])) {
            s->nan += isnan(v[i]);
            s->inf += isinf(v[i]) != 0;
            continue;
        }
        s->n++;
        s->min = s->n == 1 || v[i] < s->min ? v[i] : s->min;
        s->max = s->n == 1 || v[i] > s->max ? v[i] : s->max;
        double apart = v[i] - s->mean;
        s->mean += apart / (double)s->n;
        s->m2 += apart * (v[i] - s->mean);
        put_bin(s, v[i]);
    }
}

/* ---- what is shared between threads ---- */

struct order *order_share(struct order *o)
{
    if (o)
        atomic_fetch_add(&o->refs, 1);
    return o;
}

void order_release(struct order **o)
{
    struct order *own = *o;
    *o = NULL;
    if (own && atomic_fetch_sub(&own->refs, 1) == 1)
        free(own);
}

struct sheet *sheet_create(int64_t rows, int64_t cols, struct err *e)
{
    struct sheet *s = calloc(1, sizeof *s);
    if (s)
        s->values = malloc((size_t)(rows * cols) * sizeof *s->values);
    if (!s || !s->values) {
        free(s);
        err_set(e, ERR_LIMIT, "out of memory (%lld aggregated cells)", (long long)(rows * cols));
        return NULL;
    }
    for (int64_t i = 0; i < rows * cols; i++)
        s->values[i] = NAN;
    s->rows = rows;
    s->cols = cols;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct sheet *sheet_share(struct sheet *s)
{
    if (s)
        atomic_fetch_add(&s->refs, 1);
    return s;
}

void sheet_release(struct sheet **s)
{
    struct sheet *own = *s;
    *s = NULL;
    if (!own || atomic_fetch_sub(&own->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&own->lock);
    free(own->values);
    free(own);
}

struct spec *spec_copy(const struct spec *s)
{
    static atomic_uint_fast64_t ids;
    struct spec *copy = malloc(sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *s;
    atomic_init(&copy->refs, 1);
    copy->id = atomic_fetch_add(&ids, 1) + 1;
    order_share(copy->row_order);
    order_share(copy->col_order);
    sheet_share(copy->sheet);
    return copy;
}

struct spec *spec_share(struct spec *s)
{
    if (s)
        atomic_fetch_add(&s->refs, 1);
    return s;
}

void spec_release(struct spec **s)
{
    struct spec *own = *s;
    *s = NULL;
    if (!own || atomic_fetch_sub(&own->refs, 1) != 1)
        return;
    order_release(&own->row_order);
    order_release(&own->col_order);
    sheet_release(&own->sheet);
    free(own);
}

bool spec_is_table(const struct spec *s)
{
    return s->n->kind == NODE_TABLE || s->n->kind == NODE_TEXTS;
}

int64_t spec_rows(const struct spec *s)
{
    return s->row < 0 ? 1 : s->cut[s->row].n;
}

int64_t spec_cols(const struct spec *s)
{
    return spec_is_table(s) ? s->n->n_columns : s->col < 0 ? 1 : s->cut[s->col].n;
}

int64_t spec_index(const struct spec *s, bool is_row, int64_t i)
{
    int axis = is_row ? s->row : s->col;
    const struct order *o = is_row ? s->row_order : s->col_order;
    if (axis < 0)
        return i;
    int64_t at = o && i >= 0 && i < o->n ? o->index[i] : i;
    return s->cut[axis].start + at * s->cut[axis].step;
}

bool spec_has_agg(const struct spec *s)
{
    for (int i = 0; i < s->n->rank; i++)
        if (s->is_agg[i])
            return true;
    return false;
}

/* ---- reading ---- */

#define PIECE ((int64_t)1 << 18) /* values read at once */

struct reading {
    const struct spec *s;
    struct tree *t;
    const struct io_window *w;
    bool (*stop)(void *arg);
    void *arg;
    double *piece;
};

/* A box of plane cells that lie side by side, or `step` apart, in the document's order of axes. */
static int read_box(double *out, int64_t *raw, const struct reading *r, int64_t row, int64_t nr,
    int64_t rs, int64_t col, int64_t nc, int64_t cs, struct err *e)
{
    const struct spec *s = r->s;
    int64_t start[TREE_RANK], count[TREE_RANK], stride[TREE_RANK];
    for (int i = 0; i < s->n->rank; i++) {
        start[i] = s->at[i];
        count[i] = stride[i] = 1;
    }
    if (s->row >= 0) {
        start[s->row] = spec_index(s, true, row);
        count[s->row] = nr;
        stride[s->row] = s->cut[s->row].step * rs;
    }
    if (s->col >= 0) {
        start[s->col] = spec_index(s, false, col);
        count[s->col] = nc;
        stride[s->col] = s->cut[s->col].step * cs;
    }
    return tree_read(out, raw, r->t, s->node, start, count, stride, e);
}

/* Where row i, column j of a box lie in what read_box gave. */
static int64_t place(const struct spec *s, int64_t nr, int64_t nc, int64_t i, int64_t j)
{
    return s->row >= 0 && s->col >= 0 && s->col < s->row ? j * nr + i : i * nc + j;
}

/* Ordered rows or columns lie anywhere: one by one. */
static int read_points(double *out, int64_t *raw, const struct reading *r, int64_t row, int64_t nr,
    int64_t col, int64_t nc, struct err *e)
{
    const struct io_window *w = r->w;
    int64_t lot_r = r->s->row_order ? 1 : nr, lot_c = r->s->col_order ? 1 : nc;
    bool direct = lot_r == nr && lot_c == nc;
    double *box = direct && place(r->s, nr, nc, 0, 1) == 1 ? out : r->piece;
    int64_t *raw_box = raw && box != out ? malloc((size_t)(lot_r * lot_c) * sizeof *raw) : raw;
    int rc = raw && !raw_box ? err_set(e, ERR_LIMIT, "out of memory (a window)") : 0;
    for (int64_t i = 0; i < nr && !rc; i += lot_r)
        for (int64_t j = 0; j < nc && !rc; j += lot_c) {
            if (r->stop && r->stop(r->arg))
                rc = err_set(e, ERR_CANCEL, "nobody waits for it any more");
            if (!rc)
                rc = read_box(box, raw_box, r, row + i * w->rs, lot_r, w->rs, col + j * w->cs,
                    lot_c, w->cs, e);
            for (int64_t y = 0; !rc && box != out && y < lot_r; y++)
                for (int64_t x = 0; x < lot_c; x++) {
                    int64_t to = (i + y) * nc + j + x, from = place(r->s, lot_r, lot_c, y, x);
                    out[to] = box[from];
                    if (raw)
                        raw[to] = raw_box[from];
                }
        }
    if (raw_box != raw)
        free(raw_box);
    return rc;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Folds the source cells of the window, piece by piece. */
static int read_folded(double *out, const struct reading *r, struct acc *acc, struct err *e)
{
    const struct io_window *w = r->w;
    const struct spec *s = r->s;
    struct io_window plain = {.rs = 1, .cs = 1};
    struct reading one = *r;
    int64_t r_end = least(spec_rows(s), w->r0 + w->nr * w->rs);
    int64_t c_end = least(spec_cols(s), w->c0 + w->nc * w->cs);
    int64_t lot_c = least(c_end - w->c0, PIECE / 2);
    int64_t lot_r = PIECE / 2 / lot_c > 0 ? PIECE / 2 / lot_c : 1;
    double *flat = r->piece + PIECE / 2;
    one.w = &plain;
    for (int64_t row = w->r0; row < r_end; row += lot_r)
        for (int64_t col = w->c0; col < c_end; col += lot_c) {
            int64_t nr = least(lot_r, r_end - row), nc = least(lot_c, c_end - col);
            int rc = read_points(flat, NULL, &one, row, nr, col, nc, e);
            if (rc)
                return rc;
            for (int64_t i = 0; i < nr; i++) {
                int64_t o = (row + i - w->r0) / w->rs * w->nc;
                for (int64_t j = 0; j < nc;) {
                    int64_t at = col + j - w->c0, n = least(w->cs - at % w->cs, nc - j);
                    acc_add(&acc[o + at / w->cs], w->how, flat + i * nc + j, n, 1);
                    j += n;
                }
            }
        }
    for (int64_t i = 0; i < w->nr * w->nc; i++)
        out[i] = acc_value(&acc[i], w->how);
    return 0;
}

int spec_read(double *out, int64_t *raw, const struct spec *s, struct tree *t,
    const struct io_window *w, bool (*stop)(void *arg), void *arg, struct err *e)
{
    struct reading r = {.s = s, .t = t, .w = w, .stop = stop, .arg = arg};
    bool is_folded = w->how != AGG_POINT && (w->rs > 1 || w->cs > 1);
    int64_t n = w->nr * w->nc;
    if (n < 1)
        return 0;
    size_t room = (size_t)(is_folded || n < PIECE ? PIECE : n);
    r.piece = malloc(room * sizeof *r.piece);
    struct acc *acc = is_folded ? calloc((size_t)n, sizeof *acc) : NULL;
    int rc = !r.piece || (is_folded && !acc) ? err_set(e, ERR_LIMIT, "out of memory (a window)")
             : is_folded                     ? read_folded(out, &r, acc, e)
                         : read_points(out, raw, &r, w->r0, w->nr, w->c0, w->nc, e);
    free(r.piece);
    free(acc);
    return rc;
}
