#ifndef SONDE_MODEL_TRAIN_STATE_H
#define SONDE_MODEL_TRAIN_STATE_H

#include "model/train.h"

/* A run under way: what train.c and checkpoint.c share. */
struct train {
    struct train_opts o;
    struct params *params;
    const struct corpus *corpus;
    struct pool *pool;
    char *path;
    struct arena arena;
    struct param_arrays grads;
    struct adamw adam;
    double *norm_scratch;
    int64_t *order;        /* [n_train] of this epoch */
    int64_t epoch, cursor; /* the next sequence is order[cursor] */
    int64_t step, tokens;  /* done */
    double held_out;       /* the last one, NaN: none */
    struct train_point *history;
    int64_t n_history, cap_history;
    int32_t *batch_tokens; /* one micro-batch */
    int64_t *batch_offset;
    int64_t cap_tokens, cap_batch;
    const struct piece **pieces; /* of one step */
    int64_t n_pieces, cap_pieces;
};

int train_push_history(struct train *t, const struct train_point *p, struct err *e);

/* checkpoint.c: parameters, moments, counters and the loss curve in one safetensors file, replaced
 * atomically. */
int checkpoint_save(const struct train *t, struct err *e);
int checkpoint_load(struct train *t, struct err *e);

#endif
