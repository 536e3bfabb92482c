#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"
#include "views/plot.h"
#include "views/svg.h"

#define LINES_MAX 6

static const enum role line_roles[LINES_MAX] = {
    ROLE_BAR, ROLE_ALT1, ROLE_ALT2, ROLE_ALT3, ROLE_POSITIVE, ROLE_NEGATIVE};
static const char line_signs[LINES_MAX] = {'*', 'o', '+', 'x', '#', '@'};

/* One line a field, or one a row of a field of rank 2 and more; x is the last axis. */
struct curves {
    const struct view_data *d;
    struct view_state *st;
    bool is_multi;
    int x_axis;
    int64_t n_x, first; /* first: row of curve 0 */
    int n;
};

static struct curves curves_of(const struct view_data *d, struct view_state *st)
{
    const struct field *f = &d->fields[0];
    struct curves c = {.d = d, .st = st, .is_multi = d->n > 1};
    if (!st->has_axes) {
        st->row_axis = f->rank >= 2 ? f->rank - 2 : 0;
        st->col_axis = f->rank >= 2 ? f->rank - 1 : -1;
        st->has_axes = true;
    }
    state_fit(st, f);
    c.x_axis = f->rank >= 2 && st->col_axis >= 0 ? st->col_axis : st->row_axis;
    c.n_x = f->rank ? f->axes[c.x_axis].size : 1;
    int64_t rows = c.is_multi ? d->n : c.x_axis != st->row_axis ? f->axes[st->row_axis].size : 1;
    c.n = (int)(rows < LINES_MAX ? rows : LINES_MAX);
    if (!c.is_multi && rows > LINES_MAX)
        c.first = scroll_follow(
            st->at[st->row_axis] - LINES_MAX / 2, st->at[st->row_axis], LINES_MAX, rows);
    return c;
}

/* n values of curve k from index x0 in steps. */
static int curve_values(double **out, const struct curves *c, int k, int64_t x0, int64_t step,
    int64_t n, struct arena *frame, struct err *e)
{
    const struct field *f = &c->d->fields[c->is_multi ? k : 0];
    struct window w = {0};
    for (int i = 0; i < f->rank; i++) {
        w.start[i] = c->st->at[i];
        w.count[i] = w.stride[i] = 1;
    }
    if (f->rank) {
        w.start[c->x_axis] = x0;
        w.count[c->x_axis] = n;
        w.stride[c->x_axis] = step;
    }
    if (!c->is_multi && c->x_axis != c->st->row_axis)
        w.start[c->st->row_axis] = c->first + k;
    double *v = arena_array(frame, (size_t)n, sizeof *v, e);
    if (!v)
        return e->code;
    *out = v;
    return f->fetch(f, v, &w, step > 1 ? FIELD_MEAN : FIELD_POINT, e);
}

static const char *curve_name(char buf[LABEL_MAX], const struct curves *c, int k, enum glyphs g)
{
    const struct field *f = &c->d->fields[c->is_multi ? k : 0];
    if (c->is_multi || c->x_axis == c->st->row_axis)
        snprintf(buf, LABEL_MAX, "%s", f->name ? f->name : "");
    else if (!axis_has_labels(&f->axes[c->st->row_axis]))
        snprintf(
            buf, LABEL_MAX, "%s %lld", f->axes[c->st->row_axis].name, (long long)(c->first + k));
    else
        label_show(buf, &f->axes[c->st->row_axis], c->first + k, g);
    return buf;
}

static bool is_at(const struct curves *c, int k)
{
    return c->is_multi || c->x_axis == c->st->row_axis ? k == 0
                                                       : c->first + k == c->st->at[c->st->row_axis];
}

static void extent(struct scale *sc, double *const *v, int n, int64_t points, bool is_signed)
{
    double lo = NAN, hi = NAN;
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < points; i++) {
            if (!isfinite(v[k][i]))
                continue;
            lo = !(lo <= v[k][i]) ? v[k][i] : lo;
            hi = !(hi >= v[k][i]) ? v[k][i] : hi;
        }
    if (is_signed && lo > 0)
        lo = 0;
    if (is_signed && hi < 0)
        hi = 0;
    *sc = scale_make(lo, hi, false, true);
}

