#ifndef SONDE_APP_PALETTE_H
#define SONDE_APP_PALETTE_H

#include "model/core/arena.h"

struct workbench;
struct analysis;

/* Everything by its long name: Ctrl-P. What it lists comes from sources, rows of palette.c. */
struct entry {
    const char *kind, *name, *key, *help; /* key: "" for none */
    void (*run)(struct workbench *wb, const struct entry *e);
    const char *text; /* for run */
    int index;
};

void palette_open(struct workbench *wb);
void palette_release(struct workbench *wb);

/* How well the letters of `query` are found in order in `name`: higher is better, -1: not at all. The
 * places go to `at` (room for `max`), their number to *n. Words that begin with a letter, and letters
 * behind each other, count more. */
int palette_score(const char *query, const char *name, int *at, int *n, int max);

/* The form of an analysis: its typed parameters with defaults, bounds and help; Enter runs it. */
void form_open(struct workbench *wb, const struct analysis *a);
void form_release(struct workbench *wb);

#endif
