#include "views/paper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "views/ticks.h"

#define NAME_MAX 200
#define TICK 4.0

/* "layer 4 x pos 8", with the slice along the other axes. */
static void shape_text(char *buf, size_t n, const struct field *f, const struct view_state *st)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int i = 0; i < f->rank && at < n; i++) {
        char label[LABEL_MAX];
        bool drawn = i == st->row_axis || i == st->col_axis;
        const char *gap = at ? drawn ? " × " : ", " : "";
        if (drawn)
            at += (size_t)snprintf(
                buf + at, n - at, "%s%s %lld", gap, f->axes[i].name, (long long)f->axes[i].size);
        else
            at += (size_t)snprintf(buf + at, n - at, "%s%s %s", gap, f->axes[i].name,
                label_show(label, &f->axes[i], st->at[i], GLYPHS_BLOCK));
    }
}

void paper_open(struct paper *p, const struct view_data *d, const struct view_state *st,
    const char *kind, const struct tally *t, double right, double below)
{
    const struct field *f = &d->fields[0];
    char title[NAME_MAX], shape[NAME_MAX], sub[3 * NAME_MAX], odd[64], desc[5 * NAME_MAX];
    const char *name = f->name ? f->name : "";
    const char *unit = f->unit && strcmp(f->unit, "1") ? f->unit : "";
    snprintf(title, sizeof title, "%s", f->long_name && *f->long_name ? f->long_name : name);
    shape_text(shape, sizeof shape, f, st);
    snprintf(sub, sizeof sub, "%s%s%s%s%s%s", name, *shape ? "  [" : "", shape, *shape ? "]" : "",
        *unit ? ", " : "", unit);
    p->width = p->x + p->w + right;
    double heading = (double)text_columns(title) * 8.6 + 2 * PAPER_LEFT;
    double second = (double)text_columns(sub) * 6.9 + 2 * PAPER_LEFT;
    p->width = fmin(fmax(p->width, fmax(heading, second)), fmax(p->width, 900));
    if (heading > p->width)
        label_fit(title, sizeof title, (int)((p->width - 2 * PAPER_LEFT) / 8.6));
    if (second > p->width)
        label_fit(sub, sizeof sub, (int)((p->width - 2 * PAPER_LEFT) / 6.9));
    tally_text(odd, sizeof odd, t);
    snprintf(desc, sizeof desc, "%s of %s%s%s%s%s%s%s. %lld value%s drawn%s%s.", kind, name,
        *shape ? ", " : "", shape, *unit ? ", in " : "", unit, f->source ? ". Source: " : "",
        f->source ? f->source : "", (long long)t->n, text_s(t->n), *odd ? ", of them " : "", odd);
    svg_open(p->out, p->width, p->y + p->h + below, 0xffffff, title, desc);
    svg_heading(p->out, PAPER_LEFT, 24, 15, PAPER_INK, true, title);
    svg_heading(p->out, PAPER_LEFT, 42, 12, PAPER_GREY, false, sub);
}

void paper_close(struct paper *p)
{
    svg_close(p->out);
}

double paper_margin(const struct axis *a, int64_t n)
{
    int w = 1;
    for (int64_t i = 0; a && i < n && i < 400; i++) {
        int k = label_columns(a, i, GLYPHS_BLOCK);
        w = k > w ? k : w;
    }
    w = w > 24 ? 24 : w;
    return PAPER_LEFT + 20 + w * CHAR_W + 8;
}

static const char *axis_name(const struct axis *a)
{
    return a->name ? a->name : "";
}

void paper_ticks_x(
    struct paper *p, const struct axis *a, int64_t first, int64_t n, int64_t step, bool points)
{
    struct tick t[TICKS_MAX];
    double cell = n > 1 && points ? p->w / (double)(n - 1) : n > 0 ? p->w / (double)n : p->w;
    double y = p->y + p->h, half = points && n > 1 ? 0 : cell / 2;
    struct tick_axis x = {
        a, first, step, n, -1, cell / CHAR_W, (int)(p->w / CHAR_W) + 1, GLYPHS_BLOCK};
    int k = ticks_of_axis(t, &x);
    for (int i = 0; i < k; i++) {
        double at = p->x + (double)((t[i].index - first) / step) * cell + half;
        svg_line(p->out, at, y, at, y + TICK, PAPER_LINE);
        svg_text(p->out, at, y + 16, SVG_MIDDLE, 11, PAPER_GREY, t[i].text);
    }
    svg_heading(p->out, p->x + p->w / 2 - (double)strlen(axis_name(a)) * 3.3, y + 33, 12, PAPER_INK,
        false, axis_name(a));
}

void paper_ticks_y(struct paper *p, const struct axis *a, int64_t first, int64_t n, int64_t step,
    bool up, bool points)
{
    double cell = n > 1 && points ? p->h / (double)(n - 1) : n > 0 ? p->h / (double)n : p->h;
    double half = points && n > 1 ? 0 : cell / 2;
    int64_t every = 1;
    while (every < n && (double)every * cell < 16)
        every = tick_step(every);
    for (int64_t k = 0; k < n; k += every) {
        char label[LABEL_MAX];
        double at = p->y + (double)(up ? n - 1 - k : k) * cell + half;
        label_show(label, a, first + k * step, GLYPHS_BLOCK);
        label_clip(label, 24, GLYPHS_BLOCK);
        svg_text(p->out, p->x - 7, at + 4, SVG_END, 11, PAPER_GREY, label);
    }
    svg_text_up(p->out, PAPER_LEFT + 2, p->y + p->h / 2, 12, PAPER_INK, axis_name(a));
}

