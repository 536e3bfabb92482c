#include "model/cache_pour.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/cache_cold.h"
#include "model/core/parallel.h"

#define STAGE (((size_t)4 << 20) - COLD_SLACK) /* bytes that one write takes */
#define PAGE ((size_t)4096)
#define DIRECT_LEAST ((size_t)64 << 10) /* bytes for which a write past the page cache pays */
#define BEHIND 2                        /* groups until their pages leave the page cache */

struct stage {
    unsigned char *data; /* [room + PAGE], on a page */
    size_t pad, n;       /* pad: a page of memory is a page of the file */
    uint64_t at;
    struct cache_shard *shard;
};

struct range {
    int fd;
    uint64_t at;
    size_t n;
};

struct pour {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ends, has_thread, is_full[2]; /* full: the thread's, else the caller's */
    struct err err;
    struct stage stage[2];
    int filling;
    size_t room;
    /* The thread's until pour_settle. */
    uint64_t bytes;
    struct range *range;
    size_t n_range, cap_range, from[BEHIND + 1]; /* where the ranges of the last groups begin */
};

/* ---- the disk ---- */

static int note_range(struct pour *p, int fd, uint64_t at, size_t n, struct err *e)
{
    if (p->n_range == p->cap_range) {
        size_t cap = p->cap_range ? 2 * p->cap_range : 256;
        struct range *more = realloc(p->range, cap * sizeof *more);
        if (!more)
            return err_set(e, ERR_LIMIT, "out of memory");
        p->range = more;
        p->cap_range = cap;
    }
    p->range[p->n_range++] = (struct range){fd, at, n};
    (void)sync_file_range(fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
    return 0;
}

static int write_buffered(struct pour *p, const struct cache_shard *s, const unsigned char *data,
    size_t n, uint64_t at, struct err *e)
{
    if (!n)
        return 0;
    if (cache_pwrite(s->fd, data, n, at, e))
        return err_prefix(e, "%s", s->part), e->code;
    return note_range(p, s->fd, at, n, e);
}

/* Whole pages go past the page cache, which would cost a copy; what is left at both ends does not. A
 * file system that has no such way takes everything in the usual one. */
static int write_stage(struct pour *p, struct stage *g, struct err *e)
{
    const unsigned char *data = g->data + g->pad;
    struct cache_shard *s = g->shard;
    size_t head = (size_t)((PAGE - g->at % PAGE) % PAGE);
    size_t middle = g->n > head ? (g->n - head) / PAGE * PAGE : 0;
    struct err none;
    p->bytes += g->n;
    if (s->direct < 0 || middle < DIRECT_LEAST || g->pad != g->at % PAGE)
        return write_buffered(p, s, data, g->n, g->at, e);
    if (cache_pwrite(s->direct, data + head, middle, g->at + head, &none)) {
        close(s->direct);
        s->direct = -1;
        return write_buffered(p, s, data, g->n, g->at, e);
    }
    size_t end = head + middle;
    int rc = write_buffered(p, s, data, head, g->at, e);
    return rc ? rc : write_buffered(p, s, data + end, g->n - end, g->at + end, e);
}

/* What was written some groups ago is on the disk by now, or is waited for; its pages are given back,
 * so that a cache larger than memory does not push everything else out. */
void pour_retire(struct pour *p, bool all)
{
    size_t n = all ? p->n_range : p->from[1];
    for (size_t i = 0; i < n; i++) {
        const struct range *r = &p->range[i];
        (void)sync_file_range(r->fd, (off_t)r->at, (off_t)r->n,
            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        (void)posix_fadvise(r->fd, (off_t)r->at, (off_t)r->n, POSIX_FADV_DONTNEED);
    }
    if (n)
        memmove(p->range, p->range + n, (p->n_range - n) * sizeof *p->range);
    p->n_range -= n;
    for (int i = 0; i < BEHIND; i++)
        p->from[i] = all ? 0 : p->from[i + 1] - n;
    p->from[BEHIND] = p->n_range;
}

/* ---- the thread ---- */

static void *work(void *arg)
{
    struct pour *p = arg;
    pthread_mutex_lock(&p->lock);
    for (int i = 0;; i ^= 1) {
        while (!p->is_full[i] && !p->ends)
            pthread_cond_wait(&p->changed, &p->lock);
        if (!p->is_full[i])
            break;
        struct err e = p->err;
        pthread_mutex_unlock(&p->lock);
        if (!e.code)
            (void)write_stage(p, &p->stage[i], &e);
        pthread_mutex_lock(&p->lock);
        p->err = e;
        p->stage[i].n = 0;
        p->is_full[i] = false;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Hands over what is filled; the other buffer is free when this returns. */
static void flush(struct pour *p)
{
    if (!p->stage[p->filling].n)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_full[p->filling] = true;
    pthread_cond_broadcast(&p->changed);
    p->filling ^= 1;
    while (p->is_full[p->filling])
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

unsigned char *pour_take(
    struct pour *p, struct cache_shard *s, uint64_t at, size_t least, size_t *room)
{
    struct stage *g = &p->stage[p->filling];
    if (g->n && (g->shard != s || g->at + g->n != at || p->room - g->n < least)) {
        flush(p);
        g = &p->stage[p->filling];
    }
    if (!g->n) /* HDF5 may put a small dataset anywhere; values stay aligned in memory */
        *g = (struct stage){
            .data = g->data, .pad = at % 8 ? 0 : (size_t)(at % PAGE), .at = at, .shard = s};
    *room = p->room - g->n;
    pthread_mutex_lock(&p->lock);
    bool failed = p->err.code != 0;
    pthread_mutex_unlock(&p->lock);
    return failed ? NULL : g->data + g->pad + g->n;
}

void pour_put(struct pour *p, size_t n)
{
    p->stage[p->filling].n += n;
}

int pour_settle(struct pour *p, struct err *e)
{
    flush(p);
    pthread_mutex_lock(&p->lock);
    while (p->is_full[0] || p->is_full[1])
        pthread_cond_wait(&p->changed, &p->lock);
    if (p->err.code)
        *e = p->err;
    pthread_mutex_unlock(&p->lock);
    return p->err.code;
}

uint64_t pour_bytes(const struct pour *p)
{
    return p->bytes;
}

int pour_create(struct pour **out, size_t largest_row, struct err *e)
{
    struct pour *p = calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return err_set(e, ERR_LIMIT, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->room = largest_row > STAGE ? largest_row : STAGE;
    for (int i = 0; i < 2; i++)
        p->stage[i].data = cold_buffer(p->room);
    if (p->stage[0].data && p->stage[1].data)
        p->has_thread = !thread_start(&p->thread, NULL, work, p);
    if (p->has_thread)
        return 0;
    pour_release(out);
    return err_set(e, ERR_LIMIT, "no memory or no thread for writing");
}

void pour_release(struct pour **pp)
{
    struct pour *p = *pp;
    if (!p)
        return;
    if (p->has_thread) {
        pthread_mutex_lock(&p->lock);
        p->ends = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    free(p->stage[0].data);
    free(p->stage[1].data);
    free(p->range);
    free(p);
    *pp = NULL;
}
