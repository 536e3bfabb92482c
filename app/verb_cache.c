#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/site_blocks.h"
#include "app/inputs.h"
#include "app/output.h"
#include "app/signals.h"
#include "model/cache.h"
#include "model/cache_make.h"
#include "model/core/text.h"

/* sonde cache: activations of a corpus to disk; cache verify, cache join. */

struct cache_run {
    struct session *s;
    const struct command *c;
    const struct model *model;
    bool is_rows; /* the corpus is read, progress is in rows */
};

/* ---- what is told ---- */

static const char *size_text(char *buf, size_t n, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int k = 0;
    for (; bytes >= 999.5 && k < 5; k++)
        bytes /= 1000;
    snprintf(buf, n, k ? "%.3g %s" : "%.0f %s", bytes, units[k]);
    return buf;
}

static const char *time_text(char *buf, size_t n, double s)
{
    if (s < 60)
        snprintf(buf, n, "%.2g s", s);
    else if (s < 3600)
        snprintf(buf, n, "%d min %02d s", (int)s / 60, (int)s % 60);
    else
        snprintf(buf, n, "%d h %02d min", (int)s / 3600, (int)s / 60 % 60);
    return buf;
}

static void tell(void *arg, const struct cache_estimate *x)
{
    struct cache_run *r = arg;
    char bytes[32], need[32], free_bytes[32], time[32];
    session_note(r->s,
        "%" PRId64 " token%s in %" PRId64 " document%s, %" PRId64 " window%s, %" PRId64
        " row%s; %d hook%s: %s in %" PRId64 " shard%s",
        x->tokens, text_s(x->tokens), x->documents, text_s(x->documents), x->windows,
        text_s(x->windows), x->rows, text_s(x->rows), x->hooks, text_s(x->hooks),
        size_text(bytes, sizeof bytes, (double)x->bytes), x->shards, text_s(x->shards));
    session_note(r->s, "to do: %" PRId64 " row%s, about %s; %s to take, %s free in %s", x->todo,
        text_s(x->todo), time_text(time, sizeof time, x->seconds),
        size_text(need, sizeof need, (double)x->need),
        size_text(free_bytes, sizeof free_bytes, (double)x->free), x->folder);
    if (x->invalid)
        session_note(r->s, "%" PRId64 " invalid byte sequence%s of the corpus became U+FFFD",
            x->invalid, text_s(x->invalid));
    if (x->no_text)
        session_note(r->s,
            "the text of %" PRId64 " document%s is longer than %zu MB and is not kept; positions "
            "in it are",
            x->no_text, text_s(x->no_text), CACHE_TEXT_MAX >> 20);
    if (x->spare > x->bytes / 50)
        session_note(r->s,
            "the longest sequence has %" PRId64 " tokens: --window %" PRId64
            " saves %s of %s, which attention keeps for places that no sequence reaches",
            x->longest, x->longest, size_text(need, sizeof need, (double)x->spare),
            size_text(bytes, sizeof bytes, (double)x->bytes));
    if (x->cut)
        session_note(r->s, "the corpus was cut at --max-tokens");
    progress_begin(&r->s->progress, "cache");
}

static void correct(void *arg, double seconds)
{
    struct cache_run *r = arg;
    char time[32];
    progress_end(&r->s->progress);
    session_note(r->s, "by the first rows it takes %s in all, not what was estimated",
        time_text(time, sizeof time, seconds));
}

static void tell_made(struct cache_run *r, const char *path, const struct cache_made *made)
{
    char bytes[32], time[32];
    double beside = made->seconds > 0 ? made->seconds - made->forward : 0;
    if (made->rows)
        session_note(r->s,
            "%" PRId64 " row%s in %s, %s written; forward pass %.3g s, waiting for the disk %.3g "
            "s, the rest %.3g s",
            made->rows, text_s(made->rows), time_text(time, sizeof time, made->seconds),
            size_text(bytes, sizeof bytes, (double)made->bytes), made->forward, made->stalled,
            fmax(beside - made->stalled, 0));
    else
        session_note(r->s, "all rows of %s were there already", path);
    if (made->infinite)
        session_note(r->s,
            "%" PRId64 " value%s beyond F16's 65504 became infinite; --dtype f32 keeps such",
            made->infinite, text_s(made->infinite));
    if (made->missing)
        session_note(r->s,
            "%" PRId64 " shards of other tasks are not there yet; the task that ends last joins "
            "them",
            made->missing);
}

