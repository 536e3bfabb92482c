#include "datasets/task.h"
#include "datasets/words.h"

/* The corrupt twin names someone of the other gender. */
static const struct {
    const char *pattern, *him, *her;
} forms[] = {
    {"So $N is a really good friend, isn't", "he", "she"},
    {"Last night $N came home late because", "he", "she"},
    {"When $N opened the door,", "he", "she"},
    {"Yesterday $N lost the $O, but later", "he", "she"},
    {"On Sunday $N went to the $P with", "his", "her"},
    {"Everyone at the $P knew $N and waved to", "him", "her"},
};
enum { FORMS = sizeof forms / sizeof *forms };

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const char *man = words_draw(&words_men, &p, o, NULL, 0);
    const char *woman = man ? words_draw(&words_women, &p, o, NULL, 0) : NULL;
    const char *place = woman ? words_draw(&words_places, &p, o, NULL, 0) : NULL;
    const char *object = place ? words_draw(&words_objects, &p, o, NULL, 0) : NULL;
    if (!object)
        return e->code;
    const bool is_her = pen_chance(&p, 50);
    const char *const clean[26] = {
        ['N' - 'A'] = is_her ? woman : man, ['P' - 'A'] = place, ['O' - 'A'] = object};
    const char *const corrupt[26] = {
        ['N' - 'A'] = is_her ? man : woman, ['P' - 'A'] = place, ['O' - 'A'] = object};
    const char *him = forms[k % FORMS].him, *her = forms[k % FORMS].her;
    if (task_pair(out, &p, forms[k % FORMS].pattern, clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, is_her ? her : him, is_her ? him : her, true);
}

const struct dataset dataset_pronoun = {
    .id = "pronoun",
    .title = "gendered pronouns",
    .help =
        "She or he, her or his, her or him, by the name that went before. The corrupt prompt has "
        "a name of the other gender.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
