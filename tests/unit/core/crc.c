#include "model/core/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"

/* The check value of the catalogue of CRC algorithms, and vectors of RFC 3720, B.4. */
static void test_known(void **state)
{
    (void)state;
    unsigned char data[32];
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(data, 0, sizeof data);
    assert_int_equal(crc32c(0, data, sizeof data), 0x8a9136aa);
    memset(data, 255, sizeof data);
    assert_int_equal(crc32c(0, data, sizeof data), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, data, sizeof data), 0x46dd794e);
    assert_int_equal(crc32c(0, data, 0), 0);
}

/* The instruction and the table on lengths around the lanes, in one piece and in two. */
static void test_twins(void **state)
{
    (void)state;
    static unsigned char data[30000];
    struct rng r;
    rng_init(&r, 1, 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)rng_below(&r, 256);
    static const size_t lengths[] = {
        1, 2, 7, 8, 9, 63, 4095, 4096, 12287, 12288, 12289, 24576, 24577, 29999};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i], half = n / 3;
        uint32_t want = crc32c_plain(0, data + 1, n);
        assert_int_equal(crc32c(0, data + 1, n), want);
        assert_int_equal(crc32c(crc32c(0, data + 1, half), data + 1 + half, n - half), want);
        data[n / 2 + 1] ^= 16;
        assert_int_not_equal(crc32c(0, data + 1, n), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_twins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
