#include "views/ticks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WORD_MIN 6 /* columns below which words say nothing */

int64_t tick_step(int64_t step)
{
    int64_t ten = 1;
    while (ten * 10 <= step)
        ten *= 10;
    return step < 2 * ten ? 2 * ten : step < 5 * ten ? 5 * ten : 10 * ten;
}

double ticks_apart(const double *v, int n, bool is_log)
{
    double step = is_log ? -1 : n > 1 ? INFINITY : 0;
    for (int i = 1; i < n; i++)
        step = fmin(step, fabs(v[i] - v[i - 1]));
    return step;
}

const char *tick_number(
    char *buf, size_t n, const struct number_form *form, double v, double step, enum glyphs g)
{
    char plain[64];
    double factor = form ? form->factor : 1;
    v *= factor;
    step *= factor;
    int decimals = step > 0 && step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    if (v != 0 && (step < 0 || fabs(v) >= 1e6 || fabs(v) < 1e-4))
        number_brief(plain, sizeof plain, fabs(v));
    else
        snprintf(plain, sizeof plain, "%.*f", decimals > 6 ? 6 : decimals, fabs(v));
    snprintf(buf, n, "%s%s%s", v < 0 ? g == GLYPHS_ASCII ? "-" : "−" : "", plain,
        form ? form->suffix : "");
    return buf;
}

/* The text of a tick in at most `most` columns, clipped by whole clusters. */
static int tick_text(struct tick *t, const struct tick_axis *x, bool word, int most)
{
    if (word)
        label_show(t->text, x->a, t->index, x->glyphs);
    else
        snprintf(t->text, sizeof t->text, "%lld", (long long)t->index);
    t->w = text_columns(t->text);
    if (t->w > most && word)
        t->w = label_clip(t->text, most, x->glyphs);
    return t->w <= most ? t->w : 0;
}

#define WIDE_ENOUGH 12 /* longer names are cut */

static int widest_label(const struct tick_axis *x, bool word)
{
    char text[LABEL_MAX];
    int64_t last = x->first + (x->n - 1) * x->step;
    int widest = snprintf(text, sizeof text, "%lld", (long long)last);
    for (int64_t k = 0; word && k < x->n && k < 256; k++) {
        int w = label_columns(x->a, x->first + k * x->step, x->glyphs);
        widest = w > widest || !k ? w : widest;
    }
    return widest < WIDE_ENOUGH ? widest : WIDE_ENOUGH;
}

static bool is_free(const struct tick *out, int n, const struct tick *t)
{
    for (int i = 0; i < n; i++)
        if (t->x < out[i].x + out[i].w + 1 && out[i].x < t->x + t->w + 1)
            return false;
    return true;
}

int ticks_of_axis(struct tick out[TICKS_MAX], const struct tick_axis *x)
{
    /* Tokens that do not fit give way to positions; other names stand at every so many. */
    bool fits = x->cell_w >= WORD_MIN;
    bool word =
        axis_has_labels(x->a) && (fits || (x->a->kind != AXIS_POS && x->a->kind != AXIS_VOCAB));
    int64_t every = 1;
    if (x->n < 1 || !(x->cell_w > 0))
        return 0;
    int n = 0, widest = word && fits ? 1 : widest_label(x, word) + 2;
    /* Numbers stand at multiples of a round step that is wide enough for the longest of them. */
    while (every < x->n && (double)every * x->cell_w < widest)
        every = tick_step(every);
    int room = (int)((double)every * x->cell_w) - 1;
    for (int64_t pass = 0; pass < 2; pass++)
        for (int64_t k = 0; k < x->n && n < TICKS_MAX; k++) {
            struct tick t = {.index = x->first + k * x->step, .x = (int)((double)k * x->cell_w)};
            bool chosen = pass ? (t.index / x->step) % every == 0
                               : x->always >= t.index && x->always < t.index + x->step;
            if (t.x >= x->w)
                break;
            if (!chosen || !tick_text(&t, x, word, word && room < x->w - t.x ? room : x->w - t.x))
                continue;
            if (is_free(out, n, &t))
                out[n++] = t;
        }
    return n;
}

static int decades(double *out, int most, double lo, double hi)
{
    int first = (int)ceil(log10(lo) - 1e-9), last = (int)floor(log10(hi) + 1e-9), n = 0;
    int every = 1;
    while ((last - first) / every + 1 > most)
        every++;
    for (int p = first; p <= last && n < most; p += every)
        out[n++] = pow(10, p);
    return n;
}

int ticks_of_values(double *out, int most, double lo, double hi, bool is_log)
{
    int n = 0;
    if (most < 1 || !(hi > lo) || !isfinite(hi) || !isfinite(lo))
        return 0;
    if (is_log && lo > 0 && (n = decades(out, most, lo, hi)) >= 2)
        return n;
    double span = hi / 2 - lo / 2, rough = 2 * (span / most);
    double ten = pow(10, floor(log10(rough))), step = ten;
    static const double round[] = {1, 2, 5, 10, 20};
    if (!(ten > 0) || !isfinite(ten))
        return 0;
    for (size_t i = 0; i < sizeof round / sizeof *round; i++) {
        step = ten * round[i];
        double count = floor(hi / step + 1e-9) - ceil(lo / step - 1e-9) + 1;
        if (count <= most)
            break;
    }
    double k = ceil(lo / step - 1e-9);
    for (n = 0; n < most && (k + n) * step <= hi + step * 1e-9; n++) {
        out[n] = (k + n) * step;
        if (fabs(out[n]) < step * 1e-9)
            out[n] = 0;
    }
    return n;
}
