#include "model/vocab.h"

#include <stdlib.h>

#include "model/core/text.h"

#define POOL ((size_t)64 * 1024)
#define SMALL 512
#define SHOWN 96

/* GPT-2's byte map (Radford et al. 2019): printable bytes stand for themselves, the other 68 for
 * U+0100 and up in ascending order, so that every token is visible text without spaces. -1: this
 * character is not in the map. */
static int byte_of(uint32_t cp)
{
    if (cp < 256)
        return (cp >= 33 && cp <= 126) || (cp >= 161 && cp != 173) ? (int)cp : -1;
    uint32_t k = cp - 256; /* the k-th of 0..32, 127..160, 173 */
    return k < 33 ? (int)k : k < 67 ? (int)k - 33 + 127 : k == 67 ? 173 : -1;
}

bool vocab_unmap(char *out, size_t *n_out, const char *name, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)name[i];
        /* The map ends at U+0143: one or two bytes a character. */
        bool two = c >= 0xc0 && c < 0xe0 && i + 1 < n;
        uint32_t cp = two ? (c & 0x1fu) << 6 | ((unsigned char)name[i + 1] & 0x3f) : c;
        int b = c < 0x80 || two ? byte_of(cp) : -1;
        if (b < 0)
            return false;
        out[len++] = (char)b;
        i += two ? 2 : 1;
    }
    *n_out = len;
    return true;
}

int vocab_init(struct vocab *v, int64_t room, struct arena *a, struct err *e)
{
    *v = (struct vocab){.room = room};
    uint64_t slots = 64;
    while (slots < (uint64_t)room + (uint64_t)room / 4)
        slots *= 2;
    v->mask = slots - 1;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)room, sizeof *v->tokens, &bytes))
        return err_set(e, ERR_LIMIT, "a vocabulary of %lld tokens is too large", (long long)room);
    v->tokens = arena_zalloc(a, bytes, e);
    v->slots = arena_array(a, slots, sizeof *v->slots, e);
    if (!v->tokens || !v->slots)
        return ERR_LIMIT;
    memset(v->slots, 0xff, slots * sizeof *v->slots);
    memset(v->byte_id, 0xff, sizeof v->byte_id);
    return 0;
}

/* The slot of these bytes, or the empty one where they belong. */
static struct vocab_slot *slot_of(
    const struct vocab *v, uint32_t *tag, const char *bytes, size_t n, bool mapped)
{
    uint64_t h = piece_hash(bytes, n) + !mapped;
    *tag = (uint32_t)(h >> 32);
    for (uint64_t i = h & v->mask;; i = (i + 1) & v->mask) {
        struct vocab_slot *slot = &v->slots[i];
        if (slot->id < 0)
            return slot;
        if (slot->tag != *tag || slot->mapped != mapped)
            continue;
        if (slot->n <= SLOT_BYTES) {
            if (slot->n == n && !memcmp(slot->bytes, bytes, n))
                return slot;
            continue;
        }
        const struct token *t = &v->tokens[slot->id];
        if (t->bytes_n == n && !memcmp(t->bytes, bytes, n))
            return slot;
    }
}

static int64_t find(const struct vocab *v, const char *bytes, size_t n, bool mapped)
{
    uint32_t tag;
    return slot_of(v, &tag, bytes, n, mapped)->id;
}

/* Room in a shared block: single pieces of an arena would each take 64 bytes. */
static char *pool_take(struct vocab *v, size_t n, struct arena *a, struct err *e)
{
    if (v->pool_left < n) {
        size_t block = n > POOL / 4 ? n : POOL;
        char *p = arena_alloc(a, block, e);
        if (!p || block == n)
            return p;
        v->pool = p;
        v->pool_left = block;
    }
    char *p = v->pool;
    v->pool += n;
    v->pool_left -= n;
    return p;
}

static int out_of_bounds(
    const struct vocab *v, int64_t id, const char *name, size_t n, const char *where, struct err *e)
{
    char shown[SHOWN];
    text_escape(shown, sizeof shown, name, n < SHOWN ? n : SHOWN, 0);
    return err_set(e, ERR_INPUT,
        "%s: '%s' has the id %lld, but the model has ids 0 to %lld; are these files of one model?",
        where, shown, (long long)id, (long long)v->room - 1);
}

