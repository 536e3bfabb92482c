#include "app/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/colon.h"
#include "app/words.h"

static void clear_edits(struct desk *d)
{
    for (int i = 0; i < d->n_edits; i++)
        free(d->edits[i]);
    free(d->edits);
    d->edits = NULL;
    d->n_edits = 0;
}

void desk_release(struct desk *d)
{
    clear_edits(d);
    free(d->model);
    free(d->prompt);
    *d = (struct desk){0};
}

const char *desk_argument(const char *typed, struct arena *arena, struct err *e)
{
    struct err none;
    char **words;
    int n;
    if (*typed != '\'' && *typed != '"')
        return arena_strdup(arena, typed, e);
    if (words_split(&words, &n, typed, arena, &none) || n != 1)
        return arena_strdup(arena, typed, e);
    return words[0];
}

static int append(char ***list, int *n, const char *edit, struct err *e)
{
    char **grown = realloc(*list, (size_t)(*n + 1) * sizeof *grown);
    if (grown)
        *list = grown;
    if (!grown || !(grown[*n] = strdup(edit)))
        return err_set(e, ERR_LIMIT, "no memory for an edit");
    ++*n;
    return 0;
}

int desk_toggle(char ***list, int *n, const char *edit, struct err *e)
{
    for (int i = 0; i < *n; i++)
        if (!strcmp((*list)[i], edit)) {
            free((*list)[i]);
            memmove(*list + i, *list + i + 1, (size_t)(--*n - i) * sizeof **list);
            return 0;
        }
    return append(list, n, edit, e);
}

static int set_text(char **slot, const char *text, struct err *e)
{
    free(*slot);
    *slot = strdup(text);
    return *slot ? 0 : err_set(e, ERR_LIMIT, "no memory for a line of the batch");
}

static int word_model(struct desk *d, const char *arg, struct err *e)
{
    return set_text(&d->model, arg, e);
}

static int word_prompt(struct desk *d, const char *arg, struct err *e)
{
    return set_text(&d->prompt, arg, e);
}

static int word_bos(struct desk *d, const char *arg, struct err *e)
{
    d->has_bos = true;
    d->bos = strcmp(arg, "off") != 0;
    if (d->bos && strcmp(arg, "on") != 0)
        return err_set(e, ERR_USAGE, "bos takes on or off, not \"%.40s\"", arg);
    return 0;
}

static int word_edit(struct desk *d, const char *arg, struct err *e)
{
    return desk_toggle(&d->edits, &d->n_edits, arg, e);
}

static int word_edits(struct desk *d, const char *arg, struct err *e)
{
    struct arena scratch = {0};
    char **words;
    int n = 0, rc = words_split(&words, &n, arg, &scratch, e);
    clear_edits(d);
    for (int i = 0; i < n && !rc; i++)
        if (words[i][0] != '!')                               /* switched off */
            rc = append(&d->edits, &d->n_edits, words[i], e); /* the same twice acts twice */
    arena_release(&scratch);
    return rc;
}

static int word_clear(struct desk *d, const char *arg, struct err *e)
{
    (void)arg, (void)e;
    clear_edits(d);
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct desk *d, const char *arg, struct err *e);
} takers[] = {{"model", word_model}, {"prompt", word_prompt}, {"bos", word_bos},
    {"edit", word_edit}, {"edits", word_edits}, {"clear", word_clear}};

int desk_word(struct desk *d, const char *line, struct err *e)
{
    struct arena scratch = {0};
    char name[32];
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t\r\n");
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    const struct word *w = word_find(name);
    int rc = 0;
    if (!w || w->kind == WORD_LOCAL)
        return err_set(e, ERR_USAGE, "%s is a word of the workbench; a batch has no screen", name);
    const char *arg = desk_argument(line + n + (line[n] != '\0'), &scratch, e);
    if (!arg)
        rc = ERR_LIMIT;
    for (size_t i = 0; !rc && i < sizeof takers / sizeof *takers; i++)
        if (!strcmp(takers[i].name, name))
            rc = takers[i].take(d, arg, e);
    arena_release(&scratch);
    return rc;
}

static bool is_given(const struct command *c, const char *name)
{
    int row = args_find(&c->args, name);
    return row >= 0 && c->args.values[row].is_set;
}

static int set(struct command *c, const char *name, const char *text, struct err *e)
{
    int row = args_find(&c->args, name);
    return row < 0 || !text ? 0 : args_set(&c->args, row, text, e);
}

int desk_fill(const struct desk *d, struct command *c, struct err *e)
{
    int rc = 0;
    bool has_input = is_given(c, "prompt") || is_given(c, "file") || is_given(c, "tokens") ||
                     is_given(c, "dataset") || is_given(c, "clean");
    if (c->verb->sets & FLAGS_MODEL && !is_given(c, "model"))
        rc = set(c, "model", d->model, e);
    if (!rc && c->verb->sets & FLAGS_INPUT && !has_input)
        rc = set(c, "prompt", d->prompt, e);
    if (!rc && c->verb->sets & FLAGS_INPUT && d->has_bos && !is_given(c, "prepend-bos"))
        rc = set(c, "prepend-bos", d->bos ? "true" : "false", e);
    if (c->verb->sets & FLAGS_EDIT && !is_given(c, "edit"))
        for (int i = 0; i < d->n_edits && !rc; i++)
            rc = set(c, "edit", d->edits[i], e);
    return rc;
}
