#include "model/core/hash.h"

#include <string.h>
#include <xxhash.h>

static XXH3_state_t *state(struct hash *h)
{
    return (XXH3_state_t *)h;
}

int hash_create(struct hash **out, struct err *e)
{
    XXH3_state_t *s = XXH3_createState();
    *out = (struct hash *)s;
    if (!s)
        return err_set(e, ERR_LIMIT, "out of memory");
    XXH3_128bits_reset(s);
    return 0;
}

void hash_release(struct hash **h)
{
    if (*h)
        XXH3_freeState(state(*h));
    *h = NULL;
}

void hash_add(struct hash *h, const void *data, size_t n)
{
    if (n)
        XXH3_128bits_update(state(h), data, n);
}

void hash_add_u64(struct hash *h, uint64_t v)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (unsigned char)(v >> 8 * i);
    hash_add(h, b, sizeof b);
}

static void print(char out[HASH_HEX], XXH128_hash_t v)
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, v);
    for (int i = 0; i < 16; i++) {
        out[2 * i] = digits[c.digest[i] >> 4];
        out[2 * i + 1] = digits[c.digest[i] & 15];
    }
    out[32] = '\0';
}

void hash_hex(char out[HASH_HEX], const struct hash *h)
{
    print(out, XXH3_128bits_digest((const XXH3_state_t *)h));
}

void hash_hex_of(char out[HASH_HEX], const void *data, size_t n)
{
    print(out, XXH3_128bits(data, n));
}

uint64_t hash_u64_of(const void *data, size_t n)
{
    return XXH3_64bits(data, n);
}
