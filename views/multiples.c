#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/paper.h"

#define SIDE_MAX 64 /* cells of one small map along an axis; larger maps are drawn in strides */
#define CELLS_MAX                                                                                  \
    ((int64_t)1 << 18) /* read for one scale over all maps; else those on the screen */

/* Small heatmaps side by side, one an index of the axis before the maps (every head of a layer), or,
 * zoomed out, of the two axes before them: a row of maps for every layer. */
struct panels {
    const struct field *f;
    struct view_state st; /* of one map: its levels */
    int axis, outer;      /* outer: -1 unless zoomed out */
    int64_t inner_n, n, rows, cols;
    int across, w, h; /* panels a line, and the cells of a panel with its title */
    int mag;
    bool is_dense, up, outer_up;
    int64_t first, shown; /* panels drawn */
    double **v;           /* [n], NULL: not read */
    struct scale sc;      /* of all of them */
    struct tally tally;
};

static int free_axis(const struct view_state *st, int below)
{
    int axis = below - 1;
    while (axis >= 0 && (axis == st->row_axis || axis == st->col_axis))
        axis--;
    return axis;
}

static void axes_of(struct panels *p, const struct field *f, struct view_state *st)
{
    state_fit(st, f);
    *p = (struct panels){.f = f, .st = *st, .up = rows_grow_up(f, st), .outer = -1};
    p->axis = free_axis(st, f->rank);
    int before = free_axis(st, p->axis);
    if (st->zoom > 0 && before >= 0) {
        p->outer = before;
        p->outer_up = f->axes[before].kind == AXIS_LAYER;
    }
    p->inner_n = f->axes[p->axis].size;
    p->n = p->inner_n * (p->outer >= 0 ? f->axes[p->outer].size : 1);
}

/* The k-th map as it is drawn: layers grow upwards. */
static void locate(struct view_state *st, const struct panels *p, int64_t k)
{
    st->at[p->axis] = k % p->inner_n;
    if (p->outer < 0)
        return;
    int64_t line = k / p->inner_n, lines = p->f->axes[p->outer].size;
    st->at[p->outer] = p->outer_up ? lines - 1 - line : line;
}

static int64_t place_of(const struct panels *p, const struct view_state *st)
{
    if (p->outer < 0)
        return st->at[p->axis];
    int64_t lines = p->f->axes[p->outer].size, at = st->at[p->outer];
    return (p->outer_up ? lines - 1 - at : at) * p->inner_n + st->at[p->axis];
}

/* The size of one map's panel at a magnification: 0 is half blocks, m is 2m x m cells a value. */
static bool panel_fits(struct panels *p, const struct rect *r, int mag)
{
    int64_t cw = mag ? 2 * mag : 1;
    int64_t w = p->cols * cw, h = mag ? p->rows * mag : p->is_dense ? (p->rows + 1) / 2 : p->rows;
    p->mag = mag;
    p->w = (int)(w < 6 ? 6 : w) + 2;
    p->h = (int)h + 1;
    p->across = (r->w + 2) / p->w > 0 ? (r->w + 2) / p->w : 1;
    /* A row of maps is one layer where that fits. */
    if (p->outer >= 0 && p->across > p->inner_n)
        p->across = (int)p->inner_n;
    return p->w <= r->w + 2 && (p->n + p->across - 1) / p->across * p->h <= r->h;
}

static void set_level(struct panels *p, uint8_t level)
{
    p->st.level[p->st.row_axis] = p->st.level[p->st.col_axis] = level;
    p->rows = axis_steps(p->f, &p->st, p->st.row_axis);
    p->cols = axis_steps(p->f, &p->st, p->st.col_axis);
}

/* The finest stride at which all maps fit; if even the coarsest does not, some stay below. */
static void arrange(struct panels *p, const struct canvas *c, const struct rect *r)
{
    p->is_dense = c->mode >= COLOURS_256 && c->glyphs != GLYPHS_ASCII && !p->f->is_signed;
    for (uint8_t level = 0; level < 16; level++) {
        set_level(p, level);
        if (p->rows > SIDE_MAX || p->cols > SIDE_MAX)
            continue;
        for (int mag = 3; mag >= 0; mag--)
            if (panel_fits(p, r, mag))
                return;
        if (p->rows <= 6)
            return;
    }
}

