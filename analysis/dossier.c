#include "analysis/dossier.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/token.h"
#include "model/core/text.h"
#include "model/fold.h"

static const struct param params[] = {
    {.name = "of",
        .type = PARAM_STRING,
        .def = "@-1",
        .metavar = "THING",
        .help = "L4H2 (a head), L3N512 (a neuron), L2 (a layer) or @13 (the token at a position)"},
    {.name = "pos",
        .type = PARAM_INT,
        .def = "-1",
        .metavar = "P",
        .help = "the position; negative counts from the end; a token stands at its own"},
    {.name = "target",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .help = "the token it is measured by: a text or #ID; default: the best one at --pos"},
    {.name = "versus",
        .type = PARAM_TOKEN,
        .metavar = "TOKEN",
        .help = "measure by the difference target - versus"},
    {.name = "source",
        .type = PARAM_INT,
        .metavar = "P",
        .help = "of a head: the position whose value is read out; default: the one it attends to "
                "most"},
    {.name = "top",
        .type = PARAM_INT,
        .def = "10",
        .metavar = "K",
        .min = 1,
        .max = 1000,
        .help = "how many tokens a list has"},
    {.name = "effect",
        .type = PARAM_BOOL,
        .def = "true",
        .help = "also what zero-ablation does to the target: another forward pass"},
};

static bool take_number(int64_t *out, const char **s)
{
    char *end;
    if (**s < '0' || **s > '9')
        return false;
    *out = strtoll(*s, &end, 10);
    *s = end;
    return *out < 1 << 28;
}

static int parse(struct dossier *d, const struct ctx *ctx, struct err *e)
{
    const struct config *cfg = &ctx->model->cfg;
    const char *text = args_text(ctx->args, "of"), *s = text + 1;
    int64_t layer = 0, unit = 0;
    bool ok = *text == 'L' && take_number(&layer, &s);
    if (*text == '@') {
        char *end;
        d->kind = OF_TOKEN;
        d->at = strtoll(s, &end, 10);
        ok = *s && !*end;
    } else if (ok && !*s) {
        d->kind = OF_LAYER;
    } else if (ok && (*s == 'H' || *s == 'N')) {
        d->kind = *s++ == 'H' ? OF_HEAD : OF_NEURON;
        ok = take_number(&unit, &s) && !*s;
    } else {
        ok = false;
    }
    if (!ok)
        return err_set(e, ERR_USAGE,
            "--of \"%.100s\": a head is written L4H2, a neuron L3N512, a layer L2, a token @13",
            text);
    if (layer >= cfg->n_layer)
        return err_set(
            e, ERR_USAGE, "--of %.100s: the model has layers 0 to %d", text, cfg->n_layer - 1);
    int64_t most = d->kind == OF_HEAD ? cfg->n_head : d->kind == OF_NEURON ? cfg->d_mlp : 1;
    if (unit >= most)
        return err_set(e, ERR_USAGE, "--of %.100s: the model has %s 0 to %lld", text,
            d->kind == OF_HEAD ? "heads" : "neurons", (long long)most - 1);
    d->layer = (int)layer;
    d->unit = (int)unit;
    return 0;
}

static int plan(struct plan *p, const struct ctx *ctx, struct err *e)
{
    static const enum site head[] = {SITE_PATTERN, SITE_V, SITE_Z};
    static const enum site neuron[] = {SITE_MLP_PRE, SITE_MLP_POST};
    static const enum site layer[] = {SITE_RESID_PRE, SITE_RESID_MID, SITE_RESID_POST, SITE_Z,
        SITE_ATTN_OUT, SITE_MLP_OUT, SITE_LN1_SCALE, SITE_LN2_SCALE};
    static const struct {
        const enum site *list;
        size_t n;
    } sites[] = {[OF_HEAD] = {head, sizeof head / sizeof *head},
        [OF_NEURON] = {neuron, sizeof neuron / sizeof *neuron},
        [OF_LAYER] = {layer, sizeof layer / sizeof *layer},
        [OF_TOKEN] = {NULL, 0}};
    struct dossier d = {0};
    if (parse(&d, ctx, e))
        return e->code;
    plan_keep(p, SITE_LNF_SCALE, -1);
    plan_keep(p, SITE_LNF_NORM, -1);
    for (size_t i = 0; i < sites[d.kind].n; i++)
        plan_keep(p, sites[d.kind].list[i], d.layer);
    if (d.kind == OF_TOKEN) {
        plan_keep(p, SITE_EMBED, -1);
        plan_keep(p, SITE_POS_EMBED, -1);
        plan_keep(p, SITE_RESID_PRE, -1);
        plan_keep(p, SITE_RESID_POST, ctx->model->cfg.n_layer - 1);
    }
    return 0;
}

