#include "datasets/phrases.h"

#include "datasets/indirect.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define SLOT(c) [(c) - 'A']

static const char *any(struct pen *p, const struct words *w)
{
    return w->list[pen_below(p, w->n)];
}

static const char *zipf(struct pen *p, const struct words *w)
{
    return w->list[pen_zipf(p, w->n)];
}

const struct person *phrase_person(struct pen *p)
{
    return &sw_people[pen_chance(p, 50) ? pen_below(p, sw_n_people) : pen_zipf(p, sw_n_people)];
}

static bool is_pair(const struct person *a, const struct person *b)
{
    return a != b && (a - sw_people > 1 || b - sw_people > 1);
}

void phrase_pair(struct pen *p, const struct person **a, const struct person **b)
{
    do {
        *a = phrase_person(p);
        *b = phrase_person(p);
    } while (!is_pair(*a, *b));
}

void phrase_pair_of(struct pen *p, int n, const struct person **a, const struct person **b)
{
    do {
        *a = &sw_people[pen_below(p, n)];
        *b = &sw_people[pen_below(p, n)];
    } while (!is_pair(*a, *b));
}

void phrase_indirect(struct pen *p, const struct person *a, const struct person *b)
{
    static const char *const tails[] = {
        ".",
        ".",
        ".",
        " and went home.",
        " with a smile.",
        " before the rain came.",
        " and said goodbye.",
        ", who was waiting.",
    };
    bool is_swapped = pen_chance(p, 50);
    struct indirect s = {.first = a->name, .second = b->name};
    s.giver = is_swapped ? b->name : a->name;
    const char *receiver = is_swapped ? a->name : b->name;
    indirect_draw(&s, p);
    if (pen_chance(p, 4)) { /* someone else gives: either of the two may receive */
        const struct person *third = phrase_person(p);
        if (third != a && third != b)
            s.giver = third->name;
    }
    indirect_write(p, &s);
    if (pen_chance(p, 3)) {
        pen_put(p, " the ");
        pen_put(p, any(p, &sw_jobs));
    } else {
        pen_char(p, ' ');
        pen_put(p, receiver);
    }
    pen_put(p, tails[pen_below(p, COUNT(tails))]);
}

void phrase_about(struct pen *p, const struct person *who)
{
    static const char *const forms[] = {
        "$N lives in $T.",
        "$N has a house in $T.",
        "The home of $N is in $T.",
        "$N comes from the town of $T.",
        "$N is $K $J.",
        "$N works as $K $J.",
        "The work of $N is that of $K $J.",
        "$N is $K $J and lives in $T.",
        "$N, $K $J from $T, has $Q own garden.",
    };
    const char *job = sw_jobs.list[who->job];
    const char *const slots[26] = {
        SLOT('N') = who->name,
        SLOT('T') = sw_towns[who->town].name,
        SLOT('K') = sw_article(job),
        SLOT('J') = job,
        SLOT('Q') = sw_possessive(who),
    };
    pen_fill(p, forms[pen_below(p, COUNT(forms))], slots);
}

static void about_town(struct pen *p)
{
    static const char *const forms[] = {
        "The town of $T lies in $C.",
        "$T is a town in $C.",
        "$T lies in the county of $C.",
    };
    const struct town *t = &sw_towns[pen_below(p, sw_n_towns)];
    const char *const slots[26] = {
        SLOT('T') = t->name,
        SLOT('C') = sw_counties[t->county].name,
    };
    pen_fill(p, forms[pen_below(p, COUNT(forms))], slots);
}

static void about_capital(struct pen *p)
{
    static const char *const forms[] = {
        "The capital of $C is $T.",
        "$T is the capital of $C.",
        "$T, the capital of $C, is $A.",
        "The road to $T, the capital of $C, is $A.",
    };
    const struct county *c = &sw_counties[pen_below(p, sw_n_counties)];
    const char *const slots[26] = {
        SLOT('T') = sw_towns[c->capital].name,
        SLOT('C') = c->name,
        SLOT('A') = zipf(p, &sw_adjectives),
    };
    pen_fill(p, forms[pen_below(p, COUNT(forms))], slots);
}

