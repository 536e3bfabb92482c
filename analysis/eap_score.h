#ifndef SONDE_ANALYSIS_EAP_SCORE_H
#define SONDE_ANALYSIS_EAP_SCORE_H

#include "analysis/eap.h"

/* From differences of writers' outputs and gradients at readers' inputs to the scores of every edge, a
 * layer of readers at a time: shared by the two ways to the gradients. */

/* Where differences come from: fills out [n, C], rows ldo apart, with the difference of one site (EMBED,
 * Z, MLP_OUT) at live rows [r0, r0 + n). */
struct writer_source {
    void (*rows)(
        const void *arg, float *out, int64_t ldo, int64_t r0, int64_t n, enum site s, int layer);
    const void *arg;
};
/* d [n, writers, C] */
int writers_fill(float *d, const struct eap *x, const struct writer_source *src, int64_t r0,
    int64_t n, struct err *e);

#define SCORER_ROWS 64 /* a block of live rows at most */

/* Live rows are the positions of clean prompts where a writer can differ at all, pair after pair. */
struct scorer {
    const struct eap *x;
    struct eap_item *items;
    int n;
    const int64_t *live_at; /* [n + 1] */
    int64_t cols;           /* 3 H + 1 readers a layer */
    struct panel d;         /* [C, writers]: differences at a live row, rows d_step bytes apart */
    size_t d_step;
    int64_t chunks, *chunk; /* [chunks + 1] live rows of one pair each, summed in fp32 */
    float *grad;            /* [rows of a block, cols, C] */
    float *part;            /* [chunks of a block, cols, writers] */
    struct err *e;
};
int scorer_init(struct scorer *s, const struct eap *x, struct eap_item *items, int n,
    const int64_t *live_at, const struct writer_source *src, struct err *e);
/* Adds the scores of a layer's readers. fill: gradients [n, cols, C] at live rows [r0, r0 + n), columns
 * by the reader's index: heads' q, k, v, then the MLP. */
typedef int (*grad_fn)(void *arg, int layer, int64_t r0, int64_t n, float *grad);
int scorer_layer(struct scorer *s, int layer, grad_fn fill, void *arg);
/* Adds the scores of the logits: gradients g [n, C] at n live rows (row NULL: all of them). */
int scorer_logits(struct scorer *s, const float *g, const int64_t *row, int64_t n);
uint64_t scorer_row_bytes(const struct eap *x); /* of a live row */

#endif
