#include "analysis/dla.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/token.h"
#include "model/core/dot.h"
#include "model/core/text.h"
#include "model/fold.h"

/* Direct logit attribution (Elhage et al. 2021). Every writer into the residual stream is divided by the
 * one final LN scale of its position and read along the direction of the target. With the b_U term the
 * parts add up to the logit: the ledger says how well. */

static const struct param params[] = {
    {.name = "target",
        .type = PARAM_TOKEN,
        .choices = "next|self",
        .metavar = "TOKEN",
        .help = "the token whose logit is taken apart: a text, #ID, next, self; default: the best "
                "one at --pos"},
    {.name = "versus",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .help = "take the difference target - versus apart"},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position; negative counts from the end"},
    {.name = "neurons",
        .type = PARAM_LIST,
        .metavar = "LAYERS",
        .help = "layers whose MLP is taken apart neuron by neuron"},
    {.name = "effect",
        .type = PARAM_BOOL,
        .def = "false",
        .help =
            "also the direct effect, with the final LN recomputed, and the error between the two"},
};

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    const struct param_value *neurons = args_get(ctx->args, "neurons");
    plan_keep(p, SITE_EMBED, -1);
    plan_keep(p, SITE_POS_EMBED, -1);
    plan_keep(p, SITE_Z, -1);
    plan_keep(p, SITE_MLP_OUT, -1);
    plan_keep(p, SITE_RESID_POST, cfg->n_layer - 1);
    plan_keep(p, SITE_LNF_SCALE, -1);
    plan_keep(p, SITE_LNF_NORM, -1);
    for (int i = 0; i < neurons->n_list; i++) {
        if (neurons->list[i] < 0 || neurons->list[i] >= cfg->n_layer)
            return err_set(e, ERR_USAGE, "--neurons %lld: the model has layers 0 to %d",
                (long long)neurons->list[i], cfg->n_layer - 1);
        plan_keep(p, SITE_MLP_POST, (int)neurons->list[i]);
    }
    return 0;
}

/* Edits of the stream itself, of what attention adds to it behind its heads, or of an MLP that is taken
 * apart by neuron: no writer has them. */
static bool edits_stream(const struct dla *d)
{
    const struct edits *eds = d->ctx->edits;
    for (int i = 0; eds && i < eds->n; i++) {
        const struct edit *x = &eds->list[i];
        const bool is_mlp = x->site == SITE_MLP_OUT && x->layer >= 0 && d->by_neuron[x->layer];
        if (!x->is_off &&
            (is_mlp || x->site == SITE_RESID_PRE || x->site == SITE_RESID_MID ||
                x->site == SITE_RESID_POST || x->site == SITE_ATTN_OUT || x->site == SITE_RESULT))
            return true;
    }
    return false;
}

static int list_components(struct dla *d, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    struct arena *a = d->ctx->arena;
    d->by_neuron = arena_zalloc(a, (size_t)cfg->n_layer * sizeof *d->by_neuron, e);
    if (!d->by_neuron)
        return ERR_LIMIT;
    const struct param_value *neurons = args_get(d->ctx->args, "neurons");
    for (int i = 0; i < neurons->n_list; i++)
        d->by_neuron[neurons->list[i]] = true;
    d->first_mlp = 2 + (int64_t)cfg->n_layer * cfg->n_head;
    const bool is_edited = edits_stream(d);
    d->n = d->first_mlp + 1 + is_edited;
    for (int l = 0; l < cfg->n_layer; l++)
        d->n += d->by_neuron[l] ? cfg->d_mlp : 1;
    d->labels = arena_array(a, (size_t)d->n, sizeof *d->labels, e);
    if (!d->labels)
        return ERR_LIMIT;
    int64_t k = 0;
    d->labels[k++] = "embed";
    d->labels[k++] = "pos_embed";
    for (int l = 0; l < cfg->n_layer; l++)
        for (int h = 0; h < cfg->n_head; h++)
            d->labels[k++] = arena_printf(a, e, "L%dH%d", l, h);
    for (int l = 0; l < cfg->n_layer; l++)
        for (int n = 0; n < (d->by_neuron[l] ? cfg->d_mlp : 1); n++)
            d->labels[k++] = d->by_neuron[l] ? arena_printf(a, e, "L%dN%d", l, n)
                                             : arena_printf(a, e, "L%d_mlp", l);
    d->bias = k;
    d->labels[k++] = "bias";
    d->edits = is_edited ? k : -1;
    if (is_edited)
        d->labels[k] = "edits";
    for (int64_t i = 0; i < d->n; i++)
        if (!d->labels[i])
            return ERR_LIMIT;
    return 0;
}

