#include "app/patching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/patch_menu.h"
#include "app/edit_list.h"
#include "app/prompts.h"
#include "app/words.h"
#include "model/core/json.h"
#include "model/core/text.h"
#include "model/metric.h"

void patching_release(struct patching **p)
{
    struct patching *t = *p;
    if (!t)
        return;
    for (int i = 0; i < t->n_sweeps; i++) {
        free(t->sweeps[i].line);
        held_report_release(&t->sweeps[i].held);
    }
    arena_release(&t->table);
    held_report_release(&t->circuit);
    answer_release(&t->pair);
    align_release(&t->rows);
    free(t->source);
    free(t->asked);
    free(t->wish_align);
    free(t);
    *p = NULL;
}

struct patching *patching_of(struct workbench *wb)
{
    if (!wb->patching && (wb->patching = calloc(1, sizeof *wb->patching))) {
        struct patching *p = wb->patching;
        snprintf(p->site, sizeof p->site, "resid_pre");
        snprintf(p->metric, sizeof p->metric, "logit_diff");
        p->mark = p->seen_pos = p->at = p->peak_row = -1;
    }
    if (!wb->patching)
        workbench_say(wb, true, "no memory for patching");
    return wb->patching;
}

const struct paired *patching_pair(const struct workbench *wb)
{
    return wb->patching && wb->patching->pair ? wb->patching->pair->pair : NULL;
}

const struct paired *patching_on_screen(const struct workbench *wb)
{
    const struct paired *q = patching_pair(wb);
    const struct answer *a = wb->lens;
    const bool is_it = q && a && a->ids && a->n == q->n[0] &&
                       !memcmp(a->ids, q->ids[0], (size_t)a->n * sizeof *a->ids);
    return is_it ? q : NULL;
}

void patching_to_metric(struct workbench *wb)
{
    const struct paired *q = patching_on_screen(wb);
    if (!q)
        return;
    wb->sel.pos = wb->patching->seen_pos = q->n[0] - 1;
    workbench_selected(wb);
}

/* The panes of the prompt explain another answer now. */
static void explain_answers(struct workbench *wb)
{
    const struct paired *q = patching_on_screen(wb);
    const struct answer *d = wb->dla;
    if (q && d && (d->target != q->answer_id || d->versus != q->wrong_id))
        workbench_ask_dla(wb);
}

int patching_receiver(const struct patching *p)
{
    return p->noise ? 0 : 1;
}

/* --- The pair ---------------------------------------------------------------------------------- */

/* What the answer about the pair depends on. */
static char *stand(const struct workbench *wb, struct arena *a)
{
    const struct patching *p = wb->patching;
    struct err e;
    const char *line =
        arena_printf(a, &e, "%s|%s|%s|%d", p->source, p->metric, wb->model_name, (int)wb->bos);
    for (int i = 0; i < wb->n_edits && line; i++)
        line = arena_printf(a, &e, "%s|%s", line, wb->edits[i]);
    return line ? strdup(line) : NULL;
}

bool patching_is_past(const struct workbench *wb)
{
    const struct patching *p = wb->patching;
    struct arena scratch = {0};
    char *now = p && p->pair && p->source ? stand(wb, &scratch) : NULL;
    const bool is_past = now && p->pair->under && p->pair->under != workbench_hash(1, now);
    free(now);
    arena_release(&scratch);
    return is_past;
}

void patching_refresh(struct workbench *wb)
{
    struct patching *p = wb->patching;
    struct arena scratch = {0};
    struct err e;
    int n_edits;
    if (!p || !p->source || wb->is_replaying || !wb->facts.is_open)
        return;
    char *now = stand(wb, &scratch);
    if (!now || (p->asked && !strcmp(p->asked, now))) {
        free(now);
        arena_release(&scratch);
        return;
    }
    free(p->asked);
    p->asked = now;
    const char *const *edits = edits_on(&n_edits, wb, &scratch, &e);
    struct question q = {.ask = ASK_PAIR,
        .text = p->source,
        .of = p->metric,
        .bos = wb->bos,
        .edits = edits,
        .n_edits = edits ? n_edits : 0,
        .target = -1,
        .versus = -1,
        .under = workbench_hash(1, now),
        .serial = ++wb->serial};
    wb->asked[ASK_PAIR] = q.serial;
    wb->engine->ask(wb->engine, &q);
    arena_release(&scratch);
}

