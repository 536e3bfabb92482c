#include "analysis/report/diff.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"

struct pair {
    struct diff *d;
    const struct report *a, *b;
    const struct diff_options *how;
    char *raw_a, *raw_b; /* one piece of each */
    double *va, *vb;
};

static int add(struct diff *d, const struct diff_row *row, struct err *e)
{
    int rc = report_grow(&d->rows, d->n, &d->cap, sizeof *d->rows, e);
    struct diff_row own = *row;
    if (rc)
        return rc;
    const char **const texts[] = {&own.path, &own.a, &own.b};
    for (int i = 0; i < 3; i++)
        if (*texts[i]) {
            size_t n = strnlen(*texts[i], 400);
            if (!(*texts[i] = arena_strndup(&d->arena, *texts[i], n, e)))
                return ERR_LIMIT;
        }
    d->rows[d->n++] = own;
    if (own.kind == DIFF_VALUES && (!d->worst || own.max_abs > d->max_abs)) {
        d->max_abs = own.max_abs;
        d->worst = own.path;
    }
    return 0;
}

static int add_texts(struct pair *p, enum diff_kind kind, const char *path, const char *a,
    const char *b, struct err *e)
{
    struct diff_row row = {.kind = kind, .path = path, .a = a, .b = b};
    return add(p->d, &row, e);
}

/* One line where two texts differ; NULL is the same as "". */
static int compare_text(
    struct pair *p, const char *path, const char *what, const char *a, const char *b, struct err *e)
{
    char where[1200];
    if (!strcmp(a ? a : "", b ? b : ""))
        return 0;
    snprintf(where, sizeof where, "%s%s%s", path, *what ? "@" : "", what);
    return add_texts(p, DIFF_ABOUT, where, a ? a : "", b ? b : "", e);
}

/* ---- values ---- */

static bool same(double a, double b, const struct diff_options *how)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (a == b)
        return true;
    return isfinite(a) && isfinite(b) && fabs(a - b) <= how->atol + how->rtol * fabs(b);
}

/* Counts a cell that differs and remembers the worst; at: where it is. */
static void note(struct diff_row *row, double a, double b, const int64_t *at, int rank)
{
    double gap = isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
    double scale = fmax(fabs(a), fabs(b)), rel = isfinite(gap) ? gap / scale : INFINITY;
    if (rel > row->max_rel)
        row->max_rel = rel;
    if (!row->count++ || gap > row->max_abs) {
        row->max_abs = gap;
        row->rank = rank;
        row->va = a;
        row->vb = b;
        memcpy(row->at, at, (size_t)rank * sizeof *at);
    }
}

static void note_cell(
    struct diff_row *row, double a, double b, int64_t index, const struct block_spec *s)
{
    int64_t at[FIELD_MAX_RANK] = {0};
    for (int i = s->rank - 1; i >= 0; i--) {
        at[i] = index % s->axes[i].size;
        index /= s->axes[i].size;
    }
    note(row, a, b, at, s->rank);
}

static int compare_values(
    struct pair *p, const struct block *a, const struct block *b, struct err *e)
{
    const struct block_spec *sa = &a->spec, *sb = &b->spec;
    struct diff_row row = {.kind = DIFF_VALUES, .path = a->path};
    size_t size = dtype_bytes(sa->dtype);
    bool whole = sa->dtype == sb->dtype && (sa->dtype == DT_I64 || sa->dtype == DT_U64);
    struct piece piece = {0};
    while (piece_next(&piece, sa)) {
        int rc = block_read(p->raw_a, a, piece.start, piece.count, e);
        if (!rc)
            rc = block_read(p->raw_b, b, piece.start, piece.count, e);
        if (rc)
            return rc;
        row.total += piece.n;
        if (sa->dtype == sb->dtype && !memcmp(p->raw_a, p->raw_b, (size_t)piece.n * size))
            continue;
        values_widen(p->va, p->raw_a, sa->dtype, piece.n, 1);
        values_widen(p->vb, p->raw_b, sb->dtype, piece.n, 1);
        for (int64_t i = 0; i < piece.n; i++) {
            bool equal = same(p->va[i], p->vb[i], p->how);
            /* Large integers may differ where their doubles do not. */
            if (whole && equal && p->how->atol == 0 && p->how->rtol == 0)
                equal = !memcmp(p->raw_a + (size_t)i * size, p->raw_b + (size_t)i * size, size);
            if (!equal)
                note_cell(&row, p->va[i], p->vb[i], piece.first + i, sa);
        }
    }
    p->d->values += row.total;
    return row.count ? add(p->d, &row, e) : 0;
}

