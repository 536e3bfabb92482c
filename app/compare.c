#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/edit_list.h"
#include "app/prompts.h"
#include "views/number.h"

/* Two prompts beside each other: their tokens aligned, the next token of both, and the difference of
 * lens or attention on a signed scale. */

int prompts_align(int64_t *map, const int32_t *a, int64_t n, const int32_t *b, int64_t m,
    const int64_t *shift, struct err *e)
{
    for (int64_t i = 0; i < n; i++)
        map[i] = shift && i + *shift >= 0 && i + *shift < m ? i + *shift : -1;
    if (shift)
        return 0;
    /* len[i][j]: of the longest common subsequence of a[i..] and b[j..] */
    int32_t *len = calloc((size_t)(n + 1) * (size_t)(m + 1), sizeof *len);
    if (!len)
        return err_set(
            e, ERR_LIMIT, "no memory to align %lld with %lld tokens", (long long)n, (long long)m);
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t j = m - 1; j >= 0; j--) {
            int32_t down = len[(i + 1) * (m + 1) + j], right = len[i * (m + 1) + j + 1];
            len[i * (m + 1) + j] = a[i] == b[j]   ? len[(i + 1) * (m + 1) + j + 1] + 1
                                   : down > right ? down
                                                  : right;
        }
    int64_t i = 0, j = 0, from_i = 0, from_j = 0;
    while (i <= n && j <= m) {
        bool at_end = i == n || j == m;
        if (at_end || a[i] == b[j]) {
            /* Tokens between two equal ones stand beside each other as far as they go. */
            int64_t to_i = at_end ? n : i, to_j = at_end ? m : j;
            for (; from_i < to_i && from_j < to_j; from_i++, from_j++)
                map[from_i] = from_j;
            if (at_end)
                break;
            map[i] = j;
            from_i = ++i;
            from_j = ++j;
        } else if (len[(i + 1) * (m + 1) + j] >= len[i * (m + 1) + j + 1]) {
            i++;
        } else {
            j++;
        }
    }
    free(len);
    return 0;
}

/* --- The two sides ----------------------------------------------------------------------------- */

struct sides {
    const struct answer *a, *b;
    const int64_t *map; /* [a->n] */
};

/* The last one is kept: long prompts take a million steps, and every frame asks. */
struct alignment {
    uint64_t a, b; /* serials of the answers */
    bool shifts;
    int64_t shift, n;
    int64_t *map;
};

void alignment_release(struct alignment **a)
{
    if (*a)
        free((*a)->map);
    free(*a);
    *a = NULL;
}

static const int64_t *aligned(struct workbench *wb, const struct answer *a, const struct answer *b)
{
    struct alignment *k = wb->aligned ? wb->aligned : (wb->aligned = calloc(1, sizeof *k));
    struct err e;
    if (k && k->map && k->a == a->serial && k->b == b->serial && k->shifts == wb->shifts &&
        k->shift == wb->shift && k->n == a->n)
        return k->map;
    int64_t *map = k ? calloc((size_t)a->n, sizeof *map) : NULL;
    if (!map ||
        prompts_align(map, a->ids, a->n, b->ids, b->n, wb->shifts ? &wb->shift : NULL, &e)) {
        free(map);
        return NULL;
    }
    free(k->map);
    *k = (struct alignment){a->serial, b->serial, wb->shifts, wb->shift, a->n, map};
    return map;
}

static bool take_sides(struct sides *s, struct workbench *wb)
{
    *s = (struct sides){.a = wb->lens, .b = prompts_other_answer(wb)};
    if (!s->a || !s->b || !s->a->logprob.fetch || !s->b->logprob.fetch)
        return false;
    s->map = aligned(wb, s->a, s->b);
    return s->map;
}

static double *fetch_all(const struct field *f, const struct window *w, struct arena *frame)
{
    struct err e;
    double *v = arena_array(frame, (size_t)window_count(w, f->rank), sizeof *v, &e);
    return v && !f->fetch(f, v, w, FIELD_POINT, &e) ? v : NULL;
}

/* Probability of the target in A less that in B, [layer, pos of A]. */
static bool lens_difference(struct pane *p, const struct sides *s, struct arena *frame)
{
    struct window wa = field_all(&s->a->logprob), wb = field_all(&s->b->logprob);
    double *va = fetch_all(&s->a->logprob, &wa, frame), *vb = fetch_all(&s->b->logprob, &wb, frame);
    int64_t rows = s->a->logprob.axes[0].size;
    if (!va || !vb || s->b->logprob.axes[0].size != rows)
        return false;
    for (int64_t l = 0; l < rows; l++)
        for (int64_t t = 0; t < s->a->n; t++) {
            int64_t u = s->map[t];
            double *v = &va[l * s->a->n + t];
            *v = u < 0 ? NAN : exp(*v) - exp(vb[l * s->b->n + u]);
        }
    p->field = s->a->logprob;
    p->field.name = "lens_difference";
    p->field.long_name = "probability of the target here less that in the other prompt";
    p->field.unit = "probability difference";
    p->values = (struct field_values){va, s->a->serial * 31 + s->b->serial};
    return true;
}

