#include "model/weights.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A file of `header` and n_data bytes of data, its length field `len` (0: the true one). */
static size_t make_file(
    unsigned char *out, size_t cap, const char *header, size_t n_data, uint64_t len)
{
    size_t n = strlen(header);
    assert_true(8 + n + n_data <= cap);
    if (!len)
        len = n;
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(len >> 8 * i);
    memcpy(out + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        out[8 + n + i] = (unsigned char)i;
    return 8 + n + n_data;
}

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"

static void every_lie_is_one_clear_error(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        uint64_t len;
        const char *says;
    } bad[] = {
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "4", "12") "}", 12, 0,
            "'b' overlaps 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "0", "8") "}", 8, 0,
            "'b' overlaps 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[0]", "4", "4") "}", 8, 0,
            "'b' overlaps 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "12", "20") "}", 20, 0,
            "before tensor 'b' belong to no tensor"},
        {"{" T("a", "F32", "[2]", "4", "12") "}", 12, 0, "before tensor 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "}", 9, 0, "behind the last tensor 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "}", 7, 0, "'a' ends at byte 8"},
        {"{" T("a", "F32", "[3]", "0", "8") "}", 8, 0, "'a': shape and dtype need 12 bytes"},
        {"{" T("a", "F16", "[2]", "0", "8") "}", 8, 0, "'a': shape and dtype need 4 bytes"},
        {"{" T("a", "F33", "[2]", "0", "8") "}", 8, 0, "'a': unknown dtype"},
        {"{" T("a", "F32", "[2]", "8", "0") "}", 8, 0, "'a': data_offsets [8, 0] run backwards"},
        {"{" T("a", "F32", "[9223372036854775808]", "0", "8") "}", 8, 0, "'a': shape holds"},
        {"{" T("a", "F32", "[2]", "0", "18446744073709551616") "}", 8, 0,
            "'a': data_offsets holds"},
        {"{" T("a", "F32", "[2]", "0", "9007199254740991") "}", 8, 0, "'a' ends at byte"},
        {"{" T("a", "F32", "[4294967296,4294967296]", "0", "8") "}", 8, 0,
            "'a': its shape overflows"},
        {"{" T("a", "F64", "[2305843009213693,2048]", "0", "8") "}", 8, 0,
            "'a': its shape overflows"},
        {"{" T("a", "F32", "[-2]", "0", "8") "}", 8, 0, "'a': shape holds -2"},
        {"{" T("a", "F32", "[1.5]", "0", "8") "}", 8, 0, "'a': shape holds 1.5"},
        {"{" T("a", "F32", "[\"2\"]", "0", "8") "}", 8, 0, "'a': shape holds a string"},
        {"{" T("a", "F32", "2", "0", "8") "}", 8, 0, "'a': shape is"},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", 8, 0, "'a': 9 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, 0,
            "'a': data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, 0, "'a': data_offsets"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, 0, "'a': dtype is absent"},
        {"{\"a\":7}", 8, 0, "tensor 'a'"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("a", "F32", "[2]", "0", "8") "}", 8, 0,
            "duplicate"},
        {"{" T("a", "F32", "[2]", "0", "8") "," T("transformer.a", "F32", "[2]", "8", "16") "}", 16,
            0, "'a' is there twice"},
        {"{\"__metadata__\":3," T("a", "F32", "[2]", "0", "8") "}", 8, 0, "__metadata__"},
        {"{\"__metadata__\":{\"x\":3}," T("a", "F32", "[2]", "0", "8") "}", 8, 0,
            "__metadata__ 'x'"},
        {"{" T("a\xff", "F32", "[2]", "0", "8") "}", 8, 0, "line 1"},
        {"[]", 0, 0, "not an object"},
        {"{}x", 0, 0, "line 1"},
        {"{}", 1, 0, "1 bytes behind"},
        {"{}", 0, 3, "truncated"},
        {"{}", 0, 1, "empty header"},
        {"{}", 0, 200 << 20, "no safetensors file"},
        {"{}", 0, UINT64_MAX, "no safetensors file"},
    };
    unsigned char file[1024];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct weights *w;
        size_t n = make_file(file, sizeof file, bad[i].header, bad[i].data, bad[i].len);
        unsigned char *exact = malloc(n); /* so that a read beyond the end is seen */
        memcpy(exact, file, n);
        assert_int_equal(weights_open_memory(&w, exact, n, "file", &e), ERR_INPUT);
        assert_null(w);
        if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, "file"))
            fail_msg("'%s' says '%s'", bad[i].header, e.msg);
        free(exact);
    }
    for (size_t n = 0; n < 10; n++) {
        struct err e = {0};
        struct weights *w;
        assert_int_equal(weights_open_memory(&w, "\x80\0\0\0\0\0\0\0{}", n, "f", &e), ERR_INPUT);
        assert_non_null(strstr(e.msg, "truncated"));
    }
}

