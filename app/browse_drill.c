#include <string.h>

#include "app/browse.h"
#include "app/keys.h"

/* Enter in a plane: a row of words opens its text, any other row what lies below it. */

void browse_forget(struct opened *o)
{
    for (int i = 0; i < o->n_above; i++)
        spec_release(&o->above[i].spec);
    spec_release(&o->spec);
    spec_release(&o->error);
    *o = (struct opened){0};
}

/* Keeps the plane on screen for Esc; the oldest goes where there are too many. */
static void keep(struct workbench *wb)
{
    struct opened *o = wb->browse->now;
    const struct pane *p = &wb->panes[PANE_BLOCK];
    if (o->n_above == DEPTH) {
        spec_release(&o->above[0].spec);
        memmove(o->above, o->above + 1, (DEPTH - 1) * sizeof *o->above);
        o->n_above--;
    }
    o->above[o->n_above++] = (struct depth){spec_share(o->spec), p->st, p->view, wb->browse->axis};
}

bool browse_rise(struct workbench *wb)
{
    struct browse *b = wb->browse;
    struct pane *p = &wb->panes[PANE_BLOCK];
    if (!b || !b->now || !b->now->n_above)
        return false;
    struct depth *d = &b->now->above[--b->now->n_above];
    browse_plane(wb, d->spec); /* takes it */
    p->st = d->st;
    p->st.seen = 0;
    p->view = d->view;
    b->axis = d->axis;
    d->spec = NULL;
    return true;
}

/* Into the plane; false: it could not be made, and that was said. */
static bool descend(struct workbench *wb, struct spec *s)
{
    struct browse *b = wb->browse;
    const uint64_t was = b->now->spec->id;
    keep(wb);
    browse_commit(wb, s);
    if (b->now->spec->id != was)
        return true;
    spec_release(&b->now->above[--b->now->n_above].spec);
    return false;
}

/* The whole text that a row or a column stands in, coloured by the line across; false: it stands in
 * none, or the text is what is on screen. */
static bool open_text(struct workbench *wb, bool is_row)
{
    struct browse *b = wb->browse;
    struct pane *p = &wb->panes[PANE_BLOCK];
    const struct spec *was = b->now->spec;
    const int axis = is_row ? was->row : was->col, other = is_row ? was->col : was->row;
    struct io_cell cell;
    if (!browse_is_text(was, axis))
        return false;
    io_frame(b->io, 0.5);
    if (!io_cell(&cell, b->io, b->now->spec, was->row < 0 ? 0 : p->st.at[0],
            was->col < 0 ? 0 : p->st.at[1])) {
        workbench_say(wb, false, "its text is still being read; once more");
        return true;
    }
    const int64_t *text = cell.text[is_row ? 0 : 1], at = browse_index(wb, was, axis);
    const struct cut whole = {text[0], text[1] - text[0], 1};
    const bool is_there = other < 0 && !was->row_order && !strcmp(p->view->id, "tokens") &&
                          was->cut[axis].start == whole.start && was->cut[axis].n == whole.n;
    if (whole.n < 1 || is_there)
        return false;
    struct spec *s = browse_changed(b);
    if (!s)
        return true;
    if (other >= 0)
        s->at[other] = browse_index(wb, was, other);
    s->row = axis;
    s->col = -1;
    s->cut[axis] = whole;
    if (descend(wb, s)) {
        p->view = view_find("tokens");
        p->st = (struct view_state){.at = {at - whole.start}};
        b->axis = other >= 0 ? other : axis;
    }
    return true;
}

/* Fixes the rows' axis at the cursor: the columns become the rows, and behind a single line come the
 * last two axes below it. */
static void open_slice(struct workbench *wb)
{
    struct browse *b = wb->browse;
    struct pane *p = &wb->panes[PANE_BLOCK];
    const struct spec *was = b->now->spec;
    const int axis = was->row;
    int below[2] = {was->col, -1};
    for (int i = was->n->rank - 1; i > axis && was->col < 0 && below[1] < 0; i--)
        if (!was->is_agg[i])
            below[below[0] < 0 ? 0 : 1] = i;
    if (axis < 0 || below[0] < 0) {
        workbench_say(wb, false, "a single number: nothing lies below it; y copies it");
        return;
    }
    struct spec *s = browse_changed(b);
    if (!s)
        return;
    s->at[axis] = browse_index(wb, was, axis);
    s->row = below[1] < 0 ? below[0] : below[1];
    s->col = below[1] < 0 ? -1 : below[0];
    if (was->col >= 0 && was->col_order) {
        s->row_order = order_share(was->col_order);
    }
    /* What was fixed on the way here is where the cursor comes to stand. */
    const int64_t at[2] = {
        was->col >= 0 ? p->st.at[1] : was->at[s->row], s->col >= 0 ? was->at[s->col] : 0};
    if (descend(wb, s)) {
        p->st = (struct view_state){.at = {at[0], at[1]}};
        browse_suit(wb, b);
        b->axis = axis;
    }
}

void act_open_row(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct browse *b = wb->browse;
    if (!browse_ready(wb, true))
        return;
    if (spec_is_table(b->now->spec)) {
        workbench_say(wb, false, "nothing lies below a row of a table; y copies a cell");
        return;
    }
    if (!open_text(wb, true) && !open_text(wb, false))
        open_slice(wb);
}
