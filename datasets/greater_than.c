#include <stdio.h>

#include "datasets/task.h"
#include "datasets/words.h"

enum { FIRST = 2, LAST = 98, CENTURY = 11, CENTURIES = 7, TRIES = 1000 };

/* A year that the tokenizer takes apart into century and two digits, as the answers are. */
static bool splits(int century, int year, const struct dataset_opts *o)
{
    char text[32];
    if (!o->count_tokens)
        return true;
    snprintf(text, sizeof text, " %02d%02d", century, year);
    bool ok = o->count_tokens(o->count_arg, text) == 2;
    snprintf(text, sizeof text, " %02d", century);
    ok = ok && o->count_tokens(o->count_arg, text) == 1;
    snprintf(text, sizeof text, "%02d", year);
    return ok && o->count_tokens(o->count_arg, text) == 1;
}

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const char *const *list = task_years(arena, e);
    const char *event = words_draw(&words_events, &p, o, NULL, 0);
    int from = 0, century = 0, tries = 0;
    if (!list || !event)
        return e->code;
    do {
        from = FIRST + pen_below(&p, LAST - FIRST + 1);
        century = CENTURY + pen_below(&p, CENTURIES);
        if (++tries > TRIES)
            return words_refuse("years", e);
    } while (!splits(century, from, o) || !splits(century, 1, o));
    const char *const clean[26] = {
        ['E' - 'A'] = event, ['C' - 'A'] = list[century], ['Y' - 'A'] = list[from]};
    const char *const corrupt[26] = {
        ['E' - 'A'] = event, ['C' - 'A'] = list[century], ['Y' - 'A'] = list[1]};
    task_later_years(out, list, from);
    return task_pair(out, &p, "The $E lasted from the year $C$Y to the year $C", clean, corrupt);
}

const struct dataset dataset_greater_than = {
    .id = "greater_than",
    .title = "later years",
    .help = "What began in one year of a century ends in a later one: every later year is an "
            "answer, every other a wrong one. Years split into a century and two digits; the "
            "corrupt prompt begins in year 01.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
