#include <string.h>

#include "analysis/pairs.h"
#include "analysis/token.h"
#include "model/core/text.h"

/* Positions of one prompt on those of the other. Spans are anchors: what lies between two of them,
 * before the first and behind the last must be equally long and stands one for one. */

struct stretch {
    int64_t c0, c1, k0, k1;
};

static const char *shown(
    const struct input *in, int64_t t, const struct model *m, struct arena *a, struct err *e)
{
    const char *text = t < in->n ? token_text(m, in->tokens[t], a, e) : "the end";
    return text ? text : "?";
}

static int64_t parting(const struct input *a, const struct input *b)
{
    int64_t t = 0;
    while (t < a->n && t < b->n && a->tokens[t] == b->tokens[t])
        t++;
    return t;
}

static int refuse_lengths(const struct pair *p, const struct model *m, struct err *e)
{
    struct arena a = {0};
    struct err quiet = {0};
    const int64_t t = parting(p->clean, p->corrupt);
    const int64_t less = p->clean->n < p->corrupt->n ? p->clean->n : p->corrupt->n;
    /* One token against as many more as the other has; none where the shorter ends. */
    const int64_t c1 = p->clean->n - (less > t ? less - t - 1 : 0);
    const int64_t k1 = p->corrupt->n - (less > t ? less - t - 1 : 0);
    int rc = err_set(e, ERR_USAGE,
        "%s: clean has %lld token%s and corrupt %lld; they part at token %lld, \"%s\" against "
        "\"%s\": say which tokens correspond, as in %s [[%lld, %lld, %lld, %lld]]",
        p->where, (long long)p->clean->n, text_s(p->clean->n), (long long)p->corrupt->n,
        (long long)t, shown(p->clean, t, m, &a, &quiet), shown(p->corrupt, t, m, &a, &quiet),
        !strcmp(p->where, "--clean") ? "--align" : "\"align\":", (long long)t, (long long)c1,
        (long long)t, (long long)k1);
    arena_release(&a);
    return rc;
}

/* Within a span of unequal lengths tokens pair from its end: the last token of a name carries it. */
static void put(int64_t *map, const struct stretch *s, bool to_corrupt)
{
    for (int64_t c = s->c1 - 1, k = s->k1 - 1; c >= s->c0 && k >= s->k0; c--, k--)
        if (to_corrupt)
            map[k] = c;
        else
            map[c] = k;
}

static int put_spans(int64_t *map, const struct pair *p, bool to_corrupt, struct err *e)
{
    struct stretch gap = {0};
    for (int i = 0; i <= p->n_align; i++) {
        const bool last = i == p->n_align;
        const struct stretch s =
            last ? (struct stretch){p->clean->n, p->clean->n, p->corrupt->n, p->corrupt->n}
                 : (struct stretch){p->align[i][0], p->align[i][1], p->align[i][2], p->align[i][3]};
        if (s.c0 < gap.c0 || s.k0 < gap.k0 || s.c1 < s.c0 || s.k1 < s.k0 || s.c1 > p->clean->n ||
            s.k1 > p->corrupt->n)
            return err_set(e, ERR_USAGE,
                "%s: the span [%lld, %lld, %lld, %lld] of align overlaps another or lies outside "
                "%lld and %lld tokens; spans come in order",
                p->where, (long long)s.c0, (long long)s.c1, (long long)s.k0, (long long)s.k1,
                (long long)p->clean->n, (long long)p->corrupt->n);
        gap.c1 = s.c0;
        gap.k1 = s.k0;
        if (gap.c1 - gap.c0 != gap.k1 - gap.k0)
            return err_set(e, ERR_USAGE,
                "%s: between spans stand tokens %lld to %lld of clean and %lld to %lld of corrupt, "
                "which are not equally many; give align a span for them",
                p->where, (long long)gap.c0, (long long)gap.c1, (long long)gap.k0,
                (long long)gap.k1);
        put(map, &gap, to_corrupt);
        put(map, &s, to_corrupt);
        gap.c0 = s.c1;
        gap.k0 = s.k1;
    }
    return 0;
}

int pair_align(int64_t *map, int64_t *first, const struct pair *p, bool to_corrupt,
    const struct model *m, struct err *e)
{
    const struct input *to = to_corrupt ? p->corrupt : p->clean;
    const struct input *from = to_corrupt ? p->clean : p->corrupt;
    for (int64_t t = 0; t < to->n; t++)
        map[t] = -1;
    if (!p->n_align && to->n != from->n)
        return refuse_lengths(p, m, e);
    if (put_spans(map, p, to_corrupt, e))
        return e->code;
    *first = parting(to, from);
    for (int64_t t = 0; t < *first; t++)
        if (map[t] != t)
            *first = t;
    return 0;
}
