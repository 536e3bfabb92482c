#include "views/legend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_MAX 24
#define BAR_MIN 3

void tally_add(struct tally *t, const double *v, int64_t n)
{
    t->n += n;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(v[i]))
            continue;
        t->nan += isnan(v[i]) != 0;
        t->inf += isinf(v[i]) && v[i] > 0;
        t->minus_inf += isinf(v[i]) && v[i] < 0;
    }
}

struct tally tally_of(const double *v, int64_t n)
{
    struct tally t = {0};
    tally_add(&t, v, n);
    return t;
}

const char *tally_text(char *buf, size_t n, const struct tally *t)
{
    const struct {
        int64_t n;
        const char *name;
    } kinds[] = {{t->nan, "NaN"}, {t->inf, "inf"}, {t->minus_inf, "-inf"}};
    size_t at = 0;
    buf[0] = '\0';
    for (int i = 0; i < 3 && at < n; i++)
        if (kinds[i].n)
            at += (size_t)snprintf(buf + at, n - at, "%s%lld %s", at ? ", " : "",
                (long long)kinds[i].n, kinds[i].name);
    return buf;
}

const char *reduce_text(char *buf, size_t n, const struct field *f, const struct view_state *st)
{
    int64_t rows = f->rank ? (int64_t)1 << st->level[st->row_axis] : 1;
    int64_t cols = f->rank > 1 && st->col_axis >= 0 ? (int64_t)1 << st->level[st->col_axis] : 1;
    buf[0] = '\0';
    if (rows * cols > 1)
        snprintf(buf, n, "%s of %lld × %lld", reduce_short(reduce_of(f, st)), (long long)rows,
            (long long)cols);
    return buf;
}

/* Draws what fits whole, or nothing; returns the columns used with a gap after them. */
static int piece(const struct screen *s, int x, int y, int room, struct style style, const char *t)
{
    int w = *t ? canvas_columns(s->canvas, t) : 0;
    if (!w || w > room)
        return 0;
    return canvas_text(s->canvas, x, y, w, style, t) + 2;
}

/* Steps of the scale from its low end to its high one; signs stand where hue alone would tell them. */
static void draw_steps(const struct screen *s, int x, int y, int n, const struct scale *sc)
{
    struct canvas *c = s->canvas;
    bool coloured = c->mode >= COLOURS_256;
    for (int i = 0; i < n; i++) {
        double t = n > 1 ? (double)i / (n - 1) : 1;
        double v = scale_value(sc, sc->is_signed ? 2 * t - 1 : t);
        struct style style = {0};
        const char *glyph = " ";
        if (coloured) {
            uint32_t rgb = scale_rgb(sc, v);
            style = (struct style){.fg = COLOUR_RGB(rgb_ink(rgb)), .bg = COLOUR_RGB(rgb)};
            if (sc->is_signed)
                glyph = i == 0 ? "−" : i == n - 1 ? "+" : i == n / 2 ? "0" : " ";
        } else {
            style = !sc->is_signed ? STYLE(BAR) : v < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE);
            glyph = sc->is_signed && v < 0 && i % 2 ? "-" : scale_shade(sc, v, c->glyphs);
        }
        canvas_text(c, x + i, y, 1, style, glyph);
    }
}

/* An end of the scale, with no more digits than tell it. */
static const char *end_text(char *buf, size_t n, const struct legend *l, double v, enum glyphs g)
{
    struct number_form form = field_form(l->f);
    char digits[48];
    /* What is nothing beside the other end is 0 on a linear scale. */
    if (!l->scale->is_log && fabs(v) < 1e-4 * fmax(fabs(l->scale->lo), fabs(l->scale->hi)))
        v = 0;
    number_brief(digits, sizeof digits, fabs(v * form.factor));
    bool is_zero = !strcmp(digits, "0");
    snprintf(buf, n, "%s%s%s",
        is_zero     ? ""
        : v < 0     ? g == GLYPHS_ASCII ? "-" : "−"
        : form.sign ? "+"
                    : "",
        digits, form.suffix);
    return buf;
}

