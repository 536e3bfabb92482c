#ifndef SONDE_VIEWS_THEME_H
#define SONDE_VIEWS_THEME_H

#include "views/style.h"

/* What each role looks like. `dark` tells the ramps which end of lightness is the background; with
 * `mono` nothing is coloured, data neither: whoever draws takes COLOURS_NONE. */
struct theme {
    const char *name, *help;
    bool dark, mono;
    struct role_look {
        int32_t rgb; /* 0xrrggbb; -1: the terminal's own foreground */
        int16_t c256, c16;
        uint8_t attrs, mono_attrs; /* mono: with colour off */
    } roles[ROLE_COUNT];
};

extern const struct theme themes[];
extern const int n_themes;
const struct theme *theme_find(const char *name); /* NULL: no such theme */

/* A style in the numbers of one colour mode: -1 is the terminal's own colour, else an index
 * (COLOURS_16, COLOURS_256) or 0xrrggbb (COLOURS_TRUE). */
struct paint {
    int32_t fg, bg;
    unsigned attrs;
};
struct paint theme_paint(const struct theme *t, enum colour_mode mode, struct style s);

/* From --color/--colour (auto, always, never, 16, 256, truecolor), NO_COLOR (set and not empty),
 * TERM and COLORTERM. `colors` is what terminfo says, 0: unknown. Returns a negative code for an
 * unknown word, which only the caller can report. */
int colour_mode_choose(enum colour_mode *out, const char *flag, bool is_tty, int colors);

/* What a paint of that mode looks like; of the sixteen, as xterm has them. */
uint32_t palette_rgb(enum colour_mode mode, int32_t paint);
/* The nearest of the colours whose value is the same everywhere: the 6 x 6 x 6 cube and the greys. */
int rgb_to_256(uint32_t rgb);
int rgb_to_16(uint32_t rgb);

#endif
