#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/paper.h"
#include "views/plot.h"
#include "views/ticks.h"

#define LINES_MAX 6
#define POINTS_MAX 4096 /* of one curve; longer ones are drawn by the mean of every so many */
#define MARKERS 8       /* signs along a curve, so that hue is not needed to follow it */

static const enum role line_roles[LINES_MAX] = {
    ROLE_BAR, ROLE_ALT1, ROLE_ALT2, ROLE_ALT3, ROLE_POSITIVE, ROLE_NEGATIVE};
static const char *const line_signs[LINES_MAX] = {"*", "o", "+", "x", "#", "@"};
static const char *const line_dashes[LINES_MAX] = {"", "7 3", "2 3", "9 3 2 3", "14 4", "4 2"};

/* One line a field, or one a row of a field of rank 2 and more; x is the last axis. Of a table the
 * column "step" is x, and those of the cursor's unit are the curves. */
struct curves {
    const struct view_data *d;
    struct view_state *st;
    bool is_multi;
    int x_axis, n;
    int64_t n_x, first;                   /* first: row of curve 0 */
    const struct field *field[LINES_MAX]; /* of each curve */
    const struct field *x_field;          /* NULL: the axis */
    int64_t from, step, points;           /* what is read */
    double *x, *v[LINES_MAX];             /* [points] */
    double x_lo, x_hi;
    bool log_x; /* as asked for, or of its own accord */
    struct scale sc;
    struct number_form form;
    struct tally tally;
};

static const char *unit_of(const struct field *f)
{
    return f->unit ? f->unit : "";
}

static bool is_number(const struct field *f)
{
    return f->look != LOOK_TEXT && f->fetch;
}

/* The column that a table's cursor is on, if it is a curve. */
static int chosen_column(const struct view_data *d, const struct view_state *st)
{
    int64_t at = st->at[1];
    int first = -1;
    for (int i = 0; i < d->n; i++) {
        bool is_x = i == 0 && d->fields[0].name && !strcmp(d->fields[0].name, "step");
        if (is_x || !is_number(&d->fields[i]))
            continue;
        if (first < 0 || i == at)
            first = i;
    }
    return first < 0 ? 0 : first;
}

static void columns_of(struct curves *c)
{
    const struct view_data *d = c->d;
    int chosen = chosen_column(d, c->st);
    c->st->at[1] = chosen;
    if (d->fields[0].name && !strcmp(d->fields[0].name, "step") && chosen > 0)
        c->x_field = &d->fields[0];
    for (int i = 0; i < d->n && c->n < LINES_MAX; i++)
        if (&d->fields[i] != c->x_field && is_number(&d->fields[i]) &&
            !strcmp(unit_of(&d->fields[i]), unit_of(&d->fields[chosen])))
            c->field[c->n++] = &d->fields[i];
}

static struct curves curves_of(const struct view_data *d, struct view_state *st)
{
    const struct field *f = &d->fields[0];
    struct curves c = {.d = d, .st = st, .is_multi = d->n > 1};
    int64_t column = st->at[1];
    state_fit(st, f);
    st->at[1] = c.is_multi ? column : st->at[1];
    c.x_axis = f->rank >= 2 && st->col_axis >= 0 ? st->col_axis : st->row_axis;
    c.n_x = f->rank ? f->axes[c.x_axis].size : 1;
    if (c.is_multi) {
        columns_of(&c);
        return c;
    }
    int64_t rows = c.x_axis != st->row_axis ? f->axes[st->row_axis].size : 1;
    c.n = (int)(rows < LINES_MAX ? rows : LINES_MAX);
    if (rows > LINES_MAX)
        c.first = scroll_follow(
            st->at[st->row_axis] - LINES_MAX / 2, st->at[st->row_axis], LINES_MAX, rows);
    for (int k = 0; k < c.n; k++)
        c.field[k] = f;
    return c;
}

static enum field_reduce curve_reduce(const struct view_state *st)
{
    return st->reduce == FIELD_POINT ? FIELD_MEAN : st->reduce;
}

