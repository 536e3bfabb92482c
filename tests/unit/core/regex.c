#include "model/core/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 1 and the span, 0 or the error code. */
static int find(size_t span[2], const char *pattern, unsigned flags, const char *text, size_t n,
    size_t start, struct err *e)
{
    struct regex *re = NULL;
    struct matcher *m = NULL;
    int rc = regex_compile(&re, pattern, strlen(pattern), flags, e);
    if (rc == 0)
        rc = matcher_create(&m, re, e);
    if (rc == 0)
        rc = regex_find(&span[0], &span[1], m, text, n, start, 0, e);
    matcher_release(&m);
    regex_release(&re);
    return rc;
}

static void finds_with_context(void **state)
{
    (void)state;
    struct err e = {0};
    size_t s[2];
    assert_int_equal(find(s, "b+", 0, "abbb", 4, 0, &e), 1);
    assert_true(s[0] == 1 && s[1] == 4);
    assert_int_equal(find(s, "b+", 0, "abbb", 4, 2, &e), 1);
    assert_true(s[0] == 2 && s[1] == 4);
    assert_int_equal(find(s, "(?<=a)b", 0, "ab", 2, 1, &e), 1); /* sees what is before start */
    assert_int_equal(find(s, "^b", 0, "ab", 2, 1, &e), 0);
    assert_int_equal(find(s, "x", 0, "ab", 2, 0, &e), 0);
    assert_int_equal(find(s, "B", REGEX_ICASE, "ab", 2, 0, &e), 1);
    assert_int_equal(find(s, "a.b", REGEX_LITERAL, "axb a.b", 7, 0, &e), 1);
    assert_int_equal(s[0], 4);
    assert_int_equal(find(s, "\\w+", 0, "\xc3\xa9t\xc3\xa9!", 6, 0, &e), 1);
    assert_true(s[0] == 0 && s[1] == 5);
    assert_int_equal(find(s, "a\\x{0}b", 0, "a\0b", 3, 0, &e), 1);
}

static void bad_patterns_say_where(void **state)
{
    (void)state;
    struct err e = {0};
    size_t s[2];
    assert_int_equal(find(s, "a(b", 0, "", 0, 0, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "a(b"));
    assert_non_null(strstr(e.msg, "character 3"));
    assert_int_equal(find(s, "\xff", 0, "", 0, 0, &e), ERR_USAGE);
    assert_int_equal(find(s, "\\C", 0, "", 0, 0, &e), ERR_USAGE);
}

static void exploding_search_is_an_error(void **state)
{
    (void)state;
    struct err e = {0};
    size_t s[2];
    char text[60];
    memset(text, 'a', sizeof text);
    assert_int_equal(find(s, "^(a+)+$b|^(a+)+c", 0, text, sizeof text, 0, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, "backtracks"));
}

static void invalid_text(void **state)
{
    (void)state;
    struct err e = {0};
    size_t s[2];
    assert_int_equal(find(s, "b", 0,
                         "a\xff"
                         "b",
                         3, 0, &e),
        ERR_INPUT);
    assert_non_null(strstr(e.msg, "byte 1"));
    assert_int_equal(find(s, "b", REGEX_ANY_BYTES,
                         "a\xff"
                         "b",
                         3, 0, &e),
        1);
    assert_int_equal(s[0], 2);
    assert_int_equal(find(s, "\\xff", REGEX_BYTES,
                         "a\xff"
                         "b",
                         3, 0, &e),
        1);
    assert_int_equal(s[0], 1);
}

static void version_names_the_tables(void **state)
{
    (void)state;
    char v[80];
    regex_version(v, sizeof v);
    assert_non_null(strstr(v, "PCRE2 10."));
    assert_non_null(strstr(v, "Unicode 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_with_context),
        cmocka_unit_test(bad_patterns_say_where),
        cmocka_unit_test(exploding_search_is_an_error),
        cmocka_unit_test(invalid_text),
        cmocka_unit_test(version_names_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
