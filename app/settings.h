#ifndef SONDE_APP_SETTINGS_H
#define SONDE_APP_SETTINGS_H

#include <stdio.h>

#include "model/core/param.h"

/* The configuration file: other defaults for flags, one `name value` a line in the words of the
 * command language. `threads 4` holds wherever the flag exists; `lens.top 10` and `generate.top-k 40`
 * for one analysis or command,
 * `key.next-head "] Right"` binds keys of the workbench. $SONDE_CONFIG, else sonde/config under $XDG_CONFIG_HOME or ~/.config; no
 * file is no error. */
int settings_load(struct err *e); /* an error is that of the first bad line; the others hold */
void settings_release(void);
/* Replaces the defaults of a table; scope is the command's or the analysis' name. */
int settings_apply(struct args *a, const char *scope, struct err *e);
/* The file as it could be: every setting with its meaning, commented out where it is the default. */
void settings_print(FILE *out);

#endif
