#include "analysis/graph.h"

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

static const struct config cfg = {.n_layer = 2, .n_head = 2, .d_model = 6, .d_head = 3};

static int64_t writer(const struct graph *g, const char *name)
{
    char own[GRAPH_NAME];
    for (int64_t u = 0; u <= g->writers; u++) {
        graph_writer_name(own, g, u);
        if (!strcmp(own, name))
            return u;
    }
    fail_msg("no writer %s", name);
    return -1;
}

static int64_t reader(const struct graph *g, const char *name)
{
    char own[GRAPH_NAME];
    for (int64_t v = 0; v < g->readers; v++) {
        graph_reader_name(own, g, v);
        if (!strcmp(own, name))
            return v;
    }
    fail_msg("no reader %s", name);
    return -1;
}

static float *cell(const struct graph *g, const char *u, const char *v)
{
    return &g->score[writer(g, u) * g->readers + reader(g, v)];
}

static bool kept(const struct graph *g, const char *u, const char *v)
{
    return g->kept[writer(g, u) * g->readers + reader(g, v)];
}

/* Every edge scored 0 but those given. */
static void scored(struct graph *g, struct arena *a)
{
    struct err e = {0};
    assert_int_equal(graph_init(g, &cfg, a, &e), 0);
    for (int64_t i = 0; i < g->writers * g->readers; i++)
        g->score[i] = i / g->readers < graph_parents(g, i % g->readers) ? 0 : NAN;
}

static void gpt2_small_has_32491_edges(void **state)
{
    (void)state;
    struct arena a = {0};
    struct graph g;
    struct err e = {0};
    const struct config small = {.n_layer = 12, .n_head = 12, .d_model = 768};
    assert_int_equal(graph_init(&g, &small, &a, &e), 0);
    assert_int_equal(g.writers, 157);
    assert_int_equal(g.readers, 445);
    assert_int_equal(g.edges, 32491);
    assert_int_equal(writer(&g, "a9.h6"), 1 + 9 * 13 + 6);
    assert_int_equal(reader(&g, "a9.h9<q>"), 9 * 37 + 9);
    assert_int_equal(reader(&g, "a9.h9<v>"), 9 * 37 + 24 + 9);
    assert_int_equal(reader(&g, "m3"), 3 * 37 + 36);
    assert_int_equal(reader(&g, "logits"), 444);
    assert_int_equal(graph_parents(&g, reader(&g, "m0")), 13);
    assert_int_equal(graph_parents(&g, reader(&g, "a0.h5<k>")), 1);
    arena_release(&a);
}

static void ranks_by_size_and_index(void **state)
{
    (void)state;
    struct arena a = {0};
    struct graph g;
    struct err e = {0};
    scored(&g, &a);
    *cell(&g, "m0", "logits") = -3;
    *cell(&g, "input", "m1") = 2;
    int64_t *ranked = arena_array(&a, (size_t)g.edges, sizeof *ranked, &e);
    assert_int_equal(graph_rank(ranked, &g, true, &e), g.edges);
    assert_int_equal(ranked[0], writer(&g, "m0") * g.readers + reader(&g, "logits"));
    assert_int_equal(ranked[1], writer(&g, "input") * g.readers + reader(&g, "m1"));
    assert_int_equal(ranked[2], 0); /* of equals the lowest */
    assert_int_equal(graph_rank(ranked, &g, false, &e), g.edges);
    assert_int_equal(ranked[0], writer(&g, "input") * g.readers + reader(&g, "m1"));
    assert_int_equal(ranked[g.edges - 1], writer(&g, "m0") * g.readers + reader(&g, "logits"));
    *cell(&g, "input", "m1") = NAN;
    assert_int_equal(graph_rank(ranked, &g, true, &e), g.edges - 1);
    arena_release(&a);
}

