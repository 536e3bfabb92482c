#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/report/values.h"
#include "app/browse_source.h"
#include "model/cache.h"
#include "model/core/h5.h"
#include "model/core/text.h"

/* HDF5 files as documents: groups are listed as they are come to, values are read box by box. */

#define MAX_DEPTH 64
#define MAX_NODES 2000000
#define MAX_PATH 4000
#define PROBED 100000 /* nodes that the child looks at */

struct level {
    const char *path;
    struct h5_link *links;
    int n, at, node; /* node: its own, -1 for the file */
};

struct h5_tree {
    struct tree base;
    int64_t file, size;
    char *path;
    dev_t device; /* which file it was when it was opened */
    ino_t inode;
    struct level levels[MAX_DEPTH];
    int n_levels;
    uint64_t
        *seen; /* addresses of the groups entered; open addressing, a power of two, 0 is free */
    int64_t n_seen, cap_seen;
    int open_node; /* whose handle `data` is; -1: none */
    int64_t data;
    void *raw; /* values as they are stored, of the last box */
    size_t raw_bytes;
};

/* ---- walking ---- */

/* Whether the group was entered before: hard links can run in circles. */
static bool enter(struct h5_tree *t, uint64_t address)
{
    if (t->n_seen * 2 >= t->cap_seen) {
        int64_t cap = t->cap_seen ? t->cap_seen * 2 : 256;
        uint64_t *more = calloc((size_t)cap, sizeof *more);
        if (!more)
            return false;
        for (int64_t i = 0; i < t->cap_seen; i++) {
            int64_t at = (int64_t)(t->seen[i] * 0x9E3779B97F4A7C15u >> 32) & (cap - 1);
            while (t->seen[i] && more[at])
                at = (at + 1) & (cap - 1);
            if (t->seen[i])
                more[at] = t->seen[i];
        }
        free(t->seen);
        t->seen = more;
        t->cap_seen = cap;
    }
    uint64_t key = address ? address : 1;
    int64_t at = (int64_t)(key * 0x9E3779B97F4A7C15u >> 32) & (t->cap_seen - 1);
    while (t->seen[at] && t->seen[at] != key)
        at = (at + 1) & (t->cap_seen - 1);
    if (t->seen[at] == key)
        return false;
    t->seen[at] = key;
    t->n_seen++;
    return true;
}

static void set_storage(struct node *n, const struct h5_info *info, struct arena *a)
{
    static const char *const plain[] = {[H5_CONTIGUOUS] = "contiguous", [H5_COMPACT] = "compact"};
    char text[400] = "chunks of ";
    size_t at = strlen(text);
    n->storage =
        info->layout == H5_CHUNKED || info->layout == H5_VIRTUAL ? "" : plain[info->layout];
    if (info->layout == H5_CHUNKED) {
        for (int i = 0; i < info->rank && at < sizeof text - 32; i++)
            at += (size_t)snprintf(
                text + at, sizeof text - at, "%s%" PRId64, i ? " x " : "", info->chunk[i]);
        if (info->filters)
            snprintf(text + at, sizeof text - at, ", filtered");
        n->storage = arena_strdup(a, text, NULL);
    } else if (info->layout == H5_VIRTUAL) {
        n->storage =
            arena_printf(a, NULL, "joined from %d file%s", info->sources, text_s(info->sources));
        if (info->missing)
            n->why = arena_printf(a, NULL,
                "%d of its parts lie in files that are missing: those values are the fill value",
                info->missing);
    }
    n->storage = n->storage ? n->storage : "";
}

