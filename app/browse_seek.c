#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_inside.h"
#include "model/core/machine.h"

/* The next cell of a plane that a search looks for: block by block from behind the cursor, around the
 * end, to the cursor itself. The first hit ends it. */

#define BLOCK ((int64_t)1 << 20) /* values of a read */
#define WIDE ((int64_t)1 << 24)  /* of a row at most */
#define RECORDS 256              /* of a table */
#define LABELS 256

/* ---- what is a hit ---- */

static bool is_hit(const struct io_search *q, double x)
{
    bool hit = q->op == '>'   ? x > q->value
               : q->op == '<' ? x < q->value
               : q->op == '=' ? x == q->value
               : q->op == 'n' ? isnan(x)
                              : false;
    return hit != (q->inverted && (q->op == 'n' || !isnan(x)));
}

/* Whether there is any among many: loops without a way out run several values at once. */
static bool any_hit(const struct io_search *q, const double *v, int64_t n)
{
    const double x = q->value;
    int any = 0;
#define ANY(TEST)                                                                                  \
    for (int64_t i = 0; i < n; i++)                                                                \
        any |= (TEST);                                                                             \
    break
    static const char ops[] = "><=n", opposite[] = "lgdN";
    const char *at = strchr(ops, q->op);
    switch (at && q->inverted ? opposite[at - ops] : q->op) {
    case '>':
        ANY(v[i] > x);
    case 'l':
        ANY(v[i] <= x);
    case '<':
        ANY(v[i] < x);
    case 'g':
        ANY(v[i] >= x);
    case '=':
        ANY(v[i] == x);
    case 'd':
        ANY(v[i] < x || v[i] > x);
    case 'n':
        ANY(isnan(v[i]) != 0);
    case 'N':
        ANY(!isnan(v[i]));
    default:
        break;
    }
#undef ANY
    return any;
}

static bool text_hit(struct io_task *j, const char *text)
{
    size_t begin, end;
    struct err e;
    int found = regex_find(&begin, &end, j->matcher, text, strlen(text), 0, 0, &e);
    return found >= 0 && (found == 1) != j->search.inverted;
}

/* ---- values ---- */

/* The part of the plane that is searched: columns [c0, c1), rows [r0, r1). */
struct part {
    int64_t r0, r1, c0, c1;
};

static struct part part_of(const struct io_task *j)
{
    const struct io_search *q = &j->search;
    struct part p = {0, spec_rows(j->spec), 0, spec_cols(j->spec)};
    if (q->where == SEARCH_COLUMN) {
        p.c0 = q->col;
        p.c1 = q->col + 1;
    } else if (q->where == SEARCH_ROW) {
        p.r0 = q->row;
        p.r1 = q->row + 1;
    }
    return p;
}

/* Rows [row, row + n) of the part, in plane order, into j->piece. */
static int read_block(
    struct io_task *j, struct tree *t, const struct part *p, int64_t row, int64_t n)
{
    struct spec *s = j->spec;
    const int64_t nc = p->c1 - p->c0;
    struct io_window w = {.r0 = row, .nr = n, .rs = 1, .c0 = p->c0, .nc = nc, .cs = 1};
    int rc = 0;
    if (s->sheet) {
        pthread_mutex_lock(&s->sheet->lock);
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < nc; k++) {
                int64_t r = s->row_order ? s->row_order->index[row + i] : row + i;
                int64_t c = s->col_order ? s->col_order->index[p->c0 + k] : p->c0 + k;
                j->piece[i * nc + k] = s->sheet->values[r * s->sheet->cols + c];
            }
        pthread_mutex_unlock(&s->sheet->lock);
    } else {
        rc = spec_read(j->piece, NULL, s, t, &w, NULL, NULL, &j->e);
    }
    for (int64_t i = 0; j->search.of_size && i < n * nc; i++)
        j->piece[i] = fabs(j->piece[i]);
    return rc;
}

/* Whether the cell lies in the part that is still to be searched on the cursor's own row. */
static bool is_before_cursor(const struct io_task *j, int64_t col, bool is_last)
{
    int64_t by = j->search.direction > 0 ? col - j->search.col : j->search.col - col;
    return is_last ? by <= 0 : by > 0;
}

/* A row's first hit in the direction of the search, of the columns [0, n) at v; -1: none. */
static int64_t hit_in(
    struct io_task *j, const struct part *p, const double *v, bool is_own, bool is_last)
{
    const int64_t n = p->c1 - p->c0;
    if (!any_hit(&j->search, v, n))
        return -1;
    for (int64_t k = 0; k < n; k++) {
        int64_t c = j->search.direction > 0 ? k : n - 1 - k;
        if (is_hit(&j->search, v[c]) && (!is_own || is_before_cursor(j, p->c0 + c, is_last)))
            return p->c0 + c;
    }
    return -1;
}

