#ifndef SONDE_CORE_NPY_H
#define SONDE_CORE_NPY_H

#include <stdio.h>

#include "model/core/arena.h"
#include "model/core/tensor.h"

/* NumPy's .npy files, format versions 1 to 3: numbers of either byte order, C or Fortran order. Object
 * arrays (pickles), structures and complex numbers are refused. */

/* The whole array, row-major, in this machine's byte order. */
int npy_load(struct tensor *out, const char *path, struct arena *a, struct err *e);
/* The same as float, whatever the type in the file: *n values in row-major order. */
int npy_load_f32(float **out, int64_t *n, const char *path, struct arena *a, struct err *e);

/* Writes the header (64-byte aligned, as numpy.save does); the values follow, row-major. BF16 has no
 * npy form: ERR_USAGE. */
int npy_write_header(FILE *f, enum dtype t, const int64_t *dim, int rank, struct err *e);

#endif
