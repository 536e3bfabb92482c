#include "app/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/workbench.h"

const struct param option_params[OPTION_COUNT] = {
#define OPTION(n, t, d, c, h) {.name = #n, .type = t, .def = d, .choices = c, .help = h},
#include "app/options.def"
#undef OPTION
};

static void (*const applies[])(struct workbench *wb, const struct param_value *v) = {
#define OPTION(name, type, def, choices, help) option_##name,
#include "app/options.def"
#undef OPTION
};

void options_apply(struct workbench *wb, const struct args *args)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        applies[i](wb, args_get(args, option_params[i].name));
}

/* auto: terminals that tell their colours do so in COLORFGBG, "foreground;background". */
void option_theme(struct workbench *wb, const struct param_value *v)
{
    const char *told = getenv("COLORFGBG"), *last = told ? strrchr(told, ';') : NULL;
    bool is_light = last && (!strcmp(last, ";7") || !strcmp(last, ";15"));
    const struct theme *t = theme_find(v->text);
    wb->theme = t ? t : theme_find(is_light ? "day" : "night");
}

void option_glyphs(struct workbench *wb, const struct param_value *v)
{
    static const char *const names[] = {
        [GLYPHS_ASCII] = "ascii", [GLYPHS_BLOCK] = "block", [GLYPHS_BRAILLE] = "braille"};
    wb->has_glyphs = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], v->text)) {
            wb->glyphs = (enum glyphs)i;
            wb->has_glyphs = true;
        }
}

void option_mouse(struct workbench *wb, const struct param_value *v)
{
    wb->has_mouse = v->b;
}

void option_tour(struct workbench *wb, const struct param_value *v)
{
    wb->wants_tour = v->b;
}

/* Decided when the session begins. */
void option_record(struct workbench *wb, const struct param_value *v)
{
    (void)wb, (void)v;
}

void colon_set(struct workbench *wb, const char *arg)
{
    struct arena arena = {0};
    struct args args;
    struct err e = {0};
    char name[32];
    size_t n = strcspn(arg, " ");
    const char *value = arg + n + strspn(arg + n, " ");
    snprintf(name, sizeof name, "%.*s", (int)n, arg);
    int row = -1;
    if (!args_init(&args, option_params, OPTION_COUNT, &arena, &e) &&
        (row = args_find(&args, name)) < 0) {
        const char *names[OPTION_COUNT], *near[3];
        for (int i = 0; i < OPTION_COUNT; i++)
            names[i] = option_params[i].name;
        int found = nearest_names(near, 3, name, names, OPTION_COUNT);
        workbench_say(wb, true, "no setting \"%s\"; nearest: %s%s%s", name, near[0],
            found > 1 ? ", " : "", found > 1 ? near[1] : "");
    } else if (row >= 0 && (*value ? args_set(&args, row, value, &e) : 0) == 0) {
        if (!*value)
            workbench_say(wb, false, "%s: %s", name, option_params[row].help);
        else
            applies[row](wb, &args.values[row]);
    } else if (e.code) {
        workbench_say(wb, true, "%s", e.msg);
    }
    arena_release(&arena);
}
