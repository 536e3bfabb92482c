#include "app/engine.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/asked.h"
#include "app/expect.h"
#include "app/inputs.h"
#include "app/log.h"
#include "app/patch_ask.h"
#include "app/session.h"
#include "app/signals.h"
#include "app/words.h"
#include "model/core/machine.h"
#include "model/core/parallel.h"
#include "model/core/text.h"
#include "model/edit_from.h"

#define TOP 24   /* best tokens kept a layer and position */
#define TELL 0.1 /* seconds between two repaints for progress alone */

struct task {
    bool is_set;
    struct question q; /* strings are the task's own */
    char *text, *target, *versus, *of, **edits;
};

struct worker {
    struct engine base;
    struct session *session;
    const struct command *command;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task tasks[ASK_COUNT];
    struct answer *spare;
    struct answer *done[16]; /* oldest first */
    int n_done;
    bool is_ending;
    atomic_bool is_cancelled; /* the question being answered */
    struct engine_state state;
    double told;
    const struct model *model; /* worker's; answers carry it to the screen */
    uint64_t opened;           /* session->opened when the model was */
    struct facts facts;        /* of the model; a job may have put another in its place */
    char model_name[1024];     /* as asked for; "": the command line's */
    struct watch watch;
    uint64_t job; /* the one that runs, 0: none */
    uint64_t serial;
};

void answer_release(struct answer **a)
{
    if (!*a)
        return;
    held_report_release(&(*a)->held);
    arena_release(&(*a)->arena);
    free(*a);
    *a = NULL;
}

static void notify(const struct worker *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->base.wake_fd, &one, sizeof one);
    (void)n;
}

static void task_clear(struct task *t)
{
    free(t->text);
    free(t->target);
    free(t->versus);
    free(t->of);
    for (int i = 0; i < t->q.n_edits && t->edits; i++)
        free(t->edits[i]);
    free(t->edits);
    *t = (struct task){0};
}

static int progress(void *arg, double done, double total)
{
    struct worker *w = arg;
    double now = machine_seconds();
    pthread_mutex_lock(&w->lock);
    w->state.done = done;
    w->state.total = total;
    bool tell = now - w->told > TELL;
    if (tell)
        w->told = now;
    pthread_mutex_unlock(&w->lock);
    if (tell)
        notify(w);
    return atomic_load(&w->is_cancelled);
}

/* A model without a tokenizer is asked with ids: "5 17 3", with blanks or commas. */
static int read_ids(struct source *s, const struct model *m, struct arena *arena, struct err *e)
{
    const char *at = s->text;
    size_t room = s->n_text / 2 + 1;
    int32_t *ids = arena_array(arena, room, sizeof *ids, e);
    if (!ids)
        return e->code;
    for (at += strspn(at, " ,"); *at; at += strspn(at, " ,")) {
        char *end;
        long long id = strtoll(at, &end, 10);
        if (end == at || (*end && !strchr(" ,", *end)) || id < 0 || id >= m->cfg.vocab)
            return err_set(e, ERR_INPUT,
                "%s has no tokenizer files (vocab.json and merges.txt, or tokenizer.json): put "
                "them "
                "beside its config.json, or give token ids below %lld as the prompt, as in 464 "
                "2068",
                m->name, (long long)m->cfg.vocab);
        ids[s->n_ids++] = (int32_t)id;
        at = end;
    }
    s->text = NULL;
    s->ids = ids;
    return 0;
}

