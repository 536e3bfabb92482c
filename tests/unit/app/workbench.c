#include "app/workbench.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The workbench on key scripts, with an engine that answers at once from made-up numbers. */

enum { L = 2, H = 2, T = 4, K = 3 };

static const char *const words[T] = {"BOS", "When", " Mara", " gave"};
static const int32_t ids[T] = {0, 10, 11, 12};
static const char *const best[K] = {" the", " Tobin", "\x1b[31m"};
static const char *const layers[L + 1] = {"L0", "L1", "final"};
static const char *const parts[] = {
    "embed", "pos_embed", "L0H0", "L0H1", "L1H0", "L1H1", "L0_mlp", "L1_mlp", "bias"};
enum { PARTS = sizeof parts / sizeof *parts };

struct numbers {
    double top[(L + 1) * T * K], logprob[(L + 1) * T * K], target[(L + 1) * T], rank[(L + 1) * T];
    double pattern[L * H * T * T], part[PARTS], ledger[4];
    const char *top_text[(L + 1) * T * K];
};

struct fake {
    struct engine base;
    struct answer *queue[32];
    int n, asked[ASK_COUNT], cancelled;
    char last_text[256];
    int64_t last_pos;
    int last_edits;
    bool is_busy, is_failing;
};

static struct field field(const char *name, const char *unit, int rank, const struct axis *axes,
    const double *v, struct arena *a)
{
    struct err e;
    struct field f = {.name = name, .unit = unit, .dtype = DT_F32, .rank = rank};
    struct field_values *values = arena_zalloc(a, sizeof *values, &e);
    memcpy(f.axes, axes, (size_t)rank * sizeof *axes);
    *values = (struct field_values){v, 1};
    field_from_values(&f, values);
    return f;
}

static void fill(struct answer *a, struct err *e)
{
    struct numbers *x = arena_zalloc(&a->arena, sizeof *x, e);
    for (int i = 0; i < (L + 1) * T * K; i++) {
        x->top[i] = 20 + i % K;
        x->logprob[i] = log(0.6 / (1 + i % K));
        x->top_text[i] = best[i % K];
    }
    for (int i = 0; i < (L + 1) * T; i++) {
        x->target[i] = log((i + 1) / 20.0);
        x->rank[i] = i % 3;
    }
    for (int i = 0; i < L * H * T * T; i++)
        x->pattern[i] = i % T > i / T % T ? 0 : 1.0 / (i / T % T + 1);
    for (int i = 0; i < PARTS; i++)
        x->part[i] = (i % 2 ? -1 : 1) * 4.0 / (i + 1);
    x->ledger[0] = 4;
    x->ledger[1] = x->ledger[2] = 4.312;
    x->ledger[3] = 2e-6;
    const struct axis cell[] = {{"layer", AXIS_LAYER, L + 1, layers}, {"pos", AXIS_POS, T, words},
        {"k", AXIS_RANK, K, NULL}};
    const struct axis map[] = {{"layer", AXIS_LAYER, L, layers}, {"head", AXIS_HEAD, H, NULL},
        {"query", AXIS_POS, T, words}, {"key", AXIS_POS, T, words}};
    const struct axis component[] = {{"component", AXIS_COMPONENT, PARTS, parts}};
    const struct axis entry[] = {{"entry", AXIS_OTHER, 4, NULL}};
    a->n = T;
    a->tokens = words;
    a->ids = ids;
    a->target_text = " Tobin";
    a->versus_text = " Mara";
    a->top_text = x->top_text;
    a->top_token = field("top_token", "id", 3, cell, x->top, &a->arena);
    a->top_logprob = field("top_logprob", "nats", 3, cell, x->logprob, &a->arena);
    a->logprob = field("target_logprob", "nats", 2, cell, x->target, &a->arena);
    a->rank = field("target_rank", "rank", 2, cell, x->rank, &a->arena);
    a->entropy = field("entropy", "nats", 2, cell, x->rank, &a->arena);
    a->kl = field("kl_to_final", "nats", 2, cell, x->rank, &a->arena);
    a->pattern = field("pattern", "probability", 4, map, x->pattern, &a->arena);
    a->contribution = field("contribution", "logits", 1, component, x->part, &a->arena);
    a->contribution.is_signed = true;
    a->ledger = field("ledger", "logits", 1, entry, x->ledger, &a->arena);
}

static void fake_ask(struct engine *g, const struct question *q)
{
    struct fake *f = (struct fake *)g;
    struct err e = {0};
    f->asked[q->ask]++;
    f->last_pos = q->pos;
    f->last_edits = q->n_edits;
    snprintf(f->last_text, sizeof f->last_text, "%s", q->text ? q->text : "");
    struct answer *a = calloc(1, sizeof *a);
    a->ask = q->ask;
    a->serial = q->serial;
    a->pos = q->pos;
    a->target = q->target >= 0 ? q->target : 21;
    a->versus = 11;
    a->seconds = 0.011;
    a->is_edited = q->n_edits > 0;
    a->facts = (struct facts){.is_open = true,
        .has_bos = true,
        .name = "toy",
        .cfg = {.n_layer = L, .n_head = H, .d_model = 8}};
    if (f->is_failing)
        err_set(&a->e, ERR_LIMIT, "the prompt has 400 tokens, the model takes 256; shorten it");
    else
        fill(a, &e);
    if (q->ask == ASK_COMMAND)
        a->text = "first line\nsecond line\n";
    if (f->n == 32)
        answer_release(&f->queue[--f->n]);
    f->queue[f->n++] = a;
}

