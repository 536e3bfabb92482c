#include <stdio.h>

#include "datasets/smallworld.h"
#include "datasets/task.h"

/* Both forms are equally many tokens, so that the twins align. */
static bool aligns(const struct noun *n, const struct dataset_opts *o)
{
    char one[64], many[64];
    if (!o->count_tokens)
        return true;
    snprintf(one, sizeof one, " %.60s", n->one);
    snprintf(many, sizeof many, " %.60s", n->many);
    return o->count_tokens(o->count_arg, one) == o->count_tokens(o->count_arg, many);
}

/* A noun that may differ in number stands between subject and verb. The twin flips the subject. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    static const char *const one[] = {" is", " was"}, *const many[] = {" are", " were"};
    static const char *const patterns[] = {
        "The $S", "The $S near the $X", "The $S behind the $X", "The $S beside the $X"};
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    int s = pen_below(&p, sw_n_nouns);
    for (int i = 0; i < sw_n_nouns && !aligns(&sw_nouns[s], o); i++)
        s = (s + 1) % sw_n_nouns;
    const struct noun *subject = &sw_nouns[s];
    const struct noun *between = &sw_nouns[pen_below(&p, sw_n_nouns)];
    bool is_plural = pen_chance(&p, 50);
    const char *other = pen_chance(&p, 50) ? between->many : between->one;
    const char *forms[2] = {subject->one, subject->many};
    const char *const clean[26] = {['S' - 'A'] = forms[is_plural], ['X' - 'A'] = other};
    const char *const corrupt[26] = {['S' - 'A'] = forms[!is_plural], ['X' - 'A'] = other};
    out->answer = is_plural ? many : one;
    out->wrong = is_plural ? one : many;
    out->n_answer = out->n_wrong = 2;
    return task_pair(out, &p, patterns[k % 4], clean, corrupt);
}

const struct dataset dataset_agreement_tiny = {
    .id = "agreement_tiny",
    .title = "subject and verb in the small world",
    .help = "Is or are, was or were, by the number of the subject, with another noun between. The "
            "corrupt prompt has the subject in the other number.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
