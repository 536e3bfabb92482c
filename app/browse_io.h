#ifndef SONDE_APP_BROWSE_IO_H
#define SONDE_APP_BROWSE_IO_H

#include "app/browse_spec.h"

/* The thread that reads documents. The screen's thread asks, gets what is there, and waits at most as
 * long as io_frame allows; what comes later wakes the main loop. Values are kept in tiles, the least
 * recently used go first. */
struct io;

#define IO_BYTES ((size_t)64 << 20) /* of tiles */
#define IO_DOCS 512                 /* documents a session */

/* wake_fd: written to when something new is there; -1: nobody waits. */
int io_create(struct io **out, int wake_fd, struct err *e);
void io_release(struct io **io);
/* A new drawing: what older ones wanted is dropped. Reading may hold it up for `wait` seconds. */
void io_frame(struct io *io, double wait);
bool io_is_busy(struct io *io);                /* tiles are wanted, documents opened or walked */
size_t io_bytes(struct io *io);                /* of tiles now */
bool io_settle(struct io *io, double seconds); /* until nothing is to be done; false: time is up */

/* ---- documents: ids from 0, never used again ---- */

int io_open(struct io *io, const char *path); /* -1: out of memory or too many */
int io_open_report(struct io *io, struct held_report *h, const char *title);
int io_open_minus(struct io *io, int a, int node_a, int b, int node_b, const char *title);
void io_refresh(struct io *io, int id); /* looks for more of a report that grows */
void io_close(struct io *io, int id);   /* and what was computed from it */
struct doc_view {
    char title[256], path[1024], kind[24];
    bool is_opening, is_walking;
    struct err e; /* code 0: fine, with a message where it is not all there */
    int n_nodes;
    double seconds; /* until its first node was there */
};
bool io_doc(struct doc_view *out, struct io *io, int id); /* false: closed */
/* Nodes [from, from + n); they live until the document is closed. */
int io_nodes(const struct node **out, struct io *io, int id, int from, int n);

/* ---- values ---- */

/* Rows [r0, r0 + nr) in steps of rs, columns likewise; how: of what a step passes over. */
struct io_window {
    int64_t r0, nr, rs, c0, nc, cs;
    enum agg how;
};
/* out[nr * nc]; NaN for what is not there yet: 1. 0: all there. Negative: an error. */
int io_fetch(double *out, struct io *io, struct spec *s, const struct io_window *w, struct err *e);
/* A cell of a table as text; false: not there yet, or a number. */
bool io_text(char *buf, size_t n, struct io *io, struct spec *s, int64_t row, int column);
/* 1: its label in buf; 0: not there yet; -1: this axis has none. */
int io_label(char *buf, size_t n, struct io *io, struct spec *s, int axis, int64_t index);
/* The text before and after a label, as much as n bytes hold, of `before` the end. 1: all there; 0: not
 * there yet; -1: its axis is no text. */
int io_context(
    char *before, char *after, size_t n, struct io *io, struct spec *s, int axis, int64_t index);
/* The exact value of a cell of the plane, and where its indices lie beyond their labels. */
struct io_cell {
    char value[64], place[96];
    double number;
    int64_t text[2][2]; /* of the row, of the column: the text it stands in, as tree_text */
};
bool io_cell(struct io_cell *out, struct io *io, struct spec *s, int64_t row, int64_t col);
/* Attributes of a node as lines "name  value"; NULL: not there yet. Valid until the next call. */
const char *io_about(struct io *io, int id, int node);
uint64_t io_generation(struct io *io, const struct spec *s); /* grows as its tiles arrive */

/* ---- jobs over the whole of a plane: one at a time, a new one ends the old ---- */

enum io_job { IO_NOTHING, IO_STATS, IO_AGGREGATE, IO_SORT_ROWS, IO_SORT_COLS, IO_SEARCH };
struct io_search {
    char op; /* '>', '<', '=', '!' (not equal), 'n' (NaN), 'r': a pattern over labels and texts */
    double value;
    bool inverted, of_size;                                 /* of_size: |x| */
    enum { SEARCH_PLANE, SEARCH_COLUMN, SEARCH_ROW } where; /* those of the cursor */
    const struct regex *pattern;                            /* lives until the job ends */
    int64_t row, col;                                       /* begins behind this cell */
    int direction;
};
uint64_t io_begin(struct io *io, enum io_job what, struct spec *s, int64_t line, bool descending,
    const struct io_search *search);
void io_cancel(struct io *io);
struct io_progress {
    uint64_t id;
    enum io_job what;
    bool is_running, is_done, is_cancelled;
    double share, seconds;
    struct err e;
    struct plane_stats stats; /* IO_STATS: so far */
    struct order *order;      /* IO_SORT: taken with order_share */
    bool found;               /* IO_SEARCH */
    int64_t row, col, seen;
};
void io_progress(struct io_progress *out, struct io *io);

#endif
