#include "app/bench_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/signals.h"
#include "model/cache_cold.h"
#include "model/cache_make.h"
#include "model/cache_write.h"
#include "model/core/crc.h"
#include "model/core/json.h"
#include "model/core/machine.h"
#include "model/core/rng.h"
#include "model/ops.h"

#define ROWS 1024 /* tokens of a group, as sonde cache makes them */
#define GROUPS 16
#define PIECE ((size_t)4 << 20)
#define BYTES ((size_t)1 << 30) /* of a plain file */
#define ROUNDS 7

enum limit { DISK_WRITE, DISK_READ, MEMORY_1, FORWARD, LIMITS };

static const struct {
    const char *name, *help;
} limits[LIMITS] = {
    [DISK_WRITE] = {"disk_write", "O_DIRECT, 4 MiB in huge pages, fsync"},
    [DISK_READ] = {"disk_read", "cold, 4 MiB, 2 threads; through the page cache and given back, or "
                                "O_DIRECT into huge pages: "
                                "the faster of the two here"},
    [MEMORY_1] = {"memory_read", "1 thread"},
    [FORWARD] = {"forward", "tokens/s without a cache"},
};

struct store {
    struct session *s;
    const struct model *model;
    struct pool *pool;
    char folder[4096];
    double limit[LIMITS]; /* GB/s, as last measured */
    bool direct;          /* how DISK_READ is faster */
    struct arena arena;
    /* Made once: a corpus of ids, and what a pass with these hooks leaves behind. */
    struct config cfg;
    struct plan plan;
    struct cache_head head;
    struct spool *spool;
    struct trace values;
};

static void file_name(char *out, size_t n, const struct store *b, const char *name)
{
    snprintf(out, n, "%s/%s", b->folder, name);
}

/* ---- limits ---- */

static int disk_write(struct store *b, struct err *e)
{
    char path[4200];
    file_name(path, sizeof path, b, "plain");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0) /* no such way here: the usual one is the limit */
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    void *buf = cold_buffer(PIECE);
    int rc = buf ? 0 : err_set(e, ERR_LIMIT, "out of memory");
    if (!rc)
        memset(buf, 77, PIECE);
    double t0 = machine_seconds();
    for (size_t at = 0; at < BYTES && !rc; at += PIECE)
        rc = cache_pwrite(fd, buf, PIECE, at, e);
    if (!rc && fsync(fd))
        rc = err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
    if (!rc)
        b->limit[DISK_WRITE] = (double)BYTES / 1e9 / (machine_seconds() - t0);
    close(fd);
    free(buf);
    return rc;
}

static void give_back(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
}

struct reads {
    struct cold_file file;
    void *buf[2];
    bool failed, direct;
};

/* Half of the file each. */
static void read_half(void *arg, int64_t i, int worker)
{
    struct reads *r = arg;
    struct err e;
    (void)worker;
    for (size_t at = 0; at < BYTES / 2; at += PIECE) {
        uint64_t from = (uint64_t)i * BYTES / 2 + at;
        if (cache_pread(r->buf[i], r->direct ? r->file.direct : r->file.fd, PIECE, from, &e))
            r->failed = true;
        if (!r->direct)
            (void)posix_fadvise(r->file.fd, (off_t)from, (off_t)PIECE, POSIX_FADV_DONTNEED);
    }
}

/* GB/s in one of two ways. */
static int read_plain(double *gbs, struct store *b, bool direct, struct err *e)
{
    char path[4200];
    struct reads r = {.buf = {cold_buffer(PIECE), cold_buffer(PIECE)}, .direct = direct};
    file_name(path, sizeof path, b, "plain");
    int rc = cold_open(&r.file, path, e);
    *gbs = 0;
    if (!rc && (!r.buf[0] || !r.buf[1]))
        rc = err_set(e, ERR_LIMIT, "out of memory");
    if (!rc && !(direct && r.file.direct < 0)) {
        /* The kernel's own reading ahead, which is what others have. */
        (void)posix_fadvise(r.file.fd, 0, 0, POSIX_FADV_NORMAL);
        give_back(path);
        double t0 = machine_seconds();
        pool_for(b->pool, 2, read_half, &r);
        *gbs = r.failed ? 0 : (double)BYTES / 1e9 / (machine_seconds() - t0);
    }
    cold_close(&r.file);
    free(r.buf[0]);
    free(r.buf[1]);
    return rc;
}