static int set_axes(
    struct node *n, const struct h5_info *info, int64_t data, struct arena *a, struct err *e)
{
    const char *names[TREE_RANK] = {NULL}, *kinds[TREE_RANK] = {NULL};
    struct axis *axes = arena_array(a, (size_t)n->rank + 1, sizeof *axes, e);
    if (!axes)
        return ERR_LIMIT;
    /* Names that cannot be read leave plain ones. */
    (void)h5_axes(names, data, "DIMENSION_LABELS", n->rank, a, NULL);
    (void)h5_axes(kinds, data, "axis_kinds", n->rank, a, NULL);
    for (int i = 0; i < n->rank; i++) {
        axes[i] = (struct axis){.name = names[i], .size = info->rank ? info->dim[i] : 1};
        if (!axes[i].name && !(axes[i].name = arena_printf(a, e, "dim_%d", i)))
            return ERR_LIMIT;
        axes[i].kind = axis_kind_of(kinds[i] ? kinds[i] : axes[i].name);
    }
    n->axes = axes;
    if (h5_has(data, "DIMENSION_LIST"))
        n->labelled = n->rank == TREE_RANK ? UINT32_MAX : (1u << n->rank) - 1;
    return 0;
}

static const char *text_attr(int64_t at, const char *name, struct arena *a)
{
    struct h5_value v;
    if (!h5_has(at, name) || h5_get(&v, at, name, a, NULL) || v.kind != H5_TEXT)
        return NULL;
    return v.text;
}

static void set_look(struct node *n, int64_t data, struct arena *a)
{
    const char *look = text_attr(data, "look", a), *unit = text_attr(data, "unit", a);
    struct h5_value v;
    if (!unit)
        unit = text_attr(data, "units", a);
    n->unit = unit ? unit : "";
    n->long_name = text_attr(data, "long_name", a);
    n->look = n->kind != NODE_NUMBERS ? LOOK_TABLE
              : n->rank == 0          ? LOOK_TABLE
              : n->rank == 1          ? LOOK_LINES
                                      : LOOK_HEATMAP;
    for (int k = 0; look && n->kind == NODE_NUMBERS && k < LOOK_COUNT; k++)
        if (!strcmp(look, look_name((enum look)k))) {
            n->look = (enum look)k;
            n->has_look = true;
        }
    if (n->look == LOOK_TEXT)
        n->look = LOOK_TABLE;
    if (h5_has(data, "signed") && !h5_get(&v, data, "signed", a, NULL) && v.kind == H5_INT)
        n->is_signed = v.i != 0;
}

static int set_columns(
    struct node *n, const struct h5_info *info, int64_t data, struct arena *a, struct err *e)
{
    int k = info->kind == H5_TEXTS ? 1 : info->n_members;
    k = k < TREE_COLUMNS ? k : TREE_COLUMNS;
    struct column *c = arena_array(a, (size_t)k, sizeof *c, e);
    const char **units = arena_array(a, (size_t)k, sizeof *units, e);
    if (!c || !units)
        return ERR_LIMIT;
    (void)h5_axes(units, data, "column_units", k, a, NULL);
    for (int i = 0; i < k; i++) {
        c[i] = (struct column){.name = n->name, .unit = units[i], .is_text = true};
        if (info->kind == H5_TABLE)
            c[i] = (struct column){
                info->member[i].name, units[i], info->member[i].dtype, info->member[i].is_text};
    }
    n->columns = c;
    n->n_columns = k;
    return 0;
}

static void describe(struct node *n, int64_t data, struct arena *a, struct err *e)
{
    struct h5_info info;
    n->kind = NODE_STRANGE;
    if (data < 0) {
        h5_fail(e, ERR_INPUT, "it cannot be opened");
        n->why = arena_strdup(a, e->msg, NULL);
        return;
    }
    if (h5_describe(&info, data, a, e)) {
        n->why = arena_strdup(a, e->msg, NULL);
        return;
    }
    bool is_table = info.kind == H5_TABLE || info.kind == H5_TEXTS;
    n->rank = info.rank;
    n->bytes = info.stored;
    n->dtype = info.kind == H5_NUMBERS ? info.dtype : DT_F64;
    n->why = info.kind == H5_STRANGE                   ? info.why
             : info.kind == H5_TABLE && info.rank != 1 ? "records that are no list"
             : info.kind == H5_TEXTS && info.rank > 1  ? "texts in several dimensions"
                                                       : NULL;
    if (!n->why) {
        n->kind = info.kind == H5_TABLE   ? NODE_TABLE
                  : info.kind == H5_TEXTS ? NODE_TEXTS
                                          : NODE_NUMBERS;
        n->rank = is_table ? 1 : info.rank;
    }
    set_storage(n, &info, a);
    if (set_axes(n, &info, data, a, e) ||
        (!n->why && is_table && set_columns(n, &info, data, a, e))) {
        n->kind = NODE_STRANGE;
        n->why = e->msg[0] ? arena_strdup(a, e->msg, NULL) : "out of memory";
        n->rank = 0;
        return;
    }
    set_look(n, data, a);
}

