#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/cache_make.h"
#include "model/cache_write.h"
#include "model/core/crc.h"
#include "model/core/outfile.h"

struct join {
    const char *const *files; /* [n], as given */
    int64_t n, *order;        /* [n]: which file is shard i */
    struct cache_part *part;
    struct cache_head head;
    struct arena arena;
};

static int real_folder(char out[PATH_MAX], const char *file, struct err *e)
{
    char copy[PATH_MAX];
    if ((size_t)snprintf(copy, sizeof copy, "%s", file) >= sizeof copy ||
        !realpath(dirname(copy), out))
        return err_set(e, ERR_INPUT, "%s: %s", file, strerror(errno));
    return 0;
}

/* Where the shards lie, seen from the file that joins them: HDF5 follows names from there. */
static int find_folder(struct join *j, const char *path, struct err *e)
{
    char out[PATH_MAX], in[PATH_MAX], up[PATH_MAX];
    if (real_folder(out, path, e))
        return e->code;
    for (int64_t i = 0; i < j->n; i++) {
        char name[256] = "";
        if (real_folder(in, j->files[i], e))
            return e->code;
        if (strcmp(in, out) != 0) {
            memcpy(up, in, sizeof up);
            char *last = strrchr(in, '/');
            if (strcmp(dirname(up), out) != 0 || !last || strlen(last + 1) >= sizeof name)
                return err_set(e, ERR_INPUT,
                    "%s: shards lie beside %s or in one folder below it; move them", j->files[i],
                    path);
            snprintf(name, sizeof name, "%s", last + 1);
        }
        if (i && strcmp(name, j->head.folder) != 0)
            return err_set(e, ERR_INPUT, "%s: not in the folder of the other shards", j->files[i]);
        snprintf(j->head.folder, sizeof j->head.folder, "%s", name);
    }
    return 0;
}

/* The checksums of a shard, all of them written; their own checksum goes into the table. */
static int sum_blocks(uint32_t *out, const struct cache_h5 *f, const char *path, struct err *e)
{
    int64_t cells = cache_blocks(f->head.info.tokens) * f->head.info.hooks, missing = 0;
    uint32_t buf[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno)) : 0;
    *out = 0;
    for (int64_t i = 0; i < cells && !rc; i += 4096) {
        int64_t n = cells - i < 4096 ? cells - i : 4096;
        rc = cache_pread(buf, fd, (size_t)n * 4, f->crc_at + (uint64_t)i * 4, e);
        for (int64_t k = 0; k < n && !rc; k++)
            missing += !buf[k];
        *out = crc32c(*out, buf, (size_t)n * 4);
    }
    if (fd >= 0)
        close(fd);
    if (!rc && missing)
        rc = err_set(e, ERR_INPUT,
            "%s is not finished: %lld of %lld blocks are missing; go on with "
            "sonde cache --resume",
            path, (long long)missing, (long long)cells);
    return rc;
}

static int keep_head(struct join *j, const struct cache_head *h, struct err *e)
{
    struct cache_info *i = &j->head.info;
    const char **const words[] = {
        &i->model_name, &i->kernel_set, &i->weights, &i->filter, &i->command, &i->tool_version};
    j->head = *h;
    j->head.hook = arena_array(&j->arena, (size_t)i->hooks, sizeof *h->hook, e);
    if (!j->head.hook)
        return ERR_LIMIT;
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (!(*words[k] = arena_strdup(&j->arena, *words[k], e)))
            return ERR_LIMIT;
    for (int k = 0; k < i->hooks; k++) {
        j->head.hook[k] = h->hook[k];
        if (!(j->head.hook[k].name = arena_strdup(&j->arena, h->hook[k].name, e)))
            return ERR_LIMIT;
    }
    j->head.is_join = true;
    return 0;
}

static int look_at(struct join *j, int64_t at, struct err *e)
{
    struct cache_h5 f;
    const char *path = j->files[at], *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int rc = cache_h5_open(&f, path, e);
    if (rc)
        return rc;
    struct cache_head *h = &f.head;
    const char *field = at ? cache_differs(&j->head, h) : NULL;
    int64_t i = h->shard;
    if (h->is_join)
        rc = err_set(e, ERR_INPUT, "%s joins shards itself; name the shards", path);
    else if (field || (at && !cache_same_hooks(&j->head, h)))
        rc = err_set(e, ERR_INPUT, "%s is of another run than %s: its %s differs", path,
            j->files[0], field ? field : "hooks");
    else if (h->shards != j->n)
        rc = err_set(e, ERR_INPUT, "%s is one of %lld shards, and %lld are given", path,
            (long long)h->shards, (long long)j->n);
    else if (j->order[i] >= 0)
        rc = err_set(e, ERR_INPUT, "%s and %s are the same shard", path, j->files[j->order[i]]);
    else if (strlen(name) >= sizeof j->part->file)
        rc = err_set(e, ERR_INPUT, "%s: a name of at most 63 bytes is needed", path);
    if (!rc && !at)
        rc = keep_head(j, h, e);
    if (!rc) {
        struct cache_part *p = &j->part[i];
        j->order[i] = at;
        snprintf(p->file, sizeof p->file, "%s", name);
        memcpy(p->run_id, h->info.run_id, sizeof p->run_id);
        p->row_begin = h->row_begin;
        p->row_end = h->row_begin + h->info.tokens;
        rc = sum_blocks(&p->crc, &f, path, e);
        if (i == j->n - 1) {
            j->head.info.documents = h->document_begin + h->info.documents;
            j->head.info.windows = h->window_begin + h->info.windows;
            j->head.info.tokens = p->row_end;
        }
    }
    cache_h5_close(&f);
    return rc;
}

static int open_shard(struct cache_h5 *out, void *arg, int64_t i, struct err *e)
{
    struct join *j = arg;
    return cache_h5_open(out, j->files[j->order[i]], e);
}

static int gather(struct join *j, const char *path, struct err *e)
{
    j->order = arena_array(&j->arena, (size_t)j->n, sizeof *j->order, e);
    j->part = arena_zalloc(&j->arena, (size_t)j->n * sizeof *j->part, e);
    if (!j->order || !j->part)
        return ERR_LIMIT;
    for (int64_t i = 0; i < j->n; i++)
        j->order[i] = -1;
    for (int64_t i = 0; i < j->n; i++)
        if (look_at(j, i, e))
            return e->code;
    for (int64_t i = 0; i < j->n; i++)
        if (j->part[i].row_begin != (i ? j->part[i - 1].row_end : 0))
            return err_set(
                e, ERR_INPUT, "%s does not follow the shard before it", j->files[j->order[i]]);
    j->head.row_begin = 0;
    j->head.info.shards = (int)j->n;
    return find_folder(j, path, e);
}

int cache_join(const char *path, const char *const *files, int64_t n, struct err *e)
{
    struct join j = {.files = files, .n = n};
    struct outfile o;
    if (n < 1)
        return err_set(e, ERR_USAGE, "no shards to join");
    int rc = gather(&j, path, e);
    if (!rc)
        rc = outfile_open(&o, path, e);
    if (!rc) {
        rc = o.part ? cache_h5_join(o.part, &j.head, j.part, open_shard, &j, e)
                    : err_set(e, ERR_OUTPUT, "%s is no regular file", path);
        if (rc)
            outfile_discard(&o);
        else
            rc = outfile_commit(&o, e);
    }
    arena_release(&j.arena);
    return rc;
}
