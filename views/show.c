#include "views/show.h"

#include <stddef.h>

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

static bool same_shape(const struct block_spec *a, const struct block_spec *b)
{
    if (a->rank != b->rank || b->n_columns)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->axes[i].size != b->axes[i].size)
            return false;
    return true;
}

int block_data(struct view_data *out, const struct block *b, struct arena *a, struct err *e)
{
    const struct block_spec *spec = block_spec(b);
    int n = spec->n_columns > 0 ? spec->n_columns : 1;
    struct field *fields = arena_array(a, (size_t)n, sizeof *fields, e);
    bool has_text = false;
    if (!fields)
        return e->code;
    for (int i = 0; i < n; i++) {
        bool is_text = spec->n_columns > 0 && spec->columns[i].is_text;
        int rc = is_text ? text_column(&fields[i], b, i, a, e)
                         : block_field(&fields[i], b, spec->n_columns > 0 ? i : -1, e);
        if (rc)
            return rc;
        has_text = has_text || is_text;
    }
    /* Columns of numbers alone are courses; beside words they are read. */
    for (int i = 0; i < n && n > 1; i++)
        if (!spec->columns[i].is_text && (spec->look == LOOK_GRAPH || has_text))
            fields[i].look = spec->look;
    *out = (struct view_data){.fields = fields, .n = n, .is_static = true};
    const struct block *error = n == 1 ? block_error(b) : NULL;
    if (!error || !same_shape(spec, block_spec(error)))
        return 0;
    struct field *of_error = arena_array(a, 1, sizeof *of_error, e);
    if (!of_error)
        return e->code;
    out->error = of_error;
    return block_field(of_error, error, -1, e);
}
