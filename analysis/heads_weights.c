#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/heads.h"
#include "analysis/token.h"
#include "model/core/linalg.h"
#include "model/core/rng.h"
#include "model/fold.h"

/* Copying and composition (Elhage et al. 2021) and singular directions (Millidge and Black 2022) of the
 * weights. With Gram matrices of the outer factors taken to the power 1/2, a product of two circuits has
 * the norm of one [D, C] x [C, D] product: |V O A B|_F = |(V^T V)^1/2 O A (B B^T)^1/2|_F. */

static float *array(struct arena *arena, int64_t n, struct err *e)
{
    return arena_array(arena, (size_t)n, sizeof(float), e);
}

/* W := (W minus the mean of each column over C) with row c scaled by gain[c] before: LN folded into a
 * reader. */
static void fold_reader(float *w, const float *gain, int64_t rows, int64_t cols)
{
    for (int64_t j = 0; j < cols; j++) {
        double mean = 0;
        for (int64_t i = 0; i < rows; i++) {
            w[i * cols + j] *= gain[i];
            mean += w[i * cols + j];
        }
        for (int64_t i = 0; i < rows; i++)
            w[i * cols + j] = (float)(w[i * cols + j] - mean / (double)rows);
    }
}

static void centre_rows(float *w, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++) {
        double mean = 0;
        for (int64_t j = 0; j < cols; j++)
            mean += w[i * cols + j];
        for (int64_t j = 0; j < cols; j++)
            w[i * cols + j] = (float)(w[i * cols + j] - mean / (double)cols);
    }
}

int head_matrices_load(
    struct head_matrices *out, const struct ctx *ctx, int layer, struct arena *arena, struct err *e)
{
    int64_t C = ctx->model->cfg.d_model;
    const struct panel *qkv = params_panel(ctx->params, MAT_QKV, layer, e);
    const struct panel *o = qkv ? params_panel(ctx->params, MAT_O, layer, e) : NULL;
    float *row = o ? array(arena, 3 * C, e) : NULL;
    float **part[] = {&out->q, &out->k, &out->v, &out->o};
    for (int i = 0; row && i < 4; i++)
        if (!(*part[i] = array(arena, C * C, e)))
            return ERR_LIMIT;
    if (!row)
        return e->code;
    for (int64_t c = 0; c < C; c++) {
        panel_row(row, qkv, c);
        for (int i = 0; i < 3; i++)
            memcpy(*part[i] + c * C, row + i * C, (size_t)C * sizeof *row);
        panel_row(out->o + c * C, o, c);
    }
    if (!ctx->folded)
        return 0;
    for (int i = 0; i < 3; i++)
        fold_reader(*part[i], ctx->params->layer[layer].ln1_g, C, C);
    centre_rows(out->o, C, C);
    return 0;
}

const char **head_labels(const struct config *cfg, struct arena *arena, struct err *e)
{
    int n = cfg->n_layer * cfg->n_head;
    const char **labels = arena_array(arena, (size_t)n, sizeof *labels, e);
    for (int i = 0; labels && i < n; i++) {
        labels[i] = arena_printf(arena, e, "L%dH%d", i / cfg->n_head, i % cfg->n_head);
        if (!labels[i])
            return NULL;
    }
    return labels;
}

/* ---- Copying ---- */

/* A row of W_E, or column of W_U, as the view has it. gain: of the last LN, NULL: none. */
static void view_row(float *row, const float *gain, bool folded, int64_t C)
{
    if (!folded)
        return;
    for (int64_t c = 0; gain && c < C; c++)
        row[c] *= gain[c];
    centre_rows(row, 1, C);
}

