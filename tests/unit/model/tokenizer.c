#include "model/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"
#include "model/core/stream.h"
#include "model/core/text.h"
#include "model/pretoken.h"

static char folder_buf[1024];

static const char *golden(const char *name)
{
    snprintf(folder_buf, sizeof folder_buf, "%s/numbers/goldens/tokenizer/%s",
        getenv("SONDE_TEST_SOURCE"), name);
    return folder_buf;
}

static char *contents(size_t *n, const char *folder, const char *name, struct arena *a)
{
    char path[1100], *out;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *n = 0;
    return stream_all(&out, n, path, (size_t)1 << 28, a, &e) == 0 ? out : NULL;
}

enum { PAIR = 1, JSON = 2 };

static int open_folder(
    struct tokenizer **t, const char *folder, int forms, struct arena *a, struct err *e)
{
    struct tokenizer_files f = {.where = folder};
    if (forms & PAIR) {
        f.vocab_json = contents(&f.vocab_n, folder, "vocab.json", a);
        f.merges_txt = contents(&f.merges_n, folder, "merges.txt", a);
    }
    if (forms & JSON)
        f.tokenizer_json = contents(&f.tokenizer_n, folder, "tokenizer.json", a);
    return tokenizer_open(t, &f, 0, e);
}

static size_t unhex(char *out, const char *hex)
{
    size_t n = 0;
    for (; hex[0] != ' ' && hex[0] != '-'; hex += 2) {
        char two[3] = {hex[0], hex[1], '\0'};
        out[n++] = (char)strtol(two, NULL, 16);
    }
    return n;
}

/* Offsets tile the text, and the bytes of the tokens are those of the text. */
static void sound(const struct tokenizer *t, const struct encoding *x, const char *text, size_t n)
{
    int64_t at = 0;
    for (int64_t i = 0; i < x->n; i++) {
        size_t len;
        const char *bytes = tokenizer_bytes(t, x->ids[i], &len);
        assert_non_null(bytes);
        assert_int_equal(x->begin[i], at);
        assert_true(x->end[i] >= at);
        at = x->end[i];
        if (!x->invalid) {
            assert_int_equal(len, x->end[i] - x->begin[i]);
            assert_memory_equal(bytes, text + x->begin[i], len);
        }
    }
    assert_int_equal(at, n);
}

static void check_cases(const char *cases_in, const char *folder, int forms, bool exact)
{
    struct arena a = {0};
    struct err e = {0};
    struct tokenizer *t = NULL;
    if (open_folder(&t, folder, forms, &a, &e) < 0)
        fail_msg("%s", e.msg);
    char path[1100], text[8192];
    snprintf(path, sizeof path, "%s/cases", cases_in);
    struct stream *s = NULL;
    const char *line;
    size_t line_n;
    int checked = 0;
    assert_int_equal(stream_open(&s, path, &e), 0);
    while (stream_line(&line, &line_n, s, 0, &e) > 0) {
        assert_true(line_n < 2 * sizeof text);
        size_t n = unhex(text, line);
        const char *ids = strchr(line, ' ') + 1;
        unsigned flags = line[line_n - 1] == '1' ? ENCODE_SPECIAL : 0;
        struct encoding x;
        assert_int_equal(tokenizer_encode(&x, t, text, n, flags, &a, &e), 0);
        for (int64_t i = 0; i < x.n; i++) {
            char *end;
            if (strtol(ids, &end, 10) != x.ids[i])
                fail_msg("%s: token %lld of %s", path, (long long)i, line);
            ids = *end == ',' ? end + 1 : end;
        }
        if (*ids == '-')
            ids++;
        assert_int_equal(*ids, ' ');
        if (exact)
            sound(t, &x, text, n);
        else
            assert_int_equal(x.n ? x.end[x.n - 1] : 0, x.n ? (int64_t)n : 0);
        checked++;
    }
    assert_true(checked > 100);
    stream_release(&s);
    tokenizer_release(&t);
    arena_release(&a);
}

