#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/desk.h"
#include "app/edit_list.h"
#include "app/history.h"
#include "app/journal.h"
#include "app/patching.h"
#include "app/words.h"
#include "app/workbench.h"
#include "model/core/text.h"

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

void colon_target(struct workbench *wb, const char *arg)
{
    set_word(&wb->target, arg);
    workbench_ask(wb, ASK_PROMPT);
}

void colon_versus(struct workbench *wb, const char *arg)
{
    set_word(&wb->versus, arg);
    workbench_ask(wb, ASK_DLA);
}

void colon_pos(struct workbench *wb, const char *arg)
{
    if (wb->lens && number(&wb->sel.pos, wb, arg, wb->lens->n))
        workbench_selected(wb);
}

void colon_layer(struct workbench *wb, const char *arg)
{
    if (number(&wb->sel.layer, wb, arg, wb->facts.cfg.n_layer))
        wb->sel.row = wb->sel.layer;
}

void colon_head(struct workbench *wb, const char *arg)
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

/* "pos=3 layer=1": what is out of range is brought into it when the answers come. */
void colon_select(struct workbench *wb, const char *arg)
{
    struct {
        const char *name;
        int64_t *value;
    } parts[] = {{"pos", &wb->sel.pos}, {"key", &wb->sel.key}, {"row", &wb->sel.row},
        {"layer", &wb->sel.layer}, {"head", &wb->sel.head}};
    while (*arg) {
        size_t n = strcspn(arg, "= "), i = 0;
        while (i < 5 && !(strlen(parts[i].name) == n && !strncmp(arg, parts[i].name, n)))
            i++;
        if (i == 5 || arg[n] != '=') {
            workbench_say(wb, true, "select takes pos=, key=, row=, layer= and head=, as in pos=3");
            return;
        }
        char *end;
        long long v = strtoll(arg + n + 1, &end, 10);
        if (end == arg + n + 1 || (*end && *end != ' ') || v < 0 || v > INT32_MAX) {
            workbench_say(wb, true, "%s needs a number from 0", parts[i].name);
            return;
        }
        *parts[i].value = v;
        wb->has_selection = true;
        arg = end + strspn(end, " ");
    }
    workbench_clamp(wb);
    workbench_selected(wb);
}

void colon_prompt(struct workbench *wb, const char *arg)
{
    workbench_remember(wb);
    line_set(&wb->prompt, arg);
    wb->sel.pos = -1;
    workbench_run_prompt(wb);
}

void colon_edit(struct workbench *wb, const char *arg)
{
    workbench_toggle_edit(wb, arg);
}

void colon_clear(struct workbench *wb, const char *arg)
{
    (void)arg;
    workbench_remember(wb);
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    wb->n_edits = 0;
    workbench_edited(wb);
}

void colon_edits(struct workbench *wb, const char *arg)
{
    struct arena scratch = {0};
    struct err e = {0};
    char **words;
    int n;
    if (words_split(&words, &n, arg, &scratch, &e))
        workbench_say(wb, true, "%s", e.msg);
    else
        edits_replace(wb, (const char *const *)words, n);
    arena_release(&scratch);
}

void colon_model(struct workbench *wb, const char *arg)
{
    workbench_open(wb, arg);
}

void colon_bos(struct workbench *wb, const char *arg)
{
    bool want = strcmp(arg, "off") != 0;
    if (wb->is_replaying)
        wb->bos = want;
    else if (want != wb->bos)
        act_toggle_bos(wb, NULL);
}

/* "no theme "x"; there are night, day": from the list. */
static void name_choices(struct workbench *wb, const char *what, const char *arg)
{
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < n_themes && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", themes[i].name);
    workbench_say(wb, true, "no %s \"%s\"; there are %s", what, arg, list);
}

void colon_theme(struct workbench *wb, const char *arg)
{
    const struct theme *t = theme_find(arg);
    if (t)
        wb->theme = t;
    else
        name_choices(wb, "theme", arg);
}

