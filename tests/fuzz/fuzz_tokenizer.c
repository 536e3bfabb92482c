#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* "p" vocab.json 0xfe merges.txt 0xfe text; "j" tokenizer.json 0xfe text; "e" text for a vocabulary of
 * all bytes. (0xfe is in no UTF-8, so it parts the files.) */

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The part up to the next 0xfe (which becomes a NUL) is *n bytes long; returns what is behind it. */
static char *cut(size_t *n, char *s, char *end)
{
    char *at = memchr(s, 0xfe, (size_t)(end - s));
    *n = (size_t)((at ? at : end) - s);
    if (!at)
        return end;
    *at = '\0';
    return at + 1;
}

/* Every byte a token, "aa" and "he" merged: what it encodes, it must give back. */
static struct tokenizer *all_bytes(void)
{
    static struct tokenizer *t;
    if (t)
        return t;
    char vocab[8192], one[5] = "";
    size_t at = 0;
    vocab[at++] = '{';
    uint32_t spare = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool shown = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        memset(one, 0, sizeof one);
        utf8_put(one, shown ? b : spare++);
        at += (size_t)snprintf(vocab + at, sizeof vocab - at, "\"%s%s\":%u,",
            *one == '"' || *one == '\\' ? "\\" : "", one, b);
    }
    at += (size_t)snprintf(vocab + at, sizeof vocab - at, "\"aa\":256,\"he\":257}");
    struct tokenizer_files f = {.vocab_json = vocab,
        .vocab_n = at,
        .merges_txt = "a a\nh e\n",
        .merges_n = 8,
        .where = "bytes"};
    must(tokenizer_open(&t, &f, 258, NULL) == 0);
    return t;
}

static void encode(const struct tokenizer *t, const char *text, size_t n, bool exact)
{
    struct arena a = {0};
    struct err e = {0};
    for (unsigned flags = 0; flags < 4; flags++) {
        struct encoding x;
        size_t back_n, clean_n, len;
        int64_t at = 0, invalid;
        if (tokenizer_encode(&x, t, text, n, flags, &a, &e) < 0) {
            must(e.code && *e.msg);
            continue;
        }
        for (int64_t i = 0; i < x.n; i++) {
            must(tokenizer_bytes(t, x.ids[i], &len) != NULL);
            must(x.begin[i] == at && x.end[i] >= at);
            at = x.end[i];
        }
        must(x.n == 0 || at == (int64_t)n);
        char *back = tokenizer_decode(t, x.ids, x.n, &back_n, &a, &e);
        char *clean = utf8_replace(&clean_n, &invalid, text, n, &a, &e);
        must(back && clean && invalid == x.invalid);
        if (exact)
            must(back_n == clean_n && !memcmp(back, clean, clean_n));
    }
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n)
        return 0;
    char *copy = malloc(n + 1), *end = copy + n;
    memcpy(copy, data, n);
    copy[n] = '\0';
    char *first = copy + 1, *text = end;
    struct tokenizer_files f = {.where = "input"};
    if (*copy == 'p') {
        f.vocab_json = first;
        char *second = cut(&f.vocab_n, first, end);
        f.merges_txt = second;
        text = cut(&f.merges_n, second, end);
    } else if (*copy == 'j') {
        f.tokenizer_json = first;
        text = cut(&f.tokenizer_n, first, end);
    } else {
        encode(all_bytes(), first, n - 1, true);
        free(copy);
        return 0;
    }
    struct tokenizer *t = NULL;
    struct err e = {0};
    char hash[33];
    int64_t id;
    if (tokenizer_open(&t, &f, 0, &e) < 0) {
        must(e.code && *e.msg && !t);
    } else {
        encode(t, text, (size_t)(end - text), false);
        tokenizer_hash(hash, t);
        (void)tokenizer_single(&id, t, first, &e);
        tokenizer_release(&t);
    }
    free(copy);
    return 0;
}
