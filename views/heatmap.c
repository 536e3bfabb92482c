#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/draw.h"
#include "views/svg.h"

/* Where everything goes; decided before anything is fetched. */
struct layout {
    int64_t rows, cols; /* of the field, in zoom steps */
    int64_t shown_rows, shown_cols, row0, col0;
    int decimals;
    int label_w, cell_w, cell_h; /* cell_h 0: half blocks, two rows a line */
    int x, y, w, h;              /* the cells */
    bool has_header, has_legend, numbers, up;
};

static int64_t steps(const struct field *f, int axis, int zoom)
{
    if (axis < 0 || axis >= f->rank)
        return 1;
    int64_t step = (int64_t)1 << zoom;
    return f->axes[axis].size / step + (f->axes[axis].size % step != 0);
}

/* Labels of at most 64 rows decide the width: enough for what is on screen. */
static int label_width(const struct field *f, const struct view_state *st, int64_t first, int64_t n,
    int most, enum glyphs g)
{
    int w = 0;
    if (f->rank < 1)
        return 0;
    for (int64_t i = 0; i < n && i < 64; i++) {
        int64_t index = (first + i) << st->zoom;
        if (index >= f->axes[st->row_axis].size)
            break;
        int k = label_columns(&f->axes[st->row_axis], index, g);
        w = k > w ? k : w;
    }
    return w > most ? most : w;
}

