#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/workbench.h"
#include "model/core/text.h"
#include "views/draw.h"
#include "views/number.h"

/* What each kind of pane shows: its field, its heading, the sum in its readout, and how its cursor and
 * the shared selection follow each other. */

void token_show(char *buf, size_t n, const char *token)
{
    bool blank = *token && strspn(token, " ") == strlen(token);
    text_escape(buf, n, token, strlen(token), blank ? TEXT_DOT | TEXT_DOTS : TEXT_DOT);
}

/* One number of a field: at has its rank. NaN when it cannot be had. */
static double value_at(const struct field *f, const int64_t *at)
{
    struct window w = {0};
    struct err e;
    double v = NAN;
    if (!f->fetch)
        return v;
    for (int i = 0; i < f->rank; i++) {
        if (at[i] < 0 || at[i] >= f->axes[i].size)
            return v;
        w.start[i] = at[i];
        w.count[i] = w.stride[i] = 1;
    }
    return f->fetch(f, &v, &w, FIELD_POINT, &e) ? NAN : v;
}

/* Columns for the line below a pane's drawing. */
static int readout_room(const struct pane *p)
{
    return p->rect.w > 4 ? p->rect.w - 4 : 0;
}

static const char *token_at(const struct answer *a, int64_t pos)
{
    return a && pos >= 0 && pos < a->n ? a->tokens[pos] : "";
}

/* --- tokens ------------------------------------------------------------------------------------ */

static bool tokens_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct err e;
    const struct answer *a = wb->lens;
    if (!a || a->n < 1)
        return false;
    double *v = arena_array(frame, (size_t)a->n, sizeof *v, &e);
    if (!v)
        return false;
    for (int64_t i = 0; i < a->n; i++)
        v[i] = NAN;
    p->values = (struct field_values){v, a->serial};
    p->field = (struct field){.name = "tokens",
        .dtype = DT_F64,
        .look = LOOK_TOKENS,
        .rank = 1,
        .axes = {{"pos", AXIS_POS, a->n, a->tokens}}};
    field_from_values(&p->field, &p->values);
    return true;
}

static void tokens_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    (void)p;
    int64_t pos = wb->sel.pos;
    char token[96];
    if (!wb->lens || pos < 0 || pos >= wb->lens->n)
        return;
    token_show(token, sizeof token, token_at(wb->lens, pos));
    snprintf(buf, n, "%s  position %lld of %lld, id %d", token, (long long)pos,
        (long long)wb->lens->n, (int)wb->lens->ids[pos]);
}

static void tokens_follow(const struct workbench *wb, struct pane *p)
{
    p->st.at[0] = wb->sel.pos;
}

static void tokens_lead(struct workbench *wb, const struct pane *p)
{
    wb->sel.pos = p->st.at[0];
}

/* --- lens -------------------------------------------------------------------------------------- */

static const struct {
    const char *title, *unit;
} metrics[] = {{"probability of", "probability"}, {"rank of", "rank"}, {"entropy", "nats"},
    {"KL from the final answer", "nats"}};
#define N_METRICS ((int)(sizeof metrics / sizeof *metrics))

/* A field less the same field before the edits. Where a cell stands for several, the difference of
 * their means: other reductions do not commute with it. */
static int change_fetch(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct field_change *c = f->source_data;
    enum field_reduce how = reduce == FIELD_POINT ? FIELD_POINT : FIELD_MEAN;
    int64_t n = window_count(w, f->rank);
    double *was = calloc((size_t)(n > 0 ? n : 1), sizeof *was);
    int rc = was ? 0 : err_set(e, ERR_LIMIT, "no memory for a difference");
    if (!rc)
        rc = c->now.fetch(&c->now, out, w, how, e);
    if (!rc)
        rc = c->was.fetch(&c->was, was, w, how, e);
    for (int64_t i = 0; i < n && !rc; i++)
        out[i] -= was[i];
    free(was);
    return rc;
}

