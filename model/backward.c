#include "model/backward.h"

#include <string.h>

#include "model/back.h"
#include "model/pass.h"

static size_t slot(const struct config *cfg, enum site s, int layer)
{
    return (size_t)s * (size_t)cfg->n_layer + (size_t)(site_info(s)->per_layer ? layer : 0);
}

bool back_wants(const struct back *b, enum site s, int layer)
{
    return b->o->want && plan_keeps(b->o->want, s, layer);
}

bool back_touched(const struct back *b, enum site s, int layer)
{
    return b->touched[slot(b->cfg, s, layer)];
}

void *back_scratch(struct back *b, int64_t count, size_t size)
{
    return arena_array(&b->scratch, (size_t)count, size, b->e);
}

void *back_temp(struct back *b, int64_t count, size_t size)
{
    return arena_array(&b->temp, (size_t)count, size, b->e);
}

const float *back_kept(struct back *b, enum site s, int layer)
{
    const float *x = b->t->site[slot(b->cfg, s, layer)];
    if (!x) {
        char name[64];
        site_full_name(name, sizeof name, s, layer);
        err_set(b->e, ERR_USAGE, "gradients need %s, which the forward pass did not keep", name);
    }
    return x;
}

float *back_place(struct back *b, enum site s, int layer)
{
    float *out = b->out->site[slot(b->cfg, s, layer)];
    if (out)
        return out;
    if (!b->scratch_site[s])
        b->scratch_site[s] = back_scratch(b, b->rows * site_width(s, b->cfg), sizeof(float));
    return b->scratch_site[s];
}

int back_gate(struct back *b, enum site s, int layer, float *g)
{
    const struct batch *batch = &b->t->batch;
    int64_t width = site_width(s, b->cfg);
    for (int i = 0; i < batch->n; i++) {
        int rc = edits_apply(&b->gates, s, layer, g + batch->offset[i] * width,
            batch->offset[i + 1] - batch->offset[i], 0, b->cfg, b->e);
        if (rc)
            return rc;
    }
    return 0;
}

float *back_pass(struct back *b, enum site s, int layer, float *g)
{
    if (!back_touched(b, s, layer))
        return g;
    if (g == b->out->site[slot(b->cfg, s, layer)]) {
        int64_t n = b->rows * site_width(s, b->cfg);
        if (!b->scratch_site[s])
            b->scratch_site[s] = back_scratch(b, n, sizeof(float));
        if (!b->scratch_site[s])
            return NULL;
        memcpy(b->scratch_site[s], g, (size_t)n * sizeof *g);
        g = b->scratch_site[s];
    }
    return back_gate(b, s, layer, g) ? NULL : g;
}

int back_emit(struct back *b, enum site s, int layer, float *g)
{
    float *out = b->out->site[slot(b->cfg, s, layer)];
    if (out && out != g)
        memcpy(out, g, (size_t)(b->rows * site_width(s, b->cfg)) * sizeof *g);
    return back_touched(b, s, layer) ? back_gate(b, s, layer, g) : 0;
}

int back_redo_edits(struct back *b, enum site s, int layer, float *values)
{
    const struct batch *batch = &b->t->batch;
    int64_t width = site_width(s, b->cfg);
    for (int i = 0; back_touched(b, s, layer) && i < batch->n; i++) {
        int rc = edits_apply(b->o->edits, s, layer, values + batch->offset[i] * width,
            batch->offset[i + 1] - batch->offset[i], 0, b->cfg, b->e);
        if (rc)
            return rc;
    }
    return 0;
}

int back_product(struct back *b, float *da, const float *dc, enum matrix m, int layer)
{
    const struct panel *w = params_panel(b->p, m, layer, b->e);
    if (!w)
        return b->e->code;
    ops_gemm_t(da, w->k, dc, w->n, b->rows, w, false, b->o->pool);
    return 0;
}

