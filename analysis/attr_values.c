#include "analysis/attr.h"

#include <math.h>

#include "model/core/dot.h"
#include "model/pass.h"

/* Where the value of a position (or query), head or unit and key belongs in [.., one layer]. */
static int64_t place(
    enum patch_form f, const struct config *cfg, int64_t T, int64_t pos, int64_t unit, int64_t key)
{
    const int64_t H = cfg->n_head, F = cfg->d_mlp;
    switch (f) {
    case FORM_POS:
        return pos;
    case FORM_HEAD:
    case FORM_UNIT:
        return unit;
    case FORM_HEAD_POS:
    case FORM_EVERY_DEST:
        return pos * H + unit;
    case FORM_DEST:
        return unit * T + pos;
    case FORM_DEST_SRC:
        return (unit * T + pos) * T + key;
    default:
        return pos * F + unit;
    }
}

static double product(const float *g, const float *to, const float *from, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)g[i] * ((double)from[i] - (double)to[i]);
    return sum;
}

struct values {
    double *out; /* [cells] of this layer, one backward's worth */
    const struct patch_pair *p;
    const struct config *cfg;
    enum patch_form form;
    int64_t T;
};

/* First order: the gradient times the difference, summed over what a cell spans. */
static void rows(const struct values *j, const float *g, const float *to, const float *from,
    int64_t width, int64_t units)
{
    const int64_t n = width / units;
    for (int64_t t = j->p->run.first; t < j->T; t++)
        for (int64_t u = 0; u < units; u++) {
            const int64_t at = t * width + u * n;
            j->out[place(j->form, j->cfg, j->T, t, u, 0)] += product(g + at, to + at, from + at, n);
        }
}

static void squares(const struct values *j, const float *g, const float *to, const float *from)
{
    for (int64_t h = 0; h < j->cfg->n_head; h++)
        for (int64_t q = j->p->run.first; q < j->T; q++)
            for (int64_t k = 0; k <= q; k++) {
                const int64_t at = (h * j->T + q) * j->T + k;
                j->out[place(j->form, j->cfg, j->T, q, h, k)] +=
                    product(g + at, to + at, from + at, 1);
            }
}

/* sum over j of (softmax(new) - softmax(old)) g, scores in fp64. */
static double moved(const double *old, const double *new, const float *g, int64_t n)
{
    double max[2] = {old[0], new[0]}, sum[2] = {0, 0}, mean[2] = {0, 0};
    for (int64_t i = 1; i < n; i++) {
        max[0] = fmax(max[0], old[i]);
        max[1] = fmax(max[1], new[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        const double e[2] = {exp(old[i] - max[0]), exp(new[i] - max[1])};
        for (int k = 0; k < 2; k++) {
            sum[k] += e[k];
            mean[k] += e[k] * (double)g[i];
        }
    }
    return mean[1] / sum[1] - mean[0] / sum[0];
}

/* The same where the score of key t alone moves by dlt (circuits 3.1). The others keep their shares, so
 * that only their sum counts. */
static double moved_one(const double *old, double dlt, const float *g, int64_t n, int64_t t)
{
    double max = -INFINITY, others = 0, mean = 0;
    for (int64_t i = 0; i < n; i++)
        if (i != t)
            max = fmax(max, old[i]);
    for (int64_t i = 0; i < n; i++)
        if (i != t) {
            const double e = exp(old[i] - max);
            others += e;
            mean += e * (double)g[i];
        }
    if (n < 2)
        return 0;
    /* p = 1 / (1 + others / own), in logs: log others - own score */
    const double log_odds = log(others) + max - old[t];
    const double before = 1 / (1 + exp(log_odds)), after = 1 / (1 + exp(log_odds - dlt));
    return (after - before) * ((double)g[t] - mean / others);
}

/* Queries and keys through the softmax. */
static void fixed(const struct values *j, int layer, enum site s, const float *g, const float *to,
    const float *from, const float *other, double *room)
{
    const int64_t D = j->cfg->d_head, C = j->cfg->d_model, T = j->T;
    const double scale = (double)pass_attn_scale(j->cfg, layer);
    double *old = room, *new = room + T;
    for (int64_t h = 0; h < j->cfg->n_head; h++)
        for (int64_t i = j->p->run.first; i < T; i++) {
            const float *row = g + (h * T + i) * T, *q = (s == SITE_Q ? to : other) + i * C + h * D;
            for (int64_t k = 0; k <= i; k++) {
                old[k] = scale * dot_f32(q, (s == SITE_Q ? other : to) + k * C + h * D, D);
                new[k] = s == SITE_Q
                             ? scale *dot_f32(from + i * C + h * D, other + k * C + h * D, D)
                             : scale *dot_f32(q, from + k * C + h * D, D);
            }
            if (s == SITE_Q || j->form == FORM_HEAD) {
                j->out[place(j->form, j->cfg, T, i, h, 0)] += moved(old, new, row, i + 1);
                continue;
            }
            for (int64_t k = j->p->run.first; k <= i; k++)
                j->out[place(j->form, j->cfg, T, k, h, 0)] +=
                    moved_one(old, new[k] - old[k], row, i + 1, k);
        }
}

static void layer_values(const struct values *j, const struct trace *grads, int l, enum site s,
    bool qk_fix, double *room)
{
    const struct trace *t = &j->p->t;
    const float *from = j->p->run.source[(size_t)s * (size_t)j->cfg->n_layer + (size_t)l];
    if (site_is_square(s)) {
        squares(j, trace_square(grads, s, l, 0), trace_square(t, s, l, 0), from);
        return;
    }
    const float *to = trace_site(t, s, l, 0);
    if (qk_fix && (s == SITE_Q || s == SITE_K)) {
        const float *other = trace_site(t, s == SITE_Q ? SITE_K : SITE_Q, l, 0);
        fixed(j, l, s, trace_square(grads, SITE_PATTERN, l, 0), to, from, other, room);
        return;
    }
    const bool is_head = s == SITE_Z || s == SITE_Q || s == SITE_K || s == SITE_V;
    rows(j, trace_site(grads, s, l, 0), to, from, site_width(s, j->cfg),
        is_head              ? j->cfg->n_head
        : s == SITE_MLP_POST ? j->cfg->d_mlp
                             : 1);
}

void attr_values(double *values, double *room, const struct patch_pair *p,
    const struct trace *grads, enum site site, enum patch_form form, bool qk_fix, int dropped)
{
    const struct config *cfg = p->t.cfg;
    const int64_t T = p->to->n, per = patch_form_cells(form, cfg, T);
    const bool is_write = site == SITE_ATTN_OUT || site == SITE_MLP_OUT;
    for (int l = 0; l < cfg->n_layer; l++) {
        if (is_write && l == dropped)
            continue;
        struct values j = {room + 2 * T, p, cfg, form, T};
        for (int64_t i = 0; i < per; i++)
            j.out[i] = 0;
        layer_values(&j, grads, l, site, qk_fix, room);
        for (int64_t i = 0; i < per; i++)
            values[l * per + i] += dropped >= 0 ? fabs(j.out[i]) : j.out[i];
    }
}
