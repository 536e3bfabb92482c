#include "model/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/json.h"
#include "model/core/rng.h"
#include "model/core/stream.h"

#define HELD_STREAM UINT64_C(0x68656c64) /* which documents are kept apart */
#define FILE_LIMIT ((size_t)4 << 30)

struct reader {
    struct corpus *c;
    const struct corpus_opts *o;
    const struct tokenizer *t;
    int64_t *end; /* [documents] where each ends in tokens */
    int64_t cap_tokens, cap_documents, cap_train, cap_held;
    struct arena arena;
    struct err *e;
};

/* Room for one more block of n elements; amortised by doubling. */
static int reserve(void **data, int64_t *capacity, int64_t needed, size_t size, struct err *e)
{
    if (needed <= *capacity)
        return 0;
    int64_t n = *capacity ? *capacity * 2 : 4096;
    n = n < needed ? needed : n;
    void *p = realloc(*data, (size_t)n * size);
    if (!p)
        return err_set(e, ERR_LIMIT, "out of memory for a corpus of %lld values", (long long)n);
    *data = p;
    *capacity = n;
    return 0;
}

static int end_document(struct reader *r)
{
    struct corpus *c = r->c;
    int64_t begin = c->documents ? r->end[c->documents - 1] : 0;
    if (c->n_tokens == begin)
        return 0;
    if (reserve((void **)&r->end, &r->cap_documents, c->documents + 1, sizeof *r->end, r->e) ||
        reserve((void **)&c->tokens, &r->cap_tokens, c->n_tokens + 1, sizeof *c->tokens, r->e))
        return r->e->code;
    if (r->o->separator >= 0)
        c->tokens[c->n_tokens++] = (int32_t)r->o->separator;
    r->end[c->documents++] = c->n_tokens;
    return 0;
}

/* Text becomes tokens; a separator written in it ends a document, as does its end. */
static int add_text(struct reader *r, const char *text, size_t n)
{
    struct corpus *c = r->c;
    struct encoding enc;
    struct arena_mark mark = arena_mark(&r->arena);
    if (tokenizer_encode(&enc, r->t, text, n, ENCODE_SPECIAL, &r->arena, r->e))
        return r->e->code;
    if (reserve((void **)&c->tokens, &r->cap_tokens, c->n_tokens + enc.n, sizeof *c->tokens, r->e))
        return r->e->code;
    for (int64_t i = 0; i < enc.n; i++)
        if (enc.ids[i] == r->o->separator || enc.ids[i] == r->o->bos) {
            if (end_document(r))
                return r->e->code;
        } else {
            c->tokens[c->n_tokens++] = enc.ids[i];
        }
    c->invalid += enc.invalid;
    arena_rewind(&r->arena, mark);
    return end_document(r);
}

static int read_lines(struct reader *r, const char *path, bool is_json)
{
    struct stream *s;
    const char *line;
    size_t n;
    int rc = stream_open(&s, path, r->e);
    while (!rc && (rc = stream_line(&line, &n, s, 0, r->e)) > 0) {
        rc = 0;
        if (!n)
            continue;
        if (!is_json) {
            rc = add_text(r, line, n);
            continue;
        }
        if (stream_lines(s) == 1 && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
            line += 3; /* a byte order mark */
            n -= 3;
        }
        struct js *doc;
        char where[300];
        snprintf(where, sizeof where, "%.200s line %lld", path, (long long)stream_lines(s));
        rc = js_parse(&doc, line, n, 0, where, r->e);
        if (rc)
            break;
        const char *text = js_string(js_get(doc, "text"), &n);
        rc = text ? add_text(r, text, n)
                  : err_set(r->e, ERR_INPUT, "%s has no string \"text\"", where);
        js_release(&doc);
    }
    stream_release(&s);
    return rc;
}

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && !strcmp(s + n - m, suffix);
}

static int read_file(struct reader *r, const char *path)
{
    bool is_json = has_suffix(path, ".jsonl") || has_suffix(path, ".jsonl.gz") ||
                   has_suffix(path, ".jsonl.zst");
    if (is_json || r->o->lines)
        return read_lines(r, path, is_json);
    char *text;
    size_t n;
    if (stream_all(&text, &n, path, FILE_LIMIT, &r->arena, r->e))
        return r->e->code;
    int rc = add_text(r, text, n);
    arena_release(&r->arena);
    return rc;
}

/* Adds tokens [begin, end) to a list of pieces, cut to fit a window behind BOS. A rest of a single
 * token predicts nothing without a BOS and is left out. */
