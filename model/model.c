#include "model/model.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/core/stream.h"
#include "model/hub.h"
#include "model/lnfree.h"

#define MAX_TEXT ((size_t)256 << 20) /* of config.json and the tokenizer's files, each */

static struct {
    const char *name;
    const struct embedded_file *files;
    int n;
} embedded;

void model_register_embedded(const char *name, const struct embedded_file *files, int n)
{
    embedded.name = name;
    embedded.files = files;
    embedded.n = n;
}

static const struct embedded_file *embedded_find(const char *file)
{
    for (int i = 0; i < embedded.n; i++)
        if (!strcmp(embedded.files[i].name, file))
            return &embedded.files[i];
    return NULL;
}

int model_read_file(const char **out, size_t *n, const struct model *m, const char *file,
    struct arena *arena, struct err *e)
{
    *out = NULL;
    *n = 0;
    if (!*m->path) {
        const struct embedded_file *f = embedded_find(file);
        if (f) {
            *out = f->data;
            *n = f->bytes;
        }
        return 0;
    }
    char path[sizeof m->path + 64], *text;
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", m->path, file);
    if (stat(path, &st))
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "%s is not a regular file", path);
    int rc = stream_all(&text, n, path, MAX_TEXT, arena, e);
    *out = rc ? NULL : text;
    return rc;
}

static void add_note(struct model *m, const char *text)
{
    size_t n = strlen(m->note);
    if (*text)
        snprintf(m->note + n, sizeof m->note - n, "%s%s", n ? "; " : "", text);
}

static int read_config(struct model *m, struct arena *arena, struct err *e)
{
    const char *text;
    size_t n;
    char where[sizeof m->path + 64];
    snprintf(where, sizeof where, "%s%sconfig.json", *m->path ? m->path : m->name, "/");
    int rc = model_read_file(&text, &n, m, "config.json", arena, e);
    if (!rc && !text)
        rc = err_set(e, ERR_INPUT,
            "%s is missing; a model is a folder with config.json and "
            "model.safetensors",
            where);
    return rc ? rc : config_parse(&m->cfg, text, n, where, e);
}

static int read_weights(struct model *m, struct err *e)
{
    if (*m->path)
        return weights_open(&m->weights, m->path, e);
    const struct embedded_file *f = embedded_find("model.safetensors");
    return f ? weights_open_memory(&m->weights, f->data, f->bytes, m->name, e)
             : err_set(e, ERR_INPUT, "the embedded model has no weights");
}

/* A tied model may carry a head all the same. transformers ties after loading, so wte wins; where
 * the two differ the user should know. A few rows tell. */
static int compare_head(struct model *m, struct arena *arena, struct err *e)
{
    const struct weight *head = weights_find(m->weights, "lm_head.weight");
    const struct weight *wte = weights_find(m->weights, "wte.weight");
    if (!m->cfg.tied || !head)
        return 0;
    int64_t V = m->cfg.vocab, C = m->cfg.d_model, step = V / 64 + 1;
    float *a = arena_array(arena, (size_t)C, sizeof *a, e);
    float *b = arena_array(arena, (size_t)C, sizeof *b, e);
    int rc = a && b ? 0 : ERR_LIMIT;
    bool same = head->rank == 2 && head->dim[0] == V && head->dim[1] == C;
    for (int64_t v = 0; !rc && same && v < V; v += step) {
        rc = weights_read_f32(m->weights, head, v * C, C, a, e);
        if (!rc)
            rc = weights_read_f32(m->weights, wte, v * C, C, b, e);
        same = rc || !memcmp(a, b, (size_t)C * sizeof *a);
    }
    if (!rc && !same)
        add_note(m, "lm_head.weight differs from wte and is ignored: config.json ties them");
    return rc;
}

static int read_params(struct model *m, struct pool *pool, struct arena *arena, struct err *e)
{
    char note[200];
    int rc = params_check(note, sizeof note, &m->cfg, m->weights, e);
    if (rc)
        return rc;
    add_note(m, note);
    rc = lnfree_detect(&m->cfg, note, sizeof note, m->weights, e);
    if (rc)
        return rc;
    add_note(m, note);
    rc = compare_head(m, arena, e);
    return rc ? rc : params_open(&m->params, &m->cfg, m->weights, pool, e);
}

