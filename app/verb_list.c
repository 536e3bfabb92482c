#include <string.h>

#include "app/keys.h"
#include "app/session.h"
#include "datasets/dataset.h"
#include "model/sites.h"
#include "views/view.h"

static int list_analyses(struct session *s, const struct command *c, struct err *e)
{
    (void)e;
    for (int i = 0; i < n_analyses; i++)
        if (args_bool(&c->args, "names"))
            fprintf(s->out, "%s\n", analyses[i]->id);
        else
            fprintf(s->out, "%-12s %s\n", analyses[i]->id, analyses[i]->title);
    return 0;
}

static int list_views(struct session *s, const struct command *c, struct err *e)
{
    (void)e;
    for (int i = 0; i < n_views; i++)
        if (args_bool(&c->args, "names"))
            fprintf(s->out, "%s\n", views[i]->id);
        else
            fprintf(
                s->out, "%-12s %s\n%-12s %s\n", views[i]->id, views[i]->help, "", views[i]->good);
    return 0;
}

struct model_lines {
    FILE *out;
    bool names;
};

static void print_model(void *arg, const char *name, const char *path)
{
    const struct model_lines *l = arg;
    if (l->names)
        fprintf(l->out, "%s\n", name);
    else
        fprintf(l->out, "%-32s %s\n", name, path && *path ? path : "built in");
}

static int list_models(struct session *s, const struct command *c, struct err *e)
{
    struct model_lines lines = {s->out, args_bool(&c->args, "names")};
    return model_list(print_model, &lines, e);
}

static int list_datasets(struct session *s, const struct command *c, struct err *e)
{
    (void)e;
    for (int i = 0; i < n_datasets; i++)
        if (args_bool(&c->args, "names"))
            fprintf(s->out, "%s\n", datasets[i]->id);
        else
            fprintf(s->out, "%-18s %-6s %s\n", datasets[i]->id,
                dataset_gives_pairs(datasets[i]) ? "pairs" : "", datasets[i]->title);
    return 0;
}

/* The axes of a site in words, or in numbers where a model is at hand. */
static void print_axes(FILE *out, const struct site_info *site, const struct config *cfg)
{
    const struct {
        char letter;
        const char *word;
        int64_t size;
    } axes[] = {{'P', "pos", 0}, {'C', "d_model", cfg ? cfg->d_model : 0},
        {'H', "head", cfg ? cfg->n_head : 0}, {'D', "d_head", cfg ? cfg->d_head : 0},
        {'F', "d_mlp", cfg ? cfg->d_mlp : 0}, {'1', "1", 0}, {'Q', "query", 0}, {'K', "key", 0}};
    fputc('[', out);
    for (const char *a = site->axes; *a; a++)
        for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
            if (axes[i].letter != *a)
                continue;
            fprintf(out, "%s%s", a > site->axes ? ", " : "", axes[i].word);
            if (axes[i].size)
                fprintf(out, " %lld", (long long)axes[i].size);
        }
    fputc(']', out);
}

static void print_hook(
    FILE *out, enum site s, const char *name, const struct config *cfg, bool names)
{
    fputs(name, out);
    if (!names) {
        int len = (int)strlen(name);
        fprintf(out, "%*s %-14s ", len < 32 ? 32 - len : 0, "", site_info(s)->brief);
        print_axes(out, site_info(s), cfg);
    }
    fputc('\n', out);
}

/* Without -m every name once, with blocks.L.; with it the names and sizes of that model. */
static int list_hooks(struct session *s, const struct command *c, struct err *e)
{
    bool names = args_bool(&c->args, "names");
    struct model *m = NULL;
    char name[64];
    if (args_get(&c->args, "model")->is_set) {
        int rc = session_model(&m, s, c, e);
        if (rc)
            return rc;
    }
    int last = m ? m->cfg.n_layer : 0; /* before the layers, the layers, behind them */
    for (int l = -1; l <= (m ? last : -1); l++)
        for (int i = 0; i < SITE_COUNT; i++) {
            const struct site_info *site = site_info((enum site)i);
            int at = site->per_layer ? l >= 0 && l < last ? l : -2 : i < SITE_RESID_PRE ? -1 : last;
            if (m && at != l)
                continue;
            if (m)
                site_full_name(name, sizeof name, (enum site)i, l);
            else
                snprintf(name, sizeof name, "%s%s", site->per_layer ? "blocks.L." : "", site->name);
            print_hook(s->out, (enum site)i, name, m ? &m->cfg : NULL, names);
        }
    return 0;
}

static int list_keys(struct session *s, const struct command *c, struct err *e)
{
    (void)c, (void)e;
    for (int i = 0; i < key_count(); i++) {
        const struct key_row *k = key_row(i);
        fprintf(s->out, "%-10s %-8s %-21s %s\n", k->key, k->also, k->pane, k->help);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct session *s, const struct command *c, struct err *e);
} lists[] = {
    {"analyses", list_analyses},
    {"views", list_views},
    {"datasets", list_datasets},
    {"models", list_models},
    {"hooks", list_hooks},
    {"keys", list_keys},
};

static int run(struct session *s, const struct command *c, struct err *e)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(lists[i].name, c->operands[0]))
            return lists[i].run(s, c, e);
    return err_set(
        e, ERR_USAGE, "no list \"%.40s\"; give one of %s", c->operands[0], c->verb->choices);
}

static const struct param params[] = {
    {.name = "names", .type = PARAM_BOOL, .help = "names alone, one a line"},
};

const struct verb verb_list = {
    .name = "list",
    .operands = "analyses|views|datasets|models|hooks|keys",
    .brief = "what there is: analyses, views, datasets, models, hooks, keys",
    .help = "One name a line with what it is. With -m, hooks are those of that model, with their "
            "sizes.",
    .sets = FLAGS_MODEL | FLAGS_ENGINE,
    .params = params,
    .n_params = 1,
    .min_operands = 1,
    .max_operands = 1,
    .operand = OPERAND_CHOICE,
    .choices = "analyses|views|datasets|models|hooks|keys",
    .run = run,
};
