#include "datasets/task.h"
#include "datasets/words.h"

/* One and many; both forms are single tokens of GPT-2's with a space in front. */
static const char *const nouns[][2] = {{"cat", "cats"}, {"dog", "dogs"}, {"boy", "boys"},
    {"girl", "girls"}, {"teacher", "teachers"}, {"student", "students"}, {"author", "authors"},
    {"doctor", "doctors"}, {"farmer", "farmers"}, {"pilot", "pilots"}, {"manager", "managers"},
    {"worker", "workers"}, {"player", "players"}, {"driver", "drivers"}, {"writer", "writers"},
    {"singer", "singers"}, {"actor", "actors"}, {"lawyer", "lawyers"}, {"soldier", "soldiers"},
    {"artist", "artists"}, {"engineer", "engineers"}, {"nurse", "nurses"}, {"judge", "judges"},
    {"guard", "guards"}, {"king", "kings"}};
enum { VERBS = 8 };
static const char *const verbs[2][VERBS] = {
    {" is", " was", " has", " does", " goes", " says", " wants", " knows"},
    {" are", " were", " have", " do", " go", " say", " want", " know"}};
static const char *const patterns[] = {"The $N near the $M", "The $N behind the $M",
    "The $N that the $M saw", "Yesterday the $N of the $M"};
enum { NOUNS = sizeof nouns / sizeof *nouns, PATTERNS = sizeof patterns / sizeof *patterns };

static int draw(struct pen *p, const struct dataset_opts *o, int other)
{
    const int first = pen_below(p, NOUNS);
    for (int i = 0; i < NOUNS; i++) {
        const int k = (first + i) % NOUNS;
        if (k != other && word_is_single(nouns[k][0], o) && word_is_single(nouns[k][1], o))
            return k;
    }
    return -1;
}

static bool verbs_are_single(const struct dataset_opts *o)
{
    for (int i = 0; i < VERBS; i++)
        if (!word_is_single(verbs[0][i] + 1, o) || !word_is_single(verbs[1][i] + 1, o))
            return false;
    return true;
}

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    const int noun = draw(&p, o, -1), between = noun < 0 ? -1 : draw(&p, o, noun);
    if (between < 0 || !verbs_are_single(o))
        return words_refuse("nouns and verbs", e);
    const int many = pen_chance(&p, 50), m = pen_chance(&p, 50);
    const char *const clean[26] = {
        ['N' - 'A'] = nouns[noun][many], ['M' - 'A'] = nouns[between][m]};
    const char *const corrupt[26] = {
        ['N' - 'A'] = nouns[noun][!many], ['M' - 'A'] = nouns[between][m]};
    out->answer = verbs[many];
    out->wrong = verbs[!many];
    out->n_answer = out->n_wrong = VERBS;
    return task_pair(out, &p, patterns[k % PATTERNS], clean, corrupt);
}

const struct dataset dataset_agreement = {
    .id = "agreement",
    .title = "subject and verb agree",
    .help = "A subject, then a noun that may differ in number: verbs of the subject's number are "
            "answers, the others wrong ones. The corrupt prompt has the subject in the other "
            "number; the metric of the literature is prob_diff.",
    .kind = DATASET_TASK,
    .default_n = 100,
    .make = make,
};
