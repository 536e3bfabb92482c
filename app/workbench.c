#include "app/workbench.h"

#include "app/browse.h"
#include "app/edit_list.h"
#include "app/history.h"
#include "app/journal.h"
#include "app/log.h"
#include "app/palette.h"
#include "app/patching.h"
#include "app/prompts.h"
#include "app/saver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void workbench_say(struct workbench *wb, bool is_error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(wb->message, sizeof wb->message, fmt, ap);
    va_end(ap);
    wb->is_error = is_error;
}

int workbench_init(
    struct workbench *wb, struct engine *g, const char *prompt, bool bos, struct err *e)
{
    *wb = (struct workbench){.engine = g,
        .bos = bos,
        .layout = 1,
        .focus = PANE_LENS,
        .main_focus = PANE_LENS,
        .zoomed = SLOT_NONE,
        .has_mouse = true,
        .theme = &themes[0],
        .pin_target = -1,
        .pin_versus = -1,
        .cursor_x = -1};
    for (int i = 0; i < PANE_COUNT; i++) {
        struct pane *p = &wb->panes[i];
        *p = (struct pane){.class = pane_class(i), .id = (enum pane_id)i, .slot = i};
        p->view = p->class->view ? view_find(p->class->view) : NULL;
    }
    for (int i = 0; i < LAYOUTS; i++)
        layout_preset(&wb->layouts[i], i + 1);
    wb->sel.pos = -1;
    if (history_open(&wb->history, e))
        return e->code;
    wb->shown_prompt = strdup("");
    if (!wb->shown_prompt || !line_set(&wb->prompt, prompt) || !line_set(&wb->line, ""))
        return err_set(e, ERR_LIMIT, "no memory for the workbench");
    return 0;
}

void workbench_release(struct workbench *wb)
{
    struct err lost;
    (void)saver_release(&wb->saver, &lost);
    browse_release(&wb->browse);
    answer_release(&wb->lens);
    answer_release(&wb->dla);
    answer_release(&wb->neurons);
    answer_release(&wb->text);
    answer_release(&wb->dossier);
    answer_release(&wb->base);
    line_release(&wb->prompt);
    line_release(&wb->line);
    palette_release(wb);
    prompts_release(&wb->prompts);
    alignment_release(&wb->aligned);
    patching_release(&wb->patching);
    free(wb->menu);
    form_release(wb);
    history_release(&wb->history);
    journal_release(&wb->journal);
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    free(wb->edits);
    undo_release(wb);
    free(wb->shown_prompt);
    free(wb->target);
    free(wb->versus);
    free(wb->last_command);
    free(wb->copied);
    free(wb->sought);
    regex_release(&wb->pattern);
    arena_release(&wb->frame);
    *wb = (struct workbench){0};
}

const struct answer *workbench_answer(const struct workbench *wb, enum ask ask)
{
    switch (ask) {
    case ASK_PROMPT:
        return wb->lens;
    case ASK_DLA:
        return wb->dla;
    case ASK_NEURONS:
        return wb->neurons;
    case ASK_DOSSIER:
        return wb->dossier;
    case ASK_OTHER:
        return prompts_other_answer(wb);
    case ASK_PAIR:
        return wb->patching ? wb->patching->pair : NULL;
    case ASK_COMMAND:
        return wb->text;
    default:
        return NULL;
    }
}

static void unpin(struct workbench *wb)
{
    wb->pin_target = wb->pin_versus = -1;
    answer_release(&wb->base);
}

/* --- Asking ------------------------------------------------------------------------------------ */

static int64_t top_id(const struct workbench *wb, int rank)
{
    const struct answer *a = wb->lens;
    struct window w = {.start = {wb->facts.cfg.n_layer, wb->sel.pos, rank},
        .count = {1, 1, 1},
        .stride = {1, 1, 1}};
    struct err e;
    double id = -1;
    if (!a || !a->top_token.fetch || wb->sel.pos >= a->n || rank >= a->top_token.axes[2].size ||
        a->top_token.fetch(&a->top_token, &id, &w, FIELD_POINT, &e))
        return -1;
    return (int64_t)id;
}

