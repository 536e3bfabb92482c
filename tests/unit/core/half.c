#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/tensor.h"

/* F16 <-> F32 against the definition: every code, the value half way to the next, and its neighbours
 * on both sides. Arrays of 1 go by the plain twin, of 8 by the instruction. */

static double value_of(uint16_t h)
{
    int exp = h >> 10 & 31, man = h & 1023;
    double v = exp ? ldexp(1024 + man, exp - 25) : ldexp(man, -24);
    return h & 0x8000 ? -v : v;
}

static uint16_t narrow(float f)
{
    float in[8];
    uint16_t one, eight[8];
    for (int i = 0; i < 8; i++)
        in[i] = f;
    tensor_narrow(&one, &f, DT_F16, 1);
    tensor_narrow(eight, in, DT_F16, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(eight[i], one);
    return one;
}

static float widen(uint16_t h)
{
    uint16_t in[8];
    float one, eight[8];
    for (int i = 0; i < 8; i++)
        in[i] = h;
    tensor_widen(&one, &h, DT_F16, 1);
    tensor_widen(eight, in, DT_F16, 8);
    for (int i = 0; i < 8; i++)
        assert_memory_equal(&eight[i], &one, 4);
    return one;
}

static void test_finite(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++)
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            uint16_t code = (uint16_t)(h | sign);
            double v = value_of(code), next = h + 1 < 0x7c00 ? value_of((uint16_t)(code + 1))
                                                             : (sign ? -65536.0 : 65536.0);
            float middle = (float)((v + next) / 2);
            assert_true((double)widen(code) == v);
            assert_int_equal(narrow((float)v), code);
            assert_int_equal(narrow(middle), h % 2 ? code + 1 : code); /* ties go to even */
            assert_int_equal(narrow(nextafterf(middle, 0)), code);
            assert_int_equal(narrow(nextafterf(middle, sign ? -INFINITY : INFINITY)), code + 1);
        }
}

static void test_special(void **state)
{
    (void)state;
    assert_int_equal(narrow(INFINITY), 0x7c00);
    assert_int_equal(narrow(-INFINITY), 0xfc00);
    assert_int_equal(narrow(1e30f), 0x7c00);
    assert_int_equal(narrow(NAN) & 0x7fff, 0x7e00);
    assert_true(isinf(widen(0x7c00)) && widen(0xfc00) < 0);
    for (uint32_t h = 0x7c01; h < 0x8000; h++) {
        assert_true(isnan(widen((uint16_t)h)));
        assert_int_equal(narrow(widen((uint16_t)h)), h | 0x200);
    }
    assert_int_equal(narrow(1e-9f), 0);
    assert_int_equal(narrow(-1e-9f), 0x8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite), cmocka_unit_test(test_special)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
