#include <math.h>
#include <string.h>

#include "model/core/arena.h"
#include "model/core/rng.h"
#include "model/generate.h"
#include "model/ops.h"

/* Drawing a token: the repetition penalty of Keskar et al. 2019 (arXiv 1909.05858, section 4.1), top-k of
 * Fan et al. 2018 (arXiv 1805.04833), top-p of Holtzman et al. 2020 (arXiv 1904.09751). The stream of
 * draws has a name of its own, so that a seed may serve other purposes as well. */
#define SAMPLE_STREAM UINT64_C(0x73616d706c65)

/* Tokens in falling order of their logits, taken one at a time: a binary heap costs V once and log V
 * a token, and few tokens are ever asked for. Of equal logits the higher id comes first, as in
 * Hugging Face's nucleus. */
struct heap {
    const double *z;
    int32_t *id;
    int64_t n;
};

static bool before(const struct heap *h, int32_t a, int32_t b)
{
    return h->z[a] > h->z[b] || (h->z[a] == h->z[b] && a > b);
}

static void sift(struct heap *h, int64_t i)
{
    for (;;) {
        int64_t best = i, kid = 2 * i + 1;
        for (int64_t k = kid; k < kid + 2 && k < h->n; k++)
            if (before(h, h->id[k], h->id[best]))
                best = k;
        if (best == i)
            return;
        int32_t t = h->id[i];
        h->id[i] = h->id[best];
        h->id[best] = t;
        i = best;
    }
}

static int32_t pop(struct heap *h)
{
    int32_t top = h->id[0];
    h->id[0] = h->id[--h->n];
    sift(h, 0);
    return top;
}

static int check(const struct sampling *s, struct err *e)
{
    if (!(s->temperature >= 0) || isinf(s->temperature))
        return err_set(e, ERR_USAGE, "temperature %g: give 0 (greedy) or more", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return err_set(e, ERR_USAGE, "top-p %g: give more than 0 and at most 1", s->top_p);
    if (s->top_k < 0)
        return err_set(e, ERR_USAGE, "top-k %lld: give 0 (no cut) or more", (long long)s->top_k);
    if (!(s->repetition > 0) || isinf(s->repetition))
        return err_set(e, ERR_USAGE, "repetition penalty %g: give more than 0", s->repetition);
    return 0;
}

/* Over the distinct tokens so far: z / r where positive, else z * r. */
static void penalise(
    double *z, const float *logits, int64_t vocab, const int32_t *so_far, int64_t n, double r)
{
    for (int64_t i = 0; i < n; i++)
        if (so_far[i] >= 0 && so_far[i] < vocab) {
            double x = (double)logits[so_far[i]];
            z[so_far[i]] = x > 0 ? x / r : x * r;
        }
}

/* The tokens that survive top-k and top-p, in falling order in list, their weights exp(z) in weight;
 * `total` is their sum. Without cuts the list is left to draw(). */
static int64_t cut(
    int32_t *list, double *weight, double *total, struct heap *h, const struct sampling *s)
{
    int64_t n = 0, vocab = h->n;
    bool has_k = s->top_k > 0 && s->top_k < vocab;
    if (has_k) {
        *total = 0;
        for (double last = 0; h->n > 0; n++) {
            /* Ties at the k-th value are kept. */
            if (n >= s->top_k && h->z[h->id[0]] < last)
                break;
            list[n] = pop(h);
            last = h->z[list[n]];
            weight[n] = exp(last);
            *total += weight[n];
        }
    }
    if (s->top_p >= 1)
        return n;
    double mass = 0, limit = s->top_p * *total;
    int64_t kept = 0;
    while (kept < (has_k ? n : vocab) && (kept == 0 || mass < limit)) {
        if (!has_k) {
            list[kept] = pop(h);
            weight[kept] = exp(h->z[list[kept]]);
        }
        mass += weight[kept++];
    }
    *total = mass;
    return kept;
}

/* Inverse of the cumulative distribution, most likely token first. */
static int32_t draw(
    int32_t *list, double *weight, struct heap *h, const struct sampling *s, double u)
{
    double total = 0, sum = 0;
    int64_t vocab = h->n;
    for (int64_t i = 0; i < vocab; i++)
        total += exp(h->z[i]);
    int64_t n = cut(list, weight, &total, h, s);
    for (int64_t i = 0; i < n; i++) {
        sum += weight[i];
        if (sum > u * total)
            return list[i];
    }
    if (n)
        return list[n - 1];
    int32_t id = 0;
    while (h->n > 0) {
        id = pop(h);
        sum += exp(h->z[id]);
        if (sum > u * total)
            break;
    }
    return id;
}

static int choose(int32_t *out, const float *logits, int64_t vocab, const int32_t *so_far,
    int64_t n_so_far, const struct sampling *s, uint64_t step, struct arena *arena, struct err *e)
{
    double *z = arena_array(arena, (size_t)vocab, sizeof *z, e);
    double *weight = arena_array(arena, (size_t)vocab, sizeof *weight, e);
    int32_t *id = arena_array(arena, (size_t)vocab, sizeof *id, e);
    int32_t *list = arena_array(arena, (size_t)vocab, sizeof *list, e);
    if (!z || !weight || !id || !list)
        return ERR_LIMIT;
    for (int64_t i = 0; i < vocab; i++) {
        z[i] = (double)logits[i];
        id[i] = (int32_t)i;
    }
    if (s->repetition != 1)
        penalise(z, logits, vocab, so_far, n_so_far, s->repetition);
    double top = -INFINITY;
    for (int64_t i = vocab - 1; i >= 0; i--)
        if (z[i] >= top) {
            top = z[i];
            *out = (int32_t)i;
        }
    if (s->greedy || s->temperature == 0)
        return 0;
    /* Below the top: however small the temperature, the best stays at 0. */
    for (int64_t i = 0; i < vocab; i++)
        z[i] = (z[i] - top) / s->temperature;
    struct heap h = {z, id, vocab};
    for (int64_t i = vocab / 2; i-- > 0;)
        sift(&h, i);
    struct rng r;
    rng_init(&r, s->seed, SAMPLE_STREAM);
    r.at = 2 * step;
    *out = draw(list, weight, &h, s, rng_uniform(&r));
    return 0;
}

int sample_token(struct step *out, const float *logits, int64_t vocab, const int32_t *so_far,
    int64_t n_so_far, const struct sampling *s, uint64_t step, struct err *e)
{
    struct row_stats st;
    if (check(s, e))
        return e->code;
    ops_row_stats(&st, logits, vocab);
    if (!isfinite(st.lse))
        return err_set(e, ERR_INPUT,
            "the logits are not finite: the model is damaged or an edit "
            "drove it out of range");
    struct arena arena = {0};
    int rc = choose(&out->token, logits, vocab, so_far, n_so_far, s, step, &arena, e);
    arena_release(&arena);
    if (rc)
        return rc;
    out->logprob = (double)logits[out->token] - st.lse;
    out->entropy = st.entropy;
    out->rank = ops_rank(logits, vocab, out->token);
    return 0;
}
