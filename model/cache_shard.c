#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/cache_write.h"
#include "model/core/crc.h"

#define CHECK_LAST 32 /* blocks whose checksums are believed only after a look */

void cache_shard_name(char *out, size_t n, const char *folder, int64_t i, const char *suffix)
{
    snprintf(out, n, "%s/shard_%05lld.h5%s", folder, (long long)i, suffix);
}

void cache_sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

int cache_pread(void *out, int fd, size_t n, uint64_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, ERR_INPUT, "%s", got ? strerror(errno) : "the file was cut");
        done += (size_t)got;
    }
    return 0;
}

int cache_pwrite(int fd, const void *data, size_t n, uint64_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pwrite(fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, ERR_OUTPUT, "%s", strerror(got ? errno : EIO));
        done += (size_t)got;
    }
    return 0;
}

/* Who holds the file writes it; the lock goes with the process. */
static int lock_file(int fd, const char *path, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES))
        return err_set(e, ERR_OUTPUT, "%s is being written by another process", path);
    return 0;
}

/* All its bytes are taken now: a disk that is too small is found out before any work. */
static int take_space(const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(why));
    }
    int rc = 0, failed;
    do
        failed = fallocate(fd, 0, 0, st.st_size) ? errno : 0;
    while (failed == EINTR);
    /* Some file systems cannot; there the check of free space has to do. */
    if (failed && failed != EOPNOTSUPP && failed != ENOSYS)
        rc = err_set(e, ERR_OUTPUT, "%s: no room for %.4g MB (%s)", path, (double)st.st_size / 1e6,
            strerror(failed));
    if (!rc && fsync(fd))
        rc = err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    close(fd);
    return rc;
}

static int create(struct cache_shard *s, const struct spool *spool, const struct spool_shard *where,
    struct err *e)
{
    char tmp[4400];
    cache_shard_name(tmp, sizeof tmp, s->folder, s->head->shard, ".tmp");
    unlink(tmp);
    int rc = cache_h5_shard(tmp, s->head, spool, where, e);
    if (rc && !strstr(e->msg, tmp))
        err_prefix(e, "%s", tmp);
    if (!rc)
        rc = take_space(tmp, e);
    if (!rc && rename(tmp, s->part))
        rc = err_set(e, ERR_OUTPUT, "%s: %s", s->part, strerror(errno));
    if (rc)
        unlink(tmp);
    else
        cache_sync_folder(s->folder);
    return rc;
}

static int differs(
    const char *path, const struct cache_head *a, const struct cache_head *b, struct err *e)
{
    const char *field = cache_differs(a, b);
    if (!field && a->shard == b->shard && a->shards == b->shards && a->row_begin == b->row_begin &&
        a->info.tokens == b->info.tokens)
        return 0;
    return err_set(e, ERR_OUTPUT,
        "%s belongs to another cache: its %s differs; give another name with -o, or --overwrite",
        path, field ? field : "place");
}

/* Rows of a block, and whether the bytes on disk are those that were summed. */
static bool block_holds(struct cache_shard *s, int64_t b, void *buf, size_t room)
{
    const struct cache_head *h = s->head;
    int64_t from = b * CACHE_BLOCK;
    int64_t n = s->rows - from < CACHE_BLOCK ? s->rows - from : CACHE_BLOCK;
    for (int k = 0; k < h->info.hooks; k++) {
        uint64_t row = cache_row_bytes(h, k), at = s->at[k] + (uint64_t)from * row;
        uint64_t left = (uint64_t)n * row;
        uint32_t crc = 0;
        while (left) {
            size_t some = left < room ? (size_t)left : room;
            struct err e;
            if (cache_pread(buf, s->fd, some, at, &e))
                return false;
            crc = crc32c(crc, buf, some);
            at += some;
            left -= some;
        }
        if (cache_crc(crc) != s->crc[b * h->info.hooks + k])
            return false;
    }
    return true;
}

