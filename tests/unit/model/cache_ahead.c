#include "model/cache_ahead.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A file whose words count up, read as STREAMS tables of rows that do not begin on a page. */
#define STREAMS 40
#define ROW 1004
#define ROWS 1500
#define FIRST 12
#define BYTES ((size_t)ROW * ROWS)

static uint32_t word(uint64_t at)
{
    return (uint32_t)(at / 4 * 2654435761u);
}

static uint64_t base(int stream)
{
    return FIRST + (uint64_t)stream * BYTES;
}

static void write_file(char *path)
{
    uint64_t n = base(STREAMS);
    uint32_t *all = malloc(n);
    for (uint64_t i = 0; i < n / 4; i++)
        all[i] = word(4 * i);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, all, n), n);
    close(fd);
    free(all);
}

/* false: this file system keeps all in memory. */
static bool make_cold(const struct cold_file *f)
{
    (void)fdatasync(f->fd);
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    return cold_is(f, base(0), BYTES * STREAMS);
}

static struct ahead_part part_of(const struct cold_file *f, int stream, int64_t row, int64_t n)
{
    uint64_t from = base(stream) + (uint64_t)row * ROW;
    return (struct ahead_part){f, from, from + (uint64_t)n * ROW, base(stream) + BYTES, ROW};
}

static void check_words(const unsigned char *data, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t have, want = word(at + i);
        memcpy(&have, data + i, 4);
        if (have != want)
            fail_msg("offset %llu: %u, not %u", (unsigned long long)(at + i), have, want);
    }
}

/* Whether rows came ahead; whole rows in order, and all of them. */
static bool read_rows(
    struct ahead *a, const struct cold_file *f, int stream, int64_t row, int64_t rows)
{
    struct ahead_part part = part_of(f, stream, row, rows);
    const unsigned char *data;
    size_t n;
    if (!ahead_begin(a, stream, &part))
        return false;
    uint64_t at = part.from;
    while (ahead_next(&data, &n, a, stream)) {
        assert_int_equal(n % ROW, 0);
        check_words(data, n, at);
        at += n;
    }
    assert_int_equal(at, part.to);
    ahead_end(a, stream);
    return true;
}

/* Windows of every stream in turn, more streams than have room for large pieces, then one alone. */
static void rows_come_in_order(void **state)
{
    struct cold_file f;
    struct ahead *a;
    struct err e;
    int64_t ahead = 0, turns = 0;
    assert_int_equal(cold_open(&f, *state, &e), 0);
    assert_int_equal(ahead_create(&a, STREAMS, &e), 0);
    bool cold = make_cold(&f);
    for (int64_t row = 0, n = 7; row < ROWS; row += n, n = n * 3 / 2 + 1)
        for (int s = 0; s < STREAMS; s++, turns++) {
            n = n < ROWS - row ? n : ROWS - row;
            ahead += read_rows(a, &f, s, row, n);
        }
    /* All but the first window of each, which is no sequence yet. */
    assert_int_equal(ahead, cold ? turns - STREAMS : 0);
    /* What was read like that is not in memory now. */
    assert_int_equal(read_rows(a, &f, 3, 100, 1000), false);
    assert_int_equal(read_rows(a, &f, 3, 1100, 200), cold);
    assert_int_equal(read_rows(a, &f, 3, 1300, 200), cold);
    ahead_forget(a, &f);
    assert_int_equal(read_rows(a, &f, 3, 0, 1), false);
    ahead_release(&a);
    cold_close(&f);
}

/* What cannot be read is left to the caller, and other streams go on. */
static void a_cut_file_is_left_to_the_caller(void **state)
{
    struct cold_file f;
    struct ahead *a;
    struct err e;
    const int last = STREAMS - 1;
    assert_int_equal(cold_open(&f, *state, &e), 0);
    assert_int_equal(ahead_create(&a, STREAMS, &e), 0);
    if (!make_cold(&f))
        skip();
    assert_int_equal(truncate(*state, (off_t)(base(last) + BYTES / 2)), 0);
    assert_false(read_rows(a, &f, last, 0, 100));
    struct ahead_part part = part_of(&f, last, 100, ROWS - 100);
    const unsigned char *data;
    size_t n;
    assert_true(ahead_begin(a, last, &part));
    while (ahead_next(&data, &n, a, last))
        check_words(data, n, part.from), part.from += n;
    assert_true(part.from < part.to);
    ahead_end(a, last);
    assert_false(read_rows(a, &f, 0, 0, 100));
    assert_true(read_rows(a, &f, 0, 100, 100));
    ahead_release(&a);
    cold_close(&f);
}

static int setup(void **state)
{
    char *path = strdup("cache-ahead-XXXXXX");
    write_file(path);
    *state = path;
    return 0;
}

static int teardown(void **state)
{
    unlink(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_order),
        cmocka_unit_test(a_cut_file_is_left_to_the_caller), /* last: the file is cut */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