static void arrange(
    struct layout *l, const struct screen *s, const struct field *f, struct view_state *st)
{
    const struct canvas *c = s->canvas;
    int w = s->rect.w, h = s->rect.h;
    *l = (struct layout){.rows = steps(f, st->row_axis, st->zoom),
        .cols = steps(f, st->col_axis, st->zoom),
        .decimals = field_form(f).exact ? 0 : 2,
        .up = rows_grow_up(f, st)};
    if (f->rank == 0)
        l->rows = 1;
    /* Rows come before their header: a map that fits whole without one needs no scrolling. */
    l->has_header = f->rank > 1 && st->col_axis >= 0 && h >= 3 && l->rows != h;
    int body = h - (l->has_header ? 1 : 0);
    l->has_legend = body >= 8 && l->rows + 1 <= body;
    if (body >= 14)
        l->has_legend = true;
    body -= l->has_legend ? 1 : 0;
    /* A signed half block could not show its sign without hue, so it stays a whole cell. */
    bool dense_ok = c->mode >= COLOURS_256 && c->glyphs != GLYPHS_ASCII && !f->is_signed;
    l->label_w = w >= 12 ? label_width(f, st, st->scroll[st->row_axis], body * 2,
                               w / 3 < 14 ? w / 3 : 14, c->glyphs)
                         : 0;
    int avail = w - l->label_w - (l->label_w ? 1 : 0);
    if (avail < 1)
        avail = 1;
    l->cell_h = l->rows > 0 && body / l->rows >= 3 ? 3 : l->rows > 0 && body / l->rows >= 2 ? 2 : 1;
    int64_t per = l->cols > 0 ? avail / l->cols : avail;
    int least_number = c->mode >= COLOURS_256 ? 4 : 5;
    if (st->numbers) {
        l->numbers = avail >= 5;
        l->cell_w = per >= 8 ? 8 : per < 6 ? 6 : (int)per;
    } else if (per >= least_number) {
        l->numbers = true;
        l->cell_w = per > 8 ? 8 : (int)per;
    } else {
        l->cell_w = per >= 3 ? 3 : per >= 2 ? 2 : 1;
    }
    if (l->cell_w > avail)
        l->cell_w = avail;
    if (!l->numbers && dense_ok && (l->rows > body || (l->cols > avail && l->rows > 1)))
        l->cell_h = 0;
    if (l->cell_h == 0)
        l->cell_w = 1;
    l->w = avail;
    l->h = body > 0 ? body : 0;
    int64_t fit_rows = l->cell_h ? l->h / l->cell_h : 2 * (int64_t)l->h;
    int64_t fit_cols = avail / l->cell_w;
    l->shown_rows = l->rows < fit_rows ? l->rows : fit_rows;
    l->shown_cols = l->cols < fit_cols ? l->cols : fit_cols;
    l->x = s->rect.x + l->label_w + (l->label_w ? 1 : 0);
    l->y = s->rect.y + (l->has_header ? 1 : 0);
    if (f->rank > 0)
        st->scroll[st->row_axis] = l->row0 = scroll_follow(
            st->scroll[st->row_axis], st->at[st->row_axis] >> st->zoom, l->shown_rows, l->rows);
    if (f->rank > 1 && st->col_axis >= 0)
        st->scroll[st->col_axis] = l->col0 = scroll_follow(
            st->scroll[st->col_axis], st->at[st->col_axis] >> st->zoom, l->shown_cols, l->cols);
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

static void draw_header(const struct screen *s, const struct view_data *d,
    const struct view_state *st, const struct layout *l)
{
    struct canvas *c = s->canvas;
    const struct axis *a = &d->fields[0].axes[st->col_axis];
    int y = l->y - 1, free_from = l->x;
    bool has_words = l->cell_w >= 6;
    int64_t every = has_words ? 1 : l->cell_w >= 2 ? 5 : 10;
    for (int64_t k = 0; k < l->shown_cols; k++) {
        int64_t index = (l->col0 + k) << st->zoom;
        int x = l->x + (int)k * l->cell_w;
        bool is_cursor = !d->is_static && index >> st->zoom == st->at[st->col_axis] >> st->zoom;
        bool marked = is_marked(d, a->kind, index);
        struct style style = marked ? STYLE(MARK) : is_cursor ? STYLE(STRONG) : STYLE(DIM);
        if (has_words) {
            char label[LABEL_MAX];
            canvas_text(c, x, y, l->cell_w - 1, style, label_show(label, a, index, c->glyphs));
        } else if (marked) {
            canvas_text(c, x, y, 1, STYLE(MARK), "▾");
            free_from = x + 2;
        } else if ((l->col0 + k) % every == 0 && x >= free_from) {
            char tick[24];
            int n = snprintf(tick, sizeof tick, "%lld", (long long)index);
            if (x + n <= l->x + l->w)
                free_from = x + canvas_text(c, x, y, n, STYLE(DIM), tick) + 1;
        }
    }
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
    if (coloured) {
        if (!isnan(v)) {
            uint32_t rgb = scale_rgb(sc, v);
            style.bg = COLOUR_RGB(rgb);
            style.fg = COLOUR_RGB(rgb_ink(rgb));
        }
        canvas_fill(c, r, style, " ");
        if (l->numbers)
            canvas_right(c, x + l->cell_w - (l->cell_w > 5), mid, l->cell_w, style, number);
        else if (sc->is_signed && t < -0.04)
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
    int64_t at_row = (st->at[st->row_axis] >> st->zoom) - l->row0;
    int64_t at_col = st->col_axis >= 0 ? (st->at[st->col_axis] >> st->zoom) - l->col0 : 0;
    for (int64_t k = 0; k < l->shown_rows; k += 2)
        for (int64_t col = 0; col < l->shown_cols; col++) {
            struct style style = {0};
            int64_t top = row_of(l, k);
            bool has_low = k + 1 < l->shown_rows;
            int64_t low = has_low ? row_of(l, k + 1) : top;
            double a = v[top * l->shown_cols + col], b = v[low * l->shown_cols + col];
            style.fg = isnan(a) ? COLOUR_DEFAULT : COLOUR_RGB(scale_rgb(sc, a));
            if (has_low && !isnan(b))
                style.bg = COLOUR_RGB(scale_rgb(sc, b));
            bool is_cursor = col == at_col && (top == at_row || (has_low && low == at_row));
            const char *glyph = isnan(a) && (!has_low || isnan(b)) ? " " : isnan(a) ? "▄" : "▀";
            if (isnan(a) && has_low && !isnan(b)) {
                style.fg = style.bg;
                style.bg = COLOUR_DEFAULT;
            }
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
        int64_t index = (l->row0 + row_of(l, k)) << st->zoom;
        char label[LABEL_MAX];
        bool is_cursor = !d->is_static && index >> st->zoom == st->at[st->row_axis] >> st->zoom;
        struct style style = is_marked(d, a->kind, index) ? STYLE(MARK)
                             : is_cursor                  ? STYLE(STRONG)
                                                          : STYLE(LABEL);
        int y = l->y + (l->cell_h ? (int)k * l->cell_h + (l->cell_h - 1) / 2 : (int)k / 2);
        canvas_text(s->canvas, s->rect.x, y, l->label_w, style,
            label_show(label, a, index, s->canvas->glyphs));
    }
}

static int heatmap_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    const struct field *f = &d->fields[0];
    struct layout l;
    struct scale sc;
    double *v;
    state_fit(st, f);
    arrange(&l, s, f, st);
    if (l.rows <= 0 || l.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    if (l.shown_rows <= 0 || l.shown_cols <= 0)
        return 0;
    int rc = fetch_window(
        &v, f, st, l.row0 << st->zoom, l.shown_rows, l.col0 << st->zoom, l.shown_cols, s->frame, e);
    if (!rc)
        rc = view_scale(
            &sc, f, st, s->canvas->theme->dark, v, l.shown_rows * l.shown_cols, s->frame, e);
    if (rc)
        return rc;
    int64_t at_row = f->rank > 0 ? (st->at[st->row_axis] >> st->zoom) - l.row0 : 0;
    int64_t at_col =
        f->rank > 1 && st->col_axis >= 0 ? (st->at[st->col_axis] >> st->zoom) - l.col0 : 0;
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
        int below = st->grid.y + st->grid.h + 1, last = s->rect.y + s->rect.h - 1;
        draw_legend(s, l.x, below < last ? below : last, l.w, &sc, f);
    }
    readout_cell(readout, f, st, v[at_row * l.shown_cols + at_col], s->canvas->glyphs);
    return 0;
}

static bool heatmap_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    state_fit(st, f);
    if (f->rank < 1)
        return false;
    int64_t step = (int64_t)1 << st->zoom, none = 0;
    int up = rows_grow_up(f, st) ? 1 : -1;
    int64_t *row = &st->at[st->row_axis], rows = f->axes[st->row_axis].size;
    bool flat = f->rank < 2 || st->col_axis < 0;
    int64_t *col = flat ? &none : &st->at[st->col_axis];
    int64_t cols = flat ? 1 : f->axes[st->col_axis].size;
    switch (m) {
    case MOVE_LEFT:
        return move_index(col, cols, -step);
    case MOVE_RIGHT:
        return move_index(col, cols, step);
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
    st->at[st->row_axis] = (st->scroll[st->row_axis] + (row < 0 ? 0 : row)) << st->zoom;
    if (f->rank > 1 && st->col_axis >= 0)
        st->at[st->col_axis] = (st->scroll[st->col_axis] + (x - g.x) / st->cell_w) << st->zoom;
    state_fit(st, f);
    return true;
}

#define TIPS_MAX 4096
#define SVG_SIDE 256 /* cells along an axis of a drawing; larger fields are drawn in strides */

static int heatmap_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    struct scale sc;
    double *v;
    st.zoom = 0;
    state_fit(&st, f);
    while (steps(f, st.row_axis, st.zoom) > SVG_SIDE || steps(f, st.col_axis, st.zoom) > SVG_SIDE)
        st.zoom++;
    int64_t rows = f->rank ? steps(f, st.row_axis, st.zoom) : 1;
    int64_t cols = steps(f, st.col_axis, st.zoom);
    int rc = fetch_window(&v, f, &st, 0, rows, 0, cols, frame, e);
    if (!rc)
        rc = view_scale(&sc, f, &st, false, v, rows * cols, frame, e);
    if (rc)
        return rc;
    double cw = cols <= 24 ? 48 : cols <= 80 ? 16 : 6, ch = rows <= 40 ? 22 : rows <= 100 ? 12 : 6;
    int label = label_width(f, &st, 0, rows, 24, GLYPHS_BLOCK);
    double x0 = 16 + label * 7.4 + 8, y0 = 66, w = x0 + (double)cols * cw + 16;
    bool up = rows_grow_up(f, &st);
    char text[256];
    caption(text, sizeof text, f, &st);
    svg_open(out, w < 420 ? 420 : w, y0 + (double)rows * ch + 48, 0xffffff);
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    for (int64_t r = 0; r < rows; r++) {
        int64_t index = r << st.zoom;
        double y = y0 + (double)(up ? rows - 1 - r : r) * ch;
        if (f->rank && ch >= 12)
            svg_text(out, x0 - 8, y + ch / 2 + 4, SVG_END, 12, 0x404040,
                label_show(text, &f->axes[st.row_axis], index, GLYPHS_BLOCK));
        for (int64_t c = 0; c < cols; c++) {
            double value = v[r * cols + c];
            char tip[VIEW_READOUT], number[32];
            if (isnan(value))
                continue;
            uint32_t rgb = scale_rgb(&sc, value);
            st.at[st.row_axis] = index;
            if (f->rank > 1 && st.col_axis >= 0)
                st.at[st.col_axis] = c << st.zoom;
            readout_cell(tip, f, &st, value, GLYPHS_BLOCK);
            /* Tooltips keep the exact values; a map of many cells would drown in them. */
            if (rows * cols <= TIPS_MAX)
                svg_rect_title(out, x0 + (double)c * cw, y, cw, ch, rgb, tip);
            else
                svg_rect(out, x0 + (double)c * cw, y, cw, ch, rgb);
            if (cw >= 36)
                svg_text(out, x0 + ((double)c + 0.5) * cw, y + ch / 2 + 4, SVG_MIDDLE, 11,
                    rgb_ink(rgb),
                    number_short(number, sizeof number, value, 5, field_form(f).exact ? 0 : 2));
        }
    }
    for (int64_t c = 0; f->rank > 1 && st.col_axis >= 0 && c < cols; c += cw >= 36 ? 1 : 10) {
        label_show(text, &f->axes[st.col_axis], c << st.zoom, GLYPHS_BLOCK);
        if (text_columns(text) > 6 && cw >= 36)
            snprintf(text + text_clip(NULL, text, strlen(text), 5), 4, "…");
        if (cw < 36)
            snprintf(text, sizeof text, "%lld", (long long)(c << st.zoom));
        svg_text(out, x0 + ((double)c + 0.5) * cw, y0 - 8, SVG_MIDDLE, 11, 0x404040, text);
    }
    double ly = y0 + (double)rows * ch + 16;
    struct number_form form = field_form(f);
    svg_text(out, x0, ly + 12, SVG_START, 11, 0x404040,
        number_text(text, sizeof text, &form, sc.lo, GLYPHS_BLOCK));
    for (int i = 0; i < 40; i++)
        svg_rect(out, x0 + 60 + i * 4, ly, 4, 14, scale_rgb(&sc, sc.lo + (sc.hi - sc.lo) * i / 39));
    svg_text(out, x0 + 60 + 168, ly + 12, SVG_START, 11, 0x404040,
        number_text(text, sizeof text, &form, sc.hi, GLYPHS_BLOCK));
    svg_close(out);
    return 0;
}

const struct view view_heatmap = {
    .id = "heatmap",
    .title = "heatmap",
    .help = "Each cell is one number, its colour the place on the scale below; signed scales keep "
            "zero in the middle. Cells show their numbers where there is room, negative ones their "
            "sign.",
    .looks = 1u << LOOK_HEATMAP | 1u << LOOK_TABLE | 1u << LOOK_CONTOUR | 1u << LOOK_BARS |
             1u << LOOK_LINES | 1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .draw = heatmap_draw,
    .svg = heatmap_svg,
    .move = heatmap_move,
    .pick = heatmap_pick,
};