/* n values of curve k from index x0 in steps. */
static int curve_values(double *v, const struct curves *c, const struct field *f, int k, int64_t x0,
    int64_t step, int64_t n, enum field_reduce reduce, struct err *e)
{
    struct window w = {0};
    for (int i = 0; i < f->rank; i++) {
        w.start[i] = c->is_multi && i ? 0 : c->st->at[i];
        w.count[i] = w.stride[i] = 1;
    }
    if (f->rank) {
        w.start[c->x_axis] = x0;
        w.count[c->x_axis] = n;
        w.stride[c->x_axis] = step;
    }
    if (!c->is_multi && c->x_axis != c->st->row_axis)
        w.start[c->st->row_axis] = c->first + k;
    if (!f->fetch) {
        for (int64_t i = 0; i < n; i++)
            v[i] = NAN;
        return 0;
    }
    return f->fetch(f, v, &w, step > 1 ? reduce : FIELD_POINT, e);
}

static bool label_number(double *out, const struct axis *a, int64_t i)
{
    char buf[64], *end;
    const char *text = axis_label(a, i, buf, sizeof buf);
    *out = strtod(text, &end);
    return *text && !*end && isfinite(*out);
}

/* Where the labels are rising numbers (steps, thresholds), x is that number; else it is the index. */
static bool has_numeric_labels(const struct curves *c)
{
    const struct axis *a = c->d->fields[0].rank ? &c->d->fields[0].axes[c->x_axis] : NULL;
    double last = -INFINITY, v;
    if (!a || !axis_has_labels(a) || a->kind == AXIS_POS || a->kind == AXIS_VOCAB ||
        a->size > POINTS_MAX)
        return false;
    for (int64_t i = 0; i < a->size; i++) {
        if (!label_number(&v, a, i) || !(v > last))
            return false;
        last = v;
    }
    return true;
}

/* Numbers that grow by factors, as 1, 2, 5, 10 .. 32491, lie on a logarithmic axis of their own accord. */
static bool grows_by_factors(const struct curves *c)
{
    const struct axis *a = &c->d->fields[0].axes[c->x_axis];
    double first, middle, last;
    return a->size >= 5 && label_number(&first, a, 0) && label_number(&middle, a, a->size / 2) &&
           label_number(&last, a, a->size - 1) && first > 0 && last >= 30 * first &&
           middle < last / 6;
}

static int load_x(struct curves *c, struct arena *frame, struct err *e)
{
    bool numeric = has_numeric_labels(c);
    c->log_x = c->st->log_x != (numeric && !c->x_field && grows_by_factors(c));
    c->x = arena_array(frame, (size_t)c->points, sizeof *c->x, e);
    if (!c->x)
        return e->code;
    if (c->x_field) {
        int rc = curve_values(c->x, c, c->x_field, 0, c->from, c->step, c->points, FIELD_MEAN, e);
        if (rc)
            return rc;
    }
    c->x_lo = INFINITY;
    c->x_hi = -INFINITY;
    for (int64_t i = 0; i < c->points; i++) {
        int64_t index = c->from + i * c->step;
        if (!c->x_field)
            c->x[i] = (double)index;
        if (numeric && !c->x_field)
            label_number(&c->x[i], &c->d->fields[0].axes[c->x_axis], index);
        if (c->log_x && !(c->x[i] > 0))
            c->x[i] = NAN; /* a logarithmic axis has no place for it */
        c->x_lo = c->x[i] < c->x_lo ? c->x[i] : c->x_lo;
        c->x_hi = c->x[i] > c->x_hi ? c->x[i] : c->x_hi;
    }
    return 0;
}

static void scale_curves(struct curves *c)
{
    double lo = NAN, hi = NAN, least = NAN;
    for (int k = 0; k < c->n; k++) {
        tally_add(&c->tally, c->v[k], c->points);
        for (int64_t i = 0; i < c->points; i++) {
            double v = c->v[k][i];
            if (!isfinite(v))
                continue;
            lo = !(lo <= v) ? v : lo;
            hi = !(hi >= v) ? v : hi;
            least = v > 0 && !(least <= v) ? v : least;
        }
    }
    if (c->n && c->field[0]->is_signed) {
        lo = lo > 0 ? 0 : lo;
        hi = hi < 0 ? 0 : hi;
    }
    if (c->st->has_limits) {
        lo = c->st->lo;
        hi = c->st->hi;
    }
    c->sc = scale_make(lo, hi, false, true);
    if (c->st->log_v)
        c->sc = scale_log(c->sc, least);
    c->form = field_form(c->n ? c->field[0] : &c->d->fields[0]);
}

