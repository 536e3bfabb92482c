#ifndef SONDE_VIEWS_FIELDS_H
#define SONDE_VIEWS_FIELDS_H

#include "model/core/arena.h"
#include "model/core/field.h"

/* Fields made from numbers at hand, and from other fields. The owner fills rank, axes, names and
 * unit; these set how it is fetched. */

/* values: [product of the axes], row-major, borrowed. */
struct field_values {
    const double *values;
    uint64_t generation;
};
void field_from_values(struct field *f, const struct field_values *v);

/* Another field seen through a function: the probability behind a log-probability. Reduction comes
 * first, so a maximum stays one under a growing function. */
struct field_mapped {
    struct field base;
    double (*fn)(double v);
};
void field_from_map(struct field *f, const struct field_mapped *m);

/* Another field with one axis folded into a number: its mean over the heads. The field has one axis
 * less, and F64 values where they are computed and not picked. */
struct field_folded {
    struct field base;
    int axis;
    enum field_reduce how;
    char long_name[256];
};
/* Fills *f and the rest of *m from m->base, m->axis and m->how; m must outlive the field. */
int field_from_fold(struct field *f, struct field_folded *m, struct err *e);

/* A range of another field's axes. */
struct field_cut {
    struct field base;
    int64_t first[FIELD_MAX_RANK], count[FIELD_MAX_RANK];
};
/* Fills *f from m->base and the ranges; an axis without labels gets its own numbers as labels. */
int field_from_cut(struct field *f, struct field_cut *m, struct arena *a, struct err *e);

#endif