static void good_files_are_read(void **state)
{
    (void)state;
    unsigned char file[1024];
    float *f;
    struct err e = {0};
    struct arena arena = {0};
    struct weights *w;
    size_t n = make_file(file, sizeof file,
        "{\"__metadata__\":{\"format\":\"pt\"}," T("z", "F16", "[2]", "8", "12") ","              //
        T("transformer.h.0.attn.bias", "U8", "[1,1,2,2]", "12", "16") ","                         //
        T("none", "F32", "[0,5]", "8", "8") "," T("transformer.b", "BF16", "[2,2]", "0", "8") "," //
        T("scalar", "I64", "[]", "16", "24") "}   ",
        24, 0);
    assert_int_equal(weights_open_memory(&w, file, n, "file", &e), 0);
    assert_int_equal(weights_count(w), 4); /* the mask is left out */
    assert_string_equal(weights_at(w, 0)->name, "b");
    assert_string_equal(weights_at(w, 3)->name, "z");
    assert_null(weights_find(w, "transformer.b"));
    assert_int_equal(weights_bytes(w), 20);
    const struct weight *b = weights_find(w, "b");
    assert_int_equal(b->rank, 2);
    assert_int_equal(weights_load_f32(&f, w, b, &arena, &e), 0);
    uint32_t bits;
    memcpy(&bits, &f[1], 4);
    assert_int_equal(bits, 0x03020000);
    unsigned char two[2];
    assert_int_equal(weights_read(w, weights_find(w, "z"), 1, 2, two, &e), 0);
    assert_int_equal(two[0], 9);
    assert_int_equal(weights_read(w, weights_find(w, "z"), 3, 2, two, &e), ERR_USAGE);
    assert_int_equal(weights_read(w, weights_find(w, "z"), UINT64_MAX, 2, two, &e), ERR_USAGE);
    assert_int_equal(weights_load_f32(&f, w, weights_find(w, "scalar"), &arena, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "'scalar' is I64"));
    weights_release(&w);
    weights_release(&w);
    arena_release(&arena);
}

