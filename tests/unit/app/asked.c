#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/asked.h"

/* What a log says of commands: written by a queue, heard again, and offered by the next queue. */

#define LENS "run lens -m tiny -p 'Mara went'"
#define NORMS "run norms -m tiny -p 'Mara went'"
#define FILED "run norms -m tiny -p 'Mara went' -o norms.h5"

struct rig {
    struct jobs *q;
    struct log *log;
    char path[64], text[4096];
    struct err e;
};

static void tell(void *arg, const struct job_view *v, const char *line, bool is_dropped)
{
    asked_write(arg, v, line, is_dropped);
}

static void open_rig(struct rig *r)
{
    *r = (struct rig){.q = NULL};
    snprintf(r->path, sizeof r->path, "/tmp/sonde-asked-%d.log", (int)getpid());
    unlink(r->path);
    assert_int_equal(log_open(&r->log, r->path, &r->e), 0);
    assert_int_equal(jobs_create(&r->q, &r->e), 0);
    jobs_watch(r->q, tell, r->log);
}

static const char *text(struct rig *r)
{
    FILE *f = fopen(r->path, "r");
    assert_non_null(f);
    r->text[fread(r->text, 1, sizeof r->text - 1, f)] = '\0';
    fclose(f);
    return r->text;
}

static void close_rig(struct rig *r)
{
    jobs_release(&r->q);
    log_release(&r->log);
    unlink(r->path);
}

static void hear(struct asked *a, const char *log)
{
    struct err e;
    char line[512];
    for (; *log; log += strcspn(log, "\n"), log += *log == '\n') {
        const size_t n = strcspn(log, "\n");
        assert_true(n < sizeof line);
        memcpy(line, log, n);
        line[n] = '\0';
        assert_int_equal(asked_hear(a, line, &e), 0);
    }
}

/* Runs the next one as the computing thread does. */
static uint64_t take(struct rig *r)
{
    struct job_view v;
    char *line;
    assert_true(jobs_take(r->q, &v, &line));
    free(line);
    return v.id;
}

static void a_command_is_written_when_it_is_asked_for(void **state)
{
    (void)state;
    struct rig r;
    struct asked a = {0};
    open_rig(&r);
    jobs_add(r.q, LENS, "run lens", 1);
    jobs_add(r.q, NORMS, NORMS, 2);
    assert_string_equal(text(&r), "# asked: " LENS "\n#     as run lens\n# asked: " NORMS "\n");
    hear(&a, text(&r));
    assert_int_equal(asked_left(&a), 2);
    assert_string_equal(a.list[0].line, LENS);
    assert_string_equal(a.list[0].name, "run lens");
    assert_string_equal(a.list[1].line, NORMS);
    assert_null(a.list[1].name);
    asked_release(&a);
    /* Done: the line itself, and nothing is left but its report, which is gone. */
    const uint64_t id = take(&r);
    log_ran(r.log, LENS, NULL);
    jobs_end(r.q, id, JOB_DONE, NULL, NULL);
    hear(&a, text(&r));
    assert_int_equal(asked_left(&a), 1);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.list[1].line, LENS);
    assert_string_equal(a.list[1].name, "run lens");
    assert_true(a.list[1].is_done);
    asked_release(&a);
    close_rig(&r);
}

static void what_was_stopped_or_failed_is_not_offered(void **state)
{
    (void)state;
    struct rig r;
    struct asked a = {0};
    open_rig(&r);
    jobs_add(r.q, LENS, LENS, 1);
    const uint64_t second = jobs_add(r.q, NORMS, NORMS, 2);
    const uint64_t first = take(&r);
    assert_true(jobs_cancel(r.q, second));
    jobs_end(r.q, first, JOB_FAILED, "two\nlines", NULL);
    assert_non_null(strstr(text(&r), "# cancelled: " NORMS "\n"));
    assert_non_null(strstr(text(&r), "# failed: " LENS "\n#     two lines\n"));
    hear(&a, text(&r));
    assert_int_equal(a.n, 0);
    asked_release(&a);
    /* A running one: the person's word counts, not that the program ends. */
    jobs_add(r.q, LENS, LENS, 3);
    jobs_end(r.q, take(&r), JOB_CANCELLED, NULL, NULL);
    jobs_add(r.q, NORMS, NORMS, 4);
    const uint64_t stopped = take(&r);
    assert_true(jobs_cancel(r.q, stopped));
    jobs_end(r.q, stopped, JOB_CANCELLED, NULL, NULL);
    hear(&a, text(&r));
    assert_int_equal(a.n, 1);
    assert_string_equal(a.list[0].line, LENS);
    asked_release(&a);
    close_rig(&r);
}

