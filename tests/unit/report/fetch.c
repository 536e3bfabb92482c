#include "analysis/report/report.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Windows with strides and reductions against a plain loop over all cells, on random shapes, in memory
 * and on disk; and readers that look on while a writer works. */

static char path[] = "/tmp/sonde-fetch-XXXXXX";
static uint32_t state = 1;

static int64_t below(int64_t n)
{
    state = state * 1664525 + 1013904223;
    return (int64_t)(state >> 8) % n;
}

static struct report *new_report(bool on_disk, struct run **run)
{
    struct err e = {0};
    struct report *r;
    if (report_create(&r, on_disk ? path : NULL, &e) || report_begin_run(run, r, "x", &e))
        fail_msg("%s", e.msg);
    return r;
}

/* The cells that window cell `at` stands for, one after the other. */
static double plain(const float *v, const struct block_spec *s, const struct window *w,
    const int64_t *at, enum field_reduce how)
{
    double best = NAN, sum = 0, squares = 0;
    int64_t k[FIELD_MAX_RANK] = {0}, n = 0;
    for (;;) {
        int64_t offset = 0;
        bool inside = true;
        for (int i = 0; i < s->rank; i++) {
            int64_t x = w->start[i] + at[i] * w->stride[i] + k[i];
            inside = inside && x < s->axes[i].size;
            offset = offset * s->axes[i].size + x;
        }
        double x = inside ? (double)v[offset] : NAN;
        if (!isnan(x)) {
            bool first = !n++;
            sum += how == FIELD_NORM ? x * x : x;
            squares += x * x;
            if (first || (how == FIELD_MAX && x > best) || (how == FIELD_MIN && x < best) ||
                (how == FIELD_ABSMAX && fabs(x) > fabs(best)))
                best = x;
        }
        int i = s->rank - 1;
        while (i >= 0 && how != FIELD_POINT && ++k[i] == w->stride[i])
            k[i--] = 0;
        if (i < 0 || how == FIELD_POINT)
            break;
    }
    if (!n)
        return NAN;
    if (how == FIELD_STD) {
        double mean = sum / (double)n, var = squares / (double)n - mean * mean;
        return var > 1e-9 ? sqrt(var) : 0;
    }
    return how == FIELD_MEAN ? sum / (double)n : how == FIELD_NORM ? sqrt(sum) : best;
}

static void compare(const struct block *b, const float *v, const struct window *w)
{
    struct err e = {0};
    struct field f;
    assert_int_equal(block_field(&f, b, -1, &e), 0);
    int64_t total = window_count(w, f.rank);
    double *out = malloc((size_t)(total + 1) * sizeof *out);
    for (int how = FIELD_POINT; how < FIELD_REDUCE_COUNT; how++) {
        int64_t at[FIELD_MAX_RANK] = {0};
        out[total] = 42;
        if (f.fetch(&f, out, w, (enum field_reduce)how, &e))
            fail_msg("%s", e.msg);
        for (int64_t i = 0; i < total; i++) {
            double want = plain(v, block_spec(b), w, at, (enum field_reduce)how);
            if (isnan(want) ? !isnan(out[i]) : fabs(out[i] - want) > 1e-11 * (1 + fabs(want)))
                fail_msg("reduction %d, cell %ld: %g, not %g", how, (long)i, out[i], want);
            for (int k = f.rank - 1; k >= 0 && ++at[k] == w->count[k]; k--)
                at[k] = 0;
        }
        assert_true(out[total] == 42);
    }
    free(out);
}

static void one_shape(bool on_disk, int rank, int64_t most, int windows)
{
    struct err e = {0};
    struct run *run;
    struct block *b;
    struct report *r = new_report(on_disk, &run);
    struct block_spec s = {.name = "x", .input = -1, .dtype = DT_F32, .rank = rank};
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        s.axes[i] = (struct axis){"a", AXIS_OTHER, 1 + below(most), NULL};
        n *= s.axes[i].size;
    }
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = below(9) ? (float)below(1000) / 7 - 60 : NAN;
    assert_int_equal(run_block(&b, run, &s, &e), 0);
    assert_int_equal(block_set(b, v, &e), 0);
    for (int k = 0; k < windows; k++) {
        struct window w = {0};
        for (int i = 0; i < rank; i++) {
            w.start[i] = below(s.axes[i].size + 2);
            w.count[i] = 1 + below(6);
            w.stride[i] = 1 + below(s.axes[i].size);
        }
        compare(b, v, &w);
    }
    free(v);
    assert_int_equal(report_close(&r, &e), 0);
}

static void windows_are_what_a_plain_loop_says(void **unused)
{
    (void)unused;
    for (int rank = 0; rank <= FIELD_MAX_RANK; rank++)
        for (int k = 0; k < 6; k++)
            one_shape(k % 2, rank, rank < 3 ? 40 : 7, 8);
    /* More than is read at once. */
    one_shape(false, 2, 1500, 1);
    one_shape(true, 2, 1500, 1);
    one_shape(true, 3, 120, 1);
}