static void ids_as_the_reference(void **state)
{
    (void)state;
    check_cases(golden("pair"), golden("pair"), PAIR, true);
    check_cases(golden("pair"), golden("pair"), JSON, true);
    check_cases(golden("pair"), golden("pair"), PAIR | JSON, true);
    check_cases(golden("added"), golden("added"), JSON, false);
    check_cases(golden("unknown"), golden("unknown"), JSON, false);
}

/* GPT-2's own vocabulary is not in the repository. */
static void ids_of_gpt2(void **state)
{
    (void)state;
    char where[1024], cases[1024];
    const char *env = getenv("SONDE_GPT2_TOKENIZER");
    if (env)
        snprintf(where, sizeof where, "%s", env);
    else
        snprintf(where, sizeof where, "%s/../../shared/data/gpt2-tokenizer",
            getenv("SONDE_TEST_SOURCE"));
    struct arena a = {0};
    size_t n;
    bool there = contents(&n, where, "merges.txt", &a) != NULL;
    arena_release(&a);
    if (!there)
        skip();
    snprintf(cases, sizeof cases, "%s", golden("gpt2"));
    check_cases(cases, where, PAIR, true);
}

static void both_forms_have_one_hash(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct tokenizer *t[3] = {0};
    char hash[3][33];
    static const int forms[3] = {PAIR, JSON, PAIR | JSON};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_folder(&t[i], golden("pair"), forms[i], &a, &e), 0);
        tokenizer_hash(hash[i], t[i]);
        assert_string_equal(hash[i], hash[0]);
        tokenizer_release(&t[i]);
    }
    assert_int_equal(open_folder(&t[0], golden("added"), JSON, &a, &e), 0);
    tokenizer_hash(hash[1], t[0]);
    assert_string_not_equal(hash[0], hash[1]);
    tokenizer_release(&t[0]);
    arena_release(&a);
}

/* Random texts: the scanner and PCRE2 cut the same pieces, and every text comes back from its ids. */
static void scanner_equals_pattern(void **state)
{
    (void)state;
    static const char *const parts[] = {"'s", "'", "'ll", "'l", "'re", "'ve", "'m", "'d", "'t", " ",
        "  ", "\n", "\t", "\r\n", "\v", "\x1c", "a", "Zz", "0", "12", "!", "--", "\x7f", "\0",
        "\xc3\xa9", "\xc2\xa0", "\xe3\x80\x80", "\xe6\x97\xa5", "\xd9\xa1", "_"};
    struct err e = {0};
    struct regex *re = NULL;
    struct matcher *m = NULL;
    struct rng rng;
    rng_init(&rng, 3, 0);
    assert_int_equal(pretoken_compile(&re, &e), 0);
    int scanned = 0;
    for (int round = 0; round < 40000; round++) {
        char s[64];
        size_t n = 0;
        for (uint64_t k = rng_below(&rng, 12); k > 0; k--) {
            const char *part = parts[rng_below(&rng, sizeof parts / sizeof *parts)];
            size_t len = *part ? strlen(part) : 1;
            memcpy(s + n, part, len);
            n += len;
        }
        for (size_t i = 0; i < n;) {
            size_t fast = pretoken_ascii(s, n, i), end;
            assert_int_equal(pretoken_regex(&end, re, &m, s, n, i, &e), 0);
            if (fast && fast != end)
                fail_msg("scanner %zu, pattern %zu, at %zu", fast, end, i);
            scanned += fast > 0;
            i = end;
        }
    }
    assert_true(scanned > 50000);
    matcher_release(&m);
    regex_release(&re);
}

static void long_runs_are_not_quadratic(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct tokenizer *t = NULL;
    size_t n = 2000000;
    char *text = malloc(n);
    assert_int_equal(open_folder(&t, golden("pair"), PAIR, &a, &e), 0);
    static const char *const units[] = {"a", " ", "\xc3\xa9", "!", "ab"};
    for (size_t k = 0; k < 5; k++) {
        size_t len = strlen(units[k]);
        for (size_t i = 0; i + len <= n; i += len)
            memcpy(text + i, units[k], len);
        struct encoding x;
        assert_int_equal(tokenizer_encode(&x, t, text, n, 0, &a, &e), 0);
        sound(t, &x, text, n);
    }
    free(text);
    tokenizer_release(&t);
    arena_release(&a);
}

