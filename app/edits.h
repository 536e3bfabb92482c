#ifndef SONDE_APP_EDITS_H
#define SONDE_APP_EDITS_H

#include "app/command.h"
#include "model/edit.h"
#include "model/model.h"

/* The --edit flags of a command, checked against the model. */
int edits_load(struct edits *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e);

#endif