#define TOKEN_CHUNK 256
/* core [C, C] = W_U W_E, the sum over tokens of column times row; the unembedding centred over V. */
static int token_core(float *core, const struct ctx *ctx, struct arena *arena, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t C = cfg->d_model;
    const struct panel *w = params_panel(ctx->params, MAT_UNEMBED, 0, e);
    float *u = w ? array(arena, TOKEN_CHUNK * C, e) : NULL;
    float *in = u ? array(arena, TOKEN_CHUNK * C, e) : NULL;
    double *mean = in ? arena_zalloc(arena, (size_t)C * sizeof *mean, e) : NULL;
    if (!mean || (ctx->folded && fold_unembed_mean(mean, ctx->params, ctx->pool, e)))
        return e->code;
    memset(core, 0, (size_t)(C * C) * sizeof *core);
    for (int64_t t0 = 0; t0 < cfg->vocab; t0 += TOKEN_CHUNK) {
        int64_t n = cfg->vocab - t0 < TOKEN_CHUNK ? cfg->vocab - t0 : TOKEN_CHUNK;
        for (int64_t t = 0; t < n; t++) {
            panel_col(u + t * C, w, t0 + t);
            for (int64_t c = 0; c < C; c++)
                u[t * C + c] = (float)(u[t * C + c] - mean[c]);
            view_row(u + t * C, ctx->params->lnf_g, ctx->folded, C);
            if (params_embed(in + t * C, ctx->params, t0 + t, e))
                return e->code;
            view_row(in + t * C, NULL, ctx->folded, C);
        }
        if (linalg_sgemm(core, C, true, false, C, C, n, 1, u, C, in, C, 1, e))
            return e->code;
        if (ctx->progress && ctx->progress(ctx->progress_arg, 0, 1))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    return 0;
}

struct copying {
    const struct ctx *ctx;
    const struct head_matrices *w;
    const float *o;  /* W_O, or W_O W_U W_E [C, C] */
    double *scratch; /* [H, D * D + 2 D] */
    float *score, *eigenvalues;
    int rc;
    struct err *e;
};

/* The D eigenvalues that are not 0: those of W_O W_V. */
static void copy_head(void *arg, int64_t h, int worker)
{
    (void)worker;
    struct copying *x = arg;
    int64_t C = x->ctx->model->cfg.d_model, D = x->ctx->model->cfg.d_head;
    double *m = x->scratch + h * (D * D + 2 * D), *re = m + D * D, *im = re + D;
    struct err e = {0};
    memset(m, 0, (size_t)(D * D) * sizeof *m);
    for (int64_t i = 0; i < D; i++)
        for (int64_t c = 0; c < C; c++) {
            double o = x->o[(h * D + i) * C + c];
            for (int64_t j = 0; j < D; j++)
                m[i * D + j] += o * x->w->v[c * C + h * D + j];
        }
    if (linalg_eigenvalues(re, im, m, D, &e)) {
        if (!__atomic_exchange_n(&x->rc, e.code, __ATOMIC_RELAXED))
            *x->e = e;
        return;
    }
    double sum = 0, size = 0;
    for (int64_t i = 0; i < D; i++) {
        sum += re[i];
        size += hypot(re[i], im[i]);
        x->eigenvalues[(h * D + i) * 2] = (float)re[i];
        x->eigenvalues[(h * D + i) * 2 + 1] = (float)im[i];
    }
    x->score[h] = size > 0 ? (float)(sum / size) : NAN;
}

int heads_copying(
    float *score, float *eigenvalues, const struct ctx *ctx, bool tokens, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t C = cfg->d_model, H = cfg->n_head, D = cfg->d_head;
    struct arena_mark mark = arena_mark(ctx->arena);
    float *core = tokens ? array(ctx->arena, 2 * C * C, e) : NULL;
    if (linalg_open(e) || (tokens && (!core || token_core(core, ctx, ctx->arena, e))))
        return e->code;
    struct copying x = {.ctx = ctx, .e = e};
    x.scratch = arena_array(ctx->arena, (size_t)(H * (D * D + 2 * D)), sizeof *x.scratch, e);
    if (!x.scratch)
        return ERR_LIMIT;
    for (int l = 0; l < cfg->n_layer && !x.rc; l++) {
        struct arena_mark layer = arena_mark(ctx->arena);
        struct head_matrices w;
        if (head_matrices_load(&w, ctx, l, ctx->arena, e))
            return e->code;
        x.w = &w;
        x.o = w.o;
        if (core) {
            x.o = core + C * C;
            if (linalg_sgemm(core + C * C, C, false, false, C, C, C, 1, w.o, C, core, C, 0, e))
                return e->code;
        }
        x.score = score + l * H;
        x.eigenvalues = eigenvalues + l * H * D * 2;
        pool_for(ctx->pool, H, copy_head, &x);
        arena_rewind(ctx->arena, layer);
    }
    arena_rewind(ctx->arena, mark);
    return x.rc;
}

/* ---- Composition ---- */

/* g := g^1/2 of a Gram matrix [D, D], with room for as much again behind it. */
static int gram_root(double *g, double *w, int64_t D, struct err *e)
{
    double *vectors = g + D * D;
    memcpy(vectors, g, (size_t)(D * D) * sizeof *g);
    if (linalg_eigh(w, vectors, D, e))
        return e->code;
    memset(g, 0, (size_t)(D * D) * sizeof *g);
    for (int64_t k = 0; k < D; k++) {
        double root = w[k] > 0 ? sqrt(w[k]) : 0;
        for (int64_t i = 0; i < D; i++)
            for (int64_t j = 0; j < D; j++)
                g[i * D + j] += root * vectors[i * D + k] * vectors[j * D + k];
    }
    return 0;
}

/* out [D, C] (by columns: [C, D]) = (b b^T)^1/2 a for the factor a of one head and its neighbour b;
 * rows of a and b are D vectors of length C with strides. */
struct factor {
    const float *x;
    int64_t row, col; /* element (d, c) is x[d * row + c * col] */
};

static int absorb(float *out, int64_t row, int64_t col, struct factor a, struct factor b,
    double *scratch, int64_t D, int64_t C, struct err *e)
{
    double *g = scratch, *w = scratch + 2 * D * D;
    for (int64_t i = 0; i < D; i++)
        for (int64_t j = 0; j <= i; j++) {
            double s = 0;
            for (int64_t c = 0; c < C; c++)
                s += (double)b.x[i * b.row + c * b.col] * (double)b.x[j * b.row + c * b.col];
            g[i * D + j] = g[j * D + i] = s;
        }
    if (gram_root(g, w, D, e))
        return e->code;
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < D; i++) {
            double s = 0;
            for (int64_t j = 0; j < D; j++)
                s += g[i * D + j] * (double)a.x[j * a.row + c * a.col];
            out[i * row + c * col] = (float)s;
        }
    return 0;
}

