#include "app/expect.h"

#include <string.h>
#include <sys/stat.h>

#include "app/cache_inputs.h"
#include "app/edits.h"
#include "app/inputs.h"
#include "app/output.h"
#include "app/pairs_in.h"
#include "app/show.h"
#include "app/signals.h"
#include "app/words.h"
#include "model/core/machine.h"
#include "model/core/text.h"

/* Adds the inputs to the document; their numbers there name the groups of their blocks. */
static int add_inputs(
    struct report *r, struct inputs *in, const struct model *m, struct arena *arena, struct err *e)
{
    for (int i = 0; i < in->n; i++) {
        struct input *one = &in->list[i];
        const struct arena_mark mark = arena_mark(arena);
        const char **strs = arena_array(arena, (size_t)one->n, sizeof *strs, e);
        if (!strs)
            return ERR_LIMIT;
        for (int64_t t = 0; t < one->n; t++)
            if (!(strs[t] = token_text(m, one->tokens[t], arena, e)))
                return ERR_LIMIT;
        struct report_input ri = {
            .text = one->text, .tokens = one->tokens, .token_str = strs, .n = one->n};
        int rc = report_add_input(&one->index, r, &ri, e);
        arena_rewind(arena, mark); /* the report has its own copy */
        if (!rc && signals_stopped())
            rc = err_set(e, ERR_CANCEL, "interrupted");
        if (rc)
            return rc;
    }
    return 0;
}

#define SLICE_ROWS 512 /* of a pass in the workbench: its questions wait for one layer of it */
#define LONG_RUN 5.0   /* seconds from which a run says beforehand what it takes */

struct expected {
    struct session *s;
    const struct inputs *in;
    struct job_cost cost;
};

static void on_expect(void *arg, const struct estimate *est)
{
    struct expected *x = arg;
    double bytes = (double)(est->keep_bytes + est->scratch_bytes + est->result_bytes);
    x->cost = (struct job_cost){bytes, est->flops, session_seconds(x->s, est->flops)};
    if (x->s->watch)
        x->s->watch->cost(x->s->watch->arg, &x->cost);
    else if (x->cost.seconds >= LONG_RUN)
        session_note(x->s, "%d input%s: %.4g MB beside the model, %.4g GFLOP, about %.0f s",
            x->in->n, text_s(x->in->n), bytes / 1e6, est->flops / 1e9, x->cost.seconds);
}

static void on_note(void *arg, const char *text)
{
    session_note(arg, "%s", text);
}

/* What a run works on. */
struct subject {
    struct model *model;
    struct inputs in;
    struct pairs pairs;
    struct edits edits;
    struct cache *cache; /* NULL: forward passes */
};

/* What job_run takes, but for who looks on. */
static struct job job_of(struct session *s, const struct command *c, const struct subject *sub)
{
    return (struct job){.model = sub->model,
        .list = c->analyses,
        .args = c->analysis_args,
        .n = c->n_analyses,
        .inputs = sub->in.list,
        .n_inputs = sub->in.n,
        .pairs = sub->pairs.list,
        .cache = sub->cache,
        .edits = &sub->edits,
        .weights = args_text(&c->args, "weights"),
        .prepend_bos =
            sub->cache ? cache_about(sub->cache)->prepend_bos : args_bool(&c->args, "prepend-bos"),
        .seed = (uint64_t)args_int(&c->args, "seed"),
        .pool = s->pool,
        .group_rows = s->watch ? SLICE_ROWS : 0};
}

static int run_job(struct report *r, struct session *s, const struct command *c,
    struct subject *sub, struct arena *arena, struct err *e)
{
    size_t max_bytes = 0;
    struct expected expected = {.s = s, .in = &sub->in};
    int rc = session_budget(&max_bytes, c, sub->model, e);
    if (!rc)
        rc = add_inputs(r, &sub->in, sub->model, arena, e);
    if (rc)
        return rc;
    char what[64];
    snprintf(what, sizeof what, "%.60s", c->operands[0]);
    progress_begin(&s->progress, what);
    struct job job = job_of(s, c, sub);
    job.max_bytes = max_bytes;
    job.progress = progress_step;
    job.progress_arg = &s->progress;
    job.note = on_note;
    job.note_arg = s;
    job.expect = on_expect;
    job.expect_arg = &expected;
    double began = machine_seconds();
    rc = job_run(r, &job, e);
    progress_end(&s->progress);
    if (!rc)
        session_took(s, expected.cost.flops, machine_seconds() - began);
    return rc;
}

