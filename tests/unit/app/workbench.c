#include "app/journal.h"
#include "app/log.h"
#include "tests/unit/app/fake.h"

#include <unistd.h>

/* Compares with tests/screens/NAME.screen; UPDATE=1 writes it instead, for a reviewer to read. The
 * status line is left out: memory is the machine's. */
static void matches(const struct bench *b, const char *name)
{
    char path[512], *s = screen(b), *body = strchr(s, '\n') + 1;
    const char *root = getenv("SONDE_TEST_SOURCE"), *update = getenv("UPDATE");
    snprintf(path, sizeof path, "%s/screens/%s.screen", root ? root : "tests", name);
    FILE *f = fopen(path, update ? "w" : "r");
    if (!f)
        fail_msg("%s cannot be opened; UPDATE=1 writes it", path);
    if (update) {
        fputs(body, f);
    } else {
        static char want[1 << 16];
        want[fread(want, 1, sizeof want - 1, f)] = '\0';
        if (strcmp(body, want) != 0)
            fail_msg("%s expects\n%s\nthe screen is\n%s", path, want, body);
    }
    fclose(f);
    free(s);
}

static void first_light(void **state)
{
    (void)state;
    static const struct {
        int w, h;
        const char *name;
    } sizes[] = {{80, 24, "first_light_80"}, {120, 40, "first_light_120"}, {66, 20, "narrow"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bench b;
        bench_open(&b, sizes[i].w, sizes[i].h);
        matches(&b, sizes[i].name);
        b.c.glyphs = GLYPHS_ASCII;
        workbench_draw(&b.wb, &b.c);
        char *s = screen(&b);
        for (const char *p = s; *p; p++)
            assert_true((unsigned char)*p < 0x7f);
        free(s);
        bench_close(&b);
    }
}

static void one_selection_in_every_pane(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    int before = b.fake.asked[ASK_DLA];
    keys(&b, "h h j");
    assert_int_equal(b.wb.sel.pos, 1);
    assert_int_equal(b.wb.sel.layer, 1);
    assert_int_equal(b.fake.asked[ASK_DLA], before + 2);
    assert_int_equal(b.fake.last_pos, 1);
    shows(&b, "[When]");
    shows(&b, "next token at 1");
    shows(&b, "query 1");
    shows(&b, "L1 at 1:");
    /* A head chosen in the DLA pane is the one whose attention is shown. */
    keys(&b, "Tab Tab Tab g j j j");
    shows(&b, "attention L0H1");
    keys(&b, "j");
    shows(&b, "attention L1H0");
    bench_close(&b);
}

static void drilling_and_coming_back(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, "Enter");
    shows(&b, "top tokens of final at 3");
    lacks(&b, "DLA ·Tobin");
    keys(&b, "Esc");
    shows(&b, "lens: probability");
    keys(&b, "Tab Tab Enter");
    shows(&b, "every head of layer 0");
    keys(&b, "l Enter");
    shows(&b, "attention L0H1");
    keys(&b, "q q");
    assert_int_equal(b.wb.focus, PANE_ATTENTION);
    keys(&b, "+");
    lacks(&b, "lens:");
    keys(&b, "+");
    shows(&b, "lens:");
    assert_false(b.wb.wants_quit);
    keys(&b, "q");
    assert_true(b.wb.wants_quit);
    bench_close(&b);
}

static void the_prompt_is_a_line(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, "i '~quickly");
    assert_true(b.wb.cursor_x > 0);
    shows(&b, "When Mara gave quickly");
    keys(&b, "Ctrl-W Ctrl-A 'Now~ Enter");
    assert_string_equal(b.fake.last_text, "Now When Mara gave ");
    keys(&b, "u");
    assert_string_equal(b.wb.shown_prompt, "When Mara gave");
    struct key paste = {.name = "Paste", .paste = "two\nlines"};
    workbench_key(&b.wb, &paste);
    workbench_draw(&b.wb, &b.c);
    shows(&b, "two\\nlines");
    keys(&b, "Esc");
    shows(&b, "When Mara gave");
    bench_close(&b);
}

static void edits_and_undo(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, "Tab Tab Tab g j j x");
    assert_int_equal(b.fake.last_edits, 1);
    shows(&b, "under 1 edit");
    shows(&b, "L0H0=zero");
    shows(&b, "was");
    keys(&b, "x");
    assert_int_equal(b.wb.n_edits, 0);
    keys(&b, "u");
    assert_int_equal(b.wb.n_edits, 1);
    keys(&b, "u");
    assert_int_equal(b.wb.n_edits, 0);
    keys(&b, ": 'edit~L1_mlp=scale:0.5 Enter");
    shows(&b, "L1_mlp=scale:0.5");
    /* An edit the model cannot take is refused and leaves no trace. */
    keys(&b, ": 'edit~L9_mlp=zero Enter");
    shows(&b, "the model has layers 0 to 1");
    assert_int_equal(b.wb.n_edits, 1);
    keys(&b, ": 'clear Enter");
    lacks(&b, "under");
    bench_close(&b);
}

