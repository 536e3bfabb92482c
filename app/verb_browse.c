#include "app/options.h"
#include "app/session.h"
#include "app/workbench.h"

const struct verb verb_browse = {
    .name = "browse",
    .operands = "FILE.h5 [PATH]",
    .brief = "look into a report, a cache or any HDF5 file in the workbench",
    .help =
        "Needs no model. Any dataset of any rank, however large: choose the axes that are rows and "
        "columns, fix or aggregate the others, sort, search, and see statistics; only what is on "
        "screen is read. PATH opens a dataset at once. `sonde FILE.h5` is the same.",
    .example = "  sonde browse answers.h5\n"
               "  sonde browse corpus.h5 acts/blocks.3.mlp.hook_post",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_ENGINE | FLAGS_EDIT | FLAGS_SEED | FLAGS_OUTPUT,
    .params = workbench_params,
    .n_params = WORKBENCH_PARAMS,
    .min_operands = 1,
    .max_operands = 2,
    .operand = OPERAND_FILE,
    .run = workbench_run,
};
