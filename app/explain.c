#include <stdio.h>
#include <string.h>

#include "app/help.h"
#include "app/workbench.h"

/* Help over the panes: of the focused pane, made from the key table and the registries, or of one
 * analysis or view. */

/* Lines of the help, drawn from `skip` on; returns how many there are. */
struct pager {
    struct canvas *c;
    struct rect in;
    int line, skip;
};

static int pager_row(struct pager *p)
{
    int y = p->line++ - p->skip;
    return y >= 0 && y < p->in.h ? p->in.y + y : -1;
}

static void pager_text(struct pager *p, struct style s, const char *text)
{
    struct rect r = {p->in.x, p->in.y + p->line - p->skip, p->in.w, INT16_MAX};
    p->line += screen_wrapped(p->c, r, s, text);
}

static void pager_keys(struct pager *p, const char *pane, bool is_own)
{
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        bool any = !strcmp(k->pane, "any");
        if (any == is_own || !key_in_pane(k, pane))
            continue;
        if (any && key_find(pane, k->key) != i)
            continue;
        /* What it does, beside the keys, on as many lines as it takes. */
        const struct rect words = {
            p->in.x + 21, p->in.y + p->line - p->skip, p->in.w - 22, INT16_MAX};
        const int lines = screen_wrapped(p->c, words, STYLE(TEXT), k->help);
        const int y = pager_row(p);
        p->line += lines - 1;
        if (y < 0)
            continue;
        int x = p->in.x + 3;
        x += canvas_text(p->c, x, y, -1, STYLE(KEY), k->key);
        if (*k->also) {
            x += canvas_text(p->c, x, y, -1, STYLE(DIM), ", ");
            canvas_text(p->c, x, y, -1, STYLE(KEY), k->also);
        }
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
        wb->overlay = NULL;
}

static void explain_analysis(struct pager *p, const struct analysis *a)
{
    pager_text(p, STYLE(STRONG), a->title);
    pager_text(p, STYLE(TEXT), a->help);
    if (a->source)
        pager_text(p, STYLE(DIM), a->source);
    pager_row(p);
}

static void explain_view(struct pager *p, const struct view *v)
{
    pager_text(p, STYLE(STRONG), v->title);
    pager_text(p, STYLE(TEXT), v->help);
    pager_row(p);
}

static void explain_params(struct pager *p, const struct param *params, int n)
{
    char flag[128], facts[256], line[1024];
    if (n)
        pager_text(p, STYLE(STRONG), "parameters");
    for (int i = 0; i < n; i++) {
        help_flag(flag, sizeof flag, &params[i]);
        help_facts(facts, sizeof facts, &params[i]);
        snprintf(line, sizeof line, "%s: %s%s%s%s", flag + strspn(flag, " "), params[i].help,
            *facts ? " (" : "", facts, *facts ? ")" : "");
        pager_text(p, STYLE(TEXT), line);
    }
}

/* What :explain was asked about. */
static void draw_subject(struct workbench *wb, struct pager *p)
{
    const struct analysis *a = analysis_find(wb->subject);
    const struct view *v = view_find(wb->subject);
    if (a) {
        explain_analysis(p, a);
        explain_params(p, a->params, a->n_params);
        if (v)
            pager_row(p);
    }
    if (v)
        explain_view(p, v);
}

static void draw_pane_help(struct workbench *wb, struct pager *p)
{
    const struct pane *pane = &wb->panes[wb->focus];
    const struct analysis *a = pane->class->analysis ? analysis_find(pane->class->analysis) : NULL;
    if (pane->class->help) {
        pager_text(p, STYLE(STRONG), pane->class->title);
        pager_text(p, STYLE(TEXT), pane->class->help);
        pager_row(p);
    }
    if (a)
        explain_analysis(p, a);
    if (pane->view)
        explain_view(p, pane->view);
    pager_text(p, STYLE(STRONG), "keys of this pane");
    pager_keys(p, pane->class->name, true);
    pager_row(p);
    pager_text(p, STYLE(STRONG), "keys everywhere");
    pager_keys(p, pane->class->name, false);
    pager_row(p);
    pager_text(p, STYLE(DIM),
        "In a line being typed: arrows, Home, End, Ctrl-A E U K W, Ctrl-arrows; Up and Down walk "
        "through earlier commands, Ctrl-R finds one; Tab completes; Esc leaves it.");
}

static void draw_help(struct workbench *wb, struct canvas *c)
{
    const char *name = wb->subject[0] ? wb->subject : wb->panes[wb->focus].class->name;
    int w = wb->w - 8 < 92 ? wb->w - 8 : 92, h = wb->h - 4;
    struct rect r = {(wb->w - w) / 2, 2, w, h};
    char title[96];
    snprintf(title, sizeof title,
        w > 70 ? "help: %s (any other key closes, j and k scroll)"
               : "help: %s (j k scroll, q closes)",
        name);
    canvas_fill(c, (struct rect){r.x - 1, r.y, w + 2, h}, (struct style){0}, " ");
    struct rect in = canvas_frame(c, r, title, true), old = canvas_clip(c, in);
    struct pager p = {c, in, 0, wb->help_scroll};
    if (wb->subject[0])
        draw_subject(wb, &p);
    else
        draw_pane_help(wb, &p);
    c->clip = old;
    int most = p.line > in.h ? p.line - in.h : 0;
    if (wb->help_scroll > most)
        wb->help_scroll = most;
}

static const struct overlay help = {draw_help, help_key};

void workbench_help(struct workbench *wb)
{
    wb->overlay = &help;
    wb->help_scroll = 0;
    wb->subject[0] = '\0';
}

void colon_explain(struct workbench *wb, const char *arg)
{
    if (!analysis_find(arg) && !view_find(arg)) {
        workbench_say(wb, true, "no analysis or view \"%s\"; Tab completes", arg);
        return;
    }
    workbench_help(wb);
    snprintf(wb->subject, sizeof wb->subject, "%s", arg);
}

void act_help(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_help(wb);
}

void colon_keys(struct workbench *wb, const char *arg)
{
    (void)arg;
    workbench_help(wb);
}
