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

static uint32_t rgb_of(const struct canvas *c, colour v, uint32_t def)
{
    struct paint p = theme_paint(c->theme, COLOURS_TRUE, (struct style){.fg = v});
    return p.fg < 0 ? def : (uint32_t)p.fg;
}

/* The screen as it stands: runs of equal style become one text element each. */
static void write_svg(struct buf *out, const struct canvas *c)
{
    const double cw = 8, ch = 17;
    uint32_t paper = c->theme->dark ? 0x16181c : 0xffffff;
    uint32_t ink = c->theme->dark ? 0xd0d0d0 : 0x202020;
    svg_open(out, c->w * cw + 16, c->h * ch + 16, paper);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w;) {
            const struct cell *k = cell_at(c, x, y);
            int end = x;
            struct buf run = {0};
            bool is_blank = true;
            while (end < c->w && !memcmp(&cell_at(c, end, y)->style, &k->style, sizeof k->style)) {
                const struct cell *at = cell_at(c, end++, y);
                is_blank = is_blank && (!at->width || !strcmp(at->text, " "));
                if (at->width)
                    buf_puts(&run, at->text);
            }
            uint32_t fg = rgb_of(c, k->style.fg, ink), bg = rgb_of(c, k->style.bg, paper);
            if (k->style.attrs & ATTR_REVERSE) {
                uint32_t swap = fg;
                fg = bg;
                bg = swap;
            }
            if (bg != paper)
                svg_rect(out, 8 + x * cw, 8 + y * ch, (end - x) * cw, ch, bg);
            if (!is_blank && run.data)
                svg_cells(out, 8 + x * cw, 8 + y * ch + 13, (end - x) * cw, fg,
                    k->style.attrs & ATTR_BOLD, run.data);
            out->failed |= run.failed;
            buf_release(&run);
            x = end;
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
