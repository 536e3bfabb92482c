#include "datasets/smallworld.h"
#include "datasets/task.h"

enum { FIRST = 2, LAST = 98 };

/* The corrupt twin begins in year 01, after which every answer is possible. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const char *const *list = task_years(arena, e);
    if (!list)
        return ERR_LIMIT;
    int from = FIRST + pen_below(&p, LAST - FIRST + 1), century = 11 + pen_below(&p, 8);
    const char *event = sw_events.list[pen_below(&p, sw_events.n)];
    const char *const clean[26] = {
        ['E' - 'A'] = event, ['C' - 'A'] = list[century], ['Y' - 'A'] = list[from]};
    const char *const corrupt[26] = {
        ['E' - 'A'] = event, ['C' - 'A'] = list[century], ['Y' - 'A'] = list[1]};
    task_later_years(out, list, from);
    return task_pair(out, &p, "The $E lasted from the year $C$Y to the year $C", clean, corrupt);
}

const struct dataset dataset_greater_than_tiny = {
    .id = "greater_than_tiny",
    .title = "later years in the small world",
    .help = "An event that began in one year of a century ends in a later one: every later year is "
            "an answer, every other a wrong one. The corrupt prompt begins in year 01.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
