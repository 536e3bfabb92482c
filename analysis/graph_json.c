#include <math.h>
#include <string.h>

#include "analysis/graph.h"
#include "model/core/json.h"
#include "model/core/outfile.h"
#include "model/core/stream.h"

/* Circuits as the EAP-IG library keeps them. Its files hold bare NaN, which is no JSON: read as null,
 * and written again. */

#define MAX_FILE ((size_t)256 << 20)
static const char unscored[] = "\"score\":null", unscored_out[] = "\"score\":NaN ";

static void write_edge(struct js_out *w, const struct graph *g, int64_t u, int64_t v)
{
    char name[2 * GRAPH_NAME + 2], to[GRAPH_NAME];
    graph_writer_name(name, g, u);
    graph_reader_name(to, g, v);
    strcat(strcat(name, "->"), to);
    js_out_key(w, name);
    js_out_begin(w, '{');
    js_out_key(w, "score");
    js_out_real(w, g->score[u * g->readers + v], 9);
    js_out_key(w, "in_graph");
    js_out_bool(w, g->kept[u * g->readers + v]);
    js_out_end(w, '}');
}

/* In the order in which the library makes them: layer, writer, head, q k v; then the MLP. */
static void write_edges(struct js_out *w, const struct graph *g)
{
    for (int l = 0; l < g->layers; l++) {
        int64_t mlp = graph_mlp_in(g, l);
        for (int64_t u = 0; u < graph_head(g, l, 0); u++)
            for (int h = 0; h < g->heads; h++)
                for (int part = 0; part < 3; part++)
                    write_edge(w, g, u, graph_head_in(g, l, h, part));
        for (int64_t u = 0; u < graph_parents(g, mlp); u++)
            write_edge(w, g, u, mlp);
    }
    for (int64_t u = 0; u < g->writers; u++)
        write_edge(w, g, u, graph_logits(g));
}

static void write_graph(struct js_out *w, const struct graph *g)
{
    char name[GRAPH_NAME];
    js_out_begin(w, '{');
    js_out_key(w, "cfg");
    js_out_begin(w, '{');
    js_out_key(w, "n_layers");
    js_out_int(w, g->layers);
    js_out_key(w, "n_heads");
    js_out_int(w, g->heads);
    js_out_key(w, "parallel_attn_mlp");
    js_out_bool(w, false);
    js_out_key(w, "d_model");
    js_out_int(w, g->width);
    js_out_end(w, '}');
    js_out_key(w, "nodes");
    js_out_begin(w, '{');
    for (int64_t u = 0; u <= g->writers; u++) {
        graph_writer_name(name, g, u);
        js_out_key(w, name);
        js_out_begin(w, '{');
        js_out_key(w, "in_graph");
        js_out_bool(w, g->node[u]);
        js_out_end(w, '}');
    }
    js_out_end(w, '}');
    js_out_key(w, "edges");
    js_out_begin(w, '{');
    write_edges(w, g);
    js_out_end(w, '}');
    js_out_end(w, '}');
}

int graph_write(const char *path, const struct graph *g, struct err *e)
{
    struct js_out w = {0};
    struct outfile out;
    write_graph(&w, g);
    int rc = js_out_done(&w, e);
    if (!rc)
        rc = outfile_open(&out, path, e);
    if (!rc) {
        for (char *at = w.data; (at = strstr(at, unscored)); at += sizeof unscored - 1)
            memcpy(at, unscored_out, sizeof unscored - 1);
        fwrite(w.data, 1, w.n, out.f);
        fputc('\n', out.f);
        rc = outfile_commit(&out, e);
    }
    js_out_release(&w);
    return rc;
}

/* NaN outside strings becomes null, in a copy one byte longer for each. */
static char *without_nan(size_t *n, const char *text, struct arena *a, struct err *e)
{
    size_t len = *n, extra = 0, at = 0;
    bool quoted = false;
    for (size_t i = 0; i + 2 < len; i++)
        extra += text[i] == 'N';
    char *out = arena_alloc(a, len + extra + 1, e);
    for (size_t i = 0; out && i < len; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        if (quoted && text[i] == '\\' && i + 1 < len)
            out[at++] = text[i++];
        if (!quoted && len - i >= 3 && !memcmp(text + i, "NaN", 3)) {
            memcpy(out + at, "null", 4);
            at += 4;
            i += 2;
            continue;
        }
        out[at++] = text[i];
    }
    if (out)
        out[at] = '\0';
    *n = at;
    return out;
}

