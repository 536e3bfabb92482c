#include "app/records.h"

#include <math.h>
#include <string.h>

#include "model/core/text.h"
#include "views/canvas.h"
#include "views/number.h"

#define WIDEST 60 /* columns of a cell */

bool records_is(const struct block *b)
{
    const struct block_spec *s = block_spec(b);
    for (int i = 0; i < s->n_columns; i++)
        if (s->columns[i].is_text && !strcmp(s->columns[i].name, "unit"))
            return true;
    return false;
}

static int unit_of(
    char *unit, size_t n, const struct block *b, int64_t row, int column, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    struct cell_value v;
    int k = 0;
    while (k < s->n_columns && !(s->columns[k].is_text && !strcmp(s->columns[k].name, "unit")))
        k++;
    const char *own = s->columns[column].unit;
    snprintf(unit, n, "%s", own ? own : "");
    if (*unit || k == s->n_columns)
        return 0;
    int rc = block_cell(&v, b, row, k, e);
    if (!rc)
        snprintf(unit, n, "%s", v.text ? v.text : "");
    return rc;
}

int records_cell(char *buf, size_t n, const struct block *b, int64_t row, int column,
    enum glyphs glyphs, struct err *e)
{
    const struct column *c = &block_spec(b)->columns[column];
    unsigned flags = TEXT_DOT | (glyphs == GLYPHS_ASCII ? TEXT_ASCII : 0);
    struct cell_value v;
    char unit[64];
    *buf = '\0';
    if (c->is_text) {
        int rc = block_cell(&v, b, row, column, e);
        if (!rc && v.text)
            text_escape(buf, n, v.text, strlen(v.text), flags);
        return rc;
    }
    int rc = unit_of(unit, sizeof unit, b, row, column, e);
    if (!rc)
        rc = block_cell(&v, b, row, column, e);
    if (rc || isnan(v.number))
        return rc;
    bool is_whole = (c->dtype != DT_F64 && c->dtype != DT_F32 && c->dtype != DT_F16) ||
                    (v.number == floor(v.number) &&
                        (strstr(unit, "position") || strstr(unit, "id") || !strcmp(unit, "rank")));
    struct number_form f = number_form(unit, is_whole, false);
    number_text(buf, n, &f, v.number, glyphs);
    return 0;
}

int records_print(FILE *out, const struct block *b, enum glyphs glyphs, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    int width[64] = {0}, n = s->n_columns < 64 ? s->n_columns : 64;
    char cell[512];
    for (int64_t r = 0; r < block_rows(b); r++)
        for (int k = 0; k < n; k++) {
            if (records_cell(cell, sizeof cell, b, r, k, glyphs, e))
                return e->code;
            int w = text_columns(cell);
            width[k] = w > width[k] ? w : width[k];
        }
    for (int64_t r = 0; r < block_rows(b); r++) {
        int gap = 0;
        for (int k = 0; k < n; k++) {
            if (!width[k])
                continue;
            if (records_cell(cell, sizeof cell, b, r, k, glyphs, e))
                return e->code;
            int room = width[k] < WIDEST ? width[k] : WIDEST, used = 0;
            size_t bytes = text_clip(&used, cell, strlen(cell), room);
            int pad = room - used;
            if (!s->columns[k].is_text) {
                fprintf(out, "%*s%.*s", gap + pad, "", (int)bytes, cell);
                gap = 2;
            } else {
                if (used)
                    fprintf(out, "%*s%.*s", gap, "", (int)bytes, cell);
                gap = used ? pad + 2 : gap + room + 2;
            }
        }
        fputc('\n', out);
    }
    return 0;
}
