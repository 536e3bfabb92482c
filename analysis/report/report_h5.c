#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/axes.h"
#include "model/core/outfile.h"

#define SCHEMA "sonde-report"
#define SCHEMA_VERSION 1
#define MAX_OPEN 16    /* datasets kept open, each with its chunk cache */
#define ROWS 256       /* of a table, written at once */
#define FLUSH_WRITES 8 /* counted and not timed: equal runs give equal bytes */
#define FLUSH_BYTES ((int64_t)4 << 20)
#define FLUSH_INPUTS 32
#define REOPEN 128 /* inputs and blocks */

struct file_run {
    struct place own, input; /* the run's group, and that of the input or length made last */
};

struct file_block {
    int64_t data; /* open, or negative */
    int64_t row_type;
    size_t row_bytes;
    char *rows; /* ROWS rows not yet written */
    int64_t n_rows;
    struct arena texts; /* of those rows */
    struct arena read;  /* cells [first, first + count) as they were read */
    union h5_cell *cells;
    int64_t first, count;
};

struct report_file {
    struct outfile out;
    int64_t file, runs;
    int64_t text, tokens, offsets, token_str;
    int64_t n_tokens;
    struct kept_input {
        int64_t first; /* in tokens */
        bool labelled;
    } * kept;
    int cap_kept, n_flushed;      /* inputs that are in the file for certain */
    struct block *open[MAX_OPEN]; /* the one used last first */
    int n_open;
    int writes;
    int64_t bytes; /* with `writes`: since the last flush */
    int made;      /* inputs and blocks since the file was opened */
};

/* ---- tables: rows as one compound value ---- */

static size_t column_bytes(const struct column *c)
{
    return c->is_text ? sizeof(char *) : dtype_bytes(c->dtype);
}

static int64_t table_type(const struct block_spec *s, size_t *bytes)
{
    size_t at = 0;
    for (int i = 0; i < s->n_columns; i++)
        at += column_bytes(&s->columns[i]);
    hid_t type = H5Tcreate(H5T_COMPOUND, at);
    *bytes = at;
    at = 0;
    for (int i = 0; i < s->n_columns; i++) {
        const struct column *c = &s->columns[i];
        H5_AUTO hid_t one = c->is_text ? h5_text_type() : h5_type(c->dtype);
        H5Tinsert(type, c->name, at, one);
        at += column_bytes(c);
    }
    return type;
}

#define STORE(DT, TYPE)                                                                            \
    case DT: {                                                                                     \
        TYPE x = (TYPE)v;                                                                          \
        memcpy(to, &x, sizeof x);                                                                  \
        break;                                                                                     \
    }

static void store_number(void *to, enum dtype t, double v)
{
    float f = (float)v;
    switch (t) {
        STORE(DT_F64, double)
        STORE(DT_I8, int8_t)
        STORE(DT_I16, int16_t)
        STORE(DT_I32, int32_t)
        STORE(DT_I64, int64_t)
        STORE(DT_U16, uint16_t)
        STORE(DT_U32, uint32_t)
        STORE(DT_U64, uint64_t)
    case DT_F32:
        memcpy(to, &f, sizeof f);
        break;
    case DT_F16:
        tensor_narrow(to, &f, t, 1);
        break;
    case DT_BOOL:
        *(uint8_t *)to = v != 0;
        break;
    default:
        *(uint8_t *)to = (uint8_t)v;
        break;
    }
}

static void forget_cells(struct file_block *f)
{
    arena_release(&f->read);
    f->cells = NULL;
    f->first = f->count = 0;
}

static int write_rows(struct block *b, struct err *e)
{
    struct file_block *f = b->file;
    int rc = f->n_rows ? h5_append(f->data, f->row_type, f->n_rows, f->rows, e) : 0;
    if (rc)
        return err_prefix(e, "%s", b->path), rc;
    f->n_rows = 0;
    arena_release(&f->texts);
    forget_cells(f);
    return 0;
}

/* ---- few datasets stay open, however many there are ---- */