uint64_t workbench_hash(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return (h ^ 0xff) * 1099511628211u; /* where a text ends counts */
}

uint64_t workbench_under(const struct workbench *wb)
{
    uint64_t h = workbench_hash(1469598103934665603u + wb->bos, wb->model_name);
    h = workbench_hash(h, wb->shown_prompt);
    for (int i = 0; i < wb->n_edits; i++)
        h = edit_is_off(wb->edits[i]) ? h : workbench_hash(h, wb->edits[i]);
    return h ? h : 1;
}

bool workbench_is_past(const struct workbench *wb, const struct answer *a)
{
    return a && a->under && a->under != workbench_under(wb);
}

/* Those that act, as the prompt on screen takes them. */
static const char *const *edits_for_prompt(
    int *n, const struct workbench *wb, struct arena *arena, struct err *e)
{
    const char *const *on = edits_on(n, wb, arena, e);
    const char **list = on ? arena_array(arena, (size_t)*n + 1, sizeof *list, e) : NULL;
    for (int i = 0; list && i < *n; i++)
        if (!(list[i] = edit_for_prompt(wb, on[i], arena, e)))
            return NULL;
    return list;
}

static struct question question(struct workbench *wb, enum ask ask)
{
    struct err e;
    int n_edits;
    const char *const *edits = edits_for_prompt(&n_edits, wb, &wb->frame, &e);
    return (struct question){.ask = ask,
        .text = wb->shown_prompt,
        .bos = wb->bos,
        .edits = edits,
        .n_edits = edits ? n_edits : 0,
        .pos = wb->sel.pos,
        .target = wb->pin_target,
        .versus = -1,
        .target_name = wb->target,
        .layer = (int)wb->sel.layer,
        .under = workbench_under(wb),
        .serial = ++wb->serial};
}

/* What attribution explains. Unless told otherwise: the answer of the pair on screen against its wrong
 * one; without a pair the best token against the runner-up, which is what a choice between two answers
 * is about. */
static void choose_tokens(struct workbench *wb, struct question *q)
{
    const struct paired *pair = patching_on_screen(wb);
    const bool is_pinned = wb->pin_target >= 0 && wb->pin_pos == wb->sel.pos;
    q->target = pair ? pair->answer_id : is_pinned ? wb->pin_dla : top_id(wb, 0);
    q->versus = pair ? pair->wrong_id : is_pinned ? wb->pin_versus : top_id(wb, 1);
    if (wb->target)
        q->target = wb->lens->target;
    q->target_name = NULL;
    if (q->versus == q->target && !pair && !is_pinned)
        q->versus = top_id(wb, 0);
    if (q->versus == q->target || (wb->versus && !strcmp(wb->versus, "none")))
        q->versus = -1;
    else
        q->versus_name = wb->versus;
}

void workbench_ask(struct workbench *wb, enum ask ask)
{
    if (wb->is_replaying)
        return;
    struct question q = question(wb, ask);
    if (ask == ASK_DLA || ask == ASK_NEURONS) {
        if (!wb->lens || wb->sel.pos < 0 || wb->sel.pos >= wb->lens->n)
            return;
        choose_tokens(wb, &q);
    }
    wb->asked[ask] = q.serial;
    wb->engine->ask(wb->engine, &q);
}

/* At the position and of the target that the attribution on screen has. */
static void ask_dossier(struct workbench *wb, enum ask ask)
{
    struct question q = question(wb, ask);
    const struct answer *d = wb->dla && wb->dla->pos == wb->sel.pos ? wb->dla : NULL;
    if (wb->is_replaying || !wb->lens || wb->sel.pos < 0 || wb->sel.pos >= wb->lens->n)
        return;
    q.of = wb->dossier_of;
    q.target_name = NULL;
    q.target = d ? d->target : -1;
    q.versus = d ? d->versus : -1;
    wb->asked[ask] = q.serial;
    wb->engine->ask(wb->engine, &q);
}

