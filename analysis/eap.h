#ifndef SONDE_ANALYSIS_EAP_H
#define SONDE_ANALYSIS_EAP_H

#include "analysis/graph.h"
#include "analysis/pairs.h"

/* Edge attribution patching and circuits wired edge by edge, over groups of pairs (Syed et al.
 * 2023, arXiv 2310.10348; Hanna et al. 2024, arXiv 2403.17806; docs/circuits.md, "edges"). */

/* What a cut edge carries instead of its writer's output. */
enum ablation { ABLATE_RESAMPLE, ABLATE_ZERO, ABLATE_MEAN };

/* A pair on the positions of its clean prompt. */
struct eap_item {
    const struct pair *pair;
    int64_t *map;  /* [T] position of the corrupt prompt, -1: none */
    int64_t first; /* both runs agree before it; 0 with other ablations */
    bool is_identity;
    struct metric_at at, at_corrupt;
    const float *mean; /* [2 L + 1][T, C] of EMBED, then Z and MLP_OUT a layer; NULL: zeros */
    double clean, corrupt;
    double *score; /* [writers, readers], set by eap_score */
};
int eap_item_init(struct eap_item *out, const struct pair *p, enum metric_kind kind, int64_t pos,
    const struct ctx *ctx, struct err *e);

enum eap_method { EAP, EAP_IG_INPUTS, EAP_IG_ACTIVATIONS, EAP_CLEAN_CORRUPTED };
struct eap {
    struct ctx *ctx;
    const struct graph *graph;
    enum eap_method method;
    enum ablation ablation;
    enum metric_kind kind;
    int steps;
    int64_t live_most, rows_most; /* of a group, by eap_expect; 0: not known */
};
/* Scores of every edge for each pair, and both metrics: score(u -> v) = sum over positions of
 * (what replaces u - u) . d loss/d(input of v), with loss = -metric (kl and loss: the metric). */
int eap_score(const struct eap *x, struct eap_item *items, int n, struct err *e);
/* The metrics alone. */
int eap_metrics(const struct eap *x, struct eap_item *items, int n, struct err *e);
/* What cut edges of a pair carry, [T, writers, C]. */
int eap_others(float **other, const struct eap *x, struct eap_item *item, struct err *e);
/* sum [2 L + 1][T, C] += embeddings, z and MLP outputs of one prompt: ABLATE_MEAN's reference. */
int eap_add_sites(double *sum, const struct eap *x, const struct input *in, struct err *e);
/* Looks at all pairs to come, so that every group takes the memory of the largest. */
int eap_expect(struct eap *x, const struct pair *pairs, int n, int64_t pos, struct err *e);
/* Whether n pairs make a group that takes no more than that. */
bool eap_fits(const struct eap *x, const struct pair *pairs, int n, size_t max_bytes);
uint64_t eap_bytes(const struct eap *x, int64_t rows, int n); /* of n pairs with that many tokens */

/* ---- Parts ---- */

/* The metric of clean prompts in which edges outside `kept` carry the ablation (all of them exact:
 * what a writer passes on is its output in this run). One value a job. */
struct wired {
    const struct eap_item *item;
    const uint8_t *kept; /* [writers, readers]; NULL: all but `edge`, which may be -1 */
    bool complement;     /* the edges in `kept` are cut instead */
    int64_t edge;
    const float *other; /* [T, writers, C] what cut edges carry */
    double value;
};
#define WIRING_ROWS 512 /* of a batch, unless one job is longer */
int wiring_run(struct wired *jobs, int n, const struct eap *x, struct err *e);
uint64_t wiring_bytes(const struct eap *x, int64_t T); /* of a job */

#endif