static int close_block(struct block *b, struct err *e)
{
    struct file_block *f = b->file;
    int rc = f->rows ? write_rows(b, e) : 0;
    if (f->data >= 0 && H5Dclose(f->data) < 0 && !rc)
        rc = h5_fail(e, ERR_OUTPUT, "cannot write %s", b->path);
    f->data = H5I_INVALID_HID;
    h5_release(&f->row_type);
    arena_release(&f->texts);
    forget_cells(f);
    free(f->rows);
    f->rows = NULL;
    f->n_rows = 0;
    return rc;
}

static int close_all(struct report_file *f, struct err *e)
{
    int rc = 0;
    while (f->n_open > 0) {
        int one = close_block(f->open[--f->n_open], rc ? NULL : e);
        rc = rc ? rc : one;
    }
    return rc;
}

/* Those of a run's finished inputs. */
static int close_inputs(struct run *run, struct err *e)
{
    struct report_file *f = run->report->file;
    int rc = 0, kept = 0;
    for (int i = 0; i < f->n_open; i++) {
        struct block *b = f->open[i];
        if (b->run != run || b->spec.input < 0)
            f->open[kept++] = b;
        else if (close_block(b, rc ? NULL : e) && !rc)
            rc = ERR_OUTPUT;
    }
    f->n_open = kept;
    return rc;
}

/* Makes the dataset of a block the one used last, opening it if need be. */
static int use(struct block *b, struct err *e)
{
    struct report *r = b->run->report;
    struct report_file *f = r->file;
    int at = 0, rc = 0;
    while (at < f->n_open && f->open[at] != b)
        at++;
    if (at == f->n_open) {
        if (f->n_open == MAX_OPEN)
            rc = close_block(f->open[--f->n_open], e);
        at = f->n_open++;
    }
    memmove(&f->open[1], &f->open[0], (size_t)at * sizeof *f->open);
    f->open[0] = b;
    if (b->file->data < 0)
        b->file->data = r->readonly || !(b->spec.by_slice || b->spec.n_columns)
                            ? h5_open_data(r->file->file, b->path)
                            : h5_open_slices(r->file->file, b->path);
    if (b->file->data < 0 && !rc)
        rc = h5_fail(e, ERR_INPUT, "%s: %s cannot be opened", r->path, b->path);
    return rc;
}

/* ---- writing: the document ---- */

int file_flush(struct report *r, struct err *e)
{
    H5_SCOPE;
    struct report_file *f = r->file;
    int rc = 0;
    for (int i = 0; i < f->n_open && !rc; i++)
        if (f->open[i]->file->rows)
            rc = write_rows(f->open[i], e);
    if (!rc && H5Fflush(f->file, H5F_SCOPE_LOCAL) < 0)
        rc = h5_fail(e, ERR_OUTPUT, "cannot write %s", r->path);
    if (!rc)
        rc = h5_forget_metadata(f->file, e);
    f->writes = 0;
    f->bytes = 0;
    f->n_flushed = rc ? f->n_flushed : r->n_inputs;
    return rc;
}

static void close_lists(struct report_file *f)
{
    int64_t *const ids[] = {&f->text, &f->tokens, &f->offsets, &f->token_str, &f->runs};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        h5_release(ids[i]);
}

static int open_lists(struct report *r, struct err *e)
{
    struct report_file *f = r->file;
    f->text = h5_open_slices(f->file, "inputs/text");
    f->tokens = h5_open_slices(f->file, "inputs/tokens");
    f->offsets = h5_open_slices(f->file, "inputs/offsets");
    f->token_str = h5_open_slices(f->file, "inputs/token_str");
    f->runs = h5_open_group(f->file, "runs");
    if (f->text < 0 || f->tokens < 0 || f->offsets < 0 || f->token_str < 0 || f->runs < 0)
        return h5_fail(e, ERR_OUTPUT, "cannot write %s", r->path);
    return 0;
}

/* Flushes, and now and then closes the file and opens it again: see h5_reopen. Between two inputs,
 * where nobody holds a handle and the groups of inputs are finished. */
