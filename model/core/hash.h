#ifndef SONDE_CORE_HASH_H
#define SONDE_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "model/core/err.h"

/* XXH3 with 128 bits, printed as 32 lower-case hex digits (canonical, big-endian order); the only
 * file that knows xxhash. */
struct hash;

#define HASH_HEX 33 /* with the final NUL */

int hash_create(struct hash **out, struct err *e);
void hash_release(struct hash **h);
void hash_add(struct hash *h, const void *data, size_t n);
/* A number as 8 little-endian bytes, the same on every machine. */
void hash_add_u64(struct hash *h, uint64_t v);
/* The digest of what was added so far; more may follow. */
void hash_hex(char out[HASH_HEX], const struct hash *h);
/* All at once. */
void hash_hex_of(char out[HASH_HEX], const void *data, size_t n);
uint64_t hash_u64_of(const void *data, size_t n); /* XXH3 with 64 bits */

#endif
