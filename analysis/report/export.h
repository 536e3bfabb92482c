#ifndef SONDE_ANALYSIS_REPORT_EXPORT_H
#define SONDE_ANALYSIS_REPORT_EXPORT_H

#include <stdio.h>

#include "analysis/report/report.h"

/* One block for other programs. Numbers are in the C locale and read back as the same value.
 *   csv   rank 0 and 1: a row a cell; rank 2: a matrix, labels in the first row and column; above: a
 *         row a cell with a column per axis. Labelled positions give index and token. RFC 4180.
 *   json  what is known about the block, and nested lists; NaN is null, infinity 1e999. A table is a
 *         list of objects.
 *   npy   the dense values in their own type; tables have no such form (ERR_USAGE). */
enum export_form { EXPORT_CSV, EXPORT_JSON, EXPORT_NPY };

int export_block(FILE *out, const struct block *b, enum export_form form, struct err *e);

#endif
