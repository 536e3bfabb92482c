#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/draw.h"
#include "views/svg.h"

#define SORT_MAX (1 << 20) /* longer axes keep their own order */

static void use_last_axis(struct view_state *st, const struct field *f)
{
    if (!st->has_axes) {
        st->row_axis = f->rank ? f->rank - 1 : 0;
        st->col_axis = -1;
        st->has_axes = true;
    }
    state_fit(st, f);
}

/* The axis in drawing order: values of order[k], or of k when order is NULL. */
struct series {
    const struct axis *a;
    int64_t n;
    double *v;      /* [n] when sorted; else the window from `first` */
    int64_t *order; /* NULL: the axis' own */
};

/* Order carries meaning along layers, positions and steps; elsewhere the largest comes first. */
static bool wants_sort(const struct axis *a, const struct view_state *st)
{
    bool by_size = a->kind == AXIS_COMPONENT || a->kind == AXIS_VOCAB || a->kind == AXIS_NEURON ||
                   a->kind == AXIS_RANK;
    return a->size <= SORT_MAX && by_size != st->sorted;
}

struct ranked {
    double size;
    int64_t index;
};

static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (isnan(x->size) || isnan(y->size))
        return isnan(x->size) - isnan(y->size);
    return x->size > y->size ? -1 : x->size < y->size ? 1 : x->index < y->index ? -1 : 1;
}

static int series_load(struct series *out, const struct field *f, struct view_state *st,
    struct arena *frame, struct err *e)
{
    *out = (struct series){.a = &f->axes[st->row_axis]};
    out->n = f->rank ? out->a->size : 1;
    if (!f->rank || out->n <= 0 || !wants_sort(out->a, st))
        return 0;
    int rc = fetch_window(&out->v, f, st, 0, out->n, 0, 1, frame, e);
    if (rc)
        return rc;
    struct ranked *r = arena_array(frame, (size_t)out->n, sizeof *r, e);
    out->order = arena_array(frame, (size_t)out->n, sizeof *out->order, e);
    if (!r || !out->order)
        return e->code;
    for (int64_t i = 0; i < out->n; i++)
        r[i] = (struct ranked){f->is_signed ? fabs(out->v[i]) : out->v[i], i};
    qsort(r, (size_t)out->n, sizeof *r, by_size);
    for (int64_t i = 0; i < out->n; i++)
        out->order[i] = r[i].index;
    return 0;
}

static int64_t place_of(const struct series *s, int64_t index)
{
    for (int64_t k = 0; s->order && k < s->n; k++)
        if (s->order[k] == index)
            return k;
    return index;
}

static void draw_row(const struct screen *s, const struct view_data *d, int y, int label_w,
    int value_w, const char *value, int64_t index, double v, const struct scale *sc, int zero,
    int bar_w, bool is_cursor)
{
    struct canvas *c = s->canvas;
    const struct field *f = &d->fields[0];
    int x = s->rect.x;
    char label[LABEL_MAX];
    bool marked = f->rank && is_marked(d, f->axes[f->rank - 1].kind, index);
    struct style ls = is_cursor && d->is_focused ? STYLE(CURSOR)
                      : marked                   ? STYLE(MARK)
                      : is_cursor                ? STYLE(STRONG)
                                                 : STYLE(TEXT);
    if (f->rank)
        canvas_text(
            c, x, y, label_w, ls, label_show(label, &f->axes[f->rank - 1], index, c->glyphs));
    canvas_right(c, x + label_w + 1 + value_w, y, value_w, STYLE(TEXT), value);
    x += label_w + value_w + 2;
    if (bar_w < 2)
        return;
    if (!sc->is_signed) {
        canvas_bar(c, x, y, bar_w, scale_at(sc, v), false, STYLE(BAR));
        return;
    }
    int right = bar_w - zero - 1;
    double per = (double)right / (sc->hi > 0 ? sc->hi : 1);
    canvas_text(c, x + zero, y, 1, STYLE(DIM), c->glyphs == GLYPHS_ASCII ? "|" : "┃");
    if (v > 0)
        canvas_bar(c, x + zero + 1, y, right, v * per / right, false, STYLE(POSITIVE));
    else if (v < 0 && zero > 0)
        canvas_bar(c, x, y, zero, -v * per / zero, true, STYLE(NEGATIVE));
}

