#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_inside.h"
#include "model/core/machine.h"

/* Work over the whole of a plane, in slices short enough that windows never wait for it. */

#define PIECE ((int64_t)1 << 17) /* values of a read */

void job_clear(struct io_task *j)
{
    free(j->accs);
    free(j->piece);
    free(j->values);
    free(j->names);
    free(j->hits);
    order_release(&j->order);
    matcher_release(&j->matcher);
    arena_release(&j->texts);
    j->accs = NULL;
    j->piece = j->values = NULL;
    j->names = NULL;
    j->hits = NULL;
    j->matcher = NULL;
}

/* --- Going through a box of the document ---------------------------------------------------------- */

static int64_t size_of(const struct spec *s, int axis)
{
    return axis == s->row || axis == s->col || s->is_agg[axis] ? s->cut[axis].n : 1;
}

static int scan_begin(struct io_task *j)
{
    const struct spec *s = j->spec;
    int64_t room = PIECE, dim[TREE_RANK];
    for (int i = s->n->rank - 1; i >= 0; i--) {
        dim[i] = size_of(s, i);
        j->lot[i] = dim[i] < room ? dim[i] : room;
        room = j->lot[i] > 0 ? room / j->lot[i] : room;
        room = room < 1 ? 1 : room;
        j->from[i] = 0;
    }
    j->total = dims_count(dim, s->n->rank);
    j->piece = malloc((size_t)PIECE * sizeof *j->piece);
    if (j->total < 0)
        return err_set(&j->e, ERR_LIMIT, "more values than can be counted: cut a slice with =");
    return j->piece ? 0 : err_set(&j->e, ERR_LIMIT, "out of memory (a job)");
}

/* Reads the next piece; count gets its shape. */
static int scan_read(struct io_task *j, struct tree *t, int64_t *count)
{
    const struct spec *s = j->spec;
    int64_t start[TREE_RANK], stride[TREE_RANK];
    for (int i = 0; i < s->n->rank; i++) {
        bool cut = i == s->row || i == s->col || s->is_agg[i];
        int64_t left = size_of(s, i) - j->from[i];
        count[i] = left < j->lot[i] ? left : j->lot[i];
        start[i] = cut ? s->cut[i].start + j->from[i] * s->cut[i].step : s->at[i];
        stride[i] = cut ? s->cut[i].step : 1;
    }
    return tree_read(j->piece, NULL, t, s->node, start, count, stride, &j->e);
}

/* False: that was the last one. */
static bool scan_next(struct io_task *j)
{
    int i = j->spec->n->rank - 1;
    while (i >= 0 && (j->from[i] += j->lot[i]) >= size_of(j->spec, i))
        j->from[i--] = 0;
    return i >= 0;
}

/* --- Statistics and aggregates -------------------------------------------------------------------- */

static bool stats_of_sheet(struct io_task *j)
{
    struct sheet *s = j->spec->sheet;
    pthread_mutex_lock(&s->lock);
    stats_add(&j->stats, s->values, s->rows * s->cols);
    j->done = j->total = s->rows * s->cols;
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* A column of a table. */
static bool stats_of_column(struct io_task *j, struct tree *t)
{
    const struct spec *s = j->spec;
    int columns = s->n->n_columns;
    int64_t n = spec_rows(s) - j->done, lot = PIECE / 16 / columns > 0 ? PIECE / 16 / columns : 1;
    j->total = spec_rows(s);
    n = n < lot ? n : lot;
    if (n < 1)
        return true;
    struct cell_value *cells = malloc((size_t)(n * columns) * sizeof *cells);
    int rc = cells ? 0 : err_set(&j->e, ERR_LIMIT, "out of memory (records)");
    const struct cut *cut = &s->cut[s->row];
    int64_t lot_now = cut->step == 1 ? n : 1; /* one call where rows follow each other */
    for (int64_t i = 0; i < n && !rc; i += lot_now)
        rc = tree_cells(cells + i * columns, t, s->node, cut->start + (j->done + i) * cut->step,
            lot_now, &j->texts, &j->e);
    for (int64_t i = 0; i < n && !rc; i++)
        stats_add(&j->stats, &cells[i * columns + j->line].number, 1);
    free(cells);
    arena_release(&j->texts);
    j->done += n;
    return rc || j->done >= j->total;
}

/* Where a piece's cells go: distances in the sheet along each axis. */
static void add_piece(struct io_task *j, const int64_t *count)
{
    const struct spec *s = j->spec;
    int64_t cols = spec_cols(s), at[TREE_RANK] = {0};
    int last = s->n->rank - 1;
    int64_t n = dims_count(count, s->n->rank), run = last >= 0 ? count[last] : 1;
    int64_t step[TREE_RANK];
    for (int i = 0; i <= last; i++)
        step[i] = i == s->row ? cols : i == s->col ? 1 : 0;
    for (int64_t done = 0; done < n; done += run) {
        int64_t to = 0;
        for (int i = 0; i <= last; i++)
            to += (j->from[i] + at[i]) * step[i];
        if (last < 0 || !step[last])
            acc_add(&j->accs[to], s->how, j->piece + done, run, 1);
        else
            for (int64_t k = 0; k < run; k++)
                acc_add(&j->accs[to + k * step[last]], s->how, j->piece + done + k, 1, 1);
        for (int i = last - 1; i >= 0 && ++at[i] == count[i]; i--)
            at[i] = 0;
    }
}

static void show_sheet(struct io_task *j, bool is_whole)
{
    struct sheet *s = j->spec->sheet;
    pthread_mutex_lock(&s->lock);
    for (int64_t i = 0; i < s->rows * s->cols; i++)
        s->values[i] = acc_value(&j->accs[i], j->spec->how);
    s->is_whole = is_whole;
    s->generation++;
    pthread_mutex_unlock(&s->lock);
}

static bool scan_step(struct io_task *j, struct tree *t)
{
    double until = machine_seconds() + JOB_SLICE;
    bool is_aggregate = j->now.what == IO_AGGREGATE, more = true;
    if (!is_aggregate && j->spec->sheet)
        return stats_of_sheet(j);
    if (spec_is_table(j->spec))
        return stats_of_column(j, t);
    if (!j->is_set_up) {
        if (scan_begin(j))
            return true;
        int64_t cells = is_aggregate ? j->spec->sheet->rows * j->spec->sheet->cols : 1;
        j->accs = calloc((size_t)cells, sizeof *j->accs);
        if (!j->accs)
            return err_set(&j->e, ERR_LIMIT, "out of memory (a job)"), true;
        j->is_set_up = true;
    }
    if (!j->total)
        return true;
    do {
        int64_t count[TREE_RANK];
        if (scan_read(j, t, count))
            return true;
        int64_t n = dims_count(count, j->spec->n->rank);
        if (is_aggregate)
            add_piece(j, count);
        else
            stats_add(&j->stats, j->piece, n);
        j->done += n;
        more = scan_next(j);
    } while (more && machine_seconds() < until);
    if (is_aggregate && (!more || machine_seconds() - j->shown > 0.1))
        show_sheet(j, !more);
    return !more;
}

bool job_step(struct io_task *j, struct tree *t)
{
    static bool (*const steps[])(struct io_task * j, struct tree * t) = {[IO_STATS] = scan_step,
        [IO_AGGREGATE] = scan_step,
        [IO_SORT_ROWS] = sort_step,
        [IO_SORT_COLS] = sort_step,
        [IO_SEARCH] = search_step};
    return steps[j->now.what](j, t);
}
