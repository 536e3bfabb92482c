#include "app/edit_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/list.h"
#include "app/patching.h"
#include "app/saver.h"
#include "model/core/stream.h"
#include "model/core/text.h"

/* The list of edits: switch on and off, reorder, delete, copy, save, load. What is done to it is one
 * step of undo and one line of the session log. */

#define EDITS_MAX 1000

bool edit_is_off(const char *text)
{
    return text[0] == '!';
}

const char *edit_input(const struct workbench *wb, int n)
{
    const struct paired *pair = patching_pair(wb);
    if (n < 0 || n > 1 || (n == 1 && !pair))
        return NULL;
    return pair ? pair->text[n] : wb->shown_prompt;
}

/* The number behind "=resample:", where the edit is one; NULL: it is another. */
static const char *resampled(const char *text)
{
    static const char op[] = "=resample:";
    const char *at = strchr(text, '=');
    return at && !strncmp(at, op, sizeof op - 1) ? at + sizeof op - 1 : NULL;
}

const char *edit_for_prompt(
    const struct workbench *wb, const char *text, struct arena *arena, struct err *e)
{
    char *end;
    const char *number = resampled(text);
    const long n = number ? strtol(number, &end, 10) : -1;
    const char *from = number && !*end && n >= 0 && n <= 1 ? edit_input(wb, (int)n) : NULL;
    return from
               ? arena_printf(arena, e, "%.*s=from:%s", (int)(strchr(text, '=') - text), text, from)
               : text;
}

bool edits_take_means(const struct workbench *wb)
{
    for (int i = 0; i < wb->n_edits; i++) {
        const char *op = strchr(wb->edits[i], '=');
        if (!edit_is_off(wb->edits[i]) && op && !strcmp(op + 1, "mean"))
            return true;
    }
    return false;
}

bool edits_take_inputs(const struct workbench *wb)
{
    for (int i = 0; i < wb->n_edits; i++)
        if (!edit_is_off(wb->edits[i]) && resampled(wb->edits[i]))
            return true;
    return false;
}

const char *const *edits_on(int *n, const struct workbench *wb, struct arena *arena, struct err *e)
{
    const char **list = arena_array(arena, (size_t)wb->n_edits + 1, sizeof *list, e);
    *n = 0;
    for (int i = 0; list && i < wb->n_edits; i++)
        if (!edit_is_off(wb->edits[i]))
            list[(*n)++] = wb->edits[i];
    return list;
}

void edits_replace(struct workbench *wb, const char *const *list, int n)
{
    char **copy = calloc((size_t)n + 1, sizeof *copy);
    bool ok = copy;
    for (int i = 0; ok && i < n; i++)
        ok = (copy[i] = strdup(list[i])) != NULL;
    if (!ok) {
        for (int i = 0; copy && i < n; i++)
            free(copy[i]);
        free(copy);
        workbench_say(wb, true, "no memory for the edits");
        return;
    }
    workbench_remember(wb);
    for (int i = 0; i < wb->n_edits; i++)
        free(wb->edits[i]);
    free(wb->edits);
    wb->edits = copy;
    wb->n_edits = n;
    workbench_edited(wb);
}

/* --- The pane ---------------------------------------------------------------------------------- */

/* "zero", "half of it", "as in another text" */
static const char *meaning(const char *text)
{
    static const struct {
        const char *op, *means;
    } ops[] = {{"zero", "set to zero"}, {"mean", "its mean over 1 input, over 2 for a pair"},
        {"resample", "as in another input"}, {"from", "as in another text"},
        {"scale", "multiplied"}, {"add", "added to"}, {"set", "set"}};
    const char *op = strchr(text, '=');
    for (size_t i = 0; op && i < sizeof ops / sizeof *ops; i++)
        if (!strncmp(op + 1, ops[i].op, strlen(ops[i].op)))
            return ops[i].means;
    return "";
}

static void row(struct workbench *wb, int i, struct list_row *out)
{
    const char *text = wb->edits[i];
    bool off = edit_is_off(text);
    snprintf(out->left, sizeof out->left, "%s  %.240s", off ? "off" : " on", text + off);
    snprintf(out->right, sizeof out->right, "%s", meaning(text));
    out->style = off ? STYLE(DIM) : STYLE(STRONG);
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    int at = list_at(p, wb->n_edits);
    list_draw(wb, p, c, in, wb->n_edits, row);
    if (at < 0)
        return;
    snprintf(p->readout, sizeof p->readout, "%.250s", wb->edits[at]);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT), p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    int on = 0;
    (void)p;
    for (int i = 0; i < wb->n_edits; i++)
        on += !edit_is_off(wb->edits[i]);
    snprintf(buf, n, "edits: %d on, %d off; later ones act on what earlier ones left", on,
        wb->n_edits - on);
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    return list_key(p, k, wb->n_edits);
}

const struct pane_class pane_edits = {
    .name = "edits",
    .title = "edits",
    .help = "Every edit of the model in force, in the order they act. Each is a line of text that "
            "--edit takes as well: TARGET[@POS]=OP, as in L4H2@-1=zero.",
    .ask = ASK_COUNT,
    .empty = "no edits; x ablates what is selected, M lists what else can be done to it",
    .search_axis = -1,
    .heading = heading,
    .draw = draw,
    .key = key,
};

