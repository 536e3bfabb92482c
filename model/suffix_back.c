#include <string.h>

#include "model/suffix.h"

/* Gradients of a batch of suffixes, and of no parameter. Rows before a run's first have none that
 * anybody reads: their keys and values get gradients, but those flow to the same rows alone. */

#define SLACK ((size_t)1 << 16) /* alignment of the pieces */

struct back {
    const struct suffixes *s;
    const struct config *cfg;
    const struct suffix_back_opts *o;
    struct arena scratch;
    float *dx;       /* [rows, C] of the residual stream */
    float *big;      /* [rows, ld] */
    float *dy, *mlp; /* [rows, C] */
    float *dqkv;     /* [rows, 3C] */
    struct err *e;
};

static int product(struct back *b, float *da, int64_t lda, const float *dc, int64_t ldc,
    int64_t rows, enum matrix m, int layer)
{
    const struct panel *w = params_panel(b->s->p, m, layer, b->e);
    if (!w)
        return b->e->code;
    ops_gemm_t(da, lda, dc, ldc, rows, w, false, b->o->pool);
    return 0;
}

/* From resid_post to resid_mid; b->mlp: at the MLP's input. */
static int mlp(struct back *b, int l)
{
    const struct suffix_layer *y = &b->s->layer[l];
    const struct layer_vectors *v = &b->s->p->layer[l];
    const int64_t C = b->cfg->d_model, R = suffix_upper(b->s, l), ld = b->s->ld;
    struct ln ln = {b->cfg->ln, b->cfg->ln_eps, v->ln2_g, v->ln2_b, false};
    if (b->s->site == SITE_MLP_OUT && b->s->from == l) {
        memset(b->mlp, 0, (size_t)(R * C) * sizeof *b->mlp);
        return 0;
    }
    if (product(b, b->big, ld, b->dx, C, R, MAT_OUT, l))
        return b->e->code;
    for (int64_t r = 0; r < R; r++) /* beyond the last column of a row there is nothing */
        memset(b->big + r * ld + b->cfg->d_mlp, 0, (size_t)(ld - b->cfg->d_mlp) * sizeof *b->big);
    ops_act_grad(b->big, b->big, y->pre, R * ld, b->cfg->act, b->o->pool);
    if (product(b, b->dy, C, b->big, ld, R, MAT_IN, l))
        return b->e->code;
    ops_ln_grad(b->mlp, C, NULL, NULL, b->dy, C, y->mid, C, y->s2, R, C, &ln, false, b->o->pool);
    for (int64_t i = 0; i < R * C; i++)
        b->dx[i] += b->mlp[i];
    return 0;
}

/* dqkv from resid_mid. */
static int attention(struct back *b, int l)
{
    const struct suffixes *s = b->s;
    const int64_t C = b->cfg->d_model, R = suffix_upper(s, l);
    const bool last = l + 1 == b->cfg->n_layer;
    struct arena_mark mark = arena_mark(&b->scratch);
    struct suffix_attention at;
    memset(b->dqkv, 0, (size_t)(s->rows * 3 * C) * sizeof *b->dqkv);
    if (s->site == SITE_Z && s->from == l)
        return 0;
    if (product(b, b->dy, C, b->dx, C, R, MAT_O, l) ||
        suffix_attend(&at, s, l, b->o->pool, &b->scratch, b->e))
        return b->e->code;
    float **dk = arena_array(&b->scratch, 2 * (size_t)s->n, sizeof *dk, b->e);
    float *dq = last ? arena_zalloc(&b->scratch, (size_t)(R * C) * sizeof *dq, b->e) : b->dqkv;
    if (!dk || !dq)
        return ERR_LIMIT;
    for (int i = 0; i < s->n; i++) {
        dk[i] = b->dqkv + s->offset[i] * 3 * C + C;
        dk[s->n + i] = dk[i] + C;
    }
    const struct attention_grad g = {
        .dz = b->dy, .dq = dq, .dk = dk, .dv = dk + s->n, .skip = at.skip};
    if (ops_attention_grad(&at.a, &g, b->o->pool, b->e))
        return b->e->code;
    for (int i = 0; last && i < s->n; i++)
        memcpy(b->dqkv + (s->offset[i + 1] - 1) * 3 * C, dq + i * C, (size_t)C * sizeof *dq);
    arena_rewind(&b->scratch, mark);
    return 0;
}

