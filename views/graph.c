#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "views/draw.h"
#include "views/number.h"
#include "views/paper.h"

/* A directed graph from the columns of a table: source, target, score and kept (absent: every row). A
 * target may name a port, as in a9.h9<q>: the node is what stands before it. On screen each node has
 * its incoming edges, strongest first, from the last node down; on paper nodes stand in rows, a model's
 * by their layers, others by the longest way that leads to them. */

#define MAX_ROWS (1 << 22)
#define NAME 48

struct edge {
    int from, to;     /* nodes */
    const char *port; /* "q", "" */
    double score;
};

struct net {
    struct edge *edges; /* by target, then |score| */
    int n_edges, n_nodes;
    const char **names; /* [n_nodes] in the order of depth */
    int *depth;         /* [n_nodes] */
    int levels;
    double most;  /* |score| */
    int64_t rows; /* of the table */
    const char *unit;
    struct number_form form;
};

static const struct field *column(const struct view_data *d, const char *name, bool is_text)
{
    for (int i = 0; i < d->n; i++) {
        const struct field *f = &d->fields[i];
        bool text = f->look == LOOK_TEXT && f->rank == 1 && f->axes[0].labels;
        if (f->name && !strcmp(f->name, name) && text == is_text)
            return f;
    }
    return NULL;
}

static double *values(const struct field *f, int64_t n, struct arena *a, struct err *e)
{
    double *v = arena_array(a, (size_t)(n ? n : 1), sizeof *v, e);
    struct window w = {.start = {0}, .count = {n}, .stride = {1}};
    return v && !f->fetch(f, v, &w, FIELD_POINT, e) ? v : NULL;
}

/* The node called `name`, n bytes; made if it is new. Few nodes: looked for one by one. */
static int node(struct net *g, const char *name, size_t n, struct arena *a, struct err *e)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (!strncmp(g->names[i], name, n) && !g->names[i][n])
            return i;
    char *own = arena_strndup(a, name, n, e);
    if (!own)
        return -1;
    g->names[g->n_nodes] = own;
    return g->n_nodes++;
}

static int by_target(const void *x, const void *y)
{
    const struct edge *a = x, *b = y;
    if (a->to != b->to)
        return a->to < b->to ? -1 : 1;
    double s = fabs(a->score), t = fabs(b->score);
    return s > t ? -1 : s < t ? 1 : a->from - b->from;
}

/* Longest ways; a circle would never end and stops at the number of nodes. */
static void find_depths(struct net *g)
{
    for (int round = 0, changed = 1; changed && round <= g->n_nodes; round++) {
        changed = 0;
        for (int i = 0; i < g->n_edges; i++) {
            const struct edge *x = &g->edges[i];
            if (g->depth[x->to] <= g->depth[x->from] && g->depth[x->from] < g->n_nodes) {
                g->depth[x->to] = g->depth[x->from] + 1;
                changed = 1;
            }
        }
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (g->depth[i] >= g->levels)
            g->levels = g->depth[i] + 1;
}

/* input, a3.h1, m3 and logits in the order in which a model computes them; -1: no such name. */
static int model_depth(const char *name)
{
    int layer, head, end = 0;
    if (!strcmp(name, "input"))
        return 0;
    if (!strcmp(name, "logits"))
        return INT32_MAX;
    if (sscanf(name, "a%6d.h%6d%n", &layer, &head, &end) == 2 && !name[end] && layer >= 0)
        return 1 + 2 * layer;
    end = 0;
    return sscanf(name, "m%6d%n", &layer, &end) == 1 && !name[end] && layer >= 0 ? 2 + 2 * layer
                                                                                 : -1;
}

/* Where all nodes are a model's: their layers, those that are there in turn. */
static bool model_depths(struct net *g)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (model_depth(g->names[i]) < 0)
            return false;
    g->levels = 0;
    for (int at = -1, next; g->levels <= g->n_nodes; at = next, g->levels++) {
        next = INT32_MAX;
        bool found = false;
        for (int i = 0; i < g->n_nodes; i++) {
            const int own = model_depth(g->names[i]);
            found = found || own > at;
            next = own > at && own < next ? own : next;
        }
        if (!found)
            break;
        for (int i = 0; i < g->n_nodes; i++)
            if (model_depth(g->names[i]) == next)
                g->depth[i] = g->levels;
    }
    return true;
}