static int flush_or_reopen(struct report *r, struct err *e)
{
    struct report_file *f = r->file;
    int rc = 0;
    if (f->made < REOPEN)
        return file_flush(r, e);
    for (int i = 0; i < r->n_runs && !rc; i++) {
        struct file_run *run = r->runs[i]->file;
        if (!run)
            continue;
        rc = place_seal(&run->input, f->file, e);
        place_free(&run->input);
        place_rest(&run->own);
    }
    int closed = close_all(f, rc ? NULL : e);
    rc = rc ? rc : closed;
    if (!rc)
        rc = file_flush(r, e);
    if (rc)
        return rc;
    close_lists(f);
    f->made = 0;
    rc = h5_reopen(&f->file, f->out.part, e);
    return rc ? rc : open_lists(r, e);
}

static int growing(int64_t *out, int64_t where, const char *name, int64_t type, int64_t chunk,
    const char *axis, const char *long_name, struct err *e)
{
    int64_t none = 0;
    struct h5_shape shape = {.rank = 1, .dim = &none, .grow = chunk};
    int rc = h5_dataset(out, where, name, type, &shape, e);
    if (!rc)
        rc = h5_put_text(*out, "long_name", long_name, e);
    if (!rc)
        rc = h5_put_text(*out, "unit", "", e);
    return rc ? rc : h5_put_axes(*out, 1, &axis, NULL, e);
}

static int create_inputs(struct report_file *f, struct err *e)
{
    H5_AUTO hid_t group = H5I_INVALID_HID;
    H5_AUTO hid_t text = h5_text_type();
    int64_t zero = 0;
    int rc = h5_group(&group, f->file, "inputs", e);
    if (!rc)
        rc = growing(&f->text, group, "text", text, 64, "input", "input text", e);
    if (!rc)
        rc = growing(&f->tokens, group, "tokens", H5T_STD_I32LE, 1024, "token", "token ids", e);
    if (!rc)
        rc = growing(&f->offsets, group, "offsets", H5T_STD_I64LE, 128, "edge",
            "where each input begins in tokens, and the end", e);
    if (!rc)
        rc = growing(&f->token_str, group, "token_str", text, 256, "token", "tokens as text", e);
    return rc ? rc : h5_append(f->offsets, H5T_STD_I64LE, 1, &zero, e);
}

int file_describe(struct report *r, struct err *e)
{
    H5_SCOPE;
    int64_t root = r->file->file, threads = r->info.threads;
    int rc = h5_put_text(root, "tool_version", r->info.tool_version, e);
    if (!rc)
        rc = h5_put_text(root, "command", r->info.command, e);
    if (!rc)
        rc = h5_put_ints(root, "threads", &threads, 0, e);
    return rc ? rc : h5_put_text(root, "kernel_set", r->info.kernel_set, e);
}

int file_new(struct report *r, struct err *e)
{
    r->file = calloc(1, sizeof *r->file);
    if (!r->file)
        return err_set(e, ERR_LIMIT, "out of memory (a report)");
    struct report_file *f = r->file;
    f->file = f->runs = f->text = f->tokens = f->offsets = f->token_str = H5I_INVALID_HID;
    return 0;
}

int file_create(struct report *r, struct err *e)
{
    H5_SCOPE;
    int64_t version = SCHEMA_VERSION;
    int rc = file_new(r, e);
    if (rc)
        return rc;
    struct report_file *f = r->file;
    rc = outfile_open(&f->out, r->path, e);
    if (!rc && !f->out.part)
        rc = err_set(e, ERR_OUTPUT, "cannot write %s: a report needs a regular file", r->path);
    if (!rc)
        rc = h5_create(&f->file, f->out.part, false, e);
    if (!rc)
        rc = h5_put_text(f->file, "schema", SCHEMA, e);
    if (!rc)
        rc = h5_put_ints(f->file, "schema_version", &version, 0, e);
    if (!rc)
        rc = file_describe(r, e);
    if (!rc)
        rc = create_inputs(f, e);
    if (!rc)
        rc = h5_group(&f->runs, f->file, "runs", e);
    if (!rc)
        rc = file_flush(r, e);
    if (rc) {
        bool made = f->file < 0;
        if (made)
            outfile_discard(&f->out);
        file_abandon(r);
    }
    return rc;
}