static void commands_and_completion(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, ": 'lay Tab");
    shows(&b, "layer  layout");
    keys(&b, "'o Tab '3 Enter");
    assert_int_equal(b.wb.layout, 3);
    shows(&b, "every head");
    keys(&b, ": 'head~L1H1 Enter");
    assert_int_equal(b.wb.sel.layer, 1);
    assert_int_equal(b.wb.sel.head, 1);
    keys(&b, ": 'head~L9H1 Enter");
    shows(&b, "2 layers of 2 heads");
    keys(&b, ": 'lauout Enter");
    shows(&b, "nearest: layout");
    keys(&b, ": 'run~lens Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 1);
    assert_non_null(strstr(b.fake.last_text, "run lens -m"));
    assert_non_null(strstr(b.fake.last_text, "-p 'When Mara gave'"));
    shows(&b, "second line");
    keys(&b, "Esc : Up Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 2);
    keys(&b, "Esc .");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 3);
    bench_close(&b);
}

static void commands_get_what_is_on_screen(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, ": 'run~dla~--pos~3~-p~Hello Enter");
    assert_null(strstr(b.fake.last_text, "When Mara gave"));
    keys(&b, "Esc : 'run~dla~--pos~3~-p~'a~-m~b' Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 2);
    keys(&b, "Esc : 'run~dla~--max-mem~1G~-mother Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 2);
    shows(&b, "run on the model on screen");
    keys(&b, ": 'run~lens~--tpo~3 Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], 2);
    shows(&b, "nearest: --top");
    /* Another model on screen is the commands' model too; one that does not open is not. */
    keys(&b, ": 'model~other Enter : 'run~lens Enter");
    assert_non_null(strstr(b.fake.last_text, "-m other"));
    b.fake.is_failing = true;
    keys(&b, "Esc : 'model~none Enter");
    b.fake.is_failing = false;
    keys(&b, ": 'run~lens Enter");
    assert_non_null(strstr(b.fake.last_text, "-m other"));
    bench_close(&b);
}

/* "was 12 %" speaks of the same model without edits, or nothing does. */
static void before_means_unedited(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, ": 'edit~L0H0=zero Enter");
    assert_non_null(b.wb.base);
    assert_false(b.wb.base->is_edited);
    keys(&b, ": 'prompt~Another Enter");
    assert_null(b.wb.base);
    keys(&b, ": 'edit~L0H1=zero Enter");
    assert_null(b.wb.base);
    keys(&b, ": 'clear Enter : 'edit~L0H1=zero Enter");
    assert_non_null(b.wb.base);
    keys(&b, ": 'model~other Enter");
    assert_null(b.wb.base);
    bench_close(&b);
}

static void search_walks_and_inverts(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, "/ 'Ma|Wh Enter");
    assert_int_equal(b.wb.sel.pos, 1);
    keys(&b, "n");
    assert_int_equal(b.wb.sel.pos, 2);
    keys(&b, "n");
    assert_int_equal(b.wb.sel.pos, 1);
    keys(&b, "N");
    assert_int_equal(b.wb.sel.pos, 2);
    keys(&b, "/ '!Ma|Wh Enter");
    assert_int_equal(b.wb.sel.pos, 3);
    keys(&b, "/ '( Enter");
    assert_true(b.wb.is_error);
    bench_close(&b);
}

static void errors_stand_in_their_pane(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    b.fake.is_failing = true;
    keys(&b, "i 'x Enter");
    shows(&b, "the model takes 256; shorten it");
    b.fake.is_failing = false;
    keys(&b, "i 'y Enter");
    lacks(&b, "shorten it");
    b.fake.is_busy = true;
    keys(&b, "Esc");
    assert_int_equal(b.fake.cancelled, 1);
    bench_close(&b);
}

static void cancelled_questions_are_asked_again(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    b.fake.is_dropping = true;
    keys(&b, "i 'x Enter");
    int prompts = b.fake.asked[ASK_PROMPT], models = b.fake.asked[ASK_MODEL];
    b.wb.facts.is_open = false; /* as when Esc came while the model was being opened */
    keys(&b, "i Enter");
    assert_int_equal(b.fake.asked[ASK_MODEL], models + 1);
    b.wb.facts.is_open = true;
    b.fake.is_dropping = false;
    keys(&b, "i Enter");
    assert_int_equal(b.fake.asked[ASK_PROMPT], prompts + 1);
    keys(&b, "i Enter");
    assert_int_equal(b.fake.asked[ASK_PROMPT], prompts + 1);
    bench_close(&b);
}

