#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/cost.h"
#include "analysis/graph.h"
#include "analysis/moments.h"
#include "analysis/patch_pair.h"
#include "model/backward.h"

/* Path patching (Wang et al. 2022, arXiv 2211.00593, section 3.1). A sender's output becomes the other
 * run's while every other head keeps its own, so that nothing moves between positions and only MLPs
 * are computed again: all senders march upward as rows of one batch. What a receiver then sees is
 * patched into the receiving run by the exact sweep, which computes all that comes later. */

#define CHUNK_ROWS 512 /* senders times positions under way */
#define PARTS 3

static const struct param params[] = {
    {.name = "senders",
        .type = PARAM_STRING,
        .def = "all",
        .metavar = "LIST",
        .help = "whose output is replaced: input, heads as a9.h6, MLPs as m3; all"},
    {.name = "receivers",
        .type = PARAM_STRING,
        .def = "logits",
        .metavar = "LIST",
        .help = "who sees it: logits, m3, a9.h9<q> (<k>, <v>), a9.h9 for all three; all"},
    {.name = "freeze-mlps",
        .type = PARAM_BOOL,
        .def = "false",
        .help = "MLPs between sender and receiver keep their output too: the direct edge alone"},
    {.name = "direction",
        .type = PARAM_CHOICE,
        .def = "denoise",
        .choices = "denoise|noise",
        .help =
            "denoise puts clean outputs into the corrupt run, noise corrupt ones into the clean, "
            "as the paper does"},
    {.name = "metric",
        .type = PARAM_CHOICE,
        .def = "logit_diff",
        .choices = PAIR_METRICS,
        .help = "what is measured; " PAIR_METRICS_SEVERAL},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position of the metric in the receiving prompt; negative counts from the end"},
    {.name = "sender-pos",
        .type = PARAM_LIST,
        .metavar = "LIST",
        .help = "positions of the receiving prompt at which the sender is replaced; default: all"},
};

static const char path_source[] = "Wang et al. 2022 (arXiv 2211.00593), path patching";
static const enum site sites[] = {
    SITE_Q, SITE_K, SITE_V, SITE_Z, SITE_ATTN_OUT, SITE_MLP_OUT, SITE_RESID_MID, SITE_RESID_POST};
enum { N_SITES = sizeof sites / sizeof *sites };

struct path {
    struct graph graph;
    struct patch_pair_opts o;
    int64_t *sender, *receiver; /* indices in the graph */
    int n_senders, n_receivers;
    bool *wants_qkv, *wants_mlp; /* [L] some receiver */
    int n_pairs, next;
    struct moments effect, linear;
    double clean_sum, corrupt_sum; /* over the pairs in these */
    struct block *effect_by_input, *linear_by_input, *clean, *corrupt;
    const char **sender_names, **receiver_names;
};

/* One pair under way. */
struct walk {
    struct ctx *ctx;
    struct path *s;
    struct patch_pair p;
    int64_t T, C;
    int first, n;         /* senders of this chunk */
    float *x;             /* [n, T, C] residual stream of each sender's run */
    float *delta;         /* [n, T, C] */
    float *y, *h, *scale; /* scratch: [n, T, C], [n, T, F], [n, T] */
    float ***qkv;         /* [L][PARTS] -> [n, T, C], where wanted */
    float **mlp;          /* [L][n, T, C], where wanted */
    float *w_o;           /* [C, C] */
    struct trace grad;    /* of the metric by q, k, v, mlp_out and the last resid_post */
    const float **source; /* [SITE_COUNT * L] of one sender */
    struct patch_cell *cell;
    int n_cells;
    float *effect, *linear; /* [senders, receivers] */
    struct err *e;
};

/* ---- Names ---- */

/* "L9H6", "L9H6.q", "9.6" and "L3_mlp" as the graph calls them. */
static void alias(char out[GRAPH_NAME], const char *word, int n)
{
    int layer, head, end = 0;
    char part = 0, text[GRAPH_NAME];
    snprintf(text, sizeof text, "%.*s", n, word);
    snprintf(out, GRAPH_NAME, "%s", text);
    if (sscanf(text, "L%d_mlp%n", &layer, &end) == 1 && end == n)
        snprintf(out, GRAPH_NAME, "m%d", layer);
    else if ((sscanf(text, "L%dH%d%n", &layer, &head, &end) == 2 ||
                 sscanf(text, "a%d.h%d%n", &layer, &head, &end) == 2 ||
                 sscanf(text, "%d.%d%n", &layer, &head, &end) == 2) &&
             end > 0) {
        if (end == n)
            snprintf(out, GRAPH_NAME, "a%d.h%d", layer, head);
        else if (sscanf(text + end, ".%c%n", &part, &layer) == 1 && end + 2 == n) {
            text[end] = '\0';
            alias(out, text, end);
            size_t m = strlen(out);
            snprintf(out + m, GRAPH_NAME - m, "<%c>", part);
        }
    }
}