static uint64_t change_generation(const struct field *f)
{
    const struct field_change *c = f->source_data;
    uint64_t now = c->now.generation ? c->now.generation(&c->now) : 0;
    return now * 2 + 1;
}

/* Turns the pane's field into the change since the edits, where that is asked for and known. */
static void show_change(const struct workbench *wb, struct pane *p, const struct field *was)
{
    const struct answer *a = wb->lens, *b = wb->base;
    if (!p->is_change || !b || !was->fetch || b->n != a->n || was->rank != p->field.rank)
        return;
    p->change = (struct field_change){p->field, *was};
    p->field.fetch = change_fetch;
    p->field.generation = change_generation;
    p->field.source_data = &p->change;
    p->field.is_signed = true;
    if (is_probability(&p->field))
        p->field.unit = "probability difference"; /* percentage points */
}

bool pane_shows_change(const struct workbench *wb, const struct pane *p)
{
    return p->is_change && wb->base && wb->lens && wb->base->n == wb->lens->n;
}

static double probability(double logprob)
{
    return exp(logprob);
}

static bool lens_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    (void)frame;
    const struct answer *a = wb->lens;
    if (!a || !a->logprob.fetch)
        return false;
    p->metric %= N_METRICS;
    const struct field *const from[] = {&a->logprob, &a->rank, &a->entropy, &a->kl};
    p->field = *from[p->metric];
    if (p->metric == 0) {
        p->map = (struct field_mapped){a->logprob, probability};
        field_from_map(&p->field, &p->map);
        p->field.name = "target_probability";
        p->field.long_name = "probability of the target";
        p->field.unit = "probability";
    }
    p->field.look = LOOK_HEATMAP;
    if (wb->base) {
        const struct answer *b = wb->base;
        const struct field *const were[] = {&b->logprob, &b->rank, &b->entropy, &b->kl};
        struct field was = *were[p->metric];
        p->was_map = (struct field_mapped){b->logprob, probability};
        if (p->metric == 0)
            field_from_map(&was, &p->was_map);
        show_change(wb, p, &was);
    }
    return true;
}

static void lens_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    int metric = p->metric % N_METRICS; /* the heading may come before the data */
    char token[64] = "the final answer";
    if (wb->lens)
        token_show(token, sizeof token, wb->lens->target_text ? wb->lens->target_text : "");
    if (pane_shows_change(wb, p))
        snprintf(buf, n, "lens, change by the edits: %s%s%s", metrics[metric].title,
            metric < 2 ? " " : "", metric < 2 ? token : "");
    else if (metric < 2)
        snprintf(buf, n, "lens: %s %s%s", metrics[metric].title, token,
            p->rect.w < 64 ? "" : ", by layer and position");
    else
        snprintf(buf, n, "lens: %s, by layer and position, nats", metrics[metric].title);
}

static void lens_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct answer *a = wb->lens;
    int64_t at[2] = {wb->sel.row, wb->sel.pos};
    char token[64], layer[32];
    if (!a || !a->logprob.fetch)
        return;
    token_show(token, sizeof token, a->target_text);
    double prob = exp(value_at(&a->logprob, at)), rank = value_at(&a->rank, at);
    char kl[48] = "";
    if (p->metric == 3 || p->rect.w >= 80)
        snprintf(kl, sizeof kl, ", KL %.3f nats", value_at(&a->kl, at));
    snprintf(buf, n,
        p->rect.w < 60 ? "%s at %lld: %s %.1f %%, rank %.0f, H %.2f nats%s"
                       : "%s at %lld: %s %.1f %%, rank %.0f, entropy %.3f nats%s",
        axis_label(&a->logprob.axes[0], at[0], layer, sizeof layer), (long long)at[1], token,
        100 * prob, rank, value_at(&a->entropy, at), kl);
}

