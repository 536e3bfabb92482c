#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "views/paper.h"
#include "views/plot.h"
#include "views/ticks.h"

#define LEVELS 8
#define GRID_MAX 512 /* nodes along an axis that are read; larger fields in strides */

struct surface {
    const struct field *f;
    int64_t row0, col0, rows, cols, step_r, step_c; /* the nodes read */
    const double *v;                                /* [rows, cols] */
    struct scale sc;
    double level[LEVELS]; /* round values, rising */
    int n_levels;
    int64_t lowest; /* the smallest value's node, -1: none */
    struct tally tally;
};

/* The part of an axis that the zoom leaves around the cursor, in nodes. */
static void choose_nodes(
    int64_t *first, int64_t *nodes, int64_t *step, struct view_state *st, int64_t n, int axis)
{
    int64_t shown = n >> st->zoom;
    shown = shown < 2 ? n < 2 ? n : 2 : shown;
    st->level[axis] = 0;
    while ((shown >> st->level[axis]) > GRID_MAX)
        st->level[axis]++;
    *step = (int64_t)1 << st->level[axis];
    *nodes = (shown + *step - 1) / *step;
    *first = st->scroll[axis] = scroll_follow(st->scroll[axis], st->at[axis], shown, n);
}

static void find_levels(struct surface *s)
{
    int64_t n = s->rows * s->cols;
    s->tally = tally_of(s->v, n);
    s->lowest = -1;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(s->v[i]) && (s->lowest < 0 || s->v[i] < s->v[s->lowest]))
            s->lowest = i;
    s->n_levels = ticks_of_values(s->level, LEVELS, s->sc.lo, s->sc.hi, s->sc.is_log);
}

static int surface_load(struct surface *out, const struct field *f, struct view_state *st,
    bool dark, struct arena *frame, struct err *e)
{
    double *v;
    state_fit(st, f);
    *out = (struct surface){.f = f};
    if (f->rank < 2 || st->col_axis < 0)
        return err_set(e, ERR_USAGE, "a contour needs two axes; draw this block as lines instead");
    int64_t n_r = f->axes[st->row_axis].size, n_c = f->axes[st->col_axis].size;
    if (n_r <= 0 || n_c <= 0)
        return 0;
    choose_nodes(&out->row0, &out->rows, &out->step_r, st, n_r, st->row_axis);
    choose_nodes(&out->col0, &out->cols, &out->step_c, st, n_c, st->col_axis);
    int rc = fetch_window(&v, f, st, out->row0, out->rows, out->col0, out->cols, frame, e);
    if (!rc)
        rc = view_scale(&out->sc, f, st, dark, v, out->rows * out->cols, frame, e);
    out->v = v;
    if (!rc)
        find_levels(out);
    return rc;
}

/* Bilinear between the nodes; y counts from the top, rows grow upwards. */
static double height(const struct surface *s, double x, double y)
{
    double r = (1 - y) * (double)(s->rows - 1), c = x * (double)(s->cols - 1);
    int64_t r0 = (int64_t)r, c0 = (int64_t)c;
    int64_t r1 = r0 + 1 < s->rows ? r0 + 1 : r0, c1 = c0 + 1 < s->cols ? c0 + 1 : c0;
    double fr = r - (double)r0, fc = c - (double)c0;
    double a = s->v[r0 * s->cols + c0], b = s->v[r0 * s->cols + c1];
    double p = s->v[r1 * s->cols + c0], q = s->v[r1 * s->cols + c1];
    return (a * (1 - fc) + b * fc) * (1 - fr) + (p * (1 - fc) + q * fc) * fr;
}

/* Levels at or below v; -1: no number. */
static int level_of(const struct surface *s, double v)
{
    int k = 0;
    if (!isfinite(v))
        return -1;
    while (k < s->n_levels && s->level[k] <= v)
        k++;
    return k;
}

static double part(int i, int n)
{
    return n > 1 ? (double)i / (n - 1) : 0;
}

/* ---- on the screen ---- */