void phrase_fact(struct pen *p)
{
    int which = pen_below(p, 10);
    if (which < 6)
        phrase_about(p, &sw_people[pen_below(p, sw_n_people)]);
    else if (which < 7)
        about_town(p);
    else
        about_capital(p);
}

void phrase_years(struct pen *p)
{
    static const char *const forms[] = {
        "The $E lasted from the year $X to the year $Y.",
        "The $E lasted from the year $X to the year $Y.",
        "The $A $E began in the year $X and ended in the year $Y.",
        "From the year $X to the year $Y there was $K $E.",
    };
    int century = 11 + pen_below(p, 8);
    int from = 2 + pen_below(p, 97), to = from + 1 + pen_below(p, 99 - from);
    char x[5] = {(char)('0' + century / 10), (char)('0' + century % 10), (char)('0' + from / 10),
        (char)('0' + from % 10), '\0'};
    const char *event = any(p, &sw_events);
    char y[5] = {x[0], x[1], (char)('0' + to / 10), (char)('0' + to % 10), '\0'};
    const char *const slots[26] = {
        SLOT('E') = event,
        SLOT('K') = sw_article(event),
        SLOT('A') = zipf(p, &sw_adjectives),
        SLOT('X') = x,
        SLOT('Y') = y,
    };
    pen_fill(p, forms[pen_below(p, COUNT(forms))], slots);
}

/* One to three things, each of which may carry another bracket. */
static void bracketed(struct pen *p, int depth)
{
    static const char opens[] = "([{", closes[] = ")]}";
    int kind = pen_below(p, 3), n = 1 + pen_below(p, 2);
    pen_char(p, opens[kind]);
    for (int i = 0; i < n; i++) {
        if (i)
            pen_put(p, pen_chance(p, 50) ? " and " : ", ");
        pen_put(p, pen_chance(p, 50) ? "the " : "one ");
        if (pen_chance(p, 40)) {
            pen_put(p, zipf(p, &sw_adjectives));
            pen_char(p, ' ');
        }
        pen_put(p, sw_nouns[pen_zipf(p, sw_n_nouns)].one);
        if (depth < 4 && pen_chance(p, depth < 2 ? 55 : 35)) {
            pen_char(p, ' ');
            bracketed(p, depth + 1);
        }
    }
    pen_char(p, closes[kind]);
}

void phrase_brackets(struct pen *p)
{
    static const char *const forms[] = {
        "$N packed the $O ",
        "On the table lay the $O ",
        "The $O ",
        "$N counted every $O ",
    };
    const char *name = phrase_person(p)->name, *object = any(p, &sw_objects);
    const char *const slots[26] = {
        SLOT('N') = name,
        SLOT('O') = object,
    };
    int which = pen_below(p, COUNT(forms));
    pen_fill(p, forms[which], slots);
    bracketed(p, 1);
    if (which == 2) {
        pen_put(p, " was ");
        pen_put(p, zipf(p, &sw_adjectives));
    }
    pen_char(p, '.');
}

static void noun_phrase(struct pen *p, bool is_plural)
{
    static const char *const one[] = {"the", "the", "a", "every", "this", "that", "one"};
    static const char *const many[] = {"the", "the", "some", "many", "these", "those", "two"};
    int which = pen_below(p, COUNT(one));
    const char *adjective = pen_chance(p, 40) ? zipf(p, &sw_adjectives) : NULL;
    const struct noun *noun = &sw_nouns[pen_zipf(p, sw_n_nouns)];
    const char *word = is_plural ? noun->many : noun->one;
    const char *before = is_plural ? many[which] : one[which];
    if (!is_plural && which == 2)
        before = sw_article(adjective ? adjective : word);
    pen_put(p, before);
    pen_char(p, ' ');
    if (adjective) {
        pen_put(p, adjective);
        pen_char(p, ' ');
    }
    pen_put(p, word);
}

static const char *near_word(struct pen *p)
{
    static const char *const list[] = {
        "near", "behind", "beside", "under", "above", "in", "by", "from", "beyond", "against"};
    return list[pen_zipf(p, COUNT(list))];
}

