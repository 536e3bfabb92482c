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

/* A part of it, as NumPy cuts: indices start .. start + count - 1 along each axis; a dropped axis has
 * one index and is gone from the result, which says in JSON where it was cut. */
struct export_part {
    struct window w; /* strides 1 */
    bool drop[FIELD_MAX_RANK];
    const struct export_origin *origin; /* NULL: the source is its own data set */
};

/* Where a field lies in the data set that it is a window of: rows and columns are written with these
 * indices (beside their labels, if they have any), and JSON says "slice" and "order". */
struct export_origin {
    const int64_t *index[FIELD_MAX_RANK]; /* [size of the axis] */
    bool is_plain[FIELD_MAX_RANK];        /* its labels are these numbers */
    const char *order[FIELD_MAX_RANK];    /* "falling by neuron 60"; NULL: as they lie */
    struct {
        const char *axis, *value; /* "7", "1000:1020", "mean of 0:12" */
    } * slice;                    /* of what the data set was cut to */
    int n_slice;
    const char *cell; /* "mean of 8 token x 4 neuron": what a value stands for; NULL: itself */
};
struct export_part export_whole(const struct field *f);

/* part NULL: all of it. A table takes no part. */
int export_block(FILE *out, const struct block *b, const struct export_part *part,
    enum export_form form, struct err *e);
/* The same for numbers that are computed while they are written (means over an axis, the workbench's
 * own). npy: F32 and F16 stay, integers become I64, everything else F64. */
int export_field(FILE *out, const struct field *f, const struct export_part *part,
    enum export_form form, struct err *e);

/* Fields of one axis side by side, as a table (csv, json): rows [first, first + rows), their indices
 * before them: origin's index[0], [rows], where it is not NULL. A field with look TEXT is a column of its
 * labels. */
int export_fields(FILE *out, const char *path, const struct field *fields, int n, int64_t first,
    int64_t rows, const struct export_origin *origin, enum export_form form, struct err *e);

#endif
