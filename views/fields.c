#include "views/fields.h"

#include <math.h>

/* One output cell: the cells it stands for are a box of `stride` along each axis. */
struct box {
    const struct field *f;
    const double *values;
    const struct window *w;
    enum field_reduce reduce;
    double sum, best;
    int64_t n;
};

static void box_add(struct box *b, double v)
{
    if (isnan(v))
        return;
    bool first = b->n++ == 0;
    switch (b->reduce) {
    case FIELD_MEAN:
        b->sum += v;
        break;
    case FIELD_NORM:
        b->sum += v * v;
        break;
    case FIELD_MAX:
        b->best = first ? v : fmax(b->best, v);
        break;
    case FIELD_MIN:
        b->best = first ? v : fmin(b->best, v);
        break;
    case FIELD_ABSMAX:
        b->best = first || fabs(v) > fabs(b->best) ? v : b->best;
        break;
    case FIELD_POINT:
        b->best = first ? v : b->best;
        break;
    }
}

static void box_walk(struct box *b, const int64_t *at, int axis, int64_t offset)
{
    if (axis == b->f->rank) {
        box_add(b, b->values[offset]);
        return;
    }
    int64_t size = b->f->axes[axis].size;
    int64_t span = b->reduce == FIELD_POINT ? 1 : b->w->stride[axis];
    for (int64_t i = at[axis]; i < at[axis] + span && i < size; i++)
        box_walk(b, at, axis + 1, offset * size + i);
}

static int fetch_values(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_values *v = f->source_data;
    int64_t n = window_count(w, f->rank), k[FIELD_MAX_RANK] = {0}, at[FIELD_MAX_RANK];
    for (int i = 0; i < f->rank; i++)
        if (w->start[i] < 0 || w->stride[i] < 1 || w->count[i] < 0 ||
            (w->count[i] > 0 && w->start[i] + (w->count[i] - 1) * w->stride[i] >= f->axes[i].size))
            return err_set(e, ERR_USAGE, "a window outside axis \"%s\" of %lld", f->axes[i].name,
                (long long)f->axes[i].size);
    for (int64_t o = 0; o < n; o++) {
        struct box b = {.f = f, .values = v->values, .w = w, .reduce = reduce};
        for (int i = 0; i < f->rank; i++)
            at[i] = w->start[i] + k[i] * w->stride[i];
        box_walk(&b, at, 0, 0);
        out[o] = !b.n                   ? NAN
                 : reduce == FIELD_MEAN ? b.sum / (double)b.n
                 : reduce == FIELD_NORM ? sqrt(b.sum)
                                        : b.best;
        for (int i = f->rank - 1; i >= 0 && ++k[i] == w->count[i]; i--)
            k[i] = 0;
    }
    return 0;
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
