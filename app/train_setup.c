#include "app/train_setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/core/stream.h"

#define CONFIG_MAX_BYTES ((size_t)16 << 20)

static int open_blank(struct train_setup *t, const char *folder, struct arena *arena, struct err *e)
{
    struct tokenizer_files f = {.where = folder};
    if ((size_t)snprintf(t->blank.path, sizeof t->blank.path, "%s", folder) >= sizeof t->blank.path)
        return err_set(e, ERR_USAGE, "the path of --vocab-folder is too long");
    int rc =
        model_read_file(&f.tokenizer_json, &f.tokenizer_n, &t->blank, "tokenizer.json", arena, e);
    if (!rc)
        rc = model_read_file(&f.vocab_json, &f.vocab_n, &t->blank, "vocab.json", arena, e);
    if (!rc)
        rc = model_read_file(&f.merges_txt, &f.merges_n, &t->blank, "merges.txt", arena, e);
    if (!rc && !f.tokenizer_json && !(f.vocab_json && f.merges_txt))
        rc = err_set(
            e, ERR_INPUT, "%s holds neither tokenizer.json nor vocab.json and merges.txt", folder);
    if (!rc)
        rc = tokenizer_open(&t->own, &f, CONFIG_MAX_VOCAB, e);
    t->tokenizer = t->own;
    return rc;
}

/* GPT-2 with the sizes of the flags, or what --config says. */
static int new_config(
    struct train_setup *t, const struct args *a, struct arena *arena, struct err *e)
{
    struct config *cfg = &t->cfg;
    const char *path = args_text(a, "config");
    int64_t vocab = tokenizer_size(t->tokenizer), special;
    special = tokenizer_special(t->tokenizer, "<|endoftext|>");
    if (path) {
        char *text;
        size_t n;
        if (stream_all(&text, &n, path, CONFIG_MAX_BYTES, arena, e) ||
            config_parse(cfg, text, n, path, e))
            return e->code;
        if (cfg->vocab < vocab)
            return err_set(e, ERR_INPUT,
                "%s: vocab_size is %lld, but the tokenizer has %lld tokens", path,
                (long long)cfg->vocab, (long long)vocab);
        return 0;
    }
    int64_t C = args_int(a, "d-model"), H = args_int(a, "n-head");
    if (C % H)
        return err_set(e, ERR_USAGE, "--d-model %lld is not a multiple of --n-head %lld",
            (long long)C, (long long)H);
    *cfg = (struct config){.n_layer = (int)args_int(a, "n-layer"),
        .n_head = (int)H,
        .d_model = (int)C,
        .d_head = (int)(C / H),
        .d_mlp = (int)(args_get(a, "d-mlp")->has ? args_int(a, "d-mlp") : 4 * C),
        .n_ctx = (int)args_int(a, "n-ctx"),
        .vocab = vocab,
        .ln_eps = 1e-5,
        .ln_eps_given = true,
        .init_std = args_float(a, "init-std"),
        .ln_gain = 1,
        .scale_attn_weights = true,
        .tied = true,
        .bos_id = special,
        .eos_id = special};
    return act_parse(&cfg->act, args_text(a, "activation"), e);
}

int train_setup_open(struct train_setup *out, const struct command *c, const char *folder,
    bool resume, struct pool *pool, struct arena *arena, struct err *e)
{
    const char *from = resume ? folder : args_text(&c->args, "model");
    const char *vocab = args_text(&c->args, "vocab-folder");
    *out = (struct train_setup){0};
    if (from) {
        int rc = model_open(&out->model, from, pool, e);
        if (rc)
            return rc;
        out->tokenizer = out->model->tokenizer;
        out->cfg = out->model->cfg;
        out->bos = out->model->bos_id;
        if (!out->tokenizer)
            rc = err_set(e, ERR_USAGE, "%s has no tokenizer to read the corpus with", from);
        if (rc)
            train_setup_release(out);
        return rc;
    }
    if (!vocab)
        return err_set(e, ERR_USAGE,
            "give -m MODEL to train on, or --vocab-folder with the tokenizer of a new model");
    int rc = open_blank(out, vocab, arena, e);
    if (!rc)
        rc = new_config(out, &c->args, arena, e);
    out->bos = out->cfg.bos_id;
    if (!rc && out->bos < 0)
        out->bos = tokenizer_special(out->tokenizer, "<|endoftext|>");
    if (rc)
        train_setup_release(out);
    return rc;
}

void train_setup_release(struct train_setup *t)
{
    model_release(&t->model);
    tokenizer_release(&t->own);
}

int train_setup_params(struct params **out, const struct train_setup *t, uint64_t seed,
    struct pool *pool, struct err *e)
{
    if (t->model)
        return params_clone_f32(out, t->model->params, pool, e);
    return params_init_random(out, &t->cfg, seed, pool, e);
}

static int write_file(const char *path, const void *data, size_t n, struct err *e)
{
    char part[4200];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *f = fopen(part, "wbe");
    if (!f)
        return err_set(e, ERR_OUTPUT, "%s: %s", part, strerror(errno));
    bool bad = fwrite(data, 1, n, f) != n || fflush(f) || fsync(fileno(f));
    if (fclose(f) || bad || rename(part, path)) {
        err_set(e, ERR_OUTPUT, "%s: %s", path, strerror(errno));
        (void)unlink(part);
        return ERR_OUTPUT;
    }
    return 0;
}

int train_setup_copy_tokenizer(
    const struct train_setup *t, const char *folder, struct arena *arena, struct err *e)
{
    static const char *const files[] = {"vocab.json", "merges.txt", "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"};
    const struct model *from = t->model ? t->model : &t->blank;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *text;
        size_t n;
        char path[4100];
        if (model_read_file(&text, &n, from, files[i], arena, e))
            return e->code;
        snprintf(path, sizeof path, "%.3800s/%s", folder, files[i]);
        if (text && write_file(path, text, n, e))
            return e->code;
    }
    return 0;
}
