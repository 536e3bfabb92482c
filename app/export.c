#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/export.h"
#include "app/browse.h"
#include "app/saver.h"
#include "app/workbench.h"
#include "model/core/outfile.h"

/* Writes what the focused pane shows: the drawing (.svg, .txt) or its numbers (.csv, .json, .npy). */

#define CELLS_MAX ((int64_t)1 << 24)

/* Numbers that a pane shows, apart from it: what is formatted on the saver's thread while the pane goes
 * on to other things. */
struct numbers {
    struct arena arena;
    struct field f;
    struct export_part part;
    double *v; /* of part.w */
    enum export_form form;
};

static int fetch_numbers(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    const struct numbers *x = f->source_data;
    int64_t at[FIELD_MAX_RANK] = {0}, n = window_count(w, f->rank);
    (void)reduce, (void)e;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = 0;
        for (int k = 0; k < f->rank; k++)
            from =
                from * x->part.w.count[k] + w->start[k] + at[k] * w->stride[k] - x->part.w.start[k];
        out[i] = x->v[from];
        for (int k = f->rank - 1; k >= 0 && ++at[k] == w->count[k]; k--)
            at[k] = 0;
    }
    return 0;
}

/* Texts of a field that may be gone before it is written. */
static int keep_texts(struct numbers *x, struct err *e)
{
    struct field *f = &x->f;
    const char **texts[] = {&f->name, &f->unit, &f->long_name, &f->source};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (*texts[i] && !(*texts[i] = arena_strdup(&x->arena, *texts[i], e)))
            return e->code;
    for (int i = 0; i < f->rank; i++) {
        struct axis *a = &f->axes[i];
        const bool is_written = axis_has_labels(a) && !x->part.drop[i];
        const struct axis from = *a;
        const char **labels = arena_array(&x->arena, (size_t)a->size + 1, sizeof *labels, e);
        a->name = a->name ? arena_strdup(&x->arena, a->name, e) : NULL;
        for (int64_t k = 0; labels && is_written && k < a->size; k++) {
            char buf[256];
            labels[k] = arena_strdup(&x->arena, axis_label(&from, k, buf, sizeof buf), e);
            if (!labels[k])
                return e->code;
        }
        if (!labels || (from.name && !a->name))
            return e->code;
        a->label = NULL;
        a->labels = is_written ? labels : NULL;
    }
    return 0;
}

static void release_numbers(void *arg)
{
    struct numbers *x = arg;
    arena_release(&x->arena);
    free(x);
}

static int write_numbers(void *arg, const char *path, save_step *step, void *saver, struct err *e)
{
    struct numbers *x = arg;
    struct outfile o = {0};
    (void)step, (void)saver;
    if (outfile_open(&o, path, e))
        return e->code;
    if (export_field(o.f, &x->f, &x->part, x->form, e)) {
        outfile_discard(&o);
        return e->code;
    }
    return outfile_commit(&o, e);
}

/* What is written of the pane: the two drawn axes whole, the others at the cursor. */
static struct export_part drawn_part(const struct pane *p)
{
    const struct field *f = &p->field;
    struct export_part part = export_whole(f);
    for (int i = 0; i < f->rank; i++) {
        if (i == p->st.row_axis || (i == p->st.col_axis && f->rank > 1))
            continue;
        part.w.start[i] = p->st.at[i];
        part.w.count[i] = 1;
        part.drop[i] = true;
    }
    return part;
}

/* Which of several fields side by side are on screen, and which rows; all where no table draws them. */
struct shown {
    int first, n;
    int64_t row, rows;
};

static struct shown shown_columns(const struct pane *p)
{
    const struct view_state *st = &p->st;
    const int64_t size = p->many[0].axes[0].size;
    struct shown s = {0, p->n_many, 0, size};
    if (strcmp(p->view->id, "table") != 0 || st->columns < 1)
        return s;
    s.first = st->scroll[1] < p->n_many ? (int)st->scroll[1] : 0;
    s.n = st->columns < p->n_many - s.first ? st->columns : p->n_many - s.first;
    if (st->top || st->sorted)
        return s; /* the largest lie anywhere: all rows */
    s.row = st->scroll[0] < size ? st->scroll[0] : 0;
    s.rows = st->grid.h < size - s.row ? st->grid.h : size - s.row;
    return s;
}

/* A window of an open document, no larger than the screen: where it lies is known as long as it is open. */
static int save_window(struct workbench *wb, const struct pane *p, const struct export_part *part,
    const struct shown *s, enum export_form form, const char *path, struct err *e)
{
    char *text = NULL;
    size_t size = 0;
    struct buf b = {0};
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return err_set(e, ERR_LIMIT, "no memory for the numbers of this pane");
    const char *name = p->id == PANE_BLOCK ? wb->browse->now->spec->n->path : p->class->title;
    int rc = p->many ? export_fields(out, name, p->many + s->first, s->n, s->row, s->rows,
                           part->origin, form, e)
                     : export_field(out, &p->field, part, form, e);
    if (fclose(out) && !rc)
        rc = err_set(e, ERR_LIMIT, "no memory for the numbers of this pane");
    if (!rc) {
        buf_put(&b, text, size);
        saver_text(wb, p->class->name, path, &b);
    }
    free(text);
    return rc;
}