static int cut(struct reader *r, struct piece **list, int64_t *n, int64_t *capacity, int64_t begin,
    int64_t end)
{
    int64_t room = r->o->window - (r->o->bos >= 0);
    for (int64_t at = begin; at < end; at += room) {
        int64_t len = end - at < room ? end - at : room;
        if (len + (r->o->bos >= 0) < 2)
            continue;
        if (reserve((void **)list, capacity, *n + 1, sizeof **list, r->e))
            return r->e->code;
        (*list)[(*n)++] = (struct piece){at, (int32_t)len};
    }
    return 0;
}

/* Packing: the documents of one side become one run of tokens. */
static int pack(struct reader *r, const uint8_t *is_held)
{
    struct corpus *c = r->c;
    int64_t n = 0;
    int32_t *out = malloc((size_t)c->n_tokens * sizeof *out);
    if (!out)
        return err_set(
            r->e, ERR_LIMIT, "out of memory for a corpus of %lld tokens", (long long)c->n_tokens);
    for (int side = 0; side < 2; side++) {
        int64_t begin = n;
        for (int64_t d = 0; d < c->documents; d++) {
            int64_t from = d ? r->end[d - 1] : 0, count = r->end[d] - from;
            if (is_held[d] != side)
                continue;
            memcpy(out + n, c->tokens + from, (size_t)count * sizeof *out);
            n += count;
        }
        int rc = side ? cut(r, &c->held, &c->n_held, &r->cap_held, begin, n)
                      : cut(r, &c->train, &c->n_train, &r->cap_train, begin, n);
        if (rc) {
            free(out);
            return rc;
        }
    }
    free(c->tokens);
    c->tokens = out;
    c->n_tokens = n;
    return 0;
}

/* Sequences of single documents. */
static int separate(struct reader *r, const uint8_t *is_held)
{
    struct corpus *c = r->c;
    for (int64_t d = 0; d < c->documents; d++) {
        int64_t from = d ? r->end[d - 1] : 0;
        int rc = is_held[d] ? cut(r, &c->held, &c->n_held, &r->cap_held, from, r->end[d])
                            : cut(r, &c->train, &c->n_train, &r->cap_train, from, r->end[d]);
        if (rc)
            return rc;
    }
    return 0;
}

static int hash_all(struct corpus *c, struct err *e)
{
    struct hash *h;
    if (hash_create(&h, e))
        return e->code;
    hash_add(h, c->tokens, (size_t)c->n_tokens * sizeof *c->tokens);
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < (side ? c->n_held : c->n_train); i++) {
            const struct piece *p = side ? &c->held[i] : &c->train[i];
            hash_add_u64(h, (uint64_t)p->begin);
            hash_add_u64(h, (uint64_t)p->n);
        }
    hash_hex(c->hash, h);
    hash_release(&h);
    return 0;
}

static int build(struct reader *r)
{
    struct corpus *c = r->c;
    if (r->o->window < 2)
        return err_set(r->e, ERR_USAGE, "a window of %lld tokens predicts nothing; give 2 or more",
            (long long)r->o->window);
    for (int i = 0; i < r->o->n_paths; i++)
        if (read_file(r, r->o->paths[i]))
            return r->e->code;
    if (!c->documents)
        return err_set(r->e, ERR_INPUT, "the corpus holds no text");
    uint8_t *is_held = calloc((size_t)c->documents, 1);
    if (!is_held)
        return err_set(r->e, ERR_LIMIT, "out of memory");
    struct rng rng;
    rng_init(&rng, r->o->seed, HELD_STREAM);
    for (int64_t d = 0; d < c->documents; d++)
        is_held[d] = rng_uniform(&rng) < r->o->held_out;
    int rc = r->o->by_document ? separate(r, is_held) : pack(r, is_held);
    free(is_held);
    if (!rc && !c->n_train)
        rc = err_set(r->e, ERR_INPUT,
            "nothing is left to train on: %lld documents, all kept apart or too short",
            (long long)c->documents);
    return rc ? rc : hash_all(c, r->e);
}

int corpus_open(
    struct corpus **out, const struct corpus_opts *o, const struct tokenizer *t, struct err *e)
{
    struct err local = {0};
    struct reader r = {.o = o, .t = t, .e = e ? e : &local};
    *out = NULL;
    r.c = calloc(1, sizeof *r.c);
    if (!r.c)
        return err_set(e, ERR_LIMIT, "out of memory");
    r.c->bos = o->bos;
    int rc = build(&r);
    free(r.end);
    arena_release(&r.arena);
    if (rc)
        corpus_release(&r.c);
    *out = r.c;
    return rc;
}
