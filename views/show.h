#ifndef SONDE_VIEWS_SHOW_H
#define SONDE_VIEWS_SHOW_H

#include "analysis/report/report.h"
#include "views/view.h"

/* A block as views take it: one field with the standard errors from the block NAME_se beside it, or a
 * field per column of a table (text columns as labels). On paper until a pane says otherwise. Lives in
 * the arena; the block must outlive it. */
int block_data(struct view_data *out, const struct block *b, struct arena *a, struct err *e);

#endif
