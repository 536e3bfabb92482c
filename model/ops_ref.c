#include "model/ops_ref.h"

#include <math.h>
#include <stdlib.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double phi(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static double gelu_tanh(double x, double c)
{
    /* x/2 (1 + tanh u) without its cancellation. */
    return x * sigmoid(2 * c * (x + 0.044715 * x * x * x));
}

double ref_act(enum act act, double x)
{
    switch (act) {
    case ACT_GELU_NEW:
        return gelu_tanh(x, sqrt(2 / M_PI));
    case ACT_GELU_FAST:
        return gelu_tanh(x, 0.7978845608);
    case ACT_GELU:
        return x * phi(x);
    case ACT_GELU_10:
        return fmin(fmax(x * phi(x), -10), 10);
    case ACT_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case ACT_RELU:
        return x > 0 ? x : 0;
    case ACT_RELU2:
        return x > 0 ? x * x : 0;
    case ACT_RELU6:
        return fmin(fmax(x, 0), 6);
    case ACT_LEAKY_RELU:
        return x > 0 ? x : 0.01 * x;
    case ACT_SILU:
        return x * sigmoid(x);
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_TANH:
        return tanh(x);
    case ACT_MISH:
        return x * tanh(softplus(x));
    case ACT_LAPLACE:
        return 0.5 * erfc(-(x - 0.707107) / (0.282095 * M_SQRT2));
    case ACT_HARDSWISH:
        return x * fmin(fmax(x + 3, 0), 6) / 6;
    case ACT_SQRTSOFTPLUS:
        return sqrt(softplus(x));
    case ACT_LINEAR:
    case ACT_COUNT:
        break;
    }
    return x;
}

static double gelu_tanh_slope(double x, double c)
{
    double u = 2 * c * (x + 0.044715 * x * x * x), s = sigmoid(u);
    return s + x * s * sigmoid(-u) * 2 * c * (1 + 3 * 0.044715 * x * x);
}

double ref_act_slope(enum act act, double x)
{
    double s = sigmoid(x), t;
    switch (act) {
    case ACT_GELU_NEW:
        return gelu_tanh_slope(x, sqrt(2 / M_PI));
    case ACT_GELU_FAST:
        return gelu_tanh_slope(x, 0.7978845608);
    case ACT_GELU_10:
        if (x > 10)
            return 0;
        return phi(x) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case ACT_GELU:
        return phi(x) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case ACT_QUICK_GELU:
        s = sigmoid(1.702 * x);
        return s + 1.702 * x * s * (1 - s);
    case ACT_RELU:
        return x > 0;
    case ACT_RELU2:
        return x > 0 ? 2 * x : 0;
    case ACT_RELU6:
        return x > 0 && x < 6;
    case ACT_LEAKY_RELU:
        return x > 0 ? 1 : 0.01;
    case ACT_SILU:
        return s + x * s * (1 - s);
    case ACT_SIGMOID:
        return s * sigmoid(-x);
    case ACT_TANH:
        return 4 * sigmoid(2 * x) * sigmoid(-2 * x);
    case ACT_MISH:
        t = tanh(softplus(x));
        return t + x * (1 - t * t) * s;
    case ACT_LAPLACE:
        t = (x - 0.707107) / 0.282095;
        return exp(-t * t / 2) / sqrt(2 * M_PI) / 0.282095;
    case ACT_HARDSWISH:
        return x < -3 ? 0 : x > 3 ? 1 : x / 3 + 0.5;
    case ACT_SQRTSOFTPLUS:
        return 0.5 * s / sqrt(softplus(x));
    case ACT_LINEAR:
    case ACT_COUNT:
        break;
    }
    return 1;
}

void ref_gemm(double *c, const double *a, const double *b, int64_t m, int64_t k, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t x = 0; x < k; x++)
                s += a[i * k + x] * b[x * n + j];
            c[i * n + j] = s;
        }
}

static double mean_of(const double *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += x[i];
    return s / (double)n;
}

void ref_ln(double *y, double *scale, const double *x, int64_t m, int64_t c, enum ln_kind kind,
    double eps, const double *gamma, const double *beta, bool frozen)
{
    for (int64_t r = 0; r < m; r++) {
        const double *row = x + r * c;
        double mean = mean_of(row, c), ss = 0, s = 1;
        for (int64_t j = 0; j < c; j++)
            ss += (row[j] - mean) * (row[j] - mean);
        if (kind == LN_TRUE)
            s = frozen ? scale[r] : sqrt(ss / (double)c + eps);
        if (scale && !frozen)
            scale[r] = s;
        for (int64_t j = 0; j < c; j++)
            y[r * c + j] = (row[j] - mean) / s * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0);
    }
}

