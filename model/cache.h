#ifndef SONDE_MODEL_CACHE_H
#define SONDE_MODEL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/field.h"
#include "model/core/hash.h"
#include "model/sites.h"

/* Activations on disk, read by slices (docs/cache.md is the layout). A cache is X.h5, which joins the
 * shards of X.acts/, or one finished shard. Rows are tokens, in the order of the corpus; a window is
 * one sequence from position 0, a document one or more windows. Files are hostile: every size is
 * checked before anything is allocated, and values are read by offset. Safe to share between threads
 * once it is open; nothing but slices is in memory. */
struct cache;

#define CACHE_SCHEMA "sonde-acts"
#define CACHE_VERSION 1
#define CACHE_BLOCK 256 /* tokens that share a checksum */
#define CACHE_MAX_RANK 3

struct cache_hook {
    const char *name; /* "blocks.3.mlp.hook_post" */
    enum site site;
    int layer; /* -1 outside the blocks */
    int rank;  /* [token, ...]: of the whole dataset */
    struct axis axes[CACHE_MAX_RANK];
    int64_t width; /* values of a token: the product of the axes behind the first */
};

struct cache_info {
    int64_t tokens, documents, windows;
    int hooks, shards;
    enum dtype dtype;       /* F16 or F32, of every hook */
    int64_t window, stride; /* tokens of the longest sequence, BOS included; step between windows */
    bool prepend_bos;       /* every window of a text begins with a BOS row */
    char run_id[HASH_HEX], model_hash[HASH_HEX], tokenizer_hash[HASH_HEX], corpus_hash[HASH_HEX];
    const char *model_name, *kernel_set, *weights, *filter, *command, *tool_version;
    const char *path;
};

int cache_open(struct cache **out, const char *path, struct err *e);
void cache_release(struct cache **c);
/* Whether the file says it is one; nothing else is looked at. */
bool cache_is(const char *path);

/* That every shard is there and of this run: for readers that take the values from HDF5. */
int cache_check(struct cache *c, struct err *e);

/* What the run that makes X.h5 has left so far, where X.h5 itself is not there yet. */
struct cache_left {
    char folder[4096],
        first[4160];       /* X.acts; its first finished shard, a cache of its own; "": none */
    int64_t shards, whole; /* to be, 0: not known; finished */
};
bool cache_left(struct cache_left *out, const char *path); /* false: no such thing */
void cache_left_text(char *buf, size_t n, const char *path, const struct cache_left *l);
int cache_left_error(const char *path, const struct cache_left *l, struct err *e); /* ERR_INPUT */

const struct cache_info *cache_about(const struct cache *c);
const struct cache_hook *cache_hook_at(const struct cache *c, int i); /* in order of execution */
int cache_find(const struct cache *c, enum site s, int layer);        /* -1: not kept */

/* n rows from `row` on, of each the columns [col, col + n_cols) of its flattened values, widened to
 * F32: out[n * n_cols]. ERR_INPUT names the shard that is missing, cut or of another run. */
int cache_read(float *out, const struct cache *c, int hook, int64_t row, int64_t n, int64_t col,
    int64_t n_cols, struct err *e);

/* What stands beside the rows; any pointer may be NULL. Spans are bytes of the document's text; a row
 * without text (BOS, given ids) has an empty one, begin == end. */
int cache_rows(int32_t *token, int32_t *position, int64_t *begin, int64_t *end,
    const struct cache *c, int64_t row, int64_t n, struct err *e);
/* Rows [*begin, *end) of a window or a document. */
int cache_window(int64_t *begin, int64_t *end, const struct cache *c, int64_t i, struct err *e);
int cache_document(int64_t *begin, int64_t *end, const struct cache *c, int64_t i, struct err *e);
/* Which window or document a row lies in. */
int cache_window_of(int64_t *out, const struct cache *c, int64_t row, struct err *e);
int cache_document_of(int64_t *out, const struct cache *c, int64_t row, struct err *e);
/* A document's text as it was given, n bytes and a NUL; NULL where none is kept (given ids, or longer
 * than CACHE_TEXT_MAX). */
#define CACHE_TEXT_MAX ((size_t)16 << 20)
int cache_text(const char **out, size_t *n, const struct cache *c, int64_t document,
    struct arena *a, struct err *e);

/* A hook as a field for the views; borrows the cache, lives in the arena. */
int cache_field(
    struct field *out, const struct cache *c, int hook, struct arena *arena, struct err *e);

#endif
