#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/paper.h"
#include "views/ticks.h"

/* Where everything goes; decided before anything is fetched. */
struct layout {
    int64_t rows, cols; /* of the field, in zoom steps */
    int64_t shown_rows, shown_cols, row0, col0;
    int decimals;
    int label_w, cell_w, cell_h; /* cell_h 0: half blocks, two rows a line */
    int context_w;               /* of labels that come with their text; 0: they do not */
    int x, y, w, h;              /* the cells */
    bool has_header, has_legend, names_cols, numbers, up;
};

/* Labels of at most 64 rows decide the width: enough for what is on screen. */
static int label_width(const struct field *f, const struct view_state *st, int64_t first, int64_t n,
    int most, enum glyphs g)
{
    int w = 0;
    if (f->rank < 1)
        return 0;
    for (int64_t i = 0; i < n && i < 64; i++) {
        int64_t index = (first + i) << st->level[st->row_axis];
        if (index >= f->axes[st->row_axis].size)
            break;
        int k = label_columns(&f->axes[st->row_axis], index, g);
        w = k > w ? k : w;
    }
    return w > most ? most : w;
}

#define NAMED_MOST 16

/* Columns of names, as a3.h3<q> and a3.h3<k>, are told apart by their ends: where there is room they are
 * as wide as these. Words of a text stand in an order that says which is which. */
static int named_width(const struct layout *l, const struct field *f, const struct view_state *st,
    int64_t per, enum glyphs g)
{
    const struct axis *a = f->rank > 1 && st->col_axis >= 0 ? &f->axes[st->col_axis] : NULL;
    int w = l->cell_w;
    if (!a || !axis_has_labels(a) || a->kind == AXIS_POS || a->kind == AXIS_VOCAB)
        return w;
    for (int64_t i = 0; i < l->cols && i < NAMED_MOST; i++) {
        int k = label_columns(a, i << st->level[st->col_axis], g) + 1;
        w = k > w ? k : w;
    }
    return w > NAMED_MOST || w > per ? l->cell_w : w;
}

/* How wide and high a cell is, and whether its number fits. */
static void arrange_cells(struct layout *l, const struct canvas *c, const struct field *f,
    const struct view_state *st, bool is_static, int avail, int body)
{
    /* A signed half block could not show its sign without hue, so it stays a whole cell. */
    bool dense_ok =
        c->mode >= COLOURS_256 && c->glyphs != GLYPHS_ASCII && !f->is_signed && !l->context_w;
    const int64_t high =
        l->rows > 0 && !is_static ? body / l->rows : 1; /* text has no empty lines */
    l->cell_h = high >= 3 ? 3 : high >= 2 ? 2 : 1;
    int64_t per = l->cols > 0 ? avail / l->cols : avail;
    int least_number = c->mode >= COLOURS_256 ? 4 : 5;
    if (st->numbers) {
        l->numbers = avail >= 5;
        l->cell_w = per >= 8 ? 8 : per < 6 ? 6 : (int)per;
    } else if (per >= least_number) {
        l->numbers = true;
        l->cell_w = per > 8 ? 8 : (int)per;
        l->cell_w = named_width(l, f, st, per, c->glyphs);
    } else {
        l->cell_w = per >= 3 ? 3 : per >= 2 ? 2 : 1;
    }
    if (l->cell_w > avail)
        l->cell_w = avail;
    if (!l->numbers && dense_ok && (l->rows > body || (l->cols > avail && l->rows > 1)))
        l->cell_h = 0;
    if (l->cell_h == 0)
        l->cell_w = 1;
}

static void scroll_axis(
    int64_t *first, struct view_state *st, const struct field *f, int axis, int64_t shown)
{
    if (axis < 0 || axis >= f->rank)
        return;
    *first = st->scroll[axis] = scroll_follow(
        st->scroll[axis], st->at[axis] >> st->level[axis], shown, axis_steps(f, st, axis));
}

