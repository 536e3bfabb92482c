#ifndef SONDE_APP_BROWSE_H
#define SONDE_APP_BROWSE_H

#include "analysis/report/export.h"
#include "app/browse_io.h"
#include "app/workbench.h"

/* Documents in the workbench: a pane lists what is in them, another draws any plane of any dataset. */

#define OPENED 16 /* datasets whose plane and cursor are remembered */

#define DEPTH 16 /* drillings into a dataset that Esc comes back from */

struct opened {
    int doc, node;
    struct depth { /* the planes above the one on screen */
        struct spec *spec;
        struct view_state st;
        const struct view *view;
        int axis;
    } above[DEPTH];
    int n_above;
    struct spec *spec;
    struct spec *error; /* the same plane of its standard errors; NULL: none */
    uint64_t error_of;  /* the plane that was made for */
    struct view_state st;
    const struct view *view;
    enum look look;
    uint64_t used;
};

struct browse_row {
    int doc, node; /* node -1: the document itself */
};

struct browse_doc {
    const struct node **nodes; /* as far as they are known here */
    int n, cap;
    int *child, *next;  /* of each node the first below it and the next beside it; -1: none */
    int first, last;    /* of the document itself; last: of the roots */
    uint8_t *is_turned; /* folded where it would stand open, or the other way around */
    bool is_turned_itself;
    uint64_t job; /* the report of this job; 0: not of one */
    bool is_live; /* which still fills */
};

struct browse {
    struct io *io;
    double wait; /* seconds that a drawing may wait for values */
    struct browse_doc docs[IO_DOCS];
    int n_docs;
    struct browse_row *rows; /* what the list shows */
    int n_rows, cap_rows, at, scroll, shown;
    int wish_doc;       /* PATH of this document is to be opened when it is found; -1: none */
    char wish[1024];    /* "": its first dataset */
    char wish_at[1024]; /* and then this of :at; "": nothing */
    struct regex *filter;
    char filter_text[128];
    int mark_doc, mark_node; /* what the next one is subtracted from; doc -1: nothing */
    struct opened opened[OPENED];
    struct opened *now; /* the dataset on screen; NULL: none */
    uint64_t clock;
    int axis;      /* the one that keys act on */
    bool is_visit; /* a job's report came on screen by itself: Esc leaves at once */
    /* Orders to come: of rows, of columns. One job sorts at a time, and not before all is open. */
    struct wish_order {
        bool is_set, is_falling;
        int64_t by;
    } wish_order[2];
    bool reads_all, is_top; /* is_top: the view shows only the largest rows */
    /* A job's answer that was seen already. */
    uint64_t seen_job;
    bool has_stats;
    struct regex *pattern;
    struct io_search search;
    /* What the drawing fetched: the window on screen. */
    struct io_window seen;
    bool has_seen, is_sampled, is_missing, is_paper;
    struct view_state kept; /* of the pane while is_paper */
    double *window;         /* its values, for statistics and export; [seen.nr, seen.nc] */
    int64_t window_cap;
    /* On its way into a file, of a table: its values (NULL: the window's), and which rows it picked. */
    double *table;
    bool has_picked;
    int64_t picked[TOP_MANY];
    struct field fields[TREE_COLUMNS];
    struct plane_column {
        struct browse *b;
        int column;        /* -1: a plane */
        struct spec *spec; /* NULL: the one on screen */
    } columns[TREE_COLUMNS], error_column;
    struct field error;               /* standard errors of what is on screen */
    struct field_values error_values; /* the same on paper */
    bool has_paper_error;
    struct plane_axis {
        struct browse *b;
        bool is_row;
    } axes[2];
};

/* The documents of the workbench, made at first use; NULL: said why. */
struct browse *browse_of(struct workbench *wb);
void browse_release(struct browse **b);
/* Opens a file, or shows the one that is open; path within it "" or NULL: none. */
void browse_open(struct workbench *wb, const char *file, const char *path);
/* The report of a job, in the list while it fills (is_live) and shown when it is whole. */
void browse_report(
    struct workbench *wb, struct held_report *h, const char *title, uint64_t job, bool is_live);
/* What comes back here: the argument of :open, and the line of the plane and the cursor; NULL: none. */
const char *browse_dataset(const struct workbench *wb, struct arena *a, struct err *e);
/* "sort rows 12 falling", "sort rows off"; NULL: no plane */
const char *browse_sort_line(const struct workbench *wb, bool rows, struct arena *a, struct err *e);
void browse_sort_poll(struct workbench *wb); /* begins what is wished for when it can */
bool browse_ready(struct workbench *wb, bool needs_axes); /* a dataset is open; false: said why */
const char *browse_at_line(const struct workbench *wb, struct arena *a, struct err *e);
bool browse_poll(struct workbench *wb); /* takes what was read; whether anything changed */

/* Between the files of the browser. */
void browse_show(struct workbench *wb, int focus); /* PANE_DOCUMENTS or PANE_BLOCK */
void browse_list(struct browse *b);                /* makes the rows anew */
const struct node *browse_node(struct browse *b, const struct browse_row *r); /* NULL: a document */
bool browse_is_open(const struct browse *b, const struct browse_row *r);      /* not folded */
void browse_turn(struct browse *b, const struct browse_row *r);
void browse_enter(struct workbench *wb, int doc, int node); /* into the block pane */
/* A new plane in place of the present one; takes s. */
void browse_plane(struct workbench *wb, struct spec *s);
bool browse_field(struct browse *b, struct pane *p); /* its fields; false: nothing to draw */
struct spec *browse_changed(
    const struct browse *b); /* a copy in its own order, not aggregated yet */
void browse_commit(struct workbench *wb, struct spec *s); /* takes it; aggregates what is to be */
int64_t browse_index(const struct workbench *wb, const struct spec *s, int axis); /* the cursor's */
void browse_suit(struct workbench *wb, struct browse *b); /* the view that fits the plane best */
bool browse_is_text(const struct spec *s, int axis);      /* its labels are the words of texts */
void browse_forget(struct opened *o);                     /* the slot is free then */
/* Back to the plane that was drilled into; false: none was. */
bool browse_rise(struct workbench *wb);
void browse_searched(char *buf, size_t n, const struct browse *b); /* "the plane", "neuron 12" */
void browse_find(struct workbench *wb, const char *pattern, int direction);
/* The pane's data for a file is the window on screen, from begins until not. */
void browse_paper(struct workbench *wb, struct pane *p, bool begins);
/* The place of the window's i-th row or column in the plane. */
int64_t browse_place(const struct browse *b, bool is_row, int64_t i);
/* Where that window lies in its data set; NULL: the pane has none. Lives in the arena. */
const struct export_origin *browse_origin(
    const struct workbench *wb, const struct pane *p, struct arena *a, struct err *e);
/* The same of rows of a table. */
const struct export_origin *browse_rows_origin(const struct workbench *wb, const struct pane *p,
    int64_t first, int64_t rows, struct arena *a, struct err *e);
int browse_zoom(const struct browse *b, const struct pane *p, bool is_row); /* indices a cell */

#endif
