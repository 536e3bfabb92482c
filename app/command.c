#include "app/command.h"

#include <stdio.h>
#include <string.h>

#include "app/flags.h"
#include "app/settings.h"
#include "app/words.h"

#define NEAREST 3

const struct verb *verb_find(const char *name)
{
    for (int i = 0; i < n_verbs; i++)
        if (!strcmp(verbs[i]->name, name))
            return verbs[i];
    return NULL;
}

/* Writes "a, b, c" of the nearest names. */
static void suggest(char *buf, size_t n, const char *word, const char *const *names, int n_names)
{
    const char *near[NEAREST];
    int found = nearest_names(near, NEAREST, word, names, n_names);
    size_t at = 0;
    buf[0] = '\0';
    for (int i = 0; i < found && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%s", i ? ", " : "", near[i]);
}

static int unknown_verb(const char *word, struct arena *arena, struct err *e)
{
    const char **names = arena_array(arena, (size_t)n_verbs, sizeof *names, e);
    if (!names)
        return ERR_LIMIT;
    int n = 0;
    for (int i = 0; i < n_verbs; i++)
        if (!verbs[i]->is_hidden)
            names[n++] = verbs[i]->name;
    char near[128];
    suggest(near, sizeof near, word, names, n);
    return err_set(
        e, ERR_USAGE, "no command \"%.60s\"; nearest: %s (sonde --help lists all)", word, near);
}

static int unknown_analysis(const char *word, int len, struct arena *arena, struct err *e)
{
    const char **names = arena_array(arena, (size_t)n_analyses + 1, sizeof *names, e);
    const char *copy = arena_strndup(arena, word, (size_t)len, e);
    if (!names || !copy)
        return ERR_LIMIT;
    for (int i = 0; i < n_analyses; i++)
        names[i] = analyses[i]->id;
    char near[128];
    suggest(near, sizeof near, copy, names, n_analyses);
    return err_set(e, ERR_USAGE,
        "no analysis \"%.60s\"; nearest: %s (sonde list analyses tells what each does)", copy,
        near);
}

/* Copies the general flags, the verb's sets and its own into one table. */
static int build_args(struct args *args, const struct verb *v, struct arena *arena, struct err *e)
{
    int n = general_flags.n + v->n_params;
    for (int s = 0; s < FLAG_SETS; s++)
        n += v->sets >> s & 1 ? flag_set_at(s)->n : 0;
    struct param *table = arena_array(arena, (size_t)n, sizeof *table, e);
    if (!table)
        return ERR_LIMIT;
    struct param *at = table;
    if (v->n_params)
        memcpy(at, v->params, (size_t)v->n_params * sizeof *at);
    at += v->n_params;
    for (int s = 0; s < FLAG_SETS; s++) {
        if (!(v->sets >> s & 1))
            continue;
        const struct flag_table *set = flag_set_at(s);
        memcpy(at, set->params, (size_t)set->n * sizeof *at);
        at += set->n;
    }
    memcpy(at, general_flags.params, (size_t)general_flags.n * sizeof *at);
    int rc = args_init(args, table, n, arena, e);
    return rc ? rc : settings_apply(args, v->name, e);
}

/* "lens,dla": the analyses and their flags. */
static int name_analyses(struct command *c, const char *list, struct arena *arena, struct err *e)
{
    size_t room = 1;
    for (const char *s = list; *s; s++)
        room += *s == ',';
    c->analyses = arena_array(arena, room, sizeof *c->analyses, e);
    c->analysis_args = arena_array(arena, room, sizeof *c->analysis_args, e);
    if (!c->analyses || !c->analysis_args)
        return ERR_LIMIT;
    for (const char *at = list;; at++) {
        int len = (int)strcspn(at, ",");
        const struct analysis *found = NULL;
        for (int i = 0; i < n_analyses && !found; i++)
            if (flag_is(analyses[i]->id, at, (size_t)len))
                found = analyses[i];
        if (!found)
            return unknown_analysis(at, len, arena, e);
        for (int i = 0; i < c->n_analyses; i++)
            if (c->analyses[i] == found)
                return err_set(
                    e, ERR_USAGE, "the analysis %s is named twice; name it once", found->id);
        int rc =
            args_init(&c->analysis_args[c->n_analyses], found->params, found->n_params, arena, e);
        if (!rc)
            rc = settings_apply(&c->analysis_args[c->n_analyses], found->id, e);
        if (rc)
            return rc;
        c->analyses[c->n_analyses++] = found;
        at += len;
        if (!*at)
            return 0;
    }
}

/* A flag as written, taken apart. */
struct flag {
    const char *name; /* without dashes and "no-" */
    size_t n;
    const char *value; /* behind "=", or NULL */
    bool is_no;
};

static struct flag take_apart(const char *word)
{
    struct flag f = {.name = word + 2};
    f.n = strcspn(f.name, "=");
    if (f.name[f.n])
        f.value = f.name + f.n + 1;
    return f;
}

/* The row of a flag in a table, -1: none. "no-" is peeled off where the row is a switch. */
static int find_row(const struct param *table, int n, struct flag *f)
{
    for (int i = 0; i < n; i++)
        if (flag_is(table[i].name, f->name, f->n))
            return i;
    if (f->n > 3 && (!strncmp(f->name, "no-", 3) || !strncmp(f->name, "no_", 3)) && !f->value)
        for (int i = 0; i < n; i++)
            if (table[i].type == PARAM_BOOL && flag_is(table[i].name, f->name + 3, f->n - 3)) {
                f->is_no = true;
                return i;
            }
    return -1;
}

static int find_letter(const struct param *table, int n, char letter)
{
    for (int i = 0; i < n; i++)
        if (table[i].letter == letter)
            return i;
    return -1;
}

/* A row by its long name or, for "-x", by its letter. */
static int find_word(const struct param *table, int n, const char *word)
{
    if (word[1] != '-')
        return find_letter(table, n, word[1]);
    struct flag f = take_apart(word);
    return find_row(table, n, &f);
}

/* Whether a flag takes the next word. Before the verb is known every table is asked; tables that
 * share a name or a letter agree about it (a test holds them to it). */
static bool takes_word(const char *word)
{
    if (word[1] == '-' ? strchr(word, '=') != NULL : word[2] != '\0')
        return false;
    for (int s = -1; s < FLAG_SETS; s++) {
        const struct flag_table *t = s < 0 ? &general_flags : flag_set_at(s);
        int row = find_word(t->params, t->n, word);
        if (row >= 0)
            return t->params[row].type != PARAM_BOOL;
    }
    for (int i = 0; i < n_verbs; i++) {
        int row = find_word(verbs[i]->params, verbs[i]->n_params, word);
        if (row >= 0)
            return verbs[i]->params[row].type != PARAM_BOOL;
    }
    if (word[1] != '-')
        return false;
    struct flag f = take_apart(word);
    const char *dot = memchr(f.name, '.', f.n);
    if (dot)
        f = (struct flag){.name = dot + 1, .n = f.n - (size_t)(dot + 1 - f.name)};
    for (int i = 0; i < n_analyses; i++) {
        int row = find_row(analyses[i]->params, analyses[i]->n_params, &f);
        if (row >= 0)
            return analyses[i]->params[row].type != PARAM_BOOL;
    }
    return false;
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1];
}