/* Reads the maps; the scale of all is theirs together. */
static int load(struct panels *p, bool dark, struct arena *frame, struct err *e)
{
    double lo = NAN, hi = NAN, least = NAN;
    int64_t cells = p->rows * p->cols;
    bool all = p->n <= CELLS_MAX / (cells > 0 ? cells : 1);
    p->v = arena_zalloc(frame, (size_t)(p->n > 0 ? p->n : 1) * sizeof *p->v, e);
    if (!p->v)
        return e->code;
    for (int64_t k = all ? 0 : p->first; k < (all ? p->n : p->first + p->shown); k++) {
        struct view_state one = p->st;
        locate(&one, p, k);
        int rc = fetch_window(&p->v[k], p->f, &one, 0, p->rows, 0, p->cols, frame, e);
        if (rc)
            return rc;
        for (int64_t i = 0; i < cells; i++) {
            double v = p->v[k][i];
            if (!isfinite(v))
                continue;
            lo = !(lo <= v) ? v : lo;
            hi = !(hi >= v) ? v : hi;
            least = v > 0 && !(least <= v) ? v : least;
        }
        if (k >= p->first && k < p->first + p->shown)
            tally_add(&p->tally, p->v[k], cells);
    }
    bool share = is_probability(p->f) && !p->f->is_signed;
    bool is_signed = p->f->is_signed || (lo < 0 && hi > 0);
    p->sc = scale_make(share ? 0 : lo, share ? 1 : hi, is_signed, dark);
    if (p->st.has_limits)
        p->sc = scale_make(p->st.lo, p->st.hi, is_signed, dark);
    if (p->st.log_v)
        p->sc = scale_log(p->sc, least);
    return 0;
}

/* The scale of one map alone. */
static struct scale own_scale(const struct panels *p, const double *v)
{
    double lo = NAN, hi = NAN, least = NAN;
    for (int64_t i = 0; i < p->rows * p->cols; i++) {
        if (!isfinite(v[i]))
            continue;
        lo = !(lo <= v[i]) ? v[i] : lo;
        hi = !(hi >= v[i]) ? v[i] : hi;
        least = v[i] > 0 && !(least <= v[i]) ? v[i] : least;
    }
    struct scale sc =
        scale_make(!p->sc.is_signed && lo > 0 ? 0 : lo, hi, p->sc.is_signed, p->sc.dark);
    return p->st.log_v ? scale_log(sc, least) : sc;
}

/* "L3H2", "H2", "position 4" or the axis' own label; with its largest value on a scale of its own. */
static const char *panel_name(
    char *buf, size_t n, const struct panels *p, int64_t k, const struct scale *own, enum glyphs g)
{
    struct view_state at = p->st;
    char label[LABEL_MAX], number[32], outer[32] = "";
    const struct axis *a = &p->f->axes[p->axis];
    locate(&at, p, k);
    if (p->outer >= 0)
        snprintf(outer, sizeof outer, "%s%lld%s",
            p->f->axes[p->outer].kind == AXIS_LAYER ? "L" : "", (long long)at.at[p->outer],
            a->kind == AXIS_HEAD ? "" : ",");
    if (a->kind == AXIS_HEAD)
        snprintf(label, sizeof label, "H%lld", (long long)at.at[p->axis]);
    else if (axis_has_labels(a))
        label_show(label, a, at.at[p->axis], g);
    else
        snprintf(label, sizeof label, "%s%s%lld", p->outer < 0 && a->name ? a->name : "",
            p->outer < 0 ? " " : "", (long long)at.at[p->axis]);
    snprintf(buf, n, "%s%s%s%s", outer, label, own ? g == GLYPHS_ASCII ? " <=" : " ≤" : "",
        own ? number_short(number, sizeof number, own->hi, 5, 2) : "");
    return buf;
}

