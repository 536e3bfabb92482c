#ifndef SONDE_OPS_TILES_H
#define SONDE_OPS_TILES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/parallel.h"
#include "model/core/tensor.h"

struct kernels;

/* Shared by the ops that drive tiles. */

/* Rows of each tile when `rows` are cut evenly: no thin last tile. */
int tile_split(int64_t rows, int max);
/* The largest tile for rows that are ld floats apart: fewer rows where they share cache sets. */
int tile_rows(const struct kernels *k, int64_t ld);
/* Panels of a task: about four tasks a thread, which evens out what other programs take. */
int64_t split_group(int64_t panels, int64_t most, const struct pool *pool);
void copy_rows(float *dst, int64_t ldd, const float *src, int64_t lds, int64_t rows, int64_t n);
int dtype_slot(enum dtype t); /* index into kernels.tile */

/* c [rows, panels * W] (+)= a [rows, k] b; rows of b are ldb floats apart, panels `panel` floats. */
void tiles_run(float *c, int64_t ldc, const float *a, int64_t lda, int64_t rows, int64_t k,
    const float *b, int64_t ldb, int64_t panel, int64_t panels, bool add);
/* x [n, d] as panels [ceil(n / W)][d][W], the right operand of a product with x^T; zero-filled. */
void panels_of_rows(float *dst, const float *x, int64_t ldx, int64_t n, int64_t d);
/* x [n, d] as panels [ceil(d / W)][n][W], the right operand of a product with x; zero-filled. */
void panels_of_columns(float *dst, const float *x, int64_t ldx, int64_t n, int64_t d);

/* One head of one sequence, of an attention job. */
struct head {
    const float *q, *k, *v;
    float *z, *scores, *pattern;
    int64_t tq, tk, past;
};
struct attention;
struct head head_at(const struct attention *a, int64_t seq, int64_t h);
int64_t round_up(int64_t n, int64_t to);
int64_t longest_keys(const struct attention *a);

#endif
