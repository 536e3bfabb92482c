#include <stdlib.h>

#include "model/core/hash.h"
#include "model/lnfree.h"
#include "model/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A safetensors file in memory: opened, every tensor read, and taken for a small model. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err e = {0};
    struct weights *w;
    struct config cfg = {.n_layer = 1,
        .n_head = 1,
        .d_model = 1,
        .d_head = 1,
        .d_mlp = 1,
        .n_ctx = 1,
        .vocab = 1,
        .ln_gain = 1,
        .ln_eps = 1e-5,
        .tied = true};
    if (weights_open_memory(&w, data, n, "input", &e)) {
        if (!e.code || !*e.msg)
            abort();
        return 0;
    }
    for (int i = 0; i < weights_count(w); i++) {
        const struct weight *t = weights_at(w, i);
        struct arena arena = {.limit = 1 << 24};
        float *x;
        if (weights_find(w, t->name) != t || t->bytes > n)
            abort();
        (void)weights_load_f32(&x, w, t, &arena, &e);
        arena_release(&arena);
    }
    char hash[HASH_HEX], note[128];
    if (weights_hash(hash, w, &e))
        abort();
    struct params *p;
    if (!params_check(note, sizeof note, &cfg, w, &e) &&
        !lnfree_detect(&cfg, note, sizeof note, w, &e) && !params_open(&p, &cfg, w, NULL, &e)) {
        if (params_pack_all(p, &e))
            abort();
        params_release(&p);
    }
    weights_release(&w);
    return 0;
}