/* Which way is faster here is found out once, by two rounds of each. */
static int choose_read(struct store *b, struct err *e)
{
    double sum[2] = {0}, gbs;
    for (int i = 0; i < 4; i++) {
        if (read_plain(&gbs, b, i % 2, e))
            return e->code;
        sum[i % 2] += gbs;
    }
    b->direct = sum[1] > sum[0];
    return 0;
}

static int disk_read(struct store *b, struct err *e)
{
    int rc = read_plain(&b->limit[DISK_READ], b, b->direct, e);
    return rc || b->limit[DISK_READ] > 0 ? rc : err_set(e, ERR_OUTPUT, "the disk cannot be read");
}

/* ---- what a cache is made of ---- */

/* GPT-2 small's MLPs unless there is a model: 12 x 3072 neurons. */
static int make_values(struct store *b, const struct config *cfg, struct err *e)
{
    size_t slots = (size_t)SITE_COUNT * (size_t)cfg->n_layer;
    struct rng r;
    rng_init(&r, 1, 0);
    b->cfg = *cfg;
    b->values = (struct trace){.cfg = &b->cfg, .rows = ROWS};
    b->values.site = arena_zalloc(&b->arena, slots * sizeof *b->values.site, e);
    int64_t *offset = arena_array(&b->arena, 2, sizeof *offset, e);
    float *x = arena_array(&b->arena, (size_t)ROWS * (size_t)cfg->d_mlp, sizeof *x, e);
    b->head.hook = arena_array(&b->arena, (size_t)cfg->n_layer, sizeof *b->head.hook, e);
    if (!b->values.site || !offset || !x || !b->head.hook || plan_init(&b->plan, cfg, &b->arena, e))
        return ERR_LIMIT;
    offset[0] = 0;
    offset[1] = ROWS;
    b->values.batch = (struct batch){NULL, offset, 1};
    for (int64_t i = 0; i < ROWS * cfg->d_mlp; i++)
        x[i] = (float)rng_normal(&r);
    plan_keep(&b->plan, SITE_MLP_POST, -1);
    b->plan.logits = LOGITS_NONE;
    for (int l = 0; l < cfg->n_layer; l++) {
        b->values.site[(size_t)SITE_MLP_POST * (size_t)cfg->n_layer + (size_t)l] = x;
        if (cache_hook_init(&b->head.hook[l], SITE_MLP_POST, l, cfg, 1, ROWS, &b->arena, e))
            return e->code;
    }
    return 0;
}

static int make_corpus(struct store *b, int64_t vocab, struct err *e)
{
    struct spool_opts o = {.folder = b->folder,
        .window = ROWS,
        .bos = -1,
        .vocab = vocab,
        .shard_tokens = CACHE_SHARD_TOKENS,
        .text_max = 1};
    int32_t *ids = arena_array(&b->arena, ROWS, sizeof *ids, e);
    struct rng r;
    int rc = ids ? spool_create(&b->spool, &o, NULL, e) : ERR_LIMIT;
    rng_init(&r, 2, 0);
    for (int g = 0; g < GROUPS && !rc; g++) {
        for (int i = 0; i < ROWS; i++)
            ids[i] = (int32_t)rng_below(&r, (uint64_t)vocab);
        rc = spool_ids(b->spool, ids, ROWS, e);
    }
    if (!rc)
        rc = spool_finish(b->spool, e);
    if (rc)
        return rc;
    struct cache_info *i = &b->head.info;
    *i = (struct cache_info){.tokens = (int64_t)ROWS * GROUPS,
        .documents = GROUPS,
        .windows = GROUPS,
        .hooks = b->cfg.n_layer,
        .dtype = DT_F16,
        .window = ROWS,
        .model_name = "bench",
        .kernel_set = ops_kernel_set(),
        .weights = "raw",
        .filter = "mlp.hook_post",
        .command = "sonde bench storage",
        .tool_version = SONDE_VERSION};
    b->head.shards = 1;
    b->head.shard_tokens = CACHE_SHARD_TOKENS;
    return cache_run_id(&b->head, e);
}

static double shard_bytes(const struct store *b)
{
    return (double)ROWS * GROUPS * (double)b->cfg.n_layer * (double)b->cfg.d_mlp * 2;
}