void colon_write(struct workbench *wb, const char *arg)
{
    export_pane(wb, arg);
}

void colon_shot(struct workbench *wb, const char *arg)
{
    export_screen(wb, arg);
}

/* Reopens an earlier session: what it showed is undone by nothing, so the present one is kept in its
 * own log. */
void colon_session(struct workbench *wb, const char *arg)
{
    char path[4096];
    struct err e = {0};
    if (journal_find(path, sizeof path, *arg ? arg : "last", wb->engine->log, &e) ||
        journal_replay(wb, path, &e)) {
        workbench_say(wb, true, "%s", e.msg);
        return;
    }
    workbench_open(wb, *wb->asked_model ? wb->asked_model : wb->model_name);
    if (!*wb->message)
        workbench_say(wb, false, "reopened %s", path);
}

void colon_quit(struct workbench *wb, const char *arg)
{
    (void)arg;
    wb->wants_quit = true;
}

static const struct word rows[] = {
#define COMMAND(name, kind, arg, complete, help) {#name, kind, arg, complete, help, colon_##name},
#include "app/colon.def"
#undef COMMAND
};

int word_count(void)
{
    return (int)(sizeof rows / sizeof *rows);
}

const struct word *word_row(int index)
{
    return &rows[index];
}

const struct word *word_find(const char *name)
{
    for (int i = 0; i < word_count(); i++)
        if (!strcmp(rows[i].name, name) || (!strcmp(name, "q") && rows[i].run == colon_quit))
            return &rows[i];
    return NULL;
}

static void remember_command(struct workbench *wb, const char *line)
{
    history_add(wb->history, line);
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

/* As one word of one line, whatever the text holds. */
static void put_quoted(struct buf *b, const char *text)
{
    struct arena scratch = {0};
    struct err e;
    const char *q = words_quote(text, &scratch, &e);
    if (q)
        buf_puts(b, q);
    else
        b->failed = 1;
    arena_release(&scratch);
}

/* Where it names no input of its own: the pair on screen for what needs one, else the prompt. True: it
 * takes that prompt. */
static bool put_input(struct buf *b, const struct workbench *wb, const struct command *c)
{
    static const char *const inputs[] = {
        "prompt", "file", "tokens", "dataset", "clean", "corrupt", "cache"};
    struct arena arena = {0};
    struct err e;
    bool needs_pair = false;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (is_given(c, inputs[i]))
            return false;
    for (int i = 0; i < c->n_analyses; i++)
        needs_pair = needs_pair || c->analyses[i]->pairs == PAIRS_NEEDED;
    if (needs_pair) {
        const char *flags = patching_pair_flags(wb, &arena, &e);
        buf_printf(b, " %s", flags ? flags : "");
    } else {
        buf_puts(b, " -p ");
        put_quoted(b, wb->shown_prompt);
    }
    arena_release(&arena);
    return !needs_pair;
}

/* Whether it runs under the edits on screen. */
static bool takes_edits(const struct command *c)
{
    return c->verb->sets & FLAGS_EDIT && !is_given(c, "edit") && !is_given(c, "cache");
}

/* The line with the model, the input and the edits on screen where it names none of its own. */
static void put_line(
    struct buf *b, const struct workbench *wb, const struct command *c, const char *line)
{
    bool is_prompt = false;
    buf_puts(b, line);
    if (c->verb->sets & FLAGS_MODEL && wb->facts.is_open) {
        buf_puts(b, " -m ");
        put_quoted(b, wb->model_name);
    }
    if (c->verb->sets & FLAGS_INPUT)
        is_prompt = put_input(b, wb, c);
    if (c->verb->sets & FLAGS_INPUT && !wb->bos && !is_given(c, "prepend-bos"))
        buf_puts(b, " --no-prepend-bos");
    if (takes_edits(c))
        for (int i = 0; i < wb->n_edits; i++) {
            if (edit_is_off(wb->edits[i]))
                continue;
            struct arena scratch = {0};
            struct err e;
            /* Other inputs are counted by themselves. */
            const char *edit =
                is_prompt ? edit_for_prompt(wb, wb->edits[i], &scratch, &e) : wb->edits[i];
            buf_puts(b, " --edit ");
            put_quoted(b, edit ? edit : wb->edits[i]);
            arena_release(&scratch);
        }
}

/* What people see of it; a report made under edits says so. */
static void name_job(
    char *buf, size_t n, const struct workbench *wb, const struct command *c, const char *line)
{
    const int n_on = workbench_edits_on(wb);
    size_t at = (size_t)snprintf(buf, n, "%s", line);
    if (!n_on || !takes_edits(c))
        return;
    for (int i = 0, k = 0; i < wb->n_edits && at < n; i++)
        if (!edit_is_off(wb->edits[i]) && k++ == 0)
            at += (size_t)snprintf(
                buf + at, n - at, " under %d edit%s: %s", n_on, text_s(n_on), wb->edits[i]);
        else if (!edit_is_off(wb->edits[i]))
            at += (size_t)snprintf(buf + at, n - at, ", %s", wb->edits[i]);
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
        char name[160];
        name_job(name, sizeof name, wb, &c, line);
        struct question q = {
            .ask = ASK_COMMAND, .text = b.data, .name = name, .serial = ++wb->serial};
        wb->asked[ASK_COMMAND] = q.serial;
        if (b.data && !b.failed)
            wb->engine->ask(wb->engine, &q);
        workbench_say(wb, false, "running %s; J lists the jobs", c.verb->name);
    }
    buf_release(&b);
    arena_release(&arena);
}

