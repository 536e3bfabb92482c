#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/list.h"
#include "app/patching.h"
#include "app/records.h"
#include "model/core/text.h"
#include "views/number.h"

/* The dossier of the selected thing: its facts on the left, the lists of its report beside them, lines
 * over the prompt below. Every number is a cell of the report of `run dossier`. */

#define LISTS 8

struct page {
    const struct block *facts, *list[LISTS], *line;
    int n;
};

static bool find_page(struct page *out, const struct answer *a)
{
    *out = (struct page){0};
    if (!a || !a->report || report_runs(a->report) < 1)
        return false;
    const struct run *run = report_run(a->report, 0);
    for (int i = 0; i < run_blocks(run); i++) {
        const struct block *b = run_block_at(run, i);
        const struct block_spec *s = block_spec(b);
        if (s->n_columns)
            out->facts = b;
        else if (s->look == LOOK_BARS && s->rank == 1 && out->n < LISTS)
            out->list[out->n++] = b;
        else if (s->look == LOOK_TOKENS)
            out->line = b;
    }
    return out->facts;
}

/* --- Facts ------------------------------------------------------------------------------------- */

/* What tells most stands first, by how its name begins; then the rest as the report has it; what the
 * title says already comes last. */
static const char *const telling[] = {"zero-ablation: effect on the logit",
    "attention zeroed: effect on the logit", "MLP zeroed: effect on the logit",
    "direct attribution", "loss of this token", "rank of this token", "the model's next token",
    "probability of the next token", "entropy of the next token", "expected in its place",
    "source token", "induction score", "previous-token score", "duplicate-token score",
    "mass on position 0, here", "entropy of the row, here", "rank of the target",
    "activation, largest", "token of the largest", "activation", "log-probability of the target"};
static const char *const known[] = {"of", "position", "target", "versus", "token", "token id"};
#define FACTS_MAX 64
#define ROWS_MAX (FACTS_MAX + LISTS)
#define LISTS_AT 3

static int rank_of(const char *name)
{
    const int n = (int)(sizeof telling / sizeof *telling);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i]))
            return n + 1 + (int)i;
    for (int i = 0; i < n; i++)
        if (!strncmp(name, telling[i], strlen(telling[i])))
            return i;
    return n;
}

/* Rows of the table in the order they are shown; returns how many. Where lists are lines, too, list k
 * is -(k + 1), behind the first facts. */
static int order_rows(int order[ROWS_MAX], const struct page *page, bool with_lists)
{
    int rank[FACTS_MAX], n = 0;
    char name[96];
    struct err e;
    for (int64_t i = 0; i < block_rows(page->facts) && n < FACTS_MAX; i++) {
        if (records_cell(name, sizeof name, page->facts, i, 0, GLYPHS_BLOCK, &e))
            continue;
        int r = rank_of(name), at = n++;
        for (; at > 0 && rank[at - 1] > r; at--) {
            rank[at] = rank[at - 1];
            order[at] = order[at - 1];
        }
        rank[at] = r;
        order[at] = (int)i;
    }
    const int first = n < LISTS_AT ? n : LISTS_AT, more = with_lists ? page->n : 0;
    memmove(order + first + more, order + first, (size_t)(n - first) * sizeof *order);
    for (int k = 0; k < more; k++)
        order[first + k] = -(k + 1);
    return n + more;
}

static void fact_of(char *buf, size_t n, const struct page *page, const char *want)
{
    char name[96];
    struct err e;
    *buf = '\0';
    for (int64_t i = 0; i < block_rows(page->facts); i++)
        if (!records_cell(name, sizeof name, page->facts, i, 0, GLYPHS_BLOCK, &e) &&
            !strcmp(name, want))
            records_cell(buf, n, page->facts, i, 3, GLYPHS_BLOCK, &e);
}

