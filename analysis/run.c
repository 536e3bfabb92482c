#include <stdio.h>
#include <string.h>

#include "analysis/acts.h"
#include "model/core/text.h"
#include "model/edit_from.h"

/* One forward pass serves every analysis of a job. Inputs pass through in groups, so that memory
 * follows the largest group and not the number of inputs. */

struct task {
    const struct analysis *a;
    struct ctx ctx;
    struct run *run;
    bool is_open, has_begun;
};

struct pipeline {
    const struct job *job;
    struct report *out;
    struct task *tasks;
    struct plan plan;
    struct edits edits;
    struct batch all;     /* every input */
    struct budget budget; /* of everything the run takes, the report in memory included */
    uint64_t pass;        /* bytes a pass of several inputs may take */
    int keeps;            /* of how many inputs the report holds the results in memory */
    bool has_noted;       /* logits that are not finite */
    size_t results;       /* its bytes when it was last looked at */
    struct arena arena;
    int through; /* inputs that went through every analysis */
    /* Progress, in rows: a forward pass counts every row once, each analysis once more. */
    double done, span, total;
};

#define GROUP_ROWS 4096
/* A pass of several inputs takes less than this part of the weights: a thousand prompts take no more
 * memory than ten. At GPT-2 small's shape 64 prompts of 15 tokens take as long as in one pass, to 1 %. */
#define PASS_PART 16

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

/* Whether a BOS was put before anything: ids are taken as they are. */
static bool has_bos(const struct job *job)
{
    bool is_text = job->cache != NULL;
    for (int i = 0; i < job->n_inputs && !is_text; i++)
        is_text = job->inputs[i].text != NULL;
    return job->prepend_bos && is_text && (job->cache || job->model->bos_id >= 0);
}

static int describe(struct pipeline *pl, struct task *t, struct err *e)
{
    const struct job *job = pl->job;
    char hash[33] = "", tok_hash[33] = "";
    if (!job->no_hash && model_hash(hash, job->model, e))
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
    if (run_attr_int(t->run, "prepend_bos", has_bos(job), e) ||
        run_attr_int(t->run, "seed", (int64_t)job->seed, e) ||
        write_params(t->run, t->ctx.args, e) || write_edits(t->run, job->edits, &pl->arena, e))
        return e->code;
    if (job->cache) {
        const struct cache_info *i = cache_about(job->cache);
        if (run_attr_text(t->run, "cache_run_id", i->run_id, e) ||
            (i->dtype == DT_F16 && run_attr_text(t->run, "cache_dtype", "f16", e)))
            return e->code;
    }
    int first = job->n_inputs ? job->inputs[0].index : 0;
    return run_inputs(t->run, first, first + job->n_inputs, e);
}

/* All inputs as one batch. Their tokens are copied for who asks for them: a pass, and edits that take
 * means and values from other inputs. */
static int whole_batch(
    struct batch *b, const struct job *job, bool with_tokens, struct arena *a, struct err *e)
{
    int64_t *offset = arena_array(a, (size_t)job->n_inputs + 1, sizeof *offset, e);
    if (!offset)
        return ERR_LIMIT;
    offset[0] = 0;
    for (int i = 0; i < job->n_inputs; i++)
        offset[i + 1] = offset[i] + job->inputs[i].n;
    *b = (struct batch){NULL, offset, job->n_inputs};
    if (!with_tokens)
        return 0;
    int32_t *tokens = arena_array(a, (size_t)offset[job->n_inputs], sizeof *tokens, e);
    if (!tokens)
        return ERR_LIMIT;
    for (int i = 0; i < job->n_inputs; i++)
        memcpy(
            tokens + offset[i], job->inputs[i].tokens, (size_t)job->inputs[i].n * sizeof *tokens);
    b->tokens = tokens;
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

static int on_resolve(void *arg, double done, double total)
{
    struct pipeline *pl = arg;
    (void)done, (void)total;
    return pl->job->progress && pl->job->progress(pl->job->progress_arg, 0, 1);
}

/* Values of mean and resample edits, from passes over the inputs that count as part of the start. */
static int resolve(struct pipeline *pl, struct err *e)
{
    const struct job *job = pl->job;
    struct forward_opts how = {
        .pool = job->pool, .progress = on_resolve, .progress_arg = pl, .budget = &pl->budget};
    struct batch reference = pl->all;
    struct edits typed;
    if (edits_from_texts(
            &typed, &reference, job->edits, job->model, job->prepend_bos, &pl->arena, e))
        return e->code;
    return edits_resolve(&pl->edits, &typed, job->model->params, &reference, &how, &pl->arena, e);
}

/* The plan of all analyses together: nothing is computed here. */
static int prepare(struct pipeline *pl, struct err *e)
{
    const struct job *job = pl->job;
    if (plan_init(&pl->plan, &job->model->cfg, &pl->arena, e) ||
        whole_batch(&pl->all, job, job->edits && job->edits->n, &pl->arena, e))
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
            .note = job->note,
            .note_arg = job->note_arg,
            .max_bytes = job->max_bytes,
            .budget = &pl->budget};
        if (t->a->plan && t->a->plan(&pl->plan, &t->ctx, e))
            return e->code;
    }
    return 0;
}

