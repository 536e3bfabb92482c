#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/workbench.h"

/* What keys do. One function a row of keys.def. */

static struct pane *focused(struct workbench *wb)
{
    return &wb->panes[wb->focus];
}

static void open_line(struct workbench *wb, enum ask_for what, const char *text)
{
    wb->input = what;
    wb->at_history = wb->n_history;
    line_set(&wb->line, text);
}

static void edit_prompt(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_focus(wb, PANE_PROMPT);
    wb->input = INPUT_PROMPT;
}

static void move(struct workbench *wb, enum view_move m)
{
    struct pane *p = focused(wb);
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    if (!p->view || !p->view->move)
        return;
    pane_data(wb, p, &d, marks);
    if (!d.n)
        return;
    int64_t pos = wb->sel.pos;
    p->view->move(&d, &p->st, m, p->rect.h > 5 ? p->rect.h - 4 : 1);
    if (p->class->lead)
        p->class->lead(wb, p);
    if (wb->sel.pos != pos)
        workbench_selected(wb);
}

#define MOVE(name, what)                                                                           \
    static void name(struct workbench *wb, const struct key *k)                                    \
    {                                                                                              \
        (void)k;                                                                                   \
        move(wb, what);                                                                            \
    }
MOVE(go_left, MOVE_LEFT)
MOVE(go_right, MOVE_RIGHT)
MOVE(go_up, MOVE_UP)
MOVE(go_down, MOVE_DOWN)
MOVE(go_first, MOVE_HOME)
MOVE(go_last, MOVE_END)
MOVE(go_top, MOVE_TOP)
MOVE(go_bottom, MOVE_BOTTOM)
MOVE(page_up, MOVE_PAGE_UP)
MOVE(page_down, MOVE_PAGE_DOWN)

static bool is_shown(const struct workbench *wb, enum pane_id id)
{
    if (id == PANE_PROMPT || id == PANE_TOKENS)
        return true;
    return wb->panes[id].rect.w > 0;
}

static void step_pane(struct workbench *wb, int step)
{
    bool is_narrow = wb->w < 72 || wb->layout == LAYOUTS;
    for (int i = 1; i <= PANE_COUNT; i++) {
        enum pane_id id =
            (enum pane_id)((wb->focus + (i * step) + PANE_COUNT * PANE_COUNT) % PANE_COUNT);
        bool one_page = is_narrow && wb->zoomed == PANE_COUNT && id < PANE_HEADS;
        if (is_shown(wb, id) || one_page) {
            workbench_focus(wb, id);
            return;
        }
    }
}

static void next_pane(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_pane(wb, 1);
}

static void prev_pane(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_pane(wb, -1);
}

static void to_lens(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_LENS);
}

static void open_cell(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->panes[PANE_CELL].st = (struct view_state){0};
    workbench_drill(wb, PANE_CELL);
}

static void next_metric(struct workbench *wb, const struct key *k)
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

static void set_target(struct workbench *wb, const struct key *k)
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

static void set_versus(struct workbench *wb, const struct key *k)
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

static void all_heads(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_HEADS);
}

static void this_head(struct workbench *wb, const struct key *k)
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

static void next_head(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, 1);
}

static void prev_head(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, -1);
}

static void layer_up(struct workbench *wb, const struct key *k)
{
    (void)k;
    step_head(wb, wb->facts.cfg.n_head);
}

static void layer_down(struct workbench *wb, const struct key *k)
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

static void drill_dla(struct workbench *wb, const struct key *k)
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

static void ablate(struct workbench *wb, const struct key *k)
{
    (void)k;
    char edit[96];
    int layer;
    const char *name = component_under(wb);
    if (focused(wb)->id == PANE_DLA && name && sscanf(name, "L%d_mlp", &layer) == 1 &&
        strstr(name, "_mlp"))
        snprintf(edit, sizeof edit, "L%d_mlp=zero", layer);
    else if (focused(wb)->id == PANE_DLA && name && !strchr(name, 'H')) {
        workbench_say(wb, false, "%s cannot be ablated from here; choose a head or an MLP", name);
        return;
    } else
        snprintf(edit, sizeof edit, "L%lldH%lld=zero", (long long)wb->sel.layer,
            (long long)wb->sel.head);
    workbench_toggle_edit(wb, edit);
}