struct list {
    const struct graph *g;
    bool readers;
    bool *taken; /* [writers] or [readers] */
    const char *flag;
};

static int64_t list_size(const struct list *l)
{
    return l->readers ? l->g->readers : l->g->writers;
}

static void name_of(char buf[GRAPH_NAME], const struct list *l, int64_t i)
{
    if (l->readers)
        graph_reader_name(buf, l->g, i);
    else
        graph_writer_name(buf, l->g, i);
}

static int take(struct list *l, const char *word, int n, struct err *e)
{
    char name[GRAPH_NAME], own[GRAPH_NAME];
    bool found = false;
    alias(name, word, n);
    size_t len = strlen(name);
    for (int64_t i = 0; i < list_size(l); i++) {
        name_of(own, l, i);
        bool whole = !strncmp(own, name, len) && (own[len] == '\0' || own[len] == '<');
        if (whole || !strcmp(name, "all"))
            found = l->taken[i] = true;
    }
    if (found)
        return 0;
    return err_set(e, ERR_USAGE, "--%s: no \"%.*s\" in this model; %s", l->flag, n > 60 ? 60 : n,
        word,
        l->readers ? "as in logits, m3, a1.h2<q>, a1.h2, all" : "as in input, m3, a1.h2, all");
}

static int parse_list(int64_t **out, int *n, const char ***names, struct list *l, const char *text,
    struct arena *a, struct err *e)
{
    l->taken = arena_zalloc(a, (size_t)list_size(l), e);
    if (!l->taken)
        return ERR_LIMIT;
    for (const char *at = text;; at++) {
        int len = (int)strcspn(at, ",");
        if (take(l, at, len, e))
            return e->code;
        at += len;
        if (!*at)
            break;
    }
    *n = 0;
    *out = arena_array(a, (size_t)list_size(l), sizeof **out, e);
    *names = arena_array(a, (size_t)list_size(l), sizeof **names, e);
    for (int64_t i = 0; *out && *names && i < list_size(l); i++) {
        char own[GRAPH_NAME];
        if (!l->taken[i])
            continue;
        name_of(own, l, i);
        (*names)[*n] = arena_strdup(a, own, e);
        if (!(*names)[*n])
            return ERR_LIMIT;
        (*out)[(*n)++] = i;
    }
    return *out && *names ? 0 : ERR_LIMIT;
}

/* ---- Before the first pair ---- */

static struct block_spec spec_of(const struct path *s, const char *name, const char *what)
{
    return (struct block_spec){.name = name,
        .input = -1,
        .rank = 2,
        .axes = {{"sender", AXIS_COMPONENT, s->n_senders, s->sender_names},
            {"receiver", AXIS_COMPONENT, s->n_receivers, s->receiver_names}},
        .unit = metric_unit(s->o.metric),
        .long_name = what,
        .source = path_source,
        .look = LOOK_HEATMAP,
        .is_signed = true};
}

static int declare(struct path *s, struct run *out, struct err *e)
{
    const struct {
        struct block **b;
        const char *name, *what;
        int rank;
    } list[] = {
        {&s->effect_by_input, "effect_by_input",
            "change of the metric when the sender is patched on its paths to the receiver", 3},
        {&s->linear_by_input, "linear_by_input",
            "linear from the receiver on: what is patched there (a head's q, k or v, an MLP's "
            "output, the last resid_post) changes by so much, times the metric's gradient",
            3},
        {&s->clean, "clean_metric", "metric of the clean prompt", 1},
        {&s->corrupt, "corrupt_metric", "metric of the corrupt prompt", 1},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct block_spec spec = spec_of(s, list[i].name, list[i].what);
        memmove(spec.axes + 1, spec.axes, 2 * sizeof *spec.axes);
        spec.axes[0] = (struct axis){"input", AXIS_INPUT, s->n_pairs, NULL};
        spec.rank = list[i].rank;
        spec.look = spec.rank == 1 ? LOOK_BARS : LOOK_HEATMAP;
        spec.by_slice = true;
        spec.is_detail = spec.rank > 1;
        if (run_block(list[i].b, out, &spec, e))
            return e->code;
    }
    return 0;
}

