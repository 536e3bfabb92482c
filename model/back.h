#ifndef SONDE_MODEL_BACK_H
#define SONDE_MODEL_BACK_H

#include "model/backward.h"

/* One backward pass under way: what backward.c and its parts share. "Gate" is the gradient of an
 * edit: an edited cell passes nothing, or a scaled gradient. Kept gradients are those with respect
 * to the value after the edit, as the forward trace holds it. */
struct back {
    const struct params *p;
    const struct config *cfg;
    const struct trace *t; /* the forward pass */
    const struct backward_opts *o;
    const struct metric *m;
    struct trace *out;
    struct arena scratch; /* lives as long as the pass */
    struct arena temp;    /* of one step: marked and rewound */
    int64_t rows;
    bool is_frozen;
    struct edits gates;
    uint8_t *touched; /* [SITE_COUNT * L]: an edit acts here */
    float *scratch_site[SITE_COUNT];
    float *dx;                       /* [rows, C] gradient of the residual stream */
    float *post, *norm, *big, *dqkv; /* scratch: [rows, F], [rows, C], [rows, F], [rows, 3C] */
    struct err *e;
};

bool back_wants(const struct back *b, enum site s, int layer);
bool back_touched(const struct back *b, enum site s, int layer);
void *back_scratch(struct back *b, int64_t count, size_t size);
void *back_temp(struct back *b, int64_t count, size_t size);
/* Values the forward pass kept, all rows; an error names what is missing. */
const float *back_kept(struct back *b, enum site s, int layer);
/* Where the gradient of a site is computed: the output where wanted, else scratch that all layers
 * share. */
float *back_place(struct back *b, enum site s, int layer);
/* The gradient that passes the edits of a site: g itself, or a gated copy where g is an output. */
float *back_pass(struct back *b, enum site s, int layer, float *g);
/* Gates g [rows, width] in place. */
int back_gate(struct back *b, enum site s, int layer, float *g);
/* Copies a running gradient to the output, where wanted, then gates it. */
int back_emit(struct back *b, enum site s, int layer, float *g);
/* Applies the forward's own edits to recomputed values of a site. */
int back_redo_edits(struct back *b, enum site s, int layer, float *values);

/* out [N] += column sums of g [m, N] */
void back_column_sums(
    float *out, const float *g, int64_t ldg, int64_t m, int64_t n, struct pool *pool);
/* dA = dC W^T */
int back_product(struct back *b, float *da, const float *dc, enum matrix m, int layer);
/* dx (+)= the VJP of one LayerNorm, through its scale site. dy and x are dense [rows, C]. */
struct back_ln {
    enum site scale_site, norm_site;
    int layer;
    const float *gamma, *beta;
    float *dgamma, *dbeta; /* NULL: not asked for */
};
int back_ln(struct back *b, float *dx, int64_t lddx, const float *dy, const float *x,
    const struct back_ln *ln, bool accumulate);
/* LN(x) again from the scales kept, edits included: [rows, C], in b->norm or borrowed. */
int back_norm(struct back *b, const float **out, const float *x, const struct back_ln *ln);

/* backward_head.c: the metric's value, and dm/d(ln_final output) [rows, C] in dy. */
int back_metric(struct back *b, double *value, float *dy);
/* backward_attn.c: from dm/dattn_out in b->dx to dm/dresid_pre, added to b->dx. */
int back_attention(struct back *b, int layer);
/* backward_split.c: dm/d(attn_in, q_input, k_input, v_input) a head, when they are wanted or
 * edited. Parts that read an edited input have their share in dx and the parameters when this
 * returns, and are cleared in dqkv. */
int back_split(struct back *b, int layer, float *dqkv);

#endif
