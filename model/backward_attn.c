#include <math.h>
#include <string.h>

#include "model/back.h"
#include "model/pass.h"

static size_t slot(const struct back *b, enum site s, int layer)
{
    return (size_t)s * (size_t)b->cfg->n_layer + (size_t)layer;
}

/* Pointers to the first row of every input. */
static float **rows_of(struct back *b, const float *base)
{
    const struct batch *batch = &b->t->batch;
    float **p = back_temp(b, batch->n, sizeof *p);
    for (int i = 0; p && i < batch->n; i++)
        p[i] = (float *)base + batch->offset[i] * b->cfg->d_model;
    return p;
}

/* dm/dz from dm/dattn_out; the output projection's gradient on the way. */
static int output_projection(struct back *b, int l, float *dz, float *dout)
{
    struct param_arrays *g = b->o->params;
    int64_t C = b->cfg->d_model;
    const float *z = back_kept(b, SITE_Z, l);
    if (!z)
        return b->e->code;
    if (g) {
        back_column_sums(g->layer[l].b_o, dout, C, b->rows, C, b->o->pool);
        ops_gemm_grad(g->o[l], C, z, C, dout, C, b->rows, C, C, b->o->pool);
    }
    return back_product(b, dz, dout, MAT_O, l);
}

struct per_head {
    struct back *b;
    const float *dresult; /* [rows, H, C] */
    const float *w_o;     /* [C, C] */
    float *dz;            /* [rows, H, D] */
};

static void result_row(void *arg, int64_t r, int worker)
{
    (void)worker;
    const struct per_head *x = arg;
    int64_t C = x->b->cfg->d_model, D = x->b->cfg->d_head;
    for (int64_t u = 0; u < C; u++) {
        const float *d = x->dresult + (r * x->b->cfg->n_head + u / D) * C, *w = x->w_o + u * C;
        double sum = 0;
        for (int64_t c = 0; c < C; c++)
            sum += (double)d[c] * (double)w[c];
        x->dz[r * C + u] = (float)sum;
    }
}

/* The same where single results are wanted or edited: attn_out = sum of results + b_O. */
static int results(struct back *b, int l, float *dz, float *dout, bool *is_done)
{
    struct param_arrays *g = b->o->params;
    int64_t C = b->cfg->d_model, H = b->cfg->n_head, D = b->cfg->d_head;
    *is_done = back_touched(b, SITE_RESULT, l);
    if (!*is_done && !back_wants(b, SITE_RESULT, l))
        return 0;
    float *dresult = back_place(b, SITE_RESULT, l);
    if (!dresult)
        return ERR_LIMIT;
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t h = 0; h < H; h++)
            memcpy(dresult + (r * H + h) * C, dout + r * C, (size_t)C * sizeof *dout);
    if (!*is_done)
        return 0;
    dresult = back_pass(b, SITE_RESULT, l, dresult);
    const struct panel *w = dresult ? params_panel(b->p, MAT_O, l, b->e) : NULL;
    const float *z = w ? back_kept(b, SITE_Z, l) : NULL;
    float *w_o = z ? back_temp(b, C * C, sizeof *w_o) : NULL;
    if (!w_o)
        return b->e->code;
    for (int64_t u = 0; u < C; u++)
        panel_row(w_o + u * C, w, u);
    struct per_head x = {b, dresult, w_o, dz};
    pool_for(b->o->pool, b->rows, result_row, &x);
    if (!g)
        return 0;
    back_column_sums(g->layer[l].b_o, dout, C, b->rows, C, b->o->pool);
    for (int64_t h = 0; h < H; h++)
        ops_gemm_grad(g->o[l] + h * D * C, C, z + h * D, C, dresult + h * C, H * C, b->rows, D, C,
            b->o->pool);
    return 0;
}

/* Attention of one input whose scores or pattern an edit changed, head by head. The softmax is that
 * of the edited scores; the mix reads the edited pattern. */
struct edited {
    const struct attention *a;
    const struct attention_grad *g;
    int input;
    int64_t n;
    const float *soft, *pattern; /* [H, T, T] before and after the pattern's edits */
    float *dpattern, *dscores;   /* [H, T, T] */
};

static void mix_grad(void *arg, int64_t h, int worker)
{
    (void)worker;
    const struct edited *x = arg;
    const struct attention *a = x->a;
    int64_t D = a->d_head, at = h * x->n * x->n;
    const float *v = a->v[x->input] + h * D;
    const float *dz = x->g->dz + a->offset[x->input] * a->ldz + h * D;
    float *dv = x->g->dv[x->input] + h * D;
    memset(x->dpattern + at, 0, (size_t)(x->n * x->n) * sizeof *x->dpattern);
    for (int64_t i = 0; i < x->n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t d = 0; d < D; d++) {
                sum += (double)dz[i * a->ldz + d] * (double)v[j * a->ldv + d];
                dv[j * a->ldv + d] += x->pattern[at + i * x->n + j] * dz[i * a->ldz + d];
            }
            x->dpattern[at + i * x->n + j] = (float)sum;
        }
}

