#include "app/session.h"
#include "app/settings.h"

static int run(struct session *s, const struct command *c, struct err *e)
{
    (void)c, (void)e;
    settings_print(s->out);
    return 0;
}

const struct verb verb_config = {
    .name = "config",
    .brief = "show the settings and where they are kept",
    .help =
        "Prints a whole configuration file: every setting with its meaning, commented out where "
        "it is the default. The file is $SONDE_CONFIG, or sonde/config under $XDG_CONFIG_HOME or "
        "~/.config. A flag on the command line always wins.",
    .example = "  sonde config > ~/.config/sonde/config",
    .run = run,
};
