#ifndef SONDE_APP_LAYOUT_H
#define SONDE_APP_LAYOUT_H

#include <stdbool.h>

#include "views/canvas.h"

enum pane_id {
    PANE_PROMPT,
    PANE_TOKENS,
    PANE_LENS,
    PANE_NEXT,
    PANE_ATTENTION,
    PANE_DLA,
    PANE_HEADS,
    PANE_CELL,
    PANE_NEURONS,
    PANE_TEXT,
    PANE_COUNT
};

#define SCREEN_W 60 /* smaller screens get a note instead of panes */
#define SCREEN_H 15
#define LAYOUTS 9

/* Where everything is. Panes that are not shown have an empty rectangle. */
struct layout {
    bool is_too_small;
    struct rect status, footer, panes[PANE_COUNT];
};

const char *layout_title(int number); /* 1..LAYOUTS */
bool layout_shows(int number, enum pane_id pane);
/* focus decides what narrow screens show; zoomed: the pane alone, PANE_COUNT: none. */
void layout_arrange(struct layout *out, int number, int w, int h, int token_columns,
    enum pane_id focus, enum pane_id zoomed);

#endif
