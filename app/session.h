#ifndef SONDE_APP_SESSION_H
#define SONDE_APP_SESSION_H

#include <stdio.h>

#include "app/command.h"
#include "app/jobs.h"
#include "app/progress.h"
#include "model/core/parallel.h"
#include "model/model.h"

/* Who looks on while commands run: the queue of the workbench. */
struct watch {
    int (*progress)(void *arg, const char *what, double done, double total); /* non-zero: stop */
    void (*cost)(void *arg, const struct job_cost *cost);
    /* A document that the command is about to fill; it is not drawn as text then. */
    void (*report)(void *arg, struct held_report *h);
    void *arg;
};

struct desk;

/* What commands share from the first to the last of a process: the model that is open, the threads,
 * where text goes. One command runs at a time. */
struct session {
    FILE *out, *log; /* results; progress and notes */
    struct progress progress;
    bool is_quiet;
    struct pool *pool;     /* made when first needed */
    int threads;           /* of the pool, 0: none yet */
    uint64_t opened;       /* grows whenever the model or the pool is replaced */
    struct model *model;   /* the last one opened, kept for the next command */
    char model_name[1024]; /* as asked for */
    double rate;           /* arithmetic of its runs, FLOP/s; 0: not known yet */
    struct report *report; /* of a batch: every run adds to it; NULL: each command has its own */
    const struct args
        *outer; /* of a batch or the workbench, whose commands these are; NULL: none */
    const struct watch *watch; /* NULL: nobody */
    const struct desk *desk;   /* of a batch: what its words have said; NULL: none */
    int batches;               /* how many are under way, one in the other */
};

void session_init(struct session *s);
void session_release(struct session *s);
/* command_parse; flags of how to run (-t, --max-mem, -q, ..) hold for the commands inside as well. */
int session_parse(struct command *out, const struct session *s, char *const *words, int n,
    struct arena *arena, struct err *e);
void session_watch(struct session *s, const struct watch *w); /* NULL: nobody any more */
/* Runs one command: --help and --version too. Returns what the verb returned. */
int session_run(struct session *s, char *const *words, int n, struct err *e);
/* Borrowed from the session: what -t and -m of the command ask for. */
int session_pool(struct pool **out, struct session *s, const struct command *c, struct err *e);
int session_model(struct model **out, struct session *s, const struct command *c, struct err *e);
/* What --max-mem leaves for activations, scratch and results beside the model's weights; ERR_LIMIT
 * with the numbers where that is nothing. */
int session_budget(size_t *out, const struct command *c, const struct model *m, struct err *e);
/* How long so much arithmetic is likely to take, from what runs of this process took or from the
 * machine's peak; session_took tells it. */
double session_seconds(struct session *s, double flops);
void session_took(struct session *s, double flops, double seconds);
/* A note on standard error, "sonde: ...", unless --quiet. */
void session_note(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
