#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench.h"
#include "app/bench_screen.h"
#include "app/bench_storage.h"
#include "app/inputs.h"
#include "app/signals.h"
#include "datasets/dataset.h"
#include "model/backward.h"
#include "model/core/json.h"
#include "model/core/machine.h"
#include "model/core/rng.h"
#include "model/generate.h"

#define MIN_RUNS 3
#define MAX_RUNS 200

static int run_load(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    (void)row;
    struct model *m;
    double t0 = machine_seconds();
    int rc = model_open(&m, args_text(&b->c->args, "model"), b->pool, e);
    if (rc)
        return rc;
    rc = params_pack_all(m->params, e);
    times[(*n)++] = machine_seconds() - t0;
    cost->bytes = (double)weights_bytes(m->weights);
    model_release(&m);
    return rc;
}

static int one_forward(struct trace *t, struct bench *b, const struct plan *plan, int64_t T,
    double *flops, struct err *e)
{
    int64_t offset[2] = {0, T};
    struct batch batch = {b->tokens, offset, 1};
    struct forward_opts o = {.plan = plan,
        .pool = b->pool,
        .max_bytes = (size_t)args_int(&b->c->args, "max-mem"),
        .progress = progress_quiet};
    *flops = plan_estimate(plan, &b->m->cfg, &batch).flops;
    return forward(t, b->m->params, &batch, &o, e);
}

static int timed_forward(struct bench *b, const struct row *row, bool sites,
    enum logits_want logits, double *times, int *n, struct cost *cost, struct err *e)
{
    struct arena_mark mark = arena_mark(b->arena);
    struct plan plan;
    struct trace t;
    int rc = plan_init(&plan, &b->m->cfg, b->arena, e);
    if (rc)
        return rc;
    plan.logits = logits;
    /* What TransformerLens caches without being asked for more: no results, no split inputs. */
    static const enum site extra[] = {
        SITE_RESULT, SITE_ATTN_IN, SITE_Q_INPUT, SITE_K_INPUT, SITE_V_INPUT, SITE_MLP_IN};
    for (int s = 0; sites && s < SITE_COUNT; s++) {
        bool skip = false;
        for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
            skip |= extra[i] == (enum site)s;
        if (!skip)
            plan_keep(&plan, (enum site)s, -1);
    }
    double t0 = machine_seconds();
    rc = one_forward(&t, b, &plan, row->tokens, &cost->flops, e);
    if (!rc) {
        times[(*n)++] = machine_seconds() - t0;
        trace_release(&t);
    }
    arena_rewind(b->arena, mark);
    return rc;
}

static int run_forward(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    return timed_forward(b, row, false, LOGITS_ALL, times, n, cost, e);
}

static int run_sites(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    return timed_forward(b, row, true, LOGITS_NONE, times, n, cost, e);
}

static int run_sites_logits(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    return timed_forward(b, row, true, LOGITS_ALL, times, n, cost, e);
}

static int run_gradients(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    struct arena_mark mark = arena_mark(b->arena);
    struct plan plan, logits;
    struct param_arrays g;
    struct trace t;
    int rc = plan_init(&plan, &b->m->cfg, b->arena, e);
    if (!rc)
        rc = plan_init(&logits, &b->m->cfg, b->arena, e);
    if (!rc)
        rc = param_arrays_init(&g, &b->m->cfg, b->arena, e);
    if (rc)
        return rc;
    backward_plan(&plan, &b->m->cfg);
    double t0 = machine_seconds(), value, flops;
    rc = one_forward(&t, b, &plan, row->tokens, &flops, e);
    if (!rc) {
        struct metric metric = {.kind = METRIC_LOSS};
        struct backward_opts o = {.params = &g, .pool = b->pool};
        struct trace none;
        rc = backward(&none, &value, b->m->params, &t, &metric, &o, e);
        times[(*n)++] = machine_seconds() - t0;
        trace_release(&none);
        trace_release(&t);
    }
    /* Forward with all logits, and twice that: activation gradients and weight gradients. */
    logits.logits = LOGITS_ALL;
    int64_t offset[2] = {0, row->tokens};
    struct batch batch = {b->tokens, offset, 1};
    cost->flops = 3 * plan_estimate(&logits, &b->m->cfg, &batch).flops;
    arena_rewind(b->arena, mark);
    return rc;
}

struct clock_steps {
    double last, *times;
    int *n;
};

