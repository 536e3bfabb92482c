#include "app/prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/edit_list.h"
#include "app/list.h"
#include "app/patching.h"
#include "app/words.h"
#include "model/core/text.h"

/* --- What is kept ------------------------------------------------------------------------------ */

enum { KEPT = 5 }; /* answers of a prompt: lens, dla, neurons, dossier, base */

struct open_prompt {
    uint64_t id;
    char *text, *name;
    bool bos;
    struct answer *kept[KEPT];
    char *under; /* model, edits and targets that they belong to */
    struct selection sel;
    int64_t pins[4];
    uint64_t used;        /* when it was last on screen */
    struct answer *other; /* about the target of the prompt it is compared with */
    char *other_under;
};

struct prompts {
    struct open_prompt list[PROMPTS_MAX];
    int n, at, other;
    uint64_t clock, last_id;
    char *asked_other; /* what the question under way is about */
};

static void forget(struct open_prompt *o)
{
    for (int i = 0; i < KEPT; i++)
        answer_release(&o->kept[i]);
    free(o->under);
    o->under = NULL;
}

static void prompt_free(struct open_prompt *o)
{
    forget(o);
    answer_release(&o->other);
    free(o->other_under);
    free(o->text);
    free(o->name);
    *o = (struct open_prompt){0};
}

void prompts_release(struct prompts **p)
{
    if (!*p)
        return;
    for (int i = 0; i < (*p)->n; i++)
        prompt_free(&(*p)->list[i]);
    free((*p)->asked_other);
    free(*p);
    *p = NULL;
}

static struct prompts *prompts_of(struct workbench *wb)
{
    if (!wb->prompts && (wb->prompts = calloc(1, sizeof *wb->prompts))) {
        wb->prompts->n = 1;
        wb->prompts->other = -1;
        wb->prompts->list[0].text = strdup(wb->shown_prompt);
    }
    return wb->prompts;
}

int prompts_count(const struct workbench *wb)
{
    return wb->prompts ? wb->prompts->n : 1;
}

int prompts_current(const struct workbench *wb)
{
    return wb->prompts ? wb->prompts->at : 0;
}

uint64_t prompts_id(const struct workbench *wb)
{
    return wb->prompts ? wb->prompts->list[wb->prompts->at].id : 0;
}

const char *prompts_text(const struct workbench *wb, int i)
{
    if (i == prompts_current(wb))
        return wb->shown_prompt;
    return wb->prompts->list[i].text ? wb->prompts->list[i].text : "";
}

const char *prompts_name(const struct workbench *wb, int i)
{
    return wb->prompts && wb->prompts->list[i].name ? wb->prompts->list[i].name : "";
}

static size_t answer_bytes(const struct answer *a)
{
    return !a ? 0 : sizeof *a + a->arena.used + (a->report ? report_memory(a->report) : 0);
}

static size_t prompt_bytes(const struct open_prompt *o)
{
    size_t n = answer_bytes(o->other);
    for (int i = 0; i < KEPT; i++)
        n += answer_bytes(o->kept[i]);
    return n;
}

/* The answers of those not seen for longest go until the rest fits. */
static void make_room(struct prompts *p)
{
    for (;;) {
        size_t all = 0;
        int oldest = -1;
        for (int i = 0; i < p->n; i++) {
            size_t own = prompt_bytes(&p->list[i]);
            all += own;
            if (own && i != p->at && i != p->other &&
                (oldest < 0 || p->list[i].used < p->list[oldest].used))
                oldest = i;
        }
        if (all <= PROMPTS_BYTES || oldest < 0)
            return;
        forget(&p->list[oldest]);
        answer_release(&p->list[oldest].other);
    }
}

/* What answers depend on beside the prompt itself; malloc'd. */
static char *circumstances(const struct workbench *wb, bool bos)
{
    struct buf b = {0};
    char number[64];
    buf_puts(&b, wb->model_name);
    snprintf(number, sizeof number, "\n%d %d ", bos, wb->facts.cfg.n_layer);
    buf_puts(&b, number);
    for (int i = 0; i < wb->n_edits; i++)
        if (!edit_is_off(wb->edits[i])) {
            buf_puts(&b, "\n");
            buf_puts(&b, wb->edits[i]);
        }
    buf_puts(&b, "\n\n");
    buf_puts(&b, wb->target ? wb->target : "");
    buf_puts(&b, "\n");
    buf_puts(&b, wb->versus ? wb->versus : "");
    return b.failed ? NULL : b.data;
}

/* --- Going from one to another ----------------------------------------------------------------- */

static struct answer **slots(struct workbench *wb, int i)
{
    struct answer **const all[KEPT] = {&wb->lens, &wb->dla, &wb->neurons, &wb->dossier, &wb->base};
    return all[i];
}