/* resid_post = resid_mid + W_out act(W_in LN2(mlp_in)): b->dx becomes dm/dresid_mid. */
static int mlp(struct back *b, int l)
{
    const struct config *cfg = b->cfg;
    const struct layer_vectors *v = &b->p->layer[l];
    struct param_arrays *g = b->o->params;
    struct pool *pool = b->o->pool;
    int64_t C = cfg->d_model, F = cfg->d_mlp, n = b->rows * F;
    const float *pre = back_kept(b, SITE_MLP_PRE, l);
    const float *mid = pre ? back_kept(b, SITE_RESID_MID, l) : NULL;
    if (!mid)
        return b->e->code;
    float *dout = b->dx;
    if (back_wants(b, SITE_MLP_OUT, l) || back_touched(b, SITE_MLP_OUT, l)) {
        dout = back_place(b, SITE_MLP_OUT, l);
        if (!dout)
            return ERR_LIMIT;
        memcpy(dout, b->dx, (size_t)(b->rows * C) * sizeof *dout);
        dout = back_pass(b, SITE_MLP_OUT, l, dout);
        if (!dout)
            return b->e->code;
    }
    if (g) {
        const float *post = b->t->site[slot(cfg, SITE_MLP_POST, l)];
        if (!post) {
            ops_act(b->post, pre, n, cfg->act, pool);
            if (back_redo_edits(b, SITE_MLP_POST, l, b->post))
                return b->e->code;
            post = b->post;
        }
        back_column_sums(g->layer[l].b_out, dout, C, b->rows, C, pool);
        ops_gemm_grad(g->out[l], C, post, F, dout, C, b->rows, F, C, pool);
    }
    float *dpost = back_wants(b, SITE_MLP_POST, l) ? back_place(b, SITE_MLP_POST, l) : b->big;
    float *dpre = back_wants(b, SITE_MLP_PRE, l) ? back_place(b, SITE_MLP_PRE, l) : b->big;
    if (back_product(b, dpost, dout, MAT_OUT, l))
        return b->e->code;
    dpost = back_pass(b, SITE_MLP_POST, l, dpost);
    if (!dpost)
        return b->e->code;
    ops_act_grad(dpre, dpost, pre, n, cfg->act, pool);
    dpre = back_pass(b, SITE_MLP_PRE, l, dpre);
    if (!dpre)
        return b->e->code;

    const float *in = mid;
    if (back_touched(b, SITE_MLP_IN, l)) {
        in = b->t->site[slot(cfg, SITE_MLP_IN, l)];
        if (!in) {
            float *own = back_temp(b, b->rows * C, sizeof *own);
            if (!own)
                return ERR_LIMIT;
            memcpy(own, mid, (size_t)(b->rows * C) * sizeof *own);
            if (back_redo_edits(b, SITE_MLP_IN, l, own))
                return b->e->code;
            in = own;
        }
    }
    struct back_ln ln = {SITE_LN2_SCALE, SITE_LN2_NORM, l, v->ln2_g, v->ln2_b, NULL, NULL};
    if (g) {
        const float *y;
        ln.dgamma = g->layer[l].ln2_g;
        ln.dbeta = g->layer[l].ln2_b;
        if (back_norm(b, &y, in, &ln))
            return b->e->code;
        back_column_sums(g->layer[l].b_in, dpre, F, b->rows, F, pool);
        ops_gemm_grad(g->in[l], F, y, C, dpre, F, b->rows, C, F, pool);
    }
    float *dy = back_place(b, SITE_LN2_NORM, l);
    if (!dy || back_product(b, dy, dpre, MAT_IN, l))
        return b->e->code;
    dy = back_pass(b, SITE_LN2_NORM, l, dy);
    if (!dy)
        return b->e->code;
    if (!back_wants(b, SITE_MLP_IN, l) && !back_touched(b, SITE_MLP_IN, l))
        return back_ln(b, b->dx, C, dy, in, &ln, true);
    float *din = back_place(b, SITE_MLP_IN, l);
    if (!din || back_ln(b, din, C, dy, in, &ln, false))
        return b->e->code;
    din = back_pass(b, SITE_MLP_IN, l, din);
    for (int64_t i = 0; din && i < b->rows * C; i++)
        b->dx[i] += din[i];
    return din ? 0 : b->e->code;
}

