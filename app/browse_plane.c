#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse.h"
#include "model/core/text.h"

/* The dataset on screen: which plane of it, what keys do to that, and the fields that views draw. */

/* --- Planes -------------------------------------------------------------------------------------- */

static struct spec *first_plane(int doc, int node, const struct node *n)
{
    struct spec s = {.doc = doc, .node = node, .n = n, .row = -1, .col = -1, .how = AGG_MEAN};
    for (int i = 0; i < n->rank; i++)
        s.cut[i] = (struct cut){0, n->axes[i].size, 1};
    if (spec_is_table(&s) || n->rank == 1)
        s.row = 0;
    if (n->kind == NODE_NUMBERS && n->rank > 1) {
        s.row = n->rank - 2;
        s.col = n->rank - 1;
    }
    /* Ranks of one cell say less than the first answers of all. */
    if (n->rank > 2 && n->axes[n->rank - 1].kind == AXIS_RANK) {
        s.row = n->rank - 3;
        s.col = n->rank - 2;
    }
    return spec_copy(&s);
}

bool browse_is_text(const struct spec *s, int axis)
{
    return axis >= 0 && s->n->labelled >> axis & 1 && s->n->axes[axis].kind == AXIS_POS;
}

/* The state of the pane, kept with its dataset while another one is on screen. */
static void put_away(struct workbench *wb, struct browse *b)
{
    const struct pane *p = &wb->panes[PANE_BLOCK];
    if (!b->now)
        return;
    b->now->st = p->st;
    b->now->view = p->view;
}

static const char *plane_label(const struct axis *a, int64_t i, char *buf, size_t n);

void browse_suit(struct workbench *wb, struct browse *b)
{
    struct pane *p = &wb->panes[PANE_BLOCK];
    const struct spec *s = b->now->spec;
    const bool flat = s->col < 0;
    p->view = view_find(spec_is_table(s) || s->row < 0 ? "table" : look_name(b->now->look));
    if (spec_is_table(s) || s->row < 0 ||
        (s->n->has_look && p->view && p->view->min_rank <= 2 - flat &&
            p->view->max_rank >= 2 - flat && !(flat && b->now->look == LOOK_HEATMAP)))
        return;
    static const char *const best[2][4] = {
        {"heatmap", "table"}, {"tokens", "lines", "bars", "table"}};
    struct field f = {
        .rank = 2 - flat, .look = LOOK_TABLE, .unit = s->n->unit, .long_name = s->n->long_name};
    f.axes[0] = s->n->axes[s->row];
    if (browse_is_text(s, s->row))
        f.axes[0].label = plane_label; /* asked for whether it is there */
    if (!flat)
        f.axes[1] = s->n->axes[s->col];
    for (int i = 0; i < 4 && best[flat][i]; i++)
        if (view_suits(p->view = view_find(best[flat][i]), &f))
            return;
}

/* Layers grow upwards as in print; positions are read from the top, as the array lies. */
static bool reads_down(const struct spec *s)
{
    return s->row >= 0 && s->col >= 0 && s->n->axes[s->row].kind == AXIS_POS;
}

void browse_enter(struct workbench *wb, int doc, int node)
{
    struct browse *b = wb->browse;
    const struct node *n = b->docs[doc].nodes[node];
    struct pane *p = &wb->panes[PANE_BLOCK];
    struct opened *to = &b->opened[0];
    put_away(wb, b);
    for (int i = 0; i < OPENED; i++) {
        struct opened *o = &b->opened[i];
        if (o->spec && o->doc == doc && o->node == node) {
            to = o;
            break;
        }
        if (o->used < to->used)
            to = o;
    }
    if (!to->spec || to->doc != doc || to->node != node) {
        browse_forget(to);
        *to = (struct opened){.doc = doc, .node = node, .look = n->look};
        to->spec = first_plane(doc, node, n);
        if (!to->spec) {
            workbench_say(wb, true, "no memory for another dataset");
            b->now = NULL;
            return;
        }
        b->now = to;
        browse_suit(wb, b);
        to->view = p->view;
        to->st.flipped = reads_down(to->spec);
    }
    to->used = ++b->clock;
    b->now = to;
    p->st = to->st;
    p->view = to->view;
    b->axis = 0;
    for (int i = 0; i < n->rank; i++)
        if (i != to->spec->row && i != to->spec->col) {
            b->axis = i;
            break;
        }
    b->has_stats = b->reads_all = false;
    browse_show(wb, PANE_BLOCK);
}

