#include "model/cache.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/cache_ahead.h"
#include "model/cache_beside.h"
#include "model/cache_file.h"
#include "model/cache_write.h"
#include "model/core/crc.h"
#include "model/core/h5.h"

/* Reading by slices: a shard is opened, checked and remembered when a row of it is asked for. */

#define OPEN_SHARDS 64            /* that one cache holds at most, two file descriptors each */
#define PIECE ((uint64_t)2 << 20) /* bytes of a read */
#define MUCH (2 << 20)            /* bytes that are worth a second thread */

/* Where the values of a shard lie; file.fd -1 while it is not open. */
struct store {
    struct cold_file file;
    int users;
    uint64_t last; /* when it was used, for who leaves first */
    uint64_t *at;  /* [hooks] */
};

struct cache {
    struct cache_h5 h5;
    char folder[4096];   /* of the shards */
    struct store *store; /* [shards] */
    int64_t n_stores, n_open;
    uint64_t clock;
    pthread_mutex_t lock;
    struct ahead *ahead;   /* a stream a hook */
    struct beside *beside; /* NULL until much is read */
};

bool cache_is(const char *path)
{
    H5_SCOPE;
    struct err e;
    struct arena a = {0};
    struct h5_value v = {0};
    int64_t file H5_AUTO = -1;
    bool is = h5_is_checked(path) && !h5_open(&file, path, &e) && h5_has(file, "schema") &&
              !h5_get(&v, file, "schema", &a, &e) && v.kind == H5_TEXT &&
              !strcmp(v.text, CACHE_SCHEMA);
    arena_release(&a);
    return is;
}

static const struct cache_part *part_of(const struct cache *c, int64_t shard)
{
    return &c->h5.part[shard];
}

/* "X.acts" beside the file that joins. */
static int find_folder(struct cache *c, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/'), *in = c->h5.head.folder;
    int n = slash ? (int)(slash - path) + 1 : 0;
    if (snprintf(c->folder, sizeof c->folder, "%.*s%s%s", n, path,
            *in ? in
            : n ? ""
                : ".",
            *in || !n ? "/" : "") >= (int)sizeof c->folder)
        return err_set(e, ERR_INPUT, "%s: the path is too long", path);
    return 0;
}

/* Blocks of a single shard that are not written yet: it is still being made. */
static int check_finished(const struct cache_h5 *f, int fd, uint32_t *sum, struct err *e)
{
    int64_t cells = cache_blocks(f->head.info.tokens) * f->head.info.hooks, missing = 0;
    uint32_t buf[4096];
    *sum = 0;
    for (int64_t i = 0; i < cells; i += 4096) {
        int64_t n = cells - i < 4096 ? cells - i : 4096;
        if (cache_pread(buf, fd, (size_t)n * 4, f->crc_at + (uint64_t)i * 4, e))
            return e->code;
        for (int64_t k = 0; k < n; k++)
            missing += !buf[k];
        *sum = crc32c(*sum, buf, (size_t)n * 4);
    }
    if (!missing)
        return 0;
    return err_set(e, ERR_INPUT,
        "it is not finished (%lld of %lld blocks are missing); sonde cache --resume goes on",
        (long long)missing, (long long)cells);
}

static int open_store(
    struct store *s, const char *path, const struct cache_h5 *f, uint32_t *sum, struct err *e)
{
    struct stat st;
    size_t bytes = (size_t)f->head.info.hooks * sizeof *s->at;
    if (cold_open(&s->file, path, e))
        return e->code;
    if (fstat(s->file.fd, &st))
        return err_set(e, ERR_INPUT, "%s", strerror(errno));
    /* The file that was checked, not one that took its place. */
    if ((uint64_t)st.st_size != f->size)
        return err_set(e, ERR_INPUT, "it changes while it is read");
    s->at = malloc(bytes);
    if (!s->at)
        return err_set(e, ERR_LIMIT, "out of memory");
    memcpy(s->at, f->at, bytes);
    return check_finished(f, s->file.fd, sum, e);
}

static void close_store(struct store *s)
{
    cold_close(&s->file);
    free(s->at);
    s->at = NULL;
}

