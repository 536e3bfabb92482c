#ifndef SONDE_APP_MAN_H
#define SONDE_APP_MAN_H

#include <stdio.h>

/* sonde.1 in roff, from the tables of verbs, flags, analyses and keys. */
void man_write(FILE *out);

#endif