static void an_earlier_session_is_offered(void **state)
{
    (void)state;
    struct rig r;
    struct asked a = {0};
    struct job_view v[8];
    open_rig(&r);
    assert_true(jobs_offer(r.q, LENS, "run lens", JOB_LEFT));
    assert_true(jobs_offer(r.q, NORMS, "run norms", JOB_GONE));
    assert_false(jobs_offer(r.q, LENS, "run lens", JOB_GONE));
    assert_int_equal(jobs_open(r.q), 0);
    char *line;
    assert_false(jobs_take(r.q, &v[0], &line));
    assert_int_equal(jobs_list(r.q, v, 8), 2);
    assert_int_equal(v[0].state, JOB_LEFT);
    assert_int_equal(v[1].state, JOB_GONE);
    /* The next session's log has them too: it may be killed as well. */
    hear(&a, text(&r));
    assert_int_equal(a.n, 2);
    assert_int_equal(asked_left(&a), 1);
    asked_release(&a);
    /* Asked for again a line takes the place of what was offered; ended ones stand between the two. */
    jobs_add(r.q, LENS, "run lens", 1);
    assert_int_equal(jobs_list(r.q, v, 8), 2);
    assert_int_equal(v[0].state, JOB_WAITING);
    jobs_end(r.q, take(&r), JOB_DONE, NULL, NULL);
    assert_true(jobs_offer(r.q, FILED, FILED, JOB_LEFT));
    assert_int_equal(jobs_list(r.q, v, 8), 3);
    assert_int_equal(v[0].state, JOB_LEFT);
    assert_int_equal(v[1].state, JOB_DONE);
    assert_int_equal(v[2].state, JOB_GONE);
    /* However many end, those offered stay. */
    for (int i = 0; i < 40; i++) {
        jobs_add(r.q, "list views", "list views", 9);
        jobs_end(r.q, take(&r), JOB_DONE, NULL, NULL);
    }
    struct job_view all[40];
    const int n = jobs_list(r.q, all, 40);
    assert_int_equal(n, 26);
    assert_int_equal(all[0].state, JOB_LEFT);
    assert_int_equal(all[25].state, JOB_GONE);
    /* Off the list is off the log. */
    assert_true(jobs_cancel(r.q, all[0].id));
    assert_true(jobs_forget(r.q, all[25].id));
    hear(&a, text(&r));
    for (int i = 0; i < a.n; i++) {
        assert_string_not_equal(a.list[i].line, FILED);
        assert_string_not_equal(a.list[i].line, NORMS);
    }
    asked_release(&a);
    close_rig(&r);
}

static void what_a_file_holds_is_not_gone(void **state)
{
    (void)state;
    struct asked a = {0};
    hear(&a, "# asked: " FILED "\n" FILED "\n# asked: list views\nlist views\n");
    assert_int_equal(a.n, 0);
    /* Asked for twice and done once: equal lines have equal results. */
    hear(&a, "# asked: " LENS "\n# asked: " LENS "\n" LENS "\n");
    assert_int_equal(a.n, 1);
    assert_true(a.list[0].is_done);
    /* One of two was taken back. */
    hear(&a, "# asked: " NORMS "\n# asked: " NORMS "\n# cancelled: " NORMS "\n");
    assert_int_equal(asked_left(&a), 1);
    /* What the screen itself computed was asked for by nobody. */
    asked_release(&a);
    hear(&a, LENS "\n# a note\nprompt 'x'\n");
    assert_int_equal(a.n, 0);
    /* A long session: the newest. */
    for (int i = 0; i < 100; i++) {
        char line[64];
        struct err e;
        snprintf(line, sizeof line, "# asked: run lens -p %d", i);
        assert_int_equal(asked_hear(&a, line, &e), 0);
    }
    assert_int_equal(a.n, 64);
    assert_string_equal(a.list[63].line, "run lens -p 99");
    asked_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_written_when_it_is_asked_for),
        cmocka_unit_test(what_was_stopped_or_failed_is_not_offered),
        cmocka_unit_test(an_earlier_session_is_offered),
        cmocka_unit_test(what_a_file_holds_is_not_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
