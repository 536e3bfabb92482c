#ifndef SONDE_MODEL_EDIT_FROM_H
#define SONDE_MODEL_EDIT_FROM_H

#include "model/forward.h"
#include "model/model.h"

/* Edits that take the activations of another text (from:TEXT) become resample edits of inputs that are
 * put behind the reference batch; without such edits both stay as they are. */
int edits_from_texts(struct edits *out, struct batch *reference, const struct edits *in,
    const struct model *m, bool bos, struct arena *arena, struct err *e);

#endif