static double norm(const float *x, int64_t row, int64_t col, int64_t D, int64_t C)
{
    double s = 0;
    for (int64_t i = 0; i < D; i++)
        for (int64_t c = 0; c < C; c++)
            s += (double)x[i * row + c * col] * (double)x[i * row + c * col];
    return sqrt(s);
}

enum { Q_TYPE, K_TYPE, V_TYPE, TYPES };
static const char *const type_names[] = {"q", "k", "v"};

/* One layer's circuits with the outer factor absorbed: writers OV [H D, C] and readers [C, H D]. */
struct circuits {
    float *writer, *reader[TYPES];
    double *writer_norm, *reader_norm[TYPES]; /* [H] */
};

struct absorbing {
    const struct config *cfg;
    const struct head_matrices *w;
    struct circuits *out;
    double *scratch; /* [H, 2 D D + D] */
    int rc;
    struct err *e;
};

static void absorb_head(void *arg, int64_t h, int worker)
{
    (void)worker;
    struct absorbing *x = arg;
    int64_t C = x->cfg->d_model, D = x->cfg->d_head, at = h * D;
    double *scratch = x->scratch + h * (2 * D * D + D);
    struct err e = {0};
    struct factor q = {x->w->q + at, 1, C}, k = {x->w->k + at, 1, C}, v = {x->w->v + at, 1, C};
    struct factor o = {x->w->o + at * C, C, 1};
    const struct factor a[TYPES] = {q, k, v}, b[TYPES] = {k, q, o};
    float *writer = x->out->writer + at * C;
    int rc = absorb(writer, C, 1, o, v, scratch, D, C, &e);
    x->out->writer_norm[h] = norm(writer, C, 1, D, C);
    for (int t = 0; t < TYPES && !rc; t++) {
        float *reader = x->out->reader[t] + at;
        rc = absorb(reader, 1, C, a[t], b[t], scratch, D, C, &e);
        x->out->reader_norm[t][h] = norm(reader, 1, C, D, C);
    }
    if (rc && !__atomic_exchange_n(&x->rc, rc, __ATOMIC_RELAXED))
        *x->e = e;
}

