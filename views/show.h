#ifndef SONDE_VIEWS_SHOW_H
#define SONDE_VIEWS_SHOW_H

#include "analysis/report/report.h"
#include "views/view.h"

/* A block as views take it: one field, or a field per column of a table (text columns as labels).
 * Lives in the arena; the block must outlive it. */
int block_data(struct view_data *out, const struct block *b, struct arena *a, struct err *e);

struct show_opts {
    const struct view *view; /* NULL: the one for the block's look */
    int w, h;                /* h 0: as many lines as the drawing wants, at most 60 */
    enum colour_mode mode;
    enum glyphs glyphs;
    const struct theme *theme; /* NULL: the first */
};

/* Draws the data on paper: a heading with name, axes and unit, then the drawing. `st` has the slice;
 * NULL: from 0. For pipes and terminals alike. */
int show_data(struct buf *out, const struct view_data *d, const struct view_state *st,
    const struct show_opts *o, struct err *e);
int show_block(struct buf *out, const struct block *b, const struct view_state *st,
    const struct show_opts *o, struct err *e);

#endif
