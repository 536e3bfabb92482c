#include "model/bpe.h"

#include <stdlib.h>
#include <string.h>

/* Up to here the lowest rank is found by looking at all of them: a piece of ordinary text has ten
 * symbols or fewer, and the scan is one vector loop. Longer pieces use a heap, O(n log n). */
#define SCAN_MAX 128

static uint64_t home(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 32) & b->mask;
}

/* The slot of a pair, or the empty one where it belongs. */
static uint64_t pair_slot(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t i = home(b, left, right);
    while (b->slots[i].rank != BPE_NONE && (b->slots[i].left != left || b->slots[i].right != right))
        i = (i + 1) & b->mask;
    return i;
}

const struct merge *bpe_merge(const struct bpe *b, int32_t left, int32_t right)
{
    const struct merge *m = &b->slots[pair_slot(b, left, right)];
    return m->rank == BPE_NONE ? NULL : m;
}

int bpe_init(struct bpe *b, const struct vocab *v, size_t n, struct err *e)
{
    *b = (struct bpe){.vocab = v, .unk = -1, .cap = n + 1};
    b->list = malloc(b->cap * sizeof *b->list);
    return b->list ? 0 : err_set(e, ERR_LIMIT, "out of memory (%zu merges)", n);
}

void bpe_release(struct bpe *b)
{
    free(b->list);
    b->list = NULL;
}

int bpe_add(struct bpe *b, int64_t left, int64_t right, int64_t joined, struct err *e)
{
    if (b->n == b->cap) {
        struct merge *list = realloc(b->list, 2 * b->cap * sizeof *list);
        if (!list || b->cap > INT32_MAX)
            return err_set(e, ERR_LIMIT, "out of memory (%zu merges)", b->cap);
        b->list = list;
        b->cap *= 2;
    }
    b->list[b->n] = (struct merge){.left = (int32_t)left,
        .right = (int32_t)right,
        .rank = (uint32_t)b->n,
        .joined = (int32_t)joined};
    b->n++;
    return 0;
}

/* Pairs of single bytes, which every word begins with, in a table of their own. */
static void fill_bytes(struct bpe *b)
{
    const struct vocab *v = b->vocab;
    int32_t last = -1; /* the largest id of a byte */
    b->complete = true;
    for (int i = 0; i < 256; i++) {
        b->complete &= v->byte_id[i] >= 0;
        last = v->byte_id[i] > last ? v->byte_id[i] : last;
    }
    for (size_t i = 0; i < b->n; i++) {
        const struct merge *m = &b->list[i];
        if (m->left > last || m->right > last)
            continue;
        const struct token *l = &v->tokens[m->left], *r = &v->tokens[m->right];
        if (!l->mapped || !r->mapped || l->bytes_n != 1 || r->bytes_n != 1)
            continue;
        size_t at = (size_t)(unsigned char)l->bytes[0] << 8 | (unsigned char)r->bytes[0];
        b->byte_rank[at] = m->rank;
        b->byte_joined[at] = m->joined;
    }
}

int bpe_finish(struct bpe *b, struct arena *a, struct err *e)
{
    enum { AHEAD = 8 }; /* the table is larger than the nearest caches */
    uint64_t slots = 64;
    while (slots < (uint64_t)b->n * 2)
        slots *= 2;
    b->mask = slots - 1;
    b->slots = arena_array(a, slots, sizeof *b->slots, e);
    b->byte_rank = arena_array(a, 65536, sizeof *b->byte_rank, e);
    b->byte_joined = arena_array(a, 65536, sizeof *b->byte_joined, e);
    if (!b->slots || !b->byte_rank || !b->byte_joined)
        return ERR_LIMIT;
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    memset(b->byte_rank, 0xff, 65536 * sizeof *b->byte_rank);
    for (size_t i = 0; i < b->n; i++) {
        const struct merge *m = &b->list[i], *next = i + AHEAD < b->n ? m + AHEAD : m;
        __builtin_prefetch(&b->slots[home(b, next->left, next->right)], 1);
        b->slots[pair_slot(b, m->left, m->right)] = *m;
    }
    fill_bytes(b);
    return 0;
}

