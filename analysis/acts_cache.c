#include "analysis/acts_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct acts_cache {
    const struct cache *c;
    const struct model *model;
    const struct input *in;
    struct pool *pool;
    enum logits_want want;
    float **site; /* [SITE_COUNT * L], NULL: not read yet */
    float *logits;
    struct arena arena;
};

/* ---- what can be had ---- */

/* How a site is formed that is not stored. */
enum source { STORED, FROM_TOKENS, FROM_POST, FROM_PRE, FROM_SUM, FROM_NORM, FROM_MID, MISSING };

struct origin {
    enum source how;
    int hook;     /* STORED */
    enum site of; /* FROM_NORM: the stream that is normalised */
    int of_layer;
};

static bool is_exact(const struct cache *c)
{
    return cache_about(c)->dtype == DT_F32;
}

static struct origin origin_of(const struct cache *c, const struct config *cfg, enum site s, int l);

/* LayerNorm's input, where the site is one of its two outputs. */
static bool norm_input(enum site *of, int *layer, const struct config *cfg, enum site s, int l)
{
    static const struct {
        enum site scale, norm, of;
    } norms[] = {{SITE_LN1_SCALE, SITE_LN1_NORM, SITE_RESID_PRE},
        {SITE_LN2_SCALE, SITE_LN2_NORM, SITE_RESID_MID},
        {SITE_LNF_SCALE, SITE_LNF_NORM, SITE_RESID_POST}};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
        if (s == norms[i].scale || s == norms[i].norm) {
            *of = norms[i].of;
            *layer = i == 2 ? cfg->n_layer - 1 : l;
            return true;
        }
    return false;
}

static struct origin origin_of(const struct cache *c, const struct config *cfg, enum site s, int l)
{
    struct origin o = {STORED, cache_find(c, s, l), s, l};
    if (o.hook >= 0)
        return o;
    if (s == SITE_EMBED || s == SITE_POS_EMBED) {
        o.how = FROM_TOKENS;
    } else if (s == SITE_RESID_PRE && l > 0 &&
               (o.hook = cache_find(c, SITE_RESID_POST, l - 1)) >= 0) {
        o.how = FROM_POST;
    } else if (s == SITE_RESID_PRE && l == 0) {
        o.how = FROM_SUM;
    } else if (s == SITE_RESID_POST && l + 1 < cfg->n_layer &&
               (o.hook = cache_find(c, SITE_RESID_PRE, l + 1)) >= 0) {
        o.how = FROM_PRE;
    } else if (s == SITE_MLP_IN && (o.hook = cache_find(c, SITE_RESID_MID, l)) >= 0) {
        o.how = FROM_MID;
    } else if (is_exact(c) && norm_input(&o.of, &o.of_layer, cfg, s, l) &&
               origin_of(c, cfg, o.of, o.of_layer).how != MISSING) {
        o.how = FROM_NORM;
    } else {
        o.how = MISSING;
    }
    return o;
}

static bool has_logits(const struct cache *c, const struct config *cfg)
{
    return is_exact(c) && origin_of(c, cfg, SITE_LNF_NORM, -1).how != MISSING;
}

static void add_word(char *list, size_t n, const char *mark, const char *word)
{
    size_t at = strlen(list);
    if (at + strlen(mark) + strlen(word) + 1 < n)
        snprintf(list + at, n - at, "%s%s", at ? mark : "", word);
}

static int missing(
    const struct cache *c, const char *first, int n, const char *filter, bool logits, struct err *e)
{
    const struct cache_info *i = cache_about(c);
    char more[40] = "";
    if (n > 1)
        snprintf(more, sizeof more, " and %d more hooks", n - 1);
    if (logits && !is_exact(c))
        return err_set(e, ERR_INPUT,
            "%s holds halves, from which logits cannot be had exactly%s%s%s; cache with --dtype "
            "f32 --filter '%s', or run without -c",
            i->path, n ? "; it lacks " : "", n ? first : "", more, filter);
    return err_set(e, ERR_INPUT,
        "%s does not hold %s%s; cache them too, as in sonde cache --filter '%s', or run without -c",
        i->path, n ? first : "what logits are made of", more, filter);
}

