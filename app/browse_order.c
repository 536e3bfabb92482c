#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_inside.h"
#include "model/core/machine.h"

/* The order of rows by a column, of columns by a row: the line is read whole, in its own order, and kept. */

#define SORT_MOST ((int64_t)1 << 23)
#define LOT 4096    /* values of a read */
#define RECORDS 512 /* of a table: texts may be long */
#define DIGIT 11    /* bits of a key that are sorted by at once */

void kept_release(struct column_kept *k)
{
    spec_release(&k->spec);
    free(k->values);
    *k = (struct column_kept){0};
}

/* The line's own number, whatever the order across is. */
static int64_t own_line(const struct io_task *j)
{
    const struct spec *s = j->spec;
    const struct order *across = j->now.what == IO_SORT_ROWS ? s->col_order : s->row_order;
    return across && !s->sheet && j->line < across->n ? across->index[j->line] : j->line;
}

/* A report that still fills has other values by now; what is aggregated is in memory already. */
static bool may_keep(const struct io_task *j, const struct tree *t)
{
    return !j->names && !j->spec->sheet && strcmp(tree_kind(t), "report") != 0;
}

static bool is_kept(const struct io_task *j)
{
    const struct spec *a = j->kept.spec, *b = j->spec;
    if (!a || j->kept.is_rows != (j->now.what == IO_SORT_ROWS) || j->kept.line != own_line(j) ||
        j->kept.n != j->total || a->doc != b->doc || a->node != b->node || a->row != b->row ||
        a->col != b->col || b->sheet)
        return false;
    for (int i = 0; i < b->n->rank; i++) {
        const struct cut *x = &a->cut[i], *y = &b->cut[i];
        bool is_drawn = i == b->row || i == b->col;
        if (x->start != y->start || x->n != y->n || x->step != y->step ||
            (!is_drawn && a->at[i] != b->at[i]))
            return false;
    }
    return true;
}

/* ---- numbers: radix sort of keys whose order as integers is that of the values ---- */

