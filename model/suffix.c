#include "model/suffix.h"

#include <string.h>

#include "model/pass.h"

#define PAD 16 /* floats: rows of d_mlp values 4 kB apart would share cache sets */

#define SLACK ((uint64_t)1 << 16) /* alignment of the pieces */

struct march {
    struct suffixes *s;
    const struct config *cfg;
    const struct suffix_opts *o;
    struct arena scratch;
    float *y, *act, *pos; /* [rows, C], [rows, ld], [rows, C] */
    float *resid;         /* [rows, C]: x + what is above, of the rows that go on */
    struct err *e;
};

int64_t suffix_upper(const struct suffixes *s, int layer)
{
    return layer + 1 == s->p->cfg.n_layer ? s->n : s->rows;
}

void suffix_last_rows(float *out, const struct suffixes *s, const float *rows, int64_t ld)
{
    const int64_t C = s->p->cfg.d_model;
    for (int i = 0; i < s->n; i++)
        memcpy(out + i * C, rows + (s->offset[i + 1] - 1) * ld, (size_t)C * sizeof *out);
}

uint64_t suffix_row_bytes(const struct config *cfg, bool keep_outputs)
{
    const uint64_t C = (uint64_t)cfg->d_model, F = (uint64_t)cfg->d_mlp + PAD;
    return ((5 + 2 * (uint64_t)keep_outputs) * C + F + 2) * (uint64_t)cfg->n_layer * sizeof(float);
}

/* ---- Memory ---- */

static float *floats(struct arena *a, int64_t n, struct err *e)
{
    return arena_array(a, (size_t)n, sizeof(float), e);
}

void suffix_settle(struct arena *a, uint64_t row_bytes, int64_t rows)
{
    const size_t bytes = rows > 0 ? (size_t)rows * row_bytes : 0;
    struct err ignored = {0};
    char *p = bytes ? arena_alloc(a, bytes, &ignored) : NULL;
    for (size_t i = 0; p && i < bytes; i += 4096)
        p[i] = 0;
}

static int allocate(struct march *m)
{
    struct suffixes *s = m->s;
    struct arena *a = &s->arena;
    const int64_t C = m->cfg->d_model, R = s->rows, L = m->cfg->n_layer;
    s->ld = m->cfg->d_mlp + PAD;
    /* One size for every batch of a caller: the next one takes the same memory. */
    const int64_t most = R > m->o->rows_most ? R : m->o->rows_most;
    const uint64_t kept =
        (uint64_t)most * (suffix_row_bytes(m->cfg, m->o->keep_outputs) + 2 * (uint64_t)C * 4);
    const uint64_t scratch = (uint64_t)most * (uint64_t)(8 * C + s->ld) * sizeof(float);
    if (arena_reserve(a, kept + SLACK, m->e) || arena_reserve(&m->scratch, scratch + SLACK, m->e))
        return ERR_LIMIT;
    s->layer = arena_zalloc(a, (size_t)L * sizeof *s->layer, m->e);
    s->embed = floats(a, R * C, m->e);
    s->last = floats(a, s->n * C, m->e);
    s->s = floats(a, s->n, m->e);
    m->y = floats(&m->scratch, R * C, m->e);
    m->act = floats(&m->scratch, R * s->ld, m->e);
    m->resid = floats(&m->scratch, s->n * C, m->e);
    float *z = m->o->keep_outputs ? NULL : floats(&m->scratch, R * C, m->e);
    if (!s->layer || !s->embed || !s->last || !s->s || !m->y || !m->act || !m->resid)
        return ERR_LIMIT;
    for (int l = 0; l < L; l++) {
        struct suffix_layer *y = &s->layer[l];
        const int64_t upper = suffix_upper(s, l);
        y->x = floats(a, R * C, m->e);
        y->s1 = floats(a, R, m->e);
        y->qkv = floats(a, R * 3 * C, m->e);
        y->mid = floats(a, upper * C, m->e);
        y->s2 = floats(a, upper, m->e);
        y->pre = floats(a, upper * s->ld, m->e);
        y->z = m->o->keep_outputs ? floats(a, upper * C, m->e) : z;
        y->out = m->o->keep_outputs ? floats(a, upper * C, m->e) : NULL;
        if (!y->x || !y->s1 || !y->qkv || !y->mid || !y->s2 || !y->pre || !y->z ||
            (m->o->keep_outputs && !y->out))
            return ERR_LIMIT;
    }
    const int64_t more = m->o->rows_taken < most ? m->o->rows_taken - R : most - R;
    struct arena_mark mark = arena_mark(&m->scratch);
    suffix_settle(a, kept / (uint64_t)most, more);
    suffix_settle(&m->scratch, scratch / (uint64_t)most, more);
    arena_rewind(&m->scratch, mark);
    return 0;
}

