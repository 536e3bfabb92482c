#include "app/patching.h"

#include <poll.h>
#include <unistd.h>

#include "analysis/graph.h"
#include "app/embedded.h"
#include "app/journal.h"
#include "app/session.h"
#include "model/core/machine.h"
#include "model/core/rng.h"
#include "tests/unit/app/fake.h"

/* Patching in the workbench, with the real engine and the embedded model. */

struct rig {
    struct session s;
    struct command c;
    struct arena arena;
    struct engine *g;
    struct bench b;
    struct err e;
};

#define LONGEST 90 /* seconds, on a machine that does other things */

/* Until the worker has had nothing to do for a while. */
static void settle(struct rig *r)
{
    double until = machine_seconds() + LONGEST;
    struct engine_state s;
    for (int idle = 0; machine_seconds() < until && idle < 40; poll(NULL, 0, 5)) {
        bool any = workbench_poll(&r->b.wb);
        r->g->state(r->g, &s);
        idle =
            any || s.is_busy || s.has_job || s.n_waiting || !r->b.wb.facts.is_open ? 0 : idle + 1;
    }
    workbench_draw(&r->b.wb, &r->b.c);
}

/* Until the screen shows a text. */
static void comes(struct rig *r, const char *text)
{
    double until = machine_seconds() + LONGEST;
    for (bool is_there = false; !is_there && machine_seconds() < until; poll(NULL, 0, 5)) {
        workbench_poll(&r->b.wb);
        workbench_draw(&r->b.wb, &r->b.c);
        char *s = screen(&r->b);
        is_there = strstr(s, text);
        free(s);
    }
    shows(&r->b, text);
}

/* Until a sweep is whole. */
static void ends(struct rig *r, enum sweep_kind kind)
{
    double until = machine_seconds() + LONGEST;
    struct job_view j = {0};
    for (; machine_seconds() < until; poll(NULL, 0, 5)) {
        workbench_poll(&r->b.wb);
        if (patching_job(&r->b.wb, patching_sweep(&r->b.wb, kind), &j) && j.state >= JOB_DONE)
            break;
    }
    assert_int_equal(j.state, JOB_DONE);
    settle(r);
}

/* A key script, and what comes of it. */
static void act(struct rig *r, const char *script)
{
    keys(&r->b, script);
    settle(r);
}

static void rig_begin(struct rig *r, int w, int h)
{
    *r = (struct rig){.g = NULL};
    session_init(&r->s);
    assert_int_equal(command_parse(&r->c, NULL, 0, &r->arena, &r->e), 0);
    assert_int_equal(engine_create(&r->g, &r->s, &r->c, &r->e), 0);
    assert_int_equal(workbench_init(&r->b.wb, r->g, "When Mara", true, &r->e), 0);
    assert_int_equal(canvas_init(&r->b.c, w, h, &r->e), 0);
    r->b.c.mode = COLOURS_NONE;
    r->b.c.glyphs = GLYPHS_BLOCK;
    workbench_draw(&r->b.wb, &r->b.c);
}

static void rig_open(struct rig *r, int w, int h)
{
    rig_begin(r, w, h);
    workbench_open(&r->b.wb, "tiny");
    settle(r);
}

static void rig_close(struct rig *r)
{
    workbench_release(&r->b.wb);
    canvas_release(&r->b.c);
    engine_release(&r->g);
    session_release(&r->s);
    arena_release(&r->arena);
}

#define CLEAN "'When~Mara~and~Tobin~went~to~the~harbour,~Mara~gave~the~lantern~to'"
#define CORRUPT "'When~Mara~and~Tobin~went~to~the~harbour,~Tobin~gave~the~lantern~to'"
#define LONGER "'When~Mara~and~Tobin~went~to~the~old~harbour,~Tobin~gave~the~lantern~to'"
#define NAMES "'~Tobin'~'~Mara'"

