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
    /* Told of every step, whatever is shown; a non-zero answer stops the command. NULL: nobody. */
    int (*watch)(void *arg, const char *what, double done, double total);
    void *watch_arg;
};

/* mode: auto, plain, json, none. The watcher stays. */
void progress_init(struct progress *p, FILE *out, const char *mode);
void progress_begin(struct progress *p, const char *what);
/* A progress_fn: arg is the struct progress. Answers 1 once a signal asked to stop. */
int progress_step(void *arg, double done, double total);
/* The same without showing anything, for runs that are one of many; arg may be NULL. */
int progress_quiet(void *arg, double done, double total);
void progress_end(struct progress *p); /* clears the bar */

#endif
