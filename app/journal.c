#include "app/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/asked.h"
#include "app/browse.h"
#include "app/command.h"
#include "app/desk.h"
#include "app/log.h"
#include "app/patching.h"
#include "app/prompts.h"
#include "app/words.h"
#include "app/workbench.h"
#include "model/core/machine.h"
#include "model/core/stream.h"
#include "model/core/text.h"

#define REST 1.0 /* seconds without a move */

/* One line of the log each: what it said last, NULL: nothing yet. Those `is_cursor` wait for rest. */
enum part {
    MODEL,
    BOS,
    PROMPT,
    PROMPTS,
    EDITS,
    PAIR,
    ALIGN,
    SWEEP,
    TARGET,
    VERSUS,
    LAYOUT,
    THEME,
    DATASET,
    FOCUS,
    ZOOM,
    PLANE,
    SORT_ROWS,
    SORT_COLUMNS,
    SELECT,
    PARTS
};

struct journal {
    struct log *log;
    char *said[PARTS];
    char *moved_to; /* the cursor's line when it was last looked at */
    double moved;
};

int journal_open(struct journal **out, struct log *l, struct err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_LIMIT, "no memory for the session log");
    (*out)->log = l;
    return 0;
}

void journal_release(struct journal **j)
{
    if (!*j)
        return;
    for (int i = 0; i < PARTS; i++)
        free((*j)->said[i]);
    free((*j)->moved_to);
    free(*j);
    *j = NULL;
}

/* "word 'argument'" */
static const char *quoted(const char *word, const char *arg, struct arena *a, struct err *e)
{
    const char *q = words_quote(arg, a, e);
    return q ? arena_printf(a, e, "%s %s", word, q) : NULL;
}

static const char *edits_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    const char *line = wb->n_edits ? "edits" : "clear";
    for (int i = 0; i < wb->n_edits && line; i++) {
        const char *q = words_quote(wb->edits[i], a, e);
        line = q ? arena_printf(a, e, "%s %s", line, q) : NULL;
    }
    return line;
}

/* "prompts 2 'first' 'second'" */
static const char *prompts_line(const struct workbench *wb, struct arena *a, struct err *e)
{
    int n = prompts_count(wb);
    const char *line =
        n < 2 ? "prompts" : arena_printf(a, e, "prompts %d", prompts_current(wb) + 1);
    for (int i = 0; i < n && n > 1 && line; i++) {
        const char *q = words_quote(prompts_text(wb, i), a, e);
        line = q ? arena_printf(a, e, "%s %s", line, q) : NULL;
    }
    return line;
}

static const char *layout_line(struct workbench *wb, struct arena *a, struct err *e)
{
    char text[1024], made[1024];
    struct layout preset;
    layout_preset(&preset, wb->layout);
    layout_print(made, sizeof made, &preset);
    layout_print(text, sizeof text, &wb->layouts[wb->layout - 1]);
    return strcmp(text, made) ? arena_printf(a, e, "layout %d %s", wb->layout, text)
                              : arena_printf(a, e, "layout %d", wb->layout);
}

/* "focus lens", and of a second pane of that kind "focus lens 2" */
static const char *focus_line(struct workbench *wb, struct arena *a, struct err *e)
{
    const struct pane *p = &wb->panes[wb->focus];
    int nth = layout_nth(workbench_layout(wb), wb->focus);
    return nth > 1 ? arena_printf(a, e, "focus %s %d", p->class->name, nth)
                   : arena_printf(a, e, "focus %s", p->class->name);
}