void paper_values_x(
    struct paper *p, const struct scale *sc, const struct number_form *form, const char *name)
{
    double v[8], y = p->y + p->h;
    char text[64];
    int n = ticks_of_values(v, 7, sc->lo, sc->hi, sc->is_log);
    double step = ticks_apart(v, n, sc->is_log);
    for (int i = 0; i < n; i++) {
        double t = scale_at(sc, v[i]), at = p->x + (sc->is_signed ? t / 2 + 0.5 : t) * p->w;
        svg_line(p->out, at, y, at, y + TICK, PAPER_LINE);
        svg_text(p->out, at, y + 16, SVG_MIDDLE, 11, PAPER_GREY,
            tick_number(text, sizeof text, form, v[i], step, GLYPHS_BLOCK));
    }
    svg_heading(
        p->out, p->x + p->w / 2 - (double)strlen(name) * 3.3, y + 33, 12, PAPER_INK, false, name);
}

void paper_values_y(
    struct paper *p, const struct scale *sc, const struct number_form *form, const char *name)
{
    double v[8];
    char text[64];
    int n = ticks_of_values(v, 7, sc->lo, sc->hi, sc->is_log);
    double step = ticks_apart(v, n, sc->is_log);
    for (int i = 0; i < n; i++) {
        double t = scale_at(sc, v[i]);
        double at = p->y + (1 - (sc->is_signed ? t / 2 + 0.5 : t)) * p->h;
        svg_line(p->out, p->x - TICK, at, p->x, at, PAPER_LINE);
        svg_text(p->out, p->x - 7, at + 4, SVG_END, 11, PAPER_GREY,
            tick_number(text, sizeof text, form, v[i], step, GLYPHS_BLOCK));
    }
    svg_text_up(p->out, PAPER_LEFT + 2, p->y + p->h / 2, 12, PAPER_INK, name);
}

uint32_t paper_rgb(const struct scale *sc, double v)
{
    if (isnan(v))
        return PAPER_NAN;
    if (isinf(v))
        return v > 0 ? PAPER_INF : PAPER_MINUS_INF;
    return scale_rgb(sc, v);
}

void paper_scale(struct paper *p, double y, const struct legend *l)
{
    const int steps = 60;
    const double w = 240;
    double x = p->x, v[6];
    char text[NAME_MAX], name[96];
    const struct scale *sc = l->scale;
    const struct number_form own = field_form(l->f), *form = &own;
    for (int i = 0; i < steps; i++) {
        double t = (i + 0.5) / steps;
        svg_rect(p->out, x + i * w / steps, y, w / steps, 12,
            scale_rgb(sc, scale_value(sc, sc->is_signed ? 2 * t - 1 : t)));
    }
    int n = ticks_of_values(v, 5, sc->lo, sc->hi, sc->is_log);
    double step = ticks_apart(v, n, sc->is_log), free_from = -1e9;
    for (int i = 0; i < n; i++) {
        double t = scale_at(sc, v[i]), at = x + (sc->is_signed ? t / 2 + 0.5 : t) * w;
        tick_number(text, sizeof text, form, v[i], step, GLYPHS_BLOCK);
        double half = text_columns(text) * CHAR_W / 2;
        if (at - half < free_from + 4)
            continue;
        svg_line(p->out, at, y + 12, at, y + 15, PAPER_LINE);
        svg_text(p->out, at, y + 26, SVG_MIDDLE, 11, PAPER_GREY, text);
        free_from = at + half;
    }
    snprintf(text, sizeof text, "%s%s%s", l->f->unit && strcmp(l->f->unit, "1") ? l->f->unit : "",
        sc->is_signed ? "  blue −, red +" : "", sc->is_log ? "  log" : "");
    svg_text(p->out, x + w + 12, y + 10, SVG_START, 11, PAPER_GREY, text + strspn(text, " "));
    reduce_text(text, sizeof text, l->f, l->st);
    if (*text) {
        snprintf(name, sizeof name, "%.60s values a cell", text);
        svg_text(p->out, x + w + 12, y + 26, SVG_START, 11, PAPER_GREY, name);
    }
    const struct {
        int64_t n;
        uint32_t rgb;
        const char *name;
    } kinds[] = {{l->tally.nan, PAPER_NAN, "NaN"}, {l->tally.inf, PAPER_INF, "inf"},
        {l->tally.minus_inf, PAPER_MINUS_INF, "−inf"}};
    for (int i = 0; i < 3; i++) {
        if (!kinds[i].n)
            continue;
        svg_rect(p->out, x, y + 36, 12, 12, kinds[i].rgb);
        snprintf(name, sizeof name, "%lld %s", (long long)kinds[i].n, kinds[i].name);
        svg_text(p->out, x + 18, y + 46, SVG_START, 11, PAPER_GREY, name);
        x += 34 + text_columns(name) * CHAR_W;
    }
}
