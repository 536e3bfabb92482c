#include "datasets/task.h"
#include "datasets/words.h"

/* $A and $B are the two names in the order in which they first come, $S the one that gives, $P a place
 * and $O an object. Clean and corrupt differ in $S alone, so that one token differs. */
static const char *const patterns[] = {
    "When $A and $B went to the $P, $S gave a $O to",
    "Then, $A and $B had a long talk at the $P. Afterwards $S gave a $O to",
    "After $A and $B arrived at the $P, $S handed a $O to",
    "While $A and $B were working at the $P, $S passed a $O to",
    "Yesterday $A and $B met at the $P, and later $S brought a $O to",
    "Once $A and $B had left the $P, $S decided to give a $O to",
    "Friends of $A and $B waited at the $P until $S showed a $O to",
    "Because $A and $B liked the $P so much, $S bought a $O and sent it to",
    "At the $P, $A and $B argued for an hour before $S offered a $O to",
    "The day $A and $B found the $P, $S wanted to give a $O to",
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static const char *draw_name(
    struct pen *p, const struct dataset_opts *o, const char *const *not_these, int n_not)
{
    return words_draw(pen_chance(p, 50) ? &words_men : &words_women, p, o, not_these, n_not);
}

/* Even items are ABB (the second name acts again), odd ones BAB; wording by index. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const char *subject = draw_name(&p, o, NULL, 0);
    const char *indirect = subject ? draw_name(&p, o, &subject, 1) : NULL;
    const char *place = indirect ? words_draw(&words_places, &p, o, NULL, 0) : NULL;
    const char *object = place ? words_draw(&words_objects, &p, o, NULL, 0) : NULL;
    if (!object)
        return e->code;
    const char *const clean[26] = {['A' - 'A'] = k % 2 ? subject : indirect,
        ['B' - 'A'] = k % 2 ? indirect : subject,
        ['S' - 'A'] = subject,
        ['P' - 'A'] = place,
        ['O' - 'A'] = object};
    const char *const corrupt[26] = {['A' - 'A'] = clean['A' - 'A'],
        ['B' - 'A'] = clean['B' - 'A'],
        ['S' - 'A'] = indirect,
        ['P' - 'A'] = place,
        ['O' - 'A'] = object};
    if (task_pair(out, &p, patterns[k / 2 % PATTERNS], clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, indirect, subject, true);
}

const struct dataset dataset_ioi = {
    .id = "ioi",
    .title = "indirect objects",
    .help = "Who receives, when one of two people gives: the name that was not said twice. Names, "
            "places and objects are single tokens of the model; the corrupt prompt has the other "
            "name as its giver.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