/* A group whose values are this pass's, or those made once. */
static int add_group(struct cache_writer *w, struct cache_shard *s, struct spool_cursor *c,
    struct store *b, bool pass, struct err *e)
{
    struct cache_group g = {.n = 1};
    int32_t tokens[ROWS];
    g.window = arena_array(&g.arena, 1, sizeof *g.window, e);
    if (!g.window)
        return ERR_LIMIT;
    int rc = spool_next(g.window, tokens, NULL, NULL, NULL, c, b->spool, 0, e);
    rc = rc < 0 ? rc : 0;
    g.trace = b->values;
    if (!rc && pass) {
        struct batch batch = {tokens, b->values.batch.offset, 1};
        struct forward_opts o = {.plan = &b->plan, .pool = b->pool, .progress = progress_quiet};
        rc = forward(&g.trace, b->model->params, &batch, &o, e);
    }
    if (rc)
        arena_release(&g.arena);
    return rc ? rc : cache_writer_add(w, s, &g, e);
}

/* One shard; `pass`: with the forward passes that make its values. */
static int write_shard(double *seconds, struct store *b, bool pass, struct err *e)
{
    struct spool_shard where;
    struct cache_shard s;
    struct cache_writer *w = NULL;
    struct spool_cursor c = {0};
    struct err late;
    char path[4400];
    bool whole;
    cache_shard_name(path, sizeof path, b->folder, 0, "");
    unlink(path);
    spool_shard(&where, b->spool, 0);
    int rc = cache_shard_open(&s, &whole, &b->head, b->folder, b->spool, &where, e);
    if (rc)
        return rc;
    rc = cache_writer_create(&w, &b->head, e);
    double t0 = machine_seconds();
    for (int g = 0; g < GROUPS && !rc; g++)
        rc = add_group(w, &s, &c, b, pass, e);
    if (w && cache_writer_drain(w, &late) && !rc) {
        *e = late;
        rc = late.code;
    }
    *seconds = machine_seconds() - t0;
    cache_writer_release(&w);
    cache_shard_close(&s);
    return rc;
}

/* ---- rows ---- */

static int run_write(double *value, struct store *b, struct err *e)
{
    double s;
    int rc = write_shard(&s, b, false, e);
    *value = shard_bytes(b) / 1e9 / s;
    return rc;
}

static int run_scan(double *value, struct store *b, struct err *e)
{
    struct cache *c;
    char path[4400];
    cache_shard_name(path, sizeof path, b->folder, 0, "");
    give_back(path);
    float *out = malloc((size_t)ROWS * (size_t)b->cfg.d_mlp * sizeof *out);
    int rc = out ? cache_open(&c, path, e) : err_set(e, ERR_LIMIT, "out of memory");
    double t0 = machine_seconds();
    for (int k = 0; k < b->cfg.n_layer && !rc; k++)
        for (int g = 0; g < GROUPS && !rc; g++)
            rc = cache_read(out, c, k, (int64_t)g * ROWS, ROWS, 0, b->cfg.d_mlp, e);
    *value = shard_bytes(b) / 1e9 / (machine_seconds() - t0);
    if (!rc)
        cache_release(&c);
    free(out);
    return rc;
}

static int run_verify(double *value, struct store *b, struct err *e)
{
    struct cache_verified v;
    char path[4400];
    cache_shard_name(path, sizeof path, b->folder, 0, "");
    give_back(path);
    double t0 = machine_seconds();
    int rc = cache_verify(&v, path, b->pool, NULL, NULL, NULL, e);
    *value = shard_bytes(b) / 1e9 / (machine_seconds() - t0);
    if (!rc && v.faults)
        rc = err_set(e, ERR_OUTPUT, "what was written cannot be read back: %lld faults",
            (long long)v.faults);
    return rc;
}

/* Bytes moved, 4 read and 2 written a value, in pieces that stay in a cache as the writer's do. */
static int run_half(double *value, struct store *b, struct err *e)
{
    int64_t n = (int64_t)ROWS * b->cfg.d_mlp, piece = 65536;
    const float *x = b->values.site[(size_t)SITE_MLP_POST * (size_t)b->cfg.n_layer];
    uint16_t *h = malloc((size_t)piece * sizeof *h);
    if (!h)
        return err_set(e, ERR_LIMIT, "out of memory");
    double t0 = machine_seconds(), moved = 0;
    for (int k = 0; k < 8; k++)
        for (int64_t i = 0; i < n; i += piece) {
            int64_t some = n - i < piece ? n - i : piece;
            tensor_narrow(h, x + i, DT_F16, some);
            moved += 6 * (double)some;
        }
    *value = moved / 1e9 / (machine_seconds() - t0);
    free(h);
    return 0;
}

