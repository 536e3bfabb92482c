/* For the comparison with other tokenizers: `tokenize FOLDER [FLAGS]` reads records from stdin (u32
 * length, bytes) and writes for each: u32 count, count ids (i32), count ends (i64), i64 invalid. With
 * `tokenize FOLDER bench FILE` it prints opening time and MB/s instead. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/core/stream.h"
#include "model/tokenizer.h"

static struct arena arena;
static struct err err;

static int fail(void)
{
    fprintf(stderr, "%s\n", err.msg);
    return 1;
}

static char *maybe(size_t *n, const char *folder, const char *name)
{
    char path[1024], *out = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stream_all(&out, n, path, (size_t)1 << 30, &arena, &e) == 0 ? out : NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int bench(const struct tokenizer *t, const char *path)
{
    char *text;
    size_t n;
    if (stream_all(&text, &n, path, (size_t)1 << 30, &arena, &err) < 0)
        return fail();
    for (int i = 0; i < 5; i++) {
        struct arena a = {0};
        struct encoding x;
        double begin = now();
        if (tokenizer_encode(&x, t, text, n, ENCODE_SPECIAL, &a, &err) < 0)
            return fail();
        double s = now() - begin;
        printf("%.2f MB/s, %lld tokens\n", (double)n / s / 1e6, (long long)x.n);
        arena_release(&a);
    }
    return 0;
}

static int records(const struct tokenizer *t, unsigned flags)
{
    uint32_t n;
    char *text = NULL;
    int rc = 0;
    while (rc == 0 && fread(&n, 4, 1, stdin) == 1) {
        struct arena a = {0};
        struct encoding x;
        text = realloc(text, (size_t)n + 1);
        if (!text || fread(text, 1, n, stdin) != n)
            return 1;
        if (tokenizer_encode(&x, t, text, n, flags, &a, &err) < 0) {
            rc = fail();
        } else {
            uint32_t count = (uint32_t)x.n;
            fwrite(&count, 4, 1, stdout);
            fwrite(x.ids, sizeof *x.ids, count, stdout);
            fwrite(x.end, sizeof *x.end, count, stdout);
            fwrite(&x.invalid, sizeof x.invalid, 1, stdout);
        }
        arena_release(&a);
    }
    free(text);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    struct tokenizer_files f = {.where = argv[1]};
    struct tokenizer *t = NULL;
    double begin = now();
    f.vocab_json = maybe(&f.vocab_n, argv[1], "vocab.json");
    f.merges_txt = maybe(&f.merges_n, argv[1], "merges.txt");
    f.tokenizer_json = maybe(&f.tokenizer_n, argv[1], "tokenizer.json");
    if (tokenizer_open(&t, &f, 0, &err) < 0)
        return fail();
    int rc;
    if (argc > 3 && !strcmp(argv[2], "bench")) {
        printf("opened in %.1f ms\n", (now() - begin) * 1e3);
        rc = bench(t, argv[3]);
    } else {
        rc = records(t, argc > 2 ? (unsigned)atoi(argv[2]) : ENCODE_SPECIAL);
    }
    tokenizer_release(&t);
    arena_release(&arena);
    return rc;
}