static int embeddings(struct back *b)
{
    const struct batch *batch = &b->t->batch;
    struct param_arrays *g = b->o->params;
    int64_t C = b->cfg->d_model, n = b->rows * C;
    float *dtok = b->dx, *dpos = b->dx;
    static const enum site sites[2] = {SITE_EMBED, SITE_POS_EMBED};
    for (int k = 0; k < 2; k++) {
        if (!back_wants(b, sites[k], -1) && !back_touched(b, sites[k], -1))
            continue;
        float *own = back_place(b, sites[k], -1);
        if (!own)
            return ERR_LIMIT;
        memcpy(own, b->dx, (size_t)n * sizeof *own);
        own = back_pass(b, sites[k], -1, own);
        if (!own)
            return b->e->code;
        *(k ? &dpos : &dtok) = own;
    }
    for (int i = 0; g && i < batch->n; i++)
        for (int64_t r = batch->offset[i]; r < batch->offset[i + 1]; r++) {
            float *wte = g->wte + batch->tokens[r] * C;
            float *wpe = g->wpe + (r - batch->offset[i]) * C;
            for (int64_t c = 0; c < C; c++) {
                wte[c] += dtok[r * C + c];
                wpe[c] += dpos[r * C + c];
            }
        }
    return 0;
}

/* ln_final: from dm/dy in the scratch of its normalised site to b->dx. */
static int final_norm(struct back *b, double *value)
{
    struct param_arrays *g = b->o->params;
    const float *x = back_kept(b, SITE_RESID_POST, b->cfg->n_layer - 1);
    float *dy = x ? back_place(b, SITE_LNF_NORM, -1) : NULL;
    if (!dy)
        return b->e->code;
    struct back_ln ln = {SITE_LNF_SCALE, SITE_LNF_NORM, -1, b->p->lnf_g, b->p->lnf_b,
        g ? g->lnf_g : NULL, g ? g->lnf_b : NULL};
    if (back_metric(b, value, dy))
        return b->e->code;
    dy = back_pass(b, SITE_LNF_NORM, -1, dy);
    return dy ? back_ln(b, b->dx, b->cfg->d_model, dy, x, &ln, false) : b->e->code;
}

/* The output shares memory as the forward trace does: one block for resid_post and the next
 * resid_pre, unless an edit parts them. */
static int allocate_out(struct back *b)
{
    struct trace *t = b->out;
    const struct config *cfg = b->cfg;
    const struct batch *batch = &b->t->batch;
    size_t slots = (size_t)SITE_COUNT * (size_t)cfg->n_layer;
    t->cfg = cfg;
    t->rows = b->rows;
    int32_t *tokens = arena_array(&t->arena, (size_t)b->rows, sizeof *tokens, b->e);
    int64_t *offset = arena_array(&t->arena, (size_t)batch->n + 1, sizeof *offset, b->e);
    t->site = arena_zalloc(&t->arena, slots * sizeof *t->site, b->e);
    t->square = arena_zalloc(&t->arena, slots * sizeof *t->square, b->e);
    if (!tokens || !offset || !t->site || !t->square)
        return ERR_LIMIT;
    memcpy(tokens, batch->tokens, (size_t)b->rows * sizeof *tokens);
    memcpy(offset, batch->offset, ((size_t)batch->n + 1) * sizeof *offset);
    t->batch = (struct batch){tokens, offset, batch->n};
    for (int s = SITE_COUNT - 1; s >= 0; s--)
        for (int l = 0; l < (site_info((enum site)s)->per_layer ? cfg->n_layer : 1); l++) {
            size_t at = slot(cfg, (enum site)s, l);
            if (!back_wants(b, (enum site)s, l))
                continue;
            if (site_is_square((enum site)s)) {
                t->square[at] = arena_array(&t->arena, (size_t)batch->n, sizeof(float *), b->e);
                for (int i = 0; t->square[at] && i < batch->n; i++) {
                    size_t n = (size_t)trace_len(b->t, i);
                    t->square[at][i] =
                        arena_array(&t->arena, (size_t)cfg->n_head * n * n, sizeof(float), b->e);
                    if (!t->square[at][i])
                        return ERR_LIMIT;
                }
                if (!t->square[at])
                    return ERR_LIMIT;
                continue;
            }
            if (s == SITE_RESID_PRE && l > 0 && !back_touched(b, SITE_RESID_PRE, l))
                t->site[at] = t->site[slot(cfg, SITE_RESID_POST, l - 1)];
            if (!t->site[at])
                t->site[at] = arena_array(&t->arena,
                    (size_t)(b->rows * site_width((enum site)s, cfg)), sizeof(float), b->e);
            if (!t->site[at])
                return ERR_LIMIT;
        }
    return 0;
}

