#ifndef SONDE_APP_PATCH_ALIGN_H
#define SONDE_APP_PATCH_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"

/* Two prompts laid beside each other as two rows of cells, as a person aligns them: a cell holds a
 * token's position, or a gap (-1). Cells of one column stand for each other. Row 0 is clean, row 1 is
 * corrupt; they are aligned once both are equally long. */
struct align_rows {
    int64_t tokens[2], n[2], room;
    int64_t *cell[2]; /* [room] */
};
void align_release(struct align_rows *r);
/* Token beside token from the first on. */
int align_reset(struct align_rows *r, int64_t clean, int64_t corrupt, struct err *e);
/* As the `align` field of a file says it (analysis/pairs.h). ERR_USAGE: the spans do not fit. */
int align_from_spans(struct align_rows *r, const int64_t (*spans)[4], int n, struct err *e);
/* By the longest common subsequence of ids. */
int align_from_ids(
    struct align_rows *r, const int32_t *clean, const int32_t *corrupt, struct err *e);

int64_t align_columns(const struct align_rows *r);
int64_t align_cell(
    const struct align_rows *r, int row, int64_t column); /* -1: a gap, or beyond it */
int64_t align_column(const struct align_rows *r, int row, int64_t pos);
bool align_is_done(const struct align_rows *r);
/* A gap before a column of a row; the tokens from there on move to the right. False: no room for one. */
bool align_gap(struct align_rows *r, int row, int64_t column);
/* Takes the gap of a column away; false: it has none. */
bool align_close(struct align_rows *r, int64_t column);
/* Makes one span of the columns [from, to): its tokens pair from the end. */
void align_span(struct align_rows *r, int64_t from, int64_t to);
/* The spans that say the same; how many, 0: one for one. out has room for align_columns(). Only for
 * rows that are aligned. */
int align_spans(int64_t (*out)[4], const struct align_rows *r);

#endif
