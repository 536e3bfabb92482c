#include "app/cache_inputs.h"

#include <string.h>

#include "analysis/acts_cache.h"

static int check_alone(const struct command *c, struct err *e)
{
    static const char *const others[] = {
        "prompt", "file", "tokens", "dataset", "edit", "truncate", "lines"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (args_get(&c->args, others[i])->is_set)
            return err_set(e, ERR_USAGE,
                "--%s with -c: a cache brings its own inputs and no forward pass is run",
                others[i]);
    for (int i = 0; i < c->n_analyses; i++)
        if (c->analyses[i]->pairs == PAIRS_NEEDED)
            return err_set(e, ERR_USAGE,
                "%s compares pairs of prompts by forward passes; run it "
                "without -c",
                c->analyses[i]->id);
    return 0;
}

/* The text of a window: from its first token to its last, NULL where none is kept. */
static int window_text(const char **out, const struct cache *c, int64_t row, const int64_t *begin,
    const int64_t *end, int64_t n, struct arena *arena, struct err *e)
{
    int64_t document;
    size_t len;
    struct arena tmp = {0};
    const char *text;
    *out = NULL;
    int rc = cache_document_of(&document, c, row, e);
    if (!rc)
        rc = cache_text(&text, &len, c, document, &tmp, e);
    int64_t last = n ? end[n - 1] : 0;
    if (!rc && text && begin[0] >= 0 && begin[0] <= last && last <= (int64_t)len) {
        *out = arena_strndup(arena, text + begin[0], (size_t)(last - begin[0]), e);
        rc = *out ? 0 : ERR_LIMIT;
    }
    arena_release(&tmp);
    return rc;
}

static int load_window(struct input *in, const struct cache *c, int64_t i, const struct model *m,
    struct arena *arena, struct err *e)
{
    int64_t row, row_end;
    int rc = cache_window(&row, &row_end, c, i, e);
    if (rc)
        return rc;
    int64_t n = row_end - row;
    const char *path = cache_about(c)->path;
    if (n < 1 || n > cache_about(c)->window || n > m->cfg.n_ctx)
        return err_set(
            e, ERR_INPUT, "%s: window %lld has %lld rows", path, (long long)i, (long long)n);
    int32_t *tokens = arena_array(arena, (size_t)n, sizeof *tokens, e);
    struct arena tmp = {0};
    int32_t *position = arena_array(&tmp, (size_t)n, sizeof *position, e);
    int64_t *begin = arena_array(&tmp, (size_t)n, sizeof *begin, e);
    int64_t *end = arena_array(&tmp, (size_t)n, sizeof *end, e);
    rc = tokens && position && begin && end ? cache_rows(tokens, position, begin, end, c, row, n, e)
                                            : ERR_LIMIT;
    for (int64_t t = 0; t < n && !rc; t++)
        if (tokens[t] < 0 || tokens[t] >= m->cfg.vocab)
            rc = err_set(e, ERR_INPUT, "%s: row %lld holds the id %d, outside the vocabulary", path,
                (long long)(row + t), tokens[t]);
        else if (position[t] != t)
            rc = err_set(e, ERR_INPUT,
                "%s: window %lld is no whole sequence, an earlier one holds its first tokens "
                "(--stride); choose others with --windows, or cache without --stride",
                path, (long long)i);
    *in = (struct input){.tokens = tokens, .n = n, .index = 0, .row = row};
    if (!rc)
        rc = window_text(&in->text, c, row, begin, end, n, arena, e);
    arena_release(&tmp);
    return rc;
}

int cache_inputs_load(struct cache **cache, struct inputs *out, const struct command *c,
    const struct model *m, struct arena *arena, struct err *e)
{
    const struct param_value *which = args_get(&c->args, "windows");
    *cache = NULL;
    *out = (struct inputs){0};
    int rc = check_alone(c, e);
    if (!rc)
        rc = cache_open(cache, args_text(&c->args, "cache"), e);
    if (!rc)
        rc = acts_cache_model(*cache, m, e);
    int64_t n = rc ? 0 : which->is_set ? which->n_list : cache_about(*cache)->windows;
    if (n > 10000000)
        rc = err_set(e, ERR_LIMIT,
            "%lld windows are too many for one report; name some with "
            "--windows, as in --windows 0-999",
            (long long)n);
    if (!rc) {
        out->list = arena_zalloc(arena, (size_t)(n + 1) * sizeof *out->list, e);
        rc = out->list ? 0 : ERR_LIMIT;
    }
    for (int64_t i = 0; i < n && !rc; i++)
        rc = load_window(&out->list[i], *cache, which->is_set ? which->list[i] : i, m, arena, e);
    out->n = (int)n;
    if (rc)
        cache_release(cache);
    return rc;
}