/* dx of the last layer, [n, C], becomes [rows, C]: from the last row down, in place. */
static void spread(struct back *b)
{
    const struct suffixes *s = b->s;
    const int64_t C = b->cfg->d_model;
    for (int i = s->n - 1; i >= 0; i--) {
        const int64_t rows = s->offset[i + 1] - s->offset[i];
        float *first = b->dx + s->offset[i] * C;
        memmove(first + (rows - 1) * C, b->dx + i * C, (size_t)C * sizeof *first);
        memset(first, 0, (size_t)((rows - 1) * C) * sizeof *first);
    }
}

/* From resid_mid and dqkv to resid_pre. */
static int inputs(struct back *b, int l)
{
    const struct suffixes *s = b->s;
    const struct layer_vectors *v = &s->p->layer[l];
    const int64_t C = b->cfg->d_model;
    struct ln ln = {b->cfg->ln, b->cfg->ln_eps, v->ln1_g, v->ln1_b, false};
    if (s->site == SITE_Z && s->from == l)
        return 0;
    if (product(b, b->dy, C, b->dqkv, 3 * C, s->rows, MAT_QKV, l))
        return b->e->code;
    ops_ln_grad(b->dx, C, NULL, NULL, b->dy, C, s->layer[l].x, C, s->layer[l].s1, s->rows, C, &ln,
        true, b->o->pool);
    return 0;
}

static int run(struct back *b, const float *d)
{
    const struct suffixes *s = b->s;
    const int64_t C = b->cfg->d_model, R = s->rows, L = b->cfg->n_layer;
    const int64_t most = R > b->o->rows_most ? R : b->o->rows_most;
    if (arena_reserve(&b->scratch, (size_t)(most * (11 * C + s->ld)) * sizeof(float) + SLACK, b->e))
        return ERR_LIMIT;
    b->dx = arena_array(&b->scratch, (size_t)(R * C), sizeof *b->dx, b->e);
    b->dy = arena_array(&b->scratch, (size_t)(R * C), sizeof *b->dy, b->e);
    b->mlp = arena_array(&b->scratch, (size_t)(R * C), sizeof *b->mlp, b->e);
    b->big = arena_array(&b->scratch, (size_t)(R * s->ld), sizeof *b->big, b->e);
    b->dqkv = arena_array(&b->scratch, (size_t)(R * 3 * C), sizeof *b->dqkv, b->e);
    if (!b->dx || !b->dy || !b->mlp || !b->big || !b->dqkv)
        return ERR_LIMIT;
    struct arena_mark mark = arena_mark(&b->scratch);
    suffix_settle(&b->scratch, (uint64_t)(11 * C + s->ld) * sizeof(float),
        (b->o->rows_taken < most ? b->o->rows_taken : most) - R);
    arena_rewind(&b->scratch, mark);
    memcpy(b->dx, d, (size_t)(s->n * C) * sizeof *d);
    for (int l = (int)L - 1; l >= 0; l--) {
        if (b->o->progress && b->o->progress(b->o->progress_arg, (double)(L - 1 - l), (double)L))
            return err_set(b->e, ERR_CANCEL, "interrupted");
        bool is_done = false;
        if (mlp(b, l) || attention(b, l))
            return b->e->code;
        if (l + 1 == L)
            spread(b);
        if (b->o->layer(b->o->arg, l, b->dqkv, b->mlp, b->dx, &is_done))
            return b->e->code;
        if (l > 0 && !is_done && inputs(b, l))
            return b->e->code;
    }
    return 0;
}

int suffix_backward(
    const struct suffixes *s, const float *d, const struct suffix_back_opts *o, struct err *e)
{
    struct back b = {.s = s, .cfg = &s->p->cfg, .o = o, .e = e};
    b.scratch.budget = o->budget;
    e->code = 0;
    int rc = run(&b, d);
    arena_release(&b.scratch);
    return rc;
}
