#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/browse.h"
#include "app/edit_list.h"
#include "app/log.h"
#include "app/prompts.h"
#include "app/tour.h"
#include "app/workbench.h"
#include "model/core/machine.h"
#include "model/core/text.h"

/* Everything the workbench draws, into a canvas. */

bool workbench_has(const struct workbench *wb, enum ask ask)
{
    return workbench_answer(wb, ask) != NULL;
}

/* The pane's field for drawing, moving and exporting; d->n is 0 when there is none. */
void pane_data(struct workbench *wb, struct pane *p, struct view_data *d, struct mark *marks)
{
    *d = (struct view_data){.fields = &p->field, .marks = marks};
    p->error = NULL;
    p->scale_note = NULL;
    if (!p->class->data || !p->class->data(wb, p, &wb->frame))
        return;
    if (p->class->follow)
        p->class->follow(wb, p);
    d->n = p->many ? p->n_many : 1;
    if (p->many)
        d->fields = p->many;
    d->error = p->many ? NULL : p->error;
    d->scale_note = p->scale_note;
    d->n_marks = workbench_marks(wb, p, marks, PANE_HITS + 8);
    d->is_focused = wb->focus == p->slot;
}

/* Whether an answer for this pane is being worked on; 0..1 of it in *share, NaN: unknown. */
static bool is_computing(
    const struct workbench *wb, const struct pane *p, const struct engine_state *s, double *share)
{
    *share = s->total > 0 ? s->done / s->total : NAN;
    if (!s->is_busy)
        return false;
    /* Everything depends on the model, attribution on the prompt. */
    if (s->ask == ASK_MODEL)
        return p->class->ask != ASK_COMMAND;
    if (s->ask == ASK_PROMPT)
        return p->class->ask == ASK_PROMPT || p->class->ask == ASK_DLA ||
               (p->class->ask == ASK_NEURONS && wb->neurons);
    return s->ask == p->class->ask;
}

static const char *why_empty(const struct workbench *wb, const struct pane *p)
{
    bool of_prompt = p->class->ask == ASK_PROMPT || p->class->ask == ASK_DLA;
    return of_prompt && !wb->lens && wb->shown_prompt && *wb->shown_prompt
               ? "not computed: i and Enter ask again"
               : p->class->empty;
}

/* What is missing and how it comes, in the middle. */
static void draw_empty(
    struct workbench *wb, const struct pane *p, struct canvas *c, struct rect in, bool busy)
{
    char why[400];
    if (busy)
        snprintf(why, sizeof why, "computing");
    else if (!p->class->why || !p->class->why(wb, p, why, sizeof why))
        snprintf(why, sizeof why, "%s", why_empty(wb, p));
    const int lines = screen_wrapped(NULL, in, STYLE(DIM), why);
    const int above = (in.h - lines) / 2 > 0 ? (in.h - lines) / 2 : 0;
    screen_wrapped(c, (struct rect){in.x, in.y + above, in.w, in.h - above}, STYLE(DIM), why);
}

static void progress_line(
    struct canvas *c, struct rect r, const struct engine_state *s, double share)
{
    if (machine_seconds() - s->began < 0.15)
        return;
    const char *glyph = c->glyphs == GLYPHS_ASCII ? "=" : "━";
    int w = r.w - 2, filled = isnan(share) ? 0 : (int)(share * w);
    canvas_fill(c, (struct rect){r.x + 1, r.y + r.h - 1, filled, 1}, STYLE(PROGRESS), glyph);
    char left[48] = "";
    double gone = machine_seconds() - s->began;
    if (share > 0.05)
        snprintf(left, sizeof left, " %.0f %%, %.1f s left ", 100 * share, gone / share - gone);
    else
        snprintf(left, sizeof left, " computing, Esc cancels ");
    int n = canvas_columns(c, left);
    if (n + 4 < r.w)
        canvas_text(c, r.x + r.w - n - 2, r.y + r.h - 1, n, STYLE(PROGRESS), left);
}

int screen_wrapped(struct canvas *c, struct rect in, struct style style, const char *s)
{
    int y = 0, w = in.w > 4 ? in.w - 2 : in.w;
    for (; *s && w > 0; y++) {
        size_t n = strlen(s), take = text_clip(NULL, s, n, w);
        if (take < n) {
            size_t at = take;
            while (at > 0 && s[at] != ' ')
                at--;
            take = at > 0 ? at : take > 0 ? take : 1;
        }
        if (c && y < in.h)
            canvas_textf(c, in.x + 1, in.y + y, w, style, "%.*s", (int)take, s);
        s += take;
        while (*s == ' ')
            s++;
    }
    return y;
}

