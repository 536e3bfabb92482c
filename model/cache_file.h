#ifndef SONDE_MODEL_CACHE_FILE_H
#define SONDE_MODEL_CACHE_FILE_H

#include "model/cache.h"
#include "model/corpus_spool.h"

/* The files of a cache, shared by model/cache*.c. A shard's metadata are written once, when it is
 * created; afterwards only values and checksums change, by pwrite at the offsets told here. */

#define CACHE_SHARD_TOKENS 65536 /* rows of a shard at most */
#define CACHE_MAX_HOOKS 65536

/* What a file says about itself. info.tokens, documents and windows are the file's own. */
struct cache_head {
    struct cache_info info;
    char plan_hash[HASH_HEX];
    bool is_join;
    int64_t shard_tokens;
    /* A shard: which one, and where in the cache it begins. document_begin counts a document that
     * an earlier shard began; text_begin is the first that begins here. */
    int64_t shard, shards, row_begin, window_begin, document_begin, text_begin;
    char folder[256];        /* a join: where the shards lie, beside it; "" is its own folder */
    struct cache_hook *hook; /* [info.hooks], in order of execution */
};

/* The layout of a hook: names of axes, width. tokens and window are dimensions. */
int cache_hook_init(struct cache_hook *h, enum site s, int layer, const struct config *cfg,
    int64_t tokens, int64_t window, struct arena *a, struct err *e);

/* A line of the shard table. */
struct cache_part {
    char file[64]; /* a plain name */
    int64_t row_begin, row_end;
    char run_id[HASH_HEX];
    uint32_t crc; /* of its /block_crc */
};

/* Datasets of a file that is open. */
enum cache_column { COL_TOKENS, COL_POSITION, COL_BEGIN, COL_END, COL_COUNT };
struct cache_h5 {
    struct cache_head head;
    int64_t file, column[COL_COUNT], offsets, window_offsets, text; /* handles */
    uint64_t size;                                                  /* bytes of the file */
    uint64_t *at;            /* a shard: [hooks] where the values of each lie */
    uint64_t crc_at;         /* a shard: its checksums, u32 [blocks, hooks] */
    struct cache_part *part; /* a join: [shards] */
    struct arena arena;
};

/* Opens either kind and checks every shape; nothing of the size of the data is read. */
int cache_h5_open(struct cache_h5 *f, const char *path, struct err *e);
void cache_h5_close(struct cache_h5 *f);
/* Elements of a column or list, checked against its end. */
int cache_h5_read(void *out, int64_t data, enum dtype t, int64_t from, int64_t n, struct err *e);

/* Writes a shard with everything but values and checksums; path must not matter to anybody yet. */
int cache_h5_shard(const char *path, const struct cache_head *h, const struct spool *s,
    const struct spool_shard *where, struct err *e);
/* Writes the file that joins shards: open shards by number through `shard`, one at a time. */
int cache_h5_join(const char *path, const struct cache_head *h, const struct cache_part *part,
    int (*shard)(struct cache_h5 *out, void *arg, int64_t i, struct err *e), void *arg,
    struct err *e);

int64_t cache_blocks(int64_t rows);
uint64_t cache_row_bytes(const struct cache_head *h, int hook);
/* The checksum that is stored: 0 means that a block is not written, so 0 becomes 1. */
uint32_t cache_crc(uint32_t crc);
/* What decides the numbers, as one hash; the field that differs between two, NULL: none. */
int cache_run_id(struct cache_head *h, struct err *e);
bool cache_same_hooks(const struct cache_head *a, const struct cache_head *b);
const char *cache_differs(const struct cache_head *a, const struct cache_head *b);

#endif
