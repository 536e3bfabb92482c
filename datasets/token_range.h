#ifndef SONDE_DATASETS_TOKEN_RANGE_H
#define SONDE_DATASETS_TOKEN_RANGE_H

#include <stdint.h>

/* Ids to draw from, [low, high): bytes and the first merges are rare in any text, the last ids are
 * specials; both are left out, as far as the vocabulary allows. */
void token_range(int64_t *low, int64_t *high, int64_t vocab);

#endif
