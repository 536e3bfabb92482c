#include "model/core/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define BLOCK ((size_t)128 * 1024)
#define LINE_MAX_DEFAULT ((size_t)256 << 20)

enum coding { PLAIN, GZIP, ZSTD };

struct stream {
    int fd;
    enum coding coding;
    char *path;
    bool at_eof;       /* the file has no more bytes */
    bool inside;       /* compressed data: a member or frame has begun and not ended */
    unsigned char *in; /* [BLOCK] raw bytes */
    size_t in_pos, in_n;
    uint64_t consumed, size;
    z_stream z;
    bool z_open;
    ZSTD_DStream *zstd;
    char *out; /* [BLOCK] decoded bytes that stream_line has not given yet */
    size_t out_pos, out_n;
    char *line; /* a line that spans blocks */
    size_t line_cap;
    int64_t lines;
    bool torn;
};

static int fill(struct stream *s, struct err *e)
{
    if (s->in_pos < s->in_n || s->at_eof)
        return 0;
    ssize_t got;
    do
        got = read(s->fd, s->in, BLOCK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(e, ERR_INPUT, "%s: %s", s->path, strerror(errno));
    s->in_pos = 0;
    s->in_n = (size_t)got;
    s->consumed += (uint64_t)got;
    s->at_eof = got == 0;
    return 0;
}

static int open_coding(struct stream *s, struct err *e)
{
    static const unsigned char zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    /* A pipe may hand over its first bytes one at a time. */
    while (s->in_n < 4 && !s->at_eof) {
        ssize_t got;
        do
            got = read(s->fd, s->in + s->in_n, BLOCK - s->in_n);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return err_set(e, ERR_INPUT, "%s: %s", s->path, strerror(errno));
        s->at_eof = got == 0;
        s->in_n += (size_t)got;
    }
    s->consumed = s->in_n;
    if (s->in_n >= 2 && s->in[0] == 0x1f && s->in[1] == 0x8b) {
        s->coding = GZIP;
        /* 15 + 16: gzip headers, the largest window. */
        s->z_open = inflateInit2(&s->z, 15 + 16) == Z_OK;
        if (!s->z_open)
            return err_set(e, ERR_LIMIT, "%s: out of memory (gzip)", s->path);
    } else if (s->in_n >= 4 && !memcmp(s->in, zstd_magic, 4)) {
        s->coding = ZSTD;
        s->zstd = ZSTD_createDStream();
        if (!s->zstd)
            return err_set(e, ERR_LIMIT, "%s: out of memory (zstd)", s->path);
    }
    return 0;
}

static atomic_bool keys_taken; /* the process has one standard input */

void stream_keys(bool are_read)
{
    atomic_store(&keys_taken, are_read);
}

int stream_open(struct stream **out, const char *path, struct err *e)
{
    *out = NULL;
    if (!strcmp(path, "-") && atomic_load(&keys_taken))
        return err_set(
            e, ERR_USAGE, "standard input (-) is the keyboard of the workbench; name a file");
    struct stream *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        s->fd = -1;
        s->path = strdup(strcmp(path, "-") ? path : "standard input");
        s->in = malloc(BLOCK);
        s->out = malloc(BLOCK);
    }
    if (!s || !s->path || !s->in || !s->out) {
        stream_release(out);
        return err_set(e, ERR_LIMIT, "%s: out of memory", path);
    }
    s->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
    struct stat st;
    int rc = 0;
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        rc = err_set(e, ERR_INPUT, "%s: %s", s->path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = err_set(e, ERR_INPUT, "%s is a folder; name a file", s->path);
    else {
        s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        rc = open_coding(s, e);
    }
    if (rc < 0)
        stream_release(out);
    return rc;
}

void stream_release(struct stream **p)
{
    struct stream *s = *p;
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->z_open)
        inflateEnd(&s->z);
    ZSTD_freeDStream(s->zstd);
    free(s->path);
    free(s->in);
    free(s->out);
    free(s->line);
    free(s);
    *p = NULL;
}

static int64_t cut_off(struct stream *s, struct err *e)
{
    return err_set(
        e, ERR_INPUT, "%s: the compressed data ends too early; fetch the file again", s->path);
}

static int64_t damaged(struct stream *s, const char *why, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: damaged compressed data (%s) near byte %llu", s->path, why,
        (unsigned long long)(s->consumed - (s->in_n - s->in_pos)));
}

static int64_t read_plain(void *buf, struct stream *s, size_t n, struct err *e)
{
    int rc = fill(s, e);
    if (rc < 0)
        return rc;
    size_t have = s->in_n - s->in_pos;
    if (n > have)
        n = have;
    memcpy(buf, s->in + s->in_pos, n);
    s->in_pos += n;
    return (int64_t)n;
}

/* Members may follow one another, as `cat a.gz b.gz` makes them. */
static int64_t read_gzip(void *buf, struct stream *s, size_t n, struct err *e)
{
    size_t done = 0;
    while (done == 0) {
        int rc = fill(s, e);
        if (rc < 0)
            return rc;
        bool dry = s->in_pos == s->in_n;
        if (dry && !s->inside)
            return 0;
        if (!s->inside && inflateReset(&s->z) != Z_OK)
            return damaged(s, "gzip", e);
        s->inside = true;
        s->z.next_in = s->in + s->in_pos;
        s->z.avail_in = (uInt)(s->in_n - s->in_pos);
        s->z.next_out = buf;
        s->z.avail_out = (uInt)n;
        rc = inflate(&s->z, Z_NO_FLUSH);
        s->in_pos = s->in_n - s->z.avail_in;
        done = n - s->z.avail_out;
        if (rc == Z_STREAM_END)
            s->inside = false;
        else if (rc == Z_BUF_ERROR && dry)
            return cut_off(s, e);
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return damaged(s, s->z.msg ? s->z.msg : "gzip", e);
    }
    return (int64_t)done;
}

