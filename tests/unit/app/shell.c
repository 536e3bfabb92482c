#include "tests/unit/app/fake.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/desk.h"
#include "app/history.h"
#include "app/journal.h"
#include "app/log.h"
#include "app/palette.h"
#include "app/state.h"
#include "app/tour.h"

/* What lies around the panes: palette, forms, layouts, keys, history, the journal, the tour. */

static char folder[] = "/tmp/sonde-shell-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 16);
    text[fread(text, 1, (1 << 16) - 1, f)] = '\0';
    fclose(f);
    return text;
}

static int score(const char *query, const char *name)
{
    int at[64], n;
    return palette_score(query, name, at, &n, 64);
}

static void letters_in_order_score(void **state)
{
    (void)state;
    int at[8], n;
    assert_int_equal(score("", "anything"), 0);
    assert_true(score("xyz", "lens") < 0);
    assert_true(score("nl", "lens") < 0);
    assert_true(score("lens", "lens") > score("lens", "layout 8: neurons"));
    assert_true(score("nh", "next-head") > score("nh", "no-which"));
    assert_true(score("NEXT", "next-head") > 0);
    assert_true(palette_score("nh", "next-head", at, &n, 8) > 0);
    assert_int_equal(n, 2);
    assert_int_equal(at[1], 5);
    /* Many letters do not run over the room for their places. */
    assert_true(palette_score("aaaaaaaaaaaa", "aaaaaaaaaaaaaaa", at, &n, 8) > 0);
    assert_int_equal(n, 8);
}

static void everything_is_in_the_palette(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 30);
    keys(&b, "Ctrl-P 'lens");
    shows(&b, "everything by name");
    shows(&b, "logit lens");
    keys(&b, "Esc Ctrl-P 'layout~3 Enter");
    assert_int_equal(b.wb.layout, 3);
    keys(&b, "Ctrl-P 'pane~dla Enter");
    assert_int_equal(b.wb.focus, PANE_DLA);
    keys(&b, "Esc F2 'set~theme~day Enter");
    assert_string_equal(b.wb.theme->name, "day");
    /* A key of another pane is done there. */
    keys(&b, "1 Ctrl-P 'next-metric Enter");
    assert_int_equal(b.wb.focus, PANE_LENS);
    assert_int_equal(b.wb.panes[PANE_LENS].metric, 1);
    keys(&b, "Ctrl-P 'zzzqqq");
    shows(&b, "nothing has these letters");
    keys(&b, "Enter Esc");
    assert_null(b.wb.overlay);
    /* What needs an argument is a line that waits for it. */
    keys(&b, "Ctrl-P 'prompt Down Up");
    keys(&b, "Esc Ctrl-P ':prompt Esc : 'prompt~again Enter");
    assert_string_equal(b.fake.last_text, "again");
    for (int i = 0; i < n_analyses; i++) {
        struct key k = {.name = "Esc"};
        form_open(&b.wb, analyses[i]);
        workbench_draw(&b.wb, &b.c);
        shows(&b, analyses[i]->id);
        workbench_key(&b.wb, &k);
        assert_null(b.wb.overlay);
    }
    bench_close(&b);
}

static void a_form_knows_its_parameters(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 34);
    keys(&b, "Ctrl-P 'analysis~lens Enter");
    shows(&b, ":run lens");
    int top = -1;
    const struct analysis *a = analysis_find("lens");
    for (int i = 0; i < a->n_params; i++)
        if (!strcmp(a->params[i].name, "top"))
            top = i;
    assert_true(top >= 0);
    for (int i = 0; i < top; i++)
        keys(&b, "Down");
    keys(&b, "Ctrl-U 'abc Enter");
    assert_non_null(b.wb.overlay); /* refused, and said why */
    shows(&b, "abc");
    keys(&b, "Ctrl-U '7");
    shows(&b, ":run lens --top=7");
    int before = b.fake.asked[ASK_COMMAND];
    keys(&b, "Enter");
    assert_int_equal(b.fake.asked[ASK_COMMAND], before + 1);
    assert_non_null(strstr(b.fake.last_text, "run lens --top=7 -m"));
    assert_null(b.wb.overlay);
    bench_close(&b);
}

