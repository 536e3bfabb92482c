#include "views/number.h"
#include "views/view.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "views/fields.h"

static const char *const tokens[] = {
    "<BOS>", "When", " Mara", " and", " Tobin", "\n", "\xe2\x82", "猫"};
static const char *const layers[] = {"L0", "L1", "L2", "final"};

struct stage {
    struct canvas c;
    struct arena frame;
    struct err e;
    char readout[VIEW_READOUT];
};

static void show(struct stage *g, const char *id, const struct view_data *d, struct view_state *st)
{
    const struct view *v = view_find(id);
    assert_non_null(v);
    canvas_clear(&g->c);
    g->readout[0] = '\0';
    struct screen s = {&g->c, {0, 0, g->c.w, g->c.h}, &g->frame};
    int rc = v->draw(&s, d, st, g->readout, &g->e);
    if (rc)
        fail_msg("%s: %s", id, g->e.msg);
    arena_release(&g->frame);
}

static char *plain(const struct stage *g)
{
    struct buf b = {0};
    canvas_write(&b, &g->c, CANVAS_PLAIN);
    assert_false(b.failed);
    return b.data;
}

static void expect(const struct stage *g, const char *want)
{
    char *got = plain(g);
    if (strcmp(got, want))
        fail_msg("expected\n%s\ngot\n%s", want, got);
    free(got);
}

static struct stage stage(int w, int h, enum colour_mode mode, enum glyphs glyphs)
{
    struct stage g = {0};
    assert_int_equal(canvas_init(&g.c, w, h, &g.e), 0);
    g.c.mode = mode;
    g.c.glyphs = glyphs;
    return g;
}

static void done(struct stage *g)
{
    canvas_release(&g->c);
    arena_release(&g->frame);
}

static struct field lens(const struct field_values *v)
{
    struct field f = {.name = "prob",
        .long_name = "probability of the answer",
        .unit = "probability",
        .dtype = DT_F32,
        .look = LOOK_HEATMAP,
        .rank = 2,
        .axes = {{"layer", AXIS_LAYER, 4, layers}, {"pos", AXIS_POS, 8, tokens}}};
    field_from_values(&f, v);
    return f;
}

static void heatmap_in_plain_text(void **state)
{
    (void)state;
    double x[32];
    for (int i = 0; i < 32; i++)
        x[i] = i / 31.0;
    x[5] = NAN;
    struct field_values v = {x, 1};
    struct field f = lens(&v);
    struct mark marks[] = {{AXIS_POS, 4}, {AXIS_LAYER, 2}};
    struct view_data d = {&f, 1, marks, 2, false, false, NULL};
    struct view_state st = {.at = {2, 4}};
    struct stage g = stage(24, 5, COLOURS_NONE, GLYPHS_BLOCK);
    show(&g, "heatmap", &d, &st);
    expect(&g, "pos→  0   2   4   6\n"
               "final █ █ █ █ █ █ █ █\n"
               "L2    ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓\n"
               "L1    ▒ ▒ ▒ ▒ ▒ ▒ ▒ ▒\n"
               "L0      ░ ░ ░ ░ × ░ ░\n");
    assert_string_equal(g.readout, "L2, ·Tobin(4): 64.5 % (0.6451613)");
    done(&g);
}

static void numbers_appear_where_they_fit(void **state)
{
    (void)state;
    double x[32];
    for (int i = 0; i < 32; i++)
        x[i] = (i - 16) / 4.0;
    struct field_values v = {x, 1};
    struct field f = lens(&v);
    f.unit = "logits";
    f.is_signed = true;
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    struct view_state st = {0};
    struct stage g = stage(64, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "heatmap", &d, &st);
    expect(&g, "pos>  <BOS>  When   _Mara  _and   _Tobin \\n     \\xe2\\~ \\u732b\n"
               "final  2.00+  2.25*  2.50*  2.75#  3.00#  3.25%  3.50%  3.75@\n"
               "L2      .00.   .25.   .50:   .75:  1.00-  1.25-  1.50=  1.75=\n"
               "L1    -2.00+ -1.75= -1.50= -1.25- -1.00-  -.75:  -.50:  -.25.\n"
               "L0    -4.00@ -3.75@ -3.50% -3.25% -3.00# -2.75# -2.50* -2.25*\n");
    done(&g);
}