static int circuits_init(
    struct circuits *c, const struct config *cfg, struct arena *arena, struct err *e)
{
    int64_t C = cfg->d_model;
    size_t H = (size_t)cfg->n_head;
    c->writer = array(arena, C * C, e);
    c->writer_norm = arena_array(arena, H, sizeof(double), e);
    for (int t = 0; t < TYPES; t++) {
        c->reader[t] = array(arena, C * C, e);
        c->reader_norm[t] = arena_array(arena, H, sizeof(double), e);
        if (!c->reader[t] || !c->reader_norm[t])
            return ERR_LIMIT;
    }
    return c->writer && c->writer_norm ? 0 : ERR_LIMIT;
}

static int circuits_fill(struct circuits *c, const struct ctx *ctx, const struct head_matrices *w,
    struct arena *arena, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t D = cfg->d_head;
    struct absorbing x = {cfg, w, c, NULL, 0, e};
    x.scratch = arena_array(arena, (size_t)(cfg->n_head * (2 * D * D + D)), sizeof *x.scratch, e);
    if (!x.scratch)
        return ERR_LIMIT;
    pool_for(ctx->pool, cfg->n_head, absorb_head, &x);
    return x.rc;
}

/* score[h1 * stride + h2] = |W_L W_R|_F / (|W_L|_F |W_R|_F) of every head pair of two layers. */
static int compose(float *score, int64_t stride, const struct circuits *from,
    const struct circuits *to, int type, float *m, const struct config *cfg, struct err *e)
{
    int64_t C = cfg->d_model, D = cfg->d_head, H = cfg->n_head;
    if (linalg_sgemm(m, C, false, false, C, C, C, 1, from->writer, C, to->reader[type], C, 0, e))
        return e->code;
    for (int64_t a = 0; a < H; a++)
        for (int64_t b = 0; b < H; b++) {
            double n = norm(m + a * D * C + b * D, C, 1, D, D);
            double scale = from->writer_norm[a] * to->reader_norm[type][b];
            score[a * stride + b] = scale > 0 ? (float)(n / scale) : 0;
        }
    return 0;
}

/* Gaussian factors of the same shapes: what composition is worth when there is none. */
static int random_baseline(struct ctx *ctx, float *samples, int64_t n, uint64_t seed, struct err *e)
{
    struct config cfg = ctx->model->cfg;
    struct arena_mark mark = arena_mark(ctx->arena);
    int64_t C = cfg.d_model;
    struct circuits c[2];
    struct head_matrices w;
    float **part[] = {&w.q, &w.k, &w.v, &w.o};
    for (int i = 0; i < 4; i++)
        if (!(*part[i] = array(ctx->arena, C * C, e)))
            return ERR_LIMIT;
    float *score = array(ctx->arena, (int64_t)cfg.n_head * cfg.n_head, e);
    float *m = score ? array(ctx->arena, C * C, e) : NULL;
    if (!m || circuits_init(&c[0], &cfg, ctx->arena, e) ||
        circuits_init(&c[1], &cfg, ctx->arena, e))
        return ERR_LIMIT;
    struct rng rng;
    rng_init(&rng, seed, 0);
    int64_t got = 0;
    while (got < n) {
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < 4; i++)
                for (int64_t k = 0; k < C * C; k++)
                    (*part[i])[k] = (float)rng_normal(&rng);
            if (circuits_fill(&c[side], ctx, &w, ctx->arena, e))
                return e->code;
        }
        if (compose(score, cfg.n_head, &c[0], &c[1], V_TYPE, m, &cfg, e))
            return e->code;
        for (int64_t h = 0; h < cfg.n_head && got < n; h++)
            samples[got++] = score[h * cfg.n_head + h];
    }
    arena_rewind(ctx->arena, mark);
    return 0;
}

