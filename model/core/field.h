#ifndef SONDE_CORE_FIELD_H
#define SONDE_CORE_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/err.h"
#include "model/core/tensor.h"

#define FIELD_MAX_RANK 6

/* What an axis counts: selection and dossiers follow kinds, not names. X(id, name, whether neighbours
 * lie beside each other: a head or a neuron might as well have another number). */
#define AXIS_KINDS(X)                                                                              \
    X(OTHER, "other", true)                                                                        \
    X(INPUT, "input", false)                                                                       \
    X(LAYER, "layer", true)                                                                        \
    X(HEAD, "head", false)                                                                         \
    X(POS, "pos", true)                                                                            \
    X(NEURON, "neuron", false)                                                                     \
    X(DIM, "dim", false)                                                                           \
    X(VOCAB, "vocab", false)                                                                       \
    X(COMPONENT, "component", false)                                                               \
    X(SITE, "site", false)                                                                         \
    X(RANK, "rank", true)                                                                          \
    X(STEP, "step", true)

enum axis_kind {
#define X(id, name, ordered) AXIS_##id,
    AXIS_KINDS(X)
#undef X
        AXIS_KIND_COUNT
};

/* How a block likes to be drawn; views accept fields by look and rank. */
#define LOOKS(X)                                                                                   \
    X(TEXT, "text")                                                                                \
    X(TABLE, "table")                                                                              \
    X(HEATMAP, "heatmap")                                                                          \
    X(LINES, "lines")                                                                              \
    X(BARS, "bars")                                                                                \
    X(TOKENS, "tokens")                                                                            \
    X(CONTOUR, "contour")                                                                          \
    X(GRAPH, "graph")

enum look {
#define X(id, name) LOOK_##id,
    LOOKS(X)
#undef X
        LOOK_COUNT
};

struct axis {
    const char *name; /* "layer", "pos", "query": the axis label in a report */
    enum axis_kind kind;
    int64_t size;
    const char *const *labels; /* [size], or NULL: the index itself */
    /* Labels too many to hold at once: gives one, in buf if need be. NULL: `labels` has them. */
    const char *(*label)(const struct axis *a, int64_t i, char *buf, size_t n);
    void *label_data; /* the owner's */
    /* Labels that are read as a text and stand out of its order: what comes before and after i there,
     * of `before` the end, n bytes each with a NUL. False: not known (yet). NULL: they need none. */
    bool (*context)(const struct axis *a, int64_t i, char *before, char *after, size_t n);
};

/* A window of a field: start, count and stride along each axis. */
struct window {
    int64_t start[FIELD_MAX_RANK], count[FIELD_MAX_RANK], stride[FIELD_MAX_RANK];
};

/* What to do with the cells that a stride steps over. NaN is passed over; where nothing else is, the
 * answer is NaN. */
#define FIELD_REDUCES(X)                                                                           \
    X(POINT, "point", "the first cell")                                                            \
    X(MEAN, "mean", "the mean")                                                                    \
    X(MAX, "max", "the largest")                                                                   \
    X(MIN, "min", "the smallest")                                                                  \
    X(ABSMAX, "absmax", "the largest in size, with its sign")                                      \
    X(NORM, "norm", "the root of the sum of squares")                                              \
    X(STD, "std", "the standard deviation, divided by n")

enum field_reduce {
#define X(id, name, help) FIELD_##id,
    FIELD_REDUCES(X)
#undef X
        FIELD_REDUCE_COUNT
};

/* Numbers with named axes, wherever they are: a result in memory, a saved report, a cache larger
 * than memory. Views draw fields and know nothing else. */
struct field {
    const char *name, *unit, *long_name, *source;
    enum dtype dtype;
    enum look look;
    bool is_signed; /* draw on a diverging scale with zero fixed */
    int rank;
    struct axis axes[FIELD_MAX_RANK];
    /* Fills out[product of w->count] in row-major order; missing cells are NaN. */
    int (*fetch)(const struct field *f, double *out, const struct window *w,
        enum field_reduce reduce, struct err *e);
    /* Grows whenever the numbers change, so that a view knows when to draw again; may be NULL. */
    uint64_t (*generation)(const struct field *f);
    void *source_data; /* the owner's */
};

const char *axis_kind_name(enum axis_kind k);
unsigned axis_kinds_ordered(
    void); /* 1u << AXIS_x of those whose neighbours lie beside each other */
enum axis_kind axis_kind_of(const char *axis_name); /* "query" and "key" are positions */
const char *look_name(enum look l);
const char *reduce_name(enum field_reduce r);
const char *reduce_help(enum field_reduce r);
int reduce_find(const char *name); /* negative: no such reduction */
/* The label of index i along an axis, or the number itself, written to buf. */
bool axis_has_labels(const struct axis *a);
const char *axis_label(const struct axis *a, int64_t i, char *buf, size_t n);
/* The window that covers the whole field with stride 1. */
struct window field_all(const struct field *f);
int64_t window_count(const struct window *w, int rank);

#endif
