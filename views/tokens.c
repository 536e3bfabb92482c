#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/paper.h"

#define TOKENS_MAX 4096 /* laid out for a frame; of longer texts the part around the cursor */
#define TOKENS_STEP 1024

struct strip {
    const struct field *f;
    const struct axis *a;
    int axis;
    int64_t first, n; /* indices laid out */
    const double *v;  /* [n] */
    int line;         /* of the cursor, once laid out */
};

static void use_last_axis(struct view_state *st, const struct field *f)
{
    if (!st->has_axes) {
        st->row_axis = f->rank ? f->rank - 1 : 0;
        st->col_axis = -1;
        st->has_axes = true;
    }
    state_fit(st, f);
}

static int strip_load(struct strip *t, const struct view_data *d, struct view_state *st,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state plain = *st;
    double *v;
    memset(plain.level, 0, sizeof plain.level);
    *t = (struct strip){.f = f, .a = &f->axes[st->row_axis], .axis = st->row_axis};
    t->n = f->rank ? t->a->size : 0;
    if (t->n > TOKENS_MAX) {
        t->first = st->at[t->axis] - TOKENS_MAX / 2;
        t->first = t->first < 0 ? 0 : t->first / TOKENS_STEP * TOKENS_STEP;
        t->n = t->n - t->first < TOKENS_MAX ? t->n - t->first : TOKENS_MAX;
    }
    int rc = t->n > 0 ? fetch_window(&v, f, &plain, t->first, t->n, 0, 1, frame, e) : 0;
    if (!rc && t->n > 0)
        t->v = v;
    return rc;
}

static int token_width(const struct strip *t, int64_t k, int w, enum glyphs g)
{
    int n = label_columns(t->a, t->first + k, g) + 2;
    return n > w ? w : n;
}

static bool ends_line(const struct strip *t, int64_t k)
{
    char buf[32];
    const char *s = axis_label(t->a, t->first + k, buf, sizeof buf);
    size_t n = strlen(s);
    return n && s[n - 1] == '\n';
}

/* Calls `each` with the place of every token of a strip w columns wide; returns the lines. A token
 * that ends in a newline ends its line where lines wrap. */
static int strip_layout(const struct strip *t, int w, enum glyphs g,
    void (*each)(void *arg, int64_t k, int x, int line, int width), void *arg)
{
    int x = 0, line = 0;
    for (int64_t k = 0; k < t->n; k++) {
        int n = token_width(t, k, w, g);
        if (x > 0 && x + n > w) {
            x = 0;
            line++;
        }
        if (each)
            each(arg, k, x, line, n);
        x += n;
        if (w < INT32_MAX && k + 1 < t->n && ends_line(t, k)) {
            x = 0;
            line++;
        }
    }
    return line + 1;
}

static int strip_columns(const struct strip *t, enum glyphs g)
{
    int64_t columns = 0;
    for (int64_t k = 0; k < t->n; k++)
        columns += token_width(t, k, INT32_MAX, g);
    return (int)(columns < INT32_MAX ? columns : INT32_MAX);
}

struct painter {
    const struct screen *s;
    const struct view_data *d;
    struct view_state *st;
    const struct strip *t;
    struct scale sc;
    int top, left, want_x, want_line; /* picking */
    int64_t found;
    bool has_values;
};

static void find_line(void *arg, int64_t k, int x, int line, int width)
{
    struct painter *p = arg;
    if (p->t->first + k != p->st->at[p->t->axis])
        return;
    p->found = line;
    p->want_x = x;
    p->want_line = width;
}

