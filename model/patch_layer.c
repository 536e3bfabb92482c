#include <string.h>

#include "model/pass.h"
#include "model/patch_lanes.h"

/* One layer for all lanes of a wave. Rows lie packed, lane after lane: before attention the rows that
 * differ so far, behind it every row from the first of these on. */

static void norm(
    struct wave *w, const float *x, int64_t rows, const float *gamma, const float *beta)
{
    const int64_t C = w->cfg->d_model;
    const struct ln ln = {w->cfg->ln, w->cfg->ln_eps, gamma, beta, false};
    ops_ln(w->y, C, w->scale, x, C, rows, C, &ln, w->o->pool);
}

/* Keys and values of every row, queries only of the rows that are read: row i of the queries belongs
 * to the i-th lane that has one of its own. */
static void project_last(struct wave *w, const struct panel *m, const float *bias)
{
    const int64_t C = w->cfg->d_model;
    int64_t n = 0;
    for (int64_t i = 0; i < w->alive; i++) {
        const struct lane *l = &w->lane[i];
        if (l->hi == w->end)
            memcpy(
                w->mid + n++ * C, w->y + (l->at + l->hi - 1 - l->lo) * C, (size_t)C * sizeof *w->y);
    }
    struct epilogue ep = {.bias = bias + C};
    ops_gemm(w->qkv + C, 3 * C, w->y, C, w->rows, m, C, 3 * C, &ep, w->o->pool);
    ep.bias = bias;
    ops_gemm(w->qkv, 3 * C, w->mid, C, n, m, 0, C, &ep, w->o->pool);
    count_product(w, w->rows, C, 2 * C);
    count_product(w, n, C, C);
}

static int project(struct wave *w, int layer, bool *packed_q)
{
    const struct layer_vectors *v = &w->r->p->layer[layer];
    const int64_t C = w->cfg->d_model;
    const struct panel *m = params_panel(w->r->p, MAT_QKV, layer, w->e);
    if (!m)
        return w->e->code;
    norm(w, w->x, w->rows, v->ln1_g, v->ln1_b);
    *packed_q = layer + 1 == w->cfg->n_layer && w->tail == 1 && C % m->width == 0;
    if (*packed_q) {
        project_last(w, m, v->b_qkv);
        return 0;
    }
    struct epilogue ep = {.bias = v->b_qkv};
    ops_gemm(w->qkv, 3 * C, w->y, C, w->rows, m, 0, 3 * C, &ep, w->o->pool);
    count_product(w, w->rows, C, 3 * C);
    return 0;
}

/* The queries [from, to) of a lane, whose rows of z begin at z. */
static struct attention_lane lane_queries(const struct wave *w, const struct lane *l,
    const float *q, int64_t ldq, int64_t from, int64_t to, float *z)
{
    const int64_t C = w->cfg->d_model;
    const float *k = w->qkv + l->at * 3 * C + C;
    return (struct attention_lane){.q = q,
        .own_k = k,
        .own_v = k + C,
        .z = z,
        .q0 = from,
        .queries = to - from,
        .own = l->lo,
        .own_end = l->hi,
        .ldq = ldq,
        .ldk = 3 * C,
        .ldv = 3 * C,
        .ldz = C,
        .head = -1};
}

/* Attention spreads a change to every later row: lanes are laid out anew with all of them, the
 * residual stream in mid and z in y. */
