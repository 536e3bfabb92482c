#ifndef SONDE_MODEL_TOKENIZER_IMPL_H
#define SONDE_MODEL_TOKENIZER_IMPL_H

#include "model/added.h"
#include "model/bpe.h"
#include "model/core/arena.h"
#include "model/core/regex.h"
#include "model/tokenizer.h"
#include "model/vocab.h"

/* Shared by the files of the tokenizer, nobody else's business. */
struct tokenizer {
    struct arena arena;
    struct vocab vocab;
    struct bpe bpe;
    struct added_set added;
    bool add_prefix_space; /* a stretch that does not begin with a space gets one */
    bool use_regex;        /* split into words */
    struct regex *words;
};

/* Fill vocab, bpe and added from the files; ids are below room (0: as many as the files can name). */
int tokenizer_read_pair(
    struct tokenizer *t, const struct tokenizer_files *f, int64_t room, struct err *e);
int tokenizer_read_json(
    struct tokenizer *t, const struct tokenizer_files *f, int64_t room, struct err *e);
/* ERR_INPUT where vocab.json or merges.txt say something else than the tokenizer.json that was read. */
int tokenizer_check_pair(const struct tokenizer *t, const struct tokenizer_files *f, struct err *e);
/* Parts both readers use: one vocabulary object; one merge, its names given. */
struct scan;
int tokenizer_read_vocab(struct tokenizer *t, struct scan *s, int64_t room, struct err *e);
int tokenizer_read_merge(struct tokenizer *t, const char *left, size_t left_n, const char *right,
    size_t right_n, const char *where, size_t line, struct err *e);

#endif
