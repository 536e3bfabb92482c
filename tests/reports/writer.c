#include "analysis/report/report.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Writes reports for the Python tests, which look at them from outside:
 *   writer document FILE [ROWS]   one of everything; a table of so many rows
 *   writer slices FILE [ROWS]     a slice after the other, telling each on stdout, until killed
 *   writer big FILE MEGABYTES     one large block; prints the most memory that was resident, in MB
 * Exit status: 0, or that of the error. */

static int fail(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    return -e->code;
}

static int document(struct report *r, int64_t rows, struct err *e)
{
    static const char *const words[] = {"<|endoftext|>", " M\xc3\xa4ra", "\xf0\x9f", ","};
    static const char *const components[] = {"embed", "pos_embed", "L0H0", "L0_mlp", "bias"};
    static const char *const steps[] = {"0", "100", "2000"};
    struct run *run;
    struct block *b;
    int at, rc;
    struct report_info info = {"sonde run lens", "avx2", "1.2.3", 2};
    struct report_input one = {"M\xc3\xa4ra \xff", (int32_t[]){0, 5, 6, 7}, words, 4};
    struct report_input two = {"x", (int32_t[]){9}, words, 1};
    if ((rc = report_describe(r, &info, e)) || (rc = report_add_input(&at, r, &one, e)) ||
        (rc = report_add_input(&at, r, &two, e)) || (rc = report_begin_run(&run, r, "lens", e)) ||
        (rc = run_attr_text(run, "model_name", "tiny", e)) ||
        (rc = run_attr_int(run, "param.top", 5, e)) ||
        (rc = run_attr_float(run, "param.tol", 0.25, e)))
        return rc;
    for (int k = 0; k < 2; k++) {
        struct block_spec spec = {.name = "entropy",
            .input = k,
            .dtype = DT_F32,
            .rank = 2,
            .axes = {{"layer", AXIS_LAYER, 3, NULL}, {"pos", AXIS_POS, k ? 1 : 4, NULL}},
            .unit = "nats",
            .long_name = "entropy of the next token",
            .source = "logit lens",
            .look = LOOK_HEATMAP};
        struct block_spec pattern = {.name = "pattern",
            .input = k,
            .dtype = DT_F16,
            .rank = 2,
            .axes = {{"query", AXIS_POS, k ? 1 : 4, NULL}, {"key", AXIS_POS, k ? 1 : 4, NULL}}};
        struct block_spec loss = {.name = "loss", .input = k, .dtype = DT_F64, .unit = "nats"};
        float v[12];
        uint16_t h[16];
        for (int i = 0; i < 12; i++)
            v[i] = i == 3 ? NAN : (float)i / 2;
        for (int i = 0; i < 16; i++)
            h[i] = (uint16_t)(0x3c00 + i);
        if ((rc = run_block(&b, run, &spec, e)) || (rc = block_set(b, v, e)) ||
            (rc = run_block(&b, run, &pattern, e)) || (rc = block_set(b, h, e)) ||
            (rc = run_block(&b, run, &loss, e)) || (rc = block_set(b, &(double){2.5}, e)))
            return rc;
    }
    struct block_spec parts = {.name = "contribution",
        .input = -1,
        .dtype = DT_F32,
        .rank = 2,
        .axes = {{"step", AXIS_STEP, 3, steps}, {"component", AXIS_COMPONENT, 5, components}},
        .unit = "logits",
        .is_signed = true};
    struct block_spec flags = {.name = "is_head",
        .input = -1,
        .dtype = DT_BOOL,
        .rank = 1,
        .axes = {{"component", AXIS_COMPONENT, 5, components}}};
    struct column columns[] = {{"head", NULL, DT_F32, true}, {"score", "share", DT_F32, false},
        {"rank", NULL, DT_I64, false}};
    struct block_spec table = {.name = "ranking",
        .input = -1,
        .rank = 1,
        .axes = {{"row", AXIS_OTHER, 0, NULL}},
        .columns = columns,
        .n_columns = 3};
    float v[15] = {0};
    if ((rc = run_block(&b, run, &parts, e)) || (rc = block_set(b, v, e)) ||
        (rc = run_block(&b, run, &flags, e)) ||
        (rc = block_set(b, (uint8_t[]){0, 0, 1, 0, 0}, e)) || (rc = run_block(&b, run, &table, e)))
        return rc;
    for (int i = 0; i < rows && !rc; i++) {
        char name[16];
        snprintf(name, sizeof name, "L%dH%d", i / 12, i % 12);
        struct cell_value row[] = {{0, name}, {i / 4.0, NULL}, {i, NULL}};
        rc = block_append(b, row, e);
    }
    return rc ? rc : run_end(run, "complete", NULL, e);
}

