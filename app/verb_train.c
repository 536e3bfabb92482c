#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/output.h"
#include "app/train_setup.h"
#include "app/train_watch.h"
#include "model/core/text.h"

static struct train_opts options(const struct args *a)
{
    return (struct train_opts){.schedule = {.lr = args_float(a, "lr"),
                                   .floor = args_float(a, "lr-floor"),
                                   .warmup = args_int(a, "warmup"),
                                   .steps = args_int(a, "steps")},
        .beta1 = args_float(a, "beta1"),
        .beta2 = args_float(a, "beta2"),
        .eps = args_float(a, "eps"),
        .weight_decay = args_float(a, "weight-decay"),
        .clip = args_float(a, "clip"),
        .batch_tokens = args_int(a, "batch-tokens"),
        .micro_tokens = args_int(a, "micro-tokens"),
        .eval_every = args_int(a, "eval-every"),
        .eval_tokens = args_int(a, "eval-tokens"),
        .checkpoint_every = args_int(a, "checkpoint-every"),
        .stop_at = args_int(a, "stop-at"),
        .seed = (uint64_t)args_int(a, "seed")};
}

static enum dtype output_dtype(const struct args *a)
{
    const char *name = args_text(a, "dtype");
    return !strcmp(name, "f16") ? DT_F16 : !strcmp(name, "bf16") ? DT_BF16 : DT_F32;
}

/* The folder is made; one that holds a checkpoint is another run's unless this one resumes it. */
static int prepare_folder(const char *folder, const char *checkpoint, bool resume, struct err *e)
{
    if (mkdir(folder, 0777) && errno != EEXIST)
        return err_set(e, ERR_OUTPUT, "%s: %s", folder, strerror(errno));
    if (access(folder, W_OK | X_OK))
        return err_set(e, ERR_OUTPUT, "%s: %s", folder, strerror(errno));
    bool exists = !access(checkpoint, F_OK);
    if (exists && !resume)
        return err_set(e, ERR_USAGE,
            "%s holds an unfinished or finished run; --resume goes on with it, another -o begins "
            "anew",
            folder);
    if (!exists && resume)
        return err_set(e, ERR_USAGE, "%s holds no checkpoint to resume from", folder);
    return 0;
}

static int open_corpus(
    struct corpus **out, const struct command *c, const struct train_setup *t, struct err *e)
{
    const struct param_value *files = args_get(&c->args, "file");
    int64_t window =
        args_get(&c->args, "window")->has ? args_int(&c->args, "window") : t->cfg.n_ctx;
    if (window > t->cfg.n_ctx)
        return err_set(e, ERR_USAGE, "--window %" PRId64 " exceeds the model's context of %d",
            window, t->cfg.n_ctx);
    struct corpus_opts o = {.paths = files->texts,
        .n_paths = files->n_texts,
        .lines = args_bool(&c->args, "lines"),
        .by_document = args_bool(&c->args, "by-document"),
        .window = window,
        .bos = t->bos,
        .separator = t->cfg.eos_id >= 0 ? t->cfg.eos_id : t->bos,
        .held_out = args_float(&c->args, "held-out"),
        .seed = (uint64_t)args_int(&c->args, "seed")};
    if (!files->n_texts)
        return err_set(e, ERR_USAGE, "give the corpus with -f FILE");
    return corpus_open(out, &o, t->tokenizer, e);
}

static int column(struct run *run, const char *name, enum dtype dtype, const char *unit,
    const char *long_name, const void *data, int64_t n, struct err *e)
{
    struct block *b;
    struct block_spec spec = {.name = name,
        .input = -1,
        .dtype = dtype,
        .rank = 1,
        .axes = {{"step", AXIS_STEP, n, NULL}},
        .unit = unit,
        .long_name = long_name,
        .look = LOOK_LINES};
    return run_block(&b, run, &spec, e) || block_set(b, data, e) ? e->code : 0;
}

static int curves(
    struct run *run, const struct train_point *h, int64_t n, struct arena *arena, struct err *e)
{
    int64_t *step = arena_array(arena, 2 * (size_t)n, sizeof *step, e), *tokens = step + n;
    double *loss = arena_array(arena, 4 * (size_t)n, sizeof *loss, e);
    if (!step || !loss)
        return ERR_LIMIT;
    double *held = loss + n, *lr = held + n, *norm = lr + n;
    for (int64_t i = 0; i < n; i++) {
        step[i] = h[i].step;
        tokens[i] = h[i].tokens;
        loss[i] = h[i].loss;
        held[i] = h[i].held_out;
        lr[i] = h[i].lr;
        norm[i] = h[i].grad_norm;
    }
    if (column(run, "step", DT_I64, "", "optimiser steps done", step, n, e) ||
        column(run, "tokens", DT_I64, "tokens", "tokens read so far", tokens, n, e) ||
        column(run, "loss", DT_F64, "nats", "mean loss of the step's batch", loss, n, e) ||
        column(run, "held_out_loss", DT_F64, "nats",
            "mean loss of the held-out documents (NaN: not measured)", held, n, e) ||
        column(run, "lr", DT_F64, "", "learning rate", lr, n, e) ||
        column(run, "grad_norm", DT_F64, "", "L2 norm of the gradient before clipping", norm, n, e))
        return e->code;
    return 0;
}

