#ifndef SONDE_ANALYSIS_COST_H
#define SONDE_ANALYSIS_COST_H

#include "analysis/analysis.h"

/* What passes of an analysis' own take, for its .cost: bytes while they last, floating-point operations
 * of their products (2 an entry of a weight and row). Nothing is allocated that outlives a call. */

/* A row through one layer, which looks back on `keys` positions. */
double cost_row(const struct config *cfg, double keys);
double cost_logits(const struct config *cfg); /* a row of logits */
/* How many layers n patches a layer pass through in all, from their own upward: L (L + 1) / 2. */
double cost_layers(const struct config *cfg);
/* `inputs` of n tokens that leave these sites behind. */
struct estimate cost_pass(
    const struct config *cfg, const enum site *sites, int n_sites, int64_t n, int inputs);
/* There and back again: all the way back needs is kept. */
struct estimate cost_back(const struct config *cfg, int64_t n, int inputs, bool all_logits);
/* Bytes of patch_sweep's lanes; is_gathered: the metric takes a few columns of the unembedding. */
uint64_t cost_lanes(const struct config *cfg, bool is_gathered);
bool cost_is_gathered(const char *metric);

/* The input that .cost is asked about: its share of a pair's work, and the position from which the
 * two prompts of its pair differ (0 where that is not known). */
double cost_share(const struct ctx *ctx);
int64_t cost_first(const struct ctx *ctx);

#endif