static void add_data(struct h5_tree *t, struct node *n)
{
    struct err e = {0};
    H5_AUTO int64_t data = h5_open_data(t->file, n->path);
    describe(n, data, &t->base.arena, &e);
    if (!n->long_name)
        n->long_name = "";
    (void)tree_add(&t->base, n, &e);
}

static int list(struct h5_tree *t, struct level *l, const char *path, struct err *e)
{
    H5_AUTO int64_t group = h5_open_group(t->file, *path ? path : "/");
    *l = (struct level){.path = path, .node = t->base.n};
    if (group < 0)
        return h5_fail(e, ERR_INPUT, "it cannot be opened");
    return h5_list(&l->links, &l->n, group, &t->base.arena, e);
}

static void add_group(struct h5_tree *t, struct node *n, uint64_t address)
{
    struct err e = {0};
    n->kind = NODE_GROUP;
    if (!enter(t, address))
        n->why = "this group is listed above already";
    else if (t->n_levels == MAX_DEPTH)
        n->why = "groups below each other deeper than 64";
    else if (list(t, &t->levels[t->n_levels], n->path, &e))
        n->why = arena_strdup(&t->base.arena, e.msg, NULL);
    else
        t->n_levels++;
    (void)tree_add(&t->base, n, &e);
}

static void step(struct h5_tree *t)
{
    struct level *l = &t->levels[t->n_levels - 1];
    if (l->at == l->n || t->base.n >= MAX_NODES) {
        t->n_levels--;
        return;
    }
    const struct h5_link *link = &l->links[l->at++];
    struct err e = {0};
    char *path =
        strlen(l->path) + strlen(link->name) > MAX_PATH
            ? NULL
            : arena_printf(&t->base.arena, &e, "%s%s%s", l->path, *l->path ? "/" : "", link->name);
    struct node n = {.name = link->name,
        .path = path ? path : link->name,
        .kind = NODE_STRANGE,
        .parent = l->node,
        .depth = t->n_levels - 1,
        .unit = "",
        .long_name = "",
        .storage = ""};
    if (!path)
        n.why = "a path longer than 4000 bytes";
    else if (link->is_link)
        n.why = "a soft or external link, which is not followed";
    else if (!link->is_group && !link->is_data)
        n.why = "a named type";
    if (n.why)
        (void)tree_add(&t->base, &n, &e);
    else if (link->is_group)
        add_group(t, &n, link->address);
    else
        add_data(t, &n);
}

static bool h5_more(struct tree *base, int most)
{
    struct h5_tree *t = (struct h5_tree *)base;
    H5_SCOPE;
    for (int i = 0; i < most && t->n_levels; i++)
        step(t);
    return t->n_levels > 0;
}

/* ---- reading ---- */

/* HDF5 reads zeros behind the end of a file. */
static int check_size(const struct h5_tree *t, struct err *e)
{
    struct stat st;
    if (stat(t->path, &st) || st.st_dev != t->device || st.st_ino != t->inode ||
        (int64_t)st.st_size >= t->size)
        return 0;
    return err_set(e, ERR_INPUT,
        "%s was cut short while it was open: it cannot be read any more; x closes it", t->path);
}

