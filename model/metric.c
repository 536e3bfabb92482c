#include "model/metric.h"

#include <math.h>
#include <string.h>

#include "model/ops.h"

static const char *const names[METRIC_COUNT] = {
    [METRIC_LOSS] = "loss",
    [METRIC_LOGIT] = "logit",
    [METRIC_LOGIT_DIFF] = "logit_diff",
    [METRIC_LOGPROB] = "logprob",
    [METRIC_PROB] = "prob",
    [METRIC_PROB_DIFF] = "prob_diff",
    [METRIC_KL] = "kl",
    [METRIC_ENTROPY] = "entropy",
};

const char *metric_name(enum metric_kind k)
{
    return names[k];
}

const char *metric_unit(enum metric_kind k)
{
    return k == METRIC_PROB || k == METRIC_PROB_DIFF     ? "probability"
           : k == METRIC_LOGIT || k == METRIC_LOGIT_DIFF ? "logits"
                                                         : "nats";
}

int metric_parse(enum metric_kind *out, const char *name, struct err *e)
{
    for (int k = 0; k < METRIC_COUNT; k++)
        if (!strcmp(names[k], name)) {
            *out = (enum metric_kind)k;
            return 0;
        }
    return err_set(e, ERR_USAGE,
        "no metric is called '%s'; there are loss, logit, logit_diff, logprob, prob, prob_diff, kl "
        "and entropy",
        name);
}

static int check_ids(const struct metric *m, int i, const int32_t *ids, int n, int64_t vocab,
    const char *what, struct err *e)
{
    if (n < 1 || !ids)
        return err_set(
            e, ERR_USAGE, "metric %s needs %s token at entry %d", metric_name(m->kind), what, i);
    for (int j = 0; j < n; j++)
        if (ids[j] < 0 || ids[j] >= vocab)
            return err_set(e, ERR_USAGE, "metric %s: token id %d is outside the vocabulary 0..%lld",
                metric_name(m->kind), ids[j], (long long)vocab - 1);
    return 0;
}

int metric_check(
    const struct metric *m, const struct batch *b, const struct config *cfg, struct err *e)
{
    if (m->kind == METRIC_LOSS) {
        for (int i = 0; i < b->n; i++)
            if (b->offset[i + 1] - b->offset[i] > 1)
                return 0;
        return err_set(e, ERR_USAGE, "the loss needs an input of at least two tokens");
    }
    if (m->n_at < 1)
        return err_set(e, ERR_USAGE, "metric %s names no position", metric_name(m->kind));
    for (int i = 0; i < m->n_at; i++) {
        const struct metric_at *at = &m->at[i];
        if (at->input < 0 || at->input >= b->n)
            return err_set(e, ERR_USAGE, "metric entry %d: there is no input %d", i, at->input);
        int64_t len = b->offset[at->input + 1] - b->offset[at->input];
        if (at->pos < -len || at->pos >= len)
            return err_set(e, ERR_USAGE, "metric entry %d: position %lld is outside 0..%lld", i,
                (long long)at->pos, (long long)len - 1);
        bool has_wrong = m->kind == METRIC_LOGIT_DIFF || m->kind == METRIC_PROB_DIFF;
        if (m->kind == METRIC_KL && !at->reference_logp)
            return err_set(e, ERR_USAGE, "metric kl needs reference log-probabilities");
        if (m->kind == METRIC_KL || m->kind == METRIC_ENTROPY)
            continue;
        if (check_ids(m, i, at->answer, at->n_answer, cfg->vocab, "an answer", e) ||
            (has_wrong && check_ids(m, i, at->wrong, at->n_wrong, cfg->vocab, "a wrong", e)))
            return e->code;
    }
    return 0;
}

int64_t metric_row(const struct metric_at *at, const struct batch *b)
{
    int64_t begin = at->pos < 0 ? b->offset[at->input + 1] : b->offset[at->input];
    return begin + at->pos;
}

/* Adds w to seed (which may be NULL) at the ids and returns the sum of w z or w p over them. */
static double weigh(float *seed, const int32_t *ids, int n, double w, const float *z, double lse)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += w * (isnan(lse) ? (double)z[ids[i]] : exp((double)z[ids[i]] - lse));
        if (seed)
            seed[ids[i]] += (float)w;
    }
    return sum;
}

