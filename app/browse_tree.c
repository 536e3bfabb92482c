#include "app/browse_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_source.h"

int tree_add(struct tree *t, const struct node *n, struct err *e)
{
    if (t->n == t->cap) {
        int cap = t->cap ? t->cap * 2 : 64;
        const struct node **more = realloc(t->nodes, (size_t)cap * sizeof *more);
        if (!more)
            return err_set(e, ERR_LIMIT, "out of memory (a list of %d datasets)", cap);
        t->nodes = more;
        t->cap = cap;
    }
    struct node *copy = arena_alloc(&t->arena, sizeof *copy, e);
    if (!copy)
        return ERR_LIMIT;
    *copy = *n;
    t->nodes[t->n++] = copy;
    return 0;
}

int64_t node_values(const struct node *n)
{
    int64_t dim[TREE_RANK];
    for (int i = 0; i < n->rank; i++)
        dim[i] = n->axes[i].size;
    return dims_count(dim, n->rank);
}

void tree_release(struct tree **t)
{
    if (!*t)
        return;
    struct tree *own = *t;
    *t = NULL;
    free(own->nodes);
    own->nodes = NULL;
    struct arena arena = own->arena;
    own->ops->release(own);
    arena_release(&arena);
}

bool tree_more(struct tree *t, int most)
{
    return t->ops->more && t->ops->more(t, most);
}

int tree_count(const struct tree *t)
{
    return t->n;
}

const struct node *tree_at(const struct tree *t, int index)
{
    return t->nodes[index];
}

const char *tree_note(const struct tree *t)
{
    return t->note ? t->note : "";
}

const char *tree_kind(const struct tree *t)
{
    return t->ops->kind;
}

/* Boxes come from arithmetic on sizes that files state; none may leave its dataset. */
static int check_box(const struct node *n, const int64_t *start, const int64_t *count,
    const int64_t *stride, struct err *e)
{
    for (int i = 0; i < n->rank; i++) {
        int64_t step = stride ? stride[i] : 1;
        if (start[i] < 0 || count[i] < 1 || step < 1 || start[i] >= n->axes[i].size ||
            (count[i] - 1) > (n->axes[i].size - 1 - start[i]) / step)
            return err_set(e, ERR_USAGE, "%s: a box outside axis %s", n->path, n->axes[i].name);
    }
    return 0;
}

int tree_read(double *out, int64_t *raw, struct tree *t, int node, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    const struct node *n = t->nodes[node];
    if (n->kind != NODE_NUMBERS)
        return err_set(e, ERR_USAGE, "%s holds no numbers", n->path);
    int rc = check_box(n, start, count, stride, e);
    return rc ? rc : t->ops->read(out, raw, t, node, start, count, stride, e);
}

int tree_cells(struct cell_value *out, struct tree *t, int node, int64_t first, int64_t n,
    struct arena *a, struct err *e)
{
    const struct node *at = t->nodes[node];
    if ((at->kind != NODE_TABLE && at->kind != NODE_TEXTS) || !t->ops->cells)
        return err_set(e, ERR_USAGE, "%s is no table", at->path);
    int rc = check_box(at, &first, &n, NULL, e);
    return rc ? rc : t->ops->cells(out, t, node, first, n, a, e);
}

int tree_labels(const char **out, struct tree *t, int node, int axis, int64_t first, int64_t n,
    struct arena *a, struct err *e)
{
    const struct node *at = t->nodes[node];
    if (axis < 0 || axis >= at->rank || first < 0 || n < 1 || first > at->axes[axis].size - n)
        return err_set(e, ERR_USAGE, "%s has no such axis", at->path);
    if (!t->ops->labels)
        return err_set(e, ERR_INPUT, "%s has no labels", at->path);
    return t->ops->labels(out, t, node, axis, first, n, a, e);
}

int tree_attrs(
    struct tree_attr **out, int *n, struct tree *t, int node, struct arena *a, struct err *e)
{
    *n = 0;
    *out = NULL;
    return t->ops->attrs ? t->ops->attrs(out, n, t, node, a, e) : 0;
}

int tree_place(
    char *buf, size_t n, struct tree *t, int node, int axis, int64_t index, struct err *e)
{
    *buf = '\0';
    return t->ops->place ? t->ops->place(buf, n, t, node, axis, index, e) : 0;
}

