#include "views/theme.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/err.h"
#include "views/ramp.h"

#define B ATTR_BOLD
#define D ATTR_DIM
#define R ATTR_REVERSE
#define U ATTR_UNDERLINE

const struct theme
    themes[] =
        {
            {.name = "night",
                .help = "quiet greys and one blue, for dark backgrounds",
                .dark = true,
                .roles =
                    {
                        [ROLE_TEXT] = {-1, -1, -1, 0, 0},
                        [ROLE_DIM] = {0x8a8a8a, 245, 8, 0, D},
                        [ROLE_STRONG] = {-1, -1, -1, B, B},
                        [ROLE_FRAME] = {0x6c6c6c, 242, 8, 0, D},
                        [ROLE_FOCUS] = {0x87afd7, 110, 14, 0, B},
                        [ROLE_TITLE] = {0xb2b2b2, 249, 7, 0, 0},
                        [ROLE_LABEL] = {0xafafaf, 145, 7, 0, 0},
                        [ROLE_MARK] = {0xffd787, 222, 11, B, B | U},
                        [ROLE_CURSOR] = {0xffffff, 231, 15, B | R, B | R},
                        [ROLE_POSITIVE] = {0xe9835f, 173, 9, 0, 0},
                        [ROLE_NEGATIVE] = {0x6aaee0, 74, 14, 0, 0},
                        [ROLE_BAR] = {0x5fafaf, 73, 6, 0, 0},
                        [ROLE_ALT1] = {0xd7af5f, 179, 3, 0, 0},
                        [ROLE_ALT2] = {0xaf87d7, 140, 13, 0, 0},
                        [ROLE_ALT3] = {0x87af87, 108, 2, 0, 0},
                        [ROLE_OK] = {0x87af5f, 107, 2, 0, 0},
                        [ROLE_WARN] = {0xffaf5f, 215, 3, 0, B},
                        [ROLE_ERROR] = {0xff8787, 210, 9, B, B | R},
                        [ROLE_KEY] = {0x87afd7, 110, 14, B, B},
                        [ROLE_STATUS] = {0xc6c6c6, 251, 7, 0, 0},
                        [ROLE_PROGRESS] = {0x87afd7, 110, 14, 0, 0},
                        [ROLE_MATCH] = {0xffd75f, 221, 11, U, U},
                    }},
            {.name = "day",
                .help = "the same roles for light backgrounds",
                .dark = false,
                .roles =
                    {
                        [ROLE_TEXT] = {-1, -1, -1, 0, 0},
                        [ROLE_DIM] = {0x626262, 241, 8, 0, D},
                        [ROLE_STRONG] = {-1, -1, -1, B, B},
                        [ROLE_FRAME] = {0x808080, 244, 8, 0, D},
                        [ROLE_FOCUS] = {0x005faf, 25, 4, 0, B},
                        [ROLE_TITLE] = {0x4e4e4e, 239, 0, 0, 0},
                        [ROLE_LABEL] = {0x585858, 240, 0, 0, 0},
                        [ROLE_MARK] = {0x875f00, 94, 5, B, B | U},
                        [ROLE_CURSOR] = {0x000000, 16, 0, B | R, B | R},
                        [ROLE_POSITIVE] = {0xb2402b, 124, 1, 0, 0},
                        [ROLE_NEGATIVE] = {0x2166ac, 25, 4, 0, 0},
                        [ROLE_BAR] = {0x006a6a, 23, 4, 0, 0},
                        [ROLE_ALT1] = {0x875f00, 94, 1, 0, 0},
                        [ROLE_ALT2] = {0x8700af, 91, 5, 0, 0},
                        [ROLE_ALT3] = {0x3d7000, 22, 0, 0, 0},
                        [ROLE_OK] = {0x3d7000, 22, 4, 0, 0},
                        [ROLE_WARN] = {0x875f00, 94, 1, 0, B},
                        [ROLE_ERROR] = {0xaf0000, 124, 1, B, B | R},
                        [ROLE_KEY] = {0x005faf, 25, 4, B, B},
                        [ROLE_STATUS] = {0x444444, 238, 0, 0, 0},
                        [ROLE_PROGRESS] = {0x005faf, 25, 4, 0, 0},
                        [ROLE_MATCH] = {0x875f00, 94, 5, U, U},
                    }},
            {.name = "contrast",
                .help = "white, yellow and cyan on black: the strongest contrast a terminal has",
                .dark = true,
                .roles =
                    {
                        [ROLE_TEXT] = {0xffffff, 231, 15, 0, 0},
                        [ROLE_DIM] = {0xd0d0d0, 252, 7, 0, 0},
                        [ROLE_STRONG] = {0xffffff, 231, 15, B, B},
                        [ROLE_FRAME] = {0xb2b2b2, 249, 7, 0, 0},
                        [ROLE_FOCUS] = {0xffff00, 226, 11, B, B},
                        [ROLE_TITLE] = {0xffffff, 231, 15, 0, 0},
                        [ROLE_LABEL] = {0xffffff, 231, 15, 0, 0},
                        [ROLE_MARK] = {0xffff00, 226, 11, B | U, B | U},
                        [ROLE_CURSOR] = {0xffffff, 231, 15, B | R, B | R},
                        [ROLE_POSITIVE] = {0xffaf5f, 215, 11, 0, 0},
                        [ROLE_NEGATIVE] = {0x5fd7ff, 81, 14, 0, 0},
                        [ROLE_BAR] = {0x5fffff, 87, 14, 0, 0},
                        [ROLE_ALT1] = {0xffff5f, 227, 11, 0, 0},
                        [ROLE_ALT2] = {0xff87ff, 213, 13, 0, 0},
                        [ROLE_ALT3] = {0x87ff87, 120, 10, 0, 0},
                        [ROLE_OK] = {0x87ff87, 120, 10, B, 0},
                        [ROLE_WARN] = {0xffff00, 226, 11, B, B},
                        [ROLE_ERROR] = {0xff8787, 210, 9, B | R, B | R},
                        [ROLE_KEY] = {0xffff00, 226, 11, B, B},
                        [ROLE_STATUS] = {0xffffff, 231, 15, B, 0},
                        [ROLE_PROGRESS] = {0x5fffff, 87, 14, B, 0},
                        [ROLE_MATCH] = {0xffff00, 226, 11, B | U, U},
                    }},
            {.name = "mono",
                .help = "no colours at all: bold, underline, reverse, and shades of glyphs",
                .dark = true,
                .mono = true,
                .roles =
                    {
                        [ROLE_TEXT] = {-1, -1, -1, 0, 0},
                        [ROLE_DIM] = {-1, -1, -1, D, D},
                        [ROLE_STRONG] = {-1, -1, -1, B, B},
                        [ROLE_FRAME] = {-1, -1, -1, D, D},
                        [ROLE_FOCUS] = {-1, -1, -1, B, B},
                        [ROLE_TITLE] = {-1, -1, -1, 0, 0},
                        [ROLE_LABEL] = {-1, -1, -1, 0, 0},
                        [ROLE_MARK] = {-1, -1, -1, B | U, B | U},
                        [ROLE_CURSOR] = {-1, -1, -1, B | R, B | R},
                        [ROLE_POSITIVE] = {-1, -1, -1, 0, 0},
                        [ROLE_NEGATIVE] = {-1, -1, -1, 0, 0},
                        [ROLE_BAR] = {-1, -1, -1, 0, 0},
                        [ROLE_ALT1] = {-1, -1, -1, 0, 0},
                        [ROLE_ALT2] = {-1, -1, -1, 0, 0},
                        [ROLE_ALT3] = {-1, -1, -1, 0, 0},
                        [ROLE_OK] = {-1, -1, -1, 0, 0},
                        [ROLE_WARN] = {-1, -1, -1, B, B},
                        [ROLE_ERROR] = {-1, -1, -1, B | R, B | R},
                        [ROLE_KEY] = {-1, -1, -1, B, B},
                        [ROLE_STATUS] = {-1, -1, -1, 0, 0},
                        [ROLE_PROGRESS] = {-1, -1, -1, 0, 0},
                        [ROLE_MATCH] = {-1, -1, -1, U, U},
                    }},
};
const int n_themes = sizeof themes / sizeof *themes;

