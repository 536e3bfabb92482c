#include <string.h>

#include "analysis/eap_group.h"
#include "model/suffix.h"

/* The fast way to the gradients: clean, corrupt and interpolated runs of a group in one batch, of each
 * only the positions that differ from the clean prompt, and a layer's scores while its gradients are
 * at hand. Gradients at the inputs of heads go through ln1's Jacobian, with n = normalised x and
 * s its scale: g_h = (gamma dy_h - n mean(n gamma dy_h)) / s less its mean, dy_h = dq_h W_h^T. Runs of
 * one pair share every factor but n, s and dq_h, so that
 *     sum of g_h over runs k = gamma (sum_k dq_hk / s_k) W_h^T - sum_k n_k b_hk,
 *     b_hk = mean(n_k gamma dy_hk) / s_k = dq_hk . (q_hk - beta W_h - bias_h) / (C s_k):
 * one product for all of them. The means over C drop out where differences of writers have none. */

#define BATCH_ROWS 512

struct fast {
    struct group *g;
    const struct config *cfg;
    int n;                 /* pairs */
    struct suffix *run;    /* runs of the first batch */
    int shared;            /* of them that are beginnings */
    int *clean, *corrupt;  /* [n] */
    struct suffixes first; /* beginnings; clean, corrupt and interpolated runs, run k * n + i */
    float *zeros;          /* [L, C] what stands for no z */
    /* The replaced site, points of the interpolated runs, and the first of these in its batch. */
    enum site site;
    int site_layer, fill_from;
    double t[BATCH_ROWS];
    /* Gradients under way: `kinds` runs a pair, run k * n + i of the view. */
    const struct suffixes *view;
    int kinds, layer;
    double weight;
    const float *dqkv, *mlp;
    float *still;        /* [3C] bias + beta W: q, k, v without n */
    float *dsum, *b;     /* [SCORER_ROWS, 3C], [SCORER_ROWS, 3 H, kinds] */
    struct panel w_head; /* gamma W_h^T [D, C], heads w_step bytes apart */
    size_t w_step;
    const struct panel *w_qkv;
    float **piece;       /* [threads][panel width, 3C + D] */
    float *norm;         /* [SCORER_ROWS, C] normalised x, where kinds is 1 */
    struct panel n_room; /* [kinds, C] n of a row's runs, threads n_step bytes apart */
    size_t n_step;
    float **dense; /* [threads][kinds, C] */
    int64_t r0, rows;
    float *grad;
    float *dpre; /* [rows of the view, C], or NULL */
    struct err *e;
};

static int64_t live_rows(const struct group *g, int i)
{
    return g->live_at[i + 1] - g->live_at[i];
}

/* Whether a pair's runs all end where their metric is read, and nothing behind is asked for. */
bool eap_suffix_ok(const struct group *g)
{
    const struct ctx *ctx = g->x->ctx;
    if ((ctx->edits && ctx->edits->n) || g->x->kind == METRIC_LOSS)
        return false;
    for (int i = 0; i < g->n; i++) {
        const struct eap_item *it = &g->items[i];
        const int64_t pos = it->at.pos, end = it->map[pos];
        if (end >= 0 && end != it->at_corrupt.pos)
            return false;
        for (int64_t p = 0; p <= pos; p++)
            if (it->map[p] > it->at_corrupt.pos)
                return false;
    }
    return true;
}

static bool is_paired(const struct group *g)
{
    bool yes = g->x->ablation == ABLATE_RESAMPLE;
    for (int i = 0; i < g->n; i++)
        yes = yes && g->items[i].is_identity;
    return yes;
}

/* ---- Runs ---- */

static void *take(struct fast *f, int64_t n, size_t size)
{
    return arena_array(f->g->x->ctx->arena, (size_t)n, size, f->e);
}