/* The index of the first word from `from` on that is no flag and no flag's value, n: none. */
static int first_operand(char *const *words, int from, int n)
{
    for (int i = from; i < n; i++) {
        if (!strcmp(words[i], "--"))
            return i + 1;
        if (!is_flag(words[i]))
            return i;
        i += takes_word(words[i]);
    }
    return n;
}

static int unknown_flag(
    const struct command *c, const char *word, struct arena *arena, struct err *e)
{
    int room = c->args.n;
    for (int i = 0; i < c->n_analyses; i++)
        room += c->analysis_args[i].n;
    const char **names = arena_array(arena, (size_t)room + 1, sizeof *names, e);
    if (!names)
        return ERR_LIMIT;
    int n = 0;
    for (int a = -1; a < c->n_analyses; a++) {
        const struct args *args = a < 0 ? &c->args : &c->analysis_args[a];
        for (int i = 0; i < args->n; i++) {
            const char *name = arena_printf(arena, e, "--%s", args->table[i].name);
            if (!name)
                return ERR_LIMIT;
            names[n++] = name;
        }
    }
    char near[192];
    suggest(near, sizeof near, word, names, n);
    return err_set(e, ERR_USAGE, "no flag %.60s for %s%s%s; nearest: %s (see --help)", word,
        c->verb->name, c->n_operands ? " " : "", c->n_operands ? c->operands[0] : "", near);
}

/* Sets a row from a flag; *used is 1 if the next word was its value. */
static int set_row(
    struct args *args, int row, const struct flag *f, const char *next, int *used, struct err *e)
{
    if (args->table[row].type == PARAM_BOOL)
        return args_set(args, row, f->value ? f->value : f->is_no ? "false" : "true", e);
    const char *value = f->value;
    if (!value) {
        if (!next)
            return err_set(e, ERR_USAGE, "--%s needs a value: %s", args->table[row].name,
                args->table[row].help);
        value = next;
        *used = 1;
    }
    return args_set(args, row, value, e);
}

/* --name, --name value, --name=value, --no-name, --analysis.name. It reaches every table that has
 * the name. */
