#include "views/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "views/draw.h"

#define TOP_FEW 10
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

/* An axis of no known kind counts something unless its labels are names. */
static bool is_ordered(const struct axis *a)
{
    char buf[LABEL_MAX], *end;
    if (!(axis_kinds_ordered() & 1u << a->kind))
        return false;
    if (a->kind != AXIS_OTHER || !axis_has_labels(a) || a->size < 1)
        return true;
    const char *label = axis_label(a, 0, buf, sizeof buf);
    strtod(label, &end);
    return end != label && !*end;
}

/* Numbers that only name something: their sizes say nothing. */
static bool is_of_ids(const struct field *f)
{
    static const char *const named[] = {"token id", "token ids", "index", "position, token ids"};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if ((f->unit && !strcmp(f->unit, named[i])) ||
            (f->long_name && !strcmp(f->long_name, named[i])))
            return true;
    return false;
}

bool view_suits(const struct view *v, const struct field *f)
{
    if (f->rank < v->min_rank || f->rank > v->max_rank)
        return false;
    if (!strcmp(v->id, look_name(f->look)))
        return true;
    const struct axis *along = f->rank > 0 ? &f->axes[f->rank - 1] : NULL,
                      *across = f->rank > 1 ? &f->axes[f->rank - 2] : NULL;
    bool is_text = along && along->kind == AXIS_POS && axis_has_labels(along) && !along->context;
    return !((v->needs & 1u << VIEW_NEEDS_ORDER && along && !is_ordered(along)) ||
             (v->needs & 1u << VIEW_NEEDS_ORDERS && across && !is_ordered(across)) ||
             (v->needs & 1u << VIEW_NEEDS_WORDS && !is_text) ||
             (v->needs & 1u << VIEW_NEEDS_SIZES && is_of_ids(f)));
}

const struct view *view_for(const struct field *f)
{
    const struct view *own = view_find(look_name(f->look));
    if (own && view_accepts(own, f))
        return own;
    for (int i = 0; i < n_views; i++)
        if (view_accepts(views[i], f) && view_suits(views[i], f))
            return views[i];
    return view_find("table");
}

const struct view *view_for_data(const struct view_data *d)
{
    if (d->n == 1)
        return view_for(&d->fields[0]);
    for (int i = 0; i < d->n; i++)
        if (d->fields[i].look == LOOK_GRAPH)
            return view_find("graph");
    for (int i = 0; i < d->n; i++)
        if (d->fields[i].look == LOOK_LINES)
            return view_find("lines");
    return view_find("table");
}

static const struct {
    const char *name, *help;
} modes[VIEW_MODE_COUNT] = {
#define MODE(id, name, help) {name, help},
    VIEW_MODES(MODE)
#undef MODE
};

const char *view_mode_name(enum view_mode m)
{
    return modes[m].name;
}

const char *view_mode_help(enum view_mode m)
{
    return modes[m].help;
}

static void swap_axes(struct view_state *st)
{
    int row = st->row_axis;
    if (st->col_axis < 0)
        return;
    st->row_axis = st->col_axis;
    st->col_axis = row;
}

static void next_reduce(struct view_state *st)
{
    static const enum field_reduce round[] = {
        FIELD_POINT, FIELD_MEAN, FIELD_MAX, FIELD_MIN, FIELD_NORM};
    size_t n = sizeof round / sizeof *round, i = 0;
    while (i < n && round[i] != st->reduce)
        i++;
    st->reduce = round[i + 1 < n ? i + 1 : 0];
}