static void decodes(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct tokenizer *t = NULL;
    size_t n;
    assert_int_equal(open_folder(&t, golden("pair"), PAIR, &a, &e), 0);
    const char *text = "a \xf0\x9f\x98\x80 <|endoftext|>";
    struct encoding x;
    assert_int_equal(tokenizer_encode(&x, t, text, strlen(text), ENCODE_SPECIAL, &a, &e), 0);
    assert_int_equal(x.ids[x.n - 1], tokenizer_special(t, "<|endoftext|>"));
    char *back = tokenizer_decode(t, x.ids, x.n, &n, &a, &e);
    assert_string_equal(back, text);
    assert_int_equal(n, strlen(text));
    static const int32_t wrong[] = {0, 100000};
    assert_null(tokenizer_decode(t, wrong, 2, &n, &a, &e));
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(e.msg, "100000"));
    assert_int_equal(tokenizer_special(t, "nothing"), -1);
    assert_null(tokenizer_name(t, -1));
    assert_null(tokenizer_name(t, tokenizer_size(t)));
    tokenizer_release(&t);
    arena_release(&a);
}

/* Any bytes, pushed in any pieces, come out as the whole text with its invalid sequences replaced. */
static void streams_partial_characters(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct rng rng;
    rng_init(&rng, 4, 0);
    for (int round = 0; round < 20000; round++) {
        char text[40], out[200];
        size_t n = 0, at = 0, want_n;
        while (n < 30) {
            if (rng_below(&rng, 4))
                n += (size_t)utf8_put(text + n, (uint32_t)rng_below(&rng, 0x110000));
            else
                text[n++] = (char)(0x80 + rng_below(&rng, 128));
        }
        char *want = utf8_replace(&want_n, NULL, text, n, &a, &e);
        struct decoder d = {0};
        for (size_t i = 0; i < n;) {
            size_t k = rng_below(&rng, 5);
            k = k > n - i ? n - i : k;
            at += decoder_push(&d, out + at, sizeof out - at, text + i, k);
            assert_true(d.n <= 3);
            i += k;
        }
        at += decoder_flush(&d, out + at, sizeof out - at);
        assert_int_equal(at, want_n);
        assert_memory_equal(out, want, at);
        if (round % 1000 == 0)
            arena_release(&a);
    }
    arena_release(&a);
}

static void single_tokens(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct tokenizer *t = NULL;
    int64_t id;
    assert_int_equal(open_folder(&t, golden("added"), JSON, &a, &e), 0);
    /* No space is put in front, whatever the tokenizer does with texts. */
    assert_int_equal(tokenizer_single(&id, t, "a", &e), 0);
    assert_string_equal(tokenizer_name(t, id), "a");
    assert_int_equal(tokenizer_single(&id, t, "#7", &e), 0);
    assert_int_equal(id, 7);
    assert_int_equal(tokenizer_single(&id, t, "<|endoftext|>", &e), 0);
    assert_int_equal(id, tokenizer_special(t, "<|endoftext|>"));
    assert_int_equal(tokenizer_single(&id, t, "#99999", &e), ERR_USAGE);
    assert_int_equal(tokenizer_single(&id, t, "", &e), ERR_USAGE);
    assert_int_equal(tokenizer_single(&id, t, "Q Z", &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "Q|\xc2\xb7|Z"));
    tokenizer_release(&t);
    arena_release(&a);
}

/* The error of a folder with these files; NULL: it opens. */
static const char *refused(
    const char *vocab, const char *merges, const char *json, int64_t vocab_size)
{
    static struct err e;
    struct tokenizer *t = NULL;
    struct tokenizer_files f = {.vocab_json = vocab,
        .merges_txt = merges,
        .tokenizer_json = json,
        .vocab_n = vocab ? strlen(vocab) : 0,
        .merges_n = merges ? strlen(merges) : 0,
        .tokenizer_n = json ? strlen(json) : 0,
        .where = "here"};
    int rc = tokenizer_open(&t, &f, vocab_size, &e);
    assert_true((rc == 0) == (t != NULL));
    tokenizer_release(&t);
    if (rc == 0)
        return NULL;
    assert_int_equal(rc, ERR_INPUT);
    assert_null(strchr(e.msg, '\n'));
    return e.msg;
}

