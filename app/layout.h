#ifndef SONDE_APP_LAYOUT_H
#define SONDE_APP_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/err.h"
#include "views/canvas.h"

enum pane_id {
#define PANE(id, name) PANE_##id,
#include "app/panes.def"
#undef PANE
    PANE_COUNT
};

/* A slot holds one pane. The first PANE_COUNT hold a pane of each kind; the others are for a second
 * pane of a kind that is shown already. */
#define PANE_EXTRA 6
#define PANE_SLOTS (PANE_COUNT + PANE_EXTRA)
#define SLOT_NONE (-1)
#define SLOT_FOCUSED (-2) /* a leaf that shows whichever pane has the focus */

#define SCREEN_W 60 /* smaller screens get a note instead of panes */
#define SCREEN_H 15
#define LAYOUTS 9
#define LAYOUT_PATCHING 7

/* The panes below the tokens, as a tree of splits. In words: `lens` is a pane, `lens:contour` one
 * drawn by another view, `[65 lens | next]` puts two side by side, the first with 65 % of the width,
 * `[50 A / B]` one above the other, `*` is whichever pane has the focus. */
#define LAYOUT_NODES 31
#define VIEW_NAME 16
struct layout_node {
    char split;           /* '|', '/', or 0: a leaf */
    int share, a, b;      /* per cent of the first, and the two */
    int slot, kind;       /* of a leaf */
    char view[VIEW_NAME]; /* "": the pane's own */
};
struct layout {
    struct layout_node nodes[LAYOUT_NODES]; /* the root is the first */
    int n;
};

const char *layout_title(int number); /* 1..LAYOUTS */
void layout_preset(struct layout *out, int number);
/* Which of the leaves of its kind a slot is, from the left and the top: 1, 2, ..; 0: none. The slot of
 * the n-th leaf of a kind; -1: there is none. */
int layout_nth(const struct layout *l, int slot);
int layout_find_nth(const struct layout *l, int kind, int n);
int layout_parse(struct layout *out, const char *text, struct err *e);
void layout_print(char *buf, size_t n, const struct layout *l);
int layout_leaf(const struct layout *l, int slot); /* the node that holds it, -1: not shown */
int layout_first(const struct layout *l);          /* slot of the first leaf */
/* Puts a pane of the kind beside (|) or below (/) the slot; its slot in *added. */
int layout_split(int *added, struct layout *l, int slot, char split, int kind, struct err *e);
bool layout_close(struct layout *l, int slot); /* false: it is the last one */
/* Grows the slot by per cent along a direction; false: no split runs that way. */
bool layout_resize(struct layout *l, int slot, char split, int percent);
/* Puts a pane of another kind into the slot's place; its new slot. */
int layout_replace(struct layout *l, int slot, int kind);

/* Where everything is. Panes that are not shown have an empty rectangle. */
struct places {
    bool is_too_small, is_single; /* single: one pane at a time, for lack of room */
    struct rect status, footer, panes[PANE_SLOTS];
};
/* focus decides what a single pane is; zoomed: the pane alone, SLOT_NONE: none. token_columns < 0: no
 * prompt and no tokens above the panes. kept: rows above the footer that something else takes. */
void layout_arrange(struct places *out, const struct layout *l, int w, int h, int kept,
    int token_columns, int focus, int zoomed);

#endif
