#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse.h"

/* The window on screen on its way into a file: its values, its labels and where it lies. */

/* The errors of the window on screen; p->field has its axes already. */
static bool paper_error(struct workbench *wb, const struct pane *p)
{
    struct browse *b = wb->browse;
    const struct io_window *w = &b->seen;
    struct window at = {.start = {w->r0, w->c0}, .count = {w->nr, w->nc}, .stride = {1, 1}};
    struct err e;
    double *v = p->error && w->rs == 1 && w->cs == 1 && !b->has_picked
                    ? arena_array(&wb->frame, (size_t)(w->nr * w->nc), sizeof *v, &e)
                    : NULL;
    if (!v || p->error->fetch(p->error, v, &at, FIELD_POINT, &e))
        return false;
    memcpy(b->error.axes, p->field.axes, sizeof b->error.axes);
    b->error.generation = NULL;
    b->error_values = (struct field_values){v, 1};
    field_from_values(&b->error, &b->error_values);
    return true;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A drawing that asked for no plain window of its cells (or none since the plane changed): as many
 * cells as the pane has, from where it is scrolled to. */
static bool read_window(struct browse *b, const struct pane *p)
{
    const struct spec *s = b->now->spec;
    const struct field *f = &p->field;
    int64_t size[2] = {spec_rows(s), f->rank > 1 ? spec_cols(s) : 1}, from[2] = {0, 0}, n[2];
    const int64_t room[2] = {p->rect.h > 1 ? p->rect.h : 24, p->rect.w > 1 ? p->rect.w : 80};
    for (int i = 0; i < 2; i++) {
        if (size[i] < 1)
            return false;
        if (i < f->rank)
            from[i] = least(p->st.scroll[i] > 0 ? p->st.scroll[i] : 0, size[i] - 1);
        n[i] = least(size[i] - from[i], f->rank < 2 ? room[1] : room[i]);
    }
    struct window w = {.start = {from[0], from[1]}, .count = {n[0], n[1]}, .stride = {1, 1}};
    double *v = malloc((size_t)(n[0] * n[1]) * sizeof *v);
    struct err e;
    io_frame(b->io, 1.0);
    if (v && f->rank > 0)
        (void)f->fetch(f, v, &w, FIELD_POINT, &e); /* which remembers it */
    free(v);
    return b->has_seen;
}

/* A table of numbers reads columns of which it draws a part, and rows in an order of its own: exactly
 * those that are there, row by row. */
static bool read_table(struct browse *b, struct workbench *wb, const struct pane *p)
{
    const struct view_state *st = &p->st;
    const struct field *f = &p->field;
    const bool has_cols = f->rank > 1;
    if (strcmp(p->view->id, "table") != 0 || st->row_axis != 0 || st->columns < 1 || st->grid.h < 1)
        return false;
    struct io_window w = {.r0 = st->scroll[0], .nr = st->grid.h, .rs = 1, .nc = 1, .cs = 1};
    if (has_cols) {
        w.c0 = st->scroll[1];
        w.nc = least(st->columns, f->axes[1].size - w.c0);
    }
    w.nr = least(w.nr, st->top ? TOP_MANY : f->axes[0].size - w.r0);
    if (w.nr < 1 || w.nc < 1)
        return false;
    struct err e;
    double *v = arena_array(&wb->frame, (size_t)(w.nr * w.nc), sizeof *v, &e);
    for (int64_t i = 0; v && i < w.nr; i++) {
        struct window row = {.start = {st->top ? st->picked[i] : w.r0 + i, w.c0},
            .count = {1, w.nc},
            .stride = {1, 1}};
        if (f->fetch(f, v + i * w.nc, &row, FIELD_POINT, &e))
            return false;
    }
    b->table = v;
    b->seen = w;
    b->has_seen = v != NULL;
    b->has_picked = st->top > 0;
    memcpy(b->picked, st->picked, sizeof b->picked);
    return v != NULL;
}

int64_t browse_place(const struct browse *b, bool is_row, int64_t i)
{
    const struct io_window *w = &b->seen;
    return is_row && b->has_picked ? b->picked[i] : is_row ? w->r0 + i * w->rs : w->c0 + i * w->cs;
}

static bool set_labels(struct workbench *wb, struct axis *a, bool is_row)
{
    const struct io_window *w = &wb->browse->seen;
    const int64_t n = is_row ? w->nr : w->nc;
    struct err e;
    const char **labels = arena_array(&wb->frame, (size_t)n, sizeof *labels, &e);
    for (int64_t i = 0; labels && i < n; i++) {
        char buf[64];
        labels[i] = arena_strdup(
            &wb->frame, axis_label(a, browse_place(wb->browse, is_row, i), buf, sizeof buf), &e);
        if (!labels[i])
            return false;
    }
    a->size = n;
    a->label = NULL;
    a->labels = labels;
    return labels != NULL;
}

void browse_paper(struct workbench *wb, struct pane *p, bool begins)
{
    struct browse *b = wb->browse;
    if (!b || !b->now)
        return;
    if (!begins) {
        if (b->is_paper)
            p->st = b->kept;
        b->is_paper = false;
        p->many = NULL;
        return;
    }
    io_frame(b->io, 2.0); /* whoever asks for a file can wait for what it is to hold */
    b->table = NULL;
    b->has_picked = false;
    if (!browse_field(b, p) || spec_is_table(b->now->spec) ||
        (!read_table(b, wb, p) && !b->has_seen && !read_window(b, p)))
        return;
    struct err e;
    const struct io_window *w = &b->seen;
    struct field_values *values = &p->values;
    double *copy = arena_array(&wb->frame, (size_t)(w->nr * w->nc), sizeof *copy, &e);
    if (!copy)
        return;
    memcpy(copy, b->table ? b->table : b->window, (size_t)(w->nr * w->nc) * sizeof *copy);
    for (int side = 0; side < p->field.rank; side++)
        if (!set_labels(wb, &p->field.axes[side], !side))
            return;
    b->has_paper_error = paper_error(wb, p);
    *values = (struct field_values){copy, 1};
    p->field.generation = NULL;
    field_from_values(&p->field, values);
    b->kept = p->st;
    p->st = (struct view_state){.flipped = b->kept.flipped, .numbers = b->kept.numbers};
    p->st.has_axes = true;
    p->st.row_axis = 0;
    p->st.col_axis = p->field.rank > 1 ? 1 : -1;
    b->is_paper = true;
}

/* --- Where it lies ------------------------------------------------------------------------------- */

/* "1000:1020", "0:1000:10" */
static const char *cut_text(const struct cut *c, struct arena *a, struct err *e)
{
    int64_t end = c->start + (c->n - 1) * c->step + 1;
    return c->step == 1
               ? arena_printf(a, e, "%" PRId64 ":%" PRId64, c->start, end)
               : arena_printf(a, e, "%" PRId64 ":%" PRId64 ":%" PRId64, c->start, end, c->step);
}

static bool put_slice(struct export_origin *o, const struct spec *s, struct arena *a, struct err *e)
{
    o->slice = arena_array(a, (size_t)s->n->rank + 1, sizeof *o->slice, e);
    for (int i = 0; o->slice && i < s->n->rank; i++) {
        const struct cut *c = &s->cut[i];
        bool is_drawn = i == s->row || i == s->col,
             is_cut = c->start || c->step > 1 || c->n < s->n->axes[i].size;
        if (is_drawn && !is_cut)
            continue;
        const char *text =
            is_drawn || s->is_agg[i] ? cut_text(c, a, e) : arena_printf(a, e, "%" PRId64, s->at[i]);
        if (text && !is_drawn && s->is_agg[i])
            text = arena_printf(a, e, "%s of %s", agg_names[s->how], text);
        if (!text)
            return false;
        o->slice[o->n_slice].axis = s->n->axes[i].name;
        o->slice[o->n_slice++].value = text;
    }
    return o->slice != NULL;
}

/* "falling by neuron 60" */
static const char *order_text(
    const struct spec *s, const struct order *o, bool rows, struct arena *a, struct err *e)
{
    int by = rows ? s->col : s->row;
    const char *way = o->is_falling ? "falling" : "rising";
    if (by < 0)
        return way;
    const struct cut *c = &s->cut[by];
    return arena_printf(
        a, e, "%s by %s %" PRId64, way, s->n->axes[by].name, c->start + o->by * c->step);
}

/* "mean of 8 token x 4 neuron", "first of 16 token" */
static const char *cell_text(const struct browse *b, struct arena *a, struct err *e)
{
    const struct spec *s = b->now->spec;
    const struct io_window *w = &b->seen;
    const char *how = w->how == AGG_POINT ? "first" : agg_names[w->how];
    const int64_t steps[2] = {w->rs, w->cs};
    const int axes[2] = {s->row, s->col};
    const char *text = arena_printf(a, e, "%s of", how);
    for (int i = 0, n = 0; i < 2 && text; i++)
        if (axes[i] >= 0 && steps[i] > 1)
            text = arena_printf(a, e, "%s%s %" PRId64 " %s", text, n++ ? " x" : "", steps[i],
                s->n->axes[axes[i]].name);
    return text;
}

const struct export_origin *browse_origin(
    const struct workbench *wb, const struct pane *p, struct arena *a, struct err *e)
{
    const struct browse *b = wb->browse;
    if (!b || !b->is_paper || p->id != PANE_BLOCK)
        return NULL;
    const struct spec *s = b->now->spec;
    const struct io_window *w = &b->seen;
    struct export_origin *o = arena_zalloc(a, sizeof *o, e);
    if (!o || !put_slice(o, s, a, e))
        return NULL;
    if ((w->rs > 1 || w->cs > 1) && !(o->cell = cell_text(b, a, e)))
        return NULL;
    for (int side = 0; side < p->field.rank; side++) {
        bool is_row = !side;
        int axis = is_row ? s->row : s->col;
        int64_t n = side ? w->nc : w->nr;
        int64_t *index = arena_array(a, (size_t)n, sizeof *index, e);
        if (!index)
            return NULL;
        bool is_plain = true;
        for (int64_t i = 0; i < n; i++) {
            char text[32];
            index[i] = spec_index(s, is_row, browse_place(b, is_row, i));
            snprintf(text, sizeof text, "%" PRId64, index[i]);
            is_plain = is_plain && !strcmp(text, p->field.axes[side].labels[i]);
        }
        o->index[side] = index;
        o->is_plain[side] = is_plain;
        const struct order *order = is_row ? s->row_order : s->col_order;
        if (order && axis >= 0 && !(o->order[side] = order_text(s, order, is_row, a, e)))
            return NULL;
    }
    return o;
}

const struct export_origin *browse_rows_origin(const struct workbench *wb, const struct pane *p,
    int64_t first, int64_t rows, struct arena *a, struct err *e)
{
    if (p->id != PANE_BLOCK || !wb->browse || !wb->browse->now)
        return NULL;
    const struct spec *s = wb->browse->now->spec;
    const struct order *order = s->row_order;
    struct export_origin *o = arena_zalloc(a, sizeof *o, e);
    int64_t *index = o ? arena_array(a, (size_t)rows + 1, sizeof *index, e) : NULL;
    if (!index || !put_slice(o, s, a, e))
        return NULL;
    for (int64_t i = 0; i < rows; i++)
        index[i] = spec_index(s, true, first + i);
    o->index[0] = index;
    o->is_plain[0] = true;
    if (order && order->by < s->n->n_columns)
        o->order[0] = arena_printf(a, e, "%s by %s", order->is_falling ? "falling" : "rising",
            s->n->columns[order->by].name);
    return o;
}