static void odd_windows(void **unused)
{
    (void)unused;
    struct err e = {0};
    struct run *run;
    struct block *b;
    struct field f;
    double out[4];
    struct report *r = new_report(false, &run);
    struct block_spec s = {
        .name = "x", .input = -1, .dtype = DT_I32, .rank = 1, .axes = {{"a", AXIS_OTHER, 3, NULL}}};
    assert_int_equal(run_block(&b, run, &s, &e), 0);
    assert_int_equal(block_field(&f, b, -1, &e), 0);
    struct window w = {{0}, {4}, {1}};
    assert_int_equal(f.fetch(&f, out, &w, FIELD_MEAN, &e), 0); /* nothing written yet */
    assert_true(isnan(out[0]) && isnan(out[3]));
    uint64_t before = f.generation(&f);
    assert_int_equal(block_set(b, (int32_t[]){1, 2, 3}, &e), 0);
    assert_true(f.generation(&f) > before);
    w = (struct window){{1}, {2}, {INT64_MAX}};
    assert_int_equal(f.fetch(&f, out, &w, FIELD_MAX, &e), 0);
    assert_true(out[0] == 3 && isnan(out[1]));
    w = (struct window){{INT64_MAX}, {2}, {1}};
    assert_int_equal(f.fetch(&f, out, &w, FIELD_MAX, &e), 0);
    assert_true(isnan(out[0]) && isnan(out[1]));
    w = (struct window){{-1}, {2}, {1}};
    assert_int_equal(f.fetch(&f, out, &w, FIELD_MAX, &e), ERR_USAGE);
    w = (struct window){{0}, {0}, {1}};
    assert_int_equal(f.fetch(&f, out, &w, FIELD_MAX, &e), 0);
    assert_int_equal(block_write(b, (int64_t[]){2}, (int64_t[]){2}, out, &e), ERR_USAGE);
    assert_int_equal(block_write(b, (int64_t[]){-1}, (int64_t[]){1}, out, &e), ERR_USAGE);
    assert_int_equal(report_close(&r, &e), 0);
}

struct watch {
    struct report *r;
    bool texts; /* of one thread: a text is valid until the next call */
    atomic_bool stop, bad;
};

/* Rows are written whole and in order, so a look sees a number of full rows and then missing ones. */
static void *look_on(void *arg)
{
    struct watch *w = arg;
    struct err e = {0};
    double v[64 * 8];
    while (!w->stop) {
        struct block *b = report_find(w->r, "000-x/x"), *t = report_find(w->r, "000-x/t");
        struct field f;
        struct cell_value c;
        if (!b || !t || block_field(&f, b, -1, &e))
            continue;
        struct window all = field_all(&f);
        bool ended = false, bad = f.fetch(&f, v, &all, FIELD_POINT, &e) != 0;
        for (int i = 0; i < 64; i++) {
            ended = ended || isnan(v[i * 8]);
            for (int k = 0; k < 8; k++)
                bad = bad || (ended ? !isnan(v[i * 8 + k]) : v[i * 8 + k] != i);
        }
        int64_t rows = block_rows(t);
        bad =
            bad ||
            (rows && (block_cell(&c, t, rows - 1, 1, &e) || (w->texts && strcmp(c.text, "text"))));
        if (bad)
            w->bad = true;
    }
    return NULL;
}

static void readers_see_whole_slices(void **unused)
{
    (void)unused;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        struct err e = {0};
        struct run *run;
        struct block *b, *t;
        struct watch w = {.r = new_report(on_disk, &run), .texts = !on_disk};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, look_on, &w);
        struct column columns[] = {{"n", NULL, DT_I32, false}, {"s", NULL, DT_F32, true}};
        struct block_spec s = {.name = "x",
            .input = -1,
            .dtype = DT_F32,
            .rank = 2,
            .axes = {{"a", AXIS_OTHER, 64, NULL}, {"b", AXIS_OTHER, 8, NULL}}};
        struct block_spec table = {.name = "t",
            .input = -1,
            .rank = 1,
            .axes = {{"row", AXIS_OTHER, 0, NULL}},
            .columns = columns,
            .n_columns = 2};
        assert_int_equal(run_block(&b, run, &s, &e), 0);
        assert_int_equal(run_block(&t, run, &table, &e), 0);
        for (int64_t i = 0; i < 64; i++) {
            float row[8];
            for (int k = 0; k < 8; k++)
                row[k] = (float)i;
            struct cell_value cells[] = {{(double)i, NULL}, {0, "text"}};
            assert_int_equal(block_write(b, (int64_t[]){i, 0}, (int64_t[]){1, 8}, row, &e), 0);
            assert_int_equal(block_append(t, cells, &e), 0);
            usleep(200);
        }
        w.stop = true;
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_false(w.bad);
        assert_int_equal(report_close(&w.r, &e), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_what_a_plain_loop_says),
        cmocka_unit_test(odd_windows),
        cmocka_unit_test(readers_see_whole_slices),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
