#ifndef SONDE_ANALYSIS_GRAPH_H
#define SONDE_ANALYSIS_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/arena.h"

/* The computational graph of edge attribution, with the EAP-IG library's names and indices. Writers:
 * `input` (the token embedding), a{l}.h{h}, m{l}. Readers: a{l}.h{h}<q> (<k>, <v>), m{l}, `logits`. The
 * writers a reader may read are those before graph_parents() of it. */
struct graph {
    int layers, heads, width;
    int64_t writers, readers, edges; /* writers 1 + L (H + 1), readers L (3 H + 1) + 1 */
    float *score;                    /* [writers, readers]; NaN: no such edge, or not scored */
    uint8_t *kept;                   /* [writers, readers] */
    uint8_t *node;                   /* [writers + 1] in the graph; the last is logits */
};
void graph_size(struct graph *g, const struct config *cfg); /* without its arrays */
int graph_init(struct graph *g, const struct config *cfg, struct arena *arena, struct err *e);

int64_t graph_head(const struct graph *g, int layer, int head); /* the writer */
int64_t graph_mlp(const struct graph *g, int layer);
int64_t graph_head_in(const struct graph *g, int layer, int head, int part); /* 0 q, 1 k, 2 v */
int64_t graph_mlp_in(const struct graph *g, int layer);
int64_t graph_logits(const struct graph *g); /* the reader */
int64_t graph_parents(const struct graph *g, int64_t reader);
/* The writer that a reader belongs to; `writers` for logits. */
int64_t graph_owner(const struct graph *g, int64_t reader);
#define GRAPH_NAME 48
void graph_writer_name(char buf[GRAPH_NAME], const struct graph *g, int64_t writer);
void graph_reader_name(char buf[GRAPH_NAME], const struct graph *g, int64_t reader);
const char *graph_kind(const struct graph *g, int64_t reader); /* "q", "k", "v", "mlp", "logits" */

/* Flat indices of the scored edges, largest |score| (or score) first, lower index on ties; returns
 * how many, or an error. out has room for g->edges. */
int64_t graph_rank(int64_t *out, const struct graph *g, bool absolute, struct err *e);
/* Selections set `kept` and `node`. top: the n first of a ranking. greedy: from logits down, each
 * time the best edge into what is reached. threshold: |score| (or score) >= t. */
void graph_top(struct graph *g, const int64_t *ranked, int64_t n);
int graph_greedy(struct graph *g, int64_t n, bool absolute, struct arena *arena, struct err *e);
void graph_threshold(struct graph *g, double t, bool absolute);
/* Removes nodes that nothing reaches or that reach nothing, with their edges, until all are alive. */
void graph_prune(struct graph *g);
int64_t graph_kept_edges(const struct graph *g);
int64_t graph_kept_nodes(const struct graph *g);

/* The library's JSON: cfg, nodes {name: {in_graph}}, edges {name: {score, in_graph}}. Reading checks
 * sizes and names against the model; missing scores (NaN, null) are NaN. */
int graph_write(const char *path, const struct graph *g, struct err *e);
int graph_read(struct graph *g, const char *path, struct err *e);

#endif