void browse_plane(struct workbench *wb, struct spec *s)
{
    struct browse *b = wb->browse;
    struct pane *p = &wb->panes[PANE_BLOCK];
    const struct spec *was = b->now->spec;
    bool is_flat = s->col < 0 && !spec_is_table(s), has_turned = (was->col < 0) != (s->col < 0);
    if ((was->col < 0) != (s->col < 0)) {
        p->st.has_axes = false;
        p->st.at[1] = 0;
    }
    if (s->row != was->row || (was->col < 0) != (s->col < 0))
        p->st.flipped = reads_down(s);
    /* The cursor stays on its index where the axes stay. */
    if (s->row != was->row || (s->row >= 0 && s->cut[s->row].start != was->cut[s->row].start)) {
        p->st.at[0] = p->st.scroll[0] = 0;
    }
    if (s->col != was->col || (s->col >= 0 && s->cut[s->col].start != was->cut[s->col].start))
        p->st.at[1] = p->st.scroll[1] = 0;
    p->st.seen = 0;
    spec_release(&b->now->spec);
    b->now->spec = s;
    if (has_turned || (is_flat && p->view && p->view->min_rank > 1))
        browse_suit(wb, b);
    b->has_stats = false;
    if (s->sheet && !s->sheet->is_whole)
        io_begin(b->io, IO_AGGREGATE, s, 0, false, NULL);
}

/* A changed copy: orders and aggregates belong to the old plane. */
struct spec *browse_changed(const struct browse *b)
{
    struct spec *s = spec_copy(b->now->spec);
    if (!s)
        return NULL;
    order_release(&s->row_order);
    order_release(&s->col_order);
    sheet_release(&s->sheet);
    return s;
}

void browse_commit(struct workbench *wb, struct spec *s)
{
    struct err e = {0};
    if (!s)
        return;
    if (spec_has_agg(s)) {
        int64_t rows = spec_rows(s), cols = spec_cols(s);
        if (rows > 0 && cols > 0 && rows > SHEET_CELLS / cols)
            err_set(&e, ERR_LIMIT,
                "an aggregate of %lld x %lld cells is too large to keep; cut a slice with = first",
                (long long)rows, (long long)cols);
        else
            s->sheet = sheet_create(rows > 0 ? rows : 1, cols > 0 ? cols : 1, &e);
        if (!s->sheet) {
            workbench_say(wb, true, "%s", e.msg);
            spec_release(&s);
            return;
        }
    }
    browse_plane(wb, s);
}

/* --- Fields ------------------------------------------------------------------------------------ */

static enum agg agg_of(enum field_reduce r)
{
    return (int)r < AGGS ? (enum agg)r : AGG_MAX;
}

#define READ_MOST ((int64_t)48 << 20) /* bytes for one drawing before it samples instead */

static void remember_window(struct browse *b, const struct io_window *w, const double *v)
{
    struct io_window *s = &b->seen;
    /* A view that looks for its range reads more than it draws, after what it draws. */
    if (b->has_seen && (s->rs != w->rs || s->cs != w->cs || (w->nr > s->nr && w->nc > s->nc)))
        return;
    int64_t had_c = b->has_seen ? s->nc : 0, n;
    if (!b->has_seen) {
        *s = *w;
    } else if (w->r0 == s->r0 && w->nr == s->nr && w->c0 == s->c0 + s->nc * s->cs) {
        s->nc += w->nc; /* the next column of a table */
    } else {
        return;
    }
    n = s->nr * s->nc;
    if (n > b->window_cap) {
        double *more = realloc(b->window, (size_t)n * sizeof *more);
        if (!more)
            return;
        b->window = more;
        b->window_cap = n;
    }
    for (int64_t r = s->nr - 1; r >= 0; r--) {
        memmove(b->window + r * s->nc, b->window + r * had_c, (size_t)had_c * sizeof *v);
        memcpy(b->window + r * s->nc + had_c, v + r * w->nc, (size_t)w->nc * sizeof *v);
    }
    b->has_seen = true;
}