static void arrange(struct layout *l, const struct screen *s, const struct field *f,
    struct view_state *st, bool is_static)
{
    const struct canvas *c = s->canvas;
    int w = s->rect.w, h = s->rect.h;
    bool has_cols = f->rank > 1 && st->col_axis >= 0;
    *l = (struct layout){.decimals = field_form(f).exact ? 0 : 2, .up = rows_grow_up(f, st)};
    state_level(st, f, f->rank ? st->row_axis : -1, h > 2 ? h - 2 : 1);
    l->rows = f->rank ? axis_steps(f, st, st->row_axis) : 1;
    /* Rows come before their header: a map that fits whole without one needs no scrolling. */
    l->has_header = has_cols && h >= 3 && l->rows != h;
    int body = h - (l->has_header ? 1 : 0);
    l->has_legend = body >= 14 || ((body >= 5 || is_static) && l->rows + 1 <= body);
    body -= l->has_legend ? 1 : 0;
    l->label_w = w >= 12 && f->rank ? label_width(f, st, st->scroll[st->row_axis], body * 2,
                                          w / 3 < 14 ? w / 3 : 14, c->glyphs)
                                    : 0;
    if (l->label_w && !st->level[st->row_axis] && (is_static || st->zoom == 0))
        l->context_w = context_columns(&f->axes[st->row_axis], w);
    l->label_w = l->context_w > l->label_w ? l->context_w : l->label_w;
    /* The columns' name stands in the corner above the rows' labels where it fits. */
    const char *name = has_cols ? f->axes[st->col_axis].name : NULL;
    l->names_cols = l->has_header && l->label_w && name && text_columns(name) < l->label_w;
    int avail = w - l->label_w - (l->label_w ? 1 : 0);
    if (avail < 1)
        avail = 1;
    state_level(st, f, has_cols ? st->col_axis : -1, avail);
    l->cols = has_cols ? axis_steps(f, st, st->col_axis) : 1;
    arrange_cells(l, c, f, st, is_static, avail, body);
    l->w = avail;
    l->h = body > 0 ? body : 0;
    int64_t fit_rows = l->cell_h ? l->h / l->cell_h : 2 * (int64_t)l->h;
    int64_t fit_cols = avail / l->cell_w;
    l->shown_rows = l->rows < fit_rows ? l->rows : fit_rows;
    l->shown_cols = l->cols < fit_cols ? l->cols : fit_cols;
    l->x = s->rect.x + l->label_w + (l->label_w ? 1 : 0);
    l->y = s->rect.y + (l->has_header ? 1 : 0);
    scroll_axis(&l->row0, st, f, st->row_axis, l->shown_rows);
    scroll_axis(&l->col0, st, f, has_cols ? st->col_axis : -1, l->shown_cols);
    st->grid = (struct rect){l->x, l->y, (int)l->shown_cols * l->cell_w,
        l->cell_h ? (int)l->shown_rows * l->cell_h : (int)(l->shown_rows + 1) / 2};
    st->cell_w = l->cell_w;
    st->cell_h = l->cell_h;
    st->shown = (int)l->shown_rows;
}

/* The row drawn k-th from the top. */
static int64_t row_of(const struct layout *l, int64_t k)
{
    return l->up ? l->shown_rows - 1 - k : k;
}

static int64_t first_mark(const struct view_data *d, enum axis_kind kind)
{
    for (int i = 0; i < d->n_marks; i++)
        if (d->marks[i].kind == kind)
            return d->marks[i].index;
    return -1;
}

