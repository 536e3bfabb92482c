#include "model/cache_make.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "model/cache_write.h"
#include "model/core/machine.h"
#include "model/ops.h"

#define GROUP_ROWS 1024 /* of one pass */
#define IN_FLIGHT 3     /* traces: one computed, two with the writer */
#define PROBE_ROWS 64
#define SHARDS_OPEN 4 /* more than the writer can hold back */

#define CORRECT_SECONDS 3.0 /* of the first rows, before the estimate is held against them */
#define CORRECT_FACTOR 1.3

struct work {
    const struct cache_make *m;
    char folder[4096];
    struct spool *spool;
    struct cache_head head;
    struct cache_estimate x;
    struct cache_shard shard[SHARDS_OPEN];
    struct cache_head shard_head[SHARDS_OPEN];
    struct cache_writer *writer;
    struct cache_made *out;
    struct arena arena;
    double done_rows, span_rows; /* for progress */
    double began;
    bool is_corrected;
    int log;
};

static bool is_mine(const struct work *w, int64_t shard)
{
    return shard % w->m->tasks == w->m->task;
}

/* ---- what is asked for ---- */

static int find_hooks(struct work *w, struct err *e)
{
    const struct config *cfg = &w->m->model->cfg;
    int n = 0, max = SITE_COUNT * cfg->n_layer;
    w->head.hook = arena_array(&w->arena, (size_t)max, sizeof *w->head.hook, e);
    if (!w->head.hook)
        return ERR_LIMIT;
    /* In the order in which a pass makes them. */
    for (int l = -1; l <= cfg->n_layer; l++)
        for (int s = 0; s < SITE_COUNT; s++) {
            bool per_layer = site_info((enum site)s)->per_layer;
            bool here = per_layer ? l >= 0 && l < cfg->n_layer
                                  : l == (s >= SITE_LNF_SCALE ? cfg->n_layer : -1);
            if (!here || !plan_keeps(w->m->plan, (enum site)s, per_layer ? l : 0))
                continue;
            if (cache_hook_init(&w->head.hook[n++], (enum site)s, per_layer ? l : -1, cfg, 1,
                    w->m->window, &w->arena, e))
                return e->code;
        }
    w->head.info.hooks = n;
    return n ? 0 : err_set(e, ERR_USAGE, "no hook is to be kept");
}

static int describe(struct work *w, struct err *e)
{
    const struct cache_make *m = w->m;
    struct cache_info *i = &w->head.info;
    *i = (struct cache_info){.dtype = m->dtype,
        .window = m->window,
        .stride = m->stride,
        .prepend_bos = m->prepend_bos && m->model->bos_id >= 0,
        .model_name = m->model->name,
        .kernel_set = ops_kernel_set(),
        .weights = "raw",
        .filter = m->filter,
        .command = m->command,
        .tool_version = SONDE_VERSION};
    w->head.shard_tokens = m->shard_tokens;
    model_tokenizer_hash(i->tokenizer_hash, m->model);
    if (model_hash(i->model_hash, m->model, e))
        return e->code;
    return find_hooks(w, e);
}

static int name_folder(struct work *w, struct err *e)
{
    const char *path = w->m->path;
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 3, ".h5") != 0 || path[n - 4] == '/')
        return err_set(
            e, ERR_USAGE, "-o %s: name a file X.h5; its shards lie beside it in X.acts/", path);
    if ((size_t)snprintf(w->folder, sizeof w->folder, "%.*s.acts", (int)(n - 3), path) >=
        sizeof w->folder - 64)
        return err_set(e, ERR_USAGE, "-o: the path is too long");
    if (mkdir(w->folder, 0777) && errno != EEXIST)
        return err_set(e, ERR_OUTPUT, "cannot make the folder %s: %s", w->folder, strerror(errno));
    if (access(w->folder, W_OK | X_OK))
        return err_set(
            e, ERR_OUTPUT, "the folder %s cannot be written: %s", w->folder, strerror(errno));
    return 0;
}

