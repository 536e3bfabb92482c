#include "model/param_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VECTOR(field) ROW_LAYER_VECTOR, offsetof(struct layer_vectors, field)

static const struct param_row top[] = {
    {"wte.weight", "VC", ROW_WTE, 0, false},
    {"wpe.weight", "PC", ROW_WPE, 0, false},
};
static const struct param_row block[] = {
    {"ln_1.weight", "C", VECTOR(ln1_g), true},
    {"ln_1.bias", "C", VECTOR(ln1_b), false},
    {"attn.c_attn.weight", "CQ", ROW_LAYER_MATRIX, MAT_QKV, false},
    {"attn.c_attn.bias", "Q", VECTOR(b_qkv), false},
    {"attn.c_proj.weight", "CC", ROW_LAYER_MATRIX, MAT_O, false},
    {"attn.c_proj.bias", "C", VECTOR(b_o), false},
    {"ln_2.weight", "C", VECTOR(ln2_g), true},
    {"ln_2.bias", "C", VECTOR(ln2_b), false},
    {"mlp.c_fc.weight", "CF", ROW_LAYER_MATRIX, MAT_IN, false},
    {"mlp.c_fc.bias", "F", VECTOR(b_in), false},
    {"mlp.c_proj.weight", "FC", ROW_LAYER_MATRIX, MAT_OUT, false},
    {"mlp.c_proj.bias", "C", VECTOR(b_out), false},
};
static const struct param_row bottom[] = {
    {"ln_f.weight", "C", ROW_LNF_G, 0, true},
    {"ln_f.bias", "C", ROW_LNF_B, 0, false},
    {"lm_head.weight", "VC", ROW_UNEMBED, 0, false},
};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static int64_t size_of(const struct config *cfg, char letter)
{
    switch (letter) {
    case 'C':
        return cfg->d_model;
    case 'Q':
        return 3 * (int64_t)cfg->d_model;
    case 'F':
        return cfg->d_mlp;
    case 'V':
        return cfg->vocab;
    default:
        return cfg->n_ctx;
    }
}

int param_slots(const struct config *cfg)
{
    return COUNT(top) + cfg->n_layer * COUNT(block) + COUNT(bottom) - (cfg->tied ? 1 : 0);
}

int param_row_at(const struct param_row **out, const struct config *cfg, int i)
{
    int in_blocks = i - COUNT(top), layers = cfg->n_layer * COUNT(block);
    *out = in_blocks < 0        ? &top[i]
           : in_blocks < layers ? &block[in_blocks % COUNT(block)]
                                : &bottom[in_blocks - layers];
    return in_blocks >= 0 && in_blocks < layers ? in_blocks / COUNT(block) : -1;
}

int param_row_of_matrix(const struct config *cfg, enum matrix m, int layer)
{
    (void)cfg;
    for (int i = 0; i < COUNT(block); i++)
        if (block[i].home == ROW_LAYER_MATRIX && block[i].offset == (size_t)m)
            return COUNT(top) + layer * COUNT(block) + i;
    return -1;
}

static int64_t row_count(const struct config *cfg, const struct param_row *r)
{
    int64_t n = 1;
    for (const char *d = r->dim; *d; d++)
        n *= size_of(cfg, *d);
    return n;
}

static int64_t rows_count(const struct config *cfg, const struct param_row *r, int n)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += (row_count(cfg, &r[i]) + 15) & ~(int64_t)15; /* slots begin at 64 bytes */
    return sum;
}

void param_slot(struct param_slot *out, const struct config *cfg, int i)
{
    const struct param_row *r;
    int layer = param_row_at(&r, cfg, i);
    *out = (struct param_slot){.layer = layer, .count = row_count(cfg, r), .gamma = r->gamma};
    for (const char *d = r->dim; *d; d++)
        out->dim[out->rank++] = size_of(cfg, *d);
    out->matrix = out->rank == 2;
    int64_t per_block = rows_count(cfg, block, COUNT(block));
    out->at = rows_count(cfg, top, i < COUNT(top) ? i : COUNT(top));
    if (layer >= 0) {
        snprintf(out->name, sizeof out->name, "h.%d.%s", layer, r->name);
        out->at += layer * per_block + rows_count(cfg, block, (int)(r - block));
    } else {
        snprintf(out->name, sizeof out->name, "%s", r->name);
        if (i >= COUNT(top))
            out->at += cfg->n_layer * per_block + rows_count(cfg, bottom, (int)(r - bottom));
    }
}

/* ---- arrays ---- */

