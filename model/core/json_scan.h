#ifndef SONDE_CORE_JSON_SCAN_H
#define SONDE_CORE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/err.h"

/* A reader that walks JSON front to back and builds nothing: a vocabulary of 50,000 names opens in
 * a tenth of the time a document tree takes, and start-up is what a user of one command feels.
 * Small values are cut out with scan_skip and given to json.h. */
struct scan {
    const char *p, *end;
    const char *text;  /* where the document began, for line and column */
    const char *where; /* names the file in errors */
    int depth;
    bool first; /* at the first member of the innermost object or array */
};

void scan_init(struct scan *s, const char *text, size_t n, const char *where);
/* The next character that is not white space, 0 at the end; the kind of the next value. */
char scan_peek(struct scan *s);
/* "expected a string" and so on at the current place. */
int scan_fail(const struct scan *s, const char *what, struct err *e);

/* Objects and arrays: scan_open, then scan_more until it gives 0 (closed), negative on error. */
int scan_open(struct scan *s, char bracket, struct err *e);
int scan_more(struct scan *s, char closing, struct err *e);
/* A string, decoded to out (at most as many bytes as it has in the file, and a NUL; out may be NULL
 * to skip). Refuses invalid UTF-8, lone surrogates and control bytes. */
int scan_string(char *out, size_t *n, struct scan *s, struct err *e);
/* A key and its colon. */
int scan_key(char *out, size_t *n, struct scan *s, struct err *e);
int scan_int(int64_t *out, struct scan *s, struct err *e);
/* Passes any value; [*begin, *begin + *n) is its text. Either may be NULL. */
int scan_skip(const char **begin, size_t *n, struct scan *s, struct err *e);
int scan_done(struct scan *s, struct err *e); /* nothing but white space is left */

#endif
