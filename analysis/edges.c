#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/edges.h"

/* Edge attribution patching and the circuits it finds. Pairs pass in groups; scores are kept as means
 * and spreads of every edge, so that memory does not grow with the number of pairs. Then edges are
 * chosen, and circuits of growing size are run exactly over the same pairs. */

#define WIRING_ROWS 512          /* of a batch of circuits */
#define GROUP_MOST 170           /* tokens of a group of pairs, about; each in three runs */
#define ENOUGH ((size_t)1 << 30) /* bytes where there is no limit */

static const struct param params[] = {
    {.name = "method",
        .type = PARAM_CHOICE,
        .def = "eap_ig_inputs",
        .choices = "eap|eap_ig_inputs|eap_ig_activations|clean_corrupted",
        .help =
            "eap: gradients of the clean run; eap_ig_inputs: their mean on the way from what "
            "--ablation puts in place of the embeddings to the clean ones; eap_ig_activations: the "
            "same, activations layer by layer; clean_corrupted: the mean of the way's two ends"},
    {.name = "steps",
        .type = PARAM_INT,
        .def = "5",
        .metavar = "M",
        .min = 1,
        .max = 1000,
        .help = "points on the way of eap_ig"},
    {.name = "ablation",
        .type = PARAM_CHOICE,
        .def = "resample",
        .choices = "resample|zero|mean",
        .help =
            "what a cut edge carries: the corrupt run's output, zero, or the mean of the corrupt "
            "prompts of that length, position by position"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "logit_diff",
        .choices = PAIR_METRICS,
        .help = "what the circuit is for; " PAIR_METRICS_SEVERAL},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric in the clean prompt; negative counts from the end"},
    {.name = "select",
        .type = PARAM_CHOICE,
        .def = "top",
        .choices = "top|greedy|threshold",
        .help = "how edges are chosen: the N best, the N best that lead to the logits, all above "
                "--threshold"},
    {.name = "top",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 0,
        .max = 1e9,
        .help = "edges to choose; default: a twentieth of all"},
    {.name = "threshold",
        .type = PARAM_FLOAT,
        .def = "0.01",
        .min = -1e30,
        .max = 1e30,
        .help = "the least score of --select threshold"},
    {.name = "absolute",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "rank edges by the size of their score, whatever its sign"},
    {.name = "prune",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "remove what nothing reaches or what reaches nothing"},
    {.name = "curve",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "run circuits of growing size, and what is left without them"},
    {.name = "sizes",
        .type = PARAM_LIST,
        .metavar = "LIST",
        .help =
            "numbers of edges on the curve; default: .001 .002 .005 .01 .02 .05 .1 .2 .5 and 1 of "
            "all"},
    {.name = "check",
        .type = PARAM_INT,
        .def = "0",
        .metavar = "K",
        .min = 0,
        .max = 10000,
        .help = "cut the K edges of largest score and K random others, one at a time, and say how "
                "well the scores agree; 0: none"},
    {.name = "each", .type = PARAM_BOOL, .def = "false", .help = "also the scores of every pair"},
    {.name = "graph-in",
        .type = PARAM_FILE,
        .metavar = "FILE.json",
        .help = "take scores and the circuit from a graph of the EAP-IG library"},
    {.name = "graph-out",
        .type = PARAM_FILE,
        .metavar = "FILE.json",
        .help = "write the circuit as such a graph"},
};

const char edges_source[] =
    "Syed et al. 2023 (arXiv 2310.10348); Hanna et al. 2024 (arXiv 2403.17806)";

/* ---- Before the first pair ---- */

static int label(struct edges *s, struct arena *a, struct err *e)
{
    const struct graph *g = &s->graph;
    char name[GRAPH_NAME];
    s->writer = arena_array(a, (size_t)g->writers, sizeof *s->writer, e);
    s->reader = arena_array(a, (size_t)g->readers, sizeof *s->reader, e);
    if (!s->writer || !s->reader)
        return ERR_LIMIT;
    for (int64_t u = 0; u < g->writers; u++) {
        graph_writer_name(name, g, u);
        if (!(s->writer[u] = arena_strdup(a, name, e)))
            return ERR_LIMIT;
    }
    for (int64_t v = 0; v < g->readers; v++) {
        graph_reader_name(name, g, v);
        if (!(s->reader[v] = arena_strdup(a, name, e)))
            return ERR_LIMIT;
    }
    return 0;
}

