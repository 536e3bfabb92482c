#include "app/engine.h"

#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/embedded.h"
#include "app/session.h"
#include "model/core/machine.h"
#include "views/buf.h"

/* The worker thread with the embedded model: what it answers, refuses and drops. */

struct rig {
    struct session s;
    struct command c;
    struct arena arena;
    struct engine *g;
    struct err e;
};

static struct answer *wait_for(struct rig *r, uint64_t serial)
{
    double until = machine_seconds() + 60;
    while (machine_seconds() < until) {
        struct answer *a = r->g->take(r->g);
        if (a && a->serial == serial)
            return a;
        answer_release(&a);
        struct pollfd p = {r->g->wake_fd, POLLIN, 0};
        poll(&p, 1, 50);
    }
    fail_msg("no answer %d", (int)serial);
    return NULL;
}

static void open_rig(struct rig *r)
{
    *r = (struct rig){.g = NULL};
    session_init(&r->s);
    assert_int_equal(command_parse(&r->c, NULL, 0, &r->arena, &r->e), 0);
    assert_int_equal(engine_create(&r->g, &r->s, &r->c, &r->e), 0);
    struct question q = {.ask = ASK_MODEL, .serial = 1};
    r->g->ask(r->g, &q);
    struct answer *a = wait_for(r, 1);
    assert_int_equal(a->e.code, 0);
    assert_true(a->facts.is_open);
    assert_true(a->facts.cfg.n_layer > 0);
    answer_release(&a);
}

static void close_rig(struct rig *r)
{
    engine_release(&r->g);
    session_release(&r->s);
    arena_release(&r->arena);
}

static const struct question mara = {.ask = ASK_PROMPT,
    .text = "When Mara and Tobin went to the harbour, Mara gave the lantern to",
    .bos = true,
    .target = -1,
    .versus = -1};

static double at(const struct field *f, int64_t i, int64_t j, int64_t k)
{
    struct err e;
    struct window w = {.start = {i, j, k}, .count = {1, 1, 1}, .stride = {1, 1, 1}};
    double v;
    assert_int_equal(f->fetch(f, &v, &w, FIELD_POINT, &e), 0);
    return v;
}

static void a_prompt_is_answered(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct question q = mara;
    q.serial = 2;
    r.g->ask(r.g, &q);
    struct answer *a = wait_for(&r, 2);
    assert_int_equal(a->e.code, 0);
    int64_t L = a->facts.cfg.n_layer, last = a->n - 1;
    assert_string_equal(a->tokens[0], "BOS");
    assert_string_equal(a->tokens[last], " to");
    /* The target is the model's best at the end, and the final row of the lens says so. */
    assert_int_equal((int64_t)at(&a->top_token, L, last, 0), a->target);
    assert_int_equal((int64_t)at(&a->rank, L, last, 0), 0);
    assert_float_equal(at(&a->top_logprob, L, last, 0), at(&a->logprob, L, last, 0), 1e-5);
    assert_float_equal(at(&a->kl, L, last, 0), 0, 1e-6);
    double row = 0;
    for (int64_t k = 0; k < a->n; k++) {
        struct window w = {.start = {1, 0, last, k}, .count = {1, 1, 1, 1}, .stride = {1, 1, 1, 1}};
        double v;
        assert_int_equal(a->pattern.fetch(&a->pattern, &v, &w, FIELD_POINT, &r.e), 0);
        row += v;
    }
    assert_float_equal(row, 1, 1e-5);
    int64_t target = a->target, versus = (int64_t)at(&a->top_token, L, last, 1);
    answer_release(&a);

    q.ask = ASK_DLA;
    q.pos = last;
    q.target = target;
    q.versus = versus;
    q.serial = 3;
    r.g->ask(r.g, &q);
    a = wait_for(&r, 3);
    assert_int_equal(a->e.code, 0);
    double sum = 0;
    for (int64_t i = 0; i < a->contribution.axes[0].size; i++)
        sum += at(&a->contribution, i, 0, 0);
    assert_float_equal(sum, at(&a->ledger, 0, 0, 0), 1e-4);
    assert_float_equal(at(&a->ledger, 1, 0, 0), at(&a->ledger, 2, 0, 0), 1e-3);
    answer_release(&a);
    close_rig(&r);
}

