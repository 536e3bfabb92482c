#include "tests/unit/app/documents.h"

#include "model/core/machine.h"
#include "model/core/rng.h"

/* Documents and planes of them, and the thread that reads them. */

/* --- Trees and planes --------------------------------------------------------------------------- */

static struct tree *open_tree(void)
{
    struct tree *t = NULL;
    struct err e = {0};
    if (tree_open(&t, path, &e))
        fail_msg("%s", e.msg);
    while (tree_more(t, 3)) {
    }
    return t;
}

static int node_named(struct tree *t, const char *name)
{
    for (int i = 0; i < tree_count(t); i++)
        if (!strcmp(tree_at(t, i)->path, name))
            return i;
    fail_msg("no %s", name);
    return -1;
}

static void trees_list_what_is_there(void **state)
{
    (void)state;
    struct tree *t = open_tree();
    const struct node *n = tree_at(t, node_named(t, "five"));
    assert_int_equal(n->kind, NODE_NUMBERS);
    assert_int_equal(n->rank, 5);
    assert_int_equal(n->axes[4].size, 7);
    assert_int_equal(n->dtype, DT_F64);
    n = tree_at(t, node_named(t, "group/inner"));
    assert_int_equal(n->depth, 1);
    assert_string_equal(tree_at(t, n->parent)->path, "group");
    tree_release(&t);
    struct err e = {0};
    assert_int_equal(tree_open(&t, "/no/such/file.h5", &e), ERR_INPUT);
    assert_non_null(strstr(e.msg, "/no/such/file.h5"));
}

/* The value of the plane's cell, straight from the formula. */
static double cell_of(const struct spec *s, int64_t row, int64_t col)
{
    int64_t k = 0;
    for (int i = 0; i < s->n->rank; i++)
        k = k * s->n->axes[i].size + (i == s->row      ? spec_index(s, true, row)
                                         : i == s->col ? spec_index(s, false, col)
                                                       : s->at[i]);
    return value(k);
}

static double fold_of(const struct spec *s, const struct io_window *w, int64_t i, int64_t j)
{
    double n = 0, sum = 0, squares = 0, most = NAN, least = NAN, size = NAN;
    for (int64_t r = w->r0 + i * w->rs; r < w->r0 + (i + 1) * w->rs && r < spec_rows(s); r++)
        for (int64_t c = w->c0 + j * w->cs; c < w->c0 + (j + 1) * w->cs && c < spec_cols(s); c++) {
            double v = cell_of(s, r, c);
            if (isnan(v))
                continue;
            n++;
            sum += v;
            squares += v * v;
            most = !(most >= v) ? v : most;
            least = !(least <= v) ? v : least;
            size = !(fabs(size) >= fabs(v)) ? v : size;
        }
    double mean = sum / n;
    return n < 1                  ? (double)NAN
           : w->how == AGG_MEAN   ? mean
           : w->how == AGG_NORM   ? sqrt(squares)
           : w->how == AGG_MAX    ? most
           : w->how == AGG_MIN    ? least
           : w->how == AGG_ABSMAX ? size
                                  : sqrt(fabs(squares / n - mean * mean));
}

static struct order *backwards(int64_t n)
{
    struct order *o = malloc(sizeof *o + (size_t)n * sizeof *o->index);
    atomic_init(&o->refs, 1);
    o->n = n;
    for (int64_t i = 0; i < n; i++)
        o->index[i] = n - 1 - i;
    return o;
}

static struct spec *random_plane(struct rng *r, int node, const struct node *n)
{
    struct spec s = {.node = node, .n = n, .row = -1, .col = -1};
    s.row = (int)(rng_u64(r) % (uint64_t)n->rank);
    s.col = n->rank > 1 ? (s.row + 1 + (int)(rng_u64(r) % (uint64_t)(n->rank - 1))) % n->rank : -1;
    for (int i = 0; i < n->rank; i++) {
        int64_t size = n->axes[i].size;
        struct cut *c = &s.cut[i];
        c->start = (int64_t)(rng_u64(r) % 3) % size;
        c->step = 1 + (int64_t)(rng_u64(r) % 3);
        c->n = (size - c->start - 1) / c->step + 1;
        s.at[i] = (int64_t)(rng_u64(r) % (uint64_t)size);
    }
    if (rng_u64(r) % 3 == 0)
        s.row_order = backwards(spec_rows(&s));
    if (s.col >= 0 && rng_u64(r) % 3 == 0)
        s.col_order = backwards(spec_cols(&s));
    struct spec *copy = spec_copy(&s);
    order_release(&s.row_order);
    order_release(&s.col_order);
    return copy;
}

