#include "model/core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_code_point_survives(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char s[4];
        uint32_t back;
        int n = utf8_put(s, cp);
        assert_int_equal(utf8_next(&back, s, (size_t)n), n);
        assert_int_equal(back, cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp);
        for (int cut = 1; cut < n; cut++)
            assert_int_equal(utf8_next(&back, s, (size_t)cut), -cut);
    }
}

static void invalid_bytes_follow_maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t invalid;
        size_t out;
    } cases[] = {
        {"", 0, 0},
        {"abc", 0, 3},
        {"\xf0\x9f\x98", 1, 3},
        {"\xc0\xaf", 2, 6},
        {"\xed\xa0\x80", 3, 9},
        {"\xf8\x88\x80\x80\x80", 5, 15},
        {"a\xe2\x82z\xe2\x82\xac", 1, 8},
        {"\xf4\x90\x80\x80", 4, 12},
        {"\xe0\x80", 2, 6},
        {"01234567\xff", 1, 11},
        {"\xf1\x80\xf1\x80\x80\xf1", 3, 9},
    };
    struct arena a = {0};
    struct err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        int64_t bad;
        char *out = utf8_replace(&n, &bad, cases[i].text, strlen(cases[i].text), &a, &e);
        assert_int_equal(bad, cases[i].invalid);
        assert_int_equal(n, cases[i].out);
        assert_int_equal(utf8_valid_prefix(out, n), n);
    }
    arena_release(&a);
}

static void clusters_and_columns(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        int columns;
    } cases[] = {
        {"a", 1, 1},
        {"ab", 1, 1},
        {"e\xcc\x81x", 3, 1},                                    /* e and a combining acute */
        {"\xe6\x97\xa5\xe6\x9c\xac", 3, 2},                      /* one of two ideographs */
        {"\xf0\x9f\x98\x80!", 4, 2},                             /* an emoji */
        {"\xf0\x9f\x87\xab\xf0\x9f\x87\xb7\xf0\x9f\x87", 8, 2},  /* a flag */
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", 11, 2}, /* joined by ZWJ */
        {"\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", 8, 2},              /* skin tone */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", 9, 2},          /* conjoining jamo */
        {"\xe2\x80\x8b", 3, 0},                                  /* zero-width space */
        {"\xff", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int columns;
        assert_int_equal(
            text_cluster(&columns, cases[i].text, strlen(cases[i].text)), cases[i].bytes);
        assert_int_equal(columns, cases[i].columns);
    }
    assert_int_equal(text_width("caf\xc3\xa9 \xe6\x97\xa5", 9), 7);
}

static void clips_by_cluster(void **state)
{
    (void)state;
    const char *s = "a\xe6\x97\xa5"
                    "e\xcc\x81z"; /* 1 + 2 + 1 + 1 columns */
    size_t n = strlen(s);
    static const size_t prefix[] = {0, 1, 1, 4, 7, 8, 8};
    static const size_t suffix[] = {8, 7, 4, 4, 1, 0, 0};
    for (int c = 0; c < 7; c++) {
        int used;
        assert_int_equal(text_clip(&used, s, n, c), prefix[c]);
        assert_true(used <= c);
        assert_int_equal(text_clip_left(&used, s, n, c), suffix[c]);
        assert_true(used <= c);
    }
}

static void shows(const char *s, size_t n, unsigned flags, const char *expected)
{
    char out[128];
    size_t need = text_escape(out, sizeof out, s, n, flags);
    assert_string_equal(out, expected);
    assert_int_equal(need, strlen(expected));
    /* Cut short it stays a prefix made of whole units and never overruns. */
    for (size_t cap = 0; cap <= need; cap++) {
        char small[128];
        memset(small, 'Z', sizeof small);
        assert_int_equal(text_escape(small, cap, s, n, flags), need);
        assert_int_equal(small[cap], 'Z');
        if (cap) {
            assert_true(strlen(small) < cap);
            assert_memory_equal(small, expected, strlen(small));
            assert_int_equal(utf8_valid_prefix(small, strlen(small)), strlen(small));
        }
    }
}

static void escapes(void **state)
{
    (void)state;
    shows(" Mara", 5, TEXT_DOT, "\xc2\xb7Mara");
    shows(" Mara", 5, TEXT_DOT | TEXT_ASCII, "_Mara");
    shows(" a b", 4, TEXT_DOT,
        "\xc2\xb7"
        "a b");
    shows("a b ", 4, TEXT_DOTS,
        "a\xc2\xb7"
        "b\xc2\xb7");
    shows("a\n\t\r\0\x1b[31m\x7f", 11, 0, "a\\n\\t\\r\\x00\\x1b[31m\\x7f");
    shows("a\nb", 3, TEXT_RAW_SPACE, "a\nb");
    shows("\xe2", 1, 0, "\\xe2");
    shows("\xf0\x9f", 2, 0, "\\xf0\\x9f");
    shows("\xc2\x9b", 2, 0, "\\u009b");     /* C1: a terminal may obey it */
    shows("\xe2\x80\xae", 3, 0, "\\u202e"); /* right-to-left override */
    shows("\xcc\x81", 2, 0, "\\u0301");     /* a mark with nothing below it */
    shows("\xe2\x80\x8b", 3, 0, "\\u200b"); /* zero-width space */
    shows("\xc2\xa0", 2, 0, "\\u00a0");     /* not an ordinary space */
    shows("caf\xc3\xa9", 5, 0, "caf\xc3\xa9");
    shows("caf\xc3\xa9", 5, TEXT_ASCII, "caf\\u00e9");
    shows("\xf0\x9f\x98\x80", 4, TEXT_ASCII, "\\U0001f600");
    shows("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", 11, 0,
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80");
    shows("a\xf3\xa0\x81\x82", 5, 0, "a\\U000e0042"); /* hidden tag character */
    shows("\\n", 2, 0, "\\n");
    shows("\\n", 2, TEXT_BACKSLASH, "\\\\n");
    shows("", 0, 0, "");
}

/* Whatever comes in, what comes out is valid, has no control bytes and a known width. */
static void any_bytes_become_safe(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char s[24], out[256];
        size_t n = (size_t)rand() % sizeof s;
        for (size_t i = 0; i < n; i++)
            s[i] = (char)(rand() % 3 ? 0x80 + rand() % 128 : rand());
        size_t need = text_escape(out, sizeof out, s, n, (unsigned)rand() % 16);
        assert_true(need < sizeof out);
        assert_int_equal(utf8_valid_prefix(out, need), need);
        for (size_t i = 0; i < need; i++)
            assert_true((unsigned char)out[i] >= 0x20 && out[i] != 0x7f);
        assert_true(n == 0 || text_width(out, need) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives),
        cmocka_unit_test(invalid_bytes_follow_maximal_subparts),
        cmocka_unit_test(clusters_and_columns),
        cmocka_unit_test(clips_by_cluster),
        cmocka_unit_test(escapes),
        cmocka_unit_test(any_bytes_become_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