void ref_ln_grad(double *dx, double *dgamma, double *dbeta, const double *dy, const double *x,
    const double *scale, int64_t m, int64_t c, enum ln_kind kind, const double *gamma, bool frozen)
{
    for (int64_t j = 0; j < c; j++) {
        if (dgamma)
            dgamma[j] = 0;
        if (dbeta)
            dbeta[j] = 0;
    }
    for (int64_t r = 0; r < m; r++) {
        const double *row = x + r * c, *g = dy + r * c;
        double mean = mean_of(row, c), s = kind == LN_TRUE ? scale[r] : 1, mv = 0, mvn = 0;
        for (int64_t j = 0; j < c; j++) {
            double v = g[j] * (gamma ? gamma[j] : 1), n = (row[j] - mean) / s;
            mv += v / (double)c;
            mvn += v * n / (double)c;
            if (dgamma)
                dgamma[j] += g[j] * n;
            if (dbeta)
                dbeta[j] += g[j];
        }
        if (frozen || kind != LN_TRUE)
            mvn = 0;
        for (int64_t j = 0; j < c; j++)
            dx[r * c + j] = (g[j] * (gamma ? gamma[j] : 1) - mv - (row[j] - mean) / s * mvn) / s;
    }
}

void ref_softmax(double *p, const double *x, int64_t n)
{
    double max = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        max = fmax(max, x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += p[i] = exp(x[i] - max);
    for (int64_t i = 0; i < n; i++)
        p[i] /= sum;
}

void ref_attention(double *z, double *scores, double *pattern, const double *q, const double *k,
    const double *v, int64_t tq, int64_t past, int64_t d, double scale)
{
    const int64_t tk = past + tq;
    double *row = malloc((size_t)tk * sizeof *row);
    for (int64_t i = 0; row && i < tq; i++) {
        const int64_t n = past + i + 1;
        for (int64_t j = 0; j < tk; j++) {
            double s = 0;
            for (int64_t x = 0; x < d; x++)
                s += q[i * d + x] * k[j * d + x];
            row[j] = j < n ? s * scale : -INFINITY;
            if (scores)
                scores[i * tk + j] = row[j];
        }
        ref_softmax(row, row, tk);
        for (int64_t j = 0; pattern && j < tk; j++)
            pattern[i * tk + j] = row[j];
        for (int64_t x = 0; z && x < d; x++) {
            z[i * d + x] = 0;
            for (int64_t j = 0; j < n; j++)
                z[i * d + x] += row[j] * v[j * d + x];
        }
    }
    free(row);
}

void ref_attention_grad(double *dq, double *dk, double *dv, double *dpattern, double *dscores,
    const double *extra_dpattern, const double *extra_dscores, const double *dz, const double *q,
    const double *k, const double *v, const double *pattern, int64_t t, int64_t d, double scale)
{
    double *p = calloc((size_t)(2 * t * t), sizeof *p), *dp = p + t * t;
    if (!p)
        return;
    if (!pattern)
        ref_attention(NULL, NULL, p, q, k, v, t, 0, d, scale);
    for (int64_t i = 0; i < t * d; i++)
        dq[i] = dk[i] = dv[i] = 0;
    for (int64_t i = 0; i < t; i++) {
        const double *row = (pattern ? pattern : p) + i * t;
        double dot = 0;
        for (int64_t j = 0; j < t; j++) {
            double s = extra_dpattern ? extra_dpattern[i * t + j] : 0;
            for (int64_t x = 0; x < d; x++) {
                s += dz[i * d + x] * v[j * d + x];
                dv[j * d + x] += row[j] * dz[i * d + x];
            }
            dp[i * t + j] = s;
            if (dpattern)
                dpattern[i * t + j] = s;
            if (j <= i)
                dot += s * row[j];
        }
        for (int64_t j = 0; j < t; j++) {
            double s = j <= i ? row[j] * (dp[i * t + j] - dot) : 0;
            if (j <= i && extra_dscores)
                s += extra_dscores[i * t + j];
            if (dscores)
                dscores[i * t + j] = s;
            for (int64_t x = 0; x < d; x++) {
                dq[i * d + x] += scale * s * k[j * d + x];
                dk[j * d + x] += scale * s * q[i * d + x];
            }
        }
    }
    free(p);
}

double ref_lse(const double *x, int64_t n)
{
    double max = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        max = fmax(max, x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

double ref_entropy(const double *x, int64_t n)
{
    double lse = ref_lse(x, n), h = 0;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > -INFINITY)
            h -= exp(x[i] - lse) * (x[i] - lse);
    return h;
}

double ref_kl(const double *logp, const double *logq, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        if (logp[i] > -INFINITY)
            s += exp(logp[i]) * (logp[i] - logq[i]);
    return s;
}

/* NaN above everything, then by value, then by lower id. */
static bool before(const float *x, int64_t a, int64_t b)
{
    if (isnan(x[a]) || isnan(x[b]))
        return isnan(x[a]) && isnan(x[b]) ? a < b : isnan(x[a]);
    return x[a] > x[b] || (x[a] == x[b] && a < b);
}

int64_t ref_rank(const float *x, int64_t n, int64_t id)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < n; i++)
        rank += i != id && before(x, i, id);
    return rank;
}

void ref_topk(int32_t *ids, const float *x, int64_t n, int k)
{
    for (int i = 0; i < k; i++) {
        ids[i] = -1;
        for (int64_t j = 0; i < n && j < n; j++) {
            bool after_last = i == 0 || before(x, ids[i - 1], j);
            if (after_last && (ids[i] < 0 || before(x, j, ids[i])))
                ids[i] = (int32_t)j;
        }
    }
}
