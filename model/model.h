#ifndef SONDE_MODEL_MODEL_H
#define SONDE_MODEL_MODEL_H

#include "model/config.h"
#include "model/params.h"
#include "model/tokenizer.h"
#include "model/weights.h"

/* A model on disk or in the binary. Const after opening; runs share it. */
struct model {
    struct config cfg;
    char name[128]; /* as the user names it: tiny, gpt2, a folder's last part */
    char path[1024];
    struct weights *weights;
    struct params *params;
    struct tokenizer *tokenizer; /* NULL: a folder without tokenizer files; --tokens still works */
    int64_t bos_id; /* config.json's below the vocabulary's size, else of <|endoftext|>, else -1 */
    char note[256]; /* "LN-free (eps-scaled, gain 1e6)", "no BOS", ... for doctor */
};

/* `name` is a folder, a hub-cache id (ORG/NAME or NAME), a name under $SONDE_MODELS, or "tiny". */
int model_open(struct model **out, const char *name, struct pool *pool, struct err *e);
void model_release(struct model **m);
/* One text file of the model ("merges.txt"), from its folder or from the binary; *out is NULL where
 * there is none. */
int model_read_file(const char **out, size_t *n, const struct model *m, const char *file,
    struct arena *arena, struct err *e);
/* Hashes of what the numbers depend on, 32 hex digits each; read the first time they are asked. */
int model_hash(char out[33], const struct model *m, struct err *e);
void model_tokenizer_hash(char out[33], const struct model *m);
/* The embedded model's files (config.json, model.safetensors, vocab.json, merges.txt); registered
 * once by main so that model/ needs nothing from datasets/. */
struct embedded_file {
    const char *name;
    const void *data;
    size_t bytes;
};
void model_register_embedded(const char *name, const struct embedded_file *files, int n);
/* Names that model_open would find without a path: the embedded one, $SONDE_MODELS, hub cache. */
int model_list(
    void (*each)(void *arg, const char *name, const char *path), void *arg, struct err *e);

#endif