static int clash(const struct vocab *v, int64_t id, int64_t other, const char *name, size_t n,
    const char *where, struct err *e)
{
    char shown[SHOWN], second[SHOWN];
    text_escape(shown, sizeof shown, name, n < SHOWN ? n : SHOWN, 0);
    if (other >= 0)
        return err_set(e, ERR_INPUT, "%s: '%s' has two ids, %lld and %lld", where, shown,
            (long long)other, (long long)id);
    size_t second_n = v->tokens[id].name_n;
    text_escape(second, sizeof second, v->tokens[id].name, second_n < SHOWN ? second_n : SHOWN, 0);
    return err_set(
        e, ERR_INPUT, "%s: '%s' and '%s' share the id %lld", where, second, shown, (long long)id);
}

int vocab_put(struct vocab *v, int64_t id, const char *name, size_t n, bool added,
    const char *where, struct arena *a, struct err *e)
{
    if (id < 0 || id >= v->room)
        return out_of_bounds(v, id, name, n, where, e);
    struct token *t = &v->tokens[id];
    if (t->name)
        return clash(v, id, -1, name, n, where, e);
    if (n > UINT32_MAX / 2)
        return err_set(e, ERR_INPUT, "%s: token %lld is %zu bytes long", where, (long long)id, n);
    char *bytes = pool_take(v, n + 1, a, e);
    if (!bytes)
        return ERR_LIMIT;
    size_t len;
    t->mapped = vocab_unmap(bytes, &len, name, n);
    if (!t->mapped)
        memcpy(bytes, name, len = n);
    bytes[len] = '\0';
    t->bytes = bytes;
    t->bytes_n = (uint32_t)len;
    t->name_n = (uint32_t)n;
    uint32_t tag;
    struct vocab_slot *slot = slot_of(v, &tag, bytes, len, t->mapped);
    if (slot->id >= 0)
        return clash(v, id, slot->id, name, n, where, e);
    t->name = name;
    t->added = added;
    *slot = (struct vocab_slot){.tag = tag,
        .id = (int32_t)id,
        .n = len > SLOT_BYTES ? UINT8_MAX : (uint8_t)len,
        .mapped = t->mapped};
    memcpy(slot->bytes, bytes, len > SLOT_BYTES ? 0 : len);
    v->count++;
    if (id >= v->n)
        v->n = id + 1;
    if (n > v->longest)
        v->longest = n;
    if (t->mapped && len == 1 && !added)
        v->byte_id[(unsigned char)bytes[0]] = (int32_t)id;
    return 0;
}

int64_t vocab_find_bytes(const struct vocab *v, const char *bytes, size_t n)
{
    return find(v, bytes, n, true);
}

/* Room for n bytes: the caller's, or from the heap; *heap is to be freed. */
static char *room(char *small, size_t n, char **heap)
{
    *heap = n > SMALL ? malloc(n) : NULL;
    return n > SMALL ? *heap : small;
}

int64_t vocab_find(const struct vocab *v, const char *name, size_t n)
{
    char small[SMALL], *heap;
    size_t len;
    if (n > v->longest)
        return -1;
    char *buf = room(small, n, &heap);
    int64_t id = -1;
    if (buf)
        id = vocab_unmap(buf, &len, name, n) ? find(v, buf, len, true) : find(v, name, n, false);
    free(heap);
    return id;
}

/* Names outside the map, or longer than any buffer. */
static int64_t find_joined(
    const struct vocab *v, const char *left, size_t left_n, const char *right, size_t right_n)
{
    if (left_n > v->longest || right_n > v->longest - left_n)
        return -1;
    char *both = malloc(left_n + right_n + 1);
    if (!both)
        return -1;
    memcpy(both, left, left_n);
    memcpy(both + left_n, right, right_n);
    int64_t id = vocab_find(v, both, left_n + right_n);
    free(both);
    return id;
}

void vocab_find_merge(int64_t ids[3], const struct vocab *v, int64_t guess, const char *left,
    size_t left_n, const char *right, size_t right_n)
{
    char buf[SMALL];
    size_t l, r;
    if (left_n + right_n > sizeof buf || !vocab_unmap(buf, &l, left, left_n) ||
        !vocab_unmap(buf + l, &r, right, right_n)) {
        ids[0] = vocab_find(v, left, left_n);
        ids[1] = vocab_find(v, right, right_n);
        ids[2] = find_joined(v, left, left_n, right, right_n);
        return;
    }
    ids[0] = find(v, buf, l, true);
    ids[1] = find(v, buf + l, r, true);
    ids[2] = -1;
    const struct token *t = guess >= 0 && guess < v->n ? &v->tokens[guess] : NULL;
    if (t && t->name && t->mapped && t->bytes_n == l + r && !memcmp(t->bytes, buf, l + r))
        ids[2] = guess;
    else if (l + r <= v->longest)
        ids[2] = find(v, buf, l + r, true);
}
