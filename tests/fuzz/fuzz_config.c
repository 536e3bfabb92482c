#include <stdlib.h>
#include <string.h>

#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* config.json: what is accepted must be within bounds and survive being written and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err e = {0};
    struct config c, d;
    struct arena arena = {0};
    if (config_parse(&c, (const char *)data, n, "input", &e)) {
        if (!e.code || !*e.msg)
            abort();
        return 0;
    }
    if (c.n_layer < 1 || c.n_layer > CONFIG_MAX_LAYERS || c.d_model < 1 || c.d_mlp < 1 ||
        c.d_head * c.n_head != c.d_model || c.vocab < 1 || c.vocab > CONFIG_MAX_VOCAB)
        abort();
    const char *text = config_write(&c, &arena, &e);
    if (!text || config_parse(&d, text, strlen(text), "again", &e))
        abort();
    if (c.n_layer != d.n_layer || c.d_mlp != d.d_mlp || c.act != d.act || c.ln_eps != d.ln_eps ||
        c.bos_id != d.bos_id || c.tied != d.tied)
        abort();
    arena_release(&arena);
    return 0;
}
