#include "datasets/smallworld.h"
#include "datasets/task.h"
#include "datasets/words.h"

/* What a docstring asks, in words that the embedded model has read: a list, the same list again as far
 * as two words before its end, and which word comes. The corrupt list has another word there. */
enum { LIST = 6, TOLD = 3 };

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    const struct word_list objects = {"objects", sw_objects.list, sw_objects.n};
    const char *word[LIST + 1];
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    for (int i = 0; i <= LIST; i++)
        if (!(word[i] = words_draw(&objects, &p, o, word, i)))
            return e->code;
    const char *clean[26] = {0}, *corrupt[26] = {0};
    for (int i = 0; i < LIST; i++)
        clean[i] = corrupt[i] = word[i];
    corrupt[TOLD] = word[LIST];
    if (task_pair(out, &p, "$A $B $C $D $E $F. Again: $A $B $C", clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, word[TOLD], word[LIST], true);
}

const struct dataset dataset_docstring_tiny = {
    .id = "docstring_tiny",
    .title = "the next word of a list that is said again",
    .help =
        "Six words, then the same list again as far as the third: which comes next. The corrupt "
        "list has another word in that place; the small world's form of docstring.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
