#ifndef SONDE_ANALYSIS_DOSSIER_H
#define SONDE_ANALYSIS_DOSSIER_H

#include "analysis/analysis.h"

/* One thing of the model, told in full: dossier.c aims and writes, dossier_pages.c has a page for each
 * kind of thing. */
enum dossier_kind { OF_HEAD, OF_NEURON, OF_LAYER, OF_TOKEN };

struct dossier {
    struct ctx *ctx;
    enum dossier_kind kind;
    int layer, unit;        /* unit: the head or the neuron */
    int64_t at;             /* of a token, as typed */
    int64_t target, versus; /* as given, -1: the best at the position, none */
    int k;                  /* best tokens listed */
    double *u_mean;         /* [C] mean column of W_U; NULL: not needed */
    float *b_v; /* [C] value bias that the folded view moves away from heads, 0 if raw */
    /* The current input. */
    struct run *out;
    const struct input *in;
    const struct acts *acts;
    struct block *facts;
    int64_t pos, token;
    double scale;        /* of ln_final at the position */
    const float *norm;   /* [T, C] output of ln_final */
    float *row, *row2;   /* [V] logits at the position; scratch */
    double *dir;         /* [C] the target seen from the residual stream */
    float *dir32, *wide; /* [C]; [C] scratch */
};

/* A line of the page: a number with its unit and where its formula comes from, or a text. */
int dossier_fact(struct dossier *d, const char *name, double value, const char *unit,
    const char *source, struct err *e);
int dossier_text(struct dossier *d, const char *name, const char *text, struct err *e);
/* A token as people read it; NULL: out of memory. */
const char *dossier_token(struct dossier *d, int64_t id, struct err *e);
/* row [V] = y W_U for y [C] behind ln_final's scale and gains. */
int dossier_logits(struct dossier *d, float *row, const float *y, struct err *e);
/* row [V] = the logits that x [C] adds when it is written into the stream: centred, through ln_final's
 * gain, divided by `scale`, less their mean over the vocabulary (folded view, circuits 1.5). */
int dossier_write_out(struct dossier *d, float *row, const float *x, double scale, struct err *e);
/* Blocks NAME [k] and NAME_id [k]: the largest of `values` [V], or the smallest. */
struct dossier_list {
    const char *name, *long_name, *unit, *source;
    bool is_smallest, is_signed;
};
int dossier_top(
    struct dossier *d, const struct dossier_list *l, const float *values, struct err *e);
/* How the target moves when an edit is put on, by an exact pass; two facts. */
int dossier_effect(struct dossier *d, const char *edit, const char *what, struct err *e);

int dossier_page(struct dossier *d, struct err *e);

#endif
