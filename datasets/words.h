#ifndef SONDE_DATASETS_WORDS_H
#define SONDE_DATASETS_WORDS_H

#include "datasets/dataset.h"
#include "datasets/pen.h"

/* Common English words for the tasks, every one a single token of GPT-2's with a space in front. Other
 * tokenizers are asked word by word. */
struct word_list {
    const char *what; /* "names", for errors */
    const char *const *list;
    int n;
};
extern const struct word_list words_men, words_women, words_places, words_objects, words_events,
    words_arguments, words_document;

/* A word that is one token with a space in front, not among the `n_not` in `not_these`; NULL after an
 * error: the model's tokenizer has none. */
const char *words_draw(const struct word_list *w, struct pen *p, const struct dataset_opts *o,
    const char *const *not_these, int n_not);
/* Whether " word" is one token, or nobody can tell. */
bool word_is_single(const char *word, const struct dataset_opts *o);
/* The error of a task whose words are not single tokens of this model. */
int words_refuse(const char *what, struct err *e);

#endif