static int lay_out(struct suffixes *s)
{
    s->offset = arena_array(&s->arena, (size_t)s->n + 1, sizeof *s->offset, s->e);
    if (!s->offset)
        return ERR_LIMIT;
    s->offset[0] = 0;
    for (int i = 0; i < s->n; i++)
        s->offset[i + 1] = s->offset[i] + s->run[i].end - s->run[i].first;
    s->rows = s->offset[s->n];
    return 0;
}

/* ---- Layers ---- */

static int embed(struct march *m)
{
    struct suffixes *s = m->s;
    const int64_t C = m->cfg->d_model;
    float *x = s->layer[0].x;
    for (int i = 0; i < s->n; i++) {
        const struct suffix *run = &s->run[i];
        float *rows = s->embed + s->offset[i] * C;
        for (int64_t t = run->first; t < run->end; t++)
            if (params_embed(rows + (t - run->first) * C, s->p, run->tokens[t], m->e))
                return m->e->code;
        if (m->o->fill && m->o->site == SITE_EMBED)
            m->o->fill(m->o->arg, i, rows);
        const float *pos = s->p->wpe + run->first * C;
        for (int64_t k = 0; k < (run->end - run->first) * C; k++)
            x[s->offset[i] * C + k] = rows[k] + pos[k];
    }
    return 0;
}

/* Keys and values of whole texts, rows 3C apart: those before a run's first are its base's. */
struct gather {
    const struct suffixes *s;
    const float **k; /* [n], where they go */
    int layer;
};

static void gather_text(void *arg, int64_t i, int worker)
{
    (void)worker;
    const struct gather *g = arg;
    const struct suffixes *s = g->s, *base = s->base ? s->base : s;
    const struct suffix *run = &s->run[i];
    const int64_t C = s->p->cfg.d_model, width = 3 * C;
    const float *own = s->layer[g->layer].qkv + s->offset[i] * width + C;
    const float *shared =
        run->first ? base->layer[g->layer].qkv + base->offset[run->base] * width + C : NULL;
    float *out = (float *)g->k[i];
    for (int64_t t = 0; t < run->end; t++)
        memcpy(out + t * width,
            t < run->first ? shared + t * width : own + (t - run->first) * width,
            2 * (size_t)C * sizeof *out);
}

int suffix_attend(struct suffix_attention *out, const struct suffixes *s, int layer,
    struct pool *pool, struct arena *scratch, struct err *e)
{
    const struct config *cfg = &s->p->cfg;
    const int64_t C = cfg->d_model;
    const bool last = layer + 1 == cfg->n_layer;
    float *qkv = s->layer[layer].qkv;
    bool shares = false;
    int64_t texts = 0;
    for (int i = 0; i < s->n; i++) {
        shares = shares || s->run[i].first;
        texts += s->run[i].end;
    }
    int64_t *offset = arena_array(scratch, (size_t)s->n + 1, sizeof *offset, e);
    int64_t *past = arena_array(scratch, (size_t)s->n, sizeof *past, e);
    int64_t *skip = arena_array(scratch, (size_t)s->n, sizeof *skip, e);
    const float **k = arena_array(scratch, 2 * (size_t)s->n, sizeof *k, e);
    float *wide = shares ? floats(scratch, texts * 3 * C, e) : NULL;
    float *q = last ? floats(scratch, s->n * C, e) : qkv;
    if (!offset || !past || !skip || !k || !q || (shares && !wide))
        return ERR_LIMIT;
    int64_t at = 0;
    for (int i = 0; i < s->n; i++) {
        const struct suffix *run = &s->run[i];
        const float *text = wide ? wide + at * 3 * C : qkv + s->offset[i] * 3 * C;
        at += run->end;
        k[i] = text + C;
        k[s->n + i] = text + 2 * C;
        offset[i] = last ? i : s->offset[i];
        past[i] = last ? run->end - 1 : run->first;
        skip[i] = run->first;
    }
    offset[s->n] = last ? s->n : s->rows;
    if (wide)
        pool_for(pool, s->n, gather_text, &(struct gather){s, k, layer});
    if (last)
        suffix_last_rows(q, s, qkv, 3 * C);
    *out = (struct suffix_attention){.a = {.heads = cfg->n_head,
                                         .d_head = cfg->d_head,
                                         .scale = pass_attn_scale(cfg, layer),
                                         .n_seq = s->n,
                                         .offset = offset,
                                         .past = past,
                                         .q = q,
                                         .k = k,
                                         .v = k + s->n,
                                         .ldq = last ? C : 3 * C,
                                         .ldk = 3 * C,
                                         .ldv = 3 * C,
                                         .ldz = C},
        .skip = skip};
    return 0;
}

