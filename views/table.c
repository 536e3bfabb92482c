#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/order.h"
#include "views/paper.h"

#define COLUMN_MAX 40 /* columns of one cell's text on screen */

/* A grid of cells: several rank-1 fields side by side, or the two drawn axes of one field. */
struct grid {
    const struct view_data *d;
    struct view_state *st;
    bool is_multi;
    int64_t rows, cols;
    struct order order; /* rows by the cursor's column, or as they are */
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
        memset(st->level, 0, sizeof st->level);
        g.order = order_own(g.rows);
        return g;
    }
    state_fit(st, f);
    g.rows = f->rank ? f->axes[st->row_axis].size : 1;
    g.order = order_own(g.rows);
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

/* The rows on the screen. */
struct rows {
    int64_t first, shown;
    int64_t *index; /* [shown] */
};

#define READ_WHOLE 4096 /* rows that are read in one piece to pick some of them */

/* The values of the rows on the screen, v[k] of row index[k]; NaN for text columns. */
static int shown_values(double **out, const struct grid *g, int64_t col, const struct rows *rows,
    struct arena *frame, struct err *e)
{
    double *all = NULL, *v;
    if (!g->order.v)
        return column_values(out, g, col, rows->first, rows->shown, frame, e);
    *out = arena_array(frame, (size_t)rows->shown + 1, sizeof **out, e);
    int rc = *out ? 0 : e->code;
    if (!rc && g->rows <= READ_WHOLE)
        rc = column_values(&all, g, col, 0, g->rows, frame, e);
    for (int64_t k = 0; k < rows->shown && !rc; k++) {
        if (!all)
            rc = column_values(&v, g, col, rows->index[k], 1, frame, e);
        if (!rc)
            (*out)[k] = all ? all[rows->index[k]] : *v;
    }
    return rc;
}

static bool is_text(const struct field *f)
{
    return f->look == LOOK_TEXT && f->rank == 1 && axis_has_labels(&f->axes[0]);
}

static int sort_rows(struct grid *g, struct arena *frame, struct err *e)
{
    int64_t *col = cursor_col(g);
    double *v;
    if ((!g->st->sorted && !g->st->top) || g->rows < 1 || g->rows > ORDER_MAX ||
        is_text(field_of(g, col ? *col : 0)))
        return 0;
    int rc = column_values(&v, g, col ? *col : 0, 0, g->rows, frame, e);
    return rc ? rc : order_by_value(&g->order, v, g->rows, false, g->st->top, frame, e);
}

