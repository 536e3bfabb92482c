#include "model/cache_write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/cache_pour.h"
#include "model/core/crc.h"
#include "model/core/machine.h"
#include "model/core/parallel.h"

#define QUEUE 2
#define HOT ((size_t)1 << 18) /* bytes that are converted and summed while they are in a cache */
#define SYNC_BLOCKS 16        /* blocks, or seconds, between two fdatasync */
#define SYNC_SECONDS 10.0

struct item {
    struct cache_shard *shard;
    struct cache_group group;
};

struct cache_writer {
    const struct cache_head *head;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item queue[QUEUE];
    int first, queued; /* the item in work stays queued until it is done */
    bool ends, has_thread;
    struct err err; /* what went wrong, code 0: nothing */
    struct cache_written stats;
    /* The thread's own. */
    struct err mine;
    struct cache_shard *shard; /* the last one */
    struct pour *pour;
    uint32_t *crc;    /* [hooks] of the block under way */
    int64_t unsynced; /* blocks */
    double synced;
};

static int sync_now(struct cache_writer *w)
{
    if (w->shard && fdatasync(w->shard->fd))
        return err_set(&w->mine, ERR_OUTPUT, "%s: %s", w->shard->part, strerror(errno));
    w->unsynced = 0;
    w->synced = machine_seconds();
    return 0;
}

/* ---- values ---- */

/* n rows [n, width] of a hook, for rows `row` .. of the shard; they follow those before. */
static int put_rows(struct cache_writer *w, struct cache_shard *s, int k, int64_t row, int64_t n,
    const float *values)
{
    const struct cache_head *h = w->head;
    int64_t width = h->hook[k].width;
    uint64_t row_bytes = cache_row_bytes(h, k);
    while (n > 0) {
        size_t room;
        int64_t in_block = CACHE_BLOCK - row % CACHE_BLOCK, some = n < in_block ? n : in_block;
        unsigned char *to =
            pour_take(w->pour, s, s->at[k] + (uint64_t)row * row_bytes, (size_t)row_bytes, &room);
        if (!to)
            return pour_settle(w->pour, &w->mine);
        int64_t fit = (int64_t)((room < HOT ? room : HOT) / row_bytes);
        fit = fit < 1 ? 1 : fit;
        some = some < fit ? some : fit;
        tensor_narrow(to, values, h->info.dtype, some * width);
        if (h->info.dtype == DT_F16 && !site_is_square(h->hook[k].site)) {
            const uint16_t *half = (const uint16_t *)to;
            int64_t infinite = 0;
            for (int64_t i = 0; i < some * width; i++)
                infinite += (half[i] & 0x7fff) == 0x7c00;
            w->stats.infinite += infinite;
        }
        w->crc[k] = crc32c(row % CACHE_BLOCK ? w->crc[k] : 0, to, (size_t)some * row_bytes);
        pour_put(w->pour, (size_t)some * row_bytes);
        row += some;
        n -= some;
        values += some * width;
        if (row % CACHE_BLOCK == 0 || row == s->rows)
            s->crc[(row - 1) / CACHE_BLOCK * h->info.hooks + k] = cache_crc(w->crc[k]);
    }
    return 0;
}

/* Positions [from, to) of a window, cut at what is stored and not there yet. The stored rows of a
 * sequence are its BOS and its last ones. */
struct span {
    int64_t pos, row, n;
};

static int spans_of(struct span out[2], const struct cache_group *g, int i)
{
    const struct spool_window *win = &g->window[i];
    int64_t row = win->row - g->row_begin, rest = win->stored - win->bos;
    struct span all[2] = {{0, row, win->bos}, {win->n - rest, row + win->bos, rest}};
    int n = 0;
    for (int k = 0; k < 2; k++) {
        int64_t skip = g->from - all[k].row;
        skip = skip < 0 ? 0 : skip < all[k].n ? skip : all[k].n;
        if (all[k].n > skip)
            out[n++] = (struct span){all[k].pos + skip, all[k].row + skip, all[k].n - skip};
    }
    return n;
}

/* [H, T, T] becomes [T, H, window], NaN behind the sequence: a few rows at a time. */
static int put_square(struct cache_writer *w, struct cache_shard *s, int k, const struct span *at,
    const float *values, int64_t T, float *row)
{
    int64_t heads = w->head->hook[k].axes[1].size, window = w->head->hook[k].axes[2].size;
    for (int64_t t = 0; t < at->n; t++) {
        for (int64_t h = 0; h < heads; h++) {
            memcpy(row + h * window, values + (h * T + at->pos + t) * T, (size_t)T * sizeof *row);
            for (int64_t j = T; j < window; j++)
                row[h * window + j] = NAN;
        }
        if (put_rows(w, s, k, at->row + t, 1, row))
            return w->mine.code;
    }
    return 0;
}

static int put_hook(struct cache_writer *w, struct cache_shard *s, struct cache_group *g, int k)
{
    const struct cache_hook *h = &w->head->hook[k];
    float *row = NULL;
    int rc = 0;
    if (site_is_square(h->site) && !(row = malloc((size_t)h->width * sizeof *row)))
        return err_set(&w->mine, ERR_LIMIT, "out of memory (a row of %s)", h->name);
    for (int i = 0; i < g->n && !rc; i++) {
        struct span at[2];
        for (int j = 0, n = spans_of(at, g, i); j < n && !rc; j++)
            rc = row ? put_square(w, s, k, &at[j], trace_square(&g->trace, h->site, h->layer, i),
                           trace_len(&g->trace, i), row)
                     : put_rows(w, s, k, at[j].row, at[j].n,
                           trace_site(&g->trace, h->site, h->layer, i) + at[j].pos * h->width);
    }
    free(row);
    return rc;
}

