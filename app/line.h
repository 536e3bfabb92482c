#ifndef SONDE_APP_LINE_H
#define SONDE_APP_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "app/term.h"

/* One line of text being edited, with the keys of every shell: arrows, Home, End, Ctrl-A E B F U K W,
 * Backspace, Delete, Ctrl-arrows by word. It moves by grapheme clusters. */
struct line {
    char *text; /* NUL-terminated, never NULL after line_set */
    size_t n, room, at;
    bool is_offer; /* a proposal: what is typed takes its place, any other key keeps it */
};

bool line_set(struct line *l, const char *text); /* cursor at the end; false: no memory */
void line_release(struct line *l);
bool line_insert(struct line *l, const char *text);
/* Whether the key was one of its own. */
bool line_key(struct line *l, const struct key *k);
/* Draws w columns from x, scrolled so that the cursor shows; returns the cursor's column. */
int line_draw(const struct line *l, struct canvas *c, int x, int y, int w, struct style s);

#endif
