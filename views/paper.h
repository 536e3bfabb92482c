#ifndef SONDE_VIEWS_PAPER_H
#define SONDE_VIEWS_PAPER_H

#include "views/legend.h"
#include "views/svg.h"

/* What every drawing on paper has: a heading, axes with names and ticks, a legend, and words for
 * those who cannot see it. */
#define PAPER_INK 0x202020u
#define PAPER_GREY 0x5a5a5au
#define PAPER_LINE 0xb0b0b0u
#define PAPER_NAN 0xdcdcdcu
#define PAPER_INF 0xffb000u /* apart from both ramps, also for colour-blind eyes */
#define PAPER_MINUS_INF 0xdc267fu
#define PAPER_LEFT 16.0
#define PAPER_TOP 60.0
#define CHAR_W 6.7 /* of the monospaced face at 11 px */

struct paper {
    struct buf *out;
    double x, y, w, h; /* the plot */
    double width;      /* of the sheet */
};

/* Opens the sheet around a plot of w x h at p->x, p->y, with `below` for ticks and legend. `kind` is
 * the view's title. */
void paper_open(struct paper *p, const struct view_data *d, const struct view_state *st,
    const char *kind, const struct tally *t, double right, double below);
void paper_close(struct paper *p);
/* The left margin that the longest of n labels (at most 24 columns) and the axis' name need. */
double paper_margin(const struct axis *a, int64_t n);
/* Ticks and name along the plot's lower edge for n cells of `step` indices from `first`; `points`: the
 * first and the last stand at the edges. */
void paper_ticks_x(
    struct paper *p, const struct axis *a, int64_t first, int64_t n, int64_t step, bool points);
/* Ticks and name along its left edge; `up`: the first at the bottom. */
void paper_ticks_y(struct paper *p, const struct axis *a, int64_t first, int64_t n, int64_t step,
    bool up, bool points);
/* Ticks of a numeric axis in a form (NULL: plain); `name` with its unit. */
void paper_values_x(
    struct paper *p, const struct scale *sc, const struct number_form *form, const char *name);
void paper_values_y(
    struct paper *p, const struct scale *sc, const struct number_form *form, const char *name);
/* The colour scale with its values, what its sides mean, and what is no number. */
void paper_scale(struct paper *p, double y, const struct legend *l);
uint32_t paper_rgb(const struct scale *sc, double v); /* with NaN and infinities apart */

#endif