static int load(struct subject *sub, struct session *s, const struct command *c,
    struct arena *arena, struct err *e)
{
    int rc = session_model(&sub->model, s, c, e);
    if (!rc && args_text(&c->args, "cache"))
        return cache_inputs_load(&sub->cache, &sub->in, c, sub->model, arena, e);
    if (!rc && args_get(&c->args, "windows")->is_set)
        return err_set(e, ERR_USAGE, "--windows are those of a cache; give it with -c");
    if (!rc && !pairs_wanted(c))
        rc = pairs_unused(c, e);
    if (!rc)
        rc = pairs_wanted(c) ? pairs_load(&sub->pairs, &sub->in, s, c, sub->model, arena, e)
                             : inputs_load(&sub->in, s, c, sub->model, arena, e);
    return rc ? rc : edits_load(&sub->edits, c, sub->model, arena, e);
}

/* --- Before its turn --------------------------------------------------------------------------- */

#define TEXT_MOST ((off_t)1 << 20) /* bytes of text that are read for an estimate alone */

static void note_estimate(void *arg, const struct estimate *est)
{
    *(struct estimate *)arg = *est;
}

/* Whether inputs, model and threads are at hand. */
static bool is_cheap(const struct session *s, const struct command *c)
{
    if (strcmp(c->verb->name, "run") != 0 || c->wants_help || c->wants_version ||
        args_text(&c->args, "cache") || !s->model ||
        strcmp(args_text(&c->args, "model"), s->model_name) != 0)
        return false;
    const int64_t threads = args_int(&c->args, "threads");
    struct stat st;
    const struct param_value *file = args_get(&c->args, "file");
    for (int i = 0; i < file->n_texts; i++)
        if (stat(file->texts[i], &st) || !S_ISREG(st.st_mode) || st.st_size > TEXT_MOST)
            return false;
    return s->pool && (threads ? threads : machine_cpus()) == s->threads;
}

static int estimate(struct estimate *out, struct session *s, const struct command *c, struct err *e)
{
    struct subject sub = {0};
    struct report *r = NULL;
    size_t max_bytes = 0;
    int rc = load(&sub, s, c, c->args.arena, e);
    if (!rc)
        rc = session_budget(&max_bytes, c, sub.model, e);
    if (!rc)
        rc = report_create(&r, NULL, e);
    struct job job = job_of(s, c, &sub);
    job.max_bytes = max_bytes;
    job.no_hash = job.only_expects = true;
    job.expect = note_estimate;
    job.expect_arg = out;
    if (!rc)
        rc = job_run(r, &job, e);
    report_abandon(&r);
    cache_release(&sub.cache);
    return rc;
}

int expect_line(struct job_cost *out, struct session *s, const char *line, struct err *e)
{
    struct arena arena = {0};
    struct command c;
    struct estimate est = {0};
    char **words;
    int n, rc = words_split(&words, &n, line, &arena, e);
    const bool was_quiet = s->is_quiet;
    s->is_quiet = true; /* its notes come with its turn */
    if (!rc)
        rc = session_parse(&c, s, words, n, &arena, e);
    if (!rc && !is_cheap(s, &c))
        rc = 1;
    if (!rc)
        rc = estimate(&est, s, &c, e);
    if (!rc)
        *out = (struct job_cost){(double)(est.keep_bytes + est.scratch_bytes + est.result_bytes),
            est.flops, session_seconds(s, est.flops)};
    s->is_quiet = was_quiet;
    arena_release(&arena);
    return rc;
}

/* The report that is being made is shown meanwhile. */
static int run_watched(struct session *s, const struct command *c, struct subject *sub,
    struct arena *arena, struct err *e)
{
    struct report *r = NULL;
    struct held_report *held = NULL;
    int rc = output_report(&r, NULL, s, c->text, e);
    if (rc)
        return rc;
    if (held_report_create(&held, r, e)) {
        report_abandon(&r);
        return e->code;
    }
    s->watch->report(s->watch->arg, held);
    rc = run_job(r, s, c, sub, arena, e);
    held_report_release(&held);
    return rc;
}

