#ifndef SONDE_APP_ASKED_H
#define SONDE_APP_ASKED_H

#include "app/jobs.h"
#include "app/log.h"

/* What was asked for, in a session log. A command is a comment the moment it is asked for, and a line
 * when it is done: `sonde batch` runs what was done, and a session that is reopened offers the rest.
 *
 *     # asked: run lens --top 1 -m tiny -p 'Mara went'
 *     #     as run lens --top 1
 *     run lens --top 1 -m tiny -p 'Mara went'
 *
 * One that was cancelled, that failed or was taken off the list says so instead of running again. */

/* A jobs_tell, of a log that may be NULL. */
void asked_write(struct log *l, const struct job_view *v, const char *line, bool is_dropped);

/* Of a log that is read, line by line: commands that were not finished, and those whose report was
 * lost with the session, in their order. {0} is empty. */
struct asked {
    struct asked_job {
        char *line, *name;
        bool is_done;
    } * list;
    int n;
    char last; /* what the comment above was: its indented lines belong to it */
};
void asked_release(struct asked *a);
int asked_hear(struct asked *a, const char *line, struct err *e); /* any line of the log */
int asked_left(const struct asked *a);                            /* how many were not finished */

#endif