static const char *cell_text(char buf[LABEL_MAX], const struct grid *g, int64_t col, int64_t row,
    double v, const struct number_form *form, enum glyphs glyphs)
{
    const struct field *f = field_of(g, col);
    if (is_text(f))
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

static void read_cell(char *readout, const struct grid *g, int64_t col, int64_t row, double v,
    const char *text, enum glyphs glyphs)
{
    const struct field *f = field_of(g, col);
    char name[LABEL_MAX], label[LABEL_MAX], exact[40];
    if (!g->is_multi) {
        readout_cell(readout, f, g->st, v, glyphs);
        return;
    }
    number_exact(exact, sizeof exact, v, f->dtype);
    struct number_form form = field_form(f);
    snprintf(readout, VIEW_READOUT, "%s, %s: %s%s%s", label_show(label, &f->axes[0], row, glyphs),
        column_name(name, g, col, glyphs), is_text(f) || !isfinite(v) ? text : exact,
        is_text(f) || !*unit_text(f, &form) ? "" : " ", is_text(f) ? "" : unit_text(f, &form));
}

/* One column drawn at x; returns its width, 0 when nothing more fits: a number that is cut is another
 * number, so only texts and the first column are. */
static int draw_column(const struct screen *s, const struct grid *g, int64_t col, int x,
    bool is_first, const struct rows *rows, char *readout, struct err *e)
{
    struct canvas *c = s->canvas;
    const struct field *f = field_of(g, col);
    bool text_only = is_text(f);
    double *v;
    int rc = shown_values(&v, g, col, rows, s->frame, e);
    if (rc)
        return rc;
    struct number_form form = number_form_fit(field_form(f), v, rows->shown);
    char text[LABEL_MAX];
    int w = canvas_columns(c, column_name(text, g, col, c->glyphs));
    for (int64_t k = 0; k < rows->shown; k++) {
        int64_t row = rows->index[k];
        int tw = canvas_columns(c, cell_text(text, g, col, row, v[k], &form, c->glyphs));
        w = tw > w ? tw : w;
    }
    w = w > COLUMN_MAX ? COLUMN_MAX : w;
    int room = s->rect.x + s->rect.w - x;
    if (room < 3 || (w > room && !text_only && !is_first))
        return 0;
    if (w > room)
        w = room;
    bool is_at = !g->d->is_static && (!cursor_col(g) || *cursor_col(g) == col);
    struct style head = is_at ? STYLE(STRONG) : STYLE(LABEL);
    int y = s->rect.y;
    column_name(text, g, col, c->glyphs);
    if (s->rect.h > 1 && text_only)
        canvas_text(c, x, y++, w, head, text);
    else if (s->rect.h > 1)
        canvas_right(c, x + w, y++, w, head, text);
    for (int64_t k = 0; k < rows->shown; k++, y++) {
        int64_t row = rows->index[k];
        bool is_row = !g->d->is_static && row == *cursor_row(g), here = is_row && is_at;
        struct style style = here && g->d->is_focused ? STYLE(CURSOR)
                             : here                   ? STYLE(STRONG)
                             : form.sign && v[k] < 0  ? STYLE(NEGATIVE)
                             : form.sign && v[k] > 0  ? STYLE(POSITIVE)
                                                      : STYLE(TEXT);
        cell_text(text, g, col, row, v[k], &form, c->glyphs);
        if (text_only)
            canvas_text(c, x, y, w, style, text);
        else
            canvas_right(c, x + w, y, w, style, text);
        if (here)
            read_cell(readout, g, col, row, v[k], text, c->glyphs);
    }
    return w;
}

/* Columns from col0 on; how many were seen whole, or an error. */
static int draw_columns(const struct screen *s, const struct grid *g, int x, int64_t col0,
    const struct rows *rows, char *readout, struct err *e)
{
    int seen = 0;
    for (int64_t col = col0; col < g->cols; col++) {
        int w = draw_column(s, g, col, x, col == col0, rows, readout, e);
        if (w < 0)
            return w;
        if (!w)
            break;
        x += w + 2;
        seen += x <= s->rect.x + s->rect.w + 2;
    }
    return seen > 0 ? seen : 1;
}

/* Labels of the rows; returns the columns they take. */
static int draw_labels(const struct screen *s, const struct view_data *d, const struct grid *g,
    const struct axis *a, const struct rows *rows)
{
    struct canvas *c = s->canvas;
    int w = 0, y = s->rect.y + (s->rect.h > 1);
    char label[LABEL_MAX];
    for (int64_t k = 0; k < rows->shown; k++) {
        int n = label_columns(a, rows->index[k], c->glyphs);
        w = n > w ? n : w;
    }
    const int context = context_columns(a, s->rect.w);
    if (w > s->rect.w / 3)
        w = s->rect.w / 3;
    w = context > w ? context : w;
    if (s->rect.h > 1 && a->name && text_columns(a->name) <= w)
        canvas_text(c, s->rect.x, s->rect.y, w, STYLE(DIM), a->name);
    for (int64_t k = 0; k < rows->shown; k++) {
        bool is_row = !d->is_static && rows->index[k] == *cursor_row(g);
        struct style style = is_marked(d, a->kind, rows->index[k]) ? STYLE(MARK)
                             : is_row                              ? STYLE(STRONG)
                                                                   : STYLE(LABEL);
        if (context)
            context_draw(c, s->rect.x, y + (int)k, w, a, rows->index[k],
                is_row ? STYLE(TEXT) : STYLE(LABEL), is_row ? STYLE(CURSOR) : STYLE(MARK));
        else
            canvas_text(c, s->rect.x, y + (int)k, w, style,
                label_show(label, a, rows->index[k], c->glyphs));
    }
    return w;
}

/* "rows 5 to 24 of 300, by prob, largest first; columns from 3 of 16; logits" */
static void draw_legend(const struct screen *s, const struct grid *g, const struct rows *rows,
    int64_t col0, int64_t seen, int y)
{
    char text[256], name[LABEL_MAX];
    size_t at = 0;
    const struct field *f = field_of(g, 0);
    struct number_form form = field_form(f);
    const int64_t *col = cursor_col(g);
    text[0] = '\0';
    if (rows->shown < g->order.n || g->order.n < g->rows)
        at += (size_t)snprintf(text, sizeof text, "rows %lld to %lld of %lld",
            (long long)rows->first + 1, (long long)(rows->first + rows->shown), (long long)g->rows);
    if (g->order.v)
        at += (size_t)snprintf(text + at, sizeof text - at, "%sby %s, largest first",
            at ? ", " : "", column_name(name, g, col ? *col : 0, s->canvas->glyphs));
    if (seen < g->cols && at < sizeof text)
        at += (size_t)snprintf(text + at, sizeof text - at, "%scolumns %lld to %lld of %lld",
            at ? "; " : "", (long long)col0 + 1, (long long)(col0 + seen), (long long)g->cols);
    if (!g->is_multi && *unit_text(f, &form) && at < sizeof text)
        snprintf(text + at, sizeof text - at, "%s%s", at ? "; " : "", unit_text(f, &form));
    canvas_text(s->canvas, s->rect.x, y, s->rect.w, STYLE(DIM), text);
}

static int table_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    struct canvas *c = s->canvas;
    struct grid g = grid_of(d, st);
    struct rows rows;
    if (g.rows <= 0 || g.cols <= 0) {
        draw_note(s, "no rows");
        return 0;
    }
    int rc = sort_rows(&g, s->frame, e);
    if (rc)
        return rc;
    const struct field *f = &d->fields[0];
    int h = s->rect.h, has_head = h > 1, has_legend = h >= 10 || (h >= 4 && g.order.n + 1 < h);
    int64_t room = h - has_head - has_legend;
    int64_t *row_scroll = &st->scroll[g.is_multi ? 0 : st->row_axis];
    rows.shown = room < g.order.n ? room : g.order.n;
    rows.first = *row_scroll =
        scroll_follow(*row_scroll, order_place(&g.order, *cursor_row(&g)), rows.shown, g.order.n);
    rows.index =
        arena_array(s->frame, (size_t)(rows.shown > 0 ? rows.shown : 1), sizeof *rows.index, e);
    if (!rows.index)
        return e->code;
    order_window(rows.index, &g.order, rows.first, rows.shown);
    /* A table whose first column is text needs no row numbers. */
    bool has_labels = f->rank && f->look != LOOK_TEXT;
    int label_w =
        has_labels ? draw_labels(s, d, &g, &f->axes[g.is_multi ? 0 : st->row_axis], &rows) : 0;
    int x = s->rect.x + (label_w ? label_w + 2 : 0);
    int64_t *col_at = cursor_col(&g), col0 = 0;
    int64_t *col_scroll = &st->scroll[g.is_multi ? 1 : st->col_axis >= 0 ? st->col_axis : 0];
    if (col_at) {
        if (*col_scroll > *col_at)
            *col_scroll = *col_at;
        col0 = *col_scroll;
    }
    st->grid = (struct rect){s->rect.x, s->rect.y + has_head, s->rect.w, (int)rows.shown};
    int seen = draw_columns(s, &g, x, col0, &rows, readout, e);
    /* Columns have their own widths: only drawing them tells whether the cursor's was reached. */
    for (int i = 0; i < 2 && col_at && seen > 0 && *col_at >= *col_scroll + seen; i++) {
        *col_scroll = i ? *col_at : *col_at - seen + 1;
        canvas_fill(
            c, (struct rect){x, s->rect.y, s->rect.x + s->rect.w - x, h}, (struct style){0}, " ");
        seen = draw_columns(s, &g, x, col0 = *col_scroll, &rows, readout, e);
    }
    st->columns = seen;
    for (int64_t k = 0; st->top && k < rows.shown && k < TOP_MANY; k++)
        st->picked[k] = rows.index[k];
    if (has_legend && seen > 0)
        draw_legend(s, &g, &rows, col0, seen, s->rect.y + has_head + (int)rows.shown);
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
        int64_t k = order_place(&g.order, *row);
        moved = move_index(&k, g.order.n, by);
        *row = order_at(&g.order, k);
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
    if (!sort_rows(&g, &scratch, &e) && k < g.order.n)
        *cursor_row(&g) = order_at(&g.order, k);
    arena_release(&scratch);
    return true;
}

