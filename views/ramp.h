#ifndef SONDE_VIEWS_RAMP_H
#define SONDE_VIEWS_RAMP_H

#include "views/style.h"

/* Where a value lies on the scale of a drawing. Signed scales keep zero fixed in the middle and are
 * symmetric; both kinds are safe for colour-blind eyes, and lightness carries the size. */
struct scale {
    double lo, hi;
    bool is_signed;
    bool dark; /* the background's side: small values melt into it */
};

/* The scale that holds lo..hi; a signed one becomes -m..m. Never empty. */
struct scale scale_make(double lo, double hi, bool is_signed, bool dark);
/* Position in [0, 1], or [-1, 1] when signed; clamped; NaN stays NaN. */
double scale_at(const struct scale *s, double v);
uint32_t scale_rgb(const struct scale *s, double v);
/* Ink that is readable on that colour: black or white. */
uint32_t rgb_ink(uint32_t rgb);
/* A glyph that is denser the larger |scale_at|: block shades or ASCII levels; blank for NaN. */
const char *scale_shade(const struct scale *s, double v, enum glyphs g);

#endif
