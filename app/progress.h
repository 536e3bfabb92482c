#ifndef SONDE_APP_PROGRESS_H
#define SONDE_APP_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

/* Tells on standard error how far a command is: a bar on a terminal, lines otherwise, JSON lines for
 * programs. Short commands say nothing. */
struct progress {
    FILE *out;
    enum { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_LINES, PROGRESS_JSON } how;
    char what[64];
    double began, shown; /* seconds; shown 0: not yet */
    bool is_open;        /* a bar stands on the line */
};

/* mode: auto, plain, json, none */
void progress_init(struct progress *p, FILE *out, const char *mode);
void progress_begin(struct progress *p, const char *what);
/* A progress_fn: arg is the struct progress. Answers 1 once a signal asked to stop. */
int progress_step(void *arg, double done, double total);
/* The same without telling anything: for runs that are one of many. */
int progress_quiet(void *arg, double done, double total);
void progress_end(struct progress *p); /* clears the bar */

#endif
