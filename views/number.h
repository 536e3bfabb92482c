#ifndef SONDE_VIEWS_NUMBER_H
#define SONDE_VIEWS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/tensor.h"
#include "views/style.h"

/* How numbers of a unit are written: probabilities as percent with one decimal, logits with two,
 * nats with three, counts with none, errors ("error" in the unit or name) with one digit. A column of
 * one unit aligns on its decimal point because its decimals are fixed. */
struct number_form {
    int decimals; /* -1: general */
    double factor;
    const char *suffix;
    bool sign;  /* always show + or - */
    bool exact; /* integers: all digits */
    bool one_digit;
    bool power; /* with an exponent, "1.234e-30": decimals are of the mantissa */
};

/* A field's form; `values` may widen the decimals or fall back to general notation. */
struct number_form number_form(const char *unit, bool is_integer, bool is_signed);
/* The form for a column of these values: as many decimals as they need, the same for all of them, so
 * that their points align; an exponent where they lie too far apart. */
struct number_form number_form_fit(struct number_form f, const double *v, int64_t n);
/* Writes the value with its suffix. NaN is "-". Returns buf. The minus is U+2212 unless ASCII. */
const char *number_text(char *buf, size_t n, const struct number_form *f, double v, enum glyphs g);
/* The shortest text that reads back as the same value of that type, in the C locale; no suffix. */
const char *number_exact(char *buf, size_t n, double v, enum dtype t);
/* Whether `text`, as number_text wrote it, reads back as another number than v. */
bool number_is_cut(const struct number_form *f, double v, const char *text);
/* Three digits with the exponent written short: "1.5e-9". */
const char *number_brief(char *buf, size_t n, double v);
/* The size of an error with one digit: "2e-6". */
const char *number_error(char *buf, size_t n, double v);
/* At most `width` columns: the digits that fit, as in a heatmap's cell: ".91", "-4.2", "1e5".
 * `decimals` at most; 0 for integers. */
const char *number_short(char *buf, size_t n, double v, int width, int decimals);

#endif
