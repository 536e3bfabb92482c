#ifndef SONDE_ANALYSIS_REPORT_INSIDE_H
#define SONDE_ANALYSIS_REPORT_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "analysis/report/report.h"
#include "analysis/report/values.h"
#include "model/core/arena.h"
#include "model/core/h5.h"

/* What report.c (the document in memory), report_h5.c (the same on disk) and fetch.c (windows and
 * reductions) share. Nobody else includes this. */

enum attr_kind { ATTR_TEXT, ATTR_INT, ATTR_FLOAT, ATTR_INTS };

struct attr {
    const char *name;
    enum attr_kind kind;
    const char *text; /* every kind, as people read it */
    int64_t i;
    double f;
    const int64_t *list; /* ATTR_INTS */
    int n_list;
};

struct column_source {
    struct block *block;
    int column; /* -1: the block itself */
};

struct block {
    struct run *run;
    struct block_spec spec;
    const char *path, *name;
    atomic_uint_fast64_t generation;
    struct column_source *columns; /* [1 + n_columns], the first stands for the whole block */
    void *data;                    /* in memory: dense values, NULL until the first write */
    union h5_cell *cells;          /* in memory: rows of a table */
    int64_t rows, cap;             /* of a table */
    struct file_block *file;       /* on disk */
    bool is_texts;                 /* on disk: a list of strings, shown as a table of one column */
    bool is_left_out;     /* of a document that is only drawn: it takes values and keeps none */
    bool passes;          /* lies in run->passing */
    bool is_plain;        /* on disk: contiguous, so that no metadata stand between values */
    atomic_bool labelled; /* labels are loaded, or there is nothing to load */
};

struct run {
    struct report *report;
    const char *name, *analysis;
    struct attr *attrs;
    int n_attrs, cap_attrs;
    struct block **blocks;
    int n_blocks, cap_blocks;
    int first_input, last_input; /* of its blocks */
    int inputs_met,
        met_input;        /* that have blocks, in the order of these; the last of them, or -1 */
    int lengths_met;      /* the same of lengths */
    int64_t met_length;   /* 0: none */
    int left_out;         /* inputs whose blocks are gone and were never drawn */
    struct arena passing; /* on disk, or left out: the blocks of the last few inputs, */
    int n_passing;        /* how many these are, */
    int passing_input;    /* and the last of them, -1: none; */
    const char *const *labels; /* its tokens */
    bool ranged, ended;
    struct file_run *file;
};

struct label_list {
    uint64_t hash;
    int64_t n;
    const char *const *labels;
};

struct report {
    pthread_rwlock_t lock;
    struct arena arena;
    const char *path;                /* NULL: in memory */
    bool readonly, foreign, trusted; /* trusted: read without a probe */
    int64_t size;                    /* bytes of the file that is read */
    struct report_info info;
    struct run **runs;
    int n_runs, cap_runs;
    struct report_input *inputs;
    int n_inputs, cap_inputs;
    const char **words; /* one copy of each token and label; open addressing, a power of two */
    int64_t n_words, cap_words;
    struct label_list *lists;
    int n_lists, cap_lists;
    struct report_file *file; /* NULL: in memory */
    int drawn;                /* > 0: report_only_drawn */
    size_t values, limit;     /* bytes of blocks in memory; the most the document may hold */
};

/* report.c: constructors that the reader uses too; the caller holds the lock or is alone. */
int report_new(struct report **out, const char *path, struct err *e);
void report_free(struct report *r);
int report_put_info(struct report *r, const struct report_info *info, struct err *e);
int report_put_input(struct report *r, const struct report_input *in, struct err *e);
const char *report_text(struct arena *a, const char *s, struct err *e); /* a copy in valid UTF-8 */
int report_new_run(
    struct run **out, struct report *r, const char *name, const char *analysis, struct err *e);
int run_put_attr(struct run *run, const struct attr *a, struct err *e);
/* The spec is copied; labels are shared between equal lists. */
int run_new_block(struct block **out, struct run *run, const struct block_spec *spec,
    const char *path, struct err *e);
int report_labels(
    const char *const **out, struct report *r, const char *const *labels, int64_t n, struct err *e);
/* Grows *array of `size`-byte elements so that one more fits; plain heap memory. */
int report_grow(void *array, int n, int *cap, size_t size, struct err *e);

/* report_h5.c: the document on disk. Writers are called with the report's lock held. */
int file_create(struct report *r, struct err *e);
int file_new(struct report *r, struct err *e);
int file_block_new(struct block *b, struct err *e);
void file_set(struct report *r, int64_t file);   /* hands an open file over */
int file_close(struct report *r, struct err *e); /* renames .part */
void file_abandon(struct report *r);
int file_describe(struct report *r, struct err *e);
/* An input goes to the file as it is and stays there; what is asked for later is read back into
 * r->inputs, labels (token_str) apart from the rest. */
int file_add_input(struct report *r, const struct report_input *in, struct err *e);
int file_load_input(struct report *r, int index, bool labels, struct err *e);
/* run->labels: the tokens of an input, where it has any, as long as its blocks last. */
int file_labels(struct run *run, int index, struct err *e);
int file_begin_run(struct run *run, struct err *e);
int file_put_attr(struct run *run, const struct attr *a, struct err *e);
int file_end_run(struct run *run, struct err *e);
int file_flush(struct report *r, struct err *e);
int file_block_create(struct block *b, struct err *e);
/* Lets go of the blocks of inputs, which are in the file. */
int file_pass(struct run *run, struct err *e);
int file_write(
    struct block *b, const int64_t *start, const int64_t *count, const void *data, struct err *e);
int file_append(struct block *b, const struct cell_value *row, struct err *e);
/* Dense values in the block's dtype; stride may be NULL. column >= 0: of a table, as double. */
int file_read(void *out, const struct block *b, int column, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e);
int file_cell(
    struct cell_value *out, const struct block *b, int64_t row, int column, struct err *e);
/* An open handle of the block's dataset, the report's own; negative: error. */
int64_t file_data(struct block *b, struct err *e);
void file_block_free(struct block *b);
void file_run_free(struct run *run);

const char *report_word(struct report *r, const char *s, struct err *e); /* a kept copy */
void report_lock(const struct report *r, bool to_write);
int report_unlock(const struct report *r, int rc); /* returns rc */
int report_refuse_readonly(const struct report *r, struct err *e);

/* report_read.c */
int file_open(struct report *r, struct err *e);
void file_load_labels(struct block *b);

/* probe.c */
int report_open_trusted(struct report **out, const char *path, struct err *e); /* unprobed */
void report_look_at_names(const char *path); /* for report_probe */

/* fetch.c */
/* The block in pieces of consecutive values, few enough to hold: start with {0} until false. */
struct piece {
    int64_t start[FIELD_MAX_RANK], count[FIELD_MAX_RANK];
    int64_t first, n; /* in row-major order */
    bool begun;
};
bool piece_next(struct piece *p, const struct block_spec *s);
#define PIECE ((int64_t)256 * 1024) /* the most values of a piece */
int block_fetch(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e);

#endif