/* The part of the axis that the zoom leaves, around the cursor, and its values. */
static int load(struct curves *c, struct arena *frame, struct err *e)
{
    struct view_state *st = c->st;
    int64_t shown = c->n_x >> st->zoom;
    shown = shown < 2 ? c->n_x < 2 ? c->n_x : 2 : shown;
    c->from = st->scroll[c->x_axis] =
        scroll_follow(st->scroll[c->x_axis], st->at[c->x_axis], shown, c->n_x);
    c->step = shown > POINTS_MAX ? (shown + POINTS_MAX - 1) / POINTS_MAX : 1;
    c->points = (shown + c->step - 1) / c->step;
    int rc = load_x(c, frame, e);
    for (int k = 0; k < c->n && !rc; k++) {
        c->v[k] = arena_array(frame, (size_t)c->points, sizeof *c->v[k], e);
        rc = c->v[k] ? curve_values(c->v[k], c, c->field[k], k, c->from, c->step, c->points,
                           curve_reduce(st), e)
                     : e->code;
    }
    if (!rc)
        scale_curves(c);
    return rc;
}

static const char *curve_name(char buf[LABEL_MAX], const struct curves *c, int k, enum glyphs g)
{
    const struct field *f = c->field[k];
    if (c->is_multi || c->x_axis == c->st->row_axis)
        snprintf(buf, LABEL_MAX, "%s", f->name ? f->name : "");
    else if (!axis_has_labels(&f->axes[c->st->row_axis]))
        snprintf(
            buf, LABEL_MAX, "%s %lld", f->axes[c->st->row_axis].name, (long long)(c->first + k));
    else
        label_show(buf, &f->axes[c->st->row_axis], c->first + k, g);
    return buf;
}

static int curve_at(const struct curves *c)
{
    for (int k = 0; k < c->n; k++)
        if (c->is_multi
                ? c->field[k] == &c->d->fields[c->st->at[1]]
                : c->x_axis == c->st->row_axis || c->first + k == c->st->at[c->st->row_axis])
            return k;
    return 0;
}

static const char *x_name(const struct curves *c)
{
    const struct field *f = &c->d->fields[0];
    const char *name = c->x_field ? c->x_field->name : f->rank ? f->axes[c->x_axis].name : NULL;
    return name ? name : "";
}

/* 0..1 along the plot; NaN where a logarithmic axis has no place. */
static double x_place(const struct curves *c, double x)
{
    if (!(c->x_hi > c->x_lo))
        return isnan(x) ? NAN : 0.5;
    if (c->log_x && c->x_lo > 0)
        return log(x / c->x_lo) / log(c->x_hi / c->x_lo);
    return (x - c->x_lo) / (c->x_hi - c->x_lo);
}

/* ---- on the screen ---- */

struct frame_of {
    int left, w, h; /* of the plot; left: columns of its labels */
};

static void draw_y_axis(const struct screen *s, const struct curves *c, const struct frame_of *p,
    const double *ticks, int n)
{
    struct canvas *cv = s->canvas;
    double apart = ticks_apart(ticks, n, c->sc.is_log);
    char text[64];
    int last = -9;
    for (int i = n - 1; i >= 0; i--) {
        int y = (int)lround((1 - scale_at(&c->sc, ticks[i])) * (p->h - 1));
        if (y < last + 1)
            continue;
        last = y;
        canvas_right(cv, s->rect.x + p->left - 1, s->rect.y + y, p->left - 1, STYLE(DIM),
            tick_number(text, sizeof text, &c->form, ticks[i], apart, cv->glyphs));
        canvas_text(cv, s->rect.x + p->left - 1, s->rect.y + y, 1, STYLE(FRAME),
            cv->glyphs == GLYPHS_ASCII ? "-" : "╶");
    }
    if (c->sc.lo < 0 && c->sc.hi > 0) {
        int y = (int)lround((1 - scale_at(&c->sc, 0)) * (p->h - 1));
        canvas_fill(cv, (struct rect){s->rect.x + p->left, s->rect.y + y, p->w, 1}, STYLE(FRAME),
            cv->glyphs == GLYPHS_ASCII ? "-" : "─");
    }
}

static void put_tick(const struct screen *s, const struct frame_of *p, int x, int y,
    const char *text, int *free_from)
{
    int w = canvas_columns(s->canvas, text);
    x = x + w > p->w ? p->w - w : x;
    if (x < *free_from || w > p->w)
        return;
    canvas_text(s->canvas, s->rect.x + p->left + x, y, w, STYLE(DIM), text);
    *free_from = x + w + 1;
}