/* The values of a sweep; how many of them are numbers. */
static int64_t read_sweep(double **out, int64_t *n, struct rig *r, enum sweep_kind kind)
{
    const struct sweep *s = patching_sweep(&r->b.wb, kind);
    assert_non_null(s);
    assert_non_null(s->held);
    char path[160];
    snprintf(path, sizeof path, "runs/000-%s/%s_normalized", kind ? "attr" : "patch",
        r->b.wb.patching->site);
    const struct block *b = report_find(s->held->report, path);
    struct field f;
    *out = NULL;
    *n = 0;
    if (!b) /* a job that has only begun */
        return 0;
    assert_int_equal(block_field(&f, b, -1, &r->e), 0);
    struct window w = field_all(&f);
    *n = window_count(&w, f.rank);
    *out = malloc((size_t)*n * sizeof **out);
    assert_int_equal(f.fetch(&f, *out, &w, FIELD_POINT, &r->e), 0);
    int64_t finite = 0;
    for (int64_t i = 0; i < *n; i++)
        finite += isfinite((*out)[i]);
    return finite;
}

/* The exact number in the readout of the focused map. */
static double value_of(struct rig *r)
{
    const char *at = strstr(r->b.wb.panes[PANE_PATCH].readout, "exact ");
    assert_non_null(at);
    return strncmp(at + 6, "−", strlen("−")) ? strtod(at + 6, NULL)
                                             : -strtod(at + 6 + strlen("−"), NULL);
}

static void a_pair_fills_both_maps(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~" CLEAN "~" CORRUPT "~" NAMES " Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    ends(&r, SWEEP_ESTIMATE);
    shows(&r.b, "[·Tobin]");
    shows(&r.b, "exact: resid_pre, clean into corrupt, 0 = corrupt 1 = clean");
    shows(&r.b, "rank corr");
    double *exact, *guess;
    int64_t n, m;
    assert_int_equal(read_sweep(&exact, &n, &r, SWEEP_EXACT), 5 * 15);
    assert_int_equal(read_sweep(&guess, &m, &r, SWEEP_ESTIMATE), 5 * 15);
    /* Before the first layer a position carries its token alone: the name that differs is everything,
     * and positions before it nothing. */
    assert_float_equal(exact[10], 1, 1e-4);
    for (int t = 0; t < 10; t++)
        assert_float_equal(exact[t], 0, 1e-4);
    free(exact);
    free(guess);
    /* The largest effect first: the name that differs, before the first layer or the last position. */
    keys(&r.b, ">");
    shows(&r.b, "number 1 of 75");
    double first = fabs(value_of(&r));
    keys(&r.b, "> >");
    shows(&r.b, "number 3 of 75");
    assert_true(fabs(value_of(&r)) <= first && first > 0.9);
    keys(&r.b, "< <");
    assert_true(fabs(value_of(&r)) == first);
    /* One cursor: the other map and the pair follow. */
    keys(&r.b, "g 0 l l");
    assert_int_equal(r.b.wb.sel.pos, 2);
    assert_int_equal(r.b.wb.sel.layer, 4);
    keys(&r.b, "Tab");
    assert_int_equal(r.b.wb.focus, PANE_ESTIMATE);
    keys(&r.b, "j");
    assert_int_equal(r.b.wb.sel.layer, 3);
    assert_int_equal(r.b.wb.panes[PANE_PATCH].st.at[0], 3);
    shows(&r.b, "L3 at ·Mara(2): exact 0.000");
    rig_close(&r);
}