static void says(const char *msg, const char *part)
{
    if (!msg || !strstr(msg, part))
        fail_msg("'%s' does not say '%s'", msg ? msg : "no error", part);
}

static void damaged_pairs(void **state)
{
    (void)state;
    assert_null(refused("{\"a\":0,\"b\":1,\"ab\":2}", "#version: 0.2\na b\n", NULL, 3));
    assert_null(refused("{\"a\":0,\"b\":1,\"ab\":2}", "a b\r\n\n", NULL, 0));
    assert_null(refused("{\"a\":0}", "", NULL, 7));
    says(refused("{\"a\":0,\"a\":1}", "", NULL, 9), "'a' has two ids");
    says(refused("{\"a\":0,\"b\":0}", "", NULL, 9), "share the id 0");
    says(refused("{\"a\":9}", "", NULL, 9), "ids 0 to 8");
    says(refused("{\"a\":-1}", "", NULL, 9), "id -1");
    says(refused("{\"a\":1.5}", "", NULL, 9), "whole number");
    says(refused("{\"a\":99999999999999999999}", "", NULL, 9), "too large");
    says(refused("{\"a\":4294967296}", "", NULL, 0), "4294967296");
    says(refused("{}", "", NULL, 9), "empty");
    says(refused("[1]", "", NULL, 9), "expected an object");
    says(refused("{\"a\":0", "", NULL, 9), "ends in the middle");
    says(refused("{\"a\":0} x", "", NULL, 9), "behind the end");
    says(refused("{\"\\ud800\":0}", "", NULL, 9), "surrogate");
    says(refused("{\"\xff\":0}", "", NULL, 9), "invalid UTF-8");
    says(refused("{\"a\":0,\"b\":1}", "a b\n", NULL, 9), "merge 1 makes a token");
    says(refused("{\"a\":0,\"b\":1}", "a x\n", NULL, 9), "'x'");
    says(refused("{\"a\":0,\"b\":1}", "#version: 0.2\nab\n", NULL, 9), "merge 1 is not two names");
    says(refused("{\"a\":0,\"b\":1}", "a b c\n", NULL, 9), "is not two names");
    says(refused(NULL, NULL, NULL, 9), "no tokenizer");
    size_t n = 3000000;
    char *line = malloc(n + 1);
    memset(line, 'a', n);
    line[n] = '\0';
    says(refused("{\"a\":0,\"b\":1}", line, NULL, 9), "is not two names");
    free(line);
}

#define BYTE_LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define MODEL "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\",\"b\"]]"

