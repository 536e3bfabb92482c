#include "app/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/command.h"
#include "app/flags.h"
#include "app/keys.h"
#include "app/words.h"
#include "model/core/stream.h"

struct setting {
    const char *scope, *name, *value; /* scope NULL: wherever the flag exists */
    int line;
};

static struct {
    struct arena arena;
    char path[4096];
    struct setting *list;
    int n, room;
    struct err wrong; /* the first line that is none */
} settings;

static void find_path(void)
{
    const char *given = getenv("SONDE_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    size_t n = sizeof settings.path;
    if (given && *given)
        snprintf(settings.path, n, "%s", given);
    else if (xdg && *xdg)
        snprintf(settings.path, n, "%s/sonde/config", xdg);
    else
        snprintf(settings.path, n, "%s/.config/sonde/config", home ? home : "");
}

/* A flag that can have a default of one's own: switches that end the command and lists cannot. */
static bool is_setting(const struct param *p)
{
    return !p->many && strcmp(p->name, "help") != 0 && strcmp(p->name, "version") != 0;
}

/* One of the tables of flags: those shared, those of verbs, those of analyses. */
struct scope {
    const char *name; /* NULL: a shared one */
    const struct param *params;
    int n;
};

static int scope_count(void)
{
    return 1 + FLAG_SETS + n_verbs + n_analyses;
}

static struct scope scope_at(int i)
{
    if (i <= FLAG_SETS) {
        const struct flag_table *t = i ? flag_set_at(i - 1) : &general_flags;
        return (struct scope){NULL, t->params, t->n};
    }
    i -= 1 + FLAG_SETS;
    if (i < n_verbs)
        return (struct scope){verbs[i]->name, verbs[i]->params, verbs[i]->n_params};
    const struct analysis *a = analyses[i - n_verbs];
    return (struct scope){a->id, a->params, a->n_params};
}

/* The flag of a scope that a setting is about, NULL: none. */
static const struct param *find_in(const struct scope *in, const char *scope, const char *name)
{
    if (scope && (!in->name || strcmp(in->name, scope) != 0))
        return NULL;
    for (int i = 0; i < in->n; i++)
        if (is_setting(&in->params[i]) && flag_is(in->params[i].name, name, strlen(name)))
            return &in->params[i];
    return NULL;
}

/* "threads", "lens.top", "key.next-head": every name a line can begin with. */
static int all_names(const char **out, int max, struct arena *arena)
{
    struct err e;
    int n = 0;
    for (int k = 0; k < scope_count(); k++) {
        const struct scope in = scope_at(k);
        for (int i = 0; i < in.n && n + 1 < max; i++) {
            if (!is_setting(&in.params[i]))
                continue;
            out[n++] = in.params[i].name;
            if (!in.name)
                continue;
            out[n] = arena_printf(arena, &e, "%s.%s", in.name, in.params[i].name);
            n += out[n] != NULL;
        }
    }
    for (int i = 0; i < key_count() && n < max; i++) {
        out[n] = arena_printf(arena, &e, "key.%s", key_row(i)->name);
        n += out[n] != NULL;
    }
    return n;
}

/* "config:3: lens.top: ...": the setting and its line, where a flag would be named. */
static int set_wrong(const struct setting *s, struct err *e)
{
    struct err was = *e;
    size_t skip = 0;
    if (!strncmp(was.msg, "--", 2)) {
        skip = 2 + strlen(s->name);
        skip = skip < strlen(was.msg) ? skip : 2;
    }
    char *flags = strstr(was.msg, "; give --"); /* how a switch is typed elsewhere */
    if (flags)
        snprintf(flags, sizeof was.msg - (size_t)(flags - was.msg), "; give one of these");
    return err_set(e, ERR_INPUT, "%s:%d: %s%s%s%.600s", settings.path, s->line,
        s->scope ? s->scope : "", s->scope ? "." : "", skip ? s->name : "", was.msg + skip);
}

static int unknown(const char *scope, const char *name, int line, struct err *e)
{
    enum { MOST = 4000, NEAR = 3 };
    struct arena scratch = {0};
    const char *near[NEAR] = {""}, **names = arena_array(&scratch, MOST, sizeof *names, e);
    char whole[128];
    if (!names)
        return ERR_LIMIT;
    snprintf(whole, sizeof whole, "%s%s%s", scope ? scope : "", scope ? "." : "", name);
    int n = nearest_names(near, NEAR, whole, names, all_names(names, MOST, &scratch));
    int rc =
        err_set(e, ERR_INPUT, "%s:%d: no setting %s; nearest: %s%s%s%s%s (sonde config lists all)",
            settings.path, line, whole, n > 0 ? near[0] : "", n > 1 ? ", " : "",
            n > 1 ? near[1] : "", n > 2 ? ", " : "", n > 2 ? near[2] : "");
    arena_release(&scratch);
    return rc;
}

/* Whether the value is one for every flag that the setting is about, before any command comes by that
 * has it. 1: there is no such flag. */
static int check_value(const struct setting *s, struct err *e)
{
    int fits = 0;
    struct err first = {0};
    const char *refuses = NULL;
    for (int k = 0; k < scope_count(); k++) {
        const struct scope in = scope_at(k);
        const struct param *p = find_in(&in, s->scope, s->name);
        struct arena scratch = {0};
        struct args one;
        if (!p)
            continue;
        const int rc = args_init(&one, p, 1, &scratch, e) || args_set(&one, 0, s->value, e);
        if (rc && !first.code) {
            first = *e;
            refuses = in.name;
        }
        fits += !rc;
        arena_release(&scratch);
    }
    if (!first.code)
        return !fits;
    if (fits && refuses) /* one name, several flags */
        err_set(e, first.code, "%.400s, for %s; say whose it is, as in %s.%s", first.msg, refuses,
            refuses, s->name);
    else
        *e = first;
    return set_wrong(s, e);
}

static int add(char *const *words, int n, int line, struct err *e)
{
    if (n != 2)
        return err_set(
            e, ERR_INPUT, "%s:%d: give a name and a value, as in threads 4", settings.path, line);
    struct setting s = {.name = words[0], .value = words[1], .line = line};
    char *dot = strchr(words[0], '.');
    if (dot) {
        *dot = '\0';
        s.scope = words[0];
        s.name = dot + 1;
    }
    if (s.scope && !strcmp(s.scope, "key")) {
        if (key_named(s.name) < 0)
            return unknown(s.scope, s.name, line, e);
        int rc = key_bind(s.name, s.value, e);
        if (rc)
            err_prefix(e, "%s:%d", settings.path, line);
        return rc;
    }
    const int wrong = check_value(&s, e);
    if (wrong)
        return wrong > 0 ? unknown(s.scope, s.name, line, e) : wrong;
    if (settings.n == settings.room) {
        int room = settings.room ? 2 * settings.room : 16;
        struct setting *grown = arena_array(&settings.arena, (size_t)room, sizeof *grown, e);
        if (!grown)
            return ERR_LIMIT;
        if (settings.n)
            memcpy(grown, settings.list, (size_t)settings.n * sizeof *grown);
        settings.list = grown;
        settings.room = room;
    }
    settings.list[settings.n++] = s;
    return 0;
}

int settings_load(struct err *e)
{
    find_path();
    if (access(settings.path, F_OK))
        return 0;
    struct stream *in;
    const char *line;
    size_t len;
    int rc = stream_open(&in, settings.path, e);
    if (rc)
        return rc;
    while ((rc = stream_line(&line, &len, in, 1 << 16, e)) == 1) {
        char **words;
        int n, at = (int)stream_lines(in);
        rc = words_split(&words, &n, line, &settings.arena, e);
        if (rc)
            err_prefix(e, "%s:%d", settings.path, at);
        else if (n)
            rc = add(words, n, at, e);
        /* The other lines hold: help and config are there to mend this one. */
        if (rc && !settings.wrong.code) {
            settings.wrong = *e;
            settings.wrong.code = rc;
        }
    }
    stream_release(&in);
    if (rc >= 0 && settings.wrong.code) {
        *e = settings.wrong;
        rc = e->code;
    }
    return rc;
}

void settings_release(void)
{
    arena_release(&settings.arena);
    settings.list = NULL;
    settings.n = settings.room = 0;
}

int settings_apply(struct args *a, const char *scope, struct err *e)
{
    for (int i = 0; i < settings.n; i++) {
        const struct setting *s = &settings.list[i];
        if (s->scope && strcmp(s->scope, scope) != 0)
            continue;
        for (int k = 0; k < a->n; k++) {
            if (!is_setting(&a->table[k]) || !flag_is(a->table[k].name, s->name, strlen(s->name)))
                continue;
            int rc = args_set(a, k, s->value, e);
            if (rc)
                return set_wrong(s, e);
            a->values[k].is_set = false;
        }
    }
    return 0;
}

/* The value in force for a setting, NULL: the built-in default. */
static const char *in_force(const char *scope, const char *name)
{
    const char *value = NULL;
    for (int i = 0; i < settings.n; i++) {
        const struct setting *s = &settings.list[i];
        bool same = scope ? s->scope && !strcmp(s->scope, scope) : !s->scope;
        if (same && flag_is(name, s->name, strlen(s->name)))
            value = s->value;
    }
    return value;
}

static void print_table(
    FILE *out, const char *title, const char *scope, const struct param *table, int n)
{
    bool titled = false;
    for (int i = 0; i < n; i++) {
        const struct param *p = &table[i];
        if (!is_setting(p))
            continue;
        if (!titled)
            fprintf(out, "\n# %s\n", title);
        titled = true;
        const char *value = in_force(scope, p->name), *def = p->def;
        if (!def)
            def = p->type == PARAM_BOOL ? "false" : "...";
        fprintf(out, "# %s\n%s%s%s%s %s\n", p->help, value ? "" : "#", scope ? scope : "",
            scope ? "." : "", p->name, value ? value : def);
    }
}

/* Two keys at most an action, in quotes; those that differ from the built-in ones are in force. */
static void print_keys(FILE *out)
{
    fputs("\n# keys of the workbench: one or two, \"\" for none\n", out);
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        if (!strcmp(k->key, "1-9"))
            continue;
        fprintf(
            out, "# %s: %s\n%skey.%s \"", k->pane, k->help, key_is_changed(i) ? "" : "#", k->name);
        for (int part = 0; part < 2; part++)
            for (const char *c = part ? k->also : k->key; *c; c++)
                fprintf(out, "%s%s%c", part && c == k->also ? " " : "",
                    *c == '"' || *c == '\\' ? "\\" : "", *c);
        fputs("\"\n", out);
    }
}

void settings_print(FILE *out)
{
    fprintf(out,
        "# sonde's settings: other defaults for flags, one `name value` a line.\n# File: %s\n",
        settings.path);
    print_table(out, general_flags.title, NULL, general_flags.params, general_flags.n);
    for (int s = 0; s < FLAG_SETS; s++)
        print_table(out, flag_set_at(s)->title, NULL, flag_set_at(s)->params, flag_set_at(s)->n);
    for (int i = 0; i < n_verbs; i++)
        print_table(out, verbs[i]->brief, verbs[i]->name, verbs[i]->params, verbs[i]->n_params);
    for (int i = 0; i < n_analyses; i++)
        print_table(
            out, analyses[i]->title, analyses[i]->id, analyses[i]->params, analyses[i]->n_params);
    print_keys(out);
}
