#include "datasets/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/json.h"
#include "model/core/param.h"

#define MAX_ITEMS ((int64_t)1 << 24)

static int unknown(const char *name, size_t n, struct err *e)
{
    const char *names[64], *near[2];
    int count = n_datasets < 64 ? n_datasets : 64;
    char word[64];
    for (int i = 0; i < count; i++)
        names[i] = datasets[i]->id;
    snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), name);
    int found = nearest_names(near, 2, word, names, count);
    return err_set(e, ERR_USAGE, "no dataset '%s': did you mean %s%s%s? (sonde list datasets)",
        word, found > 0 ? near[0] : names[0], found > 1 ? " or " : "", found > 1 ? near[1] : "");
}

int dataset_parse(const struct dataset **out, int64_t *n, const char *spec, struct err *e)
{
    size_t length = strcspn(spec, ":");
    *n = 0;
    if (spec[length] == ':') {
        char *end;
        long long value = strtoll(spec + length + 1, &end, 10);
        if (end == spec + length + 1 || *end || value < 1 || value > MAX_ITEMS)
            return err_set(e, ERR_USAGE,
                "'%s': after the colon comes how many items, 1 to %lld, as in %.*s:100", spec,
                (long long)MAX_ITEMS, (int)length, spec);
        *n = value;
    }
    for (int i = 0; i < n_datasets; i++) {
        if (strlen(datasets[i]->id) == length && !memcmp(datasets[i]->id, spec, length)) {
            *out = datasets[i];
            return 0;
        }
    }
    return unknown(spec, length, e);
}

bool dataset_gives_pairs(const struct dataset *d)
{
    return d->kind == DATASET_TASK || d->has_pairs;
}

int dataset_make(struct items *out, const struct dataset *d, const struct dataset_opts *o,
    struct arena *arena, struct err *e)
{
    struct dataset_opts opts = *o;
    if (opts.n == 0)
        opts.n = d->default_n;
    if (opts.n < 1 || opts.n > MAX_ITEMS)
        return err_set(e, ERR_USAGE, "dataset %s: %lld items asked for, 1 to %lld are possible",
            d->id, (long long)opts.n, (long long)MAX_ITEMS);
    struct item *list = arena_zalloc(arena, sizeof *list * (size_t)opts.n, e);
    if (!list)
        return err_prefix(e, "dataset %s", d->id);
    for (int64_t i = 0; i < opts.n; i++) {
        if (d->make(&list[i], i, &opts, arena, e))
            return err_prefix(e, "dataset %s", d->id);
    }
    *out = (struct items){list, opts.n};
    return 0;
}

/* Answers as texts, or as ids where there are these. */
static void put_answers(
    struct js_out *w, const char *key, const char *const *texts, const int32_t *ids, int n)
{
    if (n == 0)
        return;
    js_out_key(w, key);
    if (n > 1)
        js_out_begin(w, '[');
    for (int i = 0; i < n; i++)
        if (ids)
            js_out_int(w, ids[i]);
        else
            js_out_text(w, texts[i]);
    if (n > 1)
        js_out_end(w, ']');
}

static void put_prompt(struct js_out *w, const char *key, const struct prompt *p)
{
    if (!p->text && !p->tokens)
        return;
    js_out_key(w, key);
    if (p->text) {
        js_out_text(w, p->text);
        return;
    }
    js_out_begin(w, '[');
    for (int64_t i = 0; i < p->n_tokens; i++)
        js_out_int(w, p->tokens[i]);
    js_out_end(w, ']');
}

void item_json(struct js_out *w, const struct item *it)
{
    js_out_begin(w, '{');
    put_prompt(w, it->clean.text ? "text" : "tokens", &it->clean);
    if (it->n_answer) {
        put_prompt(w, "clean", &it->clean);
        put_prompt(w, "corrupt", &it->corrupt);
        put_answers(w, "answer", it->answer, it->answer_ids, it->n_answer);
        put_answers(w, "wrong_answer", it->wrong, it->wrong_ids, it->n_wrong);
    }
    js_out_end(w, '}');
}
