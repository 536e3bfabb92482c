#ifndef SONDE_TESTS_DOCUMENTS_H
#define SONDE_TESTS_DOCUMENTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/browse.h"
#include "model/core/h5.h"

/* Documents, planes of them and the panes that show them, held against values that are known: element
 * k of a dataset in its own order is value(k). */

static char path[64], other[64];

static double value(int64_t k)
{
    return k % 17 == 3 ? (double)NAN : sin((double)k) * (double)(k % 29) - 3;
}

static void put(int64_t file, const char *name, int rank, const int64_t *dim, double add)
{
    struct err e = {0};
    int64_t n = dims_count(dim, rank), from[8] = {0};
    double *v = malloc((size_t)(n ? n : 1) * sizeof *v);
    H5_AUTO int64_t type = h5_type(DT_F64), data = -1;
    for (int64_t k = 0; k < n; k++)
        v[k] = value(k) + add;
    assert_int_equal(
        h5_dataset(&data, file, name, type, &(struct h5_shape){.rank = rank, .dim = dim}, &e), 0);
    if (n)
        assert_int_equal(h5_box(data, type, rank, from, dim, NULL, v, true, &e), 0);
    free(v);
}

static void make_file(const char *to, double add)
{
    struct err e = {0};
    H5_AUTO int64_t file = -1, group = -1, data = -1, i64 = h5_type(DT_I64), f32 = h5_type(DT_F32);
    const int64_t five[] = {3, 4, 5, 6, 7}, flat[] = {90, 70}, line[] = {5000}, none[] = {0, 4};
    const int64_t big[] = {(int64_t)1 << 31, 512}, two = 2, zero = 0;
    const int64_t exact[] = {INT64_MAX - 1, INT64_MIN + 1};
    assert_int_equal(h5_create(&file, to, false, &e), 0);
    put(file, "five", 5, five, add);
    put(file, "flat", 2, flat, add);
    put(file, "line", 1, line, add);
    put(file, "none", 2, none, add);
    put(file, "scalar", 0, NULL, add);
    assert_int_equal(
        h5_dataset(&data, file, "exact", i64, &(struct h5_shape){.rank = 1, .dim = &two}, &e), 0);
    assert_int_equal(h5_box(data, i64, 1, &zero, &two, NULL, (void *)exact, true, &e), 0);
    h5_release(&data);
    /* 4 TB that were never written. */
    assert_int_equal(
        h5_dataset(&data, file, "big", f32, &(struct h5_shape){.rank = 2, .dim = big}, &e), 0);
    assert_int_equal(h5_group(&group, file, "group", &e), 0);
    put(group, "inner", 2, flat, add);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/sonde-browse-%d.h5", (int)getpid());
    snprintf(other, sizeof other, "/tmp/sonde-browse-%d-b.h5", (int)getpid());
    make_file(path, 0);
    make_file(other, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

#endif