/* Heights at the cells of a rectangle, [h, w]. */
static double *cell_heights(
    const struct surface *f, const struct rect *r, struct arena *frame, struct err *e)
{
    double *v = arena_array(frame, (size_t)r->w * (size_t)r->h, sizeof *v, e);
    for (int y = 0; v && y < r->h; y++)
        for (int x = 0; x < r->w; x++)
            v[y * r->w + x] = height(f, part(x, r->w), part(y, r->h));
    return v;
}

static void draw_ground(
    const struct screen *s, const struct surface *f, const struct rect *r, const double *heights)
{
    struct canvas *c = s->canvas;
    for (int y = 0; y < r->h; y++)
        for (int x = 0; x < r->w; x++) {
            double v = heights[y * r->w + x];
            struct rect cell = {r->x + x, r->y + y, 1, 1};
            if (!isfinite(v))
                canvas_fill(c, cell, STYLE(DIM), odd_sign(v, c->glyphs));
            else if (c->mode >= COLOURS_256)
                canvas_fill(c, cell, (struct style){.bg = COLOUR_RGB(scale_rgb(&f->sc, v))}, " ");
            else if (c->glyphs == GLYPHS_ASCII)
                canvas_fill(c, cell, STYLE(BAR), scale_shade(&f->sc, v, GLYPHS_ASCII));
        }
}

/* A dot wherever the level changes towards the right or below: the isolines. */
static int draw_isolines(
    const struct screen *s, const struct surface *f, const struct rect *r, struct err *e)
{
    struct canvas *c = s->canvas;
    struct plot p;
    int rc = plot_init(&p, s, r->w, r->h, e);
    if (rc || c->glyphs == GLYPHS_ASCII)
        return rc;
    int8_t *level = arena_array(s->frame, (size_t)p.w * (size_t)p.h, 1, e);
    if (!level)
        return e->code;
    for (int y = 0; y < p.h; y++)
        for (int x = 0; x < p.w; x++)
            level[y * p.w + x] = (int8_t)level_of(f, height(f, part(x, p.w), part(y, p.h)));
    for (int y = 0; y < p.h; y++)
        for (int x = 0; x < p.w; x++) {
            int8_t here = level[y * p.w + x];
            int8_t right = x + 1 < p.w ? level[y * p.w + x + 1] : here;
            int8_t low = y + 1 < p.h ? level[(y + 1) * p.w + x] : here;
            if (here < 0 || (right == here && low == here))
                continue;
            double v = height(f, part(x, p.w), part(y, p.h));
            plot_dot(&p, x, y,
                c->mode >= COLOURS_256
                    ? (struct style){.fg = COLOUR_RGB(rgb_ink(scale_rgb(&f->sc, v)))}
                    : STYLE(TEXT));
        }
    plot_draw(&p, c, r->x, r->y, '*');
    return 0;
}

/* Puts a text over the drawing, on the colour that is there. */
static void put_over(struct canvas *c, int x, int y, struct style style, const char *text)
{
    size_t n = strlen(text);
    while (n) {
        char one[CELL_TEXT];
        int w;
        size_t used = text_cluster(&w, text, n);
        snprintf(one, sizeof one, "%.*s", (int)used, text);
        canvas_overlay(c, x, y, style, one);
        text += used;
        n -= used;
        x += w;
    }
}

struct taken {
    int x, y, w;
};

static bool is_free(const struct taken *t, int n, int x, int y, int w)
{
    for (int i = 0; i < n; i++)
        if (abs(t[i].y - y) < 1 && x < t[i].x + t[i].w + 1 && t[i].x < x + w + 1)
            return false;
    return true;
}

