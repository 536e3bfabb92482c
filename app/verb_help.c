#include "app/help.h"
#include "app/session.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    if (!c->n_operands) {
        help_all(s->out);
        return 0;
    }
    struct command named;
    const char *words[3] = {c->operands[0], "--help", c->n_operands > 1 ? c->operands[1] : NULL};
    int rc =
        command_parse(&named, (char *const *)words, c->n_operands > 1 ? 3 : 2, c->args.arena, e);
    if (!rc)
        help_command(s->out, &named);
    return rc;
}

const struct verb verb_help = {
    .name = "help",
    .operands = "[COMMAND [ANALYSIS]]",
    .brief = "show this help, or that of a command",
    .help = "The same text as sonde COMMAND --help.",
    .max_operands = 2,
    .operand = OPERAND_VERB,
    .run = run,
};
