#ifndef SONDE_APP_JOBS_H
#define SONDE_APP_JOBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "analysis/report/report.h"

/* A document in memory that the computing thread fills while others read it. Every holder releases
 * its own reference; the last one frees the document. */
struct held_report {
    struct report *report;
    atomic_int holders;
};
int held_report_create(struct held_report **out, struct report *owned, struct err *e);
struct held_report *held_report_share(struct held_report *h);
void held_report_release(struct held_report **h);

/* The last two are of an earlier session: a job that it did not finish, one whose result it lost. They
 * do nothing until they are asked for again. */
enum job_state {
    JOB_WAITING,
    JOB_RUNNING,
    JOB_DONE,
    JOB_CANCELLED,
    JOB_FAILED,
    JOB_LEFT,
    JOB_GONE,
    JOB_STATES
};
extern const char *const job_state_names[JOB_STATES];

/* What a job is expected to take; 0: not known. */
struct job_cost {
    double bytes, flops, seconds;
};

/* A job as it stands: a copy for the screen. */
struct job_view {
    uint64_t id, serial; /* serial: of the question that asked for it */
    enum job_state state;
    char name[160], stage[64], message[512]; /* message: the error's sentence */
    double done, total;                      /* progress; total 0: not told yet */
    double asked, began, ended;              /* machine_seconds, 0: not yet */
    struct job_cost cost;
    bool has_report, has_text;
    bool is_aside; /* not of the computing thread: a file that is written */
};

/* Commands that wait for the one computing thread, the one it runs and those that ended. Any thread
 * may look, cancel and reorder. */
struct jobs;
int jobs_create(struct jobs **out, struct err *e);
void jobs_release(struct jobs **q);
/* Who keeps a record of what was asked: told of a job that is added (JOB_WAITING, JOB_LEFT, JOB_GONE),
 * cancelled by a person, failed, and of one taken off the list that could have come back (is_dropped).
 * Called with the queue locked. */
typedef void jobs_tell(void *arg, const struct job_view *v, const char *line, bool is_dropped);
void jobs_watch(struct jobs *q, jobs_tell *fn, void *arg);
/* At the end of the queue; its id, 0: out of memory. line: what runs; name: what people see. Takes the
 * place of the same line of an earlier session. */
uint64_t jobs_add(struct jobs *q, const char *line, const char *name, uint64_t serial);
/* Work that a thread of its own has begun already; it steps and ends it as the computing thread does. */
uint64_t jobs_begin(struct jobs *q, const char *name);
/* A line of an earlier session; 0: it is in the list already, or out of memory. */
uint64_t jobs_offer(struct jobs *q, const char *line, const char *name, enum job_state state);
#define JOBS_LISTED 160 /* room for all that is kept, and what waits */
/* The running one, those that wait in their order, the JOB_LEFT, the ended ones, newest first, and the
 * JOB_GONE. */
int jobs_list(struct jobs *q, struct job_view *out, int max);
bool jobs_find(struct jobs *q, struct job_view *out, uint64_t id);
int jobs_open(struct jobs *q); /* how many wait or run, without those aside */
/* A waiting job is cancelled at once, a running one at its next slice, a JOB_LEFT goes off the list;
 * false: none of them. */
bool jobs_cancel(struct jobs *q, uint64_t id);
bool jobs_move(struct jobs *q, uint64_t id, int step); /* a waiting one; step < 0: earlier */
char *jobs_line(struct jobs *q, uint64_t id);          /* what it runs; malloc'd, or NULL */
bool jobs_forget(struct jobs *q, uint64_t id);         /* one that has ended, and its result */
struct held_report *jobs_report(
    struct jobs *q, uint64_t id);             /* a reference of one's own, or NULL */
char *jobs_text(struct jobs *q, uint64_t id); /* malloc'd, or NULL */

/* For the computing thread. jobs_take copies the line (malloc'd). */
bool jobs_take(struct jobs *q, struct job_view *out, char **line);
/* Notes how far it is; true: it is to stop. */
bool jobs_step(struct jobs *q, uint64_t id, const char *stage, double done, double total);
void jobs_cost(struct jobs *q, uint64_t id, const struct job_cost *cost);
/* A waiting job whose cost nobody has asked for yet; its line malloc'd. Each comes once. */
bool jobs_unknown(struct jobs *q, uint64_t *id, char **line);
void jobs_hold(
    struct jobs *q, uint64_t id, struct held_report *h); /* takes a reference of its own */
void jobs_end(
    struct jobs *q, uint64_t id, enum job_state state, const char *message, const char *text);

#endif