static void paint_token(void *arg, int64_t k, int x, int line, int width)
{
    struct painter *p = arg;
    struct canvas *c = p->s->canvas;
    struct rect r = p->s->rect;
    int64_t i = p->t->first + k;
    int y = r.y + line - p->top;
    x -= p->left;
    if (line < p->top || line >= p->top + r.h || x + width <= 0 || x >= r.w)
        return;
    if (x < 0) {
        canvas_text(c, r.x, y, 1, STYLE(DIM), "…");
        return;
    }
    double v = p->t->v[k];
    char label[LABEL_MAX];
    label_show(label, p->t->a, i, c->glyphs);
    bool is_cursor = !p->d->is_static && i == p->st->at[p->t->axis];
    bool marked = is_marked(p->d, p->t->a->kind, i);
    bool found = p->st->match && *p->st->match && strstr(label, p->st->match);
    struct style style = marked ? STYLE(MARK) : found ? STYLE(MATCH) : STYLE(TEXT);
    if (p->has_values && isfinite(v) && c->mode >= COLOURS_256) {
        uint32_t rgb = scale_rgb(&p->sc, v);
        style = (struct style){.fg = COLOUR_RGB(rgb_ink(rgb)), .bg = COLOUR_RGB(rgb)};
    }
    if (is_cursor)
        style.attrs |= ATTR_BOLD;
    canvas_text(c, r.x + x + 1, y, width - 2, style, label);
    const double least = c->mode >= COLOURS_256 ? SCALE_SIGNED : 0.04;
    bool negative = p->has_values && p->sc.is_signed && scale_at(&p->sc, v) < -least;
    /* The dot of a shade for nothing would read as the blank of a word. */
    bool is_nothing = p->sc.is_signed && fabs(scale_at(&p->sc, v)) < least;
    if (p->has_values && !isfinite(v))
        canvas_text(c, r.x + x, y, 1, STYLE(DIM), odd_sign(v, c->glyphs));
    else if (p->has_values && c->mode < COLOURS_256 && !is_nothing)
        canvas_text(c, r.x + x, y, 1,
            p->sc.is_signed ? v < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE) : STYLE(BAR),
            scale_shade(&p->sc, v, c->glyphs));
    if (negative && !is_cursor)
        canvas_text(c, r.x + x + width - 1, y, 1, STYLE(NEGATIVE), "−");
    if (is_cursor) {
        struct style bracket = p->d->is_focused ? STYLE(MARK) : STYLE(LABEL);
        canvas_text(c, r.x + x, y, 1, bracket, "[");
        canvas_text(c, r.x + x + width - 1, y, 1, bracket, "]");
    }
}

static int tokens_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    const struct field *f = &d->fields[0];
    struct strip t;
    use_last_axis(st, f);
    int rc = strip_load(&t, d, st, s->frame, e);
    if (rc)
        return rc;
    if (t.n <= 0) {
        draw_note(s, "no tokens");
        return 0;
    }
    struct painter p = {.s = s, .d = d, .st = st, .t = &t};

    for (int64_t k = 0; k < t.n && !p.has_values; k++)
        p.has_values = !isnan(t.v[k]);
    rc = view_scale(&p.sc, f, st, s->canvas->theme->dark, t.v, t.n, s->frame, e);
    if (rc)
        return rc;
    /* One line scrolls sideways, more of them wrap. */
    bool has_legend = p.has_values && s->rect.h >= 4;
    int h = s->rect.h - has_legend, w = h > 1 ? s->rect.w : INT32_MAX;
    int lines = strip_layout(&t, w, s->canvas->glyphs, find_line, &p);
    if (h > 1) {
        p.top = (int)scroll_follow(st->scroll[t.axis], p.found, h, lines);
        st->scroll[t.axis] = p.top;
    } else {
        int total = strip_columns(&t, s->canvas->glyphs);
        p.left =
            (int)scroll_follow(st->scroll[t.axis], p.want_x + p.want_line / 2, s->rect.w, total);
        st->scroll[t.axis] = p.left;
    }
    st->grid = (struct rect){s->rect.x, s->rect.y, s->rect.w, h};
    st->cell_h = h > 1;
    struct rect old = canvas_clip(s->canvas, st->grid);
    strip_layout(&t, w, s->canvas->glyphs, paint_token, &p);
    s->canvas->clip = old;
    if (has_legend)
        legend_draw(s, s->rect.x, s->rect.y + (lines < h ? lines : h), s->rect.w,
            &(struct legend){f, st, &p.sc, tally_of(t.v, t.n), false, false, true, false});
    if (f->fetch)
        readout_cell(readout, f, st, t.v[st->at[t.axis] - t.first], s->canvas->glyphs);
    return 0;
}

static bool tokens_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    static const int sign[] = {[MOVE_LEFT] = -1, [MOVE_RIGHT] = 1, [MOVE_UP] = -8, [MOVE_DOWN] = 8};
    const struct field *f = &d->fields[0];
    use_last_axis(st, f);
    if (f->rank < 1)
        return false;
    int64_t *at = &st->at[st->row_axis], n = f->axes[st->row_axis].size;
    if (m <= MOVE_DOWN)
        return move_index(at, n, sign[m]);
    if (m == MOVE_PAGE_UP || m == MOVE_PAGE_DOWN)
        return move_index(at, n, (m == MOVE_PAGE_UP ? -8 : 8) * (int64_t)page);
    return move_index(at, n, m == MOVE_HOME || m == MOVE_TOP ? -n : n);
}