/* The texts of an input, in valid UTF-8. */
static int input_texts(const char **text, const char ***strs, const struct report_input *in,
    struct arena *a, struct err *e)
{
    *text = report_text(a, in->text, e);
    *strs = arena_array(a, (size_t)in->n, sizeof **strs, e);
    if (!*text || !*strs)
        return ERR_LIMIT;
    for (int64_t i = 0; i < in->n; i++)
        if (!((*strs)[i] = report_text(a, in->token_str ? in->token_str[i] : "", e)))
            return ERR_LIMIT;
    return 0;
}

int file_add_input(struct report *r, const struct report_input *in, struct err *e)
{
    H5_SCOPE;
    struct report_file *f = r->file;
    struct arena tmp = {0};
    H5_AUTO hid_t type = h5_text_type();
    const char *text, **strs;
    int64_t end = f->n_tokens + in->n;
    int rc = report_grow(&r->inputs, r->n_inputs, &r->cap_inputs, sizeof *r->inputs, e);
    if (!rc)
        rc = report_grow(&f->kept, r->n_inputs, &f->cap_kept, sizeof *f->kept, e);
    if (!rc)
        rc = input_texts(&text, &strs, in, &tmp, e);
    if (!rc)
        rc = h5_append(f->text, type, 1, &text, e);
    if (!rc)
        rc = h5_append(f->tokens, H5T_STD_I32LE, in->n, in->tokens, e);
    if (!rc)
        rc = h5_append(f->token_str, type, in->n, strs, e);
    if (!rc)
        rc = h5_append(f->offsets, H5T_STD_I64LE, 1, &end, e);
    arena_release(&tmp);
    if (rc)
        return rc;
    f->kept[r->n_inputs] = (struct kept_input){f->n_tokens, in->token_str != NULL};
    f->n_tokens = end;
    r->inputs[r->n_inputs++] = (struct report_input){.n = in->n};
    /* Texts lie in heaps, which are metadata: a thousand inputs are megabytes of them. */
    f->made++;
    return r->n_inputs % FLUSH_INPUTS == 0 ? flush_or_reopen(r, e) : 0;
}

/* The tokens of an input as they are in the file. */
static int read_labels(
    const char **strs, const struct report *r, int index, struct arena *a, struct err *e)
{
    const int64_t n = r->inputs[index].n;
    return h5_texts(
        strs, r->file->token_str, r->file->kept[index].first, n, ((size_t)n << 16) + 1, a, e);
}

/* Strings are read from the file itself. */
static int flush_inputs(struct report *r, struct err *e)
{
    return r->file->n_flushed < r->n_inputs ? file_flush(r, e) : 0;
}

static int load_labels(struct report *r, int index, struct err *e)
{
    struct report_input *in = &r->inputs[index];
    struct arena tmp = {0};
    const char **strs = arena_array(&tmp, (size_t)in->n, sizeof *strs, e);
    int rc = strs ? read_labels(strs, r, index, &tmp, e) : ERR_LIMIT;
    if (!rc)
        rc = report_labels(&in->token_str, r, strs, in->n, e);
    arena_release(&tmp);
    return rc;
}

int file_labels(struct run *run, int index, struct err *e)
{
    H5_SCOPE;
    struct report *r = run->report;
    const int64_t n = r->inputs[index].n;
    if (!n || !r->file->kept[index].labelled)
        return 0;
    const char **strs = arena_array(&run->passing, (size_t)n, sizeof *strs, e);
    if (!strs)
        return ERR_LIMIT;
    int rc = flush_inputs(r, e);
    if (!rc)
        rc = read_labels(strs, r, index, &run->passing, e);
    if (!rc)
        run->labels = strs;
    return rc;
}

int file_load_input(struct report *r, int index, bool labels, struct err *e)
{
    H5_SCOPE;
    struct report_file *f = r->file;
    struct report_input *in = &r->inputs[index];
    int64_t first = f->kept[index].first;
    if (labels ? in->token_str || !in->n || !f->kept[index].labelled : in->text != NULL)
        return 0;
    int rc = flush_inputs(r, e);
    if (rc || labels)
        return rc ? rc : load_labels(r, index, e);
    int32_t *tokens = arena_array(&r->arena, (size_t)in->n, sizeof *tokens, e);
    if (!tokens || h5_texts(&in->text, f->text, index, 1, SIZE_MAX, &r->arena, e))
        return e->code;
    in->tokens = tokens;
    return in->n ? h5_box(f->tokens, H5T_NATIVE_INT32, 1, &first, &in->n, NULL, tokens, false, e)
                 : 0;
}

