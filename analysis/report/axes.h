#ifndef SONDE_ANALYSIS_REPORT_AXES_H
#define SONDE_ANALYSIS_REPORT_AXES_H

#include "analysis/report/inside.h"

/* Where blocks lie in the file, and the labels of their axes: one dataset a list of labels and group,
 * a dimension scale of every block that has them. For report_h5.c alone. */

/* A list of labels in the file, and the blocks that use it. */
struct scale {
    const char *axis;
    const char *const *labels;
    int64_t n;
    int64_t data;
    uint64_t address;
    struct h5_user *users;
    int n_users, cap_users;
    bool dirty;
};

/* A group that holds blocks, open while blocks are added to it. {0} is not one: place_free first. */
struct place {
    int64_t group, axes, length;
    int input;
    struct scale *scales;
    int n_scales, cap_scales;
};

void place_free(struct place *p);
/* Writes which blocks use which axis, once for all of them. */
int place_seal(struct place *p, int64_t file, struct err *e);
/* Lets go of its handles before the file is closed; what needs them opens them again. */
void place_rest(struct place *p);
/* The names, kinds and labels of a block's axes, beside its dataset `data` in the group of `p`. */
int place_axes(struct place *p, const struct block_spec *s, int64_t data, struct err *e);

#endif
