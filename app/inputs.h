#ifndef SONDE_APP_INPUTS_H
#define SONDE_APP_INPUTS_H

#include "analysis/analysis.h"
#include "analysis/token.h"
#include "app/command.h"
#include "app/session.h"

/* What the workbench shows first and commands run on when no input is given. */
#define DEFAULT_PROMPT "When Mara and Tobin went to the harbour, Mara gave the lantern to"

/* The inputs of a command before they meet a tokenizer, in the order -p, -f, --tokens, --dataset. */
struct source {
    const char *text; /* NULL: ids */
    size_t n_text;
    const int32_t *ids;
    int64_t n_ids;
    const char *where; /* "-p 2", "prompts.jsonl:7": names the input in errors */
};

struct sources {
    struct source *list;
    int n, room;
    int n_clean; /* of them the clean prompts of pairs */
};

/* model may be NULL where no dataset of ids is asked for. */
int sources_gather(struct sources *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e);

/* The same without -f, which a verb may want to read in its own way. */
int sources_gather_given(struct sources *out, const struct command *c, const struct model *model,
    struct arena *arena, struct err *e);

struct inputs {
    struct input *list;
    int n;
    int64_t invalid; /* sequences that became U+FFFD */
    int n_invalid;   /* in so many inputs */
    int n_cut;
};

struct encode_opts {
    bool bos;      /* before texts, where the model has one */
    bool truncate; /* cut at the context; otherwise a longer input is an error */
};

/* Tokenises; special tokens in the text are parsed. Lengths and ids are checked against the model. */
int inputs_encode(struct inputs *out, const struct sources *from, const struct model *model,
    const struct encode_opts *o, struct arena *arena, struct err *e);
/* Both, with the command's flags; no input at all is DEFAULT_PROMPT, and a note says so. */
int inputs_load(struct inputs *out, struct session *s, const struct command *c,
    const struct model *model, struct arena *arena, struct err *e);

#endif
