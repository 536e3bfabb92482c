#include "analysis/token.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"

int ctx_token(int64_t *out, const struct ctx *ctx, const char *text, struct err *e)
{
    const struct model *m = ctx->model;
    if (!m->tokenizer) {
        char *end;
        *out = *text == '#' ? strtoll(text + 1, &end, 10) : -1;
        if (*text != '#' || end == text + 1 || *end)
            return err_set(
                e, ERR_USAGE, "%s has no tokenizer: name tokens by id, as in #123", m->name);
    } else if (tokenizer_single(out, m->tokenizer, text, e)) {
        return e->code;
    }
    if (*out < 0 || *out >= m->cfg.vocab)
        return err_set(e, ERR_USAGE, "token id %lld is outside the vocabulary 0..%lld",
            (long long)*out, (long long)m->cfg.vocab - 1);
    return 0;
}

int ctx_pos(int64_t *out, const struct input *in, int64_t pos, struct err *e)
{
    *out = pos < 0 ? pos + in->n : pos;
    if (*out < 0 || *out >= in->n)
        return err_set(e, ERR_USAGE, "position %lld: input %d has positions 0 to %lld",
            (long long)pos, in->index, (long long)in->n - 1);
    return 0;
}

const char *token_text(const struct model *m, int64_t id, struct arena *arena, struct err *e)
{
    size_t n;
    const char *bytes = m->tokenizer ? tokenizer_bytes(m->tokenizer, id, &n) : NULL;
    if (!bytes)
        return arena_printf(arena, e, "#%lld", (long long)id);
    if (!memchr(bytes, 0, n) && utf8_valid_prefix(bytes, n) == n)
        return arena_strndup(arena, bytes, n, e);
    return text_escaped(bytes, n, 0, arena, e);
}