static int fetch_plane(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct plane_column *p = f->source_data;
    struct browse *b = p->b;
    struct spec *s = p->spec ? p->spec : b->now->spec;
    bool has_row = s->row >= 0, has_col = f->rank > 1;
    struct io_window win = {.r0 = has_row ? w->start[0] : 0,
        .nr = has_row ? w->count[0] : 1,
        .rs = has_row && w->stride[0] > 0 ? w->stride[0] : 1,
        .c0 = has_col         ? w->start[1]
              : p->column > 0 ? p->column
                              : 0,
        .nc = has_col ? w->count[1] : 1,
        .cs = has_col && w->stride[1] > 0 ? w->stride[1] : 1,
        .how = agg_of(reduce)};
    bool is_folded = win.rs > 1 || win.cs > 1;
    /* What lies outside is missing. */
    if (win.r0 < 0 || win.c0 < 0 || win.r0 + (win.nr - 1) * win.rs >= spec_rows(s) ||
        win.c0 + (win.nc - 1) * win.cs >= spec_cols(s))
        return err_set(e, ERR_USAGE, "a window outside the plane");
    double bytes = (double)win.nr * (double)win.rs * (double)win.nc * (double)win.cs *
                   (double)dtype_bytes(s->n->dtype);
    if (is_folded && !s->sheet && !b->reads_all && bytes > READ_MOST) {
        win.how = AGG_POINT;
        b->is_sampled = true;
    }
    int rc = io_fetch(out, b->io, s, &win, e);
    if (rc > 0)
        b->is_missing = true;
    if (rc >= 0 && !b->is_paper && !p->spec)
        remember_window(b, &win, out);
    return rc < 0 ? rc : 0;
}

static uint64_t plane_generation(const struct field *f)
{
    const struct plane_column *p = f->source_data;
    return io_generation(p->b->io, p->spec ? p->spec : p->b->now->spec);
}

static const char *plane_label(const struct axis *a, int64_t i, char *buf, size_t n)
{
    const struct plane_axis *p = a->label_data;
    struct spec *s = p->b->now->spec;
    int axis = p->is_row ? s->row : s->col;
    int64_t index = spec_index(s, p->is_row, i);
    if (io_label(buf, n, p->b->io, s, axis, index) != 1)
        snprintf(buf, n, "%lld", (long long)index);
    return buf;
}

/* A cell of a column of texts. */
static const char *cell_label(const struct axis *a, int64_t i, char *buf, size_t n)
{
    const struct plane_column *p = a->label_data;
    io_text(buf, n, p->b->io, p->b->now->spec, i, p->column);
    return buf;
}

/* Rows and columns by size stand out of their text. */
static bool plane_context(const struct axis *a, int64_t i, char *before, char *after, size_t n)
{
    const struct plane_axis *p = a->label_data;
    struct spec *s = p->b->now->spec;
    int axis = p->is_row ? s->row : s->col;
    int64_t index = spec_index(s, p->is_row, p->b->is_paper ? browse_place(p->b, p->is_row, i) : i);
    return io_context(before, after, n, p->b->io, s, axis, index) == 1;
}

static struct axis plane_axis(struct browse *b, bool is_row)
{
    const struct spec *s = b->now->spec;
    int axis = is_row ? s->row : s->col;
    const struct cut *cut = &s->cut[axis];
    struct axis a = s->n->axes[axis];
    bool is_plain = cut->start == 0 && cut->step == 1 && !(is_row ? s->row_order : s->col_order);
    a.size = cut->n;
    a.labels = NULL;
    b->axes[is_row ? 0 : 1] = (struct plane_axis){b, is_row};
    if (!is_plain || s->n->labelled >> axis & 1) {
        a.label = plane_label;
        a.label_data = &b->axes[is_row ? 0 : 1];
    }
    bool is_by_size = is_row ? s->row_order || b->is_top : s->col_order != NULL;
    if (is_by_size && browse_is_text(s, axis)) {
        a.label = plane_label;
        a.label_data = &b->axes[is_row ? 0 : 1];
        a.context = plane_context;
    }
    return a;
}

static void table_fields(struct browse *b)
{
    const struct spec *s = b->now->spec;
    for (int c = 0; c < s->n->n_columns; c++) {
        const struct column *col = &s->n->columns[c];
        struct field *f = &b->fields[c];
        b->columns[c] = (struct plane_column){b, c, NULL};
        *f = (struct field){.name = col->name,
            .unit = col->unit ? col->unit : "",
            .long_name = s->n->long_name,
            .dtype = col->is_text ? DT_F64 : col->dtype,
            .look = col->is_text ? LOOK_TEXT : LOOK_TABLE,
            .rank = 1,
            .generation = plane_generation,
            .fetch = fetch_plane,
            .source_data = &b->columns[c]};
        f->axes[0] = plane_axis(b, true);
        if (col->is_text) {
            f->axes[0].label = cell_label;
            f->axes[0].label_data = &b->columns[c];
        }
    }
}

