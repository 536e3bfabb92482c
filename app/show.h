#ifndef SONDE_APP_SHOW_H
#define SONDE_APP_SHOW_H

#include <stdio.h>

#include "analysis/report/report.h"
#include "app/command.h"
#include "model/model.h"

/* Draws a document on a plain terminal: its head, its runs and their blocks. */
struct show {
    FILE *out;
    const char *path;              /* a run, an input's group or a block; NULL: everything */
    bool takes_part;               /* the command has the flags of app/part.h */
    int max_inputs;                /* inputs drawn of a run, 0: all */
    const struct command *command; /* --color, --ascii */
    const struct model *model;     /* turns token ids into words; NULL: none at hand */
};

int show_document(const struct show *how, const struct report *r, struct err *e);
#define SHOW_INPUTS 3 /* whose blocks are drawn unasked, and lengths */
/* What sonde run prints when it writes no file: the first inputs' blocks. */
int show_report(FILE *out, const struct report *r, const struct command *c, const struct model *m,
    struct err *e);

#endif
