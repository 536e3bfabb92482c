#ifndef SONDE_MODEL_BPE_H
#define SONDE_MODEL_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/vocab.h"

struct merge {
    int32_t left, right;
    uint32_t rank; /* BPE_NONE: an empty slot */
    int32_t joined;
};

#define BPE_NONE UINT32_MAX

/* Merges over a vocabulary; const once bpe_finish has made the tables. */
struct bpe {
    const struct vocab *vocab;
    struct merge *list; /* [n] in the order of the file */
    size_t n, cap;
    struct merge *slots; /* hash of (left, right), at most half full */
    uint64_t mask;
    uint32_t *byte_rank; /* [256 * 256] rank of a pair of bytes, BPE_NONE: no merge */
    int32_t *byte_joined;
    int32_t unk; /* stands for bytes without a token; -1: they are left out, as in `tokenizers` */
    bool fuse_unk, ignore_merges;
    bool complete; /* every byte has its token */
};

/* About n merges are to come; vocab must be filled. Release also after a failure. */
int bpe_init(struct bpe *b, const struct vocab *v, size_t n, struct err *e);
void bpe_release(struct bpe *b);
/* The next merge; of a pair that comes again the later rank holds. */
int bpe_add(struct bpe *b, int64_t left, int64_t right, int64_t joined, struct err *e);
int bpe_finish(struct bpe *b, struct arena *a, struct err *e);
const struct merge *bpe_merge(const struct bpe *b, int32_t left, int32_t right); /* NULL: none */

/* Tokens of a text in order; their lengths tile it. */
struct pieces {
    int32_t *ids;
    uint32_t *len; /* bytes of the text each one covers */
    size_t n, cap;
};
int pieces_reserve(struct pieces *p, size_t more, struct err *e); /* room for `more` tokens */
void pieces_release(struct pieces *p);

/* Appends the tokens of one pre-token. *carry holds bytes before it that no token covers (only in
 * vocabularies without some byte); they go to the first token's length, or are carried on. */
int bpe_encode(struct pieces *out, uint32_t *carry, const struct bpe *b, const char *s, size_t n,
    struct err *e);

#endif
