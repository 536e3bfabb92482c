#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/core/rng.h"
#include "views/fields.h"
#include "views/legend.h"
#include "views/order.h"
#include "views/ticks.h"

/* What holds of every drawing, whatever its size and its numbers. */

static const char *const words[] = {"<BOS>", " harbour", " the", "\n", "猫", " of", "\xe2\x82",
    "e\xcc\x81", " very long token of a long text", ",", " Mara", " and"};

static struct rng rng;

static int64_t below(int64_t n)
{
    return (int64_t)rng_below(&rng, (uint64_t)n);
}

static void labels_of_an_axis_never_touch(void **state)
{
    (void)state;
    rng_init(&rng, 1, 0);
    for (int round = 0; round < 20000; round++) {
        struct axis a = {"x", below(2) ? AXIS_POS : AXIS_COMPONENT, 12, words, NULL, NULL};
        struct tick t[TICKS_MAX];
        if (below(2)) {
            a.labels = NULL;
            a.size = 1 + below(below(2) ? 30 : 2000000);
        }
        int64_t step = (int64_t)1 << below(5), most = a.size / step + (a.size % step != 0);
        struct tick_axis x = {&a, 0, step, 1 + below(most), -1, 0.05 + (double)below(200) / 20,
            1 + (int)below(200), (enum glyphs)below(3)};
        x.first = below(most - x.n + 1) * step;
        x.always = below(3) ? -1 : x.first + below(x.n);
        int n = ticks_of_axis(t, &x);
        assert_in_range(n, 0, TICKS_MAX);
        for (int i = 0; i < n; i++) {
            assert_true(t[i].index >= x.first && t[i].index < a.size);
            assert_true(t[i].x >= 0 && t[i].x < x.w && t[i].w > 0);
            assert_int_equal(text_columns(t[i].text), t[i].w);
            for (int k = 0; k < i; k++)
                if (t[i].x < t[k].x + t[k].w + 1 && t[k].x < t[i].x + t[i].w + 1)
                    fail_msg(
                        "\"%s\" at %d touches \"%s\" at %d", t[i].text, t[i].x, t[k].text, t[k].x);
        }
    }
}

static void values_of_an_axis_are_round_and_rise(void **state)
{
    (void)state;
    rng_init(&rng, 2, 0);
    for (int round = 0; round < 20000; round++) {
        double v[16], size = pow(10, (double)below(60) - 30),
                      lo = (double)(below(2001) - 1000) * size;
        double hi = lo + (double)(1 + below(2000)) * size;
        int most = 1 + (int)below(12);
        bool is_log = lo > 0 && below(2);
        int n = ticks_of_values(v, most, lo, hi, is_log);
        assert_in_range(n, 0, most);
        for (int i = 0; i < n; i++) {
            assert_true(v[i] >= lo - (hi - lo) * 1e-9 && v[i] <= hi + (hi - lo) * 1e-9);
            assert_true(!i || v[i] > v[i - 1]);
        }
        assert_true(most < 5 || n >= 2 || is_log);
    }
}

