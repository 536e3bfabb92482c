#include "model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/hash.h"
#include "model/core/text.h"
#include "model/pretoken.h"
#include "model/tokenizer_impl.h"

#define SHOWN 96

static int read_files(
    struct tokenizer *t, const struct tokenizer_files *f, int64_t room, struct err *e)
{
    bool pair = f->vocab_json && f->merges_txt;
    if (!f->tokenizer_json && !pair)
        return err_set(e, ERR_INPUT,
            "%s: no tokenizer (tokenizer.json, or vocab.json and merges.txt); only --tokens works",
            f->where);
    int rc =
        f->tokenizer_json ? tokenizer_read_json(t, f, room, e) : tokenizer_read_pair(t, f, room, e);
    if (rc < 0 || !f->tokenizer_json || !pair)
        return rc;
    return tokenizer_check_pair(t, f, e);
}

int tokenizer_open(
    struct tokenizer **out, const struct tokenizer_files *f, int64_t vocab_size, struct err *e)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    *out = t;
    if (!t)
        return err_set(e, ERR_LIMIT, "%s: out of memory (tokenizer)", f->where);
    int rc = read_files(t, f, vocab_size, e);
    if (rc == 0)
        rc = added_finish(&t->added, &t->arena, e);
    if (rc == 0)
        rc = pretoken_compile(&t->words, e);
    if (rc < 0)
        tokenizer_release(out);
    return rc;
}

void tokenizer_release(struct tokenizer **t)
{
    if (!*t)
        return;
    bpe_release(&(*t)->bpe);
    added_release(&(*t)->added);
    regex_release(&(*t)->words);
    arena_release(&(*t)->arena);
    free(*t);
    *t = NULL;
}

/* Words do not reach across such a place (pretoken.c), but an added token may: by blanks in its text,
 * by taking those beside it, or by asking what stands there. */
bool tokenizer_cuts_at_blanks(const struct tokenizer *t)
{
    bool cuts = t->use_regex && !t->add_prefix_space;
    for (int i = 0; i < t->added.n && cuts; i++) {
        const struct added *k = &t->added.list[i];
        cuts = !k->lstrip && !k->rstrip;
        for (size_t c = 0; c < k->n && cuts; c++)
            cuts = (unsigned char)k->text[c] > ' ';
    }
    return cuts;
}

int64_t tokenizer_size(const struct tokenizer *t)
{
    return t->vocab.n;
}

const char *tokenizer_bytes(const struct tokenizer *t, int64_t id, size_t *n)
{
    const struct token *k = id >= 0 && id < t->vocab.n ? &t->vocab.tokens[id] : NULL;
    *n = 0;
    if (!k || !k->name)
        return NULL;
    *n = k->literal ? k->name_n : k->bytes_n;
    return k->literal ? k->name : k->bytes;
}

const char *tokenizer_name(const struct tokenizer *t, int64_t id)
{
    return id >= 0 && id < t->vocab.n ? t->vocab.tokens[id].name : NULL;
}

int64_t tokenizer_special(const struct tokenizer *t, const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < t->added.n; i++)
        if (t->added.list[i].n == n && !memcmp(t->added.list[i].text, text, n))
            return t->added.list[i].id;
    return -1;
}

static int no_such_id(const struct tokenizer *t, int64_t id, struct err *e)
{
    return err_set(e, ERR_USAGE, "there is no token %lld; the vocabulary has ids 0 to %lld",
        (long long)id, (long long)t->vocab.n - 1);
}

/* "#123" and nothing else; -1 otherwise. */
static int64_t numbered(const char *text)
{
    if (text[0] != '#' || !text[1])
        return -1;
    int64_t id = 0;
    for (const char *p = text + 1; *p; p++) {
        if (*p < '0' || *p > '9' || p - text > 15)
            return -1;
        id = id * 10 + (*p - '0');
    }
    return id;
}

/* " gave", " Mara" as they are drawn: "gave|Mara" with visible spaces. */
static void list_tokens(char *out, size_t cap, const struct tokenizer *t, const struct encoding *x)
{
    size_t at = 0;
    for (int64_t i = 0; i < x->n && at + 1 < cap; i++) {
        size_t n;
        char one[64];
        const char *bytes = tokenizer_bytes(t, x->ids[i], &n);
        text_escape(one, sizeof one, bytes, n, TEXT_DOTS);
        at += (size_t)snprintf(out + at, cap - at, i ? "|%s" : "%s", one);
    }
}

