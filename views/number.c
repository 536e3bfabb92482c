#include "views/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct number_form number_form(const char *unit, bool is_integer, bool is_signed)
{
    static const struct {
        const char *unit;
        struct number_form form;
    } known[] = {
        {"probability", {.decimals = 1, .factor = 100, .suffix = " %"}},
        {"prob", {.decimals = 1, .factor = 100, .suffix = " %"}},
        {"probability difference", {.decimals = 1, .factor = 100, .suffix = " pp"}},
        {"percent", {.decimals = 1, .factor = 1, .suffix = " %"}},
        {"%", {.decimals = 1, .factor = 1, .suffix = " %"}},
        {"logits", {.decimals = 2, .factor = 1, .suffix = ""}},
        {"logit", {.decimals = 2, .factor = 1, .suffix = ""}},
        {"nats", {.decimals = 3, .factor = 1, .suffix = ""}},
        {"bits", {.decimals = 3, .factor = 1, .suffix = ""}},
        {"error", {.decimals = -1, .factor = 1, .suffix = "", .one_digit = true}},
    };
    struct number_form f = {.decimals = -1, .factor = 1, .suffix = ""};
    if (is_integer)
        f = (struct number_form){.decimals = 0, .factor = 1, .suffix = "", .exact = true};
    else
        for (size_t i = 0; unit && i < sizeof known / sizeof *known; i++)
            if (!strcmp(unit, known[i].unit))
                f = known[i].form;
    f.sign = is_signed;
    return f;
}

struct number_form number_form_fit(struct number_form f, const double *v, int64_t n)
{
    double most = 0, least = INFINITY;
    if (f.exact || f.one_digit)
        return f;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] != 0) {
            most = fmax(most, fabs(v[i]) * f.factor);
            least = fmin(least, fabs(v[i]) * f.factor);
        }
    if (most == 0)
        return f;
    if (most >= 1e6 || most < 1e-6 || (f.decimals < 0 && most / least > 1e7)) {
        f.power = true;
        f.decimals = 3;
        return f;
    }
    int whole = (int)floor(log10(most));
    if (f.decimals < 0)
        f.decimals = whole >= 3 ? 1 : whole >= 1 ? 2 : whole >= 0 ? 3 : 2 - whole;
    else if (whole < 1 - f.decimals)
        f.decimals += f.decimals ? -whole : 0;
    return f;
}

/* "1.234e-30", with no more digits in the exponent than it has. */
static void number_power(char *out, size_t n, int decimals, double size)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", decimals, size);
    char *e = strchr(text, 'e');
    if (e)
        snprintf(out, n, "%.*se%d", (int)(e - text), text, atoi(e + 1));
    else
        snprintf(out, n, "%s", text);
}

const char *number_text(char *buf, size_t n, const struct number_form *f, double v, enum glyphs g)
{
    char digits[64];
    if (isnan(v)) {
        snprintf(buf, n, "%s", g == GLYPHS_ASCII ? "-" : "–");
        return buf;
    }
    v *= f->factor;
    double size = fabs(v);
    if (isinf(v))
        snprintf(digits, sizeof digits, "inf");
    else if (f->one_digit)
        number_error(digits, sizeof digits, size);
    else if (f->power)
        number_power(digits, sizeof digits, f->decimals, size);
    else if (f->decimals >= 0 && size < 1e9)
        snprintf(digits, sizeof digits, "%.*f", f->decimals, size);
    else
        snprintf(digits, sizeof digits, f->exact ? "%.0f" : "%.4g", size);
    const char *sign = "";
    bool is_zero = !strpbrk(digits, "123456789i");
    if (v < 0 && !is_zero)
        sign = g == GLYPHS_ASCII ? "-" : "−";
    else if (f->sign && !is_zero)
        sign = "+";
    else if (f->sign)
        sign = " ";
    snprintf(buf, n, "%s%s%s", sign, digits, f->suffix);
    return buf;
}

const char *number_exact(char *buf, size_t n, double v, enum dtype t)
{
    bool is_single = t == DT_F32 || t == DT_F16 || t == DT_BF16;
    int digits = is_single ? 6 : 15, most = is_single ? 9 : 17;
    if (t >= DT_I8 && v == trunc(v) && fabs(v) < 1e18) {
        snprintf(buf, n, "%.0f", v);
        return buf;
    }
    do
        snprintf(buf, n, "%.*g", digits, v);
    while (digits++ < most && (is_single ? strtof(buf, NULL) != (float)v : strtod(buf, NULL) != v));
    return buf;
}

bool number_is_cut(const struct number_form *f, double v, const char *text)
{
    static const char minus[] = "−";
    char plain[64];
    size_t skip = !strncmp(text, minus, sizeof minus - 1) ? sizeof minus - 1 : 0;
    snprintf(plain, sizeof plain, "%s%s", skip ? "-" : "", text + skip);
    /* In single precision, which holds what is shown: 0.3 is not cut because a double has more. */
    return (float)strtod(plain, NULL) != (float)(v * f->factor);
}

const char *number_brief(char *buf, size_t n, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", v);
    char *e = strchr(text, 'e');
    if (e)
        snprintf(buf, n, "%.*se%d", (int)(e - text), text, atoi(e + 1));
    else
        snprintf(buf, n, "%s", text);
    return buf;
}

const char *number_error(char *buf, size_t n, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.0e", fabs(v));
    char *e = strchr(text, 'e');
    int power = e ? atoi(e + 1) : 0;
    if (!e || v == 0)
        snprintf(buf, n, "%s", v == 0 ? "0" : text);
    else
        snprintf(buf, n, "%.*se%d", (int)(e - text), text, power);
    return buf;
}

const char *number_short(char *buf, size_t n, double v, int width, int most)
{
    char try[48];
    buf[0] = '\0';
    if (isnan(v) || width <= 0)
        return buf;
    if (isinf(v)) {
        snprintf(buf, n, "%s", v < 0 ? "-∞" : "∞");
        return buf;
    }
    for (int decimals = most; decimals >= 0; decimals--) {
        snprintf(try, sizeof try, "%.*f", decimals, v);
        char *s = try;
        if (*s == '-' && !strpbrk(s, "123456789"))
            s++; /* what rounds to zero has no sign, and needs no room for one */
        /* .91 rather than 0.91: the zero tells nothing in a narrow cell. */
        if (decimals && s[0] == '0')
            s++;
        else if (decimals && s[0] == '-' && s[1] == '0') {
            s++;
            *s = '-';
        }
        if ((int)strlen(s) <= width && (decimals < 2 || fabs(v) < 10)) {
            snprintf(buf, n, "%s", s);
            return buf;
        }
    }
    number_error(try + (v < 0), sizeof try - 1, v);
    if (v < 0)
        try[0] = '-';
    if ((int)strlen(try) > width)
        snprintf(try, sizeof try, "%s", width > 1 && v < 0 ? "-#" : "#");
    snprintf(buf, n, "%s", try);
    return buf;
}
