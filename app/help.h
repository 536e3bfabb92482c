#ifndef SONDE_APP_HELP_H
#define SONDE_APP_HELP_H

#include <stdio.h>

#include "app/command.h"

/* Everything a person reads about a command, from the tables that parse it. */
void help_all(FILE *out);
void help_command(FILE *out, const struct command *c); /* its verb, and the analyses it names */

/* "-m, --model MODEL", "--[no-]lines"; returns its length. */
int help_flag(char *buf, size_t n, const struct param *p);
/* The bounds, choices and default of a flag: "1 to 100; default 5", or "". */
void help_facts(char *buf, size_t n, const struct param *p);

#endif