static void fake_cancel(struct engine *g)
{
    ((struct fake *)g)->cancelled++;
}

static struct answer *fake_take(struct engine *g)
{
    struct fake *f = (struct fake *)g;
    if (!f->n)
        return NULL;
    struct answer *a = f->queue[0];
    memmove(f->queue, f->queue + 1, (size_t)--f->n * sizeof *f->queue);
    return a;
}

static void fake_state(const struct engine *g, struct engine_state *out)
{
    *out = (struct engine_state){.is_busy = ((const struct fake *)g)->is_busy, .ask = ASK_PROMPT};
}

struct bench {
    struct fake fake;
    struct workbench wb;
    struct canvas c;
};

static void bench_open(struct bench *b, int w, int h)
{
    struct err e;
    *b = (struct bench){.fake = {.base = {.ask = fake_ask,
                                     .cancel = fake_cancel,
                                     .take = fake_take,
                                     .state = fake_state,
                                     .wake_fd = -1}}};
    assert_int_equal(workbench_init(&b->wb, &b->fake.base, "When Mara gave", true, &e), 0);
    assert_int_equal(canvas_init(&b->c, w, h, &e), 0);
    b->c.mode = COLOURS_NONE;
    b->c.glyphs = GLYPHS_BLOCK;
    workbench_draw(&b->wb, &b->c);
    workbench_open(&b->wb, "toy");
    while (workbench_poll(&b->wb)) {
    }
    workbench_draw(&b->wb, &b->c);
}

static void bench_close(struct bench *b)
{
    workbench_release(&b->wb);
    for (int i = 0; i < b->fake.n; i++)
        answer_release(&b->fake.queue[i]);
    canvas_release(&b->c);
}

/* Keys by name, parted by blanks; "'text" types the text, ~ for a blank. */
static void keys(struct bench *b, const char *script)
{
    while (*script) {
        size_t n = strcspn(script, " ");
        struct key k = {0};
        if (*script == '\'') {
            for (size_t i = 1; i < n; i++) {
                k = (struct key){.name = {script[i] == '~' ? ' ' : script[i]}};
                k.text[0] = k.name[0];
                workbench_key(&b->wb, &k);
            }
        } else {
            snprintf(k.name, sizeof k.name, "%.*s", (int)n, script);
            k.text[0] = n == 1 ? *script : '\0';
            workbench_key(&b->wb, &k);
        }
        while (workbench_poll(&b->wb)) {
        }
        workbench_draw(&b->wb, &b->c);
        script += n;
        script += strspn(script, " ");
    }
}

static char *screen(const struct bench *b)
{
    struct buf out = {0};
    canvas_write(&out, &b->c, CANVAS_PLAIN);
    return out.data;
}

static void shows(const struct bench *b, const char *text)
{
    char *s = screen(b);
    if (!strstr(s, text))
        fail_msg("no \"%s\" on\n%s", text, s);
    free(s);
}

static void lacks(const struct bench *b, const char *text)
{
    char *s = screen(b);
    if (strstr(s, text))
        fail_msg("\"%s\" on\n%s", text, s);
    free(s);
}

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
    assert_non_null(strstr(b.fake.last_text, "-m 'other'"));
    b.fake.is_failing = true;
    keys(&b, "Esc : 'model~none Enter");
    b.fake.is_failing = false;
    keys(&b, ": 'run~lens Enter");
    assert_non_null(strstr(b.fake.last_text, "-m 'other'"));
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

/* Keys drawn from a seed over every pane: whatever they do, nothing may break. */
static void a_monkey_breaks_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"Enter", "Tab", "Shift-Tab", "Esc", "Up", "Down", "Left",
        "Right", "PgUp", "PgDn", "Home", "End", "Ctrl-F", "Backspace", "Delete", "F1", "Mouse",
        "WheelUp", "WheelDown", "Ctrl-W", "Ctrl-L", "Resize"};
    struct bench b;
    uint64_t seed = 20261121;
    bench_open(&b, 100, 30);
    for (int i = 0; i < 4000; i++) {
        struct key k = {0};
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned r = (unsigned)(seed >> 33);
        if (r % 3 == 0) {
            snprintf(k.name, sizeof k.name, "%s", names[r / 3 % (sizeof names / sizeof *names)]);
        } else {
            k.name[0] = k.text[0] = (char)(33 + r / 3 % 94);
            /* Files are not what this test is about. */
            if (b.wb.input == INPUT_EXPORT || (b.wb.input == INPUT_COMMAND && k.text[0] == 's'))
                continue;
        }
        k.x = (int)(r / 300 % 100);
        k.y = (int)(r / 30000 % 30);
        if (!strcmp(k.name, "Enter") && b.wb.input == INPUT_EXPORT)
            continue;
        workbench_key(&b.wb, &k);
        workbench_poll(&b.wb);
        if (i % 7 == 0)
            workbench_draw(&b.wb, &b.c);
        b.wb.wants_quit = false;
    }
    bench_close(&b);
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
        cmocka_unit_test(every_key_has_its_action_and_help),
        cmocka_unit_test(small_screens_say_so),
        cmocka_unit_test(a_monkey_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