/* Labelled positions are a text from end to end, unless the document knows more. */
int tree_text(
    int64_t *from, int64_t *to, struct tree *t, int node, int axis, int64_t index, struct err *e)
{
    const struct node *at = t->nodes[node];
    *from = *to = 0;
    if (axis < 0 || axis >= at->rank || !(at->labelled >> axis & 1))
        return 0;
    if (t->ops->text)
        return t->ops->text(from, to, t, node, axis, index, e);
    if (at->axes[axis].kind == AXIS_POS)
        *to = at->axes[axis].size;
    return 0;
}

int tree_bare(
    bool *out, struct tree *t, int node, int axis, int64_t first, int64_t n, struct err *e)
{
    memset(out, 0, (size_t)n * sizeof *out);
    return t->ops->bare ? t->ops->bare(out, t, node, axis, first, n, e) : 0;
}

/* ---- the report of a run in memory ---- */

struct report_tree {
    struct tree base;
    struct held_report *held;
    struct block **blocks; /* [base.n]; NULL: a group */
    struct run **runs;
    int *listed; /* of each run: blocks that have their nodes; the node of the run */
    int n_runs;
};

static int report_node(
    struct report_tree *t, struct run *run, struct block *b, const struct node *n, struct err *e)
{
    struct block **blocks = realloc(t->blocks, (size_t)(t->base.n + 1) * sizeof *blocks);
    if (blocks)
        t->blocks = blocks;
    struct run **runs = realloc(t->runs, (size_t)(t->base.n + 1) * sizeof *runs);
    if (runs)
        t->runs = runs;
    if (!blocks || !runs)
        return err_set(e, ERR_LIMIT, "out of memory (a list of blocks)");
    t->blocks[t->base.n] = b;
    t->runs[t->base.n] = run;
    return tree_add(&t->base, n, e);
}

static int report_block(
    struct report_tree *t, struct run *run, struct block *b, int parent, int depth, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    struct node n = {.name = s->name,
        .path = block_path(b),
        .kind = s->n_columns ? NODE_TABLE : NODE_NUMBERS,
        .parent = parent,
        .depth = depth,
        .dtype = s->dtype,
        .rank = s->rank,
        .columns = s->columns,
        .n_columns = s->n_columns < TREE_COLUMNS ? s->n_columns : TREE_COLUMNS,
        .unit = s->unit ? s->unit : "",
        .long_name = s->long_name ? s->long_name : s->name,
        .storage = "in memory",
        .look = s->look,
        .has_look = true,
        .is_signed = s->is_signed};
    struct axis *axes = arena_array(&t->base.arena, (size_t)s->rank + 1, sizeof *axes, e);
    if (!axes)
        return ERR_LIMIT;
    int64_t values = 1;
    for (int i = 0; i < s->rank; i++) {
        axes[i] = s->axes[i];
        if (s->n_columns)
            axes[i].size = block_rows(b);
        if (axes[i].labels)
            n.labelled |= 1u << i;
        values *= axes[i].size;
    }
    n.axes = axes;
    n.bytes = values * (int64_t)(s->n_columns ? 8 * s->n_columns : (int)dtype_bytes(s->dtype));
    return report_node(t, run, b, &n, e);
}

/* Runs grow while they are computed: nodes are added behind those that are there. */
static int add_run(struct report_tree *t, struct err *e)
{
    struct run *run = report_run(t->held->report, t->n_runs);
    int *listed = realloc(t->listed, (size_t)(t->n_runs + 1) * 2 * sizeof *listed);
    struct node group = {
        .name = run_name(run), .path = run_name(run), .kind = NODE_GROUP, .parent = -1};
    if (!listed)
        return err_set(e, ERR_LIMIT, "out of memory (a list of runs)");
    t->listed = listed;
    t->listed[2 * t->n_runs] = 0;
    t->listed[2 * t->n_runs + 1] = t->base.n;
    t->n_runs++;
    group.unit = group.long_name = group.storage = "";
    return report_node(t, run, NULL, &group, e);
}

static int find_input(struct report_tree *t, int parent, int input, struct err *e)
{
    char name[32];
    snprintf(name, sizeof name, "input_%d", input);
    for (int i = t->base.n - 1; i > parent; i--)
        if (t->base.nodes[i]->parent == parent && !strcmp(t->base.nodes[i]->name, name))
            return i;
    const struct node *run = t->base.nodes[parent];
    struct node in = {.kind = NODE_GROUP, .parent = parent, .depth = 1, .unit = ""};
    in.long_name = in.storage = "";
    in.name = arena_strdup(&t->base.arena, name, e);
    in.path = arena_printf(&t->base.arena, e, "%s/%s", run->path, name);
    int rc = in.name && in.path ? report_node(t, t->runs[parent], NULL, &in, e) : ERR_LIMIT;
    return rc ? rc : t->base.n - 1;
}

