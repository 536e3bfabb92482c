#include "views/canvas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"

#define TEXT_LINE 2048 /* bytes of one text; longer ones are cut */
#define CANVAS_SIDE_MAX 4096

static struct rect intersect(struct rect a, struct rect b)
{
    int x0 = a.x > b.x ? a.x : b.x, y0 = a.y > b.y ? a.y : b.y;
    int x1 = a.x + a.w < b.x + b.w ? a.x + a.w : b.x + b.w;
    int y1 = a.y + a.h < b.y + b.h ? a.y + a.h : b.y + b.h;
    return (struct rect){x0, y0, x1 > x0 ? x1 - x0 : 0, y1 > y0 ? y1 - y0 : 0};
}

int canvas_init(struct canvas *c, int w, int h, struct err *e)
{
    *c = (struct canvas){.glyphs = GLYPHS_BRAILLE, .mode = COLOURS_256, .theme = &themes[0]};
    return canvas_resize(c, w, h, e);
}

int canvas_resize(struct canvas *c, int w, int h, struct err *e)
{
    if (w < 0 || h < 0 || w > CANVAS_SIDE_MAX || h > CANVAS_SIDE_MAX)
        return err_set(e, ERR_LIMIT, "a screen of %d x %d cells is beyond %d x %d", w, h,
            CANVAS_SIDE_MAX, CANVAS_SIDE_MAX);
    size_t n = (size_t)w * (size_t)h;
    struct cell *cells = realloc(c->cells, (n ? n : 1) * sizeof *cells);
    if (!cells)
        return err_set(e, ERR_LIMIT, "no memory for a screen of %d x %d cells", w, h);
    c->cells = cells;
    c->w = w;
    c->h = h;
    canvas_clear(c);
    return 0;
}

void canvas_release(struct canvas *c)
{
    free(c->cells);
    *c = (struct canvas){0};
}

void canvas_clear(struct canvas *c)
{
    c->clip = (struct rect){0, 0, c->w, c->h};
    for (int i = 0; i < c->w * c->h; i++)
        c->cells[i] = (struct cell){.text = " ", .width = 1};
}

struct rect canvas_clip(struct canvas *c, struct rect r)
{
    struct rect old = c->clip;
    c->clip = intersect(r, old);
    return old;
}

static struct cell *cell_at(const struct canvas *c, int x, int y)
{
    return &c->cells[(size_t)y * (size_t)c->w + (size_t)x];
}

/* Half of a wide cluster never stays behind: what remains of it becomes blank. */
static void clear_halves(struct canvas *c, int x, int y)
{
    struct cell *cell = cell_at(c, x, y);
    if (cell->width == 0 && x > 0) {
        struct cell *left = cell_at(c, x - 1, y);
        memcpy(left->text, " ", 2);
        left->width = 1;
    } else if (cell->width == 2 && x + 1 < c->w) {
        struct cell *right = cell_at(c, x + 1, y);
        memcpy(right->text, " ", 2);
        right->width = 1;
    }
    cell->width = 1;
}

static void put(struct canvas *c, int x, int y, struct style s, const char *text, size_t n, int w)
{
    if (y < c->clip.y || y >= c->clip.y + c->clip.h || x < c->clip.x ||
        x + w > c->clip.x + c->clip.w)
        return;
    struct cell *cell = cell_at(c, x, y);
    clear_halves(c, x, y);
    while (n >= CELL_TEXT || (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80))
        n--;
    memcpy(cell->text, text, n);
    cell->text[n] = '\0';
    cell->style = s;
    cell->width = (uint8_t)w;
    if (w == 2) {
        clear_halves(c, x + 1, y);
        *cell_at(c, x + 1, y) = (struct cell){.style = s};
    }
}

/* Signs of the house that plain ASCII can say too; anything else is escaped there. */
static const struct {
    const char *sign, *ascii;
} plain[] = {{"…", "~"}, {"−", "-"}, {"–", "-"}, {"·", "_"}, {"×", "x"}, {"Σ", "sum"}, {"Δ", "d"},
    {"→", "->"}, {"▾", "v"}, {"▸", ">"}, {"±", "+-"}, {"∞", "inf"}, {"≥", ">="}, {"≤", "<="}};

