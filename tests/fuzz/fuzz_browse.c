#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/browse_tree.h"

/* The browser of any HDF5 file, on any bytes: walks it, and looks at attributes, labels, some values
 * and some rows of everything it lists. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look_at(struct tree *t, int node)
{
    const struct node *n = tree_at(t, node);
    struct arena a = {0};
    struct err e = {0};
    struct tree_attr *attrs;
    int64_t start[TREE_RANK], count[TREE_RANK], stride[TREE_RANK];
    const char *labels[4];
    double values[64];
    int n_attrs, wide = 0;
    bool is_empty = false;
    (void)tree_attrs(&attrs, &n_attrs, t, node, &a, &e);
    for (int i = 0; i < n->rank; i++) {
        int64_t size = n->axes[i].size, some = size < 4 ? size : 4;
        is_empty = is_empty || size < 1;
        if (some > 0 && n->labelled >> i & 1)
            (void)tree_labels(labels, t, node, i, size - some, some, &a, &e);
        count[i] = size > 3 && wide < 3 ? 3 : 1;
        wide += count[i] == 3;
        stride[i] = size > 8 ? 2 : 1;
        start[i] = size > 8 ? size / 2 - 2 : 0;
    }
    if (n->kind == NODE_NUMBERS && !is_empty)
        (void)tree_read(values, NULL, t, node, start, count, stride, &e);
    if (n->n_columns && !is_empty) {
        struct cell_value *cells = calloc((size_t)n->n_columns, sizeof *cells);
        if (cells)
            (void)tree_cells(cells, t, node, n->axes[0].size - 1, 1, &a, &e);
        free(cells);
    }
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[] = "/tmp/sonde-fuzz-XXXXXX";
    struct tree *t = NULL;
    struct err e = {0};
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    if (write(fd, data, n) == (ssize_t)n && !tree_open(&t, path, &e)) {
        while (tree_count(t) < 10000 && tree_more(t, 64)) {
        }
        for (int i = 0; i < tree_count(t); i++)
            look_at(t, i);
        tree_release(&t);
    }
    close(fd);
    unlink(path);
    return 0;
}
