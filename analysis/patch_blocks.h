#ifndef SONDE_ANALYSIS_PATCH_BLOCKS_H
#define SONDE_ANALYSIS_PATCH_BLOCKS_H

#include "analysis/lengths.h"
#include "analysis/moments.h"
#include "analysis/patch_menu.h"
#include "analysis/patch_pair.h"

/* What patching and its approximations share: pairs stream through, every site has the same blocks, and
 * pairs whose receiving prompts are equally long share them. */

/* Of every site: values of each input, their means and standard errors. */
enum patch_variant {
    PATCH_RAW,
    PATCH_NORMALIZED,
    PATCH_MEAN,
    PATCH_SE,
    PATCH_NORMALIZED_MEAN,
    PATCH_NORMALIZED_SE,
    PATCH_MEAN_NORMALIZED, /* of the sums over pairs: no pair with a small difference rules it */
    PATCH_VARIANTS
};

/* The blocks of one site for inputs of one length, or the means over all lengths. */
struct patch_sited {
    const struct patch_menu *menu;
    int menu_index;
    int64_t cells; /* of one input */
    int rank;      /* of raw, with the input axis */
    struct block *block[PATCH_VARIANTS];
    struct moments m, m_normalized;
    double *corrupt,
        *span; /* [cells] sums over the pairs that have the cell: corrupt, clean - corrupt */
};

struct patch_group {
    struct length *by; /* which pairs, and how many are done */
    struct patch_sited *item;
    struct block *clean, *corrupt, *index;
};

struct patch_blocks {
    struct patch_pair_opts o;
    const struct patch_menu *menu[MENU_MOST];
    int n_menu;
    enum site site[MENU_MOST * MENU_PARTS];
    struct patch_group *group;
    int n_groups;
    struct patch_sited all[MENU_MOST]; /* menu NULL: one length, or positions differ */
    int64_t n_flat;                    /* pairs whose prompts the metric cannot tell apart */
    bool at_one; /* only the cells of position `at` are filled; others are NaN */
    int64_t at;
    bool is_change;     /* values are changes, not metrics: normalised without an offset */
    const char *says;   /* "after patching" */
    const char *source; /* paper */
    void *own;
};

/* One part of one site for one pair. */
struct patch_part {
    struct ctx *ctx;
    struct patch_blocks *s;
    struct patch_group *g;
    struct patch_sited *item;
    struct patch_pair *pair;
    int index; /* of the pair, in the run */
    int part;
    int64_t per, n;       /* cells of a layer, of all */
    int64_t do_per, do_n; /* those to be filled; numbered by themselves */
    double *value;        /* [do_n] in the order of cells, last layer first */
    double *placed;       /* [n] as the block has them */
    float *row;           /* the same, to be written */
    double before, total; /* progress, in cells */
    struct err *e;
};

/* Parameters site, direction, metric and pos; declares every block. The caller has set is_change, says,
 * source, own and at; *s is ctx->state from here on. */
int patch_blocks_begin(struct patch_blocks *s, struct ctx *ctx, struct run *out, struct err *e);
/* One pair through `fill`, which sets value[] and calls patch_part_ready as it goes. `open` comes once
 * before its parts and `done` after each of them; both may be NULL. */
struct patch_steps {
    int (*open)(struct patch_part *w, struct err *e);
    int (*fill)(struct patch_part *w, struct err *e);
    int (*done)(struct patch_part *w, struct err *e);
};
/* Called for every input: a pair's work is booked on its second prompt. */
int patch_blocks_each(
    struct ctx *ctx, const struct input *in, const struct patch_steps *steps, struct err *e);
/* Means and errors over what has been done; after a cancelled pair, too. */
int patch_blocks_end(struct ctx *ctx, struct run *out, struct err *e);

/* Cell i of those to be filled; struct patch_opts takes these three with the part as arg. */
void patch_part_cell(struct patch_cell *out, void *part, int64_t i);
int patch_part_ready(void *part, int64_t i0, int64_t i1);
int patch_part_progress(void *part, double done, double total);

#endif