/* Means over the corrupt prompts of each length. */
static int reference_means(struct edges *s, struct ctx *ctx, struct err *e)
{
    int64_t C = ctx->model->cfg.d_model, sites = 2 * s->graph.layers + 1;
    if (s->x.ablation != ABLATE_MEAN)
        return 0;
    if (lengths_of(&s->lengths, ctx, false, e))
        return e->code;
    for (int k = 0; k < s->lengths.n; k++) {
        struct length *l = &s->lengths.list[k];
        int64_t n = sites * l->T * C, found = 0;
        float *mean = arena_array(ctx->arena, (size_t)n, sizeof *mean, e);
        l->own = mean;
        struct arena_mark mark = arena_mark(ctx->arena);
        double *sum = arena_zalloc(ctx->arena, (size_t)n * sizeof *sum, e);
        if (!mean || !sum)
            return ERR_LIMIT;
        for (int i = 0; i < s->n_pairs; i++)
            if (ctx->pairs[i].corrupt->n == l->T) {
                found++;
                if (eap_add_sites(sum, &s->x, ctx->pairs[i].corrupt, e))
                    return e->code;
            }
        if (!found)
            return err_set(e, ERR_USAGE,
                "--ablation mean: no corrupt prompt has the %lld tokens of a clean one; take "
                "--ablation resample or zero, or add a pair whose corrupt prompt has as many",
                (long long)l->T);
        for (int64_t i = 0; i < n; i++)
            mean[i] = (float)(sum[i] / (double)found);
        arena_rewind(ctx->arena, mark);
    }
    return 0;
}

static int declare_metric(struct block **b, struct run *out, const struct edges *s,
    const char *name, const char *what, struct err *e)
{
    return run_block(b, out,
        &(struct block_spec){.name = name,
            .input = -1,
            .rank = 1,
            .axes = {{"input", AXIS_INPUT, s->n_pairs, NULL}},
            .unit = metric_unit(s->x.kind),
            .long_name = what,
            .look = LOOK_BARS,
            .is_signed = true,
            .by_slice = true},
        e);
}

static struct block_spec matrix_spec(const struct edges *s, const char *name, const char *what)
{
    const struct graph *g = &s->graph;
    return (struct block_spec){.name = name,
        .input = -1,
        .rank = 2,
        .axes = {{"source", AXIS_COMPONENT, g->writers, s->writer},
            {"target", AXIS_COMPONENT, g->readers, s->reader}},
        .unit = metric_unit(s->x.kind),
        .long_name = what,
        .source = edges_source,
        .look = LOOK_HEATMAP,
        .is_signed = true,
        .is_detail = true}; /* the table of edges tells it */
}

static int declare_each(struct edges *s, struct run *out, struct err *e)
{
    struct block_spec spec = matrix_spec(s, "score_by_input", "scores of every pair");
    memmove(spec.axes + 1, spec.axes, 2 * sizeof *spec.axes);
    spec.axes[0] = (struct axis){"input", AXIS_INPUT, s->n_pairs, NULL};
    spec.rank = 3;
    spec.by_slice = true;
    return run_block(&s->by_input, out, &spec, e);
}

static enum eap_method method_of(const struct ctx *ctx)
{
    static const char *const methods[] = {
        "eap", "eap_ig_inputs", "eap_ig_activations", "clean_corrupted"};
    int i = 0;
    while (i < 3 && strcmp(args_text(ctx->args, "method"), methods[i]))
        i++;
    return (enum eap_method)i;
}

/* Edges of a file without a score (NaN or null there): a circuit can be measured without, but a column of
 * NaN must not come silently. */
