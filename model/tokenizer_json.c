#include "model/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/json.h"
#include "model/core/json_scan.h"
#include "model/core/text.h"

/* tokenizer.json, the form of Hugging Face's library: a pipeline of parts, of which those that GPT-2
 * models use are run exactly and all others are refused by name. */

struct slice {
    const char *p;
    size_t n;
};

struct parts {
    struct slice added, normalizer, pre_tokenizer, decoder;
    struct slice merges;
    struct slice type, dropout, unk, prefix, suffix, fuse_unk, byte_fallback, ignore_merges;
    bool has_model, has_vocab;
};

struct reader {
    struct tokenizer *t;
    const char *where;
    int64_t room;
    struct parts parts;
};

/* Which member goes where; others only have to be well-formed. */
struct member {
    const char *key;
    size_t offset;
};

#define MEMBER(name, field)                                                                        \
    {                                                                                              \
        name, offsetof(struct parts, field)                                                        \
    }
static const struct member document_members[] = {MEMBER("added_tokens", added),
    MEMBER("normalizer", normalizer), MEMBER("pre_tokenizer", pre_tokenizer),
    MEMBER("decoder", decoder), {0}};
static const struct member model_members[] = {MEMBER("type", type), MEMBER("dropout", dropout),
    MEMBER("unk_token", unk), MEMBER("continuing_subword_prefix", prefix),
    MEMBER("end_of_word_suffix", suffix), MEMBER("fuse_unk", fuse_unk),
    MEMBER("byte_fallback", byte_fallback), MEMBER("ignore_merges", ignore_merges),
    MEMBER("merges", merges), {0}};

static int keep(
    struct reader *r, const struct member *table, const char *key, struct scan *s, struct err *e)
{
    struct slice skipped = {0}, *to = &skipped;
    for (; table->key; table++)
        if (!strcmp(table->key, key))
            to = (struct slice *)((char *)&r->parts + table->offset);
    if (to->p)
        return scan_fail(s, "a key that comes twice", e);
    return scan_skip(&to->p, &to->n, s, e);
}

/* The key into a small buffer; longer ones are none of ours. */
static int short_key(char key[64], struct scan *s, struct err *e)
{
    const char *at;
    size_t n;
    key[0] = '\0';
    if (scan_peek(s) != '"')
        return scan_fail(s, "expected a key", e);
    struct scan ahead = *s;
    int rc = scan_skip(&at, &n, &ahead, e);
    if (rc == 0)
        rc = scan_key(n < 64 ? key : NULL, NULL, s, e);
    return rc;
}

static int read_model(struct reader *r, struct scan *s, struct err *e)
{
    char key[64];
    int rc = scan_open(s, '{', e);
    while (rc == 0 && (rc = scan_more(s, '}', e)) > 0) {
        rc = short_key(key, s, e);
        if (rc < 0)
            break;
        if (strcmp(key, "vocab") != 0) {
            rc = keep(r, model_members, key, s, e);
        } else if (scan_peek(s) != '{') {
            rc = err_set(e, ERR_INPUT,
                "%s: the vocabulary is not an object, so the model is not BPE; only byte-level "
                "BPE is read",
                r->where);
        } else if (r->parts.has_vocab) {
            rc = scan_fail(s, "a key that comes twice", e);
        } else {
            r->parts.has_vocab = true;
            rc = tokenizer_read_vocab(r->t, s, r->room, e);
        }
    }
    return rc;
}

static int read_document(struct reader *r, const char *text, size_t n, struct err *e)
{
    struct scan s;
    char key[64];
    scan_init(&s, text, n, r->where);
    int rc = scan_open(&s, '{', e);
    while (rc == 0 && (rc = scan_more(&s, '}', e)) > 0) {
        rc = short_key(key, &s, e);
        if (rc < 0)
            break;
        if (strcmp(key, "model") != 0) {
            rc = keep(r, document_members, key, &s, e);
        } else if (r->parts.has_model) {
            rc = scan_fail(&s, "a key that comes twice", e);
        } else {
            r->parts.has_model = true;
            rc = read_model(r, &s, e);
        }
    }
    return rc < 0 ? rc : scan_done(&s, e);
}