static void toggle_sort(struct workbench *wb, const struct key *k)
{
    (void)k;
    focused(wb)->st.sorted ^= true;
}

static void flip(struct workbench *wb, const struct key *k)
{
    (void)k;
    focused(wb)->st.flipped ^= true;
}

static void toggle_numbers(struct workbench *wb, const struct key *k)
{
    (void)k;
    focused(wb)->st.numbers ^= true;
}

static void denser(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (focused(wb)->st.zoom < 16)
        focused(wb)->st.zoom++;
}

static void finer(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (focused(wb)->st.zoom > 0)
        focused(wb)->st.zoom--;
}

static void nothing(struct workbench *wb, const struct key *k)
{
    (void)wb;
    (void)k;
}

static void open_command(struct workbench *wb, const struct key *k)
{
    (void)k;
    open_line(wb, INPUT_COMMAND, "");
}

static void open_search(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (focused(wb)->class->search_axis < 0)
        workbench_say(
            wb, false, "nothing to search in this pane; try the tokens, lens or DLA pane");
    else
        open_line(wb, INPUT_SEARCH, "");
}

static void open_help(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->has_help = true;
    wb->help_scroll = 0;
}

static void open_export(struct workbench *wb, const struct key *k)
{
    (void)k;
    char name[64];
    if (!focused(wb)->view) {
        workbench_say(wb, false, "nothing to export in this pane; choose another with Tab");
        return;
    }
    snprintf(name, sizeof name, "%s.svg", focused(wb)->class->name);
    open_line(wb, INPUT_EXPORT, name);
}

static void quit(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->n_back || wb->zoomed != PANE_COUNT)
        workbench_back(wb);
    else
        wb->wants_quit = true;
}

static void leave(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_quit = true;
}

static void back(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct engine_state s;
    wb->engine->state(wb->engine, &s);
    if (s.is_busy)
        wb->engine->cancel(wb->engine);
    else if (focused(wb)->n_hits)
        for (int i = 0; i < PANE_COUNT; i++)
            wb->panes[i].n_hits = 0;
    else
        workbench_back(wb);
}

static void zoom(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->zoomed != PANE_COUNT)
        workbench_back(wb);
    else if (wb->focus != PANE_PROMPT && wb->focus != PANE_TOKENS)
        wb->zoomed = wb->focus;
}

static void choose_layout(struct workbench *wb, const struct key *k)
{
    wb->layout = k->name[0] - '0';
    wb->zoomed = PANE_COUNT;
    wb->n_back = 0;
    workbench_say(wb, false, "layout %d: %s", wb->layout, layout_title(wb->layout));
    if (!layout_shows(wb->layout, wb->focus))
        for (int id = PANE_LENS; id < PANE_COUNT; id++)
            if (layout_shows(wb->layout, (enum pane_id)id)) {
                workbench_focus(wb, (enum pane_id)id);
                break;
            }
    if (layout_shows(wb->layout, PANE_NEURONS) && !wb->neurons)
        workbench_ask(wb, ASK_NEURONS);
}

static void toggle_bos(struct workbench *wb, const struct key *k)
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

static void undo(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!wb->n_undo) {
        workbench_say(wb, false, "nothing to undo");
        return;
    }
    struct snapshot s = wb->undo[--wb->n_undo];
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    free(wb->edits);
    wb->edits = s.edits;
    wb->n_edits = s.n_edits;
    wb->bos = s.bos;
    line_set(&wb->prompt, s.prompt);
    free(s.prompt);
    workbench_say(wb, false, "undone; %d left", wb->n_undo);
    workbench_run_prompt(wb);
    workbench_edited(wb);
}

