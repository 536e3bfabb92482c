#include "app/session.h"

#include <stdarg.h>
#include <string.h>

#include "app/desk.h"
#include "app/help.h"
#include "model/core/machine.h"
#include "model/ops.h"

void session_init(struct session *s)
{
    *s = (struct session){.out = stdout, .log = stderr};
    progress_init(&s->progress, s->log, "auto");
}

void session_release(struct session *s)
{
    progress_end(&s->progress);
    model_release(&s->model);
    pool_release(&s->pool);
}

void session_watch(struct session *s, const struct watch *w)
{
    s->watch = w;
    s->progress.watch = w ? w->progress : NULL;
    s->progress.watch_arg = w ? w->arg : NULL;
}

void session_note(struct session *s, const char *fmt, ...)
{
    if (s->is_quiet)
        return;
    progress_end(&s->progress);
    va_list ap;
    va_start(ap, fmt);
    fputs("sonde: ", s->log);
    vfprintf(s->log, fmt, ap);
    fputc('\n', s->log);
    va_end(ap);
}

int session_parse(struct command *out, const struct session *s, char *const *words, int n,
    struct arena *arena, struct err *e)
{
    static const char *const shared[] = {
        "threads", "max-mem", "quiet", "progress", "color", "ascii"};
    int rc = command_parse(out, words, n, arena, e);
    for (size_t i = 0; !rc && s->outer && i < sizeof shared / sizeof *shared; i++) {
        int from = args_find(s->outer, shared[i]), to = args_find(&out->args, shared[i]);
        if (from >= 0 && to >= 0 && s->outer->values[from].is_set && !out->args.values[to].is_set)
            out->args.values[to] = s->outer->values[from];
    }
    if (!rc && s->desk)
        rc = desk_fill(s->desk, out, e);
    return rc;
}

int session_run(struct session *s, char *const *words, int n, struct err *e)
{
    struct arena arena = {0};
    struct command c;
    int rc = session_parse(&c, s, words, n, &arena, e);
    if (!rc && c.wants_version) {
        fprintf(s->out, "sonde %s\n", SONDE_VERSION);
    } else if (!rc && c.wants_help) {
        help_command(s->out, &c);
    } else if (!rc) {
        s->is_quiet = args_bool(&c.args, "quiet");
        progress_init(&s->progress, s->log, s->is_quiet ? "none" : args_text(&c.args, "progress"));
        rc = c.verb->run(s, &c, e);
        progress_end(&s->progress);
    }
    /* What an earlier flush could not write is gone, and only ferror() knows. */
    if (rc >= 0 && (fflush(s->out) || ferror(s->out)))
        rc = err_set(e, ERR_OUTPUT, "standard output could not be written; is the disk full?");
    arena_release(&arena);
    return rc;
}

int session_budget(size_t *out, const struct command *c, const struct model *m, struct err *e)
{
    uint64_t most = (uint64_t)args_int(&c->args, "max-mem"), own = params_full_bytes(m->params);
    if (own >= most)
        return err_set(e, ERR_LIMIT,
            "the weights of %s alone take %.4g MB, --max-mem is %.4g MB; raise it", m->name,
            (double)own / 1e6, (double)most / 1e6);
    *out = (size_t)(most - own);
    return 0;
}

#define SHARE_OF_PEAK 0.4 /* of what products of matrices reach, until a run has been timed */
#define LEAST_FLOPS 2e9   /* shorter runs say little about the speed */

double session_seconds(struct session *s, double flops)
{
    if (s->rate <= 0 && flops < LEAST_FLOPS)
        return 0;
    if (s->rate <= 0)
        s->rate = SHARE_OF_PEAK * 1e9 * ops_peak_gflops(s->pool);
    return s->rate > 0 ? flops / s->rate : 0;
}

void session_took(struct session *s, double flops, double seconds)
{
    if (flops >= LEAST_FLOPS && seconds > 0)
        s->rate = flops / seconds;
}

int session_pool(struct pool **out, struct session *s, const struct command *c, struct err *e)
{
    int row = args_find(&c->args, "threads"); /* a verb that reads text alone has no such flag */
    int threads = row < 0 ? 0 : (int)c->args.values[row].i;
    if (!threads)
        threads = machine_cpus();
    if (s->pool && s->threads != threads) {
        /* The model packs its panels with the pool it was opened with. */
        model_release(&s->model);
        pool_release(&s->pool);
        s->opened++;
    }
    if (!s->pool) {
        int rc = pool_create(&s->pool, threads, e);
        if (rc)
            return rc;
        s->threads = threads;
    }
    *out = s->pool;
    return 0;
}

int session_model(struct model **out, struct session *s, const struct command *c, struct err *e)
{
    const char *name = args_text(&c->args, "model");
    struct pool *pool;
    int rc = session_pool(&pool, s, c, e);
    if (rc)
        return rc;
    if (!s->model || strcmp(s->model_name, name) != 0) {
        /* The old one goes when the new one is there: a wrong name must not cost the model. */
        struct model *next;
        rc = model_open(&next, name, pool, e);
        if (rc)
            return rc;
        model_release(&s->model);
        s->model = next;
        s->opened++;
        snprintf(s->model_name, sizeof s->model_name, "%s", name);
    }
    *out = s->model;
    return 0;
}
