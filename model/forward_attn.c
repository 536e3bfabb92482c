#include <math.h>
#include <string.h>

#include "model/pass.h"

/* Attention of one layer: q, k, v, scores, pattern, z, result, attn_out. Queries, keys and values
 * have row strides of their own: they lie side by side in one product unless somebody looks. */
struct heads {
    float *q, *k, *v;
    int64_t ldq, ldk, ldv;
};

float pass_attn_scale(const struct config *cfg, int layer)
{
    double s = cfg->scale_attn_weights ? 1 / sqrt((double)cfg->d_head) : 1;
    return (float)(cfg->scale_attn_by_layer ? s / (layer + 1) : s);
}

static bool looked_at(const struct pass *f, enum site s, int l)
{
    return pass_keeps(f, s, l) || pass_touched(f, s, l);
}

/* out [rows, n1 - n0] = a W[:, n0:n1] + b for any column range. */
static int product_columns(struct pass *f, float *out, int64_t ldo, const float *a, int64_t lda,
    int64_t rows, const struct panel *w, const float *bias, int64_t n0, int64_t n1)
{
    int64_t begin = n0 / w->width * w->width;
    int64_t end = (n1 + w->width - 1) / w->width * w->width;
    if (end > w->n)
        end = w->n;
    struct epilogue ep = {.bias = bias + begin};
    if (begin == n0 && end == n1) {
        ops_gemm(out, ldo, a, lda, rows, w, n0, n1, &ep, f->o->pool);
        return 0;
    }
    struct arena_mark mark = arena_mark(&f->scratch);
    float *wide = pass_scratch(f, rows * (end - begin), sizeof *wide);
    if (!wide)
        return ERR_LIMIT;
    ops_gemm(wide, end - begin, a, lda, rows, w, begin, end, &ep, f->o->pool);
    for (int64_t r = 0; r < rows; r++)
        memcpy(
            out + r * ldo, wide + r * (end - begin) + n0 - begin, (size_t)(n1 - n0) * sizeof *out);
    arena_rewind(&f->scratch, mark);
    return 0;
}

/* A layer input for each head of its own: [rows, H, C]. */
static int split_input(
    struct pass *f, enum site s, int l, const float *resid, const float *from, float **out)
{
    int64_t C = f->cfg->d_model, H = f->cfg->n_head;
    float *x = pass_place(f, s, l);
    if (!x)
        return ERR_LIMIT;
    if (from)
        memcpy(x, from, (size_t)(f->rows * H * C) * sizeof *x);
    else
        for (int64_t r = 0; r < f->rows * H; r++)
            memcpy(x + r * C, resid + r / H * C, (size_t)C * sizeof *x);
    *out = x;
    return pass_done(f, s, l, x);
}

/* Per-head inputs were edited: LN and the projection of head h read head h's own stream. */
static int project_split(struct pass *f, int l, int part, const float *input, float *out)
{
    const struct layer_vectors *v = &f->p->layer[l];
    int64_t C = f->cfg->d_model, H = f->cfg->n_head, D = f->cfg->d_head;
    const struct panel *w = params_panel(f->p, MAT_QKV, l, f->e);
    struct arena_mark mark = arena_mark(&f->scratch);
    float *y = w ? pass_scratch(f, f->rows * H * C, sizeof *y) : NULL;
    float *scale = y ? pass_scratch(f, f->rows * H, sizeof *scale) : NULL;
    if (!scale)
        return f->e->code;
    struct ln ln = {f->cfg->ln, f->cfg->ln_eps, v->ln1_g, v->ln1_b, f->o->frozen != NULL};
    if (ln.frozen) {
        const float *from =
            f->o->frozen->site[(size_t)SITE_LN1_SCALE * (size_t)f->cfg->n_layer + (size_t)l];
        for (int64_t r = 0; r < f->rows * H; r++)
            scale[r] = from[r / H];
    }
    ops_ln(y, C, scale, input, C, f->rows * H, C, &ln, f->o->pool);
    int rc = 0;
    for (int64_t h = 0; h < H && !rc; h++)
        rc = product_columns(f, out + h * D, C, y + h * C, H * C, f->rows, w, v->b_qkv,
            part * C + h * D, part * C + (h + 1) * D);
    arena_rewind(&f->scratch, mark);
    return rc;
}

static const enum site qkv_sites[3] = {SITE_Q, SITE_K, SITE_V};
static const enum site input_sites[3] = {SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};

/* Keeps the per-head inputs that are named, and projects from those that were edited. */
static int split_inputs(
    struct pass *f, int l, const float *resid, const struct heads *hd, bool did[3])
{
    float *attn_in = NULL, *x;
    bool shared = pass_touched(f, SITE_ATTN_IN, l);
    if (looked_at(f, SITE_ATTN_IN, l) && split_input(f, SITE_ATTN_IN, l, resid, NULL, &attn_in))
        return f->e->code;
    float *const out[3] = {hd->q, hd->k, hd->v};
    for (int i = 0; i < 3; i++) {
        did[i] = shared || pass_touched(f, input_sites[i], l);
        if (!did[i] && !pass_keeps(f, input_sites[i], l))
            continue;
        if (split_input(f, input_sites[i], l, resid, shared ? attn_in : NULL, &x))
            return f->e->code;
        if (did[i] && project_split(f, l, i, x, out[i]))
            return f->e->code;
    }
    return 0;
}

