#include "model/core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    char *last = NULL;
    for (size_t n = 0; n < 5000000; n = n * 3 + 1) {
        char *p = arena_alloc(&a, n, &e);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(p != last);
        memset(p, 1, n);
        last = p;
    }
    arena_release(&a);
    assert_null(a.head);
}

static void rewind_gives_back(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    assert_non_null(arena_alloc(&a, 100, &e));
    struct arena_mark mark = arena_mark(&a);
    char *first = arena_alloc(&a, 50, &e);
    assert_non_null(arena_alloc(&a, 10000000, &e));
    arena_rewind(&a, mark);
    assert_int_equal(a.used, mark.used);
    assert_ptr_equal(arena_alloc(&a, 50, &e), first);
    char *zero = arena_zalloc(&a, 3000000, &e);
    for (size_t i = 0; i < 3000000; i++)
        assert_int_equal(zero[i], 0);
    arena_release(&a);
}

static void limits_refuse(void **state)
{
    (void)state;
    struct arena a = {.limit = 1000};
    struct err e = {0};
    assert_null(arena_alloc(&a, 2000, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    volatile size_t absurd = SIZE_MAX - 3;
    assert_null(arena_alloc(&a, absurd, &e));
    assert_null(arena_array(&a, SIZE_MAX / 2, 4, &e));
    assert_non_null(arena_alloc(&a, 900, &e));
    assert_null(arena_alloc(&a, 900, &e));
    arena_release(&a);
    a = (struct arena){.fail_after = 2};
    assert_non_null(arena_alloc(&a, 1, &e));
    assert_non_null(arena_alloc(&a, 1, &e));
    assert_null(arena_alloc(&a, 1, &e));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(rewind_gives_back),
        cmocka_unit_test(limits_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