int pieces_reserve(struct pieces *p, size_t more, struct err *e)
{
    if (p->cap - p->n >= more)
        return 0;
    size_t cap = (p->n + more) * 2 + 64;
    int32_t *ids = realloc(p->ids, cap * sizeof *ids);
    if (ids)
        p->ids = ids;
    uint32_t *len = realloc(p->len, cap * sizeof *len);
    if (len)
        p->len = len;
    if (!ids || !len)
        return err_set(e, ERR_LIMIT, "out of memory (%zu tokens)", cap);
    p->cap = cap;
    return 0;
}

void pieces_release(struct pieces *p)
{
    free(p->ids);
    free(p->len);
    *p = (struct pieces){0};
}

/* One symbol a byte; bytes without a token become unk (runs of them one, if fused) or nothing, and
 * what is left out is counted to the symbol that follows. Returns how many; *rest is left over. */
static size_t symbols(
    int32_t *id, uint32_t *len, uint32_t *rest, const struct bpe *b, const char *s, size_t n)
{
    size_t k = 0;
    uint32_t lost = *rest;
    bool after_unk = false;
    for (size_t i = 0; i < n; i++) {
        int32_t one = b->vocab->byte_id[(unsigned char)s[i]];
        if (one < 0 && b->unk < 0) {
            lost++;
            continue;
        }
        if (one < 0 && after_unk && b->fuse_unk) {
            len[k - 1]++;
            continue;
        }
        after_unk = one < 0;
        id[k] = one < 0 ? b->unk : one;
        len[k++] = 1 + lost;
        lost = 0;
    }
    *rest = lost;
    return k;
}

static uint32_t rank_of(int32_t *joined, const struct bpe *b, int32_t left, int32_t right)
{
    const struct merge *m = &b->slots[pair_slot(b, left, right)];
    *joined = m->joined;
    return m->rank;
}

/* Merges in place by looking for the lowest rank, the leftmost among equals. n <= SCAN_MAX. rank[i]
 * and joined[i] belong to the pair (i, i + 1). */
static size_t merge_scan(
    int32_t *id, uint32_t *len, uint32_t *rank, int32_t *joined, const struct bpe *b, size_t n)
{
    while (n > 1) {
        uint32_t best = BPE_NONE;
        for (size_t i = 0; i + 1 < n; i++)
            best = rank[i] < best ? rank[i] : best;
        if (best == BPE_NONE)
            break;
        size_t at = 0;
        while (rank[at] != best)
            at++;
        id[at] = joined[at];
        len[at] += len[at + 1];
        n--;
        for (size_t i = at + 1; i < n; i++) {
            id[i] = id[i + 1];
            len[i] = len[i + 1];
            rank[i] = rank[i + 1];
            joined[i] = joined[i + 1];
        }
        if (at + 1 < n)
            rank[at] = rank_of(&joined[at], b, id[at], id[at + 1]);
        if (at > 0)
            rank[at - 1] = rank_of(&joined[at - 1], b, id[at - 1], id[at]);
    }
    return n;
}

/* A symbol of a long piece, in a list; rank is that of its pair with the next one. */
struct node {
    int32_t id, joined;
    uint32_t len, rank;
    int32_t prev, next; /* -1: none */
};

/* A binary heap of rank << 32 | position; entries whose pair has changed are dropped on the way. */
struct heap {
    uint64_t *key;
    size_t n;
};

static void heap_down(struct heap *h, size_t i)
{
    uint64_t key = h->key[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->key[child + 1] < h->key[child])
            child++;
        if (h->key[child] >= key)
            break;
        h->key[i] = h->key[child];
        i = child;
    }
    h->key[i] = key;
}

