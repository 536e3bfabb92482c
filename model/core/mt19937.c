#include "model/core/mt19937.h"

#include <math.h>

enum { N = 624, M = 397 };

void mt19937_init(struct mt19937 *r, uint32_t seed)
{
    r->state[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        r->state[i] = 1812433253u * (r->state[i - 1] ^ (r->state[i - 1] >> 30)) + i;
    r->at = N;
    r->has_spare = 0;
}

static void refill(struct mt19937 *r)
{
    for (int i = 0; i < N; i++) {
        const uint32_t y = (r->state[i] & 0x80000000u) | (r->state[(i + 1) % N] & 0x7fffffffu);
        r->state[i] = r->state[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    r->at = 0;
}

uint32_t mt19937_u32(struct mt19937 *r)
{
    if (r->at == N)
        refill(r);
    uint32_t y = r->state[r->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static double uniform(struct mt19937 *r)
{
    const uint32_t a = mt19937_u32(r) >> 5, b = mt19937_u32(r) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

double mt19937_normal(struct mt19937 *r)
{
    double x, y, r2;
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    do {
        x = 2 * uniform(r) - 1;
        y = 2 * uniform(r) - 1;
        r2 = x * x + y * y;
    } while (r2 >= 1 || r2 == 0);
    const double f = sqrt(-2 * log(r2) / r2);
    r->spare = f * x;
    r->has_spare = 1;
    return f * y;
}
