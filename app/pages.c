#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse.h"
#include "app/state.h"
#include "app/workbench.h"

/* Which panes are on screen and which one has the keys. */

static const struct layout *layout_of(const struct workbench *wb)
{
    if (!wb->in_documents)
        return &wb->layouts[wb->layout - 1];
    return &wb->documents[wb->w > 0 && wb->w < DOCUMENTS_W];
}

void documents_layout(struct workbench *wb)
{
    struct err e;
    if (layout_parse(&wb->documents[0], "[36 documents | block]", &e) ||
        layout_parse(&wb->documents[1], "*", &e))
        workbench_say(wb, true, "%s", e.msg);
}

struct layout *workbench_layout(struct workbench *wb)
{
    return (struct layout *)layout_of(wb);
}

bool pane_is_focused(const struct workbench *wb, const struct pane *p)
{
    return wb->focus == p->slot;
}

static bool is_strip(int slot)
{
    return slot == PANE_PROMPT || slot == PANE_TOKENS;
}

bool workbench_shows(const struct workbench *wb, int slot)
{
    if (is_strip(slot))
        return !wb->in_documents;
    if (wb->in_documents && (slot == PANE_DOCUMENTS || slot == PANE_BLOCK))
        return true;
    return layout_leaf(layout_of(wb), slot) >= 0;
}

/* A slot takes another kind: nothing of the old one stays. */
static void seat(struct workbench *wb, int slot, int kind)
{
    struct pane *p = &wb->panes[slot];
    if (p->class == pane_class(kind))
        return;
    *p = (struct pane){.class = pane_class(kind), .id = (enum pane_id)kind, .slot = slot};
    p->view = p->class->view ? view_find(p->class->view) : NULL;
}

static void open_pane(struct workbench *wb, int slot)
{
    struct pane *p = &wb->panes[slot];
    if (p->class->open)
        p->class->open(wb, p);
}

void workbench_arranged(struct workbench *wb)
{
    const struct layout *l = workbench_layout(wb);
    for (int i = 0; i < l->n; i++) {
        const struct layout_node *n = &l->nodes[i];
        if (n->split || n->slot < 0)
            continue;
        seat(wb, n->slot, n->kind);
        struct pane *p = &wb->panes[n->slot];
        const struct view *v = *n->view ? view_find(n->view) : NULL;
        if (v && p->view && v != p->view) {
            p->view = v;
            p->st.has_axes = false;
        }
        open_pane(wb, n->slot);
    }
    if (!workbench_shows(wb, wb->focus))
        workbench_focus(wb, layout_first(l));
}

void workbench_choose(struct workbench *wb, int number)
{
    wb->layout = number;
    wb->in_documents = false;
    wb->zoomed = SLOT_NONE;
    wb->n_back = 0;
    workbench_arranged(wb);
}

void workbench_focus(struct workbench *wb, int slot)
{
    wb->focus = slot;
    if (is_strip(slot))
        return;
    wb->main_focus = slot;
    if (wb->zoomed != SLOT_NONE)
        wb->zoomed = slot;
}

/* Shows a pane: where the layout has it, else over everything; Esc comes back here. */
void workbench_drill(struct workbench *wb, int slot)
{
    int room = (int)(sizeof wb->back / sizeof *wb->back);
    if (wb->n_back == room)
        memmove(wb->back, wb->back + 1, (size_t)--wb->n_back * sizeof *wb->back);
    wb->back[wb->n_back++] = wb->focus;
    if (wb->zoomed != SLOT_NONE || !workbench_shows(wb, slot))
        wb->zoomed = slot;
    wb->focus = slot;
    wb->main_focus = slot;
    open_pane(wb, slot);
}

/* Whether the documents lie over panes of a model, to which Esc and q go back. */
bool workbench_can_leave(const struct workbench *wb)
{
    return wb->in_documents && wb->facts.is_open;
}

void workbench_back(struct workbench *wb)
{
    if (wb->n_back > 0) {
        int to = wb->back[--wb->n_back];
        wb->zoomed = workbench_shows(wb, to) ? SLOT_NONE : to;
        workbench_focus(wb, to);
    } else if (workbench_can_leave(wb) && wb->zoomed == SLOT_NONE) {
        int to = wb->before_documents;
        workbench_choose(wb, wb->layout);
        if (workbench_shows(wb, to))
            workbench_focus(wb, to);
    } else {
        wb->zoomed = SLOT_NONE;
        if (!workbench_shows(wb, wb->focus))
            workbench_focus(wb, layout_first(workbench_layout(wb)));
    }
}