static uint64_t key_of(double v, bool descending)
{
    uint64_t bits;
    double plain = v == 0 ? 0 : v; /* -0 is 0 */
    if (isnan(v))
        return UINT64_MAX; /* what is no number comes last either way */
    memcpy(&bits, &plain, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    return descending ? ~bits : bits;
}

struct keys {
    uint64_t *key[2];
    int32_t *index[2];
};

/* One digit, from a to b, equals in their order; false: all have the same and nothing moved. */
static bool sort_digit(struct keys *k, int from, int64_t n, int shift)
{
    int64_t place[1 << DIGIT] = {0}, sum = 0;
    const uint64_t mask = (1u << DIGIT) - 1, *key = k->key[from];
    for (int64_t i = 0; i < n; i++)
        place[key[i] >> shift & mask]++;
    if (place[key[0] >> shift & mask] == n)
        return false;
    for (int d = 0; d < 1 << DIGIT; d++) {
        int64_t here = place[d];
        place[d] = sum;
        sum += here;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t to = place[key[i] >> shift & mask]++;
        k->key[!from][to] = key[i];
        k->index[!from][to] = k->index[from][i];
    }
    return true;
}

static int sort_numbers(int64_t *out, const double *v, int64_t n, bool descending, struct err *e)
{
    const size_t room = (size_t)n + 1;
    struct keys k = {{malloc(room * 8), malloc(room * 8)}, {malloc(room * 4), malloc(room * 4)}};
    bool has_room = k.key[0] && k.key[1] && k.index[0] && k.index[1];
    int from = 0;
    for (int64_t i = 0; has_room && i < n; i++) {
        k.key[0][i] = key_of(v[i], descending);
        k.index[0][i] = (int32_t)i;
    }
    for (int shift = 0; has_room && n > 0 && shift < 64; shift += DIGIT)
        from ^= sort_digit(&k, from, n, shift);
    for (int64_t i = 0; has_room && i < n; i++)
        out[i] = k.index[from][i];
    for (int i = 0; i < 2; i++) {
        free(k.key[i]);
        free(k.index[i]);
    }
    return has_room ? 0 : err_set(e, ERR_LIMIT, "out of memory (an order)");
}

/* ---- texts ---- */

struct named {
    const char *name;
    int64_t i;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->i < y->i ? -1 : x->i > y->i;
}

static int by_name_down(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(y->name, x->name);
    return order ? order : x->i < y->i ? -1 : x->i > y->i;
}

static int sort_names(
    int64_t *out, const char *const *names, int64_t n, bool descending, struct err *e)
{
    struct named *r = malloc(((size_t)n + 1) * sizeof *r);
    if (!r)
        return err_set(e, ERR_LIMIT, "out of memory (an order)");
    for (int64_t i = 0; i < n; i++)
        r[i] = (struct named){names[i], i};
    qsort(r, (size_t)n, sizeof *r, descending ? by_name_down : by_name);
    for (int64_t i = 0; i < n; i++)
        out[i] = r[i].i;
    free(r);
    return 0;
}

/* ---- the line ---- */

static int finish_sort(struct io_task *j, const struct tree *t)
{
    struct order *o = malloc(sizeof *o + (size_t)j->total * sizeof *o->index);
    if (!o)
        return err_set(&j->e, ERR_LIMIT, "out of memory (an order)");
    atomic_init(&o->refs, 1);
    o->n = j->total;
    o->is_falling = j->descending;
    o->by = own_line(j);
    int rc = j->names ? sort_names(o->index, j->names, j->total, j->descending, &j->e)
                      : sort_numbers(o->index, j->values, j->total, j->descending, &j->e);
    if (rc) {
        free(o);
        return rc;
    }
    if (may_keep(j, t) && !is_kept(j)) {
        kept_release(&j->kept);
        j->kept = (struct column_kept){
            spec_share(j->spec), j->now.what == IO_SORT_ROWS, own_line(j), j->total, j->values};
        j->values = NULL;
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
    if (!j->values || (is_text && !j->names))
        return err_set(&j->e, ERR_LIMIT, "out of memory (an order)");
    if (!is_text && is_kept(j)) {
        memcpy(j->values, j->kept.values, (size_t)j->total * sizeof *j->values);
        j->done = j->total;
    }
    return 0;
}

/* Records from `done` on, one call where they follow each other. */
static int sort_records(struct io_task *j, struct tree *t, int64_t n)
{
    const struct spec *s = j->spec;
    const struct cut *cut = &s->cut[s->row];
    const int64_t columns = s->n->n_columns, lot = cut->step == 1 ? n : 1;
    struct arena a = {0};
    struct cell_value *cells = malloc((size_t)(n * columns) * sizeof *cells);
    int rc = cells ? 0 : err_set(&j->e, ERR_LIMIT, "out of memory (records)");
    for (int64_t i = 0; i < n && !rc; i += lot)
        rc = tree_cells(cells + i * columns, t, s->node, cut->start + (j->done + i) * cut->step,
            lot, &a, &j->e);
    for (int64_t i = 0; i < n && !rc; i++) {
        const struct cell_value *c = &cells[i * columns + j->line];
        if (!j->names)
            j->values[j->done + i] = c->number;
        else if (!(j->names[j->done + i] = arena_strdup(&j->texts, c->text ? c->text : "", &j->e)))
            rc = ERR_LIMIT;
    }
    free(cells);
    arena_release(&a);
    return rc;
}

static void copy_sheet(struct io_task *j, bool rows, int64_t n)
{
    struct sheet *sheet = j->spec->sheet;
    pthread_mutex_lock(&sheet->lock);
    for (int64_t i = j->done; i < j->done + n; i++)
        j->values[i] = sheet->values[rows ? i * sheet->cols + j->line : j->line * sheet->cols + i];
    pthread_mutex_unlock(&sheet->lock);
}

bool sort_step(struct io_task *j, struct tree *t)
{
    bool rows = j->now.what == IO_SORT_ROWS;
    struct spec *s = j->spec;
    double until = machine_seconds() + JOB_SLICE;
    if (!j->is_set_up && sort_begin(j))
        return true;
    /* By the line's values as they lie, whatever the order on screen. */
    struct spec plain = *s;
    if (rows)
        plain.row_order = NULL;
    else
        plain.col_order = NULL;
    while (j->done < j->total && machine_seconds() < until) {
        int64_t left = j->total - j->done, n = left < LOT ? left : LOT;
        struct io_window w = {.r0 = rows ? j->done : j->line,
            .nr = rows ? n : 1,
            .c0 = rows ? j->line : j->done,
            .nc = rows ? 1 : n,
            .rs = 1,
            .cs = 1};
        int rc = 0;
        if (spec_is_table(s))
            rc = sort_records(j, t, n = n < RECORDS ? n : RECORDS);
        else if (s->sheet)
            copy_sheet(j, rows, n);
        else
            rc = spec_read(j->values + j->done, NULL, &plain, t, &w, NULL, NULL, &j->e);
        if (rc)
            return true;
        j->done += n;
    }
    if (j->done < j->total)
        return false;
    finish_sort(j, t);
    return true;
}