static int read_corpus(struct work *w, struct err *e)
{
    const struct cache_make *m = w->m;
    struct spool_opts o = {.folder = w->folder,
        .window = m->window,
        .stride = m->stride,
        .bos = m->prepend_bos ? m->model->bos_id : -1,
        .vocab = m->model->cfg.vocab,
        .max_tokens = m->max_tokens,
        .shard_tokens = m->shard_tokens,
        .text_max = CACHE_TEXT_MAX,
        .lines = m->lines,
        .parse_special = m->parse_special,
        .progress = m->reading,
        .progress_arg = m->arg};
    int rc = spool_create(&w->spool, &o, m->model->tokenizer, e);
    if (!rc)
        rc = m->feed(m->arg, w->spool, e);
    if (!rc)
        rc = spool_finish(w->spool, e);
    if (rc)
        return rc;
    const struct spool_totals *t = spool_totals(w->spool);
    memcpy(w->head.info.corpus_hash, t->hash, sizeof t->hash);
    w->head.shards = t->shards;
    return cache_run_id(&w->head, e);
}

/* The head of one shard. */
static void head_of(
    struct cache_head *h, struct spool_shard *where, const struct work *w, int64_t i)
{
    spool_shard(where, w->spool, i);
    *h = w->head;
    h->shard = i;
    h->row_begin = where->row_begin;
    h->window_begin = where->window_begin;
    h->document_begin = where->document_begin;
    h->text_begin = where->text_begin;
    h->info.tokens = where->row_end - where->row_begin;
    h->info.windows = where->window_end - where->window_begin;
    h->info.documents = where->document_end - where->document_begin;
}

/* ---- what it costs ---- */

/* Seconds per floating-point operation, of a short pass with the same hooks. */
static int time_pass(double *out, struct work *w, struct err *e)
{
    const struct model *model = w->m->model;
    struct spool_cursor c = {0};
    struct spool_window win;
    struct trace t;
    int32_t *tokens = arena_array(&w->arena, (size_t)w->m->window, sizeof *tokens, e);
    if (!tokens || params_pack_all(model->params, e) ||
        spool_next(&win, tokens, NULL, NULL, NULL, &c, w->spool, 0, e) < 0)
        return e->code;
    int64_t offset[2] = {0, win.n < PROBE_ROWS ? win.n : PROBE_ROWS};
    struct batch b = {tokens, offset, 1};
    struct forward_opts o = {.plan = w->m->plan, .pool = w->m->pool, .max_bytes = w->m->max_bytes};
    *out = 1e9;
    for (int k = 0; k < 2; k++) {
        double t0 = machine_seconds();
        int rc = forward(&t, model->params, &b, &o, e);
        if (rc)
            return rc;
        trace_release(&t);
        double s = (machine_seconds() - t0) / plan_estimate(w->m->plan, &model->cfg, &b).flops;
        *out = s < *out ? s : *out;
    }
    return 0;
}

static uint64_t row_bytes(const struct work *w)
{
    uint64_t n = 0;
    for (int k = 0; k < w->head.info.hooks; k++)
        n += cache_row_bytes(&w->head, k);
    return n;
}

/* What a window of the longest sequence would save: only attention's rows are as wide as a window. */
static uint64_t spare_bytes(const struct work *w, int64_t longest)
{
    uint64_t n = 0, window = (uint64_t)w->m->window;
    for (int k = 0; k < w->head.info.hooks; k++)
        if (site_is_square(w->head.hook[k].site))
            n += cache_row_bytes(&w->head, k) / window * (window - (uint64_t)longest);
    return n;
}

/* Rows that an earlier run left, about, and what its files take. */
static int64_t look_at_shard(uint64_t *taken, const struct work *w, int64_t i, int64_t rows)
{
    char name[4400];
    struct stat st;
    cache_shard_name(name, sizeof name, w->folder, i, "");
    if (!stat(name, &st)) {
        *taken += (uint64_t)st.st_blocks * 512;
        return rows;
    }
    cache_shard_name(name, sizeof name, w->folder, i, ".part");
    if (!stat(name, &st))
        *taken += (uint64_t)st.st_blocks * 512;
    return 0;
}

