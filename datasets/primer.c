#include "datasets/copying.h"
#include "datasets/dataset.h"

/* A model learns to copy from what it has just read within minutes here, because every name and word
 * comes again and again. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    static const struct copying few = {
        .people = 8, .places = 4, .objects = 4, .openings = 4, .nouns = 16};
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    copying_write(&p, &few);
    out->clean.text = pen_finish(&p);
    return out->clean.text ? 0 : ERR_LIMIT;
}

const struct dataset dataset_primer = {
    .id = "primer",
    .title = "the small world in few words",
    .help = "Short documents with eight people and a handful of things: who gave what to whom, and "
            "repeated lists of words. The embedded model read them first.",
    .kind = DATASET_DOCUMENTS,
    .default_n = 100,
    .make = make,
};