static int run_subject(struct session *s, const struct command *c, struct subject *sub,
    struct arena *arena, struct err *e)
{
    const char *path = args_text(&c->args, "output");
    struct report *r = NULL;
    if (s->report && !path)
        return run_job(s->report, s, c, sub, arena, e);
    if (s->watch && !path)
        return run_watched(s, c, sub, arena, e);
    int rc = output_report(&r, path, s, c->text, e);
    if (rc)
        return rc;
    if (!path)
        report_only_drawn(r, SHOW_INPUTS);
    rc = run_job(r, s, c, sub, arena, e);
    if (!rc && !path)
        rc = show_report(s->out, r, c, sub->model, e);
    return output_close(&r, path, rc, s, e);
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct arena *arena = c->args.arena;
    struct subject sub = {0};
    int rc = output_check(args_text(&c->args, "output"), e);
    if (!rc)
        rc = load(&sub, s, c, arena, e);
    if (!rc)
        rc = run_subject(s, c, &sub, arena, e);
    cache_release(&sub.cache);
    return rc;
}

static const struct param params[] = {
    {.name = "clean",
        .type = PARAM_STRING,
        .metavar = "TEXT",
        .help = "of a pair: the prompt that is answered rightly, as text or as a list [464, 318] "
                "of ids"},
    {.name = "corrupt",
        .type = PARAM_STRING,
        .metavar = "TEXT",
        .help = "of a pair: its twin with another answer"},
    {.name = "answer",
        .type = PARAM_STRING,
        .metavar = "TOKEN",
        .many = true,
        .help = "of a pair: the clean prompt's answer, a literal text of one token or #ID"},
    {.name = "wrong",
        .type = PARAM_STRING,
        .metavar = "TOKEN",
        .many = true,
        .help = "of a pair: the corrupt prompt's answer"},
    {.name = "align",
        .type = PARAM_STRING,
        .metavar = "SPANS",
        .help =
            "of a pair whose prompts differ in length: [[c0, c1, k0, k1], ...], tokens c0 to c1 "
            "(without it) of clean are k0 to k1 of corrupt"},
    {.name = "weights",
        .type = PARAM_CHOICE,
        .choices = "raw|folded",
        .help = "the weights view; each analysis has its own default, and every run says which it "
                "took"},
    {.name = "dtype",
        .type = PARAM_CHOICE,
        .def = "f32",
        .choices = "f32",
        .help = "arithmetic of the forward pass; long sums are in f64 always"},
    {.name = "cache",
        .letter = 'c',
        .type = PARAM_FILE,
        .metavar = "ACTS.h5",
        .help = "read the activations from a cache (sonde cache) in place of a forward pass; its "
                "windows are the inputs"},
    {.name = "windows",
        .type = PARAM_LIST,
        .metavar = "LIST",
        .help = "with -c: these windows of the cache, as in 0,3,8-15; all without it"},
};

const struct verb verb_run = {
    .name = "run",
    .operands = "ANALYSIS[,ANALYSIS...]",
    .brief = "run analyses on inputs",
    .help = "One forward pass serves all the analyses named. With -o the answers go to an HDF5 "
            "report; without it they are drawn on standard output. A flag reaches every analysis "
            "that has it; --ANALYSIS.FLAG narrows it to one. Without an input the default prompt "
            "is taken.",
    .example = "  sonde run lens -p 'The keys to the cabinet'\n"
               "  sonde run lens,dla -m gpt2 -f prompts.jsonl -o answers.h5 --dla.target ' are'\n"
               "  sonde run logits -p 'Mara went to' --edit L3H1.z@-1=zero\n"
               "  sonde run norms -c acts.h5 --windows 0-9",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_EDIT | FLAGS_SEED | FLAGS_ENGINE | FLAGS_OUTPUT,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 1,
    .max_operands = 1,
    .operand = OPERAND_ANALYSIS,
    .run = run,
};
