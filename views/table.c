#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/draw.h"
#include "views/svg.h"

#define SORT_MAX (1 << 20)
#define COLUMN_MAX 40 /* columns of one cell's text on screen */

/* A grid of cells: several rank-1 fields side by side, or the two drawn axes of one field. */
struct grid {
    const struct view_data *d;
    struct view_state *st;
    bool is_multi;
    int64_t rows, cols;
    int64_t *order; /* rows by size of the cursor's column; NULL: as they are */
};

static int64_t *cursor_col(const struct grid *g)
{
    if (g->is_multi)
        return &g->st->at[1];
    return g->st->col_axis >= 0 ? &g->st->at[g->st->col_axis] : NULL;
}

static int64_t *cursor_row(const struct grid *g)
{
    return &g->st->at[g->is_multi ? 0 : g->st->row_axis];
}

static struct grid grid_of(const struct view_data *d, struct view_state *st)
{
    const struct field *f = &d->fields[0];
    struct grid g = {.d = d, .st = st, .is_multi = d->n > 1};
    if (g.is_multi) {
        st->has_axes = true;
        st->row_axis = 0;
        st->col_axis = -1;
        g.rows = f->rank ? f->axes[0].size : 1;
        g.cols = d->n;
        if (st->at[1] >= g.cols)
            st->at[1] = g.cols - 1;
        if (st->at[0] >= g.rows)
            st->at[0] = g.rows > 0 ? g.rows - 1 : 0;
        return g;
    }
    state_fit(st, f);
    st->zoom = 0;
    g.rows = f->rank ? f->axes[st->row_axis].size : 1;
    g.cols = f->rank > 1 && st->col_axis >= 0 ? f->axes[st->col_axis].size : 1;
    return g;
}

static const struct field *field_of(const struct grid *g, int64_t col)
{
    return &g->d->fields[g->is_multi ? col : 0];
}

/* Values of `n` rows of one column from row0; NaN for text columns. */
static int column_values(double **out, const struct grid *g, int64_t col, int64_t row0, int64_t n,
    struct arena *frame, struct err *e)
{
    struct view_state st = *g->st;
    if (g->is_multi)
        st.at[1] = 0;
    return fetch_window(out, field_of(g, col), &st, row0, n, g->is_multi ? 0 : col, 1, frame, e);
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

static int sort_rows(struct grid *g, struct arena *frame, struct err *e)
{
    int64_t *col = cursor_col(g);
    double *v;
    if (!g->st->sorted || g->rows < 1 || g->rows > SORT_MAX)
        return 0;
    if (field_of(g, col ? *col : 0)->look == LOOK_TEXT)
        return 0;
    int rc = column_values(&v, g, col ? *col : 0, 0, g->rows, frame, e);
    if (rc)
        return rc;
    struct ranked *r = arena_array(frame, (size_t)g->rows, sizeof *r, e);
    g->order = arena_array(frame, (size_t)g->rows, sizeof *g->order, e);
    if (!r || !g->order)
        return e->code;
    for (int64_t i = 0; i < g->rows; i++)
        r[i] = (struct ranked){v[i], i};
    qsort(r, (size_t)g->rows, sizeof *r, by_size);
    for (int64_t i = 0; i < g->rows; i++)
        g->order[i] = r[i].index;
    return 0;
}

static int64_t place_of(const struct grid *g, int64_t row)
{
    for (int64_t k = 0; g->order && k < g->rows; k++)
        if (g->order[k] == row)
            return k;
    return row;
}

/* General numbers of one column share their decimals, so that the points align. */
static struct number_form column_form(const struct field *f, const double *v, int64_t n)
{
    struct number_form form = field_form(f);
    double most = 0, least = INFINITY;
    if (form.decimals >= 0 || form.one_digit)
        return form;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] != 0) {
            most = fmax(most, fabs(v[i]));
            least = fmin(least, fabs(v[i]));
        }
    if (most > 0 && most < 1e6 && most >= 1e-3) {
        int whole = (int)floor(log10(most));
        form.decimals = whole >= 3 ? 1 : whole >= 1 ? 2 : whole >= 0 ? 3 : 3 - whole;
    }
    return form;
}

