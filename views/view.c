#include "views/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/draw.h"

#define RANGE_CELLS (1 << 18) /* a slice up to this size is read whole to find its range */

const struct view *view_find(const char *id)
{
    for (int i = 0; i < n_views; i++)
        if (!strcmp(views[i]->id, id))
            return views[i];
    return NULL;
}

bool view_accepts(const struct view *v, const struct field *f)
{
    return (v->looks & 1u << f->look) && f->rank >= v->min_rank && f->rank <= v->max_rank;
}

const struct view *view_for(const struct field *f)
{
    const struct view *own = view_find(look_name(f->look));
    if (own && view_accepts(own, f))
        return own;
    for (int i = 0; i < n_views; i++)
        if (view_accepts(views[i], f))
            return views[i];
    return view_find("table");
}

void state_fit(struct view_state *st, const struct field *f)
{
    if (!st->has_axes) {
        st->row_axis = f->rank >= 2 ? f->rank - 2 : 0;
        st->col_axis = f->rank >= 2 ? f->rank - 1 : -1;
        st->has_axes = true;
    }
    if (st->row_axis < 0 || st->row_axis >= f->rank)
        st->row_axis = 0;
    if (st->col_axis >= f->rank || (st->col_axis == st->row_axis && f->rank > 1))
        st->col_axis = f->rank > 1 ? (st->row_axis ? 0 : 1) : -1;
    for (int i = 0; i < f->rank; i++) {
        int64_t last = f->axes[i].size > 0 ? f->axes[i].size - 1 : 0;
        if (st->at[i] > last)
            st->at[i] = last;
        if (st->at[i] < 0)
            st->at[i] = 0;
    }
    if (st->zoom < 0)
        st->zoom = 0;
    if (st->zoom > 40)
        st->zoom = 40;
}

int64_t scroll_follow(int64_t scroll, int64_t at, int64_t shown, int64_t total)
{
    int64_t margin = shown / 3;
    if (at < scroll + margin)
        scroll = at - margin;
    if (at > scroll + shown - 1 - margin)
        scroll = at - shown + 1 + margin;
    if (scroll > total - shown)
        scroll = total - shown;
    return scroll < 0 ? 0 : scroll;
}

int fetch_window(double **out, const struct field *f, const struct view_state *st, int64_t row0,
    int64_t n_rows, int64_t col0, int64_t n_cols, struct arena *frame, struct err *e)
{
    struct window w = {0};
    int64_t step = (int64_t)1 << st->zoom;
    for (int i = 0; i < f->rank; i++) {
        w.start[i] = st->at[i];
        w.count[i] = w.stride[i] = 1;
    }
    if (f->rank > 0) {
        w.start[st->row_axis] = row0;
        w.count[st->row_axis] = n_rows;
        w.stride[st->row_axis] = step;
    }
    if (f->rank > 1 && st->col_axis >= 0) {
        w.start[st->col_axis] = col0;
        w.count[st->col_axis] = n_cols;
        w.stride[st->col_axis] = step;
    }
    int64_t n = window_count(&w, f->rank);
    double *raw = arena_array(frame, n > 0 ? (size_t)n : 1, sizeof *raw, e);
    if (!raw)
        return e->code;
    enum field_reduce reduce = !st->zoom ? FIELD_POINT : f->is_signed ? FIELD_ABSMAX : FIELD_MAX;
    for (int64_t i = 0; !f->fetch && i < n; i++)
        raw[i] = NAN;
    int rc = n > 0 && f->fetch ? f->fetch(f, raw, &w, reduce, e) : 0;
    if (rc)
        return rc;
    if (f->rank > 1 && st->col_axis >= 0 && st->col_axis < st->row_axis) {
        double *turned = arena_array(frame, n > 0 ? (size_t)n : 1, sizeof *turned, e);
        if (!turned)
            return e->code;
        for (int64_t r = 0; r < n_rows; r++)
            for (int64_t c = 0; c < n_cols; c++)
                turned[r * n_cols + c] = raw[c * n_rows + r];
        raw = turned;
    }
    *out = raw;
    return 0;
}

static void range_of(double *lo, double *hi, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        if (!(*lo <= v[i]))
            *lo = v[i];
        if (!(*hi >= v[i]))
            *hi = v[i];
    }
}