static void draw_map(const struct screen *s, const struct panels *p, const struct scale *sc,
    const double *v, int x, int y)
{
    struct canvas *c = s->canvas;
    int64_t step = p->is_dense && !p->mag ? 2 : 1;
    bool coloured = c->mode >= COLOURS_256;
    const char *minus = c->glyphs == GLYPHS_ASCII ? "-" : "−";
    int w = p->mag ? 2 * p->mag : 1, h = p->mag ? p->mag : 1;
    for (int64_t line = 0; line < p->rows; line += step)
        for (int64_t k = 0; k < p->cols; k++) {
            int64_t r = p->up ? p->rows - 1 - line : line, next = p->up ? r - 1 : r + 1;
            double a = v[r * p->cols + k];
            double b = step == 2 && line + 1 < p->rows ? v[next * p->cols + k] : NAN;
            struct style style = STYLE(BAR);
            const char *glyph = scale_shade(sc, a, c->glyphs);
            if (step == 2) {
                bool has_a = isfinite(a), has_b = isfinite(b);
                glyph = has_a ? "▀" : has_b ? "▄" : " ";
                style.fg = has_a   ? COLOUR_RGB(scale_rgb(sc, a))
                           : has_b ? COLOUR_RGB(scale_rgb(sc, b))
                                   : COLOUR_DEFAULT;
                style.bg = has_a && has_b ? COLOUR_RGB(scale_rgb(sc, b)) : COLOUR_DEFAULT;
            } else if (coloured && isfinite(a)) {
                uint32_t rgb = scale_rgb(sc, a);
                style = (struct style){.fg = COLOUR_RGB(rgb_ink(rgb)), .bg = COLOUR_RGB(rgb)};
                glyph = sc->is_signed && scale_at(sc, a) < -0.04 && w == 1 ? minus : " ";
            } else if (sc->is_signed) {
                style = a < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE);
            }
            struct rect cell = {x + (int)k * w, y + (int)(line / step) * h, w, h};
            canvas_fill(c, cell, style, glyph);
            if (sc->is_signed && w > 1 && scale_at(sc, a) < -0.04 && isfinite(a))
                canvas_text(c, cell.x + w - 1, cell.y + (h - 1) / 2, 1, style, "−");
        }
}

static bool is_marked_panel(
    const struct view_data *d, const struct panels *p, const struct view_state *at)
{
    const struct field *f = p->f;
    return is_marked(d, f->axes[p->axis].kind, at->at[p->axis]) &&
           (p->outer < 0 || is_marked(d, f->axes[p->outer].kind, at->at[p->outer]));
}

static void draw_legend(const struct screen *s, const struct panels *p, int y)
{
    struct legend legend = {
        p->f, &p->st, &p->sc, p->tally, p->up, false, false, p->is_dense && !p->mag, NULL};
    char text[96];
    int x = s->rect.x, end = s->rect.x + s->rect.w;
    if (p->st.own_scale)
        legend.scale = NULL;
    if (p->shown < p->n)
        snprintf(text, sizeof text, "%lld to %lld of %lld", (long long)p->first + 1,
            (long long)(p->first + p->shown), (long long)p->n);
    else
        snprintf(text, sizeof text, "%s", p->st.own_scale ? "each on its own scale" : "one scale");
    x += canvas_text(s->canvas, x, y, end - x, STYLE(DIM), text) + 2;
    if (x < end)
        legend_draw(s, x, y, end - x, &legend);
}

