#include "datasets/smallworld.h"
#include "datasets/task.h"

/* Two brackets of different kind are open; the inner one closes first. The twin opens them in the
 * other order. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    static const char *const opens[] = {"(", "[", "{"}, *const closes[] = {")", "]", "}"};
    static const char *const patterns[] = {
        "$N packed the $O $Xthe $A $Ythe $B",
        "On the table lay the $O $Xone $A $Ythe $B",
        "The $O $Xthe $A $Yone $B",
    };
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    int outer = pen_below(&p, 3), inner = (outer + 1 + pen_below(&p, 2)) % 3;
    const char *name = sw_people[pen_below(&p, sw_n_people)].name;
    const char *object = sw_objects.list[pen_below(&p, sw_objects.n)];
    const char *first = sw_nouns[pen_zipf(&p, sw_n_nouns)].one;
    const char *second = sw_nouns[pen_zipf(&p, sw_n_nouns)].one;
    const char *clean[26] = {
        ['N' - 'A'] = name,
        ['O' - 'A'] = object,
        ['A' - 'A'] = first,
        ['B' - 'A'] = second,
        ['X' - 'A'] = opens[outer],
        ['Y' - 'A'] = opens[inner],
    };
    const char *corrupt[26];
    for (int i = 0; i < 26; i++)
        corrupt[i] = clean[i];
    corrupt['X' - 'A'] = opens[inner];
    corrupt['Y' - 'A'] = opens[outer];
    if (task_pair(out, &p, patterns[k % 3], clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, closes[inner], closes[outer], false);
}

const struct dataset dataset_brackets_tiny = {
    .id = "brackets_tiny",
    .title = "brackets that close in order in the small world",
    .help = "Two brackets of different kind are open, and the inner one must close first. The "
            "corrupt prompt opens them in the other order.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
