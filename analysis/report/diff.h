#ifndef SONDE_ANALYSIS_REPORT_DIFF_H
#define SONDE_ANALYSIS_REPORT_DIFF_H

#include "analysis/report/report.h"
#include "model/core/arena.h"

/* Two reports compared by block, run attribute and input. The attributes `command`, `threads` and
 * `cache_run_id` are left out; with a tolerance also `kernel_set` and `tool_version`. */
struct diff_options {
    double atol, rtol; /* equal: |a - b| <= atol + rtol |b|, NaN equals NaN */
};

enum diff_kind {
    DIFF_ONLY_A, /* a block, run, attribute or input is in the first report only */
    DIFF_ONLY_B,
    DIFF_SHAPE,
    DIFF_TYPE,
    DIFF_ABOUT, /* unit, axis names, labels, columns, attributes, texts: `a` and `b` say how */
    DIFF_VALUES /* numbers or cells */
};

struct diff_row {
    enum diff_kind kind;
    const char *path;        /* "runs/000-lens/input_0/entropy", "runs/000-lens@seed", "inputs/3" */
    const char *a, *b;       /* the two sides as text, where they are short */
    int64_t count, total;    /* DIFF_VALUES: cells that differ, of how many */
    double max_abs, max_rel; /* largest |a - b|, and |a - b| / max(|a|, |b|) */
    int rank;
    int64_t
        at[FIELD_MAX_RANK]; /* where max_abs is (the first such cell), row and column in tables */
    double va, vb;          /* the values there */
};

struct diff {
    struct diff_row *rows; /* empty: the reports are equal */
    int n, cap;
    int64_t blocks, values; /* compared */
    double max_abs;         /* over everything */
    const char *worst;      /* its path, NULL: nothing differs */
    struct arena arena;
};

int report_diff(struct diff *out, const struct report *a, const struct report *b,
    const struct diff_options *options, struct err *e);
/* One line for people, without a newline. */
int diff_line(char *buf, size_t n, const struct diff_row *row);
void diff_release(struct diff *d);

#endif
