#include "app/line.h"

#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"

#define LINE_MAX_BYTES (1 << 22)

bool line_set(struct line *l, const char *text)
{
    l->n = l->at = 0;
    l->is_offer = false;
    if (l->text)
        l->text[0] = '\0';
    return line_insert(l, text);
}

void line_release(struct line *l)
{
    free(l->text);
    *l = (struct line){0};
}

bool line_insert(struct line *l, const char *text)
{
    size_t n = strlen(text);
    if (l->n + n + 1 > LINE_MAX_BYTES)
        return false;
    if (l->n + n + 1 > l->room) {
        size_t room = (l->n + n + 1) * 2 + 64;
        char *grown = realloc(l->text, room);
        if (!grown)
            return false;
        l->text = grown;
        l->room = room;
    }
    memmove(l->text + l->at + n, l->text + l->at, l->n - l->at);
    memcpy(l->text + l->at, text, n);
    l->n += n;
    l->at += n;
    l->text[l->n] = '\0';
    return true;
}

static size_t next_at(const struct line *l, size_t at)
{
    int columns;
    return at < l->n ? at + text_cluster(&columns, l->text + at, l->n - at) : l->n;
}

static size_t prev_at(const struct line *l, size_t at)
{
    size_t i = 0, before = 0;
    while (i < at) {
        before = i;
        i = next_at(l, i);
    }
    return before;
}

static size_t word_left(const struct line *l)
{
    size_t at = l->at;
    while (at > 0 && l->text[at - 1] == ' ')
        at--;
    while (at > 0 && l->text[at - 1] != ' ')
        at--;
    return at;
}

static size_t word_right(const struct line *l)
{
    size_t at = l->at;
    while (at < l->n && l->text[at] == ' ')
        at++;
    while (at < l->n && l->text[at] != ' ')
        at++;
    return at;
}

static void cut(struct line *l, size_t from, size_t to)
{
    memmove(l->text + from, l->text + to, l->n - to + 1);
    l->n -= to - from;
    l->at = from;
}

bool line_key(struct line *l, const struct key *k)
{
    enum what { LEFT, RIGHT, START, FINISH, BACK, DELETE, KILL, UNDO, WORD, WORD_LEFT, WORD_RIGHT };
    static const struct {
        const char *name;
        enum what what;
    } keys[] = {{"Left", LEFT}, {"Ctrl-B", LEFT}, {"Right", RIGHT}, {"Ctrl-F", RIGHT},
        {"Home", START}, {"Ctrl-A", START}, {"End", FINISH}, {"Ctrl-E", FINISH},
        {"Backspace", BACK}, {"Delete", DELETE}, {"Ctrl-D", DELETE}, {"Ctrl-K", KILL},
        {"Ctrl-U", UNDO}, {"Ctrl-W", WORD}, {"Ctrl-Left", WORD_LEFT}, {"Ctrl-Right", WORD_RIGHT}};
    bool was_offer = l->is_offer;
    l->is_offer = false;
    if (was_offer && (k->paste || k->text[0]))
        line_set(l, "");
    if (k->paste)
        return line_insert(l, k->paste);
    if (k->text[0])
        return line_insert(l, k->text);
    size_t i = 0, n = sizeof keys / sizeof *keys;
    while (i < n && strcmp(keys[i].name, k->name) != 0)
        i++;
    if (i == n || !l->text)
        return false;
    switch (keys[i].what) {
    case LEFT:
        l->at = prev_at(l, l->at);
        break;
    case RIGHT:
        l->at = next_at(l, l->at);
        break;
    case START:
        l->at = 0;
        break;
    case FINISH:
        l->at = l->n;
        break;
    case BACK:
        if (l->at > 0)
            cut(l, prev_at(l, l->at), l->at);
        break;
    case DELETE:
        if (l->at < l->n)
            cut(l, l->at, next_at(l, l->at));
        break;
    case KILL:
        cut(l, l->at, l->n);
        break;
    case UNDO:
        cut(l, 0, l->at);
        break;
    case WORD:
        cut(l, word_left(l), l->at);
        break;
    case WORD_LEFT:
        l->at = word_left(l);
        break;
    case WORD_RIGHT:
        l->at = word_right(l);
        break;
    }
    return true;
}

int line_draw(const struct line *l, struct canvas *c, int x, int y, int w, struct style s)
{
    const char *text = l->text ? l->text : "";
    if (w < 1)
        return x;
    /* Escaped text is what has columns; the cursor stands behind the escaped form of its prefix. */
    char *before = malloc(8 * l->n + 16);
    if (!before)
        return x;
    text_escape(before, 8 * l->n + 16, text, l->at, 0);
    int columns = text_width(before, strlen(before)), skip = 0;
    size_t from = 0;
    if (columns > w - 1) {
        int kept;
        from = text_clip_left(&kept, before, strlen(before), w * 2 / 3);
        skip = columns - kept;
    }
    size_t used = strlen(before);
    text_escape(before + used, 8 * l->n + 16 - used, text + l->at, l->n - l->at, 0);
    /* Past the edge the text is cut without a sign: the frame says where it ends. */
    size_t end = text_clip(NULL, before + from, strlen(before + from), w);
    before[from + end] = '\0';
    canvas_text(c, x, y, w, s, before + from);
    free(before);
    return x + columns - skip;
}
