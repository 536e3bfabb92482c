#include <string.h>

#include "model/back.h"
#include "model/pass.h"

/* Per-head inputs of attention: attn_in, then q_input, k_input and v_input, [rows, H, C] each. Where
 * nobody edits them they are copies of resid_pre, and their gradients are by-products; a part that
 * reads an edited input has LN statistics of its own for every head. */

static const enum site parts[3] = {SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};

struct split {
    struct back *b;
    int layer;
    float *dqkv;        /* [rows, 3C] */
    float *attn_in;     /* [rows, H, C] values after edits, NULL: resid_pre */
    float *dattn_in;    /* [rows, H, C], NULL: nobody asks */
    struct panel panel; /* W^T of one head and part: [D, C] */
    float *dense;       /* [D, C] */
    float *dy, *y, *x;  /* [rows, C] */
    float *scale;       /* [rows] */
    float *values;      /* [rows, H, C] an edited input */
};

static void widen(float *out, const float *resid, int64_t rows, int64_t heads, int64_t C)
{
    for (int64_t r = 0; r < rows * heads; r++)
        memcpy(out + r * C, resid + r / heads * C, (size_t)C * sizeof *out);
}

/* dy [rows, C] = dq_h W_h^T */
static int head_product(struct split *s, int part, int64_t h)
{
    struct back *b = s->b;
    int64_t C = b->cfg->d_model, D = b->cfg->d_head, at = part * C + h * D;
    const struct panel *w = params_panel(b->p, MAT_QKV, s->layer, b->e);
    if (!w)
        return b->e->code;
    for (int64_t d = 0; d < D; d++)
        panel_col(s->dense + d * C, w, at + d);
    panel_pack_rows(&s->panel, s->dense, 0, D);
    struct epilogue none = {0};
    ops_gemm(s->dy, C, s->dqkv + at, 3 * C, b->rows, &s->panel, 0, C, &none, b->o->pool);
    return 0;
}

/* The gradient of a head's own, edited input, and its share of the parameters. */
static void edited_head(struct split *s, int part, int64_t h, float *out)
{
    struct back *b = s->b;
    const struct layer_vectors *v = &b->p->layer[s->layer];
    struct param_arrays *g = b->o->params;
    int64_t C = b->cfg->d_model, HC = C * b->cfg->n_head, D = b->cfg->d_head;
    struct ln ln = {b->cfg->ln, b->cfg->ln_eps, v->ln1_g, v->ln1_b, b->o->frozen != NULL};
    const float *x = s->values + h * C;
    if (ln.frozen)
        memcpy(s->scale, b->o->frozen->site[SITE_LN1_SCALE * b->cfg->n_layer + s->layer],
            (size_t)b->rows * sizeof *s->scale);
    ops_ln(s->y, C, s->scale, x, HC, b->rows, C, &ln, b->o->pool);
    ln.frozen = b->is_frozen;
    ops_ln_grad(out + h * C, HC, g ? g->layer[s->layer].ln1_g : NULL,
        g ? g->layer[s->layer].ln1_b : NULL, s->dy, C, x, HC, s->scale, b->rows, C, &ln, false,
        b->o->pool);
    if (g)
        ops_gemm_grad(g->qkv[s->layer] + part * C + h * D, 3 * C, s->y, C,
            s->dqkv + part * C + h * D, 3 * C, b->rows, C, D, b->o->pool);
}

static void add_heads(float *dx, const float *d, int64_t rows, int64_t heads, int64_t C)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t c = 0; c < C; c++)
                dx[r * C + c] += d[(r * heads + h) * C + c];
}

