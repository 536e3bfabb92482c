#ifndef SONDE_APP_BROWSE_STORE_H
#define SONDE_APP_BROWSE_STORE_H

#include "app/browse_io.h"

/* Tiles of planes and of labels that have been read, up to IO_BYTES. The owner's lock is held. */

struct tile_key {
    uint64_t spec;                    /* id; of labels: document, node and axis in one */
    int64_t row, col, rs, cs, r0, c0; /* tile indices, steps, offset of the grid */
    enum agg how;
    char
        shape; /* 's' 64 x 64, 'r' 1 x 64, 't' 4096 x 1, 'w' 1 x 4096, 'c' 64 records, 'l' 256 labels */
};

struct tile {
    struct tile_key key;
    uint64_t used;
    size_t bytes;
    double *v;
    int64_t *raw;             /* of 64-bit integers; NULL: none */
    struct cell_value *cells; /* of records */
    const char **labels;
    bool *begins, *bare, is_text; /* of labels: each begins a text; is not spelt in it */
    struct arena arena;           /* texts */
    struct err e;                 /* code 0: fine */
};

#define TILES 4096
struct store {
    struct tile *tiles[TILES];
    uint64_t hash[TILES], clock;
    int n;
    size_t bytes;
};

struct tile *store_find(struct store *s, const struct tile_key *k); /* NULL: not there */
void store_put(struct store *s, struct tile *t);                    /* takes it */
void store_release(struct store *s);
/* Errors are forgotten, so that they are tried again. */
void store_forget(struct store *s, uint64_t spec);
void tile_release(struct tile *t);

#endif
