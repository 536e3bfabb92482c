#include <math.h>
#include <stdio.h>
#include <string.h>

#include "views/order.h"
#include "views/paper.h"

static void use_last_axis(struct view_state *st, const struct field *f)
{
    if (!st->has_axes) {
        st->row_axis = f->rank ? f->rank - 1 : 0;
        st->col_axis = -1;
        st->has_axes = true;
    }
    state_fit(st, f);
    st->col_axis = -1;
}

/* The axis in drawing order, and the part of it that is drawn. */
struct bars {
    const struct field *f;
    const struct axis *a; /* NULL: a scalar */
    struct order order;
    int64_t first, shown;
    int64_t *index;          /* [shown] */
    const double *v, *error; /* [shown]; error: NULL where there is none */
    const double *all;       /* what the scale is taken from: the whole axis when it is sorted */
    int64_t n_all;
    const double
        *reach; /* what bars and whiskers have to fit: `all`, and values with their errors */
    int64_t n_reach;
    struct number_form form;
    struct scale sc;
};

/* Order carries meaning along layers, positions and steps; elsewhere the largest comes first. */
static bool wants_sort(const struct axis *a, const struct view_state *st)
{
    bool by_size = a->kind == AXIS_COMPONENT || a->kind == AXIS_VOCAB || a->kind == AXIS_NEURON ||
                   a->kind == AXIS_RANK;
    return a->size <= ORDER_MAX && (st->top > 0 || by_size != st->sorted);
}

static int load_order(struct bars *b, const struct field *f, const struct view_state *st,
    struct arena *frame, struct err *e)
{
    double *v;
    *b = (struct bars){.f = f, .a = f->rank ? &f->axes[st->row_axis] : NULL};
    int64_t n = f->rank ? b->a->size : 1;
    b->order = order_own(n > 0 ? n : 0);
    if (!f->rank || n <= 0 || !wants_sort(b->a, st))
        return 0;
    int rc = fetch_window(&v, f, st, 0, n, 0, 1, frame, e);
    b->all = v;
    b->n_all = n;
    return rc ? rc : order_by_value(&b->order, v, n, f->is_signed, st->top, frame, e);
}

/* The values of the places that are drawn, of the field or of its errors. */
static int load_shown(const double **out, const struct bars *b, const struct field *f,
    const struct view_state *st, struct arena *frame, struct err *e)
{
    const double *all = f == b->f ? b->all : NULL;
    double *read, *v = arena_array(frame, b->shown > 0 ? (size_t)b->shown : 1, sizeof *v, e);
    int rc = v ? 0 : e->code;
    if (!rc && !all) {
        rc = b->order.v ? fetch_window(&read, f, st, 0, b->order.total, 0, 1, frame, e)
                        : fetch_window(&read, f, st, b->first, b->shown, 0, 1, frame, e);
        all = read;
    }
    for (int64_t k = 0; k < b->shown && !rc; k++)
        v[k] = all[b->order.v ? b->index[k] : k];
    *out = v;
    return rc;
}

/* Where zero lies among w columns, so that both directions have the same scale. */
static int zero_column(struct scale *sc, const double *v, int64_t n, int w)
{
    double neg = 0, pos = 0;
    for (int64_t i = 0; i < n; i++) {
        if (v[i] < 0 && -v[i] > neg && isfinite(v[i]))
            neg = -v[i];
        if (v[i] > pos && isfinite(v[i]))
            pos = v[i];
    }
    double share = neg > 0 || pos > 0 ? neg / 2 / (neg / 2 + pos / 2) : 0.5;
    share = share < 0.12 ? 0.12 : share > 0.88 ? 0.88 : share;
    int zero = (int)(share * w);
    double left_per = neg > 0 ? zero / neg : INFINITY;
    double right_per = pos > 0 ? (w - zero - 1) / pos : INFINITY;
    double per = left_per < right_per ? left_per : right_per;
    if (isfinite(per) && per > 0)
        sc->hi = (w - zero - 1) / per;
    return zero;
}

