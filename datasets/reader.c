#include "datasets/copying.h"
#include "datasets/dataset.h"
#include "datasets/indirect.h"
#include "datasets/smallworld.h"

/* What the primer teaches of eight people, for everyone. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct copying all = {
        .places = sw_places.n, .objects = sw_objects.n, .openings = indirect_openings};
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    copying_write(&p, &all);
    out->clean.text = pen_finish(&p);
    return out->clean.text ? 0 : ERR_LIMIT;
}

const struct dataset dataset_reader = {
    .id = "reader",
    .title = "the small world in short sentences",
    .help =
        "Short documents with everyone and everything: who gave what to whom, and repeated lists "
        "of words. The embedded model read them after the primer.",
    .kind = DATASET_DOCUMENTS,
    .default_n = 100,
    .make = make,
};