/* One of q, k, v: its per-head gradient in the output or scratch, gated and passed on. */
static int split_part(struct split *s, int part, bool is_edited)
{
    struct back *b = s->b;
    const struct layer_vectors *v = &b->p->layer[s->layer];
    int64_t C = b->cfg->d_model, H = b->cfg->n_head, n = b->rows * H * C;
    const float *resid = back_kept(b, SITE_RESID_PRE, s->layer);
    float *out = resid ? back_place(b, parts[part], s->layer) : NULL;
    if (!out)
        return b->e->code;
    if (is_edited) {
        if (s->attn_in)
            memcpy(s->values, s->attn_in, (size_t)n * sizeof *s->values);
        else
            widen(s->values, resid, b->rows, H, C);
        if (back_redo_edits(b, parts[part], s->layer, s->values))
            return b->e->code;
    }
    struct back_ln ln = {SITE_LN1_SCALE, SITE_LN1_NORM, s->layer, v->ln1_g, v->ln1_b, NULL, NULL};
    for (int64_t h = 0; h < H; h++) {
        if (head_product(s, part, h))
            return b->e->code;
        if (is_edited) {
            edited_head(s, part, h, out);
            continue;
        }
        if (back_touched(b, SITE_LN1_NORM, s->layer) &&
            back_gate(b, SITE_LN1_NORM, s->layer, s->dy))
            return b->e->code;
        if (back_ln(b, out + h * C, H * C, s->dy, resid, &ln, false))
            return b->e->code;
    }
    out = back_pass(b, parts[part], s->layer, out);
    for (int64_t i = 0; out && s->dattn_in && i < n; i++)
        s->dattn_in[i] += out[i];
    if (!out || !is_edited)
        return out ? 0 : b->e->code;
    if (!s->attn_in)
        add_heads(b->dx, out, b->rows, H, C);
    for (int64_t r = 0; r < b->rows; r++)
        memset(s->dqkv + r * 3 * C + part * C, 0, (size_t)C * sizeof *s->dqkv);
    return 0;
}

static int split_init(struct split *s, bool wants_attn_in)
{
    struct back *b = s->b;
    int64_t C = b->cfg->d_model, H = b->cfg->n_head, D = b->cfg->d_head, n = b->rows * H * C;
    s->panel = (struct panel){DT_F32, D, C, panel_width(), NULL};
    s->panel.data = back_temp(b, (int64_t)panel_bytes(DT_F32, D, C), 1);
    s->dense = back_temp(b, D * C, sizeof(float));
    s->dy = back_temp(b, b->rows * C, sizeof(float));
    s->y = back_temp(b, b->rows * C, sizeof(float));
    s->scale = back_temp(b, b->rows, sizeof(float));
    s->values = back_temp(b, n, sizeof(float));
    if (!s->panel.data || !s->dense || !s->dy || !s->y || !s->scale || !s->values)
        return ERR_LIMIT;
    if (back_touched(b, SITE_ATTN_IN, s->layer)) {
        const float *resid = back_kept(b, SITE_RESID_PRE, s->layer);
        s->attn_in = resid ? back_temp(b, n, sizeof(float)) : NULL;
        if (!s->attn_in)
            return b->e->code;
        widen(s->attn_in, resid, b->rows, H, C);
        if (back_redo_edits(b, SITE_ATTN_IN, s->layer, s->attn_in))
            return b->e->code;
    }
    if (wants_attn_in) {
        s->dattn_in = back_place(b, SITE_ATTN_IN, s->layer);
        if (!s->dattn_in)
            return ERR_LIMIT;
        memset(s->dattn_in, 0, (size_t)n * sizeof(float));
    }
    return 0;
}

static int split_run(struct split *s)
{
    struct back *b = s->b;
    int l = s->layer;
    bool shared = back_touched(b, SITE_ATTN_IN, l);
    bool wants_attn_in = shared || back_wants(b, SITE_ATTN_IN, l);
    bool any = wants_attn_in;
    for (int i = 0; i < 3; i++)
        any = any || back_touched(b, parts[i], l) || back_wants(b, parts[i], l);
    if (!any)
        return 0;
    if (split_init(s, wants_attn_in))
        return b->e->code;
    for (int i = 0; i < 3; i++) {
        bool is_edited = shared || back_touched(b, parts[i], l);
        if ((wants_attn_in || is_edited || back_wants(b, parts[i], l)) &&
            split_part(s, i, is_edited))
            return b->e->code;
    }
    if (!shared)
        return 0;
    float *d = back_pass(b, SITE_ATTN_IN, l, s->dattn_in);
    if (!d)
        return b->e->code;
    add_heads(b->dx, d, b->rows, b->cfg->n_head, b->cfg->d_model);
    return 0;
}

int back_split(struct back *b, int layer, float *dqkv)
{
    struct split s = {.b = b, .layer = layer, .dqkv = dqkv};
    struct arena_mark mark = arena_mark(&b->temp);
    int rc = split_run(&s);
    arena_rewind(&b->temp, mark);
    return rc;
}
