#include <unistd.h>

#include "app/help.h"
#include "app/session.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    (void)c;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE,
            "the workbench needs a terminal; give a command, as in sonde run lens -p TEXT");
    help_all(s->out);
    return 0;
}

const struct verb verb_workbench = {
    .name = "workbench",
    .brief = "open the workbench",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_ENGINE | FLAGS_EDIT | FLAGS_SEED,
    .is_hidden = true,
    .run = run,
};