/* Whether anything of the senders can be read by a receiver at all. */
static int check_order(const struct path *s, struct err *e)
{
    for (int k = 0; k < s->n_receivers; k++)
        if (s->sender[0] < graph_parents(&s->graph, s->receiver[k])) /* the first comes earliest */
            return 0;
    return err_set(e, ERR_USAGE,
        "no path leads from --senders (%s%s) to --receivers (%s), which reads before they write; "
        "give earlier senders or later receivers",
        s->sender_names[0], s->n_senders > 1 ? ", .." : "", s->receiver_names[s->n_receivers - 1]);
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    struct path *s = arena_zalloc(ctx->arena, sizeof *s, e);
    if (!s)
        return ERR_LIMIT;
    ctx->state = s;
    s->n_pairs = ctx->n_inputs / 2;
    s->o = (struct patch_pair_opts){.noise = !strcmp(args_text(ctx->args, "direction"), "noise"),
        .pos = args_int(ctx->args, "pos"),
        .sites = sites,
        .n_sites = N_SITES};
    if (ctx->edits && ctx->edits->n)
        return err_set(e, ERR_USAGE, "path does not run with edits; patch and edges do");
    if (metric_parse(&s->o.metric, args_text(ctx->args, "metric"), e) ||
        graph_init(&s->graph, &ctx->model->cfg, ctx->arena, e))
        return e->code;
    struct list from = {&s->graph, false, NULL, "senders"};
    struct list to = {&s->graph, true, NULL, "receivers"};
    if (parse_list(&s->sender, &s->n_senders, &s->sender_names, &from,
            args_text(ctx->args, "senders"), ctx->arena, e) ||
        parse_list(&s->receiver, &s->n_receivers, &s->receiver_names, &to,
            args_text(ctx->args, "receivers"), ctx->arena, e) ||
        check_order(s, e))
        return e->code;
    size_t L = (size_t)s->graph.layers;
    int64_t cells = (int64_t)s->n_senders * s->n_receivers;
    s->wants_qkv = arena_zalloc(ctx->arena, L, e);
    s->wants_mlp = arena_zalloc(ctx->arena, L, e);
    if (!s->wants_qkv || !s->wants_mlp)
        return ERR_LIMIT;
    int per = 3 * s->graph.heads + 1;
    for (int i = 0; i < s->n_receivers; i++) {
        int64_t v = s->receiver[i];
        if (v != graph_logits(&s->graph))
            (v % per == per - 1 ? s->wants_mlp : s->wants_qkv)[v / per] = true;
    }
    if (moments_init(&s->effect, cells, ctx->arena, e) ||
        moments_init(&s->linear, cells, ctx->arena, e))
        return e->code;
    return declare(s, out, e);
}

/* ---- Senders' runs ---- */

static float *floats(struct walk *w, int64_t n)
{
    return arena_array(w->ctx->arena, (size_t)n, sizeof(float), w->e);
}

static const float *base(const struct walk *w, enum site s, int layer)
{
    return trace_site(&w->p.t, s, layer, 0);
}

static const float *other(const struct walk *w, enum site s, int layer)
{
    return w->p.run.source[(size_t)s * (size_t)w->s->graph.layers + (size_t)layer];
}