/* ---- the corpus ---- */

static int feed(void *arg, struct spool *spool, struct err *e)
{
    struct cache_run *r = arg;
    const struct param_value *files = args_get(&r->c->args, "file");
    struct sources given;
    int rc = sources_gather_given(&given, r->c, r->model, r->c->args.arena, e);
    if (!rc && !given.n && !files->n_texts)
        rc = err_set(e, ERR_USAGE, "no corpus given; name one with -f, -p, --tokens or --dataset");
    for (int i = 0; i < given.n && !rc; i++) {
        const struct source *one = &given.list[i];
        rc = one->text ? spool_text(spool, one->text, one->n_text, e)
                       : spool_ids(spool, one->ids, one->n_ids, e);
        if (rc)
            err_prefix(e, "%s", one->where);
    }
    for (int i = 0; i < files->n_texts && !rc; i++)
        rc = spool_file(spool, files->texts[i], e);
    return rc;
}

static int step(void *arg, double done, double total)
{
    struct cache_run *r = arg;
    return progress_step(&r->s->progress, done, total);
}

/* ---- the command ---- */

/* What decides the values, as one line: no path, no thread count, so that equal runs give equal
 * files. */
static const char *describe(const struct args *a, const char *model, struct err *e)
{
    static const char *const names[] = {
        "filter", "dtype", "window", "stride", "max-tokens", "shard-tokens"};
    char *text = arena_printf(a->arena, e, "sonde cache -m %s", model);
    for (size_t i = 0; i < sizeof names / sizeof *names && text; i++) {
        const struct param_value *v = args_get(a, names[i]);
        if (!v->is_set)
            continue;
        bool is_text = !strcmp(names[i], "filter") || !strcmp(names[i], "dtype");
        text = is_text ? arena_printf(a->arena, e, "%s --%s '%s'", text, names[i], v->text)
                       : arena_printf(a->arena, e, "%s --%s %" PRId64, text, names[i], v->i);
    }
    if (text && args_bool(a, "parse-special"))
        text = arena_printf(a->arena, e, "%s --parse-special", text);
    if (text && !args_bool(a, "prepend-bos"))
        text = arena_printf(a->arena, e, "%s --no-prepend-bos", text);
    return text;
}

/* "2/8", or a place in a Slurm array. */
static int read_task(int *task, int *tasks, const char *text, struct err *e)
{
    const char *id = getenv("SLURM_ARRAY_TASK_ID"), *count = getenv("SLURM_ARRAY_TASK_COUNT"),
               *min = getenv("SLURM_ARRAY_TASK_MIN");
    char end;
    *task = 0;
    *tasks = 1;
    if (!text && id && count) {
        *task = atoi(id) - (min ? atoi(min) : 0);
        *tasks = atoi(count);
    } else if (text && sscanf(text, "%9d/%9d%c", task, tasks, &end) != 2) {
        return err_set(
            e, ERR_USAGE, "--shard %.40s: give I/N, as in 0/8 for the first of eight tasks", text);
    }
    if (*tasks < 1 || *task < 0 || *task >= *tasks)
        return err_set(
            e, ERR_USAGE, "task %d of %d: the first is 0, the last %d", *task, *tasks, *tasks - 1);
    return 0;
}

static int read_window(struct cache_make *m, const struct args *a, struct err *e)
{
    const struct param_value *window = args_get(a, "window");
    int64_t context = m->model->cfg.n_ctx;
    m->window = window->is_set ? window->i : context;
    m->stride = args_get(a, "stride")->is_set ? args_int(a, "stride") : 0;
    m->max_tokens = args_get(a, "max-tokens")->is_set ? args_int(a, "max-tokens") : 0;
    m->shard_tokens = args_int(a, "shard-tokens");
    if (m->window > context)
        return err_set(e, ERR_USAGE,
            "--window %" PRId64 ": the context of %s is %" PRId64 " tokens", m->window,
            m->model->name, context);
    if (m->shard_tokens < m->window)
        return err_set(e, ERR_USAGE,
            "--shard-tokens %" PRId64 " does not hold a window of %" PRId64, m->shard_tokens,
            m->window);
    return 0;
}

