#include "model/core/arena.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN 64
#define CHUNK (256 * 1024)
#define HUGE ((size_t)2 << 20)

/* The header is padded to ALIGN, so that the data behind it is aligned too. */
struct arena_chunk {
    struct arena_chunk *prev;
    size_t size, used; /* of the data behind the header */
    size_t mapped;     /* bytes mapped, 0: from the heap */
    bool is_zero;      /* mapped just now: what is not handed out yet is zero */
};

static char *chunk_data(struct arena_chunk *c)
{
    return (char *)c + ALIGN;
}

/* Fresh memory that begins on a huge page, so that all but its tail is backed by huge pages. Pages
 * nobody touches cost nothing. */
static void *map_huge(size_t bytes)
{
    char *p = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t skip = (HUGE - (uintptr_t)p % HUGE) % HUGE;
    if (skip)
        munmap(p, skip);
    munmap(p + skip + bytes, HUGE - skip);
    (void)madvise(p + skip, bytes, MADV_HUGEPAGE);
    return p + skip;
}

/* Large mappings that were given back wait here for the next run of the same size: a fresh page costs
 * a fault and a pass of zeros, which for a big trace is as long as the forward pass itself. */
static struct {
    pthread_mutex_t lock;
    struct arena_chunk *head;
    size_t bytes;
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define SPARE_MAX ((size_t)4 << 30)

/* The smallest spare that fits without wasting more than a quarter, NULL: none. */
static struct arena_chunk *spare_take(size_t bytes)
{
    struct arena_chunk **best = NULL;
    pthread_mutex_lock(&spare.lock);
    for (struct arena_chunk **c = &spare.head; *c; c = &(*c)->prev)
        if ((*c)->mapped >= bytes && (*c)->mapped - bytes <= bytes / 4 &&
            (!best || (*c)->mapped < (*best)->mapped))
            best = c;
    struct arena_chunk *found = best ? *best : NULL;
    if (found) {
        *best = found->prev;
        spare.bytes -= found->mapped;
    }
    pthread_mutex_unlock(&spare.lock);
    return found;
}

static bool spare_put(struct arena_chunk *c)
{
    pthread_mutex_lock(&spare.lock);
    bool fits = c->mapped <= SPARE_MAX && spare.bytes <= SPARE_MAX - c->mapped;
    if (fits) {
        c->prev = spare.head;
        spare.head = c;
        spare.bytes += c->mapped;
    }
    pthread_mutex_unlock(&spare.lock);
    return fits;
}

void arena_trim(void)
{
    pthread_mutex_lock(&spare.lock);
    while (spare.head) {
        struct arena_chunk *c = spare.head;
        spare.head = c->prev;
        munmap(c, c->mapped);
    }
    spare.bytes = 0;
    pthread_mutex_unlock(&spare.lock);
}

size_t budget_left(const struct budget *b)
{
    return !b || !b->limit ? SIZE_MAX : b->used < b->limit ? b->limit - b->used : 0;
}

static void budget_add(struct budget *b, size_t bytes)
{
    if (!b)
        return;
    b->used += bytes;
    b->peak = b->peak > b->used ? b->peak : b->used;
}

static int over(struct err *e, size_t bytes, size_t limit)
{
    return err_set(e, ERR_LIMIT, "%.1f MB more would exceed the limit of %.1f MB; raise --max-mem",
        (double)bytes / 1e6, (double)limit / 1e6);
}

/* Spares are resident: they go when they and what is asked for do not fit together. */
static void spare_make_room(const struct budget *b, size_t bytes)
{
    pthread_mutex_lock(&spare.lock);
    bool is_tight = b && b->limit && spare.bytes > budget_left(b) - bytes;
    pthread_mutex_unlock(&spare.lock);
    if (is_tight)
        arena_trim();
}

static struct arena_chunk *chunk_create(size_t size, const struct budget *b)
{
    struct arena_chunk *c;
    if (size + ALIGN >= HUGE) {
        size_t bytes = (size + ALIGN + 4095) & ~(size_t)4095;
        c = spare_take(bytes);
        if (c) {
            c->used = 0;
            c->is_zero = false;
            return c;
        }
        spare_make_room(b, size);
        c = map_huge(bytes);
        if (!c)
            return NULL;
        c->is_zero = true;
        c->mapped = bytes;
        c->size = bytes - ALIGN;
    } else {
        c = aligned_alloc(ALIGN, size + ALIGN);
        if (!c)
            return NULL;
        c->mapped = 0;
        c->is_zero = false;
        c->size = size;
    }
    c->used = 0;
    return c;
}

static void chunk_free(struct arena_chunk *c)
{
    if (!c->mapped)
        free(c);
    else if (!spare_put(c))
        munmap(c, c->mapped);
}

void *arena_alloc(struct arena *a, size_t bytes, struct err *e)
{
    size_t need = bytes > SIZE_MAX - 2 * HUGE ? 0 : (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (bytes && !need) {
        err_set(e, ERR_LIMIT, "a size overflows the address space");
        return NULL;
    }
    if (!need)
        need = ALIGN;
    a->count++;
    if (a->fail_after && a->count > a->fail_after) {
        err_set(e, ERR_LIMIT, "out of memory (%zu bytes)", bytes);
        return NULL;
    }
    if (a->limit && (need > a->limit || a->used > a->limit - need)) {
        over(e, need, a->limit);
        return NULL;
    }
    if (need > budget_left(a->budget)) {
        over(e, need, a->budget->limit);
        return NULL;
    }
    if (!a->head || a->head->size - a->head->used < need) {
        struct arena_chunk *c = chunk_create(need > CHUNK / 2 ? need : CHUNK, a->budget);
        if (!c) {
            err_set(e, ERR_LIMIT, "out of memory (%.1f MB)", (double)need / 1e6);
            return NULL;
        }
        c->prev = a->head;
        a->head = c;
    }
    void *p = chunk_data(a->head) + a->head->used;
    a->head->used += need;
    a->used += need;
    a->peak = a->peak > a->used ? a->peak : a->used;
    budget_add(a->budget, need);
    return p;
}

int arena_reserve(struct arena *a, size_t bytes, struct err *e)
{
    if (a->limit && bytes > a->limit - (a->used < a->limit ? a->used : a->limit))
        return over(e, bytes, a->limit);
    if (bytes > budget_left(a->budget))
        return over(e, bytes, a->budget->limit);
    struct arena_chunk *c = bytes > SIZE_MAX - 2 * HUGE ? NULL : chunk_create(bytes, a->budget);
    if (!c)
        return err_set(e, ERR_LIMIT, "out of memory (%.1f MB)", (double)bytes / 1e6);
    c->prev = a->head;
    a->head = c;
    return 0;
}

void *arena_zalloc(struct arena *a, size_t bytes, struct err *e)
{
    void *p = arena_alloc(a, bytes, e);
    if (p && !a->head->is_zero)
        memset(p, 0, bytes);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size, struct err *e)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        err_set(e, ERR_LIMIT, "a size overflows the address space");
        return NULL;
    }
    return arena_alloc(a, bytes, e);
}

char *arena_strndup(struct arena *a, const char *s, size_t n, struct err *e)
{
    char *p = arena_alloc(a, n + 1, e);
    if (p) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *s, struct err *e)
{
    return arena_strndup(a, s, strlen(s), e);
}

char *arena_printf(struct arena *a, struct err *e, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1, e);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->head, a->head ? a->head->used : 0, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    while (a->head != mark.chunk) {
        struct arena_chunk *c = a->head;
        a->head = c->prev;
        chunk_free(c);
    }
    if (a->head && a->head->used != mark.offset) {
        a->head->used = mark.offset;
        a->head->is_zero = false;
    }
    if (a->budget)
        a->budget->used -= a->used - mark.used;
    a->used = mark.used;
}

void arena_leave(struct arena *a)
{
    if (a->budget)
        a->budget->used -= a->used;
    a->budget = NULL;
}

void arena_release(struct arena *a)
{
    arena_rewind(a, (struct arena_mark){0});
    a->count = 0;
    a->peak = 0;
}