static int project_dense(
    struct pass *f, int l, const float *y, const float *resid, struct heads *hd)
{
    int64_t C = f->cfg->d_model;
    const struct panel *w = params_panel(f->p, MAT_QKV, l, f->e);
    const struct kv_cache *kv = f->o->kv;
    if (!w)
        return f->e->code;
    float *out[3];
    for (int i = 0; i < 3; i++) {
        bool cached = kv && i > 0;
        out[i] =
            cached ? (i == 1 ? kv->k : kv->v)[l] + kv->len * C : pass_place(f, qkv_sites[i], l);
        if (!out[i])
            return ERR_LIMIT;
    }
    *hd = (struct heads){out[0], out[1], out[2], C, C, C};
    bool did[3] = {false, false, false};
    if (split_inputs(f, l, resid, hd, did))
        return f->e->code;
    for (int i = 0; i < 3; i++) {
        if (!did[i] && product_columns(f, out[i], C, y, C, f->rows, w, f->p->layer[l].b_qkv, i * C,
                           (i + 1) * C))
            return f->e->code;
        if (pass_done(f, qkv_sites[i], l, out[i]))
            return f->e->code;
        if (kv && i > 0 && pass_keeps(f, qkv_sites[i], l))
            memcpy(pass_place(f, qkv_sites[i], l), out[i], (size_t)(f->rows * C) * sizeof *out[i]);
    }
    return 0;
}

static int project(struct pass *f, int l, const float *y, const float *resid, struct heads *hd)
{
    static const enum site all[] = {
        SITE_Q, SITE_K, SITE_V, SITE_ATTN_IN, SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};
    bool dense = f->o->kv != NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dense = dense || looked_at(f, all[i], l);
    if (dense)
        return project_dense(f, l, y, resid, hd);
    int64_t C = f->cfg->d_model;
    if (!f->qkv)
        f->qkv = pass_scratch(f, f->rows * 3 * C, sizeof *f->qkv);
    const struct panel *w = params_panel(f->p, MAT_QKV, l, f->e);
    if (!f->qkv || !w)
        return f->e->code;
    struct epilogue ep = {.bias = f->p->layer[l].b_qkv};
    ops_gemm(f->qkv, 3 * C, y, C, f->rows, w, 0, 3 * C, &ep, f->o->pool);
    *hd = (struct heads){f->qkv, f->qkv + C, f->qkv + 2 * C, 3 * C, 3 * C, 3 * C};
    return 0;
}

/* The whole of softmax(q k^T) v, with hands on scores and pattern where they are touched. */
static int attend(struct pass *f, int l, const struct heads *hd, float *z)
{
    const struct batch *b = &f->t->batch;
    int64_t C = f->cfg->d_model, n_seq = b->n;
    const float **k = pass_scratch(f, 2 * n_seq, sizeof *k), **v = k ? k + n_seq : NULL;
    int64_t *past = k ? pass_scratch(f, n_seq, sizeof *past) : NULL;
    float **square = past ? pass_scratch(f, 2 * n_seq, sizeof *square) : NULL;
    if (!square)
        return ERR_LIMIT;
    const struct kv_cache *kv = f->o->kv;
    size_t at_scores = (size_t)SITE_SCORES * (size_t)f->cfg->n_layer + (size_t)l;
    size_t at_pattern = (size_t)SITE_PATTERN * (size_t)f->cfg->n_layer + (size_t)l;
    bool by_hand = pass_touched(f, SITE_SCORES, l) || pass_touched(f, SITE_PATTERN, l);
    float **scores = f->t->square[at_scores], **pattern = f->t->square[at_pattern];
    for (int64_t i = 0; i < n_seq; i++) {
        k[i] = kv ? kv->k[l] : hd->k + b->offset[i] * hd->ldk;
        v[i] = kv ? kv->v[l] : hd->v + b->offset[i] * hd->ldv;
        past[i] = f->past;
        if (!by_hand)
            continue;
        int64_t n = trace_len(f->t, (int)i), count = f->cfg->n_head * n * (f->past + n);
        square[i] = scores ? scores[i] : pass_scratch(f, count, sizeof(float));
        square[n_seq + i] = pattern ? pattern[i] : pass_scratch(f, count, sizeof(float));
        if (!square[i] || !square[n_seq + i])
            return ERR_LIMIT;
    }
    struct attention a = {f->cfg->n_head, f->cfg->d_head, pass_attn_scale(f->cfg, l), (int)n_seq,
        b->offset, past, hd->q, k, v, hd->ldq, hd->ldk, hd->ldv, z, C, scores, pattern};
    if (!by_hand)
        return ops_attention(&a, f->o->pool, f->e);
    a.scores = square;
    a.pattern = square + n_seq;
    if (ops_attention(&a, f->o->pool, f->e))
        return f->e->code;
    for (int64_t i = 0; i < n_seq; i++) {
        int64_t n = trace_len(f->t, (int)i), keys = f->past + n;
        if (pass_touched(f, SITE_SCORES, l)) {
            if (pass_done_square(f, SITE_SCORES, l, (int)i, a.scores[i]))
                return f->e->code;
            for (int h = 0; h < f->cfg->n_head; h++)
                ops_softmax_causal(a.pattern[i] + h * n * keys, a.scores[i] + h * n * keys, n, keys,
                    f->past, f->o->pool);
        }
        if (pass_touched(f, SITE_PATTERN, l) &&
            pass_done_square(f, SITE_PATTERN, l, (int)i, a.pattern[i]))
            return f->e->code;
    }
    return ops_attention_mix(&a, f->o->pool, f->e);
}