static int tick(void *arg, const struct step *step)
{
    struct clock_steps *c = arg;
    (void)step;
    double now = machine_seconds();
    if (c->last > 0 && *c->n < MAX_RUNS) /* the first token waits for the prompt */
        c->times[(*c->n)++] = now - c->last;
    c->last = now;
    return signals_stopped();
}

static int run_generate(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    struct arena_mark mark = arena_mark(b->arena);
    int64_t room = b->m->cfg.n_ctx - row->tokens, max_new = room < 32 ? room : 32;
    struct generation g = {.n_prompt = row->tokens};
    g.tokens = arena_array(b->arena, (size_t)(row->tokens + max_new), sizeof *g.tokens, e);
    if (!g.tokens)
        return ERR_LIMIT;
    memcpy(g.tokens, b->tokens, (size_t)row->tokens * sizeof *g.tokens);
    struct sampling how = {.greedy = true, .temperature = 1, .top_p = 1, .repetition = 1};
    struct clock_steps clock = {0, times, n};
    int rc = generate(&g, b->m->params, max_new, -1, &how, NULL, true, tick, &clock, b->pool, e);
    arena_rewind(b->arena, mark);
    /* Every weight but the embedding rows is read once a token; tied, the embedding is the head. */
    cost->bytes = (double)weights_bytes(b->m->weights);
    if (!b->m->cfg.tied) {
        const struct weight *wte = weights_find(b->m->weights, "wte.weight");
        cost->bytes -= wte ? (double)wte->bytes : 0;
    }
    return rc;
}

static int run_tokenizer(
    struct bench *b, const struct row *row, double *times, int *n, struct cost *cost, struct err *e)
{
    (void)row, (void)cost;
    struct arena_mark mark = arena_mark(b->arena);
    struct encoding enc;
    double t0 = machine_seconds();
    int rc = tokenizer_encode(&enc, b->m->tokenizer, b->text, b->n_text, 0, b->arena, e);
    times[(*n)++] = (machine_seconds() - t0) * 1e6 / (double)b->n_text;
    arena_rewind(b->arena, mark);
    return rc;
}

static const struct row rows[] = {
    {"load", 0, run_load, false},
    {"forward_16", 16, run_forward, false},
    {"forward_64", 64, run_forward, false},
    {"forward_256", 256, run_forward, false},
    {"forward_1024", 1024, run_forward, false},
    {"sites_1024", 1024, run_sites, false},
    {"sites_logits_1024", 1024, run_sites_logits, false},
    {"gradients_64", 64, run_gradients, false},
    {"gradients_256", 256, run_gradients, false},
    {"patch_resid_16", 16, bench_patch_resid, false},
    {"patch_head_z_16", 16, bench_patch_head_z, false},
    {"attr_16", 16, bench_attr, false},
    {"generate_token", 16, run_generate, false},
    {"tokenizer_mb", 0, run_tokenizer, true},
};
#define N_ROWS ((int)(sizeof rows / sizeof *rows))

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct measured {
    double median, min, fraction; /* fraction NaN: no limit to compare with */
    int runs;
    const char *limit;
};

/* One run to warm up, then runs until both their number and the time are enough. */
static int measure(struct measured *out, struct bench *b, const struct row *row, struct err *e)
{
    double times[MAX_RUNS + 64];
    struct cost cost = {0};
    int n = 0, rc = row->run(b, row, times, &n, &cost, e);
    double enough = args_float(&b->c->args, "seconds"), began = machine_seconds();
    n = 0;
    while (!rc && n < MAX_RUNS && (n < MIN_RUNS || machine_seconds() - began < enough)) {
        rc = row->run(b, row, times, &n, &cost, e);
        if (!rc && signals_stopped())
            rc = err_set(e, ERR_CANCEL, "interrupted");
    }
    if (rc)
        return rc;
    qsort(times, (size_t)n, sizeof *times, by_size);
    *out = (struct measured){.median = n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2,
        .min = times[0],
        .fraction = NAN,
        .runs = n,
        .limit = ""};
    if (cost.flops > 0) {
        out->fraction = cost.flops / out->median / (b->gflops * 1e9);
        out->limit = "fp32 peak";
    } else if (cost.bytes > 0) {
        out->fraction = cost.bytes / out->median / (b->gbs * 1e9);
        out->limit = "memory read";
    }
    return 0;
}

