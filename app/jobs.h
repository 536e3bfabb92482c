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

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_CANCELLED, JOB_FAILED, JOB_STATES };
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
};

/* Commands that wait for the one computing thread, the one it runs and those that ended. Any thread
 * may look, cancel and reorder. */
struct jobs;
int jobs_create(struct jobs **out, struct err *e);
void jobs_release(struct jobs **q);
/* At the end of the queue; its id, 0: out of memory. line: what runs; name: what people see. */
uint64_t jobs_add(struct jobs *q, const char *line, const char *name, uint64_t serial);
/* The running one, then those that wait in their order, then the ended ones, newest first. */
int jobs_list(struct jobs *q, struct job_view *out, int max);
bool jobs_find(struct jobs *q, struct job_view *out, uint64_t id);
int jobs_open(struct jobs *q); /* how many wait or run */
/* A waiting job is cancelled at once, a running one at its next slice; false: neither. */
bool jobs_cancel(struct jobs *q, uint64_t id);
bool jobs_move(struct jobs *q, uint64_t id, int step); /* a waiting one; step < 0: earlier */
char *jobs_line(struct jobs *q, uint64_t id);          /* what it runs; malloc'd, or NULL */
bool jobs_forget(struct jobs *q, uint64_t id);         /* an ended one and its result */
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
