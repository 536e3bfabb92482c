#ifndef SONDE_CORE_ARENA_H
#define SONDE_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "model/core/err.h"

/* Bytes that several arenas may take together: a run, what it keeps and its scratch. Used by one
 * thread at a time; it outlives the arenas that name it. */
struct budget {
    size_t limit; /* 0: none */
    size_t used, peak;
};

/* Memory of one lifetime (a model, a run, a frame): allocated piece by piece, released at once.
 * The zero value is an empty arena without a limit. Not thread-safe. */
struct arena {
    struct arena_chunk *head;
    size_t used;           /* bytes handed out, alignment included */
    size_t peak;           /* the most of them at once */
    size_t limit;          /* refuse beyond this many bytes; 0: none */
    struct budget *budget; /* shared with others; NULL: none. Set while the arena is empty */
    long fail_after;       /* tests: fail when this many allocations are done; 0: never */
    long count;
};

struct arena_mark {
    struct arena_chunk *chunk;
    size_t offset, used;
};

/* 64-byte aligned, not cleared; large pieces are backed by huge pages. NULL sets ERR_LIMIT. */
void *arena_alloc(struct arena *a, size_t bytes, struct err *e) __attribute__((alloc_size(2)));
/* The same, 8-byte aligned: for many small things that live long. */
void *arena_small(struct arena *a, size_t bytes, struct err *e) __attribute__((alloc_size(2)));
void *arena_zalloc(struct arena *a, size_t bytes, struct err *e) __attribute__((alloc_size(2)));
/* count * size with an overflow check. */
void *arena_array(struct arena *a, size_t count, size_t size, struct err *e);
char *arena_strdup(struct arena *a, const char *s, struct err *e);
char *arena_strndup(struct arena *a, const char *s, size_t n, struct err *e);
char *arena_printf(struct arena *a, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Room for the next `bytes` of allocations (their alignment included) in one piece of address space;
 * memory is taken as it is touched. */
int arena_reserve(struct arena *a, size_t bytes, struct err *e);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
void arena_release(struct arena *a);
/* Leaves its budget, which gets the bytes back: for what lives on when a run is over. */
void arena_leave(struct arena *a);
size_t budget_left(const struct budget *b); /* SIZE_MAX without a limit */
/* Returns to the system what released arenas have left for the next run (at most 4 GB). */
void arena_trim(void);

#endif
