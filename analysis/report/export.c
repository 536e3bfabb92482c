#include "analysis/report/export.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"
#include "model/core/npy.h"

/* A block on its way out, piece by piece. */
struct export
{
    FILE *out;
    const struct block *b;
    const struct block_spec *s;
    char *values; /* of one piece */
    size_t size;  /* of a value */
};

static int written(const struct export *x, struct err *e)
{
    return ferror(x->out) ? err_set(e, ERR_OUTPUT,
                                "%s cannot be written: the output is full or gone", x->b->path)
                          : 0;
}

/* Calls each(x, index in row-major order, value) for every cell. */
static int each_value(
    struct export *x, void (*each)(struct export *x, int64_t i, const void *value), struct err *e)
{
    struct piece p = {0};
    while (piece_next(&p, x->s)) {
        int rc = block_read(x->values, x->b, p.start, p.count, e);
        if (!rc)
            rc = written(x, e);
        if (rc)
            return rc;
        for (int64_t i = 0; i < p.n; i++)
            each(x, p.first + i, x->values + (size_t)i * x->size);
    }
    return written(x, e);
}

/* ---- csv ---- */

static void csv_text(FILE *f, const char *s)
{
    bool plain = *s && !strpbrk(s, ",\"\r\n") && s[0] != ' ' && s[strlen(s) - 1] != ' ';
    if (plain) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

static bool has_tokens(const struct axis *a)
{
    return a->labels && a->kind == AXIS_POS;
}

static void csv_heads(const struct export *x, int axes)
{
    for (int i = 0; i < axes; i++) {
        csv_text(x->out, x->s->axes[i].name);
        fputc(',', x->out);
        if (has_tokens(&x->s->axes[i]))
            fprintf(x->out, "%s_token,", x->s->axes[i].name);
    }
}

static void csv_label(FILE *f, const struct axis *a, int64_t i)
{
    char buf[32];
    if (has_tokens(a))
        fprintf(f, "%" PRId64 ",", i);
    csv_text(f, axis_label(a, i, buf, sizeof buf));
    fputc(',', f);
}

static void csv_number(struct export *x, const void *value)
{
    char text[40];
    exact_value(text, sizeof text, value, x->s->dtype);
    fputs(text, x->out);
}

static void csv_cell(struct export *x, int64_t index, const void *value)
{
    int64_t at[FIELD_MAX_RANK];
    for (int i = x->s->rank - 1; i >= 0; i--) {
        at[i] = index % x->s->axes[i].size;
        index /= x->s->axes[i].size;
    }
    for (int i = 0; i < x->s->rank; i++)
        csv_label(x->out, &x->s->axes[i], at[i]);
    csv_number(x, value);
    fputc('\n', x->out);
}

static void csv_matrix_cell(struct export *x, int64_t index, const void *value)
{
    int64_t columns = x->s->axes[1].size, column = index % columns;
    if (!column)
        csv_label(x->out, &x->s->axes[0], index / columns);
    csv_number(x, value);
    fputc(column + 1 == columns ? '\n' : ',', x->out);
}

static int csv_matrix(struct export *x, struct err *e)
{
    const struct axis *a = &x->s->axes[1];
    csv_heads(x, 1);
    for (int64_t i = 0; i < a->size; i++) {
        char buf[32], *both = NULL;
        const char *label = axis_label(a, i, buf, sizeof buf);
        /* The same token may stand at two positions: a name of a column has to be its own. */
        if (has_tokens(a) && asprintf(&both, "%" PRId64 ":%s", i, label) > 0)
            label = both;
        csv_text(x->out, label);
        free(both);
        fputc(i + 1 == a->size ? '\n' : ',', x->out);
    }
    return each_value(x, csv_matrix_cell, e);
}

static int csv_table(struct export *x, struct err *e)
{
    int64_t rows = block_rows(x->b);
    int n = x->s->n_columns;
    for (int c = 0; c < n; c++) {
        csv_text(x->out, x->s->columns[c].name);
        fputc(c + 1 == n ? '\n' : ',', x->out);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < n; c++) {
            struct cell_value v;
            char text[40];
            int rc = block_cell(&v, x->b, r, c, e);
            if (rc)
                return rc;
            exact_number(text, sizeof text, v.number, x->s->columns[c].dtype);
            csv_text(x->out, x->s->columns[c].is_text ? v.text : text);
            fputc(c + 1 == n ? '\n' : ',', x->out);
        }
    return written(x, e);
}

static int export_csv(struct export *x, struct err *e)
{
    if (x->s->n_columns)
        return csv_table(x, e);
    if (x->s->rank == 2 && x->s->axes[1].size)
        return csv_matrix(x, e);
    csv_heads(x, x->s->rank);
    csv_text(x->out, x->s->name);
    fputc('\n', x->out);
    return each_value(x, csv_cell, e);
}

/* ---- json ---- */

static void json_text(FILE *f, const char *s)
{
    if (!s) {
        fputs("null", f);
        return;
    }
    fputc('"', f);
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            fprintf(f, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            fprintf(f, "\\u%04x", (unsigned char)*s);
        else
            fputc(*s, f);
    fputc('"', f);
}

static void json_number(FILE *f, const char *text)
{
    if (!strcmp(text, "nan"))
        fputs("null", f);
    else if (!strcmp(text, "inf"))
        fputs("1e999", f);
    else if (!strcmp(text, "-inf"))
        fputs("-1e999", f);
    else
        fputs(text, f);
}

static void json_cell(struct export *x, int64_t index, const void *value)
{
    char text[40];
    int64_t inner = 1, total = 1;
    if (index)
        fputs(", ", x->out);
    for (int i = x->s->rank - 1; i >= 0; i--) {
        inner *= x->s->axes[i].size;
        if (index % inner == 0)
            fputc('[', x->out);
    }
    exact_value(text, sizeof text, value, x->s->dtype);
    json_number(x->out, text);
    for (int i = x->s->rank - 1; i >= 0; i--) {
        total *= x->s->axes[i].size;
        if ((index + 1) % total == 0)
            fputc(']', x->out);
    }
}

static void json_pair(FILE *f, const char *name, const char *value)
{
    fprintf(f, "  \"%s\": ", name);
    json_text(f, value);
    fputs(",\n", f);
}

static void json_axes(const struct export *x)
{
    FILE *f = x->out;
    fputs("  \"axes\": [", f);
    for (int i = 0; i < x->s->rank; i++) {
        const struct axis *a = &x->s->axes[i];
        int64_t size = x->s->n_columns ? block_rows(x->b) : a->size;
        fprintf(f, "%s{\"name\": ", i ? ", " : "");
        json_text(f, a->name);
        fprintf(f, ", \"kind\": \"%s\", \"size\": %" PRId64, axis_kind_name(a->kind), size);
        for (int64_t k = 0; a->labels && k < a->size; k++) {
            fputs(k ? ", " : ", \"labels\": [", f);
            json_text(f, a->labels[k]);
        }
        fputs(a->labels && a->size ? "]}" : "}", f);
    }
    fputs("],\n", f);
}

static int json_table(struct export *x, struct err *e)
{
    int64_t rows = block_rows(x->b);
    fputs("  \"rows\": [", x->out);
    for (int64_t r = 0; r < rows; r++) {
        fputs(r ? ",\n    {" : "\n    {", x->out);
        for (int c = 0; c < x->s->n_columns; c++) {
            const struct column *col = &x->s->columns[c];
            struct cell_value v;
            char text[40];
            int rc = block_cell(&v, x->b, r, c, e);
            if (rc)
                return rc;
            fputs(c ? ", " : "", x->out);
            json_text(x->out, col->name);
            fputs(": ", x->out);
            exact_number(text, sizeof text, v.number, col->dtype);
            if (col->is_text)
                json_text(x->out, v.text);
            else
                json_number(x->out, text);
        }
        fputc('}', x->out);
    }
    fputs("]\n}\n", x->out);
    return written(x, e);
}

static int export_json(struct export *x, struct err *e)
{
    int64_t dim[FIELD_MAX_RANK];
    fputs("{\n", x->out);
    json_pair(x->out, "path", x->b->path);
    json_pair(x->out, "name", x->s->name);
    json_pair(x->out, "unit", x->s->unit);
    json_pair(x->out, "long_name", x->s->long_name);
    json_pair(x->out, "source", x->s->source);
    if (!x->s->n_columns)
        json_pair(x->out, "dtype", dtype_name(x->s->dtype));
    json_axes(x);
    if (x->s->n_columns)
        return json_table(x, e);
    for (int i = 0; i < x->s->rank; i++)
        dim[i] = x->s->axes[i].size;
    fputs("  \"values\": ", x->out);
    if (!dims_count(dim, x->s->rank))
        fputs("[]", x->out);
    int rc = each_value(x, json_cell, e);
    fputs("\n}\n", x->out);
    return rc ? rc : written(x, e);
}

/* ---- npy ---- */

static int export_npy(struct export *x, struct err *e)
{
    int64_t dim[FIELD_MAX_RANK];
    struct piece p = {0};
    for (int i = 0; i < x->s->rank; i++)
        dim[i] = x->s->axes[i].size;
    if (x->s->n_columns)
        return err_set(e, ERR_USAGE, "%s is a table: export it as csv or json", x->b->path);
    int rc = npy_write_header(x->out, x->s->dtype, dim, x->s->rank, e);
    while (!rc && piece_next(&p, x->s)) {
        rc = block_read(x->values, x->b, p.start, p.count, e);
        if (!rc)
            fwrite(x->values, x->size, (size_t)p.n, x->out);
        if (!rc)
            rc = written(x, e);
    }
    return rc;
}

int export_block(FILE *out, const struct block *b, enum export_form form, struct err *e)
{
    static int (*const forms[])(struct export * x, struct err * e) = {
        [EXPORT_CSV] = export_csv, [EXPORT_JSON] = export_json, [EXPORT_NPY] = export_npy};
    struct export x = {.out = out, .b = b, .s = block_spec(b)};
    x.size = dtype_bytes(x.s->dtype);
    x.values = malloc((size_t)PIECE * x.size);
    if (!x.values)
        return err_set(e, ERR_LIMIT, "out of memory (%s)", b->path);
    int rc = forms[form](&x, e);
    if (!rc && fflush(out))
        rc = written(&x, e);
    free(x.values);
    return rc;
}
