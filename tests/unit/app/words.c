#include "app/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/term.h"

static void split(const char *line, int want_n, const char *const *want)
{
    struct arena a = {0};
    struct err e = {0};
    char **words;
    int n;
    assert_int_equal(words_split(&words, &n, line, &a, &e), 0);
    assert_int_equal(n, want_n);
    for (int i = 0; i < n; i++)
        assert_string_equal(words[i], want[i]);
    arena_release(&a);
}

#define SPLIT(line, ...)                                                                           \
    do {                                                                                           \
        const char *const want[] = {__VA_ARGS__};                                                  \
        split(line, (int)(sizeof want / sizeof *want), want);                                      \
    } while (0)

static void words_are_split(void **state)
{
    (void)state;
    SPLIT("run lens", "run", "lens");
    SPLIT("  run\tlens \r\n", "run", "lens");
    SPLIT("-p 'a  b' \"c d\"", "-p", "a  b", "c d");
    SPLIT("a'b c'\"d\"e", "ab cde");
    SPLIT("'' \"\"", "", "");
    SPLIT("\"a\\nb\\t\\\"\\\\\\x41\\q\"", "a\nb\t\"\\A\\q");
    SPLIT("'a\\n'", "a\\n");
    SPLIT("a\\ b \\'", "a b", "'");
    SPLIT("run dla --target #50256 # of the last position", "run", "dla", "--target", "#50256");
    SPLIT("a #", "a");
    SPLIT("a#b", "a#b");
    SPLIT("\"\\x00\"", "\\x00");
    split("#50256", 0, NULL);
    split("", 0, NULL);
    split(" # nothing", 0, NULL);
}

static void open_quotes_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"'", "a \"b", "a 'b\\'c' d", "\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena a = {0};
        struct err e = {0};
        char **words;
        int n;
        assert_int_equal(words_split(&words, &n, bad[i], &a, &e), ERR_USAGE);
        assert_non_null(strstr(e.msg, "quote"));
        arena_release(&a);
    }
}

/* Whatever a word holds, quoting and splitting give it back. */
static void quoting_round_trips(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    srand(1);
    static const char alphabet[] = "ab '\"\\#\n\t$`-=x04\x01\x7f\xc3\xa9";
    for (int round = 0; round < 20000; round++) {
        char text[4][12];
        char *list[4];
        int n = rand() % 4 + 1;
        for (int w = 0; w < n; w++) {
            int len = rand() % 11;
            for (int i = 0; i < len; i++)
                text[w][i] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
            text[w][len] = '\0';
            list[w] = text[w];
        }
        const char *line = words_join("sonde", list, n, &a, &e);
        assert_non_null(line);
        assert_null(strchr(line, '\n'));
        char **words;
        int got;
        assert_int_equal(words_split(&words, &got, line, &a, &e), 0);
        assert_int_equal(got, n + 1);
        for (int w = 0; w < n; w++)
            assert_string_equal(words[w + 1], text[w]);
        arena_release(&a);
    }
}

/* Columns beyond 223, where the older form of a report ends. */
static void the_mouse_reports_in_numbers(void **state)
{
    (void)state;
    struct key k = {0};
    assert_true(term_mouse_key(&k, "0;300;12M"));
    assert_string_equal(k.name, "Mouse");
    assert_int_equal(k.x, 299);
    assert_int_equal(k.y, 11);
    assert_true(term_mouse_key(&k, "65;224;1M"));
    assert_string_equal(k.name, "WheelDown");
    assert_int_equal(k.x, 223);
    assert_true(term_mouse_key(&k, "68;1;1M")); /* with Shift */
    assert_string_equal(k.name, "WheelUp");
    static const char *const others[] = {"0;300;12m", "2;3;4M", "32;3;4M", "35;3;4M", "0;0;4M",
        "0;3M", "0;3;4", "0;3;4MM", "", "M", "-1;3;4M", "x;3;4M", "99999999999;3;4M"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(term_mouse_key(&k, others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split),
        cmocka_unit_test(open_quotes_are_refused),
        cmocka_unit_test(quoting_round_trips),
        cmocka_unit_test(the_mouse_reports_in_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