static void draw_x_axis(const struct screen *s, const struct curves *c, const struct frame_of *p)
{
    const struct axis *a = c->d->fields[0].rank ? &c->d->fields[0].axes[c->x_axis] : NULL;
    int y = s->rect.y + p->h, free_from = 0;
    bool by_value = c->x_field || c->log_x || has_numeric_labels(c);
    double v[16];
    char text[64];
    if (!a)
        return;
    if (by_value) {
        int n = ticks_of_values(v, p->w / 10 < 12 ? p->w / 10 : 12, c->x_lo, c->x_hi, c->log_x);
        double apart = ticks_apart(v, n, c->log_x);
        for (int i = 0; i < n; i++)
            put_tick(s, p, (int)lround(x_place(c, v[i]) * (p->w - 1)), y,
                tick_number(text, sizeof text, NULL, v[i], apart, s->canvas->glyphs), &free_from);
        return;
    }
    struct tick ticks[TICKS_MAX];
    double cell = c->points > 1 ? (double)(p->w - 1) / (double)(c->points - 1) : p->w;
    struct tick_axis axis = {a, c->from, c->step, c->points, -1, cell, p->w, s->canvas->glyphs};
    int n = ticks_of_axis(ticks, &axis);
    for (int i = 0; i < n; i++)
        put_tick(s, p, ticks[i].x, y, ticks[i].text, &free_from);
}

/* "step →  * loss  o val  nats  log  mean of 4": names in their colours, each with its sign. */
static void draw_legend(const struct screen *s, const struct curves *c, int y)
{
    struct canvas *cv = s->canvas;
    char text[LABEL_MAX + 8], name[LABEL_MAX], odd[64];
    const char *unit = unit_text(c->n ? c->field[0] : &c->d->fields[0], &c->form);
    int x = s->rect.x, end = s->rect.x + s->rect.w, at = curve_at(c);
    if (s->rect.w < 1)
        return;
    x += canvas_textf(cv, x, y, end - x, STYLE(LABEL), "%s%s %s", x_name(c),
             c->log_x ? " (log)" : "", cv->glyphs == GLYPHS_ASCII ? ">" : "→") +
         2;
    for (int k = 0; k < c->n && x < end; k++) {
        struct style style = {.fg = COLOUR_ROLE(line_roles[k])};
        if (k == at && c->n > 1 && !c->d->is_static)
            style.attrs = ATTR_BOLD | ATTR_UNDERLINE;
        curve_name(name, c, k, cv->glyphs);
        if (!strcmp(name, unit))
            unit = ""; /* said */
        if (c->n == 1)
            snprintf(text, sizeof text, "%s", name);
        else
            snprintf(text, sizeof text, "%s %s", line_signs[k], name);
        int w = canvas_columns(cv, text);
        if (x + w > end)
            break;
        x += canvas_text(cv, x, y, w, style, text) + 2;
    }
    tally_text(odd, sizeof odd, &c->tally);
    snprintf(text, sizeof text, "%s%s%s", unit, c->sc.is_log ? " log" : "", *odd ? "  " : "");
    if (x < end && *text)
        x += canvas_text(cv, x, y, end - x, STYLE(DIM), text) + (*odd ? 0 : 2);
    if (x < end && *odd)
        x += canvas_text(cv, x, y, end - x, STYLE(WARN), odd) + 2;
    if (c->step > 1 && x < end)
        canvas_textf(cv, x, y, end - x, STYLE(DIM), "%s of %lld", reduce_short(curve_reduce(c->st)),
            (long long)c->step);
}

static int dot_x(const struct curves *c, const struct plot *p, int64_t i)
{
    double t = x_place(c, c->x[i]);
    return isfinite(t) ? (int)lround(t * (p->w - 1)) : -1;
}

