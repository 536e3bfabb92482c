#ifndef SONDE_MODEL_WEIGHTS_H
#define SONDE_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"
#include "model/core/tensor.h"

/* The tensors of one safetensors file or of an index and its shards, read by offset (pread): a file
 * that shrinks or changes under us is an error, never a signal. */
struct weights;

struct weight {
    const char *name; /* without "transformer." */
    enum dtype dtype;
    int rank;
    int64_t dim[TENSOR_MAX_RANK];
    uint64_t offset, bytes; /* in its file, from the file's first byte */
    int file;
};

/* folder/model.safetensors, or folder/model.safetensors.index.json and its shards. Every header is
 * checked before anything is believed: sizes, overlaps, gaps, dtypes, shapes. */
int weights_open(struct weights **out, const char *folder, struct err *e);
/* One safetensors file by its path. */
int weights_open_file(struct weights **out, const char *path, struct err *e);
/* A whole safetensors file in memory (the embedded model); the bytes must outlive it. */
int weights_open_memory(
    struct weights **out, const void *data, size_t n, const char *name, struct err *e);
void weights_release(struct weights **w);

/* Tensors that no model needs are left out: the attention mask buffers of older files. */
int weights_count(const struct weights *w);
const struct weight *weights_at(const struct weights *w, int i);              /* in name order */
const struct weight *weights_find(const struct weights *w, const char *name); /* NULL: absent */
uint64_t weights_bytes(const struct weights *w);
const char *weights_path(const struct weights *w, const struct weight *t); /* its file */
/* Copies bytes [begin, begin + n) of one tensor. Safe to call from several threads. */
int weights_read(const struct weights *w, const struct weight *t, uint64_t begin, uint64_t n,
    void *out, struct err *e);
/* Elements [begin, begin + n), widened. Other dtypes than F32, F16, BF16 are ERR_INPUT. */
int weights_read_f32(const struct weights *w, const struct weight *t, int64_t begin, int64_t n,
    float *out, struct err *e);
/* A whole tensor widened to F32 in the arena. */
int weights_load_f32(float **out, const struct weights *w, const struct weight *t,
    struct arena *arena, struct err *e);
/* How many of n values as they are stored are NaN or infinite; *first: the first of them. */
int64_t weights_nonfinite(int64_t *first, const void *values, int64_t n, enum dtype dtype);
/* "[5, 7]": where element i of a tensor lies. */
void weights_place(char *buf, size_t n, const struct weight *t, int64_t i);
/* XXH3-128 over (name NUL, dtype NUL, rank and dimensions as u64, bytes) in name order, hex;
 * remembered under XDG_CACHE_HOME by (device, inode, size, mtime) so that a second start does not
 * read the files. Prefix, shards and the order in the file make no difference. */
int weights_hash(char out[33], const struct weights *w, struct err *e);
/* The key of that memory, or false: in memory, or changed so lately that mtime cannot tell. */
bool weights_key(char out[33], const struct weights *w);

/* Writes a safetensors file in the order given (temporary name, fsync, rename). `metadata` is a JSON
 * object of strings, or NULL. */
struct weights_out {
    const char *name;
    struct tensor t;
};
int weights_save(
    const char *path, const struct weights_out *list, int n, const char *metadata, struct err *e);

#endif
