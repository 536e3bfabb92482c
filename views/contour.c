#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/paper.h"
#include "views/plot.h"

#define LEVELS 8
#define GRID_MAX 512 /* nodes along an axis that are read; larger fields in strides */

struct surface {
    const struct field *f;
    int64_t rows, cols, step_r, step_c;
    const double *v; /* [rows, cols] */
    struct scale sc;
};

static int64_t step_for(int64_t n)
{
    return n > GRID_MAX ? (n + GRID_MAX - 1) / GRID_MAX : 1;
}

static int surface_load(struct surface *out, const struct field *f, struct view_state *st,
    bool dark, struct arena *frame, struct err *e)
{
    state_fit(st, f);
    *out = (struct surface){.f = f};
    if (f->rank < 2 || st->col_axis < 0)
        return err_set(e, ERR_USAGE, "a contour needs two axes; draw this block as lines instead");
    int64_t n_r = f->axes[st->row_axis].size, n_c = f->axes[st->col_axis].size;
    out->step_r = step_for(n_r);
    out->step_c = step_for(n_c);
    if (out->step_r > 1 || out->step_c > 1) {
        int64_t step = out->step_r > out->step_c ? out->step_r : out->step_c;
        uint8_t level = 0;
        while ((int64_t)1 << level < step)
            level++;
        st->level[st->row_axis] = st->level[st->col_axis] = level;
        out->step_r = out->step_c = (int64_t)1 << level;
    }
    out->rows = (n_r + out->step_r - 1) / out->step_r;
    out->cols = (n_c + out->step_c - 1) / out->step_c;
    if (out->rows <= 0 || out->cols <= 0)
        return 0;
    double *v;
    int rc = fetch_window(&v, f, st, 0, out->rows, 0, out->cols, frame, e);
    out->v = v;
    return rc ? rc : view_scale(&out->sc, f, st, dark, v, out->rows * out->cols, frame, e);
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

static int level_of(const struct surface *s, double v)
{
    double t = scale_at(&s->sc, v);
    if (isnan(t))
        return -1;
    if (s->sc.is_signed)
        t = t / 2 + 0.5;
    return (int)fmin(LEVELS - 1, floor(t * LEVELS));
}

static int contour_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    struct canvas *c = s->canvas;
    struct surface f;
    struct plot p;
    bool has_legend = s->rect.h >= 6;
    int w = s->rect.w, h = s->rect.h - has_legend;
    int rc = surface_load(&f, &d->fields[0], st, c->theme->dark, s->frame, e);
    if (rc)
        return rc;
    if (f.rows <= 0 || f.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    if (w < 1 || h < 1)
        return 0;
    if ((rc = plot_init(&p, s, w, h, e)))
        return rc;
    double dw = p.w > 1 ? p.w - 1 : 1, dh = p.h > 1 ? p.h - 1 : 1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double v = height(&f, w > 1 ? x / (double)(w - 1) : 0, h > 1 ? y / (double)(h - 1) : 0);
            if (isnan(v))
                continue;
            if (c->mode >= COLOURS_256)
                canvas_text(c, s->rect.x + x, s->rect.y + y, 1,
                    (struct style){.bg = COLOUR_RGB(scale_rgb(&f.sc, v))}, " ");
            else if (c->glyphs == GLYPHS_ASCII)
                canvas_text(c, s->rect.x + x, s->rect.y + y, 1, STYLE(BAR),
                    scale_shade(&f.sc, v, GLYPHS_ASCII));
        }
    /* A dot wherever the level changes towards the right or below: the isolines. */
    for (int y = 0; y < p.h && c->glyphs != GLYPHS_ASCII; y++)
        for (int x = 0; x < p.w; x++) {
            double v = height(&f, x / dw, y / dh);
            int here = level_of(&f, v);
            bool edge = x + 1 < p.w && level_of(&f, height(&f, (x + 1) / dw, y / dh)) != here;
            edge = edge || (y + 1 < p.h && level_of(&f, height(&f, x / dw, (y + 1) / dh)) != here);
            if (edge && here >= 0)
                plot_dot(&p, x, y,
                    c->mode >= COLOURS_256
                        ? (struct style){.fg = COLOUR_RGB(rgb_ink(scale_rgb(&f.sc, v)))}
                        : STYLE(TEXT));
        }
    plot_draw(&p, c, s->rect.x, s->rect.y, '*');
    if (has_legend)
        legend_draw(s, s->rect.x, s->rect.y + h, w,
            &(struct legend){f.f, st, &f.sc, tally_of(f.v, f.rows * f.cols), true, false, false});
    int64_t row = st->at[st->row_axis] / f.step_r, col = st->at[st->col_axis] / f.step_c;
    int cx = f.cols > 1 ? (int)(col * (w - 1) / (f.cols - 1)) : 0;
    int cy = f.rows > 1 ? (int)((f.rows - 1 - row) * (h - 1) / (f.rows - 1)) : 0;
    canvas_text(
        c, s->rect.x + cx, s->rect.y + cy, 1, STYLE(CURSOR), c->glyphs == GLYPHS_ASCII ? "X" : "◆");
    st->grid = (struct rect){s->rect.x, s->rect.y, w, h};
    double *exact;
    memset(st->level, 0, sizeof st->level);
    rc = fetch_window(
        &exact, f.f, st, st->at[st->row_axis], 1, st->at[st->col_axis], 1, s->frame, e);
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
    if (f->rank < 2 || st->col_axis < 0 || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    double tx = g.w > 1 ? (double)(x - g.x) / (g.w - 1) : 0;
    double ty = g.h > 1 ? (double)(y - g.y) / (g.h - 1) : 0;
    st->at[st->col_axis] = llround(tx * (double)(f->axes[st->col_axis].size - 1));
    st->at[st->row_axis] = llround((1 - ty) * (double)(f->axes[st->row_axis].size - 1));
    state_fit(st, f);
    return true;
}

#define SVG_W 128
#define SVG_H 96

static int contour_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct surface f;
    const double px = 5, x0 = 60, y0 = 48;
    char text[256];
    int rc = surface_load(&f, &d->fields[0], &st, false, frame, e);
    if (rc)
        return rc;
    caption(text, sizeof text, f.f, &st);
    svg_open(out, x0 + SVG_W * px + 40, y0 + SVG_H * px + 60, 0xffffff, text, "");
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    for (int y = 0; f.v && y < SVG_H; y++)
        for (int x = 0; x < SVG_W; x++) {
            double v = height(&f, x / (double)(SVG_W - 1), y / (double)(SVG_H - 1));
            if (isnan(v))
                continue;
            svg_rect(out, x0 + x * px, y0 + y * px, px, px, scale_rgb(&f.sc, v));
        }
    for (int y = 0; f.v && y + 1 < SVG_H; y++)
        for (int x = 0; x + 1 < SVG_W; x++) {
            double sx = SVG_W - 1, sy = SVG_H - 1;
            int here = level_of(&f, height(&f, x / sx, y / sy));
            double right = x0 + (x + 1) * px, low = y0 + (y + 1) * px;
            if (here != level_of(&f, height(&f, (x + 1) / sx, y / sy)))
                svg_line(out, right, y0 + y * px, right, low, 0x202020);
            if (here != level_of(&f, height(&f, x / sx, (y + 1) / sy)))
                svg_line(out, x0 + x * px, low, right, low, 0x202020);
        }
    if (f.f->rank >= 2) {
        const struct axis *a = &f.f->axes[st.col_axis], *b = &f.f->axes[st.row_axis];
        svg_text(out, x0 + SVG_W * px / 2, y0 + SVG_H * px + 20, SVG_MIDDLE, 12, 0x404040, a->name);
        svg_text(out, x0 - 8, y0 + SVG_H * px / 2, SVG_END, 12, 0x404040, b->name);
    }
    struct number_form form = field_form(f.f);
    svg_text(out, x0, y0 + SVG_H * px + 40, SVG_START, 11, 0x404040,
        number_text(text, sizeof text, &form, f.sc.lo, GLYPHS_BLOCK));
    for (int i = 0; i < LEVELS; i++)
        svg_rect(out, x0 + 70 + i * 20, y0 + SVG_H * px + 28, 20, 14,
            scale_rgb(&f.sc, f.sc.lo + (f.sc.hi - f.sc.lo) * (i + 0.5) / LEVELS));
    svg_text(out, x0 + 76 + LEVELS * 20, y0 + SVG_H * px + 40, SVG_START, 11, 0x404040,
        number_text(text, sizeof text, &form, f.sc.hi, GLYPHS_BLOCK));
    svg_close(out);
    return 0;
}

const struct view view_contour = {
    .id = "contour",
    .title = "contour",
    .help =
        "A surface over two axes with lines where it crosses one of eight equal levels. Between "
        "the grid's points it is interpolated; the readout has the exact value of the nearest.",
    .looks = 1u << LOOK_CONTOUR | 1u << LOOK_HEATMAP,
    .min_rank = 2,
    .max_rank = FIELD_MAX_RANK,
    .draw = contour_draw,
    .svg = contour_svg,
    .move = contour_move,
    .pick = contour_pick,
};