static int64_t read_zstd(void *buf, struct stream *s, size_t n, struct err *e)
{
    ZSTD_outBuffer out = {.dst = buf, .size = n};
    while (out.pos == 0) {
        int rc = fill(s, e);
        if (rc < 0)
            return rc;
        bool dry = s->in_pos == s->in_n;
        if (dry && !s->inside)
            return 0;
        ZSTD_inBuffer in = {.src = s->in, .size = s->in_n, .pos = s->in_pos};
        size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
        s->in_pos = in.pos;
        if (ZSTD_isError(left))
            return damaged(s, ZSTD_getErrorName(left), e);
        s->inside = left != 0;
        if (dry && s->inside && out.pos == 0)
            return cut_off(s, e);
    }
    return (int64_t)out.pos;
}

static int64_t decode(void *buf, struct stream *s, size_t n, struct err *e)
{
    static int64_t (*const readers[])(void *, struct stream *, size_t, struct err *) = {
        [PLAIN] = read_plain, [GZIP] = read_gzip, [ZSTD] = read_zstd};
    /* zlib counts in 32 bits. */
    return readers[s->coding](buf, s, n > BLOCK * 4096 ? BLOCK * 4096 : n, e);
}

int64_t stream_read(void *buf, struct stream *s, size_t n, struct err *e)
{
    size_t have = s->out_n - s->out_pos;
    if (!n)
        return 0;
    if (!have)
        return decode(buf, s, n, e);
    if (n > have)
        n = have;
    memcpy(buf, s->out + s->out_pos, n);
    s->out_pos += n;
    return (int64_t)n;
}

static int keep(struct stream *s, size_t have, size_t more, size_t max, struct err *e)
{
    if (more > max || have > max - more)
        return err_set(e, ERR_LIMIT, "%s: line %lld is longer than %zu %s", s->path,
            (long long)s->lines + 1, max >> 20 ? max >> 20 : max, max >> 20 ? "MB" : "bytes");
    if (have + more + 1 > s->line_cap) {
        size_t cap = (have + more + 1) * 2;
        char *line = realloc(s->line, cap);
        if (!line)
            return err_set(
                e, ERR_LIMIT, "%s: out of memory (line %lld)", s->path, (long long)s->lines + 1);
        s->line = line;
        s->line_cap = cap;
    }
    memcpy(s->line + have, s->out + s->out_pos, more);
    s->out_pos += more;
    return 0;
}

int stream_line(const char **line, size_t *n, struct stream *s, size_t max, struct err *e)
{
    size_t have = 0;
    bool any = false, whole = false;
    if (!max)
        max = LINE_MAX_DEFAULT;
    while (!whole) {
        if (s->out_pos == s->out_n) {
            int64_t got = decode(s->out, s, BLOCK, e);
            if (got < 0)
                return (int)got;
            if (!got)
                break;
            s->out_pos = 0;
            s->out_n = (size_t)got;
        }
        any = true;
        char *from = s->out + s->out_pos;
        char *nl = memchr(from, '\n', s->out_n - s->out_pos);
        size_t more = nl ? (size_t)(nl - from) : s->out_n - s->out_pos;
        int rc = keep(s, have, more, max, e);
        if (rc < 0)
            return rc;
        have += more;
        if (nl) {
            s->out_pos++;
            whole = true;
        }
    }
    if (!any)
        return 0;
    if (whole && have && s->line[have - 1] == '\r')
        have--;
    s->line[have] = '\0';
    *line = s->line;
    *n = have;
    s->lines++;
    s->torn = !whole;
    return 1;
}

bool stream_torn(const struct stream *s)
{
    return s->torn;
}

int64_t stream_lines(const struct stream *s)
{
    return s->lines;
}

uint64_t stream_in(const struct stream *s)
{
    return s->consumed - (s->in_n - s->in_pos);
}

uint64_t stream_size(const struct stream *s)
{
    return s->size;
}

static int too_large(const char *path, size_t limit, struct err *e)
{
    return err_set(e, ERR_LIMIT, "%s is larger than the limit of %.0f MB for such a file", path,
        (double)limit / 1e6);
}

int stream_all(
    char **out, size_t *n, const char *path, size_t limit, struct arena *a, struct err *e)
{
    struct stream *s = NULL;
    char *buf = NULL;
    size_t have = 0, cap = 0;
    *out = NULL;
    *n = 0;
    int rc = stream_open(&s, path, e);
    if (rc == 0 && s->coding == PLAIN && s->size > limit)
        rc = too_large(path, limit, e);
    while (rc == 0) {
        if (cap - have < BLOCK) {
            size_t want = cap ? cap * 2 : (s->coding == PLAIN ? (size_t)s->size : 0) + 2 * BLOCK;
            char *grown = realloc(buf, want);
            if (!grown) {
                rc = err_set(e, ERR_LIMIT, "%s: out of memory (%zu MB)", path, want >> 20);
                break;
            }
            buf = grown;
            cap = want;
        }
        int64_t got = stream_read(buf + have, s, cap - have, e);
        if (got <= 0) {
            rc = (int)got;
            break;
        }
        have += (size_t)got;
        if (have > limit)
            rc = too_large(path, limit, e);
    }
    if (rc == 0) {
        *out = arena_strndup(a, buf ? buf : "", have, e);
        *n = have;
        rc = *out ? 0 : ERR_LIMIT;
    }
    free(buf);
    stream_release(&s);
    return rc;
}
