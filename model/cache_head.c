#include <stdio.h>
#include <string.h>

#include "model/cache_file.h"

/* What the files of a cache agree on. */

int64_t cache_blocks(int64_t rows)
{
    return (rows + CACHE_BLOCK - 1) / CACHE_BLOCK;
}

uint64_t cache_row_bytes(const struct cache_head *h, int hook)
{
    return (uint64_t)h->hook[hook].width * dtype_bytes(h->info.dtype);
}

uint32_t cache_crc(uint32_t crc)
{
    return crc ? crc : 1;
}

int cache_hook_init(struct cache_hook *h, enum site s, int layer, const struct config *cfg,
    int64_t tokens, int64_t window, struct arena *a, struct err *e)
{
    char name[64];
    site_full_name(name, sizeof name, s, layer);
    *h = (struct cache_hook){.name = arena_strdup(a, name, e), .site = s, .layer = layer};
    const struct {
        char letter;
        struct axis axis;
    } axes[] = {
        {'H', {.name = "head", .kind = AXIS_HEAD, .size = cfg->n_head}},
        {'K', {.name = "window", .kind = AXIS_POS, .size = window}},
        {'D', {.name = "d_head", .kind = AXIS_DIM, .size = cfg->d_head}},
        {'C', {.name = "d_model", .kind = AXIS_DIM, .size = cfg->d_model}},
        {'F', {.name = "neuron", .kind = AXIS_NEURON, .size = cfg->d_mlp}},
        {'1', {.name = "scale", .kind = AXIS_OTHER, .size = 1}},
    };
    /* Rows are tokens, or the queries of square sites. */
    h->axes[h->rank++] = (struct axis){.name = "token", .kind = AXIS_POS, .size = tokens};
    for (const char *x = site_info(s)->axes; *x; x++)
        for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
            if (axes[i].letter == *x)
                h->axes[h->rank++] = axes[i].axis;
    h->width = 1;
    for (int i = 1; i < h->rank; i++)
        h->width *= h->axes[i].size;
    return h->name ? 0 : ERR_LIMIT;
}

/* What decides the numbers and where they lie; no time, no path, no threads. */
int cache_run_id(struct cache_head *h, struct err *e)
{
    struct cache_info *i = &h->info;
    struct hash *all, *plan;
    if (hash_create(&all, e))
        return e->code;
    if (hash_create(&plan, e)) {
        hash_release(&all);
        return e->code;
    }
    for (int k = 0; k < i->hooks; k++) {
        hash_add(plan, h->hook[k].name, strlen(h->hook[k].name) + 1);
        hash_add_u64(plan, (uint64_t)h->hook[k].width);
    }
    hash_hex(h->plan_hash, plan);
    const char *texts[] = {CACHE_SCHEMA, i->kernel_set, i->model_hash, i->tokenizer_hash,
        i->corpus_hash, i->weights, h->plan_hash};
    const int64_t ints[] = {CACHE_VERSION, i->dtype, i->window, i->stride, i->prepend_bos,
        CACHE_BLOCK, h->shard_tokens};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        hash_add(all, texts[k], strlen(texts[k]) + 1);
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
        hash_add_u64(all, (uint64_t)ints[k]);
    hash_hex(i->run_id, all);
    hash_release(&plan);
    hash_release(&all);
    return 0;
}

bool cache_same_hooks(const struct cache_head *a, const struct cache_head *b)
{
    bool same = a->info.hooks == b->info.hooks;
    for (int k = 0; k < a->info.hooks && same; k++) {
        same = !strcmp(a->hook[k].name, b->hook[k].name) && a->hook[k].width == b->hook[k].width;
        for (int d = 1; d < a->hook[k].rank && same; d++)
            same = a->hook[k].axes[d].size == b->hook[k].axes[d].size;
    }
    return same;
}

const char *cache_differs(const struct cache_head *a, const struct cache_head *b)
{
    const struct cache_info *x = &a->info, *y = &b->info;
    const struct {
        const char *name, *a, *b;
    } texts[] = {{"model_hash", x->model_hash, y->model_hash},
        {"tokenizer_hash", x->tokenizer_hash, y->tokenizer_hash},
        {"weights", x->weights, y->weights}, {"kernel_set", x->kernel_set, y->kernel_set},
        {"hooks (--filter)", a->plan_hash, b->plan_hash},
        {"corpus_hash", x->corpus_hash, y->corpus_hash}};
    const struct {
        const char *name;
        int64_t a, b;
    } ints[] = {{"dtype", x->dtype, y->dtype}, {"context (--window)", x->window, y->window},
        {"stride", x->stride, y->stride}, {"prepend_bos", x->prepend_bos, y->prepend_bos},
        {"shard_tokens", a->shard_tokens, b->shard_tokens}};
    /* The corpus last: another window or stride does not change it, another model may. */
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
        if (ints[k].a != ints[k].b)
            return ints[k].name;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (strcmp(texts[k].a, texts[k].b) != 0)
            return texts[k].name;
    return strcmp(x->run_id, y->run_id) != 0 ? "run_id" : NULL;
}