/* What replaces a sender minus its output, [T, C]. */
static int sender_delta(struct walk *w, int64_t u, float *d)
{
    const struct graph *g = &w->s->graph;
    const struct params *p = w->ctx->params;
    int64_t T = w->T, C = w->C, D = p->cfg.d_head;
    int layer = (int)((u - 1) / (g->heads + 1)), head = (int)((u - 1) % (g->heads + 1));
    if (u == 0) {
        float *row = floats(w, C);
        for (int64_t t = 0; row && t < T; t++) {
            int64_t q = w->p.map[t];
            if (params_embed(d + t * C, p, w->p.to->tokens[t], w->e) ||
                params_embed(row, p, q < 0 ? w->p.to->tokens[t] : w->p.from->tokens[q], w->e))
                return w->e->code;
            for (int64_t c = 0; c < C; c++)
                d[t * C + c] = row[c] - d[t * C + c];
        }
        return row ? 0 : ERR_LIMIT;
    }
    enum site s = head == g->heads ? SITE_MLP_OUT : SITE_Z;
    const float *a = other(w, s, layer), *b = base(w, s, layer);
    if (s == SITE_MLP_OUT) {
        for (int64_t i = 0; i < T * C; i++)
            d[i] = a[i] - b[i];
        return 0;
    }
    const struct panel *panel = params_panel(p, MAT_O, layer, w->e);
    struct arena_mark mark = arena_mark(w->ctx->arena);
    float *dz = panel ? arena_zalloc(w->ctx->arena, (size_t)(T * C) * sizeof *dz, w->e) : NULL;
    if (!dz)
        return w->e->code;
    for (int64_t t = 0; t < T; t++)
        for (int64_t k = head * D; k < (head + 1) * D; k++)
            dz[t * C + k] = a[t * C + k] - b[t * C + k];
    struct epilogue none = {0};
    ops_gemm(d, C, dz, C, T, panel, 0, C, &none, w->ctx->pool);
    arena_rewind(w->ctx->arena, mark);
    return 0;
}

static int deltas(struct walk *w)
{
    const struct param_value *at = args_get(w->ctx->args, "sender-pos");
    int64_t T = w->T, C = w->C;
    bool *on = arena_zalloc(w->ctx->arena, (size_t)T, w->e);
    if (!on)
        return ERR_LIMIT;
    for (int i = 0; i < at->n_list; i++) {
        if (at->list[i] < 0 || at->list[i] >= T)
            return err_set(w->e, ERR_USAGE, "%s: --sender-pos %lld: there are positions 0 to %lld",
                w->p.pair->where, (long long)at->list[i], (long long)T - 1);
        on[at->list[i]] = true;
    }
    for (int i = 0; i < w->n; i++) {
        float *d = w->delta + i * T * C;
        if (sender_delta(w, w->s->sender[w->first + i], d))
            return w->e->code;
        for (int64_t t = 0; t < T; t++)
            if (w->p.map[t] < 0 || (at->n_list && !on[t]))
                memset(d + t * C, 0, (size_t)C * sizeof *d);
    }
    return 0;
}

/* Senders of the chunk before writer u: they come in the graph's order. */
static int before(const struct walk *w, int64_t u)
{
    int n = 0;
    while (n < w->n && w->s->sender[w->first + n] < u)
        n++;
    return n;
}

/* Senders [from, to) begin here: the receiving run's stream and their delta. */
static void start(struct walk *w, int from, int to, const float *stream)
{
    int64_t n = w->T * w->C;
    for (int i = from; i < to; i++)
        for (int64_t k = 0; k < n; k++)
            w->x[i * n + k] = stream[k] + w->delta[i * n + k];
}

static void add(struct walk *w, int senders, const float *to_each)
{
    int64_t n = w->T * w->C;
    for (int i = 0; i < senders; i++)
        for (int64_t k = 0; k < n; k++)
            w->x[i * n + k] += to_each[k];
}

static void normalise(struct walk *w, int64_t rows, const float *gamma, const float *beta)
{
    const struct config *cfg = &w->ctx->model->cfg;
    struct ln ln = {cfg->ln, cfg->ln_eps, gamma, beta, false};
    ops_ln(w->y, w->C, w->scale, w->x, w->C, rows, w->C, &ln, w->ctx->pool);
}

static int attention_half(struct walk *w, int l)
{
    const struct layer_vectors *v = &w->ctx->params->layer[l];
    int n = before(w, graph_head(&w->s->graph, l, 0));
    int64_t rows = n * w->T, C = w->C;
    if (n && w->s->wants_qkv[l]) {
        const struct panel *panel = params_panel(w->ctx->params, MAT_QKV, l, w->e);
        struct epilogue ep = {.bias = v->b_qkv};
        struct arena_mark mark = arena_mark(w->ctx->arena);
        float *all = panel ? floats(w, rows * 3 * C) : NULL;
        if (!all)
            return w->e->code;
        normalise(w, rows, v->ln1_g, v->ln1_b);
        ops_gemm(all, 3 * C, w->y, C, rows, panel, 0, 3 * C, &ep, w->ctx->pool);
        for (int64_t r = 0; r < rows; r++)
            for (int part = 0; part < PARTS; part++)
                memcpy(
                    w->qkv[l][part] + r * C, all + (r * PARTS + part) * C, (size_t)C * sizeof *all);
        arena_rewind(w->ctx->arena, mark);
    }
    add(w, n, base(w, SITE_ATTN_OUT, l));
    start(w, n, before(w, graph_mlp(&w->s->graph, l)), base(w, SITE_RESID_MID, l));
    return 0;
}

