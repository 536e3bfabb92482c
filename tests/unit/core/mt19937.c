/* numpy.random.RandomState: the words, and the normals to the bit. */
#include "model/core/mt19937.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void words(void **state)
{
    (void)state;
    /* RandomState(5489) is the reference code's own seed; its 10000th word is in the standard. */
    struct mt19937 r;
    mt19937_init(&r, 5489);
    uint32_t x = 0;
    for (int i = 0; i < 10000; i++)
        x = mt19937_u32(&r);
    assert_int_equal(x, 4123659995u);
}

static void normals(void **state)
{
    (void)state;
    static const double want[] = {0x1.9fd5190657c50p+0, -0x1.393822fb7d9adp-1,
        -0x1.0e6c872548fd2p-1, -0x1.12ae1255cb80cp+0, 0x1.bb16b5735117dp-1, -0x1.2698d1ecca259p+1,
        0x1.beabfbd8fc605p+0, -0x1.85bce931aaff6p-1};
    struct mt19937 r;
    mt19937_init(&r, 1);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(mt19937_normal(&r) == want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words), cmocka_unit_test(normals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