static void lens_follow(const struct workbench *wb, struct pane *p)
{
    p->st.at[0] = wb->sel.row;
    p->st.at[1] = wb->sel.pos;
}

static void lens_lead(struct workbench *wb, const struct pane *p)
{
    wb->sel.row = p->st.at[0];
    wb->sel.pos = p->st.at[1];
    int64_t last = wb->facts.cfg.n_layer - 1;
    wb->sel.layer = wb->sel.row < last ? wb->sel.row : last;
}

/* --- next token and lens cell ------------------------------------------------------------------ */

/* The best tokens of a row with what they had before the edits: " Tobin (97.4)", in per cent. */
static const char *const *labels_before(
    const struct workbench *wb, int64_t row, int64_t k, struct arena *frame)
{
    const struct answer *a = wb->lens, *b = wb->base;
    const char *const *plain = a->top_text + (row * a->n + wb->sel.pos) * k;
    struct err e;
    const char **labels = arena_array(frame, (size_t)k, sizeof *labels, &e);
    if (!labels || !b->top_token.fetch || b->n != a->n || row >= b->top_token.axes[0].size)
        return plain;
    int64_t most = b->top_token.axes[2].size;
    for (int64_t i = 0; i < k; i++) {
        int64_t now[3] = {row, wb->sel.pos, i}, was[3] = {row, wb->sel.pos, 0};
        double id = value_at(&a->top_token, now);
        while (was[2] < most && value_at(&b->top_token, was) != id)
            was[2]++;
        labels[i] = was[2] < most ? arena_printf(frame, &e, "%s (%.1f)", plain[i],
                                        100 * exp(value_at(&b->top_logprob, was)))
                                  : arena_printf(frame, &e, "%s (-)", plain[i]);
        if (!labels[i])
            return plain;
    }
    return labels;
}

static bool top_data(struct workbench *wb, struct pane *p, struct arena *frame, int64_t row)
{
    struct err e;
    const struct answer *a = wb->lens;
    if (!a || !a->top_logprob.fetch || wb->sel.pos < 0 || wb->sel.pos >= a->n || row < 0)
        return false;
    int64_t k = a->top_logprob.axes[2].size, at = (row * a->n + wb->sel.pos) * k;
    double *v = arena_array(frame, (size_t)k, sizeof *v, &e);
    if (!v || row >= a->top_logprob.axes[0].size)
        return false;
    struct window w = {.start = {row, wb->sel.pos, 0}, .count = {1, 1, k}, .stride = {1, 1, 1}};
    if (a->top_logprob.fetch(&a->top_logprob, v, &w, FIELD_POINT, &p->e))
        return false;
    for (int64_t i = 0; i < k; i++)
        v[i] = exp(v[i]);
    const char *const *labels = a->top_text + at;
    if (wb->base && workbench_edits_on(wb))
        labels = labels_before(wb, row, k, frame);
    p->values = (struct field_values){v, a->serial * 1000003u + (uint64_t)at};
    p->field = (struct field){.name = "next_token",
        .long_name = "probability of the next token",
        .unit = "probability",
        .dtype = DT_F64,
        .look = LOOK_BARS,
        .rank = 1,
        .axes = {{"token", AXIS_RANK, k, labels}}};
    field_from_values(&p->field, &p->values);
    return true;
}

static bool next_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    return top_data(wb, p, frame, wb->facts.cfg.n_layer);
}

static bool cell_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    return top_data(wb, p, frame, wb->sel.row);
}

static void next_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    (void)p;
    snprintf(buf, n, "next token at %lld%s", (long long)wb->sel.pos,
        wb->base && workbench_edits_on(wb) ? " (before the edits)" : "");
}