static int encode(struct answer *a, struct input *in, const struct question *q, struct err *e)
{
    const struct model *m = a->model;
    struct source source = {.text = q->text, .n_text = strlen(q->text), .where = "the prompt"};
    struct sources sources = {.list = &source, .n = 1};
    struct inputs inputs;
    if (!m->tokenizer && read_ids(&source, m, &a->arena, e))
        return e->code;
    int rc =
        inputs_encode(&inputs, &sources, m, &(struct encode_opts){.bos = q->bos}, &a->arena, e);
    if (rc)
        return rc;
    if (inputs.n != 1 || inputs.list[0].n < 1)
        return err_set(e, ERR_USAGE, "the prompt is empty: type a text and press Enter");
    *in = inputs.list[0];
    const char **labels = arena_array(&a->arena, (size_t)in->n, sizeof *labels, e);
    const char **strs = arena_array(&a->arena, (size_t)in->n, sizeof *strs, e);
    if (!labels || !strs)
        return e->code;
    for (int64_t i = 0; i < in->n; i++) {
        strs[i] = token_text(m, in->tokens[i], &a->arena, e);
        if (!strs[i])
            return e->code;
        labels[i] = i == 0 && q->bos && in->tokens[0] == m->bos_id ? "BOS" : strs[i];
    }
    a->n = in->n;
    a->ids = in->tokens;
    a->tokens = labels;
    struct report_input ri = {
        .text = in->text, .tokens = in->tokens, .token_str = strs, .n = in->n};
    rc = report_create(&a->report, NULL, e);
    if (!rc && held_report_create(&a->held, a->report, e)) {
        report_abandon(&a->report);
        rc = e->code;
    }
    return rc ? rc : report_add_input(&in->index, a->report, &ri, e);
}

