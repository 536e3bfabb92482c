#ifndef SONDE_APP_COMPLETION_H
#define SONDE_APP_COMPLETION_H

#include <stdio.h>

#include "model/core/err.h"

/* Completion code for bash, zsh or fish, from the tables of verbs, flags and analyses. */
int completion_write(FILE *out, const char *shell, struct err *e);

#endif