/* Of text every line says something, and two rows have their scale. */
static void few_rows_leave_no_gaps(void **state)
{
    (void)state;
    double x[] = {0, 1, 2, 3, 4, 5};
    struct field_values v = {x, 1};
    struct field f = {.name = "x",
        .unit = "nats",
        .look = LOOK_HEATMAP,
        .rank = 2,
        .axes = {{.name = "input", .size = 2}, {.name = "pos", .size = 3}}};
    field_from_values(&f, &v);
    struct view_data d = {.fields = &f, .n = 1, .is_static = true};
    struct view_state st = {0};
    struct stage g = stage(60, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "heatmap", &d, &st);
    char *got = plain(&g), *first = strstr(got, "\n0 ");
    assert_non_null(first);
    assert_ptr_equal(strchr(first + 1, '\n'), strstr(got, "\n1   3.00*   4.00%   5.00@\n"));
    assert_non_null(strstr(got, "  0  ..::---==+++**###%%@@@ 5 nats"));
    free(got);
    done(&g);
}

static void a_small_error_is_not_nothing(void **state)
{
    (void)state;
    double x[] = {2, 1, 3}, error[] = {0, 4.4e-5, 0.25};
    struct field_values v = {x, 1}, of_error = {error, 1};
    struct field f = {.name = "x",
        .unit = "nats",
        .look = LOOK_BARS,
        .rank = 1,
        .axes = {{.name = "layer", .kind = AXIS_LAYER, .size = 3}}};
    struct field se = f;
    field_from_values(&f, &v);
    field_from_values(&se, &of_error);
    struct view_data d = {.fields = &f, .n = 1, .is_static = true, .error = &se};
    struct view_state st = {0};
    struct stage g = stage(40, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "bars", &d, &st);
    char *got = plain(&g);
    assert_non_null(strstr(got, "0 2.000 +- 0.000 "));
    assert_non_null(strstr(got, "1 1.000 +- 4e-5 "));
    assert_non_null(strstr(got, "2 3.000 +- 0.250 "));
    free(got);
    done(&g);
}

static void a_curve_called_as_its_unit_is_named_once(void **state)
{
    (void)state;
    double x[] = {2, 1, 3};
    struct field_values v = {x, 1};
    struct field f = {.name = "ratio",
        .unit = "ratio",
        .look = LOOK_LINES,
        .rank = 1,
        .axes = {{.name = "step", .kind = AXIS_STEP, .size = 3}}};
    field_from_values(&f, &v);
    struct view_data d = {.fields = &f, .n = 1, .is_static = true};
    struct view_state st = {0};
    struct stage g = stage(40, 8, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "lines", &d, &st);
    char *got = plain(&g), *name = strstr(got, "ratio");
    assert_non_null(name);
    assert_null(strstr(name + 1, "ratio"));
    free(got);
    done(&g);
}

static void bars_grow_from_a_centre_line(void **state)
{
    (void)state;
    static const char *const names[] = {"embed", "L3H2", "L4_mlp", "L2H0", "bias"};
    double x[] = {-0.1, 3.21, 0.88, -1.6, NAN};
    struct field_values v = {x, 1};
    struct field f = {.name = "contribution",
        .unit = "logits",
        .look = LOOK_BARS,
        .is_signed = true,
        .rank = 1,
        .axes = {{"component", AXIS_COMPONENT, 5, names}}};
    field_from_values(&f, &v);
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    struct view_state st = {0};
    struct stage g = stage(34, 5, COLOURS_16, GLYPHS_BLOCK);
    show(&g, "bars", &d, &st);
    expect(&g, "L3H2   +3.21       ┃████████████\n"
               "L2H0   −1.60 ██████┃\n"
               "L4_mlp +0.88       ┃███▎\n"
               "embed  −0.10      ▐┃\n"
               "bias       –       ┃×\n");
    assert_string_equal(g.readout, "embed: −0.10 logits");
    const struct view *bars = view_find("bars");
    assert_true(bars->move(&d, &st, MOVE_UP, 5));
    assert_int_equal(st.at[0], 2);
    assert_true(bars->move(&d, &st, MOVE_TOP, 5));
    assert_int_equal(st.at[0], 1);
    assert_false(bars->move(&d, &st, MOVE_UP, 5));
    assert_true(bars->pick(&d, &st, 3, 3));
    assert_int_equal(st.at[0], 0);
    done(&g);
}

