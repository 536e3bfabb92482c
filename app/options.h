#ifndef SONDE_APP_OPTIONS_H
#define SONDE_APP_OPTIONS_H

#include "model/core/param.h"

struct workbench;

/* Settings of the workbench; options.def has the rows. */
#define OPTION(name, type, def, choices, help)                                                     \
    void option_##name(struct workbench *wb, const struct param_value *v);
#include "app/options.def"
#undef OPTION

enum {
#define OPTION(name, type, def, choices, help) OPTION_AT_##name,
#include "app/options.def"
#undef OPTION
    OPTION_COUNT
};
extern const struct param option_params[OPTION_COUNT];
/* Those of the verbs that open the workbench: the settings first. */
#define WORKBENCH_PARAMS (OPTION_COUNT + 3)
extern const struct param workbench_params[WORKBENCH_PARAMS];
/* Puts every setting of the command line and the configuration into force. */
void options_apply(struct workbench *wb, const struct args *args);

#endif
