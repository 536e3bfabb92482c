#ifndef SONDE_CORE_PARAM_H
#define SONDE_CORE_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* One parameter of a command or an analysis. The flag, the form, --help, the man page, completion
 * and the report's attributes all come from this row. */
enum param_type {
    PARAM_BOOL,   /* --name, --no-name, --name=true|false */
    PARAM_INT,    /* min..max */
    PARAM_FLOAT,  /* min..max */
    PARAM_STRING, /* any text */
    PARAM_CHOICE, /* one of choices, separated by | */
    PARAM_LIST,   /* comma-separated integers and ranges: 1,3,5-8 */
    PARAM_TOKEN,  /* text that is exactly one token, or #ID; words of `choices` are allowed too */
    PARAM_FILE,   /* a path */
    PARAM_SIZE    /* bytes with a suffix: 512M, 8G */
};

struct param {
    const char *name; /* without dashes */
    char letter;      /* -m; 0: none */
    enum param_type type;
    const char *def;     /* the default as the user would type it; NULL: unset */
    const char *metavar; /* shown in help: MODEL, FILE */
    const char *help;    /* one sentence, no full stop */
    const char *choices; /* PARAM_CHOICE and PARAM_TOKEN: a|b|c */
    double min, max;     /* min == max: no bounds */
    bool many;           /* may be given several times */
};

struct param_value {
    bool is_set; /* given by the user, not the default */
    bool has;    /* there is a value, given or default */
    const char *text;
    int64_t i;
    double f;
    bool b;
    int64_t *list;
    int n_list;
    const char **texts; /* `many` */
    int n_texts;
};

/* Typed values of a table of params; values[i] belongs to table[i]. */
struct args {
    const struct param *table;
    int n;
    struct param_value *values;
    struct arena *arena;
};

int args_init(struct args *a, const struct param *table, int n, struct arena *arena, struct err *e);
/* Sets one value from text; checks type and bounds. ERR_USAGE names the flag and the remedy. */
int args_set(struct args *a, int index, const char *text, struct err *e);
int args_find(const struct args *a, const char *name);                      /* -1: no such param */
const struct param_value *args_get(const struct args *a, const char *name); /* must exist */
bool args_bool(const struct args *a, const char *name);
int64_t args_int(const struct args *a, const char *name);
double args_float(const struct args *a, const char *name);
const char *args_text(const struct args *a, const char *name); /* NULL: unset */

/* The candidates nearest to `word` by edit distance, best first; returns how many (<= max). */
int nearest_names(const char **out, int max, const char *word, const char *const *names, int n);

#endif
