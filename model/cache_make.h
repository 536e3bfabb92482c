#ifndef SONDE_MODEL_CACHE_MAKE_H
#define SONDE_MODEL_CACHE_MAKE_H

#include "model/corpus_spool.h"
#include "model/forward.h"
#include "model/model.h"

/* What a run will cost, known before it starts. */
struct cache_estimate {
    int64_t rows, tokens, documents, windows; /* of the whole corpus */
    int64_t todo;                             /* rows that are not there yet, of this task */
    int64_t invalid, no_text;                 /* as spool_totals */
    bool cut;
    int hooks;
    int64_t shards, own; /* own: of this task */
    uint64_t bytes;      /* of the cache */
    uint64_t need, free; /* bytes still to be taken, and what the disk has */
    double seconds;      /* of the rows to do, from a short pass */
    /* Attention has a value for each place of the window: `spare` bytes of the cache are places that no
     * sequence reaches, and are not taken with a window of `longest`. */
    int64_t longest;
    uint64_t spare;
    const char *folder; /* where the shards lie */
};

struct cache_make {
    const struct model *model;
    const struct plan *plan; /* the hooks */
    const char *path;        /* X.h5 */
    const char *filter, *command;
    enum dtype dtype; /* F16 or F32 */
    int64_t window, stride, max_tokens, shard_tokens;
    bool prepend_bos, parse_special, lines;
    bool resume;     /* go on with what an earlier run left */
    bool overwrite;  /* remove another cache of that name */
    int task, tasks; /* every tasks-th shard, from `task` on; 0 of 1 is all */
    struct pool *pool;
    size_t max_bytes;
    progress_fn reading, progress; /* of the corpus; of the rows */
    /* Adds the documents of the corpus (spool_file, spool_text, spool_ids). */
    int (*feed)(void *arg, struct spool *s, struct err *e);
    void (*tell)(void *arg, const struct cache_estimate *x); /* before anything is written */
    /* Once, where the first rows say that the time was far too short; may be NULL. */
    void (*correct)(void *arg, double seconds);
    void *arg; /* of all */
};

struct cache_made {
    int64_t rows;     /* written now */
    int64_t kept;     /* there in all, of this task: after an interruption too */
    int64_t missing;  /* shards of other tasks that are not there yet: not joined */
    int64_t infinite; /* values beyond F16's range */
    double seconds, forward, writer, stalled; /* forward: compute; writer: beside it */
    uint64_t bytes;
};

/* Activations of a corpus to disk. ERR_LIMIT: it cannot fit, nothing was written; ERR_OUTPUT: the disk
 * is full or another cache is in the way; after ERR_CANCEL and any later error what is finished stays
 * and `resume` goes on. */
int cache_make(struct cache_made *out, const struct cache_make *m, struct err *e);

/* Joins finished shards, in the folder of `path` or in one folder below it. */
int cache_join(const char *path, const char *const *files, int64_t n, struct err *e);

/* One block that is not what its checksum says, or one shard that is not there. */
struct cache_fault {
    const char *file, *hook; /* hook NULL: the whole file */
    int64_t block, row_begin, row_end;
    const char *what;
};
struct cache_verified {
    int64_t blocks, bytes, faults; /* blocks of hooks */
    int shards;
};
/* Reads everything; fault() is called for each one found. ERR_INPUT where the file itself is none. */
int cache_verify(struct cache_verified *out, const char *path, struct pool *pool,
    void (*fault)(void *arg, const struct cache_fault *f), progress_fn progress, void *arg,
    struct err *e);

#endif