static int begin(struct ctx *ctx, struct run *out, struct err *e)
{
    (void)out;
    const struct config *cfg = &ctx->model->cfg;
    size_t C = (size_t)cfg->d_model, V = (size_t)cfg->vocab;
    struct dossier *d = arena_zalloc(ctx->arena, sizeof *d, e);
    if (!d)
        return ERR_LIMIT;
    ctx->state = d;
    d->ctx = ctx;
    d->target = d->versus = -1;
    int64_t k = args_int(ctx->args, "top");
    d->k = (int)(k < cfg->vocab ? k : cfg->vocab);
    const char *target = args_text(ctx->args, "target"), *versus = args_text(ctx->args, "versus");
    if (parse(d, ctx, e) || (target && *target && ctx_token(&d->target, ctx, target, e)) ||
        (versus && *versus && ctx_token(&d->versus, ctx, versus, e)))
        return e->code;
    d->row = arena_array(ctx->arena, V, sizeof *d->row, e);
    d->row2 = arena_array(ctx->arena, V, sizeof *d->row2, e);
    d->dir = arena_array(ctx->arena, 2 * C, sizeof *d->dir, e);
    d->dir32 = arena_array(ctx->arena, C, sizeof *d->dir32, e);
    d->wide = arena_array(ctx->arena, C, sizeof *d->wide, e);
    d->b_v = arena_zalloc(ctx->arena, C * sizeof *d->b_v, e);
    if (!d->row || !d->row2 || !d->dir || !d->dir32 || !d->wide || !d->b_v)
        return ERR_LIMIT;
    if (ctx->folded && (d->kind == OF_HEAD || d->kind == OF_LAYER) &&
        fold_value_bias(d->b_v, ctx->params, d->layer, ctx->pool, e))
        return e->code;
    if (!ctx->folded || d->versus >= 0)
        return 0;
    d->u_mean = arena_array(ctx->arena, C, sizeof *d->u_mean, e);
    return d->u_mean ? fold_unembed_mean(d->u_mean, ctx->params, ctx->pool, e) : ERR_LIMIT;
}

/* --- What pages are made of -------------------------------------------------------------------- */

int dossier_fact(struct dossier *d, const char *name, double value, const char *unit,
    const char *source, struct err *e)
{
    const struct cell_value row[] = {
        {0, name}, {value, NULL}, {0, unit}, {0, ""}, {0, source ? source : ""}};
    return block_append(d->facts, row, e);
}

int dossier_text(struct dossier *d, const char *name, const char *text, struct err *e)
{
    const struct cell_value row[] = {{0, name}, {NAN, NULL}, {0, ""}, {0, text}, {0, ""}};
    return block_append(d->facts, row, e);
}

const char *dossier_token(struct dossier *d, int64_t id, struct err *e)
{
    size_t n;
    const struct tokenizer *t = d->ctx->model->tokenizer;
    const char *bytes = t && id >= 0 ? tokenizer_bytes(t, id, &n) : NULL;
    if (!bytes)
        return arena_printf(d->ctx->arena, e, "#%lld", (long long)id);
    if (!memchr(bytes, 0, n) && utf8_valid_prefix(bytes, n) == n)
        return arena_strndup(d->ctx->arena, bytes, n, e);
    return text_escaped(bytes, n, 0, d->ctx->arena, e);
}

int dossier_logits(struct dossier *d, float *row, const float *y, struct err *e)
{
    int64_t C = d->ctx->params->cfg.d_model, V = d->ctx->params->cfg.vocab;
    const struct panel *w = params_panel(d->ctx->params, MAT_UNEMBED, 0, e);
    if (!w)
        return e->code;
    ops_gemm(row, V, y, C, 1, w, 0, V, &(struct epilogue){0}, d->ctx->pool);
    return 0;
}

int dossier_write_out(struct dossier *d, float *row, const float *x, double scale, struct err *e)
{
    const struct params *p = d->ctx->params;
    int64_t C = p->cfg.d_model, V = p->cfg.vocab;
    double mean = 0, sum = 0;
    for (int64_t c = 0; c < C; c++)
        mean += x[c];
    mean /= (double)C;
    for (int64_t c = 0; c < C; c++)
        d->wide[c] = (float)((x[c] - mean) * p->lnf_g[c] / scale);
    if (dossier_logits(d, row, d->wide, e))
        return e->code;
    for (int64_t v = 0; v < V; v++)
        sum += row[v];
    sum /= (double)V;
    for (int64_t v = 0; v < V; v++)
        row[v] = (float)(row[v] - sum);
    return 0;
}

