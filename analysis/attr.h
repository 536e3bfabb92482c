#ifndef SONDE_ANALYSIS_ATTR_H
#define SONDE_ANALYSIS_ATTR_H

#include "analysis/patch_blocks.h"

/* Attribution patching: estimates of what patching would change, from gradients at the receiving run. */

/* values[L * cells] += the estimates of one part, as its block lies. With `dropped` >= 0, the layer whose
 * writes were cut out of the way back, it is their sizes that are added, none of those writes' own
 * (Kramar et al. 2024, GradDrop). grads holds dm/dsite of the receiving run. With qk_fix the estimates of queries and keys go through the
 * softmax exactly; grads then holds dm/dpattern, too. room: 2 T + cells values of scratch. */
void attr_values(double *values, double *room, const struct patch_pair *p,
    const struct trace *grads, enum site site, enum patch_form form, bool qk_fix, int dropped);

/* How estimates compare with exact patches of chosen cells. */
struct attr_tally {
    struct block *agreement, *errors; /* tables */
    int64_t layers;
    double *sum, *normalized; /* [parts, L]: |error| over cells and pairs */
    int64_t *cells, *pairs;   /* [parts, L] and [parts] */
    struct patch_work work;
};
/* Tables agreement and error_by_layer, with a prefix. */
int attr_agree_begin(struct attr_tally *t, struct run *out, const char *prefix,
    const struct patch_blocks *s, struct ctx *ctx, struct err *e);
/* Patches the k largest cells of a part and k random ones, and adds a row. */
int attr_agree(struct attr_tally *t, struct patch_part *w, int64_t k, struct err *e);
const char *attr_part_name(char *buf, size_t n, const struct patch_menu *m, int part);
int attr_agree_end(struct attr_tally *t, const struct patch_blocks *s, struct err *e);

/* The same pairs on another model of the same shape, its twin with or without LayerNorm: how well its
 * estimates agree, and the difference (Baroni et al. 2025, arXiv 2507.02559, section 5.2). */
struct attr_twin {
    struct model *model;
    struct attr_tally tally;
    struct block *improvement;
};
int attr_twin_begin(struct attr_twin *t, const char *name, struct run *out,
    const struct patch_blocks *s, struct ctx *ctx, struct err *e);
/* estimate fills every part's values for the pair of `w`; load brings one part's into w->value. */
int attr_twin_pair(struct attr_twin *t, const struct patch_part *w, int64_t k,
    int (*estimate)(struct patch_part *w, struct err *e), void (*load)(struct patch_part *w),
    struct err *e);
int attr_twin_end(
    struct attr_twin *t, const struct attr_tally *own, const struct patch_blocks *s, struct err *e);

#endif