/* The number of every level once, on its line, as near the middle as there is room. */
static void label_levels(const struct screen *s, const struct surface *f, const struct rect *r,
    const double *heights, struct taken *taken, int n)
{
    struct canvas *c = s->canvas;
    struct number_form form = field_form(f->f);
    double apart = ticks_apart(f->level, f->n_levels, f->sc.is_log);
    for (int k = 0; k < f->n_levels; k++) {
        char text[32];
        struct taken best = {0};
        double nearest = INFINITY, value = NAN;
        tick_number(text, sizeof text, &form, f->level[k], apart, c->glyphs);
        best.w = canvas_columns(c, text);
        for (int y = 0; y < r->h; y++)
            for (int x = 0; x + 1 < r->w; x++) {
                double a = heights[y * r->w + x], b = heights[y * r->w + x + 1];
                int at = x - best.w / 2;
                if ((a < f->level[k]) == (b < f->level[k]))
                    continue;
                double far = fabs(x - r->w / 2.0) / r->w + fabs(y - r->h / 2.0) / r->h;
                if (!isfinite(a) || !isfinite(b) || far >= nearest || at < 0 ||
                    at + best.w > r->w || !is_free(taken, n, at, y, best.w))
                    continue;
                nearest = far;
                best.x = at;
                best.y = y;
                value = a;
            }
        if (!isfinite(nearest))
            continue;
        struct style style =
            c->mode >= COLOURS_256
                ? (struct style){.fg = COLOUR_RGB(rgb_ink(scale_rgb(&f->sc, value)))}
                : STYLE(STRONG);
        put_over(c, r->x + best.x, r->y + best.y, style, text);
        taken[n++] = best;
    }
}

/* Where a node lies among n cells; -1: outside of what is shown. */
static int cell_of(int64_t node, int64_t nodes, int n)
{
    if (node < 0 || node >= nodes)
        return -1;
    return nodes > 1 ? (int)(node * (n - 1) / (nodes - 1)) : 0;
}

static int mark_lowest(
    const struct screen *s, const struct surface *f, const struct rect *r, struct taken *out)
{
    struct canvas *c = s->canvas;
    struct number_form form = field_form(f->f);
    char text[64], number[48];
    if (f->lowest < 0)
        return 0;
    double v = f->v[f->lowest];
    int x = cell_of(f->lowest % f->cols, f->cols, r->w);
    int y = cell_of(f->rows - 1 - f->lowest / f->cols, f->rows, r->h);
    snprintf(text, sizeof text, "%smin %s", c->glyphs == GLYPHS_ASCII ? "O " : "○ ",
        number_text(number, sizeof number, &form, v, c->glyphs));
    int w = canvas_columns(c, text);
    struct style style =
        c->mode >= COLOURS_256
            ? (struct style){.fg = COLOUR_RGB(rgb_ink(scale_rgb(&f->sc, v))), .attrs = ATTR_BOLD}
            : STYLE(STRONG);
    bool fits = x + w <= r->w;
    put_over(c, r->x + x, r->y + y, style, fits ? text : c->glyphs == GLYPHS_ASCII ? "O" : "○");
    *out = (struct taken){x, y, fits ? w : 1};
    return 1;
}

/* Labels of the rows at the left, as many as have a line of their own between them. */
static void draw_y_axis(const struct screen *s, const struct surface *f,
    const struct view_state *st, const struct rect *r, int w)
{
    int64_t every = 1;
    while (every < f->rows && (double)every * (r->h - 1) / (double)(f->rows - 1) < 3)
        every = tick_step(every);
    for (int64_t k = 0; w && k < f->rows; k += every) {
        char label[LABEL_MAX];
        int y = cell_of(f->rows - 1 - k, f->rows, r->h);
        label_show(label, &f->f->axes[st->row_axis], f->row0 + k * f->step_r, s->canvas->glyphs);
        canvas_right(s->canvas, s->rect.x + w - 1, r->y + y, w - 1, STYLE(DIM), label);
    }
}

static void draw_x_axis(const struct screen *s, const struct surface *f,
    const struct view_state *st, const struct rect *r)
{
    struct tick t[TICKS_MAX];
    double cell = f->cols > 1 ? (double)(r->w - 1) / (double)(f->cols - 1) : r->w;
    struct tick_axis x = {
        &f->f->axes[st->col_axis], f->col0, f->step_c, f->cols, -1, cell, r->w, s->canvas->glyphs};
    int n = ticks_of_axis(t, &x);
    for (int i = 0; i < n; i++)
        if (t[i].x + t[i].w <= r->w)
            canvas_text(s->canvas, r->x + t[i].x, r->y + r->h, t[i].w, STYLE(DIM), t[i].text);
}