static bool same_prompts(const struct paired *a, const struct paired *b)
{
    for (int i = 0; i < 2; i++)
        if (a->n[i] != b->n[i] ||
            memcmp(a->ids[i], b->ids[i], (size_t)a->n[i] * sizeof *a->ids[i]) != 0)
            return false;
    return true;
}

/* "[[8, 8, 8, 9]]", "auto", "off" */
static int align_words(struct patching *p, const char *text, struct err *e)
{
    const struct paired *pair = p->pair->pair;
    struct arena scratch = {0};
    struct js *j = NULL;
    if (!strcmp(text, "off"))
        return align_reset(&p->rows, pair->n[0], pair->n[1], e);
    if (!strcmp(text, "auto"))
        return align_from_ids(&p->rows, pair->ids[0], pair->ids[1], e);
    int rc = js_parse(&j, text, strlen(text), 0, "align", e);
    const int n = rc ? 0 : (int)js_count(j);
    int64_t(*spans)[4] = rc ? NULL : arena_array(&scratch, (size_t)n + 1, sizeof *spans, e);
    for (int i = 0; spans && i < n && !rc; i++)
        for (size_t k = 0; k < 4 && !rc; k++)
            if (js_count(js_at(j, (size_t)i)) != 4 ||
                !js_int(&spans[i][k], js_at(js_at(j, (size_t)i), k)))
                rc = err_set(e, ERR_USAGE,
                    "align takes [[c0, c1, k0, k1], ...]: tokens c0 to c1 (without it) of clean "
                    "are k0 "
                    "to k1 of corrupt; or auto, or off");
    js_release(&j);
    if (!rc && spans)
        rc = align_from_spans(&p->rows, (const int64_t(*)[4])spans, n, e);
    arena_release(&scratch);
    return rc;
}

/* The clean prompt is what the other panes show, where it can be typed. Once: a pair that is asked for
 * again, for another BOS or model, leaves the prompt that is on screen by then alone. */
static void show_clean(struct workbench *wb, const struct paired *pair)
{
    const bool shows = wb->patching->shows_clean;
    wb->patching->shows_clean = false;
    if (!shows || !pair->text[0] || !strcmp(pair->text[0], wb->shown_prompt))
        return;
    line_set(&wb->prompt, pair->text[0]);
    wb->sel.pos = -1;
    workbench_run_prompt(wb);
}

/* Where the shared selection is, if the pair's clean prompt is the one on screen; else the end. */
static void first_column(struct workbench *wb, const struct paired *pair)
{
    struct patching *p = wb->patching;
    const bool is_shown = pair->text[0] && !strcmp(pair->text[0], wb->shown_prompt);
    const int64_t at = is_shown && wb->sel.pos >= 0 ? align_column(&p->rows, 0, wb->sel.pos) : -1;
    p->column = at >= 0 ? at : align_column(&p->rows, 1, pair->n[1] - 1);
    p->seen_pos = is_shown ? wb->sel.pos : -1;
}

