#ifndef SONDE_APP_KEYS_H
#define SONDE_APP_KEYS_H

/* What a key asks for; keys.def has the rows. */
enum key_id {
#define KEY(id, pane, key, also, help) KEY_DO_##id,
#include "app/keys.def"
#undef KEY
    KEY_DO_COUNT
};

struct key_row {
    const char *pane, *key, *also, *help;
};

const struct key_row *key_row(enum key_id id);

#endif
