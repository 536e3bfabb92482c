#include "app/help.h"
#include "app/session.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    if (!c->n_operands) {
        help_all(s->out);
        return 0;
    }
    /* An analysis alone is one of `run`. */
    const char *first = c->operands[0];
    const bool is_run = !verb_find(first) && analysis_find(first);
    const char *words[4] = {is_run ? "run" : first, "--help"};
    int n = 2;
    for (int i = is_run ? 0 : 1; i < c->n_operands; i++)
        words[n++] = c->operands[i];
    struct command named;
    int rc = command_parse(&named, (char *const *)words, n, c->args.arena, e);
    if (!rc)
        help_command(s->out, &named);
    return rc;
}

const struct verb verb_help = {
    .name = "help",
    .operands = "[COMMAND | ANALYSIS]",
    .brief = "show this help, or that of a command or an analysis",
    .help = "The same text as sonde COMMAND --help, or sonde run ANALYSIS --help.",
    .max_operands = 2,
    .operand = OPERAND_VERB,
    .run = run,
};