/* b_V,eff of every layer: in the folded view it belongs to the bias, not to the heads. */
static int value_biases(struct dla *d, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    d->b_v = arena_zalloc(
        d->ctx->arena, (size_t)cfg->n_layer * (size_t)cfg->d_model * sizeof *d->b_v, e);
    if (!d->b_v)
        return ERR_LIMIT;
    for (int l = 0; l < cfg->n_layer && d->ctx->folded; l++)
        if (fold_value_bias(d->b_v + l * cfg->d_model, d->ctx->params, l, d->ctx->pool, e))
            return e->code;
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    const struct config *cfg = &ctx->model->cfg;
    struct dla *d = arena_zalloc(ctx->arena, sizeof *d, e);
    if (!d)
        return ERR_LIMIT;
    ctx->state = d;
    d->ctx = ctx;
    d->target = d->versus = -1;
    const char *target = args_text(ctx->args, "target"), *versus = args_text(ctx->args, "versus");
    d->word = !target || !*target                                  ? 't'
              : !strcmp(target, "next") || !strcmp(target, "self") ? *target
                                                                   : 0;
    if (!d->word && ctx_token(&d->target, ctx, target, e))
        return e->code;
    if (versus && *versus && ctx_token(&d->versus, ctx, versus, e))
        return e->code;
    size_t C = (size_t)cfg->d_model;
    d->u_mean = arena_array(ctx->arena, C, sizeof *d->u_mean, e);
    d->u = arena_array(ctx->arena, C, sizeof *d->u, e);
    d->dir = arena_array(ctx->arena, C, sizeof *d->dir, e);
    d->dir32 = arena_array(ctx->arena, C, sizeof *d->dir32, e);
    if (!d->u_mean || !d->u || !d->dir || !d->dir32)
        return ERR_LIMIT;
    if (fold_unembed_mean(d->u_mean, ctx->params, ctx->pool, e) || list_components(d, e) ||
        value_biases(d, e))
        return e->code;
    d->has_effect = args_bool(ctx->args, "effect");
    return d->has_effect ? dla_effect_begin(d, e) : 0;
}