/* Where zero lies among bar_w columns, so that both directions have the same scale. */
static int zero_column(struct scale *sc, const double *v, int64_t n, int bar_w)
{
    double neg = 0, pos = 0;
    for (int64_t i = 0; i < n; i++) {
        if (v[i] < 0 && -v[i] > neg && isfinite(v[i]))
            neg = -v[i];
        if (v[i] > pos && isfinite(v[i]))
            pos = v[i];
    }
    double share = neg + pos > 0 ? neg / (neg + pos) : 0.5;
    share = share < 0.12 ? 0.12 : share > 0.88 ? 0.88 : share;
    int zero = (int)(share * bar_w);
    double left_per = neg > 0 ? zero / neg : INFINITY;
    double right_per = pos > 0 ? (bar_w - zero - 1) / pos : INFINITY;
    double per = left_per < right_per ? left_per : right_per;
    if (isfinite(per) && per > 0)
        sc->hi = (bar_w - zero - 1) / per;
    return zero;
}

/* Unsigned bars begin at zero and the longest is whole: the numbers beside them are absolute. */
static void from_zero(const struct field *f, struct scale *sc, const double *v, int64_t n)
{
    double most = 0;
    if (f->unit && !strcmp(f->unit, "probability"))
        return; /* a whole bar is certainty */
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > most)
            most = v[i];
    sc->hi = most > 0 ? most : sc->hi;
    sc->lo = sc->lo > 0 ? 0 : sc->lo;
}

/* Two decimals would hide a field of small numbers. */
static void fit_decimals(struct number_form *form, const double *v, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            most = fmax(most, fabs(v[i]));
    if (form->decimals == 2 && most > 0 && most < 0.1)
        form->decimals = most < 0.001 ? 6 : 4;
}

static int bars_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    const struct field *f = &d->fields[0];
    struct canvas *c = s->canvas;
    struct series series;
    struct scale sc;
    use_last_axis(st, f);
    st->zoom = 0;
    int rc = series_load(&series, f, st, s->frame, e);
    if (rc)
        return rc;
    if (series.n <= 0) {
        draw_note(s, "no bars: the axis of this block is empty");
        return 0;
    }
    int axis = st->row_axis;
    int64_t at = place_of(&series, st->at[axis]),
            shown = s->rect.h < series.n ? s->rect.h : series.n;
    st->scroll[axis] = scroll_follow(st->scroll[axis], at, shown, series.n);
    if (shown <= 0)
        return 0;
    int64_t first = st->scroll[axis];
    double *v = arena_array(s->frame, (size_t)shown, sizeof *v, e);
    if (!v)
        return e->code;
    double *window = NULL;
    if (!series.order)
        rc = fetch_window(&window, f, st, first, shown, 0, 1, s->frame, e);
    if (rc)
        return rc;
    struct number_form form = field_form(f);
    char text[64];
    int label_w = 0, value_w = 0;
    fit_decimals(&form, series.order ? series.v : window, series.order ? series.n : shown);
    for (int64_t k = 0; k < shown; k++) {
        int64_t index = series.order ? series.order[first + k] : first + k;
        v[k] = series.order ? series.v[index] : window[k];
        int w = f->rank ? label_columns(series.a, index, c->glyphs) : 0;
        label_w = w > label_w ? w : label_w;
        w = text_columns(number_text(text, sizeof text, &form, v[k], c->glyphs));
        value_w = w > value_w ? w : value_w;
    }
    if (label_w > s->rect.w / 3)
        label_w = s->rect.w / 3;
    rc = view_scale(&sc, f, st, c->theme->dark, v, shown, s->frame, e);
    if (rc)
        return rc;
    if (!sc.is_signed)
        from_zero(f, &sc, series.order ? series.v : v, series.order ? series.n : shown);
    int bar_w = s->rect.w - label_w - value_w - 3;
    int zero = 0;
    if (sc.is_signed && bar_w > 2)
        zero =
            zero_column(&sc, series.order ? series.v : v, series.order ? series.n : shown, bar_w);
    for (int64_t k = 0; k < shown; k++) {
        int64_t index = series.order ? series.order[first + k] : first + k;
        number_text(text, sizeof text, &form, v[k], c->glyphs);
        draw_row(s, d, s->rect.y + (int)k, label_w, value_w, text, index, v[k], &sc, zero, bar_w,
            !d->is_static && index == st->at[axis]);
    }
    st->grid = (struct rect){s->rect.x, s->rect.y, s->rect.w, (int)shown};
    readout_cell(readout, f, st, v[at - first], c->glyphs);
    return 0;
}

