#include "model/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "model/core/hash.h"
#include "model/core/json.h"
#include "model/safetensors.h"

#define MAX_SHARDS 4096
#define MAX_INDEX ((off_t)256 << 20)

struct source {
    const char *path; /* or a name, when in memory */
    int fd;           /* -1: in memory */
    const unsigned char *data;
    uint64_t bytes;
    struct stat st;
};

struct weights {
    struct arena arena;
    struct source *source;
    int n_source;
    struct weight *list; /* in name order */
    int n;
};

/* Reads [at, at + n) and makes sure that the file is still the one that was opened: its header was
 * checked against this size, and half-old numbers would be believed. */
static int source_read(const struct source *s, uint64_t at, uint64_t n, void *out, struct err *e)
{
    if (s->fd < 0) {
        memcpy(out, s->data + at, n);
        return 0;
    }
    for (uint64_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, ERR_INPUT, "%s: %s", s->path, strerror(errno));
        if (got == 0)
            return err_set(e, ERR_INPUT, "%s became shorter while it was open", s->path);
        done += (uint64_t)got;
    }
    struct stat now;
    if (fstat(s->fd, &now))
        return err_set(e, ERR_INPUT, "%s: %s", s->path, strerror(errno));
    if (now.st_size != s->st.st_size || now.st_mtim.tv_sec != s->st.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != s->st.st_mtim.tv_nsec)
        return err_set(e, ERR_INPUT, "%s changed while it was open; start again", s->path);
    return 0;
}

static int source_open(struct source *s, const char *path, struct err *e)
{
    *s = (struct source){.path = path};
    /* O_NONBLOCK: a FIFO must not hang us. */
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0)
        return err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
    if (fstat(s->fd, &s->st))
        return err_set(e, ERR_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s->st.st_mode))
        return err_set(e, ERR_INPUT, "%s is not a regular file", path);
    s->bytes = (uint64_t)s->st.st_size;
    return 0;
}

/* The header of one source; its tensors are appended to nothing yet. */
static int source_header(
    struct weight **list, int *n, const struct source *s, struct arena *arena, struct err *e)
{
    unsigned char first[8];
    uint64_t len;
    if (s->bytes < sizeof first)
        return err_set(e, ERR_INPUT, "%s: truncated: %" PRIu64 " bytes are no safetensors file",
            s->path, s->bytes);
    int rc = source_read(s, 0, sizeof first, first, e);
    if (!rc)
        rc = safetensors_header_bytes(&len, first, s->bytes, s->path, e);
    if (rc)
        return rc;
    char *header = malloc(len);
    if (!header)
        return err_set(e, ERR_LIMIT, "out of memory");
    rc = source_read(s, 8, len, header, e);
    if (!rc)
        rc = safetensors_parse(list, n, header, len, s->bytes, s->path, arena, e);
    free(header);
    return rc;
}

static const char *short_name(const char *name)
{
    static const char prefix[] = "transformer.";
    return strncmp(name, prefix, sizeof prefix - 1) ? name : name + sizeof prefix - 1;
}

/* h.N.attn.bias and h.N.attn.masked_bias: the causal mask that old files carry. */
static bool is_mask(const char *name)
{
    if (strncmp(name, "h.", 2))
        return false;
    const char *p = name + 2 + strspn(name + 2, "0123456789");
    return p > name + 2 && (!strcmp(p, ".attn.bias") || !strcmp(p, ".attn.masked_bias"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct weight *)a)->name, ((const struct weight *)b)->name);
}

/* Drops masks and prefixes, sorts, and refuses names that meet once the prefix is gone. */
static int finish(struct weights *w, struct err *e)
{
    int kept = 0;
    for (int i = 0; i < w->n; i++) {
        struct weight t = w->list[i];
        t.name = short_name(t.name);
        if (!is_mask(t.name))
            w->list[kept++] = t;
    }
    w->n = kept;
    qsort(w->list, (size_t)kept, sizeof *w->list, by_name);
    for (int i = 1; i < kept; i++)
        if (!strcmp(w->list[i].name, w->list[i - 1].name))
            return err_set(e, ERR_INPUT, "%s: tensor '%s' is there twice",
                w->source[w->list[i].file].path, w->list[i].name);
    return 0;
}

static struct weights *create(int sources, struct err *e)
{
    struct weights *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_LIMIT, "out of memory");
        return NULL;
    }
    w->source = arena_array(&w->arena, (size_t)sources, sizeof *w->source, e);
    if (!w->source) {
        free(w);
        return NULL;
    }
    return w;
}

