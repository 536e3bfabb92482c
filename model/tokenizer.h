#ifndef SONDE_MODEL_TOKENIZER_H
#define SONDE_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* GPT-2 byte-level BPE (Radford et al. 2019, section 2.2; Sennrich et al. 2016, arXiv 1508.07909).
 * Const after opening and safe to share between threads. */
struct tokenizer;

struct tokenizer_files {
    const char *vocab_json, *merges_txt; /* contents, or NULL */
    size_t vocab_n, merges_n;
    const char *tokenizer_json; /* wins where both forms are present; a difference is an error */
    size_t tokenizer_n;
    const char *where; /* names the folder in errors */
};

/* vocab_size bounds the ids; a file that names more is an error. */
int tokenizer_open(
    struct tokenizer **out, const struct tokenizer_files *f, int64_t vocab_size, struct err *e);
void tokenizer_release(struct tokenizer **t);

struct encoding {
    int32_t *ids;   /* [n] */
    int64_t *begin; /* [n] byte offsets into the text as given; half open, leading space inside */
    int64_t *end;
    int64_t n;
    int64_t invalid; /* how many invalid sequences became U+FFFD */
};

enum encode_flags {
    ENCODE_SPECIAL = 1, /* "<|endoftext|>" in the text is the special token, as Hugging Face does */
    ENCODE_NO_PREFIX = 2 /* no space is added in front, even if the tokenizer says so */
};

/* Any bytes; invalid UTF-8 becomes U+FFFD as in Python's errors="replace". No BOS is added. */
int tokenizer_encode(struct encoding *out, const struct tokenizer *t, const char *text, size_t n,
    unsigned flags, struct arena *arena, struct err *e);
/* Whether a text may be cut before the blanks behind a character that is none, and its parts be
 * encoded apart (the later ones with ENCODE_NO_PREFIX), for the same tokens. */
bool tokenizer_cuts_at_blanks(const struct tokenizer *t);
int64_t tokenizer_size(const struct tokenizer *t); /* largest id + 1 */
/* The bytes of a token (specials: their text). Borrowed; not NUL-terminated. NULL: no such id. */
const char *tokenizer_bytes(const struct tokenizer *t, int64_t id, size_t *n);
/* As written in vocab.json ("ĠMara"), NUL-terminated. */
const char *tokenizer_name(const struct tokenizer *t, int64_t id);
/* The id of text that is exactly one token (or "#ID"); otherwise ERR_USAGE shows its tokens. */
int tokenizer_single(int64_t *out, const struct tokenizer *t, const char *text, struct err *e);
int64_t tokenizer_special(const struct tokenizer *t, const char *text); /* -1: none */
/* Bytes of ids joined, NUL-terminated, length in *n. */
char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n,
    struct arena *arena, struct err *e);
/* Streaming decode: holds back at most 3 bytes of an incomplete, still possible sequence. */
struct decoder {
    unsigned char held[4];
    int n;
};
/* Appends what is complete to out; flush at the end turns the rest into U+FFFD. n is the capacity,
 * 3 * (n_bytes + 3) always suffices; what does not fit is lost. Returns the bytes written. */
size_t decoder_push(struct decoder *d, char *out, size_t n, const char *bytes, size_t n_bytes);
size_t decoder_flush(struct decoder *d, char *out, size_t n);
void tokenizer_hash(char out[33], const struct tokenizer *t);

#endif
