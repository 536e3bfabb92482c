#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"

#define WIDEN(TYPE)                                                                                \
    for (int64_t i = 0; i < n; i++)                                                                \
    out[i] = (double)((const TYPE *)in)[i * step]

/* Many at once where they lie side by side: the conversion is vectorised. */
static void widen_halves(double *out, const uint16_t *in, enum dtype t, int64_t n, int64_t step)
{
    float some[256];
    int64_t lot = step == 1 ? 256 : 1;
    for (int64_t i = 0; i < n; i += lot) {
        int64_t k = n - i < lot ? n - i : lot;
        tensor_widen(some, in + i * step, t, k);
        for (int64_t j = 0; j < k; j++)
            out[i + j] = (double)some[j];
    }
}

void values_widen(double *out, const void *in, enum dtype t, int64_t n, int64_t step)
{
    switch (t) {
    case DT_F32:
        WIDEN(float);
        break;
    case DT_F64:
        WIDEN(double);
        break;
    case DT_F16:
    case DT_BF16:
        widen_halves(out, in, t, n, step);
        break;
    case DT_I8:
        WIDEN(int8_t);
        break;
    case DT_I16:
        WIDEN(int16_t);
        break;
    case DT_I32:
        WIDEN(int32_t);
        break;
    case DT_I64:
        WIDEN(int64_t);
        break;
    case DT_U16:
        WIDEN(uint16_t);
        break;
    case DT_U32:
        WIDEN(uint32_t);
        break;
    case DT_U64:
        WIDEN(uint64_t);
        break;
    default: /* U8 and BOOL */
        WIDEN(uint8_t);
        break;
    }
}

bool piece_next(struct piece *p, const struct block_spec *s)
{
    int64_t inner = 1;
    int k = s->rank - 1;
    while (k > 0 && inner * s->axes[k].size <= PIECE)
        inner *= s->axes[k--].size;
    if (!p->begun) {
        *p = (struct piece){.begun = true};
        for (int i = 0; i < s->rank; i++)
            if (!s->axes[i].size)
                return false;
    } else {
        p->first += p->n;
        int i = k;
        if (i >= 0)
            p->start[i] += p->count[i];
        while (i >= 0 && p->start[i] >= s->axes[i].size) {
            p->start[i] = 0;
            if (--i >= 0)
                p->start[i]++;
        }
        if (i < 0)
            return false;
    }
    for (int i = 0; i < s->rank; i++)
        p->count[i] = i < k ? 1 : s->axes[i].size;
    if (k >= 0) {
        int64_t rows = PIECE / inner > 0 ? PIECE / inner : 1, left = s->axes[k].size - p->start[k];
        p->count[k] = rows < left ? rows : left;
    }
    p->n = dims_count(p->count, s->rank);
    return true;
}

/* ---- reading a box of cells as double ---- */

static void read_memory(double *out, const struct block *b, int column, const int64_t *start,
    const int64_t *count, const int64_t *stride)
{
    const struct block_spec *s = &b->spec;
    int64_t at[FIELD_MAX_RANK] = {0}, n = dims_count(count, s->rank);
    if (column >= 0) {
        for (int64_t i = 0; i < n; i++)
            out[i] = b->cells[(start[0] + i * stride[0]) * s->n_columns + column].number;
        return;
    }
    if (!b->data) {
        for (int64_t i = 0; i < n; i++)
            out[i] = NAN;
        return;
    }
    int last = s->rank - 1;
    int64_t row = s->rank ? count[last] : 1, step = s->rank ? stride[last] : 1;
    for (int64_t done = 0; done < n; done += row) {
        int64_t offset = 0;
        for (int i = 0; i < s->rank; i++)
            offset = offset * s->axes[i].size + start[i] + at[i] * stride[i];
        values_widen(out + done, (const char *)b->data + (size_t)offset * dtype_bytes(s->dtype),
            s->dtype, row, step);
        for (int i = last - 1; i >= 0 && ++at[i] == count[i]; i--)
            at[i] = 0;
    }
}

