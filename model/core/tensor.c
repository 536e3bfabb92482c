#include "model/core/tensor.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DT_COUNT] = {
#define X(id, name, bytes) {name, bytes},
    DTYPES(X)
#undef X
};

const char *dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

size_t dtype_bytes(enum dtype t)
{
    return dtypes[t].bytes;
}

int dtype_parse(enum dtype *out, const char *name, size_t n, struct err *e)
{
    for (int i = 0; i < DT_COUNT; i++)
        if (strlen(dtypes[i].name) == n && !memcmp(dtypes[i].name, name, n)) {
            *out = (enum dtype)i;
            return 0;
        }
    return err_set(e, ERR_INPUT, "unknown dtype \"%.*s\"", n > 32 ? 32 : (int)n, name);
}

int64_t dims_count(const int64_t *dim, int n)
{
    int64_t count = 1;
    for (int i = 0; i < n; i++)
        if (dim[i] < 0 || __builtin_mul_overflow(count, dim[i], &count))
            return -1;
    return count;
}

static float f16_widen(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 1023, u;
    if (exp == 31) {
        u = sign | 0x7f800000 | man << 13;
    } else if (exp) {
        u = sign | (exp + 112) << 23 | man << 13;
    } else {
        /* Subnormals are man * 2^-24, exact in F32. */
        float f = (float)man * 0x1p-24f;
        memcpy(&u, &f, 4);
        u |= sign;
    }
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint16_t f16_narrow(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000);
    u &= 0x7fffffff;
    if (u > 0x7f800000)
        return sign | 0x7e00;
    if (u >= 0x477ff000) /* rounds to 65536 or more */
        return sign | 0x7c00;
    if (u >= 0x38800000) {
        u += 0xfff + ((u >> 13) & 1);
        return sign | (uint16_t)((u - 0x38000000) >> 13);
    }
    /* Subnormal: adding 0.5 puts the 24 bits below 2^-24 where the hardware rounds to even. */
    float a;
    memcpy(&a, &u, 4);
    a += 0.5f;
    memcpy(&u, &a, 4);
    return sign | (uint16_t)(u - 0x3f000000);
}

void tensor_widen(float *out, const void *in, enum dtype from, int64_t n)
{
    const uint16_t *h = in;
    switch (from) {
    case DT_F32:
        memmove(out, in, (size_t)n * 4);
        return;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++) {
            uint32_t u = (uint32_t)h[i] << 16;
            memcpy(out + i, &u, 4);
        }
        return;
    case DT_F16:
        for (int64_t i = 0; i < n; i++)
            out[i] = f16_widen(h[i]);
        return;
    case DT_F64:
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)((const double *)in)[i];
        return;
    default:
        for (int64_t i = 0; i < n; i++)
            out[i] = 0;
        return;
    }
}

void tensor_narrow(void *out, const float *in, enum dtype to, int64_t n)
{
    uint16_t *h = out;
    switch (to) {
    case DT_BF16:
        for (int64_t i = 0; i < n; i++) {
            uint32_t u;
            memcpy(&u, in + i, 4);
            h[i] = (u & 0x7fffffff) > 0x7f800000 ? (uint16_t)(u >> 16 | 64)
                                                 : (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
        }
        return;
    case DT_F16:
        for (int64_t i = 0; i < n; i++)
            h[i] = f16_narrow(in[i]);
        return;
    default:
        memmove(out, in, (size_t)n * dtype_bytes(to));
        return;
    }
}
