#ifndef SONDE_DATASETS_PEN_H
#define SONDE_DATASETS_PEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/rng.h"

/* Writes one text, with a stream of random numbers of its own: stream k of a seed is the same text
 * however many others are made. Integer arithmetic only, so that a seed gives the same bytes on
 * every machine. Failures stick: write on, and ask pen_finish. */
struct pen {
    struct arena *arena;
    char *text;
    size_t n, capacity;
    struct rng rng;
    struct err *err;
    int failed;
};

void pen_init(struct pen *p, uint64_t seed, uint64_t stream, struct arena *arena, struct err *e);
/* The text so far, NUL-terminated, owned by the arena; the pen starts a new one. NULL: it failed. */
const char *pen_finish(struct pen *p);

int pen_below(struct pen *p, int n);         /* uniform in [0, n) */
bool pen_chance(struct pen *p, int percent); /* true in `percent` of 100 */
/* Rank in [0, n) with probability close to 1 / (rank + 1): an octave is drawn, then a rank in it. */
int pen_zipf(struct pen *p, int n);

void pen_put(struct pen *p, const char *s);
void pen_char(struct pen *p, char c);
/* `$A` .. `$Z` in the pattern stand for slots[0] .. slots[25], `$$` for a dollar sign. */
void pen_fill(struct pen *p, const char *pattern, const char *const slots[26]);
/* The sentence that begins at `from` gets a capital letter. */
void pen_capital(struct pen *p, size_t from);

#endif
