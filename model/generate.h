#ifndef SONDE_MODEL_GENERATE_H
#define SONDE_MODEL_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/err.h"
#include "model/forward.h"

/* Order: repetition penalty, temperature, top-k, top-p, as transformers' generate. */
struct sampling {
    bool greedy;        /* temperature 0 as well; lowest id on ties */
    double temperature; /* 1 */
    int64_t top_k;      /* 0: no cut */
    double top_p;       /* 1: no cut; Hugging Face's nucleus */
    double repetition;  /* 1: none */
    uint64_t seed;
};

struct step {
    int32_t token;
    double logprob, entropy; /* of the model's own distribution, nats */
    int64_t rank;
};

/* Draws the next token from one row of logits; `step` numbers the draw within the seed's stream. */
int sample_token(struct step *out, const float *logits, int64_t vocab, const int32_t *so_far,
    int64_t n_so_far, const struct sampling *s, uint64_t step, struct err *e);

struct generation {
    int32_t *tokens; /* prompt and new tokens, caller's, capacity >= n_prompt + max_new */
    int64_t n_prompt, n;
    struct step *steps; /* [max_new], may be NULL */
    bool context_full;
    /* Within the pass of a token; limits as in forward_opts. */
    progress_fn progress;
    void *progress_arg;
    size_t max_bytes;
};

/* Continues g->tokens[0..n_prompt). Edits address absolute positions; a negative position is fixed
 * at the prompt's length. `each` sees every new token and may stop with a non-zero answer. */
int generate(struct generation *g, const struct params *p, int64_t max_new, int64_t stop_id,
    const struct sampling *s, const struct edits *edits, bool use_cache,
    int (*each)(void *arg, const struct step *step), void *arg, struct pool *pool, struct err *e);

#endif
