#ifndef SONDE_MODEL_CACHE_COLD_H
#define SONDE_MODEL_CACHE_COLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/core/err.h"

/* Large reads of a file, once each. What is not in memory is read past the page cache, into huge
 * pages: that costs next to no processor time, and pushes out nothing that others need. What is in
 * memory is taken from there. */
struct cold_file {
    int fd, direct; /* direct: -1 where there is no such way; set to fd -1, -1 before use */
};

#define COLD_NONE ((struct cold_file){-1, -1})

/* ERR_INPUT: the system's word alone, without the path. */
int cold_open(struct cold_file *f, const char *path, struct err *e);
void cold_close(struct cold_file *f);

/* A buffer for reads of at most n bytes; free() it. NULL: out of memory. It takes COLD_ROOM(n) bytes,
 * whole huge pages where that is a multiple of 2 MiB. */
#define COLD_SLACK ((size_t)2 * 4096)
#define COLD_ROOM(n) (((n) + COLD_SLACK + 4095) / 4096 * 4096)
void *cold_buffer(size_t n);
/* *out: n bytes from `at` on, somewhere in the buffer. ERR_INPUT: the file was cut, or the disk's error. */
int cold_read(const unsigned char **out, const struct cold_file *f, void *buf, size_t n,
    uint64_t at, struct err *e);
/* Whether a part of the n bytes from `at` on would have to come from the disk; false where the system
 * does not tell, of files that are neither ours nor writable. */
bool cold_is(const struct cold_file *f, uint64_t at, uint64_t n);

#endif
