#include "tests/fuzz/fuzz_report.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* The reader of reports, on any bytes: opens them, looks at everything, and closes. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int look_at_block(struct block *b, struct err *e)
{
    const struct block_spec *s = block_spec(b);
    int rc = 0;
    struct field f;
    double v[64];
    struct cell_value c;
    for (int64_t r = 0; r < block_rows(b) && r < 4; r++)
        for (int k = 0; k < s->n_columns; k++)
            if (!rc)
                rc = block_cell(&c, b, r, k, e);
    for (int k = s->n_columns ? 0 : -1; k < s->n_columns; k++) {
        if (rc || (k >= 0 && s->columns[k].is_text) || (rc = block_field(&f, b, k, e)))
            continue;
        struct window w = field_all(&f);
        for (int i = 0; i < f.rank; i++)
            w.count[i] = w.count[i] > 2 ? 2 : w.count[i];
        rc = f.fetch(&f, v, &w, FIELD_POINT, e);
        for (int i = 0; i < f.rank; i++) {
            w.start[i] = f.axes[i].size / 2;
            w.stride[i] = 3;
        }
        if (!rc)
            rc = f.fetch(&f, v, &w, FIELD_MEAN, e);
    }
    return rc;
}

int report_look_at(int *runs, int *blocks, const char *path, struct err *e)
{
    struct report *r;
    int rc = report_open(&r, path, e);
    *runs = *blocks = 0;
    if (rc)
        return rc;
    for (int i = 0; i < report_inputs(r); i++) {
        struct report_input in;
        (void)report_input(&in, r, i, e);
    }
    *runs = report_runs(r);
    for (int i = 0; i < *runs; i++)
        for (int k = 0; k < run_blocks(report_run(r, i)); k++, ++*blocks) {
            int one = look_at_block(run_block_at(report_run(r, i), k), e);
            rc = rc ? rc : one;
        }
    struct err last;
    (void)report_close(&r, &last);
    return rc;
}

/* libhdf5 asks for the real path, which a memory file has none of. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[] = "/tmp/sonde-fuzz-XXXXXX";
    struct err e = {0};
    int runs, blocks, fd = mkstemp(path);
    if (fd < 0)
        return 0;
    if (write(fd, data, n) == (ssize_t)n)
        (void)report_look_at(&runs, &blocks, path, &e);
    close(fd);
    unlink(path);
    return 0;
}
