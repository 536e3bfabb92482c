#ifndef SONDE_VIEWS_LEGEND_H
#define SONDE_VIEWS_LEGEND_H

#include "views/draw.h"

/* What is no number among the values drawn: shown apart, and counted. */
struct tally {
    int64_t n, nan, inf, minus_inf;
};
struct tally tally_of(const double *v, int64_t n);
void tally_add(struct tally *t, const double *v, int64_t n);

/* The line below a drawing: axes with their directions, the colour scale with its ends and signs, the
 * unit, what a cell stands for and what is no number. Drops what does not fit from the end. */
struct legend {
    const struct field *f;
    const struct view_state *st;
    const struct scale *scale; /* NULL: none */
    struct tally tally;
    bool up;          /* rows grow upwards */
    bool no_cols;     /* the columns' name stands elsewhere */
    bool flows;       /* as text does: the axis has no direction on the screen */
    bool is_dense;    /* half blocks: what is no number has no sign there */
    const char *note; /* of the scale; NULL: none */
};
void legend_draw(const struct screen *s, int x, int y, int w, const struct legend *l);
/* "5 NaN, 2 inf": what a tally found, "" for numbers only. */
const char *tally_text(char *buf, size_t n, const struct tally *t);
/* "max |x| of 4 x 4 values a cell", "" where a cell is one value. */
const char *reduce_text(char *buf, size_t n, const struct field *f, const struct view_state *st);

#endif
