#include <string.h>

#include "model/kernels/kernels.h"
#include "model/ops.h"

int panel_width(void)
{
    return kernels_get()->width;
}

size_t panel_bytes(enum dtype t, int64_t k, int64_t n)
{
    int64_t w = panel_width(), panels = (n + w - 1) / w;
    size_t bytes;
    if (k < 0 || n < 0 || __builtin_mul_overflow((size_t)panels * (size_t)w, (size_t)k, &bytes) ||
        __builtin_mul_overflow(bytes, dtype_bytes(t), &bytes))
        return SIZE_MAX;
    return bytes;
}

void panel_pack_rows(struct panel *p, const void *w, int64_t k0, int64_t nk)
{
    const size_t b = dtype_bytes(p->dtype), row = (size_t)p->width * b;
    const char *src = w;
    for (int64_t n0 = 0; n0 < p->n; n0 += p->width) {
        char *dst = (char *)p->data + (size_t)(n0 * p->k + k0 * p->width) * b;
        int64_t cols = p->n - n0 < p->width ? p->n - n0 : p->width;
        for (int64_t k = 0; k < nk; k++, dst += row) {
            memcpy(dst, src + (size_t)(k * p->n + n0) * b, (size_t)cols * b);
            if (cols < p->width)
                memset(dst + (size_t)cols * b, 0, row - (size_t)cols * b);
        }
    }
}

/* 16 rows of the source at a time keep its cache lines until each is used up. */
static void transpose_16(uint16_t *dst, const uint16_t *src, int64_t k, int width, int64_t cols)
{
    for (int64_t k0 = 0; k0 < k; k0 += 32)
        for (int64_t j = 0; j < width; j++)
            for (int64_t i = k0; i < k0 + 32 && i < k; i++)
                dst[i * width + j] = j < cols ? src[j * k + i] : 0;
}

void panel_pack_cols(struct panel *p, const void *wt, int64_t n0, int64_t nn)
{
    const struct kernels *kern = kernels_get();
    const size_t b = dtype_bytes(p->dtype);
    const char *src = wt;
    for (int64_t j = 0; j < nn; j += p->width) {
        char *dst = (char *)p->data + (size_t)((n0 + j) * p->k) * b;
        const char *s = src + (size_t)(j * p->k) * b;
        int64_t cols = nn - j < p->width ? nn - j : p->width;
        if (p->dtype != DT_F32) {
            transpose_16((void *)dst, (const void *)s, p->k, p->width, cols);
            continue;
        }
        if (cols < p->width)
            memset(dst, 0, (size_t)(p->k * p->width) * b);
        kern->transpose((void *)dst, p->width, (const void *)s, p->k, cols, p->k);
    }
}

void panel_row(float *out, const struct panel *p, int64_t k)
{
    const size_t b = dtype_bytes(p->dtype);
    for (int64_t n0 = 0; n0 < p->n; n0 += p->width) {
        int64_t cols = p->n - n0 < p->width ? p->n - n0 : p->width;
        const char *src = (const char *)p->data + (size_t)(n0 * p->k + k * p->width) * b;
        tensor_widen(out + n0, src, p->dtype, cols);
    }
}

void panel_col(float *out, const struct panel *p, int64_t n)
{
    const size_t b = dtype_bytes(p->dtype);
    int64_t n0 = n / p->width * p->width;
    const char *src = (const char *)p->data + (size_t)(n0 * p->k + n - n0) * b;
    for (int64_t k = 0; k < p->k; k++, src += (size_t)p->width * b)
        tensor_widen(out + k, src, p->dtype, 1);
}
