#ifndef SONDE_APP_CACHE_INPUTS_H
#define SONDE_APP_CACHE_INPUTS_H

#include "app/inputs.h"
#include "model/cache.h"

/* Opens the cache of -c and takes its windows, those of --windows or all, as the inputs of a command.
 * Other inputs and edits beside it are ERR_USAGE: they would need a forward pass. */
int cache_inputs_load(struct cache **cache, struct inputs *out, const struct command *c,
    const struct model *m, struct arena *arena, struct err *e);

#endif