/* Attention of the selected head in A less that in B, [query, key] of A. */
static bool attention_difference(
    struct pane *p, const struct sides *s, const struct selection *sel, struct arena *frame)
{
    int64_t n = s->a->n, m = s->b->n;
    struct window wa = {
        .start = {sel->layer, sel->head}, .count = {1, 1, n, n}, .stride = {1, 1, 1, 1}};
    struct window wb = wa;
    wb.count[2] = wb.count[3] = m;
    double *va = fetch_all(&s->a->pattern, &wa, frame), *vb = fetch_all(&s->b->pattern, &wb, frame);
    if (!va || !vb)
        return false;
    for (int64_t q = 0; q < n; q++)
        for (int64_t k = 0; k < n; k++)
            va[q * n + k] = s->map[q] < 0 || s->map[k] < 0
                                ? NAN
                                : va[q * n + k] - vb[s->map[q] * m + s->map[k]];
    p->field = s->a->pattern;
    p->field.rank = 2;
    p->field.axes[0] = s->a->pattern.axes[2];
    p->field.axes[1] = s->a->pattern.axes[3];
    p->field.name = "attention_difference";
    p->field.unit = "probability difference";
    p->field.long_name = "attention here less that in the other prompt";
    p->values = (struct field_values){
        va, (s->a->serial * 31 + s->b->serial) * 4096 + (uint64_t)(sel->layer * 64 + sel->head)};
    return true;
}

static bool data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct sides s;
    if (!take_sides(&s, wb))
        return false;
    p->metric %= 2;
    if (!(p->metric ? attention_difference(p, &s, &wb->sel, frame) : lens_difference(p, &s, frame)))
        return false;
    p->field.is_signed = true;
    p->field.look = LOOK_HEATMAP;
    field_from_values(&p->field, &p->values);
    return true;
}

static void follow(const struct workbench *wb, struct pane *p)
{
    p->st.at[0] = p->metric ? wb->sel.pos : wb->sel.row;
    p->st.at[1] = p->metric ? wb->sel.key : wb->sel.pos;
}

static void lead(struct workbench *wb, const struct pane *p)
{
    if (p->metric) {
        wb->sel.pos = p->st.at[0];
        wb->sel.key = p->st.at[1];
        return;
    }
    wb->sel.row = p->st.at[0];
    wb->sel.pos = p->st.at[1];
    if (wb->sel.row < wb->facts.cfg.n_layer)
        wb->sel.layer = wb->sel.row;
}

/* --- Drawing ----------------------------------------------------------------------------------- */

/* One column of the two rows of tokens: a pair, or a token that has nothing beside it. */
struct pair {
    int64_t a, b; /* -1: nothing */
};

static int64_t pairs_of(struct pair *out, const struct sides *s)
{
    int64_t n = 0, next = 0;
    for (int64_t i = 0; i < s->a->n; i++) {
        int64_t j = s->map[i];
        for (; j >= 0 && next < j; next++)
            out[n++] = (struct pair){-1, next};
        out[n++] = (struct pair){i, j};
        next = j >= 0 ? j + 1 : next;
    }
    for (; next < s->b->n; next++)
        out[n++] = (struct pair){-1, next};
    return n;
}