static int mlp_half(struct walk *w, int l)
{
    const struct config *cfg = &w->ctx->model->cfg;
    const struct layer_vectors *v = &w->ctx->params->layer[l];
    int n = before(w, graph_mlp(&w->s->graph, l));
    bool frozen = args_bool(w->ctx->args, "freeze-mlps");
    int64_t rows = n * w->T, C = w->C, F = cfg->d_mlp;
    if (n && (!frozen || w->s->wants_mlp[l])) {
        const struct panel *in = params_panel(w->ctx->params, MAT_IN, l, w->e);
        const struct panel *out = in ? params_panel(w->ctx->params, MAT_OUT, l, w->e) : NULL;
        struct epilogue ep = {.bias = v->b_in, .use_act = true, .act = cfg->act};
        if (!out)
            return w->e->code;
        normalise(w, rows, v->ln2_g, v->ln2_b);
        ops_gemm(w->h, F, w->y, C, rows, in, 0, F, &ep, w->ctx->pool);
        ep = (struct epilogue){.bias = v->b_out};
        ops_gemm(w->y, C, w->h, F, rows, out, 0, C, &ep, w->ctx->pool);
        if (w->s->wants_mlp[l])
            memcpy(w->mlp[l], w->y, (size_t)(rows * C) * sizeof *w->y);
        for (int64_t i = 0; !frozen && i < rows * C; i++)
            w->x[i] += w->y[i];
    }
    if (frozen)
        add(w, n, base(w, SITE_MLP_OUT, l));
    const float *post =
        l + 1 < cfg->n_layer ? base(w, SITE_RESID_PRE, l + 1) : base(w, SITE_RESID_POST, l);
    start(w, n, before(w, graph_head(&w->s->graph, l + 1, 0)), post);
    return 0;
}

static int allocate(struct walk *w)
{
    const struct config *cfg = &w->ctx->model->cfg;
    int64_t rows = w->n * w->T, C = w->C;
    w->x = floats(w, rows * C);
    w->delta = floats(w, rows * C);
    w->y = floats(w, rows * C);
    w->h = floats(w, rows * cfg->d_mlp);
    w->scale = floats(w, rows);
    w->qkv = arena_zalloc(w->ctx->arena, (size_t)cfg->n_layer * sizeof *w->qkv, w->e);
    w->mlp = arena_zalloc(w->ctx->arena, (size_t)cfg->n_layer * sizeof *w->mlp, w->e);
    if (!w->x || !w->delta || !w->y || !w->h || !w->scale || !w->qkv || !w->mlp)
        return ERR_LIMIT;
    for (int l = 0; l < cfg->n_layer; l++) {
        if (w->s->wants_mlp[l] && !(w->mlp[l] = floats(w, rows * C)))
            return ERR_LIMIT;
        if (!w->s->wants_qkv[l])
            continue;
        w->qkv[l] = arena_array(w->ctx->arena, PARTS, sizeof *w->qkv[l], w->e);
        for (int part = 0; w->qkv[l] && part < PARTS; part++)
            if (!(w->qkv[l][part] = floats(w, rows * C)))
                return ERR_LIMIT;
        if (!w->qkv[l])
            return ERR_LIMIT;
    }
    return 0;
}

static int run_senders(struct walk *w)
{
    if (allocate(w) || deltas(w))
        return w->e->code;
    start(w, 0, before(w, 1), base(w, SITE_RESID_PRE, 0));
    for (int l = 0; l < w->s->graph.layers; l++)
        if (attention_half(w, l) || mlp_half(w, l))
            return w->e->code;
    return 0;
}

/* ---- Receivers ---- */

