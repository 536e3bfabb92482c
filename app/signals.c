#include "app/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

/* Set by a signal or by the screen, read by the worker: lock-free, so that both are safe. */
static atomic_int stopped;

static void stop(int sig)
{
    (void)sig;
    stopped = 1;
}

/* SA_RESETHAND: the second signal takes the default action. */
void signals_install(void)
{
    struct sigaction sa = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* A lost connection ends a run as SIGTERM does, unless nohup lets it go on. */
    struct sigaction old;
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &sa, NULL);
    /* A file larger than is allowed is an error of the write that finds out. */
    signal(SIGXFSZ, SIG_IGN);
}

bool signals_stopped(void)
{
    return stopped;
}

void signals_stop(void)
{
    stopped = 1;
}

void signals_clear(void)
{
    stopped = 0;
}