/* What is no number interrupts the curve; infinities stand at the edge they point to. */
static void draw_curve(
    const struct screen *s, const struct curves *c, struct plot *p, int k, const struct rect *at)
{
    struct canvas *cv = s->canvas;
    struct style style = {.fg = COLOUR_ROLE(line_roles[k])};
    int px = -1, py = 0;
    for (int64_t i = 0; i < c->points; i++) {
        double v = c->v[k][i];
        int x = dot_x(c, p, i);
        if (!isfinite(v) || x < 0) {
            px = -1;
            continue;
        }
        int y = (int)lround((1 - scale_at(&c->sc, v)) * (p->h - 1));
        plot_line(p, px < 0 ? x : px, px < 0 ? y : py, x, y, style);
        px = x;
        py = y;
    }
    plot_draw(p, cv, at->x, at->y, *line_signs[k]);
    memset(p->bits, 0, (size_t)(p->cols * p->rows));
    /* Every curve starts its signs elsewhere, so that they do not hide each other. */
    int64_t every = c->points / MARKERS > 0 ? c->points / MARKERS : 1;
    for (int64_t i = every * k / LINES_MAX; c->n > 1 && i < c->points; i += every) {
        int x = dot_x(c, p, i);
        if (isfinite(c->v[k][i]) && x >= 0)
            canvas_overlay(cv, at->x + x / p->dx,
                at->y + (int)lround((1 - scale_at(&c->sc, c->v[k][i])) * (p->h - 1)) / p->dy, style,
                line_signs[k]);
    }
    for (int64_t i = 0; i < c->points; i++) {
        int x = dot_x(c, p, i);
        if (isinf(c->v[k][i]) && x >= 0)
            canvas_overlay(cv, at->x + x / p->dx, c->v[k][i] > 0 ? at->y : at->y + at->h - 1,
                STYLE(WARN), odd_sign(c->v[k][i], cv->glyphs));
    }
}

static int read_cursor(
    char readout[VIEW_READOUT], const struct curves *c, enum glyphs g, struct err *e)
{
    int k = curve_at(c);
    double v, x;
    int64_t at = c->d->fields[0].rank ? c->st->at[c->x_axis] : 0;
    char name[LABEL_MAX], exact[40];
    if (!c->n)
        return 0;
    int rc = curve_values(&v, c, c->field[k], k, at, 1, 1, FIELD_POINT, e);
    if (rc || !c->is_multi) {
        if (!rc)
            readout_cell(readout, c->field[k], c->st, v, g);
        return rc;
    }
    x = (double)at;
    if (c->x_field)
        rc = curve_values(&x, c, c->x_field, 0, at, 1, 1, FIELD_POINT, e);
    snprintf(readout, VIEW_READOUT, "%s %.9g, %s: %s %s", x_name(c), x, curve_name(name, c, k, g),
        isnan(v) ? "no value" : number_exact(exact, sizeof exact, v, c->field[k]->dtype),
        unit_text(c->field[k], &c->form));
    return rc;
}

static int lines_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    struct canvas *cv = s->canvas;
    struct curves c = curves_of(d, st);
    struct plot p;
    double ticks[16];
    char text[64];
    if (!c.n || c.n_x <= 0) {
        draw_note(s, "no points: an axis of this block is empty");
        return 0;
    }
    int rc = load(&c, s->frame, e);
    if (rc)
        return rc;
    bool has_axis = s->rect.h >= 4, has_legend = s->rect.h >= 6;
    struct frame_of f = {.h = s->rect.h - has_axis - has_legend};
    int most = f.h / 3 + 1;
    int n = ticks_of_values(ticks, most < 9 ? most : 9, c.sc.lo, c.sc.hi, c.sc.is_log);
    for (int i = 0; i < n && f.h > 1; i++) {
        int w = canvas_columns(cv, tick_number(text, sizeof text, &c.form, ticks[i],
                                       ticks_apart(ticks, n, c.sc.is_log), cv->glyphs)) +
                2;
        f.left = w > f.left ? w : f.left;
    }
    if (f.left > s->rect.w / 2)
        f.left = 0;
    f.w = s->rect.w - f.left;
    if (f.w < 1 || f.h < 1)
        return 0;
    if (f.left)
        draw_y_axis(s, &c, &f, ticks, n);
    if (has_axis)
        draw_x_axis(s, &c, &f);
    if (has_legend)
        draw_legend(s, &c, s->rect.y + s->rect.h - 1);
    if ((rc = plot_init(&p, s, f.w, f.h, e)))
        return rc;
    struct rect at = {s->rect.x + f.left, s->rect.y, f.w, f.h};
    int chosen = curve_at(&c);
    for (int k = 0; k < c.n; k++)
        if (k != chosen)
            draw_curve(s, &c, &p, k, &at);
    draw_curve(s, &c, &p, chosen, &at); /* above the others */
    int64_t i = d->fields[0].rank ? (st->at[c.x_axis] - c.from) / c.step : 0;
    int x = i >= 0 && i < c.points ? dot_x(&c, &p, i) : -1;
    if (!d->is_static && x >= 0)
        canvas_guide(cv, (struct rect){at.x + x / p.dx, at.y, 1, at.h});
    st->grid = at;
    return read_cursor(readout, &c, cv->glyphs, e);
}

