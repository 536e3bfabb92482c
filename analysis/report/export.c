#include "analysis/report/export.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"
#include "model/core/npy.h"

/* Numbers on their way out, piece by piece: a block in its own type, or a field as double. */
struct export
{
    FILE *out;
    const struct block *b; /* NULL: a field */
    const struct field *f; /* NULL: a block */
    int n_fields;          /* > 0: a table of them, from row first[0] on */
    const char *path;
    struct block_spec s; /* of what is written */
    int64_t rows;        /* of a table */
    struct export_part part;
    int rank;                        /* of the source */
    int64_t first[FIELD_MAX_RANK];   /* index of each written axis' first cell */
    int source[FIELD_MAX_RANK];      /* axis of the source that it is */
    const char *cut[FIELD_MAX_RANK]; /* names of dropped axes */
    char *values;                    /* of one piece */
    size_t size;                     /* of a value */
};

static int written(const struct export *x, struct err *e)
{
    return ferror(x->out)
               ? err_set(e, ERR_OUTPUT, "%s cannot be written: the output is full or gone", x->path)
               : 0;
}

/* One piece of what is written, from where it lies in the source. */
static int read_piece(struct export *x, const struct piece *p, struct err *e)
{
    struct window w = x->part.w;
    for (int i = 0, k = 0; i < x->rank; i++) {
        w.stride[i] = 1;
        if (x->part.drop[i])
            continue;
        w.start[i] += p->start[k];
        w.count[i] = p->count[k++];
    }
    return x->b ? block_read(x->values, x->b, w.start, w.count, e)
                : x->f->fetch(x->f, (double *)x->values, &w, FIELD_POINT, e);
}

static void value_text(char *buf, size_t n, const struct export *x, const void *value)
{
    if (x->b)
        exact_value(buf, n, value, x->s.dtype);
    else
        exact_number(buf, n, *(const double *)value, x->s.dtype);
}