/* Text that is safe for a terminal at this glyph level, in buf; cut where buf ends. */
static const char *safe(char *buf, size_t n, const char *text, enum glyphs g)
{
    if (g != GLYPHS_ASCII) {
        text_escape(buf, n, text, strlen(text), 0);
        return buf;
    }
    size_t at = 0;
    while (*text && at + 8 < n) {
        size_t used = 0;
        for (size_t i = 0; i < sizeof plain / sizeof *plain && !used; i++)
            if (!strncmp(text, plain[i].sign, strlen(plain[i].sign))) {
                used = strlen(plain[i].sign);
                at += (size_t)snprintf(buf + at, n - at, "%s", plain[i].ascii);
            }
        if (!used) {
            int columns;
            used = text_cluster(&columns, text, strlen(text));
            size_t want = text_escape(buf + at, n - at, text, used, TEXT_ASCII);
            at += want < n - at ? want : strlen(buf + at);
        }
        text += used;
    }
    buf[at] = '\0';
    return buf;
}

int text_columns(const char *text)
{
    char buf[TEXT_LINE];
    safe(buf, sizeof buf, text, GLYPHS_BLOCK);
    return text_width(buf, strlen(buf));
}

int canvas_columns(const struct canvas *c, const char *text)
{
    char buf[TEXT_LINE];
    safe(buf, sizeof buf, text, c->glyphs);
    return text_width(buf, strlen(buf));
}

int canvas_text(struct canvas *c, int x, int y, int max_w, struct style s, const char *text)
{
    char buf[TEXT_LINE];
    int edge = c->clip.x + c->clip.w - x;
    if (max_w < 0 || max_w > edge)
        max_w = edge;
    if (max_w <= 0 || y < c->clip.y || y >= c->clip.y + c->clip.h)
        return 0;
    safe(buf, sizeof buf, text, c->glyphs);
    size_t n = strlen(buf), i = 0;
    bool fits = text_width(buf, n) <= max_w;
    int room = fits ? max_w : max_w - 1, at = 0;
    while (i < n) {
        int w;
        size_t used = text_cluster(&w, buf + i, n - i);
        if (at + w > room)
            break;
        if (w > 0)
            put(c, x + at, y, s, buf + i, used, w);
        i += used;
        at += w;
    }
    if (!fits) {
        const char *end = c->glyphs == GLYPHS_ASCII ? "~" : "…";
        put(c, x + at, y, s, end, strlen(end), 1);
        at++;
    }
    return at;
}

int canvas_textf(struct canvas *c, int x, int y, int max_w, struct style s, const char *fmt, ...)
{
    char text[TEXT_LINE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return canvas_text(c, x, y, max_w, s, text);
}

int canvas_right(struct canvas *c, int x_end, int y, int max_w, struct style s, const char *text)
{
    int w = canvas_columns(c, text);
    if (w > max_w)
        w = max_w;
    return canvas_text(c, x_end - w, y, w, s, text);
}

void canvas_fill(struct canvas *c, struct rect r, struct style s, const char *glyph)
{
    r = intersect(r, c->clip);
    size_t n = strlen(glyph);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            put(c, x, y, s, glyph, n, 1);
}

void canvas_overlay(struct canvas *c, int x, int y, struct style s, const char *glyph)
{
    struct rect r = intersect((struct rect){x, y, 1, 1}, c->clip);
    if (!r.w || !r.h)
        return;
    s.bg = cell_at(c, x, y)->style.bg;
    put(c, x, y, s, glyph, strlen(glyph), 1);
}

void canvas_restyle(struct canvas *c, struct rect r, void (*fn)(struct style *s))
{
    r = intersect(r, c->clip);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            fn(&cell_at(c, x, y)->style);
}

/* Data colours halve their distance to the background; text goes grey. */
static void dim(struct style *s)
{
    if (COLOUR_IS_RGB(s->bg))
        s->bg = COLOUR_RGB((s->bg >> 1 & 0x7f7f7f) + 0x101010);
    if (COLOUR_IS_RGB(s->fg))
        s->fg = COLOUR_RGB((s->fg >> 1 & 0x7f7f7f) + 0x101010);
    else
        s->fg = COLOUR_ROLE(ROLE_DIM);
    s->attrs = (s->attrs & ~(unsigned)(ATTR_BOLD | ATTR_REVERSE)) | ATTR_DIM;
}

static void reverse(struct style *s)
{
    s->attrs ^= ATTR_REVERSE;
}

void canvas_dim(struct canvas *c, struct rect r)
{
    canvas_restyle(c, r, dim);
}

void canvas_reverse(struct canvas *c, struct rect r)
{
    canvas_restyle(c, r, reverse);
}

void canvas_guide(struct canvas *c, struct rect r)
{
    r = intersect(r, c->clip);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++) {
            struct cell *k = cell_at(c, x, y);
            if (c->mode >= COLOURS_256)
                k->style.bg = COLOUR_RGB(c->theme->dark ? 0x3a3a3a : 0xdadada);
            else if (!strcmp(k->text, " "))
                put(c, x, y, STYLE(DIM), c->glyphs == GLYPHS_ASCII ? "|" : "│",
                    c->glyphs == GLYPHS_ASCII ? 1 : strlen("│"), 1);
        }
}

