#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/edit_list.h"
#include "app/prompts.h"

/* What can be done to the thing that is selected: x zeroes it, M lists the rest. */

#define ITEMS 64

struct item {
    char edit[4200]; /* to be put on; or, where it ends in ':', the beginning of one to be typed */
    char what[96];
};

struct edit_menu {
    struct item list[ITEMS];
    int n, at, top;
    struct rect box;
    char target[64];
};

bool edit_target(const struct workbench *wb, char *buf, size_t n, bool *has_pos)
{
    const struct pane *p = &wb->panes[wb->focus];
    const struct selection *s = &wb->sel;
    const char *label = NULL;
    int layer, unit;
    *has_pos = false;
    if ((p->id == PANE_DLA || p->id == PANE_NEURONS) && p->field.fetch && p->field.rank == 1 &&
        p->field.axes[0].labels && p->st.at[0] < p->field.axes[0].size)
        label = p->field.axes[0].labels[p->st.at[0]];
    if (label && (!strcmp(label, "embed") || !strcmp(label, "pos_embed")))
        snprintf(buf, n, "%s", label);
    else if (label && sscanf(label, "L%d%*[HN]%d", &layer, &unit) == 2)
        snprintf(buf, n, "%s", label);
    else if (label && sscanf(label, "L%d_", &layer) == 1)
        snprintf(buf, n, "L%d_mlp", layer);
    else if (label)
        return false;
    else if (p->id == PANE_ATTENTION || p->id == PANE_HEADS)
        snprintf(buf, n, "L%lldH%lld", (long long)s->layer, (long long)s->head);
    else if (p->id == PANE_DOSSIER && sscanf(wb->dossier_of, "L%d%*[HN]%d", &layer, &unit) == 2)
        snprintf(buf, n, "%s", wb->dossier_of);
    else if (p->id == PANE_DOSSIER && sscanf(wb->dossier_of, "L%d", &layer) == 1)
        snprintf(buf, n, "L%d_mlp", layer);
    else if (p->id == PANE_TOKENS || p->id == PANE_DOSSIER) {
        *has_pos = true;
        snprintf(buf, n, "embed");
    } else if (p->id == PANE_LENS || p->id == PANE_CELL) {
        int last = wb->facts.cfg.n_layer;
        *has_pos = true;
        snprintf(buf, n, "L%lld.resid_%s", (long long)(s->row < last ? s->row : last - 1),
            s->row < last ? "pre" : "post");
    } else {
        return false;
    }
    return true;
}

static const char nothing[] =
    "nothing to edit here; choose a head, an MLP, a neuron, a layer of the "
    "lens or a token";

void act_ablate(struct workbench *wb, const struct key *k)
{
    char target[64], edit[128];
    bool has_pos;
    (void)k;
    if (!edit_target(wb, target, sizeof target, &has_pos)) {
        workbench_say(wb, false, "%s", nothing);
        return;
    }
    if (has_pos)
        snprintf(edit, sizeof edit, "%s@%lld=zero", target, (long long)wb->sel.pos);
    else
        snprintf(edit, sizeof edit, "%s=zero", target);
    workbench_toggle_edit(wb, edit);
}

static void add(struct edit_menu *m, const char *what, const char *where, const char *op)
{
    if (m->n == ITEMS)
        return;
    struct item *it = &m->list[m->n++];
    snprintf(it->edit, sizeof it->edit, "%s%s=%.4000s", m->target, where, op);
    snprintf(it->what, sizeof it->what, "%.95s", what);
}

static void fill(struct edit_menu *m, const struct workbench *wb, bool has_pos)
{
    static const struct {
        const char *op, *what;
    } ops[] = {{"zero", "set to zero"}, {"mean", "its mean over the prompt"},
        {"scale:0.5", "half of it"}, {"scale:2", "twice of it"}, {"scale:-1", "turned around"},
        {"add:", "add a number or FILE.npy .."}, {"set:", "set to a number or FILE.npy .."},
        {"scale:", "multiplied by .."}, {"from:", "as in another text .."}};
    char here[32], what[160], op[4100];
    snprintf(here, sizeof here, "@%lld", (long long)wb->sel.pos);
    for (int scope = 0; scope < 2; scope++) {
        bool at_pos = has_pos ? !scope : scope;
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            snprintf(what, sizeof what, "%s, %s", ops[i].what,
                at_pos ? "at this position" : "everywhere");
            add(m, what, at_pos ? here : "", ops[i].op);
        }
        for (int i = 0; i < prompts_count(wb); i++) {
            if (prompts_current(wb) == i)
                continue;
            snprintf(what, sizeof what, "as in prompt %d, %s", i + 1,
                at_pos ? "at this position" : "everywhere");
            snprintf(op, sizeof op, "from:%.4000s", prompts_text(wb, i));
            add(m, what, at_pos ? here : "", op);
        }
    }
    int layer, head;
    if (wb->panes[wb->focus].id != PANE_ATTENTION ||
        sscanf(m->target, "L%dH%d", &layer, &head) != 2)
        return;
    /* One entry of the pattern. */
    snprintf(here, sizeof here, "@%lld,%lld", (long long)wb->sel.pos, (long long)wb->sel.key);
    snprintf(m->target, sizeof m->target, "L%dH%d.pattern", layer, head);
    snprintf(what, sizeof what, "no attention from %lld to %lld", (long long)wb->sel.pos,
        (long long)wb->sel.key);
    add(m, what, here, "zero");
    snprintf(m->target, sizeof m->target, "L%dH%d", layer, head);
}