static int compare_tables(
    struct pair *p, const struct block *a, const struct block *b, struct err *e)
{
    struct diff_row row = {.kind = DIFF_VALUES, .path = a->path};
    int64_t rows = block_rows(a);
    char text_a[200] = "", text_b[200] = "";
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < a->spec.n_columns; c++) {
            struct cell_value x, y;
            int64_t at[2] = {r, c};
            int rc = block_cell(&x, a, r, c, e);
            if (!rc)
                rc = block_cell(&y, b, r, c, e);
            if (rc)
                return rc;
            row.total++;
            if (!a->spec.columns[c].is_text) {
                if (!same(x.number, y.number, p->how))
                    note(&row, x.number, y.number, at, 2);
            } else if (strcmp(x.text, y.text)) {
                if (!*text_a && !*text_b) {
                    snprintf(text_a, sizeof text_a, "%s", x.text);
                    snprintf(text_b, sizeof text_b, "%s", y.text);
                    row.a = text_a;
                    row.b = text_b;
                }
                if (!row.count++) {
                    row.rank = 2;
                    row.at[0] = r;
                    row.at[1] = c;
                }
            }
        }
    p->d->values += row.total;
    return row.count ? add(p->d, &row, e) : 0;
}

/* ---- blocks ---- */

static void shape_text(char *buf, size_t n, const struct block *b)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int i = 0; i < b->spec.rank && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%" PRId64, i ? ", " : "",
            b->spec.n_columns ? block_rows(b) : b->spec.axes[i].size);
    if (at < n)
        snprintf(buf + at, n - at, "]");
}

static int compare_labels(
    struct pair *p, const struct block *a, const struct block *b, int axis, struct err *e)
{
    const struct axis *x = &a->spec.axes[axis], *y = &b->spec.axes[axis];
    char what[160];
    snprintf(what, sizeof what, "labels of %.100s", x->name);
    if (!x->labels != !y->labels)
        return compare_text(
            p, a->path, what, x->labels ? "labels" : "none", y->labels ? "labels" : "none", e);
    for (int64_t i = 0; x->labels && i < x->size; i++)
        if (strcmp(x->labels[i], y->labels[i])) {
            snprintf(what, sizeof what, "%.100s %" PRId64, x->name, i);
            return compare_text(p, a->path, what, x->labels[i], y->labels[i], e);
        }
    return 0;
}

static int compare_about(
    struct pair *p, const struct block *a, const struct block *b, struct err *e)
{
    const struct block_spec *x = block_spec(a), *y = block_spec(b);
    int rc = compare_text(p, a->path, "unit", x->unit, y->unit, e);
    if (!rc)
        rc = compare_text(p, a->path, "long_name", x->long_name, y->long_name, e);
    if (!rc)
        rc = compare_text(p, a->path, "source", x->source, y->source, e);
    for (int i = 0; i < x->rank && !rc; i++) {
        rc = compare_text(p, a->path, "axis", x->axes[i].name, y->axes[i].name, e);
        if (!rc && !x->n_columns)
            rc = compare_labels(p, a, b, i, e);
    }
    for (int i = 0; i < x->n_columns && !rc; i++) {
        rc = compare_text(p, a->path, "column", x->columns[i].name, y->columns[i].name, e);
        if (!rc)
            rc = compare_text(p, a->path, "column unit", x->columns[i].unit, y->columns[i].unit, e);
    }
    return rc;
}

static bool same_shape(const struct block *a, const struct block *b)
{
    const struct block_spec *x = &a->spec, *y = &b->spec;
    bool same_rank = x->rank == y->rank && x->n_columns == y->n_columns;
    for (int i = 0; i < x->rank && same_rank && !x->n_columns; i++)
        same_rank = x->axes[i].size == y->axes[i].size;
    for (int i = 0; i < x->n_columns && same_rank; i++)
        same_rank = x->columns[i].is_text == y->columns[i].is_text;
    return same_rank && (!x->n_columns || block_rows(a) == block_rows(b));
}