static int make(struct session *s, const struct command *c, struct err *e)
{
    const struct args *a = &c->args;
    const char *path = args_text(a, "output"), *filter = args_text(a, "filter");
    struct cache_run r = {.s = s, .c = c};
    struct cache_made made;
    struct model *model;
    struct plan plan;
    if (!path || !filter)
        return err_set(e, ERR_USAGE, "sonde cache needs %s",
            path ? "--filter REGEX, as in --filter 'hook_resid_post|mlp.hook_post'" : "-o FILE.h5");
    if (args_bool(a, "truncate"))
        return err_set(e, ERR_USAGE,
            "--truncate: a cache cuts documents into windows; --window and --max-tokens bound "
            "them");
    int rc = output_check(path, e);
    if (!rc)
        rc = session_model(&model, s, c, e);
    if (!rc)
        rc = plan_init(&plan, &model->cfg, a->arena, e);
    if (!rc)
        rc = sites_select(&plan, &model->cfg, filter, e);
    if (rc)
        return rc;
    r.model = model;
    plan.logits = LOGITS_NONE;
    struct cache_make m = {.model = model,
        .plan = &plan,
        .path = path,
        .filter = filter,
        .command = describe(a, model->name, e),
        .dtype = strcmp(args_text(a, "dtype"), "f16") ? DT_F32 : DT_F16,
        .prepend_bos = args_bool(a, "prepend-bos"),
        .parse_special = args_bool(a, "parse-special"),
        .lines = args_bool(a, "lines"),
        .resume = args_bool(a, "resume"),
        .overwrite = args_bool(a, "overwrite"),
        .pool = s->pool,
        .reading = step,
        .progress = step,
        .feed = feed,
        .tell = tell,
        .correct = correct,
        .arg = &r};
    if (!m.command)
        return ERR_LIMIT;
    rc = session_budget(&m.max_bytes, c, model, e);
    if (!rc)
        rc = read_window(&m, a, e);
    if (!rc)
        rc = read_task(&m.task, &m.tasks, args_text(a, "shard"), e);
    if (rc)
        return rc;
    if (m.prepend_bos && model->bos_id < 0)
        session_note(s, "%s has no BOS token, so none begins a window", model->name);
    progress_begin(&s->progress, "reading the corpus");
    rc = cache_make(&made, &m, e);
    progress_end(&s->progress);
    if (!rc)
        tell_made(&r, path, &made);
    else if (made.kept)
        session_note(
            s, "%" PRId64 " rows are kept; the same command with --resume goes on", made.kept);
    return rc;
}

static void tell_fault(void *arg, const struct cache_fault *f)
{
    struct cache_run *r = arg;
    progress_end(&r->s->progress);
    fprintf(r->s->out, "%s: ", f->file);
    if (f->hook)
        fprintf(r->s->out, "%s ", f->hook);
    if (f->block >= 0)
        fprintf(r->s->out, "block %" PRId64 " (rows %" PRId64 " to %" PRId64 ") ", f->block,
            f->row_begin, f->row_end - 1);
    fprintf(r->s->out, "%s\n", f->what);
}

static int verify(struct session *s, const struct command *c, struct err *e)
{
    struct cache_run r = {.s = s, .c = c};
    struct cache_verified v;
    struct pool *pool;
    char bytes[32];
    if (c->n_operands != 2)
        return err_set(e, ERR_USAGE, "sonde cache verify takes one FILE.h5");
    int rc = session_pool(&pool, s, c, e);
    if (rc)
        return rc;
    progress_begin(&s->progress, "verify");
    rc = cache_verify(&v, c->operands[1], pool, tell_fault, step, &r, e);
    progress_end(&s->progress);
    if (rc)
        return rc;
    fprintf(s->out, "%s: %d shard%s, %" PRId64 " block%s, %s: ", c->operands[1], v.shards,
        text_s(v.shards), v.blocks, text_s(v.blocks),
        size_text(bytes, sizeof bytes, (double)v.bytes));
    if (v.faults)
        fprintf(s->out, "%" PRId64 " fault%s\n", v.faults, text_s(v.faults));
    else
        fputs("all good\n", s->out);
    return v.faults > 0;
}

