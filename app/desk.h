#ifndef SONDE_APP_DESK_H
#define SONDE_APP_DESK_H

#include "app/command.h"

/* What words of the workbench (model, prompt, bos, edit, edits, clear) have said so far in a batch: the
 * lines that follow take from it what they do not name themselves. */
struct desk {
    char *model, *prompt;
    bool has_bos, bos;
    char **edits;
    int n_edits;
};
void desk_release(struct desk *d);

/* The argument of a word: as typed, or one quoted word without its quotes. NULL: out of memory. */
const char *desk_argument(const char *typed, struct arena *arena, struct err *e);
/* Takes a line whose first word is in colon.def. ERR_USAGE: words of the workbench alone. */
int desk_word(struct desk *d, const char *line, struct err *e);
/* Fills in the model, the input and the edits that the command does not have. */
int desk_fill(const struct desk *d, struct command *c, struct err *e);
/* A list of edits: adds one, or takes it out if it is there. */
int desk_toggle(char ***list, int *n, const char *edit, struct err *e);

#endif