/* The first few of a list in a line: where there is no room to draw it. */
static void list_text(char *buf, size_t n, struct workbench *wb, const struct block *b, int most)
{
    const struct block_spec *s = block_spec(b);
    struct field f;
    struct err e;
    const int64_t rows = s->axes[0].size < most ? s->axes[0].size : most;
    double *v = arena_array(&wb->frame, (size_t)(rows > 0 ? rows : 1), sizeof *v, &e);
    struct window w = {.count = {rows}, .stride = {1}};
    struct number_form form = number_form(s->unit, s->dtype == DT_I32, s->is_signed);
    size_t used = 0;
    *buf = '\0';
    if (!v || rows < 1 || block_field(&f, b, -1, &e) || f.fetch(&f, v, &w, FIELD_POINT, &e))
        return;
    for (int64_t i = 0; i < rows && used < n; i++) {
        char label[64], number[48], raw[32];
        token_show(label, sizeof label, axis_label(&f.axes[0], i, raw, sizeof raw));
        number_text(number, sizeof number, &form, v[i], GLYPHS_BLOCK);
        used += (size_t)snprintf(buf + used, n - used, "%s%s %s", i ? "  " : "", label, number);
    }
}

static void fact_row(struct workbench *wb, int i, struct list_row *out)
{
    struct page page;
    struct err e;
    int order[ROWS_MAX];
    char value[64] = "", unit[64] = "", text[96] = "";
    enum glyphs g = wb->canvas ? wb->canvas->glyphs : GLYPHS_ASCII;
    if (!find_page(&page, wb->dossier))
        return;
    const struct pane *p = &wb->panes[PANE_DOSSIER];
    const int n = order_rows(order, &page, !p->st.at[2]), row = i < n ? order[i] : 0;
    out->right_style = STYLE(STRONG);
    if (row < 0) {
        snprintf(out->left, sizeof out->left, "%s", block_spec(page.list[-row - 1])->long_name);
        list_text(out->right, 40, wb, page.list[-row - 1], 1);
        return;
    }
    if (i >= n || records_cell(out->left, sizeof out->left, page.facts, row, 0, g, &e) ||
        records_cell(value, sizeof value, page.facts, row, 1, g, &e) ||
        records_cell(unit, sizeof unit, page.facts, row, 2, g, &e) ||
        records_cell(text, sizeof text, page.facts, row, 3, g, &e))
        return;
    /* "zero-ablation: logit difference" */
    static const char long_form[] = "effect on the ";
    char *at = p->rect.w < 64 ? strstr(out->left, long_form) : NULL;
    if (at)
        memmove(at, at + strlen(long_form), strlen(at + strlen(long_form)) + 1);
    bool says_itself = !strcmp(unit, "probability") || !strcmp(unit, "position") ||
                       !strcmp(unit, "rank") || !strcmp(unit, "token id");
    snprintf(out->right, sizeof out->right, "%s%s%s", *text ? text : value,
        *unit && !says_itself ? " " : "", says_itself ? "" : unit);
}

/* --- Lists ------------------------------------------------------------------------------------- */

