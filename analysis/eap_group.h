#ifndef SONDE_ANALYSIS_EAP_GROUP_H
#define SONDE_ANALYSIS_EAP_GROUP_H

#include "analysis/eap_score.h"

/* One group of pairs on its way to scores. eap_suffix.c takes it where nothing is edited; eap_full.c,
 * by whole passes, where something is or the metric reads every position. */
struct group {
    const struct eap *x;
    struct eap_item *items;
    int n;
    int64_t *live_at; /* [n + 1] live rows */
    int64_t *live;    /* [n] first live position of the clean prompt */
    bool is_fast;
    struct scorer scorer;
    struct err *e;
};
/* Live rows, from is_fast. */
int group_lay_out(struct group *g);
bool eap_suffix_ok(const struct group *g);
int eap_suffix_score(struct group *g);
int eap_suffix_metrics(struct group *g);
/* These take one pair. */
int eap_full_score(struct group *g);
int eap_full_metrics(struct group *g);
int eap_full_others(struct group *g, float **other);

int group_item(const struct group *g, int64_t row); /* of a live row */
/* Where row p of an item's reference means or zeros stands: [C] of one site (0: EMBED, then Z and
 * MLP_OUT a layer in turn), NULL: zeros. zero: what stands for zero of a layer's z, or NULL. */
const float *eap_stand_in(
    const struct group *g, int item, int64_t p, enum site s, int layer, const float *zeros);
int eap_zeros(float **out, const struct group *g);
/* loss and kl grow as the answer gets worse. */
double eap_sign(const struct eap *x);
int eap_progress(void *ctx, double done, double total);
/* A pass of the analysis' own over prompts as they are. */
struct forward_opts eap_forward_opts(const struct eap *x, const struct plan *plan);
/* EAP-IG over activations (Hanna et al. 2024): every group of writers, replaced at points 1 .. m. */
typedef int (*eap_walk_fn)(void *way, enum site s, int layer, int from, int to, double weight);
int eap_by_activations(const struct eap *x, eap_walk_fn walk, void *way);

#endif