static bool lines_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    struct curves c = curves_of(d, st);
    const struct field *f = &d->fields[0];
    if (!f->rank)
        return false;
    int64_t *x = &st->at[c.x_axis];
    bool has_rows = !c.is_multi && c.x_axis != st->row_axis;
    int64_t *row = has_rows ? &st->at[st->row_axis] : NULL;
    int64_t rows = has_rows ? f->axes[st->row_axis].size : 1;
    bool up = m == MOVE_UP || m == MOVE_TOP, down = m == MOVE_DOWN || m == MOVE_BOTTOM;
    if (c.is_multi && (up || down)) {
        int64_t k = curve_at(&c);
        bool moved = move_index(&k, c.n, up ? -1 : 1);
        st->at[1] = c.field[k] - d->fields;
        return moved;
    }
    if (m == MOVE_UP || m == MOVE_DOWN)
        return row && move_index(row, rows, m == MOVE_UP ? -1 : 1);
    if (up || down)
        return row && move_index(row, rows, up ? -rows : rows);
    if (m == MOVE_LEFT || m == MOVE_RIGHT)
        return move_index(x, c.n_x, m == MOVE_LEFT ? -1 : 1);
    if (m == MOVE_PAGE_UP || m == MOVE_PAGE_DOWN)
        return move_index(x, c.n_x, m == MOVE_PAGE_UP ? -page : page);
    return move_index(x, c.n_x, m == MOVE_HOME ? -c.n_x : c.n_x);
}

static bool lines_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect g = st->grid;
    struct curves c = curves_of(d, st);
    struct arena scratch = {0};
    struct err e;
    if (!d->fields[0].rank || !c.n || c.n_x <= 0 || x < g.x || y < g.y || x >= g.x + g.w ||
        y >= g.y + g.h)
        return false;
    double want = g.w > 1 ? (double)(x - g.x) / (g.w - 1) : 0, best = INFINITY;
    if (!load(&c, &scratch, &e))
        for (int64_t i = 0; i < c.points; i++) {
            double far = fabs(x_place(&c, c.x[i]) - want);
            if (far < best) {
                best = far;
                st->at[c.x_axis] = c.from + i * c.step;
            }
        }
    arena_release(&scratch);
    return isfinite(best);
}

/* ---- on paper ---- */

#define SVG_DOTS 1200 /* points in all that carry their values */

static void svg_curve(struct paper *p, const struct curves *c, int k)
{
    uint32_t rgb = role_rgb(line_roles[k]);
    bool gap = true, dots = c->points * c->n <= SVG_DOTS, any = false;
    for (int64_t i = 0; i < c->points; i++) {
        double t = x_place(c, c->x[i]), v = c->v[k][i];
        if (!isfinite(v) || !isfinite(t)) {
            gap = true;
            continue;
        }
        if (!any)
            svg_path_begin(p->out);
        any = true;
        svg_path_to(p->out, p->x + t * p->w, p->y + (1 - scale_at(&c->sc, v)) * p->h, gap);
        gap = false;
    }
    if (any)
        svg_path_end(p->out, 1.6, rgb, c->n > 1 ? line_dashes[k] : "");
    for (int64_t i = 0; dots && i < c->points; i++) {
        double t = x_place(c, c->x[i]), v = c->v[k][i];
        char tip[LABEL_MAX + 96], name[LABEL_MAX], exact[40];
        if (!isfinite(v) || !isfinite(t))
            continue;
        snprintf(tip, sizeof tip, "%s, %s %.9g: %s", curve_name(name, c, k, GLYPHS_BLOCK),
            x_name(c), c->x[i], number_exact(exact, sizeof exact, v, c->field[k]->dtype));
        svg_rect_title(p->out, p->x + t * p->w - 1.5, p->y + (1 - scale_at(&c->sc, v)) * p->h - 1.5,
            3, 3, rgb, tip);
    }
}

