#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "app/inputs.h"
#include "app/signals.h"
#include "model/backward.h"
#include "model/core/linalg.h"
#include "model/core/machine.h"
#include "model/core/rng.h"
#include "model/core/text.h"
#include "model/ref64.h"

#define LOGIT_TOLERANCE 5e-5 /* of max |logit|, against fp64 */
#define GRAD_TOLERANCE 1e-3  /* relative, against a central difference in fp64 */
#define REFEREE_FLOPS 1e11   /* what the slow referee may cost in all */

struct doctor {
    struct session *s;
    const struct command *c;
    struct model *m;
    struct pool *pool;
    struct arena *arena;
    int failed, checks;
    int32_t *tokens; /* what the checks run on */
    int64_t n;
};

static void fact(const struct doctor *d, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fact(const struct doctor *d, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(d->s->out, "        %-18s ", name);
    vfprintf(d->s->out, fmt, ap);
    fputc('\n', d->s->out);
    va_end(ap);
    fflush(d->s->out);
}

static void verdict(struct doctor *d, bool ok, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void verdict(struct doctor *d, bool ok, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(d->s->out, "%-7s %-18s ", ok ? "pass" : "FAIL", name);
    vfprintf(d->s->out, fmt, ap);
    fputc('\n', d->s->out);
    va_end(ap);
    fflush(d->s->out);
    d->checks++;
    d->failed += !ok;
}

static void print_machine(struct doctor *d)
{
    struct machine m;
    machine_read(&m);
    fact(d, "sonde", "%s", SONDE_VERSION);
    fact(d, "system", "%s", m.system);
    fact(d, "processor", "%s, %d cores, %d usable", *m.cpu ? m.cpu : "unknown", m.cores, m.usable);
    fact(d, "features", "%s", m.features);
    fact(d, "memory", "%.1f GB, this process may use %.1f GB, --max-mem %.1f GB, pages of %zu",
        (double)m.ram / 1e9, (double)m.memory / 1e9, (double)args_int(&d->c->args, "max-mem") / 1e9,
        m.page);
    fact(d, "threads", "%d", pool_threads(d->pool));
    fact(d, "kernel set", "%s", ops_kernel_set());
    const char *core = linalg_core_name();
    verdict(d, core != NULL, "BLAS", "%s",
        core ? core : "OpenBLAS cannot be loaded; install libopenblas0-pthread");
}

static void print_model(struct doctor *d)
{
    const struct model *m = d->m;
    const struct config *c = &m->cfg;
    char hash[33];
    struct err e = {0};
    int64_t count = 0;
    fact(d, "model", "%s%s%s", m->name, *m->path ? " at " : "", m->path);
    fact(d, "shape",
        "%d layer%s, %d head%s of %d, d_model %d, d_mlp %d, context %d, vocabulary %lld",
        c->n_layer, text_s(c->n_layer), c->n_head, text_s(c->n_head), c->d_head, c->d_model,
        c->d_mlp, c->n_ctx, (long long)c->vocab);
    for (int i = 0; i < weights_count(m->weights); i++)
        count += dims_count(weights_at(m->weights, i)->dim, weights_at(m->weights, i)->rank);
    fact(d, "tensors", "%d, %.2f million values, %.1f MB, the first is %s",
        weights_count(m->weights), (double)count / 1e6, (double)weights_bytes(m->weights) / 1e6,
        dtype_name(weights_at(m->weights, 0)->dtype));
    fact(d, "activation", "%s, LN %s eps %g, head %s", act_name(c->act),
        c->ln == LN_TRUE ? "true" : "linear", c->ln_eps, c->tied ? "tied" : "untied");
    fact(d, "BOS", "%lld%s", (long long)m->bos_id, m->bos_id < 0 ? " (none)" : "");
    if (*m->note)
        fact(d, "note", "%s", m->note);
    if (model_hash(hash, m, &e))
        verdict(d, false, "model hash", "%s", e.msg);
    else
        fact(d, "model hash", "%s", hash);
    model_tokenizer_hash(hash, m);
    fact(d, "tokenizer hash", "%s", hash);
}

/* Every value of every tensor. */
static int check_weights(struct doctor *d, struct err *e)
{
    enum { LOT = 1 << 18 };
    const struct weights *w = d->m->weights;
    char *piece = arena_array(d->arena, LOT, sizeof(float), e), first_name[512] = "";
    int n_bad = 0;
    for (int i = 0; piece && i < weights_count(w); i++) {
        const struct weight *t = weights_at(w, i);
        const int64_t n = dims_count(t->dim, t->rank), size = (int64_t)dtype_bytes(t->dtype);
        int64_t bad = 0, first = -1;
        for (int64_t at = 0; at < n; at += LOT) {
            const int64_t k = n - at < LOT ? n - at : LOT;
            int64_t where = 0, found;
            if (size > (int64_t)sizeof(float))
                break; /* no weight of a model: F64 and I64 buffers */
            if (weights_read(w, t, (uint64_t)(at * size), (uint64_t)(k * size), piece, e))
                return e->code;
            found = weights_nonfinite(&where, piece, k, t->dtype);
            first = found && first < 0 ? at + where : first;
            bad += found;
        }
        char place[96];
        if (bad && !n_bad++) {
            weights_place(place, sizeof place, t, first);
            snprintf(first_name, sizeof first_name,
                "%.200s: %lld of %lld values NaN or infinite, the first at %s", t->name,
                (long long)bad, (long long)n, place);
        }
    }
    if (!piece)
        return e->code;
    if (n_bad > 1)
        verdict(d, false, "weights", "%s; so %d more tensor%s", first_name, n_bad - 1,
            n_bad > 2 ? "s have" : " has");
    else if (n_bad)
        verdict(d, false, "weights", "%s", first_name);
    else
        verdict(d, true, "weights", "%d tensors, every value finite", weights_count(w));
    return 0;
}

/* Any bytes come back as they were, invalid ones as U+FFFD. */
static void check_tokenizer(struct doctor *d)
{
    static const char *const texts[] = {DEFAULT_PROMPT, "", " ", "\n\n\t  x", "don't we'll I'M",
        "caf\xc3\xa9 \xe2\x80\x94 \xf0\x9f\x99\x82", "\xe4\xbd\xa0\xe5\xa5\xbd 12345 \xc2\xbd",
        "<|endoftext|>", "a\x01\x7f\xc2\xa0z"};
    const struct tokenizer *t = d->m->tokenizer;
    if (!t) {
        fact(d, "tokenizer", "none: the folder has no tokenizer files, give --tokens");
        return;
    }
    int bad = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct encoding enc;
        struct err e = {0};
        size_t n = strlen(texts[i]), back;
        if (tokenizer_encode(&enc, t, texts[i], n, ENCODE_SPECIAL, d->arena, &e)) {
            bad++;
            continue;
        }
        char *text = tokenizer_decode(t, enc.ids, enc.n, &back, d->arena, &e);
        bad += !text || back != n || memcmp(text, texts[i], n);
    }
    verdict(d, !bad, "tokenizer", "%zu texts encoded and decoded, %d differ; %lld ids",
        sizeof texts / sizeof *texts, bad, (long long)tokenizer_size(t));
}

/* The default sentence, or drawn ids where there is no tokenizer. */
static int choose_tokens(struct doctor *d, struct err *e)
{
    const struct model *m = d->m;
    struct encoding enc = {0};
    if (m->tokenizer) {
        int rc = tokenizer_encode(
            &enc, m->tokenizer, DEFAULT_PROMPT, strlen(DEFAULT_PROMPT), 0, d->arena, e);
        if (rc)
            return rc;
    }
    bool bos = m->tokenizer && m->bos_id >= 0;
    d->n = enc.n ? enc.n + bos : 12;
    d->tokens = arena_array(d->arena, (size_t)d->n, sizeof *d->tokens, e);
    if (!d->tokens)
        return ERR_LIMIT;
    struct rng rng;
    rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < d->n; i++)
        d->tokens[i] = bos && !i ? (int32_t)m->bos_id
                       : enc.n   ? enc.ids[i - bos]
                                 : (int32_t)rng_below(&rng, (uint64_t)m->cfg.vocab);
    if (d->n > m->cfg.n_ctx)
        d->n = m->cfg.n_ctx;
    return 0;
}