/* Everything the curve depends on. */
static int attributes(struct run *run, const struct command *c, const struct corpus *corpus,
    const struct config *cfg, struct err *e)
{
    /* What a resumed run need not repeat, and what changes no number. */
    static const char *const left_out[] = {"resume", "stop-at", "checkpoint-every", "file",
        "output", "report", "model", "vocab-folder", "config", "n-layer", "n-head", "d-model",
        "d-mlp", "n-ctx", "activation", "init-std", "progress", "quiet", "threads", "max-mem",
        "color", "ascii", "help", "version"};
    for (int i = 0; i < c->args.n; i++) {
        const struct param_value *v = &c->args.values[i];
        char name[80];
        bool skip = !v->has;
        for (size_t k = 0; k < sizeof left_out / sizeof *left_out; k++)
            skip = skip || !strcmp(left_out[k], c->args.table[i].name);
        snprintf(name, sizeof name, "param.%.60s", c->args.table[i].name);
        if (!skip && run_attr_text(run, name, v->text, e))
            return e->code;
    }
    if (run_attr_text(run, "weights", "raw", e) ||
        run_attr_text(run, "dtype", args_text(&c->args, "dtype"), e) ||
        run_attr_int(run, "seed", args_int(&c->args, "seed"), e) ||
        run_attr_text(run, "corpus_hash", corpus->hash, e) ||
        run_attr_int(run, "corpus_tokens", corpus->n_tokens, e) ||
        run_attr_int(run, "corpus_documents", corpus->documents, e) ||
        run_attr_int(run, "n_layer", cfg->n_layer, e) ||
        run_attr_int(run, "d_model", cfg->d_model, e) ||
        run_attr_int(run, "n_head", cfg->n_head, e) || run_attr_int(run, "d_mlp", cfg->d_mlp, e) ||
        run_attr_int(run, "n_ctx", cfg->n_ctx, e) || run_attr_int(run, "vocab", cfg->vocab, e))
        return e->code;
    return 0;
}

static int write_report(struct session *s, const struct command *c, const char *folder,
    const struct train *t, const struct corpus *corpus, const struct config *cfg, int rc,
    struct arena *arena, struct err *e)
{
    char path[4200];
    struct report *own = NULL, *r = s->report;
    struct run *run;
    int64_t n;
    const struct train_point *h = train_history(t, &n);
    const char *given = args_text(&c->args, "report");
    snprintf(path, sizeof path, "%.4000s/train.h5", folder);
    if (!r) {
        if (output_report(&own, given ? given : path, s, c->text, e))
            return e->code;
        r = own;
    }
    int bad = report_begin_run(&run, r, "train", e);
    if (!bad)
        bad = attributes(run, c, corpus, cfg, e);
    if (!bad && n)
        bad = curves(run, h, n, arena, e);
    if (!bad)
        bad = run_end(run, rc == ERR_CANCEL ? "cancelled" : "complete", NULL, e);
    return own ? output_close(&own, given ? given : path, bad, s, e) : bad;
}

struct training {
    struct session *s;
    const struct command *c;
    const char *folder;
    char checkpoint[4100];
    bool resume;
    struct pool *pool;
    struct train_opts o;
    struct train_setup setup;
    struct corpus *corpus;
    struct params *params;
    struct train *train;
    struct arena arena;
};

static void tell(const struct training *j, uint64_t bytes)
{
    const struct config *cfg = &j->setup.cfg;
    const struct corpus *c = j->corpus;
    struct param_slot last;
    param_slot(&last, cfg, param_slots(cfg) - 1);
    session_note(j->s,
        "%d layer%s, %d head%s, d_model %d, d_mlp %d, context %d, vocabulary %" PRId64 ": %.2f M "
        "parameters",
        cfg->n_layer, text_s(cfg->n_layer), cfg->n_head, text_s(cfg->n_head), cfg->d_model,
        cfg->d_mlp, cfg->n_ctx, cfg->vocab, (double)(last.at + last.count) / 1e6);
    session_note(j->s,
        "%" PRId64 " document%s, %" PRId64 " token%s; %" PRId64 " sequence%s to train on, %" PRId64
        " held out",
        c->documents, text_s(c->documents), c->n_tokens, text_s(c->n_tokens), c->n_train,
        text_s(c->n_train), c->n_held);
    session_note(j->s, "needs about %.0f MB; a step reads %" PRId64 " tokens in passes of %" PRId64,
        (double)bytes / 1e6, j->o.batch_tokens, j->o.micro_tokens);
    if (c->invalid)
        session_note(j->s, "%" PRId64 " invalid byte sequence%s read as U+FFFD", c->invalid,
            text_s(c->invalid));
}

