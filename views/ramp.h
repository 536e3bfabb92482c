#ifndef SONDE_VIEWS_RAMP_H
#define SONDE_VIEWS_RAMP_H

#include "views/style.h"

/* Where a value lies on the scale of a drawing. Signed scales keep zero fixed in the middle and are
 * symmetric; both kinds are safe for colour-blind eyes, and lightness carries the size. */
struct scale {
    double lo, hi;
    bool is_signed;
    bool dark;   /* the background's side: small values melt into it */
    bool is_log; /* unsigned: from lo > 0; signed: linear below hi / 1000 */
};

/* The scale that holds lo..hi; a signed one becomes -m..m. Never empty. */
struct scale scale_make(double lo, double hi, bool is_signed, bool dark);
/* The same scale with logarithmic steps; `least` is the smallest positive value there is. */
struct scale scale_log(struct scale s, double least);
/* The value at a position, the inverse of scale_at. */
double scale_value(const struct scale *s, double t);
#define SCALE_SIGNED                                                                               \
    0.1 /* |scale_at| from which on a colour of a signed scale comes with its sign */
/* Position in [0, 1], or [-1, 1] when signed; clamped; NaN stays NaN. */
double scale_at(const struct scale *s, double v);
uint32_t scale_rgb(const struct scale *s, double v);
/* Ink that is readable on that colour: black or white, whichever has more contrast (4.5 at least). */
uint32_t rgb_ink(uint32_t rgb);
/* Contrast of two colours, 1 to 21, as WCAG 2.1 defines it. */
double rgb_contrast(uint32_t a, uint32_t b);
/* A glyph that is denser the larger |scale_at|: block shades or ASCII levels; what is no number has a
 * sign of its own (odd_sign). */
const char *scale_shade(const struct scale *s, double v, enum glyphs g);
/* The sign of NaN, infinity and minus infinity; NULL: a number. */
const char *odd_sign(double v, enum glyphs g);

#endif
