#include "analysis/report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* One document with every kind of block, in memory, on disk, and read back: all three have to say
 * the same. */

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char folder[] = "/tmp/sonde-report-XXXXXX";
static char path[64];

static const char *const words[] = {"<|endoftext|>", " Mara", " gave", "\xf0\x9f"};
static const char *const components[] = {"embed", "pos_embed", "L0H0", "bias"};
static const char *const steps[] = {"0", "100", "-7"};

#define OK(call)                                                                                   \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_)                                                                                   \
            fail_msg("%s: %d %s", #call, rc_, e.msg);                                              \
    } while (0)

static void fill_blocks(struct report *r, struct run *run)
{
    struct err e = {0};
    struct block *b;
    struct block_spec grid = {.name = "entropy",
        .input = 0,
        .dtype = DT_F32,
        .rank = 2,
        .axes = {{"layer", AXIS_LAYER, 3, NULL}, {"pos", AXIS_POS, 4, NULL}},
        .unit = "nats",
        .long_name = "entropy of the next token",
        .source = "logit lens",
        .look = LOOK_HEATMAP};
    OK(run_block(&b, run, &grid, &e));
    for (int64_t l = 0; l < 2; l++) { /* the last row stays missing */
        float row[4] = {(float)l, 1.5f, -2, (float)l / 3};
        OK(block_write(b, (int64_t[]){l, 0}, (int64_t[]){1, 4}, row, &e));
    }
    assert_int_not_equal(run_block(&b, run, &grid, &e), 0); /* the same name again */
    struct block_spec parts = {.name = "contribution",
        .input = 1,
        .dtype = DT_F64,
        .rank = 1,
        .axes = {{"component", AXIS_COMPONENT, 4, components}},
        .unit = "logits",
        .look = LOOK_BARS,
        .is_signed = true};
    OK(run_block(&b, run, &parts, &e));
    OK(block_set(b, (double[]){1, -2.25, 1e-300, INFINITY}, &e));
    struct block_spec curve = {.name = "top",
        .input = -1,
        .dtype = DT_I32,
        .rank = 2,
        .axes = {{"step", AXIS_STEP, 3, steps}, {"k", AXIS_RANK, 2, NULL}}};
    OK(run_block(&b, run, &curve, &e));
    OK(block_set(b, (int32_t[]){1, 2, 3, -4, 5, 2147483647}, &e));
    struct block_spec scalar = {.name = "loss", .input = 0, .dtype = DT_F32, .unit = "nats"};
    OK(run_block(&b, run, &scalar, &e));
    OK(block_set(b, &(float){2.5f}, &e));
    struct block_spec half = {.name = "half",
        .input = -1,
        .dtype = DT_F16,
        .rank = 1,
        .axes = {{"i", AXIS_OTHER, 3, NULL}}};
    OK(run_block(&b, run, &half, &e));
    OK(block_set(b, (uint16_t[]){0x3c00, 0xc000, 0x0001}, &e));
    struct block_spec none = {.name = "none",
        .input = -1,
        .dtype = DT_F32,
        .rank = 1,
        .axes = {{"i", AXIS_OTHER, 0, NULL}}};
    OK(run_block(&b, run, &none, &e));
    struct column columns[] = {{"head", NULL, DT_F32, true}, {"score", "share", DT_F32, false},
        {"n", NULL, DT_I64, false}};
    struct block_spec table = {.name = "ranking",
        .input = -1,
        .rank = 1,
        .axes = {{"row", AXIS_OTHER, 0, NULL}},
        .look = LOOK_TABLE,
        .columns = columns,
        .n_columns = 3};
    OK(run_block(&b, run, &table, &e));
    for (int i = 0; i < 600; i++) {
        char name[16];
        snprintf(name, sizeof name, "L%dH%d", i / 12, i % 12);
        struct cell_value row[] = {{0, name}, {i * 0.5, NULL}, {i - 3, NULL}};
        OK(block_append(b, row, &e));
    }
    assert_int_equal(block_rows(b), 600);
    (void)r;
}

