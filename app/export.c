#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/export.h"
#include "app/browse.h"
#include "app/workbench.h"
#include "model/core/outfile.h"

/* Writes what the focused pane shows: the drawing (.svg, .txt) or its numbers (.csv, .json, .npy). */

#define CELLS_MAX ((int64_t)1 << 24)

/* The two drawn axes whole, the others at the cursor. */
static int write_numbers(struct buf *b, const struct workbench *wb, const struct pane *p,
    enum export_form form, struct arena *a, struct err *e)
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
    part.origin = browse_origin(wb, p, a, e);
    int64_t n = window_count(&part.w, f->rank);
    if (n < 0 || n > CELLS_MAX)
        return err_set(
            e, ERR_LIMIT, "%lld cells are too many for one file; choose a slice", (long long)n);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return err_set(e, ERR_LIMIT, "no memory for the numbers of this pane");
    int rc = export_field(out, f, &part, form, e);
    if (fclose(out) && !rc)
        rc = err_set(e, ERR_LIMIT, "no memory for the numbers of this pane");
    if (!rc)
        buf_put(b, text, size);
    free(text);
    return rc;
}

static int write_file(const char *path, const struct buf *b, struct err *e)
{
    if (b->failed || !b->data)
        return err_set(e, ERR_LIMIT, "no memory for %s", path);
    struct outfile o = {0};
    if (outfile_open(&o, path, e))
        return e->code;
    if (fwrite(b->data, 1, b->n, o.f) != b->n) {
        outfile_discard(&o);
        return err_set(e, ERR_OUTPUT, "%s could not be written; is the disk full?", path);
    }
    return outfile_commit(&o, e);
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
    int rc;
    if (p->class->paper)
        p->class->paper(wb, p, true);
    pane_data(wb, p, &d, marks);
    if (!d.n) {
        workbench_say(wb, true, "this pane is empty: nothing to write");
        if (p->class->paper)
            p->class->paper(wb, p, false);
        return;
    }
    if (dot && !strcmp(dot, ".svg"))
        rc = p->view->svg(&b, &d, &p->st, &scratch, &e);
    else if (dot && !strcmp(dot, ".csv"))
        rc = write_numbers(&b, wb, p, EXPORT_CSV, &scratch, &e);
    else if (dot && !strcmp(dot, ".json"))
        rc = write_numbers(&b, wb, p, EXPORT_JSON, &scratch, &e);
    else if (dot && !strcmp(dot, ".npy"))
        rc = write_numbers(&b, wb, p, EXPORT_NPY, &scratch, &e);
    else if (dot && !strcmp(dot, ".txt"))
        rc = write_txt(&b, wb, p, &e);
    else
        rc = err_set(
            &e, ERR_USAGE, "%s: the name must end in .svg, .csv, .json, .npy or .txt", path);
    if (p->class->paper)
        p->class->paper(wb, p, false);
    if (!rc)
        rc = write_file(path, &b, &e);
    if (rc)
        workbench_say(wb, true, "%s", e.msg);
    else
        workbench_say(wb, false, "%s written, %zu bytes", path, b.n);
    arena_release(&scratch);
    buf_release(&b);
}

/* The whole screen: .svg as it looks, .txt as it reads. */
void export_screen(struct workbench *wb, const char *path)
{
    struct canvas c;
    struct buf b = {0};
    struct err e = {0};
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
    if (write_file(path, &b, &e))
        workbench_say(wb, true, "%s", e.msg);
    else
        workbench_say(wb, false, "%s written, %zu bytes", path, b.n);
    buf_release(&b);
}
