#ifndef SONDE_MODEL_CACHE_AHEAD_H
#define SONDE_MODEL_CACHE_AHEAD_H

#include "model/cache_cold.h"

/* Reading on: a thread reads what comes next of every hook that is read row after row, while the
 * caller computes. A hook is a stream of its own, because an analysis takes a window of each in turn.
 * Nothing is read ahead of what was read once, nor of what is in memory. */
struct ahead;

int ahead_create(struct ahead **out, int streams, struct err *e);
void ahead_release(struct ahead **a);

/* Bytes [from, to) of a stream of rows that ends at `end`. */
struct ahead_part {
    const struct cold_file *file; /* stays open until ahead_forget */
    uint64_t from, to, end;
    uint64_t row; /* bytes */
};

/* Whether this part comes through ahead_next; else the caller reads it himself: it is small and does
 * not go on from the last, or in memory, or another thread reads the stream. */
bool ahead_begin(struct ahead *a, int stream, const struct ahead_part *part);
/* The next n bytes, whole rows, which stay until the next call. False: all are seen, or what comes next
 * could not be read; the caller then reads it himself, and is told why. */
bool ahead_next(const unsigned char **out, size_t *n, struct ahead *a, int stream);
void ahead_end(struct ahead *a, int stream);
/* Before a file is closed that nobody is between begin and end of. */
void ahead_forget(struct ahead *a, const struct cold_file *file);

#endif
