#ifndef SONDE_CORE_LINALG_H
#define SONDE_CORE_LINALG_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/err.h"

/* The front door to OpenBLAS and its LAPACK. The library is loaded at the first call, after its
 * kernels were chosen for the processor at hand (OPENBLAS_CORETYPE, unless the user has set it), so
 * a command that needs none of it pays nothing. It runs single-threaded inside the caller: several
 * threads may call at once on separate outputs. All matrices are row-major. */

/* Sets the environment for OpenBLAS; in main, before there are threads that read it. */
void linalg_prepare(void);
int linalg_open(
    struct err *e); /* e may be NULL; idempotent and thread-safe; ERR_LIMIT names the package */
/* "SkylakeX", "Haswell": the kernels OpenBLAS runs; NULL when it cannot be loaded. */
const char *linalg_core_name(void);

/* C [m, n] = alpha op(A) op(B) + beta C; op(A) is [m, k], transposed where ta. */
int linalg_sgemm(float *c, int64_t ldc, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
    float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
    struct err *e);
int linalg_dgemm(double *c, int64_t ldc, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
    double alpha, const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
    struct err *e);
/* C [n, n] += A^T A of A [m, n], the full square; Gram matrices. */
int linalg_gram(double *c, const double *a, int64_t m, int64_t n, struct err *e);

/* Eigenvalues ascending w [n] and eigenvectors in the columns of a [n, n] (in: symmetric, out:
 * vectors). */
int linalg_eigh(double *w, double *a, int64_t n, struct err *e);
/* Eigenvalues re + i im [n] of a general matrix a [n, n], which is destroyed; in LAPACK's order. */
int linalg_eigenvalues(double *re, double *im, double *a, int64_t n, struct err *e);
/* Thin SVD a [m, n] = u [m, r] diag(s [r]) vt [r, n], r = min(m, n); a is destroyed. */
int linalg_svd(double *u, double *s, double *vt, double *a, int64_t m, int64_t n, struct err *e);
/* Solves a x = b for symmetric positive definite a [n, n] (overwritten), b [n, m] becomes x. */
int linalg_solve_spd(double *a, double *b, int64_t n, int64_t m, struct err *e);
/* Solves a x = b for general a [n, n] (overwritten), b [n, m] becomes x. */
int linalg_solve(double *a, double *b, int64_t n, int64_t m, struct err *e);

#endif