static void softmax_grad(void *arg, int64_t h, int worker)
{
    (void)worker;
    const struct edited *x = arg;
    int64_t at = h * x->n * x->n;
    memset(x->dscores + at, 0, (size_t)(x->n * x->n) * sizeof *x->dscores);
    for (int64_t i = 0; i < x->n; i++) {
        const float *p = x->soft + at + i * x->n, *dp = x->dpattern + at + i * x->n;
        double mean = 0;
        for (int64_t j = 0; j <= i; j++)
            mean += (double)p[j] * (double)dp[j];
        for (int64_t j = 0; j <= i; j++)
            x->dscores[at + i * x->n + j] = (float)((double)p[j] * ((double)dp[j] - mean));
    }
}

static void scores_grad(void *arg, int64_t h, int worker)
{
    (void)worker;
    const struct edited *x = arg;
    const struct attention *a = x->a;
    int64_t D = a->d_head, at = h * x->n * x->n, first = a->offset[x->input];
    const float *q = a->q + first * a->ldq + h * D, *k = a->k[x->input] + h * D;
    float *dq = x->g->dq + first * a->ldq + h * D, *dk = x->g->dk[x->input] + h * D;
    for (int64_t i = 0; i < x->n; i++)
        for (int64_t j = 0; j <= i; j++) {
            float s = a->scale * x->dscores[at + i * x->n + j];
            for (int64_t d = 0; d < D; d++) {
                dq[i * a->ldq + d] += s * k[j * a->ldk + d];
                dk[j * a->ldk + d] += s * q[i * a->ldq + d];
            }
        }
}

/* Copies a gradient to the output, then gates it. */
static int square_emit(struct back *b, enum site s, int l, int input, float *g, int64_t n)
{
    float **out = b->out->square[slot(b, s, l)];
    if (out)
        memcpy(out[input], g, (size_t)(b->cfg->n_head * n * n) * sizeof *g);
    return edits_apply_square(&b->gates, s, l, g, n, n, b->cfg, b->e);
}

static int edited_input(
    struct back *b, int l, struct attention *a, const struct attention_grad *g, int input)
{
    int64_t n = trace_len(b->t, input), H = b->cfg->n_head, cells = H * n * n;
    struct arena_mark mark = arena_mark(&b->temp);
    float *scores = back_temp(b, cells, sizeof(float));
    float *soft = back_temp(b, cells, sizeof(float));
    float *pattern = back_temp(b, cells, sizeof(float));
    float *dpattern = back_temp(b, cells, sizeof(float));
    float *z = back_temp(b, n * b->cfg->d_model, sizeof(float));
    if (!scores || !soft || !pattern || !dpattern || !z)
        return ERR_LIMIT;
    int64_t offset[2] = {0, n};
    struct attention one = *a;
    one.n_seq = 1;
    one.offset = offset;
    one.q = a->q + a->offset[input] * a->ldq;
    one.k = a->k + input;
    one.v = a->v + input;
    one.z = z;
    one.scores = &scores;
    if (ops_attention(&one, b->o->pool, b->e))
        return b->e->code;
    if (edits_apply_square(b->o->edits, SITE_SCORES, l, scores, n, n, b->cfg, b->e))
        return b->e->code;
    for (int64_t h = 0; h < H; h++)
        ops_softmax_causal(soft + h * n * n, scores + h * n * n, n, n, 0, b->o->pool);
    memcpy(pattern, soft, (size_t)cells * sizeof *soft);
    if (edits_apply_square(b->o->edits, SITE_PATTERN, l, pattern, n, n, b->cfg, b->e))
        return b->e->code;
    /* The scores are not needed any more: their gradient takes their place. */
    struct edited x = {a, g, input, n, soft, pattern, dpattern, scores};
    pool_for(b->o->pool, H, mix_grad, &x);
    if (square_emit(b, SITE_PATTERN, l, input, dpattern, n))
        return b->e->code;
    pool_for(b->o->pool, H, softmax_grad, &x);
    if (square_emit(b, SITE_SCORES, l, input, scores, n))
        return b->e->code;
    pool_for(b->o->pool, H, scores_grad, &x);
    arena_rewind(&b->temp, mark);
    return 0;
}

