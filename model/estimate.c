#include <string.h>

#include "model/pass.h"

/* What a forward pass takes, counted as forward.c and forward_attn.c place it. A site that is not
 * kept has one piece of scratch for all layers; what acts within a layer is given back after it. */

struct count {
    const struct config *cfg;
    const struct plan *plan;
    const uint8_t *touched; /* [SITE_COUNT * L], NULL: nothing is */
    double rows, squares;   /* sums of T and of T (past + T) over the inputs */
    bool has_kv;
};

static size_t slot(const struct count *c, enum site s, int l)
{
    return (size_t)s * (size_t)c->cfg->n_layer + (size_t)(site_info(s)->per_layer ? l : 0);
}

static bool keeps(const struct count *c, enum site s, int l)
{
    return plan_keeps(c->plan, s, l);
}

static bool touched(const struct count *c, enum site s, int l)
{
    return c->touched && c->touched[slot(c, s, l)];
}

static bool looked_at(const struct count *c, enum site s, int l)
{
    return keeps(c, s, l) || touched(c, s, l);
}

static const enum site input_sites[] = {SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};

/* q, k and v as three products instead of one (forward_attn.c, project). */
static bool is_dense(const struct count *c, int l)
{
    static const enum site all[] = {
        SITE_Q, SITE_K, SITE_V, SITE_ATTN_IN, SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT};
    bool dense = c->has_kv;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dense = dense || looked_at(c, all[i], l);
    return dense;
}

/* Whether the pass asks for a place for the site in a layer. */
static bool is_placed(const struct count *c, enum site s, int l)
{
    int last = c->cfg->n_layer - 1;
    switch (s) {
    case SITE_RESID_PRE:
        if (l == 0)
            return true;
        return !keeps(c, SITE_RESID_POST, l - 1) || touched(c, s, l);
    case SITE_RESID_POST:
        return l == last || keeps(c, s, l);
    case SITE_Q:
        return is_dense(c, l);
    case SITE_K:
    case SITE_V:
        return c->has_kv ? keeps(c, s, l) : is_dense(c, l);
    case SITE_Q_INPUT:
    case SITE_K_INPUT:
    case SITE_V_INPUT:
        return looked_at(c, s, l) || touched(c, SITE_ATTN_IN, l);
    case SITE_ATTN_OUT:
        return looked_at(c, s, l) || touched(c, SITE_RESULT, l);
    case SITE_ATTN_IN:
    case SITE_MLP_IN:
    case SITE_MLP_PRE:
    case SITE_MLP_OUT:
    case SITE_RESULT:
        return looked_at(c, s, l);
    default:
        return !site_is_square(s);
    }
}

static double width(const struct count *c, enum site s)
{
    return (double)site_width(s, c->cfg);
}

/* Floats kept, and floats of scratch that all layers share. */
static void count_sites(const struct count *c, double *kept, double *shared)
{
    bool is_plain = false; /* some layer takes q, k and v from one product */
    for (int s = 0; s < SITE_COUNT; s++) {
        enum site site = (enum site)s;
        bool needs_scratch = false;
        for (int l = 0; l < (site_info(site)->per_layer ? c->cfg->n_layer : 1); l++) {
            bool shares = site == SITE_RESID_PRE && l > 0 && keeps(c, SITE_RESID_POST, l - 1) &&
                          !touched(c, site, l);
            if (keeps(c, site, l) && !shares)
                *kept += width(c, site) * (site_is_square(site) ? c->squares : c->rows);
            else if (!keeps(c, site, l) && is_placed(c, site, l))
                needs_scratch = true;
            is_plain = is_plain || (site == SITE_Q && !is_dense(c, l));
        }
        if (needs_scratch)
            *shared += width(c, site) * c->rows;
    }
    if (is_plain)
        *shared += 3 * (double)c->cfg->d_model * c->rows;
}