static int multiples_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    const struct field *f = &d->fields[0];
    struct canvas *c = s->canvas;
    struct panels p;
    bool has_legend = s->rect.h >= 6;
    struct rect body = {s->rect.x, s->rect.y, s->rect.w, s->rect.h - has_legend};
    axes_of(&p, f, st);
    if (p.n > 0)
        arrange(&p, c, &body);
    if (p.n <= 0 || p.rows <= 0 || p.cols <= 0) {
        draw_note(s, "no cells: an axis of this block is empty");
        return 0;
    }
    int64_t lines = (p.n + p.across - 1) / p.across, fit = body.h / p.h > 0 ? body.h / p.h : 1;
    int64_t at = place_of(&p, st);
    st->scroll[p.axis] = scroll_follow(st->scroll[p.axis], at / p.across, fit, lines);
    p.first = st->scroll[p.axis] * p.across;
    p.shown = fit * p.across < p.n - p.first ? fit * p.across : p.n - p.first;
    int rc = load(&p, c->theme->dark, s->frame, e);
    if (rc)
        return rc;
    for (int64_t k = p.first; k < p.first + p.shown; k++) {
        struct view_state one = p.st;
        struct scale own = p.st.own_scale ? own_scale(&p, p.v[k]) : p.sc;
        int x = body.x + (int)((k - p.first) % p.across) * p.w;
        int y = body.y + (int)((k - p.first) / p.across) * p.h;
        char label[LABEL_MAX + 80];
        locate(&one, &p, k);
        bool is_at = !d->is_static && k == at;
        struct style style = is_at && d->is_focused         ? STYLE(CURSOR)
                             : is_marked_panel(d, &p, &one) ? STYLE(MARK)
                             : is_at                        ? STYLE(STRONG)
                                                            : STYLE(LABEL);
        struct rect old = canvas_clip(c, body);
        canvas_text(c, x, y, p.w - 1, style,
            panel_name(label, sizeof label, &p, k, p.st.own_scale ? &own : NULL, c->glyphs));
        draw_map(s, &p, &own, p.v[k], x, y + 1);
        c->clip = old;
    }
    if (has_legend) {
        int below = body.y + (int)((p.shown + p.across - 1) / p.across) * p.h + 1;
        int last = s->rect.y + s->rect.h - 1;
        draw_legend(s, &p, below < last ? below : last);
    }
    st->grid = (struct rect){body.x, body.y, p.across * p.w, body.h};
    st->cell_w = p.w;
    st->cell_h = p.h;
    st->shown = p.across;
    struct view_state exact = *st;
    double *v;
    memset(exact.level, 0, sizeof exact.level);
    rc = fetch_window(&v, f, &exact, st->at[st->row_axis], 1, st->at[st->col_axis], 1, s->frame, e);
    if (!rc)
        readout_cell(readout, f, st, v[0], c->glyphs);
    return rc;
}

static bool multiples_move(
    const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    struct panels p;
    axes_of(&p, f, st);
    int across = st->shown > 0 ? st->shown : 1, before = free_axis(st, p.axis);
    int64_t k = place_of(&p, st);
    bool moved = false;
    (void)page;
    if (p.n <= 0)
        return false;
    if ((m == MOVE_PAGE_UP || m == MOVE_PAGE_DOWN) && before >= 0 && p.outer < 0)
        /* The axis before the maps, the layer, turns the page. */
        return move_index(&st->at[before], f->axes[before].size, m == MOVE_PAGE_UP ? 1 : -1);
    if (m == MOVE_LEFT || m == MOVE_RIGHT)
        moved = move_index(&k, p.n, m == MOVE_LEFT ? -1 : 1);
    else if (m == MOVE_UP || m == MOVE_DOWN || m == MOVE_PAGE_UP || m == MOVE_PAGE_DOWN)
        moved = move_index(&k, p.n, m == MOVE_UP || m == MOVE_PAGE_UP ? -across : across);
    else
        moved = move_index(&k, p.n, m == MOVE_HOME || m == MOVE_TOP ? -p.n : p.n);
    locate(st, &p, k);
    return moved;
}

static bool multiples_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect g = st->grid;
    struct panels p;
    int across = st->shown, w = st->cell_w, h = st->cell_h;
    axes_of(&p, &d->fields[0], st);
    if (w < 1 || h < 1 || x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h)
        return false;
    int64_t k = ((y - g.y) / h + st->scroll[p.axis]) * across + (x - g.x) / w;
    if (k >= p.n)
        return false;
    locate(st, &p, k);
    return true;
}

#define SVG_ACROSS 4
#define SVG_ACROSS_ALL 12
#define SVG_PALETTE 253

static void svg_map(struct paper *p, const struct panels *m, const double *v,
    const struct scale *sc, double x, double y, double side, uint8_t *pixels)
{
    uint32_t palette[256] = {[SVG_PALETTE] = PAPER_NAN, PAPER_INF, PAPER_MINUS_INF};
    for (int i = 0; i < SVG_PALETTE; i++) {
        double t = (double)i / (SVG_PALETTE - 1);
        palette[i] = scale_rgb(sc, scale_value(sc, sc->is_signed ? 2 * t - 1 : t));
    }
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t k = 0; k < m->cols; k++) {
            double a = v[(m->up ? m->rows - 1 - r : r) * m->cols + k], t = scale_at(sc, a);
            int odd = isnan(a) ? 0 : a > 0 ? 1 : 2;
            t = sc->is_signed ? t / 2 + 0.5 : t;
            pixels[r * m->cols + k] =
                (uint8_t)(isfinite(a) ? t * (SVG_PALETTE - 1) + 0.5 : SVG_PALETTE + odd);
        }
    svg_pixels(p->out, x, y, side, side, pixels, (int)m->cols, (int)m->rows, palette);
}