/* A run that names its inputs gets none from the screen, and a cache no edits: nothing runs forward. */
static void a_run_of_a_cache_is_as_typed(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 34);
    keys(&b, "x"); /* an edit on screen */
    assert_int_equal(b.wb.n_edits, 1);
    keys(&b, ": 'run~norms Enter");
    assert_non_null(strstr(b.fake.last_text, " -p '"));
    assert_non_null(strstr(b.fake.last_text, " --edit "));
    keys(&b, ": 'run~norms~-c~acts.h5 Enter");
    assert_non_null(strstr(b.fake.last_text, "run norms -c acts.h5 -m"));
    assert_null(strstr(b.fake.last_text, " -p "));
    assert_null(strstr(b.fake.last_text, " --edit"));
    bench_close(&b);
}

static void everything_explains_itself(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 60);
    char line[96];
    for (int i = 0; i < n_analyses + n_views; i++) {
        const char *id = i < n_analyses ? analyses[i]->id : views[i - n_analyses]->id;
        const char *help = i < n_analyses ? analyses[i]->help : views[i - n_analyses]->help;
        if (!help || !strstr(help, ". "))
            fail_msg("%s explains itself in less than two sentences", id);
        if (i < n_analyses && !analyses[i]->source)
            fail_msg("%s does not say where it comes from", id);
        snprintf(line, sizeof line, ": 'explain~%s Enter", id);
        keys(&b, line);
        assert_non_null(b.wb.overlay);
        keys(&b, "Esc");
    }
    keys(&b, ": 'explain~nothing Enter");
    assert_true(b.wb.is_error);
    /* Help in every pane. */
    for (int kind = 0; kind < PANE_COUNT; kind++) {
        workbench_focus(&b.wb, kind);
        keys(&b, "?");
        shows(&b, "keys everywhere");
        keys(&b, "Esc");
    }
    bench_close(&b);
}

static void layouts_are_text(void **state)
{
    (void)state;
    struct layout l, again;
    struct err e;
    char text[1024], twice[1024];
    static const char *const wrong[] = {"", "[", "[50 lens]", "[50 lens | ]", "[3 lens | dla]",
        "[50 lens | dla", "lens dla", "prompt", "[50 lens & dla]", "nothing",
        "lens:", "[50 lens | lens] x",
        "[50 [50 [50 [50 [50 [50 [50 [50 [50 dla|dla]|dla]|dla]|dla]|dla]|dla]|dla]|dla]|dla]"};
    for (int i = 1; i <= LAYOUTS; i++) {
        layout_preset(&l, i);
        layout_print(text, sizeof text, &l);
        assert_int_equal(layout_parse(&again, text, &e), 0);
        layout_print(twice, sizeof twice, &again);
        assert_string_equal(text, twice);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        e = (struct err){0};
        if (!layout_parse(&l, wrong[i], &e))
            fail_msg("\"%s\" is no layout", wrong[i]);
        assert_true(*e.msg);
    }
    /* Split, resize, replace and close at random: always a tree that prints and reads back, whose
     * leaves hold each slot once and whose rectangles tile the screen. */
    unsigned seed = 7;
    layout_preset(&l, 1);
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1103515245u + 12345u;
        unsigned r = seed >> 16;
        int slot = layout_first(&l), added;
        for (int k = 0; k < l.n; k++)
            if (!l.nodes[k].split && (int)(r % 7) == k % 7 && l.nodes[k].slot >= 0)
                slot = l.nodes[k].slot;
        int kind = PANE_LENS + (int)(r / 16 % (PANE_COUNT - PANE_LENS));
        if (r % 5 < 2)
            layout_split(&added, &l, slot, r & 32 ? '|' : '/', kind, &e);
        else if (r % 5 == 2)
            layout_close(&l, slot);
        else if (r % 5 == 3)
            layout_resize(&l, slot, r & 32 ? '|' : '/', (int)(r % 40) - 20);
        else
            layout_replace(&l, slot, kind);
        layout_print(text, sizeof text, &l);
        assert_int_equal(layout_parse(&again, text, &e), 0);
        struct places p;
        layout_arrange(&p, &l, 200, 60, 0, 100, layout_first(&l), SLOT_NONE);
        int area = 0;
        for (int k = PANE_LENS; k < PANE_SLOTS; k++)
            area += p.panes[k].w * p.panes[k].h;
        assert_int_equal(area, 200 * (60 - 6));
    }
}

