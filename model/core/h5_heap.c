#include "model/core/h5_heap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT (sizeof((struct h5_heaps *)0)->kept / sizeof(struct h5_heap))
#define HEADER 16u /* of a collection, and of an object in it */
#define MAX_COLLECTION ((uint64_t)1 << 31)

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static bool read_at(const struct h5_heaps *h, void *to, uint64_t n, uint64_t at)
{
    if (at > h->size || n > h->size - at)
        return false;
    for (uint64_t done = 0; done < n;) {
        ssize_t got = pread(h->fd, (char *)to + done, n - done, (off_t)(h->base + at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

/* Objects follow each other, each padded to 8 bytes; index 0 is the free space at the end. */
static bool index_objects(struct h5_heap *c)
{
    uint64_t at = HEADER;
    while (at + HEADER <= c->length) {
        const unsigned char *p = c->data + at;
        uint32_t index = (uint32_t)little(p, 2);
        uint64_t size = little(p + 8, 8);
        if (!index)
            return true;
        if (size > c->length - at - HEADER)
            return false;
        if (index >= c->n) {
            uint32_t n = index * 2 + 64;
            uint32_t *more = realloc(c->at, n * sizeof *more);
            if (!more)
                return false;
            memset(more + c->n, 0, (n - c->n) * sizeof *more);
            c->at = more;
            c->n = n;
        }
        if (c->at[index])
            return false;
        c->at[index] = (uint32_t)at;
        at += HEADER + ((size + 7) & ~(uint64_t)7);
    }
    return true;
}

static void drop(struct h5_heap *c)
{
    free(c->data);
    free(c->at);
    *c = (struct h5_heap){0};
}

static bool load(struct h5_heap *c, const struct h5_heaps *h, uint64_t address)
{
    unsigned char head[HEADER];
    *c = (struct h5_heap){.address = address};
    if (!read_at(h, head, HEADER, address) || memcmp(head, "GCOL\1", 5))
        return false;
    c->length = little(head + 8, 8);
    if (c->length < HEADER || c->length > MAX_COLLECTION || c->length > h->size - address)
        return false;
    c->data = malloc(c->length);
    if (c->data && read_at(h, c->data, c->length, address) && index_objects(c))
        return true;
    drop(c);
    return false;
}

int h5_heap_object(
    const void **out, struct h5_heaps *h, uint64_t address, uint32_t index, uint64_t length)
{
    size_t k = 0;
    struct h5_heap found;
    while (k < KEPT && (!h->kept[k].data || h->kept[k].address != address))
        k++;
    if (k < KEPT) {
        found = h->kept[k];
    } else {
        if (!load(&found, h, address))
            return ERR_INPUT;
        drop(&h->kept[k = KEPT - 1]);
    }
    memmove(&h->kept[1], &h->kept[0], k * sizeof *h->kept);
    h->kept[0] = found;
    if (index >= found.n || !found.at[index])
        return ERR_INPUT;
    const unsigned char *p = found.data + found.at[index];
    if (little(p + 8, 8) != length)
        return ERR_INPUT;
    *out = p + HEADER;
    return 0;
}

void h5_heaps_release(struct h5_heaps *h)
{
    for (size_t i = 0; i < KEPT; i++)
        drop(&h->kept[i]);
}