static int multiples_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    struct panels m;
    axes_of(&m, f, &st);
    uint8_t level = 0;
    do
        set_level(&m, level);
    while ((m.rows > 4 * SIDE_MAX || m.cols > 4 * SIDE_MAX) && level++ < LEVEL_MAX);
    m.shown = m.n = m.rows > 0 && m.cols > 0 ? m.n : 0;
    int64_t most = m.outer >= 0 ? m.inner_n < 24 ? m.inner_n : SVG_ACROSS_ALL : SVG_ACROSS;
    int64_t across = m.n < most ? m.n > 0 ? m.n : 1 : most, lines = (m.n + across - 1) / across;
    double side = across > SVG_ACROSS ? 84 : 190, pitch = side + 14;
    int rc = load(&m, false, frame, e);
    uint8_t *pixels = arena_array(frame, (size_t)(m.rows * m.cols > 0 ? m.rows * m.cols : 1), 1, e);
    if (rc || !pixels)
        return e->code;
    struct paper p = {.out = out, .x = PAPER_LEFT, .y = PAPER_TOP};
    p.w = (double)across * pitch;
    p.h = (double)lines * (pitch + 8);
    paper_open(&p, d, &m.st, "small multiples", &m.tally, 300 - fmin(p.w, 290), 84);
    for (int64_t k = 0; k < m.n; k++) {
        char label[LABEL_MAX + 80];
        struct scale own = st.own_scale ? own_scale(&m, m.v[k]) : m.sc;
        double x = p.x + (double)(k % across) * pitch;
        double y = p.y + 16 + (double)(k / across) * (pitch + 8);
        panel_name(label, sizeof label, &m, k, st.own_scale ? &own : NULL, GLYPHS_BLOCK);
        svg_text(out, x, y - 4, SVG_START, 11, PAPER_GREY, label);
        svg_map(&p, &m, m.v[k], &own, x, y, side, pixels);
    }
    struct legend legend = {f, &m.st, &m.sc, m.tally, m.up, false, false, false, NULL};
    if (!st.own_scale && m.n)
        paper_scale(&p, p.y + p.h + 14, &legend);
    char text[160];
    snprintf(text, sizeof text, "%s upwards, %s to the right%s", f->axes[st.row_axis].name,
        f->axes[st.col_axis].name, st.own_scale ? "; each on its own scale" : "");
    if (!m.up)
        snprintf(text, sizeof text, "%s downwards, %s to the right%s", f->axes[st.row_axis].name,
            f->axes[st.col_axis].name, st.own_scale ? "; each on its own scale" : "");
    svg_heading(out, PAPER_LEFT, p.y + p.h + 74, 11, PAPER_GREY, false, text);
    paper_close(&p);
    return 0;
}

const struct view view_multiples = {
    .id = "multiples",
    .title = "small multiples",
    .help =
        "One small heatmap for each index of an axis, such as every head of a layer at once, or of "
        "every layer when zoomed out, all on one scale unless each is given its own. Left and "
        "right choose one; page up and down change the axis before it.",
    .good = "Spotting the odd one out: which of many heads attends to the previous token.",
    .source = "Tufte 1983, small multiples",
    .modes = 1u << VIEW_OWN_SCALE | 1u << VIEW_COARSER | 1u << VIEW_FINER | 1u << VIEW_FLIP |
             1u << VIEW_LOG | 1u << VIEW_REDUCE,
    .looks = 1u << LOOK_HEATMAP,
    .min_rank = 3,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_SIZES,
    .draw = multiples_draw,
    .svg = multiples_svg,
    .move = multiples_move,
    .pick = multiples_pick,
};
