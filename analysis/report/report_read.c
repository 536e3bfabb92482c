#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/report/inside.h"

#define SCHEMA "sonde-report"
#define SCHEMA_VERSION 1
#define MAX_DEPTH 32
#define MAX_LABELS ((int64_t)1 << 24)
#define MAX_PATH 900

/* Reading a report, or any other HDF5 file: what is in it is found out at once, values and labels are
 * read when they are asked for. Every size is held against what the file can contain. */
struct reader {
    struct report *r;
    int64_t file, size;
    struct arena tmp;
    uint64_t *seen; /* groups entered, so that a cycle of links ends */
    int n_seen, cap_seen;
};

static int text_attr(const char **out, struct reader *rd, int64_t at, const char *name,
    const char *otherwise, struct err *e)
{
    struct h5_value v;
    *out = otherwise;
    if (!h5_has(at, name))
        return 0;
    int rc = h5_get(&v, at, name, &rd->tmp, e);
    if (!rc && v.kind == H5_TEXT)
        *out = v.text;
    return rc;
}

static int int_attr(int64_t *out, struct reader *rd, int64_t at, const char *name, struct err *e)
{
    struct h5_value v;
    *out = 0;
    if (!h5_has(at, name))
        return 0;
    int rc = h5_get(&v, at, name, &rd->tmp, e);
    if (!rc && v.kind == H5_INT)
        *out = v.i;
    return rc;
}

/* ---- blocks ---- */

static enum look look_of(const char *name, const struct block_spec *s)
{
    for (int k = 0; k < LOOK_COUNT; k++)
        if (!strcmp(name, look_name((enum look)k)))
            return (enum look)k;
    if (s->n_columns)
        return LOOK_TABLE;
    return s->rank == 0 ? LOOK_TEXT : s->rank == 1 ? LOOK_LINES : LOOK_HEATMAP;
}

static enum axis_kind kind_of(const char *name, const char *axis)
{
    for (int k = 0; name && k < AXIS_KIND_COUNT; k++)
        if (!strcmp(name, axis_kind_name((enum axis_kind)k)))
            return (enum axis_kind)k;
    return axis_kind_of(axis);
}

static int read_axes(struct block_spec *s, struct reader *rd, int64_t data, struct err *e)
{
    static const char *const unnamed[FIELD_MAX_RANK] = {
        "dim_0", "dim_1", "dim_2", "dim_3", "dim_4", "dim_5"};
    const char *names[FIELD_MAX_RANK] = {NULL}, *kinds[FIELD_MAX_RANK] = {NULL};
    int rc = h5_axes(names, data, "DIMENSION_LABELS", s->rank, &rd->tmp, e);
    if (!rc)
        rc = h5_axes(kinds, data, "axis_kinds", s->rank, &rd->tmp, e);
    for (int i = 0; i < s->rank; i++) {
        s->axes[i].name = names[i] ? names[i] : unnamed[i];
        s->axes[i].kind = kind_of(kinds[i], s->axes[i].name);
    }
    return rc;
}

static int read_about(struct block_spec *s, struct reader *rd, int64_t data, struct err *e)
{
    const char *look;
    int64_t is_signed, is_detail, missing;
    int rc = text_attr(&s->unit, rd, data, "unit", "", e);
    if (!rc)
        rc = text_attr(&s->long_name, rd, data, "long_name", s->name, e);
    if (!rc)
        rc = text_attr(&s->source, rd, data, "source", NULL, e);
    if (!rc)
        rc = text_attr(&look, rd, data, "look", "", e);
    if (!rc)
        rc = int_attr(&is_signed, rd, data, "signed", e);
    if (!rc)
        rc = int_attr(&is_detail, rd, data, "detail", e);
    if (!rc)
        rc = int_attr(&missing, rd, data, "missing_value", e);
    if (rc)
        return rc;
    s->look = look_of(look, s);
    s->is_signed = is_signed != 0;
    s->is_detail = is_detail != 0;
    s->below_0_is_none = missing == -1;
    return 0;
}

static int read_columns(struct block_spec *s, const struct h5_info *info, struct reader *rd,
    int64_t data, struct err *e)
{
    int n = info->kind == H5_TEXTS ? 1 : info->n_members;
    struct column *c = arena_array(&rd->tmp, (size_t)n, sizeof *c, e);
    const char **units = arena_array(&rd->tmp, (size_t)n, sizeof *units, e);
    int rc = c && units ? 0 : ERR_LIMIT;
    if (!rc)
        rc = h5_axes(units, data, "column_units", n, &rd->tmp, e);
    for (int i = 0; i < n && !rc; i++) {
        c[i] = (struct column){.name = s->name, .unit = units[i], .is_text = true};
        if (info->kind == H5_TABLE)
            c[i] = (struct column){
                info->member[i].name, units[i], info->member[i].dtype, info->member[i].is_text};
    }
    s->columns = c;
    s->n_columns = n;
    return rc;
}

