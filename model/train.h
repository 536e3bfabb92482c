#ifndef SONDE_MODEL_TRAIN_H
#define SONDE_MODEL_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "model/adamw.h"
#include "model/corpus.h"
#include "model/params.h"

/* Training: AdamW on the mean next-token loss. Every number depends on the options, the corpus, the
 * kernel set and the number of threads alone: a run that was stopped and resumed writes the same
 * bytes as one that was not. */
struct train_opts {
    struct schedule schedule; /* lr, floor, warm-up, steps */
    double beta1, beta2, eps, weight_decay;
    double clip;              /* largest global L2 norm of the gradient; 0: none */
    int64_t batch_tokens;     /* of one step; sequences are added until there are as many */
    int64_t micro_tokens;     /* of one forward and backward pass: bounds the memory */
    int64_t eval_every;       /* steps between held-out losses; 0: at the end alone */
    int64_t eval_tokens;      /* of the held-out documents, at most */
    int64_t checkpoint_every; /* steps; 0: at the end alone */
    int64_t stop_at;          /* stop here, with a checkpoint; 0: at schedule.steps */
    uint64_t seed;
};
struct train_opts train_defaults(void);
int train_check(const struct train_opts *o, struct err *e);

/* One step of the loss curve. */
struct train_point {
    int64_t step, tokens; /* steps and tokens done, this one included */
    double loss, lr, grad_norm;
    double held_out; /* NaN: not measured at this step */
};

/* What a watcher sees after every step. */
struct train_progress {
    struct train_point now;
    const struct train_point *history;
    int64_t n, steps;
    double tokens_per_s, eta_s;
    double held_out; /* the last one measured, NaN: none yet */
};
typedef int (*train_fn)(void *arg, const struct train_progress *p); /* non-zero: stop */

struct train;

/* Bytes of parameters, moments, gradients and one pass over micro_tokens. */
uint64_t train_bytes(const struct config *cfg, const struct train_opts *o, int64_t window);
/* params must be a mutable copy; it and the corpus outlive the run. `path` is the checkpoint's file;
 * an existing one is read where `resume` is set: its options must be the same but for stop_at and
 * the intervals. */
int train_open(struct train **out, const struct train_opts *o, struct params *params,
    const struct corpus *corpus, const char *path, bool resume, struct pool *pool, struct err *e);
/* To the end, or ERR_CANCEL after a step at which `each` said stop. Either way the checkpoint is
 * written and the parameters are those of the last finished step. */
int train_run(struct train *t, train_fn each, void *arg, struct err *e);
const struct train_point *train_history(const struct train *t, int64_t *n);
void train_release(struct train **t);

#endif
