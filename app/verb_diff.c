#include <math.h>

#include "analysis/report/diff.h"
#include "app/output.h"
#include "app/session.h"
#include "model/core/text.h"

static void print_rows(struct session *s, const struct diff *d, int64_t max)
{
    char line[1024];
    for (int i = 0; i < d->n && (!max || i < max); i++) {
        diff_line(line, sizeof line, &d->rows[i]);
        fprintf(s->out, "%s\n", line);
    }
    if (max && d->n > max)
        fprintf(
            s->out, "and %lld further differences (--max 0 lists all)\n", (long long)(d->n - max));
}

static int compare(struct session *s, const struct command *c, const struct report *a,
    const struct report *b, struct err *e)
{
    struct diff d;
    struct diff_options o = {args_float(&c->args, "atol"), args_float(&c->args, "rtol")};
    int rc = report_diff(&d, a, b, &o, e);
    if (rc)
        return rc;
    print_rows(s, &d, args_int(&c->args, "max"));
    if (d.n)
        fprintf(s->out, "different: %d in %lld block%s, largest %.3g%s%s\n", d.n,
            (long long)d.blocks, text_s(d.blocks), d.max_abs, d.worst ? " at " : "",
            d.worst ? d.worst : "");
    else
        fprintf(s->out, "%s: %lld block%s, %lld value%s, largest difference %.3g\n",
            o.atol > 0 || o.rtol > 0 ? "equal within the tolerance" : "equal", (long long)d.blocks,
            text_s(d.blocks), (long long)d.values, text_s(d.values), d.max_abs);
    int answer = d.n > 0;
    diff_release(&d);
    return answer;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct report *a = NULL, *b = NULL;
    struct err ignored = {0};
    int rc = output_open(&a, c->operands[0], e);
    if (!rc)
        rc = output_open(&b, c->operands[1], e);
    if (!rc)
        rc = compare(s, c, a, b, e);
    if (b)
        report_close(&b, &ignored);
    if (a)
        report_close(&a, &ignored);
    return rc;
}

static const struct param params[] = {
    {.name = "atol",
        .type = PARAM_FLOAT,
        .def = "0",
        .min = 0,
        .max = INFINITY,
        .help = "values are equal if |a - b| <= atol + rtol |b|"},
    {.name = "rtol",
        .type = PARAM_FLOAT,
        .def = "0",
        .min = 0,
        .max = INFINITY,
        .help = "relative part of the tolerance"},
    {.name = "max",
        .type = PARAM_INT,
        .metavar = "N",
        .def = "20",
        .min = 0,
        .max = 1000000000,
        .help = "list at most N differences; 0 is all"},
};

const struct verb verb_diff = {
    .name = "diff",
    .operands = "A.h5 B.h5",
    .brief = "compare two reports",
    .help =
        "Exit code 0 if they are equal, 1 if they differ. Blocks, attributes, inputs and numbers "
        "are compared; the command line and the number of threads are not. NaN equals NaN.",
    .example = "  sonde diff one-thread.h5 two-threads.h5\n"
               "  sonde diff mine.h5 theirs.h5 --atol 1e-5 --rtol 1e-4",
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 2,
    .max_operands = 2,
    .operand = OPERAND_FILE,
    .run = run,
};