/* What analyses take for one input more: flops and results add up, the hungriest says the bytes. */
static void own_estimate(struct estimate *sum, const struct pipeline *pl, int i)
{
    const struct job *job = pl->job;
    for (int k = 0; k < job->n; k++) {
        struct estimate own = {0};
        pl->tasks[k].ctx.asked = i;
        if (job->list[k]->cost)
            job->list[k]->cost(&own, &pl->tasks[k].ctx, job->inputs[i].n);
        if (own.scratch_bytes > sum->scratch_bytes)
            sum->scratch_bytes = own.scratch_bytes;
        sum->flops += own.flops;
        sum->result_bytes += i < pl->keeps ? own.keep_bytes : 0;
    }
}

/* What inputs [first, first + n) take: the pass they share, and `own` of the analyses. */
static int group_estimate(struct estimate *out, const struct pipeline *pl, int first, int n,
    const struct estimate *own, struct err *e)
{
    const struct job *job = pl->job;
    struct forward_opts o = {.plan = &pl->plan, .edits = pl->edits.n ? &pl->edits : NULL};
    struct batch b = {NULL, pl->all.offset + first, n};
    *out = (struct estimate){0};
    if (job->cache) /* what is read, one window at a time */
        out->keep_bytes = plan_estimate(&pl->plan, &job->model->cfg, &b).keep_bytes;
    else if (!plan_is_empty(&pl->plan) && forward_estimate(out, &o, &job->model->cfg, &b, e))
        return e->code;
    if (own->scratch_bytes > out->scratch_bytes)
        out->scratch_bytes = own->scratch_bytes;
    out->flops += own->flops;
    out->result_bytes += own->result_bytes;
    return 0;
}

static int64_t group_rows(const struct job *job)
{
    return job->cache ? 1 : job->group_rows ? job->group_rows : GROUP_ROWS;
}

/* How many of the inputs from `first` on fit one pass; at least one, or ERR_LIMIT with the number. */
static int group_size(
    int *out, struct estimate *est, const struct pipeline *pl, int first, struct err *e)
{
    const struct job *job = pl->job;
    int64_t rows = 0;
    struct estimate next, own = {0};
    *out = 0;
    while (first + *out < job->n_inputs &&
           (!*out || rows + job->inputs[first + *out].n <= group_rows(job))) {
        rows += job->inputs[first + *out].n;
        own_estimate(&own, pl, first + *out);
        if (group_estimate(&next, pl, first, *out + 1, &own, e))
            return e->code;
        uint64_t bytes = next.keep_bytes + next.scratch_bytes;
        if (*out && bytes > pl->pass)
            break;
        if (bytes > budget_left(&pl->budget)) {
            if (*out)
                break;
            return err_set(e, ERR_LIMIT,
                "input %d (%lld token%s) needs %.4g MB of activations and scratch, %.4g MB are "
                "left "
                "of --max-mem; raise it, shorten the input or ask for fewer analyses at once",
                job->inputs[first].index, (long long)job->inputs[first].n,
                text_s(job->inputs[first].n), (double)bytes / 1e6,
                (double)budget_left(&pl->budget) / 1e6);
        }
        *est = next;
        ++*out;
    }
    return 0;
}