struct rect canvas_frame(struct canvas *c, struct rect r, const char *title, bool is_focused)
{
    static const char *const round[] = {"╭", "╮", "╰", "╯", "─", "│"};
    static const char *const ascii[] = {".", ".", "`", "'", "-", "|"};
    const char *const *g = c->glyphs == GLYPHS_ASCII ? ascii : round;
    struct style s = is_focused ? STYLE(FOCUS) : STYLE(FRAME);
    struct style st = is_focused ? STYLE(FOCUS) : STYLE(TITLE);
    if (r.w < 2 || r.h < 2)
        return r;
    if (is_focused)
        st.attrs |= ATTR_BOLD;
    canvas_fill(c, (struct rect){r.x + 1, r.y, r.w - 2, 1}, s, g[4]);
    canvas_fill(c, (struct rect){r.x + 1, r.y + r.h - 1, r.w - 2, 1}, s, g[4]);
    canvas_fill(c, (struct rect){r.x, r.y + 1, 1, r.h - 2}, s, g[5]);
    canvas_fill(c, (struct rect){r.x + r.w - 1, r.y + 1, 1, r.h - 2}, s, g[5]);
    canvas_text(c, r.x, r.y, 1, s, g[0]);
    canvas_text(c, r.x + r.w - 1, r.y, 1, s, g[1]);
    canvas_text(c, r.x, r.y + r.h - 1, 1, s, g[2]);
    canvas_text(c, r.x + r.w - 1, r.y + r.h - 1, 1, s, g[3]);
    if (title && *title && r.w > 6) {
        int w = canvas_text(c, r.x + 2, r.y, r.w - 4, st, title);
        canvas_text(c, r.x + 1, r.y, 1, s, " ");
        canvas_text(c, r.x + 2 + w, r.y, 1, s, " ");
    }
    return (struct rect){r.x + 1, r.y + 1, r.w - 2, r.h - 2};
}

void canvas_bar(struct canvas *c, int x, int y, int w, double v, bool leftward, struct style s)
{
    static const char *const right[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (w <= 0 || !(v > 0))
        return;
    int eighths = (int)((v > 1 ? 1 : v) * w * 8 + 0.5);
    if (c->glyphs == GLYPHS_ASCII)
        eighths = (eighths + 4) / 8 * 8;
    int whole = eighths / 8, rest = eighths % 8;
    const char *full = c->glyphs == GLYPHS_ASCII ? "#" : "█";
    struct rect r = {leftward ? x + w - whole : x, y, whole, 1};
    canvas_fill(c, r, s, full);
    if (!rest || whole >= w)
        return;
    /* The only right-hand eighths every font has are one eighth and one half. */
    if (leftward)
        canvas_text(c, x + w - whole - 1, y, 1, s, rest < 3 ? "▕" : "▐");
    else
        canvas_text(c, x + whole, y, 1, s, right[rest]);
}
