#include "views/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/png.h"

/* One decimal with a point whatever the locale, and never "nan" in an attribute. */
static void number(struct buf *out, double v)
{
    if (!isfinite(v) || fabs(v) > 1e9)
        v = 0;
    long long tenths = llround(v * 10), whole = tenths < 0 ? -tenths : tenths;
    char digits[24], *at = digits + sizeof digits;
    if (whole % 10) {
        *--at = (char)('0' + whole % 10);
        *--at = '.';
    }
    whole /= 10;
    do
        *--at = (char)('0' + whole % 10);
    while (whole /= 10);
    if (tenths < 0)
        *--at = '-';
    buf_put(out, at, (size_t)(digits + sizeof digits - at));
}

static void attribute(struct buf *out, const char *name, double v)
{
    buf_put(out, " ", 1);
    buf_puts(out, name);
    buf_put(out, "=\"", 2);
    number(out, v);
    buf_put(out, "\"", 1);
}

static void fill_of(struct buf *out, uint32_t rgb)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = " fill=\"#000000\"";
    for (int i = 0; i < 6; i++)
        text[8 + i] = hex[rgb >> (20 - 4 * i) & 15];
    buf_put(out, text, sizeof text - 1);
}

void svg_open(
    struct buf *out, double w, double h, uint32_t paper, const char *title, const char *desc)
{
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    attribute(out, "width", w);
    attribute(out, "height", h);
    buf_puts(out, " viewBox=\"0 0 ");
    number(out, w);
    buf_put(out, " ", 1);
    number(out, h);
    buf_puts(out,
        "\" role=\"img\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, "
        "monospace\" font-size=\"12\" shape-rendering=\"crispEdges\">\n<title>");
    buf_xml(out, title);
    buf_puts(out, "</title>\n");
    if (*desc) {
        buf_puts(out, "<desc>");
        buf_xml(out, desc);
        buf_puts(out, "</desc>\n");
    }
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
    svg_text_title(out, x, y, anchor, size, fill, text, "");
}

void svg_text_title(struct buf *out, double x, double y, enum svg_anchor anchor, double size,
    uint32_t fill, const char *text, const char *title)
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
    if (*title) {
        buf_puts(out, "<title>");
        buf_xml(out, title);
        buf_puts(out, "</title>");
    }
    buf_puts(out, "</text>\n");
}

void svg_text_up(struct buf *out, double x, double y, double size, uint32_t fill, const char *text)
{
    buf_puts(out, "<text text-anchor=\"middle\" transform=\"translate(");
    number(out, x);
    buf_put(out, " ", 1);
    number(out, y);
    buf_puts(out, ") rotate(-90)\"");
    attribute(out, "font-size", size);
    fill_of(out, fill);
    buf_put(out, ">", 1);
    buf_xml(out, text);
    buf_puts(out, "</text>\n");
}

void svg_heading(
    struct buf *out, double x, double y, double size, uint32_t fill, bool bold, const char *text)
{
    if (!*text)
        return;
    buf_puts(out, "<text font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif\"");
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "font-size", size);
    if (bold)
        buf_puts(out, " font-weight=\"600\"");
    fill_of(out, fill);
    buf_put(out, ">", 1);
    buf_xml(out, text);
    buf_puts(out, "</text>\n");
}

void svg_path_begin(struct buf *out)
{
    buf_puts(out, "<path fill=\"none\" shape-rendering=\"geometricPrecision\" d=\"");
}

void svg_path_to(struct buf *out, double x, double y, bool gap)
{
    buf_put(out, gap ? "M" : "L", 1);
    number(out, x);
    buf_put(out, " ", 1);
    number(out, y);
}

void svg_path_end(struct buf *out, double width, uint32_t stroke, const char *dash)
{
    buf_puts(out, "\"");
    attribute(out, "stroke-width", width);
    if (*dash)
        buf_printf(out, " stroke-dasharray=\"%s\"", dash);
    buf_printf(out, " stroke-linejoin=\"round\" stroke-linecap=\"round\" stroke=\"#%06x\"/>\n",
        (unsigned)stroke);
}

void svg_pixels(struct buf *out, double x, double y, double w, double h, const uint8_t *pixels,
    int n, int m, const uint32_t palette[256])
{
    /* Not every reader knows "pixelated": large cells are written as many pixels, and stay sharp. */
    int kx = (int)ceil(w / n), ky = (int)ceil(h / m);
    buf_puts(out, "<image");
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "width", w);
    attribute(out, "height", h);
    buf_puts(out, " preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" "
                  "href=\"data:image/png;base64,");
    png_base64(out, pixels, n, m, kx > 1 ? kx : 1, ky > 1 ? ky : 1, palette);
    buf_puts(out, "\"/>\n");
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
