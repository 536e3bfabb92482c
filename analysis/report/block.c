#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "analysis/report/inside.h"

/* ---- numbers as text ---- */

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static bool is_float(enum dtype t)
{
    return t == DT_F32 || t == DT_F64 || t == DT_F16 || t == DT_BF16;
}

static bool reads_back(const char *text, double value, enum dtype t)
{
    float both[2] = {strtof(text, NULL), (float)value};
    uint16_t half[2];
    if (t == DT_F64)
        return strtod(text, NULL) == value;
    if (t == DT_F32)
        return both[0] == both[1];
    tensor_narrow(half, both, t, 2);
    return half[0] == half[1];
}

void exact_number(char *buf, size_t n, double value, enum dtype t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!is_float(t) && fabs(value) < 0x1p63) {
        snprintf(buf, n, "%" PRId64, (int64_t)value);
        return;
    }
    pthread_once(&once, make_c_locale);
    locale_t old = c_locale ? uselocale(c_locale) : (locale_t)0;
    int digits = t == DT_F64 ? 15 : t == DT_F32 ? 6 : 3;
    do
        snprintf(buf, n, "%.*g", digits, value);
    while (!isnan(value) && !reads_back(buf, value, t) && ++digits <= 17);
    if (isnan(value))
        snprintf(buf, n, "nan"); /* without the sign, which nobody means */
    if (old)
        uselocale(old);
}

void exact_value(char *buf, size_t n, const void *value, enum dtype t)
{
    double v;
    if (t == DT_I64) {
        snprintf(buf, n, "%" PRId64, *(const int64_t *)value);
    } else if (t == DT_U64) {
        snprintf(buf, n, "%" PRIu64, *(const uint64_t *)value);
    } else {
        values_widen(&v, value, t, 1, 1);
        exact_number(buf, n, v, t);
    }
}

/* ---- declaring ---- */

static int check_spec(const struct run *run, const struct block_spec *s, struct err *e)
{
    const char *name = s->name ? s->name : "";
    if (!*name || strlen(name) > 100 || strchr(name, '/') || !strcmp(name, ".") ||
        !strcmp(name, "axes") || !strncmp(name, "input_", 6) || !strncmp(name, "length_", 7))
        return err_set(e, ERR_USAGE, "%s: \"%.60s\" cannot name a block", run->name, name);
    if (s->rank < 0 || s->rank > FIELD_MAX_RANK || s->dtype >= DT_COUNT || s->dtype == DT_BF16)
        return err_set(e, ERR_USAGE, "%s/%s: a block has at most %d axes and no BF16 values",
            run->name, name, FIELD_MAX_RANK);
    if (s->length < 0 || (s->length && s->input >= 0))
        return err_set(e, ERR_USAGE, "%s/%s: of an input or of a length", run->name, name);
    if (s->input >= run->report->n_inputs)
        return err_set(e, ERR_USAGE, "%s/%s: no input %d", run->name, name, s->input);
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++)
        if (s->axes[i].size < 0 || __builtin_mul_overflow(count, s->axes[i].size, &count))
            count = -1;
    if (count < 0 || count > INT64_MAX / 8)
        return err_set(e, ERR_LIMIT, "%s/%s: its size overflows", run->name, name);
    if (s->n_columns && (s->rank != 1 || s->n_columns < 0 || s->n_columns > 1000))
        return err_set(e, ERR_USAGE, "%s/%s: a table has rank 1", run->name, name);
    return 0;
}

static int copy_words(struct report *r, const char **const *fields, int n, struct err *e)
{
    for (int i = 0; i < n; i++)
        if (*fields[i] && !(*fields[i] = report_word(r, *fields[i], e)))
            return ERR_LIMIT;
    return 0;
}

/* Whether a document that is only drawn comes to its end before this input or length. */
static bool is_past(const struct run *run, const struct block_spec *s)
{
    const int most = run->report->drawn;
    return most && (s->input >= 0 ? run->inputs_met > most : s->length && run->lengths_met > most);
}