static int read_file(double *out, const struct block *b, int column, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    int64_t n = dims_count(count, b->spec.rank);
    if (column >= 0)
        return file_read(out, b, column, start, count, stride, e);
    size_t bytes = (size_t)n * dtype_bytes(b->spec.dtype);
    void *raw = malloc(bytes ? bytes : 1);
    if (!raw)
        return err_set(e, ERR_LIMIT, "%s: out of memory (%zu bytes)", b->path, bytes);
    int rc = file_read(raw, b, -1, start, count, stride, e);
    if (!rc)
        values_widen(out, raw, b->spec.dtype, n, 1);
    free(raw);
    return rc;
}

static int read_box(double *out, const struct column_source *s, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    if (s->block->run->report->file)
        return read_file(out, s->block, s->column, start, count, stride, e);
    read_memory(out, s->block, s->column, start, count, stride);
    return 0;
}

/* ---- windows and reductions ---- */

/* The cells of the window that exist, and how they fold into the output. */
struct plan {
    int rank;
    int64_t start[FIELD_MAX_RANK], count[FIELD_MAX_RANK], stride[FIELD_MAX_RANK];
    int64_t fold[FIELD_MAX_RANK];     /* cells of the source per cell of the output */
    int64_t out_step[FIELD_MAX_RANK]; /* distance in the output */
    int64_t tile[FIELD_MAX_RANK];
};

/* False: nothing of the window lies inside the field. */
static bool plan_window(
    struct plan *p, const struct field *f, const int64_t *size, const struct window *w, bool point)
{
    bool some = true;
    int64_t step = 1;
    *p = (struct plan){.rank = f->rank};
    for (int i = f->rank - 1; i >= 0; i--) {
        int64_t stride = w->stride[i] > 0 ? w->stride[i] : 1, left = size[i] - w->start[i];
        p->start[i] = w->start[i];
        p->out_step[i] = step;
        step *= w->count[i];
        int64_t cells = left <= 0 ? 0 : (left - 1) / stride + 1;
        if (cells > w->count[i])
            cells = w->count[i];
        some = some && cells > 0;
        p->stride[i] = point ? stride : 1;
        p->fold[i] = point ? 1 : stride;
        p->count[i] = cells;
        if (!point)
            p->count[i] = cells < w->count[i] || left / stride < cells ? left : cells * stride;
    }
    int64_t room = PIECE;
    for (int i = f->rank - 1; i >= 0; i--) {
        p->tile[i] = p->count[i] < room ? p->count[i] : room;
        room = p->tile[i] ? room / p->tile[i] : room;
        if (room < 1)
            room = 1;
    }
    return some;
}

/* Chan, Golub and LeVeque 1979: count, mean and sum of squared deviations of two lots in one. */
static void fold_deviations(double *mean, double *squares, double *n, const double *v, int64_t m)
{
    double k = 0, sum = 0, apart = 0;
    for (int64_t i = 0; i < m; i++) {
        sum += isnan(v[i]) ? 0 : v[i];
        k += !isnan(v[i]);
    }
    if (k == 0)
        return;
    for (int64_t i = 0; i < m; i++)
        apart += isnan(v[i]) ? 0 : (v[i] - sum / k) * (v[i] - sum / k);
    double shift = *n > 0 ? sum / k - *mean : 0;
    *squares = (*n > 0 ? *squares : 0) + apart + shift * shift * *n * k / (*n + k);
    *mean = *n > 0 ? *mean + shift * k / (*n + k) : sum / k;
    *n += k;
}

/* Folds m cells that lie side by side into one cell of the output; n counts what was folded so far. */
static void fold_cells(double *to, double *n, const double *v, int64_t m, enum field_reduce how)
{
    double sum = 0, best = *n > 0 ? *to : NAN;
    int64_t count = 0;
    if (how == FIELD_MEAN || how == FIELD_NORM) {
        for (int64_t i = 0; i < m; i++) {
            double x = how == FIELD_NORM ? v[i] * v[i] : v[i];
            sum += isnan(x) ? 0 : x;
            count += !isnan(x);
        }
        if (count)
            *to = *n > 0 ? *to + sum : sum;
        *n += (double)count;
        return;
    }
    /* Comparisons with NaN are false: the first number replaces it, none replaces a number by NaN. */
    for (int64_t i = 0; i < m; i++) {
        bool better = how == FIELD_MAX      ? v[i] > best
                      : how == FIELD_MIN    ? v[i] < best
                      : how == FIELD_ABSMAX ? fabs(v[i]) > fabs(best)
                                            : true;
        if (!isnan(v[i]) && (isnan(best) || better))
            best = v[i];
        count += !isnan(v[i]);
    }
    if (count)
        *to = best;
    *n += (double)count;
}

