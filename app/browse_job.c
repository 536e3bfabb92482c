#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_inside.h"
#include "model/core/machine.h"

/* Work over the whole of a plane, in slices short enough that windows never wait for it. */

#define PIECE ((int64_t)1 << 17) /* values of a read */
#define SLICE 0.012              /* seconds before others have their turn */
#define SORT_MOST ((int64_t)1 << 23)

void job_clear(struct io_task *j)
{
    free(j->accs);
    free(j->piece);
    free(j->values);
    free(j->names);
    order_release(&j->order);
    matcher_release(&j->matcher);
    arena_release(&j->texts);
    j->accs = NULL;
    j->piece = j->values = NULL;
    j->names = NULL;
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
    double until = machine_seconds() + SLICE;
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

/* --- Sorting -------------------------------------------------------------------------------------- */

struct ranked {
    double v;
    const char *name;
    int64_t i;
};

static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->name && y->name) {
        int order = strcmp(x->name, y->name);
        return order ? order : x->i < y->i ? -1 : x->i > y->i;
    }
    if (isnan(x->v) || isnan(y->v))
        return isnan(x->v) != isnan(y->v) ? isnan(x->v) - isnan(y->v)
               : x->i < y->i              ? -1
                                          : x->i > y->i;
    return x->v < y->v ? -1 : x->v > y->v ? 1 : x->i < y->i ? -1 : x->i > y->i;
}

static int by_size_down(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (!x->name && (isnan(x->v) || isnan(y->v))) /* what is no number comes last either way */
        return by_size(a, b);
    if (x->name ? !strcmp(x->name, y->name) : x->v == y->v)
        return x->i < y->i ? -1 : x->i > y->i;
    return by_size(b, a);
}

static int finish_sort(struct io_task *j)
{
    struct order *o = malloc(sizeof *o + (size_t)j->total * sizeof *o->index);
    struct ranked *r = malloc((size_t)j->total * sizeof *r);
    for (int64_t i = 0; o && r && i < j->total; i++)
        r[i] = (struct ranked){j->names ? NAN : j->values[i], j->names ? j->names[i] : NULL, i};
    if (o && r) {
        qsort(r, (size_t)j->total, sizeof *r, j->descending ? by_size_down : by_size);
        atomic_init(&o->refs, 1);
        o->n = j->total;
        const struct spec *s = j->spec;
        const struct order *across = j->now.what == IO_SORT_ROWS ? s->col_order : s->row_order;
        o->is_falling = j->descending;
        o->by = across && !s->sheet && j->line < across->n ? across->index[j->line] : j->line;
        for (int64_t i = 0; i < j->total; i++)
            o->index[i] = r[i].i;
    }
    free(r);
    if (!o || !r) {
        free(o);
        return err_set(&j->e, ERR_LIMIT, "out of memory (an order)");
    }
    j->order = o;
    return 0;
}

static int sort_begin(struct io_task *j)
{
    bool rows = j->now.what == IO_SORT_ROWS;
    const struct spec *s = j->spec;
    j->total = rows ? spec_rows(s) : spec_cols(s);
    if (j->total > SORT_MOST)
        return err_set(
            &j->e, ERR_LIMIT, "more than %lld to sort: cut a slice with =", (long long)SORT_MOST);
    bool is_text = spec_is_table(s) && s->n->columns[j->line].is_text;
    j->values = malloc((size_t)(j->total + 1) * sizeof *j->values);
    if (is_text)
        j->names = calloc((size_t)j->total + 1, sizeof *j->names);
    j->is_set_up = true;
    return j->values && (!is_text || j->names)
               ? 0
               : err_set(&j->e, ERR_LIMIT, "out of memory (an order)");
}

static int sort_records(struct io_task *j, struct tree *t, int64_t n)
{
    const struct spec *s = j->spec;
    int columns = s->n->n_columns;
    struct arena a = {0};
    struct cell_value *cells = malloc((size_t)columns * sizeof *cells);
    int rc = cells ? 0 : err_set(&j->e, ERR_LIMIT, "out of memory (records)");
    for (int64_t i = j->done; i < j->done + n && !rc; i++) {
        const struct cut *cut = &s->cut[s->row];
        rc = tree_cells(cells, t, s->node, cut->start + i * cut->step, 1, &a, &j->e);
        if (!rc && j->names) {
            const char *text = cells[j->line].text;
            j->names[i] = arena_strdup(&j->texts, text ? text : "", &j->e);
            rc = j->names[i] ? 0 : ERR_LIMIT;
        } else if (!rc) {
            j->values[i] = cells[j->line].number;
        }
        arena_release(&a);
    }
    free(cells);
    return rc;
}

