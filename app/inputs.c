#include "app/inputs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/pairs.h"
#include "datasets/dataset.h"
#include "model/core/json.h"
#include "model/core/stream.h"
#include "model/core/text.h"

/* A text file becomes one input: what is longer than this is no prompt. */
#define TEXT_MAX ((size_t)1 << 30)

static struct source *add(struct sources *s, struct arena *arena, struct err *e)
{
    if (s->n == s->room) {
        if (s->n > 50000000) {
            err_set(e, ERR_LIMIT, "more than 50 million inputs; split the file");
            return NULL;
        }
        /* In large steps: what is not touched costs nothing, what was outgrown stays. */
        int room = s->room ? 8 * s->room : 16;
        struct source *grown = arena_array(arena, (size_t)room, sizeof *grown, e);
        if (!grown)
            return NULL;
        if (s->n)
            memcpy(grown, s->list, (size_t)s->n * sizeof *grown);
        s->list = grown;
        s->room = room;
    }
    struct source *one = &s->list[s->n++];
    *one = (struct source){0};
    return one;
}

static int add_text(struct sources *s, const char *text, size_t n, const char *where,
    struct arena *arena, struct err *e)
{
    struct source *one = add(s, arena, e);
    if (!one)
        return ERR_LIMIT;
    one->text = arena_strndup(arena, text, n, e);
    one->n_text = n;
    one->where = where;
    return one->text ? 0 : ERR_LIMIT;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool is_jsonl(const char *path)
{
    static const char *const ends[] = {".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
}

static bool is_table(const char *path)
{
    static const char *const ends[] = {
        ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
}

static int add_json_ids(
    struct sources *s, const struct js *list, const char *where, struct arena *arena, struct err *e)
{
    size_t n = js_count(list);
    struct source *one = add(s, arena, e);
    int32_t *ids = arena_array(arena, n + 1, sizeof *ids, e);
    if (!one || !ids)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        if (!js_int(&id, js_at(list, i)) || id < 0 || id > INT32_MAX)
            return err_set(e, ERR_INPUT, "%s: tokens[%zu] is not a token id", where, i);
        ids[i] = (int32_t)id;
    }
    *one = (struct source){.ids = ids, .n_ids = (int64_t)n, .where = where};
    return 0;
}

/* One line of a .jsonl file: its field text (or prompt), else its field tokens (or ids). Of a pair it is
 * the clean prompt, text or ids. */
static int add_json(struct sources *s, const char *line, size_t n, const char *where,
    struct arena *arena, struct err *e)
{
    static const char *const texts[] = {"text", "prompt", "clean"};
    static const char *const lists[] = {"tokens", "ids", "clean"};
    struct js *j;
    int rc = js_parse(&j, line, n, 0, where, e);
    if (rc)
        return rc;
    bool found = false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !found; i++) {
        size_t len;
        const char *text = js_string(js_get(j, texts[i]), &len);
        if (text) {
            found = true;
            rc = add_text(s, text, len, where, arena, e);
        }
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists && !found; i++)
        if (js_kind(js_get(j, lists[i])) == JS_ARRAY) {
            found = true;
            rc = add_json_ids(s, js_get(j, lists[i]), where, arena, e);
        }
    if (!found)
        rc = err_set(e, ERR_INPUT,
            "%s: the line has neither a field text nor a field tokens, nor is it a pair with a "
            "field "
            "clean",
            where);
    else
        s->n_clean += js_kind(js_get(j, "clean")) != JS_ABSENT;
    js_release(&j);
    return rc;
}

static int add_lines(
    struct sources *s, const char *path, bool json, struct arena *arena, struct err *e)
{
    struct stream *in;
    int rc = stream_open(&in, path, e);
    if (rc)
        return rc;
    const char *line;
    size_t n;
    while ((rc = stream_line(&line, &n, in, TEXT_MAX, e)) == 1) {
        if (json && stream_lines(in) == 1 && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
            line += 3; /* a byte order mark */
            n -= 3;
        }
        if (!n || (json && strspn(line, " \t") == n))
            continue;
        const char *where =
            arena_printf(arena, e, "%.400s:%lld", path, (long long)stream_lines(in));
        rc = !where ? ERR_LIMIT
             : json ? add_json(s, line, n, where, arena, e)
                    : add_text(s, line, n, where, arena, e);
        if (rc)
            break;
    }
    stream_release(&in);
    return rc;
}

static int add_file(
    struct sources *s, const char *path, bool lines, struct arena *arena, struct err *e)
{
    if (is_jsonl(path) || lines)
        return add_lines(s, path, is_jsonl(path), arena, e);
    if (is_table(path))
        return err_set(e, ERR_USAGE,
            "%s is a table by its name, and as one text it would be a single prompt: --lines makes "
            "each line a prompt, a .jsonl file has {\"text\": ...} a line; -f - < FILE takes it as "
            "one text all the same",
            path);
    struct source *one = add(s, arena, e);
    if (!one)
        return ERR_LIMIT;
    char *text;
    int rc = stream_all(&text, &one->n_text, path, TEXT_MAX, arena, e);
    if (rc)
        return rc;
    one->text = text;
    one->where = arena_strdup(arena, path, e);
    return one->where ? 0 : ERR_LIMIT;
}

/* "464,318;257": ids parted by commas or blanks, inputs by semicolons. Brackets are skipped, so that
 * a list pasted from Python works. */
static int add_ids(struct sources *s, const char *text, struct arena *arena, struct err *e)
{
    for (const char *at = text;; at++) {
        struct source *one = add(s, arena, e);
        int32_t *ids = arena_array(arena, strlen(at) / 2 + 1, sizeof *ids, e);
        if (!one || !ids)
            return ERR_LIMIT;
        int64_t n = 0;
        while (*at && *at != ';') {
            if (strchr(", \t\n[]", *at)) {
                at++;
                continue;
            }
            char *end;
            errno = 0;
            long id = strtol(at, &end, 10);
            if (end == at || errno || id < 0 || id > INT32_MAX)
                return err_set(e, ERR_USAGE,
                    "--tokens: \"%.40s\" is no token id; give ids as in 464,318,257", at);
            ids[n++] = (int32_t)id;
            at = end;
        }
        if (!n)
            return err_set(e, ERR_USAGE, "--tokens: an input without ids; give ids as in 464,318");
        *one = (struct source){.ids = ids, .n_ids = n, .where = "--tokens"};
        if (!*at)
            return 0;
    }
}

static int add_dataset(struct sources *s, const char *spec, uint64_t seed,
    const struct model *model, struct arena *arena, struct err *e)
{
    const struct dataset *d;
    struct dataset_opts o = {.seed = seed, .bos_id = -1};
    struct items items;
    if (model)
        o = dataset_opts_of(model, seed);
    int rc = dataset_parse(&d, &o.n, spec, e);
    if (!rc)
        rc = dataset_make(&items, d, &o, arena, e);
    for (int64_t i = 0; !rc && i < items.n; i++) {
        const struct prompt *p = &items.list[i].clean;
        const char *where = arena_printf(arena, e, "%s %lld", d->id, (long long)i);
        struct source *one = add(s, arena, e);
        if (!where || !one)
            return ERR_LIMIT;
        *one = (struct source){.text = p->text,
            .n_text = p->text ? strlen(p->text) : 0,
            .ids = p->tokens,
            .n_ids = p->n_tokens,
            .where = where};
    }
    return rc;
}

static int gather(struct sources *out, const struct command *c, const struct model *model,
    bool files, struct arena *arena, struct err *e)
{
    const struct param_value *prompt = args_get(&c->args, "prompt");
    const struct param_value *file = args_get(&c->args, "file");
    const struct param_value *tokens = args_get(&c->args, "tokens");
    int rc = 0;
    const char *dataset = args_text(&c->args, "dataset");
    int seed = args_find(&c->args, "seed");
    *out = (struct sources){0};
    for (int i = 0; i < prompt->n_texts && !rc; i++)
        rc = add_text(out, prompt->texts[i], strlen(prompt->texts[i]), "-p", arena, e);
    for (int i = 0; files && i < file->n_texts && !rc; i++)
        rc = add_file(out, file->texts[i], args_bool(&c->args, "lines"), arena, e);
    for (int i = 0; i < tokens->n_texts && !rc; i++)
        rc = add_ids(out, tokens->texts[i], arena, e);
    if (dataset && !rc)
        rc = add_dataset(
            out, dataset, seed < 0 ? 0 : (uint64_t)c->args.values[seed].i, model, arena, e);
    return rc;
}

int sources_gather(struct sources *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e)
{
    return gather(out, c, model, true, arena, e);
}

int sources_gather_given(struct sources *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e)
{
    return gather(out, c, model, false, arena, e);
}

/* A thousand inputs are many short lists of ids: they lie close together, without the offsets. */
static int encode_text(struct input *out, struct inputs *all, const struct source *from,
    const struct model *model, bool bos, struct arena *arena, struct err *e)
{
    struct arena tmp = {0};
    struct encoding enc;
    if (!model->tokenizer)
        return err_set(e, ERR_INPUT,
            "%s has no tokenizer files, so text cannot be read; give --tokens", model->name);
    int rc =
        tokenizer_encode(&enc, model->tokenizer, from->text, from->n_text, ENCODE_SPECIAL, &tmp, e);
    const int64_t before = bos && model->bos_id >= 0;
    int32_t *ids = rc ? NULL : arena_small(arena, (size_t)(enc.n + before) * sizeof *ids, e);
    if (ids) {
        if (before)
            ids[0] = (int32_t)model->bos_id;
        if (enc.n)
            memcpy(ids + before, enc.ids, (size_t)enc.n * sizeof *ids);
        all->invalid += enc.invalid;
        all->n_invalid += enc.invalid > 0;
        out->text = from->text;
        out->tokens = ids;
        out->n = enc.n + before;
    }
    arena_release(&tmp);
    return rc ? rc : ids ? 0 : ERR_LIMIT;
}

static int check(const struct input *in, const char *where, const struct model *m, struct err *e)
{
    if (!in->n)
        return err_set(e, ERR_USAGE, "%s: an input without tokens; give a text", where);
    if (in->n > m->cfg.n_ctx)
        return err_set(e, ERR_USAGE,
            "%s: %lld tokens, but the context of %s is %d; shorten it or give --truncate", where,
            (long long)in->n, m->name, m->cfg.n_ctx);
    for (int64_t i = 0; i < in->n; i++)
        if (in->tokens[i] < 0 || in->tokens[i] >= m->cfg.vocab)
            return err_set(e, ERR_USAGE, "%s: the id %d at %lld is outside the vocabulary of %lld",
                where, in->tokens[i], (long long)i, (long long)m->cfg.vocab);
    return 0;
}

int inputs_encode(struct inputs *out, const struct sources *from, const struct model *model,
    const struct encode_opts *o, struct arena *arena, struct err *e)
{
    *out = (struct inputs){.n = from->n};
    out->list = arena_zalloc(arena, ((size_t)from->n + 1) * sizeof *out->list, e);
    if (!out->list)
        return ERR_LIMIT;
    for (int i = 0; i < from->n; i++) {
        const struct source *one = &from->list[i];
        struct input *in = &out->list[i];
        *in = (struct input){.tokens = one->ids, .n = one->n_ids, .index = i};
        int rc = one->text ? encode_text(in, out, one, model, o->bos, arena, e) : 0;
        if (!rc && o->truncate && in->n > model->cfg.n_ctx) {
            in->n = model->cfg.n_ctx;
            out->n_cut++;
        }
        if (!rc)
            rc = check(in, one->where, model, e);
        if (rc)
            return rc;
    }
    return 0;
}

int inputs_load(struct inputs *out, struct session *s, const struct command *c,
    const struct model *model, struct arena *arena, struct err *e)
{
    struct sources from;
    int rc = sources_gather(&from, c, model, arena, e);
    if (rc)
        return rc;
    if (!from.n) {
        session_note(
            s, "no input given (-p, -f, --tokens or --dataset); taking \"%s\"", DEFAULT_PROMPT);
        rc = add_text(&from, DEFAULT_PROMPT, strlen(DEFAULT_PROMPT), "the default", arena, e);
        if (rc)
            return rc;
    }
    if (from.n_clean)
        session_note(s, "%s takes prompts, not pairs: the clean one%s of %d pair%s",
            c->n_analyses ? c->analyses[0]->id : "this", text_s(from.n_clean), from.n_clean,
            text_s(from.n_clean));
    struct encode_opts o = {args_bool(&c->args, "prepend-bos"), args_bool(&c->args, "truncate")};
    rc = inputs_encode(out, &from, model, &o, arena, e);
    if (rc)
        return rc;
    if (o.bos && model->bos_id < 0 && model->tokenizer)
        session_note(s, "%s has no BOS token, so none is put before the text", model->name);
    if (out->n_cut)
        session_note(s, "%d of %d input%s cut at the context of %d tokens", out->n_cut, out->n,
            text_s(out->n), model->cfg.n_ctx);
    if (out->invalid)
        session_note(s, "%lld invalid byte sequence%s in %d of %d input%s became U+FFFD",
            (long long)out->invalid, text_s(out->invalid), out->n_invalid, out->n, text_s(out->n));
    return 0;
}