#define SVG_ROWS 200
#define SVG_COLS 24
#define SVG_ROW 19.0

/* A column of texts ready to be set; numbers keep their exact value beside what is printed. */
struct svg_column {
    char head[LABEL_MAX];
    char (*text)[LABEL_MAX]; /* [rows] */
    const double *v;         /* [rows], NULL: text */
    int w;
};

static int svg_column(struct svg_column *out, const struct grid *g, int64_t col,
    const struct rows *rows, struct arena *frame, struct err *e)
{
    const struct field *f = field_of(g, col);
    double *v;
    out->text = arena_array(frame, (size_t)rows->shown + 1, sizeof *out->text, e);
    if (!out->text)
        return e->code;
    int rc = shown_values(&v, g, col, rows, frame, e);
    if (rc)
        return rc;
    struct number_form form = number_form_fit(field_form(f), v, rows->shown);
    column_name(out->head, g, col, GLYPHS_BLOCK);
    out->w = text_columns(out->head);
    out->v = is_text(f) ? NULL : v;
    for (int64_t k = 0; k < rows->shown; k++) {
        int64_t row = rows->index[k];
        cell_text(out->text[k], g, col, row, v[k], &form, GLYPHS_BLOCK);
        label_clip(out->text[k], COLUMN_MAX, GLYPHS_BLOCK);
        int w = text_columns(out->text[k]);
        out->w = w > out->w ? w : out->w;
    }
    return 0;
}