/* A bar's length is its distance from zero, so values below zero need the other direction. */
static void both_ways(struct scale *sc, const double *v, int64_t n)
{
    double lo = 0, hi = 0;
    for (int64_t i = 0; i < n; i++) {
        lo = isfinite(v[i]) && v[i] < lo ? v[i] : lo;
        hi = isfinite(v[i]) && v[i] > hi ? v[i] : hi;
    }
    if (lo < 0)
        *sc = scale_make(lo, hi, true, sc->dark);
}

/* Unsigned bars begin at zero and the longest is whole: the numbers beside them are absolute. */
static void from_zero(const struct field *f, struct scale *sc, const double *v, int64_t n)
{
    double most = 0;
    if (is_probability(f) || sc->is_log)
        return; /* a whole bar is certainty */
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > most)
            most = v[i];
    sc->hi = most > 0 ? most : sc->hi;
    sc->lo = sc->lo > 0 ? 0 : sc->lo;
}

static int find_reach(struct bars *b, struct arena *frame, struct err *e)
{
    b->reach = b->all;
    b->n_reach = b->n_all;
    if (!b->error)
        return 0;
    double *v = arena_array(frame, (size_t)(b->n_all + b->shown), sizeof *v, e);
    if (!v)
        return e->code;
    memcpy(v, b->all, (size_t)b->n_all * sizeof *v);
    for (int64_t k = 0; k < b->shown; k++)
        v[b->n_all + k] =
            isfinite(b->error[k]) ? b->v[k] + copysign(b->error[k], b->v[k]) : b->v[k];
    b->reach = v;
    b->n_reach += b->shown;
    return 0;
}

/* Everything but the places on the screen: values, errors, how numbers look, the scale. */
static int load(struct bars *b, const struct view_data *d, struct view_state *st, bool dark,
    int64_t first, int64_t shown, struct arena *frame, struct err *e)
{
    b->first = first;
    b->shown = shown;
    b->index = arena_array(frame, shown > 0 ? (size_t)shown : 1, sizeof *b->index, e);
    if (!b->index)
        return e->code;
    order_window(b->index, &b->order, first, shown);
    int rc = load_shown(&b->v, b, b->f, st, frame, e);
    if (!rc && d->error)
        rc = load_shown(&b->error, b, d->error, st, frame, e);
    if (rc)
        return rc;
    if (!b->all) {
        b->all = b->v;
        b->n_all = shown;
    }
    b->form = number_form_fit(field_form(b->f), b->all, b->n_all);
    rc = find_reach(b, frame, e);
    if (!rc)
        rc = view_scale(&b->sc, b->f, st, dark, b->v, shown, frame, e);
    if (!rc && !b->sc.is_signed && !b->sc.is_log && !st->has_limits)
        both_ways(&b->sc, b->reach, b->n_reach);
    if (!rc && !b->sc.is_signed)
        from_zero(b->f, &b->sc, b->reach, b->n_reach);
    return rc;
}

/* ---- on the screen ---- */

struct columns {
    int label_w, value_w, error_w, bar_w, zero;
    int context_w; /* of labels that come with their text; 0: they do not */
};

static const char *error_text(char *buf, size_t n, const struct bars *b, int64_t k, enum glyphs g)
{
    struct number_form form = b->form;
    char text[64];
    form.sign = false;
    buf[0] = '\0';
    if (!b->error || !isfinite(b->error[k]))
        return buf;
    number_text(text, sizeof text, &form, b->error[k], g);
    if (b->error[k] != 0 && !strpbrk(text, "123456789")) {
        form.one_digit = true; /* small, but not nothing */
        number_text(text, sizeof text, &form, b->error[k], g);
    }
    snprintf(buf, n, " %s %s", g == GLYPHS_ASCII ? "+-" : "±", text);
    return buf;
}