/* ---- files ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[2][256];
    static int i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", folder, name);
    return path[i];
}

static void put_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sonde-weights-XXXXXX");
    return mkdtemp(folder) && !setenv("XDG_CACHE_HOME", folder, 1) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put_tensors(const char *name, const char *const *names, int n)
{
    static const float values[4] = {1, 2, 3, 4};
    struct weights_out list[8];
    struct err e = {0};
    for (int i = 0; i < n; i++)
        list[i] = (struct weights_out){
            names[i], {.dtype = DT_F32, .rank = 1, .dim = {4}, .data = (void *)(uintptr_t)values}};
    assert_int_equal(weights_save(in_folder(name), list, n, "{\"k\": \"v\"}", &e), 0);
}

static void a_changed_file_is_an_error(void **state)
{
    (void)state;
    float f[4];
    struct err e = {0};
    struct weights *w;
    put_tensors("m.safetensors", (const char *const[]){"a", "b"}, 2);
    assert_int_equal(weights_open_file(&w, in_folder("m.safetensors"), &e), 0);
    assert_int_equal(weights_read_f32(w, weights_find(w, "b"), 0, 4, f, &e), 0);
    assert_true(f[3] == 4);
    assert_int_equal(truncate(in_folder("m.safetensors"), 60), 0);
    assert_int_equal(weights_read_f32(w, weights_find(w, "b"), 0, 4, f, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "became shorter"));
    assert_non_null(strstr(e.msg, "m.safetensors"));
    weights_release(&w);
    assert_int_equal(weights_open_file(&w, in_folder("m.safetensors"), &e), ERR_INPUT);

    put_tensors("m.safetensors", (const char *const[]){"a", "b"}, 2);
    assert_int_equal(weights_open_file(&w, in_folder("m.safetensors"), &e), 0);
    struct timespec t[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder("m.safetensors"), t, 0), 0);
    assert_int_equal(weights_read_f32(w, weights_find(w, "b"), 0, 4, f, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "changed while it was open"));
    weights_release(&w);
}

static void only_regular_files_are_opened(void **state)
{
    (void)state;
    struct err e = {0};
    struct weights *w;
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(weights_open_file(&w, in_folder("fifo"), &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "not a regular file"));
    assert_int_equal(weights_open_file(&w, folder, &e), ERR_INPUT);
    assert_int_equal(weights_open_file(&w, in_folder("nothing"), &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "No such file"));
}

static void an_index_must_tell_the_truth(void **state)
{
    (void)state;
    static const struct {
        const char *map, *says;
    } bad[] = {
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"s2\",\"d\":\"s2\"}", "'d' is not in"},
        {"{\"a\":\"s1\",\"b\":\"s2\",\"c\":\"s2\"}", "'b' is in"},
        {"{\"a\":\"s1\",\"c\":\"s2\"}", "does not name tensor 'b'"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"s3\"}", "tensor 'c'"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"../s2\"}", "no file of this folder"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"/etc/passwd\"}", "no file of this folder"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"..\"}", "no file of this folder"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"\"}", "no file of this folder"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":2}", "'c' has no file name"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"s2\\u0000\"}", "'c' has no file name"},
        {"{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"s4\"}", "tensor 'a' is in"},
        {"[]", "weight_map is an array"},
    };
    put_tensors("s1", (const char *const[]){"a", "b"}, 2);
    put_tensors("s2", (const char *const[]){"c"}, 1);
    put_tensors("s4", (const char *const[]){"c", "a"}, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        struct err e = {0};
        struct weights *w;
        snprintf(text, sizeof text, "{\"weight_map\":%s}", bad[i].map);
        put_text("model.safetensors.index.json", text);
        assert_int_equal(weights_open(&w, folder, &e), ERR_INPUT);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("%s says '%s'", bad[i].map, e.msg);
    }
    struct err e = {0};
    struct weights *w;
    put_text("model.safetensors.index.json",
        "{\"metadata\":{}, \"weight_map\":{\"a\":\"s1\",\"b\":\"s1\",\"c\":\"s2\"}}");
    assert_int_equal(weights_open(&w, folder, &e), 0);
    assert_int_equal(weights_count(w), 3);
    assert_non_null(strstr(weights_path(w, weights_find(w, "c")), "/s2"));
    float f[4];
    assert_int_equal(weights_read_f32(w, weights_find(w, "c"), 1, 2, f, &e), 0);
    assert_true(f[0] == 2 && f[1] == 3);
    weights_release(&w);
    put_text("model.safetensors.index.json", "{\"metadata\":{}}");
    assert_int_equal(weights_open(&w, folder, &e), ERR_INPUT);
    unlink(in_folder("model.safetensors.index.json"));
}

static void pickles_are_refused_with_the_way_out(void **state)
{
    (void)state;
    struct err e = {0};
    struct weights *w;
    assert_int_equal(weights_open(&w, folder, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "neither model.safetensors"));
    put_text("pytorch_model.bin", "PK");
    assert_int_equal(weights_open(&w, folder, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "save_pretrained"));
    unlink(in_folder("pytorch_model.bin"));
}

static void age_file(const char *name)
{
    struct timespec t[2] = {{.tv_sec = 5000}, {.tv_sec = 5000}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder(name), t, 0), 0);
}

static void hash_of(char out[33], const char *name)
{
    struct err e = {0};
    struct weights *w;
    assert_int_equal(weights_open_file(&w, in_folder(name), &e), 0);
    assert_int_equal(weights_hash(out, w, &e), 0);
    weights_release(&w);
}

static void hashes_are_of_the_tensors_and_remembered(void **state)
{
    (void)state;
    char a[33], b[33], c[33];
    put_tensors("h1", (const char *const[]){"a", "b"}, 2);
    put_tensors("h2", (const char *const[]){"transformer.b", "transformer.a"}, 2);
    put_tensors("h3", (const char *const[]){"a", "c"}, 2);
    age_file("h1");
    hash_of(a, "h1");
    hash_of(b, "h2"); /* order and prefix do not matter */
    hash_of(c, "h3");
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    /* The memory is believed: a hash of our own comes back. */
    char path[256], line[67];
    snprintf(path, sizeof path, "%s/sonde/model-hashes", folder);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fread(line, 1, 66, f), 66);
    memset(line + 33, '7', 32);
    rewind(f);
    fwrite(line, 1, 66, f);
    fclose(f);
    hash_of(b, "h1");
    assert_string_equal(b, "77777777777777777777777777777777");
    line[32] = '_';
    line[66] = '\0';
    /* Another size or time is another file; a damaged memory is none. */
    put_tensors("h1", (const char *const[]){"a", "b"}, 2);
    hash_of(b, "h1");
    assert_string_equal(a, b);
    for (int damage = 0; damage < 3; damage++) {
        f = fopen(path, "w");
        fputs(damage == 0 ? "garbage" : damage == 1 ? "" : line, f);
        fclose(f);
        age_file("h1");
        hash_of(b, "h1");
        assert_string_equal(a, b);
        hash_of(b, "h1");
        assert_string_equal(a, b);
    }
}

