#include <string.h>

#include "model/edit_from.h"

static int encode(int32_t **out, int64_t *n, const struct edit *ed, const struct model *m, bool bos,
    struct arena *arena, struct err *e)
{
    struct encoding enc;
    bool has_bos = bos && m->bos_id >= 0;
    if (!m->tokenizer)
        return err_set(e, ERR_USAGE, "edit \"%.200s\": %s has no tokenizer to read its text with",
            ed->text, m->name);
    if (tokenizer_encode(&enc, m->tokenizer, ed->from, strlen(ed->from), ENCODE_SPECIAL, arena, e))
        return e->code;
    int32_t *ids = arena_array(arena, (size_t)enc.n + 1, sizeof *ids, e);
    if (!ids)
        return ERR_LIMIT;
    ids[0] = (int32_t)m->bos_id;
    if (enc.n)
        memcpy(ids + has_bos, enc.ids, (size_t)enc.n * sizeof *ids);
    *out = ids;
    *n = enc.n + has_bos;
    if (*n < 1)
        return err_set(e, ERR_USAGE, "edit \"%.200s\": its text has no tokens", ed->text);
    if (*n > m->cfg.n_ctx)
        return err_set(e, ERR_USAGE, "edit \"%.60s\": its text has %lld tokens, the context is %d",
            ed->text, (long long)*n, m->cfg.n_ctx);
    for (int64_t i = 0; i < *n; i++)
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab)
            return err_set(e, ERR_USAGE, "edit \"%.200s\": token id %d is outside the vocabulary",
                ed->text, ids[i]);
    return 0;
}

/* The batch with one input more. */
static int append(
    struct batch *b, const int32_t *ids, int64_t n, struct arena *arena, struct err *e)
{
    int64_t have = b->offset[b->n];
    int64_t *offset = arena_array(arena, (size_t)b->n + 2, sizeof *offset, e);
    int32_t *tokens = arena_array(arena, (size_t)(have + n), sizeof *tokens, e);
    if (!offset || !tokens)
        return ERR_LIMIT;
    memcpy(offset, b->offset, ((size_t)b->n + 1) * sizeof *offset);
    memcpy(tokens, b->tokens, (size_t)have * sizeof *tokens);
    memcpy(tokens + have, ids, (size_t)n * sizeof *tokens);
    offset[b->n + 1] = have + n;
    *b = (struct batch){tokens, offset, b->n + 1};
    return 0;
}

int edits_from_texts(struct edits *out, struct batch *reference, const struct edits *in,
    const struct model *m, bool bos, struct arena *arena, struct err *e)
{
    int n = in ? in->n : 0, with_text = 0;
    *out = in ? *in : (struct edits){0};
    for (int i = 0; i < n; i++)
        with_text += in->list[i].op == EDIT_FROM && !in->list[i].is_off;
    if (!with_text)
        return 0;
    struct edit *list = arena_array(arena, (size_t)n, sizeof *list, e);
    if (!list)
        return ERR_LIMIT;
    memcpy(list, in->list, (size_t)n * sizeof *list);
    for (int i = 0; i < n; i++) {
        int32_t *ids = NULL;
        int64_t len = 0;
        if (list[i].op != EDIT_FROM || list[i].is_off)
            continue;
        if (encode(&ids, &len, &list[i], m, bos, arena, e) || append(reference, ids, len, arena, e))
            return e->code;
        list[i].op = EDIT_RESAMPLE;
        list[i].resample = reference->n - 1;
    }
    /* Means are over the inputs, not over texts that values are taken from. */
    for (int i = 0; i < n; i++)
        if (list[i].op == EDIT_MEAN && !list[i].is_off)
            list[i].resample = reference->n - with_text;
    *out = (struct edits){list, n};
    return 0;
}
