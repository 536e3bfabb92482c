#ifndef SONDE_KERNELS_SIMD_AVX2_H
#define SONDE_KERNELS_SIMD_AVX2_H

/* AVX2 with FMA and F16C: 8 lanes, masks as vectors. Included by simd.h alone. */

#ifdef __AVX2__
#include <immintrin.h>
#include <stdint.h>

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
/* Past the caches, p aligned to the vector; vfence before another thread reads it. */
static inline void vstream(float *p, vf v)
{
    _mm256_stream_ps(p, v);
}
static inline void vfence(void)
{
    _mm_sfence();
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
#endif

#endif
