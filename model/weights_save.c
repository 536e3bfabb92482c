#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/core/json.h"
#include "model/weights.h"

static void put_tensor(struct js_out *w, const struct weights_out *o, uint64_t *at)
{
    uint64_t bytes = (uint64_t)dims_count(o->t.dim, o->t.rank) * dtype_bytes(o->t.dtype);
    js_out_key(w, o->name);
    js_out_begin(w, '{');
    js_out_key(w, "dtype");
    js_out_text(w, dtype_name(o->t.dtype));
    js_out_key(w, "shape");
    js_out_begin(w, '[');
    for (int i = 0; i < o->t.rank; i++)
        js_out_int(w, o->t.dim[i]);
    js_out_end(w, ']');
    js_out_key(w, "data_offsets");
    js_out_begin(w, '[');
    js_out_int(w, (int64_t)*at);
    js_out_int(w, (int64_t)(*at += bytes));
    js_out_end(w, ']');
    js_out_end(w, '}');
}

/* Length and JSON, padded with spaces so that the data behind it is aligned to 8 bytes. */
static int make_header(struct js_out *w, const struct weights_out *list, int n,
    const char *metadata, const char *path, struct err *e)
{
    uint64_t at = 0;
    js_out_begin(w, '{');
    if (metadata) {
        struct js *j;
        int rc = js_parse(&j, metadata, strlen(metadata), 0, path, e);
        if (rc)
            return rc;
        js_out_key(w, "__metadata__");
        js_out_begin(w, '{');
        for (void *it = js_first(j); it; it = js_next(j, it)) {
            js_out_key(w, js_key(it));
            js_out_text(w, js_string(js_value(it), NULL));
        }
        js_out_end(w, '}');
        js_release(&j);
    }
    for (int i = 0; i < n; i++)
        put_tensor(w, &list[i], &at);
    js_out_end(w, '}');
    return js_out_done(w, e);
}

static int put_bytes(int fd, const void *data, uint64_t n, const char *path, struct err *e)
{
    for (uint64_t done = 0; done < n;) {
        ssize_t k = write(fd, (const char *)data + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
        done += (uint64_t)k;
    }
    return 0;
}

static int put_all(int fd, const struct js_out *header, const struct weights_out *list, int n,
    const char *path, struct err *e)
{
    uint64_t len = (header->n + 7) & ~(uint64_t)7;
    unsigned char first[8];
    for (int i = 0; i < 8; i++)
        first[i] = (unsigned char)(len >> 8 * i);
    int rc = put_bytes(fd, first, sizeof first, path, e);
    if (!rc)
        rc = put_bytes(fd, header->data, header->n, path, e);
    if (!rc)
        rc = put_bytes(fd, "       ", len - header->n, path, e);
    for (int i = 0; !rc && i < n; i++) {
        const struct tensor *t = &list[i].t;
        rc = put_bytes(
            fd, t->data, (uint64_t)dims_count(t->dim, t->rank) * dtype_bytes(t->dtype), path, e);
    }
    if (!rc && fsync(fd))
        rc = err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    return rc;
}

/* The rename is durable only once the folder is. */
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

int weights_save(
    const char *path, const struct weights_out *list, int n, const char *metadata, struct err *e)
{
    char part[4096];
    struct js_out header = {0};
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return err_set(e, ERR_OUTPUT, "the path is too long");
    int rc = make_header(&header, list, n, metadata, path, e);
    int fd = -1;
    if (!rc && (fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        rc = err_set(e, ERR_OUTPUT, "%s: %s", part, strerror(errno));
    if (!rc)
        rc = put_all(fd, &header, list, n, part, e);
    if (fd >= 0 && close(fd) && !rc)
        rc = err_set(e, ERR_OUTPUT, "%s: %s", part, strerror(errno));
    if (!rc && rename(part, path))
        rc = err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    if (rc && fd >= 0)
        (void)unlink(part);
    if (!rc)
        sync_folder(path);
    js_out_release(&header);
    return rc;
}
