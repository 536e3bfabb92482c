#include "model/added.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"

/* A word character as Rust's regex library has it (Unicode 16): the properties that PCRE2 10.42 knows
 * for Unicode 14 and what was added since, found by asking both about every code point. */
static const char word_class[] =
    "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
    "\\x{897}\\x{cf3}\\x{ece}\\x{1c89}\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}"
    "\\x{105c0}-\\x{105f3}\\x{10d40}-\\x{10d65}\\x{10d69}-\\x{10d6d}\\x{10d6f}-\\x{10d85}"
    "\\x{10ec2}-\\x{10ec4}\\x{10efc}-\\x{10eff}\\x{1123f}-\\x{11241}\\x{11380}-\\x{11389}"
    "\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}-\\x{113c0}\\x{113c2}\\x{113c5}"
    "\\x{113c7}-\\x{113ca}\\x{113cc}-\\x{113d3}\\x{113e1}\\x{113e2}\\x{116d0}-\\x{116e3}"
    "\\x{11bc0}-\\x{11be0}\\x{11bf0}-\\x{11bf9}\\x{11f00}-\\x{11f10}\\x{11f12}-\\x{11f3a}"
    "\\x{11f3e}-\\x{11f42}\\x{11f50}-\\x{11f5a}\\x{1342f}\\x{13440}-\\x{13455}"
    "\\x{13460}-\\x{143fa}\\x{16100}-\\x{16139}\\x{16d40}-\\x{16d6c}\\x{16d70}-\\x{16d79}"
    "\\x{18cff}\\x{1b132}\\x{1b155}\\x{1ccf0}-\\x{1ccf9}\\x{1df25}-\\x{1df2a}"
    "\\x{1e030}-\\x{1e06d}\\x{1e08f}\\x{1e4d0}-\\x{1e4f9}\\x{1e5d0}-\\x{1e5fa}\\x{2b739}"
    "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
    "]";

