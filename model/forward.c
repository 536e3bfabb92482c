#include "model/forward.h"

#include <stdio.h>
#include <string.h>

#include "model/core/text.h"
#include "model/pass.h"

#define RESERVE_FROM (4u << 20) /* bytes; smaller runs take what they need piece by piece */

static size_t slot(const struct pass *f, enum site s, int layer)
{
    return (size_t)s * (size_t)f->cfg->n_layer + (size_t)(site_info(s)->per_layer ? layer : 0);
}

bool pass_keeps(const struct pass *f, enum site s, int layer)
{
    return plan_keeps(f->plan, s, layer);
}

bool pass_touched(const struct pass *f, enum site s, int layer)
{
    return f->touched[slot(f, s, layer)];
}

void *pass_scratch(struct pass *f, int64_t count, size_t size)
{
    return arena_array(&f->scratch, (size_t)count, size, f->e);
}

float *pass_place(struct pass *f, enum site s, int layer)
{
    float *kept = f->t->site[slot(f, s, layer)];
    if (kept)
        return kept;
    if (!f->scratch_site[s])
        f->scratch_site[s] = pass_scratch(f, f->rows * site_width(s, f->cfg), sizeof(float));
    return f->scratch_site[s];
}

static int run_hooks(
    struct pass *f, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    for (int i = 0; i < f->o->n_hooks; i++) {
        const struct hook *h = &f->o->hooks[i];
        if (h->site != s || (h->layer >= 0 && layer >= 0 && h->layer != layer))
            continue;
        int rc = h->fn(h->arg, s, layer, input, data, rows, width);
        if (rc == ERR_CANCEL)
            return err_set(f->e, rc, "interrupted");
        if (rc)
            return f->e->code ? f->e->code : err_set(f->e, rc, "a hook refused");
    }
    return 0;
}

int pass_done(struct pass *f, enum site s, int layer, float *data)
{
    if (!pass_touched(f, s, layer))
        return 0;
    const struct batch *b = &f->t->batch;
    int64_t width = site_width(s, f->cfg);
    for (int i = 0; i < b->n; i++) {
        float *rows = data + b->offset[i] * width;
        int64_t n = b->offset[i + 1] - b->offset[i];
        if (f->o->edits && edits_apply(f->o->edits, s, layer, rows, n, f->past, f->cfg, f->e))
            return f->e->code;
        int rc = run_hooks(f, s, layer, i, rows, n, width);
        if (rc)
            return rc;
    }
    return 0;
}

int pass_done_square(struct pass *f, enum site s, int layer, int input, float *data)
{
    int64_t n = trace_len(f->t, input);
    if (f->o->edits &&
        edits_apply_square(f->o->edits, s, layer, data, n, f->past + n, f->cfg, f->e))
        return f->e->code;
    return run_hooks(f, s, layer, input, data, f->cfg->n_head * n, f->past + n);
}

/* resid_post of layer l, which is also resid_pre of layer l + 1. */
static float *place_post(struct pass *f, int l)
{
    bool own = pass_keeps(f, SITE_RESID_POST, l) || l + 1 == f->cfg->n_layer;
    return own ? pass_place(f, SITE_RESID_POST, l) : pass_place(f, SITE_RESID_PRE, l + 1);
}

/* Whether resid_pre of a layer lives in the memory of the previous resid_post. */
static bool shares_post(const struct pass *f, int l)
{
    return l > 0 && pass_keeps(f, SITE_RESID_POST, l - 1) && !pass_touched(f, SITE_RESID_PRE, l);
}

