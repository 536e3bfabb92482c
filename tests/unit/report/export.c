#include "analysis/report/export.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const words[] = {" a", "say \"hi\", b"};

static struct report *make(struct block *b[5])
{
    struct err e = {0};
    struct report *r;
    struct run *run;
    int at;
    assert_int_equal(report_create(&r, NULL, &e), 0);
    struct report_input in = {"x", (int32_t[]){7, 8}, words, 2};
    assert_int_equal(report_add_input(&at, r, &in, &e), 0);
    assert_int_equal(report_begin_run(&run, r, "x", &e), 0);
    struct block_spec scalar = {.name = "loss", .input = -1, .dtype = DT_F32};
    struct block_spec row = {.name = "p",
        .input = 0,
        .dtype = DT_F64,
        .rank = 1,
        .axes = {{"pos", AXIS_POS, 2, NULL}},
        .unit = "nats"};
    struct block_spec grid = {.name = "g",
        .input = 0,
        .dtype = DT_I64,
        .rank = 2,
        .axes = {{"layer", AXIS_LAYER, 2, NULL}, {"pos", AXIS_POS, 2, NULL}}};
    struct block_spec cube = {.name = "c",
        .input = -1,
        .dtype = DT_F16,
        .rank = 3,
        .axes = {{"a", AXIS_OTHER, 1, NULL}, {"b", AXIS_OTHER, 2, (const char *const[]){"u", "v"}},
            {"c", AXIS_OTHER, 1, NULL}}};
    struct column columns[] = {{"name", NULL, DT_F32, true}, {"x", "m", DT_F32, false}};
    struct block_spec table = {.name = "t",
        .input = -1,
        .rank = 1,
        .axes = {{"row", AXIS_OTHER, 0, NULL}},
        .columns = columns,
        .n_columns = 2};
    struct block_spec *const specs[] = {&scalar, &row, &grid, &cube, &table};
    for (int i = 0; i < 5; i++)
        assert_int_equal(run_block(&b[i], run, specs[i], &e), 0);
    assert_int_equal(block_set(b[0], &(float){0.1f}, &e), 0);
    assert_int_equal(block_set(b[1], (double[]){NAN, -INFINITY}, &e), 0);
    assert_int_equal(block_set(b[2], (int64_t[]){1, -2, 9007199254740993, 4}, &e), 0);
    assert_int_equal(block_set(b[3], (uint16_t[]){0x3c00, 0x3555}, &e), 0);
    struct cell_value cells[] = {{0, "a,b"}, {0.30000001192092896, NULL}};
    assert_int_equal(block_append(b[4], cells, &e), 0);
    return r;
}

static void expect(const struct block *b, enum export_form form, const char *want)
{
    struct err e = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (export_block(f, b, NULL, form, &e))
        fail_msg("%s", e.msg);
    fclose(f);
    assert_string_equal(text, want);
    free(text);
}

static void csv_has_the_axes(void **state)
{
    (void)state;
    struct err e = {0};
    struct block *b[5];
    struct report *r = make(b);
    expect(b[0], EXPORT_CSV, "loss\n0.1\n");
    expect(b[1], EXPORT_CSV, "pos,pos_token,p\n0,\" a\",nan\n1,\"say \"\"hi\"\", b\",-inf\n");
    expect(b[2], EXPORT_CSV, "layer,0: a,\"1:say \"\"hi\"\", b\"\n0,1,-2\n1,9007199254740993,4\n");
    expect(b[3], EXPORT_CSV, "a,b,c,c\n0,u,0,1\n0,v,0,0.3333\n");
    expect(b[4], EXPORT_CSV, "name,x\n\"a,b\",0.3\n");
    assert_int_equal(report_close(&r, &e), 0);
}

static void json_is_what_it_says(void **state)
{
    (void)state;
    struct err e = {0};
    struct block *b[5];
    struct report *r = make(b);
    expect(b[1], EXPORT_JSON,
        "{\n  \"path\": \"runs/000-x/input_0/p\",\n  \"name\": \"p\",\n  \"unit\": \"nats\",\n"
        "  \"long_name\": \"p\",\n  \"source\": null,\n  \"dtype\": \"F64\",\n"
        "  \"axes\": [{\"name\": \"pos\", \"kind\": \"pos\", \"size\": 2, \"labels\": [\" a\", "
        "\"say \\\"hi\\\", b\"]}],\n  \"values\": [null, -1e999]\n}\n");
    expect(b[3], EXPORT_JSON,
        "{\n  \"path\": \"runs/000-x/c\",\n  \"name\": \"c\",\n  \"unit\": \"\",\n"
        "  \"long_name\": \"c\",\n  \"source\": null,\n  \"dtype\": \"F16\",\n"
        "  \"axes\": [{\"name\": \"a\", \"kind\": \"other\", \"size\": 1}, {\"name\": \"b\", "
        "\"kind\": \"other\", \"size\": 2, \"labels\": [\"u\", \"v\"]}, {\"name\": \"c\", "
        "\"kind\": "
        "\"other\", \"size\": 1}],\n  \"values\": [[[1], [0.3333]]]\n}\n");
    expect(b[4], EXPORT_JSON,
        "{\n  \"path\": \"runs/000-x/t\",\n  \"name\": \"t\",\n  \"unit\": \"\",\n"
        "  \"long_name\": \"t\",\n  \"source\": null,\n  \"axes\": [{\"name\": \"row\", \"kind\": "
        "\"other\", \"size\": 1}],\n  \"rows\": [\n    {\"name\": \"a,b\", \"x\": 0.3}]\n}\n");
    assert_int_equal(report_close(&r, &e), 0);
}

static void npy_and_failures(void **state)
{
    (void)state;
    struct err e = {0};
    struct block *b[5];
    struct report *r = make(b);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(export_block(f, b[2], NULL, EXPORT_NPY, &e), 0);
    fclose(f);
    assert_int_equal(n, 128 + 32);
    assert_non_null(strstr(text + 10, "'descr': '<i8', 'fortran_order': False, 'shape': (2, 2), "));
    int64_t third;
    memcpy(&third, text + 128 + 16, 8);
    assert_true(third == 9007199254740993);
    free(text);
    f = open_memstream(&text, &n);
    assert_int_equal(export_block(f, b[4], NULL, EXPORT_NPY, &e), ERR_USAGE);
    fclose(f);
    free(text);
    f = fopen("/dev/full", "w");
    assert_non_null(f);
    assert_int_equal(export_block(f, b[1], NULL, EXPORT_CSV, &e), ERR_OUTPUT);
    fclose(f);
    assert_int_equal(report_close(&r, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_has_the_axes),
        cmocka_unit_test(json_is_what_it_says),
        cmocka_unit_test(npy_and_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
