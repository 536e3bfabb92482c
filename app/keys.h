#ifndef SONDE_APP_KEYS_H
#define SONDE_APP_KEYS_H

#include <stdbool.h>

/* What a key asks for; keys.def has the rows. */
enum key_id {
#define KEY(id, pane, key, also, footer, help) KEY_DO_##id,
#include "app/keys.def"
#undef KEY
    KEY_DO_COUNT
};

struct key_row {
    const char *pane, *key, *also, *footer, *help;
};

const struct key_row *key_row(enum key_id id);
/* Whether the row holds in a pane of that name. */
bool key_in_pane(const struct key_row *row, const char *pane);
/* The row for a key pressed in a pane, its own before those of any; KEY_DO_COUNT: none. */
enum key_id key_find(const char *pane, const char *key);

#endif
