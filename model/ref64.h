#ifndef SONDE_MODEL_REF64_H
#define SONDE_MODEL_REF64_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/err.h"
#include "model/sites.h"
#include "model/weights.h"

/* The referee: a slow, plain forward pass in fp64, straight from the file's tensors. It shares no
 * arithmetic with the engine, so that `doctor` and the tests may believe it. One layer is in memory at
 * a time. */
struct ref64_nudge {
    const char *tensor; /* adds delta to weight [index] of this tensor (an LN-free gamma: after its
                           gain is taken out), or (NULL) to a value */
    enum site site;     /* [index] of a site, counted as in a trace of one input */
    int layer;
    int64_t index;
    double delta;
};

struct ref64 {
    const struct config *cfg;
    const struct weights *weights;
    const int32_t *tokens;
    int64_t n;
    int64_t first; /* logits are wanted from this row on */
    const struct ref64_nudge *nudge;
    double *scales; /* [2L + 1, n] LN scales in order of execution, written; may be NULL */
    bool is_frozen; /* scales are read instead */
};

/* out [n - first, V] */
int ref64_logits(double *out, const struct ref64 *r, struct err *e);
/* Mean loss over the n - 1 predicted positions, nats. */
int ref64_loss(double *out, const struct ref64 *r, struct err *e);
/* The activation function itself, in fp64. */
double ref64_act(double x, enum act act);

#endif
