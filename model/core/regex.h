#ifndef SONDE_CORE_REGEX_H
#define SONDE_CORE_REGEX_H

#include <stddef.h>

#include "model/core/err.h"

/* PCRE2 with its just-in-time compiler. A compiled pattern is const and shared between threads;
 * each thread brings its own matcher. */
struct regex;
struct matcher;

enum regex_flags {
    REGEX_ICASE = 1,
    REGEX_BYTES = 2,     /* subject and pattern are bytes; otherwise both are UTF-8 */
    REGEX_LITERAL = 4,   /* no metacharacters */
    REGEX_ANCHORED = 16, /* a match begins at `start` or there is none */
    REGEX_ANY_BYTES = 8  /* UTF-8, but invalid bytes in the subject only never match */
};

/* ERR_USAGE quotes the pattern and the place. \w, \d, \s, \b follow Unicode unless REGEX_BYTES. */
int regex_compile(struct regex **out, const char *pattern, size_t n, unsigned flags, struct err *e);
void regex_release(struct regex **r);
/* "PCRE2 10.42 2022-12-11, Unicode 14.0.0": whose tables decide what a letter is. */
void regex_version(char *out, size_t n);

/* Borrows the pattern, which must outlive it. */
int matcher_create(struct matcher **out, const struct regex *r, struct err *e);
void matcher_release(struct matcher **m);

#define REGEX_CHECKED 1u /* the subject is known to be valid UTF-8: do not check it again */

/* Looks for the pattern at or behind byte `start` of text[0..n). 1: found, [*begin, *end) set; 0:
 * not found; negative: ERR_INPUT (invalid UTF-8) or ERR_LIMIT (the search exploded: the pattern
 * needs simplifying). Always pass the whole text, so that lookbehind sees what is before start. */
int regex_find(size_t *begin, size_t *end, struct matcher *m, const char *text, size_t n,
    size_t start, unsigned flags, struct err *e);

#endif
