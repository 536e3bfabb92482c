#ifndef SONDE_APP_BROWSE_SPEC_H
#define SONDE_APP_BROWSE_SPEC_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/browse_tree.h"

/* What of a dataset is looked at: which axes are rows and columns, where the others stand, and what is
 * aggregated away. Immutable once it is made, shared between the threads by reference counts. */

/* What becomes of many values: the order of enum field_reduce. */
enum agg { AGG_POINT, AGG_MEAN, AGG_MAX, AGG_MIN, AGG_ABSMAX, AGG_NORM, AGG_STD, AGGS };
extern const char *const agg_names[AGGS];

/* Sums of many values as they come, one `acc` a cell; NaN is passed over. */
struct acc {
    double n, a, b;
};
/* Adds n values that lie `step` apart. */
void acc_add(struct acc *acc, enum agg how, const double *v, int64_t n, int64_t step);
double acc_value(const struct acc *acc, enum agg how);

/* An order of rows or columns by size: of the values on line `by` of the other axis, as that lies. */
struct order {
    atomic_int refs;
    bool is_falling;
    int64_t by;
    int64_t n;
    int64_t index[];
};
struct order *order_share(struct order *o);
void order_release(struct order **o);

/* A plane whose other axes were aggregated away: too dear to read again for every window. */
struct sheet {
    atomic_int refs;
    pthread_mutex_t lock;
    int64_t rows, cols;
    double *values; /* [rows, cols]; partial until is_whole */
    bool is_whole;
    uint64_t generation;
};
struct sheet *sheet_create(int64_t rows, int64_t cols, struct err *e);
struct sheet *sheet_share(struct sheet *s);
void sheet_release(struct sheet **s);
#define SHEET_CELLS ((int64_t)1 << 20)

struct cut {
    int64_t start, n, step; /* indices start, start + step, ... */
};

struct spec {
    atomic_int refs;
    uint64_t id;
    int doc, node;
    const struct node *n;
    int row, col; /* axes; -1: none */
    struct cut cut[TREE_RANK];
    int64_t at[TREE_RANK];
    bool is_agg[TREE_RANK];
    enum agg how;
    struct order *row_order, *col_order; /* of plane rows and columns; NULL: as they lie */
    struct sheet *sheet;                 /* of an aggregate; NULL: read from the document */
};
struct spec *spec_copy(
    const struct spec *s); /* with references of its own and a new id; NULL: memory */
struct spec *spec_share(struct spec *s);
void spec_release(struct spec **s);
int64_t spec_rows(const struct spec *s);
int64_t spec_cols(const struct spec *s); /* of a table: its columns */
bool spec_is_table(const struct spec *s);
/* Index of the dataset behind a row or a column of the plane. */
int64_t spec_index(const struct spec *s, bool is_row, int64_t i);
bool spec_has_agg(const struct spec *s);

/* Reads rows and columns of the plane from the document; stop(arg) true: gives up with ERR_CANCEL.
 * raw (may be NULL) only where nothing is folded. */
struct io_window;
int spec_read(double *out, int64_t *raw, const struct spec *s, struct tree *t,
    const struct io_window *w, bool (*stop)(void *arg), void *arg, struct err *e);

struct plane_stats {
    int64_t n, nan, inf;
    double mean, m2, min, max;
    double lo, step; /* of the histogram: bin i holds lo + i * step .. + step */
    int64_t bins[128];
};
void stats_add(struct plane_stats *s, const double *v, int64_t n);

#endif