/* ---- writing: runs, groups and axes ---- */

int file_begin_run(struct run *run, struct err *e)
{
    H5_SCOPE;
    run->file = calloc(1, sizeof *run->file);
    if (!run->file)
        return err_set(e, ERR_LIMIT, "out of memory (a run)");
    place_free(&run->file->own);
    place_free(&run->file->input);
    return h5_group(&run->file->own.group, run->report->file->runs, run->name, e);
}

int file_put_attr(struct run *run, const struct attr *a, struct err *e)
{
    H5_SCOPE;
    int64_t at = run->file->own.group;
    H5_AUTO hid_t again = H5I_INVALID_HID;
    if (at < 0)
        at = again = H5Gopen2(run->report->file->runs, run->name, H5P_DEFAULT);
    switch (a->kind) {
    case ATTR_INT:
        return h5_put_ints(at, a->name, &a->i, 0, e);
    case ATTR_INTS:
        return h5_put_ints(at, a->name, a->list, a->n_list, e);
    case ATTR_FLOAT:
        return h5_put_float(at, a->name, a->f, e);
    default:
        return h5_put_text(at, a->name, a->text, e);
    }
}

int file_end_run(struct run *run, struct err *e)
{
    H5_SCOPE;
    int rc = place_seal(&run->file->input, run->report->file->file, e);
    if (!rc)
        rc = place_seal(&run->file->own, run->report->file->file, e);
    place_free(&run->file->input);
    place_free(&run->file->own);
    return rc ? rc : file_flush(run->report, e);
}

static int open_place(
    struct place **out, struct run *run, const struct block_spec *s, struct err *e)
{
    struct file_run *f = run->file;
    const bool is_own = s->input < 0 && !s->length;
    const bool is_same = f->input.input == s->input && f->input.length == s->length;
    char name[32];
    int rc = 0;
    *out = is_own ? &f->own : &f->input;
    if (!is_own && !is_same && f->input.group >= 0) {
        rc = place_seal(&f->input, run->report->file->file, e);
        place_free(&f->input);
        if (!rc)
            rc = close_inputs(run, e);
        if (!rc)
            rc = flush_or_reopen(run->report, e);
    }
    if (!rc && f->own.group < 0)
        f->own.group = H5Gopen2(run->report->file->runs, run->name, H5P_DEFAULT);
    if (!rc && f->own.group < 0)
        rc = h5_fail(e, ERR_OUTPUT, "cannot open run %s", run->name);
    if (rc || is_own || (is_same && f->input.group >= 0))
        return rc;
    if (s->length)
        snprintf(name, sizeof name, "length_%lld", (long long)s->length);
    else
        snprintf(name, sizeof name, "input_%d", s->input);
    f->input.input = s->input;
    f->input.length = s->length;
    if (H5Lexists(f->own.group, name, H5P_DEFAULT) > 0)
        f->input.group = H5Gopen2(f->own.group, name, H5P_DEFAULT);
    else
        rc = h5_group(&f->input.group, f->own.group, name, e);
    if (!rc && f->input.group < 0)
        rc = h5_fail(e, ERR_OUTPUT, "cannot open %s/%s", run->name, name);
    return rc;
}

/* ---- writing: blocks ---- */

