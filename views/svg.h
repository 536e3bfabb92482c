#ifndef SONDE_VIEWS_SVG_H
#define SONDE_VIEWS_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include "views/buf.h"

/* Self-contained SVG: every text is escaped, every number printed in the C locale. */
enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

/* `title` and `desc` are what screen readers say. */
void svg_open(
    struct buf *out, double w, double h, uint32_t paper, const char *title, const char *desc);
void svg_close(struct buf *out);
void svg_rect(struct buf *out, double x, double y, double w, double h, uint32_t fill);
/* A rectangle with a tooltip: the exact value survives in the drawing. */
void svg_rect_title(
    struct buf *out, double x, double y, double w, double h, uint32_t fill, const char *title);
void svg_line(struct buf *out, double x0, double y0, double x1, double y1, uint32_t stroke);
void svg_text(struct buf *out, double x, double y, enum svg_anchor anchor, double size,
    uint32_t fill, const char *text);
/* With a tooltip, "": none. */
void svg_text_title(struct buf *out, double x, double y, enum svg_anchor anchor, double size,
    uint32_t fill, const char *text, const char *title);
/* The same turned a quarter to the left: the name of an upright axis. */
void svg_text_up(struct buf *out, double x, double y, double size, uint32_t fill, const char *text);
/* A heading in a proportional face. */
void svg_heading(
    struct buf *out, double x, double y, double size, uint32_t fill, bool bold, const char *text);
/* A curve: begin, then points (`gap`: the pen is lifted before this one), then end. `dash`: "" or as
 * in stroke-dasharray. */
void svg_path_begin(struct buf *out);
void svg_path_to(struct buf *out, double x, double y, bool gap);
void svg_path_end(struct buf *out, double width, uint32_t stroke, const char *dash);
/* n x m values of a palette stretched over w x h, as an embedded PNG: exact however many there are. */
void svg_pixels(struct buf *out, double x, double y, double w, double h, const uint8_t *pixels,
    int n, int m, const uint32_t palette[256]);
/* One character cell. */
void svg_cell(struct buf *out, double x, double y, uint32_t fill, bool is_bold, const char *text);
/* A quarter turn of a frame around x, y with arms dx and dy. */
void svg_corner(struct buf *out, double x, double y, double dx, double dy, uint32_t stroke);

#endif
