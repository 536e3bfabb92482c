#ifndef SONDE_APP_WORDS_H
#define SONDE_APP_WORDS_H

#include "model/core/arena.h"
#include "model/core/err.h"

/* Splits a line into words: blanks part them, '...' is literal, "..." knows \" \\ \n \t \r \xHH, a
 * backslash outside quotes takes the next character. "#" before a blank or the end starts a comment,
 * and so does any "#" that begins the line; "#50256" elsewhere is a word. */
int words_split(char ***words, int *n, const char *line, struct arena *arena, struct err *e);
/* The word, quoted so that words_split reads it back; NULL: out of memory. */
const char *words_quote(const char *word, struct arena *arena, struct err *e);
/* The words quoted and joined, `first` (if not NULL) before them. */
const char *words_join(
    const char *first, char *const *words, int n, struct arena *arena, struct err *e);

#endif