static int run_crc(double *value, struct store *b, struct err *e)
{
    (void)e;
    size_t n = (size_t)ROWS * (size_t)b->cfg.d_mlp * 4;
    const float *x = b->values.site[(size_t)SITE_MLP_POST * (size_t)b->cfg.n_layer];
    volatile uint32_t sum = 0;
    double t0 = machine_seconds();
    for (int k = 0; k < 8; k++)
        sum = crc32c(sum, x, n);
    *value = 8 * (double)n / 1e9 / (machine_seconds() - t0);
    return 0;
}

/* The passes alone, then with a cache beside them: tokens per second. */
static int run_cost(double *value, struct store *b, struct err *e)
{
    struct spool_cursor c = {0};
    struct spool_window win;
    struct plan none;
    int32_t tokens[ROWS];
    double with, t0;
    int rc = plan_init(&none, &b->cfg, &b->arena, e);
    t0 = machine_seconds();
    while (!rc && spool_next(&win, tokens, NULL, NULL, NULL, &c, b->spool, 0, e) > 0) {
        struct batch batch = {tokens, b->values.batch.offset, 1};
        struct forward_opts o = {.plan = &none, .pool = b->pool, .progress = progress_quiet};
        struct trace t;
        rc = forward(&t, b->model->params, &batch, &o, e);
        if (!rc)
            trace_release(&t);
    }
    double alone = machine_seconds() - t0;
    if (!rc)
        rc = write_shard(&with, b, true, e);
    b->limit[FORWARD] = ROWS * GROUPS / alone;
    *value = rc ? 0 : ROWS * GROUPS / with;
    return rc;
}

static const struct row {
    const char *name, *what;
    enum limit limit;
    double goal; /* of the ratio */
    int (*run)(double *value, struct store *b, struct err *e);
    bool needs_model;
} rows[] = {
    {"cache_write", "converted, summed, durable", DISK_WRITE, 0.75, run_write, false},
    {"cache_scan", "cold, widened to F32", DISK_READ, 0.85, run_scan, false},
    {"cache_verify", "cold, every checksum", DISK_READ, 0.85, run_verify, false},
    {"f32_to_f16", "bytes moved, 1 thread", MEMORY_1, 0.8, run_half, false},
    {"crc32c", "1 thread", MEMORY_1, 0.2, run_crc, false},
    {"caching", "tokens/s beside the forward pass", FORWARD, 0.9, run_cost, true},
};
#define N_ROWS ((int)(sizeof rows / sizeof *rows))

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int memory_read(struct store *b)
{
    b->limit[MEMORY_1] = ops_read_gbs(NULL);
    return 0;
}

struct measured {
    double value, limit, ratio; /* medians; the ratio's is that of the rounds */
    double least, most;         /* of the ratio */
};

static int measure(struct measured *out, struct store *b, const struct row *row, struct err *e)
{
    double v[ROUNDS], limit[ROUNDS], ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        /* The limit beside every value: a shared disk is not the same twice. */
        int rc = row->limit == DISK_WRITE  ? disk_write(b, e)
                 : row->limit == DISK_READ ? disk_read(b, e)
                 : row->limit == MEMORY_1  ? memory_read(b)
                                           : 0;
        if (!rc)
            rc = row->run(&v[i], b, e);
        if (!rc && signals_stopped())
            rc = err_set(e, ERR_CANCEL, "interrupted");
        if (rc)
            return rc;
        limit[i] = b->limit[row->limit];
        ratio[i] = v[i] / limit[i];
    }
    qsort(v, ROUNDS, sizeof *v, by_size);
    qsort(limit, ROUNDS, sizeof *limit, by_size);
    qsort(ratio, ROUNDS, sizeof *ratio, by_size);
    *out = (struct measured){
        v[ROUNDS / 2], limit[ROUNDS / 2], ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]};
    return 0;
}

