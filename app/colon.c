#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/words.h"
#include "app/workbench.h"

/* Commands typed behind a colon: the workbench's own, and every verb of the command line, which gets
 * the model, the prompt and the edits on screen unless it names its own. */

static bool number(int64_t *out, struct workbench *wb, const char *text, int64_t n)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end) {
        workbench_say(
            wb, true, "\"%s\" is not a number; give one from 0 to %lld", text, (long long)n - 1);
        return false;
    }
    v = v < 0 ? v + n : v;
    if (v < 0 || v >= n) {
        workbench_say(wb, true, "%s is outside 0 to %lld", text, (long long)n - 1);
        return false;
    }
    *out = v;
    return true;
}

static void set_word(char **slot, const char *text)
{
    free(*slot);
    *slot = *text && strcmp(text, "auto") ? strdup(text) : NULL;
}

static void do_target(struct workbench *wb, const char *arg)
{
    set_word(&wb->target, arg);
    workbench_ask(wb, ASK_PROMPT);
}

static void do_versus(struct workbench *wb, const char *arg)
{
    set_word(&wb->versus, arg);
    workbench_ask(wb, ASK_DLA);
}

static void do_pos(struct workbench *wb, const char *arg)
{
    if (wb->lens && number(&wb->sel.pos, wb, arg, wb->lens->n))
        workbench_selected(wb);
}

static void do_layer(struct workbench *wb, const char *arg)
{
    if (number(&wb->sel.layer, wb, arg, wb->facts.cfg.n_layer))
        wb->sel.row = wb->sel.layer;
}

static void do_head(struct workbench *wb, const char *arg)
{
    int layer, head;
    char tail;
    if (sscanf(arg, "L%dH%d%c", &layer, &head, &tail) == 2 ||
        sscanf(arg, "%d.%d%c", &layer, &head, &tail) == 2) {
        if (layer >= 0 && layer < wb->facts.cfg.n_layer && head >= 0 &&
            head < wb->facts.cfg.n_head) {
            wb->sel.layer = layer;
            wb->sel.head = head;
        } else {
            workbench_say(wb, true, "%s: the model has %d layers of %d heads", arg,
                wb->facts.cfg.n_layer, wb->facts.cfg.n_head);
        }
        return;
    }
    number(&wb->sel.head, wb, arg, wb->facts.cfg.n_head);
}

static void do_prompt(struct workbench *wb, const char *arg)
{
    workbench_remember(wb);
    line_set(&wb->prompt, arg);
    wb->sel.pos = -1;
    workbench_run_prompt(wb);
}

static void do_edit(struct workbench *wb, const char *arg)
{
    workbench_toggle_edit(wb, arg);
}

static void do_clear(struct workbench *wb, const char *arg)
{
    (void)arg;
    workbench_remember(wb);
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    wb->n_edits = 0;
    workbench_edited(wb);
}

static void do_model(struct workbench *wb, const char *arg)
{
    workbench_open(wb, arg);
}

static void do_bos(struct workbench *wb, const char *arg)
{
    bool want = strcmp(arg, "off") != 0;
    if (want != wb->bos)
        workbench_key(wb, &(struct key){.name = "B"});
}

static void do_layout(struct workbench *wb, const char *arg)
{
    if (arg[0] >= '1' && arg[0] <= '9' && !arg[1]) {
        struct key k = {.name = {arg[0]}};
        workbench_key(wb, &k);
    } else {
        workbench_say(wb, true, "layouts are 1 to %d", LAYOUTS);
    }
}

static void do_theme(struct workbench *wb, const char *arg)
{
    const struct theme *t = theme_find(arg);
    if (t)
        wb->theme = t;
    else
        workbench_say(
            wb, true, "no theme \"%s\"; there are %s and %s", arg, themes[0].name, themes[1].name);
}

/* Draws the focused pane by another view that takes its field. */
static void do_view(struct workbench *wb, const char *arg)
{
    struct pane *p = &wb->panes[wb->focus];
    const struct view *v = view_find(arg);
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    if (!p->view)
        return;
    pane_data(wb, p, &d, marks);
    if (v && d.n && view_accepts(v, &p->field)) {
        p->view = v;
        p->st.has_axes = false;
        return;
    }
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < n_views && at < sizeof list; i++)
        if (d.n && view_accepts(views[i], &p->field))
            at +=
                (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", views[i]->id);
    workbench_say(wb, true, "view \"%s\" does not suit this pane; %s do", arg, list);
}

static void do_export(struct workbench *wb, const char *arg)
{
    export_pane(wb, arg);
}

static void do_shot(struct workbench *wb, const char *arg)
{
    export_screen(wb, arg);
}

