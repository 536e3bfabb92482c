#ifndef SONDE_MODEL_ADDED_H
#define SONDE_MODEL_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/regex.h"

/* Tokens that are cut out of the text before it is split into words, as tokenizer.json lists them. */
struct added {
    const char *text;
    size_t n;
    int64_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};

struct added_set {
    struct added *list; /* [n], in file order */
    int n;
    /* Two passes as in Hugging Face's library: those looked for in the raw text, then those looked
     * for in what a normalizer made of it (here: the same text, so only their order differs). Each
     * sorted by bytes. */
    struct added **pass[2];
    int pass_n[2];
    bool starts[2][256]; /* some token of that pass begins with this byte */
    struct regex *word;  /* one word character at the end of a stretch; NULL: nobody asks */
};

int added_finish(struct added_set *s, struct arena *a, struct err *e); /* after list is filled */
void added_release(struct added_set *s);

/* A stretch of text: one added token, or text in which there is none. */
typedef int (*added_fn)(
    void *arg, const struct added *token, size_t begin, size_t end, struct err *e);
/* Calls fn for each stretch of s in order; special ones are plain text unless `special`. Stretches
 * tile the text, but for tokens that begin inside blanks which the one before has taken: end <=
 * the last end is possible then. */
int added_split(const struct added_set *set, const char *s, size_t n, bool special, added_fn fn,
    void *arg, struct err *e);

#endif