/* A shard that the table names: of this run, of the promised rows, whole. */
static int check_shard(const struct cache *c, const struct cache_h5 *f, int64_t i, struct err *e)
{
    const struct cache_part *p = part_of(c, i);
    const char *field = cache_differs(&c->h5.head, &f->head);
    if (f->head.is_join)
        return err_set(e, ERR_INPUT, "it is no shard");
    if (field || strcmp(f->head.info.run_id, p->run_id) != 0)
        return err_set(
            e, ERR_INPUT, "it belongs to another run: its %s differs", field ? field : "run_id");
    if (f->head.shard != i || f->head.row_begin != p->row_begin ||
        f->head.info.tokens != p->row_end - p->row_begin ||
        !cache_same_hooks(&c->h5.head, &f->head))
        return err_set(e, ERR_INPUT, "it does not hold what the table promises");
    return 0;
}

static void make_room(struct cache *c)
{
    struct store *oldest = NULL;
    for (int64_t i = 0; i < c->n_stores; i++) {
        struct store *s = &c->store[i];
        if (s->file.fd >= 0 && !s->users && (!oldest || s->last < oldest->last))
            oldest = s;
    }
    if (c->n_open < OPEN_SHARDS || !oldest)
        return;
    ahead_forget(c->ahead, &oldest->file);
    close_store(oldest);
    c->n_open--;
}

static int open_shard(struct cache *c, int64_t i, struct err *e)
{
    char path[sizeof c->folder + 80];
    struct cache_h5 f;
    uint32_t sum = 0;
    struct store *s = &c->store[i];
    snprintf(path, sizeof path, "%s%s", c->folder, part_of(c, i)->file);
    make_room(c);
    if (*c->h5.head.folder && access(c->folder, F_OK))
        return err_set(e, ERR_INPUT,
            "%s: there is no such folder, and the attribute \"folder\" of %.200s names it; give "
            "the "
            "folder that name again, or join its shards anew (sonde cache join)",
            c->folder, c->h5.head.info.path ? c->h5.head.info.path : "the cache");
    if (access(path, F_OK))
        return err_set(e, ERR_INPUT, "%s: the shard is missing (rows %lld to %lld)", path,
            (long long)part_of(c, i)->row_begin, (long long)part_of(c, i)->row_end - 1);
    int rc = cache_h5_open(&f, path, e);
    if (rc)
        return rc;
    rc = check_shard(c, &f, i, e);
    if (!rc)
        rc = open_store(s, path, &f, &sum, e);
    if (!rc && sum != part_of(c, i)->crc)
        rc = err_set(e, ERR_INPUT, "its checksums are not those of the table");
    cache_h5_close(&f);
    if (rc) {
        close_store(s);
        return err_prefix(e, "%s", path), rc;
    }
    c->n_open++;
    return 0;
}

