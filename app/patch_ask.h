#ifndef SONDE_APP_PATCH_ASK_H
#define SONDE_APP_PATCH_ASK_H

#include "app/engine.h"

/* What a question about a pair is answered with, on the engine's thread. */
struct pair_means {
    struct pool *pool;
    const struct edits *edits; /* as typed */
    size_t max_bytes;
    uint64_t seed;
    int (*progress)(void *arg, double done, double total);
    void *progress_arg;
};

/* Fills a->pair. The question's text is NAME:N (the Nth pair of a dataset, from 1), FILE:N (of a file of
 * pairs), or CLEAN CORRUPT [ANSWER [WRONG]], quoted as in a shell; answers that are not given are the
 * model's own best tokens behind clean and corrupt. q->of names the metric. */
int patch_pair_ask(
    struct answer *a, const struct question *q, const struct pair_means *means, struct err *e);

#endif