/* The ends as numbers with the steps between them. */
static int draw_bar(const struct screen *s, int x, int y, int room, const struct legend *l)
{
    char lo[64], hi[64];
    end_text(lo, sizeof lo, l, l->scale->lo, s->canvas->glyphs);
    end_text(hi, sizeof hi, l, l->scale->hi, s->canvas->glyphs);
    int wl = canvas_columns(s->canvas, lo), wh = canvas_columns(s->canvas, hi);
    int bar = room - wl - wh - 2, note = l->note ? canvas_columns(s->canvas, l->note) + 2 : 0;
    bar -= bar - note >= BAR_MIN ? note : 0;
    bar = bar > BAR_MAX ? BAR_MAX : bar;
    bar -= bar % 2 == 0; /* odd: zero has a step of its own */
    if (bar < BAR_MIN)
        return 0;
    canvas_text(s->canvas, x, y, wl, STYLE(DIM), lo);
    draw_steps(s, x + wl + 1, y, bar, l->scale);
    canvas_text(s->canvas, x + wl + bar + 2, y, wh, STYLE(DIM), hi);
    return wl + wh + bar + 4;
}

/* Columns of the smallest of them. */
static int bar_least(const struct screen *s, const struct legend *l)
{
    char lo[64], hi[64];
    end_text(lo, sizeof lo, l, l->scale->lo, s->canvas->glyphs);
    end_text(hi, sizeof hi, l, l->scale->hi, s->canvas->glyphs);
    return canvas_columns(s->canvas, lo) + canvas_columns(s->canvas, hi) + 2 + BAR_MIN;
}

static const char *axes_text(char *buf, size_t n, const struct legend *l, enum glyphs g)
{
    const struct field *f = l->f;
    const char *up = g == GLYPHS_ASCII ? "^" : "↑", *down = g == GLYPHS_ASCII ? "v" : "↓";
    const char *right = g == GLYPHS_ASCII ? ">" : "→";
    const char *rows = f->rank ? f->axes[l->st->row_axis].name : NULL;
    const char *cols = f->rank > 1 && l->st->col_axis >= 0 ? f->axes[l->st->col_axis].name : NULL;
    buf[0] = '\0';
    if (rows && cols && !l->no_cols)
        snprintf(buf, n, "%s %s %s %s", rows, l->up ? up : down, cols, right);
    else if (rows && l->flows)
        snprintf(buf, n, "%s", rows);
    else if (rows)
        snprintf(buf, n, "%s %s", rows, l->up ? up : down);
    return buf;
}

void legend_draw(const struct screen *s, int x, int y, int w, const struct legend *l)
{
    enum glyphs g = s->canvas->glyphs;
    char text[160], sign[64];
    int end = x + w;
    struct number_form form = field_form(l->f);
    const char *unit = unit_text(l->f, &form);
    /* The scale tells more than the axes' names, which the header and the title have, too. */
    const int axes = canvas_columns(s->canvas, axes_text(text, sizeof text, l, g));
    if (!l->scale || w - axes - 2 >= bar_least(s, l) || w < bar_least(s, l))
        x += piece(s, x, y, end - x, STYLE(LABEL), text);
    if (l->scale && end - x > 0)
        x += draw_bar(s, x, y, end - x, l);
    if (*unit && l->scale) {
        x -= x > s->rect.x; /* the unit belongs to the number before it */
        x += piece(s, x, y, end - x, STYLE(DIM), unit);
    }
    if (l->scale && l->scale->is_log)
        x += piece(s, x, y, end - x, STYLE(DIM), "log");
    if (l->scale && l->note)
        x += piece(s, x, y, end - x, STYLE(DIM), l->note);
    x += piece(s, x, y, end - x, STYLE(DIM), reduce_text(text, sizeof text, l->f, l->st));
    const struct {
        int64_t n;
        double v;
        const char *name;
    } kinds[] = {{l->tally.nan, NAN, "NaN"}, {l->tally.inf, INFINITY, "inf"},
        {l->tally.minus_inf, -INFINITY, g == GLYPHS_ASCII ? "-inf" : "−inf"}};
    for (int i = 0; i < 3; i++) {
        if (!kinds[i].n)
            continue;
        snprintf(sign, sizeof sign, "%s %lld %s", l->is_dense ? "blank:" : odd_sign(kinds[i].v, g),
            (long long)kinds[i].n, kinds[i].name);
        x += piece(s, x, y, end - x, STYLE(WARN), sign);
    }
}