static struct report *make(const char *where)
{
    struct err e = {0};
    struct report *r;
    struct run *run;
    int at;
    OK(report_create(&r, where, &e));
    struct report_info info = {"sonde run lens", "haswell", "0.1", 2};
    OK(report_describe(r, &info, &e));
    struct report_input one = {"Mara gave\xff", (int32_t[]){0, 1, 2, 3}, words, 4};
    struct report_input two = {"", NULL, NULL, 0};
    OK(report_add_input(&at, r, &one, &e));
    assert_int_equal(at, 0);
    OK(report_add_input(&at, r, &two, &e));
    assert_int_equal(at, 1);
    OK(report_begin_run(&run, r, "lens", &e));
    OK(run_attr_text(run, "model_name", "tiny", &e));
    OK(run_attr_int(run, "seed", -5, &e));
    OK(run_attr_float(run, "param.tol", 0.1, &e));
    fill_blocks(r, run);
    OK(run_end(run, "complete", NULL, &e));
    OK(report_begin_run(&run, r, "dla", &e));
    OK(run_inputs(run, 1, 2, &e));
    OK(run_end(run, "cancelled", "by hand", &e));
    return r;
}

static void check_blocks(struct report *r)
{
    struct err e = {0};
    struct field f;
    double v[16];
    struct block *b = report_find(r, "000-lens/input_0/entropy");
    assert_non_null(b);
    assert_ptr_equal(b, report_find(r, "/runs/000-lens/input_0/entropy"));
    const struct block_spec *s = block_spec(b);
    assert_string_equal(s->unit, "nats");
    assert_string_equal(s->source, "logit lens");
    assert_int_equal(s->input, 0);
    assert_int_equal(s->look, LOOK_HEATMAP);
    assert_string_equal(s->axes[1].name, "pos");
    assert_non_null(s->axes[1].labels); /* the tokens of the input */
    assert_string_equal(s->axes[1].labels[1], " Mara");
    assert_string_equal(s->axes[1].labels[3], "\\xf0\\x9f");
    assert_null(s->axes[0].labels);
    OK(block_field(&f, b, -1, &e));
    struct window all = field_all(&f);
    OK(f.fetch(&f, v, &all, FIELD_POINT, &e));
    assert_true(v[0] == 0 && v[4] == 1 && v[6] == -2 && v[7] == (double)(1 / 3.0f));
    assert_true(isnan(v[8]) && isnan(v[11]));
    /* 2 x 2 cells at a time, the last column of windows half outside */
    struct window w = {{0, 1}, {2, 3}, {2, 2}};
    OK(f.fetch(&f, v, &w, FIELD_MEAN, &e));
    assert_true(v[0] == (1.5 - 2 + 1.5 - 2) / 4 && v[1] == (double)(1 / 3.0f) / 2);
    assert_true(isnan(v[2]) && isnan(v[3]));
    OK(f.fetch(&f, v, &w, FIELD_ABSMAX, &e));
    assert_true(v[0] == -2);
    OK(f.fetch(&f, v, &w, FIELD_NORM, &e));
    assert_float_equal(v[0], sqrt(2 * 1.5 * 1.5 + 8), 1e-12);
    OK(f.fetch(&f, v, &w, FIELD_POINT, &e));
    assert_true(v[0] == 1.5 && v[1] == 0 && isnan(v[2]) && isnan(v[3]));
    OK(f.fetch(&f, v, &w, FIELD_MIN, &e));
    assert_true(v[0] == -2 && v[1] == 0);
    b = report_find(r, "000-lens/input_1/contribution");
    s = block_spec(b);
    assert_true(s->is_signed && s->dtype == DT_F64);
    assert_string_equal(s->axes[0].labels[1], "pos_embed");
    OK(block_read(v, b, (int64_t[]){1}, (int64_t[]){3}, &e));
    assert_true(v[0] == -2.25 && v[1] == 1e-300 && isinf(v[2]));
    b = report_find(r, "000-lens/top");
    s = block_spec(b);
    assert_string_equal(s->axes[0].labels[2], "-7");
    OK(block_field(&f, b, -1, &e));
    all = field_all(&f);
    OK(f.fetch(&f, v, &all, FIELD_POINT, &e));
    assert_true(v[3] == -4 && v[5] == 2147483647);
    b = report_find(r, "000-lens/input_0/loss");
    assert_int_equal(block_spec(b)->rank, 0);
    OK(block_field(&f, b, -1, &e));
    all = field_all(&f);
    OK(f.fetch(&f, v, &all, FIELD_POINT, &e));
    assert_true(v[0] == 2.5);
    OK(block_field(&f, report_find(r, "000-lens/half"), -1, &e));
    all = field_all(&f);
    OK(f.fetch(&f, v, &all, FIELD_MEAN, &e));
    assert_true(v[0] == 1 && v[1] == -2 && v[2] == 0x1p-24);
    assert_int_equal(block_spec(report_find(r, "000-lens/none"))->axes[0].size, 0);
}

