#include "model/core/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void values_are_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": [1, 2.5, -3e2, true, null, \"x\\u0000y\"], \"b\": {\"c\": 1e12}}";
    struct err e = {0};
    struct js *j;
    int64_t i;
    double d;
    bool b;
    size_t n;
    assert_int_equal(js_parse(&j, text, sizeof text - 1, 0, "t", &e), 0);
    const struct js *a = js_get(j, "a");
    assert_int_equal(js_kind(a), JS_ARRAY);
    assert_int_equal(js_count(a), 6);
    assert_true(js_int(&i, js_at(a, 0)) && i == 1);
    assert_false(js_int(&i, js_at(a, 1)));
    assert_true(js_real(&d, js_at(a, 1)) && d == 2.5);
    assert_true(js_int(&i, js_at(a, 2)) && i == -300);
    assert_true(js_bool(&b, js_at(a, 3)) && b);
    assert_int_equal(js_kind(js_at(a, 4)), JS_NULL);
    const char *s = js_string(js_at(a, 5), &n);
    assert_int_equal(n, 3);
    assert_memory_equal(s, "x\0y", 4);
    assert_false(js_is(js_at(a, 5), "x"));
    assert_true(js_int(&i, js_get(js_get(j, "b"), "c")) && i == 1000000000000);
    /* Absent values chain. */
    assert_int_equal(js_kind(js_get(js_get(j, "nothing"), "c")), JS_ABSENT);
    assert_null(js_at(a, 6));
    assert_null(js_string(NULL, &n));
    assert_int_equal(js_count(NULL), 0);
    void *it = js_first(j);
    assert_string_equal(js_key(it), "a");
    it = js_next(j, it);
    assert_string_equal(js_key(it), "b");
    assert_int_equal(js_kind(js_value(it)), JS_OBJECT);
    assert_null(js_next(j, it));
    js_release(&j);
    assert_null(j);
}

static void damage_is_one_clear_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "t: line"},
        {"{", "t: line 1"},
        {"{\"a\": 1,\n \"b\": }", "t: line 2"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"[1] x", "t: line 1"},
        {"\"\xff\"", "t: line 1"},
        {"\"\xed\xa0\x80\"", "t: line 1"},
        {"\"\\ud800\"", "t: line 1"},
        {"[9223372036854775808]", "too big"},
        {"{\"a\\u0000b\": 1}", "t: line 1"},
        {"[01]", "t: line 1"},
        {"nul", "t: line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct js *j;
        assert_int_equal(js_parse(&j, bad[i].text, strlen(bad[i].text), 0, "t", &e), ERR_INPUT);
        assert_null(j);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("'%s' says '%s'", bad[i].text, e.msg);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    enum { N = 5000 };
    static char text[2 * N];
    struct err e = {0};
    struct js *j;
    memset(text, '[', N);
    memset(text + N, ']', N);
    assert_int_equal(js_parse(&j, text, sizeof text, 0, "t", &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "nested deeper"));
    assert_int_equal(js_parse(&j, text + N - 100, 200, 0, "t", &e), 0);
    js_release(&j);
    /* Brackets in strings are no depth. */
    text[0] = text[2 * N - 1] = '"';
    assert_int_equal(js_parse(&j, text, sizeof text, 0, "t", &e), 0);
    js_release(&j);
}

static void big_integers_can_be_reals(void **state)
{
    (void)state;
    struct err e = {0};
    struct js *j;
    double d;
    int64_t i;
    const char *text = "[18446744073709551616, 7]";
    assert_int_equal(js_parse(&j, text, strlen(text), JS_BIG_INTS, "t", &e), 0);
    assert_true(js_real(&d, js_at(j, 0)) && d == 0x1p64);
    assert_false(js_int(&i, js_at(j, 0)));
    assert_true(js_int(&i, js_at(j, 1)) && i == 7);
    js_release(&j);
}

static void writing_nests_and_escapes(void **state)
{
    (void)state;
    struct err e = {0};
    struct js_out w = {0};
    js_out_begin(&w, '{');
    js_out_key(&w, "ids");
    js_out_begin(&w, '[');
    js_out_int(&w, -1);
    js_out_int(&w, INT64_MAX);
    js_out_end(&w, ']');
    js_out_key(&w, "empty");
    js_out_begin(&w, '{');
    js_out_end(&w, '}');
    js_out_key(&w, "s");
    js_out_string(&w, "a\"\\\n\x01\x7f\xc3\xa9\xff\xe2\x82", 11);
    js_out_key(&w, "n");
    js_out_text(&w, NULL);
    js_out_key(&w, "t");
    js_out_bool(&w, true);
    js_out_end(&w, '}');
    js_out_newline(&w);
    js_out_begin(&w, '[');
    js_out_end(&w, ']');
    assert_int_equal(js_out_done(&w, &e), 0);
    assert_string_equal(w.data,
        "{\"ids\":[-1,9223372036854775807],\"empty\":{},"
        "\"s\":\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
        "\"n\":null,\"t\":true}\n[]");
    js_out_release(&w);
}

static void reals_read_back_the_same(void **state)
{
    (void)state;
    static const double x[] = {0.1, 1e-5, 1e12, 1.0 / 3, -0.0, 5e-324, 1.7976931348623157e308, 3};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        struct err e = {0};
        struct js_out w = {0};
        js_out_real(&w, x[i], 17);
        assert_int_equal(js_out_done(&w, &e), 0);
        assert_true(strtod(w.data, NULL) == x[i]);
        js_out_release(&w);
        js_out_real(&w, (double)(float)x[i], 9);
        assert_int_equal(js_out_done(&w, &e), 0);
        assert_true(
            isinf((float)x[i]) ? !strcmp(w.data, "null") : strtof(w.data, NULL) == (float)x[i]);
        js_out_release(&w);
    }
    struct js_out w = {0};
    struct err e = {0};
    js_out_real(&w, 1e-5, 17);
    js_out_real(&w, (double)0.1f, 9);
    js_out_real(&w, NAN, 9);
    assert_int_equal(js_out_done(&w, &e), 0);
    assert_string_equal(w.data, "1e-050.1null");
    js_out_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(damage_is_one_clear_error),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(big_integers_can_be_reals),
        cmocka_unit_test(writing_nests_and_escapes),
        cmocka_unit_test(reals_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
