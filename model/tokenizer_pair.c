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
    int64_t guess = t->bpe.n ? t->bpe.list[t->bpe.n - 1].joined + 1 : -1;
    vocab_find_merge(ids, &t->vocab, guess, left, left_n, right, right_n);
    if (ids[0] < 0)
        return merge_fails(where, line, unknown, left, left_n, e);
    if (ids[1] < 0)
        return merge_fails(where, line, unknown, right, right_n, e);
    if (ids[2] < 0)
        return merge_fails(
            where, line, "makes a token that is not in the vocabulary, from", left, left_n, e);
    return bpe_add(&t->bpe, ids[0], ids[1], ids[2], e);
}

/* The lines of merges.txt that are merges. */
struct lines {
    const char *p, *stop, *where;
    size_t number;
};

struct line {
    const char *left, *right;
    size_t left_n, right_n;
};

static struct lines lines_of(const char *s, size_t n, const char *where)
{
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    return (struct lines){.p = s, .stop = s + n, .where = where};
}

/* 1: a merge, 0: the end, negative on error. */
static int next_merge(struct line *out, struct lines *k, struct err *e)
{
    while (k->p < k->stop) {
        const char *p = k->p, *nl = memchr(p, '\n', (size_t)(k->stop - p));
        size_t len = (size_t)((nl ? nl : k->stop) - p);
        k->p = nl ? nl + 1 : k->stop;
        if (len && p[len - 1] == '\r')
            len--;
        if (len >= 8 && !memcmp(p, "#version", 8))
            continue;
        const char *space = memchr(p, ' ', len);
        k->number++;
        const char *right = space ? space + 1 : p + len;
        *out = (struct line){.left = p,
            .right = right,
            .left_n = space ? (size_t)(space - p) : len,
            .right_n = (size_t)(p + len - right)};
        if (!space || memchr(right, ' ', out->right_n))
            return merge_fails(
                k->where, k->number, "is not two names and a space between them:", p, len, e);
        return 1;
    }
    return 0;
}

static int read_merges(
    struct tokenizer *t, const char *s, size_t n, const char *where, struct err *e)
{
    struct lines lines = lines_of(s, n, where);
    struct line m;
    /* About as many as tokens; the list grows where they are more. */
    int rc = bpe_init(&t->bpe, &t->vocab, (size_t)t->vocab.count, e);
    while (rc == 0 && (rc = next_merge(&m, &lines, e)) > 0)
        rc = tokenizer_read_merge(t, m.left, m.left_n, m.right, m.right_n, where, lines.number, e);
    return rc < 0 ? rc : bpe_finish(&t->bpe, &t->arena, e);
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

static const char remedy[] = "remove the form that is out of date";

static int other_name(const struct tokenizer *t, int64_t id, const char *name, size_t n,
    const char *where, struct err *e)
{
    const char *has = tokenizer_name(t, id);
    size_t has_n = has ? strlen(has) : 0;
    char ours[SHOWN] = "nothing", theirs[SHOWN];
    if (has)
        text_escape(ours, sizeof ours, has, has_n < SHOWN ? has_n : SHOWN, 0);
    text_escape(theirs, sizeof theirs, name, n < SHOWN ? n : SHOWN, 0);
    return err_set(e, ERR_INPUT, "%s: id %lld is '%s' in tokenizer.json and '%s' in vocab.json; %s",
        where, (long long)id, ours, theirs, remedy);
}

static int same_vocab(const struct tokenizer *t, const struct tokenizer_files *f, struct err *e)
{
    struct arena scratch = {0};
    struct scan s;
    int64_t ours = 0, theirs = 0;
    scan_init(&s, f->vocab_json, f->vocab_n, f->where);
    char *name = arena_alloc(&scratch, f->vocab_n + 1, e);
    int rc = name ? scan_open(&s, '{', e) : ERR_LIMIT;
    while (rc == 0 && (rc = scan_more(&s, '}', e)) > 0) {
        size_t n;
        int64_t id = -1;
        rc = scan_key(name, &n, &s, e);
        if (rc == 0)
            rc = scan_int(&id, &s, e);
        const struct token *k = id >= 0 && id < t->vocab.n ? &t->vocab.tokens[id] : NULL;
        if (rc == 0 && (!k || !k->name || k->name_n != n || memcmp(k->name, name, n) != 0))
            rc = other_name(t, id, name, n, f->where, e);
        /* What the library added to the model may be in vocab.json or not. */
        theirs += k && !k->added;
    }
    if (rc == 0)
        rc = scan_done(&s, e);
    for (int64_t id = 0; id < t->vocab.n; id++)
        ours += t->vocab.tokens[id].name && !t->vocab.tokens[id].added;
    if (rc == 0 && ours != theirs)
        rc = err_set(e, ERR_INPUT, "%s: tokenizer.json has %lld tokens and vocab.json %lld; %s",
            f->where, (long long)ours, (long long)theirs, remedy);
    arena_release(&scratch);
    return rc;
}

static bool is_called(const struct tokenizer *t, int32_t id, const char *name, size_t n)
{
    const struct token *k = &t->vocab.tokens[id];
    return k->name_n == n && !memcmp(k->name, name, n);
}

int tokenizer_check_pair(const struct tokenizer *t, const struct tokenizer_files *f, struct err *e)
{
    struct lines lines = lines_of(f->merges_txt, f->merges_n, f->where);
    struct line m;
    int rc = same_vocab(t, f, e);
    size_t i = 0;
    while (rc == 0 && (rc = next_merge(&m, &lines, e)) > 0) {
        const struct merge *own = i < t->bpe.n ? &t->bpe.list[i] : NULL;
        if (!own || !is_called(t, own->left, m.left, m.left_n) ||
            !is_called(t, own->right, m.right, m.right_n))
            break;
        i++;
        rc = 0;
    }
    if (rc < 0 || (rc == 0 && i == t->bpe.n))
        return rc;
    return err_set(e, ERR_INPUT, "%s: merge %zu differs in tokenizer.json and merges.txt; %s",
        f->where, i + 1, remedy);
}
