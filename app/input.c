#include <stdlib.h>
#include <string.h>

#include "app/history.h"
#include "app/tour.h"
#include "app/workbench.h"

/* Where keys and clicks go: to what lies over the panes, to the line being typed, to the pane, to the
 * key table. */

static void finish_line(struct workbench *wb)
{
    enum ask_for what = wb->input;
    char *text = strdup(wb->line.text);
    wb->input = INPUT_NONE;
    if (!text)
        return;
    if (what == INPUT_COMMAND)
        colon_run(wb, text);
    else if (what == INPUT_SEARCH)
        search_set(wb, text);
    else if (what == INPUT_EXPORT)
        export_pane(wb, text);
    free(text);
}

static void walk(struct workbench *wb, int step)
{
    const char *line =
        wb->input == INPUT_COMMAND ? history_step(wb->history, step, wb->line.text) : NULL;
    if (line)
        line_set(&wb->line, line);
}

/* Ctrl-R: the last command that contains what is typed; again, the one before it. */
static void look_back(struct workbench *wb)
{
    bool again = wb->sought != NULL;
    if (!again)
        wb->sought = strdup(wb->line.text);
    const char *line = wb->sought ? history_search(wb->history, wb->sought, again) : NULL;
    if (line)
        line_set(&wb->line, line);
    else
        workbench_say(wb, false, "no %scommand with \"%s\"; type a part of it, then Ctrl-R",
            again ? "earlier " : "", wb->sought ? wb->sought : "");
}

static void prompt_key(struct workbench *wb, const struct key *k)
{
    if (!strcmp(k->name, "Enter")) {
        wb->input = INPUT_NONE;
        if (strcmp(wb->prompt.text, wb->shown_prompt) != 0) {
            workbench_remember(wb);
            wb->sel.pos = -1;
            workbench_run_prompt(wb);
        } else if (!wb->lens || wb->lens->serial != wb->asked[ASK_PROMPT]) {
            workbench_run_prompt(wb); /* its question was cancelled */
        }
        workbench_focus(wb, wb->main_focus);
    } else if (!strcmp(k->name, "Esc")) {
        wb->input = INPUT_NONE;
        line_set(&wb->prompt, wb->shown_prompt);
        workbench_focus(wb, wb->main_focus);
    } else if (!strcmp(k->name, "Tab")) {
        wb->input = INPUT_NONE;
        workbench_step(wb, 1);
    } else {
        line_key(&wb->prompt, k);
    }
}

static void line_input(struct workbench *wb, const struct key *k)
{
    bool is_command = wb->input == INPUT_COMMAND;
    if (is_command && !strcmp(k->name, "Ctrl-R")) {
        look_back(wb);
        return;
    }
    free(wb->sought);
    wb->sought = NULL;
    if (!strcmp(k->name, "Enter"))
        finish_line(wb);
    else if (!strcmp(k->name, "Esc") || (!strcmp(k->name, "Backspace") && !wb->line.n))
        wb->input = INPUT_NONE;
    else if (!strcmp(k->name, "Tab") && is_command)
        colon_complete(wb);
    else if (!strcmp(k->name, "Up") || !strcmp(k->name, "Ctrl-P"))
        walk(wb, -1);
    else if (!strcmp(k->name, "Down") || !strcmp(k->name, "Ctrl-N"))
        walk(wb, 1);
    else
        line_key(&wb->line, k);
}

static bool is_in(struct rect r, const struct key *k)
{
    return k->x >= r.x && k->y >= r.y && k->x < r.x + r.w && k->y < r.y + r.h;
}

static void wheel(struct workbench *wb, struct pane *p, const struct key *k)
{
    int was = wb->focus;
    wb->focus = p->slot;
    if (!p->class->key || !p->class->key(wb, p, k))
        for (int n = 0; n < 3; n++)
            workbench_move(wb, k->name[5] == 'U' ? MOVE_UP : MOVE_DOWN);
    if (wb->focus == p->slot)
        wb->focus = was;
}

/* A click in another pane goes there and does no more; in the pane that has the keys it selects, and
 * on what is selected already it is Enter. */
