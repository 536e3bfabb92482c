#include "analysis/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void graph_size(struct graph *g, const struct config *cfg)
{
    int64_t L = cfg->n_layer, H = cfg->n_head;
    *g = (struct graph){.layers = cfg->n_layer,
        .heads = cfg->n_head,
        .width = cfg->d_model,
        .writers = 1 + L * (H + 1),
        .readers = L * (3 * H + 1) + 1};
    for (int64_t v = 0; v < g->readers; v++)
        g->edges += graph_parents(g, v);
}

int graph_init(struct graph *g, const struct config *cfg, struct arena *arena, struct err *e)
{
    graph_size(g, cfg);
    size_t n = (size_t)(g->writers * g->readers);
    g->score = arena_array(arena, n, sizeof *g->score, e);
    g->kept = arena_zalloc(arena, n, e);
    g->node = arena_zalloc(arena, (size_t)g->writers + 1, e);
    if (!g->score || !g->kept || !g->node)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        g->score[i] = NAN;
    return 0;
}

int64_t graph_head(const struct graph *g, int layer, int head)
{
    return 1 + (int64_t)layer * (g->heads + 1) + head;
}

int64_t graph_mlp(const struct graph *g, int layer)
{
    return graph_head(g, layer, g->heads);
}

int64_t graph_head_in(const struct graph *g, int layer, int head, int part)
{
    return (int64_t)layer * (3 * g->heads + 1) + (int64_t)part * g->heads + head;
}

int64_t graph_mlp_in(const struct graph *g, int layer)
{
    return graph_head_in(g, layer, 0, 3);
}

int64_t graph_logits(const struct graph *g)
{
    return g->readers - 1;
}

int64_t graph_parents(const struct graph *g, int64_t reader)
{
    int per = 3 * g->heads + 1;
    if (reader == graph_logits(g))
        return g->writers;
    int layer = (int)(reader / per);
    return reader % per == per - 1 ? graph_mlp(g, layer) : graph_head(g, layer, 0);
}

int64_t graph_owner(const struct graph *g, int64_t reader)
{
    int per = 3 * g->heads + 1, layer = (int)(reader / per), in = (int)(reader % per);
    if (reader == graph_logits(g))
        return g->writers;
    return in == per - 1 ? graph_mlp(g, layer) : graph_head(g, layer, in % g->heads);
}

void graph_writer_name(char buf[GRAPH_NAME], const struct graph *g, int64_t writer)
{
    int64_t layer = (writer - 1) / (g->heads + 1), in = (writer - 1) % (g->heads + 1);
    if (writer == 0)
        snprintf(buf, GRAPH_NAME, "input");
    else if (writer == g->writers)
        snprintf(buf, GRAPH_NAME, "logits");
    else if (in == g->heads)
        snprintf(buf, GRAPH_NAME, "m%d", (int)layer);
    else
        snprintf(buf, GRAPH_NAME, "a%d.h%d", (int)layer, (int)in);
}

const char *graph_kind(const struct graph *g, int64_t reader)
{
    static const char *const kinds[] = {"q", "k", "v", "mlp"};
    return reader == graph_logits(g) ? "logits" : kinds[reader % (3 * g->heads + 1) / g->heads];
}

void graph_reader_name(char buf[GRAPH_NAME], const struct graph *g, int64_t reader)
{
    graph_writer_name(buf, g, graph_owner(g, reader));
    const char *kind = graph_kind(g, reader);
    size_t n = strlen(buf);
    if (!kind[1])
        snprintf(buf + n, GRAPH_NAME - n, "<%s>", kind);
}

/* ---- Selection ---- */

struct ranked {
    double size;
    int64_t index;
};

static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->size > y->size ? -1 : x->size < y->size ? 1 : x->index < y->index ? -1 : 1;
}

static double size_of(float score, bool absolute)
{
    return absolute ? fabs((double)score) : (double)score;
}

int64_t graph_rank(int64_t *out, const struct graph *g, bool absolute, struct err *e)
{
    struct ranked *r = malloc((size_t)g->edges * sizeof *r);
    int64_t n = 0;
    if (!r)
        return err_set(e, ERR_LIMIT, "out of memory for %lld edges", (long long)g->edges);
    for (int64_t i = 0; i < g->writers * g->readers; i++)
        if (i / g->readers < graph_parents(g, i % g->readers) && !isnan(g->score[i]))
            r[n++] = (struct ranked){size_of(g->score[i], absolute), i};
    if (n)
        qsort(r, (size_t)n, sizeof *r, by_size);
    for (int64_t i = 0; i < n; i++)
        out[i] = r[i].index;
    free(r);
    return n;
}

/* A node is in the graph when it has edges on both sides; `input` needs one out, logits stays. */
static void mark_nodes(struct graph *g)
{
    uint8_t *in = g->node; /* bit 1: an edge in, bit 2: an edge out */
    memset(in, 0, (size_t)g->writers + 1);
    for (int64_t u = 0; u < g->writers; u++)
        for (int64_t v = 0; v < g->readers; v++)
            if (g->kept[u * g->readers + v]) {
                in[u] |= 2;
                in[graph_owner(g, v)] |= 1;
            }
    in[0] |= 1;
    in[g->writers] = 3;
    for (int64_t u = 0; u <= g->writers; u++)
        in[u] = in[u] == 3;
}

void graph_top(struct graph *g, const int64_t *ranked, int64_t n)
{
    memset(g->kept, 0, (size_t)(g->writers * g->readers));
    for (int64_t i = 0; i < n; i++)
        g->kept[ranked[i]] = 1;
    mark_nodes(g);
}

void graph_threshold(struct graph *g, double t, bool absolute)
{
    for (int64_t u = 0; u < g->writers; u++)
        for (int64_t v = 0; v < g->readers; v++) {
            int64_t i = u * g->readers + v;
            g->kept[i] = u < graph_parents(g, v) && size_of(g->score[i], absolute) >= t;
        }
    mark_nodes(g);
}

int graph_greedy(struct graph *g, int64_t n, bool absolute, struct arena *arena, struct err *e)
{
    uint8_t *reached = arena_zalloc(arena, (size_t)g->writers + 1, e);
    if (!reached)
        return ERR_LIMIT;
    memset(g->kept, 0, (size_t)(g->writers * g->readers));
    reached[g->writers] = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t best = -1;
        for (int64_t u = 0; u < g->writers; u++)
            for (int64_t v = 0; v < g->readers; v++) {
                int64_t i = u * g->readers + v;
                if (u >= graph_parents(g, v) || g->kept[i] || !reached[graph_owner(g, v)] ||
                    isnan(g->score[i]))
                    continue;
                if (best < 0 || size_of(g->score[i], absolute) > size_of(g->score[best], absolute))
                    best = i;
            }
        if (best < 0)
            break;
        g->kept[best] = 1;
        reached[best / g->readers] = 1;
    }
    mark_nodes(g);
    return 0;
}

void graph_prune(struct graph *g)
{
    for (bool changed = true; changed;) {
        changed = false;
        mark_nodes(g);
        for (int64_t u = 0; u < g->writers; u++)
            for (int64_t v = 0; v < g->readers; v++) {
                uint8_t *kept = &g->kept[u * g->readers + v];
                if (*kept && (!g->node[u] || !g->node[graph_owner(g, v)])) {
                    *kept = 0;
                    changed = true;
                }
            }
    }
}

int64_t graph_kept_edges(const struct graph *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->writers * g->readers; i++)
        n += g->kept[i];
    return n;
}

int64_t graph_kept_nodes(const struct graph *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i <= g->writers; i++)
        n += g->node[i];
    return n;
}