bool view_toggle(
    const struct view *v, const struct view_data *d, struct view_state *st, enum view_mode m)
{
    bool *const flags[VIEW_MODE_COUNT] = {[VIEW_SORT] = &st->sorted,
        [VIEW_NUMBERS] = &st->numbers,
        [VIEW_FLIP] = &st->flipped,
        [VIEW_LOG] = &st->log_v,
        [VIEW_LOG_X] = &st->log_x,
        [VIEW_OWN_SCALE] = &st->own_scale};
    if (!(v->modes & 1u << m))
        return false;
    state_fit(st, &d->fields[0]);
    if (flags[m])
        *flags[m] = !*flags[m];
    else if (m == VIEW_TOP)
        st->top = !st->top ? TOP_FEW : st->top <= TOP_FEW ? TOP_MANY : 0;
    else if (m == VIEW_TRANSPOSE)
        swap_axes(st);
    else if (m == (v->is_whole ? VIEW_FINER : VIEW_COARSER))
        st->zoom += st->zoom < LEVEL_MAX;
    else if (m == VIEW_COARSER || m == VIEW_FINER)
        st->zoom -= st->zoom > 0;
    else if (m == VIEW_REDUCE)
        next_reduce(st);
    return true;
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
    st->zoom = st->zoom < 0 ? 0 : st->zoom > LEVEL_MAX ? LEVEL_MAX : st->zoom;
    if ((int)st->reduce < 0 || st->reduce >= FIELD_REDUCE_COUNT)
        st->reduce = FIELD_POINT;
    memset(st->level, 0, sizeof st->level);
}

int64_t axis_steps(const struct field *f, const struct view_state *st, int axis)
{
    if (axis < 0 || axis >= f->rank)
        return 1;
    int64_t step = (int64_t)1 << st->level[axis];
    return f->axes[axis].size / step + (f->axes[axis].size % step != 0);
}

void state_level(struct view_state *st, const struct field *f, int axis, int64_t room)
{
    if (axis < 0 || axis >= f->rank)
        return;
    st->level[axis] = 0;
    while (st->level[axis] < st->zoom && axis_steps(f, st, axis) > (room > 0 ? room : 1))
        st->level[axis]++;
}

enum field_reduce reduce_of(const struct field *f, const struct view_state *st)
{
    if (st->reduce != FIELD_POINT)
        return st->reduce;
    return f->is_signed ? FIELD_ABSMAX : FIELD_MAX;
}