/* 0: a graph; 1: the data is none. */
static int net_read(struct net *g, const struct view_data *d, struct arena *a, struct err *e)
{
    const struct field *from = column(d, "source", true), *to = column(d, "target", true);
    const struct field *score = column(d, "score", false), *kept = column(d, "kept", false);
    if (!from || !to || !score || score->rank != 1)
        return 1;
    int64_t n = score->axes[0].size;
    n = n < from->axes[0].size ? n : from->axes[0].size;
    n = n < to->axes[0].size ? n : to->axes[0].size;
    n = n < MAX_ROWS ? n : MAX_ROWS;
    double *s = values(score, n, a, e), *k = kept ? values(kept, n, a, e) : NULL;
    *g = (struct net){.edges = arena_array(a, (size_t)n + 1, sizeof *g->edges, e),
        .names = arena_array(a, 2 * (size_t)n + 1, sizeof *g->names, e),
        .depth = arena_zalloc(a, (2 * (size_t)n + 1) * sizeof *g->depth, e)};
    if (!s || (kept && !k) || !g->edges || !g->names || !g->depth)
        return e->code;
    for (int64_t i = 0; i < n; i++) {
        const char *target = to->axes[0].labels[i], *source = from->axes[0].labels[i];
        size_t len = strcspn(target, "<");
        if ((k && !(k[i] > 0)) || isnan(s[i]))
            continue;
        char *port = arena_strdup(a, target[len] ? target + len + 1 : "", e);
        struct edge x = {
            node(g, source, strlen(source), a, e), node(g, target, len, a, e), port, s[i]};
        if (!port || x.from < 0 || x.to < 0)
            return e->code;
        port[strcspn(port, ">")] = '\0';
        g->most = fmax(g->most, fabs(s[i]));
        g->edges[g->n_edges++] = x;
    }
    if (!model_depths(g))
        find_depths(g);
    g->rows = n;
    g->unit = score->unit && strcmp(score->unit, "1") ? score->unit : "";
    double *shown = arena_array(a, (size_t)g->n_edges + 1, sizeof *shown, e);
    if (!shown)
        return e->code;
    for (int i = 0; i < g->n_edges; i++)
        shown[i] = g->edges[i].score;
    g->form = number_form_fit(number_form(g->unit, false, true), shown, g->n_edges);
    g->form.sign = true;
    if (g->n_edges)
        qsort(g->edges, (size_t)g->n_edges, sizeof *g->edges, by_target);
    return 0;
}

/* Nodes from the deepest down, by name within a level. */
static int *downwards(const struct net *g, struct arena *a, struct err *e)
{
    int *order = arena_array(a, (size_t)g->n_nodes + 1, sizeof *order, e), n = 0;
    for (int level = g->levels - 1; order && level >= 0; level--) {
        int first = n;
        for (int i = 0; i < g->n_nodes; i++) {
            int at = n;
            if (g->depth[i] != level)
                continue;
            for (; at > first && strverscmp(g->names[order[at - 1]], g->names[i]) > 0; at--)
                order[at] = order[at - 1];
            order[at] = i;
            n++;
        }
    }
    return order;
}

/* ---- On screen ---- */

struct writer {
    const struct screen *s;
    int line, x, left; /* left: where wrapped lines begin */
    int64_t scroll;
};

/* One piece that stays whole; wraps before it where the line is full. */
static void piece(struct writer *w, struct style style, const char *text)
{
    int n = canvas_columns(w->s->canvas, text);
    if (w->x > w->left && w->x + n > w->s->rect.w) {
        w->line++;
        w->x = w->left;
    }
    int64_t y = w->line - w->scroll;
    if (y >= 0 && y < w->s->rect.h)
        canvas_text(w->s->canvas, w->s->rect.x + w->x, w->s->rect.y + (int)y, w->s->rect.w - w->x,
            style, text);
    w->x += n;
}

static void write_node(struct writer *w, const struct net *g, int i, int left)
{
    const char *port = "";
    char text[NAME + 48], name[NAME];
    int any = 0;
    snprintf(name, sizeof name, "%.40s", g->names[i]);
    for (int k = 0; k < g->n_edges; k++)
        any += g->edges[k].to == i;
    w->x = 0;
    w->left = left;
    piece(w, STYLE(STRONG), name);
    if (w->x < left)
        w->x = left;
    if (!any)
        piece(w, STYLE(DIM), "starts here");
    /* Ports one after another, the edges of each by size. */
    static const char *const order[] = {"q", "k", "v", ""};
    for (size_t o = 0; o < sizeof order / sizeof *order; o++)
        for (int k = 0; k < g->n_edges; k++) {
            const struct edge *x = &g->edges[k];
            bool known = !strcmp(x->port, "q") || !strcmp(x->port, "k") || !strcmp(x->port, "v");
            if (x->to != i || (*order[o] ? strcmp(x->port, order[o]) != 0 : known))
                continue;
            if (strcmp(port, x->port) != 0) {
                snprintf(text, sizeof text, "%.16s: ", x->port);
                piece(w, STYLE(LABEL), text);
                port = x->port;
            }
            char score[40];
            number_text(score, sizeof score, &g->form, x->score, w->s->canvas->glyphs);
            snprintf(text, sizeof text, "%.40s %s  ", g->names[x->from], score);
            struct style style = x->score < 0 ? STYLE(NEGATIVE) : STYLE(POSITIVE);
            if (fabs(x->score) < g->most / 50)
                style = STYLE(DIM);
            piece(w, style, text);
        }
    w->line++;
}

