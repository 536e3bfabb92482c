#include "views/show.h"

#include <stdio.h>
#include <string.h>

#include "views/draw.h"

#define LINES_MOST 60
#define ROWS_MOST 1000000 /* of a text column held in memory */

static int text_column(
    struct field *f, const struct block *b, int column, struct arena *a, struct err *e)
{
    const struct block_spec *spec = block_spec(b);
    int64_t n = block_rows(b);
    if (n > ROWS_MOST)
        n = ROWS_MOST;
    const char **labels = arena_array(a, n > 0 ? (size_t)n : 1, sizeof *labels, e);
    if (!labels)
        return e->code;
    for (int64_t i = 0; i < n; i++) {
        struct cell_value v;
        int rc = block_cell(&v, b, i, column, e);
        if (rc)
            return rc;
        labels[i] = arena_strdup(a, v.text ? v.text : "", e);
        if (!labels[i])
            return e->code;
    }
    *f = (struct field){.name = spec->columns[column].name,
        .unit = spec->columns[column].unit,
        .look = LOOK_TEXT,
        .rank = 1,
        .axes = {{spec->axes[0].name, spec->axes[0].kind, n, labels}}};
    return 0;
}

int block_data(struct view_data *out, const struct block *b, struct arena *a, struct err *e)
{
    const struct block_spec *spec = block_spec(b);
    int n = spec->n_columns > 0 ? spec->n_columns : 1;
    struct field *fields = arena_array(a, (size_t)n, sizeof *fields, e);
    if (!fields)
        return e->code;
    for (int i = 0; i < n; i++) {
        bool is_text = spec->n_columns > 0 && spec->columns[i].is_text;
        int rc = is_text ? text_column(&fields[i], b, i, a, e)
                         : block_field(&fields[i], b, spec->n_columns > 0 ? i : -1, e);
        if (rc)
            return rc;
    }
    *out = (struct view_data){.fields = fields, .n = n};
    return 0;
}

static void heading(struct canvas *c, const struct view_data *d, const struct view_state *st)
{
    const struct field *f = &d->fields[0];
    char text[512];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", f->name ? f->name : "");
    for (int i = 0; i < f->rank && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %lld", i ? " × " : "  [",
            f->axes[i].name, (long long)f->axes[i].size);
    if (f->rank && at < sizeof text)
        at += (size_t)snprintf(text + at, sizeof text - at, "]");
    int x = canvas_text(c, 0, 0, c->w, STYLE(STRONG), text);
    text[0] = '\0';
    if (d->n == 1)
        caption(text, sizeof text, f, st);
    canvas_text(c, x + 2, 0, c->w - x - 2, STYLE(DIM), text);
}

/* Text columns are labels and have no numbers to fetch; a lone value is a line of its own. */
static int show_scalar(struct canvas *c, const struct field *f, struct err *e)
{
    double v;
    char text[64];
    struct window w = {0};
    int rc = f->fetch(f, &v, &w, FIELD_POINT, e);
    struct number_form form = field_form(f);
    if (rc)
        return rc;
    number_text(text, sizeof text, &form, v, c->glyphs);
    int x = canvas_text(c, 2, 1, c->w, STYLE(STRONG), text);
    if (f->unit && !*form.suffix)
        canvas_text(c, x + 3, 1, c->w, STYLE(DIM), f->unit);
    return 0;
}

static int wanted_lines(const struct view *v, const struct field *f, const struct view_data *d,
    const struct view_state *st)
{
    int row_axis = st->has_axes ? st->row_axis : f->rank >= 2 ? f->rank - 2 : 0;
    int64_t rows = f->rank ? f->axes[row_axis].size : 1;
    if (!strcmp(v->id, "bars"))
        rows = f->axes[f->rank - 1].size < 24 ? f->axes[f->rank - 1].size : 24;
    else if (!strcmp(v->id, "lines"))
        rows = 18;
    else if (!strcmp(v->id, "contour"))
        rows = 26;
    else if (!strcmp(v->id, "heatmap"))
        rows = rows + 3 < 43 ? rows + 3 : 43;
    else if (!strcmp(v->id, "table"))
        rows += 1;
    else
        rows = LINES_MOST;
    (void)d;
    return (int)(rows < LINES_MOST ? rows : LINES_MOST) + 1;
}

int show_data(struct buf *out, const struct view_data *d, const struct view_state *given,
    const struct show_opts *o, struct err *e)
{
    struct view_state st = given ? *given : (struct view_state){0};
    struct view_data paper = *d;
    const struct field *f = &d->fields[0];
    const struct view *v = o->view ? o->view : d->n > 1 ? view_find("table") : view_for(f);
    struct canvas c;
    struct arena frame = {0};
    char readout[VIEW_READOUT] = "";
    paper.is_static = true;
    paper.is_focused = false;
    if (f->rank > 0 && (f->rank < v->min_rank || f->rank > v->max_rank))
        return err_set(e, ERR_USAGE, "view \"%s\" takes %d to %d axes, %s has %d", v->id,
            v->min_rank, v->max_rank, f->name ? f->name : "this block", f->rank);
    int w = o->w > 0 ? o->w : 100;
    int rc = canvas_init(&c, w, o->h > 0 ? o->h : f->rank ? wanted_lines(v, f, d, &st) : 2, e);
    if (rc)
        return rc;
    c.mode = o->mode;
    c.glyphs = o->glyphs;
    if (o->theme)
        c.theme = o->theme;
    struct screen s = {&c, {2, 1, c.w - 2, c.h - 1}, &frame};
    rc = f->rank ? v->draw(&s, &paper, &st, readout, e) : show_scalar(&c, f, e);
    heading(&c, &paper, &st);
    if (!rc)
        canvas_write(out, &c, c.mode == COLOURS_NONE ? CANVAS_PLAIN : CANVAS_ANSI);
    arena_release(&frame);
    canvas_release(&c);
    if (!rc && out->failed)
        return err_set(e, ERR_LIMIT, "no memory to draw %s", f->name ? f->name : "this block");
    /* The canvas is as tall as the drawing may need; blank lines below it are not part of it. */
    while (!rc && o->h <= 0 && out->n > 1 && out->data[out->n - 1] == '\n' &&
           out->data[out->n - 2] == '\n')
        out->data[--out->n] = '\0';
    return rc;
}

int show_block(struct buf *out, const struct block *b, const struct view_state *st,
    const struct show_opts *o, struct err *e)
{
    struct arena arena = {0};
    struct view_data d;
    int rc = block_data(&d, b, &arena, e);
    if (!rc)
        rc = show_data(out, &d, st, o, e);
    arena_release(&arena);
    return rc;
}
