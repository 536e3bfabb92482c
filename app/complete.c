#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/command.h"
#include "app/flags.h"
#include "app/log.h"
#include "app/options.h"
#include "app/save.h"
#include "app/workbench.h"
#include "datasets/dataset.h"

/* Completion of a line of the command language: words, verbs, analyses, flags and what they take. */

#define CHOICES 512

struct choices {
    const char *list[CHOICES];
    int n;
    const char *prefix; /* what is typed of the word */
    const char *help;   /* of the only one */
    const struct workbench *wb;
    struct arena arena;
    bool is_open; /* more may follow: a folder, a list */
};

static void add(struct choices *c, const char *word)
{
    struct err e;
    if (c->n == CHOICES || strncmp(word, c->prefix, strlen(c->prefix)) != 0)
        return;
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->list[i], word))
            return;
    const char *copy = arena_strdup(&c->arena, word, &e);
    if (copy)
        c->list[c->n++] = copy;
}

/* "a|b|c" */
static void from_list(struct choices *c, const char *list)
{
    char word[64];
    while (list && *list) {
        size_t n = strcspn(list, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        add(c, word);
        list += n + (list[n] == '|');
    }
}

/* --- What an argument can be: a row of `sources` ----------------------------------------------- */

static void add_model(void *arg, const char *name, const char *path)
{
    (void)path;
    add(arg, name);
}

static void files(struct choices *c)
{
    const char *slash = strrchr(c->prefix, '/');
    int len = slash ? (int)(slash + 1 - c->prefix) : 0;
    struct err e;
    const char *folder = len ? arena_strndup(&c->arena, c->prefix, (size_t)len, &e) : "./";
    DIR *dir = folder ? opendir(folder) : NULL;
    for (const struct dirent *d; dir && (d = readdir(dir));) {
        char path[1200];
        struct stat st;
        if (d->d_name[0] == '.' && (!slash ? c->prefix[0] : slash[1]) != '.')
            continue;
        snprintf(path, sizeof path, "%s%s", folder, d->d_name);
        bool is_folder = !stat(path, &st) && S_ISDIR(st.st_mode);
        snprintf(path, sizeof path, "%.*s%s%s", len, c->prefix, d->d_name, is_folder ? "/" : "");
        add(c, path);
        c->is_open |= is_folder;
    }
    if (dir)
        closedir(dir);
}

static void models(struct choices *c)
{
    struct err e;
    add(c, "tiny");
    model_list(add_model, c, &e);
    files(c);
}

static void switches(struct choices *c)
{
    add(c, "on");
    add(c, "off");
}

static void copies(struct choices *c)
{
    from_list(c, "readout|cell|row|pane");
}

static void saves(struct choices *c)
{
    from_list(c, save_kinds());
}

static void heads(struct choices *c)
{
    char name[32];
    for (int l = 0; l < c->wb->facts.cfg.n_layer; l++)
        for (int h = 0; h < c->wb->facts.cfg.n_head; h++) {
            snprintf(name, sizeof name, "L%dH%d", l, h);
            add(c, name);
        }
}

static void edits(struct choices *c)
{
    static const char *const ops[] = {"zero", "mean", "resample:", "scale:", "add:", "set:"};
    char name[96];
    const char *equals = strchr(c->prefix, '=');
    for (size_t i = 0; equals && i < sizeof ops / sizeof *ops; i++) {
        snprintf(name, sizeof name, "%.*s=%s",
            (int)(equals - c->prefix < 64 ? equals - c->prefix : 64), c->prefix, ops[i]);
        add(c, name);
    }
    for (int i = 0; i < c->wb->n_edits; i++)
        add(c, c->wb->edits[i]);
    c->is_open = true;
    if (equals)
        return;
    heads(c);
    for (int l = 0; l < c->wb->facts.cfg.n_layer; l++) {
        snprintf(name, sizeof name, "L%d_mlp", l);
        add(c, name);
        snprintf(name, sizeof name, "L%d_attn", l);
        add(c, name);
    }
}

/* The best next tokens at the selection, then the words of auto and none. */
static void tokens(struct choices *c)
{
    const struct answer *a = c->wb->lens;
    int64_t k = a && a->top_text && a->top_token.fetch ? a->top_token.axes[2].size : 0;
    int64_t at = a ? ((int64_t)c->wb->facts.cfg.n_layer * a->n + c->wb->sel.pos) * k : 0;
    add(c, "auto");
    add(c, "none");
    for (int64_t i = 0; i < k && c->wb->sel.pos >= 0 && c->wb->sel.pos < a->n; i++)
        add(c, a->top_text[at + i]);
}

static void layouts(struct choices *c)
{
    char number[2] = {0};
    for (int i = 1; i <= LAYOUTS; i++) {
        number[0] = (char)('0' + i);
        add(c, number);
    }
}

static void panes(struct choices *c)
{
    for (int i = 0; i < PANE_COUNT; i++)
        add(c, pane_class(i)->name);
}

static void splits(struct choices *c)
{
    add(c, "right");
    add(c, "down");
    panes(c);
}

static void all_views(struct choices *c)
{
    for (int i = 0; i < n_views; i++)
        add(c, views[i]->id);
}

static void subjects(struct choices *c)
{
    for (int i = 0; i < n_analyses; i++)
        add(c, analyses[i]->id);
    all_views(c);
}

static void all_themes(struct choices *c)
{
    for (int i = 0; i < n_themes; i++)
        add(c, themes[i].name);
}

static void settings(struct choices *c)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        add(c, option_params[i].name);
}