static int check_size(
    const struct js *cfg, const char *key, int64_t ours, const char *path, struct err *e)
{
    int64_t theirs;
    if (js_int(&theirs, js_get(cfg, key)) && theirs == ours)
        return 0;
    return err_set(e, ERR_INPUT, "%s: cfg.%s is not this model's %lld", path, key, (long long)ours);
}

static int read_edge(
    struct graph *g, const struct js *edges, int64_t u, int64_t v, const char *path, struct err *e)
{
    char name[2 * GRAPH_NAME + 2], to[GRAPH_NAME];
    double score = NAN;
    bool kept;
    graph_writer_name(name, g, u);
    graph_reader_name(to, g, v);
    strcat(strcat(name, "->"), to);
    const struct js *edge = js_get(edges, name);
    const struct js *s = js_get(edge, "score");
    if (!js_bool(&kept, js_get(edge, "in_graph")))
        return err_set(
            e, ERR_INPUT, "%s: edges.%s.in_graph is missing or neither true nor false", path, name);
    if (js_kind(s) != JS_ABSENT && js_kind(s) != JS_NULL && !js_real(&score, s))
        return err_set(e, ERR_INPUT, "%s: edges.%s.score is %s, not a number", path, name,
            js_kind_name(js_kind(s)));
    if (isinf(score) || isinf((float)score))
        return err_set(e, ERR_INPUT, "%s: edges.%s.score is beyond fp32", path, name);
    g->score[u * g->readers + v] = (float)score;
    g->kept[u * g->readers + v] = kept;
    return 0;
}

static int read_all(struct graph *g, const struct js *root, const char *path, struct err *e)
{
    const struct js *cfg = js_get(root, "cfg"), *nodes = js_get(root, "nodes");
    const struct js *edges = js_get(root, "edges");
    if (check_size(cfg, "n_layers", g->layers, path, e) ||
        check_size(cfg, "n_heads", g->heads, path, e) ||
        check_size(cfg, "d_model", g->width, path, e))
        return e->code;
    if (js_count(edges) != (size_t)g->edges || js_count(nodes) != (size_t)g->writers + 1)
        return err_set(e, ERR_INPUT, "%s: %zu nodes and %zu edges, the model has %lld and %lld",
            path, js_count(nodes), js_count(edges), (long long)g->writers + 1, (long long)g->edges);
    for (int64_t u = 0; u <= g->writers; u++) {
        char name[GRAPH_NAME];
        bool in_graph;
        graph_writer_name(name, g, u);
        if (!js_bool(&in_graph, js_get(js_get(nodes, name), "in_graph")))
            return err_set(e, ERR_INPUT,
                "%s: nodes.%s.in_graph is missing or neither true nor false", path, name);
        g->node[u] = in_graph;
    }
    for (int64_t v = 0; v < g->readers; v++)
        for (int64_t u = 0; u < graph_parents(g, v); u++)
            if (read_edge(g, edges, u, v, path, e))
                return e->code;
    return 0;
}

int graph_read(struct graph *g, const char *path, struct err *e)
{
    struct arena a = {0};
    struct js *root = NULL;
    char *text;
    size_t n;
    size_t m = strlen(path);
    if (m > 3 && !strcmp(path + m - 3, ".pt"))
        return err_set(e, ERR_INPUT,
            "%s is a pickle, which can run code; in Python: Graph.from_pt(...).to_json(...)", path);
    int rc = stream_all(&text, &n, path, MAX_FILE, &a, e);
    if (!rc) {
        text = without_nan(&n, text, &a, e);
        rc = text ? js_parse(&root, text, n, 0, path, e) : ERR_LIMIT;
    }
    if (!rc)
        rc = read_all(g, root, path, e);
    js_release(&root);
    arena_release(&a);
    return rc;
}