static int start(struct training *j, struct err *e)
{
    const struct args *a = &j->c->args;
    if (prepare_folder(j->folder, j->checkpoint, j->resume, e) ||
        session_pool(&j->pool, j->s, j->c, e) ||
        train_setup_open(&j->setup, j->c, j->folder, j->resume, j->pool, &j->arena, e) ||
        open_corpus(&j->corpus, j->c, &j->setup, e))
        return e->code;
    uint64_t bytes = train_bytes(&j->setup.cfg, &j->o,
                         args_get(a, "window")->has ? args_int(a, "window") : j->setup.cfg.n_ctx) +
                     4 * (uint64_t)j->corpus->n_tokens;
    tell(j, bytes);
    if (bytes > (uint64_t)args_int(a, "max-mem"))
        return err_set(e, ERR_LIMIT,
            "this run needs about %.1f GB, more than --max-mem allows; lower --micro-tokens",
            (double)bytes / 1e9);
    if (train_setup_params(&j->params, &j->setup, j->o.seed, j->pool, e))
        return e->code;
    if (!j->resume && (train_setup_copy_tokenizer(&j->setup, j->folder, &j->arena, e) ||
                          params_save(j->folder, j->params, output_dtype(a), NULL, e)))
        return e->code;
    return train_open(&j->train, &j->o, j->params, j->corpus, j->checkpoint, j->resume, j->pool, e);
}

/* What is finished is kept, also after an interruption. After an error the last checkpoint stays. */
static int finish(struct training *j, int rc, struct err *e)
{
    struct err later = {0};
    int64_t n;
    const struct train_point *h = train_history(j->train, &n);
    if (rc && rc != ERR_CANCEL)
        return rc;
    int bad = params_save(j->folder, j->params, output_dtype(&j->c->args), NULL, &later);
    if (!bad)
        bad = write_report(
            j->s, j->c, j->folder, j->train, j->corpus, &j->setup.cfg, rc, &j->arena, &later);
    if (bad) {
        *e = later;
        return bad;
    }
    if (!rc && n)
        fprintf(
            j->s->out, "%s: step %" PRId64 ", loss %.4f", j->folder, h[n - 1].step, h[n - 1].loss);
    if (!rc && n && isfinite(h[n - 1].held_out))
        fprintf(j->s->out, ", held out %.4f", h[n - 1].held_out);
    if (!rc && n)
        fputc('\n', j->s->out);
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    struct training j = {.s = s,
        .c = c,
        .folder = args_text(&c->args, "output"),
        .resume = args_bool(&c->args, "resume"),
        .o = options(&c->args)};
    if (!j.folder)
        return err_set(e, ERR_USAGE, "give the folder of the new model with -o FOLDER");
    if (strlen(j.folder) > 3800)
        return err_set(e, ERR_USAGE, "the path of -o is too long");
    snprintf(j.checkpoint, sizeof j.checkpoint, "%s/checkpoint.safetensors", j.folder);
    int rc = train_check(&j.o, e);
    if (!rc)
        rc = start(&j, e);
    if (!rc) {
        struct train_watch w = {.progress = &s->progress, .is_ascii = args_bool(&c->args, "ascii")};
        rc = train_run(j.train, train_watch_step, &w, e);
        progress_end(&s->progress);
        rc = finish(&j, rc, e);
    }
    train_release(&j.train);
    params_release(&j.params);
    corpus_release(&j.corpus);
    train_setup_release(&j.setup);
    arena_release(&j.arena);
    return rc;
}

#define COUNT(flag, value, text)                                                                   \
    {                                                                                              \
        .name = flag, .type = PARAM_INT, .metavar = "N", .def = value, .min = 0, .max = 1e15,      \
        .help = text                                                                               \
    }
#define REAL(flag, value, text)                                                                    \
    {                                                                                              \
        .name = flag, .type = PARAM_FLOAT, .metavar = "X", .def = value, .help = text              \
    }

