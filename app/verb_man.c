#include "app/man.h"
#include "app/session.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    (void)c, (void)e;
    man_write(s->out);
    return 0;
}

const struct verb verb_man = {
    .name = "man",
    .brief = "write the manual page, sonde.1",
    .help = "Roff on standard output. To read it: sonde man | man -l -",
    .run = run,
};
