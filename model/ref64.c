#include "model/ref64.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/lnfree.h"

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

static double clip(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* The formulas of transformers' ACT2FN, by the names of config.json. */
double ref64_act(double x, enum act act)
{
    double r = x > 0 ? x : 0, erf_form = x / 2 * (1 + erf(x * M_SQRT1_2));
    switch (act) {
    case ACT_GELU_NEW:
        return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ACT_GELU_FAST:
        return x / 2 * (1 + tanh(0.7978845608 * x * (1 + 0.044715 * x * x)));
    case ACT_GELU:
        return erf_form;
    case ACT_GELU_10:
        return clip(erf_form, -10, 10);
    case ACT_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case ACT_RELU:
        return r;
    case ACT_RELU2:
        return r * r;
    case ACT_RELU6:
        return r < 6 ? r : 6;
    case ACT_LEAKY_RELU:
        return x > 0 ? x : 0.01 * x;
    case ACT_SILU:
        return x * sigmoid(x);
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_TANH:
        return tanh(x);
    case ACT_LINEAR:
        return x;
    case ACT_MISH:
        return x * tanh(softplus(x));
    case ACT_LAPLACE:
        return (1 + erf((x - 0.707107) / (0.282095 * M_SQRT2))) / 2;
    case ACT_HARDSWISH:
        return x * clip(x + 3, 0, 6) / 6;
    case ACT_SQRTSOFTPLUS:
        return sqrt(softplus(x));
    default:
        return (double)NAN;
    }
}

struct run {
    const struct ref64 *r;
    struct arena arena; /* of the layer under way, then rewound */
    int n_scales;
    struct err *e;
};

static double *numbers(struct run *u, int64_t n)
{
    double *p = arena_array(&u->arena, (size_t)n, sizeof *p, u->e);
    if (p)
        memset(p, 0, (size_t)n * sizeof *p);
    return p;
}

/* Rows [begin, begin + count) of a tensor whose rows have `width` values, widened. */
static double *load_rows(
    struct run *u, const char *name, int64_t begin, int64_t count, int64_t width)
{
    const struct weight *w = weights_find(u->r->weights, name);
    int64_t n = count * width;
    if (!w) {
        err_set(u->e, ERR_INPUT, "the weights have no tensor %s", name);
        return NULL;
    }
    size_t size = dtype_bytes(w->dtype);
    if ((uint64_t)(begin * width + n) * size > w->bytes) {
        err_set(u->e, ERR_INPUT, "%s is smaller than the configuration says", name);
        return NULL;
    }
    void *raw = arena_array(&u->arena, (size_t)n, size, u->e);
    float *wide = arena_array(&u->arena, (size_t)n, sizeof *wide, u->e);
    double *out = numbers(u, n);
    if (!raw || !wide || !out)
        return NULL;
    if (weights_read(
            u->r->weights, w, (uint64_t)(begin * width) * size, (uint64_t)n * size, raw, u->e))
        return NULL;
    tensor_widen(wide, raw, w->dtype, n);
    if (u->r->cfg->ln == LN_LINEAR && strstr(name, "ln_") && strstr(name, ".weight") &&
        lnfree_scale(wide, u->r->cfg, u->r->weights, name, n, u->e))
        return NULL;
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)wide[i];
    const struct ref64_nudge *d = u->r->nudge;
    if (d && d->tensor && !strcmp(d->tensor, name) && d->index >= begin * width &&
        d->index < begin * width + n)
        out[d->index - begin * width] += d->delta;
    return out;
}

static double *load(struct run *u, int layer, const char *part, int64_t n)
{
    char name[96];
    snprintf(name, sizeof name, "h.%d.%s", layer, part);
    return load_rows(u, name, 0, 1, n);
}

static bool nudges(const struct run *u, enum site s, int layer)
{
    const struct ref64_nudge *d = u->r->nudge;
    return d && !d->tensor && d->site == s && (d->layer == layer || !site_info(s)->per_layer);
}

static void at_site(const struct run *u, enum site s, int layer, double *x)
{
    if (nudges(u, s, layer))
        x[u->r->nudge->index] += u->r->nudge->delta;
}

/* y [n, N] = x [n, K] W [K, N] + b, rows from row0 on. */
static void affine(
    double *y, const double *x, const double *w, const double *b, int64_t n, int64_t K, int64_t N)
{
    for (int64_t r = 0; r < n; r++) {
        double *o = y + r * N;
        for (int64_t j = 0; j < N; j++)
            o[j] = b ? b[j] : 0;
        for (int64_t k = 0; k < K; k++)
            for (int64_t j = 0; j < N; j++)
                o[j] += x[r * K + k] * w[k * N + j];
    }
}