static void store(struct workbench *wb)
{
    struct prompts *p = wb->prompts;
    struct open_prompt *o = &p->list[p->at];
    free(o->text);
    o->text = strdup(wb->shown_prompt);
    forget(o);
    for (int i = 0; i < KEPT; i++) {
        o->kept[i] = *slots(wb, i);
        *slots(wb, i) = NULL;
    }
    o->under = circumstances(wb, wb->bos);
    o->bos = wb->bos;
    o->sel = wb->sel;
    memcpy(o->pins, (int64_t[4]){wb->pin_target, wb->pin_dla, wb->pin_versus, wb->pin_pos},
        sizeof o->pins);
    o->used = ++p->clock;
    /* An answer that belongs to a question not yet answered must not go under this prompt's name. */
    if (wb->keeps_base || (o->kept[0] && o->kept[0]->serial != wb->asked[ASK_PROMPT]))
        forget(o);
    make_room(p);
}

/* Answers under way belong to the prompt that was left. */
static void expect_nothing(struct workbench *wb)
{
    for (int k = ASK_PROMPT; k < ASK_COMMAND; k++)
        wb->asked[k] = ++wb->serial;
    wb->keeps_base = false;
}

static void load(struct workbench *wb, int i)
{
    struct prompts *p = wb->prompts;
    struct open_prompt *o = &p->list[i];
    char *now = circumstances(wb, o->bos), *text = strdup(o->text ? o->text : "");
    p->at = i;
    if (text) {
        free(wb->shown_prompt);
        wb->shown_prompt = text;
        line_set(&wb->prompt, text);
        if (wb->patching)
            wb->patching->shows_clean = false;
    }
    wb->bos = o->bos;
    wb->sel = o->sel;
    expect_nothing(wb);
    bool is_fresh = now && o->under && !strcmp(now, o->under) && o->kept[0];
    if (!is_fresh)
        forget(o);
    for (int k = 0; k < KEPT; k++) {
        answer_release(slots(wb, k));
        *slots(wb, k) = o->kept[k];
        o->kept[k] = NULL;
    }
    wb->pin_target = is_fresh ? o->pins[0] : -1;
    wb->pin_dla = o->pins[1];
    wb->pin_versus = is_fresh ? o->pins[2] : -1;
    wb->pin_pos = o->pins[3];
    if (is_fresh)
        wb->asked[ASK_PROMPT] = wb->lens->serial;
    for (int s = 0; s < PANE_SLOTS; s++) {
        wb->panes[s].n_hits = 0;
        wb->panes[s].e.code = 0;
    }
    free(now);
    workbench_clamp(wb);
    if (!is_fresh && wb->facts.is_open)
        workbench_ask(wb, ASK_PROMPT);
    else if (!wb->dla)
        workbench_ask(wb, ASK_DLA);
    if (p->other == i)
        p->other = -1;
    prompts_ask_other(wb);
}

void prompts_switch(struct workbench *wb, int i)
{
    struct prompts *p = prompts_of(wb);
    if (!p || i < 0 || i >= p->n || i == p->at)
        return;
    store(wb);
    load(wb, i);
    workbench_say(wb, false, "prompt %d of %d", i + 1, p->n);
}

void prompts_add(struct workbench *wb, const char *text)
{
    struct prompts *p = prompts_of(wb);
    if (!p || p->n == PROMPTS_MAX) {
        workbench_say(wb, true, "at most %d prompts are open at once; close one", PROMPTS_MAX);
        return;
    }
    store(wb);
    int i = p->at + 1;
    memmove(&p->list[i + 1], &p->list[i], (size_t)(p->n++ - i) * sizeof p->list[0]);
    p->other += p->other >= i;
    p->list[i] = (struct open_prompt){.id = ++p->last_id,
        .text = strdup(text),
        .bos = wb->bos,
        .sel = wb->sel,
        .used = ++p->clock};
    p->list[i].sel.pos = -1;
    load(wb, i);
    workbench_say(wb, false, "prompt %d of %d", i + 1, p->n);
}

static void close_prompt(struct workbench *wb, int i)
{
    struct prompts *p = prompts_of(wb);
    if (!p || p->n < 2) {
        workbench_say(wb, false, "the only prompt stays open");
        return;
    }
    if (i == p->at) {
        store(wb);
        load(wb, i + 1 < p->n ? i + 1 : i - 1);
    }
    prompt_free(&p->list[i]);
    memmove(&p->list[i], &p->list[i + 1], (size_t)(--p->n - i) * sizeof p->list[0]);
    p->at -= p->at > i;
    p->other = p->other == i ? -1 : p->other - (p->other > i);
}

/* --- The comparison's other side --------------------------------------------------------------- */

