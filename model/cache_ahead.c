#include "model/cache_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/parallel.h"

#define BUDGET ((size_t)96 << 20) /* bytes of all buffers */
#define PIECE ((size_t)2 << 20)   /* of a read and its slack, at most */
#define LEAST ((size_t)128 << 10) /* below this reading ahead does not pay */
#define MUCH ((uint64_t)2 << 20)  /* bytes that are worth it without being a sequence */
#define DEPTH 2                   /* pieces of a stream: one in use, one on the way */

struct piece {
    unsigned char *buf; /* its part of the stream's */
    const unsigned char *data;
    uint64_t at;
    size_t n;
    enum { FREE, ASKED, UNDERWAY, THERE } state;
    bool failed;
    struct piece *later; /* in the queue */
    const struct cold_file *file;
};

struct stream {
    struct piece piece[DEPTH]; /* in order of the file from `first` on */
    int first, n;
    void *buf;
    size_t room; /* bytes of a piece in buf, 0: none */
    const struct cold_file *file;
    uint64_t next;  /* where the last part ended: one that begins there goes on */
    uint64_t asked; /* up to where pieces are asked for */
    uint64_t used;  /* the clock at its last part */
    bool busy;      /* between begin and end */
    struct ahead_part part;
    uint64_t limit; /* nothing is asked for beyond */
};

struct ahead {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, there;
    bool has_thread, ends;
    struct piece *head, **tail; /* the queue */
    struct stream *stream;
    int streams;
    uint64_t clock;
    size_t bytes; /* of all buffers */
};

