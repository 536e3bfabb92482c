#ifndef SONDE_APP_KEYS_H
#define SONDE_APP_KEYS_H

#include <stdbool.h>

#include "model/core/err.h"

struct workbench;
struct key;

/* What keys do. A row of keys.def is a key action: its handler is act_NAME(), declared here from the
 * row and defined in any file of app/. */
#define KEY(name, panes, keys, also, footer, help)                                                 \
    void act_##name(struct workbench *wb, const struct key *k);
#include "app/keys.def"
#undef KEY

struct key_row {
    const char *name;       /* with dashes, as in the configuration and the palette: next-head */
    const char *pane;       /* "any", or kinds of panes */
    const char *key, *also; /* as bound now; "": none */
    const char *footer, *help;
    void (*act)(struct workbench *wb, const struct key *k);
};

int key_count(void);
const struct key_row *key_row(int index);
/* Whether the row holds in a pane of that name. */
bool key_in_pane(const struct key_row *row, const char *pane);
/* The row for a key pressed in a pane, its own before those of any; -1: none. */
int key_find(const char *pane, const char *key);
int key_named(const char *name); /* -1: no such action */
/* Binds other keys: "]", or two as in "] Right", "" for none. The text must outlive the process' use
 * of keys. ERR_USAGE names the nearest action, or the action of the same pane that has the key. */
int key_bind(const char *name, const char *keys, struct err *e);
bool key_is_changed(int index);
void key_reset(void); /* the bindings of keys.def */

#endif