static int note_unscored(const struct edges *s, struct ctx *ctx, const char *file, struct err *e)
{
    const struct graph *g = &s->graph;
    int64_t kept = 0, unscored = 0, first = -1;
    char from[GRAPH_NAME], to[GRAPH_NAME];
    for (int64_t v = 0; v < g->readers; v++)
        for (int64_t u = 0; u < graph_parents(g, v); u++) {
            const int64_t i = u * g->readers + v;
            if (!g->kept[i])
                continue;
            kept++;
            unscored += isnan(g->score[i]) != 0;
            first = isnan(g->score[i]) && first < 0 ? i : first;
        }
    if (!unscored || !ctx->note)
        return 0;
    graph_writer_name(from, g, first / g->readers);
    graph_reader_name(to, g, first % g->readers);
    const char *text = arena_printf(ctx->arena, e,
        "%s: %lld of %lld edges of the circuit have no score (NaN or null; the first: %s->%s): it "
        "is "
        "measured as it is, their scores in the table are NaN",
        file, (long long)unscored, (long long)kept, from, to);
    if (!text)
        return e->code;
    ctx->note(ctx->note_arg, text);
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct edges *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    static const char *const ablations[] = {"resample", "zero", "mean"};
    s->x.method = method_of(ctx);
    for (int i = 0; i < 3; i++)
        if (!strcmp(args_text(ctx->args, "ablation"), ablations[i]))
            s->x.ablation = (enum ablation)i;
    s->x.ctx = ctx;
    s->x.graph = &s->graph;
    s->x.steps = (int)args_int(ctx->args, "steps");
    s->pos = args_int(ctx->args, "pos");
    s->absolute = args_bool(ctx->args, "absolute");
    s->n_pairs = ctx->n_inputs / 2;
    const char *file = args_text(ctx->args, "graph-in");
    s->has_file = file && *file;
    s->clean = arena_array(ctx->arena, (size_t)s->n_pairs, sizeof *s->clean, e);
    if (!s->clean || metric_parse(&s->x.kind, args_text(ctx->args, "metric"), e))
        return e->code;
    if (s->x.kind == METRIC_KL && s->x.method == EAP && !s->has_file)
        return err_set(e, ERR_USAGE,
            "--method eap: kl to the clean run is least there and has no gradient; take --method "
            "eap_ig_inputs or clean_corrupted");
    if (graph_init(&s->graph, &ctx->model->cfg, ctx->arena, e) || label(s, ctx->arena, e))
        return e->code;
    if (s->has_file && (graph_read(&s->graph, file, e) || note_unscored(s, ctx, file, e)))
        return e->code;
    if (!s->has_file && moments_init(&s->score, s->graph.writers * s->graph.readers, ctx->arena, e))
        return e->code;
    if (reference_means(s, ctx, e) ||
        declare_metric(&s->clean_block, out, s, "clean_metric", "metric of the clean prompt", e) ||
        declare_metric(
            &s->corrupt_block, out, s, "corrupt_metric", "metric of the corrupt prompt", e))
        return e->code;
    if (!s->has_file && eap_expect(&s->x, ctx->pairs, s->n_pairs, s->pos, e))
        return e->code;
    return args_bool(ctx->args, "each") && !s->has_file ? declare_each(s, out, e) : 0;
}

/* ---- Groups of pairs ---- */

static size_t room(const struct ctx *ctx)
{
    return ctx->max_bytes ? ctx->max_bytes / 3 : ENOUGH;
}

/* Whether pairs [first, i] fit a group. */
static bool fits(const struct edges *s, const struct ctx *ctx, int i)
{
    return eap_fits(&s->x, ctx->pairs + s->first, i + 1 - s->first, room(ctx));
}

int edges_open(
    struct eap_item **out, const struct edges *s, struct ctx *ctx, int first, int n, struct err *e)
{
    struct eap_item *items = arena_zalloc(ctx->arena, (size_t)n * sizeof *items, e);
    for (int i = 0; items && i < n; i++) {
        if (eap_item_init(&items[i], &ctx->pairs[first + i], s->x.kind, s->pos, ctx, e))
            return e->code;
        if (s->x.ablation == ABLATE_MEAN)
            items[i].mean = lengths_find(&s->lengths, ctx->pairs[first + i].clean->n)->own;
    }
    *out = items;
    return items ? 0 : ERR_LIMIT;
}

