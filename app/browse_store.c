#include "app/browse_store.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    return h * 0xBF58476D1CE4E5B9u;
}

static uint64_t hash_of(const struct tile_key *k)
{
    uint64_t h = mix(k->spec, (uint64_t)k->row);
    h = mix(mix(h, (uint64_t)k->col), (uint64_t)k->rs);
    h = mix(mix(h, (uint64_t)k->cs), (uint64_t)k->r0);
    h = mix(mix(h, (uint64_t)k->c0), (uint64_t)k->how * 256 + (uint64_t)k->shape);
    return h ? h : 1;
}

static bool is_same(const struct tile_key *a, const struct tile_key *b)
{
    return a->spec == b->spec && a->row == b->row && a->col == b->col && a->rs == b->rs &&
           a->cs == b->cs && a->r0 == b->r0 && a->c0 == b->c0 && a->how == b->how &&
           a->shape == b->shape;
}

struct tile *store_find(struct store *s, const struct tile_key *k)
{
    uint64_t h = hash_of(k);
    for (int i = 0; i < s->n; i++)
        if (s->hash[i] == h && is_same(&s->tiles[i]->key, k)) {
            s->tiles[i]->used = ++s->clock;
            return s->tiles[i];
        }
    return NULL;
}

void tile_release(struct tile *t)
{
    if (!t)
        return;
    free(t->v);
    free(t->raw);
    free(t->cells);
    free(t->labels);
    free(t->begins);
    free(t->bare);
    arena_release(&t->arena);
    free(t);
}

static void drop(struct store *s, int i)
{
    s->bytes -= s->tiles[i]->bytes;
    tile_release(s->tiles[i]);
    s->n--;
    s->tiles[i] = s->tiles[s->n];
    s->hash[i] = s->hash[s->n];
}

void store_put(struct store *s, struct tile *t)
{
    s->bytes += t->bytes;
    while (s->n > 0 && (s->bytes > IO_BYTES || s->n == TILES)) {
        int oldest = 0;
        for (int i = 1; i < s->n; i++)
            if (s->tiles[i]->used < s->tiles[oldest]->used)
                oldest = i;
        drop(s, oldest);
    }
    t->used = ++s->clock;
    s->hash[s->n] = hash_of(&t->key);
    s->tiles[s->n++] = t;
}

void store_forget(struct store *s, uint64_t spec)
{
    for (int i = s->n - 1; i >= 0; i--)
        if (s->tiles[i]->key.spec == spec && s->tiles[i]->e.code)
            drop(s, i);
}

void store_release(struct store *s)
{
    while (s->n)
        drop(s, s->n - 1);
}
