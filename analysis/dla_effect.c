#include <math.h>
#include <string.h>

#include "analysis/dla.h"
#include "model/fold.h"

/* Direct effect of a component c: what the logit loses when c is taken out of the final stream r and
 * LN is recomputed, DE = LN(r) u - LN(r - c) u, in fp64. For a linear LN it equals DLA. */

int dla_effect_begin(struct dla *d, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    size_t heads = (size_t)cfg->n_layer * (size_t)cfg->n_head;
    d->abs_error = arena_zalloc(d->ctx->arena, heads * sizeof *d->abs_error, e);
    d->abs_effect = arena_zalloc(d->ctx->arena, heads * sizeof *d->abs_effect, e);
    return d->abs_error && d->abs_effect ? 0 : ERR_LIMIT;
}

/* LN(r - c) . u without the constant beta . u; c may be NULL. */
static double read_out(const struct dla *d, const float *r, const double *c)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t C = cfg->d_model;
    double mean = 0, var = 0, sum = 0;
    for (int64_t i = 0; i < C; i++)
        mean += r[i] - (c ? c[i] : 0);
    mean /= (double)C;
    for (int64_t i = 0; i < C; i++) {
        double x = r[i] - (c ? c[i] : 0) - mean;
        var += x * x;
        sum += x * d->ctx->params->lnf_g[i] * d->u[i];
    }
    return cfg->ln == LN_LINEAR ? sum : sum / sqrt(var / (double)C + cfg->ln_eps);
}

static void effect_of(struct dla *d, int64_t k, const float *r, double whole, const double *c)
{
    d->effect[k] = (float)(whole - read_out(d, r, c));
    for (int64_t i = 0; i < d->ctx->model->cfg.d_model; i++)
        d->rest[i] -= c[i];
}

static void widen(double *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i];
}

/* Every head of a layer as a vector [H, C]: (z_h - b_V,h) W_O,h, and what moves into the bias. */
static int head_vectors(
    struct dla *d, const struct acts *acts, int l, float *out, double *bias, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, D = p->cfg.d_head, H = p->cfg.n_head;
    const struct panel *w = params_panel(p, MAT_O, l, e);
    float *a = w ? arena_zalloc(d->ctx->arena, (size_t)((H + 1) * C) * sizeof *a, e) : NULL;
    float *y = a ? arena_array(d->ctx->arena, (size_t)((H + 1) * C), sizeof *y, e) : NULL;
    const float *z, *b_v = d->b_v + l * C;
    if (!y || acts_get(&z, acts, SITE_Z, l, e))
        return e->code;
    z += d->pos * C;
    for (int64_t i = 0; i < C; i++) {
        a[i / D * C + i] = z[i] - b_v[i];
        a[H * C + i] = b_v[i];
    }
    ops_gemm(y, C, a, C, H + 1, w, 0, C, &(struct epilogue){0}, d->ctx->pool);
    memcpy(out, y, (size_t)(H * C) * sizeof *out);
    for (int64_t i = 0; i < C; i++)
        bias[i] += (double)y[H * C + i] + p->layer[l].b_o[i];
    return 0;
}

static int layer_effects(struct dla *d, const struct acts *acts, int l, int64_t k, const float *r,
    double whole, double *bias, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, H = p->cfg.n_head, F = p->cfg.d_mlp;
    struct arena_mark mark = arena_mark(d->ctx->arena);
    float *rows = arena_array(d->ctx->arena, (size_t)(H * C), sizeof *rows, e);
    double *c = arena_array(d->ctx->arena, (size_t)C, sizeof *c, e);
    const float *x;
    if (!rows || !c || head_vectors(d, acts, l, rows, bias, e))
        return e->code;
    for (int64_t h = 0; h < H; h++) {
        widen(c, rows + h * C, C);
        effect_of(d, 2 + l * H + h, r, whole, c);
    }
    if (!d->by_neuron[l]) {
        if (acts_get(&x, acts, SITE_MLP_OUT, l, e))
            return e->code;
        widen(c, x + d->pos * C, C);
        effect_of(d, k, r, whole, c);
    } else {
        const struct panel *w = params_panel(p, MAT_OUT, l, e);
        if (!w || acts_get(&x, acts, SITE_MLP_POST, l, e))
            return e->code;
        for (int64_t n = 0; n < F; n++) {
            panel_row(rows, w, n);
            for (int64_t i = 0; i < C; i++)
                c[i] = (double)x[d->pos * F + n] * rows[i];
            effect_of(d, k + n, r, whole, c);
        }
        for (int64_t i = 0; i < C; i++)
            bias[i] += p->layer[l].b_out[i];
    }
    arena_rewind(d->ctx->arena, mark);
    return 0;
}

