#ifndef SONDE_APP_FLAGS_H
#define SONDE_APP_FLAGS_H

#include "model/core/param.h"

struct flag_table {
    const char *title; /* above the flags in help */
    const struct param *params;
    int n;
};

extern const struct flag_table general_flags;
const struct flag_table *flag_set_at(int bit); /* 0 <= bit < FLAG_SETS */

/* Names are equal whether they are written with "-" or with "_". */
bool flag_is(const char *name, const char *word, size_t n);

#endif