static void cell_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    char layer[32] = "";
    (void)p;
    const char *name = "";
    if (wb->lens && wb->lens->logprob.fetch && wb->sel.row >= 0 &&
        wb->sel.row < wb->lens->logprob.axes[0].size)
        name = axis_label(&wb->lens->logprob.axes[0], wb->sel.row, layer, sizeof layer);
    snprintf(buf, n, "top tokens of %s at %lld", name, (long long)wb->sel.pos);
}

/* "·Tobin 61.2 %, was 92.1 % unedited" for the token under the cursor. */
static bool before_edits(
    const struct workbench *wb, const struct pane *p, int64_t row, char *buf, size_t n)
{
    const struct answer *a = wb->lens, *b = wb->base;
    int64_t at[3] = {row, wb->sel.pos, p->st.at[0]}, was[3] = {row, wb->sel.pos, 0};
    char token[64];
    const struct field *f = &a->top_token;
    if (!b->top_token.fetch || !f->fetch || b->n != a->n || at[1] < 0 || at[1] >= a->n || row < 0 ||
        row >= f->axes[0].size || at[2] < 0 || at[2] >= f->axes[2].size)
        return false;
    double id = value_at(&a->top_token, at);
    while (was[2] < b->top_token.axes[2].size && value_at(&b->top_token, was) != id)
        was[2]++;
    token_show(token, sizeof token,
        a->top_text[(row * a->n + wb->sel.pos) * a->top_token.axes[2].size + at[2]]);
    double now = 100 * exp(value_at(&a->top_logprob, at));
    if (was[2] < b->top_token.axes[2].size)
        snprintf(buf, n, "%s %.1f %%, was %.1f %%", token, now,
            100 * exp(value_at(&b->top_logprob, was)));
    else
        snprintf(buf, n, "%s %.1f %%, was below the best %lld", token, now, (long long)was[2]);
    return true;
}

void act_show_change(struct workbench *wb, const struct key *k)
{
    struct pane *p = &wb->panes[wb->focus];
    (void)k;
    p->is_change = !p->is_change;
    p->st.seen = 0;
    if (p->is_change && !wb->base)
        workbench_say(wb, false, "no edit is on; with one this shows what it changes");
}

static void top_sum(
    const struct workbench *wb, const struct pane *p, char *buf, size_t n, int64_t row)
{
    const struct answer *a = wb->lens;
    int64_t at[2] = {row, wb->sel.pos};
    if (!a || !a->entropy.fetch)
        return;
    if (wb->base && workbench_edits_on(wb) && before_edits(wb, p, row, buf, n))
        return;
    size_t used = (size_t)snprintf(buf, n, "entropy %.3f nats", value_at(&a->entropy, at));
    if (pane_is_focused(wb, p) && used + 3 < n &&
        (int)used + 2 + text_columns(p->readout) <= readout_room(p))
        snprintf(buf + used, n - used, "  %s", p->readout);
}

static void next_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    top_sum(wb, p, buf, n, wb->facts.cfg.n_layer);
}

static void cell_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    top_sum(wb, p, buf, n, wb->sel.row);
}

/* --- attention --------------------------------------------------------------------------------- */

static bool pattern_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    (void)frame;
    if (!wb->lens || !wb->lens->pattern.fetch)
        return false;
    p->field = wb->lens->pattern;
    if (wb->base)
        show_change(wb, p, &wb->base->pattern);
    return true;
}

static void attention_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    snprintf(buf, n,
        pane_shows_change(wb, p) ? "attention L%lldH%lld, change by the edits, query %lld"
                                 : "attention L%lldH%lld, query %lld",
        (long long)wb->sel.layer, (long long)wb->sel.head, (long long)wb->sel.pos);
}