static int save_numbers(struct workbench *wb, const struct pane *p, enum export_form form,
    const char *path, struct arena *a, struct err *e)
{
    struct export_part part = drawn_part(p);
    const struct shown s = p->many ? shown_columns(p) : (struct shown){0};
    part.origin =
        p->many ? browse_rows_origin(wb, p, s.row, s.rows, a, e) : browse_origin(wb, p, a, e);
    const int64_t n = window_count(&part.w, p->field.rank);
    if (n < 0 || n > CELLS_MAX)
        return err_set(
            e, ERR_LIMIT, "%lld cells are too many for one file; choose a slice", (long long)n);
    if (part.origin || p->many)
        return save_window(wb, p, &part, &s, form, path, e);
    struct numbers *x = malloc(sizeof *x);
    if (!x)
        return err_set(e, ERR_LIMIT, "no memory for the numbers of this pane");
    *x = (struct numbers){.f = p->field, .part = part, .form = form};
    x->v = arena_array(&x->arena, (size_t)n + 1, sizeof *x->v, e);
    int rc = x->v ? p->field.fetch(&p->field, x->v, &part.w, FIELD_POINT, e) : e->code;
    if (!rc)
        rc = keep_texts(x, e);
    if (rc) {
        release_numbers(x);
        return rc;
    }
    x->f.fetch = fetch_numbers;
    x->f.generation = NULL;
    x->f.source_data = x;
    struct save_work work = {
        .is_listed = true, .write = write_numbers, .release = release_numbers, .arg = x};
    snprintf(work.what, sizeof work.what, "%s", p->class->name);
    saver_start(wb, path, &work);
    return 0;
}

static int write_txt(struct buf *b, struct workbench *wb, struct pane *p, struct err *e)
{
    struct canvas c;
    int rc = canvas_init(&c, wb->w, wb->h, e);
    if (rc)
        return rc;
    c.mode = COLOURS_NONE;
    c.glyphs = GLYPHS_BRAILLE;
    struct rect was = p->rect;
    p->rect = (struct rect){0, 0, was.w, was.h};
    pane_draw(wb, p, &c);
    p->rect = was;
    canvas_write(b, &c, CANVAS_PLAIN);
    canvas_release(&c);
    while (b->n > 1 && b->data[b->n - 2] == '\n')
        b->data[--b->n] = '\0';
    return 0;
}

void export_pane(struct workbench *wb, const char *path)
{
    struct pane *p = &wb->panes[wb->focus];
    struct view_data d;
    struct mark marks[PANE_HITS + 8];
    struct arena scratch = {0};
    struct buf b = {0};
    struct err e = {0};
    const char *dot = strrchr(path, '.');
    static const struct {
        const char *ending;
        enum export_form form;
    } forms[] = {{".csv", EXPORT_CSV}, {".json", EXPORT_JSON}, {".npy", EXPORT_NPY}};
    int rc, form = -1;
    if (p->class->paper)
        p->class->paper(wb, p, true);
    pane_data(wb, p, &d, marks);
    if (!d.n) {
        workbench_say(wb, true, "this pane is empty: nothing to write");
        if (p->class->paper)
            p->class->paper(wb, p, false);
        return;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        form = dot && !strcmp(dot, forms[i].ending) ? (int)forms[i].form : form;
    if (form >= 0)
        rc = save_numbers(wb, p, (enum export_form)form, path, &scratch, &e);
    else if (dot && !strcmp(dot, ".svg"))
        rc = p->view->svg(&b, &d, &p->st, &scratch, &e);
    else if (dot && !strcmp(dot, ".txt"))
        rc = write_txt(&b, wb, p, &e);
    else
        rc = err_set(
            &e, ERR_USAGE, "%s: the name must end in .svg, .csv, .json, .npy or .txt", path);
    if (p->class->paper)
        p->class->paper(wb, p, false);
    if (rc)
        workbench_say(wb, true, "%s", e.msg);
    else if (form < 0)
        saver_text(wb, p->class->name, path, &b);
    arena_release(&scratch);
    buf_release(&b);
}

/* The whole screen: .svg as it looks, .txt as it reads. */
void export_screen(struct workbench *wb, const char *path)
{
    struct canvas c;
    struct buf b = {0};
    struct err e;
    const char *dot = strrchr(path, '.');
    bool is_svg = dot && !strcmp(dot, ".svg");
    if (!wb->canvas || canvas_init(&c, wb->w, wb->h, &e))
        return;
    c.mode = is_svg ? COLOURS_TRUE : wb->canvas->mode;
    c.glyphs = wb->canvas->glyphs;
    workbench_draw(wb, &c);
    wb->canvas = NULL;
    canvas_write(&b, &c, is_svg ? CANVAS_SVG : CANVAS_PLAIN);
    canvas_release(&c);
    saver_text(wb, "screen", path, &b);
}
