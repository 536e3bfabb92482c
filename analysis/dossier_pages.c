#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/dossier.h"
#include "model/core/dot.h"
#include "model/fold.h"

/* The pages of a dossier. Attribution is in the weights view of the run (folded unless said). */

static const char elhage[] = "Elhage et al. 2021, A Mathematical Framework";
static const char detect[] = "TransformerLens detect_head, mul";
static const char lens_source[] = "nostalgebraist 2020, the logit lens";

static double norm(const float *x, int64_t n)
{
    return sqrt(dot_f32(x, x, n));
}

static double cosine(const float *x, const float *y, int64_t n)
{
    return dot_f32(x, y, n) / (norm(x, n) * norm(y, n));
}

/* A line of numbers over the positions of the input. */
static int line(struct dossier *d, const char *name, const char *long_name, const char *unit,
    const float *values, struct err *e)
{
    struct block *b;
    return run_block(&b, d->out,
               &(struct block_spec){.name = name,
                   .input = d->in->index,
                   .rank = 1,
                   .axes = {{"pos", AXIS_POS, d->in->n, NULL}},
                   .unit = unit,
                   .long_name = long_name,
                   .look = LOOK_TOKENS},
               e) ||
                   block_set(b, values, e)
               ? e->code
               : 0;
}

/* --- A head ------------------------------------------------------------------------------------ */

/* Share of the attention mass on the cells that the pattern of the head would have: sum(A D)/sum(A). */
static void detect_scores(double score[3], const float *a, const int32_t *tokens, int64_t n)
{
    double all = 0, hit[3] = {0};
    for (int64_t q = 0; q < n; q++)
        for (int64_t k = 0; k <= q; k++) {
            double m = a[q * n + k];
            all += m;
            hit[0] += k + 1 == q ? m : 0;
            hit[1] += k < q && tokens[k] == tokens[q] ? m : 0;
            hit[2] += k > 0 && k - 1 < q && tokens[k - 1] == tokens[q] ? m : 0;
        }
    for (int i = 0; i < 3; i++)
        score[i] = hit[i] / all;
}

static double row_entropy(const float *row, int64_t n)
{
    double h = 0;
    for (int64_t k = 0; k < n; k++)
        h -= row[k] > 0 ? row[k] * log((double)row[k]) : 0;
    return h;
}

static int head_keys(struct dossier *d, const float *row, struct err *e)
{
    struct arena *a = d->ctx->arena;
    int64_t n = d->pos + 1, k = d->k < n ? d->k : n;
    int32_t *at = arena_array(a, (size_t)k, sizeof *at, e);
    float *mass = at ? arena_array(a, (size_t)k, sizeof *mass, e) : NULL;
    const char **labels = mass ? arena_array(a, (size_t)k, sizeof *labels, e) : NULL;
    struct block *b;
    if (!labels)
        return ERR_LIMIT;
    ops_topk(at, mass, row, n, (int)k);
    for (int64_t i = 0; i < k; i++) {
        const char *token = dossier_token(d, d->in->tokens[at[i]], e);
        if (!token || !(labels[i] = arena_printf(a, e, "%s(%d)", token, (int)at[i])))
            return ERR_LIMIT;
    }
    return run_block(&b, d->out,
               &(struct block_spec){.name = "keys",
                   .input = d->in->index,
                   .rank = 1,
                   .axes = {{"key", AXIS_RANK, k, labels}},
                   .unit = "probability",
                   .long_name = "the positions it attends to most",
                   .look = LOOK_BARS},
               e) ||
                   block_set(b, mass, e)
               ? e->code
               : 0;
}

/* What the head writes when it reads one position alone: v_j W_O,h through the unembedding. */
static int head_values(struct dossier *d, int64_t source, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, D = p->cfg.d_head, h = d->unit;
    const struct panel *w = params_panel(p, MAT_O, d->layer, e);
    float *z = w ? arena_zalloc(d->ctx->arena, 2 * (size_t)C * sizeof *z, e) : NULL;
    const float *v;
    if (!z || acts_get(&v, d->acts, SITE_V, d->layer, e))
        return e->code;
    for (int64_t i = h * D; i < (h + 1) * D; i++)
        z[i] = v[source * C + i] - d->b_v[i];
    ops_gemm(z + C, C, z, C, 1, w, 0, C, &(struct epilogue){0}, d->ctx->pool);
    int32_t own = d->in->tokens[source];
    const char *name = dossier_token(d, own, e);
    if (!name || dossier_write_out(d, d->row2, z + C, d->scale, e))
        return e->code;
    if (dossier_text(d, "source token", name, e) ||
        dossier_fact(d, "source position", (double)source, "position", NULL, e) ||
        dossier_fact(d, "logit of the source token itself", d->row2[own], "logits", elhage, e) ||
        dossier_fact(d, "rank of the source token itself",
            (double)ops_rank(d->row2, p->cfg.vocab, own), "rank", elhage, e))
        return e->code;
    struct dossier_list up = {
        "ov_promoted", "promoted when it reads the source", "logits", elhage, false, true};
    struct dossier_list down = {
        "ov_suppressed", "suppressed when it reads the source", "logits", elhage, true, true};
    return dossier_top(d, &up, d->row2, e) || dossier_top(d, &down, d->row2, e) ? e->code : 0;
}

