#ifndef SONDE_APP_SAVER_H
#define SONDE_APP_SAVER_H

#include "app/workbench.h"
#include "views/buf.h"

/* Files that the workbench writes, on a thread of their own and one after the other: a slow disk or a
 * large report must not hold a key up. What can take long is a line in the list of jobs, where x stops it. */
struct saver;

/* Non-zero: stop. The same form as the progress of runs. */
typedef int save_step(void *saver, double done, double total);
struct save_work {
    char what[24]; /* "report": named in the message at the end */
    bool is_listed;
    /* On the other thread. What stands behind `arg` belongs to the work; nothing of the workbench may be
     * reached through it. */
    int (*write)(void *arg, const char *path, save_step *step, void *saver, struct err *e);
    void (*release)(void *arg);
    void *arg;
};

void saver_start(struct workbench *wb, const char *path, const struct save_work *work);
/* A text that is there already; takes what b holds. */
void saver_text(struct workbench *wb, const char *what, const char *path, struct buf *b);
bool saver_poll(struct workbench *wb); /* says what has ended; whether anything has */
bool saver_is_busy(const struct workbench *wb);
/* Waits for what is under way and writes the rest: who says save and leaves wants the file. SIGINT stops
 * it. What failed is in *e, and its code is returned. */
int saver_release(struct saver **s, struct err *e);

#endif