static void *loop(void *arg)
{
    struct ahead *a = arg;
    struct err e;
    pthread_mutex_lock(&a->lock);
    while (!a->ends) {
        struct piece *p = a->head;
        if (!p) {
            pthread_cond_wait(&a->asked, &a->lock);
            continue;
        }
        a->head = p->later;
        if (!a->head)
            a->tail = &a->head;
        p->state = UNDERWAY;
        pthread_mutex_unlock(&a->lock);
        p->failed = cold_read(&p->data, p->file, p->buf, p->n, p->at, &e) != 0;
        pthread_mutex_lock(&a->lock);
        p->state = THERE;
        pthread_cond_broadcast(&a->there);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- with the lock held ---- */

/* What is queued is taken out, what is under way is waited for. */
static void drop(struct ahead *a, struct stream *s)
{
    for (struct piece **at = &a->head; *at;) {
        struct piece *p = *at;
        if (p >= s->piece && p < s->piece + DEPTH) {
            *at = p->later;
            p->state = FREE;
        } else {
            at = &p->later;
        }
    }
    for (a->tail = &a->head; *a->tail;)
        a->tail = &(*a->tail)->later;
    for (int i = 0; i < DEPTH; i++) {
        while (s->piece[i].state == UNDERWAY)
            pthread_cond_wait(&a->there, &a->lock);
        s->piece[i].state = FREE;
    }
    s->n = 0;
}

static void free_buffers(struct ahead *a, struct stream *s)
{
    free(s->buf);
    s->buf = NULL;
    a->bytes -= DEPTH * COLD_ROOM(s->room);
    s->room = 0;
}

/* Of a stream that nobody is in: as if it had never been read. */
static void leave(struct ahead *a, struct stream *s)
{
    bool mine = !s->busy; /* else another thread is here already, for the same */
    s->busy = true;       /* drop may wait */
    drop(a, s);
    free_buffers(a, s);
    s->file = NULL;
    if (mine)
        s->busy = false;
}

/* Streams read in turn share the memory; one that is read alone has large pieces. */
static size_t piece_bytes(const struct ahead *a, uint64_t since)
{
    size_t n = 0, bytes = PIECE; /* this stream is one of them */
    for (int i = 0; i < a->streams; i++)
        n += a->stream[i].used > since;
    while (bytes > LEAST / 2 && bytes * DEPTH * n > BUDGET)
        bytes /= 2;
    return bytes;
}

/* New pages cost more than reading into them: those of a stream that is at its end serve again. */
static bool take_over(struct ahead *a, struct stream *s, size_t bytes)
{
    for (int i = 0; i < a->streams; i++) {
        struct stream *o = &a->stream[i];
        if (o->room != bytes || o->busy || o->next != o->part.end)
            continue;
        s->buf = o->buf;
        s->room = bytes;
        o->buf = NULL;
        o->room = 0;
        o->n = 0;
        return true;
    }
    return false;
}

/* Buffers for whole rows; what was used longest ago makes room. */
static bool make_room(struct ahead *a, struct stream *s, size_t bytes)
{
    if (s->room == bytes)
        return true;
    free_buffers(a, s);
    if (take_over(a, s, bytes))
        return true;
    while (a->bytes && a->bytes + DEPTH * COLD_ROOM(bytes) > BUDGET) {
        struct stream *old = NULL;
        for (int i = 0; i < a->streams; i++) {
            struct stream *o = &a->stream[i];
            if (o->room && !o->busy && (!old || o->used < old->used))
                old = o;
        }
        if (!old)
            return false;
        leave(a, old);
    }
    s->buf = cold_buffer(DEPTH * COLD_ROOM(bytes) - COLD_SLACK);
    if (!s->buf)
        return false;
    s->room = bytes;
    a->bytes += DEPTH * COLD_ROOM(bytes);
    return true;
}

static void ask(struct ahead *a, struct stream *s)
{
    while (s->n < DEPTH && s->asked < s->limit) {
        int i = (s->first + s->n++) % DEPTH;
        struct piece *p = &s->piece[i];
        uint64_t left = s->limit - s->asked;
        size_t most = s->room / s->part.row * s->part.row;
        p->buf = (unsigned char *)s->buf + (size_t)i * COLD_ROOM(s->room);
        p->at = s->asked;
        p->n = left < most ? (size_t)left : most;
        p->file = s->file;
        p->state = ASKED;
        p->later = NULL;
        s->asked += p->n;
        *a->tail = p;
        a->tail = &p->later;
        pthread_cond_signal(&a->asked);
    }
}

static bool start_thread(struct ahead *a)
{
    if (a->has_thread)
        return true;
    a->has_thread = !thread_start(&a->thread, NULL, loop, a);
    return a->has_thread;
}

/* ---- */

static bool begin(struct ahead *a, struct stream *s, const struct ahead_part *part)
{
    uint64_t since = s->used;
    bool same = s->file == part->file, goes_on = same && s->next == part->from;
    if (s->busy)
        return false;
    s->used = ++a->clock;
    s->next = part->to;
    s->file = part->file;
    s->part = *part;
    s->limit = goes_on ? part->end : part->to;
    s->busy = true;
    if (goes_on && s->n) { /* pieces of a stream begin where the last part ended, or before */
        ask(a, s);
        return true;
    }
    drop(a, s);
    size_t room = (goes_on ? piece_bytes(a, since) : PIECE) - COLD_SLACK;
    s->busy = room + COLD_SLACK >= LEAST && room >= part->row &&
              (goes_on || part->to - part->from >= MUCH) &&
              cold_is(part->file, part->from, part->to - part->from) && start_thread(a) &&
              make_room(a, s, room);
    if (s->busy) {
        s->asked = part->from;
        ask(a, s);
    }
    return s->busy;
}

bool ahead_begin(struct ahead *a, int stream, const struct ahead_part *part)
{
    pthread_mutex_lock(&a->lock);
    bool is = begin(a, &a->stream[stream], part);
    pthread_mutex_unlock(&a->lock);
    return is;
}

bool ahead_next(const unsigned char **out, size_t *n, struct ahead *a, int stream)
{
    struct stream *s = &a->stream[stream];
    *n = 0;
    pthread_mutex_lock(&a->lock);
    while (s->part.from < s->part.to) {
        struct piece *p = &s->piece[s->first];
        if (p->state != THERE) {
            pthread_cond_wait(&a->there, &a->lock);
        } else if (p->at + p->n <= s->part.from) { /* seen */
            p->state = FREE;
            s->first = (s->first + 1) % DEPTH;
            s->n--;
            ask(a, s);
        } else if (p->failed) {
            break;
        } else {
            uint64_t stop = p->at + p->n < s->part.to ? p->at + p->n : s->part.to;
            *out = p->data + (s->part.from - p->at);
            *n = (size_t)(stop - s->part.from);
            s->part.from = stop;
            break;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return *n > 0;
}

void ahead_end(struct ahead *a, int stream)
{
    struct stream *s = &a->stream[stream];
    pthread_mutex_lock(&a->lock);
    if (s->part.from < s->part.to) { /* not all was seen */
        drop(a, s);
        s->next = 0;
    }
    s->busy = false;
    pthread_mutex_unlock(&a->lock);
}

void ahead_forget(struct ahead *a, const struct cold_file *file)
{
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < a->streams; i++)
        if (a->stream[i].file == file)
            leave(a, &a->stream[i]);
    pthread_mutex_unlock(&a->lock);
}

int ahead_create(struct ahead **out, int streams, struct err *e)
{
    struct ahead *a = calloc(1, sizeof *a);
    *out = NULL;
    if (a)
        a->stream = calloc((size_t)streams, sizeof *a->stream);
    if (!a || !a->stream) {
        free(a);
        return err_set(e, ERR_LIMIT, "out of memory");
    }
    a->streams = streams;
    a->tail = &a->head;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->asked, NULL);
    pthread_cond_init(&a->there, NULL);
    *out = a;
    return 0;
}

void ahead_release(struct ahead **ap)
{
    struct ahead *a = *ap;
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->ends = true;
    pthread_cond_signal(&a->asked);
    pthread_mutex_unlock(&a->lock);
    if (a->has_thread)
        pthread_join(a->thread, NULL);
    for (int i = 0; i < a->streams; i++)
        free(a->stream[i].buf);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->asked);
    pthread_cond_destroy(&a->there);
    free(a->stream);
    free(a);
    *ap = NULL;
}