/* dq, dk, dv [rows, C] from dz. */
static int mix(struct back *b, int l, const float *dz, float *const d[3])
{
    const struct config *cfg = b->cfg;
    int64_t C = cfg->d_model;
    static const enum site sites[3] = {SITE_Q, SITE_K, SITE_V};
    const float *qkv[3];
    for (int i = 0; i < 3; i++) {
        qkv[i] = back_kept(b, sites[i], l);
        if (!qkv[i])
            return b->e->code;
        memset(d[i], 0, (size_t)(b->rows * C) * sizeof *d[i]);
    }
    double scale = cfg->scale_attn_weights ? 1 / sqrt((double)cfg->d_head) : 1;
    if (cfg->scale_attn_by_layer)
        scale /= l + 1;
    struct arena_mark mark = arena_mark(&b->temp);
    float **k = rows_of(b, qkv[1]), **v = rows_of(b, qkv[2]);
    float **dk = rows_of(b, d[1]), **dv = rows_of(b, d[2]);
    if (!k || !v || !dk || !dv)
        return ERR_LIMIT;
    struct attention a = {.heads = cfg->n_head,
        .d_head = cfg->d_head,
        .scale = (float)scale,
        .n_seq = b->t->batch.n,
        .offset = b->t->batch.offset,
        .q = qkv[0],
        .k = (const float *const *)k,
        .v = (const float *const *)v,
        .ldq = C,
        .ldk = C,
        .ldv = C,
        .ldz = C};
    struct attention_grad g = {.dz = dz,
        .dq = d[0],
        .dk = dk,
        .dv = dv,
        .dpattern = b->out->square[slot(b, SITE_PATTERN, l)],
        .dscores = b->out->square[slot(b, SITE_SCORES, l)]};
    int rc = 0;
    if (!back_touched(b, SITE_PATTERN, l) && !back_touched(b, SITE_SCORES, l))
        rc = ops_attention_grad(&a, &g, b->o->pool, b->e);
    else
        for (int i = 0; !rc && i < a.n_seq; i++)
            rc = edited_input(b, l, &a, &g, i);
    arena_rewind(&b->temp, mark);
    return rc;
}

/* dm/d(attn_out): the residual gradient, gated. */
static float *attn_out(struct back *b, int l)
{
    if (!back_wants(b, SITE_ATTN_OUT, l) && !back_touched(b, SITE_ATTN_OUT, l))
        return b->dx;
    float *dout = back_place(b, SITE_ATTN_OUT, l);
    if (!dout)
        return NULL;
    memcpy(dout, b->dx, (size_t)(b->rows * b->cfg->d_model) * sizeof *dout);
    return back_pass(b, SITE_ATTN_OUT, l, dout);
}

/* dz in the shape of z, with results and edits on the way. */
static float *attention_out(struct back *b, int l)
{
    bool is_done;
    float *dout = attn_out(b, l), *dz = dout ? back_place(b, SITE_Z, l) : NULL;
    if (!dz || results(b, l, dz, dout, &is_done))
        return NULL;
    if (!is_done && output_projection(b, l, dz, dout))
        return NULL;
    return back_pass(b, SITE_Z, l, dz);
}

/* From dqkv through ln1 to the residual stream. */
static int inputs(struct back *b, int l)
{
    const struct layer_vectors *v = &b->p->layer[l];
    struct param_arrays *g = b->o->params;
    int64_t C = b->cfg->d_model;
    if (g)
        back_column_sums(g->layer[l].b_qkv, b->dqkv, 3 * C, b->rows, 3 * C, b->o->pool);
    if (back_split(b, l, b->dqkv))
        return b->e->code;
    const float *x = back_kept(b, SITE_RESID_PRE, l);
    struct back_ln ln = {SITE_LN1_SCALE, SITE_LN1_NORM, l, v->ln1_g, v->ln1_b,
        g ? g->layer[l].ln1_g : NULL, g ? g->layer[l].ln1_b : NULL};
    if (!x)
        return b->e->code;
    if (g) {
        const float *y;
        if (back_norm(b, &y, x, &ln))
            return b->e->code;
        ops_gemm_grad(g->qkv[l], 3 * C, y, C, b->dqkv, 3 * C, b->rows, C, 3 * C, b->o->pool);
    }
    float *dy = back_place(b, SITE_LN1_NORM, l);
    if (!dy || back_product(b, dy, b->dqkv, MAT_QKV, l))
        return b->e->code;
    dy = back_pass(b, SITE_LN1_NORM, l, dy);
    return dy ? back_ln(b, b->dx, C, dy, x, &ln, true) : b->e->code;
}

int back_attention(struct back *b, int l)
{
    int64_t C = b->cfg->d_model;
    static const enum site sites[3] = {SITE_Q, SITE_K, SITE_V};
    float *d[3], *dz = attention_out(b, l);
    if (!dz)
        return b->e->code;
    for (int i = 0; i < 3; i++) {
        d[i] = back_place(b, sites[i], l);
        if (!d[i])
            return ERR_LIMIT;
    }
    if (mix(b, l, dz, d))
        return b->e->code;
    for (int i = 0; i < 3; i++) {
        const float *from = back_pass(b, sites[i], l, d[i]);
        if (!from)
            return b->e->code;
        for (int64_t r = 0; r < b->rows; r++)
            memcpy(b->dqkv + r * 3 * C + i * C, from + r * C, (size_t)C * sizeof *from);
    }
    return inputs(b, l);
}
