#include "model/cache.h"

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

#include "model/cache_make.h"
#include "model/cache_write.h"

/* A shard large enough that two threads read it, its values told by hook, row and column. */
#define ROWS 700
#define WIDTH 1537
#define HOOKS 2

static const struct config cfg = {.n_layer = HOOKS,
    .n_head = 1,
    .d_model = 4,
    .d_head = 4,
    .d_mlp = WIDTH,
    .n_ctx = ROWS,
    .vocab = 9};

struct made {
    char folder[64], path[128];
    struct arena arena;
    struct cache_head head;
    struct spool *spool;
};

static float value(int hook, int64_t row, int64_t col)
{
    return (float)(hook * 1000000 + row * 1000) + (float)col / 2;
}

static void make_head(struct made *m)
{
    struct err e;
    static int32_t ids[ROWS];
    struct spool_opts o = {.folder = m->folder,
        .window = ROWS,
        .bos = -1,
        .vocab = 9,
        .shard_tokens = ROWS,
        .text_max = 1};
    assert_int_equal(spool_create(&m->spool, &o, NULL, &e), 0);
    assert_int_equal(spool_ids(m->spool, ids, ROWS, &e), 0);
    assert_int_equal(spool_finish(m->spool, &e), 0);
    m->head.hook = arena_zalloc(&m->arena, HOOKS * sizeof *m->head.hook, &e);
    for (int l = 0; l < HOOKS; l++)
        assert_int_equal(
            cache_hook_init(&m->head.hook[l], SITE_MLP_POST, l, &cfg, 1, ROWS, &m->arena, &e), 0);
    m->head.info = (struct cache_info){.tokens = ROWS,
        .documents = 1,
        .windows = 1,
        .hooks = HOOKS,
        .dtype = DT_F32,
        .window = ROWS,
        .model_name = "test",
        .kernel_set = "generic",
        .weights = "raw",
        .filter = "mlp.hook_post",
        .command = "test",
        .tool_version = "0"};
    m->head.shards = 1;
    m->head.shard_tokens = ROWS;
    assert_int_equal(cache_run_id(&m->head, &e), 0);
}

static void write_shard(struct made *m)
{
    struct err e;
    struct cache_shard s;
    struct cache_writer *w;
    struct spool_shard where;
    struct spool_cursor c = {0};
    static int64_t offset[] = {0, ROWS};
    int32_t tokens[ROWS];
    bool whole;
    float *x = malloc((size_t)HOOKS * ROWS * WIDTH * sizeof *x);
    float **site = arena_zalloc(&m->arena, (size_t)SITE_COUNT * HOOKS * sizeof *site, &e);
    for (int l = 0; l < HOOKS; l++) {
        site[(size_t)SITE_MLP_POST * HOOKS + (size_t)l] = x + (size_t)l * ROWS * WIDTH;
        for (int64_t i = 0; i < ROWS * WIDTH; i++)
            x[(int64_t)l * ROWS * WIDTH + i] = value(l, i / WIDTH, i % WIDTH);
    }
    spool_shard(&where, m->spool, 0);
    assert_int_equal(cache_shard_open(&s, &whole, &m->head, m->folder, m->spool, &where, &e), 0);
    assert_int_equal(cache_writer_create(&w, &m->head, &e), 0);
    struct cache_group g = {.n = 1};
    g.window = arena_array(&g.arena, 1, sizeof *g.window, &e);
    assert_int_equal(spool_next(g.window, tokens, NULL, NULL, NULL, &c, m->spool, 0, &e), 1);
    g.trace = (struct trace){.cfg = &cfg, .rows = ROWS, .site = site};
    g.trace.batch = (struct batch){tokens, offset, 1};
    assert_int_equal(cache_writer_add(w, &s, &g, &e), 0);
    assert_int_equal(cache_writer_drain(w, &e), 0);
    cache_writer_release(&w);
    cache_shard_close(&s);
    free(x);
}

