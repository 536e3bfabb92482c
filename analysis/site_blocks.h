#ifndef SONDE_ANALYSIS_SITE_BLOCKS_H
#define SONDE_ANALYSIS_SITE_BLOCKS_H

#include "analysis/analysis.h"

/* Marks every site whose hook name the pattern is found in. ERR_USAGE if there is none. */
int sites_select(struct plan *plan, const struct config *cfg, const char *pattern, struct err *e);

/* One block per marked site, named as the hook, with the site's own axes. `read` gives the values. */
struct site_reader {
    int (*read)(const float **out, void *arg, enum site s, int layer, struct err *e);
    void *arg;
    const char *unit, *long_name;
};
int sites_write(struct run *out, const struct plan *which, const struct config *cfg,
    const struct input *in, const struct site_reader *r, struct err *e);

#endif