/* Of a graph that is higher than its place. */
static void note_lines(const struct screen *s, int64_t first, int n, int of)
{
    char text[96];
    snprintf(text, sizeof text, "lines %lld to %lld of %d", (long long)first + 1,
        (long long)first + n, of);
    canvas_text(s->canvas, s->rect.x, s->rect.y + s->rect.h - 1, s->rect.w, STYLE(DIM), text);
}

static int graph_draw(const struct screen *s, const struct view_data *d, struct view_state *st,
    char readout[VIEW_READOUT], struct err *e)
{
    DRAW_WITHIN(s);
    struct net g;
    int rc = net_read(&g, d, s->frame, e);
    if (rc) {
        if (rc > 0)
            draw_note(s, "no graph: a table with source, target and score is one");
        return rc > 0 ? 0 : rc;
    }
    if (!g.n_edges) {
        draw_note(s, "no edge is kept");
        return 0;
    }
    int left = 0, *order = downwards(&g, s->frame, e);
    if (!order)
        return e->code;
    for (int i = 0; i < g.n_nodes; i++) {
        int n = canvas_columns(s->canvas, g.names[i]) + 2;
        left = n > left ? n : left;
    }
    left = left > s->rect.w / 3 ? s->rect.w / 3 : left;
    struct screen room = *s;
    for (int pass = 0; pass < 2; pass++) {
        struct writer w = {.s = &room, .scroll = pass ? st->scroll[0] : INT32_MAX};
        for (int i = 0; i < g.n_nodes; i++)
            write_node(&w, &g, order[i], left);
        if (!pass && w.line > s->rect.h && s->rect.h > 1)
            room.rect.h--; /* the last line says which these are */
        int64_t last = w.line > room.rect.h ? w.line - room.rect.h : 0;
        if (st->scroll[0] > last)
            st->scroll[0] = last;
        if (pass && room.rect.h < s->rect.h)
            note_lines(s, st->scroll[0], room.rect.h, w.line);
    }
    snprintf(readout, VIEW_READOUT, "%d node%s, %d edge%s", g.n_nodes, text_s(g.n_nodes), g.n_edges,
        text_s(g.n_edges));
    return 0;
}

static bool graph_move(const struct view_data *d, struct view_state *st, enum view_move m, int page)
{
    (void)d;
    int64_t by = m == MOVE_UP          ? -1
                 : m == MOVE_DOWN      ? 1
                 : m == MOVE_PAGE_UP   ? -page
                 : m == MOVE_PAGE_DOWN ? page
                 : m == MOVE_TOP       ? -st->scroll[0]
                 : m == MOVE_END       ? INT32_MAX
                                       : 0;
    return by && move_index(&st->scroll[0], INT32_MAX, by);
}

/* ---- On paper ---- */

#define STEP_X 76.0
#define STEP_Y 74.0
#define BOX_W 58.0
#define BOX_H 22.0
#define CURVE 16
#define DRAWN_MOST 4000

struct place {
    double x, y;
};

static struct place *place(
    const struct net *g, const int *order, double *w, double *h, struct arena *a, struct err *e)
{
    struct place *p = arena_array(a, (size_t)g->n_nodes, sizeof *p, e);
    int *count = arena_zalloc(a, (size_t)g->levels * sizeof *count, e), most = 1;
    int *next = arena_zalloc(a, (size_t)g->levels * sizeof *next, e);
    if (!p || !count || !next)
        return NULL;
    for (int i = 0; i < g->n_nodes; i++)
        if (++count[g->depth[i]] > most)
            most = count[g->depth[i]];
    *w = most * STEP_X < 480 ? 480 : most * STEP_X;
    *h = g->levels * STEP_Y;
    for (int i = 0; i < g->n_nodes; i++) {
        int level = g->depth[order[i]];
        double step = *w / count[level], x = (next[level]++ + 0.5) * step;
        /* A lone node steps aside, so that edges past it are seen. */
        if (count[level] == 1 && level > 0 && level + 1 < g->levels)
            x += (level % 2 ? 1.3 : -1.3) * STEP_X * (1 + level % 3 / 2.0);
        p[order[i]] = (struct place){x, (g->levels - 1 - level) * STEP_Y + STEP_Y / 2};
    }
    return p;
}

