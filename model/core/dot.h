#ifndef SONDE_CORE_DOT_H
#define SONDE_CORE_DOT_H

#include <stdint.h>

/* Products of two vectors, summed in fp64 from the first element on. */
static inline double dot_f32(const float *x, const float *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

static inline double dot_f64(const float *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * y[i];
    return sum;
}

#endif
