#include <string.h>

#include "model/pass.h"
#include "model/patch_lanes.h"

/* Where lanes begin: their first rows, from the receiving run with the source's values put in. */

static float *copy_row(float *dst, const float *src, int64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
    return dst;
}

/* Lanes born at a stage of a layer, in order; each gets its rows at the end of the buffers. */
static bool is_next(const struct wave *w, int layer, enum stage stage)
{
    return w->alive < w->n && w->lane[w->alive].cell.layer == layer &&
           w->lane[w->alive].stage == stage;
}

static struct lane *admit(struct wave *w)
{
    struct lane *l = &w->lane[w->alive++];
    l->at = w->rows;
    w->rows += l->hi - l->lo;
    return l;
}

void born_pre(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    while (is_next(w, layer, AT_PRE)) {
        const struct lane *l = admit(w);
        memcpy(w->x + l->at * C, source_site(w, SITE_RESID_PRE, layer) + l->lo * C,
            (size_t)((l->hi - l->lo) * C) * sizeof *w->x);
    }
}

/* z of one row under a patched pattern. */
static void mix_row(struct wave *w, const struct lane *l, int layer, int64_t t, float *z)
{
    const int64_t T = trace_len(w->r->base, w->r->input), C = w->cfg->d_model, D = w->cfg->d_head;
    const int64_t at = ((int64_t)l->cell.head * T + t) * T;
    const float *p = source_site(w, SITE_PATTERN, layer) + at;
    const float *base = base_site(w, SITE_PATTERN, layer) + at;
    const float *v = base_site(w, SITE_V, layer) + l->cell.head * D;
    const int64_t key = l->cell.key;
    float *out = z + l->cell.head * D;
    if (key < 0)
        memset(out, 0, (size_t)D * sizeof *out);
    for (int64_t j = key < 0 ? 0 : key; j < (key < 0 ? t + 1 : key + 1); j++) {
        const float a = key < 0 ? p[j] : p[j] - base[j];
        for (int64_t d = 0; d < D; d++)
            out[d] += a * v[j * C + d];
    }
}

/* One head of a lane whose q, k or v is patched; `own` rows of k or v are the source's. */
static struct attention_lane reattend(struct wave *w, const struct lane *l, int layer)
{
    const int64_t C = w->cfg->d_model, h = l->cell.head < 0 ? 0 : l->cell.head * w->cfg->d_head;
    const enum site s = l->cell.site;
    const float *q = s == SITE_Q ? source_site(w, s, layer) : base_site(w, SITE_Q, layer);
    struct attention_lane a = {.q = q + l->lo * C + h,
        .z = w->y + l->at * C + h,
        .q0 = l->lo,
        .queries = l->hi - l->lo,
        .ldq = C,
        .ldk = C,
        .ldv = C,
        .ldz = C,
        .head = l->cell.head};
    if (s == SITE_Q)
        return a;
    a.own = l->cell.pos < 0 ? w->r->first : l->cell.pos;
    a.own_end = l->cell.pos < 0 ? w->end : l->cell.pos + 1;
    const float *k = s == SITE_K ? source_site(w, s, layer) : base_site(w, SITE_K, layer);
    const float *v = s == SITE_V ? source_site(w, s, layer) : base_site(w, SITE_V, layer);
    a.own_k = k + a.own * C + h;
    a.own_v = v + a.own * C + h;
    return a;
}

/* Rows of z in y, rows of the residual stream in mid. */
static struct lane *admit_attention(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    struct lane *l = admit(w);
    for (int64_t t = l->lo; t < l->hi; t++) {
        copy_row(w->mid + (l->at + t - l->lo) * C, base_site(w, SITE_RESID_PRE, layer) + t * C, C);
        copy_row(w->y + (l->at + t - l->lo) * C, base_site(w, SITE_Z, layer) + t * C, C);
    }
    return l;
}

