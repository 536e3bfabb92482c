/* For the comparison with other tokenizers: `tokenize FOLDER [FLAGS]` reads records from stdin (u32
 * length, bytes) and writes for each: u32 count, count ids (i32), count ends (i64), i64 invalid. With
 * `tokenize FOLDER bench FILE BYTES` it prints the seconds that opening took, then for each of three
 * passes over FILE, in documents of BYTES, the seconds and the number of tokens. */
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

/* Documents of about `bytes` bytes, cut behind line ends; one pass over all of them is a round. */
static int bench(const struct tokenizer *t, const char *path, size_t bytes)
{
    char *text;
    size_t n;
    if (stream_all(&text, &n, path, (size_t)1 << 30, &arena, &err) < 0)
        return fail();
    for (int round = 0; round < 4; round++) {
        long long tokens = 0;
        double begin = now();
        for (size_t i = 0; i < n;) {
            const char *nl = n - i > bytes ? memchr(text + i + bytes, '\n', n - i - bytes) : NULL;
            size_t len = nl ? (size_t)(nl + 1 - text) - i : n - i;
            struct arena a = {0};
            struct encoding x;
            if (tokenizer_encode(&x, t, text + i, len, ENCODE_SPECIAL, &a, &err) < 0)
                return fail();
            tokens += x.n;
            arena_release(&a);
            i += len;
        }
        double s = now() - begin;
        if (round) /* the first warms up */
            printf("%.6f %lld\n", s, tokens);
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
    if (argc > 4 && !strcmp(argv[2], "bench")) {
        printf("%.6f\n", now() - begin);
        rc = bench(t, argv[3], (size_t)atol(argv[4]));
    } else {
        rc = records(t, argc > 2 ? (unsigned)atoi(argv[2]) : ENCODE_SPECIAL);
    }
    tokenizer_release(&t);
    arena_release(&arena);
    return rc;
}