static void match_place(void *arg, int64_t k, int x, int line, int width)
{
    struct painter *p = arg;
    if (line == p->want_line && p->want_x >= x && p->want_x < x + width)
        p->found = p->t->first + k;
}

static bool tokens_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect g = st->grid;
    struct arena scratch = {0};
    struct strip t;
    struct err e;
    use_last_axis(st, &d->fields[0]);
    if (x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    struct painter p = {.st = st, .t = &t, .found = -1, .want_x = x - g.x};
    if (!strip_load(&t, d, st, &scratch, &e)) {
        p.want_line = st->cell_h ? y - g.y + (int)st->scroll[t.axis] : 0;
        p.want_x += st->cell_h ? 0 : (int)st->scroll[t.axis];
        strip_layout(&t, st->cell_h ? g.w : INT32_MAX, GLYPHS_BLOCK, match_place, &p);
        if (p.found >= 0)
            st->at[t.axis] = p.found;
    }
    arena_release(&scratch);
    return p.found >= 0;
}

/* ---- on paper ---- */

#define SVG_COLUMNS 100
#define SVG_CHAR 7.4
#define SVG_LINE 24.0

struct svg_strip {
    struct paper *paper;
    const struct strip *t;
    struct scale sc;
    struct view_state st;
};

static void svg_token(void *arg, int64_t k, int x, int line, int width)
{
    struct svg_strip *p = arg;
    double v = p->t->v[k], px = p->paper->x + x * SVG_CHAR, py = p->paper->y + line * SVG_LINE;
    char label[LABEL_MAX], tip[VIEW_READOUT];
    uint32_t ink = PAPER_INK;
    if (!isnan(v)) {
        uint32_t rgb = paper_rgb(&p->sc, v);
        p->st.at[p->t->axis] = p->t->first + k;
        readout_cell(tip, p->t->f, &p->st, v, GLYPHS_BLOCK);
        svg_rect_title(p->paper->out, px, py, width * SVG_CHAR - 2, 20, rgb, tip);
        ink = rgb_ink(rgb);
    }
    svg_text(p->paper->out, px + SVG_CHAR, py + 14, SVG_START, 12, ink,
        label_show(label, p->t->a, p->t->first + k, GLYPHS_BLOCK));
}

static int tokens_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct paper paper = {.out = out, .x = PAPER_LEFT, .y = PAPER_TOP};
    struct svg_strip p = {.paper = &paper, .st = *given};
    struct strip t;
    use_last_axis(&p.st, f);
    int rc = strip_load(&t, d, &p.st, frame, e);
    if (!rc)
        rc = view_scale(&p.sc, f, &p.st, false, t.v, t.n, frame, e);
    if (rc)
        return rc;
    p.t = &t;
    struct tally tally = tally_of(t.v, t.n);
    struct view_state st = p.st;
    paper.w = SVG_COLUMNS * SVG_CHAR;
    paper.h = strip_layout(&t, SVG_COLUMNS, GLYPHS_BLOCK, NULL, NULL) * SVG_LINE;
    paper_open(&paper, d, &st, "tokens", &tally, PAPER_LEFT, 70);
    strip_layout(&t, SVG_COLUMNS, GLYPHS_BLOCK, svg_token, &p);
    if (tally.nan < tally.n)
        paper_scale(&paper, paper.y + paper.h + 12,
            &(struct legend){f, &st, &p.sc, tally, false, false, true, false});
    paper_close(&paper);
    return 0;
}

const struct view view_tokens = {
    .id = "tokens",
    .title = "token strip",
    .help =
        "The tokens in reading order, each on the colour of its value; where there is no colour a "
        "shade stands before it, and negative ones end in a minus. The brackets are the selected "
        "position, which every other pane marks too.",
    .good = "Reading a text for where something happens: surprise, activation, importance.",
    .modes = 1u << VIEW_LOG,
    .looks = 1u << LOOK_TOKENS | 1u << LOOK_BARS | 1u << LOOK_LINES,
    .min_rank = 1,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_WORDS | 1u << VIEW_NEEDS_SIZES,
    .draw = tokens_draw,
    .svg = tokens_svg,
    .move = tokens_move,
    .pick = tokens_pick,
};