/* Edits as their own gradients: a replaced cell passes nothing, a scaled one is scaled, an added
 * constant changes nothing. The cells are found by the code that edits the forward pass. */
static int make_gates(struct back *b)
{
    const struct edits *from = b->o->edits;
    size_t slots = (size_t)SITE_COUNT * (size_t)b->cfg->n_layer;
    b->touched = arena_zalloc(&b->scratch, slots, b->e);
    if (!b->touched)
        return ERR_LIMIT;
    if (!from || !from->n)
        return 0;
    edits_mark(b->touched, from, b->cfg->n_layer);
    struct edit *list = back_scratch(b, from->n, sizeof *list);
    if (!list)
        return ERR_LIMIT;
    for (int i = 0; i < from->n; i++) {
        struct edit *ed = &list[b->gates.n];
        *ed = from->list[i];
        if (ed->is_off || ed->op == EDIT_ADD)
            continue;
        if (ed->op != EDIT_SCALE)
            ed->op = EDIT_ZERO;
        ed->data = NULL;
        ed->n_data = 0;
        b->gates.n++;
    }
    b->gates.list = list;
    return 0;
}

static int progress(const struct back *b, int done)
{
    if (b->o->progress && b->o->progress(b->o->progress_arg, done, b->cfg->n_layer + 1))
        return err_set(b->e, ERR_CANCEL, "interrupted");
    return 0;
}

static int run(struct back *b, double *value)
{
    const struct config *cfg = b->cfg;
    int64_t C = cfg->d_model;
    if (metric_check(b->m, &b->t->batch, cfg, b->e))
        return b->e->code;
    if (make_gates(b) || allocate_out(b))
        return b->e->code;
    b->dx = back_scratch(b, b->rows * C, sizeof(float));
    b->norm = back_scratch(b, b->rows * C, sizeof(float));
    b->big = back_scratch(b, b->rows * cfg->d_mlp, sizeof(float));
    b->dqkv = back_scratch(b, b->rows * 3 * C, sizeof(float));
    b->post = b->o->params ? back_scratch(b, b->rows * cfg->d_mlp, sizeof(float)) : NULL;
    if (!b->dx || !b->norm || !b->big || !b->dqkv || (b->o->params && !b->post))
        return ERR_LIMIT;
    if (final_norm(b, value))
        return b->e->code;
    for (int l = cfg->n_layer - 1; l >= 0; l--) {
        if (progress(b, cfg->n_layer - 1 - l))
            return b->e->code;
        if (back_emit(b, SITE_RESID_POST, l, b->dx) || mlp(b, l) ||
            back_emit(b, SITE_RESID_MID, l, b->dx) || back_attention(b, l) ||
            back_emit(b, SITE_RESID_PRE, l, b->dx))
            return b->e->code;
        arena_rewind(&b->temp, (struct arena_mark){0});
    }
    if (progress(b, cfg->n_layer) || embeddings(b))
        return b->e->code;
    return progress(b, cfg->n_layer + 1);
}

void backward_plan(struct plan *forward_plan, const struct config *cfg)
{
    static const enum site needed[] = {SITE_RESID_PRE, SITE_LN1_SCALE, SITE_Q, SITE_K, SITE_V,
        SITE_Z, SITE_RESID_MID, SITE_LN2_SCALE, SITE_MLP_PRE, SITE_LNF_SCALE};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        plan_keep(forward_plan, needed[i], -1);
    plan_keep(forward_plan, SITE_RESID_POST, cfg->n_layer - 1);
}

int backward(struct trace *out, double *value, const struct params *p, const struct trace *t,
    const struct metric *m, const struct backward_opts *o, struct err *e)
{
    struct err local = {0};
    *out = (struct trace){.cfg = &p->cfg};
    struct back b = {.p = p,
        .cfg = &p->cfg,
        .t = t,
        .o = o,
        .m = m,
        .out = out,
        .rows = t->rows,
        .e = e ? e : &local};
    struct budget own = {.limit = o->max_bytes};
    b.e->code = 0;
    out->arena.budget = b.scratch.budget = b.temp.budget = o->budget ? o->budget : &own;
    b.is_frozen = o->frozen_ln || o->frozen;
    int rc = run(&b, value);
    arena_release(&b.scratch);
    arena_release(&b.temp);
    if (rc)
        trace_release(out);
    else if (!o->budget)
        arena_leave(&out->arena);
    return rc;
}