static int use(struct h5_tree *t, int node, struct err *e)
{
    if (check_size(t, e))
        return e->code;
    if (t->open_node == node && t->data >= 0)
        return 0;
    h5_release(&t->data);
    t->data = h5_open_data(t->file, t->base.nodes[node]->path);
    t->open_node = node;
    if (t->data >= 0)
        return 0;
    return h5_fail(e, ERR_INPUT, "%s cannot be opened", t->base.nodes[node]->path);
}

static int h5_read(double *out, int64_t *raw, struct tree *base, int node, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    struct h5_tree *t = (struct h5_tree *)base;
    const struct node *n = base->nodes[node];
    int64_t values = dims_count(count, n->rank);
    size_t bytes = (size_t)values * dtype_bytes(n->dtype);
    H5_SCOPE;
    if (bytes > t->raw_bytes) {
        void *more = realloc(t->raw, bytes);
        if (!more)
            return err_set(e, ERR_LIMIT, "%s: out of memory (%zu bytes)", n->path, bytes);
        t->raw = more;
        t->raw_bytes = bytes;
    }
    H5_AUTO int64_t type = h5_type(n->dtype);
    int rc = use(t, node, e);
    if (!rc)
        rc = h5_box(t->data, type, n->rank, start, count, stride, t->raw, false, e);
    if (rc)
        return err_prefix(e, "%s", n->path), rc;
    values_widen(out, t->raw, n->dtype, values, 1);
    if (raw && (n->dtype == DT_I64 || n->dtype == DT_U64))
        memcpy(raw, t->raw, (size_t)values * sizeof *raw);
    return 0;
}

static int h5_cells(struct cell_value *out, struct tree *base, int node, int64_t first, int64_t n,
    struct arena *a, struct err *e)
{
    struct h5_tree *t = (struct h5_tree *)base;
    const struct node *at = base->nodes[node];
    size_t most = (size_t)t->size + ((size_t)n << 16);
    int columns = at->n_columns;
    H5_SCOPE;
    int rc = use(t, node, e);
    if (!rc && at->kind == NODE_TEXTS) {
        const char **texts = arena_array(a, (size_t)n, sizeof *texts, e);
        rc = texts ? h5_texts(texts, t->data, first, n, most, a, e) : ERR_LIMIT;
        for (int64_t i = 0; i < n && !rc; i++)
            out[i] = (struct cell_value){.text = texts[i]};
    } else if (!rc) {
        struct h5_member *m = arena_array(a, (size_t)columns, sizeof *m, e);
        union h5_cell *cells = arena_array(a, (size_t)(n * columns), sizeof *cells, e);
        for (int c = 0; m && c < columns; c++)
            m[c] = (struct h5_member){
                at->columns[c].name, at->columns[c].is_text, at->columns[c].dtype};
        rc = m && cells ? h5_rows(cells, t->data, m, columns, first, n, most, a, e) : ERR_LIMIT;
        for (int64_t i = 0; i < n * columns && !rc; i++)
            out[i] = at->columns[i % columns].is_text ? (struct cell_value){.text = cells[i].text}
                                                      : (struct cell_value){cells[i].number, NULL};
    }
    return rc ? (err_prefix(e, "%s", at->path), rc) : 0;
}

static int scale_labels(const char **out, int64_t scale, int64_t size, int64_t first, int64_t n,
    int64_t file_bytes, struct arena *a, struct err *e)
{
    struct h5_info info;
    int rc = h5_describe(&info, scale, a, e);
    if (rc)
        return rc;
    if (info.rank != 1 || info.dim[0] != size)
        return err_set(e, ERR_INPUT, "the labels do not fit their axis");
    if (info.kind == H5_TEXTS)
        return h5_texts(out, scale, first, n, (size_t)file_bytes + (size_t)n * 2, a, e);
    if (info.kind != H5_NUMBERS)
        return err_set(e, ERR_INPUT, "labels of a type that sonde does not know");
    /* A scale that was never written is there to name its axis. */
    if (!info.stored)
        return err_set(e, ERR_INPUT, "the axis has no labels");
    char *raw = arena_array(a, (size_t)n, dtype_bytes(info.dtype), e);
    H5_AUTO int64_t type = h5_type(info.dtype);
    rc = raw ? h5_box(scale, type, 1, &first, &n, NULL, raw, false, e) : ERR_LIMIT;
    for (int64_t i = 0; i < n && !rc; i++) {
        char text[40];
        exact_value(text, sizeof text, raw + (size_t)i * dtype_bytes(info.dtype), info.dtype);
        rc = (out[i] = arena_strdup(a, text, e)) ? 0 : ERR_LIMIT;
    }
    return rc;
}