/* What a run takes from its twin below the replaced site. */
static void borrow(float *out, const struct march *m, const float *from, int64_t width, bool last)
{
    const struct suffixes *s = m->s;
    for (int i = 0; i < s->n; i++) {
        const int twin = s->run[i].twin;
        if (last)
            memcpy(out + i * width, from + twin * width, (size_t)width * sizeof *out);
        else
            memcpy(out + s->offset[i] * width, from + m->o->below->offset[twin] * width,
                (size_t)((s->offset[i + 1] - s->offset[i]) * width) * sizeof *out);
    }
}

static void fill(struct march *m, float *rows, bool last)
{
    const struct suffixes *s = m->s;
    const int64_t C = m->cfg->d_model;
    for (int i = 0; i < s->n; i++) {
        if (!last) {
            m->o->fill(m->o->arg, i, rows + s->offset[i] * C);
            continue;
        }
        m->o->fill(m->o->arg, i, m->y);
        memcpy(rows + i * C, m->y + (s->run[i].end - s->run[i].first - 1) * C,
            (size_t)C * sizeof *rows);
    }
}

static int project(struct march *m, int l)
{
    struct suffixes *s = m->s;
    struct suffix_layer *y = &s->layer[l];
    const struct layer_vectors *v = &s->p->layer[l];
    const int64_t C = m->cfg->d_model;
    const struct ln ln = {m->cfg->ln, m->cfg->ln_eps, v->ln1_g, v->ln1_b, false};
    const struct epilogue ep = {.bias = v->b_qkv};
    const struct panel *w = params_panel(s->p, MAT_QKV, l, m->e);
    struct suffix_attention at;
    if (!w)
        return m->e->code;
    ops_ln(m->y, C, y->s1, y->x, C, s->rows, C, &ln, m->o->pool);
    ops_gemm(y->qkv, 3 * C, m->y, C, s->rows, w, 0, 3 * C, &ep, m->o->pool);
    struct arena_mark mark = arena_mark(&m->scratch);
    if (suffix_attend(&at, s, l, m->o->pool, &m->scratch, m->e))
        return m->e->code;
    at.a.z = y->z;
    int rc = ops_attention(&at.a, m->o->pool, m->e);
    arena_rewind(&m->scratch, mark);
    return rc;
}

/* resid_mid = resid_pre + z W_O + b_O */
static int attention_out(struct march *m, int l)
{
    struct suffixes *s = m->s;
    struct suffix_layer *y = &s->layer[l];
    const int64_t C = m->cfg->d_model;
    const bool last = l + 1 == m->cfg->n_layer;
    const struct panel *w = params_panel(s->p, MAT_O, l, m->e);
    if (!w)
        return m->e->code;
    if (last)
        suffix_last_rows(m->resid, s, y->x, C);
    const struct epilogue ep = {
        .bias = s->p->layer[l].b_o, .add = last ? m->resid : y->x, .ld_add = C};
    ops_gemm(y->mid, C, y->z, C, suffix_upper(s, l), w, 0, C, &ep, m->o->pool);
    return 0;
}

static int mlp(struct march *m, int l)
{
    struct suffixes *s = m->s;
    struct suffix_layer *y = &s->layer[l];
    const struct layer_vectors *v = &s->p->layer[l];
    const int64_t C = m->cfg->d_model, F = m->cfg->d_mlp, R = suffix_upper(s, l);
    const struct ln ln = {m->cfg->ln, m->cfg->ln_eps, v->ln2_g, v->ln2_b, false};
    const struct panel *in = params_panel(s->p, MAT_IN, l, m->e);
    const struct panel *out = in ? params_panel(s->p, MAT_OUT, l, m->e) : NULL;
    if (!out)
        return m->e->code;
    ops_ln(m->y, C, y->s2, y->mid, C, R, C, &ln, m->o->pool);
    const struct epilogue up = {
        .bias = v->b_in, .use_act = true, .act = m->cfg->act, .pre = y->pre, .ld_pre = s->ld};
    ops_gemm(m->act, s->ld, m->y, C, R, in, 0, F, &up, m->o->pool);
    const struct epilogue down = {
        .bias = v->b_out, .add = y->mid, .ld_add = C, .pre = y->out, .ld_pre = C};
    float *post = l + 1 < m->cfg->n_layer ? y[1].x : s->last;
    ops_gemm(post, C, m->act, s->ld, R, out, 0, C, &down, m->o->pool);
    return 0;
}