static void draw_axes(const struct screen *s, const struct curves *c, const struct scale *sc,
    int left, int plot_w, int plot_h, int64_t x0, int64_t step, int64_t points)
{
    struct canvas *cv = s->canvas;
    struct number_form form = field_form(&c->d->fields[0]);
    char text[LABEL_MAX];
    int y0 = s->rect.y;
    for (int i = 0; i < 3 && plot_h > 1; i++) {
        double v = sc->hi - (sc->hi - sc->lo) * i / 2;
        if (i == 1 && plot_h < 5)
            continue;
        canvas_right(cv, s->rect.x + left - 1, y0 + (plot_h - 1) * i / 2, left - 1, STYLE(DIM),
            number_text(text, sizeof text, &form, v, cv->glyphs));
    }
    if (sc->lo < 0 && sc->hi > 0) {
        int y = y0 + (int)lround(sc->hi / (sc->hi - sc->lo) * (plot_h - 1));
        canvas_fill(cv, (struct rect){s->rect.x + left, y, plot_w, 1}, STYLE(FRAME),
            cv->glyphs == GLYPHS_ASCII ? "-" : "─");
    }
    if (s->rect.h <= plot_h || !c->d->fields[0].rank)
        return;
    const struct axis *a = &c->d->fields[0].axes[c->x_axis];
    int y = s->rect.y + plot_h;
    int64_t last = x0 + (points - 1) * step;
    int w = canvas_text(
        cv, s->rect.x + left, y, plot_w / 3, STYLE(DIM), label_show(text, a, x0, cv->glyphs));
    canvas_right(cv, s->rect.x + left + plot_w, y, plot_w / 3, STYLE(DIM),
        label_show(text, a, last, cv->glyphs));
    int mid = left + plot_w / 2 - text_columns(a->name ? a->name : "") / 2;
    if (mid > left + w)
        canvas_text(cv, s->rect.x + mid, y, plot_w / 3, STYLE(LABEL), a->name ? a->name : "");
}

/* Names of the curves in their colours, one line; each with its sign, so that hue is not needed. */
static void draw_names(const struct screen *s, const struct curves *c, int y)
{
    int x = s->rect.x;
    for (int k = 0; k < c->n && x < s->rect.x + s->rect.w; k++) {
        char name[LABEL_MAX], sign[2] = {line_signs[k], '\0'};
        struct style style = {.fg = COLOUR_ROLE(line_roles[k])};
        if (is_at(c, k))
            style.attrs = ATTR_BOLD | ATTR_UNDERLINE;
        x += canvas_text(s->canvas, x, y, 2, style, sign) + 1;
        x += canvas_text(s->canvas, x, y, s->rect.x + s->rect.w - x, style,
                 curve_name(name, c, k, s->canvas->glyphs)) +
             2;
    }
}

static int lines_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    struct canvas *cv = s->canvas;
    struct curves c = curves_of(d, st);
    double *v[LINES_MAX];
    struct scale sc;
    struct screen body = *s;
    if (c.n_x <= 0 || c.n <= 0) {
        draw_note(s, "no points: an axis of this block is empty");
        return 0;
    }
    bool has_names = c.n > 1 && s->rect.h >= 4;
    if (has_names)
        draw_names(s, &c, s->rect.y);
    body.rect.y += has_names;
    body.rect.h -= has_names;
    int left = s->rect.w >= 24 ? 9 : 0, plot_w = s->rect.w - left;
    int plot_h = body.rect.h - (body.rect.h >= 4 ? 1 : 0);
    if (plot_w < 1 || plot_h < 1)
        return 0;
    struct plot p;
    int rc = plot_init(&p, s, plot_w, plot_h, e);
    if (rc)
        return rc;
    int64_t step = (c.n_x + p.w - 1) / p.w, points = (c.n_x + step - 1) / step;
    for (int k = 0; k < c.n; k++)
        if ((rc = curve_values(&v[k], &c, k, 0, step, points, s->frame, e)))
            return rc;
    if (st->has_limits)
        sc = scale_make(st->lo, st->hi, false, true);
    else
        extent(&sc, v, c.n, points, d->fields[0].is_signed);
    draw_axes(&body, &c, &sc, left, plot_w, plot_h, 0, step, points);
    for (int k = c.n - 1; k >= 0; k--) {
        struct style style = {
            .fg = COLOUR_ROLE(line_roles[k]), .attrs = is_at(&c, k) ? ATTR_BOLD : 0};
        int px = -1, py = 0;
        for (int64_t i = 0; i < points; i++) {
            if (!isfinite(v[k][i])) {
                px = -1;
                continue;
            }
            int x = points > 1 ? (int)(i * (p.w - 1) / (points - 1)) : p.w / 2;
            int y = (int)lround((1 - scale_at(&sc, v[k][i])) * (p.h - 1));
            plot_line(&p, px < 0 ? x : px, px < 0 ? y : py, x, y, style);
            px = x;
            py = y;
        }
        plot_draw(&p, cv, body.rect.x + left, body.rect.y, line_signs[k]);
        memset(p.bits, 0, (size_t)(p.cols * p.rows));
    }
    int64_t at = d->fields[0].rank ? st->at[c.x_axis] : 0, i = at / step;
    int cx = left + (points > 1 ? (int)(i * (plot_w - 1) / (points - 1)) : plot_w / 2);
    if (!d->is_static)
        canvas_guide(cv, (struct rect){body.rect.x + cx, body.rect.y, 1, plot_h});
    st->grid = (struct rect){body.rect.x + left, body.rect.y, plot_w, plot_h};
    int selected = 0;
    for (int k = 0; k < c.n; k++)
        selected = is_at(&c, k) ? k : selected;
    double *exact;
    rc = curve_values(&exact, &c, selected, at, 1, 1, s->frame, e);
    if (!rc)
        readout_cell(readout, &d->fields[c.is_multi ? selected : 0], st, exact[0], cv->glyphs);
    return rc;
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
    if (m == MOVE_UP || m == MOVE_DOWN)
        return row && move_index(row, rows, m == MOVE_UP ? -1 : 1);
    if (m == MOVE_TOP || m == MOVE_BOTTOM)
        return row && move_index(row, rows, m == MOVE_TOP ? -rows : rows);
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
    if (!d->fields[0].rank || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    st->at[c.x_axis] =
        g.w > 1 ? (int64_t)((double)(x - g.x) / (g.w - 1) * (double)(c.n_x - 1) + 0.5) : 0;
    return true;
}