static void draw_header(const struct screen *s, const struct view_data *d,
    const struct view_state *st, const struct layout *l)
{
    struct canvas *c = s->canvas;
    const struct axis *a = &d->fields[0].axes[st->col_axis];
    int level = st->level[st->col_axis], y = l->y - 1;
    int64_t cursor = d->is_static ? -1 : st->at[st->col_axis];
    int64_t marked = first_mark(d, a->kind);
    struct tick ticks[TICKS_MAX];
    struct tick_axis axis = {a, l->col0 << level, (int64_t)1 << level, l->shown_cols,
        marked >= 0 ? marked : cursor, l->cell_w, l->w, c->glyphs};
    if (l->names_cols)
        canvas_textf(c, s->rect.x, y, l->label_w, STYLE(LABEL), "%s%s", a->name,
            c->glyphs == GLYPHS_ASCII ? ">" : "→");
    for (int64_t k = 0; k < l->shown_cols && d->n_marks; k++)
        if (is_marked(d, a->kind, (l->col0 + k) << level))
            canvas_text(c, l->x + (int)k * l->cell_w, y, 1, STYLE(MARK),
                c->glyphs == GLYPHS_ASCII ? "v" : "▾");
    int n = ticks_of_axis(ticks, &axis);
    for (int i = 0; i < n; i++) {
        struct style style = is_marked(d, a->kind, ticks[i].index) ? STYLE(MARK)
                             : cursor >= 0 && cursor >> level == ticks[i].index >> level
                                 ? STYLE(STRONG)
                                 : STYLE(DIM);
        canvas_text(c, l->x + ticks[i].x, y, ticks[i].w, style, ticks[i].text);
    }
}

/* What is no number has a sign instead of a place on the scale. */
static void draw_odd(struct canvas *c, const struct rect *r, int mid, double v)
{
    canvas_fill(c, *r, (struct style){0}, " ");
    canvas_text(c, r->x + (r->w - 1) / 2, mid, 1, isnan(v) ? STYLE(DIM) : STYLE(WARN),
        odd_sign(v, c->glyphs));
}

static void draw_cell(const struct screen *s, const struct layout *l, const struct scale *sc, int x,
    int y, double v, bool is_cursor, bool is_focused)
{
    struct canvas *c = s->canvas;
    struct rect r = {x, y, l->cell_w, l->cell_h};
    int mid = y + (l->cell_h - 1) / 2;
    bool coloured = c->mode >= COLOURS_256;
    double t = scale_at(sc, v);
    struct style style = {0};
    char number[32] = "";
    if (l->numbers)
        number_short(
            number, sizeof number, v, l->cell_w - (coloured && l->cell_w < 6 ? 1 : 2), l->decimals);
    if (!isfinite(v)) {
        draw_odd(c, &r, mid, v);
    } else if (coloured) {
        uint32_t rgb = scale_rgb(sc, v);
        style.bg = COLOUR_RGB(rgb);
        style.fg = COLOUR_RGB(rgb_ink(rgb));
        canvas_fill(c, r, style, " ");
        if (l->numbers)
            canvas_right(c, x + l->cell_w - (l->cell_w > 5), mid, l->cell_w, style, number);
        else if (sc->is_signed && t < -SCALE_SIGNED)
            canvas_text(c, x + (l->cell_w - 1) / 2, mid, 1, style, "−");
    } else {
        const char *shade = scale_shade(sc, v, c->glyphs);
        style = !sc->is_signed ? STYLE(BAR) : t < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE);
        if (l->numbers) {
            canvas_right(c, x + l->cell_w - 2, mid, l->cell_w - 2, STYLE(TEXT), number);
            canvas_text(c, x + l->cell_w - 2, mid, 1, style, shade);
        } else {
            int fill = l->cell_w > 1 ? l->cell_w - 1 : 1; /* a gap, as in print */
            canvas_fill(c, (struct rect){x, y, fill, l->cell_h}, style, shade);
            if (sc->is_signed && t < -0.04)
                canvas_text(c, x + l->cell_w - 1, y, 1, style, "-");
        }
    }
    if (!is_cursor)
        return;
    /* The cursor keeps the cell's colour and brackets it, so that it can be seen and compared. */
    if (coloured && l->cell_w >= (l->numbers ? 6 : 2) && is_focused) {
        style.attrs = ATTR_BOLD;
        canvas_text(c, x, mid, 1, style, "[");
        canvas_text(c, x + l->cell_w - 1, mid, 1, style, "]");
    } else if (is_focused) {
        canvas_reverse(c, (struct rect){x, mid, l->cell_w, 1});
    } else if (coloured) {
        canvas_text(c, x, mid, 1, style, c->glyphs == GLYPHS_ASCII ? ">" : l->numbers ? "▸" : "•");
    }
}