static void measure(struct columns *m, const struct bars *b, const struct screen *s)
{
    enum glyphs g = s->canvas->glyphs;
    char text[96];
    *m = (struct columns){0};
    for (int64_t k = 0; k < b->shown; k++) {
        int w = b->a ? label_columns(b->a, b->index[k], g) : 0;
        m->label_w = w > m->label_w ? w : m->label_w;
        w = canvas_columns(s->canvas, number_text(text, sizeof text, &b->form, b->v[k], g));
        m->value_w = w > m->value_w ? w : m->value_w;
        w = canvas_columns(s->canvas, error_text(text, sizeof text, b, k, g));
        m->error_w = w > m->error_w ? w : m->error_w;
    }
    if (m->label_w > s->rect.w / 3)
        m->label_w = s->rect.w / 3;
    m->context_w = b->a ? context_columns(b->a, s->rect.w) : 0;
    m->label_w = m->context_w > m->label_w ? m->context_w : m->label_w;
    m->bar_w = s->rect.w - m->label_w - m->value_w - m->error_w - 3;
    if (m->bar_w < 8 && m->error_w) {
        m->bar_w += m->error_w;
        m->error_w = 0;
    }
}

/* x ± its standard error: shaded inside the bar, a line outside of it. */
static void draw_whisker(
    struct canvas *c, int x, int y, int w, double t, double dt, bool leftward, struct style s)
{
    bool plain = c->glyphs == GLYPHS_ASCII;
    int tip = (int)lround(fmin(1, t) * w), lo = (int)lround(fmax(0, t - dt) * w);
    int hi = (int)lround(fmin(1, t + dt) * w);
    for (int i = lo; i < hi; i++) {
        const char *end = plain ? "|" : leftward ? "├" : "┤";
        const char *glyph = i < tip ? plain ? "=" : "▒" : i == hi - 1 ? end : plain ? "-" : "─";
        canvas_text(c, leftward ? x + w - 1 - i : x + i, y, 1, s, glyph);
    }
}

static void draw_bar(
    struct canvas *c, int x, int y, const struct columns *m, const struct bars *b, int64_t k)
{
    double v = b->v[k], error = b->error ? b->error[k] : NAN;
    const struct scale *sc = &b->sc;
    if (m->bar_w < 2)
        return;
    if (sc->is_signed)
        canvas_text(c, x + m->zero, y, 1, STYLE(DIM), c->glyphs == GLYPHS_ASCII ? "|" : "┃");
    if (!isfinite(v)) {
        canvas_text(
            c, x + (sc->is_signed ? m->zero + 1 : 0), y, 1, STYLE(WARN), odd_sign(v, c->glyphs));
        return;
    }
    if (!sc->is_signed) {
        canvas_bar(c, x, y, m->bar_w, scale_at(sc, v), false, STYLE(BAR));
        if (error > 0 && isfinite(error) && !sc->is_log)
            draw_whisker(
                c, x, y, m->bar_w, scale_at(sc, v), error / (sc->hi - sc->lo), false, STYLE(BAR));
        return;
    }
    bool left = v < 0;
    int right = m->bar_w - m->zero - 1, w = left ? m->zero : right;
    double per = sc->hi > 0 ? (double)right / sc->hi : 0;
    if (w < 1 || v == 0)
        return;
    struct style style = left ? STYLE(NEGATIVE) : STYLE(POSITIVE);
    double t = sc->is_log ? fabs(scale_at(sc, v)) : fabs(v) * per / w;
    int at = left ? x : x + m->zero + 1;
    canvas_bar(c, at, y, w, t, left, style);
    if (error > 0 && isfinite(error) && !sc->is_log)
        draw_whisker(c, at, y, w, t, error * per / w, left, style);
}

