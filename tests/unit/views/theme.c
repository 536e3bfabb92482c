#include "views/theme.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "views/ramp.h"

#define READABLE 4.5 /* WCAG 2.1, level AA */
#define VISIBLE 3.0  /* frames and what else is no text */
#define SIXTEEN 3.9  /* of colours whose values are the user's own; xterm's here */

static const char *const modes[] = {"none", "16", "256", "truecolor"};

/* Every role on the grounds that such a terminal has. */
static void roles_are_readable(void **state)
{
    (void)state;
    static const uint32_t dark[] = {0x000000, 0x1e1e1e}, light[] = {0xffffff, 0xeeeeee};
    for (int t = 0; t < n_themes; t++)
        for (enum colour_mode m = COLOURS_16; m <= COLOURS_TRUE; m++)
            for (unsigned r = 0; r < ROLE_COUNT; r++)
                for (int g = 0; g < (m == COLOURS_16 ? 1 : 2); g++) {
                    struct paint p =
                        theme_paint(&themes[t], m, (struct style){.fg = COLOUR_ROLE(r)});
                    uint32_t ground = themes[t].dark ? dark[g] : light[g];
                    double least = r == ROLE_FRAME ? VISIBLE : m == COLOURS_16 ? SIXTEEN : READABLE;
                    if (p.fg >= 0 && rgb_contrast(palette_rgb(m, p.fg), ground) < least)
                        fail_msg("%s, %s colours, role %u on %06x: %.2f", themes[t].name, modes[m],
                            r, ground, rgb_contrast(palette_rgb(m, p.fg), ground));
                }
}

/* Numbers over every colour of every ramp. */
static void numbers_are_readable_on_ramps(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct scale s = scale_make(-1, 1, k & 1, k & 2);
        for (int i = -500; i <= 500; i++) {
            uint32_t rgb = scale_rgb(&s, i / 500.0);
            struct style st = {.fg = COLOUR_RGB(rgb_ink(rgb)), .bg = COLOUR_RGB(rgb)};
            for (enum colour_mode m = COLOURS_16; m <= COLOURS_TRUE; m++) {
                struct paint p = theme_paint(&themes[0], m, st);
                double c = rgb_contrast(palette_rgb(m, p.fg), palette_rgb(m, p.bg));
                if (c < READABLE)
                    fail_msg("ramp %d at %d, %s colours: %.2f", k, i, modes[m], c);
            }
        }
    }
}

/* Signed ramps differ in lightness from their middle, and never by hue alone: larger is farther. */
static void size_is_lightness(void **state)
{
    (void)state;
    for (int dark = 0; dark < 2; dark++) {
        struct scale s = scale_make(-1, 1, true, dark);
        for (int sign = -1; sign <= 1; sign += 2) {
            double last = 1;
            for (int i = 1; i <= 5; i++) {
                double c = rgb_contrast(scale_rgb(&s, 0), scale_rgb(&s, sign * i / 5.0));
                assert_true(c > last);
                last = c;
            }
        }
    }
}

static void contrast_is_wcags(void **state)
{
    (void)state;
    assert_true(rgb_contrast(0, 0xffffff) > 20.99 && rgb_contrast(0, 0xffffff) < 21.01);
    assert_true(rgb_contrast(0x777777, 0xffffff) > 4.47 && rgb_contrast(0x777777, 0xffffff) < 4.49);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contrast_is_wcags),
        cmocka_unit_test(roles_are_readable),
        cmocka_unit_test(numbers_are_readable_on_ramps),
        cmocka_unit_test(size_is_lightness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
