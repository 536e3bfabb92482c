#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/help.h"
#include "app/palette.h"
#include "app/settings.h"
#include "app/words.h"
#include "app/workbench.h"

/* The form of an analysis, made from its parameters. */

struct form {
    const struct analysis *a;
    struct line *values;
    const char **defaults; /* the configuration's too; "" for none */
    struct arena arena;
    int at, top, rows;
    struct rect box;
    char error[1024];
};

static const struct param *param_at(const struct form *f)
{
    return f->a->n_params ? &f->a->params[f->at] : NULL;
}

/* The choice after (or before) the present one. */
static void cycle(struct form *f, int by)
{
    const struct param *p = param_at(f);
    const char *list = p->type == PARAM_BOOL ? "false|true" : p->choices;
    char words[32][48];
    int n = 0, at = -1;
    for (const char *s = list; s && *s && n < 32; n++) {
        size_t len = strcspn(s, "|");
        snprintf(words[n], sizeof words[n], "%.*s", (int)len, s);
        if (!strcmp(words[n], f->values[f->at].text))
            at = n;
        s += len + (s[len] == '|');
    }
    if (n)
        line_set(&f->values[f->at], words[(at + by + n) % n]);
}

static bool has_choices(const struct param *p)
{
    return p && (p->type == PARAM_BOOL || (p->type == PARAM_CHOICE && p->choices));
}

/* Whether the value fits its parameter; what is wrong is kept. */
static bool check(struct form *f, int i)
{
    struct arena scratch = {0};
    struct args args;
    struct err e = {0};
    bool ok = true;
    if (*f->values[i].text)
        ok = !args_init(&args, &f->a->params[i], 1, &scratch, &e) &&
             !args_set(&args, 0, f->values[i].text, &e);
    if (!ok)
        snprintf(f->error, sizeof f->error, "%s", e.msg);
    arena_release(&scratch);
    return ok;
}

/* The line that the form stands for; NULL: out of memory. */
static const char *line_of(struct form *f, struct arena *a)
{
    struct err e;
    const char *line = arena_printf(a, &e, "run %s", f->a->id);
    for (int i = 0; i < f->a->n_params && line; i++) {
        if (!strcmp(f->values[i].text, f->defaults[i]))
            continue;
        const char *flag = arena_printf(a, &e, "--%s=%s", f->a->params[i].name, f->values[i].text);
        flag = flag ? words_quote(flag, a, &e) : NULL;
        line = flag ? arena_printf(a, &e, "%s %s", line, flag) : NULL;
    }
    return line;
}

static int draw_text(struct canvas *c, struct rect in, int y, struct style s, const char *text)
{
    struct rect r = {in.x, in.y + y, in.w, in.h - y};
    return y < in.h ? y + screen_wrapped(c, r, s, text) : y;
}

static void draw_fields(struct workbench *wb, struct canvas *c, struct rect in)
{
    struct form *f = wb->form;
    for (int i = 0; i < f->rows && f->top + i < f->a->n_params; i++) {
        int k = f->top + i, y = in.y + i;
        bool here = k == f->at;
        if (here)
            canvas_text(c, in.x, y, 1, STYLE(KEY), c->glyphs == GLYPHS_ASCII ? ">" : "▸");
        canvas_text(c, in.x + 2, y, 18, here ? STYLE(STRONG) : STYLE(LABEL), f->a->params[k].name);
        bool is_own = strcmp(f->values[k].text, f->defaults[k]) != 0;
        int w = in.w < 70 ? 16 : 26;
        int x = line_draw(&f->values[k], c, in.x + 21, y, w, is_own ? STYLE(STRONG) : STYLE(TEXT));
        if (!*f->values[k].text)
            canvas_text(c, in.x + 21, y, w, STYLE(DIM), "not set");
        if (here) {
            wb->cursor_x = x;
            wb->cursor_y = y;
        }
        canvas_text(c, in.x + 23 + w, y, in.w - w - 24, STYLE(DIM), f->a->params[k].help);
    }
}

