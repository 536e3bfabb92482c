#include "datasets/dataset.h"
#include "datasets/token_range.h"
#include "model/core/rng.h"

/* Random ids s, then s again without its last: only induction tells what comes. The corrupt prompt's
 * first round ends in another id, so that one token differs. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    if (o->vocab < 3 || o->n_ctx < 5)
        return err_set(e, ERR_USAGE,
            "random tokens need a model with at least 3 tokens and 5 positions; choose one with "
            "-m");
    const int64_t bos = o->bos_id >= 0, room = (o->n_ctx - bos) / 2, half = room < 10 ? room : 10;
    const int64_t n = bos + 2 * half - 1;
    int64_t low, high;
    token_range(&low, &high, o->vocab);
    int32_t *ids = arena_array(arena, 2 * (size_t)n + 2, sizeof *ids, e), *twin = ids + n;
    if (!ids)
        return ERR_LIMIT;
    struct rng rng;
    rng_init(&rng, o->seed, (uint64_t)k);
    if (bos)
        ids[0] = (int32_t)o->bos_id;
    for (int64_t i = 0; i < half; i++) {
        ids[bos + i] = (int32_t)(low + (int64_t)rng_below(&rng, (uint64_t)(high - low)));
        if (i + 1 < half)
            ids[bos + half + i] = ids[bos + i];
    }
    const int32_t right = ids[bos + half - 1];
    int32_t wrong = right;
    while (wrong == right)
        wrong = (int32_t)(low + (int64_t)rng_below(&rng, (uint64_t)(high - low)));
    for (int64_t i = 0; i < n; i++)
        twin[i] = ids[i];
    twin[bos + half - 1] = wrong;
    twin[n] = right;
    twin[n + 1] = wrong;
    out->clean = (struct prompt){.tokens = ids, .n_tokens = n};
    out->corrupt = (struct prompt){.tokens = twin, .n_tokens = n};
    out->answer_ids = twin + n;
    out->wrong_ids = twin + n + 1;
    out->n_answer = out->n_wrong = 1;
    return 0;
}

const struct dataset dataset_induction = {
    .id = "induction",
    .title = "random tokens repeated, as pairs",
    .help = "Ten random ids and the same again but for the last, which is the answer. The corrupt "
            "prompt's first round ends in another id.",
    .kind = DATASET_TOKENS,
    .has_pairs = true,
    .default_n = 100,
    .make = make,
};