static void planes_of_any_axes(void **state)
{
    (void)state;
    static const char *const names[] = {"five", "flat", "line", "group/inner"};
    struct tree *t = open_tree();
    struct rng r;
    rng_init(&r, 7, 0);
    for (int trial = 0; trial < 400; trial++) {
        int node = node_named(t, names[trial % 4]);
        struct spec *s = random_plane(&r, node, tree_at(t, node));
        int64_t rows = spec_rows(s), cols = spec_cols(s);
        struct io_window w = {.rs = 1 + (int64_t)(rng_u64(&r) % 5),
            .cs = s->col < 0 ? 1 : 1 + (int64_t)(rng_u64(&r) % 4),
            .how = (enum agg)(rng_u64(&r) % AGGS)};
        w.r0 = (int64_t)(rng_u64(&r) % (uint64_t)rows);
        w.c0 = (int64_t)(rng_u64(&r) % (uint64_t)cols);
        w.nr = (rows - w.r0 - 1) / w.rs + 1;
        w.nc = (cols - w.c0 - 1) / w.cs + 1;
        double *out = malloc((size_t)(w.nr * w.nc) * sizeof *out);
        struct err e = {0};
        if (spec_read(out, NULL, s, t, &w, NULL, NULL, &e))
            fail_msg("%s", e.msg);
        bool folds = w.how != AGG_POINT && (w.rs > 1 || w.cs > 1);
        for (int64_t i = 0; i < w.nr; i++)
            for (int64_t j = 0; j < w.nc; j++) {
                double got = out[i * w.nc + j];
                double want =
                    folds ? fold_of(s, &w, i, j) : cell_of(s, w.r0 + i * w.rs, w.c0 + j * w.cs);
                if (!(isnan(got) && isnan(want)) && !(fabs(got - want) < 1e-9))
                    fail_msg("trial %d, %s of %s at %d,%d: %g, not %g", trial, agg_names[w.how],
                        names[trial % 4], (int)i, (int)j, got, want);
            }
        free(out);
        spec_release(&s);
    }
    tree_release(&t);
}

/* --- The reading thread --------------------------------------------------------------------------- */

static struct io *open_io(int *doc, const struct node **nodes, int most)
{
    struct io *io = NULL;
    struct err e = {0};
    assert_int_equal(io_create(&io, -1, &e), 0);
    *doc = io_open(io, path);
    assert_true(io_settle(io, 10));
    assert_true(io_nodes(nodes, io, *doc, 0, most) > 5);
    io_frame(io, 10);
    return io;
}

static struct spec *plane(
    int doc, const struct node *const *nodes, const char *name, int row, int col)
{
    struct spec s = {.doc = doc, .row = row, .col = col, .how = AGG_MEAN};
    while (strcmp(nodes[s.node]->path, name) != 0)
        s.node++;
    s.n = nodes[s.node];
    for (int i = 0; i < s.n->rank; i++)
        s.cut[i] = (struct cut){0, s.n->axes[i].size, 1};
    return spec_copy(&s);
}

static void windows_from_tiles(void **state)
{
    (void)state;
    const struct node *nodes[16];
    int doc;
    struct io *io = open_io(&doc, nodes, 16);
    struct spec *s = plane(doc, nodes, "flat", 0, 1);
    struct rng r;
    struct err e;
    rng_init(&r, 3, 0);
    for (int trial = 0; trial < 100; trial++) {
        struct io_window w = {.r0 = (int64_t)(rng_u64(&r) % 90),
            .c0 = (int64_t)(rng_u64(&r) % 70),
            .rs = 1 + trial % 3,
            .cs = 1 + trial / 3 % 3,
            .how = AGG_MAX};
        w.nr = 1 + (int64_t)(rng_u64(&r) % (uint64_t)((90 - w.r0 - 1) / w.rs + 1));
        w.nc = 1 + (int64_t)(rng_u64(&r) % (uint64_t)((70 - w.c0 - 1) / w.cs + 1));
        double *out = malloc((size_t)(w.nr * w.nc) * sizeof *out);
        assert_int_equal(io_fetch(out, io, s, &w, &e), 0);
        for (int64_t k = 0; k < w.nr * w.nc; k++) {
            double want = w.rs > 1 || w.cs > 1 ? fold_of(s, &w, k / w.nc, k % w.nc)
                                               : cell_of(s, w.r0 + k / w.nc, w.c0 + k % w.nc);
            assert_true((isnan(want) && isnan(out[k])) || fabs(want - out[k]) < 1e-12);
        }
        free(out);
    }
    assert_true(io_bytes(io) <= IO_BYTES);
    /* Nothing there yet is NaN and no wait, not an error. */
    struct spec *big = plane(doc, nodes, "big", 0, 1);
    struct io_window far = {.r0 = (int64_t)1 << 30, .nr = 20, .rs = 1, .nc = 20, .cs = 1};
    double cells[400];
    io_frame(io, 0);
    double began = machine_seconds();
    assert_int_equal(io_fetch(cells, io, big, &far, &e), 1);
    assert_true(machine_seconds() - began < 1);
    assert_true(isnan(cells[399]));
    assert_true(io_settle(io, 10));
    assert_int_equal(io_fetch(cells, io, big, &far, &e), 0);
    /* A window of its own size a cell keeps to its bound, however many are looked at. */
    for (int i = 0; i < 3000; i++) {
        far.r0 = (int64_t)i * 64;
        io_frame(io, 10);
        assert_int_equal(io_fetch(cells, io, big, &far, &e), 0);
    }
    assert_true(io_bytes(io) <= IO_BYTES);
    spec_release(&big);
    spec_release(&s);
    io_release(&io);
}