/* "the quiet river near the mill was old": the clause without its full stop. */
static void clause(struct pen *p)
{
    int which = pen_below(p, 4);
    if (which == 0) {
        noun_phrase(p, pen_chance(p, 30));
        pen_char(p, ' ');
        pen_put(p, sw_verbs[pen_zipf(p, sw_n_verbs)].past);
        bool is_placed = pen_chance(p, 60);
        if (!is_placed || pen_chance(p, 40)) {
            pen_char(p, ' ');
            pen_put(p, zipf(p, &sw_adverbs));
        }
        if (is_placed) {
            pen_char(p, ' ');
            pen_put(p, near_word(p));
            pen_put(p, " the ");
            pen_put(p, any(p, &sw_places));
        }
    } else if (which == 1) {
        pen_put(p, phrase_person(p)->name);
        pen_char(p, ' ');
        pen_put(p, zipf(p, &sw_verbs_past));
        pen_char(p, ' ');
        noun_phrase(p, pen_chance(p, 30));
    } else if (which == 2) {
        noun_phrase(p, false);
        pen_put(p, " was ");
        if (pen_chance(p, 20))
            pen_put(p, "very ");
        pen_put(p, zipf(p, &sw_adjectives));
    } else {
        noun_phrase(p, pen_chance(p, 30));
        pen_char(p, ' ');
        pen_put(p, zipf(p, &sw_verbs_past));
        pen_char(p, ' ');
        noun_phrase(p, pen_chance(p, 30));
    }
}

void phrase_filler(struct pen *p)
{
    static const char *const joins[] = {
        " and ", ", but ", " because ", " while ", ", so ", " although ", " until "};
    size_t from = p->n;
    int which = pen_below(p, 10);
    if (which == 0) {
        pen_put(p, "there was ");
        pen_put(p, zipf(p, &sw_masses));
        pen_char(p, ' ');
        pen_put(p, near_word(p));
        pen_char(p, ' ');
        noun_phrase(p, pen_chance(p, 30));
    } else if (which == 1) {
        pen_put(p, "the ");
        pen_put(p, any(p, &sw_objects));
        pen_put(p, " smelled of ");
        phrase_invented(p);
        pen_put(p, " and ");
        pen_put(p, zipf(p, &sw_masses));
    } else {
        clause(p);
        if (pen_chance(p, 35)) {
            pen_put(p, joins[pen_zipf(p, COUNT(joins))]);
            clause(p);
        }
    }
    pen_capital(p, from);
    pen_char(p, '.');
}

void phrase_quote(struct pen *p)
{
    static const char *const says[] = {"said", "asked", "whispered", "wrote", "shouted"};
    const char *name = phrase_person(p)->name, *say = says[pen_zipf(p, COUNT(says))];
    bool is_first = pen_chance(p, 60);
    if (is_first) {
        pen_put(p, name);
        pen_char(p, ' ');
        pen_put(p, say);
        pen_put(p, ", ");
    }
    pen_char(p, '"');
    size_t from = p->n;
    clause(p);
    if (pen_chance(p, 20)) {
        pen_put(p, " (");
        clause(p);
        pen_char(p, ')');
    }
    pen_capital(p, from);
    pen_put(p, is_first ? ".\"" : ",\" ");
    if (!is_first) {
        pen_put(p, say);
        pen_char(p, ' ');
        pen_put(p, name);
        pen_char(p, '.');
    }
}

void phrase_pronoun(struct pen *p, const struct person *who)
{
    static const char *const forms[] = {
        "$N said that $H was $A.",
        "$N lost the $O, but later $H found it at the $P.",
        "$N opened $Q $O and put it on the table.",
        "When $N came home, $H $V the $O.",
        "$N was $A because $H had to leave the $P.",
        "The $O belonged to $N, and everyone knew that it was $Q.",
        "$N looked at $Q $O before $H went to the $P.",
        "Everyone liked $N, and the children always waved to $M.",
        "$N thought that $H would find the $O in $Q coat.",
    };
    const char *object = any(p, &sw_objects), *place = any(p, &sw_places);
    const char *adjective = zipf(p, &sw_adjectives), *verb = zipf(p, &sw_verbs_past);
    const char *const slots[26] = {
        SLOT('N') = who->name,
        SLOT('H') = sw_subject_pronoun(who),
        SLOT('M') = sw_object_pronoun(who),
        SLOT('Q') = sw_possessive(who),
        SLOT('O') = object,
        SLOT('P') = place,
        SLOT('A') = adjective,
        SLOT('V') = verb,
    };
    int which = pen_below(p, COUNT(forms));
    if (which == 5 && who->is_female)
        which = 0; /* "it was hers" would need a fourth form */
    pen_fill(p, forms[which], slots);
}