/* Two rows a line: the upper half block's ink is the upper row, its paper the lower one. */
static void draw_dense(const struct screen *s, const struct view_data *d,
    const struct view_state *st, const struct layout *l, const struct scale *sc, const double *v)
{
    int64_t at_row = (st->at[st->row_axis] >> st->level[st->row_axis]) - l->row0;
    int64_t at_col =
        st->col_axis >= 0 ? (st->at[st->col_axis] >> st->level[st->col_axis]) - l->col0 : 0;
    for (int64_t k = 0; k < l->shown_rows; k += 2)
        for (int64_t col = 0; col < l->shown_cols; col++) {
            struct style style = {0};
            int64_t top = row_of(l, k);
            bool has_low = k + 1 < l->shown_rows;
            int64_t low = has_low ? row_of(l, k + 1) : top;
            double a = v[top * l->shown_cols + col], b = v[low * l->shown_cols + col];
            bool has_a = isfinite(a), has_b = has_low && isfinite(b);
            style.fg = has_a   ? COLOUR_RGB(scale_rgb(sc, a))
                       : has_b ? COLOUR_RGB(scale_rgb(sc, b))
                               : COLOUR_DEFAULT;
            if (has_a && has_b)
                style.bg = COLOUR_RGB(scale_rgb(sc, b));
            bool is_cursor =
                !d->is_static && col == at_col && (top == at_row || (has_low && low == at_row));
            const char *glyph = has_a ? "▀" : has_b ? "▄" : " ";
            if (is_cursor && d->is_focused) {
                style =
                    (struct style){.fg = COLOUR_RGB(0xffffff), .bg = style.bg, .attrs = ATTR_BOLD};
                glyph = "◆";
            }
            canvas_text(s->canvas, l->x + (int)col, l->y + (int)(k / 2), 1, style, glyph);
        }
}

static void draw_row_labels(const struct screen *s, const struct view_data *d,
    const struct view_state *st, const struct layout *l)
{
    const struct field *f = &d->fields[0];
    if (!l->label_w || f->rank < 1)
        return;
    const struct axis *a = &f->axes[st->row_axis];
    for (int64_t k = 0; k < l->shown_rows; k += l->cell_h ? 1 : 2) {
        int level = st->level[st->row_axis];
        int64_t index = (l->row0 + row_of(l, k)) << level;
        char label[LABEL_MAX];
        bool is_cursor = !d->is_static && index >> level == st->at[st->row_axis] >> level;
        struct style style = is_marked(d, a->kind, index) ? STYLE(MARK)
                             : is_cursor                  ? STYLE(STRONG)
                                                          : STYLE(LABEL);
        int y = l->y + (l->cell_h ? (int)k * l->cell_h + (l->cell_h - 1) / 2 : (int)k / 2);
        if (l->context_w)
            context_draw(s->canvas, s->rect.x, y, l->label_w, a, index,
                is_cursor ? STYLE(TEXT) : STYLE(LABEL), is_cursor ? STYLE(CURSOR) : STYLE(MARK));
        else
            canvas_text(s->canvas, s->rect.x, y, l->label_w, style,
                label_show(label, a, index, s->canvas->glyphs));
    }
}