#define BASELINE_SAMPLES 10

static int write_composition(const struct ctx *ctx, struct run *out, float *score, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t n = (int64_t)cfg->n_layer * cfg->n_head;
    const char **labels = head_labels(cfg, ctx->arena, e);
    struct block *b;
    struct block_spec s = {.name = "composition",
        .input = -1,
        .rank = 3,
        .axes = {{"type", AXIS_OTHER, TYPES, type_names}, {"sender", AXIS_COMPONENT, n, labels},
            {"receiver", AXIS_COMPONENT, n, labels}},
        .unit = "ratio",
        .long_name = "|W_OV W_R| / (|W_OV| |W_R|) with W_R = W_QK, its transpose, W_OV: q, k, v",
        .source = "Elhage et al. 2021, composition",
        .look = LOOK_HEATMAP};
    if (!labels || run_block(&b, out, &s, e) || block_set(b, score, e))
        return e->code;
    float chance = (float)(1 / sqrt((double)cfg->d_model));
    for (int64_t i = 0; i < TYPES * n * n; i++) {
        int64_t from = i / n % n / cfg->n_head, to = i % n / cfg->n_head;
        score[i] = from < to ? score[i] - chance : 0;
    }
    s.name = "composition_excess";
    s.long_name =
        "composition above 1 / sqrt(d_model), its root mean square for circuits turned at "
        "random";
    s.is_signed = true;
    return run_block(&b, out, &s, e) || block_set(b, score, e) ? e->code : 0;
}

static int write_baseline(struct ctx *ctx, struct run *out, uint64_t seed, struct err *e)
{
    float samples[BASELINE_SAMPLES];
    struct block *b;
    if (random_baseline(ctx, samples, BASELINE_SAMPLES, seed, e) ||
        run_block(&b, out,
            &(struct block_spec){.name = "composition_random",
                .input = -1,
                .rank = 1,
                .axes = {{"sample", AXIS_OTHER, BASELINE_SAMPLES, NULL}},
                .unit = "ratio",
                .long_name = "composition of Gaussian factors of the same shapes",
                .source = "Elhage et al. 2021, composition",
                .look = LOOK_BARS},
            e))
        return e->code;
    return block_set(b, samples, e);
}

int heads_composition(const struct ctx *ctx, struct run *out, uint64_t seed, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t C = cfg->d_model, H = cfg->n_head, L = cfg->n_layer, n = L * H;
    struct ctx own = *ctx;
    struct arena_mark mark = arena_mark(ctx->arena);
    float *score = arena_zalloc(ctx->arena, (size_t)(TYPES * n * n) * sizeof *score, e);
    float *m = score ? array(ctx->arena, C * C, e) : NULL;
    struct circuits to, from;
    if (!m || circuits_init(&to, cfg, ctx->arena, e) || circuits_init(&from, cfg, ctx->arena, e))
        return ERR_LIMIT;
    for (int64_t l1 = 0; l1 + 1 < L; l1++)
        for (int64_t l2 = l1; l2 < L; l2++) {
            struct arena_mark layer = arena_mark(ctx->arena);
            struct head_matrices w;
            if (head_matrices_load(&w, ctx, (int)l2, ctx->arena, e) ||
                circuits_fill(l2 == l1 ? &from : &to, ctx, &w, ctx->arena, e))
                return e->code;
            arena_rewind(ctx->arena, layer);
            for (int t = 0; t < TYPES && l2 > l1; t++)
                if (compose(score + (t * n + l1 * H) * n + l2 * H, n, &from, &to, t, m, cfg, e))
                    return e->code;
            if (ctx->progress && ctx->progress(ctx->progress_arg, 0, 1))
                return err_set(e, ERR_CANCEL, "interrupted");
        }
    int rc = write_composition(ctx, out, score, e);
    arena_rewind(ctx->arena, mark);
    return rc ? rc : write_baseline(&own, out, seed, e);
}