static int h5_labels(const char **out, struct tree *base, int node, int axis, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    struct h5_tree *t = (struct h5_tree *)base;
    const struct node *at = base->nodes[node];
    H5_SCOPE;
    int rc = use(t, node, e);
    if (rc)
        return rc;
    H5_AUTO int64_t scale = h5_scale(t->data, at->rank, axis);
    if (scale < 0)
        return err_set(e, ERR_INPUT, "axis %s has no labels", at->axes[axis].name);
    return scale_labels(out, scale, at->axes[axis].size, first, n, t->size, a, e);
}

static int value_text(const char **out, const struct h5_value *v, struct arena *a, struct err *e)
{
    char text[64] = "(of a type that is not shown)";
    *out = v->text;
    if (v->kind == H5_TEXT)
        return 0;
    if (v->kind == H5_INT)
        snprintf(text, sizeof text, "%" PRId64, v->i);
    else if (v->kind == H5_FLOAT)
        exact_number(text, sizeof text, v->f, DT_F64);
    if (v->kind != H5_INTS)
        return (*out = arena_strdup(a, text, e)) ? 0 : ERR_LIMIT;
    char *list = arena_alloc(a, (size_t)v->n * 24 + 1, e), *at = list;
    for (int i = 0; list && i < v->n; i++)
        at += sprintf(at, "%s%" PRId64, i ? ", " : "", v->list[i]);
    *out = list;
    return list ? 0 : ERR_LIMIT;
}

/* What names axes and looks is shown as such, not as attributes. */
static bool is_plumbing(const char *name)
{
    static const char *const known[] = {"DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME",
        "DIMENSION_LABELS", "axis_kinds", "look", "signed", "unit", "long_name", "_Netcdf4Dimid",
        "_NCProperties"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], name))
            return true;
    return false;
}

static int h5_attrs_of(
    struct tree_attr **out, int *n, struct tree *base, int node, struct arena *a, struct err *e)
{
    struct h5_tree *t = (struct h5_tree *)base;
    const struct node *at = node >= 0 ? base->nodes[node] : NULL;
    H5_SCOPE;
    H5_AUTO int64_t group = -1;
    int64_t where = t->file;
    int rc = 0, found = 0;
    if (at && at->kind == NODE_GROUP)
        where = group = h5_open_group(t->file, at->path);
    else if (at)
        where = (rc = use(t, node, e)) ? -1 : t->data;
    if (where < 0)
        return rc ? rc : h5_fail(e, ERR_INPUT, "%s cannot be opened", at ? at->path : "it");
    const char **names;
    if ((rc = h5_attrs(&names, &found, where, a, e)) != 0)
        return rc;
    *out = arena_array(a, (size_t)found + 1, sizeof **out, e);
    if (!*out)
        return ERR_LIMIT;
    for (int i = 0; i < found && !rc; i++) {
        struct h5_value v;
        struct tree_attr *to = &(*out)[*n];
        if (is_plumbing(names[i]))
            continue;
        to->name = names[i];
        if (h5_get(&v, where, names[i], a, e))
            to->value = "(cannot be read)";
        else
            rc = value_text(&to->value, &v, a, e);
        (*n)++;
    }
    return rc;
}

static void h5_tree_release(struct tree *base)
{
    struct h5_tree *t = (struct h5_tree *)base;
    h5_release(&t->data);
    h5_release(&t->file);
    free(t->path);
    free(t->seen);
    free(t->raw);
    free(t);
}

