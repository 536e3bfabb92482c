#include "datasets/indirect.h"

#include "datasets/smallworld.h"

/* $A and $B are the two names, $P the place. What ends with a comma or a space goes on in the same
 * sentence. */
static const char *const openings[] = {
    "When $A and $B went to the $P, ",
    "After $A and $B met at the $P, ",
    "While $A and $B were at the $P, ",
    "Then $A and $B went to the $P. ",
    "$A and $B walked to the $P. There ",
    "As $A and $B left the $P, ",
    "Once $A and $B had found the $P, ",
    "Because $A and $B worked at the $P, ",
    "$A and $B were friends. At the $P ",
    "Yesterday $A and $B came to the $P, and ",
    "Before $A and $B closed the $P, ",
    "In the evening $A met $B at the $P. Later ",
    "$A saw $B near the $P. After a while ",
    "When $A visited $B at the $P, ",
    "At the $P $A sat beside $B. Soon ",
    "$A and $B had a long talk at the $P. In the end ",
};
const int indirect_openings = sizeof openings / sizeof *openings;

static const char *const middles[] = {
    "",
    "the rain had stopped and ",
    "the wind was cold and ",
    "nobody else was there, so ",
    "it was already late and ",
    "the bells were ringing when ",
    "as the sun went down, ",
    "after a short silence, ",
};
const int indirect_middles = sizeof middles / sizeof *middles;

/* $S is the giver, $N the article, $O the object. */
static const char *const givings[] = {
    "$S gave the $O to",
    "$S handed the $O to",
    "$S passed the $O to",
    "$S offered the $O to",
    "$S sent the $O to",
    "$S lent $N $O to",
    "$S sold $N $O to",
    "$S showed the $O to",
    "$S brought $N $O to",
    "$S threw the $O to",
    "$S decided to give the $O to",
    "$S wanted to hand the $O to",
    "$S promised to send $N $O to",
    "$S gave $N $O to",
};
const int indirect_givings = sizeof givings / sizeof *givings;

void indirect_draw(struct indirect *s, struct pen *p)
{
    s->place = sw_places.list[pen_below(p, sw_places.n)];
    s->object = sw_objects.list[pen_below(p, sw_objects.n)];
    s->opening = pen_below(p, indirect_openings);
    s->middle = pen_chance(p, 25) ? 1 + pen_below(p, indirect_middles - 1) : 0;
    s->giving = pen_chance(p, 25) ? 0 : pen_below(p, indirect_givings);
}

void indirect_write(struct pen *p, const struct indirect *s)
{
    const char *const slots[26] = {
        ['A' - 'A'] = s->first,
        ['B' - 'A'] = s->second,
        ['P' - 'A'] = s->place,
        ['S' - 'A'] = s->giver,
        ['N' - 'A'] = sw_article(s->object),
        ['O' - 'A'] = s->object,
    };
    pen_fill(p, openings[s->opening], slots);
    size_t from = p->n;
    bool is_new = p->n >= 2 && p->text[p->n - 2] == '.';
    pen_put(p, middles[s->middle]);
    if (is_new)
        pen_capital(p, from);
    pen_fill(p, givings[s->giving], slots);
}
