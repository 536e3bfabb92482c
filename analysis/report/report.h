#ifndef SONDE_ANALYSIS_REPORT_REPORT_H
#define SONDE_ANALYSIS_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/err.h"
#include "model/core/field.h"

/* One document: inputs, and runs of analyses over them; each run holds named blocks. It lives in
 * memory (workbench), is written straight into FILE.part (headless), or is read from a file. The
 * layout on disk is docs/report-schema.md (schema "sonde-report", version 1). Blocks are declared with
 * their shapes and then filled by slices, so that memory does not grow with the number of inputs. */
struct report;
struct run;
struct block;

/* One thread may fill a report while others read it. */
int report_create(struct report **out, const char *path, struct err *e); /* NULL: in memory */
/* To read. Other people's HDF5 files open too: their datasets are the blocks of a run named "". */
int report_open(struct report **out, const char *path, struct err *e);
bool report_is_foreign(const struct report *r);
/* Whether libhdf5 survives a file: a child goes through it first, as report_open or by `look` (which
 * runs in the child and must not return values). */
int report_probe(const char *path, void (*look)(const char *path), struct err *e);
/* Flushes and renames .part to the real name; an abandoned report leaves its .part readable. */
int report_close(struct report **r, struct err *e);
/* What is written so far is readable in .part even if the process dies. Happens by itself at the end
 * of a run or an input and every few slices; for slow writers to call. */
int report_flush(struct report *r, struct err *e);
void report_abandon(struct report **r);
/* The document, in memory, will be drawn whole (show) and no more: what that leaves out is not kept, the
 * values of details by input and all that belongs to inputs and lengths past the first `most`. */
void report_only_drawn(struct report *r, int most);
/* Of how many inputs it keeps the results in memory: 0 (a file), INT_MAX, or `most`. */
int report_keeps(const struct report *r);
/* Bytes the document holds in memory, and the most it may: a block that would exceed them is refused
 * before it is allocated. 0: no limit. */
size_t report_memory(const struct report *r);
void report_set_limit(struct report *r, size_t bytes);

struct report_info {
    const char *command, *kernel_set, *tool_version;
    int threads;
};
int report_describe(struct report *r, const struct report_info *info, struct err *e);
const struct report_info *report_about(const struct report *r);

/* Inputs are numbered from 0 over the whole document; blocks of input K lie under input_K/. */
struct report_input {
    const char *text; /* invalid bytes already replaced */
    const int32_t *tokens;
    const char *const *token_str; /* [n] */
    int64_t n;
};
int report_add_input(int *index, struct report *r, const struct report_input *in, struct err *e);
int report_inputs(const struct report *r);
int report_input(struct report_input *out, const struct report *r, int index, struct err *e);

/* Runs are named NNN-ID in the order they begin. */
int report_begin_run(struct run **out, struct report *r, const char *analysis, struct err *e);
int run_attr_text(struct run *run, const char *name, const char *value, struct err *e);
int run_attr_int(struct run *run, const char *name, int64_t value, struct err *e);
int run_attr_float(struct run *run, const char *name, double value, struct err *e);
/* Its range [begin, end) in /inputs; without it the range of its blocks' inputs, or all. */
int run_inputs(struct run *run, int begin, int end, struct err *e);
/* status: "complete", "cancelled", "failed" ("running" until then); message may be NULL. */
int run_end(struct run *run, const char *status, const char *message, struct err *e);
/* The inputs and runs of another document that nobody fills any more, behind what is there. progress (or
 * NULL) is told how many of its values are there; non-zero stops with ERR_CANCEL. */
int report_append(struct report *to, const struct report *from,
    int (*progress)(void *arg, double done, double total), void *arg, struct err *e);
int report_runs(const struct report *r);
struct run *report_run(const struct report *r, int index);
const char *run_name(const struct run *run); /* "000-lens" */
const char *run_analysis(const struct run *run);
const char *run_attr(const struct run *run, const char *name); /* as text, NULL: absent */
int run_attrs(const struct run *run);
const char *run_attr_at(const char **name, const struct run *run, int index); /* its value */

struct column {
    const char *name, *unit;
    enum dtype dtype; /* tables also hold text: is_text */
    bool is_text;
};

struct block_spec {
    const char *name;
    int input;      /* >= 0: under input_K/; -1: of the run */
    int64_t length; /* > 0: under length_N/, over all inputs of N tokens; input is -1 */
    enum dtype dtype;
    int rank; /* 0: a scalar */
    struct axis axes[FIELD_MAX_RANK];
    const char *unit, *long_name, *source; /* source: paper and equation, or NULL */
    enum look look;
    bool is_signed;
    bool is_detail;       /* for whoever names it: left out where a run is shown whole */
    bool below_0_is_none; /* whole numbers that count: -1 stands for what is not there */
    bool by_slice; /* filled index by index along the first axis over a long time: a process that is
                      killed while it writes one leaves the others whole */
    const struct column *columns; /* a table: rank 1, growable, axes[0] names the rows */
    int n_columns;
};

/* Blocks of an input in a report that is being written to disk last until the run declares one of another
 * input, and may be gone then: a run of many inputs keeps those of a few, and the file has them all. */
/* Everything in the spec is copied. An axis of positions as long as the block's input gets the tokens
 * as labels unless it has its own. Cells not yet written read as NaN, or 0 in integers. */
int run_block(struct block **out, struct run *run, const struct block_spec *spec, struct err *e);
/* Writes a slice of dense values in the block's dtype. start and count have the block's rank. */
int block_write(
    struct block *b, const int64_t *start, const int64_t *count, const void *data, struct err *e);
/* The whole block at once. */
int block_set(struct block *b, const void *data, struct err *e);
int block_flush(struct block *b, struct err *e); /* its report, see report_flush */
/* One row of a table: a value per column, text columns take `text`. */
struct cell_value {
    double number;
    const char *text;
};
int block_append(struct block *b, const struct cell_value *row, struct err *e);

int run_blocks(const struct run *run);
int run_left_out(const struct run *run); /* inputs whose blocks report_only_drawn has let go */
struct block *run_block_at(const struct run *run, int index);
/* "runs/000-lens/input_0/entropy", with or without the leading runs/; NULL: no such block. */
struct block *report_find(const struct report *r, const char *path);
/* Whether a dataset holds the standard errors of another: NAME_se beside NAME or NAME_mean. */
bool report_is_error_of(const char *error_path, const char *path);
const struct block *block_error(const struct block *b); /* such a block of its run; NULL: none */
const struct block_spec *block_spec(const struct block *b);
const char *block_path(const struct block *b);
int block_input(const struct block *b); /* of its spec, without reading its labels */
/* A slice of dense values in the block's dtype, as block_write takes them. */
int block_read(
    void *out, const struct block *b, const int64_t *start, const int64_t *count, struct err *e);
/* The block as a field for views (column -1); the block must outlive it. Numeric table columns are
 * fields of their own. Reductions pass over NaN and give NaN where nothing else is; FIELD_ABSMAX
 * keeps the sign of the cell it picks. */
int block_field(struct field *out, const struct block *b, int column, struct err *e);
/* Rows of a table so far, and its cells; a text stays valid until the next call on this block. */
int64_t block_rows(const struct block *b);
int block_cell(
    struct cell_value *out, const struct block *b, int64_t row, int column, struct err *e);

#endif