/* What rounds to zero needs no room for a sign, and keeps its decimals. */
static void zeros_have_no_sign(void **state)
{
    (void)state;
    char text[16];
    assert_string_equal(number_short(text, sizeof text, -0.0003, 3, 2), ".00");
    assert_string_equal(number_short(text, sizeof text, 0.0003, 3, 2), ".00");
    assert_string_equal(number_short(text, sizeof text, -0.03, 4, 2), "-.03");
    assert_string_equal(number_short(text, sizeof text, -0.03, 3, 2), ".0");
    assert_string_equal(number_short(text, sizeof text, -0.3, 3, 2), "-.3");
    assert_string_equal(number_short(text, sizeof text, -0.3, 1, 2), "0");
}

/* Of values below zero the longest bar is the farthest from it, whatever the block says of signs. */
static void bars_below_zero_are_long_where_far(void **state)
{
    (void)state;
    double x[] = {-1, -4};
    struct field_values v = {x, 1};
    struct field f = {.name = "corrupt_metric",
        .unit = "logits",
        .look = LOOK_BARS,
        .rank = 1,
        .axes = {{"input", AXIS_INPUT, 2, NULL}}};
    field_from_values(&f, &v);
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    struct view_state st = {0};
    struct stage g = stage(20, 2, COLOURS_16, GLYPHS_BLOCK);
    show(&g, "bars", &d, &st);
    expect(&g, "0 −1.00       ▕██┃\n"
               "1 −4.00 █████████┃\n");
    done(&g);
}

/* Sizes that double are evenly apart; steps that are evenly apart stay so. */
static void numbers_that_grow_by_factors_are_logarithmic(void **state)
{
    (void)state;
    static const char *const sizes[] = {"1", "2", "4", "8", "16", "32", "64"};
    static const char *const steps[] = {"1", "11", "21", "31", "41", "51", "61"};
    double x[] = {0, 1, 2, 3, 4, 5, 6};
    struct field_values v = {x, 1};
    struct field f = {.name = "share",
        .unit = "ratio",
        .look = LOOK_LINES,
        .rank = 1,
        .axes = {{"edges kept", AXIS_OTHER, 7, sizes}}};
    field_from_values(&f, &v);
    struct view_data d = {&f, 1, NULL, 0, true, true, NULL};
    struct view_state st = {0};
    struct stage g = stage(30, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "lines", &d, &st);
    expect(&g, " 5-                    *******\n"
               "                  *****\n"
               "          ********\n"
               " 0-*******\n"
               "   1             10\n");
    done(&g);
    f.axes[0].labels = steps;
    st = (struct view_state){0};
    g = stage(30, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "lines", &d, &st);
    expect(&g, " 5-                    *******\n"
               "                  *****\n"
               "          ********\n"
               " 0-*******\n"
               "                        50\n");
    done(&g);
}

static void columns_align_on_their_points(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "bb", "ccc"};
    double x[] = {1.5, -20.25, 0.25, 2, 30, NAN};
    struct field_values v = {x, 1};
    struct field f = {.name = "t",
        .look = LOOK_TABLE,
        .rank = 2,
        .axes = {{"row", AXIS_OTHER, 3, names}, {"col", AXIS_OTHER, 2, NULL}}};
    field_from_values(&f, &v);
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    struct view_state st = {0};
    struct stage g = stage(30, 4, COLOURS_NONE, GLYPHS_BLOCK);
    show(&g, "table", &d, &st);
    expect(&g, "row      0       1\n"
               "a     1.50  −20.25\n"
               "bb    0.25    2.00\n"
               "ccc  30.00       –\n");
    st.sorted = true;
    show(&g, "table", &d, &st);
    expect(&g, "row      0       1\n"
               "ccc  30.00       –\n"
               "a     1.50  −20.25\n"
               "bb    0.25    2.00\n");
    done(&g);
}

static void the_strip_brackets_the_selection(void **state)
{
    (void)state;
    double x[8];
    for (int i = 0; i < 8; i++)
        x[i] = NAN;
    struct field_values v = {x, 1};
    struct field f = {
        .name = "tokens", .look = LOOK_TOKENS, .rank = 1, .axes = {{"pos", AXIS_POS, 8, tokens}}};
    field_from_values(&f, &v);
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    struct view_state st = {.at = {2}};
    struct stage g = stage(26, 3, COLOURS_TRUE, GLYPHS_BRAILLE);
    show(&g, "tokens", &d, &st);
    expect(&g, " <BOS>  When [·Mara] ·and\n"
               " ·Tobin  \\n\n"
               " \\xe2\\x82  猫\n");
    const struct view *strip = view_find("tokens");
    assert_true(strip->pick(&d, &st, 10, 1));
    assert_int_equal(st.at[0], 5);
    done(&g);
}

/* A field far larger than memory: what it is asked for must be what is on the screen. */
struct huge {
    int64_t most, asked;
};