/* The value under the cursor is exact even where a cell shows many. */
static int read_cursor(char readout[VIEW_READOUT], const struct screen *s, const struct field *f,
    const struct view_state *st, double cell, struct err *e)
{
    bool is_fine = true;
    for (int i = 0; i < f->rank; i++)
        is_fine = is_fine && !st->level[i];
    if (is_fine) {
        readout_cell(readout, f, st, cell, s->canvas->glyphs);
        return 0;
    }
    struct view_state exact = *st;
    char value[64], how[64];
    double *v;
    struct number_form form = field_form(f);
    memset(exact.level, 0, sizeof exact.level);
    int rc = fetch_window(&v, f, &exact, st->at[st->row_axis], 1,
        st->col_axis >= 0 ? st->at[st->col_axis] : 0, 1, s->frame, e);
    if (rc)
        return rc;
    readout_cell(readout, f, st, *v, s->canvas->glyphs);
    size_t n = strlen(readout);
    snprintf(readout + n, VIEW_READOUT - n, "; cell: %s, %s",
        number_text(value, sizeof value, &form, cell, s->canvas->glyphs),
        reduce_text(how, sizeof how, f, st));
    return 0;
}

static int heatmap_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    const struct field *f = &d->fields[0];
    struct layout l;
    struct scale sc;
    double *v;
    state_fit(st, f);
    arrange(&l, s, f, st, d->is_static);
    if (l.rows <= 0 || l.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    if (l.shown_rows <= 0 || l.shown_cols <= 0)
        return 0;
    int row_level = f->rank ? st->level[st->row_axis] : 0;
    int col_level = f->rank > 1 && st->col_axis >= 0 ? st->level[st->col_axis] : 0;
    int rc = fetch_window(&v, f, st, l.row0 << row_level, l.shown_rows, l.col0 << col_level,
        l.shown_cols, s->frame, e);
    if (!rc)
        rc = view_scale(
            &sc, f, st, s->canvas->theme->dark, v, l.shown_rows * l.shown_cols, s->frame, e);
    if (rc)
        return rc;
    int64_t at_row = f->rank > 0 ? (st->at[st->row_axis] >> row_level) - l.row0 : 0;
    int64_t at_col =
        f->rank > 1 && st->col_axis >= 0 ? (st->at[st->col_axis] >> col_level) - l.col0 : 0;
    if (l.has_header)
        draw_header(s, d, st, &l);
    draw_row_labels(s, d, st, &l);
    if (!l.cell_h)
        draw_dense(s, d, st, &l, &sc, v);
    for (int64_t k = 0; l.cell_h && k < l.shown_rows; k++)
        for (int64_t col = 0; col < l.shown_cols; col++) {
            int64_t row = row_of(&l, k);
            draw_cell(s, &l, &sc, l.x + (int)col * l.cell_w, l.y + (int)k * l.cell_h,
                v[row * l.shown_cols + col], !d->is_static && row == at_row && col == at_col,
                d->is_focused);
        }
    if (l.has_legend) {
        int below = st->grid.y + st->grid.h, last = s->rect.y + s->rect.h - 1;
        struct legend legend = {f, st, &sc, tally_of(v, l.shown_rows * l.shown_cols), l.up,
            l.names_cols, false, !l.cell_h, d->scale_note};
        int x = l.label_w > 8 ? s->rect.x : l.x;
        legend_draw(s, x, below + 1 < last ? below + 1 : last, s->rect.x + s->rect.w - x, &legend);
    }
    return read_cursor(readout, s, f, st, v[at_row * l.shown_cols + at_col], e);
}

static bool heatmap_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    struct view_state last = *st;
    state_fit(st, f);
    if (f->rank < 1)
        return false;
    memcpy(st->level, last.level, sizeof st->level);
    int64_t none = 0, step = (int64_t)1 << st->level[st->row_axis];
    int64_t across = st->col_axis >= 0 ? (int64_t)1 << st->level[st->col_axis] : 1;
    int up = rows_grow_up(f, st) ? 1 : -1;
    int64_t *row = &st->at[st->row_axis], rows = f->axes[st->row_axis].size;
    bool flat = f->rank < 2 || st->col_axis < 0;
    int64_t *col = flat ? &none : &st->at[st->col_axis];
    int64_t cols = flat ? 1 : f->axes[st->col_axis].size;
    switch (m) {
    case MOVE_LEFT:
        return move_index(col, cols, -across);
    case MOVE_RIGHT:
        return move_index(col, cols, across);
    case MOVE_UP:
        return move_index(row, rows, up * step);
    case MOVE_DOWN:
        return move_index(row, rows, -up * step);
    case MOVE_PAGE_UP:
        return move_index(row, rows, up * step * page);
    case MOVE_PAGE_DOWN:
        return move_index(row, rows, -up * step * page);
    case MOVE_HOME:
        return move_index(col, cols, -cols);
    case MOVE_END:
        return move_index(col, cols, cols);
    case MOVE_TOP:
        return move_index(row, rows, up * rows);
    case MOVE_BOTTOM:
        return move_index(row, rows, -up * rows);
    }
    return false;
}

