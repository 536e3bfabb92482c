#ifndef SONDE_APP_JOURNAL_H
#define SONDE_APP_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/core/err.h"

struct workbench;
struct log;
struct jobs;

/* What a person does, as lines of the session log. The state of the workbench is compared with what
 * the log says so far, so that however a change came about it is one line; the cursor's moves are
 * written when it rests. */
struct journal;
int journal_open(struct journal **out, struct log *l, struct err *e);
void journal_release(struct journal **j);
/* Writes what changed. at_rest: the cursor too. True: something waits for the cursor to rest. */
bool journal_note(struct journal *j, struct workbench *wb, bool at_rest);
/* A word that was carried out, for those that are no part of the state above; j may be NULL. */
void journal_did(struct journal *j, const char *word, const char *arg);
/* Brings the workbench to where a log ended: model, prompt, edits, layout, selection. Nothing is
 * computed on the way; whoever calls opens the model then. Commands that the log asked for and does not
 * say to be finished, and those whose reports went with it, are offered in the list of jobs. */
int journal_replay(struct workbench *wb, const char *path, struct err *e);
/* "last", a number counted from the newest, or a path: its path in buf. */
int journal_find(char *buf, size_t n, const char *which, const struct log *own, struct err *e);

#endif