/* y = LN(x) of n rows; `which` numbers the LayerNorm in order of execution; scale [n] is its site,
 * NULL: not a site. */
static void layer_norm(const struct run *u, double *y, const double *x, const double *g,
    const double *b, int which, enum site scale_site, int layer, bool is_site)
{
    const struct config *cfg = u->r->cfg;
    int64_t C = cfg->d_model;
    for (int64_t r = 0; r < u->r->n; r++) {
        double mean = 0, var = 0, *slot = u->r->scales ? u->r->scales + which * u->r->n + r : NULL;
        for (int64_t c = 0; c < C; c++)
            mean += x[r * C + c] / (double)C;
        for (int64_t c = 0; c < C; c++)
            var += (x[r * C + c] - mean) * (x[r * C + c] - mean) / (double)C;
        double s = cfg->ln == LN_LINEAR ? 1 : sqrt(var + cfg->ln_eps);
        if (slot && u->r->is_frozen)
            s = *slot;
        else if (slot && is_site)
            *slot = s;
        if (is_site && nudges(u, scale_site, layer) && u->r->nudge->index == r)
            s += u->r->nudge->delta;
        for (int64_t c = 0; c < C; c++)
            y[r * C + c] = (x[r * C + c] - mean) / s * g[c] + b[c];
    }
}

struct layer {
    double *ln1_g, *ln1_b, *qkv, *b_qkv, *o, *b_o, *ln2_g, *ln2_b, *in, *b_in, *out, *b_out;
};

static int load_layer(struct run *u, struct layer *w, int l)
{
    int64_t C = u->r->cfg->d_model, F = u->r->cfg->d_mlp;
    struct {
        double **to;
        const char *part;
        int64_t n;
    } list[] = {{&w->ln1_g, "ln_1.weight", C}, {&w->ln1_b, "ln_1.bias", C},
        {&w->qkv, "attn.c_attn.weight", C * 3 * C}, {&w->b_qkv, "attn.c_attn.bias", 3 * C},
        {&w->o, "attn.c_proj.weight", C * C}, {&w->b_o, "attn.c_proj.bias", C},
        {&w->ln2_g, "ln_2.weight", C}, {&w->ln2_b, "ln_2.bias", C},
        {&w->in, "mlp.c_fc.weight", C * F}, {&w->b_in, "mlp.c_fc.bias", F},
        {&w->out, "mlp.c_proj.weight", F * C}, {&w->b_out, "mlp.c_proj.bias", C}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        *list[i].to = load(u, l, list[i].part, list[i].n);
        if (!*list[i].to)
            return u->e->code;
    }
    return 0;
}

/* A nudge of a per-head input: that head's part of qkv comes from a LayerNorm of its own. */
static int nudged_inputs(struct run *u, const struct layer *w, int l, double *qkv, const double *x)
{
    static const enum site parts[3] = {SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};
    int64_t n = u->r->n, C = u->r->cfg->d_model, D = u->r->cfg->d_head, H = u->r->cfg->n_head;
    for (int part = 0; part < 3; part++) {
        if (!nudges(u, parts[part], l) && !nudges(u, SITE_ATTN_IN, l))
            continue;
        int64_t at = u->r->nudge->index, row = at / (H * C), h = at / C % H, c = at % C;
        double *own = numbers(u, n * C), *y = numbers(u, n * C), *all = numbers(u, n * 3 * C);
        if (!own || !y || !all)
            return ERR_LIMIT;
        memcpy(own, x, (size_t)(n * C) * sizeof *own);
        own[row * C + c] += u->r->nudge->delta;
        layer_norm(u, y, own, w->ln1_g, w->ln1_b, 2 * l, SITE_LN1_SCALE, l, false);
        affine(all, y, w->qkv, w->b_qkv, n, C, 3 * C);
        for (int64_t r = 0; r < n; r++)
            memcpy(qkv + r * 3 * C + part * C + h * D, all + r * 3 * C + part * C + h * D,
                (size_t)D * sizeof *qkv);
    }
    return 0;
}