static void edits_reach_the_model(void **state)
{
    (void)state;
    static const char *const edits[] = {"L1_mlp=zero", "L2H0=zero"};
    struct rig r;
    open_rig(&r);
    struct question q = mara;
    q.target = 100;
    q.serial = 2;
    r.g->ask(r.g, &q);
    struct answer *plain = wait_for(&r, 2);
    q.edits = edits;
    q.n_edits = 2;
    q.serial = 3;
    r.g->ask(r.g, &q);
    struct answer *edited = wait_for(&r, 3);
    assert_int_equal(plain->e.code, 0);
    assert_int_equal(edited->e.code, 0);
    int64_t L = plain->facts.cfg.n_layer, last = plain->n - 1;
    /* Layer 1 reads what was before the edit. */
    assert_true(at(&plain->logprob, 1, last, 0) == at(&edited->logprob, 1, last, 0));
    assert_true(fabs(at(&plain->logprob, L, last, 0) - at(&edited->logprob, L, last, 0)) > 1e-6);
    answer_release(&plain);
    answer_release(&edited);
    close_rig(&r);
}

static void bad_questions_get_a_sentence(void **state)
{
    (void)state;
    static const char *const edits[] = {"L99H0=zero"};
    struct rig r;
    open_rig(&r);
    struct question q = mara;
    q.target_name = "no such token at all";
    q.serial = 2;
    r.g->ask(r.g, &q);
    struct answer *a = wait_for(&r, 2);
    assert_int_equal(a->e.code, ERR_USAGE);
    answer_release(&a);
    q.target_name = NULL;
    q.edits = edits;
    q.n_edits = 1;
    q.serial = 3;
    r.g->ask(r.g, &q);
    a = wait_for(&r, 3);
    assert_true(a->e.code < 0);
    assert_true(strlen(a->e.msg) > 10);
    answer_release(&a);
    q = (struct question){.ask = ASK_MODEL, .text = "/nonexistent", .serial = 4};
    r.g->ask(r.g, &q);
    a = wait_for(&r, 4);
    assert_true(a->e.code < 0);
    answer_release(&a);
    close_rig(&r);
}

static void a_newer_question_replaces(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    for (uint64_t i = 2; i < 40; i++) {
        struct question q = mara;
        q.serial = i;
        r.g->ask(r.g, &q);
        if (i % 9 == 0)
            r.g->cancel(r.g);
    }
    struct question q = mara;
    q.serial = 99;
    r.g->ask(r.g, &q);
    struct answer *a = wait_for(&r, 99);
    assert_int_equal(a->e.code, 0);
    answer_release(&a);
    close_rig(&r);
}

static void commands_answer_in_text(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct question q = {.ask = ASK_COMMAND, .text = "list views --names", .serial = 2};
    r.g->ask(r.g, &q);
    struct answer *a = wait_for(&r, 2);
    assert_int_equal(a->e.code, 0);
    assert_non_null(strstr(a->text, "heatmap"));
    answer_release(&a);
    q.text = "lisp";
    q.serial = 3;
    r.g->ask(r.g, &q);
    a = wait_for(&r, 3);
    assert_int_equal(a->e.code, ERR_USAGE);
    answer_release(&a);
    close_rig(&r);
}

/* Two would draw on one screen, from two threads. No words at all are the command that opens one. */
static void no_workbench_opens_in_a_workbench(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "#", "workbench", "-p Mara", "browse x.h5", "x.h5"};
    struct rig r;
    open_rig(&r);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct question q = {.ask = ASK_COMMAND, .text = lines[i], .serial = 2 + i};
        r.g->ask(r.g, &q);
        struct answer *a = wait_for(&r, 2 + i);
        assert_int_equal(a->e.code, ERR_USAGE);
        assert_null(strstr(a->e.msg, "needs a terminal"));
        answer_release(&a);
    }
    close_rig(&r);
}