/* out [C] of the clean and of the other side at position p of pair i. */
static const float *clean_row(const struct fast *f, int i, int64_t p, enum site s, int layer)
{
    const struct suffixes *a = &f->first;
    const int run = f->clean[i];
    const int64_t C = f->cfg->d_model, row = a->offset[run] + p - f->run[run].first;
    const int64_t upper = layer + 1 == f->cfg->n_layer ? run : row;
    return s == SITE_EMBED ? a->embed + row * C
           : s == SITE_Z   ? a->layer[layer].z + upper * C
                           : a->layer[layer].out + upper * C;
}

/* NULL: zeros; *is_none: nothing stands there, the clean row remains. */
static const float *other_row(
    const struct fast *f, int i, int64_t p, enum site s, int layer, bool *is_none)
{
    const struct group *g = f->g;
    const struct suffixes *a = &f->first;
    const int run = f->corrupt[i];
    const int64_t C = f->cfg->d_model;
    *is_none = false;
    if (g->x->ablation != ABLATE_RESAMPLE)
        return eap_stand_in(g, i, p, s, layer, f->zeros);
    const int64_t q = g->items[i].map[p];
    *is_none = q < f->run[run].first;
    if (*is_none)
        return NULL;
    const int64_t row = a->offset[run] + q - f->run[run].first;
    const int64_t upper = layer + 1 == f->cfg->n_layer ? run : row;
    return s == SITE_EMBED ? a->embed + row * C
           : s == SITE_Z   ? a->layer[layer].z + upper * C
                           : a->layer[layer].out + upper * C;
}

/* The last layer computes one position of a run. */
static bool is_computed(const struct fast *f, int i, int64_t p, enum site s, int layer)
{
    return s == SITE_EMBED || layer + 1 < f->cfg->n_layer || p == f->g->items[i].at.pos;
}

static void differences(
    const void *arg, float *out, int64_t ldo, int64_t r0, int64_t n, enum site s, int layer)
{
    const struct fast *f = arg;
    const struct group *g = f->g;
    const int64_t C = f->cfg->d_model;
    for (int64_t r = r0; r < r0 + n; r++) {
        float *o = out + (r - r0) * ldo;
        const int i = group_item(g, r);
        const int64_t p = g->live[i] + r - g->live_at[i];
        bool is_none = !is_computed(f, i, p, s, layer);
        const float *b = is_none ? NULL : other_row(f, i, p, s, layer, &is_none);
        if (is_none) {
            memset(o, 0, (size_t)C * sizeof *o);
            continue;
        }
        const float *a = clean_row(f, i, p, s, layer);
        for (int64_t c = 0; c < C; c++)
            o[c] = (b ? b[c] : 0) - a[c];
    }
}

/* An interpolated run: other + t (clean - other), where there is another. */
static void on_fill(void *arg, int run, float *rows)
{
    const struct fast *f = arg;
    const int64_t C = f->cfg->d_model;
    const int at = run - f->fill_from, i = at % f->n;
    if (at < 0)
        return;
    const double t = f->t[at / f->n];
    for (int64_t k = 0; k < live_rows(f->g, i); k++) {
        const int64_t p = f->g->live[i] + k;
        bool is_none;
        if (!is_computed(f, i, p, f->site, f->site_layer))
            continue;
        const float *to = clean_row(f, i, p, f->site, f->site_layer);
        const float *from = other_row(f, i, p, f->site, f->site_layer, &is_none);
        for (int64_t c = 0; c < C; c++) {
            const double b = is_none ? (double)to[c] : from ? (double)from[c] : 0;
            rows[k * C + c] = (float)(b + t * ((double)to[c] - b));
        }
    }
}

/* Room for the largest batch, so that all take the same memory, where that is no matter. */
static int64_t rows_most(const struct fast *f)
{
    const struct budget *b = f->g->x->ctx->budget;
    const uint64_t row = 2 * suffix_row_bytes(f->cfg, true);
    return BATCH_ROWS * row < budget_left(b) / 4 ? BATCH_ROWS : 0;
}