/* One list: a heading, then its rows with bars from the left, or from the middle where signed. */
static void draw_list(struct workbench *wb, struct canvas *c, struct rect r, const struct block *b)
{
    const struct block_spec *s = block_spec(b);
    struct field f;
    struct err e;
    int64_t n = s->axes[0].size < r.h - 1 ? s->axes[0].size : r.h - 1;
    if (r.h < 2 || n < 1 || block_field(&f, b, -1, &e))
        return;
    double *v = arena_array(&wb->frame, (size_t)n, sizeof *v, &e), most = 0;
    struct window w = {.start = {0}, .count = {n}, .stride = {1}};
    if (!v || f.fetch(&f, v, &w, FIELD_POINT, &e))
        return;
    struct number_form form = number_form(s->unit, s->dtype == DT_I32, s->is_signed);
    char label[96], number[48], buf[32];
    int label_w = 0, number_w = 0;
    for (int64_t i = 0; i < n; i++) {
        token_show(label, sizeof label, axis_label(&f.axes[0], i, buf, sizeof buf));
        number_text(number, sizeof number, &form, v[i], c->glyphs);
        int a = canvas_columns(c, label), d = canvas_columns(c, number);
        label_w = a > label_w ? a : label_w;
        number_w = d > number_w ? d : number_w;
        most = fabs(v[i]) > most ? fabs(v[i]) : most;
    }
    label_w = label_w < r.w / 2 ? label_w : r.w / 2;
    char title[200];
    snprintf(
        title, sizeof title, "%s%s%s", s->long_name, s->unit ? ", " : "", s->unit ? s->unit : "");
    canvas_text(
        c, r.x, r.y, r.w, STYLE(TITLE), canvas_columns(c, title) <= r.w ? title : s->long_name);
    int bar = r.w - label_w - number_w - 3;
    for (int64_t i = 0; i < n; i++) {
        int y = r.y + 1 + (int)i;
        token_show(label, sizeof label, axis_label(&f.axes[0], i, buf, sizeof buf));
        number_text(number, sizeof number, &form, v[i], c->glyphs);
        canvas_text(c, r.x, y, label_w, STYLE(LABEL), label);
        canvas_right(c, r.x + label_w + 1 + number_w, y, number_w, STYLE(STRONG), number);
        /* Log-probabilities: the likelier the longer. */
        double share = !(most > 0) ? 0 : !strcmp(s->unit, "nats") ? exp(v[i]) : fabs(v[i]) / most;
        if (bar > 2)
            canvas_bar(c, r.x + label_w + number_w + 2, y, bar, share, false,
                !s->is_signed ? STYLE(BAR)
                : v[i] < 0    ? STYLE(NEGATIVE)
                              : STYLE(POSITIVE));
    }
}

/* Numbers over the prompt as one line of blocks, the largest the highest. */
static void draw_line(struct workbench *wb, struct canvas *c, struct rect r, const struct block *b)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
    const struct block_spec *s = block_spec(b);
    struct field f;
    struct err e;
    int64_t n = s->axes[0].size;
    double *v = arena_array(&wb->frame, (size_t)(n > 0 ? n : 1), sizeof *v, &e);
    if (!v || n < 1 || block_field(&f, b, -1, &e))
        return;
    struct window w = field_all(&f);
    if (f.fetch(&f, v, &w, FIELD_POINT, &e))
        return;
    double lo = fmin(0, v[0]), hi = fmax(0, v[0]);
    for (int64_t i = 1; i < n; i++) {
        lo = fmin(lo, v[i]);
        hi = fmax(hi, v[i]);
    }
    char text[96], low[32], high[32];
    struct number_form form = number_form(s->unit, false, false);
    number_text(low, sizeof low, &form, lo, c->glyphs);
    number_text(high, sizeof high, &form, hi, c->glyphs);
    snprintf(text, sizeof text, "%s to %s ", low, high);
    const int64_t least = n < r.w / 2 ? n : r.w / 2;
    int x = r.x +
            canvas_textf(c, r.x, r.y, r.w - (int)least, STYLE(TITLE), "%s, %s", s->long_name, text);
    int64_t room = r.x + r.w - x, first = 0;
    if (room < n && wb->sel.pos >= room)
        first = wb->sel.pos - room + 1;
    for (int64_t i = first; i < n && i - first < room; i++) {
        int level = hi > lo ? (int)(8 * (v[i] - lo) / (hi - lo) + 0.5) : 0;
        level = level < 0 ? 0 : level > 8 ? 8 : level;
        canvas_text(c, x + (int)(i - first), r.y, 1, i == wb->sel.pos ? STYLE(MARK) : STYLE(BAR),
            c->glyphs == GLYPHS_ASCII ? ascii[level] : blocks[level]);
    }
}

