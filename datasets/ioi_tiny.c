#include "datasets/dataset.h"
#include "datasets/indirect.h"
#include "datasets/smallworld.h"

/* Names without replacement, both orders of the opening in turn (even items ABB..A, odd ones BAB..A),
 * wording by index. The corrupt twin has the other name as its giver, so that one token differs. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    int giver = pen_below(&p, sw_n_people), receiver = pen_below(&p, sw_n_people - 1);
    receiver += receiver >= giver;
    struct indirect s;
    indirect_draw(&s, &p);
    s.opening = (int)(k / 2 % indirect_openings);
    const char *give = sw_people[giver].name, *receive = sw_people[receiver].name;
    s.first = k % 2 ? receive : give;
    s.second = k % 2 ? give : receive;
    s.giver = give;
    indirect_write(&p, &s);
    out->clean.text = pen_finish(&p);
    s.giver = receive;
    indirect_write(&p, &s);
    out->corrupt.text = pen_finish(&p);
    const char **names = arena_array(arena, 2, sizeof *names, e);
    if (!out->clean.text || !out->corrupt.text || !names)
        return ERR_LIMIT;
    names[0] = arena_printf(arena, e, " %s", receive);
    names[1] = arena_printf(arena, e, " %s", give);
    if (!names[0] || !names[1])
        return ERR_LIMIT;
    out->answer = &names[0];
    out->wrong = &names[1];
    out->n_answer = out->n_wrong = 1;
    return 0;
}

const struct dataset dataset_ioi_tiny = {
    .id = "ioi_tiny",
    .title = "indirect objects in the small world",
    .help = "Who receives, when one of two people gives: the name that was not said twice. Both "
            "orders of the names, names and wordings of the embedded model's world.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