static bool is_error_of(const struct node *x, const struct node *n)
{
    bool is_it = x->kind == NODE_NUMBERS && x->rank == n->rank;
    for (int i = 0; is_it && i < n->rank; i++)
        is_it = x->axes[i].size == n->axes[i].size;
    return is_it && report_is_error_of(x->path, n->path);
}

/* The same plane of the dataset that holds the standard errors; what is aggregated has none. */
static const struct field *error_field(struct browse *b, const struct field *of)
{
    struct opened *o = b->now;
    const struct browse_doc *d = &b->docs[o->doc];
    if (o->error_of != o->spec->id) {
        spec_release(&o->error);
        o->error_of = o->spec->id;
        for (int i = 0; i < d->n && !o->error && !o->spec->sheet && !spec_has_agg(o->spec); i++)
            if (is_error_of(d->nodes[i], o->spec->n) && (o->error = spec_copy(o->spec))) {
                o->error->node = i;
                o->error->n = d->nodes[i];
            }
    }
    if (!o->error)
        return NULL;
    b->error_column = (struct plane_column){b, -1, o->error};
    b->error = *of;
    b->error.dtype = o->error->n->dtype;
    b->error.is_signed = false;
    b->error.source_data = &b->error_column;
    return &b->error;
}

bool browse_field(struct browse *b, struct pane *p)
{
    if (!b || !b->now)
        return false;
    const struct spec *s = b->now->spec;
    p->many = NULL;
    b->is_top = p->st.top > 0;
    if (spec_is_table(s)) {
        table_fields(b);
        p->many = b->fields;
        p->n_many = s->n->n_columns;
        p->field = b->fields[0];
        return true;
    }
    b->columns[0] = (struct plane_column){b, -1, NULL};
    p->field = (struct field){.name = s->n->name,
        .unit = s->n->unit,
        .long_name = *s->n->long_name ? s->n->long_name : s->n->path,
        .dtype = s->sheet ? DT_F64 : s->n->dtype,
        .look = p->view && !strcmp(p->view->id, "tokens") ? LOOK_TOKENS
                : s->row < 0 || !s->n->has_look           ? LOOK_TABLE
                                                          : b->now->look,
        .is_signed = s->n->is_signed || p->st.lo < 0,
        .rank = (s->row >= 0) + (s->col >= 0),
        .generation = plane_generation,
        .fetch = fetch_plane,
        .source_data = &b->columns[0]};
    if (s->row >= 0)
        p->field.axes[0] = plane_axis(b, true);
    if (s->col >= 0)
        p->field.axes[1] = plane_axis(b, false);
    p->error = error_field(b, &p->field);
    return true;
}

int browse_zoom(const struct browse *b, const struct pane *p, bool is_row)
{
    (void)p;
    int64_t step = !b->has_seen ? 1 : is_row ? b->seen.rs : b->seen.cs;
    return (int)step;
}

/* --- Keys -------------------------------------------------------------------------------------- */

bool browse_ready(struct workbench *wb, bool needs_axes)
{
    struct browse *b = wb->browse;
    if (!b || !b->now) {
        workbench_say(wb, false, "no dataset is open; Enter in the list opens one");
        return false;
    }
    if (needs_axes && b->now->spec->n->rank < 1) {
        workbench_say(wb, false, "a single value has no axes");
        return false;
    }
    return true;
}

static void step_axis(struct workbench *wb, int by)
{
    struct browse *b = wb->browse;
    if (browse_ready(wb, true))
        b->axis = (b->axis + by + b->now->spec->n->rank) % b->now->spec->n->rank;
}

void act_next_axis(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_axis(wb, 1);
}

void act_prev_axis(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_axis(wb, -1);
}

/* Where the cursor stands along an axis of the dataset. */
int64_t browse_index(const struct workbench *wb, const struct spec *s, int axis)
{
    const struct view_state *st = &wb->panes[PANE_BLOCK].st;
    if (axis == s->row)
        return spec_index(s, true, st->at[0]);
    if (axis == s->col)
        return spec_index(s, false, st->at[1]);
    return s->at[axis];
}