/* Parses a slice; an absent one gives NULL, which every accessor takes. */
static int parse(struct js **out, const struct slice *part, const char *where, struct err *e)
{
    *out = NULL;
    return part->p ? js_parse(out, part->p, part->n, 0, where, e) : 0;
}

static int refuse(const char *where, const char *what, const struct js *type, struct err *e)
{
    size_t n = 0;
    const char *name = js_string(type, &n);
    char shown[64] = "?";
    if (name)
        text_escape(shown, sizeof shown, name, n, 0);
    return err_set(e, ERR_INPUT,
        "%s: the %s '%s' is not supported; ids would differ, so only GPT-2's byte-level BPE is "
        "read",
        where, what, shown);
}

/* The only member of a Sequence, the value itself otherwise; NULL: nothing. *many: more than one. */
static const struct js *only(const struct js *v, const char *list, bool *many)
{
    *many = false;
    if (!js_is(js_get(v, "type"), "Sequence"))
        return js_kind(v) == JS_NULL ? NULL : v;
    const struct js *items = js_get(v, list);
    *many = js_count(items) > 1;
    return js_at(items, 0);
}

static bool flag(const struct js *object, const char *key, bool otherwise)
{
    bool b;
    return js_bool(&b, js_get(object, key)) ? b : otherwise;
}

static int read_pipeline(struct reader *r, struct err *e)
{
    struct js *normalizer = NULL, *pre = NULL, *decoder = NULL;
    bool many;
    int rc = parse(&normalizer, &r->parts.normalizer, r->where, e);
    if (rc == 0 && only(normalizer, "normalizers", &many))
        rc = refuse(r->where, "normalizer", js_get(normalizer, "type"), e);
    if (rc == 0)
        rc = parse(&pre, &r->parts.pre_tokenizer, r->where, e);
    if (rc == 0) {
        const struct js *one = only(pre, "pretokenizers", &many);
        if (!one)
            rc = err_set(e, ERR_INPUT,
                "%s: there is no pre_tokenizer, so text is not split as GPT-2 does", r->where);
        else if (many || !js_is(js_get(one, "type"), "ByteLevel"))
            rc = refuse(r->where, "pre_tokenizer", js_get(many ? pre : one, "type"), e);
        r->t->add_prefix_space = flag(one, "add_prefix_space", true);
        r->t->use_regex = flag(one, "use_regex", true);
    }
    if (rc == 0)
        rc = parse(&decoder, &r->parts.decoder, r->where, e);
    if (rc == 0) {
        const struct js *one = only(decoder, "decoders", &many);
        if (one && (many || !js_is(js_get(one, "type"), "ByteLevel")))
            rc = refuse(r->where, "decoder", js_get(many ? decoder : one, "type"), e);
    }
    js_release(&normalizer);
    js_release(&pre);
    js_release(&decoder);
    return rc;
}

/* ["a", "b"] into buf, one behind the other. */
static int read_two(char *buf, size_t n[2], struct scan *s, struct err *e)
{
    int rc = scan_open(s, '[', e);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = scan_more(s, ']', e);
        if (rc == 0)
            return scan_fail(s, "a merge of fewer than two names before here", e);
        if (rc > 0)
            rc = scan_string(i ? buf + n[0] + 1 : buf, &n[i], s, e);
    }
    if (rc == 0)
        rc = scan_more(s, ']', e);
    return rc > 0 ? scan_fail(s, "a merge of more than two names", e) : rc;
}