/* A dataset as a block; *out stays NULL where a foreign file has something sonde cannot show. */
static int read_spec(struct block_spec *s, bool *known, struct h5_info *info, struct reader *rd,
    int64_t data, struct err *e)
{
    int rc = h5_describe(info, data, &rd->tmp, e);
    *known = false;
    if (rc)
        return rc;
    bool table = info->kind == H5_TABLE || info->kind == H5_TEXTS;
    const char *why = info->kind == H5_STRANGE ? info->why
                      : info->layout == H5_VIRTUAL && (!rd->r->foreign || info->missing)
                          ? "values in other files"
                      : table && info->rank > 1     ? "a table of several dimensions"
                      : info->rank > FIELD_MAX_RANK ? "more than 6 axes"
                                                    : NULL;
    if (why && rd->r->foreign)
        return 0;
    if (why)
        return err_set(e, ERR_INPUT, "it has %s", why);
    s->dtype = info->kind == H5_NUMBERS ? info->dtype : DT_F64;
    s->rank = table ? 1 : info->rank;
    for (int i = 0; i < s->rank; i++)
        s->axes[i].size = info->rank ? info->dim[i] : 1;
    if (table)
        rc = read_columns(s, info, rd, data, e);
    if (!rc)
        rc = read_axes(s, rd, data, e);
    *known = !rc;
    return rc ? rc : read_about(s, rd, data, e);
}

/* Whose blocks a group holds: an input's, those of all inputs of a length, or the run's. */
struct owner {
    int input;
    int64_t length;
};

static int read_block(struct run *run, struct reader *rd, const char *path, const char *name,
    const struct owner *of, struct err *e)
{
    struct block_spec s = {.name = name, .input = of->input, .length = of->length};
    struct h5_info info;
    struct block *b;
    bool known;
    int64_t data H5_AUTO = h5_open_data(rd->file, path);
    int rc = data < 0 ? h5_fail(e, ERR_INPUT, "it cannot be opened") : 0;
    if (!rc)
        rc = read_spec(&s, &known, &info, rd, data, e);
    if (!rc && known)
        rc = run_new_block(&b, run, &s, path, e);
    if (rc || !known)
        return rc ? err_prefix(e, "%s: %s", rd->r->path, path), rc : 0;
    b->labelled = s.n_columns > 0 || !h5_has(data, "DIMENSION_LIST");
    b->is_texts = info.kind == H5_TEXTS;
    b->is_plain = info.layout == H5_CONTIGUOUS || info.layout == H5_COMPACT;
    b->rows = s.n_columns ? s.axes[0].size : 0;
    return file_block_new(b, e);
}

/* ---- labels, when somebody looks ---- */

static int read_labels(
    const char **out, int64_t scale, int64_t n, int64_t file_size, struct arena *a, struct err *e)
{
    struct h5_info info;
    int rc = h5_describe(&info, scale, a, e);
    int64_t from = 0;
    if (rc || info.rank != 1 || info.dim[0] != n || n > MAX_LABELS || info.stored < n)
        return rc ? rc : err_set(e, ERR_INPUT, "the labels do not fit their axis");
    if (info.kind == H5_TEXTS)
        return h5_texts(out, scale, 0, n, (size_t)file_size + (size_t)n * 2, a, e);
    if (info.kind != H5_NUMBERS)
        return err_set(e, ERR_INPUT, "labels of an unknown type");
    void *raw = arena_array(a, (size_t)n, 8, e);
    double *v = arena_array(a, (size_t)n, sizeof *v, e);
    H5_AUTO int64_t type = h5_type(info.dtype);
    rc = raw && v ? h5_box(scale, type, 1, &from, &n, NULL, raw, false, e) : ERR_LIMIT;
    if (!rc)
        values_widen(v, raw, info.dtype, n, 1);
    for (int64_t i = 0; i < n && !rc; i++) {
        char text[40];
        exact_number(text, sizeof text, v[i], info.dtype);
        if (!(out[i] = arena_strdup(a, text, e)))
            rc = ERR_LIMIT;
    }
    return rc;
}