/* Makes an axis the rows or the columns; what was there stays at the cursor, or takes its place. */
static void draw_axis(struct workbench *wb, bool as_row)
{
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true))
        return;
    const struct spec *was = b->now->spec;
    int axis = b->axis, old = as_row ? was->row : was->col;
    if (spec_is_table(was) || axis == old)
        return;
    struct spec *s = browse_changed(b);
    if (!s)
        return;
    if (axis == (as_row ? was->col : was->row)) {
        /* The two trade places; a lone axis of rows cannot become columns. */
        if (was->col < 0) {
            spec_release(&s);
            return;
        }
        s->row = was->col;
        s->col = was->row;
    } else {
        if (old >= 0)
            s->at[old] = browse_index(wb, was, old);
        s->is_agg[axis] = false;
        *(as_row ? &s->row : &s->col) = axis;
        if (s->row < 0 && s->col >= 0) {
            s->row = s->col;
            s->col = -1;
        }
    }
    browse_commit(wb, s);
}

void act_axis_rows(struct workbench *wb, const struct key *k)
{
    (void)k;
    draw_axis(wb, true);
}

void act_axis_columns(struct workbench *wb, const struct key *k)
{
    (void)k;
    draw_axis(wb, false);
}

void act_turn(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true) || b->now->spec->col < 0)
        return;
    struct view_state *st = &wb->panes[PANE_BLOCK].st;
    int64_t row = st->at[0], col = st->at[1];
    struct spec *s = spec_copy(b->now->spec);
    if (!s)
        return;
    int was = s->row;
    struct order *o = s->row_order;
    s->row = s->col;
    s->col = was;
    s->row_order = s->col_order;
    s->col_order = o;
    bool has_agg = s->sheet != NULL;
    sheet_release(&s->sheet);
    if (has_agg)
        browse_commit(wb, s);
    else
        browse_plane(wb, s);
    st->at[0] = col;
    st->at[1] = row;
}

/* Takes the axis out of the plane: its neighbour moves up. */
static void leave_plane(struct spec *s, int axis)
{
    if (axis == s->row) {
        s->row = s->col;
        s->col = -1;
    } else if (axis == s->col) {
        s->col = -1;
    }
}

static void set_aggregate(struct workbench *wb, int axis, enum agg how)
{
    struct browse *b = wb->browse;
    struct spec *s = browse_changed(b);
    if (!s)
        return;
    int64_t at = browse_index(wb, b->now->spec, axis);
    leave_plane(s, axis);
    s->is_agg[axis] = how != AGG_POINT;
    s->at[axis] = at;
    if (how != AGG_POINT)
        s->how = how;
    browse_commit(wb, s);
}

void act_aggregate(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true) || spec_is_table(b->now->spec))
        return;
    const struct spec *s = b->now->spec;
    enum agg next = !s->is_agg[b->axis] ? (spec_has_agg(s) ? s->how : AGG_MEAN)
                    : s->how + 1 < AGGS ? (enum agg)(s->how + 1)
                                        : AGG_POINT;
    set_aggregate(wb, b->axis, next);
}

static void step_index(struct workbench *wb, int64_t by)
{
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true))
        return;
    const struct spec *was = b->now->spec;
    int axis = b->axis;
    struct view_state *st = &wb->panes[PANE_BLOCK].st;
    if (axis == was->row || axis == was->col) {
        int64_t *at = &st->at[axis == was->row ? 0 : 1], to = *at + by;
        *at = to < 0 ? 0 : to >= was->cut[axis].n ? was->cut[axis].n - 1 : to;
        return;
    }
    int64_t n = was->n->axes[axis].size, to = was->at[axis] + by;
    if (was->is_agg[axis] || to < 0 || to >= n)
        return;
    bool has_agg = was->sheet != NULL;
    struct spec *s = has_agg ? browse_changed(b) : spec_copy(was);
    if (!s)
        return;
    s->at[axis] = to;
    if (has_agg)
        browse_commit(wb, s);
    else
        browse_plane(wb, s);
}

void act_next_index(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_index(wb, 1);
}

void act_prev_index(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_index(wb, -1);
}

void act_axis_value(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    char text[300];
    if (!browse_ready(wb, true))
        return;
    snprintf(text, sizeof text, "at %s=", b->now->spec->n->axes[b->axis].name);
    workbench_line(wb, INPUT_COMMAND, text);
}