static int join(struct session *s, const struct command *c, struct err *e)
{
    if (c->n_operands < 3)
        return err_set(e, ERR_USAGE, "sonde cache join takes OUT.h5 and the shards");
    const char *path = c->operands[1];
    int rc = output_check(path, e);
    if (!rc)
        rc = cache_join(path, c->operands + 2, c->n_operands - 2, e);
    if (!rc)
        session_note(s, "%s joins %d shards", path, c->n_operands - 2);
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    static const struct {
        const char *name;
        int (*run)(struct session *s, const struct command *c, struct err *e);
    } words[] = {{"verify", verify}, {"join", join}};
    if (!c->n_operands)
        return make(s, c, e);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(c->operands[0], words[i].name))
            return words[i].run(s, c, e);
    return err_set(e, ERR_USAGE,
        "sonde cache %.40s: the words are verify and join; a corpus is named with -f",
        c->operands[0]);
}

static const struct param params[] = {
    {.name = "filter",
        .type = PARAM_STRING,
        .metavar = "REGEX",
        .help = "keep the hooks whose name this is found in (sonde list hooks)"},
    {.name = "dtype",
        .type = PARAM_CHOICE,
        .def = "f32",
        .choices = "f32|f16",
        .help = "values on disk; f16 is rounded to nearest even, and half the size"},
    {.name = "window",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 1,
        .max = CONFIG_MAX_WIDTH,
        .help = "tokens of the longest sequence, BOS included; the model's context by default"},
    {.name = "stride",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 1,
        .max = CONFIG_MAX_WIDTH,
        .help = "let the windows of a document begin N tokens apart and overlap; each token is "
                "stored once, where it has the longest left context"},
    {.name = "max-tokens",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 1,
        .max = 1e15,
        .help = "stop after N tokens of the corpus (BOS not counted)"},
    {.name = "parse-special",
        .type = PARAM_BOOL,
        .help = "read special tokens such as <|endoftext|> in the text; they are plain text "
                "otherwise"},
    {.name = "resume", .type = PARAM_BOOL, .help = "go on with what an earlier run left"},
    {.name = "overwrite",
        .type = PARAM_BOOL,
        .help = "remove the cache of that name first; without it a cache that is there is never "
                "replaced, since it may be days of work"},
    {.name = "shard",
        .type = PARAM_STRING,
        .metavar = "I/N",
        .help = "do every N-th shard from I (0 to N - 1) on; inside a Slurm array that is the "
                "default"},
    {.name = "shard-tokens",
        .type = PARAM_INT,
        .def = "65536",
        .metavar = "N",
        .min = 1,
        .max = 65536,
        .help = "rows of a shard at most"},
};

const struct verb verb_cache = {
    .name = "cache",
    .operands = "[verify FILE.h5 | join OUT.h5 SHARD.h5...]",
    .brief = "keep a corpus' activations on disk",
    .help =
        "Every token's values at the hooks that match go to an HDF5 file of any size: X.h5 is what "
        "people open, its shards lie in X.acts/. Documents are cut into windows, each a sequence "
        "of its own. Size, time and free disk are told before it starts, and what cannot fit is "
        "refused. Killed at any moment it loses nothing that was finished: --resume goes on and "
        "ends with the same bytes. verify checks every block and names what is damaged; join makes "
        "one file of shards that were made apart. sonde run -c reads a cache in place of a forward "
        "pass.",
    .example = "  sonde cache -m gpt2 -f corpus.jsonl.zst --filter 'mlp.hook_post' --dtype f16 -o "
               "acts.h5\n"
               "  sonde cache verify acts.h5\n"
               "  sonde run norms -c acts.h5 -m gpt2",
    .sets = FLAGS_MODEL | FLAGS_INPUT | FLAGS_SEED | FLAGS_ENGINE | FLAGS_OUTPUT,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .max_operands = -1,
    .operand = OPERAND_FILE,
    .run = run,
};