/* Labels that cannot be read leave the axis with plain numbers. */
static void load_axis(struct block *b, int64_t data, int axis)
{
    struct axis *a = &b->spec.axes[axis];
    struct arena tmp = {0};
    H5_AUTO int64_t scale = h5_scale(data, b->spec.rank, axis);
    const char **labels = NULL;
    if (scale >= 0 && a->size > 0 && a->size <= MAX_LABELS)
        labels = arena_array(&tmp, (size_t)a->size, sizeof *labels, NULL);
    if (labels && !read_labels(labels, scale, a->size, b->run->report->size, &tmp, NULL))
        (void)report_labels(&a->labels, b->run->report, labels, a->size, NULL);
    arena_release(&tmp);
}

void file_load_labels(struct block *b)
{
    if (atomic_load(&b->labelled))
        return;
    report_lock(b->run->report, true);
    if (!b->labelled) {
        H5_SCOPE;
        int64_t data = file_data(b, NULL);
        for (int i = 0; i < b->spec.rank && data >= 0; i++)
            load_axis(b, data, i);
        atomic_store(&b->labelled, true);
    }
    report_unlock(b->run->report, 0);
}

/* ---- /inputs ---- */

/* A whole list of integers, which has to be as large in the file as it says. */
static int read_list(void **out, int64_t *n, struct reader *rd, int64_t group, const char *name,
    enum dtype t, struct err *e)
{
    struct h5_info info;
    int64_t from = 0, bytes = (int64_t)dtype_bytes(t);
    H5_AUTO int64_t data = h5_open_data(group, name);
    H5_AUTO int64_t type = h5_type(t);
    if (data < 0)
        return h5_fail(e, ERR_INPUT, "inputs/%s cannot be opened", name);
    int rc = h5_describe(&info, data, &rd->tmp, e);
    if (rc)
        return rc;
    if (info.kind != H5_NUMBERS || info.dtype != t || info.rank != 1 || info.stored > rd->size ||
        info.dim[0] > info.stored / bytes)
        return err_set(e, ERR_INPUT, "inputs/%s is not a list of %s", name, dtype_name(t));
    *n = info.dim[0];
    *out = arena_array(&rd->tmp, (size_t)*n, (size_t)bytes, e);
    if (!*out || !*n)
        return *out ? 0 : ERR_LIMIT;
    return h5_box(data, type, 1, &from, n, NULL, *out, false, e);
}

static int read_strings(
    const char ***out, int64_t n, struct reader *rd, int64_t group, const char *name, struct err *e)
{
    struct h5_info info;
    H5_AUTO int64_t data = h5_open_data(group, name);
    *out = NULL;
    if (data < 0)
        return h5_fail(e, ERR_INPUT, "inputs/%s cannot be opened", name);
    int rc = h5_describe(&info, data, &rd->tmp, e);
    if (rc)
        return rc;
    if (info.kind != H5_TEXTS || info.rank != 1 || info.dim[0] < n || info.stored < n)
        return err_set(e, ERR_INPUT, "inputs/%s does not hold %" PRId64 " texts", name, n);
    if (!(*out = arena_array(&rd->tmp, (size_t)n, sizeof **out, e)))
        return ERR_LIMIT;
    return h5_texts(*out, data, 0, n, (size_t)rd->size + (size_t)n * 2, &rd->tmp, e);
}

static int read_inputs(struct reader *rd, struct err *e)
{
    H5_AUTO int64_t group = h5_open_group(rd->file, "inputs");
    void *tokens = NULL, *edges = NULL;
    const char **texts = NULL, **words = NULL;
    int64_t n_tokens = 0, n_edges = 0;
    if (group < 0)
        return 0;
    int rc = read_list(&tokens, &n_tokens, rd, group, "tokens", DT_I32, e);
    if (!rc)
        rc = read_list(&edges, &n_edges, rd, group, "offsets", DT_I64, e);
    int64_t n = rc ? 0 : n_edges - 1;
    if (!rc)
        rc = read_strings(&texts, n > 0 ? n : 0, rd, group, "text", e);
    if (!rc)
        rc = read_strings(&words, n_tokens, rd, group, "token_str", e);
    const int64_t *edge = edges;
    for (int64_t i = 0; i < n && !rc; i++) {
        if (edge[i] < 0 || edge[i + 1] < edge[i] || edge[i + 1] > n_tokens)
            return err_set(e, ERR_INPUT, "inputs/offsets points outside the tokens");
        struct report_input in = {
            texts[i], (const int32_t *)tokens + edge[i], words + edge[i], edge[i + 1] - edge[i]};
        rc = report_put_input(rd->r, &in, e);
    }
    return rc;
}

/* ---- runs ---- */