static bool is_left_out(const struct run *run, const struct block_spec *s)
{
    bool by_input = false;
    for (int i = 0; i < s->rank; i++)
        by_input = by_input || s->axes[i].kind == AXIS_INPUT;
    return is_past(run, s) || (run->report->drawn && s->is_detail && by_input);
}

/* A file keeps the blocks of its inputs, and who writes it those of the last few; so with those that are
 * left out. */
static bool is_passing(const struct run *run, const struct block_spec *s)
{
    const struct report *r = run->report;
    return s->input >= 0 && !r->readonly && (r->file || is_past(run, s));
}

static int pass(struct run *run, struct err *e)
{
    if (run->report->file)
        return file_pass(run, e);
    int kept = 0, last = -1;
    for (int i = 0; i < run->n_blocks; i++) {
        const struct block *b = run->blocks[i];
        if (!b->passes) {
            run->blocks[kept++] = run->blocks[i];
            continue;
        }
        run->left_out += b->spec.input != last;
        last = b->spec.input;
    }
    run->n_blocks = kept;
    run->n_passing = 0;
    arena_release(&run->passing);
    return 0;
}

static void meet(struct run *run, const struct block_spec *s)
{
    const int64_t length = s->input < 0 ? s->length : 0;
    run->inputs_met += s->input >= 0 && s->input != run->met_input;
    run->lengths_met += length && length != run->met_length;
    run->met_input = s->input >= 0 ? s->input : run->met_input;
    run->met_length = length ? length : run->met_length;
}

/* Labels of a block of an input that the file keeps: they go when the block goes. Lists that are equal
 * within an input are one, as they are one dataset of the file. */
static int passing_labels(struct run *run, struct axis *a, int input, struct err *e)
{
    for (int i = 0; i < run->n_blocks; i++)
        for (int k = 0; k < run->blocks[i]->spec.rank && run->blocks[i]->spec.input == input; k++) {
            const struct axis *other = &run->blocks[i]->spec.axes[k];
            int64_t same = 0;
            while (other->labels && other->size == a->size && same < a->size &&
                   !strcmp(other->labels[same], a->labels[same] ? a->labels[same] : ""))
                same++;
            if (same && same == a->size) {
                a->labels = other->labels;
                return 0;
            }
        }
    const char **own = arena_array(&run->passing, (size_t)a->size, sizeof *own, e);
    for (int64_t i = 0; own && i < a->size; i++)
        if (!(own[i] = report_text(&run->passing, a->labels[i], e)))
            return ERR_LIMIT;
    a->labels = a->size ? own : NULL;
    return own ? 0 : ERR_LIMIT;
}