static int write_group(
    struct edges *s, struct ctx *ctx, const struct eap_item *items, int n, struct err *e)
{
    int64_t U = s->graph.writers, V = s->graph.readers, one = 1;
    float *row = arena_array(ctx->arena, (size_t)(U * V), sizeof *row, e);
    if (!row)
        return ERR_LIMIT;
    for (int i = 0; i < n; i++) {
        int64_t at[3] = {s->first + i, 0, 0};
        float clean = (float)items[i].clean, corrupt = (float)items[i].corrupt;
        s->clean[s->first + i] = items[i].clean;
        if (block_write(s->clean_block, at, &one, &clean, e) ||
            block_write(s->corrupt_block, at, &one, &corrupt, e))
            return e->code;
        if (s->has_file)
            continue;
        for (int64_t k = 0; k < U * V; k++) {
            bool real = k / V < graph_parents(&s->graph, k % V);
            row[k] = real ? (float)items[i].score[k] : NAN;
            moments_add(&s->score, k, real ? items[i].score[k] : (double)NAN);
        }
        if (s->by_input && block_write(s->by_input, at, (int64_t[3]){1, U, V}, row, e))
            return e->code;
    }
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)out;
    (void)acts;
    struct edges *s = ctx->state;
    int i = (int)(in - ctx->inputs) / 2;
    if ((in - ctx->inputs) % 2 == 0 || (i + 1 < s->n_pairs && fits(s, ctx, i + 1)))
        return 0;
    struct eap_item *items;
    int n = i + 1 - s->first;
    if (edges_open(&items, s, ctx, s->first, n, e))
        return e->code;
    if (s->has_file ? eap_metrics(&s->x, items, n, e) : eap_score(&s->x, items, n, e))
        return e->code;
    if (write_group(s, ctx, items, n, e))
        return e->code;
    s->first = i + 1;
    return 0;
}

/* ---- The graph ---- */

static int write_scores(struct edges *s, struct ctx *ctx, struct run *out, struct err *e)
{
    struct graph *g = &s->graph;
    struct block *b;
    struct block_spec spec = matrix_spec(
        s, "score", "estimated fall of the metric when the edge is cut, mean over pairs");
    if (run_block(&b, out, &spec, e) || block_set(b, g->score, e))
        return e->code;
    if (s->has_file || s->n_pairs < 2)
        return 0;
    spec = matrix_spec(s, "score_se", "standard error of the mean over pairs");
    spec.is_signed = false;
    return moments_write(out, &spec, &s->score, true, ctx->arena, e);
}

static int choose(
    struct edges *s, const struct ctx *ctx, const int64_t *ranked, int64_t n, struct err *e)
{
    struct graph *g = &s->graph;
    const char *how = args_text(ctx->args, "select");
    const struct param_value *top = args_get(ctx->args, "top");
    int64_t want = top->has ? top->i : (g->edges + 19) / 20;
    if (s->has_file && !top->is_set && !args_get(ctx->args, "threshold")->is_set)
        return 0; /* the file's own circuit */
    want = want < n ? want : n;
    if (!strcmp(how, "threshold"))
        graph_threshold(g, args_float(ctx->args, "threshold"), s->absolute);
    else if (!strcmp(how, "greedy") && graph_greedy(g, want, s->absolute, ctx->arena, e))
        return e->code;
    else if (!strcmp(how, "top"))
        graph_top(g, ranked, want);
    if (args_bool(ctx->args, "prune"))
        graph_prune(g);
    return 0;
}

/* Every scored edge, best first. */
static int write_table(
    const struct edges *s, struct run *out, const int64_t *ranked, int64_t n, struct err *e)
{
    const struct graph *g = &s->graph;
    const struct column columns[] = {{"source", "", DT_F32, true}, {"target", "", DT_F32, true},
        {"kind", "", DT_F32, true}, {"score", metric_unit(s->x.kind), DT_F32, false},
        {"kept", "", DT_I32, false}};
    struct block *b;
    if (run_block(&b, out,
            &(struct block_spec){.name = "edge",
                .input = -1,
                .rank = 1,
                .axes = {{"edge", AXIS_OTHER, 0, NULL}},
                .unit = "",
                .long_name = "edges by the size of their score, and whether the circuit has them",
                .source = edges_source,
                .look = LOOK_GRAPH,
                .columns = columns,
                .n_columns = 5},
            e))
        return e->code;
    for (int64_t i = 0; i < n; i++) {
        int64_t u = ranked[i] / g->readers, v = ranked[i] % g->readers;
        struct cell_value row[] = {{.text = s->writer[u]}, {.text = s->reader[v]},
            {.text = graph_kind(g, v)}, {.number = g->score[ranked[i]]},
            {.number = g->kept[ranked[i]]}};
        if (block_append(b, row, e))
            return e->code;
    }
    return 0;
}