int param_arrays_init(
    struct param_arrays *a, const struct config *cfg, struct arena *arena, struct err *e)
{
    size_t layers = (size_t)cfg->n_layer;
    struct param_slot s;
    *a = (struct param_arrays){0};
    param_slot(&s, cfg, param_slots(cfg) - 1);
    a->count = s.at + s.count;
    float ***matrices[] = {&a->qkv, &a->o, &a->in, &a->out};
    for (int m = 0; m < 4; m++)
        if (!(*matrices[m] = arena_zalloc(arena, layers * sizeof(float *), e)))
            return ERR_LIMIT;
    a->layer = arena_zalloc(arena, layers * sizeof *a->layer, e);
    a->flat = a->layer ? arena_zalloc(arena, (size_t)a->count * sizeof(float), e) : NULL;
    if (!a->flat)
        return ERR_LIMIT;
    for (int i = 0; i < param_slots(cfg); i++) {
        const struct param_row *r;
        int layer = param_row_at(&r, cfg, i);
        param_slot(&s, cfg, i);
        float *at = a->flat + s.at;
        float **tops[] = {[ROW_WTE] = &a->wte,
            [ROW_WPE] = &a->wpe,
            [ROW_LNF_G] = &a->lnf_g,
            [ROW_LNF_B] = &a->lnf_b,
            [ROW_UNEMBED] = &a->unembed};
        if (r->home == ROW_LAYER_VECTOR)
            *(float **)((char *)&a->layer[layer] + r->offset) = at;
        else if (r->home == ROW_LAYER_MATRIX)
            (*matrices[r->offset])[layer] = at;
        else
            *tops[r->home] = at;
    }
    return 0;
}

/* ---- a file against the config ---- */

static void print_shape(char *out, size_t n, const int64_t *dim, int rank)
{
    size_t at = (size_t)snprintf(out, n, "[");
    for (int i = 0; i < rank && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%" PRId64, i ? ", " : "", dim[i]);
    if (at < n)
        snprintf(out + at, n - at, "]");
}

static int check_tensor(const struct param_slot *s, const struct weights *w, struct err *e)
{
    const struct weight *t = weights_find(w, s->name);
    if (!t)
        return err_set(e, ERR_INPUT, "tensor '%s' is missing", s->name);
    char is[160], must[80];
    print_shape(must, sizeof must, s->dim, s->rank);
    print_shape(is, sizeof is, t->dim, t->rank);
    if (t->rank != s->rank || memcmp(t->dim, s->dim, (size_t)s->rank * sizeof *s->dim))
        return err_set(e, ERR_INPUT, "%s: tensor '%s' has shape %s; config.json says %s",
            weights_path(w, t), s->name, is, must);
    if (t->dtype != DT_F32 && t->dtype != DT_F16 && t->dtype != DT_BF16)
        return err_set(e, ERR_INPUT, "%s: tensor '%s' is %s; weights are F32, F16 or BF16",
            weights_path(w, t), s->name, dtype_name(t->dtype));
    return 0;
}

/* Buffers of a raw training checkpoint of an LN-free model (FakeLN). */
static bool is_ln_buffer(const char *name)
{
    static const char *const buffers[] = {"is_fake", "attn_v_is_fake", "bos_special_treatment",
        "real_average_std", "real_bos_std", "grad_acc_steps", "momentum", "average_std_buffer",
        "bos_std_buffer"};
    const char *dot = strrchr(name, '.');
    if (!dot || !(strstr(name, "ln_1.") || strstr(name, "ln_2.") || !strncmp(name, "ln_f.", 5)))
        return false;
    for (int i = 0; i < COUNT(buffers); i++)
        if (!strcmp(dot + 1, buffers[i]))
            return true;
    return false;
}

static bool is_known(const struct config *cfg, const char *name)
{
    char slot[48];
    int layer, end = 0;
    if (sscanf(name, "h.%4d.%n", &layer, &end) == 1 && end) {
        for (int i = 0; i < COUNT(block); i++)
            if (!strcmp(name + end, block[i].name)) {
                snprintf(slot, sizeof slot, "h.%d.%s", layer, block[i].name);
                return layer >= 0 && layer < cfg->n_layer && !strcmp(slot, name);
            }
    }
    for (int i = 0; i < COUNT(top); i++)
        if (!strcmp(name, top[i].name))
            return true;
    for (int i = 0; i < COUNT(bottom); i++)
        if (!strcmp(name, bottom[i].name))
            return true;
    return is_ln_buffer(name);
}

int params_check(
    char *note, size_t n, const struct config *cfg, const struct weights *w, struct err *e)
{
    int extra = 0;
    size_t at = 0;
    if (n)
        *note = '\0';
    /* Strangers first: a block too many says more than a tensor too few. */
    for (int i = 0; i < weights_count(w); i++) {
        const struct weight *t = weights_at(w, i);
        if (is_known(cfg, t->name))
            continue;
        if (!strncmp(t->name, "h.", 2))
            return err_set(e, ERR_INPUT,
                "%s: tensor '%s' has no place in a GPT-2 of %d layers; the numbers would be wrong "
                "without it",
                weights_path(w, t), t->name, cfg->n_layer);
        if (extra++ < 3 && at < n)
            at += (size_t)snprintf(
                note + at, n - at, "%s%.60s", extra == 1 ? "unused tensors: " : ", ", t->name);
    }
    if (extra > 3 && at < n)
        snprintf(note + at, n - at, " and %d more", extra - 3);
    for (int i = 0; i < param_slots(cfg); i++) {
        struct param_slot s;
        param_slot(&s, cfg, i);
        int rc = check_tensor(&s, w, e);
        if (rc && !strcmp(s.name, "lm_head.weight") && !weights_find(w, s.name))
            return err_set(e, ERR_INPUT,
                "tensor 'lm_head.weight' is missing, but config.json has tie_word_embeddings "
                "false");
        if (rc)
            return rc;
    }
    return 0;
}
