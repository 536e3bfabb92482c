#ifndef SONDE_MODEL_PRETOKEN_H
#define SONDE_MODEL_PRETOKEN_H

#include <stddef.h>

#include "model/core/err.h"
#include "model/core/regex.h"

/* GPT-2's split into words (Radford et al. 2019). PCRE2 runs the pattern; pieces of ASCII, where
 * its answer needs no tables, are found by a scanner that gives the same ones. */
int pretoken_compile(struct regex **out, struct err *e);

/* End of the piece that begins at i < n, or 0 where a byte above 0x7f may decide it. */
size_t pretoken_ascii(const char *s, size_t n, size_t i);
/* The same for any valid UTF-8, by the pattern. *m is made at the first call. */
int pretoken_regex(size_t *end, const struct regex *re, struct matcher **m, const char *s, size_t n,
    size_t i, struct err *e);

#endif