static int write_about(struct block *b, struct err *e)
{
    const struct block_spec *s = &b->spec;
    int64_t at = b->file->data, is_signed = s->is_signed, is_detail = s->is_detail;
    int rc = h5_put_text(at, "unit", s->unit, e);
    if (!rc)
        rc = h5_put_text(at, "long_name", s->long_name, e);
    if (!rc)
        rc = h5_put_text(at, "look", look_name(s->look), e);
    if (!rc)
        rc = h5_put_ints(at, "signed", &is_signed, 0, e);
    if (!rc && s->is_detail)
        rc = h5_put_ints(at, "detail", &is_detail, 0, e);
    if (!rc && s->below_0_is_none)
        rc = h5_put_ints(at, "missing_value", &(int64_t){-1}, 0, e);
    if (!rc && s->source)
        rc = h5_put_text(at, "source", s->source, e);
    if (rc || !s->n_columns)
        return rc;
    const char **units = calloc((size_t)s->n_columns, sizeof *units);
    if (!units)
        return err_set(e, ERR_LIMIT, "out of memory");
    for (int i = 0; i < s->n_columns; i++)
        units[i] = s->columns[i].unit;
    rc = h5_put_texts(at, "column_units", units, s->n_columns, e);
    free(units);
    return rc;
}

static int create_data(struct block *b, int64_t group, struct err *e)
{
    static const union {
        double d;
        float f;
        uint16_t h;
    } f32 = {.f = NAN}, f64 = {.d = NAN}, f16 = {.h = 0x7e00};
    const struct block_spec *s = &b->spec;
    int64_t dim[FIELD_MAX_RANK];
    struct h5_shape shape = {.rank = s->rank, .dim = dim, .by_slice = s->by_slice};
    size_t bytes;
    for (int i = 0; i < s->rank; i++)
        dim[i] = s->axes[i].size;
    if (s->n_columns) {
        H5_AUTO hid_t row = table_type(s, &bytes);
        dim[0] = 0;
        shape.grow = bytes * ROWS > 1 << 20 ? 1 : ROWS;
        return h5_dataset(&b->file->data, group, s->name, row, &shape, e);
    }
    if (s->dtype == DT_F32)
        shape.fill = &f32;
    else if (s->dtype == DT_F64)
        shape.fill = &f64;
    else if (s->dtype == DT_F16)
        shape.fill = &f16;
    H5_AUTO hid_t type = h5_type(s->dtype);
    return h5_dataset(&b->file->data, group, s->name, type, &shape, e);
}

int file_block_new(struct block *b, struct err *e)
{
    b->file = calloc(1, sizeof *b->file);
    if (!b->file)
        return err_set(e, ERR_LIMIT, "out of memory (a block)");
    b->file->data = b->file->row_type = H5I_INVALID_HID;
    return 0;
}

int file_block_create(struct block *b, struct err *e)
{
    H5_SCOPE;
    struct report_file *f = b->run->report->file;
    struct place *p;
    int rc = file_block_new(b, e);
    f->made++;
    if (!rc)
        rc = open_place(&p, b->run, &b->spec, e);
    if (!rc && f->n_open == MAX_OPEN)
        rc = close_block(f->open[--f->n_open], e);
    if (!rc)
        rc = create_data(b, p->group, e);
    if (!rc)
        rc = write_about(b, e);
    if (!rc)
        rc = place_axes(p, &b->spec, b->file->data, e);
    if (rc) {
        file_block_free(b);
        return err_prefix(e, "%s", b->path), rc;
    }
    rc = use(b, e);
    if (rc) {
        /* The block is forgotten by its run, so nothing else may remember it. */
        memmove(&f->open[0], &f->open[1], (size_t)--f->n_open * sizeof *f->open);
        file_block_free(b);
    }
    return rc;
}

int file_pass(struct run *run, struct err *e)
{
    H5_SCOPE;
    int rc = close_inputs(run, e), kept = 0;
    for (int i = 0; i < run->n_blocks; i++)
        if (run->blocks[i]->spec.input < 0)
            run->blocks[kept++] = run->blocks[i];
        else
            file_block_free(run->blocks[i]);
    run->n_blocks = kept;
    run->n_passing = 0;
    arena_release(&run->passing);
    return rc;
}