void weights_release(struct weights **w)
{
    if (!*w)
        return;
    for (int i = 0; i < (*w)->n_source; i++)
        if ((*w)->source[i].fd >= 0)
            close((*w)->source[i].fd);
    arena_release(&(*w)->arena);
    free(*w);
    *w = NULL;
}

static int open_one(struct weights *w, struct err *e)
{
    int rc = source_header(&w->list, &w->n, &w->source[0], &w->arena, e);
    return rc ? rc : finish(w, e);
}

int weights_open_file(struct weights **out, const char *path, struct err *e)
{
    *out = NULL;
    struct weights *w = create(1, e);
    if (!w)
        return ERR_LIMIT;
    char *copy = arena_strdup(&w->arena, path, e);
    int rc = copy ? source_open(&w->source[0], copy, e) : ERR_LIMIT;
    w->n_source = copy ? 1 : 0;
    if (!rc)
        rc = open_one(w, e);
    if (rc)
        weights_release(&w);
    *out = w;
    return rc;
}

int weights_open_memory(
    struct weights **out, const void *data, size_t n, const char *name, struct err *e)
{
    *out = NULL;
    struct weights *w = create(1, e);
    if (!w)
        return ERR_LIMIT;
    char *copy = arena_strdup(&w->arena, name, e);
    w->source[0] = (struct source){.path = copy, .fd = -1, .data = data, .bytes = n};
    w->n_source = 1;
    int rc = copy ? open_one(w, e) : ERR_LIMIT;
    if (rc)
        weights_release(&w);
    *out = w;
    return rc;
}

/* A shard is a plain name in the folder: an index must not lead elsewhere. */
static int shard_path(char **out, struct weights *w, const char *folder, const char *name,
    const char *tensor, const char *index, struct err *e)
{
    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return err_set(e, ERR_INPUT,
            "%s: tensor '%s' lies in '%s', which is no file of this folder", index, tensor, name);
    *out = arena_printf(&w->arena, e, "%s/%s", folder, name);
    return *out ? 0 : ERR_LIMIT;
}

/* Opens the shards that the index names, each once. shard_of[i]: that of the i-th entry. */
static int open_shards(int *shard_of, struct weights *w, const struct js *map, const char *folder,
    const char *index, struct err *e)
{
    int i = 0;
    for (void *it = js_first(map); it; it = js_next(map, it), i++) {
        size_t n;
        const char *name = js_string(js_value(it), &n);
        if (!name || strlen(name) != n)
            return err_set(e, ERR_INPUT, "%s: tensor '%s' has no file name", index, js_key(it));
        char *path = NULL;
        int rc = shard_path(&path, w, folder, name, js_key(it), index, e);
        if (rc)
            return rc;
        int s = 0;
        while (s < w->n_source && strcmp(w->source[s].path, path))
            s++;
        shard_of[i] = s;
        if (s < w->n_source)
            continue;
        if (s == MAX_SHARDS)
            return err_set(e, ERR_INPUT, "%s: more than %d shards", index, MAX_SHARDS);
        rc = source_open(&w->source[s], path, e);
        w->n_source++;
        if (rc) {
            err_prefix(e, "%s: tensor '%s'", index, js_key(it));
            return rc;
        }
    }
    return 0;
}