/* ---- Singular directions ---- */

static const char *const circuit_names[] = {"OV", "QK"};
static const char *const side_names[2][2] = {{"reads", "writes"}, {"query", "key"}};

struct directions {
    const struct ctx *ctx;
    struct run *out;
    int64_t k, D, C;    /* k <= D */
    double *a, *u, *vt; /* [D, C], [D, D], [D, C] */
    double *s;          /* [D] */
    float *dirs;        /* [2 sides][H, k, C] */
    float *value;       /* [H, D] */
    float *logits;      /* [H * k, V] */
    struct block *singular[2], *table;
};

/* The k leading directions of one head's circuit x^T y, x and y [D, C]: right ones of the product in
 * dirs[1], left ones in dirs[0]. */
static int decompose(struct directions *d, int64_t h, struct factor x, struct factor y,
    float *scratch, double *gram, struct err *e)
{
    int64_t D = d->D, C = d->C;
    if (absorb(scratch, C, 1, y, x, gram, D, C, e))
        return e->code;
    for (int64_t i = 0; i < D * C; i++)
        d->a[i] = scratch[i];
    if (linalg_svd(d->u, d->s, d->vt, d->a, D, C, e))
        return e->code;
    for (int64_t i = 0; i < D; i++)
        d->value[h * D + i] = (float)d->s[i];
    for (int64_t i = 0; i < d->k; i++) {
        const double *v = d->vt + i * C;
        double *left = d->a; /* x^T (y v) / s */
        memset(left, 0, (size_t)C * sizeof *left);
        for (int64_t j = 0; j < D; j++) {
            double dot = 0;
            for (int64_t c = 0; c < C; c++)
                dot += (double)y.x[j * y.row + c * y.col] * v[c];
            for (int64_t c = 0; c < C; c++)
                left[c] += (double)x.x[j * x.row + c * x.col] * dot;
        }
        for (int64_t c = 0; c < C; c++) {
            d->dirs[(h * d->k + i) * C + c] = d->s[i] > 0 ? (float)(left[c] / d->s[i]) : 0;
            d->dirs[((d->ctx->model->cfg.n_head + h) * d->k + i) * C + c] = (float)v[c];
        }
    }
    return 0;
}

struct readout {
    const struct directions *d;
    const float *dirs; /* [n, C] */
    int64_t n;
    bool unembed;
    const struct panel *w;
    int rc;
    struct err *e;
};

/* Logits of a chunk of tokens along every direction: rows of W_E, or columns of W_U. */
static void read_tokens(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    struct readout *r = arg;
    const struct ctx *ctx = r->d->ctx;
    int64_t C = r->d->C, V = ctx->model->cfg.vocab, t0 = chunk * TOKEN_CHUNK;
    int64_t n = V - t0 < TOKEN_CHUNK ? V - t0 : TOKEN_CHUNK;
    struct arena arena = {0};
    struct err e = {0};
    float *rows = array(&arena, n * C, &e);
    for (int64_t t = 0; rows && t < n && !e.code; t++) {
        if (r->unembed)
            panel_col(rows + t * C, r->w, t0 + t);
        else
            params_embed(rows + t * C, ctx->params, t0 + t, &e);
        view_row(rows + t * C, r->unembed ? ctx->params->lnf_g : NULL, ctx->folded, C);
    }
    if (!e.code)
        linalg_sgemm(r->d->logits + t0, V, false, true, r->n, n, C, 1, r->dirs, C, rows, C, 0, &e);
    arena_release(&arena);
    if (e.code && !__atomic_exchange_n(&r->rc, e.code, __ATOMIC_RELAXED))
        *r->e = e;
}