/* What a writer is worth: the sum over its edges. */
static int write_nodes(const struct edges *s, struct ctx *ctx, struct run *out, struct err *e)
{
    const struct graph *g = &s->graph;
    struct block *b;
    float *x = arena_zalloc(ctx->arena, (size_t)g->writers * sizeof *x, e);
    if (!x)
        return ERR_LIMIT;
    for (int64_t u = 0; u < g->writers; u++)
        for (int64_t v = 0; v < g->readers; v++)
            x[u] += u < graph_parents(g, v) ? g->score[u * g->readers + v] : 0;
    if (run_block(&b, out,
            &(struct block_spec){.name = "node_score",
                .input = -1,
                .rank = 1,
                .axes = {{"component", AXIS_COMPONENT, g->writers, s->writer}},
                .unit = metric_unit(s->x.kind),
                .long_name = "sum of the scores of a node's outgoing edges",
                .source = edges_source,
                .look = LOOK_BARS,
                .is_signed = true},
            e))
        return e->code;
    return block_set(b, x, e);
}

/* ---- Circuits, exactly ---- */

static int add_size(
    struct edges *s, const struct ctx *ctx, const int64_t *ranked, int64_t n, struct err *e)
{
    struct graph *g = &s->graph, own = *g;
    size_t cells = (size_t)(g->writers * g->readers);
    if (s->n_sizes && s->wanted[s->n_sizes - 1] == n)
        return 0;
    own.kept = arena_zalloc(ctx->arena, cells, e);
    own.node = arena_zalloc(ctx->arena, (size_t)g->writers + 1, e);
    if (!own.kept || !own.node)
        return ERR_LIMIT;
    graph_top(&own, ranked, n);
    if (args_bool(ctx->args, "prune"))
        graph_prune(&own);
    s->wanted[s->n_sizes] = n;
    s->got[s->n_sizes] = graph_kept_edges(&own);
    s->mask[s->n_sizes++] = own.kept;
    return 0;
}

static int add_sizes(
    struct edges *s, const struct ctx *ctx, const int64_t *ranked, int64_t n, struct err *e)
{
    static const double shares[] = {.001, .002, .005, .01, .02, .05, .1, .2, .5, 1};
    const struct param_value *sizes = args_get(ctx->args, "sizes");
    if (sizes->n_list) {
        if (sizes->n_list > MAX_SIZES)
            return err_set(e, ERR_USAGE, "--sizes: at most %d of them", MAX_SIZES);
        for (int i = 0; i < sizes->n_list; i++)
            if (add_size(s, ctx, ranked, sizes->list[i] < n ? sizes->list[i] : n, e))
                return e->code;
        return 0;
    }
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (add_size(s, ctx, ranked, (int64_t)llrint(shares[i] * (double)n), e))
            return e->code;
    return 0;
}

/* Values over pairs of each circuit: kept edges alone, and all but them; the last but one is the
 * chosen circuit, the last has no edge. */
struct curves {
    struct moments circuit, complement;
    double *model; /* sum over pairs */
};

int edges_run(struct wired *jobs, int n, const struct edges *s, const struct ctx *ctx, int64_t T,
    struct err *e)
{
    int64_t per = (int64_t)(room(ctx) / wiring_bytes(&s->x, T)), rows = WIRING_ROWS / T;
    per = per < rows ? per : rows;
    per = per < 1 ? 1 : per;
    for (int i = 0; i < n; i += (int)per)
        if (wiring_run(jobs + i, n - i < per ? n - i : (int)per, &s->x, e))
            return e->code;
    return 0;
}

