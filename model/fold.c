#include "model/fold.h"

#include <stdlib.h>
#include <string.h>

/* Panels are summed in blocks of a fixed size, and blocks in order, so that the sum does not depend
 * on the number of threads. */
#define BLOCK 64

struct mean {
    const struct panel *w;
    double *sum; /* [blocks, K] */
    int64_t panels;
};

static void sum_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    struct mean *m = arg;
    const struct panel *w = m->w;
    double *sum = m->sum + block * w->k;
    float row[64];
    size_t step = (size_t)w->width * dtype_bytes(w->dtype);
    int64_t end = (block + 1) * BLOCK < m->panels ? (block + 1) * BLOCK : m->panels;
    for (int64_t p = block * BLOCK; p < end; p++) {
        const char *at = (const char *)w->data + (size_t)(p * w->k) * step;
        for (int64_t k = 0; k < w->k; k++, at += step) {
            const float *x = (const float *)(const void *)at;
            if (w->dtype != DT_F32) {
                tensor_widen(row, at, w->dtype, w->width);
                x = row;
            }
            double s = 0;
            for (int j = 0; j < w->width; j++) /* the right edge is filled with zeros */
                s += x[j];
            sum[k] += s;
        }
    }
}

int fold_unembed_mean(double *out, const struct params *p, struct pool *pool, struct err *e)
{
    const struct panel *w = params_panel(p, MAT_UNEMBED, 0, e);
    if (!w)
        return e->code;
    int64_t panels = (w->n + w->width - 1) / w->width, blocks = (panels + BLOCK - 1) / BLOCK;
    struct mean m = {w, calloc((size_t)(blocks * w->k), sizeof *m.sum), panels};
    if (!m.sum)
        return err_set(e, ERR_LIMIT, "out of memory");
    pool_for(pool, blocks, sum_block, &m);
    for (int64_t k = 0; k < w->k; k++) {
        double s = 0;
        for (int64_t b = 0; b < blocks; b++)
            s += m.sum[b * w->k + k];
        out[k] = s / (double)w->n;
    }
    free(m.sum);
    return 0;
}

void fold_direction(double *out, double *b_u, const struct params *p, const double *d)
{
    int64_t C = p->cfg.d_model;
    double mean = 0, bias = 0;
    for (int64_t c = 0; c < C; c++) {
        out[c] = p->lnf_g[c] * d[c];
        mean += out[c];
        bias += p->lnf_b[c] * d[c];
    }
    for (int64_t c = 0; c < C; c++)
        out[c] -= mean / (double)C;
    *b_u = bias;
}

int fold_value_bias(float *out, const struct params *p, int layer, struct pool *pool, struct err *e)
{
    const struct panel *w = params_panel(p, MAT_QKV, layer, e);
    if (!w)
        return e->code;
    int64_t C = p->cfg.d_model, begin = 2 * C / w->width * w->width;
    float *wide = malloc((size_t)(3 * C - begin) * sizeof *wide);
    if (!wide)
        return err_set(e, ERR_LIMIT, "out of memory");
    struct epilogue ep = {.bias = p->layer[layer].b_qkv + begin};
    ops_gemm(wide, 3 * C - begin, p->layer[layer].ln1_b, C, 1, w, begin, 3 * C, &ep, pool);
    memcpy(out, wide + 2 * C - begin, (size_t)C * sizeof *out);
    free(wide);
    return 0;
}

int fold_output_direction(float *out, const struct params *p, int layer, const float *dir,
    struct pool *pool, struct err *e)
{
    const struct panel *w = params_panel(p, MAT_O, layer, e);
    if (!w)
        return e->code;
    ops_gemm_t(out, w->k, dir, w->n, 1, w, false, pool);
    return 0;
}