static void cells_drill_to_heads_and_patterns(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    /* One scale for both maps, on request one each. */
    const struct pane *maps[2] = {&r.b.wb.panes[PANE_PATCH], &r.b.wb.panes[PANE_ESTIMATE]};
    ends(&r, SWEEP_ESTIMATE);
    shows(&r.b, "one scale");
    assert_true(maps[0]->st.lo == maps[1]->st.lo && maps[0]->st.hi == maps[1]->st.hi);
    keys(&r.b, "o");
    shows(&r.b, "own scale");
    assert_true(maps[0]->st.hi != maps[1]->st.hi);
    keys(&r.b, "o");
    /* The heads at the cell's position, and no other. */
    const int64_t pos = r.b.wb.sel.pos;
    act(&r, "G Enter");
    comes(&r, "exact: head_z at ·");
    ends(&r, SWEEP_EXACT);
    assert_int_equal(r.b.wb.sel.layer, 0);
    const struct block *b = report_find(patching_sweep(&r.b.wb, SWEEP_EXACT)->held->report,
        "runs/000-patch/head_z_by_pos_normalized");
    struct field f;
    double v[5 * 20 * 4];
    assert_non_null(b);
    assert_int_equal(block_field(&f, b, -1, &r.e), 0);
    struct window w = field_all(&f);
    const int64_t n = f.axes[2].size;
    assert_int_equal(f.fetch(&f, v, &w, FIELD_POINT, &r.e), 0);
    for (int64_t i = 0; i < 5 * n * 4; i++)
        assert_int_equal(isfinite(v[i]), i / 4 % n == pos);
    struct arena scratch = {0};
    const char *line = patching_sweep_line(&r.b.wb, &scratch, &r.e);
    char want[64];
    snprintf(want, sizeof want, "pos=%d from=resid_pre", (int)pos);
    assert_non_null(strstr(line, want));
    arena_release(&scratch);
    keys(&r.b, "k");
    shows(&r.b, "recomputed 4 layers");
    char head[32];
    snprintf(head, sizeof head, "attention L1H%d", (int)r.b.wb.sel.head);
    keys(&r.b, "Enter");
    shows(&r.b, head);
    assert_int_equal(r.b.wb.sel.pos, pos);
    keys(&r.b, "Esc");
    shows(&r.b, "exact: head_z at ·");
    keys(&r.b, "Esc");
    shows(&r.b, "exact: resid_pre");
    assert_int_equal(r.b.wb.sel.layer, 0);
    act(&r, "D");
    comes(&r, "dossier of L0");
    rig_close(&r);
}

static void unequal_prompts_wait_for_an_alignment(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~" CLEAN "~" LONGER "~" NAMES " Enter");
    comes(&r, "they part at token 8");
    shows(&r.b, "not aligned");
    act(&r, "a");
    assert_true(r.b.wb.is_error);
    assert_int_equal(r.b.wb.patching->n_sweeps, 0);
    /* A gap in clean at the token that has no counterpart. */
    keys(&r.b, ": 'focus~pair Enter z 0 l l l l l l l l <");
    shows(&r.b, "clean nothing, corrupt ·old(8)");
    lacks(&r.b, "they part");
    act(&r, "a");
    ends(&r, SWEEP_EXACT);
    const struct sweep *s = patching_sweep(&r.b.wb, SWEEP_EXACT);
    assert_non_null(strstr(s->line, "--align '[[8, 8, 8, 9]]'"));
    double *v;
    int64_t n;
    assert_int_equal(read_sweep(&v, &n, &r, SWEEP_EXACT), 5 * 15);
    assert_int_equal(n, 5 * 16);
    assert_true(isnan(v[8]));
    assert_false(isnan(v[9]));
    free(v);
    /* The same by itself, and in words. */
    keys(&r.b, "x");
    shows(&r.b, "they part");
    keys(&r.b, "=");
    lacks(&r.b, "they part");
    assert_non_null(patching_sweep(&r.b.wb, SWEEP_EXACT));
    keys(&r.b, ": 'align~[[8,9,8,10]] Enter");
    assert_non_null(patching_sweep(&r.b.wb, SWEEP_EXACT));
    keys(&r.b, ": 'align~[[8,9,8,9]] Enter");
    assert_true(r.b.wb.is_error);
    rig_close(&r);
}

/* An MLP's output is made of neurons; all heads of TransformerLens' sweeps stand side by side. */
static void other_cells_drill_too(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    act(&r, ": 'sweep~site=mlp_out Enter");
    ends(&r, SWEEP_EXACT);
    act(&r, "Enter");
    comes(&r, "exact: neuron at ·");
    ends(&r, SWEEP_EXACT);
    act(&r, "d");
    shows(&r.b, "exact: neuron at ·");
    act(&r, "d Enter");
    comes(&r, "dossier of L");
    act(&r, "Esc Esc");
    shows(&r.b, "exact: mlp_out");
    act(&r, ": 'sweep~site=attn_head_all_pos_every Enter");
    ends(&r, SWEEP_EXACT);
    shows(&r.b, "pattern");
    act(&r, ": 'sweep~site=head_z~pos=3 Enter");
    assert_true(r.b.wb.is_error);
    act(&r, ": 'sweep~site=head_z_by_pos~pos=99 Enter");
    assert_true(r.b.wb.is_error);
    rig_close(&r);
}