void act_edits(struct workbench *wb, const struct key *k)
{
    (void)k;
    workbench_drill(wb, PANE_EDITS);
}

/* --- What is done to the list ------------------------------------------------------------------ */

/* The edit under the cursor; -1: there is none. */
static int here(struct workbench *wb)
{
    return list_at(&wb->panes[wb->focus], wb->n_edits);
}

void act_edit_switch(struct workbench *wb, const struct key *k)
{
    char text[4200];
    int at = here(wb);
    (void)k;
    if (at < 0)
        return;
    const char **list = calloc((size_t)wb->n_edits, sizeof *list);
    if (!list)
        return;
    memcpy(list, wb->edits, (size_t)wb->n_edits * sizeof *list);
    bool off = edit_is_off(list[at]);
    snprintf(text, sizeof text, "%s%.4190s", off ? "" : "!", list[at] + off);
    list[at] = text;
    edits_replace(wb, list, wb->n_edits);
    workbench_say(wb, false, "%s is %s", text + !off, off ? "on" : "off");
    free(list);
}

void act_edit_delete(struct workbench *wb, const struct key *k)
{
    int at = here(wb), n = wb->n_edits;
    (void)k;
    if (at < 0)
        return;
    const char **list = calloc((size_t)n, sizeof *list);
    if (!list)
        return;
    for (int i = 0; i < n; i++)
        list[i - (i > at)] = wb->edits[i];
    edits_replace(wb, list, n - 1);
    workbench_say(wb, false, "deleted; u brings it back");
    free(list);
}

static void move(struct workbench *wb, int by)
{
    int at = here(wb), to = at + by, n = wb->n_edits;
    if (at < 0 || to < 0 || to >= n)
        return;
    const char **list = calloc((size_t)n, sizeof *list);
    if (!list)
        return;
    memcpy(list, wb->edits, (size_t)n * sizeof *list);
    const char *one = list[at];
    list[at] = list[to];
    list[to] = one;
    wb->panes[wb->focus].st.at[0] = to;
    edits_replace(wb, list, n);
    free(list);
}

void act_edit_earlier(struct workbench *wb, const struct key *k)
{
    (void)k;
    move(wb, -1);
}

void act_edit_later(struct workbench *wb, const struct key *k)
{
    (void)k;
    move(wb, 1);
}

/* A copy to be changed before it is put on: the command line with its text. */
void act_edit_copy(struct workbench *wb, const struct key *k)
{
    char line[4300];
    int at = here(wb);
    if (at < 0)
        return;
    snprintf(line, sizeof line, "edit %.4200s", wb->edits[at] + edit_is_off(wb->edits[at]));
    act_command(wb, k);
    line_set(&wb->line, line);
}

void act_edit_save(struct workbench *wb, const struct key *k)
{
    act_command(wb, k);
    line_set(&wb->line, "save_edits edits.txt");
}

void act_edit_load(struct workbench *wb, const struct key *k)
{
    act_command(wb, k);
    line_set(&wb->line, "load_edits edits.txt");
}

void colon_save_edits(struct workbench *wb, const char *arg)
{
    struct buf b = {0};
    char what[24];
    for (int i = 0; i < wb->n_edits; i++)
        buf_printf(&b, "%s\n", wb->edits[i]);
    snprintf(what, sizeof what, "%d edit%s", wb->n_edits, text_s(wb->n_edits));
    saver_text(wb, what, arg, &b);
}

/* One edit a line; blank lines and lines that begin with # are passed over. Nothing is taken unless the
 * open model can take all of it. */
static int read_edits(const char **list, int *n, struct workbench *wb, const char *path,
    struct arena *a, struct err *e)
{
    struct stream *in;
    const char *line;
    size_t len;
    int rc = stream_open(&in, path, e), got = 0;
    if (rc)
        return rc;
    *n = 0;
    while (!rc && (got = stream_line(&line, &len, in, 1 << 20, e)) == 1) {
        struct edit ed;
        struct err bad;
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        if (strlen(line) > 4096 || *n == EDITS_MAX)
            rc = err_set(e, ERR_LIMIT, "%s:%lld: an edit has at most 4096 bytes, a list %d edits",
                path, (long long)stream_lines(in), EDITS_MAX);
        else if (wb->facts.is_open &&
                 edit_parse(&ed, line + edit_is_off(line), &wb->facts.cfg, a, &bad))
            rc =
                err_set(e, bad.code, "%s:%lld: %.400s", path, (long long)stream_lines(in), bad.msg);
        else
            list[*n] = arena_strdup(a, line, e);
        if (!rc && !list[(*n)++])
            rc = ERR_LIMIT;
    }
    stream_release(&in);
    return rc ? rc : got < 0 ? got : 0;
}

void colon_load_edits(struct workbench *wb, const char *arg)
{
    struct arena a = {0};
    struct err e = {0};
    const char **list = arena_array(&a, EDITS_MAX, sizeof *list, &e);
    int n = 0, rc = list ? read_edits(list, &n, wb, arg, &a, &e) : e.code;
    if (rc) {
        workbench_say(wb, true, "%s", e.msg);
    } else {
        edits_replace(wb, list, n);
        workbench_say(
            wb, false, "%d edit%s from %s; u brings back what was there", n, text_s(n), arg);
    }
    arena_release(&a);
}