static void print_row(struct bench *b, const struct row *row, const struct measured *r)
{
    char fraction[32] = "";
    progress_end(&b->s->progress);
    if (isfinite(r->fraction))
        snprintf(fraction, sizeof fraction, "%5.1f %% of %s", 100 * r->fraction, r->limit);
    fprintf(b->s->out, "%-16s %11.3f ms %11.3f ms %6d   %s\n", row->name, 1e3 * r->median,
        1e3 * r->min, r->runs, fraction);
    fflush(b->s->out);
}

static void json_row(struct js_out *w, const struct row *row, const struct measured *r)
{
    js_out_begin(w, '{');
    js_out_key(w, "name");
    js_out_text(w, row->name);
    js_out_key(w, "median_s");
    js_out_real(w, r->median, 6);
    js_out_key(w, "min_s");
    js_out_real(w, r->min, 6);
    js_out_key(w, "runs");
    js_out_int(w, r->runs);
    js_out_key(w, "fraction_of_limit");
    js_out_real(w, r->fraction, 4);
    js_out_key(w, "limit");
    js_out_text(w, *r->limit ? r->limit : NULL);
    js_out_end(w, '}');
}

static void json_tail(struct js_out *w, const struct bench *b)
{
    struct machine m;
    machine_read(&m);
    js_out_end(w, ']');
    js_out_key(w, "model");
    js_out_text(w, b->m->name);
    js_out_key(w, "threads");
    js_out_int(w, pool_threads(b->pool));
    js_out_key(w, "kernel_set");
    js_out_text(w, ops_kernel_set());
    js_out_key(w, "processor");
    js_out_text(w, m.cpu);
    js_out_key(w, "peak_gflops");
    js_out_real(w, b->gflops, 4);
    js_out_key(w, "read_gbs");
    js_out_real(w, b->gbs, 4);
    js_out_end(w, '}');
    js_out_newline(w);
}

/* About a megabyte of the small world's documents. */
static int make_text(struct bench *b, struct err *e)
{
    const struct dataset *d;
    struct dataset_opts o = {.seed = 1, .bos_id = -1};
    struct items items;
    int rc = dataset_parse(&d, &o.n, "world:3000", e);
    if (!rc)
        rc = dataset_make(&items, d, &o, b->arena, e);
    if (rc)
        return rc;
    size_t total = 0;
    for (int64_t i = 0; i < items.n; i++)
        total += strlen(items.list[i].clean.text) + 1;
    b->text = arena_alloc(b->arena, total + 1, e);
    if (!b->text)
        return ERR_LIMIT;
    for (int64_t i = 0; i < items.n && b->n_text < 1000000; i++) {
        size_t n = strlen(items.list[i].clean.text);
        memcpy(b->text + b->n_text, items.list[i].clean.text, n);
        b->n_text += n;
        b->text[b->n_text++] = '\n';
    }
    return 0;
}

/* The best seen so far: neighbours on a shared machine can only take away from it. */
static void read_limits(struct bench *b)
{
    b->gflops = fmax(b->gflops, ops_peak_gflops(b->pool));
    b->gbs = fmax(b->gbs, ops_read_gbs(b->pool));
}

static int prepare(struct bench *b, struct err *e)
{
    int rc = session_pool(&b->pool, b->s, b->c, e);
    if (!rc)
        rc = session_model(&b->m, b->s, b->c, e);
    if (!rc)
        rc = make_text(b, e);
    if (rc)
        return rc;
    int64_t n = b->m->cfg.n_ctx;
    b->tokens = arena_array(b->arena, (size_t)n, sizeof *b->tokens, e);
    if (!b->tokens)
        return ERR_LIMIT;
    struct rng rng;
    rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < n; i++)
        b->tokens[i] = (int32_t)rng_below(&rng, (uint64_t)b->m->cfg.vocab);
    read_limits(b);
    return 0;
}

static bool is_wanted(const struct command *c, const char *name)
{
    for (int i = 0; i < c->n_operands; i++)
        if (!strcmp(c->operands[i], name))
            return true;
    return !c->n_operands;
}

static int check_names(const struct command *c, struct err *e)
{
    const char *names[N_ROWS], *near[3];
    for (int i = 0; i < N_ROWS; i++)
        names[i] = rows[i].name;
    for (int i = 0; i < c->n_operands; i++) {
        bool found = false;
        for (int k = 0; k < N_ROWS; k++)
            found |= !strcmp(c->operands[i], names[k]);
        if (!found) {
            nearest_names(near, 3, c->operands[i], names, N_ROWS);
            return err_set(e, ERR_USAGE, "no benchmark \"%.60s\"; nearest: %s, %s, %s",
                c->operands[i], near[0], near[1], near[2]);
        }
    }
    return 0;
}