#undef B
#undef D
#undef R
#undef U

const struct theme *theme_find(const char *name)
{
    for (int i = 0; i < n_themes; i++)
        if (!strcmp(themes[i].name, name))
            return &themes[i];
    return NULL;
}

static int32_t paint_of(const struct theme *t, enum colour_mode mode, colour c)
{
    if (mode == COLOURS_NONE)
        return -1;
    if (COLOUR_IS_ROLE(c)) {
        const struct role_look *l = &t->roles[c & 0xff];
        return mode == COLOURS_16 ? l->c16 : mode == COLOURS_256 ? l->c256 : l->rgb;
    }
    if (COLOUR_IS_RGB(c)) {
        uint32_t rgb = c & 0xffffffu;
        return mode == COLOURS_16    ? rgb_to_16(rgb)
               : mode == COLOURS_256 ? rgb_to_256(rgb)
                                     : (int32_t)rgb;
    }
    return -1;
}

/* The levels of the 6 x 6 x 6 cube, and xterm's sixteen. */
static const uint32_t level[6] = {0, 95, 135, 175, 215, 255};
static const uint32_t ansi[16] = {0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd,
    0x00cdcd, 0xe5e5e5, 0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff,
    0xffffff};

uint32_t palette_rgb(enum colour_mode mode, int32_t paint)
{
    uint32_t i = (uint32_t)paint;
    if (mode == COLOURS_TRUE)
        return i;
    if (i < 16)
        return ansi[i];
    if (i >= 232)
        return (8 + 10 * (i - 232)) * 0x010101u;
    return level[(i - 16) / 36] << 16 | level[(i - 16) / 6 % 6] << 8 | level[(i - 16) % 6];
}