static int run_pair(struct edges *s, struct ctx *ctx, struct curves *c, int pair,
    struct block *const by_input[2], struct err *e)
{
    const int m = s->n_sizes;
    struct eap_item *item;
    float *other, *row = arena_array(ctx->arena, (size_t)m, sizeof *row, e);
    struct wired *jobs = arena_array(ctx->arena, 2 * (size_t)m, sizeof *jobs, e);
    if (!jobs || !row || edges_open(&item, s, ctx, pair, 1, e) ||
        eap_others(&other, &s->x, item, e))
        return e->code;
    for (int k = 0; k < 2 * m; k++)
        jobs[k] = (struct wired){
            .item = item, .kept = s->mask[k % m], .complement = k >= m, .other = other};
    if (edges_run(jobs, 2 * m, s, ctx, ctx->pairs[pair].clean->n, e))
        return e->code;
    for (int side = 0; side < 2; side++) {
        for (int k = 0; k < m; k++) {
            double v = jobs[side * m + k].value;
            moments_add(side ? &c->complement : &c->circuit, k, v);
            row[k] = (float)v;
        }
        int64_t at[2] = {pair, 0}, count[2] = {1, m - 2};
        if (block_write(by_input[side], at, count, row, e))
            return e->code;
    }
    return 0;
}

static int declare_curve(struct block **b, struct run *out, const struct edges *s,
    const char **labels, const char *name, const char *unit, const char *what, bool by_input,
    struct err *e)
{
    struct block_spec spec = {.name = name,
        .input = -1,
        .rank = 1,
        .axes = {{"edges kept", AXIS_OTHER, s->n_sizes - 2, labels}},
        .unit = unit,
        .long_name = what,
        .source = "Hanna et al. 2024 (arXiv 2403.17806); Mueller et al. 2025 (arXiv 2504.13151)",
        .look = by_input ? LOOK_HEATMAP : LOOK_LINES,
        .is_signed = true,
        .is_detail = strcmp(unit, "ratio") != 0, /* the ratios tell them */
        .by_slice = by_input};
    if (by_input) {
        spec.axes[1] = spec.axes[0];
        spec.axes[0] = (struct axis){"input", AXIS_INPUT, s->n_pairs, NULL};
        spec.rank = 2;
    }
    return run_block(b, out, &spec, e);
}

/* Trapezoids of f over the share of edges: CPR, and of |1 - f|: CMD. */
static void areas(float out[2], const struct edges *s, const float *f)
{
    out[0] = out[1] = 0;
    for (int k = 1; k < s->n_sizes - 2; k++) {
        double w = (double)(s->wanted[k] - s->wanted[k - 1]) / (double)s->graph.edges / 2;
        out[0] += (float)(w * (f[k] + f[k - 1]));
        out[1] += (float)(w * (fabs(1 - (double)f[k]) + fabs(1 - (double)f[k - 1])));
    }
}

static int write_curves(struct edges *s, struct ctx *ctx, struct run *out, const struct curves *c,
    const char **labels, struct err *e)
{
    int m = s->n_sizes, n = m - 2;
    const char *unit = metric_unit(s->x.kind);
    double model = 0, empty = c->circuit.mean[m - 1];
    for (int i = 0; i < s->n_pairs; i++)
        model += s->clean[i] / s->n_pairs;
    float *x = arena_array(ctx->arena, (size_t)(m + 2), sizeof *x, e);
    int32_t *got = arena_array(ctx->arena, (size_t)m, sizeof *got, e);
    float area[2];
    struct block *b;
    if (!x || !got)
        return ERR_LIMIT;
    for (int side = 0; side < 2; side++) {
        const struct moments *v = side ? &c->complement : &c->circuit;
        for (int k = 0; k < m; k++)
            x[k] = (float)((v->mean[k] - empty) / (model - empty));
        if (!side)
            areas(area, s, x);
        if (declare_curve(&b, out, s, labels, side ? "completeness" : "faithfulness", "ratio",
                side ? "metric of the model without these edges: 0 as with none, 1 as the whole "
                       "model"
                     : "metric of these edges alone: 0 as with none, 1 as the whole model",
                false, e) ||
            block_set(b, x, e))
            return e->code;
        for (int se = 0; se < 2; se++) {
            static const char *const names[2][2] = {{"circuit_metric", "circuit_metric_se"},
                {"complement_metric", "complement_metric_se"}};
            for (int k = 0; k < n; k++)
                x[k] = se ? moments_se(v, k) : moments_mean(v, k);
            if (declare_curve(&b, out, s, labels, names[side][se], unit,
                    se ? "standard error over pairs" : "mean over pairs", false, e) ||
                block_set(b, x, e))
                return e->code;
        }
    }
    for (int k = 0; k < n; k++)
        got[k] = (int32_t)s->got[k];
    static const char *const chosen[] = {"edges", "nodes", "faithfulness", "completeness", "metric",
        "complement metric", "model metric", "empty metric", "CPR", "CMD"};
    double circuit = c->circuit.mean[n], rest = c->complement.mean[n];
    const float summary[] = {(float)graph_kept_edges(&s->graph), (float)graph_kept_nodes(&s->graph),
        (float)((circuit - empty) / (model - empty)), (float)((rest - empty) / (model - empty)),
        (float)circuit, (float)rest, (float)model, (float)empty, area[0], area[1]};
    struct block_spec spec = {.name = "kept_after_pruning",
        .input = -1,
        .dtype = DT_I32,
        .rank = 1,
        .axes = {{"edges kept", AXIS_OTHER, n, labels}},
        .unit = "edges",
        .long_name = "edges that pruning leaves",
        .look = LOOK_LINES,
        .is_detail = true};
    if (run_block(&b, out, &spec, e) || block_set(b, got, e))
        return e->code;
    spec = (struct block_spec){.name = "circuit",
        .input = -1,
        .rank = 1,
        .axes = {{"what", AXIS_OTHER, 10, chosen}},
        .unit = "",
        .long_name = "the chosen circuit: its size, how much of the metric it keeps, and the areas "
                     "under the curve",
        .look = LOOK_TABLE};
    return run_block(&b, out, &spec, e) || block_set(b, summary, e) ? e->code : 0;
}

