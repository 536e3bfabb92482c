#ifndef SONDE_KERNELS_SIMD_GENERIC_H
#define SONDE_KERNELS_SIMD_GENERIC_H

/* Any machine: 4 lanes of the compiler's own vectors. Included by simd.h alone. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/core/tensor.h"

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
static inline void vstream(float *p, vf v)
{
    vstore(p, v);
}
static inline void vfence(void)
{
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
