#include <string.h>

#include "app/workbench.h"

/* Search along one axis of the focused pane: its labels by a regular expression, "!" first inverts. */

static void collect(struct workbench *wb, struct pane *p)
{
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    struct matcher *m;
    struct err e;
    p->n_hits = 0;
    pane_data(wb, p, &d, marks);
    if (!d.n || !wb->pattern || p->class->search_axis >= p->field.rank)
        return;
    const struct axis *a = &p->field.axes[p->class->search_axis];
    if (matcher_create(&m, wb->pattern, &e))
        return;
    for (int64_t i = 0; i < a->size && p->n_hits < PANE_HITS; i++) {
        char buf[32];
        const char *label = axis_label(a, i, buf, sizeof buf);
        size_t begin, end;
        int found = regex_find(&begin, &end, m, label, strlen(label), 0, 0, &e);
        if (found >= 0 && (found == 1) != wb->inverted)
            p->hits[p->n_hits++] = (struct mark){a->kind, i};
    }
    matcher_release(&m);
}

void search_set(struct workbench *wb, const char *pattern)
{
    struct err e;
    struct pane *p = &wb->panes[wb->focus];
    wb->inverted = pattern[0] == '!';
    pattern += wb->inverted;
    regex_release(&wb->pattern);
    for (int i = 0; i < PANE_SLOTS; i++)
        wb->panes[i].n_hits = 0;
    if (!*pattern)
        return;
    if (regex_compile(&wb->pattern, pattern, strlen(pattern), REGEX_ANY_BYTES, &e)) {
        workbench_say(wb, true, "%s", e.msg);
        return;
    }
    collect(wb, p);
    if (!p->n_hits)
        workbench_say(wb, false, "no match for %s%s", wb->inverted ? "!" : "", pattern);
    else
        search_next(wb, 0);
}

/* The next match behind the cursor (direction 1), before it (-1), or at it (0); around the end. */
void search_next(struct workbench *wb, int direction)
{
    struct pane *p = &wb->panes[wb->focus];
    int axis = p->class->search_axis;
    if (!wb->pattern) {
        workbench_say(wb, false, "nothing searched yet; / begins");
        return;
    }
    if (axis < 0)
        return;
    if (!p->n_hits)
        collect(wb, p);
    if (!p->n_hits) {
        workbench_say(wb, false, "no match in this pane");
        return;
    }
    int64_t at = p->st.at[axis];
    int k = -1;
    for (int i = 0; i < p->n_hits; i++) {
        int64_t h = p->hits[i].index;
        if (direction < 0 ? h < at : direction ? h > at && k < 0 : h >= at && k < 0)
            k = i;
    }
    if (k < 0)
        k = direction < 0 ? p->n_hits - 1 : 0;
    int64_t pos = wb->sel.pos;
    p->st.at[axis] = p->hits[k].index;
    if (p->class->lead)
        p->class->lead(wb, p);
    if (wb->sel.pos != pos)
        workbench_selected(wb);
    workbench_say(wb, false, "match %d of %d; n next, N previous", k + 1, p->n_hits);
}
