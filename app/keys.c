#include "app/keys.h"

#include <string.h>

static const struct key_row rows[KEY_DO_COUNT] = {
#define KEY(id, pane, key, also, footer, help) {pane, key, also, footer, help},
#include "app/keys.def"
#undef KEY
};

const struct key_row *key_row(enum key_id id)
{
    return &rows[id];
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
    return !strcmp(row->key, key) || (*row->also && !strcmp(row->also, key));
}

enum key_id key_find(const char *pane, const char *key)
{
    int general = KEY_DO_COUNT;
    for (int i = 0; i < KEY_DO_COUNT; i++) {
        if (!is_key(&rows[i], key) || !key_in_pane(&rows[i], pane))
            continue;
        if (strcmp(rows[i].pane, "any"))
            return (enum key_id)i;
        if (general == KEY_DO_COUNT)
            general = i;
    }
    return (enum key_id)general;
}
