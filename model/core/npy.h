#ifndef SONDE_CORE_NPY_H
#define SONDE_CORE_NPY_H

#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/tensor.h"

/* NumPy's .npy format, versions 1.0 and 2.0 (numpy.lib.format), little endian, C order. */

/* Values of a file in F16, F32 or F64, flattened and as F32, in the arena; any rank. */
int npy_load_f32(float **data, int64_t *n, const char *path, struct arena *arena, struct err *e);
/* The header of a version 1.0 file for rank dimensions; returns its length, a multiple of 64, or a
 * negative code for a dtype NumPy has no name for. The dense data follow it. */
int npy_header(char *buf, int size, enum dtype dtype, const int64_t *dim, int rank, struct err *e);

#endif