static void draw(struct workbench *wb, struct canvas *c)
{
    struct form *f = wb->form;
    int w = wb->w - 6 < 100 ? wb->w - 6 : 100, h = wb->h - 4;
    int want = f->a->n_params + 15;
    struct rect box = {(wb->w - w) / 2, 2, w, want < h ? want : h};
    char title[128], facts[256] = "";
    struct arena scratch = {0};
    snprintf(title, sizeof title, "%s: %s", f->a->id, f->a->title);
    canvas_fill(c, (struct rect){box.x - 1, box.y, w + 2, box.h}, (struct style){0}, " ");
    struct rect in = canvas_frame(c, box, title, true), old = canvas_clip(c, in);
    int y = draw_text(c, in, 0, STYLE(DIM), f->a->help ? f->a->help : "");
    if (f->a->source)
        y = draw_text(c, in, y, STYLE(DIM), f->a->source);
    y++;
    int below = 5;
    f->rows = in.h - y - below > 1 ? in.h - y - below : 1;
    if (f->at < f->top)
        f->top = f->at;
    if (f->at >= f->top + f->rows)
        f->top = f->at - f->rows + 1;
    f->box = (struct rect){in.x + 1, in.y + y, in.w - 2, f->rows};
    draw_fields(wb, c, f->box);
    y = in.h - below + 1;
    const struct param *p = param_at(f);
    if (*f->error) {
        draw_text(c, in, y, STYLE(ERROR), f->error);
    } else if (p) {
        help_facts(facts, sizeof facts, p);
        char line[512];
        snprintf(
            line, sizeof line, "%s%s%s%s", p->help, *facts ? " (" : "", facts, *facts ? ")" : "");
        draw_text(c, in, y, STYLE(TEXT), line);
    } else {
        draw_text(c, in, y, STYLE(TEXT), "This analysis has no parameters.");
    }
    const char *line = line_of(f, &scratch);
    canvas_textf(c, in.x + 1, in.y + in.h - 2, in.w - 2, STYLE(DIM), ":%s", line ? line : "");
    canvas_text(c, in.x + 1, in.y + in.h - 1, in.w - 2, STYLE(DIM),
        has_choices(p) ? "Enter runs it   Left Right choose   Up Down fields   Esc leaves"
                       : "Enter runs it   type a value   Up Down fields   Esc leaves");
    arena_release(&scratch);
    c->clip = old;
}

static void submit(struct workbench *wb)
{
    struct form *f = wb->form;
    struct arena scratch = {0};
    for (int i = 0; i < f->a->n_params; i++)
        if (!check(f, i)) {
            f->at = i;
            return;
        }
    const char *line = line_of(f, &scratch);
    wb->overlay = NULL;
    if (line)
        colon_run(wb, line);
    arena_release(&scratch);
}

static void step(struct form *f, int by)
{
    int n = f->a->n_params;
    f->error[0] = '\0';
    if (n && check(f, f->at))
        f->at = (f->at + by + n) % n;
}

static void key(struct workbench *wb, const struct key *k)
{
    struct form *f = wb->form;
    const struct param *p = param_at(f);
    if (!strcmp(k->name, "Esc"))
        wb->overlay = NULL;
    else if (!strcmp(k->name, "Enter"))
        submit(wb);
    else if (!strcmp(k->name, "Down") || !strcmp(k->name, "Tab") || !strcmp(k->name, "WheelDown"))
        step(f, 1);
    else if (!strcmp(k->name, "Up") || !strcmp(k->name, "Shift-Tab") || !strcmp(k->name, "WheelUp"))
        step(f, -1);
    else if (!strcmp(k->name, "Mouse") && k->y >= f->box.y && k->y < f->box.y + f->rows &&
             f->top + k->y - f->box.y < f->a->n_params)
        f->at = f->top + k->y - f->box.y;
    else if (has_choices(p) &&
             (!strcmp(k->name, "Left") || !strcmp(k->name, "Right") || !strcmp(k->name, "Space")))
        cycle(f, k->name[0] == 'L' ? -1 : 1);
    else if (p && line_key(&f->values[f->at], k))
        f->error[0] = '\0';
}

void form_release(struct workbench *wb)
{
    struct form *f = wb->form;
    if (!f)
        return;
    for (int i = 0; i < f->a->n_params && f->values; i++)
        line_release(&f->values[i]);
    arena_release(&f->arena);
    free(f);
    wb->form = NULL;
}

void form_open(struct workbench *wb, const struct analysis *a)
{
    static const struct overlay overlay = {draw, key};
    struct err e;
    struct args args;
    form_release(wb);
    struct form *f = wb->form = calloc(1, sizeof *f);
    if (!f)
        return;
    f->a = a;
    size_t n = (size_t)a->n_params + 1;
    f->values = arena_zalloc(&f->arena, n * sizeof *f->values, &e);
    f->defaults = arena_array(&f->arena, n, sizeof *f->defaults, &e);
    bool ok = f->values && f->defaults &&
              !args_init(&args, a->params, a->n_params, &f->arena, &e) &&
              !settings_apply(&args, a->id, &e);
    for (int i = 0; ok && i < a->n_params; i++) {
        const struct param_value *v = &args.values[i];
        f->defaults[i] = v->text                           ? v->text
                         : a->params[i].type == PARAM_BOOL ? v->b ? "true" : "false"
                                                           : "";
        ok = line_set(&f->values[i], f->defaults[i]);
    }
    if (!ok) {
        form_release(wb);
        workbench_say(wb, true, "no memory for the form");
        return;
    }
    wb->overlay = &overlay;
}
