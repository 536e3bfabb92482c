#include "analysis/report/diff.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is changed in the second report. */
struct change {
    float value;       /* of cell [1, 2] */
    int64_t big;       /* of the list of I64 */
    const char *label; /* of the second component */
    const char *cell;  /* of the table */
    int64_t columns;
    const char *unit, *attr, *command, *text, *kernels;
    bool extra;
    enum dtype dtype;
};

static const struct change as_is = {1.5f, 9007199254740992, "bias", "L0H0", 3, "nats", "tiny",
    "sonde a", "Mara", "avx2", false, DT_F32};

static struct report *make(const struct change *c)
{
    struct err e = {0};
    struct report *r;
    struct run *run;
    struct block *b;
    int at;
    assert_int_equal(report_create(&r, NULL, &e), 0);
    struct report_info info = {c->command, c->kernels, "1", (int)strlen(c->command)};
    assert_int_equal(report_describe(r, &info, &e), 0);
    struct report_input in = {c->text, (int32_t[]){7, 8}, NULL, 2};
    assert_int_equal(report_add_input(&at, r, &in, &e), 0);
    assert_int_equal(report_begin_run(&run, r, "lens", &e), 0);
    assert_int_equal(run_attr_text(run, "model_name", c->attr, &e), 0);
    struct block_spec grid = {.name = "entropy",
        .input = 0,
        .dtype = c->dtype,
        .rank = 2,
        .axes = {{"layer", AXIS_LAYER, 2, NULL}, {"pos", AXIS_POS, c->columns, NULL}},
        .unit = c->unit};
    assert_int_equal(run_block(&b, run, &grid, &e), 0);
    if (c->dtype == DT_F32) {
        float v[8] = {NAN, INFINITY, 0, 1, 2, c->value, 0, 0};
        assert_int_equal(block_set(b, v, &e), 0);
    } else {
        double v[8] = {NAN, INFINITY, 0, 1, 2, (double)c->value, 0, 0};
        assert_int_equal(block_set(b, v, &e), 0);
    }
    const char *const labels[] = {"embed", c->label};
    struct block_spec big = {.name = "big",
        .input = -1,
        .dtype = DT_I64,
        .rank = 1,
        .axes = {{"component", AXIS_COMPONENT, 2, labels}}};
    assert_int_equal(run_block(&b, run, &big, &e), 0);
    assert_int_equal(block_set(b, (int64_t[]){c->big, 1}, &e), 0);
    struct column columns[] = {{"head", NULL, DT_F32, true}, {"x", NULL, DT_F64, false}};
    struct block_spec table = {.name = "t",
        .input = -1,
        .rank = 1,
        .axes = {{"row", AXIS_OTHER, 0, NULL}},
        .columns = columns,
        .n_columns = 2};
    assert_int_equal(run_block(&b, run, &table, &e), 0);
    struct cell_value cells[] = {{0, c->cell}, {(double)c->value, NULL}};
    assert_int_equal(block_append(b, cells, &e), 0);
    struct block_spec more = {.name = "more", .input = -1, .dtype = DT_F32};
    if (c->extra)
        assert_int_equal(run_block(&b, run, &more, &e), 0);
    assert_int_equal(run_end(run, "complete", NULL, &e), 0);
    return r;
}