/* Checksums of the blocks that this group completed: written behind the values. */
static int put_crc(struct cache_writer *w, struct cache_shard *s, const struct cache_group *g)
{
    const struct spool_window *last = &g->window[g->n - 1];
    int64_t end = last->row - g->row_begin + last->stored, first = g->from / CACHE_BLOCK;
    int64_t begin = g->window[0].row - g->row_begin;
    begin = begin > g->from ? begin : g->from;
    first = begin / CACHE_BLOCK;
    int64_t blocks = (end == s->rows ? s->blocks : end / CACHE_BLOCK) - first;
    size_t hooks = (size_t)w->head->info.hooks;
    if (blocks <= 0)
        return 0;
    size_t at = (size_t)first * hooks, n = (size_t)blocks * hooks;
    if (cache_pwrite(s->fd, s->crc + at, n * sizeof *s->crc, s->crc_at + at * 4, &w->mine))
        return err_prefix(&w->mine, "%s", s->part), w->mine.code;
    w->unsynced += blocks;
    if (end == s->rows) {
        pour_retire(w->pour, true);
        return cache_shard_finish(s, &w->mine);
    }
    if (w->unsynced >= SYNC_BLOCKS || machine_seconds() - w->synced > SYNC_SECONDS)
        return sync_now(w);
    return 0;
}

static int write_group(struct cache_writer *w, struct item *it)
{
    int rc = 0;
    if (w->shard != it->shard) {
        w->shard = it->shard;
        w->synced = machine_seconds();
        w->unsynced = 0;
    }
    for (int k = 0; k < w->head->info.hooks && !rc; k++)
        rc = put_hook(w, it->shard, &it->group, k);
    if (!rc)
        rc = pour_settle(w->pour, &w->mine);
    w->stats.bytes = pour_bytes(w->pour);
    if (!rc)
        rc = put_crc(w, it->shard, &it->group);
    pour_retire(w->pour, false);
    return rc;
}

/* ---- the thread ---- */

static void group_release(struct cache_group *g)
{
    trace_release(&g->trace);
    arena_release(&g->arena);
}

static void *work(void *arg)
{
    struct cache_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->queued && !w->ends)
            pthread_cond_wait(&w->changed, &w->lock);
        if (!w->queued)
            break;
        struct item it = w->queue[w->first];
        int failed = w->err.code;
        pthread_mutex_unlock(&w->lock);
        double t0 = machine_seconds();
        if (!failed)
            (void)write_group(w, &it);
        group_release(&it.group);
        pthread_mutex_lock(&w->lock);
        if (w->mine.code)
            w->err = w->mine;
        w->stats.busy += machine_seconds() - t0;
        w->first = (w->first + 1) % QUEUE;
        w->queued--;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int cache_writer_create(struct cache_writer **out, const struct cache_head *h, struct err *e)
{
    struct cache_writer *w = calloc(1, sizeof *w);
    *out = w;
    if (!w)
        return err_set(e, ERR_LIMIT, "out of memory");
    w->head = h;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    size_t largest = 0;
    for (int k = 0; k < h->info.hooks; k++)
        largest = cache_row_bytes(h, k) > largest ? (size_t)cache_row_bytes(h, k) : largest;
    if (pour_create(&w->pour, largest, e)) {
        cache_writer_release(out);
        return e->code;
    }
    w->crc = calloc((size_t)h->info.hooks, sizeof *w->crc);
    if (w->crc)
        w->has_thread = !thread_start(&w->thread, NULL, work, w);
    if (w->has_thread)
        return 0;
    cache_writer_release(out);
    return err_set(e, ERR_LIMIT, "no memory or no thread for the writer");
}

/* Waits with the lock until at most n are queued. */
static int wait_for(struct cache_writer *w, int n, struct err *e)
{
    double t0 = machine_seconds();
    while (w->queued > n && (!w->err.code || !n))
        pthread_cond_wait(&w->changed, &w->lock);
    w->stats.stalled += machine_seconds() - t0;
    if (w->err.code)
        *e = w->err;
    return w->err.code;
}

int cache_writer_add(
    struct cache_writer *w, struct cache_shard *s, struct cache_group *g, struct err *e)
{
    pthread_mutex_lock(&w->lock);
    int rc = wait_for(w, QUEUE - 1, e);
    if (!rc) {
        w->queue[(w->first + w->queued) % QUEUE] = (struct item){s, *g};
        w->queued++;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    if (rc)
        group_release(g);
    *g = (struct cache_group){0};
    return rc;
}

int cache_writer_drain(struct cache_writer *w, struct err *e)
{
    pthread_mutex_lock(&w->lock);
    int rc = wait_for(w, 0, e);
    pthread_mutex_unlock(&w->lock);
    if (!rc && w->unsynced && (rc = sync_now(w)))
        *e = w->mine;
    struct err settled;
    if (!pour_settle(w->pour, &settled))
        pour_retire(w->pour, true);
    w->shard = NULL;
    return rc;
}

void cache_writer_stats(struct cache_written *out, const struct cache_writer *w)
{
    *out = w->stats;
}

void cache_writer_release(struct cache_writer **p)
{
    struct cache_writer *w = *p;
    if (!w)
        return;
    if (w->has_thread) {
        pthread_mutex_lock(&w->lock);
        w->ends = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    pour_release(&w->pour);
    free(w->crc);
    free(w);
    *p = NULL;
}
