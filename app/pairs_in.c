#include "app/pairs_in.h"

#include <string.h>

/* The default prompt's names exchanged where one acts again. */
#define DEFAULT_CORRUPT "When Mara and Tobin went to the harbour, Tobin gave the lantern to"

static const char *who_needs(const struct command *c)
{
    for (int i = 0; i < c->n_analyses; i++)
        if (c->analyses[i]->pairs == PAIRS_NEEDED)
            return c->analyses[i]->id;
    return NULL;
}

static bool is_task(const char *spec)
{
    const struct dataset *d;
    struct err quiet;
    int64_t n;
    return spec && !dataset_parse(&d, &n, spec, &quiet) &&
           (d->kind == DATASET_TASK || d->has_pairs);
}

bool pairs_wanted(const struct command *c)
{
    const struct param_value *file = args_get(&c->args, "file");
    bool welcome = false;
    for (int i = 0; i < c->n_analyses; i++)
        welcome = welcome || c->analyses[i]->pairs == PAIRS_WELCOME;
    if (who_needs(c) || args_text(&c->args, "clean") || args_text(&c->args, "corrupt"))
        return true;
    return welcome && (is_task(args_text(&c->args, "dataset")) ||
                          (file->n_texts && pairs_file_has(file->texts[0])));
}

int pairs_unused(const struct command *c, struct err *e)
{
    static const char *const flags[] = {"answer", "wrong", "align"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (args_get(&c->args, flags[i])->is_set)
            return err_set(e, ERR_USAGE,
                "--%s is of a pair of prompts: give --clean and --corrupt, or leave it out",
                flags[i]);
    return 0;
}

static int gather(struct pairs *out, struct session *s, const struct command *c,
    const struct pairs_opts *o, struct err *e)
{
    const char *clean = args_text(&c->args, "clean"), *corrupt = args_text(&c->args, "corrupt");
    const char *dataset = args_text(&c->args, "dataset");
    const struct param_value *file = args_get(&c->args, "file");
    const struct param_value *answer = args_get(&c->args, "answer");
    const struct param_value *wrong = args_get(&c->args, "wrong");
    const struct pair_text own = {.clean = clean,
        .corrupt = corrupt,
        .where = "--clean",
        .align = args_text(&c->args, "align"),
        .answer = answer->texts,
        .wrong = wrong->texts,
        .n_answer = answer->n_texts,
        .n_wrong = wrong->n_texts};
    static const char *const names[2] = {" Tobin", " Mara"};
    int rc = 0;
    if (!clean != !corrupt)
        return err_set(e, ERR_USAGE, "--clean and --corrupt go together; --%s is missing",
            clean ? "corrupt" : "clean");
    if (clean)
        rc = pairs_text(out, &own, o, e);
    else if (answer->n_texts || wrong->n_texts || own.align)
        rc = err_set(e, ERR_USAGE, "--answer, --wrong and --align belong to --clean and --corrupt");
    for (int i = 0; i < file->n_texts && !rc; i++)
        rc = pairs_file(out, file->texts[i], o, e);
    if (!rc && dataset)
        rc = pairs_dataset(out, dataset, o, e);
    if (rc || out->n)
        return rc;
    session_note(s,
        "no pairs given (-f, --dataset, or --clean and --corrupt); taking \"%s\" and the same with "
        "Tobin giving",
        DEFAULT_PROMPT);
    const struct pair_text fallback = {.clean = DEFAULT_PROMPT,
        .corrupt = DEFAULT_CORRUPT,
        .where = "the default pair",
        .answer = &names[0],
        .wrong = &names[1],
        .n_answer = 1,
        .n_wrong = 1};
    return pairs_text(out, &fallback, o, e);
}

int pairs_load(struct pairs *out, struct inputs *inputs, struct session *s, const struct command *c,
    const struct model *m, struct arena *arena, struct err *e)
{
    const struct pairs_opts o = {.model = m,
        .bos = args_bool(&c->args, "prepend-bos"),
        .seed = (uint64_t)args_int(&c->args, "seed"),
        .arena = arena};
    *out = (struct pairs){0};
    if (args_get(&c->args, "prompt")->n_texts || args_get(&c->args, "tokens")->n_texts)
        return err_set(e, ERR_USAGE,
            "%s works on pairs of prompts: give --clean and --corrupt instead of -p or --tokens",
            who_needs(c) ? who_needs(c) : "this");
    if (gather(out, s, c, &o, e))
        return e->code;
    char note[512];
    pairs_finish(out);
    if (pairs_check(note, sizeof note, out, who_needs(c) != NULL, e))
        return e->code;
    if (*note)
        session_note(s, "%s", note);
    *inputs = (struct inputs){.list = out->inputs, .n = 2 * out->n};
    return 0;
}
