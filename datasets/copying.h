#ifndef SONDE_DATASETS_COPYING_H
#define SONDE_DATASETS_COPYING_H

#include "datasets/pen.h"

/* Short documents in which what comes next stands in what was just read: one person gives something
 * to another, or a list of words is said again. */
struct copying {
    int people;                    /* the first so many, evenly; 0: anyone, as phrase_pair draws */
    int places, objects, openings; /* the first so many of each list */
    int nouns; /* of a list: evenly among so many nouns and the people; 0: words of every kind */
};
void copying_write(struct pen *p, const struct copying *c);

#endif
