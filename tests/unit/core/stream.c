#include "model/core/stream.h"

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

/* "one\ntwo\r\n\nlast", packed. */
static const unsigned char gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb,
    0xcf, 0x4b, 0xe5, 0x2a, 0x29, 0xcf, 0xe7, 0xe5, 0xe2, 0xca, 0x49, 0x2c, 0x2e, 0x01, 0x00, 0x38,
    0xc2, 0x71, 0x2e, 0x0e, 0x00, 0x00, 0x00};

static char folder[] = "/tmp/sonde-stream-XXXXXX";
static char path[64];

static void put(const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void lines_are(const char *const *expected, int n)
{
    struct stream *s = NULL;
    struct err e = {0};
    const char *line;
    size_t len;
    assert_int_equal(stream_open(&s, path, &e), 0);
    for (int i = 0; i < n; i++) {
        assert_int_equal(stream_line(&line, &len, s, 0, &e), 1);
        assert_string_equal(line, expected[i]);
        assert_int_equal(len, strlen(expected[i]));
        assert_int_equal(stream_lines(s), i + 1);
    }
    assert_int_equal(stream_line(&line, &len, s, 0, &e), 0);
    assert_int_equal(stream_line(&line, &len, s, 0, &e), 0);
    assert_int_equal(stream_in(s), stream_size(s));
    stream_release(&s);
    assert_null(s);
}

static const char *const four[] = {"one", "two", "", "last"};

static void plain_lines(void **state)
{
    (void)state;
    put("one\ntwo\r\n\nlast", 14);
    lines_are(four, 4);
    put("one\ntwo\r\n\nlast\n", 15);
    lines_are(four, 4);
    put("", 0);
    lines_are(NULL, 0);
}

static void gzip_lines(void **state)
{
    (void)state;
    put(gz, sizeof gz);
    lines_are(four, 4);
    unsigned char two[2 * sizeof gz];
    memcpy(two, gz, sizeof gz);
    memcpy(two + sizeof gz, gz, sizeof gz);
    put(two, sizeof two);
    static const char *const eight[] = {"one", "two", "", "lastone", "two", "", "last"};
    lines_are(eight, 7);
}

/* Reads all through the file; the error code, or 0. */
static int drain(struct err *e)
{
    struct stream *s = NULL;
    char buf[64];
    int64_t got = stream_open(&s, path, e);
    if (got == 0)
        do
            got = stream_read(buf, s, sizeof buf, e);
        while (got > 0);
    stream_release(&s);
    return (int)got;
}

static void cut_and_damaged_gzip(void **state)
{
    (void)state;
    for (size_t n = 4; n < sizeof gz; n++) {
        struct err e = {0};
        put(gz, n);
        assert_int_equal(drain(&e), ERR_INPUT);
        assert_non_null(strstr(e.msg, "ends too early"));
    }
    unsigned char bad[sizeof gz];
    memcpy(bad, gz, sizeof gz);
    bad[sizeof gz - 6] ^= 1; /* the checksum */
    put(bad, sizeof bad);
    struct err e = {0};
    assert_int_equal(drain(&e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "damaged"));
}

static void cut_zstd(void **state)
{
    (void)state;
    static const unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x0e, 0x71, 0x00, 0x00,
        0x6f, 0x6e, 0x65, 0x0a, 0x74, 0x77, 0x6f, 0x0d, 0x0a, 0x0a, 0x6c, 0x61, 0x73, 0x74, 0xa2,
        0x8b, 0x31, 0x1d};
    struct err e = {0};
    put(frame, sizeof frame);
    lines_are(four, 4);
    for (size_t n = 4; n < sizeof frame; n++) {
        put(frame, n);
        assert_int_equal(drain(&e), ERR_INPUT);
    }
}

static void long_lines_cross_blocks(void **state)
{
    (void)state;
    size_t n = 1000000;
    char *text = malloc(n);
    memset(text, 'x', n);
    text[n / 2] = '\n';
    put(text, n);
    struct stream *s = NULL;
    struct err e = {0};
    const char *line;
    size_t len;
    assert_int_equal(stream_open(&s, path, &e), 0);
    assert_int_equal(stream_line(&line, &len, s, 0, &e), 1);
    assert_int_equal(len, n / 2);
    assert_int_equal(stream_line(&line, &len, s, 1000, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, "line 2"));
    stream_release(&s);
    free(text);
}

static void whole_files_have_a_limit(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    char *out;
    size_t n;
    put(gz, sizeof gz);
    assert_int_equal(stream_all(&out, &n, path, 14, &a, &e), 0);
    assert_int_equal(n, 14);
    assert_string_equal(out, "one\ntwo\r\n\nlast");
    assert_int_equal(stream_all(&out, &n, path, 13, &a, &e), ERR_LIMIT);
    assert_int_equal(stream_all(&out, &n, "/no/such/file", 13, &a, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "/no/such/file"));
    assert_int_equal(stream_all(&out, &n, folder, 13, &a, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "folder"));
    arena_release(&a);
}

/* Blocks and lines may be mixed: nothing is lost between them. */
static void lines_then_blocks(void **state)
{
    (void)state;
    put("one\nrest", 8);
    struct stream *s = NULL;
    struct err e = {0};
    const char *line;
    size_t len;
    char buf[16];
    assert_int_equal(stream_open(&s, path, &e), 0);
    assert_int_equal(stream_line(&line, &len, s, 0, &e), 1);
    assert_int_equal(stream_read(buf, s, sizeof buf, &e), 4);
    assert_memory_equal(buf, "rest", 4);
    assert_int_equal(stream_read(buf, s, sizeof buf, &e), 0);
    stream_release(&s);
}

/* Whoever reads keys has standard input to himself. */
static void the_keyboard_is_no_file(void **state)
{
    (void)state;
    struct stream *in;
    struct err e = {0};
    stream_keys(true);
    assert_int_equal(stream_open(&in, "-", &e), ERR_USAGE);
    assert_null(in);
    assert_non_null(strstr(e.msg, "name a file"));
    stream_keys(false);
    assert_non_null(freopen("/dev/null", "r", stdin));
    assert_int_equal(stream_open(&in, "-", &e), 0);
    stream_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(gzip_lines),
        cmocka_unit_test(cut_and_damaged_gzip),
        cmocka_unit_test(cut_zstd),
        cmocka_unit_test(long_lines_cross_blocks),
        cmocka_unit_test(whole_files_have_a_limit),
        cmocka_unit_test(lines_then_blocks),
        cmocka_unit_test(the_keyboard_is_no_file),
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/file", folder);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return rc;
}