static int label_width(const struct surface *f, const struct view_state *st, enum glyphs g)
{
    int w = 0;
    for (int64_t k = 0; k < f->rows && k < 64; k++) {
        int n = label_columns(&f->f->axes[st->row_axis], f->row0 + k * f->step_r, g);
        w = n > w ? n : w;
    }
    return (w < 10 ? w : 10) + 1;
}

static int contour_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    struct canvas *c = s->canvas;
    struct surface f;
    struct taken taken[LEVELS + 1];
    int rc = surface_load(&f, &d->fields[0], st, c->theme->dark, s->frame, e);
    if (rc)
        return rc;
    if (f.rows <= 0 || f.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    bool has_legend = s->rect.h >= 6, has_axis = s->rect.h >= 8;
    int label = s->rect.w >= 24 ? label_width(&f, st, c->glyphs) : 0;
    struct rect r = {
        s->rect.x + label, s->rect.y, s->rect.w - label, s->rect.h - has_legend - has_axis};
    if (r.w < 1 || r.h < 1)
        return 0;
    double *heights = cell_heights(&f, &r, s->frame, e);
    if (!heights)
        return e->code;
    draw_ground(s, &f, &r, heights);
    if ((rc = draw_isolines(s, &f, &r, e)))
        return rc;
    int n = mark_lowest(s, &f, &r, taken);
    label_levels(s, &f, &r, heights, taken, n);
    draw_y_axis(s, &f, st, &r, label);
    if (has_axis)
        draw_x_axis(s, &f, st, &r);
    if (has_legend)
        legend_draw(s, s->rect.x, s->rect.y + s->rect.h - 1, s->rect.w,
            &(struct legend){f.f, st, &f.sc, f.tally, true, false, false, false});
    int cx = cell_of((st->at[st->col_axis] - f.col0) / f.step_c, f.cols, r.w);
    int cy = cell_of(f.rows - 1 - (st->at[st->row_axis] - f.row0) / f.step_r, f.rows, r.h);
    if (cx >= 0 && cy >= 0 && !d->is_static)
        canvas_text(c, r.x + cx, r.y + cy, 1, STYLE(CURSOR), c->glyphs == GLYPHS_ASCII ? "X" : "◆");
    st->grid = r;
    double *exact;
    struct view_state one = *st;
    memset(one.level, 0, sizeof one.level);
    rc = fetch_window(
        &exact, f.f, &one, st->at[st->row_axis], 1, st->at[st->col_axis], 1, s->frame, e);
    if (!rc)
        readout_cell(readout, f.f, st, exact[0], c->glyphs);
    return rc;
}

static bool contour_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    state_fit(st, f);
    if (f->rank < 2 || st->col_axis < 0)
        return false;
    int64_t *row = &st->at[st->row_axis], rows = f->axes[st->row_axis].size;
    int64_t *col = &st->at[st->col_axis], cols = f->axes[st->col_axis].size;
    switch (m) {
    case MOVE_LEFT:
    case MOVE_RIGHT:
        return move_index(col, cols, m == MOVE_LEFT ? -1 : 1);
    case MOVE_HOME:
    case MOVE_END:
        return move_index(col, cols, m == MOVE_HOME ? -cols : cols);
    case MOVE_UP:
    case MOVE_DOWN:
        return move_index(row, rows, m == MOVE_UP ? 1 : -1);
    case MOVE_PAGE_UP:
    case MOVE_PAGE_DOWN:
        return move_index(row, rows, m == MOVE_PAGE_UP ? page : -page);
    default:
        return move_index(row, rows, m == MOVE_TOP ? rows : -rows);
    }
}