/* Floats that come and go within layer l. */
static double count_layer(const struct count *c, int l)
{
    double C = c->cfg->d_model, H = c->cfg->n_head, D = c->cfg->d_head, most = 0, edge = 0;
    double panel = (double)panel_width();
    bool split = touched(c, SITE_ATTN_IN, l);
    for (int i = 0; i < 3; i++)
        split = split || touched(c, input_sites[i], l);
    /* Columns that do not begin at a panel are computed wider and copied. */
    if (is_dense(c, l) && (int64_t)C % panel_width())
        edge = c->rows * (C + 2 * panel);
    if (split && (int64_t)D % panel_width())
        edge = edge > c->rows * (D + 2 * panel) ? edge : c->rows * (D + 2 * panel);
    if (split)
        most = c->rows * H * (C + 1) + edge;
    else
        most = edge;
    double squares = 0;
    if (touched(c, SITE_SCORES, l) || touched(c, SITE_PATTERN, l))
        squares = H * c->squares * (!keeps(c, SITE_SCORES, l) + !keeps(c, SITE_PATTERN, l));
    most = most > squares ? most : squares;
    double result = looked_at(c, SITE_RESULT, l)
                        ? D * C + (double)panel_bytes(DT_F32, (int64_t)D, (int64_t)C) / 4
                        : 0;
    return most > result ? most : result;
}

static void batch_sums(struct count *c, const struct batch *b, double past)
{
    for (int i = 0; i < b->n; i++) {
        double t = (double)(b->offset[i + 1] - b->offset[i]);
        c->rows += t;
        c->squares += t * (past + t);
    }
}

static struct estimate estimate(struct count *c, const struct batch *b, double past)
{
    struct estimate est = {0};
    double kept = 0, shared = 0, most = 0, C = c->cfg->d_model, F = c->cfg->d_mlp;
    double L = c->cfg->n_layer, V = (double)c->cfg->vocab, n = b->n;
    batch_sums(c, b, past);
    count_sites(c, &kept, &shared);
    for (int l = 0; l < c->cfg->n_layer; l++) {
        double here = count_layer(c, l);
        most = here > most ? here : most;
    }
    enum logits_want want = c->plan ? c->plan->logits : LOGITS_LAST;
    double logit_rows = want == LOGITS_ALL ? c->rows : want == LOGITS_LAST ? n : 0;
    if (want == LOGITS_LAST)
        shared += n * C;
    /* Rounding of each piece to 64 bytes, the lists of pieces, the tokens. */
    double slots = SITE_COUNT * L;
    est.keep_bytes = (uint64_t)(4 * (kept + logit_rows * V) + slots * (16 + 64 * (n + 1)) +
                                4 * c->rows + 8 * n + 4096);
    est.scratch_bytes =
        (uint64_t)(4 * (shared + most) + slots + 64 * (SITE_COUNT + 2 * n) + 48 * n + 4096);
    est.flops =
        2 * c->rows * L * (4 * C * C + 2 * C * F) + 2 * c->squares * C * L + 2 * logit_rows * C * V;
    return est;
}

struct estimate plan_estimate(const struct plan *p, const struct config *cfg, const struct batch *b)
{
    struct count c = {.cfg = cfg, .plan = p};
    return estimate(&c, b, 0);
}

struct estimate pass_estimate(const struct pass *f, const struct batch *b)
{
    struct count c = {
        .cfg = f->cfg, .plan = f->plan, .touched = f->touched, .has_kv = f->o->kv != NULL};
    return estimate(&c, b, (double)f->past);
}

int forward_estimate(struct estimate *out, const struct forward_opts *o, const struct config *cfg,
    const struct batch *b, struct err *e)
{
    struct arena arena = {0};
    struct pass f = {.cfg = cfg, .o = o, .plan = o->plan, .past = o->kv ? o->kv->len : 0};
    f.touched = arena_zalloc(&arena, (size_t)SITE_COUNT * (size_t)cfg->n_layer, e);
    if (f.touched) {
        pass_mark_touched(&f);
        *out = pass_estimate(&f, b);
    }
    arena_release(&arena);
    return f.touched ? 0 : ERR_LIMIT;
}
