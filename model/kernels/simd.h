#ifndef SONDE_KERNELS_SIMD_H
#define SONDE_KERNELS_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "model/core/tensor.h"

/* Before a loop over registers: without it the array would live in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* One vector vocabulary for three kernel sets; each kernel file is compiled once for each set.
 * vf: VL floats; vm: a mask of VL lanes; struct vd2: the same lanes as doubles. */
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#define KERNEL_NAME "avx512"
#define KERNEL(name) name##_avx512
#define VL 16
#define PANEL_W 32
#define TILE_ROWS 12
typedef __m512 vf;
typedef __mmask16 vm;
struct vd2 {
    __m512d a, b;
};

static inline vf vload(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void vstore(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
static inline vf vset1(float x)
{
    return _mm512_set1_ps(x);
}
static inline __mmask16 vhead(int64_t n)
{
    return n >= VL ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}
static inline vf vload_n(const float *p, int64_t n, float fill)
{
    return _mm512_mask_loadu_ps(vset1(fill), vhead(n), p);
}
static inline void vstore_n(float *p, vf v, int64_t n)
{
    _mm512_mask_storeu_ps(p, vhead(n), v);
}
static inline vf vload_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vf vload_bf16(const uint16_t *p)
{
    __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
}
static inline vf vfma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vmax(vf a, vf b) /* b where either is NaN */
{
    return _mm512_max_ps(a, b);
}
static inline vf vmin(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf vabs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf vsqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
static inline vf vround(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vm vlt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vm vle(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
static inline vm veq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vf vsel(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline uint32_t vbits(vm m)
{
    return m;
}
/* p * 2^n, n integral, with gradual underflow and overflow to infinity. */
static inline vf vscale2(vf p, vf n)
{
    return _mm512_scalef_ps(p, n);
}
static inline struct vd2 vwiden(vf v)
{
    return (struct vd2){
        _mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
}
static inline vf vnarrow(struct vd2 d)
{
    return _mm512_insertf32x8(
        _mm512_castps256_ps512(_mm512_cvtpd_ps(d.a)), _mm512_cvtpd_ps(d.b), 1);
}
static inline struct vd2 vdset1(double x)
{
    return (struct vd2){_mm512_set1_pd(x), _mm512_set1_pd(x)};
}

/* VL x VL in registers: row i becomes lane i. */
static inline void vtranspose(vf r[VL])
{
    __m512 t[16], u[16];
    UNROLL
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m512d a = _mm512_castps_pd(t[i + h]), b = _mm512_castps_pd(t[i + 2 + h]);
            u[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            u[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    /* u[4 g + c]: lane group q holds column 4 q + c of rows 4 g .. 4 g + 3. */
    UNROLL
    for (int c = 0; c < 4; c++) {
        __m512 a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88);
        __m512 b = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xdd);
        __m512 d = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
        __m512 e = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xdd);
        r[c] = _mm512_shuffle_f32x4(a, d, 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(a, d, 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(b, e, 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(b, e, 0xdd);
    }
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#define KERNEL_NAME "avx2"
#define KERNEL(name) name##_avx2
#define VL 8
#define PANEL_W 16
#define TILE_ROWS 6
typedef __m256 vf;
typedef __m256 vm;
struct vd2 {
    __m256d a, b;
};

static inline vf vload(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void vstore(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
static inline vf vset1(float x)
{
    return _mm256_set1_ps(x);
}
static inline __m256i vhead(int64_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > VL ? VL : (int)n), lane);
}
static inline vf vload_n(const float *p, int64_t n, float fill)
{
    __m256i m = vhead(n);
    return _mm256_blendv_ps(vset1(fill), _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
}
static inline void vstore_n(float *p, vf v, int64_t n)
{
    _mm256_maskstore_ps(p, vhead(n), v);
}
static inline vf vload_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vf vload_bf16(const uint16_t *p)
{
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}
static inline vf vfma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vmax(vf a, vf b) /* b where either is NaN */
{
    return _mm256_max_ps(a, b);
}
static inline vf vmin(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf vabs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vsqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
static inline vf vround(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vm vlt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vm vle(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
static inline vm veq(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
static inline vf vsel(vm m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline uint32_t vbits(vm m)
{
    return (uint32_t)_mm256_movemask_ps(m);
}
/* p * 2^n in two steps, so that neither factor leaves the range of normal numbers. */
static inline vf vscale2(vf p, vf n)
{
    n = vmin(vset1(300.0f), vmax(vset1(-300.0f), n));
    __m256i i = _mm256_cvtps_epi32(n), h = _mm256_srai_epi32(i, 1);
    __m256i one = _mm256_set1_epi32(127);
    h = _mm256_max_epi32(_mm256_min_epi32(h, one), _mm256_set1_epi32(-126));
    __m256i g = _mm256_sub_epi32(i, h);
    g = _mm256_max_epi32(_mm256_min_epi32(g, one), _mm256_set1_epi32(-126));
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(h, one), 23));
    vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(g, one), 23));
    return _mm256_mul_ps(_mm256_mul_ps(p, a), b);
}
static inline struct vd2 vwiden(vf v)
{
    return (struct vd2){
        _mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))};
}
static inline vf vnarrow(struct vd2 d)
{
    return _mm256_insertf128_ps(
        _mm256_castps128_ps256(_mm256_cvtpd_ps(d.a)), _mm256_cvtpd_ps(d.b), 1);
}
static inline struct vd2 vdset1(double x)
{
    return (struct vd2){_mm256_set1_pd(x), _mm256_set1_pd(x)};
}

/* VL x VL in registers: row i becomes lane i. */
static inline void vtranspose(vf r[VL])
{
    __m256 t[8], u[8];
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL
    for (int c = 0; c < 4; c++) {
        r[c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
        r[4 + c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
    }
}

#else
#include <math.h>
#define KERNEL_NAME "generic"
#define KERNEL(name) name##_generic
#define VL 4
#define PANEL_W 16
#define TILE_ROWS 3
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vm __attribute__((vector_size(16)));
typedef double vd_half __attribute__((vector_size(16)));
struct vd2 {
    vd_half a, b;
};

static inline vf vload(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vstore(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
static inline vf vset1(float x)
{
    return (vf){x, x, x, x};
}
static inline vf vload_n(const float *p, int64_t n, float fill)
{
    vf v = vset1(fill);
    for (int i = 0; i < VL; i++)
        if (i < n)
            v[i] = p[i];
    return v;
}
static inline void vstore_n(float *p, vf v, int64_t n)
{
    for (int i = 0; i < VL && i < n; i++)
        p[i] = v[i];
}
static inline vf vload_f16(const uint16_t *p)
{
    float t[VL];
    tensor_widen(t, p, DT_F16, VL);
    return vload(t);
}
static inline vf vload_bf16(const uint16_t *p)
{
    vm u = {p[0], p[1], p[2], p[3]};
    return (vf)(u << 16);
}
static inline vf vfma(vf a, vf b, vf c)
{
    return a * b + c;
}
static inline vf vsel(vm m, vf yes, vf no)
{
    return (vf)((m & (vm)yes) | (~m & (vm)no));
}
static inline vm vlt(vf a, vf b)
{
    return a < b;
}
static inline vm vle(vf a, vf b)
{
    return a <= b;
}
static inline vm veq(vf a, vf b)
{
    return a == b;
}
static inline vf vmax(vf a, vf b) /* b where either is NaN */
{
    return vsel(a > b, a, b);
}
static inline vf vmin(vf a, vf b)
{
    return vsel(a < b, a, b);
}
static inline vf vabs(vf a)
{
    return (vf)((vm)a & 0x7fffffff);
}
static inline vf vsqrt(vf a)
{
    for (int i = 0; i < VL; i++)
        a[i] = sqrtf(a[i]);
    return a;
}
/* To nearest even by the usual constant; larger values are integers already. */
static inline vf vround(vf a)
{
    vf big = vset1(12582912.0f), r = (a + big) - big;
    return vsel(vabs(a) < vset1(4194304.0f), r, a);
}
static inline uint32_t vbits(vm m)
{
    return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}
static inline vf vscale2(vf p, vf n)
{
    n = vmin(vset1(250.0f), vmax(vset1(-250.0f), n));
    vm i = __builtin_convertvector(vsel(n == n, n, vset1(0)), vm);
    vm h = i >> 1, g = i - h;
    return p * (vf)((h + 127) << 23) * (vf)((g + 127) << 23);
}
static inline struct vd2 vwiden(vf v)
{
    return (struct vd2){(vd_half){v[0], v[1]}, (vd_half){v[2], v[3]}};
}
static inline vf vnarrow(struct vd2 d)
{
    return (vf){(float)d.a[0], (float)d.a[1], (float)d.b[0], (float)d.b[1]};
}
static inline struct vd2 vdset1(double x)
{
    return (struct vd2){(vd_half){x, x}, (vd_half){x, x}};
}
/* VL x VL: row i becomes lane i. */
static inline void vtranspose(vf r[VL])
{
    vf t[VL] = {r[0], r[1], r[2], r[3]};
    for (int i = 0; i < VL; i++)
        for (int j = 0; j < VL; j++)
            t[j][i] = r[i][j];
    for (int i = 0; i < VL; i++)
        r[i] = t[i];
}
#endif

#define NV (PANEL_W / VL)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE vf vload_as(const void *p, int64_t i, enum dtype t)
{
    if (t == DT_F16)
        return vload_f16((const uint16_t *)p + i);
    if (t == DT_BF16)
        return vload_bf16((const uint16_t *)p + i);
    return vload((const float *)p + i);
}

/* min(n, VL) floats, the rest `fill`; whole vectors without a mask. */
ALWAYS_INLINE vf vload_upto(const float *p, int64_t n, float fill)
{
    if (n >= VL)
        return vload(p);
    return vload_n(p, n, fill);
}
ALWAYS_INLINE void vstore_upto(float *p, vf v, int64_t n)
{
    if (n >= VL)
        vstore(p, v);
    else
        vstore_n(p, v, n);
}

static inline struct vd2 vdadd(struct vd2 s, struct vd2 x)
{
    return (struct vd2){s.a + x.a, s.b + x.b};
}
static inline struct vd2 vdmul(struct vd2 x, struct vd2 y)
{
    return (struct vd2){x.a * y.a, x.b * y.b};
}
/* Lanes in one fixed order. */
static inline double vdsum(struct vd2 s)
{
    double lane[VL], sum = 0;
    memcpy(lane, &s.a, sizeof s.a);
    memcpy(lane + VL / 2, &s.b, sizeof s.b);
    for (int w = VL / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            lane[i] += lane[i + w];
    sum = lane[0];
    return sum;
}
static inline float vsum(vf v)
{
    float lane[VL];
    vstore(lane, v);
    for (int w = VL / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            lane[i] += lane[i + w];
    return lane[0];
}
static inline float vmaxlane(vf v)
{
    float lane[VL];
    vstore(lane, v);
    for (int i = 1; i < VL; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return lane[0];
}

#endif
