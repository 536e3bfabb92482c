#include "app/show.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/part.h"
#include "app/records.h"
#include "app/token_grid.h"
#include "model/core/text.h"
#include "views/draw.h"
#include "views/fields.h"
#include "views/show.h"
#include "views/view.h"

#define WIDTH 100
#define MAX_ROWS 32
#define ZOOM_OUT 40 /* on paper all of a block is seen, however coarse */
#define PLOT_ROWS 12
#define BEST 5       /* tokens named for a row of logits */
#define PLANES 6     /* of one axis, drawn below each other */
#define INPUT_ROWS 8 /* of bars with one an input */

static int terminal_width(FILE *out)
{
    struct winsize ws;
    const char *columns = getenv("COLUMNS");
    int w = columns ? atoi(columns) : 0;
    if (w <= 0 && isatty(fileno(out)) && !ioctl(fileno(out), TIOCGWINSZ, &ws))
        w = ws.ws_col;
    return w < 20 ? WIDTH : w > 400 ? 400 : w;
}

static enum glyphs choose_glyphs(const struct show *how)
{
    if (args_bool(&how->command->args, "ascii"))
        return GLYPHS_ASCII;
    if (isatty(fileno(how->out)) && strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return GLYPHS_ASCII;
    return GLYPHS_BRAILLE;
}

/* Of ranked answers the best are drawn, over the two axes before the rank. */
static void draw_best(struct view_state *st, const struct field *f)
{
    if (f->rank < 3 || f->axes[f->rank - 1].kind != AXIS_RANK)
        return;
    st->has_axes = true;
    st->row_axis = f->rank - 3;
    st->col_axis = f->rank - 2;
}

/* Rows a drawing wants: as many as there are things to see, within reason. */
static int rows_wanted(const struct show *how, const struct view *v, const struct field *f,
    const struct view_state *st, int w)
{
    int axis = st->has_axes ? st->row_axis : f->rank >= 2 ? f->rank - 2 : 0;
    int64_t n = f->rank ? f->axes[axis].size : 1;
    if (v->min_rank == 3)
        return MAX_ROWS;
    if (v->is_whole)
        return PLOT_ROWS + (f->look == LOOK_CONTOUR ? PLOT_ROWS : 2);
    if (f->rank && !strcmp(v->id, "tokens"))
        n = f->axes[f->rank - 1].size * 8 / w + 2;
    if (st->top > 0 && st->top < n)
        n = st->top;
    if (!how->path && how->max_inputs && f->rank == 1 && f->axes[0].kind == AXIS_INPUT)
        n = n > INPUT_ROWS ? INPUT_ROWS : n;
    return (int)(n + 3 > MAX_ROWS ? MAX_ROWS : n + 3);
}

static void print_canvas(FILE *out, const struct canvas *c, bool colours)
{
    struct buf text = {0};
    canvas_write(&text, c, colours ? CANVAS_ANSI : CANVAS_PLAIN);
    size_t n = text.n;
    while (n && (text.data[n - 1] == '\n' || text.data[n - 1] == ' '))
        n--;
    if (n) {
        fwrite(text.data, 1, n, out);
        fputc('\n', out);
    }
    buf_release(&text);
}

/* "layer 2, detector 0 induction": which plane of a block with more axes than a drawing has. */
static void print_plane(const struct show *how, const struct view *v, const struct field *f,
    const struct view_state *st, bool asked)
{
    char label[LABEL_MAX];
    FILE *out = how->out;
    enum glyphs glyphs = choose_glyphs(how);
    int row = st->has_axes ? st->row_axis : f->rank - 2;
    int col = st->has_axes ? st->col_axis : f->rank - 1, n = 0, maps = -1;
    /* Small multiples show the axis before the maps whole. */
    for (int i = 0; i < f->rank && v->min_rank == 3; i++)
        maps = i != row && i != col ? i : maps;
    for (int i = 0; i < f->rank; i++)
        if (i != row && i != col && i != maps)
            n += fprintf(out, "%s%s %lld%s%s", n ? ", " : "", f->axes[i].name, (long long)st->at[i],
                f->axes[i].labels ? " " : "",
                f->axes[i].labels ? label_show(label, &f->axes[i], st->at[i], glyphs) : "");
    if (n)
        fputs(asked ? "\n" : " (sonde show --slice draws others)\n", out);
}

/* One plane of what is drawn, on a canvas of its own. */
static int draw_plane(const struct show *how, const struct view *v, const struct view_data *d,
    struct part *part, bool is_one_of_all, struct arena *frame, struct err *e)
{
    struct canvas c = {0};
    enum colour_mode mode;
    char readout[VIEW_READOUT] = "";
    if (colour_mode_choose(
            &mode, args_text(&how->command->args, "color"), isatty(fileno(how->out)), 256) < 0)
        mode = COLOURS_NONE;
    int w = terminal_width(how->out);
    int rc = canvas_init(&c, w, rows_wanted(how, v, d->fields, &part->st, w), e);
    if (rc)
        return rc;
    c.glyphs = choose_glyphs(how);
    c.mode = mode;
    c.theme = &themes[0];
    struct screen screen = {&c, {0, 0, c.w, c.h}, frame};
    if (!part->is_cut && !part->is_folded && token_grid_fits(d->fields, how->model))
        rc = token_grid_draw(&screen, d->fields, how->model, e);
    else
        rc = v->draw(&screen, d, &part->st, readout, e);
    if (!rc)
        print_plane(how, v, d->fields, &part->st, part->is_cut || is_one_of_all);
    if (!rc)
        print_canvas(how->out, &c, mode != COLOURS_NONE);
    canvas_release(&c);
    return rc;
}

/* The axis whose few planes are all drawn, as detectors or sites before the layers; -1: none. */
static int plane_axis(const struct view *v, const struct field *f, const struct part *part)
{
    int row = part->st.has_axes ? part->st.row_axis : f->rank - 2;
    int col = part->st.has_axes ? part->st.col_axis : f->rank - 1, axis = -1;
    if (part->is_cut || strcmp(v->id, "heatmap") != 0)
        return -1;
    for (int i = 0; i < f->rank; i++) {
        if (i == row || i == col || f->axes[i].size == 1)
            continue;
        const bool is_named = f->axes[i].kind == AXIS_SITE || f->axes[i].kind == AXIS_OTHER;
        if (axis >= 0 || !is_named || f->axes[i].size > PLANES)
            return -1;
        axis = i;
    }
    return axis;
}

static int draw(const struct show *how, struct view_data *d, struct arena *frame, struct err *e)
{
    const struct view *v;
    struct part part;
    struct field field;
    const struct command *flags = how->takes_part ? how->command : NULL;
    int rc = part_make(&part, d, flags, frame, e);
    if (!rc)
        rc = part_field(&field, &part, frame, e);
    if (!rc)
        rc = part_view(&v, d, &field, flags, e);
    if (rc)
        return rc;
    if (d->n == 1)
        d->fields = &field;
    if (part.is_folded)
        d->error = NULL;
    if (!part.is_cut)
        draw_best(&part.st, d->fields);
    if (!strcmp(v->id, "heatmap"))
        part.st.zoom = ZOOM_OUT;
    if (part.is_folded)
        fprintf(how->out, "%s\n", part.f.long_name);
    const int axis = plane_axis(v, d->fields, &part);
    const int64_t planes = axis >= 0 ? d->fields->axes[axis].size : 1;
    for (int64_t k = 0; k < planes && !rc; k++) {
        if (axis >= 0)
            part.st.at[axis] = k;
        if (k)
            fputc('\n', how->out);
        rc = draw_plane(how, v, d, &part, axis >= 0, frame, e);
    }
    return rc;
}

/* "entropy [layer 6, pos 14], nats: entropy of the lens' distribution" */
static void print_title(FILE *out, const struct block *b)
{
    const struct block_spec *spec = block_spec(b);
    fprintf(out, "\n%s", block_path(b));
    for (int i = 0; i < spec->rank; i++)
        fprintf(out, "%s%s %lld", i ? ", " : " [", spec->axes[i].name,
            (long long)(spec->n_columns ? block_rows(b) : spec->axes[i].size));
    fputs(spec->rank ? "]" : "", out);
    if (spec->unit && *spec->unit)
        fprintf(out, ", %s", spec->unit);
    if (spec->long_name && *spec->long_name)
        fprintf(out, ": %s", spec->long_name);
    fputc('\n', out);
}

/* "after ·to: ·Tobin 97.4 %, ·the 1.8 %": what a row of logits over the vocabulary says, for the last
 * position. */
static int print_best(const struct show *how, const struct field *f, struct arena *a, struct err *e)
{
    const struct model *m = how->model;
    if (!m || !m->tokenizer || !f->unit || strcmp(f->unit, "logits") != 0 || f->rank != 2 ||
        f->axes[1].kind != AXIS_VOCAB || f->axes[0].size < 1)
        return 0;
    int64_t V = f->axes[1].size, last = f->axes[0].size - 1;
    double *v = arena_array(a, (size_t)(V > 0 ? V : 1), sizeof *v, e), most = -INFINITY, sum = 0;
    struct window w = {.start = {last, 0}, .count = {1, V}, .stride = {1, 1}};
    int rc = v ? f->fetch(f, v, &w, FIELD_POINT, e) : e->code;
    if (rc)
        return rc;
    for (int64_t i = 0; i < V; i++)
        most = fmax(most, v[i]);
    for (int64_t i = 0; i < V; i++)
        sum += exp(v[i] - most);
    unsigned flags = TEXT_DOT | (choose_glyphs(how) == GLYPHS_ASCII ? TEXT_ASCII : 0);
    char number[32], text[128];
    const char *label = axis_label(&f->axes[0], last, number, sizeof number);
    text_escape(text, sizeof text, label, strlen(label), flags);
    fprintf(how->out, "after %s:", text);
    for (int k = 0; k < BEST && k < V; k++) {
        int64_t best = -1;
        size_t n;
        for (int64_t i = 0; i < V; i++)
            if (!isnan(v[i]) && (best < 0 || v[i] > v[best]))
                best = i;
        const char *token = best >= 0 ? tokenizer_bytes(m->tokenizer, best, &n) : NULL;
        if (!token)
            break;
        text_escape(text, sizeof text, token, n, flags);
        fprintf(how->out, "%s %s %.1f %%", k ? "," : "", text, 100 * exp(v[best] - most) / sum);
        v[best] = NAN;
    }
    fputc('\n', how->out);
    return 0;
}

static double nan_below_0(double v)
{
    return v < 0 ? NAN : v;
}

static int draw_block(const struct show *how, const struct block *b, struct err *e)
{
    struct arena frame = {0};
    struct view_data d;
    if (records_is(b)) {
        print_title(how->out, b);
        return records_print(how->out, b, choose_glyphs(how), e);
    }
    int rc = block_data(&d, b, &frame, e);
    struct field *fields = rc ? NULL : (struct field *)d.fields;
    struct field_mapped known = {.fn = nan_below_0};
    if (!rc && d.n == 1 && block_spec(b)->below_0_is_none) {
        known.base = *fields;
        field_from_map(fields, &known);
    }
    if (!rc) {
        print_title(how->out, b);
        rc = print_best(how, fields, &frame, e);
    }
    if (!rc)
        rc = draw(how, &d, &frame, e);
    fflush(how->out); /* a pager shows the first block while the next is read */
    arena_release(&frame);
    return rc;
}

/* The path without "runs/" and a final slash. */
static const char *inner(const char *path, size_t *n)
{
    while (*path == '/')
        path++;
    if (!strncmp(path, "runs/", 5))
        path += 5;
    *n = strlen(path);
    while (*n && path[*n - 1] == '/')
        (*n)--;
    return path;
}

static bool is_under(const char *path, const char *group)
{
    size_t n, m;
    const char *p = inner(path, &n), *g = inner(group, &m);
    return n >= m && !strncmp(p, g, m) && (n == m || !m || p[m] == '/');
}

static const char *attr(const struct run *run, const char *name)
{
    const char *v = run_attr(run, name);
    return v ? v : "?";
}

/* A run shown whole leaves out its details, which it names, and inputs and lengths past the first. */
struct rest {
    const struct show *how;
    struct buf names;                        /* of details: "head_z, head_z_se" */
    int column, last_input, inputs, lengths; /* inputs and lengths met so far */
    int64_t last_length;
};

/* The block's name, once for all inputs or lengths: "head_z", "length_N/resid_pre". */
static void rest_name(struct rest *r, const struct block *b)
{
    const char *group = block_input(b) >= 0 ? "input_N/" : block_spec(b)->length ? "length_N/" : "";
    char name[160];
    snprintf(name, sizeof name, "%s%s", group, block_spec(b)->name);
    const int n = (int)strlen(name);
    for (const char *p = r->names.data; p && (p = strstr(p, name)); p += n)
        if (strchr(" \n", p[-1]) && strchr(",", p[n]))
            return;
    const bool wraps = r->names.n && r->column + n + 3 > terminal_width(r->how->out);
    buf_puts(&r->names, !r->names.n ? "  " : wraps ? ",\n  " : ", ");
    buf_puts(&r->names, name);
    r->column = (wraps || !r->column ? 0 : r->column) + n + 2;
}

static bool rest_takes(struct rest *r, const struct block *b)
{
    const int input = block_input(b), most = r->how->max_inputs;
    const int64_t length = input < 0 ? block_spec(b)->length : 0;
    if (r->how->path)
        return false;
    r->inputs += input >= 0 && input != r->last_input;
    r->lengths += length && length != r->last_length;
    r->last_input = input >= 0 ? input : r->last_input;
    r->last_length = length ? length : r->last_length;
    if (most && ((input >= 0 && r->inputs > most) || (length && r->lengths > most)))
        return true;
    if (!block_spec(b)->is_detail)
        return false;
    rest_name(r, b);
    return true;
}

static void rest_print(struct rest *r, const char *run)
{
    FILE *out = r->how->out;
    const int most = r->how->max_inputs;
    const int more = most && r->inputs > most ? r->inputs - most : 0;
    const int longer = most && r->lengths > most ? r->lengths - most : 0;
    if (r->names.n)
        fprintf(out, "\nalso in %s:\n%s\n", run, r->names.data);
    if (more)
        fprintf(out, "\nblocks of %d more input%s are not drawn\n", more, text_s(more));
    if (longer)
        fprintf(out, "\nblocks of %d more length%s are not drawn\n", longer, text_s(longer));
    if (r->names.n || more || longer)
        fputs(
            "a report (-o FILE.h5) keeps all of it, and sonde show FILE.h5 PATH draws one\n", out);
    buf_release(&r->names);
}

static int show_run(const struct show *how, const struct run *run, int *shown, struct err *e)
{
    int n = run_blocks(run), rc = 0;
    bool headed = false;
    struct rest rest = {.how = how, .last_input = -1};
    for (int i = 0; i < n && !rc; i++) {
        struct block *b = run_block_at(run, i);
        if ((how->path && !is_under(block_path(b), how->path)) || rest_takes(&rest, b))
            continue;
        if (!headed && *run_name(run))
            fprintf(how->out, "\n== %s: %s, model %s, weights %s, %s\n", run_name(run),
                attr(run, "status"), attr(run, "model_name"), attr(run, "weights"),
                attr(run, "dtype"));
        headed = true;
        rc = draw_block(how, b, e);
        (*shown)++;
    }
    rest.inputs += run_left_out(run);
    if (!rc)
        rest_print(&rest, run_name(run));
    buf_release(&rest.names);
    return rc;
}

static int show_inputs(const struct show *how, const struct report *r, struct err *e)
{
    int n = report_inputs(r);
    for (int i = 0; i < n && (!how->max_inputs || i < how->max_inputs); i++) {
        struct report_input in;
        int rc = report_input(&in, r, i, e);
        if (rc)
            return rc;
        char text[256];
        if (in.text)
            text_escape(text, sizeof text, in.text, strlen(in.text), 0);
        fprintf(how->out, "input %d, %lld token%s%s%s\n", i, (long long)in.n, text_s(in.n),
            in.text && *in.text ? ": " : "", in.text ? text : "");
    }
    if (how->max_inputs && n > how->max_inputs)
        fprintf(
            how->out, "and %d more input%s\n", n - how->max_inputs, text_s(n - how->max_inputs));
    return 0;
}

int show_document(const struct show *how, const struct report *r, struct err *e)
{
    int shown = 0, rc = 0;
    if (!how->path)
        rc = show_inputs(how, r, e);
    for (int i = 0; i < report_runs(r) && !rc; i++)
        rc = show_run(how, report_run(r, i), &shown, e);
    if (!rc && how->path && !shown)
        return err_set(e, ERR_USAGE,
            "no block or group %.200s in this report; sonde show FILE lists all", how->path);
    return rc;
}

int show_report(FILE *out, const struct report *r, const struct command *c, const struct model *m,
    struct err *e)
{
    struct show how = {.out = out, .max_inputs = SHOW_INPUTS, .command = c, .model = m};
    return show_document(&how, r, e);
}