void patching_take_pair(struct workbench *wb, struct answer *a)
{
    struct patching *p = wb->patching;
    struct err e = {0};
    if (!p || !a->pair) {
        answer_release(&a);
        return;
    }
    const bool is_same = p->pair && same_prompts(p->pair->pair, a->pair);
    answer_release(&p->pair);
    p->pair = a;
    p->e.code = 0;
    const bool wants = p->wants_run;
    p->wants_run = false;
    explain_answers(wb);
    if (!is_same && edits_take_inputs(wb)) /* they take from other texts now */
        workbench_ask(wb, ASK_PROMPT);
    if (is_same) {
        if (wants && align_is_done(&p->rows))
            patching_run(wb);
        return;
    }
    p->mark = -1;
    int rc = align_reset(&p->rows, a->pair->n[0], a->pair->n[1], &e);
    if (!rc && p->wish_align)
        rc = align_words(p, p->wish_align, &e);
    else if (!rc && a->pair->n_align)
        rc = align_from_spans(&p->rows, a->pair->align, a->pair->n_align, &e);
    free(p->wish_align);
    p->wish_align = NULL;
    if (rc)
        workbench_say(wb, true, "%s", e.msg);
    first_column(wb, a->pair);
    show_clean(wb, a->pair);
    if (p->at >= a->pair->n[patching_receiver(p)])
        patching_leave(wb);
    const bool is_done = align_is_done(&p->rows);
    if (wants && is_done)
        patching_run(wb);
    if (wants && is_done && wb->focus == PANE_CIRCUIT) /* of a log */
        patching_circuit(wb);
    if (wants && !is_done && wb->focus == PANE_PATCH && workbench_shows(wb, PANE_PAIR))
        workbench_focus(wb, PANE_PAIR);
}

void patching_parting(const struct workbench *wb, char *buf, size_t n)
{
    const struct paired *q = patching_pair(wb);
    char mine[64] = "the end", other[64] = "the end";
    int64_t t = 0;
    *buf = '\0';
    if (!q || align_is_done(&wb->patching->rows))
        return;
    while (t < q->n[0] && t < q->n[1] && q->ids[0][t] == q->ids[1][t])
        t++;
    if (t < q->n[0])
        token_show(mine, sizeof mine, q->tokens[0][t]);
    if (t < q->n[1])
        token_show(other, sizeof other, q->tokens[1][t]);
    snprintf(buf, n,
        "clean has %lld token%s, corrupt %lld; they part at token %lld, %s against %s: align them "
        "(= by "
        "itself, < and > insert gaps)",
        (long long)q->n[0], text_s(q->n[0]), (long long)q->n[1], (long long)t, mine, other);
}

/* --- Sweeps ------------------------------------------------------------------------------------ */

/* "[[8, 8, 8, 9]]"; "": one for one. */
static const char *spans_text(const struct patching *p, struct arena *a, struct err *e)
{
    const char *line = "";
    int64_t(*spans)[4] = arena_array(a, (size_t)align_columns(&p->rows) + 1, sizeof *spans, e);
    int n = spans ? align_spans(spans, &p->rows) : 0;
    for (int i = 0; i < n && line; i++)
        line = arena_printf(a, e, "%s%s[%lld, %lld, %lld, %lld]", line, i ? ", " : "[",
            (long long)spans[i][0], (long long)spans[i][1], (long long)spans[i][2],
            (long long)spans[i][3]);
    return !spans || !line ? NULL : n ? arena_printf(a, e, "%s]", line) : line;
}

const char *patching_pair_flags(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct patching *p = wb->patching;
    if (!p || !p->pair)
        return "";
    const char *align = spans_text(p, a, e), *flags = p->pair->pair->flags;
    return align && *align ? arena_printf(a, e, "%s --align '%s'", flags, align)
           : align         ? flags
                           : NULL;
}

/* The line that computes a sweep from nothing, as a shell takes it. */
static const char *run_line(
    struct workbench *wb, const char *analysis, const char *site, struct arena *a, struct err *e)
{
    const struct patching *p = wb->patching;
    const char *flags = patching_pair_flags(wb, a, e), *model = words_quote(wb->model_name, a, e);
    const char *line = flags ? arena_printf(a, e, "run %s %s", analysis, flags) : NULL;
    if (line && *site)
        line =
            arena_printf(a, e, "%s --site %s%s", line, site, p->noise ? " --direction noise" : "");
    /* An estimate of one position costs what one of all costs. */
    if (line && *site && p->at >= 0 && !strcmp(analysis, "patch"))
        line = arena_printf(a, e, "%s --cell-pos %lld", line, (long long)p->at);
    line = line && model ? arena_printf(a, e, "%s --metric %s -m %s%s", line, p->metric, model,
                               wb->bos ? "" : " --no-prepend-bos")
                         : NULL;
    for (int i = 0; i < wb->n_edits && line; i++) {
        const char *q = edit_is_off(wb->edits[i]) ? NULL : words_quote(wb->edits[i], a, e);
        line = q ? arena_printf(a, e, "%s --edit %s", line, q) : line;
    }
    return line;
}