static int read_tokenizer(struct model *m, struct arena *arena, struct err *e)
{
    struct tokenizer_files f = {.where = *m->path ? m->path : m->name};
    int rc = model_read_file(&f.tokenizer_json, &f.tokenizer_n, m, "tokenizer.json", arena, e);
    if (!rc)
        rc = model_read_file(&f.vocab_json, &f.vocab_n, m, "vocab.json", arena, e);
    if (!rc)
        rc = model_read_file(&f.merges_txt, &f.merges_n, m, "merges.txt", arena, e);
    if (rc)
        return rc;
    if (!f.tokenizer_json && !f.vocab_json && !f.merges_txt) {
        add_note(m, "no tokenizer files: give token ids with --tokens");
        return 0;
    }
    if (!f.tokenizer_json && (!f.vocab_json || !f.merges_txt))
        return err_set(e, ERR_INPUT, "%s: %s is there, but not %s", f.where,
            f.vocab_json ? "vocab.json" : "merges.txt", f.vocab_json ? "merges.txt" : "vocab.json");
    return tokenizer_open(&m->tokenizer, &f, m->cfg.vocab, e);
}

static void choose_bos(struct model *m)
{
    m->bos_id = m->cfg.bos_id;
    if (m->bos_id < 0 && m->tokenizer)
        m->bos_id = tokenizer_special(m->tokenizer, "<|endoftext|>");
    if (m->bos_id >= m->cfg.vocab)
        m->bos_id = -1;
    if (m->bos_id < 0)
        add_note(m, "no BOS token: none is put before a prompt");
}

/* The last part of a path as the model's name; "." and ".." by what they stand for. */
static void name_of(char *out, size_t n, const char *typed, const char *path)
{
    char real[PATH_MAX];
    bool is_path = !strcmp(typed, path);
    const char *name = is_path && realpath(path, real) ? real : typed;
    const char *slash = is_path ? strrchr(name, '/') : NULL;
    snprintf(out, n, "%.*s", (int)n - 1, slash && slash[1] ? slash + 1 : name);
}

static int open_parts(struct model *m, struct pool *pool, struct err *e)
{
    struct arena arena = {0};
    int rc = read_config(m, &arena, e);
    if (!rc)
        rc = read_weights(m, e);
    if (!rc)
        rc = read_params(m, pool, &arena, e);
    if (!rc)
        rc = read_tokenizer(m, &arena, e);
    if (!rc)
        choose_bos(m);
    arena_release(&arena);
    return rc;
}

int model_open(struct model **out, const char *name, struct pool *pool, struct err *e)
{
    *out = NULL;
    struct model *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_LIMIT, "out of memory");
    int rc = 0;
    if (embedded.name && !strcmp(name, embedded.name))
        snprintf(m->name, sizeof m->name, "%s", name);
    else if (!(rc = hub_find(m->path, name, e)))
        name_of(m->name, sizeof m->name, name, m->path);
    if (!rc)
        rc = open_parts(m, pool, e);
    if (rc)
        model_release(&m);
    *out = m;
    return rc;
}

void model_release(struct model **m)
{
    if (!*m)
        return;
    tokenizer_release(&(*m)->tokenizer);
    params_release(&(*m)->params);
    weights_release(&(*m)->weights);
    free(*m);
    *m = NULL;
}

int model_hash(char out[33], const struct model *m, struct err *e)
{
    return weights_hash(out, m->weights, e);
}

void model_tokenizer_hash(char out[33], const struct model *m)
{
    if (m->tokenizer)
        tokenizer_hash(out, m->tokenizer);
    else
        snprintf(out, 33, "%032d", 0);
}

int model_list(
    void (*each)(void *arg, const char *name, const char *path), void *arg, struct err *e)
{
    if (embedded.name)
        each(arg, embedded.name, "(embedded)");
    return hub_list(each, arg, e);
}
