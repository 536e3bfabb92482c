#ifndef SONDE_APP_OUTPUT_H
#define SONDE_APP_OUTPUT_H

#include "analysis/report/report.h"
#include "app/session.h"

/* Refuses an output that cannot be written before anything is computed: its folder must exist and be
 * writable, and the path must not be a folder. NULL is fine: there is no file. */
int output_check(const char *path, struct err *e);
/* Opens a report to read. */
int output_open(struct report **out, const char *path, struct err *e);
/* Before values of `block` (NULL: any) are read from a joined cache: its shards are there and its own,
 * where HDF5 would give fill values or another run's. Nothing to do for other files. */
int output_whole(const char *path, const char *block, struct err *e);
/* A report at `path` (NULL: in memory) that says which command made it. */
int output_report(struct report **out, const char *path, const struct session *s,
    const char *command, struct err *e);
/* Closes it. After an error (rc < 0) that left nothing worth keeping the .part file is removed; what
 * an interruption or a limit left finished stays in it, and a note says so. Returns rc, or the error
 * of closing. */
int output_close(struct report **r, const char *path, int rc, struct session *s, struct err *e);

#endif
