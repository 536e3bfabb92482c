#ifndef SONDE_MODEL_CORPUS_H
#define SONDE_MODEL_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/hash.h"
#include "model/tokenizer.h"

/* Text as token ids, cut into the sequences that training reads. Documents are one a line of a
 * .jsonl file (its field `text`), one a line with `lines`, else what stands between the separators
 * ("<|endoftext|>") of a file. Every sequence begins with BOS, as at inference. */
struct corpus_opts {
    const char *const *paths; /* plain, .gz or .zst; "-" is stdin */
    int n_paths;
    bool lines;
    bool by_document;  /* a sequence never leaves its document; else documents are packed with the
                         separator between and cut every `window` tokens */
    int64_t window;    /* tokens of the longest sequence, BOS included; 2 .. n_ctx */
    int64_t bos;       /* -1: none */
    int64_t separator; /* ends every document; -1: none */
    double held_out;   /* fraction of the documents kept apart, drawn by the seed */
    uint64_t seed;
};

/* Tokens [begin, begin + n) of the corpus, after an implied BOS. */
struct piece {
    int64_t begin;
    int32_t n;
};

struct corpus {
    int32_t *tokens;
    int64_t n_tokens, documents, invalid; /* invalid: sequences that became U+FFFD */
    struct piece *train, *held;
    int64_t n_train, n_held;
    int64_t bos;
    char hash[HASH_HEX]; /* of tokens and pieces: a resumed run must read the same corpus */
};

int corpus_open(
    struct corpus **out, const struct corpus_opts *o, const struct tokenizer *t, struct err *e);
void corpus_release(struct corpus **c);
int64_t corpus_rows(const struct corpus *c, const struct piece *p); /* BOS included */
/* Writes the tokens of a piece; returns how many. */
int64_t corpus_read(int32_t *out, const struct corpus *c, const struct piece *p);

#endif