static bool heatmap_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    const struct field *f = &d->fields[0];
    struct rect g = st->grid;
    if (f->rank < 1 || st->cell_w < 1 || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    int64_t k = st->cell_h ? (y - g.y) / st->cell_h : 2 * (y - g.y);
    int64_t row = rows_grow_up(f, st) ? st->shown - 1 - k : k;
    st->at[st->row_axis] = (st->scroll[st->row_axis] + (row < 0 ? 0 : row))
                           << st->level[st->row_axis];
    if (f->rank > 1 && st->col_axis >= 0)
        st->at[st->col_axis] = (st->scroll[st->col_axis] + (x - g.x) / st->cell_w)
                               << st->level[st->col_axis];
    state_fit(st, f);
    return true;
}

#define TIPS_MAX 4096 /* cells that carry their values in the drawing */
#define SVG_SIDE 2048 /* cells along an axis of a drawing; larger fields are drawn in strides */
#define SVG_PLOT 960.0
#define PALETTE 253 /* and three entries for what is no number */

/* Many cells are pixels of one picture, each exact to a 253rd of the scale. */
static int svg_map(struct paper *p, const double *v, int64_t rows, int64_t cols, bool up,
    const struct scale *sc, struct arena *frame, struct err *e)
{
    uint32_t palette[256] = {[PALETTE] = PAPER_NAN, PAPER_INF, PAPER_MINUS_INF};
    uint8_t *pixels = arena_array(frame, (size_t)rows * (size_t)cols, 1, e);
    if (!pixels)
        return e->code;
    for (int i = 0; i < PALETTE; i++) {
        double t = (double)i / (PALETTE - 1);
        palette[i] = scale_rgb(sc, scale_value(sc, sc->is_signed ? 2 * t - 1 : t));
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double x = v[(up ? rows - 1 - r : r) * cols + c], t = scale_at(sc, x);
            if (sc->is_signed)
                t = t / 2 + 0.5;
            pixels[r * cols + c] = !isfinite(x) ? (uint8_t)(PALETTE + (isnan(x)   ? 0
                                                                          : x > 0 ? 1
                                                                                  : 2))
                                                : (uint8_t)(t * (PALETTE - 1) + 0.5);
        }
    svg_pixels(p->out, p->x, p->y, p->w, p->h, pixels, (int)cols, (int)rows, palette);
    return 0;
}

/* Few cells are rectangles: each has its exact value as a tooltip, and printed where it fits. */
static void svg_cells(struct paper *p, const struct field *f, struct view_state *st,
    const double *v, int64_t rows, int64_t cols, const struct scale *sc)
{
    double cw = p->w / (double)cols, ch = p->h / (double)rows;
    bool up = rows_grow_up(f, st);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double value = v[r * cols + c], x = p->x + (double)c * cw;
            double y = p->y + (double)(up ? rows - 1 - r : r) * ch;
            uint32_t rgb = paper_rgb(sc, value);
            char tip[VIEW_READOUT], number[32];
            if (f->rank)
                st->at[st->row_axis] = r << st->level[st->row_axis];
            if (f->rank > 1 && st->col_axis >= 0)
                st->at[st->col_axis] = c << st->level[st->col_axis];
            readout_cell(tip, f, st, value, GLYPHS_BLOCK);
            svg_rect_title(p->out, x, y, cw, ch, rgb, tip);
            if (cw >= 36 && ch >= 14 && !isnan(value))
                svg_text(p->out, x + cw / 2, y + ch / 2 + 4, SVG_MIDDLE, 11, rgb_ink(rgb),
                    number_short(number, sizeof number, value, 5, field_form(f).exact ? 0 : 2));
        }
}

