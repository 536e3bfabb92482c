#ifndef SONDE_APP_EXPECT_H
#define SONDE_APP_EXPECT_H

#include "app/session.h"

/* What a `run` line is expected to take, before its turn comes. Only where that is known at no price:
 * 1 where it needs another model or other threads, a cache, or much text; nothing is computed. May come
 * between two slices of another command of the session. */
int expect_line(struct job_cost *out, struct session *s, const char *line, struct err *e);

#endif