struct paint theme_paint(const struct theme *t, enum colour_mode mode, struct style s)
{
    struct paint p = {paint_of(t, mode, s.fg), paint_of(t, mode, s.bg), s.attrs};
    /* Ink is chosen again for the ground that the terminal really has. */
    if (p.bg >= 0 && mode != COLOURS_TRUE && COLOUR_IS_RGB(s.bg) && COLOUR_IS_RGB(s.fg) &&
        (s.fg & 0xffffffu) == rgb_ink(s.bg & 0xffffffu))
        p.fg = paint_of(t, mode, COLOUR_RGB(rgb_ink(palette_rgb(mode, p.bg))));
    if (COLOUR_IS_ROLE(s.fg)) {
        const struct role_look *l = &t->roles[s.fg & 0xff];
        p.attrs |= mode == COLOURS_NONE ? l->mono_attrs : l->attrs;
    }
    return p;
}

int colour_mode_choose(enum colour_mode *out, const char *flag, bool is_tty, int colors)
{
    const char *no = getenv("NO_COLOR"), *more = getenv("COLORTERM"), *term = getenv("TERM");
    enum colour_mode best = colors >= 1 << 24             ? COLOURS_TRUE
                            : colors >= 256               ? COLOURS_256
                            : term && strstr(term, "256") ? COLOURS_256
                            : colors >= 8 || colors == 0  ? COLOURS_16
                                                          : COLOURS_NONE;
    if (more && (!strcmp(more, "truecolor") || !strcmp(more, "24bit")))
        best = COLOURS_TRUE;
    if (term && !strcmp(term, "dumb"))
        best = COLOURS_NONE;
    if (!flag || !strcmp(flag, "auto"))
        *out = !is_tty || (no && *no) ? COLOURS_NONE : best;
    else if (!strcmp(flag, "always"))
        *out = best == COLOURS_NONE ? COLOURS_16 : best;
    else if (!strcmp(flag, "never"))
        *out = COLOURS_NONE;
    else if (!strcmp(flag, "16"))
        *out = COLOURS_16;
    else if (!strcmp(flag, "256"))
        *out = COLOURS_256;
    else if (!strcmp(flag, "truecolor"))
        *out = COLOURS_TRUE;
    else
        return ERR_USAGE;
    return 0;
}

/* Squared distance weighted for the eye: green counts most, blue least. */
static int distance(uint32_t a, uint32_t b)
{
    int dr = (int)(a >> 16 & 255) - (int)(b >> 16 & 255);
    int dg = (int)(a >> 8 & 255) - (int)(b >> 8 & 255);
    int db = (int)(a & 255) - (int)(b & 255);
    return 3 * dr * dr + 6 * dg * dg + db * db;
}

static int chroma(uint32_t rgb)
{
    int r = (int)(rgb >> 16 & 255), g = (int)(rgb >> 8 & 255), b = (int)(rgb & 255);
    int most = r > g ? r : g, least = r < g ? r : g;
    return (most > b ? most : b) - (least < b ? least : b);
}

static int cube_step(int v)
{
    return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40;
}

int rgb_to_256(uint32_t rgb)
{
    int r = cube_step((int)(rgb >> 16 & 255)), g = cube_step((int)(rgb >> 8 & 255)),
        b = cube_step((int)(rgb & 255));
    uint32_t cube = level[r] << 16 | level[g] << 8 | level[b];
    int mean = (int)((rgb >> 16 & 255) + (rgb >> 8 & 255) + (rgb & 255)) / 3;
    int grey = mean < 4 ? 0 : mean > 238 ? 23 : (mean - 3) / 10;
    uint32_t g24 = (uint32_t)(8 + 10 * grey) * 0x010101u;
    /* A grey in the middle of a coloured ramp would read as something else. */
    bool is_grey = chroma(rgb) < 48 && distance(g24, rgb) < distance(cube, rgb);
    return is_grey ? 232 + grey : 16 + 36 * r + 6 * g + b;
}

int rgb_to_16(uint32_t rgb)
{
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (distance(ansi[i], rgb) < distance(ansi[best], rgb))
            best = i;
    return best;
}