static void do_help(struct workbench *wb, const char *arg)
{
    (void)arg;
    wb->has_help = true;
    wb->help_scroll = 0;
}

static void do_quit(struct workbench *wb, const char *arg)
{
    (void)arg;
    wb->wants_quit = true;
}

static const struct own {
    const char *name, *arg, *help;
    void (*run)(struct workbench *wb, const char *arg);
} own[] = {
    {"target", "TOKEN|#ID|auto", "the token that lens and DLA explain", do_target},
    {"versus", "TOKEN|#ID|none|auto", "what DLA compares it with", do_versus},
    {"prompt", "TEXT", "run another prompt", do_prompt},
    {"pos", "N", "choose a position", do_pos},
    {"layer", "N", "choose a layer", do_layer},
    {"head", "L3H2", "choose a head", do_head},
    {"edit", "L3H2=zero", "put an edit on the model, or take it back", do_edit},
    {"clear", "", "take every edit back", do_clear},
    {"model", "NAME", "open another model", do_model},
    {"bos", "on|off", "BOS before the prompt", do_bos},
    {"layout", "1-9", "choose a layout", do_layout},
    {"theme", "night|day", "colours", do_theme},
    {"view", "NAME", "draw this pane by another view", do_view},
    {"write", "FILE", "export this view: .svg, .csv, .npy or .txt", do_export},
    {"shot", "FILE", "the whole screen as .svg or .txt", do_shot},
    {"keys", "", "help for this pane", do_help},
    {"quit", "", "leave", do_quit},
};
#define N_OWN ((int)(sizeof own / sizeof *own))

static const struct own *own_find(const char *name)
{
    for (int i = 0; i < N_OWN; i++)
        if (!strcmp(own[i].name, name) || (!name[1] && name[0] == 'q' && own[i].run == do_quit))
            return &own[i];
    return NULL;
}

static void remember_command(struct workbench *wb, const char *line)
{
    char **grown = realloc(wb->history, (size_t)(wb->n_history + 1) * sizeof *grown);
    if (grown) {
        wb->history = grown;
        if ((wb->history[wb->n_history] = strdup(line)))
            wb->n_history++;
    }
    if (line == wb->last_command)
        return;
    free(wb->last_command);
    wb->last_command = strdup(line);
}

static bool is_given(const struct command *c, const char *name)
{
    int row = args_find(&c->args, name);
    return row >= 0 && c->args.values[row].is_set;
}

static void put_quoted(struct buf *b, const char *text)
{
    buf_put(b, "'", 1);
    for (; *text; text++)
        if (*text == '\'')
            buf_puts(b, "'\\''");
        else
            buf_put(b, text, 1);
    buf_put(b, "'", 1);
}

/* The line with the model, the prompt and the edits on screen where it names none of its own. */
static void put_line(
    struct buf *b, const struct workbench *wb, const struct command *c, const char *line)
{
    bool has_input = is_given(c, "prompt") || is_given(c, "file") || is_given(c, "tokens") ||
                     is_given(c, "dataset");
    buf_puts(b, line);
    if (c->verb->sets & FLAGS_MODEL && wb->facts.is_open) {
        buf_puts(b, " -m ");
        put_quoted(b, wb->model_name);
    }
    if (c->verb->sets & FLAGS_INPUT && !has_input) {
        buf_puts(b, " -p ");
        put_quoted(b, wb->shown_prompt);
    }
    if (c->verb->sets & FLAGS_EDIT && !is_given(c, "edit"))
        for (int i = 0; i < wb->n_edits; i++) {
            buf_puts(b, " --edit ");
            put_quoted(b, wb->edits[i]);
        }
}

static void run_verb(struct workbench *wb, const char *line)
{
    struct arena arena = {0};
    struct command c;
    struct err e = {0};
    struct buf b = {0};
    char **words;
    int n;
    if (words_split(&words, &n, line, &arena, &e) || command_parse(&c, words, n, &arena, &e)) {
        workbench_say(wb, true, "%s", e.msg);
    } else if (is_given(&c, "model")) {
        workbench_say(wb, true, "commands here run on the model on screen; :model NAME changes it");
    } else {
        put_line(&b, wb, &c, line);
        struct question q = {
            .ask = ASK_COMMAND, .text = b.data, .name = line, .serial = ++wb->serial};
        wb->asked[ASK_COMMAND] = q.serial;
        if (b.data && !b.failed)
            wb->engine->ask(wb->engine, &q);
        workbench_say(wb, false, "running %s; Esc cancels", c.verb->name);
    }
    buf_release(&b);
    arena_release(&arena);
}

