#include "model/core/tensor.h"

#include <stdbool.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

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
        u = sign | 0x7f800000 | (man ? man | 512 : 0) << 13; /* NaN is quiet, as the hardware's */
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
        return sign | 0x7e00 | ((u >> 13) & 1023);
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

static void widen_plain(float *out, const uint16_t *h, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = f16_widen(h[i]);
}

static void narrow_plain(uint16_t *h, const float *in, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        h[i] = f16_narrow(in[i]);
}

/* The same by the processor's instructions, eight at a time. */
#ifdef __x86_64__

__attribute__((target("avx,f16c"))) static void widen_f16c(float *out, const uint16_t *h, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(h + i))));
    widen_plain(out + i, h + i, n - i);
}

__attribute__((target("avx,f16c"))) static void narrow_f16c(uint16_t *h, const float *in, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(h + i),
            _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    narrow_plain(h + i, in + i, n - i);
}

static bool has_f16c(void)
{
    return __builtin_cpu_supports("avx2"); /* whoever has it has F16C */
}

#else
#define widen_f16c widen_plain
#define narrow_f16c narrow_plain
static bool has_f16c(void)
{
    return false;
}
#endif

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
        (has_f16c() ? widen_f16c : widen_plain)(out, h, n);
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
        (has_f16c() ? narrow_f16c : narrow_plain)(h, in, n);
        return;
    default:
        memmove(out, in, (size_t)n * dtype_bytes(to));
        return;
    }
}
