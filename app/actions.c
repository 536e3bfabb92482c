#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/history.h"
#include "app/workbench.h"

/* What keys do. One function a row of keys.def. */

static struct pane *focused(struct workbench *wb)
{
    return &wb->panes[wb->focus];
}

void workbench_line(struct workbench *wb, enum ask_for what, const char *text)
{
    wb->input = what;
    history_rest(wb->history);
    line_set(&wb->line, text);
}

void act_edit_prompt(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_focus(wb, PANE_PROMPT);
    wb->input = INPUT_PROMPT;
}

void workbench_move(struct workbench *wb, enum view_move m)
{
    struct pane *p = focused(wb);
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    if (!p->view || !p->view->move)
        return;
    pane_data(wb, p, &d, marks);
    if (!d.n)
        return;
    struct selection was = wb->sel;
    p->view->move(&d, &p->st, m, p->rect.h > 5 ? p->rect.h - 4 : 1);
    if (p->class->lead)
        p->class->lead(wb, p);
    if (memcmp(&was, &wb->sel, sizeof was) != 0)
        workbench_selected(wb);
}

#define MOVE(name, what)                                                                           \
    void name(struct workbench *wb, const struct key *k)                                           \
    {                                                                                              \
        (void)k;                                                                                   \
        workbench_move(wb, what);                                                                  \
    }
MOVE(act_move_left, MOVE_LEFT)
MOVE(act_move_right, MOVE_RIGHT)
MOVE(act_move_up, MOVE_UP)
MOVE(act_move_down, MOVE_DOWN)
MOVE(act_move_first, MOVE_HOME)
MOVE(act_move_last, MOVE_END)
MOVE(act_move_top, MOVE_TOP)
MOVE(act_move_bottom, MOVE_BOTTOM)
MOVE(act_page_up, MOVE_PAGE_UP)
MOVE(act_page_down, MOVE_PAGE_DOWN)

void act_to_lens(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_LENS);
}

void act_top_tokens(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->panes[PANE_CELL].st = (struct view_state){0};
    workbench_drill(wb, PANE_CELL);
}

void act_next_metric(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct pane *p = &wb->panes[PANE_LENS];
    p->metric++;
    p->st.seen = 0;
}

/* "#ID" of the token under the cursor of a pane of best tokens. */
static char *token_under(struct workbench *wb)
{
    struct pane *p = focused(wb);
    const struct answer *a = wb->lens;
    int64_t row = p->id == PANE_CELL ? wb->sel.row : wb->facts.cfg.n_layer;
    double id;
    struct err e;
    char text[32];
    struct window w = {
        .start = {row, wb->sel.pos, p->st.at[0]}, .count = {1, 1, 1}, .stride = {1, 1, 1}};
    if (!a || !a->top_token.fetch || wb->sel.pos >= a->n ||
        p->st.at[0] >= a->top_token.axes[2].size ||
        a->top_token.fetch(&a->top_token, &id, &w, FIELD_POINT, &e))
        return NULL;
    snprintf(text, sizeof text, "#%lld", (long long)id);
    return strdup(text);
}

void act_set_target(struct workbench *wb, const struct key *k)
{
    (void)k;
    char *id = token_under(wb);
    if (!id)
        return;
    free(wb->target);
    wb->target = id;
    workbench_say(wb, false, "lens and DLA now explain this token; :target auto goes back");
    workbench_ask(wb, ASK_PROMPT);
}

void act_set_versus(struct workbench *wb, const struct key *k)
{
    (void)k;
    char *id = token_under(wb);
    if (!id)
        return;
    free(wb->versus);
    wb->versus = id;
    workbench_say(wb, false, "DLA compares against this token; :versus auto goes back");
    workbench_ask(wb, ASK_DLA);
}

void act_all_heads(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_HEADS);
}

void act_this_head(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_ATTENTION);
}

static void step_head(struct workbench *wb, int64_t step)
{
    const struct config *cfg = &wb->facts.cfg;
    int64_t n = (int64_t)cfg->n_layer * cfg->n_head;
    int64_t at = wb->sel.layer * cfg->n_head + wb->sel.head + step;
    if (n < 1)
        return;
    at = (at % n + n) % n;
    wb->sel.layer = at / cfg->n_head;
    wb->sel.head = at % cfg->n_head;
}

void act_next_head(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, 1);
}

void act_prev_head(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, -1);
}

void act_next_layer(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, wb->facts.cfg.n_head);
}

void act_prev_layer(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, -wb->facts.cfg.n_head);
}

static const char *component_under(struct workbench *wb)
{
    struct pane *p = focused(wb);
    const struct answer *a = p->id == PANE_DLA ? wb->dla : NULL;
    if (!a || !a->contribution.fetch || p->st.at[0] >= a->contribution.axes[0].size)
        return NULL;
    return a->contribution.axes[0].labels[p->st.at[0]];
}

void act_open_component(struct workbench *wb, const struct key *k)
{
    (void)k;
    int layer, head;
    const char *name = component_under(wb);
    if (!name)
        return;
    if (sscanf(name, "L%dH%d", &layer, &head) == 2) {
        workbench_drill(wb, PANE_ATTENTION);
    } else if (sscanf(name, "L%d_", &layer) == 1) {
        wb->sel.layer = layer;
        workbench_drill(wb, PANE_NEURONS);
        workbench_ask(wb, ASK_NEURONS);
    } else {
        workbench_say(wb, false, "%s has no parts to open; choose a head or an MLP", name);
    }
}