static int run_forward(struct trace *t, const struct doctor *d, const struct plan *plan, int64_t n,
    struct pool *pool, struct err *e)
{
    int64_t offset[2] = {0, n};
    struct batch b = {d->tokens, offset, 1};
    struct forward_opts o = {.plan = plan,
        .pool = pool,
        .max_bytes = (size_t)args_int(&d->c->args, "max-mem"),
        .progress = progress_quiet,
        .progress_arg = &d->s->progress};
    return forward(t, d->m->params, &b, &o, e);
}

/* One row of logits against the fp64 referee, and the same bits from one thread and from all. */
static int check_logits(struct doctor *d, struct err *e)
{
    int64_t V = d->m->cfg.vocab;
    struct trace all, one;
    int rc = run_forward(&all, d, NULL, d->n, d->pool, e);
    if (rc)
        return rc;
    rc = run_forward(&one, d, NULL, d->n, NULL, e);
    if (rc) {
        trace_release(&all);
        return rc;
    }
    const float *row = trace_logits(&all, 0, -1);
    bool same = !memcmp(row, trace_logits(&one, 0, -1), (size_t)V * sizeof *row);
    double *want = arena_array(d->arena, (size_t)V, sizeof *want, e), worst = 0, top = 0;
    struct ref64 r = {.cfg = &d->m->cfg,
        .weights = d->m->weights,
        .tokens = d->tokens,
        .n = d->n,
        .first = d->n - 1};
    rc = want ? ref64_logits(want, &r, e) : ERR_LIMIT;
    if (!rc) {
        bool finite = true;
        for (int64_t i = 0; i < V; i++) {
            finite &= isfinite(row[i]) != 0;
            worst = fmax(worst, fabs(row[i] - want[i]));
            top = fmax(top, fabs(want[i]));
        }
        verdict(d, finite && worst <= LOGIT_TOLERANCE * top, "logits",
            "one row against fp64: %.1e of max |logit| %.4g, %.0e allowed", worst / top, top,
            LOGIT_TOLERANCE);
        verdict(d, same, "threads", "1 and %d give %s logits", pool_threads(d->pool),
            same ? "the same bits of" : "different");
    }
    trace_release(&all);
    trace_release(&one);
    return rc;
}

