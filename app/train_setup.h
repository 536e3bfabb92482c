#ifndef SONDE_APP_TRAIN_SETUP_H
#define SONDE_APP_TRAIN_SETUP_H

#include "app/session.h"
#include "model/train.h"

/* What a training run starts from: a model that goes on, an interrupted run, or a new configuration
 * with the tokenizer of a folder. */
struct train_setup {
    struct model *model; /* -m or the interrupted run; NULL: new */
    struct model blank;  /* the folder of a new model's tokenizer, for its files */
    struct tokenizer *own;
    const struct tokenizer *tokenizer;
    struct config cfg;
    int64_t bos;
};

int train_setup_open(struct train_setup *out, const struct command *c, const char *folder,
    bool resume, struct pool *pool, struct arena *arena, struct err *e);
void train_setup_release(struct train_setup *t);
/* A fresh mutable copy: the model's weights, or random ones. */
int train_setup_params(struct params **out, const struct train_setup *t, uint64_t seed,
    struct pool *pool, struct err *e);
/* The tokenizer's files, byte for byte, into the folder of the new model. */
int train_setup_copy_tokenizer(
    const struct train_setup *t, const char *folder, struct arena *arena, struct err *e);

#endif