static void repeat(struct workbench *wb, const struct key *k)
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

static void copy(struct workbench *wb, const struct key *k)
{
    (void)k;
    free(wb->copied);
    wb->copied = strdup(focused(wb)->readout);
    workbench_say(wb, false, "copied: %s", focused(wb)->readout);
}

static void redraw(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_redraw = true;
}

static void suspend(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->wants_suspend = true;
}

static void next_hit(struct workbench *wb, const struct key *k)
{
    (void)k;
    search_next(wb, 1);
}

static void prev_hit(struct workbench *wb, const struct key *k)
{
    (void)k;
    search_next(wb, -1);
}

static void (*const actions[KEY_DO_COUNT])(struct workbench *wb, const struct key *k) = {
    [KEY_DO_RUN] = edit_prompt,
    [KEY_DO_TO_LENS] = to_lens,
    [KEY_DO_CELL] = open_cell,
    [KEY_DO_METRIC] = next_metric,
    [KEY_DO_TARGET] = set_target,
    [KEY_DO_VERSUS] = set_versus,
    [KEY_DO_HEADS] = all_heads,
    [KEY_DO_HEAD_NEXT] = next_head,
    [KEY_DO_HEAD_PREV] = prev_head,
    [KEY_DO_LAYER_UP] = layer_up,
    [KEY_DO_LAYER_DOWN] = layer_down,
    [KEY_DO_THIS_HEAD] = this_head,
    [KEY_DO_DLA_DRILL] = drill_dla,
    [KEY_DO_ABLATE] = ablate,
    [KEY_DO_SORT] = toggle_sort,
    [KEY_DO_FLIP] = flip,
    [KEY_DO_NUMBERS] = toggle_numbers,
    [KEY_DO_DENSER] = denser,
    [KEY_DO_FINER] = finer,
    [KEY_DO_ENTER] = nothing,
    [KEY_DO_NEXT_PANE] = next_pane,
    [KEY_DO_PREV_PANE] = prev_pane,
    [KEY_DO_COMMAND] = open_command,
    [KEY_DO_SEARCH] = open_search,
    [KEY_DO_HELP] = open_help,
    [KEY_DO_EXPORT] = open_export,
    [KEY_DO_QUIT] = quit,
    [KEY_DO_LEAVE] = leave,
    [KEY_DO_BACK] = back,
    [KEY_DO_LEFT] = go_left,
    [KEY_DO_DOWN] = go_down,
    [KEY_DO_UP] = go_up,
    [KEY_DO_RIGHT] = go_right,
    [KEY_DO_FIRST] = go_first,
    [KEY_DO_LAST] = go_last,
    [KEY_DO_TOP] = go_top,
    [KEY_DO_BOTTOM] = go_bottom,
    [KEY_DO_PAGE_DOWN] = page_down,
    [KEY_DO_PAGE_UP] = page_up,
    [KEY_DO_NEXT] = next_hit,
    [KEY_DO_PREV] = prev_hit,
    [KEY_DO_ZOOM] = zoom,
    [KEY_DO_LAYOUT] = choose_layout,
    [KEY_DO_EDIT_PROMPT] = edit_prompt,
    [KEY_DO_BOS] = toggle_bos,
    [KEY_DO_UNDO] = undo,
    [KEY_DO_REPEAT] = repeat,
    [KEY_DO_COPY] = copy,
    [KEY_DO_REDRAW] = redraw,
    [KEY_DO_SUSPEND] = suspend,
};

/* --- Where keys go ----------------------------------------------------------------------------- */

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

static void history_step(struct workbench *wb, int step)
{
    int to = wb->at_history + step;
    if (wb->input != INPUT_COMMAND || to < 0 || to > wb->n_history)
        return;
    wb->at_history = to;
    line_set(&wb->line, to < wb->n_history ? wb->history[to] : "");
}

