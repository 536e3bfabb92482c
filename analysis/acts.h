#ifndef SONDE_ANALYSIS_ACTS_H
#define SONDE_ANALYSIS_ACTS_H

#include "analysis/analysis.h"

/* The activations of one input. Today they come from the trace of a forward pass; a cache file is
 * another source behind the same calls. */
struct acts {
    const struct trace *trace;
    int input; /* its place in the trace's batch */
};

#endif