static int compare_block(
    struct pair *p, const struct block *a, const struct block *b, struct err *e)
{
    char x[160], y[160];
    p->d->blocks++;
    if (!same_shape(a, b)) {
        shape_text(x, sizeof x, a);
        shape_text(y, sizeof y, b);
        return add_texts(p, DIFF_SHAPE, a->path, x, y, e);
    }
    int rc = compare_about(p, a, b, e);
    if (!rc && !a->spec.n_columns && a->spec.dtype != b->spec.dtype)
        rc = add_texts(
            p, DIFF_TYPE, a->path, dtype_name(a->spec.dtype), dtype_name(b->spec.dtype), e);
    if (rc)
        return rc;
    return a->spec.n_columns ? compare_tables(p, a, b, e) : compare_values(p, a, b, e);
}

/* ---- runs, attributes and inputs ---- */

/* Where activations came from is no part of the answer. */
static bool is_origin(const char *name)
{
    return !strcmp(name, "cache_run_id");
}

static int compare_attrs(struct pair *p, const struct run *a, const struct run *b, struct err *e)
{
    char path[200];
    const char *name;
    int rc = 0;
    snprintf(path, sizeof path, "runs/%.100s", run_name(a));
    for (int i = 0; i < run_attrs(a) && !rc; i++) {
        const char *x = run_attr_at(&name, a, i), *y = run_attr(b, name);
        if (is_origin(name))
            continue;
        if (y)
            rc = compare_text(p, path, name, x, y, e);
        else
            rc = add_texts(p, DIFF_ONLY_A, path, name, NULL, e);
    }
    for (int i = 0; i < run_attrs(b) && !rc; i++) {
        run_attr_at(&name, b, i);
        if (!run_attr(a, name) && !is_origin(name))
            rc = add_texts(p, DIFF_ONLY_B, path, NULL, name, e);
    }
    return rc;
}

static const struct block *find_in(const struct run *run, const char *path, int guess)
{
    struct block *b = run_block_at(run, guess);
    if (b && !strcmp(b->path, path))
        return b;
    for (int i = 0; (b = run_block_at(run, i)); i++)
        if (!strcmp(b->path, path))
            return b;
    return NULL;
}

static int compare_run(struct pair *p, const struct run *a, const struct run *b, struct err *e)
{
    int rc = compare_attrs(p, a, b, e);
    for (int i = 0; i < run_blocks(a) && !rc; i++) {
        const struct block *x = run_block_at(a, i), *y = find_in(b, x->path, i);
        rc = y ? compare_block(p, x, y, e) : add_texts(p, DIFF_ONLY_A, x->path, NULL, NULL, e);
    }
    for (int i = 0; i < run_blocks(b) && !rc; i++) {
        const struct block *y = run_block_at(b, i);
        if (!find_in(a, y->path, i))
            rc = add_texts(p, DIFF_ONLY_B, y->path, NULL, NULL, e);
    }
    return rc;
}

static const struct run *run_named(const struct report *r, const char *name)
{
    for (int i = 0; i < report_runs(r); i++)
        if (!strcmp(run_name(report_run(r, i)), name))
            return report_run(r, i);
    return NULL;
}

static int compare_runs(struct pair *p, struct err *e)
{
    char path[200];
    int rc = 0;
    for (int i = 0; i < report_runs(p->a) && !rc; i++) {
        const struct run *x = report_run(p->a, i), *y = run_named(p->b, run_name(x));
        snprintf(path, sizeof path, "runs/%.100s", run_name(x));
        rc = y ? compare_run(p, x, y, e) : add_texts(p, DIFF_ONLY_A, path, NULL, NULL, e);
    }
    for (int i = 0; i < report_runs(p->b) && !rc; i++) {
        snprintf(path, sizeof path, "runs/%.100s", run_name(report_run(p->b, i)));
        if (!run_named(p->a, run_name(report_run(p->b, i))))
            rc = add_texts(p, DIFF_ONLY_B, path, NULL, NULL, e);
    }
    return rc;
}

