#include "app/show.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/records.h"
#include "app/token_grid.h"
#include "model/core/text.h"
#include "views/fields.h"
#include "views/show.h"
#include "views/view.h"

#define WIDTH 100
#define MAX_ROWS 32
#define PLOT_ROWS 12
#define BEST 5       /* tokens named for a row of logits */
#define RUN_INPUTS 3 /* drawn without being asked for more */

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

static int bad_slice(const char *slice, const struct field *f, struct err *e)
{
    char names[256];
    size_t at = 0;
    names[0] = '\0';
    for (int i = 0; i < f->rank && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s 0..%lld", i ? ", " : "",
            f->axes[i].name, (long long)f->axes[i].size - 1);
    return err_set(e, ERR_USAGE, "--slice \"%.60s\" does not fit %s; its axes are %s", slice,
        f->name, *names ? names : "none");
}

/* One piece of a slice: "3", ":" or "layer=3". Returns its length, 0 if it does not fit. */
static size_t slice_piece(
    struct view_state *st, bool *fixed, int nth, const char *at, const struct field *f)
{
    size_t len = strcspn(at, ","), eq = strcspn(at, "=,");
    int axis = nth;
    const char *value = at;
    if (at[eq] == '=') {
        for (axis = 0; axis < f->rank; axis++)
            if (strlen(f->axes[axis].name) == eq && !strncmp(f->axes[axis].name, at, eq))
                break;
        value = at + eq + 1;
    }
    if (axis >= f->rank)
        return 0;
    if (*value == ':' && value + 1 == at + len)
        return len;
    char *end;
    errno = 0;
    long long i = strtoll(value, &end, 10);
    if (i < 0)
        i += f->axes[axis].size;
    if (end == value || end != at + len || errno || i < 0 || i >= f->axes[axis].size)
        return 0;
    st->at[axis] = i;
    fixed[axis] = true;
    return len;
}