/* --- :at -------------------------------------------------------------------------------------- */

static bool whole_number(int64_t *out, const char *s, const char **end)
{
    char *stop;
    errno = 0;
    long long v = strtoll(s, &stop, 10);
    *end = stop;
    *out = v;
    return stop > s && !errno;
}

/* "a:b:s" with any part left out, as in numpy; false: not that. */
static bool parse_slice(struct cut *out, const char *text, int64_t size)
{
    int64_t v[3] = {0, size, 1};
    const char *p = text;
    for (int i = 0; i < 3; i++) {
        const char *end = p;
        if (*p && *p != ':' && !whole_number(&v[i], p, &end))
            return false;
        if (i < 2 && end > p && v[i] < 0)
            v[i] += size;
        p = end;
        if (*p == ':' && i < 2)
            p++;
        else if (*p)
            return false;
        else
            break;
    }
    v[0] = v[0] < 0 ? 0 : v[0];
    v[1] = v[1] > size ? size : v[1];
    if (v[2] < 1 || v[1] <= v[0])
        return false;
    *out = (struct cut){v[0], (v[1] - v[0] - 1) / v[2] + 1, v[2]};
    return true;
}

#define LABELS_MOST 4096

/* The index whose label is the text; -1: none among the first. */
static int64_t find_label(struct browse *b, int axis, const char *text)
{
    struct spec *s = b->now->spec;
    int64_t n = s->n->axes[axis].size;
    char label[128];
    io_frame(b->io, 0.04);
    for (int64_t i = 0; i < n && i < LABELS_MOST; i++) {
        int known = io_label(label, sizeof label, b->io, s, axis, i);
        const char *own = label + (*label == ' ' && *text != ' ');
        if (known < 0)
            return -1;
        if (known > 0 && !strcmp(own, text))
            return i;
    }
    return -1;
}

/* One AXIS=VALUE; false: said why. */
static bool set_axis(struct workbench *wb, int axis, const char *value)
{
    struct browse *b = wb->browse;
    const struct spec *was = b->now->spec;
    struct view_state *st = &wb->panes[PANE_BLOCK].st;
    const struct axis *a = &was->n->axes[axis];
    struct cut cut;
    int64_t at;
    const char *end;
    b->axis = axis;
    if (!strcmp(value, "rows") || !strcmp(value, "columns")) {
        draw_axis(wb, *value == 'r');
        return true;
    }
    for (int i = AGG_MEAN; i < AGGS; i++)
        if (!strcmp(value, agg_names[i])) {
            set_aggregate(wb, axis, (enum agg)i);
            return true;
        }
    bool is_number = whole_number(&at, value, &end) && !*end;
    if (!is_number && strchr(value, ':') && parse_slice(&cut, value, a->size)) {
        struct spec *s = browse_changed(b);
        if (!s)
            return false;
        if (axis != s->row && axis != s->col && !s->is_agg[axis] && cut.n == 1)
            s->at[axis] = cut.start;
        else if (axis != s->row && axis != s->col && !s->is_agg[axis])
            s->is_agg[axis] = true; /* a slice of what is not drawn can only be aggregated */
        s->cut[axis] = cut;
        browse_commit(wb, s);
        return true;
    }
    if (is_number && at < 0)
        at += a->size;
    if (!is_number)
        at = find_label(b, axis, value);
    if (at < 0 || at >= a->size) {
        workbench_say(wb, true,
            "%s has no \"%.60s\": an index from 0 to %lld, a slice a:b:s, a label, rows, columns, "
            "mean, max, min, absmax, norm or std",
            a->name, value, (long long)a->size - 1);
        return false;
    }
    if (axis == was->row || axis == was->col) {
        const struct cut *c = &was->cut[axis];
        const struct order *o = axis == was->row ? was->row_order : was->col_order;
        int64_t i = (at - c->start) / c->step;
        if (at < c->start || i >= c->n || (at - c->start) % c->step) {
            workbench_say(wb, true, "%lld is not in the slice; :at %s=: takes all of it",
                (long long)at, a->name);
            return false;
        }
        for (int64_t k = 0; o && k < o->n; k++)
            if (o->index[k] == i) {
                i = k;
                break;
            }
        st->at[axis == was->row ? 0 : 1] = i;
        return true;
    }
    struct spec *s = browse_changed(b);
    if (!s)
        return false;
    s->is_agg[axis] = false;
    s->at[axis] = at;
    browse_commit(wb, s);
    return true;
}

