#ifndef SONDE_VIEWS_VIEW_H
#define SONDE_VIEWS_VIEW_H

#include "model/core/arena.h"
#include "model/core/field.h"
#include "views/canvas.h"
#include "views/ramp.h"

/* An index that the whole workbench has selected: every axis of that kind marks it. */
struct mark {
    enum axis_kind kind;
    int64_t index;
};

/* What a person has done to a drawing. The zero value is a fresh one; axes come from the field. */
struct view_state {
    int64_t at[FIELD_MAX_RANK];     /* the cursor, and the slice along the axes not drawn */
    int64_t scroll[FIELD_MAX_RANK]; /* first index shown */
    bool has_axes;
    int row_axis, col_axis; /* valid when has_axes; col_axis -1: one axis only */
    bool transposed, sorted, flipped, numbers;
    int zoom;        /* each step halves the resolution: 2^zoom indices a cell, largest first */
    bool has_limits; /* fixed colour limits; otherwise they follow the field */
    double lo, hi;
    uint64_t seen;     /* generation and slice the limits were taken from */
    const char *match; /* labels that contain this are marked; NULL: none */
    /* Where the last drawing put its cells, for the mouse. */
    struct rect grid;
    int cell_w, cell_h, shown;
};

/* What is drawn: one field, or several of one shape (columns of a table, lines of a plot). A field
 * with look TEXT holds its text in axes[0].labels. */
struct view_data {
    const struct field *fields;
    int n;
    const struct mark *marks;
    int n_marks;
    bool is_focused;
    bool is_static; /* on paper: no cursor */
};

struct screen {
    struct canvas *canvas;
    struct rect rect;
    struct arena *frame; /* scratch of one frame */
};

enum view_move {
    MOVE_LEFT,
    MOVE_RIGHT,
    MOVE_UP,
    MOVE_DOWN,
    MOVE_PAGE_UP,
    MOVE_PAGE_DOWN,
    MOVE_HOME,
    MOVE_END,
    MOVE_TOP,
    MOVE_BOTTOM
};

#define VIEW_READOUT 256

/* A view is this descriptor in a file of its own, and a line in views/meson.build. It accepts fields
 * by look and rank and never knows which analysis made them. */
struct view {
    const char *id, *title, *help; /* help: two sentences */
    unsigned looks; /* 1u << LOOK_x that it suits, best first for that look's own view */
    int min_rank, max_rank;
    /* Draws into s->rect; state follows (scroll, limits). `readout` gets the exact value under the
     * cursor with its coordinates and unit. Fetches what is visible and nothing else. */
    int (*draw)(const struct screen *s, const struct view_data *d, struct view_state *st,
        char readout[VIEW_READOUT], struct err *e);
    int (*svg)(struct buf *out, const struct view_data *d, struct view_state *st,
        struct arena *frame, struct err *e);
    /* Moves the cursor in the order the view draws; false: nothing moved. May be NULL. */
    bool (*move)(const struct view_data *d, struct view_state *st, enum view_move m, int page);
    /* Sets the cursor on what the last drawing put at x, y of the canvas. May be NULL. */
    bool (*pick)(const struct view_data *d, struct view_state *st, int x, int y);
};

extern const struct view *const views[]; /* generated from views/meson.build */
extern const int n_views;
const struct view *view_find(const char *id);
/* The view named after the field's look if it takes the rank, else the first that does. */
const struct view *view_for(const struct field *f);
bool view_accepts(const struct view *v, const struct field *f);

#endif
