#ifndef SONDE_MODEL_OPS_REF_H
#define SONDE_MODEL_OPS_REF_H

#include "model/ops.h"

/* The plain twins of ops.h: one loop a formula, everything in fp64, no blocking and no threads. They
 * say what an op means; tests hold the fast ones to them. Dense fp64 matrices unless strides are
 * given. */

double ref_act(enum act act, double x);
double ref_act_slope(enum act act, double x);
/* c [m, n] = a [m, k] b [k, n] */
void ref_gemm(double *c, const double *a, const double *b, int64_t m, int64_t k, int64_t n);
/* y, scale as ops_ln; scale may be NULL. gamma and beta [c] may be NULL. */
void ref_ln(double *y, double *scale, const double *x, int64_t m, int64_t c, enum ln_kind kind,
    double eps, const double *gamma, const double *beta, bool frozen);
/* dx [m, c], dgamma, dbeta [c] are overwritten; the last two may be NULL. */
void ref_ln_grad(double *dx, double *dgamma, double *dbeta, const double *dy, const double *x,
    const double *scale, int64_t m, int64_t c, enum ln_kind kind, const double *gamma, bool frozen);
/* One head: q, z [tq, d], k, v [past + tq, d]; scores, pattern [tq, past + tq], any may be NULL. */
void ref_attention(double *z, double *scores, double *pattern, const double *q, const double *k,
    const double *v, int64_t tq, int64_t past, int64_t d, double scale);
/* Gradients of one head without a past, overwritten: dq, dk, dv [t, d] from dz; dpattern and
 * dscores [t, t] may be NULL. What comes in from elsewhere, extra_*, is added on the way or NULL.
 * pattern is given or NULL: recomputed. */
void ref_attention_grad(double *dq, double *dk, double *dv, double *dpattern, double *dscores,
    const double *extra_dpattern, const double *extra_dscores, const double *dz, const double *q,
    const double *k, const double *v, const double *pattern, int64_t t, int64_t d, double scale);
void ref_softmax(double *p, const double *x, int64_t n);
double ref_lse(const double *x, int64_t n);
double ref_entropy(const double *x, int64_t n);
double ref_kl(const double *logp, const double *logq, int64_t n);
int64_t ref_rank(const float *x, int64_t n, int64_t id);
void ref_topk(int32_t *ids, const float *x, int64_t n, int k);

#endif