static int slices(struct report *r, int64_t rows, struct err *e)
{
    struct run *run;
    struct block *b, *t;
    static float row[1000];
    struct column columns[] = {{"i", NULL, DT_I64, false}};
    struct block_spec spec = {.name = "effect",
        .input = -1,
        .dtype = DT_F32,
        .rank = 2,
        .by_slice = true,
        .axes = {{"head", AXIS_HEAD, 100000, NULL}, {"dim", AXIS_DIM, 1000, NULL}}};
    struct block_spec table = {.name = "steps",
        .input = -1,
        .rank = 1,
        .axes = {{"row", AXIS_OTHER, 0, NULL}},
        .columns = columns,
        .n_columns = 1};
    int rc;
    if ((rc = report_begin_run(&run, r, "patch", e)) || (rc = run_block(&b, run, &spec, e)) ||
        (rc = run_block(&t, run, &table, e)))
        return rc;
    for (int64_t i = 0; i < rows && !rc; i++) {
        for (int k = 0; k < 1000; k++)
            row[k] = (float)i;
        struct cell_value cell = {(double)i, NULL};
        if ((rc = block_write(b, (int64_t[]){i, 0}, (int64_t[]){1, 1000}, row, e)) ||
            (rc = block_append(t, &cell, e)) || (rc = report_flush(r, e)))
            return rc;
        printf("%d\n", (int)i);
        fflush(stdout);
    }
    return run_end(run, "complete", NULL, e);
}

static int big(struct report *r, int64_t megabytes, struct err *e)
{
    struct run *run;
    struct block *b;
    static float rows[4][50257];
    struct block_spec spec = {.name = "logits",
        .input = -1,
        .dtype = DT_F32,
        .rank = 2,
        .axes = {{"pos", AXIS_POS, megabytes * 5, NULL}, {"vocab", AXIS_VOCAB, 50257, NULL}}};
    int rc;
    if ((rc = report_begin_run(&run, r, "logits", e)) || (rc = run_block(&b, run, &spec, e)))
        return rc;
    for (int64_t i = 0; i < megabytes * 5 && !rc; i++) {
        for (int k = 0; k < 50257; k += 64)
            rows[0][k] = (float)(i * k);
        rc = block_write(b, (int64_t[]){i, 0}, (int64_t[]){1, 50257}, rows[0], e);
    }
    return rc ? rc : run_end(run, "complete", NULL, e);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct report *r;
    struct rusage use;
    signal(SIGXFSZ, SIG_IGN); /* a full disk and a limit are the same: an error */
    if (argc < 3)
        return 2;
    if (report_create(&r, argv[2], &e))
        return fail(&e);
    int64_t n = argc > 3 ? atoll(argv[3]) : 100000;
    int rc = !strcmp(argv[1], "document") ? document(r, argc > 3 ? n : 1000, &e)
             : !strcmp(argv[1], "slices") ? slices(r, n, &e)
                                          : big(r, n, &e);
    if (rc)
        report_abandon(&r);
    else
        rc = report_close(&r, &e);
    getrusage(RUSAGE_SELF, &use);
    if (!rc && !strcmp(argv[1], "big"))
        printf("%ld\n", use.ru_maxrss / 1024);
    return rc ? fail(&e) : 0;
}