int dla_effect(struct dla *d, const struct acts *acts, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t C = cfg->d_model, k = d->first_mlp, heads = (int64_t)cfg->n_layer * cfg->n_head;
    double *bias = arena_zalloc(d->ctx->arena, 3 * (size_t)C * sizeof *bias, e);
    const float *r, *embed, *pos_embed;
    if (!bias || acts_get(&r, acts, SITE_RESID_POST, cfg->n_layer - 1, e) ||
        acts_get(&embed, acts, SITE_EMBED, -1, e) ||
        acts_get(&pos_embed, acts, SITE_POS_EMBED, -1, e))
        return e->code;
    r += d->pos * C;
    double *c = bias + C, whole = read_out(d, r, NULL);
    d->rest = c + C;
    widen(d->rest, r, C);
    widen(c, embed + d->pos * C, C);
    effect_of(d, 0, r, whole, c);
    widen(c, pos_embed + d->pos * C, C);
    effect_of(d, 1, r, whole, c);
    for (int l = 0; l < cfg->n_layer; l++) {
        if (layer_effects(d, acts, l, k, r, whole, bias, e))
            return e->code;
        k += d->by_neuron[l] ? cfg->d_mlp : 1;
    }
    effect_of(d, d->bias, r, whole, bias);
    if (d->edits >= 0) {
        memcpy(c, d->rest, (size_t)C * sizeof *c);
        effect_of(d, d->edits, r, whole, c);
    }
    for (int64_t i = 0; i < heads; i++) {
        d->abs_error[i] += fabs((double)d->contribution[2 + i] - d->effect[2 + i]);
        d->abs_effect[i] += fabs((double)d->effect[2 + i]);
    }
    d->n_inputs++;
    return 0;
}

int dla_effect_end(struct dla *d, struct run *out, struct err *e)
{
    static const char source[] = "arXiv 2507.02559, section 5.1 and appendix G, eq. 10";
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t heads = (int64_t)cfg->n_layer * cfg->n_head;
    double n = d->n_inputs ? (double)d->n_inputs : 1, error = 0, effect = 0;
    float *nmae = arena_array(d->ctx->arena, (size_t)heads, sizeof *nmae, e), global;
    if (!nmae)
        return ERR_LIMIT;
    for (int64_t i = 0; i < heads; i++) {
        nmae[i] = (float)(100 * (d->abs_error[i] / n) / (d->abs_effect[i] / n + 1e-10));
        error += d->abs_error[i];
        effect += d->abs_effect[i];
    }
    double cells = n * (double)heads;
    global = (float)(100 * (error / cells) / (effect / cells + 1e-10));
    struct block *b;
    if (run_block(&b, out,
            &(struct block_spec){.name = "nmae_head",
                .input = -1,
                .rank = 2,
                .axes = {{"layer", AXIS_LAYER, cfg->n_layer, NULL},
                    {"head", AXIS_HEAD, cfg->n_head, NULL}},
                .unit = "percent",
                .source = source,
                .look = LOOK_HEATMAP,
                .long_name = "mean |DLA - DE| over mean |DE| of each head"},
            e) ||
        block_set(b, nmae, e))
        return e->code;
    if (run_block(&b, out,
            &(struct block_spec){.name = "nmae_global",
                .input = -1,
                .unit = "percent",
                .source = source,
                .look = LOOK_TEXT,
                .long_name = "mean |DLA - DE| over mean |DE|, all heads and inputs"},
            e))
        return e->code;
    return block_set(b, &global, e);
}
