#include "app/keys.h"

static const struct key_row rows[KEY_DO_COUNT] = {
#define KEY(id, pane, key, also, help) {pane, key, also, help},
#include "app/keys.def"
#undef KEY
};

const struct key_row *key_row(enum key_id id)
{
    return &rows[id];
}
