#ifndef SONDE_ANALYSIS_PAIRS_H
#define SONDE_ANALYSIS_PAIRS_H

#include "analysis/analysis.h"
#include "datasets/dataset.h"
#include "model/metric.h"

/* What the answer to a pair may be measured by: the choices of every such --metric. */
#define PAIR_METRICS "logit_diff|prob_diff|logprob|prob|kl|loss|logit|entropy"

/* And what its help says of several answers. */
#define PAIR_METRICS_SEVERAL                                                                       \
    "several answers: the mean of their logits or log-probabilities, the sum of their "            \
    "probabilities"

/* Two prompts that differ in what matters, and what the first should be answered with. */
struct pair {
    const struct input *clean, *corrupt; /* NULL: not given (ablations need one prompt alone) */
    const int32_t *answer, *wrong;       /* token ids; any number of each */
    int n_answer, n_wrong;
    const int64_t (*align)[4]; /* spans [c0, c1) of clean and [k0, k1) of corrupt, in order */
    int n_align;
    const char *where; /* "pairs.jsonl:7": names it in errors */
};

struct pairs {
    struct pair *list;
    struct input *inputs; /* [2 n]: clean and corrupt of each pair in turn */
    int n, room;
    int n_unspaced; /* pairs whose answer would go on the clean prompt's last word */
    const char *unspaced, *unspaced_where; /* the first of these answers */
};

struct pairs_opts {
    const struct model *model;
    bool bos; /* before texts, never before ids */
    uint64_t seed;
    struct arena *arena; /* keeps the pairs */
};

/* Add pairs from a file (.jsonl: clean, corrupt, answer, wrong_answer, align; .tsv and .csv by their
 * header), a dataset ("ioi:100"), or one prompt a string. A prompt is a text, or ids as in
 * "[464, 318]"; an answer is a text of one token, or #ID. */
int pairs_file(struct pairs *p, const char *path, const struct pairs_opts *o, struct err *e);
/* Whether the first line of a file looks like one of these. */
bool pairs_file_has(const char *path);
int pairs_dataset(struct pairs *p, const char *spec, const struct pairs_opts *o, struct err *e);
/* What a dataset may ask of a model. */
struct dataset_opts dataset_opts_of(const struct model *m, uint64_t seed);
struct pair_text {
    const char *clean, *corrupt, *where;
    const char *align; /* "[[c0, c1, k0, k1], ...]", or NULL */
    const char *const *answer, *const *wrong;
    int n_answer, n_wrong;
};
int pairs_text(
    struct pairs *p, const struct pair_text *t, const struct pairs_opts *o, struct err *e);
/* Call once after the last: sets the pairs' inputs and numbers them. */
void pairs_finish(struct pairs *p);
/* Pairs that are almost surely a mistake: clean and corrupt are the same tokens (asked where needs_both),
 * or the answers are the wrong answers. ERR_USAGE where it is so of all of them, since every number would
 * be 0 or NaN; of some of them a line in note[n], as of answers that lack the blank in front, else "". */
int pairs_check(char *note, size_t n, const struct pairs *p, bool needs_both, struct err *e);
/* Which position of `from` stands for each position of `to`: map[to->n], -1 where there is none.
 * *first: where the two first differ (positions before it have the same past). Unequal lengths need
 * spans; ERR_USAGE names the token where the prompts part. */
int pair_align(int64_t *map, int64_t *first, const struct pair *p, bool to_corrupt,
    const struct model *m, struct err *e);

#endif
