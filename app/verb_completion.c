#include "app/completion.h"
#include "app/session.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    return completion_write(s->out, c->operands[0], e);
}

const struct verb verb_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .brief = "write shell completion",
    .help = "Completion of commands, analyses, flags and their words, on standard output.",
    .example = "  eval \"$(sonde completion bash)\"\n"
               "  sonde completion fish > ~/.config/fish/completions/sonde.fish",
    .min_operands = 1,
    .max_operands = 1,
    .operand = OPERAND_CHOICE,
    .choices = "bash|zsh|fish",
    .run = run,
};