static int read_attr(
    struct run *run, struct reader *rd, int64_t at, const char *name, struct err *e)
{
    struct h5_value v;
    char text[40];
    int rc = h5_get(&v, at, name, &rd->tmp, e);
    if (rc || v.kind == H5_OTHER)
        return rc;
    struct attr a = {.name = name, .text = v.text, .i = v.i, .f = v.f};
    a.kind = v.kind == H5_TEXT    ? ATTR_TEXT
             : v.kind == H5_INT   ? ATTR_INT
             : v.kind == H5_FLOAT ? ATTR_FLOAT
                                  : ATTR_INTS;
    if (a.kind == ATTR_INT)
        snprintf(text, sizeof text, "%" PRId64, v.i);
    else if (a.kind == ATTR_FLOAT)
        exact_number(text, sizeof text, v.f, DT_F64);
    if (a.kind == ATTR_INT || a.kind == ATTR_FLOAT)
        a.text = text;
    if (a.kind == ATTR_INTS) {
        char *joined = arena_alloc(&rd->tmp, (size_t)v.n * 24, e), *o = joined;
        if (!joined)
            return ERR_LIMIT;
        for (int i = 0; i < v.n; i++)
            o += sprintf(o, "%s%" PRId64, i ? "," : "", v.list[i]);
        a.text = joined;
        a.list = v.list;
        a.n_list = v.n;
    }
    return run_put_attr(run, &a, e);
}

static int read_attrs(struct run *run, struct reader *rd, int64_t at, struct err *e)
{
    const char **names;
    int n, rc = h5_attrs(&names, &n, at, &rd->tmp, e);
    for (int i = 0; i < n && !rc; i++)
        rc = read_attr(run, rd, at, names[i], e);
    return rc;
}

static int enter(bool *again, struct reader *rd, uint64_t address, struct err *e)
{
    *again = false;
    for (int i = 0; i < rd->n_seen; i++)
        *again = *again || rd->seen[i] == address;
    int rc = *again ? 0 : report_grow(&rd->seen, rd->n_seen, &rd->cap_seen, sizeof *rd->seen, e);
    if (!rc && !*again)
        rd->seen[rd->n_seen++] = address;
    return rc;
}

/* input_7 and length_16; false: neither. */
static bool owner_of(struct owner *out, const char *name, int n_inputs)
{
    const bool is_length = !strncmp(name, "length_", 7);
    char *end, back[32];
    if (!is_length && strncmp(name, "input_", 6) != 0)
        return false;
    long k = strtol(name + (is_length ? 7 : 6), &end, 10);
    snprintf(back, sizeof back, is_length ? "length_%ld" : "input_%ld", k);
    *out = is_length ? (struct owner){-1, k} : (struct owner){(int)k, 0};
    return !strcmp(back, name) && (is_length ? k > 0 : k >= 0 && k < n_inputs);
}

/* The blocks of a run's group, or of a group in it; unknown groups are passed over. */
static int read_group(
    struct run *run, struct reader *rd, const char *path, const struct owner *of, struct err *e)
{
    H5_AUTO int64_t group = h5_open_group(rd->file, path);
    const bool is_run = of->input < 0 && !of->length;
    struct h5_link *links;
    int n = 0, rc = group < 0 ? h5_fail(e, ERR_INPUT, "%s cannot be opened", path) : 0;
    if (!rc)
        rc = h5_list(&links, &n, group, &rd->tmp, e);
    if (rc)
        return err_prefix(e, "%s: %s", rd->r->path, path), rc;
    if (is_run)
        rc = read_attrs(run, rd, group, e);
    for (int i = 0; i < n && !rc; i++) {
        char below[2 * MAX_PATH + 8];
        struct owner inner;
        snprintf(below, sizeof below, "%.*s/%.*s", MAX_PATH, path, MAX_PATH, links[i].name);
        if (strlen(below) > MAX_PATH)
            continue;
        if (links[i].is_data)
            rc = read_block(run, rd, below, links[i].name, of, e);
        else if (links[i].is_group && is_run && owner_of(&inner, links[i].name, rd->r->n_inputs))
            rc = read_group(run, rd, below, &inner, e);
    }
    return rc;
}