static void prompt_key(struct workbench *wb, const struct key *k)
{
    if (!strcmp(k->name, "Enter")) {
        wb->input = INPUT_NONE;
        if (strcmp(wb->prompt.text, wb->shown_prompt) != 0) {
            workbench_remember(wb);
            wb->sel.pos = -1;
            workbench_run_prompt(wb);
        }
        workbench_focus(wb, wb->main_focus);
    } else if (!strcmp(k->name, "Esc")) {
        wb->input = INPUT_NONE;
        line_set(&wb->prompt, wb->shown_prompt);
        workbench_focus(wb, wb->main_focus);
    } else if (!strcmp(k->name, "Tab")) {
        wb->input = INPUT_NONE;
        step_pane(wb, 1);
    } else {
        line_key(&wb->prompt, k);
    }
}

static void line_input(struct workbench *wb, const struct key *k)
{
    if (!strcmp(k->name, "Enter"))
        finish_line(wb);
    else if (!strcmp(k->name, "Esc") || (!strcmp(k->name, "Backspace") && !wb->line.n))
        wb->input = INPUT_NONE;
    else if (!strcmp(k->name, "Tab") && wb->input == INPUT_COMMAND)
        colon_complete(wb);
    else if (!strcmp(k->name, "Up") || !strcmp(k->name, "Ctrl-P"))
        history_step(wb, -1);
    else if (!strcmp(k->name, "Down") || !strcmp(k->name, "Ctrl-N"))
        history_step(wb, 1);
    else
        line_key(&wb->line, k);
}

static void mouse(struct workbench *wb, const struct key *k)
{
    for (int i = 0; i < PANE_COUNT; i++) {
        struct pane *p = &wb->panes[i];
        struct rect r = p->rect;
        struct view_data d;
        struct mark marks[PANE_HITS + 8];
        if (k->x < r.x || k->y < r.y || k->x >= r.x + r.w || k->y >= r.y + r.h)
            continue;
        if (strcmp(k->name, "Mouse") != 0) {
            enum pane_id was = wb->focus;
            wb->focus = p->id;
            for (int n = 0; n < 3; n++)
                move(wb, k->name[5] == 'U' ? MOVE_UP : MOVE_DOWN);
            wb->focus = was;
            return;
        }
        workbench_focus(wb, p->id);
        if (p->id == PANE_PROMPT) {
            wb->input = INPUT_PROMPT;
            return;
        }
        pane_data(wb, p, &d, marks);
        int64_t pos = wb->sel.pos;
        if (d.n && p->view->pick && p->view->pick(&d, &p->st, k->x, k->y) && p->class->lead)
            p->class->lead(wb, p);
        if (wb->sel.pos != pos)
            workbench_selected(wb);
        return;
    }
}

static void help_key(struct workbench *wb, const struct key *k)
{
    if (!strcmp(k->name, "j") || !strcmp(k->name, "Down") || !strcmp(k->name, "WheelDown"))
        wb->help_scroll++;
    else if (!strcmp(k->name, "k") || !strcmp(k->name, "Up") || !strcmp(k->name, "WheelUp"))
        wb->help_scroll -= wb->help_scroll > 0;
    else if (!strcmp(k->name, "PgDn") || !strcmp(k->name, "Space"))
        wb->help_scroll += wb->h / 2;
    else if (!strcmp(k->name, "PgUp"))
        wb->help_scroll = wb->help_scroll > wb->h / 2 ? wb->help_scroll - wb->h / 2 : 0;
    else
        wb->has_help = false;
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
    wb->message[0] = '\0';
    if (wb->has_help) {
        help_key(wb, k);
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
        edit_prompt(wb, k);
        line_set(&wb->prompt, k->paste);
    } else {
        enum key_id id = key_find(focused(wb)->class->name, k->name);
        if (id != KEY_DO_COUNT)
            actions[id](wb, k);
        else if (k->text[0])
            workbench_say(wb, false, "%s does nothing here; ? lists the keys", k->name);
    }
}
