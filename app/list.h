#ifndef SONDE_APP_LIST_H
#define SONDE_APP_LIST_H

#include "app/workbench.h"

/* Panes that are lists of things to act on: one line each, a cursor (st.at[0]), scrolling. */
struct list_row {
    char left[256], right[128]; /* the right one is never cut */
    struct style style, right_style;
};
void list_draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in, int n,
    void (*row)(struct workbench *wb, int i, struct list_row *out));
/* The cursor's keys, and a click on a line; true: taken. */
bool list_key(struct pane *p, const struct key *k, int n);
int list_at(const struct pane *p, int n); /* the cursor within n lines, -1: none */

#endif