static int fetch_huge(const struct field *f, double *out, const struct window *w,
    enum field_reduce reduce, struct err *e)
{
    struct huge *h = f->source_data;
    int64_t n = window_count(w, f->rank);
    (void)reduce;
    (void)e;
    h->asked = n > h->asked ? n : h->asked;
    assert_true(n <= h->most);
    for (int i = 0; i < f->rank; i++)
        assert_true(w->start[i] >= 0 && w->count[i] >= 0 && w->stride[i] >= 1 &&
                    w->start[i] + (w->count[i] - 1) * w->stride[i] < f->axes[i].size);
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)(i % 97) - 48;
    return 0;
}

static void only_the_window_is_fetched(void **state)
{
    (void)state;
    static const char *const ids[] = {"heatmap", "table", "lines", "bars"};
    struct huge h = {.most = 80 * 24 * 10};
    struct field f = {.name = "huge",
        .look = LOOK_HEATMAP,
        .rank = 2,
        .axes = {{"row", AXIS_OTHER, 1000000, NULL}, {"col", AXIS_OTHER, 1000000, NULL}},
        .fetch = fetch_huge,
        .source_data = &h};
    struct view_data d = {&f, 1, NULL, 0, true, false, NULL};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct view_state st = {.at = {999999, 500000}, .zoom = i ? 0 : 3};
        struct stage g = stage(80, 24, COLOURS_256, GLYPHS_BRAILLE);
        h.asked = 0;
        show(&g, ids[i], &d, &st);
        assert_true(h.asked > 0);
        assert_true(strlen(g.readout) > 0);
        for (int m = MOVE_LEFT; m <= MOVE_BOTTOM; m++)
            view_find(ids[i])->move(&d, &st, (enum view_move)m, 20);
        show(&g, ids[i], &d, &st);
        done(&g);
    }
}

/* Every view at sizes nobody would choose, with NaN, empty axes and all levels of output: the ASan
 * build makes this a memory test. */
static void nothing_breaks_at_any_size(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {2, 2}, {3, 1}, {1, 9}, {7, 5}, {20, 6}, {131, 43}};
    static double x[4 * 3 * 8 * 8];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = i % 7 == 3 ? NAN : i % 11 == 5 ? INFINITY : sin((double)i);
    struct field_values v = {x, 1};
    for (int id = 0; id < n_views; id++)
        for (int rank = views[id]->min_rank; rank <= views[id]->max_rank && rank <= 4; rank++)
            for (int k = 0; k < 7 * 4 * 3 * 2; k++) {
                bool empty = k % 5 == 4;
                struct field f = {.name = "x",
                    .look = LOOK_HEATMAP,
                    .rank = rank,
                    .is_signed = k % 2,
                    .axes = {{"layer", AXIS_LAYER, 4, layers}, {"head", AXIS_HEAD, 3, NULL},
                        {"query", AXIS_POS, 8, tokens},
                        {"key", AXIS_POS, empty && rank == 4 ? 0 : 8, tokens}}};
                if (rank && rank < 4 && empty)
                    f.axes[rank - 1].size = 0;
                field_from_values(&f, &v);
                struct mark marks[] = {{AXIS_POS, 3}, {AXIS_HEAD, 1}};
                struct view_data d = {&f, 1, marks, 2, k % 3 == 0, k % 7 == 0, NULL};
                struct view_state st = {.at = {99, -3, 5, 7}, .zoom = k % 4, .numbers = k % 8 == 1};
                struct stage g = stage(sizes[k % 7][0], sizes[k % 7][1],
                    (enum colour_mode)(k / 7 % 4), (enum glyphs)(k / 28 % 3));
                show(&g, views[id]->id, &d, &st);
                for (int m = MOVE_LEFT; views[id]->move && m <= MOVE_BOTTOM; m++) {
                    views[id]->move(&d, &st, (enum view_move)m, 3);
                    show(&g, views[id]->id, &d, &st);
                }
                for (int p = 0; views[id]->pick && p < 20; p++)
                    views[id]->pick(&d, &st, p * 3, p);
                show(&g, views[id]->id, &d, &st);
                struct buf svg = {0}, ansi = {0}, screen = {0};
                int rc = views[id]->svg(&svg, &d, &st, &g.frame, &g.e);
                assert_int_equal(rc, 0);
                assert_non_null(strstr(svg.data, "</svg>"));
                assert_null(strstr(svg.data, "nan"));
                assert_null(strstr(svg.data, "inf\""));
                canvas_write(&ansi, &g.c, CANVAS_ANSI);
                canvas_write(&screen, &g.c, CANVAS_SVG);
                assert_non_null(ansi.data);
                assert_non_null(strstr(screen.data, "</svg>"));
                buf_release(&svg);
                buf_release(&ansi);
                buf_release(&screen);
                done(&g);
            }
}

