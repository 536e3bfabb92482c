#include <stdlib.h>
#include <string.h>

#include "app/prompts.h"
#include "app/workbench.h"

/* Undo and redo of the prompt, BOS and the edits: snapshots before each change. */

#define UNDO_MAX 100

static void snapshot_release(struct snapshot *s)
{
    free(s->prompt);
    for (int i = 0; i < s->n_edits; i++)
        free(s->edits[i]);
    free(s->edits);
    *s = (struct snapshot){0};
}

static void stack_release(struct snapshot **list, int *n)
{
    for (int i = 0; i < *n; i++)
        snapshot_release(&(*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

void undo_release(struct workbench *wb)
{
    stack_release(&wb->undo, &wb->n_undo);
    stack_release(&wb->redo, &wb->n_redo);
}

static void push(struct snapshot **list, int *n, const struct workbench *wb)
{
    if (*n == UNDO_MAX) {
        snapshot_release(*list);
        memmove(*list, *list + 1, (size_t)-- * n * sizeof **list);
    }
    struct snapshot *grown = realloc(*list, (size_t)(*n + 1) * sizeof *grown);
    if (!grown)
        return;
    *list = grown;
    struct snapshot *s = &grown[*n];
    *s = (struct snapshot){.of = prompts_id(wb),
        .prompt = strdup(wb->shown_prompt),
        .bos = wb->bos,
        .edits = calloc((size_t)wb->n_edits + 1, sizeof *s->edits)};
    while (s->edits && s->n_edits < wb->n_edits &&
           (s->edits[s->n_edits] = strdup(wb->edits[s->n_edits])))
        s->n_edits++;
    if (s->prompt && s->edits && s->n_edits == wb->n_edits)
        ++*n;
    else
        snapshot_release(s);
}

void workbench_remember(struct workbench *wb)
{
    push(&wb->undo, &wb->n_undo, wb);
    stack_release(&wb->redo, &wb->n_redo);
}

/* Puts the last snapshot into force. */
static void pop(struct workbench *wb, struct snapshot *list, int *n)
{
    struct snapshot s = list[--*n];
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    free(wb->edits);
    wb->edits = s.edits;
    wb->n_edits = s.n_edits;
    /* What was changed of another prompt that is open stays as it is. */
    if (s.of == prompts_id(wb)) {
        wb->bos = s.bos;
        line_set(&wb->prompt, s.prompt);
    }
    free(s.prompt);
    workbench_run_prompt(wb);
    workbench_edited(wb);
}

void act_undo(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!wb->n_undo) {
        workbench_say(wb, false, "nothing to undo");
        return;
    }
    push(&wb->redo, &wb->n_redo, wb);
    pop(wb, wb->undo, &wb->n_undo);
    workbench_say(wb, false, "undone; %d left, Ctrl-R does it again", wb->n_undo);
}

void act_redo(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (!wb->n_redo) {
        workbench_say(wb, false, "nothing to do again");
        return;
    }
    push(&wb->undo, &wb->n_undo, wb);
    pop(wb, wb->redo, &wb->n_redo);
    workbench_say(wb, false, "done again; %d left", wb->n_redo);
}

void colon_undo(struct workbench *wb, const char *arg)
{
    (void)arg;
    act_undo(wb, NULL);
}

void colon_redo(struct workbench *wb, const char *arg)
{
    (void)arg;
    act_redo(wb, NULL);
}