static bool sort_step(struct io_task *j, struct tree *t)
{
    bool rows = j->now.what == IO_SORT_ROWS;
    struct spec *s = j->spec;
    double until = machine_seconds() + SLICE;
    if (!j->is_set_up && sort_begin(j))
        return true;
    /* By the line's values as they lie, whatever the order on screen. */
    struct spec plain = *s;
    if (rows)
        plain.row_order = NULL;
    else
        plain.col_order = NULL;
    while (j->done < j->total && machine_seconds() < until) {
        int64_t n = j->total - j->done < 4096 ? j->total - j->done : 4096;
        struct io_window w = {.r0 = rows ? j->done : j->line,
            .nr = rows ? n : 1,
            .c0 = rows ? j->line : j->done,
            .nc = rows ? 1 : n,
            .rs = 1,
            .cs = 1};
        int rc = 0;
        if (spec_is_table(s)) {
            n = n < 256 ? n : 256;
            rc = sort_records(j, t, n);
        } else if (s->sheet) {
            pthread_mutex_lock(&s->sheet->lock);
            for (int64_t i = 0; i < n; i++)
                j->values[j->done + i] =
                    rows ? s->sheet->values[(j->done + i) * s->sheet->cols + j->line]
                         : s->sheet->values[j->line * s->sheet->cols + j->done + i];
            pthread_mutex_unlock(&s->sheet->lock);
        } else {
            rc = spec_read(j->values + j->done, NULL, &plain, t, &w, NULL, NULL, &j->e);
        }
        if (rc)
            return true;
        j->done += n;
    }
    return j->done >= j->total ? finish_sort(j), true : false;
}

/* --- Searching ------------------------------------------------------------------------------------ */

static bool is_hit(const struct io_search *q, double v)
{
    double x = q->of_size ? fabs(v) : v;
    bool hit = q->op == '>'   ? x > q->value
               : q->op == '<' ? x < q->value
               : q->op == '=' ? x == q->value
               : q->op == 'n' ? isnan(v)
                              : false;
    return hit != (q->inverted && (q->op == 'n' || !isnan(v)));
}

static bool text_hit(struct io_task *j, const char *text)
{
    size_t begin, end;
    struct err e;
    int found = regex_find(&begin, &end, j->matcher, text, strlen(text), 0, 0, &e);
    return found >= 0 && (found == 1) != j->search.inverted;
}

/* Values of one row, or the texts of one record, for hits between two columns; -1: none. */
static int64_t hit_in_row(struct io_task *j, struct tree *t, int64_t row, int64_t c0, int64_t c1)
{
    const struct spec *s = j->spec;
    int64_t cols = spec_cols(s), found = -1;
    if (spec_is_table(s)) {
        struct arena a = {0};
        struct cell_value *cells = malloc((size_t)cols * sizeof *cells);
        if (cells && !tree_cells(cells, t, s->node, spec_index(s, true, row), 1, &a, &j->e))
            for (int64_t i = 0; i < c1 - c0 && found < 0; i++) {
                int64_t c = j->search.direction > 0 ? c0 + i : c1 - 1 - i;
                bool is_text = s->n->columns[c].is_text;
                if (is_text ? j->matcher && cells[c].text && text_hit(j, cells[c].text)
                            : j->search.op != 'r' && is_hit(&j->search, cells[c].number))
                    found = c;
            }
        free(cells);
        arena_release(&a);
        return found;
    }
    for (int64_t at = 0; at < c1 - c0 && found < 0 && !j->e.code; at += PIECE) {
        int64_t n = c1 - c0 - at < PIECE ? c1 - c0 - at : PIECE;
        struct io_window w = {.r0 = row, .nr = 1, .rs = 1, .nc = n, .cs = 1};
        w.c0 = j->search.direction > 0 ? c0 + at : c1 - at - n;
        if (s->sheet) {
            pthread_mutex_lock(&s->sheet->lock);
            for (int64_t k = 0; k < n; k++) {
                int64_t r = s->row_order ? s->row_order->index[row] : row;
                int64_t c = s->col_order ? s->col_order->index[w.c0 + k] : w.c0 + k;
                j->piece[k] = s->sheet->values[r * s->sheet->cols + c];
            }
            pthread_mutex_unlock(&s->sheet->lock);
        } else if (spec_read(j->piece, NULL, s, t, &w, NULL, NULL, &j->e)) {
            return -1;
        }
        for (int64_t k = 0; k < n && found < 0; k++) {
            int64_t c = j->search.direction > 0 ? k : n - 1 - k;
            if (is_hit(&j->search, j->piece[c]))
                found = w.c0 + c;
        }
    }
    return found;
}

