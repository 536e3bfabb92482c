#ifndef SONDE_APP_EDIT_LIST_H
#define SONDE_APP_EDIT_LIST_H

#include "app/workbench.h"

/* The edits of the workbench in their order, as text; one that is switched off begins with "!". */
bool edit_is_off(const char *text);
/* The text that resample:N takes values from: 0 is the clean prompt of the pair that is open, 1 its corrupt
 * one; without a pair 0 is the prompt on screen. NULL: there is none. */
const char *edit_input(const struct workbench *wb, int n);
/* An edit as a question about the prompt alone takes it: with from:TEXT in place of resample:N. The
 * edit itself where nothing is to be replaced. */
const char *edit_for_prompt(
    const struct workbench *wb, const char *text, struct arena *arena, struct err *e);
bool edits_take_means(const struct workbench *wb);  /* whether one that acts is a mean */
bool edits_take_inputs(const struct workbench *wb); /* whether one that acts is resample:N */
/* Those that are on, borrowed, in an array of the arena. */
const char *const *edits_on(int *n, const struct workbench *wb, struct arena *arena, struct err *e);
/* Takes the list in place of the present one; a snapshot for undo comes first. */
void edits_replace(struct workbench *wb, const char *const *list, int n);
/* What an edit of the focused pane would address: "L4H2", "L3N512", "L2.resid_pre", "embed". has_pos:
 * the cursor is at one position of it, so an edit there is the first choice. */
bool edit_target(const struct workbench *wb, char *buf, size_t n, bool *has_pos);

#endif
