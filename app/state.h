#ifndef SONDE_APP_STATE_H
#define SONDE_APP_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* What is remembered from one session to the next: files under $XDG_STATE_HOME/sonde, or
 * ~/.local/state/sonde. Losing them costs nothing but comfort. */

/* The path of a file there; folders on the way are made. ERR_OUTPUT: there is no place for it. */
int state_path(char *buf, size_t n, const char *name, struct err *e);
/* The file's lines, none if there is no file. */
int state_lines(
    const char *const **lines, int *n, const char *name, struct arena *arena, struct err *e);
/* Replaces the file, whole or not at all. */
int state_write(const char *name, const char *const *lines, int n, struct err *e);

/* The file "state": words by key, as in `layout.5L4H160d.1 "[50 lens | dla]"`. NULL: not there. */
const char *state_get(const char *key, struct arena *arena);
int state_set(const char *key, const char *value, struct err *e); /* value NULL: forgotten */

#endif
