#include "app/history.h"

#include <stdlib.h>
#include <string.h>

#include "app/state.h"

#define KEPT 1000

struct history {
    char **lines;
    int n, at, n_old; /* n_old: read from the file */
    bool is_kept;
    char *typed;
};

static bool add(struct history *h, const char *line)
{
    if (h->n && !strcmp(h->lines[h->n - 1], line))
        return true;
    char **grown = realloc(h->lines, (size_t)(h->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    h->lines = grown;
    if (!(grown[h->n] = strdup(line)))
        return false;
    h->n++;
    return true;
}

int history_open(struct history **out, struct err *e)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : err_set(e, ERR_LIMIT, "no memory for the history");
}

int history_load(struct history *h, struct err *e)
{
    struct arena scratch = {0};
    const char *const *lines;
    int n = 0;
    h->is_kept = !state_lines(&lines, &n, "history", &scratch, e);
    for (int i = 0; h->is_kept && i < n; i++)
        add(h, lines[i]);
    h->at = h->n_old = h->n;
    arena_release(&scratch);
    return 0;
}

static void save(const struct history *h)
{
    struct arena scratch = {0};
    struct err lost;
    const char *const *old;
    int n = 0, k = 0, fresh = h->n - h->n_old;
    if (!state_lines(&old, &n, "history", &scratch, &lost)) {
        const char **all = arena_array(&scratch, KEPT, sizeof *all, &lost);
        int room = KEPT - (fresh < KEPT ? fresh : KEPT);
        for (int i = n > room ? n - room : 0; all && i < n; i++)
            all[k++] = old[i];
        for (int i = fresh > KEPT ? h->n - KEPT : h->n_old; all && i < h->n; i++)
            all[k++] = h->lines[i];
        if (all)
            state_write("history", all, k, &lost);
    }
    arena_release(&scratch);
}

void history_release(struct history **h)
{
    if (!*h)
        return;
    if ((*h)->is_kept && (*h)->n > (*h)->n_old)
        save(*h);
    for (int i = 0; i < (*h)->n; i++)
        free((*h)->lines[i]);
    free((*h)->lines);
    free((*h)->typed);
    free(*h);
    *h = NULL;
}

void history_add(struct history *h, const char *line)
{
    if (!h || strpbrk(line, "\n\r"))
        return;
    add(h, line);
    h->at = h->n;
}

void history_rest(struct history *h)
{
    if (h)
        h->at = h->n;
}

const char *history_step(struct history *h, int step, const char *typed)
{
    if (!h || h->at + step < 0 || h->at + step > h->n)
        return NULL;
    if (h->at == h->n) {
        free(h->typed);
        h->typed = strdup(typed);
    }
    h->at += step;
    return h->at < h->n ? h->lines[h->at] : h->typed ? h->typed : "";
}

const char *history_search(struct history *h, const char *text, bool again)
{
    if (!h)
        return NULL;
    int from = again ? h->at - 1 : h->n - 1;
    for (int i = from; i >= 0 && *text; i--)
        if (strstr(h->lines[i], text)) {
            h->at = i;
            return h->lines[i];
        }
    return NULL;
}
