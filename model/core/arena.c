#include "model/core/arena.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN 64
#define SMALL_ALIGN 8
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

static void chunk_give_back(struct arena_chunk *c)
{
    if (c->mapped)
        munmap(c, c->mapped);
    else
        free(c);
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

/* What was given back waits here for the next run of its size. Of large mappings, because a fresh page
 * costs a fault and a pass of zeros, which for a big trace is as long as the forward pass itself. Of
 * small chunks, because holes in the heap are filled with what lives longer, and a run of a thousand
 * prompts would grow by every hole. */
struct spares {
    struct arena_chunk *head;
    size_t bytes, max;
};
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct spares large = {.max = (size_t)4 << 30};
#if defined(__SANITIZE_ADDRESS__)
static struct spares small; /* everything goes back, so that what is used afterwards is seen */
#else
static struct spares small = {.max = (size_t)16 << 20};
#endif

static size_t chunk_bytes(const struct arena_chunk *c)
{
    return c->mapped ? c->mapped : c->size + ALIGN;
}

static struct arena_chunk *unlink_spare(struct spares *s, struct arena_chunk **at)
{
    struct arena_chunk *c = *at;
    *at = c->prev;
    s->bytes -= chunk_bytes(c);
    return c;
}

/* The smallest spare that fits in less than twice its bytes, NULL: none. A spare that is just too small
 * is of a run that has grown: it leaves, or every length of prompt would keep one of its own. */
static struct arena_chunk *spare_take(struct spares *s, size_t bytes)
{
    struct arena_chunk **best = NULL, **under = NULL, *found = NULL, *old = NULL;
    pthread_mutex_lock(&spare_lock);
    for (struct arena_chunk **c = &s->head; *c; c = &(*c)->prev) {
        const size_t has = chunk_bytes(*c);
        if (has >= bytes && has / 2 < bytes && (!best || has < chunk_bytes(*best)))
            best = c;
        else if (has < bytes && has >= bytes / 2 && (!under || has > chunk_bytes(*under)))
            under = c;
    }
    if (best)
        found = unlink_spare(s, best);
    else if (under)
        old = unlink_spare(s, under);
    pthread_mutex_unlock(&spare_lock);
    if (old)
        chunk_give_back(old);
    return found;
}

static bool spare_put(struct spares *s, struct arena_chunk *c)
{
    pthread_mutex_lock(&spare_lock);
    bool fits = chunk_bytes(c) <= s->max && s->bytes <= s->max - chunk_bytes(c);
    if (fits) {
        c->prev = s->head;
        s->head = c;
        s->bytes += chunk_bytes(c);
    }
    pthread_mutex_unlock(&spare_lock);
    return fits;
}

void arena_trim(void)
{
    struct spares *const both[] = {&large, &small};
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&spare_lock);
        struct arena_chunk *c = both[i]->head;
        both[i]->head = NULL;
        both[i]->bytes = 0;
        pthread_mutex_unlock(&spare_lock);
        while (c) {
            struct arena_chunk *next = c->prev;
            chunk_give_back(c);
            c = next;
        }
    }
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
    pthread_mutex_lock(&spare_lock);
    bool is_tight = b && b->limit && large.bytes > budget_left(b) - bytes;
    pthread_mutex_unlock(&spare_lock);
    if (is_tight)
        arena_trim();
}

/* Of a small chunk with its header: few sizes, so that spares fit. */
static size_t small_class(size_t bytes)
{
    size_t size = CHUNK;
    while (size < bytes)
        size += size / 2;
    return size;
}

static struct arena_chunk *chunk_create(size_t size, const struct budget *b)
{
    const bool is_large = size + ALIGN >= HUGE;
    const size_t bytes =
        is_large ? (size + ALIGN + 4095) & ~(size_t)4095 : small_class(size + ALIGN);
    struct arena_chunk *c = spare_take(is_large ? &large : &small, bytes);
    if (c) {
        c->used = 0;
        c->is_zero = false;
        return c;
    }
    if (is_large)
        spare_make_room(b, size);
    c = is_large ? map_huge(bytes) : aligned_alloc(ALIGN, bytes);
    if (!c)
        return NULL;
    *c = (struct arena_chunk){
        .size = bytes - ALIGN, .mapped = is_large ? bytes : 0, .is_zero = is_large};
    return c;
}

static void chunk_free(struct arena_chunk *c)
{
    if (!spare_put(c->mapped ? &large : &small, c))
        chunk_give_back(c);
}

static void *take(struct arena *a, size_t bytes, size_t align, struct err *e)
{
    const size_t size = bytes ? bytes : 1;
    if (size > SIZE_MAX - 2 * HUGE) {
        err_set(e, ERR_LIMIT, "a size overflows the address space");
        return NULL;
    }
    const size_t gap = a->head ? -a->head->used & (align - 1) : 0;
    const bool fits = a->head && a->head->size - a->head->used >= gap &&
                      a->head->size - a->head->used - gap >= size;
    const size_t need = size + (fits ? gap : 0);
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
    if (!fits) {
        struct arena_chunk *c = chunk_create(size > CHUNK / 2 ? size : CHUNK - ALIGN, a->budget);
        if (!c) {
            err_set(e, ERR_LIMIT, "out of memory (%.1f MB)", (double)size / 1e6);
            return NULL;
        }
        c->prev = a->head;
        a->head = c;
    }
    void *p = chunk_data(a->head) + a->head->used + need - size;
    a->head->used += need;
    a->used += need;
    a->peak = a->peak > a->used ? a->peak : a->used;
    budget_add(a->budget, need);
    return p;
}

/* Whole lines, so that what is taken in one order takes the same in every other. */
void *arena_alloc(struct arena *a, size_t bytes, struct err *e)
{
    return take(
        a, bytes > SIZE_MAX - ALIGN ? bytes : (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1), ALIGN, e);
}

void *arena_small(struct arena *a, size_t bytes, struct err *e)
{
    return take(a, bytes, SMALL_ALIGN, e);
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
    char *p = n < SIZE_MAX ? arena_small(a, n + 1, e) : NULL;
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
    char *p = n < 0 ? NULL : arena_small(a, (size_t)n + 1, e);
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
