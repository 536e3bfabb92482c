#ifndef SONDE_KERNELS_VMATH_H
#define SONDE_KERNELS_VMATH_H

#include "model/config.h"
#include "model/kernels/simd.h"

/* Elementary functions of VL floats, within a few ulp. Polynomials are minimax fits; NaN goes
 * through. */

/* exp: 2^n e^r with |r| <= ln 2 / 2; relative error below 1.2e-7, gradual underflow. */
ALWAYS_INLINE vf vexp(vf x)
{
    x = vmin(vset1(89.0f), vmax(vset1(-105.0f), x));
    vf n = vround(x * vset1(1.44269504f));
    vf r = vfma(n, vset1(-0.693359375f), x);
    r = vfma(n, vset1(2.12194440e-4f), r);
    vf q = vset1(1.3951718e-3f);
    q = vfma(q, r, vset1(8.3695985e-3f));
    q = vfma(q, r, vset1(4.1666187e-2f));
    q = vfma(q, r, vset1(0.16666512f));
    q = vfma(q, r, vset1(0.5f));
    return vscale2(vfma(r * r, q, r) + vset1(1.0f), n);
}

ALWAYS_INLINE vf vsigmoid(vf x)
{
    return vset1(1.0f) / (vset1(1.0f) + vexp(-x));
}

/* sigmoid'(x) = e / (1 + e)^2 with e = exp(-|x|): no cancellation in either tail. */
ALWAYS_INLINE vf vsigmoid_slope(vf x)
{
    vf e = vexp(-vabs(x)), d = vset1(1.0f) + e;
    return e / (d * d);
}

ALWAYS_INLINE vf vtanh(vf x)
{
    vf z = x * x, a = vabs(x);
    vf p = vset1(-5.6607886e-3f);
    p = vfma(p, z, vset1(2.0602006e-2f));
    p = vfma(p, z, vset1(-5.3729229e-2f));
    p = vfma(p, z, vset1(0.13331328f));
    p = vfma(p, z, vset1(-0.33333278f));
    vf small = vfma(x * z, p, x);
    vf big = vset1(1.0f) - vset1(2.0f) / (vexp(a + a) + vset1(1.0f));
    big = vsel(vlt(x, vset1(0.0f)), -big, big);
    return vsel(vlt(a, vset1(0.63f)), small, big);
}

/* The normal distribution function Phi(x) = erfc(-x / sqrt 2) / 2, relative in the left tail too.
 * (1 + 2a) exp(a^2) erfc(a) is a polynomial in (a - 2) / (a + 2) for a in [0, 10]. */
ALWAYS_INLINE vf vphi(vf x)
{
    vf t = vmin(vset1(14.2f), vabs(x)), a = t * vset1(0.70710678f);
    vf h = t * t, low = vfma(t, t, -h);
    vf e = vexp(h * vset1(-0.5f)) * vfma(low, vset1(-0.5f), vset1(1.0f));
    vf u = a + vset1(2.0f), w = vfma(a, vset1(2.0f), vset1(1.0f));
    vf inv = vset1(1.0f) / (u * w);
    vf q = (a - vset1(2.0f)) * w * inv;
    vf p = vset1(-4.0085256e-4f);
    p = vfma(p, q, vset1(-1.2307813e-3f));
    p = vfma(p, q, vset1(1.3132981e-3f));
    p = vfma(p, q, vset1(8.6325323e-3f));
    p = vfma(p, q, vset1(-8.0595501e-3f));
    p = vfma(p, q, vset1(-5.4204587e-2f));
    p = vfma(p, q, vset1(0.16405526f));
    p = vfma(p, q, vset1(-0.16603139f));
    p = vfma(p, q, vset1(-9.2763975e-2f));
    p = vfma(p, q, vset1(1.2769784f));
    vf half = vset1(0.5f) * p * u * inv * e;
    return vsel(vlt(x, vset1(0.0f)), half, vset1(1.0f) - half);
}

/* The normal density. */
ALWAYS_INLINE vf vdensity(vf x)
{
    vf t = vmin(vset1(14.2f), vabs(x)), h = t * t, low = vfma(t, t, -h);
    vf e = vexp(h * vset1(-0.5f)) * vfma(low, vset1(-0.5f), vset1(1.0f));
    return e * vset1(0.39894228f);
}

/* ln(1 + e^x) = max(x, 0) + 2 atanh(e / (2 + e)), e = exp(-|x|). */
ALWAYS_INLINE vf vsoftplus(vf x)
{
    vf e = vexp(-vabs(x)), s = e / (e + vset1(2.0f)), z = s * s;
    vf p = vset1(0.12150467f);
    p = vfma(p, z, vset1(0.10713829f));
    p = vfma(p, z, vset1(0.14308442f));
    p = vfma(p, z, vset1(0.19999439f));
    p = vfma(p, z, vset1(0.33333337f));
    vf l = vset1(2.0f) * vfma(s * z, p, s);
    return vmax(vset1(0.0f), x) + l;
}

/* The inner argument of both tanh forms of GELU, doubled, as c x (1 + .044715 x^2). */
ALWAYS_INLINE vf vgelu_arg(vf x, float c)
{
    return x * vset1(2.0f * c) * vfma(x * x, vset1(0.044715f), vset1(1.0f));
}

