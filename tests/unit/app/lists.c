#include "tests/unit/app/live.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/edit_list.h"
#include "app/prompts.h"
#include "app/saver.h"
#include "model/core/text.h"

/* The panes that are lists: edits, prompts, jobs; on key scripts, with the embedded model. */

/* Keys by name, parted by blanks; "'text" types the text, ~ for a blank. */
static void keys(const char *script)
{
    while (*script) {
        size_t n = strcspn(script, " ");
        char word[200];
        snprintf(word, sizeof word, "%.*s", (int)n, script);
        for (size_t i = 1; *word == '\'' && i < n; i++) {
            struct key k = {.name = {word[i] == '~' ? ' ' : word[i]}};
            k.text[0] = k.name[0];
            workbench_key(&b.wb, &k);
        }
        if (*word != '\'')
            press(word);
        script += n + strspn(script + n, " ");
    }
    settle();
}

static char *screen(void)
{
    struct buf out = {0};
    workbench_draw(&b.wb, &b.canvas);
    canvas_write(&out, &b.canvas, CANVAS_PLAIN);
    return out.data;
}

static void shows(const char *text)
{
    char *s = screen();
    if (!strstr(s, text))
        fail_msg("no \"%s\" on\n%s", text, s);
    free(s);
}

static void lacks(const char *text)
{
    char *s = screen();
    if (strstr(s, text))
        fail_msg("\"%s\" on\n%s", text, s);
    free(s);
}

static double best_now(void)
{
    struct window w = {.start = {b.wb.facts.cfg.n_layer, b.wb.lens->n - 1, 0},
        .count = {1, 1, 1},
        .stride = {1, 1, 1}};
    double v;
    assert_int_equal(
        b.wb.lens->top_logprob.fetch(&b.wb.lens->top_logprob, &v, &w, FIELD_POINT, &b.e), 0);
    return v;
}

