#ifndef SONDE_APP_RECORDS_H
#define SONDE_APP_RECORDS_H

#include <stdio.h>

#include "analysis/report/report.h"
#include "model/core/arena.h"
#include "views/style.h"

/* Tables whose rows have units of their own, in a column named "unit": lines to read. */
bool records_is(const struct block *b); /* whether the block is one */
/* A cell as people read it: text escaped, NaN as "". */
int records_cell(char *buf, size_t n, const struct block *b, int64_t row, int column,
    enum glyphs glyphs, struct err *e);
int records_print(FILE *out, const struct block *b, enum glyphs glyphs, struct err *e);

#endif
