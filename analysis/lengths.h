#ifndef SONDE_ANALYSIS_LENGTHS_H
#define SONDE_ANALYSIS_LENGTHS_H

#include "analysis/analysis.h"

/* Inputs of equal length share blocks: [input, ...] for one length, under length_N/ for several. */
struct lengths {
    int n;
    struct length {
        int64_t T;
        int n, next;      /* inputs of it, and how many are done */
        const char **pos; /* [T] labels: tokens where all inputs agree */
        void *own;        /* the analysis' blocks */
    } * list;
};
/* Of every input, or with pairs of the clean or the corrupt prompts. */
int lengths_of(struct lengths *out, const struct ctx *ctx, bool corrupt, struct err *e);
struct length *lengths_find(const struct lengths *l, int64_t T);
/* The spec's .length where there are several. */
int64_t lengths_key(const struct lengths *l, const struct length *g);

#endif
