#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "model/pretoken.h"
#include "model/tokenizer_impl.h"

/* Text to ids: invalid bytes replaced, added tokens cut out, the rest split into words, each word
 * merged (or copied from an earlier place in the same text). */

#define TEXT_MAX ((size_t)INT32_MAX)
#define CACHE_FROM 1024 /* bytes of text; below that a cache costs more than it saves */
#define CACHE_WORD 64   /* longer words do not come again often */

/* A word seen before: where it stood and which tokens it became. */
struct seen {
    const char *s;
    uint32_t n, count;
    size_t first;
};

struct encoder {
    const struct tokenizer *t;
    const char *text; /* valid UTF-8 */
    unsigned flags;
    size_t done; /* bytes of text that have their tokens */
    struct pieces out;
    uint32_t carry; /* bytes before `done` that no token covers yet */
    struct matcher *matcher;
    struct seen *cache;
    uint64_t cache_mask;
    struct arena scratch;
};

static int one_token(struct encoder *k, int64_t id, size_t len, struct err *e)
{
    int rc = pieces_reserve(&k->out, 1, e);
    if (rc < 0)
        return rc;
    k->out.ids[k->out.n] = (int32_t)id;
    k->out.len[k->out.n++] = (uint32_t)len + k->carry;
    k->carry = 0;
    return 0;
}

static int word(struct encoder *k, const char *s, size_t n, struct err *e)
{
    if (!k->cache || n > CACHE_WORD)
        return bpe_encode(&k->out, &k->carry, &k->t->bpe, s, n, e);
    struct seen *c = &k->cache[piece_hash(s, n) & k->cache_mask];
    if (c->n == n && !memcmp(c->s, s, n)) {
        int rc = pieces_reserve(&k->out, c->count, e);
        if (rc < 0)
            return rc;
        for (uint32_t i = 0; i < c->count; i++) {
            k->out.ids[k->out.n + i] = k->out.ids[c->first + i];
            k->out.len[k->out.n + i] = k->out.len[c->first + i];
        }
        k->out.n += c->count;
        return 0;
    }
    size_t first = k->out.n;
    int rc = bpe_encode(&k->out, &k->carry, &k->t->bpe, s, n, e);
    if (rc == 0)
        *c = (struct seen){
            .s = s, .n = (uint32_t)n, .count = (uint32_t)(k->out.n - first), .first = first};
    return rc;
}

static int words(struct encoder *k, const char *s, size_t n, struct err *e)
{
    if (!k->t->use_regex)
        return bpe_encode(&k->out, &k->carry, &k->t->bpe, s, n, e);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t end = pretoken_ascii(s, n, i);
        if (!end)
            rc = pretoken_regex(&end, k->t->words, &k->matcher, s, n, i, e);
        if (rc == 0)
            rc = word(k, s + i, end - i, e);
        i = end;
    }
    return rc;
}

/* The same where the first `skip` bytes of s are not to be counted: the space put in front, or what
 * an added token with its blanks has covered already. */
static int words_behind(struct encoder *k, const char *s, size_t n, size_t skip, struct err *e)
{
    size_t i = k->out.n;
    struct seen *cache = k->cache;
    k->cache = NULL; /* lengths change below */
    int rc = words(k, s, n, e);
    k->cache = cache;
    for (; rc == 0 && skip && i < k->out.n; i++) {
        size_t cut = skip < k->out.len[i] ? skip : k->out.len[i];
        k->out.len[i] -= (uint32_t)cut;
        skip -= cut;
    }
    if (rc == 0)
        k->carry -= skip < k->carry ? (uint32_t)skip : k->carry;
    return rc;
}

static int plain(struct encoder *k, size_t begin, size_t end, struct err *e)
{
    const char *s = k->text + begin;
    size_t n = end - begin, skip = k->done > begin ? k->done - begin : 0;
    bool prefix = k->t->add_prefix_space && !(k->flags & ENCODE_NO_PREFIX) && *s != ' ';
    if (prefix) {
        char *copy = arena_alloc(&k->scratch, n + 1, e);
        if (!copy)
            return ERR_LIMIT;
        copy[0] = ' ';
        memcpy(copy + 1, s, n++);
        s = copy;
        skip++;
    }
    return skip ? words_behind(k, s, n, skip, e) : words(k, s, n, e);
}