static const char *line_of(enum part part, struct workbench *wb, struct arena *a, struct err *e)
{
    const struct selection *s = &wb->sel;
    const char *name;
    switch (part) {
    case MODEL:
        name = *wb->model_name ? log_model(wb->model_name, a, e) : NULL;
        return name ? quoted("model", name, a, e) : NULL;
    case BOS:
        return wb->bos ? "bos on" : "bos off";
    case PROMPT:
        /* Files are looked into without one. */
        return *wb->shown_prompt || wb->facts.is_open ? quoted("prompt", wb->shown_prompt, a, e)
                                                      : NULL;
    case PROMPTS:
        return prompts_line(wb, a, e);
    case EDITS:
        return edits_line(wb, a, e);
    case PAIR:
        return patching_pair_line(wb, a, e);
    case ALIGN:
        return patching_align_line(wb, a, e);
    case SWEEP:
        return patching_sweep_line(wb, a, e);
    case TARGET:
        return quoted("target", wb->target ? wb->target : "auto", a, e);
    case VERSUS:
        return quoted("versus", wb->versus ? wb->versus : "auto", a, e);
    case LAYOUT:
        return layout_line(wb, a, e);
    case THEME:
        return quoted("theme", wb->theme->name, a, e);
    case FOCUS:
        return focus_line(wb, a, e);
    case DATASET:
        name = browse_dataset(wb, a, e);
        return name ? quoted("open", name, a, e) : NULL;
    case PLANE:
        return browse_at_line(wb, a, e);
    case SORT_ROWS:
    case SORT_COLUMNS:
        return browse_sort_line(wb, part == SORT_ROWS, a, e);
    case ZOOM:
        return wb->zoomed == SLOT_NONE ? "zoom off" : "zoom on";
    default:
        if (!wb->lens || s->pos < 0)
            return NULL;
        return arena_printf(a, e, "select pos=%lld key=%lld row=%lld layer=%lld head=%lld",
            (long long)s->pos, (long long)s->key, (long long)s->row, (long long)s->layer,
            (long long)s->head);
    }
}

/* What every session begins with need not be said. */
static bool goes_without(enum part part, const char *line)
{
    static const char *const first[PARTS] = {[BOS] = "bos on",
        [PROMPTS] = "prompts",
        [EDITS] = "clear",
        [ALIGN] = "align off",
        [SWEEP] = "sweep site=resid_pre direction=denoise metric=logit_diff values=normalized",
        [TARGET] = "target auto",
        [VERSUS] = "versus auto",
        [LAYOUT] = "layout 1",
        [FOCUS] = "focus lens",
        [ZOOM] = "zoom off",
        [SORT_ROWS] = "sort rows off",
        [SORT_COLUMNS] = "sort columns off"};
    return first[part] && !strcmp(first[part], line);
}

static void say(struct journal *j, enum part part, const char *line)
{
    bool is_known = j->said[part] ? !strcmp(j->said[part], line) : goes_without(part, line);
    if (part == THEME && !j->said[part]) /* the terminal's choice so far, not the person's */
        is_known = (j->said[part] = strdup(line)) != NULL;
    if (is_known)
        return;
    log_line(j->log, line);
    free(j->said[part]);
    j->said[part] = strdup(line);
    /* Another dataset begins with a plane of its own, as it lies. */
    for (int i = PLANE; i <= SORT_COLUMNS && part == DATASET; i++) {
        free(j->said[i]);
        j->said[i] = NULL;
    }
}

void journal_did(struct journal *j, const char *word, const char *arg)
{
    /* Words whose effect the comparison of states tells already. */
    static const char *const told[] = {"model", "prompt", "bos", "edit", "edits", "clear", "target",
        "versus", "pos", "layer", "head", "select", "at", "sort", "layout", "focus", "split",
        "close", "zoom", "view", "theme", "pair", "align", "sweep"};
    struct arena scratch = {0};
    struct err e;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!j || !strcmp(told[i], word))
            return;
    const char *line = *arg ? quoted(word, arg, &scratch, &e) : word;
    if (line)
        log_line(j->log, line);
    arena_release(&scratch);
}

bool journal_note(struct journal *j, struct workbench *wb, bool at_rest)
{
    struct arena scratch = {0};
    struct err e;
    bool waits = false;
    for (int i = 0; i < FOCUS; i++) {
        const char *line = line_of((enum part)i, wb, &scratch, &e);
        if (line)
            say(j, (enum part)i, line);
    }
    double now = machine_seconds();
    const char *cursor = arena_strdup(&scratch, "", &e), *lines[PARTS] = {0};
    for (int i = FOCUS; i < PARTS && cursor; i++) {
        lines[i] = line_of((enum part)i, wb, &scratch, &e);
        cursor = arena_printf(&scratch, &e, "%s;%s", cursor, lines[i] ? lines[i] : "");
    }
    if (cursor && (!j->moved_to || strcmp(cursor, j->moved_to) != 0)) {
        free(j->moved_to);
        j->moved_to = strdup(cursor);
        j->moved = now;
    }
    for (int i = FOCUS; i < PARTS; i++) {
        bool is_new = lines[i] && (!j->said[i] || strcmp(j->said[i], lines[i]) != 0);
        if (is_new && (at_rest || now - j->moved > REST))
            say(j, (enum part)i, lines[i]);
        else
            waits = waits || (is_new && !(!j->said[i] && goes_without((enum part)i, lines[i])));
    }
    arena_release(&scratch);
    return waits;
}