/* The whole run before it begins: the largest group, all results that stay in memory, all work. */
static int expect(struct pipeline *pl, struct err *e)
{
    const struct job *job = pl->job;
    struct estimate all = {0}, one = {0};
    for (int first = 0, n = 0; first < job->n_inputs; first += n) {
        if (group_size(&n, &one, pl, first, e))
            return e->code;
        all.result_bytes += one.result_bytes;
        all.flops += one.flops;
        if (one.keep_bytes + one.scratch_bytes > all.keep_bytes + all.scratch_bytes) {
            all.keep_bytes = one.keep_bytes;
            all.scratch_bytes = one.scratch_bytes;
        }
    }
    uint64_t bytes = all.keep_bytes + all.scratch_bytes + all.result_bytes;
    if (bytes > budget_left(&pl->budget))
        return err_set(e, ERR_LIMIT,
            "this run needs %.4g MB: %.4g MB of activations and scratch, %.4g MB of results in "
            "memory; %.4g MB are left of --max-mem: raise it, or write to a file with -o FILE.h5",
            (double)bytes / 1e6, (double)(all.keep_bytes + all.scratch_bytes) / 1e6,
            (double)all.result_bytes / 1e6, (double)budget_left(&pl->budget) / 1e6);
    if (job->expect)
        job->expect(job->expect_arg, &all);
    return 0;
}

/* What the report in memory has grown to is no longer there for the next pass. */
static void take_results(struct pipeline *pl)
{
    size_t now = report_memory(pl->out), grown = now > pl->results ? now - pl->results : 0;
    if (!pl->budget.limit)
        return;
    pl->budget.limit = pl->budget.limit > grown ? pl->budget.limit - grown : 1;
    pl->results = now;
    report_set_limit(pl->out, now + budget_left(&pl->budget));
}

static int check_cache(struct pipeline *pl, struct err *e)
{
    const struct job *job = pl->job;
    if (!job->cache)
        return 0;
    int rc = acts_cache_model(job->cache, job->model, e);
    return rc ? rc : acts_cache_check(job->cache, &pl->plan, job->model, e);
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
        t->has_begun = true;
    }
    return 0;
}

static int end_stage(struct pipeline *pl, struct err *e)
{
    pl->done += pl->span;
    pl->span = 0;
    return on_progress(pl, 0, 1) ? err_set(e, ERR_CANCEL, "interrupted") : 0;
}

/* Numbers of a pass that are none, and why, as far as can be seen: NaN must not come silently. */
static void note_nonfinite(struct pipeline *pl, const struct trace *t, int first, int n)
{
    int64_t at;
    for (int i = 0; i < n && !pl->has_noted; i++) {
        const float *row = t->logits ? trace_logits(t, i, -1) : NULL;
        if (!row || !weights_nonfinite(&at, row, pl->job->model->cfg.vocab, DT_F32))
            continue;
        pl->has_noted = true;
        const char *text = arena_printf(&pl->arena, &(struct err){0},
            "the logits of input %d are not finite, the weights behind them are: an edit or a sum "
            "went beyond fp32",
            pl->job->inputs[first + i].index);
        if (text && pl->job->note && !params_fault(pl->job->model->params))
            pl->job->note(pl->job->note_arg, text);
    }
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
        take_results(pl);
        if (k + 1 == pl->job->n)
            pl->through++;
        if (end_stage(pl, e))
            return e->code;
    }
    return 0;
}

static int run_group(struct pipeline *pl, int first, int n, struct err *e)
{
    const struct job *job = pl->job;
    struct arena arena = {.budget = &pl->budget};
    struct job some = *job;
    some.inputs += first;
    some.n_inputs = n;
    struct batch b;
    struct trace t = {0};
    int rc = whole_batch(&b, &some, true, &arena, e);
    if (!rc && !plan_is_empty(&pl->plan)) {
        pl->span = (double)b.offset[n];
        struct forward_opts o = {.plan = &pl->plan,
            .edits = pl->edits.n ? &pl->edits : NULL,
            .is_part = true,
            .pool = job->pool,
            .progress = on_progress,
            .progress_arg = pl,
            .budget = &pl->budget};
        rc = forward(&t, job->model->params, &b, &o, e);
        if (!rc)
            note_nonfinite(pl, &t, first, n);
    }
    if (!rc)
        rc = end_stage(pl, e);
    for (int i = 0; i < n && !rc; i++)
        rc = run_input(pl, &some.inputs[i], &(struct acts){.trace = &t, .input = i}, e);
    trace_release(&t);
    arena_release(&arena);
    return rc;
}