static const struct param params[] = {
    {.name = "output",
        .letter = 'o',
        .type = PARAM_FILE,
        .metavar = "FOLDER",
        .help = "the new model's folder: config.json, model.safetensors, the tokenizer's files, "
                "checkpoint.safetensors and train.h5"},
    {.name = "file",
        .letter = 'f',
        .type = PARAM_FILE,
        .metavar = "FILE",
        .many = true,
        .help = "the corpus: a .jsonl file is one document a line (its field text), a text file is "
                "cut at <|endoftext|>; .gz and .zst are unpacked"},
    {.name = "lines", .type = PARAM_BOOL, .help = "every line of a text file is a document"},
    {.name = "resume", .type = PARAM_BOOL, .help = "go on from the checkpoint in FOLDER"},
    {.name = "model",
        .letter = 'm',
        .type = PARAM_STRING,
        .metavar = "MODEL",
        .help = "train this model further instead of a new one"},
    {.name = "vocab-folder",
        .type = PARAM_FILE,
        .metavar = "DIR",
        .help = "a new model's tokenizer: vocab.json and merges.txt, or tokenizer.json"},
    {.name = "config", .type = PARAM_FILE, .metavar = "FILE", .help = "a new model's config.json"},
    COUNT("n-layer", "5", "layers of a new model"),
    COUNT("n-head", "4", "attention heads of a layer"),
    COUNT("d-model", "160", "width of the residual stream"),
    {.name = "d-mlp",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 1,
        .max = 1 << 18,
        .help = "neurons of a layer; 4 times d-model where not given"},
    COUNT("n-ctx", "256", "positions"),
    {.name = "activation",
        .type = PARAM_STRING,
        .metavar = "NAME",
        .def = "gelu_new",
        .help = "activation function of a new model, by its Hugging Face name"},
    {.name = "init-std",
        .type = PARAM_FLOAT,
        .metavar = "X",
        .def = "0.02",
        .min = 1e-6,
        .max = 10,
        .help = "standard deviation of a new model's matrices before training"},
    COUNT("steps", "1000", "optimiser steps"),
    COUNT("batch-tokens", "8192", "tokens of a step"),
    COUNT("micro-tokens", "2048", "tokens of one pass; gradients of the passes are added"),
    {.name = "window",
        .type = PARAM_INT,
        .metavar = "N",
        .min = 2,
        .max = 1 << 18,
        .help = "tokens of the longest sequence, BOS included; the whole context where not given"},
    {.name = "by-document",
        .type = PARAM_BOOL,
        .help = "a sequence stays within its document; else documents are packed end to end"},
    REAL("lr", "1e-3", "highest learning rate"),
    REAL("lr-floor", "0.1", "share of it that is left at the end of the cosine"),
    COUNT("warmup", "100", "steps of linear warm-up"),
    REAL("weight-decay", "0.1", "decoupled decay of matrices and embeddings"),
    REAL("beta1", "0.9", "AdamW's first moment"),
    REAL("beta2", "0.95", "AdamW's second moment"),
    REAL("eps", "1e-8", "AdamW's epsilon"),
    REAL("clip", "1", "largest norm of the whole gradient; 0: no clipping"),
    REAL("held-out", "0.02", "share of the documents kept apart to measure the loss"),
    COUNT("eval-every", "100", "steps between two held-out losses; 0: at the end alone"),
    COUNT("eval-tokens", "65536", "held-out tokens to measure on, at most"),
    COUNT("checkpoint-every", "200", "steps between two checkpoints; 0: at the end alone"),
    COUNT("stop-at", "0", "stop after this step, with a checkpoint; 0: at the last"),
    {.name = "dtype",
        .type = PARAM_CHOICE,
        .def = "f32",
        .choices = "f32|f16|bf16",
        .help = "precision of the new model's file"},
    {.name = "report",
        .type = PARAM_FILE,
        .metavar = "FILE.h5",
        .help = "the loss curve; FOLDER/train.h5 where not given"},
};

const struct verb verb_train = {
    .name = "train",
    .brief = "train a model, or train one further",
    .help = "AdamW on the next-token loss of a corpus, with warm-up and a cosine, clipping and "
            "gradient accumulation. Documents begin with BOS, as prompts do. An interrupted run "
            "keeps its finished steps; --resume goes on and writes the same bytes as a run that "
            "was never interrupted.",
    .example = "sonde train -f corpus.jsonl --vocab-folder bpe -o small --steps 2000\n"
               "sonde train -f corpus.jsonl -m gpt2 -o tuned --lr 1e-5 --steps 200\n"
               "sonde train -f corpus.jsonl -o small --steps 2000 --resume",
    .sets = FLAGS_ENGINE | FLAGS_SEED,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .run = run,
};