static const char *const runs_of[SWEEP_KINDS] = {
    [SWEEP_EXACT] = "patch", [SWEEP_ESTIMATE] = "attr"};

static struct sweep *find_sweep(struct workbench *wb, const char *analysis, const char *site)
{
    struct patching *p = wb->patching;
    struct arena scratch = {0};
    struct err e;
    struct sweep *found = NULL;
    if (!p || !p->pair || !align_is_done(&p->rows))
        return NULL;
    const char *line = run_line(wb, analysis, site, &scratch, &e);
    for (int i = 0; line && i < p->n_sweeps; i++)
        if (!strcmp(p->sweeps[i].line, line))
            found = &p->sweeps[i];
    if (found)
        found->used = ++p->clock;
    arena_release(&scratch);
    return found;
}

struct sweep *patching_sweep(struct workbench *wb, enum sweep_kind kind)
{
    return wb->patching ? find_sweep(wb, runs_of[kind], wb->patching->site) : NULL;
}

struct sweep *patching_edges(struct workbench *wb)
{
    return find_sweep(wb, "edges", "");
}

bool patching_job(const struct workbench *wb, const struct sweep *s, struct job_view *out)
{
    struct job_view list[JOBS_LISTED];
    if (!s || !wb->engine->jobs)
        return false;
    int n = jobs_list(wb->engine->jobs, list, JOBS_LISTED);
    for (int i = 0; i < n; i++)
        if (list[i].serial == s->serial) {
            *out = list[i];
            return true;
        }
    return false;
}

/* A place for one more; the one not looked at for longest gives way. */
static struct sweep *new_sweep(struct patching *p, const char *line)
{
    struct sweep *s = &p->sweeps[0];
    for (int i = 0; i < p->n_sweeps; i++)
        if (!strcmp(p->sweeps[i].line, line))
            return &p->sweeps[i]; /* it is asked for again */
    if (p->n_sweeps < SWEEPS)
        s = &p->sweeps[p->n_sweeps];
    for (int i = 0; p->n_sweeps == SWEEPS && i < SWEEPS; i++)
        s = p->sweeps[i].used < s->used ? &p->sweeps[i] : s;
    char *copy = strdup(line);
    if (!copy)
        return NULL;
    free(s->line);
    held_report_release(&s->held);
    *s = (struct sweep){.line = copy};
    p->n_sweeps += p->n_sweeps < SWEEPS;
    return s;
}

static void start(struct workbench *wb, const char *line, const char *name)
{
    struct patching *p = wb->patching;
    struct job_view j;
    struct sweep *s = line ? new_sweep(p, line) : NULL;
    if (!s)
        return;
    /* What runs, waits or is whole need not be computed again. */
    if (s->serial &&
        ((patching_job(wb, s, &j) && j.state <= JOB_DONE) || (s->held && !patching_job(wb, s, &j))))
        return;
    struct question q = {.ask = ASK_COMMAND, .text = line, .name = name, .serial = ++wb->serial};
    s->serial = q.serial;
    s->used = ++p->clock;
    wb->engine->ask(wb->engine, &q);
}

static bool is_ready(struct workbench *wb)
{
    char parting[320];
    if (!patching_pair(wb)) {
        workbench_say(wb, false, "no pair yet; :pair CLEAN CORRUPT, or :pair ioi_tiny:1");
        return false;
    }
    patching_parting(wb, parting, sizeof parting);
    if (*parting)
        workbench_say(wb, true, "%s", parting);
    return !*parting;
}