/* Of the whole corpus: linear in rows but for attention (plan_estimate). */
static double all_flops(const struct work *w)
{
    const struct spool_totals *t = spool_totals(w->spool);
    const struct config *cfg = &w->m->model->cfg;
    double C = cfg->d_model, F = cfg->d_mlp, L = cfg->n_layer;
    return 2 * (double)t->computed * L * (4 * C * C + 2 * C * F) + 2 * t->squares * C * L;
}

static int estimate(struct work *w, struct err *e)
{
    const struct spool_totals *t = spool_totals(w->spool);
    const struct cache_make *m = w->m;
    struct cache_estimate *x = &w->x;
    struct statvfs fs;
    uint64_t own = 0, taken = 0;
    *x = (struct cache_estimate){.rows = t->rows,
        .tokens = t->tokens,
        .documents = t->documents,
        .windows = t->windows,
        .invalid = t->invalid,
        .no_text = t->no_text,
        .cut = t->cut,
        .hooks = w->head.info.hooks,
        .shards = t->shards,
        .longest = t->longest,
        .spare = (uint64_t)t->rows * spare_bytes(w, t->longest),
        .folder = w->folder};
    /* A row's token, position and span; a head for every shard. */
    uint64_t each = row_bytes(w) + 24, text = t->text_bytes;
    for (int64_t i = 0; i < t->shards; i++) {
        struct spool_shard where;
        spool_shard(&where, w->spool, i);
        int64_t rows = where.row_end - where.row_begin;
        uint64_t bytes = (uint64_t)rows * each + 65536 + (uint64_t)w->head.info.hooks * 1024;
        x->bytes += bytes;
        if (!is_mine(w, i))
            continue;
        x->own++;
        own += bytes;
        x->todo += rows - look_at_shard(&taken, w, i, rows);
    }
    x->bytes += 2 * text;
    own += 2 * text;
    x->need = own > taken ? own - taken : 0;
    if (statvfs(w->folder, &fs))
        return err_set(e, ERR_OUTPUT, "%s: %s", w->folder, strerror(errno));
    x->free = (uint64_t)fs.f_bavail * fs.f_frsize;
    double per_flop = 0;
    if (x->todo && time_pass(&per_flop, w, e))
        return e->code;
    x->seconds = per_flop * all_flops(w) * (double)x->todo / (double)t->rows;
    m->tell(m->arg, x);
    return 0;
}

static int refuse(const struct work *w, struct err *e)
{
    const struct cache_estimate *x = &w->x;
    struct rlimit most;
    double share = (double)x->free / (double)x->need;
    if (x->need > x->free)
        return err_set(e, ERR_LIMIT,
            "%s needs %.4g GB more, and its disk has %.4g GB; --max-tokens %lld fits, or a "
            "narrower --filter%s",
            w->m->path, (double)x->need / 1e9, (double)x->free / 1e9,
            (long long)((double)x->tokens * share * 0.95),
            w->m->dtype == DT_F32 ? ", or --dtype f16" : "");
    uint64_t largest =
        (uint64_t)(x->rows < w->m->shard_tokens ? x->rows : w->m->shard_tokens) * row_bytes(w);
    if (!getrlimit(RLIMIT_FSIZE, &most) && most.rlim_cur != RLIM_INFINITY &&
        largest > most.rlim_cur)
        return err_set(e, ERR_LIMIT,
            "a shard takes %.4g MB, and files may not be larger than %.4g MB here (ulimit -f); "
            "--shard-tokens %lld fits",
            (double)largest / 1e6, (double)most.rlim_cur / 1e6,
            (long long)((double)most.rlim_cur * 0.9 / (double)row_bytes(w)));
    return 0;
}

/* ---- what is there already ---- */

static bool is_ours(const char *name)
{
    size_t n = strlen(name);
    const char *dot = strstr(name, ".h5");
    return (!strncmp(name, "shard_", 6) && dot &&
               (!strcmp(dot, ".h5") || !strcmp(dot, ".h5.part") || !strcmp(dot, ".h5.tmp"))) ||
           (n > 4 && !strncmp(name, "run", 3) && !strcmp(name + n - 4, ".log"));
}