/* What the title says of edits is true of the numbers below it, or it says that it is not. */
static void titles_and_numbers_agree(void **state)
{
    (void)state;
    static const char *const steps[] = {": 'edit~L0H0=zero Enter", ": 'edit~L1H1=zero Enter", "u",
        "Ctrl-R", "B", "i 'q Enter", "i Enter", "Esc", ": 'clear Enter"};
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, ": 'edit~L0H0=zero Enter");
    shows(&b, "under 1 edit");
    lacks(&b, "not computed");
    b.fake.is_dropping = true; /* Esc came before the answer */
    keys(&b, ": 'edit~L1H1=zero Enter");
    shows(&b, "under 2 edits: not computed, i and Enter ask again");
    shows(&b, "of before: lens");
    b.fake.is_dropping = false;
    keys(&b, "i Enter");
    shows(&b, "under 2 edits");
    lacks(&b, "not computed");
    lacks(&b, "of before");
    unsigned seed = 1;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1103515245u + 12345u;
        b.fake.is_dropping = seed >> 16 & 1;
        keys(&b, steps[(seed >> 20) % (sizeof steps / sizeof *steps)]);
        char want[32], *text = screen(&b);
        const int n = workbench_edits_on(&b.wb);
        const bool is_current = !strstr(text, "not computed");
        snprintf(want, sizeof want, "under %d edit", n);
        assert_true(!n == !strstr(text, want));
        assert_true(is_current == (b.wb.lens->under == workbench_under(&b.wb)));
        assert_true(!is_current || b.wb.lens->is_edited == (n > 0));
        assert_true(is_current || strstr(text, "of before: "));
        free(text);
    }
    bench_close(&b);
}

static void every_key_has_its_action_and_help(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 60);
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        assert_true(strlen(k->help) > 3);
        assert_true(strlen(k->key) > 0);
        if (strcmp(k->pane, "any") == 0)
            continue;
        bool known = false;
        for (int p = 0; p < PANE_COUNT; p++)
            known = known || key_in_pane(k, pane_class(p)->name);
        if (!known)
            fail_msg("key %s: no pane is called %s", k->key, k->pane);
    }
    keys(&b, "?");
    shows(&b, "keys of this pane");
    shows(&b, "next metric");
    keys(&b, "?");
    lacks(&b, "keys of this pane");
    bench_close(&b);
}

static void small_screens_say_so(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    bench_open(&b, 59, 14);
    shows(&b, "sonde needs 60 x 15 cells");
    for (int w = 1; w < 220; w += 13)
        for (int h = 1; h < 70; h += 7) {
            assert_int_equal(canvas_resize(&b.c, w, h, &e), 0);
            workbench_draw(&b.wb, &b.c);
            keys(&b, "Tab j ? Esc");
        }
    bench_close(&b);
}

/* Nothing that changes layouts takes the documents' panes from them. */
static void documents_keep_their_layout(void **state)
{
    (void)state;
    static const char *const tries[] = {"=", "X", "P", ": 'layout~[50~lens~|~dla] Enter", "3"};
    struct bench b;
    bench_open(&b, 120, 40);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        keys(&b, ": 'documents Enter");
        keys(&b, tries[i]);
        if (!b.wb.in_documents)
            keys(&b, ": 'documents Enter");
        assert_true(b.wb.panes[PANE_DOCUMENTS].rect.w > 0);
        assert_true(b.wb.panes[PANE_BLOCK].rect.w > 0);
        assert_int_equal(b.wb.panes[PANE_LENS].rect.w, 0);
        assert_true(b.wb.panes[b.wb.focus].rect.w > 0);
        keys(&b, "Esc");
    }
    bench_close(&b);
}

/* Where nothing can be drawn nothing is done unseen. */
static void too_small_only_leaves(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    bench_open(&b, 120, 40);
    assert_int_equal(canvas_resize(&b.c, 40, 10, &e), 0);
    workbench_draw(&b.wb, &b.c);
    const int64_t pos = b.wb.sel.pos;
    const int layout = b.wb.layout;
    keys(&b, "h x 3 D : 'clear Enter Ctrl-O");
    assert_int_equal(b.wb.sel.pos, pos);
    assert_int_equal(b.wb.layout, layout);
    assert_int_equal(b.wb.n_edits, 0);
    assert_int_equal(b.wb.input, INPUT_NONE);
    keys(&b, "Ctrl-L");
    assert_true(b.wb.wants_redraw);
    assert_false(b.wb.wants_quit);
    keys(&b, "q");
    assert_true(b.wb.wants_quit);
    bench_close(&b);
}

