#ifndef SONDE_MODEL_CORPUS_SPOOL_H
#define SONDE_MODEL_CORPUS_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/hash.h"
#include "model/tokenizer.h"

/* A corpus of any length as token ids on disk, cut into windows. What is read goes to unnamed files in
 * `folder`; memory does not grow with it. A window is one sequence from position 0: BOS (for texts)
 * and the tokens [start, start + n) of one document. Windows of a document begin `stride` tokens
 * apart; a token that several windows hold is stored by the first of them, where its left context is
 * longest. Rows are what is stored, window after window: a window's BOS and its new tokens. */
struct spool;

struct spool_opts {
    const char *folder;
    int64_t window;       /* tokens of the longest sequence, BOS included */
    int64_t stride;       /* 0: windows do not overlap */
    int64_t bos;          /* -1: none */
    int64_t vocab;        /* ids are below */
    int64_t max_tokens;   /* of the corpus, without BOS; 0: all */
    int64_t shard_tokens; /* rows of a shard at most; windows are not cut */
    size_t text_max;      /* texts of longer documents are not kept */
    bool lines, parse_special;
    int (*progress)(void *arg, double done, double total); /* as progress_fn */
    void *progress_arg;
};

struct spool_totals {
    int64_t rows, tokens, documents, windows, shards;
    int64_t invalid; /* sequences that became U+FFFD */
    int64_t no_text; /* documents whose text was too long to keep */
    bool cut;        /* max_tokens ended it */
    uint64_t text_bytes;
    int64_t computed; /* rows that pass through the model: with a stride more than are stored */
    int64_t longest;  /* window, BOS included */
    double squares;   /* of the windows' lengths, summed */
    char hash[HASH_HEX];
};

/* t may be NULL where only ids are added. */
int spool_create(
    struct spool **out, const struct spool_opts *o, const struct tokenizer *t, struct err *e);
void spool_release(struct spool **s);
/* A .jsonl file holds a document a line (its field text), so does any file with `lines`; another file
 * is one document of any length. .gz, .zst, "-" is standard input. */
int spool_file(struct spool *s, const char *path, struct err *e);
int spool_text(struct spool *s, const char *text, size_t n, struct err *e);
int spool_ids(struct spool *s, const int32_t *ids, int64_t n, struct err *e); /* without BOS */
/* No more follows; ERR_INPUT for a corpus without tokens. */
int spool_finish(struct spool *s, struct err *e);
const struct spool_totals *spool_totals(const struct spool *s);

/* What a shard holds, all half open. A document lies in every shard that has rows of it; its text in
 * the one where it begins: texts of documents [text_begin, document_end). */
struct spool_shard {
    int64_t row_begin, row_end, window_begin, window_end, document_begin, document_end, text_begin;
};
void spool_shard(struct spool_shard *out, const struct spool *s, int64_t i);

struct spool_document {
    int64_t row_begin, row_end, window_begin, n; /* n: tokens, without BOS */
    int64_t text_n;                              /* bytes; -1: none kept */
    int64_t token_at, text_at;
    bool bos;
};
int spool_document(struct spool_document *out, const struct spool *s, int64_t i, struct err *e);
int spool_read_text(
    char *out, const struct spool *s, const struct spool_document *d, struct err *e);

/* The windows of a shard in order; start with {0}. */
struct spool_window {
    int64_t index, document, row; /* row: its first, of the whole corpus */
    int32_t n;                    /* tokens of the sequence, BOS included */
    int32_t stored;               /* rows: the BOS if there is one, and the last ones */
    bool bos;
};
struct spool_cursor {
    struct spool_document doc;
    int64_t document, window; /* next; window counts from the shard's first */
    bool is_open;
};
/* Writes n tokens of the sequence, and of each stored row position and span (any but tokens may be
 * NULL; room for opts.window of each). 1: a window, 0: the shard ends. */
int spool_next(struct spool_window *out, int32_t *tokens, int32_t *position, int64_t *begin,
    int64_t *end, struct spool_cursor *c, const struct spool *s, int64_t shard, struct err *e);

#endif
