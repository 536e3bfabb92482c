#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"
#include "views/svg.h"

#define PANELS_MAX 64
#define SIDE_MAX 64 /* cells of one small map along an axis; larger maps are drawn in strides */

/* Small heatmaps side by side, one an index of the third axis from the end: every head of a layer. */
struct panels {
    const struct field *f;
    struct view_state st; /* of one map */
    int axis;
    int64_t n, rows, cols; /* maps, and cells of each after striding */
    int across, w, h;      /* panels a line, and the cells of a panel with its title */
    int mag;
    bool is_dense, up;
};

/* The size of one map's panel at a magnification: 0 is half blocks, m is 2m x m cells a value. */
static bool panel_fits(struct panels *p, const struct rect *r, int mag)
{
    int64_t cw = mag ? 2 * mag : 1;
    int64_t w = p->cols * cw, h = mag ? p->rows * mag : p->is_dense ? (p->rows + 1) / 2 : p->rows;
    p->mag = mag;
    p->w = (int)(w < 6 ? 6 : w) + 2;
    p->h = (int)h + 1;
    p->across = r->w / p->w > 0 ? r->w / p->w : 1;
    return p->w <= r->w + 2 && (p->n + p->across - 1) / p->across * p->h <= r->h;
}

static void panels_of(
    struct panels *p, const struct screen *s, const struct field *f, struct view_state *st)
{
    const struct canvas *c = s->canvas;
    state_fit(st, f);
    *p = (struct panels){.f = f, .st = *st, .up = rows_grow_up(f, st)};
    for (p->axis = f->rank - 1; p->axis > 0; p->axis--)
        if (p->axis != st->row_axis && p->axis != st->col_axis)
            break;
    p->n = f->axes[p->axis].size < PANELS_MAX ? f->axes[p->axis].size : PANELS_MAX;
    p->is_dense = c->mode >= COLOURS_256 && c->glyphs != GLYPHS_ASCII;
    /* The finest stride at which all maps fit; if even the coarsest does not, some stay below. */
    for (uint8_t level = 0; level < 16; level++) {
        int64_t step = (int64_t)1 << level;
        p->st.level[st->row_axis] = p->st.level[st->col_axis] = level;
        p->rows = (f->axes[st->row_axis].size + step - 1) / step;
        p->cols = (f->axes[st->col_axis].size + step - 1) / step;
        if (p->rows > SIDE_MAX || p->cols > SIDE_MAX)
            continue;
        for (int mag = 3; mag >= 0; mag--)
            if (panel_fits(p, &s->rect, mag))
                return;
        if (p->rows <= 6)
            return;
    }
}

static void draw_map(const struct screen *s, const struct panels *p, const struct scale *sc,
    const double *v, int x, int y)
{
    struct canvas *c = s->canvas;
    int64_t step = p->is_dense && !p->mag ? 2 : 1;
    for (int64_t line = 0; line < p->rows; line += step)
        for (int64_t k = 0; k < p->cols; k++) {
            int64_t r = p->up ? p->rows - 1 - line : line, next = p->up ? r - 1 : r + 1;
            bool has_next = step == 2 && line + 1 < p->rows;
            double a = v[r * p->cols + k], b = has_next ? v[next * p->cols + k] : NAN;
            struct style style = STYLE(BAR);
            const char *glyph = scale_shade(sc, a, c->glyphs);
            int w = p->mag ? 2 * p->mag : 1, h = p->mag ? p->mag : 1;
            if (p->is_dense && p->mag) {
                style = (struct style){0};
                if (!isnan(a))
                    style.bg = COLOUR_RGB(scale_rgb(sc, a));
                glyph = " ";
            } else if (p->is_dense) {
                glyph = isnan(a) && isnan(b) ? " " : isnan(a) ? "▄" : "▀";
                style.fg = isnan(a) ? COLOUR_RGB(scale_rgb(sc, b)) : COLOUR_RGB(scale_rgb(sc, a));
                style.bg = isnan(b) || isnan(a) ? COLOUR_DEFAULT : COLOUR_RGB(scale_rgb(sc, b));
            } else if (sc->is_signed) {
                style = a < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE);
            }
            canvas_fill(
                c, (struct rect){x + (int)k * w, y + (int)(line / step) * h, w, h}, style, glyph);
        }
}

static int multiples_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    const struct field *f = &d->fields[0];
    struct canvas *c = s->canvas;
    struct panels p;
    panels_of(&p, s, f, st);
    if (p.n <= 0 || p.rows <= 0 || p.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    int64_t lines = (p.n + p.across - 1) / p.across, fit = p.h > 0 ? s->rect.h / p.h : 1;
    int64_t at_line = st->at[p.axis] / p.across;
    st->scroll[p.axis] = scroll_follow(st->scroll[p.axis], at_line, fit > 0 ? fit : 1, lines);
    for (int64_t i = st->scroll[p.axis] * p.across; i < p.n; i++) {
        int x = s->rect.x + (int)(i % p.across) * p.w;
        int y = s->rect.y + (int)(i / p.across - st->scroll[p.axis]) * p.h;
        char label[LABEL_MAX];
        struct scale sc;
        double *v;
        if (y >= s->rect.y + s->rect.h)
            break;
        struct arena_mark mark = arena_mark(s->frame);
        p.st.at[p.axis] = i;
        int rc = fetch_window(&v, f, &p.st, 0, p.rows, 0, p.cols, s->frame, e);
        if (!rc)
            rc = view_scale(&sc, f, &p.st, c->theme->dark, v, p.rows * p.cols, s->frame, e);
        if (rc)
            return rc;
        bool is_at = !d->is_static && i == st->at[p.axis];
        struct style style = is_at && d->is_focused                  ? STYLE(CURSOR)
                             : is_marked(d, f->axes[p.axis].kind, i) ? STYLE(MARK)
                             : is_at                                 ? STYLE(STRONG)
                                                                     : STYLE(LABEL);
        if (axis_has_labels(&f->axes[p.axis]))
            canvas_text(c, x, y, p.w - 1, style, label_show(label, &f->axes[p.axis], i, c->glyphs));
        else
            canvas_textf(c, x, y, p.w - 1, style, "%c%lld",
                f->axes[p.axis].name ? f->axes[p.axis].name[0] - 'a' + 'A' : '#', (long long)i);
        draw_map(s, &p, &sc, v, x, y + 1);
        arena_rewind(s->frame, mark);
    }
    st->grid = (struct rect){s->rect.x, s->rect.y, p.across * p.w, s->rect.h};
    st->cell_w = p.w;
    st->cell_h = p.h;
    st->shown = p.across;
    struct view_state exact = *st;
    double *v;
    memset(exact.level, 0, sizeof exact.level);
    int rc =
        fetch_window(&v, f, &exact, st->at[st->row_axis], 1, st->at[st->col_axis], 1, s->frame, e);
    if (!rc)
        readout_cell(readout, f, st, v[0], c->glyphs);
    return rc;
}

