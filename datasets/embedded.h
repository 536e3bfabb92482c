#ifndef SONDE_DATASETS_EMBEDDED_H
#define SONDE_DATASETS_EMBEDDED_H

#include <stddef.h>

/* The files of the embedded model `tiny` (config.json, model.safetensors, vocab.json, merges.txt),
 * linked into the binary. app/ hands them to model_register_embedded. */
struct embedded_data {
    const char *name;
    const void *data; /* 64-byte aligned */
    size_t bytes;
};
#define EMBEDDED_TINY_FILES 4
extern const struct embedded_data embedded_tiny[EMBEDDED_TINY_FILES];

#endif
