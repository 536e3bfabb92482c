#include "views/plot.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"

int plot_init(struct plot *p, const struct screen *s, int cols, int rows, struct err *e)
{
    enum glyphs g = s->canvas->glyphs;
    *p = (struct plot){.cols = cols, .rows = rows, .glyphs = g};
    p->dx = g == GLYPHS_ASCII ? 1 : 2;
    p->dy = g == GLYPHS_ASCII ? 1 : g == GLYPHS_BLOCK ? 2 : 4;
    p->w = cols * p->dx;
    p->h = rows * p->dy;
    size_t n = (size_t)cols * (size_t)rows;
    p->bits = arena_zalloc(s->frame, n, e);
    p->styles = arena_zalloc(s->frame, n * sizeof *p->styles, e);
    return p->bits && p->styles ? 0 : e->code;
}

void plot_dot(struct plot *p, int x, int y, struct style style)
{
    if (x < 0 || y < 0 || x >= p->w || y >= p->h)
        return;
    int cell = y / p->dy * p->cols + x / p->dx;
    p->bits[cell] |= (uint8_t)(1u << (y % p->dy * p->dx + x % p->dx));
    p->styles[cell] = style;
}

void plot_line(struct plot *p, int x0, int y0, int x1, int y1, struct style style)
{
    int dx = abs(x1 - x0), dy = -abs(y1 - y0), sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1;
    int err = dx + dy;
    for (;;) {
        plot_dot(p, x0, y0, style);
        if (x0 == x1 && y0 == y1)
            return;
        int twice = 2 * err;
        if (twice >= dy) {
            err += dy;
            x0 += sx;
        }
        if (twice <= dx) {
            err += dx;
            y0 += sy;
        }
    }
}

/* Braille numbers its dots down the left column, then the right, the bottom pair last. */
static unsigned braille(unsigned bits)
{
    static const unsigned char place[8] = {0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80};
    unsigned code = 0;
    for (int i = 0; i < 8; i++)
        if (bits & 1u << i)
            code |= place[i];
    return 0x2800 + code;
}

void plot_draw(const struct plot *p, struct canvas *c, int x, int y, char ascii)
{
    static const char *const quadrants[16] = {
        " ", "▘", "▝", "▀", "▖", "▌", "▞", "▛", "▗", "▚", "▐", "▜", "▄", "▙", "▟", "█"};
    for (int i = 0; i < p->rows * p->cols; i++) {
        char glyph[5] = {ascii};
        if (!p->bits[i])
            continue;
        if (p->glyphs == GLYPHS_BRAILLE)
            glyph[utf8_put(glyph, braille(p->bits[i]))] = '\0';
        else if (p->glyphs == GLYPHS_BLOCK)
            strcpy(glyph, quadrants[p->bits[i] & 15]);
        canvas_overlay(c, x + i % p->cols, y + i / p->cols, p->styles[i], glyph);
    }
}
