#include "datasets/task.h"
#include "datasets/words.h"

/* Capitals and their countries, single tokens of GPT-2's with a space in front. */
static const char *const pairs[][2] = {{"Paris", "France"}, {"London", "England"},
    {"Berlin", "Germany"}, {"Madrid", "Spain"}, {"Rome", "Italy"}, {"Tokyo", "Japan"},
    {"Beijing", "China"}, {"Moscow", "Russia"}, {"Ottawa", "Canada"}, {"Canberra", "Australia"},
    {"Cairo", "Egypt"}, {"Athens", "Greece"}, {"Dublin", "Ireland"}, {"Lisbon", "Portugal"},
    {"Vienna", "Austria"}, {"Warsaw", "Poland"}, {"Stockholm", "Sweden"}, {"Oslo", "Norway"},
    {"Copenhagen", "Denmark"}, {"Helsinki", "Finland"}, {"Brussels", "Belgium"},
    {"Budapest", "Hungary"}, {"Kiev", "Ukraine"}, {"Ankara", "Turkey"}, {"Tehran", "Iran"},
    {"Baghdad", "Iraq"}, {"Damascus", "Syria"}, {"Beirut", "Lebanon"}, {"Kabul", "Afghanistan"},
    {"Islamabad", "Pakistan"}, {"Bangkok", "Thailand"}, {"Manila", "Philippines"},
    {"Jakarta", "Indonesia"}, {"Havana", "Cuba"}, {"Lima", "Peru"}, {"Santiago", "Chile"},
    {"Tripoli", "Libya"}, {"Jerusalem", "Israel"}};
static const char *const patterns[] = {
    "The city of $C is the capital of",
    "As everyone knows, $C is the capital city of",
    "A train from $C, the capital of",
};
enum { PAIRS = sizeof pairs / sizeof *pairs, PATTERNS = sizeof patterns / sizeof *patterns };

static int draw(struct pen *p, const struct dataset_opts *o, int other)
{
    const int first = pen_below(p, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        const int k = (first + i) % PAIRS;
        if (k != other && word_is_single(pairs[k][0], o) && word_is_single(pairs[k][1], o))
            return k;
    }
    return -1;
}

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const int one = draw(&p, o, -1), other = one < 0 ? -1 : draw(&p, o, one);
    if (other < 0)
        return words_refuse("capitals and countries", e);
    const char *const clean[26] = {['C' - 'A'] = pairs[one][0]};
    const char *const corrupt[26] = {['C' - 'A'] = pairs[other][0]};
    if (task_pair(out, &p, patterns[k % PATTERNS], clean, corrupt))
        return ERR_LIMIT;
    return task_answer(out, &p, pairs[one][1], pairs[other][1], true);
}

const struct dataset dataset_capital = {
    .id = "capital",
    .title = "capitals and countries",
    .help = "The country that a capital belongs to. The corrupt prompt names another capital.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