static void draw_lists(
    struct workbench *wb, struct canvas *c, struct rect r, const struct page *page)
{
    int n = page->n, columns = n > 1 && r.w >= 64 ? 2 : 1;
    /* As many as there is room for, four lines each at least. */
    int lines = (n + columns - 1) / columns;
    while (lines > 1 && r.h / lines < 4)
        lines--;
    for (int i = 0; i < n && i < lines * columns; i++) {
        int w = r.w / columns, h = r.h / (lines > 0 ? lines : 1);
        draw_list(wb, c, (struct rect){r.x + i % columns * w, r.y + i / columns * h, w - 1, h - 1},
            page->list[i]);
    }
}

/* Facts and lists side by side, or one above the other; too low for both, the lists are lines among
 * the facts. Heights without the readout's line. */
static void arrange(struct rect *facts, struct rect *lists, struct rect in, int n)
{
    const bool is_wide = in.w >= 96;
    *facts = *lists = (struct rect){in.x, in.y, in.w, in.h - 1};
    if (is_wide) {
        facts->w = in.w * 11 / 20 < 66 ? in.w * 11 / 20 : 66;
        *lists = (struct rect){in.x + facts->w + 1, in.y, in.w - facts->w - 2, in.h - 1};
        return;
    }
    int below = facts->h >= 12 ? facts->h * 2 / 5 : 0;
    below = below && facts->h - n > below ? facts->h - n : below;
    facts->h -= below;
    *lists = (struct rect){in.x + 1, in.y + facts->h + 1, in.w - 2, below - 1};
}

/* The exact value under the cursor, where it comes from, and how far down the list it is. */
static void draw_readout(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in,
    const struct page *page, const int *order, int n)
{
    char name[96], value[64], source[160], unit[64], text[96], mark[48];
    const struct style style = pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT);
    struct err e;
    const int at = list_at(p, n), row = at < 0 ? 0 : order[at];
    if (row < 0)
        list_text(p->readout, sizeof p->readout, wb, page->list[-row - 1], 8);
    else if (at < 0 || records_cell(name, sizeof name, page->facts, row, 0, c->glyphs, &e) ||
             records_cell(value, sizeof value, page->facts, row, 1, c->glyphs, &e) ||
             records_cell(unit, sizeof unit, page->facts, row, 2, c->glyphs, &e) ||
             records_cell(text, sizeof text, page->facts, row, 3, c->glyphs, &e) ||
             records_cell(source, sizeof source, page->facts, row, 4, c->glyphs, &e))
        return;
    else
        snprintf(p->readout, sizeof p->readout, "%.60s %.60s %.50s%s%.70s", name,
            *text ? text : value, unit, *source ? "; " : "", source);
    const bool is_cut = p->st.grid.h < n;
    *mark = '\0';
    if (is_cut)
        snprintf(mark, sizeof mark, " %d of %d, j k", at + 1, n);
    const int room = canvas_columns(c, mark);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2 - room, style, p->readout);
    canvas_right(c, in.x + in.w - 1, in.y + in.h - 1, room, STYLE(KEY), mark);
}

