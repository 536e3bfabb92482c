#ifndef SONDE_APP_BROWSE_TREE_H
#define SONDE_APP_BROWSE_TREE_H

#include "app/jobs.h"
#include "model/core/arena.h"

/* What is in a document, whatever made it: an HDF5 file of anybody's, a cache of activations, the
 * report of a run in memory, the difference of two of these. One thread at a time may use it, and may
 * have to wait for a disk. */
struct tree;

#define TREE_RANK 32 /* HDF5's own limit */
#define TREE_COLUMNS 256

enum node_kind { NODE_GROUP, NODE_NUMBERS, NODE_TEXTS, NODE_TABLE, NODE_STRANGE };

/* Immutable once it is there; lives as long as the tree. */
struct node {
    const char *name, *path; /* path: without a leading slash */
    enum node_kind kind;
    int parent; /* -1: the document itself; always before its children */
    int depth;
    const char *why; /* NODE_STRANGE: what it is that cannot be shown; else a warning or NULL */
    enum dtype dtype;
    int rank;
    const struct axis *axes; /* [rank]; of a table or a list of texts one, its rows */
    uint32_t labelled;       /* a bit for each axis that has labels, or may have */
    const struct column *columns;
    int n_columns;
    const char *unit, *long_name, *storage; /* storage: "contiguous", "chunks of 64 x 256" */
    enum look look;
    bool has_look; /* the document says so; otherwise any that suits will do */
    bool is_signed;
    int64_t bytes; /* in the file */
};

/* Any HDF5 file; nothing is walked yet. */
int tree_open(struct tree **out, const char *path, struct err *e);
/* Shares the report; what is added to it later is found by tree_more. */
int tree_of_report(struct tree **out, struct held_report *h, struct err *e);
/* a - b: one pair of nodes, or, both negative, those with equal paths and shapes. Borrows both. */
int tree_minus(
    struct tree **out, struct tree *a, int node_a, struct tree *b, int node_b, struct err *e);
void tree_release(struct tree **t);

/* Finds up to `most` more nodes; false: all are there for now. What cannot be read becomes a node that
 * says so. */
bool tree_more(struct tree *t, int most);
int tree_count(const struct tree *t);
const struct node *tree_at(const struct tree *t, int index);
int64_t node_values(const struct node *n);   /* negative: more than can be counted */
const char *tree_kind(const struct tree *t); /* "cache", "report", "HDF5 file", "difference" */
const char *tree_note(const struct tree *t); /* that it is not all there; "": nothing */

/* NODE_NUMBERS: a box of dense values, widened to double, and for 64-bit integers as they are (raw
 * may be NULL). All have the node's rank. */
int tree_read(double *out, int64_t *raw, struct tree *t, int node, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e);
/* NODE_TABLE, NODE_TEXTS: rows [first, first + n), out[n * n_columns]; texts live in the arena. */
int tree_cells(struct cell_value *out, struct tree *t, int node, int64_t first, int64_t n,
    struct arena *a, struct err *e);
/* Labels [first, first + n) of an axis; ERR_INPUT where it has none. */
int tree_labels(const char **out, struct tree *t, int node, int axis, int64_t first, int64_t n,
    struct arena *a, struct err *e);
/* Names and values of attributes; node -1: of the document. */
struct tree_attr {
    const char *name, *value;
};
int tree_attrs(
    struct tree_attr **out, int *n, struct tree *t, int node, struct arena *a, struct err *e);

/* The text that an index of an axis belongs to, whose labels are its words: indices [*from, *to).
 * Both 0: these labels are no text. */
int tree_text(
    int64_t *from, int64_t *to, struct tree *t, int node, int axis, int64_t index, struct err *e);
/* Which of the labels [first, first + n) stand for something that is not spelt in the text: BOS, ids. */
int tree_bare(
    bool *out, struct tree *t, int node, int axis, int64_t first, int64_t n, struct err *e);

/* Where an index of an axis lies beyond its label: "document 3, position 17"; "" for most. */
int tree_place(
    char *buf, size_t n, struct tree *t, int node, int axis, int64_t index, struct err *e);

#endif