static int allocate_kept(struct pass *f)
{
    struct trace *t = f->t;
    const struct config *cfg = f->cfg;
    size_t slots = (size_t)SITE_COUNT * (size_t)cfg->n_layer;
    t->site = arena_zalloc(&t->arena, slots * sizeof *t->site, f->e);
    t->square = arena_zalloc(&t->arena, slots * sizeof *t->square, f->e);
    if (!t->site || !t->square)
        return ERR_LIMIT;
    for (int s = 0; s < SITE_COUNT; s++)
        for (int l = 0; l < (site_info((enum site)s)->per_layer ? cfg->n_layer : 1); l++) {
            size_t at = slot(f, (enum site)s, l);
            if (!pass_keeps(f, (enum site)s, l) || (s == SITE_RESID_PRE && shares_post(f, l)))
                continue;
            if (!site_is_square((enum site)s)) {
                t->site[at] = arena_array(&t->arena,
                    (size_t)(f->rows * site_width((enum site)s, cfg)), sizeof(float), f->e);
                if (!t->site[at])
                    return ERR_LIMIT;
                continue;
            }
            t->square[at] = arena_array(&t->arena, (size_t)t->batch.n, sizeof(float *), f->e);
            if (!t->square[at])
                return ERR_LIMIT;
            for (int i = 0; i < t->batch.n; i++) {
                int64_t n = trace_len(t, i);
                t->square[at][i] = arena_array(
                    &t->arena, (size_t)(cfg->n_head * n * (f->past + n)), sizeof(float), f->e);
                if (!t->square[at][i])
                    return ERR_LIMIT;
            }
        }
    return 0;
}

static int check_batch(const struct params *p, const struct batch *b, int64_t past, struct err *e)
{
    for (int i = 0; i < b->n; i++) {
        int64_t n = b->offset[i + 1] - b->offset[i];
        if (n < 1)
            return err_set(e, ERR_USAGE, "input %d has no tokens", i);
        if (past + n > p->cfg.n_ctx)
            return err_set(e, ERR_USAGE, "input %d has %lld tokens, the model's context is %d", i,
                (long long)(past + n), p->cfg.n_ctx);
        for (int64_t t = b->offset[i]; t < b->offset[i + 1]; t++)
            if (b->tokens[t] < 0 || b->tokens[t] >= p->cfg.vocab)
                return err_set(e, ERR_USAGE,
                    "input %d: token id %d at position %lld is outside the vocabulary 0..%lld", i,
                    b->tokens[t], (long long)(t - b->offset[i]), (long long)p->cfg.vocab - 1);
    }
    return 0;
}

static int copy_batch(struct trace *t, const struct batch *b, struct err *e)
{
    int32_t *tokens = arena_array(&t->arena, (size_t)b->offset[b->n], sizeof *tokens, e);
    int64_t *offset = arena_array(&t->arena, (size_t)b->n + 1, sizeof *offset, e);
    if (!tokens || !offset)
        return ERR_LIMIT;
    memcpy(tokens, b->tokens, (size_t)b->offset[b->n] * sizeof *tokens);
    memcpy(offset, b->offset, ((size_t)b->n + 1) * sizeof *offset);
    t->batch = (struct batch){tokens, offset, b->n};
    t->rows = offset[b->n];
    return 0;
}

struct embedding {
    const struct pass *f;
    float *embed, *pos;
    int rc;
};

static void embed_row(void *arg, int64_t row, int worker)
{
    (void)worker;
    struct embedding *x = arg;
    int64_t C = x->f->cfg->d_model;
    const struct batch *b = &x->f->t->batch;
    int i = 0;
    while (b->offset[i + 1] <= row)
        i++;
    struct err e = {0};
    int rc = params_embed(x->embed + row * C, x->f->p, b->tokens[row], &e);
    if (rc && !__atomic_exchange_n(&x->rc, rc, __ATOMIC_RELAXED))
        *x->f->e = e;
    int64_t pos = x->f->past + row - b->offset[i];
    memcpy(x->pos + row * C, x->f->p->wpe + pos * C, (size_t)C * sizeof(float));
}

/* resid_pre of layer 0 [rows, C] = wte[token] + wpe[position] */
static int embed(struct pass *f, float *x)
{
    int64_t n = f->rows * f->cfg->d_model;
    struct embedding em = {f, pass_place(f, SITE_EMBED, -1), pass_place(f, SITE_POS_EMBED, -1), 0};
    if (!em.embed || !em.pos)
        return ERR_LIMIT;
    pool_for(f->o->pool, f->rows, embed_row, &em);
    if (em.rc)
        return em.rc;
    if (pass_done(f, SITE_EMBED, -1, em.embed) || pass_done(f, SITE_POS_EMBED, -1, em.pos))
        return f->e->code;
    for (int64_t i = 0; i < n; i++)
        x[i] = em.embed[i] + em.pos[i];
    return 0;
}

/* y = LN(x), its scale and its normalised form as sites. A scale that is edited, or taken from
 * another run, divides as it stands. */
