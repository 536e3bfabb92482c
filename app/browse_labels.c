#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/browse_inside.h"

/* Labels of axes, read 256 at a time, and the texts that they spell. */

#define LABELS 256

/* Where texts begin among the labels, and what is not spelt in them. */
static int read_breaks(
    struct tile *t, const struct want *want, struct tree *tree, int64_t first, int64_t n)
{
    const struct spec *s = want->spec;
    int64_t from = 0, to = 0;
    for (int64_t i = 0; i < n; i++) {
        if (first + i >= to) {
            int rc = tree_text(&from, &to, tree, s->node, want->axis, first + i, &t->e);
            if (rc)
                return rc;
            if (to <= first + i)
                return 0; /* no text */
        }
        t->begins[i] = first + i == from;
    }
    t->is_text = true;
    return tree_bare(t->bare, tree, s->node, want->axis, first, n, &t->e);
}

int labels_read(struct tile *t, const struct want *want, struct tree *tree)
{
    const struct spec *s = want->spec;
    int64_t first = want->key.row * LABELS, n = s->n->axes[want->axis].size - first;
    n = n < LABELS ? n : LABELS;
    t->labels = calloc(LABELS, sizeof *t->labels);
    t->begins = calloc(LABELS, sizeof *t->begins);
    t->bare = calloc(LABELS, sizeof *t->bare);
    if (!t->labels || !t->begins || !t->bare)
        return err_set(&t->e, ERR_LIMIT, "out of memory (labels)");
    t->bytes += LABELS * (sizeof *t->labels + sizeof *t->begins + sizeof *t->bare);
    int rc = tree_labels(t->labels, tree, s->node, want->axis, first, n, &t->arena, &t->e);
    for (int64_t i = 0; i < n && !rc; i++)
        t->bytes += strlen(t->labels[i]) + 16;
    return rc ? rc : read_breaks(t, want, tree, first, n);
}

static void label_key(struct tile_key *k, const struct spec *s, int axis, int64_t index)
{
    memset(k, 0, sizeof *k);
    k->spec =
        ((uint64_t)(uint32_t)s->doc << 40) + ((uint64_t)(uint32_t)s->node << 8) + (uint64_t)axis;
    k->shape = 'l';
    k->row = index / LABELS;
}

int io_label(char *buf, size_t n, struct io *io, struct spec *s, int axis, int64_t index)
{
    struct tile_key k;
    int found = 0;
    if (axis < 0 || index < 0 || !(s->n->labelled >> axis & 1))
        return -1;
    label_key(&k, s, axis, index);
    pthread_mutex_lock(&io->lock);
    do {
        const struct tile *t = store_find(&io->store, &k);
        if (t) {
            found = t->e.code ? -1 : 1;
            if (found > 0)
                snprintf(buf, n, "%s", t->labels[index % LABELS]);
            break;
        }
        io_want(io, &k, s, axis);
    } while (io_wait(io, io->until));
    pthread_mutex_unlock(&io->lock);
    return found;
}

/* One label's tile; NULL: it is on its way. The lock is held. */
static const struct tile *label_tile(struct io *io, struct spec *s, int axis, int64_t index)
{
    struct tile_key k;
    label_key(&k, s, axis, index);
    const struct tile *t = store_find(&io->store, &k);
    if (!t)
        io_want(io, &k, s, axis);
    return t;
}

/* Collects the labels beside one, `step` by `step`, until the text ends or the bytes do; the words come
 * as they are met. False: something is not there yet. The lock is held. */
static bool walk_text(char *out, size_t n, struct io *io, struct spec *s, int axis, int64_t index,
    int step, bool *is_text)
{
    size_t used = 0;
    const struct tile *t = label_tile(io, s, axis, index);
    out[step > 0 ? 0 : n - 1] = '\0';
    for (int64_t i = index; t && !t->e.code && t->is_text;) {
        if (step < 0 && t->begins[i % LABELS])
            return true;
        i += step;
        if (i < 0 || i >= s->n->axes[axis].size)
            return true;
        if (i / LABELS != (i - step) / LABELS && !(t = label_tile(io, s, axis, i)))
            return false;
        if (t->e.code || (step > 0 && t->begins[i % LABELS]))
            return true;
        const char *word = t->labels[i % LABELS];
        size_t bytes = strlen(word), pad = t->bare[i % LABELS] ? 1 : 0;
        if (used + bytes + 2 * pad >= n)
            return true;
        char *to = step > 0 ? out + used : out + n - 1 - used - bytes - 2 * pad;
        memset(to, ' ', bytes + 2 * pad);
        memcpy(to + pad, word, bytes);
        used += bytes + 2 * pad;
        if (step > 0)
            out[used] = '\0';
    }
    if (t && (t->e.code || !t->is_text))
        *is_text = false;
    return t != NULL;
}

int io_context(
    char *before, char *after, size_t n, struct io *io, struct spec *s, int axis, int64_t index)
{
    bool all, is_text = true;
    *before = *after = '\0';
    if (axis < 0 || index < 0 || !(s->n->labelled >> axis & 1))
        return -1;
    pthread_mutex_lock(&io->lock);
    do {
        memset(before, 0, n);
        all = walk_text(before, n, io, s, axis, index, -1, &is_text);
        all = walk_text(after, n, io, s, axis, index, 1, &is_text) && all;
    } while (!all && io_wait(io, io->until));
    pthread_mutex_unlock(&io->lock);
    const char *first = before;
    while (first < before + n - 1 && !*first)
        first++;
    memmove(before, first, strlen(first) + 1);
    return !is_text ? -1 : all;
}