static void panes_split_and_close(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 160, 50);
    keys(&b, "|");
    shows(&b, "another view");
    int slot = b.wb.focus;
    assert_true(slot >= PANE_COUNT);
    keys(&b, "V");
    assert_ptr_not_equal(b.wb.panes[slot].view, b.wb.panes[PANE_LENS].view);
    /* Both follow the one selection. */
    keys(&b, "h");
    assert_int_equal(b.wb.sel.pos, 2);
    keys(&b, "Ctrl-Right Ctrl-Right - P X");
    keys(&b, ": 'split~right~neurons Enter");
    assert_true(workbench_shows(&b.wb, PANE_NEURONS));
    keys(&b, ": 'split~up Enter");
    assert_true(b.wb.is_error);
    keys(&b, "= X X X X X X");
    shows(&b, "the last pane of a layout stays");
    keys(&b, ": 'layout~[50~lens~|~nonsense] Enter");
    assert_true(b.wb.is_error);
    keys(&b, ": 'layout~[50~lens~|~dla] Enter");
    assert_true(workbench_shows(&b.wb, PANE_DLA));
    assert_false(workbench_shows(&b.wb, PANE_NEXT));
    bench_close(&b);
}

static void layouts_are_remembered(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40);
    b.wb.remembers = true;
    keys(&b, "4 | : 'view~table Enter 2");
    layouts_save(&b.wb);
    bench_close(&b);
    bench_open(&b, 120, 40);
    b.wb.remembers = true;
    layouts_load(&b.wb);
    assert_int_equal(b.wb.layout, 2);
    char text[512];
    layout_print(text, sizeof text, &b.wb.layouts[3]);
    assert_string_equal(text, "[60 [50 dla | dla:table] | next]");
    bench_close(&b);
}

static void keys_can_be_bound(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(key_bind("next-head", "w Right", &e), 0);
    assert_int_equal(key_find("attention", "w"), key_named("next-head"));
    assert_int_equal(key_find("attention", "Right"), key_named("next-head"));
    assert_int_not_equal(key_find("attention", "]"), key_named("next-head"));
    assert_int_equal(key_bind("next-head", "", &e), 0);
    assert_true(key_is_changed(key_named("next-head")));
    assert_int_not_equal(key_bind("next-haed", "x", &e), 0);
    assert_non_null(strstr(e.msg, "next-head"));
    assert_int_not_equal(key_bind("next-head", "a b c", &e), 0);
    assert_int_not_equal(key_bind("layout", "x", &e), 0);
    key_reset();
    assert_int_equal(key_find("attention", "]"), key_named("next-head"));
}

static void names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < key_count(); i++)
        assert_int_equal(key_named(key_row(i)->name), i);
    for (int i = 0; i < word_count(); i++) {
        assert_ptr_equal(word_find(word_row(i)->name), word_row(i));
        assert_null(verb_find(word_row(i)->name));
        assert_true(strlen(word_row(i)->help) > 3);
    }
}

static void a_click_that_goes_to_a_pane_does_no_more(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 120, 40);
    struct rect r = b.wb.panes[PANE_DLA].rect;
    struct key k = {.name = "Mouse", .x = r.x + 4, .y = r.y + 4};
    int64_t layer = b.wb.sel.layer, head = b.wb.sel.head;
    int64_t at = b.wb.panes[PANE_DLA].st.at[0];
    workbench_key(&b.wb, &k);
    assert_int_equal(b.wb.focus, PANE_DLA);
    assert_int_equal(b.wb.sel.layer, layer);
    assert_int_equal(b.wb.sel.head, head);
    assert_int_equal(b.wb.panes[PANE_DLA].st.at[0], at);
    workbench_draw(&b.wb, &b.c);
    k.y = r.y + 2;
    workbench_key(&b.wb, &k);
    assert_int_not_equal(b.wb.panes[PANE_DLA].st.at[0], at);
    /* The wheel moves in the pane below it and leaves the focus. */
    workbench_draw(&b.wb, &b.c);
    struct rect lens = b.wb.panes[PANE_LENS].rect;
    int64_t row = b.wb.sel.row;
    k = (struct key){.name = "WheelDown", .x = lens.x + 3, .y = lens.y + 3};
    workbench_key(&b.wb, &k);
    assert_int_equal(b.wb.focus, PANE_DLA);
    assert_true(b.wb.sel.row != row || row == 0);
    /* A key of the footer is its key. */
    workbench_draw(&b.wb, &b.c);
    for (int i = 0; i < b.wb.n_buttons; i++)
        if (!strcmp(key_row(b.wb.buttons[i].row)->name, "help")) {
            k = (struct key){
                .name = "Mouse", .x = b.wb.buttons[i].rect.x, .y = b.wb.buttons[i].rect.y};
            workbench_key(&b.wb, &k);
            break;
        }
    assert_non_null(b.wb.overlay);
    bench_close(&b);
}

