#ifndef SONDE_APP_COLON_H
#define SONDE_APP_COLON_H

#include "model/core/err.h"

struct workbench;

/* Words of the workbench behind a colon, beside the verbs of the command line. A row of colon.def is
 * a word: its function is colon_NAME(), declared here from the row and defined in any file of app/.
 * What stands behind the word comes to it as it was typed. */
#define COMMAND(name, kind, takes, complete, help)                                                 \
    void colon_##name(struct workbench *wb, const char *arg);
#include "app/colon.def"
#undef COMMAND

enum word_kind {
    WORD_STATE,  /* goes to the log; a batch keeps it for the lines that follow (desk.h) */
    WORD_SCREEN, /* goes to the log; nothing to do in a batch */
    WORD_LOCAL   /* of the workbench alone, not logged */
};

struct word {
    const char *name;
    enum word_kind kind;
    const char *arg; /* "": takes none */
    const char
        *complete; /* what its argument is: a row of completions (complete.c), "": anything */
    const char *help;
    void (*run)(struct workbench *wb, const char *arg);
};
int word_count(void);
const struct word *word_row(int index);
const struct word *word_find(const char *name); /* NULL: no such word */

void colon_run(struct workbench *wb, const char *line);
/* Completes the word at the cursor's end; the choices go to the message line. */
void colon_complete(struct workbench *wb);

#endif
