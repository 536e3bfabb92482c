#ifndef SONDE_CORE_TENSOR_H
#define SONDE_CORE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "model/core/err.h"

/* name, bytes */
#define DTYPES(X)                                                                                  \
    X(F32, "F32", 4)                                                                               \
    X(F64, "F64", 8)                                                                               \
    X(F16, "F16", 2)                                                                               \
    X(BF16, "BF16", 2)                                                                             \
    X(I8, "I8", 1)                                                                                 \
    X(U8, "U8", 1)                                                                                 \
    X(I16, "I16", 2)                                                                               \
    X(U16, "U16", 2)                                                                               \
    X(I32, "I32", 4)                                                                               \
    X(U32, "U32", 4)                                                                               \
    X(I64, "I64", 8)                                                                               \
    X(U64, "U64", 8)                                                                               \
    X(BOOL, "BOOL", 1)

enum dtype {
#define X(id, name, bytes) DT_##id,
    DTYPES(X)
#undef X
        DT_COUNT
};

#define TENSOR_MAX_RANK 8

/* A view: never owns its data, never freed. Row-major and dense. */
struct tensor {
    enum dtype dtype;
    int rank;
    int64_t dim[TENSOR_MAX_RANK];
    void *data;
};

const char *dtype_name(enum dtype t); /* "F32", as in safetensors headers */
size_t dtype_bytes(enum dtype t);
int dtype_parse(enum dtype *out, const char *name, size_t n, struct err *e);
/* Product of n dimensions; negative on overflow or a negative dimension. */
int64_t dims_count(const int64_t *dim, int n);

/* Exact widening and round-to-nearest-even narrowing of n values, F16 and BF16 <-> F32. */
void tensor_widen(float *out, const void *in, enum dtype from, int64_t n);
void tensor_narrow(void *out, const float *in, enum dtype to, int64_t n);

#endif