static void compare(struct diff *d, const struct change *c, double atol, double rtol)
{
    struct err e = {0};
    struct report *a = make(&as_is), *b = make(c);
    struct diff_options how = {atol, rtol};
    if (report_diff(d, a, b, &how, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(report_close(&a, &e), 0);
    assert_int_equal(report_close(&b, &e), 0);
}

static void equal_reports_are_equal(void **state)
{
    (void)state;
    struct diff d;
    struct change c = as_is;
    c.command = "sonde b -t 2"; /* and with it another number of threads */
    compare(&d, &c, 0, 0);
    assert_int_equal(d.n, 0);
    assert_int_equal(d.blocks, 3);
    assert_int_equal(d.values, 6 + 2 + 2);
    assert_null(d.worst);
    diff_release(&d);
}

static void numbers_within_tolerance_are_equal(void **state)
{
    (void)state;
    struct diff d;
    struct change c = as_is;
    c.value = 1.25f;
    compare(&d, &c, 0, 0);
    assert_int_equal(d.n, 2); /* the grid and the table */
    assert_int_equal(d.rows[0].kind, DIFF_VALUES);
    assert_string_equal(d.rows[0].path, "runs/000-lens/input_0/entropy");
    assert_true(d.rows[0].count == 1 && d.rows[0].total == 6);
    assert_true(d.rows[0].max_abs == 0.25 && d.rows[0].at[0] == 1 && d.rows[0].at[1] == 2);
    assert_true(d.rows[0].va == 1.5 && d.rows[0].vb == 1.25);
    assert_float_equal(d.rows[0].max_rel, 0.25 / 1.5, 1e-12);
    char line[300];
    diff_line(line, sizeof line, &d.rows[0]);
    assert_string_equal(line, "runs/000-lens/input_0/entropy: 1 of 6 values differ; worst 0.25 "
                              "(relative 0.167) at [1, 2]: 1.5 and 1.25");
    diff_release(&d);
    compare(&d, &c, 0.25, 0);
    assert_int_equal(d.n, 0);
    diff_release(&d);
    compare(&d, &c, 0, 0.2);
    assert_int_equal(d.n, 0);
    diff_release(&d);
    compare(&d, &c, 0.2, 0.03);
    assert_int_equal(d.n, 2);
    diff_release(&d);
    c.value = NAN;
    compare(&d, &c, 1e9, 0);
    assert_int_equal(d.n, 2);
    assert_true(isinf(d.rows[0].max_abs));
    diff_release(&d);
}

static void every_other_difference_is_seen(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        const char *value, *path;
        enum diff_kind kind;
    } texts[] = {{offsetof(struct change, label), "x", "runs/000-lens/big@component 1", DIFF_ABOUT},
        {offsetof(struct change, cell), "L0H1", "runs/000-lens/t", DIFF_VALUES},
        {offsetof(struct change, unit), "bits", "runs/000-lens/input_0/entropy@unit", DIFF_ABOUT},
        {offsetof(struct change, attr), "gpt2", "runs/000-lens@model_name", DIFF_ABOUT},
        {offsetof(struct change, text), "Tobin", "inputs/0@text", DIFF_ABOUT},
        {offsetof(struct change, kernels), "sse", "/@kernel_set", DIFF_ABOUT}};
    struct diff d;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct change c = as_is;
        memcpy((char *)&c + texts[i].offset, &texts[i].value, sizeof texts[i].value);
        compare(&d, &c, 0, 0);
        assert_int_equal(d.n, 1);
        assert_string_equal(d.rows[0].path, texts[i].path);
        assert_int_equal(d.rows[0].kind, texts[i].kind);
        diff_release(&d);
    }
    struct change c = as_is;
    c.kernels = "sse"; /* whoever allows a tolerance compares machines */
    compare(&d, &c, 1e-6, 0);
    assert_int_equal(d.n, 0);
    diff_release(&d);
    c = as_is;
    c.columns = 4;
    compare(&d, &c, 0, 0);
    assert_int_equal(d.rows[0].kind, DIFF_SHAPE);
    assert_string_equal(d.rows[0].b, "[2, 4]");
    diff_release(&d);
    c = as_is;
    c.big++; /* the same as a double */
    compare(&d, &c, 0, 0);
    assert_int_equal(d.n, 1);
    assert_string_equal(d.rows[0].path, "runs/000-lens/big");
    diff_release(&d);
    c = as_is;
    c.extra = true;
    compare(&d, &c, 0, 0);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.rows[0].kind, DIFF_ONLY_B);
    assert_string_equal(d.rows[0].path, "runs/000-lens/more");
    diff_release(&d);
    c = as_is;
    c.dtype = DT_F64;
    compare(&d, &c, 0, 0);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.rows[0].kind, DIFF_TYPE);
    diff_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_reports_are_equal),
        cmocka_unit_test(numbers_within_tolerance_are_equal),
        cmocka_unit_test(every_other_difference_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
