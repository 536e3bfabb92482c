#include "datasets/words.h"

#include <stdio.h>
#include <string.h>

static const char *const men[] = {"James", "John", "Robert", "Michael", "William", "David",
    "Richard", "Joseph", "Thomas", "Charles", "Daniel", "Matthew", "Anthony", "Mark", "Donald",
    "Steven", "Paul", "Andrew", "Kenneth", "George", "Kevin", "Brian", "Edward", "Ronald",
    "Timothy", "Jason", "Jeffrey", "Ryan", "Jacob", "Gary", "Nicholas", "Eric", "Jonathan",
    "Stephen", "Larry", "Justin", "Scott", "Brandon", "Frank", "Benjamin", "Gregory", "Samuel",
    "Raymond", "Patrick", "Jack", "Dennis", "Tyler", "Aaron", "Henry", "Adam", "Peter", "Simon",
    "Oliver", "Martin", "Victor", "Leon", "Felix", "Oscar", "Max", "Luke"};

static const char *const women[] = {"Mary", "Patricia", "Jennifer", "Linda", "Elizabeth", "Barbara",
    "Susan", "Jessica", "Sarah", "Karen", "Nancy", "Lisa", "Betty", "Margaret", "Sandra", "Ashley",
    "Emily", "Donna", "Michelle", "Carol", "Amanda", "Melissa", "Deborah", "Stephanie", "Rebecca",
    "Laura", "Sharon", "Cynthia", "Kathleen", "Amy", "Angela", "Anna", "Brenda", "Emma", "Nicole",
    "Helen", "Samantha", "Katherine", "Christine", "Rachel", "Catherine", "Maria", "Heather",
    "Diane", "Ruth", "Julia", "Olivia", "Joyce", "Virginia", "Victoria", "Kelly", "Lauren",
    "Christina", "Joan", "Alice", "Julie", "Megan", "Jane", "Sophie", "Claire", "Kate", "Grace",
    "Rose", "Lucy"};

static const char *const places[] = {"store", "garden", "restaurant", "school", "hospital",
    "office", "house", "station", "market", "library", "park", "church", "museum", "beach",
    "bridge", "cafe", "bank", "hotel", "theater", "farm"};

static const char *const objects[] = {"ring", "book", "key", "letter", "drink", "computer",
    "necklace", "bone", "ball", "map", "camera", "watch", "ticket", "hat", "flower", "knife",
    "coin", "gift", "painting", "guitar"};

static const char *const events[] = {"war", "siege", "campaign", "strike", "drought", "famine",
    "trial", "plague", "dispute", "voyage", "project", "exhibition", "rebellion", "treaty",
    "occupation", "conflict", "construction", "journey", "expedition", "festival", "tournament",
    "alliance", "partnership", "struggle", "negotiation"};

static const char *const arguments[] = {"name", "file", "value", "result", "line", "user", "key",
    "path", "node", "item", "model", "text", "version", "string", "field", "start", "index",
    "state", "event", "image", "message", "check", "size", "row", "parser", "end", "count", "data",
    "list", "table", "port", "host", "mode", "type", "code", "date", "time", "page", "label",
    "group", "level", "score", "rate", "limit", "offset", "width", "height", "color", "shape"};

static const char *const document[] = {"update", "the", "record", "for", "this", "request",
    "return", "first", "matching", "entry", "from", "table", "compute", "value", "each", "step",
    "read", "next", "chunk", "of", "input", "write", "output", "into", "given", "buffer", "check",
    "whether", "current", "state", "is", "valid"};

#define WORDS(NAME, WHAT)                                                                          \
    const struct word_list words_##NAME = {WHAT, NAME, sizeof NAME / sizeof *NAME}
WORDS(men, "names");
WORDS(women, "names");
WORDS(places, "places");
WORDS(objects, "objects");
WORDS(events, "events");
WORDS(arguments, "argument names");
WORDS(document, "words");

bool word_is_single(const char *word, const struct dataset_opts *o)
{
    char text[64];
    if (!o->count_tokens)
        return true;
    snprintf(text, sizeof text, " %.60s", word);
    return o->count_tokens(o->count_arg, text) == 1;
}

int words_refuse(const char *what, struct err *e)
{
    return err_set(e, ERR_USAGE,
        "the %s of this task are not single tokens of this model; the datasets that end in _tiny "
        "have words of the embedded model's world",
        what);
}

static bool is_among(const char *word, const char *const *list, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word, list[i]))
            return true;
    return false;
}

/* From a drawn word on to the first that will do: few steps where most words are single tokens. */
const char *words_draw(const struct word_list *w, struct pen *p, const struct dataset_opts *o,
    const char *const *not_these, int n_not)
{
    const int first = pen_below(p, w->n);
    for (int i = 0; i < w->n; i++) {
        const char *word = w->list[(first + i) % w->n];
        if (!is_among(word, not_these, n_not) && word_is_single(word, o))
            return word;
    }
    p->failed = words_refuse(w->what, p->err);
    return NULL;
}
