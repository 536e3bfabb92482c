#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/cache_cold.h"
#include "model/cache_make.h"
#include "model/cache_write.h"
#include "model/core/crc.h"

#define PIECE (((size_t)4 << 20) - COLD_SLACK)
#define RUN 64 /* blocks of a hook that one thread goes through at a time */

struct check {
    struct cache_verified *out;
    void (*fault)(void *arg, const struct cache_fault *f);
    progress_fn progress;
    void *arg;
    struct pool *pool;
    int64_t shards, shard; /* for progress */
};

static void tell(struct check *c, const struct cache_fault *f)
{
    c->out->faults++;
    if (c->fault)
        c->fault(c->arg, f);
}

static void tell_file(struct check *c, const char *file, const char *what)
{
    tell(c, &(struct cache_fault){.file = file, .what = what, .block = -1});
}

static int step_on(const struct check *c, double share, struct err *e)
{
    share = share < 1 ? share : 1;
    if (c->progress && c->progress(c->arg, (double)c->shard + share, (double)c->shards))
        return err_set(e, ERR_CANCEL, "interrupted");
    return 0;
}

/* ---- the blocks of a shard ---- */

struct sums {
    const struct cache_h5 *f;
    struct cold_file file;
    int64_t blocks, runs; /* of a hook */
    int64_t base;         /* runs that are done */
    uint32_t *crc;        /* [blocks, hooks] as read now; 0: could not be read */
    void **buf;           /* [threads] of PIECE */
};

static int64_t rows_of(const struct cache_h5 *f, int64_t block)
{
    int64_t left = f->head.info.tokens - block * CACHE_BLOCK;
    return left < CACHE_BLOCK ? left : CACHE_BLOCK;
}

/* Blocks [first, last) of a hook, read together: small ones at once, a big one in parts. */
static void sum_piece(struct sums *s, int k, int64_t first, int64_t last, uint64_t at, void *buf)
{
    int hooks = s->f->head.info.hooks;
    uint64_t row = cache_row_bytes(&s->f->head, k), left = 0, have = 0, seen = 0;
    const unsigned char *data = NULL;
    struct err e;
    bool good = true;
    for (int64_t b = first; b < last; b++)
        left += (uint64_t)rows_of(s->f, b) * row;
    for (int64_t b = first; b < last; b++) {
        uint64_t rest = (uint64_t)rows_of(s->f, b) * row;
        uint32_t crc = 0;
        while (rest && good) {
            if (seen == have) {
                have = left < PIECE ? left : PIECE;
                good = !cold_read(&data, &s->file, buf, (size_t)have, at, &e);
                at += have;
                left -= have;
                seen = 0;
            }
            size_t n = (size_t)(have - seen < rest ? have - seen : rest);
            crc = good ? crc32c(crc, data + seen, n) : 0;
            seen += n;
            rest -= n;
        }
        s->crc[b * hooks + k] = good ? cache_crc(crc) : 0;
    }
}

static void sum_run(void *arg, int64_t i, int worker)
{
    struct sums *s = arg;
    i += s->base;
    int k = (int)(i / s->runs);
    int64_t first = i % s->runs * RUN, end = first + RUN < s->blocks ? first + RUN : s->blocks;
    uint64_t block = CACHE_BLOCK * cache_row_bytes(&s->f->head, k);
    int64_t lot = block < PIECE ? (int64_t)(PIECE / block) : 1;
    for (int64_t b = first; b < end; b += lot) {
        int64_t last = b + lot < end ? b + lot : end;
        sum_piece(s, k, b, last, s->f->at[k] + (uint64_t)b * block, s->buf[worker]);
    }
}

static void compare(struct check *c, const struct sums *s, const uint32_t *stored, const char *file)
{
    int hooks = s->f->head.info.hooks;
    for (int64_t b = 0; b < s->blocks; b++)
        for (int k = 0; k < hooks; k++) {
            uint32_t want = stored[b * hooks + k], have = s->crc[b * hooks + k];
            c->out->blocks++;
            c->out->bytes +=
                (int64_t)((uint64_t)rows_of(s->f, b) * cache_row_bytes(&s->f->head, k));
            if (want && want == have)
                continue;
            int64_t row = s->f->head.row_begin + b * CACHE_BLOCK;
            tell(c, &(struct cache_fault){.file = file,
                        .hook = s->f->head.hook[k].name,
                        .block = b,
                        .row_begin = row,
                        .row_end = row + rows_of(s->f, b),
                        .what = !want  ? "is not written"
                                : have ? "is damaged"
                                       : "cannot be read"});
        }
}

