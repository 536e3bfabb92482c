#include "model/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/backward.h"
#include "model/core/rng.h"
#include "model/train_state.h"

#define ORDER_STREAM (UINT64_C(1) << 40) /* plus the epoch: the order of the sequences */

struct train_opts train_defaults(void)
{
    return (struct train_opts){.schedule = {.lr = 1e-3, .floor = 0.1, .warmup = 100, .steps = 1000},
        .beta1 = 0.9,
        .beta2 = 0.95,
        .eps = 1e-8,
        .weight_decay = 0.1,
        .clip = 1,
        .batch_tokens = 8192,
        .micro_tokens = 2048,
        .eval_every = 100,
        .eval_tokens = 65536,
        .checkpoint_every = 200};
}

int train_check(const struct train_opts *o, struct err *e)
{
    const struct {
        const char *name;
        double value, min, max;
    } list[] = {{"lr", o->schedule.lr, 0, 1e6}, {"lr floor", o->schedule.floor, 0, 1},
        {"warm-up steps", (double)o->schedule.warmup, 0, 1e15},
        {"steps", (double)o->schedule.steps, 1, 1e15}, {"beta1", o->beta1, 0, 1 - 1e-9},
        {"beta2", o->beta2, 0, 1 - 1e-9}, {"eps", o->eps, 0, 1e6},
        {"weight decay", o->weight_decay, 0, 1e6}, {"clip", o->clip, 0, 1e30},
        {"batch tokens", (double)o->batch_tokens, 2, 1e9},
        {"micro tokens", (double)o->micro_tokens, 2, 1e9}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (!(list[i].value >= list[i].min && list[i].value <= list[i].max))
            return err_set(e, ERR_USAGE, "%s %g is outside %g to %g", list[i].name, list[i].value,
                list[i].min, list[i].max);
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t train_bytes(const struct config *cfg, const struct train_opts *o, int64_t window)
{
    struct param_slot last;
    param_slot(&last, cfg, param_slots(cfg) - 1);
    uint64_t C = (uint64_t)cfg->d_model, F = (uint64_t)cfg->d_mlp, L = (uint64_t)cfg->n_layer;
    uint64_t rows = (uint64_t)(o->micro_tokens > window ? o->micro_tokens : window);
    /* Masters, panels, gradients and two moments; what backward_plan keeps, then scratch. */
    uint64_t params = 5 * 4 * (uint64_t)(last.at + last.count);
    uint64_t kept = 4 * rows * (L * (6 * C + F + 2) + 2 * C);
    uint64_t scratch = 4 * rows * (16 * C + 4 * F) + ((uint64_t)48 << 20);
    return params + kept + scratch;
}

int train_push_history(struct train *t, const struct train_point *p, struct err *e)
{
    if (t->n_history == t->cap_history) {
        int64_t n = t->cap_history ? 2 * t->cap_history : 1024;
        void *more = realloc(t->history, (size_t)n * sizeof *t->history);
        if (!more)
            return err_set(e, ERR_LIMIT, "out of memory for the loss curve");
        t->history = more;
        t->cap_history = n;
    }
    t->history[t->n_history++] = *p;
    return 0;
}

static void shuffle(struct train *t)
{
    struct rng r;
    rng_init(&r, t->o.seed, ORDER_STREAM + (uint64_t)t->epoch);
    rng_permutation(&r, t->order, t->corpus->n_train);
}

/* The sequences of the next step: added until they hold batch_tokens. */
static int64_t draw_step(struct train *t)
{
    int64_t rows = 0;
    t->n_pieces = 0;
    while (rows < t->o.batch_tokens && t->n_pieces < t->cap_pieces) {
        if (t->cursor == t->corpus->n_train) {
            t->cursor = 0;
            t->epoch++;
            shuffle(t);
        }
        const struct piece *p = &t->corpus->train[t->order[t->cursor++]];
        t->pieces[t->n_pieces++] = p;
        rows += corpus_rows(t->corpus, p);
    }
    return rows;
}

/* The next sequences that fit one pass, from *at on. */
static struct batch fill(struct train *t, const struct piece *const *list, int64_t n, int64_t *at)
{
    int64_t rows = 0;
    int count = 0;
    t->batch_offset[0] = 0;
    while (*at < n && count < t->cap_batch) {
        int64_t more = corpus_rows(t->corpus, list[*at]);
        if (count && rows + more > t->o.micro_tokens)
            break;
        rows += corpus_read(t->batch_tokens + rows, t->corpus, list[*at]);
        t->batch_offset[++count] = rows;
        ++*at;
    }
    return (struct batch){t->batch_tokens, t->batch_offset, count};
}

static int gradient(struct train *t, double *loss, const struct plan *plan, struct err *e)
{
    int64_t predicted = -t->n_pieces, at = 0;
    for (int64_t i = 0; i < t->n_pieces; i++)
        predicted += corpus_rows(t->corpus, t->pieces[i]);
    memset(t->grads.flat, 0, (size_t)t->grads.count * sizeof *t->grads.flat);
    *loss = 0;
    while (at < t->n_pieces) {
        struct batch b = fill(t, t->pieces, t->n_pieces, &at);
        struct forward_opts fo = {.plan = plan, .pool = t->pool};
        struct trace kept, none;
        struct metric m = {.kind = METRIC_LOSS};
        double share = (double)(b.offset[b.n] - b.n) / (double)predicted, value;
        struct backward_opts bo = {.params = &t->grads, .scale = share, .pool = t->pool};
        int rc = forward(&kept, t->params, &b, &fo, e);
        if (rc)
            return rc;
        rc = backward(&none, &value, t->params, &kept, &m, &bo, e);
        trace_release(&kept);
        if (rc)
            return rc;
        trace_release(&none);
        *loss += share * value;
    }
    return 0;
}

static int evaluate(struct train *t, struct err *e)
{
    const struct corpus *c = t->corpus;
    int64_t n = 0, rows = 0, at = 0, count = 0;
    double sum = 0;
    while (n < c->n_held && (n == 0 || rows < t->o.eval_tokens))
        rows += corpus_rows(c, &c->held[n++]);
    const struct piece **list = malloc((size_t)(n ? n : 1) * sizeof *list);
    if (!list)
        return err_set(e, ERR_LIMIT, "out of memory");
    for (int64_t i = 0; i < n; i++)
        list[i] = &c->held[i];
    int rc = 0;
    while (!rc && at < n) {
        struct batch b = fill(t, list, n, &at);
        double part;
        int64_t k;
        rc = loss_of(&part, &k, t->params, &b, t->pool, e);
        sum += rc ? 0 : part;
        count += rc ? 0 : k;
    }
    free(list);
    if (!rc && count)
        t->held_out = sum / (double)count;
    return rc;
}

static int64_t last_step(const struct train *t)
{
    int64_t end = t->o.schedule.steps;
    return t->o.stop_at > 0 && t->o.stop_at < end ? t->o.stop_at : end;
}

static int one_step(struct train *t, const struct plan *plan, struct train_point *p, struct err *e)
{
    int64_t rows = draw_step(t);
    p->lr = schedule_lr(&t->o.schedule, t->step);
    if (gradient(t, &p->loss, plan, e))
        return e->code;
    p->grad_norm = flat_norm(t->grads.flat, t->grads.count, t->pool, t->norm_scratch);
    if (!isfinite(p->loss) || !isfinite(p->grad_norm))
        return err_set(e, ERR_INPUT,
            "step %lld: the loss is %g and the gradient's norm %g; lower --lr or raise --warmup",
            (long long)t->step + 1, p->loss, p->grad_norm);
    double scale = t->o.clip > 0 && p->grad_norm > t->o.clip ? t->o.clip / p->grad_norm : 1;
    adamw_step(
        &t->adam, params_arrays(t->params), &t->grads, &t->params->cfg, p->lr, scale, t->pool);
    if (params_changed(t->params, e))
        return e->code;
    t->tokens += rows;
    p->step = ++t->step;
    p->tokens = t->tokens;
    p->held_out = (double)NAN;
    return 0;
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static int steps(struct train *t, const struct plan *plan, train_fn each, void *arg, struct err *e)
{
    int64_t end = last_step(t), first_tokens = t->tokens, first = t->step;
    double began = now();
    while (t->step < end) {
        struct train_point p;
        if (one_step(t, plan, &p, e))
            return e->code;
        if (due(t->step, t->o.eval_every) || t->step == t->o.schedule.steps) {
            if (t->corpus->n_held && evaluate(t, e))
                return e->code;
            p.held_out = t->corpus->n_held ? t->held_out : (double)NAN;
        }
        if (train_push_history(t, &p, e))
            return e->code;
        double spent = now() - began;
        struct train_progress seen = {.now = p,
            .history = t->history,
            .n = t->n_history,
            .steps = t->o.schedule.steps,
            .tokens_per_s = (double)(t->tokens - first_tokens) / (spent > 0 ? spent : 1e-9),
            .eta_s = spent / (double)(t->step - first) * (double)(end - t->step),
            .held_out = t->held_out};
        bool stop = each && each(arg, &seen);
        if (stop || t->step == end || due(t->step, t->o.checkpoint_every))
            if (checkpoint_save(t, e))
                return e->code;
        if (stop && t->step < end)
            return err_set(e, ERR_CANCEL, "stopped after step %lld of %lld; --resume goes on",
                (long long)t->step, (long long)end);
    }
    return 0;
}

int train_run(struct train *t, train_fn each, void *arg, struct err *e)
{
    struct arena arena = {0};
    struct plan plan;
    int rc = plan_init(&plan, &t->params->cfg, &arena, e);
    if (!rc) {
        backward_plan(&plan, &t->params->cfg);
        rc = steps(t, &plan, each, arg, e);
    }
    arena_release(&arena);
    return rc;
}

static int init(struct train *t, struct err *e)
{
    const struct config *cfg = &t->params->cfg;
    int64_t longest = 2;
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < (side ? t->corpus->n_held : t->corpus->n_train); i++) {
            const struct piece *p = side ? &t->corpus->held[i] : &t->corpus->train[i];
            int64_t rows = corpus_rows(t->corpus, p);
            longest = rows > longest ? rows : longest;
        }
    if (longest > cfg->n_ctx)
        return err_set(e, ERR_USAGE, "a window of %lld tokens exceeds the model's context of %d",
            (long long)longest, cfg->n_ctx);
    t->cap_tokens = (t->o.micro_tokens > longest ? t->o.micro_tokens : longest);
    t->cap_batch = t->cap_tokens / 2 + 1;
    t->cap_pieces = t->o.batch_tokens / 2 + 1;
    t->held_out = (double)NAN;
    t->adam = (struct adamw){.beta1 = t->o.beta1,
        .beta2 = t->o.beta2,
        .eps = t->o.eps,
        .weight_decay = t->o.weight_decay};
    if (param_arrays_init(&t->grads, cfg, &t->arena, e) || adamw_init(&t->adam, cfg, &t->arena, e))
        return ERR_LIMIT;
    t->order = arena_array(&t->arena, (size_t)t->corpus->n_train, sizeof *t->order, e);
    t->batch_tokens = arena_array(&t->arena, (size_t)t->cap_tokens, sizeof *t->batch_tokens, e);
    t->batch_offset = arena_array(&t->arena, (size_t)t->cap_batch + 1, sizeof *t->batch_offset, e);
    t->pieces = arena_array(&t->arena, (size_t)t->cap_pieces, sizeof *t->pieces, e);
    t->norm_scratch = arena_array(
        &t->arena, (size_t)flat_norm_scratch(t->grads.count), sizeof *t->norm_scratch, e);
    if (!t->order || !t->batch_tokens || !t->batch_offset || !t->pieces || !t->norm_scratch)
        return ERR_LIMIT;
    return 0;
}

int train_open(struct train **out, const struct train_opts *o, struct params *params,
    const struct corpus *corpus, const char *path, bool resume, struct pool *pool, struct err *e)
{
    *out = NULL;
    if (train_check(o, e))
        return e->code;
    struct train *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_LIMIT, "out of memory");
    t->o = *o;
    t->params = params;
    t->corpus = corpus;
    t->pool = pool;
    t->path = arena_strdup(&t->arena, path, e);
    int rc = t->path ? init(t, e) : ERR_LIMIT;
    if (!rc && resume)
        rc = checkpoint_load(t, e);
    if (!rc)
        shuffle(t);
    if (rc)
        train_release(&t);
    *out = t;
    return rc;
}

const struct train_point *train_history(const struct train *t, int64_t *n)
{
    *n = t->n_history;
    return t->history;
}

void train_release(struct train **t)
{
    if (!*t)
        return;
    free((*t)->history);
    arena_release(&(*t)->arena);
    free(*t);
    *t = NULL;
}