int dossier_top(struct dossier *d, const struct dossier_list *l, const float *values, struct err *e)
{
    struct arena *a = d->ctx->arena;
    int64_t V = d->ctx->model->cfg.vocab;
    size_t k = (size_t)d->k;
    const float *from = values;
    int32_t *ids = arena_array(a, k, sizeof *ids, e);
    float *best = ids ? arena_array(a, k, sizeof *best, e) : NULL;
    const char **labels = best ? arena_array(a, k, sizeof *labels, e) : NULL;
    if (!labels)
        return ERR_LIMIT;
    if (l->is_smallest) {
        float *negative = arena_array(a, (size_t)V, sizeof *negative, e);
        if (!negative)
            return ERR_LIMIT;
        for (int64_t v = 0; v < V; v++)
            negative[v] = -values[v];
        from = negative;
    }
    ops_topk(ids, best, from, V, d->k);
    for (size_t i = 0; i < k; i++) {
        best[i] = l->is_smallest ? -best[i] : best[i];
        if (!(labels[i] = dossier_token(d, ids[i], e)))
            return ERR_LIMIT;
    }
    const char *name_id = arena_printf(a, e, "%s_id", l->name);
    struct block *b;
    struct block_spec spec = {.name = l->name,
        .input = d->in->index,
        .rank = 1,
        .axes = {{"token", AXIS_RANK, d->k, labels}},
        .unit = l->unit,
        .long_name = l->long_name,
        .source = l->source,
        .look = LOOK_BARS,
        .is_signed = l->is_signed};
    if (!name_id || run_block(&b, d->out, &spec, e) || block_set(b, best, e))
        return e->code;
    spec.name = name_id;
    spec.dtype = DT_I32;
    spec.unit = "token id";
    spec.is_signed = false;
    spec.look = LOOK_TABLE;
    return run_block(&b, d->out, &spec, e) || block_set(b, ids, e) ? e->code : 0;
}

/* The logit of the target, less that of versus; one logit of the folded view less its mean over the
 * vocabulary, so that attributions and effects are of the same quantity. */
static double aimed(const struct dossier *d, const float *row)
{
    const int64_t V = d->ctx->model->cfg.vocab;
    double mean = 0;
    if (d->versus >= 0)
        return (double)row[d->token] - (double)row[d->versus];
    for (int64_t v = 0; d->u_mean && v < V; v++)
        mean += row[v];
    return (double)row[d->token] - mean / (double)V;
}

static double logprob(const struct dossier *d, const float *row)
{
    struct row_stats st;
    ops_row_stats(&st, row, d->ctx->model->cfg.vocab);
    return row[d->token] - st.lse;
}

int dossier_effect(struct dossier *d, const char *edit, const char *what, struct err *e)
{
    struct ctx *ctx = d->ctx;
    const struct config *cfg = &ctx->model->cfg;
    int n = ctx->edits ? ctx->edits->n : 0;
    int64_t offset[2] = {0, d->in->n};
    struct batch b = {d->in->tokens, offset, 1};
    struct edit *list = arena_array(ctx->arena, (size_t)n + 1, sizeof *list, e);
    struct plan plan;
    struct trace t;
    char name[96];
    if (!args_bool(ctx->args, "effect"))
        return 0;
    if (!list || plan_init(&plan, cfg, ctx->arena, e) ||
        edit_parse(&list[n], edit, cfg, ctx->arena, e))
        return e->code;
    if (n)
        memcpy(list, ctx->edits->list, (size_t)n * sizeof *list);
    plan_keep(&plan, SITE_LNF_NORM, -1);
    struct edits edits = {list, n + 1};
    struct forward_opts o = {.plan = &plan,
        .edits = &edits,
        .is_part = true,
        .pool = ctx->pool,
        .progress = ctx->progress,
        .progress_arg = ctx->progress_arg,
        .budget = ctx->budget};
    if (forward(&t, ctx->params, &b, &o, e))
        return e->code;
    static const char pass[] = "zero-ablation at every position, an exact pass, raw weights";
    int rc =
        dossier_logits(d, d->row2, trace_site(&t, SITE_LNF_NORM, -1, 0) + d->pos * cfg->d_model, e);
    trace_release(&t);
    snprintf(
        name, sizeof name, "%s: effect on the logit%s", what, d->versus >= 0 ? " difference" : "");
    if (!rc)
        rc = dossier_fact(d, name, aimed(d, d->row2) - aimed(d, d->row), "logits", pass, e);
    snprintf(name, sizeof name, "%s: effect on the log-probability", what);
    if (!rc)
        rc = dossier_fact(d, name, logprob(d, d->row2) - logprob(d, d->row), "nats", pass, e);
    return rc;
}

/* --- One input --------------------------------------------------------------------------------- */