/* All headers, joined; each tensor must lie where the index says, and none may be left over. */
static int read_shards(
    struct weights *w, const int *shard_of, const struct js *map, const char *index, struct err *e)
{
    int total = 0;
    struct weight **part = arena_array(&w->arena, (size_t)w->n_source + 1, sizeof *part, e);
    int *count = arena_array(&w->arena, (size_t)w->n_source + 1, sizeof *count, e);
    if (!part || !count)
        return ERR_LIMIT;
    for (int s = 0; s < w->n_source; s++) {
        int rc = source_header(&part[s], &count[s], &w->source[s], &w->arena, e);
        if (rc)
            return rc;
        total += count[s];
    }
    w->list = arena_array(&w->arena, (size_t)total + 1, sizeof *w->list, e);
    if (!w->list)
        return ERR_LIMIT;
    for (int s = 0; s < w->n_source; s++)
        for (int i = 0; i < count[s]; i++) {
            w->list[w->n] = part[s][i];
            w->list[w->n++].file = s;
        }
    qsort(w->list, (size_t)w->n, sizeof *w->list, by_name);
    int i = 0;
    for (void *it = js_first(map); it; it = js_next(map, it), i++) {
        struct weight key = {.name = js_key(it)};
        const struct weight *t = bsearch(&key, w->list, (size_t)w->n, sizeof *w->list, by_name);
        if (!t)
            return err_set(e, ERR_INPUT, "%s: tensor '%s' is not in %s", index, key.name,
                w->source[shard_of[i]].path);
        if (t->file != shard_of[i])
            return err_set(e, ERR_INPUT, "%s: tensor '%s' is in %s, not in %s", index, key.name,
                w->source[t->file].path, w->source[shard_of[i]].path);
    }
    for (int k = 0; k < w->n; k++) {
        if (!js_get(map, w->list[k].name))
            return err_set(e, ERR_INPUT, "%s does not name tensor '%s' of %s", index,
                w->list[k].name, w->source[w->list[k].file].path);
        if (k && !strcmp(w->list[k].name, w->list[k - 1].name))
            return err_set(e, ERR_INPUT, "tensor '%s' is in %s and in %s", w->list[k].name,
                w->source[w->list[k - 1].file].path, w->source[w->list[k].file].path);
    }
    return finish(w, e);
}

static int open_index(struct weights *w, const char *folder, const char *path, const char *text,
    size_t n, struct err *e)
{
    struct js *j;
    int rc = js_parse(&j, text, n, 0, path, e);
    if (rc)
        return rc;
    const struct js *map = js_get(j, "weight_map");
    int *shard_of = arena_array(&w->arena, js_count(map) + 1, sizeof *shard_of, e);
    if (!shard_of)
        rc = ERR_LIMIT;
    else if (js_kind(map) != JS_OBJECT)
        rc = err_set(
            e, ERR_INPUT, "%s: weight_map is %s, not an object", path, js_kind_name(js_kind(map)));
    if (!rc)
        rc = open_shards(shard_of, w, map, folder, path, e);
    if (!rc)
        rc = read_shards(w, shard_of, map, path, e);
    js_release(&j);
    return rc;
}

static int weights_open_index(
    struct weights **out, const char *folder, const char *path, struct err *e)
{
    struct source s;
    char *text = NULL;
    struct weights *w = create(MAX_SHARDS, e);
    if (!w)
        return ERR_LIMIT;
    int rc = source_open(&s, path, e);
    if (!rc && s.st.st_size > MAX_INDEX)
        rc =
            err_set(e, ERR_INPUT, "%s: %" PRIu64 " bytes are too many for an index", path, s.bytes);
    if (!rc && !(text = malloc(s.bytes + 1)))
        rc = err_set(e, ERR_LIMIT, "out of memory");
    if (!rc)
        rc = source_read(&s, 0, s.bytes, text, e);
    if (!rc)
        rc = open_index(w, folder, path, text, s.bytes, e);
    free(text);
    if (s.fd >= 0)
        close(s.fd);
    if (rc)
        weights_release(&w);
    *out = w;
    return rc;
}

/* What the folder holds instead of safetensors, if we know it. */
static int no_weights(const char *folder, struct err *e)
{
    static const char *const foreign[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
        "tf_model.h5", "flax_model.msgpack", "model.ckpt.index"};
    char path[4096];
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, foreign[i]);
        if (!access(path, F_OK))
            return err_set(e, ERR_INPUT,
                "%s is not read (pickles can run code); convert it: python3 -c \"from transformers "
                "import GPT2LMHeadModel as M; M.from_pretrained('%s').save_pretrained('%s', "
                "safe_serialization=True)\"",
                path, folder, folder);
    }
    return err_set(
        e, ERR_INPUT, "%s has neither model.safetensors nor model.safetensors.index.json", folder);
}

int weights_open(struct weights **out, const char *folder, struct err *e)
{
    *out = NULL;
    char path[4096];
    if (strlen(folder) > sizeof path - 64)
        return err_set(e, ERR_USAGE, "the path is too long");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (!access(path, F_OK))
        return weights_open_file(out, path, e);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    if (!access(path, F_OK))
        return weights_open_index(out, folder, path, e);
    return no_weights(folder, e);
}

int weights_count(const struct weights *w)
{
    return w->n;
}

const struct weight *weights_at(const struct weights *w, int i)
{
    return &w->list[i];
}

const struct weight *weights_find(const struct weights *w, const char *name)
{
    struct weight key = {.name = name};
    return bsearch(&key, w->list, (size_t)w->n, sizeof *w->list, by_name);
}