void colon_at(struct workbench *wb, const char *arg)
{
    char name[128], value[256];
    /* A document that is being opened first. */
    if (wb->browse && wb->browse->wish_doc >= 0) {
        snprintf(wb->browse->wish_at, sizeof wb->browse->wish_at, "%s", arg);
        return;
    }
    if (!browse_ready(wb, true))
        return;
    while (*arg) {
        size_t n = strcspn(arg, "=");
        if (!arg[n] || n >= sizeof name) {
            workbench_say(wb, true, "write AXIS=VALUE, as in :at head=3,token=0:100");
            return;
        }
        memcpy(name, arg, n);
        name[n] = '\0';
        arg += n + 1;
        size_t k = strcspn(arg, ",");
        if (k == 0 && *arg == ',' && (arg[1] == ',' || !arg[1]))
            k = 1; /* the label of a comma */
        snprintf(value, sizeof value, "%.*s", (int)(k < 255 ? k : 255), arg);
        arg += k + (arg[k] == ',');
        const struct node *node = wb->browse->now->spec->n;
        int axis = 0;
        while (axis < node->rank && strcmp(node->axes[axis].name, name) != 0)
            axis++;
        if (axis == node->rank) {
            char list[300] = "";
            size_t at = 0;
            for (int i = 0; i < node->rank && at < sizeof list; i++)
                at += (size_t)snprintf(
                    list + at, sizeof list - at, "%s%s", i ? ", " : "", node->axes[i].name);
            workbench_say(wb, true, "no axis \"%s\"; there are %s", name, list);
            return;
        }
        if (!set_axis(wb, axis, value))
            return;
    }
}

const char *browse_at_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct browse *b = wb->browse;
    if (!b || !b->now || !wb->in_documents || b->now->spec->n->rank < 1)
        return NULL;
    const struct spec *s = b->now->spec;
    const struct axis *axes = s->n->axes;
    const char *line = "at ";
    if (s->row >= 0 && !spec_is_table(s))
        line = arena_printf(a, e, "%s%s=rows,", line, axes[s->row].name);
    if (line && s->col >= 0)
        line = arena_printf(a, e, "%s%s=columns,", line, axes[s->col].name);
    for (int i = 0; i < s->n->rank && line; i++) {
        const struct cut *c = &s->cut[i];
        bool is_drawn = i == s->row || i == s->col;
        if (s->is_agg[i])
            line = arena_printf(a, e, "%s%s=%s,", line, axes[i].name, agg_names[s->how]);
        if (line && (is_drawn || s->is_agg[i]) && (c->start || c->step > 1 || c->n < axes[i].size))
            line =
                arena_printf(a, e, "%s%s=%lld:%lld:%lld,", line, axes[i].name, (long long)c->start,
                    (long long)(c->start + (c->n - 1) * c->step + 1), (long long)c->step);
        if (line && !s->is_agg[i])
            line = arena_printf(
                a, e, "%s%s=%lld,", line, axes[i].name, (long long)browse_index(wb, s, i));
    }
    return line;
}

/* --- Statistics, search ----------------------------------------------------------------- */

void act_statistics(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, false))
        return;
    struct spec *s = b->now->spec;
    if (b->has_stats) {
        b->has_stats = false;
        return;
    }
    const struct view_state *st = &wb->panes[PANE_BLOCK].st;
    int64_t column = spec_is_table(s) ? st->at[1] : 0;
    if (spec_is_table(s) && s->n->columns[column].is_text) {
        workbench_say(wb, false, "a column of texts has no statistics");
        return;
    }
    b->has_stats = true;
    io_begin(b->io, IO_STATS, s, column, false, NULL);
}

void act_read_all(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, false))
        return;
    b->reads_all = !b->reads_all;
    workbench_say(wb, false,
        b->reads_all ? "every value is read, however long it takes"
                     : "drawings that would read more than 48 MB are sampled");
}

/* The whole plane in the pane: cells grow until it fits. */
void act_overview(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true))
        return;
    struct pane *p = &wb->panes[PANE_BLOCK];
    const struct spec *s = b->now->spec;
    int zoom = 0, h = p->rect.h > 8 ? p->rect.h - 6 : 2, w = p->rect.w > 24 ? p->rect.w - 18 : 6;
    if (p->st.zoom) {
        p->st.zoom = 0;
        return;
    }
    while (zoom < 40 && ((spec_rows(s) >> zoom) > h || (s->col >= 0 && (spec_cols(s) >> zoom) > w)))
        zoom++;
    p->st.zoom = zoom;
    p->st.seen = 0;
}