/* Folds one tile of cells into the output. */
static void fold_tile(double *out, double *n, double *squares, const double *cells,
    const struct plan *p, const int64_t *from, const int64_t *count, enum field_reduce how)
{
    int64_t at[FIELD_MAX_RANK] = {0}, total = dims_count(count, p->rank);
    int last = p->rank - 1;
    int64_t row = p->rank ? count[last] : 1, fold = p->rank ? p->fold[last] : 1;
    int64_t begin = p->rank ? from[last] : 0;
    for (int64_t done = 0; done < total; done += row) {
        int64_t o = begin / fold, room = fold - begin % fold;
        for (int i = 0; i < last; i++)
            o += (from[i] + at[i]) / p->fold[i] * p->out_step[i];
        for (int64_t k = 0; k < row; room = fold, o++) {
            int64_t m = room < row - k ? room : row - k;
            if (how == FIELD_STD)
                fold_deviations(&out[o], &squares[o], &n[o], cells + done + k, m);
            else
                fold_cells(&out[o], &n[o], cells + done + k, m, how);
            k += m;
        }
        for (int i = last - 1; i >= 0 && ++at[i] == count[i]; i--)
            at[i] = 0;
    }
}

static int fold_all(double *out, double *n, double *squares, double *cells,
    const struct column_source *s, const struct plan *p, enum field_reduce how, struct err *e)
{
    int64_t from[FIELD_MAX_RANK] = {0};
    for (;;) {
        int64_t start[FIELD_MAX_RANK], count[FIELD_MAX_RANK];
        for (int i = 0; i < p->rank; i++) {
            start[i] = p->start[i] + from[i] * p->stride[i];
            count[i] = p->count[i] - from[i] < p->tile[i] ? p->count[i] - from[i] : p->tile[i];
        }
        int rc = read_box(cells, s, start, count, p->stride, e);
        if (rc)
            return rc;
        fold_tile(out, n, squares, cells, p, from, count, how);
        int i = p->rank - 1;
        while (i >= 0 && (from[i] += p->tile[i]) >= p->count[i])
            from[i--] = 0;
        if (i < 0)
            return 0;
    }
}

static int fetch(double *out, const struct field *f, const struct window *w, int64_t total,
    enum field_reduce reduce, struct err *e)
{
    const struct column_source *s = f->source_data;
    int64_t size[FIELD_MAX_RANK];
    struct plan p;
    for (int i = 0; i < f->rank; i++)
        size[i] = s->block->spec.n_columns ? s->block->rows : s->block->spec.axes[i].size;
    for (int64_t i = 0; i < total; i++)
        out[i] = NAN;
    if (!plan_window(&p, f, size, w, reduce == FIELD_POINT))
        return 0;
    double *n = calloc((size_t)total, sizeof *n);
    double *squares = reduce == FIELD_STD ? calloc((size_t)total, sizeof *squares) : n;
    double *cells = malloc((size_t)dims_count(p.tile, p.rank) * sizeof *cells);
    int rc = n && squares && cells
                 ? fold_all(out, n, squares, cells, s, &p, reduce, e)
                 : err_set(e, ERR_LIMIT, "%s: out of memory (a window)", s->block->path);
    for (int64_t i = 0; i < total && !rc; i++) {
        if (reduce == FIELD_MEAN && n[i] > 0)
            out[i] /= n[i];
        else if (reduce == FIELD_NORM && n[i] > 0)
            out[i] = sqrt(out[i]);
        else if (reduce == FIELD_STD && n[i] > 0)
            out[i] = sqrt(squares[i] / n[i]);
    }
    if (squares != n)
        free(squares);
    free(n);
    free(cells);
    return rc;
}

int block_fetch(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct column_source *s = f->source_data;
    int64_t total = window_count(w, f->rank);
    for (int i = 0; i < f->rank; i++)
        if (w->start[i] < 0)
            total = -1;
    if (total < 0 || total > INT64_MAX / 16)
        return err_set(e, ERR_USAGE, "%s: a window outside the block", s->block->path);
    if (!total)
        return 0;
    report_lock(s->block->run->report, false);
    return report_unlock(s->block->run->report, fetch(out, f, w, total, reduce, e));
}