static int layer_norm(struct pass *f, enum site scale_site, enum site norm_site, int layer,
    const float *gamma, const float *beta, const float *x, float **out)
{
    int64_t C = f->cfg->d_model;
    struct ln ln = {f->cfg->ln, f->cfg->ln_eps, gamma, beta, false};
    float *scale = pass_place(f, scale_site, layer), *y = pass_place(f, norm_site, layer);
    if (!scale || !y)
        return ERR_LIMIT;
    const struct trace *frozen = f->o->frozen;
    if (frozen) {
        const float *from = frozen->site[slot(f, scale_site, layer)];
        if (!from || frozen->rows != f->rows)
            return err_set(f->e, ERR_USAGE, "frozen LN needs the scales of the same batch");
        memcpy(scale, from, (size_t)f->rows * sizeof *scale);
        ln.frozen = true;
    }
    bool is_touched = pass_touched(f, scale_site, layer);
    ops_ln(y, C, scale, x, C, f->rows, C, &ln, f->o->pool);
    if (is_touched) {
        if (pass_done(f, scale_site, layer, scale))
            return f->e->code;
        ln.frozen = true;
        ops_ln(y, C, scale, x, C, f->rows, C, &ln, f->o->pool);
    }
    *out = y;
    return pass_done(f, norm_site, layer, y);
}

/* C = act(A W + b) (+ resid). Values of the product alone are formed only where somebody looks at
 * them; the sums are the same bits either way. */
static int product(
    struct pass *f, float *c, const float *a, enum matrix m, int layer, const struct epilogue *ep)
{
    const struct panel *w = params_panel(f->p, m, layer, f->e);
    if (!w)
        return f->e->code;
    ops_gemm(c, w->n, a, w->k, f->rows, w, 0, w->n, ep, f->o->pool);
    return 0;
}