/* The same among a record's cells: numbers, or texts where a pattern is sought. */
static int64_t hit_in_record(struct io_task *j, const struct part *p,
    const struct cell_value *cells, bool is_own, bool is_last)
{
    const int64_t n = p->c1 - p->c0;
    for (int64_t k = 0; k < n; k++) {
        int64_t c = p->c0 + (j->search.direction > 0 ? k : n - 1 - k);
        double x = j->search.of_size ? fabs(cells[c].number) : cells[c].number;
        bool hit = j->spec->n->columns[c].is_text
                       ? j->matcher && cells[c].text && text_hit(j, cells[c].text)
                       : j->search.op != 'r' && is_hit(&j->search, x);
        if (hit && (!is_own || is_before_cursor(j, c, is_last)))
            return c;
    }
    return -1;
}

/* Records [row, row + n) in plane order; one call where they follow each other. */
static int read_records(struct io_task *j, struct tree *t, struct cell_value **out, struct arena *a,
    int64_t row, int64_t n)
{
    const struct spec *s = j->spec;
    const int64_t columns = s->n->n_columns;
    const int64_t lot = !s->row_order && s->cut[s->row].step == 1 ? n : 1;
    int rc = 0;
    *out = arena_array(a, (size_t)(n * columns), sizeof **out, &j->e);
    for (int64_t i = 0; *out && i < n && !rc; i += lot)
        rc =
            tree_cells(*out + i * columns, t, s->node, spec_index(s, true, row + i), lot, a, &j->e);
    return *out ? rc : ERR_LIMIT;
}

/* Rows [row, row + n), gone through in the direction of the search; true: over. */
static bool search_rows(struct io_task *j, struct tree *t, const struct part *p, int64_t row,
    int64_t n, bool is_own, bool is_last)
{
    const bool is_table = spec_is_table(j->spec);
    const int64_t width = is_table ? j->spec->n->n_columns : p->c1 - p->c0;
    struct arena a = {0};
    struct cell_value *cells = NULL;
    int rc = is_table ? read_records(j, t, &cells, &a, row, n) : read_block(j, t, p, row, n);
    for (int64_t k = 0; k < n && !rc && !j->found; k++) {
        int64_t i = j->search.direction > 0 ? k : n - 1 - k;
        int64_t c = is_table ? hit_in_record(j, p, cells + i * width, is_own, is_last)
                             : hit_in(j, p, j->piece + i * width, is_own, is_last);
        if (c >= 0) {
            j->found = true;
            j->row = row + i;
            j->col = c;
        }
    }
    arena_release(&a);
    return rc || j->found;
}

/* `done` counts rows from the cursor's own, which comes first and once more at the end. */
static bool search_values(struct io_task *j, struct tree *t, double until)
{
    const struct part p = part_of(j);
    const int64_t rows = p.r1 - p.r0, step = j->search.direction, width = p.c1 - p.c0;
    const int64_t most = spec_is_table(j->spec) ? RECORDS : BLOCK / width > 0 ? BLOCK / width : 1;
    if (width > WIDE)
        return err_set(&j->e, ERR_LIMIT,
                   "rows of more than %lld values: cut a slice with =", (long long)WIDE),
               true;
    j->total = rows + 1;
    while (j->done <= rows && machine_seconds() < until) {
        bool is_own = j->done == 0 || j->done == rows;
        int64_t from = p.r0 + ((j->search.row - p.r0 + step * j->done) % rows + rows) % rows;
        /* Up to the end of the plane, and before the cursor's row comes again. */
        int64_t n = is_own ? 1 : step > 0 ? p.r1 - from : from - p.r0 + 1;
        n = !is_own && n > rows - j->done ? rows - j->done : n;
        n = n < most ? n : most;
        if (search_rows(j, t, &p, step > 0 ? from : from - n + 1, n, is_own, j->done == rows))
            return true;
        j->done += n;
    }
    return j->done > rows;
}

/* ---- labels ---- */

/* Labels of the plane's places [at, at + n) of an axis in its own order: whether each is a hit. */
static int label_hits(bool *hit, struct io_task *j, struct tree *t, int axis, int64_t at, int64_t n)
{
    const struct spec *s = j->spec;
    const struct cut *cut = &s->cut[axis];
    const int64_t span = (n - 1) * cut->step + 1;
    struct arena a = {0};
    const char **labels = arena_array(&a, (size_t)span, sizeof *labels, &j->e);
    int rc =
        labels ? tree_labels(labels, t, s->node, axis, cut->start + at * cut->step, span, &a, &j->e)
               : ERR_LIMIT;
    for (int64_t i = 0; i < n && !rc; i++)
        hit[i] = text_hit(j, labels[i * cut->step]);
    arena_release(&a);
    return rc;
}