/* The live answer of a job, then what happens until its end. */
static void a_job_fills_its_report_and_questions_go_first(void **state)
{
    (void)state;
    struct rig r;
    struct buf line = {0};
    open_rig(&r);
    buf_puts(&line, "run lens,attention");
    for (int i = 0; i < 400; i++)
        buf_puts(&line, " -p 'When Mara and Tobin went to the harbour, Mara gave the lantern to'");
    struct question job = {.ask = ASK_COMMAND, .text = line.data, .name = "run", .serial = 2};
    r.g->ask(r.g, &job);
    struct answer *live = wait_for(&r, 2);
    assert_true(live->is_live);
    assert_non_null(live->report);
    /* A question asked meanwhile is answered while the job is under way. */
    struct question q = mara;
    q.serial = 3;
    r.g->ask(r.g, &q);
    struct answer *a = wait_for(&r, 3);
    assert_int_equal(a->e.code, 0);
    answer_release(&a);
    struct job_view v;
    assert_int_equal(jobs_list(r.g->jobs, &v, 1), 1);
    assert_int_equal(v.state, JOB_RUNNING);
    assert_true(v.total > 0);
    a = wait_for(&r, 2);
    assert_false(a->is_live);
    assert_int_equal(a->e.code, 0);
    assert_ptr_equal(a->report, live->report);
    answer_release(&a);
    assert_int_equal(report_inputs(live->report), 400);
    assert_string_equal(run_attr(report_run(live->report, 0), "status"), "complete");
    /* The result outlives the queue's interest in it. */
    assert_true(jobs_forget(r.g->jobs, v.id));
    assert_int_equal(report_runs(live->report), 2);
    answer_release(&live);
    buf_release(&line);
    close_rig(&r);
}

static void jobs_are_cancelled_and_reordered(void **state)
{
    (void)state;
    struct rig r;
    struct buf line = {0};
    struct job_view v[8];
    open_rig(&r);
    buf_puts(&line, "run lens");
    for (int i = 0; i < 400; i++)
        buf_puts(&line, " -p 'When Mara and Tobin went to the harbour, Mara gave the lantern to'");
    for (uint64_t i = 2; i < 6; i++)
        r.g->ask(r.g, &(struct question){.ask = ASK_COMMAND,
                          .text = i == 2 ? line.data : "list views --names",
                          .serial = i});
    struct answer *live = wait_for(&r, 2);
    assert_int_equal(jobs_list(r.g->jobs, v, 8), 4);
    assert_int_equal(v[0].state, JOB_RUNNING);
    uint64_t first = v[1].id, second = v[2].id, third = v[3].id;
    assert_true(jobs_move(r.g->jobs, third, -1));
    assert_true(jobs_move(r.g->jobs, third, -1));
    assert_false(jobs_move(r.g->jobs, third, -1));
    assert_true(jobs_cancel(r.g->jobs, second));
    assert_int_equal(jobs_list(r.g->jobs, v, 8), 4);
    assert_int_equal(v[1].id, third);
    assert_int_equal(v[2].id, first);
    assert_int_equal(v[3].state, JOB_CANCELLED);
    while (report_runs(live->report) < 1)
        poll(NULL, 0, 1);
    r.g->cancel(r.g);
    struct answer *a = wait_for(&r, 2);
    assert_int_equal(a->e.code, ERR_CANCEL);
    assert_string_equal(run_attr(report_run(a->report, 0), "status"), "cancelled");
    answer_release(&a);
    answer_release(&live);
    a = wait_for(&r, 5);
    assert_int_equal(a->e.code, 0);
    answer_release(&a);
    a = wait_for(&r, 3);
    assert_non_null(strstr(a->text, "heatmap"));
    answer_release(&a);
    assert_int_equal(jobs_open(r.g->jobs), 0);
    buf_release(&line);
    close_rig(&r);
}

/* A job with threads of its own, or that opens another model, gives the screen its model back. */
static void the_model_comes_back_after_a_job(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct question q = {.ask = ASK_COMMAND, .text = "run logits -t 1 -p Mara", .serial = 2};
    r.g->ask(r.g, &q);
    struct answer *a;
    do {
        a = wait_for(&r, 2);
        if (a->is_live)
            answer_release(&a);
    } while (!a);
    assert_int_equal(a->e.code, 0);
    assert_true(a->facts.is_open);
    answer_release(&a);
    q = mara;
    q.serial = 3;
    r.g->ask(r.g, &q);
    a = wait_for(&r, 3);
    assert_int_equal(a->e.code, 0);
    answer_release(&a);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_answered),
        cmocka_unit_test(edits_reach_the_model),
        cmocka_unit_test(bad_questions_get_a_sentence),
        cmocka_unit_test(a_newer_question_replaces),
        cmocka_unit_test(commands_answer_in_text),
        cmocka_unit_test(no_workbench_opens_in_a_workbench),
        cmocka_unit_test(a_job_fills_its_report_and_questions_go_first),
        cmocka_unit_test(jobs_are_cancelled_and_reordered),
        cmocka_unit_test(the_model_comes_back_after_a_job),
    };
    embedded_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
