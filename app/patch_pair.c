#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/edit_list.h"
#include "app/patching.h"
#include "model/core/text.h"

/* Clean and corrupt, one token above the other as they are aligned, with what differs in brackets, and
 * the metric of each. */

static bool differs(const struct patching *p, int64_t column)
{
    const struct paired *q = p->pair->pair;
    int64_t c = align_cell(&p->rows, 0, column), k = align_cell(&p->rows, 1, column);
    return c < 0 || k < 0 || q->ids[0][c] != q->ids[1][k];
}

/* A cell as it is shown: a token, one that differs in brackets, a gap. */
static void cell_text(
    char *buf, size_t n, const struct patching *p, int row, int64_t column, bool is_ascii)
{
    int64_t at = align_cell(&p->rows, row, column);
    char token[96];
    if (at < 0) {
        snprintf(buf, n, "%s", column >= p->rows.n[row] ? "" : is_ascii ? "." : "∅");
        return;
    }
    token_show(token, sizeof token, p->pair->pair->tokens[row][at]);
    snprintf(buf, n, differs(p, column) ? "[%s]" : "%s", token);
}

static int column_width(const struct canvas *c, const struct patching *p, int64_t column)
{
    char text[2][104];
    int w = 1;
    for (int k = 0; k < 2; k++) {
        cell_text(text[k], sizeof text[k], p, k, column, c->glyphs == GLYPHS_ASCII);
        int have = canvas_columns(c, text[k]);
        w = have > w ? have : w;
    }
    return w + 1;
}

/* The first column to draw, so that the cursor's is on screen with some behind it. */
static int64_t first_column(const struct canvas *c, const struct patching *p, int room)
{
    int64_t first = p->column;
    int used = 0;
    for (int64_t i = p->column; i < align_columns(&p->rows) && used <= room / 3; i++)
        used += column_width(c, p, i);
    while (first > 0 && used + column_width(c, p, first - 1) <= room)
        used += column_width(c, p, --first);
    return first;
}

static void draw_rows(struct canvas *c, struct rect r, const struct patching *p)
{
    static const char *const names[2] = {"clean", "corrupt"};
    const int left = 9;
    int x = r.x + left;
    for (int k = 0; k < 2; k++)
        canvas_text(c, r.x, r.y + k, left, STYLE(KEY), names[k]);
    for (int64_t i = first_column(c, p, r.w - left); i < align_columns(&p->rows) && x < r.x + r.w;
         i++) {
        const int w = column_width(c, p, i);
        const int64_t from = p->mark < p->column ? p->mark : p->column,
                      to = p->mark < p->column ? p->column : p->mark;
        for (int k = 0; k < 2; k++) {
            char text[104];
            struct style st = differs(p, i) ? STYLE(WARN) : STYLE(TEXT);
            cell_text(text, sizeof text, p, k, i, c->glyphs == GLYPHS_ASCII);
            if (p->mark >= 0 && i >= from && i <= to)
                st.attrs |= ATTR_UNDERLINE;
            canvas_text(c, x, r.y + k, r.x + r.w - x, st, text);
        }
        if (i == p->column)
            canvas_reverse(c, (struct rect){x, r.y, w - 1, 2});
        x += w;
    }
}

static int count_differing(const struct patching *p)
{
    int n = 0;
    for (int64_t i = 0; i < align_columns(&p->rows); i++)
        n += differs(p, i);
    return n;
}

static void metric_text(const struct workbench *wb, char *buf, size_t n)
{
    const struct patching *p = wb->patching;
    const struct paired *q = p->pair->pair;
    const char *metric = q->metric_name;
    const bool is_diff = !strcmp(metric, "logit_diff") || !strcmp(metric, "prob_diff");
    const bool is_answer = is_diff || !strcmp(metric, "logprob") || !strcmp(metric, "prob");
    char answer[80], wrong[80], what[200];
    token_show(answer, sizeof answer, q->answer);
    token_show(wrong, sizeof wrong, q->wrong);
    if (is_diff)
        snprintf(what, sizeof what, "%s − %s", answer, wrong);
    else
        snprintf(what, sizeof what, "%s", is_answer ? answer : "");
    int differing = count_differing(p);
    snprintf(buf, n, "%s %s: clean %s%.3f, corrupt %s%.3f; %d token%s%s", metric, what,
        q->metric[0] < 0 ? "−" : "+", fabs(q->metric[0]), q->metric[1] < 0 ? "−" : "+",
        fabs(q->metric[1]), differing, differing == 1 ? " differs" : "s differ",
        edits_take_means(wb) ? "; mean over 2 inputs" : "");
}