static void check_table(struct report *r)
{
    struct err e = {0};
    struct cell_value c;
    struct field f;
    double v[8];
    struct block *b = report_find(r, "runs/000-lens/ranking");
    assert_int_equal(block_rows(b), 600);
    const struct block_spec *s = block_spec(b);
    assert_int_equal(s->n_columns, 3);
    assert_string_equal(s->columns[1].name, "score");
    assert_string_equal(s->columns[1].unit, "share");
    assert_true(s->columns[0].is_text && s->columns[2].dtype == DT_I64);
    OK(block_cell(&c, b, 599, 0, &e));
    assert_string_equal(c.text, "L49H11");
    OK(block_cell(&c, b, 13, 0, &e));
    assert_string_equal(c.text, "L1H1");
    OK(block_cell(&c, b, 0, 2, &e));
    assert_true(c.number == -3);
    assert_int_equal(block_cell(&c, b, 600, 0, &e), ERR_USAGE);
    OK(block_field(&f, b, 1, &e));
    struct window w = {{1}, {5}, {120}};
    OK(f.fetch(&f, v, &w, FIELD_POINT, &e));
    assert_true(v[0] == 0.5 && v[4] == 481 * 0.5);
    OK(f.fetch(&f, v, &w, FIELD_MAX, &e));
    assert_true(v[0] == 60 && v[4] == 599 * 0.5);
    assert_int_equal(block_field(&f, b, 0, &e), ERR_USAGE);
}

static void check(struct report *r)
{
    struct err e = {0};
    struct report_input in;
    assert_int_equal(report_runs(r), 2);
    assert_string_equal(report_about(r)->command, "sonde run lens");
    assert_int_equal(report_about(r)->threads, 2);
    assert_int_equal(report_inputs(r), 2);
    OK(report_input(&in, r, 0, &e));
    assert_string_equal(in.text, "Mara gave\\xff");
    assert_int_equal(in.n, 4);
    assert_int_equal(in.tokens[3], 3);
    assert_string_equal(in.token_str[1], " Mara");
    OK(report_input(&in, r, 1, &e));
    assert_int_equal(in.n, 0);
    assert_int_equal(report_input(&in, r, 2, &e), ERR_USAGE);
    struct run *run = report_run(r, 0);
    assert_string_equal(run_name(run), "000-lens");
    assert_string_equal(run_analysis(run), "lens");
    assert_string_equal(run_attr(run, "seed"), "-5");
    assert_string_equal(run_attr(run, "param.tol"), "0.1");
    assert_string_equal(run_attr(run, "inputs"), "0,2");
    assert_string_equal(run_attr(run, "status"), "complete");
    assert_null(run_attr(run, "nothing"));
    assert_int_equal(run_blocks(run), 7);
    assert_string_equal(run_attr(report_run(r, 1), "inputs"), "1,2");
    assert_string_equal(run_attr(report_run(r, 1), "status"), "cancelled");
    assert_string_equal(run_attr(report_run(r, 1), "message"), "by hand");
    assert_null(report_find(r, "000-lens/nothing"));
    check_blocks(r);
    check_table(r);
}

static void memory_holds_it(void **state)
{
    (void)state;
    struct err e = {0};
    struct report *r = make(NULL);
    check(r);
    OK(report_close(&r, &e));
    assert_null(r);
}

static void file_holds_it(void **state)
{
    (void)state;
    struct err e = {0};
    struct report *r = make(path);
    check(r); /* while it is being written */
    assert_int_not_equal(access(path, F_OK), 0);
    OK(report_close(&r, &e));
    OK(report_open(&r, path, &e));
    assert_false(report_is_foreign(r));
    check(r);
    assert_string_equal(
        block_path(run_block_at(report_run(r, 0), 0)), "runs/000-lens/input_0/entropy");
    struct run *run;
    assert_int_equal(report_begin_run(&run, r, "more", &e), ERR_USAGE);
    OK(report_close(&r, &e));
}