/* The cursor stays on its fact when what ablation does is known, and from one thing to the next. */
static void keep_fact(struct pane *p, const int *order, int n)
{
    const int64_t row = p->st.at[1];
    for (int i = 0; i < n && row; i++)
        if (order[i] + (order[i] >= 0) == row)
            p->st.at[0] = i;
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct page page;
    int order[ROWS_MAX];
    if (!find_page(&page, wb->dossier)) {
        canvas_text(c, in.x + 1, in.y + in.h / 2, in.w - 2, STYLE(DIM),
            *wb->dossier_of ? "computing" : p->class->empty);
        return;
    }
    struct rect facts, lists, body = in;
    if (page.line && in.h > 8) {
        body.h--;
        draw_line(wb, c, (struct rect){in.x + 1, in.y + in.h - 2, in.w - 2, 1}, page.line);
    }
    arrange(&facts, &lists, body, (int)block_rows(page.facts));
    const bool has_lists = lists.h >= 3;
    p->st.at[2] = has_lists;
    if (has_lists)
        draw_lists(wb, c, lists, &page);
    const int n = order_rows(order, &page, !has_lists);
    facts.h++; /* a list leaves its last line to the readout */
    struct rect clip = canvas_clip(c, facts);
    keep_fact(p, order, n);
    list_draw(wb, p, c, facts, n, fact_row);
    c->clip = clip;
    draw_readout(wb, p, c, in, &page, order, n);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct engine_state s;
    struct page page;
    char token[64] = "", target[96], versus[96];
    (void)p;
    wb->engine->state(wb->engine, &s);
    if (wb->dossier_of[0] == '@' && wb->lens && wb->sel.pos >= 0 && wb->sel.pos < wb->lens->n)
        token_show(token, sizeof token, wb->lens->tokens[wb->sel.pos]);
    size_t used = (size_t)snprintf(buf, n, "dossier%s%s%s%s at %lld", *wb->dossier_of ? " of " : "",
        wb->dossier_of, *token ? " " : "", token, (long long)wb->sel.pos);
    if (find_page(&page, wb->dossier)) {
        fact_of(target, sizeof target, &page, "target");
        fact_of(versus, sizeof versus, &page, "versus");
        used += (size_t)snprintf(
            buf + used, n - used, ": %s%s%s", target, *versus ? " − " : "", versus);
    }
    if (s.is_busy && s.ask == ASK_EFFECT)
        snprintf(buf + used, n - used, ", ablating it");
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct page page;
    int order[ROWS_MAX];
    if (!find_page(&page, wb->dossier))
        return false;
    const int n = order_rows(order, &page, !p->st.at[2]);
    if (!list_key(p, k, n))
        return false;
    const int at = list_at(p, n);
    p->st.at[1] = at < 0 ? 0 : order[at] + (order[at] >= 0);
    return true;
}

static void opened(struct workbench *wb, struct pane *p)
{
    (void)p;
    if (!*wb->dossier_of)
        snprintf(wb->dossier_of, sizeof wb->dossier_of, "@%lld", (long long)wb->sel.pos);
    workbench_ask_dossier(wb);
}

const struct pane_class pane_dossier = {
    .name = "dossier",
    .title = "dossier",
    .analysis = "dossier",
    .ask = ASK_DOSSIER,
    .empty = "choose a head, a neuron, a layer or a token and press D",
    .search_axis = -1,
    .heading = heading,
    .draw = draw,
    .key = key,
    .open = opened,
};

/* --- What it is about -------------------------------------------------------------------------- */

/* The cursor of a map of patches along an axis, -1: it has none such. */
static int64_t patched(const struct pane *p, enum axis_kind kind)
{
    for (int i = 0; p->field.fetch && i < p->field.rank; i++)
        if (p->field.axes[i].kind == kind && (p->id == PANE_PATCH || p->id == PANE_ESTIMATE))
            return p->st.at[i];
    return -1;
}

