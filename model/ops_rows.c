#include <limits.h>
#include <math.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"

#define PIECE 2048

/* A NaN counts as larger than every number, so that it is seen wherever the largest is shown. */

void ops_row_stats(struct row_stats *out, const float *logits, int64_t n)
{
    const struct kernels *k = kernels_get();
    float max;
    double sum, dot;
    *out = (struct row_stats){NAN, NAN, -1};
    if (n <= 0)
        return;
    if (k->max(&max, logits, n)) {
        out->argmax = (int32_t)k->find_above(logits, INFINITY, 0, n);
        return;
    }
    out->argmax = (int32_t)k->find_equal(logits, max, n);
    k->exp_sums(&sum, &dot, logits, max, n);
    out->lse = (double)max + log(sum);
    out->entropy = log(sum) - dot / sum;
}

void ops_log_softmax(float *out, const float *logits, int64_t n)
{
    struct row_stats s;
    ops_row_stats(&s, logits, n);
    if (n > 0)
        kernels_get()->shift(out, logits, s.lse, n);
}

void ops_probs(float *out, const float *logits, int64_t n, double lse, float scale)
{
    const struct kernels *k = kernels_get();
    /* Pieces that stay in the first cache between the passes. */
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t m = n - i < PIECE ? n - i : PIECE;
        k->shift(out + i, logits + i, lse, m);
        k->exp(out + i, out + i, m);
        for (int64_t j = i; j < i + m; j++)
            out[j] *= scale;
    }
}

double ops_kl(const float *logp, const float *logq, int64_t n)
{
    return kernels_get()->kl(logp, logq, n);
}

static bool before(float a, int32_t ia, float b, int32_t ib)
{
    bool na = isnan(a), nb = isnan(b);
    if (na || nb)
        return na && nb ? ia < ib : na;
    return a > b || (a == b && ia < ib);
}

/* A binary heap with the worst kept value at the root. */
static void sift(int32_t *ids, float *values, int n, int i)
{
    for (;;) {
        int worst = i, l = 2 * i + 1;
        for (int c = l; c <= l + 1 && c < n; c++)
            if (before(values[worst], ids[worst], values[c], ids[c]))
                worst = c;
        if (worst == i)
            return;
        float v = values[i];
        int32_t id = ids[i];
        values[i] = values[worst];
        ids[i] = ids[worst];
        values[worst] = v;
        ids[worst] = id;
        i = worst;
    }
}

void ops_topk(int32_t *ids, float *values, const float *x, int64_t n, int k)
{
    const struct kernels *kern = kernels_get();
    int kept = n < k ? (int)n : k;
    for (int i = 0; i < kept; i++) {
        ids[i] = i;
        values[i] = x[i];
    }
    for (int i = kept; i < k; i++) {
        ids[i] = -1;
        values[i] = NAN;
    }
    for (int i = kept / 2 - 1; i >= 0; i--)
        sift(ids, values, kept, i);
    /* Ids come in rising order, so a later equal value never displaces an earlier one. */
    for (int64_t i = kept; kept && i < n && !isnan(values[0]); i++) {
        i = kern->find_above(x, values[0], i, n);
        if (i >= n)
            break;
        values[0] = x[i];
        ids[0] = (int32_t)i;
        sift(ids, values, kept, 0);
    }
    for (int end = kept - 1; end > 0; end--) {
        float v = values[0];
        int32_t id = ids[0];
        values[0] = values[end];
        ids[0] = ids[end];
        values[end] = v;
        ids[end] = id;
        sift(ids, values, end, 0);
    }
}

int64_t ops_rank(const float *x, int64_t n, int64_t id)
{
    const struct kernels *k = kernels_get();
    float v = x[id];
    int64_t rank = 0;
    if (isnan(v)) {
        for (int64_t i = k->find_above(x, INFINITY, 0, n); i < id;
             i = k->find_above(x, INFINITY, i + 1, n))
            rank++;
        return rank;
    }
    for (int64_t i = k->find_above(x, INFINITY, 0, n); i < n;
         i = k->find_above(x, INFINITY, i + 1, n))
        rank++;
    return rank + k->count_above(x, v, n) + k->count_equal(x, v, id);
}