/* Why a row cannot run on this model, NULL: it can. */
static const char *skipped(const struct bench *b, const struct row *row)
{
    if (row->tokens > b->m->cfg.n_ctx || (row->run == run_generate && b->m->cfg.n_ctx < 32))
        return "the context is shorter";
    if (row->needs_tokenizer && !b->m->tokenizer)
        return "no tokenizer";
    return NULL;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct bench b = {.s = s, .c = c, .arena = c->args.arena};
    bool json = args_bool(&c->args, "json");
    struct js_out w = {0};
    if (c->n_operands == 1 && !strcmp(c->operands[0], "storage"))
        return bench_storage(s, c, e);
    if (c->n_operands == 1 && !strcmp(c->operands[0], "screen"))
        return bench_screen(s, c, e);
    int rc = check_names(c, e);
    if (!rc)
        rc = prepare(&b, e);
    if (rc)
        return rc;
    if (json) {
        js_out_begin(&w, '{');
        js_out_key(&w, "rows");
        js_out_begin(&w, '[');
    } else {
        fprintf(s->out,
            "%s, %d threads, kernels %s; limits: fp32 peak %.0f GFLOP/s, memory read %.1f GB/s\n"
            "%-16s %14s %14s %6s   %s\n",
            b.m->name, pool_threads(b.pool), ops_kernel_set(), b.gflops, b.gbs, "name", "median",
            "min", "runs", "fraction of limit");
    }
    progress_begin(&s->progress, "bench");
    for (int i = 0; i < N_ROWS && !rc; i++) {
        struct measured r;
        if (!is_wanted(c, rows[i].name))
            continue;
        const char *why = skipped(&b, &rows[i]);
        if (why) {
            session_note(s, "%s is skipped: %s", rows[i].name, why);
            continue;
        }
        progress_step(&s->progress, i, N_ROWS);
        read_limits(&b);
        rc = measure(&r, &b, &rows[i], e);
        if (rc == ERR_LIMIT) {
            session_note(s, "%s is skipped: %s", rows[i].name, e->msg);
            rc = 0;
            continue;
        }
        if (!rc && json)
            json_row(&w, &rows[i], &r);
        else if (!rc)
            print_row(&b, &rows[i], &r);
    }
    if (json) {
        json_tail(&w, &b);
        if (!rc && !(rc = js_out_done(&w, e)))
            fwrite(w.data, 1, w.n, s->out);
        js_out_release(&w);
    }
    return rc;
}

static const struct param params[] = {
    {.name = "json", .type = PARAM_BOOL, .help = "write {\"rows\": [...]} instead of a table"},
    {.name = "seconds",
        .type = PARAM_FLOAT,
        .def = "2",
        .min = 0,
        .max = 3600,
        .help = "how long each row is repeated; three times at least"},
};

const struct verb verb_bench = {
    .name = "bench",
    .operands = "[NAME]...",
    .brief = "measure this machine's speed on a model",
    .help =
        "Each row is warmed up once and then repeated; the median stands beside the machine's own "
        "limit, measured in the same run: fp32 peak for what computes, memory read for what "
        "reads. tokenizer_mb is the time a megabyte takes. Rows longer than the model's context "
        "are skipped, and a note says so. storage stands alone: what activation caches reach of "
        "the current folder's disk and of memory, and with -m what caching costs the forward "
        "pass. So does screen: the workbench in a terminal of its own, the time from a key to its "
        "first byte on the screen, alone and while jobs run, the time of frames, and the bytes of "
        "each.",
    .example = "  sonde bench forward_16 forward_64 -m gpt2 -t 2\n  sonde bench --json",
    .sets = FLAGS_MODEL | FLAGS_ENGINE,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .max_operands = -1,
    .operand = OPERAND_CHOICE,
    .choices = "load|forward_16|forward_64|forward_256|forward_1024|sites_1024|sites_logits_1024|"
               "gradients_64|"
               "gradients_256|patch_resid_16|patch_head_z_16|attr_16|generate_token|tokenizer_mb|"
               "storage|screen",
    .run = run,
};
