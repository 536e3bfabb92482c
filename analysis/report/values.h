#ifndef SONDE_ANALYSIS_REPORT_VALUES_H
#define SONDE_ANALYSIS_REPORT_VALUES_H

#include "model/core/tensor.h"

/* Single values of any type, as doubles and as text. */

/* Widens n values that lie `step` values apart. */
void values_widen(double *out, const void *in, enum dtype t, int64_t n, int64_t step);
/* The shortest text that reads back as the same number, in the C locale; integers without a point. */
void exact_number(char *buf, size_t n, double value, enum dtype t);
/* One value as exact_number writes it, exact for 64-bit integers too. */
void exact_value(char *buf, size_t n, const void *value, enum dtype t);

#endif