static void search_counts(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 30);
    keys(&b, "/ 'a Enter");
    shows(&b, "match 2 of 2");
    keys(&b, "n");
    shows(&b, "match 1 of 2");
    keys(&b, "Esc / '!a Enter");
    shows(&b, "of 2");
    keys(&b, "Tab Tab Tab / 'mlp$ Enter");
    shows(&b, "match 1 of 2");
    keys(&b, "/ 'nothing~like~it Enter");
    shows(&b, "no match among 9");
    bench_close(&b);
}

static void the_clipboard_gets_numbers(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 30);
    keys(&b, "y");
    assert_non_null(strstr(b.wb.copied, "final at 3"));
    keys(&b, "Y");
    assert_non_null(strstr(b.wb.copied, "·Mara\t"));
    keys(&b, "Ctrl-Y");
    assert_true(fabs(strtod(b.wb.copied, NULL) - 0.6) < 1e-6);
    keys(&b, ": 'copy~pane Enter");
    assert_non_null(strstr(b.wb.copied, "lens: probability"));
    keys(&b, ": 'copy~that Enter");
    assert_true(b.wb.is_error);
    bench_close(&b);
}

static void undone_is_done_again(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 110, 30);
    keys(&b, ": 'edit~L0H1=zero Enter : 'prompt~Another Enter u");
    assert_string_equal(b.wb.shown_prompt, "When Mara gave");
    assert_int_equal(b.wb.n_edits, 1);
    keys(&b, "u Ctrl-R");
    assert_int_equal(b.wb.n_edits, 1);
    keys(&b, "Ctrl-R");
    assert_string_equal(b.wb.shown_prompt, "Another");
    keys(&b, "Ctrl-R");
    shows(&b, "nothing to do again");
    keys(&b, "u : 'edit~L1H1=zero Enter Ctrl-R");
    shows(&b, "nothing to do again");
    bench_close(&b);
}

static void commands_are_remembered(void **state)
{
    (void)state;
    struct history *h;
    struct err e;
    struct bench b;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(history_open(&h, &e), 0);
        assert_int_equal(history_load(h, &e), 0);
        for (int i = 0; i < 700; i++) {
            char line[32];
            snprintf(line, sizeof line, "round %d line %d", round, i);
            history_add(h, line);
            history_add(h, line); /* once */
        }
        history_add(h, "two\nlines are no line");
        history_release(&h);
    }
    char *text = read_all(in_folder("sonde/history"));
    int lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 1000);
    assert_non_null(strstr(text, "round 0 line 699\nround 1 line 0\n"));
    assert_null(strstr(text, "round 0 line 0\n"));
    free(text);
    bench_open(&b, 110, 30);
    assert_int_equal(history_load(b.wb.history, &e), 0);
    keys(&b, ": 'typed Up");
    assert_string_equal(b.wb.line.text, "round 1 line 699");
    keys(&b, "Up Down Down");
    assert_string_equal(b.wb.line.text, "typed");
    keys(&b, "Ctrl-U 'line~33 Ctrl-R");
    assert_string_equal(b.wb.line.text, "round 1 line 339");
    keys(&b, "Ctrl-R");
    assert_string_equal(b.wb.line.text, "round 1 line 338");
    bench_close(&b);
}

/* One that is longer than a screen's worth does not cost the others. */
static void long_lines_are_remembered_too(void **state)
{
    (void)state;
    enum { LONG = 200000 };
    struct history *h;
    struct err e = {0};
    char *line = malloc(LONG + 1);
    assert_non_null(line);
    memset(line, 'a', LONG);
    line[LONG] = '\0';
    assert_int_equal(history_open(&h, &e), 0);
    history_add(h, line);
    history_add(h, "short");
    history_release(&h);
    assert_int_equal(history_open(&h, &e), 0);
    assert_int_equal(history_load(h, &e), 0);
    assert_int_equal(e.code, 0);
    history_release(&h);
    free(line);
    unlink(in_folder("sonde/history"));
}

