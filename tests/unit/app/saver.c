#include "app/saver.h"

#include <sys/stat.h>
#include <unistd.h>

#include "app/browse.h"
#include "model/core/machine.h"
#include "tests/unit/app/fake.h"

/* Files are written beside the screen: keys go on, x stops it, and what is there is whole or not at all. */

#define MANY ((int64_t)1 << 24) /* values: 64 MB */

/* A document of one large block, as a job that has ended holds it. */
static struct held_report *large(struct err *e)
{
    struct report *r;
    struct held_report *h;
    struct run *run;
    struct block *b;
    const struct block_spec spec = {.name = "values",
        .long_name = "numbers",
        .dtype = DT_F32,
        .rank = 2,
        .axes = {{.name = "row", .size = MANY >> 12}, {.name = "column", .size = 1 << 12}},
        .input = -1};
    assert_int_equal(report_create(&r, NULL, e), 0);
    assert_int_equal(report_begin_run(&run, r, "made", e), 0);
    if (run_block(&b, run, &spec, e))
        fail_msg("%s", e->msg);
    float *row = calloc(1 << 12, sizeof *row);
    for (int64_t i = 0; i < MANY >> 12; i++) {
        row[7] = (float)i;
        assert_int_equal(block_write(b, (int64_t[]){i, 0}, (int64_t[]){1, 1 << 12}, row, e), 0);
    }
    free(row);
    assert_int_equal(run_end(run, "complete", NULL, e), 0);
    assert_int_equal(held_report_create(&h, r, e), 0);
    return h;
}

static uint64_t show_large(struct bench *b)
{
    struct err e;
    struct job_view v;
    char *line;
    assert_int_equal(jobs_create(&b->fake.base.jobs, &e), 0);
    const uint64_t id = jobs_add(b->fake.base.jobs, "run made", "run made", 1);
    assert_true(jobs_take(b->fake.base.jobs, &v, &line));
    free(line);
    struct held_report *h = large(&e);
    jobs_hold(b->fake.base.jobs, id, h);
    jobs_end(b->fake.base.jobs, id, JOB_DONE, NULL, NULL);
    browse_report(&b->wb, h, "made", id, false);
    held_report_release(&h);
    const double until = machine_seconds() + 20;
    while ((!b->wb.browse->now || b->wb.focus != PANE_BLOCK) && machine_seconds() < until)
        keys(b, "Enter");
    return id;
}

static bool is_there(const char *path)
{
    struct stat st;
    return !stat(path, &st);
}

static void a_large_report_is_saved_beside_the_keys(void **state)
{
    (void)state;
    struct bench b;
    struct job_view v[4];
    char path[64], part[80], line[100];
    struct err e;
    bench_open(&b, 100, 30);
    show_large(&b);
    snprintf(path, sizeof path, "/tmp/sonde-large-%d.h5", (int)getpid());
    snprintf(part, sizeof part, "%s.part", path);
    snprintf(line, sizeof line, "save report %s", path);
    colon_run(&b.wb, line);
    assert_false(is_there(path));
    /* It runs in the list; its progress is of values, and the panes are drawn meanwhile. */
    assert_int_equal(jobs_list(b.wb.engine->jobs, v, 4), 2);
    assert_int_equal(v[0].state, JOB_RUNNING);
    assert_true(v[0].is_aside);
    assert_int_equal(jobs_open(b.wb.engine->jobs), 0);
    const double until = machine_seconds() + 20;
    while (v[0].done <= 0 && saver_is_busy(&b.wb) && machine_seconds() < until) {
        keys(&b, "j");
        jobs_list(b.wb.engine->jobs, v, 4);
    }
    assert_true(v[0].done > 0);
    assert_true(v[0].total == (double)MANY);
    /* Stopped: nothing is left of it. */
    assert_true(jobs_cancel(b.wb.engine->jobs, v[0].id));
    saved(&b);
    shows(&b, "is not written: it was stopped");
    assert_false(is_there(path));
    assert_false(is_there(part));
    jobs_list(b.wb.engine->jobs, v, 4);
    assert_int_equal(v[0].state, JOB_CANCELLED);
    /* The document may go while it is saved. */
    colon_run(&b.wb, line);
    jobs_forget(b.wb.engine->jobs, v[1].id);
    browse_release(&b.wb.browse);
    saved(&b);
    shows(&b, "report in /tmp/sonde-large");
    struct report *back;
    assert_int_equal(report_open(&back, path, &e), 0);
    const struct block *made = report_find(back, "000-made/values");
    assert_non_null(made);
    float got[2];
    assert_int_equal(block_read(got, made, (int64_t[]){4000, 7}, (int64_t[]){1, 2}, &e), 0);
    assert_true(got[0] == 4000 && got[1] == 0);
    report_abandon(&back);
    unlink(path);
    struct jobs *jobs = b.fake.base.jobs;
    bench_close(&b);
    jobs_release(&jobs);
}

/* Who says save and leaves has the file; what fails is said. */
static void leaving_waits_for_the_file(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    char path[64], line[100], text[4096];
    bench_open(&b, 100, 30);
    snprintf(path, sizeof path, "/tmp/sonde-left-%d.csv", (int)getpid());
    snprintf(line, sizeof line, "write %s", path);
    keys(&b, ": 'focus~dla Enter");
    colon_run(&b.wb, line);
    assert_int_equal(saver_release(&b.wb.saver, &e), 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    unlink(path);
    /* The numbers and labels of the pane. */
    assert_non_null(strstr(text, "L0H1"));
    assert_non_null(strstr(text, "-2"));
    colon_run(&b.wb, "write /nonexistent/x.csv");
    saved(&b);
    assert_true(b.wb.is_error);
    shows(&b, "/nonexistent");
    colon_run(&b.wb, "write /nonexistent/x.svg");
    assert_int_equal(saver_release(&b.wb.saver, &e), ERR_OUTPUT);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_report_is_saved_beside_the_keys),
        cmocka_unit_test(leaving_waits_for_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
