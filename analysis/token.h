#ifndef SONDE_ANALYSIS_TOKEN_H
#define SONDE_ANALYSIS_TOKEN_H

#include "analysis/analysis.h"

/* A TOKEN parameter: text that is exactly one token, or #ID; bounded by the vocabulary. */
int ctx_token(int64_t *out, const struct ctx *ctx, const char *text, struct err *e);
/* A position parameter against one input: negative counts from the end. */
int ctx_pos(int64_t *out, const struct input *in, int64_t pos, struct err *e);
/* A token as text for a label: its characters, bytes that are none escaped; "#ID" without a
 * tokenizer. NULL: out of memory. */
const char *token_text(const struct model *m, int64_t id, struct arena *arena, struct err *e);

#endif
