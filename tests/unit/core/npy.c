#include "model/core/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/sonde-npy-XXXXXX";

static void put(const char *header, const void *data, size_t n, int version)
{
    FILE *f = fopen(path, "wb");
    size_t len = strlen(header);
    const unsigned char fixed[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0,
        (unsigned char)len, (unsigned char)(len >> 8)};
    assert_non_null(f);
    fwrite(fixed, 1, version > 1 ? 12 : 10, f);
    fwrite(header, 1, len, f);
    fwrite(data, 1, n, f);
    fclose(f);
}

static void numbers_come_back(void **state)
{
    (void)state;
    struct err e = {0};
    struct arena a = {0};
    struct tensor t;
    const float v[6] = {1, -2, 3.5f, 4, 5, 6};
    FILE *f = fopen(path, "wb");
    assert_int_equal(npy_write_header(f, DT_F32, (int64_t[]){2, 3}, 2, &e), 0);
    assert_int_equal(ftell(f) % 64, 0);
    fwrite(v, 4, 6, f);
    fclose(f);
    assert_int_equal(npy_load(&t, path, &a, &e), 0);
    assert_true(t.rank == 2 && t.dim[0] == 2 && t.dim[1] == 3 && t.dtype == DT_F32);
    assert_memory_equal(t.data, v, sizeof v);
    /* Fortran order and the other byte order, as other programs write. */
    put("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", v, sizeof v, 2);
    float *w;
    int64_t n;
    assert_int_equal(npy_load_f32(&w, &n, path, &a, &e), 0);
    assert_int_equal(n, 6);
    assert_true(w[0] == 1 && w[1] == 3.5f && w[2] == 5 && w[3] == -2 && w[5] == 6);
    put("{\"shape\": (3,), \"descr\": \">i2\", \"fortran_order\": False}",
        "\x00\x01\xff\xfe\x7f\xff", 6, 1);
    assert_int_equal(npy_load_f32(&w, &n, path, &a, &e), 0);
    assert_true(n == 3 && w[0] == 1 && w[1] == -2 && w[2] == 32767);
    put("{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", (double[]){2.5}, 8, 3);
    assert_int_equal(npy_load_f32(&w, &n, path, &a, &e), 0);
    assert_true(n == 1 && w[0] == 2.5f);
    put("{'descr': '|b1', 'fortran_order': False, 'shape': (0, 7)}", "", 0, 1);
    assert_int_equal(npy_load(&t, path, &a, &e), 0);
    assert_true(t.rank == 2 && t.dim[0] == 0 && t.dim[1] == 7);
    arena_release(&a);
}

static void lies_are_refused(void **state)
{
    (void)state;
    struct arena a = {.limit = 4 << 20};
    static const char *const headers[] = {
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3037000500, 3037000500)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr",
        "",
        "(",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct err e = {0};
        struct tensor t;
        put(headers[i], "abcd", 4, 1);
        if (npy_load(&t, path, &a, &e) != ERR_INPUT)
            fail_msg("accepted: %s", headers[i]);
        assert_non_null(strstr(e.msg, path));
    }
    /* Cut at every byte. */
    put("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "abcd", 4, 1);
    FILE *f = fopen(path, "rb");
    char all[256];
    size_t n = fread(all, 1, sizeof all, f);
    fclose(f);
    struct err e = {0};
    struct tensor t;
    assert_int_equal(npy_load(&t, path, &a, &e), 0);
    while (n-- > 0) {
        assert_int_equal(truncate(path, (off_t)n), 0);
        assert_int_equal(npy_load(&t, path, &a, &e), ERR_INPUT);
    }
    assert_int_equal(npy_load(&t, "/no/such.npy", &a, &e), ERR_INPUT);
    assert_int_equal(npy_load(&t, "/", &a, &e), ERR_INPUT);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(lies_are_refused),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