static int curves(struct edges *s, struct ctx *ctx, struct run *out, const int64_t *ranked,
    int64_t n, struct err *e)
{
    struct curves c;
    struct block *by_input[2];
    if (!n)
        return err_set(e, ERR_INPUT, "%s: no edge has a score; the curve needs them (--no-curve)",
            args_text(ctx->args, "graph-in"));
    if (add_sizes(s, ctx, ranked, n, e))
        return e->code;
    if (s->n_sizes > MAX_SIZES - 2)
        return err_set(e, ERR_USAGE, "--sizes: at most %d of them", MAX_SIZES - 2);
    s->mask[s->n_sizes++] = s->graph.kept;
    s->mask[s->n_sizes] =
        arena_zalloc(ctx->arena, (size_t)(s->graph.writers * s->graph.readers), e);
    const char **labels = arena_array(ctx->arena, (size_t)s->n_sizes, sizeof *labels, e);
    if (!s->mask[s->n_sizes++] || !labels || moments_init(&c.circuit, s->n_sizes, ctx->arena, e) ||
        moments_init(&c.complement, s->n_sizes, ctx->arena, e))
        return ERR_LIMIT;
    for (int k = 0; k < s->n_sizes - 2; k++)
        if (!(labels[k] = arena_printf(ctx->arena, e, "%lld", (long long)s->wanted[k])))
            return ERR_LIMIT;
    static const char *const names[] = {"circuit_metric_by_input", "complement_metric_by_input"};
    for (int side = 0; side < 2; side++)
        if (declare_curve(&by_input[side], out, s, labels, names[side], metric_unit(s->x.kind),
                side ? "metric without the kept edges, every pair"
                     : "metric of the kept edges alone, every pair",
                true, e))
            return e->code;
    for (int i = 0; i < s->n_pairs; i++) {
        struct arena_mark mark = arena_mark(ctx->arena);
        if (run_pair(s, ctx, &c, i, by_input, e))
            return e->code;
        arena_rewind(ctx->arena, mark);
    }
    return write_curves(s, ctx, out, &c, labels, e);
}