static void draw_row(const struct screen *s, const struct view_data *d, const struct view_state *st,
    const struct bars *b, const struct columns *m, int64_t k, int y)
{
    struct canvas *c = s->canvas;
    char label[LABEL_MAX], text[96];
    int x = s->rect.x;
    bool is_cursor = !d->is_static && (!b->a || b->index[k] == st->at[st->row_axis]);
    struct style style = is_cursor && d->is_focused                      ? STYLE(CURSOR)
                         : b->a && is_marked(d, b->a->kind, b->index[k]) ? STYLE(MARK)
                         : is_cursor                                     ? STYLE(STRONG)
                                                                         : STYLE(TEXT);
    if (m->context_w)
        context_draw(c, x, y, m->label_w, b->a, b->index[k], is_cursor ? STYLE(TEXT) : STYLE(LABEL),
            is_cursor ? style : STYLE(MARK));
    else if (b->a)
        canvas_text(c, x, y, m->label_w, style, label_show(label, b->a, b->index[k], c->glyphs));
    x += m->label_w + 1;
    number_text(text, sizeof text, &b->form, b->v[k], c->glyphs);
    canvas_right(c, x + m->value_w, y, m->value_w, STYLE(TEXT), text);
    x += m->value_w;
    canvas_text(c, x, y, m->error_w, STYLE(DIM), error_text(text, sizeof text, b, k, c->glyphs));
    draw_bar(c, x + m->error_w + 1, y, m, b, k);
}

enum { LEGEND_MAX = 256 };

/* "component, largest first   logits   10 of 160   1 NaN"; without the order, if it is brief. */
static int legend(char text[LEGEND_MAX], const struct bars *b, bool is_brief)
{
    char odd[64];
    size_t at = 0;
    struct tally t = tally_of(b->all, b->n_all);
    const char *unit = unit_text(b->f, &b->form);
    text[0] = '\0';
    if (b->a)
        at += (size_t)snprintf(text, LEGEND_MAX, "%.64s%s", b->a->name ? b->a->name : "",
            !b->order.v || is_brief ? ""
            : b->f->is_signed       ? ", largest |x| first"
                                    : ", largest first");
    if (*unit)
        at += (size_t)snprintf(text + at, LEGEND_MAX - at, "   %.40s", unit);
    if (b->error)
        at += (size_t)snprintf(text + at, LEGEND_MAX - at, "   ± standard error");
    if (b->sc.is_log)
        at += (size_t)snprintf(text + at, LEGEND_MAX - at, "   log");
    if (b->shown < b->order.total)
        at += (size_t)snprintf(text + at, LEGEND_MAX - at, "   %lld to %lld of %lld",
            (long long)b->first + 1, (long long)(b->first + b->shown), (long long)b->order.total);
    if (*tally_text(odd, sizeof odd, &t))
        snprintf(text + at, LEGEND_MAX - at, "   %s", odd);
    return text_columns(text);
}

static void draw_legend(const struct screen *s, const struct bars *b, int y)
{
    char text[LEGEND_MAX] = "";
    /* That there is more above tells why the largest is not the first. */
    if (legend(text, b, false) > s->rect.w && b->shown < b->order.total)
        legend(text, b, true);
    canvas_text(s->canvas, s->rect.x, y, s->rect.w, STYLE(DIM), text);
}

static int bars_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    const struct field *f = &d->fields[0];
    struct canvas *c = s->canvas;
    struct bars b;
    struct columns m;
    use_last_axis(st, f);
    int rc = load_order(&b, f, st, s->frame, e);
    if (rc)
        return rc;
    if (b.order.n <= 0) {
        draw_note(s, "no bars: the axis of this block is empty");
        return 0;
    }
    int axis = st->row_axis, h = s->rect.h;
    bool has_legend = h >= 10 || (h >= 4 && b.order.n < h);
    int64_t room = h - has_legend, at = order_place(&b.order, st->at[axis]);
    int64_t shown = room < b.order.n ? room : b.order.n;
    if (shown <= 0)
        return 0;
    st->scroll[axis] = scroll_follow(st->scroll[axis], at, shown, b.order.n);
    rc = load(&b, d, st, c->theme->dark, st->scroll[axis], shown, s->frame, e);
    if (rc)
        return rc;
    measure(&m, &b, s);
    if (b.sc.is_signed && m.bar_w > 2)
        m.zero = zero_column(&b.sc, b.reach, b.n_reach, m.bar_w);
    for (int64_t k = 0; k < shown; k++)
        draw_row(s, d, st, &b, &m, k, s->rect.y + (int)k);
    if (has_legend)
        draw_legend(s, &b, s->rect.y + (int)shown);
    st->grid = (struct rect){s->rect.x, s->rect.y, s->rect.w, (int)shown};
    st->at[axis] = f->rank ? b.index[at - b.first] : 0;
    readout_cell(readout, f, st, b.v[at - b.first], c->glyphs);
    if (b.error && isfinite(b.error[at - b.first])) {
        char exact[40];
        size_t n = strlen(readout);
        snprintf(readout + n, VIEW_READOUT - n, " ± %s",
            number_exact(exact, sizeof exact, b.error[at - b.first], d->error->dtype));
    }
    return 0;
}