static void svg_edge(struct buf *out, const struct paper *s, const struct place *p,
    const struct edge *x, double most)
{
    double x0 = s->x + p[x->from].x, y0 = s->y + p[x->from].y - BOX_H / 2;
    double x1 = s->x + p[x->to].x, y1 = s->y + p[x->to].y + BOX_H / 2, bend = (y0 - y1) / 2;
    /* q, k and v enter side by side. */
    x1 += !strcmp(x->port, "q") ? -BOX_W / 3 : !strcmp(x->port, "v") ? BOX_W / 3 : 0;
    svg_path_begin(out);
    for (int i = 0; i <= CURVE; i++) {
        double t = (double)i / CURVE, u = 1 - t;
        double b[4] = {u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t};
        svg_path_to(out, b[0] * x0 + b[1] * x0 + b[2] * x1 + b[3] * x1,
            b[0] * y0 + b[1] * (y0 - bend) + b[2] * (y1 + bend) + b[3] * y1, i == 0);
    }
    double share = most > 0 ? fabs(x->score) / most : 0;
    svg_path_end(out, 0.5 + 4.5 * sqrt(share),
        role_rgb(x->score < 0 ? ROLE_NEGATIVE : ROLE_POSITIVE), x->score < 0 ? "5 3" : "");
}

static int graph_svg(struct buf *out, const struct view_data *d, struct view_state *st,
    struct arena *frame, struct err *e)
{
    struct net g;
    struct tally none = {0};
    struct paper s = {.out = out, .x = PAPER_LEFT, .y = PAPER_TOP, .w = 480, .h = 40};
    int rc = net_read(&g, d, frame, e);
    if (rc < 0)
        return rc;
    int *order = !rc && g.n_edges ? downwards(&g, frame, e) : NULL;
    struct place *p = order ? place(&g, order, &s.w, &s.h, frame, e) : NULL;
    if (!rc && g.n_edges && !p)
        return e->code;
    struct field head = d->fields[0];
    struct view_data titled = *d;
    char what[96];
    snprintf(what, sizeof what, "%d node%s and %d of %lld edges", g.n_nodes, text_s(g.n_nodes),
        g.n_edges, (long long)g.rows);
    head.name = "edge";
    head.long_name = rc ? head.long_name : what;
    head.unit = rc ? head.unit : g.unit;
    titled.fields = &head;
    titled.n = 1;
    paper_open(&s, &titled, st, "graph", &none, PAPER_LEFT, 52);
    if (!p) {
        svg_text(out, s.x, s.y + 20, SVG_START, 12, PAPER_GREY,
            rc ? "no graph: a table with source, target and score is one" : "no edge is kept");
        paper_close(&s);
        return 0;
    }
    int drawn = g.n_edges < DRAWN_MOST ? g.n_edges : DRAWN_MOST;
    for (int i = 0; i < drawn; i++)
        svg_edge(out, &s, p, &g.edges[i], g.most);
    for (int i = 0; i < g.n_nodes; i++) {
        char title[NAME + 64];
        double in = 0, x = s.x + p[i].x, y = s.y + p[i].y;
        for (int k = 0; k < g.n_edges; k++)
            in += g.edges[k].to == i ? g.edges[k].score : 0;
        snprintf(title, sizeof title, "%.40s: incoming edges %+.4g", g.names[i], in);
        svg_rect(out, x - BOX_W / 2 - 1, y - BOX_H / 2 - 1, BOX_W + 2, BOX_H + 2, PAPER_LINE);
        svg_rect_title(out, x - BOX_W / 2, y - BOX_H / 2, BOX_W, BOX_H, 0xffffff, title);
        svg_text(out, x, y + 4, SVG_MIDDLE, 12, PAPER_INK, g.names[i]);
    }
    char text[160];
    snprintf(text, sizeof text, "width of lines: the root of the score, largest %.3g%s%.40s%s",
        g.most, *g.unit ? " " : "", g.unit, drawn < g.n_edges ? "; some are not drawn" : "");
    svg_text(out, s.x, s.y + s.h + 20, SVG_START, 11, PAPER_GREY, text);
    svg_text(out, s.x, s.y + s.h + 36, SVG_START, 11, PAPER_GREY,
        "dashed: negative; q, k and v enter left, in the middle and right");
    paper_close(&s);
    return 0;
}

const struct view view_graph = {
    .id = "graph",
    .title = "graph",
    .help =
        "Nodes with their incoming edges, strongest first, from the last node down. On paper the "
        "nodes stand in rows and edges are as thick as their score is large.",
    .good = "Circuits: who sends what to whom.",
    .looks = 1u << LOOK_GRAPH,
    .min_rank = 1,
    .max_rank = 2,
    .draw = graph_draw,
    .svg = graph_svg,
    .move = graph_move,
};
