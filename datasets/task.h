#ifndef SONDE_DATASETS_TASK_H
#define SONDE_DATASETS_TASK_H

#include "datasets/dataset.h"
#include "datasets/pen.h"

/* What the tasks share: prompts in pairs, and answers as literal text. */

/* Fills clean and corrupt from the same pattern (pen_fill). */
int task_pair(struct item *out, struct pen *p, const char *pattern, const char *const clean[26],
    const char *const corrupt[26]);
/* A list of one answer, " " and the word where `spaced`. */
int task_answer(
    struct item *out, struct pen *p, const char *answer, const char *wrong, bool spaced);

/* "00" .. "99", shared by the answers of every item. */
const char *const *task_years(struct arena *arena, struct err *e);
/* Years after `from` are answers, the others wrong ones. */
void task_later_years(struct item *out, const char *const *years, int from);

#endif