/* Leading blocks whose checksums are all there; the last of them are looked at. */
static int find_done(struct cache_shard *s, struct err *e)
{
    int hooks = s->head->info.hooks;
    size_t room = (size_t)4 << 20;
    int64_t n = 0;
    void *buf = malloc(room);
    if (!buf)
        return err_set(e, ERR_LIMIT, "out of memory");
    for (bool all = true; n < s->blocks; n++) {
        for (int k = 0; k < hooks && all; k++)
            all = s->crc[n * hooks + k] != 0;
        if (!all)
            break;
    }
    int64_t good = n > CHECK_LAST ? n - CHECK_LAST : 0;
    while (good < n && block_holds(s, good, buf, room))
        good++;
    free(buf);
    s->done = good == s->blocks ? s->rows : good * CACHE_BLOCK;
    return 0;
}

/* Opens what create() or an earlier run has left. */
static int take_up(struct cache_shard *s, const struct cache_head *h, struct err *e)
{
    struct cache_h5 f;
    s->fd = open(s->part, O_RDWR | O_CLOEXEC);
    if (s->fd < 0)
        return err_set(e, ERR_OUTPUT, "%s: %s", s->part, strerror(errno));
    s->direct = open(s->part, O_WRONLY | O_DIRECT | O_CLOEXEC);
    int rc = lock_file(s->fd, s->part, e);
    if (rc || (rc = cache_h5_open(&f, s->part, e)))
        return rc;
    rc = differs(s->part, &f.head, h, e);
    size_t hooks = (size_t)h->info.hooks, cells = hooks * (size_t)s->blocks;
    if (!rc) {
        s->at = malloc(hooks * sizeof *s->at);
        s->crc = malloc(cells * sizeof *s->crc);
        s->crc_at = f.crc_at;
        rc = s->at && s->crc ? 0 : err_set(e, ERR_LIMIT, "out of memory");
    }
    if (!rc) {
        memcpy(s->at, f.at, hooks * sizeof *s->at);
        rc = cache_pread(s->crc, s->fd, cells * sizeof *s->crc, s->crc_at, e);
    }
    cache_h5_close(&f);
    return rc ? rc : find_done(s, e);
}

int cache_shard_open(struct cache_shard *s, bool *whole, const struct cache_head *h,
    const char *folder, const struct spool *spool, const struct spool_shard *where, struct err *e)
{
    char name[4400];
    struct cache_h5 f;
    *s = (struct cache_shard){
        .fd = -1, .direct = -1, .folder = folder, .head = h, .rows = h->info.tokens};
    s->blocks = cache_blocks(s->rows);
    cache_shard_name(name, sizeof name, folder, h->shard, "");
    s->path = strdup(name);
    cache_shard_name(name, sizeof name, folder, h->shard, ".part");
    s->part = strdup(name);
    if (!s->path || !s->part) {
        cache_shard_close(s);
        return err_set(e, ERR_LIMIT, "out of memory");
    }
    int rc = 0;
    *whole = !access(s->path, F_OK);
    if (*whole) {
        rc = cache_h5_open(&f, s->path, e);
        if (!rc) {
            rc = differs(s->path, &f.head, h, e);
            cache_h5_close(&f);
        }
    } else {
        if (access(s->part, F_OK))
            rc = create(s, spool, where, e);
        if (!rc)
            rc = take_up(s, h, e);
    }
    if (rc || *whole)
        cache_shard_close(s);
    return rc;
}

void cache_shard_close(struct cache_shard *s)
{
    if (s->fd >= 0)
        close(s->fd);
    if (s->direct >= 0)
        close(s->direct);
    free(s->part);
    free(s->path);
    free(s->at);
    free(s->crc);
    *s = (struct cache_shard){.fd = -1, .direct = -1};
}

int cache_shard_finish(struct cache_shard *s, struct err *e)
{
    if (fsync(s->fd) || rename(s->part, s->path))
        return err_set(e, ERR_OUTPUT, "%s: %s", s->path, strerror(errno));
    cache_sync_folder(s->folder);
    return 0;
}