const char *reduce_short(enum field_reduce r)
{
    return r == FIELD_ABSMAX ? "max |x|" : reduce_name(r);
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
    bool is_fine = true;
    for (int i = 0; i < f->rank; i++) {
        w.start[i] = st->at[i];
        w.count[i] = w.stride[i] = 1;
    }
    if (f->rank > 0) {
        w.start[st->row_axis] = row0;
        w.count[st->row_axis] = n_rows;
        w.stride[st->row_axis] = (int64_t)1 << st->level[st->row_axis];
        is_fine = !st->level[st->row_axis];
    }
    if (f->rank > 1 && st->col_axis >= 0) {
        w.start[st->col_axis] = col0;
        w.count[st->col_axis] = n_cols;
        w.stride[st->col_axis] = (int64_t)1 << st->level[st->col_axis];
        is_fine = is_fine && !st->level[st->col_axis];
    }
    int64_t n = window_count(&w, f->rank);
    double *raw = arena_array(frame, n > 0 ? (size_t)n : 1, sizeof *raw, e);
    if (!raw)
        return e->code;
    enum field_reduce reduce = is_fine ? FIELD_POINT : reduce_of(f, st);
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

static void range_of(struct view_state *st, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        if (!(st->lo <= v[i]))
            st->lo = v[i];
        if (!(st->hi >= v[i]))
            st->hi = v[i];
        if (v[i] > 0 && !(st->least <= v[i]))
            st->least = v[i];
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
    h = h * 1099511628211u ^ (uint64_t)st->log_v;
    return h ? h : 1;
}

/* Reads the range of the drawn slice, if it is small enough to be read whole. */
static int slice_range(struct view_state *st, const struct field *f, int64_t rows, int64_t cols,
    struct arena *frame, struct err *e)
{
    struct arena_mark mark = arena_mark(frame);
    struct view_state whole = *st;
    double *all;
    memset(whole.level, 0, sizeof whole.level);
    int rc = fetch_window(&all, f, &whole, 0, rows, 0, cols, frame, e);
    if (rc)
        return rc;
    range_of(st, all, rows * cols);
    arena_rewind(frame, mark);
    return 0;
}

int view_scale(struct scale *out, const struct field *f, struct view_state *st, bool dark,
    const double *window, int64_t n, struct arena *frame, struct err *e)
{
    uint64_t key = slice_key(f, st);
    int64_t rows = f->rank > 0 ? f->axes[st->row_axis].size : 1;
    int64_t cols = f->rank > 1 && st->col_axis >= 0 ? f->axes[st->col_axis].size : 1;
    bool is_small = rows > 0 && cols > 0 && rows <= RANGE_CELLS && cols <= RANGE_CELLS / rows;
    bool is_share = !f->is_signed && is_probability(f);
    if (!st->has_limits && key != st->seen) {
        st->lo = st->hi = st->least = NAN;
        st->seen = key;
        int rc =
            is_small && (!is_share || st->log_v) ? slice_range(st, f, rows, cols, frame, e) : 0;
        if (rc)
            return rc;
    }
    if (!st->has_limits && !is_small)
        range_of(st, window, n);
    /* Numbers of both signs are signed, whatever their file says of them. */
    bool is_signed = f->is_signed || (st->lo < 0 && st->hi > 0);
    *out = !st->has_limits && is_share ? scale_make(0, 1, false, dark)
                                       : scale_make(st->lo, st->hi, is_signed, dark);
    if (st->log_v)
        *out = scale_log(*out, st->least);
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

static int clip(char *text, size_t size, int columns, const char *end)
{
    int used = text_columns(text);
    if (used <= columns)
        return used;
    if (columns < 1) {
        text[0] = '\0';
        return 0;
    }
    size_t n = text_clip(&used, text, strlen(text), columns - 1);
    while (n && n + strlen(end) >= size)
        n = text_clip(&used, text, n - 1, columns - 1);
    snprintf(text + n, size - n, "%s", end);
    return used + 1;
}

int label_clip(char *text, int columns, enum glyphs g)
{
    return clip(text, LABEL_MAX, columns, g == GLYPHS_ASCII ? "~" : "…");
}

void label_fit(char *text, size_t size, int columns)
{
    clip(text, size, columns, "…");
}

bool is_probability(const struct field *f)
{
    return f->unit && (!strcmp(f->unit, "probability") || !strcmp(f->unit, "prob"));
}

const char *unit_text(const struct field *f, const struct number_form *form)
{
    return f->unit && !*form->suffix && strcmp(f->unit, "1") ? f->unit : "";
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
    if (!axis_has_labels(a))
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
    const char *unit = unit_text(f, &form);
    char exact[40];
    number_text(value, sizeof value, &form, v, g);
    if (isnan(v))
        snprintf(value, sizeof value, "no value");
    int n = snprintf(out + at, VIEW_READOUT - at, "%s%s%s%s", at ? ": " : "", value,
        *unit && !isnan(v) ? " " : "", isnan(v) ? "" : unit);
    /* What rounding took away can be read and quoted: the same number in full. */
    number_exact(exact, sizeof exact, v, f->dtype);
    if (n > 0 && at + (size_t)n < VIEW_READOUT && isfinite(v) && number_is_cut(&form, v, value))
        snprintf(out + at + n, VIEW_READOUT - at - (size_t)n, " (%s)", exact);
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

void draw_clip_end(struct draw_clip *d)
{
    d->canvas->clip = d->old;
}

void draw_note(const struct screen *s, const char *text)
{
    int y = s->rect.y + (s->rect.h - 1) / 2;
    if (s->rect.w > 2)
        canvas_text(s->canvas, s->rect.x + 1, y, s->rect.w - 2, STYLE(DIM), text);
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
