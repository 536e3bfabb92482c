#ifndef SONDE_MODEL_PASS_H
#define SONDE_MODEL_PASS_H

#include "model/forward.h"

/* One forward pass under way: what forward.c, forward_attn.c and edit_apply.c share. */
struct pass {
    const struct params *p;
    const struct config *cfg;
    const struct forward_opts *o;
    const struct plan *plan;
    struct trace *t;
    struct arena scratch;
    int64_t rows;
    int64_t past;     /* rows before this chunk (key-value cache), else 0 */
    uint8_t *touched; /* [SITE_COUNT * L]: an edit or a hook acts here */
    float *scratch_site[SITE_COUNT];
    float *qkv; /* scratch: q | k | v of a layer, [rows, 3C] */
    struct err *e;
};

void pass_mark_touched(struct pass *f); /* from its edits and hooks */
struct estimate pass_estimate(const struct pass *f, const struct batch *b);
bool pass_keeps(const struct pass *f, enum site s, int layer);
bool pass_touched(const struct pass *f, enum site s, int layer);
/* Where the values of a site go: the trace if they are kept, else scratch shared by all layers. */
float *pass_place(struct pass *f, enum site s, int layer);
void *pass_scratch(struct pass *f, int64_t count, size_t size);
/* Edits and hooks act on the finished values of a site, [rows, width]. */
int pass_done(struct pass *f, enum site s, int layer, float *data);
/* The same for [H, Tq, Tk] of one input. */
int pass_done_square(struct pass *f, enum site s, int layer, int input, float *data);

/* What scores are multiplied with. */
float pass_attn_scale(const struct config *cfg, int layer);
/* resid_mid [rows, C] = resid_pre + attention of the normalised input y [rows, C]. */
int pass_attention(
    struct pass *f, int layer, const float *y, const float *resid_pre, float *resid_mid);

/* edit_apply.c */
void edits_mark(uint8_t *touched, const struct edits *eds, int n_layer);
/* Applies every edit of a site to rows of one input: data [rows, width], first row at `past`. */
int edits_apply(const struct edits *eds, enum site s, int layer, float *data, int64_t rows,
    int64_t past, const struct config *cfg, struct err *e);
int edits_apply_square(const struct edits *eds, enum site s, int layer, float *data,
    int64_t queries, int64_t keys, const struct config *cfg, struct err *e);

#endif
