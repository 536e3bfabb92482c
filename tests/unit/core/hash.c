#include "model/core/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Answers of the reference implementation's Python binding. */
static void known_answers(void **state)
{
    (void)state;
    char hex[HASH_HEX];
    hash_hex_of(hex, "sonde", 5);
    assert_string_equal(hex, "f6df5ccce3a26cd5514768273dbb0d1e");
    hash_hex_of(hex, "", 0);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    assert_true(hash_u64_of("sonde", 5) == 0xc7d857713c1ec620);
}

static void pieces_give_the_whole(void **state)
{
    (void)state;
    static unsigned char data[5000];
    char whole[HASH_HEX], pieces[HASH_HEX];
    struct err e = {0};
    struct hash *h;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 31);
    hash_hex_of(whole, data, sizeof data);
    assert_int_equal(hash_create(&h, &e), 0);
    for (size_t at = 0, n = 1; at < sizeof data; at += n, n = n * 2 + 1)
        hash_add(h, data + at, at + n < sizeof data ? n : sizeof data - at);
    hash_hex(pieces, h);
    assert_string_equal(whole, pieces);
    hash_add_u64(h, 0x0102030405060708);
    hash_hex(whole, h);
    assert_string_not_equal(whole, pieces);
    hash_release(&h);
    hash_release(&h);

    assert_int_equal(hash_create(&h, &e), 0);
    hash_add_u64(h, 0x0102030405060708);
    hash_hex(pieces, h);
    hash_hex_of(whole, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_string_equal(whole, pieces);
    hash_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_give_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
