#ifndef SONDE_APP_BROWSE_SOURCE_H
#define SONDE_APP_BROWSE_SOURCE_H

#include "app/browse_tree.h"

/* What the kinds of document share behind tree.h; only browse_tree*.c include this. */
struct tree_ops {
    const char *kind;
    bool (*more)(struct tree *t, int most);
    int (*read)(double *out, int64_t *raw, struct tree *t, int node, const int64_t *start,
        const int64_t *count, const int64_t *stride, struct err *e);
    int (*cells)(struct cell_value *out, struct tree *t, int node, int64_t first, int64_t n,
        struct arena *a, struct err *e);
    int (*labels)(const char **out, struct tree *t, int node, int axis, int64_t first, int64_t n,
        struct arena *a, struct err *e);
    int (*attrs)(
        struct tree_attr **out, int *n, struct tree *t, int node, struct arena *a, struct err *e);
    int (*place)(
        char *buf, size_t n, struct tree *t, int node, int axis, int64_t index, struct err *e);
    int (*text)(int64_t *from, int64_t *to, struct tree *t, int node, int axis, int64_t index,
        struct err *e);
    int (*bare)(
        bool *out, struct tree *t, int node, int axis, int64_t first, int64_t n, struct err *e);
    void (*release)(struct tree *t);
};

struct tree {
    const struct tree_ops *ops;
    struct arena arena;
    const char *note; /* what a reader has to know of the whole; NULL: nothing */
    const struct node **nodes;
    int n, cap;
};

/* A copy of the node in the tree; its strings and axes are to live as long already. */
int tree_add(struct tree *t, const struct node *n, struct err *e);
/* Puts the cache that the file is in its place; the file stays as it is on error. */
int tree_of_cache(struct tree **file, const char *path, struct err *e);

#endif