/* The layout that shows one pane at a time goes through those of the first. */
static bool takes_turns(struct workbench *wb, int slot)
{
    const struct layout *l = workbench_layout(wb);
    if (l->n > 1 || l->nodes[0].slot != SLOT_FOCUSED)
        return layout_leaf(l, slot) >= 0;
    if (wb->in_documents)
        return slot == PANE_DOCUMENTS || slot == PANE_BLOCK;
    return slot == PANE_LENS || slot == PANE_NEXT || slot == PANE_ATTENTION || slot == PANE_DLA;
}

void workbench_step(struct workbench *wb, int step)
{
    for (int i = 1; i <= PANE_SLOTS; i++) {
        int slot = (wb->focus + i * step + PANE_SLOTS * 2) % PANE_SLOTS;
        if ((is_strip(slot) && !wb->in_documents) || takes_turns(wb, slot)) {
            workbench_focus(wb, slot);
            return;
        }
    }
}

/* --- Remembering them -------------------------------------------------------------------------- */

/* "layout.5L4H128d": models of one shape share their layouts. */
static void shape_key(char *buf, size_t n, const struct workbench *wb)
{
    const struct config *c = &wb->facts.cfg;
    snprintf(buf, n, "layout.%dL%dH%dd", c->n_layer, c->n_head, c->d_model);
}

/* The value is "3; 1 [50 lens | dla]; 4 ..": the one in force, then those that were changed. */
void layouts_load(struct workbench *wb)
{
    struct arena scratch = {0};
    struct err e;
    char key[64];
    shape_key(key, sizeof key, wb);
    const char *value = wb->remembers ? state_get(key, &scratch) : NULL;
    int number = value && *value >= '1' && *value <= '9' ? *value - '0' : 0;
    for (const char *at = value; at && (at = strchr(at, ';'));) {
        char text[1024];
        at += 1 + strspn(at + 1, " ");
        int which = *at - '0';
        if (which < 1 || which > LAYOUTS)
            break;
        at++;
        snprintf(text, sizeof text, "%.*s", (int)strcspn(at, ";"), at);
        layout_parse(&wb->layouts[which - 1], text, &e);
    }
    if (number)
        workbench_choose(wb, number);
    arena_release(&scratch);
}

void layouts_save(struct workbench *wb)
{
    char key[64], value[LAYOUTS * 600], text[512], made[512];
    struct layout preset;
    struct err e;
    if (!wb->remembers || !wb->facts.is_open)
        return;
    shape_key(key, sizeof key, wb);
    size_t at = (size_t)snprintf(value, sizeof value, "%d", wb->layout);
    for (int i = 0; i < LAYOUTS; i++) {
        layout_preset(&preset, i + 1);
        layout_print(made, sizeof made, &preset);
        layout_print(text, sizeof text, &wb->layouts[i]);
        if (strcmp(text, made) != 0 && at < sizeof value)
            at += (size_t)snprintf(value + at, sizeof value - at, "; %d %s", i + 1, text);
    }
    /* Nothing changed is nothing to remember. */
    state_set(key, at > 1 || wb->layout != 1 ? value : NULL, &e);
}

/* --- Keys and words of layouts ----------------------------------------------------------------- */

void act_next_pane(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_step(wb, 1);
}

void act_prev_pane(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_step(wb, -1);
}

void act_zoom(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->zoomed != SLOT_NONE)
        workbench_back(wb);
    else if (!is_strip(wb->focus))
        wb->zoomed = wb->focus;
}

void act_layout(struct workbench *wb, const struct key *k)
{
    workbench_choose(wb, k->name[0] - '0');
    workbench_say(wb, false, "layout %d: %s", wb->layout, layout_title(wb->layout));
}

static void split(struct workbench *wb, char how, int kind)
{
    struct err e = {0};
    int added;
    if (layout_split(&added, workbench_layout(wb), wb->main_focus, how, kind, &e)) {
        workbench_say(wb, true, "%s", e.msg);
        return;
    }
    const struct view *view = wb->panes[wb->main_focus].view;
    wb->zoomed = SLOT_NONE;
    workbench_arranged(wb);
    if (kind == (int)wb->panes[wb->main_focus].id)
        wb->panes[added].view = view;
    workbench_focus(wb, added);
    workbench_say(
        wb, false, "V another view, P another pane here, Ctrl-arrows size it, X closes it");
}