/* What explains a head of a map explains the pair's answers, where the metric is. */
static void attribution_explains_the_pair(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:3 Enter");
    ends(&r, SWEEP_EXACT);
    const struct paired *q = patching_on_screen(&r.b.wb);
    assert_non_null(q);
    assert_int_equal(r.b.wb.dla->target, q->answer_id);
    assert_int_equal(r.b.wb.dla->versus, q->wrong_id);
    assert_int_equal(r.b.wb.dla->pos, q->n[0] - 1);
    act(&r, "0 l l");
    assert_int_equal(r.b.wb.sel.pos, 2);
    act(&r, "D");
    char title[160], answer[64], wrong[64];
    token_show(answer, sizeof answer, q->answer);
    token_show(wrong, sizeof wrong, q->wrong);
    snprintf(title, sizeof title, "at %lld: %s − %s", (long long)q->n[0] - 1, answer, wrong);
    shows(&r.b, title);
    assert_int_equal(r.b.wb.dossier->target, q->answer_id);
    assert_int_equal(r.b.wb.dossier->versus, q->wrong_id);
    act(&r, "Esc");
    assert_int_equal(r.b.wb.patching->column, 2); /* the map's cursor stays */
    act(&r, ": 'versus~none Enter");              /* the person's choice wins */
    assert_int_equal(r.b.wb.dla->target, q->answer_id);
    assert_int_equal(r.b.wb.dla->versus, -1);
    act(&r, ": 'versus~auto Enter : 'prompt~When~Mara Enter");
    assert_null(patching_on_screen(&r.b.wb));
    assert_int_not_equal(r.b.wb.dla->versus, q->wrong_id);
    rig_close(&r);
}

/* resample:1 takes the corrupt prompt of the pair on every pane; what has no source is refused. */
static void resample_takes_the_pair(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'edit~L1H2@-1=resample:1 Enter");
    shows(&r.b, "there is no input 1 to take values from");
    assert_int_equal(r.b.wb.n_edits, 0);
    act(&r, "z : 'pair~" CLEAN "~" CORRUPT "~" NAMES " Enter");
    assert_int_equal(r.b.wb.zoomed, SLOT_NONE);
    ends(&r, SWEEP_EXACT);
    const double before = r.b.wb.patching->pair->pair->metric[0];
    act(&r, ": 'edit~L1H2@-1=resample:1 Enter");
    shows(&r.b, "is on");
    lacks(&r.b, "not computed, i and Enter");
    assert_int_equal(r.b.wb.lens->is_edited, 1);
    assert_false(workbench_is_past(&r.b.wb, r.b.wb.lens));
    /* Both say the same of the clean prompt: the metric, and the ledger's sum. */
    double model[4];
    struct window w = field_all(&r.b.wb.dla->ledger);
    assert_int_equal(
        r.b.wb.dla->ledger.fetch(&r.b.wb.dla->ledger, model, &w, FIELD_POINT, &r.e), 0);
    const double after = r.b.wb.patching->pair->pair->metric[0];
    assert_true(fabs(after - before) > 1e-6);
    assert_true(fabs(model[2] - after) < 1e-3);
    act(&r, ": 'edit~L0H0=resample:2 Enter");
    shows(&r.b, "there is no input 2 to take values from");
    act(&r, ": 'edits~L1H2=mean Enter"); /* one word, two means: each says which */
    shows(&r.b, "under 1 edit, mean over 1 input");
    shows(&r.b, "; mean over 2 inputs");
    act(&r, ": 'edits~L1H2@-1=resample:1 Enter : 'run~logits Enter");
    comes(&r, "under 1 edit: L1H2@-1=resample:1");
    rig_close(&r);
}

static void a_menu_has_every_choice(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 80, 24);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    ends(&r, SWEEP_EXACT);
    keys(&r.b, "M");
    shows(&r.b, "the sweep (Enter computes it");
    keys(&r.b, "j j Enter");
    lacks(&r.b, "the sweep (Enter computes it");
    assert_string_equal(r.b.wb.patching->site, "resid_post");
    ends(&r, SWEEP_EXACT);
    keys(&r.b, "M PgDn PgDn PgDn PgDn Enter");
    assert_true(r.b.wb.patching->is_raw);
    keys(&r.b, "M Esc");
    shows(&r.b, "exact: resid_post");
    rig_close(&r);
}

