#ifndef SONDE_MODEL_SAFETENSORS_H
#define SONDE_MODEL_SAFETENSORS_H

#include "model/weights.h"

/* The header of a safetensors file: 8 bytes of little-endian length, then JSON of that length, then
 * the data, which the tensors must cover exactly: no gap, no overlap, nothing behind. */
#define SAFETENSORS_MAX_HEADER ((uint64_t)100 << 20)

/* The header's length from the file's first 8 bytes; file_bytes is the whole file's size. */
int safetensors_header_bytes(uint64_t *out, const unsigned char first[8], uint64_t file_bytes,
    const char *where, struct err *e);
/* Parses header[n] (the JSON). Fills list[*count] in the arena, in order of offset, names as in the
 * file; `file` is left 0. Every error names the tensor it is about. */
int safetensors_parse(struct weight **list, int *count, const char *header, uint64_t n,
    uint64_t file_bytes, const char *where, struct arena *arena, struct err *e);

#endif