static void close_menu(struct workbench *wb)
{
    free(wb->menu);
    wb->menu = NULL;
    wb->overlay = NULL;
}

static bool is_on(const struct workbench *wb, const char *edit)
{
    for (int i = 0; i < wb->n_edits; i++)
        if (!strcmp(wb->edits[i], edit))
            return true;
    return false;
}

static void draw(struct workbench *wb, struct canvas *c)
{
    struct edit_menu *m = wb->menu;
    char title[128];
    int w = wb->w - 8 < 78 ? wb->w - 8 : 78, most = wb->h - 6,
        h = m->n + 2 < most ? m->n + 2 : most;
    m->box = (struct rect){(wb->w - w) / 2, 3, w, h};
    canvas_fill(c, m->box, (struct style){0}, " ");
    snprintf(
        title, sizeof title, "edit %s (Enter puts it on or takes it off, Esc closes)", m->target);
    struct rect in = canvas_frame(c, m->box, title, true), old = canvas_clip(c, in);
    if (m->at < m->top)
        m->top = m->at;
    if (m->at >= m->top + in.h)
        m->top = m->at - in.h + 1;
    for (int y = 0; y < in.h && m->top + y < m->n; y++) {
        const struct item *it = &m->list[m->top + y];
        bool on = is_on(wb, it->edit);
        canvas_text(c, in.x + 1, in.y + y, 2, STYLE(MARK), on ? "*" : " ");
        int x = in.x + 3 + canvas_text(c, in.x + 3, in.y + y, in.w / 2, STYLE(TEXT), it->what) + 2;
        int room = in.x + in.w - 1 - x;
        canvas_text(c, x, in.y + y, room, on ? STYLE(WARN) : STYLE(DIM), it->edit);
        if (m->top + y == m->at)
            canvas_reverse(c, (struct rect){in.x, in.y + y, in.w, 1});
    }
    c->clip = old;
}

static void choose(struct workbench *wb)
{
    struct item it = wb->menu->list[wb->menu->at];
    size_t n = strlen(it.edit);
    close_menu(wb);
    if (n && it.edit[n - 1] == ':') {
        char line[4300];
        snprintf(line, sizeof line, "edit %s", it.edit);
        act_command(wb, NULL);
        line_set(&wb->line, line);
    } else {
        workbench_toggle_edit(wb, it.edit);
    }
}

static void key(struct workbench *wb, const struct key *k)
{
    struct edit_menu *m = wb->menu;
    int by = !strcmp(k->name, "j") || !strcmp(k->name, "Down") || !strcmp(k->name, "WheelDown") ||
                     !strcmp(k->name, "Tab")
                 ? 1
             : !strcmp(k->name, "k") || !strcmp(k->name, "Up") || !strcmp(k->name, "WheelUp") ? -1
             : !strcmp(k->name, "PgDn")                                                       ? 8
             : !strcmp(k->name, "PgUp")                                                       ? -8
                                                                                              : 0;
    int row = m->top + k->y - m->box.y - 1;
    if (by) {
        m->at = m->at + by < 0 ? 0 : m->at + by >= m->n ? m->n - 1 : m->at + by;
    } else if (!strcmp(k->name, "Mouse") && k->x > m->box.x && k->x < m->box.x + m->box.w - 1 &&
               k->y > m->box.y && k->y < m->box.y + m->box.h - 1 && row < m->n) {
        bool again = row == m->at;
        m->at = row;
        if (again)
            choose(wb);
    } else if (!strcmp(k->name, "Enter") || !strcmp(k->name, "Space")) {
        choose(wb);
    } else if (!strcmp(k->name, "Esc") || !strcmp(k->name, "q") || !strcmp(k->name, "Mouse")) {
        close_menu(wb);
    }
}

void act_edit_menu(struct workbench *wb, const struct key *k)
{
    static const struct overlay overlay = {draw, key};
    bool has_pos;
    char target[64];
    (void)k;
    if (!edit_target(wb, target, sizeof target, &has_pos)) {
        workbench_say(wb, false, "%s", nothing);
        return;
    }
    free(wb->menu);
    wb->menu = calloc(1, sizeof *wb->menu);
    if (!wb->menu)
        return;
    snprintf(wb->menu->target, sizeof wb->menu->target, "%s", target);
    fill(wb->menu, wb, has_pos);
    wb->overlay = &overlay;
}