void workbench_ask_dossier(struct workbench *wb)
{
    bool is_shown = wb->zoomed == PANE_DOSSIER ||
                    (wb->zoomed == SLOT_NONE && workbench_shows(wb, PANE_DOSSIER));
    if (!is_shown || !*wb->dossier_of)
        return;
    /* A token stands where the cursor is. */
    if (wb->dossier_of[0] == '@')
        snprintf(wb->dossier_of, sizeof wb->dossier_of, "@%lld", (long long)wb->sel.pos);
    wb->asked[ASK_EFFECT] = 0;
    ask_dossier(wb, ASK_DOSSIER);
}

void workbench_ask_dla(struct workbench *wb)
{
    workbench_ask(wb, ASK_DLA);
}

void workbench_open(struct workbench *wb, const char *model)
{
    if (wb->is_replaying) {
        snprintf(wb->asked_model, sizeof wb->asked_model, "%s", model);
        return;
    }
    int n = wb->engine->jobs ? jobs_open(wb->engine->jobs) : 0;
    if (n > 0) {
        workbench_say(wb, true, "%d job%s the open model; wait for %s, or cancel %s with J", n,
            n > 1 ? "s need" : " needs", n > 1 ? "them" : "it", n > 1 ? "them" : "it");
        return;
    }
    /* As a path from the root: the lines of jobs, and so of the log, name it from any folder. */
    struct arena scratch = {0};
    struct err e;
    const char *name = log_model(model, &scratch, &e);
    struct question q = {.ask = ASK_MODEL, .text = name ? name : model, .serial = ++wb->serial};
    if (q.text != wb->asked_model)
        snprintf(wb->asked_model, sizeof wb->asked_model, "%s", q.text);
    wb->asked[ASK_MODEL] = q.serial;
    wb->engine->ask(wb->engine, &q);
    arena_release(&scratch);
}

int workbench_edits_on(const struct workbench *wb)
{
    int n = 0;
    for (int i = 0; i < wb->n_edits; i++)
        n += !edit_is_off(wb->edits[i]);
    return n;
}

/* Under edits lens and DLA go on explaining what they explained before, or before and after could not
 * be compared. */
void workbench_edited(struct workbench *wb)
{
    if (!workbench_edits_on(wb)) {
        unpin(wb);
        wb->keeps_base = false;
    } else if (wb->pin_target < 0 && wb->lens) {
        wb->pin_target = wb->lens->target;
        wb->pin_versus = wb->dla ? wb->dla->versus : -1;
        wb->pin_dla = wb->dla ? wb->dla->target : -1;
        wb->pin_pos = wb->dla ? wb->dla->pos : -1;
        wb->keeps_base = !wb->lens->is_edited;
    }
    workbench_ask(wb, ASK_PROMPT);
}

void workbench_run_prompt(struct workbench *wb)
{
    char *copy = strdup(wb->prompt.text);
    if (!copy)
        return;
    if (strcmp(copy, wb->shown_prompt) != 0)
        unpin(wb);
    free(wb->shown_prompt);
    wb->shown_prompt = copy;
    if (wb->patching) /* another was chosen since the pair was said, in a log too */
        wb->patching->shows_clean = false;
    struct engine_state s;
    wb->engine->state(wb->engine, &s);
    if (wb->facts.is_open)
        workbench_ask(wb, ASK_PROMPT);
    /* Its opening was cancelled. */
    else if (!s.is_busy && !wb->is_replaying && *wb->asked_model)
        workbench_open(wb, wb->asked_model);
}

/* --- Taking ------------------------------------------------------------------------------------ */

static void pane_errors(struct workbench *wb, enum ask ask, const struct err *e)
{
    for (int i = 0; i < PANE_SLOTS; i++)
        if (wb->panes[i].class && wb->panes[i].class->ask == ask)
            wb->panes[i].e = *e;
}

static void keep(struct answer **slot, struct answer *a)
{
    answer_release(slot);
    *slot = a;
}

static void clamp(int64_t *v, int64_t n)
{
    if (*v >= n)
        *v = n - 1;
    if (*v < 0)
        *v = 0;
}

