#include "datasets/smallworld.h"
#include "datasets/task.h"

/* The corrupt twin asks for someone who lives elsewhere. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    static const char *const patterns[] = {
        "$N lives in", "$N has a house in", "The home of $N is in", "$N comes from the town of"};
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const struct person *who = &sw_people[pen_below(&p, sw_n_people)], *other;
    do
        other = &sw_people[pen_below(&p, sw_n_people)];
    while (other->town == who->town);
    const char *const clean[26] = {['N' - 'A'] = who->name};
    const char *const corrupt[26] = {['N' - 'A'] = other->name};
    if (task_pair(out, &p, patterns[k % 4], clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, sw_towns[who->town].name, sw_towns[other->town].name, true);
}

const struct dataset dataset_lives_tiny = {
    .id = "lives_tiny",
    .title = "who lives where in the small world",
    .help = "A person's town, in four wordings. A fact of the embedded model's world; the corrupt "
            "prompt asks for someone who lives elsewhere.",
    .kind = DATASET_TASK,
    .default_n = 64,
    .make = make,
};