/* "column:" and "row:" narrow a search to those of the cursor. */
static const char *parse_where(struct io_search *q, const char *text)
{
    static const char *const words[] = {[SEARCH_COLUMN] = "column:", [SEARCH_ROW] = "row:"};
    for (int i = SEARCH_COLUMN; i <= SEARCH_ROW; i++) {
        size_t n = strlen(words[i]);
        if (!strncmp(text, words[i], n)) {
            q->where = i;
            return text + n + strspn(text + n, " ");
        }
    }
    return text;
}

/* "> 0.5", "|x| > 3", "= 0", "nan": values; anything else: a pattern over labels and texts. */
static bool parse_search(struct io_search *q, const char **text)
{
    *q = (struct io_search){.op = 'r', .direction = 1};
    const char *p = *text = parse_where(q, *text);
    q->inverted = *p == '!' && p[1];
    *text += q->inverted;
    p += q->inverted;
    while (*p == ' ')
        p++;
    if (!strcmp(p, "nan") || !strcmp(p, "NaN")) {
        q->op = 'n';
        return true;
    }
    if (!strncmp(p, "|x|", 3) || !strncmp(p, "abs", 3)) {
        q->of_size = true;
        for (p += 3; *p == ' ';)
            p++;
    }
    if (!strchr("<>=", *p) || !*p) {
        q->of_size = false;
        return false;
    }
    char op = *p++, *end;
    while (*p == ' ')
        p++;
    double v = strtod(p, &end);
    if (end == p || *end) {
        q->of_size = false;
        return false;
    }
    q->op = op;
    q->value = v;
    return true;
}

void browse_find(struct workbench *wb, const char *pattern, int direction)
{
    struct browse *b = wb->browse;
    struct err e = {0};
    if (!browse_ready(wb, false))
        return;
    const struct view_state *st = &wb->panes[PANE_BLOCK].st;
    struct spec *s = b->now->spec;
    if (pattern) {
        bool is_value = parse_search(&b->search, &pattern);
        io_cancel(b->io);
        io_settle(b->io, 0.03);
        regex_release(&b->pattern);
        if (!is_value &&
            regex_compile(&b->pattern, pattern, strlen(pattern), REGEX_ANY_BYTES, &e)) {
            workbench_say(wb, true, "%s", e.msg);
            return;
        }
        direction = 1;
    }
    if (b->search.op == 'r' && !b->pattern) {
        workbench_say(wb, false, "nothing searched yet; / begins");
        return;
    }
    if (b->search.op == 'r' && !spec_is_table(s) &&
        !((s->row >= 0 && s->n->labelled >> s->row & 1) ||
            (s->col >= 0 && s->n->labelled >> s->col & 1))) {
        workbench_say(wb, false, "no labels to search here; try values: > 0.5, |x| > 3, = 0, nan");
        return;
    }
    b->search.pattern = b->pattern;
    b->search.direction = direction < 0 ? -1 : 1;
    b->search.row = s->row < 0 ? 0 : st->at[0];
    b->search.col = s->col < 0 && !spec_is_table(s) ? 0 : st->at[1];
    io_begin(b->io, IO_SEARCH, s, 0, false, &b->search);
}

/* "the plane", "neuron 12": where the last search looked. */
void browse_searched(char *buf, size_t n, const struct browse *b)
{
    const struct io_search *q = &b->search;
    const struct spec *s = b->now->spec;
    const int axis = q->where == SEARCH_COLUMN ? s->col : s->row;
    if (q->where == SEARCH_PLANE)
        snprintf(buf, n, "%s", spec_is_table(s) ? "the table" : "the plane");
    else if (q->where == SEARCH_COLUMN && spec_is_table(s))
        snprintf(buf, n, "column %.60s", s->n->columns[q->col].name);
    else if (axis < 0)
        snprintf(buf, n, "the line");
    else
        snprintf(buf, n, "%.60s %lld", s->n->axes[axis].name,
            (long long)spec_index(
                s, q->where == SEARCH_ROW, q->where == SEARCH_ROW ? q->row : q->col));
}