/* An input is a window of the cache; what an analysis asks for is read then. */
static int run_cached(struct pipeline *pl, const struct input *in, struct err *e)
{
    const struct job *job = pl->job;
    struct acts acts = {0};
    int rc =
        acts_cache_open(&acts.cache, job->cache, job->model, pl->plan.logits, in, job->pool, e);
    pl->span = (double)in->n;
    if (!rc)
        rc = end_stage(pl, e);
    if (!rc)
        rc = run_input(pl, in, &acts, e);
    acts_cache_release(&acts.cache);
    return rc;
}

static int run_all(struct pipeline *pl, struct err *e)
{
    struct estimate est;
    pl->edits = pl->job->edits ? *pl->job->edits : (struct edits){0};
    if (prepare(pl, e) || check_cache(pl, e) || expect(pl, e))
        return e->code;
    if (pl->job->only_expects)
        return 0;
    if (resolve(pl, e) || edits_check(&pl->edits, &pl->all, false, e) || open_runs(pl, e))
        return e->code;
    for (int i = 0; pl->job->cache && i < pl->job->n_inputs; i++)
        if (run_cached(pl, &pl->job->inputs[i], e))
            return e->code;
    for (int first = 0, n = 0; !pl->job->cache && first < pl->job->n_inputs; first += n)
        if (group_size(&n, &est, pl, first, e) || run_group(pl, first, n, e))
            return e->code;
    for (int i = 0; i < pl->job->n; i++)
        if (pl->tasks[i].a->end && pl->tasks[i].a->end(&pl->tasks[i].ctx, pl->tasks[i].run, e))
            return e->code;
    return 0;
}

/* Means over what was done before a run was cancelled, and how much that is. */
static void end_early(struct pipeline *pl, struct err *e)
{
    const int each = pl->job->pairs ? 2 : 1;
    if (pl->job->n_inputs > each)
        err_set(e, ERR_CANCEL, "interrupted after %d of %d %s", pl->through / each,
            pl->job->n_inputs / each, pl->job->pairs ? "pairs" : "inputs");
    for (int i = 0; pl->tasks && i < pl->job->n; i++) {
        struct task *t = &pl->tasks[i];
        struct err ignored = {0};
        if (t->has_begun && t->a->ends_early)
            t->a->end(&t->ctx, t->run, &ignored);
    }
}

int job_run(struct report *out, const struct job *job, struct err *e)
{
    struct pipeline pl = {.job = job,
        .out = out,
        .budget = {.limit = job->max_bytes},
        .keeps = report_keeps(out),
        .results = report_memory(out)};
    struct err last = {0};
    e->code = 0;
    pl.pass = params_full_bytes(job->model->params) / PASS_PART;
    pl.arena.budget = &pl.budget;
    report_set_limit(out, job->max_bytes ? pl.results + job->max_bytes : 0);
    int rc = run_all(&pl, e);
    if (rc == ERR_CANCEL)
        end_early(&pl, e);
    const char *status = rc == ERR_CANCEL ? "cancelled" : rc ? "failed" : "complete";
    for (int i = 0; pl.tasks && i < job->n; i++)
        if (pl.tasks[i].is_open && run_end(pl.tasks[i].run, status, rc ? e->msg : NULL, &last) &&
            !rc) {
            *e = last;
            rc = last.code;
        }
    for (int i = 0; pl.tasks && i < job->n; i++)
        if (pl.tasks[i].ctx.state && pl.tasks[i].a->release)
            pl.tasks[i].a->release(&pl.tasks[i].ctx);
    const char *fault = params_fault(job->model->params);
    const char *note = fault && job->note
                           ? arena_printf(&pl.arena, &last,
                                 "%s: %s; numbers that depend on it are NaN (sonde doctor)",
                                 job->model->name, fault)
                           : NULL;
    if (note)
        job->note(job->note_arg, note);
    report_set_limit(out, 0);
    arena_release(&pl.arena);
    return rc;
}