/* Changes when the numbers, the owner or the slice change. */
static uint64_t slice_key(const struct field *f, const struct view_state *st)
{
    uint64_t h = 1469598103934665603u ^ (uint64_t)(uintptr_t)f->source_data;
    h = h * 1099511628211u ^ (f->generation ? f->generation(f) : 0);
    for (int i = 0; i < f->rank; i++) {
        bool is_drawn = i == st->row_axis || i == st->col_axis;
        h = h * 1099511628211u ^ (uint64_t)(is_drawn ? ~f->axes[i].size : st->at[i]);
    }
    return h ? h : 1;
}

int view_scale(struct scale *out, const struct field *f, struct view_state *st, bool dark,
    const double *window, int64_t n, struct arena *frame, struct err *e)
{
    if (st->has_limits) {
        *out = scale_make(st->lo, st->hi, f->is_signed, dark);
        return 0;
    }
    if (!f->is_signed && f->unit && (!strcmp(f->unit, "probability") || !strcmp(f->unit, "prob"))) {
        *out = scale_make(0, 1, false, dark);
        return 0;
    }
    uint64_t key = slice_key(f, st);
    int64_t rows = f->rank > 0 ? f->axes[st->row_axis].size : 1;
    int64_t cols = f->rank > 1 && st->col_axis >= 0 ? f->axes[st->col_axis].size : 1;
    bool is_small = rows > 0 && cols > 0 && rows <= RANGE_CELLS && cols <= RANGE_CELLS / rows;
    if (key != st->seen) {
        st->lo = st->hi = NAN;
        st->seen = key;
        if (is_small) {
            struct arena_mark mark = arena_mark(frame);
            struct view_state whole = *st;
            double *all;
            whole.zoom = 0;
            int rc = fetch_window(&all, f, &whole, 0, rows, 0, cols, frame, e);
            if (rc)
                return rc;
            range_of(&st->lo, &st->hi, all, rows * cols);
            arena_rewind(frame, mark);
        }
    }
    if (!is_small)
        range_of(&st->lo, &st->hi, window, n);
    *out = scale_make(st->lo, st->hi, f->is_signed, dark);
    return 0;
}

bool is_marked(const struct view_data *d, enum axis_kind kind, int64_t index)
{
    for (int i = 0; i < d->n_marks; i++)
        if (d->marks[i].kind == kind && d->marks[i].index == index)
            return true;
    return false;
}

bool rows_grow_up(const struct field *f, const struct view_state *st)
{
    if (f->rank < 2)
        return st->flipped;
    enum axis_kind k = f->axes[st->row_axis].kind;
    return (k == AXIS_LAYER || k == AXIS_POS) != st->flipped;
}

const char *label_show(char buf[LABEL_MAX], const struct axis *a, int64_t i, enum glyphs g)
{
    char number[32];
    const char *s = axis_label(a, i, number, sizeof number);
    unsigned flags = TEXT_DOT | (g == GLYPHS_ASCII ? (unsigned)TEXT_ASCII : 0u);
    size_t n = strlen(s);
    bool is_blank = n && strspn(s, " ") == n;
    text_escape(buf, LABEL_MAX, s, n, is_blank ? flags | TEXT_DOTS : flags);
    return buf;
}

int label_columns(const struct axis *a, int64_t i, enum glyphs g)
{
    char buf[LABEL_MAX];
    return text_columns(label_show(buf, a, i, g));
}

struct number_form field_form(const struct field *f)
{
    bool is_integer = f->dtype >= DT_I8;
    return number_form(f->unit, is_integer, f->is_signed);
}

/* "layer 3", "L3" or "14 ·to": an index with its label where that says more. */
static int put_coordinate(char *out, size_t n, const struct axis *a, int64_t i, enum glyphs g)
{
    char label[LABEL_MAX];
    label_show(label, a, i, g);
    if (!a->labels)
        return snprintf(out, n, "%s %lld", a->name ? a->name : "index", (long long)i);
    if (a->kind == AXIS_POS || a->kind == AXIS_VOCAB)
        return snprintf(out, n, "%s(%lld)", label, (long long)i);
    return snprintf(out, n, "%s", label);
}

