/* Runs a fuzz target as a plain program: driver CORPUS_FOLDER [MUTATIONS]. Every file of the folder
 * is replayed, and MUTATIONS (default 200) damaged copies of it: flipped, cut, doubled and joined
 * bytes, the same ones every time. With a libFuzzer build this file is left out. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAX_BYTES (1 << 20)

struct bytes {
    uint8_t *data;
    size_t n;
};

static struct bytes read_file(const char *path)
{
    struct bytes b = {malloc(MAX_BYTES), 0};
    FILE *f = fopen(path, "rb");
    if (!f || !b.data) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    b.n = fread(b.data, 1, MAX_BYTES, f);
    fclose(f);
    return b;
}

/* An exact heap copy, so that the sanitizer sees a read past the end. */
static void try_input(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        exit(1);
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void mutate(struct rng *r, struct bytes *m)
{
    static const uint8_t likely[] = "\0\xff{}[]\":,0123456789-e.\\\n\x80";
    size_t at = m->n ? (size_t)rng_below(r, m->n) : 0, len;
    switch (rng_below(r, 6)) {
    case 0:
        if (m->n)
            m->data[at] ^= (uint8_t)(1u << rng_below(r, 8));
        break;
    case 1:
        if (m->n)
            m->data[at] = likely[rng_below(r, sizeof likely - 1)];
        break;
    case 2:
        m->n = at;
        break;
    case 3: /* a piece is left out */
        len = (size_t)rng_below(r, m->n - at + 1);
        memmove(m->data + at, m->data + at + len, m->n - at - len);
        m->n -= len;
        break;
    case 4: /* a piece is doubled */
        len = (size_t)rng_below(r, (m->n - at < 64 ? m->n - at : 64) + 1);
        if (m->n + len > MAX_BYTES)
            break;
        memmove(m->data + at + len, m->data + at, m->n - at);
        m->n += len;
        break;
    default: /* one byte more */
        if (m->n == MAX_BYTES)
            break;
        memmove(m->data + at + 1, m->data + at, m->n - at);
        m->data[at] = likely[rng_below(r, sizeof likely - 1)];
        m->n++;
    }
}

int main(int argc, char **argv)
{
    int files = 0;
    long mutations = argc > 2 ? atol(argv[2]) : 200;
    struct dirent **list;
    int n = argc > 1 ? scandir(argv[1], &list, NULL, alphasort) : -1;
    if (n < 0) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS]\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            struct bytes b = read_file(path), m = {malloc(MAX_BYTES), 0};
            struct rng r;
            rng_init(&r, (uint64_t)files++, 0);
            try_input(b.data, b.n);
            for (long k = 0; k < mutations; k++) {
                memcpy(m.data, b.data, m.n = b.n);
                for (uint64_t times = 1 + rng_below(&r, 4); times > 0; times--)
                    mutate(&r, &m);
                try_input(m.data, m.n);
            }
            free(m.data);
            free(b.data);
        }
        free(list[i]);
    }
    free(list);
    printf("%d files, %ld mutations of each\n", files, mutations);
    return files ? 0 : 1;
}