uint64_t weights_bytes(const struct weights *w)
{
    uint64_t sum = 0;
    for (int i = 0; i < w->n; i++)
        sum += w->list[i].bytes;
    return sum;
}

const char *weights_path(const struct weights *w, const struct weight *t)
{
    return w->source[t->file].path;
}

int weights_read(const struct weights *w, const struct weight *t, uint64_t begin, uint64_t n,
    void *out, struct err *e)
{
    if (begin > t->bytes || n > t->bytes - begin)
        return err_set(e, ERR_USAGE,
            "tensor '%s' has %" PRIu64 " bytes, not %" PRIu64 " + %" PRIu64, t->name, t->bytes,
            begin, n);
    int rc = source_read(&w->source[t->file], t->offset + begin, n, out, e);
    if (rc)
        err_prefix(e, "tensor '%s'", t->name);
    return rc;
}

int weights_read_f32(const struct weights *w, const struct weight *t, int64_t begin, int64_t n,
    float *out, struct err *e)
{
    uint64_t size = dtype_bytes(t->dtype);
    if (t->dtype == DT_F32)
        return weights_read(w, t, (uint64_t)begin * size, (uint64_t)n * size, out, e);
    if (t->dtype != DT_F16 && t->dtype != DT_BF16)
        return err_set(e, ERR_INPUT, "%s: tensor '%s' is %s; weights are F32, F16 or BF16",
            weights_path(w, t), t->name, dtype_name(t->dtype));
    uint16_t piece[4096];
    for (int64_t at = 0; at < n;) {
        int64_t k = n - at < 4096 ? n - at : 4096;
        int rc = weights_read(w, t, (uint64_t)(begin + at) * size, (uint64_t)k * size, piece, e);
        if (rc)
            return rc;
        tensor_widen(out + at, piece, t->dtype, k);
        at += k;
    }
    return 0;
}

/* Those whose exponent is all ones. */
int64_t weights_nonfinite(int64_t *first, const void *values, int64_t n, enum dtype dtype)
{
    const uint32_t *wide = values;
    const uint16_t *half = values;
    const uint16_t mask = dtype == DT_F16 ? 0x7c00 : 0x7f80;
    const bool is_wide = dtype == DT_F32, is_half = dtype == DT_F16 || dtype == DT_BF16;
    int64_t bad = 0;
    for (int64_t i = 0; is_wide && i < n; i++)
        bad += (wide[i] & 0x7f800000) == 0x7f800000;
    for (int64_t i = 0; is_half && i < n; i++)
        bad += (half[i] & mask) == mask;
    for (int64_t i = 0; bad; i++)
        if (is_wide ? (wide[i] & 0x7f800000) == 0x7f800000 : (half[i] & mask) == mask) {
            *first = i;
            break;
        }
    return bad;
}

void weights_place(char *buf, size_t n, const struct weight *t, int64_t i)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    int64_t stride = dims_count(t->dim, t->rank);
    for (int k = 0; k < t->rank && at < n; k++) {
        stride /= t->dim[k];
        at += (size_t)snprintf(buf + at, n - at, "%s%lld", k ? ", " : "", (long long)(i / stride));
        i %= stride;
    }
    if (at < n)
        snprintf(buf + at, n - at, "]");
}

int weights_load_f32(float **out, const struct weights *w, const struct weight *t,
    struct arena *arena, struct err *e)
{
    int64_t n = dims_count(t->dim, t->rank);
    *out = arena_array(arena, (size_t)n, sizeof **out, e);
    return *out ? weights_read_f32(w, t, 0, n, *out, e) : ERR_LIMIT;
}

bool weights_key(char out[33], const struct weights *w)
{
    struct hash *h;
    if (hash_create(&h, NULL))
        return false;
    bool good = true;
    time_t now = time(NULL);
    for (int i = 0; i < w->n_source; i++) {
        const struct stat *st = &w->source[i].st;
        good = good && w->source[i].fd >= 0 && now - st->st_mtim.tv_sec > 2;
        hash_add_u64(h, (uint64_t)st->st_dev);
        hash_add_u64(h, (uint64_t)st->st_ino);
        hash_add_u64(h, (uint64_t)st->st_size);
        hash_add_u64(h, (uint64_t)st->st_mtim.tv_sec);
        hash_add_u64(h, (uint64_t)st->st_mtim.tv_nsec);
    }
    hash_hex(out, h);
    hash_release(&h);
    return good;
}