int prompts_other(const struct workbench *wb)
{
    return wb->prompts ? wb->prompts->other : -1;
}

static char *other_under(const struct workbench *wb)
{
    const struct prompts *p = wb->prompts;
    char *base = circumstances(wb, p->list[p->other].bos), *all = NULL;
    struct buf b = {0};
    char number[32];
    if (base) {
        snprintf(number, sizeof number, "#%lld ", (long long)wb->lens->target);
        buf_puts(&b, number);
        buf_puts(&b, base);
        buf_puts(&b, "\n");
        buf_puts(&b, prompts_text(wb, p->other));
        all = b.failed ? NULL : b.data;
    }
    free(base);
    return all;
}

const struct answer *prompts_other_answer(const struct workbench *wb)
{
    const struct prompts *p = wb->prompts;
    if (!p || p->other < 0 || !wb->lens || !p->list[p->other].other)
        return NULL;
    char *under = other_under(wb);
    bool is_it =
        under && p->list[p->other].other_under && !strcmp(under, p->list[p->other].other_under);
    free(under);
    return is_it ? p->list[p->other].other : NULL;
}

void prompts_ask_other(struct workbench *wb)
{
    struct prompts *p = wb->prompts;
    struct arena scratch = {0};
    struct err e;
    int n_edits;
    bool is_shown = wb->zoomed == PANE_COMPARE ||
                    (wb->zoomed == SLOT_NONE && workbench_shows(wb, PANE_COMPARE));
    if (!p || p->other < 0 || !wb->lens || !is_shown || wb->is_replaying ||
        prompts_other_answer(wb))
        return;
    free(p->asked_other);
    p->asked_other = other_under(wb);
    const char *const *edits = edits_on(&n_edits, wb, &scratch, &e);
    struct question q = {.ask = ASK_OTHER,
        .text = prompts_text(wb, p->other),
        .bos = p->list[p->other].bos,
        .edits = edits,
        .n_edits = edits ? n_edits : 0,
        .target = wb->lens->target,
        .versus = -1,
        .serial = ++wb->serial};
    wb->asked[ASK_OTHER] = q.serial;
    wb->engine->ask(wb->engine, &q);
    arena_release(&scratch);
}

void prompts_take_other(struct workbench *wb, struct answer *a)
{
    struct prompts *p = wb->prompts;
    if (!p || p->other < 0 || !p->asked_other) {
        answer_release(&a);
        return;
    }
    struct open_prompt *o = &p->list[p->other];
    answer_release(&o->other);
    free(o->other_under);
    o->other = a;
    o->other_under = p->asked_other;
    p->asked_other = NULL;
    make_room(p);
}

/* --- The pane ---------------------------------------------------------------------------------- */

static void row(struct workbench *wb, int i, struct list_row *out)
{
    const struct prompts *p = wb->prompts;
    const char *name = prompts_name(wb, i);
    bool is_here = i == prompts_current(wb);
    char text[200];
    size_t bytes = p ? prompt_bytes(&p->list[i]) : 0;
    if (is_here)
        bytes += answer_bytes(wb->lens) + answer_bytes(wb->dla) + answer_bytes(wb->neurons) +
                 answer_bytes(wb->dossier) + answer_bytes(wb->base);
    text_escape(text, sizeof text, prompts_text(wb, i), strlen(prompts_text(wb, i)), 0);
    snprintf(out->left, sizeof out->left, "%d %s %s%s%s", i + 1, is_here ? "*" : " ", name,
        *name ? ": " : "", text);
    snprintf(out->right, sizeof out->right, "%s%.1f MB", p && p->other == i ? "compared  " : "",
        (double)bytes / 1e6);
    out->style = is_here ? STYLE(STRONG) : STYLE(TEXT);
}

static void draw(struct workbench *wb, struct pane *p, struct canvas *c, struct rect in)
{
    int at = list_at(p, prompts_count(wb));
    list_draw(wb, p, c, in, prompts_count(wb), row);
    text_escape(
        p->readout, sizeof p->readout, prompts_text(wb, at), strlen(prompts_text(wb, at)), 0);
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2,
        pane_is_focused(wb, p) ? STYLE(STRONG) : STYLE(TEXT), p->readout);
}

static void heading(const struct workbench *wb, const struct pane *p, char *buf, size_t n)
{
    size_t all = 0;
    (void)p;
    for (int i = 0; wb->prompts && i < wb->prompts->n; i++)
        all += prompt_bytes(&wb->prompts->list[i]);
    snprintf(buf, n, "prompts: %d open; answers kept of the others %.1f of %.0f MB",
        prompts_count(wb), (double)all / 1e6, (double)PROMPTS_BYTES / 1e6);
}

static bool key(struct workbench *wb, struct pane *p, const struct key *k)
{
    return list_key(p, k, prompts_count(wb));
}

