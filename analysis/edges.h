#ifndef SONDE_ANALYSIS_EDGES_H
#define SONDE_ANALYSIS_EDGES_H

#include "analysis/eap.h"
#include "analysis/lengths.h"
#include "analysis/moments.h"

/* The state of the analysis `edges`, shared by its parts. */

#define MAX_SIZES 64

struct edges {
    struct eap x;
    struct graph graph;
    int64_t pos;
    bool absolute, has_file, has_ended;
    int n_pairs, first; /* first pair of the group under way */
    struct moments score;
    double *clean; /* [n_pairs] */
    struct block *clean_block, *corrupt_block, *by_input;
    const char **writer, **reader; /* labels */
    struct lengths lengths;        /* ABLATE_MEAN: own is float [2 L + 1][T, C] */
    /* Circuits to run: [n] masks. */
    int n_sizes;
    int64_t wanted[MAX_SIZES], got[MAX_SIZES];
    uint8_t *mask[MAX_SIZES];
};

extern const char edges_source[];
/* Items [0, n) of pairs first, first + 1, ... */
int edges_open(
    struct eap_item **out, const struct edges *s, struct ctx *ctx, int first, int n, struct err *e);
/* Runs circuits in batches that fit the limit. */
int edges_run(struct wired *jobs, int n, const struct edges *s, const struct ctx *ctx, int64_t T,
    struct err *e);
/* The k first edges of a ranking and k others by exact ablation of each alone, beside their scores. */
int edges_check(struct edges *s, struct ctx *ctx, struct run *out, const int64_t *ranked, int64_t n,
    int64_t k, struct err *e);

#endif