void patching_run(struct workbench *wb)
{
    struct arena scratch = {0};
    struct err e;
    char name[160], at[32] = "";
    if (!is_ready(wb))
        return;
    struct patching *p = wb->patching;
    if (patching_is_past(wb)) { /* the question was cancelled: again, and then the sweep */
        free(p->asked);
        p->asked = NULL;
        p->wants_run = true;
        patching_refresh(wb);
        return;
    }
    for (int kind = SWEEP_KINDS - 1; kind >= 0; kind--) {
        if (p->at >= 0 && kind == SWEEP_EXACT)
            snprintf(at, sizeof at, " at %lld", (long long)p->at);
        snprintf(name, sizeof name, "%s %s%s, %s, %s", runs_of[kind], p->site, at,
            p->noise ? "noise" : "denoise", p->metric);
        start(wb, run_line(wb, runs_of[kind], p->site, &scratch, &e), name);
    }
    arena_release(&scratch);
}

/* What the pane of the circuit draws from now on. */
static void take_circuit(struct patching *p, struct held_report *held, uint64_t serial)
{
    if (p->circuit && p->serial == serial)
        return;
    arena_release(&p->table);
    held_report_release(&p->circuit);
    p->drawn = (struct view_data){0};
    p->circuit = held_report_share(held);
    p->serial = serial;
}

void patching_circuit(struct workbench *wb)
{
    struct arena scratch = {0};
    struct err e;
    if (is_ready(wb)) {
        start(wb, run_line(wb, "edges", "", &scratch, &e), "edges of the pair");
        const struct sweep *s = patching_edges(wb);
        struct job_view j;
        if (s && s->held && (!patching_job(wb, s, &j) || j.state == JOB_DONE))
            take_circuit(wb->patching, s->held, s->serial);
    }
    arena_release(&scratch);
}

bool patching_stop(struct workbench *wb)
{
    bool any = false;
    for (int kind = 0; kind < SWEEP_KINDS; kind++) {
        struct job_view j;
        const struct sweep *s = patching_sweep(wb, (enum sweep_kind)kind);
        if (patching_job(wb, s, &j) && j.state <= JOB_RUNNING)
            any |= jobs_cancel(wb->engine->jobs, j.id);
    }
    return any;
}

static bool is_run_of(const struct report *r, const char *analysis)
{
    for (int i = 0; i < report_runs(r); i++)
        if (!strcmp(run_analysis(report_run(r, i)), analysis))
            return true;
    return false;
}

void patching_see(struct workbench *wb, const struct answer *a)
{
    struct patching *p = wb->patching;
    if (!a->held)
        return;
    for (int i = 0; p && i < p->n_sweeps; i++)
        if (p->sweeps[i].serial == a->serial) {
            held_report_release(&p->sweeps[i].held);
            p->sweeps[i].held = held_report_share(a->held);
            p->sweeps[i].job = a->job;
        }
    if (a->is_live || a->e.code || !is_run_of(a->held->report, "edges") || !(p = patching_of(wb)))
        return;
    take_circuit(p, a->held, a->serial);
}

/* --- The cursor -------------------------------------------------------------------------------- */

void patching_follow(struct workbench *wb)
{
    struct patching *p = wb->patching;
    int64_t columns = align_columns(&p->rows);
    if (wb->sel.pos != p->seen_pos && wb->sel.pos >= 0) {
        int64_t at = align_column(&p->rows, 0, wb->sel.pos);
        if (at >= 0 && p->seen_pos >= 0)
            p->column = at;
        p->seen_pos = wb->sel.pos;
    }
    p->column = p->column >= columns ? columns - 1 : p->column < 0 ? 0 : p->column;
}

void patching_lead(struct workbench *wb)
{
    struct patching *p = wb->patching;
    int64_t pos = align_cell(&p->rows, 0, p->column);
    const char *clean = p->pair->pair->text[0];
    if (pos >= 0 && wb->lens && pos < wb->lens->n && clean && !strcmp(clean, wb->shown_prompt))
        wb->sel.pos = pos;
    p->seen_pos = wb->sel.pos;
}

/* --- Words ------------------------------------------------------------------------------------- */

