#include <string.h>

#include "model/core/text.h"
#include "views/draw.h"

/* Words in their text: what stands before a label is set to its left, what follows to its right, and
 * the labels of all rows stand below each other. */

#define CONTEXT_MAX 512 /* bytes to each side */
#define CONTEXT_LEAST 24

int context_columns(const struct axis *a, int room)
{
    int w = room * 3 / 5;
    return a->context && w >= CONTEXT_LEAST ? w : 0;
}

static void escape(char *out, size_t n, const char *text, size_t bytes, enum glyphs g)
{
    text_escape(out, n, text, bytes, g == GLYPHS_ASCII ? TEXT_ASCII : 0);
}

void context_draw(struct canvas *c, int x, int y, int w, const struct axis *a, int64_t i,
    struct style text, struct style word)
{
    char before[CONTEXT_MAX], after[CONTEXT_MAX], shown[4 * CONTEXT_MAX], number[LABEL_MAX];
    const char *label = axis_label(a, i, number, sizeof number);
    bool is_known = a->context && a->context(a, i, before, after, sizeof before);
    /* A model has seen what stands before; more of that is worth more. */
    int pivot = w * 3 / 5, used = 0;
    size_t blank = strspn(label, " ");
    blank = label[blank] ? blank : 0;
    if (is_known) {
        size_t n = strlen(before);
        if (blank && n + 1 < sizeof before)
            memcpy(before + n++, " ", 2);
        escape(shown, sizeof shown, before, n, c->glyphs);
        n = strlen(shown);
        size_t from = text_clip_left(NULL, shown, n, pivot), word_end = strcspn(shown + from, " ");
        from += from && from + word_end < n ? word_end : 0; /* from a whole word on */
        used = text_columns(shown + from);
        canvas_text(c, x + pivot - used, y, used, text, shown + from);
    }
    int at = x + pivot, end = x + w;
    escape(shown, sizeof shown, label + blank, strlen(label + blank), c->glyphs);
    at += canvas_text(c, at, y, 1, STYLE(DIM), "[");
    at += canvas_text(c, at, y, end - at - 1, word, shown);
    at += canvas_text(c, at, y, end - at, STYLE(DIM), "]");
    if (is_known && at < end) {
        escape(shown, sizeof shown, after, strlen(after), c->glyphs);
        canvas_text(c, at, y, end - at, STYLE(DIM), shown);
    }
}