static void heap_push(struct heap *h, uint64_t key)
{
    size_t i = h->n++;
    while (i && h->key[(i - 1) / 2] > key) {
        h->key[i] = h->key[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->key[i] = key;
}

static uint64_t heap_pop(struct heap *h)
{
    uint64_t key = h->key[0];
    h->key[0] = h->key[--h->n];
    heap_down(h, 0);
    return key;
}

static void look_right(struct node *nodes, struct heap *h, const struct bpe *b, int32_t i)
{
    struct node *left = &nodes[i];
    left->rank = BPE_NONE;
    if (left->next >= 0)
        left->rank = rank_of(&left->joined, b, left->id, nodes[left->next].id);
    if (left->rank != BPE_NONE)
        heap_push(h, (uint64_t)left->rank << 32 | (uint32_t)i);
}

static void merge_heap(struct node *nodes, struct heap *h, const struct bpe *b)
{
    while (h->n) {
        uint64_t key = heap_pop(h);
        struct node *left = &nodes[(uint32_t)key];
        /* A node that was swallowed, or whose neighbour changed, carries another rank. */
        if (left->rank != key >> 32)
            continue;
        struct node *right = &nodes[left->next];
        left->id = left->joined;
        left->len += right->len;
        left->next = right->next;
        right->rank = BPE_NONE;
        if (right->next >= 0)
            nodes[right->next].prev = (int32_t)(uint32_t)key;
        if (left->prev >= 0)
            look_right(nodes, h, b, left->prev);
        look_right(nodes, h, b, (int32_t)(uint32_t)key);
    }
}

static int encode_long(struct pieces *out, uint32_t *carry, const struct bpe *b, const char *s,
    size_t n, struct err *e)
{
    /* A merge takes one entry and adds two at most: 2 n entries are never exceeded. */
    struct node *nodes = malloc(n * sizeof *nodes);
    struct heap h = {.key = malloc(2 * n * sizeof *h.key)};
    int32_t *id = out->ids + out->n;
    uint32_t *len = out->len + out->n;
    int rc = 0;
    if (!nodes || !h.key) {
        rc = err_set(e, ERR_LIMIT, "out of memory (a word of %zu bytes)", n);
    } else {
        size_t k = symbols(id, len, carry, b, s, n);
        for (size_t i = 0; i < k; i++)
            nodes[i] = (struct node){.id = id[i],
                .len = len[i],
                .rank = BPE_NONE,
                .prev = (int32_t)i - 1,
                .next = i + 1 < k ? (int32_t)i + 1 : -1};
        for (size_t i = 0; i < k; i++)
            look_right(nodes, &h, b, (int32_t)i);
        merge_heap(nodes, &h, b);
        for (int32_t i = k ? 0 : -1; i >= 0; i = nodes[i].next) {
            out->ids[out->n] = nodes[i].id;
            out->len[out->n++] = nodes[i].len;
        }
    }
    free(nodes);
    free(h.key);
    return rc;
}

int bpe_encode(struct pieces *out, uint32_t *carry, const struct bpe *b, const char *s, size_t n,
    struct err *e)
{
    int rc = pieces_reserve(out, n, e);
    if (rc < 0)
        return rc;
    if (b->ignore_merges) {
        int64_t whole = vocab_find_bytes(b->vocab, s, n);
        if (whole >= 0 && !b->vocab->tokens[whole].added) {
            out->ids[out->n] = (int32_t)whole;
            out->len[out->n++] = (uint32_t)n + *carry;
            *carry = 0;
            return 0;
        }
    }
    if (n > SCAN_MAX)
        return encode_long(out, carry, b, s, n, e);
    uint32_t rank[SCAN_MAX];
    int32_t joined[SCAN_MAX];
    int32_t *id = out->ids + out->n;
    uint32_t *len = out->len + out->n;
    size_t k = symbols(id, len, carry, b, s, n);
    if (b->complete) {
        const unsigned char *p = (const unsigned char *)s;
        for (size_t i = 0; i + 1 < k; i++) {
            size_t at = (size_t)p[i] << 8 | p[i + 1];
            rank[i] = b->byte_rank[at];
            joined[i] = b->byte_joined[at];
        }
    } else {
        for (size_t i = 0; i + 1 < k; i++)
            rank[i] = rank_of(&joined[i], b, id[i], id[i + 1]);
    }
    out->n += merge_scan(id, len, rank, joined, b, k);
    return 0;
}