static int stretch(void *arg, const struct added *token, size_t begin, size_t end, struct err *e)
{
    struct encoder *k = arg;
    size_t fresh = end > k->done ? end - k->done : 0;
    int rc = token ? one_token(k, token->id, fresh, e) : plain(k, begin, end, e);
    k->done += fresh;
    return rc;
}

/* Follows the replaced text through the original one. */
struct walk {
    const char *s;
    size_t n;
    size_t clean, orig;     /* where the current stretch begins in both */
    size_t clean_n, orig_n; /* valid: equal; a replacement: 3 and the bytes it stands for */
};

static void walk_on(struct walk *w)
{
    w->clean += w->clean_n;
    w->orig += w->orig_n;
    size_t good = utf8_valid_prefix(w->s + w->orig, w->n - w->orig);
    w->clean_n = w->orig_n = good;
    if (good == 0 && w->orig < w->n) {
        uint32_t cp;
        w->clean_n = 3;
        w->orig_n = (size_t)-utf8_next(&cp, w->s + w->orig, w->n - w->orig);
    }
}

static int64_t original(struct walk *w, size_t clean)
{
    while (clean - w->clean >= w->clean_n && w->orig < w->n)
        walk_on(w);
    size_t into = clean - w->clean;
    return (int64_t)(w->orig + (into < w->orig_n ? into : w->orig_n));
}

static int finish(struct encoding *out, struct encoder *k, const char *text, size_t n,
    struct arena *arena, struct err *e)
{
    size_t count = k->out.n;
    out->n = (int64_t)count;
    out->ids = arena_array(arena, count, sizeof *out->ids, e);
    out->begin = arena_array(arena, count, sizeof *out->begin, e);
    out->end = arena_array(arena, count, sizeof *out->end, e);
    if (!out->ids || !out->begin || !out->end)
        return ERR_LIMIT;
    if (!count)
        return 0;
    memcpy(out->ids, k->out.ids, count * sizeof *out->ids);
    k->out.len[count - 1] += k->carry;
    size_t at = 0;
    int64_t last = 0;
    struct walk w = {.s = text, .n = n};
    for (size_t i = 0; i < count; i++) {
        at += k->out.len[i];
        out->begin[i] = last;
        last = out->invalid ? original(&w, at) : (int64_t)at;
        out->end[i] = last;
    }
    return 0;
}

static int too_long(size_t n, struct err *e)
{
    return err_set(e, ERR_LIMIT, "a text of %.1f GB is too long to tokenize at once; split it",
        (double)n / 1e9);
}

int tokenizer_encode(struct encoding *out, const struct tokenizer *t, const char *text, size_t n,
    unsigned flags, struct arena *arena, struct err *e)
{
    struct encoder k = {.t = t, .text = text, .flags = flags};
    size_t clean_n = n;
    *out = (struct encoding){0};
    if (n > TEXT_MAX)
        return too_long(n, e);
    int rc = 0;
    if (utf8_valid_prefix(text, n) < n) {
        k.text = utf8_replace(&clean_n, &out->invalid, text, n, &k.scratch, e);
        rc = !k.text ? ERR_LIMIT : clean_n > TEXT_MAX ? too_long(n, e) : 0;
    }
    if (rc == 0 && clean_n >= CACHE_FROM && t->bpe.complete) {
        k.cache_mask = 255;
        while (k.cache_mask < clean_n / 64 && k.cache_mask < 16383)
            k.cache_mask = k.cache_mask * 2 + 1;
        k.cache = calloc(k.cache_mask + 1, sizeof *k.cache);
    }
    if (rc == 0)
        rc = added_split(&t->added, k.text, clean_n, flags & ENCODE_SPECIAL, stretch, &k, e);
    if (rc == 0)
        rc = finish(out, &k, text, n, arena, e);
    if (rc < 0)
        *out = (struct encoding){0};
    pieces_release(&k.out);
    matcher_release(&k.matcher);
    free(k.cache);
    arena_release(&k.scratch);
    return rc;
}
