#ifndef SONDE_VIEWS_DRAW_H
#define SONDE_VIEWS_DRAW_H

#include "views/number.h"
#include "views/view.h"

/* What several views share; nothing outside views/ includes this. */

/* Whatever a function draws from here on stays within s->rect; ends with the scope. */
#define DRAW_WITHIN(s)                                                                             \
    struct draw_clip clip_ __attribute__((cleanup(draw_clip_end), unused)) = {                     \
        (s)->canvas, canvas_clip((s)->canvas, (s)->rect)}
struct draw_clip {
    struct canvas *canvas;
    struct rect old;
};
void draw_clip_end(struct draw_clip *d);

/* Chooses the axes of a fresh state and brings every index into range. */
void state_fit(struct view_state *st, const struct field *f);
/* Keeps `at` in the middle third of `shown` indices out of `total`, moving as little as it can. */
int64_t scroll_follow(int64_t scroll, int64_t at, int64_t shown, int64_t total);
#define LEVEL_MAX 40
/* Cells along an axis at its level. */
int64_t axis_steps(const struct field *f, const struct view_state *st, int axis);
/* Chooses the axis' level: as coarse as st->zoom asks, but no coarser than `room` cells need. */
void state_level(struct view_state *st, const struct field *f, int axis, int64_t room);
/* What a cell shows of several values. */
enum field_reduce reduce_of(const struct field *f, const struct view_state *st);
const char *reduce_short(enum field_reduce r); /* "max |x|" */
/* Fetches rows x cols of the two drawn axes from row0, col0, in steps of 2^level, with the slice of
 * st->at along the others. out is [n_rows, n_cols] from the frame arena; n_cols is 1 without a
 * column axis. */
int fetch_window(double **out, const struct field *f, const struct view_state *st, int64_t row0,
    int64_t n_rows, int64_t col0, int64_t n_cols, struct arena *frame, struct err *e);
/* The colour scale: fixed limits, 0..1 for probabilities, else the drawn slice's own range; of a
 * slice too large to read it is the range of the windows seen so far. */
int view_scale(struct scale *out, const struct field *f, struct view_state *st, bool dark,
    const double *window, int64_t n, struct arena *frame, struct err *e);
bool is_marked(const struct view_data *d, enum axis_kind kind, int64_t index);
/* Rows that grow upwards: layers, and positions as rows. */
bool rows_grow_up(const struct field *f, const struct view_state *st);

#define LABEL_MAX 96
/* A label as it is shown: leading spaces visible as a middle dot (a blank in ASCII would be lost: an
 * underscore), bytes escaped. Returns buf. */
const char *label_show(char buf[LABEL_MAX], const struct axis *a, int64_t i, enum glyphs g);
int label_columns(const struct axis *a, int64_t i, enum glyphs g);
/* Labels of words that stand out of their text's order come with the text around them, the word itself
 * between brackets. Columns of `room` for it; 0: this axis has none. */
int context_columns(const struct axis *a, int room);
void context_draw(struct canvas *c, int x, int y, int w, const struct axis *a, int64_t i,
    struct style text, struct style word);
/* Cuts a label to so many columns, by whole clusters and with an ellipsis; returns the columns. */
int label_clip(char *text, int columns, enum glyphs g);
void label_fit(char *text, size_t size, int columns); /* the same for a text of any size */
bool is_probability(const struct field *f);
/* The unit to print after a number, "" where the number has it already or there is none. */
const char *unit_text(const struct field *f, const struct number_form *form);
/* "L3, 14 ·to: 61.4 % (0.61352718)" for the cursor; what the readout line quotes. */
void readout_cell(char out[VIEW_READOUT], const struct field *f, const struct view_state *st,
    double v, enum glyphs g);
/* "name, of what, in which unit" for an SVG's head. */
void caption(char *buf, size_t n, const struct field *f, const struct view_state *st);
struct number_form field_form(const struct field *f);
/* One line that says why nothing is drawn. */
void draw_note(const struct screen *s, const char *text);
uint32_t role_rgb(enum role r); /* on white paper, for SVG */
bool move_index(int64_t *at, int64_t size, int64_t by);

#endif