/* Turns a mode of the focused pane's drawing, or says why not. */
static void toggle(struct workbench *wb, enum view_mode m)
{
    struct pane *p = focused(wb);
    struct view_data d = {0};
    struct mark marks[PANE_HITS + 8];
    if (p->view)
        pane_data(wb, p, &d, marks);
    if (d.n && !view_toggle(p->view, &d, &p->st, m))
        workbench_say(wb, false, "%s: not in this view (%s)", view_mode_name(m), p->view->title);
    else if (d.n && m == VIEW_REDUCE)
        workbench_say(wb, false, "a cell of many values shows: %s",
            p->st.reduce ? reduce_help(p->st.reduce) : "the largest in size");
}

#define TOGGLES(X)                                                                                 \
    X(toggle_sort, SORT)                                                                           \
    X(flip_rows, FLIP)                                                                             \
    X(toggle_numbers, NUMBERS)                                                                     \
    X(denser, COARSER)                                                                             \
    X(finer, FINER)                                                                                \
    X(show_top, TOP)                                                                               \
    X(log_scale, LOG)                                                                              \
    X(log_axis, LOG_X)                                                                             \
    X(own_scale, OWN_SCALE)                                                                        \
    X(cell_shows, REDUCE)                                                                          \
    X(transpose, TRANSPOSE)

#define X(name, mode)                                                                              \
    void act_##name(struct workbench *wb, const struct key *k)                                     \
    {                                                                                              \
        (void)k;                                                                                   \
        toggle(wb, VIEW_##mode);                                                                   \
    }
TOGGLES(X)
#undef X

void act_run_prompt(struct workbench *wb, const struct key *k)
{
    act_edit_prompt(wb, k);
}

void act_drill_in(struct workbench *wb, const struct key *k)
{
    (void)wb;
    (void)k;
}

void act_command(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_line(wb, INPUT_COMMAND, "");
}

void act_search(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_line(wb, INPUT_SEARCH, "");
}

void act_export(struct workbench *wb, const struct key *k)
{
    (void)k;
    char name[64];
    if (!focused(wb)->view) {
        workbench_say(wb, false, "nothing to export in this pane; choose another with Tab");
        return;
    }
    snprintf(name, sizeof name, "%s.svg", focused(wb)->class->name);
    workbench_line(wb, INPUT_EXPORT, name);
    wb->line.is_offer = true;
}

void act_quit(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->n_back || wb->zoomed != SLOT_NONE || workbench_can_leave(wb))
        workbench_back(wb);
    else if (wb->may_key != 'q' && wb->engine->jobs && jobs_open(wb->engine->jobs) > 0) {
        wb->asked_key = 'q';
        workbench_say(wb, false, "a job runs: q again leaves, Esc stays");
    } else
        wb->wants_quit = true;
}

void act_leave(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_quit = true;
}

/* Whether the focused pane is about the job that runs. */
static bool waits_here(struct workbench *wb)
{
    const enum pane_id id = focused(wb)->id;
    return id == PANE_JOBS || id == PANE_CIRCUIT;
}

void act_back(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct engine_state s;
    wb->engine->state(wb->engine, &s);
    if (s.is_busy)
        wb->engine->cancel(wb->engine);
    else if (focused(wb)->n_hits)
        for (int i = 0; i < PANE_SLOTS; i++)
            wb->panes[i].n_hits = 0;
    else if (wb->n_back || wb->zoomed != SLOT_NONE || workbench_can_leave(wb))
        workbench_back(wb);
    else if (wb->may_key == 'q') /* "Esc stays" */
        return;
    else if (s.has_job && wb->may_key != 'e' && !waits_here(wb)) {
        wb->asked_key = 'e';
        workbench_say(wb, false, "Esc again stops %s", s.job.name);
    } else if (s.has_job) {
        wb->engine->cancel(wb->engine);
        workbench_say(wb, false, "%s: it stops at the end of its slice", s.job.name);
    } else
        workbench_back(wb);
}

void act_toggle_bos(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!wb->facts.has_bos) {
        workbench_say(wb, false, "this model has no BOS token");
        return;
    }
    workbench_remember(wb);
    wb->bos = !wb->bos;
    workbench_say(wb, false, wb->bos ? "BOS stands before the prompt" : "no BOS before the prompt");
    wb->sel.pos = -1;
    workbench_ask(wb, ASK_PROMPT);
}

void act_repeat(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->last_command) {
        char *copy = strdup(wb->last_command);
        if (copy)
            colon_run(wb, copy);
        free(copy);
    } else {
        workbench_say(wb, false, "no command to repeat; : types one");
    }
}

void act_redraw(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_redraw = true;
}

void act_suspend(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_suspend = true;
}

void act_next_match(struct workbench *wb, const struct key *k)
{
    (void)k;
    search_next(wb, 1);
}

void act_prev_match(struct workbench *wb, const struct key *k)
{
    (void)k;
    search_next(wb, -1);
}
