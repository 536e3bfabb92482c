#ifndef SONDE_CORE_OUTFILE_H
#define SONDE_CORE_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

#include "model/core/err.h"

/* A file that appears whole or not at all: written as PATH.part, then flushed to disk and renamed over
 * PATH. Devices and pipes (/dev/stdout) are written in place. Every failure is ERR_OUTPUT. */
struct outfile {
    FILE *f;
    char *path; /* links resolved, so that a link keeps pointing at what it names */
    char *part; /* NULL: in place */
};

/* ERR_OUTPUT too when another process is writing the same file. */
int outfile_open(struct outfile *o, const char *path, struct err *e);
/* Makes the file real; `f` may have been written through other handles as well. */
int outfile_commit(struct outfile *o, struct err *e);
void outfile_abandon(struct outfile *o); /* keeps what there is of PATH.part */
void outfile_discard(struct outfile *o); /* removes PATH.part */

#endif
