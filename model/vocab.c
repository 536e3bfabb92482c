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
        if (slot->tag != *tag)
            continue;
        const struct token *t = &v->tokens[slot->id];
        if (t->bytes_n == n && t->mapped == mapped && !memcmp(t->bytes, bytes, n))
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
    *slot = (struct vocab_slot){.tag = tag, .id = (int32_t)id};
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

bool vocab_is_joined(const struct vocab *v, int64_t id, int64_t left, int64_t right)
{
    if (id < 0 || id >= v->n)
        return false;
    const struct token *t = &v->tokens[id], *l = &v->tokens[left], *r = &v->tokens[right];
    return t->name && t->mapped && l->mapped && r->mapped && !t->added &&
           t->bytes_n == (uint64_t)l->bytes_n + r->bytes_n &&
           !memcmp(t->bytes, l->bytes, l->bytes_n) &&
           !memcmp(t->bytes + l->bytes_n, r->bytes, r->bytes_n);
}

int64_t vocab_find_joined(const struct vocab *v, int64_t left, int64_t right)
{
    const struct token *l = &v->tokens[left], *r = &v->tokens[right];
    char small[SMALL], *heap;
    bool mapped = l->mapped && r->mapped;
    size_t n = mapped ? (size_t)l->bytes_n + r->bytes_n : (size_t)l->name_n + r->name_n;
    if (n > v->longest)
        return -1;
    char *buf = room(small, n, &heap);
    int64_t id = -1;
    if (buf && mapped) {
        memcpy(buf, l->bytes, l->bytes_n);
        memcpy(buf + l->bytes_n, r->bytes, r->bytes_n);
        id = vocab_find_bytes(v, buf, n);
    } else if (buf) {
        memcpy(buf, l->name, l->name_n);
        memcpy(buf + l->name_n, r->name, r->name_n);
        id = vocab_find(v, buf, n);
    }
    free(heap);
    return id;
}