static int lines_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct curves c = curves_of(d, &st);
    const double w = 640, h = 320, x0 = 90, y0 = 48;
    double *v[LINES_MAX];
    struct scale sc;
    char text[256];
    int64_t step = c.n_x > 2000 ? (c.n_x + 1999) / 2000 : 1;
    int64_t points = c.n_x > 0 ? (c.n_x + step - 1) / step : 0;
    for (int k = 0; k < c.n && points > 0; k++) {
        int rc = curve_values(&v[k], &c, k, 0, step, points, frame, e);
        if (rc)
            return rc;
    }
    extent(&sc, v, points > 0 ? c.n : 0, points, d->fields[0].is_signed);
    struct number_form form = field_form(&d->fields[0]);
    caption(text, sizeof text, &d->fields[0], &st);
    svg_open(out, x0 + w + 140, y0 + h + 48, 0xffffff, text, "");
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    svg_line(out, x0, y0 + h, x0 + w, y0 + h, 0x808080);
    svg_line(out, x0, y0, x0, y0 + h, 0x808080);
    for (int i = 0; i <= 4; i++)
        svg_text(out, x0 - 8, y0 + h * i / 4 + 4, SVG_END, 11, 0x404040,
            number_text(text, sizeof text, &form, sc.hi - (sc.hi - sc.lo) * i / 4, GLYPHS_BLOCK));
    for (int64_t i = 0; points > 0 && d->fields[0].rank && i <= 4; i++) {
        int64_t index = (c.n_x - 1) * i / 4;
        svg_text(out, x0 + w * (double)i / 4, y0 + h + 18, SVG_MIDDLE, 11, 0x404040,
            label_show(text, &d->fields[0].axes[c.x_axis], index, GLYPHS_BLOCK));
    }
    for (int k = 0; k < c.n && points > 0; k++) {
        double px = NAN, py = NAN;
        uint32_t rgb = role_rgb(line_roles[k]);
        for (int64_t i = 0; i < points; i++) {
            double x = x0 + (points > 1 ? w * (double)i / (double)(points - 1) : w / 2);
            double y = y0 + (1 - scale_at(&sc, v[k][i])) * h;
            if (isfinite(y) && isfinite(py))
                svg_line(out, px, py, x, y, rgb);
            else if (isfinite(y))
                svg_rect(out, x - 1.5, y - 1.5, 3, 3, rgb);
            px = x;
            py = y;
        }
        svg_text(out, x0 + w + 8, y0 + 14 + k * 18, SVG_START, 12, rgb,
            curve_name(text, &c, k, GLYPHS_BLOCK));
    }
    svg_close(out);
    return 0;
}

const struct view view_lines = {
    .id = "lines",
    .title = "lines",
    .help =
        "Curves along the last axis, one a row, with their range on the left. The upright bar is "
        "the cursor; the readout has the exact value there.",
    .looks = 1u << LOOK_LINES | 1u << LOOK_BARS | 1u << LOOK_TABLE | 1u << LOOK_HEATMAP |
             1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .draw = lines_draw,
    .svg = lines_svg,
    .move = lines_move,
    .pick = lines_pick,
};
