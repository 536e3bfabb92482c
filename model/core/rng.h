#ifndef SONDE_CORE_RNG_H
#define SONDE_CORE_RNG_H

#include <stdint.h>

/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy
 * as 1, 2, 3"). Number i of a stream is a function of (seed, stream, i) alone, on every machine and
 * for ever (normals: to the last bit of libm): reports that name a seed stay reproducible, and workers
 * take disjoint streams.
 *
 * Words: the 64-bit key is the seed; the 128-bit counter is (block, stream), block = i / 4 for the
 * 32-bit words, low word first. rng_u64 joins two words, the first one low. */
struct rng {
    uint64_t seed, stream;
    uint64_t at;      /* 32-bit words used */
    uint32_t word[4]; /* the current block */
    uint64_t block;   /* which block `word` is, plus one; 0: none */
    double spare;     /* the second normal of a pair */
    int has_spare;
};

void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
double rng_uniform(struct rng *r);                      /* [0, 1), 53 bits of one u64 */
uint64_t rng_below(struct rng *r, uint64_t n);          /* [0, n), unbiased; n > 0 */
double rng_normal(struct rng *r);                       /* mean 0, variance 1 (Box and Muller) */
void rng_shuffle(struct rng *r, int64_t *x, int64_t n); /* Fisher and Yates, from the end */
void rng_permutation(struct rng *r, int64_t *x, int64_t n); /* x = shuffled 0..n-1 */

#endif