/* The line of a sweep gives the same numbers once more, bit for bit. */
static void lines_replay(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~agreement_tiny:2 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    act(&r, ": 'sweep~site=attn_out~direction=noise~metric=logprob Enter");
    comes(&r, "attn_out, corrupt into clean");
    ends(&r, SWEEP_EXACT);
    double *v, *again;
    int64_t n, m;
    /* The clean run that kl is measured against is another trace than the one differentiated. */
    act(&r, ": 'sweep~direction=denoise~metric=kl Enter");
    ends(&r, SWEEP_ESTIMATE);
    act(&r, ": 'sweep~direction=noise~metric=logprob Enter");
    assert_true(read_sweep(&v, &n, &r, SWEEP_EXACT) > 0);
    char *line = strdup(patching_sweep(&r.b.wb, SWEEP_EXACT)->line);
    struct question q = {.ask = ASK_COMMAND, .text = line, .serial = 1u << 30};
    r.g->ask(r.g, &q);
    struct answer *a = NULL;
    for (double until = machine_seconds() + 60;
         machine_seconds() < until && (!a || a->is_live || a->serial != q.serial);
         poll(NULL, 0, 10)) {
        answer_release(&a);
        a = r.g->take(r.g);
    }
    assert_non_null(a);
    assert_non_null(a->held);
    const struct block *b = report_find(a->held->report, "runs/000-patch/attn_out_normalized");
    struct field f;
    assert_non_null(b);
    assert_int_equal(block_field(&f, b, -1, &r.e), 0);
    struct window w = field_all(&f);
    m = window_count(&w, f.rank);
    assert_int_equal(m, n);
    again = malloc((size_t)m * sizeof *again);
    assert_int_equal(f.fetch(&f, again, &w, FIELD_POINT, &r.e), 0);
    assert_memory_equal(v, again, (size_t)n * sizeof *v);
    answer_release(&a);
    free(again);
    free(v);
    free(line);
    rig_close(&r);
}

static void a_stopped_sweep_is_kept(void **state)
{
    (void)state;
    struct rig r;
    struct job_view j = {0};
    double *v;
    int64_t n;
    rig_open(&r, 100, 30);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    keys(&r.b, ": 'sweep~site=neuron_by_pos Enter");
    for (double until = machine_seconds() + 60; machine_seconds() < until; poll(NULL, 0, 5)) {
        workbench_poll(&r.b.wb);
        const struct sweep *s = patching_sweep(&r.b.wb, SWEEP_EXACT);
        bool has_any = false;
        if (patching_job(&r.b.wb, s, &j) && s->held && j.state == JOB_RUNNING) {
            has_any = read_sweep(&v, &n, &r, SWEEP_EXACT) > 0;
            free(v);
        }
        if (has_any)
            break;
    }
    act(&r, "Esc");
    assert_true(patching_job(&r.b.wb, patching_sweep(&r.b.wb, SWEEP_EXACT), &j));
    assert_int_equal(j.state, JOB_CANCELLED);
    shows(&r.b, "stopped at");
    int64_t there = read_sweep(&v, &n, &r, SWEEP_EXACT);
    assert_true(there > 0 && there < n);
    free(v);
    rig_close(&r);
}

static void a_circuit_is_drawn(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    act(&r, "c");
    comes(&r, "nodes");
    shows(&r.b, "circuit of the pair: faithfulness ");
    shows(&r.b, "logits");
    /* Of another pair there is none yet, and the title says so; going back brings the old one. */
    act(&r, "Esc : 'pair~ioi_tiny:2 Enter");
    ends(&r, SWEEP_EXACT);
    act(&r, ": 'zoom~on Enter : 'focus~circuit Enter");
    comes(&r, "circuit of an earlier run, not of this pair");
    act(&r, ": 'zoom~off Enter : 'pair~ioi_tiny:1 Enter");
    ends(&r, SWEEP_EXACT);
    act(&r, "c");
    shows(&r.b, "circuit of the pair: faithfulness ");
    keys(&r.b, "Esc");
    shows(&r.b, "exact: resid_pre");
    rig_close(&r);
}