static int read_runs(struct reader *rd, struct err *e)
{
    H5_AUTO int64_t group = h5_open_group(rd->file, "runs");
    struct h5_link *links;
    int n;
    if (group < 0)
        return err_set(e, ERR_INPUT, "%s has no runs", rd->r->path);
    int rc = h5_list(&links, &n, group, &rd->tmp, e);
    for (int i = 0; i < n && !rc; i++) {
        struct run *run;
        char path[2 * MAX_PATH + 8];
        const char *analysis = strchr(links[i].name, '-');
        snprintf(path, sizeof path, "runs/%s", links[i].name);
        if (!links[i].is_group || strlen(links[i].name) > 200)
            continue;
        rc = report_new_run(&run, rd->r, links[i].name, analysis ? analysis + 1 : links[i].name, e);
        if (!rc)
            rc = read_group(run, rd, path, &(struct owner){-1, 0}, e);
        if (!rc && run_attr(run, "analysis"))
            run->analysis = run_attr(run, "analysis");
    }
    return rc;
}

/* ---- files that are not reports ---- */

static int read_foreign(
    struct run *run, struct reader *rd, const char *path, int depth, struct err *e)
{
    H5_AUTO int64_t group = h5_open_group(rd->file, *path ? path : "/");
    struct h5_link *links;
    int n = 0, rc = 0;
    /* What cannot be opened in somebody else's file is left out. */
    if (group < 0 || depth > MAX_DEPTH)
        return 0;
    if ((rc = h5_list(&links, &n, group, &rd->tmp, e)))
        return err_prefix(e, "%s: %s", rd->r->path, path), rc;
    for (int i = 0; i < n && !rc; i++) {
        char below[2 * MAX_PATH + 8];
        bool again = false;
        snprintf(below, sizeof below, "%.*s%s%.*s", MAX_PATH, path, *path ? "/" : "", MAX_PATH,
            links[i].name);
        if (strlen(below) > MAX_PATH)
            continue;
        if (links[i].is_group)
            rc = enter(&again, rd, links[i].address, e);
        if (!rc && links[i].is_group && !again)
            rc = read_foreign(run, rd, below, depth + 1, e);
        else if (!rc && links[i].is_data)
            rc = read_block(run, rd, below, links[i].name, &(struct owner){-1, 0}, e);
    }
    return rc;
}

static int read_root(struct reader *rd, struct err *e)
{
    struct report *r = rd->r;
    struct report_info info = {0};
    const char *schema;
    int64_t version = 0, threads = 0;
    struct run *run;
    int rc = text_attr(&schema, rd, rd->file, "schema", "", e);
    if (!rc)
        rc = int_attr(&version, rd, rd->file, "schema_version", e);
    if (!rc)
        rc = text_attr(&info.command, rd, rd->file, "command", "", e);
    if (!rc)
        rc = text_attr(&info.kernel_set, rd, rd->file, "kernel_set", "", e);
    if (!rc)
        rc = text_attr(&info.tool_version, rd, rd->file, "tool_version", "", e);
    if (!rc)
        rc = int_attr(&threads, rd, rd->file, "threads", e);
    if (rc)
        return err_prefix(e, "%s", r->path), rc;
    info.threads = threads < 0 || threads > INT32_MAX ? 0 : (int)threads;
    if ((rc = report_put_info(r, &info, e)))
        return rc;
    r->foreign = strcmp(schema, SCHEMA) != 0;
    if (!r->foreign && version != SCHEMA_VERSION)
        return err_set(e, ERR_INPUT,
            "%s is a report of version %" PRId64 "; this sonde reads version %d: use a newer one",
            r->path, version, SCHEMA_VERSION);
    if (r->foreign && !r->trusted && (rc = report_probe(r->path, NULL, e)))
        return rc;
    if (r->foreign) {
        rc = report_new_run(&run, r, "", schema, e);
        return rc ? rc : read_foreign(run, rd, "", 0, e);
    }
    if ((rc = read_inputs(rd, e)))
        return err_prefix(e, "%s", r->path), rc;
    return read_runs(rd, e);
}

int file_open(struct report *r, struct err *e)
{
    H5_SCOPE;
    struct reader rd = {.r = r, .file = -1};
    struct stat st;
    int rc = file_new(r, e);
    /* What sonde writes has checksums from the superblock on; of the rest all is looked through. */
    if (!rc && !r->trusted) {
        const bool is_checked = h5_is_checked(r->path);
        rc = report_probe(r->path, is_checked ? report_look_at_names : NULL, e);
        r->trusted = !is_checked;
    }
    if (!rc)
        rc = h5_open(&rd.file, r->path, e);
    if (rc)
        return rc;
    r->size = rd.size = stat(r->path, &st) ? 0 : (int64_t)st.st_size;
    file_set(r, rd.file);
    rc = read_root(&rd, e);
    arena_release(&rd.tmp);
    free(rd.seen);
    return rc;
}