static void damaged_documents(void **state)
{
    (void)state;
    assert_null(refused(NULL, NULL, "{" BYTE_LEVEL "," MODEL "}}", 3));
    /* Merges may stand before the vocabulary. */
    assert_null(refused(NULL, NULL,
        "{\"model\":{\"merges\":[\"a b\"],\"vocab\":{\"ab\":2,\"b\":1,\"a\":0}}," BYTE_LEVEL "}",
        3));
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{" BYTE_LEVEL "}", "no vocab"},
        {"{" BYTE_LEVEL ",\"model\":{\"vocab\":{\"a\":0}}}", "no merges"},
        {"{" BYTE_LEVEL ",\"model\":{\"vocab\":[[\"a\",0.5]]}}", "not BPE"},
        {"{" MODEL "}}", "pre_tokenizer"},
        {"{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}}", "'Whitespace'"},
        {"{" BYTE_LEVEL ",\"normalizer\":{\"type\":\"NFC\"}," MODEL "}}", "'NFC'"},
        {"{" BYTE_LEVEL ",\"decoder\":{\"type\":\"WordPiece\"}," MODEL "}}", "'WordPiece'"},
        {"{" BYTE_LEVEL "," MODEL ",\"type\":\"Unigram\"}}", "'Unigram'"},
        {"{" BYTE_LEVEL "," MODEL ",\"dropout\":0.1}}", "dropout"},
        {"{" BYTE_LEVEL "," MODEL ",\"end_of_word_suffix\":\"</w>\"}}", "'</w>'"},
        {"{" BYTE_LEVEL "," MODEL ",\"byte_fallback\":true}}", "byte_fallback"},
        {"{" BYTE_LEVEL "," MODEL ",\"unk_token\":\"?\"}}", "unk_token"},
        {"{" BYTE_LEVEL " " MODEL "}}", "expected , or }"},
        {"{" BYTE_LEVEL "," MODEL ",\"vocab\":{}}}", "twice"},
        {"{" BYTE_LEVEL "," MODEL "},\"added_tokens\":[{\"id\":3,\"content\":\"x\"},"
         "{\"id\":4,\"content\":\"x\"}]}",
            "comes twice"},
        {"{" BYTE_LEVEL "," MODEL "},\"added_tokens\":[{\"id\":7,\"content\":\"x\"}]}",
            "its place"},
        {"{" BYTE_LEVEL "," MODEL "},\"added_tokens\":[{\"content\":\"x\"}]}", "no id"},
        {"{" BYTE_LEVEL "," MODEL "},\"added_tokens\":3}", "not a list"},
        {"{\"model\":{\"merges\":[[\"a\"]],\"vocab\":{\"a\":0}}," BYTE_LEVEL "}", "two names"},
        {"{\"model\":{\"merges\":[[\"a\",\"a\",\"a\"]],\"vocab\":{\"a\":0}}," BYTE_LEVEL "}",
            "two names"},
        {"{\"model\":{\"merges\":[3],\"vocab\":{\"a\":0}}," BYTE_LEVEL "}", "list"},
        {"", "expected an object"},
        {"{\"a\":tru", "expected a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        says(refused(NULL, NULL, cases[i].json, 9), cases[i].says);
    /* Both forms, one of them out of date. */
    says(refused("{\"a\":0,\"b\":2,\"ab\":1}", "a b\n", "{" BYTE_LEVEL "," MODEL "}}", 9),
        "id 2 is 'ab' in tokenizer.json and 'b'");
    says(refused("{\"a\":0,\"b\":1}", "a b\n", "{" BYTE_LEVEL "," MODEL "}}", 9), "3 tokens");
    says(refused("{\"a\":0,\"b\":1,\"ab\":2}", "b a\n", "{" BYTE_LEVEL "," MODEL "}}", 9),
        "merge 1");
    says(refused("{\"a\":0,\"b\":1,\"ab\":2}", "", "{" BYTE_LEVEL "," MODEL "}}", 9), "merges.txt");
}

static void memory_limits_are_errors(void **state)
{
    (void)state;
    struct arena files = {0};
    struct err e = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(open_folder(&t, golden("added"), JSON, &files, &e), 0);
    const char *text = "a\xff token <|endoftext|> caf\xc3\xa9";
    for (long after = 1; after <= 3; after++) {
        struct arena a = {.fail_after = after};
        struct encoding x;
        int rc = tokenizer_encode(&x, t, text, strlen(text), ENCODE_SPECIAL, &a, &e);
        assert_int_equal(rc, after < 3 ? ERR_LIMIT : 0);
        arena_release(&a);
    }
    tokenizer_release(&t);
    arena_release(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_as_the_reference),
        cmocka_unit_test(ids_of_gpt2),
        cmocka_unit_test(both_forms_have_one_hash),
        cmocka_unit_test(scanner_equals_pattern),
        cmocka_unit_test(long_runs_are_not_quadratic),
        cmocka_unit_test(decodes),
        cmocka_unit_test(streams_partial_characters),
        cmocka_unit_test(single_tokens),
        cmocka_unit_test(damaged_pairs),
        cmocka_unit_test(damaged_documents),
        cmocka_unit_test(memory_limits_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
