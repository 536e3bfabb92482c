#ifndef SONDE_ANALYSIS_ANALYSIS_H
#define SONDE_ANALYSIS_ANALYSIS_H

#include <stdbool.h>

#include "analysis/report/report.h"
#include "model/core/param.h"
#include "model/forward.h"
#include "model/model.h"

struct cache; /* model/cache.h */
struct pair;  /* analysis/pairs.h */

/* One input of a run. */
struct input {
    const char *text;      /* as given, NULL for --tokens */
    const int32_t *tokens; /* BOS included if it was prepended */
    int64_t n;
    int index;   /* in the report's /inputs */
    int64_t row; /* its first in the job's cache */
};

/* Where an analysis finds what it works on. Filled by run.c; analyses do not know whether the
 * activations come from a forward pass, a spilled trace or a cache file. */
struct ctx {
    const struct model *model;
    const struct params *params;
    const struct args *args; /* this analysis' own parameters */
    const struct input *inputs;
    int n_inputs;
    const struct pair *pairs;  /* pair i is inputs 2i (clean) and 2i + 1 (corrupt); NULL: none */
    const struct edits *edits; /* resolved; part of every forward pass */
    uint64_t seed;
    struct pool *pool;
    struct arena *arena;  /* lives as long as the run; what each() takes is given back after it */
    bool folded;          /* the weights view asked for: folded, else raw */
    progress_fn progress; /* of the current each(); a non-zero answer cancels */
    void *progress_arg;
    void (*note)(void *arg, const char *text); /* a line for who reads the results; may be NULL */
    void *note_arg;
    size_t max_bytes;      /* of the whole run */
    struct budget *budget; /* what is left of it: passes of the analysis' own go on it */
    void *state;           /* the analysis' own, between begin and end */
    int asked;             /* the input that cost is asked about */
};

/* The activations of one input, whatever they come from. */
struct acts;
/* [rows, width] of a per-position site, or [H, T, T] of a square one, borrowed until each() returns.
 * `layer` is -1 for sites outside the blocks. ERR_USAGE names a site that plan() did not keep. */
int acts_get(const float **out, const struct acts *a, enum site s, int layer, struct err *e);
/* The row [V] of a position, negative from the end; under LOGITS_ALL the rows behind it follow, so
 * that position 0 is [rows, V]. */
int acts_logits(const float **out, const struct acts *a, int64_t pos, struct err *e);

/* An analysis is this descriptor in a file of its own, and a line in analysis/meson.build. */
struct analysis {
    const char *id, *title, *help; /* help: two sentences */
    const char *source;            /* paper and equation */
    const struct param *params;
    int n_params;
    bool is_folded;                                         /* the default weights view */
    enum { PAIRS_NONE, PAIRS_WELCOME, PAIRS_NEEDED } pairs; /* inputs are pairs of prompts */
    /* Marks the sites and logits it reads. */
    int (*plan)(struct plan *plan, const struct ctx *ctx, struct err *e);
    /* begin and end once a run, each once an input, in order; any may be NULL. */
    int (*begin)(struct ctx *ctx, struct run *out, struct err *e);
    int (*each)(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
        struct err *e);
    int (*end)(struct ctx *ctx, struct run *out, struct err *e);
    bool ends_early; /* end has something to say of the inputs so far when a run is cancelled */
    /* Last, whatever happened before, where there is a state that is more than the arena's memory. */
    void (*release)(struct ctx *ctx);
    /* What each() takes for an input of n tokens beside the shared pass: keep_bytes of result,
     * scratch_bytes while it works, flops; what begin() and end() compute is shared out among the
     * inputs. Asked before begin(), by who computes nothing, too. NULL: next to nothing. */
    void (*cost)(struct estimate *out, const struct ctx *ctx, int64_t n);
};

extern const struct analysis *const analyses[]; /* generated from analysis/meson.build */
extern const int n_analyses;
const struct analysis *analysis_find(const char *id);

/* What run.c needs to run analyses over inputs; used by the command line and the workbench alike. */
struct job {
    const struct model *model;
    const struct analysis *const *list;
    const struct args *args; /* [n], one per analysis */
    int n;
    const struct input *inputs;
    int n_inputs;
    const struct pair *pairs;  /* NULL, or one for two inputs each */
    const struct cache *cache; /* activations in place of forward passes; NULL: none, no edits */
    const struct edits *edits; /* as typed; resolved here */
    const char *weights;       /* NULL: each analysis' default; "raw" or "folded" */
    bool prepend_bos;
    bool no_hash; /* nobody keeps the report: the weights need not be read to name them */
    uint64_t seed;
    struct pool *pool;
    size_t max_bytes;   /* activations, scratch and a report in memory together; 0: no limit */
    int64_t group_rows; /* tokens a pass, at most, unless one input is longer; 0: 4096 */
    progress_fn progress;
    void *progress_arg;
    void (*note)(void *arg, const char *text); /* may be NULL */
    void *note_arg;
    /* Told before anything is computed what the run will take; may be NULL. */
    void (*expect)(void *arg, const struct estimate *est);
    void *expect_arg;
    bool only_expects; /* and then nothing is computed */
};
/* Adds one run per analysis to the report. Inputs pass through in groups that fit max_bytes; one
 * forward pass serves every analysis. After ERR_CANCEL what is finished is valid. */
int job_run(struct report *out, const struct job *job, struct err *e);

#endif