static const char *cell_text(char buf[LABEL_MAX], const struct grid *g, int64_t col, int64_t row,
    double v, const struct number_form *form, enum glyphs glyphs)
{
    const struct field *f = field_of(g, col);
    if (f->look == LOOK_TEXT && f->rank == 1 && f->axes[0].labels)
        return label_show(buf, &f->axes[0], row, glyphs);
    number_text(buf, LABEL_MAX, form, v, glyphs);
    /* The error of a sum is not nothing because it is small. */
    if (v != 0 && isfinite(v) && !form->exact && !strpbrk(buf, "123456789")) {
        char size[32];
        const char *minus = glyphs == GLYPHS_ASCII ? "-" : "−";
        snprintf(buf, LABEL_MAX, "%s%s",
            v < 0        ? minus
            : form->sign ? "+"
                         : "",
            number_error(size, sizeof size, v));
    }
    return buf;
}

static const char *column_name(
    char buf[LABEL_MAX], const struct grid *g, int64_t col, enum glyphs k)
{
    const struct field *f = field_of(g, col);
    if (!g->is_multi && f->rank > 1 && g->st->col_axis >= 0)
        return label_show(buf, &f->axes[g->st->col_axis], col, k);
    snprintf(buf, LABEL_MAX, "%s", f->name ? f->name : "");
    return buf;
}

/* One column drawn at x; returns its width, 0 when nothing more fits. */
static int draw_column(const struct screen *s, const struct grid *g, int64_t col, int x,
    int64_t first, int64_t shown, char *readout, struct err *e)
{
    struct canvas *c = s->canvas;
    const struct field *f = field_of(g, col);
    int64_t lo = first, n = shown;
    double *v;
    if (g->order) {
        lo = 0;
        n = g->rows;
    }
    int rc = column_values(&v, g, col, lo, n, s->frame, e);
    if (rc)
        return rc;
    bool is_text = f->look == LOOK_TEXT && f->rank == 1 && f->axes[0].labels;
    struct number_form form = column_form(f, v, n);
    char text[LABEL_MAX];
    int w = canvas_columns(c, column_name(text, g, col, c->glyphs));
    for (int64_t k = 0; k < shown; k++) {
        int64_t row = g->order ? g->order[first + k] : first + k;
        int tw = canvas_columns(c, cell_text(text, g, col, row, v[row - lo], &form, c->glyphs));
        w = tw > w ? tw : w;
    }
    w = w > COLUMN_MAX ? COLUMN_MAX : w;
    int room = s->rect.x + s->rect.w - x;
    if (room < 3)
        return 0;
    if (w > room)
        w = room;
    bool is_at = !g->d->is_static && (!cursor_col(g) || *cursor_col(g) == col);
    struct style head = is_at ? STYLE(STRONG) : STYLE(LABEL);
    int y = s->rect.y;
    column_name(text, g, col, c->glyphs);
    if (s->rect.h > 1 && is_text)
        canvas_text(c, x, y++, w, head, text);
    else if (s->rect.h > 1)
        canvas_right(c, x + w, y++, w, head, text);
    for (int64_t k = 0; k < shown; k++, y++) {
        int64_t row = g->order ? g->order[first + k] : first + k;
        bool is_row = !g->d->is_static && row == *cursor_row(g), here = is_row && is_at;
        struct style style = here && g->d->is_focused       ? STYLE(CURSOR)
                             : here                         ? STYLE(STRONG)
                             : form.sign && v[row - lo] < 0 ? STYLE(NEGATIVE)
                             : form.sign && v[row - lo] > 0 ? STYLE(POSITIVE)
                                                            : STYLE(TEXT);
        cell_text(text, g, col, row, v[row - lo], &form, c->glyphs);
        if (is_text)
            canvas_text(c, x, y, w, style, text);
        else
            canvas_right(c, x + w, y, w, style, text);
        if (here && g->is_multi) {
            char name[LABEL_MAX], label[LABEL_MAX];
            snprintf(readout, VIEW_READOUT, "%s, %s: %s",
                label_show(label, &f->axes[0], row, c->glyphs),
                column_name(name, g, col, c->glyphs), text);
        } else if (here) {
            readout_cell(readout, f, g->st, v[row - lo], c->glyphs);
        }
    }
    return w;
}