/* The logits row at the position, its best token, its mean; then the direction of the target. */
static int aim(struct dla *d, const struct input *in, const struct acts *acts, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, V = p->cfg.vocab, versus = d->versus;
    const float *y;
    const struct panel *w = params_panel(p, MAT_UNEMBED, 0, e);
    float *row = w ? arena_array(d->ctx->arena, (size_t)V, sizeof *row, e) : NULL;
    if (!row || acts_get(&y, acts, SITE_LNF_NORM, -1, e))
        return e->code;
    ops_gemm(row, V, y + d->pos * C, C, 1, w, 0, V, &(struct epilogue){0}, d->ctx->pool);
    struct row_stats st;
    ops_row_stats(&st, row, V);
    d->token = d->word == 't' ? st.argmax : d->word == 's' ? in->tokens[d->pos] : d->target;
    if (d->word == 'n') {
        if (d->pos + 1 >= in->n)
            return err_set(e, ERR_USAGE,
                "--target next: input %d ends at position %lld; use --pos %lld or earlier",
                in->index, (long long)d->pos, (long long)d->pos - 1);
        d->token = in->tokens[d->pos + 1];
    }
    double mean = 0;
    for (int64_t v = 0; v < V; v++)
        mean += row[v];
    bool centred = d->ctx->folded && versus < 0;
    d->truth = row[d->token] - (versus >= 0 ? (double)row[versus] : centred ? mean / (double)V : 0);
    float *a = row, *b = row + C;
    if (V < 2 * C) {
        a = arena_array(d->ctx->arena, 2 * (size_t)C, sizeof *a, e);
        if (!a)
            return ERR_LIMIT;
        b = a + C;
    }
    panel_col(a, w, d->token);
    if (versus >= 0)
        panel_col(b, w, versus);
    for (int64_t c = 0; c < C; c++)
        d->u[c] = a[c] - (versus >= 0 ? (double)b[c] : centred ? d->u_mean[c] : 0);
    fold_direction(d->dir, &d->b_u, p, d->u);
    for (int64_t c = 0; c < C; c++)
        d->dir32[c] = (float)d->dir[c];
    return 0;
}

/* Heads of one layer, and what their layer adds to the bias. */
static int attribute_heads(
    struct dla *d, const struct acts *acts, int l, double *bias, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, D = p->cfg.d_head;
    const float *z, *b_v = d->b_v + l * C;
    float *wo = arena_array(d->ctx->arena, (size_t)C, sizeof *wo, e);
    if (!wo || acts_get(&z, acts, SITE_Z, l, e) ||
        fold_output_direction(wo, p, l, d->dir32, d->ctx->pool, e))
        return e->code;
    z += d->pos * C;
    for (int64_t h = 0; h < p->cfg.n_head; h++) {
        double moved = dot_f32(b_v + h * D, wo + h * D, D);
        d->contribution[2 + l * p->cfg.n_head + h] =
            (float)((dot_f32(z + h * D, wo + h * D, D) - moved) / d->scale);
        *bias += moved / d->scale;
    }
    *bias += dot_f64(p->layer[l].b_o, d->dir, C) / d->scale;
    return 0;
}

/* The MLP of one layer, whole or by neuron; `k` is its first component. */
static int attribute_mlp(
    struct dla *d, const struct acts *acts, int l, int64_t k, double *bias, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, F = p->cfg.d_mlp;
    const float *x;
    if (acts_get(&x, acts, SITE_MLP_OUT, l, e))
        return e->code;
    d->mlp[l] = (float)(dot_f64(x + d->pos * C, d->dir, C) / d->scale);
    if (!d->by_neuron[l]) {
        d->contribution[k] = d->mlp[l];
        return 0;
    }
    const struct panel *w = params_panel(p, MAT_OUT, l, e);
    float *out = w ? arena_array(d->ctx->arena, (size_t)F, sizeof *out, e) : NULL;
    if (!out || acts_get(&x, acts, SITE_MLP_POST, l, e))
        return e->code;
    ops_gemm_t(out, F, d->dir32, C, 1, w, false, d->ctx->pool);
    for (int64_t n = 0; n < F; n++)
        d->contribution[k + n] = (float)((double)x[d->pos * F + n] * out[n] / d->scale);
    *bias += dot_f64(p->layer[l].b_out, d->dir, C) / d->scale;
    return 0;
}

/* What the stream has at the end beyond what its writers wrote. */
static int attribute_edits(struct dla *d, const struct acts *acts, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    const float *r;
    if (acts_get(&r, acts, SITE_RESID_POST, cfg->n_layer - 1, e))
        return e->code;
    double rest = dot_f64(r + d->pos * cfg->d_model, d->dir, cfg->d_model) / d->scale;
    for (int64_t i = 0; i < d->edits; i++)
        rest -= d->contribution[i];
    d->contribution[d->edits] = (float)rest;
    return 0;
}

