#ifndef SONDE_APP_PAIRS_IN_H
#define SONDE_APP_PAIRS_IN_H

#include "analysis/pairs.h"
#include "app/inputs.h"

/* Whether the command's analyses work on pairs of prompts with the inputs it has. */
bool pairs_wanted(const struct command *c);
/* Refuses flags of a pair where prompts are taken alone. */
int pairs_unused(const struct command *c, struct err *e);
/* The pairs of a command: --clean and --corrupt with --answer and --wrong, -f, --dataset; without any
 * of them a pair made of DEFAULT_PROMPT, and a note says so. Every prompt becomes an input. */
int pairs_load(struct pairs *out, struct inputs *inputs, struct session *s, const struct command *c,
    const struct model *m, struct arena *arena, struct err *e);

#endif