/* After a run was cancelled: what the pairs so far give, without more runs. */
static int end_early(const struct edges *s, struct run *out, struct err *e)
{
    return run_attr_int(out, "pairs_scored", s->first, e) ||
                   run_attr_text(out, "note",
                       "cancelled: scores and graph are of the first pairs_scored pairs; circuits "
                       "were not run",
                       e)
               ? e->code
               : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    struct edges *s = ctx->state;
    const bool is_early = s->first < s->n_pairs;
    if (s->has_ended) /* cancelled in here */
        return run_attr_text(out, "note",
            "cancelled while circuits were run: scores and graph are whole, there is no curve", e);
    if (is_early && (s->has_file || !s->first))
        return 0; /* nothing to say yet */
    s->has_ended = true;
    int64_t *ranked = arena_array(ctx->arena, (size_t)s->graph.edges, sizeof *ranked, e);
    const char *file = args_text(ctx->args, "graph-out");
    if (!ranked)
        return ERR_LIMIT;
    for (int64_t i = 0; i < s->score.n && !s->has_file; i++)
        s->graph.score[i] = moments_mean(&s->score, i);
    int64_t n = graph_rank(ranked, &s->graph, s->absolute, e);
    if (n < 0 || choose(s, ctx, ranked, n, e) || write_table(s, out, ranked, n, e) ||
        write_scores(s, ctx, out, e) || write_nodes(s, ctx, out, e))
        return e->code;
    if (file && *file && graph_write(file, &s->graph, e))
        return e->code;
    if (is_early)
        return end_early(s, out, e);
    if (args_int(ctx->args, "check") &&
        edges_check(s, ctx, out, ranked, n, args_int(ctx->args, "check"), e))
        return e->code;
    return args_bool(ctx->args, "curve") ? curves(s, ctx, out, ranked, n, e) : 0;
}

/* A prompt's half of its pair: the passes of the scores, and those of circuits, wired edge by edge. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    const double C = cfg->d_model, T = (double)n, steps = (double)args_int(ctx->args, "steps");
    const double n_sizes = args_get(ctx->args, "sizes")->n_list;
    const char *file = args_text(ctx->args, "graph-in");
    const bool has_file = file && *file;
    struct eap x = {.ctx = (struct ctx *)ctx,
        .method = method_of(ctx),
        .steps = (int)args_int(ctx->args, "steps")};
    struct graph g;
    graph_size(&g, cfg);
    x.graph = &g;
    const double edges = (double)g.edges, cells = (double)g.writers * (double)g.readers;
    const double one = cost_back(cfg, n, 1, false).flops / 3, wired = one + 2 * T * edges * C;
    const double points = x.method == EAP                   ? 1
                          : x.method == EAP_CLEAN_CORRUPTED ? 2
                          : x.method == EAP_IG_ACTIVATIONS  ? steps * cfg->n_layer
                                                            : steps;
    const double sizes = n_sizes ? n_sizes : 10;
    const double circuits = (args_bool(ctx->args, "curve") ? 2 * (sizes + 2) : 0) +
                            2 * (double)args_int(ctx->args, "check");
    out->flops = ((has_file ? 2 : 2 + 2 * points) * one + circuits * wired) / 2;
    out->keep_bytes =
        (uint64_t)(2 * circuits + (has_file || !args_bool(ctx->args, "each") ? 0 : 2 * cells) +
                   48 * edges / ctx->n_inputs); /* a row of the table an edge */
    const int64_t pairs = ctx->n_inputs / 2, most = n > GROUP_MOST ? 1 : GROUP_MOST / n;
    const uint64_t scores = has_file ? 0
                                     : eap_bytes(&x, (pairs < most ? pairs : most) * n,
                                           (int)(pairs < most ? pairs : most));
    const int64_t jobs = n > WIRING_ROWS ? 1 : WIRING_ROWS / n;
    const uint64_t wires =
        circuits > 0 ? (uint64_t)(circuits < jobs ? circuits : jobs) * wiring_bytes(&x, n) : 0;
    /* Groups and batches take no more than there is room for, but for one pair. */
    const uint64_t all = scores > wires ? scores : wires, bound = room(ctx);
    const uint64_t pair = has_file ? 0 : eap_bytes(&x, n, 1);
    const uint64_t job = circuits > 0 ? wiring_bytes(&x, n) : 0, least = pair > job ? pair : job;
    out->scratch_bytes = all <= bound ? all : bound > least ? bound : least;
    out->scratch_bytes += (uint64_t)(cells * (40 + sizes));
}

const struct analysis analysis_edges = {
    .id = "edges",
    .title = "edge attribution patching, EAP and EAP-IG: which edges carry the answer",
    .help = "Scores every edge between heads, MLPs, input and logits by edge attribution patching, "
            "chooses a circuit, and runs circuits of growing size exactly. Graphs are read and "
            "written in the form of the EAP-IG library.",
    .source = edges_source,
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_NEEDED,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
