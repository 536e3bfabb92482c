#include "model/core/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int skip_all(const char *text, struct err *e)
{
    struct scan s;
    scan_init(&s, text, strlen(text), "file");
    int rc = scan_skip(NULL, NULL, &s, e);
    return rc < 0 ? rc : scan_done(&s, e);
}

static void passes_any_value(void **state)
{
    (void)state;
    static const char *const good[] = {"0", " -1.5e+3 ", "null", "true", "false", "\"\"", "[]",
        "{}", "[1,[2,{\"a\":[]}],\"b\"]", "{\"a\":{\"b\":{\"c\":[true,null]}},\"d\":1}",
        "\"\\u00e9\\n\"", "\xef\xbb\xbf{}", "[[[[]]],[]]"};
    static const char *const bad[] = {"", "[", "]", "{\"a\"}", "{\"a\":}", "{a:1}", "[1,]",
        "{\"a\":1,}", "[1 2]", "tru", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"\x01\"", "\"\xff\"", "1 2", "-", "[1}", "{\"a\":1]", "nul"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct err e = {0};
        if (skip_all(good[i], &e) < 0)
            fail_msg("%s: %s", good[i], e.msg);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        if (skip_all(bad[i], &e) != ERR_INPUT)
            fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(e.msg, "file: "));
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct err e = {0};
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    deep[399] = '\0';
    assert_int_equal(skip_all(deep, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "deep"));
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    assert_int_equal(skip_all(deep, &e), 0);
}

static void reads_members(void **state)
{
    (void)state;
    static const char text[] =
        "{ \"a\\u0120\\ud83d\\ude00\" : 7 ,\n \"skip\": [1, {\"x\": 2}], \"n\": -12}";
    struct err e = {0};
    struct scan s;
    char key[64];
    size_t n;
    int64_t v;
    scan_init(&s, text, strlen(text), "file");
    assert_int_equal(scan_open(&s, '{', &e), 0);
    assert_int_equal(scan_more(&s, '}', &e), 1);
    assert_int_equal(scan_key(key, &n, &s, &e), 0);
    assert_string_equal(key, "a\xc4\xa0\xf0\x9f\x98\x80");
    assert_int_equal(n, 7);
    assert_int_equal(scan_int(&v, &s, &e), 0);
    assert_int_equal(v, 7);
    assert_int_equal(scan_more(&s, '}', &e), 1);
    assert_int_equal(scan_key(key, &n, &s, &e), 0);
    const char *slice;
    assert_int_equal(scan_skip(&slice, &n, &s, &e), 0);
    assert_int_equal(n, strlen("[1, {\"x\": 2}]"));
    assert_memory_equal(slice, "[1, {\"x\": 2}]", n);
    assert_int_equal(scan_more(&s, '}', &e), 1);
    assert_int_equal(scan_key(NULL, NULL, &s, &e), 0);
    assert_int_equal(scan_int(&v, &s, &e), 0);
    assert_int_equal(v, -12);
    assert_int_equal(scan_more(&s, '}', &e), 0);
    assert_int_equal(scan_done(&s, &e), 0);
}

static void errors_say_where(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(skip_all("{\n\"a\": 1,\n  \"b\" 2}", &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "line 3, column 7"));
    assert_non_null(strstr(e.msg, "'2}'"));
    assert_int_equal(skip_all("{\"a\": ", &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "ends in the middle"));
    assert_int_equal(skip_all("[\x1b[31m]", &e), ERR_INPUT);
    assert_null(strchr(e.msg, '\x1b'));
}

static void whole_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"1.0", "1e3", "01", "-", "x", "9223372036854775808", "\"1\""};
    struct err e = {0};
    struct scan s;
    int64_t v;
    scan_init(&s, "9223372036854775807", 19, "file");
    assert_int_equal(scan_int(&v, &s, &e), 0);
    assert_true(v == INT64_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scan_init(&s, bad[i], strlen(bad[i]), "file");
        assert_int_equal(scan_int(&v, &s, &e), ERR_INPUT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_any_value),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(reads_members),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