static const struct tree_ops file_ops = {.kind = "HDF5 file",
    .more = h5_more,
    .read = h5_read,
    .cells = h5_cells,
    .labels = h5_labels,
    .attrs = h5_attrs_of,
    .release = h5_tree_release};
/* ---- opening ---- */

/* In the child: everything the browser would ask of a file. */
static void look_at(const char *path);

static int open_unprobed(struct tree **out, const char *path, struct err *e)
{
    struct h5_tree *t = calloc(1, sizeof *t);
    struct stat st;
    if (!t)
        return err_set(e, ERR_LIMIT, "out of memory (a document)");
    t->base.ops = &file_ops;
    t->file = t->data = -1;
    t->open_node = -1;
    *out = &t->base;
    H5_SCOPE;
    int rc = h5_open(&t->file, path, e);
    t->path = strdup(path);
    if (!rc && (!t->path || stat(path, &st)))
        rc = err_set(e, ERR_INPUT, "%s is there no more", path);
    if (!rc) {
        t->size = (int64_t)st.st_size;
        t->device = st.st_dev;
        t->inode = st.st_ino;
    }
    if (!rc)
        rc = list(t, &t->levels[0], "", e);
    if (!rc) {
        t->n_levels = 1;
        t->levels[0].node = -1;
        enter(t, h5_address(t->file));
    } else {
        tree_release(out);
    }
    return rc;
}

static void look_at(const char *path)
{
    struct tree *t;
    struct err e;
    struct arena a = {0};
    struct tree_attr *attrs;
    int n_attrs;
    if (open_unprobed(&t, path, &e))
        return;
    while (tree_count(t) < PROBED && tree_more(t, 64))
        ;
    tree_attrs(&attrs, &n_attrs, t, -1, &a, &e);
    for (int i = 0; i < tree_count(t); i++) {
        const struct node *n = tree_at(t, i);
        int64_t start[TREE_RANK] = {0}, count[TREE_RANK];
        double *values = arena_array(&a, 4096, sizeof *values, &e);
        const char *labels[16];
        int64_t room = 4096;
        for (int k = n->rank - 1; k >= 0; k--) {
            count[k] = n->axes[k].size < room ? n->axes[k].size : room;
            room /= count[k] > 0 ? count[k] : 1;
            room = room < 1 ? 1 : room;
            int64_t some = n->axes[k].size < 16 ? n->axes[k].size : 16;
            if (n->labelled >> k & 1 && some > 0)
                tree_labels(labels, t, i, k, 0, some, &a, &e);
        }
        if (values && n->kind == NODE_NUMBERS)
            tree_read(values, NULL, t, i, start, count, NULL, &e);
        struct cell_value *cells = arena_array(&a, 16u * TREE_COLUMNS, sizeof *cells, &e);
        if (cells && n->n_columns && n->axes[0].size > 0)
            tree_cells(cells, t, i, 0, n->axes[0].size < 16 ? n->axes[0].size : 16, &a, &e);
        tree_attrs(&attrs, &n_attrs, t, i, &a, &e);
        arena_release(&a);
    }
}

int tree_open(struct tree **out, const char *path, struct err *e)
{
    struct stat st;
    struct cache_left left;
    struct err why = {0};
    int rc = 0;
    /* What is finished of a cache can be looked into; the note says that it is not all. */
    if (cache_left(&left, path)) {
        if (!*left.first)
            return cache_left_error(path, &left, e);
        rc = tree_open(out, left.first, e);
        if (!rc && cache_left_error(path, &left, &why))
            (*out)->note = arena_strdup(&(*out)->arena, why.msg, e);
        return rc;
    }
    /* A directory or a file that is not there needs no child to say so. */
    if (!stat(path, &st) && S_ISREG(st.st_mode))
        rc = report_probe(path, look_at, e);
    if (!rc)
        rc = open_unprobed(out, path, e);
    /* A cache that cannot be read as one still is a file to look into. */
    if (!rc && cache_is(path)) {
        (void)tree_of_cache(out, path, &why);
    }
    return rc;
}