/* DLA of every head of the layer at the position: (z_h - b_V,h) . W_O,h dir / scale. */
static int heads_dla(double *out, struct dossier *d, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, D = p->cfg.d_head;
    const float *z;
    if (acts_get(&z, d->acts, SITE_Z, d->layer, e) ||
        fold_output_direction(d->wide, p, d->layer, d->dir32, d->ctx->pool, e))
        return e->code;
    z += d->pos * C;
    for (int64_t h = 0; h < p->cfg.n_head; h++)
        out[h] =
            (dot_f32(z + h * D, d->wide + h * D, D) - dot_f32(d->b_v + h * D, d->wide + h * D, D)) /
            d->scale;
    return 0;
}

static int head_page(struct dossier *d, struct err *e)
{
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t n = d->in->n;
    const float *a;
    double score[3], bos = 0, self = 0, entropy = 0;
    double *dla = arena_array(d->ctx->arena, (size_t)cfg->n_head, sizeof *dla, e);
    char edit[64];
    if (!dla || acts_get(&a, d->acts, SITE_PATTERN, d->layer, e) || heads_dla(dla, d, e))
        return e->code;
    a += d->unit * n * n;
    const float *row = a + d->pos * n;
    detect_scores(score, a, d->in->tokens, n);
    for (int64_t q = 0; q < n; q++) {
        bos += a[q * n];
        self += a[q * n + q];
        entropy += row_entropy(a + q * n, q + 1);
    }
    const struct {
        const char *name, *unit, *source;
        double value;
    } facts[] = {
        {"direct attribution", "logits", elhage, dla[d->unit]},
        {"previous-token score", "share", detect, score[0]},
        {"duplicate-token score", "share", detect, score[1]},
        {"induction score", "share", detect, score[2]},
        {"mass on position 0, here", "probability", "its row of the pattern", row[0]},
        {"mass on position 0, mean", "probability", "mean over the rows", bos / (double)n},
        {"mass on itself, here", "probability", "its row of the pattern", row[d->pos]},
        {"mass on itself, mean", "probability", "mean over the rows", self / (double)n},
        {"entropy of the row, here", "nats", "-sum a log a", row_entropy(row, d->pos + 1)},
        {"entropy of the rows, mean", "nats", "-sum a log a", entropy / (double)n},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (dossier_fact(d, facts[i].name, facts[i].value, facts[i].unit, facts[i].source, e))
            return e->code;
    const struct param_value *given = args_get(d->ctx->args, "source");
    int64_t source = given->has ? given->i : 0;
    for (int64_t k = 0; !given->has && k <= d->pos; k++)
        source = row[k] > row[source] ? k : source;
    source += source < 0 ? n : 0;
    if (source < 0 || source > d->pos)
        return err_set(e, ERR_USAGE, "--source %lld: position %lld sees positions 0 to %lld",
            (long long)given->i, (long long)d->pos, (long long)d->pos);
    if (head_values(d, source, e) || head_keys(d, row, e) ||
        line(d, "attention", "attention of this position to each other", "probability", row, e))
        return e->code;
    snprintf(edit, sizeof edit, "L%dH%d=zero", d->layer, d->unit);
    return dossier_effect(d, edit, "zero-ablation", e);
}

/* --- A neuron ---------------------------------------------------------------------------------- */

/* A vector of the stream in the view of the run: the folded one centres what is written. */
static void as_written(float *x, const struct dossier *d, int64_t C)
{
    double mean = 0;
    for (int64_t c = 0; c < C && d->ctx->folded; c++)
        mean += (double)x[c] / (double)C;
    for (int64_t c = 0; c < C && d->ctx->folded; c++)
        x[c] -= (float)mean;
}

struct embeds {
    const struct dossier *d;
    const float *dir;
    float *cosine;
    int rc;
    struct err e;
};

static void embed_cosine(void *arg, int64_t id, int worker)
{
    (void)worker;
    struct embeds *x = arg;
    struct err e = {0};
    int64_t C = x->d->ctx->params->cfg.d_model;
    float row[4096];
    if (params_embed(row, x->d->ctx->params, id, &e)) {
        if (!__atomic_exchange_n(&x->rc, e.code, __ATOMIC_RELAXED))
            x->e = e;
        return;
    }
    as_written(row, x->d, C);
    x->cosine[id] = (float)cosine(row, x->dir, C);
}

/* The tokens whose embeddings lie closest to a direction of the stream. */
static int nearest(
    struct dossier *d, const char *name, const char *long_name, const float *dir, struct err *e)
{
    int64_t V = d->ctx->model->cfg.vocab;
    float *seen = arena_array(d->ctx->arena, (size_t)d->ctx->model->cfg.d_model, sizeof *seen, e);
    struct embeds x = {.d = d, .dir = seen, .cosine = d->row2};
    struct dossier_list l = {name, long_name, "cosine",
        "cosine with the rows of W_E, centred where the view is folded", false, true};
    if (d->ctx->model->cfg.d_model > 4096)
        return 0; /* rows are gathered on the stack */
    if (!seen || !params_panel(d->ctx->params, MAT_UNEMBED, 0, e))
        return e->code;
    memcpy(seen, dir, (size_t)d->ctx->model->cfg.d_model * sizeof *seen);
    as_written(seen, d, d->ctx->model->cfg.d_model);
    pool_for(d->ctx->pool, V, embed_cosine, &x);
    if (x.rc)
        return err_set(e, x.rc, "%s", x.e.msg);
    return dossier_top(d, &l, d->row2, e);
}

/* A column of W_in; in the folded view times ln2's gain, centred. */
static int neuron_reads(float *out, struct dossier *d, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model;
    const struct panel *w = params_panel(p, MAT_IN, d->layer, e);
    if (!w)
        return e->code;
    panel_col(out, w, d->unit);
    for (int64_t c = 0; c < C && d->ctx->folded; c++)
        out[c] *= p->layer[d->layer].ln2_g[c];
    as_written(out, d, C);
    return 0;
}

static int neuron_line(float *out, const struct dossier *d, enum site s, struct err *e)
{
    const float *x;
    int64_t F = d->ctx->model->cfg.d_mlp;
    if (acts_get(&x, d->acts, s, d->layer, e))
        return e->code;
    for (int64_t t = 0; t < d->in->n; t++)
        out[t] = x[t * F + d->unit];
    return 0;
}

static int neuron_page(struct dossier *d, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, n = d->in->n, best = 0;
    struct arena *a = d->ctx->arena;
    const struct panel *w = params_panel(p, MAT_OUT, d->layer, e);
    float *pre = w ? arena_array(a, 2 * (size_t)n, sizeof *pre, e) : NULL;
    float *in = pre ? arena_array(a, 2 * (size_t)C, sizeof *in, e) : NULL;
    const bool folded = d->ctx->folded;
    char edit[64];
    double mean = 0;
    if (!in || neuron_line(pre, d, SITE_MLP_PRE, e) || neuron_line(pre + n, d, SITE_MLP_POST, e) ||
        neuron_reads(in, d, e))
        return e->code;
    float *post = pre + n, *out = in + C;
    panel_row(out, w, d->unit);
    as_written(out, d, C);
    for (int64_t t = 0; t < n; t++) {
        mean += post[t] / (double)n;
        best = post[t] > post[best] ? t : best;
    }
    const char *where = dossier_token(d, d->in->tokens[best], e);
    if (!where)
        return ERR_LIMIT;
    const struct {
        const char *name, *unit, *source;
        double value;
    } facts[] = {
        {"direct attribution", "logits", elhage, post[d->pos] * dot_f64(out, d->dir, C) / d->scale},
        {"activation before the nonlinearity", "activation", "mlp.hook_pre", pre[d->pos]},
        {"activation", "activation", "mlp.hook_post", post[d->pos]},
        {"activation, mean over the prompt", "activation", "mlp.hook_post", mean},
        {"activation, largest of the prompt", "activation", "mlp.hook_post", post[best]},
        {"position of the largest", "position", NULL, (double)best},
        {"norm of its reading weights", "L2", folded ? "W_in, LN folded" : "W_in", norm(in, C)},
        {"norm of its writing weights", "L2", folded ? "W_out, centred" : "W_out", norm(out, C)},
        {"reading against writing", "cosine", "W_in and W_out", cosine(in, out, C)},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (dossier_fact(d, facts[i].name, facts[i].value, facts[i].unit, facts[i].source, e))
            return e->code;
    struct dossier_list up = {"promoted", "tokens its writing weights promote",
        "logits per unit, before the final scale", elhage, false, true};
    struct dossier_list down = {"suppressed", "tokens its writing weights suppress",
        "logits per unit, before the final scale", elhage, true, true};
    if (dossier_text(d, "token of the largest", where, e) ||
        dossier_write_out(d, d->row2, out, 1, e) || dossier_top(d, &up, d->row2, e) ||
        dossier_top(d, &down, d->row2, e) ||
        nearest(d, "reads", "tokens whose embeddings it reads most", in, e) ||
        line(d, "activation", "its activation over the prompt", "activation", post, e))
        return e->code;
    snprintf(edit, sizeof edit, "L%dN%d=zero", d->layer, d->unit);
    return dossier_effect(d, edit, "zero-ablation", e);
}

/* --- A layer ----------------------------------------------------------------------------------- */

/* What the lens reads from a stream x [C]: entropy, and the target's log-probability and rank; the
 * log-probabilities [V] stay in d->row2. */
static int lens_at(double out[3], struct dossier *d, const float *x, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, V = p->cfg.vocab;
    struct ln ln = {p->cfg.ln, p->cfg.ln_eps, p->lnf_g, p->lnf_b, false};
    struct row_stats st;
    float scale;
    ops_ln(d->wide, C, &scale, x, C, 1, C, &ln, d->ctx->pool);
    if (dossier_logits(d, d->row2, d->wide, e))
        return e->code;
    ops_row_stats(&st, d->row2, V);
    ops_log_softmax(d->row2, d->row2, V);
    out[0] = st.entropy;
    out[1] = d->row2[d->token];
    out[2] = (double)ops_rank(d->row2, V, d->token);
    return 0;
}

static int layer_parts(struct dossier *d, double *dla, struct err *e)
{
    struct arena *a = d->ctx->arena;
    int64_t H = d->ctx->model->cfg.n_head;
    const char **labels = arena_array(a, (size_t)H + 1, sizeof *labels, e);
    float *values = labels ? arena_array(a, (size_t)H + 1, sizeof *values, e) : NULL;
    struct block *b;
    if (!values)
        return ERR_LIMIT;
    for (int64_t h = 0; h <= H; h++) {
        labels[h] = h < H ? arena_printf(a, e, "L%dH%d", d->layer, (int)h)
                          : arena_printf(a, e, "L%d_mlp", d->layer);
        if (!labels[h])
            return ERR_LIMIT;
        values[h] = (float)dla[h];
    }
    return run_block(&b, d->out,
               &(struct block_spec){.name = "contribution",
                   .input = d->in->index,
                   .rank = 1,
                   .axes = {{"component", AXIS_COMPONENT, H + 1, labels}},
                   .unit = "logits",
                   .long_name = "direct attribution of its heads and its MLP",
                   .source = elhage,
                   .look = LOOK_BARS,
                   .is_signed = true},
               e) ||
                   block_set(b, values, e)
               ? e->code
               : 0;
}

static int layer_facts(struct dossier *d, double *dla, struct err *e)
{
    static const enum site sites[] = {
        SITE_RESID_PRE, SITE_ATTN_OUT, SITE_RESID_MID, SITE_MLP_OUT, SITE_RESID_POST};
    static const char *const names[] = {"norm of the stream before it",
        "norm of what attention adds", "norm of the stream after attention",
        "norm of what the MLP adds", "norm of the stream after it"};
    const struct config *cfg = &d->ctx->model->cfg;
    int64_t C = cfg->d_model;
    const float *x[5], *ln1, *ln2;
    double heads = 0;
    for (int i = 0; i < 5; i++) {
        if (acts_get(&x[i], d->acts, sites[i], d->layer, e))
            return e->code;
        x[i] += d->pos * C;
        if (dossier_fact(d, names[i], norm(x[i], C), "L2", site_info(sites[i])->name, e))
            return e->code;
    }
    if (acts_get(&ln1, d->acts, SITE_LN1_SCALE, d->layer, e) ||
        acts_get(&ln2, d->acts, SITE_LN2_SCALE, d->layer, e) || heads_dla(dla, d, e))
        return e->code;
    dla[cfg->n_head] = dot_f64(x[3], d->dir, C) / d->scale;
    for (int h = 0; h < cfg->n_head; h++)
        heads += dla[h];
    const struct {
        const char *name, *unit, *source;
        double value;
    } facts[] = {
        {"attention against the stream", "cosine", "attn_out and resid_pre", cosine(x[1], x[0], C)},
        {"MLP against the stream", "cosine", "mlp_out and resid_mid", cosine(x[3], x[2], C)},
        {"scale of its first LayerNorm", "scale", "ln1.hook_scale", ln1[d->pos]},
        {"scale of its second LayerNorm", "scale", "ln2.hook_scale", ln2[d->pos]},
        {"direct attribution of its heads", "logits", elhage, heads},
        {"direct attribution of its MLP", "logits", elhage, dla[cfg->n_head]},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (dossier_fact(d, facts[i].name, facts[i].value, facts[i].unit, facts[i].source, e))
            return e->code;
    return 0;
}

static int layer_lens(struct dossier *d, bool is_after, struct err *e)
{
    const struct dossier_list list = {is_after ? "lens_after" : "lens_before",
        is_after ? "best tokens of the lens after the layer"
                 : "best tokens of the lens before the layer",
        "nats", lens_source, false, false};
    static const char *const names[2][3] = {
        {"lens entropy before it", "log-probability of the target before it",
            "rank of the target before it"},
        {"lens entropy after it", "log-probability of the target after it",
            "rank of the target after it"}};
    static const char *const units[] = {"nats", "nats", "rank"};
    const float *x;
    double v[3];
    if (acts_get(&x, d->acts, is_after ? SITE_RESID_POST : SITE_RESID_PRE, d->layer, e) ||
        lens_at(v, d, x + d->pos * d->ctx->model->cfg.d_model, e))
        return e->code;
    for (int i = 0; i < 3; i++)
        if (dossier_fact(d, names[is_after][i], v[i], units[i], lens_source, e))
            return e->code;
    return dossier_top(d, &list, d->row2, e);
}

static int layer_page(struct dossier *d, struct err *e)
{
    char edit[64];
    double *dla = arena_array(d->ctx->arena, (size_t)d->ctx->model->cfg.n_head + 1, sizeof *dla, e);
    if (!dla || layer_facts(d, dla, e) || layer_lens(d, false, e) || layer_lens(d, true, e) ||
        layer_parts(d, dla, e))
        return e->code;
    snprintf(edit, sizeof edit, "L%d_attn=zero", d->layer);
    if (dossier_effect(d, edit, "attention zeroed", e))
        return e->code;
    snprintf(edit, sizeof edit, "L%d_mlp=zero", d->layer);
    return dossier_effect(d, edit, "MLP zeroed", e);
}

/* --- A token ----------------------------------------------------------------------------------- */

static int token_trajectory(struct dossier *d, struct err *e)
{
    static const char *const names[] = {"lens_entropy", "lens_logprob", "lens_rank", "lens_top"};
    static const char *const long_names[] = {"entropy of the lens by layer",
        "log-probability of the target by layer", "rank of the target by layer, 0 is best",
        "log-probability of the layer's own best token"};
    static const char *const units[] = {"nats", "nats", "rank", "nats"};
    struct arena *a = d->ctx->arena;
    int64_t L = d->ctx->model->cfg.n_layer, C = d->ctx->model->cfg.d_model;
    const char **labels = arena_array(a, 2 * (size_t)(L + 1), sizeof *labels, e);
    float *v = labels ? arena_array(a, 4 * (size_t)(L + 1), sizeof *v, e) : NULL;
    if (!v)
        return ERR_LIMIT;
    for (int64_t l = 0; l <= L; l++) {
        const float *x;
        double at[3];
        int32_t best;
        if (d->ctx->progress(d->ctx->progress_arg, (double)l, (double)(L + 1)))
            return err_set(e, ERR_CANCEL, "interrupted");
        if (acts_get(&x, d->acts, l < L ? SITE_RESID_PRE : SITE_RESID_POST,
                (int)(l < L ? l : L - 1), e) ||
            lens_at(at, d, x + d->pos * C, e))
            return e->code;
        for (int i = 0; i < 3; i++)
            v[i * (L + 1) + l] = (float)at[i];
        ops_topk(&best, &v[3 * (L + 1) + l], d->row2, d->ctx->model->cfg.vocab, 1);
        const char *token = dossier_token(d, best, e);
        labels[l] = l < L ? arena_printf(a, e, "%d_pre", (int)l) : "final_post";
        labels[L + 1 + l] =
            token && labels[l] ? arena_printf(a, e, "%s %s", labels[l], token) : NULL;
        if (!labels[L + 1 + l])
            return ERR_LIMIT;
    }
    for (int i = 0; i < 4; i++) {
        struct block *b;
        if (run_block(&b, d->out,
                &(struct block_spec){.name = names[i],
                    .input = d->in->index,
                    .rank = 1,
                    .axes = {{"layer", AXIS_LAYER, L + 1, i == 3 ? labels + L + 1 : labels}},
                    .unit = units[i],
                    .long_name = long_names[i],
                    .source = lens_source,
                    .look = i ? LOOK_BARS : LOOK_LINES},
                e) ||
            block_set(b, v + i * (L + 1), e))
            return e->code;
    }
    return 0;
}

/* How well it was foreseen: the row of the position before it. */
static int token_loss(struct dossier *d, struct err *e)
{
    int64_t C = d->ctx->model->cfg.d_model, V = d->ctx->model->cfg.vocab;
    int32_t id = d->in->tokens[d->pos];
    struct row_stats st;
    if (!d->pos)
        return 0;
    if (dossier_logits(d, d->row2, d->norm + (d->pos - 1) * C, e))
        return e->code;
    ops_row_stats(&st, d->row2, V);
    const char *best = dossier_token(d, st.argmax, e);
    if (!best ||
        dossier_fact(d, "loss of this token", st.lse - d->row2[id], "nats",
            "-log p of it after what stands before it", e) ||
        dossier_fact(
            d, "rank of this token", (double)ops_rank(d->row2, V, id), "rank", "the same row", e) ||
        dossier_text(d, "expected in its place", best, e))
        return e->code;
    return 0;
}

static int token_page(struct dossier *d, struct err *e)
{
    struct arena *a = d->ctx->arena;
    int64_t C = d->ctx->model->cfg.d_model;
    int32_t id = d->in->tokens[d->pos];
    const float *embed, *where;
    struct row_stats st;
    size_t n = 0;
    const struct tokenizer *t = d->ctx->model->tokenizer;
    const char *bytes = t ? tokenizer_bytes(t, id, &n) : NULL, *text = dossier_token(d, id, e);
    char *hex = arena_zalloc(a, 3 * n + 1, e);
    if (!hex || !text || acts_get(&embed, d->acts, SITE_EMBED, -1, e) ||
        acts_get(&where, d->acts, SITE_POS_EMBED, -1, e))
        return e->code;
    for (size_t i = 0; i < n; i++)
        snprintf(hex + 3 * i - (i > 0), 4, i ? " %02x" : "%02x", (unsigned char)bytes[i]);
    embed += d->pos * C;
    where += d->pos * C;
    ops_row_stats(&st, d->row, d->ctx->model->cfg.vocab);
    const char *best = dossier_token(d, st.argmax, e);
    if (!best || dossier_text(d, "token", text, e) ||
        dossier_fact(d, "token id", id, "token id", NULL, e) ||
        dossier_text(d, "its bytes", hex, e) || token_loss(d, e) ||
        dossier_text(d, "the model's next token", best, e) ||
        dossier_fact(d, "probability of the next token", exp((double)d->row[st.argmax] - st.lse),
            "probability", "the model's own", e) ||
        dossier_fact(d, "entropy of the next token", st.entropy, "nats", "the model's own", e) ||
        dossier_fact(d, "norm of its embedding", norm(embed, C), "L2", "hook_embed", e) ||
        dossier_fact(d, "norm of the position's", norm(where, C), "L2", "hook_pos_embed", e) ||
        dossier_fact(d, "token against position", cosine(embed, where, C), "cosine",
            "hook_embed and hook_pos_embed", e))
        return e->code;
    return nearest(d, "nearest", "tokens with the nearest embeddings", embed, e) ||
                   token_trajectory(d, e)
               ? e->code
               : 0;
}

int dossier_page(struct dossier *d, struct err *e)
{
    static int (*const pages[])(struct dossier *, struct err *) = {[OF_HEAD] = head_page,
        [OF_NEURON] = neuron_page,
        [OF_LAYER] = layer_page,
        [OF_TOKEN] = token_page};
    return pages[d->kind](d, e);
}
