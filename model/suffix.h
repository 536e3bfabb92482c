#ifndef SONDE_MODEL_SUFFIX_H
#define SONDE_MODEL_SUFFIX_H

#include "model/forward.h"
#include "model/metric.h"

/* Runs that share the beginning of a text, forward and backward, without edits. A run holds positions
 * [first, end): keys and values before them are those of another run, what stands behind would not be
 * seen by the last of them, and that last position alone is computed above the last attention. All
 * runs ride in one batch. */
struct suffix {
    const int32_t *tokens; /* [end] */
    int64_t first, end;
    int base; /* a run of `base` with first 0 and end >= first; ignored where first is 0 */
    int twin; /* the run of opts.below with the same positions, where that is given */
};

struct suffix_layer { /* rows of all runs; [n] in place of [rows] in the last layer for z .. out */
    float *x, *s1;    /* [rows, C] resid_pre, [rows] LN scales */
    float *qkv;       /* [rows, 3C] */
    float *z;         /* [rows, C] */
    float *mid, *s2;  /* [rows, C], [rows] */
    float *pre;       /* [rows, ld] */
    float *out;       /* [rows, C] the MLP's output */
};

struct suffixes {
    const struct params *p;
    const struct suffix *run; /* [n], borrowed, as is the base */
    int n;
    const struct suffixes *base; /* NULL: the runs' bases are in this batch */
    int64_t rows, *offset;       /* [n + 1] */
    int64_t ld;                  /* of pre: d_mlp and a little, so that rows share no cache sets */
    float *embed;                /* [rows, C] token embeddings */
    float *last, *s; /* [n, C] resid_post of each run's last position, [n] ln_final's scale */
    struct suffix_layer *layer; /* [L] */
    enum site site;             /* what was replaced, and where */
    int from;
    struct arena arena;
    struct err *e;
};

struct suffix_opts {
    const struct suffixes *base; /* NULL: this batch */
    /* What runs replace: EMBED, or Z or MLP_OUT of `layer`, up to where they equal their twins. fill
     * writes the rows [end - first, C] of a run; EMBED's hold the tokens' already. NULL: nothing. */
    enum site site;
    int layer;
    const struct suffixes *below;
    void (*fill)(void *arg, int run, float *rows);
    void *arg;
    bool keep_outputs;  /* z and out of every layer */
    int64_t rows_most;  /* of the batches to come: memory for so many is reserved; 0: of this one */
    int64_t rows_taken; /* and for so many taken now, so that the largest does not show; 0: none */
    struct pool *pool;
    progress_fn progress;
    void *progress_arg;
    struct budget *budget;
};
/* Token ids and lengths must be valid. On error nothing is left in *out. */
int suffix_forward(struct suffixes *out, const struct params *p, const struct suffix *run, int n,
    const struct suffix_opts *o, struct err *e);
void suffix_release(struct suffixes *s);
uint64_t suffix_row_bytes(const struct config *cfg, bool keep_outputs);

/* The metric of each run at its last position: values [n], and dm/d(its last resid_post) [n, C] where
 * d is not NULL. at[i] belongs to run i (its input and pos are not read); not for METRIC_LOSS. */
int suffix_metric(double *values, float *d, const struct suffixes *s, enum metric_kind kind,
    const struct metric_at *at, struct pool *pool, struct err *e);
/* log-probabilities [V] at the last position of a run. */
int suffix_logp(float *out, const struct suffixes *s, int run, struct pool *pool, struct err *e);

/* Runs [from, from + n) of another batch, as a batch of their own that borrows all memory. */
int suffix_view(struct suffixes *out, const struct suffixes *s, int from, int n, struct err *e);

/* Back from d [n, C]. layer() is told of every layer, last first, the gradients of its readers: dqkv
 * [rows, 3C], and mlp [rows, C] ([n, C] in the last layer) at the MLP's input before its LayerNorm.
 * Where it forms the way from dqkv through ln1 anyway, it adds that to dx [rows, C] and says so.
 * Nothing flows through what was replaced: its readers below see zero through it. */
struct suffix_back_opts {
    int (*layer)(
        void *arg, int layer, const float *dqkv, const float *mlp, float *dx, bool *is_done);
    void *arg;
    int64_t rows_most, rows_taken; /* as in suffix_opts */
    struct pool *pool;
    progress_fn progress;
    void *progress_arg;
    struct budget *budget;
};
int suffix_backward(
    const struct suffixes *s, const float *d, const struct suffix_back_opts *o, struct err *e);

/* ---- Shared by its parts ---- */

/* Attention of a layer, as ops_attention and its gradient take it: keys and values of whole texts,
 * queries of the runs' rows (of the last ones in the last layer). */
struct suffix_attention {
    struct attention a;
    int64_t *skip; /* [n] first */
};
int suffix_attend(struct suffix_attention *out, const struct suffixes *s, int layer,
    struct pool *pool, struct arena *scratch, struct err *e);
/* out [n, C]: the last row of every run. */
void suffix_last_rows(float *out, const struct suffixes *s, const float *rows, int64_t ld);
/* Takes memory of `rows` more rows where the arena has room, and touches it. */
void suffix_settle(struct arena *a, uint64_t row_bytes, int64_t rows);
/* Rows above the attention of a layer. */
int64_t suffix_upper(const struct suffixes *s, int layer);

#endif
