#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/workbench.h"
#include "model/core/outfile.h"

/* Writes what the focused pane shows: the drawing (.svg, .txt) or its numbers (.csv, .npy). */

#define CELLS_MAX ((int64_t)1 << 24)

struct slice {
    const struct field *f;
    struct window w;
    int row_axis, col_axis; /* -1: none */
    int64_t rows, cols;
    double *v;
};

/* The two drawn axes whole, the others at the cursor. */
static int load(struct slice *s, const struct pane *p, struct arena *a, struct err *e)
{
    const struct field *f = &p->field;
    *s = (struct slice){.f = f, .row_axis = -1, .col_axis = -1, .rows = 1, .cols = 1};
    for (int i = 0; i < f->rank; i++) {
        bool is_row = i == p->st.row_axis, is_col = i == p->st.col_axis && f->rank > 1;
        s->w.start[i] = is_row || is_col ? 0 : p->st.at[i];
        s->w.count[i] = is_row || is_col ? f->axes[i].size : 1;
        s->w.stride[i] = 1;
        if (is_row)
            s->row_axis = i, s->rows = f->axes[i].size;
        else if (is_col)
            s->col_axis = i, s->cols = f->axes[i].size;
    }
    int64_t n = window_count(&s->w, f->rank);
    if (n < 0 || n > CELLS_MAX)
        return err_set(
            e, ERR_LIMIT, "%lld cells are too many for one file; choose a slice", (long long)n);
    if (!f->fetch)
        return err_set(e, ERR_USAGE, "this pane has no numbers; write it as .txt or .svg");
    s->v = arena_array(a, n > 0 ? (size_t)n : 1, sizeof *s->v, e);
    return s->v ? f->fetch(f, s->v, &s->w, FIELD_POINT, e) : e->code;
}

static double cell(const struct slice *s, int64_t r, int64_t c)
{
    bool turned = s->col_axis >= 0 && s->col_axis < s->row_axis;
    return s->v[turned ? c * s->rows + r : r * s->cols + c];
}

static void csv_text(struct buf *b, const char *text)
{
    buf_put(b, "\"", 1);
    for (; *text; text++) {
        if (*text == '"')
            buf_put(b, "\"", 1);
        buf_put(b, text, 1);
    }
    buf_put(b, "\"", 1);
}

static int write_csv(struct buf *b, const struct pane *p, struct arena *a, struct err *e)
{
    struct slice s;
    char label[32];
    int rc = load(&s, p, a, e);
    if (rc)
        return rc;
    csv_text(b, s.row_axis >= 0 ? s.f->axes[s.row_axis].name : "");
    for (int64_t c = 0; c < s.cols; c++) {
        buf_put(b, ",", 1);
        csv_text(b, s.col_axis >= 0 ? axis_label(&s.f->axes[s.col_axis], c, label, sizeof label)
                    : s.f->name     ? s.f->name
                                    : "value");
    }
    buf_put(b, "\n", 1);
    for (int64_t r = 0; r < s.rows; r++) {
        csv_text(
            b, s.row_axis >= 0 ? axis_label(&s.f->axes[s.row_axis], r, label, sizeof label) : "");
        for (int64_t c = 0; c < s.cols; c++) {
            double v = cell(&s, r, c);
            if (isnan(v))
                buf_puts(b, ",");
            else
                buf_printf(b, ",%.9g", v);
        }
        buf_put(b, "\n", 1);
    }
    return 0;
}

static int write_npy(struct buf *b, const struct pane *p, struct arena *a, struct err *e)
{
    struct slice s;
    char head[128];
    int rc = load(&s, p, a, e);
    if (rc)
        return rc;
    int n = s.col_axis >= 0
                ? snprintf(head, sizeof head,
                      "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                      (long long)s.rows, (long long)s.cols)
                : snprintf(head, sizeof head,
                      "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld,), }",
                      (long long)s.rows);
    /* Magic, version 1.0, header length; the whole is a multiple of 64 and ends in a newline. */
    int total = (10 + n + 1 + 63) / 64 * 64, body = total - 10;
    const char magic[10] = {
        (char)0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(body & 255), (char)(body >> 8)};
    buf_put(b, magic, sizeof magic);
    buf_printf(b, "%s%*s\n", head, body - n - 1, "");
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t c = 0; c < s.cols; c++) {
            float v = (float)cell(&s, r, c);
            buf_put(b, (const char *)&v, sizeof v);
        }
    return 0;
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
        rc = write_csv(&b, p, &scratch, &e);
    else if (dot && !strcmp(dot, ".npy"))
        rc = write_npy(&b, p, &scratch, &e);
    else if (dot && !strcmp(dot, ".txt"))
        rc = write_txt(&b, wb, p, &e);
    else
        rc = err_set(&e, ERR_USAGE, "%s: the name must end in .svg, .csv, .npy or .txt", path);
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