static void found_label(struct io_task *j, bool is_row, int64_t at)
{
    j->found = true;
    j->row = is_row ? at : j->search.row;
    j->col = is_row ? j->search.col : at;
}

/* In an order labels lie anywhere: all are looked at as they lie, then the order tells which is next. */
static bool search_ordered(
    struct io_task *j, struct tree *t, bool is_row, int64_t k, int64_t n, int64_t run)
{
    const struct order *o = is_row ? j->spec->row_order : j->spec->col_order;
    bool hit[LABELS];
    if (!j->hits && !(j->hits = calloc((size_t)n, 1)))
        return err_set(&j->e, ERR_LIMIT, "out of memory (a search)"), true;
    run = run < n - k ? run : n - k;
    if (label_hits(hit, j, t, is_row ? j->spec->row : j->spec->col, k, run))
        return true;
    for (int64_t i = 0; i < run; i++)
        j->hits[k + i] = hit[i];
    j->done += run;
    if (k + run < n)
        return false;
    const int64_t from = is_row ? j->search.row : j->search.col;
    for (int64_t i = 1; i <= n && !j->found; i++) {
        int64_t at = ((from + j->search.direction * i) % n + n) % n;
        if (j->hits[at < o->n ? o->index[at] : at])
            found_label(j, is_row, at);
    }
    free(j->hits);
    j->hits = NULL;
    return j->found;
}

/* Labels of the rows, then of the columns. */
static bool search_labels(struct io_task *j, struct tree *t, double until)
{
    const struct spec *s = j->spec;
    const int64_t step = j->search.direction;
    const bool has_rows =
        s->row >= 0 && s->n->labelled >> s->row & 1 && j->search.where != SEARCH_ROW;
    const bool has_cols =
        s->col >= 0 && s->n->labelled >> s->col & 1 && j->search.where != SEARCH_COLUMN;
    const int64_t rows = has_rows ? spec_rows(s) : 0, cols = has_cols ? spec_cols(s) : 0;
    j->total = rows + cols;
    while (j->done < rows + cols && machine_seconds() < until) {
        const bool is_row = j->done < rows;
        const int axis = is_row ? s->row : s->col;
        const int64_t n = is_row ? rows : cols, k = is_row ? j->done : j->done - rows;
        const int64_t cursor = is_row ? j->search.row : j->search.col;
        const int64_t run_most = LABELS / s->cut[axis].step > 0 ? LABELS / s->cut[axis].step : 1;
        const int64_t was = j->done;
        if (is_row ? s->row_order != NULL : s->col_order != NULL) {
            if (search_ordered(j, t, is_row, k, n, run_most) && (j->found || j->done == was))
                break;
            continue;
        }
        int64_t from = ((cursor + step * (k + 1)) % n + n) % n,
                room = step > 0 ? n - from : from + 1;
        int64_t run = room < n - k ? room : n - k;
        run = run < run_most ? run : run_most;
        bool hit[LABELS];
        int64_t first = step > 0 ? from : from - run + 1;
        if (label_hits(hit, j, t, axis, first, run))
            break;
        for (int64_t i = 0; i < run && !j->found; i++) {
            int64_t at = step > 0 ? i : run - 1 - i;
            if (hit[at])
                found_label(j, is_row, first + at);
        }
        j->done += run;
        if (j->found)
            break;
    }
    if (j->e.code == ERR_INPUT) { /* the axis only seemed to have some */
        j->e = (struct err){0};
        j->done = j->done < rows ? rows : rows + cols;
    }
    return j->found || j->e.code || j->done >= rows + cols;
}

bool search_step(struct io_task *j, struct tree *t)
{
    double until = machine_seconds() + JOB_SLICE;
    bool is_pattern = j->search.op == 'r';
    if (!j->is_set_up) {
        const int64_t row = spec_cols(j->spec), room = row <= BLOCK ? BLOCK
                                                       : row < WIDE ? row
                                                                    : WIDE;
        j->piece = malloc((size_t)room * sizeof *j->piece);
        if (!j->piece)
            return err_set(&j->e, ERR_LIMIT, "out of memory (a search)"), true;
        if (is_pattern && matcher_create(&j->matcher, j->search.pattern, &j->e))
            return true;
        j->is_set_up = true;
    }
    if (spec_rows(j->spec) < 1 || spec_cols(j->spec) < 1)
        return true;
    if (is_pattern && !spec_is_table(j->spec))
        return search_labels(j, t, until);
    return search_values(j, t, until);
}