#define SQRT_2_PI 0.79788456f

/* The formulas are those of Hugging Face's ACT2FN; x/2 (1 + tanh u) is written x sigmoid(2u). */
ALWAYS_INLINE vf vact(const enum act act, vf x)
{
    const vf zero = vset1(0.0f), one = vset1(1.0f);
    vf t;
    switch (act) {
    case ACT_GELU_NEW:
    case ACT_GELU_FAST:
        return x * vsigmoid(vgelu_arg(x, SQRT_2_PI));
    case ACT_GELU:
        return x * vphi(x);
    case ACT_GELU_10:
        return vmin(vset1(10.0f), vmax(vset1(-10.0f), x * vphi(x)));
    case ACT_QUICK_GELU:
        return x * vsigmoid(x * vset1(1.702f));
    case ACT_RELU:
        return vmax(zero, x);
    case ACT_RELU2:
        t = vmax(zero, x);
        return t * t;
    case ACT_RELU6:
        return vmin(vset1(6.0f), vmax(zero, x));
    case ACT_LEAKY_RELU:
        return vsel(vlt(zero, x), x, x * vset1(0.01f));
    case ACT_SILU:
        return x * vsigmoid(x);
    case ACT_SIGMOID:
        return vsigmoid(x);
    case ACT_TANH:
        return vtanh(x);
    case ACT_MISH: /* tanh(ln(1 + e)) = n / (n + 2), n = e (e + 2), e = exp(x) */
        t = vexp(vmin(vset1(20.0f), x));
        t = t * (t + vset1(2.0f));
        return x * (t / (t + vset1(2.0f)));
    case ACT_LAPLACE:
        return vphi((x - vset1(0.707107f)) * vset1(1.0f / 0.282095f));
    case ACT_HARDSWISH:
        t = vmin(vset1(6.0f), vmax(zero, x + vset1(3.0f)));
        return x * t * vset1(1.0f / 6.0f);
    case ACT_SQRTSOFTPLUS:
        return vsqrt(vsoftplus(x));
    case ACT_LINEAR:
    case ACT_COUNT:
        break;
    }
    (void)one;
    return x;
}

ALWAYS_INLINE vf vact_slope(const enum act act, vf x)
{
    const vf zero = vset1(0.0f), one = vset1(1.0f), nan = x - x; /* 0, or NaN to hand on */
    vf t, s;
    switch (act) {
    case ACT_GELU_NEW:
    case ACT_GELU_FAST:
        t = vgelu_arg(x, SQRT_2_PI);
        s = vfma(x * x, vset1(3.0f * 0.044715f), one) * vset1(2.0f * SQRT_2_PI);
        return vfma(x * s, vsigmoid_slope(t), vsigmoid(t));
    case ACT_GELU:
        return vfma(x, vdensity(x), vphi(x));
    case ACT_GELU_10: /* gelu(x) > 10 exactly where x > 10; it is never below -10 */
        return vsel(vlt(vset1(10.0f), x), zero, vfma(x, vdensity(x), vphi(x)));
    case ACT_QUICK_GELU:
        t = x * vset1(1.702f);
        return vfma(t, vsigmoid_slope(t), vsigmoid(t));
    case ACT_RELU:
        return vsel(vlt(zero, x), one, nan);
    case ACT_RELU2:
        return vmax(zero, x + x);
    case ACT_RELU6:
        return vsel(vlt(zero, x), vsel(vlt(x, vset1(6.0f)), one, zero), nan);
    case ACT_LEAKY_RELU:
        return vsel(vlt(zero, x), one, vset1(0.01f) + nan);
    case ACT_SILU:
        return vfma(x, vsigmoid_slope(x), vsigmoid(x));
    case ACT_SIGMOID:
        return vsigmoid_slope(x);
    case ACT_TANH: /* 1 - tanh^2 = 4 sigmoid'(2x) */
        return vset1(4.0f) * vsigmoid_slope(x + x);
    case ACT_MISH: /* t + x (1 - t^2) sigmoid(x), 1 - t = 2 / (n + 2), 1 + t = (2n + 2) / (n + 2) */
        t = vexp(vmin(vset1(20.0f), x));
        t = t * (t + vset1(2.0f));
        s = one / (t + vset1(2.0f));
        return vfma(x * vsigmoid(x), vset1(4.0f) * (t + one) * s * s, t * s);
    case ACT_LAPLACE:
        t = (x - vset1(0.707107f)) * vset1(1.0f / 0.282095f);
        return vdensity(t) * vset1(1.0f / 0.282095f);
    case ACT_HARDSWISH:
        t = vfma(x, vset1(1.0f / 3.0f), vset1(0.5f));
        return vsel(vlt(x, vset1(-3.0f)), zero, vsel(vlt(vset1(3.0f), x), one, t));
    case ACT_SQRTSOFTPLUS:
        t = vsqrt(vsoftplus(x));
        return vset1(0.5f) * vsigmoid(x) / t;
    case ACT_LINEAR:
    case ACT_COUNT:
        break;
    }
    return one;
}

#endif
