#include <string.h>

#include "app/workbench.h"

/* Search along one axis of the focused pane: its labels by a regular expression, "!" first inverts. */

/* What one pass over the labels finds; indices are -1 where there is none. */
struct hunt {
    int64_t first, last, before, at, after; /* seen from the cursor */
    int64_t total, rank;                    /* rank: of the chosen one, from 0 */
};

static int axis_of(const struct pane *p)
{
    if (p->class->search_axis >= 0)
        return p->class->search_axis;
    for (int i = p->field.rank - 1; i >= 0; i--)
        if (p->field.axes[i].labels)
            return i;
    return -1;
}

static bool is_hit(const struct workbench *wb, struct matcher *m, const struct axis *a, int64_t i)
{
    char buf[32];
    struct err e;
    size_t begin, end;
    const char *label = axis_label(a, i, buf, sizeof buf);
    int found = regex_find(&begin, &end, m, label, strlen(label), 0, 0, &e);
    return found >= 0 && (found == 1) != wb->inverted;
}

static int64_t choose(const struct hunt *h, int direction)
{
    if (direction < 0)
        return h->before >= 0 ? h->before : h->last;
    if (direction == 0 && h->at >= 0)
        return h->at;
    return h->after >= 0 ? h->after : h->first;
}

/* One pass for the count and the neighbours, one for the rank and the marks around the chosen one. */
static int64_t hunt(struct hunt *h, struct workbench *wb, struct pane *p, const struct axis *a,
    int64_t cursor, int direction)
{
    struct matcher *m;
    struct err e;
    *h = (struct hunt){-1, -1, -1, -1, -1, 0, 0};
    p->n_hits = 0;
    if (matcher_create(&m, wb->pattern, &e))
        return -1;
    for (int64_t i = 0; i < a->size; i++) {
        if (!is_hit(wb, m, a, i))
            continue;
        h->total++;
        h->last = i;
        if (h->first < 0)
            h->first = i;
        if (i < cursor)
            h->before = i;
        else if (i == cursor)
            h->at = i;
        else if (h->after < 0)
            h->after = i;
    }
    int64_t chosen = choose(h, direction), begin = chosen - 4096;
    for (int64_t i = 0; i < a->size && i <= chosen; i++)
        h->rank += i < chosen && is_hit(wb, m, a, i);
    for (int64_t i = begin > 0 ? begin : 0; i < a->size && p->n_hits < PANE_HITS; i++)
        if (is_hit(wb, m, a, i)) {
            /* Of many, those near the chosen one are marked. */
            if (i < chosen && p->n_hits == PANE_HITS / 2)
                memmove(p->hits, p->hits + 1, (size_t)--p->n_hits * sizeof *p->hits);
            p->hits[p->n_hits++] = (struct mark){a->kind, i};
        }
    matcher_release(&m);
    return chosen;
}

/* The prompt has no numbers of its own: its tokens are searched. */
static struct pane *searched(struct workbench *wb)
{
    return &wb->panes[wb->focus == PANE_PROMPT ? PANE_TOKENS : wb->focus];
}

void search_set(struct workbench *wb, const char *pattern)
{
    struct err e;
    struct pane *own = &wb->panes[wb->focus];
    if (own->class->search) {
        own->class->search(wb, own, pattern, 0);
        return;
    }
    wb->inverted = pattern[0] == '!';
    pattern += wb->inverted;
    regex_release(&wb->pattern);
    for (int i = 0; i < PANE_SLOTS; i++)
        wb->panes[i].n_hits = 0;
    if (!*pattern)
        return;
    if (regex_compile(&wb->pattern, pattern, strlen(pattern), REGEX_ANY_BYTES, &e))
        workbench_say(wb, true, "%s", e.msg);
    else
        search_next(wb, 0);
}

/* The next match behind the cursor (direction 1), before it (-1), or at it (0); around the end. */
void search_next(struct workbench *wb, int direction)
{
    struct pane *p = searched(wb);
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    struct hunt h;
    struct pane *own = &wb->panes[wb->focus];
    if (own->class->search) {
        own->class->search(wb, own, NULL, direction);
        return;
    }
    if (!wb->pattern) {
        workbench_say(wb, false, "nothing searched yet; / begins");
        return;
    }
    p->n_hits = 0;
    pane_data(wb, p, &d, marks);
    int axis = d.n ? axis_of(p) : -1;
    if (axis < 0 || axis >= p->field.rank) {
        workbench_say(wb, false, "nothing with names in this pane; Tab goes to another");
        return;
    }
    int64_t to = hunt(&h, wb, p, &p->field.axes[axis], p->st.at[axis], direction);
    if (to < 0) {
        workbench_say(wb, false, "no match among %lld", (long long)p->field.axes[axis].size);
        return;
    }
    p->st.at[axis] = to;
    struct selection was = wb->sel;
    if (p->class->lead)
        p->class->lead(wb, p);
    if (memcmp(&was, &wb->sel, sizeof was) != 0)
        workbench_selected(wb);
    workbench_say(wb, false, "match %lld of %lld; n next, N previous, Esc ends",
        (long long)h.rank + 1, (long long)h.total);
}
