#ifndef SONDE_APP_BENCH_SCREEN_H
#define SONDE_APP_BENCH_SCREEN_H

#include "app/session.h"

/* `sonde bench screen`: latency of keys, time of frames, bytes to the terminal. */
int bench_screen(struct session *s, const struct command *c, struct err *e);

#endif