/* Two open prompts as a source: the one on screen and another. */
static const char *open_prompts(struct workbench *wb, struct arena *a, struct err *e)
{
    int n = prompts_count(wb), at = prompts_current(wb), other = prompts_other(wb);
    other = other >= 0 ? other : at + 1 < n ? at + 1 : at - 1;
    if (other < 0 || other >= n) {
        err_set(e, ERR_USAGE,
            "one prompt is open; :pair CLEAN CORRUPT ANSWER WRONG names both, :pair ioi_tiny:1 "
            "takes a "
            "dataset's, T opens another");
        return NULL;
    }
    const char *clean = words_quote(wb->shown_prompt, a, e),
               *corrupt = words_quote(prompts_text(wb, other), a, e);
    return clean && corrupt ? arena_printf(a, e, "%s %s", clean, corrupt) : NULL;
}

void colon_pair(struct workbench *wb, const char *arg)
{
    struct patching *p = patching_of(wb);
    struct arena scratch = {0};
    struct err e = {.msg = "no memory for a pair"};
    if (!p)
        return;
    while (*arg == ' ')
        arg++;
    const char *source = *arg ? arg : open_prompts(wb, &scratch, &e);
    char *copy = source ? strdup(source) : NULL;
    arena_release(&scratch);
    if (!copy) {
        workbench_say(wb, true, "%s", e.msg);
        return;
    }
    free(p->source);
    p->source = copy;
    free(p->asked);
    p->asked = NULL;
    p->wants_run = true; /* of a log, too: its map comes back */
    p->shows_clean = true;
    if (!wb->is_replaying)
        patching_leave(wb);
    if (wb->is_replaying)
        return;
    patching_refresh(wb);
    wb->zoomed = SLOT_NONE; /* the pair and both maps are to be seen */
    if (!workbench_shows(wb, PANE_PATCH))
        workbench_choose(wb, LAYOUT_PATCHING);
    workbench_focus(wb, PANE_PATCH);
}

void colon_align(struct workbench *wb, const char *arg)
{
    struct patching *p = patching_of(wb);
    struct err e = {0};
    if (!p)
        return;
    if (!p->pair) {
        free(p->wish_align);
        p->wish_align = strdup(arg);
        return;
    }
    if (align_words(p, arg, &e))
        workbench_say(wb, true, "%s", e.msg);
}

static void forget_drill(struct patching *p)
{
    p->outer[0] = '\0';
    p->at = -1;
}

void patching_leave(struct workbench *wb)
{
    struct patching *p = wb->patching;
    if (*p->outer) {
        snprintf(p->site, sizeof p->site, "%s", p->outer);
        wb->sel.layer = wb->sel.row = p->outer_layer;
    }
    forget_drill(p);
    patching_fresh(wb);
}

void patching_turn(struct workbench *wb, bool noise)
{
    struct patching *p = wb->patching;
    const int64_t column =
        p->pair && p->at >= 0 ? align_column(&p->rows, patching_receiver(p), p->at) : -1;
    p->noise = noise;
    if (p->pair && p->at >= 0 && (p->at = align_cell(&p->rows, patching_receiver(p), column)) < 0)
        patching_leave(wb);
}

static int set_site(struct patching *p, const char *value, struct err *e)
{
    const struct patch_menu *menu[2];
    int n, rc = patch_menu_parse(menu, &n, 2, value, e);
    if (!rc && n != 1)
        rc = err_set(e, ERR_USAGE, "sweep shows one site at a time");
    if (rc)
        return rc;
    snprintf(p->site, sizeof p->site, "%s", menu[0]->name);
    forget_drill(p);
    return 0;
}

static int set_metric(struct patching *p, const char *value, struct err *e)
{
    enum metric_kind kind;
    int rc = metric_parse(&kind, value, e);
    if (!rc)
        snprintf(p->metric, sizeof p->metric, "%s", metric_name(kind));
    return rc;
}

