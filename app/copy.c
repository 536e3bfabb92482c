#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/workbench.h"

/* To the clipboard: the line below a pane, the number under the cursor, its row, the whole drawing. */

#define ROW_MAX 65536

/* The number as it is, to be read back; "" where there is none. */
static void put_number(struct buf *b, double v)
{
    char text[40];
    if (isnan(v))
        return;
    snprintf(text, sizeof text, "%.9g", v);
    buf_puts(b, text);
}

static bool fetch(double *out, const struct pane *p, int along, int64_t n)
{
    struct window w = {0};
    struct err e;
    for (int i = 0; i < p->field.rank; i++) {
        w.start[i] = i == along ? 0 : p->st.at[i];
        w.count[i] = i == along ? n : 1;
        w.stride[i] = 1;
    }
    return p->field.fetch && !p->field.fetch(&p->field, out, &w, FIELD_POINT, &e);
}

static bool copy_cell(struct buf *b, struct workbench *wb, struct pane *p)
{
    double v;
    (void)wb;
    if (!fetch(&v, p, -1, 1))
        return false;
    put_number(b, v);
    return true;
}

/* Names and numbers, a tab between them: along the drawn columns, or all of a list. */
static bool copy_row(struct buf *b, struct workbench *wb, struct pane *p)
{
    int along = p->field.rank > 1 && p->st.col_axis >= 0 ? p->st.col_axis : p->field.rank - 1;
    if (along < 0 || along >= p->field.rank)
        return false;
    int64_t n = p->field.axes[along].size;
    struct err e;
    double *v = n > 0 && n <= ROW_MAX ? arena_array(&wb->frame, (size_t)n, sizeof *v, &e) : NULL;
    if (!v || !fetch(v, p, along, n))
        return false;
    for (int64_t i = 0; i < n; i++) {
        char label[32], shown[200];
        token_show(shown, sizeof shown, axis_label(&p->field.axes[along], i, label, sizeof label));
        buf_puts(b, shown);
        buf_puts(b, "\t");
        put_number(b, v[i]);
        buf_puts(b, "\n");
    }
    return true;
}

static bool copy_readout(struct buf *b, struct workbench *wb, struct pane *p)
{
    (void)wb;
    buf_puts(b, p->readout);
    return *p->readout;
}

/* As it stands on the screen. */
static bool copy_pane(struct buf *b, struct workbench *wb, struct pane *p)
{
    struct canvas part = *wb->canvas;
    struct err e;
    if (p->rect.w < 1 || canvas_init(&part, p->rect.w, p->rect.h, &e))
        return false;
    part.glyphs = wb->canvas->glyphs;
    for (int y = 0; y < p->rect.h; y++)
        memcpy(part.cells + (size_t)y * (size_t)part.w,
            wb->canvas->cells + (size_t)(p->rect.y + y) * (size_t)wb->canvas->w + p->rect.x,
            (size_t)part.w * sizeof *part.cells);
    canvas_write(b, &part, CANVAS_PLAIN);
    canvas_release(&part);
    return true;
}

static const struct {
    const char *name;
    bool needs_field;
    bool (*fill)(struct buf *b, struct workbench *wb, struct pane *p);
} kinds[] = {{"readout", false, copy_readout}, {"cell", true, copy_cell}, {"row", true, copy_row},
    {"pane", false, copy_pane}};

void colon_copy(struct workbench *wb, const char *arg)
{
    struct pane *p = &wb->panes[wb->focus];
    struct view_data d = {0};
    struct mark marks[PANE_HITS + 8];
    struct buf b = {0};
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    while (i < n && strcmp(kinds[i].name, arg) != 0)
        i++;
    if (i == n) {
        workbench_say(wb, true, "copy takes readout, cell, row or pane");
        return;
    }
    if (kinds[i].needs_field)
        pane_data(wb, p, &d, marks);
    if ((kinds[i].needs_field && !d.n) || !kinds[i].fill(&b, wb, p) || !b.data || b.failed) {
        workbench_say(wb, false, "this pane has no %s to copy", arg);
    } else {
        free(wb->copied);
        wb->copied = strdup(b.data);
        workbench_say(wb, false, "copied: %.60s%s", b.data, strlen(b.data) > 60 ? ".." : "");
    }
    buf_release(&b);
}

void act_copy(struct workbench *wb, const struct key *k)
{
    (void)k;
    colon_copy(wb, "readout");
}

void act_copy_row(struct workbench *wb, const struct key *k)
{
    (void)k;
    colon_copy(wb, "row");
}

void act_copy_cell(struct workbench *wb, const struct key *k)
{
    (void)k;
    colon_copy(wb, "cell");
}
