#include <string.h>

#include "model/patch.h"

/* A patch as a hook of a whole forward pass. */

struct put {
    const struct patch_cell *c;
    const struct patch_run *r;
};

static int put_rows(
    const struct put *p, const float *from, float *data, int64_t rows, int64_t width)
{
    const struct patch_cell *c = p->c;
    const int64_t D = p->r->p->cfg.d_head;
    int64_t at = 0, n = width;
    if (c->site == SITE_MLP_POST) {
        at = c->unit;
        n = 1;
    } else if (site_width(c->site, &p->r->p->cfg) == width && c->head >= 0 &&
               (c->site == SITE_Z || c->site == SITE_Q || c->site == SITE_K || c->site == SITE_V)) {
        at = c->head * D;
        n = D;
    }
    for (int64_t t = c->pos < 0 ? 0 : c->pos; t < (c->pos < 0 ? rows : c->pos + 1); t++)
        memcpy(data + t * width + at, from + t * width + at, (size_t)n * sizeof *data);
    return 0;
}

static int put(
    void *arg, enum site s, int layer, int input, float *data, int64_t rows, int64_t width)
{
    const struct put *p = arg;
    const struct patch_cell *c = p->c;
    const int L = p->r->p->cfg.n_layer;
    (void)input;
    if (s != c->site || layer < c->layer ||
        layer >= (c->layer_end > c->layer ? c->layer_end : c->layer + 1))
        return 0;
    const float *from = p->r->source[(size_t)s * (size_t)L + (size_t)layer];
    if (!site_is_square(s))
        return put_rows(p, from, data, rows, width);
    for (int64_t q = 0; q < width; q++)
        for (int64_t k = 0; k <= q; k++)
            if ((c->pos < 0 || c->pos == q) && (c->key < 0 || c->key == k)) {
                const int64_t at = (c->head * width + q) * width + k;
                data[at] = from[at];
            }
    return 0;
}

int patch_full(double *value, const struct patch_cell *c, const struct patch_run *r,
    const struct edits *edits, struct pool *pool, struct err *e)
{
    struct arena a = {0};
    struct trace t;
    struct plan plan;
    struct put what = {c, r};
    struct hook hook = {c ? c->site : SITE_EMBED, -1, put, &what};
    const int64_t T = trace_len(r->base, r->input), offset[2] = {0, T};
    struct batch b = {r->base->batch.tokens + r->base->batch.offset[r->input], offset, 1};
    e->code = 0;
    int rc = plan_init(&plan, &r->p->cfg, &a, e);
    plan.logits = LOGITS_ALL;
    struct forward_opts o = {.plan = &plan,
        .edits = edits,
        .hooks = c ? &hook : NULL,
        .n_hooks = c != NULL,
        .is_part = true,
        .pool = pool};
    if (!rc)
        rc = forward(&t, r->p, &b, &o, e);
    if (!rc) {
        rc = metric_value(value, NULL, &r->metric, &t, e);
        trace_release(&t);
    }
    arena_release(&a);
    return rc;
}
