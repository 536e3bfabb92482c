#ifndef SONDE_VIEWS_STYLE_H
#define SONDE_VIEWS_STYLE_H

#include <stdbool.h>
#include <stdint.h>

/* A colour is a role that a theme decides, or 24-bit data colour from a ramp, or the terminal's
 * own. Views speak of roles and values; only the theme knows colours. */
#define ROLES(X)                                                                                   \
    X(TEXT, "text")                                                                                \
    X(DIM, "dim")       /* secondary text, axis ticks, empty marks */                              \
    X(STRONG, "strong") /* numbers and words that carry the answer */                              \
    X(FRAME, "frame")   /* of a pane without focus */                                              \
    X(FOCUS, "focus")   /* frame and title of the pane that has the keys */                        \
    X(TITLE, "title")                                                                              \
    X(LABEL, "label") /* names along an axis */                                                    \
    X(MARK, "mark")   /* the shared selection */                                                   \
    X(CURSOR, "cursor")                                                                            \
    X(POSITIVE, "positive")                                                                        \
    X(NEGATIVE, "negative")                                                                        \
    X(BAR, "bar")   /* unsigned bars and lines */                                                  \
    X(ALT1, "alt1") /* further lines of a plot */                                                  \
    X(ALT2, "alt2")                                                                                \
    X(ALT3, "alt3")                                                                                \
    X(OK, "ok")                                                                                    \
    X(WARN, "warn")                                                                                \
    X(ERROR, "error")                                                                              \
    X(KEY, "key")       /* a key's name in the footer and the help */                              \
    X(STATUS, "status") /* the top line */                                                         \
    X(PROGRESS, "progress")                                                                        \
    X(MATCH, "match") /* what a search found */

enum role {
#define X(id, name) ROLE_##id,
    ROLES(X)
#undef X
        ROLE_COUNT
};

typedef uint32_t colour; /* see the macros below */
#define COLOUR_DEFAULT ((colour)0)
#define COLOUR_ROLE(r) ((colour)(0x01000000u | (unsigned)(r)))
#define COLOUR_RGB(v) ((colour)(0x02000000u | ((unsigned)(v)&0xffffffu)))
#define COLOUR_IS_ROLE(c) ((c) >> 24 == 1)
#define COLOUR_IS_RGB(c) ((c) >> 24 == 2)

enum attr { ATTR_BOLD = 1, ATTR_DIM = 2, ATTR_REVERSE = 4, ATTR_UNDERLINE = 8 };

struct style {
    colour fg, bg;
    unsigned attrs;
};

#define STYLE(r) ((struct style){.fg = COLOUR_ROLE(ROLE_##r)})

/* How much the output can show. */
enum colour_mode { COLOURS_NONE, COLOURS_16, COLOURS_256, COLOURS_TRUE };
enum glyphs { GLYPHS_ASCII, GLYPHS_BLOCK, GLYPHS_BRAILLE };

#endif
