#include "views/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One decimal with a point whatever the locale, and never "nan" in an attribute. */
static void number(struct buf *out, double v)
{
    if (!isfinite(v) || fabs(v) > 1e9)
        v = 0;
    long long tenths = llround(v * 10);
    long long whole = tenths < 0 ? -tenths : tenths;
    buf_printf(out, "%s%lld", tenths < 0 ? "-" : "", whole / 10);
    if (whole % 10)
        buf_printf(out, ".%lld", whole % 10);
}

static void attribute(struct buf *out, const char *name, double v)
{
    buf_printf(out, " %s=\"", name);
    number(out, v);
    buf_put(out, "\"", 1);
}

static void fill_of(struct buf *out, uint32_t rgb)
{
    buf_printf(out, " fill=\"#%06x\"", (unsigned)rgb);
}

void svg_open(struct buf *out, double w, double h, uint32_t paper)
{
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    attribute(out, "width", w);
    attribute(out, "height", h);
    buf_puts(out, " viewBox=\"0 0 ");
    number(out, w);
    buf_put(out, " ", 1);
    number(out, h);
    buf_puts(out, "\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, "
                  "monospace\" font-size=\"12\" shape-rendering=\"crispEdges\">\n");
    svg_rect(out, 0, 0, w, h, paper);
}

void svg_close(struct buf *out)
{
    buf_puts(out, "</svg>\n");
}

static void rect_head(struct buf *out, double x, double y, double w, double h, uint32_t fill)
{
    buf_puts(out, "<rect");
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "width", w > 0 ? w : 0);
    attribute(out, "height", h > 0 ? h : 0);
    fill_of(out, fill);
}

void svg_rect(struct buf *out, double x, double y, double w, double h, uint32_t fill)
{
    rect_head(out, x, y, w, h, fill);
    buf_puts(out, "/>\n");
}

void svg_rect_title(
    struct buf *out, double x, double y, double w, double h, uint32_t fill, const char *title)
{
    rect_head(out, x, y, w, h, fill);
    buf_puts(out, "><title>");
    buf_xml(out, title);
    buf_puts(out, "</title></rect>\n");
}

void svg_line(struct buf *out, double x0, double y0, double x1, double y1, uint32_t stroke)
{
    buf_puts(out, "<line");
    attribute(out, "x1", x0);
    attribute(out, "y1", y0);
    attribute(out, "x2", x1);
    attribute(out, "y2", y1);
    buf_printf(
        out, " stroke=\"#%06x\" shape-rendering=\"geometricPrecision\"/>\n", (unsigned)stroke);
}

void svg_text(struct buf *out, double x, double y, enum svg_anchor anchor, double size,
    uint32_t fill, const char *text)
{
    static const char *const names[] = {"start", "middle", "end"};
    if (!text || !*text)
        return;
    buf_puts(out, "<text xml:space=\"preserve\"");
    attribute(out, "x", x);
    attribute(out, "y", y);
    if (anchor != SVG_START)
        buf_printf(out, " text-anchor=\"%s\"", names[anchor]);
    if (size != 12)
        attribute(out, "font-size", size);
    fill_of(out, fill);
    buf_put(out, ">", 1);
    buf_xml(out, text);
    buf_puts(out, "</text>\n");
}

void svg_cell(struct buf *out, double x, double y, uint32_t fill, bool is_bold, const char *text)
{
    buf_puts(out, "<text");
    attribute(out, "x", x);
    attribute(out, "y", y);
    if (is_bold)
        buf_puts(out, " font-weight=\"bold\"");
    fill_of(out, fill);
    buf_put(out, ">", 1);
    buf_xml(out, text);
    buf_puts(out, "</text>\n");
}

void svg_corner(struct buf *out, double x, double y, double dx, double dy, uint32_t stroke)
{
    buf_puts(out, "<path d=\"M ");
    number(out, x + dx);
    buf_put(out, " ", 1);
    number(out, y);
    buf_puts(out, " Q ");
    number(out, x);
    buf_put(out, " ", 1);
    number(out, y);
    buf_put(out, " ", 1);
    number(out, x);
    buf_put(out, " ", 1);
    number(out, y + dy);
    buf_printf(out, "\" fill=\"none\" stroke=\"#%06x\"/>\n", (unsigned)stroke);
}