/* Row by row from behind the cursor, around the end, to the cursor's own row once more. */
static bool search_values(struct io_task *j, struct tree *t, double until)
{
    const struct spec *s = j->spec;
    int64_t rows = spec_rows(s), cols = spec_cols(s), step = j->search.direction;
    for (; j->done <= rows && machine_seconds() < until; j->done++) {
        int64_t row = ((j->search.row + step * j->done) % rows + rows) % rows;
        int64_t c0 = 0, c1 = cols;
        bool first = j->done == 0, last = j->done == rows;
        if (first)
            step > 0 ? (c0 = j->search.col + 1) : (c1 = j->search.col);
        if (last)
            step > 0 ? (c1 = j->search.col + 1) : (c0 = j->search.col);
        int64_t hit = c0 < c1 ? hit_in_row(j, t, row, c0, c1) : -1;
        if (hit >= 0) {
            j->found = true;
            j->row = row;
            j->col = hit;
        }
        if (hit >= 0 || j->e.code)
            return true;
    }
    return j->done > rows;
}

/* Labels of the rows, then of the columns. */
static bool search_labels(struct io_task *j, struct tree *t, double until)
{
    const struct spec *s = j->spec;
    int64_t step = j->search.direction;
    int64_t rows = s->row >= 0 && s->n->labelled >> s->row & 1 ? spec_rows(s) : 0;
    int64_t cols = s->col >= 0 && s->n->labelled >> s->col & 1 ? spec_cols(s) : 0;
    j->total = rows + cols;
    while (j->done < rows + cols) {
        bool is_row = j->done < rows;
        int64_t n = is_row ? rows : cols, k = is_row ? j->done : j->done - rows;
        int64_t from = is_row ? j->search.row : j->search.col;
        int64_t at = ((from + step * (k + 1)) % n + n) % n;
        bool ordered = is_row ? s->row_order != NULL : s->col_order != NULL;
        int axis = is_row ? s->row : s->col;
        /* A run of labels at once where they follow each other. */
        int64_t run = ordered || s->cut[axis].step != 1 || step < 0 ? 1
                      : n - at < n - k                              ? n - at
                                                                    : n - k;
        run = run < 256 ? run : 256;
        const char *labels[256];
        struct arena a = {0};
        if (tree_labels(labels, t, s->node, axis, spec_index(s, is_row, at), run, &a, &j->e)) {
            j->e = (struct err){0}; /* the axis only seemed to have some */
            j->done = is_row ? rows : rows + cols;
            arena_release(&a);
            continue;
        }
        for (int64_t i = 0; i < run && !j->found; i++)
            if (text_hit(j, labels[i])) {
                j->found = true;
                j->row = is_row ? at + i : j->search.row;
                j->col = is_row ? j->search.col : at + i;
            }
        arena_release(&a);
        j->done += run;
        if (j->found || machine_seconds() > until)
            return j->found;
    }
    return true;
}

static bool search_step(struct io_task *j, struct tree *t)
{
    double until = machine_seconds() + SLICE;
    bool is_pattern = j->search.op == 'r';
    if (!j->is_set_up) {
        j->piece = malloc((size_t)PIECE * sizeof *j->piece);
        if (!j->piece)
            return err_set(&j->e, ERR_LIMIT, "out of memory (a search)"), true;
        if (is_pattern && matcher_create(&j->matcher, j->search.pattern, &j->e))
            return true;
        j->total = spec_rows(j->spec) + 1;
        j->is_set_up = true;
    }
    if (spec_rows(j->spec) < 1 || spec_cols(j->spec) < 1)
        return true;
    if (is_pattern && !spec_is_table(j->spec))
        return search_labels(j, t, until);
    return search_values(j, t, until);
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
