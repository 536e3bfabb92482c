#ifndef SONDE_APP_BENCH_H
#define SONDE_APP_BENCH_H

#include "app/session.h"

/* Shared by the rows of `sonde bench`. */
struct bench {
    struct session *s;
    const struct command *c;
    struct model *m;
    struct pool *pool;
    struct arena *arena;
    double gflops, gbs; /* the machine's limits */
    int32_t *tokens;    /* [n_ctx], drawn */
    char *text;         /* for the tokenizer */
    size_t n_text;
};

/* What a run of a row costs, so that its time can be put beside the machine's limit. */
struct cost {
    double flops, bytes;
};

struct row {
    const char *name;
    int64_t tokens; /* skipped where the context is shorter */
    /* Runs once and adds its times (one, or one a token) to `times`. */
    int (*run)(struct bench *b, const struct row *row, double *times, int *n, struct cost *cost,
        struct err *e);
    bool needs_tokenizer;
};

/* bench_patch.c: every cell of a sweep over two random prompts that share their first token, both
 * prompts' own runs included; the limit is of the arithmetic that is left after sharing. */
int bench_patch_resid(struct bench *b, const struct row *row, double *times, int *n,
    struct cost *cost, struct err *e);
int bench_patch_head_z(struct bench *b, const struct row *row, double *times, int *n,
    struct cost *cost, struct err *e);
/* Attribution over every site of the same prompts: two forward passes and one backward. */
int bench_attr(struct bench *b, const struct row *row, double *times, int *n, struct cost *cost,
    struct err *e);

#endif