static double cell_side(int64_t n, double most)
{
    double side = floor(SVG_PLOT / (double)n);
    return side < 1 ? 1 : side > most ? most : side;
}

static int heatmap_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    struct scale sc;
    double *v;
    state_fit(&st, f);
    bool has_cols = f->rank > 1 && st.col_axis >= 0;
    st.zoom = LEVEL_MAX;
    state_level(&st, f, f->rank ? st.row_axis : -1, SVG_SIDE);
    state_level(&st, f, has_cols ? st.col_axis : -1, SVG_SIDE);
    int64_t rows = f->rank ? axis_steps(f, &st, st.row_axis) : 1;
    int64_t cols = has_cols ? axis_steps(f, &st, st.col_axis) : 1;
    int rc = fetch_window(&v, f, &st, 0, rows, 0, cols, frame, e);
    if (!rc)
        rc = view_scale(&sc, f, &st, false, v, rows * cols, frame, e);
    if (rc)
        return rc;
    struct paper p = {.out = out, .y = PAPER_TOP};
    struct legend legend = {f, &st, &sc, tally_of(v, rows * cols), rows_grow_up(f, &st), false,
        false, false, d->scale_note};
    int64_t row_step = f->rank ? (int64_t)1 << st.level[st.row_axis] : 1;
    p.x = f->rank ? paper_margin(&f->axes[st.row_axis], f->axes[st.row_axis].size) : PAPER_LEFT;
    p.w = (double)cols * cell_side(cols > 0 ? cols : 1, 48);
    p.h = (double)rows * cell_side(rows > 0 ? rows : 1, cols == 1 ? 18 : 24);
    paper_open(&p, d, &st, "heatmap", &legend.tally, 300 - fmin(p.w, 280), 120);
    if (rows * cols > TIPS_MAX)
        rc = svg_map(&p, v, rows, cols, legend.up, &sc, frame, e);
    else if (rows * cols > 0)
        svg_cells(&p, f, &st, v, rows, cols, &sc);
    if (f->rank)
        paper_ticks_y(&p, &f->axes[st.row_axis], 0, rows, row_step, legend.up, false);
    if (has_cols)
        paper_ticks_x(
            &p, &f->axes[st.col_axis], 0, cols, (int64_t)1 << st.level[st.col_axis], false);
    paper_scale(&p, p.y + p.h + (has_cols ? 50 : 16), &legend);
    paper_close(&p);
    return rc;
}

const struct view view_heatmap = {
    .id = "heatmap",
    .title = "heatmap",
    .help = "Each cell is one number, its colour the place on the scale below; signed scales keep "
            "zero in the middle and mark negative cells. Cells show their numbers where there is "
            "room, and what is no number has a sign of its own.",
    .good =
        "Two axes at a glance: where in a grid of layers, heads or positions something happens.",
    .source =
        "colours: after viridis (Smith and van der Walt 2015) and RdBu (Brewer and Harrower 2003)",
    .modes = 1u << VIEW_NUMBERS | 1u << VIEW_FLIP | 1u << VIEW_TRANSPOSE | 1u << VIEW_COARSER |
             1u << VIEW_FINER | 1u << VIEW_REDUCE | 1u << VIEW_LOG,
    .looks = 1u << LOOK_HEATMAP | 1u << LOOK_TABLE | 1u << LOOK_CONTOUR | 1u << LOOK_BARS |
             1u << LOOK_LINES | 1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_SIZES,
    .draw = heatmap_draw,
    .svg = heatmap_svg,
    .move = heatmap_move,
    .pick = heatmap_pick,
};
