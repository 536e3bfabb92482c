#include <stdlib.h>
#include <string.h>

#include "analysis/report/inside.h"

/* Runs of one document added to another, with the inputs they belong to. */

struct copier {
    int (*progress)(void *arg, double done, double total);
    void *arg;
    double done, total; /* values */
};

static int copied(struct copier *c, int64_t n, struct err *e)
{
    c->done += (double)n;
    return c->progress && c->progress(c->arg, c->done, c->total) ? err_set(e, ERR_CANCEL, "stopped")
                                                                 : 0;
}

static int64_t values_of(const struct block *b)
{
    const struct block_spec *s = block_spec(b);
    int64_t n = 1;
    for (int i = 0; i < s->rank && !s->n_columns; i++)
        n *= s->axes[i].size;
    return s->n_columns ? block_rows(b) * s->n_columns : n;
}

static int copy_attr(struct run *to, const struct attr *a, int base, struct err *e)
{
    static const char *const own[] = {
        "analysis", "status", "message"}; /* begin and end write them */
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(own[i], a->name))
            return 0;
    switch (a->kind) {
    case ATTR_INT:
        return run_attr_int(to, a->name, a->i, e);
    case ATTR_FLOAT:
        return run_attr_float(to, a->name, a->f, e);
    case ATTR_INTS:
        return run_inputs(to, base + (int)a->list[0], base + (int)a->list[1], e);
    default:
        return run_attr_text(to, a->name, a->text, e);
    }
}

static int copy_table(struct block *to, const struct block *from, struct copier *c, struct err *e)
{
    const struct block_spec *s = block_spec(from);
    struct cell_value *row = calloc((size_t)s->n_columns, sizeof *row);
    char **texts = calloc((size_t)s->n_columns, sizeof *texts);
    int rc = row && texts ? 0 : err_set(e, ERR_LIMIT, "out of memory (a row of a table)");
    for (int64_t r = 0; !rc && r < block_rows(from); r++) {
        for (int k = 0; !rc && k < s->n_columns; k++) {
            rc = block_cell(&row[k], from, r, k, e);
            /* A text lasts until the next cell. */
            free(texts[k]);
            texts[k] = !rc && row[k].text ? strdup(row[k].text) : NULL;
            row[k].text = texts[k];
        }
        if (!rc)
            rc = block_append(to, row, e);
        if (!rc)
            rc = copied(c, s->n_columns, e);
    }
    for (int k = 0; texts && k < s->n_columns; k++)
        free(texts[k]);
    free(texts);
    free(row);
    return rc;
}

static int copy_dense(struct block *to, const struct block *from, struct copier *c, struct err *e)
{
    const struct block_spec *s = block_spec(from);
    void *values = malloc((size_t)PIECE * 8);
    if (!values)
        return err_set(e, ERR_LIMIT, "out of memory (a piece of a block)");
    int rc = 0;
    for (struct piece p = {0}; !rc && piece_next(&p, s);) {
        rc = block_read(values, from, p.start, p.count, e);
        if (!rc)
            rc = block_write(to, p.start, p.count, values, e);
        int64_t n = 1;
        for (int i = 0; i < s->rank; i++)
            n *= p.count[i];
        if (!rc)
            rc = copied(c, n, e);
    }
    free(values);
    return rc;
}

static int copy_block(
    struct run *to, const struct block *from, int base, struct copier *c, struct err *e)
{
    struct block_spec spec = *block_spec(from);
    struct block *b;
    if (spec.input >= 0)
        spec.input += base;
    int rc = run_block(&b, to, &spec, e);
    if (rc)
        return rc;
    return spec.n_columns ? copy_table(b, from, c, e) : copy_dense(b, from, c, e);
}

static int copy_run(
    struct report *to, const struct run *from, int base, struct copier *c, struct err *e)
{
    struct run *run;
    const char *status = "complete", *message = NULL;
    int rc = report_begin_run(&run, to, from->analysis, e);
    for (int i = 0; !rc && i < from->n_attrs; i++) {
        const struct attr *a = &from->attrs[i];
        rc = copy_attr(run, a, base, e);
        if (!strcmp(a->name, "status"))
            status = a->text;
        if (!strcmp(a->name, "message") && *a->text)
            message = a->text;
    }
    for (int i = 0; !rc && i < from->n_blocks; i++)
        rc = copy_block(run, from->blocks[i], base, c, e);
    return rc ? rc : run_end(run, status, message, e);
}

int report_append(struct report *to, const struct report *from,
    int (*progress)(void *arg, double done, double total), void *arg, struct err *e)
{
    int base = report_inputs(to), rc = 0;
    struct copier c = {progress, arg, 0, 0};
    for (int i = 0; i < report_runs(from); i++)
        for (int k = 0; k < report_run(from, i)->n_blocks; k++)
            c.total += (double)values_of(report_run(from, i)->blocks[k]);
    for (int i = 0; !rc && i < report_inputs(from); i++) {
        struct report_input in;
        int index;
        rc = report_input(&in, from, i, e);
        if (!rc)
            rc = report_add_input(&index, to, &in, e);
    }
    for (int i = 0; !rc && i < report_runs(from); i++)
        rc = copy_run(to, report_run(from, i), base, &c, e);
    return rc;
}