static int read_merge(struct reader *r, struct scan *s, char *buf, size_t line, struct err *e)
{
    size_t n[2] = {0, 0};
    if (scan_peek(s) != '"') {
        int rc = read_two(buf, n, s, e);
        return rc < 0
                   ? rc
                   : tokenizer_read_merge(r->t, buf, n[0], buf + n[0] + 1, n[1], r->where, line, e);
    }
    int rc = scan_string(buf, &n[0], s, e);
    if (rc < 0 || (n[0] >= 8 && !memcmp(buf, "#version", 8)))
        return rc;
    char *space = memchr(buf, ' ', n[0]);
    n[1] = space ? n[0] - (size_t)(space + 1 - buf) : 0;
    if (!space || memchr(space + 1, ' ', n[1]))
        return scan_fail(s, "a merge that is not two names and a space before here", e);
    return tokenizer_read_merge(
        r->t, buf, (size_t)(space - buf), space + 1, n[1], r->where, line, e);
}

static int read_merges(struct reader *r, struct err *e)
{
    struct tokenizer *t = r->t;
    const struct slice *merges = &r->parts.merges;
    struct arena scratch = {0};
    struct scan s;
    /* Merges are about as many as tokens; the table grows where they are more. */
    int rc = bpe_init(&t->bpe, &t->vocab, (size_t)t->vocab.count, e);
    char *buf = rc < 0 ? NULL : arena_alloc(&scratch, merges->n + 2, e);
    if (!buf)
        return ERR_LIMIT;
    scan_init(&s, merges->p, merges->n, r->where);
    rc = scan_open(&s, '[', e);
    size_t line = 0;
    while (rc == 0 && (rc = scan_more(&s, ']', e)) > 0)
        rc = read_merge(r, &s, buf, ++line, e);
    if (rc == 0)
        rc = bpe_finish(&t->bpe, &t->arena, e);
    arena_release(&scratch);
    return rc;
}

/* Switches of the model. What sounds like BPE but works otherwise is refused. */
static int read_switches(struct reader *r, struct err *e)
{
    struct parts *p = &r->parts;
    struct tokenizer *t = r->t;
    struct {
        struct slice *from;
        struct js *v;
    } part[] = {{&p->type, NULL}, {&p->dropout, NULL}, {&p->unk, NULL}, {&p->prefix, NULL},
        {&p->suffix, NULL}, {&p->fuse_unk, NULL}, {&p->byte_fallback, NULL},
        {&p->ignore_merges, NULL}};
    enum { TYPE, DROPOUT, UNK, PREFIX, SUFFIX, FUSE_UNK, BYTE_FALLBACK, IGNORE_MERGES, N };
    int rc = 0;
    for (int i = 0; i < N && rc == 0; i++)
        rc = parse(&part[i].v, part[i].from, r->where, e);
    double dropout = 0;
    bool b = false;
    size_t n = 0;
    const char *unk = js_string(part[UNK].v, &n);
    if (rc == 0 && part[TYPE].v && !js_is(part[TYPE].v, "BPE"))
        rc = refuse(r->where, "model", part[TYPE].v, e);
    else if (rc == 0 && js_real(&dropout, part[DROPOUT].v) && dropout != 0)
        rc = err_set(
            e, ERR_INPUT, "%s: dropout %g makes ids random; set it to null", r->where, dropout);
    else if (rc == 0 && js_kind(part[PREFIX].v) == JS_STRING && !js_is(part[PREFIX].v, ""))
        rc = refuse(r->where, "continuing_subword_prefix", part[PREFIX].v, e);
    else if (rc == 0 && js_kind(part[SUFFIX].v) == JS_STRING && !js_is(part[SUFFIX].v, ""))
        rc = refuse(r->where, "end_of_word_suffix", part[SUFFIX].v, e);
    else if (rc == 0 && js_bool(&b, part[BYTE_FALLBACK].v) && b)
        rc = err_set(e, ERR_INPUT, "%s: byte_fallback is not part of byte-level BPE", r->where);
    else if (rc == 0 && unk) {
        int64_t id = vocab_find(&t->vocab, unk, n);
        t->bpe.unk = (int32_t)id;
        /* The library finds out when it meets such a byte; we say so at once. */
        if (id < 0 && !t->bpe.complete)
            rc = err_set(e, ERR_INPUT, "%s: the unk_token is not in the vocabulary", r->where);
    }
    if (js_bool(&b, part[FUSE_UNK].v))
        t->bpe.fuse_unk = b;
    if (js_bool(&b, part[IGNORE_MERGES].v))
        t->bpe.ignore_merges = b;
    for (int i = 0; i < N; i++)
        js_release(&part[i].v);
    return rc;
}