/* "10", "all"; whether the pair has it is told when it is there. */
static int set_pos(struct patching *p, const char *value, struct err *e)
{
    char *end;
    long at = strtol(value, &end, 10);
    const struct patch_menu *menu[1];
    int n;
    p->at = -1;
    if (!strcmp(value, "all"))
        return 0;
    if (!*value || *end || at < 0)
        return err_set(e, ERR_USAGE, "pos takes a position of the receiving prompt, or all");
    if (patch_menu_parse(menu, &n, 1, p->site, e))
        return e->code;
    if (!patch_menu_has_pos(menu[0]))
        return err_set(e, ERR_USAGE,
            "%s is patched at every position at once; name its twin before pos, as in "
            "site=head_z_by_pos pos=3",
            p->site);
    if (p->pair && at >= p->pair->pair->n[patching_receiver(p)])
        return err_set(e, ERR_USAGE, "the receiving prompt has positions 0 to %lld",
            (long long)p->pair->pair->n[patching_receiver(p)] - 1);
    p->at = at;
    return 0;
}

/* Where Esc goes to from a map of one position. */
static int set_from(struct patching *p, const char *value, struct err *e)
{
    const struct patch_menu *menu[1];
    int n, rc = patch_menu_parse(menu, &n, 1, value, e);
    if (!rc)
        snprintf(p->outer, sizeof p->outer, "%s", menu[0]->name);
    return rc;
}

static int set_switch(bool *out, const char *value, const char *off, const char *on, struct err *e)
{
    *out = !strcmp(value, on);
    return *out || !strcmp(value, off)
               ? 0
               : err_set(e, ERR_USAGE, "\"%.40s\" is neither %s nor %s", value, off, on);
}

static int set_direction(struct workbench *wb, const char *value, struct err *e)
{
    bool noise;
    int rc = set_switch(&noise, value, "denoise", "noise", e);
    if (!rc)
        patching_turn(wb, noise);
    return rc;
}

void colon_sweep(struct workbench *wb, const char *arg)
{
    struct patching *p = patching_of(wb);
    struct err e = {0};
    int rc = 0;
    while (p && *arg && !rc) {
        char name[32], value[64];
        size_t n = strcspn(arg, "= "), m = arg[n] == '=' ? strcspn(arg + n + 1, " ") : 0;
        snprintf(name, sizeof name, "%.*s", (int)n, arg);
        snprintf(value, sizeof value, "%.*s", (int)m, arg + n + (m > 0));
        if (!strcmp(name, "site"))
            rc = set_site(p, value, &e);
        else if (!strcmp(name, "metric"))
            rc = set_metric(p, value, &e);
        else if (!strcmp(name, "direction"))
            rc = set_direction(wb, value, &e);
        else if (!strcmp(name, "values"))
            rc = set_switch(&p->is_raw, value, "normalized", "raw", &e);
        else if (!strcmp(name, "pos"))
            rc = set_pos(p, value, &e);
        else if (!strcmp(name, "from"))
            rc = set_from(p, value, &e);
        else
            rc = err_set(&e, ERR_USAGE,
                "sweep takes site=, direction=, metric=, values= and pos=, as in "
                "site=head_z_by_pos pos=3");
        arg += n + (arg[n] == '=') + m;
        arg += strspn(arg, " ");
    }
    if (rc)
        workbench_say(wb, true, "%s", e.msg);
    if (p)
        patching_fresh(wb);
    if (!p || rc || wb->is_replaying)
        return;
    patching_refresh(wb);
    if (p->pair)
        patching_run(wb);
}

const char *patching_pair_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct patching *p = wb->patching;
    return p && p->source ? arena_printf(a, e, "pair %s", p->source) : NULL;
}

const char *patching_align_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct patching *p = wb->patching;
    if (!p || !p->pair || !align_is_done(&p->rows))
        return NULL;
    const char *spans = spans_text(p, a, e);
    return spans ? arena_printf(a, e, "align %s", *spans ? spans : "off") : NULL;
}

const char *patching_sweep_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    const struct patching *p = wb->patching;
    const char *line =
        p ? arena_printf(a, e, "sweep site=%s direction=%s metric=%s values=%s", p->site,
                p->noise ? "noise" : "denoise", p->metric, p->is_raw ? "raw" : "normalized")
          : NULL;
    if (line && p->at >= 0)
        line = arena_printf(a, e, "%s pos=%lld", line, (long long)p->at);
    return line && *p->outer ? arena_printf(a, e, "%s from=%s", line, p->outer) : line;
}