static struct suffix_opts options(const struct fast *f)
{
    struct ctx *ctx = f->g->x->ctx;
    return (struct suffix_opts){.rows_most = rows_most(f),
        .rows_taken = rows_most(f) ? f->g->x->rows_most : 0,
        .pool = ctx->pool,
        .progress = eap_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
}

/* Where pairs share a beginning it is a run of its own; then clean, corrupt, and `runs` points of the
 * way between their embeddings, as many as there are in f->t. */
static int first_batch(struct fast *f, int runs)
{
    const struct group *g = f->g;
    int n = 0;
    f->run = take(f, (int64_t)f->n * (3 + runs), sizeof *f->run);
    f->clean = take(f, f->n, sizeof *f->clean);
    f->corrupt = take(f, f->n, sizeof *f->corrupt);
    if (!f->run || !f->clean || !f->corrupt)
        return ERR_LIMIT;
    for (int i = 0; i < f->n; i++) {
        f->clean[i] = -1;
        if (!g->live[i])
            continue;
        f->clean[i] = n; /* for now: its beginning */
        f->run[n++] = (struct suffix){g->items[i].pair->clean->tokens, 0, g->live[i], 0, 0};
    }
    f->shared = n;
    for (int i = 0; i < f->n; i++) {
        const struct eap_item *it = &g->items[i];
        const int64_t end = it->at.pos + 1, other = it->at_corrupt.pos + 1;
        const int base = f->clean[i] < 0 ? 0 : f->clean[i];
        f->run[n + i] = (struct suffix){it->pair->clean->tokens, g->live[i], end, base, 0};
        f->run[n + f->n + i] =
            (struct suffix){it->pair->corrupt->tokens, g->live[i], other, base, 0};
        for (int k = 0; k < runs; k++)
            f->run[n + (2 + k) * f->n + i] = f->run[n + i];
        f->clean[i] = n + i;
        f->corrupt[i] = n + f->n + i;
    }
    f->fill_from = n + 2 * f->n;
    f->site = SITE_EMBED;
    f->site_layer = -1;
    struct suffix_opts o = options(f);
    o.keep_outputs = true;
    o.fill = on_fill;
    o.site = SITE_EMBED;
    o.arg = f;
    return suffix_forward(&f->first, g->x->ctx->params, f->run, n + (2 + runs) * f->n, &o, f->e);
}

static int measure(struct fast *f)
{
    struct group *g = f->g;
    struct ctx *ctx = g->x->ctx;
    const int64_t V = f->cfg->vocab;
    const int n = f->first.n;
    double *values = take(f, n, sizeof *values);
    struct metric_at *at = take(f, n, sizeof *at);
    struct suffixes view;
    if (!values || !at)
        return ERR_LIMIT;
    for (int i = 0; i < f->n && g->x->kind == METRIC_KL; i++) {
        float *logp = take(f, V, sizeof *logp);
        if (!logp || suffix_logp(logp, &f->first, f->clean[i], ctx->pool, f->e))
            return f->e->code;
        g->items[i].at.reference_logp = g->items[i].at_corrupt.reference_logp = logp;
    }
    for (int i = 0; i < f->n; i++) {
        at[i] = g->items[i].at;
        at[f->n + i] = g->items[i].at_corrupt;
    }
    if (suffix_view(&view, &f->first, f->shared, 2 * f->n, f->e))
        return f->e->code;
    int rc = suffix_metric(values, NULL, &view, g->x->kind, at, ctx->pool, f->e);
    suffix_release(&view);
    for (int i = 0; i < f->n && !rc; i++) {
        g->items[i].clean = values[i];
        g->items[i].corrupt = values[f->n + i];
    }
    return rc;
}

/* ---- Gradients at the inputs of a layer's readers ---- */

/* Row of run k of the live row r. */
static int64_t view_row(const struct fast *f, int64_t r, int i, int k)
{
    return f->view->offset[k * f->n + i] + r - f->g->live_at[i];
}

/* out [C] = n of a row of the view. */
static void normalise(float *out, const struct fast *f, int64_t at)
{
    const int64_t C = f->cfg->d_model;
    const struct suffix_layer *y = &f->view->layer[f->layer];
    const struct ln ln = {f->cfg->ln, f->cfg->ln_eps, NULL, NULL, true};
    ops_ln(out, C, y->s1 + at, y->x + at * C, C, 1, C, &ln, NULL);
}

/* What the runs of one pair share, summed over them, and b. */
static void sum_row(void *arg, int64_t j, int worker)
{
    (void)worker;
    const struct fast *f = arg;
    const int64_t C = f->cfg->d_model, D = f->cfg->d_head, H3 = 3 * f->cfg->n_head, r = f->r0 + j;
    const int i = group_item(f->g, r);
    const struct suffix_layer *y = &f->view->layer[f->layer];
    float *sum = f->dsum + j * 3 * C;
    memset(sum, 0, (size_t)(3 * C) * sizeof *sum);
    if (f->kinds == 1)
        normalise(f->norm + j * C, f, view_row(f, r, i, 0));
    for (int k = 0; k < f->kinds; k++) {
        const int64_t at = view_row(f, r, i, k);
        const float *dq = f->dqkv + at * 3 * C, *q = y->qkv + at * 3 * C;
        const double w = f->weight / (double)y->s1[at];
        float *b = f->b + j * H3 * f->kinds + k;
        for (int64_t c = 0; c < 3 * C; c++)
            sum[c] += (float)w * dq[c];
        for (int64_t h = 0; h < H3; h++) {
            float part[4] = {0}, rest = 0;
            int64_t c = h * D, end = c + D;
            for (; c + 4 <= end; c += 4)
                for (int x = 0; x < 4; x++)
                    part[x] += dq[c + x] * (q[c + x] - f->still[c + x]);
            for (; c < end; c++)
                rest += dq[c] * (q[c] - f->still[c]);
            const double dot = (double)(part[0] + part[1]) + (double)(part[2] + part[3] + rest);
            b[h * f->kinds] = f->cfg->ln == LN_TRUE ? (float)(-w * dot / (double)C) : 0;
        }
    }
}

/* dsum_h (gamma W_h^T) of the rows of a block, and with one run a pair n b while they are in cache. */
static void head_columns(void *arg, int64_t h, int worker)
{
    (void)worker;
    const struct fast *f = arg;
    const int64_t C = f->cfg->d_model, D = f->cfg->d_head, H3 = 3 * f->cfg->n_head;
    const int64_t ld = (H3 + 1) * C;
    float *out = f->grad + h * C;
    struct panel w = f->w_head;
    w.data = (char *)w.data + (size_t)h * f->w_step;
    ops_gemm(out, ld, f->dsum + h * D, 3 * C, f->rows, &w, 0, C, &(struct epilogue){0}, NULL);
    for (int64_t r = 0; r < f->rows && f->kinds == 1 && f->cfg->ln == LN_TRUE; r++) {
        const float b = f->b[r * H3 + h], *n = f->norm + r * C;
        for (int64_t c = 0; c < C; c++)
            out[r * ld + c] += b * n[c];
    }
}

/* Less n b of every run, and the MLP's column. */
static void finish_row(void *arg, int64_t j, int worker)
{
    const struct fast *f = arg;
    const struct config *cfg = f->cfg;
    const int64_t C = cfg->d_model, H3 = 3 * cfg->n_head, r = f->r0 + j;
    const int i = group_item(f->g, r);
    const bool last = f->layer + 1 == cfg->n_layer;
    float *grad = f->grad + j * (H3 + 1) * C, *dense = f->dense[worker], *to = grad + H3 * C;
    struct panel n = f->n_room;
    n.data = (char *)n.data + (size_t)worker * f->n_step;
    memset(to, 0, (size_t)C * sizeof *to);
    for (int k = 0; k < f->kinds; k++) {
        const int64_t at = view_row(f, r, i, k), run = k * f->n + i;
        if (f->kinds > 1)
            normalise(dense + k * C, f, at);
        if (last && at + 1 != f->view->offset[run + 1])
            continue;
        const float *from = f->mlp + (last ? run : at) * C;
        for (int64_t c = 0; c < C; c++)
            to[c] += (float)f->weight * from[c];
    }
    if (cfg->ln != LN_TRUE || f->kinds == 1)
        return;
    panel_pack_rows(&n, dense, 0, f->kinds);
    const struct epilogue add = {.add = grad, .ld_add = C};
    ops_gemm(grad, C, f->b + j * H3 * f->kinds, f->kinds, H3, &n, 0, C, &add, NULL);
}

/* One run a pair: its heads' columns are all that reaches resid_pre through ln1. */
static void pass_row(void *arg, int64_t j, int worker)
{
    (void)worker;
    const struct fast *f = arg;
    const int64_t C = f->cfg->d_model, H3 = 3 * f->cfg->n_head, r = f->r0 + j;
    const float *grad = f->grad + j * (H3 + 1) * C;
    float *to = f->dpre + view_row(f, r, group_item(f->g, r), 0) * C;
    const float scale = (float)(1 / f->weight);
    double mean = 0;
    float *sum = f->dsum + j * 3 * C; /* used up */
    memcpy(sum, grad, (size_t)C * sizeof *sum);
    for (int64_t h = 1; h < H3; h++)
        for (int64_t c = 0; c < C; c++)
            sum[c] += grad[h * C + c];
    for (int64_t c = 0; c < C; c++)
        mean += (double)sum[c];
    const float shift = (float)(mean / (double)C);
    for (int64_t c = 0; c < C; c++)
        to[c] += scale * (sum[c] - shift);
}

static int on_block(void *arg, int layer, int64_t r0, int64_t n, float *grad)
{
    struct fast *f = arg;
    struct pool *pool = f->g->x->ctx->pool;
    (void)layer;
    f->r0 = r0;
    f->rows = n;
    f->grad = grad;
    pool_for(pool, n, sum_row, f);
    pool_for(pool, 3 * f->cfg->n_head, head_columns, f);
    pool_for(pool, n, finish_row, f);
    if (f->dpre)
        pool_for(pool, n, pass_row, f);

    return 0;
}

/* Rows of W, times gamma, as columns of the heads' panels. */
static void pack_heads(void *arg, int64_t i, int worker)
{
    const struct fast *f = arg;
    const int64_t C = f->cfg->d_model, D = f->cfg->d_head, width = f->w_head.width;
    const int64_t c0 = i * width, n = C - c0 < width ? C - c0 : width;
    const float *gamma = f->g->x->ctx->params->layer[f->layer].ln1_g;
    float *rows = f->piece[worker], *own = rows + width * 3 * C;
    for (int64_t r = 0; r < n; r++) {
        panel_row(rows + r * 3 * C, f->w_qkv, c0 + r);
        for (int64_t k = 0; gamma && k < 3 * C; k++)
            rows[r * 3 * C + k] *= gamma[c0 + r];
    }
    struct panel w = f->w_head;
    for (int64_t h = 0; h < 3 * f->cfg->n_head; h++) {
        for (int64_t r = 0; r < n; r++)
            memcpy(own + r * D, rows + r * 3 * C + h * D, (size_t)D * sizeof *own);
        panel_pack_cols(&w, own, c0, n);
        w.data = (char *)w.data + f->w_step;
    }
}

static int on_layer(
    void *arg, int layer, const float *dqkv, const float *mlp, float *dx, bool *is_done)
{
    struct fast *f = arg;
    struct ctx *ctx = f->g->x->ctx;
    const struct layer_vectors *v = &ctx->params->layer[layer];
    const int64_t C = f->cfg->d_model;
    const struct panel *w = params_panel(ctx->params, MAT_QKV, layer, f->e);
    if (!w)
        return f->e->code;
    *is_done = f->kinds == 1;
    f->dpre = *is_done ? dx : NULL;
    f->layer = layer;
    f->dqkv = dqkv;
    f->mlp = mlp;
    memcpy(f->still, v->b_qkv, (size_t)(3 * C) * sizeof *f->still);
    if (v->ln1_b)
        ops_gemm(f->still, 3 * C, v->ln1_b, C, 1, w, 0, 3 * C, &(struct epilogue){.bias = v->b_qkv},
            NULL);
    f->w_qkv = w;
    pool_for(ctx->pool, (C + f->w_head.width - 1) / f->w_head.width, pack_heads, f);
    return scorer_layer(&f->g->scorer, layer, on_block, f);
}

/* Back through `kinds` runs a pair, run k * n + i of the view, each with this weight. */
static int back(struct fast *f, const struct suffixes *view, int kinds, double weight)
{
    struct group *g = f->g;
    struct ctx *ctx = g->x->ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    const int64_t C = f->cfg->d_model, D = f->cfg->d_head, n = view->n;
    const int64_t threads = pool_threads(ctx->pool), width = panel_width();
    f->view = view;
    f->kinds = kinds;
    f->weight = weight * eap_sign(g->x);
    f->w_head = (struct panel){DT_F32, D, C, (int)width, NULL};
    f->w_step = (panel_bytes(DT_F32, D, C) + 63) & ~(size_t)63;
    f->w_head.data = take(f, 3 * f->cfg->n_head, f->w_step);
    f->piece = take(f, threads, sizeof *f->piece);
    f->norm = take(f, SCORER_ROWS * C, sizeof *f->norm);
    f->n_room = (struct panel){DT_F32, kinds, C, (int)width, NULL};
    f->n_step = (panel_bytes(DT_F32, kinds, C) + 63) & ~(size_t)63;
    f->n_room.data = take(f, threads, f->n_step);
    f->still = take(f, 3 * C, sizeof *f->still);
    f->dsum = take(f, SCORER_ROWS * 3 * C, sizeof *f->dsum);
    f->b = take(f, SCORER_ROWS * 3 * f->cfg->n_head * kinds, sizeof *f->b);
    f->dense = take(f, threads, sizeof *f->dense);
    double *values = take(f, n, sizeof *values);
    struct metric_at *at = take(f, n, sizeof *at);
    int64_t *row = take(f, f->n, sizeof *row);
    float *d = take(f, n * C, sizeof *d), *sum = take(f, f->n * C, sizeof *sum);
    if (!f->n_room.data || !f->still || !f->dsum || !f->b || !f->dense || !values || !at || !row ||
        !d || !sum || !f->w_head.data || !f->piece || !f->norm)
        return ERR_LIMIT;
    for (int64_t k = 0; k < threads; k++)
        if (!(f->dense[k] = take(f, kinds * C, sizeof **f->dense)) ||
            !(f->piece[k] = take(f, width * (3 * C + D), sizeof **f->piece)))
            return ERR_LIMIT;
    for (int64_t i = 0; i < n; i++)
        at[i] = g->items[i % f->n].at;
    if (suffix_metric(values, d, view, g->x->kind, at, ctx->pool, f->e))
        return f->e->code;
    memset(sum, 0, (size_t)(f->n * C) * sizeof *sum);
    for (int64_t i = 0; i < n * C; i++)
        sum[i % (f->n * C)] += (float)f->weight * d[i];
    for (int i = 0; i < f->n; i++)
        row[i] = g->live_at[i + 1] - 1;
    const struct suffix_back_opts o = {.layer = on_layer,
        .arg = f,
        .rows_most = rows_most(f),
        .rows_taken = rows_most(f) ? kinds * g->x->live_most : 0,
        .pool = ctx->pool,
        .progress = eap_progress,
        .progress_arg = ctx,
        .budget = ctx->budget};
    int rc = scorer_logits(&g->scorer, sum, row, f->n);
    if (!rc)
        rc = suffix_backward(view, d, &o, f->e);
    arena_rewind(ctx->arena, mark);
    return rc;
}

/* Kinds [from, from + kinds) of the first batch: clean, corrupt, points. */
static int back_first(struct fast *f, int from, int kinds, double weight)
{
    struct suffixes view;
    if (suffix_view(&view, &f->first, f->shared + from * f->n, kinds * f->n, f->e))
        return f->e->code;
    int rc = back(f, &view, kinds, weight);
    suffix_release(&view);
    return rc;
}

/* Points [from, to) of m of one replaced site, in batches of their own. */
static int walk(void *way, enum site s, int layer, int from, int to, double weight)
{
    struct fast *f = way;
    const struct group *g = f->g;
    struct ctx *ctx = g->x->ctx;
    const int64_t R = g->live_at[g->n];
    const int fit = R < BATCH_ROWS ? (int)(BATCH_ROWS / (R ? R : 1)) : 1;
    f->site = s;
    f->site_layer = layer;
    for (int k = from, runs; k < to; k += runs) {
        struct arena_mark mark = arena_mark(ctx->arena);
        runs = to - k < fit ? to - k : fit;
        struct suffix *run = take(f, (int64_t)runs * f->n, sizeof *run);
        struct suffixes t;
        if (!run)
            return ERR_LIMIT;
        for (int i = 0; i < runs * f->n; i++) {
            run[i] = f->run[f->clean[i % f->n]];
            run[i].twin = f->clean[i % f->n];
            f->t[i / f->n] = (double)(k + i / f->n) / g->x->steps;
        }
        struct suffix_opts o = options(f);
        o.base = o.below = &f->first;
        o.site = s;
        o.layer = layer;
        o.fill = on_fill;
        o.arg = f;
        f->fill_from = 0;
        if (suffix_forward(&t, ctx->params, run, runs * f->n, &o, f->e))
            return f->e->code;
        int rc = back(f, &t, runs, weight);
        suffix_release(&t);
        arena_rewind(ctx->arena, mark);
        if (rc)
            return rc;
    }
    return 0;
}

/* Interpolated runs that ride in the first batch; the corrupt run is the one at 0 where positions are
 * the same. */
static int points_of(struct fast *f, int *from)
{
    const struct eap *x = f->g->x;
    const int64_t R = f->g->live_at[f->n];
    *from = is_paired(f->g) ? 1 : 0;
    const int most = x->method == EAP_IG_INPUTS         ? x->steps - *from
                     : x->method == EAP_CLEAN_CORRUPTED ? 1 - *from
                                                        : 0;
    const int64_t fit = R ? (BATCH_ROWS - R) / R - 1 : 0;
    const int runs = fit < 0 ? 0 : fit < most ? (int)fit : most;
    for (int k = 0; k < runs; k++)
        f->t[k] = (double)(*from + k) / x->steps;
    return runs;
}

static int gradients(struct fast *f, int runs, int from)
{
    const struct eap *x = f->g->x;
    const int m = x->steps;
    switch (x->method) {
    case EAP:
        return back_first(f, 0, 1, 1);
    case EAP_CLEAN_CORRUPTED:
        if (from)
            return back_first(f, 0, 2, 0.5);
        if (back_first(f, 0, 1, 0.5))
            return f->e->code;
        return runs ? back_first(f, 2, 1, 0.5) : walk(f, SITE_EMBED, -1, 0, 1, 0.5);
    case EAP_IG_INPUTS:
        if (runs + from && back_first(f, 2 - from, runs + from, 1.0 / m))
            return f->e->code;
        return walk(f, SITE_EMBED, -1, from + runs, m, 1.0 / m);
    case EAP_IG_ACTIVATIONS:
        return eap_by_activations(x, walk, f);
    }
    return 0;
}

static int run(struct group *g, bool score)
{
    struct fast f = {.g = g, .cfg = &g->x->ctx->model->cfg, .n = g->n, .e = g->e};
    const struct writer_source src = {differences, &f};
    int from = 0, runs = score ? points_of(&f, &from) : 0;
    if (eap_zeros(&f.zeros, g))
        return g->e->code;
    int rc = first_batch(&f, runs);
    if (!rc)
        rc = measure(&f);
    if (!rc && score)
        rc = scorer_init(&g->scorer, g->x, g->items, g->n, g->live_at, &src, g->e);
    if (!rc && score)
        rc = gradients(&f, runs, from);
    suffix_release(&f.first);
    return rc;
}

int eap_suffix_score(struct group *g)
{
    return run(g, true);
}

int eap_suffix_metrics(struct group *g)
{
    return run(g, false);
}
