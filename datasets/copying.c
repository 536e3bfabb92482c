#include "datasets/copying.h"

#include "datasets/indirect.h"
#include "datasets/phrases.h"

enum { SHORTEST = 3, LONGEST = 8 };

static void give(struct pen *p, const struct copying *c)
{
    const struct person *a, *b;
    if (c->people)
        phrase_pair_of(p, c->people, &a, &b);
    else
        phrase_pair(p, &a, &b);
    bool is_swapped = pen_chance(p, 50);
    struct indirect s = {.first = a->name, .second = b->name};
    s.giver = is_swapped ? b->name : a->name;
    s.place = sw_places.list[pen_below(p, c->places)];
    s.object = sw_objects.list[pen_below(p, c->objects)];
    s.opening = pen_below(p, c->openings);
    indirect_write(p, &s);
    pen_char(p, ' ');
    pen_put(p, is_swapped ? a->name : b->name);
    pen_char(p, '.');
}

static const char *word(struct pen *p, const struct copying *c)
{
    if (c->nouns) {
        int i = pen_below(p, c->people + c->nouns);
        return i < c->people ? sw_people[i].name : sw_nouns[i - c->people].one;
    }
    if (pen_chance(p, 30))
        return sw_people[pen_zipf(p, sw_n_people)].name;
    return pen_chance(p, 50) ? sw_nouns[pen_zipf(p, sw_n_nouns)].one : phrase_word(p);
}

static void repeat(struct pen *p, const struct copying *c)
{
    const char *words[LONGEST];
    int n = SHORTEST + pen_below(p, LONGEST - SHORTEST + 1), copies = 2 + pen_below(p, 2);
    for (int i = 0; i < n; i++)
        words[i] = word(p, c);
    for (int i = 0; i < n * copies; i++) {
        if (i)
            pen_char(p, ' ');
        pen_put(p, words[i % n]);
    }
}

void copying_write(struct pen *p, const struct copying *c)
{
    if (pen_chance(p, 60))
        give(p, c);
    else
        repeat(p, c);
}
