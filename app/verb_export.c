#include <string.h>

#include "app/output.h"
#include "app/part.h"
#include "model/core/outfile.h"
#include "views/show.h"

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

static int export_svg(
    FILE *out, const struct block *b, const struct command *c, struct arena *arena, struct err *e)
{
    struct view_data d;
    struct part part;
    struct field field;
    const struct view *v;
    int rc = block_data(&d, b, arena, e);
    if (!rc)
        rc = part_make(&part, &d, c, arena, e);
    if (!rc)
        rc = part_field(&field, &part, arena, e);
    if (!rc)
        rc = part_view(&v, &d, &field, c, e);
    if (rc)
        return rc;
    if (d.n == 1)
        d.fields = &field;
    if (part.is_folded)
        d.error = NULL;
    struct buf text = {0};
    rc = v->svg(&text, &d, &part.st, arena, e);
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

/* Folded numbers are computed as they are written; others leave in their own type. */
static int write_form(FILE *out, const struct block *b, int form, const struct command *c,
    struct arena *arena, struct err *e)
{
    struct view_data d;
    struct part part;
    if (form == FORM_SVG)
        return export_svg(out, b, c, arena, e);
    int rc = block_data(&d, b, arena, e);
    if (!rc)
        rc = part_make(&part, &d, c, arena, e);
    if (rc)
        return rc;
    if (part.is_folded)
        return export_field(out, &part.f, &part.cut, (enum export_form)form, e);
    return export_block(out, b, part.is_cut ? &part.cut : NULL, (enum export_form)form, e);
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
        rc = output_whole(c->operands[0], c->operands[1], e);
    if (!rc)
        rc = output_open(&r, c->operands[0], e);
    if (rc)
        return rc;
    const struct block *b = report_find(r, c->operands[1]);
    if (!b)
        rc = unknown_path(r, c->operands[1], c->args.arena, e);
    if (!rc && !path)
        rc = write_form(s->out, b, form, c, c->args.arena, e);
    if (!rc && path && !(rc = outfile_open(&o, path, e))) {
        rc = write_form(o.f, b, form, c, c->args.arena, e);
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
    PART_PARAMS,
};

const struct verb verb_export = {
    .name = "export",
    .operands = "FILE.h5 PATH",
    .brief = "write one block of a report for other programs",
    .help = "To standard output, or to the file of -o, whose ending then names the form.",
    .example = "  sonde export answers.h5 runs/000-lens/input_0/entropy --csv\n"
               "  sonde export answers.h5 000-dla/input_0/contribution -o dla.svg\n"
               "  sonde export acts.h5 acts/blocks.3.mlp.hook_post --reduce mean --along 0 --npy",
    .sets = FLAGS_OUTPUT,
    .params = params,
    .n_params = (int)(sizeof params / sizeof *params),
    .min_operands = 2,
    .max_operands = 2,
    .operand = OPERAND_FILE,
    .run = run,
};