static void analyses_list(struct choices *c)
{
    const char *comma = strrchr(c->prefix, ',');
    char word[160];
    for (int i = 0; i < n_analyses; i++) {
        snprintf(word, sizeof word, "%.*s%s", comma ? (int)(comma + 1 - c->prefix) : 0, c->prefix,
            analyses[i]->id);
        add(c, word);
    }
}

static void sessions(struct choices *c)
{
    const char *paths[100];
    struct err e;
    int n = log_list(paths, 100, c->wb->engine->log, &c->arena, &e);
    add(c, "last");
    for (int i = 0; i < n; i++)
        add(c, paths[i]);
}

static void dataset_names(struct choices *c)
{
    for (int i = 0; i < n_datasets; i++)
        add(c, datasets[i]->id);
}

/* Datasets that have pairs, each with the number of its first one to come; then files. */
static void pair_names(struct choices *c)
{
    char name[96];
    for (int i = 0; i < n_datasets; i++) {
        snprintf(name, sizeof name, "%s:", datasets[i]->id);
        if (dataset_gives_pairs(datasets[i]))
            add(c, name);
    }
    files(c);
}

static const struct {
    const char *name;
    void (*list)(struct choices *c);
} sources[] = {{"model", models}, {"switch", switches}, {"copy", copies}, {"save", saves},
    {"edit", edits}, {"token", tokens}, {"head", heads}, {"layout", layouts}, {"pane", panes},
    {"split", splits}, {"view", all_views}, {"theme", all_themes}, {"setting", settings},
    {"file", files}, {"analysis", analyses_list}, {"dataset", dataset_names}, {"pair", pair_names},
    {"session", sessions}, {"subject", subjects}};

static void from_source(struct choices *c, const char *name)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (!strcmp(sources[i].name, name))
            sources[i].list(c);
}

/* --- Flags of a verb --------------------------------------------------------------------------- */

typedef bool (*param_fn)(void *arg, const struct param *p);

/* Every flag that a verb takes, those of the analyses named on the line too; ends at a true answer. */
static bool each_flag(const struct verb *v, const char *line, param_fn fn, void *arg)
{
    for (int i = 0; i < v->n_params; i++)
        if (fn(arg, &v->params[i]))
            return true;
    for (int s = -1; s < FLAG_SETS; s++) {
        const struct flag_table *t = s < 0 ? &general_flags : flag_set_at(s);
        for (int i = 0; (s < 0 || v->sets >> s & 1) && i < t->n; i++)
            if (fn(arg, &t->params[i]))
                return true;
    }
    for (int a = 0; v->operand == OPERAND_ANALYSIS && a < n_analyses; a++)
        for (int i = 0; strstr(line, analyses[a]->id) && i < analyses[a]->n_params; i++)
            if (fn(arg, &analyses[a]->params[i]))
                return true;
    return false;
}

static bool add_flag(void *arg, const struct param *p)
{
    char flag[64];
    snprintf(flag, sizeof flag, "--%s", p->name);
    struct choices *c = arg;
    int before = c->n;
    add(c, flag);
    if (c->n > before)
        c->help = p->help;
    return false;
}

struct flag_search {
    const char *word;
    const struct param *found;
};

static bool is_wanted(void *arg, const struct param *p)
{
    struct flag_search *s = arg;
    char flag[64], letter[3] = {'-', p->letter, '\0'};
    snprintf(flag, sizeof flag, "--%s", p->name);
    if (strcmp(s->word, flag) != 0 && (!p->letter || strcmp(s->word, letter) != 0))
        return false;
    s->found = p;
    return true;
}

