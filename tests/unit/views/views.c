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
    struct view_data d = {&f, 1, marks, 2, false};
    struct view_state st = {.at = {2, 4}};
    struct stage g = stage(24, 5, COLOURS_NONE, GLYPHS_BLOCK);
    show(&g, "heatmap", &d, &st);
    expect(&g, "      0       ▾ 5\n"
               "final █ █ █ █ █ █ █ █\n"
               "L2    ▓ ▓ ▓ ▓ ▓ ▓ ▓ ▓\n"
               "L1    ▒ ▒ ▒ ▒ ▒ ▒ ▒ ▒\n"
               "L0    ░ ░ ░ ░ ░   ░ ░\n");
    assert_string_equal(g.readout, "L2, ·Tobin(4): 64.5 %");
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
    struct view_data d = {&f, 1, NULL, 0, true};
    struct view_state st = {0};
    struct stage g = stage(64, 5, COLOURS_NONE, GLYPHS_ASCII);
    show(&g, "heatmap", &d, &st);
    expect(&g, "      <BOS>  When   _Mara  _and   _Tobin \\n     \\xe2\\~ \\u732b\n"
               "final  2.00+  2.25*  2.50*  2.75#  3.00#  3.25%  3.50%  3.75@\n"
               "L2      .00.   .25.   .50:   .75:  1.00-  1.25-  1.50=  1.75=\n"
               "L1    -2.00+ -1.75= -1.50= -1.25- -1.00-  -.75:  -.50:  -.25.\n"
               "L0    -4.00@ -3.75@ -3.50% -3.25% -3.00# -2.75# -2.50* -2.25*\n");
    done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heatmap_in_plain_text),
        cmocka_unit_test(numbers_appear_where_they_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