static void add_rows(float *out, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

/* resid_post = resid_mid + MLP(LN2(mlp_in)) */
static int mlp(struct pass *f, int l, const float *mid, float *post)
{
    const struct layer_vectors *v = &f->p->layer[l];
    const struct config *cfg = f->cfg;
    int64_t n = f->rows * cfg->d_model, F = cfg->d_mlp;
    const float *in = mid;
    if (pass_keeps(f, SITE_MLP_IN, l) || pass_touched(f, SITE_MLP_IN, l)) {
        float *own = pass_place(f, SITE_MLP_IN, l);
        if (!own)
            return ERR_LIMIT;
        memcpy(own, mid, (size_t)n * sizeof *own);
        if (pass_done(f, SITE_MLP_IN, l, own))
            return f->e->code;
        in = own;
    }
    float *y, *act = pass_place(f, SITE_MLP_POST, l);
    if (!act)
        return ERR_LIMIT;
    if (layer_norm(f, SITE_LN2_SCALE, SITE_LN2_NORM, l, v->ln2_g, v->ln2_b, in, &y))
        return f->e->code;
    struct epilogue ep = {.bias = v->b_in, .use_act = true, .act = cfg->act};
    bool pre_touched = pass_touched(f, SITE_MLP_PRE, l);
    if (pre_touched || pass_keeps(f, SITE_MLP_PRE, l)) {
        ep.pre = pass_place(f, SITE_MLP_PRE, l);
        ep.ld_pre = F;
        if (!ep.pre)
            return ERR_LIMIT;
    }
    if (product(f, act, y, MAT_IN, l, &ep))
        return f->e->code;
    if (pre_touched) {
        if (pass_done(f, SITE_MLP_PRE, l, ep.pre))
            return f->e->code;
        ops_act(act, ep.pre, f->rows * F, cfg->act, f->o->pool);
    }
    if (pass_done(f, SITE_MLP_POST, l, act))
        return f->e->code;
    /* The product alone is formed beside resid_post where somebody looks at it: the same sums. */
    struct epilogue out = {.bias = v->b_out, .add = mid, .ld_add = cfg->d_model};
    bool is_touched = pass_touched(f, SITE_MLP_OUT, l);
    if (is_touched || pass_keeps(f, SITE_MLP_OUT, l)) {
        out.pre = pass_place(f, SITE_MLP_OUT, l);
        out.ld_pre = cfg->d_model;
        if (!out.pre)
            return ERR_LIMIT;
    }
    if (product(f, post, act, MAT_OUT, l, &out))
        return f->e->code;
    if (!is_touched)
        return 0;
    if (pass_done(f, SITE_MLP_OUT, l, out.pre))
        return f->e->code;
    add_rows(post, out.pre, mid, n);
    return 0;
}

static int attention_half(struct pass *f, int l, const float *pre, float *mid)
{
    const struct layer_vectors *v = &f->p->layer[l];
    float *y;
    if (layer_norm(f, SITE_LN1_SCALE, SITE_LN1_NORM, l, v->ln1_g, v->ln1_b, pre, &y))
        return f->e->code;
    return pass_attention(f, l, y, pre, mid);
}

static int block(struct pass *f, int l, float **resid)
{
    float *pre = *resid;
    if (pass_done(f, SITE_RESID_PRE, l, pre))
        return f->e->code;
    float *mid = pass_place(f, SITE_RESID_MID, l), *post = place_post(f, l);
    if (!mid || !post)
        return ERR_LIMIT;
    if (attention_half(f, l, pre, mid) || pass_done(f, SITE_RESID_MID, l, mid))
        return f->e->code;
    if (mlp(f, l, mid, post) || pass_done(f, SITE_RESID_POST, l, post))
        return f->e->code;
    *resid = post;
    if (l + 1 == f->cfg->n_layer)
        return 0;
    if (shares_post(f, l + 1)) {
        if (pass_keeps(f, SITE_RESID_PRE, l + 1))
            f->t->site[slot(f, SITE_RESID_PRE, l + 1)] = post;
    } else if (pass_place(f, SITE_RESID_PRE, l + 1) != post) {
        *resid = pass_place(f, SITE_RESID_PRE, l + 1);
        memcpy(*resid, post, (size_t)(f->rows * f->cfg->d_model) * sizeof *post);
    }
    return 0;
}

/* ln_final and the unembedding, for every row or for the last of each input. */
static int unembed(struct pass *f, const float *resid)
{
    struct trace *t = f->t;
    const struct params *p = f->p;
    int64_t C = f->cfg->d_model, V = f->cfg->vocab;
    enum logits_want want = f->plan ? f->plan->logits : LOGITS_LAST;
    float *y;
    if (layer_norm(f, SITE_LNF_SCALE, SITE_LNF_NORM, -1, p->lnf_g, p->lnf_b, resid, &y))
        return f->e->code;
    if (want == LOGITS_NONE)
        return 0;
    const struct panel *w = params_panel(p, MAT_UNEMBED, 0, f->e);
    int64_t m = want == LOGITS_ALL ? f->rows : t->batch.n;
    t->logits = w ? arena_array(&t->arena, (size_t)m * (size_t)V, sizeof(float), f->e) : NULL;
    if (!t->logits)
        return f->e->code;
    if (want == LOGITS_LAST) {
        float *last = pass_scratch(f, m * C, sizeof(float));
        if (!last)
            return ERR_LIMIT;
        for (int i = 0; i < t->batch.n; i++)
            memcpy(last + i * C, y + (t->batch.offset[i + 1] - 1) * C, (size_t)C * sizeof *last);
        y = last;
    }
    struct epilogue ep = {0};
    ops_gemm(t->logits, V, y, C, m, w, 0, V, &ep, f->o->pool);
    t->logits_kept = want;
    return 0;
}

static int progress(const struct pass *f, int done)
{
    if (f->o->progress && f->o->progress(f->o->progress_arg, done, f->cfg->n_layer + 1))
        return err_set(f->e, ERR_CANCEL, "interrupted");
    return 0;
}

void pass_mark_touched(struct pass *f)
{
    if (f->o->edits)
        edits_mark(f->touched, f->o->edits, f->cfg->n_layer);
    for (int i = 0; i < f->o->n_hooks; i++) {
        const struct hook *h = &f->o->hooks[i];
        bool every = h->layer < 0 && site_info(h->site)->per_layer;
        for (int l = every ? 0 : h->layer; l < (every ? f->cfg->n_layer : h->layer + 1); l++)
            f->touched[slot(f, h->site, l)] = 1;
    }
}

/* Everything kept and the scratch in a piece each: whole huge pages, used again by the next run. What
 * does not fit is refused before anything is computed. */
static int reserve(struct pass *f, const struct batch *b)
{
    struct estimate est = pass_estimate(f, b);
    struct budget *budget = f->scratch.budget;
    size_t left = budget_left(budget);
    /* What is taken already is part of the estimate. */
    left = left > SIZE_MAX - f->scratch.used ? left : left + f->scratch.used;
    if (est.keep_bytes > left || est.scratch_bytes > left - est.keep_bytes)
        return err_set(f->e, ERR_LIMIT,
            "a pass over %lld token%s needs %.4g MB for what it keeps and %.4g MB beside it, %.4g "
            "MB "
            "are left of the limit; raise --max-mem, or run fewer tokens or analyses at once",
            (long long)f->rows, text_s(f->rows), (double)est.keep_bytes / 1e6,
            (double)est.scratch_bytes / 1e6, (double)left / 1e6);
    if (est.keep_bytes > RESERVE_FROM && arena_reserve(&f->t->arena, est.keep_bytes, f->e))
        return ERR_LIMIT;
    if (est.scratch_bytes > RESERVE_FROM && arena_reserve(&f->scratch, est.scratch_bytes, f->e))
        return ERR_LIMIT;
    return 0;
}

static int run(struct pass *f, const struct batch *b)
{
    const struct kv_cache *kv = f->o->kv;
    f->past = kv ? kv->len : 0;
    if (check_batch(f->p, b, f->past, f->e))
        return f->e->code;
    if (kv && (b->n != 1 || kv->len + b->offset[1] > kv->capacity))
        return err_set(f->e, ERR_USAGE, "the key-value cache holds one input of %lld positions",
            (long long)kv->capacity);
    if (f->o->edits && edits_check(f->o->edits, b, kv || f->o->is_part, f->e))
        return f->e->code;
    f->rows = b->offset[b->n];
    f->touched = arena_zalloc(&f->scratch, (size_t)SITE_COUNT * (size_t)f->cfg->n_layer, f->e);
    if (!f->touched)
        return ERR_LIMIT;
    pass_mark_touched(f);
    if (reserve(f, b) || copy_batch(f->t, b, f->e) || allocate_kept(f))
        return f->e->code;
    float *resid = pass_place(f, SITE_RESID_PRE, 0);
    if (!resid)
        return ERR_LIMIT;
    if (embed(f, resid))
        return f->e->code;
    for (int l = 0; l < f->cfg->n_layer; l++)
        if (progress(f, l) || block(f, l, &resid))
            return f->e->code;
    if (progress(f, f->cfg->n_layer) || unembed(f, resid))
        return f->e->code;
    int rc = progress(f, f->cfg->n_layer + 1);
    if (!rc && kv)
        f->o->kv->len += f->rows; /* a cancelled step leaves the cache as it was */
    return rc;
}

int forward(struct trace *out, const struct params *p, const struct batch *b,
    const struct forward_opts *o, struct err *e)
{
    struct err local = {0};
    *out = (struct trace){.cfg = &p->cfg};
    struct pass f = {
        .p = p, .cfg = &p->cfg, .o = o, .plan = o->plan, .t = out, .e = e ? e : &local};
    struct budget own = {.limit = o->max_bytes};
    f.e->code = 0;
    out->arena.budget = f.scratch.budget = o->budget ? o->budget : &own;
    int rc = run(&f, b);
    out->scratch_peak = f.scratch.peak;
    arena_release(&f.scratch);
    if (rc)
        trace_release(out);
    else if (!o->budget)
        arena_leave(&out->arena);
    return rc;
}

int kv_cache_init(struct kv_cache *c, const struct config *cfg, int64_t capacity,
    struct arena *arena, struct err *e)
{
    *c = (struct kv_cache){.capacity = capacity};
    c->k = arena_array(arena, (size_t)cfg->n_layer, sizeof *c->k, e);
    c->v = arena_array(arena, (size_t)cfg->n_layer, sizeof *c->v, e);
    if (!c->k || !c->v)
        return ERR_LIMIT;
    size_t count = (size_t)capacity * (size_t)cfg->d_model;
    for (int l = 0; l < cfg->n_layer; l++) {
        c->k[l] = arena_array(arena, count, sizeof(float), e);
        c->v[l] = arena_array(arena, count, sizeof(float), e);
        if (!c->k[l] || !c->v[l])
            return ERR_LIMIT;
    }
    return 0;
}
