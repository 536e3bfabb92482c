#ifndef SONDE_MODEL_LNFREE_H
#define SONDE_MODEL_LNFREE_H

#include "model/config.h"
#include "model/weights.h"

/* Models whose layer norms were trained away (arXiv 2507.02559): every norm divides by a constant.
 * They are stored so that a stock LN nearly computes that (gamma * 1e6 beside eps 1e12), and run
 * here in the linear form that they mean: y = (x - mean) * gamma' + beta. */

/* Completes cfg->ln and cfg->ln_gain from the file, whose tensors params_check has accepted; the
 * first rule that fits:
 * 1. `.average_std_buffer` tensors: a raw training checkpoint; refused unless every norm is removed.
 * 2. eps >= 1: gain sqrt(eps).
 * 3. no eps in config.json, and most |gamma| > 1e3: gain 1e6, with a warning in the note.
 * An eps and gammas that contradict each other are an error. note: what was found, or "". */
int lnfree_detect(struct config *cfg, char *note, size_t n, const struct weights *w, struct err *e);
/* Turns count stored gammas of tensor `name` ("h.0.ln_1.weight") into gamma'. */
int lnfree_scale(float *gamma, const struct config *cfg, const struct weights *w, const char *name,
    int64_t count, struct err *e);

#endif
