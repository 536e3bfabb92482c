#ifndef SONDE_CORE_STREAM_H
#define SONDE_CORE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* Reads a plain, gzip or zstd file (told apart by its first bytes, not its name) or stdin ("-") in
 * constant memory. Damaged or cut-off compressed data is ERR_INPUT, never a silent end. */
struct stream;

int stream_open(struct stream **out, const char *path, struct err *e);
/* While somebody reads keys from standard input, "-" is refused: two readers would share them. */
void stream_keys(bool are_read);
void stream_release(struct stream **p);
/* Up to n bytes into buf; 0 at the end, negative on error. */
int64_t stream_read(void *buf, struct stream *s, size_t n, struct err *e);
/* One line without its "\n" or "\r\n", NUL-terminated, valid until the next call. 1: a line, 0: the
 * end. A line longer than max bytes is ERR_LIMIT (0: 256 MB). */
int stream_line(const char **line, size_t *n, struct stream *s, size_t max, struct err *e);
int64_t stream_lines(const struct stream *s); /* lines given so far */
bool stream_torn(const struct stream *s);     /* the last line has no newline behind it */
uint64_t stream_in(const struct stream *s);   /* compressed bytes consumed, for progress */
uint64_t stream_size(const struct stream *s); /* bytes of the file; 0: unknown */

/* A whole file (decompressed, "-" is stdin) in the arena, NUL-terminated; larger than limit bytes is
 * ERR_LIMIT, before anything of that size is allocated. */
int stream_all(
    char **out, size_t *n, const char *path, size_t limit, struct arena *a, struct err *e);

#endif