/* A completeness of -3e-4 rounds to zero, which has no sign. */
static void a_circuit_says_what_it_keeps(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:3 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    act(&r, "c");
    comes(&r, "nodes");
    shows(&r.b, "faithfulness 1.00, completeness 0.00");
    rig_close(&r);
}

/* An analysis of pairs that is told none takes the pair on screen, its alignment too. */
static void a_line_takes_the_pair_on_screen(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    comes(&r, "1 token differs");
    ends(&r, SWEEP_EXACT);
    act(&r, ": 'run~path Enter");
    comes(&r, "000-path");
    const char *flags = patching_pair_flags(&r.b.wb, &r.arena, &r.e);
    assert_non_null(strstr(flags, "--clean 'When Jonas"));
    assert_non_null(strstr(flags, "--answer"));
    rig_close(&r);
}

/* A workbench that comes back from a session's log. */
static void rig_reopen(struct rig *r, const char *log)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/sonde-log-%d", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(log, f);
    fclose(f);
    rig_begin(r, 120, 40);
    assert_int_equal(journal_replay(&r->b.wb, path, &r->e), 0);
    unlink(path);
    workbench_open(&r->b.wb, "tiny");
    settle(r);
}

/* A session that is reopened: the map it showed, at the position it was drilled into, and the cursor. */
static void a_log_brings_its_map_back(void **state)
{
    (void)state;
    struct rig r;
    rig_reopen(&r,
        "prompt 'When Jonas and Lorcan went to the bakery, Jonas gave the bottle to'\n"
        "layout 7\n"
        "pair ioi_tiny:1\n"
        "sweep site=head_z_by_pos direction=denoise metric=logit_diff values=normalized pos=9 "
        "from=attn_out\n"
        "focus patch\n"
        "select pos=9 key=0 row=2 layer=2 head=1\n");
    ends(&r, SWEEP_EXACT);
    shows(&r.b, "exact: head_z at ,(9)");
    shows(&r.b, "L2H1 at ,(9)");
    double *v;
    int64_t n;
    assert_int_equal(read_sweep(&v, &n, &r, SWEEP_EXACT), 5 * 4);
    free(v);
    act(&r, "Esc");
    ends(&r, SWEEP_EXACT);
    shows(&r.b, "exact: attn_out");
    assert_int_equal(r.b.wb.sel.pos, 9);
    rig_close(&r);
}

/* The prompt that was on screen comes back beside the pair of before, and stays when the pair is asked
 * for again. */
static void a_log_keeps_the_prompt_behind_a_pair(void **state)
{
    (void)state;
    struct rig r;
    rig_reopen(&r, "pair ioi_tiny:1\n"
                   "prompt 'When Jonas and Lorcan went to the bakery, Jonas gave the bottle to'\n"
                   "prompt 'The capital of Velland is'\n"
                   "prompts 2 'When Jonas and Lorcan went to the bakery, Jonas gave the bottle to' "
                   "'The capital of Velland is'\n"
                   "layout 7\n");
    assert_string_equal(r.b.wb.shown_prompt, "The capital of Velland is");
    comes(&r, "15 and 15 tokens");
    act(&r, ": 'bos~off Enter");
    comes(&r, "14 and 14 tokens");
    settle(&r);
    assert_string_equal(r.b.wb.shown_prompt, "The capital of Velland is");
    rig_close(&r);
}

/* What can be typed for a pair of a dataset, and what can not. */
static void a_dataset_gives_a_pair(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~ioi_tiny Enter");
    comes(&r, "1 token differs");
    act(&r, ": 'pair~--dataset~ioi_tiny:3 Enter");
    comes(&r, "a pair takes no flags, --dataset is one of run's");
    act(&r, ": 'pair~ioi_tny:3 Enter");
    comes(&r, "ioi_tiny");
    rig_close(&r);
}

/* Enter before the first cell is there waits with a word, and opens nothing else. */
static void enter_waits_for_the_first_cell(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~" CLEAN "~" CORRUPT "~" NAMES " Enter");
    ends(&r, SWEEP_EXACT);
    keys(&r.b, ": 'sweep~site=attn_out Enter Enter");
    shows(&r.b, "no cell yet");
    assert_int_equal(r.b.wb.focus, PANE_PATCH);
    ends(&r, SWEEP_EXACT);
    rig_close(&r);
}

