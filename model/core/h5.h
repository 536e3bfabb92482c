#ifndef SONDE_CORE_H5_H
#define SONDE_CORE_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/tensor.h"

/* Shared helpers of the files that talk to libhdf5 (analysis/report/report_h5.c, model/cache.c).
 * Handles are hid_t, which is int64_t; H5_AUTO gives one back when its scope ends. libhdf5 serves one
 * caller at a time: hold H5_SCOPE in every function that calls it. */
#define H5_AUTO __attribute__((cleanup(h5_release)))
#define H5_SCOPE int h5_scope_ __attribute__((cleanup(h5_leave), unused)) = h5_enter()

int h5_enter(void); /* recursive; also silences libhdf5's own messages in this thread */
void h5_leave(int *scope);
void h5_read_start(void);     /* by h5_enter: strings are read by our own hands (h5_heap.h) */
void h5_after_fork(void);     /* in a child that goes on to use libhdf5 */
void h5_release(int64_t *id); /* any kind of handle, closed or never opened too */
/* "what: why", the why from libhdf5's error stack; call it before any other libhdf5 function. */
int h5_fail(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* New handles. Little-endian; F16 is IEEE half, BOOL the enum that h5py uses. */
int64_t h5_type(enum dtype t);
int64_t h5_text_type(void);                   /* UTF-8 of any length */
bool h5_dtype(enum dtype *out, int64_t type); /* false: not a number sonde knows */

/* Objects of 1.8 form, which stay readable after kill -9 if flushed; no times are stored, so equal
 * writes give equal bytes. `aligned`: large objects on 4 KiB boundaries, little memory; for a file
 * that nobody sees before it is whole. */
int h5_create(int64_t *file, const char *path, bool aligned, struct err *e);
/* Such a file with virtual datasets, which need the 1.10 form. */
int h5_create_virtual(int64_t *file, const char *path, struct err *e);
/* Right after a flush: lets go of the metadata that lie in memory, so that the next one is short. */
int h5_forget_metadata(int64_t file, struct err *e);
/* Closes a file of h5_create (not aligned), of which no other handle is open, and opens it again to go
 * on writing. libhdf5 remembers every hole of a file for as long as it is open, a few a dataset. */
int h5_reopen(int64_t *file, const char *path, struct err *e);
int h5_open(int64_t *file, const char *path, struct err *e);
bool h5_is_checked(
    const char *path); /* of a format whose metadata have checksums, as h5_create's */
int h5_group(int64_t *out, int64_t where, const char *name, struct err *e);

struct h5_shape {
    int rank; /* 0: a scalar */
    const int64_t *dim;
    int64_t grow;  /* > 0: the first axis grows, in chunks of so many */
    bool by_slice; /* a chunk holds one index of the first axis, or 8 KB of small ones */
    const void *fill;
};
/* Chunked (at most 1 MiB) with Fletcher32 where HDF5 can: not scalars, empty ones and free strings. */
int h5_dataset(int64_t *out, int64_t where, const char *name, int64_t type,
    const struct h5_shape *shape, struct err *e);
int64_t h5_chunk(int64_t *chunk, const int64_t *dim, int rank, int64_t value_bytes); /* bytes */
/* Opens for reading: with room for two chunks, whatever their size; refuses chunks above 256 MiB. */
int64_t h5_open_data(int64_t where, const char *path);
/* To be written on, slice by slice: with room for one chunk. */
int64_t h5_open_slices(int64_t where, const char *path);
int64_t h5_open_group(int64_t where, const char *name);
int64_t h5_open_at(int64_t file, uint64_t address); /* an object by what h5_address gave */
bool h5_holds(int64_t group, const char *name);
/* Reads (write: writes) the box; stride may be NULL. mem: the type in memory. */
int h5_box(int64_t data, int64_t mem, int rank, const int64_t *start, const int64_t *count,
    const int64_t *stride, void *values, bool write, struct err *e);
/* How to transfer values of this size: libhdf5 clears its whole buffer of 1 MiB for every read that
 * converts, however small. Not to be released. */
int64_t h5_transfer(size_t value_bytes);
/* Grows a rank-1 dataset by n values. */
int h5_append(int64_t data, int64_t mem, int64_t n, const void *values, struct err *e);

int h5_put_text(int64_t at, const char *name, const char *text, struct err *e);
int h5_put_texts(int64_t at, const char *name, const char *const *texts, int n, struct err *e);
int h5_put_ints(
    int64_t at, const char *name, const int64_t *v, int n, struct err *e); /* n 0: one */
int h5_put_float(int64_t at, const char *name, double v, struct err *e);

struct h5_value {
    enum { H5_TEXT, H5_INT, H5_FLOAT, H5_INTS, H5_OTHER } kind;
    const char *text;
    int64_t i, *list;
    double f;
    int n;
};
bool h5_has(int64_t at, const char *name); /* an attribute */
int h5_attrs(const char ***names, int *n, int64_t at, struct arena *a, struct err *e);
int h5_get(struct h5_value *out, int64_t at, const char *name, struct arena *a, struct err *e);
/* n strings of a rank-1 dataset from `start`, any string type; at most max_bytes in all. */
int h5_texts(const char **out, int64_t data, int64_t start, int64_t n, size_t max_bytes,
    struct arena *a, struct err *e);

/* What a group holds; soft and external links are named and not followed. */
struct h5_link {
    const char *name;
    bool is_group, is_data, is_link;
    uint64_t address;
};
int h5_list(struct h5_link **out, int *n, int64_t group, struct arena *a, struct err *e);

struct h5_member {
    const char *name;
    bool is_text;
    enum dtype dtype;
};
#define H5_RANK 32
struct h5_info {
    enum { H5_NUMBERS, H5_TEXTS, H5_TABLE, H5_STRANGE } kind;
    enum dtype dtype;
    int rank;
    int64_t dim[H5_RANK];
    enum { H5_CONTIGUOUS, H5_CHUNKED, H5_COMPACT, H5_VIRTUAL } layout;
    int64_t chunk[H5_RANK];
    int filters, sources,
        missing;              /* of a virtual one: files, and how many of its parts have none */
    int64_t stored;           /* bytes in the file */
    const char *why;          /* H5_STRANGE: what sonde does not read */
    struct h5_member *member; /* H5_TABLE: the members it reads */
    int n_members;
};
int h5_describe(struct h5_info *out, int64_t data, struct arena *a, struct err *e);
union h5_cell {
    double number;
    const char *text;
};
/* Rows of a table (rank 1), out[count][n]; texts take at most max_bytes in all. */
int h5_rows(union h5_cell *out, int64_t data, const struct h5_member *m, int n, int64_t first,
    int64_t count, size_t max_bytes, struct arena *a, struct err *e);

/* Dimension scales. scale[i]: address of the scale along axis i (0: none), as h5_address gives. */
uint64_t h5_address(int64_t object);
int h5_put_axes(
    int64_t data, int rank, const char *const *names, const uint64_t *scale, struct err *e);
struct h5_user {
    uint64_t data;
    int32_t axis;
};
/* Makes a dataset a scale, or renews the list of the datasets that use it. */
int h5_put_scale(int64_t data, const char *name, const struct h5_user *users, int n, struct err *e);
/* An attribute of one text per axis or column, as DIMENSION_LABELS is; NULL where there is none. */
int h5_axes(
    const char **names, int64_t data, const char *attribute, int n, struct arena *a, struct err *e);
int64_t h5_scale(int64_t data, int rank, int axis); /* a new handle, negative: none */

#endif