static bool contour_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    const struct field *f = &d->fields[0];
    struct rect g = st->grid;
    state_fit(st, f);
    if (f->rank < 2 || st->col_axis < 0 || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    int64_t n_r = f->axes[st->row_axis].size, n_c = f->axes[st->col_axis].size;
    int64_t rows, cols, step_r, step_c, row0, col0;
    if (n_r <= 0 || n_c <= 0)
        return false;
    choose_nodes(&row0, &rows, &step_r, st, n_r, st->row_axis);
    choose_nodes(&col0, &cols, &step_c, st, n_c, st->col_axis);
    st->at[st->col_axis] = col0 + llround(part(x - g.x, g.w) * (double)(cols - 1)) * step_c;
    st->at[st->row_axis] = row0 + llround((1 - part(y - g.y, g.h)) * (double)(rows - 1)) * step_r;
    state_fit(st, f);
    return true;
}

/* ---- on paper ---- */

#define SVG_W 160
#define SVG_H 120
#define SVG_PX 4.0
#define SVG_PALETTE 253

static int svg_ground(struct paper *p, const struct surface *f, struct arena *frame, struct err *e)
{
    uint32_t palette[256] = {[SVG_PALETTE] = PAPER_NAN, PAPER_INF, PAPER_MINUS_INF};
    const int w = SVG_W * 2, h = SVG_H * 2;
    uint8_t *pixels = arena_array(frame, (size_t)w * (size_t)h, 1, e);
    if (!pixels)
        return e->code;
    for (int i = 0; i < SVG_PALETTE; i++) {
        double t = (double)i / (SVG_PALETTE - 1);
        palette[i] = scale_rgb(&f->sc, scale_value(&f->sc, f->sc.is_signed ? 2 * t - 1 : t));
    }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double v = height(f, part(x, w), part(y, h)), t = scale_at(&f->sc, v);
            t = f->sc.is_signed ? t / 2 + 0.5 : t;
            pixels[y * w + x] = (uint8_t)(isfinite(v) ? t * (SVG_PALETTE - 1) + 0.5
                                          : isnan(v)  ? SVG_PALETTE
                                          : v > 0     ? SVG_PALETTE + 1
                                                      : SVG_PALETTE + 2);
        }
    svg_pixels(p->out, p->x, p->y, p->w, p->h, pixels, w, h, palette);
    return 0;
}

/* Where a line of a level crosses the edge between two corners: 0..1, or NaN. */
static double crossing(double a, double b, double level)
{
    return (a < level) != (b < level) ? (level - a) / (b - a) : NAN;
}

/* Marching squares over SVG_W x SVG_H squares; each square gives at most two pieces of line. The
 * piece nearest the middle carries the level's number. */
static void svg_isoline(
    struct paper *p, const struct surface *f, const double *corner, double level, const char *label)
{
    double near = INFINITY, lx = 0, ly = 0;
    bool any = false;
    for (int y = 0; y < SVG_H; y++)
        for (int x = 0; x < SVG_W; x++) {
            const double *at = corner + y * (SVG_W + 1) + x;
            double a = at[0], b = at[1], c = at[SVG_W + 2], d = at[SVG_W + 1];
            int below = (a < level) + (b < level) + (c < level) + (d < level);
            if (below % 4 == 0)
                continue;
            double t[4] = {crossing(a, b, level), crossing(b, c, level), crossing(d, c, level),
                crossing(a, d, level)};
            double px[4] = {x + t[0], x + 1, x + t[2], x}, py[4] = {y, y + t[1], y + 1, y + t[3]};
            int found = 0;
            for (int i = 0; i < 4; i++) {
                if (!isfinite(t[i]))
                    continue;
                if (!any)
                    svg_path_begin(p->out);
                any = true;
                svg_path_to(p->out, p->x + px[i] * SVG_PX, p->y + py[i] * SVG_PX, !(found++ & 1));
                double far = fabs(px[i] - SVG_W / 2.0) / SVG_W + fabs(py[i] - SVG_H / 2.0) / SVG_H;
                bool inside = px[i] > 6 && px[i] < SVG_W - 6 && py[i] > 5;
                if (inside && far < near) {
                    near = far;
                    lx = p->x + px[i] * SVG_PX;
                    ly = p->y + py[i] * SVG_PX;
                }
            }
        }
    if (!any)
        return;
    uint32_t ink = rgb_ink(scale_rgb(&f->sc, level));
    svg_path_end(p->out, 1, ink, "");
    if (isfinite(near))
        svg_text(p->out, lx, ly - 3, SVG_MIDDLE, 11, ink, label);
}

