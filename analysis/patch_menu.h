#ifndef SONDE_ANALYSIS_PATCH_MENU_H
#define SONDE_ANALYSIS_PATCH_MENU_H

#include "model/core/field.h"
#include "model/patch.h"

/* What a sweep walks over. */
enum patch_form {
    FORM_POS,        /* [layer, pos] */
    FORM_HEAD,       /* [layer, head]: every position */
    FORM_HEAD_POS,   /* [layer, pos, head] */
    FORM_DEST,       /* [layer, head, dest_pos] */
    FORM_EVERY_DEST, /* [layer, dest_pos, head]: the same inside attn_head_by_pos_every */
    FORM_DEST_SRC,   /* [layer, head, dest_pos, src_pos] */
    FORM_UNIT,       /* [layer, neuron]: every position */
    FORM_UNIT_POS    /* [layer, pos, neuron] */
};

#define MENU_PARTS 5
#define MENU_MOST 32 /* sweeps in all, and so in a list */
/* A sweep by name. TransformerLens' get_act_patch_NAME has the same axes in the same order; its
 * "every" sweeps put several sites on a first axis. */
struct patch_menu {
    const char *name;
    int n_parts;
    struct {
        enum site site;
        enum patch_form form;
        const char *label;
    } part[MENU_PARTS];
    const char *long_name;
};

/* The names of "resid_pre,head_z"; ERR_USAGE lists the nearest. out has room for max. */
int patch_menu_parse(
    const struct patch_menu **out, int *n, int max, const char *list, struct err *e);
/* For estimates: forms of all parts of such a list, in `out`; returns how many, 0 where it is wrong. */
int patch_menu_forms(enum patch_form out[MENU_MOST * MENU_PARTS], const char *list);
/* Rows that a cell's patch changes, in the mean over cells, where D of them can differ. */
double patch_form_rows(enum patch_form f, double D);
/* Axes of a part for T positions; returns how many. */
int patch_form_axes(struct axis *out, enum patch_form f, const struct config *cfg, int64_t T);
int64_t patch_form_cells(enum patch_form f, const struct config *cfg, int64_t T); /* of a layer */
bool patch_menu_has_pos(const struct patch_menu *m); /* it is a sweep by position */
/* The same of one position (of the destination where there is a source); 0: it has no positions. */
int64_t patch_form_cells_at(enum patch_form f, const struct config *cfg, int64_t T);
/* The i-th of the cells of position `pos`, counted among all. */
int64_t patch_form_cell_at(
    enum patch_form f, const struct config *cfg, int64_t T, int64_t pos, int64_t i);
/* Cell i of a sweep, last layer first; *at is its place in [layer, ...]. */
void patch_form_cell(struct patch_cell *out, int64_t *at, enum site s, enum patch_form f,
    const struct config *cfg, int64_t T, int64_t i);

#endif