static int attribute(struct dla *d, const struct acts *acts, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t C = cfg->d_model, k = d->first_mlp;
    const float *embed, *pos_embed, *scale;
    double bias = 0;
    if (acts_get(&embed, acts, SITE_EMBED, -1, e) ||
        acts_get(&pos_embed, acts, SITE_POS_EMBED, -1, e) ||
        acts_get(&scale, acts, SITE_LNF_SCALE, -1, e))
        return e->code;
    d->scale = scale[d->pos];
    d->contribution[0] = (float)(dot_f64(embed + d->pos * C, d->dir, C) / d->scale);
    d->contribution[1] = (float)(dot_f64(pos_embed + d->pos * C, d->dir, C) / d->scale);
    for (int l = 0; l < cfg->n_layer; l++) {
        if (attribute_heads(d, acts, l, &bias, e) || attribute_mlp(d, acts, l, k, &bias, e))
            return e->code;
        k += d->by_neuron[l] ? cfg->d_mlp : 1;
    }
    d->contribution[d->bias] = (float)bias;
    if (d->edits >= 0 && attribute_edits(d, acts, e))
        return e->code;
    d->ledger[0] = 0;
    for (int64_t i = 0; i < d->n; i++)
        d->ledger[0] += d->contribution[i];
    d->ledger[1] = d->ledger[0] + d->b_u;
    d->ledger[2] = d->truth;
    d->ledger[3] = d->ledger[1] - d->truth;
    return 0;
}

/* "·Tobin − ·Mara at 14": what was taken apart, in words. */
static void name_question(char *buf, size_t n, const struct dla *d)
{
    const int64_t ids[2] = {d->token, d->versus};
    size_t at = 0, len;
    for (int i = 0; i < 2 && ids[i] >= 0 && at < n; i++) {
        const char *text = d->ctx->model->tokenizer
                               ? tokenizer_bytes(d->ctx->model->tokenizer, ids[i], &len)
                               : NULL;
        char shown[64];
        if (text)
            text_escape(shown, sizeof shown, text, len, TEXT_DOT);
        else
            snprintf(shown, sizeof shown, "#%lld", (long long)ids[i]);
        at += (size_t)snprintf(buf + at, n - at, "%s%s", i ? " - " : "", shown);
    }
    if (at < n)
        snprintf(buf + at, n - at, " at position %lld", (long long)d->pos);
}