static int setup(void **state)
{
    struct made *m = calloc(1, sizeof *m);
    *state = m;
    snprintf(m->folder, sizeof m->folder, "cache-read-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    snprintf(m->path, sizeof m->path, "%s/shard_00000.h5", m->folder);
    make_head(m);
    write_shard(m);
    return 0;
}

static int teardown(void **state)
{
    struct made *m = *state;
    unlink(m->path);
    rmdir(m->folder);
    spool_release(&m->spool);
    arena_release(&m->arena);
    free(m);
    return 0;
}

static void check_box(
    const struct cache *c, int hook, int64_t row, int64_t n, int64_t col, int64_t n_cols)
{
    struct err e;
    float *out = malloc((size_t)(n * n_cols) * sizeof *out);
    assert_int_equal(cache_read(out, c, hook, row, n, col, n_cols, &e), 0);
    for (int64_t i = 0; i < n * n_cols; i++)
        if (out[i] != value(hook, row + i / n_cols, col + i % n_cols))
            fail_msg("hook %d row %d column %d: %g", hook, (int)(row + i / n_cols),
                (int)(col + i % n_cols), (double)out[i]);
    free(out);
}

/* Whole hooks, in halves as a scan does it, a few rows, columns alone. */
static void every_box_has_its_values(void **state)
{
    struct made *m = *state;
    struct cache *c;
    struct err e;
    assert_int_equal(cache_open(&c, m->path, &e), 0);
    for (int hook = 0; hook < HOOKS; hook++) {
        check_box(c, hook, 0, ROWS, 0, WIDTH);
        check_box(c, hook, 0, 351, 0, WIDTH);
        check_box(c, hook, 351, ROWS - 351, 0, WIDTH);
        check_box(c, hook, 17, 1, 0, WIDTH);
        check_box(c, hook, 3, ROWS - 3, WIDTH - 5, 5);
    }
    cache_release(&c);
}

/* Windows of both hooks in turn, from the disk: what comes ahead is what was written. */
static void cold_windows_have_their_values(void **state)
{
    struct made *m = *state;
    struct cache *c;
    struct err e;
    int fd = open(m->path, O_RDONLY);
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    assert_int_equal(cache_open(&c, m->path, &e), 0);
    for (int64_t row = 0, n = 3; row < ROWS; row += n, n += n / 2)
        for (int hook = 0; hook < HOOKS; hook++) {
            n = n < ROWS - row ? n : ROWS - row;
            check_box(c, hook, row, n, hook, WIDTH - hook);
        }
    cache_release(&c);
}

static int count_faults(struct made *m)
{
    struct cache_verified v;
    struct err e;
    assert_int_equal(cache_verify(&v, m->path, NULL, NULL, NULL, NULL, &e), 0);
    assert_int_equal(v.blocks, HOOKS * 3);
    return (int)v.faults;
}

/* A file that is cut behind our back is an error in either thread; a wrong byte has one block. */
static void faults_are_told(void **state)
{
    struct made *m = *state;
    struct cache *c;
    struct err e;
    float *out = malloc((size_t)ROWS * WIDTH * sizeof *out), wrong = 1, right = value(1, 300, 7);
    assert_int_equal(count_faults(m), 0);
    assert_int_equal(cache_open(&c, m->path, &e), 0);
    struct cache_h5 f;
    assert_int_equal(cache_h5_open(&f, m->path, &e), 0);
    uint64_t at = f.at[1];
    cache_h5_close(&f);
    int fd = open(m->path, O_RDWR);
    off_t where = (off_t)(at + (300 * WIDTH + 7) * sizeof wrong);
    assert_int_equal(pwrite(fd, &wrong, sizeof wrong, where), sizeof wrong);
    assert_int_equal(count_faults(m), 1);
    assert_int_equal(pwrite(fd, &right, sizeof right, where), sizeof right);
    assert_int_equal(count_faults(m), 0);
    assert_int_equal(ftruncate(fd, (off_t)(at + 600 * WIDTH * sizeof wrong)), 0);
    assert_int_equal(cache_read(out, c, 1, 0, ROWS, 0, WIDTH, &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "cut"));
    close(fd);
    cache_release(&c);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_box_has_its_values),
        cmocka_unit_test(cold_windows_have_their_values),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
