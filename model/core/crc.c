#include "model/core/crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLY 0x82f63b78u /* bit-reversed */

static uint32_t table[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Three streams run side by side in a piece of 3 * LANE bytes, because the instruction has a latency
 * of three; shift[k][b] advances byte k of a crc over LANE zero bytes. */
#define LANE 4096
static uint32_t shift[4][256];
static bool has_instruction;

static void start(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ POLY : c >> 1;
        table[i] = c;
    }
    /* A crc is linear in its bits: advance each bit alone, then every byte by its bits. */
    uint32_t bit[32];
    for (int i = 0; i < 32; i++) {
        uint32_t c = 1u << i;
        for (int n = 0; n < LANE; n++)
            c = c >> 8 ^ table[c & 255];
        bit[i] = c;
    }
    for (int k = 0; k < 4; k++)
        for (int b = 0; b < 256; b++) {
            uint32_t c = 0;
            for (int i = 0; i < 8; i++)
                c ^= b >> i & 1 ? bit[8 * k + i] : 0;
            shift[k][b] = c;
        }
#ifdef __x86_64__
    has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c_plain(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    pthread_once(&once, start);
    crc = ~crc;
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

#ifdef __x86_64__

static uint32_t advance(uint32_t c)
{
    return shift[0][c & 255] ^ shift[1][c >> 8 & 255] ^ shift[2][c >> 16 & 255] ^ shift[3][c >> 24];
}

static uint64_t load(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(
    uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t a = ~crc;
    for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = __builtin_ia32_crc32di(a, load(p + i));
            b = __builtin_ia32_crc32di(b, load(p + LANE + i));
            c = __builtin_ia32_crc32di(c, load(p + 2 * LANE + i));
        }
        a = advance((uint32_t)a) ^ b;
        a = advance((uint32_t)a) ^ c;
    }
    for (; n >= 8; n -= 8, p += 8)
        a = __builtin_ia32_crc32di(a, load(p));
    uint32_t last = (uint32_t)a;
    for (; n; n--, p++)
        last = __builtin_ia32_crc32qi(last, *p);
    return ~last;
}

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    pthread_once(&once, start);
#ifdef __x86_64__
    if (has_instruction)
        return by_instruction(crc, data, n);
#endif
    return crc32c_plain(crc, data, n);
}