/* Columns from col0 on; how many were seen whole, or an error. */
static int draw_columns(const struct screen *s, const struct grid *g, int x, int64_t col0,
    int64_t row0, int64_t shown, char *readout, struct err *e)
{
    int seen = 0;
    for (int64_t col = col0; col < g->cols; col++) {
        int w = draw_column(s, g, col, x, row0, shown, readout, e);
        if (w < 0)
            return w;
        if (!w)
            break;
        x += w + 2;
        seen += x <= s->rect.x + s->rect.w + 2;
    }
    return seen > 0 ? seen : 1;
}

static int table_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    struct canvas *c = s->canvas;
    struct grid g = grid_of(d, st);
    if (g.rows <= 0 || g.cols <= 0) {
        draw_note(s, "no rows");
        return 0;
    }
    int rc = sort_rows(&g, s->frame, e);
    if (rc)
        return rc;
    const struct field *f = &d->fields[0];
    int64_t shown = s->rect.h - (s->rect.h > 1),
            *row_scroll = &st->scroll[g.is_multi ? 0 : st->row_axis];
    shown = shown < g.rows ? shown : g.rows;
    *row_scroll = scroll_follow(*row_scroll, place_of(&g, *cursor_row(&g)), shown, g.rows);
    /* A table whose first column is text needs no row numbers. */
    bool has_labels = f->rank && !(g.is_multi && f->look == LOOK_TEXT);
    int label_w = 0, x = s->rect.x;
    char label[LABEL_MAX];
    const struct axis *a = f->rank ? &f->axes[g.is_multi ? 0 : st->row_axis] : NULL;
    for (int64_t k = 0; has_labels && k < shown; k++) {
        int64_t row = g.order ? g.order[*row_scroll + k] : *row_scroll + k;
        int w = label_columns(a, row, c->glyphs);
        label_w = w > label_w ? w : label_w;
    }
    if (label_w > s->rect.w / 3)
        label_w = s->rect.w / 3;
    for (int64_t k = 0; has_labels && k < shown; k++) {
        int64_t row = g.order ? g.order[*row_scroll + k] : *row_scroll + k;
        struct style style = is_marked(d, a->kind, row) ? STYLE(MARK)
                             : row == *cursor_row(&g)   ? STYLE(STRONG)
                                                        : STYLE(LABEL);
        canvas_text(c, x, s->rect.y + (s->rect.h > 1) + (int)k, label_w, style,
            label_show(label, a, row, c->glyphs));
    }
    x += label_w ? label_w + 2 : 0;
    int64_t *col_at = cursor_col(&g);
    int64_t *col_scroll = &st->scroll[g.is_multi ? 1 : st->col_axis >= 0 ? st->col_axis : 0];
    int64_t col0 = 0;
    if (col_at) {
        if (*col_scroll > *col_at)
            *col_scroll = *col_at;
        col0 = *col_scroll;
    }
    st->grid = (struct rect){s->rect.x, s->rect.y + (s->rect.h > 1), s->rect.w, (int)shown};
    int seen = draw_columns(s, &g, x, col0, *row_scroll, shown, readout, e);
    /* Columns have their own widths: only drawing them tells whether the cursor's was reached. */
    for (int i = 0; i < 2 && col_at && seen > 0 && *col_at >= *col_scroll + seen; i++) {
        *col_scroll = i ? *col_at : *col_at - seen + 1;
        canvas_fill(c, (struct rect){x, s->rect.y, s->rect.x + s->rect.w - x, s->rect.h},
            (struct style){0}, " ");
        seen = draw_columns(s, &g, x, *col_scroll, *row_scroll, shown, readout, e);
    }
    return seen < 0 ? seen : 0;
}