static void draw_error(struct canvas *c, struct rect in, const struct err *e)
{
    screen_wrapped(c, in, STYLE(ERROR), e->msg);
}

/* Numbers carry the typographic minus; a hyphen between letters stays one. */
static void put_minus(char *out, size_t n, const char *text)
{
    size_t at = 0;
    for (const char *s = text; *s && at + 4 < n; s++)
        if (*s == '-' && (s == text || s[-1] == ' ') && s[1] >= '0' && s[1] <= '9')
            at += (size_t)snprintf(out + at, n - at, "−");
        else
            out[at++] = *s;
    out[at] = '\0';
}

static void draw_readout(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    char sum[VIEW_READOUT] = "";
    if (p->class->sum)
        p->class->sum(wb, p, sum, sizeof sum);
    if (*sum)
        put_minus(p->readout, sizeof p->readout, sum);
    bool is_off = p->readout[0] == '!';
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        is_off                 ? STYLE(ERROR)
        : wb->focus == p->slot ? STYLE(STRONG)
                               : STYLE(TEXT),
        p->readout);
}

static int64_t largest_of_row(
    struct workbench *wb, const struct field *f, const struct view_state *st, int axis)
{
    struct window w = {0};
    struct err e;
    int64_t best = 0, n = f->axes[axis].size;
    for (int i = 0; i < f->rank; i++) {
        w.start[i] = i == axis ? 0 : st->at[i];
        w.count[i] = i == axis ? n : 1;
        w.stride[i] = 1;
    }
    double *v = arena_array(&wb->frame, (size_t)n, sizeof *v, &e);
    if (!v || f->fetch(f, v, &w, FIELD_POINT, &e))
        return 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

/* The row under the cursor beside the map, largest first: what this query reads. Returns the columns
 * it leaves to the map. */
static int draw_side(struct workbench *wb, struct pane *p, struct canvas *c,
    const struct rect *body, const struct view_data *d)
{
    const struct view *v = p->class->side ? view_find(p->class->side) : NULL;
    int axis = p->field.rank - 1;
    int64_t cols = p->field.rank > 1 ? p->field.axes[axis].size : 0;
    /* As wide as the map needs at most, so that the rest is not left empty. */
    int map = cols < body->w ? (int)cols + 16 : body->w;
    if (map < body->w / 2)
        map = body->w / 2;
    int side = body->w - map - 2;
    if (!v || !d->n || p->view != view_find("heatmap") || side < 22)
        return body->w;
    struct view_state *st = &p->side_st;
    char unused[VIEW_READOUT] = "";
    struct err e;
    for (int i = 0; i < p->field.rank; i++)
        st->at[i] = p->st.at[i];
    st->has_axes = st->sorted = true;
    st->row_axis = axis;
    st->col_axis = -1;
    struct rect r = {body->x + map + 2, body->y, side, body->h}, old = canvas_clip(c, r);
    struct screen s = {c, r, &wb->frame};
    struct view_data paper = *d;
    paper.is_focused = false;
    paper.n_marks = 0;
    paper.is_static = !d->is_focused;
    st->scroll[axis] = 0;
    if (!d->is_focused)
        st->at[axis] = largest_of_row(wb, &p->field, st, axis);
    int rc = v->draw(&s, &paper, st, unused, &e);
    c->clip = old;
    return rc ? body->w : map;
}

static bool is_past(const struct workbench *wb, const struct pane *p)
{
    const enum ask ask = p->class->ask;
    const bool is_of_prompt =
        ask == ASK_PROMPT || ask == ASK_DLA || ask == ASK_NEURONS || ask == ASK_DOSSIER;
    return is_of_prompt && workbench_is_past(wb, workbench_answer(wb, ask));
}

void pane_draw(struct workbench *wb, struct pane *p, struct canvas *c)
{
    struct engine_state state;
    struct mark marks[PANE_HITS + 8];
    struct view_data d;
    struct err e = {0};
    char title[VIEW_READOUT];
    double share;
    if (p->rect.w < 3 || p->rect.h < 3)
        return;
    wb->engine->state(wb->engine, &state);
    bool busy = is_computing(wb, p, &state, &share);
    /* A cancelled question leaves the numbers of another: no title may claim them for this one. */
    const int used =
        !busy && !p->e.code && is_past(wb, p) ? snprintf(title, sizeof title, "of before: ") : 0;
    snprintf(title + used, sizeof title - (size_t)used, "%s", p->class->title);
    if (p->class->heading)
        p->class->heading(wb, p, title + used, sizeof title - (size_t)used);
    struct rect in = canvas_frame(c, p->rect, title, wb->focus == p->slot);
    struct rect old = canvas_clip(c, in);
    struct rect body = {in.x + 1, in.y, in.w - 2, in.h - 1};
    pane_data(wb, p, &d, marks);
    p->readout[0] = '\0';
    if (p->e.code) {
        draw_error(c, in, &p->e);
    } else if (p->class->draw) {
        p->class->draw(wb, p, c, in);
    } else if (!d.n) {
        draw_empty(wb, p, c, in, busy);
    } else {
        body.w = draw_side(wb, p, c, &body, &d);
        struct screen s = {c, body, &wb->frame};
        canvas_clip(c, body);
        if (p->view->draw(&s, &d, &p->st, p->readout, &e))
            draw_error(c, in, &e);
        c->clip = old;
        canvas_clip(c, in);
        if (!e.code)
            draw_readout(wb, p, c, in);
        if (busy)
            canvas_dim(c, in);
    }
    c->clip = old;
    if (busy)
        progress_line(c, p->rect, &state, share);
}

static void draw_prompt(struct workbench *wb, struct canvas *c, struct rect r)
{
    bool editing = wb->input == INPUT_PROMPT;
    char title[128];
    int n_on = workbench_edits_on(wb), n_open = prompts_count(wb);
    size_t used = 0;
    struct engine_state s;
    if (n_open > 1)
        used = (size_t)snprintf(
            title, sizeof title, "prompt %d of %d", prompts_current(wb) + 1, n_open);
    else
        used = (size_t)snprintf(title, sizeof title, "prompt");
    if (n_on)
        used += (size_t)snprintf(title + used, sizeof title - used, ", under %d edit%s%s", n_on,
            text_s(n_on), edits_take_means(wb) ? ", mean over 1 input" : "");
    wb->engine->state(wb->engine, &s);
    if (workbench_is_past(wb, wb->lens) && !editing)
        snprintf(title + used, sizeof title - used,
            s.is_busy ? ": computing" : ": not computed, i and Enter ask again");
    struct rect in = canvas_frame(c, r, title, wb->focus == PANE_PROMPT);
    if (wb->n_edits && r.w > 60) {
        char list[256] = " ";
        size_t at = 1;
        for (int i = 0; i < wb->n_edits && at < sizeof list; i++)
            if (!edit_is_off(wb->edits[i]))
                at += (size_t)snprintf(list + at, sizeof list - at, "%s ", wb->edits[i]);
        int w = canvas_columns(c, list);
        int room = r.w - 34;
        canvas_text(c, r.x + r.w - 2 - (w < room ? w : room), r.y, room, STYLE(WARN), list);
    }
    struct rect old = canvas_clip(c, in);
    int x = line_draw(&wb->prompt, c, in.x + 1, in.y, in.w - 2,
        editing || wb->focus == PANE_PROMPT ? STYLE(STRONG) : STYLE(TEXT));
    c->clip = old;
    if (editing) {
        wb->cursor_x = x < in.x + in.w ? x : in.x + in.w - 1;
        wb->cursor_y = in.y;
    }
}

static void draw_tokens(struct workbench *wb, struct canvas *c, struct rect r)
{
    struct pane *p = &wb->panes[PANE_TOKENS];
    struct mark marks[PANE_HITS + 8];
    struct view_data d;
    struct err e;
    pane_data(wb, p, &d, marks);
    p->readout[0] = '\0';
    if (!d.n)
        return;
    struct rect body = {r.x + 1, r.y, r.w - 2, r.h}, old = canvas_clip(c, body);
    struct screen s = {c, body, &wb->frame};
    char sum[VIEW_READOUT] = "";
    if (!p->view->draw(&s, &d, &p->st, p->readout, &e) && p->class->sum)
        p->class->sum(wb, p, sum, sizeof sum);
    if (*sum)
        snprintf(p->readout, sizeof p->readout, "%s", sum);
    struct engine_state state;
    wb->engine->state(wb->engine, &state);
    if (state.is_busy && state.ask <= ASK_PROMPT)
        canvas_dim(c, r);
    c->clip = old;
}

static void draw_status(struct workbench *wb, struct canvas *c, struct rect r)
{
    char left[560], right[160];
    const struct facts *f = &wb->facts;
    struct engine_state s;
    const char *dot = c->glyphs == GLYPHS_ASCII ? "|" : "·";
    wb->engine->state(wb->engine, &s);
    size_t at = 0;
    if (f->is_open)
        at = (size_t)snprintf(left, sizeof left, "%s (%dL %dH %dd) %s raw, DLA folded %s %s %s f32",
            f->name, f->cfg.n_layer, f->cfg.n_head, f->cfg.d_model, dot, dot,
            !f->has_bos ? "has no BOS"
            : wb->bos   ? "BOS"
                        : "no BOS",
            dot);
    else
        snprintf(left, sizeof left, "no model");
    if (f->is_open && *f->note && at < sizeof left)
        snprintf(left + at, sizeof left - at, " %s %s", dot, f->note);
    int x = r.x + 1;
    x += canvas_text(c, x, r.y, -1, STYLE(FOCUS), "sonde") + 2;
    canvas_text(c, x, r.y, r.w - x - 1, STYLE(STATUS), left);
    double now = machine_seconds();
    uint64_t mb = machine_rss() >> 20;
    if (s.is_busy && now - s.began > 0.15 && s.total > 0)
        snprintf(right, sizeof right, "%llu MB %s %.0f %% %s Esc cancels", (unsigned long long)mb,
            dot, 100 * s.done / s.total, dot);
    else if (s.is_busy)
        snprintf(right, sizeof right, "%llu MB %s %s", (unsigned long long)mb, dot,
            s.ask == ASK_MODEL ? "opening the model" : "computing");
    else if (s.has_job) {
        char behind[32] = "";
        double to_go = job_seconds_left(&s.job);
        if (s.n_waiting)
            snprintf(behind, sizeof behind, ", %d more", s.n_waiting);
        snprintf(right, sizeof right, "%llu MB %s job %.0f %%%s", (unsigned long long)mb, dot,
            s.job.total > 0 ? 100 * s.job.done / s.job.total : 0, behind);
        if (to_go < 360000)
            snprintf(right, sizeof right, "%llu MB %s job %.0f %%, %.0f s left%s",
                (unsigned long long)mb, dot, 100 * s.job.done / s.job.total, to_go, behind);
    } else
        snprintf(right, sizeof right, "%llu MB %s %.0f ms %s ready", (unsigned long long)mb, dot,
            wb->ready_ms, dot);
    const char *lost = wb->engine->log ? log_lost(wb->engine->log) : NULL;
    if (lost) {
        snprintf(right, sizeof right, " session not recorded: %s ", lost);
        int n = canvas_columns(c, right);
        canvas_right(c, r.x + r.w, r.y, n < r.w ? n : r.w, STYLE(ERROR), right);
        return;
    }
    int w = canvas_columns(c, right), free_w = r.w - x - canvas_columns(c, left) - 2;
    if (w <= free_w)
        canvas_right(c, r.x + r.w - 1, r.y, w, s.is_busy ? STYLE(PROGRESS) : STYLE(STATUS), right);
}

static int button_columns(const struct canvas *c, int row)
{
    const struct key_row *k = key_row(row);
    return canvas_columns(c, k->key) + 1 + canvas_columns(c, k->footer);
}

/* A key and its word, for eyes and for the mouse; returns where the next one begins. */
static int draw_button(struct workbench *wb, struct canvas *c, int x, int y, int row)
{
    const struct key_row *k = key_row(row);
    wb->buttons[wb->n_buttons++] = (struct button){{x, y, button_columns(c, row), 1}, row};
    x += canvas_text(c, x, y, -1, STYLE(KEY), k->key) + 1;
    return x + canvas_text(c, x, y, -1, STYLE(DIM), k->footer) + 3;
}

static void draw_footer(struct workbench *wb, struct canvas *c, struct rect r)
{
    static const char *const leads[] = {
        [INPUT_COMMAND] = ":", [INPUT_SEARCH] = "/", [INPUT_EXPORT] = "export to: "};
    int x = r.x + 1;
    wb->n_buttons = 0;
    if (wb->input == INPUT_COMMAND || wb->input == INPUT_SEARCH || wb->input == INPUT_EXPORT) {
        x += canvas_text(c, x, r.y, -1, STYLE(KEY), leads[wb->input]);
        int room = *wb->message ? (r.w - x) / 2 : r.w - x - 1;
        wb->cursor_x = line_draw(&wb->line, c, x, r.y, room, STYLE(STRONG));
        wb->cursor_y = r.y;
        const char *hint =
            wb->input == INPUT_SEARCH ? wb->panes[wb->focus].class->search_hint : NULL;
        if (*wb->message)
            canvas_text(c, x + room + 1, r.y, r.w - x - room - 2, STYLE(DIM), wb->message);
        else if (hint && wb->cursor_x + 2 + canvas_columns(c, hint) < r.x + r.w)
            canvas_right(c, r.x + r.w - 1, r.y, r.w, STYLE(DIM), hint);
        return;
    }
    if (*wb->message) {
        /* A long message takes the lines it needs from the panes until the next key. */
        int lines = screen_wrapped(NULL, r, STYLE(TEXT), wb->message);
        lines = lines < 4 ? lines : 4;
        struct rect over = {r.x, r.y - lines + 1, r.w, lines};
        canvas_fill(c, over, (struct style){0}, " ");
        screen_wrapped(c, over, wb->is_error ? STYLE(ERROR) : STYLE(TEXT), wb->message);
        return;
    }
    if (wb->input == INPUT_PROMPT) {
        x += canvas_text(c, x, r.y, -1, STYLE(KEY), "Enter") + 1;
        x += canvas_text(c, x, r.y, -1, STYLE(DIM), "run it") + 3;
        x += canvas_text(c, x, r.y, -1, STYLE(KEY), "Esc") + 1;
        canvas_text(c, x, r.y, -1, STYLE(DIM), "leave it as it was");
        return;
    }
    const char *pane = wb->panes[wb->focus].class->name;
    int help = key_named("help"), end = r.x + r.w - 1;
    int reserved = button_columns(c, help) + 3; /* whoever is lost finds the way out */
    for (int i = 0, shown = 0; i < key_count() && shown < 7; i++) {
        const struct key_row *k = key_row(i);
        if (!*k->footer || !key_in_pane(k, pane) || key_find(pane, k->key) != i)
            continue;
        if (i == help)
            reserved = 0;
        if (x + button_columns(c, i) + reserved > end)
            break;
        x = draw_button(wb, c, x, r.y, i);
        shown++;
    }
    if (reserved)
        draw_button(wb, c, x, r.y, help);
}

static int strip_columns(const struct workbench *wb)
{
    int columns = 0;
    for (int64_t i = 0; wb->lens && i < wb->lens->n && columns < 4096; i++) {
        char token[96];
        token_show(token, sizeof token, wb->lens->tokens[i]);
        columns += text_columns(token) + 2;
    }
    return columns;
}

void workbench_draw(struct workbench *wb, struct canvas *c)
{
    struct places l;
    if (wb->browse)
        io_frame(wb->browse->io, wb->browse->wait);
    wb->canvas = c;
    wb->w = c->w;
    wb->h = c->h;
    wb->cursor_x = -1;
    c->theme = wb->theme;
    arena_release(&wb->frame);
    canvas_clear(c);
    int tour = wb->overlay ? 0 : tour_rows(wb, c->w, c->h);
    layout_arrange(&l, workbench_layout(wb), c->w, c->h, tour,
        wb->in_documents ? -1 : strip_columns(wb), wb->main_focus, wb->zoomed);
    if (l.is_too_small) {
        bool narrow = c->w < 26;
        canvas_textf(c, 0, 0, c->w, STYLE(WARN),
            narrow ? "needs %d x %d cells;" : "sonde needs %d x %d cells;", SCREEN_W, SCREEN_H);
        canvas_textf(c, 0, 1, c->w, STYLE(TEXT), "this is %d x %d.", c->w, c->h);
        canvas_text(
            c, 0, 2, c->w, STYLE(DIM), narrow ? "Enlarge; q quits." : "Enlarge it, or q quits.");
        return;
    }
    for (int i = 0; i < PANE_SLOTS; i++)
        wb->panes[i].rect = l.panes[i];
    wb->is_single = l.is_single;
    draw_status(wb, c, l.status);
    draw_prompt(wb, c, l.panes[PANE_PROMPT]);
    draw_tokens(wb, c, l.panes[PANE_TOKENS]);
    for (int i = PANE_LENS; i < PANE_SLOTS; i++)
        if (wb->panes[i].class)
            pane_draw(wb, &wb->panes[i], c);
    draw_footer(wb, c, l.footer);
    if (wb->overlay)
        wb->overlay->draw(wb, c);
    else if (wb->tour)
        tour_draw(wb, c);
}