void workbench_clamp(struct workbench *wb)
{
    if (!wb->lens)
        return;
    clamp(&wb->sel.pos, wb->lens->n);
    clamp(&wb->sel.key, wb->lens->n);
    clamp(&wb->sel.row, wb->facts.cfg.n_layer + 1);
    clamp(&wb->sel.layer, wb->facts.cfg.n_layer);
    clamp(&wb->sel.head, wb->facts.cfg.n_head);
}

static void take_prompt(struct workbench *wb, struct answer *a)
{
    bool at_end = wb->sel.pos < 0 || (wb->lens && wb->sel.pos >= wb->lens->n - 1);
    int64_t L = wb->facts.cfg.n_layer;
    if (!wb->lens && !wb->has_selection) {
        wb->sel.row = L;
        wb->sel.layer = L - 1;
    }
    if (wb->keeps_base && wb->lens) {
        answer_release(&wb->base);
        wb->base = wb->lens;
        wb->lens = NULL;
    }
    wb->keeps_base = false;
    keep(&wb->lens, a);
    wb->sel.pos = at_end ? a->n - 1 : wb->sel.pos;
    workbench_clamp(wb);
    wb->ready_ms = a->seconds * 1e3;
    for (int i = 0; i < PANE_SLOTS; i++)
        wb->panes[i].n_hits = 0;
    workbench_ask(wb, ASK_DLA);
    prompts_ask_other(wb);
    patching_refresh(wb);
    if (!*wb->shown_prompt && !*wb->message)
        workbench_say(
            wb, false, "the prompt is empty: the model sees %s alone", wb->bos ? "BOS" : "nothing");
    if (a->note)
        workbench_say(wb, true, "%s", a->note);
}

/* The head that matters most for the answer is the one to look at first. */
static void choose_head(struct workbench *wb)
{
    const struct field *f = &wb->dla->contribution;
    struct window all = field_all(f);
    int64_t n = window_count(&all, f->rank), best = -1;
    double *v = malloc((size_t)(n > 0 ? n : 1) * sizeof *v);
    struct err e;
    int layer, head;
    if (v && n > 0 && !f->fetch(f, v, &all, FIELD_POINT, &e))
        for (int64_t i = 0; i < n; i++)
            if (f->axes[0].labels && sscanf(f->axes[0].labels[i], "L%dH%d", &layer, &head) == 2 &&
                (best < 0 || v[i] > v[best]))
                best = i;
    if (best >= 0 && sscanf(f->axes[0].labels[best], "L%dH%d", &layer, &head) == 2) {
        wb->sel.layer = layer;
        wb->sel.head = head;
        wb->panes[PANE_DLA].st.at[0] = best;
    }
    free(v);
}

/* The cursor on what the pane lists first. */
static void pane_top(struct workbench *wb, struct pane *p)
{
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    p->st.at[0] = 0;
    pane_data(wb, p, &d, marks);
    if (d.n && p->view->move)
        p->view->move(&d, &p->st, MOVE_TOP, 1);
}

static void take_dla(struct workbench *wb, struct answer *a)
{
    bool is_first = !wb->dla;
    bool is_other = !is_first && (wb->dla->target != a->target || wb->dla->versus != a->versus);
    keep(&wb->dla, a);
    wb->panes[PANE_DLA].st.scroll[0] = 0;
    /* Another question has another order: its largest part is shown first. */
    if (is_other)
        pane_top(wb, &wb->panes[PANE_DLA]);
    workbench_ask_dossier(wb);
    if (wb->neurons &&
        (is_other || wb->neurons->pos != a->pos || workbench_is_past(wb, wb->neurons)) &&
        (wb->zoomed == PANE_NEURONS ||
            (wb->zoomed == SLOT_NONE && workbench_shows(wb, PANE_NEURONS))))
        workbench_ask(wb, ASK_NEURONS);
    if (is_first && !wb->has_selection)
        choose_head(wb);
}