/* z [n, C] of one head. */
static void attend(const struct run *u, double *z, double *const d[3], int64_t h, double *scores,
    double *pattern, double scale, int l)
{
    int64_t n = u->r->n, C = u->r->cfg->d_model, D = u->r->cfg->d_head;
    const struct ref64_nudge *nudge = u->r->nudge;
    for (int64_t i = 0; i < n; i++) {
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j <= i; j++) {
            double s = 0;
            for (int64_t k = h * D; k < (h + 1) * D; k++)
                s += d[0][i * C + k] * d[1][j * C + k];
            scores[j] = s * scale;
            if (nudges(u, SITE_SCORES, l) && nudge->index == (h * n + i) * n + j)
                scores[j] += nudge->delta;
            top = scores[j] > top ? scores[j] : top;
        }
        for (int64_t j = 0; j <= i; j++)
            sum += exp(scores[j] - top);
        for (int64_t j = 0; j <= i; j++) {
            pattern[j] = exp(scores[j] - top) / sum;
            if (nudges(u, SITE_PATTERN, l) && nudge->index == (h * n + i) * n + j)
                pattern[j] += nudge->delta;
        }
        for (int64_t k = h * D; k < (h + 1) * D; k++)
            for (int64_t j = 0; j <= i; j++)
                z[i * C + k] += pattern[j] * d[2][j * C + k];
    }
}

static int attention(struct run *u, const struct layer *w, int l, const double *x, double *out)
{
    static const enum site sites[3] = {SITE_Q, SITE_K, SITE_V};
    const struct config *cfg = u->r->cfg;
    int64_t n = u->r->n, C = cfg->d_model;
    double *y = numbers(u, n * C), *qkv = numbers(u, n * 3 * C), *z = numbers(u, n * C);
    double *rows = numbers(u, 2 * n), *d[3];
    for (int i = 0; i < 3; i++)
        d[i] = numbers(u, n * C);
    if (!y || !qkv || !z || !rows || !d[0] || !d[1] || !d[2])
        return ERR_LIMIT;
    layer_norm(u, y, x, w->ln1_g, w->ln1_b, 2 * l, SITE_LN1_SCALE, l, true);
    at_site(u, SITE_LN1_NORM, l, y);
    affine(qkv, y, w->qkv, w->b_qkv, n, C, 3 * C);
    if (nudged_inputs(u, w, l, qkv, x))
        return u->e->code;
    for (int i = 0; i < 3; i++) {
        for (int64_t r = 0; r < n; r++)
            memcpy(d[i] + r * C, qkv + r * 3 * C + i * C, (size_t)C * sizeof *y);
        at_site(u, sites[i], l, d[i]);
    }
    double scale = cfg->scale_attn_weights ? 1 / sqrt((double)cfg->d_head) : 1;
    scale /= cfg->scale_attn_by_layer ? l + 1 : 1;
    for (int64_t h = 0; h < cfg->n_head; h++)
        attend(u, z, d, h, rows, rows + n, scale, l);
    at_site(u, SITE_Z, l, z);
    affine(out, z, w->o, w->b_o, n, C, C);
    if (nudges(u, SITE_RESULT, l)) {
        int64_t at = u->r->nudge->index, H = cfg->n_head;
        out[at / (H * C) * C + at % C] += u->r->nudge->delta;
    }
    at_site(u, SITE_ATTN_OUT, l, out);
    return 0;
}

static int mlp(struct run *u, const struct layer *w, int l, const double *mid, double *out)
{
    int64_t n = u->r->n, C = u->r->cfg->d_model, F = u->r->cfg->d_mlp;
    double *x = numbers(u, n * C), *y = numbers(u, n * C), *pre = numbers(u, n * F);
    if (!x || !y || !pre)
        return ERR_LIMIT;
    memcpy(x, mid, (size_t)(n * C) * sizeof *x);
    at_site(u, SITE_MLP_IN, l, x);
    layer_norm(u, y, x, w->ln2_g, w->ln2_b, 2 * l + 1, SITE_LN2_SCALE, l, true);
    at_site(u, SITE_LN2_NORM, l, y);
    affine(pre, y, w->in, w->b_in, n, C, F);
    at_site(u, SITE_MLP_PRE, l, pre);
    for (int64_t i = 0; i < n * F; i++)
        pre[i] = ref64_act(pre[i], u->r->cfg->act);
    at_site(u, SITE_MLP_POST, l, pre);
    affine(out, pre, w->out, w->b_out, n, F, C);
    at_site(u, SITE_MLP_OUT, l, out);
    return 0;
}

static int block(struct run *u, int l, double *x)
{
    struct layer w;
    int64_t n = u->r->n * u->r->cfg->d_model;
    double *part = numbers(u, n);
    if (!part || load_layer(u, &w, l))
        return u->e->code;
    at_site(u, SITE_RESID_PRE, l, x);
    if (attention(u, &w, l, x, part))
        return u->e->code;
    for (int64_t i = 0; i < n; i++)
        x[i] += part[i];
    at_site(u, SITE_RESID_MID, l, x);
    if (mlp(u, &w, l, x, part))
        return u->e->code;
    for (int64_t i = 0; i < n; i++)
        x[i] += part[i];
    at_site(u, SITE_RESID_POST, l, x);
    return 0;
}

