#ifndef SONDE_MODEL_PATCH_LANES_H
#define SONDE_MODEL_PATCH_LANES_H

#include "model/core/arena.h"
#include "model/ops.h"
#include "model/patch.h"

/* Shared by patch*.c: one wave of lanes on its way up. */

/* Where in a layer a lane leaves the receiving run. */
enum stage { AT_PRE, AT_QKV, AT_Z, AT_MID, AT_MLP, AT_POST };

struct lane {
    struct patch_cell cell;
    int64_t index; /* of its value */
    enum stage stage;
    int64_t lo, hi; /* rows of the text that differ from the base at this point of the layer */
    int64_t at;     /* their first row in the wave's buffers */
};

struct wave {
    const struct patch_run *r;
    const struct patch_opts *o;
    const struct config *cfg;
    struct err *e;
    double *values;
    struct lane *lane; /* [n], by layer and stage of birth */
    int64_t n;
    int64_t alive; /* lane[0 .. alive) are born */
    int64_t rows;  /* in use */
    int64_t rows_max, lanes_max, chunk;
    float *x, *mid, *y, *qkv; /* [rows_max, C | C | C | 3C] */
    float *act;               /* [chunk, F], rows ld_act apart: not a power of two */
    int64_t ld_act;
    struct attention_lane *att; /* [2 * lanes_max] */
    float *scale;               /* [rows_max] of LN */
    float *row;                 /* [C]: one row of a matrix */
    int64_t end;                /* rows 0 .. end - 1 of the text can reach the metric */
    int64_t tail;               /* of them the last `tail` are read above the last attention */
    double base_value;
    double *base_loss; /* [tail]: the metric's value of each row that it reads of the base */
    double *value;     /* [rows_max]: the same of the lanes' rows */
    int32_t *next;     /* [rows_max]: METRIC_LOSS: the token that each row predicts */
    float *logits;     /* [logit_rows, V or answers] */
    int64_t logit_rows;
    int32_t *ids; /* answers and wrong answers: the only columns that a logit difference needs */
    int n_ids;
    double flops, share, total; /* progress: cells before this wave, all cells */
};

const float *base_site(const struct wave *w, enum site s, int layer);
const float *source_site(const struct wave *w, enum site s, int layer);
/* resid_post of a layer of the base. */
const float *base_post(const struct wave *w, int layer);
enum stage patch_stage(enum site s);
/* Rows that a cell changes first; lo == hi: none that matters. */
void patch_rows(int64_t *lo, int64_t *hi, const struct wave *w, const struct patch_cell *c);
/* The first row that matters above the attention of a layer. */
int64_t first_needed(const struct wave *w, int layer, int64_t lo);
void count_product(struct wave *w, int64_t m, int64_t k, int64_t n);

/* patch_born.c: the rows of newborn lanes; each appends rows to the wave's buffers. */
void born_pre(struct wave *w, int layer);
int born_attention(struct wave *w, int layer);
void born_mid(struct wave *w, int layer);
int born_post(struct wave *w, int layer);
/* Windows of several layers: the later ones of a lane that lives. */
void window_mid(struct wave *w, int layer);
void window_post(struct wave *w, int layer);

/* patch_layer.c: x [rows, C] goes from resid_pre to resid_post. */
int wave_layer(struct wave *w, int layer);
/* patch_metric.c */
int wave_metric_begin(struct wave *w, struct arena *a);
int wave_metric(struct wave *w);

#endif