static int aim(struct dossier *d, struct err *e)
{
    const struct params *p = d->ctx->params;
    const struct config *cfg = &p->cfg;
    int64_t C = cfg->d_model, given = args_int(d->ctx->args, "pos");
    const float *scale;
    const struct panel *w = params_panel(p, MAT_UNEMBED, 0, e);
    if (!w || ctx_pos(&d->pos, d->in, d->kind == OF_TOKEN ? d->at : given, e) ||
        acts_get(&d->norm, d->acts, SITE_LNF_NORM, -1, e) ||
        acts_get(&scale, d->acts, SITE_LNF_SCALE, -1, e) ||
        dossier_logits(d, d->row, d->norm + d->pos * C, e))
        return e->code;
    struct row_stats st;
    ops_row_stats(&st, d->row, cfg->vocab);
    d->token = d->target >= 0 ? d->target : st.argmax;
    d->scale = scale[d->pos];
    double *u = d->dir + C, unused;
    panel_col(d->dir32, w, d->token);
    for (int64_t c = 0; c < C; c++)
        u[c] = d->dir32[c];
    if (d->versus >= 0)
        panel_col(d->dir32, w, d->versus);
    for (int64_t c = 0; c < C; c++)
        u[c] -= d->versus >= 0 ? (double)d->dir32[c] : d->u_mean ? d->u_mean[c] : 0;
    fold_direction(d->dir, &unused, p, u);
    for (int64_t c = 0; c < C; c++)
        d->dir32[c] = (float)d->dir[c];
    return 0;
}

static int each(struct ctx *ctx, struct run *out, const struct input *in, const struct acts *acts,
    struct err *e)
{
    static const struct column columns[] = {{.name = "fact", .is_text = true},
        {.name = "value", .dtype = DT_F64}, {.name = "unit", .is_text = true},
        {.name = "text", .is_text = true}, {.name = "source", .is_text = true}};
    struct dossier *d = ctx->state;
    d->ctx = ctx;
    d->out = out;
    d->in = in;
    d->acts = acts;
    if (aim(d, e))
        return e->code;
    if (run_block(&d->facts, out,
            &(struct block_spec){.name = "facts",
                .input = in->index,
                .rank = 1,
                .axes = {{"fact", AXIS_OTHER, 0, NULL}},
                .long_name = "what is known about it at this position",
                .look = LOOK_TABLE,
                .columns = columns,
                .n_columns = sizeof columns / sizeof *columns},
            e))
        return e->code;
    const char *target = dossier_token(d, d->token, e);
    const char *versus = d->versus >= 0 ? dossier_token(d, d->versus, e) : "";
    if (!target || !versus || dossier_text(d, "of", args_text(ctx->args, "of"), e) ||
        dossier_fact(d, "position", (double)d->pos, "position", NULL, e) ||
        dossier_text(d, "target", target, e) ||
        (d->versus >= 0 && dossier_text(d, "versus", versus, e)))
        return e->code;
    if (dossier_fact(d, d->versus >= 0 ? "logit difference" : "logit", aimed(d, d->row), "logits",
            d->u_mean ? "the model's own, less the vocabulary's mean" : "the model's own", e) ||
        dossier_fact(d, "probability of the target", exp(logprob(d, d->row)), "probability",
            "the model's own", e))
        return e->code;
    return dossier_page(d, e);
}

static void cost(struct estimate *out, const struct ctx *ctx, int64_t n)
{
    struct arena scratch = {0};
    struct plan p;
    struct err e;
    int64_t offset[2] = {0, n};
    struct batch b = {NULL, offset, 1};
    const struct config *cfg = &ctx->model->cfg;
    double C = cfg->d_model, V = (double)cfg->vocab, L = cfg->n_layer;
    if (!plan_init(&p, cfg, &scratch, &e)) {
        plan_keep(&p, SITE_LNF_NORM, -1);
        struct estimate pass = plan_estimate(&p, cfg, &b);
        out->scratch_bytes = pass.keep_bytes + pass.scratch_bytes;
        out->flops = (args_bool(ctx->args, "effect") ? pass.flops : 0) + 2 * C * V * (L + 4);
    }
    out->scratch_bytes += (uint64_t)(4 * (6 * V + 16 * C));
    arena_release(&scratch);
}

const struct analysis analysis_dossier = {
    .id = "dossier",
    .title = "everything about one head, neuron, layer or token",
    .help = "Collects on one page what is known about the thing named by --of on this prompt: its "
            "scores, what it reads and writes, its direct attribution, and what ablating it does. "
            "Every number carries its unit and where its formula comes from.",
    .source = "the sources are in the facts themselves",
    .params = params,
    .n_params = sizeof params / sizeof *params,
    .is_folded = true,
    .plan = plan,
    .begin = begin,
    .each = each,
    .cost = cost,
};
