#ifndef SONDE_ANALYSIS_ACTS_H
#define SONDE_ANALYSIS_ACTS_H

#include "analysis/acts_cache.h"
#include "analysis/analysis.h"

/* The activations of one input: from the trace of a forward pass or from a cache file. */
struct acts {
    const struct trace *trace;
    int input;                /* its place in the trace's batch */
    struct acts_cache *cache; /* NULL: the trace */
};

#endif
