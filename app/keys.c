#include "app/keys.h"

#include <stdio.h>
#include <string.h>

#include "model/core/param.h"

static const struct key_row built_in[] = {
#define KEY(name, pane, key, also, footer, help) {#name, pane, key, also, footer, help, act_##name},
#include "app/keys.def"
#undef KEY
};
#define N_KEYS ((int)(sizeof built_in / sizeof *built_in))

#define NAME_MAX_BYTES 32
static struct key_row rows[N_KEYS];
static char texts[N_KEYS][3][NAME_MAX_BYTES]; /* name, key, also: what a person may change */
static bool is_ready;

static void set_text(char out[NAME_MAX_BYTES], const char *text, size_t n)
{
    snprintf(out, NAME_MAX_BYTES, "%.*s", (int)n, text);
}

void key_reset(void)
{
    for (int i = 0; i < N_KEYS; i++) {
        rows[i] = built_in[i];
        for (int k = 0; k < 3; k++) {
            const char *from = k == 0 ? rows[i].name : k == 1 ? rows[i].key : rows[i].also;
            set_text(texts[i][k], from, strlen(from));
        }
        for (char *c = texts[i][0]; *c; c++)
            *c = (char)(*c == '_' ? '-' : *c);
        rows[i].name = texts[i][0];
        rows[i].key = texts[i][1];
        rows[i].also = texts[i][2];
    }
    is_ready = true;
}

int key_count(void)
{
    return N_KEYS;
}

const struct key_row *key_row(int index)
{
    if (!is_ready)
        key_reset();
    return &rows[index];
}

bool key_in_pane(const struct key_row *row, const char *pane)
{
    size_t n = strlen(pane);
    for (const char *p = row->pane; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if ((len == n && !strncmp(p, pane, n)) || (len == 3 && !strncmp(p, "any", 3)))
            return true;
    }
    return false;
}

static bool is_key(const struct key_row *row, const char *key)
{
    if (!strcmp(row->key, "1-9"))
        return key[0] >= '1' && key[0] <= '9' && !key[1];
    return (*row->key && !strcmp(row->key, key)) || (*row->also && !strcmp(row->also, key));
}

int key_find(const char *pane, const char *key)
{
    int general = -1;
    for (int i = 0; i < N_KEYS; i++) {
        const struct key_row *row = key_row(i);
        if (!is_key(row, key) || !key_in_pane(row, pane))
            continue;
        if (strcmp(row->pane, "any"))
            return i;
        if (general < 0)
            general = i;
    }
    return general;
}

bool key_is_changed(int index)
{
    const struct key_row *now = key_row(index);
    return strcmp(now->key, built_in[index].key) != 0 ||
           strcmp(now->also, built_in[index].also) != 0;
}

int key_named(const char *name)
{
    for (int i = 0; i < N_KEYS; i++)
        if (!strcmp(key_row(i)->name, name))
            return i;
    return -1;
}

static int unknown_action(const char *name, struct err *e)
{
    const char *names[N_KEYS], *near[3];
    for (int i = 0; i < N_KEYS; i++)
        names[i] = key_row(i)->name;
    int n = nearest_names(near, 3, name, names, N_KEYS);
    return err_set(e, ERR_USAGE, "no action \"%.40s\"; nearest: %s%s%s%s%s", name,
        n > 0 ? near[0] : "", n > 1 ? ", " : "", n > 1 ? near[1] : "", n > 2 ? ", " : "",
        n > 2 ? near[2] : "");
}

int key_bind(const char *name, const char *keys, struct err *e)
{
    int row = key_named(name);
    keys += strspn(keys, " ");
    if (row < 0)
        return unknown_action(name, e);
    if (!strcmp(built_in[row].key, "1-9"))
        return err_set(e, ERR_USAGE, "%s keeps its keys 1 to 9", name);
    size_t first = strcspn(keys, " "), gap = strspn(keys + first, " ");
    const char *also = keys + first + gap;
    if (first >= NAME_MAX_BYTES || strlen(also) >= NAME_MAX_BYTES || strchr(also, ' '))
        return err_set(e, ERR_USAGE, "\"%.40s\" is not one key or two parted by a blank", keys);
    set_text(texts[row][1], keys, first);
    set_text(texts[row][2], also, strlen(also));
    return 0;
}