void readout_cell(char out[VIEW_READOUT], const struct field *f, const struct view_state *st,
    double v, enum glyphs g)
{
    char value[64];
    size_t at = 0;
    struct number_form form = field_form(f);
    for (int i = 0; i < f->rank && at < VIEW_READOUT - 1; i++) {
        if (i)
            at += (size_t)snprintf(out + at, VIEW_READOUT - at, ", ");
        if (at < VIEW_READOUT - 1)
            at += (size_t)put_coordinate(out + at, VIEW_READOUT - at, &f->axes[i], st->at[i], g);
    }
    if (at >= VIEW_READOUT - 1)
        return;
    const char *unit = f->unit && !*form.suffix && strcmp(f->unit, "1") ? f->unit : "";
    if (isnan(v))
        snprintf(out + at, VIEW_READOUT - at, "%sno value", at ? ": " : "");
    else
        snprintf(out + at, VIEW_READOUT - at, "%s%s%s%s", at ? ": " : "",
            number_text(value, sizeof value, &form, v, g), *unit ? " " : "", unit);
}

void caption(char *buf, size_t n, const struct field *f, const struct view_state *st)
{
    int at = snprintf(buf, n, "%s", f->long_name && *f->long_name ? f->long_name : f->name);
    for (int i = 0; i < f->rank && at >= 0 && (size_t)at < n; i++) {
        char label[LABEL_MAX];
        if (i != st->row_axis && i != st->col_axis)
            at += snprintf(buf + at, n - (size_t)at, ", %s %s", f->axes[i].name,
                label_show(label, &f->axes[i], st->at[i], GLYPHS_BLOCK));
    }
    if (at >= 0 && (size_t)at < n && f->unit && *f->unit && strcmp(f->unit, "1") &&
        !strstr(buf, f->unit))
        snprintf(buf + at, n - (size_t)at, ", %s", f->unit);
}

void draw_note(const struct screen *s, const char *text)
{
    int y = s->rect.y + (s->rect.h - 1) / 2;
    canvas_text(s->canvas, s->rect.x + 1, y, s->rect.w - 2, STYLE(DIM), text);
}

void draw_legend(
    const struct screen *s, int x, int y, int w, const struct scale *sc, const struct field *f)
{
    struct canvas *c = s->canvas;
    struct number_form form = field_form(f);
    char lo[64], hi[64];
    number_text(lo, sizeof lo, &form, sc->lo, c->glyphs);
    number_text(hi, sizeof hi, &form, sc->hi, c->glyphs);
    int wl = text_columns(lo), wh = text_columns(hi), bar = w - wl - wh - 2;
    if (bar > 24)
        bar = 24;
    if (bar < 4)
        return;
    x += canvas_text(c, x, y, wl, STYLE(DIM), lo) + 1;
    for (int i = 0; i < bar; i++) {
        double v = sc->lo + (sc->hi - sc->lo) * i / (bar - 1);
        if (c->mode >= COLOURS_256)
            canvas_text(c, x + i, y, 1, (struct style){.bg = COLOUR_RGB(scale_rgb(sc, v))},
                sc->is_signed && i == bar / 2 ? "0" : " ");
        else
            canvas_text(c, x + i, y, 1,
                sc->is_signed ? v < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE) : STYLE(BAR),
                scale_shade(sc, v, c->glyphs));
    }
    canvas_text(c, x + bar + 1, y, wh, STYLE(DIM), hi);
    int used = wl + wh + bar + 3;
    if (f->unit && *f->unit && strcmp(f->unit, "1") && !*form.suffix)
        canvas_text(c, x + bar + 2 + wh, y, w - used, STYLE(DIM), f->unit);
}

uint32_t role_rgb(enum role r)
{
    int32_t rgb = theme_find("day")->roles[r].rgb;
    return rgb < 0 ? 0x202020 : (uint32_t)rgb;
}

bool move_index(int64_t *at, int64_t size, int64_t by)
{
    int64_t to = *at + by;
    to = to > size - 1 ? size - 1 : to;
    to = to < 0 ? 0 : to;
    bool moved = to != *at;
    *at = to;
    return moved;
}