static void json_row(struct js_out *w, const struct row *row, const struct measured *m)
{
    const struct {
        const char *key;
        double value;
    } reals[] = {{"value", m->value}, {"limit_value", m->limit}, {"ratio", m->ratio},
        {"ratio_least", m->least}, {"ratio_most", m->most}, {"goal", row->goal}};
    js_out_begin(w, '{');
    js_out_key(w, "name");
    js_out_text(w, row->name);
    js_out_key(w, "limit");
    js_out_text(w, limits[row->limit].name);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        js_out_key(w, reals[i].key);
        js_out_real(w, reals[i].value, 5);
    }
    js_out_end(w, '}');
}

static void print_row(const struct store *b, const struct row *row, const struct measured *m)
{
    const char *unit = row->limit == FORWARD ? "tokens/s" : "GB/s";
    progress_end(&b->s->progress);
    fprintf(b->s->out, "%-13s %9.4g %-8s %9.4g %-11s %5.2f  %4.2f - %4.2f  (%.2f)  %s\n", row->name,
        m->value, unit, m->limit, limits[row->limit].name, m->ratio, m->least, m->most, row->goal,
        row->what);
    fflush(b->s->out);
}

static int prepare(struct store *b, const struct command *c, struct err *e)
{
    static const struct config gpt2 = {
        .n_layer = 12, .n_head = 12, .d_model = 768, .d_head = 64, .d_mlp = 3072, .vocab = 50257};
    struct model *m = NULL;
    int rc = session_pool(&b->pool, b->s, c, e);
    if (!rc && args_get(&c->args, "model")->is_set)
        rc = session_model(&m, b->s, c, e);
    b->model = m && m->cfg.n_ctx >= ROWS ? m : NULL;
    if (!rc && m && !b->model)
        session_note(b->s, "caching is not measured: the context of %s is below %d", m->name, ROWS);
    if (!rc)
        rc = make_values(b, b->model ? &m->cfg : &gpt2, e);
    snprintf(b->folder, sizeof b->folder, "sonde-bench-XXXXXX");
    if (!rc && !mkdtemp(b->folder)) {
        rc = err_set(e, ERR_OUTPUT, "this folder cannot be written: %s", strerror(errno));
        *b->folder = '\0';
    }
    if (!rc)
        rc = make_corpus(b, b->cfg.vocab, e);
    if (!rc && b->model)
        rc = params_pack_all(m->params, e);
    if (!rc)
        rc = disk_write(b, e); /* the file that is read */
    return rc ? rc : choose_read(b, e);
}

static void clean(struct store *b)
{
    char path[4400];
    static const char *const names[] = {"plain", "shard_00000.h5", "shard_00000.h5.part"};
    for (size_t i = 0; *b->folder && i < sizeof names / sizeof *names; i++) {
        file_name(path, sizeof path, b, names[i]);
        unlink(path);
    }
    if (*b->folder)
        rmdir(b->folder);
    spool_release(&b->spool);
    arena_release(&b->arena);
}

int bench_storage(struct session *s, const struct command *c, struct err *e)
{
    struct store b = {.s = s};
    struct js_out w = {0};
    bool json = args_bool(&c->args, "json");
    progress_begin(&s->progress, "bench storage");
    int rc = prepare(&b, c, e);
    if (json) {
        js_out_begin(&w, '{');
        js_out_key(&w, "rows");
        js_out_begin(&w, '[');
    } else if (!rc) {
        progress_end(&s->progress);
        fprintf(s->out, "%-13s %9s %-8s %9s %-11s %5s  %-11s  %s\n", "name", "median", "", "limit",
            "", "ratio", "least, most", "(goal)");
    }
    for (int i = 0; i < N_ROWS && !rc; i++) {
        struct measured m;
        if (rows[i].needs_model && !b.model)
            continue;
        progress_step(&s->progress, i, N_ROWS);
        rc = measure(&m, &b, &rows[i], e);
        if (!rc && json)
            json_row(&w, &rows[i], &m);
        else if (!rc)
            print_row(&b, &rows[i], &m);
    }
    for (int i = 0; i < LIMITS && !json && !rc; i++)
        if (b.limit[i] > 0)
            fprintf(s->out, "%-11s %s\n", limits[i].name, limits[i].help);
    if (json) {
        js_out_end(&w, ']');
        js_out_end(&w, '}');
        js_out_newline(&w);
        if (!rc && !(rc = js_out_done(&w, e)))
            fwrite(w.data, 1, w.n, s->out);
        js_out_release(&w);
    }
    clean(&b);
    return rc;
}