static void click(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    bool was_here = wb->focus == p->slot;
    workbench_focus(wb, p->slot);
    if (p->id == PANE_PROMPT) {
        wb->input = INPUT_PROMPT;
        return;
    }
    if ((!was_here && p->id != PANE_TOKENS) || (p->class->key && p->class->key(wb, p, k)))
        return;
    pane_data(wb, p, &d, marks);
    if (!d.n || !p->view->pick)
        return;
    struct view_state before = p->st;
    struct selection was = wb->sel;
    if (!p->view->pick(&d, &p->st, k->x, k->y))
        return;
    if (p->class->lead)
        p->class->lead(wb, p);
    if (memcmp(&was, &wb->sel, sizeof was) != 0) {
        workbench_selected(wb);
    } else if (was_here && !memcmp(before.at, p->st.at, sizeof before.at)) {
        int row = key_find(p->class->name, "Enter");
        if (row >= 0)
            key_row(row)->act(wb, &(struct key){.name = "Enter"});
    }
}

static void mouse(struct workbench *wb, const struct key *k)
{
    bool is_click = !strcmp(k->name, "Mouse");
    for (int i = 0; is_click && i < wb->n_buttons; i++)
        if (is_in(wb->buttons[i].rect, k)) {
            key_row(wb->buttons[i].row)->act(wb, &(struct key){.name = "Mouse"});
            return;
        }
    for (int i = 0; i < PANE_SLOTS; i++) {
        struct pane *p = &wb->panes[i];
        if (!p->class || !is_in(p->rect, k))
            continue;
        if (is_click)
            click(wb, p, k);
        else
            wheel(wb, p, k);
        return;
    }
}

static void to_pane(struct workbench *wb, const struct key *k)
{
    struct pane *p = &wb->panes[wb->focus];
    if (p->class->key && p->class->key(wb, p, k))
        return;
    int row = key_find(p->class->name, k->name);
    if (row >= 0)
        key_row(row)->act(wb, k);
    else if (k->text[0])
        workbench_say(wb, false, "%s does nothing here; ? lists the keys", k->name);
}

static void dispatch(struct workbench *wb, const struct key *k)
{
    if (wb->overlay) {
        wb->overlay->key(wb, k);
    } else if (!strcmp(k->name, "Mouse") || !strncmp(k->name, "Wheel", 5)) {
        wb->input = wb->input == INPUT_PROMPT ? wb->input : INPUT_NONE;
        mouse(wb, k);
        if (wb->focus != PANE_PROMPT && wb->input == INPUT_PROMPT)
            wb->input = INPUT_NONE;
    } else if (wb->input == INPUT_PROMPT) {
        prompt_key(wb, k);
    } else if (wb->input != INPUT_NONE) {
        line_input(wb, k);
    } else if (k->paste) {
        /* Text pasted over the panes can only be meant for the prompt. */
        act_edit_prompt(wb, k);
        line_set(&wb->prompt, k->paste);
    } else {
        to_pane(wb, k);
    }
}

/* Where nothing is drawn nothing is done unseen: to leave and to draw again are what is left. */
static void small_key(struct workbench *wb, const struct key *k)
{
    static const char *const acts[] = {"leave", "redraw"};
    const char *pane = wb->panes[wb->focus].class->name;
    const int row = key_find(pane, k->name);
    if (!strcmp(k->name, "q"))
        wb->wants_quit = true;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (row >= 0 && row == key_named(acts[i]))
            key_row(row)->act(wb, k);
}

void workbench_key(struct workbench *wb, const struct key *k)
{
    if (!strcmp(k->name, "Stop") || !strcmp(k->name, "Ctrl-C")) {
        wb->wants_quit = true;
        return;
    }
    if (!strcmp(k->name, "Resize") || !strcmp(k->name, "Wake"))
        return;
    if (!strcmp(k->name, "Ctrl-Z")) {
        wb->wants_suspend = true;
        return;
    }
    if (wb->w > 0 && (wb->w < SCREEN_W || wb->h < SCREEN_H)) {
        small_key(wb, k);
        return;
    }
    wb->may_key = wb->asked_key;
    wb->asked_key = '\0';
    wb->message[0] = '\0';
    wb->is_error = false;
    if (tour_takes(wb, k))
        return;
    dispatch(wb, k);
    tour_after(wb, k);
}