int file_write(
    struct block *b, const int64_t *start, const int64_t *count, const void *data, struct err *e)
{
    H5_SCOPE;
    struct report *r = b->run->report;
    const struct block_spec *s = &b->spec;
    int64_t n = dims_count(count, s->rank);
    int rc = use(b, e);
    if (rc || !n)
        return rc;
    H5_AUTO hid_t type = h5_type(s->dtype);
    if ((rc = h5_box(b->file->data, type, s->rank, start, count, NULL, (void *)data, true, e)))
        return err_prefix(e, "%s: %s", r->path, b->path), rc;
    r->file->bytes += n * (int64_t)dtype_bytes(s->dtype);
    if (++r->file->writes >= FLUSH_WRITES || r->file->bytes >= FLUSH_BYTES)
        rc = file_flush(r, e);
    return rc;
}

int file_append(struct block *b, const struct cell_value *row, struct err *e)
{
    H5_SCOPE;
    struct file_block *f = b->file;
    int rc = use(b, e);
    if (rc)
        return rc;
    if (f->row_type < 0)
        f->row_type = table_type(&b->spec, &f->row_bytes);
    if (!f->rows && !(f->rows = calloc(ROWS, f->row_bytes)))
        return err_set(e, ERR_LIMIT, "out of memory (rows of a table)");
    char *to = f->rows + (size_t)f->n_rows * f->row_bytes;
    for (int i = 0; i < b->spec.n_columns; i++) {
        const struct column *c = &b->spec.columns[i];
        if (c->is_text) {
            char *text = arena_strdup(&f->texts, row[i].text ? row[i].text : "", e);
            if (!text)
                return ERR_LIMIT;
            memcpy(to, &text, sizeof text);
        } else {
            store_number(to, c->dtype, row[i].number);
        }
        to += column_bytes(c);
    }
    f->n_rows++;
    return f->n_rows == ROWS ? write_rows(b, e) : 0;
}

/* ---- reading ---- */

void file_set(struct report *r, int64_t file)
{
    r->file->file = file;
}

int64_t file_data(struct block *b, struct err *e)
{
    return use(b, e) ? H5I_INVALID_HID : b->file->data;
}

/* Rows of a table that still wait in memory have to be in the file first. */
static int ready(struct block *b, struct err *e)
{
    int rc = use(b, e);
    return rc || !b->file->n_rows ? rc : write_rows(b, e);
}

static int load_rows(struct block *b, int64_t first, int64_t count, const struct h5_member *m,
    int n, union h5_cell *out, struct arena *a, struct err *e)
{
    size_t most = ((size_t)count << 16) + (size_t)b->run->report->size;
    if (b->is_texts) {
        const char **texts = arena_array(a, (size_t)count, sizeof *texts, e);
        int rc = texts ? h5_texts(texts, b->file->data, first, count, most, a, e) : ERR_LIMIT;
        for (int64_t i = 0; i < count && !rc; i++)
            out[i].text = texts[i];
        return rc;
    }
    return h5_rows(out, b->file->data, m, n, first, count, most, a, e);
}

static int members(
    struct h5_member **out, const struct block_spec *s, struct arena *a, struct err *e)
{
    *out = arena_array(a, (size_t)s->n_columns, sizeof **out, e);
    for (int i = 0; *out && i < s->n_columns; i++)
        (*out)[i] =
            (struct h5_member){s->columns[i].name, s->columns[i].is_text, s->columns[i].dtype};
    return *out ? 0 : ERR_LIMIT;
}

/* One numeric column as double, through bounded pieces of the table. */
static int read_column(double *out, struct block *b, int column, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    int64_t step = stride ? stride[0] : 1, piece = step > 64 ? 1 : ROWS * 16 / step;
    struct arena a = {0};
    struct h5_member *all;
    int rc = members(&all, &b->spec, &a, e);
    struct arena_mark mark = arena_mark(&a);
    for (int64_t i = 0; i < count[0] && !rc; i += piece) {
        int64_t n = count[0] - i < piece ? count[0] - i : piece, rows = (n - 1) * step + 1;
        union h5_cell *cells = arena_array(&a, (size_t)rows, sizeof *cells, e);
        rc = cells ? load_rows(b, start[0] + i * step, rows, &all[column], 1, cells, &a, e)
                   : ERR_LIMIT;
        for (int64_t k = 0; k < n && !rc; k++)
            out[i + k] = cells[k * step].number;
        arena_rewind(&a, mark);
    }
    arena_release(&a);
    return rc;
}