int tokenizer_single(int64_t *out, const struct tokenizer *t, const char *text, struct err *e)
{
    size_t n;
    *out = numbered(text);
    if (*out >= 0)
        return tokenizer_bytes(t, *out, &n) ? 0 : no_such_id(t, *out, e);
    struct arena scratch = {0};
    struct encoding x;
    int rc =
        tokenizer_encode(&x, t, text, strlen(text), ENCODE_SPECIAL | ENCODE_NO_PREFIX, &scratch, e);
    if (rc == 0 && x.n == 1 && !x.invalid) {
        *out = x.ids[0];
    } else if (rc == 0) {
        char shown[SHOWN], list[300] = "";
        text_escape(shown, sizeof shown, text, strlen(text), 0);
        list_tokens(list, sizeof list, t, &x);
        rc = err_set(e, ERR_USAGE,
            "'%s' is %lld tokens%s%s, and one is needed (mind the space in front, or give #ID)",
            shown, (long long)x.n, x.n ? ": " : "", list);
    }
    arena_release(&scratch);
    return rc;
}

char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n,
    struct arena *arena, struct err *e)
{
    size_t total = 0, one;
    for (int64_t i = 0; i < n_ids; i++) {
        if (!tokenizer_bytes(t, ids[i], &one)) {
            no_such_id(t, ids[i], e);
            return NULL;
        }
        total += one;
    }
    char *out = arena_alloc(arena, total + 1, e);
    if (!out)
        return NULL;
    char *p = out;
    for (int64_t i = 0; i < n_ids; i++) {
        const char *bytes = tokenizer_bytes(t, ids[i], &one);
        memcpy(p, bytes, one);
        p += one;
    }
    *p = '\0';
    *n = total;
    return out;
}

static size_t put(char *out, size_t at, size_t cap, const char *s, size_t n)
{
    if (n > cap - at)
        return at;
    memcpy(out + at, s, n);
    return at + n;
}

/* Whether s[0..n), n < 4, can still become a character when more bytes come. */
static bool unfinished(const char *s, size_t n)
{
    uint32_t cp;
    unsigned char lead = (unsigned char)s[0];
    size_t want = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return n < want && utf8_next(&cp, s, n) == -(int)n;
}

size_t decoder_push(struct decoder *d, char *out, size_t n, const char *bytes, size_t n_bytes)
{
    char joint[8]; /* what was held and the bytes that may complete it */
    size_t at = 0, i = 0;
    while (d->n || i < n_bytes) {
        const char *s = bytes + i;
        size_t have = n_bytes - i, held = (size_t)d->n;
        if (held) {
            size_t more = have < 4 ? have : 4;
            memcpy(joint, d->held, held);
            memcpy(joint + held, s, more);
            s = joint;
            have = held + more;
        }
        size_t good = utf8_valid_prefix(s, held ? (have < 4 ? have : 4) : have);
        if (held && good > 0) {
            uint32_t cp;
            good = (size_t)utf8_next(&cp, s, have);
        }
        size_t taken = good;
        if (good) {
            at = put(out, at, n, s, good);
        } else if (have < 4 && unfinished(s, have)) {
            memmove(d->held, s, have);
            d->n = (int)have;
            return at;
        } else {
            uint32_t cp;
            taken = (size_t)-utf8_next(&cp, s, have);
            at = put(out, at, n, "\xef\xbf\xbd", 3);
        }
        /* A sequence that began in the held bytes ends with them or behind them. */
        i += taken - held;
        d->n = 0;
    }
    return at;
}

size_t decoder_flush(struct decoder *d, char *out, size_t n)
{
    size_t at = d->n ? put(out, 0, n, "\xef\xbf\xbd", 3) : 0;
    d->n = 0;
    return at;
}

/* The same for both forms of one tokenizer: names by id, merges by rank, added tokens, switches. */
void tokenizer_hash(char out[33], const struct tokenizer *t)
{
    struct hash *h = NULL;
    memset(out, '0', 32);
    out[32] = '\0';
    if (hash_create(&h, NULL) < 0)
        return;
    hash_add_u64(h, (uint64_t)t->vocab.n);
    for (int64_t id = 0; id < t->vocab.n; id++) {
        const struct token *k = &t->vocab.tokens[id];
        hash_add_u64(h, k->name ? k->name_n + 1ull : 0);
        if (k->name)
            hash_add(h, k->name, k->name_n);
    }
    hash_add(h, t->bpe.list, t->bpe.n * sizeof *t->bpe.list);
    hash_add_u64(h, (uint64_t)t->add_prefix_space | (uint64_t)t->use_regex << 1 |
                        (uint64_t)t->bpe.fuse_unk << 2 | (uint64_t)t->bpe.ignore_merges << 3);
    hash_add_u64(h, (uint64_t)(int64_t)t->bpe.unk);
    bool two_passes = t->added.pass_n[0] && t->added.pass_n[1];
    for (int i = 0; i < t->added.n; i++) {
        const struct added *k = &t->added.list[i];
        hash_add_u64(h, (uint64_t)k->id);
        hash_add_u64(h, (uint64_t)k->single_word | (uint64_t)k->lstrip << 1 |
                            (uint64_t)k->rstrip << 2 | (uint64_t)k->special << 3 |
                            (uint64_t)(two_passes && k->normalized) << 4);
    }
    hash_hex(out, h);
    hash_release(&h);
}
