#include "views/fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers that fold into one; NaN is passed over. */
struct fold {
    enum field_reduce how;
    int64_t n;
    double sum, best, mean, apart; /* apart: squared deviations from the mean (Welford 1962) */
};

static void fold_add(struct fold *f, double v)
{
    if (isnan(v))
        return;
    bool first = f->n++ == 0;
    bool better = f->how == FIELD_MAX      ? v > f->best
                  : f->how == FIELD_MIN    ? v < f->best
                  : f->how == FIELD_ABSMAX ? fabs(v) > fabs(f->best)
                                           : false;
    if (first || better)
        f->best = v;
    if (f->how == FIELD_MEAN)
        f->sum += v;
    else if (f->how == FIELD_NORM)
        f->sum += v * v;
    else if (f->how == FIELD_STD) {
        double d = v - f->mean;
        f->mean += d / (double)f->n;
        f->apart += d * (v - f->mean);
    }
}

static double fold_value(const struct fold *f)
{
    if (!f->n)
        return NAN;
    return f->how == FIELD_MEAN   ? f->sum / (double)f->n
           : f->how == FIELD_NORM ? sqrt(f->sum)
           : f->how == FIELD_STD  ? sqrt(f->apart / (double)f->n)
                                  : f->best;
}

static int check_window(const struct field *f, const struct window *w, struct err *e)
{
    for (int i = 0; i < f->rank; i++)
        if (w->start[i] < 0 || w->stride[i] < 1 || w->count[i] < 0 ||
            (w->count[i] > 0 && w->start[i] + (w->count[i] - 1) * w->stride[i] >= f->axes[i].size))
            return err_set(e, ERR_USAGE, "a window outside axis \"%s\" of %lld", f->axes[i].name,
                (long long)f->axes[i].size);
    return 0;
}

/* ---- numbers at hand ---- */

static void fold_box(struct fold *out, const struct field *f, const double *values,
    const struct window *w, const int64_t *at, int axis, int64_t offset)
{
    if (axis == f->rank) {
        fold_add(out, values[offset]);
        return;
    }
    int64_t size = f->axes[axis].size, end = at[axis] + w->stride[axis];
    end = end < size ? end : size;
    for (int64_t i = at[axis]; i < end; i++)
        if (axis + 1 == f->rank)
            fold_add(out, values[offset * size + i]);
        else
            fold_box(out, f, values, w, at, axis + 1, offset * size + i);
}

/* Single values, a run along the last axis at a time. */
static void copy_points(
    const struct field *f, double *out, const double *values, const struct window *w, int64_t n)
{
    int64_t k[FIELD_MAX_RANK] = {0};
    int last = f->rank - 1;
    int64_t row = f->rank ? w->count[last] : 1, step = f->rank ? w->stride[last] : 1;
    for (int64_t done = 0; done < n; done += row) {
        int64_t offset = 0;
        for (int i = 0; i < f->rank; i++)
            offset = offset * f->axes[i].size + w->start[i] + k[i] * w->stride[i];
        for (int64_t c = 0; c < row; c++)
            out[done + c] = values[offset + c * step];
        for (int i = last - 1; i >= 0 && ++k[i] == w->count[i]; i--)
            k[i] = 0;
    }
}

static int fetch_values(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_values *v = f->source_data;
    int64_t n = window_count(w, f->rank), k[FIELD_MAX_RANK] = {0}, at[FIELD_MAX_RANK];
    int rc = check_window(f, w, e);
    if (!rc && reduce == FIELD_POINT)
        copy_points(f, out, v->values, w, n);
    for (int64_t o = 0; o < n && !rc && reduce != FIELD_POINT; o++) {
        struct fold fold = {.how = reduce};
        for (int i = 0; i < f->rank; i++)
            at[i] = w->start[i] + k[i] * w->stride[i];
        fold_box(&fold, f, v->values, w, at, 0, 0);
        out[o] = fold_value(&fold);
        for (int i = f->rank - 1; i >= 0 && ++k[i] == w->count[i]; i--)
            k[i] = 0;
    }
    return rc;
}

static uint64_t values_generation(const struct field *f)
{
    return ((const struct field_values *)f->source_data)->generation;
}

void field_from_values(struct field *f, const struct field_values *v)
{
    f->fetch = fetch_values;
    f->generation = values_generation;
    f->source_data = (void *)v;
}

/* ---- through a function ---- */

