#ifndef SONDE_MODEL_PARAM_ROWS_H
#define SONDE_MODEL_PARAM_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "model/params.h"

/* Where a tensor of the file lives in struct params and struct param_arrays. */
enum row_home {
    ROW_WTE,
    ROW_WPE,
    ROW_LAYER_VECTOR,
    ROW_LAYER_MATRIX,
    ROW_LNF_G,
    ROW_LNF_B,
    ROW_UNEMBED
};

struct param_row {
    const char *name; /* without "h.N." */
    char dim[3];      /* letters: C, Q = 3C, F, V, P = n_ctx */
    enum row_home home;
    size_t offset; /* in struct layer_vectors, or the enum matrix */
    bool gamma;
};

/* The row of slot i; returns its layer or -1. */
int param_row_at(const struct param_row **out, const struct config *cfg, int i);
int param_row_of_matrix(const struct config *cfg, enum matrix m, int layer); /* slot index */

#endif