static void a_batch_keeps_what_words_say(void **state)
{
    (void)state;
    struct desk d = {0};
    struct arena arena = {0};
    struct command c;
    struct err e = {0};
    char run[] = "run", lens[] = "lens", flag[] = "-p", own[] = "own", *bare[] = {run, lens},
         *given[] = {run, lens, flag, own};
    static const char *const lines[] = {"model tiny", "prompt 'a \"quoted\" one'", "bos off",
        "edit L0H1=zero", "edit L0H1=zero", "edits L0H0=zero '!L1H1=zero' 'L1_mlp=mean'",
        "layout 3", "select pos=2"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(desk_word(&d, lines[i], &e), 0);
    assert_string_equal(d.prompt, "a \"quoted\" one");
    assert_int_equal(d.n_edits, 2);
    assert_int_equal(command_parse(&c, bare, 2, &arena, &e), 0);
    assert_int_equal(desk_fill(&d, &c, &e), 0);
    assert_string_equal(args_text(&c.args, "model"), "tiny");
    assert_string_equal(args_get(&c.args, "prompt")->texts[0], "a \"quoted\" one");
    assert_false(args_bool(&c.args, "prepend-bos"));
    assert_int_equal(args_get(&c.args, "edit")->n_texts, 2);
    assert_int_equal(command_parse(&c, given, 4, &arena, &e), 0);
    assert_int_equal(desk_fill(&d, &c, &e), 0);
    assert_int_equal(args_get(&c.args, "prompt")->n_texts, 1);
    assert_string_equal(args_get(&c.args, "prompt")->texts[0], "own");
    assert_int_not_equal(desk_word(&d, "quit", &e), 0);
    assert_int_not_equal(desk_word(&d, "bos perhaps", &e), 0);
    assert_int_equal(desk_word(&d, "clear", &e), 0);
    assert_int_equal(d.n_edits, 0);
    desk_release(&d);
    arena_release(&arena);
}

static void a_session_comes_back(void **state)
{
    (void)state;
    struct bench b, again;
    struct log *log;
    struct err e;
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("session.log"));
    bench_open(&b, 120, 40);
    assert_int_equal(log_open(&log, path, &e), 0);
    assert_int_equal(journal_open(&b.wb.journal, log, &e), 0);
    struct journal *j = b.wb.journal;
    keys(&b, ": 'prompt~It's~\"odd\" Enter");
    line_set(&b.wb.prompt, "two\nlines \x1b[31m");
    workbench_run_prompt(&b.wb);
    keys(&b, ": 'edit~L0H1=zero Enter : 'edit~L1_mlp=scale:0.5 Enter B 5 |");
    journal_note(j, &b.wb, false);
    for (int i = 0; i < 50; i++) {
        keys(&b, i % 2 ? "h" : "l");
        journal_note(j, &b.wb, false);
    }
    keys(&b, "h h Tab j j");
    journal_note(j, &b.wb, true);
    char *text = read_all(path);
    int selects = 0;
    for (const char *at = text; (at = strstr(at, "select ")); at++)
        selects++;
    assert_int_equal(selects, 1); /* moves are one line */
    bench_open(&again, 120, 40);
    assert_int_equal(journal_replay(&again.wb, path, &e), 0);
    workbench_open(&again.wb, again.wb.asked_model);
    for (int i = 0; i < 64 && workbench_poll(&again.wb); i++) {
    }
    assert_string_equal(again.wb.shown_prompt, b.wb.shown_prompt);
    assert_string_equal(again.wb.model_name, b.wb.model_name);
    assert_int_equal(again.wb.n_edits, 2);
    assert_string_equal(again.wb.edits[1], b.wb.edits[1]);
    assert_int_equal(again.wb.bos, b.wb.bos);
    assert_int_equal(again.wb.layout, 5);
    assert_int_equal(again.wb.sel.pos, b.wb.sel.pos);
    assert_int_equal(again.wb.sel.layer, b.wb.sel.layer);
    assert_int_equal(again.wb.sel.head, b.wb.sel.head);
    char one[512], two[512];
    layout_print(one, sizeof one, workbench_layout(&b.wb));
    layout_print(two, sizeof two, workbench_layout(&again.wb));
    assert_string_equal(one, two);
    /* Reopened and left, it says the same again. */
    struct log *second;
    char path2[256];
    snprintf(path2, sizeof path2, "%s", in_folder("second.log"));
    assert_int_equal(log_open(&second, path2, &e), 0);
    assert_int_equal(journal_open(&again.wb.journal, second, &e), 0);
    journal_note(again.wb.journal, &again.wb, true);
    char *text2 = read_all(path2);
    for (char *save, *line = strtok_r(text2, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, "model", 5) != 0 && !strstr(text, line))
            fail_msg("the first session did not say \"%s\"\n%s", line, text);
    free(text);
    free(text2);
    bench_close(&b);
    bench_close(&again);
    log_release(&log);
    log_release(&second);
    assert_int_not_equal(journal_find(path, sizeof path, "/nowhere/x.log", NULL, &e), 0);
}