/* A pair in which there is nothing to find is a sentence, here as on the command line. */
static void a_pair_that_is_a_mistake_is_told(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~" CLEAN "~" CLEAN " Enter");
    comes(&r, "clean and corrupt are the same");
    act(&r, ": 'pair~" CLEAN "~" LONGER "~'~Tobin'~'~Tobin' Enter");
    comes(&r, "the answer and the wrong answer are the same");
    rig_close(&r);
}

/* A pair, a report and a circuit as files hold what was on the screen. */
static void what_is_saved_reads_back(void **state)
{
    (void)state;
    struct rig r;
    char path[64], line[160];
    struct arena scratch = {0};
    rig_open(&r, 120, 40);
    act(&r, ": 'pair~" CLEAN "~" LONGER "~" NAMES " Enter");
    comes(&r, "they part at token 8");
    act(&r, "= a");
    ends(&r, SWEEP_EXACT);
    double *before, *after;
    int64_t n, m;
    read_sweep(&before, &n, &r, SWEEP_EXACT);
    keys(&r.b, ": 'focus~patch Enter");
    snprintf(path, sizeof path, "/tmp/sonde-save-%d.h5", (int)getpid());
    snprintf(line, sizeof line, ": 'save~report~%s Enter", path);
    keys(&r.b, line);
    saved(&r.b);
    shows(&r.b, "report in /tmp/sonde-save");
    struct report *report = NULL;
    struct field f;
    assert_int_equal(report_open(&report, path, &r.e), 0);
    const struct block *b = report_find(report, "000-patch/resid_pre_normalized");
    assert_non_null(b);
    assert_int_equal(block_field(&f, b, -1, &r.e), 0);
    struct window w = field_all(&f);
    m = window_count(&w, f.rank);
    assert_int_equal(m, n);
    after = malloc((size_t)m * sizeof *after);
    assert_int_equal(f.fetch(&f, after, &w, FIELD_POINT, &r.e), 0);
    for (int64_t i = 0; i < n; i++)
        assert_true(before[i] == after[i] || (isnan(before[i]) && isnan(after[i])));
    report_abandon(&report);
    unlink(path);
    free(before);
    free(after);
    /* The file of the pair asks for the same sweep, alignment and all. */
    char *sweep = strdup(patching_sweep(&r.b.wb, SWEEP_EXACT)->line);
    snprintf(path, sizeof path, "/tmp/sonde-save-%d.jsonl", (int)getpid());
    snprintf(line, sizeof line, ": 'save~pair~%s Enter", path);
    keys(&r.b, line);
    saved(&r.b);
    act(&r, ": 'pair~ioi_tiny:1 Enter");
    snprintf(line, sizeof line, ": 'pair~%s:1 Enter", path);
    act(&r, line);
    ends(&r, SWEEP_EXACT);
    assert_string_equal(patching_sweep(&r.b.wb, SWEEP_EXACT)->line, sweep);
    free(sweep);
    unlink(path);
    act(&r, "c");
    comes(&r, "nodes");
    snprintf(path, sizeof path, "/tmp/sonde-save-%d.json", (int)getpid());
    snprintf(line, sizeof line, ": 'save~circuit~%s Enter", path);
    keys(&r.b, line);
    saved(&r.b);
    struct graph g;
    assert_int_equal(graph_init(&g, &r.b.wb.facts.cfg, &scratch, &r.e), 0);
    assert_int_equal(graph_read(&g, path, &r.e), 0);
    char edges[32];
    snprintf(edges, sizeof edges, "%lld edges", (long long)graph_kept_edges(&g));
    shows(&r.b, edges);
    unlink(path);
    arena_release(&scratch);
    rig_close(&r);
}

