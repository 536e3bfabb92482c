#ifndef SONDE_VIEWS_TICKS_H
#define SONDE_VIEWS_TICKS_H

#include "views/draw.h"

/* Labels along an axis, placed so that no two touch: whatever draws them asks here. */
struct tick {
    int64_t index;
    double at; /* numeric axes: the value */
    int x, w;  /* columns, from the left edge of the axis */
    char text[LABEL_MAX];
};

#define TICKS_MAX 256

/* An axis of cells, `cell_w` columns each (a part of one on paper), of indices first, first + step, ... in w columns. `always`
 * (an index, -1: none) has its tick whatever else gives way. Words where they fit, else the numbers
 * of every 2nd, 5th, 10th... Returns how many. */
struct tick_axis {
    const struct axis *a;
    int64_t first, step, n, always;
    double cell_w;
    int w;
    enum glyphs glyphs;
};
int ticks_of_axis(struct tick out[TICKS_MAX], const struct tick_axis *t);

/* A tick of a numeric axis as text: with the decimals its neighbours `step` away ask for. */
const char *tick_number(
    char *buf, size_t n, const struct number_form *form, double v, double step, enum glyphs g);
/* The least distance of two neighbours, 0: one tick, negative: logarithmic, each stands for itself. */
double ticks_apart(const double *v, int n, bool is_log);
int64_t tick_step(int64_t step); /* the next of 1, 2, 5, 10, 20, ... */

/* Round values between lo and hi, at most `most` of them (logarithmic: powers of ten first). */
int ticks_of_values(double *out, int most, double lo, double hi, bool is_log);

#endif