/* Of two panes of a kind the one that had the keys has them again. */
static void the_second_pane_comes_back(void **state)
{
    (void)state;
    struct err e;
    for (int nth = 1; nth <= 2; nth++) {
        struct bench b, again;
        struct log *log;
        char path[256], *text;
        snprintf(path, sizeof path, "%s", in_folder(nth == 1 ? "first.log" : "pane.log"));
        bench_open(&b, 160, 50);
        assert_int_equal(log_open(&log, path, &e), 0);
        assert_int_equal(journal_open(&b.wb.journal, log, &e), 0);
        keys(&b, ": 'focus~lens Enter | : 'focus~dla Enter");
        keys(&b, nth == 1 ? ": 'focus~lens Enter" : ": 'focus~lens~2 Enter");
        assert_int_equal(b.wb.panes[b.wb.focus].id, PANE_LENS);
        assert_int_equal(layout_nth(workbench_layout(&b.wb), b.wb.focus), nth);
        journal_note(b.wb.journal, &b.wb, true);
        text = read_all(path);
        assert_int_equal(strstr(text, "\nfocus lens 2\n") != NULL, nth == 2);
        bench_open(&again, 160, 50);
        assert_int_equal(journal_replay(&again.wb, path, &e), 0);
        workbench_open(&again.wb, again.wb.asked_model);
        for (int i = 0; i < 64 && workbench_poll(&again.wb); i++) {
        }
        assert_int_equal(again.wb.focus, b.wb.focus);
        assert_int_equal(layout_nth(workbench_layout(&again.wb), again.wb.focus), nth);
        free(text);
        bench_close(&b);
        bench_close(&again);
        log_release(&log);
    }
}

/* A disk that fills up in the middle of a line: the log ends before it, and the screen says so. */
static void a_full_disk_is_said(void **state)
{
    (void)state;
    struct bench b, again;
    struct log *log;
    struct err e = {0};
    struct rlimit was, little;
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("full.log"));
    bench_open(&b, 120, 40);
    assert_int_equal(log_open(&log, path, &e), 0);
    b.wb.engine->log = log;
    log_line(log, LOG_HEAD);
    log_line(log, "prompt one");
    assert_null(log_lost(log));
    lacks(&b, "session not recorded");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    little = (struct rlimit){strlen(LOG_HEAD) + 20, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    log_line(log, "prompt 'a line that does not fit any more'");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    log_line(log, "prompt two");
    char *text = read_all(path);
    assert_string_equal(text, LOG_HEAD "\nprompt one\n");
    free(text);
    assert_non_null(log_lost(log));
    assert_int_not_equal(log_error(&e, log), 0);
    keys(&b, "l");
    shows(&b, "session not recorded: ");
    b.wb.engine->log = NULL;
    log_release(&log);
    assert_int_equal(log_open(&log, "/dev/full", &e), 0);
    log_line(log, "prompt one");
    assert_string_equal(log_lost(log), "disk full");
    log_release(&log);
    /* A line that was torn by something else is left out. */
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("prompt torn", f);
    fclose(f);
    bench_open(&again, 120, 40);
    assert_int_equal(journal_replay(&again.wb, path, &e), 0);
    assert_string_equal(again.wb.shown_prompt, "one");
    assert_non_null(strstr(again.wb.message, "left out"));
    bench_close(&again);
    bench_close(&b);
}