int born_attention(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model, D = w->cfg->d_head;
    int64_t n = 0;
    while (is_next(w, layer, AT_QKV)) {
        const struct lane *l = admit_attention(w, layer);
        w->att[n++] = reattend(w, l, layer);
        w->flops += 4.0 * (double)D * (double)(l->hi - l->lo) * (double)(l->lo + l->hi + 1) / 2;
    }
    struct attention_lanes a = {w->cfg->n_head, (int)D, pass_attn_scale(w->cfg, layer),
        base_site(w, SITE_K, layer), base_site(w, SITE_V, layer), C, C, w->end, w->att, n};
    if (ops_attention_lanes(&a, w->o->pool, w->e))
        return w->e->code;
    while (is_next(w, layer, AT_Z)) {
        const struct lane *l = admit_attention(w, layer);
        const int64_t h = l->cell.head < 0 ? 0 : l->cell.head;
        for (int64_t t = l->lo; t < l->hi; t++) {
            float *z = w->y + (l->at + t - l->lo) * C;
            if (l->cell.site == SITE_PATTERN)
                mix_row(w, l, layer, t, z);
            else
                copy_row(z + h * D, source_site(w, SITE_Z, layer) + t * C + h * D,
                    l->cell.head < 0 ? C : D);
        }
    }
    return 0;
}

static void add_row(float *out, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

void born_mid(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    while (is_next(w, layer, AT_MID)) {
        const struct lane *l = admit(w);
        const float *from = source_site(w, l->cell.site, layer);
        const float *pre = base_site(w, SITE_RESID_PRE, layer);
        for (int64_t t = l->lo; t < l->hi; t++) {
            float *out = w->mid + (l->at + t - l->lo) * C;
            if (l->cell.site == SITE_RESID_MID)
                copy_row(out, from + t * C, C);
            else
                add_row(out, pre + t * C, from + t * C, C);
        }
    }
}

/* post = post + (a' - a) W_out[unit] */
static int patch_neuron(struct wave *w, const struct lane *l, int layer)
{
    const int64_t C = w->cfg->d_model, F = w->cfg->d_mlp;
    const struct panel *out = params_panel(w->r->p, MAT_OUT, layer, w->e);
    if (!out)
        return w->e->code;
    panel_row(w->row, out, l->cell.unit);
    const float *from = source_site(w, SITE_MLP_POST, layer);
    const float *base = base_site(w, SITE_MLP_POST, layer), *post = base_post(w, layer);
    for (int64_t t = l->lo; t < l->hi; t++) {
        const float a = from[t * F + l->cell.unit] - base[t * F + l->cell.unit];
        float *x = w->x + (l->at + t - l->lo) * C;
        for (int64_t c = 0; c < C; c++)
            x[c] = post[t * C + c] + a * w->row[c];
    }
    return 0;
}

int born_post(struct wave *w, int layer)
{
    const int64_t C = w->cfg->d_model;
    while (is_next(w, layer, AT_MLP))
        if (patch_neuron(w, admit(w), layer))
            return w->e->code;
    while (is_next(w, layer, AT_POST)) {
        const struct lane *l = admit(w);
        const float *from = source_site(w, l->cell.site, layer);
        for (int64_t t = l->lo; t < l->hi; t++) {
            float *x = w->x + (l->at + t - l->lo) * C;
            if (l->cell.site == SITE_RESID_POST)
                copy_row(x, from + t * C, C);
            else
                add_row(x, base_site(w, SITE_RESID_MID, layer) + t * C, from + t * C, C);
        }
    }
    return 0;
}

/* The stream before a part of the layer plus the source's output of it, where a window says so. */
static void window(
    struct wave *w, int layer, enum site s, float *out, const float *stream, int64_t ld)
{
    const int64_t C = w->cfg->d_model;
    for (int64_t i = 0; i < w->alive; i++) {
        const struct lane *l = &w->lane[i];
        if (l->cell.site != s || layer <= l->cell.layer || layer >= l->cell.layer_end)
            continue;
        const float *from = source_site(w, s, layer);
        for (int64_t t = l->lo; t < l->hi; t++)
            if (l->cell.pos < 0 || t == l->cell.pos) {
                const int64_t row = l->at + t - l->lo;
                add_row(out + row * C, stream + row * ld, from + t * C, C);
            }
    }
}

void window_mid(struct wave *w, int layer)
{
    window(w, layer, SITE_ATTN_OUT, w->mid, w->qkv, 3 * w->cfg->d_model);
}

void window_post(struct wave *w, int layer)
{
    window(w, layer, SITE_MLP_OUT, w->x, w->mid, w->cfg->d_model);
}
