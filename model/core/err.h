#ifndef SONDE_CORE_ERR_H
#define SONDE_CORE_ERR_H

/* Errors are negative codes; -code is the exit status a command ends with. The lowest level writes
 * the message (what, where, the remedy); upper levels may put a prefix before it.
 * `struct err *e` is never NULL unless a header says so: functions return
 * e->code. err_set alone takes NULL. */
enum err_code {
    ERR_USAGE = -2,   /* the caller asked for something that does not exist */
    ERR_INPUT = -3,   /* an input file is damaged, missing or not what it says */
    ERR_LIMIT = -4,   /* out of memory, or above --max-mem */
    ERR_OUTPUT = -5,  /* output could not be written */
    ERR_CANCEL = -130 /* interrupted; what was finished stays valid */
};

struct err {
    int code;
    char msg[1024];
};

/* Writes the message, cut at a character boundary with control bytes escaped, and returns `code`. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the message and returns the code that is already there. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