/* What takes long is not lost by one key. */
static void jobs_are_asked_about(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    struct job_view j;
    char *line;
    bench_open(&b, 100, 30);
    assert_int_equal(jobs_create(&b.fake.base.jobs, &e), 0);
    jobs_add(b.fake.base.jobs, "run heads -m toy", "run heads", 1);
    jobs_add(b.fake.base.jobs, "run lens -m toy", "run lens", 2);
    assert_true(jobs_take(b.fake.base.jobs, &j, &line));
    free(line);
    b.fake.has_job = true;
    keys(&b, "q");
    shows(&b, "a job runs: q again leaves, Esc stays");
    assert_false(b.wb.wants_quit);
    keys(&b, "Esc q");
    assert_false(b.wb.wants_quit);
    assert_int_equal(b.fake.cancelled, 0);
    keys(&b, "h Esc");
    shows(&b, "Esc again stops run heads");
    keys(&b, "h Esc");
    assert_int_equal(b.fake.cancelled, 0);
    keys(&b, "Esc");
    assert_int_equal(b.fake.cancelled, 1);
    keys(&b, "q q");
    assert_true(b.wb.wants_quit);
    b.wb.wants_quit = false;
    keys(&b, "Ctrl-Q");
    assert_true(b.wb.wants_quit);
    struct jobs *jobs = b.fake.base.jobs;
    bench_close(&b);
    jobs_release(&jobs);
}

/* What there is to note about the numbers stands where a message does. */
static void notes_are_told(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    b.fake.note = "toy: h.0.mlp.c_fc.weight holds 1 value that is not finite";
    keys(&b, "i 'x Enter");
    shows(&b, "toy: h.0.mlp.c_fc.weight holds 1 value that is not finite");
    bench_close(&b);
}

/* A job's line, and so the log's, holds in any folder and is one line whatever the prompt is. */
static void lines_of_jobs_stand_alone(void **state)
{
    (void)state;
    struct bench b;
    char here[4096], folder[4200];
    bench_open(&b, 100, 30);
    assert_non_null(getcwd(here, sizeof here));
    workbench_open(&b.wb, "./.");
    for (int i = 0; i < 64 && workbench_poll(&b.wb); i++) {
    }
    line_set(&b.wb.prompt, "It's a\nsecond line");
    workbench_run_prompt(&b.wb);
    colon_run(&b.wb, "run norms");
    snprintf(folder, sizeof folder, "run norms -m %s -p \"It's a\\nsecond line\"", here);
    assert_string_equal(b.fake.last_text, folder);
    bench_close(&b);
}

/* A log of something else says so; documents of an earlier session say why they are gone. */
static void a_log_says_what_it_lacks(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    char path[64];
    bench_open(&b, 120, 30);
    snprintf(path, sizeof path, "/tmp/sonde-strange-%d.log", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("# a log\nlayout 1\nnonsense here\nrun logits -m toy\nmore\nfocus documents\n", f);
    fclose(f);
    assert_int_equal(journal_replay(&b.wb, path, &e), 0);
    workbench_draw(&b.wb, &b.c);
    shows(&b, "2 of 5 lines of ");
    shows(&b, "the first: nonsense here");
    shows(&b, "the reports of an earlier session are");
    /* A line may be as long as a prompt. */
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "# a log\n# asked: run lens -p '%*s'\nlayout 4\n", 3 << 20, "x");
    fclose(f);
    assert_int_equal(journal_replay(&b.wb, path, &e), 0);
    assert_int_equal(b.wb.layout, 4);
    bench_close(&b);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_light),
        cmocka_unit_test(one_selection_in_every_pane),
        cmocka_unit_test(drilling_and_coming_back),
        cmocka_unit_test(the_prompt_is_a_line),
        cmocka_unit_test(edits_and_undo),
        cmocka_unit_test(commands_and_completion),
        cmocka_unit_test(commands_get_what_is_on_screen),
        cmocka_unit_test(before_means_unedited),
        cmocka_unit_test(search_walks_and_inverts),
        cmocka_unit_test(errors_stand_in_their_pane),
        cmocka_unit_test(cancelled_questions_are_asked_again),
        cmocka_unit_test(titles_and_numbers_agree),
        cmocka_unit_test(every_key_has_its_action_and_help),
        cmocka_unit_test(small_screens_say_so),
        cmocka_unit_test(documents_keep_their_layout),
        cmocka_unit_test(too_small_only_leaves),
        cmocka_unit_test(jobs_are_asked_about),
        cmocka_unit_test(notes_are_told),
        cmocka_unit_test(lines_of_jobs_stand_alone),
        cmocka_unit_test(a_log_says_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