static int copy_axes(struct run *run, struct block_spec *s, struct err *e)
{
    struct report *r = run->report;
    for (int i = 0; i < s->rank; i++) {
        struct axis *a = &s->axes[i];
        int rc = 0;
        if (!a->name)
            a->name = "index";
        if (!(a->name = report_word(r, a->name, e)))
            return ERR_LIMIT;
        const struct report_input *in = s->input >= 0 ? &r->inputs[s->input] : NULL;
        if (a->labels && is_passing(run, s)) {
            rc = passing_labels(run, a, s->input, e);
        } else if (a->labels) {
            rc = report_labels(&a->labels, r, a->labels, a->size, e);
        } else if (in && a->kind == AXIS_POS && a->size == in->n && !r->readonly) {
            rc = r->file && !run->labels ? file_labels(run, s->input, e) : 0;
            a->labels = r->file ? run->labels : in->token_str;
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int copy_columns(struct report *r, struct arena *a, struct block_spec *s, struct err *e)
{
    if (!s->n_columns)
        return 0;
    struct column *own = arena_array(a, (size_t)s->n_columns, sizeof *own, e);
    if (!own)
        return ERR_LIMIT;
    memcpy(own, s->columns, (size_t)s->n_columns * sizeof *own);
    for (int i = 0; i < s->n_columns; i++) {
        if (!own[i].unit)
            own[i].unit = "";
        const char **const both[] = {&own[i].name, &own[i].unit};
        if (copy_words(r, both, 2, e))
            return ERR_LIMIT;
    }
    s->columns = own;
    return 0;
}

#define KEPT_BLOCKS 64

int run_new_block(struct block **out, struct run *run, const struct block_spec *spec,
    const char *path, struct err *e)
{
    struct report *r = run->report;
    const bool passes = is_passing(run, spec);
    struct arena *a = passes ? &run->passing : &r->arena;
    struct block *b = arena_zalloc(a, sizeof *b, e);
    if (!b)
        return ERR_LIMIT;
    b->run = run;
    b->spec = *spec;
    b->is_left_out = is_left_out(run, spec);
    b->passes = passes;
    const char **const words[] = {
        &b->spec.name, &b->spec.unit, &b->spec.long_name, &b->spec.source};
    if (!b->spec.unit)
        b->spec.unit = "";
    if (!b->spec.long_name)
        b->spec.long_name = b->spec.name;
    /* Only scalars are text; whoever leaves the look open gets what suits the shape. */
    if (b->spec.look == LOOK_TEXT && spec->n_columns)
        b->spec.look = LOOK_TABLE;
    else if (b->spec.look == LOOK_TEXT && spec->rank)
        b->spec.look = spec->rank == 1 ? LOOK_LINES : LOOK_HEATMAP;
    if (copy_words(r, words, 4, e) || copy_axes(run, &b->spec, e) ||
        copy_columns(r, a, &b->spec, e))
        return ERR_LIMIT;
    b->path = arena_strdup(a, path, e);
    b->columns = arena_array(a, (size_t)b->spec.n_columns + 1, sizeof *b->columns, e);
    if (!b->path || !b->columns ||
        report_grow(&run->blocks, run->n_blocks, &run->cap_blocks, sizeof *run->blocks, e))
        return ERR_LIMIT;
    for (int i = 0; i <= b->spec.n_columns; i++)
        b->columns[i] = (struct column_source){b, i - 1};
    b->labelled = true;
    run->blocks[run->n_blocks++] = b;
    *out = b;
    return 0;
}

static struct block *find_block(const struct run *run, const char *path)
{
    for (int i = run->n_blocks - 1; i >= 0; i--)
        if (!strcmp(run->blocks[i]->path, path))
            return run->blocks[i];
    return NULL;
}

static int declare(
    struct block **out, struct run *run, const struct block_spec *spec, struct err *e)
{
    struct report *r = run->report;
    char path[300], group[32] = "";
    int rc = check_spec(run, spec, e);
    if (rc)
        return rc;
    if (spec->input >= 0)
        snprintf(group, sizeof group, "input_%d/", spec->input);
    else if (spec->length)
        snprintf(group, sizeof group, "length_%" PRId64 "/", spec->length);
    snprintf(path, sizeof path, "runs/%s/%s%s", run->name, group, spec->name);
    meet(run, spec);
    const bool passes = is_passing(run, spec);
    if (passes && run->passing_input != spec->input && run->n_passing >= KEPT_BLOCKS &&
        (rc = pass(run, e)))
        return rc;
    if (passes && run->passing_input != spec->input)
        run->labels = NULL;
    if (passes) {
        run->passing_input = spec->input;
        run->n_passing++;
    }
    /* A path seen for the first time makes a new word, which spares the search. */
    int64_t before = r->n_words;
    if (!passes && !report_word(r, path, e))
        return ERR_LIMIT;
    if (r->n_words == before && find_block(run, path))
        return err_set(e, ERR_USAGE, "block %s exists already", path);
    if ((rc = run_new_block(out, run, spec, path, e)))
        return rc;
    if (spec->input >= 0) {
        if (run->first_input < 0 || spec->input < run->first_input)
            run->first_input = spec->input;
        if (spec->input > run->last_input)
            run->last_input = spec->input;
    }
    if (r->file && (rc = file_block_create(*out, e)))
        run->n_blocks--;
    return rc;
}

int run_block(struct block **out, struct run *run, const struct block_spec *spec, struct err *e)
{
    int rc = report_refuse_readonly(run->report, e);
    *out = NULL;
    if (rc)
        return rc;
    report_lock(run->report, true);
    return report_unlock(run->report, declare(out, run, spec, e));
}

/* ---- values ---- */

static int64_t spec_count(const struct block_spec *s)
{
    int64_t dim[FIELD_MAX_RANK];
    for (int i = 0; i < s->rank; i++)
        dim[i] = s->axes[i].size;
    return dims_count(dim, s->rank);
}

static int check_slice(
    const struct block *b, const int64_t *start, const int64_t *count, struct err *e)
{
    const struct block_spec *s = &b->spec;
    if (s->n_columns)
        return err_set(e, ERR_USAGE, "%s is a table: it takes rows", b->path);
    for (int i = 0; i < s->rank; i++)
        if (start[i] < 0 || count[i] < 0 || start[i] > s->axes[i].size ||
            count[i] > s->axes[i].size - start[i])
            return err_set(e, ERR_USAGE,
                "%s: [%" PRId64 ", +%" PRId64 ") is outside axis %s of size %" PRId64, b->path,
                start[i], count[i], s->axes[i].name, s->axes[i].size);
    return 0;
}

/* Copies a slice between its dense form and its place in the block. */
static void copy_slice(
    const struct block *b, const int64_t *start, const int64_t *count, char *dense, bool to_block)
{
    const struct block_spec *s = &b->spec;
    size_t size = dtype_bytes(s->dtype);
    int64_t stride[FIELD_MAX_RANK + 1], at[FIELD_MAX_RANK] = {0};
    stride[s->rank] = 1;
    for (int i = s->rank - 1; i >= 0; i--)
        stride[i] = stride[i + 1] * s->axes[i].size;
    /* Trailing axes taken whole make one run of bytes with the axis before them. */
    int split = s->rank;
    int64_t run = 1;
    while (split > 0 && (split == s->rank || count[split] == s->axes[split].size))
        run *= count[--split];
    for (;;) {
        int64_t offset = 0;
        for (int i = 0; i < s->rank; i++)
            offset += (start[i] + at[i]) * stride[i + 1];
        char *place = (char *)b->data + (size_t)offset * size;
        memcpy(to_block ? place : dense, to_block ? dense : place, (size_t)run * size);
        dense += (size_t)run * size;
        int i = split - 1;
        while (i >= 0 && ++at[i] == count[i])
            at[i--] = 0;
        if (i < 0)
            return;
    }
}

static void fill_missing(void *data, enum dtype t, int64_t n)
{
    if (t == DT_F64)
        for (int64_t i = 0; i < n; i++)
            ((double *)data)[i] = NAN;
    else if (t == DT_F32)
        for (int64_t i = 0; i < n; i++)
            ((float *)data)[i] = NAN;
    else if (t == DT_F16)
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)data)[i] = 0x7e00;
}

static int write_memory(
    struct block *b, const int64_t *start, const int64_t *count, const void *data, struct err *e)
{
    int64_t total = spec_count(&b->spec), n = dims_count(count, b->spec.rank);
    if (!b->data) {
        size_t bytes = (size_t)total * dtype_bytes(b->spec.dtype);
        /* Fresh zero pages cost nothing until they are written. */
        struct report *r = b->run->report;
        if (r->limit && bytes + r->values + r->arena.used > r->limit)
            return err_set(e, ERR_LIMIT,
                "%s: %.1f MB more in memory would exceed --max-mem; raise it, or give -o FILE.h5, "
                "which writes straight to disk",
                b->path, (double)bytes / 1e6);
        b->data = calloc(1, bytes ? bytes : 1);
        if (!b->data)
            return err_set(e, ERR_LIMIT,
                "%s: out of memory (%.1f MB); give -o FILE.h5, which writes straight to disk",
                b->path, (double)bytes / 1e6);
        r->values += bytes;
        if (n < total)
            fill_missing(b->data, b->spec.dtype, total);
    }
    if (n > 0)
        copy_slice(b, start, count, (char *)data, true);
    return 0;
}

int block_write(
    struct block *b, const int64_t *start, const int64_t *count, const void *data, struct err *e)
{
    struct report *r = b->run->report;
    int rc = report_refuse_readonly(r, e);
    if (rc || (rc = check_slice(b, start, count, e)) || b->is_left_out)
        return rc;
    report_lock(r, true);
    rc = r->file ? file_write(b, start, count, data, e) : write_memory(b, start, count, data, e);
    if (!rc)
        atomic_fetch_add(&b->generation, 1);
    return report_unlock(r, rc);
}

int block_set(struct block *b, const void *data, struct err *e)
{
    int64_t start[FIELD_MAX_RANK] = {0}, count[FIELD_MAX_RANK];
    for (int i = 0; i < b->spec.rank; i++)
        count[i] = b->spec.axes[i].size;
    return block_write(b, start, count, data, e);
}

int block_flush(struct block *b, struct err *e)
{
    return report_flush(b->run->report, e);
}

int block_read(
    void *out, const struct block *b, const int64_t *start, const int64_t *count, struct err *e)
{
    struct report *r = b->run->report;
    int rc = check_slice(b, start, count, e);
    int64_t n = rc ? 0 : dims_count(count, b->spec.rank);
    if (rc || !n)
        return rc;
    report_lock(r, false);
    if (r->file) {
        rc = file_read(out, b, -1, start, count, NULL, e);
    } else if (b->data) {
        copy_slice(b, start, count, out, false);
    } else {
        memset(out, 0, (size_t)n * dtype_bytes(b->spec.dtype));
        fill_missing(out, b->spec.dtype, n);
    }
    return report_unlock(r, rc);
}

/* ---- tables ---- */

static int append_memory(struct block *b, const struct cell_value *row, struct err *e)
{
    int n = b->spec.n_columns;
    if (b->rows == b->cap) {
        int64_t cap = b->cap ? b->cap * 2 : 16;
        union h5_cell *more = realloc(b->cells, (size_t)cap * (size_t)n * sizeof *more);
        if (!more)
            return err_set(e, ERR_LIMIT, "%s: out of memory (%" PRId64 " rows)", b->path, cap);
        b->cells = more;
        b->cap = cap;
    }
    union h5_cell *to = b->cells + b->rows * n;
    for (int i = 0; i < n; i++)
        if (!b->spec.columns[i].is_text)
            to[i].number = row[i].number;
        else if (!(to[i].text = report_word(b->run->report, row[i].text ? row[i].text : "", e)))
            return ERR_LIMIT;
    return 0;
}

int block_append(struct block *b, const struct cell_value *row, struct err *e)
{
    struct report *r = b->run->report;
    int rc = report_refuse_readonly(r, e);
    if (rc)
        return rc;
    if (!b->spec.n_columns)
        return err_set(e, ERR_USAGE, "%s is not a table", b->path);
    if (b->is_left_out)
        return 0;
    report_lock(r, true);
    rc = r->file ? file_append(b, row, e) : append_memory(b, row, e);
    if (!rc) {
        b->rows++;
        atomic_fetch_add(&b->generation, 1);
    }
    return report_unlock(r, rc);
}

int64_t block_rows(const struct block *b)
{
    report_lock(b->run->report, false);
    int64_t rows = b->rows;
    report_unlock(b->run->report, 0);
    return rows;
}

int block_cell(
    struct cell_value *out, const struct block *b, int64_t row, int column, struct err *e)
{
    struct report *r = b->run->report;
    int rc = 0;
    report_lock(r, false);
    if (row < 0 || row >= b->rows || column < 0 || column >= b->spec.n_columns) {
        rc = err_set(e, ERR_USAGE, "%s has no row %" PRId64 ", column %d", b->path, row, column);
    } else if (r->file) {
        rc = file_cell(out, b, row, column, e);
    } else {
        union h5_cell c = b->cells[row * b->spec.n_columns + column];
        bool text = b->spec.columns[column].is_text;
        *out = (struct cell_value){text ? NAN : c.number, text ? c.text : NULL};
    }
    return report_unlock(r, rc);
}

/* ---- looking around ---- */

int run_blocks(const struct run *run)
{
    report_lock(run->report, false);
    return report_unlock(run->report, run->n_blocks);
}

int run_left_out(const struct run *run)
{
    report_lock(run->report, false);
    return report_unlock(run->report, run->left_out);
}

struct block *run_block_at(const struct run *run, int index)
{
    report_lock(run->report, false);
    struct block *b = index >= 0 && index < run->n_blocks ? run->blocks[index] : NULL;
    report_unlock(run->report, 0);
    return b;
}

int block_input(const struct block *b)
{
    return b->spec.input;
}

bool report_is_error_of(const char *error_path, const char *path)
{
    static const char mean[] = "_mean";
    size_t n = strlen(path), k = sizeof mean - 1;
    if (!strncmp(error_path, path, n) && !strcmp(error_path + n, "_se"))
        return true;
    return n > k && !strcmp(path + n - k, mean) && !strncmp(error_path, path, n - k) &&
           !strcmp(error_path + n - k, "_se");
}

const struct block *block_error(const struct block *b)
{
    for (int i = 0; i < run_blocks(b->run); i++) {
        const struct block *other = run_block_at(b->run, i);
        if (report_is_error_of(other->path, b->path))
            return other;
    }
    return NULL;
}

struct block *report_find(const struct report *r, const char *path)
{
    struct block *found = NULL;
    while (*path == '/')
        path++;
    report_lock(r, false);
    for (int i = 0; i < r->n_runs && !found; i++) {
        char full[1024];
        snprintf(full, sizeof full, "runs/%s", path);
        found = find_block(r->runs[i], path);
        if (!found)
            found = find_block(r->runs[i], full);
    }
    report_unlock(r, 0);
    return found;
}

const struct block_spec *block_spec(const struct block *b)
{
    file_load_labels((struct block *)b);
    return &b->spec;
}

const char *block_path(const struct block *b)
{
    return b->path;
}

static uint64_t generation(const struct field *f)
{
    const struct column_source *s = f->source_data;
    return atomic_load(&s->block->generation);
}

int block_field(struct field *out, const struct block *b, int column, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    if (column < -1 || column >= s->n_columns)
        return err_set(e, ERR_USAGE, "%s has no column %d", b->path, column);
    if (s->n_columns && (column < 0 || s->columns[column].is_text))
        return err_set(e, ERR_USAGE, "%s: only numeric columns of a table can be drawn", b->path);
    *out = (struct field){.name = s->name,
        .unit = s->unit,
        .long_name = s->long_name,
        .source = s->source,
        .dtype = s->dtype,
        .look = s->look,
        .is_signed = s->is_signed,
        .rank = s->rank,
        .fetch = block_fetch,
        .generation = generation,
        .source_data = &b->columns[1 + column]};
    memcpy(out->axes, s->axes, sizeof out->axes);
    if (column >= 0) {
        const struct column *c = &s->columns[column];
        out->name = out->long_name = c->name;
        out->unit = c->unit;
        out->dtype = c->dtype;
        out->look = LOOK_LINES;
        out->axes[0].size = block_rows(b);
    }
    return 0;
}