/* The id that Hugging Face's library gives to a token the model does not have. */
static int64_t next_id(int64_t model_count, int64_t last)
{
    return last >= model_count ? last + 1 : model_count;
}

static int read_one_added(
    struct reader *r, const struct js *v, int64_t count, int64_t *last, struct err *e)
{
    struct tokenizer *t = r->t;
    size_t n = 0;
    const char *text = js_string(js_get(v, "content"), &n);
    int64_t id;
    if (!text || !js_int(&id, js_get(v, "id")))
        return err_set(
            e, ERR_INPUT, "%s: added token %d has no content or no id", r->where, t->added.n + 1);
    char shown[64];
    text_escape(shown, sizeof shown, text, n, 0);
    char *kept = arena_strndup(&t->arena, text, n, e);
    if (!kept)
        return ERR_LIMIT;
    int64_t has = vocab_find(&t->vocab, text, n);
    if (has >= 0 && t->vocab.tokens[has].literal)
        return err_set(e, ERR_INPUT, "%s: the added token '%s' comes twice", r->where, shown);
    int64_t expected = has >= 0 ? has : next_id(count, *last);
    if (id != expected)
        return err_set(e, ERR_INPUT,
            "%s: the added token '%s' says id %lld, but its place gives %lld; write the file again "
            "with the library that made it",
            r->where, shown, (long long)id, (long long)expected);
    if (has < 0) {
        int rc = vocab_put(&t->vocab, id, kept, n, true, r->where, &t->arena, e);
        if (rc < 0)
            return rc;
    }
    if (id > *last)
        *last = id;
    t->vocab.tokens[id].literal = true;
    t->added.list[t->added.n++] = (struct added){.text = kept,
        .n = n,
        .id = id,
        .single_word = flag(v, "single_word", false),
        .lstrip = flag(v, "lstrip", false),
        .rstrip = flag(v, "rstrip", false),
        .special = flag(v, "special", false),
        .normalized = flag(v, "normalized", true)};
    return 0;
}

static int read_added(struct reader *r, struct err *e)
{
    struct tokenizer *t = r->t;
    struct js *list = NULL;
    int rc = parse(&list, &r->parts.added, r->where, e);
    size_t n = js_count(list);
    if (rc == 0 && js_kind(list) != JS_ARRAY && js_kind(list) != JS_ABSENT &&
        js_kind(list) != JS_NULL)
        rc = err_set(e, ERR_INPUT, "%s: added_tokens is not a list", r->where);
    if (rc == 0 && n) {
        t->added.list = arena_array(&t->arena, n, sizeof *t->added.list, e);
        rc = t->added.list ? 0 : ERR_LIMIT;
    }
    int64_t count = t->vocab.count, last = -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_one_added(r, js_at(list, i), count, &last, e);
    js_release(&list);
    return rc;
}

int tokenizer_read_json(
    struct tokenizer *t, const struct tokenizer_files *f, int64_t room, struct err *e)
{
    struct reader r = {.t = t, .room = room};
    r.where = arena_printf(&t->arena, e, "%s/tokenizer.json", f->where);
    if (!r.where)
        return ERR_LIMIT;
    int rc = read_document(&r, f->tokenizer_json, f->tokenizer_n, e);
    if (rc == 0)
        rc = read_pipeline(&r, e);
    if (rc == 0 && (!r.parts.has_vocab || !r.parts.merges.p))
        rc = err_set(e, ERR_INPUT, "%s: the model has no %s; only byte-level BPE is read", r.where,
            r.parts.has_vocab ? "merges" : "vocab");
    if (rc == 0)
        rc = read_merges(&r, e);
    if (rc == 0)
        rc = read_switches(&r, e);
    if (rc == 0)
        rc = read_added(&r, e);
    return rc;
}
