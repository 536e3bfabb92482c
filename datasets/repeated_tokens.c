#include "datasets/dataset.h"
#include "datasets/token_range.h"
#include "model/core/rng.h"

void token_range(int64_t *low, int64_t *high, int64_t vocab)
{
    *low = vocab > 2048 ? 512 : 0;
    *high = vocab > 20000 ? 20000 : vocab - 1;
    if (*high <= *low)
        *high = vocab;
}

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    if (o->vocab < 2 || o->n_ctx < 5)
        return err_set(e, ERR_USAGE,
            "random tokens need a model with at least 2 tokens and 5 positions; choose one with "
            "-m");
    int64_t low, high, bos = o->bos_id >= 0, half = (o->n_ctx - bos) / 2;
    if (half > 50)
        half = 50;
    token_range(&low, &high, o->vocab);
    int32_t *ids = arena_array(arena, (size_t)(bos + 2 * half), sizeof *ids, e);
    if (!ids)
        return ERR_LIMIT;
    struct rng rng;
    rng_init(&rng, o->seed, (uint64_t)k);
    if (bos)
        ids[0] = (int32_t)o->bos_id;
    for (int64_t i = 0; i < half; i++)
        ids[bos + i] = ids[bos + half + i] =
            (int32_t)(low + (int64_t)rng_below(&rng, (uint64_t)(high - low)));
    out->clean = (struct prompt){.tokens = ids, .n_tokens = bos + 2 * half};
    return 0;
}

const struct dataset dataset_repeated_tokens = {
    .id = "repeated_tokens",
    .title = "random tokens, repeated once",
    .help = "Up to 50 random ids and then the same ids again: only induction predicts the second "
            "half. The ids are the model's own, with its BOS in front where it has one.",
    .kind = DATASET_TOKENS,
    .default_n = 10,
    .make = make,
};