void act_split_right(struct workbench *wb, const struct key *k)
{
    (void)k;
    split(wb, '|', (int)wb->panes[wb->main_focus].id);
}

void act_split_down(struct workbench *wb, const struct key *k)
{
    (void)k;
    split(wb, '/', (int)wb->panes[wb->main_focus].id);
}

/* The documents' own two, without which there is no browsing. */
static bool is_document_pane(const struct workbench *wb, int slot)
{
    return wb->in_documents && (slot == PANE_DOCUMENTS || slot == PANE_BLOCK);
}

void act_close_pane(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (is_document_pane(wb, wb->main_focus)) {
        workbench_say(wb, false, "the documents and their block stay; Esc goes back to the panes");
        return;
    }
    if (!layout_close(workbench_layout(wb), wb->main_focus)) {
        workbench_say(wb, false, "the last pane of a layout stays; 1 to 9 choose another layout");
        return;
    }
    wb->zoomed = SLOT_NONE;
    wb->n_back = 0;
    workbench_focus(wb, layout_first(workbench_layout(wb)));
    workbench_arranged(wb);
}

/* Moves the border of the split around the pane: to the right and down are the first part's growth. */
static void resize(struct workbench *wb, char how, int percent)
{
    if (!layout_resize(workbench_layout(wb), wb->main_focus, how, percent))
        workbench_say(wb, false, "no split runs that way; | and - make one");
}

void act_wider(struct workbench *wb, const struct key *k)
{
    (void)k;
    resize(wb, '|', 4);
}

void act_narrower(struct workbench *wb, const struct key *k)
{
    (void)k;
    resize(wb, '|', -4);
}

void act_taller(struct workbench *wb, const struct key *k)
{
    (void)k;
    resize(wb, '/', 6);
}

void act_shorter(struct workbench *wb, const struct key *k)
{
    (void)k;
    resize(wb, '/', -6);
}

void act_reset_layout(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->in_documents) {
        const int was = wb->focus;
        documents_layout(wb);
        wb->zoomed = SLOT_NONE;
        wb->n_back = 0;
        workbench_arranged(wb);
        if (workbench_shows(wb, was))
            workbench_focus(wb, was);
        workbench_say(wb, false, "the layout of the documents as it was made");
        return;
    }
    layout_preset(workbench_layout(wb), wb->layout);
    workbench_choose(wb, wb->layout);
    workbench_say(wb, false, "layout %d as it was made", wb->layout);
}

void act_next_kind(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct layout *l = workbench_layout(wb);
    int at = layout_leaf(l, wb->main_focus), kind = (int)wb->panes[wb->main_focus].id;
    if (is_document_pane(wb, wb->main_focus)) {
        workbench_say(wb, false, "the documents and their block stay; | and - put a pane beside");
        return;
    }
    if (at < 0) {
        workbench_say(wb, false, "this pane is no part of the layout; 1 to 9 choose one");
        return;
    }
    do
        kind = kind + 1 < PANE_COUNT ? kind + 1 : PANE_LENS;
    while (layout_leaf(l, kind) >= 0 && kind != (int)wb->panes[wb->main_focus].id);
    int slot = layout_replace(l, wb->main_focus, kind);
    workbench_arranged(wb);
    workbench_focus(wb, slot);
    workbench_say(wb, false, "%s", wb->panes[slot].class->title);
}

/* Draws the pane by another view; the layout remembers it. */
static void take_view(struct workbench *wb, struct pane *p, const struct view *v)
{
    struct layout *l = workbench_layout(wb);
    int at = layout_leaf(l, p->slot);
    p->view = v;
    p->st.has_axes = false;
    if (at >= 0)
        snprintf(l->nodes[at].view, sizeof l->nodes[at].view, "%s", v->id);
}

