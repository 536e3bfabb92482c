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
#include "model/kernels/simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "model/kernels/simd_avx2.h"
#else
#include "model/kernels/simd_generic.h"
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
    double lane[VL];
    memcpy(lane, &s.a, sizeof s.a);
    memcpy(lane + VL / 2, &s.b, sizeof s.b);
    for (int w = VL / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            lane[i] += lane[i + w];
    return lane[0];
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
