#ifndef SONDE_MODEL_EDIT_H
#define SONDE_MODEL_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/sites.h"

/* An intervention as data: TARGET[@POS]=OP.
 *   TARGET  L9H6 (z), L9H6.q, L3N512 (post), L3_mlp, L3_attn, L3.resid_pre[17], embed, any hook name
 *   POS     7, -1, 3:9 (half open), *; for pattern and attn_scores QUERY or QUERY,KEY
 *   OP      zero, mean, resample:INPUT, from:TEXT, scale:0.5, add:FILE.npy, add:0.5, set:FILE.npy,
 *           set:0
 * Indices count from 0; a negative position counts from the end of its input. */
enum edit_op { EDIT_ZERO, EDIT_MEAN, EDIT_RESAMPLE, EDIT_SCALE, EDIT_ADD, EDIT_SET, EDIT_FROM };

struct edit {
    enum site site;
    int layer;      /* -1: a site outside the blocks */
    int head;       /* -1: all */
    int unit;       /* index along the last axis (neuron, dimension), -1: all */
    int64_t pos[2]; /* [begin, end); end 0 with begin < 0 means one past the last */
    bool all_pos;
    int64_t key[2]; /* square sites only */
    bool all_keys;
    enum edit_op op;
    double value;      /* scale, or a constant to add or set */
    int resample;      /* index of the input whose activation is taken; of a mean: how many inputs,
                          0: all */
    const char *from;  /* the text whose activation is taken (edit_from.h) */
    const char *file;  /* npy behind add and set, NULL: value */
    const float *data; /* its contents, or the resolved mean / resampled rows; else NULL */
    int64_t n_data;
    bool is_off;      /* kept in the list but not applied */
    const char *text; /* as typed */
};

struct edits {
    const struct edit *list;
    int n;
};

/* Parses and checks against the model; loads npy files into the arena. */
int edit_parse(struct edit *out, const char *text, const struct config *cfg, struct arena *arena,
    struct err *e);
/* Writes the canonical text; parsing it gives the same edit. */
void edit_print(char *buf, int n, const struct edit *ed);
/* The lowest layer the edits reach: everything below is the unedited run. */
int edits_first_layer(const struct edits *eds, const struct config *cfg);

#endif