static void readout(const struct patching *p, char *buf, size_t n)
{
    const struct paired *q = p->pair->pair;
    size_t used = 0;
    for (int k = 0; k < 2 && used < n; k++) {
        int64_t at = align_cell(&p->rows, k, p->column);
        char token[96];
        const char *name = k ? "corrupt" : "clean";
        if (at < 0) {
            used += (size_t)snprintf(buf + used, n - used, "%s%s nothing", k ? ", " : "", name);
            continue;
        }
        token_show(token, sizeof token, q->tokens[k][at]);
        used += (size_t)snprintf(buf + used, n - used, "%s%s %s(%lld) id %d", k ? ", " : "", name,
            token, (long long)at, (int)q->ids[k][at]);
    }
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    const struct patching *t = wb->patching;
    char text[400];
    if (!patching_pair(wb)) {
        struct engine_state s;
        wb->engine->state(wb->engine, &s);
        screen_wrapped(
            c, in, STYLE(DIM), s.is_busy && t && t->source ? "computing" : p->class->empty);
        return;
    }
    patching_follow(wb);
    draw_rows(c, (struct rect){in.x + 1, in.y, in.w - 2, 2}, t);
    readout(t, p->readout, sizeof p->readout);
    struct rect below = {in.x, in.y + 2, in.w, in.h - 3};
    if (in.h > 5) {
        below.y++;
        below.h--;
    }
    patching_parting(wb, text, sizeof text);
    bool is_apart = *text;
    if (!is_apart)
        metric_text(wb, text, sizeof text);
    if (below.h > 0)
        screen_wrapped(c, below, is_apart ? STYLE(WARN) : STYLE(STRONG), text);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT), p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct patching *t = wb->patching;
    if (!patching_pair(wb)) {
        snprintf(buf, n, "%s", p->class->title);
        return;
    }
    const struct paired *q = t->pair->pair;
    struct engine_state s;
    wb->engine->state(wb->engine, &s);
    if (!s.is_busy && patching_is_past(wb)) {
        const size_t used = (size_t)snprintf(buf, n, "of before, a computes: ");
        buf += used;
        n -= used;
    }
    if (p->rect.h < 7 && align_is_done(&t->rows)) {
        metric_text(wb, buf, n);
        return;
    }
    if (p->rect.h < 7) {
        int64_t at = 0;
        while (at < q->n[0] && at < q->n[1] && q->ids[0][at] == q->ids[1][at])
            at++;
        snprintf(buf, n, "%lld and %lld tokens, not aligned; they part at token %lld: =, < or >",
            (long long)q->n[0], (long long)q->n[1], (long long)at);
        return;
    }
    snprintf(buf, n, "clean and corrupt: %lld and %lld tokens%s", (long long)q->n[0],
        (long long)q->n[1],
        !align_is_done(&t->rows) ? ", not aligned"
        : q->n[0] != q->n[1]     ? ", aligned"
                                 : "");
}

/* --- Keys -------------------------------------------------------------------------------------- */

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct patching *t = wb->patching;
    const char *name = k->name;
    (void)p;
    if (!patching_pair(wb))
        return false;
    int64_t last = align_columns(&t->rows) - 1, to = t->column;
    if (!strcmp(name, "h") || !strcmp(name, "Left"))
        to--;
    else if (!strcmp(name, "l") || !strcmp(name, "Right"))
        to++;
    else if (!strcmp(name, "0") || !strcmp(name, "Home"))
        to = 0;
    else if (!strcmp(name, "$") || !strcmp(name, "End"))
        to = last;
    else
        return false;
    t->column = to < 0 ? 0 : to > last ? last : to;
    struct selection was = wb->sel;
    patching_lead(wb);
    if (was.pos != wb->sel.pos)
        workbench_selected(wb);
    return true;
}

static void gap(struct workbench *wb, int row)
{
    struct patching *t = wb->patching;
    if (patching_pair(wb) && !align_gap(&t->rows, row, t->column))
        workbench_say(wb, false, "no gap can stand here; x takes one away");
}

void act_pair_gap_clean(struct workbench *wb, const struct key *k)
{
    (void)k;
    gap(wb, 0);
}

void act_pair_gap_corrupt(struct workbench *wb, const struct key *k)
{
    (void)k;
    gap(wb, 1);
}

void act_pair_close(struct workbench *wb, const struct key *k)
{
    struct patching *t = wb->patching;
    (void)k;
    if (patching_pair(wb) && !align_close(&t->rows, t->column))
        workbench_say(wb, false, "no gap stands here");
}

void act_pair_align(struct workbench *wb, const struct key *k)
{
    const struct paired *q = patching_pair(wb);
    struct err e;
    (void)k;
    if (q && align_from_ids(&wb->patching->rows, q->ids[0], q->ids[1], &e))
        workbench_say(wb, true, "%s", e.msg);
}

void act_pair_reset(struct workbench *wb, const struct key *k)
{
    const struct paired *q = patching_pair(wb);
    struct err e;
    (void)k;
    if (q && align_reset(&wb->patching->rows, q->n[0], q->n[1], &e))
        workbench_say(wb, true, "%s", e.msg);
}

/* Once: where the span begins; again: all between is one. */
void act_pair_span(struct workbench *wb, const struct key *k)
{
    struct patching *t = wb->patching;
    (void)k;
    if (!patching_pair(wb))
        return;
    if (t->mark < 0) {
        t->mark = t->column;
        workbench_say(wb, false, "a span begins here; Space at its last column makes it one");
        return;
    }
    int64_t from = t->mark < t->column ? t->mark : t->column,
            to = t->mark < t->column ? t->column : t->mark;
    align_span(&t->rows, from, to + 1);
    t->mark = -1;
}

const struct pane_class pane_pair = {
    .name = "pair",
    .title = "clean and corrupt",
    .help =
        "The two prompts of a pair, token above token, with those that differ in brackets, and the "
        "metric of each. Where their lengths differ, gaps and spans say which tokens stand for "
        "each "
        "other; patching waits until they are aligned.",
    .ask = ASK_PAIR,
    .empty =
        "no pair: :pair 'CLEAN' 'CORRUPT' ' ANSWER' ' WRONG', :pair ioi_tiny:1 for a dataset's, "
        ":pair alone for two open prompts",
    .search_axis = -1,
    .heading = heading,
    .draw = draw,
    .key = key,
};
