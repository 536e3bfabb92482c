#ifndef SONDE_MODEL_VOCAB_H
#define SONDE_MODEL_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "model/core/arena.h"
#include "model/core/err.h"

/* One token. Its name is written as in vocab.json, one character a byte ("\u0120Mara"); names with
 * characters outside that map stand for their own UTF-8 bytes and are never made by merges. */
struct token {
    const char *name, *bytes; /* both NUL-terminated; name NULL: no such id */
    uint32_t name_n, bytes_n;
    bool mapped;  /* bytes come from the byte map */
    bool added;   /* an added token that the model itself does not have */
    bool literal; /* an added token: it decodes to its name */
};

/* Most names fit into their slot: a lookup is then one cache line. */
#define SLOT_BYTES 14
struct vocab_slot {
    uint32_t tag; /* more bits of the hash */
    int32_t id;   /* -1: empty */
    uint8_t n;    /* bytes below, or UINT8_MAX: too long for them */
    bool mapped;
    char bytes[SLOT_BYTES];
};

struct vocab {
    struct token *tokens;     /* [room] */
    int64_t room, n;          /* ids are below room; largest id + 1 */
    int64_t count;            /* ids in use */
    struct vocab_slot *slots; /* hash of (mapped, bytes) */
    uint64_t mask;
    size_t longest; /* bytes of the longest name */
    char *pool;     /* room for bytes of tokens to come */
    size_t pool_left;
    int32_t byte_id[256]; /* id of the one-byte token, -1: the vocabulary has none */
};

int vocab_init(struct vocab *v, int64_t room, struct arena *a, struct err *e);
/* Name (valid UTF-8, NUL-terminated, kept) under a new id. An id that is taken or out of bounds, or a
 * name that has one: ERR_INPUT; `where` names the file. */
int vocab_put(struct vocab *v, int64_t id, const char *name, size_t n, bool added,
    const char *where, struct arena *a, struct err *e);
int64_t vocab_find(const struct vocab *v, const char *name, size_t n);        /* -1: none */
int64_t vocab_find_bytes(const struct vocab *v, const char *bytes, size_t n); /* mapped only */
/* The tokens called left, right and both together, each -1 if there is none; `guess` may be the last
 * one (any id may be asked about). */
void vocab_find_merge(int64_t ids[3], const struct vocab *v, int64_t guess, const char *left,
    size_t left_n, const char *right, size_t right_n);
/* Bytes of a name through the byte map; false if a character is outside it. out holds n bytes. */
bool vocab_unmap(char *out, size_t *n_out, const char *name, size_t n);

/* Spreads up to 16 bytes by two loads and longer text block by block; for tables in memory only. */
static inline uint64_t piece_hash(const char *s, size_t n)
{
    uint64_t a = 0, b = 0, h = 0x9e3779b97f4a7c15u ^ n;
    while (n > 16) {
        memcpy(&a, s, 8);
        memcpy(&b, s + 8, 8);
        h = (h ^ a) * 0xff51afd7ed558ccdu;
        h = ((h ^ h >> 32) ^ b) * 0xc4ceb9fe1a85ec53u;
        s += 16;
        n -= 16;
    }
    a = b = 0;
    if (n >= 8) {
        memcpy(&a, s, 8);
        memcpy(&b, s + n - 8, 8);
    } else if (n >= 4) {
        uint32_t lo, hi;
        memcpy(&lo, s, 4);
        memcpy(&hi, s + n - 4, 4);
        a = lo;
        b = hi;
    } else if (n) {
        a = (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n / 2] << 8 |
            (unsigned char)s[n - 1];
    }
    h = (h ^ a) * 0xff51afd7ed558ccdu;
    h = ((h ^ h >> 32) ^ b) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 29;
}

#endif