static struct patch_cell cell_of(const struct graph *g, int64_t v)
{
    static const enum site parts[PARTS] = {SITE_Q, SITE_K, SITE_V};
    int per = 3 * g->heads + 1, layer = (int)(v / per), in = (int)(v % per);
    struct patch_cell c = {.layer = layer, .layer_end = layer + 1, .pos = -1, .key = -1};
    if (v == graph_logits(g)) {
        c.site = SITE_RESID_POST;
        c.layer = g->layers - 1;
        c.layer_end = g->layers;
    } else if (in == per - 1) {
        c.site = SITE_MLP_OUT;
    } else {
        c.site = parts[in / g->heads];
        c.head = in % g->heads;
    }
    return c;
}

static void cell_at(struct patch_cell *out, void *arg, int64_t i)
{
    *out = ((const struct walk *)arg)->cell[i];
}

static int on_progress(void *arg, double done, double total)
{
    const struct walk *w = arg;
    double senders = w->s->n_senders;
    (void)done;
    (void)total;
    return w->ctx->progress
               ? w->ctx->progress(w->ctx->progress_arg, w->first, senders > 0 ? senders : 1)
               : 0;
}

/* sum over positions of the receiver's change times the gradient. */
static double linear_effect(const struct walk *w, const struct patch_cell *c)
{
    const float *now = base(w, c->site, c->layer), *then = other(w, c->site, c->layer);
    const float *g = trace_site(&w->grad, c->site, c->layer, 0);
    int64_t D = w->ctx->model->cfg.d_head, C = w->C;
    bool is_head = c->site == SITE_Q || c->site == SITE_K || c->site == SITE_V;
    int64_t from = is_head ? c->head * D : 0, to = is_head ? from + D : C;
    double sum = 0;
    for (int64_t t = 0; t < w->T; t++)
        for (int64_t k = from; k < to; k++)
            sum += (double)g[t * C + k] * ((double)then[t * C + k] - (double)now[t * C + k]);
    return sum;
}

/* All receivers of one sender of the chunk. */
static int receive(struct walk *w, int i)
{
    static const enum site parts[PARTS] = {SITE_Q, SITE_K, SITE_V};
    struct path *s = w->s;
    const struct graph *g = &s->graph;
    int64_t n = w->T * w->C, at = (int64_t)(w->first + i) * s->n_receivers;
    size_t L = (size_t)g->layers;
    for (size_t l = 0; l < L; l++) {
        for (int part = 0; w->qkv[l] && part < PARTS; part++)
            w->source[(size_t)parts[part] * L + l] = w->qkv[l][part] + i * n;
        if (w->mlp[l])
            w->source[(size_t)SITE_MLP_OUT * L + l] = w->mlp[l] + i * n;
    }
    w->source[(size_t)SITE_RESID_POST * L + L - 1] = w->x + i * n;
    struct arena_mark mark = arena_mark(w->ctx->arena);
    double *value = arena_array(w->ctx->arena, (size_t)s->n_receivers, sizeof *value, w->e);
    struct patch_run run = w->p.run;
    struct patch_opts o = {.pool = w->ctx->pool,
        .max_bytes = w->ctx->max_bytes ? budget_left(w->ctx->budget) : 0,
        .cell = cell_at,
        .progress = on_progress,
        .arg = w};
    run.source = w->source;
    w->n_cells = 0;
    for (int k = 0; k < s->n_receivers; k++)
        if (s->sender[w->first + i] < graph_parents(g, s->receiver[k]))
            w->cell[w->n_cells++] = cell_of(g, s->receiver[k]);
    if (!value || (w->n_cells && patch_sweep(value, w->n_cells, &run, &o, w->e)))
        return w->e->code;
    double before_patch = s->o.noise ? w->p.clean : w->p.corrupt;
    const float *const *laid = w->p.run.source;
    w->p.run.source = w->source;
    for (int k = 0, cell = 0; k < s->n_receivers; k++) {
        bool is_real = s->sender[w->first + i] < graph_parents(g, s->receiver[k]);
        w->effect[at + k] = is_real ? (float)(value[cell] - before_patch) : NAN;
        w->linear[at + k] = is_real ? (float)linear_effect(w, &w->cell[cell]) : NAN;
        cell += is_real;
    }
    w->p.run.source = laid;
    arena_rewind(w->ctx->arena, mark);
    return 0;
}

