#include "model/tokenizer_impl.h"

#include <string.h>

#include "model/core/json_scan.h"
#include "model/core/text.h"

/* vocab.json and merges.txt, the form GPT-2 was published in. */

#define END_OF_TEXT "<|endoftext|>"
#define SHOWN 64

int tokenizer_read_vocab(struct tokenizer *t, struct scan *s, int64_t room, struct err *e)
{
    size_t left = (size_t)(s->end - s->p);
    /* A member takes five bytes at least, so this bounds dense ids. */
    int rc = vocab_init(&t->vocab, room > 0 ? room : (int64_t)(left / 5) + 1024, &t->arena, e);
    char *names = rc < 0 ? NULL : arena_alloc(&t->arena, left + 1, e);
    if (!names)
        return ERR_LIMIT;
    rc = scan_open(s, '{', e);
    while (rc == 0 && (rc = scan_more(s, '}', e)) > 0) {
        size_t n;
        int64_t id;
        rc = scan_key(names, &n, s, e);
        if (rc == 0)
            rc = scan_int(&id, s, e);
        if (rc == 0)
            rc = vocab_put(&t->vocab, id, names, n, false, s->where, &t->arena, e);
        names += n + 1;
    }
    if (rc == 0 && !t->vocab.count)
        rc = err_set(e, ERR_INPUT, "%s: the vocabulary is empty", s->where);
    return rc;
}

static int merge_fails(
    const char *where, size_t line, const char *what, const char *s, size_t n, struct err *e)
{
    char shown[SHOWN + 16];
    text_escape(shown, sizeof shown, s, n < SHOWN ? n : SHOWN, 0);
    return err_set(
        e, ERR_INPUT, "%s: merge %zu %s '%s'%s", where, line, what, shown, n > SHOWN ? "..." : "");
}

int tokenizer_read_merge(struct tokenizer *t, const char *left, size_t left_n, const char *right,
    size_t right_n, const char *where, size_t line, struct err *e)
{
    static const char unknown[] = "names a token that is not in the vocabulary:";
    int64_t ids[3];
    /* Trainers number tokens in the order of their merges. */
    vocab_find_merge(ids, &t->vocab, t->bpe.last_joined + 1, left, left_n, right, right_n);
    if (ids[0] < 0)
        return merge_fails(where, line, unknown, left, left_n, e);
    if (ids[1] < 0)
        return merge_fails(where, line, unknown, right, right_n, e);
    if (ids[2] < 0)
        return merge_fails(
            where, line, "makes a token that is not in the vocabulary, from", left, left_n, e);
    return bpe_add(&t->bpe, ids[0], ids[1], ids[2], e);
}

static int read_merges(
    struct tokenizer *t, const char *s, size_t n, const char *where, struct err *e)
{
    size_t end = n;
    while (end && (s[end - 1] == '\n' || s[end - 1] == '\r'))
        end--;
    size_t lines = 0;
    for (const char *p = s; (p = memchr(p, '\n', (size_t)(s + end - p))); p++)
        lines++;
    int rc = bpe_init(&t->bpe, &t->vocab, lines + 1, &t->arena, e);
    size_t number = 0;
    for (const char *p = s, *stop = s + end; rc == 0 && p < stop;) {
        const char *nl = memchr(p, '\n', (size_t)(stop - p));
        const char *eol = nl ? nl : stop;
        size_t len = (size_t)(eol - p);
        if (len && p[len - 1] == '\r')
            len--;
        bool comment = len >= 8 && !memcmp(p, "#version", 8);
        const char *space = memchr(p, ' ', len);
        if (!comment) {
            number++;
            size_t k = space ? (size_t)(space - p) : 0;
            if (!space || memchr(space + 1, ' ', len - k - 1))
                rc = merge_fails(
                    where, number, "is not two names and a space between them:", p, len, e);
            else
                rc = tokenizer_read_merge(t, p, k, space + 1, len - k - 1, where, number, e);
        }
        p = nl ? nl + 1 : stop;
    }
    bpe_finish(&t->bpe);
    return rc;
}

int tokenizer_read_pair(
    struct tokenizer *t, const struct tokenizer_files *f, int64_t room, struct err *e)
{
    char *where = arena_printf(&t->arena, e, "%s/vocab.json", f->where);
    char *merges = arena_printf(&t->arena, e, "%s/merges.txt", f->where);
    if (!where || !merges)
        return ERR_LIMIT;
    struct scan s;
    scan_init(&s, f->vocab_json, f->vocab_n, where);
    int rc = tokenizer_read_vocab(t, &s, room, e);
    if (rc == 0)
        rc = scan_done(&s, e);
    if (rc == 0)
        rc = read_merges(t, f->merges_txt, f->merges_n, merges, e);
    t->use_regex = true;
    /* The one token that GPT-2's own code and transformers cut out of the text. */
    int64_t id = rc == 0 ? vocab_find(&t->vocab, END_OF_TEXT, strlen(END_OF_TEXT)) : -1;
    if (id < 0)
        return rc;
    t->added.list = arena_zalloc(&t->arena, sizeof *t->added.list, e);
    if (!t->added.list)
        return ERR_LIMIT;
    t->added.list[0] =
        (struct added){.text = END_OF_TEXT, .n = strlen(END_OF_TEXT), .id = id, .special = true};
    t->added.n = 1;
    t->vocab.tokens[id].literal = true;
    return 0;
}
