#include "analysis/pairs.h"
#include "app/session.h"
#include "datasets/dataset.h"
#include "model/core/json.h"

/* Written in pieces, so that a corpus of any size takes the memory of a few hundred items. */
enum { PIECE = 256 };

static int write_piece(FILE *out, const struct dataset *d, const struct dataset_opts *o,
    int64_t from, int64_t n, struct err *e)
{
    struct arena arena = {0};
    struct js_out w = {0};
    int rc = 0;
    for (int64_t k = from; k < from + n && !rc; k++) {
        struct item it = {0};
        rc = d->make(&it, k, o, &arena, e);
        if (!rc) {
            item_json(&w, &it);
            js_out_newline(&w);
        }
    }
    if (!rc)
        rc = js_out_done(&w, e);
    if (!rc && fwrite(w.data, 1, w.n, out) != w.n)
        rc = err_set(e, ERR_OUTPUT, "dataset %s: standard output cannot be written", d->id);
    js_out_release(&w);
    arena_release(&arena);
    return rc;
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    const struct dataset *d;
    struct dataset_opts o = {.seed = (uint64_t)args_int(&c->args, "seed"), .bos_id = -1};
    int rc = dataset_parse(&d, &o.n, c->operands[0], e);
    if (rc)
        return rc;
    if (!o.n)
        o.n = d->default_n;
    if (d->kind != DATASET_DOCUMENTS) { /* words that must be single tokens, ids of its own */
        struct model *m;
        const int64_t n = o.n;
        rc = session_model(&m, s, c, e);
        if (rc)
            return rc;
        o = dataset_opts_of(m, o.seed);
        o.n = n;
    }
    for (int64_t k = 0; k < o.n && !rc; k += PIECE)
        rc = write_piece(s->out, d, &o, k, o.n - k < PIECE ? o.n - k : PIECE, e);
    if (!rc && fflush(s->out))
        rc = err_set(e, ERR_OUTPUT, "dataset %s: standard output cannot be written", d->id);
    return rc;
}

const struct verb verb_dataset = {
    .name = "dataset",
    .operands = "NAME[:N]",
    .brief = "write prompts or documents of a dataset",
    .help =
        "One JSON line an item on standard output: documents have \"text\"; tasks also \"clean\", "
        "\"corrupt\", \"answer\" and \"wrong_answer\"; datasets over token ids have \"tokens\". "
        "Words and ids are the model's: answers are single tokens of it, twins align. Equal seeds "
        "give equal bytes. `sonde list datasets` names them.",
    .example = "  sonde dataset ioi_tiny:100 --seed 7 > pairs.jsonl\n"
               "  sonde dataset world:2000 > corpus.jsonl",
    .sets = FLAGS_MODEL | FLAGS_SEED,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
