#include "model/core/param.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/machine.h"

static const struct param table[] = {
    {.name = "top", .type = PARAM_INT, .def = "5", .min = 1, .max = 100},
    {.name = "scale", .type = PARAM_FLOAT, .min = 0, .max = INFINITY},
    {.name = "effect", .type = PARAM_BOOL},
    {.name = "mode", .type = PARAM_CHOICE, .choices = "abs|mul", .def = "mul"},
    {.name = "layers", .type = PARAM_LIST, .min = 0, .max = 99},
    {.name = "mem", .type = PARAM_SIZE},
    {.name = "target", .type = PARAM_TOKEN, .choices = "next"},
    {.name = "prompt", .type = PARAM_STRING, .many = true},
    {.name = "pos", .type = PARAM_INT, .def = "-1"},
};
enum { TOP, SCALE, EFFECT, MODE, LAYERS, MEM, TARGET, PROMPT, POS, N };

static struct arena arena;
static struct args args;
static struct err e;

static int setup(void **state)
{
    (void)state;
    return args_init(&args, table, N, &arena, &e);
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static void refused(int row, const char *text, const char *says)
{
    struct param_value before = args.values[row];
    e = (struct err){0};
    assert_int_equal(args_set(&args, row, text, &e), ERR_USAGE);
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(e.msg, "--"));
    if (!strstr(e.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, says);
    assert_memory_equal(&before, &args.values[row], sizeof before);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(args_int(&args, "top"), 5);
    assert_int_equal(args_int(&args, "pos"), -1);
    assert_false(args_get(&args, "top")->is_set);
    assert_true(args_get(&args, "top")->has);
    assert_false(args_get(&args, "scale")->has);
    assert_null(args_text(&args, "target"));
    assert_string_equal(args_text(&args, "mode"), "mul");
    assert_int_equal(args_find(&args, "nothing"), -1);
}

static void numbers(void **state)
{
    (void)state;
    assert_int_equal(args_set(&args, TOP, "7", &e), 0);
    assert_int_equal(args_int(&args, "top"), 7);
    assert_true(args_get(&args, "top")->is_set);
    refused(TOP, "0", "1 to 100");
    refused(TOP, "101", "\"101\"");
    refused(TOP, "7x", "integer");
    refused(TOP, "", "empty");
    refused(TOP, "99999999999999999999", "integer");
    assert_int_equal(args_set(&args, SCALE, "1e-3", &e), 0);
    assert_true(args_float(&args, "scale") == 1e-3);
    refused(SCALE, "-1", "at least 0");
    refused(SCALE, "nan", "number");
    refused(SCALE, "inf", "number");
    assert_int_equal(args_set(&args, POS, "-3", &e), 0);
    assert_int_equal(args_int(&args, "pos"), -3);
}

static void words(void **state)
{
    (void)state;
    assert_int_equal(args_set(&args, EFFECT, "true", &e), 0);
    assert_true(args_bool(&args, "effect"));
    assert_int_equal(args_set(&args, EFFECT, "no", &e), 0);
    assert_false(args_bool(&args, "effect"));
    refused(EFFECT, "perhaps", "--no-effect");
    assert_int_equal(args_set(&args, MODE, "abs", &e), 0);
    refused(MODE, "ab", "abs|mul");
    refused(MODE, "abs|mul", "abs|mul");
    refused(TARGET, "", "token");
    assert_int_equal(args_set(&args, PROMPT, "one", &e), 0);
    assert_int_equal(args_set(&args, PROMPT, "", &e), 0);
    assert_int_equal(args_set(&args, PROMPT, "three", &e), 0);
    const struct param_value *v = args_get(&args, "prompt");
    assert_int_equal(v->n_texts, 3);
    assert_string_equal(v->texts[0], "one");
    assert_string_equal(v->texts[2], "three");
}

static void lists(void **state)
{
    (void)state;
    assert_int_equal(args_set(&args, LAYERS, "1,3,5-8", &e), 0);
    const struct param_value *v = args_get(&args, "layers");
    const int64_t want[] = {1, 3, 5, 6, 7, 8};
    assert_int_equal(v->n_list, 6);
    assert_memory_equal(v->list, want, sizeof want);
    static const char *const bad[] = {"", ",", "1,", "1,,2", "5-3", "1-", "a", "100", "-1", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(LAYERS, bad[i], "ranges");
    static const struct param free_list = {.name = "ids", .type = PARAM_LIST};
    struct args a;
    assert_int_equal(args_init(&a, &free_list, 1, &arena, &e), 0);
    assert_int_equal(args_set(&a, 0, "-4--2", &e), 0);
    assert_int_equal(a.values[0].n_list, 3);
    assert_int_equal(a.values[0].list[0], -4);
    assert_int_equal(args_set(&a, 0, "0-9223372036854775807", &e), ERR_USAGE);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"1M", 1 << 20}, {"2000000", 2000000}, {"512M", 512LL << 20}, {"8G", 8LL << 30},
        {"1536.5k", 1573376}, {"2GiB", 2LL << 30}, {"3MB", 3LL << 20}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(args_set(&args, MEM, good[i].text, &e), 0);
        assert_int_equal(args_int(&args, "mem"), good[i].bytes);
    }
    assert_int_equal(args_set(&args, MEM, "50%", &e), 0);
    assert_int_equal(args_int(&args, "mem"), machine_memory() / 2);
    static const char *const bad[] = {
        "", "0", "512", "1023K", "0%", "G", "-1G", "1X", "1GG", "1e300", "50%%", "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(MEM, bad[i], "512M");
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"lens", "logits", "dla", "attention", "norms"};
    const char *near[3];
    assert_int_equal(nearest_names(near, 3, "lnes", names, 5), 3);
    assert_string_equal(near[0], "lens");
    assert_int_equal(nearest_names(near, 3, "att", names, 5), 3);
    assert_string_equal(near[0], "attention");
    assert_int_equal(nearest_names(near, 3, "", names, 2), 2);
    char longer[500];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(nearest_names(near, 3, longer, names, 5), 3);
}

static void machine(void **state)
{
    (void)state;
    struct machine m;
    machine_read(&m);
    assert_true(m.cores >= 1 && m.usable >= 1);
    assert_true(m.memory > 0 && m.memory <= m.ram);
    assert_true(machine_rss() > 100000 && machine_rss() < m.ram);
    double t = machine_seconds();
    assert_true(machine_seconds() >= t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(words, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes, setup, teardown),
        cmocka_unit_test(nearest),
        cmocka_unit_test(machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
