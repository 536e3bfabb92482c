#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "app/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A line of the command language: split, parsed, and what was understood written as a line that gives
 * the same words again. Every refusal has a sentence. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {.limit = 1 << 26};
    struct err e = {0};
    struct command c;
    char **words, **again;
    int n_words, n_again;
    char *line = arena_strndup(&arena, (const char *)data, n < 4096 ? n : 4096, &e);
    if (!line)
        abort();
    if (words_split(&words, &n_words, line, &arena, &e)) {
        if (!*e.msg)
            abort();
        goto done;
    }
    const char *joined = words_join(NULL, words, n_words, &arena, &e);
    if (!joined || words_split(&again, &n_again, joined, &arena, &e) || n_again != n_words)
        abort();
    for (int i = 0; i < n_words; i++)
        if (strcmp(words[i], again[i]) != 0)
            abort();
    if (command_parse(&c, words, n_words, &arena, &e)) {
        if (!e.code || !*e.msg)
            abort();
    } else if (!c.verb || !c.text ||
               (c.verb->max_operands >= 0 && !c.wants_help && !c.wants_version &&
                   c.n_operands > c.verb->max_operands)) {
        abort();
    }
done:
    arena_release(&arena);
    return 0;
}
