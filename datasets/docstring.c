#include "datasets/task.h"
#include "datasets/words.h"

/* Six arguments of which the docstring has named two: the next to be named is the third of those that
 * it goes through. The corrupt function has another argument in that place. */
static const char pattern[] = "\ndef $F(self, $A, $B, $C, $D, $E, $G):\n    \"\"\"$U $V $W\n\n"
                              "    :param $C: $X $Y\n    :param $D: $Z $T\n    :param";

enum { ARGUMENTS = 8, WORDS = 7 };

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    const char *name[ARGUMENTS], *word[WORDS];
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    for (int i = 0; i < ARGUMENTS; i++)
        if (!(name[i] = words_draw(&words_arguments, &p, o, name, i)))
            return e->code;
    for (int i = 0; i < WORDS; i++)
        if (!(word[i] = words_draw(&words_document, &p, o, NULL, 0)))
            return e->code;
    const char *slots[26] = {['F' - 'A'] = name[7],
        ['A' - 'A'] = name[0],
        ['B' - 'A'] = name[1],
        ['C' - 'A'] = name[2],
        ['D' - 'A'] = name[3],
        ['E' - 'A'] = name[4],
        ['G' - 'A'] = name[5],
        ['U' - 'A'] = word[0],
        ['V' - 'A'] = word[1],
        ['W' - 'A'] = word[2],
        ['X' - 'A'] = word[3],
        ['Y' - 'A'] = word[4],
        ['Z' - 'A'] = word[5],
        ['T' - 'A'] = word[6]};
    const char *corrupt[26];
    for (int i = 0; i < 26; i++)
        corrupt[i] = slots[i];
    corrupt['E' - 'A'] = name[6];
    if (task_pair(out, &p, pattern, slots, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, name[4], name[6], true);
}

const struct dataset dataset_docstring = {
    .id = "docstring",
    .title = "the next argument in a docstring",
    .help = "A Python function with six arguments and a docstring that has described two of them: "
            "which comes next. The corrupt function has another name in that place.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
