#include <string.h>

#include "app/output.h"
#include "app/part.h"
#include "app/session.h"
#include "app/show.h"

/* Words of another tokenizer would be wrong words. */
static int check_tokenizer(const struct report *r, const struct model *m, struct err *e)
{
    char hash[33];
    model_tokenizer_hash(hash, m);
    for (int i = 0; i < report_runs(r); i++) {
        const char *of_run = run_attr(report_run(r, i), "tokenizer_hash");
        if (of_run && strcmp(of_run, hash) != 0)
            return err_set(e, ERR_USAGE,
                "%s was made with another tokenizer than that of %s; give its model with -m, or "
                "none",
                run_name(report_run(r, i)), m->name);
    }
    return 0;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct report *r;
    struct model *m = NULL;
    int rc = output_whole(c->operands[0], c->n_operands > 1 ? c->operands[1] : NULL, e);
    if (!rc)
        rc = output_open(&r, c->operands[0], e);
    if (rc)
        return rc;
    if (args_get(&c->args, "model")->is_set)
        rc = session_model(&m, s, c, e);
    if (!rc && m)
        rc = check_tokenizer(r, m, e);
    struct show how = {.out = s->out,
        .path = c->n_operands > 1 ? c->operands[1] : NULL,
        .takes_part = true,
        .max_inputs = (int)args_int(&c->args, "inputs"),
        .command = c,
        .model = m};
    if (!rc)
        rc = show_document(&how, r, e);
    struct err ignored = {0};
    int closed = report_close(&r, rc ? &ignored : e);
    return rc ? rc : closed;
}

static const struct param params[] = {
    PART_PARAMS,
    {.name = "inputs",
        .type = PARAM_INT,
        .metavar = "N",
        .def = "3",
        .min = 0,
        .max = 1000000000,
        .help = "draw the blocks of the first N inputs of every run; 0 is all"},
};

const struct verb verb_show = {
    .name = "show",
    .operands = "FILE.h5 [PATH]",
    .brief = "draw a report in a plain terminal",
    .help = "Needs no model; with -m token ids are drawn as words. PATH is a run (000-lens), the "
            "group of an input (000-lens/input_0) or "
            "one block; without it the whole report is drawn.",
    .example = "  sonde show answers.h5\n"
               "  sonde show answers.h5 runs/002-attention/input_0/pattern --slice layer=3,head=2",
    .sets = FLAGS_MODEL,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 1,
    .max_operands = 2,
    .operand = OPERAND_FILE,
    .run = run,
};