/* The metric's gradient in the receiving run. */
static int gradients(struct walk *w)
{
    struct ctx *ctx = w->ctx;
    const struct config *cfg = &ctx->model->cfg;
    struct plan plan, want;
    struct trace t;
    double value;
    int64_t offset[2] = {0, w->T};
    if (plan_init(&plan, cfg, ctx->arena, w->e) || plan_init(&want, cfg, ctx->arena, w->e))
        return w->e->code;
    backward_plan(&plan, cfg);
    plan.logits = LOGITS_NONE;
    plan_keep(&want, SITE_Q, -1);
    plan_keep(&want, SITE_K, -1);
    plan_keep(&want, SITE_V, -1);
    plan_keep(&want, SITE_MLP_OUT, -1);
    plan_keep(&want, SITE_RESID_POST, cfg->n_layer - 1);
    struct forward_opts fo = {
        .plan = &plan, .is_part = true, .pool = ctx->pool, .budget = ctx->budget};
    if (forward(&t, ctx->params, &(struct batch){w->p.to->tokens, offset, 1}, &fo, w->e))
        return w->e->code;
    struct backward_opts bo = {.want = &want, .pool = ctx->pool, .budget = ctx->budget};
    int rc = backward(&w->grad, &value, ctx->params, &t, &w->p.run.metric, &bo, w->e);
    trace_release(&t);
    return rc;
}

static int write_pair(struct walk *w)
{
    struct path *s = w->s;
    int64_t one = 1;
    int64_t at[3] = {s->next++, 0, 0}, count[3] = {1, s->n_senders, s->n_receivers};
    float clean = (float)w->p.clean, corrupt = (float)w->p.corrupt;
    moments_add_all(&s->effect, w->effect);
    moments_add_all(&s->linear, w->linear);
    s->clean_sum += w->p.clean;
    s->corrupt_sum += w->p.corrupt;
    return block_write(s->effect_by_input, at, count, w->effect, w->e) ||
                   block_write(s->linear_by_input, at, count, w->linear, w->e) ||
                   block_write(s->clean, at, &one, &clean, w->e) ||
                   block_write(s->corrupt, at, &one, &corrupt, w->e)
               ? w->e->code
               : 0;
}

static int run_pair(struct walk *w)
{
    struct path *s = w->s;
    struct arena *a = w->ctx->arena;
    size_t L = (size_t)s->graph.layers, cells = (size_t)s->n_senders * (size_t)s->n_receivers;
    w->T = w->p.to->n;
    w->source = arena_zalloc(a, (size_t)SITE_COUNT * L * sizeof *w->source, w->e);
    w->cell = arena_array(a, (size_t)s->n_receivers, sizeof *w->cell, w->e);
    w->effect = floats(w, (int64_t)cells);
    w->linear = floats(w, (int64_t)cells);
    if (!w->source || !w->cell || !w->effect || !w->linear || gradients(w))
        return w->e->code;
    int room = (int)(CHUNK_ROWS / w->T);
    for (w->first = 0; w->first < s->n_senders; w->first += w->n) {
        struct arena_mark mark = arena_mark(a);
        w->n = s->n_senders - w->first < room ? s->n_senders - w->first : room < 1 ? 1 : room;
        if (run_senders(w))
            return w->e->code;
        for (int i = 0; i < w->n; i++)
            if (receive(w, i))
                return w->e->code;
        arena_rewind(a, mark);
        if (on_progress(w, 0, 1))
            return err_set(w->e, ERR_CANCEL, "interrupted");
    }
    return write_pair(w);
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    (void)out;
    (void)acts;
    if ((in - ctx->inputs) % 2 == 0)
        return 0;
    struct walk w = {.ctx = ctx, .s = ctx->state, .C = ctx->model->cfg.d_model, .e = e};
    e->code = 0;
    if (patch_pair_open(&w.p, &ctx->pairs[(in - ctx->inputs) / 2], &w.s->o, ctx, e))
        return e->code;
    int rc = run_pair(&w);
    trace_release(&w.grad);
    patch_pair_release(&w.p);
    return rc;
}

/* The mean effect over mean clean - mean corrupt: a change as attr normalises it, whatever the
 * direction, so that denoising everything gives 1 and noising everything -1. */