static bool place_cursor(const struct field *f, struct view_state *st, int64_t by, bool is_absolute)
{
    struct arena scratch = {0};
    struct bars b;
    struct err e;
    bool moved = false;
    if (!load_order(&b, f, st, &scratch, &e) && b.order.n > 0) {
        int64_t k = is_absolute ? by : order_place(&b.order, st->at[st->row_axis]) + by;
        k = k < 0 ? 0 : k >= b.order.n ? b.order.n - 1 : k;
        int64_t index = order_at(&b.order, k);
        moved = index != st->at[st->row_axis];
        st->at[st->row_axis] = index;
    }
    arena_release(&scratch);
    return moved;
}

static bool bars_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    const struct field *f = &d->fields[0];
    use_last_axis(st, f);
    if (!f->rank || m == MOVE_LEFT || m == MOVE_RIGHT)
        return false;
    bool is_end = m >= MOVE_HOME;
    int64_t by = m == MOVE_UP ? -1 : m == MOVE_DOWN ? 1 : m == MOVE_PAGE_UP ? -page : page;
    if (is_end)
        by = m == MOVE_HOME || m == MOVE_TOP ? 0 : INT64_MAX;
    return place_cursor(f, st, by, is_end);
}

static bool bars_pick(const struct view_data *d, struct view_state *st, int x, int y)
{
    struct rect g = st->grid;
    if (x < g.x || y < g.y || x >= g.x + g.w || y >= g.y + g.h || !d->fields[0].rank)
        return false;
    use_last_axis(st, &d->fields[0]);
    place_cursor(&d->fields[0], st, st->scroll[st->row_axis] + y - g.y, true);
    return true;
}

/* ---- on paper ---- */

#define SVG_BARS 80
#define SVG_ROW 20.0

static void svg_bar(struct paper *p, const struct bars *b, int64_t k, double zero)
{
    double v = b->v[k], y = p->y + (double)k * SVG_ROW, t = scale_at(&b->sc, v);
    double per = b->sc.is_signed ? (p->w - zero) / b->sc.hi : p->w / (b->sc.hi - b->sc.lo);
    double w = b->sc.is_signed && !b->sc.is_log ? fabs(v) * per
               : b->sc.is_signed                ? fabs(t) * (v < 0 ? zero : p->w - zero)
                                                : t * p->w;
    double x = v < 0 && b->sc.is_signed ? p->x + zero - w : p->x + zero;
    uint32_t rgb = role_rgb(!b->sc.is_signed ? ROLE_BAR : v < 0 ? ROLE_NEGATIVE : ROLE_POSITIVE);
    char text[64];
    struct number_form form = b->form;
    if (isfinite(v)) {
        snprintf(text, sizeof text, "%s", number_exact((char[40]){0}, 40, v, b->f->dtype));
        svg_rect_title(p->out, x, y + 3, w, SVG_ROW - 6, rgb, text);
    }
    if (isfinite(v) && b->error && isfinite(b->error[k]) && !b->sc.is_log) {
        double tip = v < 0 && b->sc.is_signed ? x : x + w, se = b->error[k] * per;
        double mid = y + SVG_ROW / 2;
        svg_line(p->out, tip - se, mid, tip + se, mid, PAPER_INK);
        svg_line(p->out, tip - se, mid - 3, tip - se, mid + 3, PAPER_INK);
        svg_line(p->out, tip + se, mid - 3, tip + se, mid + 3, PAPER_INK);
    }
    form.sign = b->f->is_signed;
    svg_text(p->out, p->x - 10, y + 14, SVG_END, 11, isfinite(v) ? PAPER_INK : PAPER_GREY,
        isnan(v) ? "NaN" : number_text(text, sizeof text, &form, v, GLYPHS_BLOCK));
}