/* What the focused pane has under its cursor. */
static void selected_thing(struct workbench *wb, char *buf, size_t n)
{
    const struct pane *p = &wb->panes[wb->focus];
    const struct selection *s = &wb->sel;
    const char *label = NULL;
    int layer, unit;
    if ((p->id == PANE_DLA || p->id == PANE_NEURONS) && p->field.fetch && p->field.rank == 1 &&
        p->field.axes[0].labels && p->st.at[0] < p->field.axes[0].size)
        label = p->field.axes[0].labels[p->st.at[0]];
    if (label && (sscanf(label, "L%dH%d", &layer, &unit) == 2 ||
                     sscanf(label, "L%dN%d", &layer, &unit) == 2))
        snprintf(buf, n, "%s", label);
    else if (label && sscanf(label, "L%d", &layer) == 1)
        snprintf(buf, n, "L%d", layer);
    else if (patched(p, AXIS_NEURON) >= 0)
        snprintf(buf, n, "L%lldN%lld", (long long)s->layer, (long long)patched(p, AXIS_NEURON));
    else if (p->id == PANE_ATTENTION || p->id == PANE_HEADS || patched(p, AXIS_HEAD) >= 0)
        snprintf(buf, n, "L%lldH%lld", (long long)s->layer, (long long)s->head);
    else if (p->id == PANE_PATCH || p->id == PANE_ESTIMATE)
        snprintf(buf, n, "L%lld", (long long)s->layer);
    else if ((p->id == PANE_LENS || p->id == PANE_CELL) && s->row < wb->facts.cfg.n_layer)
        snprintf(buf, n, "L%lld", (long long)s->row);
    else
        snprintf(buf, n, "@%lld", (long long)s->pos);
}

static void open_dossier(struct workbench *wb)
{
    wb->panes[PANE_DOSSIER].st = (struct view_state){0};
    wb->panes[PANE_DOSSIER].e.code = 0;
    answer_release(&wb->dossier);
    if (wb->focus != PANE_DOSSIER)
        workbench_drill(wb, PANE_DOSSIER);
    workbench_ask_dossier(wb);
}

void act_dossier(struct workbench *wb, const struct key *k)
{
    (void)k;
    if (wb->focus == PANE_DOSSIER || !wb->lens)
        return;
    selected_thing(wb, wb->dossier_of, sizeof wb->dossier_of);
    /* A map says what a part does to the metric: its dossier is about the same place. */
    const int kind = (int)wb->panes[wb->focus].id;
    if (wb->dossier_of[0] == 'L' && (kind == PANE_PATCH || kind == PANE_ESTIMATE))
        patching_to_metric(wb);
    open_dossier(wb);
}

void colon_dossier(struct workbench *wb, const char *arg)
{
    snprintf(wb->dossier_of, sizeof wb->dossier_of, "%s", arg);
    char *end;
    long long at = arg[0] == '@' ? strtoll(arg + 1, &end, 10) : 0;
    if (arg[0] == '@' && wb->lens) {
        wb->sel.pos = at < 0 ? at + wb->lens->n : at;
        workbench_clamp(wb);
        workbench_selected(wb);
    }
    open_dossier(wb);
}

static void step(struct workbench *wb, int64_t by)
{
    const struct config *cfg = &wb->facts.cfg;
    int layer, unit;
    char letter;
    int got = sscanf(wb->dossier_of, "L%d%c%d", &layer, &letter, &unit);
    if (wb->dossier_of[0] == '@') {
        if (wb->lens)
            wb->sel.pos += by;
        workbench_clamp(wb);
        workbench_selected(wb);
        return;
    }
    if (got < 1)
        return;
    int64_t per = got < 3 ? 1 : letter == 'H' ? cfg->n_head : cfg->d_mlp;
    int64_t all = per * cfg->n_layer, at = layer * per + (got < 3 ? 0 : unit);
    at = ((at + by) % all + all) % all;
    wb->sel.layer = at / per;
    if (got < 3)
        snprintf(wb->dossier_of, sizeof wb->dossier_of, "L%lld", (long long)at);
    else
        snprintf(wb->dossier_of, sizeof wb->dossier_of, "L%lld%c%lld", (long long)(at / per),
            letter, (long long)(at % per));
    if (got == 3 && letter == 'H')
        wb->sel.head = at % per;
    workbench_ask_dossier(wb);
}

void act_dossier_next(struct workbench *wb, const struct key *k)
{
    (void)k;
    step(wb, 1);
}

void act_dossier_prev(struct workbench *wb, const struct key *k)
{
    (void)k;
    step(wb, -1);
}