static int set_long(struct command *c, const char *word, const char *next, int *used,
    struct arena *arena, struct err *e)
{
    struct flag f = take_apart(word);
    const char *dot = memchr(f.name, '.', f.n);
    bool found = false;
    *used = 0;
    for (int a = -1; a < c->n_analyses; a++) {
        struct args *args = a < 0 ? &c->args : &c->analysis_args[a];
        struct flag one = f;
        if (dot) {
            if (a < 0 || !flag_is(c->analyses[a]->id, f.name, (size_t)(dot - f.name)))
                continue;
            one.n -= (size_t)(dot + 1 - f.name);
            one.name = dot + 1;
        }
        int row = find_row(args->table, args->n, &one);
        if (row < 0)
            continue;
        found = true;
        int rc = set_row(args, row, &one, next, used, e);
        if (rc) {
            if (a >= 0)
                err_prefix(e, "%s", c->analyses[a]->id);
            return rc;
        }
    }
    return found ? 0 : unknown_flag(c, word, arena, e);
}

/* -m MODEL, -mMODEL, -qh. */
static int set_letters(struct command *c, const char *word, const char *next, int *used,
    struct arena *arena, struct err *e)
{
    *used = 0;
    for (const char *l = word + 1; *l; l++) {
        int row = find_letter(c->args.table, c->args.n, *l);
        if (row < 0)
            return unknown_flag(c, word, arena, e);
        if (c->args.table[row].type != PARAM_BOOL) {
            struct flag f = {.value = l[1] ? l + 1 : NULL};
            return set_row(&c->args, row, &f, next, used, e);
        }
        int rc = args_set(&c->args, row, "true", e);
        if (rc)
            return rc;
    }
    return 0;
}

static int parse_words(
    struct command *c, char *const *words, int n, int verb_at, struct arena *arena, struct err *e)
{
    const char **operands = arena_array(arena, (size_t)n + 1, sizeof *operands, e);
    if (!operands)
        return ERR_LIMIT;
    c->operands = operands;
    bool only_operands = false;
    for (int i = 0; i < n; i++) {
        int used = 0, rc = 0;
        if (i == verb_at)
            continue;
        if (!only_operands && !strcmp(words[i], "--")) {
            only_operands = true;
        } else if (only_operands || !is_flag(words[i])) {
            operands[c->n_operands++] = words[i];
        } else {
            const char *next = i + 1 < n ? words[i + 1] : NULL;
            if (i + 1 == verb_at)
                next = NULL;
            rc = words[i][1] == '-' ? set_long(c, words[i], next, &used, arena, e)
                                    : set_letters(c, words[i], next, &used, arena, e);
        }
        if (rc)
            return rc;
        i += used;
    }
    return 0;
}

static int check_operands(const struct command *c, struct err *e)
{
    const struct verb *v = c->verb;
    if (c->n_operands < v->min_operands)
        return err_set(
            e, ERR_USAGE, "%s needs %s; see sonde %s --help", v->name, v->operands, v->name);
    if (v->max_operands >= 0 && c->n_operands > v->max_operands)
        return err_set(e, ERR_USAGE, "%s does not take \"%.60s\"; see sonde %s --help", v->name,
            c->operands[v->max_operands], v->name);
    return 0;
}

static bool is_document(const char *word)
{
    const char *dot = strrchr(word, '.');
    return dot && (!strcmp(dot, ".h5") || !strcmp(dot, ".hdf5") || !strcmp(dot, ".part"));
}

int command_parse(
    struct command *out, char *const *words, int n, struct arena *arena, struct err *e)
{
    struct command c = {0};
    int verb_at = first_operand(words, 0, n);
    c.verb = verb_find(verb_at < n ? words[verb_at] : "workbench");
    /* `sonde FILE.h5`: the file is an operand, the verb goes without saying. */
    if (!c.verb && is_document(words[verb_at])) {
        c.verb = verb_find("browse");
        verb_at = -1;
    }
    if (!c.verb || (verb_at < n && c.verb->is_hidden))
        return unknown_verb(verb_at < n ? words[verb_at] : "", arena, e);
    int rc = build_args(&c.args, c.verb, arena, e);
    if (rc)
        return rc;
    if (c.verb->operand == OPERAND_ANALYSIS) {
        int at = first_operand(words, verb_at + 1, n);
        if (at < n && (rc = name_analyses(&c, words[at], arena, e)) != 0)
            return rc;
    }
    rc = parse_words(&c, words, n, verb_at, arena, e);
    if (rc)
        return rc;
    c.wants_help = args_bool(&c.args, "help");
    c.wants_version = args_bool(&c.args, "version");
    if (!c.wants_help && !c.wants_version && (rc = check_operands(&c, e)) != 0)
        return rc;
    c.text = words_join("sonde", words, n, arena, e);
    if (!c.text)
        return ERR_LIMIT;
    *out = c;
    return 0;
}