static char *slurp(const char *name, size_t *n)
{
    FILE *f = fopen(name, "rb");
    struct stat st;
    assert_non_null(f);
    fstat(fileno(f), &st);
    char *s = malloc((size_t)st.st_size);
    *n = fread(s, 1, (size_t)st.st_size, f);
    fclose(f);
    return s;
}

static void equal_runs_give_equal_bytes(void **state)
{
    (void)state;
    struct err e = {0};
    char other[80];
    size_t n, m;
    snprintf(other, sizeof other, "%s.again", path);
    struct report *r = make(path);
    OK(report_close(&r, &e));
    sleep(1); /* a stored time would differ */
    r = make(other);
    OK(report_close(&r, &e));
    char *a = slurp(path, &n), *b = slurp(other, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    unlink(other);
}

static void abandoned_part_is_readable(void **state)
{
    (void)state;
    struct err e = {0};
    char part[80];
    snprintf(part, sizeof part, "%s.part", path);
    unlink(path);
    struct report *r = make(path);
    report_abandon(&r);
    assert_null(r);
    assert_int_not_equal(access(path, F_OK), 0);
    OK(report_open(&r, part, &e));
    check(r);
    OK(report_close(&r, &e));
    unlink(part);
}

static void bad_places_are_one_line(void **state)
{
    (void)state;
    struct err e = {0};
    struct report *r;
    char link[80];
    assert_int_equal(report_create(&r, "/no/such/folder/x.h5", &e), ERR_OUTPUT);
    assert_non_null(strstr(e.msg, "/no/such/folder/x.h5"));
    assert_int_equal(report_create(&r, folder, &e), ERR_OUTPUT);
    assert_int_equal(report_create(&r, "/dev/full", &e), ERR_OUTPUT);
    assert_int_equal(report_open(&r, "/no/such.h5", &e), ERR_INPUT);
    assert_int_equal(report_open(&r, folder, &e), ERR_INPUT);
    assert_int_equal(report_open(&r, "/dev/null", &e), ERR_INPUT);
    assert_int_equal(report_open(&r, "/proc/self/cmdline", &e), ERR_INPUT);
    /* A link keeps pointing at the file that is replaced; a second writer is refused. */
    snprintf(link, sizeof link, "%s.link", path);
    OK(report_create(&r, path, &e));
    struct report *second;
    assert_int_equal(report_create(&second, path, &e), ERR_OUTPUT);
    OK(report_close(&r, &e));
    assert_int_equal(symlink(path, link), 0);
    OK(report_create(&r, link, &e));
    OK(report_close(&r, &e));
    struct stat st;
    assert_true(!lstat(link, &st) && S_ISLNK(st.st_mode));
    unlink(link);
}

static void nothing_leaks(void **state)
{
    (void)state;
    struct err e = {0};
    struct report *r = make(path);
    OK(report_close(&r, &e));
    long before = 0;
    for (int i = 0; i < 400; i++) {
        OK(report_open(&r, path, &e));
        (void)block_spec(report_find(r, "000-lens/input_0/entropy"));
        OK(report_close(&r, &e));
        long pages;
        FILE *f = fopen("/proc/self/statm", "r");
        assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
        fclose(f);
        if (i == 100)
            before = pages;
        /* The address sanitizer keeps what is freed, and finds leaks in its own way. */
        if (i == 399 && !SANITIZED)
            assert_true(pages - before < 77); /* 1 KiB an opening */
    }
    char fd[32];
    snprintf(fd, sizeof fd, "/proc/self/fd/%d", 40);
    assert_int_not_equal(access(fd, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_holds_it),
        cmocka_unit_test(file_holds_it),
        cmocka_unit_test(equal_runs_give_equal_bytes),
        cmocka_unit_test(abandoned_part_is_readable),
        cmocka_unit_test(bad_places_are_one_line),
        cmocka_unit_test(nothing_leaks),
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/r.h5", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