static int bars_svg(struct buf *out, const struct view_data *d, struct view_state *given,
    struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    struct view_state st = *given;
    struct bars b;
    char text[128];
    use_last_axis(&st, f);
    int rc = load_order(&b, f, &st, frame, e);
    int64_t n = b.order.n < SVG_BARS ? b.order.n : SVG_BARS;
    if (!rc)
        rc = load(&b, d, &st, false, 0, n, frame, e);
    if (rc)
        return rc;
    int label = 0, value = 4;
    for (int64_t k = 0; k < n; k++) {
        int w = b.a ? label_columns(b.a, b.index[k], GLYPHS_BLOCK) : 0;
        label = w > label ? w : label;
        w = text_columns(number_text(text, sizeof text, &b.form, b.v[k], GLYPHS_BLOCK));
        value = w > value ? w : value;
    }
    label = label > 30 ? 30 : label;
    struct tally t = tally_of(b.all, b.n_all);
    double label_x = PAPER_LEFT + label * CHAR_W;
    struct paper p = {.out = out,
        .x = label_x + 16 + value * CHAR_W + 10,
        .y = PAPER_TOP + 16,
        .w = 420,
        .h = (double)n * SVG_ROW};
    double zero = b.sc.is_signed && n > 0 ? zero_column(&b.sc, b.reach, b.n_reach, (int)p.w) : 0;
    paper_open(&p, d, &st, "bars", &t, 30, 44);
    for (int64_t k = 0; k < n; k++) {
        if (b.a) {
            label_show(text, b.a, b.index[k], GLYPHS_BLOCK);
            label_clip(text, 30, GLYPHS_BLOCK);
            svg_text(out, label_x, p.y + (double)k * SVG_ROW + 14, SVG_END, 11, PAPER_INK, text);
        }
        svg_bar(&p, &b, k, zero);
    }
    svg_line(out, p.x + zero, p.y - 2, p.x + zero, p.y + p.h + 2, PAPER_LINE);
    if (b.a)
        svg_heading(out, PAPER_LEFT, p.y - 5, 12, PAPER_GREY, false, b.a->name ? b.a->name : "");
    char odd[64];
    tally_text(odd, sizeof odd, &t);
    snprintf(text, sizeof text, "%s%s%s%s",
        b.sc.is_signed ? "left of the line: negative" : "from zero",
        b.error ? "; whiskers: ± standard error" : "", *odd ? "; " : "", odd);
    svg_heading(out, p.x, p.y + p.h + 20, 11, PAPER_GREY, false, text);
    if (n < b.order.total) {
        snprintf(text, sizeof text, "%lld of %lld drawn", (long long)n, (long long)b.order.total);
        svg_heading(out, p.x, p.y + p.h + 36, 11, PAPER_GREY, false, text);
    }
    paper_close(&p);
    return 0;
}

const struct view view_bars = {
    .id = "bars",
    .title = "bars",
    .help = "One bar a row with its exact value, the largest first unless their order carries "
            "meaning. Signed values grow from a centre line, to the right when positive.",
    .good = "Comparing sizes one by one: contributions, probabilities, scores with their errors.",
    .source = "error bars: x ± one standard error, from the block NAME_se beside NAME",
    .modes = 1u << VIEW_SORT | 1u << VIEW_TOP | 1u << VIEW_LOG,
    .looks = 1u << LOOK_BARS | 1u << LOOK_TABLE | 1u << LOOK_LINES | 1u << LOOK_TOKENS,
    .min_rank = 0,
    .max_rank = FIELD_MAX_RANK,
    .needs = 1u << VIEW_NEEDS_SIZES,
    .draw = bars_draw,
    .svg = bars_svg,
    .move = bars_move,
    .pick = bars_pick,
};
