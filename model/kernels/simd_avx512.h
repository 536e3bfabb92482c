#ifndef SONDE_KERNELS_SIMD_AVX512_H
#define SONDE_KERNELS_SIMD_AVX512_H

/* AVX-512 F, DQ, BW and VL: 16 lanes, masks in registers of their own. Included by simd.h
 * alone. */

#ifdef __AVX512F__
#include <immintrin.h>
#include <stdint.h>

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
/* Past the caches, p aligned to the vector; vfence before another thread reads it. */
static inline void vstream(float *p, vf v)
{
    _mm512_stream_ps(p, v);
}
static inline void vfence(void)
{
    _mm_sfence();
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
#endif

#endif
