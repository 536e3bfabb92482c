#ifndef SONDE_CORE_MT19937_H
#define SONDE_CORE_MT19937_H

#include <stdint.h>

/* The Mersenne twister (Matsumoto and Nishimura 1998) with numpy's legacy normals, so that published
 * experiments which drew from numpy.random.RandomState(seed).randn can be repeated to the bit. Our own
 * random choices use rng.h. */
struct mt19937 {
    uint32_t state[624];
    int at;
    double spare;
    int has_spare;
};

void mt19937_init(struct mt19937 *r, uint32_t seed);
uint32_t mt19937_u32(struct mt19937 *r);
double mt19937_normal(struct mt19937 *r); /* polar method; of a pair the second comes first */

#endif