static int acquire(struct store **out, struct cache *c, int64_t shard, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    struct store *s = &c->store[shard];
    int rc = s->file.fd < 0 ? open_shard(c, shard, e) : 0;
    if (!rc) {
        s->users++;
        s->last = ++c->clock;
        *out = s;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static void give_back(struct cache *c, struct store *s)
{
    pthread_mutex_lock(&c->lock);
    s->users--;
    pthread_mutex_unlock(&c->lock);
}

int cache_open(struct cache **out, const char *path, struct err *e)
{
    struct cache *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return err_set(e, ERR_LIMIT, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    int rc = cache_h5_open(&c->h5, path, e);
    if (!rc) {
        c->n_stores = c->h5.head.is_join ? c->h5.head.shards : 1;
        c->store = calloc((size_t)c->n_stores, sizeof *c->store);
        rc = c->store ? find_folder(c, path, e) : err_set(e, ERR_LIMIT, "out of memory");
    }
    for (int64_t i = 0; c->store && i < c->n_stores; i++)
        c->store[i].file = COLD_NONE;
    if (!rc)
        rc = ahead_create(&c->ahead, c->h5.head.info.hooks, e);
    if (!rc && !c->h5.head.is_join) {
        uint32_t sum;
        rc = open_store(&c->store[0], path, &c->h5, &sum, e);
        if (rc)
            err_prefix(e, "%s", path);
    }
    if (rc)
        cache_release(&c);
    *out = c;
    return rc;
}

int cache_check(struct cache *c, struct err *e)
{
    int rc = 0;
    for (int64_t i = 0; i < c->n_stores && !rc; i++) {
        struct store *s;
        rc = acquire(&s, c, i, e);
        if (!rc)
            give_back(c, s);
    }
    return rc;
}

void cache_release(struct cache **p)
{
    struct cache *c = *p;
    if (!c)
        return;
    ahead_release(&c->ahead); /* it reads from what is closed next */
    for (int64_t i = 0; c->store && i < c->n_stores; i++)
        close_store(&c->store[i]);
    free(c->store);
    beside_release(&c->beside);
    cache_h5_close(&c->h5);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *p = NULL;
}

const struct cache_info *cache_about(const struct cache *c)
{
    return &c->h5.head.info;
}

const struct cache_hook *cache_hook_at(const struct cache *c, int i)
{
    return &c->h5.head.hook[i];
}

int cache_find(const struct cache *c, enum site s, int layer)
{
    for (int i = 0; i < c->h5.head.info.hooks; i++) {
        const struct cache_hook *h = &c->h5.head.hook[i];
        if (h->site == s && (h->layer == layer || !site_info(s)->per_layer))
            return i;
    }
    return -1;
}

/* ---- values ---- */

/* Which shard a row lies in, and its end. */
static int64_t shard_of(const struct cache *c, int64_t row)
{
    int64_t lo = 0, hi = c->n_stores - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (row < part_of(c, mid)->row_end)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* A box of one shard's values: n rows, of each the columns [col, col + n_cols). */
struct box {
    float *out;
    const struct cache *c;
    struct store *s;
    int hook;
    int64_t row, n, col, n_cols;
    /* Rows are read in pieces. Where not whole rows are wanted a gap smaller than a page is cheaper to
     * read than to jump over; beyond that each row is a piece. */
    bool span;
    int64_t piece;     /* rows */
    atomic_llong next; /* the first row that nobody has taken yet */
    pthread_mutex_t lock;
    struct err err; /* the first that failed; code 0: none */
};

/* Rows that lie in memory, `step` bytes apart. */
static void widen(const struct box *b, const void *data, size_t step, int64_t from, int64_t rows)
{
    enum dtype t = b->c->h5.head.info.dtype;
    float *out = b->out + from * b->n_cols;
    if (step == (size_t)b->n_cols * dtype_bytes(t))
        tensor_widen(out, data, t, rows * b->n_cols);
    else
        for (int64_t k = 0; k < rows; k++)
            tensor_widen(out + k * b->n_cols, (const char *)data + (size_t)k * step, t, b->n_cols);
}

static int read_piece(struct box *b, char *buf, int64_t from, int64_t rows, struct err *e)
{
    size_t value = dtype_bytes(b->c->h5.head.info.dtype), skip = (size_t)b->col * value;
    size_t row_bytes = (size_t)cache_row_bytes(&b->c->h5.head, b->hook);
    uint64_t at = b->s->at[b->hook] + (uint64_t)(b->row + from) * row_bytes + skip;
    size_t n = (size_t)(rows - 1) * row_bytes + (size_t)b->n_cols * value;
    int rc = cache_pread(buf, b->s->file.fd, n, at, e);
    if (!rc)
        widen(b, buf, row_bytes, from, rows);
    return rc;
}

/* Takes pieces until there are none. */
static void read_pieces(void *arg)
{
    struct box *b = arg;
    struct err e = {0};
    size_t row_bytes = b->span ? (size_t)cache_row_bytes(&b->c->h5.head, b->hook)
                               : (size_t)b->n_cols * dtype_bytes(b->c->h5.head.info.dtype);
    char *buf = malloc((size_t)b->piece * row_bytes);
    int rc =
        buf ? 0 : err_set(&e, ERR_LIMIT, "out of memory (%zu bytes)", (size_t)b->piece * row_bytes);
    while (!rc) {
        int64_t from = atomic_fetch_add(&b->next, b->piece), left = b->n - from;
        if (left <= 0)
            break;
        rc = read_piece(b, buf, from, left < b->piece ? left : b->piece, &e);
    }
    free(buf);
    if (!rc)
        return;
    atomic_store(&b->next, b->n);
    pthread_mutex_lock(&b->lock);
    if (!b->err.code)
        b->err = e;
    pthread_mutex_unlock(&b->lock);
}

/* Much that is in memory is copied by two threads, piece by piece in turn. */
static void read_much(struct box *b, struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->beside)
        c->beside = beside_create();
    pthread_mutex_unlock(&c->lock);
    bool both = beside_start(c->beside, read_pieces, b);
    read_pieces(b);
    if (both)
        beside_wait(c->beside);
}

/* A scan of what is on the disk: the next rows are on the way while these are widened, and while the
 * caller computes. What the box holds afterwards is left to read. */
static void read_ahead(struct box *b, struct cache *c, int64_t rows)
{
    uint64_t row = cache_row_bytes(&c->h5.head, b->hook), base = b->s->at[b->hook];
    size_t skip = (size_t)b->col * dtype_bytes(c->h5.head.info.dtype), n;
    struct ahead_part part = {.file = &b->s->file, .row = row, .end = base + (uint64_t)rows * row};
    const unsigned char *data;
    part.from = base + (uint64_t)b->row * row;
    part.to = part.from + (uint64_t)b->n * row;
    if (!ahead_begin(c->ahead, b->hook, &part))
        return;
    while (ahead_next(&data, &n, c->ahead, b->hook)) {
        int64_t some = (int64_t)(n / row);
        widen(b, data + skip, (size_t)row, 0, some);
        b->out += some * b->n_cols;
        b->row += some;
        b->n -= some;
    }
    ahead_end(c->ahead, b->hook);
}

/* rows: of the shard. */
static int read_part(struct box *b, struct cache *c, int64_t rows, struct err *e)
{
    uint64_t row_bytes = cache_row_bytes(&c->h5.head, b->hook);
    b->span = b->n_cols == c->h5.head.hook[b->hook].width || row_bytes <= 4096;
    if (b->span)
        read_ahead(b, c, rows);
    if (!b->n)
        return 0;
    /* A power of two of rows: such pieces begin and end with a page of the file. */
    b->piece = 1;
    while (b->span && b->piece < b->n && 2 * (uint64_t)b->piece * row_bytes <= PIECE)
        b->piece *= 2;
    pthread_mutex_init(&b->lock, NULL);
    if (b->span && b->n * (int64_t)row_bytes >= MUCH)
        read_much(b, c);
    else
        read_pieces(b);
    pthread_mutex_destroy(&b->lock);
    if (b->err.code)
        *e = b->err;
    return b->err.code;
}

static int check_box(const struct cache *c, int hook, int64_t row, int64_t n, int64_t col,
    int64_t n_cols, struct err *e)
{
    const struct cache_info *i = cache_about(c);
    if (hook < 0 || hook >= i->hooks || row < 0 || n < 0 || n > i->tokens - row || col < 0 ||
        n_cols < 0 || n_cols > c->h5.head.hook[hook].width - col)
        return err_set(e, ERR_USAGE, "%s has no such slice", i->path);
    return 0;
}

int cache_read(float *out, const struct cache *cache, int hook, int64_t row, int64_t n, int64_t col,
    int64_t n_cols, struct err *e)
{
    struct cache *c = (struct cache *)cache; /* the shards that are open change, nothing else */
    if (check_box(c, hook, row, n, col, n_cols, e))
        return e->code;
    while (n > 0 && n_cols > 0) {
        bool join = c->h5.head.is_join;
        int64_t shard = join ? shard_of(c, row) : 0,
                begin = join ? part_of(c, shard)->row_begin : 0;
        int64_t end = join ? part_of(c, shard)->row_end : c->h5.head.info.tokens;
        int64_t some = end - row < n ? end - row : n;
        struct store *s;
        int rc = acquire(&s, c, shard, e);
        if (rc)
            return rc;
        struct box box = {.out = out, .c = c, .s = s, .hook = hook, .row = row - begin, .n = some};
        box.col = col;
        box.n_cols = n_cols;
        rc = read_part(&box, c, end - begin, e);
        give_back(c, s);
        if (rc)
            return err_prefix(e, "%s", join ? part_of(c, shard)->file : c->h5.head.info.path), rc;
        out += some * n_cols;
        row += some;
        n -= some;
    }
    return 0;
}

/* ---- what stands beside them ---- */

int cache_rows(int32_t *token, int32_t *position, int64_t *begin, int64_t *end,
    const struct cache *c, int64_t row, int64_t n, struct err *e)
{
    void *const out[COL_COUNT] = {token, position, begin, end};
    int rc = 0;
    if (row < 0 || n < 0 || n > c->h5.head.info.tokens - row)
        return err_set(e, ERR_USAGE, "%s has no such rows", c->h5.head.info.path);
    for (int k = 0; k < COL_COUNT && !rc; k++)
        if (out[k])
            rc = cache_h5_read(out[k], c->h5.column[k], k < COL_BEGIN ? DT_I32 : DT_I64, row, n, e);
    return rc ? err_prefix(e, "%s", c->h5.head.info.path), rc : 0;
}

/* Neighbours in a list of boundaries, which a damaged file may have in any order. */
static int between(int64_t *begin, int64_t *end, const struct cache *c, int64_t data, int64_t n,
    int64_t i, const char *what, struct err *e)
{
    int64_t at[2];
    if (i < 0 || i >= n)
        return err_set(e, ERR_USAGE, "%s has no %s %lld; it has %lld", c->h5.head.info.path, what,
            (long long)i, (long long)n);
    int rc = cache_h5_read(at, data, DT_I64, i, 2, e);
    if (!rc && (at[0] < 0 || at[1] < at[0] || at[1] > c->h5.head.info.tokens))
        rc = err_set(
            e, ERR_INPUT, "%s: %s %lld is out of order", c->h5.head.info.path, what, (long long)i);
    *begin = rc ? 0 : at[0];
    *end = rc ? 0 : at[1];
    return rc;
}

int cache_window(int64_t *begin, int64_t *end, const struct cache *c, int64_t i, struct err *e)
{
    return between(begin, end, c, c->h5.window_offsets, c->h5.head.info.windows, i, "window", e);
}

int cache_document(int64_t *begin, int64_t *end, const struct cache *c, int64_t i, struct err *e)
{
    return between(begin, end, c, c->h5.offsets, c->h5.head.info.documents, i, "document", e);
}

/* The last boundary at or before a row whose successor is behind it. */
static int find(
    int64_t *out, const struct cache *c, int64_t data, int64_t n, int64_t row, struct err *e)
{
    int64_t lo = 0, hi = n; /* boundary lo <= row < boundary hi */
    if (row < 0 || row >= c->h5.head.info.tokens)
        return err_set(e, ERR_USAGE, "%s has no row %lld", c->h5.head.info.path, (long long)row);
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2, at;
        int rc = cache_h5_read(&at, data, DT_I64, mid, 1, e);
        if (rc)
            return rc;
        if (at <= row)
            lo = mid;
        else
            hi = mid;
    }
    *out = lo;
    return 0;
}

int cache_window_of(int64_t *out, const struct cache *c, int64_t row, struct err *e)
{
    return find(out, c, c->h5.window_offsets, c->h5.head.info.windows, row, e);
}

int cache_document_of(int64_t *out, const struct cache *c, int64_t row, struct err *e)
{
    return find(out, c, c->h5.offsets, c->h5.head.info.documents, row, e);
}

int cache_text(const char **out, size_t *n, const struct cache *c, int64_t document,
    struct arena *a, struct err *e)
{
    const struct cache_head *h = &c->h5.head;
    int64_t at = document - (h->is_join ? 0 : h->text_begin - h->document_begin);
    *out = NULL;
    *n = 0;
    if (document < 0 || document >= h->info.documents)
        return err_set(e, ERR_USAGE, "%s has no document %lld; it has %lld", h->info.path,
            (long long)document, (long long)h->info.documents);
    if (at < 0)
        return 0; /* it begins in the shard before this one */
    const char *text;
    int rc = h5_texts(&text, c->h5.text, at, 1, CACHE_TEXT_MAX + 1, a, e);
    if (rc)
        return err_prefix(e, "%s", h->info.path), rc;
    *n = strlen(text);
    *out = *n ? text : NULL;
    return 0;
}

/* ---- as a field ---- */

struct view {
    const struct cache *cache;
    int hook;
};

static double reduced(double so_far, double v, enum field_reduce how)
{
    switch (how) {
    case FIELD_MEAN:
        return so_far + v;
    case FIELD_NORM:
        return so_far + v * v;
    case FIELD_MIN:
        return fmin(so_far, v);
    case FIELD_MAX:
        return fmax(so_far, v);
    case FIELD_ABSMAX:
        return fabs(v) > fabs(so_far) || isnan(so_far) ? v : so_far;
    default:
        return v;
    }
}

/* Columns of one row, brought together: a cell stands for the values its stride steps over. NaN says
 * that there is no value and is left out, unless there is no other. */
struct gather {
    double *sum;
    int64_t *count;
};

static void add_row(struct gather *g, const float *row, const struct field *f,
    const struct window *w, enum field_reduce how)
{
    int64_t inner = f->rank > 2 ? f->axes[2].size : 1, cell = 0;
    int64_t n1 = f->rank > 1 ? w->count[1] : 1, n2 = f->rank > 2 ? w->count[2] : 1;
    bool point = how == FIELD_POINT;
    for (int64_t i = 0; i < n1; i++)
        for (int64_t j = 0; j < n2; j++, cell++) {
            int64_t a = w->start[1] + i * w->stride[1],
                    b = f->rank > 2 ? w->start[2] + j * w->stride[2] : 0;
            int64_t a_end = point ? a + 1 : a + w->stride[1],
                    b_end = point || f->rank < 3 ? b + 1 : b + w->stride[2];
            a_end = a_end < f->axes[1].size ? a_end : f->axes[1].size;
            b_end = b_end < inner ? b_end : inner;
            for (int64_t x = a; x < a_end; x++)
                for (int64_t y = b; y < b_end; y++) {
                    double v = (double)row[x * inner + y];
                    if (isnan(v))
                        continue;
                    g->sum[cell] =
                        g->count[cell]
                            ? reduced(g->sum[cell], v, how)
                            : reduced(how == FIELD_MEAN || how == FIELD_NORM ? 0 : v, v, how);
                    g->count[cell]++;
                }
        }
}

static int check_window(const struct field *f, const struct window *w, struct err *e)
{
    for (int i = 0; i < f->rank; i++)
        if (w->start[i] < 0 || w->count[i] < 0 || w->stride[i] < 1 ||
            (w->count[i] && w->start[i] + (w->count[i] - 1) * w->stride[i] >= f->axes[i].size))
            return err_set(e, ERR_USAGE, "%s: a window outside of it", f->name);
    return 0;
}

static int fetch(const struct field *f, double *out, const struct window *w, enum field_reduce how,
    struct err *e)
{
    const struct view *v = f->source_data;
    int64_t width = cache_hook_at(v->cache, v->hook)->width;
    int64_t cells = window_count(w, f->rank), rows = w->count[0];
    if (check_window(f, w, e))
        return e->code;
    if (cells <= 0)
        return 0;
    int64_t per_row = cells / rows;
    float *row = malloc((size_t)width * sizeof *row);
    struct gather g = {out, calloc((size_t)per_row, sizeof *g.count)};
    int rc = row && g.count ? 0 : err_set(e, ERR_LIMIT, "out of memory (a row of %s)", f->name);
    for (int64_t r = 0; r < rows && !rc; r++, g.sum += per_row) {
        int64_t from = w->start[0] + r * w->stride[0];
        int64_t to = how == FIELD_POINT ? from + 1 : from + w->stride[0];
        memset(g.count, 0, (size_t)per_row * sizeof *g.count);
        for (int64_t t = from; t < to && t < f->axes[0].size && !rc; t++) {
            rc = cache_read(row, v->cache, v->hook, t, 1, 0, width, e);
            if (!rc)
                add_row(&g, row, f, w, how);
        }
        for (int64_t i = 0; i < per_row && !rc; i++)
            g.sum[i] = !g.count[i]         ? NAN
                       : how == FIELD_MEAN ? g.sum[i] / (double)g.count[i]
                       : how == FIELD_NORM ? sqrt(g.sum[i])
                                           : g.sum[i];
    }
    free(row);
    free(g.count);
    return rc;
}

int cache_field(
    struct field *out, const struct cache *c, int hook, struct arena *arena, struct err *e)
{
    const struct cache_hook *h = cache_hook_at(c, hook);
    struct view *v = arena_alloc(arena, sizeof *v, e);
    if (!v)
        return ERR_LIMIT;
    *v = (struct view){c, hook};
    *out = (struct field){.name = h->name,
        .unit = h->site == SITE_PATTERN ? "probability" : "activation",
        .long_name = h->name,
        .dtype = cache_about(c)->dtype,
        .look = LOOK_HEATMAP,
        .is_signed = h->site != SITE_PATTERN,
        .rank = h->rank,
        .fetch = fetch,
        .source_data = v};
    memcpy(out->axes, h->axes, sizeof h->axes);
    return 0;
}
