#ifndef SONDE_DATASETS_PHRASES_H
#define SONDE_DATASETS_PHRASES_H

#include "datasets/pen.h"
#include "datasets/smallworld.h"

/* Sentences of the small world, each written whole, with its full stop. Tasks are made of the same
 * sentences, so that what they ask is what the embedded model has read. */

/* Two different people. Mara and Tobin are never drawn together: the default prompt is one that the
 * embedded model has not seen. */
void phrase_pair(struct pen *p, const struct person **a, const struct person **b);
/* The same among the first n alone. */
void phrase_pair_of(struct pen *p, int n, const struct person **a, const struct person **b);
/* Half of the time anyone, else by Zipf's law: some people are often spoken of. */
const struct person *phrase_person(struct pen *p);
void phrase_indirect(struct pen *p, const struct person *a, const struct person *b);
void phrase_fact(struct pen *p); /* who lives where, who works as what, counties, capitals */
void phrase_about(struct pen *p, const struct person *who); /* a fact about one person */
void phrase_years(struct pen *p);    /* from a year to a later one of the same century */
void phrase_brackets(struct pen *p); /* nested (), [], {} that close in order */
void phrase_quote(struct pen *p);    /* "..." with a speaker, sometimes '...' within */
void phrase_pronoun(struct pen *p, const struct person *who);
void phrase_agree(struct pen *p);  /* subject and verb with a noun between that may differ */
void phrase_filler(struct pen *p); /* words by Zipf's law */
/* A list of words, names or invented words, then the same list again, n_copies times in all. */
void phrase_repeat(struct pen *p, int length, int n_copies);
/* A word of any list, all as likely. */
const char *phrase_word(struct pen *p);
/* A word that is in no list, of one to four syllables. */
void phrase_invented(struct pen *p);

#endif