/* --- Coming back ------------------------------------------------------------------------------- */

/* What of a log was understood. */
struct heard {
    int n, strange;
    char first[80]; /* of those that were not */
    struct asked asked;
};

static int replay_line(struct heard *h, struct workbench *wb, const char *line, struct err *e)
{
    struct arena scratch = {0};
    char name[32];
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t");
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    const struct word *w = *line == '#' ? NULL : word_find(name);
    const char *arg = line + n + (line[n] != '\0');
    const bool is_line = *line && *line != '#' && *line != '\r';
    h->n += is_line;
    /* Verbs computed something, which is not done again. */
    if (is_line && !w && !verb_find(name) && !h->strange++)
        snprintf(h->first, sizeof h->first, "%s", line);
    if (w && w->run != colon_edits && w->run != colon_prompts && w->run != colon_pair)
        arg = desk_argument(arg, &scratch, e);
    if (w && arg && w->kind != WORD_LOCAL)
        w->run(wb, arg);
    arena_release(&scratch);
    return arg ? 0 : ERR_LIMIT;
}

/* What was asked for there: nothing of it starts by itself. */
static void offer(struct workbench *wb, const struct asked *a)
{
    int n_left = 0, n_gone = 0;
    char gone[64] = "";
    for (int done = 0; done < 2; done++) /* a line may be both: asked for again */
        for (int i = 0; i < a->n && wb->engine->jobs; i++) {
            const struct asked_job *j = &a->list[i];
            if (j->is_done == (done != 0) &&
                jobs_offer(wb->engine->jobs, j->line, j->name ? j->name : j->line,
                    j->is_done ? JOB_GONE : JOB_LEFT))
                ++*(j->is_done ? &n_gone : &n_left);
        }
    if (n_gone)
        snprintf(gone, sizeof gone, "%d report%s of that session %s gone", n_gone, text_s(n_gone),
            n_gone > 1 ? "are" : "is");
    if (n_left)
        workbench_say(wb, false,
            "%d job%s of that session %s not done%s%s: J lists them, Enter runs one", n_left,
            text_s(n_left), n_left > 1 ? "were" : "was", *gone ? ", " : "", gone);
    else if (n_gone)
        workbench_say(wb, false, "%s: J lists them, Enter computes one again", gone);
}

int journal_replay(struct workbench *wb, const char *path, struct err *e)
{
    struct stream *in;
    const char *line;
    size_t n;
    int rc = stream_open(&in, path, e);
    if (rc)
        return rc;
    struct heard heard = {0};
    bool is_torn = false;
    wb->is_replaying = wb->is_resumed = true;
    while ((rc = stream_line(&line, &n, in, 0, e)) == 1)
        if (!(is_torn = stream_torn(in)) && strlen(line) == n &&
            ((rc = asked_hear(&heard.asked, line, e)) != 0 ||
                (rc = replay_line(&heard, wb, line, e)) != 0)) {
            err_prefix(e, "%s", path);
            break;
        }
    wb->is_replaying = false;
    wb->message[0] = '\0';
    if (rc >= 0)
        offer(wb, &heard.asked);
    asked_release(&heard.asked);
    if (is_torn && rc >= 0 && !*wb->message)
        workbench_say(
            wb, false, "the last line of %s was not written to its end and is left out", path);
    if (heard.strange)
        workbench_say(wb, true, "%d of %d lines of %s were not understood; the first: %s",
            heard.strange, heard.n, path, heard.first);
    stream_release(&in);
    return rc < 0 ? rc : 0;
}

int journal_find(char *buf, size_t n, const char *which, const struct log *own, struct err *e)
{
    struct arena scratch = {0};
    const char *paths[100];
    char *end;
    long number = strtol(which, &end, 10);
    if (!strcmp(which, "last")) {
        number = 1;
    } else if (!*which || *end || number < 1 || number > 100) {
        snprintf(buf, n, "%s", which);
        return access(which, R_OK)
                   ? err_set(e, ERR_INPUT,
                         "%s: there is no such session log; --resume takes the last", which)
                   : 0;
    }
    int found = log_list(paths, 100, own, &scratch, e);
    if (found >= 0 && number > found)
        found = err_set(e, ERR_INPUT, "there are %d earlier sessions, not %ld", found, number);
    else if (found >= 0)
        snprintf(buf, n, "%s", paths[number - 1]);
    arena_release(&scratch);
    return found < 0 ? found : 0;
}
