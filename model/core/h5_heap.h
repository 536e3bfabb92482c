#ifndef SONDE_CORE_H5_HEAP_H
#define SONDE_CORE_H5_HEAP_H

#include <stdint.h>

#include "model/core/err.h"

/* The global heaps of an HDF5 file, where strings of any length live (File Format Specification 3.0,
 * section III.E), read with every size checked: libhdf5 1.10 copies an object of the size that the
 * heap tells into a buffer of the size that the reference tells. */
struct h5_heaps {
    int fd;
    uint64_t base, size; /* of the file: where addresses begin, and its length */
    struct h5_heap {
        uint64_t address, length;
        unsigned char *data;
        uint32_t *at; /* by object index: offset of its header, 0: none */
        uint32_t n;
    } kept[4]; /* the one used last first */
};

/* The bytes of one object, borrowed until the next call; it has to have exactly this length. */
int h5_heap_object(
    const void **out, struct h5_heaps *h, uint64_t address, uint32_t index, uint64_t length);
void h5_heaps_release(struct h5_heaps *h);

#endif
