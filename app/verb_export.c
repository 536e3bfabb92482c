#include <string.h>

#include "analysis/report/export.h"
#include "app/output.h"
#include "model/core/outfile.h"
#include "views/view.h"

static int unknown_path(
    const struct report *r, const char *path, struct arena *arena, struct err *e)
{
    int total = 0, n = 0;
    for (int i = 0; i < report_runs(r); i++)
        total += run_blocks(report_run(r, i));
    const char **names = arena_array(arena, (size_t)total + 1, sizeof *names, e), *near[3];
    if (!names)
        return ERR_LIMIT;
    for (int i = 0; i < report_runs(r); i++)
        for (int k = 0; k < run_blocks(report_run(r, i)); k++)
            names[n++] = block_path(run_block_at(report_run(r, i), k));
    int found = nearest_names(near, 3, path, names, n);
    return err_set(e, ERR_USAGE, "no block %.200s; nearest: %s%s%s%s%s", path,
        found > 0 ? near[0] : "the report is empty", found > 1 ? ", " : "",
        found > 1 ? near[1] : "", found > 2 ? ", " : "", found > 2 ? near[2] : "");
}

static int export_svg(FILE *out, const struct block *b, struct arena *arena, struct err *e)
{
    const struct block_spec *spec = block_spec(b);
    int n = spec->n_columns ? spec->n_columns : 1, rc = 0;
    struct field *fields = arena_zalloc(arena, (size_t)n * sizeof *fields, e);
    if (!fields)
        return ERR_LIMIT;
    for (int i = 0; i < n && !rc; i++)
        rc = block_field(&fields[i], b, spec->n_columns ? i : -1, e);
    if (rc)
        return rc;
    const struct view *v = view_for(&fields[0]);
    if (!v || !v->svg)
        return err_set(e, ERR_USAGE, "%s has no drawing; try --csv or --json", block_path(b));
    struct view_data d = {.fields = fields, .n = n};
    struct view_state st = {0};
    struct buf text = {0};
    rc = v->svg(&text, &d, &st, arena, e);
    if (!rc && text.failed)
        rc = err_set(e, ERR_LIMIT, "out of memory for the drawing");
    if (!rc)
        fwrite(text.data, 1, text.n, out);
    buf_release(&text);
    return rc;
}

enum { FORM_SVG = -1, FORM_NONE = -2 };

static const struct {
    const char *flag;
    int form;
} forms[] = {{"csv", EXPORT_CSV}, {"json", EXPORT_JSON}, {"npy", EXPORT_NPY}, {"svg", FORM_SVG}};

/* The form that is asked for, by flag or by the name of the file. */
static int choose_form(int *out, const struct command *c, const char *path, struct err *e)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    *out = FORM_NONE;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (!args_bool(&c->args, forms[i].flag))
            continue;
        if (*out != FORM_NONE)
            return err_set(e, ERR_USAGE,
                "export writes one form; give one of --csv, --json, --npy "
                "and --svg");
        *out = forms[i].form;
    }
    for (size_t i = 0; dot && *out == FORM_NONE && i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(dot + 1, forms[i].flag))
            *out = forms[i].form;
    if (*out == FORM_NONE)
        return err_set(e, ERR_USAGE, "export needs a form; give --csv, --json, --npy or --svg");
    return 0;
}

static int write_form(
    FILE *out, const struct block *b, int form, struct arena *arena, struct err *e)
{
    if (form == FORM_SVG)
        return export_svg(out, b, arena, e);
    return export_block(out, b, (enum export_form)form, e);
}

static int run(struct session *s, const struct command *c, struct err *e)
{
    const char *path = args_text(&c->args, "output");
    struct report *r;
    struct outfile o;
    struct err ignored = {0};
    int form, rc = choose_form(&form, c, path, e);
    if (!rc)
        rc = output_check(path, e);
    if (!rc)
        rc = report_open(&r, c->operands[0], e);
    if (rc)
        return rc;
    const struct block *b = report_find(r, c->operands[1]);
    if (!b)
        rc = unknown_path(r, c->operands[1], c->args.arena, e);
    if (!rc && !path)
        rc = write_form(s->out, b, form, c->args.arena, e);
    if (!rc && path && !(rc = outfile_open(&o, path, e))) {
        rc = write_form(o.f, b, form, c->args.arena, e);
        if (rc)
            outfile_discard(&o);
        else
            rc = outfile_commit(&o, e);
    }
    report_close(&r, &ignored);
    return rc;
}

static const struct param params[] = {
    {.name = "csv", .type = PARAM_BOOL, .help = "comma-separated values (RFC 4180)"},
    {.name = "json", .type = PARAM_BOOL, .help = "what is known about the block, and its values"},
    {.name = "npy", .type = PARAM_BOOL, .help = "a NumPy array in the block's own type"},
    {.name = "svg", .type = PARAM_BOOL, .help = "the drawing"},
};

const struct verb verb_export = {
    .name = "export",
    .operands = "FILE.h5 PATH",
    .brief = "write one block of a report for other programs",
    .help = "To standard output, or to the file of -o, whose ending then names the form.",
    .example = "  sonde export answers.h5 runs/000-lens/input_0/entropy --csv\n"
               "  sonde export answers.h5 000-dla/input_0/contribution -o dla.svg",
    .sets = FLAGS_OUTPUT,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 2,
    .max_operands = 2,
    .operand = OPERAND_FILE,
    .run = run,
};