static int fetch_mapped(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_mapped *m = f->source_data;
    int rc = m->base.fetch(&m->base, out, w, reduce, e);
    int64_t n = rc ? 0 : window_count(w, f->rank);
    for (int64_t i = 0; i < n; i++)
        out[i] = m->fn(out[i]);
    return rc;
}

static uint64_t mapped_generation(const struct field *f)
{
    const struct field_mapped *m = f->source_data;
    return m->base.generation ? m->base.generation(&m->base) : 0;
}

void field_from_map(struct field *f, const struct field_mapped *m)
{
    f->fetch = fetch_mapped;
    f->generation = mapped_generation;
    f->source_data = (void *)m;
}

/* ---- one axis folded ---- */

/* The base's window behind a window of the folded field: axis `axis` whole, as one cell. */
static struct window behind(const struct field_folded *m, const struct window *w)
{
    struct window b = {0};
    for (int i = 0, k = 0; i < m->base.rank; i++) {
        bool folded = i == m->axis;
        b.start[i] = folded ? 0 : w->start[k];
        b.count[i] = folded ? 1 : w->count[k];
        b.stride[i] = folded ? m->base.axes[i].size : w->stride[k];
        k += !folded;
    }
    return b;
}

/* Cells of several numbers each: the axis is folded for every one of them, then the cell's own
 * reduction follows. One run of cells along the last axis at a time. */
static int fold_run(const struct field *f, double *out, const struct window *w, const int64_t *k,
    enum field_reduce reduce, struct err *e)
{
    const struct field_folded *m = f->source_data;
    struct window fine = {0};
    int last = f->rank - 1;
    int64_t n = 1, step = w->stride[last];
    for (int i = 0; i < f->rank; i++) {
        int64_t first = w->start[i] + k[i] * w->stride[i], left = f->axes[i].size - first;
        int64_t span = i == last ? w->count[i] * w->stride[i] : w->stride[i];
        fine.start[i] = first;
        fine.stride[i] = 1;
        fine.count[i] = span < left ? span : left;
        n *= fine.count[i];
    }
    double *v = malloc((size_t)(n > 0 ? n : 1) * sizeof *v);
    if (!v)
        return err_set(e, ERR_LIMIT, "%s: out of memory (a window)", f->name);
    struct window b = behind(m, &fine);
    int rc = m->base.fetch(&m->base, v, &b, m->how, e);
    int64_t row = fine.count[last];
    for (int64_t c = 0; c < w->count[last] && !rc; c++) {
        struct fold fold = {.how = reduce};
        for (int64_t r = 0; r < n / row; r++)
            for (int64_t i = c * step; i < (c + 1) * step && i < row; i++)
                fold_add(&fold, v[r * row + i]);
        out[c] = fold_value(&fold);
    }
    free(v);
    return rc;
}

static int fetch_folded(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_folded *m = f->source_data;
    int64_t k[FIELD_MAX_RANK] = {0}, n = window_count(w, f->rank);
    bool is_fine = true;
    int rc = check_window(f, w, e);
    for (int i = 0; i < f->rank; i++)
        is_fine = is_fine && w->stride[i] == 1;
    if (rc || n <= 0)
        return rc;
    if (is_fine) {
        struct window b = behind(m, w);
        return m->base.fetch(&m->base, out, &b, m->how, e);
    }
    int last = f->rank - 1;
    for (int64_t done = 0; done < n && !rc; done += w->count[last]) {
        if (reduce == FIELD_POINT) {
            struct window one = *w;
            for (int i = 0; i < last; i++) {
                one.start[i] += k[i] * w->stride[i];
                one.count[i] = one.stride[i] = 1;
            }
            one.count[last] = one.stride[last] = 1;
            for (int64_t c = 0; c < w->count[last] && !rc; c++) {
                one.start[last] = w->start[last] + c * w->stride[last];
                struct window b = behind(m, &one);
                rc = m->base.fetch(&m->base, out + done + c, &b, m->how, e);
            }
        } else {
            rc = fold_run(f, out + done, w, k, reduce, e);
        }
        for (int i = last - 1; i >= 0 && ++k[i] == w->count[i]; i--)
            k[i] = 0;
    }
    return rc;
}

static uint64_t folded_generation(const struct field *f)
{
    const struct field_folded *m = f->source_data;
    uint64_t g = m->base.generation ? m->base.generation(&m->base) : 0;
    return g * FIELD_REDUCE_COUNT * FIELD_MAX_RANK + (uint64_t)m->how * FIELD_MAX_RANK +
           (uint64_t)m->axis;
}