/* Fixes the axes that the slice names; the last two that stay free are drawn. */
static int apply_slice(
    struct view_state *st, const char *slice, const struct field *f, struct err *e)
{
    bool fixed[FIELD_MAX_RANK] = {false};
    int nth = 0, drawn = 0;
    for (const char *at = slice;; at++) {
        size_t len = slice_piece(st, fixed, nth++, at, f);
        if (!len)
            return bad_slice(slice, f, e);
        at += len;
        if (!*at)
            break;
    }
    int axes[2] = {-1, -1};
    for (int i = f->rank - 1; i >= 0 && drawn < 2; i--)
        if (!fixed[i])
            axes[drawn++] = i;
    if (!drawn)
        axes[drawn++] = f->rank - 1;
    st->has_axes = true;
    st->row_axis = drawn == 2 ? axes[1] : axes[0];
    st->col_axis = drawn == 2 ? axes[0] : -1;
    return 0;
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
static int rows_wanted(const struct view_data *d, const struct view_state *st)
{
    const struct field *f = &d->fields[0];
    if (d->n == 1 && (f->look == LOOK_LINES || f->look == LOOK_CONTOUR))
        return PLOT_ROWS;
    int axis = st->has_axes ? st->row_axis : f->rank >= 2 ? f->rank - 2 : 0;
    int64_t n = f->rank ? f->axes[axis].size : 1;
    if (f->look == LOOK_TOKENS && f->rank == 1)
        n = n / 8 + 1;
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

/* "layer 2, head 1": which plane of a block with more axes than a drawing has. */
static void print_plane(FILE *out, const struct field *f, const struct view_state *st, bool asked)
{
    int row = st->has_axes ? st->row_axis : f->rank - 2;
    int col = st->has_axes ? st->col_axis : f->rank - 1, n = 0;
    for (int i = 0; i < f->rank; i++)
        if (i != row && i != col)
            n += fprintf(out, "%s%s %lld", n ? ", " : "", f->axes[i].name, (long long)st->at[i]);
    if (n)
        fputs(asked ? "\n" : " (sonde show --slice draws others)\n", out);
}

static int draw(
    const struct show *how, const struct view_data *d, struct arena *frame, struct err *e)
{
    const struct field *f = &d->fields[0];
    const struct view *v = d->n > 1 ? view_find("table") : view_for(f);
    struct view_state st = {0};
    struct canvas c = {0};
    enum colour_mode mode;
    char readout[VIEW_READOUT] = "";
    if (how->slice && f->rank) {
        int rc = apply_slice(&st, how->slice, f, e);
        if (rc)
            return rc;
    } else {
        draw_best(&st, f);
    }
    if (!v)
        return err_set(
            e, ERR_USAGE, "no view draws %s of rank %d; try sonde export", f->name, f->rank);
    if (colour_mode_choose(
            &mode, args_text(&how->command->args, "color"), isatty(fileno(how->out)), 256) < 0)
        mode = COLOURS_NONE;
    int w = terminal_width(how->out);
    int rc = canvas_init(&c, w, rows_wanted(d, &st), e);
    if (rc)
        return rc;
    c.glyphs = choose_glyphs(how);
    c.mode = mode;
    c.theme = &themes[0];
    struct screen screen = {&c, {0, 0, c.w, c.h}, frame};
    if (!how->slice && token_grid_fits(f, how->model))
        rc = token_grid_draw(&screen, f, how->model, e);
    else
        rc = v->draw(&screen, d, &st, readout, e);
    if (!rc)
        print_plane(how->out, f, &st, how->slice != NULL);
    if (!rc)
        print_canvas(how->out, &c, mode != COLOURS_NONE);
    canvas_release(&c);
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

/* "after ·to: ·Tobin 97.4 %, ·the 1.8 %": what a row of logits says, for the last position. */
static int print_best(const struct show *how, const struct field *f, struct arena *a, struct err *e)
{
    const struct model *m = how->model;
    if (!m || !m->tokenizer || !f->name || strcmp(f->name, "logits") != 0 || f->rank != 2 ||
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

/* A position without a next token has no rank; the report says -1. */
static double known_rank(double rank)
{
    return rank < 0 ? NAN : rank;
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
    struct field_mapped known = {.fn = known_rank};
    if (!rc && d.n == 1 && fields->unit && !strcmp(fields->unit, "rank")) {
        known.base = *fields;
        field_from_map(fields, &known);
    }
    if (!rc) {
        print_title(how->out, b);
        rc = print_best(how, fields, &frame, e);
    }
    if (!rc)
        rc = draw(how, &d, &frame, e);
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

static int show_run(const struct show *how, const struct run *run, int *shown, struct err *e)
{
    int n = run_blocks(run), hidden = 0, last = -1, seen = 0;
    bool headed = false;
    for (int i = 0; i < n; i++) {
        struct block *b = run_block_at(run, i);
        int input = block_spec(b)->input;
        if (how->path && !is_under(block_path(b), how->path))
            continue;
        if (input >= 0 && input != last) {
            last = input;
            seen++;
        }
        if (input >= 0 && how->max_inputs && seen > how->max_inputs && !how->path) {
            hidden++;
            continue;
        }
        if (!headed)
            fprintf(how->out, "\n== %s: %s, model %s, weights %s, %s", run_name(run),
                attr(run, "status"), attr(run, "model_name"), attr(run, "weights"),
                attr(run, "dtype"));
        if (!headed)
            fputc('\n', how->out);
        headed = true;
        int rc = draw_block(how, b, e);
        if (rc)
            return rc;
        (*shown)++;
    }
    if (hidden)
        fprintf(how->out,
            "\n%d blocks of %d further inputs are not drawn; name one, or write a "
            "report with -o and see sonde show FILE PATH\n",
            hidden, seen - how->max_inputs);
    return 0;
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
        fprintf(how->out, "input %d, %lld tokens%s%s\n", i, (long long)in.n,
            in.text && *in.text ? ": " : "", in.text ? text : "");
    }
    if (how->max_inputs && n > how->max_inputs)
        fprintf(how->out, "and %d further inputs\n", n - how->max_inputs);
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
    struct show how = {.out = out, .max_inputs = RUN_INPUTS, .command = c, .model = m};
    return show_document(&how, r, e);
}