void act_next_view(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct pane *p = &wb->panes[wb->focus];
    struct view_data d = {0};
    struct mark marks[PANE_HITS + 8];
    if (p->view)
        pane_data(wb, p, &d, marks);
    int at = 0;
    while (at < n_views && views[at] != p->view)
        at++;
    for (int i = 1; d.n && i < n_views; i++) {
        const struct view *v = views[(at + i) % n_views];
        if (!view_accepts(v, &p->field) || !view_suits(v, &p->field))
            continue;
        take_view(wb, p, v);
        workbench_say(wb, false, "%s", v->title);
        return;
    }
    workbench_say(wb, false, "no other view suits this pane");
}

void colon_view(struct workbench *wb, const char *arg)
{
    struct pane *p = &wb->panes[wb->focus];
    const struct view *v = view_find(arg);
    struct view_data d = {0};
    struct mark marks[PANE_HITS + 8];
    if (p->view)
        pane_data(wb, p, &d, marks);
    if (v && d.n && view_accepts(v, &p->field)) {
        take_view(wb, p, v);
        return;
    }
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < n_views && at < sizeof list; i++)
        if (d.n && view_accepts(views[i], &p->field) && view_suits(views[i], &p->field))
            at +=
                (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", views[i]->id);
    workbench_say(wb, true, "view \"%s\" does not suit this pane; %s", arg,
        at ? list : "it has nothing to draw");
}

void colon_layout(struct workbench *wb, const char *arg)
{
    struct err e = {0};
    struct layout l;
    if (arg[0] >= '1' && arg[0] <= '9' && (!arg[1] || arg[1] == ' ')) {
        const char *text = arg + 1 + strspn(arg + 1, " ");
        if (*text && layout_parse(&l, text, &e))
            workbench_say(wb, true, "%s", e.msg);
        else if (*text)
            wb->layouts[arg[0] - '1'] = l;
        workbench_choose(wb, arg[0] - '0');
    } else if (layout_parse(&l, arg, &e)) {
        workbench_say(wb, true, "%s; or give a number from 1 to %d", e.msg, LAYOUTS);
    } else {
        wb->layouts[wb->layout - 1] = l; /* the documents keep theirs */
        workbench_choose(wb, wb->layout);
    }
}

static int kind_named(struct workbench *wb, const char *name)
{
    const char *names[PANE_COUNT], *near[1];
    for (int i = 0; i < PANE_COUNT; i++)
        if (!strcmp(names[i] = pane_class(i)->name, name))
            return i;
    nearest_names(near, 1, name, names, PANE_COUNT);
    workbench_say(wb, true, "no pane \"%s\"; the nearest is %s", name, near[0]);
    return -1;
}

void colon_focus(struct workbench *wb, const char *arg)
{
    char name[64];
    size_t n = strcspn(arg, " ");
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), arg);
    int kind = kind_named(wb, name), nth = atoi(arg + n), slot;
    if (kind < 0)
        return;
    bool is_document = kind == PANE_DOCUMENTS || kind == PANE_BLOCK;
    if (is_document && !wb->in_documents)
        browse_show(wb, kind);
    else if (!is_document && wb->in_documents)
        workbench_choose(wb, wb->layout);
    if (nth > 1 && (slot = layout_find_nth(workbench_layout(wb), kind, nth)) >= 0)
        workbench_focus(wb, slot);
    else if (workbench_shows(wb, kind))
        workbench_focus(wb, kind);
    else
        workbench_drill(wb, kind);
}

void colon_split(struct workbench *wb, const char *arg)
{
    size_t n = strcspn(arg, " ");
    const char *name = arg + n + strspn(arg + n, " ");
    bool down = n == 4 && !strncmp(arg, "down", 4);
    int kind = *name ? kind_named(wb, name) : (int)wb->panes[wb->main_focus].id;
    if (!down && !(n == 5 && !strncmp(arg, "right", 5)))
        workbench_say(wb, true, "split takes right or down, and a pane's name");
    else if (kind == PANE_PROMPT || kind == PANE_TOKENS)
        workbench_say(
            wb, true, "the %s has its place above; choose another pane", pane_class(kind)->name);
    else if (kind >= 0)
        split(wb, down ? '/' : '|', kind);
}

void colon_close(struct workbench *wb, const char *arg)
{
    (void)arg;
    act_close_pane(wb, NULL);
}

void colon_zoom(struct workbench *wb, const char *arg)
{
    bool want = strcmp(arg, "off") != 0;
    if (want != (wb->zoomed != SLOT_NONE))
        act_zoom(wb, NULL);
}