/* result [rows, H, C]: each head's own contribution, z_h W_O,h. */
static int head_results(struct pass *f, int l, const float *z, float *result)
{
    int64_t C = f->cfg->d_model, H = f->cfg->n_head, D = f->cfg->d_head;
    const struct panel *w = params_panel(f->p, MAT_O, l, f->e);
    struct arena_mark mark = arena_mark(&f->scratch);
    float *dense = w ? pass_scratch(f, D * C, sizeof *dense) : NULL;
    struct panel one = {DT_F32, D, C, panel_width(), NULL};
    one.data = dense ? pass_scratch(f, (int64_t)panel_bytes(DT_F32, D, C), 1) : NULL;
    if (!one.data)
        return f->e->code;
    struct epilogue ep = {0};
    for (int64_t h = 0; h < H; h++) {
        for (int64_t d = 0; d < D; d++)
            panel_row(dense + d * C, w, h * D + d);
        panel_pack_rows(&one, dense, 0, D);
        ops_gemm(result + h * C, H * C, z + h * D, C, f->rows, &one, 0, C, &ep, f->o->pool);
    }
    arena_rewind(&f->scratch, mark);
    return pass_done(f, SITE_RESULT, l, result);
}

/* attn_out = sum over heads of result + b_O, for edited results. */
static void sum_results(
    float *out, const float *result, const float *bias, int64_t rows, int64_t H, int64_t C)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < C; c++) {
            float sum = bias[c];
            for (int64_t h = 0; h < H; h++)
                sum += result[(r * H + h) * C + c];
            out[r * C + c] = sum;
        }
}

/* resid_mid = resid_pre + attn_out */
static int attention_out(struct pass *f, int l, const float *z, const float *resid, float *mid)
{
    const struct config *cfg = f->cfg;
    int64_t C = cfg->d_model;
    const float *b_o = f->p->layer[l].b_o;
    float *result = NULL;
    bool result_touched = pass_touched(f, SITE_RESULT, l);
    if (looked_at(f, SITE_RESULT, l)) {
        result = pass_place(f, SITE_RESULT, l);
        if (!result)
            return ERR_LIMIT;
        if (head_results(f, l, z, result))
            return f->e->code;
    }
    const struct panel *w = params_panel(f->p, MAT_O, l, f->e);
    if (!w)
        return f->e->code;
    /* attn_out alone is formed beside resid_mid where somebody looks at it: the same sums. */
    struct epilogue ep = {.bias = b_o, .add = resid, .ld_add = C};
    bool is_touched = result_touched || pass_touched(f, SITE_ATTN_OUT, l);
    if (is_touched || pass_keeps(f, SITE_ATTN_OUT, l)) {
        ep.pre = pass_place(f, SITE_ATTN_OUT, l);
        ep.ld_pre = C;
        if (!ep.pre)
            return ERR_LIMIT;
    }
    if (result_touched)
        sum_results(ep.pre, result, b_o, f->rows, cfg->n_head, C);
    else
        ops_gemm(mid, C, z, C, f->rows, w, 0, C, &ep, f->o->pool);
    if (!is_touched)
        return 0;
    if (pass_done(f, SITE_ATTN_OUT, l, ep.pre))
        return f->e->code;
    for (int64_t i = 0; i < f->rows * C; i++)
        mid[i] = ep.pre[i] + resid[i];
    return 0;
}

int pass_attention(struct pass *f, int l, const float *y, const float *resid, float *mid)
{
    struct heads hd = {0};
    float *z = pass_place(f, SITE_Z, l);
    if (!z)
        return ERR_LIMIT;
    if (project(f, l, y, resid, &hd))
        return f->e->code;
    struct arena_mark mark = arena_mark(&f->scratch);
    int rc = attend(f, l, &hd, z);
    if (!rc)
        rc = pass_done(f, SITE_Z, l, z);
    arena_rewind(&f->scratch, mark);
    return rc ? rc : attention_out(f, l, z, resid, mid);
}