static void edits_are_a_list(void **state)
{
    (void)state;
    double plain = best_now();
    keys(": 'edit~L3H3=scale:0.5 Enter : 'edit~L3H3=scale:0 Enter : 'edit~L0_mlp=zero Enter");
    double edited = best_now();
    assert_true(edited != plain);
    keys("E");
    shows("edits: 3 on, 0 off");
    keys("G Space");
    shows("off  L0_mlp=zero");
    shows("under 2 edits");
    assert_string_equal(b.wb.edits[2], "!L0_mlp=zero");
    assert_int_equal(b.wb.lens->is_edited, 1);
    keys("[");
    assert_string_equal(b.wb.edits[1], "!L0_mlp=zero");
    assert_string_equal(b.wb.edits[2], "L3H3=scale:0");
    keys("g x");
    assert_int_equal(b.wb.n_edits, 2);
    keys("u u u");
    assert_int_equal(b.wb.n_edits, 3);
    assert_string_equal(b.wb.edits[2], "L0_mlp=zero");
    assert_true(best_now() == edited);
    keys("Ctrl-R Ctrl-R");
    assert_string_equal(b.wb.edits[1], "!L0_mlp=zero");
    /* A copy comes to the command line, to be changed. */
    keys("g c Backspace Backspace Backspace '0.25 Enter");
    assert_string_equal(b.wb.edits[3], "L3H3=scale:0.25");
    /* Saved and loaded it is the same list; what cannot be put on changes nothing. */
    char path[] = "/tmp/sonde-edits-XXXXXX", line[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(line, sizeof line, "save_edits %s", path);
    colon_run(&b.wb, line);
    while (saver_is_busy(&b.wb))
        poll(NULL, 0, 1);
    keys("Esc : 'clear Enter");
    assert_int_equal(b.wb.n_edits, 0);
    assert_true(best_now() == plain);
    snprintf(line, sizeof line, "load_edits %s", path);
    colon_run(&b.wb, line);
    settle();
    assert_int_equal(b.wb.n_edits, 4);
    assert_string_equal(b.wb.edits[1], "!L0_mlp=zero");
    assert_string_equal(b.wb.edits[3], "L3H3=scale:0.25");
    close(fd);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("# a list\nL3H3=zero\nL99H0=zero\n", f);
    fclose(f);
    colon_run(&b.wb, line);
    settle();
    if (!strstr(b.wb.message, ":3: edit"))
        fail_msg("%s", b.wb.message);
    assert_int_equal(b.wb.n_edits, 4);
    unlink(path);
    keys(": 'clear Enter");
}

/* x and the menu take what the focused pane has under its cursor. */
static void what_is_selected_is_edited(void **state)
{
    (void)state;
    char target[64];
    bool has_pos;
    b.wb.sel = (struct selection){.pos = 3, .key = 2, .row = 2, .layer = 2, .head = 1};
    static const struct {
        int pane;
        const char *target;
        bool has_pos;
    } cases[] = {{PANE_ATTENTION, "L2H1", false}, {PANE_HEADS, "L2H1", false},
        {PANE_LENS, "L2.resid_pre", true}, {PANE_TOKENS, "embed", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        workbench_focus(&b.wb, cases[i].pane);
        assert_true(edit_target(&b.wb, target, sizeof target, &has_pos));
        assert_string_equal(target, cases[i].target);
        assert_int_equal(has_pos, cases[i].has_pos);
    }
    workbench_focus(&b.wb, PANE_NEXT);
    assert_false(edit_target(&b.wb, target, sizeof target, &has_pos));
    workbench_focus(&b.wb, PANE_TOKENS);
    keys("x");
    assert_string_equal(b.wb.edits[0], "embed@3=zero");
    keys("x");
    assert_int_equal(b.wb.n_edits, 0);
    workbench_focus(&b.wb, PANE_ATTENTION);
    keys("M");
    shows("edit L2H1");
    shows("no attention from 3 to 2");
    keys("j Enter");
    assert_string_equal(b.wb.edits[0], "L2H1=mean");
    keys("M G");
    assert_non_null(b.wb.overlay);
    keys("Esc u");
    assert_null(b.wb.overlay);
    assert_int_equal(b.wb.n_edits, 0);
    /* An entry of the pattern, and another prompt's activation. */
    prompts_add(&b.wb, "When Mara and Tobin went to the harbour, Tobin gave the lantern to");
    settle();
    double own = best_now();
    prompts_switch(&b.wb, 0);
    settle();
    colon_run(&b.wb, "edit 'L4.resid_post=from:When Mara and Tobin went to the harbour, Tobin gave "
                     "the lantern to'");
    settle();
    assert_float_equal(best_now(), own, 1e-6);
    keys("u");
    assert_int_equal(b.wb.n_edits, 0);
    keys("T j x Esc");
    assert_int_equal(prompts_count(&b.wb), 1);
}

static void prompts_stand_side_by_side(void **state)
{
    (void)state;
    assert_int_equal(prompts_count(&b.wb), 1);
    keys("C");
    shows("one prompt alone is open");
    keys(": 'add_prompt~Tobin~lives~in Enter");
    assert_int_equal(prompts_current(&b.wb), 1);
    assert_string_equal(b.wb.shown_prompt, "Tobin lives in");
    shows("prompt 2 of 2");
    uint64_t asked = b.wb.asked[ASK_PROMPT];
    const struct answer *second = b.wb.lens;
    keys("(");
    assert_string_equal(b.wb.shown_prompt, TEXT);
    keys("(");
    assert_ptr_equal(b.wb.lens, second);
    assert_int_equal(b.wb.asked[ASK_PROMPT], second->serial);
    (void)asked;
    /* Edits belong to the model: the other prompt is asked anew under them. */
    keys(": 'edit~L0_mlp=zero Enter (");
    assert_true(b.wb.lens->is_edited);
    keys(": 'clear Enter T");
    shows("prompts: 2 open");
    shows("Tobin lives in");
    keys("j r 'short Enter");
    shows("short: Tobin lives in");
    keys("Enter");
    assert_int_equal(prompts_current(&b.wb), 1);
    /* Undo speaks of the prompt it was done to. */
    keys(": 'prompt~Tobin~works~in Enter ( u");
    assert_string_equal(b.wb.shown_prompt, TEXT);
    keys(")");
    assert_string_equal(b.wb.shown_prompt, "Tobin works in");
    keys("C");
    shows("A: prompt 2, B: prompt 1");
    shows("next token at");
    keys("m < < = m Esc T G x Esc");
    assert_int_equal(prompts_count(&b.wb), 1);
    assert_string_equal(b.wb.shown_prompt, TEXT);
    /* As the log says it. */
    colon_run(&b.wb, "prompts 2 'one of them' 'Mara lives in' 'a third'");
    settle();
    assert_int_equal(prompts_count(&b.wb), 3);
    assert_string_equal(b.wb.shown_prompt, "Mara lives in");
    assert_string_equal(prompts_text(&b.wb, 0), "one of them");
    assert_string_equal(prompts_text(&b.wb, 2), "a third");
    colon_run(&b.wb, "prompts 1 '" TEXT "'");
    settle();
    assert_int_equal(prompts_count(&b.wb), 1);
    assert_string_equal(b.wb.shown_prompt, TEXT);
}

static int64_t common(const int32_t *x, int64_t n, const int32_t *y, int64_t m)
{
    if (!n || !m)
        return 0;
    if (*x == *y)
        return 1 + common(x + 1, n - 1, y + 1, m - 1);
    int64_t a = common(x + 1, n - 1, y, m), c = common(x, n, y + 1, m - 1);
    return a > c ? a : c;
}

static void alignment_is_the_longest(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        int32_t x[8], y[8];
        int64_t map[8], n = 0, m = 0, same = 0, last = -1;
        for (int i = 0; i < 16; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            int32_t id = (int32_t)(seed >> 33) % 4;
            if (i % 2 && n < 1 + round % 7)
                x[n++] = id;
            else if (m < 1 + round % 5)
                y[m++] = id;
        }
        assert_int_equal(prompts_align(map, x, n, y, m, NULL, &b.e), 0);
        for (int64_t i = 0; i < n; i++) {
            assert_true(map[i] == -1 || (map[i] > last && map[i] < m));
            same += map[i] >= 0 && x[i] == y[map[i]];
            last = map[i] >= 0 ? map[i] : last;
        }
        assert_int_equal(same, common(x, n, y, m));
    }
    int32_t x[4] = {1, 2, 3, 4};
    int64_t map[4], by = 2;
    assert_int_equal(prompts_align(map, x, 4, x, 4, &by, &b.e), 0);
    assert_int_equal(map[0], 2);
    assert_int_equal(map[2], -1);
}

/* What waits says what it will take, and that is what it says when its turn comes. */
static void waiting_jobs_know_their_cost(void **state)
{
    (void)state;
    struct buf line = {0};
    struct job_view v[24] = {0};
    buf_puts(&line, "run lens");
    for (int i = 0; i < 600; i++)
        buf_puts(&line, " -p '" TEXT "'");
    colon_run(&b.wb, line.data);
    colon_run(&b.wb, "run patch --dataset ioi_tiny:3 --site head_z");
    double until = machine_seconds() + 60;
    for (int n = 0; machine_seconds() < until; poll(NULL, 0, 1))
        if ((n = jobs_list(b.g->jobs, v, 24)) > 1 && v[1].cost.flops > 0)
            break;
    assert_int_equal(v[1].state, JOB_WAITING);
    const struct job_cost before = v[1].cost;
    const uint64_t id = v[1].id;
    assert_true(before.flops > 0 && before.bytes > 0);
    b.wb.zoomed = PANE_JOBS;
    workbench_focus(&b.wb, PANE_JOBS);
    shows(" before it");
    shows(" MB, ");
    jobs_cancel(b.g->jobs, v[0].id);
    settle();
    assert_true(jobs_find(b.g->jobs, &v[0], id));
    assert_int_equal(v[0].state, JOB_DONE);
    assert_true(v[0].cost.flops == before.flops && v[0].cost.bytes == before.bytes);
    jobs_forget(b.g->jobs, id);
    jobs_forget(b.g->jobs, id - 1);
    b.wb.zoomed = SLOT_NONE;
    keys("Esc");
    buf_release(&line);
}

static void jobs_are_a_list(void **state)
{
    (void)state;
    struct buf line = {0};
    buf_puts(&line, "run lens");
    for (int i = 0; i < 600; i++)
        buf_puts(&line, " -p '" TEXT "'");
    colon_run(&b.wb, line.data);
    colon_run(&b.wb, "list views --names");
    colon_run(&b.wb, "list nothing");
    struct key j = {.name = "J"};
    workbench_key(&b.wb, &j);
    struct job_view v[8];
    while (jobs_list(b.g->jobs, v, 8) < 3 || v[0].state != JOB_RUNNING)
        poll(NULL, 0, 1);
    shows("1 running, 2 waiting");
    shows("waiting    list views");
    /* The screen is served meanwhile. */
    b.wb.sel.pos = 3;
    workbench_ask(&b.wb, ASK_DLA);
    double until = machine_seconds() + 20;
    while (b.wb.dla->pos != 3 && machine_seconds() < until) {
        workbench_poll(&b.wb);
        poll(NULL, 0, 1);
    }
    assert_int_equal(b.wb.dla->pos, 3);
    assert_int_equal(jobs_list(b.g->jobs, v, 8), 3);
    assert_int_equal(v[0].state, JOB_RUNNING);
    /* Another model would take it away from them. */
    workbench_open(&b.wb, "tiny");
    assert_true(b.wb.is_error);
    shows("need the open model");
    struct key down = {.name = "j"}, earlier = {.name = "["}, cancel = {.name = "x"};
    workbench_key(&b.wb, &down);
    workbench_key(&b.wb, &down);
    workbench_key(&b.wb, &earlier);
    assert_int_equal(jobs_list(b.g->jobs, v, 8), 3);
    assert_string_equal(v[1].name, "list nothing");
    struct key up = {.name = "g"};
    workbench_key(&b.wb, &up);
    workbench_key(&b.wb, &cancel);
    settle();
    assert_int_equal(jobs_list(b.g->jobs, v, 8), 3);
    assert_int_equal(v[2].state, JOB_CANCELLED);
    assert_int_equal(v[1].state, JOB_FAILED);
    assert_int_equal(v[0].state, JOB_DONE);
    b.wb.zoomed = PANE_JOBS;
    workbench_focus(&b.wb, PANE_JOBS);
    keys("g j");
    shows("list");
    assert_non_null(strstr(b.wb.panes[PANE_JOBS].readout, "nothing"));
    keys("G d g Enter");
    shows("heatmap");
    assert_int_equal(jobs_list(b.g->jobs, v, 8), 2);
    keys("Esc Esc Esc");
    buf_release(&line);
}

/* Keys drawn from a seed over every pane while a job runs. */
static void a_monkey_breaks_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"Enter", "Tab", "Shift-Tab", "Esc", "Up", "Down", "Left",
        "Right", "PgUp", "PgDn", "Home", "End", "Space", "Mouse", "J", "D", "E", "M", "T", "C", "(",
        ")", "x", "u", "d", "m", "[", "]", "<", ">", "=", "Ctrl-R"};
    uint64_t seed = 4;
    colon_run(&b.wb, "run lens,attention --dataset ioi_tiny:200");
    prompts_add(&b.wb, "Tobin lives in");
    for (int i = 0; i < 1500; i++) {
        struct key k = {0};
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned r = (unsigned)(seed >> 33);
        snprintf(k.name, sizeof k.name, "%s", names[r % (sizeof names / sizeof *names)]);
        k.text[0] = !k.name[1] ? k.name[0] : '\0';
        k.x = (int)(r / 64 % 160);
        k.y = (int)(r / 16384 % 60);
        if (b.wb.input == INPUT_EXPORT || b.wb.input == INPUT_COMMAND)
            snprintf(k.name, sizeof k.name, "Esc");
        workbench_key(&b.wb, &k);
        if (i % 40 == 0)
            settle();
        else
            workbench_poll(&b.wb);
        if (i % 5 == 0)
            workbench_draw(&b.wb, &b.canvas);
        b.wb.wants_quit = false;
    }
    lacks("no such text");
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_are_a_list),
        cmocka_unit_test(what_is_selected_is_edited),
        cmocka_unit_test(prompts_stand_side_by_side),
        cmocka_unit_test(alignment_is_the_longest),
        cmocka_unit_test(waiting_jobs_know_their_cost),
        cmocka_unit_test(jobs_are_a_list),
        cmocka_unit_test(a_monkey_breaks_nothing),
    };
    embedded_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
