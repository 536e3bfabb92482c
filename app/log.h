#ifndef SONDE_APP_LOG_H
#define SONDE_APP_LOG_H

#include "analysis/analysis.h"

/* The record of a session: a file of the command language that `sonde batch` replays to the same
 * numbers. Every line is written whole as soon as it is complete. Any thread may write. */
struct log;

/* path NULL: a new file under sessions/ of the state folder, named after the time. */
int log_open(struct log **out, const char *path, struct err *e);
void log_release(struct log **l);
/* Whether a file's first line is that of a log. */
bool log_is(const char *first_line);
#define LOG_HEAD "# sonde " SONDE_VERSION ", a session; sonde batch replays it"
const char *log_path(const struct log *l);
/* From now on the runs go to this document too, which stays the caller's. */
void log_keep(struct log *l, struct report *report);
bool log_keeps(const struct log *l); /* NULL: no log */
void log_line(struct log *l, const char *line);
/* A computation that is complete: its line, and its runs (report may be NULL). A document that could
 * not take them is told once, by log_error. */
void log_ran(struct log *l, const char *line, const struct report *report);
bool log_error(struct err *out, struct log *l); /* since the last call */
/* Why the session is no longer recorded: "disk full"; NULL: it is. A log that could not take a line
 * ends before it, and takes none behind it. Valid as long as the log. */
const char *log_lost(struct log *l);

/* "run lens,attention -m .. -p .. --lens.target '#5'": a line that does the job again. */
const char *log_run_line(
    const char *model, const struct job *job, struct arena *arena, struct err *e);
/* Model names that are paths, made absolute, so that a log replays from any folder. */
const char *log_model(const char *name, struct arena *arena, struct err *e);

/* The newest session logs, newest first, with their paths; the last one of this process is left out. */
int log_list(
    const char **paths, int max, const struct log *own, struct arena *arena, struct err *e);

#endif
