#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/list.h"
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

static void fact_row(struct workbench *wb, int i, struct list_row *out)
{
    struct page page;
    struct err e;
    char value[64] = "", unit[64] = "", text[96] = "";
    enum glyphs g = wb->canvas ? wb->canvas->glyphs : GLYPHS_ASCII;
    if (!find_page(&page, wb->dossier))
        return;
    if (records_cell(out->left, sizeof out->left, page.facts, i, 0, g, &e) ||
        records_cell(value, sizeof value, page.facts, i, 1, g, &e) ||
        records_cell(unit, sizeof unit, page.facts, i, 2, g, &e) ||
        records_cell(text, sizeof text, page.facts, i, 3, g, &e))
        return;
    bool says_itself = !strcmp(unit, "probability") || !strcmp(unit, "position") ||
                       !strcmp(unit, "rank") || !strcmp(unit, "token id");
    out->right_style = STYLE(STRONG);
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
    canvas_textf(c, r.x, r.y, r.w, STYLE(TITLE), "%s%s%s", s->long_name, s->unit ? ", " : "",
        s->unit ? s->unit : "");
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
    int x = r.x + canvas_textf(c, r.x, r.y, r.w / 2, STYLE(TITLE), "%s, %s", s->long_name, text);
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

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct page page;
    struct err e;
    if (!find_page(&page, wb->dossier)) {
        canvas_text(c, in.x + 1, in.y + in.h / 2, in.w - 2, STYLE(DIM),
            *wb->dossier_of ? "computing" : p->class->empty);
        return;
    }
    int n = (int)block_rows(page.facts);
    struct rect facts = in, lists = {in.x + 1, in.y, in.w - 2, in.h - 1};
    bool is_wide = in.w >= 96;
    if (page.line && in.h > 8) {
        facts.h--;
        draw_line(wb, c, (struct rect){in.x + 1, in.y + in.h - 2, in.w - 2, 1}, page.line);
        lists.h--;
    }
    facts.w = is_wide ? (in.w * 11 / 20 < 66 ? in.w * 11 / 20 : 66) : in.w;
    if (is_wide) {
        lists.x = in.x + facts.w + 1;
        lists.w = in.w - facts.w - 2;
    } else {
        /* One above the other: the facts keep the upper half. */
        int above = n < facts.h / 2 ? n + 1 : facts.h / 2 + 1;
        lists.y = in.y + above;
        lists.h = facts.h - above - 1;
        facts.h = above;
    }
    if (is_wide || lists.h >= 4)
        draw_lists(wb, c, lists, &page);
    struct rect clip = canvas_clip(c, facts);
    list_draw(wb, p, c, facts, n, fact_row);
    c->clip = clip;
    int at = list_at(p, n);
    char name[96], value[64], source[160], unit[64];
    if (at < 0 || records_cell(name, sizeof name, page.facts, at, 0, c->glyphs, &e) ||
        records_cell(value, sizeof value, page.facts, at, 1, c->glyphs, &e) ||
        records_cell(unit, sizeof unit, page.facts, at, 2, c->glyphs, &e) ||
        records_cell(source, sizeof source, page.facts, at, 4, c->glyphs, &e))
        return;
    snprintf(p->readout, sizeof p->readout, "%.60s %s %.50s%s%.70s", name, value, unit,
        *source ? "; " : "", source);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT), p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    struct engine_state s;
    char token[64] = "";
    (void)p;
    wb->engine->state(wb->engine, &s);
    if (wb->dossier_of[0] == '@' && wb->lens && wb->sel.pos >= 0 && wb->sel.pos < wb->lens->n)
        token_show(token, sizeof token, wb->lens->tokens[wb->sel.pos]);
    snprintf(buf, n, "dossier%s%s%s%s at %lld%s", *wb->dossier_of ? " of " : "", wb->dossier_of,
        *token ? " " : "", token, (long long)wb->sel.pos,
        s.is_busy && s.ask == ASK_EFFECT ? ", ablating it" : "");
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    struct page page;
    return find_page(&page, wb->dossier) && list_key(p, k, (int)block_rows(page.facts));
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