static bool table_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    struct grid g = grid_of(d, st);
    struct arena scratch = {0};
    struct err e;
    int64_t *col = cursor_col(&g), *row = cursor_row(&g);
    bool moved = false;
    if (m == MOVE_LEFT || m == MOVE_RIGHT)
        return col && move_index(col, g.cols, m == MOVE_LEFT ? -1 : 1);
    if (m == MOVE_HOME || m == MOVE_END)
        return col && move_index(col, g.cols, m == MOVE_HOME ? -g.cols : g.cols);
    if (g.rows > 0 && !sort_rows(&g, &scratch, &e)) {
        int64_t by = m == MOVE_UP          ? -1
                     : m == MOVE_DOWN      ? 1
                     : m == MOVE_PAGE_UP   ? -page
                     : m == MOVE_PAGE_DOWN ? page
                     : m == MOVE_TOP       ? -g.rows
                                           : g.rows;
        int64_t k = place_of(&g, *row);
        moved = move_index(&k, g.rows, by);
        *row = g.order ? g.order[k] : k;
    }
    arena_release(&scratch);
    return moved;
}

static bool table_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect r = st->grid;
    struct grid g = grid_of(d, st);
    struct arena scratch = {0};
    struct err e;
    if (x < r.x || y < r.y || x >= r.x + r.w || y >= r.y + r.h)
        return false;
    int64_t k = st->scroll[g.is_multi ? 0 : st->row_axis] + y - r.y;
    if (k < g.rows && !sort_rows(&g, &scratch, &e))
        *cursor_row(&g) = g.order ? g.order[k] : k;
    arena_release(&scratch);
    return true;
}

#define SVG_ROWS 200
#define SVG_COLS 24

static int table_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct grid g = grid_of(d, &st);
    const struct field *f = &d->fields[0];
    int64_t rows = g.rows < SVG_ROWS ? g.rows : SVG_ROWS,
            cols = g.cols < SVG_COLS ? g.cols : SVG_COLS;
    const double cw = 110, rh = 20, x0 = 150;
    char text[256];
    int rc = sort_rows(&g, frame, e);
    if (rc)
        return rc;
    caption(text, sizeof text, f, &st);
    svg_open(out, x0 + (double)cols * cw + 16, 70 + (double)rows * rh, 0xffffff);
    svg_text(out, 16, 24, SVG_START, 14, 0x202020, text);
    for (int64_t r = 0; f->rank && r < rows; r++)
        svg_text(out, 16, 66 + (double)r * rh, SVG_START, 12, 0x404040,
            label_show(text, &f->axes[g.is_multi ? 0 : st.row_axis], g.order ? g.order[r] : r,
                GLYPHS_BLOCK));
    for (int64_t c = 0; c < cols; c++) {
        double *v, x = x0 + (double)(c + 1) * cw - 8;
        rc = column_values(&v, &g, c, 0, g.order ? g.rows : rows, frame, e);
        if (rc)
            return rc;
        struct number_form form = column_form(field_of(&g, c), v, rows);
        svg_text(out, x, 46, SVG_END, 12, 0x202020, column_name(text, &g, c, GLYPHS_BLOCK));
        for (int64_t r = 0; r < rows; r++) {
            int64_t row = g.order ? g.order[r] : r;
            svg_text(out, x, 66 + (double)r * rh, SVG_END, 12, 0x202020,
                cell_text(text, &g, c, row, v[row], &form, GLYPHS_BLOCK));
        }
    }
    svg_line(out, 16, 52, x0 + (double)cols * cw, 52, 0xa0a0a0);
    svg_close(out);
    return 0;
}

const struct view view_table = {
    .id = "table",
    .title = "table",
    .help =
        "Exact numbers in columns that align on their decimal points. Sorting orders the rows by "
        "the column under the cursor, the largest first.",
    .looks = (1u << LOOK_COUNT) - 1,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .draw = table_draw,
    .svg = table_svg,
    .move = table_move,
    .pick = table_pick,
};