int acts_cache_check(
    const struct cache *c, const struct plan *plan, const struct model *m, struct err *e)
{
    const struct config *cfg = &m->cfg;
    char first[64] = "", filter[400];
    int n = 0;
    snprintf(filter, sizeof filter, "%.200s", cache_about(c)->filter);
    for (int s = 0; s < SITE_COUNT; s++) {
        const struct site_info *info = site_info((enum site)s);
        bool lacks = false;
        for (int l = 0; l < (info->per_layer ? cfg->n_layer : 1); l++) {
            if (!plan_keeps(plan, (enum site)s, l) ||
                origin_of(c, cfg, (enum site)s, l).how != MISSING)
                continue;
            lacks = true;
            if (!n++)
                site_full_name(first, sizeof first, (enum site)s, l);
        }
        if (lacks)
            add_word(filter, sizeof filter, "|", info->name);
    }
    bool logits = plan->logits != LOGITS_NONE && !has_logits(c, cfg);
    if (logits)
        add_word(filter, sizeof filter, "|", site_info(SITE_LNF_NORM)->name);
    return n || logits ? missing(c, first, n, filter, logits, e) : 0;
}

int acts_cache_model(const struct cache *c, const struct model *m, struct err *e)
{
    const struct cache_info *i = cache_about(c);
    char hash[HASH_HEX], tokenizer[HASH_HEX];
    if (model_hash(hash, m, e))
        return e->code;
    model_tokenizer_hash(tokenizer, m);
    const struct {
        const char *name, *of_cache, *here;
    } fields[] = {{"model_hash", i->model_hash, hash},
        {"tokenizer_hash", i->tokenizer_hash, tokenizer}, {"weights", i->weights, "raw"}};
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
        if (strcmp(fields[k].of_cache, fields[k].here) != 0)
            return err_set(e, ERR_INPUT,
                "%s was made with another model: its %s is %.32s (%.60s), that of %s is %.32s; "
                "give "
                "its model with -m",
                i->path, fields[k].name, fields[k].of_cache, i->model_name, m->name,
                fields[k].here);
    /* The same weights have the same shapes; a file may say otherwise. */
    for (int k = 0; k < i->hooks; k++) {
        const struct cache_hook *h = cache_hook_at(c, k);
        int64_t width = site_width(h->site, &m->cfg);
        width = site_is_square(h->site) ? m->cfg.n_head * i->window : width;
        if (h->layer >= m->cfg.n_layer || h->width != width)
            return err_set(
                e, ERR_INPUT, "%s: %s is not of the shape of %s", i->path, h->name, m->name);
    }
    return 0;
}

/* ---- one window ---- */

int acts_cache_open(struct acts_cache **out, const struct cache *c, const struct model *m,
    enum logits_want logits, const struct input *in, struct pool *pool, struct err *e)
{
    struct acts_cache *a = calloc(1, sizeof *a);
    *out = a;
    if (!a)
        return err_set(e, ERR_LIMIT, "out of memory");
    *a = (struct acts_cache){.c = c, .model = m, .in = in, .pool = pool, .want = logits};
    a->site =
        arena_zalloc(&a->arena, (size_t)SITE_COUNT * (size_t)m->cfg.n_layer * sizeof *a->site, e);
    if (!a->site)
        acts_cache_release(out);
    return *out ? 0 : ERR_LIMIT;
}

void acts_cache_release(struct acts_cache **a)
{
    if (!*a)
        return;
    arena_release(&(*a)->arena);
    free(*a);
    *a = NULL;
}

static float *take(struct acts_cache *a, int64_t width, struct err *e)
{
    return arena_array(&a->arena, (size_t)a->in->n * (size_t)width, sizeof(float), e);
}

/* [T, H, window] as it is stored becomes [H, T, T]. */
static int read_square(float *out, struct acts_cache *a, int hook, struct err *e)
{
    int64_t T = a->in->n, H = a->model->cfg.n_head, window = cache_about(a->c)->window;
    float *row = malloc((size_t)(H * window) * sizeof *row);
    int rc = row ? 0 : err_set(e, ERR_LIMIT, "out of memory");
    for (int64_t t = 0; t < T && !rc; t++) {
        rc = cache_read(row, a->c, hook, a->in->row + t, 1, 0, H * window, e);
        for (int64_t h = 0; h < H && !rc; h++)
            memcpy(out + (h * T + t) * T, row + h * window, (size_t)T * sizeof *out);
    }
    free(row);
    return rc;
}

static int embed(float *out, struct acts_cache *a, enum site s, struct err *e)
{
    int64_t C = a->model->cfg.d_model;
    for (int64_t t = 0; t < a->in->n; t++)
        if (s == SITE_POS_EMBED)
            memcpy(out + t * C, a->model->params->wpe + t * C, (size_t)C * sizeof *out);
        else if (params_embed(out + t * C, a->model->params, a->in->tokens[t], e))
            return e->code;
    return 0;
}