/* Layers up to the replaced site: the twin's, up to z, or up to the MLP's output. */
static int below(struct march *m, int l)
{
    struct suffixes *s = m->s;
    const struct suffix_layer *b = &m->o->below->layer[l];
    struct suffix_layer *y = &s->layer[l];
    const int64_t C = m->cfg->d_model, R = suffix_upper(s, l);
    const bool last = l + 1 == m->cfg->n_layer, here = l == m->o->layer;
    borrow(y->x, m, b->x, C, false);
    borrow(y->s1, m, b->s1, 1, false);
    borrow(y->qkv, m, b->qkv, 3 * C, false);
    if (here && m->o->site == SITE_Z) {
        fill(m, y->z, last);
        return attention_out(m, l) || mlp(m, l) ? m->e->code : 0;
    }
    borrow(y->mid, m, b->mid, C, last);
    borrow(y->s2, m, b->s2, 1, last);
    borrow(y->pre, m, b->pre, s->ld, last);
    if (!here)
        return 0;
    float *post = last ? s->last : y[1].x;
    fill(m, post, last);
    for (int64_t i = 0; i < R * C; i++)
        post[i] += y->mid[i];
    return 0;
}

static int march(struct march *m)
{
    struct suffixes *s = m->s;
    const struct config *cfg = m->cfg;
    const bool starts_above = m->o->fill && m->o->site != SITE_EMBED;
    if (lay_out(s) || allocate(m) || (!starts_above && embed(m)))
        return m->e->code;
    for (int l = 0; l < cfg->n_layer; l++) {
        if (m->o->progress && m->o->progress(m->o->progress_arg, l, cfg->n_layer))
            return err_set(m->e, ERR_CANCEL, "interrupted");
        if (starts_above && l <= m->o->layer ? below(m, l)
                                             : project(m, l) || attention_out(m, l) || mlp(m, l))
            return m->e->code;
    }
    const struct ln ln = {cfg->ln, cfg->ln_eps, s->p->lnf_g, s->p->lnf_b, false};
    ops_ln(m->y, cfg->d_model, s->s, s->last, cfg->d_model, s->n, cfg->d_model, &ln, m->o->pool);
    return 0;
}

int suffix_forward(struct suffixes *out, const struct params *p, const struct suffix *run, int n,
    const struct suffix_opts *o, struct err *e)
{
    struct march m = {.s = out, .cfg = &p->cfg, .o = o, .e = e};
    *out = (struct suffixes){.p = p,
        .run = run,
        .n = n,
        .base = o->base,
        .site = o->fill ? o->site : SITE_EMBED,
        .from = o->fill ? o->layer : -1,
        .e = e};
    out->arena.budget = m.scratch.budget = o->budget;
    e->code = 0;
    int rc = march(&m);
    arena_release(&m.scratch);
    for (int l = 0; !rc && !o->keep_outputs && l < p->cfg.n_layer; l++)
        out->layer[l].z = NULL;
    if (rc)
        suffix_release(out);
    return rc;
}

int suffix_view(struct suffixes *out, const struct suffixes *s, int from, int n, struct err *e)
{
    const int64_t C = s->p->cfg.d_model, L = s->p->cfg.n_layer, row = s->offset[from];
    *out = *s;
    out->arena = (struct arena){.budget = s->arena.budget};
    out->run = s->run + from;
    out->n = n;
    out->base = s->base ? s->base : s;
    out->offset = arena_array(&out->arena, (size_t)n + 1, sizeof *out->offset, e);
    out->layer = arena_array(&out->arena, (size_t)L, sizeof *out->layer, e);
    if (!out->offset || !out->layer) {
        arena_release(&out->arena);
        return ERR_LIMIT;
    }
    for (int i = 0; i <= n; i++)
        out->offset[i] = s->offset[from + i] - row;
    out->rows = out->offset[n];
    out->embed = s->embed + row * C;
    out->last = s->last + from * C;
    out->s = s->s + from;
    for (int l = 0; l < L; l++) {
        const int64_t upper = l + 1 == L ? from : row;
        struct suffix_layer *y = &out->layer[l];
        *y = s->layer[l];
        y->x += row * C;
        y->s1 += row;
        y->qkv += row * 3 * C;
        y->mid += upper * C;
        y->s2 += upper;
        y->pre += upper * s->ld;
        y->z = y->z ? y->z + upper * C : NULL;
        y->out = y->out ? y->out + upper * C : NULL;
    }
    return 0;
}

void suffix_release(struct suffixes *s)
{
    arena_release(&s->arena);
}