/* A job began to fill its report, or ended. True: there is no text of it to show now. */
static bool take_job(struct workbench *wb, struct answer *a)
{
    struct job_view j = {.name = "a job"};
    /* What was asked for a while ago must not take the screen away. */
    bool is_last = a->serial == wb->asked[ASK_COMMAND];
    if (wb->engine->jobs)
        jobs_find(wb->engine->jobs, &j, a->job);
    if (a->held)
        browse_report(wb, a->held, j.name, a->job, a->is_live || !is_last);
    /* Beside a report the text of a job is what it had to note; the first line of it is told. */
    const char *note = a->held && a->text ? a->text : "";
    note += strncmp(note, "sonde: ", 7) ? 0 : 7;
    if (!a->is_live && (!is_last || a->held))
        workbench_say(wb, false, "%s: done in %.3g s%s%.*s", j.name, a->seconds,
            *note     ? "; "
            : is_last ? "; Esc goes back"
                      : "; J lists the jobs",
            (int)strcspn(note, "\n"), note);
    return a->is_live || !is_last || a->held;
}

static void take(struct workbench *wb, struct answer *a)
{
    bool is_old = a->ask != ASK_COMMAND && a->serial != wb->asked[a->ask];
    struct err e = a->e;
    if (a->ask == ASK_COMMAND)
        patching_see(wb, a);
    if (a->ask == ASK_MODEL || a->ask == ASK_COMMAND)
        wb->facts = a->facts;
    if (e.code == ERR_CANCEL || is_old) {
        if (e.code == ERR_CANCEL && !is_old)
            workbench_say(wb, false,
                wb->lens ? "cancelled; what was there before stays"
                         : "cancelled; i and Enter ask again");
        answer_release(&a);
        return;
    }
    pane_errors(wb, a->ask, &e);
    if (a->ask == ASK_MODEL && !e.code) {
        bool is_first = !*wb->model_name;
        memcpy(wb->model_name, wb->asked_model, sizeof wb->model_name);
        unpin(wb);
        answer_release(&a);
        answer_release(&wb->lens);
        answer_release(&wb->dla);
        answer_release(&wb->neurons);
        answer_release(&wb->dossier);
        wb->keeps_base = false;
        if (is_first && !wb->has_selection)
            layouts_load(wb);
        workbench_run_prompt(wb);
        return;
    }
    if (e.code) {
        if (a->ask == ASK_MODEL && !wb->lens)
            pane_errors(wb, ASK_PROMPT, &e);
        /* What stands there belongs to another question. */
        if (a->ask == ASK_PROMPT)
            pane_errors(wb, ASK_DLA, &e);
        workbench_say(wb, true, "%s", e.msg);
        answer_release(&a);
        return;
    }
    switch (a->ask) {
    case ASK_PROMPT:
        take_prompt(wb, a);
        break;
    case ASK_DLA:
        take_dla(wb, a);
        break;
    case ASK_DOSSIER:
        keep(&wb->dossier, a);
        if (wb->dossier_of[0] != '@')
            ask_dossier(wb, ASK_EFFECT);
        break;
    case ASK_EFFECT:
        keep(&wb->dossier, a);
        break;
    case ASK_OTHER:
        prompts_take_other(wb, a);
        break;
    case ASK_PAIR:
        patching_take_pair(wb, a);
        break;
    case ASK_NEURONS:
        keep(&wb->neurons, a);
        pane_top(wb, &wb->panes[PANE_NEURONS]);
        break;
    default:
        if (take_job(wb, a)) {
            answer_release(&a);
            break;
        }
        keep(&wb->text, a);
        workbench_say(wb, false, "done in %.0f ms; Esc goes back", wb->text->seconds * 1e3);
        wb->panes[PANE_TEXT].st = (struct view_state){0};
        workbench_drill(wb, PANE_TEXT);
        break;
    }
}

bool workbench_show_job(struct workbench *wb, uint64_t id)
{
    struct job_view j;
    if (!wb->engine->jobs || !jobs_find(wb->engine->jobs, &j, id))
        return false;
    struct held_report *held = jobs_report(wb->engine->jobs, id);
    if (held) {
        browse_report(wb, held, j.name, id, false);
        held_report_release(&held);
        return true;
    }
    char *text = jobs_text(wb->engine->jobs, id);
    struct answer *a = text ? calloc(1, sizeof *a) : NULL;
    struct err e;
    if (a) {
        a->ask = ASK_COMMAND;
        a->job = id;
        a->text = arena_strdup(&a->arena, text, &e);
        keep(&wb->text, a);
        wb->panes[PANE_TEXT].st = (struct view_state){0};
        workbench_drill(wb, PANE_TEXT);
    }
    free(text);
    return a;
}