static bool place_cursor(const struct field *f, struct view_state *st, int64_t by, bool is_absolute)
{
    struct arena scratch = {0};
    struct series s;
    struct err e;
    bool moved = false;
    if (!series_load(&s, f, st, &scratch, &e) && s.n > 0) {
        int64_t k = is_absolute ? by : place_of(&s, st->at[st->row_axis]) + by;
        k = k < 0 ? 0 : k >= s.n ? s.n - 1 : k;
        int64_t index = s.order ? s.order[k] : k;
        moved = index != st->at[st->row_axis];
        st->at[st->row_axis] = index;
    }
    arena_release(&scratch);
    return moved;
}

static bool bars_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    use_last_axis(st, f);
    if (!f->rank || m == MOVE_LEFT || m == MOVE_RIGHT)
        return false;
    bool is_end = m >= MOVE_HOME;
    int64_t by = m == MOVE_UP ? -1 : m == MOVE_DOWN ? 1 : m == MOVE_PAGE_UP ? -page : page;
    if (is_end)
        by = m == MOVE_HOME || m == MOVE_TOP ? 0 : INT64_MAX;
    return place_cursor(f, st, by, is_end);
}

static bool bars_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect g = st->grid;
    if (x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h || !d->fields[0].rank)
        return false;
    place_cursor(&d->fields[0], st, st->scroll[st->row_axis] + y - g.y, true);
    return true;
}

#define SVG_BARS 60

static int bars_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    struct series series;
    struct scale sc;
    double *v = NULL;
    char text[256];
    use_last_axis(&st, f);
    st.zoom = 0;
    int rc = series_load(&series, f, &st, frame, e);
    int64_t n = series.n < SVG_BARS ? series.n : SVG_BARS;
    if (!rc && !series.order && n > 0)
        rc = fetch_window(&v, f, &st, 0, n, 0, 1, frame, e);
    if (series.order)
        v = series.v;
    if (!rc)
        rc = view_scale(&sc, f, &st, false, v, series.order ? series.n : n, frame, e);
    if (rc)
        return rc;
    const double bar = 420, x0 = 260;
    struct number_form form = field_form(f);
    int zero =
        sc.is_signed && n > 0 ? zero_column(&sc, v, series.order ? series.n : n, (int)bar) : 0;
    if (!sc.is_signed)
        from_zero(f, &sc, v, series.order ? series.n : n);
    caption(text, sizeof text, f, &st);
    svg_open(out, x0 + bar + 16, 64 + (double)n * 22, 0xffffff);
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    for (int64_t k = 0; k < n; k++) {
        int64_t index = series.order ? series.order[k] : k;
        double value = v[index], y = 44 + (double)k * 22, t = scale_at(&sc, value);
        if (f->rank)
            svg_text(out, 150, y + 14, SVG_END, 12, 0x202020,
                label_show(text, series.a, index, GLYPHS_BLOCK));
        svg_text(out, x0 - 12, y + 14, SVG_END, 12, 0x404040,
            number_text(text, sizeof text, &form, value, GLYPHS_BLOCK));
        if (isnan(t))
            continue;
        if (!sc.is_signed)
            svg_rect(out, x0, y + 3, t * bar, 15, role_rgb(ROLE_BAR));
        else if (value >= 0)
            svg_rect(out, x0 + zero, y + 3, t * (bar - zero - 1), 15, role_rgb(ROLE_POSITIVE));
        else {
            double w = fmin(zero, -value / sc.hi * (bar - zero - 1));
            svg_rect(out, x0 + zero - w, y + 3, w, 15, role_rgb(ROLE_NEGATIVE));
        }
    }
    if (sc.is_signed)
        svg_line(out, x0 + zero, 40, x0 + zero, 48 + (double)n * 22, 0x808080);
    svg_close(out);
    return 0;
}

const struct view view_bars = {
    .id = "bars",
    .title = "bars",
    .help = "One bar a row with its exact value, the largest first unless their order carries "
            "meaning. Signed values grow from a centre line, to the right when positive.",
    .looks = 1u << LOOK_BARS | 1u << LOOK_TABLE | 1u << LOOK_LINES | 1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .draw = bars_draw,
    .svg = bars_svg,
    .move = bars_move,
    .pick = bars_pick,
};
