#ifndef SONDE_ANALYSIS_DLA_H
#define SONDE_ANALYSIS_DLA_H

#include "analysis/analysis.h"

/* Direct logit attribution under way: dla.c takes a logit apart, dla_effect.c compares it with the
 * direct effect. */
struct dla {
    const struct ctx *ctx;
    char word;              /* 't' top-1, 'n' next, 's' self, 0: a given token */
    int64_t target, versus; /* as given, -1: none */
    int64_t n, first_mlp;   /* components, and the first that is not a head */
    int64_t bias, edits;    /* of these; edits: what they put into the stream, -1 without such */
    const char **labels;    /* [n] */
    bool *by_neuron;        /* [L] */
    double *u_mean;         /* [C] mean column of W_U */
    float *b_v;             /* [L, C] value biases that the folded view moves, 0 in the raw view */
    /* The current input. */
    int64_t pos, token;
    double *u, *dir; /* [C]: over the unembedding's input, and seen from the residual stream */
    float *dir32;
    double b_u, truth, scale, ledger[4];
    float *contribution, *effect; /* [n] */
    double *rest;                 /* [C] the final stream less what its writers wrote */
    float *mlp;                   /* [L] */
    /* Over all inputs, with --effect. */
    bool has_effect;
    double *abs_error, *abs_effect; /* [L * H] sums of |DLA - DE| and |DE| */
    int64_t n_inputs;
};

/* Direct effect with the final LN recomputed, and NMAE between it and DLA (arXiv 2507.02559, section
 * 5.1 and appendix G). */
int dla_effect_begin(struct dla *d, struct err *e);
int dla_effect(struct dla *d, const struct acts *acts, struct err *e);
int dla_effect_end(struct dla *d, struct run *out, struct err *e);

#endif