static void svg_draw_column(struct buf *out, const struct svg_column *col, double x, double w,
    const struct rows *rows, const struct field *f)
{
    enum svg_anchor anchor = col->v ? SVG_END : SVG_START;
    double at = col->v ? x + w : x;
    svg_text(out, at, PAPER_TOP + 12, anchor, 11, PAPER_INK, col->head);
    for (int64_t k = 0; k < rows->shown; k++) {
        char exact[40] = "";
        double y = PAPER_TOP + 34 + (double)k * SVG_ROW;
        if (col->v && isfinite(col->v[k]))
            number_exact(exact, sizeof exact, col->v[k], f->dtype);
        svg_text_title(out, at, y, anchor, 11, PAPER_INK, col->text[k], exact);
    }
}

static int table_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    struct view_state st = *given;
    struct grid g = grid_of(d, &st);
    const struct field *f = &d->fields[0];
    struct svg_column cols[SVG_COLS];
    struct rows rows = {0};
    char text[160];
    int rc = sort_rows(&g, frame, e);
    if (rc)
        return rc;
    rows.shown = g.order.n < SVG_ROWS ? g.order.n : SVG_ROWS;
    rows.index = arena_array(frame, (size_t)rows.shown + 1, sizeof *rows.index, e);
    if (!rows.index)
        return e->code;
    order_window(rows.index, &g.order, 0, rows.shown);
    int64_t n = g.cols < SVG_COLS ? g.cols : SVG_COLS;
    const struct axis *a = f->rank && !(g.is_multi && f->look == LOOK_TEXT)
                               ? &f->axes[g.is_multi ? 0 : st.row_axis]
                               : NULL;
    struct tally tally = {0};
    struct paper p = {.out = out, .x = PAPER_LEFT, .y = PAPER_TOP};
    double label = a ? paper_margin(a, a->size) - 20 : PAPER_LEFT;
    for (int64_t c = 0; c < n && !rc; c++) {
        rc = svg_column(&cols[c], &g, c, &rows, frame, e);
        if (!rc && cols[c].v)
            tally_add(&tally, cols[c].v, rows.shown);
        p.w += rc ? 0 : cols[c].w * CHAR_W + 18;
    }
    if (rc)
        return rc;
    p.w += label;
    p.h = 26 + (double)rows.shown * SVG_ROW;
    paper_open(&p, d, &st, "table", &tally, 16, 30);
    if (a && a->name)
        svg_text(out, PAPER_LEFT, PAPER_TOP + 12, SVG_START, 11, PAPER_GREY, a->name);
    for (int64_t k = 0; a && k < rows.shown; k++) {
        label_show(text, a, rows.index[k], GLYPHS_BLOCK);
        label_clip(text, 24, GLYPHS_BLOCK);
        svg_text(
            out, PAPER_LEFT, PAPER_TOP + 34 + (double)k * SVG_ROW, SVG_START, 11, PAPER_GREY, text);
    }
    double x = label;
    for (int64_t c = 0; c < n; c++) {
        double w = cols[c].w * CHAR_W;
        svg_draw_column(out, &cols[c], x, w, &rows, field_of(&g, c));
        x += w + 18;
    }
    svg_line(out, PAPER_LEFT, PAPER_TOP + 19, p.x + p.w, PAPER_TOP + 19, PAPER_LINE);
    if (rows.shown < g.rows || n < g.cols) {
        snprintf(text, sizeof text, "%lld of %lld row%s, %lld of %lld column%s",
            (long long)rows.shown, (long long)g.rows, text_s(g.rows), (long long)n,
            (long long)g.cols, text_s(g.cols));
        svg_heading(out, PAPER_LEFT, p.y + p.h + 16, 11, PAPER_GREY, false, text);
    }
    paper_close(&p);
    return 0;
}

const struct view view_table = {
    .id = "table",
    .title = "table",
    .help =
        "Exact numbers in columns that align on their decimal points. Sorting orders the rows by "
        "the column under the cursor, the largest first.",
    .good = "Reading and quoting numbers, and rows whose columns have units of their own.",
    .modes = 1u << VIEW_SORT | 1u << VIEW_TOP | 1u << VIEW_TRANSPOSE,
    .looks = (1u << LOOK_COUNT) - 1,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .draw = table_draw,
    .svg = table_svg,
    .move = table_move,
    .pick = table_pick,
};
