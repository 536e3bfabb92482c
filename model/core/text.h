#ifndef SONDE_CORE_TEXT_H
#define SONDE_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"

/* UTF-8, grapheme clusters and terminal columns. Lengths, never strlen: NUL is a character. */

/* Decodes one character: its length 1..4 and *cp. At an invalid sequence: minus the length of its
 * maximal subpart (Unicode 15, section 3.9, as Python's errors="replace"), *cp = U+FFFD. n > 0. */
int utf8_next(uint32_t *cp, const char *s, size_t n);
int utf8_put(char out[4], uint32_t cp);            /* bytes written; surrogates become U+FFFD */
size_t utf8_valid_prefix(const char *s, size_t n); /* n: all of it is valid */
/* A copy with every invalid sequence replaced by U+FFFD, NUL-terminated; how many in *n_invalid. */
char *utf8_replace(
    size_t *n_out, int64_t *n_invalid, const char *s, size_t n, struct arena *a, struct err *e);

/* Bytes of the first extended grapheme cluster (an invalid byte stands alone, one column), and its
 * columns as wcwidth-based terminals count them: the sum of its characters (0: nothing to see), or
 * 2 for an emoji sequence. */
size_t text_cluster(int *columns, const char *s, size_t n);
int text_width(const char *s, size_t n); /* columns of text without control bytes */
/* The longest prefix of whole clusters within `columns`; columns used in *used (may be NULL). */
size_t text_clip(int *used, const char *s, size_t n, int columns);
/* The same from the end: where the longest suffix within `columns` begins. */
size_t text_clip_left(int *used, const char *s, size_t n, int columns);

enum text_flags {
    TEXT_DOT = 1,       /* a leading space shows as U+00B7 (in TEXT_ASCII as '_') */
    TEXT_DOTS = 2,      /* every space does */
    TEXT_ASCII = 4,     /* everything above U+007E is escaped */
    TEXT_BACKSLASH = 8, /* a backslash is doubled, so that the form can be read back */
    TEXT_RAW_SPACE = 16 /* newline and tab pass as they are */
};

/* Makes any bytes safe and visible on a terminal: control bytes as \n \t \r \x1b, invalid bytes as
 * \xe2, characters without a glyph of their own (zero-width, bidirectional controls, unassigned, a
 * combining mark with nothing before it) as \u200b or \U0001f3fb. Writes at most cap - 1 bytes and
 * a NUL, never half an escape; returns the bytes the whole form needs, as snprintf does. */
size_t text_escape(char *out, size_t cap, const char *s, size_t n, unsigned flags);
const char *text_s(int64_t n); /* "" behind one thing, else "s": "%d job%s" */
char *text_escaped(const char *s, size_t n, unsigned flags, struct arena *a, struct err *e);

#endif
