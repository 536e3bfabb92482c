#include <math.h>

#include "model/kernels/parts.h"
#include "model/kernels/vmath.h"

/* Loops over one row. Sums run in VL lanes (or VL doubles) from the row's start, so a row's result
 * depends on its values alone. */

void KERNEL(moments)(double *mean, double *ss, const float *x, int64_t n)
{
    struct vd2 s = vdset1(0.0);
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        s = vdadd(s, vwiden(vload(x + j)));
    if (j < n)
        s = vdadd(s, vwiden(vload_upto(x + j, n - j, 0.0f)));
    *mean = vdsum(s) / (double)n;
    if (!ss)
        return;
    struct vd2 q = vdset1(0.0), m = vdset1(-*mean);
    for (j = 0; j + VL <= n; j += VL) {
        struct vd2 d = vdadd(vwiden(vload(x + j)), m);
        q = vdadd(q, vdmul(d, d));
    }
    double sum = vdsum(q);
    for (; j < n; j++)
        sum += (x[j] - *mean) * (x[j] - *mean);
    *ss = sum;
}

void KERNEL(ln)(float *y, const float *x, float mean, float inv, const float *gamma,
    const float *beta, int64_t n)
{
    vf m = vset1(mean), s = vset1(inv);
    for (int64_t j = 0; j < n; j += VL) {
        int64_t left = n - j;
        vf v = (vload_upto(x + j, left, 0.0f) - m) * s;
        if (gamma)
            v = v * vload_upto(gamma + j, left, 0.0f);
        if (beta)
            v = v + vload_upto(beta + j, left, 0.0f);
        vstore_upto(y + j, v, left);
    }
}

void KERNEL(ln_grad)(float *dx, const float *dy, const float *x, float mean, float inv,
    const float *gamma, int64_t n, bool live, bool accumulate)
{
    struct vd2 sum = vdset1(0.0), dot = vdset1(0.0);
    vf m = vset1(mean), s = vset1(inv);
    for (int64_t j = 0; j < n; j += VL) {
        int64_t left = n - j;
        vf v = vload_upto(dy + j, left, 0.0f);
        if (gamma)
            v = v * vload_upto(gamma + j, left, 0.0f);
        sum = vdadd(sum, vwiden(v));
        if (live)
            dot = vdadd(dot, vwiden(v * ((vload_upto(x + j, left, mean) - m) * s)));
    }
    vf mean_v = vset1((float)(vdsum(sum) / (double)n));
    vf mean_vn = vset1((float)(vdsum(dot) / (double)n));
    for (int64_t j = 0; j < n; j += VL) {
        int64_t left = n - j;
        vf v = vload_upto(dy + j, left, 0.0f);
        if (gamma)
            v = v * vload_upto(gamma + j, left, 0.0f);
        v = v - mean_v;
        if (live)
            v = v - (vload_upto(x + j, left, mean) - m) * s * mean_vn;
        v = v * s;
        if (accumulate)
            v = v + vload_upto(dx + j, left, 0.0f);
        vstore_upto(dx + j, v, left);
    }
}

void KERNEL(ln_grad_columns)(float *dgamma, float *dbeta, const float *dy, int64_t lddy,
    const float *x, int64_t ldx, const float *mean, const float *inv, int64_t rows, int64_t n)
{
    for (int64_t j = 0; j < n; j += VL) {
        int64_t left = n - j;
        struct vd2 g = vdset1(0.0), b = vdset1(0.0);
        for (int64_t r = 0; r < rows; r++) {
            vf d = vload_upto(dy + r * lddy + j, left, 0.0f);
            vf v = (vload_upto(x + r * ldx + j, left, 0.0f) - vset1(mean[r])) * vset1(inv[r]);
            g = vdadd(g, vwiden(d * v));
            b = vdadd(b, vwiden(d));
        }
        if (dgamma)
            vstore_upto(dgamma + j, vload_upto(dgamma + j, left, 0.0f) + vnarrow(g), left);
        if (dbeta)
            vstore_upto(dbeta + j, vload_upto(dbeta + j, left, 0.0f) + vnarrow(b), left);
    }
}

#define STREAM_ROW 256 /* shorter rows are as well off in the caches */

void KERNEL(row_out)(float *dst, const float *src, int64_t n, int64_t total, float fill)
{
    int64_t j = 0;
    if (total >= STREAM_ROW) {
        const vf f = vset1(fill);
        for (; (uintptr_t)(dst + j) % (VL * sizeof *dst) != 0; j++)
            dst[j] = j < n ? src[j] : fill;
        for (; j + VL <= n; j += VL)
            vstream(dst + j, vload(src + j));
        if (j < n && j + VL <= total) {
            vstream(dst + j, vload_n(src + j, n - j, fill));
            j += VL;
        }
        for (; j + VL <= total; j += VL)
            vstream(dst + j, f);
    }
    for (; j < total; j++)
        dst[j] = j < n ? src[j] : fill;
}

void KERNEL(fence)(void)
{
    vfence();
}

