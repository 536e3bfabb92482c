#ifndef SONDE_ANALYSIS_CORRELATION_H
#define SONDE_ANALYSIS_CORRELATION_H

#include <stdint.h>

#include "model/core/arena.h"

/* out: Pearson's r of x and y [n], and Spearman's, where ties share their mean rank. NaN where one of
 * them is constant. */
int correlation(
    double out[2], const double *x, const double *y, int64_t n, struct arena *a, struct err *e);

#endif
