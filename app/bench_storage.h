#ifndef SONDE_APP_BENCH_STORAGE_H
#define SONDE_APP_BENCH_STORAGE_H

#include "app/command.h"
#include "app/session.h"

/* sonde bench storage: what caches reach of this machine's disk and memory, each beside a limit that is
 * measured in the same run. Files of about a gigabyte come and go in the current folder. */
int bench_storage(struct session *s, const struct command *c, struct err *e);

#endif
