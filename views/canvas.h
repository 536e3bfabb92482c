#ifndef SONDE_VIEWS_CANVAS_H
#define SONDE_VIEWS_CANVAS_H

#include "model/core/err.h"
#include "views/buf.h"
#include "views/style.h"
#include "views/theme.h"

#define CELL_TEXT 24

struct rect {
    int x, y, w, h;
};

/* One cell holds one grapheme cluster; a wide cluster is followed by a cell of width 0. */
struct cell {
    char text[CELL_TEXT]; /* NUL-terminated; a cluster that does not fit keeps its first part */
    struct style style;
    uint8_t width;
};

/* Everything is drawn here first: the terminal, `show`, SVG and tests all read the same cells.
 * Drawing outside the clip rectangle is dropped, so drawing code needs no bounds checks. */
struct canvas {
    int w, h;
    struct cell *cells; /* [h * w] */
    struct rect clip;
    enum glyphs glyphs;
    enum colour_mode mode; /* drawing code asks only whether colour can carry data */
    const struct theme *theme;
};

int canvas_init(struct canvas *c, int w, int h, struct err *e);
int canvas_resize(struct canvas *c, int w, int h, struct err *e); /* cleared afterwards */
void canvas_release(struct canvas *c);
void canvas_clear(struct canvas *c);
/* Narrows the clip to r within the present one; returns the old one to put back. */
struct rect canvas_clip(struct canvas *c, struct rect r);

/* Draws text from x, at most max_w columns (< 0: to the clip's edge), and returns the columns used.
 * Control and invalid bytes appear escaped, never raw. Text that does not fit ends in an ellipsis. */
int canvas_text(struct canvas *c, int x, int y, int max_w, struct style s, const char *text);
int canvas_textf(struct canvas *c, int x, int y, int max_w, struct style s, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* The last column lies at x_end - 1; returns the columns used. */
int canvas_right(struct canvas *c, int x_end, int y, int max_w, struct style s, const char *text);
/* One glyph of one column whose paper stays what it was. */
void canvas_overlay(struct canvas *c, int x, int y, struct style s, const char *glyph);
void canvas_fill(struct canvas *c, struct rect r, struct style s, const char *glyph);
/* Changes style without touching text: the cursor, a dimmed pane. */
void canvas_restyle(struct canvas *c, struct rect r, void (*fn)(struct style *s));
void canvas_dim(struct canvas *c, struct rect r);
void canvas_reverse(struct canvas *c, struct rect r);
/* A quiet guide over what is drawn: a grey paper, or an upright line where cells are blank. */
void canvas_guide(struct canvas *c, struct rect r);
/* Rounded frame with a title on its top edge; returns the inside. */
struct rect canvas_frame(struct canvas *c, struct rect r, const char *title, bool is_focused);
/* A bar of v (0..1) of w columns in eighths, growing right, or left from x + w. */
void canvas_bar(struct canvas *c, int x, int y, int w, double v, bool leftward, struct style s);
/* Columns the text would take. */
int text_columns(const char *text);
int canvas_columns(const struct canvas *c, const char *text); /* at the canvas' glyph level */

enum canvas_format { CANVAS_PLAIN, CANVAS_ANSI, CANVAS_ROLES, CANVAS_SVG };
/* Plain: lines without trailing blanks. ANSI: in c->mode. Roles: a letter a cell, for tests. */
void canvas_write(struct buf *out, const struct canvas *c, enum canvas_format format);

#endif