static bool report_more(struct tree *base, int most)
{
    struct report_tree *t = (struct report_tree *)base;
    struct err e;
    while (t->n_runs < report_runs(t->held->report))
        if (add_run(t, &e))
            return false;
    for (int r = 0; r < t->n_runs; r++) {
        struct run *run = report_run(t->held->report, r);
        int *listed = &t->listed[2 * r], n = run_blocks(run);
        for (; *listed < n && most > 0; ++*listed, most--) {
            struct block *b = run_block_at(run, *listed);
            int input = block_spec(b)->input, parent = t->listed[2 * r + 1];
            if (input >= 0)
                parent = find_input(t, parent, input, &e);
            if (parent < 0 || report_block(t, run, b, parent, input >= 0 ? 2 : 1, &e))
                return false;
        }
        if (*listed < n)
            return true;
    }
    return false;
}

static int report_read(double *out, int64_t *raw, struct tree *base, int node, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    struct report_tree *t = (struct report_tree *)base;
    struct field f;
    struct window w;
    int rc = block_field(&f, t->blocks[node], -1, e);
    for (int i = 0; i < base->nodes[node]->rank; i++) {
        w.start[i] = start[i];
        w.count[i] = count[i];
        w.stride[i] = stride ? stride[i] : 1;
    }
    if (!rc)
        rc = f.fetch(&f, out, &w, FIELD_POINT, e);
    int64_t n = dims_count(count, base->nodes[node]->rank);
    for (int64_t i = 0; raw && !rc && i < n; i++)
        raw[i] = (int64_t)out[i];
    return rc;
}

static int report_cells(struct cell_value *out, struct tree *base, int node, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    struct report_tree *t = (struct report_tree *)base;
    int columns = base->nodes[node]->n_columns;
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < columns; c++) {
            struct cell_value *to = &out[i * columns + c];
            int rc = block_cell(to, t->blocks[node], first + i, c, e);
            if (rc)
                return rc;
            if (to->text && !(to->text = arena_strdup(a, to->text, e)))
                return ERR_LIMIT;
        }
    return 0;
}

static int report_labels_of(const char **out, struct tree *base, int node, int axis, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    const struct axis *x = &base->nodes[node]->axes[axis];
    (void)a;
    if (!x->labels)
        return err_set(e, ERR_INPUT, "axis %s has no labels", x->name);
    memcpy(out, x->labels + first, (size_t)n * sizeof *out);
    return 0;
}

static int report_attrs_of(
    struct tree_attr **out, int *n, struct tree *base, int node, struct arena *a, struct err *e)
{
    struct report_tree *t = (struct report_tree *)base;
    if (node < 0 || t->blocks[node])
        return 0;
    *n = run_attrs(t->runs[node]);
    *out = arena_array(a, (size_t)*n + 1, sizeof **out, e);
    for (int i = 0; *out && i < *n; i++)
        (*out)[i].value = run_attr_at(&(*out)[i].name, t->runs[node], i);
    return *out ? 0 : ERR_LIMIT;
}

static void report_release_tree(struct tree *base)
{
    struct report_tree *t = (struct report_tree *)base;
    held_report_release(&t->held);
    free(t->blocks);
    free(t->runs);
    free(t->listed);
    free(t);
}

static const struct tree_ops report_ops = {.kind = "report",
    .more = report_more,
    .read = report_read,
    .cells = report_cells,
    .labels = report_labels_of,
    .attrs = report_attrs_of,
    .release = report_release_tree};

int tree_of_report(struct tree **out, struct held_report *h, struct err *e)
{
    struct report_tree *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_LIMIT, "out of memory (a document)");
    t->base.ops = &report_ops;
    t->held = held_report_share(h);
    *out = &t->base;
    return 0;
}

/* ---- one document minus another ---- */

struct pair {
    int a, b;
};

struct minus_tree {
    struct tree base;
    struct tree *a, *b;
    struct pair *pairs; /* [base.n] */
    double *values;     /* of the second */
    int64_t cap;
};

static bool is_same_shape(const struct node *a, const struct node *b)
{
    if (a->kind != NODE_NUMBERS || b->kind != NODE_NUMBERS || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->axes[i].size != b->axes[i].size)
            return false;
    return true;
}