const struct pane_class pane_prompts = {
    .name = "prompts",
    .title = "prompts",
    .help = "The prompts that are open. Each keeps its answers, so that going from one to another "
            "asks nothing; C compares the one on screen with another.",
    .ask = ASK_COUNT,
    .empty = "no prompt",
    .search_axis = -1,
    .heading = heading,
    .draw = draw,
    .key = key,
};

void act_prompts(struct workbench *wb, const struct key *k)
{
    (void)k;
    wb->panes[PANE_PROMPTS].st.at[0] = prompts_current(wb);
    workbench_drill(wb, PANE_PROMPTS);
}

static int here(struct workbench *wb)
{
    return list_at(&wb->panes[wb->focus], prompts_count(wb));
}

void act_prompt_show(struct workbench *wb, const struct key *k)
{
    int at = here(wb);
    (void)k;
    workbench_back(wb);
    prompts_switch(wb, at);
}

void act_prompt_close(struct workbench *wb, const struct key *k)
{
    (void)k;
    close_prompt(wb, here(wb));
}

void act_prompt_add(struct workbench *wb, const struct key *k)
{
    act_command(wb, k);
    line_set(&wb->line, "add_prompt ");
}

void act_prompt_rename(struct workbench *wb, const struct key *k)
{
    act_command(wb, k);
    line_set(&wb->line, "name_prompt ");
}

void act_prompt_next(struct workbench *wb, const struct key *k)
{
    (void)k;
    prompts_switch(wb, (prompts_current(wb) + 1) % prompts_count(wb));
}

void act_prompt_prev(struct workbench *wb, const struct key *k)
{
    (void)k;
    prompts_switch(wb, (prompts_current(wb) + prompts_count(wb) - 1) % prompts_count(wb));
}

/* From the list: with the one under the cursor; elsewhere: with the one compared before, or the next. */
void act_compare(struct workbench *wb, const struct key *k)
{
    struct prompts *p = prompts_of(wb);
    (void)k;
    if (!p)
        return;
    if (p->n < 2) {
        workbench_say(wb, false, "one prompt alone is open; :add_prompt TEXT opens another");
        return;
    }
    int at = wb->panes[wb->focus].id == PANE_PROMPTS ? here(wb) : p->other;
    if (at < 0 || at == p->at)
        at = p->other >= 0 && p->other != p->at ? p->other : (p->at + 1) % p->n;
    if (wb->panes[wb->focus].id == PANE_COMPARE)
        do
            at = (at + 1) % p->n;
        while (at == p->at);
    p->other = at;
    if (wb->panes[wb->focus].id != PANE_COMPARE)
        workbench_drill(wb, PANE_COMPARE);
    prompts_ask_other(wb);
}

/* --- Words ------------------------------------------------------------------------------------- */

void colon_add_prompt(struct workbench *wb, const char *arg)
{
    prompts_add(wb, arg);
}

void colon_name_prompt(struct workbench *wb, const char *arg)
{
    struct prompts *p = prompts_of(wb);
    if (!p)
        return;
    bool in_list = wb->panes[wb->focus].id == PANE_PROMPTS;
    struct open_prompt *o = &p->list[in_list ? here(wb) : p->at];
    free(o->name);
    o->name = strdup(arg);
}

/* "2 'first' 'second'": which is on screen, and all of them. */
void colon_prompts(struct workbench *wb, const char *arg)
{
    struct arena scratch = {0};
    struct err e = {0};
    char **words;
    int n = 0;
    struct prompts *p = prompts_of(wb);
    if (!p)
        return;
    if (words_split(&words, &n, arg, &scratch, &e))
        workbench_say(wb, true, "%s", e.msg);
    char *end = NULL;
    long at = n > 1 ? strtol(words[0], &end, 10) : 0;
    if (n > 1 && n - 1 <= PROMPTS_MAX && !*end && at >= 1 && at < n) {
        bool was_open = wb->facts.is_open;
        wb->facts.is_open = false; /* one question at the end */
        while (p->n > 1)
            close_prompt(wb, p->n - 1);
        for (int i = 2; i < n; i++) {
            store(wb);
            p->list[p->n++] = (struct open_prompt){
                .id = ++p->last_id, .text = strdup(words[i]), .bos = wb->bos, .sel = wb->sel};
            load(wb, p->n - 1);
        }
        store(wb);
        free(p->list[0].text);
        p->list[0].text = strdup(words[1]);
        forget(&p->list[0]);
        wb->facts.is_open = was_open;
        load(wb, (int)at - 1);
    } else if (n) {
        workbench_say(wb, true, "prompts takes the number of the one on screen and 1 to %d texts",
            PROMPTS_MAX);
    }
    arena_release(&scratch);
}