static void draw_tokens(
    struct workbench *wb, struct canvas *c, struct rect r, const struct sides *s)
{
    struct err e;
    struct pair *pairs = arena_array(&wb->frame, (size_t)(s->a->n + s->b->n), sizeof *pairs, &e);
    int64_t n = pairs ? pairs_of(pairs, s) : 0, first = 0;
    char a[96], b[96];
    int used = 0;
    /* From the right end of what fits back to the cursor. */
    for (int64_t i = 0; i < n; i++) {
        token_show(a, sizeof a, pairs[i].a < 0 ? "" : s->a->tokens[pairs[i].a]);
        token_show(b, sizeof b, pairs[i].b < 0 ? "" : s->b->tokens[pairs[i].b]);
        int w = canvas_columns(c, a) > canvas_columns(c, b) ? canvas_columns(c, a)
                                                            : canvas_columns(c, b);
        used += w + 1;
        while (used > r.w - 4 && first < i) {
            token_show(a, sizeof a, pairs[first].a < 0 ? "" : s->a->tokens[pairs[first].a]);
            token_show(b, sizeof b, pairs[first].b < 0 ? "" : s->b->tokens[pairs[first].b]);
            int gone = canvas_columns(c, a) > canvas_columns(c, b) ? canvas_columns(c, a)
                                                                   : canvas_columns(c, b);
            used -= gone + 1;
            first++;
        }
        if (pairs[i].a >= wb->sel.pos && i >= first)
            break;
    }
    int x = r.x + 2;
    canvas_text(c, r.x, r.y, 1, STYLE(KEY), "A");
    canvas_text(c, r.x, r.y + 1, 1, STYLE(KEY), "B");
    for (int64_t i = first; i < n && x < r.x + r.w; i++) {
        bool has_a = pairs[i].a >= 0, has_b = pairs[i].b >= 0;
        bool differs = !has_a || !has_b || s->a->ids[pairs[i].a] != s->b->ids[pairs[i].b];
        token_show(a, sizeof a, has_a ? s->a->tokens[pairs[i].a] : "");
        token_show(b, sizeof b, has_b ? s->b->tokens[pairs[i].b] : "");
        int wa = canvas_columns(c, a), wb_ = canvas_columns(c, b), w = wa > wb_ ? wa : wb_;
        struct style st = differs ? STYLE(WARN) : STYLE(TEXT);
        bool is_here = has_a && pairs[i].a == wb->sel.pos;
        if (differs) /* not by hue alone */
            st.attrs |= ATTR_UNDERLINE;
        canvas_text(c, x, r.y, r.x + r.w - x, st,
            has_a                       ? a
            : c->glyphs == GLYPHS_ASCII ? "."
                                        : "∅");
        canvas_text(c, x, r.y + 1, r.x + r.w - x, st,
            has_b                       ? b
            : c->glyphs == GLYPHS_ASCII ? "."
                                        : "∅");
        if (is_here)
            canvas_reverse(c, (struct rect){x, r.y, w < 1 ? 1 : w, 2});
        x += (w < 1 ? 1 : w) + 1;
    }
}

/* The best next tokens of one side at a position. */
static void draw_next(struct workbench *wb, struct canvas *c, struct rect r, const struct answer *a,
    int64_t pos, const char *name)
{
    if (pos < 0) {
        canvas_textf(c, r.x, r.y, r.w, STYLE(TITLE), "%s: nothing stands beside this token", name);
        return;
    }
    int64_t L = wb->facts.cfg.n_layer, k = a->top_logprob.axes[2].size,
            n = r.h - 1 < k ? r.h - 1 : k;
    struct window w = {.start = {L, pos, 0}, .count = {1, 1, n}, .stride = {1, 1, 1}};
    double *v = n > 0 ? fetch_all(&a->top_logprob, &w, &wb->frame) : NULL;
    canvas_textf(c, r.x, r.y, r.w, STYLE(TITLE), "%s: next token at %lld", name, (long long)pos);
    for (int64_t i = 0; v && i < n; i++) {
        char token[64];
        int label = r.w / 3;
        token_show(token, sizeof token, a->top_text[(L * a->n + pos) * k + i]);
        canvas_text(c, r.x, r.y + 1 + (int)i, label - 1, STYLE(LABEL), token);
        canvas_textf(
            c, r.x + label, r.y + 1 + (int)i, 8, STYLE(STRONG), "%5.1f %%", 100 * exp(v[i]));
        canvas_bar(
            c, r.x + label + 9, r.y + 1 + (int)i, r.w - label - 10, exp(v[i]), false, STYLE(BAR));
    }
}

static double cell_of(const struct field *f, int64_t i, int64_t j)
{
    struct window w = {.start = {i, j}, .count = {1, 1}, .stride = {1, 1}};
    struct err e;
    double v;
    return f->fetch(f, &v, &w, FIELD_POINT, &e) ? NAN : v;
}

/* "+0.21", "−3.0": no sign on what rounds to nothing. */
static const char *signed_text(char buf[48], double v, int decimals)
{
    char digits[40];
    snprintf(digits, sizeof digits, "%.*f", decimals, fabs(v));
    bool is_zero = strspn(digits, "0.") == strlen(digits);
    snprintf(buf, 48, "%s%s", is_zero ? "" : v < 0 ? "−" : "+", digits);
    return buf;
}

