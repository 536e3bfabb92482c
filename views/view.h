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

/* What a person can ask of a drawing. Each view says which it knows (struct view, `modes`);
 * view_toggle turns one on or off. MODE(id, name, help) */
#define VIEW_MODES(MODE)                                                                           \
    MODE(SORT, "sort", "by size, or in the axis' own order")                                       \
    MODE(TOP, "top", "only the ten largest, then the thirty largest, then all")                    \
    MODE(NUMBERS, "numbers", "numbers in the cells, or not")                                       \
    MODE(FLIP, "flip", "turn the rows upside down")                                                \
    MODE(TRANSPOSE, "transpose", "swap the axes")                                                  \
    MODE(COARSER, "coarser", "twice as many values a cell, along the axes that do not fit")        \
    MODE(FINER, "finer", "half as many values a cell")                                             \
    MODE(REDUCE, "reduce", "what a cell shows of many values: max |x|, mean, max, min, norm")      \
    MODE(LOG, "log", "a logarithmic scale for the values, or a linear one")                        \
    MODE(LOG_X, "log x", "a logarithmic scale for the axis, or a linear one")                      \
    MODE(OWN_SCALE, "own scale", "a scale for each panel, or one for all")

enum view_mode {
#define MODE(id, name, help) VIEW_##id,
    VIEW_MODES(MODE)
#undef MODE
        VIEW_MODE_COUNT
};

#define TOP_MANY 30 /* rows at most of a drawing of the largest */

/* What a person has done to a drawing. The zero value is a fresh one; axes come from the field. A
 * glyph stands for 2^level[i] indices along axis i and the first glyph for index scroll[i] <<
 * level[i]; `zoom` is what was asked for, `level` what the drawing took: an axis that fits whole
 * stays fine. Tokens and text scroll by lines. */
struct view_state {
    int64_t at[FIELD_MAX_RANK]; /* the cursor, and the slice along the axes not drawn */
    int64_t scroll[FIELD_MAX_RANK];
    bool has_axes;
    int row_axis, col_axis; /* valid when has_axes; col_axis -1: one axis only */
    bool sorted, flipped, numbers, log_v, log_x, own_scale;
    int top; /* > 0: only that many, the largest */
    int zoom;
    uint8_t level[FIELD_MAX_RANK];
    enum field_reduce reduce; /* of the values of one glyph; FIELD_POINT: max |x| or max */
    bool has_limits;          /* fixed colour limits; otherwise they follow the field */
    double lo, hi;
    double least;      /* the smallest positive value, for logarithmic scales */
    uint64_t seen;     /* generation and slice the limits were taken from */
    const char *match; /* labels that contain this are marked; NULL: none */
    /* Where the last drawing put its cells, for the mouse. */
    struct rect grid;
    int cell_w, cell_h, shown, columns; /* columns: of a table, those that are there whole */
    int64_t picked[TOP_MANY];           /* rows of a table that shows only `top` of them */
};

/* What is drawn: one field, or several of one shape (columns of a table, lines of a plot). A field
 * with look TEXT holds its text in axes[0].labels. */
struct view_data {
    const struct field *fields;
    int n;
    const struct mark *marks;
    int n_marks;
    bool is_focused;
    bool is_static;            /* on paper: no cursor */
    const struct field *error; /* standard errors of fields[0], NULL: none */
    const char *scale_note;    /* what the legend says of the scale; NULL: nothing */
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

/* What a view takes for granted of the numbers it draws. */
enum view_need {
    VIEW_NEEDS_ORDER,  /* neighbours along the last axis lie beside each other: layers, not heads */
    VIEW_NEEDS_ORDERS, /* and so do those along the one before */
    VIEW_NEEDS_WORDS,  /* the last axis is a text in its order */
    VIEW_NEEDS_SIZES   /* values measure something; ids of tokens do not */
};

#define VIEW_READOUT 256

/* A view is this descriptor in a file of its own, and a line in views/meson.build. It accepts fields
 * by look and rank and never knows which analysis made them. */
struct view {
    const char *id, *title;
    const char *help;   /* two sentences: what is drawn, and how it is read */
    const char *good;   /* what it is good for, one sentence */
    const char *source; /* of the method, NULL: none to name */
    unsigned modes;     /* 1u << VIEW_x that it knows */
    bool is_whole;      /* shows all of its axis at zoom 0, and 2^-zoom of it after VIEW_FINER */
    unsigned looks;     /* 1u << LOOK_x that it suits, best first for that look's own view */
    int min_rank, max_rank;
    unsigned needs; /* 1u << VIEW_NEEDS_x, without which a drawing would say what is not there */
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
/* The same for all that is drawn together: a table unless its columns are curves. */
const struct view *view_for_data(const struct view_data *d);
const char *view_mode_name(enum view_mode m);
const char *view_mode_help(enum view_mode m);
/* False: the view does not know this mode. */
bool view_toggle(
    const struct view *v, const struct view_data *d, struct view_state *st, enum view_mode m);
bool view_accepts(const struct view *v, const struct field *f); /* it can draw it */
/* It is worth offering: it has the axes, their kinds and values are what it needs, or the field's own
 * look asks for it. */
bool view_suits(const struct view *v, const struct field *f);

#endif