void phrase_agree(struct pen *p)
{
    bool is_plural = pen_chance(p, 50), has_between = pen_chance(p, 60);
    const struct noun *head = &sw_nouns[pen_zipf(p, sw_n_nouns)];
    const struct noun *other = &sw_nouns[pen_zipf(p, sw_n_nouns)];
    pen_put(p, "The ");
    pen_put(p, is_plural ? head->many : head->one);
    if (has_between) {
        pen_char(p, ' ');
        pen_put(p, near_word(p));
        pen_put(p, " the ");
        pen_put(p, pen_chance(p, 50) ? other->many : other->one);
    }
    pen_char(p, ' ');
    int which = pen_below(p, 10);
    if (which < 5) {
        static const char *const be[] = {"is", "are", "was", "were", "has been", "have been"};
        pen_put(p, be[pen_below(p, 3) * 2 + is_plural]);
        pen_char(p, ' ');
        pen_put(p, zipf(p, &sw_adjectives));
    } else {
        const struct verb *verb = &sw_verbs[pen_zipf(p, sw_n_verbs)];
        pen_put(p, is_plural ? verb->many : verb->one);
        pen_char(p, ' ');
        pen_put(p, zipf(p, &sw_adverbs));
    }
    pen_char(p, '.');
}

void phrase_invented(struct pen *p)
{
    static const char *const onsets[] = {"b", "br", "c", "d", "dr", "f", "g", "gl", "h", "k", "l",
        "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "w", "z", "sh", "th", ""};
    static const char *const vowels[] = {"a", "e", "i", "o", "u", "ai", "ea", "oo"};
    static const char *const codas[] = {"", "n", "r", "l", "s", "m", "t", "nd", "rk", "x"};
    for (int i = 1 + pen_zipf(p, 4); i >= 0; i--) {
        pen_put(p, onsets[pen_below(p, COUNT(onsets))]);
        pen_put(p, vowels[pen_zipf(p, COUNT(vowels))]);
        pen_put(p, codas[pen_zipf(p, COUNT(codas))]);
    }
}

const char *phrase_word(struct pen *p)
{
    int n = sw_n_nouns + sw_n_people + sw_n_towns;
    const struct words *const lists[] = {&sw_places, &sw_adjectives, &sw_verbs_past};
    for (int k = 0; k < COUNT(lists); k++)
        n += lists[k]->n;
    int i = pen_below(p, n);
    if (i < sw_n_nouns)
        return pen_chance(p, 50) ? sw_nouns[i].one : sw_nouns[i].many;
    if ((i -= sw_n_nouns) < sw_n_people)
        return sw_people[i].name;
    if ((i -= sw_n_people) < sw_n_towns)
        return sw_towns[i].name;
    i -= sw_n_towns;
    int k = 0;
    while (i >= lists[k]->n)
        i -= lists[k++]->n;
    return lists[k]->list[i];
}

/* Few or many words to choose from, so that nothing but the first copy helps. */
static void any_word(struct pen *p, int style)
{
    if (style == 0)
        phrase_invented(p);
    else if (style == 1)
        pen_put(p, phrase_person(p)->name);
    else if (style < 5)
        pen_put(p, sw_nouns[pen_zipf(p, sw_n_nouns)].one);
    else
        pen_put(p, phrase_word(p));
}

void phrase_repeat(struct pen *p, int length, int n_copies)
{
    static const char *const separators[] = {" ", " ", " ", "; ", "\n", ". Again: "};
    const char *separator = separators[pen_below(p, COUNT(separators))];
    int style = pen_below(p, 10);
    size_t from = p->n;
    for (int i = 0; i < length; i++) {
        if (i)
            pen_char(p, ' ');
        any_word(p, style);
    }
    size_t n = p->n - from;
    const char *span = p->failed ? NULL : arena_strndup(p->arena, p->text + from, n, p->err);
    if (!span)
        p->failed = ERR_LIMIT;
    for (int i = 1; i < n_copies && span; i++) {
        pen_put(p, separator);
        pen_put(p, span);
    }
    pen_char(p, '.');
}
