#include "datasets/smallworld.h"
#include "datasets/task.h"

/* The corrupt twin names someone of the other gender. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    static const struct {
        const char *pattern;
        const char *(*word)(const struct person *p);
    } forms[] = {
        {"$N said that", sw_subject_pronoun},
        {"When $N came home,", sw_subject_pronoun},
        {"$N lost the $O, but later", sw_subject_pronoun},
        {"$N looked at", sw_possessive},
        {"$N opened", sw_possessive},
        {"Everyone liked $N, and the children always waved to", sw_object_pronoun},
    };
    enum { N = sizeof forms / sizeof *forms };
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const struct person *who = &sw_people[pen_below(&p, sw_n_people)], *other;
    do
        other = &sw_people[pen_below(&p, sw_n_people)];
    while (other->is_female == who->is_female);
    const char *object = sw_objects.list[pen_below(&p, sw_objects.n)];
    const char *const clean[26] = {['N' - 'A'] = who->name, ['O' - 'A'] = object};
    const char *const corrupt[26] = {['N' - 'A'] = other->name, ['O' - 'A'] = object};
    if (task_pair(out, &p, forms[k % N].pattern, clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, forms[k % N].word(who), forms[k % N].word(other), true);
}

const struct dataset dataset_pronoun_tiny = {
    .id = "pronoun_tiny",
    .title = "gendered pronouns in the small world",
    .help =
        "She or he, her or his, her or him, by the name that went before. The corrupt prompt has "
        "a name of the other gender.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
