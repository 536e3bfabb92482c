#include <string.h>

#include "app/edits.h"
#include "app/inputs.h"
#include "app/output.h"
#include "app/pairs_in.h"
#include "app/show.h"
#include "app/signals.h"
#include "model/core/machine.h"

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
            x->in->n, x->in->n == 1 ? "" : "s", bytes / 1e6, est->flops / 1e9, x->cost.seconds);
}

static int run_job(struct report *r, struct session *s, const struct command *c, struct model *m,
    struct inputs *in, const struct pairs *pairs, const struct edits *edits, struct arena *arena,
    struct err *e)
{
    size_t max_bytes = 0;
    struct expected expected = {.s = s, .in = in};
    int rc = session_budget(&max_bytes, c, m, e);
    if (!rc)
        rc = add_inputs(r, in, m, arena, e);
    if (rc)
        return rc;
    char what[64];
    snprintf(what, sizeof what, "%.60s", c->operands[0]);
    progress_begin(&s->progress, what);
    struct job job = {.model = m,
        .list = c->analyses,
        .args = c->analysis_args,
        .n = c->n_analyses,
        .inputs = in->list,
        .n_inputs = in->n,
        .pairs = pairs->list,
        .edits = edits,
        .weights = args_text(&c->args, "weights"),
        .prepend_bos = args_bool(&c->args, "prepend-bos"),
        .seed = (uint64_t)args_int(&c->args, "seed"),
        .pool = s->pool,
        .max_bytes = max_bytes,
        .group_rows = s->watch ? SLICE_ROWS : 0,
        .progress = progress_step,
        .progress_arg = &s->progress,
        .expect = on_expect,
        .expect_arg = &expected};
    double began = machine_seconds();
    rc = job_run(r, &job, e);
    progress_end(&s->progress);
    if (!rc)
        session_took(s, expected.cost.flops, machine_seconds() - began);
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct arena *arena = c->args.arena;
    const char *path = args_text(&c->args, "output");
    struct model *m;
    struct inputs in;
    struct pairs pairs = {0};
    struct edits edits;
    int rc = output_check(path, e);
    if (!rc)
        rc = session_model(&m, s, c, e);
    if (!rc)
        rc = pairs_wanted(c) ? pairs_load(&pairs, &in, s, c, m, arena, e)
                             : inputs_load(&in, s, c, m, arena, e);
    if (!rc)
        rc = edits_load(&edits, c, m, arena, e);
    if (rc)
        return rc;
    if (s->report && !path)
        return run_job(s->report, s, c, m, &in, &pairs, &edits, arena, e);
    struct report *r = NULL;
    if (s->watch && !path) {
        struct held_report *held = NULL;
        rc = output_report(&r, NULL, s, c->text, e);
        if (rc)
            return rc;
        if (held_report_create(&held, r, e)) {
            report_abandon(&r);
            return e->code;
        }
        s->watch->report(s->watch->arg, held);
        rc = run_job(r, s, c, m, &in, &pairs, &edits, arena, e);
        if (!rc)
            rc = show_report(s->out, r, c, m, e);
        held_report_release(&held);
        return rc;
    }
    rc = output_report(&r, path, s, c->text, e);
    if (rc)
        return rc;
    rc = run_job(r, s, c, m, &in, &pairs, &edits, arena, e);
    if (!rc && !path)
        rc = show_report(s->out, r, c, m, e);
    return output_close(&r, path, rc, s, e);
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
               "  sonde run logits -p 'Mara went to' --edit L3H1.z@-1=zero",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_EDIT | FLAGS_SEED | FLAGS_ENGINE | FLAGS_OUTPUT,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 1,
    .max_operands = 1,
    .operand = OPERAND_ANALYSIS,
    .run = run,
};