static int spread(struct wave *w, int layer, bool packed_q)
{
    const int64_t C = w->cfg->d_model;
    const float *pre = base_site(w, SITE_RESID_PRE, layer), *q = base_site(w, SITE_Q, layer);
    int64_t at = 0, n = 0, own_q = 0;
    for (int64_t i = 0; i < w->alive; i++) {
        struct lane *l = &w->lane[i];
        const int64_t lo = first_needed(w, layer, l->lo), mine = l->hi > lo ? l->hi : lo;
        float *z = w->y + at * C;
        for (int64_t t = lo; t < w->end; t++)
            memcpy(w->mid + (at + t - lo) * C,
                t < l->hi ? w->x + (l->at + t - l->lo) * C : pre + t * C, (size_t)C * sizeof *pre);
        if (lo < l->hi) {
            const int64_t row = packed_q ? own_q++ : l->at + lo - l->lo;
            w->att[n++] = lane_queries(w, l, w->qkv + row * 3 * C, 3 * C, lo, l->hi, z);
        }
        if (mine < w->end)
            w->att[n++] = lane_queries(w, l, q + mine * C, C, mine, w->end, z + (mine - lo) * C);
        w->flops += 4.0 * (double)C * (double)(w->end - lo) * (double)(lo + w->end + 1) / 2;
        l->at = at;
        l->lo = lo;
        l->hi = w->end;
        at += w->end - lo;
    }
    w->rows = at;
    struct attention_lanes a = {w->cfg->n_head, w->cfg->d_head, pass_attn_scale(w->cfg, layer),
        base_site(w, SITE_K, layer), base_site(w, SITE_V, layer), C, C, w->end, w->att, n};
    return ops_attention_lanes(&a, w->o->pool, w->e);
}

/* A window that patches attn_out needs the stream before it, which the product is about to cover. */
static void save_stream(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    for (int64_t i = 0; i < w->alive; i++) {
        const struct lane *l = &w->lane[i];
        if (l->cell.site == SITE_ATTN_OUT && layer > l->cell.layer && layer < l->cell.layer_end)
            for (int64_t r = l->at; r < l->at + l->hi - l->lo; r++)
                memcpy(w->qkv + r * 3 * C, w->mid + r * C, (size_t)C * sizeof *w->mid);
    }
}

static int attention_half(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    bool packed_q = false;
    if (w->rows && (project(w, layer, &packed_q) || spread(w, layer, packed_q)))
        return w->e->code;
    if (born_attention(w, layer))
        return w->e->code;
    if (!w->rows)
        return 0;
    save_stream(w, layer);
    const struct panel *m = params_panel(w->r->p, MAT_O, layer, w->e);
    if (!m)
        return w->e->code;
    struct epilogue ep = {.bias = w->r->p->layer[layer].b_o, .add = w->mid, .ld_add = C};
    ops_gemm(w->mid, C, w->y, C, w->rows, m, 0, C, &ep, w->o->pool);
    count_product(w, w->rows, C, C);
    window_mid(w, layer);
    return 0;
}

static int mlp_half(struct wave *w, int layer)
{
    const struct layer_vectors *v = &w->r->p->layer[layer];
    const int64_t C = w->cfg->d_model, F = w->cfg->d_mlp;
    if (!w->rows)
        return 0;
    const struct panel *in = params_panel(w->r->p, MAT_IN, layer, w->e);
    const struct panel *out = in ? params_panel(w->r->p, MAT_OUT, layer, w->e) : NULL;
    if (!out)
        return w->e->code;
    norm(w, w->mid, w->rows, v->ln2_g, v->ln2_b);
    const int64_t parts = (w->rows + w->chunk - 1) / w->chunk;
    for (int64_t i = 0; i < parts; i++) {
        const int64_t r = w->rows * i / parts, n = w->rows * (i + 1) / parts - r;
        struct epilogue ep = {.bias = v->b_in, .use_act = true, .act = w->cfg->act};
        ops_gemm(w->act, w->ld_act, w->y + r * C, C, n, in, 0, F, &ep, w->o->pool);
        ep = (struct epilogue){.bias = v->b_out, .add = w->mid + r * C, .ld_add = C};
        ops_gemm(w->x + r * C, C, w->act, w->ld_act, n, out, 0, C, &ep, w->o->pool);
    }
    count_product(w, w->rows, C, 2 * F);
    return 0;
}

int wave_layer(struct wave *w, int layer)
{
    born_pre(w, layer);
    if (attention_half(w, layer))
        return w->e->code;
    born_mid(w, layer);
    if (mlp_half(w, layer))
        return w->e->code;
    window_post(w, layer);
    return born_post(w, layer);
}
