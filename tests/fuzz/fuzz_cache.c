#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/cache.h"

/* The reader of activation caches, on any bytes: one shard, or a file that joins shards which are not
 * there. Opens it, looks at every hook, row, window, document and text, and closes it. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MOST_ROWS 64
#define MOST_COLUMNS 64

static void look_at_hook(const struct cache *c, int k)
{
    const struct cache_info *i = cache_about(c);
    const struct cache_hook *h = cache_hook_at(c, k);
    float values[4 * MOST_COLUMNS];
    double cells[64];
    struct err e = {0};
    struct arena a = {0};
    struct field f;
    int64_t cols = h->width < MOST_COLUMNS ? h->width : MOST_COLUMNS;
    int64_t rows = i->tokens < 4 ? i->tokens : 4;
    (void)cache_read(values, c, k, 0, rows, 0, cols, &e);
    (void)cache_read(values, c, k, i->tokens - rows, rows, h->width - cols, cols, &e);
    /* A row of a lying file may be as wide as it likes; fields take whole ones. */
    if (h->width <= 1 << 20 && !cache_field(&f, c, k, &a, &e)) {
        struct window w = field_all(&f);
        for (int d = 0; d < f.rank; d++)
            w.count[d] = w.count[d] < 2 ? w.count[d] : 2;
        (void)f.fetch(&f, cells, &w, FIELD_POINT, &e);
        (void)f.fetch(&f, cells, &w, FIELD_MEAN, &e);
    }
    arena_release(&a);
}

static void look_at(const struct cache *c)
{
    const struct cache_info *i = cache_about(c);
    int64_t n = i->tokens < MOST_ROWS ? i->tokens : MOST_ROWS, begin, end;
    int32_t token[MOST_ROWS], position[MOST_ROWS];
    int64_t from[MOST_ROWS], to[MOST_ROWS];
    struct err e = {0};
    for (int k = 0; k < i->hooks && k < 64; k++)
        look_at_hook(c, k);
    (void)cache_rows(token, position, from, to, c, i->tokens - n, n, &e);
    for (int64_t k = 0; k < n; k++) {
        struct arena a = {0};
        const char *text;
        size_t len;
        if (k < i->windows)
            (void)cache_window(&begin, &end, c, k, &e);
        if (k < i->documents && !cache_document(&begin, &end, c, k, &e))
            (void)cache_text(&text, &len, c, k, &a, &e);
        (void)cache_window_of(&begin, c, k, &e);
        (void)cache_document_of(&begin, c, k, &e);
        arena_release(&a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[] = "/tmp/sonde-fuzz-XXXXXX";
    struct cache *c;
    struct err e = {0};
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    if (write(fd, data, n) == (ssize_t)n && !cache_open(&c, path, &e)) {
        look_at(c);
        cache_release(&c);
    }
    close(fd);
    unlink(path);
    return 0;
}