static int parse_edits(struct edits *out, struct answer *a, const struct question *q, struct err *e)
{
    struct edit *list =
        arena_array(&a->arena, q->n_edits > 0 ? (size_t)q->n_edits : 1, sizeof *list, e);
    *out = (struct edits){list, q->n_edits};
    if (!list)
        return e->code;
    for (int i = 0; i < q->n_edits; i++) {
        int rc = edit_parse(&list[i], q->edits[i], &a->model->cfg, &a->arena, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* The model's best token at the last position, under the edits. */
static int best_last(int64_t *out, struct answer *a, struct worker *w, const struct input *in,
    const struct edits *edits, const struct question *q, struct err *e)
{
    int64_t offset[2] = {0, in->n};
    struct batch b = {in->tokens, offset, 1};
    struct edits resolved;
    struct trace t = {0};
    size_t max_bytes;
    if (session_budget(&max_bytes, w->command, a->model, e))
        return e->code;
    const struct params *p = a->model->params;
    struct forward_opts o = {
        .pool = w->session->pool, .progress = progress, .progress_arg = w, .max_bytes = max_bytes};
    struct batch reference = b;
    struct edits typed;
    int rc = edits_from_texts(&typed, &reference, edits, a->model, q->bos, &a->arena, e);
    if (!rc)
        rc = edits_resolve(&resolved, &typed, p, &reference, &o, &a->arena, e);
    if (rc)
        return rc;
    o.edits = &resolved;
    rc = forward(&t, p, &b, &o, e);
    if (rc)
        return rc;
    const float *row = trace_logits(&t, 0, -1);
    *out = 0;
    for (int64_t v = 1; row && v < a->model->cfg.vocab; v++)
        if (row[v] > row[*out])
            *out = v;
    trace_release(&t);
    return 0;
}

/* "#ID" of a token, or a plain number. */
static int set_arg(
    struct args *args, struct answer *a, const char *name, bool is_token, int64_t v, struct err *e)
{
    int row = args_find(args, name);
    if (row < 0)
        return err_set(e, ERR_USAGE, "the analysis has no parameter %s", name);
    const char *text = arena_printf(&a->arena, e, "%s%lld", is_token ? "#" : "", (long long)v);
    return text ? args_set(args, row, text, e) : e->code;
}

static int find(
    const struct analysis **out, struct args *args, struct answer *a, const char *id, struct err *e)
{
    *out = analysis_find(id);
    if (!*out)
        return err_set(e, ERR_USAGE, "this build has no analysis \"%s\"", id);
    return args_init(args, (*out)->params, (*out)->n_params, &a->arena, e);
}

/* The first is told: later ones follow from it. */
static void keep_note(void *arg, const char *text)
{
    struct answer *a = arg;
    struct err lost;
    if (!a->note)
        a->note = arena_strdup(&a->arena, text, &lost);
}

static int run(struct answer *a, struct worker *w, const struct analysis *const *list,
    const struct args *args, int n, const struct input *in, const struct edits *edits, bool bos,
    struct err *e)
{
    size_t max_bytes;
    if (session_budget(&max_bytes, w->command, a->model, e))
        return e->code;
    struct job job = {.model = a->model,
        .list = list,
        .args = args,
        .n = n,
        .inputs = in,
        .n_inputs = 1,
        .edits = edits,
        .prepend_bos = bos,
        /* Half a gigabyte is not read to draw a screen; a log's document names its weights. */
        .no_hash = !log_keeps(w->base.log),
        .pool = w->session->pool,
        .seed = (uint64_t)args_int(&w->command->args, "seed"),
        .max_bytes = max_bytes,
        .progress = progress,
        .progress_arg = w,
        .note = keep_note,
        .note_arg = a};
    int rc = job_run(a->report, &job, e);
    const char *line = rc || !w->base.log ? NULL : log_run_line(w->model_name, &job, &a->arena, e);
    if (line)
        log_ran(w->base.log, line, a->report);
    return rc;
}

static int take_field(
    struct field *out, const struct answer *a, const char *id, const char *name, struct err *e)
{
    for (int r = 0; r < report_runs(a->report); r++) {
        struct run *run = report_run(a->report, r);
        if (strcmp(run_analysis(run), id) != 0)
            continue;
        for (int i = 0; i < run_blocks(run); i++) {
            struct block *b = run_block_at(run, i);
            if (!strcmp(block_spec(b)->name, name))
                return block_field(out, b, -1, e);
        }
    }
    return err_set(e, ERR_USAGE, "the analysis %s gave no block %s", id, name);
}

/* Positions are labelled with their tokens, layers as people write them. */
static int relabel(struct field *f, struct answer *a, struct err *e)
{
    for (int i = 0; i < f->rank; i++) {
        struct axis *x = &f->axes[i];
        if (x->kind == AXIS_POS && x->size == a->n)
            x->labels = a->tokens;
        if (x->kind != AXIS_LAYER && x->kind != AXIS_HEAD)
            continue;
        const char **labels = arena_array(&a->arena, (size_t)x->size, sizeof *labels, e);
        if (!labels)
            return e->code;
        for (int64_t k = 0; k < x->size; k++) {
            bool is_final = x->kind == AXIS_LAYER && k == a->model->cfg.n_layer;
            labels[k] = is_final ? "final"
                                 : arena_printf(&a->arena, e, "%c%lld",
                                       x->kind == AXIS_LAYER ? 'L' : 'H', (long long)k);
            if (!labels[k])
                return e->code;
        }
        x->labels = labels;
    }
    return 0;
}

static int fill_top_text(struct answer *a, struct err *e)
{
    const struct field *f = &a->top_token;
    struct window all = field_all(f);
    int64_t n = window_count(&all, f->rank);
    double *ids = arena_array(&a->arena, (size_t)(n > 0 ? n : 1), sizeof *ids, e);
    const char **text = arena_array(&a->arena, (size_t)(n > 0 ? n : 1), sizeof *text, e);
    if (!ids || !text)
        return e->code;
    int rc = f->fetch(f, ids, &all, FIELD_POINT, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        text[i] = ids[i] >= 0 ? token_text(a->model, (int64_t)ids[i], &a->arena, e) : "";
        rc = text[i] ? 0 : e->code;
    }
    a->top_text = text;
    return rc;
}

static int name_targets(struct answer *a, struct err *e)
{
    a->target_text = a->target >= 0 ? token_text(a->model, a->target, &a->arena, e) : "";
    a->versus_text = a->versus >= 0 ? token_text(a->model, a->versus, &a->arena, e) : "";
    return a->target_text && a->versus_text ? 0 : e->code;
}

static int answer_prompt(
    struct answer *a, struct worker *w, const struct question *q, struct err *e)
{
    struct input in;
    struct edits edits;
    const struct analysis *list[2];
    struct args args[2];
    int rc = encode(a, &in, q, e);
    if (!rc)
        rc = parse_edits(&edits, a, q, e);
    if (!rc && a->target < 0)
        rc = best_last(&a->target, a, w, &in, &edits, q, e);
    if (!rc)
        rc = find(&list[0], &args[0], a, "lens", e);
    if (!rc)
        rc = find(&list[1], &args[1], a, "attention", e);
    if (!rc)
        rc = set_arg(&args[0], a, "target", true, a->target, e);
    int64_t top = a->model->cfg.vocab < TOP ? a->model->cfg.vocab : TOP;
    if (!rc)
        rc = set_arg(&args[0], a, "top", false, top, e);
    if (!rc)
        rc = run(a, w, list, args, 2, &in, &edits, q->bos, e);
    if (rc)
        return rc;
    struct {
        struct field *out;
        const char *id, *name;
    } take[] = {{&a->top_token, "lens", "top_token"}, {&a->top_logprob, "lens", "top_logprob"},
        {&a->logprob, "lens", "target_logprob"}, {&a->rank, "lens", "target_rank"},
        {&a->entropy, "lens", "entropy"}, {&a->kl, "lens", "kl_to_final"},
        {&a->pattern, "attention", "pattern"}};
    for (size_t i = 0; i < sizeof take / sizeof *take && !rc; i++) {
        rc = take_field(take[i].out, a, take[i].id, take[i].name, e);
        if (!rc)
            rc = relabel(take[i].out, a, e);
    }
    if (!rc)
        rc = fill_top_text(a, e);
    return rc ? rc : name_targets(a, e);
}

static int answer_dla(struct answer *a, struct worker *w, const struct question *q, struct err *e)
{
    struct input in;
    struct edits edits;
    const struct analysis *list[1];
    struct args args[1];
    int rc = encode(a, &in, q, e);
    if (!rc)
        rc = parse_edits(&edits, a, q, e);
    if (!rc)
        rc = find(&list[0], &args[0], a, "dla", e);
    if (!rc)
        rc = set_arg(&args[0], a, "pos", false, q->pos, e);
    if (!rc && a->target >= 0)
        rc = set_arg(&args[0], a, "target", true, a->target, e);
    if (!rc && a->versus >= 0)
        rc = set_arg(&args[0], a, "versus", true, a->versus, e);
    if (!rc && q->ask == ASK_NEURONS)
        rc = set_arg(&args[0], a, "neurons", false, q->layer, e);
    if (!rc)
        rc = run(a, w, list, args, 1, &in, &edits, q->bos, e);
    if (!rc)
        rc = take_field(&a->contribution, a, "dla", "contribution", e);
    if (!rc)
        rc = take_field(&a->ledger, a, "dla", "ledger", e);
    return rc ? rc : name_targets(a, e);
}

/* A parameter as text. */
static int set_text(struct args *args, const char *name, const char *value, struct err *e)
{
    int row = args_find(args, name);
    return row < 0 ? err_set(e, ERR_USAGE, "the analysis has no parameter %s", name)
                   : args_set(args, row, value, e);
}

static int answer_dossier(
    struct answer *a, struct worker *w, const struct question *q, struct err *e)
{
    struct input in;
    struct edits edits;
    const struct analysis *list[1];
    struct args args[1];
    int rc = encode(a, &in, q, e);
    if (!rc)
        rc = parse_edits(&edits, a, q, e);
    if (!rc)
        rc = find(&list[0], &args[0], a, "dossier", e);
    if (!rc)
        rc = set_text(&args[0], "of", q->of, e);
    if (!rc)
        rc = set_arg(&args[0], a, "pos", false, q->pos, e);
    if (!rc && a->target >= 0)
        rc = set_arg(&args[0], a, "target", true, a->target, e);
    if (!rc && a->versus >= 0)
        rc = set_arg(&args[0], a, "versus", true, a->versus, e);
    if (!rc)
        rc = set_text(&args[0], "effect", q->ask == ASK_EFFECT ? "true" : "false", e);
    return rc ? rc : run(a, w, list, args, 1, &in, &edits, q->bos, e);
}

static int answer_pair(struct answer *a, struct worker *w, const struct question *q, struct err *e)
{
    struct edits edits;
    struct pair_means means = {.pool = w->session->pool,
        .edits = &edits,
        .seed = (uint64_t)args_int(&w->command->args, "seed"),
        .progress = progress,
        .progress_arg = w};
    if (parse_edits(&edits, a, q, e) || session_budget(&means.max_bytes, w->command, a->model, e))
        return e->code;
    return patch_pair_ask(a, q, &means, e);
}

static void state_facts(struct facts *f, const struct model *m)
{
    *f = (struct facts){.is_open = m != NULL};
    if (!m)
        return;
    f->cfg = m->cfg;
    f->has_bos = m->bos_id >= 0;
    snprintf(f->name, sizeof f->name, "%s", m->name);
    snprintf(f->note, sizeof f->note, "%s", m->note);
}

static int answer_model(struct answer *a, struct worker *w, const struct question *q, struct err *e)
{
    struct model *m;
    struct command c = *w->command;
    struct arena scratch = {0};
    int rc = 0;
    /* `:model NAME` is the workbench's own command with another -m. */
    if (q->text && *q->text) {
        char flag[] = "-m", *name = arena_strdup(&scratch, q->text, e), *words[2] = {flag, name};
        rc = name ? session_parse(&c, w->session, words, 2, &scratch, e) : e->code;
    }
    if (!rc)
        rc = session_model(&m, w->session, &c, e);
    if (!rc)
        snprintf(w->model_name, sizeof w->model_name, "%s", q->text ? q->text : "");
    w->model = a->model = w->session->model;
    w->opened = w->session->opened;
    state_facts(&w->facts, w->model);
    arena_release(&scratch);
    return rc;
}

static int (*const answers[ASK_COUNT])(
    struct answer *a, struct worker *w, const struct question *q, struct err *e) = {
    [ASK_MODEL] = answer_model,
    [ASK_PROMPT] = answer_prompt,
    [ASK_DLA] = answer_dla,
    [ASK_NEURONS] = answer_dla,
    [ASK_DOSSIER] = answer_dossier,
    [ASK_EFFECT] = answer_dossier,
    [ASK_OTHER] = answer_prompt,
    [ASK_PAIR] = answer_pair,
};

/* Words typed for tokens become ids, so that an unknown one is told at once. */
static int resolve_names(struct answer *a, const struct question *q, struct err *e)
{
    const struct tokenizer *t = a->model->tokenizer;
    int rc = 0;
    if (q->target_name && t)
        rc = tokenizer_single(&a->target, t, q->target_name, e);
    if (!rc && q->versus_name && t)
        rc = tokenizer_single(&a->versus, t, q->versus_name, e);
    return rc;
}

/* Takes the answer; the oldest nobody took gives way. */
static void deliver(struct worker *w, struct answer *a)
{
    pthread_mutex_lock(&w->lock);
    if (w->n_done == (int)(sizeof w->done / sizeof *w->done)) {
        answer_release(&w->done[0]);
        memmove(w->done, w->done + 1, (size_t)--w->n_done * sizeof *w->done);
    }
    w->done[w->n_done++] = a;
    pthread_mutex_unlock(&w->lock);
    notify(w);
}

/* A spare one is at hand: a question must not go unanswered for want of memory. */
static struct answer *answer_create(struct worker *w, const struct question *q)
{
    struct answer *a = calloc(1, sizeof *a);
    if (!a) {
        a = w->spare;
        w->spare = NULL;
    } else if (!w->spare) {
        w->spare = calloc(1, sizeof *w->spare);
    }
    if (!a)
        return NULL;
    a->ask = q->ask;
    a->serial = q->serial;
    a->under = q->under;
    a->pos = q->pos;
    a->layer = q->layer;
    a->target = q->target;
    a->versus = q->versus;
    a->is_edited = q->n_edits > 0;
    a->model = w->model;
    return a;
}

static void work(struct worker *w, const struct question *q)
{
    struct answer *a = answer_create(w, q);
    double began = machine_seconds();
    if (!a)
        return;
    if (!a->model && q->ask != ASK_MODEL)
        err_set(&a->e, ERR_USAGE, "no model is open; choose one with :model NAME");
    else if ((!a->model || !resolve_names(a, q, &a->e)) && answers[q->ask](a, w, q, &a->e) >= 0)
        a->e.code = 0;
    state_facts(&a->facts, a->model);
    a->seconds = machine_seconds() - began;
    deliver(w, a);
}

/* Answers the waiting question of a kind. The lock is held, and given back meanwhile. */
static void serve(struct worker *w, int kind)
{
    struct task t = w->tasks[kind];
    w->tasks[kind] = (struct task){0};
    atomic_store(&w->is_cancelled, false);
    w->state.is_busy = true;
    w->state.ask = (enum ask)kind;
    w->state.done = w->state.total = 0;
    w->state.began = machine_seconds();
    pthread_mutex_unlock(&w->lock);
    work(w, &t.q);
    task_clear(&t);
    pthread_mutex_lock(&w->lock);
    w->state.is_busy = false;
    notify(w);
}

/* --- Jobs -------------------------------------------------------------------------------------- */

/* What a job that waits will take, where that is known without work. */
static void expect_next(struct worker *w)
{
    struct job_cost cost;
    struct err e;
    uint64_t id;
    char *line;
    if (w->opened != w->session->opened || !jobs_unknown(w->base.jobs, &id, &line))
        return;
    if (!expect_line(&cost, w->session, line, &e))
        jobs_cost(w->base.jobs, id, &cost);
    free(line);
    notify(w);
}

/* Between two slices of a job: the screen's questions first, each kind once, then the job goes on.
 * They need the model that is open; where the job has put another in its place they wait. */
static int on_job_progress(void *arg, const char *what, double done, double total)
{
    struct worker *w = arg;
    bool stop = jobs_step(w->base.jobs, w->job, what, done, total);
    double now = machine_seconds();
    pthread_mutex_lock(&w->lock);
    bool tell = now - w->told > TELL;
    if (tell)
        w->told = now;
    for (int k = ASK_PROMPT; k < ASK_COMMAND && !w->is_ending; k++)
        if (w->tasks[k].is_set && w->opened == w->session->opened)
            serve(w, k);
    stop = stop || w->is_ending;
    pthread_mutex_unlock(&w->lock);
    if (!stop)
        expect_next(w);
    if (tell)
        notify(w);
    return stop;
}

static void on_job_told(void *arg, const struct job_view *v, const char *line, bool is_dropped)
{
    const struct worker *w = arg;
    asked_write(w->base.log, v, line, is_dropped);
}

static void on_job_cost(void *arg, const struct job_cost *cost)
{
    struct worker *w = arg;
    jobs_cost(w->base.jobs, w->job, cost);
    notify(w);
}

/* The screen gets the document before it is filled. */
static void on_job_report(void *arg, struct held_report *h)
{
    struct worker *w = arg;
    struct question q = {.ask = ASK_COMMAND, .serial = w->serial};
    struct answer *a = answer_create(w, &q);
    jobs_hold(w->base.jobs, w->job, h);
    if (!a)
        return;
    a->job = w->job;
    a->is_live = true;
    a->held = held_report_share(h);
    a->report = h->report;
    a->facts = w->facts;
    a->model = NULL;
    deliver(w, a);
}

/* A command that took the model or the threads away gives them back: the screen asks about its own. */
static void reopen(struct worker *w)
{
    struct model *m;
    struct err e = {0};
    if (w->opened == w->session->opened)
        return;
    w->model = NULL;
    struct arena scratch = {0};
    struct command c = *w->command;
    char flag[] = "-m", *words[2] = {flag, w->model_name};
    if (!*w->model_name || !session_parse(&c, w->session, words, 2, &scratch, &e))
        if (!session_model(&m, w->session, &c, &e))
            w->model = m;
    w->opened = w->session->opened;
    state_facts(&w->facts, w->model);
    arena_release(&scratch);
}

/* Runs a line of the command language; its text, malloc'd, in *text. */
static int run_line(char **text, struct worker *w, const char *line, struct err *e)
{
    struct session *s = w->session;
    struct arena scratch = {0};
    char **words;
    size_t size = 0;
    int n, rc = words_split(&words, &n, line, &scratch, e);
    FILE *out = rc ? NULL : open_memstream(text, &size);
    if (!rc && !out)
        rc = err_set(e, ERR_LIMIT, "no memory for the output of the command");
    if (!rc) {
        FILE *was_out = s->out, *was_log = s->log;
        s->out = s->log = out;
        session_watch(s, &w->watch);
        rc = session_run(s, words, n, e);
        session_watch(s, NULL);
        s->out = was_out;
        s->log = was_log;
        progress_init(&s->progress, was_log, "none");
        fclose(out);
    }
    arena_release(&scratch);
    return rc;
}

/* Takes the next job and runs it; the lock is held, and given back meanwhile. */
static void run_job(struct worker *w)
{
    struct job_view job;
    struct err e = {0};
    char *line, *text = NULL;
    if (!jobs_take(w->base.jobs, &job, &line))
        return;
    w->job = job.id;
    w->serial = job.serial;
    /* Under the lock: a cancellation comes before it or finds the command running. */
    signals_clear();
    pthread_mutex_unlock(&w->lock);
    notify(w);
    int rc = run_line(&text, w, line, &e);
    reopen(w);
    struct question q = {.ask = ASK_COMMAND, .serial = job.serial};
    struct answer *a = answer_create(w, &q);
    if (a) {
        struct err lost;
        a->job = job.id;
        a->e = rc < 0 ? e : (struct err){0};
        a->seconds = machine_seconds() - job.began;
        a->text = arena_strdup(&a->arena, text ? text : "", &lost);
        a->held = jobs_report(w->base.jobs, job.id);
        a->report = a->held ? a->held->report : NULL;
        state_facts(&a->facts, a->model);
    }
    if (rc >= 0 && w->base.log)
        log_ran(w->base.log, line, a ? a->report : NULL);
    jobs_end(w->base.jobs, job.id,
        rc >= 0            ? JOB_DONE
        : rc == ERR_CANCEL ? JOB_CANCELLED
                           : JOB_FAILED,
        rc < 0 ? e.msg : NULL, text);
    if (a)
        deliver(w, a);
    free(text);
    free(line);
    pthread_mutex_lock(&w->lock);
    w->job = 0;
    notify(w);
}

/* The screen's thread comes first wherever both could run: this thread, and the pool's that it makes,
 * are batch work; one step below it where someone gave the whole program a real-time priority. Where
 * the system refuses, nothing is lost but that. */
static void stand_back(void)
{
    struct sched_param p = {0};
    int policy = sched_getscheduler(0);
    if ((policy == SCHED_RR || policy == SCHED_FIFO) && !sched_getparam(0, &p)) {
        p.sched_priority -= p.sched_priority > sched_get_priority_min(policy);
        sched_setscheduler(0, policy, &p);
        return;
    }
    sched_setscheduler(0, SCHED_BATCH, &p);
    setpriority(PRIO_PROCESS, (id_t)gettid(), 5);
}

static void *loop(void *arg)
{
    struct worker *w = arg;
    stand_back();
    pthread_mutex_lock(&w->lock);
    while (!w->is_ending) {
        int next = 0;
        while (next < ASK_COUNT && !w->tasks[next].is_set)
            next++;
        if (next < ASK_COUNT)
            serve(w, next);
        else if (jobs_open(w->base.jobs))
            run_job(w);
        else
            pthread_cond_wait(&w->wake, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The question with strings of its own; false: out of memory. */
static bool task_init(struct task *t, const struct question *q)
{
    *t = (struct task){.is_set = true, .q = *q};
    t->text = strdup(q->text ? q->text : "");
    t->edits = calloc(q->n_edits > 0 ? (size_t)q->n_edits : 1, sizeof *t->edits);
    t->target = q->target_name ? strdup(q->target_name) : NULL;
    t->versus = q->versus_name ? strdup(q->versus_name) : NULL;
    t->of = strdup(q->of ? q->of : "");
    bool ok = t->text && t->edits && t->of && !t->target == !q->target_name &&
              !t->versus == !q->versus_name;
    for (int i = 0; ok && i < q->n_edits; i++)
        ok = (t->edits[i] = strdup(q->edits[i])) != NULL;
    t->q.text = t->text;
    t->q.target_name = t->target;
    t->q.versus_name = t->versus;
    t->q.of = t->of;
    t->q.edits = (const char *const *)t->edits;
    if (!ok)
        task_clear(t);
    return ok;
}

static void ask(struct engine *g, const struct question *q)
{
    struct worker *w = (struct worker *)g;
    struct task t;
    if (q->ask == ASK_COMMAND) {
        uint64_t id = jobs_add(g->jobs, q->text, q->name ? q->name : q->text, q->serial);
        pthread_mutex_lock(&w->lock);
        if (id)
            pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        return;
    }
    if (!task_init(&t, q))
        return;
    pthread_mutex_lock(&w->lock);
    task_clear(&w->tasks[q->ask]);
    w->tasks[q->ask] = t;
    /* A newer question of a kind makes the answer under way worthless; a new prompt, or model, those
     * about the old one; another position the ablation at this one. */
    enum ask now = w->state.ask;
    bool stale = w->state.is_busy && now != ASK_MODEL &&
                 (now == q->ask || q->ask <= ASK_PROMPT ||
                     (now == ASK_EFFECT && (q->ask == ASK_DLA || q->ask == ASK_DOSSIER)));
    for (int k = q->ask + 1; q->ask <= ASK_PROMPT && k < ASK_COMMAND; k++)
        task_clear(&w->tasks[k]);
    if (stale)
        atomic_store(&w->is_cancelled, true);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void cancel(struct engine *g)
{
    struct worker *w = (struct worker *)g;
    pthread_mutex_lock(&w->lock);
    bool any = w->state.is_busy;
    for (int k = 0; k < ASK_COUNT; k++) {
        any = any || w->tasks[k].is_set;
        task_clear(&w->tasks[k]);
    }
    atomic_store(&w->is_cancelled, true);
    if (!any && w->job) {
        jobs_cancel(g->jobs, w->job);
        signals_stop();
    }
    pthread_mutex_unlock(&w->lock);
}

static struct answer *take(struct engine *g)
{
    struct worker *w = (struct worker *)g;
    struct answer *a = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->n_done > 0) {
        a = w->done[0];
        memmove(w->done, w->done + 1, (size_t)--w->n_done * sizeof *w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return a;
}

static void state(const struct engine *g, struct engine_state *out)
{
    struct worker *w = (struct worker *)g;
    pthread_mutex_lock(&w->lock);
    *out = w->state;
    for (int k = 0; k < ASK_COUNT && !out->is_busy; k++)
        if (w->tasks[k].is_set)
            *out = (struct engine_state){
                .is_busy = true, .ask = (enum ask)k, .began = machine_seconds()};
    uint64_t job = w->job;
    pthread_mutex_unlock(&w->lock);
    out->has_job = job && jobs_find(g->jobs, &out->job, job);
    out->n_waiting = jobs_open(g->jobs) - out->has_job;
}

int engine_create(struct engine **out, struct session *s, const struct command *c, struct err *e)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_LIMIT, "no memory for the worker");
    w->spare = calloc(1, sizeof *w->spare);
    w->base =
        (struct engine){.ask = ask, .cancel = cancel, .take = take, .state = state, .wake_fd = -1};
    w->session = s;
    w->command = c;
    w->watch = (struct watch){on_job_progress, on_job_cost, on_job_report, w};
    s->outer = &c->args;
    if (jobs_create(&w->base.jobs, e)) {
        free(w);
        return e->code;
    }
    jobs_watch(w->base.jobs, on_job_told, w);
    w->base.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->base.wake_fd < 0) {
        jobs_release(&w->base.jobs);
        free(w);
        return err_set(e, ERR_LIMIT, "no file descriptor left for the worker");
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    int rc = thread_start(&w->thread, NULL, loop, w);
    if (rc) {
        close(w->base.wake_fd);
        jobs_release(&w->base.jobs);
        free(w);
        return err_set(e, ERR_LIMIT, "no thread for the worker");
    }
    *out = &w->base;
    return 0;
}

void engine_release(struct engine **g)
{
    struct worker *w = (struct worker *)*g;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_ending = true;
    atomic_store(&w->is_cancelled, true);
    if (w->job)
        signals_stop();
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    jobs_release(&w->base.jobs);
    answer_release(&w->spare);
    for (int i = 0; i < w->n_done; i++)
        answer_release(&w->done[i]);
    for (int k = 0; k < ASK_COUNT; k++)
        task_clear(&w->tasks[k]);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    close(w->base.wake_fd);
    free(w);
    *g = NULL;
}
