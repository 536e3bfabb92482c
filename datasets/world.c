#include "datasets/dataset.h"
#include "datasets/phrases.h"

/* A paragraph of one kind, `size` sentences long. */
static void people_give(struct pen *p, int size)
{
    const struct person *a, *b;
    phrase_pair(p, &a, &b);
    if (pen_chance(p, 25)) {
        phrase_filler(p);
        pen_char(p, ' ');
    }
    for (int i = 0; i < size; i++) {
        if (i)
            pen_char(p, ' ');
        phrase_indirect(p, a, b);
        if (pen_chance(p, 25)) {
            pen_char(p, ' ');
            phrase_pronoun(p, pen_chance(p, 50) ? a : b);
        }
        if (pen_chance(p, 70))
            phrase_pair(p, &a, &b);
    }
}

static void each(struct pen *p, int size, void (*sentence)(struct pen *p))
{
    for (int i = 0; i < size; i++) {
        if (i)
            pen_char(p, ' ');
        sentence(p);
    }
}

static void facts(struct pen *p, int size)
{
    each(p, size, phrase_fact);
}

static void years(struct pen *p, int size)
{
    each(p, (size + 1) / 2, phrase_years);
}

static void brackets(struct pen *p, int size)
{
    each(p, size, phrase_brackets);
}

static void quotes(struct pen *p, int size)
{
    each(p, size, phrase_quote);
}

static void filler(struct pen *p, int size)
{
    each(p, size, phrase_filler);
}

static void agreement(struct pen *p, int size)
{
    each(p, size, phrase_agree);
}

static void pronouns(struct pen *p, int size)
{
    const struct person *who = phrase_person(p);
    for (int i = 0; i < size; i++) {
        if (i)
            pen_char(p, ' ');
        if (pen_chance(p, 20))
            phrase_about(p, who);
        else
            phrase_pronoun(p, who);
        if (pen_chance(p, 60))
            who = phrase_person(p);
    }
}

static void repeats(struct pen *p, int size)
{
    (void)size;
    int copies = 2 + pen_below(p, 2);
    int length = 2 + pen_below(p, pen_chance(p, 15) ? 40 : 10);
    phrase_repeat(p, length, copies);
}

/* What a document may be about, and in how many of 100 it is. */
static const struct kind {
    void (*write)(struct pen *p, int size);
    int percent;
} kinds[] = {
    {people_give, 21},
    {facts, 18},
    {years, 8},
    {brackets, 7},
    {quotes, 5},
    {filler, 8},
    {agreement, 7},
    {pronouns, 8},
    {repeats, 18},
};

static void paragraph(struct pen *p, int size)
{
    int at = pen_below(p, 100);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        at -= kinds[i].percent;
        if (at < 0) {
            kinds[i].write(p, size);
            return;
        }
    }
}

/* Most documents are one short paragraph, some are a page of many: over 256 tokens. */
static void document(struct pen *p)
{
    int paragraphs = pen_chance(p, 4) ? 6 + pen_below(p, 8) : 1;
    for (int i = 0; i < paragraphs; i++) {
        if (i)
            pen_char(p, '\n');
        paragraph(p, 1 + pen_below(p, 4));
    }
}

static int make(
    struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena, struct err *e)
{
    struct pen p;
    pen_init(&p, o->seed, (uint64_t)k, arena, e);
    document(&p);
    out->clean.text = pen_finish(&p);
    return out->clean.text ? 0 : ERR_LIMIT;
}

const struct dataset dataset_world = {
    .id = "world",
    .title = "the small world of the embedded model",
    .help =
        "Documents of the kind the embedded model was trained on: who gave what to whom, facts, "
        "years, brackets, quotations, agreement, repeated spans. Equal seeds give equal text.",
    .kind = DATASET_DOCUMENTS,
    .default_n = 100,
    .make = make,
};