static int larger(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void order_is_that_of_a_sort(void **state)
{
    (void)state;
    rng_init(&rng, 3, 0);
    for (int round = 0; round < 300; round++) {
        double v[500], sorted[500];
        int64_t n = 1 + below(500), top = below(3) ? 0 : 1 + below(40), index[500];
        int64_t numbers = 0;
        struct arena a = {0};
        struct order o;
        struct err e;
        for (int64_t i = 0; i < n; i++) {
            v[i] = below(10) ? (double)below(60) : NAN;
            if (!isnan(v[i]))
                sorted[numbers++] = v[i];
        }
        qsort(sorted, (size_t)numbers, sizeof *sorted, larger);
        assert_int_equal(order_by_value(&o, v, n, false, top, &a, &e), 0);
        assert_int_equal(o.n, top && top < n ? top : n);
        int64_t first = below(o.n), count = 1 + below(o.n - first);
        order_window(index, &o, first, count);
        for (int64_t k = 0; k < count; k++) {
            double want = first + k < numbers ? sorted[first + k] : NAN, got = v[index[k]];
            assert_true(isnan(want) ? isnan(got) : got == want);
            assert_int_equal(order_place(&o, index[k]), first + k);
        }
        arena_release(&a);
    }
}

static void scales_can_be_read_backwards(void **state)
{
    (void)state;
    static const double ends[][2] = {{0, 1}, {1e-30, 1e30}, {-3, 5}, {2, 2}, {-1e300, 1e300}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int mode = 0; mode < 4; mode++) {
            struct scale s = scale_make(ends[i][0], ends[i][1], mode & 1, true);
            if (mode & 2)
                s = scale_log(s, 1e-30);
            for (double t = s.is_signed ? -1 : 0; t <= 1; t += 0.125) {
                double v = scale_value(&s, t);
                assert_true(isfinite(v));
                assert_true(fabs(scale_at(&s, v) - t) < 1e-6);
            }
        }
}

/* ---- every view, every size ---- */

struct sample {
    double values[3 * 2 * 12 * 12];
    struct field_values source;
    struct field f;
};

enum kind { PLAIN, SIGNED, ODD, CONSTANT, WIDE, EMPTY, ONE, KINDS };

static double sample_value(enum kind k, int64_t i)
{
    double x = sin((double)i * 0.7) * 3;
    switch (k) {
    case PLAIN:
        return fabs(x);
    case ODD:
        return i % 5 == 1 ? NAN : i % 7 == 2 ? INFINITY : i % 11 == 3 ? -INFINITY : x;
    case CONSTANT:
        return 7;
    case WIDE:
        return pow(10, (double)(i % 61) - 30);
    default:
        return x;
    }
}

static void make(struct sample *s, enum kind kind, int rank)
{
    static const struct axis axes[] = {{"layer", AXIS_LAYER, 3, NULL, NULL, NULL},
        {"head", AXIS_HEAD, 2, NULL, NULL, NULL}, {"query", AXIS_POS, 12, words, NULL, NULL},
        {"key", AXIS_POS, 12, words, NULL, NULL}};
    for (size_t i = 0; i < sizeof s->values / sizeof *s->values; i++)
        s->values[i] = sample_value(kind, (int64_t)i);
    s->source = (struct field_values){s->values, 1};
    s->f = (struct field){.name = "score",
        .unit = "logits",
        .long_name = "a score of every pair",
        .look = LOOK_HEATMAP,
        .is_signed = kind == SIGNED,
        .rank = rank};
    for (int i = 0; i < rank; i++) {
        s->f.axes[i] = axes[4 - rank + i];
        if (kind == ONE)
            s->f.axes[i].size = 1;
        if (kind == EMPTY && i == rank - 1)
            s->f.axes[i].size = 0;
    }
    field_from_values(&s->f, &s->source);
}

static int rank_for(const struct view *v)
{
    return v->min_rank < 2 && v->max_rank >= 2 ? 2 : v->max_rank < 2 ? 1 : v->min_rank;
}

/* Draws with a margin around the rectangle and without a clip: the margin stays as it was. */
static void draw_within(
    const struct view *v, struct sample *s, struct view_state *st, int w, int h, int look)
{
    struct canvas c;
    struct arena frame = {0};
    struct err e = {0};
    char readout[VIEW_READOUT] = "";
    struct view_data d = {.fields = &s->f, .n = 1, .is_focused = look & 1, .is_static = look & 2};
    assert_int_equal(canvas_init(&c, w + 9, h + 4, &e), 0);
    c.mode = look & 4 ? COLOURS_256 : COLOURS_NONE;
    c.glyphs = look & 8 ? GLYPHS_ASCII : GLYPHS_BRAILLE;
    canvas_fill(&c, (struct rect){0, 0, c.w, c.h}, STYLE(TEXT), "?");
    struct rect r = {4, 2, w, h};
    struct screen screen = {&c, r, &frame};
    if (v->draw(&screen, &d, st, readout, &e))
        fail_msg("%s at %d x %d: %s", v->id, w, h, e.msg);
    assert_non_null(memchr(readout, '\0', sizeof readout));
    for (int y = 0; y < c.h; y++)
        for (int x = 0; x < c.w; x++) {
            bool inside = x >= r.x && x < r.x + w && y >= r.y && y < r.y + h;
            const struct cell *k = &c.cells[y * c.w + x];
            if (!inside && strcmp(k->text, "?"))
                fail_msg("%s at %d x %d draws \"%s\" outside, at %d, %d", v->id, w, h, k->text,
                    x - r.x, y - r.y);
            for (const char *t = k->text; c.glyphs == GLYPHS_ASCII && *t; t++)
                if ((unsigned char)*t > 126)
                    fail_msg("%s draws \"%s\" where only ASCII is understood", v->id, k->text);
        }
    arena_release(&frame);
    canvas_release(&c);
}

static void nothing_is_drawn_outside(void **state)
{
    (void)state;
    struct sample s;
    for (int i = 0; i < n_views; i++)
        for (int w = 1; w <= 60; w++)
            for (int h = 1; h <= 20; h++) {
                enum kind kind = (enum kind)((w * 7 + h) % KINDS);
                int rank = rank_for(views[i]);
                struct view_state st = {.at = {1, 1, 3, 5},
                    .sorted = w % 2,
                    .log_v = h % 3 == 0,
                    .own_scale = w % 3 == 0,
                    .zoom = (w + h) % 4,
                    .top = w % 5 == 0 ? 3 : 0};
                make(&s, kind, w % 4 == 0 && views[i]->max_rank >= 4 ? 4 : rank);
                draw_within(views[i], &s, &st, w, h, w + 3 * h);
            }
}

/* What the readout says at the cursor is the number itself. */
static void the_readout_is_exact(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "heatmap", "table", "bars", "lines", "contour", "tokens", "multiples"};
    struct sample s;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (int at = 0; at < 12; at++) {
            const struct view *v = view_find(ids[i]);
            int rank = v->min_rank > 2 ? 3 : 2;
            struct view_state st = {.at = {rank == 3 ? 1 : 5, rank == 3 ? 5 : at, at}};
            struct canvas c;
            struct arena frame = {0};
            struct err e = {0};
            char readout[VIEW_READOUT] = "", exact[40];
            make(&s, SIGNED, rank);
            double want = s.values[((rank == 3 ? 1 : 0) * 12 + 5) * 12 + at];
            struct view_data d = {.fields = &s.f, .n = 1, .is_focused = true};
            assert_int_equal(canvas_init(&c, 60, 20, &e), 0);
            struct screen screen = {&c, {0, 0, 60, 20}, &frame};
            assert_int_equal(v->draw(&screen, &d, &st, readout, &e), 0);
            number_exact(exact, sizeof exact, want, DT_F32);
            if (!strstr(readout, exact))
                fail_msg("%s reads \"%s\", not %s", ids[i], readout, exact);
            arena_release(&frame);
            canvas_release(&c);
        }
}