static void svg_legend(struct paper *p, const struct curves *c)
{
    char name[LABEL_MAX], odd[64];
    double x = p->x + p->w + 14;
    for (int k = 0; k < c->n; k++) {
        double y = p->y + 12 + k * 18;
        svg_path_begin(p->out);
        svg_path_to(p->out, x, y - 4, true);
        svg_path_to(p->out, x + 24, y - 4, false);
        svg_path_end(p->out, 1.6, role_rgb(line_roles[k]), c->n > 1 ? line_dashes[k] : "");
        curve_name(name, c, k, GLYPHS_BLOCK);
        label_clip(name, 18, GLYPHS_BLOCK);
        svg_text(p->out, x + 30, y, SVG_START, 11, PAPER_INK, name);
    }
    tally_text(odd, sizeof odd, &c->tally);
    svg_text(p->out, x, p->y + 24 + c->n * 18, SVG_START, 11, PAPER_GREY, odd);
    if (c->step > 1) {
        snprintf(
            name, sizeof name, "%s of %lld", reduce_short(curve_reduce(c->st)), (long long)c->step);
        svg_text(p->out, x, p->y + 42 + c->n * 18, SVG_START, 11, PAPER_GREY, name);
    }
}

static int lines_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct curves c = curves_of(d, &st);
    struct paper p = {.out = out, .x = 92, .y = PAPER_TOP, .w = 640, .h = 320};
    char text[160];
    c.n = c.n_x > 0 ? c.n : 0;
    int rc = c.n ? load(&c, frame, e) : 0;
    if (rc)
        return rc;
    bool by_value = c.x_field || c.log_x || (c.n && has_numeric_labels(&c));
    paper_open(&p, d, &st, "lines", &c.tally, 190, 48);
    const char *unit = c.n && c.field[0]->unit ? c.field[0]->unit : "";
    if (c.n) {
        snprintf(text, sizeof text, "%s%s", *unit ? unit : c.field[0]->name,
            c.sc.is_log ? " (log)" : "");
        paper_values_y(&p, &c.sc, &c.form, text);
        struct scale xs = {c.x_lo, c.x_hi, false, false, c.log_x && c.x_lo > 0};
        snprintf(text, sizeof text, "%s%s", x_name(&c), c.log_x ? " (log)" : "");
        if (by_value && c.x_hi > c.x_lo)
            paper_values_x(&p, &xs, NULL, text);
        else if (d->fields[0].rank)
            paper_ticks_x(&p, &d->fields[0].axes[c.x_axis], c.from, c.points, c.step, true);
    }
    if (c.n && c.sc.lo < 0 && c.sc.hi > 0)
        svg_line(out, p.x, p.y + (1 - scale_at(&c.sc, 0)) * p.h, p.x + p.w,
            p.y + (1 - scale_at(&c.sc, 0)) * p.h, PAPER_LINE);
    svg_line(out, p.x, p.y + p.h, p.x + p.w, p.y + p.h, PAPER_GREY);
    svg_line(out, p.x, p.y, p.x, p.y + p.h, PAPER_GREY);
    for (int k = 0; k < c.n; k++)
        svg_curve(&p, &c, k);
    if (c.n)
        svg_legend(&p, &c);
    paper_close(&p);
    return 0;
}

const struct view view_lines = {
    .id = "lines",
    .title = "lines",
    .help = "Curves along the last axis, one a row or one a column of a table, each with a sign of "
            "its own; a gap is where there is no number. The upright bar is the cursor, and the "
            "readout has the exact value there.",
    .good = "Courses: losses over steps, entropies over positions, a score along the layers.",
    .source = "braille dots: two by four a cell",
    .modes = 1u << VIEW_LOG | 1u << VIEW_LOG_X | 1u << VIEW_COARSER | 1u << VIEW_FINER |
             1u << VIEW_TRANSPOSE | 1u << VIEW_REDUCE,
    .is_whole = true,
    .looks = 1u << LOOK_LINES | 1u << LOOK_BARS | 1u << LOOK_TABLE | 1u << LOOK_HEATMAP |
             1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_ORDER | 1u << VIEW_NEEDS_SIZES,
    .draw = lines_draw,
    .svg = lines_svg,
    .move = lines_move,
    .pick = lines_pick,
};