static int write_normalized(const struct path *s, struct ctx *ctx, struct run *out, struct err *e)
{
    struct block_spec spec = spec_of(s, "effect_normalized",
        "mean effect / (mean clean - mean corrupt): all of it is 1 under denoise, -1 under noise");
    const int64_t cells = (int64_t)s->n_senders * s->n_receivers;
    const double span = s->clean_sum - s->corrupt_sum;
    const bool is_flat = patch_pair_is_flat(s->clean_sum, s->corrupt_sum);
    float *x = arena_array(ctx->arena, (size_t)cells, sizeof *x, e);
    struct block *b;
    if (!x)
        return ERR_LIMIT;
    for (int64_t i = 0; i < cells; i++)
        x[i] = is_flat || !s->effect.count[i]
                   ? NAN
                   : (float)(s->effect.mean[i] * s->effect.count[i] / span);
    spec.unit = "clean - corrupt";
    return run_block(&b, out, &spec, e) || block_set(b, x, e) ? e->code : 0;
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    const struct path *s = ctx->state;
    struct block_spec effect = spec_of(s, "effect",
        "change of the metric when the sender is patched on its paths to the receiver, mean over "
        "pairs");
    struct block_spec linear = spec_of(s, "linear",
        "linear from the receiver on: the change of a head's q, k or v, of an MLP's output or of "
        "the "
        "last resid_post times the metric's gradient there, mean over pairs");
    struct block_spec se = spec_of(s, "effect_se", "standard error of the effect over pairs");
    se.is_signed = false;
    se.is_detail = true;
    return moments_write(out, &effect, &s->effect, false, ctx->arena, e) ||
                   moments_write(out, &linear, &s->linear, false, ctx->arena, e) ||
                   write_normalized(s, ctx, out, e) ||
                   moments_write(out, &se, &s->effect, true, ctx->arena, e)
               ? e->code
               : 0;
}

/* A prompt's half of its pair: every sender's run from its layer upward, and a lane for each pair of a
 * sender and a receiver above it other than the logits. */
static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    const double C = cfg->d_model, L = cfg->n_layer, T = (double)n;
    const double D = T - (double)cost_first(ctx);
    struct arena scratch = {0};
    struct graph g;
    struct err e;
    struct list senders = {.g = &g, .flag = "senders"};
    struct list receivers = {.g = &g, .readers = true, .flag = "receivers"};
    int64_t *ignored;
    const char **names;
    int n_senders = 0, n_receivers = 0;
    graph_size(&g, cfg);
    if (!parse_list(&ignored, &n_senders, &names, &senders, args_text(ctx->args, "senders"),
            &scratch, &e) &&
        !parse_list(&ignored, &n_receivers, &names, &receivers, args_text(ctx->args, "receivers"),
            &scratch, &e)) {
        const struct estimate back = cost_back(cfg, n, 1, false);
        const bool is_gathered = cost_is_gathered(args_text(ctx->args, "metric"));
        const double S = n_senders, R = n_receivers, rows = S * T < CHUNK_ROWS ? S * T : CHUNK_ROWS;
        const double mlps = args_bool(ctx->args, "freeze-mlps") ? 0 : 4 * C * cfg->d_mlp;
        const double lanes = receivers.taken[g.readers - 1] ? R - 1 : R;
        out->flops = back.flops / 3 * 2.5 +
                     S * T * (L + 1) / 4 * (mlps + (lanes > 0 ? 6 * C * C : 0)) +
                     S * lanes / 4 * D * (L + 1) / 3 * cost_row(cfg, T) +
                     (is_gathered ? 0 : S * R / 2 * cost_logits(cfg));
        out->keep_bytes = (uint64_t)(4 * S * R);
        out->scratch_bytes = 3 * back.scratch_bytes / 2 + cost_lanes(cfg, is_gathered) +
                             (uint64_t)(4 * rows * (3 * C + cfg->d_mlp) + 100 * S * R +
                                        (lanes > 0 ? 16 * rows * C * L : 0));
    }
    arena_release(&scratch);
}

const struct analysis analysis_path = {
    .id = "path",
    .title = "path patching: what a sender tells a receiver",
    .help =
        "Path patching: a head's or MLP's output is replaced on its way to one receiver (a head's "
        "q, k or v, an MLP, the logits) while all other heads stand still, exactly and in an "
        "estimate that is linear behind q, k, v, the MLP's output or the last resid_post. "
        "Receivers "
        "other than the logits take a sweep each.",
    .source = path_source,
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .pairs = PAIRS_NEEDED,
    .begin = begin,
    .each = each,
    .end = end,
    .ends_early = true,
    .cost = cost,
};