/* The steepest element of a tensor's gradient against (loss(+h) - loss(-h)) / 2h in fp64. A tensor
 * whose gradient is almost zero is measured on `scale`, what fp32 can resolve beside the others. */
static int check_gradient(struct doctor *d, const struct param_slot *slot, const float *grad,
    int64_t n, double scale, double *worst, struct err *e)
{
    int64_t best = 0;
    for (int64_t i = 0; i < slot->count; i++)
        if (fabsf(grad[slot->at + i]) > fabsf(grad[slot->at + best]))
            best = i;
    double loss[2], h = 1e-5;
    for (int side = 0; side < 2; side++) {
        struct ref64_nudge nudge = {.tensor = slot->name, .index = best, .delta = side ? -h : h};
        struct ref64 r = {.cfg = &d->m->cfg,
            .weights = d->m->weights,
            .tokens = d->tokens,
            .n = n,
            .nudge = &nudge};
        int rc = ref64_loss(&loss[side], &r, e);
        if (rc)
            return rc;
        if (signals_stopped())
            return err_set(e, ERR_CANCEL, "interrupted");
    }
    double want = (loss[0] - loss[1]) / (2 * h), got = grad[slot->at + best];
    double error = fabs(got - want) / fmax(fabs(want), scale);
    if (!(error <= *worst))
        *worst = error;
    return 0;
}