static void descriptors_are_complete(void **state)
{
    (void)state;
    for (int i = 0; i < n_views; i++) {
        const char *stop = strchr(views[i]->help, '.');
        assert_ptr_equal(view_find(views[i]->id), views[i]);
        assert_non_null(stop);
        assert_non_null(views[i]->title);
        assert_non_null(views[i]->draw);
        assert_non_null(views[i]->svg);
        assert_true(views[i]->looks != 0);
    }
    for (int look = 0; look < LOOK_COUNT; look++) {
        struct field f = {.look = (enum look)look, .rank = look == LOOK_TEXT ? 1 : 2};
        assert_string_equal(view_for(&f)->id, look_name((enum look)look));
    }
}

/* Which views are offered for axes of two kinds (the last is read along) and values of a unit. */
static void offers(enum axis_kind across, enum axis_kind along, const char *unit, const char *want)
{
    static const char *const words[] = {"When", " Mara", " and"};
    char got[200] = "";
    struct field f = {.name = "x", .unit = unit, .look = LOOK_TABLE};
    if (across != AXIS_KIND_COUNT)
        f.axes[f.rank++] = (struct axis){.name = "a", .kind = across, .size = 3};
    f.axes[f.rank++] = (struct axis){.name = "b", .kind = along, .size = 3};
    f.axes[f.rank - 1].labels = along == AXIS_POS ? words : NULL;
    for (int i = 0; i < n_views; i++)
        if (view_suits(views[i], &f) && (views[i]->looks & ~(1u << LOOK_TEXT | 1u << LOOK_GRAPH)))
            snprintf(got + strlen(got), sizeof got - strlen(got), " %s", views[i]->id);
    assert_string_equal(got, want);
}

static void views_are_offered_where_they_mean_something(void **state)
{
    (void)state;
    offers(AXIS_LAYER, AXIS_POS, "nats", " heatmap table bars lines tokens contour");
    offers(AXIS_STEP, AXIS_OTHER, "loss", " heatmap table bars lines contour");
    offers(AXIS_LAYER, AXIS_HEAD, "logits", " heatmap table bars");
    offers(AXIS_HEAD, AXIS_COMPONENT, "logits", " heatmap table bars");
    offers(AXIS_HEAD, AXIS_LAYER, "logits", " heatmap table bars lines");
    offers(AXIS_KIND_COUNT, AXIS_VOCAB, "probability", " heatmap table bars");
    offers(AXIS_POS, AXIS_RANK, "token id", " table");
    /* Names are no numbers of a scale; what somebody calls its look is believed. */
    static const char *const names[] = {"red", "green"}, *const steps[] = {"-0.5", "0.5"};
    struct field f = {.look = LOOK_TABLE, .rank = 1, .axes = {{"c", AXIS_OTHER, 2, names}}};
    assert_false(view_suits(view_find("lines"), &f));
    f.axes[0].labels = steps;
    assert_true(view_suits(view_find("lines"), &f));
    f.axes[0].labels = names;
    f.look = LOOK_LINES;
    assert_true(view_suits(view_find("lines"), &f));
    f.unit = "token id";
    f.look = LOOK_HEATMAP;
    assert_string_equal(view_for(&f)->id, "heatmap");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heatmap_in_plain_text),
        cmocka_unit_test(numbers_appear_where_they_fit),
        cmocka_unit_test(few_rows_leave_no_gaps),
        cmocka_unit_test(a_small_error_is_not_nothing),
        cmocka_unit_test(a_curve_called_as_its_unit_is_named_once),
        cmocka_unit_test(bars_grow_from_a_centre_line),
        cmocka_unit_test(zeros_have_no_sign),
        cmocka_unit_test(bars_below_zero_are_long_where_far),
        cmocka_unit_test(numbers_that_grow_by_factors_are_logarithmic),
        cmocka_unit_test(columns_align_on_their_points),
        cmocka_unit_test(the_strip_brackets_the_selection),
        cmocka_unit_test(only_the_window_is_fetched),
        cmocka_unit_test(nothing_breaks_at_any_size),
        cmocka_unit_test(descriptors_are_complete),
        cmocka_unit_test(views_are_offered_where_they_mean_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