static void the_tour_is_taken_once(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    b.wb.wants_tour = true;
    tour_first(&b.wb);
    assert_int_equal(b.wb.tour, 1);
    workbench_draw(&b.wb, &b.c);
    shows(&b, "tour, 1 of 5");
    keys(&b, "x h");
    shows(&b, "tour, 2 of 5");
    keys(&b, "Tab Enter i");
    shows(&b, "tour, 5 of 5");
    keys(&b, "Esc ?");
    assert_int_equal(b.wb.tour, 0);
    keys(&b, "Esc");
    tour_first(&b.wb);
    assert_int_equal(b.wb.tour, 0);
    keys(&b, ": 'tour Enter");
    assert_int_equal(b.wb.tour, 1);
    keys(&b, "Esc : 'focus~lens Enter");
    /* On the smallest screen it covers nothing either: every step is readable, and so is the pane. */
    struct err e;
    assert_int_equal(canvas_resize(&b.c, SCREEN_W, SCREEN_H, &e), 0);
    for (int step = 1; step <= 5; step++) {
        b.wb.tour = step;
        workbench_draw(&b.wb, &b.c);
        char number[16], *s = screen(&b);
        snprintf(number, sizeof number, "%d of 5", step);
        assert_non_null(strstr(s, number));
        assert_non_null(strstr(s, "Press "));
        assert_non_null(strstr(s, "q ends it"));
        assert_non_null(strstr(s, "lens: probability"));
        if (!strstr(s, "final at 2")) /* the last line of the pane */
            fail_msg("%s", s);
        assert_non_null(strstr(s, "When Mara gave"));
        free(s);
    }
    b.wb.tour = 1;
    keys(&b, "q");
    assert_int_equal(b.wb.tour, 0);
    assert_false(b.wb.wants_quit);
    bench_close(&b);
}

static void settings_hold_at_once(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, 100, 30);
    keys(&b, ": 'set~mouse~false Enter");
    assert_false(b.wb.has_mouse);
    keys(&b, ": 'set~glyphs~ascii Enter");
    assert_true(b.wb.has_glyphs);
    keys(&b, ": 'set~theme~purple Enter");
    assert_true(b.wb.is_error);
    keys(&b, ": 'set~thme~day Enter");
    shows(&b, "nearest: theme");
    keys(&b, ": 'set~mouse Enter");
    assert_false(b.wb.is_error);
    keys(&b, ": 'set~the Tab");
    assert_string_equal(b.wb.line.text, "set theme ");
    keys(&b, "'con Tab Enter");
    assert_string_equal(b.wb.theme->name, "contrast");
    bench_close(&b);
}

static void completion_knows_the_tables(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *line;
    } cases[] = {{"focus~att Tab", "focus attention "}, {"run~le Tab", "run lens "},
        {"run~lens,dl Tab", "run lens,dla "}, {"run~lens~--tar Tab", "run lens --target "},
        {"run~lens~--progress~pl Tab", "run lens --progress plain "}, {"head~L1H Tab", "head L1H"},
        {"edit~L1H1=sc Tab", "edit L1H1=scale:"}, {"bos~of Tab", "bos off "},
        {"theme~mo Tab", "theme mono "}, {"target~~T Tab", "target  Tobin "},
        {"list~ana Tab", "list analyses "}};
    struct bench b;
    bench_open(&b, 100, 30);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char script[96];
        snprintf(script, sizeof script, ": '%s", cases[i].typed);
        keys(&b, script);
        if (strcmp(b.wb.line.text, cases[i].line) != 0)
            fail_msg("%s gave \"%s\"", cases[i].typed, b.wb.line.text);
        keys(&b, "Esc");
    }
    bench_close(&b);
}

/* Lines that would write files are not what the monkey is about. */
static bool is_harmless(const struct workbench *wb)
{
    static const char *const writes[] = {"shot", "write", "session", "train", "cache", "export"};
    if (wb->input == INPUT_EXPORT)
        return false;
    for (size_t i = 0; wb->input == INPUT_COMMAND && i < sizeof writes / sizeof *writes; i++)
        if (!strncmp(wb->line.text, writes[i], strlen(writes[i])))
            return false;
    return true;
}

