#include <math.h>
#include <string.h>

#include "analysis/attr.h"

static const struct column columns[] = {{"site", "", DT_F32, true},
    {"layer", "layer", DT_I32, false}, {"error", "clean - corrupt", DT_F64, false},
    {"twin_error", "clean - corrupt", DT_F64, false},
    {"improvement", "clean - corrupt", DT_F64, false}};

static int check_shape(const struct model *a, const struct model *b, struct err *e)
{
    const struct config *x = &a->cfg, *y = &b->cfg;
    if (x->n_layer != y->n_layer || x->n_head != y->n_head || x->d_mlp != y->d_mlp ||
        x->vocab != y->vocab || x->n_ctx > y->n_ctx)
        return err_set(e, ERR_USAGE,
            "--twin: %s has %d layers, %d heads, d_mlp %d and %lld tokens, %s %d, %d, %d and %lld; "
            "twins have the same shape",
            b->name, y->n_layer, y->n_head, y->d_mlp, (long long)y->vocab, a->name, x->n_layer,
            x->n_head, x->d_mlp, (long long)x->vocab);
    char hash[2][33] = {"", ""};
    if (a->tokenizer && b->tokenizer) {
        model_tokenizer_hash(hash[0], a);
        model_tokenizer_hash(hash[1], b);
    }
    return strcmp(hash[0], hash[1])
               ? err_set(e, ERR_USAGE, "--twin: %s has another tokenizer than %s", b->name, a->name)
               : 0;
}

int attr_twin_begin(struct attr_twin *t, const char *name, struct run *out,
    const struct patch_blocks *s, struct ctx *ctx, struct err *e)
{
    char hash[33];
    if (model_open(&t->model, name, ctx->pool, e))
        return err_prefix(e, "--twin");
    if (check_shape(ctx->model, t->model, e) || model_hash(hash, t->model, e) ||
        run_attr_text(out, "twin_name", t->model->name, e) ||
        run_attr_text(out, "twin_hash", hash, e) ||
        attr_agree_begin(&t->tally, out, "twin_", s, ctx, e))
        return e->code;
    return run_block(&t->improvement, out,
        &(struct block_spec){.name = "improvement",
            .input = -1,
            .rank = 1,
            .axes = {{"row", AXIS_OTHER, 0, NULL}},
            .unit = "",
            .long_name =
                "sum over cells of |exact - estimate| as a share of clean - corrupt, mean over "
                "pairs: this model's, its twin's, and by how much the twin's is smaller",
            .source = "Baroni et al. 2025 (arXiv 2507.02559), section 5.2",
            .look = LOOK_TABLE,
            .columns = columns,
            .n_columns = sizeof columns / sizeof *columns},
        e);
}

int attr_twin_pair(struct attr_twin *t, const struct patch_part *own, int64_t k,
    int (*estimate)(struct patch_part *w, struct err *e), void (*load)(struct patch_part *w),
    struct err *e)
{
    struct ctx ctx = *own->ctx;
    struct patch_part w = *own;
    struct patch_pair pair;
    ctx.model = t->model;
    ctx.params = t->model->params;
    if (patch_pair_open(&pair, own->pair->pair, &own->s->o, &ctx, e))
        return e->code;
    w.ctx = &ctx;
    w.pair = &pair;
    int rc = estimate(&w, e);
    for (int i = 0; i < w.s->n_menu && !rc; i++)
        for (w.part = 0; w.part < w.s->menu[i]->n_parts && !rc; w.part++) {
            const struct arena_mark mark = arena_mark(ctx.arena);
            w.item = &w.g->item[i];
            w.per = patch_form_cells(w.s->menu[i]->part[w.part].form, &ctx.model->cfg, w.g->by->T);
            w.n = ctx.model->cfg.n_layer * w.per;
            load(&w);
            rc = attr_agree(&t->tally, &w, k, e);
            arena_rewind(ctx.arena, mark);
        }
    patch_pair_release(&pair);
    return rc;
}

int attr_twin_end(
    struct attr_twin *t, const struct attr_tally *own, const struct patch_blocks *s, struct err *e)
{
    int part = 0;
    if (attr_agree_end(&t->tally, s, e))
        return e->code;
    for (int i = 0; i < s->n_menu; i++)
        for (int k = 0; k < s->menu[i]->n_parts; k++, part++)
            for (int64_t l = 0; l < own->layers; l++) {
                const int64_t at = part * own->layers + l;
                const double a = own->normalized[at] / (double)own->pairs[part];
                const double b = t->tally.normalized[at] / (double)t->tally.pairs[part];
                char name[96];
                const struct cell_value row[] = {
                    {.text = attr_part_name(name, sizeof name, s->menu[i], k)},
                    {.number = (double)l}, {.number = a}, {.number = b}, {.number = a - b}};
                if (block_append(t->improvement, row, e))
                    return e->code;
            }
    return 0;
}