/* input -> m0 -> logits lives; m1 -> logits has no way in, input -> a1.h0<q> none out. */
static void pruning_leaves_what_is_alive(void **state)
{
    (void)state;
    struct arena a = {0};
    struct graph g;
    struct err e = {0};
    scored(&g, &a);
    *cell(&g, "input", "m0") = 9;
    *cell(&g, "m0", "logits") = 8;
    *cell(&g, "m1", "logits") = 7;
    *cell(&g, "input", "a1.h0<q>") = 6;
    *cell(&g, "a0.h1", "m1") = 5; /* dead: nothing reaches a0.h1, and then m1 */
    int64_t *ranked = arena_array(&a, (size_t)g.edges, sizeof *ranked, &e);
    graph_rank(ranked, &g, true, &e);
    graph_top(&g, ranked, 5);
    assert_int_equal(graph_kept_edges(&g), 5);
    graph_prune(&g);
    assert_int_equal(graph_kept_edges(&g), 2);
    assert_true(kept(&g, "input", "m0") && kept(&g, "m0", "logits"));
    assert_int_equal(graph_kept_nodes(&g), 3);
    graph_top(&g, ranked, 1);
    graph_prune(&g);
    assert_int_equal(graph_kept_edges(&g), 0);
    graph_threshold(&g, 7.5, true);
    assert_int_equal(graph_kept_edges(&g), 2);
    arena_release(&a);
}

static void greedy_grows_from_the_logits(void **state)
{
    (void)state;
    struct arena a = {0};
    struct graph g;
    struct err e = {0};
    scored(&g, &a);
    *cell(&g, "input", "m0") = 9; /* the best of all, reached last */
    *cell(&g, "m1", "logits") = 1;
    *cell(&g, "m0", "m1") = -2;
    assert_int_equal(graph_greedy(&g, 3, true, &a, &e), 0);
    assert_true(kept(&g, "m1", "logits") && kept(&g, "m0", "m1") && kept(&g, "input", "m0"));
    assert_int_equal(graph_kept_edges(&g), 3);
    assert_int_equal(graph_greedy(&g, 1, true, &a, &e), 0);
    assert_true(kept(&g, "m1", "logits"));
    assert_int_equal(graph_greedy(&g, 10000, true, &a, &e), 0);
    assert_int_equal(graph_kept_edges(&g), g.edges);
    arena_release(&a);
}

static void refuse(const char *text, const char *says)
{
    struct arena a = {0};
    struct graph g;
    struct err e = {0};
    char path[] = "/tmp/graph-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    scored(&g, &a);
    int rc = graph_read(&g, path, &e);
    unlink(path);
    assert_int_equal(rc, -3);
    if (!strstr(e.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, says);
    arena_release(&a);
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    refuse("", "line 1");
    refuse("[]", "n_layers");
    refuse("{\"cfg\": {\"n_layers\": 3, \"n_heads\": 2, \"d_model\": 6}}", "n_layers");
    refuse("{\"cfg\": {\"n_layers\": 2, \"n_heads\": 2, \"d_model\": 6}, \"nodes\": {}, \"edges\": "
           "{}}",
        "the model has");
    refuse("{\"cfg\": NaN, \"N\": \"NaN \\\" NaN\"}", "n_layers");
}

static void what_was_written_reads_back(void **state)
{
    (void)state;
    struct arena a = {0};
    struct graph g, h;
    struct err e = {0};
    char path[] = "/tmp/graph-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    scored(&g, &a);
    *cell(&g, "m0", "logits") = -0.1f;
    *cell(&g, "input", "m0") = NAN;
    graph_threshold(&g, 0.05, true);
    assert_int_equal(graph_write(path, &g, &e), 0);
    assert_int_equal(graph_init(&h, &cfg, &a, &e), 0);
    if (graph_read(&h, path, &e))
        fail_msg("%s", e.msg);
    unlink(path);
    size_t n = (size_t)(g.writers * g.readers);
    assert_memory_equal(g.kept, h.kept, n);
    assert_memory_equal(g.node, h.node, (size_t)g.writers + 1);
    for (size_t i = 0; i < n; i++)
        assert_true(g.score[i] == h.score[i] || (isnan(g.score[i]) && isnan(h.score[i])));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_small_has_32491_edges),
        cmocka_unit_test(ranks_by_size_and_index),
        cmocka_unit_test(pruning_leaves_what_is_alive),
        cmocka_unit_test(greedy_grows_from_the_logits),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(what_was_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