static int by_bytes(const void *x, const void *y)
{
    const struct added *a = *(struct added *const *)x, *b = *(struct added *const *)y;
    int c = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

int added_finish(struct added_set *s, struct arena *a, struct err *e)
{
    bool words = false;
    for (int p = 0; p < 2; p++) {
        s->pass[p] = arena_array(a, (size_t)s->n + 1, sizeof(void *), e);
        if (!s->pass[p])
            return ERR_LIMIT;
        s->pass_n[p] = 0;
    }
    for (int i = 0; i < s->n; i++) {
        struct added *t = &s->list[i];
        words |= t->single_word;
        if (!t->n)
            continue;
        s->pass[t->normalized][s->pass_n[t->normalized]++] = t;
        s->starts[t->normalized][(unsigned char)t->text[0]] = true;
    }
    for (int p = 0; p < 2; p++)
        qsort(s->pass[p], (size_t)s->pass_n[p], sizeof(void *), by_bytes);
    return words ? regex_compile(&s->word, word_class, sizeof word_class - 1, REGEX_ANCHORED, e)
                 : 0;
}

void added_release(struct added_set *s)
{
    regex_release(&s->word);
}

/* The longest token of a pass that begins at s[i], by narrowing the sorted list byte by byte. */
static const struct added *longest_at(
    const struct added_set *set, int pass, const char *s, size_t n, size_t i)
{
    struct added *const *list = set->pass[pass];
    int lo = 0, hi = set->pass_n[pass];
    const struct added *found = NULL;
    for (size_t d = 0; lo < hi; d++) {
        if (list[lo]->n == d)
            found = list[lo++];
        if (i + d >= n)
            break;
        unsigned char c = (unsigned char)s[i + d];
        for (int part = 0; part < 2; part++) {
            /* part 0: the first with a byte >= c; part 1: the first with a byte > c. */
            int l = lo, h = hi;
            while (l < h) {
                int mid = l + (h - l) / 2;
                unsigned char m = (unsigned char)list[mid]->text[d];
                if (m < c || (part && m == c))
                    l = mid + 1;
                else
                    h = mid;
            }
            if (part)
                hi = l;
            else
                lo = l;
        }
    }
    return found;
}

static bool blank(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == ' ' || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static size_t char_before(const char *s, size_t i)
{
    do
        i--;
    while (i && ((unsigned char)s[i] & 0xc0) == 0x80);
    return i;
}

static size_t blanks_before(const char *s, size_t i)
{
    while (i) {
        size_t j = char_before(s, i);
        uint32_t cp;
        if (utf8_next(&cp, s + j, i - j) < 0 || !blank(cp))
            break;
        i = j;
    }
    return i;
}

static size_t blanks_behind(const char *s, size_t n, size_t i)
{
    while (i < n) {
        uint32_t cp;
        int len = utf8_next(&cp, s + i, n - i);
        if (len < 0 || !blank(cp))
            break;
        i += (size_t)len;
    }
    return i;
}

/* 1 if the character at s[i] belongs to a word, 0 if not, negative on error. */
static int is_word(const struct added_set *set, struct matcher **m, const char *s, size_t n,
    size_t i, struct err *e)
{
    size_t begin, end;
    int rc = *m ? 0 : matcher_create(m, set->word, e);
    return rc < 0 ? rc : regex_find(&begin, &end, *m, s, n, i, REGEX_CHECKED, e);
}

/* 1 if the token at [i, j) touches no word, 0 if it does. */
static int stands_alone(const struct added_set *set, struct matcher **m, const char *s, size_t n,
    size_t i, size_t j, struct err *e)
{
    int rc = i ? is_word(set, m, s, n, char_before(s, i), e) : 0;
    if (rc == 0 && j < n)
        rc = is_word(set, m, s, n, j, e);
    return rc < 0 ? rc : !rc;
}

struct split {
    const struct added_set *set;
    struct matcher *matcher;
    bool special;
    added_fn fn;
    void *arg;
};

static int split_pass(
    struct split *k, int pass, const char *all, size_t base, size_t n, struct err *e);

static int plain(struct split *k, int pass, const char *s, size_t begin, size_t end, struct err *e)
{
    if (begin >= end)
        return 0;
    return pass == 0 ? split_pass(k, 1, s, begin, end - begin, e)
                     : k->fn(k->arg, NULL, begin, end, e);
}

/* One pass over s[base, base + n), which is a text of its own to the rules about neighbours. */
static int split_pass(
    struct split *k, int pass, const char *all, size_t base, size_t n, struct err *e)
{
    const struct added_set *set = k->set;
    const char *s = all + base;
    if (!set->pass_n[pass])
        return plain(k, pass, all, base, base + n, e);
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        const struct added *t = NULL;
        if (set->starts[pass][(unsigned char)s[i]])
            t = longest_at(set, pass, s, n, i);
        if (!t) {
            i++;
            continue;
        }
        size_t begin = i, end = i + t->n;
        i = end;
        if (t->special && !k->special)
            continue;
        int rc = t->single_word ? stands_alone(set, &k->matcher, s, n, begin, end, e) : 1;
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        if (t->lstrip) {
            size_t b = blanks_before(s, begin);
            begin = b > done ? b : done;
        }
        if (t->rstrip)
            end = blanks_behind(s, n, end);
        if (begin >= end)
            continue; /* all of it is gone with the blanks behind the last token */
        rc = plain(k, pass, all, base + done, base + begin, e);
        if (rc == 0)
            rc = k->fn(k->arg, t, base + begin, base + end, e);
        if (rc < 0)
            return rc;
        done = end;
    }
    return plain(k, pass, all, base + done, base + n, e);
}

int added_split(const struct added_set *set, const char *s, size_t n, bool special, added_fn fn,
    void *arg, struct err *e)
{
    struct split k = {.set = set, .special = special, .fn = fn, .arg = arg};
    int rc = split_pass(&k, 0, s, 0, n, e);
    matcher_release(&k.matcher);
    return rc;
}