/* Calls each(x, index in row-major order, value) for every cell. */
static int each_value(
    struct export *x, void (*each)(struct export *x, int64_t i, const void *value), struct err *e)
{
    struct piece p = {0};
    while (piece_next(&p, &x->s)) {
        int rc = read_piece(x, &p, e);
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

/* Index i of a written axis, in the data set. */
static int64_t index_of(const struct export *x, int axis, int64_t i)
{
    const struct export_origin *o = x->part.origin;
    const int64_t *index = o ? o->index[x->source[axis]] : NULL;
    if (x->n_fields && index)
        return index[i];
    return index ? index[x->first[axis] + i] : x->first[axis] + i;
}

static bool is_plain(const struct export *x, int axis)
{
    return x->part.origin && x->part.origin->is_plain[x->source[axis]];
}

/* Whether the index stands beside a label that may come twice. */
static bool has_both(const struct export *x, int axis)
{
    const struct axis *a = &x->s.axes[axis];
    return has_tokens(a) ? !is_plain(x, axis) : x->part.origin && a->labels && !is_plain(x, axis);
}

/* A name, and behind that of the values or of a matrix' corner what each of them stands for. */
static void csv_name(const struct export *x, const char *name, bool with_cell)
{
    const char *cell = with_cell && x->part.origin ? x->part.origin->cell : NULL;
    char *both = NULL;
    if (cell && asprintf(&both, "%s (%s)", name, cell) < 0)
        both = NULL;
    csv_text(x->out, both ? both : name);
    free(both);
}

static void csv_heads(const struct export *x, int axes)
{
    for (int i = 0; i < axes; i++) {
        csv_name(x, x->s.axes[i].name, axes < x->s.rank);
        fputc(',', x->out);
        if (has_both(x, i))
            fprintf(
                x->out, "%s_%s,", x->s.axes[i].name, has_tokens(&x->s.axes[i]) ? "token" : "label");
    }
}

static const char *label_of(const struct export *x, int axis, int64_t i, char *buf, size_t n)
{
    const struct axis *a = &x->s.axes[axis];
    return axis_label(a, a->labels ? i : index_of(x, axis, i), buf, n);
}

static void csv_label(const struct export *x, int axis, int64_t i)
{
    char buf[32];
    if (has_both(x, axis))
        fprintf(x->out, "%" PRId64 ",", index_of(x, axis, i));
    csv_text(x->out, label_of(x, axis, i, buf, sizeof buf));
    fputc(',', x->out);
}

static void csv_number(struct export *x, const void *value)
{
    char text[40];
    value_text(text, sizeof text, x, value);
    fputs(text, x->out);
}

static void csv_cell(struct export *x, int64_t index, const void *value)
{
    int64_t at[FIELD_MAX_RANK];
    for (int i = x->s.rank - 1; i >= 0; i--) {
        at[i] = index % x->s.axes[i].size;
        index /= x->s.axes[i].size;
    }
    for (int i = 0; i < x->s.rank; i++)
        csv_label(x, i, at[i]);
    csv_number(x, value);
    fputc('\n', x->out);
}

static void csv_matrix_cell(struct export *x, int64_t index, const void *value)
{
    int64_t columns = x->s.axes[1].size, column = index % columns;
    if (!column)
        csv_label(x, 0, index / columns);
    csv_number(x, value);
    fputc(column + 1 == columns ? '\n' : ',', x->out);
}

static int csv_matrix(struct export *x, struct err *e)
{
    const struct axis *a = &x->s.axes[1];
    csv_heads(x, 1);
    for (int64_t i = 0; i < a->size; i++) {
        char buf[32], *both = NULL;
        const char *label = label_of(x, 1, i, buf, sizeof buf);
        /* The same token may stand at two positions: a name of a column has to be its own. */
        if (has_both(x, 1) && asprintf(&both, "%" PRId64 ":%s", index_of(x, 1, i), label) > 0)
            label = both;
        csv_text(x->out, label);
        free(both);
        fputc(i + 1 == a->size ? '\n' : ',', x->out);
    }
    return each_value(x, csv_matrix_cell, e);
}

/* A cell of a table; texts are valid until the next. */
static int table_cell(struct cell_value *v, struct export *x, int64_t row, int c, struct err *e)
{
    static _Thread_local char text[1024];
    if (!x->n_fields)
        return block_cell(v, x->b, row, c, e);
    const struct field *f = &x->f[c];
    const struct window w = {.start = {x->first[0] + row}, .count = {1}, .stride = {1}};
    *v = (struct cell_value){.number = NAN};
    if (x->s.columns[c].is_text)
        v->text = axis_label(&f->axes[0], w.start[0], text, sizeof text);
    return x->s.columns[c].is_text ? 0 : f->fetch(f, &v->number, &w, FIELD_POINT, e);
}

static int csv_table(struct export *x, struct err *e)
{
    int64_t rows = x->rows;
    int n = x->s.n_columns;
    if (x->n_fields) {
        csv_text(x->out, x->s.axes[0].name);
        fputc(',', x->out);
    }
    for (int c = 0; c < n; c++) {
        csv_text(x->out, x->s.columns[c].name);
        fputc(c + 1 == n ? '\n' : ',', x->out);
    }
    for (int64_t r = 0; r < rows; r++) {
        if (x->n_fields)
            fprintf(x->out, "%" PRId64 ",", index_of(x, 0, r));
        for (int c = 0; c < n; c++) {
            struct cell_value v;
            char text[40];
            int rc = table_cell(&v, x, r, c, e);
            if (rc)
                return rc;
            exact_number(text, sizeof text, v.number, x->s.columns[c].dtype);
            csv_text(x->out, x->s.columns[c].is_text ? v.text : text);
            fputc(c + 1 == n ? '\n' : ',', x->out);
        }
    }
    return written(x, e);
}

static int export_csv(struct export *x, struct err *e)
{
    if (x->s.n_columns)
        return csv_table(x, e);
    if (x->s.rank == 2 && x->s.axes[1].size)
        return csv_matrix(x, e);
    csv_heads(x, x->s.rank);
    csv_name(x, x->s.name, true);
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
    for (int i = x->s.rank - 1; i >= 0; i--) {
        inner *= x->s.axes[i].size;
        if (index % inner == 0)
            fputc('[', x->out);
    }
    value_text(text, sizeof text, x, value);
    json_number(x->out, text);
    for (int i = x->s.rank - 1; i >= 0; i--) {
        total *= x->s.axes[i].size;
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

static void json_index(const struct export *x, int axis)
{
    int64_t n = x->s.axes[axis].size;
    fputs(", \"index\": [", x->out);
    for (int64_t k = 0; k < n; k++)
        fprintf(x->out, "%s%" PRId64, k ? ", " : "", index_of(x, axis, k));
    fputc(']', x->out);
}

static void json_axes(const struct export *x)
{
    FILE *f = x->out;
    fputs("  \"axes\": [", f);
    for (int i = 0; i < x->s.rank; i++) {
        const struct axis *a = &x->s.axes[i];
        int64_t size = x->s.n_columns ? x->rows : a->size;
        fprintf(f, "%s{\"name\": ", i ? ", " : "");
        json_text(f, a->name);
        fprintf(f, ", \"kind\": \"%s\", \"size\": %" PRId64, axis_kind_name(a->kind), size);
        if (x->part.origin || x->n_fields)
            json_index(x, i);
        else if (x->first[i])
            fprintf(f, ", \"first\": %" PRId64, x->first[i]);
        bool has_labels = a->labels && a->size && !is_plain(x, i);
        for (int64_t k = 0; has_labels && k < a->size; k++) {
            fputs(k ? ", " : ", \"labels\": [", f);
            json_text(f, a->labels[k]);
        }
        fputs(has_labels ? "]}" : "}", f);
    }
    fputs("],\n", f);
}

/* Where a window lies in its data set, and by what its axes are sorted. */
static void json_origin(FILE *f, const struct export_origin *o)
{
    int n = 0;
    if (o->cell)
        json_pair(f, "cell", o->cell);
    for (int i = 0; i < o->n_slice; i++) {
        fputs(i ? ", " : "  \"slice\": {", f);
        json_text(f, o->slice[i].axis);
        fputs(": ", f);
        json_text(f, o->slice[i].value);
    }
    fputs(o->n_slice ? "},\n" : "", f);
    for (int i = 0; i < FIELD_MAX_RANK; i++) {
        if (!o->order[i])
            continue;
        fputs(n++ ? ", " : "  \"order\": {", f);
        fprintf(f, "\"%s\": ", i ? "columns" : "rows");
        json_text(f, o->order[i]);
    }
    fputs(n ? "},\n" : "", f);
}

/* "slice": where the block was cut along the axes that are gone. */
static void json_cut(const struct export *x)
{
    int n = 0;
    if (x->part.origin) {
        json_origin(x->out, x->part.origin);
        return;
    }
    for (int i = 0; i < x->rank; i++) {
        if (!x->part.drop[i])
            continue;
        fputs(n++ ? ", " : "  \"slice\": {", x->out);
        json_text(x->out, x->cut[i]);
        fprintf(x->out, ": %" PRId64, x->part.w.start[i]);
    }
    if (n)
        fputs("},\n", x->out);
}

static int json_table(struct export *x, struct err *e)
{
    int64_t rows = x->rows;
    fputs("  \"rows\": [", x->out);
    for (int64_t r = 0; r < rows; r++) {
        fputs(r ? ",\n    {" : "\n    {", x->out);
        for (int c = 0; c < x->s.n_columns; c++) {
            const struct column *col = &x->s.columns[c];
            struct cell_value v;
            char text[40];
            int rc = table_cell(&v, x, r, c, e);
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
    json_pair(x->out, "path", x->path);
    json_pair(x->out, "name", x->s.name);
    json_pair(x->out, "unit", x->s.unit);
    json_pair(x->out, "long_name", x->s.long_name);
    json_pair(x->out, "source", x->s.source);
    if (!x->s.n_columns)
        json_pair(x->out, "dtype", dtype_name(x->s.dtype));
    json_axes(x);
    json_cut(x);
    if (x->s.n_columns)
        return json_table(x, e);
    for (int i = 0; i < x->s.rank; i++)
        dim[i] = x->s.axes[i].size;
    fputs("  \"values\": ", x->out);
    if (!dims_count(dim, x->s.rank))
        fputs("[]", x->out);
    int rc = each_value(x, json_cell, e);
    fputs("\n}\n", x->out);
    return rc ? rc : written(x, e);
}

/* ---- npy ---- */

/* What a field's double becomes in the file. */
static enum dtype field_type(enum dtype t)
{
    if (t == DT_F32 || t == DT_F16)
        return t;
    return t >= DT_I8 ? DT_I64 : DT_F64;
}

/* Narrows the doubles of a piece in place: no type is wider. */
static void narrow(char *values, enum dtype t, int64_t n)
{
    const double *v = (const double *)(void *)values;
    for (int64_t i = 0; i < n; i++) {
        double x = v[i];
        float f = (float)x;
        if (t == DT_F32)
            memcpy(values + 4 * i, &f, sizeof f);
        else if (t == DT_F16)
            tensor_narrow(values + 2 * i, &f, t, 1);
        else if (t == DT_I64)
            memcpy(values + 8 * i, &(int64_t){(int64_t)x}, 8);
    }
}

static int export_npy(struct export *x, struct err *e)
{
    int64_t dim[FIELD_MAX_RANK];
    struct piece p = {0};
    enum dtype type = x->b ? x->s.dtype : field_type(x->s.dtype);
    for (int i = 0; i < x->s.rank; i++)
        dim[i] = x->s.axes[i].size;
    if (x->s.n_columns)
        return err_set(e, ERR_USAGE, "%s is a table: export it as csv or json", x->path);
    int rc = npy_write_header(x->out, type, dim, x->s.rank, e);
    while (!rc && piece_next(&p, &x->s)) {
        rc = read_piece(x, &p, e);
        if (!rc && x->f)
            narrow(x->values, type, p.n);
        if (!rc)
            fwrite(x->values, dtype_bytes(type), (size_t)p.n, x->out);
        if (!rc)
            rc = written(x, e);
    }
    return rc;
}

/* ---- what is written ---- */

struct export_part export_whole(const struct field *f)
{
    return (struct export_part){.w = field_all(f)};
}

/* Cuts the axes to the part; x->s.axes has the source's on entry. */
static int cut(struct export *x, const struct export_part *part, struct err *e)
{
    int n = 0;
    x->rank = x->s.rank;
    x->part = *part;
    for (int i = 0; i < x->rank; i++) {
        struct axis a = x->s.axes[i];
        int64_t start = part->w.start[i], count = part->w.count[i];
        if (start < 0 || count < 0 || start > a.size || count > a.size - start ||
            (part->drop[i] && count != 1))
            return err_set(e, ERR_USAGE, "%s: a slice outside axis \"%s\" of %" PRId64, x->path,
                a.name, a.size);
        if (part->drop[i]) {
            x->cut[i] = a.name;
            continue;
        }
        a.size = count;
        a.labels = a.labels ? a.labels + start : NULL;
        x->first[n] = start;
        x->source[n] = i;
        x->s.axes[n++] = a;
    }
    x->s.rank = n;
    return 0;
}

static int export_all(struct export *x, enum export_form form, struct err *e)
{
    static int (*const forms[])(struct export * x, struct err * e) = {
        [EXPORT_CSV] = export_csv, [EXPORT_JSON] = export_json, [EXPORT_NPY] = export_npy};
    x->values = malloc((size_t)PIECE * x->size);
    if (!x->values)
        return err_set(e, ERR_LIMIT, "out of memory (%s)", x->path);
    int rc = forms[form](x, e);
    if (!rc && fflush(x->out))
        rc = written(x, e);
    free(x->values);
    return rc;
}

int export_block(FILE *out, const struct block *b, const struct export_part *part,
    enum export_form form, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    struct export x = {.out = out, .b = b, .path = b->path, .s = *s, .rank = s->rank};
    x.size = dtype_bytes(s->dtype);
    if (s->n_columns) {
        x.rows = block_rows(b);
        x.rank = 0;
        return part ? err_set(e, ERR_USAGE, "%s is a table: it is exported whole", b->path)
                    : export_all(&x, form, e);
    }
    struct export_part whole = {0};
    for (int i = 0; i < s->rank; i++)
        whole.w.count[i] = s->axes[i].size;
    int rc = cut(&x, part ? part : &whole, e);
    return rc ? rc : export_all(&x, form, e);
}

int export_field(FILE *out, const struct field *f, const struct export_part *part,
    enum export_form form, struct err *e)
{
    struct export x = {.out = out, .f = f, .path = f->name ? f->name : "values", .size = 8};
    x.s = (struct block_spec){.name = x.path,
        .input = -1,
        .dtype = f->dtype,
        .rank = f->rank,
        .unit = f->unit ? f->unit : "",
        .long_name = f->long_name ? f->long_name : "",
        .source = f->source};
    memcpy(x.s.axes, f->axes, sizeof x.s.axes);
    if (!f->fetch)
        return err_set(e, ERR_USAGE, "%s has no numbers; export it as text or a drawing", x.path);
    struct export_part whole = export_whole(f);
    int rc = cut(&x, part ? part : &whole, e);
    return rc ? rc : export_all(&x, form, e);
}

int export_fields(FILE *out, const char *path, const struct field *fields, int n, int64_t first,
    int64_t rows, const struct export_origin *origin, enum export_form form, struct err *e)
{
    struct column *columns = calloc((size_t)n, sizeof *columns);
    struct export x = {
        .out = out, .path = path, .f = fields, .n_fields = n, .rows = rows, .size = 8};
    x.s = (struct block_spec){.name = path,
        .input = -1,
        .rank = 1,
        .unit = "",
        .long_name = fields[0].long_name,
        .source = fields[0].source,
        .n_columns = n,
        .columns = columns};
    if (!columns)
        return err_set(e, ERR_LIMIT, "out of memory (%s)", path);
    x.s.axes[0] = fields[0].axes[0];
    x.s.axes[0].size = rows;
    x.s.axes[0].labels = NULL;
    x.first[0] = first;
    x.part.origin = origin;
    for (int c = 0; c < n; c++)
        columns[c] = (struct column){fields[c].name, fields[c].unit, fields[c].dtype,
            fields[c].look == LOOK_TEXT && axis_has_labels(&fields[c].axes[0])};
    int rc = export_all(&x, form, e);
    free(columns);
    return rc;
}
