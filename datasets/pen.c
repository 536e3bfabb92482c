#include "datasets/pen.h"

#include <assert.h>
#include <string.h>

void pen_init(struct pen *p, uint64_t seed, uint64_t stream, struct arena *arena, struct err *e)
{
    *p = (struct pen){.arena = arena, .err = e};
    rng_init(&p->rng, seed, stream);
}

int pen_below(struct pen *p, int n)
{
    assert(n > 0);
    return (int)rng_below(&p->rng, (uint64_t)n);
}

bool pen_chance(struct pen *p, int percent)
{
    return pen_below(p, 100) < percent;
}

int pen_zipf(struct pen *p, int n)
{
    assert(n > 0);
    int octaves = 0;
    while (1 << octaves <= n)
        octaves++;
    for (;;) {
        int octave = pen_below(p, octaves);
        int rank = (1 << octave) - 1 + pen_below(p, 1 << octave);
        if (rank < n)
            return rank;
    }
}

static int grow(struct pen *p, size_t more)
{
    if (p->failed)
        return p->failed;
    if (p->n + more + 1 <= p->capacity)
        return 0;
    size_t capacity = p->capacity ? p->capacity * 2 : 512;
    while (capacity < p->n + more + 1)
        capacity *= 2;
    char *text = arena_alloc(p->arena, capacity, p->err);
    if (!text)
        return p->failed = ERR_LIMIT;
    if (p->n)
        memcpy(text, p->text, p->n);
    p->text = text;
    p->capacity = capacity;
    return 0;
}

static void put_bytes(struct pen *p, const char *s, size_t n)
{
    if (grow(p, n))
        return;
    memcpy(p->text + p->n, s, n);
    p->n += n;
}

void pen_put(struct pen *p, const char *s)
{
    put_bytes(p, s, strlen(s));
}

void pen_char(struct pen *p, char c)
{
    put_bytes(p, &c, 1);
}

void pen_fill(struct pen *p, const char *pattern, const char *const slots[26])
{
    for (const char *s = pattern; *s;) {
        size_t plain = strcspn(s, "$");
        put_bytes(p, s, plain);
        s += plain;
        if (!*s)
            break;
        if (s[1] == '$') {
            pen_char(p, '$');
        } else {
            assert(s[1] >= 'A' && s[1] <= 'Z' && slots[s[1] - 'A']);
            pen_put(p, slots[s[1] - 'A']);
        }
        s += 2;
    }
}

void pen_capital(struct pen *p, size_t from)
{
    if (!p->failed && from < p->n && p->text[from] >= 'a' && p->text[from] <= 'z')
        p->text[from] = (char)(p->text[from] - 'a' + 'A');
}

const char *pen_finish(struct pen *p)
{
    if (grow(p, 0))
        return NULL;
    p->text[p->n] = '\0';
    char *text = arena_strndup(p->arena, p->text, p->n, p->err);
    p->n = 0;
    return text;
}