static int write(struct dla *d, struct run *out, const struct input *in, struct err *e)
{
    static const char source[] = "Elhage et al. 2021, A Mathematical Framework for Transformer "
                                 "Circuits";
    static const char *const ledger[] = {"parts", "sum", "true", "error"};
    static const char *const aimed[] = {"pos", "target", "versus"};
    const struct config *cfg = &d->ctx->model->cfg;
    const int32_t at[3] = {(int32_t)d->pos, (int32_t)d->token, (int32_t)d->versus};
    char question[192], title[256], target[256];
    name_question(question, sizeof question, d);
    snprintf(title, sizeof title, "direct logit attribution of %s", question);
    snprintf(target, sizeof target, "%s; versus is -1 for one logit", question);
    bool centred = d->ctx->folded && d->versus < 0;
    const struct {
        struct block_spec spec;
        const void *data;
    } blocks[] = {
        {{.name = "contribution",
             .rank = 1,
             .axes = {{"component", AXIS_COMPONENT, d->n, d->labels}},
             .unit = "logits",
             .long_name = title,
             .look = LOOK_BARS,
             .is_signed = true},
            d->contribution},
        {{.name = "head",
             .rank = 2,
             .axes = {{"layer", AXIS_LAYER, cfg->n_layer, NULL},
                 {"head", AXIS_HEAD, cfg->n_head, NULL}},
             .unit = "logits",
             .long_name = "direct logit attribution of the heads",
             .look = LOOK_HEATMAP,
             .is_signed = true},
            d->contribution + 2},
        {{.name = "mlp",
             .rank = 1,
             .axes = {{"layer", AXIS_LAYER, cfg->n_layer, NULL}},
             .unit = "logits",
             .long_name = "direct logit attribution of the MLPs",
             .look = LOOK_BARS,
             .is_signed = true},
            d->mlp},
        {{.name = "ledger",
             .dtype = DT_F64,
             .rank = 1,
             .axes = {{"entry", AXIS_OTHER, 4, ledger}},
             .unit = "logits",
             .look = LOOK_TABLE,
             .is_signed = true,
             .long_name = centred ? "sum of the parts, with the b_U term, the true logit less the "
                                    "mean of all logits, the error"
                                  : "sum of the parts, with the b_U term, the true value, the "
                                    "error"},
            d->ledger},
        {{.name = "target",
             .dtype = DT_I32,
             .rank = 1,
             .axes = {{"what", AXIS_OTHER, 3, aimed}},
             .unit = "position, token ids",
             .look = LOOK_TABLE,
             .long_name = target},
            at},
        {{.name = "direct_effect",
             .rank = 1,
             .axes = {{"component", AXIS_COMPONENT, d->n, d->labels}},
             .unit = "logits",
             .long_name = "change of the logit without the component, final LN recomputed",
             .look = LOOK_BARS,
             .is_signed = true},
            d->effect},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks - !d->has_effect; i++) {
        struct block *b;
        struct block_spec spec = blocks[i].spec;
        spec.input = in->index;
        spec.source = source;
        if (run_block(&b, out, &spec, e) || block_set(b, blocks[i].data, e))
            return e->code;
    }
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    struct dla *d = ctx->state;
    d->ctx = ctx;
    d->contribution = arena_array(ctx->arena, (size_t)d->n, sizeof *d->contribution, e);
    d->effect = arena_array(ctx->arena, (size_t)d->n, sizeof *d->effect, e);
    d->mlp = arena_array(ctx->arena, (size_t)ctx->model->cfg.n_layer, sizeof *d->mlp, e);
    int rc = d->contribution && d->effect && d->mlp ? 0 : ERR_LIMIT;
    if (!rc)
        rc = ctx_pos(&d->pos, in, args_int(ctx->args, "pos"), e);
    if (!rc)
        rc = aim(d, in, acts, e);
    if (!rc)
        rc = attribute(d, acts, e);
    if (!rc && d->has_effect)
        rc = dla_effect(d, acts, e);
    if (!rc)
        rc = write(d, out, in, e);
    return rc;
}

static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    const struct config *cfg = &ctx->model->cfg;
    double C = cfg->d_model, F = cfg->d_mlp, L = cfg->n_layer, V = (double)cfg->vocab;
    int n_split = args_get(ctx->args, "neurons")->n_list;
    (void)n;
    out->keep_bytes = (uint64_t)(8 * (L * cfg->n_head + L + n_split * F + 16));
    out->scratch_bytes = (uint64_t)(4 * (V + (L + 4) * C + 2 * n_split * F)) + out->keep_bytes;
    out->flops = 2 * (C * V + L * C * C + n_split * C * F);
}

static int end(struct ctx *ctx, struct run *out, struct err *e)
{
    struct dla *d = ctx->state;
    return d->has_effect ? dla_effect_end(d, out, e) : 0;
}

const struct analysis analysis_dla = {
    .id = "dla",
    .title = "direct logit attribution",
    .help =
        "How much each component writes towards a token: embeddings, heads, MLPs or neurons, "
        "biases, "
        "and what edits put into the stream, all divided by the one final LayerNorm scale. The "
        "ledger shows that the parts add up to the logit; --effect shows what freezing that scale "
        "hides.",
    .source = "Elhage et al. 2021",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .is_folded = true,
    .plan = plan,
    .begin = begin,
    .each = each,
    .end = end,
    .cost = cost,
};