static const char *trimmed(const char *text, struct arena *a)
{
    struct err e;
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    return arena_strndup(a, text, n, &e);
}

static void run_word(struct workbench *wb, const struct word *w, const char *typed)
{
    struct arena scratch = {0};
    struct err e = {.msg = "no memory for the line"};
    /* A token's leading space is part of it; elsewhere blanks around a word are not. */
    if (w->run == colon_target || w->run == colon_versus || w->run == colon_prompt ||
        w->run == colon_add_prompt)
        typed = arena_strdup(&scratch, typed, &e);
    else
        typed = trimmed(typed, &scratch);
    bool is_list = w->run == colon_edits || w->run == colon_prompts || w->run == colon_pair;
    const char *arg = !typed ? NULL : is_list ? typed : desk_argument(typed, &scratch, &e);
    if (!arg)
        workbench_say(wb, true, "%s", e.msg);
    else if (*w->arg && !*arg && w->run != colon_prompt && w->run != colon_session &&
             w->run != colon_pair)
        workbench_say(wb, true, ":%s needs %s", w->name, w->arg);
    else {
        w->run(wb, arg);
        if (w->kind != WORD_LOCAL && !wb->is_replaying && !wb->is_error)
            journal_did(wb->journal, w->name, arg);
    }
    arena_release(&scratch);
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
    const struct word *o = word_find(name);
    const struct verb *v = o ? NULL : verb_find(name);
    if (o) {
        run_word(wb, o, line + n + (line[n] != '\0'));
    } else if (v && !v->is_hidden) {
        run_verb(wb, line);
    } else {
        const char *names[128], *near[3];
        int k = 0;
        for (int i = 0; i < word_count() && k < 128; i++)
            names[k++] = rows[i].name;
        for (int i = 0; i < n_verbs && k < 128; i++)
            if (!verbs[i]->is_hidden)
                names[k++] = verbs[i]->name;
        int found = nearest_names(near, 3, name, names, k);
        workbench_say(wb, true, "no command \"%s\"; nearest: %s%s%s%s%s", name,
            found > 0 ? near[0] : "", found > 1 ? ", " : "", found > 1 ? near[1] : "",
            found > 2 ? ", " : "", found > 2 ? near[2] : "");
    }
}