#define READ_TOKENS 8

/* One row of the table: the tokens along a direction, with the sign that makes the largest logit
 * positive, as it is arbitrary: `flip` goes with the other side too. */
static int write_direction(struct directions *d, int layer, int64_t h, int64_t i, int circuit,
    int side, const float *logits, struct err *e)
{
    int32_t ids[READ_TOKENS];
    float best[READ_TOKENS];
    int64_t V = d->ctx->model->cfg.vocab;
    int n = V < READ_TOKENS ? (int)V : READ_TOKENS;
    struct arena_mark mark = arena_mark(d->ctx->arena);
    ops_topk(ids, best, logits, V, n);
    const char *text = "";
    for (int t = 0; t < n && text; t++) {
        const char *one = token_text(d->ctx->model, ids[t], d->ctx->arena, e);
        text = one ? arena_printf(d->ctx->arena, e, "%s%s[%s]", text, t ? " " : "", one) : NULL;
    }
    if (!text)
        return ERR_LIMIT;
    struct cell_value row[] = {{.number = layer}, {.number = (double)h},
        {.text = circuit_names[circuit]}, {.text = side_names[circuit][side]},
        {.number = (double)i}, {.number = d->value[h * d->D + i]}, {.number = best[0]},
        {.text = text}};
    int rc = block_append(d->table, row, e);
    arena_rewind(d->ctx->arena, mark);
    return rc;
}

/* Both sides of one circuit through the vocabulary. A direction and its partner have one sign. */
static int read_circuit(struct directions *d, int layer, int circuit, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t V = cfg->vocab, n = cfg->n_head * d->k;
    struct arena_mark mark = arena_mark(d->ctx->arena);
    bool *flip = arena_zalloc(d->ctx->arena, (size_t)n, e);
    const struct panel *w = flip ? params_panel(d->ctx->params, MAT_UNEMBED, 0, e) : NULL;
    if (!w)
        return e->code;
    for (int side = 1; side >= 0; side--) {
        bool unembed = circuit == 0 && side == 1;
        struct readout r = {d, d->dirs + side * n * d->C, n, unembed, w, 0, e};
        pool_for(d->ctx->pool, (V + TOKEN_CHUNK - 1) / TOKEN_CHUNK, read_tokens, &r);
        if (r.rc)
            return r.rc;
        for (int64_t i = 0; i < n; i++) {
            float *x = d->logits + i * V, top = 0;
            double mean = 0;
            for (int64_t t = 0; t < V; t++)
                mean += x[t];
            for (int64_t t = 0; t < V; t++) {
                x[t] -= unembed && d->ctx->folded ? (float)(mean / (double)V) : 0;
                if (fabsf(x[t]) > fabsf(top))
                    top = x[t];
            }
            if (side == 1)
                flip[i] = top < 0;
            for (int64_t t = 0; flip[i] && t < V; t++)
                x[t] = -x[t];
            if (write_direction(d, layer, i / d->k, i % d->k, circuit, side, x, e))
                return e->code;
        }
    }
    arena_rewind(d->ctx->arena, mark);
    return 0;
}