static int minus_add(struct minus_tree *t, int a, int b, struct err *e)
{
    struct pair *more = realloc(t->pairs, (size_t)(t->base.n + 1) * sizeof *more);
    if (!more)
        return err_set(e, ERR_LIMIT, "out of memory (differences)");
    t->pairs = more;
    t->pairs[t->base.n] = (struct pair){a, b};
    struct node n = *t->a->nodes[a];
    n.depth = 0;
    n.parent = -1;
    n.name = n.path;
    n.is_signed = true;
    n.dtype = n.dtype >= DT_I8 ? DT_F64 : n.dtype;
    n.storage = "computed";
    if (n.look == LOOK_TEXT)
        n.look = LOOK_TABLE;
    n.long_name = arena_printf(&t->base.arena, e, "%s minus %s", n.path, t->b->nodes[b]->path);
    return n.long_name ? tree_add(&t->base, &n, e) : ERR_LIMIT;
}

static int minus_read(double *out, int64_t *raw, struct tree *base, int node, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    struct minus_tree *t = (struct minus_tree *)base;
    int64_t n = dims_count(count, base->nodes[node]->rank);
    (void)raw;
    if (n > t->cap) {
        double *more = realloc(t->values, (size_t)n * sizeof *more);
        if (!more)
            return err_set(e, ERR_LIMIT, "out of memory (%lld values)", (long long)n);
        t->values = more;
        t->cap = n;
    }
    int rc = tree_read(out, NULL, t->a, t->pairs[node].a, start, count, stride, e);
    if (!rc)
        rc = tree_read(t->values, NULL, t->b, t->pairs[node].b, start, count, stride, e);
    for (int64_t i = 0; i < n && !rc; i++)
        out[i] -= t->values[i];
    return rc;
}

static int minus_labels(const char **out, struct tree *base, int node, int axis, int64_t first,
    int64_t n, struct arena *a, struct err *e)
{
    struct minus_tree *t = (struct minus_tree *)base;
    return tree_labels(out, t->a, t->pairs[node].a, axis, first, n, a, e);
}

static int minus_text(
    int64_t *from, int64_t *to, struct tree *base, int node, int axis, int64_t index, struct err *e)
{
    struct minus_tree *t = (struct minus_tree *)base;
    return tree_text(from, to, t->a, t->pairs[node].a, axis, index, e);
}

static int minus_bare(
    bool *out, struct tree *base, int node, int axis, int64_t first, int64_t n, struct err *e)
{
    struct minus_tree *t = (struct minus_tree *)base;
    return tree_bare(out, t->a, t->pairs[node].a, axis, first, n, e);
}

static void minus_release(struct tree *base)
{
    struct minus_tree *t = (struct minus_tree *)base;
    free(t->pairs);
    free(t->values);
    free(t);
}

static const struct tree_ops minus_ops = {.kind = "difference",
    .read = minus_read,
    .labels = minus_labels,
    .text = minus_text,
    .bare = minus_bare,
    .release = minus_release};

int tree_minus(
    struct tree **out, struct tree *a, int node_a, struct tree *b, int node_b, struct err *e)
{
    struct minus_tree *t = calloc(1, sizeof *t);
    int rc = 0;
    if (!t)
        return err_set(e, ERR_LIMIT, "out of memory (a document)");
    t->base.ops = &minus_ops;
    t->a = a;
    t->b = b;
    *out = &t->base;
    if (node_a >= 0 && is_same_shape(a->nodes[node_a], b->nodes[node_b]))
        rc = minus_add(t, node_a, node_b, e);
    /* Both are mostly in one order: the search goes on behind the last match. */
    for (int i = 0, from = 0; node_a < 0 && i < a->n && !rc; i++)
        for (int k = 0; k < b->n; k++) {
            int at = (from + k) % b->n;
            if (strcmp(a->nodes[i]->path, b->nodes[at]->path) != 0)
                continue;
            if (is_same_shape(a->nodes[i], b->nodes[at]))
                rc = minus_add(t, i, at, e);
            from = at + 1;
            break;
        }
    if (!rc && !t->base.n)
        rc = err_set(e, ERR_USAGE,
            node_a >= 0
                ? "their shapes differ: a difference needs two blocks of numbers of one shape"
                : "no block of numbers has the same path and shape in both");
    if (rc)
        tree_release(out);
    return rc;
}
