#ifndef SONDE_MODEL_SITES_H
#define SONDE_MODEL_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "model/core/err.h"

enum site {
#define SITE(id, name, brief, axes, per_layer) SITE_##id,
#include "model/sites.def"
#undef SITE
    SITE_COUNT
};

struct site_info {
    const char *name;  /* "attn.hook_z"; the full name adds "blocks.L." where per_layer */
    const char *brief; /* "z": as written in --edit */
    const char *axes;  /* "PHD" */
    bool per_layer;
};

const struct site_info *site_info(enum site s);
bool site_is_square(enum site s); /* [head, query, key]: attn_scores and pattern */
/* Values a position of one input takes (H * D, C, F, 1); square sites: H, times keys. */
int64_t site_width(enum site s, const struct config *cfg);
/* "blocks.3.attn.hook_z" */
void site_full_name(char *buf, int n, enum site s, int layer);
/* Accepts legacy names, TL 3 names (blocks.5.hook_out), Hugging Face paths (transformer.h.5.mlp) and
 * shorthands (k6, pre5); an unknown name lists the three nearest. *layer is -1 for sites outside
 * the blocks. */
int site_parse(
    enum site *out, int *layer, const char *name, const struct config *cfg, struct err *e);

/* "z", "resid_pre", "key": a brief name or a word of TransformerLens' shorthands, n bytes. */
bool site_of_word(enum site *out, const char *word, size_t n);

#endif
