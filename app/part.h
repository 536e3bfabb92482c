#ifndef SONDE_APP_PART_H
#define SONDE_APP_PART_H

#include "analysis/report/export.h"
#include "app/command.h"
#include "views/fields.h"
#include "views/view.h"

/* What --slice, --reduce and --along leave of a block, and how --view and its like draw it. `show` and
 * `export` share these flags: PART_PARAMS in their tables. */
#define PART_PARAMS                                                                                \
    {.name = "slice",                                                                              \
        .type = PARAM_STRING,                                                                      \
        .metavar = "SLICE",                                                                        \
        .help = "a part of the block, as in 3,2,:,: or layer=3,pos=2:9; up to six axes"},          \
        {.name = "reduce",                                                                         \
            .type = PARAM_STRING,                                                                  \
            .metavar = "HOW",                                                                      \
            .help =                                                                                \
                "fold the axes of --along: mean, max, min, absmax, norm or std; NaN is passed "    \
                "over"},                                                                           \
        {.name = "along",                                                                          \
            .type = PARAM_STRING,                                                                  \
            .metavar = "AXIS",                                                                     \
            .help = "the axis that --reduce folds, by name or number; several with commas"},       \
        {.name = "view",                                                                           \
            .type = PARAM_STRING,                                                                  \
            .metavar = "VIEW",                                                                     \
            .help = "draw it as this (sonde list views)"},                                         \
        {.name = "top",                                                                            \
            .type = PARAM_INT,                                                                     \
            .metavar = "N",                                                                        \
            .def = "0",                                                                            \
            .min = 0,                                                                              \
            .max = 1000000,                                                                        \
            .help = "draw only the N largest bars or rows; 0 is all"},                             \
        {.name = "sort",                                                                           \
            .type = PARAM_BOOL,                                                                    \
            .help = "draw rows by size, or bars in their own order"},                              \
    {                                                                                              \
        .name = "log-scale", .type = PARAM_BOOL, .help = "a logarithmic scale"                     \
    }

struct part {
    struct field f;         /* folded, not cut */
    bool is_folded, is_cut; /* is_cut: --slice was given */
    struct export_part cut; /* of f's axes */
    struct view_state st;   /* for a drawing: fixed axes, drawn axes, modes */
};

int part_make(struct part *out, const struct view_data *d, const struct command *c, struct arena *a,
    struct err *e);
/* The view of --view if it takes the field, else the one for the data. */
int part_view(const struct view **out, const struct view_data *d, const struct field *f,
    const struct command *c, struct err *e);
/* The field to draw: of ranges only what lies in them. */
int part_field(struct field *out, const struct part *p, struct arena *a, struct err *e);

#endif
