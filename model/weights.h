#ifndef SONDE_MODEL_WEIGHTS_H
#define SONDE_MODEL_WEIGHTS_H

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
    uint64_t offset, bytes; /* in its file */
    int file;
};

/* folder/model.safetensors, or folder/model.safetensors.index.json and its shards. Every header is
 * checked before anything is believed: sizes, overlaps, gaps, dtypes, shapes. */
int weights_open(struct weights **out, const char *folder, struct err *e);
/* A whole safetensors file in memory (the embedded model); the bytes must outlive it. */
int weights_open_memory(
    struct weights **out, const void *data, size_t n, const char *name, struct err *e);
void weights_release(struct weights **w);

int weights_count(const struct weights *w);
const struct weight *weights_at(const struct weights *w, int i);              /* in name order */
const struct weight *weights_find(const struct weights *w, const char *name); /* NULL: absent */
uint64_t weights_bytes(const struct weights *w);
/* Copies bytes [begin, begin + n) of one tensor. Safe to call from several threads. */
int weights_read(const struct weights *w, const struct weight *t, uint64_t begin, uint64_t n,
    void *out, struct err *e);
/* A whole tensor widened to F32 in the arena. */
int weights_load_f32(float **out, const struct weights *w, const struct weight *t,
    struct arena *arena, struct err *e);
/* XXH3-128 over (name, dtype, shape, bytes) in name order, 32 hex digits; remembered under
 * XDG_CACHE_HOME by (device, inode, size, mtime) so that a second start does not read the files. */
int weights_hash(char out[33], const struct weights *w, struct err *e);

/* Writes a safetensors file (temporary name, fsync, rename). */
struct weights_out {
    const char *name;
    struct tensor t;
};
int weights_save(
    const char *path, const struct weights_out *list, int n, const char *metadata, struct err *e);

#endif