static int panel_axis(const struct field *f, const struct view_state *st)
{
    int axis = f->rank - 1;
    while (axis > 0 && (axis == st->row_axis || axis == st->col_axis))
        axis--;
    return axis;
}

static bool multiples_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    state_fit(st, f);
    int axis = panel_axis(f, st), across = st->shown > 0 ? st->shown : 1;
    int64_t n = f->axes[axis].size < PANELS_MAX ? f->axes[axis].size : PANELS_MAX;
    switch (m) {
    case MOVE_LEFT:
    case MOVE_RIGHT:
        return move_index(&st->at[axis], n, m == MOVE_LEFT ? -1 : 1);
    case MOVE_UP:
    case MOVE_DOWN:
        return move_index(&st->at[axis], n, m == MOVE_UP ? -across : across);
    case MOVE_PAGE_UP:
    case MOVE_PAGE_DOWN: {
        /* The axis before the maps, the layer, turns the page. */
        int before = axis - 1;
        (void)page;
        return before >= 0 &&
               move_index(&st->at[before], f->axes[before].size, m == MOVE_PAGE_UP ? 1 : -1);
    }
    default:
        return move_index(&st->at[axis], n, m == MOVE_HOME || m == MOVE_TOP ? -n : n);
    }
}

static bool multiples_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    const struct field *f = &d->fields[0];
    struct rect g = st->grid;
    if (st->cell_w < 1 || st->cell_h < 1 || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    int axis = panel_axis(f, st);
    int64_t i = ((y - g.y) / st->cell_h + st->scroll[axis]) * st->shown + (x - g.x) / st->cell_w;
    if (i >= f->axes[axis].size)
        return false;
    st->at[axis] = i;
    return true;
}

static int multiples_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    char text[256];
    state_fit(&st, f);
    int axis = panel_axis(f, &st);
    int64_t n = f->axes[axis].size < PANELS_MAX ? f->axes[axis].size : PANELS_MAX;
    uint8_t level = 0;
    while ((f->axes[st.row_axis].size >> level) > 2 * SIDE_MAX ||
           (f->axes[st.col_axis].size >> level) > 2 * SIDE_MAX)
        level++;
    st.level[st.row_axis] = st.level[st.col_axis] = level;
    int64_t step = (int64_t)1 << level;
    int64_t rows = (f->axes[st.row_axis].size + step - 1) / step;
    int64_t cols = (f->axes[st.col_axis].size + step - 1) / step;
    const int across = 4;
    const double side = 180, pitch = side + 24;
    caption(text, sizeof text, f, &st);
    svg_open(out, 16 + across * pitch, 64 + (double)((n + across - 1) / across) * (pitch + 8),
        0xffffff, text, "");
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    for (int64_t i = 0; i < n && rows > 0 && cols > 0; i++) {
        bool up = rows_grow_up(f, &st);
        double x = 16 + (double)(i % across) * pitch, y = 56 + (double)(i / across) * (pitch + 8);
        struct scale sc;
        double *v;
        st.at[axis] = i;
        int rc = fetch_window(&v, f, &st, 0, rows, 0, cols, frame, e);
        if (!rc)
            rc = view_scale(&sc, f, &st, false, v, rows * cols, frame, e);
        if (rc)
            return rc;
        char label[LABEL_MAX];
        snprintf(text, sizeof text, "%s %s", f->axes[axis].name ? f->axes[axis].name : "",
            label_show(label, &f->axes[axis], i, GLYPHS_BLOCK));
        svg_text(out, x, y - 4, SVG_START, 11, 0x404040, text);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < cols; k++)
                if (!isnan(v[r * cols + k]))
                    svg_rect(out, x + (double)k * side / (double)cols,
                        y + (double)(up ? rows - 1 - r : r) * side / (double)rows,
                        side / (double)cols, side / (double)rows, scale_rgb(&sc, v[r * cols + k]));
    }
    svg_close(out);
    return 0;
}

const struct view view_multiples = {
    .id = "multiples",
    .title = "small multiples",
    .help =
        "One small heatmap for each index of an axis, such as every head of a layer at once, each "
        "on the same scale rule. Left and right choose one; page up and down change the axis "
        "before it.",
    .looks = 1u << LOOK_HEATMAP,
    .min_rank = 3,
    .max_rank = FIELD_MAX_RANK,
    .draw = multiples_draw,
    .svg = multiples_svg,
    .move = multiples_move,
    .pick = multiples_pick,
};