/* sum: what the table says the checksums sum up to, NULL: no table. */
static int check_blocks(
    struct check *c, const struct cache_h5 *f, const char *path, const uint32_t *sum, struct err *e)
{
    int64_t hooks = f->head.info.hooks;
    struct sums s = {.f = f, .file = COLD_NONE, .blocks = cache_blocks(f->head.info.tokens)};
    int threads = pool_threads(c->pool);
    size_t cells = (size_t)(s.blocks * hooks);
    s.runs = (s.blocks + RUN - 1) / RUN;
    uint32_t *stored = malloc(cells * sizeof *stored);
    s.crc = malloc(cells * sizeof *s.crc);
    s.buf = calloc((size_t)threads, sizeof *s.buf);
    bool room = stored && s.crc && s.buf;
    for (int i = 0; i < threads && room; i++)
        room = (s.buf[i] = cold_buffer(PIECE)) != NULL;
    int rc = room ? 0 : err_set(e, ERR_LIMIT, "out of memory");
    if (!rc && cold_open(&s.file, path, e))
        rc = err_prefix(e, "%s", path);
    if (!rc)
        rc = cache_pread(stored, s.file.fd, cells * sizeof *stored, f->crc_at, e);
    /* A few runs at a time, so that an interruption is heard. */
    int64_t all = hooks * s.runs, step = 16;
    for (; s.base < all && !rc; s.base += step) {
        pool_for(c->pool, all - s.base < step ? all - s.base : step, sum_run, &s);
        rc = step_on(c, (double)(s.base + step) / (double)all, e);
    }
    if (!rc && sum && crc32c(0, stored, cells * sizeof *stored) != *sum)
        tell_file(c, path, "has other checksums than the table says");
    if (!rc)
        compare(c, &s, stored, path);
    cold_close(&s.file);
    for (int i = 0; i < threads && s.buf; i++)
        free(s.buf[i]);
    free(stored);
    free(s.crc);
    free(s.buf);
    return rc;
}

/* ---- what stands beside them: HDF5's own checksums ---- */

static int check_columns(struct check *c, const struct cache_h5 *f, const char *path, struct err *e)
{
    static const char *const names[] = {
        "tokens", "position", "text_begin", "text_end", "offsets", "window_offsets"};
    const struct cache_info *i = &f->head.info;
    const int64_t data[] = {
        f->column[0], f->column[1], f->column[2], f->column[3], f->offsets, f->window_offsets};
    const int64_t count[] = {
        i->tokens, i->tokens, i->tokens, i->tokens, i->documents + 1, i->windows + 1};
    int64_t *buf = malloc(65536 * sizeof *buf);
    struct err why;
    for (int k = 0; k < 6 && buf; k++)
        for (int64_t at = 0; at < count[k]; at += 65536) {
            int64_t n = count[k] - at < 65536 ? count[k] - at : 65536;
            if (cache_h5_read(buf, data[k], k < COL_BEGIN ? DT_I32 : DT_I64, at, n, &why)) {
                tell(c, &(struct cache_fault){
                            .file = path, .hook = names[k], .block = -1, .what = "is damaged"});
                break;
            }
        }
    bool has = buf;
    free(buf);
    return has ? 0 : err_set(e, ERR_LIMIT, "out of memory");
}

static int check_shard(
    struct check *c, const char *path, const struct cache_h5 *join, int64_t i, struct err *e)
{
    struct cache_h5 f;
    struct err why = {0};
    if (join && access(path, F_OK)) {
        char folder[sizeof join->head.folder + 4200];
        snprintf(folder, sizeof folder, "%.4095s", path);
        char *slash = strrchr(folder, '/');
        if (slash)
            *slash = '\0';
        tell_file(c, path,
            slash && access(folder, F_OK)
                ? "is missing with its folder, which the attribute \"folder\" of the cache names; "
                  "give the folder that name again, or join its shards anew (sonde cache join)"
                : "is missing");
        return 0;
    }
    if (cache_h5_open(&f, path, &why)) {
        /* The message begins with the path: "PATH: what" or "PATH is what". */
        const size_t n = strlen(path);
        const char *what = strncmp(why.msg, path, n) ? why.msg : why.msg + n;
        tell_file(c, path, what + strspn(what, ": "));
        return 0;
    }
    const struct cache_part *part = join ? &join->part[i] : NULL;
    const char *field = join ? cache_differs(&join->head, &f.head) : NULL;
    char what[128];
    int rc = 0;
    if (join && !field && strcmp(part->run_id, f.head.info.run_id) != 0)
        field = "run_id";
    snprintf(what, sizeof what, "belongs to another run: its %s differs", field ? field : "place");
    bool fits = !f.head.is_join;
    if (fits && join)
        fits = !field && f.head.shard == i && f.head.row_begin == part->row_begin &&
               f.head.info.tokens == part->row_end - part->row_begin;
    if (!fits)
        tell_file(c, path, what);
    else if (join && !cache_same_hooks(&join->head, &f.head))
        tell_file(c, path, "has hooks of another shape than the file that joins it");
    else if (!(rc = check_columns(c, &f, path, e)))
        rc = check_blocks(c, &f, path, part ? &part->crc : NULL, e);
    cache_h5_close(&f);
    return rc;
}

int cache_verify(struct cache_verified *out, const char *path, struct pool *pool,
    void (*fault)(void *arg, const struct cache_fault *f), progress_fn progress, void *arg,
    struct err *e)
{
    struct check c = {.out = out, .fault = fault, .progress = progress, .arg = arg, .pool = pool};
    struct cache_h5 f;
    *out = (struct cache_verified){0};
    int rc = cache_h5_open(&f, path, e);
    if (rc)
        return rc;
    c.shards = out->shards = f.head.info.shards;
    if (!f.head.is_join) {
        cache_h5_close(&f);
        return check_shard(&c, path, NULL, 0, e);
    }
    const char *slash = strrchr(path, '/');
    rc = check_columns(&c, &f, path, e);
    for (int64_t i = 0; i < f.head.shards && !rc; i++) {
        char name[4400];
        snprintf(name, sizeof name, "%.*s%s%s%s", slash ? (int)(slash - path) + 1 : 0, path,
            f.head.folder, *f.head.folder ? "/" : "", f.part[i].file);
        c.shard = i;
        rc = check_shard(&c, name, &f, i, e);
        if (!rc)
            rc = step_on(&c, 1, e);
    }
    cache_h5_close(&f);
    return rc;
}
