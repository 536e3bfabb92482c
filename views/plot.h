#ifndef SONDE_VIEWS_PLOT_H
#define SONDE_VIEWS_PLOT_H

#include "views/view.h"

/* Dots finer than cells: braille has 2 x 4 a cell, blocks 2 x 2, ASCII one. Each cell remembers one
 * style, the last that was drawn there. */
struct plot {
    int w, h;   /* dots */
    int dx, dy; /* dots a cell */
    int cols, rows;
    uint8_t *bits; /* [rows * cols] */
    struct style *styles;
    enum glyphs glyphs;
};

int plot_init(struct plot *p, const struct screen *s, int cols, int rows, struct err *e);
void plot_dot(struct plot *p, int x, int y, struct style style);
void plot_line(struct plot *p, int x0, int y0, int x1, int y1, struct style style);
/* Puts every cell that has a dot at x, y of the canvas; `ascii` is the sign at the ASCII level. Paper
 * already on the canvas stays. */
void plot_draw(const struct plot *p, struct canvas *c, int x, int y, char ascii);

#endif
