#ifndef SONDE_DATASETS_INDIRECT_H
#define SONDE_DATASETS_INDIRECT_H

#include "datasets/pen.h"

/* Sentences with an indirect object: two names, one of them again as the giver, the other is who
 * receives: "When Mara and Tobin went to the harbour, Mara gave the lantern to" -> " Tobin". */
struct indirect {
    const char *first, *second; /* in the order of the opening */
    const char *giver;          /* usually one of the two */
    const char *place, *object;
    int opening, middle, giving; /* indices into the tables of indirect.c */
};

extern const int indirect_openings, indirect_middles, indirect_givings;
/* Draws place, object and wording; the names are the caller's. Middle 0 is none. */
void indirect_draw(struct indirect *s, struct pen *p);
/* Everything up to and with " to"; what follows is " " and the receiver's name. */
void indirect_write(struct pen *p, const struct indirect *s);

#endif