/* The answers' terms of a metric: means of logits and log-probabilities, sums of probabilities. */
static double answers(
    const struct metric *m, const struct metric_at *at, float *seed, const float *z, double lse)
{
    bool is_prob = m->kind == METRIC_PROB || m->kind == METRIC_PROB_DIFF;
    double sum = weigh(seed, at->answer, at->n_answer, is_prob ? 1 : 1.0 / at->n_answer, z, lse);
    if (m->kind == METRIC_LOGIT_DIFF || m->kind == METRIC_PROB_DIFF)
        sum += weigh(seed, at->wrong, at->n_wrong, is_prob ? -1 : -1.0 / at->n_wrong, z, lse);
    return sum;
}

double metric_seed(float *seed, const struct metric *m, const struct metric_at *at,
    const float *logits, int64_t vocab, double scale)
{
    struct row_stats st;
    double value = 0;
    if (seed)
        memset(seed, 0, (size_t)vocab * sizeof *seed);
    if (m->kind == METRIC_LOGIT || m->kind == METRIC_LOGIT_DIFF) {
        value = answers(m, at, seed, logits, (double)NAN);
        for (int64_t i = 0; seed && i < vocab; i++)
            seed[i] *= (float)scale;
        return value;
    }
    ops_row_stats(&st, logits, vocab);
    switch (m->kind) {
    case METRIC_LOGPROB:
        value = answers(m, at, seed, logits, (double)NAN) - st.lse;
        break;
    case METRIC_PROB:
    case METRIC_PROB_DIFF:
        value = answers(m, at, seed, logits, st.lse);
        break;
    case METRIC_KL:
        for (int64_t i = 0; i < vocab; i++) {
            double logq = at->reference_logp[i];
            if (logq > -INFINITY)
                value += exp(logq) * (logq - ((double)logits[i] - st.lse));
        }
        break;
    default:
        value = st.entropy;
        break;
    }
    /* circuits 2.2: every seed is p times something, plus something sparse or fixed. */
    for (int64_t i = 0; seed && i < vocab; i++) {
        double logp = (double)logits[i] - st.lse, p = exp(logp), g;
        if (m->kind == METRIC_LOGPROB)
            g = seed[i] - p;
        else if (m->kind == METRIC_KL)
            g = p - exp((double)at->reference_logp[i]);
        else if (m->kind == METRIC_ENTROPY)
            g = p > 0 ? -p * (logp + value) : 0;
        else
            g = p * (seed[i] - value);
        seed[i] = (float)(scale * g);
    }
    return value;
}

static int loss_value(double *mean, double *values, const struct trace *t, struct err *e)
{
    double sum = 0;
    int64_t n = 0, V = t->cfg->vocab;
    for (int i = 0; i < t->batch.n; i++) {
        const int32_t *tokens = t->batch.tokens + t->batch.offset[i];
        double own = 0;
        int64_t len = trace_len(t, i);
        for (int64_t pos = 0; pos + 1 < len; pos++) {
            const float *z = trace_logits(t, i, pos);
            struct row_stats st;
            if (!z)
                return err_set(e, ERR_USAGE, "the loss needs the logits of every position");
            ops_row_stats(&st, z, V);
            own += st.lse - (double)z[tokens[pos + 1]];
        }
        if (values)
            values[i] = len > 1 ? own / (double)(len - 1) : (double)NAN;
        sum += own;
        n += len - 1;
    }
    *mean = sum / (double)n;
    return 0;
}

int metric_value(
    double *mean, double *values, const struct metric *m, const struct trace *t, struct err *e)
{
    if (metric_check(m, &t->batch, t->cfg, e))
        return e->code;
    if (m->kind == METRIC_LOSS)
        return loss_value(mean, values, t, e);
    double sum = 0;
    for (int i = 0; i < m->n_at; i++) {
        const float *z = trace_logits(t, m->at[i].input, m->at[i].pos);
        if (!z)
            return err_set(
                e, ERR_USAGE, "metric %s needs logits that were not kept", metric_name(m->kind));
        double v = metric_seed(NULL, m, &m->at[i], z, t->cfg->vocab, 1);
        if (values)
            values[i] = v;
        sum += v;
    }
    *mean = sum / m->n_at;
    return 0;
}