static void attention_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct answer *a = wb->lens;
    int64_t at[4] = {wb->sel.layer, wb->sel.head, wb->sel.pos, 0};
    if (!a || !a->pattern.fetch)
        return;
    size_t used = 0;
    if (pane_is_focused(wb, p)) {
        char query[64], key[64];
        int64_t here[4] = {at[0], at[1], at[2], wb->sel.key};
        token_show(query, sizeof query, token_at(a, wb->sel.pos));
        token_show(key, sizeof key, token_at(a, wb->sel.key));
        used = (size_t)snprintf(buf, n, "%s(%lld) to %s(%lld) %.3f, ", query,
            (long long)wb->sel.pos, key, (long long)wb->sel.key, value_at(&a->pattern, here));
    }
    double here = value_at(&a->pattern, at), sum = 0;
    for (int64_t q = 0; q < a->n; q++) {
        at[2] = q;
        sum += value_at(&a->pattern, at);
    }
    if (used < n)
        snprintf(buf + used, n - used, "%sposition 0: %.2f here, %.2f mean of rows",
            p->rect.w < 56 || used ? "" : "mass on ", here, sum / (double)a->n);
    if (used && used < n && text_columns(buf) > readout_room(p))
        snprintf(buf + used, n - used, "position 0: %.2f", here);
}

static void pattern_follow(const struct workbench *wb, struct pane *p)
{
    p->st.at[0] = wb->sel.layer;
    p->st.at[1] = wb->sel.head;
    p->st.at[2] = wb->sel.pos;
    p->st.at[3] = wb->sel.key;
}

static void pattern_lead(struct workbench *wb, const struct pane *p)
{
    wb->sel.layer = p->st.at[0];
    wb->sel.head = p->st.at[1];
    wb->sel.pos = p->st.at[2];
    wb->sel.key = p->st.at[3];
}

static void heads_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    (void)p;
    snprintf(buf, n, "every head of layer %lld: queries upwards, keys to the right",
        (long long)wb->sel.layer);
}

static void heads_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    char rest[160] = "";
    struct pane quiet = *p;
    quiet.slot = SLOT_NONE;
    attention_sum(wb, &quiet, rest, sizeof rest);
    snprintf(buf, n, "L%lldH%lld  %s", (long long)wb->sel.layer, (long long)wb->sel.head, rest);
}

/* --- attribution ------------------------------------------------------------------------------- */

int64_t component_index(const struct answer *a, const char *label)
{
    const struct axis *x = &a->contribution.axes[0];
    for (int64_t i = 0; a->contribution.fetch && x->labels && i < x->size; i++)
        if (!strcmp(x->labels[i], label))
            return i;
    return -1;
}

static bool contribution(struct pane *p, const struct answer *a)
{
    if (!a || !a->contribution.fetch)
        return false;
    p->field = a->contribution;
    return true;
}

static bool dla_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    (void)frame;
    return contribution(p, wb->dla);
}

/* The neurons of the layer alone: the other components are in the DLA pane. */
static bool neurons_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct err e;
    const struct answer *a = wb->neurons;
    if (!contribution(p, a))
        return false;
    const struct axis *x = &a->contribution.axes[0];
    struct window all = field_all(&a->contribution);
    double *v = arena_array(frame, (size_t)(x->size > 0 ? x->size : 1), sizeof *v, &e);
    const char **labels =
        arena_array(frame, (size_t)(x->size > 0 ? x->size : 1), sizeof *labels, &e);
    if (!v || !labels || a->contribution.fetch(&a->contribution, v, &all, FIELD_POINT, &e))
        return false;
    int64_t n = 0;
    for (int64_t i = 0; i < x->size; i++)
        if (x->labels[i][0] == 'L' && strchr(x->labels[i], 'N')) {
            v[n] = v[i];
            labels[n++] = x->labels[i];
        }
    p->values = (struct field_values){v, a->serial};
    p->field.axes[0].size = n;
    p->field.axes[0].labels = labels;
    field_from_values(&p->field, &p->values);
    return n > 0;
}

static void difference(char *buf, size_t n, const struct answer *a)
{
    char target[64] = "", versus[64] = "";
    if (a && a->target_text)
        token_show(target, sizeof target, a->target_text);
    if (a && a->versus_text)
        token_show(versus, sizeof versus, a->versus_text);
    snprintf(buf, n, *versus ? "%s − %s" : "%s%s", target, versus);
}