static bool has_shards(const struct work *w)
{
    struct dirent *d;
    DIR *dir = opendir(w->folder);
    bool any = false;
    while (dir && (d = readdir(dir)))
        any |= !strncmp(d->d_name, "shard_", 6) && is_ours(d->d_name) && !strstr(d->d_name, ".tmp");
    if (dir)
        closedir(dir);
    return any;
}

static int remove_old(const struct work *w, struct err *e)
{
    struct dirent *d;
    DIR *dir = opendir(w->folder);
    int rc = 0;
    if (unlink(w->m->path) && errno != ENOENT)
        rc = err_set(e, ERR_OUTPUT, "%s cannot be removed: %s", w->m->path, strerror(errno));
    while (!rc && dir && (d = readdir(dir)))
        if (is_ours(d->d_name) && unlinkat(dirfd(dir), d->d_name, 0))
            rc = err_set(e, ERR_OUTPUT, "%s/%s cannot be removed: %s", w->folder, d->d_name,
                strerror(errno));
    if (dir)
        closedir(dir);
    return rc;
}

/* Another cache of that name is not touched unless that is asked for. */
static int check_old(const struct work *w, struct err *e)
{
    const char *path = w->m->path;
    struct cache_h5 f;
    struct err why;
    if (w->m->overwrite)
        return 0;
    if (!access(path, F_OK)) {
        if (cache_h5_open(&f, path, &why))
            return err_set(e, ERR_OUTPUT,
                "%s is there and is no cache; give another name with -o, or --overwrite", path);
        const char *field = cache_differs(&f.head, &w->head);
        cache_h5_close(&f);
        if (field)
            return err_set(e, ERR_OUTPUT,
                "%s is another cache: its %s differs; give another name with -o, or --overwrite",
                path, field);
        return 0;
    }
    if (has_shards(w) && !w->m->resume && w->m->tasks == 1)
        return err_set(e, ERR_OUTPUT,
            "%s holds what an earlier run left; go on with --resume, or begin anew with "
            "--overwrite",
            w->folder);
    return 0;
}

/* One process a task; who, where and when stands in a log of its own, so that equal runs give equal
 * files. */