void KERNEL(softmax)(
    float *p, const float *s, float scale, int64_t n, int64_t pad, float *scaled, int64_t total)
{
    vf top = vset1(-INFINITY), a = vset1(scale);
    const int64_t whole = n / VL * VL, left = n - whole;
    for (int64_t j = 0; j < whole; j += VL) {
        vf v = vload(s + j) * a;
        vstore(p + j, v);
        top = vmax(v, top);
    }
    /* Lanes past the end are -inf: nothing to the maximum, exactly 0 to the sum. */
    vf tail = vset1(-INFINITY);
    if (left) {
        vstore_n(p + whole, vload_n(s + whole, left, 0.0f) * a, left);
        tail = vload_n(p + whole, left, -INFINITY);
        top = vmax(tail, top);
    }
    if (scaled)
        KERNEL(row_out)(scaled, p, n, total, -INFINITY);
    vf max = vset1(vmaxlane(top)), sum = vset1(0.0f);
    for (int64_t j = 0; j < whole; j += VL) {
        vf v = vexp(vload(p + j) - max);
        sum = sum + v;
        vstore(p + j, v);
    }
    tail = vexp(tail - max);
    vf inv = vset1(1.0f / vsum(sum + tail));
    for (int64_t j = 0; j < whole; j += VL)
        vstore(p + j, vload(p + j) * inv);
    if (left)
        vstore_n(p + whole, tail * inv, left);
    if (pad > n)
        memset(p + n, 0, (size_t)(pad - n) * sizeof *p);
}

void KERNEL(softmax_grad)(float *ds, const float *p, const float *dp, int64_t n, int64_t pad)
{
    struct vd2 dot = vdset1(0.0);
    for (int64_t j = 0; j < n; j += VL)
        dot = vdadd(dot, vwiden(vload_upto(p + j, n - j, 0.0f) * vload_upto(dp + j, n - j, 0.0f)));
    vf d = vset1((float)vdsum(dot));
    for (int64_t j = 0; j < n; j += VL)
        vstore_upto(
            ds + j, vload_upto(p + j, n - j, 0.0f) * (vload_upto(dp + j, n - j, 0.0f) - d), n - j);
    for (int64_t j = n; j < pad; j++)
        ds[j] = 0.0f;
}

void KERNEL(axpy)(float *y, const float *x, float a, int64_t n)
{
    vf s = vset1(a);
    int64_t j = 0;
    for (; j + VL <= n; j += VL)
        vstore(y + j, vfma(s, vload(x + j), vload(y + j)));
    if (j < n)
        vstore_upto(
            y + j, vfma(s, vload_upto(x + j, n - j, 0.0f), vload_upto(y + j, n - j, 0.0f)), n - j);
}

bool KERNEL(max)(float *max, const float *x, int64_t n)
{
    vf top = vset1(-INFINITY), zero = vset1(0.0f);
    for (int64_t j = 0; j < n; j += VL) {
        vf v = vload_upto(x + j, n - j, -INFINITY);
        top = vmax(v, top);
        zero = zero + vsel(veq(v, v), vset1(0.0f), vset1(1.0f));
    }
    *max = vmaxlane(top);
    return vsum(zero) > 0;
}

void KERNEL(exp_sums)(double *sum, double *dot, const float *x, float max, int64_t n)
{
    struct vd2 s = vdset1(0.0), t = vdset1(0.0);
    vf m = vset1(max);
    for (int64_t j = 0; j < n; j += VL) {
        vf d = vload_upto(x + j, n - j, -INFINITY) - m, e = vexp(d);
        s = vdadd(s, vwiden(e));
        /* exp(-inf) * -inf counts nothing. */
        t = vdadd(t, vwiden(e * vmax(vset1(-200.0f), d)));
    }
    *sum = vdsum(s);
    *dot = vdsum(t);
}

void KERNEL(shift)(float *out, const float *x, double by, int64_t n)
{
    struct vd2 b = vdset1(-by);
    for (int64_t j = 0; j < n; j += VL)
        vstore_upto(out + j, vnarrow(vdadd(vwiden(vload_upto(x + j, n - j, 0.0f)), b)), n - j);
}

double KERNEL(kl)(const float *logp, const float *logq, int64_t n)
{
    struct vd2 s = vdset1(0.0);
    for (int64_t j = 0; j < n; j += VL) {
        vf p = vload_upto(logp + j, n - j, -INFINITY), e = vexp(p);
        vf t = e * (p - vload_upto(logq + j, n - j, 0.0f));
        s = vdadd(s, vwiden(vsel(veq(e, vset1(0.0f)), vset1(0.0f), t)));
    }
    return vdsum(s);
}

int64_t KERNEL(count_above)(const float *x, float v, int64_t n)
{
    int64_t count = 0;
    vf t = vset1(v);
    for (int64_t j = 0; j < n; j += VL)
        count += __builtin_popcount(vbits(vlt(t, vload_upto(x + j, n - j, -INFINITY))));
    return count;
}

int64_t KERNEL(count_equal)(const float *x, float v, int64_t n)
{
    int64_t count = 0;
    vf t = vset1(v);
    for (int64_t j = 0; j < n; j += VL)
        count += __builtin_popcount(vbits(veq(t, vload_upto(x + j, n - j, NAN))));
    return count;
}

int64_t KERNEL(find_above)(const float *x, float v, int64_t from, int64_t n)
{
    const uint32_t all = VL == 16 ? 0xffff : (1u << VL) - 1;
    vf t = vset1(v);
    for (int64_t j = from; j < n; j += VL) {
        uint32_t m = ~vbits(vle(vload_upto(x + j, n - j, -INFINITY), t)) & all;
        if (m) {
            int64_t i = j + __builtin_ctz(m);
            if (i < n)
                return i;
        }
    }
    return n;
}

int64_t KERNEL(find_equal)(const float *x, float v, int64_t n)
{
    vf t = vset1(v);
    for (int64_t j = 0; j < n; j += VL) {
        uint32_t m = vbits(veq(t, vload_upto(x + j, n - j, NAN)));
        if (m)
            return j + __builtin_ctz(m);
    }
    return n;
}