static int embed(struct run *u, double *x)
{
    const struct ref64 *r = u->r;
    int64_t C = r->cfg->d_model;
    double *pos = load_rows(u, "wpe.weight", 0, r->n, C), *tok = numbers(u, r->n * C);
    if (!pos || !tok)
        return u->e->code;
    for (int64_t t = 0; t < r->n; t++) {
        double *row = load_rows(u, "wte.weight", r->tokens[t], 1, C);
        if (!row)
            return u->e->code;
        memcpy(tok + t * C, row, (size_t)C * sizeof *row);
    }
    at_site(u, SITE_EMBED, -1, tok);
    at_site(u, SITE_POS_EMBED, -1, pos);
    for (int64_t i = 0; i < r->n * C; i++)
        x[i] = tok[i] + pos[i];
    return 0;
}

#define VOCAB_PIECE 2048

static int unembed(struct run *u, double *out, const double *x)
{
    const struct ref64 *r = u->r;
    int64_t C = r->cfg->d_model, V = r->cfg->vocab;
    double *g = load_rows(u, "ln_f.weight", 0, 1, C), *b = load_rows(u, "ln_f.bias", 0, 1, C);
    double *y = numbers(u, r->n * C);
    if (!g || !b || !y)
        return u->e->code;
    layer_norm(u, y, x, g, b, 2 * r->cfg->n_layer, SITE_LNF_SCALE, -1, true);
    at_site(u, SITE_LNF_NORM, -1, y);
    for (int64_t v = 0; v < V; v += VOCAB_PIECE) {
        struct arena_mark mark = arena_mark(&u->arena);
        int64_t nv = V - v < VOCAB_PIECE ? V - v : VOCAB_PIECE;
        double *w = load_rows(u, r->cfg->tied ? "wte.weight" : "lm_head.weight", v, nv, C);
        if (!w)
            return u->e->code;
        for (int64_t t = r->first; t < r->n; t++)
            for (int64_t j = 0; j < nv; j++) {
                double sum = 0;
                for (int64_t c = 0; c < C; c++)
                    sum += y[t * C + c] * w[j * C + c];
                out[(t - r->first) * V + v + j] = sum;
            }
        arena_rewind(&u->arena, mark);
    }
    return 0;
}

static int run(struct run *u, double *out)
{
    const struct ref64 *r = u->r;
    for (int64_t t = 0; t < r->n; t++)
        if (r->tokens[t] < 0 || r->tokens[t] >= r->cfg->vocab)
            return err_set(u->e, ERR_USAGE, "token id %d is outside the vocabulary", r->tokens[t]);
    if (r->n < 1 || r->n > r->cfg->n_ctx || r->first < 0 || r->first >= r->n)
        return err_set(u->e, ERR_USAGE, "%lld tokens do not fit the context of %d", (long long)r->n,
            r->cfg->n_ctx);
    double *x = numbers(u, r->n * r->cfg->d_model);
    struct arena_mark mark = arena_mark(&u->arena);
    if (!x || embed(u, x))
        return u->e->code;
    for (int l = 0; l < r->cfg->n_layer; l++) {
        arena_rewind(&u->arena, mark);
        if (block(u, l, x))
            return u->e->code;
    }
    arena_rewind(&u->arena, mark);
    return unembed(u, out, x);
}

int ref64_logits(double *out, const struct ref64 *r, struct err *e)
{
    struct err local = {0};
    struct run u = {.r = r, .e = e ? e : &local};
    u.e->code = 0;
    int rc = run(&u, out);
    arena_release(&u.arena);
    return rc;
}

int ref64_loss(double *out, const struct ref64 *r, struct err *e)
{
    int64_t V = r->cfg->vocab;
    struct arena arena = {0};
    double *z = arena_array(&arena, (size_t)(r->n * V), sizeof *z, e);
    int rc = z ? ref64_logits(z, r, e) : ERR_LIMIT;
    *out = 0;
    for (int64_t t = r->first; !rc && t + 1 < r->n; t++) {
        const double *row = z + (t - r->first) * V;
        double top = row[0], sum = 0;
        for (int64_t v = 0; v < V; v++)
            top = row[v] > top ? row[v] : top;
        for (int64_t v = 0; v < V; v++)
            sum += exp(row[v] - top);
        *out += (top + log(sum) - row[r->tokens[t + 1]]) / (double)(r->n - 1 - r->first);
    }
    arena_release(&arena);
    return rc;
}
