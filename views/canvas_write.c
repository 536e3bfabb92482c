#include <stdio.h>
#include <string.h>

#include "views/canvas.h"
#include "views/svg.h"

static const struct cell *cell_at(const struct canvas *c, int x, int y)
{
    return &c->cells[(size_t)y * (size_t)c->w + (size_t)x];
}

static int line_end(const struct canvas *c, int y, bool with_colour)
{
    int end = c->w;
    while (end > 0) {
        const struct cell *k = cell_at(c, end - 1, y);
        bool is_blank = !strcmp(k->text, " ");
        if (!is_blank || (with_colour && (k->style.bg || k->style.attrs & ATTR_REVERSE)))
            break;
        end--;
    }
    return end;
}

static void write_plain(struct buf *out, const struct canvas *c)
{
    for (int y = 0; y < c->h; y++) {
        int end = line_end(c, y, false);
        for (int x = 0; x < end; x++)
            if (cell_at(c, x, y)->width)
                buf_puts(out, cell_at(c, x, y)->text);
        buf_put(out, "\n", 1);
    }
}

static void put_colour(struct buf *out, enum colour_mode mode, int32_t v, int base)
{
    if (v < 0)
        return;
    if (mode == COLOURS_TRUE)
        buf_printf(out, ";%d;2;%d;%d;%d", base + 8, v >> 16 & 255, v >> 8 & 255, v & 255);
    else if (mode == COLOURS_256)
        buf_printf(out, ";%d;5;%d", base + 8, v);
    else
        buf_printf(out, ";%d", v < 8 ? base + v : base + 60 + v - 8);
}

static void write_ansi(struct buf *out, const struct canvas *c)
{
    const struct paint none = {-1, -1, 0};
    for (int y = 0; y < c->h; y++) {
        struct paint now = none;
        int end = line_end(c, y, true);
        for (int x = 0; x < end; x++) {
            const struct cell *k = cell_at(c, x, y);
            if (!k->width)
                continue;
            struct paint p = theme_paint(c->theme, c->mode, k->style);
            if (p.fg != now.fg || p.bg != now.bg || p.attrs != now.attrs) {
                buf_puts(out, "\x1b[0");
                if (p.attrs & ATTR_BOLD)
                    buf_puts(out, ";1");
                if (p.attrs & ATTR_DIM)
                    buf_puts(out, ";2");
                if (p.attrs & ATTR_UNDERLINE)
                    buf_puts(out, ";4");
                if (p.attrs & ATTR_REVERSE)
                    buf_puts(out, ";7");
                put_colour(out, c->mode, p.fg, 30);
                put_colour(out, c->mode, p.bg, 40);
                buf_put(out, "m", 1);
                now = p;
            }
            buf_puts(out, k->text);
        }
        if (now.fg != none.fg || now.bg != none.bg || now.attrs)
            buf_puts(out, "\x1b[0m");
        buf_put(out, "\n", 1);
    }
}

/* A letter a cell: '.' for plain text, 'a' + role, upper case when reversed, '#' for data colour. */
static void write_roles(struct buf *out, const struct canvas *c)
{
    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++) {
            const struct cell *k = cell_at(c, x, y);
            char letter = '.';
            if (COLOUR_IS_RGB(k->style.bg) || COLOUR_IS_RGB(k->style.fg))
                letter = '#';
            else if (COLOUR_IS_ROLE(k->style.fg) && strcmp(k->text, " "))
                letter = (char)('a' + (k->style.fg & 0xff));
            if (k->style.attrs & ATTR_REVERSE)
                letter = letter == '.' || letter == '#' ? '@' : (char)(letter - 'a' + 'A');
            buf_put(out, &letter, 1);
        }
        buf_put(out, "\n", 1);
    }
}

#define CELL_W 8.0
#define CELL_H 17.0

/* Blocks and frames as shapes: fonts draw them with gaps. False: an ordinary character. */
static bool svg_shape(struct buf *out, const char *glyph, double x, double y, uint32_t fg)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    static const struct {
        const char *glyph;
        double x0, y0, x1, y1; /* a filled part of the cell */
    } parts[] = {{"▀", 0, 0, 1, 0.5}, {"▄", 0, 0.5, 1, 1}, {"▐", 0.5, 0, 1, 1},
        {"▕", 0.875, 0, 1, 1}, {"─", 0, 0.47, 1, 0.53}, {"━", 0, 0.42, 1, 0.58},
        {"│", 0.44, 0, 0.56, 1}, {"┃", 0.38, 0, 0.62, 1}};
    static const struct {
        const char *glyph;
        int dx, dy; /* where its arms point */
    } corners[] = {{"╭", 1, 1}, {"╮", -1, 1}, {"╰", 1, -1}, {"╯", -1, -1}};
    for (int i = 1; i <= 8; i++)
        if (!strcmp(glyph, eighths[i])) {
            svg_rect(out, x, y, CELL_W * i / 8, CELL_H, fg);
            return true;
        }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(glyph, parts[i].glyph)) {
            svg_rect(out, x + parts[i].x0 * CELL_W, y + parts[i].y0 * CELL_H,
                (parts[i].x1 - parts[i].x0) * CELL_W, (parts[i].y1 - parts[i].y0) * CELL_H, fg);
            return true;
        }
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++)
        if (!strcmp(glyph, corners[i].glyph)) {
            svg_corner(out, x + CELL_W / 2, y + CELL_H / 2, corners[i].dx * CELL_W / 2,
                corners[i].dy * CELL_H / 2, fg);
            return true;
        }
    return false;
}

/* The screen as it stands, every cell at its own place. */
static void write_svg(struct buf *out, const struct canvas *c)
{
    uint32_t paper = c->theme->dark ? 0x16181c : 0xffffff;
    uint32_t ink = c->theme->dark ? 0xd0d0d0 : 0x202020;
    svg_open(out, c->w * CELL_W + 16, c->h * CELL_H + 16, paper, "a screen of sonde", "");
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w;) {
            const struct cell *k = cell_at(c, x, y);
            int end = x;
            struct paint p = theme_paint(c->theme, COLOURS_TRUE, k->style);
            uint32_t fg = p.fg < 0 ? ink : (uint32_t)p.fg, bg = p.bg < 0 ? paper : (uint32_t)p.bg;
            if (p.attrs & ATTR_REVERSE) {
                uint32_t swap = fg;
                fg = bg;
                bg = swap;
            }
            while (end < c->w && !memcmp(&cell_at(c, end, y)->style, &k->style, sizeof k->style))
                end++;
            double top = 8 + y * CELL_H;
            if (bg != paper)
                svg_rect(out, 8 + x * CELL_W, top, (end - x) * CELL_W, CELL_H, bg);
            for (; x < end; x++) {
                const struct cell *at = cell_at(c, x, y);
                double left = 8 + x * CELL_W;
                if (at->width && strcmp(at->text, " ") && !svg_shape(out, at->text, left, top, fg))
                    svg_cell(out, left, top + 13, fg, p.attrs & ATTR_BOLD, at->text);
            }
        }
    svg_close(out);
}

void canvas_write(struct buf *out, const struct canvas *c, enum canvas_format format)
{
    static void (*const writers[])(struct buf *, const struct canvas *) = {
        [CANVAS_PLAIN] = write_plain,
        [CANVAS_ANSI] = write_ansi,
        [CANVAS_ROLES] = write_roles,
        [CANVAS_SVG] = write_svg,
    };
    writers[format](out, c);
}
