#ifndef SONDE_APP_TOKEN_GRID_H
#define SONDE_APP_TOKEN_GRID_H

#include "model/model.h"
#include "views/view.h"

/* Whether the field holds token ids in rows (layers) and columns (positions), so that with a
 * tokenizer at hand it reads better as words than as numbers. */
bool token_grid_fits(const struct field *f, const struct model *m);
/* Draws the best token of every cell (index 0 along a rank axis) into s->rect; positions that do not
 * fit are left out at the front. */
int token_grid_draw(
    const struct screen *s, const struct field *f, const struct model *m, struct err *e);

#endif