static void any_key_at_any_size(void **state)
{
    (void)state;
    static const char *const script[] = {"Tab", "h", "l", "j", "k", "<", ">", "x", "=", "z",
        "Space", "d", "r", "m", "s", "]", "[", "o", "Enter", "Esc", "G", "g", "$", "0"};
    struct rig r;
    struct rng rng;
    rng_init(&rng, 7, 0);
    rig_open(&r, 80, 24);
    act(&r, ": 'pair~" CLEAN "~" LONGER "~" NAMES " Enter");
    comes(&r, "they part at token 8");
    for (int i = 0; i < 300; i++) {
        if (i % 20 == 0) {
            assert_int_equal(canvas_resize(&r.b.c, 60 + (int)rng_below(&rng, 140),
                                 15 + (int)rng_below(&rng, 45), &r.e),
                0);
            r.b.c.glyphs = i % 40 ? GLYPHS_ASCII : GLYPHS_BLOCK;
        }
        keys(&r.b, script[rng_below(&rng, sizeof script / sizeof *script)]);
        char *text = screen(&r.b);
        for (const char *p = text; *p && r.b.c.glyphs == GLYPHS_ASCII; p++)
            assert_true((unsigned char)*p < 0x7f);
        free(text);
    }
    settle(&r);
    rig_close(&r);
}

/* Rows and spans say the same, whatever a person has done to the rows. */
static void rows_and_spans_agree(void **state)
{
    (void)state;
    struct align_rows r = {0}, again = {0};
    struct err e;
    struct rng rng;
    int done = 0;
    rng_init(&rng, 3, 0);
    for (int round = 0; round < 200; round++) {
        int64_t n = 1 + (int64_t)rng_below(&rng, 9), m = 1 + (int64_t)rng_below(&rng, 9);
        assert_int_equal(align_reset(&r, n, m, &e), 0);
        for (int i = 0; i < 12; i++) {
            int64_t at = (int64_t)rng_below(&rng, (uint64_t)align_columns(&r) + 1);
            switch (rng_below(&rng, 4)) {
            case 0:
                align_close(&r, at);
                break;
            case 1:
                align_span(&r, at, at + (int64_t)rng_below(&rng, 4));
                break;
            default:
                align_gap(&r, (int)rng_below(&rng, 2), at);
            }
            int64_t next[2] = {0, 0};
            for (int64_t c = 0; c < align_columns(&r); c++) /* every token once, in order */
                for (int k = 0; k < 2; k++)
                    if (align_cell(&r, k, c) >= 0)
                        assert_int_equal(align_cell(&r, k, c), next[k]++);
            assert_int_equal(next[0], n);
            assert_int_equal(next[1], m);
        }
        if (!align_is_done(&r))
            continue;
        int64_t spans[32][4];
        int k = align_spans(spans, &r);
        done++;
        assert_int_equal(align_reset(&again, n, m, &e), 0);
        assert_int_equal(align_from_spans(&again, (const int64_t(*)[4])spans, k, &e), 0);
        assert_int_equal(align_columns(&again), align_columns(&r));
        for (int64_t c = 0; c < align_columns(&r); c++)
            for (int row = 0; row < 2; row++)
                assert_int_equal(align_cell(&again, row, c), align_cell(&r, row, c));
    }
    assert_true(done > 20);
    align_release(&r);
    align_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_spans_agree),
        cmocka_unit_test(a_pair_fills_both_maps),
        cmocka_unit_test(a_dataset_gives_a_pair),
        cmocka_unit_test(cells_drill_to_heads_and_patterns),
        cmocka_unit_test(other_cells_drill_too),
        cmocka_unit_test(unequal_prompts_wait_for_an_alignment),
        cmocka_unit_test(attribution_explains_the_pair),
        cmocka_unit_test(resample_takes_the_pair),
        cmocka_unit_test(a_menu_has_every_choice),
        cmocka_unit_test(lines_replay),
        cmocka_unit_test(a_stopped_sweep_is_kept),
        cmocka_unit_test(a_circuit_is_drawn),
        cmocka_unit_test(a_circuit_says_what_it_keeps),
        cmocka_unit_test(a_line_takes_the_pair_on_screen),
        cmocka_unit_test(a_log_brings_its_map_back),
        cmocka_unit_test(a_log_keeps_the_prompt_behind_a_pair),
        cmocka_unit_test(enter_waits_for_the_first_cell),
        cmocka_unit_test(a_pair_that_is_a_mistake_is_told),
        cmocka_unit_test(what_is_saved_reads_back),
        cmocka_unit_test(any_key_at_any_size),
    };
    embedded_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