int field_from_fold(struct field *f, struct field_folded *m, struct err *e)
{
    const struct field *base = &m->base;
    if (m->axis < 0 || m->axis >= base->rank || base->axes[m->axis].size < 1)
        return err_set(e, ERR_USAGE, "%s has no such axis with anything to reduce",
            base->name ? base->name : "this block");
    bool computed = m->how == FIELD_MEAN || m->how == FIELD_NORM || m->how == FIELD_STD;
    const char *name = base->long_name && *base->long_name ? base->long_name : base->name;
    snprintf(m->long_name, sizeof m->long_name, "%s over %s of %s", reduce_name(m->how),
        base->axes[m->axis].name, name ? name : "");
    *f = *base;
    f->long_name = m->long_name;
    f->dtype = computed ? DT_F64 : base->dtype;
    f->is_signed = base->is_signed && m->how != FIELD_NORM && m->how != FIELD_STD;
    f->rank = base->rank - 1;
    memmove(
        &f->axes[m->axis], &f->axes[m->axis + 1], (size_t)(f->rank - m->axis) * sizeof f->axes[0]);
    f->look = f->rank < 2 && f->look != LOOK_TOKENS ? LOOK_BARS : f->look;
    f->fetch = fetch_folded;
    f->generation = folded_generation;
    f->source_data = m;
    return 0;
}

/* ---- ranges of the axes ---- */

#define LABELS_MAX 1000000 /* held for a range */

/* Cell by cell, so that a box at the end of a range takes in nothing from behind it. */
static int fetch_boxes(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_cut *m = f->source_data;
    int64_t n = window_count(w, f->rank), k[FIELD_MAX_RANK] = {0};
    int rc = 0;
    for (int64_t o = 0; o < n && !rc; o++) {
        struct window one = {0};
        for (int i = 0; i < f->rank; i++) {
            int64_t at = w->start[i] + k[i] * w->stride[i], left = f->axes[i].size - at;
            one.start[i] = m->first[i] + at;
            one.count[i] = 1;
            one.stride[i] = w->stride[i] < left ? w->stride[i] : left;
        }
        rc = m->base.fetch(&m->base, out + o, &one, reduce, e);
        for (int i = f->rank - 1; i >= 0 && ++k[i] == w->count[i]; i--)
            k[i] = 0;
    }
    return rc;
}

static int fetch_cut(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_cut *m = f->source_data;
    struct window b = *w;
    int rc = check_window(f, w, e);
    bool hangs = false;
    for (int i = 0; i < f->rank; i++) {
        int64_t end = w->start[i] + w->count[i] * w->stride[i];
        hangs =
            hangs || (end > f->axes[i].size && m->first[i] + m->count[i] < m->base.axes[i].size);
        b.start[i] += m->first[i];
    }
    if (rc || (hangs && reduce != FIELD_POINT))
        return rc ? rc : fetch_boxes(f, out, w, reduce, e);
    return m->base.fetch(&m->base, out, &b, reduce, e);
}

static uint64_t cut_generation(const struct field *f)
{
    const struct field_cut *m = f->source_data;
    return m->base.generation ? m->base.generation(&m->base) : 0;
}

/* What the axis says of its indices from `first` on, numbers included. */
static int copy_labels(struct axis *x, int64_t first, struct arena *arena, struct err *e)
{
    const char **labels = arena_array(arena, (size_t)x->size, sizeof *labels, e);
    if (!labels)
        return e->code;
    for (int64_t i = 0; i < x->size; i++) {
        char buf[256];
        labels[i] = arena_strdup(arena, axis_label(x, first + i, buf, sizeof buf), e);
        if (!labels[i])
            return e->code;
    }
    x->labels = labels;
    x->label = NULL;
    return 0;
}

int field_from_cut(struct field *f, struct field_cut *m, struct arena *a, struct err *e)
{
    *f = m->base;
    for (int i = 0; i < f->rank; i++) {
        struct axis *x = &f->axes[i];
        if (m->count[i] == x->size)
            continue;
        x->size = m->count[i];
        if (x->labels)
            x->labels += m->first[i];
        else if (m->first[i] && x->size > 0 && x->size <= LABELS_MAX &&
                 copy_labels(x, m->first[i], a, e))
            return e->code;
    }
    f->fetch = fetch_cut;
    f->generation = cut_generation;
    f->source_data = m;
    return 0;
}