static void svg_lowest(struct paper *p, const struct surface *f)
{
    char text[64], number[48];
    double v = f->v[f->lowest];
    double x = f->cols > 1 ? (double)(f->lowest % f->cols) / (double)(f->cols - 1) : 0;
    double y = f->rows > 1 ? 1 - (double)(f->lowest / f->cols) / (double)(f->rows - 1) : 0;
    uint32_t ink = rgb_ink(scale_rgb(&f->sc, v));
    snprintf(text, sizeof text, "min %s", number_exact(number, sizeof number, v, f->f->dtype));
    x = p->x + x * p->w;
    y = p->y + y * p->h;
    svg_line(p->out, x - 5, y - 5, x + 5, y + 5, ink);
    svg_line(p->out, x - 5, y + 5, x + 5, y - 5, ink);
    bool left = x > p->x + p->w / 2;
    svg_text(p->out, left ? x - 9 : x + 9, y < p->y + 16 ? y + 14 : y - 4,
        left ? SVG_END : SVG_START, 11, ink, text);
}

static int contour_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct surface f;
    struct paper p = {.out = out, .y = PAPER_TOP, .w = SVG_W * SVG_PX, .h = SVG_H * SVG_PX};
    int rc = surface_load(&f, &d->fields[0], &st, false, frame, e);
    if (rc)
        return rc;
    const struct axis *rows = &f.f->axes[st.row_axis], *cols = &f.f->axes[st.col_axis];
    p.x = paper_margin(rows, f.rows);
    paper_open(&p, d, &st, "contour", &f.tally, 40, 120);
    if (f.v) {
        struct number_form form = field_form(f.f);
        double apart = ticks_apart(f.level, f.n_levels, f.sc.is_log);
        char text[32];
        double *corner = arena_array(frame, (SVG_W + 1) * (SVG_H + 1), sizeof *corner, e);
        if (!corner)
            return e->code;
        for (int y = 0; y <= SVG_H; y++)
            for (int x = 0; x <= SVG_W; x++)
                corner[y * (SVG_W + 1) + x] = height(&f, part(x, SVG_W + 1), part(y, SVG_H + 1));
        rc = svg_ground(&p, &f, frame, e);
        for (int k = 0; k < f.n_levels; k++)
            svg_isoline(&p, &f, corner, f.level[k],
                tick_number(text, sizeof text, &form, f.level[k], apart, GLYPHS_BLOCK));
        if (f.lowest >= 0)
            svg_lowest(&p, &f);
        paper_ticks_x(&p, cols, f.col0, f.cols, f.step_c, true);
        paper_ticks_y(&p, rows, f.row0, f.rows, f.step_r, true, true);
        paper_scale(&p, p.y + p.h + 50,
            &(struct legend){f.f, &st, &f.sc, f.tally, true, false, false, false});
    }
    paper_close(&p);
    return rc;
}

const struct view view_contour = {
    .id = "contour",
    .title = "contour",
    .help = "A surface over two axes with lines where it crosses round values, each with its "
            "number, and the smallest value marked. Between the grid's points it is interpolated; "
            "the readout has the exact value of the nearest.",
    .good = "Loss landscapes and other smooth functions of two parameters.",
    .source = "bilinear interpolation; on paper marching squares (Lorensen and Cline 1987)",
    .modes = 1u << VIEW_TRANSPOSE | 1u << VIEW_LOG | 1u << VIEW_COARSER | 1u << VIEW_FINER,
    .is_whole = true,
    .looks = 1u << LOOK_CONTOUR | 1u << LOOK_HEATMAP,
    .min_rank = 2,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_ORDER | 1u << VIEW_NEEDS_ORDERS | 1u << VIEW_NEEDS_SIZES,
    .draw = contour_draw,
    .svg = contour_svg,
    .move = contour_move,
    .pick = contour_pick,
};
