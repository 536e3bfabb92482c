#ifndef SONDE_DATASETS_DATASET_H
#define SONDE_DATASETS_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "model/core/arena.h"
#include "model/core/err.h"

struct js_out;

/* A prompt: text, or token ids where the task is defined over ids. */
struct prompt {
    const char *text;      /* NULL where given as ids */
    const int32_t *tokens; /* NULL where given as text; with their own BOS */
    int64_t n_tokens;
};

/* One item. Documents have `clean` alone. A task also has answers (literal text: nothing is added;
 * any of them counts) and the corrupt twin of the prompt, for which the wrong answers are right. */
struct item {
    struct prompt clean, corrupt;
    const char *const *answer, *const *wrong;
    const int32_t *answer_ids, *wrong_ids; /* instead of texts, where the prompts are ids */
    int n_answer, n_wrong;
};

struct items {
    struct item *list;
    int64_t n;
};

struct dataset_opts {
    int64_t n; /* how many; 0: the dataset's default */
    uint64_t seed;
    int64_t vocab;  /* of the model, for datasets made of ids; 0: no model */
    int64_t bos_id; /* -1: none */
    int64_t n_ctx;  /* of the model; 0: no model */
    /* How many tokens a text is to the model, for tasks whose words must be single tokens; NULL: no
     * model, every word is taken. */
    int (*count_tokens)(void *arg, const char *text);
    void *count_arg;
};

enum dataset_kind { DATASET_DOCUMENTS, DATASET_TASK, DATASET_TOKENS };

/* A dataset is this descriptor in a file of its own, and a line in datasets/meson.build. */
struct dataset {
    const char *id, *title, *help; /* help: two sentences */
    enum dataset_kind kind;
    bool has_pairs; /* items over ids have a corrupt twin and answers, as tasks do */
    int64_t default_n;
    /* Item k: a function of the seed, k and the model's sizes alone. *out is zero before. */
    int (*make)(struct item *out, int64_t k, const struct dataset_opts *o, struct arena *arena,
        struct err *e);
};

extern const struct dataset *const datasets[]; /* generated from datasets/meson.build */
extern const int n_datasets;

/* "ioi_tiny" or "ioi_tiny:100"; *n is 0 where no number is given. ERR_USAGE names the nearest. */
int dataset_parse(const struct dataset **out, int64_t *n, const char *spec, struct err *e);
bool dataset_gives_pairs(const struct dataset *d); /* clean and corrupt, with answers */
/* Items 0 .. n - 1, owned by the arena. */
int dataset_make(struct items *out, const struct dataset *d, const struct dataset_opts *o,
    struct arena *arena, struct err *e);
/* One JSON object. Documents: {"text"}. Tasks: {"text", "clean", "corrupt", "answer",
 * "wrong_answer"}, answers as text (ids where prompts are ids), or as a list where there are
 * several. Ids: {"tokens"}. */
void item_json(struct js_out *w, const struct item *it);

#endif
