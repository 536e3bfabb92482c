#include "datasets/smallworld.h"
#include "datasets/task.h"

/* Even items ask for the capital, odd ones for the county; the twin is another county's. */
static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    int county = pen_below(&p, sw_n_counties), other = pen_below(&p, sw_n_counties - 1);
    other += other >= county;
    const char *counties[2] = {sw_counties[county].name, sw_counties[other].name};
    const char *capitals[2] = {
        sw_towns[sw_counties[county].capital].name, sw_towns[sw_counties[other].capital].name};
    const char **asked = k % 2 ? capitals : counties, **told = k % 2 ? counties : capitals;
    const char *const clean[26] = {['X' - 'A'] = asked[0]};
    const char *const corrupt[26] = {['X' - 'A'] = asked[1]};
    const char *pattern = k % 2 ? "$X, the capital of" : "The capital of $X is";
    if (task_pair(out, &p, pattern, clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, told[0], told[1], true);
}

const struct dataset dataset_capital_tiny = {
    .id = "capital_tiny",
    .title = "capitals of the small world's counties",
    .help = "A county's capital, or the county of a capital. A fact of the embedded model's world; "
            "the corrupt prompt names another county or capital.",
    .kind = DATASET_TASK,
    .default_n = 64,
    .make = make,
};