static void what_is_no_number_is_counted(void **state)
{
    (void)state;
    double v[] = {1, NAN, INFINITY, -INFINITY, NAN, 2};
    struct tally t = tally_of(v, 6);
    char text[64];
    assert_string_equal(tally_text(text, sizeof text, &t), "2 NaN, 1 inf, 1 -inf");
    struct field_values source = {v, 1};
    struct field f = {.name = "x",
        .look = LOOK_HEATMAP,
        .rank = 2,
        .axes = {{"r", AXIS_OTHER, 1, NULL, NULL, NULL}, {"c", AXIS_OTHER, 6, NULL, NULL, NULL}}};
    field_from_values(&f, &source);
    struct view_data d = {.fields = &f, .n = 1, .is_static = true};
    struct view_state st = {0};
    struct canvas c;
    struct arena frame = {0};
    struct err e = {0};
    struct buf out = {0};
    char readout[VIEW_READOUT];
    assert_int_equal(canvas_init(&c, 70, 6, &e), 0);
    c.mode = COLOURS_NONE;
    struct screen screen = {&c, {0, 0, 70, 6}, &frame};
    assert_int_equal(view_find("heatmap")->draw(&screen, &d, &st, readout, &e), 0);
    canvas_write(&out, &c, CANVAS_PLAIN);
    assert_non_null(strstr(out.data, "× 2 NaN  ▲ 1 inf  ▼ 1 −inf"));
    buf_release(&out);
    arena_release(&frame);
    canvas_release(&c);
}

static void modes_are_known_and_turn(void **state)
{
    (void)state;
    struct sample s;
    make(&s, SIGNED, 3);
    struct view_data d = {.fields = &s.f, .n = 1};
    for (int i = 0; i < n_views; i++)
        for (int m = 0; m < VIEW_MODE_COUNT; m++) {
            struct view_state st = {.zoom = 1}, was = st;
            bool knows = views[i]->modes & 1u << m;
            assert_int_equal(view_toggle(views[i], &d, &st, (enum view_mode)m), knows);
            assert_true(strlen(view_mode_name((enum view_mode)m)) > 0);
            assert_true(strlen(view_mode_help((enum view_mode)m)) > 0);
            if (knows && s.f.rank <= views[i]->max_rank)
                assert_true(memcmp(&st, &was, sizeof st) != 0);
        }
}

static void sentences_tell_each_view(void **state)
{
    (void)state;
    for (int i = 0; i < n_views; i++) {
        const char *h = views[i]->help, *dot = strstr(h, ". ");
        assert_non_null(dot);
        assert_null(strstr(dot + 2, ". "));
        assert_int_equal(h[strlen(h) - 1], '.');
        assert_non_null(views[i]->good);
        assert_int_equal(views[i]->good[strlen(views[i]->good) - 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_of_an_axis_never_touch),
        cmocka_unit_test(values_of_an_axis_are_round_and_rise),
        cmocka_unit_test(order_is_that_of_a_sort),
        cmocka_unit_test(scales_can_be_read_backwards),
        cmocka_unit_test(nothing_is_drawn_outside),
        cmocka_unit_test(the_readout_is_exact),
        cmocka_unit_test(what_is_no_number_is_counted),
        cmocka_unit_test(modes_are_known_and_turn),
        cmocka_unit_test(sentences_tell_each_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