static void saving_is_all_or_nothing(void **state)
{
    (void)state;
    static float x[3] = {1, 2, 3};
    struct weights_out o = {"a", {.dtype = DT_F32, .rank = 1, .dim = {3}, .data = x}};
    struct err e = {0};
    assert_int_equal(weights_save(in_folder("no/where"), &o, 1, NULL, &e), ERR_OUTPUT);
    assert_int_equal(mkdir(in_folder("busy"), 0700), 0);
    assert_int_equal(weights_save(in_folder("busy"), &o, 1, NULL, &e), ERR_OUTPUT);
    assert_int_equal(access(in_folder("busy.part"), F_OK), -1);
    assert_int_equal(weights_save(in_folder("x"), &o, 1, "not json", &e), ERR_INPUT);
    /* Names need escapes; the data begins at a multiple of 8. */
    o.name = "a\"\\\n\xc3\xa9";
    struct weights *w;
    assert_int_equal(weights_save(in_folder("x"), &o, 1, NULL, &e), 0);
    assert_int_equal(weights_open_file(&w, in_folder("x"), &e), 0);
    assert_non_null(weights_find(w, o.name));
    assert_int_equal(weights_find(w, o.name)->offset % 8, 0);
    weights_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lie_is_one_clear_error),
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(a_changed_file_is_an_error),
        cmocka_unit_test(only_regular_files_are_opened),
        cmocka_unit_test(an_index_must_tell_the_truth),
        cmocka_unit_test(pickles_are_refused_with_the_way_out),
        cmocka_unit_test(hashes_are_of_the_tensors_and_remembered),
        cmocka_unit_test(saving_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