static int declare_directions(struct directions *d, struct run *out, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    static const struct column columns[] = {{"layer", "", DT_I32, false},
        {"head", "", DT_I32, false}, {"circuit", "", DT_F32, true}, {"side", "", DT_F32, true},
        {"rank", "", DT_I32, false}, {"value", "gain", DT_F32, false},
        {"logit", "logits", DT_F32, false}, {"tokens", "", DT_F32, true}};
    static const char *const names[] = {"ov_singular_value", "qk_singular_value"};
    static const char *const long_names[] = {
        "singular values of W_V W_O", "singular values of W_Q W_K^T"};
    for (int i = 0; i < 2; i++)
        if (run_block(&d->singular[i], out,
                &(struct block_spec){.name = names[i],
                    .input = -1,
                    .rank = 3,
                    .axes = {{"layer", AXIS_LAYER, cfg->n_layer, NULL},
                        {"head", AXIS_HEAD, cfg->n_head, NULL}, {"rank", AXIS_RANK, d->D, NULL}},
                    .unit = "gain",
                    .long_name = long_names[i],
                    .source = "Millidge and Black 2022, the singular value decompositions of "
                              "transformer weight matrices",
                    .look = LOOK_HEATMAP},
                e))
            return e->code;
    return run_block(&d->table, out,
        &(struct block_spec){.name = "direction",
            .input = -1,
            .rank = 1,
            .axes = {{"direction", AXIS_OTHER, 0, NULL}},
            .unit = "",
            .long_name = "leading singular directions of every head: the tokens whose embeddings "
                         "they read, and whose logits they write; signed so that the largest "
                         "of what OV writes, of QK's keys, is positive",
            .source = "Millidge and Black 2022, the singular value decompositions of transformer "
                      "weight matrices",
            .look = LOOK_TABLE,
            .columns = columns,
            .n_columns = sizeof columns / sizeof *columns},
        e);
}

static int singular_layer(struct directions *d, int layer, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t D = d->D, C = d->C, H = cfg->n_head;
    struct head_matrices w;
    if (head_matrices_load(&w, d->ctx, layer, d->ctx->arena, e))
        return e->code;
    float *scratch = array(d->ctx->arena, D * C, e);
    double *gram =
        scratch ? arena_array(d->ctx->arena, (size_t)(2 * D * D + D), sizeof *gram, e) : NULL;
    if (!gram)
        return ERR_LIMIT;
    for (int circuit = 0; circuit < 2; circuit++) {
        for (int64_t h = 0; h < H; h++) {
            int64_t at = h * D;
            struct factor q = {w.q + at, 1, C}, k = {w.k + at, 1, C}, v = {w.v + at, 1, C};
            struct factor o = {w.o + at * C, C, 1};
            if (decompose(d, h, circuit ? q : v, circuit ? k : o, scratch, gram, e))
                return e->code;
        }
        int64_t start[3] = {layer, 0, 0}, count[3] = {1, H, D};
        if (block_write(d->singular[circuit], start, count, d->value, e) ||
            read_circuit(d, layer, circuit, e))
            return e->code;
    }
    return 0;
}

int heads_singular(const struct ctx *ctx, struct run *out, int64_t k, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    int64_t C = cfg->d_model, D = cfg->d_head, H = cfg->n_head;
    struct directions d = {.ctx = ctx, .out = out, .k = k < D ? k : D, .D = D, .C = C};
    struct arena_mark mark = arena_mark(ctx->arena);
    d.a = arena_array(ctx->arena, (size_t)(D * C), sizeof *d.a, e);
    d.u = arena_array(ctx->arena, (size_t)(D * D), sizeof *d.u, e);
    d.vt = arena_array(ctx->arena, (size_t)(D * C), sizeof *d.vt, e);
    d.s = arena_array(ctx->arena, (size_t)D, sizeof *d.s, e);
    d.dirs = array(ctx->arena, 2 * H * d.k * C, e);
    d.value = array(ctx->arena, H * D, e);
    d.logits = array(ctx->arena, H * d.k * cfg->vocab, e);
    if (!d.a || !d.u || !d.vt || !d.s || !d.dirs || !d.value || !d.logits)
        return ERR_LIMIT;
    if (linalg_open(e) || declare_directions(&d, out, e))
        return e->code;
    for (int l = 0; l < cfg->n_layer; l++) {
        struct arena_mark layer = arena_mark(ctx->arena);
        if (singular_layer(&d, l, e))
            return e->code;
        arena_rewind(ctx->arena, layer);
        if (ctx->progress && ctx->progress(ctx->progress_arg, 0, 1))
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    arena_rewind(ctx->arena, mark);
    return 0;
}