static int monkey_keys(void)
{
    const char *asked = getenv("SONDE_MONKEY");
    return asked ? atoi(asked) : 10000;
}

/* Keys drawn from a seed over every pane, overlay and size: whatever they do, nothing may break, and
 * the memory in use stays what it was. */
static void a_monkey_breaks_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"Enter", "Tab", "Shift-Tab", "Esc", "Up", "Down", "Left",
        "Right", "PgUp", "PgDn", "Home", "End", "Ctrl-F", "Backspace", "Delete", "F1", "Mouse",
        "WheelUp", "WheelDown", "Ctrl-W", "Ctrl-L", "Resize", "Ctrl-P", "F2", "Ctrl-R", "Ctrl-Up",
        "Ctrl-Down", "Ctrl-Left", "Ctrl-Right", "Ctrl-Y", "Ctrl-U"};
    static const int sizes[][2] = {
        {80, 24}, {120, 40}, {200, 60}, {60, 15}, {66, 50}, {59, 14}, {140, 16}};
    struct bench b;
    struct err e;
    uint64_t seed = 20261121;
    size_t early = 0;
    int n = monkey_keys();
    bench_open(&b, 100, 30);
    for (int i = 0; i < n; i++) {
        struct key k = {0};
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned r = (unsigned)(seed >> 33);
        if (i % 97 == 0) {
            const int *s = sizes[r % (sizeof sizes / sizeof *sizes)];
            assert_int_equal(canvas_resize(&b.c, s[0], s[1], &e), 0);
            b.c.glyphs = (enum glyphs)(r / 16 % 3);
            b.c.mode = (enum colour_mode)(r / 64 % 4);
        }
        if (r % 3 == 0)
            snprintf(k.name, sizeof k.name, "%s", names[r / 3 % (sizeof names / sizeof *names)]);
        else
            k.name[0] = k.text[0] = (char)(33 + r / 3 % 94);
        if (!strcmp(k.name, "Enter") && !is_harmless(&b.wb))
            snprintf(k.name, sizeof k.name, "Esc");
        k.x = (int)(r / 300 % 200);
        k.y = (int)(r / 70000 % 60);
        workbench_key(&b.wb, &k);
        for (int p = 0; p < 64 && workbench_poll(&b.wb); p++) {
        }
        if (i % 3 == 0)
            workbench_draw(&b.wb, &b.c);
        b.wb.wants_quit = false;
        if (i == n / 2)
            early = mallinfo2().uordblks;
    }
    size_t late = mallinfo2().uordblks;
    if (late > early + (1 << 20))
        fail_msg("memory grew from %zu to %zu bytes over %d keys", early, late, n / 2);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_in_order_score),
        cmocka_unit_test(everything_is_in_the_palette),
        cmocka_unit_test(a_form_knows_its_parameters),
        cmocka_unit_test(a_run_of_a_cache_is_as_typed),
        cmocka_unit_test(everything_explains_itself),
        cmocka_unit_test(layouts_are_text),
        cmocka_unit_test(panes_split_and_close),
        cmocka_unit_test(layouts_are_remembered),
        cmocka_unit_test(keys_can_be_bound),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(a_click_that_goes_to_a_pane_does_no_more),
        cmocka_unit_test(search_counts),
        cmocka_unit_test(the_clipboard_gets_numbers),
        cmocka_unit_test(undone_is_done_again),
        cmocka_unit_test(commands_are_remembered),
        cmocka_unit_test(long_lines_are_remembered_too),
        cmocka_unit_test(a_batch_keeps_what_words_say),
        cmocka_unit_test(a_session_comes_back),
        cmocka_unit_test(the_second_pane_comes_back),
        cmocka_unit_test(a_full_disk_is_said),
        cmocka_unit_test(the_tour_is_taken_once),
        cmocka_unit_test(settings_hold_at_once),
        cmocka_unit_test(completion_knows_the_tables),
        cmocka_unit_test(a_monkey_breaks_nothing),
    };
    if (!mkdtemp(folder))
        return 1;
    setenv("XDG_STATE_HOME", folder, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char line[128];
    snprintf(line, sizeof line, "rm -rf '%s'", folder);
    return system(line) ? 1 : failed;
}