int file_read(void *out, const struct block *b, int column, const int64_t *start,
    const int64_t *count, const int64_t *stride, struct err *e)
{
    H5_SCOPE;
    struct block *own = (struct block *)b;
    int rc = ready(own, e);
    if (rc)
        return rc;
    H5_AUTO hid_t type = h5_type(b->spec.dtype);
    rc = column >= 0
             ? read_column(out, own, column, start, count, stride, e)
             : h5_box(b->file->data, type, b->spec.rank, start, count, stride, out, false, e);
    return rc ? err_prefix(e, "%s: %s", b->run->report->path, b->path), rc : 0;
}

int file_cell(struct cell_value *out, const struct block *b, int64_t row, int column, struct err *e)
{
    H5_SCOPE;
    struct block *own = (struct block *)b;
    struct file_block *f = b->file;
    int n = b->spec.n_columns, rc = ready(own, e);
    bool cached = row >= f->first && row < f->first + f->count;
    /* Strings are read from the file itself. */
    if (!rc && !cached && !b->run->report->readonly)
        rc = file_flush(b->run->report, e);
    if (!rc && !cached) {
        struct h5_member *all;
        forget_cells(f);
        int64_t first = row - row % ROWS;
        int64_t count = b->rows - first < ROWS ? b->rows - first : ROWS;
        rc = members(&all, &b->spec, &f->read, e);
        if (!rc &&
            !(f->cells = arena_array(&f->read, (size_t)count * (size_t)n, sizeof *f->cells, e)))
            rc = ERR_LIMIT;
        if (!rc)
            rc = load_rows(own, first, count, all, n, f->cells, &f->read, e);
        if (!rc) {
            f->first = first;
            f->count = count;
        }
    }
    if (rc)
        return err_prefix(e, "%s: %s", b->run->report->path, b->path), rc;
    union h5_cell c = f->cells[(row - f->first) * n + column];
    bool text = b->spec.columns[column].is_text;
    *out = (struct cell_value){text ? NAN : c.number, text ? c.text : NULL};
    return 0;
}

void file_block_free(struct block *b)
{
    H5_SCOPE;
    if (!b->file)
        return;
    h5_release(&b->file->data);
    h5_release(&b->file->row_type);
    arena_release(&b->file->texts);
    forget_cells(b->file);
    free(b->file->rows);
    free(b->file);
    b->file = NULL;
}

void file_run_free(struct run *run)
{
    H5_SCOPE;
    if (!run->file)
        return;
    place_free(&run->file->input);
    place_free(&run->file->own);
    free(run->file);
    run->file = NULL;
}

/* ---- closing ---- */

static int close_file(struct report *r, struct err *e)
{
    struct report_file *f = r->file;
    int rc = 0;
    for (int i = 0; i < r->n_runs; i++) {
        struct run *run = r->runs[i];
        if (run->file && !r->readonly && !rc)
            rc = place_seal(&run->file->input, run->report->file->file, e);
        if (run->file && !r->readonly && !rc)
            rc = place_seal(&run->file->own, run->report->file->file, e);
        file_run_free(run);
    }
    int closed = close_all(f, rc ? NULL : e);
    rc = rc ? rc : closed;
    free(f->kept);
    close_lists(f);
    if (!rc && !r->readonly && H5Fflush(f->file, H5F_SCOPE_LOCAL) < 0)
        rc = h5_fail(e, ERR_OUTPUT, "cannot write %s", r->path);
    if (f->file >= 0 && H5Fclose(f->file) < 0 && !rc)
        rc = h5_fail(e, ERR_OUTPUT, "cannot write %s", r->path);
    return rc;
}

int file_close(struct report *r, struct err *e)
{
    H5_SCOPE;
    int rc = close_file(r, e);
    if (rc)
        outfile_abandon(&r->file->out);
    else
        rc = outfile_commit(&r->file->out, e);
    free(r->file);
    r->file = NULL;
    return rc;
}

void file_abandon(struct report *r)
{
    H5_SCOPE;
    if (!r->file)
        return;
    close_file(r, NULL);
    outfile_abandon(&r->file->out);
    free(r->file);
    r->file = NULL;
}