static void dla_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct answer *a = p->id == PANE_NEURONS ? wb->neurons : wb->dla;
    char what[140];
    difference(what, sizeof what, a);
    int64_t pos = a ? a->pos : wb->sel.pos;
    char lead[48] = "DLA";
    if (p->id == PANE_NEURONS && a)
        snprintf(lead, sizeof lead, "neurons of layer %d, DLA", a->layer);
    snprintf(buf, n, "%s%s%s at %lld, logits", lead, *what ? " " : "", what, (long long)pos);
    if (text_columns(buf) > p->rect.w - 4)
        snprintf(buf, n, "%s %s, logits", lead, what);
    if (text_columns(buf) > p->rect.w - 4)
        snprintf(buf, n, "%s %s", lead, what);
}

#define LEDGER_TOLERANCE 1e-4 /* relative to the true value; above it the error is shown in red */

static void dla_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    const struct answer *a = p->id == PANE_NEURONS ? wb->neurons : wb->dla;
    double ledger[4];
    if (!a || !a->ledger.fetch)
        return;
    for (int64_t i = 0; i < 4; i++)
        ledger[i] = value_at(&a->ledger, &i);
    bool is_off = !(fabs(ledger[3]) <= LEDGER_TOLERANCE * fmax(1, fabs(ledger[2])));
    char error[32];
    number_error(error, sizeof error, ledger[3]);
    snprintf(
        buf, n, "%sΣ %.3f  true %.3f  error %s", is_off ? "! " : "", ledger[1], ledger[2], error);
    if (text_columns(buf) > readout_room(p))
        snprintf(buf, n, "%sΣ %.2f true %.2f ±%s", is_off ? "! " : "", ledger[1], ledger[2], error);
}

/* How the layer's neurons add up, and the strongest of them by size. */
static void neurons_sum(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    double sum = 0;
    (void)wb;
    for (int64_t i = 0; p->field.fetch && i < p->field.axes[0].size; i++)
        sum += value_at(&p->field, &i);
    snprintf(buf, n, "Σ of the layer's neurons %.3f  %s", sum, p->readout);
}

static void dla_lead(struct workbench *wb, const struct pane *p)
{
    int layer, head;
    char letter;
    if (!p->field.axes[0].labels || p->st.at[0] >= p->field.axes[0].size)
        return;
    const char *label = p->field.axes[0].labels[p->st.at[0]];
    int got = sscanf(label, "L%d%c%d", &layer, &letter, &head);
    if (got >= 2)
        wb->sel.layer = layer;
    if (got >= 2 && wb->sel.row < wb->facts.cfg.n_layer)
        wb->sel.row = layer;
    if (got == 3 && letter == 'H')
        wb->sel.head = head;
}

/* --- the output of a command ------------------------------------------------------------------- */

static bool text_data(struct workbench *wb, struct pane *p, struct arena *frame)
{
    struct err e;
    const struct answer *a = wb->text;
    if (!a || !a->text)
        return false;
    int64_t n = 1, at = 0;
    for (const char *s = a->text; *s; s++)
        n += *s == '\n';
    const char **lines = arena_array(frame, (size_t)n, sizeof *lines, &e);
    char *copy = arena_strdup(frame, a->text, &e);
    if (!lines || !copy)
        return false;
    for (char *s = copy; s;) {
        char *end = strchr(s, '\n');
        if (end)
            *end = '\0';
        lines[at++] = s;
        s = end ? end + 1 : NULL;
    }
    if (at > 1 && !*lines[at - 1])
        at--;
    p->field = (struct field){
        .name = "output", .look = LOOK_TEXT, .rank = 1, .axes = {{"line", AXIS_OTHER, at, lines}}};
    return true;
}

