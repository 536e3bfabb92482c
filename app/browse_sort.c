#include <stdlib.h>
#include <string.h>

#include "app/browse.h"
#include "app/colon.h"
#include "app/keys.h"
#include "app/workbench.h"

/* Rows sorted by a column, columns by a row. */

static void begin(struct workbench *wb, bool rows, int64_t by, bool is_falling)
{
    struct browse *b = wb->browse;
    struct spec *s = b->now->spec;
    const struct order *across = rows ? s->col_order : s->row_order;
    int64_t line = by, most = rows ? spec_cols(s) : spec_rows(s);
    /* Jobs count as the plane is shown; an aggregate is kept as it lies. */
    for (int64_t k = 0; across && !s->sheet && k < across->n; k++)
        if (across->index[k] == by)
            line = k;
    if (line < 0 || (most > 0 && line >= most) || (!rows && (s->col < 0 || spec_is_table(s)))) {
        workbench_say(
            wb, true, "%s cannot be sorted by line %lld", rows ? "rows" : "columns", (long long)by);
        return;
    }
    io_begin(b->io, rows ? IO_SORT_ROWS : IO_SORT_COLS, s, line, is_falling, NULL);
}

static void as_they_lie(struct workbench *wb, bool rows)
{
    struct spec *plain = spec_copy(wb->browse->now->spec);
    if (!plain)
        return;
    order_release(rows ? &plain->row_order : &plain->col_order);
    browse_plane(wb, plain);
}

/* Falling, rising, as they lie; texts the other way around. */
static void sort_by(struct workbench *wb, bool rows)
{
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true))
        return;
    const struct view_state *st = &wb->panes[PANE_BLOCK].st;
    const struct spec *s = b->now->spec;
    const struct order *own = rows ? s->row_order : s->col_order,
                       *across = rows ? s->col_order : s->row_order;
    if (!rows && (s->col < 0 || spec_is_table(s)))
        return;
    int64_t line = rows ? (s->col >= 0 || spec_is_table(s) ? st->at[1] : 0) : st->at[0];
    bool is_text =
        rows && spec_is_table(s) && line < s->n->n_columns && s->n->columns[line].is_text;
    if (own && own->is_falling == is_text) {
        as_they_lie(wb, rows);
        workbench_say(wb, false, "as they lie");
        return;
    }
    if (across && line < across->n)
        line = across->index[line];
    begin(wb, rows, line, own ? is_text : !is_text);
}

void act_sort_rows(struct workbench *wb, const struct key *k)
{
    (void)k;
    sort_by(wb, true);
}

void act_sort_columns(struct workbench *wb, const struct key *k)
{
    (void)k;
    sort_by(wb, false);
}

/* ---- in words ---- */

const char *browse_sort_line(const struct workbench *wb, bool rows, struct arena *a, struct err *e)
{
    const struct browse *b = wb->browse;
    if (!b || !b->now || !wb->in_documents || b->now->spec->n->rank < 1)
        return NULL;
    const struct order *o = rows ? b->now->spec->row_order : b->now->spec->col_order;
    const char *what = rows ? "rows" : "columns";
    return o ? arena_printf(a, e, "sort %s %lld %s", what, (long long)o->by,
                   o->is_falling ? "falling" : "rising")
             : arena_printf(a, e, "sort %s off", what);
}

void browse_sort_poll(struct workbench *wb)
{
    struct browse *b = wb->browse;
    struct io_progress p;
    if (!b || !b->now || b->wish_doc >= 0)
        return;
    io_progress(&p, b->io);
    for (int k = 0; k < 2 && !p.is_running && p.id == b->seen_job; k++)
        if (b->wish_order[k].is_set) {
            b->wish_order[k].is_set = false;
            begin(wb, k == 0, b->wish_order[k].by, b->wish_order[k].is_falling);
            return;
        }
}

void colon_sort(struct workbench *wb, const char *arg)
{
    size_t n = strcspn(arg, " ");
    const char *rest = arg + n + strspn(arg + n, " ");
    bool rows = n == 4 && !strncmp(arg, "rows", n), off = !strcmp(rest, "off");
    char *end;
    long long by = strtoll(rest, &end, 10);
    const char *way = end + strspn(end, " ");
    bool is_rising = !strcmp(way, "rising");
    if ((!rows && !(n == 7 && !strncmp(arg, "columns", n))) ||
        (!off && (end == rest || by < 0 || (*way && !is_rising && strcmp(way, "falling") != 0)))) {
        workbench_say(
            wb, true, "write :sort rows 12 falling, :sort columns 3 rising, :sort rows off");
        return;
    }
    bool is_coming = wb->browse && wb->browse->wish_doc >= 0; /* its document is being opened */
    if (!is_coming && !browse_ready(wb, true))
        return;
    wb->browse->wish_order[!rows] = (struct wish_order){!off, !is_rising, by};
    if (!is_coming && off)
        as_they_lie(wb, rows);
    else
        browse_sort_poll(wb);
}