static void say_readout(struct workbench *wb, struct pane *p, const struct sides *s)
{
    int64_t t = wb->sel.pos, u = s->map[t];
    char token[64], layer[32], number[48];
    token_show(token, sizeof token, s->a->target_text);
    if (u < 0) {
        snprintf(p->readout, sizeof p->readout, "position %lld of A has nothing beside it",
            (long long)t);
    } else if (p->metric) {
        int64_t q = s->map[t], k = wb->sel.key < s->a->n ? s->map[wb->sel.key] : -1;
        snprintf(p->readout, sizeof p->readout, "L%lldH%lld from %lld to %lld (B %lld to %lld): %s",
            (long long)wb->sel.layer, (long long)wb->sel.head, (long long)t, (long long)wb->sel.key,
            (long long)q, (long long)k, signed_text(number, cell_of(&p->field, t, wb->sel.key), 3));
    } else {
        double here = exp(cell_of(&s->a->logprob, wb->sel.row, t));
        double there = exp(cell_of(&s->b->logprob, wb->sel.row, u));
        snprintf(p->readout, sizeof p->readout,
            "%s, %s: %.1f %% at %lld, %.1f %% at %lld of B, difference %s pp",
            axis_label(&s->a->logprob.axes[0], wb->sel.row, layer, sizeof layer), token, 100 * here,
            (long long)t, 100 * there, (long long)u, signed_text(number, 100 * (here - there), 1));
    }
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    struct sides s;
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    struct err e;
    if (!take_sides(&s, wb) || wb->sel.pos < 0 || wb->sel.pos >= s.a->n) {
        canvas_text(c, in.x + 1, in.y + in.h / 2, in.w - 2, STYLE(DIM),
            prompts_other(wb) >= 0 ? "computing" : p->class->empty);
        return;
    }
    int y = in.y, bars = in.h > 26 ? 9 : in.h > 18 ? 6 : in.h > 12 ? 4 : 0;
    draw_tokens(wb, c, (struct rect){in.x + 1, y, in.w - 2, 2}, &s);
    y += 3;
    if (bars) {
        int w = (in.w - 3) / 2;
        draw_next(wb, c, (struct rect){in.x + 1, y, w, bars}, s.a, wb->sel.pos, "A");
        draw_next(wb, c, (struct rect){in.x + 2 + w, y, w, bars}, s.b, s.map[wb->sel.pos], "B");
        y += bars + 1;
    }
    struct rect body = {in.x + 1, y + 1, in.w - 2, in.y + in.h - 2 - y};
    char what[96], token[64];
    token_show(token, sizeof token, s.a->target_text);
    if (p->metric)
        snprintf(what, sizeof what, "attention of L%lldH%lld, A less B", (long long)wb->sel.layer,
            (long long)wb->sel.head);
    else
        snprintf(what, sizeof what, "lens, probability of %s, A less B", token);
    canvas_text(c, in.x + 1, y, in.w - 2, STYLE(TITLE), what);
    pane_data(wb, p, &d, marks);
    struct screen sc = {c, body, &wb->frame};
    struct rect old = canvas_clip(c, body);
    if (d.n && body.h > 0 && p->view->draw(&sc, &d, &p->st, p->readout, &e))
        screen_wrapped(c, body, STYLE(ERROR), e.msg);
    c->clip = old;
    say_readout(wb, p, &s);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT), p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    int other = prompts_other(wb), differing = 0;
    struct sides s;
    (void)p;
    if (other < 0) {
        snprintf(buf, n, "compare two prompts");
        return;
    }
    bool is_there = take_sides(&s, (struct workbench *)wb);
    for (int64_t i = 0; is_there && i < s.a->n; i++)
        differing += s.map[i] < 0 || s.a->ids[i] != s.b->ids[s.map[i]];
    char shift[32] = "";
    if (wb->shifts)
        snprintf(shift, sizeof shift, ", B shifted by %lld", (long long)wb->shift);
    snprintf(buf, n, "A: prompt %d, B: prompt %d; %d of A's tokens differ%s%s",
        prompts_current(wb) + 1, other + 1, differing, shift,
        edits_take_means(wb) ? "; mean over 1 input each" : "");
}

static void opened(struct workbench *wb, struct pane *p)
{
    (void)p;
    prompts_ask_other(wb);
}

const struct pane_class pane_compare = {
    .name = "compare",
    .title = "compare two prompts",
    .help = "The prompt on screen (A) beside another (B): tokens aligned by their longest common "
            "subsequence, with those that differ underlined. Below, the next token of both, and "
            "what the lens or a head does in A less what it does in B.",
    .view = "heatmap",
    .ask = ASK_OTHER,
    .empty = "C chooses the prompt to compare with",
    .search_axis = -1,
    .data = data,
    .heading = heading,
    .follow = follow,
    .lead = lead,
    .draw = draw,
    .open = opened,
};

/* --- Keys -------------------------------------------------------------------------------------- */

static void shift_by(struct workbench *wb, int by)
{
    wb->shift = wb->shifts ? wb->shift + by : by;
    wb->shifts = true;
}

void act_shift_right(struct workbench *wb, const struct key *k)
{
    (void)k;
    shift_by(wb, -1);
}

void act_shift_left(struct workbench *wb, const struct key *k)
{
    (void)k;
    shift_by(wb, 1);
}

void act_align(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->shifts = false;
}

void act_compare_what(struct workbench *wb, const struct key *k)
{
    (void)k;
    struct pane *p = &wb->panes[wb->focus];
    p->metric++;
    p->st = (struct view_state){0};
}