static void text_heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    (void)p;
    snprintf(buf, n, "output of %s", wb->last_command ? wb->last_command : "the command");
}

const struct pane_class pane_prompt = {
    .name = "prompt",
    .title = "prompt",
    .ask = ASK_PROMPT,
    .empty = "",
    .search_axis = -1,
};

const struct pane_class pane_tokens = {
    .name = "tokens",
    .title = "tokens",
    .view = "tokens",
    .ask = ASK_PROMPT,
    .empty = "type a prompt with i and press Enter",
    .data = tokens_data,
    .sum = tokens_sum,
    .follow = tokens_follow,
    .lead = tokens_lead,
};

const struct pane_class pane_lens = {
    .name = "lens",
    .title = "lens: probability of the final answer, by layer and position",
    .view = "heatmap",
    .analysis = "lens",
    .ask = ASK_PROMPT,
    .empty = "press i, type a prompt, and Enter",
    .data = lens_data,
    .heading = lens_heading,
    .sum = lens_sum,
    .follow = lens_follow,
    .lead = lens_lead,
    .search_axis = 1,
};

const struct pane_class pane_next = {
    .name = "next",
    .title = "next token",
    .view = "bars",
    .analysis = "lens",
    .ask = ASK_PROMPT,
    .empty = "press i, type a prompt, and Enter",
    .data = next_data,
    .heading = next_heading,
    .sum = next_sum,
};

const struct pane_class pane_cell = {
    .name = "cell",
    .title = "top tokens of a layer",
    .view = "bars",
    .analysis = "lens",
    .ask = ASK_PROMPT,
    .empty = "choose a cell of the lens and press Enter",
    .data = cell_data,
    .heading = cell_heading,
    .sum = cell_sum,
};

const struct pane_class pane_attention = {
    .name = "attention",
    .title = "attention",
    .view = "heatmap",
    .side = "bars",
    .analysis = "attention",
    .ask = ASK_PROMPT,
    .empty = "press i, type a prompt, and Enter",
    .data = pattern_data,
    .heading = attention_heading,
    .sum = attention_sum,
    .follow = pattern_follow,
    .lead = pattern_lead,
    .search_axis = 3,
};

const struct pane_class pane_heads = {
    .name = "heads",
    .title = "every head of a layer",
    .view = "multiples",
    .analysis = "attention",
    .ask = ASK_PROMPT,
    .empty = "press i, type a prompt, and Enter",
    .data = pattern_data,
    .heading = heads_heading,
    .sum = heads_sum,
    .follow = pattern_follow,
    .lead = pattern_lead,
    .search_axis = -1,
};

const struct pane_class pane_dla = {
    .name = "dla",
    .title = "DLA, logits",
    .view = "bars",
    .analysis = "dla",
    .ask = ASK_DLA,
    .empty = "choose a position in the lens",
    .data = dla_data,
    .heading = dla_heading,
    .sum = dla_sum,
    .lead = dla_lead,
};

const struct pane_class pane_neurons = {
    .name = "neurons",
    .title = "neurons of a layer, DLA",
    .view = "bars",
    .analysis = "dla",
    .ask = ASK_NEURONS,
    .empty = "choose an MLP (L3_mlp) in the DLA pane and press Enter",
    .data = neurons_data,
    .heading = dla_heading,
    .sum = neurons_sum,
    .lead = dla_lead,
};

const struct pane_class pane_text = {
    .name = "text",
    .title = "output of the command",
    .view = "text",
    .ask = ASK_COMMAND,
    .empty = "run a command with :",
    .data = text_data,
    .heading = text_heading,
    .search_axis = 0,
};

const struct pane_class *pane_class(int kind)
{
    static const struct pane_class *const classes[PANE_COUNT] = {
#define PANE(id, name) &pane_##name,
#include "app/panes.def"
#undef PANE
    };
    return classes[kind];
}
