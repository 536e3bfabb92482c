#ifndef SONDE_MODEL_CACHE_WRITE_H
#define SONDE_MODEL_CACHE_WRITE_H

#include "model/cache_file.h"
#include "model/forward.h"

/* A shard that is being written. A block of 256 tokens exists when its checksums are there, so a
 * process may end at any moment: what follows the last of them is computed again. */
struct cache_shard {
    int fd, direct;     /* direct: past the page cache, -1 where that is not to be had */
    char *part, *path;  /* shard_00003.h5.part and its name when it is whole */
    const char *folder; /* borrowed */
    const struct cache_head *head;
    uint64_t *at, crc_at;
    uint32_t *crc; /* [blocks, hooks], as stored */
    int64_t blocks, rows;
    int64_t done; /* rows that are there already, whole blocks or all */
};

/* Creates shard h->shard (.tmp, then .part) or takes up what an earlier run left, its last blocks
 * checked. *whole: it is finished, nothing is open. ERR_OUTPUT: another process writes it, or it is
 * of another run. */
int cache_shard_open(struct cache_shard *s, bool *whole, const struct cache_head *h,
    const char *folder, const struct spool *spool, const struct spool_shard *where, struct err *e);
void cache_shard_close(struct cache_shard *s);
/* Everything durable, then the final name. */
int cache_shard_finish(struct cache_shard *s, struct err *e);
void cache_shard_name(char *out, size_t n, const char *folder, int64_t i, const char *suffix);
/* The new name of a file survives a power cut as well. */
void cache_sync_folder(const char *folder);
int cache_pread(void *out, int fd, size_t n, uint64_t at, struct err *e);
int cache_pwrite(int fd, const void *data, size_t n, uint64_t at, struct err *e);

/* A thread of its own converts, sums and writes, while the caller computes what comes next. */
struct cache_writer;

struct cache_written {
    int64_t infinite; /* finite values above F16's largest that became infinite */
    uint64_t bytes;
    double busy, stalled; /* seconds the writer worked; the caller waited for it */
};

/* Windows of one pass: input i of the trace is window[i], whose rows lie at row[i] of the shard;
 * rows in front of `from` are there already. */
struct cache_group {
    struct trace trace;
    struct spool_window *window;
    int64_t row_begin, from;
    int n;
    struct arena arena; /* of window */
};

int cache_writer_create(struct cache_writer **out, const struct cache_head *h, struct err *e);
/* Takes the group over; waits while two are queued. The shard outlives it. An error of the writer is
 * told at the next call. */
int cache_writer_add(
    struct cache_writer *w, struct cache_shard *s, struct cache_group *g, struct err *e);
/* Waits until all is written and durable. */
int cache_writer_drain(struct cache_writer *w, struct err *e);
void cache_writer_stats(struct cache_written *out, const struct cache_writer *w);
void cache_writer_release(struct cache_writer **w);

#endif
