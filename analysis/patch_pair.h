#ifndef SONDE_ANALYSIS_PATCH_PAIR_H
#define SONDE_ANALYSIS_PATCH_PAIR_H

#include "analysis/pairs.h"
#include "model/patch.h"

/* A pair ready to be patched: both prompts run, values of the one laid on positions of the other. */
struct patch_pair {
    const struct pair *pair;
    const struct input *to, *from; /* the receiving prompt, and where values come from */
    int64_t *map, first;           /* pair_align; first: as patch_run */
    bool is_identity;              /* map[t] == t throughout */
    struct trace t, t_from;        /* t: input 0 is `to`, input 1 `from`, unless that runs alone */
    const struct trace *source;    /* where `from` is, as input source_input */
    int source_input;
    struct metric_at at, at_from;
    struct patch_run run; /* patches into `to` */
    double clean, corrupt;
};

struct patch_pair_opts {
    bool noise; /* corrupt into clean; else clean into corrupt */
    enum metric_kind metric;
    int64_t pos; /* of the metric */
    const enum site *sites;
    int n_sites;
    bool
        backward; /* t holds `to` alone, and what backward needs; so that one prompt is differentiated */
    bool patches; /* with backward: what patch_sweep needs, too */
};
/* Everything is the arena's but the trace: patch_pair_release. */
int patch_pair_open(struct patch_pair *out, const struct pair *p, const struct patch_pair_opts *o,
    const struct ctx *ctx, struct err *e);
void patch_pair_release(struct patch_pair *p);
/* Positions of the receiving prompt without a counterpart: cells there mean nothing. */
bool patch_pair_has(const struct patch_pair *p, const struct patch_cell *c);
/* The metric without patches: |clean - corrupt| too small to divide by. */
bool patch_pair_is_flat(double clean, double corrupt);

#endif