static int open_log(struct work *w, struct err *e)
{
    char name[4400], host[128] = "", when[64];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    time_t now = time(NULL);
    struct tm tm;
    if (w->m->tasks > 1)
        snprintf(name, sizeof name, "%s/run-%d-of-%d.log", w->folder, w->m->task, w->m->tasks);
    else
        snprintf(name, sizeof name, "%s/run.log", w->folder);
    if (w->log >= 0)
        close(w->log);
    w->log = open(name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (w->log < 0)
        return err_set(e, ERR_OUTPUT, "%s: %s", name, strerror(errno));
    if (fcntl(w->log, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES))
        return err_set(e, ERR_OUTPUT, "%s is being written by another process", w->m->path);
    gethostname(host, sizeof host - 1);
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    dprintf(w->log, "%s host=%s pid=%ld threads=%d version=%s run_id=%s\n", when, host,
        (long)getpid(), pool_threads(w->m->pool), SONDE_VERSION, w->head.info.run_id);
    return 0;
}

/* ---- the work ---- */

static int on_progress(void *arg, double done, double total)
{
    const struct work *w = arg;
    if (!w->m->progress)
        return 0;
    return w->m->progress(w->m->arg, w->done_rows + w->span_rows * done / total, (double)w->x.todo);
}

/* Whole windows for one pass, as many as fit; their tokens follow one another. */
struct batching {
    int32_t *tokens; /* [GROUP_ROWS + window] */
    int64_t *offset; /* [GROUP_ROWS + 2] */
    bool has_next;   /* `next` and its tokens behind the batch are for the next pass */
    struct spool_window next;
    struct spool_cursor cursor;
    int64_t rows;
    int n;
};

static bool fits(const struct work *w, const struct batching *b, int n)
{
    struct batch batch = {NULL, b->offset, n};
    struct forward_opts o = {.plan = w->m->plan};
    struct estimate x;
    struct err e;
    if (!w->m->max_bytes)
        return true;
    return !forward_estimate(&x, &o, &w->m->model->cfg, &batch, &e) &&
           IN_FLIGHT * x.keep_bytes + x.scratch_bytes <= w->m->max_bytes;
}

/* 1: a group, 0: the shard ends. */
static int next_group(struct cache_group *g, struct batching *b, struct work *w,
    const struct cache_shard *s, struct err *e)
{
    *g = (struct cache_group){.row_begin = s->head->row_begin, .from = s->done};
    g->window = arena_array(&g->arena, GROUP_ROWS + 1, sizeof *g->window, e);
    if (!g->window)
        return ERR_LIMIT;
    if (b->has_next)
        memmove(b->tokens, b->tokens + b->rows, (size_t)b->next.n * sizeof *b->tokens);
    b->rows = b->n = 0;
    for (;;) {
        int more = 1;
        if (!b->has_next)
            more = spool_next(&b->next, b->tokens + b->rows, NULL, NULL, NULL, &b->cursor, w->spool,
                s->head->shard, e);
        if (more <= 0)
            return more ? more : b->n > 0;
        b->has_next = false;
        if (b->next.row - g->row_begin + b->next.stored <= s->done)
            continue;
        b->offset[b->n] = b->rows;
        b->offset[b->n + 1] = b->rows + b->next.n;
        bool room = b->rows + b->next.n <= GROUP_ROWS && b->n < GROUP_ROWS && fits(w, b, b->n + 1);
        if (b->n && !room) {
            b->has_next = true;
            return 1;
        }
        if (!b->n && !fits(w, b, 1))
            return err_set(e, ERR_LIMIT,
                "a window of %d tokens needs more memory than --max-mem allows; lower --window or "
                "keep fewer hooks",
                b->next.n);
        g->window[b->n++] = b->next;
        g->n = b->n;
        b->rows += b->next.n;
    }
}

static int64_t new_rows(const struct cache_group *g)
{
    int64_t n = 0;
    for (int i = 0; i < g->n; i++) {
        int64_t row = g->window[i].row - g->row_begin, end = row + g->window[i].stored;
        n += end - (row > g->from ? row : g->from);
    }
    return n;
}

/* A short pass knows nothing of a slow disk, nor of what else the machine does meanwhile. */
static void correct(struct work *w)
{
    double passed = machine_seconds() - w->began;
    if (w->is_corrected || passed < CORRECT_SECONDS || !w->out->rows || !w->m->correct)
        return;
    double all = passed * (double)w->x.todo / (double)w->out->rows;
    w->is_corrected = true;
    if (all > CORRECT_FACTOR * w->x.seconds)
        w->m->correct(w->m->arg, all);
}

static int run_shard(struct work *w, struct cache_shard *s, struct batching *b, struct err *e)
{
    struct cache_group g;
    int rc;
    b->cursor = (struct spool_cursor){0};
    b->has_next = false;
    if (s->done == s->rows)
        return cache_shard_finish(s, e);
    while ((rc = next_group(&g, b, w, s, e)) > 0) {
        struct batch batch = {b->tokens, b->offset, b->n};
        struct forward_opts o = {.plan = w->m->plan,
            .pool = w->m->pool,
            .progress = on_progress,
            .progress_arg = w,
            .max_bytes = w->m->max_bytes};
        double t0 = machine_seconds();
        int64_t rows = new_rows(&g);
        w->span_rows = (double)rows;
        rc = forward(&g.trace, w->m->model->params, &batch, &o, e);
        w->out->forward += machine_seconds() - t0;
        if (rc)
            break;
        rc = cache_writer_add(w->writer, s, &g, e);
        if (rc)
            return rc;
        w->out->rows += rows;
        w->done_rows += w->span_rows;
        w->span_rows = 0;
        correct(w);
    }
    arena_release(&g.arena);
    return rc;
}

static int run_shards(struct work *w, struct err *e)
{
    struct batching b = {0};
    size_t rows = GROUP_ROWS + (size_t)w->m->window;
    b.tokens = arena_array(&w->arena, 2 * rows, sizeof *b.tokens, e);
    b.offset = arena_array(&w->arena, GROUP_ROWS + 2, sizeof *b.offset, e);
    int rc = b.tokens && b.offset ? 0 : ERR_LIMIT, slot = 0;
    for (int64_t i = 0; i < w->x.shards && !rc; i++) {
        struct spool_shard where;
        bool whole;
        if (!is_mine(w, i))
            continue;
        /* The writer is at most two groups behind: it has left this slot's shard long ago. */
        struct cache_shard *s = &w->shard[slot];
        struct cache_head *h = &w->shard_head[slot];
        slot = (slot + 1) % SHARDS_OPEN;
        cache_shard_close(s);
        head_of(h, &where, w, i);
        rc = cache_shard_open(s, &whole, h, w->folder, w->spool, &where, e);
        if (rc || whole) {
            w->out->kept += rc ? 0 : h->info.tokens;
            continue;
        }
        w->out->kept += s->done;
        w->done_rows += (double)s->done;
        rc = run_shard(w, s, &b, e);
    }
    return rc;
}

/* All shards there, whoever made them: the file that people open. */
static int join_all(struct work *w, struct err *e)
{
    char name[4400];
    const char **files = arena_array(&w->arena, (size_t)w->x.shards, sizeof *files, e);
    if (!files)
        return ERR_LIMIT;
    for (int64_t i = 0; i < w->x.shards; i++) {
        cache_shard_name(name, sizeof name, w->folder, i, "");
        if (!(files[i] = arena_strdup(&w->arena, name, e)))
            return ERR_LIMIT;
        w->out->missing += access(name, F_OK) != 0;
    }
    return w->out->missing ? 0 : cache_join(w->m->path, files, w->x.shards, e);
}

static int work_on(struct work *w, struct err *e)
{
    int rc = check_old(w, e);
    if (!rc)
        rc = open_log(w, e);
    if (!rc && w->m->overwrite)
        rc = remove_old(w, e);
    if (!rc && w->m->overwrite)
        rc = open_log(w, e);
    if (!rc)
        rc = cache_writer_create(&w->writer, &w->head, e);
    if (rc)
        return rc;
    w->began = machine_seconds();
    rc = run_shards(w, e);
    struct err late = {0};
    /* What was computed is written, whatever stopped the rest. */
    if (cache_writer_drain(w->writer, &late) && !rc) {
        *e = late;
        rc = late.code;
    }
    struct cache_written stats;
    cache_writer_stats(&stats, w->writer);
    w->out->bytes = stats.bytes;
    w->out->writer = stats.busy;
    w->out->stalled = stats.stalled;
    w->out->infinite = stats.infinite;
    w->out->kept += w->out->rows;
    w->out->seconds = machine_seconds() - w->began;
    cache_writer_release(&w->writer);
    return rc ? rc : join_all(w, e);
}

int cache_make(struct cache_made *out, const struct cache_make *m, struct err *e)
{
    struct err local = {0};
    struct work *w = calloc(1, sizeof *w);
    e = e ? e : &local;
    *out = (struct cache_made){0};
    if (!w)
        return err_set(e, ERR_LIMIT, "out of memory");
    w->m = m;
    w->out = out;
    w->log = -1;
    for (int i = 0; i < SHARDS_OPEN; i++)
        w->shard[i].fd = w->shard[i].direct = -1;
    int rc = describe(w, e);
    if (!rc)
        rc = name_folder(w, e);
    if (!rc)
        rc = read_corpus(w, e);
    if (!rc)
        rc = estimate(w, e);
    if (!rc)
        rc = refuse(w, e);
    if (!rc)
        rc = work_on(w, e);
    for (int i = 0; i < SHARDS_OPEN; i++)
        cache_shard_close(&w->shard[i]);
    spool_release(&w->spool);
    if (w->log >= 0)
        close(w->log);
    if (rc && *w->folder)
        (void)rmdir(w->folder); /* empty: nothing was begun */
    arena_release(&w->arena);
    free(w);
    return rc;
}