static int check_gradients(struct doctor *d, struct err *e)
{
    const struct config *cfg = &d->m->cfg;
    double cost = 2.0 * (double)weights_bytes(d->m->weights);
    int slots = param_slots(cfg), budget = (int)(REFEREE_FLOPS / cost / 8), step, checked = 0;
    int64_t n = d->n < 4 || budget > 40 ? d->n : 4;
    if (n < 2) {
        fact(d, "gradients", "not checked: the context holds one token");
        return 0;
    }
    budget = budget < 2 ? 2 : budget > 12 ? 12 : budget;
    step = slots > budget ? slots / budget : 1;
    struct plan plan;
    struct trace t;
    struct param_arrays g;
    int rc = plan_init(&plan, cfg, d->arena, e);
    if (!rc)
        rc = param_arrays_init(&g, cfg, d->arena, e);
    if (rc)
        return rc;
    backward_plan(&plan, cfg);
    rc = run_forward(&t, d, &plan, n, d->pool, e);
    if (rc)
        return rc;
    struct metric metric = {.kind = METRIC_LOSS};
    struct backward_opts o = {.params = &g, .pool = d->pool};
    double value, worst = 0;
    struct trace none;
    rc = backward(&none, &value, d->m->params, &t, &metric, &o, e);
    trace_release(&none);
    trace_release(&t);
    double scale = 1e-12;
    for (int64_t i = 0; i < g.count; i++)
        scale = fmax(scale, 1e-2 * fabs((double)g.flat[i]));
    for (int i = 0; i < slots && !rc; i += step, checked++) {
        struct param_slot slot;
        param_slot(&slot, cfg, i);
        rc = check_gradient(d, &slot, g.flat, n, scale, &worst, e);
        progress_step(&d->s->progress, i, slots);
    }
    progress_end(&d->s->progress);
    if (!rc)
        verdict(d, worst <= GRAD_TOLERANCE, "gradients",
            "%d tensors against finite differences: %.1e relative, %.0e allowed", checked, worst,
            GRAD_TOLERANCE);
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct doctor d = {.s = s, .c = c, .arena = c->args.arena};
    d.arena->limit = (size_t)args_int(&c->args, "max-mem");
    int rc = session_pool(&d.pool, s, c, e);
    if (rc)
        return rc;
    print_machine(&d);
    rc = session_model(&d.m, s, c, e);
    if (rc)
        return rc;
    print_model(&d);
    rc = check_weights(&d, e);
    if (rc)
        return rc;
    check_tokenizer(&d);
    progress_begin(&s->progress, "doctor");
    rc = choose_tokens(&d, e);
    if (!rc)
        rc = check_logits(&d, e);
    if (!rc)
        rc = check_gradients(&d, e);
    if (rc)
        return rc;
    fact(&d, "peak memory", "%.1f MB", (double)machine_peak_rss() / 1e6);
    fprintf(s->out, "%s: %d of %d check%s\n", d.failed ? "FAIL" : "pass", d.checks - d.failed,
        d.checks, text_s(d.checks));
    return d.failed > 0;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .brief = "check this machine and a model",
    .help = "Prints what the numbers depend on (processor, kernels, BLAS, threads, memory, the "
            "model's shape and hashes) and checks the engine on this model: that every weight is "
            "finite, the tokenizer's round trip, one row of logits against a plain fp64 run, "
            "gradients against finite "
            "differences, one thread against many. Exit code 0 is pass, 1 is fail.",
    .example = "  sonde doctor\n  sonde doctor -m gpt2",
    .sets = FLAGS_MODEL | FLAGS_ENGINE,
    .run = run,
};