static void of_verb(struct choices *c, const struct verb *v, const char *line, const char *before)
{
    struct flag_search s = {.word = before};
    if (before[0] == '-')
        each_flag(v, line, is_wanted, &s);
    if (s.found && s.found->type != PARAM_BOOL) {
        from_list(c, s.found->choices);
        from_source(c, !strcmp(s.found->name, "model")     ? "model"
                       : !strcmp(s.found->name, "dataset") ? "dataset"
                       : !strcmp(s.found->name, "edit")    ? "edit"
                       : s.found->type == PARAM_FILE       ? "file"
                       : s.found->type == PARAM_TOKEN      ? "token"
                                                           : "");
        c->help = c->n ? NULL : s.found->help;
    } else if (c->prefix[0] == '-') {
        each_flag(v, line, add_flag, c);
    } else {
        static const char *const by_operand[] = {
            [OPERAND_ANALYSIS] = "analysis", [OPERAND_FILE] = "file", [OPERAND_NONE] = ""};
        from_list(c, v->operand == OPERAND_CHOICE ? v->choices : NULL);
        if (v->operand == OPERAND_ANALYSIS || v->operand == OPERAND_FILE)
            from_source(c, by_operand[v->operand]);
    }
}

/* --- The line ---------------------------------------------------------------------------------- */

static void first_words(struct choices *c)
{
    for (int i = 0; i < word_count(); i++)
        add(c, word_row(i)->name);
    for (int i = 0; i < n_verbs; i++)
        if (!verbs[i]->is_hidden)
            add(c, verbs[i]->name);
    if (c->n == 1) {
        const struct word *w = word_find(c->list[0]);
        const struct verb *v = verb_find(c->list[0]);
        c->help = w ? w->help : v ? v->brief : NULL;
    }
}

static void setting_value(struct choices *c, const char *line)
{
    char name[32];
    line += strcspn(line, " ");
    line += strspn(line, " ");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " "), line);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (!strcmp(option_params[i].name, name))
            from_list(
                c, option_params[i].type == PARAM_BOOL ? "true|false" : option_params[i].choices);
}

static void gather(struct choices *c, const char *line, const char *word)
{
    char first[64], before[64] = "";
    snprintf(first, sizeof first, "%.*s", (int)strcspn(line, " "), line);
    const char *end = word;
    while (end > line && end[-1] == ' ')
        end--;
    const char *begin = end;
    while (begin > line && begin[-1] != ' ')
        begin--;
    snprintf(before, sizeof before, "%.*s", (int)(end - begin), begin);
    const struct word *w = word_find(first);
    const struct verb *v = w ? NULL : verb_find(first);
    if (word == line)
        first_words(c);
    else if (w && w->run == colon_set && begin != line)
        setting_value(c, line);
    else if (w && w->run == colon_save && begin != line)
        files(c);
    else if (w)
        from_source(c, w->complete);
    else if (v)
        of_verb(c, v, line, before);
    if (!c->n && w && word != line)
        c->help = w->arg;
}

void colon_complete(struct workbench *wb)
{
    struct choices c = {.wb = wb};
    char list[400] = "", tail[256];
    const char *text = wb->line.text, *word = strrchr(text, ' ');
    word = word ? word + 1 : text;
    /* A token's blank is part of it. */
    const struct word *w = word_find("target");
    for (int i = 0; w && i < 2; i++, w = word_find("versus"))
        if (!strncmp(text, w->name, strlen(w->name)) && text[strlen(w->name)] == ' ')
            word = text + strlen(w->name) + 1;
    c.prefix = word;
    gather(&c, text, word);
    if (!c.n) {
        workbench_say(wb, false, "%s", c.help ? c.help : "no completion");
        arena_release(&c.arena);
        return;
    }
    size_t common = strlen(c.list[0]), typed = strlen(word);
    for (int i = 1; i < c.n; i++)
        while (common && strncmp(c.list[0], c.list[i], common) != 0)
            common--;
    char last = common ? c.list[0][common - 1] : ' ';
    snprintf(tail, sizeof tail, "%.*s%s", (int)(common > typed ? common - typed : 0),
        c.list[0] + typed, c.n == 1 && last != '/' && last != ':' && last != '=' ? " " : "");
    if (c.n == 1 && c.is_open && tail[0] && tail[strlen(tail) - 1] == ' ' && c.prefix != text &&
        !strchr(c.list[0], '=') && c.list[0][0] == 'L')
        tail[strlen(tail) - 1] = '=';
    line_insert(&wb->line, tail);
    size_t at = 0;
    for (int i = 0; c.n > 1 && i < c.n && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? "  " : "", c.list[i]);
    workbench_say(wb, false, "%s", c.n > 1 ? list : c.help ? c.help : "");
    arena_release(&c.arena);
}