static void jobs_over_a_whole_plane(void **state)
{
    (void)state;
    const struct node *nodes[16];
    int doc;
    struct io *io = open_io(&doc, nodes, 16);
    struct spec *s = plane(doc, nodes, "flat", 0, 1);
    struct io_progress p;
    struct err e;
    io_begin(io, IO_STATS, s, 0, false, NULL);
    assert_true(io_settle(io, 10));
    io_progress(&p, io);
    double sum = 0, squares = 0, n = 0, most = -1e9, least = 1e9;
    for (int64_t k = 0; k < 90 * 70; k++)
        if (!isnan(value(k))) {
            n++;
            sum += value(k);
            squares += value(k) * value(k);
            most = fmax(most, value(k));
            least = fmin(least, value(k));
        }
    assert_true(p.is_done);
    assert_int_equal(p.stats.n, (int64_t)n);
    assert_int_equal(p.stats.nan, 90 * 70 - (int64_t)n);
    assert_true(fabs(p.stats.mean - sum / n) < 1e-12);
    assert_true(fabs(p.stats.m2 / n - (squares / n - sum / n * sum / n)) < 1e-9);
    assert_true(p.stats.max == most && p.stats.min == least);
    int64_t counted = 0;
    for (size_t i = 0; i < sizeof p.stats.bins / sizeof *p.stats.bins; i++)
        counted += p.stats.bins[i];
    assert_int_equal(counted, p.stats.n);

    /* Rows by a column, falling: what is no number comes last. */
    io_begin(io, IO_SORT_ROWS, s, 5, true, NULL);
    assert_true(io_settle(io, 10));
    io_progress(&p, io);
    assert_int_equal(p.order->n, 90);
    for (int64_t i = 1; i < 90; i++) {
        double before = cell_of(s, p.order->index[i - 1], 5),
               here = cell_of(s, p.order->index[i], 5);
        assert_true(isnan(here) || before >= here);
    }

    /* The next value above a bound, in reading order, and around the end. */
    struct io_search q = {.op = '>', .value = 20, .row = 3, .col = 10, .direction = 1};
    io_begin(io, IO_SEARCH, s, 0, false, &q);
    assert_true(io_settle(io, 10));
    io_progress(&p, io);
    int64_t at = 3 * 70 + 11;
    while (!(value(at) > 20))
        at++;
    assert_true(p.found);
    assert_int_equal(p.row * 70 + p.col, at);
    q.value = 1e6;
    io_begin(io, IO_SEARCH, s, 0, false, &q);
    assert_true(io_settle(io, 10));
    io_progress(&p, io);
    assert_false(p.found);
    spec_release(&s);

    /* Two axes aggregated away, each kind. */
    for (int how = AGG_MEAN; how < AGGS; how++) {
        struct spec *five = plane(doc, nodes, "five", 3, 1);
        five->is_agg[0] = five->is_agg[4] = true;
        five->at[2] = 2;
        five->how = (enum agg)how;
        five->sheet = sheet_create(6, 4, &e);
        io_begin(io, IO_AGGREGATE, five, 0, false, NULL);
        assert_true(io_settle(io, 10));
        for (int64_t row = 0; row < 6; row++)
            for (int64_t col = 0; col < 4; col++) {
                struct acc acc = {0};
                for (int64_t a = 0; a < 3; a++)
                    for (int64_t b = 0; b < 7; b++) {
                        double v = value((((a * 4 + col) * 5 + 2) * 6 + row) * 7 + b);
                        acc_add(&acc, (enum agg)how, &v, 1, 1);
                    }
                double want = acc_value(&acc, (enum agg)how),
                       got = five->sheet->values[row * 4 + col];
                assert_true(fabs(want - got) < 1e-9);
            }
        spec_release(&five);
    }

    /* 4 TB: it can be stopped, and says so. */
    struct spec *big = plane(doc, nodes, "big", 0, 1);
    io_begin(io, IO_STATS, big, 0, false, NULL);
    usleep(30000);
    io_cancel(io);
    assert_true(io_settle(io, 10));
    io_progress(&p, io);
    assert_true(p.is_cancelled && !p.is_done);
    spec_release(&big);
    io_release(&io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_list_what_is_there),
        cmocka_unit_test(planes_of_any_axes),
        cmocka_unit_test(windows_from_tiles),
        cmocka_unit_test(jobs_over_a_whole_plane),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
