#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_source.h"
#include "model/cache.h"
#include "model/core/machine.h"

/* Caches of activations: the file's own tree, with values read as caches are (a shard that is missing
 * or of another run is an error, where HDF5 would give fill values) and rows named by their texts. */

#define ROOM ((int64_t)1 << 18)  /* values read at once */
#define WHOLE ((int64_t)1 << 22) /* of whole rows on their way from a disk */
#define SLOW 12e-6               /* seconds a row from which on one waits for a disk */

struct cache_tree {
    struct tree base;
    struct tree *file;
    struct cache *cache;
    int *hook; /* of each node; -1: none */
    int cap_hooks;
    float *values;
    int64_t room;
    int slow; /* the hook whose columns come slower than its rows would; -1: none */
};

static int find_hook(const struct cache_tree *t, const struct node *n)
{
    if (n->kind != NODE_NUMBERS || strncmp(n->path, "acts/", 5) != 0)
        return -1;
    for (int i = 0; i < cache_about(t->cache)->hooks; i++) {
        const struct cache_hook *h = cache_hook_at(t->cache, i);
        if (!strcmp(h->name, n->path + 5) && h->rank == n->rank)
            return i;
    }
    return -1;
}

/* Nodes are the file's, with the axes that the cache knows of them. */
static int adopt(struct cache_tree *t, struct err *e)
{
    int rc = 0;
    for (int i = t->base.n; i < tree_count(t->file) && !rc; i++) {
        struct node n = *tree_at(t->file, i);
        int hook = find_hook(t, &n);
        if (i == t->cap_hooks) {
            int cap = t->cap_hooks ? t->cap_hooks * 2 : 64;
            int *more = realloc(t->hook, (size_t)cap * sizeof *more);
            if (!more)
                return err_set(e, ERR_LIMIT, "out of memory (hooks)");
            t->hook = more;
            t->cap_hooks = cap;
        }
        t->hook[i] = hook;
        if (hook >= 0) {
            const struct cache_hook *h = cache_hook_at(t->cache, hook);
            struct axis *axes = arena_array(&t->base.arena, (size_t)n.rank, sizeof *axes, e);
            if (!axes)
                return ERR_LIMIT;
            for (int k = 0; k < n.rank; k++) {
                axes[k] = h->axes[k];
                axes[k].size = k ? h->axes[k].size : cache_about(t->cache)->tokens;
                axes[k].labels = NULL;
            }
            n.axes = axes;
            n.labelled = 1;
        }
        rc = tree_add(&t->base, &n, e);
    }
    return rc;
}

static bool cache_more(struct tree *base, int most)
{
    struct cache_tree *t = (struct cache_tree *)base;
    struct err e;
    bool more = tree_more(t->file, most);
    return !adopt(t, &e) && more;
}

static int make_room(struct cache_tree *t, int64_t n, struct err *e)
{
    if (n <= t->room)
        return 0;
    float *more = realloc(t->values, (size_t)n * sizeof *more);
    if (!more)
        return err_set(e, ERR_LIMIT, "out of memory (%" PRId64 " values)", n);
    t->values = more;
    t->room = n;
    return 0;
}

/* Rows of the box one after the other, or many at once where they follow each other; of each the
 * columns from the first to the last that are wanted. A few bytes of each row that come from a disk take
 * longer than all of them in their order: what turns out to be slow goes on with whole rows. */
static int read_hook(double *out, struct cache_tree *t, const struct node *n, int hook,
    const int64_t *start, const int64_t *count, const int64_t *stride, struct err *e)
{
    int64_t first = 0, last = 0, inner = 1, width = 1, rows;
    for (int k = 1; k < n->rank; k++) {
        first = first * n->axes[k].size + start[k];
        last = last * n->axes[k].size + start[k] + (count[k] - 1) * (stride ? stride[k] : 1);
        inner *= count[k];
        width *= n->axes[k].size;
    }
    const int64_t row_step = stride ? stride[0] : 1;
    bool is_narrow = row_step == 1 && count[0] >= 64 && last - first + 1 <= width / 8;
    for (int64_t r = 0; r < count[0]; r += rows) {
        const bool is_whole = is_narrow && t->slow == hook;
        const int64_t from = is_whole ? 0 : first, span = is_whole ? width : last - first + 1;
        const double began = machine_seconds();
        rows = row_step == 1 ? (is_whole ? WHOLE : ROOM) / span : 1;
        rows = rows < 1 ? 1 : rows > count[0] - r ? count[0] - r : rows;
        if (make_room(t, rows * span, e) ||
            cache_read(t->values, t->cache, hook, start[0] + r * row_step, rows, from, span, e))
            return e->code;
        if (is_narrow && rows >= 64 && machine_seconds() - began > SLOW * (double)rows)
            t->slow = hook;
        if (inner == span) { /* nothing is stepped over */
            for (int64_t i = 0; i < rows * span; i++)
                *out++ = (double)t->values[i];
            continue;
        }
        for (int64_t i = 0; i < rows; i++) {
            int64_t at[CACHE_MAX_RANK] = {0};
            for (int64_t k = 0; k < inner; k++) {
                int64_t flat = 0;
                for (int x = 1; x < n->rank; x++)
                    flat = flat * n->axes[x].size + start[x] + at[x] * (stride ? stride[x] : 1);
                *out++ = (double)t->values[i * span + flat - from];
                for (int x = n->rank - 1; x > 0 && ++at[x] == count[x]; x--)
                    at[x] = 0;
            }
        }
    }
    return 0;
}

