#include <stdio.h>
#include <string.h>

#include "analysis/acts.h"

/* One forward pass serves every analysis of a job. Inputs pass through in groups, so that memory
 * follows the largest group and not the number of inputs. */

struct task {
    const struct analysis *a;
    struct ctx ctx;
    struct run *run;
    bool is_open;
};

struct pipeline {
    const struct job *job;
    struct report *out;
    struct task *tasks;
    struct plan plan;
    struct edits edits;
    struct batch all; /* every input */
    struct arena arena;
    /* Progress, in rows: a forward pass counts every row once, each analysis once more. */
    double done, span, total;
};

#define GROUP_ROWS 4096

static bool is_folded(const struct job *job, const struct analysis *a)
{
    return job->weights ? !strcmp(job->weights, "folded") : a->is_folded;
}

static int write_params(struct run *run, const struct args *args, struct err *e)
{
    for (int i = 0; i < args->n; i++) {
        const struct param *p = &args->table[i];
        const struct param_value *v = &args->values[i];
        char name[96];
        snprintf(name, sizeof name, "param.%s", p->name);
        int rc;
        if (!v->has)
            rc = run_attr_text(run, name, "", e);
        else if (p->type == PARAM_INT || p->type == PARAM_BOOL)
            rc = run_attr_int(run, name, p->type == PARAM_BOOL ? v->b : v->i, e);
        else if (p->type == PARAM_FLOAT)
            rc = run_attr_float(run, name, v->f, e);
        else
            rc = run_attr_text(run, name, v->text, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int write_edits(struct run *run, const struct edits *eds, struct arena *arena, struct err *e)
{
    if (!eds || !eds->n)
        return 0;
    char *text = arena_strdup(arena, "", e), one[4096 + 256]; /* a path and the rest */
    for (int i = 0; i < eds->n && text; i++) {
        if (eds->list[i].is_off)
            continue;
        edit_print(one, sizeof one, &eds->list[i]);
        text = arena_printf(arena, e, "%s%s%s", text, *text ? " " : "", one);
    }
    return text ? run_attr_text(run, "edits", text, e) : ERR_LIMIT;
}

static int describe(struct pipeline *pl, struct task *t, struct err *e)
{
    const struct job *job = pl->job;
    char hash[33], tok_hash[33] = "";
    if (model_hash(hash, job->model, e))
        return e->code;
    if (job->model->tokenizer)
        model_tokenizer_hash(tok_hash, job->model);
    const struct {
        const char *name, *value;
    } texts[] = {{"model_name", job->model->name}, {"model_hash", hash},
        {"tokenizer_hash", tok_hash}, {"weights", t->ctx.folded ? "folded" : "raw"},
        {"dtype", "f32"}, {"source", t->a->source ? t->a->source : ""}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (run_attr_text(t->run, texts[i].name, texts[i].value, e))
            return e->code;
    if (run_attr_int(t->run, "prepend_bos", job->prepend_bos, e) ||
        run_attr_int(t->run, "seed", (int64_t)job->seed, e) ||
        write_params(t->run, t->ctx.args, e) || write_edits(t->run, job->edits, &pl->arena, e))
        return e->code;
    int first = job->n_inputs ? job->inputs[0].index : 0;
    return run_inputs(t->run, first, first + job->n_inputs, e);
}

/* All inputs as one batch, for edits that take means and values from them. */
static int whole_batch(struct batch *b, const struct job *job, struct arena *a, struct err *e)
{
    int64_t *offset = arena_array(a, (size_t)job->n_inputs + 1, sizeof *offset, e);
    if (!offset)
        return ERR_LIMIT;
    offset[0] = 0;
    for (int i = 0; i < job->n_inputs; i++)
        offset[i + 1] = offset[i] + job->inputs[i].n;
    int32_t *tokens = arena_array(a, (size_t)offset[job->n_inputs], sizeof *tokens, e);
    if (!tokens)
        return ERR_LIMIT;
    for (int i = 0; i < job->n_inputs; i++)
        memcpy(
            tokens + offset[i], job->inputs[i].tokens, (size_t)job->inputs[i].n * sizeof *tokens);
    *b = (struct batch){tokens, offset, job->n_inputs};
    return 0;
}

/* Progress within the current stage, which is `span` rows long. */
static int on_progress(void *arg, double done, double total)
{
    const struct pipeline *pl = arg;
    if (!pl->job->progress)
        return 0;
    return pl->job->progress(pl->job->progress_arg, pl->done + pl->span * done / total, pl->total);
}

static int prepare(struct pipeline *pl, struct err *e)
{
    const struct job *job = pl->job;
    if (plan_init(&pl->plan, &job->model->cfg, &pl->arena, e) ||
        whole_batch(&pl->all, job, &pl->arena, e) ||
        edits_resolve(
            &pl->edits, job->edits, job->model->params, &pl->all, job->pool, &pl->arena, e) ||
        edits_check(&pl->edits, &pl->all, false, e))
        return e->code;
    pl->total = (double)pl->all.offset[pl->all.n] * (job->n + 1);
    pl->tasks = arena_zalloc(&pl->arena, (size_t)job->n * sizeof *pl->tasks, e);
    if (!pl->tasks)
        return ERR_LIMIT;
    for (int i = 0; i < job->n; i++) {
        struct task *t = &pl->tasks[i];
        t->a = job->list[i];
        t->ctx = (struct ctx){.model = job->model,
            .params = job->model->params,
            .args = &job->args[i],
            .inputs = job->inputs,
            .n_inputs = job->n_inputs,
            .pairs = job->pairs,
            .seed = job->seed,
            .edits = pl->edits.n ? &pl->edits : NULL,
            .pool = job->pool,
            .arena = &pl->arena,
            .folded = is_folded(job, t->a),
            .progress = on_progress,
            .progress_arg = pl,
            .max_bytes = job->max_bytes};
        if (t->a->plan && t->a->plan(&pl->plan, &t->ctx, e))
            return e->code;
    }
    return 0;
}

static int open_runs(struct pipeline *pl, struct err *e)
{
    for (int i = 0; i < pl->job->n; i++) {
        struct task *t = &pl->tasks[i];
        if (report_begin_run(&t->run, pl->out, t->a->id, e))
            return e->code;
        t->is_open = true;
        if (describe(pl, t, e) || (t->a->begin && t->a->begin(&t->ctx, t->run, e)))
            return e->code;
    }
    return 0;
}

/* How many of the inputs from `first` on fit one pass; at least one, or ERR_LIMIT with the number. */
static int group_size(int *out, const struct pipeline *pl, int first, struct err *e)
{
    const struct job *job = pl->job;
    int64_t rows = 0;
    int n = 0;
    while (first + n < job->n_inputs && (!n || rows + job->inputs[first + n].n <= GROUP_ROWS)) {
        rows += job->inputs[first + n].n;
        struct batch b = {NULL, pl->all.offset + first, n + 1};
        struct estimate est = plan_estimate(&pl->plan, &job->model->cfg, &b);
        uint64_t bytes = est.keep_bytes + est.scratch_bytes;
        if (job->max_bytes && bytes > job->max_bytes) {
            if (n)
                break;
            return err_set(e, ERR_LIMIT,
                "input %d (%lld tokens) needs %.4g MB of activations, the limit is %.4g MB; raise "
                "--max-mem or ask for fewer analyses at once",
                job->inputs[first].index, (long long)job->inputs[first].n, (double)bytes / 1e6,
                (double)job->max_bytes / 1e6);
        }
        n++;
    }
    *out = n;
    return 0;
}

static int end_stage(struct pipeline *pl, struct err *e)
{
    pl->done += pl->span;
    pl->span = 0;
    return on_progress(pl, 0, 1) ? err_set(e, ERR_CANCEL, "interrupted") : 0;
}

/* One input through every analysis. */
static int run_input(
    struct pipeline *pl, const struct input *in, const struct acts *acts, struct err *e)
{
    for (int k = 0; k < pl->job->n; k++) {
        struct task *t = &pl->tasks[k];
        struct arena_mark mark = arena_mark(&pl->arena);
        pl->span = (double)in->n;
        int rc = t->a->each ? t->a->each(&t->ctx, t->run, in, acts, e) : 0;
        arena_rewind(&pl->arena, mark);
        if (rc)
            return rc;
        if (end_stage(pl, e))
            return e->code;
    }
    return 0;
}

static int run_group(struct pipeline *pl, int first, int n, struct err *e)
{
    const struct job *job = pl->job;
    struct arena arena = {0};
    struct job some = *job;
    some.inputs += first;
    some.n_inputs = n;
    struct batch b;
    struct trace t = {0};
    int rc = whole_batch(&b, &some, &arena, e);
    if (!rc && !plan_is_empty(&pl->plan)) {
        pl->span = (double)b.offset[n];
        struct forward_opts o = {.plan = &pl->plan,
            .edits = pl->edits.n ? &pl->edits : NULL,
            .is_part = true,
            .pool = job->pool,
            .progress = on_progress,
            .progress_arg = pl,
            .max_bytes = job->max_bytes};
        rc = forward(&t, job->model->params, &b, &o, e);
    }
    if (!rc)
        rc = end_stage(pl, e);
    for (int i = 0; i < n && !rc; i++)
        rc = run_input(pl, &some.inputs[i], &(struct acts){&t, i}, e);
    trace_release(&t);
    arena_release(&arena);
    return rc;
}

static int run_all(struct pipeline *pl, struct err *e)
{
    if (prepare(pl, e) || open_runs(pl, e))
        return e->code;
    for (int first = 0, n = 0; first < pl->job->n_inputs; first += n)
        if (group_size(&n, pl, first, e) || run_group(pl, first, n, e))
            return e->code;
    for (int i = 0; i < pl->job->n; i++)
        if (pl->tasks[i].a->end && pl->tasks[i].a->end(&pl->tasks[i].ctx, pl->tasks[i].run, e))
            return e->code;
    return 0;
}

int job_run(struct report *out, const struct job *job, struct err *e)
{
    struct pipeline pl = {.job = job, .out = out};
    struct err last = {0};
    e->code = 0;
    int rc = run_all(&pl, e);
    const char *status = rc == ERR_CANCEL ? "cancelled" : rc ? "failed" : "complete";
    for (int i = 0; pl.tasks && i < job->n; i++)
        if (pl.tasks[i].is_open && run_end(pl.tasks[i].run, status, rc ? e->msg : NULL, &last) &&
            !rc) {
            *e = last;
            rc = last.code;
        }
    arena_release(&pl.arena);
    return rc;
}
