#include "views/ramp.h"

#include <math.h>
#include <stddef.h>

#define STOPS 11

/* Ground over blue and green to yellow, lightness growing evenly as in viridis (Smith and van der Walt
 * 2015), which begins in a purple that shines on a dark ground: here nothing looks like nothing. The
 * stops lie near colours of the 6 x 6 x 6 cube. */
static const uint32_t dark_sequential[STOPS] = {0x1c1c1c, 0x1e3c5c, 0x205080, 0x1f6491, 0x178091,
    0x1f9b8a, 0x3fb577, 0x74c86a, 0xa8d65f, 0xd5e766, 0xffff87};
/* White to dark blue, after ColorBrewer's Blues, for light backgrounds and paper: small values stay quiet. */
static const uint32_t light_sequential[STOPS] = {0xf7fbff, 0xe6eef8, 0xbfdcf4, 0x9fcbee, 0x7fb6e0,
    0x5fa3d3, 0x3f8ec6, 0x2079b4, 0x0f65a5, 0x08508f, 0x08285f};
/* Blue over white to red, after ColorBrewer's RdBu (Brewer and Harrower 2013), for light backgrounds. In
 * both reds green and blue pass the steps of the 6 x 6 x 6 cube together, or they turn olive or pink
 * there. */
static const uint32_t light_diverging[STOPS] = {0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0,
    0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb21821, 0x67001f};
/* The same hues around a dark middle: on a dark background zero must not shine. */
static const uint32_t dark_diverging[STOPS] = {0xb3dcff, 0x7ec0f2, 0x4a9fdc, 0x2c76b0, 0x1e4a78,
    0x262626, 0x6b2424, 0xaa4646, 0xdd665c, 0xf59b78, 0xffd0b8};

struct scale scale_make(double lo, double hi, bool is_signed, bool dark)
{
    if (!isfinite(lo))
        lo = 0;
    if (!isfinite(hi))
        hi = lo;
    if (is_signed) {
        double m = fmax(fabs(lo), fabs(hi));
        if (!(m > 0))
            m = 1;
        return (struct scale){-m, m, true, dark, false};
    }
    if (!(hi > lo))
        hi = lo + (lo != 0 ? fabs(lo) : 1);
    return (struct scale){lo, hi, false, dark, false};
}

#define LINEAR_PART 1e-3 /* of a signed logarithmic scale, around zero */

struct scale scale_log(struct scale s, double least)
{
    if (!s.is_signed && s.hi > 0 && !(s.lo > 0))
        s.lo = least > 0 && least < s.hi ? least : s.hi / 1000;
    s.is_log = s.is_signed || s.lo > 0;
    return s;
}

static double signed_log(double t)
{
    return copysign(log1p(fabs(t) / LINEAR_PART) / log1p(1 / LINEAR_PART), t);
}

double scale_at(const struct scale *s, double v)
{
    if (isnan(v))
        return v;
    if (s->is_signed) {
        double t = fmax(-1, fmin(1, v / s->hi));
        return s->is_log ? signed_log(t) : t;
    }
    if (s->is_log)
        return v > s->lo ? fmin(1, (log(v) - log(s->lo)) / (log(s->hi) - log(s->lo))) : 0;
    /* hi - lo may overflow when the ends are far apart: halve first. */
    double t = (v / 2 - s->lo / 2) / (s->hi / 2 - s->lo / 2);
    return fmax(0, fmin(1, t));
}

double scale_value(const struct scale *s, double t)
{
    if (s->is_signed && s->is_log)
        return copysign(s->hi * LINEAR_PART * expm1(fabs(t) * log1p(1 / LINEAR_PART)), t);
    if (s->is_signed)
        return t * s->hi;
    if (s->is_log)
        return fmin(s->hi, exp(log(s->lo) * (1 - t) + log(s->hi) * t));
    return s->lo * (1 - t) + s->hi * t;
}

static uint32_t mix(const uint32_t *stops, double t)
{
    double x = t * (STOPS - 1);
    int i = (int)x;
    if (i > STOPS - 2)
        i = STOPS - 2;
    double f = x - i;
    uint32_t rgb = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        double a = stops[i] >> shift & 255, b = stops[i + 1] >> shift & 255;
        rgb |= (uint32_t)lround(a + (b - a) * f) << shift;
    }
    return rgb;
}

uint32_t scale_rgb(const struct scale *s, double v)
{
    double t = scale_at(s, v);
    if (isnan(t))
        return s->dark ? 0x303030 : 0xd0d0d0;
    if (s->is_signed)
        return mix(s->dark ? dark_diverging : light_diverging, t / 2 + 0.5);
    return mix(s->dark ? dark_sequential : light_sequential, t);
}

static double luminance(uint32_t rgb)
{
    static const double weight[] = {0.0722, 0.7152, 0.2126};
    double y = 0;
    for (int k = 0; k < 3; k++) {
        double v = (rgb >> (8 * k) & 255) / 255.0;
        y += weight[k] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return y;
}

double rgb_contrast(uint32_t a, uint32_t b)
{
    double x = luminance(a), y = luminance(b);
    return (fmax(x, y) + 0.05) / (fmin(x, y) + 0.05);
}

uint32_t rgb_ink(uint32_t rgb)
{
    return rgb_contrast(rgb, 0x000000) > rgb_contrast(rgb, 0xffffff) ? 0x000000 : 0xffffff;
}

const char *scale_shade(const struct scale *s, double v, enum glyphs g)
{
    static const char *const block[] = {"░", "▒", "▓", "█"};
    static const char *const ascii[] = {".", ":", "-", "=", "+", "*", "#", "%", "@"};
    const char *odd = odd_sign(v, g);
    if (odd)
        return odd;
    /* Exactly nothing, as above the diagonal of a pattern, is left blank. */
    if (!s->is_signed && v == 0)
        return " ";
    double t = scale_at(s, v);
    t = fabs(t);
    if (s->is_signed && t < 0.04)
        return g == GLYPHS_ASCII ? "." : "·";
    if (g == GLYPHS_ASCII)
        return ascii[(int)fmin(8, floor(t * 9))];
    return block[(int)fmin(3, floor(t * 4))];
}

const char *odd_sign(double v, enum glyphs g)
{
    bool plain = g == GLYPHS_ASCII;
    if (isnan(v))
        return plain ? "x" : "×";
    if (isinf(v))
        return v > 0 ? plain ? "^" : "▲" : plain ? "v" : "▼";
    return NULL;
}