static int cache_values(double *out, int64_t *raw, struct tree *base, int node,
    const int64_t *start, const int64_t *count, const int64_t *stride, struct err *e)
{
    struct cache_tree *t = (struct cache_tree *)base;
    if (t->hook[node] < 0)
        return tree_read(out, raw, t->file, node, start, count, stride, e);
    return read_hook(out, t, base->nodes[node], t->hook[node], start, count, stride, e);
}

static int cache_cells(struct cell_value *out, struct tree *base, int node, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    return tree_cells(out, ((struct cache_tree *)base)->file, node, first, n, a, e);
}

/* The text of each row as the cache keeps it: the bytes it spans in its document. */
static int row_texts(const char **out, struct cache_tree *t, int64_t first, int64_t n,
    struct arena *a, struct err *e)
{
    int32_t *ids = arena_array(a, (size_t)n, sizeof *ids, e);
    int64_t *begin = arena_array(a, (size_t)n, sizeof *begin, e);
    int64_t *end = arena_array(a, (size_t)n, sizeof *end, e);
    int rc =
        ids && begin && end ? cache_rows(ids, NULL, begin, end, t->cache, first, n, e) : ERR_LIMIT;
    struct arena scratch = {0};
    const char *text = NULL;
    size_t bytes = 0;
    int64_t from = 0, to = 0, document;
    for (int64_t i = 0; i < n && !rc; i++) {
        if (first + i >= to) {
            arena_release(&scratch);
            rc = cache_document_of(&document, t->cache, first + i, e);
            if (!rc)
                rc = cache_document(&from, &to, t->cache, document, e);
            if (!rc)
                rc = cache_text(&text, &bytes, t->cache, document, &scratch, e);
            if (rc)
                break;
        }
        bool has_text = text && begin[i] >= 0 && end[i] > begin[i] && (size_t)end[i] <= bytes;
        bool is_bos = !has_text && text && cache_about(t->cache)->prepend_bos;
        out[i] = has_text ? arena_strndup(a, text + begin[i], (size_t)(end[i] - begin[i]), e)
                 : is_bos ? "BOS"
                          : arena_printf(a, e, "#%d", (int)ids[i]);
        rc = out[i] ? 0 : ERR_LIMIT;
    }
    arena_release(&scratch);
    return rc;
}

static int cache_labels(const char **out, struct tree *base, int node, int axis, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    struct cache_tree *t = (struct cache_tree *)base;
    if (axis == 0 && t->hook[node] >= 0)
        return row_texts(out, t, first, n, a, e);
    return tree_labels(out, t->file, node, axis, first, n, a, e);
}

static int cache_attrs(
    struct tree_attr **out, int *n, struct tree *base, int node, struct arena *a, struct err *e)
{
    return tree_attrs(out, n, ((struct cache_tree *)base)->file, node, a, e);
}

static int cache_place(
    char *buf, size_t n, struct tree *base, int node, int axis, int64_t index, struct err *e)
{
    struct cache_tree *t = (struct cache_tree *)base;
    int32_t position;
    int64_t document;
    if (axis != 0 || t->hook[node] < 0)
        return 0;
    int rc = cache_document_of(&document, t->cache, index, e);
    if (!rc)
        rc = cache_rows(NULL, &position, NULL, NULL, t->cache, index, 1, e);
    if (!rc)
        snprintf(buf, n, "document %" PRId64 ", position %d", document, (int)position);
    return rc;
}

static int cache_text_of(
    int64_t *from, int64_t *to, struct tree *base, int node, int axis, int64_t index, struct err *e)
{
    struct cache_tree *t = (struct cache_tree *)base;
    int64_t document;
    if (axis != 0 || t->hook[node] < 0)
        return tree_text(from, to, t->file, node, axis, index, e);
    int rc = cache_document_of(&document, t->cache, index, e);
    return rc ? rc : cache_document(from, to, t->cache, document, e);
}

static int cache_bare(
    bool *out, struct tree *base, int node, int axis, int64_t first, int64_t n, struct err *e)
{
    struct cache_tree *t = (struct cache_tree *)base;
    if (axis != 0 || t->hook[node] < 0)
        return 0;
    int64_t *begin = malloc((size_t)n * 2 * sizeof *begin), *end = begin ? begin + n : NULL;
    int rc = begin ? cache_rows(NULL, NULL, begin, end, t->cache, first, n, e)
                   : err_set(e, ERR_LIMIT, "out of memory (rows of a cache)");
    for (int64_t i = 0; i < n && !rc; i++)
        out[i] = end[i] <= begin[i];
    free(begin);
    return rc;
}

static void cache_release_tree(struct tree *base)
{
    struct cache_tree *t = (struct cache_tree *)base;
    tree_release(&t->file);
    cache_release(&t->cache);
    free(t->hook);
    free(t->values);
    free(t);
}

static const struct tree_ops cache_ops = {.kind = "cache",
    .more = cache_more,
    .read = cache_values,
    .cells = cache_cells,
    .labels = cache_labels,
    .attrs = cache_attrs,
    .place = cache_place,
    .text = cache_text_of,
    .bare = cache_bare,
    .release = cache_release_tree};

int tree_of_cache(struct tree **file, const char *path, struct err *e)
{
    struct cache_tree *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_LIMIT, "out of memory (a cache)");
    int rc = cache_open(&t->cache, path, e);
    if (rc) {
        free(t);
        return rc;
    }
    t->base.ops = &cache_ops;
    t->slow = -1;
    t->file = *file;
    *file = &t->base;
    return 0;
}
