#include "app/token_grid.h"

#include <string.h>

#include "model/core/text.h"

#define CELL_MIN 7
#define CELL_MAX 14
#define LABEL_MAX 16

bool token_grid_fits(const struct field *f, const struct model *m)
{
    if (!m || !m->tokenizer || !f->unit || strcmp(f->unit, "token id") != 0)
        return false;
    return f->rank == 2 || (f->rank == 3 && f->axes[2].kind == AXIS_RANK);
}

static void draw_label(const struct screen *s, int x, int y, int w, const char *text)
{
    char shown[128];
    unsigned flags = TEXT_DOT | (s->canvas->glyphs == GLYPHS_ASCII ? TEXT_ASCII : 0);
    text_escape(shown, sizeof shown, text, strlen(text), flags);
    canvas_text(s->canvas, x, y, w, STYLE(LABEL), shown);
}

static void draw_token(
    const struct screen *s, int x, int y, int w, const struct model *m, double id)
{
    char shown[128];
    size_t n;
    const char *bytes = tokenizer_bytes(m->tokenizer, (int64_t)id, &n);
    unsigned flags = TEXT_DOT | (s->canvas->glyphs == GLYPHS_ASCII ? TEXT_ASCII : 0);
    if (!bytes)
        return;
    text_escape(shown, sizeof shown, bytes, n, flags);
    canvas_text(s->canvas, x, y, w, STYLE(TEXT), shown);
}

int token_grid_draw(
    const struct screen *s, const struct field *f, const struct model *m, struct err *e)
{
    const struct axis *rows = &f->axes[0], *cols = &f->axes[1];
    char buf[32];
    int label = 0;
    for (int64_t r = 0; r < rows->size; r++) {
        int w = text_columns(axis_label(rows, r, buf, sizeof buf));
        label = w > label ? w : label;
    }
    label = (label < LABEL_MAX ? label : LABEL_MAX) + 1;
    int64_t cell = (s->rect.w - label) / (cols->size > 0 ? cols->size : 1);
    cell = cell < CELL_MIN ? CELL_MIN : cell > CELL_MAX ? CELL_MAX : cell;
    int64_t shown = (s->rect.w - label) / cell;
    shown = shown < 1 ? 1 : shown > cols->size ? cols->size : shown;
    struct window w = field_all(f);
    w.start[1] = cols->size - shown;
    w.count[1] = shown;
    w.count[2] = 1;
    double *ids = arena_array(s->frame, (size_t)(rows->size * shown), sizeof *ids, e);
    if (!ids)
        return ERR_LIMIT;
    int rc = f->fetch(f, ids, &w, FIELD_POINT, e);
    if (rc)
        return rc;
    for (int64_t c = 0; c < shown; c++)
        draw_label(s, s->rect.x + label + (int)(c * cell), s->rect.y, (int)cell - 1,
            axis_label(cols, w.start[1] + c, buf, sizeof buf));
    /* Layers grow upwards. */
    for (int64_t r = 0; r < rows->size; r++) {
        int y = s->rect.y + (int)(rows->size - r);
        draw_label(s, s->rect.x, y, label - 1, axis_label(rows, r, buf, sizeof buf));
        for (int64_t c = 0; c < shown; c++)
            draw_token(
                s, s->rect.x + label + (int)(c * cell), y, (int)cell - 1, m, ids[r * shown + c]);
    }
    return 0;
}
