#ifndef SONDE_APP_TRAIN_WATCH_H
#define SONDE_APP_TRAIN_WATCH_H

#include "app/progress.h"
#include "model/train.h"

/* The live line of a training run on standard error: loss curve, held-out loss, rate, time left. */
struct train_watch {
    struct progress *progress;
    bool is_ascii;
    double shown; /* when, in machine_seconds */
};

/* A train_fn: arg is the struct train_watch. Answers 1 once a signal asked to stop. */
int train_watch_step(void *arg, const struct train_progress *p);

#endif
