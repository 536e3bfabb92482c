#ifndef SONDE_VIEWS_SVG_H
#define SONDE_VIEWS_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include "views/buf.h"

/* Self-contained SVG: every text is escaped, every number printed in the C locale. */
enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

void svg_open(struct buf *out, double w, double h, uint32_t paper);
void svg_close(struct buf *out);
void svg_rect(struct buf *out, double x, double y, double w, double h, uint32_t fill);
/* A rectangle with a tooltip: the exact value survives in the drawing. */
void svg_rect_title(
    struct buf *out, double x, double y, double w, double h, uint32_t fill, const char *title);
void svg_line(struct buf *out, double x0, double y0, double x1, double y1, uint32_t stroke);
void svg_text(struct buf *out, double x, double y, enum svg_anchor anchor, double size,
    uint32_t fill, const char *text);
/* One character cell. */
void svg_cell(struct buf *out, double x, double y, uint32_t fill, bool is_bold, const char *text);
/* A quarter turn of a frame around x, y with arms dx and dy. */
void svg_corner(struct buf *out, double x, double y, double dx, double dy, uint32_t stroke);

#endif