static int sum(float *out, struct acts_cache *a, struct err *e)
{
    const float *x, *y;
    if (acts_cache_get(&x, a, SITE_EMBED, -1, e) || acts_cache_get(&y, a, SITE_POS_EMBED, -1, e))
        return e->code;
    for (int64_t i = 0; i < a->in->n * a->model->cfg.d_model; i++)
        out[i] = x[i] + y[i];
    return 0;
}

static int normalise(
    float *out, struct acts_cache *a, const struct origin *o, enum site s, int l, struct err *e)
{
    const struct config *cfg = &a->model->cfg;
    const struct params *p = a->model->params;
    int64_t C = cfg->d_model, T = a->in->n;
    bool scale = s == SITE_LN1_SCALE || s == SITE_LN2_SCALE || s == SITE_LNF_SCALE;
    bool first = s == SITE_LN1_SCALE || s == SITE_LN1_NORM;
    bool last = s == SITE_LNF_SCALE || s == SITE_LNF_NORM;
    struct ln ln = {cfg->ln, cfg->ln_eps,
        last    ? p->lnf_g
        : first ? p->layer[l].ln1_g
                : p->layer[l].ln2_g,
        last    ? p->lnf_b
        : first ? p->layer[l].ln1_b
                : p->layer[l].ln2_b,
        false};
    const float *x;
    float *other = take(a, scale ? C : 1, e);
    if (!other || acts_cache_get(&x, a, o->of, o->of_layer, e))
        return e->code;
    ops_ln(scale ? other : out, C, scale ? out : other, x, C, T, C, &ln, a->pool);
    return 0;
}

int acts_cache_get(const float **out, struct acts_cache *a, enum site s, int layer, struct err *e)
{
    const struct config *cfg = &a->model->cfg;
    int l = site_info(s)->per_layer ? layer : 0;
    if (l < 0 || l >= cfg->n_layer)
        return err_set(e, ERR_USAGE, "the model has no layer %d", layer);
    size_t slot = (size_t)s * (size_t)cfg->n_layer + (size_t)l;
    *out = a->site[slot];
    if (*out)
        return 0;
    struct origin o = origin_of(a->c, cfg, s, layer);
    int64_t width = site_is_square(s) ? cfg->n_head * a->in->n : site_width(s, cfg);
    float *v = take(a, width, e);
    int rc = v ? 0 : ERR_LIMIT;
    if (!rc)
        switch (o.how) {
        case STORED:
        case FROM_POST:
        case FROM_PRE:
        case FROM_MID:
            rc = site_is_square(s) ? read_square(v, a, o.hook, e)
                                   : cache_read(v, a->c, o.hook, a->in->row, a->in->n, 0, width, e);
            break;
        case FROM_TOKENS:
            rc = embed(v, a, s, e);
            break;
        case FROM_SUM:
            rc = sum(v, a, e);
            break;
        case FROM_NORM:
            rc = normalise(v, a, &o, s, l, e);
            break;
        case MISSING:
            rc = err_set(
                e, ERR_INPUT, "%s does not hold %s", cache_about(a->c)->path, site_info(s)->name);
        }
    if (!rc)
        *out = a->site[slot] = v;
    return rc;
}

int acts_cache_logits(const float **out, struct acts_cache *a, int64_t pos, struct err *e)
{
    const struct config *cfg = &a->model->cfg;
    int64_t T = a->in->n, C = cfg->d_model, V = cfg->vocab;
    int64_t rows = a->want == LOGITS_ALL ? T : a->want == LOGITS_LAST ? 1 : 0, first = T - rows;
    pos = pos < 0 ? pos + T : pos;
    *out = NULL;
    if (pos < first || pos >= T)
        return err_set(
            e, ERR_USAGE, "the logits at position %lld were not asked for", (long long)pos);
    if (!a->logits) {
        const float *y;
        const struct panel *w = params_panel(a->model->params, MAT_UNEMBED, 0, e);
        float *logits = w ? arena_array(&a->arena, (size_t)(rows * V), sizeof *logits, e) : NULL;
        if (!logits || acts_cache_get(&y, a, SITE_LNF_NORM, -1, e))
            return e->code;
        ops_gemm(logits, V, y + first * C, C, rows, w, 0, V, &(struct epilogue){0}, a->pool);
        a->logits = logits;
    }
    *out = a->logits + (pos - first) * V;
    return 0;
}
