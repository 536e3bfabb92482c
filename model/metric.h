#ifndef SONDE_MODEL_METRIC_H
#define SONDE_MODEL_METRIC_H

#include <stdint.h>

#include "model/core/err.h"
#include "model/params.h"
#include "model/trace.h"

/* Scalars of the logits, and their backward seeds (Heimersheim and Nanda 2024, arXiv 2404.15255, on when
 * which is apt). z logits, p probabilities, a answers, b wrong answers. */
enum metric_kind {
    METRIC_LOSS,       /* mean over all predicted positions of all inputs, nats */
    METRIC_LOGIT,      /* z_a; several answers: their mean, here and below where not said */
    METRIC_LOGIT_DIFF, /* z_a - z_b; several answers: mean over pairs */
    METRIC_LOGPROB,    /* log p_a */
    METRIC_PROB,       /* p_a; several answers: their sum */
    METRIC_PROB_DIFF,  /* p_a - p_b; several answers: difference of the sums */
    METRIC_KL,         /* KL(reference || p) */
    METRIC_ENTROPY,    /* -sum p log p, nats */
    METRIC_COUNT
};

/* One metric position: an input, a position, the answers. */
struct metric_at {
    int input;
    int64_t pos; /* negative: from the end */
    const int32_t *answer, *wrong;
    int n_answer, n_wrong;
    const float *reference_logp; /* [V], METRIC_KL */
};

struct metric {
    enum metric_kind kind;
    const struct metric_at *at; /* METRIC_LOSS: ignored */
    int n_at;                   /* the metric is the mean over these */
};

const char *metric_name(enum metric_kind k);
const char *metric_unit(enum metric_kind k); /* "logits", "probability" or "nats" */
int metric_parse(enum metric_kind *out, const char *name, struct err *e);
/* values[n_at] (METRIC_LOSS: one an input; may be NULL) and the metric; needs the logits rows in the
 * trace. */
int metric_value(
    double *mean, double *values, const struct metric *m, const struct trace *t, struct err *e);
/* METRIC_LOSS of a batch without logits or gradients: sum over the predicted positions, in nats, and
 * their number. Runs the model itself and walks the vocabulary in chunks of rows. */
int loss_of(double *sum, int64_t *count, const struct params *p, const struct batch *b,
    struct pool *pool, struct err *e);
/* Inputs, positions and ids exist. */
int metric_check(
    const struct metric *m, const struct batch *b, const struct config *cfg, struct err *e);
/* The packed row an entry reads. */
int64_t metric_row(const struct metric_at *at, const struct batch *b);
/* The value of one entry, and seed [V] = scale * dvalue/dlogits where it is not NULL. Not for
 * METRIC_LOSS. */
double metric_seed(float *seed, const struct metric *m, const struct metric_at *at,
    const float *logits, int64_t vocab, double scale);

#endif