void colon_run(struct workbench *wb, const char *line)
{
    char name[32];
    while (isspace((unsigned char)*line))
        line++;
    size_t n = strcspn(line, " \t");
    if (!n)
        return;
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    remember_command(wb, line);
    const struct own *o = own_find(name);
    const struct verb *v = o ? NULL : verb_find(name);
    if (o) {
        const char *arg = line + n + (line[n] != '\0');
        /* A token's leading space is part of it; elsewhere blanks around a word are not. */
        if (o->run != do_target && o->run != do_versus && o->run != do_prompt)
            while (isspace((unsigned char)*arg))
                arg++;
        if (*o->arg && !*arg)
            workbench_say(wb, true, ":%s needs %s", o->name, o->arg);
        else
            o->run(wb, arg);
    } else if (v && !v->is_hidden) {
        run_verb(wb, line);
    } else {
        const char *names[64], *near[3];
        int k = 0;
        for (int i = 0; i < N_OWN && k < 64; i++)
            names[k++] = own[i].name;
        for (int i = 0; i < n_verbs && k < 64; i++)
            if (!verbs[i]->is_hidden)
                names[k++] = verbs[i]->name;
        int found = nearest_names(near, 3, name, names, k);
        workbench_say(wb, true, "no command \"%s\"; nearest: %s%s%s%s%s", name,
            found > 0 ? near[0] : "", found > 1 ? ", " : "", found > 1 ? near[1] : "",
            found > 2 ? ", " : "", found > 2 ? near[2] : "");
    }
}

/* --- Completion -------------------------------------------------------------------------------- */

struct words {
    const char *list[128];
    int n;
    const char *help;
};

static void add_word(struct words *w, const char *word, const char *prefix)
{
    if (w->n < (int)(sizeof w->list / sizeof *w->list) && !strncmp(word, prefix, strlen(prefix)))
        w->list[w->n++] = word;
}

static void candidates(
    struct words *w, const struct workbench *wb, const char *first, const char *word, bool is_first)
{
    if (is_first) {
        for (int i = 0; i < N_OWN; i++)
            add_word(w, own[i].name, word);
        for (int i = 0; i < n_verbs; i++)
            if (!verbs[i]->is_hidden)
                add_word(w, verbs[i]->name, word);
        if (w->n == 1) {
            const struct own *o = own_find(w->list[0]);
            const struct verb *v = verb_find(w->list[0]);
            w->help = o ? o->help : v ? v->brief : NULL;
        }
        return;
    }
    if (!strcmp(first, "theme"))
        for (int i = 0; i < n_themes; i++)
            add_word(w, themes[i].name, word);
    if (!strcmp(first, "view"))
        for (int i = 0; i < n_views; i++)
            add_word(w, views[i]->id, word);
    if (!strcmp(first, "bos")) {
        add_word(w, "on", word);
        add_word(w, "off", word);
    }
    const struct answer *a = wb->dla;
    if (!strcmp(first, "head") && a && a->contribution.fetch)
        for (int64_t i = 0; i < a->contribution.axes[0].size; i++)
            if (strchr(a->contribution.axes[0].labels[i], 'H'))
                add_word(w, a->contribution.axes[0].labels[i], word);
    const struct verb *v = verb_find(first);
    if (v && v->operand == OPERAND_ANALYSIS)
        for (int i = 0; i < n_analyses; i++)
            add_word(w, analyses[i]->id, word);
}

void colon_complete(struct workbench *wb)
{
    struct words w = {.n = 0};
    char first[64], list[400] = "";
    const char *text = wb->line.text, *word = strrchr(text, ' ');
    bool is_first = !word;
    word = word ? word + 1 : text;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(text, " "), text);
    candidates(&w, wb, first, word, is_first);
    if (!w.n) {
        const struct own *o = own_find(first);
        workbench_say(
            wb, false, o && !is_first ? "%s %s" : "no completion", first, o ? o->arg : "");
        return;
    }
    size_t common = strlen(w.list[0]);
    for (int i = 1; i < w.n; i++)
        while (common && strncmp(w.list[0], w.list[i], common) != 0)
            common--;
    char tail[128];
    size_t typed = strlen(word);
    snprintf(tail, sizeof tail, "%.*s%s", (int)(common > typed ? common - typed : 0),
        w.list[0] + typed, w.n == 1 ? " " : "");
    line_insert(&wb->line, tail);
    size_t at = 0;
    for (int i = 0; w.n > 1 && i < w.n && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? "  " : "", w.list[i]);
    workbench_say(wb, false, "%s", w.n > 1 ? list : w.help ? w.help : "");
}
