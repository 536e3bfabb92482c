#ifndef SONDE_APP_COMMAND_H
#define SONDE_APP_COMMAND_H

#include <stdbool.h>

#include "analysis/analysis.h"
#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/param.h"

/* The command language. The shell's command line, a line of a batch file, the workbench's prompt and
 * its session log are the same commands, read by the same tables; help, man page and completion are
 * written from them too. */

struct session;
struct command;

/* Flags that several verbs share, one table each (flags.c). Every verb has the general ones. */
enum flag_set {
    FLAGS_MODEL = 1,  /* -m */
    FLAGS_INPUT = 2,  /* -p -f --lines --tokens --dataset --prepend-bos */
    FLAGS_ENGINE = 4, /* -t --max-mem */
    FLAGS_OUTPUT = 8, /* -o */
    FLAGS_EDIT = 16,  /* --edit */
    FLAGS_SEED = 32,  /* --seed */
    FLAG_SETS = 6
};

/* What the shell may complete an operand with. */
enum operand { OPERAND_NONE, OPERAND_ANALYSIS, OPERAND_FILE, OPERAND_CHOICE, OPERAND_VERB };

/* A verb is this descriptor, `const struct verb verb_NAME` in app/verb_NAME.c, and a line in
 * app/meson.build. */
struct verb {
    const char *name;
    const char *operands; /* "FILE.h5 [PATH]" */
    const char *brief;    /* one line, no full stop */
    const char *help;     /* sentences */
    const char *example;  /* lines, or NULL */
    unsigned sets;
    const struct param *params;
    int n_params;
    int min_operands, max_operands; /* max < 0: any number */
    enum operand operand;
    const char *choices; /* OPERAND_CHOICE: a|b|c */
    bool is_hidden;      /* not a word of the command line: the workbench */
    /* 0, 1 for the answer "no", or a negative ERR_*. */
    int (*run)(struct session *s, const struct command *c, struct err *e);
};

extern const struct verb *const verbs[]; /* generated from app/meson.build */
extern const int n_verbs;
const struct verb *verb_find(const char *name);

struct command {
    const struct verb *verb;
    struct args args; /* the shared flags and the verb's own */
    const char *const *operands;
    int n_operands;
    /* Of an OPERAND_ANALYSIS verb: what its first operand names, and their own flags. */
    const struct analysis **analyses;
    struct args *analysis_args;
    int n_analyses;
    bool wants_help, wants_version;
    const char *text; /* as one line that parses to the same command, "sonde" first */
};

/* words: without the program's name. Everything lives in the arena. */
int command_parse(
    struct command *out, char *const *words, int n, struct arena *arena, struct err *e);

#endif
