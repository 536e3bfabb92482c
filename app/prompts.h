#ifndef SONDE_APP_PROMPTS_H
#define SONDE_APP_PROMPTS_H

#include "app/workbench.h"

/* Prompts that are open side by side. The one on screen lives in the workbench; the others keep their
 * answers here, so that going back to one asks nothing, up to PROMPTS_BYTES of them in all. */
#define PROMPTS_MAX 32
#define PROMPTS_BYTES ((size_t)256 << 20)

struct prompts;
void prompts_release(struct prompts **p);
int prompts_count(const struct workbench *wb); /* at least 1 */
int prompts_current(const struct workbench *wb);
uint64_t prompts_id(const struct workbench *wb); /* of the present one, as long as it is open */
const char *prompts_text(const struct workbench *wb, int i);
const char *prompts_name(const struct workbench *wb, int i);
/* Puts another one on screen; what belongs to another model, other edits or targets is asked anew. */
void prompts_switch(struct workbench *wb, int i);
void prompts_add(struct workbench *wb, const char *text); /* behind the present one, on screen */

/* The prompt that the present one is compared with, -1: none, and its answer once it is there: about
 * the same target, under the same edits. */
int prompts_other(const struct workbench *wb);
const struct answer *prompts_other_answer(const struct workbench *wb);
void prompts_ask_other(struct workbench *wb); /* if the comparison is on screen and out of date */
void prompts_take_other(struct workbench *wb, struct answer *a); /* takes it */

/* Positions of A against those of B: map[n] holds the position of B that stands beside each of A, -1
 * where none does. By the longest common subsequence of ids, the earliest of equally long ones; or, if
 * `shift` is not NULL, position i beside i + *shift. */
int prompts_align(int64_t *map, const int32_t *a, int64_t n, const int32_t *b, int64_t m,
    const int64_t *shift, struct err *e);

void alignment_release(struct alignment **a);

#endif