static int compare_inputs(struct pair *p, struct err *e)
{
    int n = report_inputs(p->a), m = report_inputs(p->b), rc = 0;
    char path[64], x[40], y[40];
    for (int i = 0; i < n && i < m && !rc; i++) {
        struct report_input a, b;
        snprintf(path, sizeof path, "inputs/%d", i);
        if ((rc = report_input(&a, p->a, i, e)) || (rc = report_input(&b, p->b, i, e)))
            break;
        rc = compare_text(p, path, "text", a.text, b.text, e);
        int64_t k = 0, least = a.n < b.n ? a.n : b.n;
        while (k < least && a.tokens[k] == b.tokens[k])
            k++;
        if (rc || k == a.n + b.n - least)
            continue;
        snprintf(path, sizeof path, "inputs/%d token %" PRId64, i, k);
        snprintf(x, sizeof x, k < a.n ? "%" PRId32 : "none", k < a.n ? a.tokens[k] : 0);
        snprintf(y, sizeof y, k < b.n ? "%" PRId32 : "none", k < b.n ? b.tokens[k] : 0);
        rc = add_texts(p, DIFF_ABOUT, path, x, y, e);
    }
    snprintf(path, sizeof path, "inputs/%d and after", n < m ? n : m);
    if (!rc && n != m)
        rc = add_texts(p, n > m ? DIFF_ONLY_A : DIFF_ONLY_B, path, NULL, NULL, e);
    return rc;
}

int report_diff(struct diff *out, const struct report *a, const struct report *b,
    const struct diff_options *options, struct err *e)
{
    const struct report_info *x = report_about(a), *y = report_about(b);
    size_t n = (size_t)PIECE * sizeof(double);
    *out = (struct diff){0};
    struct pair p = {out, a, b, options, malloc(n), malloc(n), malloc(n), malloc(n)};
    int rc = p.raw_a && p.raw_b && p.va && p.vb
                 ? 0
                 : err_set(e, ERR_LIMIT, "out of memory (comparing reports)");
    if (!rc && options->atol == 0 && options->rtol == 0) {
        rc = compare_text(&p, "/", "kernel_set", x->kernel_set, y->kernel_set, e);
        if (!rc)
            rc = compare_text(&p, "/", "tool_version", x->tool_version, y->tool_version, e);
    }
    if (!rc)
        rc = compare_inputs(&p, e);
    if (!rc)
        rc = compare_runs(&p, e);
    free(p.raw_a);
    free(p.raw_b);
    free(p.va);
    free(p.vb);
    if (rc)
        diff_release(out);
    return rc;
}

static int values_line(char *buf, size_t n, const struct diff_row *r)
{
    char at[160] = "", a[40], b[40];
    size_t used = 0;
    for (int i = 0; i < r->rank && used < sizeof at; i++)
        used +=
            (size_t)snprintf(at + used, sizeof at - used, "%s%" PRId64, i ? ", " : "", r->at[i]);
    if (r->a && r->max_abs == 0)
        return snprintf(buf, n,
            "%s: %" PRId64 " of %" PRId64 " cells differ; [%s]: \"%s\" and \"%s\"", r->path,
            r->count, r->total, at, r->a, r->b);
    exact_number(a, sizeof a, r->va, DT_F64);
    exact_number(b, sizeof b, r->vb, DT_F64);
    return snprintf(buf, n,
        "%s: %" PRId64 " of %" PRId64
        " values differ; worst %.3g (relative %.3g) at [%s]: %s and %s",
        r->path, r->count, r->total, r->max_abs, r->max_rel, at, a, b);
}

int diff_line(char *buf, size_t n, const struct diff_row *r)
{
    static const char *const nouns[] = {[DIFF_SHAPE] = "shape", [DIFF_TYPE] = "type"};
    const char *only = r->a ? r->a : r->b;
    switch (r->kind) {
    case DIFF_VALUES:
        return values_line(buf, n, r);
    case DIFF_ONLY_A:
    case DIFF_ONLY_B:
        return snprintf(buf, n, "%s%s%s: only in the %s report", r->path, only ? "@" : "",
            only ? only : "", r->kind == DIFF_ONLY_A ? "first" : "second");
    case DIFF_ABOUT:
        return snprintf(buf, n, "%s: \"%s\" and \"%s\"", r->path, r->a, r->b);
    default:
        return snprintf(buf, n, "%s: %s %s and %s", r->path, nouns[r->kind], r->a, r->b);
    }
}

void diff_release(struct diff *d)
{
    free(d->rows);
    arena_release(&d->arena);
    *d = (struct diff){0};
}
