#ifndef SONDE_MODEL_FOLD_H
#define SONDE_MODEL_FOLD_H

#include "model/core/err.h"
#include "model/core/parallel.h"
#include "model/params.h"

/* The folded view, computed from the raw weights where it is needed, as TransformerLens folds: LN
 * weights and biases into their readers (fold_ln), writers centred over C (center_writing_weights), the
 * unembedding centred over V (center_unembed), value biases into b_O (fold_value_biases). Never a
 * second model. */

/* Mean over the vocabulary of the columns of W_U, out [C], in fp64. */
int fold_unembed_mean(double *out, const struct params *p, struct pool *pool, struct err *e);

/* A direction d [C] over the unembedding's input, such as W_U[:,a] - W_U[:,b], seen from the
 * residual stream: out [C] = gamma_f * d minus its mean over C. *b_u = beta_f . d, the share of the
 * folded unembedding bias. */
void fold_direction(double *out, double *b_u, const struct params *p, const double *d);

/* b_V,eff [C] = b_V + ln1.beta W_V, head by head: what the folded view moves from z into b_O. */
int fold_value_bias(
    float *out, const struct params *p, int layer, struct pool *pool, struct err *e);

/* out [C] = W_O dir: z_h . out_h is head h's contribution along dir [C]. */
int fold_output_direction(float *out, const struct params *p, int layer, const float *dir,
    struct pool *pool, struct err *e);

#endif
