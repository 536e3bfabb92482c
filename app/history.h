#ifndef SONDE_APP_HISTORY_H
#define SONDE_APP_HISTORY_H

#include <stdbool.h>

#include "model/core/err.h"

/* Lines typed behind the colon, kept from session to session in the state folder. */
struct history;
int history_open(struct history **out, struct err *e); /* empty, and no file */
/* Reads the file, and adds to it at the end. No file is no error. */
int history_load(struct history *h, struct err *e);
/* Adds this session's lines to the file, behind those other sessions wrote meanwhile. */
void history_release(struct history **h);
void history_add(struct history *h, const char *line); /* h may be NULL */
/* Walks: step -1 is earlier. NULL: no further. `typed` is what stood there first. */
const char *history_step(struct history *h, int step, const char *typed);
void history_rest(struct history *h); /* the next walk begins at the end */
/* The next earlier line that contains the text, from the present one on; NULL: none. */
const char *history_search(struct history *h, const char *text, bool again);

#endif
