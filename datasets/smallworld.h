#ifndef SONDE_DATASETS_SMALLWORLD_H
#define SONDE_DATASETS_SMALLWORLD_H

#include <stdbool.h>

/* The world that the embedded model grew up in: everything that is true there, in one place, so that
 * the text generator, the tasks and the tests share one truth. All names are invented or common
 * first names; each is one token of the embedded model's tokenizer with its leading space. */

struct person {
    const char *name;
    bool is_female;
    int town; /* index into sw_towns: lives there */
    int job;  /* index into sw_jobs: works as one */
};

struct town {
    const char *name;
    int county; /* index into sw_counties: lies there */
};

struct county {
    const char *name;
    int capital; /* index into sw_towns; lies in this county */
};

/* A noun that agrees with its verb. */
struct noun {
    const char *one, *many;
};

/* A verb in the three forms that sentences use. */
struct verb {
    const char *one, *many, *past; /* runs, run, ran */
};

extern const struct person sw_people[]; /* sw_people[0] is Mara, [1] is Tobin */
extern const int sw_n_people;
extern const struct town sw_towns[];
extern const int sw_n_towns;
extern const struct county sw_counties[];
extern const int sw_n_counties;

/* Lists of words. Those of `filler` words are in order of rank: used with Zipf's law. */
struct words {
    const char *const *list;
    int n;
};
extern const struct words sw_jobs, sw_places, sw_objects, sw_events;
extern const struct words sw_adjectives, sw_adverbs, sw_verbs_past, sw_masses;
extern const struct noun sw_nouns[];
extern const int sw_n_nouns;
extern const struct verb sw_verbs[];
extern const int sw_n_verbs;

/* "a" or "an". */
const char *sw_article(const char *word);
const char *sw_subject_pronoun(const struct person *p); /* she, he */
const char *sw_object_pronoun(const struct person *p);  /* her, him */
const char *sw_possessive(const struct person *p);      /* her, his */

#endif