bool workbench_poll(struct workbench *wb)
{
    bool any = false;
    for (struct answer *a; (a = wb->engine->take(wb->engine)); any = true)
        take(wb, a);
    if (wb->browse)
        any |= browse_poll(wb);
    any |= saver_poll(wb);
    return any;
}

/* --- The selection --------------------------------------------------------------------------- */

void workbench_selected(struct workbench *wb)
{
    if (wb->lens && (!wb->dla || wb->dla->pos != wb->sel.pos || wb->asked[ASK_DLA] == 0))
        workbench_ask(wb, ASK_DLA);
}

/* Marks of the shared selection, then what a search found in this pane. */
int workbench_marks(const struct workbench *wb, const struct pane *p, struct mark *out, int max)
{
    int n = 0;
    char label[32];
    out[n++] = (struct mark){AXIS_POS, wb->sel.pos};
    out[n++] = (struct mark){AXIS_LAYER, wb->sel.layer};
    out[n++] = (struct mark){AXIS_HEAD, wb->sel.head};
    const struct answer *a = p->id == PANE_NEURONS ? wb->neurons : wb->dla;
    snprintf(label, sizeof label, "L%lldH%lld", (long long)wb->sel.layer, (long long)wb->sel.head);
    int64_t component = a ? component_index(a, label) : -1;
    if (component >= 0)
        out[n++] = (struct mark){AXIS_COMPONENT, component};
    for (int i = 0; i < p->n_hits && n < max; i++)
        out[n++] = p->hits[i];
    return n;
}

/* --- Edits ------------------------------------------------------------------------------------- */

void workbench_edit(struct workbench *wb, const char *text)
{
    char **grown = realloc(wb->edits, (size_t)(wb->n_edits + 1) * sizeof *grown);
    if (!grown)
        return;
    wb->edits = grown;
    if ((wb->edits[wb->n_edits] = strdup(text)))
        wb->n_edits++;
}

/* Whether the open model can take the edit; what is wrong with it is said. */
static bool is_fit(struct workbench *wb, const char *text)
{
    text += edit_is_off(text);
    struct arena scratch = {0};
    struct edit ed;
    struct err e = {0};
    int rc = wb->facts.is_open ? edit_parse(&ed, text, &wb->facts.cfg, &scratch, &e) : 0;
    if (!rc && wb->facts.is_open && ed.op == EDIT_RESAMPLE && !edit_input(wb, ed.resample))
        rc = err_set(&e, ERR_USAGE,
            ed.resample > 1 || !patching_pair(wb)
                ? "edit %.200s: there is no input %d to take values from; :pair CLEAN CORRUPT "
                  "makes 0 the clean prompt and 1 the corrupt one, from:TEXT takes any text"
                : "edit %.200s: prompt %d of the pair is given as ids; give the pair as texts",
            text, ed.resample);
    if (rc)
        workbench_say(wb, true, "%s", e.msg);
    arena_release(&scratch);
    return !rc;
}

void workbench_toggle_edit(struct workbench *wb, const char *text)
{
    if (!is_fit(wb, text))
        return;
    workbench_remember(wb);
    for (int i = 0; i < wb->n_edits; i++)
        if (!strcmp(wb->edits[i] + edit_is_off(wb->edits[i]), text)) {
            free(wb->edits[i]);
            memmove(
                wb->edits + i, wb->edits + i + 1, (size_t)(--wb->n_edits - i) * sizeof *wb->edits);
            workbench_say(wb, false, "%s is off", text);
            workbench_edited(wb);
            return;
        }
    workbench_edit(wb, text);
    workbench_say(wb, false, "%s is on; x or u takes it back", text);
    workbench_edited(wb);
}
