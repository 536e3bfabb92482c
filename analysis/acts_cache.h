#ifndef SONDE_ANALYSIS_ACTS_CACHE_H
#define SONDE_ANALYSIS_ACTS_CACHE_H

#include "analysis/analysis.h"
#include "model/cache.h"

/* Activations of one window of a cache, read when they are asked for. What is not stored but follows
 * exactly is formed: the embeddings from the token ids, resid_pre from the resid_post before it, and,
 * from F32 values alone, LayerNorms of a stored stream and the logits. */
struct acts_cache;

/* Every site and the logits that the plan names can be had, or ERR_INPUT names the hooks that are
 * missing and how to cache them. */
int acts_cache_check(
    const struct cache *c, const struct plan *plan, const struct model *m, struct err *e);
/* The model, its tokenizer and the weights are those that the cache was made with; ERR_INPUT names the
 * field that differs. */
int acts_cache_model(const struct cache *c, const struct model *m, struct err *e);

int acts_cache_open(struct acts_cache **out, const struct cache *c, const struct model *m,
    enum logits_want logits, const struct input *in, struct pool *pool, struct err *e);
void acts_cache_release(struct acts_cache **a);
int acts_cache_get(const float **out, struct acts_cache *a, enum site s, int layer, struct err *e);
int acts_cache_logits(const float **out, struct acts_cache *a, int64_t pos, struct err *e);

#endif
